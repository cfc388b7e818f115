"""Who is told, on this machine: a server that speaks as much of Slack's Web API as is used, takes webhooks, and misbehaves as it is told.

Belongs here: taking messages, remembering them, the ways in which that goes wrong; causes as tests make them. Does not: what a test
expects.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, cast
from urllib.parse import parse_qs

from rrr_assets.calc.alerts import Cause
from rrr_assets.calc.quality_config import Alerting

TOKEN = "xoxb-secret-of-the-tests"
"""Held by the variable RRR_TEST_TOKEN where a test sets it."""


@dataclass
class AlertServer:
    """What was taken: `slack` and `hooks` as they came, in order.

    `answers` are given to requests one by one: a status, an error of Slack's, or "cut": the message is taken, and no answer comes.
    """

    slack: list[dict[str, Any]] = field(default_factory=list)
    hooks: list[dict[str, Any]] = field(default_factory=list)
    pings: int = 0
    answers: list[int | str] = field(default_factory=list)
    retry_after: str = "77"
    is_down: bool = False
    may_look: bool = True
    looks: int = 0
    url: str = ""
    lock: Lock = field(default_factory=Lock)

    def slack_texts(self, kind: str | None = None) -> list[str]:
        return [each["text"] for each in self.slack if kind in {None, each["metadata"]["event_payload"]["kind"]}]

    def kinds(self) -> list[tuple[int, str]]:
        """(alert, kind) of every message that Slack took, in order."""
        told = [each["metadata"]["event_payload"] for each in self.slack]
        return [(each["alert"], each["kind"]) for each in told]

    def distinct_hooks(self) -> list[dict[str, Any]]:
        """What a receiver has that knows keys: the first of each."""
        return list({each["key"]: each for each in reversed(self.hooks)}.values())[::-1]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _served(self) -> AlertServer:
        return cast(Any, self.server).served

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name of the parent's
        """Say nothing."""

    def do_GET(self) -> None:
        self._served.pings += 1
        self._answer(200, {"ok": True})

    def do_POST(self) -> None:
        served = self._served
        content = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        is_json = "json" in (self.headers.get("Content-Type") or "")
        told = json.loads(content) if is_json else {name: values[-1] for name, values in parse_qs(content).items()}
        with served.lock:
            if served.is_down:
                self._answer(503, {"error": "down"})
            elif self.path.endswith(("conversations.history", "conversations.replies")):
                served.looks += 1
                self._answer(200, {"ok": True, "messages": served.slack} if served.may_look else {"ok": False, "error": "missing_scope"})
            else:
                self._take(served, told)

    def _take(self, served: AlertServer, told: dict[str, Any]) -> None:
        answer = served.answers.pop(0) if served.answers else 200
        is_slack = self.path.endswith("chat.postMessage")
        if answer not in {200, "cut"}:
            if isinstance(answer, str):
                self._answer(200 if is_slack else 500, {"ok": False, "error": answer})
            else:
                self._answer(answer, {"ok": False, "error": "ratelimited"} if is_slack and answer == 429 else {"error": "no"})
            return
        if is_slack:
            if isinstance(told.get("blocks"), str):
                told["blocks"] = json.loads(told["blocks"])
            if isinstance(told.get("metadata"), str):
                told["metadata"] = json.loads(told["metadata"])
            told |= {"ts": f"{len(served.slack)}.0001", "authorization": self.headers.get("Authorization")}
            served.slack.append(told)
        else:
            served.hooks.append({**told, "key": self.headers.get("Idempotency-Key"), "authorization": self.headers.get("Authorization")})
        if answer == "cut":
            self.close_connection = True
            self.connection.close()
            return
        self._answer(200, {"ok": True, "ts": told.get("ts"), "channel": "C1"})

    def _answer(self, status: int, told: dict[str, Any]) -> None:
        content = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status == 429:
            self.send_header("Retry-After", self._served.retry_after)
        self.end_headers()
        self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asked has gone, or was cut off on purpose."""


@contextmanager
def serving() -> Iterator[AlertServer]:
    """A server on a free port of this machine, until the end of the block."""
    served = AlertServer()
    with _Server(("127.0.0.1", 0), _Handler) as server:
        cast(Any, server).served = served
        served.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


def alerting(served: AlertServer, *kinds: str, **given: Any) -> Alerting:
    """Settings with these channels of the server: slack, webhook, or both; slack alone hears of what pages, the webhook of all."""
    channels = {
        "slack": {"name": "slack", "kind": "slack", "url": f"{served.url}/api/", "channel": "#alerts", "token_variable": "RRR_TEST_TOKEN"},
        "webhook": {"name": "hook", "kind": "webhook", "url": f"{served.url}/hook", "severities": ["page", "warn"]},
    }
    return Alerting.model_validate({"channels": [channels[kind] for kind in kinds], "settle_seconds": 0, **given})


NOW = datetime(2024, 1, 2, 12, tzinfo=UTC)


def cause(
    name: str = "binance:BTCUSDT", rule: str = "gap", *, level: int = 1, severity: str = "page", members: Sequence[str] = (),
    since: datetime = NOW - timedelta(minutes=10),
) -> Cause:  # fmt: skip
    """A cause as grouping makes it."""
    return Cause(
        key=f"{rule}|{name}", rule=rule, severity=severity, title=f"trades of {name} are missing", scope=name, since=since, level=level,
        next_step="rrr gaps", page="gap", path="/assets/raw_trades", members=frozenset(members or {f"{rule}|{name}"}),
        touched=frozenset({(name if ":" in name else None, rule)}), lines=("a line <with> & marks",),
    )  # fmt: skip


def tell(database: str, url: str, *names: str) -> None:
    """See these causes and send what waits, as a process of its own that a test may kill."""
    from rrr_assets.resources.alerting import deliver
    from rrr_assets.warehouse.alerts import reconcile
    from rrr_assets.warehouse.connect import Database, Role

    known = Database.current(database)
    settings = alerting(AlertServer(url=url), "slack", "webhook")
    with known.connect(Role.WRITER, autocommit=True) as connection:
        reconcile(connection, lambda: [cause(name) for name in names], settings, NOW)
    deliver(known, settings)
