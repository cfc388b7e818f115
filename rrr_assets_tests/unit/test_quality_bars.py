"""What is unlikely of bars, held against the plain definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrr_assets.calc.quality_bars import LEAST_ROWS, silent_stretches, unlikely_bars
from rrr_assets.calc.quality_config import Thresholds

USUAL = Thresholds.model_validate({"window_minutes": 20})
TICK = 0.01


def found(closes: list[float], volumes: list[float] | None = None, minutes: list[int] | None = None) -> dict[str, list[int]]:
    close = np.array(closes)
    volume = np.array(volumes if volumes is not None else [1.0] * len(closes))
    at = np.array(minutes if minutes is not None else range(len(closes)), np.int64)
    told: dict[str, list[int]] = {}
    for each in unlikely_bars(at, (close, close, close), volume, TICK, USUAL):
        told.setdefault(each.rule, []).append(each.place)
    return told


def test_no_bars_and_one_bar_give_nothing() -> None:
    assert found([]) == found([42.0]) == {}


def test_a_trend_is_no_outlier_and_a_leap_is() -> None:
    trend = [100.0 * 1.001**n for n in range(200)]
    assert found(trend) == {}
    assert found([*trend[:100], trend[100] * 1.3, *trend[101:]]) == {"price_change": [100, 101], "return_z": [100, 101]}


def test_after_a_price_that_stood_still_one_tick_is_no_news() -> None:
    assert found([100.0] * 50 + [100.0 + TICK] * 50) == {}
    assert found([100.0] * 50 + [100.0 + 6 * TICK] * 50) == {"return_z": [50]}


def test_bars_on_both_sides_of_a_long_silence_are_not_held_against_each_other() -> None:
    minutes = [*range(50), *range(500, 550)]
    assert found([100.0] * 50 + [200.0] * 50, minutes=minutes) == {}


def test_volume_is_held_against_the_mean_of_those_before() -> None:
    assert found([100.0] * 30, [1.0] * LEAST_ROWS + [5.1] + [1.0] * 19) == {"volume_spike": [LEAST_ROWS]}
    assert found([100.0] * 30, [1.0] * (LEAST_ROWS - 1) + [50.0] + [1.0] * 20) == {}
    assert found([100.0] * 30, [0.0] * 29 + [1.0]) == {}


@given(st.lists(st.integers(900, 1100), min_size=15, max_size=80))
def test_returns_are_those_of_the_plain_definition(ticks: list[int]) -> None:
    closes = np.array(ticks) * TICK
    returns = np.log(closes[1:] / closes[:-1])
    expected = []
    for at in range(LEAST_ROWS, len(returns)):
        before = returns[max(0, at - USUAL.window_minutes) : at]
        median = np.median(before)
        deviation = max(1.4826 * np.median(np.abs(before - median)), TICK / closes[at])
        if abs(returns[at] - median) / deviation > USUAL.return_z:
            expected.append(at + 1)
    assert found(list(closes)).get("return_z", []) == pytest.approx(expected)


def test_a_silence_of_a_busy_tape_is_told_and_one_of_a_quiet_tape_is_not() -> None:
    def silent(minutes: list[int], first: int = 0) -> list[tuple[int, float]]:
        return [(each.place, each.value) for each in silent_stretches(np.array(minutes, np.int64), 300, first)]

    busy = [*range(100), *range(110, 200)]
    assert silent(busy) == [(100, 600.0)]
    assert silent(busy, first=101) == []
    assert silent([*range(100), *range(105, 200)]) == [], "five minutes, and no longer"
    chance = np.random.default_rng(7)
    assert silent(np.cumsum(chance.geometric(0.12, 300)).tolist()) == [], "silences of this length are usual"
    assert silent([*range(20), *range(60, 70)]) == [], "too little is known"
