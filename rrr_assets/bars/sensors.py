"""The sensor of the invalidation log: what changed, however old, is refreshed, in bounded runs."""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from rrr_assets.resources.log_sensor import log_sensor
from rrr_assets.resources.requests import changed_only

if TYPE_CHECKING:
    from rrr_assets.warehouse.connect import Database


def invalidation_sensor(job: Any) -> dg.SensorDefinition:
    """The sensor of the invalidation log; `job` refreshes bars and verdicts of the days it is given."""
    return log_sensor(
        "invalidation_log",
        job,
        "Bars and verdicts",
        "Refreshes the bars and verdicts of days on which the invalidation log is ahead of them, a month of days at a time.",
        ("raw_trades", "raw_agg_trades", "venue_bars"),
        "refresh_bars",
        _days_behind,
        changed_only,
    )


def _days_behind(database: "Database", most: int, settled_for: timedelta) -> dict[date, int]:
    from rrr_assets.warehouse.refresh import days_behind

    return days_behind(database, most, settled_for)
