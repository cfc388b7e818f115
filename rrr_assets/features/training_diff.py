"""What differs between a training set as of two knowledge times, with the cause of each difference as far as the ledgers tell.

Belongs here: reading both sets and what was told in between, and saying causes in words. Does not: comparing and attributing
(calc/features/difference.py), printing (cli/).
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.difference import CHANGED, NEW, REACH, attributed, differences
from rrr_assets.calc.features.spec import TrainingSpec
from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.features.training import NothingKnown, TrainingSet, make
from rrr_assets.warehouse.arrow import JSON_FIELD
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.training_sets import Entered, changes_told, confirm, find

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

UNKNOWN: Final = "unknown"
VERSION: Final = "version"

_LATE: Final = {"raw_trades": "late_trades", "raw_agg_trades": "late_trades", "raw_quotes": "late_quotes"}
_WORDS: Final = {
    "late_trades": "late trades",
    "late_quotes": "late quotes",
    "loaded_later": "loaded later",
    "coverage": "what is covered",
    "declaration": "what bars are made from was declared anew",
    "undo": "a batch taken back",
}


class DiffRefused(PermanentFailure):
    """The two cannot be compared: the message says why."""


def diff(database: Database, spec: TrainingSpec, as_known_at: datetime, and_at: datetime) -> "pa.Table":
    """Every value and row that differs between a training set as of two knowledge times, with why.

    Args:
        database: read as the analyst.
        spec: what is asked for.
        as_known_at: one knowledge time. UTC.
        and_at: a later one.

    Returns:
        `instrument`, `moment`, `event_time` (the close of the row that the moment sees at the later time, or saw), `what` (changed, new,
        gone), `column` (null for a whole row), `before` and `after` as texts that are exact, `cause` (the kinds of causes), `why` (in
        words), and `causes`, as JSON. Kinds are late_trades, late_quotes, loaded_later (there was no value), correction, cancellation,
        undo, coverage, declaration, version, and unknown, where nothing is told.

    Raises:
        DiffRefused: the second time lies before the first.
        NothingKnown, NotFinalYet, BarsDeleted: as `make`, of the second; of the first, nothing known is a set without rows.
        TrainingSetReleased, TrainingSetChanged: one of the sets was made once, and is released, or comes out differently.
    """
    import polars as pl

    if and_at < as_known_at:
        raise DiffRefused(f"{and_at.isoformat()} lies before {as_known_at.isoformat()}: give the earlier knowledge time first")
    known = [find(database, spec.sha256, at) for at in (as_known_at, and_at)]
    after = _made(database, spec, and_at, known[1])
    try:
        before = _made(database, spec, as_known_at, known[0])
    except NothingKnown:
        before = TrainingSet(after.rows.slice(0, 0), "", {}, after.sources.clear(), after.bars.clear())
    # Where all features are asked for, one of the sets may be older than some.
    columns = [name for name in after.rows.column_names if name in before.rows.column_names]
    found = differences(*(pl.DataFrame(each.rows.select(columns)) for each in (before, after)))
    changes = _changes(database, spec, found, as_known_at, and_at)
    traced = attributed(
        found, changes, features=[name for name in columns if name in FEATURES], labels=[each.label() for each in spec.labels],
        known_before=before.sources, known_after=after.sources, bars_before=before.bars, bars_after=after.bars,
    )  # fmt: skip
    return _told(traced, changes, _versions(*known))


def _made(database: Database, spec: TrainingSpec, as_known_at: datetime, known: Entered | None) -> TrainingSet:
    made = make(database, spec, as_known_at, None if known is None else known.manifest)
    if known is not None:
        confirm(known, made.content)
    return made


def _changes(database: Database, spec: TrainingSpec, found: "pl.DataFrame", after: datetime, until: datetime) -> "pl.DataFrame":
    """What the log tells of the ticks of what differs, and what features show since the earlier time."""
    import polars as pl

    days = timedelta(days=1)
    names = found["instrument"].unique().sort().to_list()
    rows = changes_told(database, names, spec.start - days, spec.end + spec.horizon + days, after, until, REACH) if names else []
    time = pl.Datetime("us", "UTC")
    schema: dict[str, Any] = {
        "instrument": pl.String, "relation": pl.String, "kind": pl.String, "from_time": time, "to_time": time, "logged_at": time,
        "batch_id": pl.Int64, "file_name": pl.String, "reason": pl.String,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row").with_row_index("change").with_columns(pl.col("change").cast(pl.Int64))


def _versions(before: Entered | None, after: Entered | None) -> dict[str, str]:
    """Features of which the manifests of two sets in the ledger say other versions."""
    if before is None or after is None:
        return {}
    old, new = (each.manifest["features"] for each in (before, after))
    return {
        name: f"version {old[name]['version']} -> {new[name]['version']}"
        for name in old.keys() & new.keys()
        if old[name]["version"] != new[name]["version"] or old[name]["formula"] != new[name]["formula"]
    }


def _told(traced: "pl.DataFrame", changes: "pl.DataFrame", versions: Mapping[str, str]) -> "pa.Table":
    """Causes in words: said once for each set of changes that did something, of which there are few."""
    import polars as pl
    import pyarrow as pa

    is_untold = pl.col("changes").list.len() == 0
    keyed = traced.with_columns(
        (pl.col("what").eq(NEW) | (pl.col("what").eq(CHANGED) & pl.col("before").is_null())).alias("_came"),
        _replaced(versions).alias("_version"),
        pl.col("changes").list.eval(pl.element().cast(pl.String)).list.join(",").alias("_key"),
        # When it was made is said where nothing else can be.
        pl.when(is_untold).then(pl.col("known_after")).alias("_made"),
    )
    key = ["_key", "_came", "_version", "_made"]
    keys = keyed.select(*key, "changes").unique(key, maintain_order=True)
    rows = changes.rows(named=True)
    said = [
        _causes([rows[at] for at in each["changes"]], each["_made"], each["_version"], came=each["_came"]) for each in keys.rows(named=True)
    ]
    words = keys.select(key).with_columns(
        pl.Series("cause", [", ".join(dict.fromkeys(cause["kind"] for cause in causes)) for causes in said], pl.String),
        pl.Series("why", ["; ".join(map(_sentence, causes)) for causes in said], pl.String),
        pl.Series("causes", [json.dumps(causes) for causes in said], pl.String),
    )
    joined = keyed.join(words, on=key, how="left", nulls_equal=True, maintain_order="left")
    time = pa.timestamp("us", "UTC")
    fields = [
        pa.field(name, time if name in {"moment", "event_time"} else pa.string(), metadata=JSON_FIELD if name == "causes" else None)
        for name in ("instrument", "moment", "event_time", "what", "column", "before", "after", "cause", "why", "causes")
    ]
    chosen = joined.with_columns(pl.coalesce("seen_after", "seen_before").alias("event_time")).select(field.name for field in fields)
    return chosen.to_arrow().cast(pa.schema(fields)).combine_chunks()


def _replaced(versions: Mapping[str, str]) -> "pl.Expr":
    import polars as pl

    nothing = pl.lit(None, pl.String)
    return pl.col("column").replace_strict(dict(versions), default=None, return_dtype=pl.String) if versions else nothing


def _causes(told: list[dict[str, Any]], known_after: datetime | None, version: str | None, *, came: bool) -> list[dict[str, Any]]:
    causes: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in told:
        kind = each["kind"]
        if kind == "load":
            kind = "loaded_later" if came else _LATE[each["relation"]]
        elif kind == "coverage" and each["batch_id"] is not None and came:
            # Of a minute without ticks a batch tells nothing but that the tape is whole there.
            kind = "loaded_later"
        key = (kind, each["batch_id"], each["reason"])
        causes.setdefault(key, {"kind": kind, "batch_id": each["batch_id"], "file": each["file_name"], "reason": each["reason"]})
    # What a batch changed is said by what it did: that more, or less, is covered since goes with it.
    doing = {cause["batch_id"] for cause in causes.values() if cause["kind"] != "coverage"}
    found = [cause for cause in causes.values() if cause["kind"] != "coverage" or cause["batch_id"] not in doing]
    if version is not None:
        found.append({"kind": VERSION, "batch_id": None, "file": None, "reason": version})
    if not found:
        when = "it was made again" if known_after is None else f"it was made again at {known_after.isoformat()}"
        reason = f"{when}, and no change of the ticks that it looks at is told: days materialised whole, or another version of the code"
        found.append({"kind": UNKNOWN, "batch_id": None, "file": None, "reason": reason})
    return found


def _sentence(cause: Mapping[str, Any]) -> str:
    by = "" if cause["batch_id"] is None else f" by batch {cause['batch_id']}"
    of = "" if cause["file"] is None else f" of {cause['file']}"
    why = "" if cause["reason"] is None else f" ({cause['reason']})"
    return f"{_WORDS.get(cause['kind'], cause['kind'])}{by}{of}{why}"
