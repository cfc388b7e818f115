"""The runs of the checks through the graph and on the command line."""

import dagster as dg
import pytest

from rrr_assets.definitions import build_defs, defs
from rrr_assets_tests.dagster_platform import QUIET, days_from, rows, told
from rrr_assets_tests.loading import DAY, NAME, tape, vision
from rrr_assets_tests.warm import rrr

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def filled(instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory) -> dg.DagsterInstance:
    """A day whose file tells some lines twice."""
    trades = tape(DAY, 400)
    told("ingest", vision(tmp_path_factory.mktemp("made"), [*trades, *trades[:25]], DAY), "--format", "binance-vision-trades")
    return instance


def run(instance: dg.DagsterInstance, kind: str) -> dg.ExecuteInProcessResult:
    return build_defs().resolve_job_def(f"check_{kind}").execute_in_process(instance=instance, run_config=QUIET, raise_on_error=False)


def checks(done: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {each.check_name: each.passed for each in done.get_asset_check_evaluations()}


def test_a_run_tells_what_is_broken_and_the_next_one_has_nothing_to_do(filled: dg.DagsterInstance) -> None:
    done = run(filled, "recent")
    assert done.success
    assert checks(done) == {"findings": False, "anomalies": True}
    [event] = done.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    assert metadata["days"].value == 1
    assert "order" in {record.data["check"] for record in metadata["seconds_by_check"].records}
    again = run(filled, "recent")
    [event] = again.get_asset_materialization_events()
    assert event.step_materialization_data.materialization.metadata["days"].value == 0
    found = rows("select kind, days, errors, run_id, finished_at is not null from quality_runs order by quality_run_id")
    assert found == [("recent", 1, [], done.run_id, True), ("recent", 0, [], again.run_id, True)]


def test_a_broken_check_makes_the_run_red_and_is_no_pass(filled: dg.DagsterInstance) -> None:
    from rrr_assets.warehouse.connect import Database, Role

    with Database.current().connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("alter table bar_conformance rename column fields to put_aside")
        try:
            done = run(filled, "daily")
        finally:
            connection.execute("alter table bar_conformance rename column put_aside to fields")
    assert not done.success
    assert not checks(done)
    [(errors, is_over)] = rows("select errors, finished_at is not null from quality_runs where kind = 'daily'")
    assert is_over
    assert any(error.startswith("bars: column c.fields does not exist") for error in errors)
    assert rows("select relation from findings where rule = 'broken_check' and state = 'open'") == [("bars",)]
    assert run(filled, "daily").success
    assert rows("select relation from findings where rule = 'broken_check' and state = 'open'") == []


def test_the_checks_by_hand_print_what_they_find(filled: dg.DagsterInstance) -> None:  # noqa: ARG001  # its day
    window = ("--start", DAY, "--end", days_from(DAY, 2)[1])
    answer = told("quality", "check", *window)
    assert answer["errors"] == []
    paging = [each for each in answer["findings"] if each["severity"] == "page"]
    assert [(each["rule"], each["instrument"], each["broken"]) for each in paging] == [("duplicate", NAME, 25)]
    assert paging[0]["detail"]["stream"] == "trades"
    assert told("quality", "findings", *window) == answer["findings"]
    assert told("quality", "anomalies", *window) == answer["anomalies"]
    person = rrr("quality", "check", *window)
    assert "duplicate" in person.stdout
    refused = rrr("quality", "check", "--start", DAY, "--end", DAY)
    assert refused.returncode == 2
    ancient = rrr("quality", "check", "--start", "0001-01-01", "--end", "0001-01-02")
    assert (ancient.returncode, "Traceback" in ancient.stderr) == (2, False)


def test_the_runs_are_scheduled(filled: dg.DagsterInstance) -> None:  # noqa: ARG001  # once per module
    found = {name: defs.resolve_schedule_def(f"quality_{name}") for name in ("recent", "daily")}
    assert {name: each.cron_schedule for name, each in found.items()} == {"recent": "*/5 * * * *", "daily": "30 2 * * *"}
    assert {each.default_status for each in found.values()} == {dg.DefaultScheduleStatus.RUNNING}
