"""Bars from trades, said plainly: the definition that every faster way must equal to the digit.

Belongs here: order and summing in Python's decimals. Does not: the way bars are made in production
(sql/queries/bars_from_trades.sql), which the tests hold to this.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from rrr_assets.calc.numbers import EXACT, vwap

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Trade:
    """What a bar needs of a trade. event_time is UTC."""

    event_time: datetime
    sequence: int
    price: Decimal
    size: Decimal
    side: str | None


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of [bar_start, bar_start + interval) in UTC, exact."""

    bar_start: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trade_count: int
    taker_buy_volume: Decimal
    taker_buy_quote_volume: Decimal
    first_sequence: int
    last_sequence: int

    @property
    def vwap(self) -> Decimal | None:
        """Volume-weighted average price, rounded once, at the end."""
        return vwap(self.quote_volume, self.volume)


def bar_start(at: datetime, interval: timedelta) -> datetime:
    """Start of the bar that holds a UTC time, on the grid of its interval counted from 1970."""
    return at - (at - EPOCH) % interval


def bars_from_trades(trades: Iterable[Trade], interval: timedelta) -> list[Bar]:
    """The bars of one instrument's trades in any order, one per interval that has trades."""
    by_start: dict[datetime, list[Trade]] = {}
    for trade in trades:
        by_start.setdefault(bar_start(trade.event_time, interval), []).append(trade)
    return [_bar(start, group) for start, group in sorted(by_start.items())]


def roll_up(bars: Sequence[Bar], interval: timedelta) -> list[Bar]:
    """Longer bars from shorter ones of one instrument: equal to `bars_from_trades` at the longer interval."""
    by_start: dict[datetime, list[Bar]] = {}
    for bar in sorted(bars, key=lambda bar: bar.bar_start):
        by_start.setdefault(bar_start(bar.bar_start, interval), []).append(bar)
    return [
        Bar(
            bar_start=start,
            open=group[0].open,
            high=max(bar.high for bar in group),
            low=min(bar.low for bar in group),
            close=group[-1].close,
            volume=_sum(bar.volume for bar in group),
            quote_volume=_sum(bar.quote_volume for bar in group),
            trade_count=sum(bar.trade_count for bar in group),
            taker_buy_volume=_sum(bar.taker_buy_volume for bar in group),
            taker_buy_quote_volume=_sum(bar.taker_buy_quote_volume for bar in group),
            first_sequence=group[0].first_sequence,
            last_sequence=group[-1].last_sequence,
        )
        for start, group in sorted(by_start.items())
    ]


def _bar(start: datetime, trades: list[Trade]) -> Bar:
    ordered = sorted(trades, key=lambda trade: (trade.event_time, trade.sequence))
    bought = [trade for trade in ordered if trade.side == "buy"]
    return Bar(
        bar_start=start,
        open=ordered[0].price,
        high=max(trade.price for trade in ordered),
        low=min(trade.price for trade in ordered),
        close=ordered[-1].price,
        volume=_sum(trade.size for trade in ordered),
        quote_volume=_sum(EXACT.multiply(trade.price, trade.size) for trade in ordered),
        trade_count=len(ordered),
        taker_buy_volume=_sum(trade.size for trade in bought),
        taker_buy_quote_volume=_sum(EXACT.multiply(trade.price, trade.size) for trade in bought),
        first_sequence=ordered[0].sequence,
        last_sequence=ordered[-1].sequence,
    )


def _sum(numbers: Iterable[Decimal]) -> Decimal:
    total = Decimal(0)
    for number in numbers:
        total = EXACT.add(total, number)
    return total
