"""The platform's own CSV of corrections: by what a stored trade is replaced, or that it is cancelled, each with its reason.

Belongs here: the columns, and what each row must say. Does not: finding the trade, and whether the correction stands
(warehouse/correct).
"""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.decimals import PRICE, SIZE
from rrr_assets.contracts.parsed import CORRECTIONS, UNDATED, UTC_MICROSECONDS
from rrr_assets.venues.base import Evidence, ParsedBatch, Reason, Refusals, Source, SourceFacts, SourceRefused
from rrr_assets.venues.content import DAMAGED, Block, line_blocks, open_content, raw_lines, raw_text, read_head, unchanged, unlike, verify
from rrr_assets.venues.names import given_instrument, parse_instrument
from rrr_assets.venues.rows import FIRST_TIME, Checks, Int64s, TextRows, last_time

_MANDATORY: Final = ("instrument", "sequence", "action", "reason")
_VALUES: Final = ("price", "size", "side", "new_event_time")
_COLUMNS: Final = (*_MANDATORY, "day", "event_time", *_VALUES)
_REPLACE, _CANCEL = "replace", "cancel"
_SIDES: Final = ("buy", "sell")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ufeff]")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
# Python reads more decimals of a second than it keeps.
_ISO: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})")
_MICROSECONDS: Final = re.compile(r"\d{15,19}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE: Final = timedelta(microseconds=1)
_UNDATED: Final = (UNDATED - _EPOCH) // _ONE


class RrrCorrections:
    """Corrections of any instruments; `Source.instrument` takes those of one. It claims no day."""

    name = "rrr-corrections"
    evidence: Evidence = "built from the specification"
    description = "Corrections and cancellations of stored trades: CSV with instrument, sequence, action, reason and new values"

    def recognises(self, head: str) -> bool:
        layout = _layout(head)
        return layout is not None and set(_MANDATORY) <= set(layout.names)

    def inspect(self, source: Source) -> SourceFacts:
        given = given_instrument(source, None)
        content = verify(source)
        layout = _checked_layout(source, content.head)
        if source.stream not in {None, "corrections"}:
            raise SourceRefused(source.name, "it holds corrections and nothing else", "Ask for the stream corrections.")
        if source.day is not None:
            raise SourceRefused(
                source.name, "corrections are not the whole of a day", "Leave --day away; the column day says on which day a trade stands."
            )
        if not content.ends_in_newline and not _is_whole(content.last_line, layout):
            raise SourceRefused(source.name, f"it is truncated: its last line is '{raw_text(content.last_line)[:120]}'", DAMAGED)
        if given is not None:
            _refuse_without(source, layout, given)
        return SourceFacts(
            stream="corrections",
            space=None,
            time_unit="us",
            sha256=content.sha256,
            size_bytes=content.size_bytes,
            instrument=given,
        )

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        unchanged(source, facts.size_bytes)
        layout, latest = _checked_layout(source, read_head(source)[0]), last_time()
        with open_content(source) as (stream, _):
            for block in line_blocks(source, stream):
                yield _parse(_cut(block, layout, facts.instrument), latest)

    def raw_lines(self, source: Source, lines: Sequence[int]) -> Mapping[int, str]:
        return raw_lines(source, lines)


@dataclass(frozen=True, slots=True)
class _Layout:
    line: int  # of the header
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Cut:
    """The rows of a block, with every column of the format, null where nothing stands; and what was refused or passed over."""

    rows: TextRows
    instruments: pa.StringArray
    refusals: Refusals
    passed_over: int


def _layout(head: str) -> _Layout | None:
    """The header, which is the first line that is not blank; None where it has none of the mandatory columns."""
    for number, line in enumerate(head.split("\n"), 1):
        if line.strip():
            fields = _fields(line.encode())
            names = tuple(field.lower() for field in fields) if isinstance(fields, list) else ()
            return _Layout(number, names) if set(names) & set(_MANDATORY) else None
    return None


def _checked_layout(source: Source, head: str) -> _Layout:
    """The header.

    Raises:
        SourceRefused: there is none, a column is missing or doubled, or one is not known: its values would be lost without a word.
    """
    layout = _layout(head)
    if layout is None:
        raise unlike(source, RrrCorrections.name, head)
    wrong = {
        "lacks": [name for name in _MANDATORY if name not in layout.names],
        "has the unknown": sorted(set(layout.names) - set(_COLUMNS)),
        "has twice": sorted({name for name in layout.names if layout.names.count(name) > 1}),
    }
    for how, names in wrong.items():
        if names:
            found = f"its header {how} {', '.join(repr(name) for name in names)}"
            raise SourceRefused(source.name, found, f"Its columns are {', '.join(_COLUMNS)}; the first four are mandatory.", layout.line)
    return layout


def _fields(line: bytes) -> list[str] | tuple[Reason, str]:
    """The fields of one physical line, or why it has none. A quoted field ends on its line, so that a stray quote swallows no other."""
    try:
        text = line.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        return Reason.ENCODING, "The line holds bytes that are no UTF-8."
    if _CONTROLS.search(text):
        return Reason.ENCODING, "The line holds control characters."
    try:
        [fields] = csv.reader([text], strict=True, skipinitialspace=True)
    except csv.Error as error:
        return Reason.COLUMNS, f"The line is no CSV ({error}): a field in quotes ends on its line, and its own quotes are doubled."
    return [field.strip() for field in fields]


def _is_whole(line: bytes, layout: _Layout) -> bool:
    fields = _fields(line)
    return isinstance(fields, list) and len(fields) == len(layout.names)


def _refuse_without(source: Source, layout: _Layout, given: str) -> None:
    """Refuse a file that has corrections, but none of the instrument that was given."""
    others: set[str] = set()
    with open_content(source) as (stream, _):
        for block in line_blocks(source, stream):
            found = set(_cut(block, layout, None).instruments.drop_null().unique().to_pylist())
            if given in found:
                return
            others |= found
    if others:
        raise SourceRefused(
            source.name,
            f"it holds corrections of {', '.join(sorted(others)[:5])}, none of {given}",
            "Correct --instrument, or leave it away.",
        )


def _cut(block: Block, layout: _Layout, given: str | None) -> _Cut:
    """Cut a block into its rows, line by line."""
    lines: list[int] = []
    rows: list[list[str]] = []
    names: list[str | None] = []
    refusals, passed_over = Refusals(), 0
    at = layout.names.index("instrument")
    for number in range(block.first_line, block.first_line + block.count):
        raw = block.line(number)
        if number <= layout.line or not raw.strip():
            passed_over += 1
            continue
        fields = _fields(raw)
        if isinstance(fields, list) and len(fields) != len(layout.names):
            fields = (
                Reason.COLUMNS,
                f"The line has {len(fields)} fields where {len(layout.names)} are expected: {', '.join(layout.names)}.",
            )
        if isinstance(fields, tuple):
            refusals.add(number, *fields, raw_text(raw), given)
            continue
        instrument = _instrument(fields[at])
        if given is not None and instrument not in {given, None}:
            passed_over += 1
            continue
        lines.append(number)
        rows.append(fields)
        names.append(instrument)
    texts = dict(zip(layout.names, zip(*rows, strict=True), strict=True)) if rows else {}
    columns = {name: pa.array([text or None for text in texts.get(name, ())] or [None] * len(rows), pa.string()) for name in _COLUMNS}
    found = TextRows(np.array(lines, np.int64), columns, lambda line: raw_text(block.line(line)))
    return _Cut(found, pa.array(names, pa.string()), refusals, passed_over)


@lru_cache(maxsize=4096)
def _instrument(text: str) -> str | None:
    try:
        return parse_instrument(text)
    except ValueError:
        return None


def _parse(some: _Cut, latest: int) -> ParsedBatch:
    checks = Checks(some.rows, latest)
    columns = some.rows.columns
    checks.refuse(
        pc.is_null(some.instruments),
        lambda index: (Reason.COLUMNS, f"{checks.holds('instrument', index)}, which is no instrument such as binance:BTCUSDT."),
    )
    checks.refuse(pc.is_null(columns["reason"]), lambda index: (Reason.COLUMNS, f"{checks.holds('reason', index)}."))
    sequence = checks.integers("sequence", Reason.MISSING_ID)
    _check_action(checks)
    event_time = _trade_times(checks)
    new_event_time = _times(checks, "new_event_time")
    price = checks.decimals("price", PRICE, "positive", may_be_absent=True)
    size = checks.decimals("size", SIZE, "positive", may_be_absent=True)
    is_no_side = pc.and_(pc.is_valid(columns["side"]), pc.invert(pc.is_in(columns["side"], pa.array(_SIDES))))
    checks.refuse(is_no_side, lambda index: (Reason.SIDE, f"{checks.holds('side', index)}, neither buy nor sell."))
    arrays = [
        pa.array(some.rows.lines),
        some.instruments,
        pa.array(sequence),
        pa.array(np.where(event_time == 0, _UNDATED, event_time)).cast(UTC_MICROSECONDS),
        columns["action"],
        price,
        size,
        columns["side"],
        pa.array(new_event_time, mask=new_event_time == 0).cast(UTC_MICROSECONDS),
        columns["reason"],
    ]
    kept = checks.finish(some.instruments, event_time, sequence, some.refusals)
    if kept is not None:
        arrays = [array.filter(kept) for array in arrays]
    return ParsedBatch(pa.RecordBatch.from_arrays(arrays, schema=CORRECTIONS), some.refusals.batch(), some.passed_over)


def _check_action(checks: Checks) -> None:
    """A replacement changes something, a cancellation nothing."""
    action = checks.rows.columns["action"]
    checks.refuse(
        pc.invert(pc.is_in(action, pa.array([_REPLACE, _CANCEL]))),
        lambda index: (Reason.ACTION, f"{checks.holds('action', index)}, neither {_REPLACE} nor {_CANCEL}."),
    )
    has_value = np.zeros(len(action), np.bool_)
    for name in _VALUES:
        has_value |= checks.rows.columns[name].is_valid().to_numpy(zero_copy_only=False)
    is_cancel = pc.equal(action, _CANCEL).fill_null(False).to_numpy(zero_copy_only=False)
    checks.refuse(
        is_cancel & has_value, lambda _: (Reason.ACTION, f"It cancels the trade and gives new values: leave {', '.join(_VALUES)} empty.")
    )
    checks.refuse(~is_cancel & ~has_value, lambda _: (Reason.ACTION, f"It replaces nothing: give at least one of {', '.join(_VALUES)}."))


def _trade_times(checks: Checks) -> Int64s:
    """When, or on which day, each trade was, in microseconds: the start of its day where only that is said, 0 where neither is."""
    times = _times(checks, "event_time")
    days = checks.rows.columns["day"]
    midnights = _read(days, _midnight, checks.latest)
    checks.refuse(
        midnights < 0, lambda index: (Reason.TIME, f"{checks.holds('day', index)}, which is no day such as 2024-01-31, from 2009 to today.")
    )
    midnights = np.maximum(midnights, 0)
    one_day = timedelta(days=1) // _ONE
    checks.refuse(
        (times > 0) & (midnights > 0) & (times // one_day != midnights // one_day),
        lambda index: (Reason.TIME, f"{checks.holds('event_time', index)}, which is not on the day {days[index]}."),
    )
    return np.where(times > 0, times, midnights)


def _times(checks: Checks, column: str) -> Int64s:
    """Times in microseconds, 0 where nothing stands or where refused."""
    times = _read(checks.rows.columns[column], _microseconds, checks.latest)
    checks.refuse(
        times < 0,
        lambda index: (
            Reason.TIME,
            f"{checks.holds(column, index)}, which is no time from 2009 on: write 2024-01-31T12:00:00.5Z, or microseconds since 1970.",
        ),
    )
    return np.maximum(times, 0)


def _read(texts: pa.StringArray, read: Callable[[str], int | None], latest: int) -> Int64s:
    """Each text as microseconds since 1970, 0 where there is none, -1 where it is none that is believed."""
    found = (0 if text is None else _believed(read(text), latest) for text in texts.to_pylist())
    return np.fromiter(found, np.int64, len(texts))


def _believed(microseconds: int | None, latest: int) -> int:
    return microseconds if microseconds is not None and FIRST_TIME <= microseconds <= latest else -1


def _microseconds(text: str) -> int | None:
    if _MICROSECONDS.fullmatch(text):
        return int(text)
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // _ONE if _ISO.fullmatch(text) else None
    except ValueError:
        return None


def _midnight(text: str) -> int | None:
    try:
        return (datetime.combine(date.fromisoformat(text), time(), UTC) - _EPOCH) // _ONE if _DAY.fullmatch(text) else None
    except ValueError:
        return None
