"""What Binance's formats share: the columns of trades, aggregated trades and klines, and which of its markets a file is of.

Belongs here: rules of the venue that hold for its files, its REST answers and its streams alike. Does not:
how each of them is written (binance_vision, binance_rest, binance_ws).
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import pyarrow as pa

from rrr_assets.calc.decimals import PRICE, SIZE
from rrr_assets.venues.base import ParsedBatch, Reason, Refusals, Source, SourceRefused, TimeUnit
from rrr_assets.venues.names import BINANCE, BINANCE_COINM, BINANCE_USDM, MONTH, interval_of_seconds, venue_of
from rrr_assets.venues.rows import (
    BarColumns,
    Checks,
    Misfit,
    TextRows,
    TradeColumns,
    agg_trade_batch,
    bar_batch,
    last_time,
    refuse_misfits,
    to_microseconds,
    trade_batch,
)

MARKETS: Final = (BINANCE, BINANCE_USDM, BINANCE_COINM)
KLINE: Final = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)
DEFAULT_UNIT: Final[TimeUnit] = "ms"
TRUE, FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
# Spot prices are always written with 8 decimals, prices of futures with those of their tick.
_SPOT_PRICE: Final = re.compile(r"[0-9]+\.[0-9]{8}")


def is_coin_margined(symbol: str) -> bool:
    """Whether a symbol is of COIN-M futures, such as BTCUSD_PERP; BTCUSDT_240628 is USD-M."""
    return "USD_" in symbol


def kline_market(source: Source, given: str | None, symbol: str | None, opens: Sequence[str], *, has_header: bool) -> str:
    """The market of a file of klines, which have the same 12 columns in all of them; `opens` are some of their prices.

    Raises:
        SourceRefused: nothing tells spot from USD-M.
    """
    if given is not None:
        return venue_of(given)
    if symbol is not None and is_coin_margined(symbol):
        return BINANCE_COINM
    if has_header:
        return BINANCE_USDM
    # Most of the prices decide: a single one may be damaged.
    if 2 * sum(1 for price in opens if _SPOT_PRICE.fullmatch(price)) >= len(opens):
        return BINANCE
    raise SourceRefused(
        source.name,
        "it has neither the 8 decimals of spot prices nor a futures file's header, so its market is not known",
        f"Give it with --instrument {BINANCE_USDM}:{symbol or 'SYMBOL'}, or {BINANCE}:{symbol or 'SYMBOL'}.",
    )


def kline_interval(open_time: str, close_time: str) -> str | None:
    """The interval that lies between a kline's first and last instant, which has its last unit of time left out."""
    per_second = {13: 1000, 16: 1_000_000}.get(len(open_time))
    # However many digits there are, they are not read as a number before they are counted.
    if per_second is None or len(close_time) != len(open_time) or not (open_time.isdecimal() and close_time.isdecimal()):
        return None
    length = int(close_time) + 1 - int(open_time)
    if length % per_second:
        return None
    return interval_of_seconds(length // per_second)


def agreed_interval(source: Source, named: str | None, found: list[str | None]) -> str:
    """The one interval of a file's klines, by its name and by the times of its first rows.

    Raises:
        SourceRefused: neither tells, or they contradict each other.
    """
    known = [interval for interval in found if interval is not None]
    # Single klines of the venue are shorter than they should be: most of them decide.
    measured = max(set(known), key=known.count) if known else None
    if named is not None and measured is not None and named != measured:
        raise SourceRefused(
            source.name, f"it is named for klines of {named}, but holds klines of {measured}", "Give the file its right name."
        )
    interval = named or measured
    if interval is None:
        raise SourceRefused(
            source.name,
            "the interval of its klines is not known",
            f"Name it SYMBOL-INTERVAL-DATE, such as BTCUSDT-1m-2024-01-02 or BTCUSDT-{MONTH}-2024.",
        )
    return interval


def unit_of_times(times: Iterable[object]) -> TimeUnit | None:
    """The unit of the first of some texts that is a plausible time in milliseconds or microseconds; None where none is."""
    latest = last_time()
    for text in times:
        if isinstance(text, str) and text.isascii() and text.isdecimal() and (found := to_microseconds(int(text[:20]), latest)):
            unit = found[1]
            if unit in {"ms", "us"}:
                return unit
    return None


def id_trades(rows: TextRows, misfits: list[Misfit], instrument: str, latest: int, passed_over: int) -> ParsedBatch:
    """Trades of a file or a REST answer: columns id, price, qty, time, is_buyer_maker."""
    refusals = Refusals()
    refuse_misfits(misfits, instrument, refusals)
    checks = Checks(rows, latest)
    return trade_batch(checks, _id_columns(checks, instrument), refusals, passed_over)


def agg_trades(rows: TextRows, misfits: list[Misfit], instrument: str, latest: int, passed_over: int) -> ParsedBatch:
    """Aggregated trades of a file: columns id, price, qty, first_id, last_id, time, is_buyer_maker."""
    refusals = Refusals()
    refuse_misfits(misfits, instrument, refusals)
    checks = Checks(rows, latest)
    columns = _id_columns(checks, instrument)
    first_id, last_id = (checks.integers(name, Reason.MISSING_ID) for name in ("first_id", "last_id"))
    return agg_trade_batch(checks, columns, first_id, last_id, refusals, passed_over)


def _id_columns(checks: Checks, instrument: str) -> TradeColumns:
    return TradeColumns(
        instrument=instrument,
        sequence=checks.integers("id", Reason.MISSING_ID),
        event_time=checks.milli_or_microseconds("time"),
        price=checks.decimals("price", PRICE, "positive"),
        size=checks.decimals("qty", SIZE, "positive"),
        # The buyer was the maker: the aggressor sold.
        is_sell=checks.flags("is_buyer_maker", TRUE, FALSE),
    )


def klines(
    rows: TextRows, misfits: list[Misfit], instrument: str, interval: str, latest: int, passed_over: int = 0, open_line: int | None = None
) -> ParsedBatch:
    """Klines of a file or a REST answer: the columns `KLINE`. `open_line` is the line of the one that was still open."""
    refusals = Refusals()
    refuse_misfits(misfits, instrument, refusals)
    checks = Checks(rows, latest)
    bar_start = checks.milli_or_microseconds("open_time")
    open_, high, low, close = (checks.decimals(name, PRICE, "positive") for name in ("open", "high", "low", "close"))
    volume = checks.decimals("volume", SIZE, "not negative")
    trade_count = checks.integers("count")
    taker_buy_volume = checks.decimals("taker_buy_volume", SIZE, "not negative")
    # COIN-M counts volume in contracts, and gives the volume of the base asset where the others give the quote's.
    in_quote = venue_of(instrument) != BINANCE_COINM
    columns = BarColumns(
        bar_start=bar_start,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        is_closed=pa.array(rows.lines != (open_line or 0)),
        trade_count=trade_count,
        quote_volume=checks.decimals("quote_volume", SIZE, "not negative") if in_quote else None,
        taker_buy_volume=taker_buy_volume,
        taker_buy_quote_volume=checks.decimals("taker_buy_quote_volume", SIZE, "not negative") if in_quote else None,
    )
    return bar_batch(checks, columns, instrument, interval, refusals, passed_over)
