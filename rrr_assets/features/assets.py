"""The assets tick_minutes and features_1m."""

from typing import Any

import dagster as dg
from pydantic import Field

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.declare import BAR_INPUTS, TICK_INPUTS
from rrr_assets.contracts.features import FEATURES_1M, TICK_MINUTES
from rrr_assets.resources.partitions import DAYS, days_of
from rrr_assets.resources.reporting import DayReports, check_specs, column_lineage, contract_metadata, failures_told
from rrr_assets.resources.warehouse import Warehouse


class FeaturesConfig(dg.Config):
    """What of the days is made."""

    whole_days: bool = Field(default=True, description="Make the days whole; otherwise only what the invalidation log says has changed.")
    instruments: list[str] = Field(default_factory=list, description="Only these instruments, as venue:SYMBOL; empty for all.")


def _tick_lineage() -> dict[str, Any]:
    """Which columns of ticks each column of a minute is made from."""
    bid_ask = [("raw_quotes", name) for name in ("event_time", "bid_price", "ask_price")]
    sizes = [("raw_quotes", name) for name in ("bid_size", "ask_size")]
    ticks = ("raw_trades", "raw_agg_trades")
    every = (*ticks, "raw_quotes")
    return column_lineage(
        {
            "instrument": [(table, "instrument") for table in every],
            "bar_start": [(table, "event_time") for table in every],
            "available_at": [(table, "available_at") for table in every],
            "available_basis": [(table, "available_basis") for table in every],
            "quote_count": [("raw_quotes", "event_time")],
            "quoted_spread_bps": bid_ask,
            "effective_spread_bps": [*bid_ask, *((table, name) for table in ticks for name in ("event_time", "price", "size"))],
            "depth_imbalance_close": [*bid_ask, *sizes],
            "book_flow": [*bid_ask, *sizes],
            "book_depth": [*bid_ask, *sizes],
        }
    )


def _feature_lineage() -> dict[str, Any]:
    """Which columns of bars and of minutes of ticks each feature is made from, as its definition says."""
    table_of = dict.fromkeys(BAR_INPUTS, "bars_1m") | dict.fromkeys(TICK_INPUTS, TICK_MINUTES.name)
    lineage = {
        name: [(table_of.get(column, "bars_1m"), column if column in table_of else "bar_start") for column in feature.columns]
        for name, feature in FEATURES.items()
    }
    usable = [(TICK_MINUTES.name, name) for name in ("available_at", "available_basis")]
    return column_lineage(
        {
            "instrument": [("bars_1m", "instrument"), (TICK_MINUTES.name, "instrument")],
            "event_time": [("bars_1m", "bar_start"), (TICK_MINUTES.name, "bar_start")],
            "available_at": usable[:1],
            "available_basis": usable,
            **lineage,
        }
    )


@dg.asset(
    name=TICK_MINUTES.name,
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["raw_trades", "raw_agg_trades", "raw_quotes"],
    group_name="features",
    kinds={"postgres", "polars"},
    owners=[TICK_MINUTES.owner],
    tags={"exact": "no", "tier": "hot"},
    description=TICK_MINUTES.description,
    metadata=contract_metadata(TICK_MINUTES) | _tick_lineage(),
    code_version="1",
    pool="bars",
    check_specs=check_specs(
        TICK_MINUTES.name,
        "Keys, ranges and times hold.",
        "Every minute with a bar has its row.",
    ),
)
def tick_minutes(context: dg.AssetExecutionContext, config: FeaturesConfig, warehouse: Warehouse) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
    """Minutes of trades and quotes."""
    from rrr_assets.lake.feature_ticks import TieredTicks
    from rrr_assets.lake.restoring import bringing_back
    from rrr_assets.warehouse.features import refresh_tick_minutes

    days = days_of(context)
    reports = DayReports(context)
    database = warehouse.database()
    chosen = config.instruments or None
    with failures_told(context, days, reports):
        back = bringing_back(database, context.run_id)
        for done in refresh_tick_minutes(
            database, days, TieredTicks(database), whole_days=config.whole_days, instruments=chosen, bring_back=back
        ):
            metadata = {"dagster/partition_row_count": done.rows, "changed": done.changed, "windows": done.windows}
            reports.tell(done.day, metadata, warehouse.check(TICK_MINUTES.name, done.day))
    return reports.result()


@dg.asset(
    name=FEATURES_1M.name,
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["bars_1m", tick_minutes],
    group_name="features",
    kinds={"postgres", "polars"},
    owners=[FEATURES_1M.owner],
    tags={"exact": "no", "tier": "hot"},
    description=FEATURES_1M.description,
    metadata=contract_metadata(FEATURES_1M) | _feature_lineage(),
    code_version=".".join(str(feature.version) for feature in FEATURES.values()),
    pool="bars",
    check_specs=check_specs(
        FEATURES_1M.name,
        "Keys, ranges and times hold.",
        "Every minute with a bar has its row.",
    ),
)
def features_1m(context: dg.AssetExecutionContext, config: FeaturesConfig, warehouse: Warehouse) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
    """Every declared feature."""
    from rrr_assets.lake.feature_ticks import ArchivedRows
    from rrr_assets.lake.restoring import bringing_back
    from rrr_assets.warehouse.features import refresh_features

    days = days_of(context)
    reports = DayReports(context)
    database = warehouse.database()
    chosen = config.instruments or None
    with failures_told(context, days, reports):
        back = bringing_back(database, context.run_id)
        for done in refresh_features(
            database, days, whole_days=config.whole_days, instruments=chosen, archive=ArchivedRows(database), bring_back=back
        ):
            metadata = {"dagster/partition_row_count": done.rows, "changed": done.changed, "windows": done.windows}
            reports.tell(done.day, metadata, warehouse.check(FEATURES_1M.name, done.day))
    return reports.result()


FEATURE_ASSETS = [tick_minutes, features_1m]
