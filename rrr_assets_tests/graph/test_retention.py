"""Retention through the graph and on the command line: told, done, refused, undone by a late file, and nothing without permission."""

import json
import os
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from rrr_assets.definitions import defs
from rrr_assets_tests import warm
from rrr_assets_tests.dagster_platform import rows, simulated
from rrr_assets_tests.loading import Told, midnight, vision

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DAYS = [date(2024, 7, 1), date(2024, 7, 2)]
WINDOW = ("--start", "2024-07-01", "--end", "2024-07-03")
COUNT = "select count(*) from raw_trades where event_time < '2024-07-03'"


def rrr(*words: object, environment: str | None = None) -> subprocess.CompletedProcess[str]:
    return warm.rrr(*words, environment={**os.environ, **({"RRR_ENVIRONMENT": environment} if environment else {})})


def told(*words: object, environment: str | None = None) -> Any:
    done = rrr(*words, "--json", environment=environment)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def archived(instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of trades and of the venue's bars, taken in, and archived."""
    assert instance
    made = tmp_path_factory.mktemp("made")
    simulated(made, DAYS, 1200)
    for form in ("binance-vision-trades", "binance-vision-klines"):
        told("ingest", made / form, "--format", form)
    told("archive", "make", *WINDOW)
    return made


def run(instance: dg.DagsterInstance, job: str, **config: object) -> dg.ExecuteInProcessResult:
    asset = {"retire_partitions": "retention", "drill_restore": "restore_drill"}[job]
    return defs.resolve_job_def(job).execute_in_process(instance=instance, run_config={"ops": {asset: {"config": config}}})


def outcome(result: dg.ExecuteInProcessResult, asset: str) -> tuple[dict[str, Any], bool]:
    [materialized] = result.asset_materializations_for_node(asset)
    [evaluation] = result.get_asset_check_evaluations()
    return {name: value.value for name, value in materialized.metadata.items()}, evaluation.passed


def test_it_is_told_then_done_then_undone(instance: dg.DagsterInstance, archived: Path, tmp_path: Path) -> None:
    assert archived.is_dir()
    # Nothing is done where nothing says which environment this is.
    metadata, passed = outcome(run(instance, "retire_partitions", today="2024-08-15"), "retention")
    assert (metadata["moved"], metadata["only_told"], metadata["refused"], passed) == (0, 2, 0, False)
    assert rows(COUNT) == [(1200,)]
    plan = told("retention", "--today", "2024-08-15")
    assert [(each["asset"], each["partition"], each["move"], each["against"]) for each in plan] == [
        ("archived_trades", "2024-07-01", "drop", None),
        ("archived_trades", "2024-07-02", "drop", None),
    ]
    refused = rrr("retention", "--today", "2024-08-15", "--apply")
    assert refused.returncode == 1
    assert "RRR_ENVIRONMENT" in refused.stderr
    assert rows(COUNT) == [(1200,)]
    # A hold stands against it.
    told("hold", "place", "case-1", "--reason", "a letter came", "--table", "raw_trades", "--start", "2024-07-02", "--end", "2024-07-03")
    metadata, passed = _permitted_run(instance)
    assert (metadata["moved"], metadata["refused"], passed) == (1, 1, False)
    assert "case-1" in metadata["not_moved"]
    assert [day for (day,) in rows("select distinct event_time::date from raw_trades")] == [DAYS[1]]
    assert [each["name"] for each in told("hold", "list")] == ["case-1"]
    told("hold", "release", "case-1", "--reason", "closed", environment="production")
    assert told("hold", "list") == []
    assert "not permitted" in rrr("hold", "release", "x", "--reason", "y").stderr
    [done] = told("retention", "--today", "2024-08-15", "--apply", environment="staging")
    assert (done["state"], done["partition"]) == ("done", "2024-07-02")
    assert rows(COUNT) == [(0,)]
    assert told("retention", "--today", "2024-08-15") == []
    # A late file brings its day back, with its bars, and the day is archived and dropped again.
    late = vision(tmp_path, [Told(7, midnight(DAYS[0]) + 1, "123.5")], DAYS[0], "-late")
    told("ingest", late, "--format", "binance-vision-trades")
    before = rows(COUNT)[0][0]
    assert before > 1
    assert rows("select low::text from bars_1d where instrument = 'binance:BTCUSDT' and bar_start = '2024-07-01T00:00Z'") == [("123.5",)]
    [again] = told("retention", "--today", "2024-08-15")
    assert "the proof of raw_trades is stale" in again["against"]
    told("archive", "make", *WINDOW)
    metadata, passed = _permitted_run(instance)
    assert (metadata["moved"], metadata["rows"], passed) == (1, before, True)
    assert rows(COUNT) == [(0,)]
    # It comes back to be read, and beside.
    came = told("restore", "--table", "raw_trades", "--start", "2024-07-01", "--end", "2024-07-02")
    assert came[0]["rows"] == before
    assert rows(COUNT) == [(before,)]
    assert told("restore", "--start", "2024-07-01", "--end", "2024-07-02")[0]["is_new"] is False
    drops = [each for each in told("retention", "log") if each["action"] == "drop" and each["relation"] == "raw_trades"]
    first = min(each["proof_id"] for each in drops if each["partition_start"] == "2024-07-01")
    [beside] = told("restore", *WINDOW[:2], "--end", "2024-07-02", "--proof", first, "--into", "as_it_was")
    assert beside["rows"] == before - 1
    assert rows("select to_regclass('restored.as_it_was') is not null") == [(True,)]
    actions = [each["action"] for each in told("retention", "log")]
    assert {"drop", "restore", "refuse", "hold", "release"} <= set(actions)
    states = {(each["relation"], each["partition_start"]): each["tier"] for each in told("retention", "tiers")}
    assert states["raw_trades", "2024-07-01"] == "warm"
    assert states["raw_trades", "2024-07-02"] == "cold"


def _permitted_run(instance: dg.DagsterInstance) -> tuple[dict[str, Any], bool]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RRR_ENVIRONMENT", "development")
        return outcome(run(instance, "retire_partitions", today="2024-08-15"), "retention")


def test_a_restore_is_drilled(instance: dg.DagsterInstance, archived: Path) -> None:
    assert archived.is_dir()
    metadata, passed = outcome(run(instance, "drill_restore", relation="raw_trades"), "restore_drill")
    assert (metadata["partitions"], metadata["relation"], passed) == (1, "raw_trades", True)
    assert metadata["rows"] > 0


def test_what_cannot_be_is_said_in_a_line(archived: Path) -> None:
    assert archived.is_dir()
    for words, said in (
        (("restore", "--table", "bar_rules", *WINDOW), "bar_rules is no archived table"),
        (("restore", *WINDOW, "--as-of", "2024-01-01"), "Name it with --into"),
        (("hold", "place", "x", "--reason", "y", "--table", "coverage"), "is no archived table"),
        (("hold", "place", "x", "--reason", " "), "needs a name and a reason"),
        (("retention", "--only", "bars_1m"), "is no asset of the archive"),
    ):
        done = rrr(*words)
        assert done.returncode != 0
        assert said in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
