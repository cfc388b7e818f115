"""What must hold of a damaged file, whatever was done to it.

Belongs here: reading such a file by its format, and judging what came out against the file that it was made from. Does not: the damage
(mutations), running many of them (worker).

Only SourceRefused may be raised. Every unit of the file (a line, an element, an event) is a good row, a refused row or passed over.
What was not touched comes out as it did before. What was touched and comes out all the same is what its text says, exactly.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from rrr_assets.contracts.parsed import REFUSED_ROWS, SCHEMAS, UNDATED
from rrr_assets.venues import registry
from rrr_assets.venues.base import Reason, Source, SourceFacts, SourceRefused
from rrr_assets_tests.fuzz.seeds import Seed, document

Row = dict[str, Any]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE: Final = timedelta(microseconds=1)
_EARLIEST: Final = datetime(2009, 1, 1, tzinfo=UTC)
_INSTRUMENT: Final = re.compile(r"[a-z][a-z0-9-]{1,30}:[A-Z0-9]{2,40}")
_POSITIVE: Final = {"price", "size", "bid_price", "bid_size", "ask_price", "ask_size", "open", "high", "low", "close"}
_NOT_NEGATIVE: Final = {
    "sequence", "first_trade_id", "last_trade_id", "first_update_id", "last_update_id",
    "volume", "quote_volume", "vwap", "trade_count", "taker_buy_volume", "taker_buy_quote_volume",
}  # fmt: skip
_WORDS: Final = {"instrument": _INSTRUMENT, "side": re.compile("buy|sell")}
_TIMES: Final = {"event_time", "bar_start", "received_at", "new_event_time"}
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CLIENT: Final = re.compile(rb"\s*(wss?|https?)://")
_CLOCKED: Final = re.compile(rb"\s*([0-9]{9,19}(?:\.[0-9]{1,12})?):?[ \t]+(.*)", re.DOTALL)
_BOM: Final = b"\xef\xbb\xbf"
_HEAD_BYTES: Final = 64 << 10  # by which a format is told


@dataclass
class Read:
    """What a file gave, by stream; or why it was refused as a whole."""

    refused: SourceRefused | None = None
    is_late: bool = False  # it was refused after it had been inspected
    facts: dict[str, SourceFacts] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    refusals: dict[str, list[Row]] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)


def read(seed: Seed, path: Path, *, is_probed: bool = False) -> Read:
    """Drive the format over all streams of a file. If probed, it is asked for those too that the file does not hold."""
    parser = registry.get(seed.format)
    source = Source(path, path.name, seed.instrument, seed.day)
    found = Read()
    try:
        first = parser.inspect(source)
        for stream in (first.stream, *first.others):
            one = replace(source, stream=stream)
            found.facts[stream] = parser.inspect(one)
            found.is_late = True
            _parse(seed, one, found, found.facts[stream])
            found.is_late = False
    except SourceRefused as error:
        found.refused = error
        return found
    if found.facts[first.stream] != first:
        found.findings.append(f"asked for its first stream, it says other facts: {first} {found.facts[first.stream]}")
    for absent in sorted(SCHEMAS.keys() - found.facts.keys()) if is_probed else ():
        try:
            parser.inspect(replace(source, stream=absent))
        except SourceRefused:
            continue
        if "rest" not in seed.format and "vision" not in seed.format:  # of which there is but one stream
            found.findings.append(f"it was not refused for the stream {absent}, which it does not hold")
    return found


def _parse(seed: Seed, source: Source, found: Read, facts: SourceFacts) -> None:
    rows, refusals = found.rows.setdefault(facts.stream, []), found.refusals.setdefault(facts.stream, [])
    parser = registry.get(seed.format)
    for batch in parser.parse(source, facts):
        batch.rows.validate(full=True)
        batch.refused.validate(full=True)
        if (batch.rows.schema, batch.refused.schema) != (SCHEMAS[facts.stream], REFUSED_ROWS):
            found.findings.append("a batch has another schema")
        rows += batch.rows.to_pylist()
        refusals += batch.refused.to_pylist()
        found.passed_over[facts.stream] += batch.passed_over
    lines = [row["line"] for row in refusals]
    raws = parser.raw_lines(source, [*lines, 10**9])
    if sorted(raws) != sorted(lines):
        found.findings.append(f"raw lines were asked for {lines}, and given for {sorted(raws)}")
    found.findings += [
        f"line {row['line']} is refused with raw {row['raw'][:80]!r}, but reads {str(raws.get(row['line']))[:80]!r}"
        for row in refusals
        if raws.get(row["line"]) != row["raw"]
    ]


@dataclass
class Units:
    """What a content consists of.

    `around` is what is said once for all of them, `keys` tell them apart where the text alone does not, and `nothing` counts the lines
    that hold nothing that is numbered.
    """

    texts: list[bytes]
    around: object = None
    keys: list[bytes] = field(default_factory=list)
    nothing: int = 0


def units(seed: Seed, data: bytes) -> Units | None:
    """The units of a content; None where it is no such document."""
    data = data.removeprefix(_BOM)
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if seed.shape == "lines":
        return Units([line.removesuffix(b"\r") for line in lines])
    if seed.shape == "events":
        return _events(lines)
    try:
        found = json.loads(data.decode().strip(), parse_int=_marked, parse_float=_marked, parse_constant=_marked)
    except (ValueError, RecursionError):
        return None
    around = None
    if isinstance(found, dict):
        result = found.get("result")
        lists = {name: rows for name, rows in result.items() if isinstance(rows, list)} if isinstance(result, dict) else {}
        around = json.dumps({**found, "result": [*result, *lists]}) if isinstance(result, dict) else None
        found = next(iter(lists.values())) if len(lists) == 1 and not found.get("error") else None
    try:
        return Units([_text(element) for element in found], around) if isinstance(found, list) and found else None
    except RecursionError:
        return None


def _events(lines: Sequence[bytes]) -> Units:
    found = Units([])
    for line in lines:
        text, clock = line.strip(), b""
        if parts := re.fullmatch(rb"([0-9]{9,19}(?:\.[0-9]{1,12})?):?[ \t]+(.*)", text, re.DOTALL):
            clock, text = parts.groups()
        if not text or _CLIENT.match(text):
            found.nothing += 1
            continue
        try:
            read_as = json.loads(text.decode(), parse_int=_marked, parse_float=_marked, parse_constant=_marked)
            events = [_text(event) for event in read_as] if isinstance(read_as, list) else [_text(read_as)]
        except (ValueError, RecursionError):
            events = [line]
        if text[:1] not in b"[{":
            events = [line]
        found.texts += events
        found.keys += [clock + b" " + event for event in events]
        found.nothing += not events
    return found


def _marked(number: str) -> str:
    return f"\x01{number}"


def _text(element: Any) -> bytes:
    """An element with its numbers as they were written."""
    return re.sub(r'"\\u0001([^"]*)"', r"\1", json.dumps(element, separators=(",", ":"))).encode()


def judge(seed: Seed, data: bytes, is_spoilt: bool, before: Read, after: Read) -> Iterator[str]:
    """What does not hold of a file.

    Args:
        seed: What it was made from.
        data: What it contains, as it was packed.
        is_spoilt: Its packing was damaged afterwards.
        before: What the seed gave.
        after: What it gave.
    """
    yield from after.findings
    for stream, rows in after.rows.items():
        yield from _within_contract(stream, rows, after.refusals[stream])
    if seed.shape == "parquet":
        yield from _refusal(seed, data, None, None, after, is_spoilt=True)
        return
    old, new = units(seed, seed.data), units(seed, data)
    if old is None:
        raise ValueError(f"{seed.name} is no document")
    pairs = _kept(old, new) if new else {}
    yield from _refusal(seed, data, old, new, after, is_spoilt=is_spoilt)
    if after.refused is not None:
        return
    if new is None:
        yield "it is no document, and was read"
        return
    yield from _conserved(seed, new, after)
    is_renamed = seed.header == "by name" and new.texts[:1] != old.texts[:1]
    if not is_renamed and new.around == old.around:
        yield from _not_lost(seed, pairs, before, after, len(new.texts))
        yield from _exact(seed, new, after)


def _kept(old: Units, new: Units) -> dict[int, int]:
    """The new place of every unit that was not touched, from 1."""
    blocks = SequenceMatcher(None, old.keys or old.texts, new.keys or new.texts, autojunk=False).get_matching_blocks()
    return {block.a + n + 1: block.b + n + 1 for block in blocks for n in range(block.size)}


def _refusal(seed: Seed, data: bytes, old: Units | None, new: Units | None, after: Read, *, is_spoilt: bool) -> Iterator[str]:
    if after.refused is None:
        return
    error = after.refused
    if not (error.reason and error.remedy and error.file):
        yield f"it is refused without a reason or a remedy: {error}"
    if _CONTROLS.search(str(error)) or len(str(error)) > 2_000:
        yield f"it is refused with words that nobody can read: {str(error)[:200]!r}"
    if after.is_late and seed.shape != "parquet":
        yield f"it is refused after it was inspected: {error}"
    if is_spoilt or old is None or new is None or old.around != new.around:
        return
    pairs = _kept(old, new)
    is_cut = not data.endswith((b"\n", b"\r")) and len(new.texts) not in set(pairs.values())
    is_renamed = seed.header in {"by name", "needed"} and new.texts[:1] != old.texts[:1]
    is_hidden = sum(1 for text in old.texts if text in data[:_HEAD_BYTES]) < 4
    # By the first message of a stream, a capture is of futures or not.
    is_another = "which only those of futures have" in error.reason
    if not (2 * len(pairs) < len(old.texts) or is_cut or is_renamed or is_hidden or is_another):
        yield f"it is refused whole, though {len(pairs)} of {len(old.texts)} units are untouched: {error}"


def _conserved(seed: Seed, new: Units, after: Read) -> Iterator[str]:
    taken: dict[int, str] = {}
    for stream in after.rows:
        rows, refusals = after.rows[stream], after.refusals[stream]
        total = len(rows) + len(refusals) + after.passed_over[stream]
        if total != len(new.texts) + new.nothing:
            yield f"{stream}: {len(rows)} rows, {len(refusals)} refused, {after.passed_over[stream]} passed over, of {len(new.texts)}"
        for row in (*rows, *refusals):
            line = row["line"]
            if not 1 <= line <= len(new.texts):
                yield f"{stream}: there is no line {line} of {len(new.texts)}"
            elif line in taken:
                yield f"line {line} is in {taken[line]} and in {stream}"
            taken[line] = stream
        for row in refusals:
            yield from _explained(seed, stream, row, new)
    if seed.instrument is None or seed.is_json:
        for line, text in enumerate(new.texts, 1):
            if line not in taken and not _is_passable(seed, line, text):
                yield f"line {line} is neither a row nor refused: {text[:200]!r}"


def _explained(seed: Seed, stream: str, row: Row, new: Units) -> Iterator[str]:
    text = new.texts[row["line"] - 1] if 1 <= row["line"] <= len(new.texts) else b""
    if text.isascii() and text.decode().isprintable() and len(text) < 60_000:
        raw, told = row["raw"], text.decode().rstrip("\r")
        # An element is written out anew.
        if raw != told and (seed.shape == "lines" or _without_spaces(raw) != _without_spaces(told)):
            yield f"{stream}: line {row['line']} is {told[:100]!r}, and is refused with raw {raw[:100]!r}"
    if row["reason"] not in set(Reason) or len(row["detail"]) < 10:
        yield f"{stream}: line {row['line']} is refused without words: {row}"


def _without_spaces(text: str) -> str:
    return re.sub(r"\s", "", text)


def _is_passable(seed: Seed, line: int, text: bytes) -> bool:
    """Whether a unit may be passed over: there is nothing in it, it is a header, or it is evidently of another stream."""
    if not text.strip():
        return True
    if not seed.is_json:
        return (line == 1 and seed.format != "kraken-csv") or (seed.format == "rrr-corrections" and line < 5)
    if _CLIENT.match(text) or re.search(rb'"(stream|e|type|ev)"', text):
        return True
    if seed.shape == "elements":
        return False
    found = _CLOCKED.fullmatch(text)
    try:
        document((found[2] if found else text).decode().rstrip())
    except (ValueError, RecursionError):
        return False
    return True


def _not_lost(seed: Seed, pairs: Mapping[int, int], before: Read, after: Read, count: int) -> Iterator[str]:
    moved = _crowded_times(pairs, before, after)
    for stream, rows in before.rows.items():
        untouched = [row for row in rows if row["line"] in pairs]
        found = {row["line"]: row for row in after.rows.get(stream, [])}
        refused = {row["line"]: row for row in after.refusals.get(stream, [])}
        for row in untouched:
            line = pairs[row["line"]]
            if line in found:
                # Of an answer, the last bar was open.
                is_closed = line != count if seed.shape == "elements" and stream == "venue_bars" else row.get("is_closed")
                yield from _same({**row, "is_closed": is_closed}, found[line], before.facts[stream], after.facts[stream], moved)
            elif line not in refused or not _may_be_refused(refused[line]):
                yield f"{stream}: line {row['line']}, now {line}, is untouched and lost: {refused.get(line)}"


def _same(old: Row, new: Row, old_facts: SourceFacts, facts: SourceFacts, moved: set[tuple[str, datetime]]) -> Iterator[str]:
    expected, got = _comparable(old, old_facts), _comparable(new, facts)
    if facts.space != old_facts.space or (facts.space == "ordinal" and (old["instrument"], old["event_time"]) in moved):
        del expected["sequence"], got["sequence"]
    differing = {key: (expected[key], got[key]) for key in got if expected[key] != got[key]}
    if differing:
        yield f"{facts.stream}: line {old['line']}, now {new['line']}, is untouched and changed: {differing}"


def _may_be_refused(why: Row) -> bool:
    """Whether others can be the reason: no room beside them, or a name that is not the only one any more."""
    return why["reason"] == Reason.ORDINAL_OVERFLOW or "nor the file names the instrument" in why["detail"]


def _comparable(row: Row, facts: SourceFacts) -> Row:
    """A row without its place, and without what was measured over the whole file."""
    own = {key: value for key, value in row.items() if key != "line"}
    if row.get("time_source") == "local" and facts.clock_offset_us is not None:
        own["event_time"] -= _ONE * facts.clock_offset_us
    return own


def _crowded_times(pairs: Mapping[int, int], before: Read, after: Read) -> set[tuple[str, datetime]]:
    """Instruments and times of what was touched: the ordinals of others there may have moved."""
    kept = set(pairs.values())
    return {
        (row["instrument"], row["event_time"])
        for rows, untouched in ((before.rows, pairs), (after.rows, kept), (after.refusals, kept))
        for stream in rows
        for row in rows[stream]
        if row["line"] not in untouched and row.get("event_time")
    }


def _exact(seed: Seed, new: Units, after: Read) -> Iterator[str]:
    for stream, rows in after.rows.items():
        for row in rows:
            if not 1 <= row["line"] <= len(new.texts):
                continue
            try:
                numbers = seed.numbers(new.texts[row["line"] - 1], stream)
            except (ValueError, IndexError, KeyError, AttributeError):
                yield f"{stream}: line {row['line']} is a good row, and cannot be read otherwise: {new.texts[row['line'] - 1][:200]!r}"
                continue
            for name, text in numbers.items():
                if not _says(name, text, row.get(name)):
                    yield f"{stream}: line {row['line']} says {name} {text!r}, and gives {row.get(name)!r}"


def _says(name: str, text: str | None, value: Any) -> bool:
    """Whether a text says a value."""
    if value is None:
        # A side of a quote may be empty; whether this one is, its other field may say.
        return not text or name.startswith(("bid", "ask")) or name in {"price", "size", "vwap"}
    try:
        number = Decimal(text or "")
    except InvalidOperation:
        return False
    if name in _TIMES:
        us = (value - EPOCH) // _ONE
        return any(number.scaleb(scale) // 1 == us for scale in (6, 3, 0, -3))
    return bool(number == value)


def _within_contract(stream: str, rows: Sequence[Row], refusals: Sequence[Row]) -> Iterator[str]:
    latest = datetime.now(UTC) + timedelta(days=1, minutes=1)
    for row in rows:
        for name, value in row.items():
            if not _is_allowed(name, value, latest):
                yield f"{stream}: line {row['line']} has {name} {value!r}"
        yield from _fits_together(stream, row)
    for row in refusals:
        if _CONTROLS.search(row["detail"] + row["raw"]):
            yield f"{stream}: line {row['line']} is refused with control characters: {row!r:.300}"
        if not _is_allowed("event_time", row["event_time"], latest) or not _is_allowed("sequence", row["sequence"], latest):
            yield f"{stream}: line {row['line']} is refused with {row['event_time']} and {row['sequence']}"
        if row["instrument"] is not None and not _INSTRUMENT.fullmatch(row["instrument"]):
            yield f"{stream}: line {row['line']} is refused with the instrument {row['instrument']!r}"
    for some, what in ((rows, "good"), (refusals, "refused")):
        lines = [row["line"] for row in some]
        if any(later <= earlier for earlier, later in pairwise(lines)):
            yield f"{stream}: {what} lines come twice or out of order: {lines}"
    yield from _ordinals(stream, rows)


def _ordinals(stream: str, rows: Sequence[Row]) -> Iterator[str]:
    """Where the sequence counts places, it rises with the line among equal times."""
    last: dict[tuple[str, int], int] = {}
    for row in rows:
        if stream not in {"trades", "quotes"} or row["sequence"] // 4096 != (row["event_time"] - EPOCH) // _ONE:
            continue
        key = (row["instrument"], row["sequence"] // 4096)
        if last.get(key, -1) >= row["sequence"]:
            yield f"{stream}: line {row['line']} has a sequence that was there before: {row['sequence']}"
        last[key] = row["sequence"]


def _is_allowed(name: str, value: Any, latest: datetime) -> bool:
    if value is None:
        return True
    if name in _POSITIVE or name in _NOT_NEGATIVE:
        return bool(value > 0 if name in _POSITIVE else value >= 0)
    if name in _TIMES:
        # Of a local time, the clock was put right.
        return bool(_EARLIEST <= value <= latest)
    if name in _WORDS:
        return bool(_WORDS[name].fullmatch(value))
    texts = value if isinstance(value, list) else [value] if isinstance(value, str) else []
    return not any("\x00" in text for text in texts)


def _fits_together(stream: str, row: Row) -> Iterator[str]:
    line = f"{stream}: line {row['line']}"
    if row.get("event_time_ns") is not None and EPOCH + _ONE * (row["event_time_ns"] // 1000) != row["event_time"]:
        yield f"{line} has another time in nanoseconds"
    if stream == "venue_bars" and not row["low"] <= min(row["open"], row["close"]) <= max(row["open"], row["close"]) <= row["high"]:
        yield f"{line} has bounds that do not hold"
    if stream == "quotes" and row["bid_price"] is None and row["ask_price"] is None:
        yield f"{line} has neither side"
    if stream == "agg_trades" and row["last_trade_id"] < row["first_trade_id"]:
        yield f"{line} ends before it begins"
    if stream == "corrections" and row["action"] == "replace" and row["event_time"] < UNDATED:
        yield f"{line} is of no time"
    for side in ("bids", "asks") if stream == "depth" else ():
        for price, size in document(row[side]):
            if Decimal(price) <= 0 or Decimal(size) < 0:
                yield f"{line} has the level {price} {size}"
