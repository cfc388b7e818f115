"""Evaluates declared features over minutes in memory.

Belongs here: laying minutes out so that windows can be taken, one plan for many features, and the values of single moments. Does not:
what a feature is (declare.py), where minutes come from.

A window is taken by shifting rows, over all instruments at once, with no group: that is right because each instrument's rows are
consecutive minutes without a hole, and its first rows are a look-back that is long enough and is cut off in the end.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.declare import BAR_INPUTS, INPUTS, TICK_INPUTS, in_order

if TYPE_CHECKING:
    import polars as pl

MINUTE: Final = timedelta(minutes=1)
CARRIED: Final = 60
"""For how many minutes without trades a close goes on: longer, it says little, and every value would hang on the last trade ever."""

_MONDAY: Final = datetime(2001, 1, 1)  # noqa: DTZ001  # Polars subtracts it from times of which the zone was taken off
_PRICES: Final = ("open", "high", "low")
_OF_NO_TRADE: Final = tuple(name for name in BAR_INPUTS if name not in {*_PRICES, "close"})


def look_back(names: Collection[str] = tuple(FEATURES)) -> int:
    """Minutes before a minute that its values are made from, those included from which a close may be carried into them."""
    return max((FEATURES[name].bars for name in names), default=1) - 1 + CARRIED


def minutes(
    bars: "pl.DataFrame", ticks: "pl.DataFrame", tape: "pl.DataFrame", instruments: Sequence[str], since: datetime, until: datetime
) -> "pl.DataFrame":
    """Every minute of some instruments in [since, until), by instrument and time, with all that features are made from.

    Three things are told apart: a minute with trades has its bar; one without, where the tape is whole, opens and closes at the close
    before it, with nothing traded, for CARRIED minutes; of any other nothing is known, and its columns are null.

    Args:
        bars: `instrument`, `bar_start` and BAR_INPUTS as doubles, of [since, until).
        ticks: `instrument`, `bar_start` and TICK_INPUTS as doubles.
        tape: `instrument`, `from_time`, `to_time`: stretches in which nothing is missing, in order, apart from each other.
        instruments: which. One without bars is there all the same, with nothing known.
        since: UTC, a whole minute.
        until: UTC, a whole minute.

    Returns:
        `instrument`, `bar_start` (UTC, microseconds), `is_known`, and INPUTS.
    """
    import polars as pl

    starts = pl.datetime_range(since, until, MINUTE, closed="left", time_unit="us", time_zone="UTC", eager=True).alias("bar_start")
    grid = pl.DataFrame({"instrument": list(instruments)}, schema={"instrument": pl.String}).join(pl.DataFrame(starts), how="cross")
    key = ["instrument", "bar_start"]
    stretches = tape.sort("instrument", "from_time").with_columns(pl.col("from_time").alias("bar_start"))
    laid = (
        grid.sort(key)
        .join_asof(stretches, on="bar_start", by="instrument", strategy="backward", check_sortedness=False)
        .with_columns((pl.col("to_time") >= pl.col("bar_start") + MINUTE).fill_null(value=False).alias("is_whole"))
        .join(bars.select(*key, *BAR_INPUTS), on=key, how="left", maintain_order="left")
        .join(ticks.select(*key, *TICK_INPUTS), on=key, how="left", maintain_order="left")
    )
    # A close is carried as far as nothing is missing on the way: over a hole nobody knows at what price it came out.
    carried = (
        pl.when(pl.col("close").is_not_null()).then(pl.col("close"))
        .when(~pl.col("is_whole")).then(pl.lit(float("nan")))
        .forward_fill(CARRIED).over("instrument")
    )  # fmt: skip
    is_empty = pl.col("trade_count").is_null() & pl.col("is_whole")
    # A hole is marked by NaN, which is carried as a close is; what lies past either is null.
    close = carried.fill_nan(None)
    return (
        laid.with_columns(is_empty.alias("_is_empty"), close.alias("close"))
        .with_columns(
            *(pl.when("_is_empty").then(pl.col("close")).otherwise(pl.col(name)).alias(name) for name in _PRICES),
            *(pl.when("_is_empty").then(pl.lit(0.0)).otherwise(pl.col(name)).alias(name) for name in _OF_NO_TRADE),
            ((pl.col("bar_start").dt.replace_time_zone(None) - _MONDAY).dt.total_minutes() % (7 * 24 * 60))
            .cast(pl.Float64)
            .alias("minute_of_week"),
            (pl.col("is_whole") | pl.col("trade_count").is_not_null()).alias("is_known"),
        )
        .select(*key, "is_known", *INPUTS)
    )


def evaluate(laid_out: "pl.DataFrame", names: Sequence[str] = tuple(FEATURES), *, since: datetime | None = None) -> "pl.DataFrame":
    """Values of features over minutes as `minutes` lays them out.

    Args:
        laid_out: whose first `look_back(names)` minutes of each instrument are looked at alone. Where there are fewer, what lacks them
            would be made from another instrument's minutes: that is refused.
        names: of the features.
        since: the first minute of which values are wanted; None for the first that has its look-back.

    Returns:
        `instrument`, `bar_start`, `is_known` and the features, doubles, null where there is no value; never infinite.

    Raises:
        ValueError: an instrument has fewer minutes before `since` than are looked back at.
        KeyError: there is no such feature.
    """
    import polars as pl

    back = look_back(names)
    if not len(laid_out):
        empty = laid_out.select("instrument", "bar_start", "is_known")
        return empty.with_columns(pl.lit(None, pl.Float64).alias(name) for name in names)
    first = laid_out["bar_start"][0]
    wanted = first + back * MINUTE if since is None else since
    if wanted - first < back * MINUTE:
        raise ValueError(f"values from {wanted.isoformat()} on look back at {back} minutes, and there are {(wanted - first) // MINUTE}")
    plan = laid_out.lazy()
    for group in in_order(list(names)):
        plan = plan.with_columns(FEATURES[name].expression({each: pl.col(each) for each in FEATURES[name].inputs}) for name in group)
    doubles = [pl.col(name).cast(pl.Float64) for name in names]
    # What is divided by next to nothing passes the largest double.
    values = [pl.when(each.is_finite()).then(each).alias(name) for name, each in zip(names, doubles, strict=True)]
    told = plan.filter(pl.col("bar_start") >= wanted).select("instrument", "bar_start", "is_known", *values)
    # The streaming engine, which is the default, calls functions of Python one after the other, and everything beside them too.
    return told.collect(engine="in-memory")
