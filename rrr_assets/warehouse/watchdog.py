"""The dead man's switch: whether those who would tell of trouble are alive themselves.

Belongs here: what is asked, without Dagster, of the database, the books, and the files of the home. Does not: telling it (cli/watchdog).
It starts nothing: a database that is down stays down, and is what is told. No question is waited for longer than its time.
"""

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg

from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.warehouse.alerts import waiting
from rrr_assets.warehouse.connect import Database, DatabaseUnusable, Role
from rrr_assets.warehouse.disk import disks
from rrr_assets.warehouse.home import Home, HomeUnusable, home_dir
from rrr_assets.warehouse.server import ServerFailed, status
from rrr_assets.warehouse.sqlfiles import query

if TYPE_CHECKING:
    from rrr_assets.calc.quality_config import Alerting

_CONNECT_SECONDS: Final = 5
_LOOK_SECONDS: Final = 30
_STATEMENT: Final = "set statement_timeout = '10s'"
_HEARTBEATS: Final = "select daemon_type, timestamp at time zone 'utc' from daemon_heartbeats where daemon_type in ('SENSOR', 'SCHEDULER')"


@dataclass(frozen=True, slots=True)
class Within:
    """How long ago what may have been, for all to be well."""

    recent: timedelta = timedelta(minutes=15)
    daily: timedelta = timedelta(hours=26)
    looked: timedelta = timedelta(minutes=10)
    heartbeat: timedelta = timedelta(minutes=5)
    waiting: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why somebody must look. `code` is the same for as long as it lasts; `rule` names the page of the runbook."""

    code: str
    told: str
    rule: str


def look(settings: "Alerting | None", within: Within, now: datetime) -> list[Reason]:
    """Everything that is not as it must be; nothing where all is well. `settings` None: they cannot be read, which others tell."""
    found: list[Reason] = []
    is_done = threading.Event()

    def ask() -> None:
        for reason in _asked(settings, within, now):
            found.append(reason)  # noqa: PERF402  # what was found before an answer that does not come is told
        is_done.set()

    # A server that takes connections and answers nothing must not keep the watchdog from telling.
    asking = threading.Thread(target=ask, name="rrr-watchdog", daemon=True)
    asking.start()
    asking.join(_LOOK_SECONDS)
    if is_done.is_set():
        return found
    if asking.is_alive():
        return [*found, Reason("database", f"the database does not answer within {_LOOK_SECONDS} s", "database_down")]
    return [*found, Reason("watchdog", "the watchdog itself failed: its output has the reason", "quality_run")]


def _asked(settings: "Alerting | None", within: Within, now: datetime) -> Iterator[Reason]:
    yield from _disks()
    yield from _sensor(within, now)
    yield from _books(settings, within, now)


def _disks() -> Iterator[Reason]:
    try:
        for disk in disks():
            if disk.is_full:
                yield Reason("disk", disk.told, "disk_full")
    except HomeUnusable as error:
        yield Reason("home", str(error), "disk_full")


def _sensor(within: Within, now: datetime) -> Iterator[Reason]:
    """Whether the sensor `alerts` looks: where the code of the graph does not load, nothing in Dagster can say so."""
    path = Home(home_dir()).alerts_json
    try:
        looked = datetime.fromisoformat(json.loads(path.read_text("utf-8"))["looked_at"])
    except FileNotFoundError:
        yield Reason("sensor", f"nobody has looked yet for what is wrong: {path.name} is not in the home", "bad_deploy")
        return
    except (OSError, ValueError, KeyError) as error:
        yield Reason("sensor", f"{path} cannot be read: {error}", "bad_deploy")
        return
    if now - looked > within.looked:
        yield Reason(
            "sensor", f"the sensor `alerts` looked last at {_told(looked)}: the daemon is down, or the code does not load", "bad_deploy"
        )


def _books(settings: "Alerting | None", within: Within, now: datetime) -> Iterator[Reason]:
    try:
        if not os.environ.get("RRR_DATABASE_URL") and status() is None:
            yield Reason("database", "the database is not running", "database_down")
            return
        database = Database.current()
        with database.connect(Role.WRITER, autocommit=True, connect_timeout=_CONNECT_SECONDS) as connection:
            connection.execute(_STATEMENT)
            yield from _quality_runs(connection, within, now)
            yield from _waiting(connection, settings, within, now)
        yield from _heartbeats(database, within, now)
    except (DatabaseUnusable, ServerFailed, HomeUnusable, PermanentFailure, psycopg.Error, OSError) as error:
        yield Reason("database", f"the database cannot be asked: {_first_line(error)}", "database_down")


def _quality_runs(connection: psycopg.Connection[Any], within: Within, now: datetime) -> Iterator[Reason]:
    ended = {row[0]: row for row in connection.execute(query("alert_signals_runs")).fetchall()}
    for kind, longest in (("recent", within.recent), ("daily", within.daily)):
        if kind not in ended:
            yield Reason(f"{kind}_run", f"the {kind} run of the checks has never ended", "quality_run")
            continue
        _, at, errors, _ = ended[kind]
        if now - at > longest:
            yield Reason(f"{kind}_run", f"the {kind} run of the checks ended last at {_told(at)}", "quality_run")
        if errors:
            yield Reason(f"{kind}_errors", f"checks of the {kind} run broke down: {_first_line(errors[0])}", "broken_check")


def _waiting(connection: psycopg.Connection[Any], settings: "Alerting | None", within: Within, now: datetime) -> Iterator[Reason]:
    names = None if settings is None else {channel.name for channel in settings.channels}
    for row in waiting(connection, now):
        if (names is None or row["channel"] in names) and now - row["oldest"] > within.waiting:
            why = f", last: {row['last_error']}" if row["last_error"] else ""
            told = f"{row['messages']} messages wait for the channel {row['channel']} since {_told(row['oldest'])}{why}"
            yield Reason(f"waiting_{row['channel']}", told, "alerts_waiting")


def _heartbeats(database: Database, within: Within, now: datetime) -> Iterator[Reason]:
    last: dict[str, Any] = {}
    try:
        with psycopg.connect(database.dagster_url, autocommit=True, connect_timeout=_CONNECT_SECONDS) as connection:
            connection.execute(_STATEMENT)
            last = dict(connection.execute(_HEARTBEATS).fetchall())
    except psycopg.errors.UndefinedTable:
        pass  # no daemon ever ran here: it has given no sign of life
    except psycopg.OperationalError as error:
        yield Reason("daemon", f"Dagster's database cannot be entered: {_first_line(error)}", "database_down")
        return
    for kind in ("SENSOR", "SCHEDULER"):
        at = last.get(kind)
        if at is None or now - at > within.heartbeat:
            since = f"last at {_told(at)}" if at else "never"
            yield Reason("daemon", f"Dagster's daemon ({kind.lower()}) gave a sign of life {since}", "sensor_failed")
            return


def _told(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
