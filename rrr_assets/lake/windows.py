"""One instrument's rows of a window, whatever tier they are in: the database's and the archive's, as one answer.

Belongs here: reading each part of a window where its rows are, in one picture of the database; what was believed at a time; what an older
snapshot says. Does not: which parts lie where (planning.py), files (reading.py), an analyst's own statement (statements.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from rrr_assets.contracts.archive import ARCHIVED, Archived
from rrr_assets.contracts.bars import BAR_REVISIONS, BARS
from rrr_assets.contracts.base import Table, Type
from rrr_assets.contracts.features import FEATURE_REVISIONS_1M, FEATURES_1M
from rrr_assets.contracts.ticks import AGG_TRADE_REVISIONS, DEPTH_REVISIONS, QUOTE_REVISIONS, TRADE_REVISIONS
from rrr_assets.lake import planning, reading
from rrr_assets.lake.planning import DELETED, Away, Connection, Segment
from rrr_assets.lake.reading import Wanted
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.arrow import as_contract, column_types, copied, narrowed
from rrr_assets.warehouse.sqlfiles import query

REVISIONS: Final[dict[str, Archived]] = {
    "raw_trades": ARCHIVED[TRADE_REVISIONS.name],
    "raw_agg_trades": ARCHIVED[AGG_TRADE_REVISIONS.name],
    "raw_quotes": ARCHIVED[QUOTE_REVISIONS.name],
    "raw_depth": ARCHIVED[DEPTH_REVISIONS.name],
    **{table.name: ARCHIVED[BAR_REVISIONS.name] for table in BARS.values()},
    FEATURES_1M.name: ARCHIVED[FEATURE_REVISIONS_1M.name],
}
"""The table of what a table's rows were before."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The rows of one instrument in [since, until), with texts in some columns; as they were believed at a time, or as they are now."""

    archived: Archived
    instrument: str
    since: datetime
    until: datetime
    equal: Mapping[str, str] = field(default_factory=dict)
    as_known_at: datetime | None = None

    @property
    def tables(self) -> list[Archived]:
        """Where their rows are: the table, and of what was believed the revisions too."""
        also = [] if self.as_known_at is None else [REVISIONS[self.archived.name]]
        return [self.archived, *also]


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows as the contract of a table has them, and what has to be said of them."""

    rows: pa.Table
    notes: tuple[str, ...] = ()


@contextmanager
def picture(connection: Connection) -> Iterator[None]:
    """One picture of the database for all that is read, on a connection in autocommit."""
    connection.execute("begin transaction isolation level repeatable read, read only")
    with ExitStack() as ends:
        ends.callback(_end, connection)
        yield


def answer(connection: Connection, asked: Asked, order: Sequence[str]) -> Answer | None:
    """Read a window over all tiers; None where the database holds all of it, and a plain read is the answer.

    Args:
        connection: of any role that reads, in autocommit.
        asked: which rows.
        order: the columns by which they are ordered, of which the first rises from partition to partition.

    Raises:
        FileUnreadable, StoreUnreachable, StoreUnusable, Unproven: what the archive holds of it cannot be read.
        psycopg.errors.ObjectNotInPrerequisiteState: what was known at that time is not final yet.
    """
    if asked.as_known_at is not None:
        # First the horizon, then a new picture: what was in flight when it was looked at began after the time that is asked for.
        connection.execute("select check_knowledge_time(%s)", (asked.as_known_at,))
    with picture(connection):
        parts = [
            each for each in planning.away(connection, asked.tables, asked.since, asked.until) if asked.instrument not in each.restored
        ]
        if not parts:
            return None
        planned = [_planned(connection, asked, table, parts) for table in asked.tables]
    store = Store.current()
    pieces = [piece for plan in planned for piece in _pieces(store, asked, plan)]
    return Answer(_merged(asked, pieces, order, is_sorted=_is_in_order(parts, asked)), _of_deleted(parts))


def of_snapshot(connection: Connection, asked: Asked, snapshot: int, order: Sequence[str]) -> Answer:
    """Read a window as it was archived when a proof was written, from the files of that time alone.

    Raises:
        UnknownSnapshot: no proof of the table has that number or snapshot.
        FileUnreadable, StoreUnreachable, StoreUnusable: its files cannot be read; those of an expired snapshot are gone.
    """
    parts = planning.as_of_snapshot(connection, asked.archived, snapshot, asked.since, asked.until)
    cut = planning.segments(parts, asked.instrument, asked.since, asked.until)
    pieces = list(_pieces(Store.current(), asked, _Plan(asked.archived, [(each, None) for each in cut])))
    missing = [each for each in cut if each.away is None]
    notes = tuple(
        f"snapshot {snapshot} has nothing of {asked.archived.name} in {each.since:%Y-%m-%dT%H:%M:%SZ} to {each.until:%Y-%m-%dT%H:%M:%SZ}"
        for each in missing
    )
    return Answer(_merged(asked, pieces, order, is_sorted=_is_in_order(parts, asked)), notes)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is read of one table: each segment in its order, with its rows where the database had them."""

    archived: Archived
    segments: list[tuple[Segment, pa.Table | None]]


def _planned(connection: Connection, asked: Asked, table: Archived, parts: Sequence[Away]) -> _Plan:
    mine = [part for part in parts if part.archived is table]
    cut = planning.segments(mine, asked.instrument, asked.since, asked.until)
    return _Plan(table, [(each, _held(connection, asked, table, each) if each.away is None else None) for each in cut])


def _pieces(store: Store, asked: Asked, plan: _Plan) -> Iterator[pa.Table]:
    """The rows of each segment, in the canonical types of the table that is asked for."""
    contract = asked.archived.table
    schema = asked.archived.canonical_schema()
    names = [*contract.column_names]
    if asked.as_known_at is not None and plan.archived is not asked.archived:
        names += ["believed_until"]
    for segment, held in plan.segments:
        if held is not None:
            yield held
        elif segment.away is not None:
            wanted = Wanted([asked.instrument], (), segment.since, segment.until, _equal(asked, plan.archived))
            for batch in reading.rows(store, plan.archived, segment.away.files, wanted, names):
                yield pa.Table.from_batches([_believed(batch, asked)]).select(schema.names).cast(schema)


def _believed(batch: pa.RecordBatch, asked: Asked) -> pa.RecordBatch:
    """The rows that were believed at the time that is asked for, of rows or of what they were before."""
    if asked.as_known_at is None:
        return batch
    then = pa.scalar(asked.as_known_at, batch.schema.field("known_at").type)
    mask = pc.less_equal(batch.column("known_at"), then)
    if "believed_until" in batch.schema.names:
        mask = pc.and_(mask, pc.greater(batch.column("believed_until"), then))
    return batch.filter(mask)


def _held(connection: Connection, asked: Asked, table: Archived, segment: Segment) -> pa.Table:
    """A segment's rows in the database, in the canonical types of the table that is asked for."""
    contract = asked.archived.table
    also = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(text)) for name, text in _equal(asked, table).items()]
    if asked.as_known_at is not None:
        also.append(sql.SQL("known_at <= {}").format(sql.Literal(asked.as_known_at)))
        if table is not asked.archived:
            also.append(sql.SQL("believed_until > {}").format(sql.Literal(asked.as_known_at)))
    time = str(table.table.time_column)
    text = sql.SQL(query("read_segment")).format(
        columns=sql.SQL(", ").join(selected(contract, contract.column_names)),
        relation=sql.Identifier(table.name),
        time=sql.Identifier(time),
        also=sql.SQL(" and ").join(also) if also else sql.SQL("true"),
        in_order=sql.SQL(", ").join(map(sql.Identifier, table.order)),
    )
    values = {"instrument": asked.instrument, "since": segment.since, "until": segment.until}
    return canonical(connection, psycopg.ClientCursor(connection).mogrify(text, values), asked.archived, contract.column_names)


def selected(contract: Table, names: Sequence[str]) -> list[sql.Composable]:
    """Columns as they are asked of the database, for COPY's text."""
    return [
        sql.SQL("to_json({0}) as {0}" if contract.column(name).type is Type.TEXTS else "{0}").format(sql.Identifier(name)) for name in names
    ]


def canonical(connection: Connection, statement: str, archived: Archived, names: Sequence[str]) -> pa.Table:
    """The rows of a statement in the canonical types of a table's columns."""
    schema = pa.schema([archived.canonical_schema().field(name) for name in names])
    types = {name: kind for name, kind in column_types(archived.table).items() if name in names}
    copy = sql.SQL("copy ({}) to stdout (format csv, header)").format(sql.SQL(statement.strip().removesuffix(";")))
    return pa.concat_tables(as_contract(each, archived.table).select(schema.names).cast(schema) for each in copied(connection, copy, types))


def _equal(asked: Asked, table: Archived) -> dict[str, str]:
    """The texts by which rows of a table are chosen: what bars were before says of which interval they were."""
    if table.name == BAR_REVISIONS.name:
        [interval] = [name for name, bars in BARS.items() if bars.name == asked.archived.name]
        return {**asked.equal, "interval": interval}
    return dict(asked.equal)


def _merged(asked: Asked, pieces: Sequence[pa.Table], order: Sequence[str], *, is_sorted: bool) -> pa.Table:
    schema = asked.archived.canonical_schema()
    found = pa.concat_tables(pieces) if pieces else schema.empty_table()
    if not is_sorted:
        found = found.sort_by([(name, "ascending") for name in order])
    return narrowed(found, asked.archived.table)


def _is_in_order(parts: Sequence[Away], asked: Asked) -> bool:
    """Whether one segment's rows after the other's are in order: a file is, and several files of a partition need not be."""
    return asked.as_known_at is None and all(len(part.files) <= 1 for part in parts)


def _of_deleted(parts: Sequence[Away]) -> tuple[str, ...]:
    days: dict[str, list[date]] = {}
    for part in parts:
        if part.tier == DELETED:
            days.setdefault(part.archived.name, []).append(part.partition)
    return tuple(deleted(name, found) for name, found in days.items())


def deleted(name: str, partitions: Sequence[date]) -> str:
    """What is said of a window of which retention left nothing."""
    shown = ", ".join(str(each) for each in partitions[:5]) + (f" and {len(partitions) - 5} more" if len(partitions) > 5 else "")
    return f"{name} of {shown} was deleted by retention: no row of it is in this answer"


def _end(connection: psycopg.Connection[Any]) -> None:
    if not connection.closed:
        connection.execute("rollback")
