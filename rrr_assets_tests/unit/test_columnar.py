"""Bars by the columnar engine equal the plain definition of calc/order to the digit, whatever the trades look like."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rrr_assets.calc import columnar
from rrr_assets.calc.columnar import SCHEMA, WIDE_SIZE, as_csv, bars_of_day
from rrr_assets.calc.decimals import NOTIONAL, NOTIONAL_READ, PRICE, SIZE
from rrr_assets.calc.numbers import EXACT
from rrr_assets.calc.order import Bar, Trade, bars_from_trades
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.parsed import TRADES

START = datetime(2024, 2, 28, 23, 59, tzinfo=UTC)
NAME, OTHER = "binance:BTCUSDT", "kraken:XBTUSD"
BAR_FIELDS = (
    "bar_start", "open", "high", "low", "close", "volume", "quote_volume", "trade_count", "taker_buy_volume", "taker_buy_quote_volume",
    "first_sequence", "last_sequence",
)  # fmt: skip
ONE = Decimal(1)
PRICE_UNIT, SIZE_UNIT = Decimal("1e-12"), Decimal("1e-18")


def decimals(digits: int, scale: int) -> st.SearchStrategy[Decimal]:
    """Decimals from 0 on, of at most so many digits before the point and after it; tiny ones and giants are as likely as usual ones."""
    most = 10 ** (digits + scale) - 1
    whole = st.one_of(st.integers(0, 1000), st.integers(0, most), st.integers(most - 1000, most))
    return st.builds(lambda number: EXACT.scaleb(Decimal(number), -scale), whole)


usual_prices, usual_sizes = decimals(5, 2), decimals(3, 5)
prices = st.one_of(usual_prices, decimals(14, 12), decimals(26, 12))
# At most 18 digits before the point: the sum of 25 products still has no more than the 76 digits that a decimal holds.
sizes = st.one_of(usual_sizes, decimals(1, 18), decimals(6, 8), decimals(18, 18))
# Times that tie, lie on the borders of bars, and cross a midnight.
offsets = st.one_of(st.integers(0, 3), st.integers(0, 70).map(lambda minute: minute * 60_000_000 - 1), st.integers(0, 4000 * 10**6))
sides = st.sampled_from(["buy", "sell", None])


@st.composite
def tapes(draw: st.DrawFn, price: st.SearchStrategy[Decimal] = prices, size: st.SearchStrategy[Decimal] = sizes) -> list[Trade]:
    sequences = draw(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 60), min_size=1, max_size=25, unique=True))
    if draw(st.booleans()):
        sequences.sort()
    return [Trade(START + timedelta(microseconds=draw(offsets)), sequence, draw(price), draw(size), draw(sides)) for sequence in sequences]


def as_table(trades: Sequence[Trade], name: str = NAME, conditions: Sequence[Sequence[str] | None] | None = None) -> pa.Table:
    rows = [
        {
            "line": line,
            "instrument": name,
            "sequence": trade.sequence,
            "event_time": trade.event_time,
            "price": trade.price,
            "size": trade.size,
            "side": trade.side,
            "conditions": None if conditions is None else conditions[line],
        }
        for line, trade in enumerate(trades)
    ]
    return pa.Table.from_pylist(rows, TRADES)


def as_bars(table: pa.Table) -> list[Bar]:
    return [Bar(**{name: row[name] for name in BAR_FIELDS}) for row in table.to_pylist()]


def check(trades: Sequence[Trade], table: pa.Table | None = None, intervals: Sequence[str] = tuple(INTERVALS)) -> dict[str, pa.Table]:
    found = bars_of_day(as_table(trades) if table is None else table, {}, intervals)
    for interval in intervals:
        expected = bars_from_trades(trades, INTERVALS[interval])
        assert as_bars(found[interval]) == expected
        assert found[interval]["vwap"].to_pylist() == [bar.vwap for bar in expected]
        assert set(found[interval]["instrument"].to_pylist()) <= {NAME}
    return found


@given(tapes())
# Ties of one microsecond in the wrong order: the sequence decides, not the place.
@example([Trade(START, 9, ONE, ONE, None), Trade(START, 2, ONE / 4, ONE, "buy"), Trade(START, 4, ONE * 2, ONE, None)])
# The sum of a giant and a dwarf keeps every digit.
@example([Trade(START, 1, Decimal("9" * 26), Decimal("9" * 20), None), Trade(START, 2, PRICE_UNIT, SIZE_UNIT, "buy")])
# Nothing but zeros.
@example([Trade(START, 1, Decimal(0), Decimal(0), "buy")])
@example([Trade(START, 1, ONE, Decimal(0), "buy"), Trade(START + timedelta(minutes=1), 2, ONE, ONE, "buy")])
# The most that goes in.
@example([Trade(START, n, Decimal("9" * 26 + "." + "9" * 12), Decimal("9" * 20 + "." + "9" * 18), "buy") for n in range(1)])
def test_bars_equal_the_definition(trades: list[Trade]) -> None:
    check(trades)


@given(tapes(usual_prices, usual_sizes))
def test_usual_numbers_are_summed_in_64_bits(trades: list[Trade]) -> None:
    check(trades)
    assert kinds(trades) == ("Int64", "Int64")


@given(tapes(st.integers(10**4, 10**6).map(lambda n: Decimal(n) + Decimal("0.000001")), decimals(6, 8).map(lambda size: size + ONE * 100)))
def test_larger_numbers_are_summed_in_128_bits(trades: list[Trade]) -> None:
    check(trades)
    assert kinds(trades)[0] == "Int64"
    assert kinds([*trades, replace(trades[0], sequence=trades[-1].sequence ^ 1, size=Decimal(10**6) + Decimal("1e-8"))])[1] == "Int128"


@given(tapes(decimals(14, 12).map(lambda n: n + PRICE_UNIT), decimals(20, 18)))
def test_what_128_bits_do_not_hold_is_summed_in_limbs(trades: list[Trade]) -> None:
    whole = Trade(START, 2**62 + 1, Decimal(10**14) + PRICE_UNIT, Decimal(10**6) + SIZE_UNIT, "buy")
    check([*trades, whole] if all(trade.sequence != whole.sequence for trade in trades) else trades)
    assert kinds([whole]) is None


def kinds(trades: Sequence[Trade]) -> tuple[str, str] | None:
    """The integers in which sizes and products are summed; None for limbs."""
    numbers = columnar._as_numbers(as_table(trades))  # which way was taken shows nowhere else
    return None if numbers.is_wide else (str(numbers.frame["size"].dtype), str(numbers.frame["notional"].dtype))


BORDERS = [2**31, 2**32, 2**53, 2**63, 2**64, 2**96, 2**126, 10**18, 10**19, 10**37, 10**38]


@pytest.mark.parametrize("product", BORDERS)
@pytest.mark.parametrize("beside", [-1, 0, 1])
def test_sums_at_the_borders_of_integers(product: int, beside: int) -> None:
    """Prices and sizes of which a product, or the sum of a few, lies at a border; with a last digit that keeps all decimals."""
    for count, factor in ((1, 1), (2, 1), (1, 3), (3, 2**16), (2, 10**9), (1, 2**40)):
        units = min((product + beside) // factor // count, 10**38 - 1)
        for price_units, size_units in ((factor, units), (10**12 + 1, units // 10**12), (units, factor)):
            price, size = EXACT.scaleb(Decimal(price_units), -12), EXACT.scaleb(Decimal(size_units), -18)
            check([Trade(START, n, price, size, "buy" if n else None) for n in range(count)], intervals=["1d"])


def test_one_trade_of_more_decimals_among_many_is_not_lost() -> None:
    """The sample that guesses the decimals does not see it."""
    trades = [Trade(START + timedelta(milliseconds=n), n, Decimal("1.5"), Decimal("0.01"), "buy") for n in range(5000)]
    trades[3333] = replace(trades[3333], price=Decimal("1.500000000001"), size=Decimal("0.010000000000000001"))
    check(trades)


def test_a_column_is_as_wide_as_its_values_need() -> None:
    narrow = check([Trade(START, 1, Decimal("42000.12"), Decimal("0.001"), "buy")])["1m"].schema
    assert [field.name for field in narrow] == SCHEMA.names
    assert (narrow.field("open").type, narrow.field("vwap").type) == (PRICE, PRICE)
    assert (narrow.field("volume").type, narrow.field("quote_volume").type) == (SIZE, NOTIONAL_READ)
    wide = check([Trade(START, n, ONE + PRICE_UNIT, Decimal("9" * 20) + SIZE_UNIT, "buy") for n in range(2)])["1m"].schema
    assert (wide.field("volume").type, wide.field("quote_volume").type) == (WIDE_SIZE, NOTIONAL)
    assert all(field.nullable == (field.name == "vwap") for field in wide)


def test_a_sum_that_no_decimal_holds_is_told() -> None:
    giant = Trade(START, 1, Decimal("9" * 26), Decimal("9" * 20), None)
    with pytest.raises(OverflowError, match="76 digits"):
        bars_of_day(as_table([replace(giant, sequence=n) for n in range(2)]), {})


@given(st.lists(st.tuples(tapes(), st.sampled_from(["a:X", "b:Y", "b:Z"])), min_size=2, max_size=4))
def test_instruments_do_not_mix(parts: list[tuple[list[Trade], str]]) -> None:
    by_name: dict[str, list[Trade]] = {}
    for trades, name in parts:
        known = {trade.sequence for trade in by_name.get(name, [])}
        by_name.setdefault(name, []).extend(trade for trade in trades if trade.sequence not in known)
    table = pa.concat_tables([as_table(trades, name) for name, trades in by_name.items()])
    shuffled = table.take(pa.array(sorted(range(len(table)), key=lambda row: row * 7919 % len(table))))
    for each in (table, shuffled):
        found = bars_of_day(each, {})
        for interval, length in INTERVALS.items():
            assert found[interval]["instrument"].to_pylist() == sorted(found[interval]["instrument"].to_pylist())
            for name, trades in by_name.items():
                mine = found[interval].filter(pa.compute.equal(found[interval]["instrument"], name))
                assert as_bars(mine) == bars_from_trades(trades, length)


def test_what_does_not_count_gives_no_bar() -> None:
    trades = [Trade(START + timedelta(minutes=n), n, ONE * (n + 1), ONE, "buy") for n in range(6)]
    conditions = [None, [], ["fund"], ["auction", "fund"], ["auction"], ["fund_"]]
    table = as_table(trades, conditions=conditions)
    counted = [trades[n] for n in (0, 1, 4, 5)]
    assert as_bars(bars_of_day(table, {"binance": {"fund"}})["1m"]) == bars_from_trades(counted, INTERVALS["1m"])
    assert as_bars(bars_of_day(table, {"kraken": {"fund"}})["1m"]) == bars_from_trades(trades, INTERVALS["1m"])
    both = pa.concat_tables([table, as_table(trades, OTHER, conditions)])
    found = bars_of_day(both, {"kraken": {"fund"}})["1m"]
    assert found["instrument"].to_pylist() == [NAME] * 6 + [OTHER] * 4
    assert len(bars_of_day(as_table(trades, conditions=[["fund"]] * 6), {"binance": {"fund"}})["1d"]) == 0


def test_no_trades_make_no_bar() -> None:
    for trades in (TRADES.empty_table(), []):
        assert {interval: found.schema for interval, found in bars_of_day(trades, {}).items()} == dict.fromkeys(INTERVALS, SCHEMA)


def test_batches_are_taken_as_they_come() -> None:
    trades = [Trade(START + timedelta(seconds=n), n, Decimal("1.5"), Decimal("0.01"), "buy") for n in range(300)]
    whole = as_table(trades)
    assert bars_of_day(whole.to_batches(max_chunksize=7), {})["5m"].equals(check(trades, whole)["5m"])
    assert set(bars_of_day(whole.slice(13, 100), {}, ["1h"])) == {"1h"}
    assert as_bars(bars_of_day(whole.slice(13, 100), {})["1m"]) == bars_from_trades(trades[13:113], INTERVALS["1m"])


def test_bars_as_text_for_the_database() -> None:
    trades = [
        Trade(START, 1, Decimal("42000.10"), Decimal("0.5"), "buy"),
        Trade(START + timedelta(minutes=1), 2, PRICE_UNIT, Decimal(0), None),
    ]
    header, first, second = as_csv(bars_of_day(as_table(trades), {})["1m"]).to_pybytes().decode().splitlines()
    assert header.replace('"', "").split(",") == SCHEMA.names
    cells = first.replace('"', "").split(",")
    assert cells[2:13] == ["42000.1"] * 4 + ["0.5", "21000.05", "42000.1", "1", "0.5", "21000.05", "1"]
    assert second.replace('"', "").split(",")[2:12] == ["0.000000000001"] * 4 + ["0", "0", "", "1", "0", "0"]
    assert ',"",' not in second, "a null is bare, an empty text is quoted"


def test_prices_below_zero() -> None:
    check([Trade(START, n, Decimal(price), Decimal("0.3"), "buy") for n, price in enumerate(("-1.5", "-40.32", "2", "-0.000000000001"))])
