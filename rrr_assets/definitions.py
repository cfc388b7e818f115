"""The platform as Dagster loads it: assembles, nothing else.

`build_defs` serves production and tests alike; a test overrides resources by name.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from rrr_assets.archive.assets import ARCHIVED_ASSETS
from rrr_assets.archive.backups import BACKUP_ASSETS, BACKUP_JOBS, BACKUP_SCHEDULES, backup_log
from rrr_assets.archive.cost_assets import COST_JOB, COST_SCHEDULE, cost_report
from rrr_assets.archive.retention import (
    DRILL_JOB,
    DRILL_SCHEDULE,
    RETENTION_JOB,
    RETENTION_SCHEDULE,
    archive_schedule,
    restore_drill,
    retention,
)
from rrr_assets.archive.upkeep import UPKEEP_ASSETS, UPKEEP_JOBS, UPKEEP_SCHEDULES
from rrr_assets.bars.assets import bars_asset
from rrr_assets.bars.information import information_bars_asset
from rrr_assets.bars.sensors import invalidation_sensor
from rrr_assets.contracts.archive import ARCHIVED_GROUPS
from rrr_assets.contracts.bars import BARS
from rrr_assets.contracts.information_bars import INFORMATION_BARS
from rrr_assets.features.assets import FEATURE_ASSETS
from rrr_assets.features.online_assets import ONLINE_ASSETS, ONLINE_JOBS, ONLINE_SENSORS
from rrr_assets.features.sensors import FEATURES_JOB, FEATURES_SENSOR
from rrr_assets.quality.alerting import ALERTING_SENSORS
from rrr_assets.quality.assets import bar_conformance
from rrr_assets.quality.baselines import BASELINE_ASSETS, BASELINE_JOBS, BASELINE_SCHEDULES
from rrr_assets.quality.check_assets import QUALITY_CHECK_ASSETS, QUALITY_CHECK_JOBS, QUALITY_CHECK_SCHEDULES
from rrr_assets.quality.checks import CONTRACT_CHECKS, VALIDATION_ASSETS, VALIDATION_JOBS, VALIDATION_SCHEDULES
from rrr_assets.quality.live import LIVE_BARS_CHECKS, LIVE_BARS_JOB, LIVE_BARS_SCHEDULE
from rrr_assets.quality.report_asset import QUALITY_REPORT_ASSETS, QUALITY_REPORT_JOBS, QUALITY_REPORT_SCHEDULES
from rrr_assets.resources.lake import Lake
from rrr_assets.resources.warehouse import Warehouse
from rrr_assets.ticks.assets import landing_files, raw_agg_trades, raw_depth, raw_quotes, raw_trades, venue_bars
from rrr_assets.ticks.healing_assets import HEALING_ASSETS, HEALING_JOBS, HEALING_SENSORS
from rrr_assets.ticks.schedules import daily_close
from rrr_assets.ticks.sensors import accept_landing_files, landing_sensor


def build_defs(overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The whole graph, with some resources replaced."""
    ticks = [raw_trades, raw_agg_trades, raw_quotes, raw_depth, venue_bars]
    bars = [*(bars_asset(interval) for interval in BARS), *(information_bars_asset(kind) for kind in INFORMATION_BARS)]
    # They look over the hot window once an hour, or over everything once a day: not with every day of a run.
    live = dg.AssetSelection.checks(*LIVE_BARS_CHECKS, *CONTRACT_CHECKS)
    main_job = dg.define_asset_job(
        "venues_to_bars",
        dg.AssetSelection.assets(*ticks, *bars, bar_conformance) - live,
        description="The main job: landed files of the days become trades, bars at four intervals, and verdicts.",
    )
    refresh_job = dg.define_asset_job(
        "refresh_bars",
        dg.AssetSelection.assets(*bars, bar_conformance) - live,
        description="Bars and verdicts of the days, from the trades that are stored.",
    )
    archive_jobs = [
        dg.define_asset_job(
            f"archive_{grain}s",
            dg.AssetSelection.assets(*(group.name for group in ARCHIVED_GROUPS.values() if group.grain == grain)),
            description=f"What the database holds of some {grain}s, into the archive, and proven there.",
        )
        for grain in ("day", "month")
    ]
    archive_schedules = [archive_schedule(job, grain) for job, grain in zip(archive_jobs, ("day", "month"), strict=True)]
    return dg.Definitions(
        assets=[
            landing_files,
            *HEALING_ASSETS,
            *ticks,
            *bars,
            bar_conformance,
            *FEATURE_ASSETS,
            *ONLINE_ASSETS,
            *ARCHIVED_ASSETS,
            *UPKEEP_ASSETS,
            retention,
            restore_drill,
            cost_report,
            *BACKUP_ASSETS,
            *QUALITY_REPORT_ASSETS,
            *BASELINE_ASSETS,
            *VALIDATION_ASSETS,
            *QUALITY_CHECK_ASSETS,
        ],
        asset_checks=[*LIVE_BARS_CHECKS, *CONTRACT_CHECKS],
        jobs=[
            main_job,
            refresh_job,
            FEATURES_JOB,
            *ONLINE_JOBS,
            *archive_jobs,
            *UPKEEP_JOBS,
            accept_landing_files,
            LIVE_BARS_JOB,
            RETENTION_JOB,
            DRILL_JOB,
            COST_JOB,
            *BACKUP_JOBS,
            *QUALITY_REPORT_JOBS,
            *BASELINE_JOBS,
            *HEALING_JOBS,
            *VALIDATION_JOBS,
            *QUALITY_CHECK_JOBS,
        ],
        schedules=[
            daily_close(main_job),
            LIVE_BARS_SCHEDULE,
            *archive_schedules,
            *UPKEEP_SCHEDULES,
            RETENTION_SCHEDULE,
            DRILL_SCHEDULE,
            COST_SCHEDULE,
            *BACKUP_SCHEDULES,
            *QUALITY_REPORT_SCHEDULES,
            *BASELINE_SCHEDULES,
            *VALIDATION_SCHEDULES,
            *QUALITY_CHECK_SCHEDULES,
        ],
        sensors=[
            landing_sensor(main_job),
            invalidation_sensor(refresh_job),
            FEATURES_SENSOR,
            *ONLINE_SENSORS,
            backup_log,
            *HEALING_SENSORS,
            *ALERTING_SENSORS,
        ],
        resources={"warehouse": Warehouse(), "lake": Lake(), **(overrides or {})},
        # The work is vectorised and inside engines: a process per step would cost seconds and gain nothing.
        executor=dg.in_process_executor,
    )


defs = build_defs()
