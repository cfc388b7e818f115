"""The platform's own metrics, for Prometheus: what waits, what is late, what is broken, how full the disks are.

Belongs here: their names, units and help, and reading them at a scrape. Does not: serving them (cli/metrics.py), graphs and alerts of them
(infra/). Names follow https://prometheus.io/docs/practices/naming/: base units as suffixes, `_total` for what only grows, moments as
`_timestamp_seconds`. A scrape starts nothing and writes nothing: where the database is down, that is what it says.

Everything has a bound: a query is ended after some seconds, a part that took long is not read again so soon, and an instrument, a rule or a
job makes no more series than `MOST_SERIES`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import psycopg

import rrr_assets
from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.information_bars import FOLLOWED
from rrr_assets.contracts.quality import DAY_STATUSES, GAP_CAUSES, GAP_STATES, QUALITY_RUN_KINDS, SEVERITIES
from rrr_assets.warehouse.connect import Database, DatabaseUnusable, Role
from rrr_assets.warehouse.home import Home, HomeUnusable, home_dir
from rrr_assets.warehouse.server import ServerFailed, status
from rrr_assets.warehouse.sqlfiles import query

if TYPE_CHECKING:
    from prometheus_client import Metric as Family

    Connection = psycopg.Connection[tuple[Any, ...]]

LOGGER: Final = logging.getLogger(__name__)

MOST_SERIES: Final = 2_000
"""Series of one metric: 500 instruments of four streams."""

PORT: Final = 9187

_MOST_WORDS: Final = 100
_MOST_ENTRIES: Final = 1_000
_MOST_RUNS: Final = 5_000
_CONNECT_SECONDS: Final = 3
_STATEMENT_MS: Final = 8_000
_SAME_FOR_SECONDS: Final = 2.0
_REST: Final = 10
"""A part rests so many times as long as reading it took: scrapes cost the server a tenth of a core at most, however much there is."""
_ACTIVE: Final = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")


@dataclass(frozen=True, slots=True)
class Described:
    """A metric: its name, what it says, and the labels of its series."""

    name: str
    help: str
    labels: tuple[str, ...] = ()

    @property
    def kind(self) -> Literal["counter", "gauge"]:
        """A counter only grows."""
        return "counter" if self.name.endswith("_total") else "gauge"


_ALL: Final = (
    Described("rrr_up", "1 where the platform's database could be entered."),
    Described("rrr_build_info", "1, with the version of the platform.", ("version",)),
    Described("rrr_collector_up", "1 where this part of the metrics could be read.", ("collector",)),
    Described("rrr_collector_duration_seconds", "How long reading this part took.", ("collector",)),
    Described("rrr_stream_lag_seconds", "How old the newest row of a stream is.", ("instrument", "stream")),
    Described("rrr_stream_last_event_timestamp_seconds", "Time of the newest row of a stream.", ("instrument", "stream")),
    Described(
        "rrr_stream_lag_limit_seconds", "From what age on a stream is not fresh, where freshness is promised.", ("instrument", "stream")
    ),
    Described("rrr_invalidation_days", "Days that a consumer of the invalidation log has not worked off.", ("consumer",)),
    Described(
        "rrr_invalidation_entries",
        f"Entries of the invalidation log that wait, of an instrument and day {_MOST_ENTRIES} at most.",
        ("consumer",),
    ),
    Described("rrr_invalidation_oldest_age_seconds", "How long the oldest of these entries waits; 0 where none does.", ("consumer",)),
    Described("rrr_landing_files_waiting", "Landed files that wait to be taken in."),
    Described("rrr_landing_days_waiting", "Days of which landed files wait."),
    Described("rrr_landing_oldest_age_seconds", "How long the oldest of these days waits; 0 where none does."),
    Described("rrr_landing_files_refused", "Landed files of which a day was refused."),
    Described("rrr_quarantine_rows", "Rows that wait in quarantine.", ("reason",)),
    Described("rrr_gaps", "Gaps in the ledger.", ("state", "cause")),
    Described("rrr_gaps_oldest_age_seconds", "How long the oldest gap that is open or healing is known; 0 where there is none."),
    Described("rrr_findings_open", "Rules that are broken, by finding.", ("rule", "severity")),
    Described("rrr_instrument_days", "Instruments' days of the last 30 days, by their published status.", ("status",)),
    Described("rrr_alerts_open", "Alerts that are open.", ("severity",)),
    Described("rrr_alert_messages_waiting", "Messages that no channel took yet."),
    Described("rrr_alert_messages_failing", "Of these, those that were tried in vain."),
    Described("rrr_alert_messages_oldest_due_seconds", "How long the oldest of these is due; 0 where none is."),
    Described("rrr_alerts_looked_timestamp_seconds", "When the sensor of alerts last looked for what is wrong."),
    Described("rrr_watchdog_reasons", "Reasons to look that the watchdog told last, where it ever told one."),
    Described("rrr_quality_run_finished_timestamp_seconds", "When the last run of the checks ended.", ("kind",)),
    Described("rrr_quality_run_age_seconds", "How long ago that was.", ("kind",)),
    Described("rrr_quality_run_duration_seconds", "How long it took.", ("kind",)),
    Described("rrr_quality_run_rules_broken", "Rules that it found broken.", ("kind",)),
    Described("rrr_quality_run_errors", "Checks of it that broke down themselves.", ("kind",)),
    Described("rrr_ingest_batches_total", "Batches that were taken in: a file's rows of a day.", ("stream",)),
    Described("rrr_ingest_rows_total", "Rows that were read, by what became of them.", ("stream", "outcome")),
    Described("rrr_ingest_seconds_total", "Seconds that taking batches in took.", ("stream",)),
    Described("rrr_ingest_last_batch_timestamp_seconds", "When the last batch was taken in.", ("stream",)),
    Described("rrr_ingest_recent_rows", "Rows that were stored lately.", ("stream", "window")),
    Described("rrr_ingest_rows_per_second", "Rows stored a second of loading, over the batches of the last hour.", ("stream",)),
    Described("rrr_database_size_bytes", "Size of the platform's database."),
    Described("rrr_knowledge_horizon_lag_seconds", "How far behind now what was known is final: the age of the oldest load in flight."),
    Described("rrr_archive_partitions", "Partitions that are proven in the archive.", ("relation",)),
    Described("rrr_archive_rows", "Rows of them.", ("relation",)),
    Described("rrr_archive_size_bytes", "Bytes of their files.", ("relation",)),
    Described("rrr_archive_last_proof_timestamp_seconds", "When the last of them was proven.", ("relation",)),
    Described("rrr_disk_free_bytes", "Room that is left on a disk, by what it holds.", ("holds",)),
    Described("rrr_disk_floor_bytes", "Room below which what writes much is refused.", ("holds",)),
    Described("rrr_backup_last_timestamp_seconds", "When the last base backup that can be restored ended, where backups are made."),
    Described("rrr_backup_age_seconds", "How long ago that was."),
    Described("rrr_backup_receiving", "1 where the log of the database is received, where backups are made."),
    Described("rrr_dagster_runs_active", "Runs that are not over.", ("status",)),
    Described("rrr_dagster_runs_oldest_age_seconds", "How long the oldest of them waits or runs; 0 where there is none.", ("status",)),
    Described("rrr_dagster_job_recent_runs", "Runs of a job that ended within the last day.", ("job", "status")),
    Described("rrr_dagster_job_last_duration_seconds", "How long the last run of a job took.", ("job",)),
    Described("rrr_dagster_job_last_success_timestamp_seconds", "When a run of a job last succeeded.", ("job",)),
    Described("rrr_dagster_job_last_failure_timestamp_seconds", "When a run of a job last failed.", ("job",)),
    Described("rrr_dagster_daemon_heartbeat_timestamp_seconds", "When a daemon of Dagster last said that it lives.", ("daemon",)),
)
METRICS: Final[Mapping[str, Described]] = {each.name: each for each in _ALL}

Sample = tuple[str, tuple[str, ...], float]
"""A metric's name, the values of its labels, and what it is."""

Resting = dict[str, tuple[float, list[Sample]]]
"""Parts that are not read again before a moment of the monotonic clock, with what they said."""


class PlatformCollector:
    """What prometheus_client asks at each scrape. Scrapes that come at once are answered by one look at the database."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[float, list[Sample]] | None = None
        self._resting: Resting = {}

    def describe(self) -> list[Family]:
        """No name that is known before the first scrape: registering shall not read."""
        return []

    def collect(self) -> Iterator[Family]:
        """All metrics, those too of which there is no series now."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        families = {
            each.name: (CounterMetricFamily if each.kind == "counter" else GaugeMetricFamily)(each.name, each.help, labels=each.labels)
            for each in _ALL
        }
        for name, labels, value in self._samples():
            families[name].add_metric(labels, value)
        yield from families.values()

    def _samples(self) -> list[Sample]:
        with self._lock:
            if self._last is None or time.monotonic() - self._last[0] > _SAME_FOR_SECONDS:
                samples = list(read_samples(self._resting))
                self._last = (time.monotonic(), samples)
            return self._last[1]


def read_samples(resting: Resting | None = None) -> Iterator[Sample]:
    """Everything that can be read now; what cannot is told as such, and never raised.

    Args:
        resting: parts that took long, and rest; those that are read now are put in.
    """
    rests = {} if resting is None else resting
    yield "rrr_build_info", (rrr_assets.__version__,), 1
    yield from _collected("machine", _machine, rests)
    found: list[Sample] = []
    is_up = False
    try:
        database = _database()
        with database.connect(Role.ANALYST, autocommit=True, connect_timeout=_CONNECT_SECONDS) as connection:
            connection.execute(f"set statement_timeout = {_STATEMENT_MS}")
            for name, section in _SECTIONS.items():
                found += _collected(name, partial(section, connection), rests)
        found += _collected("dagster", partial(_dagster, database), rests)
        is_up = True
    except _UNREACHABLE as failure:
        # What was read before it went is as old as this, and of no use beside the news that it is gone.
        LOGGER.warning("the database cannot be read: %s", type(failure).__name__)
        found = []
    yield "rrr_up", (), is_up
    yield from found


_UNREACHABLE: Final = (DatabaseUnusable, ServerFailed, HomeUnusable, psycopg.Error)


def _database() -> Database:
    """The database of the environment. The embedded server is not started for a scrape: that it is down is what is to be told.

    Raises:
        DatabaseUnusable: it is down.
    """
    if not os.environ.get("RRR_DATABASE_URL") and status(Home(home_dir())) is None:
        raise DatabaseUnusable("the embedded database is down. Run `rrr up`")
    return Database.current()


def _collected(name: str, read: Callable[[], Iterator[Sample]], resting: Resting) -> list[Sample]:
    """One part: all of it or nothing, and whether it could be read."""
    started = time.monotonic()
    until, found = resting.get(name, (started, []))
    if started < until:
        return found
    found, is_up = [], True
    try:
        found = list(read())
    except (*_UNREACHABLE, PermanentFailure, OSError):
        is_up = False
    took_seconds = time.monotonic() - started
    found += [("rrr_collector_up", (name,), is_up), ("rrr_collector_duration_seconds", (name,), took_seconds)]
    resting[name] = (started + _REST * took_seconds, found)
    return found


def _rows(connection: Connection, name: str, **values: object) -> list[tuple[Any, ...]]:
    return connection.execute(query(f"quality_metrics_{name}"), values).fetchall()


# --- from the platform's database -------------------------------------------------------------------------------


def _streams(connection: Connection) -> Iterator[Sample]:
    now = time.time()
    for instrument, stream, last, limit in _rows(connection, "streams", most=MOST_SERIES):
        if last is not None:
            yield "rrr_stream_lag_seconds", (instrument, stream), max(0.0, now - float(last))
            yield "rrr_stream_last_event_timestamp_seconds", (instrument, stream), float(last)
        if limit is not None:
            yield "rrr_stream_lag_limit_seconds", (instrument, stream), limit


def _backlog(connection: Connection) -> Iterator[Sample]:
    from rrr_assets.warehouse import features
    from rrr_assets.warehouse.refresh import SOURCES, TICKS, VERDICTS, VERDICTS_FOLLOW

    followed = {f"bars_{interval}": sorted({SOURCES[interval], *TICKS}) for interval in INTERVALS}
    followed |= {VERDICTS: list(VERDICTS_FOLLOW)}
    followed |= {consumer: list(relations) for consumer, relations in (FOLLOWED | features.FOLLOWED).items()}
    pairs = [(consumer, relation) for consumer, relations in followed.items() for relation in relations]
    consumers, relations = ([pair[at] for pair in pairs] for at in (0, 1))
    for consumer, days, entries, oldest in _rows(connection, "backlog", consumers=consumers, relations=relations, most=_MOST_ENTRIES):
        yield "rrr_invalidation_days", (consumer,), days
        yield "rrr_invalidation_entries", (consumer,), float(entries)
        yield "rrr_invalidation_oldest_age_seconds", (consumer,), float(oldest)


def _landing(connection: Connection) -> Iterator[Sample]:
    ((files, days, oldest, refused),) = _rows(connection, "waiting")
    yield "rrr_landing_files_waiting", (), files
    yield "rrr_landing_days_waiting", (), days
    yield "rrr_landing_oldest_age_seconds", (), float(oldest)
    yield "rrr_landing_files_refused", (), refused
    for reason, waiting in _rows(connection, "quarantine", most=_MOST_WORDS):
        yield "rrr_quarantine_rows", (reason,), waiting


def _gaps(connection: Connection) -> Iterator[Sample]:
    counted = dict.fromkeys(((state, cause) for state in GAP_STATES for cause in GAP_CAUSES), 0)
    oldest = 0.0
    for state, cause, count, age in _rows(connection, "gaps"):
        counted[state, cause] = count
        if state in {"open", "healing"}:
            oldest = max(oldest, float(age))
    for labels, count in counted.items():
        yield "rrr_gaps", labels, count
    yield "rrr_gaps_oldest_age_seconds", (), oldest


def _findings(connection: Connection) -> Iterator[Sample]:
    for rule, severity, count in _rows(connection, "findings", most=_MOST_WORDS):
        yield "rrr_findings_open", (rule, severity), count
    yield from _by_word("rrr_instrument_days", DAY_STATUSES, _rows(connection, "days"))


def _alerts(connection: Connection) -> Iterator[Sample]:
    yield from _by_word("rrr_alerts_open", SEVERITIES, _rows(connection, "alerts"))
    ((waiting, failing, oldest),) = _rows(connection, "messages")
    yield "rrr_alert_messages_waiting", (), waiting
    yield "rrr_alert_messages_failing", (), failing
    yield "rrr_alert_messages_oldest_due_seconds", (), float(oldest)


def _checks(connection: Connection) -> Iterator[Sample]:
    for kind, finished, age, seconds, broken, errors in _rows(connection, "checks", kinds=list(QUALITY_RUN_KINDS)):
        if finished is not None:
            yield "rrr_quality_run_finished_timestamp_seconds", (kind,), float(finished)
            yield "rrr_quality_run_age_seconds", (kind,), float(age)
            yield "rrr_quality_run_duration_seconds", (kind,), float(seconds)
            yield "rrr_quality_run_rules_broken", (kind,), broken
            yield "rrr_quality_run_errors", (kind,), errors


def _ingest(connection: Connection) -> Iterator[Sample]:
    for stream, batches, stored, revised, known, refused, seconds, last, in_5m, in_1h, seconds_1h in _rows(connection, "ingest"):
        yield "rrr_ingest_batches_total", (stream,), batches
        for outcome, count in (("stored", stored), ("revised", revised), ("duplicate", known), ("quarantined", refused)):
            yield "rrr_ingest_rows_total", (stream, outcome), float(count)
        yield "rrr_ingest_seconds_total", (stream,), float(seconds)
        yield "rrr_ingest_last_batch_timestamp_seconds", (stream,), float(last)
        yield "rrr_ingest_recent_rows", (stream, "5m"), float(in_5m)
        yield "rrr_ingest_recent_rows", (stream, "1h"), float(in_1h)
        if seconds_1h:
            yield "rrr_ingest_rows_per_second", (stream,), float(in_1h) / float(seconds_1h)


def _sizes(connection: Connection) -> Iterator[Sample]:
    ((size, horizon),) = _rows(connection, "sizes")
    yield "rrr_database_size_bytes", (), size
    yield "rrr_knowledge_horizon_lag_seconds", (), float(horizon)
    for relation, partitions, rows, size_bytes, proven in _rows(connection, "archive"):
        yield "rrr_archive_partitions", (relation,), partitions
        yield "rrr_archive_rows", (relation,), float(rows)
        yield "rrr_archive_size_bytes", (relation,), float(size_bytes)
        yield "rrr_archive_last_proof_timestamp_seconds", (relation,), float(proven)


def _by_word(name: str, words: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Iterator[Sample]:
    """A series for each word, 0 where there is no row of it: what is absent raises no alarm."""
    counted: dict[str, int] = dict(rows)
    for word in words:
        yield name, (word,), counted.get(word, 0)


_SECTIONS: Final[Mapping[str, Callable[[Connection], Iterator[Sample]]]] = {
    "streams": _streams, "backlog": _backlog, "landing": _landing, "gaps": _gaps, "findings": _findings, "alerts": _alerts,
    "checks": _checks, "ingest": _ingest, "sizes": _sizes,
}  # fmt: skip
COLLECTORS: Final = ("machine", *_SECTIONS, "dagster")


# --- from this machine ------------------------------------------------------------------------------------------


def _machine() -> Iterator[Sample]:
    from rrr_assets.warehouse.backup import backup_dir, is_receiver_alive
    from rrr_assets.warehouse.disk import disks

    for disk in disks():
        holds = ", ".join(disk.holds)
        yield "rrr_disk_free_bytes", (holds,), disk.free_bytes
        yield "rrr_disk_floor_bytes", (holds,), disk.floor_bytes
    home = Home(home_dir())
    if (looked := _noted(home.alerts_json, "looked_at")) is not None:
        yield "rrr_alerts_looked_timestamp_seconds", (), datetime.fromisoformat(looked).timestamp()
    if (told := _noted(home.watchdog_json, "told")) is not None:
        yield "rrr_watchdog_reasons", (), len(told)
    if (folder := backup_dir()) is not None:
        yield "rrr_backup_receiving", (), is_receiver_alive(folder)
        if (ended := last_backup(folder)) is not None:
            yield "rrr_backup_last_timestamp_seconds", (), ended.timestamp()
            yield "rrr_backup_age_seconds", (), max(0.0, time.time() - ended.timestamp())


def _noted(path: Path, name: str) -> Any:
    """What a file of the home says; None where it is not there, or is no such file."""
    try:
        return json.loads(path.read_text("utf-8")).get(name)
    except (FileNotFoundError, ValueError, AttributeError):
        return None


def last_backup(folder: Path) -> datetime | None:
    """When the last base backup in RRR_BACKUP_DIR that is complete ended, by the files that barman keeps: asking it would take a second."""
    from rrr_assets.warehouse.barman import SERVER

    found = []
    for info in (folder / SERVER / "base").glob("*/backup.info"):
        facts = dict(re.findall(r"^(status|end_time)=(.*)$", info.read_text("utf-8"), re.MULTILINE))
        if facts.get("status") in {"DONE", "WAITING_FOR_WALS"} and facts.get("end_time", "None") != "None":
            ended = datetime.fromisoformat(facts["end_time"].strip("'\" "))
            found.append(ended if ended.tzinfo else ended.astimezone(UTC))
    return max(found, default=None)


# --- from Dagster's database ------------------------------------------------------------------------------------


def _dagster(database: Database) -> Iterator[Sample]:
    """Runs and daemons. Dagster's own tables are read: its library takes seconds to be there, and loads every run whole."""
    with psycopg.connect(
        database.dagster_url, autocommit=True, connect_timeout=_CONNECT_SECONDS, application_name="rrr metrics"
    ) as connection:
        connection.execute(f"set statement_timeout = {_STATEMENT_MS}")
        connection.execute("set default_transaction_read_only = on")
        active = {state: (count, oldest) for state, count, oldest in _rows(connection, "runs_active", statuses=list(_ACTIVE))}
        for state in _ACTIVE:
            count, oldest = active.get(state, (0, 0))
            yield "rrr_dagster_runs_active", (state,), count
            yield "rrr_dagster_runs_oldest_age_seconds", (state,), max(0.0, float(oldest))
        for job, succeeded, failed, canceled, succeeded_at, failed_at, seconds in _rows(
            connection, "runs_ended", most=_MOST_RUNS, most_jobs=_MOST_WORDS
        ):
            for state, count in (("SUCCESS", succeeded), ("FAILURE", failed), ("CANCELED", canceled)):
                yield "rrr_dagster_job_recent_runs", (job, state), count
            moments = {"last_duration_seconds": seconds, "last_success_timestamp_seconds": succeeded_at}
            for name, value in (moments | {"last_failure_timestamp_seconds": failed_at}).items():
                if value is not None:
                    yield f"rrr_dagster_job_{name}", (job,), float(value)
        for daemon, beat in _rows(connection, "daemons", most=_MOST_WORDS):
            yield "rrr_dagster_daemon_heartbeat_timestamp_seconds", (daemon,), float(beat)


# --- printing and serving ---------------------------------------------------------------------------------------


def exposition() -> str:
    """All metrics in Prometheus' text format."""
    from prometheus_client import generate_latest

    return generate_latest(_registry()).decode()


def serve(host: str, port: int) -> tuple[Any, threading.Thread]:
    """Answer scrapes at an address, in threads of this process; returns the server and the thread that listens.

    Raises:
        OSError: the address cannot be had.
    """
    from prometheus_client import start_http_server

    server, thread = start_http_server(port, host, _registry())
    return server, thread


def _registry() -> Any:
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    registry.register(PlatformCollector())
    return registry
