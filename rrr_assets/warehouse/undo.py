"""Taking a batch back: its rows end, what they had replaced stands again, and what was believed stays readable.

Belongs here: one transaction that undoes one batch of ticks. Does not: corrections of single trades (correct.py), finding the
batch (read, cli).
Rows that a later batch replaced stay as that batch told them. The rows of a batch that was undone may be taken in again; a trade
that was cancelled by a correction may not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from rrr_assets.calc.coverage import Interval, covered_by_claim, covered_by_ids, union
from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.warehouse import tapes
from rrr_assets.warehouse.books import Connection, day_interval, draw_stamp, enter, lock_days, log_invalidations, to_us
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.intake import next_batch
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.tick_tables import CONSECUTIVE, TICK_TABLES, TickTable
from rrr_assets.warehouse.tiers import claim, share

_ONE_DAY: Final = timedelta(days=1)


class UndoRefused(PermanentFailure):
    """The batch cannot be taken back: there is none, or nothing of it is left to take back."""


@dataclass(frozen=True, slots=True)
class Undone:
    """What taking a batch back did. `kept` counts rows that a later batch has replaced since and that stay.

    `others` are batches of the same file, stream and day that stand, with the rows that each brought: a file that was asked for again
    has several, and is taken back when all of them are.
    """

    batch_id: int
    undone_by: int
    day: date
    stream: str
    taken_back: int
    restored: int
    kept: int
    known_at: datetime
    others: tuple[tuple[int, int], ...]


def undo_batch(database: Database, batch_id: int, reason: str) -> Undone:
    """Take one batch back in one transaction.

    Args:
        database: where it is stored.
        batch_id: its number in ingest_batches.
        reason: why, in a person's words; kept with every row that ends.

    Raises:
        UndoRefused: no such batch, one of venue bars, one that undid another, or one that was undone already.
        DayDropped: its day is in the archive alone.
    """
    with database.connect(Role.WRITER, autocommit=True) as connection, connection.transaction():
        connection.execute("set local synchronous_commit = on")
        enter(connection)
        # Of two that take the same batch back at once, the second waits here, and then finds it taken back.
        connection.execute(query("lock_names"), {"names": [f"ingest_batches|{batch_id}"]})
        found = connection.execute(query("undo_batch_facts"), {"batch_id": batch_id}).fetchone()
        if found is None:
            raise UndoRefused(f"there is no batch {batch_id}. `rrr batch list` shows what there is")
        day, stream, file_id, time_unit, undoes, undone_by = found
        kind = TICK_TABLES.get("trades" if stream == "corrections" else stream)
        if undoes is not None:
            raise UndoRefused(f"batch {batch_id} took batch {undoes} back: take the file in again instead")
        if undone_by is not None:
            raise UndoRefused(f"batch {batch_id} was taken back already, by batch {undone_by}")
        if kind is None:
            raise UndoRefused(
                f"batch {batch_id} is of {stream}: only ticks can be taken back. A venue's bars are replaced by its later word"
            )
        # The days beside it too: what is known of their edges may change.
        share(connection, (kind.name, kind.revisions.name), [day - _ONE_DAY, day + _ONE_DAY])
        claim(connection, (kind.name, kind.revisions.name), [day])
        bounds = {"from_time": day, "to_time": day + _ONE_DAY}
        about = {**bounds, "undone": batch_id, "relation": kind.name}
        names = [name for (name,) in connection.execute(kind.sql("undo_instruments"), about).fetchall()]
        lock_days(connection, kind.name, names, [day - _ONE_DAY, day, day + _ONE_DAY])
        stamps: dict[str, Any] = {"known_at": draw_stamp(connection), "batch_id": next_batch(connection)}
        values = {**stamps, **bounds, "undone": batch_id, "reason": reason}
        windows = connection.execute(kind.sql("undo_take_back"), values).fetchall()
        # In a statement of its own: it looks at what the first one left.
        back = connection.execute(kind.sql("undo_restore"), values).fetchall()
        ((kept,),) = connection.execute(kind.sql("undo_kept"), values).fetchall()
        taken_back, restored = sum(row[3] for row in windows), sum(row[3] for row in back)
        log_invalidations(connection, kind.name, [(name, day, a, b) for name, a, b, _ in [*windows, *back]], "undo", stamps["batch_id"])
        connection.execute(
            query("undo_insert_batch"),
            {
                **values, "file_id": file_id, "day": day, "stream": stream, "time_unit": time_unit, "revised": taken_back + restored,
                "told_by": [kind.stream, "corrections"] if kind.stream == "trades" else [kind.stream],
            },
        )  # fmt: skip
        reach("undo.rows_moved")
        for name in names:
            changes = _uncover(connection, kind, name, day)
            log_invalidations(connection, kind.name, changes, "coverage", stamps["batch_id"])
        others = connection.execute(query("undo_others"), {"file_id": file_id, "day": day, "stream": stream}).fetchall()
        reach("undo.before_commit")
    return Undone(batch_id, stamps["batch_id"], day, stream, taken_back, restored, kept, stamps["known_at"], tuple(others))


def _uncover(connection: Connection, kind: TickTable, name: str, day: date) -> list[tapes.Window]:
    """Judge an instrument's coverage of the day anew, from what is left and from the files that are left."""
    known = tapes.read_coverage(connection, kind.stream, [name], day)
    before = known.get((name, day))
    if before is None:
        return []
    sources = _sources(connection, kind, name, day)
    is_declared = any(source.claims for source in sources)
    tape, row_count, lowest, highest = tapes.read_tape(connection, kind, name, day, before.space)
    span = day_interval(day)
    yesterday, tomorrow = known.get((name, day - _ONE_DAY)), known.get((name, day + _ONE_DAY))
    covered: Sequence[Interval] = ()
    if tape is None:
        now = tapes.Held(
            space=None, row_count=0, first_time=0, last_time=0, first_sequence=0, last_sequence=0, is_declared=False, covered=(),
            missing_ids=(), is_dropped=before.is_dropped,
        )  # fmt: skip
    else:
        if before.space in CONSECUTIVE:
            ends = (tapes.last_id(yesterday, before.space), tapes.first_id(tomorrow, before.space))
            covered = covered_by_ids(span, tape, is_declared, *ends)
        else:
            covered = union(claim for source in sources for claim in covered_by_claim(span, *source.span, source.claims, source.doubts))
        now = tapes.Held(
            space=before.space, row_count=row_count, first_time=lowest, last_time=highest, first_sequence=tape.first_id,
            last_sequence=tape.last_id, is_declared=is_declared, covered=tuple(covered),
            missing_ids=tuple(hole.missing_ids for hole in tape.holes) if before.space in CONSECUTIVE else (),
            is_dropped=before.is_dropped,
        )  # fmt: skip
    changes: dict[tapes.Key, tapes.Held] = {(name, day): now}
    if before.space in CONSECUTIVE:
        claimed = tuple(_is_claimed(connection, kind, name, beside) for beside in (day - _ONE_DAY, day + _ONE_DAY))
        changes |= tapes.edges_beside(tapes.StoredRows(connection, kind), name, day, before.space, tape, yesterday, tomorrow, claimed)
    holes = tapes.holes_of(tapes.StoredRows(connection, kind), name, day, tape, changes, known)
    return tapes.write_coverage(connection, kind.stream, changes, known, holes)[1]


@dataclass(frozen=True, slots=True)
class _Source:
    """A file by whose word rows of a day stand; its span, and where its refused rows may lie, in microseconds since 1970 UTC."""

    is_declared: bool
    is_stored: bool
    span: Interval
    doubts: list[Interval]

    @property
    def claims(self) -> bool:
        """Whether the whole day stands by its word. A row that was found known, or in conflict, may have gone with what told it."""
        return self.is_declared and self.is_stored


def _sources(connection: Connection, kind: TickTable, name: str, day: date) -> list[_Source]:
    rows = connection.execute(kind.sql("undo_sources"), {"instrument": name, "day": day, "stream": kind.stream}).fetchall()
    return [
        _Source(is_declared, is_stored, (to_us(first), to_us(last)), tapes.doubts(connection, name, day, file_id))
        for file_id, is_declared, is_stored, first, last in rows
    ]


def _is_claimed(connection: Connection, kind: TickTable, name: str, day: date) -> bool:
    """Whether a file claims a whole day of which none of its rows is missing."""
    return any(source.is_declared and not source.doubts for source in _sources(connection, kind, name, day))
