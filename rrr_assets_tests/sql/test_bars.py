"""Bars made in SQL equal the plain definition of calc/order to the digit, whatever the trades look like."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from rrr_assets.calc.coverage import Interval, holds, union
from rrr_assets.calc.numbers import EXACT, plain
from rrr_assets.calc.order import Bar, Trade, bars_from_trades, roll_up
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.warehouse.books import from_us, to_us
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.refresh import refresh_bars

DAY = date(2024, 3, 5)
MIDNIGHT = datetime(2024, 3, 5, tzinfo=UTC)
START_US = to_us(MIDNIGHT)
MINUTE_US, DAY_US = 60_000_000, 86_400_000_000
INSTRUMENT = "binance-usdm:BTCUSDT"
COLUMNS = (
    "bar_start", "open", "high", "low", "close", "volume", "quote_volume", "trade_count", "taker_buy_volume", "taker_buy_quote_volume",
    "first_sequence", "last_sequence", "vwap",
)  # fmt: skip
NOT_COUNTED = {"insurance_fund", "adl"}

# Each example is several transactions: fewer of them than of a pure property.
on_a_server = settings(
    settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "default")),
    max_examples=settings().max_examples // 3,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@dataclass(frozen=True)
class Print:
    """A trade as it is stored: time in microseconds of the day."""

    at: int
    sequence: int
    price: Decimal
    size: Decimal
    side: str | None = None
    conditions: tuple[str, ...] | None = None

    @property
    def counts(self) -> bool:
        return not NOT_COUNTED & set(self.conditions or ())

    @property
    def trade(self) -> Trade:
        return Trade(from_us(START_US + self.at), self.sequence, self.price, self.size, self.side)


def decimals(digits: int, scale: int) -> st.SearchStrategy[Decimal]:
    """Positive decimals of at most so many digits before the point and after it; tiny ones and giants are as likely as usual ones."""
    unit = Decimal(1).scaleb(-scale)
    most = 10 ** (digits + scale) - 1
    whole = st.one_of(st.integers(1, 1000), st.integers(1, most), st.integers(most - 1000, most))
    return st.builds(lambda n: EXACT.multiply(Decimal(n), unit), whole)


def prices() -> st.SearchStrategy[Decimal]:
    return st.one_of(decimals(26, 12), decimals(5, 2), st.sampled_from([Decimal(1), Decimal(3), Decimal("0.000000000001")]))


def sizes() -> st.SearchStrategy[Decimal]:
    return st.one_of(decimals(20, 18), decimals(3, 5), st.sampled_from([Decimal(1), Decimal(3), Decimal("0.000000000000000001")]))


# Few moments, so that many trades share one, and the edges of bars of every length.
moments = st.one_of(
    st.sampled_from([0, 1, MINUTE_US - 1, MINUTE_US, 5 * MINUTE_US - 1, 60 * MINUTE_US, 60 * MINUTE_US - 1, DAY_US - 1]),
    st.integers(0, DAY_US - 1),
    st.integers(600, 612).map(lambda minute: minute * MINUTE_US + 30_000_000),
)
conditions = st.none() | st.lists(st.sampled_from(["auction", "insurance_fund", "adl", "", "x,y"]), max_size=2).map(tuple)


@st.composite
def tapes(draw: st.DrawFn) -> list[Print]:
    sequences = draw(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 60), min_size=1, max_size=30, unique=True))
    return [
        Print(draw(moments), sequence, draw(prices()), draw(sizes()), draw(st.sampled_from(["buy", "sell", None])), draw(conditions))
        for sequence in sequences
    ]


intervals = st.lists(st.tuples(moments, moments).map(sorted), max_size=3).map(
    lambda pairs: union([(start, DAY_US if end == DAY_US - 1 else end) for start, end in pairs])
)


@contextmanager
def owner(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect(Role.OWNER, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def prepared(database: Database) -> Database:
    with owner(database) as connection:
        connection.execute("select ensure_day_partition('raw_trades', %s)", (DAY,))
    return database


def store(database: Database, prints: Sequence[Print], covered: Sequence[Interval] = (), accepted: Sequence[Interval] = ()) -> None:
    """Replace all that is held by these trades, with decoys beside them that belong to no bar of ours."""
    columns = ("instrument", "space", "sequence", "event_time", "time_source", "price", "size", "side", "conditions")
    stamps = ("available_at", "available_basis", "known_at", "batch_id")
    with owner(database) as connection, connection.transaction():
        connection.execute("truncate raw_trades, coverage, invalidation_log, invalidations_applied, bars_1m, bars_5m, bars_1h, bars_1d")
        with connection.cursor().copy(f"copy raw_trades ({', '.join([*columns, *stamps])}) from stdin") as copy:
            seven = Decimal(7)
            decoys = [(INSTRUMENT, "ordinal", Print(MINUTE_US, 1, seven, seven)), ("gemini:X1", "trade_id", Print(1, 2, seven, seven))]
            for instrument, space, row in [*((INSTRUMENT, "trade_id", row) for row in prints), *decoys]:
                at = from_us(START_US + row.at)
                kept = None if row.conditions is None else list(row.conditions)
                values = (instrument, space, row.sequence, at, "venue", row.price, row.size, row.side, kept)
                copy.write_row((*values, at, "modelled", at, 1))
        connection.execute(
            "insert into coverage (instrument, stream, day, space, row_count, covered, accepted, updated_at) "
            "values (%s, 'trades', %s, 'trade_id', %s, %s, %s, now())",
            (INSTRUMENT, DAY, len(prints), _ranges(covered), _ranges(accepted)),
        )


def _ranges(found: Sequence[Interval]) -> Multirange:
    return Multirange([Range(from_us(START_US + a), from_us(START_US + b)) for a, b in found])


def refresh(database: Database, *, whole_days: bool = True) -> None:
    for interval in INTERVALS:
        list(refresh_bars(database, interval, [DAY], whole_days=whole_days))


def stored_bars(database: Database, interval: str) -> tuple[list[Bar], list[Decimal], list[bool]]:
    query = sql.SQL("select {}, is_complete from {} where instrument = %s order by bar_start").format(
        sql.SQL(", ").join(map(sql.Identifier, COLUMNS)), sql.Identifier(f"bars_{interval}")
    )
    with owner(database) as connection:
        rows = connection.execute(query, (INSTRUMENT,)).fetchall()
    return [Bar(*row[:12]) for row in rows], [row[12] for row in rows], [row[13] for row in rows]


def half_away(ratio: Fraction) -> Fraction:
    """To 12 decimals, for ratios above 0."""
    return Fraction(floor(ratio * 10**12 + Fraction(1, 2)), 10**12)


ONE, THIRD = Decimal(1), Decimal("0.333333333333")


@on_a_server
@given(tape=tapes(), covered=intervals, accepted=intervals)
# Ties of one microsecond, stored in the wrong order: the sequence decides, not the place in the table.
@example(tape=[Print(5, 9, ONE, ONE), Print(5, 2, THIRD, ONE, "buy"), Print(5, 4, Decimal(2), ONE)], covered=[(0, DAY_US)], accepted=[])
# The sum of a giant and a dwarf keeps every digit.
@example(
    tape=[Print(0, 1, Decimal("9" * 26), Decimal("9" * 20)), Print(1, 2, Decimal("1e-12"), Decimal("1e-18"), "buy")],
    covered=[],
    accepted=[],
)
def test_bars_equal_the_definition(prepared: Database, tape: list[Print], covered: list[Interval], accepted: list[Interval]) -> None:
    store(prepared, tape, covered, accepted)
    refresh(prepared)
    counted = [row.trade for row in tape if row.counts]
    volume = sum((Fraction(trade.size) for trade in counted), Fraction(0))
    for interval, length in INTERVALS.items():
        bars, vwaps, complete = stored_bars(prepared, interval)
        expected = bars_from_trades(counted, length)
        assert bars == expected
        assert vwaps == [bar.vwap for bar in expected]
        assert [Fraction(number) for number in vwaps] == [half_away(Fraction(bar.quote_volume) / Fraction(bar.volume)) for bar in bars]
        assert sum((Fraction(bar.volume) for bar in bars), Fraction(0)) == volume
        assert sum(bar.trade_count for bar in bars) == len(counted)
        for bar in bars:
            for number in (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.quote_volume, bar.taker_buy_quote_volume):
                assert format(number, "f") == plain(number)
        starts = [to_us(bar.bar_start) - START_US for bar in bars]
        assert complete == [holds(covered, accepted, (start, start + length // timedelta(microseconds=1))) for start in starts]


@on_a_server
@given(tape=tapes())
def test_rolled_up_bars_equal_bars_from_trades(tape: list[Print]) -> None:
    trades = [row.trade for row in tape]
    shorter = bars_from_trades(trades, INTERVALS["1m"])
    for interval in ("5m", "1h", "1d"):
        shorter = roll_up(shorter, INTERVALS[interval])
        assert shorter == bars_from_trades(trades, INTERVALS[interval])


def test_what_does_not_count_gives_no_bar(prepared: Database) -> None:
    fund, other = ("insurance_fund",), ("insurance_fund_", "auction")
    store(
        prepared,
        [
            Print(0, 1, Decimal(100), ONE, "buy", fund),
            Print(1, 2, Decimal(10), ONE, "buy", other),
            Print(2, 3, Decimal(1), ONE, "buy", ("auction", "adl")),
            Print(3, 4, Decimal(11), ONE, "sell", ()),
            # A minute of which nothing counts, and an hour.
            Print(MINUTE_US, 5, Decimal(100), ONE, None, fund),
            Print(60 * MINUTE_US, 6, Decimal(100), ONE, None, fund),
        ],
        covered=[(0, DAY_US)],
    )
    refresh(prepared)
    for interval in INTERVALS:
        [bar], [vwap], [is_complete] = stored_bars(prepared, interval)
        assert (bar.open, bar.high, bar.low, bar.close, bar.trade_count) == (Decimal(10), Decimal(11), Decimal(10), Decimal(11), 2)
        assert (bar.volume, bar.quote_volume, bar.taker_buy_volume, vwap) == (Decimal(2), Decimal(21), ONE, Decimal("10.5"))
        assert (bar.first_sequence, bar.last_sequence, is_complete) == (2, 4, True)


def test_an_empty_minute_can_keep_a_longer_bar_from_being_complete(prepared: Database) -> None:
    # Nothing is missing where the trades are; five minutes are not covered where there are none.
    store(prepared, [Print(0, 1, ONE, ONE)], covered=[(0, 3 * MINUTE_US), (3 * MINUTE_US + 1, DAY_US)])
    refresh(prepared)
    assert [stored_bars(prepared, interval)[2] for interval in INTERVALS] == [[True], [False], [False], [False]]
    # The same, once a person accepted the hole, touching what is covered on both sides.
    store(prepared, [Print(0, 1, ONE, ONE)], [(0, 3 * MINUTE_US), (3 * MINUTE_US + 1, DAY_US)], [(3 * MINUTE_US, 3 * MINUTE_US + 1)])
    refresh(prepared)
    assert [stored_bars(prepared, interval)[2] for interval in INTERVALS] == [[True]] * 4


def test_a_day_taken_back_leaves_no_bar(prepared: Database) -> None:
    store(prepared, [Print(0, 1, ONE, ONE), Print(DAY_US - 1, 2, ONE, ONE)])
    refresh(prepared)
    with owner(prepared) as connection:
        connection.execute("delete from raw_trades")
        connection.execute("update coverage set space = null, row_count = 0")
    refresh(prepared)
    assert [stored_bars(prepared, interval)[0] for interval in INTERVALS] == [[], [], [], []]


def vwap_in_sql(database: Database, pairs: Sequence[tuple[Decimal, Decimal]]) -> list[Decimal | None]:
    # As text: binary parameters of this length would test psycopg, not the function.
    given = [(plain(a), plain(b)) for a, b in pairs]
    with owner(database) as connection:
        query = "select exact_vwap(q::numeric, v::numeric) from unnest(%s::text[], %s::text[]) with ordinality as p (q, v, n) order by n"
        return [row[0] for row in connection.execute(query, ([q for q, _ in given], [v for _, v in given])).fetchall()]


@on_a_server
@given(pairs=st.lists(st.tuples(decimals(46, 30), decimals(20, 18)), min_size=1, max_size=40))
def test_vwap_is_rounded_once(prepared: Database, pairs: list[tuple[Decimal, Decimal]]) -> None:
    for found, (quote_volume, volume) in zip(vwap_in_sql(prepared, pairs), pairs, strict=True):
        assert found is not None
        assert Fraction(found) == half_away(Fraction(quote_volume) / Fraction(volume))
        assert format(found, "f") == plain(found)


@pytest.mark.parametrize(
    ("quote_volume", "volume", "expected"),
    [
        ("0", "1", "0"),
        ("1", "0", None),
        ("0", "0", None),
        ("1", "3", "0.333333333333"),
        ("2", "3", "0.666666666667"),
        # Exactly half of the last digit goes up, a hair less does not.
        ("0.0000000000005", "1", "0.000000000001"),
        ("0.00000000000049999999999999999", "1", "0"),
        ("0.0000000000015", "1", "0.000000000002"),
        ("0.0000000000025", "1", "0.000000000003"),
        # Rounded to 16 or 20 digits first, this would end in 5 and go up.
        ("0.00000000000149999999999999999999999999", "1", "0.000000000001"),
        ("1e-30", "1e-18", "0.000000000001"),
        ("4999999999999e-43", "1e-18", "0"),
        ("9" * 46, "1e-18", "9" * 46 + "0" * 18),
        ("1e-30", "9" * 20, "0"),
        ("100", "4", "25"),
    ],
)
def test_vwap_at_its_edges(prepared: Database, quote_volume: str, volume: str, expected: str | None) -> None:
    [found] = vwap_in_sql(prepared, [(Decimal(quote_volume), Decimal(volume))])
    assert found == (None if expected is None else Decimal(expected))
