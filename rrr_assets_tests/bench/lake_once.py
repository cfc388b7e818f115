"""Takes one file into the archive in a process of its own and prints, as JSON, rows, seconds by stage and peak memory.

Run as `python -m rrr_assets_tests.bench.lake_once straight|database FILE [WARM]`, with RRR_HOME naming a home of which the server runs.
"""

import json
import sys
from datetime import date
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.information_bars import INFORMATION_BARS
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.history import take_in
from rrr_assets.lake.proving import archive_partition
from rrr_assets.lake.store import Store
from rrr_assets.ticks import landing
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.information_bars import refresh_information_bars
from rrr_assets.warehouse.refresh import refresh_bars
from rrr_assets_tests.bench.ingest import FORMAT
from rrr_assets_tests.bench.ingest import take_in as ingest
from rrr_assets_tests.bench.ingest_once import peak_bytes


def main(way: str, path: Path, warm: Path | None) -> None:
    """Take a file in; `warm` before the clock runs: imports and connections are no part of a figure."""
    home, database = Home.current(), Database.current()
    take = _straight if way == "straight" else _through_the_database
    if warm is not None:
        take(home, database, warm)
    before = process_time()
    told = {**take(home, database, path), "processor": process_time() - before}
    sys.stdout.write(json.dumps({**told, "peak_bytes": peak_bytes()}) + "\n")


def _straight(home: Home, database: Database, path: Path) -> dict[str, Any]:
    begun = perf_counter()
    with database.connect(Role.WRITER, autocommit=True) as connection:
        [accepted] = landing.accept(home, connection, path, FORMAT, None, None)
        stages = {"verify and parse": perf_counter() - begun}
        waiting = landing.files_of_days(home, connection, "trades", list(accepted.days))
    rows = 0
    with Catalogue(database, Store.current()) as lake:
        for day, files in waiting.items():
            went = take_in(database, lake, day, files, None, landing.raw_lines)
            rows += went.loaded.rows_stored
            stages |= went.stages
    return {"rows": rows, "seconds": perf_counter() - begun, "stages": stages}


def _through_the_database(home: Home, database: Database, path: Path) -> dict[str, Any]:
    """The same end: rows, bars of every kind, a proven partition."""
    begun = perf_counter()
    accept, load, rows = ingest(home, database, path)
    day = date.fromisoformat("-".join(path.stem.split("-")[2:5]))
    barring = perf_counter()
    for interval in INTERVALS:
        list(refresh_bars(database, interval, [day], whole_days=False, home=home))
    for kind in INFORMATION_BARS:
        list(refresh_information_bars(database, kind, [day], whole_days=False))
    archiving = perf_counter()
    with Catalogue(database, Store.current()) as lake:
        archive_partition(database, lake, ARCHIVED["raw_trades"], day)
    ended = perf_counter()
    stages = {"verify and parse": accept, "load": load, "bars": archiving - barring, "archive": ended - archiving}
    return {"rows": rows, "seconds": ended - begun, "stages": stages}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
