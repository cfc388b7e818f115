"""Nothing is told as known before what it is made from: what comes in while bars and verdicts are made was known before they are."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import pytest

from rrr_assets import read
from rrr_assets.calc.information_bars import Rule
from rrr_assets.calc.outcomes import DayRefreshed
from rrr_assets.contracts.bars import Engine
from rrr_assets.warehouse.compare import compare_days
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.information_bars import refresh_information_bars, set_rules
from rrr_assets.warehouse.refresh import refresh_bars
from rrr_assets_tests.loading import DAY, NAME, Told, emptied, midnight, rest, take, vision
from rrr_assets_tests.platform import Platform

START = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
T = TypeVar("T")
MINUTE = timedelta(minutes=1)
TRADES = [Told(100 + n, midnight(DAY) + n * 30_000_000, f"{n + 1}.5", "2") for n in range(8)]
LATE, LATER = Told(108, midnight(DAY) + 61_000_000, "77", "3"), Told(109, midnight(DAY) + 181_000_000, "78", "3")
OF_THE_VENUE = (
    "insert into venue_bars (instrument, interval, bar_start, open, high, low, close, volume, is_closed, known_at, batch_id)"
    " values (%s, '1m', %s, 10, 10, 10, 10, 1, true, clock_timestamp(), 1) returning known_at"
)


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


def now(platform: Platform) -> datetime:
    return platform.rows("select clock_timestamp()")[0][0]


def while_held(platform: Platform, refresh: Callable[[], list[T]], meanwhile: Callable[[], object]) -> tuple[list[T], datetime]:
    """Do something while a refresh has its locks and waits for the books; what the refresh answers, and a time before what was done."""
    with platform.database.connect(Role.OWNER) as connection, ThreadPoolExecutor(1) as pool:
        # Loads do not look at these books, so that they go on.
        connection.execute("lock table invalidations_applied in access exclusive mode")
        running = pool.submit(refresh)
        while not platform.rows("select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"):
            assert not running.done(), running.result()
        before = now(platform)
        try:
            meanwhile()
        finally:
            connection.rollback()
        return running.result(), before


def bars(platform: Platform, interval: str, at: datetime | None = None) -> list[dict]:
    return read.bars(NAME, interval, START, START + 60 * MINUTE, as_known_at=at, database=platform.database).to_pylist()


def test_a_bar_made_in_the_database(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, TRADES, DAY))
    platform.refresh()
    old = bars(platform, "1m")
    files = [rest(tmp_path / f"{told.id}", [told]) for told in (LATE, LATER)]
    [done], before = while_held(
        platform,
        lambda: list(refresh_bars(platform.database, "1m", [DAY], whole_days=False)),
        lambda: [take(platform, file) for file in files],
    )
    # Nothing waited when it began; what came meanwhile is in the log that it read, and in its bars.
    assert (done.windows, done.changed) == (2, 2)
    [(stamp,)] = platform.rows("select max(known_at) from raw_trades")
    assert before < stamp
    assert bars(platform, "1m", before) == old
    assert bars(platform, "1m", stamp) == old
    new = bars(platform, "1m")
    assert [bar["trade_count"] for bar in new] == [2, 3, 2, 3]
    # One stamp for all that changed of the instrument, and until then the old bar was believed.
    [known] = {bar["known_at"] for bar in new} - {bar["known_at"] for bar in old}
    assert known > stamp
    assert platform.rows("select distinct believed_until from bar_revisions") == [(known,)]
    assert bars(platform, "1m", known) == new


def test_a_bar_made_of_staged_rows(platform: Platform, tmp_path: Path) -> None:
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        # The day is known, and nothing of it is held.
        connection.execute(
            "insert into coverage (instrument, stream, day, row_count, updated_at) values (%s, 'trades', %s, 0, now())", (NAME, DAY)
        )

    def refresh() -> list[DayRefreshed]:
        return list(refresh_bars(platform.database, "1m", [DAY], whole_days=True, home=platform.home, engine=Engine.columnar))

    [done], before = while_held(platform, refresh, lambda: take(platform, vision(tmp_path, TRADES, DAY)))
    assert (done.changed, done.windows_columnar) == (4, 1)
    [(stamp,)] = platform.rows("select max(known_at) from raw_trades")
    assert before < stamp
    assert bars(platform, "1m", before) == []
    assert bars(platform, "1m", stamp) == []
    assert {bar["known_at"] > stamp for bar in bars(platform, "1m")} == {True}


def test_a_bar_made_from_shorter_ones(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, TRADES, DAY))
    platform.refresh()
    old = bars(platform, "5m")
    stamps: list[datetime] = []

    def change() -> None:
        moved = (
            "update bars_1m set high = high + 1, known_at = clock_timestamp() where instrument = %s and bar_start = %s returning known_at"
        )
        stamps.extend(known for (known,) in platform.rows(moved, NAME, START + 3 * MINUTE))

    [done], before = while_held(platform, lambda: list(refresh_bars(platform.database, "5m", [DAY], whole_days=True)), change)
    assert done.changed == 1
    assert before < stamps[0]
    assert bars(platform, "5m", before) == bars(platform, "5m", stamps[0]) == old
    [new] = bars(platform, "5m")
    assert (new["high"], new["known_at"] > stamps[0]) == (old[0]["high"] + 1, True)


def test_a_bar_by_what_was_traded(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, TRADES, DAY))
    set_rules(platform.database, NAME, ["tick"], [Rule("tick", Decimal(3))])
    late = rest(tmp_path, [LATE])
    [done], before = while_held(
        platform,
        lambda: list(refresh_information_bars(platform.database, "tick", [DAY], whole_days=True)),
        lambda: take(platform, late),
    )
    assert done.changed == 3
    [(stamp,)] = platform.rows("select known_at from raw_trades where sequence = 108")
    assert before < stamp
    # All cuts after it hang on it.
    assert platform.rows("select trade_count, known_at > %s from bars_tick order by bar_index", stamp) == [(3, True)] * 3
    assert len(platform.rows("select distinct known_at from bars_tick")) == 1


def test_a_verdict(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, TRADES, DAY))
    platform.refresh()
    stamps: list[datetime] = []

    def tell() -> None:
        stamps.extend(known for (known,) in platform.rows(OF_THE_VENUE, NAME, START))

    _, before = while_held(platform, lambda: list(compare_days(platform.database, [DAY], whole_days=True)), tell)
    assert before < stamps[0]
    verdicts = platform.rows("select interval, known_at > %s from bar_conformance where bar_start = %s", stamps[0], START)
    assert verdicts == [("1m", True)]
