"""Backups of the database: a base backup now and then, and the server's log at all times, in the folder RRR_BACKUP_DIR.

Belongs here: what the server must be told for it, the receiver of the log and that it runs, making and listing backups, how safe what
is committed is. Does not: barman's settings and words (barman.py), making a home of a backup (backup_restore.py).

The log is received as it is written, through a replication slot: what is committed is in the folder within a moment, and on its disk
when its piece of log is full or `archive_timeout` has passed. The slot keeps back what the receiver has not got yet, but no more than
`max_slot_wal_keep_size`: rather than filling the server's disk the log is torn, and the checks say so until there is a new base backup.
A folder is of one home and one database. The passwords lie beside the backups, for without them nobody enters what is restored.
"""

import fcntl
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from rrr_assets.calc.outcomes import RuleResult
from rrr_assets.warehouse.barman import SERVER, Backup, BackupFailed, Barman, configure
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.disk import require_room
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.home import Credentials, Home, HomeUnusable, home_dir, make_private_folder, read_json, write_private
from rrr_assets.warehouse.server import write_access
from rrr_assets.warehouse.sqlfiles import query

MOST_SECONDS_AT_RISK: Final = 60
"""What is committed is on the disk of the backups within so many seconds: the promise."""

ROLE: Final = "rrr_backup"
OF_HOME: Final = "home.json"
CREDENTIALS: Final = "credentials.json"

# Half of the promise: the other half is for the receiver, which tells of itself every ten seconds.
_ARCHIVE_TIMEOUT_SECONDS: Final = 30
_KEEP_DAYS: Final = 14
_MOST_KEPT_BACK_MB: Final = 16 * 1024
_LEAST_KEPT_BACK_MB: Final = 1024
_RECEIVER_SECONDS: Final = 30.0
_FIRST_LOG_SECONDS: Final = 60
_FIRST_LOG_STEP_SECONDS: Final = 0.5
_LAST_LOG_SECONDS: Final = 300
_LOOK_AGAIN_SECONDS: Final = 10.0
_MARK: Final = "select pg_create_restore_point('rrr: is it safe')"
_SEGMENT: Final = re.compile(r"[0-9A-F]{24}")

Progress = Callable[[str], None]

_looked_at: dict[Path, float] = {}  # not money: seconds of a clock


@dataclass(frozen=True, slots=True)
class Reception:
    """How the receiver of the log is. `kept_back_bytes` of log wait on the server's disk for it; None where nothing can be said."""

    is_receiving: bool
    behind_bytes: int | None
    kept_back_bytes: int | None
    is_torn: bool


def backup_dir() -> Path | None:
    """RRR_BACKUP_DIR: absolute, without symbolic links. None where no backups are made."""
    given = os.environ.get("RRR_BACKUP_DIR")
    return Path(given).expanduser().resolve() if given else None


def required_backup_dir() -> Path:
    """RRR_BACKUP_DIR.

    Raises:
        BackupFailed: it is not set.
    """
    if (folder := backup_dir()) is None:
        raise BackupFailed("no backups are made here. Set RRR_BACKUP_DIR to a folder for them, on another disk than the database's")
    return folder


def keep_days() -> int:
    """RRR_BACKUP_KEEP_DAYS: how far back a restore can go.

    Raises:
        BackupFailed: it is no number of days.
    """
    given = os.environ.get("RRR_BACKUP_KEEP_DAYS") or str(_KEEP_DAYS)
    if not given.isdecimal() or int(given) == 0:
        raise BackupFailed(f"RRR_BACKUP_KEEP_DAYS {given} is no number of days. Set it to one, or unset it")
    return int(given)


def keep_receiving(database: Database) -> None:
    """See to it that the log is received where backups are made. Costs next to nothing while it is.

    Raises:
        BackupFailed: it cannot be; the database is none the worse for it.
    """
    folder = backup_dir()
    if folder is None or is_receiver_alive(folder) or time.monotonic() - _looked_at.get(folder, -_LOOK_AGAIN_SECONDS) < _LOOK_AGAIN_SECONDS:
        return
    _looked_at[folder] = time.monotonic()
    Backups.current(database).keep_receiving()


def probe(url: str) -> dict[str, Any]:
    """How the receiver is of the server at an address: for who only looks. Empty where there is neither a slot nor RRR_BACKUP_DIR.

    Makes nothing, and never fails: a server that does not answer is told elsewhere.
    """
    home = Home(home_dir())
    if not _id_file(home).is_file():
        return {} if backup_dir() is None else {"receiver": "never started"}
    slot = f"rrr_{_home_id(home)}"
    try:
        with psycopg.connect(url, connect_timeout=5, autocommit=True) as connection:
            row = connection.execute(query("backup_status"), {"slot": slot}).fetchone()
    except psycopg.Error:
        return {}
    if row is None:
        return {} if backup_dir() is None else {"receiver": "down, and the server keeps no log for it"}
    is_active, wal_status, kept_back, behind, _ = row
    state = "receiving" if is_active else "torn: a new base backup is needed" if wal_status == "lost" else "down"
    return {"receiver": state, "behind_bytes": behind, "kept_back_bytes": kept_back}


def is_receiver_alive(folder: Path) -> bool:
    """Whether somebody holds barman's lock of the receiver."""
    try:
        fd = os.open(folder / f".{SERVER}-receive-wal.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def end_receiver(home: Home) -> None:
    """End the receiver after the server has ended: it has all of the log then, and nothing to wait for."""
    settings, folder = home.root / "backup" / "barman.conf", backup_dir()
    if folder is not None and settings.is_file() and is_receiver_alive(folder):
        Barman(settings, folder).run("terminate-process", SERVER, "receive-wal", may_fail=True)


@dataclass(frozen=True, slots=True)
class Backups:
    """The backups of one database in one folder."""

    database: Database
    home: Home
    folder: Path
    slot: str
    home_id: str

    @classmethod
    def current(cls, database: Database) -> "Backups":
        """The backups of this process' environment.

        Raises:
            BackupFailed: RRR_BACKUP_DIR is not set.
        """
        folder, home = required_backup_dir(), Home.current()
        make_private_folder(home.root / "backup")
        home_id = _home_id(home)
        return cls(database, home, folder, f"rrr_{home_id}", home_id)

    def prepare(self) -> Barman:
        """Tell server and barman what they must know. Idempotent, and safe when several do it at once.

        Raises:
            BackupFailed: the folder is of another home or database, the server's user may not do it, or barman is not there.
        """
        with self.home.lock("backup-prepare"):
            self._claim_folder()
            connection = self._enter_embedded() if self.database.is_embedded else self._enter_given()
            password = connection.pop("password", "")
            words = self.home.root / "backup" / "pgpass"
            escaped = re.sub(r"([\\:])", r"\\\1", password)
            if not words.exists() or words.read_text("utf-8") != f"*:*:*:*:{escaped}\n":
                write_private(words, f"*:*:*:*:{escaped}\n")
            connection["passfile"] = str(words)
            streaming = {name: value for name, value in connection.items() if name != "dbname"}
            return configure(
                words.parent, self.folder, home=self.home.root, slot=self.slot, keep_days=keep_days(),
                connection=connection, streaming=streaming,
            )  # fmt: skip

    def keep_receiving(self) -> Barman:
        """Start the receiver of the log where it does not run, put away what it has received, and forget what is too old.

        Raises:
            BackupFailed: as for `prepare`, or barman failed.
        """
        barman = self.prepare()
        found = self.reception()
        if found.is_receiving and not is_receiver_alive(self.folder):
            # pg_receivewal outlived barman, who alone can end it and say that it runs.
            self._cut_off()
        if found.is_torn:
            # The server has thrown away what the receiver had not got: it goes on from now, and a new base backup is needed.
            with self.database.connect_admin() as connection:
                connection.execute("select pg_drop_replication_slot(%s)", (self.slot,))
            barman.run("receive-wal", "--create-slot", SERVER)
            barman.run("receive-wal", "--reset", SERVER)
        barman.run("cron")
        return barman

    def make(self, progress: Progress) -> Backup:
        """Make a base backup, wait until the log that it needs is there, and forget what is too old.

        Raises:
            NoSpaceLeft: a disk is too full for it.
            BackupFailed: another one is under way, or it failed.
        """
        require_room("the backup")
        with self._alone():
            barman = self.keep_receiving()
            self._await_receiver(barman)
            self._await_first_log(barman)
            # What an earlier one left behind when it was killed.
            for left in barman.backups():
                if not left.is_complete:
                    barman.run("delete", SERVER, left.backup_id, may_fail=True)
            known = {backup.backup_id for backup in barman.backups()}
            progress("copying the database")
            reach("backup.before_copy")
            barman.run("backup", SERVER, "--wait", "--wait-timeout", str(_LAST_LOG_SECONDS))
            reach("backup.copied")
            write_private(self.folder / CREDENTIALS, self.home.credentials.read_text("utf-8"))
            barman.run("cron")
            new = [backup for backup in barman.backups() if backup.backup_id not in known and backup.is_complete]
            if not new:
                raise BackupFailed(f"barman made no backup, and did not say why. Look into {self.home.root / 'backup' / 'barman.log'}")
            return new[-1]

    def reception(self) -> Reception:
        """How the receiver is, by the server's word."""
        with self.database.connect_admin() as connection:
            row = connection.execute(query("backup_status"), {"slot": self.slot}).fetchone()
        if row is None:
            return Reception(is_receiving=False, behind_bytes=None, kept_back_bytes=None, is_torn=False)
        is_active, wal_status, kept_back, behind, _ = row
        return Reception(is_active, behind, kept_back, is_torn=wal_status == "lost")

    def seconds_until_safe(self, limit_seconds: float, *, on_disk: bool) -> float | None:  # not money: a measured time
        """How long it takes until what is committed now is in the backup folder: measured, by writing a mark into the log.

        Args:
            limit_seconds: How long to wait for it.
            on_disk: Wait until the disk of the folder has it, and not only its system: longer, up to `archive_timeout` and some seconds.

        Returns:
            The seconds; None where it took longer than the limit.
        """
        with self.database.connect_admin() as connection:
            row = connection.execute(_MARK).fetchone()
            begun = time.monotonic()
            while row and (waited := time.monotonic() - begun) < limit_seconds:
                found = connection.execute(query("backup_reached"), {"lsn": row[0], "slot": self.slot}).fetchone()
                if found and found[1 if on_disk else 0]:
                    return waited
                time.sleep(0.1)
        return None

    def check(self, *, on_disk: bool = False) -> list[RuleResult]:
        """Hold the backups against what is promised: barman's own checks, an unbroken log, and the seconds that are at risk.

        Args:
            on_disk: see `seconds_until_safe`.
        """
        barman = self.prepare()
        found = barman.ask("check", SERVER, may_fail=True)
        results = [
            _rule(f"barman: {name.replace('_', ' ')}", facts["status"] == "OK", facts.get("hint") or facts["status"])
            for name, facts in sorted(found.items())
        ]
        complete = [backup for backup in barman.backups() if backup.is_complete]
        results.append(_rule("there is a base backup", bool(complete), "Make one with `rrr backup make`"))
        if complete:
            holes = _holes(barman, complete[-1].backup_id)
            hint = f"it is missing after {', '.join(holes)}: what came later cannot be restored. Make a base backup with `rrr backup make`"
            results.append(_rule("the log since the last base backup is whole", not holes, hint))
        took = self.seconds_until_safe(MOST_SECONDS_AT_RISK, on_disk=on_disk)
        safe = f"what is committed is {'on the disk' if on_disk else 'in the folder'} of the backups within {MOST_SECONDS_AT_RISK} s"
        return [*results, _rule(safe, took is not None, "it took longer: is the receiver there, and its disk not full?", is_blocking=False)]

    def holes(self) -> list[str]:
        """After which pieces the log since the last base backup is missing: what came later cannot be restored. Nothing is changed."""
        settings = self.home.root / "backup" / "barman.conf"
        if not settings.is_file():
            return []
        barman = Barman(settings, self.folder)
        complete = [backup for backup in barman.backups() if backup.is_complete]
        return _holes(barman, complete[-1].backup_id) if complete else []

    def switch_off(self) -> None:
        """End the receiver and give back what the server keeps for it. The backups stay."""
        barman = self.prepare()
        barman.run("terminate-process", SERVER, "receive-wal", may_fail=True)
        self._cut_off()
        with self.database.connect_admin() as connection:
            if connection.execute(query("backup_status"), {"slot": self.slot}).fetchone():
                connection.execute("select pg_drop_replication_slot(%s)", (self.slot,))
            if self.database.is_embedded:
                for name in ("archive_timeout", "max_slot_wal_keep_size"):
                    connection.execute(sql.SQL("alter system reset {}").format(sql.Identifier(name)))
                connection.execute("select pg_reload_conf()")

    def _cut_off(self) -> None:
        """End the session in which the log is received, and return when the slot is free."""
        statement = "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = %s and active"
        end = time.monotonic() + _RECEIVER_SECONDS
        with self.database.connect_admin() as connection:
            while connection.execute(statement, (self.slot,)).fetchone():
                if time.monotonic() > end:
                    raise BackupFailed(f"whoever receives the log on slot {self.slot} does not end. End pg_receivewal, and call again")
                time.sleep(0.1)

    def _claim_folder(self) -> None:
        """Make the folder ours, or refuse it: two databases in one would be mixed up.

        Raises:
            BackupFailed: it is of another home, or of what this home's database was before.
        """
        if not self.folder.exists():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700)
        with self.database.connect_admin() as connection:
            row = connection.execute("select system_identifier::text from pg_control_system()").fetchone()
            version = connection.info.server_version // 10_000
        system = str(row[0]) if row else ""
        mine = {
            "home_id": self.home_id, "home": str(self.home.root), "system": system, "version": version,
            "is_embedded": self.database.is_embedded,
        }  # fmt: skip
        noted = self.folder / OF_HOME
        if not noted.exists():
            if any(path.name != "lost+found" for path in self.folder.iterdir()):
                raise BackupFailed(f"{self.folder} is not empty, and holds no backups of ours. Set RRR_BACKUP_DIR to an empty folder")
            self.folder.chmod(0o700)
            write_private(noted, json.dumps(mine, indent=1) + "\n")
            return
        of = read_json(noted)
        was = Path(str(of.get("home")))
        is_copy = was != self.home.root and _id_file(Home(was)).is_file()
        if of.get("home_id") != self.home_id or is_copy:
            raise BackupFailed(f"{self.folder} holds the backups of the home {was}. Set RRR_BACKUP_DIR to another folder")
        if of.get("system") != system:
            raise BackupFailed(
                f"{self.folder} holds backups of what this database was before. Keep them, and set RRR_BACKUP_DIR to a new folder"
            )
        if of != mine:
            write_private(noted, json.dumps(mine, indent=1) + "\n")

    def _enter_embedded(self) -> dict[str, str]:
        """Make the role, let it in, and set what bounds loss and growth, where that is not so yet."""
        password = Credentials(self.home.credentials).password_for(ROLE)
        with self.database.connect_admin() as connection:
            row = connection.execute("show data_directory").fetchone()
            if row and write_access(Path(row[0])):
                connection.execute("select pg_reload_conf()")
            disk = shutil.disk_usage(row[0]).total if row else 0
            most_mb = min(_MOST_KEPT_BACK_MB, max(_LEAST_KEPT_BACK_MB, disk // 20 // 2**20))
            wanted = {"archive_timeout": f"{_ARCHIVE_TIMEOUT_SECONDS}s", "max_slot_wal_keep_size": f"{most_mb}MB"}
            set_so = dict(connection.execute(query("backup_settings")).fetchall())
            unset = {"archive_timeout": 0, "max_slot_wal_keep_size": -1}
            for name, value in wanted.items():
                # What somebody has chosen stays.
                if set_so[name] == unset[name]:
                    connection.execute(sql.SQL("alter system set {} = {}").format(sql.Identifier(name), sql.Literal(value)))
                    connection.execute("select pg_reload_conf()")
        facts = conninfo_to_dict(self.database.admin_url)
        # The postgres database is always there, and nothing of ours is in it.
        postgres = {"host": facts["host"], "port": facts["port"], "dbname": "postgres"}
        with psycopg.connect(make_conninfo(self.database.admin_url, dbname="postgres"), autocommit=True) as connection:
            verifier = connection.pgconn.encrypt_password(password.encode(), ROLE.encode(), b"scram-sha-256").decode()
            known = connection.execute("select rolreplication from pg_roles where rolname = %s", (ROLE,)).fetchone()
            if known is None:
                made = sql.SQL("create role {} login replication password {}")
                connection.execute(made.format(sql.Identifier(ROLE), sql.Literal(verifier)))
            elif not _may_enter(postgres, password):
                connection.execute(
                    sql.SQL("alter role {} login replication password {}").format(sql.Identifier(ROLE), sql.Literal(verifier))
                )
            connection.execute(query("backup_prepare_role"))
        return {**{name: str(value) for name, value in postgres.items()}, "user": ROLE, "password": password, "sslmode": "disable"}

    def _enter_given(self) -> dict[str, str]:
        """A server of somebody else's: its user must be one that may do it, and its settings are theirs."""
        with self.database.connect_admin() as connection:
            row = connection.execute("select bool_or(rolreplication or rolsuper) from pg_roles where rolname = current_user").fetchone()
        if row != (True,):
            raise BackupFailed(
                "the user of RRR_DATABASE_URL may not copy its server. Give it REPLICATION and pg_read_all_settings, or unset "
                "RRR_BACKUP_DIR"
            )
        return {name: str(value) for name, value in conninfo_to_dict(self.database.admin_url).items() if value is not None}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with self.home.lock("backup", timeout_seconds=0):
                yield
        except HomeUnusable as error:
            if error.path.name != "backup.lock":
                raise
            raise BackupFailed("another backup is under way. Wait for it to end") from error

    def _await_receiver(self, barman: Barman) -> None:
        end = time.monotonic() + _RECEIVER_SECONDS
        while not self.reception().is_receiving:
            if time.monotonic() > end:
                log = barman.settings.with_name("barman.log")
                last = log.read_text("utf-8", errors="replace").splitlines()[-1:] if log.is_file() else []
                raise BackupFailed(f"the receiver of the log does not start: {last[0] if last else 'it says nothing'}. See {log}")
            time.sleep(0.1)

    def _await_first_log(self, barman: Barman) -> None:
        """Without a piece of log that was put away, barman makes no backup. A piece is put away when the next one is begun."""
        end = time.monotonic() + _FIRST_LOG_SECONDS
        while not barman.has_log:
            if time.monotonic() > end:
                raise BackupFailed(f"no log has come in {_FIRST_LOG_SECONDS} s. See {barman.settings.with_name('barman.log')}")
            with self.database.connect_admin() as connection:
                # A piece in which nothing stands is not ended.
                for statement in (_MARK, "select pg_switch_wal()", _MARK):
                    connection.execute(statement)
            time.sleep(_FIRST_LOG_STEP_SECONDS)
            barman.run("archive-wal", SERVER)


def _holes(barman: Barman, backup_id: str) -> list[str]:
    names = barman.run("list-files", "--target", "wal", SERVER, backup_id).split()
    received = [path.name.removesuffix(".partial") for path in barman.streaming.iterdir()]
    return holes_in([Path(name).name for name in names] + received)


def holes_in(names: Sequence[str]) -> list[str]:
    """The pieces of log after which one is missing, of pieces of 16 MB. On another timeline the count goes on."""
    pieces = sorted({(int(name[8:16], 16) << 8) + int(name[16:], 16): name for name in names if _SEGMENT.fullmatch(name)}.items())
    return [name for (number, name), (following, _) in pairwise(pieces) if following > number + 1]


def _rule(rule: str, is_kept: bool, hint: str, *, is_blocking: bool = True) -> RuleResult:
    return RuleResult(rule, is_blocking, broken=0 if is_kept else 1, looked_at=1, examples=() if is_kept else (hint,))


def _may_enter(facts: dict[str, Any], password: str) -> bool:
    try:
        psycopg.connect(**facts, user=ROLE, password=password).close()
    except psycopg.OperationalError:
        return False
    return True


def _id_file(home: Home) -> Path:
    return home.root / "backup" / "id.json"


def _home_id(home: Home) -> str:
    """What tells this home from others, and from a home that is restored from its backups."""
    noted = _id_file(home)
    if not noted.exists():
        with home.lock("backup-id"):
            if not noted.exists():
                write_private(noted, json.dumps({"home_id": secrets.token_hex(4)}) + "\n")
    found = read_json(noted).get("home_id")
    if not isinstance(found, str) or not re.fullmatch(r"[0-9a-f]{8}", found):
        raise HomeUnusable(noted, "names no home", "Remove it, and set RRR_BACKUP_DIR to a new folder")
    return found
