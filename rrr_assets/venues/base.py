"""What every source format shares: a source, what was found out about it, its batches, its refusals.

Belongs here: the types of this layer and the reasons a row or a file can be refused for.
Does not: any one venue's format.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal, Protocol

import pyarrow as pa

from rrr_assets.contracts.parsed import REFUSED_ROWS

Stream = Literal["trades", "agg_trades", "quotes", "depth", "venue_bars", "corrections"]
Space = Literal["trade_id", "exchange_trade_id", "aggregate_id", "update_id", "ordinal"]
TimeUnit = Literal["s", "ms", "us", "ns"]
Evidence = Literal["proven on real data", "built from the specification"]


_CONTROLS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")

_REASON_CHARACTERS: Final = 1000  # a name in a file may be of any length


def printable(text: str) -> str:
    """A sentence that quotes a file, with what would end a line or command a terminal escaped."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class Reason(StrEnum):
    """Why a row went to quarantine. The values are stored, so they are only ever added to."""

    COLUMNS = "columns"  # too few or too many fields, or a field missing
    NOT_JSON = "not_json"
    NOT_A_NUMBER = "not_a_number"
    SCALE = "scale"  # more decimals than the platform or the instrument holds
    NOT_POSITIVE = "not_positive"
    TIME = "time"  # no time, or none between 2009 and a day from now in any known unit
    MISSING_ID = "missing_id"
    SIDE = "side"
    BAR_BOUNDS = "bar_bounds"  # high or low do not bound open and close, or a bar that starts off its grid
    ENCODING = "encoding"  # bytes that are no UTF-8, or control characters
    CONFLICT = "conflict"  # the same key is stored with other values
    GROUP_CONFLICT = "group_conflict"  # another source has other trades at this very time, and no ids to tell
    ORDINAL_OVERFLOW = "ordinal_overflow"  # more than 4096 lines in one microsecond
    LEVELS = "levels"  # a side of the book that is no list of prices and sizes
    ACTION = "action"  # a correction that neither replaces nor cancels, or changes nothing
    UNKNOWN_TRADE = "unknown_trade"  # a correction of a trade that is not stored
    AMBIGUOUS = "ambiguous"  # a correction of an id that stands on several days, and no day is said


class SourceRefused(Exception):
    """A whole file is refused: truncated, fails its checksum, or is no such format. Permanent: never retried."""

    def __init__(self, file: str, reason: str, remedy: str, line: int | None = None) -> None:
        shown = reason if len(reason) <= _REASON_CHARACTERS else f"{reason[:_REASON_CHARACTERS]}..."
        self.file, self.reason, self.remedy, self.line = file, printable(shown), remedy, line
        where = file if line is None else f"{file}, line {line}"
        super().__init__(f"{where}: {self.reason}. {remedy}")


@dataclass(frozen=True, slots=True)
class Source:
    """A file to be read. `name` is what the venue or the user called it, wherever it lies now."""

    path: Path
    name: str
    instrument: str | None = None  # given by the user: venue:SYMBOL
    day: date | None = None  # given by the user: the file is the whole of this UTC day
    stream: Stream | None = None  # which of the file's streams is read; None for the first that it holds


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What holds for the whole file, known once it was verified.

    `declared` is the half-open range of UTC days that the file claims to hold in full, by its venue's
    naming or by the user's word; None for a capture or a page of a REST answer, which claim nothing.
    A capture may hold several streams: these are the facts of one, and `others` are read by naming them in
    `Source.stream`, each as if it were a file of its own.
    """

    stream: Stream
    space: Space | None  # None for venue bars and corrections
    time_unit: TimeUnit
    sha256: str
    size_bytes: int
    declared: tuple[date, date] | None = None
    interval: str | None = None  # of venue bars
    instrument: str | None = None  # where the whole file is known to hold only one
    others: tuple[Stream, ...] = ()
    clock_offset_us: int | None = None  # to add to the recorder's clock, where the format itself measured it


@dataclass(frozen=True, slots=True)
class ParsedBatch:
    """Some rows of a file, in source order.

    `rows` has the stream's schema in `contracts.parsed.SCHEMAS`, `refused` that of `REFUSED_ROWS`;
    rows_read = rows + refused. `passed_over` counts lines that are no rows of this stream: those of other
    streams, and blank ones.
    """

    rows: pa.RecordBatch
    refused: pa.RecordBatch
    passed_over: int = 0


class Format(Protocol):
    """One source format. Implementations hold no state: a file may be read by several processes."""

    name: str
    evidence: Evidence
    description: str

    def recognises(self, head: str) -> bool:
        """Whether the first lines of some content (see `content.Content.head`) look like this format."""
        ...

    def inspect(self, source: Source) -> SourceFacts:
        """Read the file to its end and verify it whole: archive CRC, checksum beside it, format, last line.

        Raises:
            SourceRefused: the file is truncated, fails its checksum, or is not of this format.
        """
        ...

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        """Yield the file's rows in source order, in batches of bounded size."""
        ...

    def raw_lines(self, source: Source, lines: Sequence[int]) -> Mapping[int, str]:
        """The raw text of some physical lines, or elements of a JSON list, as refused rows keep it; none for a line that is not there."""
        ...


@dataclass(slots=True)
class Refusals:
    """Collects refused rows of one batch."""

    _rows: list[tuple[int, Reason, str, str, str | None, int | None, int | None]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._rows)

    def add(
        self,
        line: int,
        reason: Reason,
        detail: str,
        raw: str,
        instrument: str | None = None,
        event_time: int | None = None,
        sequence: int | None = None,
    ) -> None:
        """Refuse one row. `event_time` is in microseconds since the epoch, UTC."""
        self._rows.append((line, reason, printable(detail), raw, instrument, event_time, sequence))

    def batch(self) -> pa.RecordBatch:
        """The refused rows by line, in the schema `contracts.parsed.REFUSED_ROWS`."""
        ordered = sorted(self._rows, key=lambda row: row[0])
        columns = list(zip(*ordered, strict=True)) if ordered else [()] * len(REFUSED_ROWS)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, REFUSED_ROWS.types, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=REFUSED_ROWS)
