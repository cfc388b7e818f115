"""Reading: bars as Arrow through the public reads, over a session that is kept, and the same bars straight from the trades."""

import statistics
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import perf_counter

from rrr_assets import read
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.refresh import refresh_bars
from rrr_assets_tests.bench import baseline_raw_bars
from rrr_assets_tests.bench.figures import Figure, median, spread
from rrr_assets_tests.bench.ingest import INSTRUMENT, simulated_days, take_in

_HOURS = 14_400
_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_WARM_UP = 5
# Numbers of as many digits as those of a busy instrument.
_HOURLY_BARS = """
insert into bars_1h
select
    %s, timestamptz '2020-01-01 00:00+00' + n * interval '1 hour', 42000.12 + n %% 100, 42200.5 + n %% 100, 41000.25, 42000.75 + n %% 100,
    123.45678 + n, 5185432.1234567 + n * 1000.1234567, 42001.123456789012, 1000 + n, 60.12345 + n %% 7, 2592716.0617281,
    144709423 + n * 1000, 144709423 + n * 1000 + 999, true, now()
from generate_series(0, %s) as n
"""


def measure(home: Home, rows: int) -> list[Figure]:
    """A year and a half of hourly bars, a day of 5-minute bars, and the trades of a day of so many."""
    database = Database.current()
    [(day, path)] = simulated_days(home.root / "bench-files", 1, rows).items()
    take_in(home, database, path)
    for interval in ("1m", "5m"):
        list(refresh_bars(database, interval, [day], whole_days=True))
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute(_HOURLY_BARS, (INSTRUMENT, _HOURS - 1))
        connection.execute("vacuum analyze")
    since = datetime(day.year, day.month, day.day, tzinfo=UTC)
    until = since + timedelta(days=1)
    until_then = _LONG_AGO + timedelta(hours=_HOURS)

    hourly = _times(lambda: len(read.bars(INSTRUMENT, "1h", _LONG_AGO, until_then)), _HOURS, 40)
    daily = _times(lambda: len(read.bars(INSTRUMENT, "5m", since, until)), 288, 200)
    with database.connect(Role.ANALYST, autocommit=True) as connection:
        from_trades = _times(lambda: baseline_raw_bars.bars(connection, INSTRUMENT, since, until), 288, 5)
    held = len(read.trades(INSTRUMENT, since, until))
    trades = _times(lambda: len(read.trades(INSTRUMENT, since, until)), held, 3)
    ratio = statistics.median(from_trades) / statistics.median(daily)
    return [
        Figure("read 14,400 bars 1h", _ms(hourly), "ms", target=150, goal=60, is_at_most=True, details=_details(hourly)),
        Figure("read 288 bars 5m, p95", _p95(daily), "ms", target=5, goal=3, is_at_most=True, details=_details(daily)),
        Figure(
            "read 288 bars 5m, over trades",
            round(ratio, 1),
            "x faster",
            target=40,
            goal=65,
            details={"trades": held, "from trades s": spread(from_trades)},
        ),
        Figure("read trades", round(held / statistics.median(trades)), "trades/s", details={"trades": held, "each s": spread(trades)}),
    ]


def _times(call: Callable[[], int], expected: int, times: int) -> list[float]:
    """Seconds of each call, after some that are not counted."""
    seconds = []
    for number in range(min(_WARM_UP, times) + times):
        begun = perf_counter()
        found = call()
        spent = perf_counter() - begun
        if found != expected:
            raise RuntimeError(f"{found} rows instead of {expected}")
        if number >= min(_WARM_UP, times):
            seconds.append(spent)
    return seconds


def _details(seconds: list[float]) -> dict[str, object]:
    return {"p50 ms": _ms(seconds), "p95 ms": _p95(seconds), "least ms": round(min(seconds) * 1000, 2), "reads": len(seconds)}


def _ms(seconds: list[float]) -> float:
    return round(median(seconds) * 1000, 2)


def _p95(seconds: list[float]) -> float:
    return round(statistics.quantiles(seconds, n=20)[-1] * 1000, 2)
