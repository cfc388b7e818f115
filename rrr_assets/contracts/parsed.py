"""What a parser hands on: the Arrow schemas between venues/ and the loader.

Belongs here: the shape of parsed rows of each stream, and of refused rows. Does not: the tables
they end in (their contracts stand beside this module), how a source is read (venues/).
Prices, sizes and times are exact: decimals, and microseconds since the epoch in UTC.
"""

from datetime import UTC, datetime
from typing import Final

import pyarrow as pa

from rrr_assets.calc.decimals import PRICE, SIZE

UTC_MICROSECONDS: Final = pa.timestamp("us", "UTC")
UNDATED: Final = datetime(2009, 1, 1, tzinfo=UTC)
"""The event_time of a correction that does not say when its trade was."""

TRADES: Final = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),  # 1-based: physical line, or element of a JSON list
        pa.field("instrument", pa.string(), nullable=False),  # venue:SYMBOL
        pa.field("sequence", pa.int64(), nullable=False),  # the venue's id, or microseconds * 4096 + ordinal
        pa.field("event_time", UTC_MICROSECONDS, nullable=False),
        pa.field("event_time_ns", pa.int64()),  # the source's integer where it is finer than a microsecond
        pa.field("price", PRICE, nullable=False),
        pa.field("size", SIZE, nullable=False),
        pa.field("side", pa.string()),  # aggressor: 'buy', 'sell', null where the venue does not say
        pa.field("conditions", pa.list_(pa.string())),  # the venue's own words, sorted; null where there are none
        pa.field("received_at", UTC_MICROSECONDS),  # when the recording machine had it, by that machine's clock
    ]
)

AGG_TRADES: Final = pa.schema(
    [
        *TRADES,
        pa.field("first_trade_id", pa.int64(), nullable=False),
        pa.field("last_trade_id", pa.int64(), nullable=False),
    ]
)

QUOTES: Final = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),
        pa.field("instrument", pa.string(), nullable=False),
        pa.field("sequence", pa.int64(), nullable=False),  # the venue's update id, or microseconds * 4096 + ordinal
        pa.field("event_time", UTC_MICROSECONDS, nullable=False),
        pa.field("event_time_ns", pa.int64()),
        # 'local' where the venue gives no time: event_time is then received_at plus the file's measured clock offset.
        pa.field("time_source", pa.string(), nullable=False),
        pa.field("bid_price", PRICE),  # null where nothing is bid
        pa.field("bid_size", SIZE),  # null with it, or where the venue gives none
        pa.field("ask_price", PRICE),
        pa.field("ask_size", SIZE),
        pa.field("received_at", UTC_MICROSECONDS),
    ]
)

DEPTH: Final = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),
        pa.field("instrument", pa.string(), nullable=False),
        # Twice the last update id, plus one for a snapshot: a delta and a snapshot may end at the same update.
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("event_time", UTC_MICROSECONDS, nullable=False),
        pa.field("event_time_ns", pa.int64()),
        pa.field("time_source", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),  # 'delta' or 'snapshot'
        pa.field("first_update_id", pa.int64()),  # null for a snapshot
        pa.field("last_update_id", pa.int64(), nullable=False),
        pa.field("bids", pa.string(), nullable=False),  # JSON, levels as received: [["42000.10","0.5"],...]
        pa.field("asks", pa.string(), nullable=False),
        pa.field("received_at", UTC_MICROSECONDS),
    ]
)

CORRECTIONS: Final = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),
        pa.field("instrument", pa.string(), nullable=False),
        pa.field("sequence", pa.int64(), nullable=False),  # of the trade that is corrected
        pa.field("event_time", UTC_MICROSECONDS, nullable=False),  # on the day of the trade; UNDATED where not said
        pa.field("action", pa.string(), nullable=False),  # 'replace' or 'cancel'
        pa.field("price", PRICE),  # what replaces the stored value; null leaves it as it is
        pa.field("size", SIZE),
        pa.field("side", pa.string()),
        pa.field("new_event_time", UTC_MICROSECONDS),
        pa.field("reason", pa.string(), nullable=False),
    ]
)

VENUE_BARS: Final = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),
        pa.field("instrument", pa.string(), nullable=False),
        pa.field("interval", pa.string(), nullable=False),  # '1m', '15m', '1h', '1d', ...
        pa.field("bar_start", UTC_MICROSECONDS, nullable=False),
        pa.field("open", PRICE, nullable=False),
        pa.field("high", PRICE, nullable=False),
        pa.field("low", PRICE, nullable=False),
        pa.field("close", PRICE, nullable=False),
        pa.field("volume", SIZE, nullable=False),
        pa.field("quote_volume", SIZE),  # null where the venue gives none
        pa.field("vwap", PRICE),
        pa.field("trade_count", pa.int64()),
        pa.field("taker_buy_volume", SIZE),
        pa.field("taker_buy_quote_volume", SIZE),
        pa.field("is_closed", pa.bool_(), nullable=False),  # false: captured while the bar was still open
    ]
)

REFUSED_ROWS: Final = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # a Reason's value
        pa.field("detail", pa.string(), nullable=False),  # one sentence: what was expected, what was there
        pa.field("raw", pa.string(), nullable=False),  # the raw text, undecodable bytes as \xNN
        pa.field("instrument", pa.string()),  # as far as it was understood
        pa.field("event_time", UTC_MICROSECONDS),
        pa.field("sequence", pa.int64()),
    ]
)

SCHEMAS: Final = {
    "trades": TRADES,
    "agg_trades": AGG_TRADES,
    "quotes": QUOTES,
    "depth": DEPTH,
    "corrections": CORRECTIONS,
    "venue_bars": VENUE_BARS,
}
"""What a parser hands on of each stream."""
