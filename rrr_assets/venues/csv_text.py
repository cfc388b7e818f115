"""CSV as venues write it: unquoted fields of ASCII, one row a line.

Belongs here: cutting blocks of lines into columns of text with exact physical line numbers, whatever the
bad lines between the good ones look like. Does not: what a column means.
Quotes have no meaning, so that a stray one never swallows lines.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from rrr_assets.venues.base import Reason, Source, SourceRefused
from rrr_assets.venues.content import DAMAGED, Block, Content, raw_text
from rrr_assets.venues.rows import Misfit, TextRows

_PLAIN: Final = bytes(range(ord(" "), 127)) + b"\t\n"


@dataclass(frozen=True, slots=True)
class CsvRows:
    """What a block of lines holds: rows, misfits in line order, and a count of blank lines and headers."""

    rows: TextRows
    misfits: list[Misfit]
    passed_over: int


def data_lines(head: str) -> list[str]:
    """The lines of a head that are not blank, without their ends."""
    return [line.rstrip("\r") for line in head.split("\n") if line.strip()]


def header_names(line: str) -> tuple[str, ...]:
    """A header's names in one spelling: `quoteQty` and `quote_qty` are one name."""
    return tuple(name.strip().strip('"').replace("_", "").lower() for name in line.split(","))


def refuse_cut_last_line(source: Source, content: Content, last_field: re.Pattern[str], columns: Collection[int]) -> None:
    """Refuse a file whose end is missing: its last line was never ended and is no whole row.

    Raises:
        SourceRefused: so.
    """
    if content.ends_in_newline:
        return
    fields = content.last_line.decode("utf-8", "replace").split(",")
    if len(fields) < min(columns) or not last_field.fullmatch(fields[-1].strip()):
        raise SourceRefused(source.name, f"it is truncated: its last line is '{raw_text(content.last_line)[:120]}'", DAMAGED)


def cut(block: Block, names: Sequence[str], wanted: Sequence[str], headers: Collection[tuple[str, ...]]) -> CsvRows:
    """Cut a block into the wanted ones of its columns.

    Args:
        block: Whole lines; a header is looked for on the first line of the file alone.
        names: All the columns, in order.
        wanted: Those to be kept.
        headers: The headers that the format knows, as `header_names` spells them.
    """
    has_header = block.first_line == 1 and header_names(block.line(1).decode("utf-8", "replace").rstrip("\r\n")) in headers
    if not has_header and _is_plain(block):
        # Nothing odd in it: where every line has its columns, Arrow cuts the block at one go.
        table = _read(block.data, names, wanted)
        if table is not None and table.num_rows == block.count:
            lines = np.arange(block.first_line, block.first_line + block.count, dtype=np.int64)
            return CsvRows(_text_rows(block, lines, table), [], 0)
    return _cut_line_by_line(block, names, wanted, has_header=has_header)


def _is_plain(block: Block) -> bool:
    """Whether it holds printable ASCII, tabs and the ends of lines alone. Carriage returns are left to the other way."""
    if int(block.octets.max()) < 127 and np.count_nonzero(block.octets < ord(" ")) == block.count - (not block.data.endswith(b"\n")):
        # A control character for every line: the lines' ends. It spares a slower look at each.
        return True
    return not block.data.translate(None, _PLAIN)


def _cut_line_by_line(block: Block, names: Sequence[str], wanted: Sequence[str], *, has_header: bool) -> CsvRows:
    starts = block.starts
    commas = np.flatnonzero(np.frombuffer(block.data, np.uint8) == ord(","))
    is_row = np.diff(np.searchsorted(commas, starts)) == len(names) - 1
    encoding = _badly_encoded(block)
    is_row[sorted(encoding)] = False
    passed_over = 0
    if has_header:
        is_row[0], passed_over = False, 1
    misfits: list[Misfit] = []
    for index in np.flatnonzero(~is_row).tolist():
        line = block.first_line + index
        raw = block.line(line)
        if has_header and index == 0:
            continue
        if index in encoding:
            reason, detail = Reason.ENCODING, "The line holds bytes that are no UTF-8 or control characters."
        elif not raw.strip():
            passed_over += 1
            continue
        else:
            reason = Reason.COLUMNS
            detail = f"The line has {raw.count(b',') + 1} fields where {len(names)} are expected: {', '.join(names)}."
        misfits.append(Misfit(line, reason, detail, raw_text(raw), raw.split(b",", 1)[0].strip().decode("utf-8", "replace")))
    kept = np.frombuffer(block.data, np.uint8)[np.repeat(is_row, np.diff(starts))].tobytes()
    lines = block.first_line + np.flatnonzero(is_row)
    table = _read(kept, names, wanted) if kept else pa.table({name: pa.array([], pa.string()) for name in wanted})
    if table is None or table.num_rows != len(lines):
        raise RuntimeError(f"lines {block.first_line} and following: {len(lines)} rows were told apart, but not read as such")
    return CsvRows(_text_rows(block, lines.astype(np.int64), table), misfits, passed_over)


def _badly_encoded(block: Block) -> set[int]:
    """Index of the lines that hold control characters, a carriage return inside, or bytes that are no UTF-8."""
    data = np.frombuffer(block.data, np.uint8)
    odd = (data < ord(" ")) & (data != ord("\n")) & (data != ord("\t")) | (data >= 127)
    # A carriage return is odd unless the line's end follows.
    returns = np.flatnonzero(data == ord("\r"))
    at_end = np.append(data, np.uint8(ord("\n")))[returns + 1] == ord("\n")
    odd[returns[at_end]] = False
    indices = np.unique(np.searchsorted(block.starts, np.flatnonzero(odd), side="right") - 1)
    return {index for index in indices.tolist() if not _is_text(block.line(block.first_line + index))}


def _is_text(line: bytes) -> bool:
    try:
        text = line.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        return False
    # A byte order mark inside a file comes from glued files, and Arrow would drop it silently.
    return not text.startswith("\ufeff") and all((character >= " " and character != "\x7f") or character == "\t" for character in text)


def _read(data: bytes, names: Sequence[str], wanted: Sequence[str]) -> pa.Table | None:
    """Columns of text; None where the lines do not all have these columns. Blank lines give no row."""
    # A copy of Arrow's own: its threads may let go of the input when this process is about to end, and what is Python's would kill it.
    native = pa.BufferOutputStream()
    native.write(data)
    try:
        return pa.csv.read_csv(
            pa.BufferReader(native.getvalue()),
            read_options=pa.csv.ReadOptions(use_threads=False, column_names=list(names), block_size=len(data) + 1),
            parse_options=pa.csv.ParseOptions(quote_char=False, escape_char=False),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()), include_columns=list(wanted), check_utf8=False, strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None


def _text_rows(block: Block, lines: npt.NDArray[np.int64], table: pa.Table) -> TextRows:
    columns = {name: _one_array(table[name]) for name in table.column_names}
    return TextRows(lines, columns, lambda line: raw_text(block.line(line)))


def _one_array(column: pa.ChunkedArray) -> pa.StringArray:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
