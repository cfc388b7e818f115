"""Seasonal baselines: what is usual of a metric in an hour of the week, and which windows are not.

Belongs here: the statistics, pure, over arrays. Does not: the windows' numbers (warehouse/quality_baselines), when it runs (quality/).

A metric m of a 5-minute window becomes x = ln(1 + m / unit): what multiplies activity then adds to x, and nothing at all is a finite
number. Of each hour of the week the median of x and its median absolute deviation are learned; both stand up to half the samples being
anything. A window's score is the modified z-score (x - median) / (1.4826 MAD), 1.4826 making the MAD of normal samples their standard
deviation (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993, section 3; Rousseeuw and Croux, Alternatives to the Median
Absolute Deviation, 1993).

The deviation has a floor, for a quiet history says little of what may happen: of what is counted, the deviation that a Poisson count of the
usual size has under this transform, sqrt(n) / (1 + n) to first order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

WINDOW_SECONDS: Final = 300
HOURS: Final = 168
_HOUR_SECONDS: Final = 3600
_DAY_SECONDS: Final = 86_400
_HOURS_A_DAY: Final = 24
# 1970-01-01 was a Thursday: the Monday of its week lies three days before.
_MONDAY_SECONDS: Final = 3 * 86_400
_NORMAL: Final = 1.4826
_LEAST_DEVIATION: Final = {"volume": 0.1, "trade_rate": 0.1, "message_rate": 0.1, "spread": 0.15}
"""About what moves each metric by a tenth is never far from usual: six of it are a factor of 1.8 (2.5 of the spread)."""

LEAST_SAMPLES: Final = 36
"""Windows from which an hour of the week (three weeks of it), or of the day, has a baseline of its own."""

LEAST_OVERALL: Final = 288
"""Windows from which an instrument has a baseline at all: a day of them."""

SUSTAINED: Final = 2
"""So many windows beyond the threshold make an anomaly, or as much in one or in several: of five minutes alone too many are odd."""

_BEYOND: Final = 2 / 3


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual in an hour of the week; `median` and `deviation` are of the transformed metric, `unit` is the metric's own."""

    hour_of_week: int
    basis: str
    samples: int
    unit: float
    median: float
    deviation: float

    @property
    def expected(self) -> float:
        """The usual value, in the metric's unit."""
        return self.unit * float(np.expm1(self.median))


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive windows that are unusual in one direction: positions [first, last], and that of the one farthest off.

    `score` is that of all of them together, the sum over the root of their number (Stouffer et al., The American Soldier, 1949).
    """

    first: int
    last: int
    peak: int
    score: float


def hours_of_week(starts: Integers) -> Integers:
    """Hours since Monday 00:00 UTC of window starts, in seconds since 1970 UTC."""
    return (starts + _MONDAY_SECONDS) // _HOUR_SECONDS % HOURS


def transformed(values: Floats, unit: float) -> Floats:
    """ln(1 + m / unit); NaN, for what is not known, stays NaN. A spread below nothing, of a crossed book, is none."""
    found: Floats = np.log1p(np.maximum(values, 0.0) / unit)
    return found


def unit_of(metric: str, values: Floats, counts: Floats | None = None) -> float:
    """What a metric is divided by, so that its usual size is some whole numbers, whatever it is measured in.

    A count is itself. A volume is measured in the mean size of a trade, and so is like a count. A spread in a tenth of its median.

    Args:
        metric: one of contracts.quality.METRICS.
        values: of all windows; NaN where not known.
        counts: of a volume, the trades of the same windows.
    """
    if metric == "volume" and counts is not None:
        both = np.isfinite(values) & np.isfinite(counts)
        total = float(np.sum(counts[both]))
        mean = float(np.sum(values[both])) / total if total > 0 else 0.0
        return mean if mean > 0 else 1.0
    if metric == "spread":
        positive = values[np.isfinite(values) & (values > 0)]
        return float(np.median(positive)) / 10 if len(positive) else 1.0
    return 1.0


def least_deviation(metric: str, median: float) -> float:
    """The floor of the deviation where the transformed metric's median is so high."""
    least = _LEAST_DEVIATION[metric]
    if metric == "spread":
        return least
    usual = max(float(np.expm1(median)), 1.0)
    return max(least, float(np.sqrt(usual)) / (1.0 + usual))


def learn(metric: str, starts: Integers, values: Floats, unit: float) -> list[Usual]:
    """What is usual in each hour of the week: by its own windows, else by those of its hour of the day, else by all.

    Args:
        metric: one of contracts.quality.METRICS.
        starts: of the windows, in seconds since 1970 UTC.
        values: of the metric; NaN where not known.
        unit: see `unit_of`.

    Returns:
        One for each of the 168 hours, or none where there are fewer than `LEAST_OVERALL` windows.
    """
    known = np.isfinite(values)
    if np.count_nonzero(known) < LEAST_OVERALL:
        return []
    hours, x = hours_of_week(starts[known]), transformed(values[known], unit)
    overall = _usual(metric, x)
    by_day = [x[hours % _HOURS_A_DAY == hour] for hour in range(_HOURS_A_DAY)]
    daily = [_usual(metric, some) if len(some) >= LEAST_SAMPLES else None for some in by_day]
    found = []
    for hour in range(HOURS):
        own = x[hours == hour]
        if len(own) >= LEAST_SAMPLES:
            basis, samples, (median, deviation) = "hour_of_week", len(own), _usual(metric, own)
        elif (of_day := daily[hour % _HOURS_A_DAY]) is not None:
            basis, samples, (median, deviation) = "hour_of_day", len(by_day[hour % _HOURS_A_DAY]), of_day
        else:
            basis, samples, (median, deviation) = "overall", len(x), overall
        found.append(Usual(hour, basis, samples, unit, median, deviation))
    return found


def scored(starts: Integers, values: Floats, usual: list[Usual]) -> Floats:
    """The modified z-score of each window, NaN where its value is not known; `usual` has the 168 hours in order."""
    hours = hours_of_week(starts)
    medians, deviations = np.array([each.median for each in usual]), np.array([each.deviation for each in usual])
    found: Floats = (transformed(values, usual[0].unit) - medians[hours]) / deviations[hours]
    return found


def runs(starts: Integers, scores: Floats, threshold: float) -> Iterator[Run]:
    """The anomalies among windows in order of time.

    Windows that follow each other and lie beyond two thirds of the threshold on one side are one run. It is an anomaly where its scores add
    up to `SUSTAINED` thresholds: two windows beyond the threshold, three beyond two thirds of it, or one twice as far. Its score as a whole
    is then no less than the threshold. Midnight ends a run, so that a day has the same ones whatever is looked at with it.

    Args:
        starts: of the windows, in seconds since 1970 UTC, each once, rising.
        scores: see `scored`; one that is not known ends a run.
        threshold: robust standard deviations.
    """
    side = np.where(np.isfinite(scores) & (np.abs(scores) >= threshold * _BEYOND), np.sign(scores), 0.0)
    begins = np.flatnonzero(np.diff(side, prepend=0.0) != 0)
    after_hole = np.flatnonzero(np.diff(starts, prepend=starts[:1]) > WINDOW_SECONDS)
    midnights = np.flatnonzero(starts % _DAY_SECONDS == 0)
    edges = np.unique(np.concatenate([begins, after_hole, midnights, [len(side)]]))
    for first, end in pairwise(edges):
        if side[first] == 0:
            continue
        sizes = np.abs(scores[first:end])
        total = float(np.sum(sizes))
        if total >= SUSTAINED * threshold:
            yield Run(int(first), int(end) - 1, int(first) + int(np.argmax(sizes)), total / float(np.sqrt(len(sizes))))


def _usual(metric: str, x: Floats) -> tuple[float, float]:
    median = float(np.median(x))
    return median, max(_NORMAL * float(np.median(np.abs(x - median))), least_deviation(metric, median))
