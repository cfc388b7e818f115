"""A venue's file server on this machine, which misbehaves as it is told.

Belongs here: serving files with checksums, ranges and tags, and the ways in which that goes wrong. Does not: what a test expects of it.
"""

import hashlib
import io
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, cast
from urllib.parse import parse_qsl

from rrr_assets.simulator import WrittenFile, simulate

_FOLDERS = {"binance": "spot", "binance-usdm": "futures/um"}


@dataclass(frozen=True)
class Answer:
    """How one request is answered: with a status alone, or with the file, cut after some bytes, or slowly.

    `shift` sends the rest of a file from so many bytes too early, and says so; `withheld` leaves away its last bytes, and says that
    there is more. `body` takes the place of what was asked for. `is_unmeasured` says no length, and ends where the connection does.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    pause_seconds: float = 0
    bytes_at_once: int = 1 << 16
    shift: int = 0
    withheld: int = 0
    body: bytes | None = None
    is_unmeasured: bool = False


@dataclass
class VenueServer:
    """What is served, and what was asked for.

    `answers` are given to the requests of a path one by one; later requests are answered properly. `asks` answers paths by their query,
    and `asked` are these queries with the headers that came along. `requests` are (path, Range header) of every request. Files have a
    checksum beside them unless they are in `without_checksum`; `checksums` says another.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    checksums: dict[str, list[bytes]] = field(default_factory=dict)
    without_checksum: set[str] = field(default_factory=set)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    asks: dict[str, Callable[[dict[str, str]], bytes]] = field(default_factory=dict)
    asked: list[tuple[dict[str, str], dict[str, str]]] = field(default_factory=list)
    knows_ranges: bool = True
    knows_conditions: bool = True
    tag: Callable[[bytes], str | None] = lambda content: f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    on_answered: Callable[[str], None] = lambda _: None
    url: str = ""
    lock: Lock = field(default_factory=Lock)

    def of(self, path: str) -> list[str | None]:
        """The Range headers of the requests of a path."""
        return [asked for each, asked in self.requests if each == path]

    def content(self, path: str) -> bytes | None:
        if path in self.files:
            return self.files[path]
        of = path.removesuffix(".CHECKSUM")
        if of == path or of not in self.files or of in self.without_checksum:
            return None
        if told := self.checksums.get(of):
            return told.pop(0) if len(told) > 1 else told[0]
        return checksum(self.files[of], of)


def checksum(content: bytes, path: str) -> bytes:
    """A venue's checksum file."""
    return f"{hashlib.sha256(content).hexdigest()}  {path.rpartition('/')[2]}\n".encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _served(self) -> VenueServer:
        return cast(Any, self.server).served

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name of the parent's
        """Say nothing."""

    def do_GET(self) -> None:
        served, (path, _, words) = self._served, self.path.lstrip("/").partition("?")
        with served.lock:
            served.requests.append((path, self.headers.get("Range")))
            told = served.answers[path].pop(0) if served.answers[path] else Answer()
            content = served.content(path)
            if ask := served.asks.get(path):
                asked = dict(parse_qsl(words))
                served.asked.append((asked, dict(self.headers)))
                content = ask(asked)
            content = content if told.body is None else told.body
        if told.status != 200 or content is None:
            self._send_status(404 if told.status == 200 else told.status, told.headers)
            return
        tag = served.tag(content)
        start = self._start(tag)
        if start is not None and start >= len(content):
            self._send_status(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        if start is not None:
            start -= told.shift
        end = len(content) - told.withheld
        self.send_response(200 if start is None else 206)
        if told.is_unmeasured:
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(end - (start or 0)))
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        if tag is not None:
            self.send_header("ETag", tag)
        for name, value in told.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self._send(content[start or 0 : end], told)
        served.on_answered(path)

    def _start(self, tag: str | None) -> int | None:
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if asked is None or not self._served.knows_ranges or (self._served.knows_conditions and condition != tag):
            return None
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _send_status(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, content: bytes, told: Answer) -> None:
        end = len(content) if told.cut_after is None else told.cut_after
        try:
            for at in range(0, end, told.bytes_at_once):
                self.wfile.write(content[at : min(at + told.bytes_at_once, end)])
                self.wfile.flush()
                time.sleep(told.pause_seconds)
        except OSError:
            self.close_connection = True  # who asked has gone
        if end < len(content):
            self.close_connection = True


@contextmanager
def serving() -> Iterator[VenueServer]:
    """A server on a free port of this machine, until the end of the block."""
    served = VenueServer()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        cast(Any, server).served = served
        served.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


def archive_path(file: WrittenFile) -> str:
    """Where the venue keeps what the simulator wrote, written out here a second time."""
    venue, _, symbol = file.instrument.partition(":")
    kind = f"klines/{symbol}/{file.interval}" if file.interval else f"trades/{symbol}"
    return f"data/{_FOLDERS[venue]}/daily/{kind}/{file.path.name}"


def serve_simulated(
    served: VenueServer,
    folder: Path,
    days: Sequence[date],
    trades: int,
    instruments: Sequence[str] = ("binance:BTCUSDT",),
    defects: Sequence[str] = (),
) -> dict[str, WrittenFile]:
    """Serve days of the simulated exchange; returns them by their path on the server."""
    written = {archive_path(file): file for file in simulate(folder, days, instruments, trades, 11, defects=defects).files}
    served.files |= {path: file.path.read_bytes() for path, file in written.items() if not file.is_held_back}
    return written


def rewritten(archive: bytes, change: Callable[[list[list[str]]], None]) -> bytes:
    """A zipped CSV file with changed rows."""
    with zipfile.ZipFile(io.BytesIO(archive)) as old:
        (name,) = old.namelist()
        lines = [line.split(",") for line in old.read(name).decode("ascii").splitlines()]
    change(lines)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr(name, "".join(",".join(line) + "\n" for line in lines))
    return made.getvalue()
