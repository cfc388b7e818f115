"""The contracts of what venues sent: trades, quotes, depth, what replaced them, and the venues' own bars."""

from typing import Final

from rrr_assets.contracts.base import (
    BARS_RETENTION,
    NOT_NEGATIVE,
    POSITIVE,
    QUOTES_RETENTION,
    TRADES_RETENTION,
    Column,
    Promise,
    Table,
    Type,
)

SPACES: Final = ("trade_id", "exchange_trade_id", "aggregate_id", "ordinal")
QUOTE_SPACES: Final = ("update_id", "ordinal")
DEPTH_MESSAGES: Final = ("delta", "snapshot")
SIDES: Final = ("buy", "sell")
BASES: Final = ("observed", "modelled")
TIME_SOURCES: Final = ("venue", "local")
REVISION_KINDS: Final = ("finer_time", "correction", "cancellation", "undo")

IDENTITY: Final = ("instrument", "space", "sequence")
"""What is there once, whenever it was: the key of these tables has the time too, for they are split by it."""

BOUNDS: Final = (
    ("low", "open"),
    ("low", "close"),
    ("open", "high"),
    ("close", "high"),
    ("taker_buy_volume", "volume"),
    ("taker_buy_quote_volume", "quote_volume"),
)
"""What no bar breaks, the venues' or ours."""

NEXT_DAY: Final = Promise(whole_after_hours=24)
"""The venues' files of a day are published in the day after it."""

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
    Column("price", Type.PRICE, "Price of one unit of size, exact.", unit="quote asset", range=POSITIVE),
    Column("size", Type.SIZE, "Quantity, exact; contracts on inverse futures.", unit="base asset or contracts", range=POSITIVE),
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
    identity=IDENTITY,
    ordered=(("event_time", "available_at"),),
    in_order=("sequence", "event_time"),
    promise=NEXT_DAY,
)

_AGG_TRADE: Final = (
    *_TRADE[:10],
    Column("first_trade_id", Type.BIGINT, "Id of the first trade that is aggregated in it."),
    Column("last_trade_id", Type.BIGINT, "Id of the last one; all between belong to it."),
    *_TRADE[10:],
)

RAW_AGG_TRADES: Final = Table(
    name="raw_agg_trades",
    description="Every aggregated trade as the venue reported it, once: a stream of its own, never added to raw_trades.",
    columns=_AGG_TRADE,
    key=("instrument", "space", "sequence", "event_time"),
    owner="team:market-data",
    retention=TRADES_RETENTION,
    time_column="event_time",
    identity=IDENTITY,
    ordered=(("event_time", "available_at"), ("first_trade_id", "last_trade_id")),
    in_order=("sequence", "event_time"),
    promise=NEXT_DAY,
)

RAW_QUOTES: Final = Table(
    name="raw_quotes",
    description="Every best bid and ask as the venue reported it, once. Current rows only.",
    columns=(
        INSTRUMENT,
        Column(
            "space", Type.TEXT, "Which identity `sequence` is: the venue's update id, or the order in the source.", accepted=QUOTE_SPACES
        ),
        Column("sequence", Type.BIGINT, "The venue's id; in space `ordinal`, microseconds * 4096 + ordinal among equal times."),
        Column("event_time", Type.TIME, "When the quote came to stand at the venue.", unit="UTC"),
        RAW_TRADES.column("event_time_ns"),
        RAW_TRADES.column("time_source"),
        Column("bid_price", Type.PRICE, "Highest price bid; null where nothing is bid.", nullable=True, unit="quote asset", range=POSITIVE),
        Column(
            "bid_size",
            Type.SIZE,
            "Quantity bid at that price; null with it, or where the venue does not say.",
            nullable=True,
            unit="base asset or contracts",
            range=POSITIVE,
        ),
        Column(
            "ask_price", Type.PRICE, "Lowest price asked; null where nothing is asked.", nullable=True, unit="quote asset", range=POSITIVE
        ),
        Column(
            "ask_size",
            Type.SIZE,
            "Quantity asked at that price; null with it, or where the venue does not say.",
            nullable=True,
            unit="base asset or contracts",
            range=POSITIVE,
        ),
        RAW_TRADES.column("received_at"),
        RAW_TRADES.column("available_at"),
        RAW_TRADES.column("available_basis"),
        RAW_TRADES.column("known_at"),
        RAW_TRADES.column("batch_id"),
    ),
    key=("instrument", "space", "sequence", "event_time"),
    owner="team:market-data",
    retention=QUOTES_RETENTION,
    time_column="event_time",
    identity=IDENTITY,
    ordered=(("event_time", "available_at"),),
)

RAW_DEPTH: Final = Table(
    name="raw_depth",
    description="Every change and snapshot of an order book as the venue reported it, once.",
    columns=(
        INSTRUMENT,
        Column("space", Type.TEXT, "Which identity `sequence` is: the venue's update id.", accepted=("update_id",)),
        Column("sequence", Type.BIGINT, "Twice the last update id, plus one for a snapshot: both may end at the same update."),
        Column("event_time", Type.TIME, "When the book had changed so at the venue.", unit="UTC"),
        RAW_TRADES.column("event_time_ns"),
        RAW_TRADES.column("time_source"),
        Column("message", Type.TEXT, "Whether the levels change the book or are all of it.", accepted=DEPTH_MESSAGES),
        Column("first_update_id", Type.BIGINT, "First update in a change; null for a snapshot.", nullable=True),
        Column("last_update_id", Type.BIGINT, "Last update in it."),
        Column("bids", Type.JSON, "Levels bid as received, [price, size] as text; size 0 removes a level."),
        Column("asks", Type.JSON, "Levels asked as received, [price, size] as text; size 0 removes a level."),
        RAW_TRADES.column("received_at"),
        RAW_TRADES.column("available_at"),
        RAW_TRADES.column("available_basis"),
        RAW_TRADES.column("known_at"),
        RAW_TRADES.column("batch_id"),
    ),
    key=("instrument", "space", "sequence", "event_time"),
    owner="team:market-data",
    retention=QUOTES_RETENTION,
    time_column="event_time",
    identity=IDENTITY,
    ordered=(("event_time", "available_at"),),
)


def _revisions(of: Table, name: str, description: str) -> Table:
    """The table that keeps what was believed of another one."""
    return Table(
        name=name,
        description=description,
        columns=(
            Column("revision_id", Type.BIGINT, "Order of the revisions."),
            *of.columns,
            Column("kind", Type.TEXT, "What ended the belief.", accepted=REVISION_KINDS),
            Column(
                "believed_until", Type.TIME, "known_at of what replaced it; it was believed from its own known_at until then.", unit="UTC"
            ),
            Column("ended_by_batch_id", Type.BIGINT, "The batch that replaced or cancelled it."),
            Column("reason", Type.TEXT, "Why, in the words of who corrected or undid it; null where nobody did.", nullable=True),
        ),
        key=("revision_id",),
        owner=of.owner,
        retention=of.retention,
        time_column="event_time",
    )


TRADE_REVISIONS: Final = _revisions(
    RAW_TRADES,
    "trade_revisions",
    "Trades as they were believed before something replaced or cancelled them, with the interval in which they were believed.",
)
AGG_TRADE_REVISIONS: Final = _revisions(
    RAW_AGG_TRADES,
    "agg_trade_revisions",
    "Aggregated trades as they were believed before something replaced them or took them back.",
)
QUOTE_REVISIONS: Final = _revisions(
    RAW_QUOTES, "quote_revisions", "Quotes as they were believed before something replaced them or took them back."
)
DEPTH_REVISIONS: Final = _revisions(
    RAW_DEPTH, "depth_revisions", "Changes and snapshots of order books as they were believed before something took them back."
)

VENUE_BARS: Final = Table(
    name="venue_bars",
    description="The venues' own candles, as published: the witness that our bars are compared with.",
    columns=(
        INSTRUMENT,
        Column("interval", Type.TEXT, "Length of the bar, as in 1m, 15m, 1h, 1d."),
        Column("bar_start", Type.TIME, "Start of the bar, inclusive.", unit="UTC"),
        Column("open", Type.PRICE, "As published.", unit="quote asset", range=POSITIVE),
        Column("high", Type.PRICE, "As published.", unit="quote asset", range=POSITIVE),
        Column("low", Type.PRICE, "As published.", unit="quote asset", range=POSITIVE),
        Column("close", Type.PRICE, "As published.", unit="quote asset", range=POSITIVE),
        Column("volume", Type.SIZE, "As published; contracts on inverse futures.", unit="base asset or contracts", range=NOT_NEGATIVE),
        Column(
            "quote_volume",
            Type.NOTIONAL,
            "As published; null where the venue gives none.",
            nullable=True,
            unit="quote asset",
            range=NOT_NEGATIVE,
        ),
        Column("vwap", Type.PRICE, "As published; null where the venue gives none.", nullable=True, unit="quote asset", range=NOT_NEGATIVE),
        Column(
            "trade_count", Type.BIGINT, "As published; null where the venue gives none.", nullable=True, unit="trades", range=NOT_NEGATIVE
        ),
        Column(
            "taker_buy_volume",
            Type.SIZE,
            "As published; null where the venue gives none.",
            nullable=True,
            unit="base asset or contracts",
            range=NOT_NEGATIVE,
        ),
        Column(
            "taker_buy_quote_volume",
            Type.NOTIONAL,
            "As published; null where the venue gives none.",
            nullable=True,
            unit="quote asset",
            range=NOT_NEGATIVE,
        ),
        Column("is_closed", Type.BOOLEAN, "False where the venue's bar was captured before it closed."),
        Column("known_at", Type.TIME, "When the platform could first serve these values.", unit="UTC"),
        Column("batch_id", Type.BIGINT, "The batch in ingest_batches that brought it."),
    ),
    key=("instrument", "interval", "bar_start"),
    owner="team:market-data",
    retention=BARS_RETENTION,
    time_column="bar_start",
    ordered=BOUNDS,
    promise=NEXT_DAY,
)

TICKS: Final[tuple[Table, ...]] = (
    RAW_TRADES,
    TRADE_REVISIONS,
    RAW_AGG_TRADES,
    AGG_TRADE_REVISIONS,
    RAW_QUOTES,
    QUOTE_REVISIONS,
    RAW_DEPTH,
    DEPTH_REVISIONS,
    VENUE_BARS,
)
