"""How much room is left, and the refusal to go on where it is little.

Belongs here: the disks of this machine that the platform fills, the floor, the refusal. Does not: what a file needs (ticks/landing.py).
A database whose disk is full stops in the middle, for everybody, and may not start again; work that is refused before waits until there
is room. So what writes much asks first: it costs one call of the system for each disk. Reads never ask.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

from rrr_assets.calc.outcomes import NoSpaceLeft
from rrr_assets.warehouse.home import Home, HomeUnusable, home_dir

Done = TypeVar("Done")

_FLOOR_BYTES: Final = 4 * 2**30
"""As much as the server's log may take between two checkpoints (`max_wal_size`): a day that was begun can be ended."""
_FLOOR_SHARE: Final = 20
"""On a small disk a twentieth: a laptop or a test shall not need 4 GB."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that holds something of ours. `floor_bytes` is what is to stay free on it."""

    holds: tuple[str, ...]
    folder: Path
    free_bytes: int
    floor_bytes: int

    @property
    def is_full(self) -> bool:
        """Whether what is free lies below the floor."""
        return self.free_bytes < self.floor_bytes

    @property
    def told(self) -> str:
        """How it is, in some words."""
        free, floor = self.free_bytes / 1e6, self.floor_bytes / 1e6
        return f"{free:,.0f} MB are free on the disk of {' and '.join(self.holds)} ({self.folder}), and {floor:,.0f} MB are to stay free"


def disks() -> list[Disk]:
    """The disks of the home, of the embedded database, of the archive where it is a folder, and of the backups where they are made."""
    found: dict[int, Disk] = {}
    for holds, folder in _folders():
        there = next(place for place in (folder, *folder.parents) if place.exists())
        device = there.stat().st_dev
        known = found[device].holds if device in found else ()
        facts = os.statvfs(there)
        free, whole = facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize
        found[device] = Disk((*known, holds), found[device].folder if known else folder, free, _floor_bytes(whole))
    return list(found.values())


def require_room(work: str) -> None:
    """Refuse a work that writes much where a disk has less free than its floor.

    Args:
        work: What is refused, as the beginning of a sentence: "the load of 2024-01-02".

    Raises:
        NoSpaceLeft: there is not enough room; nothing was begun.
        HomeUnusable: RRR_MIN_FREE_BYTES is no number.
    """
    if full := lack_of_room():
        raise NoSpaceLeft(f"{work} was not begun: {full}")


def lack_of_room() -> str | None:
    """Why nothing that writes much should begin now, with the remedy; None where there is room."""
    full = [disk for disk in disks() if disk.is_full]
    return f"{'; '.join(disk.told for disk in full)}. Make room and ask again; RRR_MIN_FREE_BYTES sets the floor" if full else None


def _floor_bytes(disk_bytes: int) -> int:
    given = os.environ.get("RRR_MIN_FREE_BYTES")
    if not given:
        return min(_FLOOR_BYTES, disk_bytes // _FLOOR_SHARE)
    if not given.isdecimal():
        raise HomeUnusable(home_dir(), f"RRR_MIN_FREE_BYTES {given} is no number of bytes", "Set it to one, as 4000000000, or unset it")
    return int(given)


def _folders() -> Iterator[tuple[str, Path]]:
    home = Home(home_dir())
    yield "the home", home.root
    if not os.environ.get("RRR_DATABASE_URL"):
        yield "the database", home.server_tree
    archive = os.environ.get("RRR_ARCHIVE_URL")
    parts = urlsplit(archive or "")
    if parts.scheme in {"", "file"}:
        yield "the archive", Path(unquote(parts.path)).expanduser().resolve() if archive else home.root / "archive"
    if backups := os.environ.get("RRR_BACKUP_DIR"):
        yield "the backups", Path(backups).expanduser().resolve()


def while_there_is_room(work: str, done: Iterator[Done]) -> Iterator[Done]:
    """A work that is done piece by piece, ended before a piece for which there is no room. What was done stays.

    Raises:
        NoSpaceLeft: as `require_room` says.
    """
    require_room(work)
    for piece in done:
        yield piece
        require_room(f"the rest of {work}")
