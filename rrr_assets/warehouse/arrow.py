"""Rows of the database as Arrow, without a Python object per value.

Belongs here: what COPY prints, parsed and given the types of a contract. Does not: which rows are asked for, and of whom.
"""

import io
import json
from collections.abc import Iterator, Mapping
from typing import Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from rrr_assets.calc.decimals import NOTIONAL, WIDE_SIZE, most_whole_digits
from rrr_assets.contracts.base import Table, Type

JSON_FIELD: Final = {b"format": b"json"}
"""Metadata of a text field whose values are JSON."""

_BLOCK_BYTES: Final = 32 << 20
_SERIAL_BYTES: Final = 4 << 20
"""Answers of one block are parsed without threads: starting them takes longer."""
_JSON_TYPES: Final = frozenset({Type.JSON, Type.TIME_RANGES, Type.ID_RANGES})
# Types that Arrow's CSV reader does not make itself; they are read as text and converted after.
_FROM_TEXT: Final = frozenset({Type.VOLUME, Type.NOTIONAL, Type.TEXTS})
# Sums, by the type that holds any of them: they come in the narrower type of their contract where every value of the answer fits.
_WIDE: Final = {Type.VOLUME: WIDE_SIZE, Type.NOTIONAL: NOTIONAL}


def column_types(contract: Table, also: tuple[str, ...] = ()) -> dict[str, pa.DataType]:
    """The types in which COPY's text is read: of a contract's columns, and of text columns beside them."""
    types = {column.name: pa.string() if column.type in _FROM_TEXT else column.type.arrow for column in contract.columns}
    return types | {name: pa.string() for name in also}


def copied(
    connection: psycopg.Connection[tuple[object, ...]], statement: psycopg.sql.SQL | psycopg.sql.Composed, types: Mapping[str, pa.DataType]
) -> Iterator[pa.Table]:
    """The rows of a statement, `copy (...) to stdout (format csv, header)`, in tables of some tens of megabytes, at least one."""
    with connection.cursor() as cursor, cursor.copy(statement) as rows:
        for block in _blocks(rows):
            yield _parse(block, types)


def _blocks(rows: psycopg.Copy) -> Iterator[bytes]:
    """Cut what the server sends, a row at a time, into blocks of CSV that each begin with the header."""
    header, block, size = b"", io.BytesIO(), 0
    for row in rows:
        if not header:
            header = bytes(row)
            size = block.write(header)
            continue
        size += block.write(row)
        if size >= _BLOCK_BYTES:
            yield block.getvalue()
            block = io.BytesIO()
            size = block.write(header)
    yield block.getvalue()


def _parse(block: bytes, types: Mapping[str, pa.DataType]) -> pa.Table:
    # Arrow's threads may let go of their input when this process is about to end: what is Python's would kill it then.
    native = pa.BufferOutputStream()
    native.write(block)
    return csv.read_csv(
        pa.BufferReader(native.getvalue()),
        read_options=csv.ReadOptions(block_size=4 << 20, use_threads=len(block) > _SERIAL_BYTES),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        # COPY quotes an empty text and leaves a null bare.
        convert_options=csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )


def as_contract(table: pa.Table, contract: Table) -> pa.Table:
    """A table of COPY's text in the types of a contract; columns that the contract does not have stay as they are."""
    fields: list[pa.Field] = []
    columns: list[pa.ChunkedArray] = []
    for name, values in zip(table.column_names, table.itercolumns(), strict=True):
        column = next((each for each in contract.columns if each.name == name), None)
        kind = None if column is None else column.type
        converted = sums(values, kind) if kind in _WIDE else lists(values) if kind is Type.TEXTS else values
        columns.append(converted)
        is_nullable = column is not None and column.nullable
        fields.append(pa.field(name, converted.type, nullable=is_nullable, metadata=JSON_FIELD if kind in _JSON_TYPES else None))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def narrowed(table: pa.Table, contract: Table) -> pa.Table:
    """A table in wide types as a read hands out a contract's columns: sums in the narrower type where every value fits it."""
    fields: list[pa.Field] = []
    columns: list[pa.ChunkedArray] = []
    for name, values in zip(table.column_names, table.itercolumns(), strict=True):
        column = contract.column(name)
        converted = _narrow(values, column.type.arrow) if column.type in _WIDE else values
        columns.append(converted)
        fields.append(pa.field(name, converted.type, column.nullable, JSON_FIELD if column.type in _JSON_TYPES else None))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def sums(texts: pa.ChunkedArray, kind: Type) -> pa.ChunkedArray:
    """Sums in the type of their contract where every value fits it exactly, else in the wide one."""
    narrow = kind.arrow
    if most_whole_digits(texts) <= narrow.precision - narrow.scale:
        try:
            return pc.cast(texts, narrow)
        except pa.ArrowInvalid:
            pass  # more decimals than it holds, if only zeros
    return _narrow(pc.cast(texts, _WIDE[kind]), narrow)


def _narrow(wide: pa.ChunkedArray, narrow: pa.DataType) -> pa.ChunkedArray:
    try:
        return pc.cast(wide, narrow)
    except pa.ArrowInvalid:
        return wide


def lists(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """JSON lists of texts as Arrow lists. The same few lists occur again and again, so each is decoded once."""
    kind = pa.list_(pa.string())
    coded = texts.combine_chunks().dictionary_encode()
    decoded = pa.array([json.loads(text) for text in coded.dictionary.to_pylist()], kind)
    return pa.chunked_array([decoded.take(coded.indices)], kind)
