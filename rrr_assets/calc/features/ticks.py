"""What is made of one instrument's trades and quotes, minute by minute, for features to be made of.

Belongs here: spreads, depth and the flow of best orders within a minute. Does not: features (the other modules), reading ticks.

A quote stands until the next one, for STANDS at most, as long as nothing is missing in between: over a hole in the tape nobody knows what
stood, and of a feed that is silent for longer neither. One that lacks a side, or whose bid lies above its ask, stands for nothing: where
it stands there is no spread. Sums are made minute by minute in the order of the rows, so that a minute's values are the same bits whether
it is computed alone or with its whole day.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from rrr_assets.calc.features.compute import MINUTE
from rrr_assets.calc.features.declare import TICK_INPUTS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Array = npt.NDArray[np.float64]
    Whole = npt.NDArray[np.int64]

_MINUTE_US: Final = 60_000_000
STANDS: Final = timedelta(minutes=10)
QUOTE_COLUMNS: Final = ("event_time", "available_at", "is_observed", "bid_price", "bid_size", "ask_price", "ask_size")
TRADE_COLUMNS: Final = ("event_time", "available_at", "is_observed", "price", "size")


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands from when on, cut at the edges of minutes, of the window: `at` and `until` in microseconds, `is_quote` where a quote came
    then, and bid, bid size, ask, ask size as `numbers` (NaN where nothing stands), with what stood `before`; and of all that was given.
    """

    at: "Whole"
    until: "Whole"
    is_quote: "npt.NDArray[np.bool_]"
    numbers: "Array"
    before: "Array"
    all_at: "Whole"
    all_numbers: "Array"


def tick_minutes(
    trades: "pl.DataFrame", quotes: "pl.DataFrame", quote_tape: "pl.DataFrame", since: datetime, until: datetime, delay: timedelta
) -> "pl.DataFrame":
    """One row per minute of [since, until).

    Args:
        trades: TRADE_COLUMNS of the trades that count in bars, in order; prices and sizes as doubles, times in UTC.
        quotes: QUOTE_COLUMNS in order, of [since - STANDS, until).
        quote_tape: `from_time`, `to_time`: stretches in which no quote is missing, in order, apart from each other.
        since: UTC, a whole minute.
        until: UTC, a whole minute.
        delay: after the end of a minute in which nothing came, until that could be known.

    Returns:
        `bar_start`; `available_at`, when all of the minute could be used, never before its end, and `is_observed`, whether that was
        observed of every trade and quote in it; `quote_count`; and TICK_INPUTS, null where there is no value.
    """
    import numpy as np
    import polars as pl

    first, end = _us(since), _us(until)
    starts = np.arange(first, end, _MINUTE_US)
    stands = _standing(quotes, quote_tape, first, end)
    columns = _of_standing(stands, starts, _is_whole(quote_tape, starts)) | {
        "effective_spread_bps": _effective_spread(trades, stands, starts),
        "book_flow": _flow(stands, starts),
    }
    known = _is_whole(quote_tape, starts) & ~np.isnan(columns["quoted_spread_bps"])
    columns["book_flow"] = np.where(known, columns["book_flow"], np.nan)
    came = pl.concat(
        [trades.select("event_time", "available_at", "is_observed"), quotes.select("event_time", "available_at", "is_observed")]
    )
    in_minute = (
        came.filter((pl.col("event_time") >= since) & (pl.col("event_time") < until))
        .group_by(pl.col("event_time").dt.truncate("1m").alias("bar_start"))
        .agg(pl.col("available_at").max(), pl.col("is_observed").all())
    )
    counted = np.bincount(_slots(_int(quotes["event_time"]), starts), minlength=len(starts) + 1)[: len(starts)]
    frame = pl.DataFrame({"bar_start": starts, "quote_count": counted, **{name: columns[name] for name in TICK_INPUTS}})
    time = pl.Datetime("us", "UTC")
    ended = pl.col("bar_start") + MINUTE
    return (
        frame.with_columns(pl.col("bar_start").cast(time), *(pl.col(name).fill_nan(None) for name in TICK_INPUTS))
        .join(in_minute.cast({"bar_start": time, "available_at": time}), on="bar_start", how="left", maintain_order="left")
        .select(
            "bar_start",
            pl.max_horizontal(ended, pl.col("available_at").fill_null(ended + delay)).alias("available_at"),
            pl.col("is_observed").fill_null(value=False),
            "quote_count",
            *TICK_INPUTS,
        )
    )


def _standing(quotes: "pl.DataFrame", tape: "pl.DataFrame", first: int, end: int) -> Standing:
    import numpy as np
    import polars as pl

    names = ("bid_price", "bid_size", "ask_price", "ask_size")
    values = np.column_stack([quotes[name].cast(pl.Float64).to_numpy() for name in names]) if len(quotes) else np.empty((0, 4))
    at = _int(quotes["event_time"])
    usable = (values[:, 0] > 0) & (values[:, 2] >= values[:, 0]) & ~np.isnan(values).any(axis=1)
    values = np.where(usable[:, None], values, np.nan)
    limit = STANDS // timedelta(microseconds=1)
    expires = at[np.append(np.diff(at) > limit, True)] + limit if len(at) else at
    ends = np.concatenate([_int(tape["to_time"]), expires])
    edges = np.arange(first, end, _MINUTE_US)
    # What happens at one moment happens in this order: the tape ends, quotes come, a minute begins with what stands by then.
    moments = np.concatenate([ends, at, edges])
    kind = np.concatenate([np.zeros(len(ends)), np.ones(len(at)), np.full(len(edges), 2)])
    taken = np.concatenate([np.full((len(ends), 4), np.nan), values, np.full((len(edges), 4), np.nan)])
    order = np.lexsort((kind, moments))
    moments, kind, taken = moments[order], kind[order], taken[order]
    # A minute's edge shows what stands: the last row before it that is none.
    told = np.maximum.accumulate(np.where(kind == 2, -1, np.arange(len(kind))))
    standing = np.where((told >= 0)[:, None], taken[told], np.nan)
    before = np.vstack([np.full((1, 4), np.nan), standing[:-1]]) if len(standing) else standing
    following = np.append(moments[1:], end) if len(moments) else moments
    inside = (moments >= first) & (moments < end)
    return Standing(
        at=moments[inside], until=np.minimum(following[inside], end), is_quote=kind[inside] == 1, numbers=standing[inside],
        before=before[inside], all_at=moments, all_numbers=standing,
    )  # fmt: skip


def _of_standing(stands: Standing, starts: "Whole", whole: "npt.NDArray[np.bool_]") -> dict[str, "Array"]:
    """Means over a minute, weighted by time, of the spread and the depth, and the imbalance that stands at its end."""
    import numpy as np

    bid, bid_size, ask, ask_size = (stands.numbers[:, k] for k in range(4))
    lasted = (stands.until - stands.at).astype(np.float64)
    stood = ~np.isnan(bid)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = (ask - bid) / ((ask + bid) / 2) * 10_000
        depth = (bid_size + ask_size) / 2
        sizes = bid_size + ask_size
        imbalance = np.where(sizes > 0, (bid_size - ask_size) / sizes, np.nan)
    slots = _slots(stands.at, starts)
    time_stood = _sums(np.where(stood, lasted, 0.0), slots, starts)
    last = np.searchsorted(stands.at, starts + _MINUTE_US, side="left") - 1

    def mean(values: "Array") -> "Array":
        total = _sums(np.where(stood, values * lasted, 0.0), slots, starts)
        return np.where(whole & (time_stood > 0), total / np.where(time_stood > 0, time_stood, 1), np.nan)

    return {
        "quoted_spread_bps": mean(spread),
        "book_depth": mean(depth),
        "depth_imbalance_close": np.where(whole & (last >= 0), imbalance[np.maximum(last, 0)], np.nan) if len(last) else np.empty(0),
    }


def _flow(stands: Standing, starts: "Whole") -> "Array":
    """What the best bid gained and the best ask lost, quote by quote: e_n of Cont, Kukanov and Stoikov (2014), summed over the minute.

    A quote after nothing says nothing.
    """
    import numpy as np

    bid, bid_size, ask, ask_size = (stands.numbers[:, k] for k in range(4))
    was_bid, was_bid_size, was_ask, was_ask_size = (stands.before[:, k] for k in range(4))
    gained = np.where(bid >= was_bid, bid_size, 0) - np.where(bid <= was_bid, was_bid_size, 0)
    lost = np.where(ask >= was_ask, was_ask_size, 0) - np.where(ask <= was_ask, ask_size, 0)
    counts = stands.is_quote & ~np.isnan(bid) & ~np.isnan(was_bid)
    return _sums(np.where(counts, gained + lost, 0.0), _slots(stands.at, starts), starts)


def _effective_spread(trades: "pl.DataFrame", stands: Standing, starts: "Whole") -> "Array":
    """Twice the distance of trades from the mid that stood before them, weighted by size; one of a trade's own moment does not count."""
    import numpy as np
    import polars as pl

    at = _int(trades["event_time"])
    price, size = (trades[name].cast(pl.Float64).to_numpy() for name in ("price", "size"))
    index = np.searchsorted(stands.all_at, at, side="left") - 1
    numbers = stands.all_numbers[np.maximum(index, 0)] if len(stands.all_at) else np.full((len(at), 4), np.nan)
    mid = np.where(index >= 0, (numbers[:, 0] + numbers[:, 2]) / 2, np.nan)
    counts = ~np.isnan(mid)
    spread = np.where(counts, 2 * np.abs(price - mid) / np.where(counts, mid, 1) * 10_000, 0.0)
    slots = _slots(at, starts)
    weight = _sums(np.where(counts, size, 0.0), slots, starts)
    total = _sums(spread * np.where(counts, size, 0.0), slots, starts)
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1), np.nan)


def _is_whole(tape: "pl.DataFrame", starts: "Whole") -> "npt.NDArray[np.bool_]":
    import numpy as np

    begins, ends = _int(tape["from_time"]), _int(tape["to_time"])
    index = np.searchsorted(begins, starts, side="right") - 1
    return (index >= 0) & (np.append(ends, 0)[index] >= starts + _MINUTE_US)


def _slots(at: "Whole", starts: "Whole") -> "Whole":
    """The number of each moment's minute; one past the last where it lies outside."""
    import numpy as np

    slot = (at - (starts[0] if len(starts) else 0)) // _MINUTE_US
    return np.where((slot >= 0) & (slot < len(starts)), slot, len(starts))


def _sums(values: "Array", slots: "Whole", starts: "Whole") -> "Array":
    """Sums by minute, each added up row by row in order: bincount does so, whatever stands before and after."""
    import numpy as np

    return np.bincount(slots, weights=values, minlength=len(starts) + 1)[: len(starts)].astype(np.float64, copy=False)


def _int(times: "pl.Series") -> "Whole":
    import polars as pl

    return times.cast(pl.Datetime("us", "UTC")).cast(pl.Int64).to_numpy()


def _us(at: datetime) -> int:
    return round(at.timestamp()) * 1_000_000
