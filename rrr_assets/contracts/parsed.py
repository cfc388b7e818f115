"""What a parser hands on: the Arrow schemas between venues/ and the loader.

Belongs here: the shape of parsed trades, parsed venue bars and refused rows. Does not: the tables
they end in (their contracts stand beside this module), how a source is read (venues/).
Prices, sizes and times are exact: decimals, and microseconds since the epoch in UTC.
"""

from typing import Final

import pyarrow as pa

from rrr_assets.calc.numbers import PRICE, SIZE

UTC_MICROSECONDS: Final = pa.timestamp("us", "UTC")

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
