"""What of the archive must stay: the proofs whose files are kept, and why.

Belongs here: the one judgement that expiry and clean-up share. Does not: removing anything.
The last proof of a partition stays, whatever its age. One that another took the place of stays for some days, and as long as a hold
covers its partition. What was said to have expired may go; what nothing said it of stays.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import psycopg

from rrr_assets.contracts.archive import ARCHIVED, Archived
from rrr_assets.lake import files
from rrr_assets.warehouse.books import lock_days
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.sqlfiles import query

Connection = psycopg.Connection[tuple[Any, ...]]

Why = Literal["last", "held", "young"]
"""Why a proof's files stay: it is the partition's last, a hold covers it, or it was superseded lately."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold that stands. None is no bound; `until_day` is the first day that is not held."""

    name: str
    relation: str | None
    from_day: date | None
    until_day: date | None

    def covers(self, archived: Archived, partition: date) -> bool:
        """Whether it touches a partition. One of a table also holds what is made or told of it: what its rows were before."""
        return (
            (self.relation is None or self.relation == archived.name or self.relation in archived.follows)
            and (self.from_day is None or self.from_day < archived.end_of(partition))
            and (self.until_day is None or self.until_day > partition)
        )


@dataclass(frozen=True, slots=True)
class KeptProof:
    """A proof and what becomes of its files. `why` is None where nothing asks that they stay; `tier` is the partition's."""

    proof_id: int
    archived: Archived
    partition: date
    snapshot_id: int
    files: tuple[files.Written, ...]
    rows: int
    size_bytes: int
    proven_at: datetime
    tier: str
    is_expired: bool
    why: Why | None

    @property
    def may_go(self) -> bool:
        """Whether its files may be removed: it was said that they may be gone, and neither a hold nor the partition asks that they stay."""
        return self.why not in {"last", "held"} and (self.is_expired or self.tier == "deleted")


@contextmanager
def one_at_a_time(database: Database, archived: Archived) -> Iterator[None]:
    """Hold the lock of a table's upkeep: what one removes, another must not bring back at the same time.

    Who also needs a partition's lock takes it after this one.
    """
    with database.connect(Role.WRITER) as connection:
        lock_days(connection, f"upkeep {archived.name}", ["*"], [date.min])
        yield


def standing_holds(connection: Connection) -> list[Hold]:
    """The holds that stand now."""
    return [Hold(*row) for row in connection.execute(query("upkeep_holds")).fetchall()]


def kept_proofs(connection: Connection, tables: Iterable[Archived], keep_days: int) -> list[KeptProof]:
    """Every proof of some tables, by table, partition and age, with why its files stay.

    Args:
        connection: the writer's.
        tables: which.
        keep_days: for how long the files of a proof stay after another took its place.
    """
    holds = standing_holds(connection)
    since = datetime.now(UTC) - timedelta(days=keep_days)
    found = connection.execute(query("upkeep_proofs"), {"relations": [table.name for table in tables]}).fetchall()
    proofs = []
    for proof_id, relation, partition, snapshot_id, told, rows, size, proven_at, superseded_at, tier, is_expired in found:
        archived = ARCHIVED[relation]
        why: Why | None = None
        if any(hold.covers(archived, partition) for hold in holds):
            why = "held"
        elif tier != "deleted" and superseded_at is None:
            why = "last"
        elif tier != "deleted" and superseded_at >= since:
            why = "young"
        written = tuple(files.Written(**file) for file in told)
        proofs.append(KeptProof(proof_id, archived, partition, snapshot_id, written, rows, size, proven_at, tier, is_expired, why))
    return proofs


def last_proofs(proofs: Iterable[KeptProof]) -> list[KeptProof]:
    """The last of each partition that is not deleted."""
    return list({(each.archived.name, each.partition): each for each in proofs if each.tier != "deleted"}.values())
