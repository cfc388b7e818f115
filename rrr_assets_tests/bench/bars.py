"""Bars: from parsed trades in memory against plain Polars on numbers that are ready, of a fresh day by either engine, of a late window.

What is compared is timed in turns, many times; the ratio of a pair is what counts, the median over the pairs what is reported. Parsing
is no part of it.
"""

import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import perf_counter

import pyarrow as pa
from psycopg import sql

from rrr_assets.calc.columnar import bars_of_day
from rrr_assets.contracts.bars import INTERVALS, Engine
from rrr_assets.venues import registry
from rrr_assets.venues.base import Source
from rrr_assets.warehouse.books import log_invalidations
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.refresh import refresh_bars
from rrr_assets_tests.bench import baseline_polars
from rrr_assets_tests.bench.figures import Figure, median, spread
from rrr_assets_tests.bench.ground import own_home
from rrr_assets_tests.bench.ingest import FORMAT, INSTRUMENT, simulated_days, take_in

_PAIRS = 15
_WARM_UP = 3
_PRICE_SCALE, _SIZE_SCALE = 2, 5  # of the simulated instrument
_UNCOUNTED = {"binance": ("insurance_fund",)}
_LATE = timedelta(hours=2)
_LATE_TRADES = 66_000


def measure(sizes: Sequence[int]) -> list[Figure]:
    """The 1-minute bars of a day of each size from memory; of a stored day of the first size by either engine, and of a part of it."""
    figures = [_measure(rows) for rows in sizes]
    with own_home() as home:
        database = Database.current()
        [(day, path)] = simulated_days(home.root / "bench-files", 1, sizes[0]).items()
        take_in(home, database, path)
        with database.connect(Role.OWNER, autocommit=True) as connection:
            # As autovacuum does within a minute of a load.
            connection.execute("vacuum analyze")
        return [*figures, _fresh_day(home, database, day, sizes[0]), _late_window(database, day)]


def _measure(rows: int) -> Figure:
    trades = parsed_trades(rows)
    ready = baseline_polars.ready(trades, _PRICE_SCALE, _SIZE_SCALE)
    _check(trades, baseline_polars.bars(ready).height)
    ours, theirs, by_hand = [], [], []
    for number in range(_WARM_UP + _PAIRS):
        calls = [
            (ours, _ours(trades)),
            (theirs, lambda: baseline_polars.bars(ready)),
            (by_hand, lambda: baseline_polars.bars_by_hand(ready)),
        ]
        for seconds, call in calls if number % 2 else reversed(calls):
            spent = _timed(call)
            if number >= _WARM_UP:
                seconds.append(spent)
    ratios = [mine / base for mine, base in zip(ours, theirs, strict=True)]
    every = [_timed(lambda: bars_of_day(trades, _UNCOUNTED)) for _ in range(3)]
    details = {
        "trades": len(trades),
        "pairs": spread(ratios),
        "ours s": median(ours),
        "plain Polars s": median(theirs),
        "against Polars tuned by hand": median([mine / base for mine, base in zip(ours, by_hand, strict=True)]),
        "1m to 1d s": median(every),
        "trades/s": round(len(trades) / median(ours)),
    }
    return Figure(
        f"bars_1m from {rows / 1e6:g} M trades", median(ratios), "x Polars", target=1.5, goal=1.2, is_at_most=True, details=details
    )


def parsed_trades(rows: int) -> pa.Table:
    """A simulated day as its parser hands it on."""
    with tempfile.TemporaryDirectory() as folder:
        [path] = simulated_days(Path(folder), 1, rows).values()
        source = Source(path, path.name, None, None)
        form = registry.get(FORMAT)
        return pa.Table.from_batches([batch.rows for batch in form.parse(source, form.inspect(source))])


def _ours(trades: pa.Table) -> Callable[[], object]:
    return lambda: bars_of_day(trades, _UNCOUNTED, ["1m"])


def _check(trades: pa.Table, expected: int) -> None:
    made = len(bars_of_day(trades, _UNCOUNTED, ["1m"])["1m"])
    if made != expected:
        raise RuntimeError(f"ours are {made} bars, the baseline's {expected}: they do not do the same work")


def _timed(call: Callable[[], object]) -> float:
    begun = perf_counter()
    call()
    return perf_counter() - begun


def _fresh_day(home: Home, database: Database, day: date, rows: int) -> Figure:
    """A day without bars, made whole from its staged rows, and in the database."""
    seconds: dict[Engine, list[float]] = {Engine.columnar: [], Engine.sql: []}
    engines = list(seconds)
    for number in range(_WARM_UP + _PAIRS):
        for engine in engines if number % 2 else reversed(engines):
            with database.connect(Role.OWNER, autocommit=True) as connection:
                connection.execute("truncate bars_1m")
            begun = perf_counter()
            [done] = refresh_bars(database, "1m", [day], whole_days=True, home=home, engine=engine)
            spent = perf_counter() - begun
            if done.windows_columnar != (engine is Engine.columnar) or done.changed != done.bars:
                raise RuntimeError(f"this is not a fresh day by {engine}: {done}")
            if number >= _WARM_UP:
                seconds[engine].append(spent)
    ratios = [theirs / ours for ours, theirs in zip(seconds[Engine.columnar], seconds[Engine.sql], strict=True)]
    details = {
        "sql s": median(seconds[Engine.sql]),
        "columnar s": median(seconds[Engine.columnar]),
        "pairs": spread(ratios),
        "each columnar s": spread(seconds[Engine.columnar]),
    }
    return Figure(f"bars_1m of a fresh day of {rows / 1e6:g} M trades", median(ratios), "x faster than sql", details=details)


def _late_window(database: Database, day: date) -> Figure:
    """Two hours of which every bar has changed, at all four intervals, in the database."""
    since, trades = _window_of(database, day)
    until = since + _LATE
    seconds, levels = [], []
    for number in range(_WARM_UP + _PAIRS):
        with database.connect(Role.OWNER) as connection:
            for interval, length in INTERVALS.items():
                spoil = sql.SQL("update {} set volume = volume + 1 where bar_start > %s and bar_start < %s")
                connection.execute(spoil.format(sql.Identifier(f"bars_{interval}")), (since - length, until))
            log_invalidations(connection, "raw_trades", [(INSTRUMENT, day, since, until)], "load", None)
        spent = [_timed(lambda interval=interval: _follow(database, interval, day)) for interval in INTERVALS]
        if number >= _WARM_UP:
            seconds.append(sum(spent))
            levels.append(spent)
    details = {
        "trades": trades,
        "each": spread(seconds),
        **{f"{interval} s": median([spent[place] for spent in levels]) for place, interval in enumerate(INTERVALS)},
    }
    return Figure("bars of a late window of 2 h", median(seconds), "s", target=0.3, goal=0.1, is_at_most=True, details=details)


def _window_of(database: Database, day: date) -> tuple[datetime, int]:
    """The two hours of the day that hold about as many trades as those of a busy instrument."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    for interval in INTERVALS:
        list(refresh_bars(database, interval, [day], whole_days=True))
    with database.connect(Role.OWNER) as connection:
        hours = connection.execute("select sum(trade_count)::int from bars_1h group by bar_start order by bar_start").fetchall()
    windows = [(abs(hours[n][0] + hours[n + 1][0] - _LATE_TRADES), n) for n in range(len(hours) - 1)]
    first = min(windows)[1]
    return midnight + first * timedelta(hours=1), hours[first][0] + hours[first + 1][0]


def _follow(database: Database, interval: str, day: date) -> None:
    [done] = refresh_bars(database, interval, [day], whole_days=False)
    if not done.changed:
        raise RuntimeError(f"nothing was late: {done}")
