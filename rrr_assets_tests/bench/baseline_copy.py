"""Baseline of ingest: a bare binary COPY of rows that are in memory already, into the same indexed table.

No file, no checksum, no parsing, no staging, no check, no ledger: pgpq encodes Arrow batches while psycopg sends them, on a
connection with the platform's own settings. The table is a copy of raw_trades with its indexes, constraints and day partition or chunk.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from time import perf_counter

import pgpq
import pyarrow as pa
from psycopg import sql
from psycopg.copy import QueuedLibpqWriter

from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.migrate import engine_of

TABLE = "baseline_trades"


def prepare(database: Database, days: Sequence[date]) -> None:
    """Make the table with the partitions of some days, all empty; or a hypertable, whose chunks are made as rows come."""
    with database.connect(Role.OWNER, autocommit=True) as connection:
        if engine_of(connection) == "timescaledb":
            connection.execute(f"create table {TABLE} (like raw_trades including all)")
            connection.execute(f"grant select, insert on {TABLE} to rrr_writer")
            hypertable = "select create_hypertable(%s, by_range('event_time', interval '1 day'), create_default_indexes => false)"
            connection.execute(hypertable, (TABLE,))
            return
        connection.execute(f"create table {TABLE} (like raw_trades including all) partition by range (event_time)")
        connection.execute(f"grant select, insert on {TABLE} to rrr_writer")
        for day in days:
            connection.execute(
                sql.SQL("create table {} partition of {} for values from ({}) to ({})").format(
                    sql.Identifier(f"{TABLE}_{day:%Y%m%d}"),
                    sql.Identifier(TABLE),
                    sql.Literal(f"{day} 00:00+00"),
                    sql.Literal(f"{day + timedelta(days=1)} 00:00+00"),
                )
            )


def encode(batches: Sequence[pa.RecordBatch]) -> list[bytes]:
    """Rows as PostgreSQL's binary COPY has them."""
    encoder = pgpq.ArrowToPostgresBinaryEncoder(batches[0].schema)
    return [encoder.write_header(), *(encoder.write_batch(batch) for batch in batches), encoder.finish()]


def copy(database: Database, batches: Sequence[pa.RecordBatch]) -> float:
    """Copy rows in and commit; the seconds that it took, encoding included: a thread sends while the next batch is encoded."""
    begun = perf_counter()
    encoder = pgpq.ArrowToPostgresBinaryEncoder(batches[0].schema)
    with database.connect(Role.WRITER) as connection:
        statement = f"copy {TABLE} ({', '.join(batches[0].schema.names)}) from stdin (format binary)"
        with connection.cursor() as cursor, cursor.copy(statement, writer=QueuedLibpqWriter(cursor)) as sent:
            sent.write(encoder.write_header())
            for batch in batches:
                sent.write(encoder.write_batch(batch))
            sent.write(encoder.finish())
    return perf_counter() - begun


def copy_encoded(database: Database, buffers: Sequence[bytes]) -> float:
    """Copy rows in that were encoded before, and commit; the seconds that it took."""
    begun = perf_counter()
    with database.connect(Role.WRITER) as connection:
        columns = connection.execute(sql.SQL("select * from {} limit 0").format(sql.Identifier(TABLE))).description or ()
        statement = f"copy {TABLE} ({', '.join(column.name for column in columns)}) from stdin (format binary)"
        with connection.cursor() as cursor, cursor.copy(statement) as sent:
            for buffer in buffers:
                sent.write(buffer)
    return perf_counter() - begun
