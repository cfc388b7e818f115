"""The sensor of the invalidation log: what changed, however old, is refreshed, in bounded runs."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import dagster as dg

from rrr_assets.resources.partitions import contiguous, days_between, range_tags
from rrr_assets.resources.requests import ASKED_TAG, changed_only, days_under_way, held_back, no_room, run_key
from rrr_assets.resources.warehouse import Warehouse

_MOST_DAYS: Final = 31
_MOST_LOOKED_AT: Final = 366
"""More than are refreshed at a time: days that are held back or rest must not stand in the way of younger ones."""
_SOURCES: Final = ("raw_trades", "raw_agg_trades", "venue_bars")


def invalidation_sensor(job: Any) -> dg.SensorDefinition:
    """The sensor of the invalidation log; `job` refreshes bars and verdicts of the days it is given."""

    @dg.sensor(
        name="invalidation_log",
        job=job,
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Refreshes the bars and verdicts of days on which the invalidation log is ahead of them, a month of days at a time.",
    )
    def invalidation_log(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> Iterator[dg.RunRequest | dg.SkipReason]:
        from rrr_assets.warehouse.refresh import days_behind

        if full := no_room():
            yield full
            return
        behind = days_behind(warehouse.database(), _MOST_LOOKED_AT, settled_for=timedelta(seconds=30))
        under_way = days_under_way(context.instance)
        stopped: dict[date, list[str]] = {}
        ready: list[date] = []
        for day in behind:
            if assets := held_back(context.instance, _SOURCES, day):
                stopped[day] = assets
            elif day not in under_way:
                ready.append(day)
            if len(ready) == _MOST_DAYS:
                break
        requests = 0
        for first, last in contiguous(ready):
            marks = ["refresh_bars", *(f"{day}={behind[day]}" for day in days_between(first, last))]
            if (found := run_key(context.instance, marks)) is not None:
                key, asked = found
                tags = {**range_tags(first, last), ASKED_TAG: asked, "rrr/kind": "invalidation"}
                yield dg.RunRequest(run_key=key, tags=tags, run_config=changed_only())
                requests += 1
        if not requests:
            yield dg.SkipReason(_why_not(len(behind), stopped))

    return invalidation_log


def _why_not(behind: int, stopped: Mapping[date, Sequence[str]]) -> str:
    if not behind:
        return "Bars and verdicts are in step with the invalidation log."
    if not stopped:
        return f"{behind} days are behind the invalidation log; runs are under way for them, or rest after a failure."
    held = ", ".join(f"{day} ({' and '.join(assets)})" for day, assets in stopped.items())
    return f"{behind} days are behind the invalidation log. Held back by a broken integrity check: {held}. Mend it and materialise the day."
