"""The assets bars_tick, bars_volume and bars_dollar: the same columns, each from the trades, by the rules in bar_rules."""

from typing import Any

import dagster as dg
from pydantic import Field

from rrr_assets.contracts.information_bars import INFORMATION_BARS
from rrr_assets.resources.partitions import DAYS, days_of
from rrr_assets.resources.reporting import DayReports, check_specs, column_lineage, contract_metadata, failures_told
from rrr_assets.resources.warehouse import Warehouse


class CutConfig(dg.Config):
    """What of the days is cut into bars."""

    whole_days: bool = Field(
        default=True, description="Cut the days of all instruments; otherwise only where trades or rules changed by the invalidation log."
    )
    instruments: list[str] = Field(default_factory=list, description="Only these instruments, as venue:SYMBOL; empty for all.")


def information_bars_asset(kind: str) -> dg.AssetsDefinition:
    """The asset of one kind."""
    table = INFORMATION_BARS[kind]

    @dg.asset(
        name=table.name,
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=["raw_trades", "raw_agg_trades"],
        group_name="bars",
        kinds={"postgres", "sql"},
        owners=[table.owner],
        tags={"exact": "yes", "tier": "hot"},
        description=table.description,
        metadata=contract_metadata(table) | _lineage(kind),
        code_version="1",
        pool="bars",
        check_specs=check_specs(
            table.name,
            "Bounds, vwap, order and numbers hold, full bars reach their threshold, and the sums equal those of the trades that count.",
            "Every bar is complete: nothing is missing from the tape from midnight to its end.",
        ),
    )
    def refresh(context: dg.AssetExecutionContext, config: CutConfig, warehouse: Warehouse) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
        from rrr_assets.lake.restoring import bringing_back
        from rrr_assets.warehouse.information_bars import check_day, refresh_information_bars

        days = days_of(context)
        reports = DayReports(context)
        database = warehouse.database()
        chosen = config.instruments or None
        with failures_told(context, days, reports):
            for done in refresh_information_bars(
                database, kind, days, whole_days=config.whole_days, instruments=chosen, bring_back=bringing_back(database)
            ):
                metadata = {"dagster/partition_row_count": done.bars, "changed": done.changed, "instruments_refreshed": done.windows}
                reports.tell(done.day, metadata, check_day(warehouse.database(), kind, done.day))
        return reports.result()

    return refresh


def _lineage(kind: str) -> dict[str, Any]:
    """Which columns of the trades each column of a bar is made from: where it is cut hangs on their order and on what is counted."""
    order = ["event_time", "sequence"]
    cut = {"tick": order, "volume": [*order, "size"], "dollar": [*order, "price", "size"]}[kind]
    made_from = {
        "instrument": ["instrument"],
        "day": ["event_time"],
        "bar_index": cut,
        "bar_start": cut,
        "bar_end": cut,
        "open": ["price"],
        "high": ["price"],
        "low": ["price"],
        "close": ["price"],
        "volume": ["size"],
        "quote_volume": ["price", "size"],
        "vwap": ["price", "size"],
        "trade_count": ["sequence"],
        "taker_buy_volume": ["size", "side"],
        "taker_buy_quote_volume": ["price", "size", "side"],
        "first_sequence": ["sequence"],
        "last_sequence": ["sequence"],
        "is_full": cut,
    }
    values = {name: [*columns, *(column for column in cut if column not in columns)] for name, columns in made_from.items()}
    values |= {name: made_from[name] for name in ("instrument", "day")}
    return column_lineage({name: [("raw_trades", column) for column in columns] for name, columns in values.items()})
