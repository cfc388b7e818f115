"""The assets of what venues sent: trades, aggregated trades, quotes, depth and venue bars, one UTC day a partition."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from rrr_assets.calc.outcomes import RuleResult
from rrr_assets.contracts.archive import ARCHIVED_GROUPS
from rrr_assets.contracts.history import HISTORY_TO, Destination
from rrr_assets.contracts.ticks import RAW_AGG_TRADES, RAW_DEPTH, RAW_QUOTES, RAW_TRADES, VENUE_BARS
from rrr_assets.resources.lake import Lake
from rrr_assets.resources.partitions import DAYS, days_of
from rrr_assets.resources.reporting import DayReports, check_specs, contract_metadata, failures_told
from rrr_assets.resources.warehouse import Warehouse

if TYPE_CHECKING:
    from rrr_assets.calc.outcomes import DayLoaded
    from rrr_assets.contracts.base import Table
    from rrr_assets.lake.history import WentStraight
    from rrr_assets.lake.proving import Proof
    from rrr_assets.warehouse.staging import StagedFile


class IngestConfig(dg.Config):
    """How a day is taken in."""

    read_again: bool = Field(
        default=False, description="Read all landed files of the days again, not only those that wait; known rows stay as they are."
    )
    to: Destination | None = Field(
        default=None,
        description="Where ticks go of days that nothing is held of: `archive` straight into the archive, with their bars; `database`; "
        f"`auto` into the archive where they are older than the warm tier. What {HISTORY_TO} says where it is not given.",
    )


landing_files = dg.AssetSpec(
    "landing_files",
    group_name="ticks",
    kinds={"file"},
    owners=["team:market-data"],
    description="Files of venues, verified whole and kept as they came. `rrr ingest` brings them in; so does the folder landing/inbox.",
)


def _ticks_asset(table: "Table", stream: str, integrity: str, quality: str) -> dg.AssetsDefinition:
    """The asset of one table of ticks: what landed of each day, taken in."""

    @dg.asset(
        name=table.name,
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[landing_files, "gap_healing"],
        group_name="ticks",
        kinds={"postgres", "python"},
        owners=[table.owner],
        tags={"exact": "yes", "tier": "hot"},
        description=table.description,
        metadata=contract_metadata(table),
        code_version="1",
        pool="ticks",
        check_specs=check_specs(table.name, integrity, quality),
    )
    def take_in(context: dg.AssetExecutionContext, config: IngestConfig, warehouse: Warehouse, lake: Lake) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
        return _take_in(context, config, warehouse, lake, stream, table.name)

    return take_in


raw_trades = _ticks_asset(
    RAW_TRADES,
    "trades",
    "Each trade once, positive, of one identity space, and as many as the coverage ledger says.",
    "Nothing missing, nothing in quarantine, times in order, every expected instrument there.",
)
_EACH_ONCE = "Each row once, available no earlier than its time, of one identity space, and as many as the coverage ledger says."

raw_agg_trades = _ticks_asset(RAW_AGG_TRADES, "agg_trades", _EACH_ONCE, "Nothing missing, nothing in quarantine.")
raw_quotes = _ticks_asset(RAW_QUOTES, "quotes", _EACH_ONCE, "Nothing in quarantine, and every bid is below its ask.")
raw_depth = _ticks_asset(RAW_DEPTH, "depth", _EACH_ONCE, "Nothing in quarantine, and the changes follow each other without a jump.")
venue_bars = _ticks_asset(
    VENUE_BARS,
    "venue_bars",
    "High and low bound open and close, prices are positive, taker volume is within volume.",
    "Nothing in quarantine, and every bar was captured closed.",
)


def _take_in(
    context: dg.AssetExecutionContext, config: IngestConfig, warehouse: Warehouse, lake: Lake, stream: str, table: str
) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
    from rrr_assets.ticks.waiting import waiting_files

    days = days_of(context)
    reports = DayReports(context)
    run_id = context.run.run_id
    with failures_told(context, days, reports):
        files = waiting_files(warehouse.database(), stream, days, all_files=config.read_again)
        for day in days:
            loaded, went, why_not = None, None, None
            if day in files:
                loaded, went, why_not = _store(warehouse, lake, stream, day, files[day], run_id, config.to)
            metadata = _metadata(warehouse, stream, day, loaded, files.get(day, ()))
            if went is not None and went.proof is not None:
                metadata |= {"went": "straight to the archive", "stages": dg.MetadataValue.json(dict(went.stages))}
                context.log_event(_archived(table, day, went.proof))
            elif why_not is not None:
                metadata["went"] = f"into the database, because {why_not}"
            reports.tell(day, metadata, _added(warehouse.check(table, day), () if went is None else went.rules))
        if stream == "trades":
            # Bars were made of them on another machine, or never.
            warehouse.forget_staged()
    return reports.result()


def store_day(context: dg.AssetExecutionContext, warehouse: Warehouse, lake: Lake, stream: str, day: date) -> None:
    """Take in what waits of a stream's day, as its asset does, for who brought it and wants to know what came of it."""
    from rrr_assets.ticks.waiting import waiting_files

    files = waiting_files(warehouse.database(), stream, [day], all_files=False)
    if day in files:
        _, went, _ = _store(warehouse, lake, stream, day, files[day], context.run.run_id, None)
        if went is not None and went.proof is not None:
            context.log_event(_archived(f"raw_{stream}", day, went.proof))


def _store(
    warehouse: Warehouse, lake: Lake, stream: str, day: date, files: "Sequence[StagedFile]", run_id: str, to: Destination | None
) -> "tuple[DayLoaded, WentStraight | None, str | None]":
    """Store the files of a day: what was loaded, how it went where it went straight to the archive, and why it did not."""
    from rrr_assets.ticks.landing import raw_lines
    from rrr_assets.warehouse.tick_tables import CONSECUTIVE

    went, why_not = lake.take_in(warehouse.database(), stream, day, files, run_id, raw_lines, to)
    loaded = warehouse.load_day(stream, day, files, run_id, raw_lines) if went is None else went.loaded
    warehouse.forget_staged([day])
    if any(file.space is not None and file.space not in CONSECUTIVE for file in files):
        warehouse.find_silences(stream, day, run_id)
    return loaded, went, why_not


def _archived(table: str, day: date, proof: "Proof") -> dg.AssetMaterialization:
    """The archive's own asset has that day by now."""
    [asset] = [group.name for group in ARCHIVED_GROUPS.values() if any(archived.name == table for archived in group.tables)]
    rows, size = proof.digest.rows, proof.size_bytes
    metadata = {
        "dagster/partition_row_count": rows,
        "bytes": size,
        "bytes_per_row": round(size / rows, 3) if rows else 0,
        "written": [table],
        "snapshots": dg.MetadataValue.json({table: str(proof.snapshot_id)}),
        "content": dg.MetadataValue.json({table: proof.digest.content}),
    }
    return dg.AssetMaterialization(asset, partition=day.isoformat(), metadata=metadata)


def _added(results: "list[RuleResult]", seen: "Sequence[RuleResult]") -> "list[RuleResult]":
    """What was found in the database, with what was seen of the rows that went past it."""
    more = {result.rule: result for result in seen}
    return [
        replace(result, broken=result.broken + more[result.rule].broken, looked_at=result.looked_at + more[result.rule].looked_at)
        if result.rule in more
        else result
        for result in results
    ]


def _metadata(warehouse: Warehouse, stream: str, day: date, loaded: "DayLoaded | None", files: "Sequence[StagedFile]") -> dict[str, Any]:
    held = warehouse.held(stream, day)
    metadata: dict[str, Any] = {
        "dagster/partition_row_count": held.rows,
        "instruments": held.instruments,
        "missing_instruments": list(held.missing),
        "files": len(files),
    }
    if loaded is not None:
        taken = loaded.files
        metadata |= {
            "rows_read": sum(file.rows_read for file in taken),
            "rows_stored": loaded.rows_stored,
            "rows_revised": sum(file.rows_revised for file in taken),
            "duplicates": sum(file.duplicates for file in taken),
            "quarantined": sum(file.quarantined for file in taken),
            "refused_files": [file.refused for file in taken if file.refused],
            "seconds": round(loaded.seconds, 3),
        }
    return metadata
