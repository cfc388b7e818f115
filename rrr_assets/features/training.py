"""Training sets: what could be seen at each moment, with what came after, and what it was all made from.

Belongs here: putting a set together and what is told of it. Does not: the join (calc/features/asof.py), labels and split
(calc/features/labels.py), rows (lake/feature_reads.py), the ledger (warehouse/training_sets.py).

A set is made as of a knowledge time T: only what was believed at T counts, globally; and of that a moment sees, row by row, what could be
used by then. So the same specification and T give the same values whenever they are asked for, which the hash of the values shows.
"""

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg

from rrr_assets.calc.canonical import Digester
from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.asof import TTL, as_of
from rrr_assets.calc.features.compute import CARRIED, MINUTE, minutes
from rrr_assets.calc.features.declare import BAR_INPUTS, TICK_INPUTS
from rrr_assets.calc.features.labels import EMBARGOED, PURGED, TEST, TRAIN, Label, split, with_labels
from rrr_assets.calc.features.spec import TrainingSpec
from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.contracts.bars import BAR_REVISIONS, BARS
from rrr_assets.contracts.features import FEATURES_1M
from rrr_assets.lake.feature_reads import bars_as_known, feature_rows
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.training_sets import set_facts

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_BEFORE: Final = (CARRIED + 1) * MINUTE
"""From how long before the first moment on rows are read: a close is carried into the first minutes as into any other."""

_FORM: Final = "rrr training set 1"


class NothingKnown(PermanentFailure):
    """Nothing of what is asked for was known at that time."""


class NotFinalYet(PermanentFailure):
    """What was known at that time may still change: it has not come, or a load is in flight."""


class FeatureGone(PermanentFailure):
    """A set that was made before has a feature that is declared no more."""


class BarsDeleted(PermanentFailure):
    """Labels look at bars that retention deleted."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The rows, sorted by instrument and moment, their hash, and what they were made from.

    `sources` says of the rows of features that were read when each became known, `bars` are those that labels were made of.
    """

    rows: "pa.Table"
    content: str
    manifest: dict[str, Any]
    sources: "pl.DataFrame"
    bars: "pl.DataFrame"


def make(database: Database, spec: TrainingSpec, as_known_at: datetime, like: Mapping[str, Any] | None = None) -> TrainingSet:
    """Make a training set as of a knowledge time.

    Args:
        database: whose features and bars; read as the analyst.
        spec: what is asked for.
        as_known_at: T. UTC; below the knowledge horizon.
        like: the manifest of the set that was made of this before: what was declared since changes neither its features nor its embargo.

    Raises:
        NothingKnown: of none of it anything was known at T.
        FeatureGone: the set that was made before has a feature that is declared no more.
        NotFinalYet: what was known at T is not final yet.
        BarsDeleted: labels need bars that are deleted.
    """
    import polars as pl

    features = spec.feature_names if like is None else list(like["feature_names"])
    embargo = spec.embargo if like is None else like["moments"]["embargo_minutes"] * MINUTE
    if gone := sorted(set(features) - FEATURES.keys()):
        raise FeatureGone(f"the set has {', '.join(gone)}, which is declared no more. Its file is not made again")
    asked = None if spec.instruments == ["*"] else sorted(set(spec.instruments))
    since, until = spec.start - _BEFORE, spec.end + spec.horizon
    also = ("available_basis", "known_at")
    try:
        seen = feature_rows(database, FEATURES_1M, features, asked, since, until, as_known_at, also=also)
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        raise NotFinalYet(f"{error.diag.message_primary}. {error.diag.message_hint}") from error
    if not len(seen):
        raise NothingKnown(
            f"nothing of {', '.join(spec.instruments)} from {_told(spec.start)} to {_told(spec.end)} was known at "
            f"{_told(as_known_at)}. A knowledge time lies after the load: `rrr batch` shows when that was"
        )
    names = sorted(seen["instrument"].unique().to_list())
    moments = pl.datetime_range(
        spec.start, spec.end, timedelta(minutes=spec.every_minutes), closed="left", time_unit="us", time_zone="UTC", eager=True
    ).alias("moment")
    entities = pl.DataFrame({"instrument": names}).join(pl.DataFrame(moments), how="cross")
    found = as_of(entities, seen, [*features, "available_basis"], TTL, by_available=True)
    rows = found.filter(pl.col("event_time").is_not_null())
    labels = [each.label() for each in spec.labels]
    bars = pl.DataFrame(schema={"instrument": pl.String, "bar_start": pl.Datetime("us", "UTC"), "known_at": pl.Datetime("us", "UTC")})
    if labels:
        _check_none_is_deleted(database, names, since, until)
        bars = bars_as_known(database, names, since, until, as_known_at)
        laid = _minutes(bars, seen, names, since, until)
        for label in labels:
            rows = rows.join(with_labels(laid, label), on=["instrument", "moment"], how="left", maintain_order="left")
    parts = {"moments": len(found), "without_a_row": len(found) - len(rows)}
    if spec.test is not None:
        ends = [f"{label.name}_end" for label in labels]
        rows = split(rows, ends, spec.test.start, spec.test.end, spec.horizon, embargo)
        parts |= {name: int(rows["split"].eq(name).sum()) for name in (TRAIN, TEST, PURGED, EMBARGOED)}
        rows = rows.filter(pl.col("split").is_in([TRAIN, TEST]))
    observed = rows["available_basis"].eq("observed").sum()
    rows = rows.sort("instrument", "moment")
    table = _canonical(rows.drop("available_basis"), features)
    content = _digest(table)
    facts = set_facts(database, names, since, until, as_known_at)
    manifest = {
        "form": _FORM,
        "name": spec.name,
        "spec": spec.model_dump(mode="json"),
        "spec_sha256": spec.sha256,
        "as_known_at": as_known_at.astimezone(UTC).isoformat(),
        "content_sha256": content,
        "rows": len(table),
        "moments": parts | {"embargo_minutes": embargo // MINUTE, "label_horizon_minutes": spec.horizon // MINUTE},
        "instruments": names,
        "universe": {
            "asked_for": list(spec.instruments),
            "nothing_known_of": sorted(set(asked or ()) - set(names)),
            "as_known": facts.instruments,
        },
        "feature_names": features,
        "columns": {field.name: str(field.type) for field in table.schema},
        "features": {
            name: {"version": FEATURES[name].version, "minutes": FEATURES[name].bars, "formula": FEATURES[name].formula}
            for name in features
        },
        "labels": {label.name: _label_counts(rows, label, seen) for label in labels},
        "available_at": {
            "observed": observed, "modelled": len(rows) - observed, "share_observed": observed / len(rows) if len(rows) else None,
        },
        "data": {
            FEATURES_1M.name: {"rows_read": len(seen), "last_known_at": _iso(seen["known_at"].max())},
            **({BARS["1m"].name: {"rows_read": len(bars), "last_known_at": _iso(bars["known_at"].max())}} if labels else {}),
            "batches": {"count": facts.batches, "last": facts.last_batch},
        },
        "query": {
            "features": query("features_rows_as_known"),
            **({"bars": query("features_bars_as_known")} if labels else {}),
            "ttl_seconds": TTL.total_seconds(),
        },
        "made_by": {name: importlib.metadata.version(name) for name in ("rrr_assets", "polars", "pyarrow")},
    }  # fmt: skip
    sources = seen.select("instrument", "event_time", "known_at")
    return TrainingSet(table, content, json.loads(json.dumps(manifest)), sources, bars)


def _check_none_is_deleted(database: Database, names: Sequence[str], since: datetime, until: datetime) -> None:
    """Do nothing where no bars of a window are deleted: labels of these would be null, and say nothing of it."""
    from rrr_assets.lake.planning import DELETED, away

    with database.kept(Role.ANALYST) as connection:
        for part in away(connection, [ARCHIVED[BARS["1m"].name], ARCHIVED[BAR_REVISIONS.name]], since, until):
            if part.tier == DELETED and not part.restored.issuperset(names):
                raise BarsDeleted(f"labels look at bars, and {part.archived.name} of {part.partition} is deleted")


def _label_counts(rows: "pl.DataFrame", label: Label, seen: "pl.DataFrame") -> dict[str, Any]:
    """How many rows have no value of a label, and of how many of these its window reaches past all that was known."""
    import polars as pl

    last = seen.group_by("instrument").agg(pl.col("event_time").max().alias("_last"))
    nulls = rows.filter(pl.col(label.name).is_null()).join(last, on="instrument", how="left")
    past = nulls.select((pl.col("moment") + label.horizon > pl.col("_last")).sum()).item()
    return {"horizon_minutes": label.horizon // MINUTE, "null": len(nulls), "null_past_the_end": past}


def _minutes(bars: "pl.DataFrame", seen: "pl.DataFrame", names: Sequence[str], since: datetime, until: datetime) -> "pl.DataFrame":
    """The minutes that labels look at. A minute is known where it has a row of features, as it was believed."""
    import polars as pl

    closed = seen.select("instrument", (pl.col("event_time") - MINUTE).alias("from_time"), pl.col("event_time").alias("to_time"))
    no_ticks = pl.DataFrame(
        schema={"instrument": pl.String, "bar_start": pl.Datetime("us", "UTC"), **dict.fromkeys(TICK_INPUTS, pl.Float64)}
    )
    return minutes(bars.select("instrument", "bar_start", *BAR_INPUTS), no_ticks, closed, names, since, until)


def _canonical(rows: "pl.DataFrame", features: Sequence[str]) -> "pa.Table":
    """One form for the same values: fixed types, one chunk, no negative zero."""
    import polars as pl
    import pyarrow as pa

    doubles = [name for name, kind in rows.schema.items() if kind == pl.Float64]
    table = rows.with_columns(pl.col(name) + 0.0 for name in doubles).to_arrow()
    time = pa.timestamp("us", "UTC")
    kinds = {"instrument": pa.string(), "split": pa.string()} | dict.fromkeys([*features, *doubles], pa.float64())
    schema = pa.schema([pa.field(field.name, kinds.get(field.name, time)) for field in table.schema])
    return table.cast(schema).combine_chunks()


def _digest(table: "pa.Table") -> str:
    digester = Digester(table.schema)
    for batch in table.to_batches():
        digester.add(batch)
    return digester.digest().content


def _told(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _iso(at: object) -> str | None:
    return at.astimezone(UTC).isoformat() if isinstance(at, datetime) else None
