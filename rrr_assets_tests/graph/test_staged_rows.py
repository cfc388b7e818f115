"""Staged rows in runs: bars are made of them where they can be, and they are gone afterwards."""

from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from rrr_assets.warehouse.home import Home
from rrr_assets_tests.dagster_platform import days_from, execute, failures, land, materializations, rows, run_job, simulated

pytestmark = pytest.mark.slow

BTC, ETH = "binance:BTCUSDT", "binance:ETHUSDT"
COLUMNAR = {"bars_1m": {"engine": "columnar"}}


def staged() -> int:
    return len(list((Home.current().landing / "files").glob("*/staged")))


def landed(folder: Path, first: date, days: int = 1) -> list[date]:
    chosen = days_from(first, days)
    files = simulated(folder, chosen, 2000 * days, [BTC, ETH])
    land(folder, [file for file in files if file.format == "binance-vision-trades"])
    return chosen


def columnar(result: dg.ExecuteInProcessResult) -> list[int]:
    """How many windows of each day were made of staged rows."""
    assert result.success, failures(result)
    told = sorted((key, events[0].metadata) for (name, key), events in materializations(result).items() if name == "bars_1m")
    return [int(metadata["windows_columnar"].value) for _, metadata in told]


def bars() -> list[tuple]:
    return rows("select to_jsonb(b) - 'known_at' from bars_1m as b order by instrument, bar_start")


def test_a_run_makes_bars_of_what_it_took_in_and_leaves_nothing_staged(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    days = landed(tmp_path, date(2024, 3, 1), 3)
    assert staged() == 6
    assert columnar(run_job(instance, days, ops=COLUMNAR)) == [2, 2, 2]
    assert staged() == 0
    made = bars()
    execute("truncate bars_1m")
    again = run_job(instance, days, job="refresh_bars", ops=COLUMNAR, selection=["bars_1m"])
    assert columnar(again) == [0, 0, 0]
    assert bars() == made
    assert len(made) > 1000


def test_trades_alone_leave_staged_what_the_bars_are_made_of(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    days = landed(tmp_path, date(2024, 4, 1), 2)
    assert run_job(instance, days, selection=["raw_trades"]).success
    assert staged() == 4
    narrowed = {"bars_1m": {"engine": "columnar", "instruments": [ETH]}}
    run_job(instance, days[:1], ops=narrowed, selection=["bars_1m"], partition=True)
    # Of the other instrument's day bars are still to be made.
    assert staged() == 4
    assert columnar(run_job(instance, days[:1], ops=COLUMNAR, selection=["bars_1m"], partition=True)) == [2]
    assert staged() == 2
    assert columnar(run_job(instance, days[1:], ops={"bars_1m": {"engine": "sql"}}, selection=["bars_1m"], partition=True)) == [0]
    assert staged() == 0


def test_what_waits_for_bars_too_long_goes_with_the_next_run_of_trades(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    days = landed(tmp_path, date(2024, 5, 1))
    assert run_job(instance, days, selection=["raw_trades"], partition=True).success
    assert staged() == 2
    execute("update invalidation_days set last_logged_at = last_logged_at - interval '1 day'")
    assert run_job(instance, [date(2019, 1, 1)], selection=["raw_trades"], partition=True).success
    assert staged() == 0
    assert columnar(run_job(instance, days, ops=COLUMNAR, partition=True)) == [0]


def test_reading_again_stages_again_and_leaves_nothing_staged(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    days = landed(tmp_path, date(2024, 6, 1))
    assert columnar(run_job(instance, days, ops=COLUMNAR, partition=True)) == [2]
    assert staged() == 0
    made = bars()
    again = run_job(instance, days, ops={**COLUMNAR, "raw_trades": {"read_again": True}}, partition=True)
    assert columnar(again) == [0]
    assert materializations(again)["raw_trades", days[0].isoformat()][0].metadata["duplicates"].value > 1000
    assert (staged(), bars()) == (0, made)
