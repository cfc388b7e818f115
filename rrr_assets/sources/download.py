"""One file by HTTP: whole and verified in its place, or not there at all.

Belongs here: going on where a download broke off, waiting and trying again, the venue's checksum, two processes that want the same
file. Does not: which file (one module per venue), what is in it (venues/).

Beside a file `day.zip` lie `day.zip.CHECKSUM`, the venue's own, where it publishes one; `day.zip.sha256`, the receipt, which stays when
the file was moved on; and while it is under way `day.zip.part` with `day.zip.part.json`, which says of which version the part is.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx
from filelock import FileLock, Timeout
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from rrr_assets import __version__

_GONE: Final = frozenset({404, 410})
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_CHECKSUM_BYTES: Final = 64 << 10
_SHA256_LINE: Final = re.compile(r"(?P<sum>[0-9a-fA-F]{64})(?:\s+\*?(?P<name>\S+))?")
_CONTENT_RANGE: Final = re.compile(r"bytes (?:(?P<first>\d+)-\d+|\*)/(?P<size>\d+|\*)")

Progress = Callable[[int, int | None], None]
"""Told (bytes of the file that are here, bytes of the file in all where that is known)."""


def unseen(_done: int, _in_all: int | None) -> None:
    """Progress that nobody looks at."""


class DownloadFailed(Exception):
    """A file could not be had; the message says why and what to do."""

    def __init__(self, url: str, reason: str, remedy: str) -> None:
        self.url, self.reason, self.remedy = url, reason, remedy
        super().__init__(f"{url}: {reason}. {remedy}")


class NoSuchFile(DownloadFailed):
    """The server has no such file. Permanent."""


class WrongChecksum(DownloadFailed):
    """What the server sends is, twice in a row, not what its checksum says. Permanent."""


class _Passing(Exception):
    """A failure that may be over at the next attempt."""

    def __init__(self, reason: str, least_wait_seconds: float = 0) -> None:
        self.reason, self.least_wait_seconds = reason, least_wait_seconds
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try.

    `attempts` of each request, the first included, with waits that double from `first_wait_seconds` to `longest_wait_seconds`
    with as much as `first_wait_seconds` of chance on top. A server that asks for a longer wait is given it up to
    `longest_asked_seconds`. An answer of which fewer than `least_bytes` come in `read_seconds` has failed.
    """

    attempts: int = 6
    connect_seconds: float = 15
    read_seconds: float = 30
    least_bytes: int = 1024
    first_wait_seconds: float = 1
    longest_wait_seconds: float = 60
    longest_asked_seconds: float = 600


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that is here. `is_checked` where the venue's checksum holds; `bytes_read` came over the line for it just now."""

    path: Path
    size_bytes: int
    sha256: str
    is_checked: bool
    bytes_read: int


@dataclass(frozen=True, slots=True)
class _Version:
    """Of which version of which file a part is, by what the server said of it."""

    url: str
    etag: str | None
    last_modified: str | None

    @classmethod
    def of(cls, url: str, answer: httpx.Response) -> "_Version":
        return cls(url, answer.headers.get("etag"), answer.headers.get("last-modified"))

    @property
    def condition(self) -> str | None:
        """The value of If-Range; None where nothing tells this version from another. Weak tags do not promise equal bytes."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified


@contextmanager
def claim(target: Path, wait_seconds: float = 3600) -> Iterator[None]:
    """Hold a file against other processes that want it too; what the holder has done with it by then, the next one finds.

    Reentrant in its thread. The system frees it when its holder dies.

    Raises:
        DownloadFailed: another process held it for all of `wait_seconds`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_name(f".{target.name}.lock"), is_singleton=True)
    try:
        lock.acquire(timeout=wait_seconds)
    except Timeout:
        raise DownloadFailed(
            str(target), f"another process has been at it for {wait_seconds:.0f} s", "Wait for it to end, or stop it, and try again"
        ) from None
    try:
        yield
    finally:
        lock.release()


def receipt(target: Path) -> str | None:
    """The sha256 with which a file was downloaded to this place before, wherever it is now; None where it never was."""
    path = _beside(target, ".sha256")
    found = _SHA256_LINE.match(path.read_text("utf-8", "replace")) if path.is_file() else None
    return found["sum"].lower() if found else None


def write_receipt(target: Path, sha256: str) -> None:
    """Note that a file need not be downloaded, for one of this sum is held."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _replace(_beside(target, ".sha256"), f"{sha256}  {target.name}\n".encode())


class Downloader:
    """Downloads files over connections that it keeps. A context manager."""

    def __init__(self, patience: Patience | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self._patience = patience or Patience()
        self._sleep = sleep
        self._client = httpx.Client(
            # What is counted, gone on with and summed are the file's own bytes.
            headers={"User-Agent": f"rrr-assets/{__version__}", "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(self._patience.read_seconds, connect=self._patience.connect_seconds),
            follow_redirects=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def published_sha256(self, url: str) -> str | None:
        """The sha256 that the server publishes for a file as `<url>.CHECKSUM`; None where it publishes none.

        Raises:
            DownloadFailed: it could not be had.
        """
        try:
            return self._patiently(f"{url}.CHECKSUM", lambda: self._read_checksum(url))
        except NoSuchFile:
            return None

    def fetch(self, url: str, target: Path, progress: Progress = unseen) -> Downloaded:
        """Bring a file to `target`, or find it there. Goes on with a part that an earlier attempt left, of whichever process.

        Raises:
            NoSuchFile: the server does not have it.
            WrongChecksum: its bytes are not those of its checksum, and were not when it was fetched anew. Nothing of it was kept.
            DownloadFailed: the server refuses, or went on failing; the part is kept.
        """
        with claim(target):
            if target.is_file() and receipt(target) == (held := _sha256(target)):
                return Downloaded(target, target.stat().st_size, held, _beside(target, ".CHECKSUM").is_file(), 0)
            return self._fetch(url, target, progress)

    def _fetch(self, url: str, target: Path, progress: Progress) -> Downloaded:
        part = _beside(target, ".part")
        came = 0
        sums: list[str] = []
        while True:
            # Asked for each time: a file that is replaced at this moment gets another checksum.
            published = self.published_sha256(url)
            came += self._patiently(url, lambda: self._read_rest(url, part, progress), lambda: _size(part))
            found = _sha256(part)
            if published in {None, found}:
                break
            _discard(part)
            sums.append(found)
            if len(sums) > 1:
                raise WrongChecksum(
                    _without_user(url),
                    f"its sha256 is {found}, but its .CHECKSUM says {published}; so it was when it was fetched a second time",
                    "Nothing of it was kept. Try again later, and report it to the venue if that does not help",
                )
        checksum = _beside(target, ".CHECKSUM")
        if published is None:
            checksum.unlink(missing_ok=True)
        else:
            _replace(checksum, f"{published}  {target.name}\n".encode())
        write_receipt(target, found)
        part.replace(target)
        _discard(part)
        return Downloaded(target, target.stat().st_size, found, published is not None, came)

    def _patiently[T](self, url: str, attempt: Callable[[], T], kept_bytes: Callable[[], int] = lambda: 0) -> T:
        raise NotImplementedError
