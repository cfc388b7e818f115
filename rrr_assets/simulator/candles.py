"""The exchange's own candles, made straight from the tape at every interval.

Belongs here: open, high, low, close and exact sums per fixed UTC interval, as Binance publishes them.
Does not: rolling up (no candle is made from candles), files, any code that the platform's bars share.
Sums are exact: two 64-bit limbs a sum, put together as 128-bit decimals.
"""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rrr_assets.simulator.tape import DAY_US, MINUTE_US, Flags, Integers, Tape, midnight_us

Limbs = npt.NDArray[np.uint64]

INTERVALS: Final = {"1m": MINUTE_US, "5m": 5 * MINUTE_US, "1h": 60 * MINUTE_US, "1d": DAY_US}
_PRECISION: Final = 38
_LOW_32: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Candles:
    """The candles of one instrument, day and interval as columns of equal length, in order of time.

    Prices and volumes are decimals at the market's own scales; `open_us` are microseconds since the epoch.
    """

    interval_us: int
    open_us: Integers
    open: pa.Array
    high: pa.Array
    low: pa.Array
    close: pa.Array
    volume: pa.Array
    quote_volume: pa.Array
    count: Integers
    taker_buy_volume: pa.Array
    taker_buy_quote_volume: pa.Array

    def __len__(self) -> int:
        return len(self.open_us)

    def without(self, open_us: int) -> "Candles":
        """The same candles but for the one that opens then."""
        others = self.open_us != open_us
        mask = pa.array(others)
        columns = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "interval_us"}
        kept = {name: column.filter(mask) if isinstance(column, pa.Array) else column[others] for name, column in columns.items()}
        return Candles(interval_us=self.interval_us, **kept)


def candles(tape: Tape, interval_us: int, previous_ticks: int, listed: Flags) -> Candles:
    """Candles of a whole UTC day.

    Args:
        tape: Trades in trading order; none may lie in an interval of which no minute is listed.
        interval_us: Length in microseconds, a divisor of the day.
        previous_ticks: Price before the day's first trade, carried by the empty candles before it.
        listed: 1440 flags, one a minute: the exchange published candles then. An interval is listed if any of its
            minutes is.

    Returns:
        One candle per listed interval; one without trades has zero volume and carries the last close.
    """
    number = DAY_US // interval_us
    place = (tape.time_us - midnight_us(tape.day)) // interval_us
    first = np.flatnonzero(np.diff(place, prepend=-1))
    filled = place[first]

    open_, high, low, close = (np.zeros(number, np.int64) for _ in range(4))
    count = np.zeros(number, np.int64)
    notional = tape.ticks * tape.lots
    is_taker_buy = ~tape.is_buyer_maker
    if len(tape):
        last = np.append(first[1:], len(tape)) - 1
        open_[filled], close[filled] = tape.ticks[first], tape.ticks[last]
        high[filled] = np.maximum.reduceat(tape.ticks, first)
        low[filled] = np.minimum.reduceat(tape.ticks, first)
        count[filled] = last - first + 1
    carried = np.maximum.accumulate(np.where(count > 0, np.arange(number), -1))
    before = np.where(carried >= 0, close[carried], previous_ticks)
    for column in (open_, high, low, close):
        column[count == 0] = before[count == 0]

    keep: Flags = np.logical_or.reduce(listed.reshape(number, -1), axis=1)
    price_scale, size_scale = tape.market.price_scale, tape.market.size_scale

    def prices(ticks: Integers) -> pa.Array:
        return decimals(ticks[keep], price_scale)

    def sums(values: Integers, scale: int) -> pa.Array:
        upper, lower = np.zeros(number, np.uint64), np.zeros(number, np.uint64)
        upper[filled], lower[filled] = _run_sums(values, first)
        return _decimals(upper[keep], lower[keep], scale)

    return Candles(
        interval_us=interval_us,
        open_us=(midnight_us(tape.day) + np.arange(number) * interval_us)[keep],
        open=prices(open_),
        high=prices(high),
        low=prices(low),
        close=prices(close),
        volume=sums(tape.lots, size_scale),
        quote_volume=sums(notional, price_scale + size_scale),
        count=count[keep],
        taker_buy_volume=sums(tape.lots * is_taker_buy, size_scale),
        taker_buy_quote_volume=sums(notional * is_taker_buy, price_scale + size_scale),
    )


def decimals(values: Integers, scale: int) -> pa.Array:
    """Scaled integers, none of them negative, as decimal128(38, scale) without a rounding."""
    return _decimals(np.zeros(len(values), np.uint64), values.astype(np.uint64), scale)


def _run_sums(values: Integers, first: Integers) -> tuple[Limbs, Limbs]:
    """Exact sums of non-negative 64-bit values over the runs that begin at `first`: upper and lower 64 bits."""
    if not len(values):
        return np.zeros(0, np.uint64), np.zeros(0, np.uint64)
    upper = np.add.reduceat(values >> 32, first).astype(np.uint64)
    lower = np.add.reduceat(values & _LOW_32, first).astype(np.uint64)
    upper += lower >> np.uint64(32)
    return upper >> np.uint64(32), (upper << np.uint64(32)) | (lower & np.uint64(_LOW_32))


def _decimals(upper: Limbs, lower: Limbs, scale: int) -> pa.Array:
    limbs = np.empty((len(lower), 2), "<u8")
    limbs[:, 0], limbs[:, 1] = lower, upper
    return pa.Array.from_buffers(pa.decimal128(_PRECISION, scale), len(lower), [None, pa.py_buffer(limbs)])
