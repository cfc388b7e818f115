"""The ledger of training sets, and the holds that keep what they are made from.

Belongs here: entering a set, and refusing one whose hold is over. Does not: making its rows (features/training.py).
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.holds import Hold, HoldStands, place
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.tiers import by_whom


class TrainingSetReleased(PermanentFailure):
    """The set was made once, and what it was made from is no longer held: other values could come out."""


class TrainingSetChanged(PermanentFailure):
    """The set was made once, and what comes out now is something else, which must not be: the message names both."""


@dataclass(frozen=True, slots=True)
class Entered:
    """A set in the ledger."""

    set_id: int
    name: str
    content: str
    hold: str


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
    set_id, name, content, hold, is_held, ended_at = row
    if not is_held:
        when = "" if ended_at is None else f" since {ended_at.isoformat()}"
        raise TrainingSetReleased(
            f"training set {set_id} ({name}) is released: its hold {hold} is over{when}, and what it was made from may be gone. Ask for "
            "another knowledge time"
        )
    return Entered(set_id, name, content, hold)


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
    """
    content, spec = manifest["content_sha256"], manifest["spec_sha256"]
    known = find(database, spec, as_known_at)
    if known is None:
        # Of what is asked for, not of what comes out: sets that are equal by chance end each by its own word.
        asked = hashlib.sha256(f"{spec} {as_known_at.astimezone(UTC).isoformat()}".encode()).hexdigest()
        hold = f"training-set-{manifest['name']}-{asked[:12]}"
        reason = f"training set {manifest['name']} as known at {as_known_at.isoformat()}"
        # Another run of the same set, or one that died before it entered the set, may hold it already.
        with suppress(HoldStands):
            place(database, Hold(hold, reason, "pin", None, None, first_day, until_day, expires_at))
        values = {
            "name": manifest["name"], "spec_sha256": spec, "as_known_at": as_known_at, "content_sha256": content,
            "row_count": manifest["rows"], "manifest": json.dumps(manifest), "hold": hold, "made_by": by_whom(),
        }  # fmt: skip
        with database.connect(Role.WRITER) as connection:
            row = connection.execute(query("training_set_enter"), values).fetchone()
        if row is not None:
            return Entered(int(row[0]), manifest["name"], content, hold)
        known = find(database, spec, as_known_at)
    if known is None:
        raise LookupError("a training set that another run entered just now is not there")
    if known.content != content:
        raise TrainingSetChanged(
            f"training set {known.set_id} ({known.name}) had the hash {known.content[:12]} when it was made, and has {content[:12]} now, "
            "though the same is asked for. Tell the platform's owners: what was believed must not change"
        )
    return known
