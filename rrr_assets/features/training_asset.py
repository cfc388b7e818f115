"""The asset training_set: a training set from the UI, as `rrr training-set` makes it from a terminal.

It has no partitions: a set is of a specification and a knowledge time, which run config says, and every one that was made is a
materialisation. Its data version is the hash of the set's values.
"""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import Field

from rrr_assets.calc.outcomes import RuleResult
from rrr_assets.contracts.features import FEATURES_1M, TRAINING_SETS
from rrr_assets.resources.reporting import check_results, check_specs, column_lineage, failures_told_once
from rrr_assets.resources.warehouse import Warehouse

if TYPE_CHECKING:
    import pyarrow as pa

    from rrr_assets.calc.features.spec import TrainingSpec
    from rrr_assets.features.training_run import Produced

_NAME: Final = "training_set"
_SHOWN: Final = 10


class TrainingSetConfig(dg.Config):
    """Which set is made. Give the specification itself, or the file that it stands in."""

    as_known_at: str = Field(
        description="Of what was known then, in UTC: 2025-03-06T00:00:00Z. Lies after the load, and not in the future."
    )
    spec: dict[str, Any] = Field(
        default_factory=dict, description="What is asked for: name, instruments, start, end, features, labels, test."
    )
    spec_file: str = Field(default="", description="A file of YAML with the same, on the machine that runs this.")
    out: str = Field(default="", description="The Parquet file, on that machine; empty for one in training-sets/ of the home.")
    keep_days: int = Field(default=365, ge=1, le=36_600, description="What it is made from is held for so many days.")


@dg.asset(
    name=_NAME,
    deps=[FEATURES_1M.name, "bars_1m"],
    group_name="features",
    kinds={"parquet", "polars"},
    owners=[TRAINING_SETS.owner],
    tags={"exact": "no"},
    description=(
        "What run config asks for: features as they could be seen at each moment, labels, a split. Its data version is its hash. "
        "To make one, say in the launchpad `as_known_at`, and the specification as `spec` or `spec_file`."
    ),
    code_version="1",
    check_specs=check_specs(_NAME, "No row sees what could not be used yet, and none that is trained on knows of the test.", "")[:1],
)
def training_set(context: dg.AssetExecutionContext, config: TrainingSetConfig, warehouse: Warehouse) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
    """One training set, with its manifest."""
    from rrr_assets.calc.features.spec import SpecRefused, parse_moment, parse_spec, read_spec
    from rrr_assets.features.training_run import produce

    with failures_told_once(context):
        if bool(config.spec) == bool(config.spec_file):
            raise SpecRefused("run config: give either spec, the specification itself, or spec_file, the file that it stands in")
        spec = parse_spec(config.spec, "run config: spec") if config.spec else read_spec(Path(config.spec_file))
        as_known_at = parse_moment(config.as_known_at, "run config: as_known_at")
        out = Path(config.out) if config.out else _file_of(spec, as_known_at.strftime("%Y%m%dT%H%M%S.%fZ"))
        done = produce(warehouse.database(), spec, as_known_at, out, config.keep_days)
    return dg.MaterializeResult(
        metadata=_metadata(done, spec),
        data_version=dg.DataVersion(done.made.content),
        check_results=check_results(_rules(done.made.rows, spec, done.told["moments"]["embargo_minutes"])),
    )


def _file_of(spec: "TrainingSpec", as_known_at: str) -> Path:
    """Where a set is written that nobody named a file for: the same set always to the same one."""
    from rrr_assets.warehouse.home import Home, make_private_folder

    folder = Home.current().training_sets
    make_private_folder(folder)
    return folder / f"{spec.name}-{spec.sha256[:12]}-{as_known_at}.parquet"


def _metadata(done: "Produced", spec: "TrainingSpec") -> dict[str, Any]:
    manifest, entered = done.told, done.entered
    available = manifest["available_at"]
    says = _descriptions(spec)
    columns = [dg.TableColumn(name, kind, description=says.get(name)) for name, kind in manifest["columns"].items()]
    made_from: dict[str, list[tuple[str, str]]] = {
        name: [(FEATURES_1M.name, name)] for name in ("event_time", "available_at", *manifest["features"])
    }
    for label in manifest["labels"]:
        made_from |= {name: [("bars_1m", column) for column in ("close", "high", "low")] for name in (label, f"{label}_end")}
    return {
        "set": f"{entered.set_id} ({spec.name})",
        "as_known_at": manifest["as_known_at"],
        "content_sha256": manifest["content_sha256"],
        "spec_sha256": manifest["spec_sha256"],
        "dagster/row_count": manifest["rows"],
        "file": dg.MetadataValue.path(done.out),
        "manifest_file": dg.MetadataValue.path(done.manifest_file),
        "manifest": dg.MetadataValue.json(done.told),
        "moments": dg.MetadataValue.json(manifest["moments"]),
        "labels": dg.MetadataValue.json(manifest["labels"]),
        "instruments": len(manifest["instruments"]),
        "nothing_known_of": ", ".join(manifest["universe"]["nothing_known_of"]) or "none",
        "observed_available_at": available["observed"],
        "modelled_available_at": available["modelled"],
        # A set of no rows has no share.
        "share_observed": available["share_observed"] or 0.0,
        "hold": entered.hold,
        "held_until": "until it is released" if entered.ends_at is None else dg.MetadataValue.timestamp(entered.ends_at),
        "preview": dg.MetadataValue.table(_preview(done.made.rows), dg.TableSchema(columns=columns)),
        "dagster/column_schema": dg.TableSchema(columns=columns),
        **column_lineage(made_from),
    }


def _descriptions(spec: "TrainingSpec") -> dict[str, str]:
    """What each column of a set is, as the UI shows it."""
    told = {each.name: each.description for each in FEATURES_1M.columns}
    told |= {
        "moment": "When the model would be asked. [UTC]",
        "event_time": "Close of the minute that was the newest to be seen then. [UTC]",
        "split": "Whether the row is trained on or tested on: train, test.",
    }
    for asked in spec.labels:
        name, minutes = asked.label().name, asked.minutes
        what = "Return over" if asked.kind == "return" else "Which barrier was touched first, 1 above, -1 below, 0 neither, in"
        told |= {name: f"{what} the {minutes} minutes after the moment.", f"{name}_end": "When the label is known. [UTC]"}
    return told


def _preview(rows: "pa.Table") -> list[dg.TableRecord]:
    """Some rows, evenly spread, as the UI shows them."""
    step = max(1, len(rows) // _SHOWN)
    shown = rows.take(list(range(0, len(rows), step))[:_SHOWN]).to_pylist()
    return [
        dg.TableRecord({name: value if value is None or isinstance(value, float) else str(value) for name, value in row.items()})
        for row in shown
    ]


def _rules(rows: "pa.Table", spec: "TrainingSpec", embargo_minutes: int) -> list[RuleResult]:
    """What must hold of every set, said of the rows that came out, whatever made them."""
    import polars as pl

    frame = pl.DataFrame(rows)
    is_seen = (pl.col("event_time") <= pl.col("available_at")) & (pl.col("available_at") <= pl.col("moment"))
    unseen = frame.filter(~is_seen).height
    rules = [RuleResult("a row sees what could be used by its moment", is_blocking=True, broken=unseen, looked_at=len(frame))]
    if spec.test is not None:
        train = frame.filter(pl.col("split") == "train")
        latest = pl.max_horizontal("moment", *(f"{each.label().name}_end" for each in spec.labels))
        is_before = (pl.col("moment") < spec.test.start) & (latest < spec.test.start)
        is_after = pl.col("moment") >= spec.test.end + spec.horizon + timedelta(minutes=embargo_minutes)
        knowing = train.filter(~(is_before | is_after)).height
        rules.append(RuleResult("a row that is trained on knows nothing of the test", True, knowing, len(train)))
    return rules


TRAINING_JOB: Final = dg.define_asset_job(
    "make_training_set", dg.AssetSelection.assets(training_set), description="A training set as it is asked for in run config."
)
TRAINING_ASSETS: Final = [training_set]
TRAINING_JOBS: Final = [TRAINING_JOB]
