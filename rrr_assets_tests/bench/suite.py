"""The whole benchmark: which parts there are, in which order, and what is written of them."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rrr_assets_tests.bench import ground
from rrr_assets_tests.bench.figures import Figure, print_figures

ROWS = int(os.environ.get("RRR_BENCH_ROWS", "1000000"))
PAIRS = int(os.environ.get("RRR_BENCH_PAIRS", "3"))
DAYS = int(os.environ.get("RRR_BENCH_DAYS", "90"))
IS_FULL = os.environ.get("RRR_BENCH_FULL") == "1"


def main(only: list[str] | None, out: Path) -> None:
    """Measure the parts named, or all; print a table, and write the figures as JSON.

    Raises:
        SystemExit: a part is not known.
    """
    chosen = list(PARTS) if only is None else only
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        raise SystemExit(f"no such part: {', '.join(unknown)}. There are {', '.join(PARTS)}")
    figures: list[Figure] = []
    with ground.own_home():
        settings = {"when": datetime.now(UTC).isoformat(timespec="seconds"), "rows a file": ROWS, "pairs": PAIRS, **ground.settings()}
    for name in chosen:
        figures += PARTS[name](only is not None)
    print_figures(figures, settings)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"settings": settings, "figures": [figure.told() for figure in figures]}, indent=1) + "\n", "utf-8")


def _ingest(_: bool) -> list[Figure]:
    from rrr_assets_tests.bench import ingest

    with ground.own_home() as home:
        return ingest.measure(home, ROWS, PAIRS)


def _ingest_timescaledb(_: bool) -> list[Figure]:
    from rrr_assets_tests.bench import ingest

    with ground.own_timescale_home() as home:
        return [] if home is None else ingest.measure(home, ROWS, PAIRS, "timescaledb")


def _memory(is_asked_for: bool) -> list[Figure]:
    from rrr_assets_tests.bench import memory

    return memory.measure([2_000_000, 20_000_000] if is_asked_for or IS_FULL else [2_000_000])


def _graph(_: bool) -> list[Figure]:
    from rrr_assets_tests.bench import orchestration, ui

    with ground.own_home() as home:
        # The UI is asked on the instance that holds the backfill.
        return [*orchestration.measure(home, DAYS), *ui.measure()]


def _loading(_: bool) -> list[Figure]:
    from rrr_assets_tests.bench import loading

    return loading.measure(times=5)


def _bars(_: bool) -> list[Figure]:
    from rrr_assets_tests.bench import bars

    return bars.measure([ROWS, 5 * ROWS])


def _reading(_: bool) -> list[Figure]:
    from rrr_assets_tests.bench import reading

    with ground.own_home() as home:
        return reading.measure(home, ROWS)


def _checks(_: bool) -> list[Figure]:
    from rrr_assets_tests.bench import checks

    with ground.own_home() as home:
        return checks.measure(home, ROWS)


def _archive(is_asked_for: bool) -> list[Figure]:
    from rrr_assets.warehouse.connect import Database
    from rrr_assets_tests.bench import archive, cold

    figures: list[Figure] = []
    for trades in [ROWS, 5 * ROWS] if is_asked_for or IS_FULL else [ROWS]:
        with ground.own_home() as home:
            figures += archive.measure(home, trades)
    with ground.own_home() as home:
        figures += archive.measure_received(home, ROWS // 2)
    with ground.own_home():
        figures += cold.measure(Database.current())
    with ground.own_timescale_home() as timescale:
        return figures if timescale is None else [*figures, *archive.measure_warm(timescale, ROWS)]


def _lake(is_asked_for: bool) -> list[Figure]:
    from rrr_assets_tests.bench import lake

    return lake.measure(ROWS, PAIRS, 5_000_000 if is_asked_for or IS_FULL else None)


def _healing(_: bool) -> list[Figure]:
    from rrr_assets_tests.bench import healing

    with ground.own_home() as home:
        return healing.measure(home, ROWS // 10)


def _scale(is_asked_for: bool) -> list[Figure]:
    from rrr_assets_tests.bench import scale

    # It takes as long as all others together, and tens of gigabytes.
    return scale.measure(*scale.SIZE) if is_asked_for or IS_FULL else []


def _seasons(is_asked_for: bool) -> list[Figure]:
    from rrr_assets_tests.bench import seasons

    return seasons.measure() if is_asked_for or IS_FULL else seasons.measure(seasons.SEEDS[:1])


def _defects(is_asked_for: bool) -> list[Figure]:
    from rrr_assets_tests.bench import defects

    # Two times thirty days are a quarter of an hour.
    return defects.measure() if is_asked_for or IS_FULL else defects.measure(days=3, injections=100)


def _quality(_: bool) -> list[Figure]:
    from rrr_assets_tests.bench import quality

    with ground.own_home() as home:
        return quality.measure(home, ROWS)


def _online(_: bool) -> list[Figure]:
    from rrr_assets_tests.bench import online

    with ground.own_home():
        return online.measure()


PARTS: dict[str, Callable[[bool], list[Figure]]] = {
    "ingest": _ingest,
    "ingest_timescaledb": _ingest_timescaledb,
    "bars": _bars,
    "reading": _reading,
    "checks": _checks,
    "archive": _archive,
    "lake": _lake,
    "memory": _memory,
    "graph": _graph,
    "loading": _loading,
    "healing": _healing,
    "scale": _scale,
    "defects": _defects,
    "seasons": _seasons,
    "quality": _quality,
    "online": _online,
}
"""Each part by its name; told whether it was asked for by name."""
