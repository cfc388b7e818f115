"""Bars by what was traded, said plainly: the rule, and the definition that the SQL must equal to the digit.

Belongs here: a rule and its name, and cutting one day's trades in Python's decimals, trade by trade. Does not: the way these bars
are made in production (sql/queries/information_bars_from_trades.sql, a closed form), which the tests hold to this.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Self

from rrr_assets.calc.numbers import EXACT, plain
from rrr_assets.calc.order import Bar, Trade, bars_from_trades
from rrr_assets.contracts.information_bars import KINDS

_NAME: Final = re.compile(r"([a-z]+)-([0-9]{1,46}(?:\.[0-9]{1,30})?)")


@dataclass(frozen=True, slots=True)
class Rule:
    """What bars are cut at: so many trades, so much quantity, or so much quote volume. The threshold is positive and finite."""

    kind: str
    threshold: Decimal

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read a rule's name, such as `dollar-1000000` or `volume-0.5`.

        Raises:
            ValueError: no such kind, or a threshold that is none.
        """
        wanted = f"write a kind and a threshold, such as dollar-1000000 or volume-0.5; kinds are {', '.join(KINDS)}"
        found = _NAME.fullmatch(name)
        if found is None or found[1] not in KINDS:
            raise ValueError(f"'{name}' is no rule: {wanted}")
        threshold = Decimal(found[2])
        if threshold == 0:
            raise ValueError(f"'{name}' would never end a bar: its threshold must be above 0")
        if found[1] == "tick" and threshold != threshold.to_integral_value():
            raise ValueError(f"'{name}' counts trades: its threshold must be a whole number")
        return cls(found[1], threshold)

    @property
    def name(self) -> str:
        """Kind and threshold in one, without trailing zeros: the same rule has the same name."""
        return f"{self.kind}-{plain(self.threshold)}"

    def counted(self, trade: Trade, trades_in: int = 1) -> Decimal:
        """What a trade adds to the running total, or an aggregated one of so many trades."""
        if self.kind == "tick":
            return Decimal(trades_in)
        return trade.size if self.kind == "volume" else EXACT.multiply(trade.price, trade.size)


@dataclass(frozen=True, slots=True)
class InformationBar:
    """One bar: its number of the day, what its trades sum up to, with `bar_start` the event_time of the first, and that of the last."""

    bar_index: int
    sums: Bar
    bar_end: datetime
    is_full: bool


def information_bars(trades: Iterable[Trade], rule: Rule, trades_in: Mapping[int, int] | None = None) -> list[InformationBar]:
    """The bars of one instrument's trades of one UTC day, in any order, without those that do not count.

    The running total starts at 0 at midnight. A bar ends with the trade that brings it to or past the next multiple of the
    threshold. That trade belongs to it whole, and what it is over counts towards the next one.

    Args:
        trades: Trades, or aggregated trades, which are no more split than others.
        rule: What is counted, up to which threshold.
        trades_in: How many trades each aggregated one is, by its sequence; None where each is one.
    """
    number = {} if trades_in is None else trades_in
    bars: list[InformationBar] = []
    waiting: list[Trade] = []
    total = Decimal(0)
    index = 0
    for trade in sorted(trades, key=lambda trade: (trade.event_time, trade.sequence)):
        waiting.append(trade)
        total = EXACT.add(total, rule.counted(trade, number.get(trade.sequence, 1)))
        if total >= EXACT.multiply(rule.threshold, Decimal(index + 1)):
            bars.append(_bar(index, waiting, number, is_full=True))
            waiting = []
            index = int(EXACT.divide_int(total, rule.threshold))
    if waiting:
        bars.append(_bar(index, waiting, number, is_full=False))
    return bars


def _bar(index: int, trades: list[Trade], number: Mapping[int, int], *, is_full: bool) -> InformationBar:
    """The bar of some trades of one day, in order."""
    [sums] = bars_from_trades(trades, timedelta(days=1))
    count = sum(number.get(trade.sequence, 1) for trade in trades)
    return InformationBar(index, replace(sums, bar_start=trades[0].event_time, trade_count=count), trades[-1].event_time, is_full)
