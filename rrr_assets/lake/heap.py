"""The rows of a day of history in the order of the archive: from staged files, and from what the archive holds of the day already.

Belongs here: the shelf on which the loader puts rows that go into the archive, and merging them without holding a day in memory. Does not:
what is put there (warehouse/load), how it is written and proven (proving.py).
Rows lie in pieces: batches of staged files, row groups of archived ones. A first look at a piece says which instruments it holds, and when.
"""

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rrr_assets.calc.coverage import Tape, TapeBuilder
from rrr_assets.calc.outcomes import RuleResult
from rrr_assets.calc.packing import unpack
from rrr_assets.contracts.archive import ARCHIVED, Archived
from rrr_assets.contracts.base import Type
from rrr_assets.lake.proving import Proof, latest_proof
from rrr_assets.lake.stages import Stages
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.load import NotApart, stored_columns, with_constants
from rrr_assets.warehouse.staging import StagedFile, batch_of, rows_of
from rrr_assets.warehouse.tapes import StoredRows
from rrr_assets.warehouse.tick_tables import CONSECUTIVE, TickTable

_TOGETHER: Final = 1_000_000
"""Rows of small instruments that are read, sorted and handed on at once."""

_KEYS: Final = ("instrument", "event_time", "sequence")
_END: Final = 2**63 - 1
_LEVELS: Final = r"""^\[(?:\["[-+.0-9A-Za-z]*","[-+.0-9A-Za-z]*"\],?)*\]$"""

Stamps = Mapping[str, tuple[Any, pa.DataType]]


class _Source(Protocol):
    """Where pieces lie."""

    def rows(self, number: int) -> pa.RecordBatch:
        """All that counts of a piece, in the canonical schema of the archive."""

    def keys(self, number: int) -> pa.RecordBatch:
        """The same rows' instrument, event_time and sequence alone."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows that lie together. `spans` has by instrument how many, and their first and last time in microseconds since 1970 UTC."""

    source: _Source
    number: int
    spans: Mapping[str, tuple[int, int, int]]


@dataclass
class _Staged:
    """A staged file's rows of some instruments, less the lines that were refused."""

    file: StagedFile
    day: date
    kind: TickTable
    archived: Archived
    instruments: pa.Array
    stamps: Stamps
    refused: pa.Array

    def rows(self, number: int) -> pa.RecordBatch:
        kept = self._kept(batch_of(self.file.folder, self.day, number))
        full = with_constants(stored_columns(kept, self.file, self.kind), self.kind, self.stamps)
        schema = self.archived.canonical_schema()
        kinds = {column.name: column.type for column in self.archived.table.columns}
        columns = [_as_jsonb(full.column(name)) if kinds[name] is Type.JSON else full.column(name) for name in schema.names]
        return pa.RecordBatch.from_arrays(
            [values if values.type == each.type else values.cast(each.type) for values, each in zip(columns, schema, strict=True)],
            schema=schema,
        )

    def keys(self, number: int) -> pa.RecordBatch:
        return self._kept(batch_of(self.file.folder, self.day, number, {"line", *_KEYS})).select(list(_KEYS))

    def _kept(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        mask = pc.is_in(batch.column("instrument"), self.instruments)
        if len(self.refused):
            mask = pc.and_(mask, pc.invert(pc.is_in(batch.column("line"), self.refused)))
        return batch if pc.all(mask).as_py() else batch.filter(mask)


class _Archived:
    """The row groups of an archived file."""

    def __init__(self, archived: Archived, file: pq.ParquetFile) -> None:
        self._archived = archived
        self._file = file

    def rows(self, number: int) -> pa.RecordBatch:
        return unpack(self._archived, _one(self._file.read_row_group(number)))

    def keys(self, number: int) -> pa.RecordBatch:
        return _one(self._file.read_row_group(number, columns=list(_KEYS))).select(list(_KEYS))


class Heap:
    """All rows of a partition, wherever they lie. Use as a context manager."""

    def __init__(self, archived: Archived, store: Store, day: date, before: Proof | None) -> None:
        self.archived = archived
        self.store = store
        self.day = day
        self._before = before
        self._pieces: list[_Piece] = []
        self._open = ExitStack()

    def __enter__(self) -> Self:
        for told in self._before.files if self._before is not None else ():
            file = self._open.enter_context(pq.ParquetFile(self._open.enter_context(self.store.open(told.url))))
            source = _Archived(self.archived, file)
            for number in range(file.num_row_groups):
                self.add(source, number, source.keys(number))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(rows for piece in self._pieces for rows, _, _ in piece.spans.values())

    def add(self, source: _Source, number: int, keys: pa.RecordBatch) -> None:
        """Add a piece, of which these are the keys."""
        if len(keys):
            self._pieces.append(_Piece(source, number, _spans(keys)))

    def keys(self, name: str) -> tuple["np.ndarray[Any, np.dtype[np.int64]]", "np.ndarray[Any, np.dtype[np.int64]]"]:
        """One instrument's ids and times, in the order of the ids."""
        found = [piece.source.keys(piece.number) for piece in self._pieces if name in piece.spans]
        mine = [batch.filter(pc.equal(batch.column("instrument"), name)) for batch in found]
        ids = np.concatenate([np.empty(0, np.int64), *(batch.column("sequence").to_numpy() for batch in mine)])
        times = np.concatenate([np.empty(0, np.int64), *(_us(batch.column("event_time")) for batch in mine)])
        order = np.argsort(ids, kind="stable")
        return ids[order], times[order]

    def merged(self) -> Iterator[pa.RecordBatch]:
        """All rows in the order of the archive, in the canonical schema."""
        totals: dict[str, int] = {}
        for piece in self._pieces:
            for name, (rows, _, _) in piece.spans.items():
                totals[name] = totals.get(name, 0) + rows
        together: list[str] = []
        # As the database's own order of names: by their bytes.
        for name in sorted(totals, key=str.encode):
            if together and sum(totals[each] for each in together) + totals[name] > _TOGETHER:
                yield from self._merged(together)
                together = []
            together.append(name)
        if together:
            yield from self._merged(together)

    def _merged(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        wanted = pa.array(names, pa.string())
        pieces = [piece for piece in self._pieces if not piece.spans.keys().isdisjoint(names)]
        if len(names) > 1:
            rows = [_only(piece, wanted) for piece in pieces]
            yield from _sorted(pa.Table.from_batches(rows, self.archived.canonical_schema()))
            return
        # One instrument may fill the day: what comes before all that is still to be read is handed on.
        [name] = names
        pieces.sort(key=lambda piece: piece.spans[name][1])
        ends = [piece.spans[name][1] for piece in pieces[1:]] + [_END]
        held: list[pa.RecordBatch] = []
        for piece, end in zip(pieces, ends, strict=True):
            held.append(_only(piece, wanted))
            held = _in_order(held)
            left: list[pa.RecordBatch] = []
            for batch in held:
                ready = int(np.searchsorted(_us(batch.column("event_time")), end))
                if ready:
                    yield batch.slice(0, ready)
                if ready < len(batch):
                    left.append(batch.slice(ready))
            held = left


@dataclass
class LakeShelf(StoredRows):
    """The heap of a day's rows as the loader's shelf: they are looked at as they are put there, and read once more as they are merged."""

    heap: Heap
    stages: Stages
    rows: int = 0
    instruments: set[str] = field(default_factory=set)
    _steps_back: int = 0

    def open(self) -> None:
        """Nothing is made ready."""

    def put(
        self, file: StagedFile, instruments: AbstractSet[str], stamps: Stamps, within: Callable[[pa.RecordBatch], pa.RecordBatch]
    ) -> int:
        """Note where a file's rows of some instruments lie; returns how many there are."""
        wanted = pa.array(sorted(instruments), pa.string())
        none = pa.array([], pa.int64())
        source = _Staged(file, self.heap.day, self.kind, self.heap.archived, wanted, stamps, none)
        refused: list[pa.Array] = []
        last: dict[str, int] = {}
        stored = 0
        for number, batch in enumerate(rows_of(file.folder, self.heap.day, {"line", *_KEYS, *(name for name, _ in self.kind.scaled)})):
            mask = pc.is_in(batch.column("instrument"), wanted)
            mine = batch if pc.all(mask).as_py() else batch.filter(mask)
            kept = within(mine) if len(mine) else mine
            if len(kept) < len(mine):
                lines = mine.column("line")
                refused.append(lines.filter(pc.invert(pc.is_in(lines, kept.column("line")))))
            keys = kept.select(list(_KEYS))
            self.heap.add(source, number, keys)
            stored += len(keys)
            self._look_back(keys, last)
        source.refused = pa.concat_arrays(refused) if refused else none
        self.rows += stored
        return stored

    def close(self) -> None:
        """Rows can be looked at as soon as they are there."""

    def tape(self, name: str, day: date, space: str | None) -> tuple[Tape | None, int, int, int]:
        if day != self.heap.day:
            return super().tape(name, day, space)
        ids, times = self.heap.keys(name)
        if not len(ids):
            return None, 0, 0, 0
        builder = TapeBuilder(is_consecutive=space in CONSECUTIVE)
        builder.add(ids, times)
        return builder.tape(), builder.rows, builder.lowest_time, builder.highest_time

    def id_time(self, name: str, day: date, space: str | None, sequence: int) -> int | None:
        stored = super().id_time(name, day, space, sequence)
        if stored is not None:
            return stored
        # The day beside may be in the archive alone.
        proof = latest_proof(self.connection, ARCHIVED[self.kind.name], day)
        for file in proof.files if proof is not None else ():
            filters = [("instrument", "=", name), ("sequence", "=", sequence)]
            path = self.heap.store.path(file.url)
            found = pq.read_table(path, columns=["event_time"], filters=filters, filesystem=self.heap.store.filesystem, partitioning=None)
            if len(found):
                return int(_us(found["event_time"].combine_chunks())[0])
        return None

    def rules(self) -> tuple[RuleResult, ...]:
        """The rules of the rows themselves, that checks in the database cannot look at."""
        return (RuleResult("time never steps back along the ids", is_blocking=False, broken=self._steps_back, looked_at=self.rows),)

    def _look_back(self, keys: pa.RecordBatch, last: dict[str, int]) -> None:
        """Count where times step back; rows of an instrument come in the order of its ids."""
        names = keys.column("instrument")
        for name in pc.unique(names).to_pylist():
            mine = keys if len(pc.unique(names)) == 1 else keys.filter(pc.equal(names, name))
            times = _us(mine.column("event_time"))
            self._steps_back += int((np.diff(times) < 0).sum()) + int(times[0] < last.get(name, times[0]))
            last[name] = int(times[-1])
            self.instruments.add(name)


def _as_jsonb(levels: pa.StringArray) -> pa.StringArray:
    """Levels of a book as the database gives them back, which keeps what JSON means and not how it was written.

    Raises:
        NotApart: they are no pairs of plain texts.
    """
    if not pc.all(pc.match_substring_regex(levels, _LEVELS), min_count=0).as_py():
        raise NotApart("levels of a book are no pairs of numbers as text: what they come to is for the database to say")
    return pc.replace_substring(levels, ",", ", ")


def _spans(keys: pa.RecordBatch) -> dict[str, tuple[int, int, int]]:
    names = keys.column("instrument")
    if pc.count_distinct(names).as_py() == 1:
        times = _us(keys.column("event_time"))
        return {names[0].as_py(): (len(keys), int(times.min()), int(times.max()))}
    table = pa.table({"instrument": names, "at": keys.column("event_time").cast(pa.int64())})
    found = table.group_by("instrument").aggregate([("at", "count"), ("at", "min"), ("at", "max")])
    return {name: (rows, low, high) for name, rows, low, high in zip(*(column.to_pylist() for column in found.itercolumns()), strict=True)}


def _only(piece: _Piece, wanted: pa.Array) -> pa.RecordBatch:
    rows = piece.source.rows(piece.number)
    if piece.spans.keys() <= set(wanted.to_pylist()):
        return rows
    return rows.filter(pc.is_in(rows.column("instrument"), wanted))


def _in_order(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """One instrument's batches so that their rows come in the order of the archive."""
    times = np.concatenate([_us(batch.column("event_time")) for batch in batches])
    ids = np.concatenate([batch.column("sequence").to_numpy() for batch in batches])
    later = np.diff(times)
    if bool(((later > 0) | ((later == 0) & (np.diff(ids) > 0))).all()):
        return batches
    whole = pa.Table.from_batches(batches).take(pa.array(np.lexsort((ids, times))))
    return list(whole.combine_chunks().to_batches())


def _sorted(rows: pa.Table) -> Iterator[pa.RecordBatch]:
    """Rows of several instruments in the order of the archive."""
    import polars as pl

    order = pl.DataFrame(pl.from_arrow(rows.select(list(_KEYS)))).select(pl.arg_sort_by(list(_KEYS))).to_series().to_arrow()
    yield from rows.take(order).combine_chunks().to_batches()


def _one(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _us(times: pa.Array) -> "np.ndarray[Any, np.dtype[np.int64]]":
    numbers: np.ndarray[Any, np.dtype[np.int64]] = times.cast(pa.int64()).to_numpy()
    return numbers
