"""Backups and full disks as Dagster sees them: assets, checks, schedules and sensors on the home's server."""

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from importlib.util import find_spec
from pathlib import Path

import dagster as dg
import pytest

from rrr_assets.definitions import defs
from rrr_assets.resources.warehouse import Warehouse
from rrr_assets.warehouse import backup
from rrr_assets.warehouse.backup import Backups
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.dagster_platform import QUIET, days_from, evaluations, failures, land, rows, run_job, simulated

pytestmark = pytest.mark.slow

DAYS = days_from(date(2024, 8, 1), 1)
FULL = str(10**18)


@pytest.fixture
def folder(tmp_path: Path, empty_home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """RRR_BACKUP_DIR of the home of the run, which makes no backups otherwise."""
    if find_spec("barman") is None:
        pytest.skip("barman is not installed")
    monkeypatch.setenv("RRR_BACKUP_DIR", str(tmp_path / "backups"))
    backup._looked_at.clear()
    yield tmp_path / "backups"
    monkeypatch.setenv("RRR_BACKUP_DIR", str(tmp_path / "backups"))
    Backups.current(Database.current()).switch_off()
    shutil.rmtree(empty_home.root / "backup")


def run(instance: dg.DagsterInstance, job: str) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def(job).execute_in_process(instance=instance, run_config=QUIET, raise_on_error=False)


def materialized(result: dg.ExecuteInProcessResult) -> list[str]:
    return [event.asset_key.to_user_string() for event in result.all_events if event.is_step_materialization and event.asset_key]


def sensor_says(instance: dg.DagsterInstance, name: str) -> tuple[int, str | None]:
    context = dg.build_sensor_context(instance, repository_def=defs.get_repository_def(), resources={"warehouse": Warehouse()})
    told = defs.resolve_sensor_def(name).evaluate_tick(context)
    return len(told.run_requests or ()), told.skip_message


def schedule_says(instance: dg.DagsterInstance, name: str) -> tuple[int, str | None]:
    moment = datetime(2024, 8, 4, 1, 40, tzinfo=UTC)
    context = dg.build_schedule_context(instance, scheduled_execution_time=moment, repository_def=defs.get_repository_def())
    told = defs.resolve_schedule_def(name).evaluate_tick(context)
    return len(told.run_requests or ()), told.skip_message


def test_where_no_backups_are_made_nothing_is_done_and_nothing_fails(instance: dg.DagsterInstance) -> None:
    for job in ("back_up_database", "drill_backup"):
        result = run(instance, job)
        assert result.success
        assert materialized(result) == []
    none_made = (0, "No backups are made here: RRR_BACKUP_DIR is not set.")
    assert sensor_says(instance, "backup_log") == none_made
    assert schedule_says(instance, "daily_backup") == schedule_says(instance, "backup_drill") == none_made


@pytest.mark.usefixtures("folder")
def test_a_backup_and_its_drill_with_their_checks(instance: dg.DagsterInstance) -> None:
    assert schedule_says(instance, "daily_backup") == schedule_says(instance, "backup_drill") == (1, None)
    made = run(instance, "back_up_database")
    assert failures(made) == {}
    assert materialized(made) == ["database_backup"]
    drilled = run(instance, "drill_backup")
    assert failures(drilled) == {}
    assert materialized(drilled) == ["backup_drill"]
    for asset, result in (("database_backup", made), ("backup_drill", drilled)):
        for check in ("integrity", "quality"):
            [told] = evaluations(result)[asset, check, None]
            assert told.passed, told.metadata
            assert told.metadata
    asked, said = sensor_says(instance, "backup_log")
    assert asked == 0
    assert str(said).startswith("The receiver of the log is receiving")


def test_a_drill_of_backups_that_are_damaged_fails(instance: dg.DagsterInstance, folder: Path) -> None:
    assert failures(run(instance, "back_up_database")) == {}
    for packed in folder.glob("rrr/base/*/data/base.tar.gz"):
        packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    told = failures(run(instance, "drill_backup"))
    assert list(told) == ["backup_drill"]
    assert "barman restore failed" in told["backup_drill"]


def test_a_full_disk_stops_work_and_no_read_and_what_waits_is_done_later(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(tmp_path, simulated(tmp_path, DAYS, 300))
    monkeypatch.setenv("RRR_MIN_FREE_BYTES", FULL)
    for name in ("landing_zone", "invalidation_log"):
        asked, said = sensor_says(instance, name)
        assert asked == 0
        assert str(said).startswith("Nothing is begun: ")
    asked, said = schedule_says(instance, "daily_close")
    assert (asked, str(said)[:18]) == (0, "Nothing is begun: ")
    told = failures(run_job(instance, DAYS))
    assert "the load of trades of 2024-08-01 was not begun" in told["raw_trades"]
    assert rows("select count(*) from raw_trades") == [(0,)]
    told = failures(run_job(instance, DAYS, job="refresh_bars"))
    assert "the refresh of bars of 1m was not begun" in told["bars_1m"]
    told = failures(run_job(instance, DAYS, job="archive_days"))
    assert "the archive of 2024-08-01 was not begun" in told["archived_trades"]
    monkeypatch.setenv("RRR_MIN_FREE_BYTES", "0")
    assert failures(run_job(instance, DAYS)) == {}
    assert rows("select count(*) > 0 from raw_trades") == [(True,)]
