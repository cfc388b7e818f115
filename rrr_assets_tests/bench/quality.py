"""The run of the checks of every five minutes, with a hundred instruments: nothing new, five minutes' rows of each, everything new.

Belongs here: the seconds of its steps. Does not: starting a run of Dagster (orchestration), how well defects are found (defects).
"""

import os
from datetime import UTC, date, datetime, timedelta
from typing import Final

from rrr_assets.calc.quality_config import DEFAULTS
from rrr_assets.quality import checks_run
from rrr_assets.simulator import simulate
from rrr_assets.warehouse.books import log_invalidations
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets_tests import injected
from rrr_assets_tests.bench.figures import Figure, median, spread
from rrr_assets_tests.bench.ground import Spent, timed
from rrr_assets_tests.platform import Platform

DAYS: Final = (date(2025, 3, 3), date(2025, 3, 4))
INSTRUMENTS: Final = tuple(f"{venue}:S{n:02}{quote}" for venue, quote in (("coinbase", "USD"), ("bybit", "USDT")) for n in range(50))
"""With ids and without; both with quotes and with the time of receiving."""

_TIMES: Final = 3
_RELATIONS: Final = ("raw_trades", "raw_quotes", "bars_1m")
_SHOWN: Final = 8


def measure(home: Home, rows: int) -> list[Figure]:
    """So many trades and more quotes on two days, looked at once; then what was changed is looked at again."""
    platform = Platform(Database.current(), home)
    simulation = simulate(home.root / "bench-files", DAYS, INSTRUMENTS, rows, 7, quotes=True)
    injected.take_in(platform, simulation)
    held = platform.rows("select (select count(*) from raw_trades), (select count(*) from raw_quotes)")[0]
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("vacuum analyze")
    midnight = datetime(DAYS[-1].year, DAYS[-1].month, DAYS[-1].day, tzinfo=UTC)
    last = midnight + timedelta(hours=23, minutes=55)
    told = {"instruments": len(INSTRUMENTS), "trades": held[0], "quotes": held[1]}
    first, _ = _run(platform)
    figures = [Figure("quality, first look at all", round(first.wall, 2), "s", details=told)]
    for name, windows, target in (
        ("nothing changed", [], None),
        ("five minutes of each instrument", [(last, last + timedelta(minutes=5))], 10),
        ("everything changed", [(midnight + n * timedelta(days=1), midnight + (n + 1) * timedelta(days=1)) for n in (-1, 0)], None),
    ):
        taken = []
        for _ in range(_TIMES):
            _change(platform, windows)
            taken.append(_run(platform))
        walls = [spent.wall for spent, _ in taken]
        seconds = min(taken, key=lambda each: each[0].wall)[1]
        largest = dict(sorted(seconds.items(), key=lambda item: -item[1])[:_SHOWN])
        details = {
            "each": spread(walls), "processor s": spread([spent.processor for spent, _ in taken]),
            "load": round(os.getloadavg()[0], 1), **{check: round(took, 2) for check, took in largest.items()},
        }  # fmt: skip
        figures.append(Figure(f"quality, {name}", round(median(walls), 2), "s", target, is_at_most=True, details=details))
    return figures


def _change(platform: Platform, windows: list[tuple[datetime, datetime]]) -> None:
    """What a load, and the bars after it, leave in the log: rows of these times are new, of every instrument."""
    with platform.database.kept(Role.WRITER) as connection:
        for relation in _RELATIONS:
            log_invalidations(
                connection, relation, [(name, since.date(), since, until) for name in INSTRUMENTS for since, until in windows], "load", None
            )
    platform.refresh()


def _run(platform: Platform) -> tuple[Spent, dict[str, float]]:
    with timed() as spent:
        number = checks_run.begin(platform.database, checks_run.RECENT, None)
        look = checks_run.changed(platform.database, checks_run.RECENT)
        report = checks_run.run_parts(platform.database, look, DEFAULTS)
        checks_run.end(platform.database, number, look, report)
    if report.errors:
        raise RuntimeError(f"checks broke down: {report.errors}")
    return spent, report.seconds
