"""One process that takes a folder of files in through the graph, and tells what it took: run by scale.py."""

import json
import resource
import sys
from pathlib import Path

from rrr_assets.cli.ingest import Wanted, take_in
from rrr_assets_tests.bench.ingest import FORMAT


def main(folder: Path) -> None:
    """Take in every archive below the folder."""
    files = sorted(path for path in folder.rglob("*.zip"))
    done = take_in([Wanted(path, FORMAT) for path in files], show=False)
    if done.refused or done.failures:
        raise SystemExit("; ".join([*done.refused, *done.failures]))
    stations: dict[str, float] = {}
    for run in done.runs:
        for name, seconds in run.seconds.items():
            stations[name] = stations.get(name, 0.0) + seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write(json.dumps({"rows": done.rows_stored, "accept": done.accept_seconds, "stations": stations, "peak bytes": peak}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
