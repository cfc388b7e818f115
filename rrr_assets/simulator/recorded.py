"""Recorded feeds as files: the daily CSV of trades or quotes that Tardis publishes of a venue, with the time of receiving.

Belongs here: names, columns, how a line is printed. Does not: which lines there are (feeds), reading (venues/).
https://docs.tardis.dev/downloadable-csv-files
"""

import gzip
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from rrr_assets.simulator.candles import decimals
from rrr_assets.simulator.feeds import Feed
from rrr_assets.simulator.files import Lines, csv_text, damaged, replace_file
from rrr_assets.simulator.markets import Market
from rrr_assets.simulator.tape import Integers

if TYPE_CHECKING:
    import polars as pl

FORMAT: Final = "tardis"
_HEADERS: Final = {
    "trades": b"exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n",
    "quotes": b"exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n",
}
_PRICE_COLUMN: Final = 6
_SIZE_COLUMN: Final = 7
_QUOTE_ASSETS: Final = ("USDT", "USDC", "USD", "EUR", "GBP", "BTC")
_SPREAD_BY: Final = 0x9E3779B97F4A7C15


def recorded_path(market: Market, day: date, stream: str, suffix: str = "") -> str:
    """Path of a day's file below the output folder."""
    return f"tardis/{market.venue}_{stream}_{day}_{symbol_of(market)}{suffix}.csv.gz"


def symbol_of(market: Market) -> str:
    """The symbol as the venue spells it."""
    quote = next((asset for asset in _QUOTE_ASSETS if market.symbol.endswith(asset) and market.symbol != asset), None)
    if market.venue != "coinbase" or quote is None:
        return market.symbol
    return f"{market.symbol.removesuffix(quote)}-{quote}"


def write_feed(path: Path, market: Market, stream: str, feed: Feed, first_id: int, lines: Lines, received_us: Integers) -> None:
    """Write a day's file. The same lines are the same bytes."""

    def fill(sink: "gzip.GzipFile") -> None:
        sink.writelines(_chunks(market, stream, feed, first_id, lines, received_us))

    def compress(raw: "object") -> None:
        # Without name and time in it: the same lines are the same bytes.
        with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=raw, mtime=0) as sink:  # type: ignore[call-overload]  # any binary file
            fill(sink)

    replace_file(path, compress)


def _chunks(market: Market, stream: str, feed: Feed, first_id: int, lines: Lines, received_us: Integers) -> Iterator[bytes]:
    yield _HEADERS[stream]
    start = 0
    for stop, damage in [*lines.garbage, (len(lines.rows), "")]:
        frame = _frame(market, stream, feed, first_id, lines.rows[start:stop], received_us[start:stop])
        text = csv_text(frame)
        yield text
        if damage:
            yield damaged(text[text.rstrip(b"\n").rfind(b"\n") + 1 :], damage, _PRICE_COLUMN, _SIZE_COLUMN)
        start = stop


def _frame(market: Market, stream: str, feed: Feed, first_id: int, rows: Integers, received_us: Integers) -> "pl.DataFrame":
    import polars as pl

    def printed(name: str, scale: int) -> "pl.Series":
        texts = pl.Series(pl.from_arrow(decimals(feed.columns[name][rows], scale)))
        return texts.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")

    columns: dict[str, object] = {
        "exchange": np.repeat(market.venue, len(rows)),
        "symbol": np.repeat(symbol_of(market), len(rows)),
        "timestamp": feed.time_us[rows],
        "local_timestamp": received_us,
    }
    price, size = market.price_scale, market.size_scale
    if stream == "quotes":
        columns |= {
            "ask_amount": printed("ask_lots", size),
            "ask_price": printed("ask_ticks", price),
            "bid_price": printed("bid_ticks", price),
            "bid_amount": printed("bid_lots", size),
        }
        return pl.DataFrame(columns)
    numbers = first_id + rows
    if market.has_ids:
        columns["id"] = numbers
    else:
        # A text of its own for each trade that says nothing of their order, as of venues that number by chance.
        columns["id"] = [f"{number * _SPREAD_BY % 2**64:016x}" for number in numbers.tolist()]
    columns["side"] = np.where(feed.columns["is_buyer_maker"][rows] > 0, "sell", "buy")
    columns |= {"price": printed("ticks", price), "amount": printed("lots", size)}
    return pl.DataFrame(columns)
