"""Holds: what may not be dropped, deleted or expired, by whose word.

Belongs here: placing and releasing one. Does not: what asks for them (lake/retiring, the database itself in sql/migrations/0022_kept.sql).
"""

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Literal

import psycopg

from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.warehouse.books import Connection
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.tiers import by_whom, lock_holds, log


class HoldRefused(PermanentFailure):
    """The hold cannot be placed or released: the message says why."""


class HoldStands(HoldRefused):
    """A hold of that name stands already."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What a hold covers: None means all of it. `until_day` is excluded."""

    name: str
    reason: str
    kind: Literal["legal", "pin"] = "legal"
    relation: str | None = None
    instrument: str | None = None
    from_day: date | None = None
    until_day: date | None = None
    expires_at: datetime | None = None


def place(database: Database, hold: Hold) -> int:
    """Place a hold; returns its number.

    Raises:
        HoldStands: one of the name stands.
        HoldRefused: its table is no archived one, it has no days or no reason.
    """
    check_hold(hold)
    try:
        with database.connect(Role.WRITER) as connection:
            return place_within(connection, hold)
    except psycopg.errors.UniqueViolation as error:
        raise HoldStands(f"a hold of the name {hold.name} stands already. `rrr hold release` ends it") from error


def check_hold(hold: Hold) -> None:
    """Do nothing where a hold says what it covers, and why.

    Raises:
        HoldRefused: its table is no archived one, it has no days or no reason.
    """
    if hold.relation is not None and hold.relation not in ARCHIVED:
        raise HoldRefused(f"{hold.relation} is no archived table, so it needs no hold. There are {', '.join(ARCHIVED)}")
    if hold.from_day is not None and hold.until_day is not None and hold.until_day <= hold.from_day:
        raise HoldRefused(f"a hold from {hold.from_day} until {hold.until_day} covers no day")
    if hold.expires_at is not None and hold.expires_at <= datetime.now(UTC):
        raise HoldRefused(f"a hold that ends at {hold.expires_at.isoformat()} has ended already")
    if not hold.name.strip() or not hold.reason.strip():
        raise HoldRefused("a hold needs a name and a reason")


def place_within(connection: Connection, hold: Hold) -> int:
    """Place a hold in a transaction of the writer, together with what it is for; returns its number.

    Raises:
        psycopg.errors.UniqueViolation: one of the name stands.
    """
    # Who looked at the holds before is done with what he does; who looks after finds this one.
    lock_holds(connection, alone=True)
    connection.execute(query("hold_expire"), {"name": hold.name})
    ((number,),) = connection.execute(query("hold_place"), {**asdict(hold), "placed_by": by_whom()}).fetchall()
    told = {
        "name": hold.name, "kind": hold.kind, "instrument": hold.instrument,
        "until_day": hold.until_day and hold.until_day.isoformat(), "expires_at": hold.expires_at and hold.expires_at.isoformat(),
    }  # fmt: skip
    log(connection, "hold", hold.relation, hold.from_day, reasons=[hold.reason], detail=told)
    return int(number)


def release(database: Database, name: str, reason: str) -> int:
    """Release the hold of a name; returns its number.

    Raises:
        HoldRefused: none of the name stands, or there is no reason.
    """
    if not reason.strip():
        raise HoldRefused("releasing a hold needs a reason")
    with database.connect(Role.WRITER) as connection:
        row = connection.execute(query("hold_release"), {"name": name, "reason": reason, "released_by": by_whom()}).fetchone()
        if row is None:
            raise HoldRefused(f"no hold of the name {name} stands. `rrr hold list` shows those that do")
        log(connection, "release", reasons=[reason], detail={"name": name})
    return int(row[0])
