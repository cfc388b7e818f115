"""Seasonal baselines on either engine: learned from bars and quotes, kept in versions, and what is unusual by them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from psycopg import sql

from rrr_assets.calc.quality_baselines import hours_of_week
from rrr_assets.calc.quality_config import QualitySettings
from rrr_assets.quality.baseline_chart import baseline_png
from rrr_assets.quality.baselines import baselines
from rrr_assets.resources.warehouse import Warehouse
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.quality_baselines import (
    HISTORY_DAYS,
    LearnedVersion,
    Scored,
    busiest,
    learn_baselines,
    make_quote_windows,
    read_anomalies,
    read_windows,
    score,
)
from rrr_assets_tests.loading import NAME, Told, emptied, midnight, take, vision
from rrr_assets_tests.platform import Platform

TODAY = date(2025, 3, 3)
"""A Monday."""

FIRST = TODAY - timedelta(days=HISTORY_DAYS)
NOW = datetime(2025, 3, 3, 12, tzinfo=UTC)
SETTINGS = QualitySettings()
OTHER = "gemini:ETHUSD"
WINDOW_US = 300_000_000


@pytest.fixture(scope="module")
def history(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """Eight weeks of bars and windows of quotes of two instruments, as the platform would have made them, and today until noon."""
    platform = emptied(database, tmp_path_factory.mktemp("history"))
    rng = np.random.default_rng(11)
    starts = np.arange(midnight(FIRST) // 1_000_000, int(NOW.timestamp()), 300, dtype=np.int64)
    hours = hours_of_week(starts)
    with database.connect(Role.OWNER) as connection:
        for name, level in ((NAME, 80.0), (OTHER, 3.0)):
            venue, symbol = name.split(":")
            connection.execute(
                "insert into instruments (instrument, valid_from, venue, symbol, contract_type, price_scale, size_scale)"
                " values (%s, '2009-01-01', %s, %s, 'spot', 2, 5)",
                (name, venue, symbol),
            )
            counts = rng.poisson(level * (1.2 + np.sin(hours / 24 * 2 * np.pi)) * np.where(hours >= 120, 0.5, 1))
            with connection.cursor().copy(
                "copy bars_5m (instrument, bar_start, open, high, low, close, volume, quote_volume, trade_count, taker_buy_volume,"
                " taker_buy_quote_volume, first_sequence, last_sequence, is_complete, known_at) from stdin"
            ) as copy:
                for at, count in zip(starts, counts, strict=True):
                    if count:
                        sums = (round(count * 0.37, 2), 10, int(count), 0, 0, 1, 1, True, NOW)
                        copy.write_row((name, datetime.fromtimestamp(int(at), UTC), 1, 1, 1, 1, *sums))
            with connection.cursor().copy("copy quote_windows (instrument, window_start, quotes, spread_bps) from stdin") as copy:
                for at, quotes, spread in zip(starts, rng.poisson(500, len(starts)), rng.lognormal(0, 0.1, len(starts)), strict=True):
                    copy.write_row((name, datetime.fromtimestamp(int(at), UTC), int(quotes), float(spread)))
            connection.execute(
                "insert into coverage (instrument, stream, day, space, row_count, first_time, last_time, is_declared, covered, updated_at)"
                " select %(name)s, stream, day, 'trade_id', 1000, day, least(day + interval '1 day', %(now)s), true,"
                " tstzmultirange(tstzrange(day, least(day + interval '1 day', %(now)s))), now()"
                " from generate_series(%(first)s::timestamptz, %(now)s, interval '1 day') as day,"
                " unnest(array['trades', 'quotes']) as stream",
                {"name": name, "first": FIRST, "now": NOW},
            )
            connection.execute(
                "insert into quality_days (instrument, day, status, row_count, open_gaps, findings, anomalies, computed_at)"
                " select instrument, day, case when day < %s then 'available' else 'pending' end, 1000, 0, 0, 0, now()"
                " from coverage where instrument = %s and stream = 'trades'",
                (TODAY, name),
            )
    return platform


@pytest.fixture
def learned(history: Platform) -> Iterator[LearnedVersion]:
    """The baselines of that history; what a test does to today is undone."""
    found = learn_baselines(history.database, NOW)
    saved = history.rows("select * from bars_5m where bar_start >= %s", TODAY)
    windows = history.rows("select * from quote_windows where window_start >= %s", TODAY)
    covered = history.rows("select covered, last_time, row_count, instrument, stream from coverage where day = %s", TODAY)
    yield found
    with history.database.connect(Role.OWNER) as connection:
        connection.execute("truncate anomalies")
        connection.execute("truncate invalidation_days")
        for table, column, rows in (("bars_5m", "bar_start", saved), ("quote_windows", "window_start", windows)):
            connection.execute(sql.SQL("delete from {} where {} >= %s").format(sql.Identifier(table), sql.Identifier(column)), (TODAY,))
            with connection.cursor().copy(sql.SQL("copy {} from stdin").format(sql.Identifier(table))) as copy:
                for row in rows:
                    copy.write_row(row)
        for row in covered:
            connection.execute(
                "update coverage set covered = %s, last_time = %s, row_count = %s where instrument = %s and stream = %s and day = %s",
                (*row, TODAY),
            )


def change(platform: Platform, statement: str, *values: object) -> None:
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute(statement, values)


def look(platform: Platform, now: datetime = NOW, day: date = TODAY) -> Scored:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return score(platform.database, (start, start + timedelta(days=1)), SETTINGS, now=now)


def anomalies(platform: Platform) -> list[tuple]:
    """(rule, from, to as minutes of the day, direction) of today."""
    rows = platform.rows("select rule, instrument, from_time, to_time, detail ->> 'direction' from anomalies order by rule, from_time")
    start = datetime(2025, 3, 3, tzinfo=UTC)
    return [
        (rule, name, int((since - start).total_seconds()) // 60, int((until - start).total_seconds()) // 60, direction)
        for rule, name, since, until, direction in rows
    ]


def at(minute: int) -> datetime:
    return datetime(2025, 3, 3, tzinfo=UTC) + timedelta(minutes=minute)


# --- learning ---------------------------------------------------------------------------------------------------


def test_each_instrument_has_a_baseline_of_each_metric_and_hour(history: Platform, learned: LearnedVersion) -> None:
    assert (learned.instruments, learned.baselines) == (2, 2 * 4 * 168)
    assert history.rows("select distinct basis, samples from baselines where version = %s", learned.version) == [("hour_of_week", 96)]
    [(unit, median)] = history.rows(
        "select unit, median from baselines where version = %s and instrument = %s and metric = 'volume' and hour_of_week = 6",
        learned.version, NAME,
    )  # fmt: skip
    assert unit == pytest.approx(0.37, rel=0.01)
    assert unit * np.expm1(median) == pytest.approx(80 * 2.2 * 0.37, rel=0.05)


def test_the_same_data_is_the_same_version_and_other_data_another(history: Platform, learned: LearnedVersion) -> None:
    again = learn_baselines(history.database, NOW + timedelta(hours=3))
    assert (again.version, again.is_new, again.baselines) == (learned.version, False, learned.baselines)
    change(history, "insert into invalidation_days values ('bars_5m', %s, %s, 77, now())", NAME, FIRST)
    other = learn_baselines(history.database, NOW)
    assert other.is_new
    assert other.version != learned.version
    assert history.rows("select version from baseline_versions where is_current") == [(other.version,)]
    assert history.rows("select count(*) from baselines where version = %s", learned.version) == [(learned.baselines,)]


def test_days_that_are_not_available_and_windows_that_nobody_saw_whole_are_not_learned_from(history: Platform) -> None:
    change(history, "update quality_days set status = 'degraded' where instrument = %s and extract(isodow from day) = 2", NAME)
    change(
        history,
        "update coverage set covered = covered - tstzmultirange(tstzrange(day + time '06:00', day + time '07:00'))"
        " where instrument = %s and stream = 'trades' and day = %s", NAME, FIRST + timedelta(days=7),
    )  # fmt: skip
    try:
        found = learn_baselines(history.database, NOW + timedelta(days=1))
        rows = history.rows(
            "select hour_of_week, basis, samples from baselines where version = %s and instrument = %s and metric = 'trade_rate'"
            " and hour_of_week in (6, 24) order by 1",
            found.version, NAME,
        )  # fmt: skip
        assert rows[0] == (6, "hour_of_week", 72), "today is not over, the oldest is out of the window: 7 Mondays, one of them not whole"
        assert rows[1][1] == "hour_of_day", "of no Tuesday is anything known"
    finally:
        change(history, "update quality_days set status = 'available' where status = 'degraded'")
        change(history, "update coverage set covered = tstzmultirange(tstzrange(day, day + 1)) where day = %s", FIRST + timedelta(days=7))


class OfTest(Warehouse):
    """The database of a test."""

    def database(self) -> Database:
        return _DATABASES[-1]


_DATABASES: list[Database] = []


def test_the_asset_tells_the_version_and_shows_what_is_usual(history: Platform, learned: LearnedVersion) -> None:
    change(history, "update bars_5m set volume = volume * 8 where instrument = %s and bar_start between %s and %s", NAME, at(360), at(385))
    look(history)
    _DATABASES.append(history.database)
    done = [dg.materialize([baselines], resources={"warehouse": OfTest()}) for _ in range(2)]
    told, again = (each.asset_materializations_for_node("baselines")[0] for each in done)
    assert told.metadata["dagster/row_count"].value == 0, "by today's clock that history is long ago"
    assert (told.metadata["is_new"].value, again.metadata["is_new"].value) == (True, False)
    assert told.tags["dagster/data_version"] == again.tags["dagster/data_version"]
    assert "picture" not in told.metadata
    change(history, "update baseline_versions set is_current = false")
    change(history, "update baseline_versions set is_current = true where version = %s", learned.version)
    windows, usual = read_windows(history.database, NAME, at(0) - timedelta(days=2), NOW, NOW)
    assert windows is not None
    assert sorted(usual) == ["message_rate", "spread", "trade_rate", "volume"]
    odd = read_anomalies(history.database, NAME, at(0), NOW)
    assert odd == [("volume", at(360), at(390))]
    assert busiest(history.database) == NAME
    picture, plain = baseline_png(windows, usual, odd, small=True), baseline_png(windows, {}, [], small=True)
    assert picture[:8] == plain[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture != plain


# --- scoring ----------------------------------------------------------------------------------------------------


def test_nothing_is_unusual_on_a_usual_day(history: Platform, learned: LearnedVersion) -> None:
    found = look(history)
    assert (found.version, found.windows, found.found) == (learned.version, 2 * 144, 0)


@pytest.mark.usefixtures("learned")
def test_a_burst_is_one_row_of_each_metric_and_stays_so(history: Platform) -> None:
    burst = "update bars_5m set volume = volume * 8, trade_count = trade_count * 8 where instrument = %s and bar_start between %s and %s"
    change(history, burst, NAME, at(360), at(385))
    assert look(history, at(376)).found == 2
    first = history.rows("select found_at from anomalies order by rule")
    look(history)
    assert anomalies(history) == [
        ("seasonal_trade_rate", NAME, 360, 390, "above"),
        ("seasonal_volume", NAME, 360, 390, "above"),
    ]
    assert history.rows("select found_at from anomalies order by rule") == first, "it is known since it was found first"
    [(value, expected, score_, threshold)] = history.rows(
        "select value, expected, score, threshold from anomalies where rule = 'seasonal_trade_rate'"
    )
    assert value / expected == pytest.approx(8, rel=0.3)
    assert score_ >= threshold == 6


@pytest.mark.usefixtures("learned")
def test_what_is_corrected_is_no_anomaly_any_more(history: Platform) -> None:
    change(history, "update bars_5m set volume = volume * 8 where instrument = %s and bar_start between %s and %s", NAME, at(360), at(385))
    assert look(history).inserted == 1
    change(history, "update bars_5m set volume = volume / 8 where instrument = %s and bar_start between %s and %s", NAME, at(360), at(385))
    assert (look(history).removed, anomalies(history)) == (1, [])


@pytest.mark.usefixtures("learned")
def test_nothing_traded_is_a_drop_where_the_tape_covers_it_and_not_where_nobody_knows(history: Platform) -> None:
    gone = "delete from bars_5m where instrument = %s and bar_start >= %s and bar_start < %s"
    change(history, gone, NAME, at(300), at(330))
    change(history, gone, NAME, at(480), at(510))
    change(
        history,
        "update coverage set covered = covered - tstzmultirange(tstzrange(%s, %s))"
        " where instrument = %s and stream = 'trades' and day = %s",
        at(482), at(510), NAME, TODAY,
    )  # fmt: skip
    look(history)
    assert anomalies(history) == [
        ("seasonal_trade_rate", NAME, 300, 330, "below"),
        ("seasonal_volume", NAME, 300, 330, "below"),
    ]


@pytest.mark.usefixtures("learned")
def test_bars_that_are_behind_are_not_nothing(history: Platform) -> None:
    change(history, "delete from bars_5m where instrument = %s and bar_start >= %s", NAME, at(300))
    change(history, "insert into invalidation_days values ('raw_trades', %s, %s, 1, now())", NAME, TODAY)
    assert look(history).found == 0


@pytest.mark.usefixtures("learned")
def test_a_feed_that_died_is_a_drop_until_now(history: Platform) -> None:
    change(history, "delete from bars_5m where instrument = %s and bar_start >= %s", NAME, at(600))
    change(history, "delete from quote_windows where instrument = %s and window_start >= %s", NAME, at(600))
    change(
        history,
        "update coverage set covered = covered * tstzmultirange(tstzrange(%s, %s)), last_time = %s where instrument = %s and day = %s",
        at(0), at(600), at(600), NAME, TODAY,
    )  # fmt: skip
    assert look(history, at(612)).found == 0, "it may be late"
    look(history)
    assert anomalies(history) == [
        ("seasonal_message_rate", NAME, 600, 705, "below"),
        ("seasonal_trade_rate", NAME, 600, 705, "below"),
        ("seasonal_volume", NAME, 600, 705, "below"),
    ]
    look(history, NOW + timedelta(days=1))
    assert anomalies(history) == [], "the day after it is a gap, and no silence"


@pytest.mark.usefixtures("learned")
def test_a_part_of_a_window_may_be_too_much_and_never_too_little(history: Platform) -> None:
    change(
        history,
        "update coverage set covered = covered - tstzmultirange(tstzrange(%s, %s))"
        " where instrument = %s and stream = 'trades' and day = %s",
        at(300), at(400), NAME, TODAY,
    )  # fmt: skip
    few = "update bars_5m set trade_count = %s where instrument = %s and bar_start >= %s and bar_start < %s"
    change(history, few, 1, NAME, at(300), at(330))
    change(history, few, 2000, NAME, at(360), at(390))
    look(history)
    assert anomalies(history) == [("seasonal_trade_rate", NAME, 360, 390, "above")]


@pytest.mark.usefixtures("learned")
def test_a_wide_spread_is_unusual(history: Platform) -> None:
    change(history, "update quote_windows set spread_bps = spread_bps * 10 where window_start between %s and %s", at(120), at(140))
    look(history)
    assert anomalies(history) == [("seasonal_spread", name, 120, 145, "above") for name in (NAME, OTHER)]
    assert history.rows("select distinct relation, baseline_version is not null from anomalies") == [("raw_quotes", True)]


def test_bars_in_the_archive_alone_are_neither_learned_from_nor_scored(history: Platform, learned: LearnedVersion) -> None:
    change(history, "update bars_5m set volume = volume * 8 where instrument = %s and bar_start between %s and %s", NAME, at(360), at(385))
    assert look(history).found == 1
    change(
        history,
        "insert into partition_tiers (relation, partition_start, tier, row_count, size_bytes, changed_at)"
        " values ('bars_5m', '2025-03-01', 'cold', 1, 1, now())",
    )
    change(history, "delete from bars_5m where bar_start >= '2025-03-01'")
    assert (look(history).windows, look(history).version) == (0, learned.version)
    assert anomalies(history) == [("seasonal_volume", NAME, 360, 390, "above")], "what was found before stays"
    change(history, "truncate partition_tiers")


def test_without_history_nothing_is_known_and_nothing_is_unusual(database: Database, history: Platform, tmp_path: Path) -> None:
    del history
    platform = emptied(database, tmp_path)
    found = learn_baselines(database, NOW)
    assert (found.is_new, found.baselines) == (True, 0)
    assert look(platform) == Scored(None, 0, 0, 0, 0)
    trades = [Told(1000 + n, midnight(TODAY) + n * WINDOW_US) for n in range(10)]
    take(platform, vision(tmp_path, trades, TODAY))
    platform.refresh()
    assert look(platform).found == 0


# --- windows of quotes ------------------------------------------------------------------------------------------


def test_windows_follow_the_quotes(database: Database, tmp_path: Path) -> None:
    platform = emptied(database, tmp_path)

    def quotes(name: str, rows: list[tuple[int, str, str]]) -> Path:
        path = tmp_path / name
        lines = [f"coinbase,BTC-USD,{us},{us + 1000},1,{ask},{bid},1" for us, bid, ask in rows]
        path.write_text("\n".join(["exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount", *lines]) + "\n")
        return path

    day = midnight(TODAY)
    first = [(day + n * 60_000_000, "99.95", "100.05") for n in range(8)]
    platform.take_in(quotes(f"coinbase_quotes_{TODAY}_BTC-USD.csv", first), "tardis")
    assert make_quote_windows(database) == 1
    rows = "select extract(epoch from window_start)::bigint - %s, quotes, spread_bps from quote_windows order by 1"
    assert platform.rows(rows, day // 1_000_000) == [(0, 5, pytest.approx(10)), (300, 3, pytest.approx(10))]
    assert make_quote_windows(database) == 0, "nothing changed, nothing is made"
    later = [(day + 600_000_000, "99.9", "100.1"), (day + 600_000_001, "99.9", "100.1")]
    platform.take_in(quotes(f"coinbase_quotes_{TODAY}_BTC-USD-more.csv", later), "tardis", "coinbase:BTCUSD", TODAY)
    make_quote_windows(database)
    assert [count for _, count, _ in platform.rows(rows, day // 1_000_000)] == [5, 3, 2]
