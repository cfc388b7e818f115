"""How large what is stored is: bytes of tables and partitions, and rows where somebody keeps count.

Belongs here: asking the database for sizes and counts. Does not: which tier anything is in and what it costs (archive/costs.py).
No large table is read: rows of ticks and venue bars are those of the coverage ledger, a small table is counted, and of another one
the planner's estimate is shared out over the days of which there are trades.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from rrr_assets.calc.costs import Left, apportion
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.warehouse.connect import Database, DatabaseUnusable, Role
from rrr_assets.warehouse.migrate import Engine, engine_of
from rrr_assets.warehouse.sqlfiles import query

COUNTED_BYTES: Final = 256 << 20
"""A table of at most so many bytes is counted."""

_BARS_FROM: Final = ("trades", "agg_trades")

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A table, a partition or a chunk, with the days that it is of; None where it is of all days.

    `before_bytes` is what a chunk took before it went to the columnstore, where the database knows.
    """

    relation: str
    from_day: date | None
    until_day: date | None
    table_bytes: int
    index_bytes: int
    is_columnar: bool = False
    before_bytes: int | None = None
    rows_estimated: int | None = None


@dataclass(frozen=True, slots=True)
class ProvenPart:
    """The last proof of a partition: its rows and files, and how many files of it were proven lately."""

    relation: str
    partition: date
    rows: int
    urls: tuple[str, ...]
    files_of_late: int


@dataclass(frozen=True, slots=True)
class DatabaseSizes:
    """What the database says. `rows` is by table and day, `estimated` names the tables of which it is no count.

    `wal_bytes` is None where this user may not ask, `dagster_bytes` where there is no such database.
    """

    engine: Engine
    parts: tuple[StoredPart, ...]
    rows: dict[str, dict[date, int]]
    estimated: frozenset[str]
    left: tuple[Left, ...]
    proven: tuple[ProvenPart, ...]
    total_bytes: int
    wal_bytes: int | None
    dagster_bytes: int | None


def database_sizes(database: Database, proven_since: datetime) -> DatabaseSizes:
    """Measure a database.

    Args:
        database: it; entered as the writer, and by its own address for the size of the write-ahead log.
        proven_since: files that were proven after this count as late.

    Raises:
        DatabaseUnusable: it has no schema, or cannot be entered.
    """
    with database.kept(Role.WRITER) as connection:
        engine = engine_of(connection)
        if engine is None:
            raise DatabaseUnusable(f"database {database.name} has no schema. Run `rrr up`")
        parts = [
            StoredPart(relation, day, None, table_bytes, index_bytes, rows_estimated=rows)
            for relation, day, table_bytes, index_bytes, rows in connection.execute(query("sizes_tables")).fetchall()
        ]
        if engine == "timescaledb":
            parts += [
                StoredPart(*row[:3], *row[4:6], *row[3:4], *row[6:]) for row in connection.execute(query("sizes_chunks"), {}).fetchall()
            ]
        rows, estimated = _rows(connection, parts, engine)
        left = tuple(Left(*row) for row in connection.execute(query("sizes_tiers")).fetchall())
        proven = tuple(
            ProvenPart(relation, partition, count, tuple(file["url"] for file in files), int(late))
            for relation, partition, count, files, late in connection.execute(query("sizes_proofs"), {"since": proven_since}).fetchall()
        )
    with database.connect_admin() as connection:
        ((total_bytes, may_ask),) = connection.execute(query("sizes_database")).fetchall()
        wal = connection.execute(query("sizes_wal")).fetchone() if may_ask else None
    return DatabaseSizes(
        engine, tuple(parts), rows, estimated, left, proven, total_bytes, None if wal is None else int(wal[0]), _dagster_bytes(database)
    )


def _rows(connection: Connection, parts: Iterable[StoredPart], engine: Engine) -> tuple[dict[str, dict[date, int]], frozenset[str]]:
    """Rows of each archived table by day, and the tables of which they are estimated."""
    by_stream: dict[str, dict[date, int]] = {}
    instruments: dict[date, int] = {}
    for stream, day, count, of in connection.execute(query("sizes_rows_held"), {}).fetchall():
        by_stream.setdefault(stream, {})[day] = int(count)
        if stream in _BARS_FROM:
            instruments[day] = instruments.get(day, 0) + of
    size: dict[str, int] = {}
    guessed: dict[str, int] = {}
    for part in parts:
        size[part.relation] = size.get(part.relation, 0) + part.table_bytes + part.index_bytes
        guessed[part.relation] = guessed.get(part.relation, 0) + (part.rows_estimated or 0)
    rows: dict[str, dict[date, int]] = {}
    estimated = set()
    for name, archived in ARCHIVED.items():
        if archived.stream is not None:
            rows[name] = by_stream.get(archived.stream, {})
        elif size.get(name, 0) <= COUNTED_BYTES:
            statement = sql.SQL(query("sizes_rows_counted")).format(
                table=sql.Identifier(name), time_column=sql.Identifier(str(archived.table.time_column))
            )
            rows[name] = dict(connection.execute(statement).fetchall())
        else:
            if engine == "timescaledb":
                ((guessed[name],),) = connection.execute(query("sizes_rows_estimated"), {"table": name}).fetchall()
            days = sorted(instruments)
            rows[name] = dict(zip(days, apportion(guessed[name], [instruments[day] for day in days]), strict=True))
            estimated.add(name)
    return rows, frozenset(estimated)


def _dagster_bytes(database: Database) -> int | None:
    """Bytes of Dagster's storage, wherever it is; None where it was never made."""
    name = urlsplit(database.dagster_url).path.lstrip("/")
    try:
        with psycopg.connect(database.dagster_url, autocommit=True) as connection:
            ((size,),) = connection.execute(query("sizes_dagster")).fetchall()
            return int(size)
    except psycopg.OperationalError as error:
        if f'database "{name}" does not exist' in str(error):
            return None
        raise
