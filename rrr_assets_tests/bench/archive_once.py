"""One way of a day: into the archive, out of the database, or back, in a process of its own; prints rows, seconds and peak memory as JSON.

Run as `python -m rrr_assets_tests.bench.archive_once archive|drop|restore`, with RRR_HOME naming a home of which the server runs.
"""

import json
import re
import sys
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from rrr_assets.contracts.archive import ARCHIVED_GROUPS
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.proving import archive_partition
from rrr_assets.lake.restoring import restore
from rrr_assets.lake.retiring import Due, make
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.connect import Database

DAY: Final = date(2025, 3, 1)
GROUP: Final = "archived_trades"


def main(what: str) -> None:
    database = Database.current()
    with Catalogue(database, Store.current()) as catalogue:
        catalogue.table(ARCHIVED_GROUPS[GROUP].tables[0])
        begun = perf_counter()
        told = {"archive": _archive, "drop": _drop, "restore": _restore}[what](database, catalogue)
        told["seconds"] = round(perf_counter() - begun, 2)
    sys.stdout.write(json.dumps({**told, "peak_bytes": _peak_bytes()}) + "\n")


def _archive(database: Database, catalogue: Catalogue) -> dict[str, Any]:
    done = [archive_partition(database, catalogue, table, DAY) for table in ARCHIVED_GROUPS[GROUP].tables]
    proofs = [each.proof for each in done if each.proof is not None]
    return {"rows": sum(proof.digest.rows for proof in proofs), "bytes": sum(proof.size_bytes for proof in proofs)}


def _drop(database: Database, catalogue: Catalogue) -> dict[str, Any]:
    moved = make(database, catalogue, Due(GROUP, DAY, "drop", DAY + timedelta(days=40)))
    if moved.refusals:
        raise RuntimeError(f"the drop was refused: {moved.refusals}")
    return {"rows": moved.rows}


def _restore(database: Database, catalogue: Catalogue) -> dict[str, Any]:
    done = restore(database, catalogue.store, ARCHIVED_GROUPS[GROUP], DAY, until=None)
    return {"rows": sum(each.rows for each in done)}


def _peak_bytes() -> int:
    """The most memory that this program held. Not ru_maxrss: that of a child begins with what its parent held when it was started."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    main(sys.argv[1])
