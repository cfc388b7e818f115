"""Drift of features: the index by hand and by its properties, bins that hold whatever values come, and what is said of a day."""

import math
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.drift import (
    BINS,
    LEAST_DAYS,
    LEAST_SHARE,
    LEAST_VALUES,
    Bins,
    Drift,
    held_against,
    make_bins,
    population_stability_index,
    verdicts,
)
from rrr_assets.calc.quality_config import FeatureDrift
from rrr_assets.contracts.features import FEATURES_1M
from rrr_assets.contracts.rules import Kind, rules_of
from rrr_assets.features.drift import worst_first
from rrr_assets.warehouse.quality_feature_drift import Number
from rrr_assets_tests.unit.test_features import made, padded

Column = npt.NDArray[np.float64]
SETTINGS = FeatureDrift.model_validate({})
NULL = float("nan")
SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=12).filter(lambda given: sum(given) > 0)


def drawn(seed: int, n: int = 5000, mean: float = 0.0, deviation: float = 1.0) -> Column:
    return np.random.default_rng(seed).normal(mean, deviation, n)


def bins_of(values: Any, days: int = 1) -> Bins:
    column = np.asarray(values, np.float64)
    return make_bins(column, np.arange(len(column)) * days // max(len(column), 1))


def against(values: Any, reference: Bins | None) -> Drift:
    return held_against(np.asarray(values, np.float64), reference)


# --- the index ----------------------------------------------------------------------------------------------------


def test_the_index_by_hand() -> None:
    # (0.4 - 0.2) ln 2 + (0.5 - 0.5) ln 1 + (0.1 - 0.3) ln (1/3)
    expected = 0.2 * math.log(2) + 0.2 * math.log(3)
    assert population_stability_index([0.2, 0.5, 0.3], [0.4, 0.5, 0.1]) == pytest.approx(expected, rel=1e-14)
    # A bin that nothing is in counts as a ten-thousandth.
    emptied = (0.5 - LEAST_SHARE) * math.log(0.5 / LEAST_SHARE) + 0.5 * math.log(2)
    assert population_stability_index([0.5, 0.5], [0.0, 1.0]) == pytest.approx(emptied, rel=1e-14)
    with pytest.raises(ValueError, match="2 bins cannot be held against 3"):
        population_stability_index([0.5, 0.5], [0.2, 0.3, 0.5])


@given(SHARES, st.randoms(use_true_random=False))
def test_the_index_is_a_distance_in_all_but_the_triangle(shares: list[float], random: Any) -> None:
    one = np.array(shares) / sum(shares)
    other = one.copy()
    random.shuffle(other)
    index = population_stability_index(one, other)
    assert population_stability_index(one, one) == 0
    assert 0 <= index < 20
    assert population_stability_index(other, one) == pytest.approx(index, rel=1e-12)
    # The bins have no order, and a bin of nothing on both sides says nothing.
    order = random.sample(range(len(one)), len(one))
    assert population_stability_index([*one[order], 0.0], [*other[order], 0.0]) == pytest.approx(index, rel=1e-9, abs=1e-12)


# --- bins ---------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.integers(-2, 2).map(float)), max_size=300),
    st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=50),
)
def test_whatever_comes_is_in_one_bin_and_nothing_is_infinite(values: list[float], others: list[float]) -> None:
    bins = bins_of(values)
    known = [value for value in values if math.isfinite(value)]
    assert (bins.rows, bins.missing_rate) == (len(values), pytest.approx(1 - len(known) / len(values)) if values else 0)
    assert list(bins.edges) == sorted(set(bins.edges))
    assert all(map(math.isfinite, bins.edges))
    if known:
        assert len(bins.shares) == len(bins.edges) + 1
        assert sum(bins.shares) == pytest.approx(1)
        assert (bins.minimum, bins.maximum) == (min(known), max(known))
        # No bin but one of a single value holds more than its tenth and what its edge adds.
        assert len(bins.edges) <= 2 * BINS
    for column in (values, others):
        drift = against(column, bins)
        for number in (drift.psi, drift.out_of_range, drift.in_tails, drift.missing_rate):
            assert number is None or (math.isfinite(number) and number >= 0)
    same = against(values, bins)
    assert same.psi in {0, None}
    assert same.out_of_range in {0, None}


def test_bins_are_the_tenths_of_the_reference() -> None:
    bins = bins_of(np.arange(1000.0))
    assert bins.edges == tuple(100.0 * k - 1 for k in range(1, BINS))
    assert bins.shares == pytest.approx([0.1] * BINS)
    assert (bins.low, bins.high) == (4.0, 994.0)


def test_a_frequent_value_has_a_bin_of_its_own() -> None:
    """Of a feature that is 0 in most minutes and moves in the others, a day that is never 0 and one that is below it are told apart."""
    bins = bins_of([0.0] * 800 + [float(k) for k in range(1, 201)])
    alone = bins.edges.index(0.0)
    assert bins.shares[alone] == 0.8
    assert bins.shares[0] == 0, "what lies below the lowest value has a bin too"
    below = against([-1e-300] * 1000, bins)
    assert (below.in_tails, round(below.psi or 0)) == (1, 18)


def test_a_constant_reference_knows_what_is_not_it() -> None:
    bins = bins_of([7.0] * 1000)
    assert against([7.0] * 500, bins).psi == 0
    for other in (np.nextafter(7, 8), np.nextafter(7, 6), -7.0, 1e308):
        drift = against([other] * 500, bins)
        assert drift.psi is not None
        assert drift.psi > 18
        assert drift.in_tails == 1


def test_the_same_distribution_lies_near_and_another_far() -> None:
    reference = bins_of(drawn(1, 20_000))
    assert against(drawn(2, 1440), reference).psi == pytest.approx(0.007, abs=0.012)
    for moved in (drawn(3, 1440, mean=0.7), drawn(3, 1440, deviation=2.5)):
        assert (against(moved, reference).psi or 0) > 0.25
    # Bins are by rank: what stretches both alike changes nothing.
    stretched = bins_of(np.exp(drawn(1, 20_000)))
    assert against(np.exp(drawn(3, 1440, mean=0.7)), stretched).psi == against(drawn(3, 1440, mean=0.7), reference).psi


def test_too_little_says_nothing() -> None:
    reference = bins_of(drawn(1), LEAST_DAYS)
    assert against([], reference) == Drift(0, None, LEAST_DAYS, 0, None, reference.usual_psi, None, None, ())
    one = against([0.1], reference)
    assert (one.psi, one.out_of_range, one.rows, sum(one.shares)) == (None, 0, 1, 1)
    assert against(drawn(2, LEAST_VALUES - 1), reference).psi is None
    assert against(drawn(2, LEAST_VALUES), reference).psi is not None
    assert against(drawn(2), bins_of(drawn(1, LEAST_VALUES - 1))).psi is None
    nothing = against([NULL] * 1440, reference)
    assert (nothing.missing_rate, nothing.psi, nothing.out_of_range, nothing.shares) == (1, None, None, ())
    # Nothing was known in the reference: what there is now cannot be held against it, but that it is there.
    empty = bins_of([NULL] * 1000)
    assert (empty.missing_rate, empty.edges, empty.shares) == (1, (), ())
    drift = against(drawn(2), empty)
    assert (drift.psi, drift.out_of_range, drift.missing_rate, drift.reference_missing_rate) == (None, None, 0, 1)
    assert verdicts("rsi_14", drift, SETTINGS) == ()
    # An instrument that the reference never saw.
    unseen = against(drawn(2), None)
    assert (unseen.psi, unseen.reference_missing_rate, unseen.rows) == (None, None, 5000)
    assert verdicts("rsi_14", unseen, SETTINGS) == ()


def test_infinities_count_as_missing() -> None:
    column = drawn(1)
    column[::10] = math.inf
    column[5::10] = -math.inf
    bins = bins_of(column)
    assert bins.missing_rate == pytest.approx(0.2)
    assert bins.maximum is not None
    assert bins.maximum < 10
    assert against(column, bins).psi == 0


def test_days_of_the_reference_say_what_is_usual() -> None:
    """A feature whose days differ by themselves has drifted only where it differs by more than that."""
    level = np.repeat(np.linspace(-1, 1, 14), 1440)
    reference = make_bins(drawn(1, 14 * 1440) + level, np.repeat(np.arange(14), 1440))
    assert reference.days == 14
    assert reference.usual_psi is not None
    assert 0.5 < reference.usual_psi < 2
    as_usual = against(drawn(2, 1440, mean=1), reference)
    assert as_usual.psi is not None
    assert as_usual.psi > SETTINGS.psi_large
    assert verdicts("rsi_14", as_usual, SETTINGS) == ()
    assert verdicts("rsi_14", against(drawn(2, 1440, mean=3), reference), SETTINGS) == ("drifted", "out_of_range")
    # By hand: the first day against the others, in the bins of all.
    column = drawn(1, 14 * 1440) + level
    places = np.searchsorted(reference.edges, column, side="left")
    indexes = []
    for day in range(14):
        mine = np.arange(14 * 1440) // 1440 == day
        shares = [np.bincount(places[chosen], minlength=BINS) / chosen.sum() for chosen in (~mine, mine)]
        indexes.append(population_stability_index(*shares))
    assert reference.usual_psi == pytest.approx(max(indexes))


def test_hours_that_overlap_differ_by_day_and_warn_nobody() -> None:
    """Values of an hour overlap: a day has 24 of them that do not, and by the thresholds alone days of one distribution differ by much."""
    rng = np.random.default_rng(5)
    smoothed = np.convolve(rng.normal(size=54 * 1440 + 59), np.ones(60), "valid")
    for days_of_reference, said in ((14, {(), ("moved",)}), (LEAST_DAYS - 1, {(), ("moved",)})):
        reference = make_bins(smoothed[: days_of_reference * 1440], np.repeat(np.arange(days_of_reference), 1440))
        days = [held_against(smoothed[day * 1440 : (day + 1) * 1440], reference) for day in range(14, 54)]
        assert len([day for day in days if (day.psi or 0) >= SETTINGS.psi_large]) >= 5
        assert {verdicts("realised_volatility_1h", day, SETTINGS) for day in days} <= said
        moved = held_against(smoothed[-1440:] + 30, reference)
        # A reference of too few days says neither what is usual nor what the range is.
        known = days_of_reference >= LEAST_DAYS
        assert ((reference.usual_psi is not None), (moved.out_of_range is not None)) == (known, known)
        assert verdicts("realised_volatility_1h", moved, SETTINGS) == (("drifted", "out_of_range") if known else ("moved",))


# --- what is said -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ()),
        ({"psi": 0.1}, ("moved",)),
        ({"psi": 0.25}, ("drifted",)),
        ({"psi": 9.0, "usual_psi": None}, ("moved",)),
        ({"psi": 0.25, "usual_psi": 0.12}, ("drifted",)),
        ({"psi": 0.25, "usual_psi": 0.13}, ("moved",)),
        ({"psi": 0.25, "usual_psi": 0.26}, ()),
        ({"psi": 0.2, "usual_psi": 0.05}, ("moved",)),
        ({"psi": 0.35, "usual_psi": 0.12, "reference_days": 7}, ("moved",)),
        ({"psi": 0.36, "usual_psi": 0.12, "reference_days": 7}, ("drifted",)),
        ({"psi": 0.25, "usual_psi": 0.12, "reference_days": 28}, ("drifted",)),
        ({"out_of_range": 0.14, "reference_days": 7}, ()),
        ({"out_of_range": 0.15, "reference_days": 7}, ("out_of_range",)),
        ({"psi": None, "usual_psi": None}, ()),
        ({"out_of_range": 0.08}, ("out_of_range",)),
        ({"missing_rate": 0.07, "reference_missing_rate": 0.01}, ("missing",)),
        ({"missing_rate": 0.5, "reference_missing_rate": 0.6}, ()),
        ({"psi": 3.0, "out_of_range": 1.0, "missing_rate": 0.5}, ("drifted", "out_of_range", "missing")),
    ],
)
def test_what_is_said_of_a_day(changes: dict[str, Any], said: tuple[str, ...]) -> None:
    drift = replace(Drift(1440, 0.0, 14, 0.0, 0.01, 0.02, 0.0, 0.01, ()), **changes)
    assert verdicts("rsi_14", drift, SETTINGS) == said
    # A level of price, or the calendar, drifts by itself; that it is missing is told all the same.
    for name in ("sma_20", "hour_of_week"):
        assert verdicts(name, drift, SETTINGS) == tuple(word for word in said if word == "missing")


def test_the_worst_comes_first() -> None:
    usual = Drift(1440, 0.0, 14, 0.0, 0.01, 0.02, 0.0, 0.01, ())
    ordered = [
        ("macd", {"psi": 3.0}), ("sma_20", {"missing_rate": 0.5, "psi": 9.0}), ("rsi_14", {"out_of_range": 0.4}),
        ("macd", {"psi": 0.3, "out_of_range": 0.2}), ("rsi_14", {"psi": 0.24}), ("macd", {"psi": 0.11}),
        ("rsi_14", {"psi": 4.0, "usual_psi": 5.0}), ("macd", {}), ("macd", {}), ("hour_of_week", {"psi": 9.0}),
    ]  # fmt: skip
    numbers = [Number(date(2025, 3, n + 1), "a:B", name, 1, replace(usual, **changes)) for n, (name, changes) in enumerate(ordered)]
    mixed = [*numbers[1::2], *numbers[::2]]
    assert [each.day.day for each in worst_first(mixed, SETTINGS)] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    nothing = SETTINGS.model_copy(update={"missing_rise": 0.0, "out_of_range": 0.0})
    assert len(worst_first(mixed, nothing)) == len(numbers)


def test_settings_that_contradict_themselves_are_refused() -> None:
    assert FeatureDrift.model_validate({"psi_large": 0.3}).psi_moderate == 0.1
    with pytest.raises(ValidationError, match="psi_moderate lies above psi_large"):
        FeatureDrift.model_validate({"psi_moderate": 0.3})


# --- ranges of the definitions ------------------------------------------------------------------------------------


def test_a_range_of_a_definition_is_a_rule_of_the_contract() -> None:
    told = {rule.columns[0]: rule.told for rule in rules_of(FEATURES_1M) if rule.kind is Kind.RANGE}
    assert set(told) == {name for name, each in FEATURES.items() if (each.low, each.high) != (None, None)}
    assert told["rsi_14"] == "rsi_14 from 0 to 100"
    assert told["trade_imbalance_5m"] == "trade_imbalance_5m from -1 to 1"
    assert told["realised_volatility_1h"] == "realised_volatility_1h >= 0"


@pytest.mark.parametrize("seed", range(4))
def test_every_value_lies_in_its_range_to_the_last_bit(seed: int) -> None:
    """Also where one side bought everything, and where the price only rose: rounding takes nothing past an end."""
    from rrr_assets.calc.features.compute import evaluate

    frame = made(800, seed)
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(np.abs(rng.normal(0, 1e-3, 800))))
    one_sided = {
        "open": close * 0.9999, "high": close, "low": close * 0.9999, "close": close, "taker_buy_volume": frame["volume"].to_numpy(),
        "depth_imbalance_close": np.ones(800), "quoted_spread_bps": np.zeros(800),
    }  # fmt: skip
    import polars as pl

    for laid_out in (frame, frame.with_columns(pl.Series(name, column) for name, column in one_sided.items())):
        found = evaluate(padded(laid_out), since=laid_out["bar_start"][200])
        for name, each in FEATURES.items():
            low, high = found[name].min(), found[name].max()
            assert low is None or each.low is None or low >= each.low, name
            assert high is None or each.high is None or high <= each.high, name
    assert found["rsi_14"].max() == 100
    assert found["trade_imbalance_5m"].min() == found["trade_imbalance_5m"].max() == 1
