"""A quiet market: trades and quotes of one instrument on one UTC day that follow the hour of the week and do nothing unusual.

Belongs here: drawing what happened, and what is unusual in it on purpose: a spike, an outage, a burst, a wide spread. Does not: how it
is delivered (feeds), files. The tape of `tape` is wilder; here sizes are tame, the price walks by the clock, and nothing bursts by
itself, so that what an honest detector finds was put there. One more effect shifts no other moment: it is drawn by a generator of its own.
"""

import math
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Final

import numpy as np

from rrr_assets.simulator.markets import Market
from rrr_assets.simulator.tape import DAY_US, MINUTE_US, MINUTES, Flags, Floats, Integers, Tape, midnight_us, time_unit_us

QUOTES_A_MINUTE: Final = 3
"""Quotes in a minute, over the day, beside the one before each trade."""
_DAILY_MOVE: Final = 0.02
_WIDEST_SPREAD: Final = 4
_SATURDAY: Final = 5
_WEEKEND: Final = 0.75
# A recorder cuts its files by the time of receiving: with nothing in the last two seconds, no row comes in the next day's file.
_QUIET_END_US: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Moments:
    """What happened in a day, in order of time: a trade with the quote before it, or a quote alone; columns of equal length.

    `middle` is the bid in ticks and `spread` what the ask lies above it; `more` is 1 where a second trade of the same order follows at
    the next level, and `ahead_us` is how long before a trade its quote stood.
    """

    time_us: Integers
    middle: Integers
    spread: Integers
    is_trade: Flags
    is_buyer_maker: Flags
    lots: Integers
    more: Integers
    bid_lots: Integers
    ask_lots: Integers
    ahead_us: Integers

    def __len__(self) -> int:
        return len(self.time_us)

    def taken(self, positions: Integers) -> "Moments":
        """Those at these positions, in their order."""
        return Moments(**{each.name: getattr(self, each.name)[positions] for each in fields(self)})


@dataclass(frozen=True, slots=True)
class Quotes:
    """Best bids and asks in order of time, in ticks and lots."""

    time_us: Integers
    bid_ticks: Integers
    bid_lots: Integers
    ask_ticks: Integers
    ask_lots: Integers

    def __len__(self) -> int:
        return len(self.time_us)


def day_weight(day: date) -> float:
    """How busy a day is, over a weekday's."""
    return _WEEKEND if day.weekday() >= _SATURDAY else 1.0


def draw_moments(market: Market, day: date, *, trades: int, open_ticks: int, rng: np.random.Generator) -> Moments:
    """Draw a day of exactly `trades` trades, with quotes between them.

    Args:
        market: The instrument.
        day: UTC day.
        trades: Number of trades, may be 0.
        open_ticks: Where the price stood before.
        rng: Where chance comes from.
    """
    orders = trades - trades // 10
    activity = _activity(rng)
    order_us, quote_us = (_times(number, activity, rng) for number in (orders, QUOTES_A_MINUTE * MINUTES))
    time_us = np.concatenate([order_us, quote_us])
    order = np.argsort(time_us, kind="stable")
    time_us = time_us[order]
    is_trade = (np.arange(len(order)) < orders)[order]
    number = len(time_us)

    moves = rng.normal(0, 1, number) * np.sqrt(np.diff(time_us, prepend=0) / DAY_US) * _DAILY_MOVE * open_ticks
    middle = np.clip(open_ticks + np.rint(np.cumsum(moves)).astype(np.int64), max(open_ticks // 4, 1), open_ticks * 4)
    more = np.zeros(number, np.int64)
    more[rng.permutation(np.flatnonzero(is_trade))[: trades - orders]] = 1
    unit = 1 if market.venue == "coinbase" else time_unit_us(market, day)
    return Moments(
        time_us=midnight_us(day) + time_us // unit * unit,
        middle=middle,
        spread=rng.integers(1, _WIDEST_SPREAD + 1, number),
        is_trade=is_trade,
        is_buyer_maker=rng.random(number) < 0.5,
        lots=_lots(market, number, rng),
        more=more,
        bid_lots=_lots(market, number, rng) * 8,
        ask_lots=_lots(market, number, rng) * 8,
        ahead_us=rng.integers(1_000, 20_000, number) * is_trade,
    )


def tape_of(moments: Moments, market: Market, day: date, first_id: int) -> Tape:
    """The trades: a seller's at the bid, a buyer's at the ask, the second of an order a tick further."""
    each = moments.taken(np.flatnonzero(moments.is_trade))
    rows = np.repeat(np.arange(len(each)), 1 + each.more)
    is_second = np.diff(rows, prepend=-1) == 0
    is_buyer_maker = each.is_buyer_maker[rows]
    ticks = np.where(is_buyer_maker, each.middle[rows] - is_second, each.middle[rows] + each.spread[rows] + is_second)
    lots = np.where(is_second, np.maximum(each.lots[rows] // 2, 1), each.lots[rows])
    return Tape(market, day, first_id, each.time_us[rows], np.maximum(ticks, 1), lots, is_buyer_maker)


def quotes_of(moments: Moments) -> Quotes:
    """The quotes: one each moment, some milliseconds before its trade and never before what happened last."""
    before = np.concatenate([moments.time_us[:1] - moments.time_us[:1] % DAY_US, moments.time_us[:-1]])
    bid = np.maximum(moments.middle, 1)
    return Quotes(np.maximum(moments.time_us - moments.ahead_us, before), bid, moments.bid_lots, bid + moments.spread, moments.ask_lots)


def silenced(moments: Moments, since_us: int, until_us: int) -> Moments:
    """Without the trades of this time; quotes go on."""
    return replace(moments, is_trade=moments.is_trade & ~_within(moments, since_us, until_us))


def thinned(moments: Moments, since_us: int, until_us: int, share: float, rng: np.random.Generator) -> Moments:
    """With about this share of what happened in this time, trades and quotes alike."""
    return moments.taken(np.flatnonzero(~_within(moments, since_us, until_us) | (rng.random(len(moments)) < share)))


def multiplied(moments: Moments, since_us: int, until_us: int, factor: int, rng: np.random.Generator) -> Moments:
    """With `factor` times as much happening in this time, at the prices that stood then."""
    inside = np.flatnonzero(_within(moments, since_us, until_us))
    if not len(inside):
        return moments
    times = moments.time_us[inside]
    added = moments.taken(rng.choice(inside, len(inside) * (factor - 1)))
    unit = 1000 if not np.any(times % 1000) else 1
    added_us = np.sort(rng.integers(since_us // unit, until_us // unit, len(added))) * unit
    standing = inside[np.clip(np.searchsorted(times, added_us, side="right") - 1, 0, None)]
    added = replace(added, time_us=added_us, middle=moments.middle[standing], spread=moments.spread[standing])
    both = Moments(**{each.name: np.concatenate([getattr(moments, each.name), getattr(added, each.name)]) for each in fields(Moments)})
    return both.taken(np.argsort(both.time_us, kind="stable"))


def widened(moments: Moments, since_us: int, until_us: int, factor: int) -> Moments:
    """With the spread `factor` times as wide in this time."""
    return replace(moments, spread=np.where(_within(moments, since_us, until_us), moments.spread * factor, moments.spread))


def moved(moments: Moments, since_us: int, until_us: int, share: float) -> Moments:
    """With prices further up by this share, down where it is negative, in this time."""
    there = np.rint(moments.middle * (1 + share)).astype(np.int64)
    return replace(moments, middle=np.where(_within(moments, since_us, until_us), there, moments.middle))


def swollen(moments: Moments, since_us: int, until_us: int, factor: int) -> Moments:
    """With trades `factor` times as large in this time."""
    return replace(moments, lots=np.where(_within(moments, since_us, until_us), moments.lots * factor, moments.lots))


def _within(moments: Moments, since_us: int, until_us: int) -> Flags:
    within: Flags = (moments.time_us >= since_us) & (moments.time_us < until_us)
    return within


def _activity(rng: np.random.Generator) -> Floats:
    """How likely something is in each minute of the day: a wave, and a hill from noon to five."""
    minute = np.arange(MINUTES)
    weight: Floats = 1 + 0.35 * np.sin((minute - 540) * (2 * math.pi / MINUTES)) + 0.4 * np.exp(-(((minute - 870) / 75) ** 2))
    weight *= rng.lognormal(0, 0.15, MINUTES)
    weight /= weight.sum()
    return weight


def _times(number: int, activity: Floats, rng: np.random.Generator) -> Integers:
    start = np.repeat(np.arange(MINUTES) * MINUTE_US, rng.multinomial(number, activity))
    return np.sort(np.minimum(start + rng.integers(0, MINUTE_US, number), DAY_US - _QUIET_END_US))


def _lots(market: Market, number: int, rng: np.random.Generator) -> Integers:
    return np.maximum(np.rint(rng.lognormal(math.log(market.typical_lots), 0.6, number)), 1).astype(np.int64)
