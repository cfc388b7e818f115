"""The tier of a partition, as who reads and writes the database sees it: shared while it is written, thawed where it is warm.

Belongs here: the locks of partitions, the books of tiers and of retention. Does not: when a partition moves (lake/retiring), how it comes
back (lake/restoring).
Locks are taken in one order: partition before day. Who moves a partition has it alone, and waits for all who write it.
"""

import getpass
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeVar

from psycopg.types.json import Jsonb

from rrr_assets.calc.outcomes import DayDropped
from rrr_assets.contracts.archive import ARCHIVED, Archived
from rrr_assets.contracts.bars import BARS
from rrr_assets.contracts.retention import ENVIRONMENT
from rrr_assets.warehouse.books import Connection
from rrr_assets.warehouse.sqlfiles import query

_ONE_DAY: Final = timedelta(days=1)
OUR_BARS: Final = (*(table.name for table in BARS.values()), "bar_revisions")
"""Tables that are made of each other: they leave and come back together."""

Result = TypeVar("Result")
BringBack = Callable[[DayDropped], None]
"""Brings a partition that was dropped back into the database, to be written."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A partition that is no longer hot, as contracts.retention.PARTITION_TIERS has it."""

    relation: str
    partition: date
    tier: str
    row_count: int
    size_bytes: int
    proof_id: int | None = None
    restored: tuple[str, ...] = ()
    restored_until: datetime | None = None


def share(connection: Connection, relations: Iterable[str], days: Iterable[date]) -> None:
    """Keep partitions where they are until the transaction ends; others may share them."""
    places = places_of(relations, days)
    connection.execute(query("tiers_share"), _columns(places))


def require_here(connection: Connection, relations: Iterable[str], days: Iterable[date], *, but_deleted: bool = False) -> list[Tier]:
    """The tiers of partitions that are all in the database as a whole, but for those that were deleted, if that is said.

    The caller shares them.

    Raises:
        DayDropped: one is not.
    """
    found = tiers_of(connection, places_of(relations, days))
    for each in found:
        if each.tier != "warm" and not (but_deleted and each.tier == "deleted"):
            raise DayDropped(each.relation, each.partition, is_deleted=each.tier == "deleted")
    return found


def claim(connection: Connection, relations: Iterable[str], days: Iterable[date]) -> None:
    """Share partitions and make them ready to be written: those that are warm are hot after that.

    Raises:
        DayDropped: one is not in the database.
    """
    relations, days = list(relations), list(days)
    share(connection, relations, days)
    thaw(connection, require_here(connection, relations, days))


def thaw(connection: Connection, warm: Iterable[Tier]) -> None:
    """Let warm partitions be written: they are hot again, but for how long they are kept, where they were restored for a time."""
    for each in warm:
        values = {"relation": each.relation, "partition_start": each.partition, "until": ARCHIVED[each.relation].end_of(each.partition)}
        if each.restored_until is not None:
            connection.execute("select thaw_partition(%(relation)s, %(partition_start)s, %(until)s)", values)
            continue
        if connection.execute(query("tiers_thaw"), values).fetchone() is not None:
            log(connection, "thaw", each.relation, each.partition, row_count=each.row_count)


def tiers_of(connection: Connection, places: Sequence[tuple[str, date]]) -> list[Tier]:
    """The tiers of some partitions, but for those that are hot."""
    rows = connection.execute(query("tiers_of"), _columns(places)).fetchall()
    return [
        Tier(relation, partition, tier, row_count, size_bytes, proof_id, tuple(restored), until)
        for relation, partition, tier, row_count, size_bytes, proof_id, restored, until in rows
    ]


def write_tier(connection: Connection, tier: Tier) -> None:
    """Write down the tier of a partition. The caller has it alone."""
    values = {
        "relation": tier.relation, "partition_start": tier.partition, "tier": tier.tier, "row_count": tier.row_count,
        "size_bytes": tier.size_bytes, "proof_id": tier.proof_id, "restored": list(tier.restored), "restored_until": tier.restored_until,
    }  # fmt: skip
    connection.execute(query("tiers_write"), values)


def lock_alone(connection: Connection, relations: Iterable[str], partition: date) -> None:
    """Have partitions alone until the transaction ends, when all who share them are done."""
    for relation in sorted(relations):
        connection.execute("select lock_partition(%s, %s, true)", (relation, partition))


def log(
    connection: Connection, action: str, relation: str | None = None, partition: date | None = None, *, is_dry_run: bool = False,
    row_count: int | None = None, size_bytes: int | None = None, proof_id: int | None = None, reasons: Sequence[str] = (),
    detail: Mapping[str, Any] | None = None, run_id: str | None = None,
) -> int:  # fmt: skip
    """Add to the log of retention; returns the entry's number."""
    values = {
        "action": action, "relation": relation, "partition_start": partition, "is_dry_run": is_dry_run, "row_count": row_count,
        "size_bytes": size_bytes, "proof_id": proof_id, "reasons": list(reasons), "detail": None if detail is None else Jsonb(dict(detail)),
        "environment": os.environ.get(ENVIRONMENT) or None, "by_whom": by_whom(), "run_id": run_id,
    }  # fmt: skip
    ((entry_id,),) = connection.execute(query("retention_log_write"), values).fetchall()
    return int(entry_id)


def by_whom() -> str:
    """The user of the operating system and the host."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def brought_back(bring_back: BringBack | None, work: Callable[[], Result]) -> Result:
    """Do some work, and where a partition that it needs was dropped, bring that back and do it again.

    Raises:
        DayDropped: nobody brings it back, or it was dropped again at once.
    """
    done: set[tuple[str, date]] = set()
    while True:
        try:
            return work()
        except DayDropped as gone:
            if bring_back is None or gone.is_deleted or (gone.relation, gone.partition) in done:
                raise
            done.add((gone.relation, gone.partition))
            bring_back(gone)


def as_restored(tier: Tier, instruments: Iterable[str], until: datetime | None) -> Tier:
    """A tier with some more instruments brought back. What is kept longer already is kept so long."""
    kept = [each for each in (tier.restored_until, until) if each is not None]
    return replace(tier, restored=tuple(sorted({*tier.restored, *instruments})), restored_until=max(kept, default=None))


def lock_holds(connection: Connection, *, alone: bool) -> None:
    """Keep holds as they are until the transaction ends: shared by who looks at them before a move, alone by who places one."""
    connection.execute("select lock_partition('holds', '2000-01-01', %s)", (alone,))


def places_of(relations: Iterable[str], days: Iterable[date]) -> list[tuple[str, date]]:
    """The partitions of some tables that hold some days, in the order in which they are locked."""
    days = list(days)
    archived: list[Archived] = [ARCHIVED[relation] for relation in relations]
    return sorted({(each.name, each.partition_of(day)) for each in archived for day in days})


def _columns(places: Sequence[tuple[str, date]]) -> dict[str, Any]:
    return {"relations": [relation for relation, _ in places], "partitions": [partition for _, partition in places]}
