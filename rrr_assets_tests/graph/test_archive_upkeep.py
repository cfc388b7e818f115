"""The archive's upkeep through the graph and on the command line: what is permitted, what is told, what a damaged file does to a run."""

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from rrr_assets.archive.upkeep import UPKEEP_ASSETS, UPKEEP_SCHEDULES
from rrr_assets.contracts.retention import ENVIRONMENT
from rrr_assets.definitions import build_defs
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.archive_upkeep import flip
from rrr_assets_tests.dagster_platform import evaluations, failures, rows, simulated
from rrr_assets_tests.loading import Told, midnight, vision
from rrr_assets_tests.warm import rrr

pytestmark = pytest.mark.slow

DAYS = [date(2024, 7, 1), date(2024, 7, 2)]
JOBS = {
    "archive_compaction": "compact_archive",
    "archive_expiry": "expire_archive",
    "archive_orphans": "clean_archive",
    "archive_scrub": "scrub_archive",
}
WINDOW = ("--start", "2024-07-01", "--end", "2024-07-03")


def told(*words: object) -> Any:
    done = rrr(*words, "--json")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return json.loads(done.stdout)


def run(instance: dg.DagsterInstance, name: str, config: Mapping[str, Any] | None = None) -> dg.ExecuteInProcessResult:
    job = build_defs().resolve_job_def(JOBS[name])
    settings = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}, "ops": {name: {"config": dict(config)}} if config else {}}
    return job.execute_in_process(instance=instance, run_config=settings, raise_on_error=False)


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    [event] = [event for event in result.all_events if event.is_step_materialization]
    return {name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()}


def first_file() -> Path:
    """The file of the first day's trades that the last proof names."""
    [(url,)] = rows(
        "select files->0->>'url' from archive_proofs where relation = 'raw_trades' and partition_start = %s order by proof_id desc limit 1",
        DAYS[0],
    )
    return Path(url.removeprefix("file://"))


@pytest.fixture(scope="module")
def archived(instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory) -> dg.DagsterInstance:
    """Two days of trades in the archive, one of them twice because of a late trade."""
    made = tmp_path_factory.mktemp("made")
    simulated(made, DAYS, 1200)
    told("ingest", made / "binance-vision-trades", "--format", "binance-vision-trades")
    told("archive", "make", *WINDOW, "--only", "archived_trades")
    told("ingest", vision(made, [Told(7, midnight(DAYS[0]) + 1)], DAYS[0], "-late"), "--format", "binance-vision-trades")
    told("archive", "make", *WINDOW, "--only", "archived_trades")
    return instance


@pytest.fixture
def maintained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "development")


def test_where_no_environment_is_named_nothing_is_changed(archived: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    done = rrr("archive", "expire", "--keep-days", 0, "--apply")
    assert done.returncode == 1
    assert "`maintain` is not permitted" in done.stderr
    [would] = told("archive", "expire", "--keep-days", 0, "--only", "raw_trades")
    # That of the second day names what was the first day's file then.
    assert (would["proofs"], would["snapshots"]) == (1, 2)
    result = run(archived, "archive_expiry", {"keep_days": 0})
    assert result.success
    assert {name: metadata(result)[name] for name in ("is_dry_run", "proofs", "environment")} == {
        "is_dry_run": True, "proofs": 1, "environment": "none",
    }  # fmt: skip
    assert rows("select count(*) from retention_log where not is_dry_run") == [(0,)]


@pytest.mark.usefixtures("maintained")
def test_upkeep_runs_and_tells_its_counts(archived: dg.DagsterInstance) -> None:
    for name in JOBS:
        result = run(archived, name, {"every_days": 0} if name == "archive_scrub" else None)
        assert result.success, failures(result)
        assert all(event.passed for events in evaluations(result).values() for event in events)
        assert metadata(result)["is_dry_run"] is False
    assert metadata(result)["partitions"] == 2
    assert metadata(result)["bytes"] > 0
    # Within the week nothing is due.
    assert metadata(run(archived, "archive_scrub"))["partitions"] == 0


@pytest.mark.usefixtures("maintained")
def test_a_damaged_file_fails_the_blocking_check_and_is_mended(archived: dg.DagsterInstance) -> None:
    flip(first_file())
    damaged = first_file()
    result = run(archived, "archive_scrub", {"every_days": 0})
    [event] = evaluations(result)["archive_scrub", "integrity", None]
    assert not event.passed
    assert event.blocking
    said = str(event.metadata["as it was proven"].value)
    assert all(word in said for word in (str(damaged), "raw_trades of 2024-07-01", "its SHA-256 is", "mended: written anew"))
    assert first_file() != damaged
    assert metadata(run(archived, "archive_scrub", {"every_days": 0}))["findings"] == 0


@pytest.mark.usefixtures("maintained")
def test_the_command_line_shows_and_does_the_same(archived: dg.DagsterInstance) -> None:
    assert archived
    flip(first_file())
    done = rrr("archive", "scrub")
    assert done.returncode == 1
    assert "raw_trades" in done.stdout
    assert "1 findings" in done.stderr
    assert "1 not as proven: raw_trades of 2024-07-01" in done.stderr
    [found] = told("archive", "scrub", "--apply")
    assert found["mended"].startswith("written anew")
    assert told("archive", "scrub", "--budget-mb", 1) == []
    done = rrr("archive", "scrub")
    assert (done.returncode, "2 partitions of" in done.stderr) == (0, True)
    [gone] = told("archive", "expire", "--keep-days", 0, "--apply")
    assert gone["relation"] == "raw_trades"
    assert gone["proofs"] >= 1
    assert told("archive", "compact", "--apply") == []
    # What was written within the last hour may be somebody's work.
    [left] = [each for each in told("archive", "clean", "--safe-hours", 1, "--apply") if each["files"]] or [None]
    assert left is None
    done = rrr("archive", "compact", "--only", "trades")
    assert done.returncode == 2
    assert "is not archived" in " ".join(done.stderr.replace("│", " ").split())
    assert (Home.current().root / "archive" / "set-aside").is_dir()


def test_each_has_a_schedule_that_runs() -> None:
    assert {schedule.name for schedule in UPKEEP_SCHEDULES} == {asset.key.to_user_string() for asset in UPKEEP_ASSETS}
    assert {schedule.default_status for schedule in UPKEEP_SCHEDULES} == {dg.DefaultScheduleStatus.RUNNING}
