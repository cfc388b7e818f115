"""What all tests share: hypothesis profiles, and the count of what was skipped and why.

Belongs here: settings of the test run, the home, the platform. Does not: how the platform is driven (platform.py).
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from rrr_assets.warehouse import server
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.platform import Platform, fresh_database

# Wall time says nothing on a machine that several processes share; the time limit of a test is pytest-timeout's.
settings.register_profile("default", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
# Pull requests: the same examples every time, so that a red run is the change's own.
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
# By hand or at night, to look for more: HYPOTHESIS_PROFILE=thorough
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2000, print_blob=True)
# The days of the tests are long ago. They go through the database where a test does not say otherwise: most look at what it holds.
os.environ.setdefault("RRR_HISTORY_TO", "database")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files first that have most slow tests: one process runs a file, and for a long one that begins last all others wait."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many tests were skipped for which reason: a green run says what it did not look at."""
    damaged = Counter[str]()
    for report in [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]:
        for name, value in report.user_properties:
            if name == "fuzz":
                damaged.update(value)
    if damaged:
        terminalreporter.section(f"damaged files: {damaged['files']}")
        for what, count in damaged.most_common():
            terminalreporter.write_line(f"{count:6d}  {what}")
    reasons = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    if not reasons:
        return
    terminalreporter.section(f"not run: {reasons.total()} skipped")
    for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        terminalreporter.write_line(f"{count:6d}  {reason}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    # pytest keeps (file, line, "Skipped: reason") of a skip, also across processes.
    text = report.longrepr[2] if isinstance(report.longrepr, tuple | list) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


@pytest.fixture(scope="module", autouse=True)
def _no_instance_of_another_module() -> Iterator[None]:
    """Dagster keeps the storage of an instance that was entered, and gives back a dead one where two were not left in order."""
    if "dagster" not in sys.modules:
        yield
        return
    from dagster._core.storage.defs_state.base import set_defs_state_storage

    with set_defs_state_storage(None):
        yield


@pytest.fixture(scope="session")
def home_of_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home of this test process, with its embedded server; the environment names it for all tests and their children."""
    root = tmp_path_factory.mktemp("home")
    saved = {name: os.environ.pop(name, None) for name in ("RRR_DATABASE_URL", "RRR_HOME", "RRR_BACKUP_DIR", "DAGSTER_HOME")}
    os.environ["RRR_HOME"] = str(root)
    try:
        yield Home.current()
    finally:
        server.stop()
        os.environ.pop("RRR_HOME")
        os.environ.update({name: value for name, value in saved.items() if value is not None})


@pytest.fixture(scope="module")
def home(home_of_process: Home) -> Iterator[Home]:
    """The home of this test process, named by the environment: one that was at the tests of SQL before has theirs there."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RRR_HOME", str(home_of_process.root))
        yield home_of_process


@pytest.fixture
def platform(home: Home, tmp_path: Path) -> Platform:  # noqa: ARG001  # its server is what the databases are made on
    """A fresh database on the home's server, and a landing zone of its own."""
    mine = tmp_path / "landing-home"
    mine.mkdir()
    landing_home = Home(mine)
    landing_home.prepare()
    return Platform(fresh_database(), landing_home)


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of recorded venue files; tests that need it are skipped where it is not there."""
    folder = os.environ.get("RRR_REALDATA_DIR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("RRR_REALDATA_DIR names no folder of recorded venue files")
    return Path(folder)
