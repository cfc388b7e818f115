"""The assets bars_1m, bars_5m, bars_1h and bars_1d: the same columns, each made from the one before."""

from datetime import date
from typing import Any, Final

import dagster as dg
from pydantic import Field

from rrr_assets.contracts.bars import BARS, INTERVALS, Engine
from rrr_assets.resources.partitions import DAYS, days_of
from rrr_assets.resources.reporting import DayReports, check_specs, column_lineage, contract_metadata, failures_told
from rrr_assets.resources.warehouse import Warehouse

SOURCES: Final = {"1m": "raw_trades", "5m": "bars_1m", "1h": "bars_5m", "1d": "bars_1h"}


class RefreshConfig(dg.Config):
    """What of the days is refreshed."""

    whole_days: bool = Field(
        default=True, description="Recompute the days whole; otherwise only what the invalidation log says has changed."
    )
    instruments: list[str] = Field(default_factory=list, description="Only these instruments, as venue:SYMBOL; empty for all.")
    engine: Engine = Field(
        default=Engine.auto,
        description="What computes 1-minute bars of whole days: `columnar` from the rows that were taken in, where they are still staged "
        "as they are stored; `sql` in the database; `auto` chooses by the number of trades. The bars are the same.",
    )


def bars_asset(interval: str) -> dg.AssetsDefinition:
    """The asset of one interval."""
    table = BARS[interval]
    source = SOURCES[interval]

    @dg.asset(
        name=table.name,
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[source, "raw_agg_trades"] if interval == "1m" else [source],
        group_name="bars",
        kinds={"postgres", "sql"},
        owners=[table.owner],
        tags={"exact": "yes", "tier": "hot"},
        description=table.description,
        metadata=contract_metadata(table) | _lineage(interval),
        code_version="1",
        pool="bars",
        check_specs=check_specs(
            table.name,
            f"Bounds, grid and vwap hold, and the sums equal those of {source}.",
            "Every bar is complete: the tape spans it and nothing inside is missing.",
        ),
    )
    def refresh(context: dg.AssetExecutionContext, config: RefreshConfig, warehouse: Warehouse) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
        days = days_of(context)
        reports = DayReports(context)
        chosen = config.instruments or None
        with failures_told(context, days, reports):
            for done in warehouse.refresh_bars(interval, days, whole_days=config.whole_days, instruments=chosen, engine=config.engine):
                metadata: dict[str, Any] = {"dagster/partition_row_count": done.bars, "changed": done.changed, "windows": done.windows}
                if interval == "1m":
                    metadata["windows_columnar"] = done.windows_columnar
                    warehouse.forget_staged([done.day])
                if done.day == days[-1] and (done.changed or config.whole_days):
                    metadata |= _picture(warehouse, interval, done.day)
                reports.tell(done.day, metadata, warehouse.check(table.name, done.day))
        return reports.result()

    return refresh


def _picture(warehouse: Warehouse, interval: str, day: date) -> dict[str, Any]:
    """A small candlestick picture of the busiest instrument; only of a run's last day, because drawing takes a moment."""
    import base64

    from rrr_assets.charts import candles_png

    found = warehouse.busiest_bars(interval, day)
    if found is None:
        return {}
    name, bars = found
    picture = base64.b64encode(candles_png(bars, f"{name} {interval}, {day}", INTERVALS[interval], small=True)).decode()
    return {"candles": dg.MetadataValue.md(f"![{name} {interval} candles of {day}](data:image/png;base64,{picture})")}


def _lineage(interval: str) -> dict[str, Any]:
    """Which columns of its source each column of a bar is made from."""
    if interval == "1m":
        # Of the ticks that the instrument declares: an aggregated trade has the same columns, and counts the trades in it.
        sources = ["raw_trades", "raw_agg_trades"]
        made_from = {
            "instrument": ["instrument"],
            "bar_start": ["event_time"],
            "open": ["price", "event_time", "sequence"],
            "high": ["price"],
            "low": ["price"],
            "close": ["price", "event_time", "sequence"],
            "volume": ["size"],
            "quote_volume": ["price", "size"],
            "vwap": ["price", "size"],
            "taker_buy_volume": ["size", "side"],
            "taker_buy_quote_volume": ["price", "size", "side"],
            "first_sequence": ["sequence", "event_time"],
            "last_sequence": ["sequence", "event_time"],
        }
    else:
        sources = [SOURCES[interval]]
        summed = (
            "instrument",
            "bar_start",
            "high",
            "low",
            "volume",
            "quote_volume",
            "trade_count",
            "taker_buy_volume",
            "taker_buy_quote_volume",
        )
        made_from = {name: [name] for name in summed}
        made_from |= {name: [name, "bar_start"] for name in ("open", "close", "first_sequence", "last_sequence")}
        made_from["vwap"] = ["quote_volume", "volume"]
    lineage = {name: [(source, column) for source in sources for column in columns] for name, columns in made_from.items()}
    if interval == "1m":
        lineage["trade_count"] = [("raw_trades", "sequence"), *(("raw_agg_trades", f"{end}_trade_id") for end in ("first", "last"))]
    return column_lineage(lineage)
