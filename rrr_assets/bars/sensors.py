"""The sensor of the invalidation log: what changed, however old, is refreshed, in bounded runs."""

import hashlib
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

import dagster as dg

from rrr_assets.resources.partitions import contiguous, range_tags
from rrr_assets.resources.warehouse import Warehouse

_MOST_DAYS: Final = 31


def invalidation_sensor(job: Any) -> dg.SensorDefinition:
    """The sensor of the invalidation log; `job` refreshes bars and verdicts of the days it is given."""

    @dg.sensor(
        name="invalidation_log",
        job=job,
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Refreshes the bars and verdicts of days on which the invalidation log is ahead of them, at most a month of days a tick.",
    )
    def invalidation_log(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> Iterator[dg.RunRequest | dg.SkipReason]:
        from rrr_assets.warehouse.refresh import days_behind

        behind = days_behind(warehouse.database(), _MOST_DAYS, settled_for=timedelta(seconds=30))
        if not behind:
            yield dg.SkipReason("Bars and verdicts are in step with the invalidation log.")
        for first, last in contiguous(behind):
            mark = "|".join(f"{day}={behind[day]}" for day in _days(first, last))
            yield dg.RunRequest(
                run_key=hashlib.sha256(mark.encode()).hexdigest(),
                tags={**range_tags(first, last), "rrr/kind": "invalidation"},
                run_config={"ops": {name: {"config": {"whole_days": False}} for name in ("bars_1m", "bars_5m", "bars_1h", "bars_1d", "bar_conformance")}},
            )

    return invalidation_log


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
