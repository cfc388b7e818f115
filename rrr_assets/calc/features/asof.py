"""Which row of features a moment may see: the point-in-time join, in memory.

Belongs here: that one join. Does not: reading rows, Feast.

Of an instrument's rows a moment t may see those whose close lies in [t - ttl, t] and that could be used by then; of these it sees the one
that closed last. Rows do not become usable in the order in which they close (a late trade holds up the minutes that look back at it), so
it does not do to take the last that closed and to look whether it could be used. Sorted by when they could be used, only those rows
matter that closed later than all that could be used before them; among these a moment's row is the last one that could be used by then.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import polars as pl

TTL: Final = timedelta(minutes=5)
"""How old a row may be and still answer, in training as online: of an instrument whose feed has stopped nothing is known."""


def as_of(
    moments: "pl.DataFrame", rows: "pl.DataFrame | pl.LazyFrame", names: Sequence[str], ttl: timedelta | None, *, by_available: bool
) -> "pl.DataFrame":
    """The features that each moment may see.

    Args:
        moments: `instrument` and `moment` (UTC, microseconds), in any order, also several times the same, and whatever else.
        rows: `instrument`, `event_time`, `available_at` and the features; at most one row an instrument and event_time.
        names: of the features; `available_at` may be among them.
        ttl: how old a row may be; one of exactly that age counts. None for any age.
        by_available: whether a row counts only where it could be used by the moment; else whatever closed by then.

    Returns:
        The moments as they came, in their order, with `event_time`, `available_at` and the features of the row that each sees; all
        null where it sees none.
    """
    import polars as pl

    by = "available_at" if by_available else "event_time"
    shown = list(dict.fromkeys(("event_time", "available_at", *names)))
    seen = rows.lazy().select("instrument", *shown).collect()
    # Names as numbers, and of the rows their place alone: what is sorted and joined is a tenth of what comes out.
    known = pl.Enum(seen["instrument"].unique().sort())
    keys = seen.lazy().select(pl.col("instrument").cast(known), "event_time", pl.col(by).alias("_since")).with_row_index("_row")
    keys = keys.sort("instrument", "_since", "event_time")
    if by_available:
        latest = pl.col("event_time").cum_max().shift(1).over("instrument")
        keys = keys.filter(latest.is_null() | (pl.col("event_time") > latest))
    asked = moments.lazy().select(pl.col("instrument").cast(known, strict=False), "moment").with_row_index("_number").sort("moment")
    joined = asked.join_asof(
        keys, left_on="moment", right_on="_since", by="instrument", strategy="backward", check_sortedness=False, coalesce=False
    )
    place = pl.col("_row")
    if ttl is not None:
        place = pl.when(pl.col("event_time") >= pl.col("moment") - ttl).then(place)
    places = joined.sort("_number").select(place).collect().to_series()
    return moments.hstack(seen.select(pl.col(shown).gather(places)))
