"""The daily close: a day that has ended is made whole."""

from datetime import UTC, timedelta
from typing import Any

import dagster as dg

from rrr_assets.resources.requests import no_room


def daily_close(job: Any) -> dg.ScheduleDefinition:
    """The schedule that closes yesterday with `job`.

    Dagster's own schedule of a partitioned job takes the latest partition, which is not the day that ended:
    there are partitions for today and tomorrow.
    """

    @dg.schedule(
        name="daily_close",
        job=job,
        cron_schedule="15 0 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Closes yesterday: takes in what landed of it, and makes its bars and verdicts whole.",
    )
    def close_yesterday(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if full := no_room():
            return full
        day = (context.scheduled_execution_time.astimezone(UTC) - timedelta(days=1)).date().isoformat()
        return dg.RunRequest(run_key=day, partition_key=day, tags={"rrr/kind": "daily close"})

    return close_yesterday
