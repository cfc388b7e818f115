"""Files of partitions: Parquet, written in the encodings that measure smallest, and read back row group by row group.

Belongs here: writing rows in the form of the archive, reading them as they are compared. Does not: that form (calc/packing), the catalogue.
Times and numbers that rise are deltas, whole numbers of prices too, sizes and doubles are split by byte, what repeats is a dictionary: see
docs/benchmarks.md.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from rrr_assets.calc.packing import Packer, unpack
from rrr_assets.contracts.archive import Archived
from rrr_assets.contracts.base import Type
from rrr_assets.lake.store import Store

ROW_GROUP: Final = 262_144
_CODEC: Final = "zstd"
_LEVEL: Final = 3
_DELTA: Final = "DELTA_BINARY_PACKED"
_SPLIT: Final = "BYTE_STREAM_SPLIT"
_BLOCK_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written: `sha256` is of its bytes."""

    url: str
    rows: int
    size_bytes: int
    sha256: str


def write(store: Store, url: str, archived: Archived, partition: date, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Written:
    """Write a partition's rows, which come in its order and in its canonical schema, into one new file."""
    packer, rows = Packer(archived, partition), 0
    pending: list[pa.RecordBatch] = []
    waiting = 0
    with store.writing(url) as out, pq.ParquetWriter(out, schema, **_options(schema)) as writer:
        for batch in batches:
            packed = packer.pack(batch)
            # The same columns, with the numbers that the catalogue gave them.
            pending.append(
                pa.RecordBatch.from_arrays(
                    [_as(values, each.type) for values, each in zip(packed.columns, schema, strict=True)], schema=schema
                )
            )
            waiting += len(batch)
            rows += len(batch)
            if waiting >= ROW_GROUP:
                writer.write_table(pa.Table.from_batches(pending, schema), row_group_size=ROW_GROUP)
                pending, waiting = [], 0
        if pending:
            writer.write_table(pa.Table.from_batches(pending, schema), row_group_size=ROW_GROUP)
    return Written(url, rows, store.size(url), sha256(store, url))


def read(store: Store, url: str, archived: Archived, batch_rows: int = ROW_GROUP) -> Iterator[pa.RecordBatch]:
    """A file's rows in the canonical schema of the table, in their order."""
    texts = [column.name for column in archived.table.columns if column.type is Type.TEXT]
    with store.open(url) as source, pq.ParquetFile(source, read_dictionary=texts) as file:
        for batch in file.iter_batches(batch_size=batch_rows):
            yield unpack(archived, _spelled_out(batch))


def _spelled_out(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Text as text. It is read as the dictionaries that it is written in, which is several times as fast where it repeats."""
    columns = []
    for values in batch.columns:
        if not pa.types.is_dictionary(values.type):
            columns.append(values)
        elif len(values.dictionary) == 1 and not values.null_count:
            columns.append(pa.repeat(values.dictionary[0], len(values)))
        else:
            columns.append(values.dictionary_decode())
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def sha256(store: Store, url: str) -> str:
    """The hash of an object's bytes, as they lie in the store."""
    hashed = hashlib.sha256()
    with store.open(url) as source:
        while block := source.read(_BLOCK_BYTES):
            hashed.update(block)
    return hashed.hexdigest()


def _options(schema: pa.Schema) -> dict[str, object]:
    """How each column is encoded."""
    encodings = {each.name: encoding for each in schema if (encoding := _encoding(each))}
    return {
        "compression": _CODEC,
        "compression_level": _LEVEL,
        "use_dictionary": [name for name in _leaves(schema) if name not in encodings],
        "column_encoding": encodings,
        "store_decimal_as_integer": True,
        "write_page_index": True,
        # A flipped byte is found by whoever reads the page, not only by who hashes the file.
        "write_page_checksum": True,
        "version": "2.6",
    }


def _encoding(described: pa.Field) -> str | None:
    if described.name.endswith("size_units") or pa.types.is_float64(described.type):
        return _SPLIT
    if pa.types.is_int64(described.type) or pa.types.is_timestamp(described.type):
        return _DELTA
    return None


def _leaves(schema: pa.Schema) -> list[str]:
    """The columns as Parquet names them: that of a list is its element."""
    return [f"{each.name}.list.element" if pa.types.is_list(each.type) else each.name for each in schema]


def _as(values: pa.Array, kind: pa.DataType) -> pa.Array:
    return values if values.type == kind else values.cast(kind)
