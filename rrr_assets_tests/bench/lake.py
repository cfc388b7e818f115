"""History: from a venue's file straight to a proven partition of the archive, read-back proof and bars included, by stage; and its memory.

Each file goes in a process of its own. The same rows go through the database beside it, and are archived from there: the ratio counts.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rrr_assets_tests.bench.figures import Figure, median, spread
from rrr_assets_tests.bench.ground import interpreter_environment, own_home
from rrr_assets_tests.bench.ingest import first_lines, simulated_days, unpacked

_GB = 1e9


def measure(rows: int, times: int, big: int | None = None) -> list[Figure]:
    """Fresh days of so many trades; with `big`, one day more of so many, for its memory."""
    done, slow = [], []
    with own_home() as home:
        files = simulated_days(home.root / "bench-files", 2 * times + 2, rows)
        warm, days = sorted(files)[:2], sorted(files)[2:]
        for number in range(times):
            for way in (("straight", "database"), ("database", "straight"))[number % 2]:
                place = 2 * number + (way == "straight")
                short = first_lines(files[warm[way == "straight"]], 1000)
                # Of another instrument each time, so that it is news.
                short = short.rename(short.with_name(short.name.replace("BTC", f"W{place}")))
                (done if way == "straight" else slow).append(_once(way, files[days[place]], short))
    rates = [each["rows"] / each["seconds"] for each in done]
    work = [1e6 * each["processor"] / each["rows"] for each in done]
    figures = [
        Figure("history, from a file to a proven partition", round(median(rates)), "trades/s", target=500_000, goal=1_000_000,
               details={"each": spread(rates), "processor s a million trades": median(work),
                        "rows": sum(each["rows"] for each in done), **_stages(done)}),
        Figure("history, faster than through the database", median([b["seconds"] / a["seconds"] for a, b in zip(done, slow, strict=True)]),
               "times", details={"through the database s": spread([each["seconds"] for each in slow])}),
        _memory(done[0]),
    ]  # fmt: skip
    if big is not None:
        with own_home() as home:
            folder = home.root / "bench-files"
            zipped, other = simulated_days(folder, 2, big).values()
            figures.append(_memory(_once("straight", zipped)))
            plain = _once("straight", unpacked(other))
            figures.append(
                Figure(f"history, from a CSV of {plain['rows'] / 1e6:.2g} M trades to a proven partition",
                       round(plain["rows"] / plain["seconds"]), "trades/s", target=500_000, goal=1_000_000, details=_stages([plain]))
            )  # fmt: skip
            shutil.rmtree(folder)
    return figures


def _memory(told: dict[str, Any]) -> Figure:
    details = {"trades/s": round(told["rows"] / told["seconds"]), **_stages([told])}
    return Figure(
        f"history, memory of {told['rows'] / 1e6:.2g} M trades", round(told["peak_bytes"] / _GB, 3), "GB", target=2.0, is_at_most=True,
        details=details,
    )  # fmt: skip


def _stages(done: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Seconds by stage, medians; some are spent beside each other."""
    return {f"{name} s": round(median([each["stages"].get(name, 0.0) for each in done]), 2) for name in done[0]["stages"]}


def _once(way: str, *paths: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "rrr_assets_tests.bench.lake_once", way, *map(str, paths)]
    told: dict[str, Any] = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True, env=interpreter_environment()).stdout
    )
    return told
