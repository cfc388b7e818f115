"""Bars by what was traded from the columnar engine equal the plain definition, however the trades come in parts."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrr_assets.calc.columnar import NEEDED, bars_of_day
from rrr_assets.calc.information_bars import Rule, information_bars
from rrr_assets.calc.information_columnar import InformationBars
from rrr_assets.calc.order import Trade

NAME = "binance:BTCUSDT"
START = datetime(2025, 3, 3, tzinfo=UTC)
RULES = [Rule(kind, Decimal(text)) for kind, text in (("tick", "3"), ("volume", "0.75"), ("volume", "1"), ("dollar", "10.125"))]

_prices = st.decimals("0.01", "99999", places=2) | st.decimals("0.000000000001", "9", places=12)
_sizes = st.decimals("0.1", "9", places=1) | st.decimals("0.00000001", "3", places=8)


@st.composite
def tapes(draw: st.DrawFn) -> list[Trade]:
    told = draw(st.lists(st.tuples(_prices, _sizes, st.booleans(), st.integers(0, 2)), min_size=1, max_size=40))
    at, trades = START, []
    for number, (price, size, is_buy, step) in enumerate(told):
        at += timedelta(microseconds=step)
        trades.append(Trade(at, number, price, size, "buy" if is_buy else "sell"))
    return trades


def cut(trades: Sequence[Trade], rules: Sequence[Rule], parts: int) -> pa.Table:
    made = InformationBars(rules)
    size = -(-len(trades) // parts)
    for first in range(0, len(trades), size):
        chosen = trades[first : first + size]
        columns = {
            "instrument": [NAME] * len(chosen),
            "event_time": [trade.event_time for trade in chosen],
            "sequence": [trade.sequence for trade in chosen],
            "price": [trade.price for trade in chosen],
            "size": [trade.size for trade in chosen],
            "side": [trade.side for trade in chosen],
            "conditions": [None] * len(chosen),
        }
        bars_of_day(pa.table(columns, NEEDED), {}, ["1m"], lambda _, numbers: made.add(numbers))
    return made.bars()


@given(tapes(), st.integers(1, 5))
def test_equal_to_the_definition(trades: list[Trade], parts: int) -> None:
    found = cut(trades, RULES, parts).to_pylist()
    for rule in RULES:
        mine = [bar for bar in found if bar["rule"] == rule.name]
        expected = information_bars(trades, rule)
        assert len(mine) == len(expected)
        for bar, wanted in zip(mine, expected, strict=True):
            sums = wanted.sums
            assert (bar["bar_index"], bar["bar_start"], bar["bar_end"], bar["is_full"]) == (
                wanted.bar_index, sums.bar_start, wanted.bar_end, wanted.is_full,
            )  # fmt: skip
            for name in ("open", "high", "low", "close", "volume", "quote_volume", "trade_count", "taker_buy_volume",
                         "taker_buy_quote_volume", "first_sequence", "last_sequence"):  # fmt: skip
                assert bar[name] == getattr(sums, name), name


def test_what_does_not_fit_is_refused() -> None:
    trades = [Trade(START, 1, Decimal("1e12"), Decimal("1e9"), "buy"), Trade(START, 2, Decimal("1e-12"), Decimal("1e-18"), "sell")]
    with pytest.raises(OverflowError):
        cut(trades, RULES, 1)
    with pytest.raises(OverflowError, match="too fine"):
        cut([Trade(START, n, Decimal(1000), Decimal(1000), "buy") for n in (1, 2)], [Rule("dollar", Decimal("0.00000000000001"))], 1)
