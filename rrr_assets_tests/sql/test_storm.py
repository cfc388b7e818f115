"""An invalidation storm: millions of entries of the log are worked off in bounded transactions, and nothing of them is lost.

By default the storm is small. RRR_TEST_STORM_ROWS=10000000 makes it the one of which the numbers are told:
python -m pytest rrr_assets_tests/sql/test_storm.py -k worked_off
"""

import json
import os
import resource
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString

import pytest

from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.information_bars import FOLLOWED, KINDS
from rrr_assets.warehouse import refresh
from rrr_assets.warehouse.compare import compare_days
from rrr_assets.warehouse.connect import Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.information_bars import refresh_information_bars
from rrr_assets.warehouse.migrate import Engine
from rrr_assets.warehouse.refresh import SOURCES, TICKS, VERDICTS, VERDICTS_FOLLOW, days_behind, refresh_bars
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets_tests.loading import Told, midnight, vision
from rrr_assets_tests.platform import Platform, made_database
from rrr_assets_tests.warm import killed_at

pytestmark = pytest.mark.slow

ROWS = int(os.environ.get("RRR_TEST_STORM_ROWS", "300000"))
IS_FULL = ROWS >= 1_000_000
DAYS = [date(2025, 3, 1) + timedelta(days=n) for n in range(10 if IS_FULL else 4)]
SYMBOLS = ("AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT", "EEEUSDT") if IS_FULL else ("AAAUSDT", "BBBUSDT", "CCCUSDT")
TRADES = 10_000 if IS_FULL else 400
CONSUMERS: Mapping[str, Sequence[str]] = {
    **{f"bars_{interval}": sorted({source, *TICKS}) for interval, source in SOURCES.items()},
    VERDICTS: VERDICTS_FOLLOW,
    **FOLLOWED,
}


@pytest.fixture
def platform(engine: Engine, tmp_path: Path) -> Iterator[Platform]:
    landing_home = Home(tmp_path / "landing-home")
    landing_home.root.mkdir()
    landing_home.prepare()
    with made_database(f"test_storm_{uuid.uuid4().hex[:12]}", engine) as made:
        yield Platform(made, landing_home)


def tape(symbol: str, day: date, count: int = TRADES) -> list[Told]:
    """Trades over the whole day, their ids those of the symbol's tape."""
    step = 86_400_000_000 // count
    base, number = midnight(day), (day - DAYS[0]).days * count
    cents = 10_000 + sum(map(ord, symbol))
    return [
        Told(1 + number + n, base + n * step + n % 977, f"{cents + n % 13}.{n % 10}", f"0.{n % 9 + 1}", n % 3 == 0) for n in range(count)
    ]


def bring(platform: Platform, folder: Path, symbol: str, day: date, trades: Sequence[Told], suffix: str = "") -> None:
    for loaded in platform.take_in(vision(folder, trades, day, suffix, symbol), "binance-vision-trades"):
        assert [file.refused for file in loaded.files] == [None]


def stale(platform: Platform, folder: Path) -> None:
    """Every day made, and then a late trade in the middle of each of which no bar knows yet."""
    for symbol in SYMBOLS:
        for day in DAYS:
            trades = tape(symbol, day)
            middle = len(trades) // 2
            bring(platform, folder, symbol, day, [*trades[:middle], *trades[middle + 1 :]])
    follow(platform)
    for symbol in SYMBOLS:
        for day in DAYS:
            trades = tape(symbol, day)
            bring(platform, folder, symbol, day, [trades[len(trades) // 2]], "-late")


def follow(platform: Platform, *, whole_days: bool = False) -> None:
    platform.refresh(DAYS, whole_days=whole_days)
    for kind in KINDS:
        list(refresh_information_bars(platform.database, kind, DAYS, whole_days=whole_days))


def storm(platform: Platform, rows: int, symbols: Sequence[str] = SYMBOLS, days: Sequence[date] = DAYS) -> int:
    """Enter changes all over the days, in one statement; how many of them."""
    each = rows // (len(symbols) * len(days))
    with platform.database.connect(Role.WRITER) as connection:
        done = connection.execute(
            "insert into invalidation_log (relation, instrument, day, from_time, to_time, reason, logged_at) "
            "select 'raw_trades', 'binance:' || s, d, at, at + interval '3 seconds', 'load', now() "
            "from generate_series(1::bigint, %s) as n, unnest(%s::text[]) as s, unnest(%s::date[]) as d, "
            "lateral (select (d + make_interval(secs => (n * 7919 %% 86397))) at time zone 'UTC') as x (at)",
            (each, list(symbols), list(days)),
        )
        return done.rowcount


def behind(platform: Platform) -> list[date]:
    return list(days_behind(platform.database, 1000, timedelta(0)))


def standing(platform: Platform) -> dict[str, str]:
    """Every table of bars and verdicts as a hash, but for the moment it became known."""
    tables = [*(f"bars_{interval}" for interval in INTERVALS), *(f"bars_{kind}" for kind in KINDS), VERDICTS]
    hashed = "select md5(string_agg((to_jsonb(t) - 'known_at')::text, '|' order by (to_jsonb(t) - 'known_at')::text)) from {} as t"
    return {table: platform.rows(hashed.format(table))[0][0] for table in tables}


def applied(platform: Platform, consumer: str) -> dict[date, datetime]:
    moments = "select day, max(applied_at) from invalidations_applied where consumer = %s and relation = 'raw_trades' group by 1"
    return dict(platform.rows(moments, consumer))


def rows_read(platform: Platform, statement: str, values: Mapping[str, Any], relation: str, settings: LiteralString = "") -> int:
    """How many rows of a relation a statement reads, under the settings under which it is run."""
    with platform.database.connect(Role.WRITER) as connection:
        connection.execute(settings)
        ((plan,),) = connection.execute(f"explain (analyze, format json) {statement}", values).fetchall()

    def walk(node: Mapping[str, Any]) -> float:
        mine = 0.0
        if node.get("Relation Name") == relation:
            mine = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        return mine + sum(walk(below) for below in node.get("Plans", ()))

    return round(walk(plan[0]["Plan"]))


@dataclass
class Peak:
    """The server's memory at most, its own and that in shared buffers, in MB; and the longest transaction, in seconds."""

    own_mb: float = 0
    shared_mb: float = 0
    longest: float = 0
    transactions: int = 0
    finished: threading.Event = field(default_factory=threading.Event)


@contextmanager
def watched(platform: Platform) -> Iterator[Peak]:
    """Look at the server's memory several times a second; what its processes share is counted once."""
    with platform.database.connect_admin() as connection:
        ((data,),) = connection.execute("show data_directory").fetchall()
    postmaster = int((Path(data) / "postmaster.pid").read_text().splitlines()[0])
    peak = Peak()

    def look() -> None:
        while not peak.finished.wait(0.2):
            found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(postmaster)], capture_output=True, text=True, check=False)
            of_processes = [_memory_mb(pid) for pid in (postmaster, *map(int, found.stdout.split()))]
            peak.own_mb = max(peak.own_mb, sum(own for own, _ in of_processes))
            peak.shared_mb = max(peak.shared_mb, sum(shared for _, shared in of_processes))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield peak
    finally:
        peak.finished.set()
        looking.join()


def _memory_mb(pid: int) -> tuple[float, float]:
    """A process' own memory, and its part of what processes share."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0  # it ended since it was listed
    found = {line.split(":")[0]: int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss_")}
    return found["Pss_Anon"], found["Pss_Shmem"]


def transactions(steps: Iterator[object], peak: Peak) -> None:
    """Work through days that are a transaction each."""
    begun = time.perf_counter()
    for _ in steps:
        peak.longest = max(peak.longest, time.perf_counter() - begun)
        peak.transactions += 1
        begun = time.perf_counter()


@pytest.mark.timeout(3600 if IS_FULL else 600)
def test_a_storm_is_worked_off_in_bounded_transactions(platform: Platform, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stale(platform, tmp_path)
    # A storm comes faster than statistics: to the planner there are as few entries as before.
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("analyze invalidation_log")
    took: dict[str, float] = {}
    with watched(platform) as peak:
        begun = time.perf_counter()
        rows = storm(platform, ROWS)
        took["entering them"] = time.perf_counter() - begun
        assert rows > 0.99 * ROWS
        assert rows / (len(SYMBOLS) * len(DAYS)) > refresh.MOST_ENTRIES
        begun = time.perf_counter()
        assert behind(platform) == DAYS
        took["days_behind"] = time.perf_counter() - begun
        for consumer, relations in CONSUMERS.items():
            values = {"consumer": consumer, "relations": list(relations), "most": 400, "settled_for": timedelta(0)}
            assert rows_read(platform, query("refresh_days_pending"), values, "invalidation_log") == 0
        begun = time.perf_counter()
        for interval in INTERVALS:
            names = [f"binance:{symbol}" for symbol in SYMBOLS]
            upstream = [SOURCES[interval]] if interval != "1m" else []
            consumer = f"bars_{interval}"
            values = {
                "grid": INTERVALS[interval], "consumer": consumer, "relations": list(CONSUMERS[consumer]), "day": DAYS[0],
                "instruments": names, "upstream": upstream, "most": refresh.MOST_ENTRIES,
            }  # fmt: skip
            read = rows_read(platform, query("refresh_pending"), values, "invalidation_log", refresh.ENTRY_BY_ENTRY)
            assert len(names) * refresh.MOST_ENTRIES <= read <= len(names) * (refresh.MOST_ENTRIES + 10), interval
            transactions(refresh_bars(platform.database, interval, DAYS, whole_days=False), peak)
        transactions(compare_days(platform.database, DAYS, whole_days=False), peak)
        for kind in KINDS:
            transactions(refresh_information_bars(platform.database, kind, DAYS, whole_days=False), peak)
        took["working them off"] = time.perf_counter() - begun
    # One a day and table, however many entries there are.
    assert peak.transactions == len(CONSUMERS) * len(DAYS)
    assert behind(platform) == []
    # What stands is what a computation of whole days makes, and the late trades are in it.
    after = standing(platform)
    follow(platform, whole_days=True)
    assert standing(platform) == after
    assert platform.rows("select sum(trade_count), bool_and(is_complete) from bars_1d") == [(TRADES * len(SYMBOLS) * len(DAYS), True)]
    # Nothing is left to be read.
    begun = time.perf_counter()
    follow(platform)
    took["looking again"] = time.perf_counter() - begun
    if IS_FULL:
        own_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        told = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in took.items())
        with capsys.disabled():
            sys.stdout.write(
                f"\n{rows:,} rows over {len(SYMBOLS)} instruments and {len(DAYS)} days: {told}; {peak.transactions} transactions, "
                f"the longest {peak.longest:.2f} s; at most {peak.own_mb:,.0f} MB in the server beside {peak.shared_mb:,.0f} MB of shared "
                f"buffers, and {own_mb:,.0f} MB in the process\n"
            )
    else:
        assert peak.longest < 30


def test_few_entries_beside_a_storm_touch_their_windows_alone(platform: Platform, tmp_path: Path) -> None:
    """What storms elsewhere is the whole day of its instrument, and of no other."""
    platform.days.update(DAYS[:1])
    for symbol in SYMBOLS[:2]:
        bring(platform, tmp_path, symbol, DAYS[0], tape(symbol, DAYS[0]))
    follow(platform)
    storm(platform, refresh.MOST_ENTRIES + 1, SYMBOLS[:1], DAYS[:1])
    storm(platform, 3, SYMBOLS[1:2], DAYS[:1])
    relations, names = sorted(TICKS), [f"binance:{symbol}" for symbol in SYMBOLS[:2]]
    with platform.database.connect(Role.WRITER) as connection:
        found = refresh.read_pending(connection, "bars_1m", relations, timedelta(minutes=1), DAYS[0], names, [])
    whole, few = (found[name] for name in names)
    start = datetime.combine(DAYS[0], datetime.min.time(), UTC)
    assert [(span.lower, span.upper) for span in whole.windows] == [(start, start + timedelta(days=1))]
    assert sum((span.upper - span.lower for span in few.windows if span.upper and span.lower), timedelta()) <= timedelta(minutes=6)
    last = dict(platform.rows("select instrument, max(invalidation_id) from invalidation_log where relation = 'raw_trades' group by 1"))
    assert [dict(one.last_ids) for one in (whole, few)] == [{"raw_trades": last[name]} for name in names]


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_at_the_limit_nothing_is_left_or_read_twice(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int) -> None:
    monkeypatch.setattr(refresh, "MOST_ENTRIES", 50)
    platform.days.update(DAYS[:1])
    symbol = SYMBOLS[0]
    bring(platform, tmp_path, symbol, DAYS[0], tape(symbol, DAYS[0]))
    follow(platform)
    storm(platform, 50 + more, [symbol], DAYS[:1])
    for interval in INTERVALS:
        [done] = refresh_bars(platform.database, interval, DAYS[:1], whole_days=False)
        assert (done.windows == 1 if more > 0 else done.windows > 0, done.changed) == (True, 0)
        [again] = refresh_bars(platform.database, interval, DAYS[:1], whole_days=False)
        assert again.windows == 0


def test_a_longer_bar_is_not_ahead_of_the_shorter_ones_in_a_storm(platform: Platform, tmp_path: Path) -> None:
    """What the minutes do not show yet is not noted as applied to the hours, however many entries there are."""
    stale(platform, tmp_path)
    storm(platform, ROWS, SYMBOLS[:1], DAYS[:1])
    before = standing(platform)
    for interval in ("5m", "1h", "1d"):
        list(refresh_bars(platform.database, interval, DAYS, whole_days=False))
        list(refresh_bars(platform.database, interval, DAYS[:1], whole_days=True))
    list(compare_days(platform.database, DAYS[:1], whole_days=True))
    after = standing(platform)
    assert {table for table in before if before[table] != after[table]} <= {"bars_5m", "bars_1h", "bars_1d"}
    # All of the day waits for its minutes: none of its longer bars is complete.
    complete = "select count(*) from bars_5m where is_complete and instrument = %s and bar_start < %s"
    assert platform.rows(complete, f"binance:{SYMBOLS[0]}", DAYS[1]) == [(0,)]
    assert behind(platform) == DAYS
    follow(platform)
    assert behind(platform) == []
    assert platform.rows("select bool_and(is_complete) from bars_5m") == [(True,)]
    settled = standing(platform)
    follow(platform, whole_days=True)
    assert standing(platform) == settled


def test_what_the_minutes_show_of_a_storm_is_all_that_the_hours_note(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than is read waits and is shown, and a late trade beside it that is not: it goes on waiting."""
    monkeypatch.setattr(refresh, "MOST_ENTRIES", 50)
    platform.days.update(DAYS[:1])
    symbol, trades = SYMBOLS[0], tape(SYMBOLS[0], DAYS[0])
    middle = len(trades) // 2
    bring(platform, tmp_path, symbol, DAYS[0], [*trades[:middle], *trades[middle + 1 :]])
    follow(platform)
    storm(platform, 200, [symbol], DAYS[:1])
    list(refresh_bars(platform.database, "1m", DAYS[:1], whole_days=False))
    bring(platform, tmp_path, symbol, DAYS[0], [trades[middle]], "-late")
    for interval in ("5m", "1h", "1d", "1m"):
        list(refresh_bars(platform.database, interval, DAYS[:1], whole_days=False))
    assert platform.rows("select sum(trade_count) from bars_1m") == [(len(trades),)]
    assert platform.rows("select sum(trade_count) from bars_1d") == [(len(trades) - 1,)]
    noted = "select min(a.applied_through) < max(d.last_id) from invalidations_applied as a, invalidation_days as d where {}"
    of_trades = "a.relation = 'raw_trades' and d.relation = 'raw_trades' and a.consumer = 'bars_5m'"
    assert platform.rows(noted.format(of_trades)) == [(True,)]
    follow(platform)
    assert platform.rows("select sum(trade_count), bool_and(is_complete) from bars_1d") == [(len(trades), True)]
    assert behind(platform) == []


def test_entries_that_come_meanwhile_are_not_lost(platform: Platform, tmp_path: Path) -> None:
    stale(platform, tmp_path)
    storm(platform, ROWS)
    symbol, count = SYMBOLS[0], TRADES * len(DAYS)
    steps = refresh_bars(platform.database, "1m", DAYS, whole_days=False)
    assert next(steps).day == DAYS[0]

    def one_more(day: date, number: int) -> Told:
        return Told(count * 10 + number, midnight(day) + 40_000_000_000 + number, "77.5", "2")

    # While the second day is still to come: a trade of the first, which is done, and of the last, which is not.
    bring(platform, tmp_path, symbol, DAYS[0], [one_more(DAYS[0], 1)], "-more")
    bring(platform, tmp_path, symbol, DAYS[-1], [one_more(DAYS[-1], 2)], "-more")
    assert [done.day for done in steps] == DAYS[1:]
    added = "select bar_start::date from bars_1m where instrument = %s and low = 77.5 order by 1"
    assert platform.rows(added, f"binance:{symbol}") == [(DAYS[-1],)]
    assert DAYS[0] in behind(platform)
    follow(platform)
    assert platform.rows(added, f"binance:{symbol}") == [(DAYS[0],), (DAYS[-1],)]
    assert behind(platform) == []
    after = standing(platform)
    follow(platform, whole_days=True)
    assert standing(platform) == after


def test_loads_and_refreshers_at_once_in_a_storm(platform: Platform, tmp_path: Path) -> None:
    """Others go on loading, storming and refreshing; in the end nothing is behind and nothing is wrong."""
    stale(platform, tmp_path)
    finished, errors = threading.Event(), []

    def load() -> None:
        for number in range(12):
            day = DAYS[number % len(DAYS)]
            more = Told(10**9 + number, midnight(day) + number * 3_600_000_000, "88.5", "1")
            bring(platform, tmp_path, SYMBOLS[0], day, [more], f"-part{number}")
            storm(platform, len(SYMBOLS) * len(DAYS) * 2000)

    def keep_up() -> None:
        while not finished.is_set():
            follow(platform)

    def noted(work: Any) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  # shown below, in the test's own thread
            errors.append(error)

    refreshing = [threading.Thread(target=noted, args=(keep_up,)) for _ in range(2)]
    loading = threading.Thread(target=noted, args=(load,))
    for thread in (loading, *refreshing):
        thread.start()
    loading.join()
    finished.set()
    for thread in refreshing:
        thread.join()
    assert errors == []
    follow(platform)
    assert behind(platform) == []
    assert platform.rows("select count(*) from bars_1m where low = 88.5") == [(12,)]
    after = standing(platform)
    follow(platform, whole_days=True)
    assert standing(platform) == after


@pytest.mark.crash
def test_killed_in_the_middle_it_goes_on_where_it_stopped(platform: Platform, tmp_path: Path) -> None:
    stale(platform, tmp_path)
    storm(platform, ROWS)
    script = f"""
from datetime import date, timedelta
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.refresh import refresh_bars
days = [date.fromisoformat(day) for day in {json.dumps([day.isoformat() for day in DAYS])}]
print(list(refresh_bars(Database.current({platform.database.name!r}), "1m", days, whole_days=False)))
"""
    before = applied(platform, "bars_1m")
    killed_at("bars.before_commit:3", script)
    halfway = applied(platform, "bars_1m")
    assert [day for day in DAYS if halfway[day] != before[day]] == DAYS[:2]
    steps = list(refresh_bars(platform.database, "1m", DAYS, whole_days=False))
    assert [done.windows > 0 for done in steps] == [False, False, *[True] * (len(DAYS) - 2)]
    after = applied(platform, "bars_1m")
    assert [day for day in DAYS if after[day] != halfway[day]] == DAYS[2:]
    follow(platform)
    assert behind(platform) == []
    settled = standing(platform)
    follow(platform, whole_days=True)
    assert standing(platform) == settled
