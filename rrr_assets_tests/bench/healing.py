"""Healing: how long a gap stays open, from the load that leaves it to the load that closes it, with the real daemon and its intervals."""

from datetime import date
from pathlib import Path

from rrr_assets.resources.dagster_home import prepare_dagster_home
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.bench.figures import Figure, median, spread
from rrr_assets_tests.daemon import healed_by_daemon

_DAYS = (date(2024, 3, 4), date(2024, 3, 11), date(2024, 3, 18))


def measure(home: Home, trades: int) -> list[Figure]:
    """Seconds from detection to healed, against a server of this machine that has the day whole."""
    prepare_dagster_home(home)
    done = [healed_by_daemon(home, Path(home.root) / "bench-files" / str(day), day, trades) for day in _DAYS]
    details = {
        "trades of the day": trades,
        "single": spread([each.seconds for each in done]),
        "of them until the load's own run has ended": spread([each.ended_seconds for each in done]),
        "until the sensor has asked for a run": spread([each.asked_seconds for each in done]),
        "until that has begun": spread([each.begun_seconds for each in done]),
        "until bars are whole too": spread([each.to_bars_seconds for each in done]),
    }
    figures = [each.seconds for each in done]
    return [
        Figure("healing", max(figures), "s, the slowest of 3", target=60, is_at_most=True, details=details),
        Figure("healing_median", median(figures), "s"),
    ]
