"""One statement of an analyst's own, over all tiers: which way it goes, and what it reads there.

Belongs here: the session and the picture in which it is answered, the choice of what answers it, its plan. Does not: understanding it
(statements.py), the ways themselves (columnar.py, handing.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psycopg
import pyarrow as pa

from rrr_assets.lake import columnar, reading
from rrr_assets.lake.answers import answered
from rrr_assets.lake.handing import handed
from rrr_assets.lake.planning import Connection, first_days
from rrr_assets.lake.reading import Wanted
from rrr_assets.lake.statements import Reference, Statement, asks_for_plan, followed, names_any
from rrr_assets.lake.store import Store
from rrr_assets.lake.windows import Answer, deleted
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.sqlfiles import query

PARTITIONS: Final = pa.schema(
    [
        pa.field("relation", pa.string(), nullable=False),
        pa.field("partition_start", pa.date32()),
        pa.field("tier", pa.string(), nullable=False),
        pa.field("read_from", pa.string(), nullable=False),
        pa.field("files", pa.int64()),
        pa.field("row_groups", pa.string()),
        pa.field("row_count", pa.int64()),
        pa.field("size_bytes", pa.int64()),
    ]
)
"""What `Explained.partitions` has: a row for each partition that a statement reads, one without a partition for all that is hot."""


@dataclass(frozen=True, slots=True)
class Explained:
    """What a statement reads, and how: `engine` answers it, `plan` is that engine's own, a line each."""

    partitions: pa.Table
    engine: str
    plan: tuple[str, ...]


def ask(database: Database, statement: str) -> Answer:
    """Answer one statement of an analyst.

    Raises:
        NotFollowed: it reads what is in the archive, in a way that is not understood or of too many rows.
        FileUnreadable, StoreUnreachable, StoreUnusable, Unproven: what the archive holds of it cannot be read.
        psycopg.Error: the database refuses it.
    """
    with planned(database, statement) as (connection, reads):
        if reads is not None and reads.is_cold:
            return _over_tiers(connection, reads)
        # What the database answers alone is answered as ever, in a transaction in which nothing was asked before.
        _begin_anew(connection, None)
        found = _run(connection, statement)
        # What it asked for may have left the database between the question and the answer.
        if not _is_cold(_followed(connection, statement)):
            return Answer(found, _notes(reads))
    with planned(database, statement) as (connection, reads):
        return _over_tiers(connection, reads) if reads is not None else Answer(_run(connection, statement))


@contextmanager
def planned(database: Database, statement: str) -> Iterator[tuple[Connection, Statement | None]]:
    """A session of the analyst, and what a statement reads; None for one that names nothing of which a part is away.

    The session is in one picture of the database where it names something.

    Raises:
        NotFollowed, Unproven: as `ask`.
    """
    with _session(database) as connection:
        if not names_any(statement, _away(connection)):
            yield connection, None
            return
        # One picture of the database for what is planned and what is read.
        _begin_anew(connection, psycopg.IsolationLevel.REPEATABLE_READ)
        yield connection, followed(connection, statement)


def explain(database: Database, statement: str) -> Explained:
    """What a statement reads, and how. Nothing of it is run.

    Raises:
        NotFollowed, FileUnreadable, StoreUnreachable, StoreUnusable, Unproven, psycopg.Error: as `ask`.
    """
    with _session(database) as connection:
        _begin_anew(connection, psycopg.IsolationLevel.REPEATABLE_READ)
        reads = followed(connection, statement)
        partitions = PARTITIONS.empty_table() if reads is None else _partitions(connection, reads)
        if reads is None or not reads.is_cold:
            plan = _run(connection, statement if asks_for_plan(statement) else f"explain {statement}")
        else:
            store = Store.current()
            if not reads.explains and (told := columnar.plan(store, reads, connection)) is not None:
                return Explained(partitions, "DuckDB", told)
            given = handed(store, reads, is_planned_only=True)
            plan = _run(connection, given.text if reads.explains else f"explain {given.text}", given.values)
        return Explained(partitions, "PostgreSQL", tuple(plan.column(0).to_pylist()))


@contextmanager
def _session(database: Database) -> Iterator[Connection]:
    """A session and read-only transaction for a statement that is not ours: what it leaves in the session goes with it."""
    with database.connect(Role.ANALYST) as connection:
        connection.read_only = True
        connection.execute("set local datestyle = 'ISO'")
        yield connection


def _begin_anew(connection: Connection, isolation: psycopg.IsolationLevel | None) -> None:
    connection.rollback()
    connection.isolation_level = isolation
    connection.execute("set local datestyle = 'ISO'")


def _run(connection: Connection, statement: str, values: list[str] | None = None) -> pa.Table:
    with connection.cursor() as cursor:
        # Prepared, the server takes one statement alone; sent plainly, it would run as many as there are.
        cursor.execute(statement.encode(), values, prepare=True)
        return answered(cursor)


def _over_tiers(connection: Connection, reads: Statement) -> Answer:
    store = Store.current()
    found = None if reads.explains else columnar.answer(store, reads, connection)
    if found is None:
        given = handed(store, reads)
        found = _run(connection, given.text, given.values)
    if reads.explains:
        found = _with_partitions(found, _partitions(connection, reads))
    return Answer(found, _notes(reads))


def _away(connection: Connection) -> frozenset[str]:
    try:
        return frozenset(relation for (relation,) in connection.execute(query("read_away")).fetchall())
    except psycopg.errors.UndefinedTable:
        # A database that is not up to date, or not prepared, has no tiers: the statement may be about just that.
        connection.rollback()
        return frozenset()


def _followed(connection: Connection, statement: str) -> Statement | None:
    return followed(connection, statement) if names_any(statement, _away(connection)) else None


def _is_cold(reads: Statement | None) -> bool:
    return reads is not None and reads.is_cold


def _notes(reads: Statement | None) -> tuple[str, ...]:
    gone: dict[str, set[object]] = {}
    for reference in reads.references if reads is not None else ():
        if reference.deleted:
            gone.setdefault(reference.archived.name, set()).update(part.partition for part in reference.deleted)
    return tuple(deleted(name, sorted(partitions)) for name, partitions in gone.items())  # type: ignore[arg-type]


def _partitions(connection: Connection, reads: Statement) -> pa.Table:
    rows = [row for reference in reads.references for row in _partitions_of(connection, reference)]
    return pa.Table.from_pylist([dict(zip(PARTITIONS.names, row, strict=True)) for row in rows], PARTITIONS)


def _partitions_of(connection: Connection, reference: Reference) -> Iterator[tuple[object, ...]]:
    archived, wanted = reference.archived, reference.wanted
    values = {"relation": archived.name, **first_days(archived, wanted.since, wanted.until)}
    for partition, rows, size in connection.execute(query("read_warm"), values).fetchall():
        yield archived.name, partition, "warm", "database", None, None, rows, size
    for part in reference.parts:
        if not part.files:
            yield archived.name, part.partition, part.tier, "nowhere", 0, None, 0, 0
            continue
        asked = Wanted(wanted.instruments, part.restored, wanted.since, wanted.until, wanted.equal)
        groups = [reading.row_groups(Store.current(), archived, file, asked) for file in part.files]
        read, every = (sum(each[place] for each in groups) for place in (0, 1))
        yield archived.name, part.partition, part.tier, "archive", len(part.files), f"{read} of {every}", part.rows, part.size_bytes
    yield archived.name, None, "hot", "database", None, None, None, None


def _with_partitions(plan: pa.Table, partitions: pa.Table) -> pa.Table:
    """A plan that somebody asked for by `explain`, with what the archive gives to it above it."""
    told = [
        f"Archive: {row['relation']} of {row['partition_start']}, {row['tier']}, row groups {row['row_groups']}, {row['row_count']} rows"
        for row in partitions.to_pylist()
        if row["read_from"] == "archive"
    ]
    return pa.table({plan.column_names[0]: pa.array([*told, *plan.column(0).to_pylist()], pa.string())})
