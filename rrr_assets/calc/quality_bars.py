"""What is unlikely of 1-minute bars: a price that leaps, a return or a volume far from what was usual just before.

Belongs here: the statistics, on arrays of floats: they say what is worth a look, and are no money. Does not: bars (warehouse/), thresholds
(quality_config), what follows (quality/).

Only changes are judged, never levels of a price: a trend is no outlier. The window is the bars before a bar, without itself, so that
what is unlikely does not excuse itself; below `LEAST_ROWS` bars nothing is said. Median and MAD stand for mean and deviation, so that one
leap in the window does not hide the next (Rousseeuw and Croux, 1993; 1.4826 makes the MAD of normal values their deviation).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from rrr_assets.calc.quality_silence import IMPROBABLE, NEAREST, judge

if TYPE_CHECKING:
    from rrr_assets.calc.quality_config import Thresholds

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Integers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

LEAST_ROWS: Final = 10
"""Bars before a bar below which nothing is said of it: the legacy validator's number."""

MAD_TO_DEVIATION: Final = 1.4826


@dataclass(frozen=True, slots=True)
class Unlikely:
    """One bar and why: the rule, the bar's place in the arrays, and the numbers as `anomalies` has them."""

    rule: str
    place: int
    value: float
    expected: float
    score: float
    threshold: float


def unlikely_bars(
    minutes: Integers, prices: tuple[Floats, Floats, Floats], volume: Floats, tick: float, thresholds: "Thresholds", first: int = 0
) -> list[Unlikely]:
    """Everything that is unlikely of one instrument's bars.

    Args:
        minutes: starts of the bars, in minutes since 1970 UTC, rising.
        prices: highs, lows and closes of the bars, positive.
        volume: of each bar.
        tick: the smallest step of the price.
        thresholds: of the instrument; bars farther apart than its `gap_seconds` are not held against each other.
        first: the place of the first bar that is judged; those before it are the look-back.
    """
    high, low, close = prices
    if len(close) == 0:
        return []
    is_next = np.concatenate([[False], np.diff(minutes) * 60 <= max(thresholds.gap_seconds, 60)])
    found = _price_changes(high, low, close, is_next, thresholds.price_change)
    found += _returns(close, is_next, tick, thresholds.window_minutes, thresholds.return_z)
    found += _volumes(volume, thresholds.window_minutes, thresholds.volume_ratio)
    return [each for each in found if each.place >= first]


def silent_stretches(minutes: Integers, gap_seconds: float, first: int = 0) -> list[Unlikely]:
    """Stretches without a bar that are longer than `gap_seconds`, and longer than is usual just before and after.

    Where ids prove that nobody traded, that is no gap, but worth a look. The score is minus the decimal logarithm of the probability
    that `quality_silence` gives such a spacing of bars.

    Args:
        minutes: starts of the bars, in minutes since 1970 UTC, rising.
        gap_seconds: shorter stretches are not looked at.
        first: the place of the first bar that is judged; those before it are the look-back.

    Returns:
        Each at the place of the bar that ends it; `value` and `expected`, the median spacing, in seconds.
    """
    times = minutes * 60_000_000
    threshold = -math.log10(IMPROBABLE)
    found = []
    for at in np.flatnonzero((np.diff(minutes) - 1) * 60 > gap_seconds) + 1:
        told = judge(int(times[at] - times[at - 1]), times[max(0, at - NEAREST) : at], times[at : at + NEAREST])
        if told is not None and told[0] < IMPROBABLE and at >= first:
            score = -math.log10(max(told[0], 1e-300))
            found.append(Unlikely("silence", int(at), float((minutes[at] - minutes[at - 1] - 1) * 60), told[1] / 1e6, score, threshold))
    return found


def _price_changes(high: Floats, low: Floats, close: Floats, is_next: np.ndarray, threshold: float) -> list[Unlikely]:
    """Bars whose close, or else whose highest or lowest trade, is farther from the close before than `threshold`, as a share.

    A trade at a price that nobody meant is gone again by the close. A bar without one before it is held against its own close.
    """
    before = np.where(is_next, np.concatenate([close[:1], close[:-1]]), close)
    changes = np.stack([close / before - 1, high / before - 1, low / before - 1])
    largest = np.take_along_axis(changes, np.argmax(np.abs(changes), axis=0)[np.newaxis], axis=0)[0]
    return [
        Unlikely("price_change", int(place), float(largest[place]), 0.0, float(abs(largest[place])), threshold)
        for place in np.flatnonzero(np.abs(largest) > threshold)
    ]


def _returns(close: Floats, is_next: np.ndarray, tick: float, window: int, threshold: float) -> list[Unlikely]:
    """Bars whose log return is more than `threshold` robust deviations from the median of those in the window before it.

    A deviation is never less than one tick of the price: after a price that stood still, a step of one tick is no news.
    """
    places = np.flatnonzero(is_next)
    returns = np.log(close[places] / close[places - 1])
    found = []
    for at, before in _candidates(returns, window, threshold):
        median = float(np.median(before))
        deviation = MAD_TO_DEVIATION * float(np.median(np.abs(before - median)))
        score = abs(float(returns[at]) - median) / max(deviation, tick / float(close[places[at] - 1]))
        if score > threshold:
            found.append(Unlikely("return_z", int(places[at]), float(returns[at]), median, score, threshold))
    return found


def _candidates(values: Floats, window: int, threshold: float) -> Iterator[tuple[int, Floats]]:
    """The places of values that may lie so far out, each with the up to `window` values before it.

    Half of the values lie within a MAD of the median, and half between the quartiles: so a MAD is no less than the way from the median to
    the nearer quartile, which a sort tells of all windows at once.
    """
    for at in range(LEAST_ROWS, min(window, len(values))):
        yield at, values[:at]
    if len(values) <= window:
        return
    ordered = np.sort(np.lib.stride_tricks.sliding_window_view(values[:-1], window), axis=1)
    median = (ordered[:, (window - 1) // 2] + ordered[:, window // 2]) / 2
    nearer = np.minimum(median - ordered[:, window // 4], ordered[:, window - 1 - window // 4] - median)
    for offset in np.flatnonzero(np.abs(values[window:] - median) > threshold * MAD_TO_DEVIATION * np.maximum(nearer, 0)):
        yield int(offset) + window, values[offset : offset + window]


def _volumes(volume: Floats, window: int, threshold: float) -> list[Unlikely]:
    """Bars with more than `threshold` times the mean volume of those in the window before it."""
    sums = np.concatenate([[0.0], np.cumsum(volume)])
    places = np.arange(LEAST_ROWS, len(volume))
    starts = np.maximum(places - window, 0)
    means = (sums[places] - sums[starts]) / (places - starts)
    # A sum of differences may be a hair off zero.
    known = means > 1e-12 * max(float(sums[-1]), 1.0)
    ratios = np.divide(volume[places], means, out=np.zeros(len(places)), where=known)
    return [
        Unlikely("volume_spike", int(places[at]), float(volume[places[at]]), float(means[at]), float(ratios[at]), threshold)
        for at in np.flatnonzero(ratios > threshold)
    ]
