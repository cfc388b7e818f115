"""Binance's public archive of daily and monthly files: trades, aggregated trades and klines of spot, USD-M and COIN-M, as CSV in a zip.

Belongs here: the columns, headers, names and time units of these files. Does not: what Binance's formats
share (binance).
https://github.com/binance/binance-public-data
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rrr_assets.venues.base import Evidence, ParsedBatch, Source, SourceFacts, SourceRefused, TimeUnit
from rrr_assets.venues.binance import (
    DEFAULT_UNIT,
    KLINE,
    MARKETS,
    agg_trades,
    agreed_interval,
    id_trades,
    is_coin_margined,
    kline_interval,
    kline_market,
    klines,
    unit_of_times,
)
from rrr_assets.venues.content import line_blocks, open_content, raw_lines, read_head, unchanged, unlike, verify
from rrr_assets.venues.csv_text import cut, data_lines, header_names, refuse_cut_last_line
from rrr_assets.venues.names import (
    BINANCE,
    BINANCE_COINM,
    BINANCE_USDM,
    INTERVAL_SECONDS,
    MONTH,
    VisionName,
    agreed_instrument,
    declared_days,
    given_instrument,
    instrument_name,
    venue_of,
    vision_name,
)
from rrr_assets.venues.rows import last_time

_FUTURES_TRADE: Final = ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker")
_SPOT_TRADE: Final = (*_FUTURES_TRADE, "is_best_match")
_TRADE_HEADERS: Final = (
    ("id", "price", "qty", "quoteqty", "time", "isbuyermaker"),
    ("id", "price", "qty", "baseqty", "time", "isbuyermaker"),
    ("id", "price", "qty", "quoteqty", "time", "isbuyermaker", "isbestmatch"),
)
# Named as those of trades where they mean the same, so that both are read alike.
_FUTURES_AGG_TRADE: Final = ("id", "price", "qty", "first_id", "last_id", "time", "is_buyer_maker")
_SPOT_AGG_TRADE: Final = (*_FUTURES_AGG_TRADE, "is_best_match")
_AGG_TRADE_HEADERS: Final = tuple(
    ("aggtradeid", "price", "quantity", "firsttradeid", "lasttradeid", time, "isbuyermaker", *rest)
    for time in ("transacttime", "timestamp")
    for rest in ((), ("isbestmatch",))
)
_KLINE_HEADERS: Final = (
    tuple(name.replace("_", "") for name in KLINE),
    (
        *(name.replace("_", "") for name in KLINE[:7]),
        "quoteassetvolume",
        "numberoftrades",
        "takerbuybaseassetvolume",
        "takerbuyquoteassetvolume",
        "ignore",
    ),
)
_NUMBER: Final = r"[0-9.eE+-]+"
_BOOLEAN: Final = re.compile(r"true|false", re.IGNORECASE)
_TRADE: Final = re.compile(rf"\d+(,{_NUMBER}){{3}},\d+(,(true|false)){{1,2}}", re.IGNORECASE)
_AGG_TRADE: Final = re.compile(rf"\d+(,{_NUMBER}){{2}},\d+,\d+,\d+(,(true|false)){{1,2}}", re.IGNORECASE)
_KLINE_ROW: Final = re.compile(rf"\d{{10,19}}(,{_NUMBER}){{5}},\d{{10,19}},{_NUMBER},\d+(,{_NUMBER}){{3}}")
_SOME_FIELD: Final = re.compile(r".+")


class Trades:
    """Every trade of a day or a month, one a row, with the venue's ids."""

    name = "binance-vision-trades"
    evidence: Evidence = "built from the specification"
    description = "Binance public archive, trades: zip or CSV of a day or month, spot, USD-M and COIN-M"

    def recognises(self, head: str) -> bool:
        return _trade_layout(head) is not None

    def inspect(self, source: Source) -> SourceFacts:
        given = given_instrument(source, MARKETS)
        content = verify(source)
        layout = _trade_layout(content.head)
        if layout is None:
            if _agg_trade_layout(content.head) is not None:
                raise SourceRefused(
                    source.name,
                    "it holds aggregated trades, which are another stream",
                    f"Load it with --format {AggTrades.name}, or load the file of trades of that day.",
                )
            raise unlike(source, self.name, content.head)
        refuse_cut_last_line(source, content, _BOOLEAN if layout.has_rows else _SOME_FIELD, [layout.columns])
        named = _agreed_name(source, content.member, {"trades"})
        instrument = agreed_instrument(source, given, _named_instrument(named, _trade_market(source, given, named, layout)))
        return SourceFacts(
            stream="trades",
            space="trade_id",
            time_unit=layout.time_unit,
            sha256=content.sha256,
            size_bytes=content.size_bytes,
            declared=declared_days(source, named.days if named else None),
            instrument=instrument,
        )

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        unchanged(source, facts.size_bytes)
        layout = _trade_layout(read_head(source)[0])
        if layout is None or facts.instrument is None:
            raise ValueError(f"{source.name} is parsed with the facts of another file")
        names = _SPOT_TRADE if layout.is_spot else _FUTURES_TRADE
        latest = last_time()
        with open_content(source) as (stream, _):
            for block in line_blocks(source, stream):
                found = cut(block, names, ("id", "price", "qty", "time", "is_buyer_maker"), _TRADE_HEADERS)
                yield id_trades(found.rows, found.misfits, facts.instrument, latest, found.passed_over)

    def raw_lines(self, source: Source, lines: Sequence[int]) -> Mapping[int, str]:
        return raw_lines(source, lines)


class AggTrades:
    """Trades of one taker at one price and time as one row, with the venue's ids of the row and of the trades in it."""

    name = "binance-vision-aggtrades"
    evidence: Evidence = "built from the specification"
    description = "Binance public archive, aggregated trades: zip or CSV of a day or month, spot, USD-M and COIN-M"

    def recognises(self, head: str) -> bool:
        return _agg_trade_layout(head) is not None

    def inspect(self, source: Source) -> SourceFacts:
        given = given_instrument(source, MARKETS)
        content = verify(source)
        layout = _agg_trade_layout(content.head)
        if layout is None:
            raise unlike(source, self.name, content.head)
        refuse_cut_last_line(source, content, _BOOLEAN if layout.has_rows else _SOME_FIELD, [layout.columns])
        named = _agreed_name(source, content.member, {"aggTrades"})
        instrument = agreed_instrument(source, given, _named_instrument(named, _trade_market(source, given, named, layout)))
        return SourceFacts(
            stream="agg_trades",
            space="aggregate_id",
            time_unit=layout.time_unit,
            sha256=content.sha256,
            size_bytes=content.size_bytes,
            declared=declared_days(source, named.days if named else None),
            instrument=instrument,
        )

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        unchanged(source, facts.size_bytes)
        layout = _agg_trade_layout(read_head(source)[0])
        if layout is None or facts.instrument is None:
            raise ValueError(f"{source.name} is parsed with the facts of another file")
        names = _SPOT_AGG_TRADE if layout.is_spot else _FUTURES_AGG_TRADE
        latest = last_time()
        with open_content(source) as (stream, _):
            for block in line_blocks(source, stream):
                found = cut(block, names, _FUTURES_AGG_TRADE, _AGG_TRADE_HEADERS)
                yield agg_trades(found.rows, found.misfits, facts.instrument, latest, found.passed_over)

    def raw_lines(self, source: Source, lines: Sequence[int]) -> Mapping[int, str]:
        return raw_lines(source, lines)


class Klines:
    """The venue's own bars."""

    name = "binance-vision-klines"
    evidence: Evidence = "proven on real data"
    description = "Binance public archive, klines of any interval: zip or CSV of a day or month, spot, USD-M and COIN-M"

    def recognises(self, head: str) -> bool:
        return _kline_layout(head) is not None

    def inspect(self, source: Source) -> SourceFacts:
        given = given_instrument(source, MARKETS)
        content = verify(source)
        layout = _kline_layout(content.head)
        if layout is None:
            raise unlike(source, self.name, content.head)
        refuse_cut_last_line(source, content, _SOME_FIELD, [len(KLINE)])
        named = _agreed_name(source, content.member, {*INTERVAL_SECONDS, MONTH})
        market = kline_market(source, given, named.symbol if named else None, layout.opens, has_header=layout.has_header)
        return SourceFacts(
            stream="venue_bars",
            space=None,
            time_unit=layout.time_unit,
            sha256=content.sha256,
            size_bytes=content.size_bytes,
            declared=declared_days(source, named.days if named else None),
            interval=agreed_interval(source, named.kind if named else None, layout.intervals),
            instrument=agreed_instrument(source, given, _named_instrument(named, market)),
        )

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        unchanged(source, facts.size_bytes)
        if facts.instrument is None or facts.interval is None:
            raise ValueError(f"{source.name} is parsed with the facts of another file")
        latest = last_time()
        with open_content(source) as (stream, _):
            for block in line_blocks(source, stream):
                found = cut(block, KLINE, KLINE[:-1], _KLINE_HEADERS)
                yield klines(found.rows, found.misfits, facts.instrument, facts.interval, latest, found.passed_over)

    def raw_lines(self, source: Source, lines: Sequence[int]) -> Mapping[int, str]:
        return raw_lines(source, lines)


@dataclass(frozen=True, slots=True)
class _TradeLayout:
    columns: int
    is_spot: bool
    has_rows: bool
    has_base_quantity: bool
    time_unit: TimeUnit


def _trade_layout(head: str) -> _TradeLayout | None:
    return _layout_of_trades(head, _TRADE, _TRADE_HEADERS, _SPOT_TRADE)


def _agg_trade_layout(head: str) -> _TradeLayout | None:
    return _layout_of_trades(head, _AGG_TRADE, _AGG_TRADE_HEADERS, _SPOT_AGG_TRADE)


def _layout_of_trades(head: str, row: re.Pattern[str], headers: Collection[tuple[str, ...]], spot: Sequence[str]) -> _TradeLayout | None:
    """What the first lines of a file tell of its columns; None where they are no such rows and no such header.

    Args:
        head: See `content.Content.head`.
        row: What a row looks like.
        headers: The headers that these files have.
        spot: The columns on spot, one more than those of futures.
    """
    lines = data_lines(head)
    header = header_names(lines[0]) if lines else ()
    rows = [line.split(",") for line in lines if row.fullmatch(line)]
    if header not in headers and not rows:
        return None
    widths = [len(fields) for fields in rows] or [len(header)]
    columns = max(set(widths), key=widths.count)
    time = spot.index("time")
    return _TradeLayout(
        columns, columns == len(spot), bool(rows), "baseqty" in header, unit_of_times(fields[time] for fields in rows) or DEFAULT_UNIT
    )


@dataclass(frozen=True, slots=True)
class _KlineLayout:
    has_header: bool
    opens: list[str]
    intervals: list[str | None]
    time_unit: TimeUnit


def _kline_layout(head: str) -> _KlineLayout | None:
    lines = data_lines(head)
    has_header = bool(lines) and header_names(lines[0]) in _KLINE_HEADERS
    rows = [line.split(",") for line in lines if _KLINE_ROW.fullmatch(line)]
    if not has_header and not rows:
        return None
    return _KlineLayout(
        has_header,
        [row[1] for row in rows],
        [kline_interval(row[0], row[6]) for row in rows],
        unit_of_times(row[0] for row in rows) or DEFAULT_UNIT,
    )


def _agreed_name(source: Source, member: str | None, kinds: set[str]) -> VisionName | None:
    """What the file's name says, or else the archive member's.

    Raises:
        SourceRefused: the two contradict each other, or say that the file holds something else.
    """
    outer, inner = vision_name(source.name), vision_name(member) if member else None
    if outer and inner and outer != inner:
        raise SourceRefused(source.name, f"the file inside it is named {member}", "Give the file its right name.")
    named = outer or inner
    if named and named.kind not in kinds:
        raise SourceRefused(source.name, f"it is named for {named.kind}, but does not hold them", "Give the file its right name.")
    return named


def _named_instrument(named: VisionName | None, market: str) -> str | None:
    return instrument_name(market, named.symbol) if named else None


def _trade_market(source: Source, given: str | None, named: VisionName | None, layout: _TradeLayout) -> str:
    if given is not None:
        market = venue_of(given)
        if (market == BINANCE) != layout.is_spot or (market == BINANCE_USDM and layout.has_base_quantity):
            columns = "spot" if layout.is_spot else "futures"
            raise SourceRefused(
                source.name,
                f"the instrument was given as {given}, but the file's columns are those of {columns} trades",
                f"Correct --instrument: the venue is one of {', '.join(MARKETS)}.",
            )
        return market
    if layout.is_spot:
        return BINANCE
    return BINANCE_COINM if layout.has_base_quantity or (named and is_coin_margined(named.symbol)) else BINANCE_USDM
