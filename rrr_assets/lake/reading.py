"""Rows of archived partitions, in the types in which they are compared: only the files, row groups and columns that a question needs.

Belongs here: reading the files that a proof names, and saying so where one is not what it was. Does not: which files (planning.py), writing
them (files.py), merging them with the database's rows (read).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.outcomes import PermanentFailure, StoreUnreachable
from rrr_assets.calc.packing import columns_needed, unpack
from rrr_assets.contracts.archive import Archived
from rrr_assets.lake.files import ROW_GROUP, Written
from rrr_assets.lake.store import Store

_MARKS_OF_PARQUET: Final = ("corrupt", "crc", "decompress", "zstd", "parquet", "thrift", "flatbuffer", "page", "unexpected end", "eof")

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData, ParquetFile


class FileUnreadable(PermanentFailure):
    """A file of the archive is not there, or not what it was when it was proven."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows: of some instruments (None: of all) in [since, until) (None: no bound), with texts in some columns."""

    instruments: Collection[str] | None = None
    but: Collection[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    equal: Mapping[str, str] = field(default_factory=dict)


def rows(
    store: Store, archived: Archived, files: Sequence[Written], wanted: Wanted, names: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Rows of some files of a partition in the canonical types of the table, in the order of the files.

    Args:
        store: where they lie.
        archived: the table.
        files: as a proof names them.
        wanted: which rows.
        names: which columns, in the contract's order; None for all.

    Raises:
        FileUnreadable: one is missing, or not what was proven.
        StoreUnreachable: the store does not answer.
    """
    for batch in stored(store, archived, files, wanted, names):
        yield unpack(archived, batch, names)


def stored(
    store: Store, archived: Archived, files: Sequence[Written], wanted: Wanted, names: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The same rows in the columns of the files, of which the named columns of the table are made; null where a file has one not.

    Raises:
        FileUnreadable, StoreUnreachable: as `rows`.
    """
    columns = columns_needed(archived, [*(names or archived.table.column_names), *_asked(archived, wanted)])
    every = archived.stored_schema()
    schema = pa.schema([every.field(name) for name in columns])
    for file in files:
        with _told(file), store.open(file.url) as source, _opened(source, file) as parquet:
            groups = _row_groups(parquet.metadata, archived, wanted)
            held = _columns(parquet, archived, file)
            asked = [name for name in columns if name in held]
            missing = sum(parquet.metadata.row_group(number).num_rows for number in groups)
            for batch in parquet.iter_batches(ROW_GROUP, row_groups=groups, columns=asked):
                # Arrow keeps a second description of the columns, and gives what it finds by that one.
                if set(batch.schema.names) != set(asked):
                    raise _corrupt(file, "its columns are described in two ways")
                missing -= len(batch)
                chosen = _filtered(batch, archived, wanted)
                if len(chosen):
                    arrays = [chosen.column(each.name) if each.name in held else pa.nulls(len(chosen), each.type) for each in schema]
                    yield pa.RecordBatch.from_arrays(arrays, schema=schema)
            # A page says itself how many values it holds, where no checksum reaches.
            if missing:
                raise _corrupt(file, f"its pages lack {missing} rows")


def row_groups(store: Store, archived: Archived, file: Written, wanted: Wanted) -> tuple[int, int]:
    """(row groups that can hold wanted rows, all row groups) of a file, by its own statistics.

    Raises:
        FileUnreadable, StoreUnreachable: as `rows`.
    """
    with _told(file), store.open(file.url) as source, _opened(source, file) as parquet:
        return len(_row_groups(parquet.metadata, archived, wanted)), parquet.metadata.num_row_groups


def check_sizes(store: Store, files: Sequence[Written]) -> None:
    """Do nothing where all files are there and as long as they were.

    Raises:
        FileUnreadable, StoreUnreachable: as `rows`.
    """
    for file in files:
        with _told(file):
            size = store.size(file.url)
            if size != file.size_bytes:
                raise _corrupt(file, f"it has {size} bytes instead of {file.size_bytes}")


@contextmanager
def _told(file: Written) -> Iterator[None]:
    """Name the file in whatever goes wrong with it."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileUnreadable(
            f"{file.url} is not in the archive, and its rows are in no other place. Put it back from a copy of the store; if it was "
            "exchanged just now, ask again"
        ) from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, EOFError, UnicodeDecodeError) as error:
        raise _corrupt(file, str(error).strip().partition("\n")[0]) from error
    except OSError as error:
        message = str(error).strip().partition("\n")[0]
        # Arrow has one kind of error for a store that does not answer and for bytes that are no pages of Parquet.
        said = message.replace(file.url.rpartition("/")[2], "").lower()
        if "aws error" not in said and any(mark in said for mark in _MARKS_OF_PARQUET):
            raise _corrupt(file, message) from error
        raise StoreUnreachable(f"{file.url} cannot be read: {message}") from error


def _corrupt(file: Written, why: str) -> FileUnreadable:
    return FileUnreadable(f"{file.url} is not what was proven ({why}): none of it is read. Put it back from a copy of the store")


@contextmanager
def _opened(source: Any, file: Written) -> "Iterator[ParquetFile]":
    from pyarrow.parquet import ParquetFile

    if source.size() != file.size_bytes:
        raise _corrupt(file, f"it has {source.size()} bytes instead of {file.size_bytes}")
    with ParquetFile(source, page_checksum_verification=True, pre_buffer=True) as parquet:
        if parquet.metadata.num_rows != file.rows:
            raise _corrupt(file, f"it has {parquet.metadata.num_rows} rows instead of {file.rows}")
        yield parquet


def _columns(parquet: "ParquetFile", archived: Archived, file: Written) -> set[str]:
    """The columns of a file, which may lack what the contract had later."""
    stored = archived.stored_schema()
    schema = parquet.metadata.schema
    held = {schema.column(place).path.partition(".")[0] for place in range(parquet.metadata.num_columns)}
    unknown = sorted(held - set(stored.names))
    lacking = sorted(each.name for each in stored if not each.nullable and each.name not in held)
    if unknown or lacking:
        why = [*(f"it has a column {name!r}" for name in unknown), *(f"it has no column {name!r}" for name in lacking)]
        raise _corrupt(file, ", ".join(why[:3]))
    return held


def _row_groups(metadata: "FileMetaData", archived: Archived, wanted: Wanted) -> list[int]:
    """Row groups of which the statistics do not say that they hold no wanted row."""
    time = str(archived.table.time_column)
    places = {metadata.schema.column(place).path: place for place in range(metadata.num_columns)}
    found = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        bounds = {name: _bounds(group.column(places[name])) for name in ("instrument", time, *wanted.equal) if name in places}
        if _may_hold(bounds, time, wanted):
            found.append(number)
    return found


def _bounds(column: Any) -> tuple[Any, Any] | None:
    statistics = column.statistics
    return (statistics.min, statistics.max) if statistics is not None and statistics.has_min_max else None


def _may_hold(bounds: Mapping[str, tuple[Any, Any] | None], time: str, wanted: Wanted) -> bool:
    instruments, times = bounds.get("instrument"), bounds.get(time)
    if wanted.instruments is not None and instruments and not any(instruments[0] <= each <= instruments[1] for each in wanted.instruments):
        return False
    if times and ((wanted.since is not None and times[1] < wanted.since) or (wanted.until is not None and times[0] >= wanted.until)):
        return False
    return all(pair is None or pair[0] <= wanted.equal[name] <= pair[1] for name, pair in bounds.items() if name in wanted.equal)


def _asked(archived: Archived, wanted: Wanted) -> list[str]:
    """The columns by which rows are chosen."""
    return ["instrument", str(archived.table.time_column), *wanted.equal]


def _filtered(batch: pa.RecordBatch, archived: Archived, wanted: Wanted) -> pa.RecordBatch:
    times = batch.column(str(archived.table.time_column))
    masks = []
    if wanted.instruments is not None:
        masks.append(pc.is_in(batch.column("instrument"), pa.array(sorted(wanted.instruments), pa.string())))
    if wanted.but:
        masks.append(pc.invert(pc.is_in(batch.column("instrument"), pa.array(sorted(wanted.but), pa.string()))))
    if wanted.since is not None:
        masks.append(pc.greater_equal(times, pa.scalar(wanted.since, times.type)))
    if wanted.until is not None:
        masks.append(pc.less(times, pa.scalar(wanted.until, times.type)))
    masks += [pc.equal(batch.column(name), value) for name, value in wanted.equal.items()]
    chosen = masks[0] if masks else None
    for mask in masks[1:]:
        chosen = pc.and_(chosen, mask)
    return batch if chosen is None or pc.all(chosen).as_py() else batch.filter(chosen)
