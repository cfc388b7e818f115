"""How answers are printed: as a table to look at, as CSV, JSON or Parquet to work with.

Belongs here: texts of values, and the formats. Does not: what is asked (the commands), reading it (rrr_assets.read).

In CSV and JSON a time is ISO 8601 in UTC with `Z`, with six decimals where its microseconds are not zero; a decimal is a plain
string without exponent and trailing zeros, in JSON a string; a list is JSON; null is empty in CSV, where an empty text is `""`.
Texts are made a column at a time: there is no Python object per value of a table of numbers and times.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.decimals import plain_texts
from rrr_assets.calc.words import counted
from rrr_assets.cli.arguments import Format
from rrr_assets.cli.failures import CommandFailed
from rrr_assets.read import notes
from rrr_assets.warehouse.arrow import JSON_FIELD

TABLE_ROWS: Final = 1000
_BATCH_ROWS: Final = 50_000
_LEAST_WIDTH: Final = 12
_MOST_WHOLE: Final = 30
_NEEDS_QUOTES: Final = r'[",\r\n]'
_NEEDS_ESCAPES: Final = r'["\\\x00-\x1f]'
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != ord("\n")}


def emit(
    table: pa.Table,
    chosen: Format | None,
    *,
    as_json: bool = False,
    out: Path | None = None,
    title: str | None = None,
    hidden: Sequence[str] = (),
    right: Sequence[str] = (),
) -> None:
    """Print an answer, or write it to a file.

    Args:
        table: The answer.
        chosen: The format; None for the one that the name of `out` ends in, and a table where there is none.
        as_json: JSON, whatever was chosen.
        out: The file; None for stdout.
        title: Stands above a table.
        hidden: Columns that are left out of a table to look at, where they say the same in every row or matter to programs alone.
        right: Columns of texts that are set to the right of a table to look at, as numbers are.

    Raises:
        CommandFailed: the file cannot be written or its name says no format, Parquet would go to a terminal, or cannot hold the columns.
    """
    for sentence in notes(table):
        note(sentence)
    kind = Format.JSON if as_json else chosen or _format_of_name(out)
    if out is None:
        if kind is Format.PARQUET and sys.stdout.isatty():
            raise CommandFailed("Parquet is not for a terminal. Give --out FILE, or redirect the output")
        _write(table, kind, sys.stdout.buffer, title, hidden, right)
        sys.stdout.buffer.flush()
        return
    try:
        with out.open("wb") as file:
            _write(table, kind, file, title, hidden, right)
    except OSError as error:
        raise CommandFailed(f"{out} cannot be written ({error.strerror}). Choose another file") from error
    note(f"{counted(len(table), 'row')} {'is' if len(table) == 1 else 'are'} in {out}")


def note(sentence: str) -> None:
    """Say something beside the answer, on stderr, where it disturbs no program that reads the answer."""
    sys.stderr.write(f"{sentence}\n")


def _format_of_name(out: Path | None) -> Format:
    if out is None:
        return Format.TABLE
    ending = out.suffix.removeprefix(".").lower()
    if ending not in {Format.CSV, Format.JSON, Format.PARQUET}:
        raise CommandFailed(f"{out} does not say in what format. Let it end in .csv, .json or .parquet, or give --format")
    return Format(ending)


def _write(table: pa.Table, kind: Format, file: BinaryIO, title: str | None, hidden: Sequence[str], right: Sequence[str]) -> None:
    if kind is Format.TABLE:
        file.write(_table_text(table, title, hidden, right, is_terminal=file.isatty()).encode())
    elif kind is Format.PARQUET:
        from pyarrow import parquet

        try:
            parquet.write_table(table, file)
        except pa.ArrowInvalid as error:
            raise CommandFailed(f"Parquet cannot hold these columns ({error}). Name every column, each once") from error
    else:
        file.writelines(csv_chunks(table) if kind is Format.CSV else json_chunks(table))


# --- texts of values --------------------------------------------------------------------------------------------


def texts(values: pa.Array) -> pa.StringArray:
    """The values as they are printed; null stays null."""
    kind = values.type
    if pa.types.is_decimal(kind):
        return plain_texts(values)
    if pa.types.is_timestamp(kind):
        return pc.replace_substring(pc.strftime(values, "%Y-%m-%dT%H:%M:%SZ", locale="C"), ".000000Z", "Z")
    if pa.types.is_list(kind):
        return _per_distinct(values, lambda value: json.dumps(value, ensure_ascii=False))
    return pc.cast(values, pa.string())


def _per_distinct(values: pa.Array, text: Callable[[object], str]) -> pa.StringArray:
    """Texts made in Python, once per distinct value where Arrow can tell."""
    if pa.types.is_list(values.type):
        return pa.array([None if value is None else text(value) for value in values.to_pylist()], pa.string())
    coded = values.dictionary_encode()
    return pa.array([text(value) for value in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)


# --- CSV and JSON -----------------------------------------------------------------------------------------------


def csv_chunks(table: pa.Table) -> Iterator[bytes]:
    """The table as CSV (RFC 4180 with LF), a header first."""
    yield (",".join(_quoted(name) if any(mark in name for mark in '",\r\n') else name for name in table.column_names) + "\n").encode()
    yield from _lines(table, lambda batch: [_csv_texts(column) for column in batch.columns], ",", "\n")


def _csv_texts(values: pa.Array) -> pa.StringArray:
    printed = texts(values)
    if not (pa.types.is_string(values.type) or pa.types.is_list(values.type)):
        return pc.fill_null(printed, "")
    must = pc.or_(pc.match_substring_regex(printed, _NEEDS_QUOTES), pc.equal(pc.binary_length(printed), 0))
    if pc.any(must).as_py():
        quoted = pc.binary_join_element_wise('"', pc.replace_substring(printed, '"', '""'), '"', "")
        printed = pc.if_else(must, quoted, printed)
    return pc.fill_null(printed, "")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def json_chunks(table: pa.Table) -> Iterator[bytes]:
    """The table as a JSON list with an object per row, a row a line."""
    if not len(table):
        yield b"[]\n"
        return
    pieces = [f"{'{' if not n else ''}{json.dumps(name, ensure_ascii=False)}:" for n, name in enumerate(table.column_names)]
    fields = list(table.schema)

    def columns(batch: pa.RecordBatch) -> list[pa.StringArray]:
        values = [_json_texts(column, field) for column, field in zip(batch.columns, fields, strict=True)]
        return [pc.binary_join_element_wise(piece, value, "") for piece, value in zip(pieces, values, strict=True)]

    # The mark after the last row is another one, so each chunk waits for the next.
    last = b"[\n"
    for chunk in _lines(table, columns, ",", "},\n"):
        yield last
        last = chunk
    yield last.removesuffix(b",\n") + b"\n]\n"


def _json_texts(values: pa.Array, field: pa.Field) -> pa.StringArray:
    kind = values.type
    is_json = (field.metadata or {}).items() >= JSON_FIELD.items()
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_list(kind) or is_json:
        printed = texts(values)
    elif pa.types.is_floating(kind):
        # JSON has no words for what is not finite.
        printed = pc.if_else(pc.is_finite(values), texts(values), pc.binary_join_element_wise('"', texts(values), '"', ""))
    elif pa.types.is_string(kind) and pc.any(pc.match_substring_regex(values, _NEEDS_ESCAPES)).as_py():
        printed = _per_distinct(values, lambda value: json.dumps(value, ensure_ascii=False))
    else:
        printed = pc.binary_join_element_wise('"', texts(values), '"', "")
    return pc.fill_null(printed, "null")


def _lines(table: pa.Table, columns: Callable[[pa.RecordBatch], list[pa.StringArray]], between: str, after: str) -> Iterator[bytes]:
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        if not batch.num_rows or not batch.num_columns:
            continue
        joined = pc.binary_join_element_wise(*columns(batch), between)
        lines = pc.binary_join_element_wise(joined, "", after)
        # The texts lie one after the other in the array's last buffer: together they are the file.
        yield lines.buffers()[2].to_pybytes()


# --- a table to look at -----------------------------------------------------------------------------------------


def _table_text(table: pa.Table, title: str | None, hidden: Sequence[str], right: Sequence[str], *, is_terminal: bool) -> str:
    from rich import box
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = table.slice(0, TABLE_ROWS).drop_columns([name for name in table.column_names if name in hidden])
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for field in shown.schema:
        is_number = pa.types.is_decimal(field.type) or pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
        drawn.add_column(Text(field.name), justify="right" if is_number or field.name in right else "left", overflow="fold")
    cells = [texts(column.combine_chunks()).to_pylist() for column in shown.itercolumns()]
    for row in zip(*cells, strict=True):
        drawn.add_row(*(Text("" if cell is None else cell.translate(_CONTROLS)) for cell in row))
    console = Console(markup=False, highlight=False, force_terminal=is_terminal and sys.stdout.isatty())
    for place in _unfolded([max(map(len, (name, *filter(None, column)))) for name, column in zip(shown.column_names, cells, strict=True)],
                           console.width):  # fmt: skip
        drawn.columns[place].no_wrap = True
    if not is_terminal:
        # A file is as wide as it must be.
        console.width = max(Measurement.get(console, console.options.update(max_width=10_000), drawn).maximum, len(title or ""), 1)
    if not len(shown):
        note("no rows")
        return ""
    with console.capture() as captured:
        if title is not None:
            console.print(Text(title, style="bold"))
        console.print(drawn)
    if len(table) > TABLE_ROWS:
        note(f"{TABLE_ROWS:,} of {len(table):,} rows are shown; --format csv prints all")
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _unfolded(widths: Sequence[int], room: int) -> list[int]:
    """Which columns stay whole in a terminal that all of them are too wide for: short ones, so that what folds is long texts."""
    left = room - 3 * len(widths) - sum(min(width, _LEAST_WIDTH) for width in widths)
    found: list[int] = []
    for place in sorted(range(len(widths)), key=widths.__getitem__):
        left -= max(0, widths[place] - _LEAST_WIDTH)
        if left < 0 or widths[place] > _MOST_WHOLE:
            break
        found.append(place)
    return found
