"""A new home from a backup, as the database was at a time; and the drill that shows it can be done.

Belongs here: choosing the backup, laying it and its log into a new home, recovery, and the comparison of a drill. Does not: making
backups (backup.py). A home that is there is never touched: the new one is made beside its place and gets its name in one step.
What is needed lies in the backup folder alone; the home that was backed up may be gone.
"""

import gzip
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from rrr_assets.warehouse.backup import CREDENTIALS, MOST_SECONDS_AT_RISK, OF_HOME, Backups, Progress
from rrr_assets.warehouse.barman import SERVER, Backup, BackupFailed, Barman, configure
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.disk import require_room
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.home import Home, read_json, write_private
from rrr_assets.warehouse.server import (
    SUPERUSER,
    ServerFailed,
    ServerInfo,
    ensure_running,
    find_binaries,
    is_alive,
    log_tail,
    major_of,
    prepare_site,
    status,
    stop,
    version_of,
)
from rrr_assets.warehouse.sqlfiles import query

_LOG: Final = "log_to_read"
# In the data folder, where the server runs it. What is not there ends it with 1 or 2, which means: that is all.
_FETCH: Final = f"gzip -dc < {_LOG}/%f > %p"
_OF_RECOVERY: Final = ("restore_command", "recovery_target_time", "recovery_target_action")
_TOLD_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Restored:
    """A home made of a backup. `last_commit_at` is UTC; None where nothing was committed between the backup and the target."""

    home: Home
    backup: Backup
    target: datetime | None
    last_commit_at: datetime | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Compared:
    """A ledger in the restored database, and in the live one before and after it was restored: rows, and the last number."""

    ledger: str
    before: tuple[int, int]
    restored: tuple[int, int]
    after: tuple[int, int]

    @property
    def is_same(self) -> bool:
        """Whether the restored ledger is the live one at some moment between: ledgers only grow."""
        return all(low <= found <= high for low, found, high in zip(self.before, self.restored, self.after, strict=True))


def list_backups(folder: Path) -> list[Backup]:
    """The base backups in a folder, the oldest first; it needs no server.

    Raises:
        BackupFailed: there are none of ours.
    """
    with _reading(folder) as barman:
        return barman.backups()


def restore(folder: Path, to: Path, *, backup_id: str | None = None, target: datetime | None = None, progress: Progress) -> Restored:
    """Make a new home whose embedded server holds what the backups hold; it is not left running.

    Args:
        folder: RRR_BACKUP_DIR.
        to: The new home; not there yet, or an empty folder.
        backup_id: The base backup; default: the last one that ended before the target.
        target: Everything that was committed until then, and nothing after it. Default: all there is.
        progress: Told what is being done.

    Raises:
        BackupFailed: it cannot be done; there is no new home then.
        NoSpaceLeft: a disk is too full for it.
    """
    begun = time.monotonic()
    to = to.expanduser().resolve()
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise BackupFailed(f"{to} is there already, and nothing is written over. Name a folder that is not")
    if target is not None and target > datetime.now(UTC):
        raise BackupFailed(f"{target.isoformat()} has not come yet. Leave --target-time out for all there is")
    require_room("the restore")
    with _reading(folder) as barman:
        chosen = _choose(barman.backups(), backup_id, target)
        home = _lay_out(barman, folder, to, chosen, target, progress)
    try:
        last_commit = _recover(home, target, progress)
    except BackupFailed:
        stop(home)
        _remove(home)
        raise
    stop(home)
    return Restored(home, chosen, target, last_commit, time.monotonic() - begun)


def drill(database: Database, progress: Progress) -> tuple[Restored, list[Compared]]:
    """Restore all there is into a home that is removed again, and hold its ledgers against the live ones.

    Raises:
        BackupFailed: it could not be restored, or what is committed does not get into the backup.
        NoSpaceLeft: a disk is too full for it.
    """
    backups = Backups.current(database)
    before = _ledgers(database.admin_url, database.dagster_url)
    if backups.seconds_until_safe(MOST_SECONDS_AT_RISK, on_disk=False) is None:
        raise BackupFailed(f"what was committed is not in the backup after {MOST_SECONDS_AT_RISK} s. See `rrr backup check`")
    # Beside the home, where its user can reach it as it reaches the home.
    with tempfile.TemporaryDirectory(prefix=f"{backups.home.root.name}-drill-", dir=backups.home.root.parent) as temporary:
        done = restore(backups.folder, Path(temporary) / "home", progress=progress)
        try:
            info = ensure_running(done.home, progress)
            dagster = psycopg.conninfo.conninfo_to_dict(database.dagster_url)["dbname"]
            restored = _ledgers(info.url(database.name, SUPERUSER), info.url(str(dagster), SUPERUSER))
        finally:
            stop(done.home)
            _remove(done.home)
    after = _ledgers(database.admin_url, database.dagster_url)
    return done, [Compared(name, rows, restored.get(name, (-1, -1)), after[name]) for name, rows in before.items()]


@contextmanager
def _reading(folder: Path) -> Iterator[Barman]:
    """barman on a folder of backups, without a server."""
    if not (folder / OF_HOME).is_file():
        raise BackupFailed(f"there are no backups of ours in {folder}. Is RRR_BACKUP_DIR right?")
    nowhere = {"host": "127.0.0.1", "port": "1", "user": "nobody", "dbname": "postgres"}
    with tempfile.TemporaryDirectory(prefix="rrr-barman-") as place:
        of = str(read_json(folder / OF_HOME).get("home"))
        yield configure(Path(place), folder, home=Path(of), slot="none", keep_days=1, connection=nowhere, streaming=nowhere)


def _choose(backups: list[Backup], backup_id: str | None, target: datetime | None) -> Backup:
    complete = [backup for backup in backups if backup.is_complete and backup.ended_at is not None]
    if not complete:
        raise BackupFailed("there is no complete base backup. Make one with `rrr backup make`")
    if backup_id is not None:
        complete = [backup for backup in complete if backup.backup_id == backup_id]
        if not complete:
            raise BackupFailed(f"there is no complete backup {backup_id}. `rrr backup list` shows which there are")
    fitting = [backup for backup in complete if target is None or (backup.ended_at is not None and backup.ended_at <= target)]
    if not fitting:
        first = complete[0].ended_at
        raise BackupFailed(f"the backup begins at {first.isoformat() if first else 'no time'}, after the target. Name a later time")
    return fitting[-1]


def _lay_out(barman: Barman, folder: Path, to: Path, backup: Backup, target: datetime | None, progress: Progress) -> Home:
    """Make the home beside its place, with all that its server needs to recover, and give it its name."""
    of = read_json(folder / OF_HOME)
    words = folder / CREDENTIALS
    if of.get("is_embedded") is not True or not words.is_file():
        raise BackupFailed(
            f"the backup is of a server that is not ours, and no home can be made of it. Restore it with `barman restore`, into {folder}"
        )
    if of.get("version") != (major := major_of(version_of(find_binaries()))):
        raise BackupFailed(f"the backup is of PostgreSQL {of.get('version')}, the programs are of {major}. Set RRR_POSTGRES_BIN to others")
    to.parent.mkdir(parents=True, exist_ok=True)
    home = Home(Path(tempfile.mkdtemp(prefix=f".{to.name}-", dir=to.parent)))
    with ExitStack() as failed:
        failed.callback(_remove, home)
        home.prepare()
        write_private(home.credentials, words.read_text("utf-8"))
        site = prepare_site(home)
        progress(f"laying out the base backup {backup.backup_id}")
        options = ["--get-wal", "--restore-command", _FETCH, "--staging-path", str(home.root), "--staging-location", "local"]
        if target is not None:
            options += ["--target-time", target.astimezone(UTC).isoformat(), "--target-action", "promote"]
        barman.run("restore", *options, SERVER, backup.backup_id, str(site.data))
        reach("backup.laid_out")
        progress("laying out its log")
        _lay_out_log(barman, backup, site.data / _LOG)
        if os.geteuid() == 0:
            owner = site.tree.stat()
            for path in (site.data, *site.data.rglob("*")):
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        site.data.chmod(0o700)
        home.root.rename(to)
        failed.pop_all()
    return Home(to)


def _lay_out_log(barman: Barman, backup: Backup, into: Path) -> None:
    """All pieces of log from the backup's begin on, packed, under their names.

    The unfinished piece comes first: should it be finished meanwhile, it is found again where the finished ones are.
    """
    into.mkdir(mode=0o700)
    for path in barman.streaming.iterdir():
        _pack(path, into / path.name.removesuffix(".partial"))
    barman.run("archive-wal", SERVER)
    for name in barman.run("list-files", "--target", "wal", SERVER, backup.backup_id).split():
        _pack(Path(name), into / Path(name).name)


def _pack(piece: Path, into: Path) -> None:
    with piece.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if is_packed:
            with into.open("wb") as copy:
                shutil.copyfileobj(file, copy)
        else:
            with gzip.open(into, "wb", compresslevel=1) as packed:
                shutil.copyfileobj(file, packed)


def _recover(home: Home, target: datetime | None, progress: Progress) -> datetime | None:
    """Let the server read its log until the target, and make of it a server like any other.

    Returns:
        When the last transaction that it read was committed.
    """
    begun = told = time.monotonic()
    info: ServerInfo | None = None
    try:
        while True:
            try:
                info = status(home) or ensure_running(home, progress)
                with psycopg.connect(info.url("postgres", SUPERUSER), autocommit=True) as connection:
                    row = connection.execute("select pg_is_in_recovery(), pg_last_xact_replay_timestamp()").fetchone()
                    if row and not row[0]:
                        _settle(connection, info.data_dir)
                        last: datetime | None = row[1]
                        return last
            except (ServerFailed, psycopg.OperationalError):
                # It reads its log, which takes as long as it takes.
                if not is_alive(home):
                    raise
            if time.monotonic() - told > _TOLD_SECONDS:
                told = time.monotonic()
                progress(f"the server reads its log since {told - begun:.0f} s")
            time.sleep(0.1)
    except (ServerFailed, psycopg.OperationalError) as error:
        said = [line.partition("FATAL:")[2].strip() for line in log_tail(home) if "FATAL:" in line]
        if any("before configured recovery target was reached" in line for line in said):
            told_target = target.isoformat() if target else "the target"
            raise BackupFailed(f"nothing was committed after {told_target}: leave --target-time out for all there is") from error
        raise BackupFailed(f"the restored server does not start: {said[-1] if said else error}") from error


def _settle(connection: psycopg.Connection[tuple[object, ...]], data: Path) -> None:
    """Forget how it was recovered."""
    for name in _OF_RECOVERY:
        connection.execute(sql.SQL("alter system reset {}").format(sql.Identifier(name)))
    shutil.rmtree(data / _LOG)
    shutil.rmtree(data / "barman_wal", ignore_errors=True)
    for left in (*data.glob("*.origin"), *data.glob("backup_manifest*"), data / ".barman-recover.info"):
        left.unlink(missing_ok=True)


def _remove(home: Home) -> None:
    if home.server_pointer.exists():
        shutil.rmtree(home.server_tree, ignore_errors=True)
    shutil.rmtree(home.root, ignore_errors=True)


def _ledgers(url: str, dagster_url: str) -> Mapping[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    with psycopg.connect(url, autocommit=True) as connection:
        found |= {name: (rows, last) for name, rows, last in connection.execute(query("backup_ledgers"))}
    with psycopg.connect(dagster_url, autocommit=True) as connection:
        # Events of runs may be purged, and their numbers stay.
        row = connection.execute("select case when to_regclass('event_logs') is null then 0 else 1 end").fetchone()
        if row == (1,):
            last = connection.execute("select coalesce(max(id), 0) from event_logs").fetchone()
            found["dagster events"] = (0, last[0] if last else 0)
    return found
