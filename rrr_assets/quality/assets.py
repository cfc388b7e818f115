"""The asset bar_conformance: our bars against the venues' own, over all fields."""

from typing import Any

import dagster as dg
from pydantic import Field

from rrr_assets.contracts.ledgers import BAR_CONFORMANCE
from rrr_assets.resources.partitions import DAYS, days_of
from rrr_assets.resources.reporting import DayReports, check_specs, contract_metadata, failures_told
from rrr_assets.resources.warehouse import Warehouse


class CompareConfig(dg.Config):
    """What of the days is compared."""

    whole_days: bool = Field(
        default=True, description="Judge every instrument of the days again; otherwise only those of which something changed."
    )
    instruments: list[str] = Field(default_factory=list, description="Only these instruments, as venue:SYMBOL; empty for all.")


@dg.asset(
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["bars_1m", "bars_5m", "bars_1h", "bars_1d", "venue_bars"],
    group_name="quality",
    kinds={"postgres", "sql"},
    owners=[BAR_CONFORMANCE.owner],
    tags={"exact": "yes"},
    description=BAR_CONFORMANCE.description,
    metadata=contract_metadata(BAR_CONFORMANCE),
    code_version="1",
    pool="bars",
    check_specs=check_specs(
        "bar_conformance",
        "Every venue bar of our intervals has a verdict.",
        "No bar is unexplained: each is equal, explained by a rule of the venue, or uncovered.",
    ),
)
def bar_conformance(context: dg.AssetExecutionContext, config: CompareConfig, warehouse: Warehouse) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
    """Judge each bar that a venue publishes against ours."""
    days = days_of(context)
    reports = DayReports(context)
    with failures_told(context, days, reports):
        for done in warehouse.compare_days(days, whole_days=config.whole_days, instruments=config.instruments or None):
            metadata: dict[str, Any] = {
                "dagster/partition_row_count": sum(sum(counts.values()) for counts in done.counts.values()),
                **{
                    status: sum(counts[status] for counts in done.counts.values())
                    for status in ("equal", "explained", "uncovered", "unexplained")
                },
                "by_interval": dg.MetadataValue.json(done.counts),
            }
            if done.unexplained:
                metadata["unexplained_bars"] = list(done.unexplained)
            reports.tell(done.day, metadata, warehouse.check("bar_conformance", done.day))
    return reports.result()
