"""The checks of the live bars: they equal the bars tables, but for what changed too lately.

Belongs here: the asset checks, their job and schedule. Does not: the comparison (warehouse/live.py).
"""

from typing import Final

import dagster as dg

from rrr_assets.contracts.bars import BARS
from rrr_assets.resources.warehouse import Warehouse

CHECK: Final = "live_bars"


def live_bars_check(interval: str) -> dg.AssetChecksDefinition:
    """The check of one interval's live bars, on the asset of the bars that they must equal."""

    @dg.asset_check(
        asset=f"bars_{interval}",
        name=CHECK,
        description=(
            f"bars_live_{interval} equals bars_{interval}: the closed bars of the hot window, but for those whose trades changed lately."
        ),
    )
    def live_bars(warehouse: Warehouse) -> dg.AssetCheckResult:
        from rrr_assets.warehouse.live import check_live_bars

        results = check_live_bars(warehouse.database(), interval)
        told = {
            result.rule: f"broken by {result.broken} of {result.looked_at}: {'; '.join(result.examples)}"
            if result.broken
            else f"kept by all {result.looked_at}"
            for result in results
        }
        passed = all(result.broken == 0 for result in results)
        return dg.AssetCheckResult(passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata=told)

    return live_bars


LIVE_BARS_CHECKS: Final = [live_bars_check(interval) for interval in BARS]
LIVE_BARS_JOB: Final = dg.define_asset_job(
    "check_live_bars", dg.AssetSelection.checks(*LIVE_BARS_CHECKS), description="Holds the live bars against the bars tables."
)
LIVE_BARS_SCHEDULE: Final = dg.ScheduleDefinition(
    name="live_bars", job=LIVE_BARS_JOB, cron_schedule="20 * * * *", default_status=dg.DefaultScheduleStatus.RUNNING
)
