"""The whole way on recorded files: taken in, summed up, held against the venues' own bars."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from rrr_assets.calc.quality_config import DEFAULTS
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.base import Table
from rrr_assets.contracts.catalogue import TABLES
from rrr_assets.contracts.rules import Kind
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.contract_checks import RuleCount, ask_contract, one_view
from rrr_assets.warehouse.gaps import find_silences, sync_all
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.platform import Platform, fresh_database

pytestmark = pytest.mark.realdata

BTC, ETH, GEMINI = "binance:BTCUSDT", "binance:ETHUSDT", "gemini:ETHUSD"
CAPTURES = {
    "examples_spot_btcusdt_20230405.dat.gz": 3144,
    "examples_spot_btcusdt_20240808.gz": 9757,
    "examples_spot_btcusdt_20240809.gz": 10147,
    "examples_spot_ethusdt_20240808.gz": 6106,
    "examples_spot_ethusdt_20240809.gz": 8409,
}
ONE_DAY = timedelta(days=1)


def take_in_everything(platform: Platform, folder: Path) -> None:
    """Every recorded file of trades and of bars, in the formats that know its kind."""
    platform.take_in(folder / "gemini_ethusd" / "gemini__eth-usd__2021-07-01__trade.csv", "ccapi")
    platform.take_in(sorted((folder / "binance_spot_ws").glob("*.gz")), "binance-ws")
    fixture = folder / "binance_spot_fixture"
    platform.take_in([fixture / "cc_trades.json", fixture / "cc_candlestick1m.json"], "binance-rest", BTC)
    platform.take_in(sorted((folder / "binance_vision_klines").glob("*.zip")), "binance-vision-klines")
    platform.refresh()


@pytest.fixture(scope="module")
def taken_in(home: Home, realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    assert home.root.is_dir()
    landing_home = Home(tmp_path_factory.mktemp("landing-home"))
    landing_home.prepare()
    platform = Platform(fresh_database(), landing_home)
    take_in_everything(platform, realdata)
    return platform


def test_every_row_is_stored_and_none_refused(taken_in: Platform) -> None:
    assert taken_in.rows("select count(*) from quarantine") == [(0,)]
    assert taken_in.rows("select count(*) from landing_days where is_pending or refused is not null") == [(0,)]
    by_file = """
        select f.name, sum(b.rows_stored)::int from ingest_batches as b join landing_files as f using (file_id)
        where b.stream in ('trades', 'venue_bars') group by f.name
    """
    stored = dict(taken_in.rows(by_file))
    expected = CAPTURES | {"gemini__eth-usd__2021-07-01__trade.csv": 25_222, "cc_trades.json": 1000, "cc_candlestick1m.json": 500}
    bars_a_day = {"1m": 1440, "15m": 96, "1h": 24, "1d": 1}
    klines = {name: bars_a_day[name.split("-")[1]] for name in stored if name.endswith(".zip")}
    assert len(klines) == 35
    assert stored == expected | klines
    assert taken_in.rows("select sum(rows_read - rows_stored)::int from ingest_batches") == [(0,)]
    trades = sum(CAPTURES.values()) + 25_222 + 1000
    assert taken_in.rows("select count(*) from raw_trades") == [(trades,)]
    for interval in INTERVALS:
        assert taken_in.rows(f"select sum(trade_count)::int from bars_{interval}") == [(trades,)]  # noqa: S608  # names of ours


def test_nothing_is_missing_of_what_was_recorded(taken_in: Platform) -> None:
    assert find_silences(taken_in.database, sorted(taken_in.days), DEFAULTS) == 0
    assert sync_all(taken_in.database) == 0
    assert taken_in.rows("select * from gaps where stream not like 'venue_bars%'") == []


def test_what_was_recorded_keeps_every_contract(taken_in: Platform) -> None:
    """But for time along the ids: venues themselves let it step back."""
    broken = {
        (each.rule.table, each.rule.told, each.examples)
        for table in TABLES.values()
        for each in contract_of(taken_in.database, table)
        if each.broken and each.rule.kind is not Kind.IN_ORDER
    }
    assert broken == set()


def contract_of(database: Database, table: Table) -> list[RuleCount]:
    """All rows of a table, however old."""
    with database.connect(Role.ANALYST, autocommit=True) as connection, one_view(connection):
        return ask_contract(connection, table)


def test_equal_rows_are_trades(taken_in: Platform) -> None:
    equal = """
        select sum(n - 1)::int from (
            select count(*) as n from raw_trades where instrument = %s group by event_time, price, size, side
        ) as alike
    """
    assert taken_in.rows(equal, GEMINI) == [(252,)]
    assert taken_in.rows("select space, is_declared, row_count from coverage where instrument = %s", GEMINI) == [("ordinal", True, 25_222)]
    hours = "select count(*), bool_and(is_complete), sum(trade_count)::int from bars_1h where instrument = %s"
    assert taken_in.rows(hours, GEMINI) == [(24, True, 25_222)]


def test_full_minutes_equal_the_venues_own(taken_in: Platform) -> None:
    counts = taken_in.rows("""
        select bar_start::date, instrument, interval, status, count(*) from bar_conformance
        where status not in ('uncovered') group by 1, 2, 3, 4 order by 1, 2, 3, 4
    """)
    assert counts == [(date(2020, 9, 27), BTC, "1m", "equal", 3), (date(2023, 4, 5), BTC, "1m", "equal", 6)]
    uncovered = taken_in.rows("select interval, rule, count(*) from bar_conformance where status = 'uncovered' group by 1, 2 order by 1, 2")
    assert {interval for interval, _, _ in uncovered} <= set(INTERVALS)
    assert {rule for _, rule, _ in uncovered} <= {"our tape does not span the bar", "the venue's bar was captured before it closed"}
    # One verdict on each of the venue's bars of an interval of ours, and on no other time: the venue's list spans all of ours.
    listed = "select instrument, interval, bar_start from venue_bars where interval <> '15m' order by 1, 2, 3"
    assert taken_in.rows(listed) == taken_in.rows("select instrument, interval, bar_start from bar_conformance order by 1, 2, 3")
    # Complete minutes and no others: where ours is whole, it was equal.
    complete = """
        select count(*) from bars_1m as b join bar_conformance as c using (instrument, bar_start) where c.interval = '1m' and b.is_complete
    """
    assert taken_in.rows(complete) == [(9,)]


@pytest.mark.parametrize(("interval", "length", "bars"), [("15m", "15 minutes", 960), ("1h", "1 hour", 240), ("1d", "1 day", 5)])
def test_the_venues_minutes_roll_up_to_its_longer_bars(taken_in: Platform, interval: str, length: str, bars: int) -> None:
    # A minute without trades carries the last close: it has no part in open, high, low.
    rolled_up = """
        with minutes as (
            select *, date_bin(%s::interval, bar_start, timestamptz '2000-01-01 00:00:00+00') as longer_start
            from venue_bars where interval = '1m' and is_closed and bar_start >= '2022-01-01'
        ),
        rolled as (
            select
                instrument, longer_start,
                (array_agg(open order by bar_start) filter (where trade_count > 0))[1] as open,
                max(high) filter (where trade_count > 0) as high,
                min(low) filter (where trade_count > 0) as low,
                (array_agg(close order by bar_start desc))[1] as close,
                sum(volume) as volume, sum(quote_volume) as quote_volume, sum(trade_count) as trade_count,
                sum(taker_buy_volume) as taker_buy_volume, sum(taker_buy_quote_volume) as taker_buy_quote_volume
            from minutes group by instrument, longer_start
        )
        select
            count(*),
            count(*) filter (where
                (r.open, r.high, r.low, r.close, r.volume, r.quote_volume, r.trade_count, r.taker_buy_volume, r.taker_buy_quote_volume)
                is not distinct from
                (v.open, v.high, v.low, v.close, v.volume, v.quote_volume, v.trade_count, v.taker_buy_volume, v.taker_buy_quote_volume)
            )
        from venue_bars as v left join rolled as r on r.instrument = v.instrument and r.longer_start = v.bar_start
        where v.interval = %s
    """
    assert taken_in.rows(rolled_up, length, interval) == [(bars, bars)]


def test_when_a_trade_could_be_used(taken_in: Platform) -> None:
    offsets = dict(taken_in.rows("select name, clock_offset_us from landing_files where format = 'binance-ws'"))
    assert offsets.keys() == CAPTURES.keys()
    for name, offset in offsets.items():
        if "2024" in name:
            assert 1_200_000 < offset < 1_400_000, (name, offset)
    bases = taken_in.rows("""
        select event_time >= '2023-01-01', available_basis, count(*)::int, bool_and(available_at >= event_time),
            max(available_at - event_time) < interval '10 seconds'
        from raw_trades group by 1, 2 order by 1
    """)
    assert bases == [(False, "modelled", 26_222, True, True), (True, "observed", sum(CAPTURES.values()), True, True)]


@pytest.mark.parametrize("instrument", [BTC, ETH])
def test_two_captures_join_at_midnight(taken_in: Platform, instrument: str) -> None:
    midnight = datetime(2024, 8, 9, tzinfo=UTC)
    [(evening, lost_before), (morning, lost_after)] = taken_in.rows(
        "select covered, missing_ids from coverage "
        "where instrument = %s and stream = 'trades' and day between '2024-08-08' and '2024-08-09' order by day",
        instrument,
    )
    assert (len(evening), len(morning), len(lost_before), len(lost_after)) == (1, 1, 0, 0)
    assert evening[0].upper == morning[0].lower == midnight
    # Minutes on both sides are complete, the last one and the first one too.
    of_minutes = "select bar_start, is_complete from bars_1m where instrument = %s and bar_start >= '2024-08-08'"
    minutes = dict(taken_in.rows(of_minutes, instrument))
    assert min(minutes) < midnight - timedelta(minutes=1)
    inside = sorted(minutes)[1:-1]
    assert midnight in inside
    assert all(minutes[at] for at in inside)
    assert not minutes[min(minutes)]
    assert not minutes[max(minutes)]


def state(platform: Platform) -> list[object]:
    tables = ["venue_bars", "coverage", *(f"bars_{interval}" for interval in INTERVALS), "bar_conformance", "invalidation_log"]
    return [
        platform.trades_hash(),
        *(
            platform.rows(f"select count(*), md5(string_agg(md5(t::text), '' order by md5(t::text))) from {name} as t")  # noqa: S608  # names of ours
            for name in tables
        ),
    ]


def test_taking_everything_in_again_changes_nothing(taken_in: Platform, realdata: Path) -> None:
    before = state(taken_in)
    take_in_everything(taken_in, realdata)
    assert state(taken_in) == before
    assert taken_in.rows("select sum(rows_stored)::int from ingest_batches where rows_read = duplicates and rows_stored > 0") == [(None,)]
    taken_in.refresh(whole_days=True)
    assert state(taken_in) == before
