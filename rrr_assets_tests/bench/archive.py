"""The archive: what a trade takes there, against its row in the database, and how long a day takes, read-back proof included;
and how long what is there takes to read."""

import resource
from datetime import date
from time import perf_counter
from typing import Final

from rrr_assets import simulator
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.proving import archive_partition
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.bench import cold
from rrr_assets_tests.bench.figures import Figure
from rrr_assets_tests.bench.ingest import FORMAT, take_in

_DAY: Final = date(2025, 3, 1)
_INSTRUMENTS: Final = 100


def measure(home: Home, trades: int) -> list[Figure]:
    """A day of a hundred instruments, the n-th of which trades 1/n as much as the first, into a folder of this machine."""
    database = Database.current()
    rows = sum(_take_in(home, database, number, trades) for number in range(1, _INSTRUMENTS + 1))
    with database.connect(Role.OWNER, autocommit=True) as connection:
        ((row_bytes,),) = connection.execute(f"select pg_total_relation_size('raw_trades_{_DAY:%Y%m%d}')").fetchall()
    with Catalogue(database, Store.current()) as catalogue:
        catalogue.table(ARCHIVED["raw_trades"])
        begun = perf_counter()
        done = archive_partition(database, catalogue, ARCHIVED["raw_trades"], _DAY)
        seconds = perf_counter() - begun
    if done.proof is None or done.proof.digest.rows != rows:
        raise RuntimeError(f"{rows} trades were archived as {done.proof}")
    size = done.proof.size_bytes
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return [
        Figure("archive, bytes a trade without received_at", round(size / rows, 3), "bytes", target=7.5, goal=6.5, is_at_most=True,
               details={"trades": rows, "bytes": size}),
        Figure("archive, smaller than row partitions with their key", round(row_bytes / size, 2), "times", target=20,
               details={"row bytes a trade": round(row_bytes / rows, 1)}),
        Figure("archive, from the database to a proven partition", round(rows / seconds), "trades/s",
               details={"seconds": round(seconds, 2), "process GB": round(memory / 1e9, 3)}),
        *cold.measure(database),
    ]  # fmt: skip


def _take_in(home: Home, database: Database, number: int, trades: int) -> int:
    whole = sum(1 / each for each in range(1, _INSTRUMENTS + 1))
    share = max(1, round(trades / number / whole))
    written = simulator.simulate(home.root / "bench-files", [_DAY], [f"binance:S{number:03}USDT"], share, seed=number)
    [path] = [home.root / "bench-files" / file.path for file in written.files if file.format == FORMAT]
    return take_in(home, database, path)[2]
