"""When a silence is missing rows: by how long it took from row to row beside it."""

import numpy as np
import pytest

from rrr_assets.calc.quality_silence import judge, silences

DAY = (0, 86_400_000_000)
FIVE_MINUTES = 300_000_000


def bursts(seed: int, seconds: float, day_us: int = DAY[1]) -> np.ndarray:
    """Rows in bursts: groups come at random, some within a second; the rate doubles and halves over the day."""
    rng = np.random.default_rng(seed)
    at, times = 0.0, []
    while at < day_us:
        swing = 1 + 0.5 * np.sin(at / day_us * 2 * np.pi)
        at += rng.exponential(seconds * 1e6 * swing)
        times += [int(at + late) for late in rng.exponential(2e5, rng.geometric(0.4)).cumsum()]
    return np.array(sorted(time for time in times if time < day_us), np.int64)


@pytest.mark.parametrize("seconds", [5, 15, 60, 300, 1200])
def test_a_market_that_trades_as_it_does_is_not_silent(seconds: float) -> None:
    for seed in range(8):
        assert silences(bursts(seed, seconds), DAY, [DAY], FIVE_MINUTES) == []


@pytest.mark.parametrize(("seconds", "cut"), [(5, 301), (15, 600), (60, 2400)])
def test_a_stretch_that_was_cut_out_is_found_exactly(seconds: float, cut: int) -> None:
    for seed in range(8):
        times = bursts(seed, seconds)
        start = int(np.random.default_rng(seed).integers(0, DAY[1] - cut * 1_000_000))
        left = times[(times < start) | (times >= start + cut * 1_000_000)]
        [found] = silences(left, DAY, [DAY], FIVE_MINUTES)
        before, after = left[left < start], left[left >= start]
        assert found.start == (before[-1] if len(before) else 0)
        assert found.end == (after[0] + 1 if len(after) else DAY[1])


def test_two_stretches_that_were_cut_out_beside_each_other_are_both_found() -> None:
    times = bursts(3, 5)
    holes = [(40_000_000_000, 40_600_000_000), (41_000_000_000, 41_400_000_000), (41_500_000_000, 42_000_000_000)]
    for start, end in holes:
        times = times[(times < start) | (times >= end)]
    found = silences(times, DAY, [DAY], FIVE_MINUTES)
    assert [silence.start <= start and end <= silence.end for silence, (start, end) in zip(found, holes, strict=True)] == [True] * 3


def test_what_nobody_claims_to_have_seen_is_no_silence() -> None:
    times = bursts(1, 5)
    left = times[(times < 40_000_000_000) | (times >= 41_000_000_000)]
    assert silences(left, DAY, [(0, 40_100_000_000), (40_200_000_000, DAY[1])], FIVE_MINUTES) == []


def test_of_a_few_rows_nothing_is_said() -> None:
    few = np.arange(20, dtype=np.int64) * 1_000_000
    assert judge(10_000_000_000, few, few) is None
    assert silences(few, DAY, [DAY], FIVE_MINUTES) == []
    assert silences(np.array([], np.int64), DAY, [DAY], FIVE_MINUTES) == []


def test_rows_of_one_time_are_one_event() -> None:
    steady = np.arange(0, 600_000_000, 1_000_000, dtype=np.int64)
    told = judge(60_000_000, steady, steady)
    assert told == judge(60_000_000, np.repeat(steady, 50), np.repeat(steady, 50))
