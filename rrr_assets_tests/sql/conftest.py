"""A real server for the tests of SQL: one per run of the tests, a migrated database of its own for each module and engine.

Belongs here: the server, databases, and what fills them. Does not: what a test expects.
"""

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from rrr_assets.warehouse import server
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.migrate import Engine
from rrr_assets_tests.platform import TIMESCALE_URL, made_database, timescale_server

_FOREIGN = ("RRR_DATABASE_URL", "RRR_OWNER_URL", "RRR_WRITER_URL", "RRR_ANALYST_URL", "RRR_DAGSTER_DATABASE_URL")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for this run alone, shared by its processes; the last one to need it stops its server."""
    try:
        server.find_binaries()
    except server.ServerFailed as missing:
        pytest.skip(f"no embedded PostgreSQL: {missing.reason}")
    base = tmp_path_factory.getbasetemp()
    # Under xdist every process has a folder below the run's.
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    root, holders = shared / "rrr_home", shared / "rrr_home.holders"
    with pytest.MonkeyPatch.context() as patched:
        for name in _FOREIGN:
            patched.delenv(name, raising=False)
        patched.setenv("RRR_HOME", str(root))
        _count(holders, 1)
        server.ensure_running()
        yield root
        with FileLock(f"{holders}.stop"):
            if not _count(holders, -1):
                server.stop()


def _count(holders: Path, change: int) -> int:
    with FileLock(f"{holders}.lock"):
        held = (json.loads(holders.read_text()) if holders.exists() else 0) + change
        holders.write_text(json.dumps(held))
    return int(held)


@pytest.fixture(scope="module", params=["postgresql", pytest.param("timescaledb", marks=pytest.mark.timescale)])
def engine(home: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each engine in turn. While its tests run, the environment names its server."""
    assert home.is_dir()
    if request.param == "timescaledb":
        url = os.environ.get(TIMESCALE_URL)
        if not url:
            pytest.skip(f"{TIMESCALE_URL} names no server with TimescaleDB")
        with timescale_server(url, home.parent / "timescale_home"):
            yield "timescaledb"
    else:
        with pytest.MonkeyPatch.context() as patched:
            # Tests of the graph have a home of their own, which a process that ran some has in its environment.
            patched.setenv("RRR_HOME", str(home))
            yield "postgresql"


@pytest.fixture(scope="module")
def database(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A fresh migrated database of each engine; dropped when the module is done."""
    with made_database(f"test_{request.path.stem.removeprefix('test_')}_{uuid.uuid4().hex[:8]}", engine) as made:
        yield made


@pytest.fixture
def blank(engine: Engine) -> Iterator[Database]:  # noqa: ARG001  # the environment names its server
    """A database without a schema on each engine's server; dropped afterwards."""
    with made_database(f"test_blank_{uuid.uuid4().hex[:12]}") as made:
        yield made
