"""The doctor and the runs that it stops: each fault is put there, named with its page and its first command, and gone when it is mended."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rrr_assets.quality import doctor
from rrr_assets.quality.doctor import Look
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.loading import DAY, NAME, emptied, tape, vision
from rrr_assets_tests.platform import Platform
from rrr_assets_tests.warm import rrr

PAGES = Path(__file__).resolve().parents[2] / "docs" / "runbooks"


@pytest.fixture
def database(home: Home) -> Database:  # noqa: ARG001  # the server of this home is looked at
    from rrr_assets.resources.dagster_home import prepare_dagster_home

    database = Database.current()
    from rrr_assets.warehouse.migrate import migrate

    migrate(database)
    prepare_dagster_home()
    with doctor.opened_instance() as instance:
        # Another module's daemon may have lived here a moment ago.
        instance.wipe_daemon_heartbeats()
    return database


@pytest.fixture
def empty(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


def looks() -> dict[str, Look]:
    return {look.cause: look for look in doctor.look_at_all()}


def test_every_look_has_a_page_that_begins_with_a_command(database: Database) -> None:  # noqa: ARG001
    found = looks()
    assert set(found) == {page.stem for page in PAGES.glob("*.md")} & set(found)
    for cause in found:
        text = (PAGES / f"{cause}.md").read_text("utf-8")
        assert [line for line in text.splitlines() if line.startswith("## ")][:2] == ["## What it means", "## One command"]
        assert "```\nrrr " in text.partition("## One command")[2].partition("\n## ")[0]


def test_a_platform_that_is_well(database: Database, empty: Platform) -> None:  # noqa: ARG001
    found = looks()
    daemon = found.pop("stuck-run")
    assert daemon.next_step == "rrr ui", "no daemon runs in the tests"
    assert {look.state for look in found.values()} == {"good", "off"}


def test_a_disk_below_its_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRR_MIN_FREE_BYTES", str(10**18))
    look = doctor.look_at_disks()
    assert (look.state, look.next_step) == ("wrong", "rrr doctor disk")
    taken = doctor.what_takes_room()
    assert taken[0].size_bytes == max(each.size_bytes for each in taken) > 1_000_000
    assert "the database" in {each.what for each in taken}
    [others] = [each for each in taken if not each.is_ours]
    whole = shutil.disk_usage(doctor.__file__).used
    assert 0 < others.size_bytes < whole, "the platform's own is not counted"
    assert others.to_free.startswith(f"du -xhd2 {others.folder} ")


def test_rows_in_quarantine_are_named_by_their_file(empty: Platform, tmp_path: Path) -> None:
    lines = [*tape(DAY, 5), "this is no trade"]
    empty.take_in(vision(tmp_path, lines, DAY), "binance-vision-trades")
    look = doctor.look_at_files(empty.database)
    assert (look.state, look.next_step) == ("wrong", "rrr quarantine")
    assert f"BTCUSDT-trades-{DAY}.zip: 1 rows" in look.told


def test_a_stream_that_is_late_is_named(empty: Platform) -> None:
    with empty.database.connect(Role.WRITER, autocommit=True) as connection:
        for stream, is_fresh in (("trades", False), ("quotes", True)):
            connection.execute(
                "insert into stream_freshness"
                " (instrument, stream, last_event_time, age_seconds, limit_seconds, is_fresh, looks, fresh_looks, looked_at)"
                " values (%s, %s, now() - interval '3 h', 10800, 300, %s, 1, 0, now())",
                (NAME, stream, is_fresh),
            )
    look = doctor.look_at_feeds(empty.database)
    assert (look.state, look.told) == ("wrong", f"1 of 2 streams are late: {NAME} trades (3 h)")


def test_a_backlog_counts_once_it_is_old(empty: Platform, tmp_path: Path) -> None:
    empty.take_in(vision(tmp_path, tape(DAY, 5), DAY), "binance-vision-trades")
    assert doctor.look_at_backlog(empty.database).state == "good"
    with empty.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("update invalidation_days set last_logged_at = last_logged_at - interval '10 minutes'")
    look = doctor.look_at_backlog(empty.database)
    assert (look.state, look.next_step) == ("wrong", "rrr refresh")
    assert str(DAY) in look.told


def test_features_that_lag_are_told_where_their_bars_do_not(empty: Platform, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from rrr_assets.lake.feature_ticks import TieredTicks
    from rrr_assets.resources import alert_signals
    from rrr_assets.warehouse.features import refresh_features, refresh_tick_minutes

    def signals() -> list[tuple[str, str]]:
        told = alert_signals.platform_signals(empty.database, None, datetime.now(UTC))
        return [(each.rule, each.severity) for each in told if each.rule in {"features_behind", "invalidation_storm"}]

    def aged(by: str) -> None:
        with empty.database.connect(Role.OWNER, autocommit=True) as connection:
            connection.execute("update invalidation_days set last_logged_at = last_logged_at - %s::interval", (by,))

    empty.take_in(vision(tmp_path, tape(DAY, 50), DAY), "binance-vision-trades")
    aged("2 hours")
    # What changed is not in the bars yet: that is told of the bars.
    assert (doctor.look_at_backlog(empty.database).state, doctor.look_at_features(empty.database).state) == ("wrong", "good")
    empty.refresh([DAY])
    aged("16 minutes")
    look = doctor.look_at_features(empty.database)
    assert (look.state, look.next_step) == ("wrong", "rrr features refresh")
    assert str(DAY) in look.told
    aged("2 hours")
    assert signals() == [("features_behind", "warn")]
    list(refresh_tick_minutes(empty.database, [DAY], TieredTicks(empty.database), whole_days=False))
    list(refresh_features(empty.database, [DAY], whole_days=False))
    aged("2 hours")
    assert doctor.look_at_features(empty.database).state == "good"
    assert signals() == []


def test_a_database_that_is_down_hides_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRR_DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:1/none")
    found = looks()
    assert found["database-down"].state == "wrong"
    assert found["bad-deploy"].state == found["object-store-down"].state == "good"
    unseen = ("lost-wal", "bad-file", "dead-feed", "invalidation-storm", "features-behind", "stuck-run")
    assert {found[cause].state for cause in unseen} == {"unknown"}


def test_a_store_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from rrr_assets.calc.outcomes import StoreUnreachable

    monkeypatch.setenv("RRR_ARCHIVE_URL", str(tmp_path / "archive"))
    seconds, url = doctor.try_store()
    assert seconds < 10
    assert (url, list((tmp_path / "archive").iterdir())) == (f"file://{tmp_path / 'archive'}", [])
    monkeypatch.setenv("RRR_ARCHIVE_URL", "s3://bucket/there")
    for name, value in (
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_REGION", "x"),
    ):
        monkeypatch.setenv(name, value)
    assert (look := doctor.look_at_store()).state == "wrong"
    assert look.next_step == "rrr doctor store"
    with pytest.raises(StoreUnreachable):
        doctor.try_store()


def test_code_that_does_not_load_is_told_by_its_last_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "duckdb.py").write_text("")
    (tmp_path / "dagster.py").write_text("raise ImportError('a deploy that went wrong')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    look = doctor.look_at_code()
    assert (look.state, look.next_step) == ("wrong", "rrr doctor code")
    assert look.told.endswith("ImportError: a deploy that went wrong")


def test_a_daemon_that_gave_no_sign_of_life_for_minutes_is_down(database: Database) -> None:  # noqa: ARG001
    from dagster._daemon.types import DaemonHeartbeat

    with doctor.opened_instance() as instance:
        try:
            for age, state in ((10, "good"), (600, "wrong")):
                instance.wipe_daemon_heartbeats()
                for kind in instance.get_required_daemon_types():
                    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - age, kind, "a-daemon"))
                assert doctor.look_at_runs().state == state, age
        finally:
            instance.wipe_daemon_heartbeats()


@pytest.fixture
def sleeping(database: Database) -> Iterator[str]:  # noqa: ARG001
    """A run that began an hour ago and says nothing, of a process that is gone."""
    from dagster import DagsterInstance
    from dagster._core.storage.dagster_run import DagsterRunStatus
    from dagster._core.test_utils import create_run_for_test

    with DagsterInstance.get() as instance:
        run = create_run_for_test(instance, job_name="refresh_bars", status=DagsterRunStatus.STARTED)
        yield run.run_id
        instance.delete_run(run.run_id)


def test_a_run_that_says_nothing_is_found_and_closed(sleeping: str) -> None:
    with doctor.opened_instance() as instance:
        assert doctor.stuck_runs(instance) == [], "it has been silent for a moment only"
        [stuck] = doctor.stuck_runs(instance, silent_seconds=-1)
        assert (stuck.run_id, stuck.job, stuck.status) == (sleeping, "refresh_bars", "started")
        assert "its process is gone" in doctor.stop_run(instance, sleeping[:8], patience_seconds=0)
        assert doctor.stuck_runs(instance, silent_seconds=-1) == []
        assert "has ended already: canceled" in doctor.stop_run(instance, sleeping)
        assert [run.status for run in doctor.latest_runs(instance, 1)] == ["canceled"]
        with pytest.raises(LookupError, match="begins no run that has not ended"):
            doctor.stop_run(instance, "0000")


def test_the_commands_say_the_same(database: Database, empty: Platform, sleeping: str) -> None:  # noqa: ARG001
    done = rrr("doctor", "--json")
    told = {look["cause"]: look for look in json.loads(done.stdout)}
    assert (done.returncode, told["stuck-run"]["next_step"], told["database-down"]["state"]) == (1, "rrr ui", "good")
    assert told["stuck-run"]["runbook"] == "docs/runbooks/stuck-run.md"
    assert sleeping in rrr("runs").stdout
    assert "was closed" in rrr("runs", "stop", sleeping).stdout
    assert rrr("runs", "stop").returncode == 2
