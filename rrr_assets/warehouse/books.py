"""How a writer enters the books: locks, the knowledge stamp, invalidations.

Belongs here: what every transaction that changes data does first and last. Does not: the change itself.
Locks are advisory and last as long as the transaction: one per (table, instrument, day). They are taken in
the order of their keys, whoever takes them, so that writers wait for each other but never in a circle.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, cast

import psycopg

from rrr_assets.calc.coverage import Interval
from rrr_assets.calc.order import EPOCH
from rrr_assets.warehouse.sqlfiles import query

Connection = psycopg.Connection[tuple[Any, ...]]

IN_FLIGHT: Final = 0x7272_7203
"""Held shared by every writing transaction; `knowledge_horizon()` looks for its holders."""


def enter(connection: Connection) -> None:
    """Say that a batch is in flight, before its stamp is drawn: reads as known at a later time wait for it."""
    connection.execute("select pg_advisory_xact_lock_shared(%s)", (IN_FLIGHT,))


def lock_days(connection: Connection, table: str, instruments: Iterable[str], days: Iterable[date]) -> None:
    """Lock (table, instrument, day) for each pair until the transaction ends."""
    days = list(days)
    names = [f"{table}|{instrument}|{day.isoformat()}" for instrument in instruments for day in days]
    connection.execute(query("lock_names"), {"names": names})


def draw_stamp(connection: Connection) -> datetime:
    """The known_at of this batch: the database's clock, after all locks are held."""
    ((stamp,),) = connection.execute("select clock_timestamp()").fetchall()
    return cast(datetime, stamp)


def log_invalidations(
    connection: Connection, relation: str, windows: Iterable[tuple[str, date, datetime, datetime]], reason: str, batch_id: int | None
) -> None:
    """Write (instrument, day, from, to) windows to the invalidation log. The caller holds the locks of those days."""
    rows = list(windows)
    if rows:
        instruments, days, starts, ends = zip(*rows, strict=True)
        values: dict[str, Any] = {"relation": relation, "reason": reason, "batch_id": batch_id}
        values |= {"instruments": list(instruments), "days": list(days), "starts": list(starts), "ends": list(ends)}
        connection.execute(query("log_invalidations"), values)


def day_interval(day: date) -> Interval:
    """A UTC day as microseconds since 1970, [start, end)."""
    start = to_us(datetime(day.year, day.month, day.day, tzinfo=UTC))
    return (start, start + 86_400_000_000)


def to_us(at: datetime) -> int:
    """Microseconds since 1970 UTC, exact."""
    return (at - EPOCH) // timedelta(microseconds=1)


def from_us(us: int) -> datetime:
    """The UTC time of microseconds since 1970, exact."""
    return EPOCH + timedelta(microseconds=us)
