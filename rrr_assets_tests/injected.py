"""Injected defects through the platform: take the files in, let quality look, read what the ledgers say of it.

Belongs here: what the benchmark and the test of it share. Does not: the verdict (simulator/truth).
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from rrr_assets.calc.quality_config import DEFAULTS
from rrr_assets.quality.checks_run import Look, run_parts
from rrr_assets.simulator import Simulation
from rrr_assets.simulator.truth import GAP, Absorbed, Reported
from rrr_assets.warehouse.declare import Declared, declare
from rrr_assets_tests.platform import Platform

INSTRUMENTS: Final = (
    "coinbase:BTCUSD",
    "coinbase:ETHUSD",
    "coinbase:SOLUSD",
    "coinbase:XRPUSD",
    "bybit:BTCUSDT",
    "bybit:ETHUSDT",
    "bybit:SOLUSDT",
    "binance:BTCUSDT",
    "binance:ETHUSDT",
    "gemini:ETHUSD",
)
"""Ids and quotes, quotes without ids, ids and candles, neither."""

_GAPS: Final = "select stream, instrument, from_time, to_time, first_missing, last_missing from gaps where state in ('open', 'healing')"
# One file is one finding of what it told twice, with its places; each place is held against the truth.
_FINDINGS: Final = (
    "select rule, severity, relation, instrument, coalesce((p.place ->> 'from')::timestamptz, from_time),"
    " coalesce((p.place ->> 'to')::timestamptz, to_time), day"
    " from findings left join lateral jsonb_array_elements(detail -> 'places') as p (place) on true where state = 'open'"
)
_ANOMALIES: Final = "select rule, relation, instrument, from_time, to_time from anomalies"
_STORED: Final = "select count(*) from raw_trades where instrument = %s and event_time >= %s and event_time < %s"
_QUARANTINED: Final = "select instrument, day, count(*) from quarantine where state = 'quarantined' group by 1, 2"


def take_in(platform: Platform, *simulations: Simulation, is_held_back: bool = False) -> None:
    """Take in the days' files, or those that were held back, a day at a time."""
    days: dict[tuple[date, str], list[Path]] = defaultdict(list)
    for file in (each for simulation in simulations for each in simulation.files):
        if file.is_held_back == is_held_back:
            days[file.day, file.format].append(file.path)
    for (_, form), paths in days.items():
        platform.take_in(paths, form)
    platform.refresh()


def expect(platform: Platform, *simulations: Simulation) -> None:
    """Declare that the instruments are listed on these days: that a file never came is known of what is expected."""
    for simulation in simulations:
        for instrument, days in simulation.trades.items():
            declare(platform.database, instrument, Declared(listed_on=min(days), delisted_on=max(days) + timedelta(days=1)))


def reports(platform: Platform) -> list[Reported]:
    """What the ledgers say is wrong now."""
    found = [
        Reported(GAP, True, stream, instrument, since, until, None, None if first is None else (first, last))
        for stream, instrument, since, until, first, last in platform.rows(_GAPS)
    ]
    found += [
        Reported(rule, severity == "page", relation, instrument, since, until, day)
        for rule, severity, relation, instrument, since, until, day in platform.rows(_FINDINGS)
    ]
    found += [Reported(rule, False, *place) for rule, *place in platform.rows(_ANOMALIES)]
    return found


def absorbed(platform: Platform, simulation: Simulation) -> dict[int, Absorbed]:
    """What is held of the injections after which as many rows are held as without them."""
    refused = {(instrument, day): count for instrument, day, count in platform.rows(_QUARANTINED)}
    held = {}
    for one in simulation.injections:
        if one.kind in {"duplicate", "bad-rows"}:
            [(stored,)] = platform.rows(_STORED, one.instrument, one.since, one.until)
            held[one.number] = Absorbed(stored, refused.get((one.instrument, one.day), 0))
    return held


def look(platform: Platform, days: Sequence[date]) -> None:
    """Look at the days as the daily run does."""
    report = run_parts(platform.database, Look(dict.fromkeys(days)), DEFAULTS)
    assert not report.errors, report.errors
