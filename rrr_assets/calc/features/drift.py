"""How far a day's values of a feature lie from those that a model was trained on.

Belongs here: what is kept of a reference, and a day's numbers against it. Does not: which reference a day is held against and reading
values (warehouse/quality_feature_drift), drawing (features/drift_chart.py).

A reference is kept as bins, not as its values: edges at its deciles, the share of its values in each, its range. So a number can be
explained, and computed again, when the values are long gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rrr_assets.calc.features import FEATURES

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from rrr_assets.calc.quality_config import FeatureDrift

    Array = npt.NDArray[np.float64]

BINS: Final = 10
"""Bins by the deciles of the reference, as is usual."""

LEAST_VALUES: Final = 200
"""With fewer values, twenty for each bin, an index says more of chance than of drift: there is none."""

LEAST_DAYS: Final = 3
"""Of so many days, at least, a reference can say how far its own days lie from each other, and between which values they lie."""

LEAST_SHARE: Final = 1e-4
"""An empty bin counts as this share: without it the index would have no end."""

_TAIL: Final = 0.005
_ENOUGH_DAYS: Final = 14


@dataclass(frozen=True, slots=True)
class Bins:
    """What is kept of a feature's values over a time, its null ones aside.

    `edges` part them: bin k holds what lies above edge k - 1 and not above edge k; the first and the last are open. A value so frequent
    that several deciles fall on it has a bin of its own. `low` and `high` are the half per cent quantiles. `usual_psi` is the largest
    index of one of its days against all others; none where there are fewer than LEAST_DAYS.
    """

    rows: int
    days: int
    missing_rate: float
    edges: tuple[float, ...]
    shares: tuple[float, ...]
    minimum: float | None
    maximum: float | None
    low: float | None
    high: float | None
    usual_psi: float | None


@dataclass(frozen=True, slots=True)
class Drift:
    """A day's values against a reference; what needs one is None where there is none, or where there are too few values.

    `usual_psi` is that of the reference. `out_of_range` is the share of the values outside the range of a reference of LEAST_DAYS days or
    more, `in_tails` that outside the middle 99 per cent of any.
    """

    rows: int
    missing_rate: float | None
    reference_days: int | None
    reference_missing_rate: float | None
    psi: float | None
    usual_psi: float | None
    out_of_range: float | None
    in_tails: float | None
    shares: tuple[float, ...]


NO_BINS: Final = Bins(0, 0, 0.0, (), (), None, None, None, None, None)


def population_stability_index(expected: "Sequence[float] | Array", actual: "Sequence[float] | Array") -> float:
    """How far two distributions over the same bins lie apart: sum over the bins of (actual - expected) * ln(actual / expected).

    It is 0 where they are equal, never below, and the same whichever of them is the first: Jeffreys' divergence of the two. A share
    below LEAST_SHARE counts as that. As a rule of thumb, below 0.1 nothing has moved, above 0.25 much has.

    Source: N. Siddiqi, Credit Risk Scorecards, 2006; B. Yurdakul, Statistical Properties of Population Stability Index, 2018.

    Args:
        expected: shares of the reference by bin, each from 0 to 1.
        actual: shares of what is held against it, in the same bins.

    Raises:
        ValueError: they have not the same bins.
    """
    import numpy as np

    one, other = (np.maximum(np.asarray(each, np.float64), LEAST_SHARE) for each in (expected, actual))
    if one.shape != other.shape:
        raise ValueError(f"{len(one)} bins cannot be held against {len(other)}")
    return float(np.sum((other - one) * np.log(other / one)))


def make_bins(values: "Array", days: "npt.NDArray[np.int64]") -> Bins:
    """What is kept of a feature's values.

    Args:
        values: in any order; what is null is NaN, and what is infinite counts as null.
        days: the number of each value's day.
    """
    import numpy as np

    there = np.isfinite(values)
    known, rows = values[there], len(values)
    if not len(known):
        return Bins(rows, len(np.unique(days)), 1.0 if rows else 0.0, (), (), None, None, None, None, None)
    ordered = np.sort(known)
    edges = _edges(ordered)
    # Of a whole column at once: by day, then by bin.
    numbers, of_day = np.unique(days[there], return_inverse=True)
    width = len(edges) + 1
    counts = np.bincount(of_day * width + np.searchsorted(edges, known, side="left"), minlength=len(numbers) * width)
    by_day = counts.reshape(len(numbers), width)
    total = by_day.sum(axis=0)
    low, high = (float(_quantile(ordered, level)) for level in (_TAIL, 1 - _TAIL))
    return Bins(
        rows=rows, days=len(np.unique(days)), missing_rate=1 - len(known) / rows, edges=tuple(edges.tolist()),
        shares=tuple((total / len(known)).tolist()), minimum=float(ordered[0]), maximum=float(ordered[-1]), low=low, high=high,
        usual_psi=_usual(by_day, total),
    )  # fmt: skip


def held_against(values: "Array", reference: Bins | None) -> Drift:
    """A day's values against a reference.

    Args:
        values: as for `make_bins`.
        reference: None where there is none.
    """
    import numpy as np

    rows = len(values)
    known = values[np.isfinite(values)]
    missing = 1 - len(known) / rows if rows else None
    if reference is None or not reference.rows:
        return Drift(rows, missing, None, None, None, None, None, None, ())
    psi = out_of_range = in_tails = None
    shares: tuple[float, ...] = ()
    if len(known) and reference.shares:
        counts = np.bincount(np.searchsorted(np.array(reference.edges), known, side="left"), minlength=len(reference.shares))
        shares = tuple((counts / len(known)).tolist())
        if reference.days >= LEAST_DAYS:
            out_of_range = _outside(known, reference.minimum, reference.maximum)
        in_tails = _outside(known, reference.low, reference.high)
        before = round(reference.rows * (1 - reference.missing_rate))
        if len(known) >= LEAST_VALUES and before >= LEAST_VALUES:
            psi = population_stability_index(reference.shares, shares)
    return Drift(rows, missing, reference.days, reference.missing_rate, psi, reference.usual_psi, out_of_range, in_tails, shares)


def verdicts(feature: str, drift: Drift, settings: "FeatureDrift") -> tuple[str, ...]:
    """What is to be said of a feature's day, the gravest first; nothing where nothing is.

    `drifted`: the index reaches what is allowed; `moved`: it reaches `psi_moderate`, and what is usual, where that is known.
    `out_of_range` and `missing`: more than the settings allow. Of a feature that is not stationary, a level of price, the first three say
    nothing.
    """
    said = []
    if FEATURES[feature].is_stationary:
        allowed = allowed_psi(drift, settings)
        if drift.psi is not None and allowed is not None and drift.psi >= allowed:
            said.append("drifted")
        elif drift.psi is not None and drift.psi >= max(settings.psi_moderate, drift.usual_psi or 0):
            said.append("moved")
        # Of so many days each holds the extremes of one of them: as much of the next one may lie beyond.
        if drift.out_of_range is not None and drift.out_of_range > max(settings.out_of_range, 1 / (drift.reference_days or 1)):
            said.append("out_of_range")
    if (
        drift.missing_rate is not None
        and drift.reference_missing_rate is not None
        and drift.missing_rate - drift.reference_missing_rate > settings.missing_rise
    ):
        said.append("missing")
    return tuple(said)


def allowed_psi(drift: Drift, settings: "FeatureDrift") -> float | None:
    """From which index on a feature has drifted; None where its reference cannot say what is usual.

    The largest of few days says less than that of many: fourteen are taken as they are, of fewer more is allowed.
    """
    if drift.usual_psi is None or not drift.reference_days:
        return None
    beyond = settings.beyond_usual * max(1.0, 0.5 + _ENOUGH_DAYS / drift.reference_days / 2)
    return max(settings.psi_large, beyond * drift.usual_psi)


def _outside(known: "Array", low: float | None, high: float | None) -> float | None:
    import numpy as np

    return None if low is None or high is None else float(np.mean((known < low) | (known > high)))


def _quantile(ordered: "Array", level: float) -> "np.float64":
    """The value at a level, which is always one of the values: the inverse of their distribution function."""
    from math import ceil

    value: np.float64 = ordered[max(0, ceil(level * len(ordered)) - 1)]
    return value


def _edges(ordered: "Array") -> "Array":
    import numpy as np

    levels = [_quantile(ordered, k / BINS) for k in range(BINS + 1)]
    found, times = np.unique(levels, return_counts=True)
    own = found[times > 1]
    # What lies just below a frequent value parts it from the rest; what is a decile parts anyway, but for both ends of the range.
    below = np.nextafter(own[own > np.finfo(np.float64).min], -np.inf)
    return np.unique(np.concatenate([levels[1:-1], own, below]))


def _usual(by_day: "npt.NDArray[np.int64]", total: "npt.NDArray[np.int64]") -> float | None:
    """The largest index of a day against all other days: what is ordinary between days that nobody calls drifted."""
    found = []
    for day in by_day:
        rest = total - day
        if day.sum() >= LEAST_VALUES and rest.sum() >= LEAST_VALUES:
            found.append(population_stability_index(rest / rest.sum(), day / day.sum()))
    return max(found) if len(found) >= LEAST_DAYS else None
