"""Labels of training sets: what came after a moment; and which rows of a set may be trained on.

Belongs here: future returns, the triple barrier, purging and embargo. Does not: features, which never look ahead, reading minutes.

Everything here looks at the future on purpose. A label is known when its window ends (`label_end`), and a row is only as old as that: a row
whose label reaches into the time that is tested knows something of it, and so does one whose label begins before those of the test are
over, or whose features look back at them. What is trained on before the test may lie in what features of the test look back at: it is past
by then, for whoever trades on it too.
Source: M. Lopez de Prado, Advances in Financial Machine Learning, 2018, chapters 3 (triple barrier) and 7 (purging, embargo).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from rrr_assets.calc.features.compute import MINUTE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Array = npt.NDArray[np.float64]

TRAIN: Final = "train"
TEST: Final = "test"
PURGED: Final = "purged"
EMBARGOED: Final = "embargoed"


@dataclass(frozen=True, slots=True)
class FutureReturn:
    """close at the moment + horizon / close at the moment - 1; null where nothing is known of either minute."""

    horizon: timedelta

    @property
    def name(self) -> str:
        """As in return_after_15m."""
        return f"return_after_{self.horizon // MINUTE}m"


@dataclass(frozen=True, slots=True)
class TripleBarrier:
    """1 where the price rises by `up_bps` first, -1 where it falls by `down_bps` first, 0 where neither happens within the horizon.

    Null where both happen in one minute, for minutes do not say which came first, and where a minute before the first of them is unknown.
    """

    horizon: timedelta
    up_bps: float
    down_bps: float

    @property
    def name(self) -> str:
        """As in barrier_60m_50_50."""
        return f"barrier_{self.horizon // MINUTE}m_{self.up_bps:g}_{self.down_bps:g}"


Label = FutureReturn | TripleBarrier


def with_labels(laid_out: "pl.DataFrame", label: Label) -> "pl.DataFrame":
    """The label of every minute that `compute.minutes` lays out, as if asked for at its close.

    Args:
        laid_out: by instrument and time, each instrument's minutes without a hole; the last `horizon` of each have no label.
        label: which.

    Returns:
        `instrument`, `moment` (the minute's close), the label, and its `<label>_end`, when it is known; null where there is none.
    """
    import polars as pl

    steps = label.horizon // MINUTE
    frame = laid_out.select("instrument", "bar_start", "close", "high", "low")
    parts = []
    for one in frame.partition_by("instrument", maintain_order=True):
        close, high, low = (one[name].cast(pl.Float64).to_numpy() for name in ("close", "high", "low"))
        if isinstance(label, FutureReturn):
            values, after = _future_return(close, steps)
        else:
            values, after = _barrier(close, high, low, steps, label)
        made = one.select("instrument", (pl.col("bar_start") + MINUTE).alias("moment")).with_columns(
            pl.Series(label.name, values, pl.Float64).fill_nan(None), pl.Series("_after", after, pl.Int64)
        )
        end = pl.when(pl.col(label.name).is_not_null()).then(pl.col("moment") + pl.col("_after") * MINUTE)
        parts.append(made.with_columns(end.alias(f"{label.name}_end")).drop("_after"))
    return pl.concat(parts)


def _future_return(close: "Array", steps: int) -> "tuple[Array, npt.NDArray[np.int64]]":
    import numpy as np

    values = np.full_like(close, np.nan)
    if steps < len(close):
        values[: len(close) - steps] = close[steps:] / close[: len(close) - steps] - 1
    return values, np.full(len(close), steps)


def _barrier(close: "Array", high: "Array", low: "Array", steps: int, label: TripleBarrier) -> "tuple[Array, npt.NDArray[np.int64]]":
    """Minute by minute ahead, for all moments at once."""
    import numpy as np

    count = len(close)
    upper, lower = close * (1 + label.up_bps / 10_000), close * (1 - label.down_bps / 10_000)
    values = np.where(np.isnan(close), np.nan, 0.0)
    after = np.full(count, steps)
    is_open = ~np.isnan(close)
    for step in range(1, steps + 1):
        ahead_high, ahead_low = (np.append(column[step:], np.full(min(step, count), np.nan)) for column in (high, low))
        with np.errstate(invalid="ignore"):
            up, down = ahead_high >= upper, ahead_low <= lower
        is_unknown = np.isnan(ahead_high) | np.isnan(ahead_low) | (up & down)
        ends = is_open & (is_unknown | up | down)
        values = np.where(ends, np.where(is_unknown, np.nan, np.where(up, 1.0, -1.0)), values)
        after = np.where(ends, step, after)
        is_open &= ~ends
    return values, after


def split(
    rows: "pl.DataFrame", ends: "list[str]", test_from: datetime, test_until: datetime, horizon: timedelta, embargo: timedelta
) -> "pl.DataFrame":
    """Say which rows are trained on and which are tested on, and which are fit for neither.

    A label's window is what lies after its moment, its end among it. No window of a row that is trained on overlaps one that is tested on:
    before the test they end before its first moment, after it they begin when the last of its labels is over, and the embargo after that.

    Args:
        rows: with `moment`, and the columns that say when each label is known.
        ends: those columns.
        test_from: moments in [test_from, test_until) are tested on.
        test_until: the first moment after them.
        horizon: how far the longest label looks ahead.
        embargo: so long after the last label of the test no row is trained on: features of these may still look back at it.

    Returns:
        The rows with a column `split`: TRAIN, TEST, PURGED (its labels share time with those of the test) or EMBARGOED.
    """
    import polars as pl

    moment = pl.col("moment")
    over = test_until + horizon
    return rows.with_columns(
        pl.when((moment >= test_from) & (moment < test_until)).then(pl.lit(TEST))
        .when((moment < test_from) & (pl.max_horizontal("moment", *ends) < test_from)).then(pl.lit(TRAIN))
        .when(moment < over).then(pl.lit(PURGED))
        .when(moment < over + embargo).then(pl.lit(EMBARGOED))
        .otherwise(pl.lit(TRAIN))
        .alias("split")
    )  # fmt: skip
