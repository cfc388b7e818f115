"""A server before a server that speaks S3: it hands requests on, and answers some of them as a store in trouble does.

Belongs here: the faults that a test chooses. Does not: the store itself (moto).
"""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_TOLD_ON = ("content-length", "content-type", "etag", "last-modified", "content-range", "accept-ranges")
_METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")
_BROKEN = b"<Error><Code>InternalError</Code><Message>We encountered an internal error. Please try again.</Message></Error>"


def kind(method: str, url: str) -> str:
    """What a request asks for, in the words of S3's own documentation."""
    parts = urlsplit(url)
    asked = parse_qs(parts.query, keep_blank_values=True)
    if "partNumber" in asked:
        return "UploadPart"
    if "uploads" in asked:
        return "CreateMultipartUpload" if method == "POST" else "ListMultipartUploads"
    if "uploadId" in asked:
        return {"POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}.get(method, "ListParts")
    return {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}.get(method, method)


@dataclass
class Fault:
    """What goes wrong: with which requests, from the `first` to before the `last` of them (None: for ever), and how.

    `seconds` is how long an answer is withheld; `is_done` says whether the request is done all the same, and only its answer lost.
    """

    of: str
    ending: str = ""
    first: int = 0
    last: int | None = None
    status: int = 500
    seconds: float = 0.0
    is_done: bool = False
    is_cut: bool = False


@dataclass
class FaultyStore:
    """The server before the server."""

    endpoint: str
    fault: Fault | None = None
    hit: int = 0
    seen: list[str] = field(default_factory=list)
    _met: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def break_down(self, fault: Fault) -> None:
        self.fault, self.hit, self._met = fault, 0, 0

    def recover(self) -> None:
        self.fault = None

    def fault_of(self, method: str, url: str) -> Fault | None:
        """The fault that a request meets."""
        asked, fault = kind(method, url), self.fault
        with self._lock:
            self.seen.append(asked)
            if fault is None or fault.of not in {asked, "*"} or not urlsplit(url).path.endswith(fault.ending):
                return None
            place = self._met
            self._met += 1
            if place < fault.first or (fault.last is not None and place >= fault.last):
                return None
            self.hit += 1
            return fault


@contextmanager
def faulty_store(behind: str) -> Iterator[FaultyStore]:
    """A faulty store before the one at an address, while the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    store = FaultyStore(f"http://127.0.0.1:{server.server_address[1]}")
    server.RequestHandlerClass = _handler(store, urlsplit(behind).netloc)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()


def _handler(store: FaultyStore, behind: str) -> Callable[..., BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"store": store, "behind": behind, **{f"do_{method}": _Handler.handed_on for method in _METHODS}})


class _Handler(BaseHTTPRequestHandler):
    """Hands a request on, unless it meets a fault."""

    protocol_version = "HTTP/1.1"
    store: FaultyStore
    behind: str

    def handed_on(self) -> None:
        body = self._body()
        fault = self.store.fault_of(self.command, self.path)
        if fault is None:
            self._answer(*self._asked(body))
            return
        time.sleep(fault.seconds)
        if fault.is_cut:
            self._answer(*self._asked(body), is_cut=True)
            return
        if fault.is_done:
            self._asked(body)
        self._answer(fault.status, {"content-type": "application/xml"}, _BROKEN)

    def _asked(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """What the server behind answers."""
        connection = http.client.HTTPConnection(self.behind, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in {"transfer-encoding", "expect"}}
        connection.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, {name: value for name, value in told.items() if name in _TOLD_ON or name.startswith("x-amz")}, content

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _answer(self, status: int, headers: dict[str, str], content: bytes, *, is_cut: bool = False) -> None:
        length = headers.pop("content-length", "0") if self.command == "HEAD" else str(len(content))
        try:
            self.send_response(status)
            for name, value in {**headers, "content-length": length}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[: len(content) // 2] if is_cut else content)
        except (BrokenPipeError, ConnectionResetError):
            # Who asked has stopped waiting.
            self.close_connection = True
        self.close_connection |= is_cut

    def log_message(self, *_: object) -> None:
        return
