"""Bringing an archived partition back into the database: read from the store, compared with its proof, stored, and read back once more.

Belongs here: the way of one partition from the archive into the database, whole or for some instruments, and of an older one into a table
of its own. Does not: when that is done (archive/), the way out (retiring.py).
One transaction for all tables of a group. What does not come back equal, value by value, does not come back at all.
"""

import io
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from pyarrow import csv

from rrr_assets.calc.canonical import Digest, Digester
from rrr_assets.calc.outcomes import DayDropped, PermanentFailure
from rrr_assets.contracts.archive import ARCHIVED, ARCHIVED_GROUPS, Archived, ArchivedGroup
from rrr_assets.lake import files
from rrr_assets.lake.proving import Connection, Proof, ProofFailed, latest_proof, proof_of_number, source_rows
from rrr_assets.lake.store import Store, failures_told
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.disk import require_room
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.information_bars import RULES_LOCK
from rrr_assets.warehouse.intake import copy_batches
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.tiers import BringBack, as_restored, lock_alone, log, tiers_of, write_tier

ASIDE: Final = "restored"
"""The schema of tables that hold partitions as they were."""


class NothingToRestore(PermanentFailure):
    """The archive has no such partition, or it was deleted at the end of its time."""


class NameTaken(PermanentFailure):
    """There is a table of that name already."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back of one table's partition. `instruments` is None where all of it did; `is_new` is false where it was there already."""

    relation: str
    partition: date
    instruments: tuple[str, ...] | None
    rows: int
    proof_id: int | None
    content: str | None
    is_new: bool


def group_of(relation: str) -> ArchivedGroup:
    """The tables that leave and come back together with one of them.

    Raises:
        NothingToRestore: it is no archived table.
    """
    for group in ARCHIVED_GROUPS.values():
        if relation == group.name or relation in {table.name for table in group.tables}:
            return group
    raise NothingToRestore(f"{relation} is no archived table. There are {', '.join(ARCHIVED)}")


def restore(
    database: Database,
    store: Store,
    group: ArchivedGroup,
    partition: date,
    instruments: Sequence[str] | None = None,
    *,
    until: datetime | None,
    is_to_be_written: bool = False,
    run_id: str | None = None,
) -> list[Restored]:
    """Bring a partition of a group's tables back from the archive, where it is not in the database.

    Args:
        database: where to; entered as the writer.
        store: where the files are.
        group: the tables.
        partition: the first day of the partition.
        instruments: only these, to be read; None for all.
        until: when what is only read may be dropped again.
        is_to_be_written: the partition is to change: it is hot after that, and all of it comes back.
        run_id: the Dagster run, for the log.

    Raises:
        NothingToRestore: it was deleted.
        ProofFailed: what the store gives is not what was proven, or the database gave it back otherwise. Nothing came back.
        NoSpaceLeft: a disk has little room.
    """
    if instruments is not None and any("instrument" not in table.table.column_names for table in group.tables):
        raise NothingToRestore(f"{group.name} is not by instrument: bring all of it back")
    require_room(f"the restore of {group.name} of {partition}")
    with database.connect(Role.WRITER) as connection:
        lock_alone(connection, [table.name for table in group.tables], partition)
        connection.execute("set local rrr.is_moving = 'on'")
        done = [
            _restore_table(connection, store, table, partition, None if is_to_be_written else instruments, until, is_to_be_written, run_id)
            for table in group.tables
        ]
        reach("restore.before_commit")
    reach("restore.after_commit")
    return done


def bringing_back(database: Database, run_id: str | None = None) -> BringBack:
    """What brings a partition back that is to be written."""

    def bring_back(gone: DayDropped) -> None:
        store = Store.current()
        with failures_told(f"{gone.relation} of {gone.partition} did not come back"):
            restore(database, store, group_of(gone.relation), gone.partition, until=None, is_to_be_written=True, run_id=run_id)

    return bring_back


def restore_aside(
    database: Database,
    store: Store,
    archived: Archived,
    partitions: Iterable[date],
    *,
    name: str,
    instruments: Sequence[str] | None = None,
    as_of: datetime | None = None,
    proof_id: int | None = None,
) -> list[Restored]:
    """Lay partitions down as they were archived at some time, in a new table `restored.<name>` with the columns of theirs.

    Args:
        database: where to; entered as the writer, to whom the table belongs.
        store: where the files are.
        archived: the table.
        partitions: the first days of the partitions.
        name: what the new table is called.
        instruments: only these; None for all.
        as_of: by the last proofs before that; None for the last ones.
        proof_id: by this proof, of the one partition.

    Raises:
        NothingToRestore: there is no such proof, or its files are gone.
        NameTaken: there is a table of that name.
        ProofFailed: what the store gives is not what was proven, or the database gave it back otherwise.
    """
    require_room(f"the restore into {name}")
    target = sql.Identifier(ASIDE, name)
    with database.connect(Role.WRITER) as connection:
        try:
            connection.execute(sql.SQL("create table {} (like {})").format(target, sql.Identifier(archived.name)))
        except psycopg.errors.DuplicateTable as error:
            raise NameTaken(f"{ASIDE}.{name} is there already. Give another name, or drop it as the writer") from error
        connection.execute(sql.SQL("grant select on {} to rrr_analyst").format(target))
        done = []
        for partition in partitions:
            values = {"relation": archived.name, "partition_start": partition, "proof_id": proof_id, "as_of": as_of}
            row = connection.execute(query("archive_proof_as_of"), values).fetchone()
            if row is None:
                raise NothingToRestore(
                    f"the archive has no such state of {archived.name} of {partition}. `rrr archive list` says what it has"
                )
            proof = proof_of_number(connection, row[0])
            rows = _bring(connection, store, archived, partition, proof, instruments, target)
            log(
                connection, "restore", archived.name, partition, row_count=rows.rows, proof_id=proof.proof_id,
                detail={"aside": f"{ASIDE}.{name}"},
            )  # fmt: skip
            whose = None if instruments is None else tuple(instruments)
            done.append(Restored(archived.name, partition, whose, rows.rows, proof.proof_id, rows.content, is_new=True))
        reach("restore_aside.before_commit")
    return done


def drill(database: Database, store: Store, archived: Archived, partition: date, run_id: str | None = None) -> Restored:
    """Bring a partition back into a table that goes with the transaction, and prove that it would have come back equal.

    Raises:
        NothingToRestore: it has no proof.
        ProofFailed: it would not have.
    """
    with database.connect(Role.WRITER) as connection:
        proof = latest_proof(connection, archived, partition)
        if proof is None:
            raise NothingToRestore(f"{archived.name} of {partition} was never archived")
        target = sql.Identifier("pg_temp", f"drill_{uuid.uuid4().hex[:12]}")
        connection.execute(sql.SQL("create temporary table {} (like {}) on commit drop").format(target, sql.Identifier(archived.name)))
        came = _bring(connection, store, archived, partition, proof, None, target)
        log(
            connection, "restore", archived.name, partition, row_count=came.rows, size_bytes=proof.size_bytes, proof_id=proof.proof_id,
            reasons=["drill"], run_id=run_id,
        )  # fmt: skip
    return Restored(archived.name, partition, None, came.rows, proof.proof_id, came.content, is_new=True)


def drawn(database: Database, relation: str | None = None, partition: date | None = None) -> list[tuple[Archived, date]]:
    """An archived partition by lot, of those that are meant; none where there is none."""
    with database.connect(Role.WRITER) as connection:
        row = connection.execute(query("archive_draw"), {"relation": relation, "partition_start": partition}).fetchone()
    return [] if row is None else [(ARCHIVED[row[0]], row[1])]


def _restore_table(
    connection: Connection, store: Store, archived: Archived, partition: date, instruments: Sequence[str] | None, until: datetime | None,
    is_to_be_written: bool, run_id: str | None,
) -> Restored:  # fmt: skip
    found = tiers_of(connection, [(archived.name, partition)])
    whose = None if instruments is None else tuple(sorted(instruments))
    if not found or found[0].tier == "warm":
        if found and found[0].restored_until is not None:
            write_tier(connection, as_restored(found[0], (), until))
        return Restored(archived.name, partition, whose, 0, None, None, is_new=False)
    tier = found[0]
    if tier.tier == "deleted":
        raise NothingToRestore(f"{archived.name} of {partition} was deleted at the end of its time: nothing of it is kept")
    until_day = archived.end_of(partition)
    wanted = None if whose is None else sorted(set(whose) - set(tier.restored))
    proof = None if tier.proof_id is None else latest_proof(connection, archived, partition)
    came = Digest(0, "", {}, {})
    if proof is not None and wanted != []:
        if wanted is None and tier.restored:
            # What came back for some is there already.
            connection.execute("select remove_partition(%s, %s, %s)", (archived.name, partition, until_day))
        elif tier.restored:
            connection.execute("select thaw_partition(%s, %s, %s)", (archived.name, partition, until_day))
        came = _refill(connection, store, archived, partition, proof, wanted)
    reach("restore.filled")
    if archived.stream is not None and archived.is_packed:
        here = {"stream": archived.stream, "day": partition, "instruments": wanted, "is_dropped": False}
        connection.execute(query("tiers_coverage"), here)
        if is_to_be_written:
            # Rules that were declared while the day was away were not entered for it.
            connection.execute(query("lock_names"), {"names": [RULES_LOCK]})
            connection.execute(query("restore_rules"), {"stream": archived.stream, "day": partition})
    if is_to_be_written:
        connection.execute("delete from partition_tiers where relation = %s and partition_start = %s", (archived.name, partition))
    else:
        connection.execute("select warm_partition(%s, %s, %s)", (archived.name, partition, until_day))
        now = replace(as_restored(tier, (), until), tier="warm", restored=()) if wanted is None else as_restored(tier, wanted, until)
        write_tier(connection, now)
    log(
        connection, "restore", archived.name, partition, row_count=came.rows, proof_id=tier.proof_id,
        reasons=["to be written"] if is_to_be_written else [], detail=None if wanted is None else {"instruments": wanted}, run_id=run_id,
    )  # fmt: skip
    return Restored(archived.name, partition, whose, came.rows, tier.proof_id, came.content or None, is_new=True)


def _refill(
    connection: Connection, store: Store, archived: Archived, partition: date, proof: Proof, instruments: Sequence[str] | None
) -> Digest:
    """Fill a partition of the table itself."""
    table = sql.Identifier(archived.name)
    if not archived.is_packed or archived.stream is None:
        return _bring(connection, store, archived, partition, proof, instruments, table)
    ((beside,),) = connection.execute("select begin_day_partition(%s, %s)", (archived.name, partition)).fetchall()
    if beside is None:
        connection.execute("select ensure_day_partition(%s, %s)", (archived.name, partition))
        return _bring(connection, store, archived, partition, proof, instruments, table)

    def attached() -> None:
        connection.execute("select attach_day_partition(%s, %s)", (archived.name, partition))

    return _bring(connection, store, archived, partition, proof, instruments, sql.Identifier(beside), attached, table)


def _bring(
    connection: Connection, store: Store, archived: Archived, partition: date, proof: Proof, instruments: Sequence[str] | None,
    target: sql.Identifier, filled: Callable[[], None] | None = None, seen_in: sql.Identifier | None = None,
) -> Digest:  # fmt: skip
    """Copy a proven partition's rows into a table, and look at them there; returns what they are.

    `filled` is called when the rows are in; they are looked at in `seen_in` then, by default in the same table.
    """
    whole, chosen = Digester(archived.canonical_schema()), Digester(archived.canonical_schema())

    def rows() -> Iterator[pa.RecordBatch]:
        for file in proof.files:
            _require_file(store, archived, partition, file)
            for batch in files.read(store, file.url, archived):
                whole.add(batch)
                kept = batch if instruments is None else batch.filter(pc.is_in(batch.column("instrument"), pa.array(instruments)))
                chosen.add(kept)
                if len(kept):
                    yield kept

    _copy_in(connection, archived, target, rows())
    if wrong := proof.digest.differences(whole.digest()):
        raise ProofFailed(f"the archive of {archived.name} of {partition} is not what was proven: {'; '.join(wrong)}")
    reach("restore.copied")
    if filled is not None:
        filled()
    stored = Digester(archived.canonical_schema())
    for batch in source_rows(connection, archived, partition, instruments=instruments, table=seen_in or target):
        stored.add(batch)
    if wrong := chosen.digest().differences(stored.digest()):
        raise ProofFailed(f"{archived.name} of {partition} did not come back from the archive as it was: {'; '.join(wrong)}")
    return stored.digest()


def _require_file(store: Store, archived: Archived, partition: date, file: files.Written) -> None:
    what = f"{file.url}, which holds {archived.name} of {partition},"
    try:
        size = store.size(file.url)
        if size != file.size_bytes:
            raise ProofFailed(f"{what} has {size:,} bytes instead of {file.size_bytes:,}")
        # Before it is parsed: what is damaged may read as anything, or not at all.
        if files.sha256(store, file.url) != file.sha256:
            raise ProofFailed(f"{what} is damaged: its bytes are not those that were proven. `rrr archive scrub` looks for another copy")
    except FileNotFoundError as missing:
        raise NothingToRestore(f"{what} is not in the store") from missing


def _copy_in(connection: Connection, archived: Archived, target: sql.Identifier, batches: Iterable[pa.RecordBatch]) -> None:
    names = archived.table.column_names
    if archived.is_packed:
        # Ticks have no value that the binary form cannot say.
        copy_batches(connection, target, names, batches)
        return
    statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(target, sql.SQL(", ").join(map(sql.Identifier, names)))
    options = csv.WriteOptions(include_header=False, quoting_style="all_valid")
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in batches:
            text = io.BytesIO()
            csv.write_csv(pa.record_batch([_plain(values) for values in batch.columns], batch.schema.names), text, options)
            copy.write(text.getvalue())


def _plain(values: pa.Array) -> pa.Array:
    """Decimals as text without zeros at their end: the database keeps as many decimals as it is told."""
    if not pa.types.is_decimal(values.type):
        return values
    texts = values.cast(pa.string())
    return pc.utf8_rtrim(pc.utf8_rtrim(texts, "0"), ".") if values.type.scale else texts
