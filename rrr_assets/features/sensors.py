"""The job that makes features, and the sensor that has it refresh what changed."""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from rrr_assets.contracts.features import FEATURES_1M, TICK_MINUTES
from rrr_assets.resources.log_sensor import log_sensor

if TYPE_CHECKING:
    from rrr_assets.warehouse.connect import Database

MADE: Final = (TICK_MINUTES.name, FEATURES_1M.name)
"""The assets of a run that makes features."""

FEATURES_JOB = dg.define_asset_job(
    "refresh_features",
    dg.AssetSelection.assets(*MADE),
    description="Features of the days, from the bars and ticks that are stored.",
)


def changed_only() -> dict[str, Any]:
    """Run config by which only what the invalidation log says has changed is made again."""
    return {"ops": {name: {"config": {"whole_days": False}} for name in MADE}}


def _days_behind(database: "Database", most: int, settled_for: timedelta) -> dict[date, int]:
    from rrr_assets.warehouse.features import days_behind

    return days_behind(database, most, settled_for)


FEATURES_SENSOR = log_sensor(
    "features_behind",
    FEATURES_JOB,
    "Features",
    "Refreshes the features of days on which the invalidation log is ahead of them, a month of days at a time.",
    ("raw_trades", "raw_agg_trades", "raw_quotes", "bars_1m"),
    "refresh_features",
    _days_behind,
    changed_only,
)
