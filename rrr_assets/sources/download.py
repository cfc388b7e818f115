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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx
from filelock import FileLock, Timeout
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random

from rrr_assets import __version__

_GONE: Final = frozenset({404, 410})
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_BANNED: Final = 418
"""Binance's word to who went on asking after a 429: each further request makes the ban longer."""
_CHECKSUM_BYTES: Final = 64 << 10
_ANSWER_BYTES: Final = 32 << 20
_SHA256_LINE: Final = re.compile(r"(?P<sum>[0-9a-fA-F]{64})(?:\s+\*?(?P<name>\S+))?")
_CONTENT_RANGE: Final = re.compile(r"bytes (?:(?P<first>\d+)-\d+|\*)/(?P<size>\d+|\*)")

_Answer = TypeVar("_Answer")

Progress = Callable[[int, int | None], None]
"""Told (bytes of the file that are here, bytes of the file in all where that is known)."""


def unseen(_done: int, _in_all: int | None) -> None:
    """Progress that nobody looks at."""


def _say_nothing(_: str) -> None:
    """Nobody listens."""


class DownloadFailed(Exception):
    """A file could not be had; the message says why and what to do. `asked_seconds` is the wait that the server asked for."""

    def __init__(self, url: str, reason: str, remedy: str, asked_seconds: float = 0) -> None:
        self.url, self.reason, self.remedy, self.asked_seconds = url, reason, remedy, asked_seconds
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
        return cls(without_user(url), answer.headers.get("etag"), answer.headers.get("last-modified"))

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
    write_whole(_beside(target, ".sha256"), f"{sha256}  {target.name}\n".encode())


class Downloader:
    """Downloads files over connections that it keeps. A context manager.

    Args:
        patience: how long to try.
        say: told, before a wait, what went wrong and how long the wait is.
        sleep: waits so many seconds.
    """

    def __init__(
        self, patience: Patience | None = None, say: Callable[[str], None] = _say_nothing, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._patience = patience or Patience()
        self._say = say
        self._sleep = sleep
        self._bytes_read = 0
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

    def read(self, url: str, headers: Mapping[str, str] | None = None) -> bytes:
        """A short answer, whole. Nothing of it is kept, and what it says is not looked at.

        Args:
            url: with its query.
            headers: that go with it; never told to anybody.

        Raises:
            NoSuchFile: the server does not have it.
            DownloadFailed: the server refuses, went on failing, or answers with more than a short answer has.
        """
        return self._patiently(url, lambda: self._read_short(url, dict(headers or {})))

    def fetch(self, url: str, target: Path, progress: Progress = unseen, *, published: str | None = None) -> Downloaded:
        """Bring a file to `target`, or find it there. Goes on with a part that an earlier attempt left, of whichever process.

        Args:
            url: where it is.
            target: where it goes.
            progress: told as bytes come.
            published: its `published_sha256`, where it was asked for already.

        Raises:
            NoSuchFile: the server does not have it.
            WrongChecksum: its bytes are not those of its checksum, and were not when it was fetched anew. Nothing of it was kept.
            DownloadFailed: the server refuses, or went on failing; the part is kept.
        """
        with claim(target):
            if target.is_file() and receipt(target) == (held := _sha256(target)):
                return Downloaded(target, target.stat().st_size, held, _beside(target, ".CHECKSUM").is_file(), 0)
            self._bytes_read = 0
            return self._fetch(url, target, progress, published)

    def _fetch(self, url: str, target: Path, progress: Progress, published: str | None) -> Downloaded:
        part = _beside(target, ".part")
        published, found = published or self.published_sha256(url), self._whole(url, part, progress)
        if published not in {None, found}:
            _discard(part)
            # Asked for again: a file that was replaced just now has another one.
            published, found = self.published_sha256(url), self._whole(url, part, progress)
        if published not in {None, found}:
            _discard(part)
            raise WrongChecksum(
                without_user(url),
                f"its sha256 is {found}, but its .CHECKSUM says {published}; it was fetched anew once, and was no better",
                "Nothing of it was kept. Try again later; if that does not help, the venue has to mend it",
            )
        checksum = _beside(target, ".CHECKSUM")
        if published is None:
            checksum.unlink(missing_ok=True)
        else:
            write_whole(checksum, f"{published}  {target.name}\n".encode())
        write_receipt(target, found)
        part.replace(target)
        _sync(target.parent)
        _discard(part)
        return Downloaded(target, target.stat().st_size, found, published is not None, self._bytes_read)

    def _whole(self, url: str, part: Path, progress: Progress) -> str:
        """Bring all of a file into its part; returns its sha256."""
        self._patiently(url, lambda: self._read_rest(url, part, progress))
        return _sha256(part)

    def _patiently(self, url: str, attempt: Callable[[], _Answer]) -> _Answer:
        most = self._patience.attempts
        retrying = Retrying(
            retry=retry_if_exception_type(_Passing),
            stop=stop_after_attempt(most),
            wait=self._wait_seconds,
            before_sleep=lambda state: self._tell(url, state),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except _Passing as failure:
            raise DownloadFailed(
                without_user(url),
                f"{failure.reason}; {most} attempts failed",
                "What came of it is kept: ask again later, and it goes on",
                failure.least_wait_seconds,
            ) from failure

    def _wait_seconds(self, state: RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome else None
        patience = self._patience
        backoff = wait_exponential(patience.first_wait_seconds, max=patience.longest_wait_seconds) + wait_random(
            0, patience.first_wait_seconds
        )
        return max(backoff(state), failure.least_wait_seconds if isinstance(failure, _Passing) else 0)

    def _tell(self, url: str, state: RetryCallState) -> None:
        failure = state.outcome.exception() if state.outcome else None
        wait_seconds = state.next_action.sleep if state.next_action else 0
        self._say(f"{without_user(url)}: {failure}. Trying again in {wait_seconds:.1f} s")

    # --- one attempt ------------------------------------------------------------------------------------------------

    def _read_rest(self, url: str, part: Path, progress: Progress) -> None:
        """Read what is still missing of a part, or all of it where it cannot be gone on with."""
        known = _noted(part, url)
        done = part.stat().st_size if known else 0
        asks_for_rest = known is not None and known.condition is not None and done > 0
        headers = {"Range": f"bytes={done}-", "If-Range": str(known.condition)} if known and asks_for_rest else {}
        with self._answer(url, headers) as answer:
            version = _Version.of(url, answer)
            in_all = _size_in_all(answer)
            if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and asks_for_rest and in_all == done:
                return  # its last byte had come when its process died
            if answer.status_code == httpx.codes.OK:
                _begin(part, version)
                done = 0
            elif not (asks_for_rest and _goes_on(answer, done) and known and version.condition in {None, known.condition}):
                _discard(part)
                raise _Passing("what came of it before is of another version of the file, and was thrown away")
            self._append(answer, part, done, in_all, progress)
        size = part.stat().st_size
        if in_all is not None and size != in_all:
            if size > in_all:
                _discard(part)
            raise _Passing(f"{size} bytes came of a file of {in_all}")

    def _append(self, answer: httpx.Response, part: Path, done: int, in_all: int | None, progress: Progress) -> None:
        progress(done, in_all)
        with part.open("ab") as file:
            # As they come: what was read before a cut is kept.
            for piece in self._pieces(answer):
                file.write(piece)
                done += len(piece)
                self._bytes_read += len(piece)
                progress(done, in_all)
            file.flush()
            os.fsync(file.fileno())

    def _pieces(self, answer: httpx.Response) -> Iterator[bytes]:
        """The body as it comes; a server that drips has failed."""
        since, counted = time.monotonic(), 0
        for piece in answer.iter_raw():
            yield piece
            counted += len(piece)
            if (elapsed := time.monotonic() - since) >= self._patience.read_seconds:
                if counted < self._patience.least_bytes:
                    raise _Passing(f"only {counted} bytes came in {elapsed:.0f} s")
                since, counted = time.monotonic(), 0

    def _read_short(self, url: str, headers: dict[str, str]) -> bytes:
        content = bytearray()
        # What goes with a request is for this server and no other.
        with self._answer(url, headers, follows=not headers) as answer:
            for piece in self._pieces(answer):
                content += piece
                if len(content) > _ANSWER_BYTES:
                    raise DownloadFailed(without_user(url), f"it answers with more than {_ANSWER_BYTES >> 20} MiB", "Check the address")
        return bytes(content)

    def _read_checksum(self, url: str) -> str:
        text = b""
        with self._answer(f"{url}.CHECKSUM", {}) as answer:
            if answer.status_code != httpx.codes.OK:
                raise _Passing(f"the server answers {answer.status_code}")
            for piece in self._pieces(answer):
                text += piece
                if len(text) > _CHECKSUM_BYTES:
                    break
        found = [line for each in text.decode("utf-8", "replace").splitlines() if (line := _SHA256_LINE.fullmatch(each.strip()))]
        mine = [line for line in found if line["name"] == httpx.URL(url).path.rpartition("/")[2]] or found
        if len(mine) != 1:
            raise _Passing("it is no list with one sha256")
        return mine[0]["sum"].lower()

    @contextmanager
    def _answer(self, url: str, headers: dict[str, str], *, follows: bool = True) -> Iterator[httpx.Response]:
        """The server's answer: the file, its rest, or that there is no such rest. The body is still to be read."""
        try:
            with self._client.stream("GET", url, headers=headers, follow_redirects=follows) as answer:
                self._refuse(url, answer)
                yield answer
        except httpx.RequestError as error:
            raise _Passing(f"{str(error) or 'no answer'} ({type(error).__name__})") from error

    def _refuse(self, url: str, answer: httpx.Response) -> None:
        status = answer.status_code
        if status in _GONE:
            raise NoSuchFile(
                without_user(url),
                f"the venue has no such file ({status})",
                "A day is published during the day after. Check the symbol, and since when it is traded",
            )
        if status == _BANNED:
            asked_seconds = _retry_after_seconds(answer.headers.get("retry-after"))
            raise DownloadFailed(
                without_user(url),
                f"the server has shut us out ({status}) for {asked_seconds:.0f} s",
                "Try again after that, and more slowly",
                asked_seconds,
            )
        if status in _PASSING:
            asked_seconds = _retry_after_seconds(answer.headers.get("retry-after"))
            if asked_seconds > self._patience.longest_asked_seconds:
                raise DownloadFailed(
                    without_user(url),
                    f"the server is busy ({status}) and asks for a wait of {asked_seconds:.0f} s",
                    "Try again after that",
                    asked_seconds,
                )
            raise _Passing(f"the server answers {status} {answer.reason_phrase}", asked_seconds)
        if status not in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT, httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE}:
            raise DownloadFailed(
                without_user(url),
                f"the server answers {status} {answer.reason_phrase}",
                "Check the base address, and whether you may read it",
            )


# --- what the server says ---------------------------------------------------------------------------------------


def _size_in_all(answer: httpx.Response) -> int | None:
    """Bytes of the whole file, of which the answer may hold the rest; None where the server does not say."""
    if answer.status_code == httpx.codes.OK:
        length = answer.headers.get("content-length", "")
        return int(length) if length.isdecimal() else None
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
    return int(found["size"]) if found and found["size"].isdecimal() else None


def _goes_on(answer: httpx.Response, done: int) -> bool:
    """Whether an answer is the rest of a file from the byte `done` on."""
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
    return answer.status_code == httpx.codes.PARTIAL_CONTENT and found is not None and found["first"] == str(done)


def _retry_after_seconds(text: str | None) -> float:
    """Seconds of a Retry-After, which is a number or a date; 0 where there is none that can be read."""
    if not text:
        return 0
    if text.strip().isdecimal():
        # An integer of thousands of digits is refused; a float of them is infinite.
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0
    until = until.replace(tzinfo=UTC) if until.tzinfo is None else until
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def without_user(url: str) -> str:
    """An address as it may be printed."""
    return str(httpx.URL(url).copy_with(userinfo=b""))


# --- files ------------------------------------------------------------------------------------------------------


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(f"{target.name}{suffix}")


def _begin(part: Path, version: _Version) -> None:
    """Start a part anew, and note of which version it is: before its first byte, so that no note is of other bytes."""
    _discard(part)
    write_whole(_beside(part, ".json"), json.dumps(asdict(version)).encode())
    part.touch()


def _noted(part: Path, url: str) -> _Version | None:
    """Of which version a part is; None where there is none, or it was read from elsewhere."""
    note = _beside(part, ".json")
    if not (part.is_file() and note.is_file()):
        return None
    version = _Version(**json.loads(note.read_text("utf-8")))
    return version if version.url == without_user(url) else None


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _beside(part, ".json").unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in one step, durably."""
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Make renames in a folder durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
