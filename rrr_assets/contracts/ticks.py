"""The contracts of what venues sent: trades, what replaced them, and the venues' own bars."""

from typing import Final

from rrr_assets.contracts.base import BARS_RETENTION, TRADES_RETENTION, Column, Table, Type

SPACES: Final = ("trade_id", "aggregate_id", "ordinal")
SIDES: Final = ("buy", "sell")
BASES: Final = ("observed", "modelled")
TIME_SOURCES: Final = ("venue", "local")
REVISION_KINDS: Final = ("finer_time", "correction", "cancellation", "undo")

INSTRUMENT: Final = Column("instrument", Type.TEXT, "Venue and symbol, as in binance:BTCUSDT.")

_TRADE: Final = (
    INSTRUMENT,
    Column(
        "space",
        Type.TEXT,
        "Which identity `sequence` is: the venue's trade id, its aggregate id, or the order in the source.",
        accepted=SPACES,
    ),
    Column("sequence", Type.BIGINT, "The venue's id; in space `ordinal`, microseconds * 4096 + ordinal among equal times."),
    Column("event_time", Type.TIME, "When the venue matched the trade.", unit="UTC"),
    Column(
        "event_time_ns",
        Type.BIGINT,
        "The venue's own time where it is finer than a microsecond.",
        nullable=True,
        unit="ns since 1970-01-01 UTC",
    ),
    Column("time_source", Type.TEXT, "Whose clock event_time is.", accepted=TIME_SOURCES),
    Column("price", Type.PRICE, "Price of one unit of size, exact.", unit="quote asset"),
    Column("size", Type.SIZE, "Quantity, exact; contracts on inverse futures.", unit="base asset or contracts"),
    Column("side", Type.TEXT, "Aggressor: who took liquidity. Null where the venue does not say.", nullable=True, accepted=SIDES),
    Column("conditions", Type.TEXTS, "The venue's own remarks on the trade, sorted; null where there are none.", nullable=True),
    Column("received_at", Type.TIME, "When the recording machine had it, by that machine's clock.", nullable=True, unit="UTC"),
    Column(
        "available_at",
        Type.TIME,
        "When it could be used: received_at plus the batch's clock offset, else event_time plus publication delay.",
        unit="UTC",
    ),
    Column("available_basis", Type.TEXT, "Whether available_at was observed or modelled.", accepted=BASES),
    Column("known_at", Type.TIME, "When the platform could first serve it: one stamp per batch.", unit="UTC"),
    Column("batch_id", Type.BIGINT, "The batch in ingest_batches that brought it."),
)

RAW_TRADES: Final = Table(
    name="raw_trades",
    description="Every trade as the venue reported it, once. Current rows only: what was replaced is in trade_revisions.",
    columns=_TRADE,
    key=("instrument", "space", "sequence", "event_time"),
    owner="team:market-data",
    retention=TRADES_RETENTION,
    time_column="event_time",
)

TRADE_REVISIONS: Final = Table(
    name="trade_revisions",
    description="Trades as they were believed before something replaced or cancelled them, with the interval in which they were believed.",
    columns=(
        Column("revision_id", Type.BIGINT, "Order of the revisions."),
        *_TRADE,
        Column("kind", Type.TEXT, "What ended the belief.", accepted=REVISION_KINDS),
        Column("believed_until", Type.TIME, "known_at of what replaced it; it was believed from its own known_at until then.", unit="UTC"),
        Column("ended_by_batch_id", Type.BIGINT, "The batch that replaced or cancelled it."),
    ),
    key=("revision_id",),
    owner="team:market-data",
    retention=TRADES_RETENTION,
    time_column="event_time",
)

VENUE_BARS: Final = Table(
    name="venue_bars",
    description="The venues' own candles, as published: the witness that our bars are compared with.",
    columns=(
        INSTRUMENT,
        Column("interval", Type.TEXT, "Length of the bar, as in 1m, 15m, 1h, 1d."),
        Column("bar_start", Type.TIME, "Start of the bar, inclusive.", unit="UTC"),
        Column("open", Type.PRICE, "As published.", unit="quote asset"),
        Column("high", Type.PRICE, "As published.", unit="quote asset"),
        Column("low", Type.PRICE, "As published.", unit="quote asset"),
        Column("close", Type.PRICE, "As published.", unit="quote asset"),
        Column("volume", Type.SIZE, "As published; contracts on inverse futures.", unit="base asset or contracts"),
        Column("quote_volume", Type.NOTIONAL, "As published; null where the venue gives none.", nullable=True, unit="quote asset"),
        Column("vwap", Type.PRICE, "As published; null where the venue gives none.", nullable=True, unit="quote asset"),
        Column("trade_count", Type.BIGINT, "As published; null where the venue gives none.", nullable=True, unit="trades"),
        Column(
            "taker_buy_volume", Type.SIZE, "As published; null where the venue gives none.", nullable=True, unit="base asset or contracts"
        ),
        Column(
            "taker_buy_quote_volume", Type.NOTIONAL, "As published; null where the venue gives none.", nullable=True, unit="quote asset"
        ),
        Column("is_closed", Type.BOOLEAN, "False where the venue's bar was captured before it closed."),
        Column("known_at", Type.TIME, "When the platform could first serve these values.", unit="UTC"),
        Column("batch_id", Type.BIGINT, "The batch in ingest_batches that brought it."),
    ),
    key=("instrument", "interval", "bar_start"),
    owner="team:market-data",
    retention=BARS_RETENTION,
    time_column="bar_start",
)
