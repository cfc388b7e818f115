"""Tardis' downloadable CSV files: trades and best quotes (`quotes` or `book_ticker`) of one symbol or of a group of them, a day each.

Belongs here: their columns, their names, their words for exchanges. Does not: Tardis' other data types, and its
replayed captures. A day's file is cut by `local_timestamp`: the last moments of a day come in the next day's file.
https://docs.tardis.dev/downloadable-csv-files
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.decimals import PRICE, SIZE, parse_integers
from rrr_assets.venues.base import Evidence, ParsedBatch, Reason, Refusals, Source, SourceFacts, SourceRefused, Space, Stream, TimeUnit
from rrr_assets.venues.content import Block, line_blocks, open_content, raw_lines, read_head, unchanged, unlike, verify
from rrr_assets.venues.csv_text import cut, data_lines, header_names, refuse_cut_last_line
from rrr_assets.venues.names import (
    BINANCE,
    BINANCE_COINM,
    BINANCE_USDM,
    KRAKEN,
    base_name,
    declared_days,
    given_instrument,
    parse_instrument,
    venue_of,
)
from rrr_assets.venues.rows import (
    Checks,
    Int64s,
    Misfit,
    QuoteColumns,
    TextRows,
    TradeColumns,
    finer,
    last_time,
    ordinal_sequence,
    quote_batch,
    trade_batch,
)
from rrr_assets.venues.rows_of_many import (
    OrdinalsByInstrument,
    Placed,
    names_of,
    nanoseconds_since_epoch,
    only,
    refuse_placed,
    without_empty_sides,
)

_FIRST: Final = ("exchange", "symbol", "timestamp", "local_timestamp")
_COLUMNS: Final[Mapping[Stream, tuple[str, ...]]] = {
    "trades": (*_FIRST, "id", "side", "price", "amount"),
    "quotes": (*_FIRST, "ask_amount", "ask_price", "bid_price", "bid_amount"),
}
_SPELLED: Final = {name.replace("_", ""): name for columns in _COLUMNS.values() for name in columns}
_VENUES: Final = {
    "binance": BINANCE,
    "binance-futures": BINANCE_USDM,
    "binance-delivery": BINANCE_COINM,
    "kraken": KRAKEN,
    # The others are called here as Tardis calls them. Its exchanges of options are not among them.
    **{
        exchange: exchange
        for exchange in (
            "ascendex",
            "binance-dex",
            "binance-jersey",
            "binance-us",
            "bitfinex",
            "bitfinex-derivatives",
            "bitflyer",
            "bitget",
            "bitget-futures",
            "bitmex",
            "bitstamp",
            "blockchain-com",
            "bybit",
            "bybit-spot",
            "coinbase",
            "coinbase-international",
            "crypto-com",
            "crypto-com-derivatives",
            "cryptofacilities",
            "deribit",
            "dydx",
            "dydx-v4",
            "ftx",
            "ftx-us",
            "gate-io",
            "gate-io-futures",
            "gemini",
            "hitbtc",
            "huobi",
            "huobi-dm",
            "huobi-dm-linear-swap",
            "huobi-dm-swap",
            "hyperliquid",
            "kucoin",
            "kucoin-futures",
            "mango",
            "okcoin",
            "okex",
            "okex-futures",
            "okex-swap",
            "phemex",
            "poloniex",
            "serum",
            "upbit",
        )
    },
}
# Where the venue numbers each instrument's trades one by one. Gemini's numbers run over all its instruments.
_NUMBERED: Final = frozenset({BINANCE, BINANCE_USDM, BINANCE_COINM, "coinbase", KRAKEN})
# What its files are named for. The columns of `book_ticker` are those of `quotes`.
_KINDS: Final[Mapping[str, Stream]] = {"trades": "trades", "quotes": "quotes", "book_ticker": "quotes"}
# Spot pairs of BitMEX, such as XBT_USDT: without the separator they would be its perpetuals of that name.
_BITMEX_SPOT: Final = re.compile(r"[A-Z0-9]+_USDT", re.IGNORECASE)
_SIDES: Final = ("sell", "buy", "unknown", "")
_QUOTE_SIDES: Final = (("bid_price", "bid_amount"), ("ask_price", "ask_amount"))
_SPOT: Final = "SPOT"
_READ: Final = "Read are trades, quotes and book_ticker."
_GROUPS: Final = frozenset({"SPOT", "PERPETUALS", "FUTURES", "OPTIONS", "COMBOS"})
_NAME: Final = re.compile(r"(?P<exchange>[a-z0-9-]+)_(?P<kind>[a-z]\w*?)_(?P<day>\d{4}-\d{2}-\d{2})_(?P<symbol>.+)", re.IGNORECASE)
_PACKING: Final = re.compile(r"(\.csv)?(\.gz|\.zip)?$", re.IGNORECASE)
_SEPARATOR: Final = re.compile(r"[^A-Za-z0-9]+")
_LAST_FIELD: Final[Mapping[Stream, re.Pattern[str]]] = {"trades": re.compile(r".*[0-9A-Za-z]"), "quotes": re.compile(r"(.*[0-9A-Za-z])?")}


class Tardis:
    """One data type of one exchange. Of the instruments of a group, `Source.instrument` takes one."""

    name = "tardis"
    evidence: Evidence = "proven on real data"
    description = "Tardis' downloadable CSV of a day, trades or quotes, of one symbol or a group of them"

    def recognises(self, head: str) -> bool:
        return _layout(head) is not None

    def inspect(self, source: Source) -> SourceFacts:
        given = given_instrument(source, _VENUES.values())
        content = verify(source)
        layout = _layout(content.head)
        if layout is None:
            lines = data_lines(content.head)
            if lines and header_names(lines[0])[:4] == tuple(name.replace("_", "") for name in _FIRST):
                raise SourceRefused(source.name, "it is of another data type of Tardis", _READ)
            raise unlike(source, self.name, content.head)
        if source.stream not in {None, layout.stream}:
            raise SourceRefused(source.name, f"it holds {layout.stream} and nothing else", f"Ask for the stream {layout.stream}.")
        venue = _venue(source, layout, given)
        refuse_cut_last_line(source, content, _LAST_FIELD[layout.stream], [len(layout.names)])
        scanned = _scan(source, layout, venue, given)
        named = _read_name(source, layout, scanned.instruments)
        instrument = _agreed(source, given, named, scanned.instruments)
        space: Space = "trade_id" if layout.stream == "trades" and venue in _NUMBERED and not scanned.lacks_ids else "ordinal"
        return SourceFacts(
            stream=layout.stream,
            space=space,
            time_unit=scanned.time_unit,
            sha256=content.sha256,
            size_bytes=content.size_bytes,
            declared=declared_days(source, None),
            instrument=instrument,
        )

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        unchanged(source, facts.size_bytes)
        layout = _layout(read_head(source)[0])
        if layout is None or layout.stream != facts.stream:
            raise ValueError(f"{source.name} is parsed with the facts of another file")
        venue, latest = _venue(source, layout, facts.instrument), last_time()
        ordinals = OrdinalsByInstrument()
        with open_content(source) as (stream, _):
            for block in line_blocks(source, stream):
                some = _cut(block, layout, venue, facts.instrument, latest, is_alone=_names_one_symbol(source))
                if facts.stream == "quotes":
                    yield _quotes(some, ordinals)
                else:
                    yield _trades(some, ordinals if facts.space == "ordinal" else None)

    def raw_lines(self, source: Source, lines: Sequence[int]) -> Mapping[int, str]:
        return raw_lines(source, lines)


@dataclass(frozen=True, slots=True)
class _Layout:
    stream: Stream
    names: tuple[str, ...]  # of all columns, those that are read in the spelling of `_COLUMNS`
    header: tuple[str, ...]
    exchange: str | None  # that of most of the first rows


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a block that are wanted, with what is wrong with some of them already refused."""

    checks: Checks
    instruments: pa.StringArray
    placed: list[Placed]
    passed_over: int


@dataclass(frozen=True, slots=True)
class _Scanned:
    """What only reading the whole file tells."""

    instruments: Mapping[str, int]  # with the number of their good rows
    lacks_ids: bool
    time_unit: TimeUnit


def _layout(head: str) -> _Layout | None:
    lines = data_lines(head)
    header = header_names(lines[0]) if lines else ()
    names = tuple(_SPELLED.get(name, name) for name in header)
    if len(set(names)) < len(names):
        return None
    stream = next((stream for stream, columns in _COLUMNS.items() if set(columns) <= set(names)), None)
    if stream is None:
        return None
    rows = [fields for line in lines[1:] if len(fields := line.split(",")) == len(names)]
    exchanges = Counter(fields[names.index("exchange")] for fields in rows).most_common(1)
    return _Layout(stream, names, header, exchanges[0][0] if exchanges else None)


def _venue(source: Source, layout: _Layout, instrument: str | None) -> str:
    """The venue of the file's rows.

    Raises:
        SourceRefused: it is not known, or another one was given or stands in the name.
    """
    if layout.exchange is None:
        raise SourceRefused(source.name, "it has a header, and no row of these columns below it", "Download it again.")
    venue = _VENUES.get(layout.exchange)
    if venue is None:
        raise SourceRefused(
            source.name,
            f"it is of the exchange {layout.exchange[:40]}, which is not known; known are {', '.join(_VENUES)}",
            "Load it with --format table and a mapping: that may name any venue.",
        )
    if instrument is not None and venue_of(instrument) != venue:
        raise SourceRefused(
            source.name, f"the instrument was given as {instrument}, but the file is of {venue}", "Correct --instrument or leave it away."
        )
    found = _NAME.match(base_name(source.name))
    if found and found["exchange"].lower() != layout.exchange:
        raise SourceRefused(
            source.name, f"it is named for {found['exchange']}, but its rows are of {layout.exchange}", "Give the file its right name."
        )
    if found and _KINDS.get(found["kind"].lower()) != layout.stream:
        raise SourceRefused(
            source.name,
            f"it is named for {found['kind']}, but has the columns of {layout.stream}",
            f"{_READ} If it holds {layout.stream}, give the file its right name.",
        )
    return venue


def _symbol_of_name(name: str) -> str | None:
    """What stands in a name at the place of the symbol, the packing taken off; None where it is no name of Tardis."""
    found = _NAME.match(base_name(name))
    return _PACKING.sub("", found["symbol"]) if found else None


def _names_one_symbol(source: Source) -> bool:
    """Whether the file's name says that it is of one symbol: then every row of it is."""
    symbol = _symbol_of_name(source.name)
    return symbol is not None and symbol.upper() not in _GROUPS


def _read_name(source: Source, layout: _Layout, instruments: Mapping[str, int]) -> str | None:
    """The instrument that a name such as `binance-futures_trades_2020-02-22_BTCUSDT.csv.gz` says, if it says one.

    The day is that of receiving: what happened at its end is in the next file, so that no day is claimed. The symbol is told from
    what follows it by what the file holds.

    Raises:
        SourceRefused: it is named for a symbol that the file does not hold, or for no day.
    """
    symbol = _symbol_of_name(source.name)
    found = _NAME.match(base_name(source.name))
    if symbol is None or found is None or layout.exchange is None:
        return None
    try:
        date.fromisoformat(found["day"])
    except ValueError as error:
        raise SourceRefused(source.name, f"{found['day']} in its name is no day", "Give the file its right name.") from error
    if symbol.upper() in _GROUPS:
        return None
    ends = [*(separator.start() for separator in _SEPARATOR.finditer(symbol)), len(symbol)]
    for end in reversed(ends):
        named = _instrument(_VENUES[layout.exchange], symbol[:end])
        if named in instruments:
            return named
    if not instruments:
        return None
    raise SourceRefused(
        source.name, f"it is named for {symbol}, but holds {', '.join(sorted(instruments)[:5])}", "Give the file its right name."
    )


def _agreed(source: Source, given: str | None, one: str | None, instruments: Mapping[str, int]) -> str | None:
    """The one instrument that was given or that the file is named for, None for all that it holds.

    Raises:
        SourceRefused: what was given is not what the file says, or is not in it.
    """
    if given is not None and one is not None and given != one:
        raise SourceRefused(
            source.name, f"it is of {one}, but the instrument was given as {given}", "Leave --instrument away, or correct it."
        )
    if given is not None and instruments and given not in instruments:
        raise SourceRefused(
            source.name, f"it holds {', '.join(sorted(instruments)[:5])}, none of {given}", "Correct --instrument, or leave it away."
        )
    return given or one


def _instrument(venue: str, symbol: str) -> str | None:
    """The instrument of a symbol such as `BTC-USD`, None where it can be none."""
    if venue.startswith("bitfinex"):
        # Long assets are set off by a colon there, as in BTCF0:USTF0.
        symbol = symbol.replace(":", "")
    elif venue == "bitmex" and _BITMEX_SPOT.fullmatch(symbol):
        symbol += _SPOT
    try:
        return parse_instrument(f"{venue}:{symbol}")
    except ValueError:
        return None


def _scan(source: Source, layout: _Layout, venue: str, given: str | None) -> _Scanned:
    """Read the whole file for what its rows say together. Rows that are bad anyway say nothing of the others."""
    latest = last_time()
    counts: Counter[str] = Counter()
    lacks_ids, is_finer_than_ms = False, False
    with open_content(source) as (stream, _):
        for block in line_blocks(source, stream):
            some = _cut(block, layout, venue, None, latest, is_alone=False)
            nanoseconds, *_ = _trade_values(some.checks) if layout.stream == "trades" else (_times(some.checks, "timestamp"),)
            kept = some.checks.finish(some.instruments, nanoseconds, None, Refusals())
            is_good = np.ones(len(nanoseconds), np.bool_) if kept is None else kept.to_numpy(zero_copy_only=False)
            is_finer_than_ms |= bool(np.any(nanoseconds[is_good] % 1_000_000))
            counted = some.instruments.filter(pa.array(is_good)).value_counts().to_pylist()
            counts.update({count["values"]: count["counts"] for count in counted})
            if layout.stream == "trades" and not lacks_ids:
                if given is not None:
                    is_good = is_good & pc.equal(some.instruments, given).fill_null(False).to_numpy(zero_copy_only=False)
                lacks_ids = bool(np.any(_ids(some.checks)[is_good] < 0))
    # Tardis writes microseconds whatever the venue gives; taken for finer than they are, they would contradict finer sources.
    return _Scanned(counts, lacks_ids, "us" if is_finer_than_ms or not counts else "ms")


def _cut(block: Block, layout: _Layout, venue: str, instrument: str | None, latest: int, *, is_alone: bool) -> _Rows:
    """Cut a block into the rows of an instrument, or of all of them.

    Args:
        block: Whole lines.
        layout: Of the file.
        venue: Of the file.
        instrument: The wanted one; None for all.
        latest: The latest time that is believed, in microseconds.
        is_alone: The file holds nothing but this instrument: a row of another one is refused, not passed over.
    """
    found = cut(block, layout.names, _COLUMNS[layout.stream], [layout.header])
    rows, passed_over = found.rows, found.passed_over
    if layout.stream == "quotes":
        rows = replace(rows, columns=without_empty_sides(rows.columns, _QUOTE_SIDES))
    instruments = _named_instruments(rows, layout.exchange, venue)
    placed = [_place(misfit, layout, venue, latest) for misfit in found.misfits]
    if instrument is not None and not is_alone:
        is_other = pc.not_equal(instruments, instrument).fill_null(False)
        if is_other.true_count:
            kept = pc.invert(is_other)
            rows, instruments, passed_over = only(rows, kept), instruments.filter(kept), passed_over + is_other.true_count
        mine = [one for one in placed if one.instrument in {None, instrument}]
        placed, passed_over = mine, passed_over + len(placed) - len(mine)
    checks = Checks(rows, latest)
    wrong = pc.is_null(instruments) if instrument is None else pc.not_equal(instruments, instrument).fill_null(True)
    checks.refuse(wrong, lambda index: _no_instrument(checks, index, layout.exchange, instrument))
    if instrument is not None and is_alone:
        # Whatever stands at the place of its symbol, the line is one of this instrument's file, and counts among its lines.
        instruments = pa.repeat(pa.scalar(instrument, pa.string()), len(rows.lines))
        placed = [Placed(one.misfit, instrument, one.microseconds) for one in placed]
    return _Rows(checks, instruments, placed, passed_over)


def _named_instruments(rows: TextRows, exchange: str | None, venue: str) -> pa.StringArray:
    names = names_of(rows.columns["symbol"], lambda symbol: _instrument(venue, symbol))
    return pc.if_else(pc.equal(rows.columns["exchange"], exchange), names, pa.scalar(None, pa.string()))


def _no_instrument(checks: Checks, index: int, exchange: str | None, instrument: str | None) -> tuple[Reason, str]:
    if checks.rows.columns["exchange"][index].as_py() != exchange:
        return Reason.COLUMNS, f"{checks.holds('exchange', index)}, where the file is of {exchange}."
    wanted = "which is no symbol" if instrument is None else f"where the file is of {instrument}"
    return Reason.COLUMNS, f"{checks.holds('symbol', index)}, {wanted}."


def _place(misfit: Misfit, layout: _Layout, venue: str, latest: int) -> Placed:
    """What can be understood of a line of too few or too many fields, from those that stand at their places."""
    fields = dict(zip(layout.names, (field.strip() for field in misfit.raw.split(",")), strict=False))
    instrument = _instrument(venue, fields.get("symbol", "")) if fields.get("exchange") == layout.exchange else None
    [nanoseconds] = nanoseconds_since_epoch(pa.array([fields.get("timestamp")], pa.string()), "us", latest).tolist()
    return Placed(misfit, instrument, max(nanoseconds, 0) // 1000)


def _times(checks: Checks, column: str) -> Int64s:
    """Times in nanoseconds, 0 where refused."""
    nanoseconds = nanoseconds_since_epoch(checks.rows.columns[column], "us", checks.latest)
    checks.refuse(
        nanoseconds < 0,
        lambda index: (Reason.TIME, f"{checks.holds(column, index)}, which is no time between 2009 and a day from now in microseconds."),
    )
    return np.maximum(nanoseconds, 0)


def _trade_values(checks: Checks) -> tuple[Int64s, Int64s, pa.Decimal128Array, pa.Decimal128Array, pa.BooleanArray]:
    """Event time and receive time in nanoseconds, price, size, and whether the aggressor sold (null: not said)."""
    nanoseconds, received = _times(checks, "timestamp"), _times(checks, "local_timestamp")
    price, size = checks.decimals("price", PRICE, "positive"), checks.decimals("amount", SIZE, "positive")
    side = pc.index_in(checks.rows.columns["side"], value_set=pa.array(_SIDES))
    checks.refuse(pc.is_null(side), lambda index: (Reason.SIDE, f"{checks.holds('side', index)}, neither sell nor buy nor unknown."))
    is_sell = pc.if_else(pc.less(side, 2), pc.equal(side, 0), pa.scalar(None, pa.bool_()))
    return nanoseconds, received, price, size, is_sell


def _ids(checks: Checks) -> Int64s:
    """The venue's numbers, -1 where there is none."""
    ids: Int64s = parse_integers(checks.rows.columns["id"]).fill_null(-1).to_numpy(zero_copy_only=False)
    return ids


def _trades(some: _Rows, ordinals: OrdinalsByInstrument | None) -> ParsedBatch:
    """Trades by the venue's numbers, or counted by `ordinals`."""
    checks, refusals = some.checks, Refusals()
    nanoseconds, received, price, size, is_sell = _trade_values(checks)
    if ordinals is None:
        refuse_placed(some.placed, refusals)
        sequence = checks.integers("id", Reason.MISSING_ID)
    else:
        sequence = _ordinal_sequence(some, ordinals, nanoseconds, refusals)
    columns = TradeColumns(
        instrument=some.instruments,
        sequence=sequence,
        event_time=nanoseconds // 1000,
        event_time_ns=finer(nanoseconds),
        price=price,
        size=size,
        is_sell=is_sell,
        received_at=pa.array(received // 1000),
    )
    return trade_batch(checks, columns, refusals, some.passed_over)


def _quotes(some: _Rows, ordinals: OrdinalsByInstrument) -> ParsedBatch:
    """Best bids and asks. An empty side is null; so is the size of one that has none."""
    checks, refusals = some.checks, Refusals()
    nanoseconds, received = _times(checks, "timestamp"), _times(checks, "local_timestamp")
    columns = QuoteColumns(
        instrument=some.instruments,
        sequence=_ordinal_sequence(some, ordinals, nanoseconds, refusals),
        event_time=nanoseconds // 1000,
        event_time_ns=finer(nanoseconds),
        bid_price=checks.decimals("bid_price", PRICE, "positive", may_be_absent=True),
        bid_size=checks.decimals("bid_amount", SIZE, "positive", may_be_absent=True),
        ask_price=checks.decimals("ask_price", PRICE, "positive", may_be_absent=True),
        ask_size=checks.decimals("ask_amount", SIZE, "positive", may_be_absent=True),
        # Where the venue gives no time, Tardis writes its own a second time.
        time_source=pc.if_else(pa.array(nanoseconds == received), "local", "venue"),
        received_at=pa.array(received // 1000),
    )
    return quote_batch(checks, columns, refusals, some.passed_over)


def _ordinal_sequence(some: _Rows, ordinals: OrdinalsByInstrument, nanoseconds: Int64s, refusals: Refusals) -> Int64s:
    numbers = ordinals.number(some.checks.rows.lines, some.instruments, nanoseconds // 1000, some.placed, refusals)
    sequence = ordinal_sequence(some.checks, nanoseconds // 1000, numbers)
    return np.where(some.instruments.is_valid().to_numpy(zero_copy_only=False), sequence, 0)
