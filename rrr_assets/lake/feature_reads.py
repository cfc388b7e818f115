"""Rows of features for many instruments at once, from the database and the archive, as they are now or as they were known at a time.

Belongs here: reading them in columns, each partition where it is. Does not: which row a moment may see (calc/features/asof.py), one
instrument's public read (read), ticks (feature_ticks.py).
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from rrr_assets.calc.features.declare import BAR_INPUTS
from rrr_assets.calc.outcomes import PermanentFailure, StoreUnreachable
from rrr_assets.contracts.archive import ARCHIVED, Archived
from rrr_assets.contracts.base import Table
from rrr_assets.contracts.features import FEATURE_REVISIONS_1M
from rrr_assets.lake import planning, reading
from rrr_assets.lake.feature_ticks import nearest
from rrr_assets.lake.handing import not_away
from rrr_assets.lake.planning import COLD, DELETED, Away
from rrr_assets.lake.reading import FileUnreadable, Wanted
from rrr_assets.lake.store import Store, StoreUnusable
from rrr_assets.lake.windows import Asked, answer, deleted, picture
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.features import frame_of
from rrr_assets.warehouse.sqlfiles import query

if TYPE_CHECKING:
    import polars as pl

LOGGER: Final = logging.getLogger(__name__)

_TICK: Final = timedelta(microseconds=1)
_AT_ONCE: Final = 4
"""So many files are read at the same time."""


class RowsDeleted(PermanentFailure):
    """Of what is asked for as it was known at a time, retention deleted some: it cannot be answered as it was."""


def feature_rows(
    database: Database, table: Table, names: Sequence[str], instruments: Sequence[str] | None, since: datetime, until: datetime,
    as_known_at: datetime | None = None, *, also: Sequence[str] = (),
) -> "pl.DataFrame":  # fmt: skip
    """`instrument`, `event_time`, `available_at` and some features of the rows that closed in [since, until], in no order.

    Args:
        database: whose rows; read as the analyst.
        table: contracts.features.FEATURES_1M.
        names: of the features.
        instruments: only these; None for all.
        since: UTC, the first close.
        until: UTC, the last close, itself among them.
        as_known_at: what was believed then; None for what is believed now.
        also: other columns of the table.

    Raises:
        RowsDeleted: of what was believed then, some is deleted.
        FileUnreadable, StoreUnreachable, StoreUnusable, Unproven: what the archive holds of it cannot be read.
        psycopg.errors.ObjectNotInPrerequisiteState: what was known at that time is not final yet.
    """
    columns = list(dict.fromkeys(["instrument", "event_time", "available_at", *names, *also]))
    asked = _Asked(table, columns, instruments, since, until, as_known_at)
    try:
        return _rows(database, asked, with_proven=True)
    except (FileUnreadable, StoreUnreachable, StoreUnusable) as error:
        # What the database holds as well is answered without the store; what it does not hold fails again.
        LOGGER.warning("features are read in the database, the archive's files cannot be: %s", error)
        return _rows(database, asked, with_proven=False)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of `feature_rows`."""

    table: Table
    columns: Sequence[str]
    instruments: Sequence[str] | None
    since: datetime
    until: datetime
    as_known_at: datetime | None


def _rows(database: Database, asked: _Asked, *, with_proven: bool) -> "pl.DataFrame":
    """The rows; with `with_proven` those of partitions that the archive holds as they are now come from there, which is faster."""
    import polars as pl

    known = asked.as_known_at
    tables = [ARCHIVED[asked.table.name], *([] if known is None else [ARCHIVED[FEATURE_REVISIONS_1M.name]])]
    with database.kept(Role.ANALYST) as connection:
        if known is not None:
            connection.execute("select check_knowledge_time(%s)", (known,))
        with picture(connection):
            parts = planning.away(connection, tables, asked.since, asked.until + _TICK)
            if known is not None and (gone := [part.partition for part in parts if part.tier == DELETED]):
                raise RowsDeleted(deleted(asked.table.name, sorted(set(gone))))
            if with_proven:
                parts += planning.proven(connection, tables, asked.since, asked.until + _TICK)
            values = {
                "instruments": None if asked.instruments is None else list(asked.instruments), "since": asked.since,
                "until": asked.until, "as_known_at": known,
            }  # fmt: skip
            statement = sql.SQL(query("features_rows" if known is None else "features_rows_as_known")).format(
                columns=sql.SQL(", ").join(map(sql.Identifier, asked.columns)), table=sql.Identifier(asked.table.name),
                held=_held(ARCHIVED[asked.table.name], parts), revisions_held=_held(ARCHIVED[FEATURE_REVISIONS_1M.name], parts),
            )  # fmt: skip
            found = [frame_of(connection, statement, values, asked.columns)]
    store = Store.current() if parts else None

    def archived(part: Away) -> list[pa.RecordBatch]:
        wanted = Wanted(asked.instruments, part.restored, asked.since, asked.until + _TICK)
        return [] if store is None else list(_archived(store, part, wanted, asked.columns, known))

    # Files are decoded outside the interpreter's lock.
    with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="features") as readers:
        for batches in readers.map(archived, [part for part in parts if part.tier == COLD]):
            found += [pl.DataFrame(pa.Table.from_batches(batches))] if batches else []
    return pl.concat(found)


def bars_as_known(
    database: Database, instruments: Sequence[str], since: datetime, until: datetime, as_known_at: datetime
) -> "pl.DataFrame":
    """`instrument`, `bar_start`, numbers and `known_at` of 1-minute bars that start in [since, until), as they were believed at a time.

    Raises:
        FileUnreadable, StoreUnreachable, StoreUnusable, Unproven: what the archive holds of it cannot be read.
        psycopg.errors.ObjectNotInPrerequisiteState: what was known at that time is not final yet.
    """
    import polars as pl

    columns = ["instrument", "bar_start", *BAR_INPUTS, "known_at"]
    asked = [Asked(ARCHIVED["bars_1m"], name, since, until, as_known_at=as_known_at) for name in instruments]

    def held(names: Sequence[str]) -> "pl.DataFrame":
        values = {"instruments": list(names), "since": since, "until": until, "as_known_at": as_known_at}
        return frame_of(connection, sql.SQL(query("features_bars_as_known")), values, columns)

    with database.kept(Role.ANALYST) as connection:
        found = [held(instruments)]
        # Looked at after they were read, because what was believed is not asked in a picture: what was here then may be away by now,
        # and is read once more.
        if asked and planning.away(connection, asked[0].tables, since, until):
            answers = {each.instrument: answer(connection, each, ("bar_start",)) for each in asked}
            found = [held([name for name, tiered in answers.items() if tiered is None])]
            found += [pl.DataFrame(nearest(each.rows.select(columns))) for each in answers.values() if each is not None]
    return pl.concat(found)


def _held(archived: Archived, parts: Sequence[Away]) -> sql.SQL:
    """The condition of a table's rows that are read in the database."""
    return sql.SQL(not_away(archived, [part for part in parts if part.archived is archived]).replace("%", "%%"))


def _archived(store: Store, part: Away, wanted: Wanted, columns: Sequence[str], as_known_at: datetime | None) -> Iterator[pa.RecordBatch]:
    """Rows of a partition's files that were believed at a time, or are now."""
    needed = {*columns, *([] if as_known_at is None else _known_by(part.archived))}
    names = [name for name in part.archived.table.column_names if name in needed]
    for batch in reading.rows(store, part.archived, part.files, wanted, names):
        if as_known_at is None:
            yield batch.select(columns)
            continue
        then = pa.scalar(as_known_at, batch.schema.field("known_at").type)
        mask = pc.less_equal(batch.column("known_at"), then)
        if "believed_until" in batch.schema.names:
            mask = pc.and_(mask, pc.greater(batch.column("believed_until"), then))
        yield batch.filter(mask).select(columns)


def _known_by(archived: Archived) -> tuple[str, ...]:
    return ("known_at", "believed_until") if archived.name == FEATURE_REVISIONS_1M.name else ("known_at",)
