"""The tape: every trade of one instrument on one UTC day, in the order in which it happened.

Belongs here: drawing trades. Does not: files, candles, defects other than a halt of trading.
Floats only draw: every price and size is rounded to whole ticks and lots before anything is computed with it.
"""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from rrr_assets.simulator.markets import Market

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

MINUTES: Final = 1440
MINUTE_US: Final = 60_000_000
DAY_US: Final = MINUTES * MINUTE_US
_MICROSECONDS_SINCE: Final = date(2025, 1, 1)
_NOTIONAL_LIMIT: Final = 2**62  # ticks times lots of one trade stay inside 64 bits


@dataclass(frozen=True, slots=True)
class Tape:
    """The trades of one instrument and UTC day as columns of equal length, in trading order.

    `time_us` are microseconds since the epoch, never falling; ids run on from `first_id` without a jump.
    """

    market: Market
    day: date
    first_id: int
    time_us: Integers
    ticks: Integers
    lots: Integers
    is_buyer_maker: Flags

    def __len__(self) -> int:
        return len(self.time_us)

    @property
    def ids(self) -> Integers:
        return np.arange(self.first_id, self.first_id + len(self), dtype=np.int64)

    @property
    def minutes(self) -> Integers:
        """Minute of the UTC day of each trade, from 0."""
        return (self.time_us - midnight_us(self.day)) // MINUTE_US


def midnight_us(day: date) -> int:
    """Start of the UTC day in microseconds since the epoch."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def time_unit_us(market: Market, day: date) -> int:
    """Microseconds in one unit of the venue's clock: Binance spot files count microseconds from 2025 on."""
    return 1 if market.venue == "binance" and day >= _MICROSECONDS_SINCE else 1000


def draw(
    market: Market,
    day: date,
    *,
    trades: int,
    first_id: int,
    open_ticks: int,
    quiet_minutes: int,
    closed: range,
    rng: np.random.Generator,
) -> Tape:
    """Draw exactly `trades` trades.

    An order takes one price level or sweeps several, and its trades share one time. Orders follow an intraday shape
    with bursts; the middle of the market is a random walk with jumps, about 3 % a day wide.

    Args:
        market: The instrument.
        day: UTC day.
        trades: Number of trades, may be 0.
        first_id: Id of the first trade.
        open_ticks: Where the price stood before.
        quiet_minutes: Minutes, at most, that get no trade whatever the volume.
        closed: Minutes of the day without trading.
        rng: Where chance comes from.
    """
    if trades == 0:
        none = np.zeros(0, np.int64)
        return Tape(market, day, first_id, none, none, none, np.zeros(0, np.bool_))
    ends = np.cumsum(rng.geometric(0.55, trades))
    orders = int(np.searchsorted(ends, trades)) + 1
    ends = np.minimum(ends[:orders], trades)
    lengths = np.diff(ends, prepend=0)
    place = np.arange(trades) - np.repeat(ends - lengths, lengths)

    time_us = midnight_us(day) + _order_times(orders, time_unit_us(market, day), _activity(quiet_minutes, closed, rng), rng)
    is_buyer_maker = rng.random(orders) < 0.5
    middle = _walk(open_ticks, orders, rng)
    # A seller's order eats downwards through the bids, a buyer's upwards through the asks; most stay on one level.
    step = np.where(is_buyer_maker, -1, 1) * (rng.random(orders) < 0.4)
    ticks = np.maximum(np.repeat(middle, lengths) + np.repeat(step, lengths) * place, 1)

    drawn = rng.lognormal(math.log(market.typical_lots), 1.4, trades)
    lots = np.rint(np.clip(drawn, 1, _NOTIONAL_LIMIT // int(ticks.max()))).astype(np.int64)
    same = np.flatnonzero((place > 0) & (rng.random(trades) < 0.1))
    ticks[same] = ticks[same - 1]
    lots[same] = lots[same - 1]
    return Tape(market, day, first_id, np.repeat(time_us, lengths), ticks, lots, np.repeat(is_buyer_maker, lengths))


def _activity(quiet_minutes: int, closed: range, rng: np.random.Generator) -> Floats:
    """How likely an order is in each minute of the day: a wave, a peak from 13:30 to 15:30, eight bursts."""
    minute = np.arange(MINUTES)
    weight: Floats = 1 + 0.6 * np.sin((minute - 540) * (2 * math.pi / MINUTES)) + np.where((minute >= 810) & (minute < 930), 0.8, 0)
    weight *= rng.lognormal(0, 0.4, MINUTES)
    weight[rng.integers(0, MINUTES, 8)] *= 12
    weight[rng.integers(0, MINUTES, quiet_minutes)] = 0
    weight[closed.start : closed.stop] = 0
    weight /= weight.sum()
    return weight


def _order_times(orders: int, unit_us: int, activity: Floats, rng: np.random.Generator) -> Integers:
    """Rising microseconds of the day, each a multiple of the unit."""
    start = np.repeat(np.arange(MINUTES) * MINUTE_US, rng.multinomial(orders, activity))
    return np.sort(start + rng.integers(0, MINUTE_US // unit_us, orders) * unit_us)


def _walk(open_ticks: int, orders: int, rng: np.random.Generator) -> Integers:
    steps = rng.normal(0, 0.03 * open_ticks / math.sqrt(orders), orders)
    jumps = 1 + orders // 20_000
    steps[rng.integers(0, orders, jumps)] += rng.normal(0, 0.004 * open_ticks, jumps)
    middle = open_ticks + np.rint(np.cumsum(steps)).astype(np.int64)
    return np.clip(middle, max(open_ticks // 4, 1), open_ticks * 4)
