"""The archive: what a trade takes there and in the warm tier, how long a day's way there and back takes, and how much memory.

A day of a hundred instruments, the n-th of which trades 1/n as much as the first. What takes memory runs in a process of its own.
"""

import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from rrr_assets import simulator
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.proving import archive_partition
from rrr_assets.lake.retiring import Due, make
from rrr_assets.lake.store import Store
from rrr_assets.ticks import landing
from rrr_assets.warehouse.compare import compare_days
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.information_bars import refresh_information_bars
from rrr_assets.warehouse.load import load_day
from rrr_assets.warehouse.refresh import refresh_bars
from rrr_assets_tests.bench.archive_once import DAY, GROUP
from rrr_assets_tests.bench.figures import Figure
from rrr_assets_tests.bench.ground import interpreter_environment
from rrr_assets_tests.bench.ingest import FORMAT, take_in

_RECEIVED_DAY: Final = date(2025, 3, 2)
_INSTRUMENTS: Final = 100
_GB: Final = 1e9
_LAG_SECONDS: Final = (0.02, 0.5)
"""Of what a recorder has before a trade: the middle, and the spread of its logarithm."""


def measure(home: Home, trades: int) -> list[Figure]:
    """A day's way into a folder of this machine, out of the database, and back."""
    database = Database.current()
    rows = _loaded(home, database, trades)
    row_bytes = _row_bytes(database, DAY)
    went, dropped, came = (_once(what) for what in ("archive", "drop", "restore"))
    size = went["bytes"]
    memory = {what: round(told["peak_bytes"] / _GB, 3) for what, told in (("archive", went), ("drop", dropped), ("restore", came))}
    if not went["rows"] == dropped["rows"] == came["rows"] == rows:
        raise RuntimeError(f"of {rows} trades, {went['rows']} were archived, {dropped['rows']} dropped, {came['rows']} restored")
    millions = f"{trades / 1e6:g} M"
    return [
        Figure("archive, bytes a trade without received_at", round(size / rows, 3), "bytes", target=7.5, goal=6.5, is_at_most=True,
               details={"trades": rows, "bytes": size}),
        Figure("archive, smaller than row partitions with their key", round(row_bytes / size, 2), "times", target=20,
               details={"row bytes a trade": round(row_bytes / rows, 1)}),
        Figure(f"archive, from the database to a proven partition, {millions}", round(rows / went["seconds"]), "trades/s",
               details={"seconds": went["seconds"]}),
        Figure(f"archive, dropped with all that is asked before, {millions}", dropped["seconds"], "s"),
        Figure(f"archive, restored and compared, {millions}", round(rows / came["seconds"]), "trades/s",
               details={"seconds": came["seconds"]}),
        Figure(f"archive, memory of archive, drop and restore, {millions}", max(memory.values()), "GB", target=2.0, is_at_most=True,
               details=memory),
    ]  # fmt: skip


def measure_received(home: Home, trades: int) -> list[Figure]:
    """What a trade takes with the time at which a recorder had it, to the microsecond."""
    database = Database.current()
    path = _captured(home.root / "bench-files", trades)
    with database.connect(Role.WRITER, autocommit=True) as connection:
        landing.accept(home, connection, path, "binance-ws", None, None)
        waiting = landing.files_of_days(home, connection, "trades", [_RECEIVED_DAY])
    load_day(database, _RECEIVED_DAY, waiting[_RECEIVED_DAY], None, landing.raw_lines)
    with Catalogue(database, Store.current()) as catalogue:
        proof = archive_partition(database, catalogue, ARCHIVED["raw_trades"], _RECEIVED_DAY).proof
    if proof is None:
        raise RuntimeError(f"nothing of {path} was archived")
    rows = proof.digest.rows
    return [
        Figure("archive, bytes a trade with received_at", round(proof.size_bytes / rows, 3), "bytes", target=10, goal=9, is_at_most=True,
               details={"trades": rows, "bytes": proof.size_bytes}),
    ]  # fmt: skip


def measure_warm(home: Home, trades: int) -> list[Figure]:
    """What the columnstore makes of a day's rows, on TimescaleDB."""
    database = Database.current()
    rows = _loaded(home, database, trades)
    before = _chunk_bytes(database)
    with Catalogue(database, Store.current()) as catalogue:
        make(database, catalogue, Due(GROUP, DAY, "warm", DAY + timedelta(days=9)))
    after = _chunk_bytes(database)
    return [
        Figure("warm tier on TimescaleDB, smaller than rows with their key", round(before / after, 2), "times", target=10,
               details={"bytes a trade": round(after / rows, 2), "row bytes a trade": round(before / rows, 1)}),
    ]  # fmt: skip


def _loaded(home: Home, database: Database, trades: int) -> int:
    """A day of all instruments, with all that is made of it; its rows."""
    rows = sum(_take_in(home, database, number, trades) for number in range(1, _INSTRUMENTS + 1))
    for interval in ("1m", "5m", "1h", "1d"):
        list(refresh_bars(database, interval, [DAY], whole_days=False, home=home))
    for kind in ("tick", "volume", "dollar"):
        list(refresh_information_bars(database, kind, [DAY], whole_days=False))
    list(compare_days(database, [DAY], whole_days=False))
    return rows


def _take_in(home: Home, database: Database, number: int, trades: int) -> int:
    return take_in(home, database, _simulated(home.root / "bench-files", number, trades, DAY))[2]


def _simulated(folder: Path, number: int, trades: int, day: date) -> Path:
    whole = sum(1 / each for each in range(1, _INSTRUMENTS + 1))
    share = max(1, round(trades / number / whole))
    written = simulator.simulate(folder, [day], [f"binance:S{number:03}USDT"], share, seed=number)
    [path] = [folder / file.path for file in written.files if file.format == FORMAT]
    return path


def _captured(folder: Path, trades: int) -> Path:
    """The same market as a recorder hears it: each trade some time after it was made, in the order in which they came."""
    lines: list[tuple[int, str]] = []
    for number in range(1, _INSTRUMENTS + 1):
        lines += _heard(_simulated(folder, number, trades, _RECEIVED_DAY), f"S{number:03}USDT", number)
    lines.sort()
    path = folder / "capture.txt"
    with path.open("w") as out:
        out.writelines(f"{received // 1_000_000}.{received % 1_000_000:06} {message}\n" for received, message in lines)
    return path


def _heard(path: Path, symbol: str, seed: int) -> Iterator[tuple[int, str]]:
    with zipfile.ZipFile(path) as archive:
        rows = list(csv.reader(io.TextIOWrapper(archive.open(archive.namelist()[0]))))
    lags = np.random.default_rng(seed).lognormal(np.log(_LAG_SECONDS[0] * 1e6), _LAG_SECONDS[1], len(rows)).astype(int)
    for (trade_id, price, size, _, at, buyer_made, *_), lag in zip(rows, lags.tolist(), strict=True):
        data = {"e": "trade", "s": symbol, "t": int(trade_id), "p": price, "q": size, "T": int(at) // 1000, "m": buyer_made == "True"}
        yield int(at) + lag, json.dumps({"stream": f"{symbol.lower()}@trade", "data": data})


def _once(what: str) -> dict[str, Any]:
    """One way, in a process of its own."""
    command = [sys.executable, "-m", "rrr_assets_tests.bench.archive_once", what]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **interpreter_environment()})
    if done.returncode:
        raise RuntimeError(f"{what} failed: {done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _row_bytes(database: Database, day: date) -> int:
    with database.connect(Role.OWNER, autocommit=True) as connection:
        ((size,),) = connection.execute(f"select pg_total_relation_size('raw_trades_{day:%Y%m%d}')").fetchall()
    return int(size)


def _chunk_bytes(database: Database) -> int:
    with database.connect(Role.WRITER, autocommit=True) as connection:
        ((size,),) = connection.execute("select partition_bytes('raw_trades', %s, %s::date + 1, 0)", (DAY, DAY)).fetchall()
    return int(size)
