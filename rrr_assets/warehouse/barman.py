"""The tool of the backups: barman, as it is told of our database and called.

Belongs here: its settings, its command line, what it says. Does not: when something is backed up, and what follows (backup.py,
backup_restore.py).
barman takes base backups and receives the server's log by PostgreSQL's own programs, and knows which of both a restore needs. No
password stands in its settings or on its command line: the programs find it in a file of mode 0600.
"""

import json
import os
import pwd
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.warehouse.home import write_private
from rrr_assets.warehouse.server import environment, find_binaries

SERVER: Final = "rrr"
"""What barman calls our server: the folder of that name in RRR_BACKUP_DIR."""

RECEIVER_NAME: Final = "rrr_receiver"
"""How the receiver of the log names itself to the server."""

_COMPLETE: Final = frozenset({"DONE", "WAITING_FOR_WALS"})

_SETTINGS: Final = """\
; Written anew whenever it is needed; changes made here are lost.
[barman]
barman_user = {user}
barman_home = {folder}
log_file = {log}
log_level = WARNING

[{server}]
description = the database of {home}
conninfo = {conninfo}
streaming_conninfo = {streaming_conninfo}
path_prefix = {binaries}
backup_method = postgres
streaming_archiver = on
streaming_archiver_name = {receiver}
slot_name = {slot}
create_slot = auto
immediate_checkpoint = true
minimum_redundancy = 1
retention_policy = RECOVERY WINDOW OF {days} DAYS
; Packed backups are restored by tar alone, others need rsync.
backup_compression = gzip
backup_compression_level = 1
compression = pygzip
compression_level = low
"""


class BackupFailed(PermanentFailure):
    """A backup, or a restore of one, could not be made. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A base backup. Times are UTC; sizes are what it takes in the backup folder, the log since then beside it."""

    backup_id: str
    status: str
    ended_at: datetime | None
    size_bytes: int
    log_bytes: int

    @property
    def is_complete(self) -> bool:
        """Whether it can be restored: all of it was copied. Its last piece of log may be on its way."""
        return self.status in _COMPLETE


@dataclass(frozen=True, slots=True)
class Barman:
    """barman with one file of settings."""

    settings: Path
    folder: Path

    @property
    def streaming(self) -> Path:
        """Where the receiver writes: the piece of log it is at ends in `.partial`."""
        return self.folder / SERVER / "streaming"

    @property
    def has_log(self) -> bool:
        """Whether a piece of log was ever put away here: without one barman makes no backup."""
        return any(path.is_file() and path.stat().st_size for path in (self.folder / SERVER / "wals").glob("*xlog.db"))

    def run(self, *arguments: str, may_fail: bool = False) -> str:
        """Run one command of barman's to its end, and return what it printed.

        Raises:
            BackupFailed: it is not installed, or it failed; with what it said.
        """
        done = subprocess.run(
            [_program(), "-c", str(self.settings), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd="/",
            env=environment() | {"HOME": str(self.settings.parent)},
            umask=0o077,
        )
        if done.returncode and not may_fail:
            raise BackupFailed(f"barman {_command(arguments)} failed: {_cause(done.stdout, done.stderr)}")
        return done.stdout

    def ask(self, *arguments: str, may_fail: bool = False) -> Any:
        """Run one command and return its answer about our server."""
        said = self.run("-f", "json", *arguments, may_fail=may_fail)
        try:
            return json.loads(said)[SERVER]
        except (ValueError, KeyError) as error:
            raise BackupFailed(f"barman {_command(arguments)} failed: {_cause(said, '')}") from error

    def backups(self) -> list[Backup]:
        """All base backups that were begun, the oldest first."""
        return sorted((_backup(facts) for facts in self.ask("list-backups", SERVER)), key=lambda backup: backup.backup_id)


def configure(
    place: Path, folder: Path, *, home: Path, slot: str, keep_days: int, connection: Mapping[str, str], streaming: Mapping[str, str]
) -> Barman:
    """Write barman's settings into `place`, for backups in `folder`.

    Args:
        place: Folder of the settings and of what barman logs.
        folder: RRR_BACKUP_DIR.
        home: The home that is backed up, for people who read the settings.
        slot: The replication slot of the receiver.
        keep_days: A restore to any time of these last days shall be possible.
        connection: How barman enters the server, without a password.
        streaming: The same for copies and the log.

    Raises:
        BackupFailed: the user of this process has no name, which barman wants.
    """
    from psycopg.conninfo import make_conninfo

    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise BackupFailed(f"barman wants a user with a name, and number {os.geteuid()} has none. Call as another user") from None
    settings = place / "barman.conf"
    text = _SETTINGS.format(
        user=user, folder=folder, log=place / "barman.log", server=SERVER, home=home, slot=slot, days=keep_days,
        conninfo=make_conninfo(**connection), streaming_conninfo=make_conninfo(**streaming), binaries=find_binaries(),
        receiver=RECEIVER_NAME,
    )  # fmt: skip
    if not settings.exists() or settings.read_text("utf-8") != text:
        write_private(settings, text)
    return Barman(settings, folder)


def _program() -> str:
    found = shutil.which("barman", path=sysconfig.get_path("scripts")) or shutil.which("barman")
    if found is None:
        raise BackupFailed("barman is not installed. Install rrr-assets[backup], or unset RRR_BACKUP_DIR")
    return found


def _backup(facts: Mapping[str, Any]) -> Backup:
    ended = facts.get("end_time_timestamp")
    return Backup(
        str(facts["backup_id"]),
        str(facts["status"]),
        datetime.fromtimestamp(int(ended), UTC) if ended else None,
        int(facts.get("size_bytes") or 0),
        int(facts.get("wal_size_bytes") or 0),
    )


def _command(arguments: tuple[str, ...]) -> str:
    return next((word for word in arguments if not word.startswith("-") and word != "json"), "")


def _cause(stdout: str, stderr: str) -> str:
    """What barman gives as the cause: an error in JSON, or a line that says so, else the last one."""
    try:
        told = json.loads(stdout)
    except ValueError:
        lines = [line.strip() for line in (stderr + "\n" + stdout).splitlines() if line.strip()]
        marked = [line for line in lines if line.startswith(("ERROR", "EXCEPTION"))]
        return (marked or lines or ["without a word"])[-1]
    errors = told.get("_ERROR") or told.get("_EXCEPTION") or ["without a word"] if isinstance(told, dict) else [str(told)]
    return str(errors[-1] if isinstance(errors, list) else errors)
