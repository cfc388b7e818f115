"""Loading: what a process that loads the definitions pays over one that only imports Dagster."""

import subprocess
import sys
from time import perf_counter

from rrr_assets_tests.bench.figures import Figure, median, spread
from rrr_assets_tests.bench.ground import interpreter_environment

_BARE = "import dagster"
_OURS = "from rrr_assets.definitions import defs; defs.get_repository_def().get_all_jobs()"


def measure(times: int) -> list[Figure]:
    """Fresh processes in turns, after one of each that fills the bytecode cache."""
    seconds: dict[str, list[float]] = {_BARE: [], _OURS: []}
    for number in range(times + 1):
        for program, taken in seconds.items():
            begun = perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True, env=interpreter_environment())
            if number:
                taken.append(perf_counter() - begun)
    over = [ours - bare for ours, bare in zip(seconds[_OURS], seconds[_BARE], strict=True)]
    details = {"each": spread(over), "definitions s": spread(seconds[_OURS]), "bare s": spread(seconds[_BARE])}
    return [Figure("definitions_load", median(over), "s over `import dagster`", target=2.0, is_at_most=True, details=details)]
