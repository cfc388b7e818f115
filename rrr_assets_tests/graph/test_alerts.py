"""What fails in Dagster is told, once, and is over when it is mended; by the sensor, and by a daemon that is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from rrr_assets.quality.alerting import alerts
from rrr_assets.resources import alert_signals
from rrr_assets.resources.quality_settings import CONFIG_VARIABLE
from rrr_assets.resources.warehouse import Warehouse
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.alert_server import TOKEN, AlertServer, serving
from rrr_assets_tests.dagster_platform import execute, land, repeat_a_trade, rows, run_job, simulated, take_back_the_repeated

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DAY = date(2024, 11, 5)
LONGEST_SECONDS = 180


@pytest.fixture
def served(instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AlertServer]:
    """A server that is told, by the settings of the environment."""
    assert instance.is_persistent
    execute("truncate alerts, alert_messages, alert_mutes, gaps, gap_attempts, findings, quality_runs")
    with serving() as server:
        channel = {"name": "slack", "kind": "slack", "url": f"{server.url}/api/", "channel": "#alerts", "token_variable": "RRR_TEST_TOKEN"}
        settings = tmp_path / "quality.yaml"
        # JSON is YAML too.
        settings.write_text(json.dumps({"alerts": {"channels": [channel], "settle_seconds": 0}}), "utf-8")
        monkeypatch.setenv(CONFIG_VARIABLE, str(settings))
        monkeypatch.setenv("RRR_TEST_TOKEN", TOKEN)
        yield server


def look(instance: dg.DagsterInstance) -> str:
    """One evaluation of the real sensor."""
    with dg.build_sensor_context(instance=instance, resources={"warehouse": Warehouse()}) as context:
        told = alerts(context)
    assert isinstance(told, dg.SkipReason)
    return str(told.skip_message)


def test_a_failed_check_and_the_run_that_it_fails_are_one_message(
    instance: dg.DagsterInstance, empty_home: Home, served: AlertServer, tmp_path: Path
) -> None:  # fmt: skip
    land(tmp_path, simulated(tmp_path, [DAY], 300))
    assert run_job(instance, [DAY], selection=["raw_trades"]).success
    assert look(instance).startswith("0 alerts are open")
    repeat_a_trade(DAY)
    assert not run_job(instance, [DAY], selection=["raw_trades", "bars_1m"]).success
    for _ in range(3):
        look(instance)
    (message,) = served.slack
    assert message["text"].startswith("🔴 A blocking check failed") or "raw_trades" in message["text"]
    assert "broken by" in json.dumps(message["blocks"])
    assert "/assets/raw_trades" in json.dumps(message["blocks"])
    take_back_the_repeated(DAY)
    assert run_job(instance, [DAY], selection=["raw_trades", "bars_1m"]).success
    look(instance)
    assert [kind for _, kind in served.kinds()] == ["opened", "resolved"]
    assert datetime.fromisoformat(json.loads(empty_home.alerts_json.read_text())["looked_at"]) > datetime.now(UTC) - timedelta(minutes=5)


def test_a_check_that_breaks_down_is_an_error_and_is_told(instance: dg.DagsterInstance, served: AlertServer) -> None:
    is_broken = True

    @dg.asset
    def something() -> None: ...

    @dg.asset_check(asset=something)
    def it_is_right() -> dg.AssetCheckResult:
        if is_broken:
            raise ZeroDivisionError("division by zero")
        return dg.AssetCheckResult(passed=True)

    definitions = dg.Definitions(
        assets=[something], asset_checks=[it_is_right], jobs=[dg.define_asset_job("look_at_something", "*")],
        executor=dg.in_process_executor, loggers={"console": dg.colored_console_logger},
    )  # fmt: skip
    job = definitions.resolve_job_def("look_at_something")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    assert not job.execute_in_process(instance=instance, raise_on_error=False, run_config=quiet).success
    look(instance)
    (found,) = rows("select rule, title, runbook from alerts where state = 'open'")
    assert found == ("broken_check", "look_at_something failed: ZeroDivisionError: division by zero", "broken-check")
    is_broken = False
    assert job.execute_in_process(instance=instance, raise_on_error=False, run_config=quiet).success
    look(instance)
    assert [kind for _, kind in served.kinds()] == ["opened", "resolved"]


def test_runs_that_fail_for_want_of_room_are_one_message(instance: dg.DagsterInstance, served: AlertServer) -> None:
    @dg.op
    def fill(context: dg.OpExecutionContext) -> None:
        raise dg.Failure(f"the load of {context.job_name} was not begun: 3 MB are free on the disk of the home", allow_retries=False)

    for name in ("one", "two", "three"):
        job = dg.GraphDefinition(name=name, node_defs=[fill]).to_job()
        assert not job.execute_in_process(
            instance=instance, raise_on_error=False, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        ).success
    look(instance)
    found = rows("select rule, level, runbook, next_step from alerts where state = 'open'")
    assert found == [("disk_full", 3, "disk-full", "rrr doctor disk")]
    assert len(served.slack) == 1


def test_a_run_that_does_not_end_is_told(instance: dg.DagsterInstance) -> None:
    run = dg.DagsterRun(job_name="long", status=dg.DagsterRunStatus.STARTING)
    instance.add_run(run)
    try:
        assert list(alert_signals.stuck_runs(instance, datetime.now(UTC))) == []
        (found,) = alert_signals.stuck_runs(instance, datetime.now(UTC) + timedelta(hours=2))
        assert found.rule == "stuck_run"
        assert found.what.startswith("long is starting since")
    finally:
        instance.delete_run(run.run_id)


def test_a_run_whose_code_does_not_load_names_the_deploy(instance: dg.DagsterInstance) -> None:
    """Its failure is without a reason; what Dagster says beside it is the reason."""
    run = dg.DagsterRun(job_name="broken", status=dg.DagsterRunStatus.STARTING, tags={"dagster/max_retries": "0"})
    instance.add_run(run)
    try:
        try:
            __import__("a_module_that_was_not_deployed")
        except ModuleNotFoundError:
            from dagster._core.events import EngineEventData
            from dagster._utils.error import serializable_error_info_from_exc_info

            data = EngineEventData.engine_error(serializable_error_info_from_exc_info(sys.exc_info()))
            instance.report_engine_event("Could not load job definition.", run, data)
        instance.report_run_failed(run)
        (found,) = [each for each in alert_signals.failed_runs(instance, datetime.now(UTC)) if each.run_id == run.run_id]
        assert found.rule == "bad_deploy"
        assert "a_module_that_was_not_deployed" in found.what
    finally:
        instance.delete_run(run.run_id)


@pytest.mark.usefixtures("served")
def test_a_file_that_was_refused_is_told_until_it_is_taken_away(empty_home: Home, instance: dg.DagsterInstance) -> None:
    folder = empty_home.landing / "refused"
    folder.mkdir(exist_ok=True)
    for name, text in (("1-cut.zip", "PK"), ("1-cut.zip.reason.txt", "cut.zip: the archive is truncated\n")):
        (folder / name).write_text(text, "utf-8")
    look(instance)
    found = rows("select rule, severity, runbook, next_step from alerts where state = 'open' and rule = 'refused_file'")
    assert found == [("refused_file", "page", "bad-file", "rrr quarantine")]
    shutil.rmtree(folder)
    look(instance)
    assert rows("select state from alerts where rule = 'refused_file'") == [("resolved",)]


@contextmanager
def daemon(home: Home) -> Iterator[None]:
    """`dagster-daemon run` with its code server; killed as a whole at the end, as by a power cut."""
    program = shutil.which("dagster-daemon", path=str(Path(sys.executable).parent)) or "dagster-daemon"
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with (home.logs / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [program, "run", "-w", str(ROOT / "workspace.yaml")],
            cwd=home.dagster, env={**os.environ, "PYTHONPATH": path}, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(what: str, is_so: Callable[[], bool], home: Home) -> None:
    end = time.monotonic() + LONGEST_SECONDS
    while not is_so():
        if time.monotonic() > end:
            tail = (home.logs / "daemon.log").read_text("utf-8", errors="replace")[-3000:]
            pytest.fail(f"not within {LONGEST_SECONDS} s: {what}\n{tail}")
        time.sleep(0.5)


@pytest.mark.crash
@pytest.mark.timeout(600)
def test_a_daemon_that_is_killed_loses_nothing_and_tells_nothing_twice(
    instance: dg.DagsterInstance, empty_home: Home, served: AlertServer
) -> None:  # fmt: skip
    assert instance.is_persistent
    # What the tests before left failed is none of this one.
    for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])):
        instance.delete_run(record.dagster_run.run_id)
    execute(
        "insert into gaps (instrument, stream, kind, from_time, to_time, cause, state, first_seen, changed_at, evidence) values"
        " ('binance:BTCUSDT', 'trades', 'interval', '2024-11-05 03:00z', '2024-11-05 04:00z', 'feed', 'open', now(), now(), '{}')"
    )
    with daemon(empty_home):
        wait_until("Slack is told", lambda: bool(served.slack), empty_home)
    # Between the channel's answer and the commit: nobody knows whether it was taken.
    execute("update alert_messages set sent_at = null, last_error = 'begun, and not known whether it was taken'")
    execute("update gaps set state = 'healed', healed_at = now()")
    look(instance)
    look(instance)
    assert [kind for _, kind in served.kinds()] == ["opened", "resolved"]
    assert served.looks == 1
