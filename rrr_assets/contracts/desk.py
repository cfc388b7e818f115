"""The contracts of the trading desk's own tables: sentiment, orders, positions, portfolio, signals, models, events.

Belongs here: the one form of those legacy tables that are neither ticks nor bars. Does not: ticks (ticks), bars (bars), the
platform's books (ledgers). Which legacy column became which, and why: docs/legacy-mapping.md.
A row's knowledge is one stamp, `known_at`; a table that keeps the current state (orders, positions) moves it with every change.
"""

from typing import Final

from rrr_assets.contracts.base import NOT_NEGATIVE, ORDERS_RETENTION, POSITIVE, SENTIMENT_RETENTION, SHARE, Column, Range, Table, Type
from rrr_assets.contracts.ticks import INSTRUMENT, SIDES

SENTIMENT_SOURCES: Final = ("perplexity", "twitter", "reddit")
ORDER_TYPES: Final = ("market", "limit", "stop", "stop_limit")
ORDER_STATUSES: Final = ("pending", "partially_filled", "filled", "cancelled", "rejected")
POSITION_STATUSES: Final = ("open", "closed")
SIGNALS: Final = ("buy", "sell", "hold")
SEVERITIES: Final = ("info", "warning", "error", "critical")

_KNOWN_AT: Final = Column("known_at", Type.TIME, "When the platform could first serve these values.", unit="UTC")
_METADATA: Final = Column("metadata", Type.JSON, "What else was said of it; null where nothing was.", nullable=True)

MARKET_SENTIMENT: Final = Table(
    name="market_sentiment",
    description="What a source felt about an asset at a time, as it was scored.",
    columns=(
        Column("sentiment_id", Type.BIGINT, "The row's number."),
        Column("asset", Type.TEXT, "The asset it is about, as in BTC."),
        Column("event_time", Type.TIME, "When it was said, or when the source summed it up.", unit="UTC"),
        Column("source", Type.TEXT, "Where it comes from.", accepted=SENTIMENT_SOURCES),
        Column("sentiment_label", Type.TEXT, "The score in a word; null where the source gives none.", nullable=True),
        Column(
            "sentiment_score",
            Type.NUMBER,
            "From -1, against, to 1, in favour; null where the source gives none.",
            nullable=True,
            range=Range(-1, 1),
        ),
        Column(
            "confidence", Type.NUMBER, "Confidence in the score, from 0 to 1; null where the source gives none.", nullable=True, range=SHARE
        ),
        Column("text", Type.TEXT, "What was scored; null where it was not kept.", nullable=True),
        _METADATA,
        _KNOWN_AT,
    ),
    key=("sentiment_id",),
    owner="team:market-data",
    retention=SENTIMENT_RETENTION,
    time_column="event_time",
)

ORDERS: Final = Table(
    name="orders",
    description="Every order of the desk in its current state, one row each.",
    columns=(
        Column("order_id", Type.TEXT, "The desk's own name of the order, unique over all venues."),
        INSTRUMENT,
        Column("event_time", Type.TIME, "When the order was submitted.", unit="UTC"),
        Column("side", Type.TEXT, "Whether the desk buys or sells.", accepted=SIDES),
        Column("order_type", Type.TEXT, "How it is to be executed.", accepted=ORDER_TYPES),
        Column("quantity", Type.SIZE, "Quantity ordered.", unit="base asset or contracts", range=POSITIVE),
        Column("price", Type.PRICE, "Limit price; null for an order without one.", nullable=True, unit="quote asset"),
        Column("stop_price", Type.PRICE, "Price that triggers it; null for an order without one.", nullable=True, unit="quote asset"),
        Column("status", Type.TEXT, "How far it has come.", accepted=ORDER_STATUSES),
        Column("filled_quantity", Type.SIZE, "Quantity executed so far.", unit="base asset or contracts", range=NOT_NEGATIVE),
        Column(
            "average_fill_price",
            Type.PRICE,
            "Mean price of the fills, weighted by quantity; null before one.",
            nullable=True,
            unit="quote asset",
        ),
        Column("commission", Type.NOTIONAL, "Fees charged so far; null where not said.", nullable=True, unit="commission_asset"),
        Column("commission_asset", Type.TEXT, "Asset the fees were charged in; null where not said.", nullable=True),
        Column("filled_at", Type.TIME, "When it was filled whole; null where it was not.", nullable=True, unit="UTC"),
        Column("cancelled_at", Type.TIME, "When it was cancelled; null where it was not.", nullable=True, unit="UTC"),
        _METADATA,
        _KNOWN_AT,
    ),
    key=("order_id",),
    owner="team:trading",
    retention=ORDERS_RETENTION,
    time_column="event_time",
)

POSITIONS: Final = Table(
    name="positions",
    description="Every position the desk has held, in its current state. At most one is open per instrument, and so per venue.",
    columns=(
        Column("position_id", Type.BIGINT, "The position's number."),
        INSTRUMENT,
        Column("event_time", Type.TIME, "When the position was opened.", unit="UTC"),
        Column("status", Type.TEXT, "Whether it is still held.", accepted=POSITION_STATUSES),
        Column("quantity", Type.SIZE, "Quantity held, or last held when closed; negative when short.", unit="base asset or contracts"),
        Column("average_entry_price", Type.PRICE, "Mean price of entry, weighted by quantity.", unit="quote asset"),
        Column("current_price", Type.PRICE, "Price it is valued at; null before it was valued.", nullable=True, unit="quote asset"),
        Column(
            "unrealized_pnl",
            Type.NOTIONAL,
            "Profit if it were closed at current_price; null before it was valued.",
            nullable=True,
            unit="quote asset",
        ),
        Column("realized_pnl", Type.NOTIONAL, "Profit of what was closed so far.", unit="quote asset"),
        Column("closed_at", Type.TIME, "When the position was closed; null while it is open.", nullable=True, unit="UTC"),
        _KNOWN_AT,
    ),
    key=("position_id",),
    owner="team:trading",
    time_column="event_time",
)

PORTFOLIO_SNAPSHOTS: Final = Table(
    name="portfolio_snapshots",
    description="What the desk's portfolio was worth at a time. A valuation made again is a new row: the latest known_at counts.",
    columns=(
        Column("snapshot_id", Type.BIGINT, "The row's number."),
        Column("event_time", Type.TIME, "The time it is valued at.", unit="UTC"),
        Column("total_value", Type.NOTIONAL, "Cash and positions together.", unit="reporting currency"),
        Column("cash_balance", Type.NOTIONAL, "Cash.", unit="reporting currency"),
        Column("positions_value", Type.NOTIONAL, "Value of the open positions.", unit="reporting currency"),
        Column(
            "daily_pnl",
            Type.NOTIONAL,
            "Profit since the start of the UTC day; null where not computed.",
            nullable=True,
            unit="reporting currency",
        ),
        Column(
            "total_pnl", Type.NOTIONAL, "Profit since the beginning; null where not computed.", nullable=True, unit="reporting currency"
        ),
        _METADATA,
        _KNOWN_AT,
    ),
    key=("snapshot_id",),
    owner="team:trading",
    time_column="event_time",
)

TRADING_SIGNALS: Final = Table(
    name="trading_signals",
    description="Every signal that was raised on an instrument, whether it was acted on or not.",
    columns=(
        Column("signal_id", Type.BIGINT, "The row's number."),
        INSTRUMENT,
        Column("event_time", Type.TIME, "When the signal was raised.", unit="UTC"),
        Column("signal_type", Type.TEXT, "What raised it: the strategy or the indicator."),
        Column("signal", Type.TEXT, "What it says to do.", accepted=SIGNALS),
        Column("confidence", Type.NUMBER, "Confidence in it, from 0 to 1; null where none was given.", nullable=True, range=SHARE),
        Column("price_target", Type.PRICE, "Price to take profit at; null where none was given.", nullable=True, unit="quote asset"),
        Column("stop_loss", Type.PRICE, "Price to give up at; null where none was given.", nullable=True, unit="quote asset"),
        _METADATA,
        _KNOWN_AT,
    ),
    key=("signal_id",),
    owner="team:trading",
    time_column="event_time",
)

ML_MODELS: Final = Table(
    name="ml_models",
    description="Every version of every model: how it was made, how well it did, whether it is in use.",
    columns=(
        Column("model_name", Type.TEXT, "What the model is called."),
        Column("model_version", Type.TEXT, "Which version of it."),
        Column("model_type", Type.TEXT, "The family it is of."),
        Column("architecture", Type.JSON, "How it is built; null where not said.", nullable=True),
        Column("hyperparameters", Type.JSON, "What it was trained with; null where not said.", nullable=True),
        Column("training_metrics", Type.JSON, "How it did on what it was trained on; null where not measured.", nullable=True),
        Column("validation_metrics", Type.JSON, "How it did on what was held back; null where not measured.", nullable=True),
        Column("is_deployed", Type.BOOLEAN, "Whether it is in use."),
        Column("deployed_at", Type.TIME, "When it was last put to use; null where it never was.", nullable=True, unit="UTC"),
        _KNOWN_AT,
    ),
    key=("model_name", "model_version"),
    owner="team:ml",
)

MODEL_PREDICTIONS: Final = Table(
    name="model_predictions",
    description="Every prediction of a model, and what came of it once that is known.",
    columns=(
        Column("prediction_id", Type.BIGINT, "The row's number."),
        Column("model_name", Type.TEXT, "The model in ml_models that made it."),
        Column("model_version", Type.TEXT, "The version in ml_models that made it."),
        INSTRUMENT,
        Column("event_time", Type.TIME, "The time as of which it was made.", unit="UTC"),
        Column("prediction_type", Type.TEXT, "What is predicted; it says the unit of the values."),
        Column("predicted_value", Type.NUMBER, "What the model said."),
        Column("actual_value", Type.NUMBER, "What came; null while it is not known.", nullable=True),
        Column("error", Type.NUMBER, "How far off the model was, by its own measure; null while it is not known.", nullable=True),
        Column(
            "actual_known_at",
            Type.TIME,
            "When actual_value and error could first be served; null while unknown.",
            nullable=True,
            unit="UTC",
        ),
        _METADATA,
        Column("known_at", Type.TIME, "When the platform could first serve the prediction.", unit="UTC"),
    ),
    key=("prediction_id",),
    owner="team:ml",
    time_column="event_time",
)

SYSTEM_EVENTS: Final = Table(
    name="system_events",
    description="What happened in the components of the desk, for the people who run it.",
    columns=(
        Column("event_id", Type.BIGINT, "The row's number."),
        Column("event_time", Type.TIME, "When it happened.", unit="UTC"),
        Column("event_type", Type.TEXT, "What kind of event it is."),
        Column("severity", Type.TEXT, "How bad it is.", accepted=SEVERITIES),
        Column("component", Type.TEXT, "Where it happened; null where not said.", nullable=True),
        Column("message", Type.TEXT, "What happened, as a sentence."),
        _METADATA,
        _KNOWN_AT,
    ),
    key=("event_id",),
    owner="team:platform",
    time_column="event_time",
)

API_USAGE: Final = Table(
    name="api_usage",
    description="Calls of other people's interfaces, and how they went.",
    columns=(
        Column("usage_id", Type.BIGINT, "The row's number."),
        Column("event_time", Type.TIME, "When it was called.", unit="UTC"),
        Column("api_name", Type.TEXT, "Whose interface."),
        Column("endpoint", Type.TEXT, "Which part of it; null where not said.", nullable=True),
        Column("request_count", Type.BIGINT, "Calls that this row stands for.", unit="calls", range=NOT_NEGATIVE),
        Column(
            "response_time_ms", Type.NUMBER, "How long the answer took; null where none came.", nullable=True, unit="ms", range=NOT_NEGATIVE
        ),
        Column("status_code", Type.SMALLINT, "The answer's HTTP status; null where none came.", nullable=True, range=Range(100, 599)),
        Column("error_message", Type.TEXT, "What went wrong; null where nothing did.", nullable=True),
        _KNOWN_AT,
    ),
    key=("usage_id",),
    owner="team:platform",
    time_column="event_time",
)

DESK_TABLES: Final[tuple[Table, ...]] = (
    MARKET_SENTIMENT,
    ORDERS,
    POSITIONS,
    PORTFOLIO_SNAPSHOTS,
    TRADING_SIGNALS,
    ML_MODELS,
    MODEL_PREDICTIONS,
    SYSTEM_EVENTS,
    API_USAGE,
)
