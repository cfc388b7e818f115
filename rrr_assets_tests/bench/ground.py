"""The ground that is measured on: a home with a server of its own, processor time, the settings that count.

Belongs here: what all parts of the benchmark stand on. Does not: any figure.
"""

import os
import platform
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rrr_assets.contracts.history import HISTORY_TO
from rrr_assets.warehouse import server
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.migrate import migrate
from rrr_assets_tests.platform import TIMESCALE_URL, made_database, timescale_server

_FOREIGN = ("RRR_DATABASE_URL", "RRR_OWNER_URL", "RRR_WRITER_URL", "RRR_ANALYST_URL", "RRR_DAGSTER_DATABASE_URL", "DAGSTER_HOME")
_PACKAGES = ("dagster", "dagster-postgres", "psycopg", "pgpq", "pyarrow")
_SETTINGS = ("server_version", "shared_buffers", "max_wal_size", "wal_compression", "synchronous_commit", "fsync", "full_page_writes")


@contextmanager
def own_home() -> Iterator[Home]:
    """A home in a temporary folder, with its embedded server, named by the environment; gone afterwards."""
    saved = {name: os.environ.pop(name, None) for name in (*_FOREIGN, "RRR_HOME", HISTORY_TO)}
    folder = Path(tempfile.mkdtemp(prefix="rrr-bench-"))
    os.environ["RRR_HOME"] = str(folder)
    # What is measured lies long ago, and is measured in the database where a part does not say otherwise.
    os.environ[HISTORY_TO] = "database"
    try:
        migrate(Database.current())
        yield Home.current()
    finally:
        server.stop()
        os.environ.pop("RRR_HOME")
        os.environ.pop(HISTORY_TO)
        os.environ.update({name: value for name, value in saved.items() if value is not None})
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def own_timescale_home() -> Iterator[Home | None]:
    """A home in a temporary folder, with a database of its own on the server of the tests with TimescaleDB; None without one.

    The server must run on this machine: its processor time is looked at.
    """
    url = os.environ.get(TIMESCALE_URL)
    if not url:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="rrr-bench-"))
    try:
        with timescale_server(url, folder), made_database(f"bench_{uuid.uuid4().hex[:8]}", "timescaledb") as made:
            os.environ["RRR_DATABASE_URL"] = made.admin_url
            yield Home.current()
            os.environ["RRR_DATABASE_URL"] = url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def settings() -> dict[str, Any]:
    """What figures depend on: cores, versions, the server's settings."""
    with Database.current().connect_admin() as connection:
        shown = {name: connection.execute(f"show {name}").fetchone() for name in _SETTINGS}
    return {
        "cores": os.cpu_count(),
        "load average before": [round(each, 1) for each in os.getloadavg()],
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
        **{name: value[0] for name, value in shown.items() if value},
    }


@dataclass
class Spent:
    """Wall seconds, and the processor seconds of this process and of the server together."""

    wall: float = 0.0
    processor: float = 0.0


@contextmanager
def timed() -> Iterator[Spent]:
    """Measure what happens inside, after a checkpoint, so that nobody pays for what another one wrote."""
    with Database.current().connect_admin() as connection:
        connection.execute("checkpoint")
        postmaster = _parent_of(connection.info.backend_pid)
    spent = Spent()
    wall, processor = time.perf_counter(), time.process_time() + _of_server(postmaster)
    yield spent
    spent.wall = time.perf_counter() - wall
    spent.processor = time.process_time() + _of_server(postmaster) - processor


def interpreter_environment() -> dict[str, str]:
    """The environment of a fresh Python process that keeps its bytecode, as an installed one does."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    root = Path(__file__).resolve().parents[2]
    cache = Path(tempfile.gettempdir()) / f"rrr-bench-bytecode-{os.getuid()}"
    return {**kept, "PYTHONPYCACHEPREFIX": str(cache), "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}


def _of_server(postmaster: int) -> float:
    """Processor seconds of the server's living processes, and of those that ended."""
    ticks = sum(_ticks(postmaster)[:4])
    for child in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split():
        try:
            ticks += sum(_ticks(int(child))[:2])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked: the postmaster counts it from now on
    return ticks / os.sysconf("SC_CLK_TCK")


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _ticks(pid: int) -> list[int]:
    """User, system, and the same of children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(field) for field in fields[11:15]]
