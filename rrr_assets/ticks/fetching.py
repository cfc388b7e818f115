"""Public files brought from Binance's archive and handed on: which are here already, which come, and what stays of them.

Belongs here: holding a file against other processes, whether it landed before, downloading it, clearing up. Does not: which files are
wanted, taking them in (landing, or whoever asked), how one file is downloaded (sources/download).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from rrr_assets.sources.binance_vision import ArchiveFile, Kind, address
from rrr_assets.sources.download import Downloader, DownloadFailed, Progress, claim, receipt, write_receipt
from rrr_assets.warehouse.books import Connection
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.sqlfiles import query

FORMATS: Final[dict[Kind, str]] = {
    "trades": "binance-vision-trades",
    "klines": "binance-vision-klines",
    "aggtrades": "binance-vision-aggtrades",
}


def fetched(home: Home) -> Path:
    """Where files of the archive are downloaded to, each at its own path below."""
    return home.landing / "fetched" / "binance-vision"


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of a file that was accepted: its stream, its days that wait, and why it was refused for others."""

    stream: str
    waiting: tuple[date, ...]
    refused: tuple[str, ...]


@dataclass
class Brought:
    """Where the files are that were asked for.

    `fresh` lie where they were downloaded to and are to be accepted; `landed` were accepted before; `failed` could not be had.
    """

    fresh: dict[ArchiveFile, Path] = field(default_factory=dict)
    landed: dict[ArchiveFile, Landed] = field(default_factory=dict)
    failed: dict[ArchiveFile, DownloadFailed] = field(default_factory=dict)
    downloaded: list[str] = field(default_factory=list)
    bytes_downloaded: int = 0
    already_here: list[str] = field(default_factory=list)
    without_checksum: list[str] = field(default_factory=list)


@contextmanager
def bringing(
    home: Home,
    database: Database,
    downloader: Downloader,
    files: Sequence[ArchiveFile],
    base_url: str,
    progress: Callable[[str], Progress],
    *,
    check: bool,
    wait_seconds: float = 3600,  # not money: a wait
) -> Iterator[Brought]:
    """Download those files that are not here. A file that cannot be had costs no other file.

    A file is held from before it is looked for until the block has ended, which takes it in: another process then finds it here. At the
    end downloads are removed of which the landing zone has its own copy.

    Args:
        home: whose landing zone.
        database: whose books say what landed.
        downloader: downloads them.
        files: what is wanted. Whoever wants some of the same files waits for them in the same order.
        base_url: of the archive.
        progress: for a file's name, who is told as its bytes come.
        check: ask the venue also for those that are here whether they were replaced.
        wait_seconds: how long another process that is at a file is waited for.
    """
    folder = fetched(home)
    brought = Brought()
    with ExitStack() as held:
        with database.connect(Role.WRITER, autocommit=True) as connection:
            for file in sorted(files, key=lambda each: (each.period, each.path)):
                target, url = folder / file.path, address(base_url, file)
                try:
                    held.enter_context(claim(target, wait_seconds))
                    landed = None if check else landed_as(connection, file, receipt(target))
                    if landed is None and (published := downloader.published_sha256(url)):
                        if landed := landed_as(connection, file, published):
                            write_receipt(target, published)
                        elif published != receipt(target):
                            target.unlink(missing_ok=True)
                    if landed is None:
                        done = downloader.fetch(url, target, progress(file.name), published=published)
                except DownloadFailed as error:
                    brought.failed[file] = error
                    continue
                if landed is None:
                    brought.fresh[file] = target
                    (brought.downloaded if done.bytes_read else brought.already_here).append(file.name)
                    brought.bytes_downloaded += done.bytes_read
                    brought.without_checksum += [] if done.is_checked else [file.name]
                else:
                    brought.already_here.append(file.name)
                    brought.landed[file] = landed
        yield brought
        _clear(database, brought.fresh)


def landed_as(connection: Connection, file: ArchiveFile, sha256: str | None) -> Landed | None:
    """What became of the file of this sum; None where it never landed."""
    asked = {"sha256": sha256 or "", "format": FORMATS[file.kind], "instrument": file.instrument}
    days = connection.execute(query("landing_find"), asked).fetchall()
    if not days:
        return None
    return Landed(
        stream=days[0][0],
        waiting=tuple(day for _, day, is_pending, _ in days if is_pending),
        refused=tuple(refused for *_, refused in days if refused),
    )


def _clear(database: Database, files: dict[ArchiveFile, Path]) -> None:
    """Remove downloads of which the landing zone has its own copy, and what was refused though no checksum speaks for it."""
    with database.connect(Role.WRITER, autocommit=True) as connection:
        for file, target in files.items():
            checksum = target.with_name(f"{target.name}.CHECKSUM")
            if landed_as(connection, file, receipt(target)) or not checksum.is_file():
                target.unlink()
                checksum.unlink(missing_ok=True)
