"""Silence: how likely it is that nobody traded for so long, by how long it took from row to row just before and after.

Belongs here: the estimate, pure, and what of a day's times is too silent to be true. Does not: where times come from, what follows.
Where ids are consecutive no silence is missing rows: ids say so.

Spacings of trades are not those of a Poisson process: trades come in bursts, and quiet stretches last longer than their mean would have
it. So the tail alone is fitted, by an exponential through two of its quantiles (the exponential tail model: Breiman, Stone and
Kooperberg, "Robust confidence bounds for extreme upper quantiles", J. Statist. Comput. Simul. 37, 1990). With q90 and q98 the spacings
that one in ten and one in fifty exceed, and t = (q98 - q90) / ln 5, or q98 / ln 50 where that is more,

    P(spacing > s) = 0.02 * exp(-(s - q98) / t)        for s > q98.

Quantiles do not care for a few spacings that are missing rows themselves. Both sides of a silence are judged, and the one that makes it
more likely counts. Spacings are those between different times: rows of one time are one event.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rrr_assets.calc.coverage import Interval, subtract

IMPROBABLE: Final = 1e-7
"""From what probability on a silence is missing rows: some thousand spacings of a day make that once in years."""
NEAREST: Final = 2000
"""So many rows on each side are looked at."""
REACH_US: Final = 6 * 3_600_000_000
"""And no further from it than this."""
FEWEST: Final = 30
"""With fewer on a side it says nothing."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A stretch between two rows, or a row and the end of the day; microseconds since 1970 UTC, half open, with both rows in it."""

    start: int
    end: int
    probability: float
    typical_us: int

    @property
    def interval(self) -> Interval:
        return (self.start, self.end)


def judge(silence_us: int, before: NDArray[np.int64], after: NDArray[np.int64]) -> tuple[float, int] | None:
    """How likely a silence is, and the median spacing beside it; None where too little is known to say.

    Args:
        silence_us: how long it is.
        before: times of rows before it, ascending, shape (n,), microseconds.
        after: of those after it.
    """
    found = []
    for times in (before, after):
        spacings = np.diff(np.unique(times))
        if len(spacings) < FEWEST:
            continue
        middle, q90, q98 = np.quantile(spacings, (0.5, 0.9, 0.98))
        scale = max((q98 - q90) / math.log(5), q98 / math.log(50))
        found.append((min(1.0, 0.02 * math.exp(-(silence_us - q98) / scale)) if silence_us > q98 else 1.0, int(middle)))
    return max(found) if found else None


def silences(times: NDArray[np.int64], day: Interval, covered: Sequence[Interval], least_us: int) -> list[Silence]:
    """The silences of a day that are missing rows.

    Args:
        times: of all rows, ascending, shape (n,), microseconds since 1970 UTC.
        day: the UTC day.
        covered: where the rows are claimed to be all there are: a silence elsewhere is known to be missing anyway.
        least_us: shorter ones are not looked at.
    """
    edges = np.concatenate([[day[0]], times, [day[1]]])
    found = []
    for at in np.flatnonzero(np.diff(edges) > least_us):
        start, end = int(edges[at]), int(edges[at + 1])
        silence = judged(start, end, times[max(0, at - NEAREST) : at], times[at : at + NEAREST], day, covered)
        if silence is not None:
            found.append(silence)
    return found


def judged(
    start: int, end: int, before: NDArray[np.int64], after: NDArray[np.int64], day: Interval, covered: Sequence[Interval]
) -> Silence | None:
    """The silence between two times, if it is missing rows: no longer than it is covered, and improbable."""
    if subtract([(start + 1, end)], covered):
        return None
    told = judge(end - start, before[before > start - REACH_US], after[after < end + REACH_US])
    if told is None or told[0] >= IMPROBABLE:
        return None
    return Silence(start, end if end == day[1] else end + 1, *told)
