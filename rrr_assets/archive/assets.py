"""The assets of the archive: each a group of tables, by UTC day or by month."""

from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from rrr_assets.calc.outcomes import RuleResult
from rrr_assets.contracts.archive import ARCHIVED_GROUPS, ArchivedGroup
from rrr_assets.contracts.base import Table
from rrr_assets.resources.lake import Lake
from rrr_assets.resources.partitions import DAYS, MONTHS, days_of
from rrr_assets.resources.reporting import DayReports, check_specs, column_lineage, failures_told
from rrr_assets.resources.warehouse import Warehouse

if TYPE_CHECKING:
    from rrr_assets.lake.proving import PartitionArchived

# Revisions are written by what writes the rows: they have no asset of their own.
_OF_ASSETS: Final = frozenset(
    {"raw_trades", "raw_agg_trades", "raw_quotes", "raw_depth", "venue_bars", "bars_1m", "bars_5m", "bars_1h", "bars_1d"}
    | {"bars_tick", "bars_volume", "bars_dollar"}
)


def archived_asset(group: ArchivedGroup) -> dg.AssetsDefinition:
    """The asset of one group."""
    sources = [archived.table for archived in group.tables if archived.name in _OF_ASSETS]

    @dg.asset(
        name=group.name,
        partitions_def=DAYS if group.grain == "day" else MONTHS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[dg.AssetDep(source.name, partition_mapping=dg.TimeWindowPartitionMapping()) for source in sources],
        group_name="archive",
        kinds={"iceberg", "parquet"},
        owners=[group.owner],
        tags={"exact": "yes", "tier": "cold"},
        description=group.description,
        metadata=_lineage(sources),
        code_version="1",
        pool="archive",
        check_specs=check_specs(
            group.name,
            "Each table was read back from the store and found equal to the database: rows, sums, bounds, the hash of all values, bars.",
            "No row of the partition waits in quarantine: what is archived is all that came.",
        ),
    )
    def archive(context: dg.AssetExecutionContext, warehouse: Warehouse, lake: Lake) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
        partitions = days_of(context)
        reports = DayReports(context)
        with failures_told(context, partitions, reports):
            for partition, done, waiting in lake.archive(warehouse.database(), group.tables, partitions, context.run.run_id):
                reports.tell(partition, _metadata(done), _results(done, waiting))
        return reports.result()

    return archive


def _metadata(done: "list[PartitionArchived]") -> dict[str, Any]:
    proofs = {each.relation: each.proof for each in done if each.proof is not None}
    rows, size = (sum(found) for found in zip(*((p.digest.rows, p.size_bytes) for p in proofs.values()), strict=True)) if proofs else (0, 0)
    return {
        "dagster/partition_row_count": rows,
        "bytes": size,
        "bytes_per_row": round(size / rows, 3) if rows else 0,
        "written": [each.relation for each in done if each.is_new],
        "snapshots": dg.MetadataValue.json({name: str(proof.snapshot_id) for name, proof in proofs.items()}),
        "content": dg.MetadataValue.json({name: proof.digest.content for name, proof in proofs.items()}),
    }


def _results(done: "list[PartitionArchived]", waiting: int) -> list[RuleResult]:
    """What was not proven raised before: the first rule says how many rows it was proven of."""
    rows = sum(each.proof.digest.rows for each in done if each.proof is not None)
    return [
        RuleResult("read back and equal, value by value", is_blocking=True, broken=0, looked_at=rows),
        RuleResult("no row of the partition waits in quarantine", is_blocking=False, broken=waiting, looked_at=rows + waiting),
    ]


def _lineage(sources: list[Table]) -> dict[str, Any]:
    """Each column of the archive from the column of its name."""
    columns: dict[str, list[tuple[str, str]]] = {}
    for source in sources:
        for name in source.column_names:
            columns.setdefault(name, []).append((source.name, name))
    return column_lineage(columns)


ARCHIVED_ASSETS: Final = [archived_asset(group) for group in ARCHIVED_GROUPS.values()]
