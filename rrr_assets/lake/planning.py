"""Where the rows of a table are: which of its partitions the database does not hold, and which files hold those.

Belongs here: planning a read, in one query, and cutting a window by it. Does not: moving a partition between tiers (archive/), reading
files (reading.py).
A partition that the database holds no more is what the files of its last proof say. Instruments that were brought back are read in the
database, all others in the files.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import psycopg

from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.contracts.archive import ARCHIVED, Archived
from rrr_assets.lake.files import Written
from rrr_assets.warehouse.sqlfiles import query

Connection = psycopg.Connection[tuple[Any, ...]]

COLD: Final = "cold"
DELETED: Final = "deleted"
_TICK: Final = timedelta(microseconds=1)


class Unproven(PermanentFailure):
    """A partition is cold and nothing is proven kept of it: the ledgers contradict each other."""


class UnknownSnapshot(PermanentFailure):
    """No proof of the table has that number or snapshot."""


@dataclass(frozen=True, slots=True)
class Away:
    """A partition that the database does not hold, but for the instruments in `restored`. `files` are those of its proof."""

    archived: Archived
    partition: date
    tier: str
    restored: frozenset[str]
    proof_id: int | None
    files: tuple[Written, ...]

    @property
    def since(self) -> datetime:
        """Its begin, in UTC."""
        return _midnight(self.partition)

    @property
    def until(self) -> datetime:
        """Its end, excluded, in UTC."""
        return _midnight(self.archived.end_of(self.partition))

    @property
    def rows(self) -> int:
        """In all files."""
        return sum(file.rows for file in self.files)

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a window with one source: the database where `away` is None."""

    since: datetime
    until: datetime
    away: Away | None


def first_days(archived: Archived, since: datetime | None, until: datetime | None) -> dict[str, date | None]:
    """The first days of the first and of the last partition that a window touches; None where it has no bound."""
    last = None if until is None else (until - _TICK).astimezone(UTC).date()
    return {
        "first_partition": None if since is None else archived.partition_of(since.astimezone(UTC).date()),
        "last_partition": None if last is None else archived.partition_of(last),
    }


def away(connection: Connection, tables: Sequence[Archived], since: datetime | None = None, until: datetime | None = None) -> list[Away]:
    """The partitions of some tables of one grain that touch a window and that the database does not hold, in their order.

    Raises:
        Unproven: one of them is cold and has no proof.
    """
    values = {"relations": [table.name for table in tables], **first_days(tables[0], since, until)}
    found = []
    for relation, partition, tier, restored, proof_id, told, rows in connection.execute(query("read_partitions_away"), values).fetchall():
        # Of a table that had no row there, such as revisions of a day that was never corrected, nothing was to be proven.
        if tier == COLD and proof_id is None and rows:
            raise Unproven(f"{relation} of {partition} is cold and has no proof. Look at archive_proofs and retention_log")
        found.append(Away(ARCHIVED[relation], partition, tier, frozenset(restored), proof_id, () if tier == DELETED else _files(told)))
    return found


def proven(connection: Connection, tables: Sequence[Archived], since: datetime, until: datetime) -> list[Away]:
    """The partitions of some tables of one grain that touch a window and that both the database and the archive hold, as they are now.

    They are told as if they were away, for who reads the files rather than the database.
    """
    values = {"relations": [table.name for table in tables], **first_days(tables[0], since, until)}
    return [
        Away(ARCHIVED[relation], partition, COLD, frozenset(), proof_id, _files(told))
        for relation, partition, proof_id, told in connection.execute(query("features_proven"), values).fetchall()
    ]


def as_of_snapshot(connection: Connection, archived: Archived, snapshot: int, since: datetime, until: datetime) -> list[Away]:
    """The partitions of a table that touch a window, as they were archived when a proof was written.

    Args:
        connection: of any role that reads.
        archived: the table.
        snapshot: the number of a proof, or of its Iceberg snapshot.
        since: begin of the window.
        until: its end, excluded.

    Raises:
        UnknownSnapshot: no proof of the table has it.
    """
    values = {"relation": archived.name, "snapshot": snapshot, **first_days(archived, since, until)}
    rows = connection.execute(query("read_snapshot"), values).fetchall()
    if not rows:
        raise UnknownSnapshot(f"{archived.name} has no snapshot {snapshot}. `rrr archive snapshots` lists them")
    return [
        Away(archived, partition, COLD, frozenset(), proof_id, _files(told))
        for _, partition, proof_id, told in rows
        if partition is not None
    ]


def segments(parts: Iterable[Away], instrument: str, since: datetime, until: datetime) -> list[Segment]:
    """Cut a window into what is read in the database and what elsewhere, in the order of time.

    Args:
        parts: the partitions of one table that are away, in their order.
        instrument: whose rows are asked for.
        since: begin of the window.
        until: its end, excluded.
    """
    found: list[Segment] = []
    at = since
    for part in parts:
        if instrument in part.restored or part.until <= at or part.since >= until:
            continue
        if part.since > at:
            found.append(Segment(at, part.since, None))
        found.append(Segment(max(at, part.since), min(part.until, until), part))
        at = part.until
    if at < until:
        found.append(Segment(at, until, None))
    return found


def _files(told: Sequence[Mapping[str, Any]] | None) -> tuple[Written, ...]:
    return tuple(Written(**file) for file in told or ())


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
