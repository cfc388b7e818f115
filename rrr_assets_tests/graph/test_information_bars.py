"""Bars by what was traded in a real instance: what the main job makes, what the sensor asks for, and the commands for rules."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest

from rrr_assets import read
from rrr_assets.calc.information_bars import Rule, information_bars
from rrr_assets.calc.order import Trade
from rrr_assets.contracts.information_bars import FOLLOWED
from rrr_assets.definitions import defs
from rrr_assets.resources.partitions import RANGE_END, RANGE_START
from rrr_assets.resources.requests import changed_only
from rrr_assets.resources.warehouse import Warehouse
from rrr_assets_tests.dagster_platform import (
    days_from,
    evaluations,
    execute,
    failures,
    land,
    materializations,
    rows,
    run_job,
    simulated,
)
from rrr_assets_tests.warm import rrr

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DAYS = days_from(date(2024, 8, 1), 3)
KEYS = [day.isoformat() for day in DAYS]
INFORMATION_BARS = tuple(FOLLOWED)
BTC, ETH = "binance:BTCUSDT", "binance:ETHUSDT"
CHANGED_ONLY = {name: {"whole_days": False} for name in INFORMATION_BARS}


def settle() -> None:
    """Let a minute pass for the log: the sensor leaves days alone that changed just now."""
    execute("update invalidation_days set last_logged_at = last_logged_at - interval '1 minute'")


@pytest.fixture(scope="module")
def whole(instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory) -> dg.ExecuteInProcessResult:
    """Three days of two instruments by the main job, under the rules of a fresh database."""
    folder = tmp_path_factory.mktemp("simulated")
    land(folder, simulated(folder, DAYS, 30_000, [BTC, ETH]))
    return run_job(instance, DAYS)


def expected(instrument: str, day: date, rule: str) -> list[tuple[int, int, int, int]]:
    tape = rows(
        "select event_time, sequence, price, size, side from raw_trades where instrument = %s and event_time::date = %s", instrument, day
    )
    return [
        (bar.bar_index, bar.sums.first_sequence, bar.sums.last_sequence, bar.sums.trade_count)
        for bar in information_bars([Trade(*trade) for trade in tape], Rule.parse(rule))
    ]


def stored(instrument: str, day: date, kind: str) -> dict[str, list[tuple[int, int, int, int]]]:
    found: dict[str, list[tuple[int, int, int, int]]] = {}
    for rule, *bar in rows(
        f"select rule, bar_index, first_sequence, last_sequence, trade_count from bars_{kind}"  # noqa: S608  # names of ours
        " where instrument = %s and day = %s order by rule, bar_index",
        instrument,
        day,
    ):
        found.setdefault(rule, []).append(tuple(bar))
    return found


def test_the_main_job_makes_them_by_the_rules_that_hold(instance: dg.DagsterInstance, whole: dg.ExecuteInProcessResult) -> None:
    assert whole.success, failures(whole)
    for name in INFORMATION_BARS:
        assert instance.get_materialized_partitions(dg.AssetKey(name)) == set(KEYS)
    for instrument in (BTC, ETH):
        for day in DAYS:
            assert stored(instrument, day, "tick") == {"tick-1000": expected(instrument, day, "tick-1000")}
            assert stored(instrument, day, "dollar") == {"dollar-1000000": expected(instrument, day, "dollar-1000000")}
            assert stored(instrument, day, "volume") == {}
    told = materializations(whole)
    for name in INFORMATION_BARS:
        for day in DAYS:
            count = rows(f"select count(*) from {name} where day = %s", day)[0][0]  # noqa: S608  # names of ours
            assert {event.metadata["dagster/partition_row_count"].value for event in told[name, day.isoformat()]} == {count}
    for (name, check, key), found in evaluations(whole).items():
        if name in INFORMATION_BARS:
            assert [each.passed for each in found] == [True], (name, check, key, found[0].metadata)


def test_a_bar_that_was_removed_by_hand_fails_the_check_and_is_made_again(
    instance: dg.DagsterInstance, whole: dg.ExecuteInProcessResult
) -> None:
    assert whole.success
    day = DAYS[1]
    execute("delete from bars_tick where instrument = %s and day = %s and bar_index = 0", BTC, day)
    looked = run_job(instance, [day], job="refresh_bars", selection=["bars_tick"], ops={"bars_tick": {"whole_days": False}}, partition=True)
    assert not looked.success
    assert str(
        evaluations(looked)["bars_tick", "integrity", day.isoformat()][0].metadata["sums equal the trades that count"].value
    ).endswith(f"of 2: {BTC} tick-1000")
    mended = run_job(instance, [day], job="refresh_bars", selection=["bars_tick"], partition=True)
    assert mended.success, failures(mended)
    assert stored(BTC, day, "tick") == {"tick-1000": expected(BTC, day, "tick-1000")}


def test_other_rules_are_asked_for_by_the_sensor_and_made(instance: dg.DagsterInstance, whole: dg.ExecuteInProcessResult) -> None:
    assert whole.success
    done = rrr("bar-rules", "set", "binance:btc-usdt", "volume-2.50", "tick-77", "tick-500", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "scope": BTC, "rules": ["volume-2.5", "tick-77", "tick-500"], "kinds": ["tick", "volume"], "days": KEYS,
    }  # fmt: skip
    again = rrr("bar-rules", "set", BTC, "volume-2.5", "tick-500", "tick-77")
    assert again.stdout == f"{BTC}: volume-2.5, tick-500, tick-77. No day is cut otherwise\n"
    settle()
    context = dg.build_sensor_context(instance, repository_def=defs.get_repository_def(), resources={"warehouse": Warehouse()})
    (request,) = defs.resolve_sensor_def("invalidation_log").evaluate_tick(context).run_requests or ()
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == (KEYS[0], KEYS[-1])
    assert request.run_config == changed_only()
    assert set(CHANGED_ONLY) < set(request.run_config["ops"])
    result = run_job(instance, DAYS, job="refresh_bars", ops=CHANGED_ONLY)
    assert result.success, failures(result)
    for day in DAYS:
        assert stored(BTC, day, "tick") == {rule: expected(BTC, day, rule) for rule in ("tick-500", "tick-77")}
        assert stored(BTC, day, "volume") == {"volume-2.5": expected(BTC, day, "volume-2.5")}
        assert stored(ETH, day, "tick") == {"tick-1000": expected(ETH, day, "tick-1000")}
    told = materializations(result)
    assert {told[name, KEYS[0]][0].metadata["instruments_refreshed"].value for name in ("bars_tick", "bars_volume")} == {1}
    assert told["bars_dollar", KEYS[0]][0].metadata["instruments_refreshed"].value == 0
    settle()
    assert not defs.resolve_sensor_def("invalidation_log").evaluate_tick(context).run_requests


def test_they_are_read_as_stored(whole: dg.ExecuteInProcessResult) -> None:
    assert whole.success
    start = datetime(2024, 8, 1, tzinfo=UTC)
    found = read.information_bars(ETH, "dollar-1000000.0", start, start + timedelta(days=3))
    assert len(found) == rows("select count(*) from bars_dollar where instrument = %s", ETH)[0][0] > 0
    assert found["bar_start"].to_pylist() == sorted(found["bar_start"].to_pylist())
    assert set(found["threshold"].to_pylist()) == {Decimal(1_000_000)}
    done = rrr("bars", ETH, "--rule", "dollar-1000000", "--start", KEYS[0], "--end", "2024-08-04", "--format", "csv")
    assert done.returncode == 0, done.stderr
    printed = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [int(row["last_sequence"]) for row in printed] == found["last_sequence"].to_pylist()
    part = read.information_bars(ETH, "dollar-1000000", found["bar_start"][1].as_py(), found["bar_start"][3].as_py())
    assert part.equals(found.slice(1, 2))


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("dollar-5", f"there are no bars of {ETH} by dollar-5. Those that hold are "),
        ("euro-5", "'euro-5' is no rule: "),
        ("tick-0", "above 0"),
    ],
)
def test_bars_by_a_rule_that_does_not_hold_are_refused(whole: dg.ExecuteInProcessResult, rule: str, reason: str) -> None:
    assert whole.success
    done = rrr("bars", ETH, "--rule", rule, "--start", KEYS[0], "--end", KEYS[1])
    assert (done.returncode, done.stdout) == (1, "")
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_rules_are_listed_and_withdrawn(whole: dg.ExecuteInProcessResult) -> None:
    assert whole.success
    assert rrr("bar-rules", "set", "kraken:*", "dollar-5", "dollar-10").returncode == 0
    done = rrr("bar-rules", "unset", "kraken:*", "dollar")
    assert done.stdout == "kraken:*: no rules of its own of dollar. No day is cut otherwise\n"
    holding = [(row["scope"], row["rule"]) for row in csv.DictReader(io.StringIO(rrr("bar-rules", "--format", "csv").stdout))]
    assert ("*", "tick-1000") in holding
    assert not [rule for scope, rule in holding if scope == "kraken:*"]
    every = json.loads(rrr("bar-rules", "list", "--all", "--json").stdout)
    assert [row["rule"] for row in every if row["scope"] == "kraken:*" and row["withdrawn_at"]] == ["dollar-5", "dollar-10"]
    assert "tick-1000" in rrr("bar-rules").stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("set", "binance:NOSUCHUSDT", "tick-5"), "is not known here"),
        (("set", "nowhere:*", "tick-5"), "is no scope"),
        (("set", "*", "tick-2.5"), "whole number"),
        (("set", "*"), "RULE"),
        (("unset", "*", "euro"), "is no kind of bars"),
    ],
)
def test_what_is_no_rule_or_scope_is_refused(whole: dg.ExecuteInProcessResult, words: tuple[str, ...], reason: str) -> None:
    assert whole.success
    before = rows("select count(*) from bar_rules")
    done = rrr("bar-rules", *words)
    assert done.returncode in {1, 2}
    assert reason in done.stderr
    assert rows("select count(*) from bar_rules") == before
