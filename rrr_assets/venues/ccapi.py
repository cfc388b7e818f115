"""CSV files as the makers of the library ccapi record them: one day of one instrument's trades or order book, without ids.

Belongs here: their columns, their file names, and the identity by order. Does not: levels of the book below the best.
https://github.com/crypto-chassis/cryptochassis-data-api-docs
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.decimals import PRICE, SIZE, parse_decimals
from rrr_assets.contracts.venues import VENUES
from rrr_assets.venues.base import Evidence, ParsedBatch, Reason, Refusals, Source, SourceFacts, SourceRefused, Stream
from rrr_assets.venues.content import line_blocks, open_content, raw_lines, unchanged, unlike, verify
from rrr_assets.venues.csv_text import CsvRows, cut, data_lines, header_names, refuse_cut_last_line
from rrr_assets.venues.names import (
    BINANCE_COINM,
    BINANCE_USDM,
    agreed_instrument,
    base_name,
    declared_days,
    given_instrument,
    instrument_name,
)
from rrr_assets.venues.rows import (
    Checks,
    OrdinalCounter,
    QuoteColumns,
    TextRows,
    TradeColumns,
    finer,
    last_time,
    ordinal_sequence,
    quote_batch,
    trade_batch,
)
from rrr_assets.venues.rows_of_many import without_empty_sides

_COLUMNS: Final = ("time_seconds", "price", "size", "is_buyer_maker")
_HEADER: Final = tuple(name.replace("_", "") for name in _COLUMNS)
_BOOK_COLUMNS: Final = ("time_seconds", "bid", "ask")
# A file of several levels says so in its header, which is otherwise the same.
_BOOK_HEADERS: Final = tuple(("timeseconds", f"bidpricebidsize{more}", f"askpriceasksize{more}") for more in ("", "|..."))
_NUMBER: Final = r"[0-9.eE+-]+"
_LEVELS: Final = rf"{_NUMBER}_{_NUMBER}(\|{_NUMBER}_{_NUMBER})*"
_ROW: Final = re.compile(rf"\d{{9,10}}(\.\d+)?(,{_NUMBER}){{2}},[01]")
_BOOK_ROW: Final = re.compile(rf"\d{{9,10}}(\.\d+)?(,{_LEVELS},({_LEVELS})?|,,{_LEVELS})")
_LAST_FIELD: Final[Mapping[Stream, re.Pattern[str]]] = {"trades": re.compile("[01]"), "quotes": re.compile(f"({_LEVELS})?")}
_Order = Literal["ascending", "descending"]
_BEST_FIRST: Final[Mapping[str, _Order]] = {"bid": "descending", "ask": "ascending"}
_KINDS: Final[Mapping[str, Stream]] = {"trade": "trades", "market-depth": "quotes"}
_NAME: Final = re.compile(r"(?P<venue>[a-z0-9-]+)__(?P<symbol>[^_]+)__(?P<day>\d{4}-\d{2}-\d{2})__(?P<kind>[a-z-]+)", re.IGNORECASE)
_OKEX: Final = "okex"
_VENUES: Final = {
    **{venue: venue for venue in VENUES},
    "binance-usds-futures": BINANCE_USDM,
    "binance-coin-futures": BINANCE_COINM,
    "bybit": "bybit-spot",
    "bybit-derivatives": "bybit",
    "cryptocom": "crypto-com",
    "gateio": "gate-io",
    "gateio-perpetual-futures": "gate-io-futures",
    "huobi-coin-swap": "huobi-dm-swap",
    "huobi-usdt-swap": "huobi-dm-linear-swap",
    "kraken-futures": "cryptofacilities",
    "okx": _OKEX,
}
"""ccapi's words for venues, where they are others than those here."""
# Under one word it has all markets of okx, which are told by the symbol: btc-usdt-swap, btc-usd-210326.
_OKEX_MARKETS: Final = ((re.compile(r".+-swap", re.IGNORECASE), "okex-swap"), (re.compile(r".+-\d{6}"), "okex-futures"))


class Ccapi:
    """Rows in the order they were recorded, which is their identity: microsecond, then place among its rows."""

    name = "ccapi"
    evidence: Evidence = "proven on real data"
    description = "ccapi's daily CSV of trades, or of market depth, of which the best level is taken; no ids"

    def recognises(self, head: str) -> bool:
        return _stream(head) is not None

    def inspect(self, source: Source) -> SourceFacts:
        given = given_instrument(source, VENUES)
        content = verify(source)
        stream = _stream(content.head)
        if stream is None:
            raise unlike(source, self.name, content.head)
        if source.stream not in {None, stream}:
            raise SourceRefused(source.name, f"it holds {stream} and nothing else", f"Ask for the stream {stream}.")
        is_header = header_names(content.last_line.decode("utf-8", "replace")) in {_HEADER, *_BOOK_HEADERS}
        columns = _COLUMNS if stream == "trades" else _BOOK_COLUMNS
        refuse_cut_last_line(source, content, re.compile(".+") if is_header else _LAST_FIELD[stream], [len(columns)])
        named, days = _read_name(source, stream)
        return SourceFacts(
            stream=stream,
            space="ordinal",
            time_unit="s",
            sha256=content.sha256,
            size_bytes=content.size_bytes,
            declared=declared_days(source, days),
            instrument=agreed_instrument(source, given, named),
        )

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        unchanged(source, facts.size_bytes)
        if facts.instrument is None:
            raise ValueError(f"{source.name} is parsed with the facts of another file")
        latest = last_time()
        counter = OrdinalCounter(latest)
        with open_content(source) as (stream, _):
            for block in line_blocks(source, stream):
                if facts.stream == "trades":
                    yield _trades(cut(block, _COLUMNS, _COLUMNS, [_HEADER]), counter, facts.instrument, latest)
                else:
                    yield _quotes(cut(block, _BOOK_COLUMNS, _BOOK_COLUMNS, _BOOK_HEADERS), counter, facts.instrument, latest)

    def raw_lines(self, source: Source, lines: Sequence[int]) -> Mapping[int, str]:
        return raw_lines(source, lines)


def _stream(head: str) -> Stream | None:
    """What the first lines are of, by their header, or by what most of them are rows of; None where they are neither."""
    lines = data_lines(head)
    header = header_names(lines[0]) if lines else ()
    if header == _HEADER:
        return "trades"
    if header in _BOOK_HEADERS:
        return "quotes"
    trades, quotes = (sum(1 for line in lines if row.fullmatch(line)) for row in (_ROW, _BOOK_ROW))
    return None if not trades and not quotes else "trades" if trades >= quotes else "quotes"


def _trades(found: CsvRows, counter: OrdinalCounter, instrument: str, latest: int) -> ParsedBatch:
    refusals = Refusals()
    checks = Checks(found.rows, latest)
    nanoseconds = checks.decimal_seconds("time_seconds")
    ordinals = counter.number(found.rows, nanoseconds, found.misfits, refusals, instrument)
    columns = TradeColumns(
        instrument=instrument,
        sequence=ordinal_sequence(checks, nanoseconds // 1000, ordinals),
        event_time=nanoseconds // 1000,
        event_time_ns=finer(nanoseconds),
        price=checks.decimals("price", PRICE, "positive"),
        size=checks.decimals("size", SIZE, "positive"),
        is_sell=checks.flags("is_buyer_maker", ["1"], ["0"]),
    )
    return trade_batch(checks, columns, refusals, found.passed_over)


def _quotes(found: CsvRows, counter: OrdinalCounter, instrument: str, latest: int) -> ParsedBatch:
    """The best level of each side. The time is the recorder's: it looks at the book once a second, and writes what changed."""
    refusals = Refusals()
    texts = found.rows.columns
    best = {side: _best_level(texts[side], order) for side, order in _BEST_FIRST.items()}
    columns = {f"{side}_{part}": pc.struct_field(level, part) for side, level in best.items() for part in ("price", "size")}
    columns = without_empty_sides(columns, [("bid_price", "bid_size"), ("ask_price", "ask_size")])
    checks = Checks(TextRows(found.rows.lines, {**texts, **columns}, found.rows.raw), latest)
    nanoseconds = checks.decimal_seconds("time_seconds")
    ordinals = counter.number(found.rows, nanoseconds, found.misfits, refusals, instrument)
    sequence = ordinal_sequence(checks, nanoseconds // 1000, ordinals)
    for side, level in best.items():
        _refuse_unread(checks, side, level)
    quotes = QuoteColumns(
        instrument=instrument,
        sequence=sequence,
        event_time=nanoseconds // 1000,
        event_time_ns=finer(nanoseconds),
        time_source="local",
        bid_price=checks.decimals("bid_price", PRICE, "positive", may_be_absent=True),
        bid_size=checks.decimals("bid_size", SIZE, "positive", may_be_absent=True),
        ask_price=checks.decimals("ask_price", PRICE, "positive", may_be_absent=True),
        ask_size=checks.decimals("ask_size", SIZE, "positive", may_be_absent=True),
    )
    return quote_batch(checks, quotes, refusals, found.passed_over)


def _best_level(side: pa.StringArray, order: _Order) -> pa.StructArray:
    """Price and size, as text, of the level that comes first in the order of prices, of those joined by `|`.

    A level of size 0 is none, unless there is no other. Both are null where one of the levels is no such pair.
    """
    has_several = pc.match_substring(side, "|")
    if not pc.any(has_several).as_py():
        return _pairs(side)
    levels = pc.split_pattern(side.filter(has_several), "|")
    row, texts = pc.list_parent_indices(levels).to_numpy(), pc.list_flatten(levels)
    found = _pairs(texts)
    price = parse_decimals(pc.struct_field(found, "price"), PRICE)
    is_empty = pc.equal(parse_decimals(pc.struct_field(found, "size"), SIZE), 0).fill_null(False)
    ranked = pa.table({"row": row, "is_empty": pc.cast(is_empty, pa.uint8()), "price": price})
    ordered = pc.sort_indices(ranked, sort_keys=[("row", "ascending"), ("is_empty", "ascending"), ("price", order)])
    first_of_row = ordered.take(pa.array(np.unique(row[ordered.to_numpy()], return_index=True)[1]))
    is_read = np.ones(len(levels), np.bool_)
    is_read[row[price.is_null().to_numpy(zero_copy_only=False)]] = False
    best = pc.if_else(pa.array(is_read), texts.take(first_of_row), pa.scalar(None, texts.type))
    return _pairs(pc.replace_with_mask(side, has_several, best))


def _pairs(texts: pa.StringArray) -> pa.StructArray:
    return pc.extract_regex(texts, "^(?P<price>[^_]+)_(?P<size>[^_]+)$")


def _refuse_unread(checks: Checks, side: str, level: pa.StructArray) -> None:
    """Refuse the rows in which a side holds something, but no level."""
    is_unread = pc.and_(pc.is_null(level), pc.not_equal(checks.rows.columns[side], ""))
    checks.refuse(is_unread, lambda index: (Reason.LEVELS, f"{checks.holds(side, index)}, which is no list of price_size."))


def _read_name(source: Source, stream: Stream) -> tuple[str | None, tuple[date, date] | None]:
    """The instrument and the day in a name such as `gemini__eth-usd__2021-07-01__trade.csv`, or `...__market-depth.csv.gz`."""
    found = _NAME.match(base_name(source.name))
    if not found:
        return None, None
    venue = _VENUES.get(found["venue"].lower())
    if venue is None:
        raise SourceRefused(
            source.name,
            f"its name is of the venue {found['venue']}, which is not known",
            f"Known are {', '.join(sorted(_VENUES))}. Of another one, load it with --format table and a mapping.",
        )
    if venue == _OKEX:
        venue = next((market for symbol, market in _OKEX_MARKETS if symbol.fullmatch(found["symbol"])), venue)
    if _KINDS.get(found["kind"].lower()) != stream:
        raise SourceRefused(source.name, f"it is named for {found['kind']}, but holds {stream}", "Give the file its right name.")
    try:
        day = date.fromisoformat(found["day"])
    except ValueError as error:
        raise SourceRefused(source.name, f"{found['day']} in its name is no day", "Give the file its right name.") from error
    return instrument_name(venue, found["symbol"]), (day, day + timedelta(days=1))
