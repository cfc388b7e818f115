"""Memory: the most that the ingesting process holds at any time, for one big file of one day."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence

from rrr_assets.warehouse.home import Home
from rrr_assets_tests.bench.figures import Figure
from rrr_assets_tests.bench.ground import interpreter_environment, own_home
from rrr_assets_tests.bench.ingest import simulated_days

_GB = 1e9


def measure(sizes: Sequence[int]) -> list[Figure]:
    """One figure for each number of rows, each in a home of its own."""
    figures = []
    for rows in sizes:
        with own_home() as home:
            figures.append(_of_file(home, rows))
    return figures


def _of_file(home: Home, rows: int) -> Figure:
    folder = home.root / "bench-files"
    (path,) = simulated_days(folder, 1, rows).values()
    command = [sys.executable, "-m", "rrr_assets_tests.bench.ingest_once", str(path)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=interpreter_environment()).stdout)
    peak = told.pop("peak_bytes") / _GB
    shutil.rmtree(folder)
    return Figure(f"memory {rows / 1e6:g} M rows", round(peak, 3), "GB", target=1.5, is_at_most=True, details=told)
