"""The ledger of training sets, and the holds that keep what they are made from.

Belongs here: entering a set, and refusing one whose hold is over. Does not: making its rows (features/training.py).
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import psycopg

from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.warehouse.books import Connection
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.holds import Hold, HoldRefused, check_hold, place, place_within, release
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.tiers import by_whom

_MADE_WITHIN: Final = timedelta(days=1)
"""A set takes minutes."""


class TrainingSetReleased(PermanentFailure):
    """The set was made once, and what it was made from is no longer held: other values could come out."""


class TrainingSetChanged(PermanentFailure):
    """The set was made once, and what comes out now is something else, which must not be: the message names both."""


class NoSuchSet(PermanentFailure):
    """The ledger has no set of that number."""


@dataclass(frozen=True, slots=True)
class Entered:
    """A set in the ledger. `ends_at` is when its hold ends by itself; None: when it is released."""

    set_id: int
    name: str
    content: str
    hold: str
    ends_at: datetime | None
    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SetFacts:
    """What was there as of a knowledge time: instruments with their listing, and batches."""

    instruments: list[dict[str, Any]]
    batches: int
    last_batch: int | None


def find(database: Database, spec_sha256: str, as_known_at: datetime) -> Entered | None:
    """The set that was made of a specification as of a time; None where there is none.

    Raises:
        TrainingSetReleased: there is one, and its hold is over.
    """
    with database.kept(Role.WRITER) as connection:
        values = {"spec_sha256": spec_sha256, "as_known_at": as_known_at}
        row = connection.execute(query("training_set_find"), values).fetchone()
    if row is None:
        return None
    set_id, name, content, hold, is_held, ends_at, manifest = row
    if not is_held:
        when = "" if ends_at is None else f" since {ends_at.isoformat()}"
        raise TrainingSetReleased(
            f"training set {set_id} ({name}) is released: its hold {hold} is over{when}, and what it was made from may be gone. Ask for "
            "another knowledge time"
        )
    return Entered(set_id, name, content, hold, ends_at, manifest)


def confirm(known: Entered, content: str) -> None:
    """Do nothing where what comes out now is what came out when the set was made.

    Raises:
        TrainingSetChanged: it is something else.
    """
    if known.content != content:
        raise TrainingSetChanged(
            f"training set {known.set_id} ({known.name}) had the hash {known.content[:12]} when it was made, and has {content[:12]} now, "
            "though the same is asked for. Tell the platform's owners: what was believed must not change"
        )


def asked_for(database: Database, set_id: int) -> tuple[dict[str, Any], datetime]:
    """The specification that a set of the ledger was made of, as its manifest has it, and its knowledge time.

    Raises:
        NoSuchSet: there is none of that number.
    """
    with database.kept(Role.ANALYST) as connection:
        row = connection.execute(query("training_set_asked"), {"set_id": set_id}).fetchone()
    if row is None:
        raise NoSuchSet(f"there is no training set {set_id}. `rrr training-set list` shows what there is")
    return row[0], row[1]


def set_facts(database: Database, instruments: Sequence[str], since: datetime, until: datetime, as_known_at: datetime) -> SetFacts:
    """What was there of some instruments as of a knowledge time; batches are those that told of the days of a window."""
    values = {
        "instruments": list(instruments), "first_day": since.date(), "last_day": until.date(), "as_known_at": as_known_at,
    }  # fmt: skip
    with database.kept(Role.ANALYST) as connection:
        [(listed, batches, last_batch)] = connection.execute(query("training_set_facts"), values).fetchall()
    return SetFacts(listed, batches, last_batch)


def changes_told(
    database: Database,
    instruments: Sequence[str],
    since: datetime,
    until: datetime,
    shown_after: datetime,
    logged_by: datetime,
    reach: timedelta,
) -> list[tuple[Any, ...]]:
    """What the invalidation log tells of ticks of some instruments in a window, in its order, as training_diff_changes.sql answers.

    Args:
        database: read as the analyst.
        instruments: whose.
        since: begin of the window. UTC.
        until: its end.
        shown_after: only what features did not show by then. UTC.
        logged_by: only what was told by then.
        reach: how long after a change features still look back at it.
    """
    values = {
        "instruments": list(instruments), "first_day": since.date(), "last_day": until.date(), "after": shown_after, "until": logged_by,
        "reach": reach,
    }  # fmt: skip
    with database.kept(Role.ANALYST) as connection:
        return connection.execute(query("training_diff_changes"), values).fetchall()


@contextmanager
def held_meanwhile(database: Database, name: str, as_known_at: datetime, first_day: date, until_day: date) -> Iterator[str]:
    """Hold what a set is made from while it is made; gives the hold's name.

    The hold is this run's own, so that its end takes nothing from another run of the same set. Of a run that was killed it ends by itself.

    Args:
        database: entered as the writer.
        name: of the set.
        as_known_at: T.
        first_day: of what it is made from.
        until_day: the first day after.
    """
    hold = f"training-set-{name}-making-{uuid4().hex[:12]}"
    reason = f"training set {name} as known at {as_known_at.isoformat()} is being made"
    place(database, Hold(hold, reason, "pin", None, None, first_day, until_day, datetime.now(UTC) + _MADE_WITHIN))
    try:
        yield hold
    finally:
        # Whoever released it by hand has done so.
        with suppress(HoldRefused):
            release(database, hold, "the set is no longer being made")


def enter(
    database: Database, manifest: dict[str, Any], as_known_at: datetime, first_day: date, until_day: date, expires_at: datetime | None
) -> Entered:
    """Hold what a set was made from, and enter it. A set that was entered before is held against what came out now.

    Args:
        database: entered as the writer.
        manifest: as features.training makes it.
        as_known_at: T.
        first_day: of what it was made from.
        until_day: the first day after.
        expires_at: when the hold ends by itself; None: when it is released.

    Raises:
        TrainingSetReleased: it was entered before, and its hold is over.
        TrainingSetChanged: it was entered before with other values.
        HoldRefused: a hold stands under its name that does not cover what it was made from.
    """
    content, spec = manifest["content_sha256"], manifest["spec_sha256"]
    known = find(database, spec, as_known_at)
    if known is None:
        # Of what is asked for, not of what comes out: sets that are equal by chance end each by its own word.
        asked = hashlib.sha256(f"{spec} {as_known_at.astimezone(UTC).isoformat()}".encode()).hexdigest()
        name = f"training-set-{manifest['name']}-{asked[:12]}"
        reason = f"training set {manifest['name']} as known at {as_known_at.isoformat()}"
        hold = Hold(name, reason, "pin", None, None, first_day, until_day, expires_at)
        check_hold(hold)
        values = {
            "name": manifest["name"], "spec_sha256": spec, "as_known_at": as_known_at, "content_sha256": content,
            "row_count": manifest["rows"], "manifest": json.dumps(manifest), "hold": name, "made_by": by_whom(),
        }  # fmt: skip
        # Both or neither: a set that another run entered first leaves no hold of its name behind.
        with database.connect(Role.WRITER) as connection:
            try:
                with connection.transaction():
                    place_within(connection, hold)
            except psycopg.errors.UniqueViolation:
                # One that stands under the name holds it as well, for as long as it says.
                expires_at = _ends_at(connection, hold)
            row = connection.execute(query("training_set_enter"), values).fetchone()
            if row is not None:
                return Entered(int(row[0]), manifest["name"], content, name, expires_at, manifest)
            connection.rollback()
        known = find(database, spec, as_known_at)
    if known is None:
        raise LookupError("a training set that another run entered just now is not there")
    confirm(known, content)
    return known


def _ends_at(connection: Connection, wanted: Hold) -> datetime | None:
    """When the hold ends that stands under a name.

    Raises:
        HoldRefused: it does not cover what is wanted, or stands no more.
    """
    values = {"name": wanted.name, "from_day": wanted.from_day, "until_day": wanted.until_day}
    row = connection.execute(query("hold_covering"), values).fetchone()
    if row is None:
        raise HoldRefused(
            f"a hold of the name {wanted.name} stands, but not for all of {wanted.from_day} to {wanted.until_day}. "
            "Release it by `rrr hold release`, and ask again"
        )
    ends_at: datetime | None = row[0]
    return ends_at
