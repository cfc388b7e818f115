"""A folder of files that somebody keeps: laid out like Binance's archive, or all in one folder, or named in any way that tells the day.

Belongs here: which of its files may hold what is wanted. Does not: what is in them (venues/), taking them in (ticks/). Nothing is ever
written there.
"""

import re
from datetime import date
from pathlib import Path
from typing import Final

from rrr_assets.sources.binance_vision import ArchiveFile
from rrr_assets.sources.download import DownloadFailed

_MOST_FILES: Final = 100_000
_NO_LETTERS: Final = re.compile(r"[^a-z0-9]")


class NotInMirror(DownloadFailed):
    """The folder has no such file."""


def folder_of(url: str) -> Path:
    """The folder that a setting names, as a path or as file://."""
    return Path(url.removeprefix("file://")).expanduser()


def archive_copy(root: Path, file: ArchiveFile) -> Path:
    """A file of the archive, where the mirror has it: at the archive's own path, or right in the folder.

    Raises:
        NotInMirror: it has not.
    """
    for path in (root / file.path, root / file.name):
        if path.is_file():
            return path
    raise _lacks(root, file.name)


def files_of(root: Path, instrument: str, day: date) -> list[Path]:
    """The files whose path tells the day and the symbol, in order of their names: `gemini__eth-usd__2021-07-01__trade.csv`.

    Raises:
        NotInMirror: there is none.
    """
    symbol = instrument.partition(":")[2].lower()
    compact = day.strftime("%Y%m%d")
    found = []
    for number, path in enumerate(root.rglob("*"), start=1):
        if number > _MOST_FILES:
            raise DownloadFailed(str(root), f"there are more than {_MOST_FILES:,} files in it", "Name the folder of one instrument")
        told = _NO_LETTERS.sub("", str(path.relative_to(root)).lower())
        if symbol in told and compact in told and path.suffix != ".CHECKSUM" and not path.name.startswith(".") and path.is_file():
            found.append(path)
    if not found:
        raise _lacks(root, f"file of {instrument} on {day}")
    return sorted(found)


def _lacks(root: Path, wanted: str) -> NotInMirror:
    if not root.is_dir():
        return NotInMirror(str(root), "there is no such folder", "Correct the source's url")
    return NotInMirror(str(root), f"it has no {wanted}", "Put it there, or leave it to another source")
