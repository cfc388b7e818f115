"""What differs between two training sets of one specification, and which changes of ticks did it.

Belongs here: comparing rows, and attributing each difference to changes. Does not: reading sets or changes (features/training_diff.py).

A value hangs on a stretch of minutes, and was believed from one time until another. A change of ticks did it where it touches that stretch
and was told between the times at which the value before and the value after became known. Where none is told there, any change counts that
touches what the whole row may hang on; where there is none either, nothing is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.compute import CARRIED, MINUTE, look_back
from rrr_assets.calc.features.declare import BAR_INPUTS
from rrr_assets.calc.features.labels import Label

if TYPE_CHECKING:
    import polars as pl

CHANGED: Final = "changed"
NEW: Final = "new"
GONE: Final = "gone"

_KEY: Final = ["instrument", "moment"]
_OF_TRADES: Final = frozenset({*BAR_INPUTS, "effective_spread_bps"})
_OF_QUOTES: Final = frozenset({"quoted_spread_bps", "effective_spread_bps", "depth_imbalance_close", "book_flow", "book_depth"})
REACH: Final = (look_back() + 1) * MINUTE
"""How far a row of features looks back, all of its columns together."""

_EARLIEST: Final = datetime(1, 1, 2, tzinfo=UTC)
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Reach:
    """The minutes that a column hangs on: `back` before what it is anchored at, `ahead` after; and what is in them."""

    is_label: bool
    back: timedelta
    ahead: timedelta
    trades: bool
    quotes: bool


def differences(before: "pl.DataFrame", after: "pl.DataFrame") -> "pl.DataFrame":
    """Every value that differs, and every row that is in one of the sets alone.

    Args:
        before: rows of a training set.
        after: rows of another one of the same columns.

    Returns:
        `instrument`, `moment`, `what` (changed, new, gone), `column` (null for a whole row), `before` and `after` as texts that are exact,
        `seen_before` and `seen_after`, the close of the row that the moment saw; by instrument, moment and the order of columns.
    """
    import polars as pl

    columns = [name for name in after.columns if name not in _KEY]
    both = before.with_columns(pl.lit(value=True).alias("_before")).join(
        after.with_columns(pl.lit(value=True).alias("_after")), on=_KEY, how="full", coalesce=True, suffix="_after", nulls_equal=True
    )
    seen = [pl.col("event_time").alias("seen_before"), pl.col("event_time_after").alias("seen_after")]
    nothing = [pl.lit(None, pl.String).alias(name) for name in ("before", "after")]
    is_new, is_gone = pl.col("_before").is_null(), pl.col("_after").is_null()
    whole = both.filter(is_new | is_gone).select(
        *_KEY, pl.when(is_new).then(pl.lit(NEW)).otherwise(pl.lit(GONE)).alias("what"), pl.lit(None, pl.String).alias("column"),
        *nothing, *seen, pl.lit(-1).alias("_order"),
    )  # fmt: skip
    in_both = both.filter(~is_new & ~is_gone)
    found = [whole]
    for number, name in enumerate(columns):
        old, new = pl.col(name), pl.col(f"{name}_after")
        found.append(
            in_both.filter(old.ne_missing(new)).select(
                *_KEY, pl.lit(CHANGED).alias("what"), pl.lit(name).alias("column"),
                _text(old, after.schema[name]).alias("before"), _text(new, after.schema[name]).alias("after"),
                *seen, pl.lit(number).alias("_order"),
            )
        )  # fmt: skip
    return pl.concat(found).sort(*_KEY, "_order").drop("_order")


def _text(value: "pl.Expr", kind: Any) -> "pl.Expr":
    import polars as pl

    if kind == pl.Datetime:
        return value.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").str.replace(".000000Z", "Z", literal=True)
    return value.cast(pl.String)


def attributed(
    found: "pl.DataFrame", changes: "pl.DataFrame", *, features: Sequence[str], labels: Sequence[Label],
    known_before: "pl.DataFrame", known_after: "pl.DataFrame", bars_before: "pl.DataFrame", bars_after: "pl.DataFrame",
) -> "pl.DataFrame":  # fmt: skip
    """Which changes of ticks made each difference.

    Args:
        found: as `differences` answers.
        changes: `change` (a number), `instrument`, `relation`, `from_time`, `to_time`, `logged_at`.
        features: of the sets.
        labels: of the sets.
        known_before: `instrument`, `event_time`, `known_at` of the rows of features that the first set was made from.
        known_after: of those of the second.
        bars_before: bars that the first set's labels were made from, with `known_at`.
        bars_after: of the second.

    Returns:
        `found` with `changes`, a sorted list of numbers, empty where nothing is told, and `known_after`, when what is seen now was known.
    """
    import polars as pl

    horizon = max((label.horizon for label in labels), default=timedelta(0))
    reaches = _reaches(features, labels)
    numbered = _known(found.with_row_index("_number"), known_before, known_after)
    span = numbered.with_columns(
        pl.min_horizontal("seen_before", "seen_after").alias("_first"),
        pl.max_horizontal("seen_before", "seen_after").alias("_last"),
        (pl.col("seen_before") != pl.col("seen_after")).fill_null(value=False).alias("_is_moved"),
    )
    told = changes.with_columns((pl.col("relation") == "raw_quotes").alias("is_quotes")).rename({"instrument": "_instrument"})
    of_bars = _of_changed_bars(told, bars_before, bars_after) if labels else told
    moment, first, last = pl.col("moment"), pl.col("_first"), pl.col("_last")
    exact: list[pl.DataFrame] = []
    rest: list[pl.DataFrame] = []
    for (column, is_moved), mine in span.partition_by("column", "_is_moved", as_dict=True, maintain_order=True).items():
        reach = reaches.get(column)
        if reach is None:
            # A row that came or went: its own minute, where it is that, or whatever its moment could see and its labels look at.
            exact.append(_matched(_asked(mine, last - MINUTE, last), told))
            wide = _asked(mine, pl.min_horizontal("_first", "moment") - REACH, pl.max_horizontal(last, moment + horizon), is_open=True)
        elif reach.is_label:
            wide = _asked(mine, moment - reach.back, moment + reach.ahead, quotes=False, is_open=True, at_any_time=True)
            exact.append(_matched(wide, of_bars))
        elif is_moved:
            wide = _asked(mine, first - REACH, last, is_open=True)
        else:
            exact.append(_matched(_asked(mine, first - reach.back, last, trades=reach.trades, quotes=reach.quotes), told))
            # A close may have been carried into the first of its minutes.
            wide = _asked(mine, first - reach.back - CARRIED * MINUTE, last, trades=reach.trades, quotes=reach.quotes)
        rest.append(wide)
    nothing = pl.DataFrame(schema={"_number": pl.UInt32, "change": pl.Int64})
    found_exactly = pl.concat([nothing, *exact])
    lists = nothing.group_by("_number").agg(pl.col("change").alias("changes"))
    if rest:
        left = pl.concat(rest).join(found_exactly.select("_number").unique(), on="_number", how="anti")
        both = pl.concat([found_exactly, _matched(left, told)])
        lists = both.group_by("_number").agg(pl.col("change").unique().sort().alias("changes"))
    empty = pl.lit([], pl.List(pl.Int64))
    joined = numbered.join(lists, on="_number", how="left", maintain_order="left").with_columns(pl.col("changes").fill_null(empty))
    return joined.drop("_number", "_after", "_until")


def _time() -> Any:
    import polars as pl

    return pl.Datetime("us", "UTC")


def _never() -> "pl.Expr":
    import polars as pl

    return pl.lit(None, _time())


def _reaches(features: Sequence[str], labels: Sequence[Label]) -> dict[Any, _Reach]:
    reaches: dict[Any, _Reach] = {
        name: _Reach(
            is_label=False,
            back=FEATURES[name].bars * MINUTE,
            ahead=timedelta(0),
            trades=not _OF_TRADES.isdisjoint(FEATURES[name].columns),
            quotes=not _OF_QUOTES.isdisjoint(FEATURES[name].columns),
        )
        for name in features
    }
    for name in ("event_time", "available_at"):
        reaches[name] = _Reach(is_label=False, back=REACH, ahead=timedelta(0), trades=True, quotes=True)
    for label in labels:
        # A close may have been carried into the first of its minutes.
        reach = _Reach(is_label=True, back=(CARRIED + 1) * MINUTE, ahead=label.horizon, trades=True, quotes=False)
        reaches[label.name] = reaches[f"{label.name}_end"] = reach
    return reaches


def _known(found: "pl.DataFrame", known_before: "pl.DataFrame", known_after: "pl.DataFrame") -> "pl.DataFrame":
    """With `_after` and `_until`, the times between which a change must have been told: null for any; and `known_after`."""
    import polars as pl

    # A row that is new to the set may have been there, and not to be seen.
    old = pl.coalesce("seen_before", "seen_after").alias("_old")
    return (
        found.with_columns(old)
        .join(
            known_before.rename({"event_time": "_old", "known_at": "_after"}), on=["instrument", "_old"], how="left", maintain_order="left"
        )
        .join(
            known_after.rename({"event_time": "seen_after", "known_at": "known_after"}),
            on=["instrument", "seen_after"], how="left", maintain_order="left",
        )
        .with_columns(pl.when(pl.col("_old") == pl.col("seen_after")).then(pl.col("known_after")).alias("_until"))
        .drop("_old")
    )  # fmt: skip


def _asked(
    mine: "pl.DataFrame", since: "pl.Expr", until: "pl.Expr", *, trades: bool = True, quotes: bool = True, is_open: bool = False,
    at_any_time: bool = False,
) -> "pl.DataFrame":  # fmt: skip
    """What may have made some differences: changes of these minutes, told between `_after` and `_until`.

    With `is_open` also after what is seen now was known, and `at_any_time` also before what was seen then.
    """
    import polars as pl

    return mine.select(
        "_number", "instrument", since.alias("_since"), until.alias("_to"),
        (_never() if at_any_time else pl.col("_after")).alias("_after"), (_never() if is_open else pl.col("_until")).alias("_until"),
        pl.lit(trades).alias("_trades"), pl.lit(quotes).alias("_quotes"),
    )  # fmt: skip


def _matched(asked: "pl.DataFrame", told: "pl.DataFrame") -> "pl.DataFrame":
    """`_number` and `change` where a change touches what is asked for."""
    import polars as pl

    early, late = pl.lit(_EARLIEST, _time()), pl.lit(_LATEST, _time())
    bounded = asked.with_columns(pl.col("_after").fill_null(early), pl.col("_until").fill_null(late))
    pairs = bounded.join_where(
        told,
        pl.col("instrument") == pl.col("_instrument"),
        pl.col("from_time") < pl.col("_to"),
        pl.col("to_time") > pl.col("_since"),
        pl.col("logged_at") > pl.col("_after"),
        pl.col("logged_at") <= pl.col("_until"),
    )
    is_of = pl.when("is_quotes").then(pl.col("_quotes")).otherwise(pl.col("_trades"))
    return pairs.filter(is_of).select("_number", "change")


def _of_changed_bars(told: "pl.DataFrame", before: "pl.DataFrame", after: "pl.DataFrame") -> "pl.DataFrame":
    """The changes that made a bar another one, each narrowed to those bars: what was known of before changed none of them again."""
    import polars as pl

    both = before.join(after, on=["instrument", "bar_start"], how="full", coalesce=True, suffix="_after")
    prices = ("open", "high", "low", "close")
    moved = both.filter(pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_after")) for name in prices)).select(
        "instrument", "bar_start", pl.col("known_at").fill_null(pl.lit(_EARLIEST, _time())).alias("_after"),
        pl.col("known_at_after").fill_null(pl.lit(_LATEST, _time())).alias("_until"),
    )  # fmt: skip
    pairs = told.filter(~pl.col("is_quotes")).join_where(
        moved,
        pl.col("_instrument") == pl.col("instrument"),
        pl.col("from_time") < pl.col("bar_start") + MINUTE,
        pl.col("to_time") > pl.col("bar_start"),
        pl.col("logged_at") > pl.col("_after"),
        pl.col("logged_at") <= pl.col("_until"),
    )
    narrowed = pairs.group_by("change").agg(pl.col("bar_start").min().alias("_first"), pl.col("bar_start").max().alias("_last"))
    return (
        told.join(narrowed, on="change", how="inner")
        .with_columns(pl.col("_first").alias("from_time"), (pl.col("_last") + MINUTE).alias("to_time"))
        .drop("_first", "_last")
    )
