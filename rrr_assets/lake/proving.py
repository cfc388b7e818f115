"""Archiving a partition: written, read back from the store, and proven equal to what the database holds, value by value.

Belongs here: the way of one partition from the database into the catalogue, and its proof. Does not: which partitions are archived when,
what is dropped after that (archive/).
The source is read in one picture of the database. What is registered in the catalogue was read back before; what has a proof was registered
before. So whatever dies in between leaves a file that nothing names, or a partition that is proven by the next call.
"""

import json
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from psycopg.types.json import Jsonb

from rrr_assets.calc.canonical import Digest, Digester
from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.contracts.archive import ARCHIVED, Archived
from rrr_assets.contracts.base import Type
from rrr_assets.lake import files
from rrr_assets.lake.catalogue import Catalogue, SnapshotExpired
from rrr_assets.lake.merging import merged
from rrr_assets.lake.stages import Stages
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.arrow import as_contract, column_types, copied
from rrr_assets.warehouse.books import lock_days
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.staging import one_ahead
from rrr_assets.warehouse.tiers import by_whom, tiers_of

if TYPE_CHECKING:
    from rrr_assets.calc.columnar import Numbers
    from rrr_assets.calc.information_columnar import InformationBars

_BAR_STREAMS: Final = {"raw_trades"}
_SORT_MEMORY: Final = "256MB"
_BARS_ROWS: Final = 262_144
_MINUTE_US: Final = 60_000_000
_LEAST_MERGED: Final = 4096
"""Rows of a file that are held at a time where many are merged."""

Connection = psycopg.Connection[tuple[Any, ...]]


class ProofFailed(PermanentFailure):
    """What was read back from the store is not what was written. Nothing was registered."""


class SourceDropped(PermanentFailure):
    """The database holds the partition no more, or not all of it: it cannot be archived from what is left."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A partition that is proven kept. `files` are the objects with their size and SHA-256; `bars` is the hash of the 1-minute bars."""

    proof_id: int
    snapshot_id: int
    files: tuple[files.Written, ...]
    digest: Digest
    bars: str | None
    log_mark: int
    known_at: datetime

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that was read back and found equal to what was written; nothing names it yet."""

    written: files.Written
    digest: Digest
    bars: str | None


@dataclass(frozen=True, slots=True)
class PartitionArchived:
    """What archiving a partition did. `proof` is None where there is nothing of it; `is_new` says whether anything was written."""

    relation: str
    partition: date
    proof: Proof | None
    is_new: bool


def archive_partition(
    database: Database, catalogue: Catalogue, archived: Archived, partition: date, run_id: str | None = None, *, again: bool = False
) -> PartitionArchived:
    """Write a partition into the archive and prove it there. Where the last proof still holds, nothing is done.

    Args:
        database: whose rows; entered as the writer.
        catalogue: where they go.
        archived: the table.
        partition: the first day of the partition.
        run_id: the Dagster run, for the proof.
        again: write it anew even where the last proof holds: its files are damaged.

    Raises:
        SourceDropped: the database holds it no more.
        ProofFailed: what was read back differs from what was written.
    """
    with _settled(database, archived, partition) as (known_at, connection):
        mark = partition_mark(connection, archived, partition)
        held = catalogue.files(archived, partition) if catalogue.exists(archived) else []
        before = latest_proof(connection, archived, partition)
        is_registered = before is not None and [file.url for file in before.files] == [file.url for file in held]
        if (
            before is not None
            and is_registered
            and before.log_mark == mark
            and not again
            and _holds(connection, archived, partition, before)
        ):
            return PartitionArchived(archived.name, partition, before, is_new=False)
        if (before is not None or not again) and _is_elsewhere(connection, archived, partition):
            # What is not in the database cannot have changed there; the log may tell of what is known about it.
            return PartitionArchived(archived.name, partition, before, is_new=False)
        _refuse_dropped(connection, archived, partition)
        uncounted: dict[str, list[str]] = dict(connection.execute(query("bars_uncounted")).fetchall())
        kept = write_proven(catalogue, archived, partition, source_rows(connection, archived, partition), uncounted)
        if not kept.written.rows:
            catalogue.store.discard(kept.written.url)
        if not kept.written.rows and not held and before is None:
            return PartitionArchived(archived.name, partition, None, is_new=False)
        if again and not kept.written.rows and (before is None or before.digest.rows):
            raise ProofFailed(f"{archived.name} of {partition}: the database holds no row of it, which is no source for what is archived")
        if again and before is not None and before.log_mark == mark and (wrong := before.digest.differences(kept.digest)):
            catalogue.store.discard(kept.written.url)
            raise ProofFailed(
                f"{archived.name} of {partition}: the database holds other rows than were proven, and its log tells of no change: "
                f"{'; '.join(wrong)}"
            )
        # A partition that became empty has no file.
        written = [kept.written] if kept.written.rows else []
        if written or held or before is None:
            snapshot_id = register(catalogue, archived, partition, kept, mark, known_at, run_id)
        else:
            snapshot_id = before.snapshot_id
        proof = _write_proof(database, archived, partition, snapshot_id, written, kept.digest, kept.bars, mark, known_at, run_id)
        reach("archive.proven")
    return PartitionArchived(archived.name, partition, proof, is_new=True)


def write_proven(
    catalogue: Catalogue, archived: Archived, partition: date, rows: Iterable[pa.RecordBatch],
    uncounted: Mapping[str, Collection[str]], stages: Stages | None = None, bars: "BarsMade | None" = None,
) -> Kept:  # fmt: skip
    """Write rows, which come in the order and the canonical schema of the archive, into a new file of a partition, and read them back.

    Args:
        catalogue: where they go; nothing is registered there.
        archived: the table.
        partition: the first day of the partition.
        rows: all that the partition will hold.
        uncounted: by venue, the conditions with which a trade does not count in bars.
        stages: counts the seconds.
        bars: is given what was read back, where bars are made of the table.

    Raises:
        ProofFailed: what was read back differs from what was written; the file is gone.
    """
    stages = Stages() if stages is None else stages
    url = catalogue.new_file_url(archived, partition, uuid.uuid4().hex)
    schema = catalogue.file_schema(archived)
    source = _Watched(archived, rows, stages, None)
    with stages.spent("write"):
        written = files.write(catalogue.store, url, archived, partition, schema, source)
    reach("archive.written")
    back = _Watched(archived, one_ahead(files.read(catalogue.store, url, archived)), stages, bars or BarsMade(uncounted))
    with stages.spent("read back"):
        for _ in back:
            pass
    # Of equal rows bars are equal: they are made once, of what the store gave back.
    wrong = source.digest.differences(back.digest)
    if wrong:
        catalogue.store.discard(url)
        raise ProofFailed(f"{archived.name} of {partition}, written to {url}, was read back otherwise: {'; '.join(wrong)}")
    reach("archive.verified")
    return Kept(written, back.digest, back.bars)


def register(
    catalogue: Catalogue, archived: Archived, partition: date, kept: Kept, mark: int, known_at: datetime, run_id: str | None
) -> int:
    """Make a file all that a partition holds in the catalogue; returns the snapshot."""
    urls = [kept.written.url] if kept.written.rows else []
    snapshot_id = catalogue.exchange(archived, partition, urls, _properties(kept.digest, mark, known_at, run_id))
    reach("archive.registered")
    return snapshot_id


def latest_proof(connection: Connection, archived: Archived, partition: date) -> Proof | None:
    """The last proof of a partition, whether or not it still holds."""
    row = connection.execute(query("archive_latest_proof"), {"relation": archived.name, "partition_start": partition}).fetchone()
    return None if row is None else _proof(row)


def proof_of_number(connection: Connection, proof_id: int) -> Proof:
    """A proof by its number, which is one of the ledger.

    Raises:
        SnapshotExpired: its files may be gone by now.
    """
    (row,) = connection.execute(query("archive_proof"), {"proof_id": proof_id}).fetchall()
    ((expired_at,),) = connection.execute(query("archive_expired"), {"proof_id": proof_id}).fetchall()
    if expired_at is not None:
        raise SnapshotExpired(f"proof {proof_id} expired at {expired_at:%Y-%m-%d %H:%M} UTC: its files may be gone. The last proof stands")
    return _proof(row)


def proof_of_snapshot(connection: Connection, archived: Archived, partition: date, snapshot_id: int) -> Proof:
    """The proof of a partition as it was in a snapshot of its own: its files are the partition as it was then.

    Raises:
        SnapshotExpired: there is none, or its files may be gone by now.
    """
    values = {"relation": archived.name, "partition_start": partition, "snapshot_id": snapshot_id}
    row = connection.execute(query("archive_proof_of_snapshot"), values).fetchone()
    if row is None:
        raise SnapshotExpired(
            f"{archived.name} of {partition} has no proof of snapshot {snapshot_id}. `rrr archive list` shows the last one"
        )
    *told, expired_at = row
    if expired_at is not None:
        raise SnapshotExpired(
            f"snapshot {snapshot_id} of {archived.name} of {partition} expired at {expired_at:%Y-%m-%d %H:%M} UTC: its files may be gone. "
            "The last proof stands"
        )
    return _proof(tuple(told))


def rows_of(store: Store, archived: Archived, written: Sequence[files.Written]) -> Iterator[pa.RecordBatch]:
    """The rows of a partition's files, in the order of the table: each file is in that order, and they are merged."""
    urls = [file.url for file in written]
    size = max(_LEAST_MERGED, files.ROW_GROUP // max(1, len(urls)))
    yield from merged([files.read(store, url, archived, size) for url in urls], archived.order)


def digest_of(archived: Archived, batches: Iterable[pa.RecordBatch]) -> Digest:
    """The digest of a partition's rows."""
    digester = Digester(archived.canonical_schema())
    for batch in batches:
        digester.add(batch)
    return digester.digest()


def rewrite_partition(
    database: Database, catalogue: Catalogue, archived: Archived, partition: date, before: Proof, run_id: str | None = None
) -> Proof:
    """Write what a proof's files hold into one new file, and prove that it is the same. The caller holds the partition's lock.

    Raises:
        ProofFailed: the files do not hold what was proven, or what was read back differs. Nothing was registered.
    """
    digester = Digester(archived.canonical_schema())

    def watched() -> Iterator[pa.RecordBatch]:
        for batch in rows_of(catalogue.store, archived, before.files):
            digester.add(batch)
            yield batch

    url = catalogue.new_file_url(archived, partition, uuid.uuid4().hex)
    written = files.write(catalogue.store, url, archived, partition, catalogue.file_schema(archived), watched())
    reach("compact.written")
    back = digest_of(archived, files.read(catalogue.store, url, archived))
    for held, where in ((digester.digest(), "its files hold"), (back, f"what was written to {url} and read back holds")):
        if wrong := before.digest.differences(held):
            catalogue.store.discard(url)
            raise ProofFailed(f"{archived.name} of {partition}: {where} other than what was proven: {'; '.join(wrong)}")
    reach("compact.verified")
    snapshot_id = catalogue.exchange(archived, partition, [url], snapshot_properties(before, run_id))
    reach("compact.registered")
    proof = _write_proof(
        database, archived, partition, snapshot_id, [written], before.digest, before.bars, before.log_mark, before.known_at, run_id
    )
    reach("compact.proven")
    return proof


def register_again(
    database: Database, catalogue: Catalogue, archived: Archived, partition: date, kept: Sequence[files.Written], last: Proof,
    run_id: str | None = None,
) -> Proof:  # fmt: skip
    """Make other files, which hold what the last proof proved, the files of a partition. The caller holds its lock.

    Raises:
        ProofFailed: they do not hold it. Nothing was registered.
    """
    if wrong := last.digest.differences(digest_of(archived, rows_of(catalogue.store, archived, kept))):
        raise ProofFailed(f"{archived.name} of {partition}: {kept[0].url} holds something else: {'; '.join(wrong)}")
    snapshot_id = catalogue.exchange(archived, partition, [file.url for file in kept], snapshot_properties(last, run_id))
    return _write_proof(
        database, archived, partition, snapshot_id, list(kept), last.digest, last.bars, last.log_mark, last.known_at, run_id
    )


def snapshot_properties(proof: Proof, run_id: str | None = None) -> Mapping[str, str]:
    """What a snapshot says of itself that registers a proof's files once more."""
    return _properties(proof.digest, proof.log_mark, proof.known_at, run_id)


def _proof(row: tuple[Any, ...]) -> Proof:
    proof_id, snapshot_id, told, rows, _, content, sums, bounds, bars, mark, known_at = row
    digest = Digest(rows, content, sums, {name: (low, high) for name, (low, high) in bounds.items()})
    return Proof(proof_id, snapshot_id, tuple(files.Written(**file) for file in told), digest, bars, mark, known_at)


def source_rows(
    connection: Connection,
    archived: Archived,
    partition: date,
    *,
    instruments: Sequence[str] | None = None,
    table: sql.Identifier | None = None,
) -> Iterator[pa.RecordBatch]:
    """A partition's rows in the database, in the order and the canonical schema of the archive.

    Args:
        connection: in whose picture they are read; a transaction.
        archived: the table.
        partition: the first day of the partition.
        instruments: only these; None for all.
        table: another table of the same columns, from which they are read.
    """
    schema = archived.canonical_schema()
    contract = archived.table
    selected = [
        sql.SQL("to_json({0}) as {0}" if column.type is Type.TEXTS else "{0}").format(sql.Identifier(column.name))
        for column in contract.columns
    ]
    chosen = sql.SQL("") if instruments is None else sql.SQL(" and instrument = any({})").format(sql.Literal(list(instruments)))
    statement = sql.SQL("copy (select {} from {} where {} >= {} and {} < {}{} order by {}) to stdout (format csv, header)").format(
        sql.SQL(", ").join(selected),
        table or sql.Identifier(contract.name),
        *_bounds(archived, partition),
        chosen,
        sql.SQL(", ").join(map(sql.Identifier, archived.order)),
    )
    connection.execute(sql.SQL("set local work_mem = {}").format(sql.Literal(_SORT_MEMORY)))
    types = column_types(contract)
    # A sum may have more digits than the type that reads hand out.
    types |= {name: pa.string() for name in schema.names if pa.types.is_decimal256(schema.field(name).type)}
    for block in copied(connection, statement, types):
        told = as_contract(block, contract)
        columns = [_as_canonical(told[each.name], each.type) for each in schema]
        yield from pa.Table.from_arrays(columns, schema=schema).combine_chunks().to_batches(max_chunksize=files.ROW_GROUP)


def partition_mark(connection: Connection, archived: Archived, partition: date) -> int:
    """The last entry of the invalidation log that concerns a partition: its proof is fresh while it reflects this one."""
    values = {"relations": list(archived.follows), "from_day": partition, "to_day": archived.end_of(partition)}
    ((mark,),) = connection.execute(query("archive_mark"), values).fetchall()
    return int(mark)


def source_digest(connection: Connection, archived: Archived, partition: date) -> Digest:
    """What a partition's rows in the database are."""
    digester = Digester(archived.canonical_schema())
    for batch in source_rows(connection, archived, partition):
        digester.add(batch)
    return digester.digest()


def bars_hash(connection: Connection, day: date) -> str | None:
    """The hash of the 1-minute bars that are stored of a day, as that of a proof; None where some are not made of trades, or dropped."""
    if any(tier.tier != "warm" for tier in tiers_of(connection, [("bars_1m", ARCHIVED["bars_1m"].partition_of(day))])):
        return None
    values = {
        "day": day,
        "from_time": datetime.combine(day, time(), UTC),
        "to_time": datetime.combine(day, time(), UTC) + timedelta(days=1),
    }
    if connection.execute(query("archive_other_sources"), values).fetchone() is not None:
        return None
    hashed = BarsMade({})
    bound = psycopg.ClientCursor(connection).mogrify(query("archive_stored_bars"), values).strip().removesuffix(";")
    statement = sql.SQL("copy ({}) to stdout (format csv, header)").format(sql.SQL(bound))
    types = {each.name: pa.string() if pa.types.is_decimal(each.type) else each.type for each in hashed.schema}
    for block in copied(connection, statement, types):
        hashed.add_bars(pa.Table.from_arrays([_as_canonical(block[each.name], each.type) for each in hashed.schema], schema=hashed.schema))
    return hashed.hash()


def rows_waiting(database: Database, tables: Iterable[Archived], partition: date) -> int:
    """How many rows of a partition wait in quarantine: what is archived lacks them."""
    chosen = list(tables)
    values = {
        "streams": [table.stream for table in chosen if table.stream is not None],
        "from_day": partition,
        "to_day": chosen[0].end_of(partition),
    }
    with database.kept(Role.WRITER) as connection:
        ((waiting,),) = connection.execute(query("archive_waiting"), values).fetchall()
    return int(waiting)


class _Watched:
    """Rows on their way, with what they are told when they have gone by: their digest, and the bars that they make."""

    def __init__(self, archived: Archived, batches: Iterable[pa.RecordBatch], stages: Stages, bars: "BarsMade | None") -> None:
        self._batches = batches
        self._stages = stages
        self._digester = Digester(archived.canonical_schema())
        self._bars = bars if archived.name in _BAR_STREAMS else None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        # Hashing is outside the interpreter's lock: a batch is looked at while it is used.
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="watched") as beside:
            looking = None
            for batch in self._batches:
                if looking is not None:
                    looking.result()
                looking = beside.submit(self._look, batch)
                yield batch
            if looking is not None:
                looking.result()

    def _look(self, batch: pa.RecordBatch) -> None:
        with self._stages.spent("prove"):
            self._digester.add(batch)
        if self._bars is not None:
            with self._stages.spent("bars"):
                self._bars.add(batch)

    @property
    def digest(self) -> Digest:
        return self._digester.digest()

    @property
    def bars(self) -> str | None:
        return None if self._bars is None else self._bars.hash()


class BarsMade:
    """The 1-minute bars of trades that come ordered by instrument and time, as they go by: their hash, and those of some instruments.

    `uncounted` says by venue which conditions keep a trade out of them. Bars are kept of the instruments of `keep`; each has what cuts
    its bars by what was traded, which is given the trades that count.
    """

    def __init__(self, uncounted: Mapping[str, Collection[str]], keep: "Mapping[str, InformationBars] | None" = None) -> None:
        from rrr_assets.calc.columnar import NEEDED, SCHEMA

        self._cutting = dict(keep or {})
        self._keep = pa.array(sorted(self._cutting), pa.string())
        self._needed = NEEDED
        self._uncounted = uncounted
        self.schema = pa.schema(
            [each.with_type(pa.decimal256(76, each.type.scale)) if pa.types.is_decimal(each.type) else each for each in SCHEMA]
        )
        self._digester = Digester(self.schema)
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0
        self._kept: list[pa.Table] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the next trades in."""
        if not len(batch):
            return
        trades = batch.select(self._needed.names)
        if self._rows + len(batch) >= _BARS_ROWS:
            # What comes may belong to the last minute of the last instrument, and to no other.
            whole = _before_last_minute(trades)
            if whole or self._is_of_another_minute(trades):
                self._waiting.append(trades.slice(0, whole))
                self._make()
                trades = trades.slice(whole)
        self._waiting.append(trades)
        self._rows += len(trades)

    def add_bars(self, bars: pa.Table) -> None:
        """Take bars in that are made already, in its schema."""
        for batch in bars.to_batches():
            self._digester.add(batch)

    def hash(self) -> str:
        """The hash of the bars so far: of all of them, when the last trades were taken in."""
        self._make()
        return self._digester.digest().content

    def kept(self) -> dict[str, pa.Table]:
        """The bars of the instruments that are kept, by instrument."""
        self._make()
        widest = pa.concat_tables(self._kept) if self._kept else self.schema.empty_table()
        return {name: widest.filter(pc.equal(widest["instrument"], name)) for name in self._keep.to_pylist()}

    def cut(self) -> "dict[str, pa.Table]":
        """The bars by what was traded of the instruments that are kept, by instrument."""
        self._make()
        return {name: cutting.bars() for name, cutting in self._cutting.items()}

    def _is_of_another_minute(self, trades: pa.RecordBatch) -> bool:
        """Whether the trades begin a minute, or an instrument, of which none waits."""
        if not self._waiting or not len(self._waiting[-1]):
            return False
        last, first = self._waiting[-1].slice(len(self._waiting[-1]) - 1), trades.slice(0, 1)
        told = [(each.column("instrument")[0].as_py(), _minutes(each)[0]) for each in (last, first)]
        return bool(told[0] != told[1])

    def _make(self) -> None:
        from rrr_assets.calc.columnar import bars_of_day

        trades = pa.Table.from_batches(self._waiting, self._needed)
        self._waiting, self._rows = [], 0
        made = bars_of_day(trades, self._uncounted, ["1m"], self._cut if self._cutting else None)["1m"].cast(self.schema)
        self.add_bars(made)
        if self._cutting:
            self._kept.append(made.filter(pc.is_in(made["instrument"], self._keep)))

    def _cut(self, name: str, counted: "Numbers") -> None:
        if name in self._cutting:
            self._cutting[name].add(counted)


def _before_last_minute(trades: pa.RecordBatch) -> int:
    """How many trades come before the last minute of the last instrument."""
    names = trades.column("instrument")
    first_of_last = pc.index(names, names[len(names) - 1]).as_py()
    minutes = _minutes(trades.slice(first_of_last))
    return int(first_of_last + np.searchsorted(minutes, minutes[-1]))


def _minutes(trades: pa.RecordBatch) -> "np.ndarray[Any, np.dtype[np.int64]]":
    numbers: np.ndarray[Any, np.dtype[np.int64]] = trades.column("event_time").cast(pa.int64()).to_numpy() // _MINUTE_US
    return numbers


@contextmanager
def alone(database: Database, archived: Archived, partition: date) -> Iterator[datetime]:
    """Hold the partition's lock: of two who archive it, the second waits, and then finds it done.

    Yields the knowledge horizon: all that was known before it is in any picture that is taken from now on.
    """
    with database.connect(Role.WRITER) as connection:
        lock_days(connection, f"archive {archived.name}", ["*"], [partition])
        ((horizon,),) = connection.execute("select knowledge_horizon()").fetchall()
        yield horizon


@contextmanager
def _settled(database: Database, archived: Archived, partition: date) -> Iterator[tuple[datetime, Connection]]:
    """As `alone`, with a picture of the database in which no writer of the partition is half done, and of which nothing moves meanwhile.

    Writers lock by instrument, and their entries in the log may commit in another order than they were numbered in: the last number tells
    of all before it only when nobody writes. So writers are waited for, and let in again when the picture is taken.
    """
    place = {"relation": archived.name, "partition_start": partition}
    with database.connect(Role.WRITER) as holder:
        lock_days(holder, f"archive {archived.name}", ["*"], [partition])
        holder.execute(query("archive_settle"), place)
        ((horizon,),) = holder.execute("select knowledge_horizon()").fetchall()
        with _picture(database) as connection:
            # A picture is taken by the first statement.
            connection.execute("select 1")
            holder.execute(query("archive_let_go"), place)
            yield horizon, connection


@contextmanager
def _picture(database: Database) -> Iterator[Connection]:
    """One picture of the database for all that is read."""
    with database.connect(Role.WRITER) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield connection


def _holds(connection: Connection, archived: Archived, partition: date, proof: Proof) -> bool:
    """Whether a proof still holds of a table whose changes nothing logs; of the others the log has told."""
    return bool(archived.follows) or source_digest(connection, archived, partition) == proof.digest


def _is_elsewhere(connection: Connection, archived: Archived, partition: date) -> bool:
    """Whether a partition was dropped: what came back of it for some instruments is there to be read."""
    return any(tier.tier != "warm" for tier in tiers_of(connection, [(archived.name, partition)]))


def _refuse_dropped(connection: Connection, archived: Archived, partition: date) -> None:
    tier = connection.execute(query("archive_tier"), {"relation": archived.name, "partition_start": partition}).fetchone()
    if tier in {("cold",), ("deleted",)}:
        raise SourceDropped(f"{archived.name} of {partition} is in the database no more: its last proof stands. Restore it first")
    if archived.stream is None or not archived.is_packed:
        return
    values = {"stream": archived.stream, "from_day": partition, "to_day": archived.end_of(partition)}
    dropped = [name for (name,) in connection.execute(query("archive_dropped"), values).fetchall()]
    if dropped:
        raise SourceDropped(
            f"{archived.name} of {partition} was dropped for {', '.join(dropped[:5])}: what is left is not all of it. Restore it first"
        )


def _bounds(archived: Archived, partition: date) -> tuple[sql.Composable, ...]:
    column = sql.Identifier(str(archived.table.time_column))
    start, end = (datetime.combine(day, time(), UTC) for day in (partition, archived.end_of(partition)))
    return column, sql.Literal(start), column, sql.Literal(end)


def _as_canonical(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return values if values.type == kind else pc.cast(values, kind)


def _properties(digest: Digest, mark: int, known_at: datetime, run_id: str | None) -> Mapping[str, str]:
    """What a snapshot says of itself."""
    told = {"rrr.content": digest.content, "rrr.rows": str(digest.rows), "rrr.log-mark": str(mark), "rrr.known-at": known_at.isoformat()}
    return told | ({"rrr.run-id": run_id} if run_id else {})


def _write_proof(
    database: Database, archived: Archived, partition: date, snapshot_id: int, written: list[files.Written], digest: Digest,
    bars: str | None, mark: int, known_at: datetime, run_id: str | None,
) -> Proof:  # fmt: skip
    with database.kept(Role.WRITER) as connection:
        return write_proof(connection, archived, partition, snapshot_id, written, digest, bars, mark, known_at, run_id)


def write_proof(
    connection: Connection, archived: Archived, partition: date, snapshot_id: int, written: list[files.Written], digest: Digest,
    bars: str | None, mark: int, known_at: datetime, run_id: str | None,
) -> Proof:  # fmt: skip
    """Write down that a partition is proven kept, in the caller's transaction."""
    told = [{"url": file.url, "rows": file.rows, "size_bytes": file.size_bytes, "sha256": file.sha256} for file in written]
    values = {
        "relation": archived.name, "partition_start": partition, "snapshot_id": snapshot_id, "files": Jsonb(told), "row_count": digest.rows,
        "size_bytes": sum(file.size_bytes for file in written), "content": digest.content, "sums": Jsonb(dict(digest.sums)),
        "bounds": Jsonb({name: list(pair) for name, pair in digest.bounds.items()}, dumps=lambda told: json.dumps(told, ensure_ascii=True)),
        "bars": bars, "log_mark": mark, "known_at": known_at, "proven_by": by_whom(), "run_id": run_id,
    }  # fmt: skip
    ((proof_id,),) = connection.execute(query("archive_write_proof"), values).fetchall()
    return Proof(proof_id, snapshot_id, tuple(written), digest, bars, mark, known_at)
