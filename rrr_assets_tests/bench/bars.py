"""Bars of bulk history: from parsed trades in memory to exact bars, against plain Polars on numbers that are ready.

Both are timed in turns, many times; the ratio of a pair is what counts, the median over the pairs what is reported. Parsing and
writing are no part of it.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import pyarrow as pa

from rrr_assets.calc.columnar import bars_of_day
from rrr_assets.venues import registry
from rrr_assets.venues.base import Source
from rrr_assets_tests.bench import baseline_polars
from rrr_assets_tests.bench.figures import Figure, median, spread
from rrr_assets_tests.bench.ingest import FORMAT, simulated_days

_PAIRS = 15
_WARM_UP = 3
_PRICE_SCALE, _SIZE_SCALE = 2, 5  # of the simulated instrument
_UNCOUNTED = {"binance": ("insurance_fund",)}


def measure(sizes: Sequence[int]) -> list[Figure]:
    """The 1-minute bars of a day of each size."""
    return [_measure(rows) for rows in sizes]


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
