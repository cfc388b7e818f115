"""Captures of Polygon's crypto WebSocket: a line is a list of events, or one, with or without the local receive time before it.

Belongs here: its trades (XT), quotes (XQ) and minute bars (XA). Does not: its other events, which are passed over and counted; what
Polygon's formats share (polygon).

A line holds several events, so rows are numbered by event over the whole file, from 1: every element of a list counts, whatever it is,
and so does a line that cannot be read. Blank lines and empty lists do not.
The field r is when Polygon had a trade, not when the recorder had it, and is not read.
https://massive.com/docs/websocket/crypto/overview
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from rrr_assets.calc.decimals import PRICE, SIZE
from rrr_assets.calc.knowledge import clock_offset
from rrr_assets.venues.base import Evidence, ParsedBatch, Reason, Refusals, Source, SourceFacts, SourceRefused, Space, Stream, TimeUnit
from rrr_assets.venues.content import DAMAGED, line_blocks, open_content, raw_text, slices, unchanged, unlike, verify
from rrr_assets.venues.json_text import Json, decode, raw_element, text_of
from rrr_assets.venues.names import declared_days, given_instrument
from rrr_assets.venues.polygon import (
    POLYGON,
    TradeNames,
    has_trade_without_id,
    nanoseconds_of,
    pair_instrument,
    refuse_unnamed,
    times,
    trades,
    unit_of,
    without_long_quotients,
)
from rrr_assets.venues.rows import (
    PER_SECOND,
    SECOND,
    BarColumns,
    Checks,
    Int64s,
    QuoteColumns,
    TextRows,
    finer,
    last_time,
    ordinal_sequence,
    quote_batch,
    to_microseconds,
)
from rrr_assets.venues.rows_of_many import OrdinalsByInstrument, bars_of_many, condition_lists, without_empty_sides

_LINE: Final = re.compile(rb"([0-9]{9,19}(?:\.[0-9]{1,12})?):?[ \t]+(.*)", re.DOTALL)
_CLIENT: Final = re.compile(rb"\s*(wss?|https?)://")
_HEAD_LINE: Final = re.compile(
    r'^\s*(?:[0-9]{9,19}(?:\.[0-9]+)?:?[ \t]+)?\[?\s*\{[^{}]*"ev"\s*:\s*"(?:XT|XQ|XA|XAS|XL2|status)"', re.MULTILINE
)
_CODE: Final = re.compile(r"[0-9A-Za-z]{1,16}")
# By order: the first one that a file holds is the one that is read where none is asked for.
_EVENTS: Final[dict[str, Stream]] = {"XT": "trades", "XQ": "quotes", "XA": "venue_bars"}
_STREAMS: Final = tuple(_EVENTS.values())
_TRADE: Final = TradeNames("pair", "t", "p", "s", "x", "i")
_VWAP: Final = "vw"
_TRADE_COLUMNS: Final = ("pair", "p", "t", "s", "i", "x")
_COLUMNS: Final[dict[Stream, tuple[str, ...]]] = {
    "trades": _TRADE_COLUMNS,
    "quotes": ("pair", "bp", "bs", "ap", "as", "t"),
    "venue_bars": ("pair", "o", "c", "h", "l", "v", "s", "e", _VWAP),
}
_TIME: Final[dict[Stream, str]] = {"trades": "t", "quotes": "t", "venue_bars": "s"}
_INTERVAL: Final = "1m"
_MINUTE_NS: Final = 60 * 1_000_000_000
# Decoded events take several times the room of their text.
_BLOCK_LINES: Final = 20_000
_NO_TIME: Final = -1


class Capture:
    """The trades, quotes or bars of a capture. Of its pairs, `Source.instrument` takes one."""

    name = "polygon-ws"
    evidence: Evidence = "built from the specification"
    description = "Polygon (Massive) crypto WebSocket capture: lists of events XT, XQ and XA, a list a line, with or without receive time"

    def recognises(self, head: str) -> bool:
        return bool(_HEAD_LINE.search(head))

    def inspect(self, source: Source) -> SourceFacts:
        given = given_instrument(source, [POLYGON])
        content = verify(source)
        if not self.recognises(content.head):
            raise unlike(source, self.name, content.head)
        if not content.ends_in_newline and _decoded(1, content.last_line).problem:
            raise SourceRefused(source.name, f"it is truncated: its last line is '{raw_text(content.last_line)[:120]}'", DAMAGED)
        scanned = _scan(source, given)
        held: list[Stream] = [stream for stream in _STREAMS if stream in scanned.units] or ["trades"]
        stream = source.stream or held[0]
        if stream not in held:
            raise SourceRefused(source.name, f"it holds no {stream}", f"Ask for {' or '.join(held)}.")
        spaces: dict[Stream, Space | None] = {
            "trades": "ordinal" if scanned.lacks_ids else "exchange_trade_id",
            "quotes": "ordinal",
            "venue_bars": None,
        }
        return SourceFacts(
            stream=stream,
            space=spaces[stream],
            time_unit=scanned.units.get(stream) or "ms",
            sha256=content.sha256,
            size_bytes=content.size_bytes,
            declared=declared_days(source, None),
            interval=_INTERVAL if stream == "venue_bars" else None,
            # Without one given it may hold any number of them.
            instrument=given,
            others=tuple(other for other in held if other != stream),
            clock_offset_us=clock_offset(np.concatenate(scanned.leads)) if scanned.leads else None,
        )

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        unchanged(source, facts.size_bytes)
        given, latest = given_instrument(source, [POLYGON]), last_time()
        ordinals = None if facts.space == "exchange_trade_id" else OrdinalsByInstrument()
        # What cannot be read belongs to no stream: it is refused with the first one, and with no other again.
        is_first = facts.stream == next(stream for stream in _STREAMS if stream in {facts.stream, *facts.others})
        for lines in _blocks(source):
            events = _sort_out(lines, given, latest)
            refusals = Refusals()
            passed_over = events.passed_over + sum(len(found.events) for stream, found in events.found.items() if stream != facts.stream)
            for line in events.unread:
                if is_first and line.problem:
                    refusals.add(line.number, *line.problem, raw_text(line.raw))
                else:
                    passed_over += 1
            yield _batch(events.found[facts.stream], facts.stream, ordinals, latest, refusals, passed_over)

    def raw_lines(self, source: Source, lines: Sequence[int]) -> Mapping[int, str]:
        wanted, found = set(lines), dict[int, str]()
        for block in _blocks(source) if wanted else ():
            for line in block:
                for number in wanted.intersection(range(line.number, line.number + line.row_count)):
                    found[number] = raw_text(line.raw) if line.problem else raw_element(line.events[number - line.number])
            if block and block[-1].number > max(wanted):
                break
        return found


class _Line(NamedTuple):
    """A line of the file. `number` is that of its first event; `problem` is why there are none where it cannot be read."""

    number: int
    raw: bytes
    clock: bytes | None
    events: list[Json]
    problem: tuple[Reason, str] | None

    @property
    def row_count(self) -> int:
        return 1 if self.problem else len(self.events)


@dataclass(slots=True)
class _Found:
    """The events of one stream in a block: their numbers, instruments (null where unknown) and receive times.

    A receive time is in microseconds, None where there is none, and _NO_TIME where there is one that is no time.
    """

    numbers: list[int] = field(default_factory=list)
    instruments: list[str | None] = field(default_factory=list)
    received: list[int | None] = field(default_factory=list)
    events: list[dict[str, Json]] = field(default_factory=list)

    def rows(self, names: Sequence[str]) -> TextRows:
        """These events as columns of text."""
        columns = {name: pa.array([_text(event.get(name)) for event in self.events], pa.string()) for name in names}
        place = {number: index for index, number in enumerate(self.numbers)}
        return TextRows(np.array(self.numbers, np.int64), columns, lambda number: raw_element(self.events[place[number]]))


@dataclass(slots=True)
class _Events:
    """What the lines of a block hold. `others` are instruments that were not asked for."""

    found: dict[Stream, _Found] = field(default_factory=lambda: {stream: _Found() for stream in _STREAMS})
    unread: list[_Line] = field(default_factory=list)
    others: set[str] = field(default_factory=set)
    passed_over: int = 0


@dataclass(slots=True)
class _Scanned:
    """What only reading the whole file tells. `units` has the streams that it holds, with the unit of their times where one was told."""

    units: dict[Stream, TimeUnit | None] = field(default_factory=dict)
    lacks_ids: bool = False
    leads: list[Int64s] = field(default_factory=list)


def _blocks(source: Source) -> Iterator[list[_Line]]:
    """The file's lines, some at a time, with their events numbered."""
    number = 1
    with open_content(source) as (stream, _):
        for block in line_blocks(source, stream):
            for some in slices(block, _BLOCK_LINES):
                lines = []
                for start, end in pairwise(some.starts.tolist()):
                    line = _decoded(number, some.data[start:end])
                    number += line.row_count
                    lines.append(line)
                yield lines


def _decoded(number: int, raw: bytes) -> _Line:
    text = raw.strip()
    clock = None
    if parts := _LINE.match(text):
        clock, text = parts[1], parts[2]
    if not text or _CLIENT.match(text):
        return _Line(number, raw, clock, [], None)
    try:
        document = decode(text.decode()) if text.startswith((b"[", b"{")) else None
    except UnicodeDecodeError:
        return _Line(number, raw, clock, [], (Reason.ENCODING, "The line holds bytes that are no UTF-8."))
    except ValueError as error:
        return _Line(number, raw, clock, [], (Reason.NOT_JSON, f"The line is no JSON ({error})."))
    if document is None:
        return _Line(number, raw, clock, [], (Reason.NOT_JSON, "The line is no list of events, with or without a receive time before it."))
    return _Line(number, raw, clock, document if isinstance(document, list) else [document], None)


def _sort_out(lines: list[_Line], given: str | None, latest: int) -> _Events:
    """Sort the events of some lines by their stream."""
    events = _Events()
    for line in lines:
        if line.problem:
            events.unread.append(line)
            continue
        if not line.events:
            events.passed_over += 1
            continue
        received = None if line.clock is None else _received(line.clock, latest)
        for number, event in enumerate(line.events, line.number):
            kind = event.get("ev") if isinstance(event, dict) else None
            stream = _EVENTS.get(kind) if isinstance(kind, str) else None
            if stream is None or not isinstance(event, dict):
                events.passed_over += 1
                continue
            pair = event.get("pair")
            instrument = pair_instrument(pair) if isinstance(pair, str) else None
            if given is not None and instrument not in {None, given}:
                events.others.add(str(instrument))
                events.passed_over += 1
                continue
            found = events.found[stream]
            found.numbers.append(number)
            found.instruments.append(instrument)
            found.received.append(received)
            found.events.append(event)
    return events


def _scan(source: Source, given: str | None) -> _Scanned:
    """Read the file to its end.

    Raises:
        SourceRefused: it holds nothing of the instrument that was given.
    """
    scanned, others, latest = _Scanned(), set[str](), last_time()
    for lines in _blocks(source):
        events = _sort_out(lines, given, latest)
        others |= events.others
        for stream, found in events.found.items():
            if not found.events:
                continue
            rows = found.rows(_TRADE_COLUMNS if stream == "trades" else [_TIME[stream]])
            texts = rows.columns[_TIME[stream]]
            scanned.units[stream] = scanned.units.get(stream) or unit_of(texts.to_pylist(), latest)
            if stream == "trades" and not scanned.lacks_ids:
                scanned.lacks_ids = has_trade_without_id(rows, pa.array(found.instruments, pa.string()), _TRADE, latest)
            if stream != "venue_bars":
                scanned.leads.append(_leads(nanoseconds_of(texts, latest), found.received))
    if given is not None and others and not scanned.units:
        raise SourceRefused(
            source.name, f"it holds {', '.join(sorted(others)[:5])}, and nothing of {given}", "Correct --instrument, or leave it away."
        )
    return scanned


def _leads(nanoseconds: Int64s, received: list[int | None]) -> Int64s:
    """event_time less received_at in microseconds, where both are there."""
    clocks = np.array([_NO_TIME if clock is None else clock for clock in received], np.int64)
    has_both = (nanoseconds > 0) & (clocks != _NO_TIME)
    leads: Int64s = nanoseconds[has_both] // 1000 - clocks[has_both]
    return leads


def _batch(
    found: _Found, stream: Stream, ordinals: OrdinalsByInstrument | None, latest: int, refusals: Refusals, passed_over: int
) -> ParsedBatch:
    instruments = pa.array(found.instruments, pa.string())
    clocks = np.array([0 if clock is None else clock for clock in found.received], np.int64)
    received_at = pa.array(found.received, pa.int64())
    rows = found.rows(_COLUMNS[stream])
    if stream == "quotes":
        rows = replace(rows, columns=without_empty_sides(rows.columns, [("bp", "bs"), ("ap", "as")]))
    elif stream == "venue_bars":
        rows = replace(rows, columns={**rows.columns, _VWAP: without_long_quotients(rows.columns[_VWAP])})
    checks = Checks(rows, latest)
    checks.refuse(clocks == _NO_TIME, lambda _: (Reason.TIME, "Its receive time is no time between 2009 and a day from now."))
    if stream == "trades":
        conditions = [_conditions(event.get("c")) for event in found.events]
        checks.refuse(
            np.array([codes is None for codes in conditions], np.bool_), lambda _: (Reason.COLUMNS, "Field c is no list of codes.")
        )
        lists = condition_lists(pa.array([codes or "" for codes in conditions], pa.string()), ",")
        return trades(checks, _TRADE, instruments, lists, ordinals, [], refusals, passed_over, received_at)
    refuse_unnamed(checks, "pair", instruments)
    nanoseconds = times(checks, _TIME[stream], nanoseconds_of(rows.columns[_TIME[stream]], latest))
    if stream == "venue_bars":
        return _bars(checks, nanoseconds, instruments, refusals, passed_over)
    numbers = (ordinals or OrdinalsByInstrument()).number(rows.lines, instruments, nanoseconds // 1000, [], refusals)
    columns = QuoteColumns(
        instrument=instruments,
        sequence=ordinal_sequence(checks, nanoseconds // 1000, numbers),
        event_time=nanoseconds // 1000,
        event_time_ns=finer(nanoseconds),
        bid_price=checks.decimals("bp", PRICE, "positive", may_be_absent=True),
        bid_size=checks.decimals("bs", SIZE, "positive", may_be_absent=True),
        ask_price=checks.decimals("ap", PRICE, "positive", may_be_absent=True),
        ask_size=checks.decimals("as", SIZE, "positive", may_be_absent=True),
        received_at=received_at,
    )
    return quote_batch(checks, columns, refusals, passed_over)


def _bars(checks: Checks, nanoseconds: Int64s, instruments: pa.StringArray, refusals: Refusals, passed_over: int) -> ParsedBatch:
    ends = nanoseconds_of(checks.rows.columns["e"], checks.latest)
    checks.refuse(
        ends - nanoseconds != _MINUTE_NS, lambda index: (Reason.BAR_BOUNDS, f"{checks.holds('e', index)}, which is not a minute after s.")
    )
    open_, close, high, low = (checks.decimals(name, PRICE, "positive") for name in "ochl")
    columns = BarColumns(
        bar_start=nanoseconds // 1000,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=checks.decimals("v", SIZE, "not negative"),
        vwap=checks.decimals(_VWAP, PRICE, "positive", may_be_absent=True),
        # The venue sends a minute when it is over.
        is_closed=pa.repeat(pa.scalar(value=True), len(instruments)),
        trade_count=np.zeros(len(instruments), np.int64),
    )
    return bars_of_many(checks, columns, instruments, _INTERVAL, refusals, passed_over)


def _conditions(codes: Json) -> str | None:
    """The codes of a trade, joined by commas; None where they are no list of codes."""
    if codes is None:
        return ""
    listed = codes if isinstance(codes, list) else [codes]
    words = [code for code in listed if isinstance(code, str) and _CODE.fullmatch(code)]
    return ",".join(words) if len(words) == len(listed) else None


def _received(clock: bytes, latest: int) -> int:
    """A receive time in microseconds, its unit told by its magnitude, finer digits cut off; _NO_TIME where it is none."""
    found = to_microseconds(int(clock.partition(b".")[0]), latest)
    if found is None:
        return _NO_TIME
    return int(Decimal(clock.decode()) * SECOND // PER_SECOND[found[1]]) if b"." in clock else found[0]


def _text(value: Json) -> str | None:
    """A field as text. What is no single value is none, however deep it goes."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return text_of(value)
