"""What every load does the same way: claiming waiting files, copying rows in, quarantine, new instruments, numbers of batches.

Belongs here: steps of a day's transaction that know no one stream. Does not: the transaction of a stream (load.py,
load_bars.py, correct.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import chain
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from rrr_assets.contracts.venues import venue_called
from rrr_assets.warehouse.books import Connection
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.staging import REFUSED_STAGED, StagedFile, one_ahead

_JSON: Final = frozenset({"bids", "asks"})

RawText = Callable[[StagedFile, Sequence[int]], Mapping[int, str]]
"""Gives the raw text of lines of a landed file: conflicts are found long after parsing."""


def still_waiting(connection: Connection, day: date, files: Sequence[StagedFile]) -> list[StagedFile]:
    """The files of which the day still waits, held for this transaction; the others were taken in by another run meanwhile."""
    values = {"day": day, "file_ids": [file.file_id for file in files]}
    claimed = {file_id for (file_id,) in connection.execute(query("landing_claim"), values).fetchall()}
    return [file for file in files if file.file_id in claimed]


def write_quarantine(connection: Connection, file: StagedFile, day: date, stamps: Mapping[str, Any], refused: pa.Table) -> None:
    """Put a file's refused rows of a day into quarantine, and let go what waits there and is refused no more."""
    columns: dict[str, Any] = {name: refused.column(name).to_pylist() for name in REFUSED_STAGED.names}
    place = {"file_id": file.file_id, "day": day, **stamps}
    if len(refused):
        # PostgreSQL's text holds every character but NUL.
        for name in ("raw", "detail"):
            columns[name] = [text.replace("\x00", "\\x00") for text in columns[name]]
        connection.execute(query("load_quarantine"), {**columns, **place})
    waiting = connection.execute("select line from quarantine where file_id = %s and state = 'quarantined'", (file.file_id,)).fetchall()
    candidates = pa.array(sorted({line for (line,) in waiting}.difference(columns["line"])), pa.int64())
    if len(candidates):
        lines = (batch.column("line") for batch in file.rows(day))
        taken = [line for some in lines for line in some.filter(pc.is_in(some, candidates)).to_pylist()]
        connection.execute(query("load_release_quarantine"), {**place, "taken_lines": taken})


def register_instruments(connection: Connection, instruments: Sequence[str]) -> None:
    """Enter instruments seen for the first time, with their venue's kind and scales."""
    venues = [venue_called(name.partition(":")[0]) for name in instruments]
    connection.execute(
        query("register_instruments"),
        {
            "instruments": list(instruments),
            "contract_types": [venue.contract_type for venue in venues],
            "price_scales": [venue.price_scale for venue in venues],
            "size_scales": [venue.size_scale for venue in venues],
        },
    )


def copy_batches(connection: Connection, table: str | sql.Identifier, columns: Sequence[str], batches: Iterable[pa.RecordBatch]) -> int:
    """Copy Arrow batches in, in PostgreSQL's binary form; a thread encodes the next batch while one is sent. Returns the rows sent."""
    batches = iter(batches)
    first = next(batches, None)
    if first is None:
        return 0
    rows = 0
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(
        sql.Identifier(table) if isinstance(table, str) else table, sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    # One batch ahead and no more: a queue before a server that is slower than the encoder would grow to the size of the file.
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for encoded, count in one_ahead(_encoded(first, batches, list(columns))):
            copy.write(encoded)
            rows += count
            reach("load.copying")
    return rows


def _encoded(first: pa.RecordBatch, others: Iterator[pa.RecordBatch], columns: list[str]) -> Iterator[tuple[bytes, int]]:
    """Batches as the bytes of a binary COPY, each with its rows."""
    import pgpq
    from pgpq.encoders import StringEncoderBuilder
    from pgpq.schema import Jsonb

    schema = first.select(columns).schema
    encoders = {field.name: pgpq.ArrowToPostgresBinaryEncoder.infer_encoder(field) for field in schema}
    for name in _JSON.intersection(columns):
        encoders[name] = StringEncoderBuilder.new_with_output(schema.field(name), Jsonb())
    encoder = pgpq.ArrowToPostgresBinaryEncoder.new_with_encoders(schema, encoders)
    yield encoder.write_header(), 0
    for batch in chain([first], others):
        yield encoder.write_batch(batch.select(columns)), len(batch)
    yield encoder.finish(), 0


def refused_table(rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Refused rows as (line, reason, detail, raw, instrument, event_time, sequence), schema REFUSED_STAGED."""
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * 7
    padding: list[list[None]] = [[None] * len(rows)] * 2
    return pa.Table.from_arrays(
        [pa.array(list(values), kind.type) for values, kind in zip([*columns, *padding], REFUSED_STAGED, strict=True)],
        schema=REFUSED_STAGED,
    )


def next_batch(connection: Connection) -> int:
    """The number of a new batch."""
    ((number,),) = connection.execute("select nextval('ingest_batches_batch_id_seq')").fetchall()
    return int(number)


def statements(name: str) -> list[Any]:
    """The statements of a query file that has several."""
    return [part for part in query(name).split(";") if part.strip()]
