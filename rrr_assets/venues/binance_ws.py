"""Raw captures of Binance's WebSocket streams: trades, aggregated trades, best bids and asks, and order books.

Belongs here: what the messages of these streams mean, on spot and on futures. Does not: what captures of any venue share
(capture), the other streams, which are passed over and counted.
https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import cached_property
from itertools import chain
from typing import Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.decimals import PRICE, SIZE, parse_decimals, parse_integers
from rrr_assets.venues.base import Evidence, ParsedBatch, Reason, Source, SourceFacts, SourceRefused, Stream, TimeUnit
from rrr_assets.venues.binance import FALSE, MARKETS, TRUE, is_coin_margined, unit_of_times
from rrr_assets.venues.capture import (
    FOREIGN,
    UNCLEAR,
    Int8s,
    Message,
    Sorted,
    batches,
    by_look,
    extract,
    facts_of,
    instrument_of,
    lines_of,
    refuse_cut,
)
from rrr_assets.venues.content import Block, line_blocks, open_content, raw_lines, unlike, verify
from rrr_assets.venues.json_text import Json, Number, text_of
from rrr_assets.venues.names import BINANCE, BINANCE_COINM, BINANCE_USDM, given_instrument, venue_of
from rrr_assets.venues.rows import (
    Checks,
    DepthColumns,
    Int64s,
    QuoteColumns,
    TradeColumns,
    agg_trade_batch,
    depth_batch,
    quote_batch,
    trade_batch,
)
from rrr_assets.venues.rows_of_many import without_empty_sides

_STREAMS: Final[tuple[Stream, ...]] = ("trades", "agg_trades", "quotes", "depth")
_EVENTS: Final[dict[str, Stream]] = {"trade": "trades", "aggTrade": "agg_trades", "bookTicker": "quotes", "depthUpdate": "depth"}
_HEAD_LINE: Final = re.compile(r'[0-9]{9,19}(\.[0-9]+)?:?[ \t]+\{.*"(stream|e|lastUpdateId|u)"\s*:', re.MULTILINE)
_HEAD_OTHER: Final = re.compile(r'[0-9]{9,19}(\.[0-9]+)?:?[ \t]+\{.*"(product_id|product_ids)"\s*:', re.MULTILINE)
# The looks of messages: the first name of a stream or an event in them, else the keys of those that have neither.
_NAME: Final = r'"(?:stream|e)"\s*:\s*"(?P<name>[^"]*)"'
_BARE_SNAPSHOT: Final = '"lastUpdateId"'
_BARE_QUOTE: Final = r'\{\s*"u"\s*:\s*[0-9]+\s*,\s*"s"\s*:'
_SYMBOL: Final = r'"s"\s*:\s*"(?P<symbol>[^"]+)"'
_CHANNEL_SYMBOL: Final = r'"stream"\s*:\s*"(?P<symbol>[^"@]+)@'
_TRADED: Final = r'"T"\s*:\s*(?P<time>[0-9]{13,16})[,}\s]'
_SENT: Final = r'"E"\s*:\s*(?P<time>[0-9]{13,16})[,}\s]'
_DEPTH_CHANNEL: Final = re.compile(r"depth[0-9]*(@[0-9]+ms)?")
_PARTIAL_CHANNEL: Final = re.compile(r"[^@]+@depth[0-9]+(@[0-9]+ms)?")
_QUOTE_KEYS: Final = {"u", "s", "b", "a"}
_MICROSECONDS: Final = 10**14  # a smaller number counts milliseconds
_ORDINARY: Final = "MARKET"
# Twice the id and one more must fit 64 bits: see the sequence in contracts.parsed.DEPTH.
_LAST_UPDATE_ID: Final = 2**62 - 1
_ENCODE: Final[Callable[[object], str]] = json.JSONEncoder(separators=(",", ":")).encode


class Capture:
    """The streams of a capture. Of one that holds several instruments, `Source.instrument` takes one."""

    name = "binance-ws"
    evidence: Evidence = "proven on real data"
    description = (
        "Raw Binance WebSocket capture, a line is the local receive time and a message; "
        "takes the streams @trade, @aggTrade, @bookTicker and @depth, and depth snapshots"
    )

    def recognises(self, head: str) -> bool:
        # A single message of another venue may have got in.
        return len(_HEAD_LINE.findall(head)) > len(_HEAD_OTHER.findall(head))

    def inspect(self, source: Source) -> SourceFacts:
        given = given_instrument(source, MARKETS)
        content = verify(source)
        if not self.recognises(content.head):
            if _HEAD_OTHER.search(content.head):
                found = "it looks like a capture of Coinbase, not of Binance"
                raise SourceRefused(source.name, found, "Load it with --format coinbase-ws.")
            raise unlike(source, self.name, content.head)
        refuse_cut(source, content, needs_clock=_Dialect.needs_clock)
        return facts_of(source, content, _Dialect(source, given, is_first_look=True), given)

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        given = given_instrument(source, MARKETS)
        offset = facts.clock_offset_us or 0
        builds: dict[Stream, Callable[[Block, Sorted, int], ParsedBatch]] = {
            "trades": _trades,
            "agg_trades": _agg_trades,
            "quotes": lambda block, found, latest: _quotes(block, found, latest, offset),
            "depth": lambda block, found, latest: _depth(block, found, latest, offset),
        }
        yield from batches(source, facts, _Dialect(source, given), given, builds[facts.stream])

    def raw_lines(self, source: Source, lines: Sequence[int]) -> Mapping[int, str]:
        return raw_lines(source, lines)


class _Dialect:
    """Binance's messages, of combined streams and of single ones."""

    streams = _STREAMS
    # Quotes of spot carry no time: theirs is the recorder's, to the microsecond. So is that of a depth snapshot.
    # T and E of other messages may lie ahead: the T of a kline is its end.
    has_foreign_times = False
    needs_clock = True
    units: Mapping[Stream, TimeUnit] = {"trades": "ms", "agg_trades": "ms", "quotes": "us", "depth": "us"}

    def __init__(self, source: Source, given: str | None, *, is_first_look: bool = False) -> None:
        self._source, self._given, self._is_first_look = source, given, is_first_look

    def kinds(self, lines: pa.BinaryArray) -> Int8s:
        kinds = by_look(lines, _NAME, _kind_of)
        bare = np.flatnonzero(kinds == UNCLEAR)
        for pattern, stream in ((_BARE_QUOTE, "quotes"), (_BARE_SNAPSHOT, "depth")):
            looks_so = pc.match_substring_regex(lines.take(pa.array(bare)), pattern).to_numpy(zero_copy_only=False)
            kinds[bare[looks_so]] = _STREAMS.index(stream)
        return kinds

    def event_times(self, lines: pa.BinaryArray) -> Int64s:
        texts = pc.coalesce(extract(lines, _TRADED), extract(lines, _SENT)).cast(pa.string())
        times: Int64s = parse_integers(texts).fill_null(0).to_numpy(zero_copy_only=False)
        return np.where(times < _MICROSECONDS, times * 1000, times)

    def message(self, document: Json, line: int, /) -> Message | None:
        if not isinstance(document, dict):
            return None
        data, channel = document.get("data", document), document.get("stream")
        if not isinstance(data, dict):
            return None
        if not isinstance(channel, str):
            channel = ""
        stream = _stream_of(data, channel)
        if stream is None:
            return None
        symbol = data.get("s")
        if stream == "depth" and symbol is None:
            symbol = channel.partition("@")[0].upper() or self._only_symbol
        instrument = self._instrument(symbol, stream, data, line) if isinstance(symbol, str) and symbol else None
        return Message(stream, instrument, data, channel)

    def time_unit(self, message: Message, /) -> TimeUnit | None:
        if _is_local(message):
            # Of depth, a change that carries the venue's time may follow.
            return "us" if message.stream == "quotes" else None
        return unit_of_times([_time_of(message.data)])

    def _instrument(self, symbol: str, stream: Stream, data: dict[str, Json], line: int) -> str | None:
        proof = _proof_of_futures(stream, data)
        if proof and self._given is not None and venue_of(self._given) == BINANCE:
            if not self._is_first_look:
                # Its stream is not of futures, but this message got in.
                return instrument_of(BINANCE_USDM, symbol)
            found = f"the instrument was given as {self._given}, but its {stream} have {proof}, which only those of futures have"
            raise SourceRefused(self._source.name, found, "Correct --instrument.", line)
        if self._given is not None:
            return instrument_of(venue_of(self._given), symbol)
        if is_coin_margined(symbol):
            return instrument_of(BINANCE_COINM, symbol)
        # The aggregated trades of futures lack the field that is to be ignored on spot.
        is_futures = proof is not None or (stream == "agg_trades" and "M" not in data)
        return instrument_of(BINANCE_USDM if is_futures else BINANCE, symbol)

    @cached_property
    def _only_symbol(self) -> str | None:
        """The symbol of a message that names none: the only one in the file, or the given one where no message names any."""
        symbols: set[str] = set()
        with open_content(self._source) as (stream, _):
            for block in line_blocks(self._source, stream):
                lines = lines_of(block)
                for found in (extract(lines, _SYMBOL), extract(lines, _CHANNEL_SYMBOL)):
                    symbols |= {symbol.decode("utf-8", "replace").upper() for symbol in found.drop_null().unique().to_pylist()}
        if not symbols and self._given is not None:
            return self._given.partition(":")[2]
        return symbols.pop() if len(symbols) == 1 else None


def _kind_of(name: str) -> int:
    """The kind of a message by the name of its stream, such as `btcusdt@depth@100ms`, or of its event."""
    channel = name.partition("@")[2] or name.removeprefix("!")
    if stream := _EVENTS.get(channel):
        return _STREAMS.index(stream)
    return _STREAMS.index("depth") if _DEPTH_CHANNEL.fullmatch(channel) else FOREIGN


def _stream_of(data: dict[str, Json], channel: str) -> Stream | None:
    event = data.get("e")
    if isinstance(event, str):
        return _EVENTS.get(event)
    if event is not None:
        return None
    if "lastUpdateId" in data:
        return "depth"
    return "quotes" if channel.endswith("bookTicker") or data.keys() >= _QUOTE_KEYS else None


def _proof_of_futures(stream: Stream, data: dict[str, Json]) -> str | None:
    """The field that only messages of futures have; None where there is none."""
    if stream == "trades":
        return "X" if data.get("X") is not None else None
    return "T" if stream in {"quotes", "depth"} and "T" in data else None


def _is_snapshot(message: Message) -> bool:
    # The partial books of futures come in the form of changes.
    return "lastUpdateId" in message.data or bool(_PARTIAL_CHANNEL.fullmatch(message.channel))


def _is_local(message: Message) -> bool:
    """Whether a message is of a kind that carries no time of the venue."""
    return "e" not in message.data and _time_of(message.data) is None


def _time_of(data: dict[str, Json]) -> str | None:
    """When the venue matched or changed what a message tells, or else when it sent the message."""
    return text_of(data["T"] if "T" in data else data.get("E"))


def _texts(found: Sorted, names: str) -> dict[str, list[str | None]]:
    """Fields of the messages, each named by one letter."""
    return {name: [text_of(message.data.get(name)) for _, _, message in found.messages] for name in names}


def _conditions(message: Message) -> list[str] | None:
    kind = message.data.get("X")
    return None if kind is None or kind == _ORDINARY else [(text_of(kind) or "").lower()]


def _trades(block: Block, found: Sorted, latest: int) -> ParsedBatch:
    checks = Checks(found.text_rows(block, _texts(found, "tpqTmX")), latest)
    checks.words("X")
    trades = TradeColumns(
        instrument=found.instruments(),
        sequence=checks.integers("t", Reason.MISSING_ID),
        event_time=checks.milli_or_microseconds("T"),
        price=checks.decimals("p", PRICE, "positive"),
        size=checks.decimals("q", SIZE, "positive"),
        # The buyer was the maker: the aggressor sold.
        is_sell=checks.flags("m", TRUE, FALSE),
        conditions=pa.array([_conditions(message) for _, _, message in found.messages], pa.list_(pa.string())),
        received_at=found.received_at(),
    )
    return trade_batch(checks, trades, found.refusals, found.passed_over)


def _agg_trades(block: Block, found: Sorted, latest: int) -> ParsedBatch:
    checks = Checks(found.text_rows(block, _texts(found, "apqflTm")), latest)
    trades = TradeColumns(
        instrument=found.instruments(),
        sequence=checks.integers("a", Reason.MISSING_ID),
        event_time=checks.milli_or_microseconds("T"),
        price=checks.decimals("p", PRICE, "positive"),
        size=checks.decimals("q", SIZE, "positive"),
        is_sell=checks.flags("m", TRUE, FALSE),
        received_at=found.received_at(),
    )
    first, last = (checks.integers(name, Reason.MISSING_ID) for name in "fl")
    return agg_trade_batch(checks, trades, first, last, found.refusals, found.passed_over)


def _venue_times(found: Sorted, offset: int) -> tuple[list[str | None], pa.StringArray]:
    """The texts of the messages' times and where they come from; of a message without one, its receive time plus the clock offset."""
    texts: list[str | None] = []
    sources: list[str] = []
    for _, at, message in found.messages:
        is_local = _is_local(message)
        texts.append(str(at + offset) if is_local else _time_of(message.data))
        sources.append("local" if is_local else "venue")
    return texts, pa.array(sources, pa.string())


def _quotes(block: Block, found: Sorted, latest: int, offset: int) -> ParsedBatch:
    times, time_source = _venue_times(found, offset)
    rows = found.text_rows(block, {**_texts(found, "ubBaA"), "T": times})
    checks = Checks(replace(rows, columns=without_empty_sides(rows.columns, [("b", "B"), ("a", "A")])), latest)
    sequence, event_time = checks.integers("u", Reason.MISSING_ID), checks.milli_or_microseconds("T")
    bid_price, ask_price = (checks.decimals(name, PRICE, "positive", may_be_absent=True) for name in "ba")
    bid_size, ask_size = (checks.decimals(name, SIZE, "positive", may_be_absent=True) for name in "BA")
    for price, size in ((bid_price, bid_size), (ask_price, ask_size)):
        checks.refuse(
            pc.and_(pc.is_valid(price), pc.is_null(size)), lambda _: (Reason.COLUMNS, "A side has a price, and its size is missing.")
        )
    quotes = QuoteColumns(
        instrument=found.instruments(),
        sequence=sequence,
        event_time=event_time,
        bid_price=bid_price,
        bid_size=bid_size,
        ask_price=ask_price,
        ask_size=ask_size,
        time_source=time_source,
        received_at=found.received_at(),
    )
    return quote_batch(checks, quotes, found.refusals, found.passed_over)


def _depth(block: Block, found: Sorted, latest: int, offset: int) -> ParsedBatch:
    times, time_source = _venue_times(found, offset)
    messages = [message for _, _, message in found.messages]
    is_bare = ["lastUpdateId" in message.data for message in messages]
    last = [text_of(message.data.get("lastUpdateId" if bare else "u")) for message, bare in zip(messages, is_bare, strict=True)]
    is_snapshot = np.array([_is_snapshot(message) for message in messages], np.bool_)
    first = [
        last_id if snapshot else text_of(message.data.get("U"))
        for message, last_id, snapshot in zip(messages, last, is_snapshot.tolist(), strict=True)
    ]
    checks = Checks(found.text_rows(block, {"u": last, "U": first, "T or E": times}), latest)
    last_id, first_id = checks.integers("u", Reason.MISSING_ID), checks.integers("U", Reason.MISSING_ID)
    checks.refuse(last_id > _LAST_UPDATE_ID, lambda index: (Reason.MISSING_ID, f"{checks.holds('u', index)}, which is beyond 2^62-1."))
    checks.refuse(
        last_id < first_id, lambda index: (Reason.MISSING_ID, f"Its last update {last_id[index]} comes before its first {first_id[index]}.")
    )
    depth = DepthColumns(
        instrument=found.instruments(),
        event_time=checks.milli_or_microseconds("T or E"),
        message=pa.array(np.where(is_snapshot, "snapshot", "delta").tolist(), pa.string()),
        first_update_id=pa.array(first_id, mask=is_snapshot),
        last_update_id=np.where(last_id > _LAST_UPDATE_ID, 0, last_id),
        bids=_levels(checks, "bids", [message.data.get("bids" if bare else "b") for message, bare in zip(messages, is_bare, strict=True)]),
        asks=_levels(checks, "asks", [message.data.get("asks" if bare else "a") for message, bare in zip(messages, is_bare, strict=True)]),
        time_source=time_source,
        received_at=found.received_at(),
    )
    return depth_batch(checks, depth, found.refusals, found.passed_over)


def _levels(checks: Checks, side: str, of_messages: Sequence[Json]) -> pa.StringArray:
    """One side of each message as JSON, as received; refused where it is no list of exact prices and sizes."""
    sides = [_pairs(levels) for levels in of_messages]
    checks.refuse(
        np.array([pairs is None for pairs in sides], np.bool_),
        lambda _: (Reason.LEVELS, f"Its {side} are no list of prices and sizes, each a pair of texts."),
    )
    whole = [pairs or [] for pairs in sides]
    flat = [pair for pairs in whole for pair in pairs]
    owners = np.repeat(np.arange(len(whole)), [len(pairs) for pairs in whole])
    prices = parse_decimals(pa.array([price for price, _ in flat], pa.string()), PRICE)
    sizes = parse_decimals(pa.array([size for _, size in flat], pa.string()), SIZE)
    is_price, is_size = pc.greater(prices, pa.scalar(Decimal(0), PRICE)), pc.greater_equal(sizes, pa.scalar(Decimal(0), SIZE))
    bad = np.flatnonzero(~pc.and_(is_price, is_size).fill_null(False).to_numpy(zero_copy_only=False))
    first_bad = dict(zip(owners[bad][::-1].tolist(), bad[::-1].tolist(), strict=True))
    is_bad = np.zeros(len(whole), np.bool_)
    is_bad[list(first_bad)] = True
    wanted = "a price is a decimal greater than 0, a size one of 0 or more"
    checks.refuse(is_bad, lambda index: (Reason.LEVELS, f"Its {side} hold {_ENCODE(flat[first_bad[index]])[:120]}: {wanted}."))
    return pa.array([_ENCODE(pairs) for pairs in whole], pa.string())


def _pairs(levels: Json) -> list[list[str]] | None:
    """The levels of one side; None where they are no list of pairs of texts."""
    if not isinstance(levels, list) or not set(map(type, levels)) <= {list}:
        return None
    pairs = cast("list[list[str]]", levels)
    if not set(map(len, pairs)) <= {2}:
        return None
    texts = list(chain.from_iterable(pairs))
    # A text that is no ASCII is no number, and may be no text that can be kept.
    return pairs if set(map(type, texts)) <= {str, Number} and "".join(texts).isascii() else None
