"""Features are kept in step with bars, ticks and coverage: what changed is made again and no more, and what was believed stays readable."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.compute import MINUTE, look_back
from rrr_assets.calc.features.declare import TICK_INPUTS
from rrr_assets.contracts.features import FEATURES_1M
from rrr_assets.lake.feature_ticks import TieredTicks
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.features import DayMade, days_behind, refresh_features, refresh_tick_minutes
from rrr_assets.warehouse.inspection import check
from rrr_assets_tests.loading import DAY, NEXT, Told, emptied, midnight, take, vision
from rrr_assets_tests.platform import Platform

START = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
HEADER = "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount"
STEP_US = 20_000_000
OF_BARS = [name for name in FEATURES if not set(FEATURES[name].columns) & set(TICK_INPUTS)]


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


def market(day: date, hours: int = 24, seed: int = 1) -> list[Told]:
    """Three trades a minute from midnight on, whose ids go on over days."""
    drawn = random.Random(f"{seed} {day}")
    count, first = hours * 180, 1_000_000 + (day - DAY).days * 4320
    price = 42_000.0
    trades = []
    for n in range(count):
        price *= math.exp(drawn.gauss(0, 2e-4))
        us = midnight(day) + n * STEP_US + drawn.randrange(1, STEP_US - 1)
        trades.append(Told(first + n, us, f"{price:.2f}", f"{drawn.expovariate(2) + 0.001:.5f}", drawn.random() < 0.5))
    return trades


def quotes(folder: Path, day: date, hours: int = 24, suffix: str = "") -> Path:
    """A quote every ten seconds, from midnight on."""
    drawn = random.Random(f"quotes {day}")
    lines = []
    for n in range(hours * 360):
        bid = 41_990 + drawn.randrange(1500) / 100
        us = midnight(day) + n * 10_000_000 + drawn.randrange(9_000_000)
        lines.append(
            f"binance,BTCUSDT,{us},{us + 100_000},{drawn.randrange(1, 99) / 10},{bid + 1.5:.2f},{bid:.2f},{drawn.randrange(1, 99) / 10}"
        )
    path = folder / f"binance_quotes_{day}_BTCUSDT{suffix}.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def follow(platform: Platform, days: Sequence[date] | None = None, *, whole_days: bool = False) -> list[DayMade]:
    """Bars, minutes of ticks and features; what was done of features."""
    chosen = sorted(platform.days if days is None else days)
    platform.refresh(chosen, whole_days=whole_days)
    list(refresh_tick_minutes(platform.database, chosen, TieredTicks(platform.database), whole_days=whole_days))
    return list(refresh_features(platform.database, chosen, whole_days=whole_days))


def stored(platform: Platform, table: str = "features_1m", but: Sequence[str] = ("known_at",)) -> pl.DataFrame:
    columns = [name for name in FEATURES_1M.column_names if name not in but]
    return pl.DataFrame(
        platform.rows(f"select {', '.join(columns)} from {table} order by instrument, event_time"),  # noqa: S608  # names of ours
        schema=columns, orient="row", infer_schema_length=None,
    )  # fmt: skip


def at(minutes: int, day: date = DAY) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + minutes * MINUTE


def behind(platform: Platform) -> dict[date, int]:
    return days_behind(platform.database, 100, timedelta(0))


def test_a_day_has_a_row_for_every_minute_of_its_tape(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, market(DAY), DAY))
    platform.take_in(quotes(tmp_path, DAY), "tardis")
    [done] = follow(platform)
    assert (done.rows, done.changed, done.windows) == (1440, 1440, 1)
    found = stored(platform)
    assert found["event_time"].to_list() == [at(n + 1) for n in range(1440)]
    # Nothing is known of the day before: values begin where their windows are full, and all of them at the last.
    complete = found.select(*FEATURES).null_count().row(0, named=True)
    assert {name: complete[name] for name in OF_BARS} == {name: FEATURES[name].bars - 1 for name in OF_BARS}
    assert [rule for rule in check(platform.database, "features_1m", DAY) if rule.broken] == [], "a first day is no defect"
    assert [rule.broken for rule in check(platform.database, "tick_minutes", DAY)] == [0] * len(
        check(platform.database, "tick_minutes", DAY)
    )
    assert behind(platform) == {}


def test_values_are_those_of_the_trades_and_quotes(platform: Platform, tmp_path: Path) -> None:
    """Against plain sums over what the files say."""
    trades = market(DAY, 3)
    take(platform, vision(tmp_path, trades, DAY))
    platform.take_in(quotes(tmp_path, DAY, 3), "tardis")
    follow(platform)
    by_minute: dict[int, list[Told]] = {}
    for each in trades:
        by_minute.setdefault((each.us - midnight(DAY)) // 60_000_000, []).append(each)
    closes = [float(by_minute[n][-1].price) for n in range(180)]
    [row] = stored(platform).filter(pl.col("event_time") == at(150)).rows(named=True)
    assert row["sma_20"] == pytest.approx(math.fsum(closes[130:150]) / 20, rel=1e-13)
    assert row["return_1h"] == closes[149] / closes[89] - 1
    last = [each for n in range(145, 150) for each in by_minute[n]]
    assert row["trade_rate_5m"] == len(last) / 300
    bought = math.fsum(float(each.size) for each in last if not each.buyer_made)
    assert row["trade_imbalance_5m"] == pytest.approx(2 * bought / math.fsum(float(each.size) for each in last) - 1, rel=1e-9)
    assert row["hour_of_week"] == at(149).weekday() * 24 + 2
    assert row["quoted_spread"] == pytest.approx(1.5 / 42_000 * 10_000, rel=1e-3)
    assert row["available_basis"] == "modelled"
    # One second after the last trade, at the earliest when the minute is over.
    assert row["available_at"] == max(
        at(150), datetime.fromtimestamp(last[-1].us / 1e6, UTC).replace(microsecond=last[-1].us % 1_000_000) + timedelta(seconds=1)
    )


def test_a_late_trade_changes_what_looks_back_at_it_and_keeps_what_was_believed(platform: Platform, tmp_path: Path) -> None:
    trades = market(DAY)
    late = trades[600 * 3 + 2]
    take(platform, vision(tmp_path, [each for each in trades if each is not late], DAY))
    follow(platform)
    before = stored(platform)
    [(known_before,)] = platform.rows("select max(known_at) from features_1m")
    take(platform, vision(tmp_path, [replace(late, price="50000.00")], DAY, "-late"))
    assert list(behind(platform)) == [DAY]
    [done] = follow(platform)
    after = stored(platform)
    moved = [one[1] for one, other in zip(before.rows(), after.rows(), strict=True) if one != other]
    assert moved[0] == at(601)
    assert moved[-1] <= at(601) + look_back() * MINUTE
    assert 170 < len(moved) == done.changed <= look_back() + 1
    # What was believed then is what stands but for what has changed since, and that of which it is kept.
    kept = stored(platform, "feature_revisions_1m")
    assert kept["event_time"].to_list() == moved
    unchanged = stored(platform, "features_1m", ()).filter(pl.col("known_at") <= known_before).drop("known_at")
    assert_frame_equal(pl.concat([unchanged, kept]).sort("event_time"), before, check_exact=True)
    assert behind(platform) == {}
    follow(platform, whole_days=True)
    assert_frame_equal(stored(platform), after, check_exact=True)


def test_what_did_not_change_is_not_written(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, market(DAY, 5), DAY))
    platform.take_in(quotes(tmp_path, DAY, 5), "tardis")
    follow(platform)
    versions = platform.rows("select event_time, known_at, xmin::text from features_1m order by 1")
    entries = platform.rows("select count(*) from invalidation_log")
    assert [(done.changed, done.windows) for done in follow(platform)] == [(0, 0)]
    assert [(done.changed, done.windows) for done in follow(platform, whole_days=True)] == [(0, 1)]
    assert platform.rows("select event_time, known_at, xmin::text from features_1m order by 1") == versions
    assert platform.rows("select count(*) from invalidation_log") == entries
    assert platform.rows("select count(*) from feature_revisions_1m") == [(0,)]


def test_over_midnight_days_in_any_order_are_as_good_as_in_order(platform: Platform, tmp_path: Path) -> None:
    for day in (NEXT, DAY):
        take(platform, vision(tmp_path, market(day), day))
        platform.take_in(quotes(tmp_path, day), "tardis")
        follow(platform, [day])
    # The day before has come: the next one's first minutes look back at it.
    assert list(behind(platform)) == [NEXT]
    [done] = follow(platform, [NEXT])
    assert done.windows == 1
    assert behind(platform) == {}
    found = stored(platform)
    assert found.height == 2880
    first = found.filter(pl.col("event_time") > at(0, NEXT)).head(5).select(*OF_BARS)
    assert first.null_count().row(0) == (0,) * first.width
    follow(platform, whole_days=True)
    assert_frame_equal(stored(platform), found, check_exact=True)


def test_a_hole_is_unknown_until_it_is_healed(platform: Platform, tmp_path: Path) -> None:
    trades = market(DAY, 8)
    hole = [each for each in trades if 300 <= (each.us - midnight(DAY)) // 60_000_000 < 303]
    take(platform, vision(tmp_path, [each for each in trades if each not in hole], DAY))
    follow(platform)
    found = stored(platform)
    times = set(found["event_time"].to_list())
    assert {at(n + 1) for n in range(480)} - times == {at(301), at(302), at(303)}
    of_mean = found.filter(pl.col("event_time").is_between(at(304), at(323)))["sma_20"]
    assert of_mean.null_count() == 19
    take(platform, vision(tmp_path, hole, DAY, "-hole"))
    follow(platform)
    healed = stored(platform).filter(pl.col("event_time").is_between(at(301), at(323)))
    assert healed.height == 23
    assert healed["sma_20"].null_count() == 0
    # What was believed of minutes that were there is kept; of those that were not there is nothing to keep.
    kept = stored(platform, "feature_revisions_1m")["event_time"].to_list()
    assert min(kept) >= at(300)
    assert not {at(301), at(302), at(303)} & set(kept)


def test_minutes_without_trades_of_a_whole_tape_are_known(platform: Platform, tmp_path: Path) -> None:
    trades = [each for each in market(DAY, 4) if not 100 <= (each.us - midnight(DAY)) // 60_000_000 < 110]
    renumbered = [replace(each, id=7_000_000 + n) for n, each in enumerate(trades)]
    take(platform, vision(tmp_path, renumbered, DAY))
    follow(platform)
    quiet = stored(platform).filter(pl.col("event_time").is_between(at(101), at(110)))
    assert quiet.height == 10
    assert quiet["return_1m"].to_list() == [0.0] * 10
    assert quiet["trade_rate_5m"].to_list()[4:] == [0.0] * 6
    assert quiet["trade_imbalance_5m"].to_list()[4:] == [None] * 6
    assert quiet["sma_20"].null_count() == 0
    # Nothing came: when that could be known is modelled.
    assert set(quiet["available_basis"].to_list()) == {"modelled"}


def test_features_go_with_their_trades(platform: Platform, tmp_path: Path) -> None:
    from rrr_assets.warehouse.undo import undo_batch

    take(platform, vision(tmp_path, market(DAY, 4), DAY))
    follow(platform)
    [(batch,)] = platform.rows("select batch_id from ingest_batches")
    undo_batch(platform.database, batch, "not ours")
    follow(platform)
    assert platform.rows("select count(*) from features_1m") == [(0,)]
    assert platform.rows("select count(*) from feature_revisions_1m") == [(1440,)]
    assert behind(platform) == {}


def test_the_analyst_reads_and_cannot_write(platform: Platform) -> None:
    with platform.database.connect(Role.ANALYST, autocommit=True) as connection:
        for table in ("tick_minutes", "features_1m", "feature_revisions_1m"):
            assert connection.execute(f"select count(*) from {table}").fetchall() == [(0,)]  # noqa: S608  # names of ours
            with pytest.raises(Exception, match=r"read-only|permission denied"):
                connection.execute(f"delete from {table}")  # noqa: S608  # names of ours
