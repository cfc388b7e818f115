"""The asset baselines: what is usual of each instrument in each hour of the week, learned anew every week.

Belongs here: the asset, its job and schedule, its picture. Does not: the statistics (calc/quality_baselines), learning and scoring
(warehouse/quality_baselines). Scores are part of the runs of the checks.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from rrr_assets.contracts.quality import BASELINES
from rrr_assets.resources.reporting import DayReports, contract_metadata, failures_told
from rrr_assets.resources.warehouse import Warehouse

if TYPE_CHECKING:
    from rrr_assets.warehouse.connect import Database
    from rrr_assets.warehouse.quality_baselines import LearnedVersion

_SHOWN_DAYS: Final = 7


@dg.asset(
    group_name="quality",
    deps=["bars_5m", "raw_quotes"],
    kinds={"postgres"},
    owners=[BASELINES.owner],
    description=BASELINES.description,
    metadata=contract_metadata(BASELINES),
    code_version="1",
    pool="quality",
)
def baselines(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
    """Learn from the last eight weeks, as a new version, where the data is not what it was."""
    from rrr_assets.warehouse.quality_baselines import learn_baselines

    now = datetime.now(UTC)
    with failures_told(context, [], DayReports(context)):
        learned = learn_baselines(warehouse.database(), now, context.run.run_id)
        metadata = _metadata(warehouse.database(), learned, now)
    return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(learned.mark))


def _metadata(database: "Database", learned: "LearnedVersion", now: datetime) -> dict[str, Any]:
    import base64

    from rrr_assets.quality.baseline_chart import baseline_png
    from rrr_assets.warehouse.quality_baselines import busiest, read_anomalies, read_windows

    told: dict[str, Any] = {
        "dagster/row_count": learned.baselines,
        "version": learned.version or 0,
        "is_new": learned.is_new,
        "instruments": learned.instruments,
        "from_day": learned.from_day.isoformat(),
        "until_day": learned.until_day.isoformat(),
    }
    instrument = busiest(database)
    if instrument is None:
        return told
    since = now.replace(minute=0, second=0, microsecond=0) - timedelta(days=_SHOWN_DAYS)
    windows, usual = read_windows(database, instrument, since, now, now)
    if windows is None:
        return told
    picture = base64.b64encode(baseline_png(windows, usual, read_anomalies(database, instrument, since, now), small=True)).decode()
    return {**told, "picture": dg.MetadataValue.md(f"![what is usual of {instrument}, and what was](data:image/png;base64,{picture})")}


BASELINES_JOB: Final = dg.define_asset_job(
    "learn_baselines", dg.AssetSelection.assets(baselines), description="Learns what is usual of each hour of the week."
)
BASELINES_SCHEDULE: Final = dg.ScheduleDefinition(
    name="baselines",
    job=BASELINES_JOB,
    # After Sunday's upkeep, before the week begins in earnest.
    cron_schedule="50 0 * * 1",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Each Monday: what is usual of each hour of the week, learned from the last eight weeks.",
)
BASELINE_ASSETS: Final = [baselines]
BASELINE_JOBS: Final = [BASELINES_JOB]
BASELINE_SCHEDULES: Final = [BASELINES_SCHEDULE]
