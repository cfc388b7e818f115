"""WebSocket captures of any venue: a line is the local receive time and one JSON message, or the client's own.

Where a venue's messages carry all that a row needs, the receive time may be missing (`Dialect.needs_clock`).

Belongs here: cutting such a line, telling the lines of one stream from those of others without decoding them all, which
streams a capture holds, and how far the recorder's clock runs behind the venue's. Does not: what a venue's messages mean
(binance_ws, coinbase_ws).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.knowledge import clock_offset
from rrr_assets.venues.base import ParsedBatch, Reason, Refusals, Source, SourceFacts, SourceRefused, Space, Stream, TimeUnit
from rrr_assets.venues.content import DAMAGED, Block, Content, line_blocks, open_content, raw_text, unchanged
from rrr_assets.venues.json_text import Json, decode
from rrr_assets.venues.names import declared_days, parse_instrument
from rrr_assets.venues.rows import Int64s, TextRows, last_time, to_microseconds

Int8s = npt.NDArray[np.int8]

UNCLEAR: Final = -1  # only its message tells what it is
FOREIGN: Final = -2  # of no stream that is read here
SPACES: Final[Mapping[Stream, Space]] = {
    "trades": "trade_id",
    "agg_trades": "aggregate_id",
    "quotes": "update_id",
    "depth": "update_id",
}
_WORDS: Final[Mapping[Stream, str]] = {"agg_trades": "aggregated trades", "depth": "depth messages"}
_LINE: Final = re.compile(rb"\s*([0-9]{9,19}(?:\.[0-9]{1,12})?):?[ \t]+(.*)", re.DOTALL)
_CLOCK: Final = r"^\s*(?P<clock>[0-9]{9,19}(?:\.[0-9]{1,12})?):?[ \t]"
_CLIENT: Final = re.compile(rb"\s*(wss?|https?)://")
_NO_CLOCK: Final = 0
_FRACTION_DIGITS: Final[Mapping[TimeUnit, int]] = {"s": 6, "ms": 3, "us": 0, "ns": 0}


class Message(NamedTuple):
    """A message of a stream that is read. `channel` is the name under which it came, empty where it came under none."""

    stream: Stream
    instrument: str | None  # None where neither the message nor the file says
    data: dict[str, Json]
    channel: str = ""


class Dialect(Protocol):
    """How the messages of one venue are told apart, in one source."""

    streams: tuple[Stream, ...]  # in the order in which a file's streams are offered
    units: Mapping[Stream, TimeUnit]  # where no message tells
    has_foreign_times: bool  # whether the times of foreign messages are those at which they were made
    needs_clock: bool  # whether a message without a receive time before it is refused

    def kinds(self, lines: pa.BinaryArray) -> Int8s:
        """Of which of `streams` each line is, by its look: an index, `UNCLEAR` or `FOREIGN`."""
        ...

    def event_times(self, lines: pa.BinaryArray) -> Int64s:
        """The venue's time of each line by its look, in microseconds since 1970 UTC; 0 where there is none."""
        ...

    def message(self, document: Json, line: int, /) -> Message | None:
        """The message in a document; None where it is of no stream that is read.

        Raises:
            SourceRefused: the instrument that was given is of a market that has no such messages.
        """
        ...

    def time_unit(self, message: Message, /) -> TimeUnit | None:
        """The unit of a message's time, None where it does not tell."""
        ...


@dataclass(slots=True)
class Sorted:
    """What a block holds of one stream: line, receive time in microseconds (0: none), message; and what else was met in it."""

    messages: list[tuple[int, int, Message]] = field(default_factory=list)
    refusals: Refusals = field(default_factory=Refusals)
    passed_over: int = 0

    def text_rows(self, block: Block, columns: Mapping[str, Sequence[str | None]]) -> TextRows:
        """Columns of the messages' texts, as rows of the block that they come from."""
        lines = np.array([line for line, _, _ in self.messages], np.int64)
        texts = {name: pa.array(values, pa.string()) for name, values in columns.items()}
        return TextRows(lines, texts, lambda line: raw_text(block.line(line)))

    def instruments(self) -> pa.StringArray:
        return pa.array([message.instrument for _, _, message in self.messages], pa.string())

    def received_at(self) -> pa.Int64Array:
        """In microseconds since 1970 UTC, null where a line has none."""
        return pa.array([at or None for _, at, _ in self.messages], pa.int64())


class _Unreadable(Exception):
    """A line that is no receive time and message."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(detail)


def refuse_cut(source: Source, content: Content, *, needs_clock: bool) -> None:
    """Refuse a capture whose last line was never ended and is no whole message.

    Raises:
        SourceRefused: so.
    """
    if content.ends_in_newline:
        return
    try:
        _read_line(content.last_line, needs_clock=needs_clock)
    except _Unreadable as error:
        shown = raw_text(content.last_line)[:120]
        raise SourceRefused(source.name, f"it is truncated: its last line is '{shown}'", DAMAGED) from error


def facts_of(source: Source, content: Content, dialect: Dialect, given: str | None) -> SourceFacts:
    """The facts of the stream that is asked for, or of the first that the capture holds; `others` are all that it holds besides.

    Raises:
        SourceRefused: it holds none of that stream, or nothing of the instrument that was given.
    """
    units, others, offset = _survey(source, dialect, given)
    if not units and given and others:
        streams = " and ".join(_words(stream) for stream in dialect.streams if stream in {found[0] for found in others})
        instruments = ", ".join(sorted({found[1] for found in others})[:5])
        raise SourceRefused(source.name, f"it holds {streams} of {instruments}, none of {given}", "Correct --instrument, or leave it away.")
    # A capture of nothing that is read is an empty one of its first stream.
    held = [stream for stream in dialect.streams if stream in units] or [dialect.streams[0]]
    stream = source.stream or held[0]
    if stream not in held:
        of = f" of {given}" if given else ""
        raise SourceRefused(source.name, f"it holds no {_words(stream)}{of}", f"It holds {', '.join(held)}: ask for one of these.")
    return SourceFacts(
        stream=stream,
        space=SPACES[stream],
        time_unit=units.get(stream) or dialect.units[stream],
        sha256=content.sha256,
        size_bytes=content.size_bytes,
        declared=declared_days(source, None),
        # Without one given it may hold any number of them, and only parsing it would tell.
        instrument=given,
        others=tuple(other for other in held if other != stream),
        clock_offset_us=offset,
    )


def batches(
    source: Source, facts: SourceFacts, dialect: Dialect, given: str | None, build: Callable[[Block, Sorted, int], ParsedBatch]
) -> Iterator[ParsedBatch]:
    """The batches that `build` makes of each block's messages of the stream of `facts`; its last argument is the latest time believed."""
    unchanged(source, facts.size_bytes)
    latest = last_time()
    with open_content(source) as (stream, _):
        for block in line_blocks(source, stream):
            yield build(block, _sort_out(block, dialect, facts, given, latest), latest)


def lines_of(block: Block) -> pa.BinaryArray:
    """The block's lines, without a copy."""
    offsets = pa.array(block.starts, pa.int32())
    return pa.Array.from_buffers(pa.binary(), block.count, [None, offsets.buffers()[1], pa.py_buffer(block.data)])


def extract(lines: pa.BinaryArray, pattern: str) -> pa.BinaryArray:
    """What the one named group of a pattern finds in each line, null where it finds nothing."""
    [found] = pc.extract_regex(lines, pattern).flatten()
    return found


def by_look(lines: pa.BinaryArray, pattern: str, kind_of: Callable[[str], int]) -> Int8s:
    """The kinds of lines (see `Dialect.kinds`) by a name in them that a pattern finds; `UNCLEAR` where it finds none."""
    names = extract(lines, pattern).dictionary_encode()
    kinds = np.array([*(kind_of(name.decode("utf-8", "replace")) for name in names.dictionary.to_pylist()), UNCLEAR], np.int8)
    found: Int8s = kinds[names.indices.fill_null(len(kinds) - 1).to_numpy(zero_copy_only=False)]
    return found


@lru_cache(maxsize=4096)
def instrument_of(venue: str, symbol: str) -> str | None:
    """The instrument that a venue's symbol names; None where it can be no symbol."""
    try:
        return parse_instrument(f"{venue}:{symbol}")
    except ValueError:
        return None


def received(clock: bytes, latest: int) -> int | None:
    """A receive time in microseconds, its unit told by its magnitude, finer digits cut off; None where it is no time."""
    whole, _, fraction = clock.partition(b".")
    found = to_microseconds(int(whole), latest)
    if found is None or not fraction:
        return found[0] if found else None
    microseconds, unit = found
    digits = _FRACTION_DIGITS[unit]
    return microseconds + int(fraction[:digits].ljust(digits, b"0")) if digits else microseconds


def _words(stream: Stream) -> str:
    return _WORDS.get(stream, stream)


def _read_line(raw: bytes, *, needs_clock: bool) -> tuple[bytes | None, Json] | None:
    """The receive time (None where there is none) and the message of a line; None for a blank one and for one of the client's own.

    Raises:
        _Unreadable: it is neither.
    """
    parts = _LINE.match(raw)
    clock, message = (parts[1], parts[2]) if parts else (None, raw.strip())
    if parts is None:
        if not message or _CLIENT.match(raw):
            return None
        if needs_clock or not message.startswith(b"{"):
            raise _Unreadable(Reason.NOT_JSON, "The line is not a receive time and a JSON message.")
    try:
        return clock, decode(message.decode().rstrip())
    except UnicodeDecodeError as error:
        raise _Unreadable(Reason.ENCODING, "The line holds bytes that are no UTF-8.") from error
    except ValueError as error:
        raise _Unreadable(Reason.NOT_JSON, f"The message is no JSON ({error}).") from error


def _sort_out(block: Block, dialect: Dialect, facts: SourceFacts, given: str | None, latest: int) -> Sorted:
    """Sort a block's lines; those that are evidently of other streams are not decoded.

    A line that cannot be read is refused in the stream that it is evidently of, else in the first that the file holds:
    in one of them, and once.
    """
    kinds = dialect.kinds(lines_of(block))
    mine = dialect.streams.index(facts.stream)
    held = [dialect.streams.index(stream) for stream in (facts.stream, *facts.others)]
    is_first = mine == min(held)
    is_wanted = (kinds == mine) | (kinds == UNCLEAR)
    if is_first:
        # Of a stream that the file holds no whole message of.
        is_wanted |= (kinds >= 0) & ~np.isin(kinds, held)
    indices = np.flatnonzero(is_wanted)
    found = Sorted(passed_over=block.count - len(indices))
    starts, ends = block.starts[indices].tolist(), block.starts[indices + 1].tolist()
    for index, kind, start, end in zip(indices.tolist(), kinds[indices].tolist(), starts, ends, strict=True):
        line, raw = block.first_line + index, block.data[start:end]
        try:
            parts = _read_line(raw, needs_clock=dialect.needs_clock)
        except _Unreadable as error:
            if is_first or kind == mine:
                found.refusals.add(line, error.reason, error.detail, raw_text(raw))
            else:
                found.passed_over += 1
            continue
        message = dialect.message(parts[1], line) if parts else None
        if parts is None or message is None or message.stream != facts.stream or _is_of_another(message, given):
            found.passed_over += 1
        elif message.instrument is None:
            found.refusals.add(line, Reason.COLUMNS, "Neither the message nor the file names the instrument.", raw_text(raw))
        elif parts[0] is None:
            found.messages.append((line, _NO_CLOCK, message))
        elif (at := received(parts[0], latest)) is None:
            detail = f"The receive time '{parts[0].decode()}' is no time between 2009 and a day from now."
            found.refusals.add(line, Reason.TIME, detail, raw_text(raw), message.instrument)
        else:
            found.messages.append((line, at, message))
    return found


def _is_of_another(message: Message, given: str | None) -> bool:
    return given is not None and message.instrument is not None and message.instrument != given


def _survey(
    source: Source, dialect: Dialect, given: str | None
) -> tuple[dict[Stream, TimeUnit | None], set[tuple[Stream, str]], int | None]:
    """The streams that a capture holds with the unit of their first good time, what it holds of other instruments, its clock offset.

    No more messages are decoded than it takes; the clock is measured on every line that carries both times.
    """
    latest = last_time()
    units: dict[Stream, TimeUnit | None] = {}
    others: set[tuple[Stream, str]] = set()
    leads: list[Int64s] = []
    with open_content(source) as (stream, _):
        for block in line_blocks(source, stream):
            lines = lines_of(block)
            kinds = dialect.kinds(lines)
            timed = lines if dialect.has_foreign_times else lines.filter(pa.array(kinds >= 0))
            leads.append(_leads(timed, dialect.event_times(timed), latest))
            for message in _messages_until_settled(block, kinds, dialect, units):
                if _is_of_another(message, given):
                    others.add((message.stream, str(message.instrument)))
                elif units.get(message.stream) is None:
                    units[message.stream] = dialect.time_unit(message)
    return units, others, clock_offset(np.concatenate(leads))


def _messages_until_settled(block: Block, kinds: Int8s, dialect: Dialect, units: Mapping[Stream, TimeUnit | None]) -> Iterator[Message]:
    """The readable messages of a block of those streams of which the unit is not known yet."""
    for index in range(UNCLEAR, len(dialect.streams)):
        for place in np.flatnonzero(kinds == index).tolist():
            settled = [units.get(stream) is not None for stream in dialect.streams]
            if all(settled) if index == UNCLEAR else settled[index]:
                break
            line = block.first_line + place
            try:
                parts = _read_line(block.line(line), needs_clock=dialect.needs_clock)
            except _Unreadable:
                continue
            message = dialect.message(parts[1], line) if parts else None
            if message is not None:
                yield message


def _leads(lines: pa.BinaryArray, event_times: Int64s, latest: int) -> Int64s:
    """event_time less receive time in microseconds, of the lines that carry both."""
    is_timed = (event_times > 0) & (event_times <= latest)
    clocks = extract(lines.filter(pa.array(is_timed)), _CLOCK).to_pylist()
    arrivals = np.array([(clock and received(clock, latest)) or 0 for clock in clocks], np.int64)
    return (event_times[is_timed] - arrivals)[arrivals > 0]
