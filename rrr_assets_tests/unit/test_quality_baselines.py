"""Seasonal baselines: what is learned, and what is unusual by it."""

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrr_assets.calc import quality_baselines as calc
from rrr_assets.contracts.quality import METRICS

MONDAY = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
WEEK = 2016


def starts(windows: int, since: int = MONDAY) -> calc.Integers:
    return since + np.arange(windows, dtype=np.int64) * calc.WINDOW_SECONDS


def activity(windows: int, seed: int, level: float = 60) -> calc.Floats:
    """Counts that rise and fall with the day, and are half as high on weekends."""
    hours = calc.hours_of_week(starts(windows))
    mean = level * (1.2 + np.sin(hours / 24 * 2 * np.pi)) * np.where(hours >= 120, 0.5, 1)
    return np.random.default_rng(seed).poisson(mean).astype(np.float64)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001  # hypothesis adds the zone itself
def test_the_hour_of_the_week_is_the_calendars(at: datetime) -> None:
    seconds = np.array([int(at.replace(tzinfo=UTC).timestamp())], np.int64)
    assert calc.hours_of_week(seconds)[0] == at.weekday() * 24 + at.hour


def test_what_is_usual_is_learned_by_the_hour_of_the_week() -> None:
    usual = calc.learn("trade_rate", starts(6 * WEEK), activity(6 * WEEK, 1), 1.0)
    assert [each.hour_of_week for each in usual] == list(range(168))
    assert {each.basis for each in usual} == {"hour_of_week"}
    assert {each.samples for each in usual} == {72}
    assert usual[6].expected == pytest.approx(132, rel=0.1)
    assert usual[126].expected == pytest.approx(66, rel=0.1)


@pytest.mark.parametrize(("windows", "bases"), [(287, set()), (288, {"overall"}), (5 * 288, {"hour_of_day"}), (3 * WEEK, {"hour_of_week"})])
def test_where_samples_are_few_a_wider_choice_is_taken(windows: int, bases: set[str]) -> None:
    found = calc.learn("trade_rate", starts(windows), activity(windows, 2), 1.0)
    assert {each.basis for each in found} == bases
    assert len(found) == (168 if bases else 0)


def test_windows_that_are_not_known_are_no_samples() -> None:
    values = activity(4 * WEEK, 3)
    values[WEEK:] = np.nan
    assert {each.samples for each in calc.learn("trade_rate", starts(4 * WEEK), values, 1.0)} == {84}


@pytest.mark.parametrize("metric", METRICS)
def test_a_history_without_any_change_has_a_finite_score_for_everything(metric: str) -> None:
    values = np.full(4 * WEEK, 3.0)
    usual = calc.learn(metric, starts(4 * WEEK), values, calc.unit_of(metric, values, values))
    scores = calc.scored(starts(3), np.array([0.0, 3.0, 1e12]), usual)
    assert np.all(np.isfinite(scores))
    assert scores[1] == 0
    assert scores[0] < 0 < scores[2]


@given(st.floats(1e-9, 1e9), st.integers(0, 2**32 - 1))
def test_a_volume_is_as_odd_in_whatever_it_is_measured(factor: float, seed: int) -> None:
    counts = activity(2 * WEEK, seed)
    volumes = counts * 0.37
    scores = []
    for scale in (1.0, factor):
        unit = calc.unit_of("volume", volumes * scale, counts)
        usual = calc.learn("volume", starts(2 * WEEK), volumes * scale, unit)
        scores.append(calc.scored(starts(WEEK), volumes[:WEEK] * scale, usual))
    assert np.allclose(*scores, rtol=1e-6, atol=1e-9)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1e6), st.floats(0, 1e6))
def test_more_is_odder_upwards(seed: int, one: float, other: float) -> None:
    usual = calc.learn("trade_rate", starts(2 * WEEK), activity(2 * WEEK, seed), 1.0)
    low, high = sorted((one, other))
    scores = calc.scored(starts(1), np.array([low]), usual), calc.scored(starts(1), np.array([high]), usual)
    assert scores[0][0] <= scores[1][0]


@pytest.mark.parametrize("level", [0.2, 1, 5, 60, 2000])
@pytest.mark.parametrize("seed", range(3))
def test_a_quiet_market_is_not_odd(level: float, seed: int) -> None:
    values = activity(12 * WEEK, seed, level)
    usual = calc.learn("trade_rate", starts(8 * WEEK), values[: 8 * WEEK], 1.0)
    scores = calc.scored(starts(4 * WEEK), values[8 * WEEK :], usual)
    assert list(calc.runs(starts(4 * WEEK), scores, 6)) == []


def test_a_burst_a_drop_and_silence_are_one_anomaly_each() -> None:
    values = activity(9 * WEEK, 5, 100)
    usual = calc.learn("trade_rate", starts(8 * WEEK), values[: 8 * WEEK], 1.0)
    week = values[8 * WEEK :].copy()
    week[300:306] *= 8
    week[700:709] //= 8
    week[1500:1503] = 0
    found = list(calc.runs(starts(WEEK), calc.scored(starts(WEEK), week, usual), 6))
    assert [(run.first, run.last) for run in found] == [(300, 305), (700, 708), (1500, 1502)]


SCORES = st.lists(st.one_of(st.floats(-20, 20), st.just(float("nan"))), max_size=40)


@given(SCORES, st.floats(0.5, 10))
def test_runs_are_apart_of_one_side_and_hold_all_that_is_sustained(scores: list[float], threshold: float) -> None:
    known = np.array(scores, np.float64)
    found = list(calc.runs(starts(len(known)), known, threshold))
    assert all(before.last < after.first for before, after in pairwise(found))
    inside = np.zeros(len(known), bool)
    for run in found:
        some = known[run.first : run.last + 1]
        inside[run.first : run.last + 1] = True
        assert np.all(np.abs(some) >= threshold * 2 / 3)
        assert len(set(np.sign(some))) == 1
        assert run.first <= run.peak <= run.last
        assert np.abs(known[run.peak]) == np.max(np.abs(some))
        assert run.score >= threshold * (1 - 1e-12)
    for place in range(len(known) - 1):
        pair = known[place : place + 2]
        if np.all(np.isfinite(pair)) and (np.all(pair >= threshold) or np.all(pair <= -threshold)):
            assert np.all(inside[place : place + 2])


def test_what_is_not_known_and_what_is_not_there_end_a_run() -> None:
    scores = np.array([7.0, 7.0, np.nan, 7.0, 7.0, 7.0, 7.0])
    times = starts(8)[[0, 1, 2, 3, 4, 6, 7]]
    assert [(run.first, run.last) for run in calc.runs(times, scores, 6)] == [(0, 1), (3, 4), (5, 6)]
    assert list(calc.runs(starts(0), np.array([]), 6)) == []
    assert list(calc.runs(starts(3), np.array([0.0, 11.9, 0.0]), 6)) == [], "one window alone, and not twice as far"
    assert len(list(calc.runs(starts(3), np.array([0.0, -12.1, 0.0]), 6))) == 1
    assert len(list(calc.runs(starts(3), np.array([4.1, 4.1, 4.1]), 6))) == 1
    assert list(calc.runs(starts(3), np.array([5.9, 3.9, 5.9]), 6)) == []


def test_midnight_ends_a_run_so_that_a_day_is_judged_alone() -> None:
    scores = np.zeros(2 * 288)
    scores[284:292] = 7.0
    both = [(run.first, run.last) for run in calc.runs(starts(2 * 288), scores, 6)]
    assert both == [(284, 287), (288, 291)]
    alone = [(run.first + 288, run.last + 288) for run in calc.runs(starts(288, MONDAY + 86_400), scores[288:], 6)]
    assert alone == both[1:]
