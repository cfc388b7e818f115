"""Scale: a hundred instruments, of which few trade much and many little, loaded, rolled up and queried at two sizes.

Belongs here: what it costs at the full size against a tenth of it, per row. Does not: single parts (ingest, bars, reading).
The tenth is a tenth of the days: files, instruments and rows a day are the same, so that what grows is the history alone.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from rrr_assets import read, simulator
from rrr_assets.warehouse import server
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.bench.figures import Figure
from rrr_assets_tests.bench.ground import interpreter_environment, own_home
from rrr_assets_tests.bench.ingest import FORMAT

INSTRUMENTS: Final = 100
_FIRST_DAY: Final = date(2025, 3, 1)
_TICKS: Final = ("raw_trades", "trade_revisions")
_BARS: Final = ("bars_1m", "bars_5m", "bars_1h", "bars_1d", "bar_revisions")
_ASKED: Final = 200


def measure(trades: int, days: int) -> list[Figure]:
    """The cost per row at the full size against a tenth of it; the absolute figures of both are the details."""
    small, full = (_of_size(trades // part, days // part) for part in (10, 1))
    names = ("seconds a million rows", "ingest seconds a million rows", "bars seconds a million rows", "bytes a row")
    figures = [
        Figure(
            f"scale, {name}: {full['rows'] / 1e6:.3g} M against {small['rows'] / 1e6:.3g} M",
            round(full[name] / small[name], 3),
            "times",
            target=1.15,
            goal=1.10,
            is_at_most=True,
            details={"full": full[name], "tenth": small[name]},
        )
        for name in names
    ]
    figures.append(Figure("scale, memory of the ingesting process", full["process GB"], "GB", details={"full": full, "tenth": small}))
    return figures


def _of_size(trades: int, days: int) -> dict[str, Any]:
    with own_home() as home:
        folder = home.root / "bench-files"
        begun = perf_counter()
        files = _simulate(folder, trades, days)
        simulated = perf_counter() - begun
        _say(f"{trades:,} trades on {days} days: {len(files)} files simulated in {simulated:.0f} s")
        with _memory_of_server() as memory:
            begun = perf_counter()
            command = [sys.executable, "-m", "rrr_assets_tests.bench.scale_once", str(folder)]
            told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=interpreter_environment()).stdout)
            wall = perf_counter() - begun
        stations = told["stations"]
        rows = told["rows"]
        bars = sum(seconds for name, seconds in stations.items() if name.startswith("bars_"))
        ticks, rolled = _bytes(_TICKS), _bytes(_BARS)
        found = {
            "rows": rows,
            "days": days,
            "wall s": round(wall, 1),
            "seconds a million rows": round(wall / rows * 1e6, 3),
            "ingest seconds a million rows": round((told["accept"] + stations["raw_trades"]) / rows * 1e6, 3),
            "bars seconds a million rows": round(bars / rows * 1e6, 3),
            "bytes a row": round((ticks + rolled) / rows, 1),
            "accept s": round(told["accept"], 1),
            **{f"{name} s": round(seconds, 1) for name, seconds in stations.items()},
            "process GB": round(told["peak bytes"] / 1e9, 3),
            "server GB": round(memory["peak"] / 1e9, 3),
            "trades GB": round(ticks / 1e9, 3),
            "bars GB": round(rolled / 1e9, 3),
            "landing GB": round(_folder_bytes(home) / 1e9, 3),
            **_queries(days),
        }
        _say(", ".join(f"{name} {value}" for name, value in found.items()))
        return found


def _simulate(folder: Path, trades: int, days: int) -> list[Path]:
    """Files of trades alone; the n-th instrument trades 1/n as much as the first."""
    chosen = [_FIRST_DAY + timedelta(days=number) for number in range(days)]
    whole = sum(1 / number for number in range(1, INSTRUMENTS + 1))
    files: list[Path] = []
    for number in range(1, INSTRUMENTS + 1):
        share = max(days, round(trades / number / whole))
        written = simulator.simulate(folder, chosen, [_name(number)], share, seed=number)
        for file in written.files:
            path = folder / file.path
            if file.format == FORMAT:
                files.append(path)
            else:
                path.unlink()
                path.with_name(f"{path.name}.CHECKSUM").unlink(missing_ok=True)
    return files


def _name(number: int) -> str:
    return f"binance:S{number:03}USDT"


def _queries(days: int) -> dict[str, float]:
    """What readers ask for, in milliseconds, over a warm connection: the middle and the 95th percentile."""
    last = datetime.combine(_FIRST_DAY + timedelta(days=days - 1), datetime.min.time(), UTC)
    spent: list[float] = []
    for number in range(_ASKED):
        begun = perf_counter()
        found = read.bars(_name(number % INSTRUMENTS + 1), "5m", last, last + timedelta(days=1))
        spent.append((perf_counter() - begun) * 1000)
        if not len(found):
            raise RuntimeError(f"no bars of {_name(number % INSTRUMENTS + 1)}")
    spent.sort()
    begun = perf_counter()
    trades = read.trades(_name(1), last + timedelta(hours=12), last + timedelta(hours=13))
    hour = perf_counter() - begun
    with Database.current().connect(Role.ANALYST, autocommit=True) as connection:
        begun = perf_counter()
        connection.execute("select instrument, sum(quote_volume) from bars_1h group by instrument order by 2 desc").fetchall()
        ranked = perf_counter() - begun
    return {
        "24 h of 5m bars p50 ms": round(spent[len(spent) // 2], 2),
        "24 h of 5m bars p95 ms": round(spent[int(len(spent) * 0.95)], 2),
        "an hour of trades ms": round(hour * 1000, 1),
        "trades of that hour": len(trades),
        "turnover of all instruments ms": round(ranked * 1000, 1),
    }


def _bytes(tables: tuple[str, ...]) -> int:
    """What tables take on disk with their partitions and indexes."""
    # Of a table without partitions the tree is empty, and a table with partitions holds nothing itself.
    size = (
        "select sum(pg_total_relation_size(named.relid))::bigint from "
        "(select %(name)s::regclass as relid union select relid from pg_partition_tree(%(name)s::regclass)) as named"
    )
    with Database.current().connect(Role.OWNER, autocommit=True) as connection:
        return sum(int(row[0]) for name in tables if (row := connection.execute(size, {"name": name}).fetchone()))


def _folder_bytes(home: Home) -> int:
    return sum(path.stat().st_size for path in home.landing.rglob("*") if path.is_file())


@contextmanager
def _memory_of_server() -> Iterator[dict[str, int]]:
    """The most that the server's processes held together, shared pages counted once; looked at every two seconds."""
    running = server.status()
    assert running is not None
    peak, stop = {"peak": 0}, threading.Event()

    def look() -> None:
        while not stop.wait(2):
            children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
            peak["peak"] = max(peak["peak"], sum(_pss(pid) for pid in [str(running.pid), *children]))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        stop.set()
        watcher.join()


def _pss(pid: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it ended while we looked
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _say(line: str) -> None:
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {line}\n")


SIZE: Final = (int(os.environ.get("RRR_BENCH_SCALE_TRADES", "50000000")), int(os.environ.get("RRR_BENCH_SCALE_DAYS", "30")))
"""Trades and days of the full size."""
