"""`rrr ingest` and `rrr run` as a user starts them: a process of their own, its exit, its words, and what Dagster then knows."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from rrr_assets import read
from rrr_assets.warehouse.home import Home
from rrr_assets_tests import warm
from rrr_assets_tests.dagster_platform import FED_BY_TRADES, days_from, land, rows, simulated

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DAYS = days_from(date(2024, 7, 1), 6)
KEYS = [day.isoformat() for day in DAYS]
BTC = "binance:BTCUSDT"


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "rrr_assets.cli", *words]


def rrr(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, check=False, cwd=ROOT, timeout=300)


def ingest(path: Path, format_name: str = "binance-vision-trades") -> tuple[int, dict[str, Any], str]:
    done = warm.rrr("ingest", str(path), "--format", format_name, "--json")
    assert len(done.stdout.splitlines()) == 1, done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def test_files_of_two_ranges_are_two_runs_and_a_refused_one_costs_no_other(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    simulated(tmp_path, [DAYS[0], DAYS[1], DAYS[3]], 900, defects=("duplicate", "bad-rows"))
    folder = tmp_path / "binance-vision-trades"
    (folder / "BTCUSDT-trades-2024-07-03.zip").write_bytes(b"PK\x03\x04 broken")
    code, told, errors = ingest(folder)
    assert code == 1
    assert told["days"] == [KEYS[0], KEYS[1], KEYS[3]]
    assert told["instruments"] == [BTC]
    assert told["rows_stored"] == 900
    assert told["duplicates"] > 0
    assert told["quarantined"] > 0
    assert told["rows_read"] == told["rows_stored"] + told["rows_revised"] + told["duplicates"] + told["quarantined"]
    assert len(told["runs"]) == 2
    assert len(told["refused"]) == 1
    assert not told["failures"]
    assert errors.splitlines() == [f"rrr: {told['refused'][0]}"]
    assert "BTCUSDT-trades-2024-07-03.zip" in errors
    assert rows("select count(*) from raw_trades") == [(900,)]
    for name in FED_BY_TRADES:
        assert instance.get_materialized_partitions(dg.AssetKey(name)) == {KEYS[0], KEYS[1], KEYS[3]}
    for run_id in told["runs"]:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.SUCCESS

    (folder / "BTCUSDT-trades-2024-07-03.zip").unlink()
    code, again, errors = ingest(folder)
    assert (code, errors) == (0, "")
    assert (again["rows_stored"], again["rows_revised"]) == (0, 0)
    assert again["rows_read"] == told["rows_read"]
    assert again["duplicates"] == told["rows_stored"] + told["duplicates"]
    assert again["quarantined"] == told["quarantined"]
    assert rows("select count(*) from raw_trades") == [(900,)]


def test_bars_of_the_command_line_are_those_of_the_read_api() -> None:
    start = datetime(2024, 7, 1, tzinfo=UTC)
    done = warm.rrr("bars", BTC, "--start", KEYS[0], "--end", KEYS[1], "--interval", "1h", "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    found = read.bars(BTC, "1h", start, start + timedelta(days=1))
    assert len(printed) == len(found) > 10
    for row, bar in zip(printed, found.to_pylist(), strict=True):
        assert set(row) == set(bar)
        for name, value in bar.items():
            if isinstance(value, datetime):
                assert datetime.fromisoformat(row[name]) == value
            elif isinstance(value, bool | int | str) or value is None:
                assert row[name] == value, name
            else:
                assert row[name] == (format(value.normalize(), "f") if value else "0"), name


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("nowhere", "--format", "binance-vision-trades"), 1, "there is no such file"),
        (("{empty}", "--format", "binance-vision-trades"), 1, "there is no file in"),
        (("{file}", "--format", "no-such-format"), 1, "no-such-format"),
        (("{file}", "--format", "ccapi", "--instrument", "nowhere:X"), 2, "nowhere"),
        (("{file}", "--format", "ccapi", "--day", "yesterday"), 2, "yesterday"),
    ],
)
def test_what_cannot_be_taken_in_is_said_in_a_line(empty_home: Home, tmp_path: Path, words: tuple[str, ...], code: int, says: str) -> None:
    assert empty_home.root.is_dir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.csv").write_text("1,2,3\n")
    places = {"{empty}": str(tmp_path / "empty"), "{file}": str(tmp_path / "file.csv")}
    done = warm.rrr("ingest", *(places.get(word, word) for word in words))
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    if code == 1:
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.crash
def test_a_run_that_was_killed_is_failed_by_the_next_command(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    days = days_from(date(2024, 8, 1), 12)
    simulated(tmp_path, days, 24_000)
    folder = tmp_path / "binance-vision-trades"
    killed = subprocess.Popen(
        command("ingest", str(folder), "--format", "binance-vision-trades"), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for_the_first_bars(instance, days)
    finally:
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
    (left,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    assert left.tags["rrr/kind"] == "command line"
    kept = {name: instance.get_materialized_partitions(dg.AssetKey(name)) & {day.isoformat() for day in days} for name in FED_BY_TRADES}
    assert kept["raw_trades"]
    assert len(kept["bar_conformance"]) < len(days)

    code, told, errors = ingest(folder)
    assert (code, told["failures"]) == (0, []), errors
    ended = instance.get_run_by_id(left.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE
    assert told["rows_read"] == 24_000
    assert rows("select count(*) from raw_trades where event_time >= '2024-08-01'") == [(24_000,)]
    for name in FED_BY_TRADES:
        assert instance.get_materialized_partitions(dg.AssetKey(name)) >= {day.isoformat() for day in days}
    assert instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])) == []
    assert list(Home.current().logs.glob("run-*.lock")) == []


def _wait_for_the_first_bars(instance: dg.DagsterInstance, days: list[date]) -> None:
    for _ in range(600):
        if days[0].isoformat() in instance.get_materialized_partitions(dg.AssetKey("bars_1m")):
            return
        time.sleep(0.1)
    pytest.fail("the run did not come to its first bars within a minute")


def test_the_main_job_is_good(instance: dg.DagsterInstance) -> None:
    done = rrr("run", "--trades", "20000", "--days", "2", "--instruments", "3", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["is_good"] is True
    assert told["rows_stored"] > 20_000  # trades and venue bars
    assert told["bars"]["1m"] > told["bars"]["5m"] > told["bars"]["1h"] > told["bars"]["1d"] == 6
    assert {counts["unexplained"] for counts in told["conformance"].values()} == {0}
    assert told["conformance"]["1m"]["equal"] > 1000
    assert told["stations"]["bars_1m"]["rows"] == told["bars"]["1m"]
    assert set(told["stations"]) == {"simulator", "verify and stage", *FED_BY_TRADES, "tick_minutes", "features_1m", "feature_drift"}
    # Features and what they are made from have both checks, and drift has three of its own.
    assert told["checks_passed"] + len(told["checks_failed"]) == 2 * len(FED_BY_TRADES) + 2 * 2 + 3
    assert told["failures"] == []
    assert told["stations"]["features_1m"]["rows"] == sum(each["minutes"] for each in told["features"]["instruments"]) > 5000
    assert len(told["features"]["instruments"]) == 3
    for each in told["features"]["instruments"]:
        # Nothing was quoted, and the first day has none before it; of a market that is made alike on both days the second has an index.
        assert each["minutes"] * each["features"] / 2 < each["values"] < each["minutes"] * each["features"]
        assert each["psi"] is not None
    assert not any(check.partition(":")[2].startswith(" integrity") for check in told["checks_failed"])
    assert len(told["defects"]) >= 4
    assert Path(told["chart"]).read_bytes().startswith(b"\x89PNG")
    assert instance.get_run_by_id(told["runs"][0]) is not None


def test_another_command_beside_a_run_leaves_it_alone(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Two ingests of different days at once: both end well, and neither ends the other's run."""
    written = [file for file in simulated(tmp_path, DAYS[4:6], 600) if file.format == "binance-vision-trades"]
    both = [
        subprocess.Popen(
            command("ingest", str(tmp_path / file.path), "--format", file.format, "--json"),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for file in written
    ]
    stored = 0
    for process in both:
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        stored += json.loads(out)["rows_stored"]
    assert (len(both), stored) == (2, 600)
    assert {KEYS[4], KEYS[5]} <= instance.get_materialized_partitions(dg.AssetKey("bar_conformance"))


def test_what_waited_before_is_taken_in_too(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """A file that was landed and never run is taken in with its day's next run."""
    assert instance
    day = date(2024, 9, 1)
    trades = [file for file in simulated(tmp_path, [day], 300, [BTC, "binance:ETHUSDT"]) if file.format == "binance-vision-trades"]
    waiting, other = sorted(trades, key=lambda file: file.instrument)
    land(tmp_path, [waiting])
    code, told, errors = ingest(tmp_path / other.path)
    assert code == 0, errors
    assert told["instruments"] == ["binance:ETHUSDT"]
    assert rows("select count(*) from raw_trades where event_time >= %s", day) == [(300,)]
    assert rows("select count(*) from landing_days where is_pending and day = %s", day) == [(0,)]
