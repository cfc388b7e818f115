"""One training set from its specification to its files: held, made, entered, written.

Belongs here: the order of these steps, for the command and for the asset alike. Does not: any one of them (training.py,
warehouse/training_sets.py).
"""

import fcntl
import glob
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from rrr_assets.calc.features.spec import TrainingSpec
from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.features.training import TrainingSet, make
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.training_sets import Entered, confirm, enter, find, held_meanwhile

KEEP_DAYS: Final = 365
"""For how long what a set was made from is held, where nobody says otherwise."""

_BEFORE: Final = timedelta(days=1)
_AFTER: Final = timedelta(days=8)
"""What a set is made from reaches so far past its moments: the longest label, and the day that it ends in."""

_LEFT_OVER_SECONDS: Final = 3600
"""A part that nobody wrote to for so long is what a run left that was killed."""

HASH_KEY: Final = b"content_sha256"
"""In the metadata of the Parquet file: the manifest's hash again, so that a pair that a kill has parted is told."""


class NotWritten(PermanentFailure):
    """A set's files cannot be written: the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Produced:
    """A set that was made, its entry in the ledger, and where it was written. `told` is its manifest, with these beside it."""

    made: TrainingSet
    entered: Entered
    out: Path
    told: dict[str, Any]

    @property
    def manifest_file(self) -> Path:
        """Beside the rows."""
        return manifest_of(self.out)


def manifest_of(out: Path) -> Path:
    """Where the manifest of a set lies that is written to a file."""
    return out.with_suffix(".manifest.json")


def produce(database: Database, spec: TrainingSpec, as_known_at: datetime, out: Path, keep_days: int = KEEP_DAYS) -> Produced:
    """Make a training set, hold what it is made from, enter it into the ledger, and write it.

    Args:
        database: read as the analyst, entered as the writer.
        spec: what is asked for.
        as_known_at: T. UTC.
        out: the Parquet file; the manifest lies beside it.
        keep_days: so long what it is made from is held, where it is not held yet.

    Raises:
        NothingKnown, NotFinalYet, BarsDeleted, FeatureGone: as `make`.
        TrainingSetReleased: it was made once, and its hold is over.
        TrainingSetChanged: it was made once, with other values.
        HoldRefused: a hold stands under the set's name that does not cover what it is made from.
        NotWritten: the files cannot be written.
    """
    if out.suffix.lower() != ".parquet":
        raise NotWritten(f"{out} does not end in .parquet. Give it a name that does")
    if not out.parent.is_dir():
        raise NotWritten(f"{out.parent} is no folder. Make it, or choose another file")
    first, until = spec.start.date() - _BEFORE, spec.end.date() + _AFTER
    expires_at = datetime.now(UTC) + timedelta(days=keep_days)
    # Before anything is read, or looked up: what is there now is there until the set is entered with a hold of its own, whatever becomes
    # meanwhile of one that it has already.
    with held_meanwhile(database, spec.name, as_known_at, first, until):
        known = find(database, spec.sha256, as_known_at)
        made = make(database, spec, as_known_at, None if known is None else known.manifest)
        if known is not None:
            confirm(known, made.content)
        entered = enter(database, made.manifest, as_known_at, first, until, expires_at)
    # The manifest of a set is the one that it was entered with.
    told = {**entered.manifest, "set_id": entered.set_id, "hold": entered.hold, "held_until": _iso(entered.ends_at), "file": str(out)}
    _write(made, told, out)
    return Produced(made, entered, out, told)


def _write(made: TrainingSet, told: dict[str, Any], out: Path) -> None:
    import pyarrow.parquet as pq

    beside = manifest_of(out)
    try:
        # Under other names first: a set that was written half is none, and another run may be writing to the same file.
        with _part_of(out) as rows, _part_of(beside) as manifest:
            pq.write_table(made.rows.replace_schema_metadata({**(made.rows.schema.metadata or {}), HASH_KEY: made.content}), rows)
            manifest.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            with _alone_in(out.parent):
                manifest.replace(beside)
                rows.replace(out)
    except OSError as error:
        raise NotWritten(f"{out} cannot be written ({error.strerror}). Choose another file") from error


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Run while no other run is here: of two that write to one file, the manifest and the rows are of the same one."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def _part_of(path: Path) -> Iterator[Path]:
    """A name beside a file that is this run's alone. What is left there under it is removed, and what runs that were killed left."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _LEFT_OVER_SECONDS:
                left.unlink()
    part = path.with_name(f".{path.name}.{uuid4().hex[:12]}.part")
    try:
        yield part
    finally:
        with suppress(OSError):
            part.unlink()


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()
