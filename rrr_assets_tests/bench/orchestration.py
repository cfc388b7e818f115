"""Orchestration: what Dagster and the small statements around each day cost, where the days themselves are small.

One single-run backfill of the main job's assets in this process, on the platform's real instance. A second, shorter one runs
under the profiler, which tells the shares but slows everything down: its seconds are not reported.
"""

import cProfile
import pstats
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from rrr_assets import simulator
from rrr_assets.cli.runs import dagster_instance, materialize
from rrr_assets.ticks import landing
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.bench.figures import Figure
from rrr_assets_tests.bench.ground import timed

_FIRST_DAY = date(2024, 1, 1)
_TRADES_A_DAY = 300
_PROFILED_DAYS = 15
_SHARES = {
    "Dagster's events": ("dagster_postgres/event_log/event_log.py", ("store_event", "store_event_batch")),
    "our statements": ("psycopg/cursor.py", ("execute",)),
    "our logging in": ("psycopg/connection.py", ("connect",)),
}


def measure(home: Home, days: int) -> list[Figure]:
    """Seconds per asset and day of a backfill of small days."""
    chosen = [_FIRST_DAY + timedelta(days=number) for number in range(days + _PROFILED_DAYS)]
    _land(home, chosen)
    with dagster_instance() as instance:
        profile = cProfile.Profile()
        profile.enable()
        # Profiled first: what a process loads once is no part of the figure.
        _backfill(instance, chosen[days:])
        profile.disable()
        with timed() as spent:
            run_id, assets = _backfill(instance, chosen[:days])
        events = len(instance.all_logs(run_id))
    details = {
        "days": days,
        "assets": assets,
        "seconds": round(spent.wall, 1),
        "processor s per asset and day": round(spent.processor / days / assets, 4),
        "events per asset and day": round(events / days / assets, 2),
        **_shares(profile),
    }
    return [
        Figure("dagster_day", round(spent.wall / days / assets, 4), "s per asset and day", target=0.1, is_at_most=True, details=details)
    ]


def _land(home: Home, days: Sequence[date]) -> None:
    written = simulator.simulate(home.root / "bench-files", days, ["binance:BTCUSDT"], _TRADES_A_DAY * len(days), 7)
    with Database.current().connect(Role.WRITER, autocommit=True) as connection:
        for file in written.files:
            landing.accept(home, connection, Path(file.path), file.format, None, None)


def _backfill(instance: Any, days: Sequence[date]) -> tuple[str, int]:
    (told,) = materialize(instance, days, _untold)
    if told.failure is not None:
        raise RuntimeError(told.failure)
    return told.run_id, len(told.seconds)


def _untold(_asset: str, _done: int, _in_all: int) -> None:
    """Progress that nobody looks at."""


def _shares(profile: cProfile.Profile) -> dict[str, str]:
    """How much of the profiled time is spent below the functions of each kind."""
    stats = pstats.Stats(profile)
    shares = {}
    for kind, (place, names) in _SHARES.items():
        functions = stats.stats.items()  # type: ignore[attr-defined]  # documented, not typed
        spent = sum(times[3] for (file, _, name), times in functions if name in names and file.endswith(place))
        shares[kind] = f"{spent / stats.total_tt:.0%}"  # type: ignore[attr-defined]  # as above
    return shares
