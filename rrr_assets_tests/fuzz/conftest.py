"""A process that reads damaged files, for all tests of a module."""

from collections.abc import Iterator

import pytest

from rrr_assets_tests.fuzz.running import KEPT, RUN
from rrr_assets_tests.fuzz.worker import Worker


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    KEPT.mkdir(parents=True, exist_ok=True)
    with Worker(KEPT, RUN) as started:
        yield started
