"""A sensor of the invalidation log: what lags behind it, however old, is refreshed, in bounded runs.

Belongs here: asking for runs of days that lag, once, with rests after failures. Does not: what follows the log (the stations).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from rrr_assets.resources.partitions import contiguous, days_between, range_tags
from rrr_assets.resources.requests import ASKED_TAG, days_under_way, held_back, no_room, run_key
from rrr_assets.resources.warehouse import Warehouse

if TYPE_CHECKING:
    from rrr_assets.warehouse.connect import Database

_MOST_DAYS: Final = 31
_MOST_LOOKED_AT: Final = 366
"""More than are refreshed at a time: days that are held back or rest must not stand in the way of younger ones."""


def log_sensor(
    name: str, job: Any, what: str, description: str, sources: Sequence[str], mark: str,
    days_behind: "Callable[[Database, int, timedelta], dict[date, int]]", run_config: Callable[[], Mapping[str, Any]],
) -> dg.SensorDefinition:  # fmt: skip
    """A sensor that has a job refresh the days that lag behind the log.

    Args:
        name: of the sensor.
        job: refreshes the days that it is given.
        what: is refreshed, as a sentence begins with it: 'Bars and verdicts'.
        description: of the sensor.
        sources: assets whose broken integrity check holds a day back.
        mark: stands in the keys of its runs.
        days_behind: the days that lag, with the last entry of the log; at most so many, and unchanged since so long.
        run_config: of its runs.
    """

    @dg.sensor(
        name=name, job=job, minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING, description=description,
    )  # fmt: skip
    def sensor(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> Iterator[dg.RunRequest | dg.SkipReason]:
        if full := no_room():
            yield full
            return
        behind = days_behind(warehouse.database(), _MOST_LOOKED_AT, timedelta(seconds=30))
        under_way = days_under_way(context.instance)
        stopped: dict[date, list[str]] = {}
        ready: list[date] = []
        for day in behind:
            if assets := held_back(context.instance, sources, day):
                stopped[day] = assets
            elif day not in under_way:
                ready.append(day)
            if len(ready) == _MOST_DAYS:
                break
        requests = 0
        for first, last in contiguous(ready):
            marks = [mark, *(f"{day}={behind[day]}" for day in days_between(first, last))]
            if (found := run_key(context.instance, marks)) is not None:
                key, asked = found
                tags = {**range_tags(first, last), ASKED_TAG: asked, "rrr/kind": "invalidation"}
                yield dg.RunRequest(run_key=key, tags=tags, run_config=dict(run_config()))
                requests += 1
        if not requests:
            yield dg.SkipReason(_why_not(what, len(behind), stopped))

    return sensor


def _why_not(what: str, behind: int, stopped: Mapping[date, Sequence[str]]) -> str:
    if not behind:
        return f"{what} are in step with the invalidation log."
    if not stopped:
        return f"{behind} days are behind the invalidation log; runs are under way for them, or rest after a failure."
    held = ", ".join(f"{day} ({' and '.join(assets)})" for day, assets in stopped.items())
    return f"{behind} days are behind the invalidation log. Held back by a broken integrity check: {held}. Mend it and materialise the day."
