"""Live bars hold every trade as soon as it is stored, and equal the bars tables once both have been brought up to date."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest

from rrr_assets.bars.assets import bars_asset
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.live import LIVE_BARS
from rrr_assets.quality.live import LIVE_BARS_CHECKS, LIVE_BARS_JOB, LIVE_BARS_SCHEDULE
from rrr_assets.resources.warehouse import Warehouse
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.live import check_live_bars
from rrr_assets.warehouse.migrate import Engine
from rrr_assets_tests.loading import DAY_US, NAME, Told, emptied, midnight, take, tape, vision
from rrr_assets_tests.platform import ON_TIMESCALE, Platform

NOW = timedelta(0)
TODAY = datetime.now(UTC).date()
EARLIER = TODAY - timedelta(days=3)
LATER = TODAY - timedelta(days=2)
OLD = TODAY - timedelta(days=40)
FUTURES = "binance-usdm:BTCUSDT"
ROW = """
    insert into raw_trades (instrument, space, sequence, event_time, time_source, price, size, side, conditions, available_at,
        available_basis, known_at, batch_id)
    select %s, 'trade_id', %s, to_timestamp(0) + %s * interval '1 microsecond', 'venue', %s, %s, %s, %s, now(), 'modelled', now(), 1
"""


@pytest.fixture
def platform(database: Database, engine: Engine, tmp_path: Path) -> Platform:
    empty = emptied(database, tmp_path)
    refresh_live(empty, engine)
    return empty


def refresh_live(platform: Platform, engine: Engine) -> None:
    """What the policies do, at once: the shorter bars first."""
    if engine == "timescaledb":
        with platform.database.connect(Role.OWNER, autocommit=True) as connection:
            for live in LIVE_BARS.values():
                connection.execute(
                    "call refresh_continuous_aggregate(%s, now() - interval '8 days', now() - interval '1 day')", (live.name,)
                )


def broken(platform: Platform, interval: str, settled_for: timedelta = NOW) -> tuple[int, int]:
    """Bars that differ, of how many that were looked at."""
    rules = {rule.rule: rule for rule in check_live_bars(platform.database, interval, settled_for=settled_for)}
    found = rules["live bars equal the bars"]
    assert bool(found.examples) == bool(found.broken)
    return found.broken, found.looked_at


def everywhere(platform: Platform) -> list[int]:
    return [broken(platform, interval)[0] for interval in INTERVALS]


def tied(day_us: int, count: int, seed: int) -> list[Told]:
    """Trades of which many share their microsecond, with ids that do not follow the time."""
    rng = random.Random(seed)
    moments = [0, 1, 59_999_999, 60_000_000, 299_999_999, 3_600_000_000, DAY_US - 1, *(rng.randrange(DAY_US) for _ in range(count // 6))]
    ids = rng.sample(range(1, 10 * count), count)
    return [
        Told(number, day_us + rng.choice(moments), f"{rng.randrange(1, 10**9)}.{rng.randrange(100):02}", f"0.{rng.randrange(1, 99_999):05}")
        for number in ids
    ]


def test_they_equal_the_bars_whatever_the_order_inside_of_equal_times(platform: Platform, engine: Engine, tmp_path: Path) -> None:
    for seed, day in enumerate((EARLIER, LATER)):
        told = tied(midnight(day), 600, seed)
        take(platform, vision(tmp_path, [t.__class__(t.id + 10_000 * seed, t.us, t.price, t.size, t.id % 2 == 0) for t in told], day))
    platform.refresh()
    assert everywhere(platform) == [0, 0, 0, 0], "computed from the trades"
    refresh_live(platform, engine)
    assert everywhere(platform) == [0, 0, 0, 0], "from what was kept"
    assert [broken(platform, interval)[1] for interval in INTERVALS][-1] == 2
    assert broken(platform, "1m")[1] > 150


def test_a_trade_is_in_all_of_them_as_soon_as_it_is_stored(platform: Platform, engine: Engine) -> None:
    refresh_live(platform, engine)
    at = int(datetime.now(UTC).timestamp() * 1_000_000)
    rows = [(NAME, 1, at, 7, Decimal("0.5"), "buy", None), (NAME, 2, at, 8, Decimal("0.25"), "sell", None)]
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("select ensure_day_partition('raw_trades', %s)", (datetime.now(UTC).date(),))
        for row in rows:
            connection.execute(ROW, row)
    with platform.database.connect(Role.ANALYST, autocommit=True) as reader:
        for live in LIVE_BARS.values():
            found = reader.execute(
                f"select open, high, low, close, volume, quote_volume, trade_count, taker_buy_volume, first_sequence, last_sequence"  # noqa: S608  # a contract's name
                f" from {live.name}"
            ).fetchall()
            assert found == [(7, 8, 7, 8, Decimal("0.75"), Decimal("5.5"), 2, Decimal("0.5"), 1, 2)]


def test_what_the_venue_does_not_count_is_in_none_of_them(platform: Platform, engine: Engine) -> None:
    at = midnight(LATER)
    told = [
        (FUTURES, 1, at, 100, 1, "buy", ["insurance_fund"]),
        (FUTURES, 2, at + 1, 10, 1, "buy", ["insurance_fund_", "auction"]),
        (FUTURES, 3, at + 2, 1, 1, "buy", ["adl", "auction"]),
        (FUTURES, 4, at + 3, 11, 1, "sell", []),
        (NAME, 5, at + 4, 12, 1, "sell", ["adl"]),
    ]
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("select ensure_day_partition('raw_trades', %s)", (LATER,))
        for row in told:
            connection.execute(ROW, row)
    refresh_live(platform, engine)
    found = platform.rows("select instrument, open, high, close, trade_count from bars_live_1d order by instrument")
    assert found == [(FUTURES, 10, 11, 11, 2), (NAME, 12, 12, 12, 1)]


def test_what_changed_lately_is_not_compared_and_then_it_is(platform: Platform, engine: Engine, tmp_path: Path) -> None:
    told = tape(LATER, 400)
    take(platform, vision(tmp_path, told[:200] + told[210:], LATER))
    platform.refresh()
    refresh_live(platform, engine)
    whole = broken(platform, "1m")
    take(platform, vision(tmp_path, told[200:210], LATER, "-late"))
    refresh_live(platform, engine)
    assert broken(platform, "1m")[0] == 0, "the bars wait for their refresh"
    assert broken(platform, "1m")[1] < whole[1]
    platform.refresh()
    assert everywhere(platform) == [0, 0, 0, 0]
    assert broken(platform, "1m", timedelta(hours=2)) == (0, 0), "all of it changed within two hours"


@ON_TIMESCALE
def test_live_bars_that_were_not_refreshed_are_found(platform: Platform, engine: Engine, tmp_path: Path) -> None:
    told = tape(LATER, 400)
    take(platform, vision(tmp_path, told[:200] + told[210:], LATER))
    platform.refresh()
    refresh_live(platform, engine)
    take(platform, vision(tmp_path, told[200:210], LATER, "-late"))
    platform.refresh()
    assert all(everywhere(platform))
    refresh_live(platform, engine)
    assert everywhere(platform) == [0, 0, 0, 0]


def test_a_bar_that_was_changed_by_hand_is_found(platform: Platform, engine: Engine, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(LATER, 100), LATER))
    platform.refresh()
    refresh_live(platform, engine)
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("update bars_5m set volume = volume + 0.00000001 where bar_start = (select min(bar_start) from bars_5m)")
        connection.execute("delete from bars_1h where bar_start = (select max(bar_start) from bars_1h)")
    assert everywhere(platform) == [0, 1, 1, 0]


def test_days_before_the_hot_window_are_not_compared(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(OLD, 100), OLD))
    platform.refresh()
    assert [broken(platform, interval) for interval in INTERVALS] == [(0, 0)] * 4


@ON_TIMESCALE
def test_the_policies_do_what_is_asked_of_them(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(LATER, 400), LATER))
    platform.refresh()
    assert all(everywhere(platform)), "below what was refreshed nothing is seen until it is refreshed again"
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        jobs = connection.execute(
            "select job_id from timescaledb_information.jobs where proc_name = 'policy_refresh_continuous_aggregate' order by job_id"
        ).fetchall()
        assert len(jobs) == len(INTERVALS)
        for (job,) in jobs:
            connection.execute("call run_job(%s)", (job,))
        others = "select count(*) from timescaledb_information.jobs where owner = current_user::regrole and job_id <> all(%s)"
        assert connection.execute(others, ([job for (job,) in jobs],)).fetchone() == (0,), "nothing else runs by itself"
    assert everywhere(platform) == [0, 0, 0, 0]


@ON_TIMESCALE
def test_a_rule_of_a_venue_that_the_live_bars_do_not_know_is_found(platform: Platform) -> None:
    def told() -> list[int]:
        return [rule.broken for rule in check_live_bars(platform.database, "1m") if rule.rule == "live bars count what the bars count"]

    assert told() == [0]
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("insert into trade_conditions values ('kraken', 'busted', false, 'a test')")
        try:
            assert told() == [1]
        finally:
            connection.execute("delete from trade_conditions where venue = 'kraken'")
    assert told() == [0]


def test_dagster_is_told_of_each_interval(platform: Platform, engine: Engine, tmp_path: Path) -> None:
    class Here(Warehouse):
        def database(self) -> Database:
            return platform.database

    take(platform, vision(tmp_path, tape(LATER, 100), LATER))
    platform.refresh()
    refresh_live(platform, engine)
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        # As if it had been stored yesterday: what is younger is not looked at.
        connection.execute("update invalidation_log set logged_at = logged_at - interval '1 day'")
        connection.execute("delete from bars_1d")
    defs = dg.Definitions(
        assets=[bars_asset(interval) for interval in INTERVALS],
        asset_checks=LIVE_BARS_CHECKS,
        jobs=[LIVE_BARS_JOB],
        schedules=[LIVE_BARS_SCHEDULE],
        resources={"warehouse": Here()},
    )
    with dg.DagsterInstance.ephemeral() as instance:
        done = defs.resolve_job_def("check_live_bars").execute_in_process(instance=instance)
    told = {found.asset_key.to_user_string(): found.passed for found in done.get_asset_check_evaluations()}
    assert told == {"bars_1m": True, "bars_5m": True, "bars_1h": True, "bars_1d": False}
