"""What tests of the graph share: an empty platform for each module, on the home of the run, with its Dagster instance.

Belongs here: emptying, the instance, files that are landed. Does not: what a test expects.
"""

from collections.abc import Iterator

import dagster as dg
import pytest

from rrr_assets.resources.dagster_home import prepare_dagster_home
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.dagster_platform import emptied


@pytest.fixture(scope="module")
def empty_home(home: Home) -> Iterator[Home]:
    """The run's home with its databases empty, of the platform and of Dagster, and DAGSTER_HOME in the environment."""
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("DAGSTER_HOME", raising=False)
        emptied(home)
        prepare_dagster_home(home)
        yield home
        patched.delenv("DAGSTER_HOME")


@pytest.fixture(scope="module")
def instance(empty_home: Home) -> Iterator[dg.DagsterInstance]:
    """The instance of the empty home, with dagster-postgres below it."""
    assert empty_home.dagster.is_dir()
    with dg.DagsterInstance.get() as made:
        yield made
