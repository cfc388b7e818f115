"""The contracts of our bars, at four intervals with the same columns."""

from datetime import timedelta
from enum import StrEnum
from typing import Final

from rrr_assets.contracts.base import AT_LEAST_ONE, BARS_RETENTION, NOT_NEGATIVE, POSITIVE, Column, Table, Type
from rrr_assets.contracts.ticks import BOUNDS, INSTRUMENT, NEXT_DAY

INTERVALS: Final = {"1m": timedelta(minutes=1), "5m": timedelta(minutes=5), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
"""Each interval's bars are made from those of the one before it, the first from trades."""


class Engine(StrEnum):
    """What computes 1-minute bars: the columnar engine, from rows that were just taken in, or the database. The bars are the same."""

    auto = "auto"
    columnar = "columnar"
    sql = "sql"


_COLUMNS: Final = (
    INSTRUMENT,
    Column("bar_start", Type.TIME, "Start of the bar, inclusive; its end is excluded.", unit="UTC"),
    Column("open", Type.PRICE, "Price of the first trade by (event_time, sequence).", unit="quote asset", range=POSITIVE),
    Column("high", Type.PRICE, "Highest price.", unit="quote asset", range=POSITIVE),
    Column("low", Type.PRICE, "Lowest price.", unit="quote asset", range=POSITIVE),
    Column("close", Type.PRICE, "Price of the last trade by (event_time, sequence).", unit="quote asset", range=POSITIVE),
    Column("volume", Type.VOLUME, "Exact sum of sizes.", unit="base asset or contracts", range=NOT_NEGATIVE),
    Column("quote_volume", Type.NOTIONAL, "Exact sum of price * size.", unit="quote asset", range=NOT_NEGATIVE),
    Column(
        "vwap",
        Type.PRICE,
        "quote_volume / volume to 12 decimals, half away from zero; null when volume is 0.",
        nullable=True,
        unit="quote asset",
        range=POSITIVE,
    ),
    Column("trade_count", Type.BIGINT, "Number of trades.", unit="trades", range=AT_LEAST_ONE),
    Column(
        "taker_buy_volume", Type.VOLUME, "Exact sum of sizes bought by the aggressor.", unit="base asset or contracts", range=NOT_NEGATIVE
    ),
    Column(
        "taker_buy_quote_volume",
        Type.NOTIONAL,
        "Exact sum of price * size bought by the aggressor.",
        unit="quote asset",
        range=NOT_NEGATIVE,
    ),
    Column("first_sequence", Type.BIGINT, "Sequence of the trade that gave open."),
    Column("last_sequence", Type.BIGINT, "Sequence of the trade that gave close."),
    Column("is_complete", Type.BOOLEAN, "The tape spans the whole bar and nothing inside is missing that is not accepted."),
    Column("known_at", Type.TIME, "When the platform could first serve these values.", unit="UTC"),
)


def _bars(interval: str, source: str) -> Table:
    return Table(
        name=f"bars_{interval}",
        description=(
            f"One row per instrument and {interval} interval with trades, made from {source}. Exact; an interval without trades has no row."
        ),
        columns=_COLUMNS,
        key=("instrument", "bar_start"),
        owner="team:market-data",
        retention=BARS_RETENTION,
        time_column="bar_start",
        ordered=BOUNDS,
        promise=NEXT_DAY,
    )


BARS: Final = {
    "1m": _bars("1m", "raw_trades"),
    "5m": _bars("5m", "bars_1m"),
    "1h": _bars("1h", "bars_5m"),
    "1d": _bars("1d", "bars_1h"),
}

BAR_REVISIONS: Final = Table(
    name="bar_revisions",
    description="Bars as they were believed before they were refreshed, with the interval in which they were believed.",
    columns=(
        Column("revision_id", Type.BIGINT, "Order of the revisions."),
        Column("interval", Type.TEXT, "Length of the bar.", accepted=tuple(INTERVALS)),
        *_COLUMNS,
        Column("believed_until", Type.TIME, "known_at of what replaced it; it was believed from its own known_at until then.", unit="UTC"),
    ),
    key=("revision_id",),
    owner="team:market-data",
    retention=BARS_RETENTION,
    time_column="bar_start",
    ordered=(*BOUNDS, ("known_at", "believed_until")),
)
