"""Ingests one file in a process of its own and prints, as JSON, its rows, seconds and peak memory.

Run as `python -m rrr_assets_tests.bench.ingest_once FILE`, with RRR_HOME naming a home of which the server runs.
"""

import json
import re
import sys
from pathlib import Path
from time import perf_counter

from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.bench.ingest import take_in


def main(path: Path) -> None:
    begun = perf_counter()
    accept, load, rows = take_in(Home.current(), Database.current(), path)
    told = {
        "rows": rows,
        "accept s": round(accept, 1),
        "load s": round(load, 1),
        "seconds": round(perf_counter() - begun, 1),
        "peak_bytes": peak_bytes(),
    }
    sys.stdout.write(json.dumps(told) + "\n")


def peak_bytes() -> int:
    """The most memory that this program held. Not ru_maxrss: that of a child begins with what its parent held when it was started."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]))
