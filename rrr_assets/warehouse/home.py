"""The home: the one folder under which the platform keeps its state on a machine.

Belongs here: where things lie, how private files and folders are made, the passwords' file, the locks
between processes. Does not: what the database server does with its folder (server.py).
Everything lies under RRR_HOME (default `.rrr/` in the working directory). The one exception: where the
caller is root and the server must run as another user who cannot reach the home, the server's tree lies
elsewhere, and the file `state` in the home names it. Two homes never share a tree.
"""

import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

PASSWORD_BYTES: Final = 24
LOCK_SECONDS: Final = 150.0
REASON: Final = ".reason.txt"
"""What the name of a refused file's reason ends with, beside it."""
SET_ASIDE: Final = "set aside in landing/refused"
"""How the failure of a run says that."""


class HomeUnusable(Exception):
    """Something in the home is not as it must be. Permanent: nothing is repaired by trying again."""

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        self.path, self.reason, self.remedy = path, reason, remedy
        super().__init__(f"{path}: {reason}. {remedy}")


def home_dir() -> Path:
    """RRR_HOME, or `.rrr` in the working directory: absolute, without symbolic links."""
    return Path(os.environ.get("RRR_HOME") or ".rrr").expanduser().resolve()


@dataclass(frozen=True, slots=True)
class Home:
    """The places in one home. Properties are paths only; `prepare` makes the folders."""

    root: Path

    @classmethod
    def current(cls) -> "Home":
        """The home of this process' environment, with its folders made."""
        home = cls(home_dir())
        home.prepare()
        return home

    @property
    def landing(self) -> Path:
        """Files as they came in."""
        return self.root / "landing"

    @property
    def inbox(self) -> Path:
        """Where files are laid for the landing sensor: `<format>/` or `<format>/<venue:SYMBOL>/`."""
        return self.landing / "inbox"

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME."""
        return self.root / "dagster"

    @property
    def charts(self) -> Path:
        return self.root / "charts"

    @property
    def training_sets(self) -> Path:
        """Training sets of runs that were not told where to write."""
        return self.root / "training-sets"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def credentials(self) -> Path:
        return self.root / "credentials.json"

    @property
    def server_json(self) -> Path:
        """What is known of the embedded server: its port above all."""
        return self.root / "server.json"

    @property
    def alerts_json(self) -> Path:
        """When it was last looked for what is to be told."""
        return self.root / "alerts.json"

    @property
    def watchdog_json(self) -> Path:
        """What the watchdog told last."""
        return self.root / "watchdog.json"

    @property
    def server_pointer(self) -> Path:
        """Names the server's tree where it lies outside the home; absent otherwise."""
        return self.root / "state"

    @property
    def server_tree(self) -> Path:
        """The folder of the embedded server: its data, its log, and its programs where they had to be copied.

        Raises:
            HomeUnusable: the file `state` does not name a folder.
        """
        if not self.server_pointer.exists():
            return self.root / "server"
        named = read_json(self.server_pointer).get("server_tree")
        if not isinstance(named, str) or not Path(named).is_absolute():
            raise HomeUnusable(self.server_pointer, "names no server tree", "Restore the file from a backup")
        return Path(named)

    @property
    def server_data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.server_tree / "data"

    @property
    def server_upgrade(self) -> Path:
        """Where an upgrade makes the data of the new version, from a copy of the old; there only while it does."""
        return self.server_tree / "upgrade"

    def refused_files(self) -> list[tuple[Path, datetime, str]]:
        """Files of the inbox that were refused and lie set aside: the file, when it was refused (UTC), and why. The latest first."""
        found = []
        for told in (self.landing / "refused").glob(f"*{REASON}"):
            path = told.with_name(told.name.removesuffix(REASON))
            try:
                facts, reason = told.stat(), told.read_text("utf-8", errors="replace").strip()
                path.lstat()
            except FileNotFoundError:
                continue  # taken away: it was mended, or is not wanted
            found.append((path, datetime.fromtimestamp(facts.st_mtime, UTC), reason))
        return sorted(found, key=lambda each: (each[1], each[0]), reverse=True)

    def prepare(self) -> None:
        """Make the home and its folders, each open to its owner alone. Folders that exist stay as they are."""
        if not self.root.exists():
            self.root.parent.mkdir(parents=True, exist_ok=True)
            self.root.mkdir(mode=0o700, exist_ok=True)
        for folder in (self.landing, self.inbox, self.dagster, self.charts, self.logs):
            make_private_folder(folder)

    @contextmanager
    def lock(self, name: str, timeout_seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Hold one of the home's locks; the system frees it when its holder dies.

        Raises:
            HomeUnusable: another process held it for all of `timeout_seconds`.
        """
        path = self.root / f"{name}.lock"
        with hold_lock(path, timeout_seconds):
            yield


@dataclass(frozen=True, slots=True)
class Credentials:
    """The passwords of the database's users, in one JSON file of mode 0600."""

    path: Path

    def password_for(self, user: str) -> str:
        """The user's password; generated and stored durably the first time, by whichever process comes first.

        Raises:
            HomeUnusable: the file is there and cannot be read as passwords.
        """
        known = self._read()
        if user in known:
            return known[user]
        with hold_lock(self.path.with_suffix(".lock")):
            known = self._read()
            if user not in known:
                known[user] = secrets.token_urlsafe(PASSWORD_BYTES)
                write_private(self.path, json.dumps(known, indent=1, sort_keys=True) + "\n")
            return known[user]

    def _read(self) -> dict[str, str]:
        if not self.path.exists():
            return {}
        known = read_json(self.path)
        passwords = {user: password for user, password in known.items() if isinstance(password, str)}
        if len(passwords) != len(known):
            raise HomeUnusable(self.path, "holds something that is no password", "Restore the file from a backup")
        return passwords


def read_json(path: Path) -> dict[str, object]:
    """Read a JSON object.

    Raises:
        HomeUnusable: the file is no JSON object.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        # The decoder's error carries the text, and the text may be passwords.
        raise HomeUnusable(path, f"is not JSON ({type(error).__name__})", "Restore the file from a backup") from None
    if not isinstance(found, dict):
        raise HomeUnusable(path, "is not a JSON object", "Restore the file from a backup")
    return found


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 in one step, durably: a reader sees the old or the new text, never a part."""
    # mkstemp opens with O_EXCL and 0600, so there is no moment in which others could read it or choose its target.
    fd, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            give_to_owner_of(path.parent, file.fileno())
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_private_folder(folder: Path) -> None:
    """Make a folder of mode 0700, of the same owner as its parent. One that exists stays as it is."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    give_to_owner_of(folder.parent, folder)


def give_to_owner_of(folder: Path, what: Path | int) -> None:
    """Where root writes into the folder of another user, what it writes must be that user's, or lock them out."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(what, owner.st_uid, owner.st_gid)


@contextmanager
def hold_lock(path: Path, timeout_seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold a lock between processes; the system frees it when its holder dies. Not reentrant.

    Raises:
        HomeUnusable: another process held it for all of `timeout_seconds`.
    """
    if not path.exists():
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            give_to_owner_of(path.parent, fd)
        finally:
            os.close(fd)
    lock = FileLock(path, timeout=timeout_seconds, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        reason = f"another process has held this lock for {timeout_seconds:.0f} s"
        raise HomeUnusable(path, reason, "Wait for it to end, or stop it, and try again") from None
    try:
        yield
    finally:
        lock.release()
