"""The definition of bars by what was traded: cut trade by trade it is the closed form, nothing is lost, and rules have one name."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rrr_assets.calc.information_bars import Rule, information_bars
from rrr_assets.calc.numbers import plain
from rrr_assets.calc.order import Trade
from rrr_assets.contracts.information_bars import KINDS

MIDNIGHT = datetime(2024, 3, 5, tzinfo=UTC)
LAST = timedelta(days=1) - timedelta(microseconds=1)
ONE = Decimal(1)

# Usual trades, dwarfs, and giants that span many multiples of a threshold at once; few moments, so that many share one.
prices = st.one_of(st.integers(1, 5).map(Decimal), st.integers(1, 10**38 - 1).map(lambda n: Decimal(f"{n}e-12")))
sizes = st.one_of(st.integers(1, 9).map(lambda n: Decimal(n) / 2), st.integers(1, 10**38 - 1).map(lambda n: Decimal(f"{n}e-18")))
moments = st.one_of(st.integers(0, 3).map(lambda n: timedelta(microseconds=n)), st.just(LAST), st.timedeltas(timedelta(0), LAST))
thresholds = st.one_of(st.integers(1, 12).map(Decimal), st.integers(1, 10**12).map(lambda n: Decimal(n) / 10**6))
rules = st.one_of(
    st.builds(Rule, st.just("tick"), st.integers(1, 6).map(Decimal)), st.builds(Rule, st.sampled_from(["volume", "dollar"]), thresholds)
)
tapes = st.lists(st.tuples(moments, prices, sizes, st.sampled_from(["buy", "sell", None])), max_size=30).flatmap(
    lambda rows: st.permutations(range(len(rows))).map(
        lambda numbers: [Trade(MIDNIGHT + at, number, *rest) for number, (at, *rest) in zip(numbers, rows, strict=True)]
    )
)


def counted(trade: Trade, kind: str) -> Fraction:
    return {"tick": Fraction(1), "volume": Fraction(trade.size), "dollar": Fraction(trade.price) * Fraction(trade.size)}[kind]


@given(tapes, rules)
@example([Trade(MIDNIGHT, n, ONE, Decimal(size), None) for n, size in enumerate([1, 100, 1, 1])], Rule("volume", Decimal(10)))
def test_a_trade_belongs_to_the_bar_of_what_was_traded_before_it(trades: list[Trade], rule: Rule) -> None:
    in_order = sorted(trades, key=lambda trade: (trade.event_time, trade.sequence))
    threshold, before = Fraction(rule.threshold), Fraction(0)
    wanted: dict[int, list[Trade]] = {}
    for trade in in_order:
        wanted.setdefault(floor(before / threshold), []).append(trade)
        before += counted(trade, rule.kind)
    bars = information_bars(trades, rule)
    assert [bar.bar_index for bar in bars] == list(wanted)
    for bar, mine in zip(bars, wanted.values(), strict=True):
        assert (bar.sums.first_sequence, bar.sums.last_sequence, bar.sums.trade_count) == (mine[0].sequence, mine[-1].sequence, len(mine))
        assert (bar.sums.bar_start, bar.bar_end) == (mine[0].event_time, mine[-1].event_time)
    ends = [bar.is_full for bar in bars]
    assert all(ends[:-1]), "only the day's last bar can be short"
    if bars:
        assert ends[-1] == (before >= (bars[-1].bar_index + 1) * threshold)


@given(tapes, rules)
def test_nothing_is_lost_and_nothing_is_in_two_bars(trades: list[Trade], rule: Rule) -> None:
    bars = [bar.sums for bar in information_bars(trades, rule)]
    assert sum(bar.trade_count for bar in bars) == len(trades)
    assert sum((Fraction(bar.volume) for bar in bars), Fraction(0)) == sum((Fraction(trade.size) for trade in trades), Fraction(0))
    traded = sum((counted(trade, "dollar") for trade in trades), Fraction(0))
    assert sum((Fraction(bar.quote_volume) for bar in bars), Fraction(0)) == traded
    places = [
        place
        for bar in information_bars(trades, rule)
        for place in ((bar.sums.bar_start, bar.sums.first_sequence), (bar.bar_end, bar.sums.last_sequence))
    ]
    assert places == sorted(places)


@given(tapes, rules, st.randoms(use_true_random=False))
def test_the_order_in_which_trades_come_does_not_matter(trades: list[Trade], rule: Rule, random: object) -> None:
    shuffled = list(trades)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis does not export the type
    assert information_bars(shuffled, rule) == information_bars(trades, rule)


def test_a_giant_leaves_numbers_out_and_what_it_is_over_counts() -> None:
    trades = [Trade(MIDNIGHT, n, ONE, Decimal(size), None) for n, size in enumerate([6, 29, 4, 1, 3])]
    bars = information_bars(trades, Rule("volume", Decimal(10)))
    # 6 + 29 = 35 ends bar 0 past 10, 20 and 30; 39 does not reach 40, 40 does; 43 is left at midnight.
    assert [(bar.bar_index, bar.sums.volume, bar.is_full) for bar in bars] == [(0, 35, True), (3, 5, True), (4, 3, False)]


def test_no_trades_make_no_bar() -> None:
    assert information_bars([], Rule("tick", ONE)) == []


@given(st.sampled_from(list(KINDS)), st.integers(1, 10**46 - 1), st.integers(0, 30))
def test_a_rule_has_one_name(kind: str, units: int, scale: int) -> None:
    threshold = Decimal(units) if kind == "tick" else Decimal(f"{units}e-{scale}")
    rule = Rule(kind, threshold)
    assert Rule.parse(rule.name) == rule
    assert Rule.parse(rule.name).name == rule.name == f"{kind}-{plain(threshold)}"


@pytest.mark.parametrize(("text", "name"), [("dollar-1000000.00", "dollar-1000000"), ("volume-0.50", "volume-0.5"), ("tick-007", "tick-7")])
def test_a_name_is_read_as_it_is_written_here(text: str, name: str) -> None:
    assert Rule.parse(text).name == name


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("dollar", "is no rule"),
        ("euro-1000", "is no rule"),
        ("dollar-1e6", "is no rule"),
        ("dollar--1", "is no rule"),
        ("dollar-1,000", "is no rule"),
        ("dollar-" + "9" * 47, "is no rule"),
        ("volume-0." + "0" * 30 + "1", "is no rule"),
        ("dollar-nan", "is no rule"),
        ("dollar-0.00", "above 0"),
        ("tick-2.5", "whole number"),
        ("tick-\u0661\u0660", "is no rule"),
    ],
)
def test_what_is_no_rule_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Rule.parse(text)
