"""The main job in a real instance: what it stores, what it tells Dagster, what it keeps when it fails."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from rrr_assets.calc.outcomes import DayRefreshed, NoSpaceLeft
from rrr_assets.contracts.bars import Engine
from rrr_assets.contracts.catalogue import TABLES
from rrr_assets.contracts.rules import SENTENCES, Kind, rules_of
from rrr_assets.resources.warehouse import Warehouse
from rrr_assets_tests.dagster_platform import (
    ASSETS,
    BARS,
    CHECKS,
    FED_BY_TRADES,
    INFORMATION_BARS,
    TICKS,
    days_from,
    evaluations,
    execute,
    failures,
    land,
    materializations,
    repeat_a_trade,
    rows,
    run_job,
    simulated,
)

pytestmark = pytest.mark.slow

DAYS = days_from(date(2024, 3, 1), 5)
KEYS = [day.isoformat() for day in DAYS]
TRADES = 10_000
BTC, ETH = "binance:BTCUSDT", "binance:ETHUSDT"
FAILING = ("raw_trades", "bars_1m", "bars_5m")
EACH_ONCE = {
    "each row once",
    "available no earlier than its time",
    "one identity space per instrument",
    "rows equal the coverage ledger",
}

RULES = {
    ("raw_trades", "integrity"): {
        "each trade once",
        "price and size positive",
        "available no earlier than traded",
        "one identity space per instrument",
        "rows equal the coverage ledger",
    },
    ("raw_trades", "quality"): {
        "time never steps back along the ids",
        "no id missing between the first and the last",
        "no row waits in quarantine",
        "every expected instrument is there",
    },
    **{(name, "integrity"): set(EACH_ONCE) for name in TICKS[1:]},
    ("raw_agg_trades", "quality"): {
        "time never steps back along the ids",
        "no id missing between the first and the last",
        "no row waits in quarantine",
        "every expected instrument is there",
    },
    ("raw_quotes", "quality"): {"the bid is below the ask", "no row waits in quarantine"},
    ("raw_depth", "quality"): {"changes follow each other without a jump", "no row waits in quarantine"},
    ("venue_bars", "integrity"): {
        "high and low bound open and close",
        "price positive, volume not negative",
        "taker volume within volume",
    },
    ("venue_bars", "quality"): {"no row waits in quarantine", "bars are closed"},
    ("bar_conformance", "integrity"): {"every venue bar of our intervals has a verdict"},
    ("bar_conformance", "quality"): {"no bar is unexplained"},
    **{
        (name, "integrity"): {
            "high and low bound open and close",
            "bars start on their grid",
            "vwap is quote volume over volume, within high and low",
            "taker volume within volume",
            "sums equal what they are made from",
        }
        for name in BARS
    },
    **{
        (name, "integrity"): {
            "high and low bound open and close",
            "vwap is quote volume over volume, within high and low",
            "taker volume within volume",
            "sums equal the trades that count",
            "bars follow one another",
            "bars are numbered by what was traded before them",
            "a full bar ends with the trade that reaches its threshold",
        }
        for name in INFORMATION_BARS
    },
    **{(name, "quality"): {"bars are complete"} for name in (*BARS, *INFORMATION_BARS)},
}
# What every blocking check tells of the contract too, but for what the queries of ticks say in their own words.
IN_THEIR_WORDS = {Kind.IDENTITY, Kind.IN_ORDER, Kind.FINITE}
for (name, check), told_by_queries in RULES.items():
    if check == "integrity":
        kinds = {rule.kind for rule in rules_of(TABLES[name])} - (IN_THEIR_WORDS if name in TICKS else set())
        told_by_queries |= {SENTENCES[kind] for kind in kinds}


def _state() -> list[tuple[str, int, str]]:
    """Every table's rows as (name, count, hash), whatever the order of storing: what a second run may not change."""
    return [
        (name, *rows(f"select count(*), coalesce(md5(string_agg(t::text, '|' order by t::text)), '') from {name} as t")[0])  # noqa: S608  # names of ours
        for name in FED_BY_TRADES
    ]


def _stored(day: date) -> int:
    return int(rows("select count(*) from raw_trades where event_time >= %s and event_time < %s::date + 1", day, day)[0][0])


@pytest.fixture(scope="module")
def files(instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five days of two instruments, landed."""
    assert instance
    folder = tmp_path_factory.mktemp("simulated")
    land(folder, simulated(folder, DAYS, TRADES, [BTC, ETH]))
    return folder


@pytest.fixture(scope="module")
def whole(instance: dg.DagsterInstance, files: Path) -> dg.ExecuteInProcessResult:
    """One run of the main job over all five days."""
    assert files
    return run_job(instance, DAYS)


def test_one_run_materialises_every_day_of_every_asset(instance: dg.DagsterInstance, whole: dg.ExecuteInProcessResult) -> None:
    assert whole.success
    for name in ASSETS:
        assert instance.get_materialized_partitions(dg.AssetKey(name)) == set(KEYS)


def test_each_day_is_told_with_its_rows(whole: dg.ExecuteInProcessResult) -> None:
    told = materializations(whole)
    assert set(told) == {(name, key) for name in ASSETS for key in KEYS}
    for day in DAYS:
        for name in ASSETS:
            # Both events of a day, ours as it committed and Dagster's at the end, say the same.
            counts = {event.metadata["dagster/partition_row_count"].value for event in told[name, day.isoformat()]}
            column = "event_time" if name in TICKS else "bar_start"
            statement = f"select count(*) from {name} where {column} >= %s and {column} < %s::date + 1"  # noqa: S608  # names of ours
            assert counts == {rows(statement, day, day)[0][0]}, (name, day)
    first = told["raw_trades", KEYS[0]][0].metadata
    assert first["rows_read"].value == first["rows_stored"].value == _stored(DAYS[0]) > 0
    assert first["instruments"].value == 2
    assert sum(told["raw_trades", key][0].metadata["rows_stored"].value for key in KEYS) == TRADES


def test_a_row_count_and_a_picture_are_what_the_ui_shows_last(instance: dg.DagsterInstance, whole: dg.ExecuteInProcessResult) -> None:
    assert whole.success
    for name in BARS:
        latest = instance.get_latest_materialization_event(dg.AssetKey(name))
        assert latest is not None
        metadata = latest.asset_materialization.metadata
        assert metadata["dagster/partition_row_count"].value > 0
        shown = metadata["candles"].value
        assert re.match(r"!\[binance:BTCUSDT \w+ candles of 2024-03-05\]\(data:image/png;base64,iVBOR[A-Za-z0-9+/=]+\)$", shown)
        assert len(shown) < 40_000


def test_each_day_has_two_check_results_that_name_every_rule(whole: dg.ExecuteInProcessResult) -> None:
    told = evaluations(whole)
    assert set(told) == {(name, check, key) for name in ASSETS for check in CHECKS for key in (*KEYS, None)}
    for (name, check, key), found in told.items():
        assert len(found) == 1, (name, check, key)
        assert set(found[0].metadata) - {"days"} == RULES[name, check]
        assert found[0].blocking == (check == "integrity")
        assert found[0].passed, (name, check, key, found[0].metadata)
        assert found[0].severity == (dg.AssetCheckSeverity.ERROR if check == "integrity" else dg.AssetCheckSeverity.WARN)
    assert told["raw_trades", "integrity", None][0].metadata["days"].value == 5
    assert told["raw_trades", "integrity", None][0].metadata["each trade once"].value == f"kept by all {TRADES}"


def test_every_verdict_is_equal_or_explained(whole: dg.ExecuteInProcessResult) -> None:
    assert whole.success
    assert rows("select count(*) from bar_conformance where status not in ('equal', 'explained')") == [(0,)]
    assert rows("select count(*) from bar_conformance where status = 'equal'")[0][0] > 1000


def test_running_it_again_changes_nothing(instance: dg.DagsterInstance, whole: dg.ExecuteInProcessResult) -> None:
    assert whole.success
    before = _state()
    for days in (DAYS[1:3], DAYS[1:2]):
        again = run_job(instance, days)
        assert again.success
        told = materializations(again)
        assert {told[name, day.isoformat()][0].metadata["changed"].value for name in BARS for day in days} == {0}
        assert "rows_read" not in told["raw_trades", KEYS[1]][0].metadata  # nothing waits
        assert _state() == before


def test_read_again_reads_what_is_known(instance: dg.DagsterInstance, whole: dg.ExecuteInProcessResult) -> None:
    assert whole.success
    before = _state()
    again = run_job(instance, DAYS[:1], ops={"raw_trades": {"read_again": True}}, selection=["raw_trades"], partition=True)
    assert again.success
    told = materializations(again)["raw_trades", KEYS[0]]
    metadata = told[0].metadata
    assert metadata["rows_read"].value == metadata["duplicates"].value == _stored(DAYS[0])
    assert metadata["rows_stored"].value == metadata["quarantined"].value == 0
    assert metadata["files"].value == 2
    assert _state() == before


def test_a_single_partition_has_two_check_results_of_its_own(instance: dg.DagsterInstance, whole: dg.ExecuteInProcessResult) -> None:
    assert whole.success
    one = run_job(instance, [DAYS[2]], partition=True)
    assert one.success
    assert {key for _, key in materializations(one)} == {KEYS[2]}
    of_day = {place: found for place, found in evaluations(one).items() if place[2] == KEYS[2]}
    assert {place[:2]: len(found) for place, found in of_day.items()} == {(name, check): 1 for name in ASSETS for check in CHECKS}


def test_a_day_without_files_is_empty_and_not_missing(instance: dg.DagsterInstance, whole: dg.ExecuteInProcessResult) -> None:
    assert whole.success
    bare = date(2019, 6, 1)
    result = run_job(instance, [bare], partition=True)
    assert result.success, failures(result)
    told = materializations(result)
    assert {events[0].metadata["dagster/partition_row_count"].value for events in told.values()} == {0}
    assert "candles" not in told["bars_1d", bare.isoformat()][0].metadata
    assert all(found[0].passed for place, found in evaluations(result).items() if place[1] == "integrity")


def test_tomorrow_and_the_first_day_are_partitions(instance: dg.DagsterInstance) -> None:
    result = run_job(instance, [date(2009, 1, 1)], partition=True)
    assert result.success, failures(result)


class FailsOnTheThirdDay(Warehouse):
    """A warehouse whose third day of 5-minute bars cannot be made."""

    def refresh_bars(
        self, interval: str, days: Sequence[date], *, whole_days: bool, instruments: Sequence[str] | None, engine: Engine = Engine.auto
    ) -> Iterator[DayRefreshed]:
        failure = _FAILURES.pop() if interval == "5m" and _FAILURES else None
        for number, done in enumerate(super().refresh_bars(interval, days, whole_days=whole_days, instruments=instruments, engine=engine)):
            if number == 2 and failure is not None:
                raise failure
            yield done


_FAILURES: list[Exception] = []


@pytest.fixture
def fresh(instance: dg.DagsterInstance, tmp_path: Path) -> Iterator[Callable[[date, int], list[date]]]:
    """Lands days of one instrument that no other test looks at."""
    assert instance
    _FAILURES.clear()

    def land_days(first: date, count: int) -> list[date]:
        days = days_from(first, count)
        land(tmp_path, simulated(tmp_path, days, 400 * count))
        return days

    yield land_days
    _FAILURES.clear()


@pytest.mark.parametrize(
    ("failure", "first"),
    [
        (NoSpaceLeft("the database's disk is full"), date(2023, 1, 1)),
        (OSError(5, "input/output error"), date(2023, 2, 1)),
    ],
)
def test_a_failed_run_keeps_the_days_it_finished(
    instance: dg.DagsterInstance, fresh: Callable[[date, int], list[date]], failure: Exception, first: date
) -> None:
    days = fresh(first, 4)
    _FAILURES.append(failure)
    result = run_job(instance, days, overrides={"warehouse": FailsOnTheThirdDay()})
    assert not result.success
    keys = [day.isoformat() for day in days]
    mine = {name: instance.get_materialized_partitions(dg.AssetKey(name)) & set(keys) for name in ASSETS}
    assert mine["bars_1m"] == set(keys)
    assert mine["bars_5m"] == set(keys[:2])
    assert not mine["bars_1h"]
    assert not mine["bar_conformance"]
    assert not any(event.is_step_up_for_retry for event in result.all_events)
    remaining = f"2 of 4 days are done and kept; remaining: {', '.join(keys[2:])}"
    logged = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert remaining in failures(result)["bars_5m"] or any(remaining in message for message in logged)
    # What remains is made by the next run, and the days that were kept are left as they are.
    again = run_job(instance, days[2:], job="refresh_bars", ops={name: {"whole_days": False} for name in (*BARS, "bar_conformance")})
    assert again.success
    assert instance.get_materialized_partitions(dg.AssetKey("bars_5m")) >= set(keys)


def test_a_transient_failure_is_tried_again(
    instance: dg.DagsterInstance, fresh: Callable[[date, int], list[date]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rrr_assets.resources.reporting._WAIT_SECONDS", 0.1)
    days = fresh(date(2023, 3, 1), 3)
    _FAILURES.extend([psycopg.OperationalError("the connection is lost"), psycopg.errors.DeadlockDetected("deadlock detected")])
    result = run_job(instance, days, overrides={"warehouse": FailsOnTheThirdDay()}, selection=FAILING)
    assert result.success, failures(result)
    retried = [event.step_key for event in result.all_events if event.is_step_up_for_retry]
    assert retried == ["bars_5m", "bars_5m"]
    assert instance.get_materialized_partitions(dg.AssetKey("bars_5m")) >= {day.isoformat() for day in days}
    for (_, _, key), found in evaluations(result).items():
        assert len(found) <= (3 if key in {day.isoformat() for day in days[:2]} else 1)


def test_a_transient_failure_that_stays_fails_in_the_end(
    instance: dg.DagsterInstance, fresh: Callable[[date, int], list[date]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rrr_assets.resources.reporting._WAIT_SECONDS", 0.1)
    days = fresh(date(2023, 4, 1), 3)
    _FAILURES.extend(psycopg.OperationalError("the connection is lost") for _ in range(10))
    result = run_job(instance, days, overrides={"warehouse": FailsOnTheThirdDay()}, selection=FAILING)
    assert not result.success
    assert len([event for event in result.all_events if event.is_step_up_for_retry]) == 3


def test_a_server_that_is_restarting_is_transient(
    instance: dg.DagsterInstance, fresh: Callable[[date, int], list[date]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rrr_assets.warehouse.connect import DatabaseUnusable

    monkeypatch.setattr("rrr_assets.resources.reporting._WAIT_SECONDS", 0.1)
    days = fresh(date(2023, 5, 1), 3)
    restarting = DatabaseUnusable("cannot enter the database")
    restarting.__cause__ = psycopg.OperationalError("connection refused")
    _FAILURES.append(restarting)
    assert run_job(instance, days, overrides={"warehouse": FailsOnTheThirdDay()}, selection=FAILING).success
    _FAILURES.append(DatabaseUnusable("RRR_DATABASE_URL is no address"))
    misnamed = run_job(instance, days, overrides={"warehouse": FailsOnTheThirdDay()}, selection=["bars_5m"])
    assert not misnamed.success
    assert not any(event.is_step_up_for_retry for event in misnamed.all_events)


def test_a_broken_integrity_rule_stops_what_is_downstream(instance: dg.DagsterInstance, fresh: Callable[[date, int], list[date]]) -> None:
    days = fresh(date(2023, 6, 1), 2)
    assert run_job(instance, days, selection=["raw_trades", "venue_bars"]).success
    repeat_a_trade(days[1])
    result = run_job(instance, days)
    assert not result.success
    told = evaluations(result)
    keys = [day.isoformat() for day in days]
    assert told["raw_trades", "integrity", keys[0]][0].passed
    broken = told["raw_trades", "integrity", keys[1]][0]
    assert not broken.passed
    assert broken.metadata["each trade once"].value.startswith("broken by 1 of ")
    assert str(broken.metadata["rows equal the coverage ledger"].value).startswith("broken by 1 of 1: binance:BTCUSDT: ")
    assert told["raw_trades", "integrity", None][0].metadata["each trade once"].value.endswith(f"on {keys[1]}")
    for name in (*BARS, "bar_conformance"):
        assert not instance.get_materialized_partitions(dg.AssetKey(name)) & set(keys)
    assert rows("select count(*) from bars_1m where bar_start >= %s and bar_start < %s::date + 1", days[0], days[1]) == [(0,)]
    # The trades are kept and told of all the same.
    assert instance.get_materialized_partitions(dg.AssetKey("raw_trades")) >= set(keys)


def test_a_broken_quality_rule_stops_nothing(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    day = date(2023, 7, 1)
    land(tmp_path, simulated(tmp_path, [day], 3000, defects=("gap", "bad-rows")))
    result = run_job(instance, [day], partition=True)
    assert result.success, failures(result)
    told = evaluations(result)
    key = day.isoformat()
    quality = told["raw_trades", "quality", key][0]
    assert not quality.passed
    assert quality.severity == dg.AssetCheckSeverity.WARN
    assert str(quality.metadata["no id missing between the first and the last"].value).startswith("broken by ")
    assert "not_a_number" in str(quality.metadata["no row waits in quarantine"].value) or "broken" in str(
        quality.metadata["no row waits in quarantine"].value
    )
    assert not told["bars_1m", "quality", key][0].passed
    assert told["bars_1m", "integrity", key][0].passed
    assert instance.get_materialized_partitions(dg.AssetKey("bar_conformance")) >= {key}


def test_a_missing_instrument_is_named(instance: dg.DagsterInstance, whole: dg.ExecuteInProcessResult, tmp_path: Path) -> None:
    assert whole.success
    day = date(2024, 3, 10)
    land(tmp_path, simulated(tmp_path, [day], 500, [ETH], seed=5))
    execute("update instruments set listed_on = %s where listed_on is null or listed_on > %s", DAYS[0], DAYS[0])
    try:
        result = run_job(instance, [day], selection=["raw_trades"], partition=True)
    finally:
        execute("update instruments set listed_on = null")
    metadata = materializations(result)["raw_trades", day.isoformat()][0].metadata
    assert metadata["missing_instruments"].value == [BTC]
    quality = evaluations(result)["raw_trades", "quality", day.isoformat()][0]
    assert quality.metadata["every expected instrument is there"].value == f"broken by 1 of 2: {BTC}"


def test_a_run_is_narrowed_to_some_instruments(instance: dg.DagsterInstance, whole: dg.ExecuteInProcessResult) -> None:
    assert whole.success
    day = DAYS[4]
    count = "select instrument, count(*) from bars_1m where bar_start >= %s and bar_start < %s::date + 1 group by instrument order by 1"
    before = rows(count, day, day)
    execute("delete from bars_1m where bar_start >= %s and bar_start < %s::date + 1", day, day)
    narrowed = run_job(instance, [day], job="refresh_bars", selection=["bars_1m"], ops={"bars_1m": {"instruments": [ETH]}}, partition=True)
    told = materializations(narrowed)["bars_1m", day.isoformat()][0].metadata
    assert rows(count, day, day) == [found for found in before if found[0] == ETH]
    assert told["windows"].value == 1
    # The other's bars are gone, which the check against the trades sees.
    assert not narrowed.success
    assert not evaluations(narrowed)["bars_1m", "integrity", day.isoformat()][0].passed
    whole_again = run_job(instance, [day], job="refresh_bars", partition=True)
    assert whole_again.success, failures(whole_again)
    assert rows(count, day, day) == before
