"""The doctor: what is wrong with the platform itself, and the one command to begin with.

Belongs here: looking at disks, server, log, runs, files, feeds, backlog, code and object store, each by itself, so that what is broken
hides nothing of the rest. Does not: mending anything; the state of the data (the other checks of this station).
A look that cannot be taken is told as unknown with its reason: it is never a pass.
"""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from rrr_assets.warehouse.sqlfiles import query

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from rrr_assets.warehouse.connect import Database

State = Literal["good", "wrong", "unknown", "off"]

SILENT_RUN_SECONDS: Final = 1800
"""So long a run may say nothing, as for the alerts."""

WAITING_RUN_SECONDS: Final = 900
"""So long a run may wait in the queue while others have room."""

SILENT_DAEMON_SECONDS: Final = 300
"""So long the daemon may give no sign of life, as for the watchdog. Dagster itself waits half an hour."""

OLD_BACKLOG_SECONDS: Final = 300
"""How old the oldest change may be of which bars and verdicts do not know."""

OLD_FEATURES_SECONDS: Final = 900
"""How old the oldest change may be of which features do not know, where bars do: they are made after these."""

_CODE_SECONDS: Final = 120
_ANSWER_SECONDS: Final = 15
_MOST_TOLD: Final = 5
_MOST_DAYS: Final = 366
_MOST_FILES: Final = 200_000


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found. `cause` names the page of the runbook; `next_step` is one command, empty where nothing is to be done."""

    cause: str
    state: State
    told: str
    next_step: str = ""

    @property
    def runbook(self) -> str:
        """The page, in the project."""
        return f"docs/runbooks/{self.cause}.md"


@dataclass(frozen=True, slots=True)
class RunTold:
    """A run as it is listed. `started` is UTC; `seconds` what it took, or takes so far; `days` what it is of."""

    run_id: str
    job: str
    status: str
    started: str | None
    seconds: float | None
    days: str


@dataclass(frozen=True, slots=True)
class StuckRun:
    """A run that says nothing, or waits, for too long."""

    run_id: str
    job: str
    status: str
    silent_seconds: int


def look_at_all() -> Iterator[Look]:
    """Every look, one after the other; nothing is started and nothing changed."""
    yield look_at_disks()
    database, server = look_at_server()
    yield server
    if database is None:
        unknown = "nobody can tell while the database does not answer"
        for cause in ("lost-wal", "bad-file", "dead-feed", "invalidation-storm", "features-behind", "stuck-run"):
            yield Look(cause, "unknown", unknown)
    else:
        for look in (look_at_log, look_at_files, look_at_feeds, look_at_backlog, look_at_features):
            yield _told_when_broken(look, database)
        yield look_at_runs()
    yield look_at_code()
    yield look_at_store()


# --- each look --------------------------------------------------------------------------------------------------------


def look_at_disks() -> Look:
    """Whether work is refused because a disk is nearly full, and what lies on it."""
    from rrr_assets.warehouse.disk import disks

    found = disks()
    full = [disk for disk in found if disk.is_full]
    if not full:
        return Look("disk-full", "good", "; ".join(f"{disk.free_bytes / 1e9:,.1f} GB free for {', '.join(disk.holds)}" for disk in found))
    return Look("disk-full", "wrong", "; ".join(disk.told for disk in full), "rrr doctor disk")


def look_at_server() -> "tuple[Database | None, Look]":
    """Whether the database answers, and its schema is that of this version. The database, where it does."""
    import psycopg

    from rrr_assets.warehouse.connect import Database, DatabaseUnusable, Role
    from rrr_assets.warehouse.home import Home, home_dir
    from rrr_assets.warehouse.migrate import migration_files
    from rrr_assets.warehouse.server import ServerFailed, status

    cause = "database-down"
    try:
        if not os.environ.get("RRR_DATABASE_URL") and status(Home(home_dir())) is None:
            return None, Look(cause, "wrong", "the embedded server is not running", "rrr up")
        database = Database.current()
        with database.connect(Role.OWNER, autocommit=True) as connection:
            row = connection.execute(query("read_migrations")).fetchone()
    except (psycopg.Error, DatabaseUnusable, ServerFailed, OSError) as error:
        return None, Look(cause, "wrong", f"it does not answer: {_first_line(error)}", "rrr status")
    engine, applied = row if row is not None else (None, [])
    ours = {path.stem for path in migration_files(engine or "postgresql")}
    if pending := sorted(ours.difference(applied)):
        return database, Look(cause, "wrong", f"its schema lacks {', '.join(pending)}", "rrr migrate")
    if newer := sorted(set(applied).difference(ours)):
        told = f"its schema is of a newer version, which has {', '.join(newer)}: this version is too old for it"
        return database, Look("bad-deploy", "wrong", told, "rrr status")
    return database, Look(cause, "good", f"it answers, with {len(applied)} migrations")


def look_at_log(database: "Database") -> Look:
    """Whether the log is received from which the database would be restored, and has no hole since the last base backup."""
    from rrr_assets.warehouse.backup import Backups, backup_dir, probe
    from rrr_assets.warehouse.barman import BackupFailed
    from rrr_assets.warehouse.home import Home, home_dir
    from rrr_assets.warehouse.server import status

    cause = "lost-wal"
    if backup_dir() is None:
        return Look(cause, "off", "no backups are made: RRR_BACKUP_DIR is not set")
    given = os.environ.get("RRR_DATABASE_URL")
    running = None if given else status(Home(home_dir()))
    url = given or (running.url("rrr", running.superuser) if running is not None else "")
    said = str(probe(url).get("receiver", "down"))
    if said != "receiving":
        return Look(cause, "wrong", f"the receiver of the log is {said}", "rrr backup make" if said.startswith("torn") else "rrr up")
    try:
        holes = Backups.current(database).holes()
    except BackupFailed as error:
        return Look(cause, "unknown", _first_line(error), "rrr backup check")
    if holes:
        return Look(cause, "wrong", f"the log is received, and is missing after {', '.join(holes)}", "rrr backup make")
    return Look(cause, "good", "the log is being received")


def look_at_files(database: "Database") -> Look:
    """Whether rows wait in quarantine, or files were refused."""
    from rrr_assets.warehouse.connect import Role
    from rrr_assets.warehouse.home import Home

    cause = "bad-file"
    with database.connect(Role.ANALYST, autocommit=True) as connection:
        found = connection.execute(query("doctor_files")).fetchall()
    rows = [(name, reason, count) for name, reason, count, is_missed in found if is_missed]
    kept = sum(count for *_, count, is_missed in found if not is_missed)
    told = [f"{path.name}: {reason}" for path, _, reason in Home.current().refused_files()[:_MOST_TOLD]]
    told += [f"{name}: {count} rows, {reason}" for name, reason, count in rows[:_MOST_TOLD]]
    if not told:
        beside = f"; of {kept} lines in quarantine nothing is missed any more" if kept else ", nothing waits in quarantine"
        return Look(cause, "good", f"no file was refused{beside}")
    more = f" and {len(rows) - _MOST_TOLD} more" if len(rows) > _MOST_TOLD else ""
    return Look(cause, "wrong", "; ".join(told) + more, "rrr quarantine")


def look_at_feeds(database: "Database") -> Look:
    """Whether a stream is older than was promised, by the last run of the checks."""
    from rrr_assets.warehouse.connect import Role

    cause = "dead-feed"
    with database.connect(Role.ANALYST, autocommit=True) as connection:
        rows = connection.execute(query("doctor_feeds")).fetchall()
    if not rows:
        return Look(cause, "off", "no freshness is promised: RRR_QUALITY_CONFIG says none")
    late = [(name, stream, age) for name, stream, age, is_fresh in rows if is_fresh is False]
    if not late:
        return Look(cause, "good", f"{len(rows)} streams are as fresh as was promised")
    told = ", ".join(f"{name} {stream} ({_age(age)})" for name, stream, age in late[:_MOST_TOLD])
    return Look(cause, "wrong", f"{len(late)} of {len(rows)} streams are late: {told}", "rrr quality fresh")


def look_at_backlog(database: "Database") -> Look:
    """Whether bars and verdicts follow what changes."""
    from rrr_assets.warehouse.refresh import days_behind

    cause = "invalidation-storm"
    behind = days_behind(database, _MOST_DAYS, settled_for=timedelta(0))
    if not behind:
        return Look(cause, "good", "bars and verdicts are in step with what changed")
    old = days_behind(database, _MOST_DAYS, settled_for=timedelta(seconds=OLD_BACKLOG_SECONDS))
    if not old:
        return Look(cause, "good", f"{len(behind)} days changed just now, and are about to be refreshed")
    more = " or more" if len(old) == _MOST_DAYS else ""
    told = f"{len(old)}{more} days changed longer than {_age(OLD_BACKLOG_SECONDS)} ago and were not refreshed, from {min(old)} on"
    return Look(cause, "wrong", told, "rrr refresh")


def look_at_features(database: "Database") -> Look:
    """Whether features follow bars and ticks. Those that wait for bars are told with the bars."""
    from rrr_assets.warehouse.features import days_behind_alone

    cause = "features-behind"
    old = days_behind_alone(database, _MOST_DAYS, timedelta(seconds=OLD_FEATURES_SECONDS))
    if not old:
        return Look(cause, "good", "features are in step with bars and ticks, or about to be")
    more = " or more" if len(old) == _MOST_DAYS else ""
    told = f"features of {len(old)}{more} days lag behind what changed longer than {_age(OLD_FEATURES_SECONDS)} ago, from {min(old)} on"
    return Look(cause, "wrong", told, "rrr features refresh")


def look_at_runs() -> Look:
    """Whether a run is stuck, and whether somebody takes runs from the queue."""
    with opened_instance() as instance:
        stuck = stuck_runs(instance)
        if stuck:
            told = "; ".join(
                f"{run.job} {run.run_id[:8]} is {run.status} and said nothing for {_age(run.silent_seconds)}" for run in stuck[:_MOST_TOLD]
            )
            return Look("stuck-run", "wrong", told, f"rrr runs stop {stuck[0].run_id}")
        if not _daemon_lives(instance):
            return Look("stuck-run", "wrong", "the daemon does not run: nothing happens by itself", "rrr ui")
    return Look("stuck-run", "good", "the daemon lives, and no run is stuck")


def look_at_code() -> Look:
    """Whether the definitions load, in a process of their own, as the code server does it."""
    cause = "bad-deploy"
    began = time.monotonic()
    try:
        done = load_definitions()
    except subprocess.TimeoutExpired:
        return Look(cause, "wrong", f"the definitions did not load in {_CODE_SECONDS} s", "rrr doctor code")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        return Look(cause, "wrong", f"the definitions do not load: {last}", "rrr doctor code")
    return Look(cause, "good", f"the definitions load in {time.monotonic() - began:.1f} s")


def load_definitions() -> "subprocess.CompletedProcess[str]":
    """Load the definitions in a process of its own; what it says of a failure is its stderr.

    Raises:
        subprocess.TimeoutExpired: it took too long.
    """
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import rrr_assets.definitions"],
        capture_output=True,
        text=True,
        timeout=_CODE_SECONDS,
        check=False,
    )


def look_at_store() -> Look:
    """Whether the archive's store answers."""
    from rrr_assets.calc.outcomes import PermanentFailure, StoreUnreachable
    from rrr_assets.lake.store import Store, failures_told

    cause = "object-store-down"
    try:
        store = Store.current()
        with failures_told("looking at it"):
            store.filesystem.get_file_info(store.root)
    except (StoreUnreachable, PermanentFailure) as error:
        return Look(cause, "wrong", _first_line(error), "rrr doctor store")
    return Look(cause, "good", f"{store.url} answers")


def try_store() -> tuple[float, str]:  # a duration
    """Write an object into the archive's store, read it back and remove it; the seconds that took, and the store's address.

    Raises:
        StoreUnreachable: it does not answer, or loses what is written.
        NoSpaceLeft: it is full.
        StoreUnusable: RRR_ARCHIVE_URL is wrong.
    """
    from rrr_assets.calc.outcomes import StoreUnreachable
    from rrr_assets.lake.store import Store, failures_told

    store = Store.current()
    began = time.monotonic()
    name, content = f"{store.url}/doctor-{uuid.uuid4().hex}", b"written by rrr doctor\n"
    with failures_told("writing an object, and reading it back"):
        with store.writing(name) as written:
            written.write(content)
        with store.filesystem.open_input_stream(store.path(name)) as stored:
            found = stored.read()
        store.filesystem.delete_file(store.path(name))
    if found != content:
        raise StoreUnreachable(f"{store.url} gave back other bytes than were written")
    return time.monotonic() - began, store.url


# --- runs -------------------------------------------------------------------------------------------------------------


@contextmanager
def opened_instance() -> "Iterator[DagsterInstance]":
    """The platform's Dagster instance; unlike a command that runs something, it closes no run and starts nothing but the server."""
    from dagster import DagsterInstance

    from rrr_assets.resources.dagster_home import prepare_dagster_home

    prepare_dagster_home()
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    with DagsterInstance.get() as instance:
        yield instance


def latest_runs(instance: "DagsterInstance", limit: int) -> list[RunTold]:
    """The latest runs, the youngest first."""
    from rrr_assets.resources.partitions import RANGE_END, RANGE_START

    found = []
    for record in instance.get_run_records(limit=limit):
        run, began = record.dagster_run, record.start_time
        seconds = None if began is None else (record.end_time or time.time()) - began
        first = run.tags.get(RANGE_START, run.tags.get("dagster/partition", ""))
        last = run.tags.get(RANGE_END, first)
        started = None if began is None else datetime.fromtimestamp(began, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        days = first if first == last else f"{first} to {last}"
        found.append(RunTold(run.run_id, run.job_name, run.status.value.lower(), started, seconds, days))
    return found


def stuck_runs(
    instance: "DagsterInstance", *, silent_seconds: int = SILENT_RUN_SECONDS, waiting_seconds: int = WAITING_RUN_SECONDS
) -> list[StuckRun]:
    """Runs that have not ended, and have said nothing for too long; the longest silent first.

    Args:
        instance: whose runs.
        silent_seconds: of a run that is starting, running or being ended.
        waiting_seconds: of a run that waits in the queue, while none is running.
    """
    from dagster import DagsterRunStatus, RunsFilter
    from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

    from rrr_assets.resources.alert_signals import last_word

    records = instance.get_run_records(RunsFilter(statuses=NOT_FINISHED_STATUSES))
    waits = {DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED}
    is_idle = all(record.dagster_run.status in waits for record in records)
    found = []
    for record in records:
        run = record.dagster_run
        silent = int(time.time() - last_word(instance, record).timestamp())
        limit = waiting_seconds if run.status in waits else silent_seconds
        if silent > limit and (is_idle or run.status not in waits):
            found.append(StuckRun(run.run_id, run.job_name, run.status.value.lower(), silent))
    return sorted(found, key=lambda run: -run.silent_seconds)


def stop_run(instance: "DagsterInstance", run_id: str, *, patience_seconds: int = 20) -> str:
    """End a run, and say how: asked to end where its process lives, and closed in the books where it does not, or does not listen.

    What a run reported stays; what it had open is rolled back when its process goes. A process that does not listen may go on until it
    ends by itself: its rows are stored whole or not at all, as always.

    Raises:
        LookupError: there is no such run.
    """
    from dagster import DagsterRunStatus, RunsFilter
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

    run = instance.get_run_by_id(run_id)
    if run is None:
        # The beginning of an id will do where it is one of a run that has not ended.
        begun = [each for each in instance.get_runs(RunsFilter(statuses=NOT_FINISHED_STATUSES)) if each.run_id.startswith(run_id)]
        if len(begun) != 1:
            raise LookupError(f"{run_id} begins {'no run' if not begun else 'more than one run'} that has not ended. `rrr runs` lists them")
        [run] = begun
    if run.is_finished:
        return f"{run.run_id} has ended already: {run.status.value.lower()}"
    if run.status in {DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED}:
        instance.report_run_canceled(run, message="Taken from the queue by `rrr runs stop`.")
        return f"{run.run_id} was taken from the queue"
    try:
        asked = instance.run_launcher.terminate(run.run_id)
    except DagsterUserCodeUnreachableError:
        # The code server waits for a process that does not end, or is gone itself: in the books the run is closed all the same.
        asked = False
    until = time.monotonic() + (patience_seconds if asked else 0)
    while time.monotonic() < until:
        now = instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:
            return f"{run.run_id} has ended"
        time.sleep(0.5)
    instance.report_run_canceled(run, message="Closed by `rrr runs stop`: its process is gone, or does not listen.")
    return f"{run.run_id} was closed: its process is gone, or does not listen"


def _daemon_lives(instance: "DagsterInstance") -> bool:
    from dagster._daemon.controller import all_daemons_live

    return bool(all_daemons_live(instance, heartbeat_tolerance_seconds=SILENT_DAEMON_SECONDS))


# --- what lies on the disks -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Taken:
    """What takes room, and the command that frees some of it without losing anything; empty where nothing may go.

    What is not the platform's has a command that shows what it is, for its owner to say what may go.
    """

    what: str
    folder: Path
    size_bytes: int
    to_free: str
    is_ours: bool = True


def what_takes_room() -> list[Taken]:
    """What lies on the platform's disks by size, the largest first, with what may be done about each; what is not the platform's too."""
    from rrr_assets.warehouse.home import Home, home_dir

    home = Home(home_dir())
    archive = Path(os.environ.get("RRR_ARCHIVE_URL") or home.root / "archive")
    backups = os.environ.get("RRR_BACKUP_DIR")
    data = home.server_tree
    places = [
        ("the server's log that a receiver has not got", data / "data" / "pg_wal", "rrr up")
        if backups
        else ("the server's log, which shrinks by itself", data / "data" / "pg_wal", ""),
        ("the database", data / "data" / "base", "rrr retention --apply"),
        ("old data, kept by an upgrade", next(iter(data.glob("data-*")), data / "data-none"), "rrr upgrade --drop-old"),
        ("landed files", home.landing / "files", ""),
        ("downloads under way", home.landing / "fetched", f"rm -r {home.landing / 'fetched'}"),
        ("refused files", home.landing / "refused", f"rm -r {home.landing / 'refused'}"),
        ("the archive", archive, "rrr archive clean --apply"),
        ("what runs printed", home.dagster / "storage", f"rm -r {home.dagster / 'storage'}"),
    ]
    if backups:
        places.append(("backups", Path(backups), "RRR_BACKUP_KEEP_DAYS=7 rrr backup make"))
    found = [Taken(what, folder, _size(folder), to_free) for what, folder, to_free in places if folder.is_dir()]
    ours = [home.root, data, archive, *([Path(backups)] if backups else [])]
    return sorted([*found, *_what_is_not_ours(ours)], key=lambda taken: -taken.size_bytes)


def _what_is_not_ours(ours: Sequence[Path]) -> Iterator[Taken]:
    """What else lies on the platform's disks: a disk that somebody else filled looks empty from within the platform's folders."""
    roots = {folder.resolve() for folder in ours if folder.is_dir()}
    roots -= {folder for folder in roots if roots.intersection(folder.parents)}
    taken: dict[int, int] = {}
    places: dict[int, Path] = {}
    for root in roots:
        device = root.stat().st_dev
        taken[device] = taken.get(device, 0) + _size(root)
        places[device] = next(place for place in (root, *root.parents) if place.parent.stat().st_dev != device or place.parent == place)
    for device, place in places.items():
        facts = os.statvfs(place)
        others = (facts.f_blocks - facts.f_bfree) * facts.f_frsize - taken[device]
        if others > 0:
            yield Taken("what is not the platform's", place, others, f"du -xhd2 {place} | sort -h | tail -n 20", is_ours=False)


def _size(folder: Path) -> int:
    """Bytes below a folder; of a very large one, of its first files."""
    total = 0
    for number, path in enumerate(folder.rglob("*")):
        if number > _MOST_FILES:
            break
        try:
            facts = path.lstat()
        except FileNotFoundError:
            continue  # it went while it was looked at
        total += facts.st_blocks * 512
    return total


# --- words ------------------------------------------------------------------------------------------------------------


def _told_when_broken(look: "Callable[[Database], Look]", database: "Database") -> Look:
    """A look, or why it could not be taken."""
    import psycopg

    from rrr_assets.warehouse.connect import DatabaseUnusable

    causes: dict[Callable[[Database], Look], str] = {
        look_at_log: "lost-wal",
        look_at_files: "bad-file",
        look_at_feeds: "dead-feed",
        look_at_backlog: "invalidation-storm",
        look_at_features: "features-behind",
    }
    try:
        return look(database)
    except (psycopg.Error, DatabaseUnusable, OSError) as error:
        return Look(causes[look], "unknown", _first_line(error), "rrr status")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _age(seconds: float) -> str:  # a duration
    if seconds >= 2 * 86_400:
        return f"{seconds / 86_400:.0f} days"
    if seconds >= 7200:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def worst(looks: Sequence[Look]) -> bool:
    """Whether anything is wrong, or could not be looked at."""
    return any(look.state in {"wrong", "unknown"} for look in looks)
