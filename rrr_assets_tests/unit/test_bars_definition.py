"""The definition of bars: order, exact sums, and that longer bars from shorter ones are the same bars."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from rrr_assets.calc.order import Bar, Trade, bar_start, bars_from_trades, roll_up

START = datetime(2024, 2, 28, 23, 0, tzinfo=UTC)
MINUTE, FIVE, HOUR, DAY = timedelta(minutes=1), timedelta(minutes=5), timedelta(hours=1), timedelta(days=1)

prices = st.one_of(st.integers(1, 5), st.integers(1, 10**38 - 1)).map(lambda value: Decimal((0, tuple(map(int, str(value))), -12)))
sizes = st.one_of(st.integers(1, 5), st.integers(1, 10**38 - 1)).map(lambda value: Decimal((0, tuple(map(int, str(value))), -18)))
# Times that tie, lie on borders of bars, and cross two midnights.
offsets = st.one_of(st.integers(0, 3), st.integers(0, 50 * 60).map(lambda minute: minute * 60_000_000), st.integers(0, 50 * 3600 * 10**6))
sides = st.sampled_from(["buy", "sell", None])
tapes = st.lists(st.tuples(offsets, prices, sizes, sides), min_size=1, max_size=25).flatmap(
    lambda rows: st.permutations(range(len(rows))).map(
        lambda numbers: [
            Trade(START + timedelta(microseconds=offset), number, price, size, side)
            for number, (offset, price, size, side) in zip(numbers, rows, strict=True)
        ]
    )
)
intervals = st.sampled_from([MINUTE, FIVE, HOUR, DAY])


@given(tapes, intervals, st.randoms(use_true_random=False))
def test_the_order_in_which_trades_come_does_not_matter(trades: list[Trade], interval: timedelta, random: object) -> None:
    shuffled = list(trades)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis does not export the type
    assert bars_from_trades(shuffled, interval) == bars_from_trades(trades, interval)


@given(st.lists(st.tuples(prices, sizes, sides), min_size=1, max_size=5))
def test_tied_trades_stand_in_the_order_of_their_sequence(rows: list[tuple[Decimal, Decimal, str | None]]) -> None:
    trades = [Trade(START, number, *row) for number, row in enumerate(rows)]
    for permuted in permutations(trades):
        [bar] = bars_from_trades(permuted, MINUTE)
        assert (bar.open, bar.close) == (rows[0][0], rows[-1][0])
        assert (bar.first_sequence, bar.last_sequence) == (0, len(rows) - 1)


def total(numbers: list[Decimal]) -> Fraction:
    return sum(map(Fraction, numbers), Fraction(0))


def notional(trades: list[Trade]) -> Fraction:
    return sum((Fraction(trade.price) * Fraction(trade.size) for trade in trades), Fraction(0))


@given(tapes, intervals)
def test_nothing_is_lost_and_nothing_rounded(trades: list[Trade], interval: timedelta) -> None:
    bars = bars_from_trades(trades, interval)
    bought = [trade for trade in trades if trade.side == "buy"]
    assert total([bar.volume for bar in bars]) == total([trade.size for trade in trades])
    assert total([bar.quote_volume for bar in bars]) == notional(trades)
    assert total([bar.taker_buy_volume for bar in bars]) == total([trade.size for trade in bought])
    assert total([bar.taker_buy_quote_volume for bar in bars]) == notional(bought)
    assert sum(bar.trade_count for bar in bars) == len(trades)


@given(tapes, intervals)
def test_a_bar_is_what_its_trades_say(trades: list[Trade], interval: timedelta) -> None:
    bars = bars_from_trades(trades, interval)
    starts = [bar.bar_start for bar in bars]
    assert starts == sorted(set(starts))
    midnight = datetime(2024, 2, 28, tzinfo=UTC)
    for bar in bars:
        assert (bar.bar_start - midnight) % interval == timedelta(0), "bars lie on the grid of their day"
        inside = [trade for trade in trades if bar.bar_start <= trade.event_time < bar.bar_start + interval]
        first = min(inside, key=lambda trade: (trade.event_time, trade.sequence))
        last = max(inside, key=lambda trade: (trade.event_time, trade.sequence))
        assert (bar.open, bar.close, bar.first_sequence, bar.last_sequence) == (first.price, last.price, first.sequence, last.sequence)
        assert {bar.high} == {price for price in (trade.price for trade in inside) if all(price >= trade.price for trade in inside)}
        assert {bar.low} == {price for price in (trade.price for trade in inside) if all(price <= trade.price for trade in inside)}
        assert (bar.trade_count, Fraction(bar.quote_volume)) == (len(inside), notional(inside))
        assert bar.vwap is not None
        assert bar.low <= bar.vwap <= bar.high


@given(tapes, st.randoms(use_true_random=False))
def test_longer_bars_from_shorter_ones_are_the_same(trades: list[Trade], random: object) -> None:
    bars = bars_from_trades(trades, MINUTE)
    for interval in (FIVE, HOUR, DAY):
        random.shuffle(bars)  # type: ignore[attr-defined]  # hypothesis does not export the type
        bars = roll_up(bars, interval)
        direct = bars_from_trades(trades, interval)
        assert bars == direct
        assert [bar.vwap for bar in bars] == [bar.vwap for bar in direct]


def test_no_trades_make_no_bar() -> None:
    assert bars_from_trades([], MINUTE) == []
    assert roll_up(list[Bar](), FIVE) == []


@given(st.datetimes(min_value=datetime(1960, 1, 1), max_value=datetime(2100, 1, 1)), intervals)  # noqa: DTZ001  # timezones= sets the zone
def test_a_time_lies_in_its_bar(naive: datetime, interval: timedelta) -> None:
    time = naive.replace(tzinfo=UTC)
    start = bar_start(time, interval)
    assert start <= time < start + interval
    assert (start - datetime(1970, 1, 1, tzinfo=UTC)) % interval == timedelta(0)
