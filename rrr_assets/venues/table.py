"""Any table, CSV or Parquet, read by a mapping that the user wrote: which column is what, in which unit, on which side.

Belongs here: reading a table by its mapping. Does not: the mapping itself (table_mapping), any venue's format.

The mapping is half of what a row means, so it is half of the file's identity: the checksum in the facts is over both, and the same
table under another mapping is another file. Nothing is guessed from the content. CSV gives its numbers as text, Parquet gives those of
columns of integers, decimals and text. A column of floating point is refused, unless the mapping says `floats: shortest`: then the
shortest text that reads back as the same number is taken at its word, though the source itself was not exact.
https://parquet.apache.org/docs/file-format/
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rrr_assets.calc.decimals import PRICE, SIZE
from rrr_assets.venues.base import Evidence, ParsedBatch, Reason, Refusals, Source, SourceFacts, SourceRefused, Space, Stream, TimeUnit
from rrr_assets.venues.content import (
    DAMAGED,
    line_blocks,
    open_content,
    raw_lines,
    raw_text,
    read_head,
    unchanged,
    verify,
    verify_checksum,
)
from rrr_assets.venues.csv_text import header_names
from rrr_assets.venues.names import agreed_instrument, declared_days, given_instrument, parse_instrument
from rrr_assets.venues.quoted_csv import cut_quoted, fields, plain_line
from rrr_assets.venues.rows import (
    FIRST_TIME,
    BarColumns,
    Checks,
    Int64s,
    Misfit,
    QuoteColumns,
    TextRows,
    TradeColumns,
    agg_trade_batch,
    finer,
    last_time,
    ordinal_sequence,
    quote_batch,
    trade_batch,
)
from rrr_assets.venues.rows_of_many import (
    OrdinalsByInstrument,
    Placed,
    bars_of_many,
    condition_lists,
    names_of,
    nanoseconds_since_epoch,
    null_if_empty,
    only,
    refuse_placed,
    without_empty_sides,
)
from rrr_assets.venues.table_mapping import SideColumn, SymbolColumn, TableMapping, Unit, read_mapping

_PARQUET: Final = b"PAR1"
_BATCH_ROWS: Final = 100_000
_SPACES: Final[dict[Stream, Space]] = {"trades": "trade_id", "agg_trades": "aggregate_id", "quotes": "update_id"}
# Digits of a second that each unit tells.
_DIGITS: Final[dict[TimeUnit, int]] = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_ISO: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?$"
_ISO_ZONE: Final = r":[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
_ISO_DATE: Final = r"^.{10}$"


class Table:
    """One stream of a table. Of one that holds several instruments, `Source.instrument` takes one."""

    name = "table"
    evidence: Evidence = "built from the specification"
    description = "Any CSV or Parquet table with a mapping beside it, <file>.mapping.yaml: trades, aggregated trades, quotes or bars"

    def recognises(self, head: str) -> bool:  # noqa: ARG002 - what a table of one's own looks like, only its mapping says
        return False

    def inspect(self, source: Source) -> SourceFacts:
        mapping, mapping_sha256 = read_mapping(source)
        given = given_instrument(source, None)
        if source.stream not in {None, mapping.stream}:
            raise SourceRefused(source.name, f"its mapping says that it holds {mapping.stream}", f"Ask for the stream {mapping.stream}.")
        instrument = given if isinstance(mapping.instrument, SymbolColumn) else agreed_instrument(source, given, mapping.instrument)
        is_parquet = _is_parquet(source)
        sha256 = _verify_parquet(source, mapping) if is_parquet else _verify_csv(source, mapping)
        latest = last_time()
        unit: TimeUnit | None = None
        is_empty, others = True, set[str]()
        for part in _parts(source, mapping, given, latest):
            unit = unit or part.precision
            is_empty = is_empty and not len(part.rows.lines)
            others |= part.others
            # CSV was read to its end already; Parquet only shows where it is read that it is damaged.
            if not (is_parquet or is_empty):
                break
        if is_empty and others:
            raise SourceRefused(
                source.name, f"it holds {', '.join(sorted(others)[:5])}, and nothing of {given}", "Correct --instrument, or leave it away."
            )
        space: Space = "ordinal" if mapping.id is None else _SPACES[mapping.stream]
        return SourceFacts(
            stream=mapping.stream,
            space=None if mapping.stream == "venue_bars" else space,
            time_unit=unit or "s",
            sha256=hashlib.sha256(f"{sha256} {mapping_sha256}".encode()).hexdigest(),
            size_bytes=source.path.stat().st_size,
            declared=declared_days(source, mapping.declared),
            interval=mapping.interval,
            instrument=instrument,
        )

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        unchanged(source, facts.size_bytes)
        mapping, _ = read_mapping(source)
        if mapping.stream != facts.stream:
            raise ValueError(f"{source.name} is parsed with the facts of another file")
        latest = last_time()
        ordinals = OrdinalsByInstrument() if facts.space == "ordinal" else None
        for part in _parts(source, mapping, given_instrument(source, None), latest):
            yield _batch(part, mapping, ordinals, latest)

    def raw_lines(self, source: Source, lines: Sequence[int]) -> Mapping[int, str]:
        if not _is_parquet(source):
            return raw_lines(source, lines)
        wanted, found = sorted(set(lines)), dict[int, str]()
        for first, batch in _parquet_batches(source) if wanted else ():
            found.update((line, _row_text(batch, line - first)) for line in wanted if first <= line < first + len(batch))
            if first + len(batch) > wanted[-1]:
                break
        return found


# What a file holds, whatever it is packed in


@dataclass(frozen=True, slots=True)
class _Texts:
    """Some rows of a table as text, under its own names of its columns, and the units of its times."""

    rows: TextRows
    time_unit: Unit
    received_unit: Unit | None
    misfits: list[Misfit]
    passed_over: int


@dataclass(frozen=True, slots=True)
class _Part:
    """Some rows of the instruments that are wanted. `others` were not."""

    rows: TextRows
    instruments: pa.StringArray
    time_unit: Unit
    received_unit: Unit | None
    precision: TimeUnit | None
    placed: list[Placed]
    passed_over: int
    others: frozenset[str]


def _is_parquet(source: Source) -> bool:
    with source.path.open("rb") as file:
        return file.read(len(_PARQUET)) == _PARQUET


def _parts(source: Source, mapping: TableMapping, given: str | None, latest: int) -> Iterator[_Part]:
    """The rows of the instrument that was given, or all, and those of which nobody knows."""
    names = () if _is_parquet(source) else _csv_names(source, mapping)
    for texts in _csv_texts(source, mapping, names) if names else _parquet_texts(source, mapping):
        rows, passed_over, others = texts.rows, texts.passed_over, frozenset[str]()
        instruments = _instruments(rows.columns, mapping)
        placed = [_place(misfit, names, mapping, latest) for misfit in texts.misfits]
        if given is not None:
            kept = pc.fill_null(pc.equal(instruments, given), fill_value=True)
            others = frozenset(pc.unique(instruments.filter(pc.invert(kept))).to_pylist())
            mine = [one for one in placed if one.instrument in {None, given}]
            passed_over += len(rows.lines) - kept.true_count + len(placed) - len(mine)
            rows, instruments, placed = only(rows, kept), instruments.filter(kept), mine
        precision = _precision(rows.columns[mapping.time.column], texts.time_unit)
        yield _Part(rows, instruments, texts.time_unit, texts.received_unit, precision, placed, passed_over, others)


def _instruments(columns: Mapping[str, pa.StringArray], mapping: TableMapping) -> pa.StringArray:
    if isinstance(mapping.instrument, str):
        return pa.repeat(pa.scalar(mapping.instrument, pa.string()), len(columns[mapping.time.column]))
    venue = mapping.instrument.venue

    def name_of(symbol: str) -> str | None:
        try:
            return parse_instrument(f"{venue}:{symbol}")
        except ValueError:
            return None

    return names_of(columns[mapping.instrument.symbol], name_of)


def _place(misfit: Misfit, names: Sequence[str], mapping: TableMapping, latest: int) -> Placed:
    """What stands in the places of time and symbol on a line with other columns than it should have."""
    cells = dict(zip(names, fields(misfit.raw, mapping.delimiter), strict=False))
    columns = {name: pa.array([cells.get(name, "")], pa.string()) for name in mapping.text_columns}
    nanoseconds = _nanoseconds(columns[mapping.time.column], mapping.time.unit or "iso", latest)
    return Placed(misfit, _instruments(columns, mapping)[0].as_py(), max(int(nanoseconds[0]), 0) // 1000)


# CSV


def _verify_csv(source: Source, mapping: TableMapping) -> str:
    """Read the file to its end; returns its sha256."""
    content = verify(source)
    for key, time in (("time", mapping.time), ("received_at", mapping.received_at)):
        if time is not None and time.unit is None:
            raise SourceRefused(
                source.name,
                f"its mapping does not say in which unit {key} is",
                f"Write {key}.unit: s, ms, us, ns or iso, into the mapping.",
            )
    names = _csv_names(source, mapping)
    _require_columns(source, mapping, names)
    last = fields(content.last_line.decode("utf-8", "replace").rstrip("\r"), mapping.delimiter)
    # The last line comes without blanks at its end: tabs between empty fields are not missing.
    if not content.ends_in_newline and mapping.delimiter != "\t" and len(last) < len(names):
        raise SourceRefused(source.name, f"it is truncated: its last line is '{raw_text(content.last_line)[:120]}'", DAMAGED)
    return content.sha256


def _csv_names(source: Source, mapping: TableMapping) -> tuple[str, ...]:
    """The names of all columns, in order."""
    if mapping.names is not None:
        return mapping.names
    return tuple(name.strip() for name in fields(_first_line(source), mapping.delimiter))


def _first_line(source: Source) -> str:
    return read_head(source)[0].partition("\n")[0].rstrip("\r")


def _require_columns(source: Source, mapping: TableMapping, names: Sequence[str]) -> None:
    """Refuse a table without the columns that its mapping names, or with names that do not tell them apart."""
    missing = [name for name in mapping.text_columns if name not in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if missing or twice:
        reason = f"it has no column {', '.join(missing)}" if missing else f"its column {', '.join(twice)} stands twice"
        shown = ", ".join(names)
        raise SourceRefused(
            source.name, f"{reason}; its columns are {shown[:200]}", "Correct the mapping: columns, delimiter, header or names."
        )


def _csv_texts(source: Source, mapping: TableMapping, names: tuple[str, ...]) -> Iterator[_Texts]:
    header = header_names(plain_line(_first_line(source), mapping.delimiter))
    with open_content(source) as (stream, _):
        for block in line_blocks(source, stream):
            found = cut_quoted(block, names, mapping.text_columns, [] if mapping.names else [header], mapping.delimiter)
            yield _Texts(
                found.rows,
                mapping.time.unit or "iso",
                mapping.received_at.unit if mapping.received_at else None,
                found.misfits,
                found.passed_over,
            )


# Parquet


def _verify_parquet(source: Source, mapping: TableMapping) -> str:
    """Check the checksum beside it and the types of its columns; returns its sha256. That it is whole, only reading it shows."""
    with source.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    verify_checksum(source, sha256)
    if not mapping.model_fields_set.isdisjoint({"delimiter", "header", "names"}):
        raise SourceRefused(
            source.name, "it is Parquet, which names its own columns", "Leave delimiter, header and names out of the mapping."
        )
    try:
        schema = pq.read_schema(source.path)
        names = schema.names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged_parquet(source, error) from error
    _require_columns(source, mapping, names)
    times = {time.column: (key, time) for key, time in (("time", mapping.time), ("received_at", mapping.received_at)) if time is not None}
    for name in mapping.text_columns:
        kind = schema.field(name).type
        key, time = times.get(name, ("", None))
        is_time = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
        if time is not None and is_time != (time.unit is None):
            remedy = f"Leave {key}.unit out of the mapping." if is_time else f"Write {key}.unit: s, ms, us, ns or iso, into the mapping."
            raise SourceRefused(source.name, f"its column {name} holds {kind}", remedy)
        if time is None or not is_time:
            _require_exact(source, mapping, name, kind)
    return sha256


def _require_exact(source: Source, mapping: TableMapping, name: str, kind: pa.DataType) -> None:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_floating(kind):
        if mapping.floats == "refuse":
            raise SourceRefused(
                source.name,
                f"its column {name} holds {kind}, which is not exact",
                "Write it as decimals or text, or take its shortest digits at their word: floats: shortest, in the mapping.",
            )
        return
    readable = (
        pa.types.is_integer,
        pa.types.is_decimal,
        pa.types.is_boolean,
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_null,
    )
    if not any(is_kind(kind) for is_kind in readable):
        raise SourceRefused(source.name, f"its column {name} holds {kind}, which is not read", "Write it as integers, decimals or text.")


def _damaged_parquet(source: Source, error: Exception) -> SourceRefused:
    return SourceRefused(source.name, f"it is truncated or damaged Parquet ({' '.join(str(error).split())[:200]})", DAMAGED)


def _parquet_batches(source: Source) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of all columns in batches, each with the number of its first row, counted from 1."""
    first = 1
    try:
        with pq.ParquetFile(source.path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
                # Text that is no UTF-8 is not found out by reading it.
                batch.validate(full=True)
                yield first, batch
                first += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise _damaged_parquet(source, error) from error


def _parquet_texts(source: Source, mapping: TableMapping) -> Iterator[_Texts]:
    for first, batch in _parquet_batches(source):
        columns = {name: _as_text(batch.column(name)) for name in mapping.text_columns}

        def raw(line: int, batch: pa.RecordBatch = batch, first: int = first) -> str:
            return _row_text(batch, line - first)

        rows = TextRows(np.arange(first, first + len(batch), dtype=np.int64), columns, raw)
        received = mapping.received_at
        time_unit = _parquet_unit(batch, mapping.time.column, mapping.time.unit)
        yield _Texts(rows, time_unit, _parquet_unit(batch, received.column, received.unit) if received else None, [], 0)


def _parquet_unit(batch: pa.RecordBatch, column: str, said: Unit | None) -> Unit:
    kind = batch.schema.field(column).type
    if said is not None:
        return said
    unit: TimeUnit = "s" if pa.types.is_date(kind) else kind.unit
    return unit


def _as_text(column: pa.Array) -> pa.StringArray:
    """A column's values as text; times as the number of their unit since 1970, dates as seconds."""
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return column.cast(pa.string())


def _row_text(batch: pa.RecordBatch, index: int) -> str:
    """A row as refused rows keep it: JSON of its values as text (see `content.raw_text`)."""
    row = {name: _value_text(column.slice(index, 1)) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    return raw_text(json.dumps(row, ensure_ascii=False).encode())


def _value_text(value: pa.Array) -> str | None:
    try:
        text: str | None = value.cast(pa.string())[0].as_py()
    except pa.ArrowNotImplementedError:
        # Of lists and the like, which no mapping reads.
        return f"({value.type})"
    return text


# Times


def _nanoseconds(texts: pa.StringArray, unit: Unit, latest: int) -> Int64s:
    """Times as nanoseconds since 1970 in UTC; -1 where none between 2009 and `latest`."""
    if unit != "iso":
        return nanoseconds_since_epoch(texts, unit, latest)
    is_iso = pc.fill_null(pc.match_substring_regex(texts, _ISO), fill_value=False)
    zone = pc.if_else(
        pc.match_substring_regex(texts, _ISO_DATE), "T00:00:00Z", pc.if_else(pc.match_substring_regex(texts, _ISO_ZONE), "", "Z")
    )
    whole = pc.if_else(is_iso, pc.binary_join_element_wise(texts, zone, ""), pa.scalar(None, pa.string()))
    nanoseconds: Int64s = _timestamps(whole).cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return np.where((nanoseconds >= FIRST_TIME * 1000) & (nanoseconds <= latest * 1000), nanoseconds, -1)


def _timestamps(texts: pa.StringArray) -> pa.TimestampArray:
    """Cast whole; where there is such a thing as the 30th of February among them, one by one."""
    kind = pa.timestamp("ns", "UTC")
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:
        if len(texts) == 1:
            return pa.nulls(1, kind)
    middle = len(texts) // 2
    return pa.concat_arrays([_timestamps(texts.slice(0, middle)), _timestamps(texts.slice(middle))])


def _precision(texts: pa.StringArray, unit: Unit) -> TimeUnit | None:
    """The unit that some times are told in, by the most decimals among them; None where there are no times."""
    if not len(texts):
        return None
    decimals = pc.struct_field(pc.extract_regex(texts, r"\.(?P<decimals>[0-9]+)"), "decimals")
    digits = (_DIGITS[unit] if unit != "iso" else 0) + (pc.max(pc.utf8_length(decimals)).as_py() or 0)
    return next((name for name, known in _DIGITS.items() if digits <= known), "ns")


# What the columns mean


def _batch(part: _Part, mapping: TableMapping, ordinals: OrdinalsByInstrument | None, latest: int) -> ParsedBatch:
    rows, refusals = part.rows, Refusals()
    their = mapping.columns
    if mapping.stream == "quotes":
        sides = [(their[f"{side}_price"], their.get(f"{side}_size")) for side in ("bid", "ask")]
        rows = TextRows(rows.lines, without_empty_sides(rows.columns, sides), rows.raw)
    checks = Checks(rows, latest)
    if isinstance(mapping.instrument, SymbolColumn):
        symbol = mapping.instrument.symbol
        checks.refuse(pc.is_null(part.instruments), lambda index: (Reason.COLUMNS, f"{checks.holds(symbol, index)}, which is no symbol."))
    nanoseconds = _times(checks, mapping.time.column, part.time_unit)
    if mapping.stream == "venue_bars":
        refuse_placed(part.placed, refusals)
        return _bars(checks, mapping, nanoseconds, part, refusals)
    if mapping.id is not None:
        refuse_placed(part.placed, refusals)
        sequence = checks.integers(mapping.id, Reason.MISSING_ID)
    else:
        numbers = (ordinals or OrdinalsByInstrument()).number(rows.lines, part.instruments, nanoseconds // 1000, part.placed, refusals)
        sequence = ordinal_sequence(checks, nanoseconds // 1000, numbers)
    received_at = _received(checks, mapping, part.received_unit)
    if mapping.stream == "quotes":
        return quote_batch(checks, _quotes(checks, mapping, part, nanoseconds, sequence, received_at), refusals, part.passed_over)
    columns = TradeColumns(
        instrument=part.instruments,
        sequence=sequence,
        event_time=nanoseconds // 1000,
        event_time_ns=finer(nanoseconds),
        price=checks.decimals(their["price"], PRICE, "positive"),
        size=checks.decimals(their["size"], SIZE, "positive"),
        is_sell=None if mapping.side is None else _is_sell(checks, mapping.side),
        conditions=_conditions(checks, their["conditions"]) if "conditions" in their else None,
        received_at=received_at,
    )
    if mapping.stream == "trades":
        return trade_batch(checks, columns, refusals, part.passed_over)
    first, last = (checks.integers(their[name], Reason.MISSING_ID) for name in ("first_trade_id", "last_trade_id"))
    return agg_trade_batch(checks, columns, first, last, refusals, part.passed_over)


def _times(checks: Checks, column: str, unit: Unit) -> Int64s:
    nanoseconds = _nanoseconds(checks.rows.columns[column], unit, checks.latest)
    checks.refuse(
        nanoseconds < 0,
        lambda index: (Reason.TIME, f"{checks.holds(column, index)}, which is no time between 2009 and a day from now ({unit})."),
    )
    return np.maximum(nanoseconds, 0)


def _received(checks: Checks, mapping: TableMapping, unit: Unit | None) -> pa.Int64Array | None:
    """Receive times in microseconds, null where there is none; one that is no time is refused."""
    if mapping.received_at is None or unit is None:
        return None
    column = mapping.received_at.column
    texts = null_if_empty(checks.rows.columns[column])
    nanoseconds = _nanoseconds(texts, unit, checks.latest)
    is_absent = pc.is_null(texts).to_numpy(zero_copy_only=False)
    checks.refuse(
        (nanoseconds < 0) & ~is_absent,
        lambda index: (Reason.TIME, f"{checks.holds(column, index)}, which is no time between 2009 and a day from now ({unit})."),
    )
    return pa.array(nanoseconds // 1000, mask=nanoseconds < 0)


def _is_sell(checks: Checks, side: SideColumn) -> pa.BooleanArray:
    """Whether the aggressor sold, null where the table says that nobody knows."""
    words = [*side.buy, *side.sell, *side.unknown]
    found = pc.index_in(pc.fill_null(checks.rows.columns[side.column], ""), value_set=pa.array(words, pa.string()))
    checks.refuse(
        pc.is_null(found),
        lambda index: (Reason.SIDE, f"{checks.holds(side.column, index)}, which the mapping has neither for buy nor for sell."),
    )
    is_sell = pc.greater_equal(found, len(side.buy))
    known = pc.if_else(pc.less(found, len(side.buy) + len(side.sell)), is_sell, pa.scalar(None, pa.bool_()))
    return pc.invert(known) if side.is_makers else known


def _conditions(checks: Checks, column: str) -> pa.ListArray:
    checks.words(column)
    return condition_lists(checks.rows.columns[column], ",")


def _quotes(
    checks: Checks, mapping: TableMapping, part: _Part, nanoseconds: Int64s, sequence: Int64s, received_at: pa.Int64Array | None
) -> QuoteColumns:
    their = mapping.columns

    def size(name: str) -> pa.Decimal128Array | None:
        return checks.decimals(their[name], SIZE, "positive", may_be_absent=True) if name in their else None

    return QuoteColumns(
        instrument=part.instruments,
        sequence=sequence,
        event_time=nanoseconds // 1000,
        event_time_ns=finer(nanoseconds),
        bid_price=checks.decimals(their["bid_price"], PRICE, "positive", may_be_absent=True),
        bid_size=size("bid_size"),
        ask_price=checks.decimals(their["ask_price"], PRICE, "positive", may_be_absent=True),
        ask_size=size("ask_size"),
        received_at=received_at,
    )


def _bars(checks: Checks, mapping: TableMapping, nanoseconds: Int64s, part: _Part, refusals: Refusals) -> ParsedBatch:
    their = mapping.columns
    checks.refuse(
        nanoseconds % 1000 != 0, lambda index: (Reason.BAR_BOUNDS, f"{checks.holds(mapping.time.column, index)}, not the start of a bar.")
    )
    open_, high, low, close = (checks.decimals(their[name], PRICE, "positive") for name in ("open", "high", "low", "close"))

    def optional(name: str, to: pa.Decimal128Type) -> pa.Decimal128Array | None:
        return checks.decimals(their[name], to, "not negative", may_be_absent=True) if name in their else None

    trade_count = checks.integers(their["trade_count"]) if "trade_count" in their else None
    columns = BarColumns(
        bar_start=nanoseconds // 1000,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=checks.decimals(their["volume"], SIZE, "not negative"),
        is_closed=pa.repeat(pa.scalar(value=True), len(nanoseconds)),
        trade_count=np.zeros(len(nanoseconds), np.int64),
        quote_volume=optional("quote_volume", SIZE),
        vwap=optional("vwap", PRICE),
        taker_buy_volume=optional("taker_buy_volume", SIZE),
        taker_buy_quote_volume=optional("taker_buy_quote_volume", SIZE),
    )
    count = None if trade_count is None else pa.array(trade_count)
    return bars_of_many(checks, columns, part.instruments, mapping.interval or "", refusals, part.passed_over, count)
