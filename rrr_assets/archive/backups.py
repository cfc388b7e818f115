"""The assets of the database's backups: one that makes them, one that shows they can be restored; and what keeps the log coming.

Belongs here: assets, checks, schedules, the sensor. Does not: backups themselves (warehouse/backup.py, warehouse/backup_restore.py).
Where RRR_BACKUP_DIR is not set they say so and do nothing, which is no failure and no materialisation either.
"""

import os
from collections.abc import Iterator
from typing import Any, Final

import dagster as dg

from rrr_assets.calc.outcomes import RuleResult
from rrr_assets.resources.reporting import INTEGRITY, QUALITY, check_specs, failures_told_once
from rrr_assets.resources.requests import no_room
from rrr_assets.resources.warehouse import Warehouse

_NONE_MADE: Final = "No backups are made here: RRR_BACKUP_DIR is not set."
_NOT_OURS: Final = (
    "Nothing is drilled: of a server that is not ours no home can be made, and what it needs beside its data is not known here."
)
_COMMON: Final[dict[str, Any]] = {
    "group_name": "operations",
    "kinds": {"postgres"},
    "owners": ["team:data-engineering"],
    "code_version": "1",
    # No materialisation where nothing was done.
    "skippable": True,
}

Answer = Iterator[dg.MaterializeResult[Any]]


@dg.multi_asset(
    name="database_backup",
    specs=[
        dg.AssetSpec(
            "database_backup",
            description=(
                "A base backup of the database server, Dagster's database with it, in RRR_BACKUP_DIR. With the log that is received "
                "there at all times it can be restored to any moment of the last days. The landing zone and the archive are not in it."
            ),
            **_COMMON,
        )
    ],
    check_specs=check_specs(
        "database_backup",
        "The database can be restored from the folder: barman's checks, a base backup, and no hole in the log since.",
        "What is committed is on the disk of the backups within a minute: measured.",
    ),
    can_subset=True,
    pool="backup",
)
def database_backup(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Answer:
    """Make a base backup, forget the old ones, and check what there is."""
    if not os.environ.get("RRR_BACKUP_DIR"):
        context.log.info(_NONE_MADE)
        return
    from rrr_assets.warehouse.backup import Backups

    with failures_told_once(context):
        backups = Backups.current(warehouse.database())
        made = backups.make(context.log.info)
        results = backups.check(on_disk=True)
    metadata = {"backup_id": made.backup_id, "bytes": made.size_bytes, "folder": str(backups.folder)}
    yield _result("database_backup", metadata, results)


@dg.multi_asset(
    name="backup_drill",
    specs=[
        dg.AssetSpec(
            "backup_drill",
            deps=["database_backup"],
            description=(
                "The last backup and its log, restored into a folder beside the home, started there on a port of its own, held against the "
                "live database and removed."
            ),
            **_COMMON,
        )
    ],
    check_specs=check_specs(
        "backup_drill",
        "Every ledger that only grows has in the restored database as many rows, and the last number, that the live one had meanwhile.",
        "Everything that was committed before the drill was in the backup within a minute.",
    ),
    can_subset=True,
    pool="backup",
)
def backup_drill(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Answer:
    """Restore the backup, compare, tear down."""
    if not os.environ.get("RRR_BACKUP_DIR"):
        context.log.info(_NONE_MADE)
        return
    from rrr_assets.warehouse.backup_restore import drill

    database = warehouse.database()
    if not database.is_embedded:
        context.log.info(_NOT_OURS)
        return
    with failures_told_once(context):
        done, compared = drill(database, context.log.info)
    results = [
        RuleResult(
            f"{ledger.ledger}: restored as it was",
            is_blocking=True,
            broken=0 if ledger.is_same else 1,
            looked_at=1,
            examples=(f"before {ledger.before}, restored {ledger.restored}, after {ledger.after}",),
        )
        for ledger in compared
    ]
    results.append(RuleResult("what was committed before is in the backup", is_blocking=False, broken=0, looked_at=1))
    metadata = {
        "backup_id": done.backup.backup_id,
        "seconds": round(done.seconds, 1),
        "last_commit_at": done.last_commit_at.isoformat() if done.last_commit_at else "none since the backup",
        "ledgers": dg.MetadataValue.json({ledger.ledger: list(ledger.restored) for ledger in compared}),
    }
    yield _result("backup_drill", metadata, results)


def _result(asset: str, metadata: dict[str, Any], results: list[RuleResult]) -> dg.MaterializeResult[Any]:
    checks = []
    for name in (INTEGRITY, QUALITY):
        mine = [result for result in results if result.is_blocking == (name == INTEGRITY)]
        checks.append(
            dg.AssetCheckResult(
                check_name=name,
                passed=all(result.broken == 0 for result in mine),
                severity=dg.AssetCheckSeverity.ERROR if name == INTEGRITY else dg.AssetCheckSeverity.WARN,
                metadata={result.rule: "; ".join(("broken", *result.examples)) if result.broken else "kept" for result in mine},
            )
        )
    return dg.MaterializeResult(asset_key=asset, metadata=metadata, check_results=checks)


BACKUP_ASSETS: Final = [database_backup, backup_drill]
_BACKUP_JOB: Final = dg.define_asset_job(
    "back_up_database", dg.AssetSelection.assets("database_backup"), description="A base backup, and its checks."
)
_DRILL_JOB: Final = dg.define_asset_job(
    "drill_backup", dg.AssetSelection.assets("backup_drill"), description="The last backup, restored and compared."
)
BACKUP_JOBS: Final = [_BACKUP_JOB, _DRILL_JOB]


def _scheduled(name: str, job: Any, cron: str, description: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )
    def ask(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if not os.environ.get("RRR_BACKUP_DIR"):
            return dg.SkipReason(_NONE_MADE)
        if full := no_room():
            return full
        return dg.RunRequest(run_key=context.scheduled_execution_time.isoformat(), tags={"rrr/kind": "backup"})

    return ask


BACKUP_SCHEDULES: Final = [
    _scheduled("daily_backup", _BACKUP_JOB, "40 1 * * *", "A base backup a day, when yesterday is closed."),
    _scheduled("backup_drill", _DRILL_JOB, "40 3 * * 0", "Restores the backup each Sunday and compares it."),
]


@dg.sensor(
    name="backup_log",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    target=None,
    description="Starts the receiver of the server's log where it does not run, packs what it received, and forgets what is too old.",
)
def backup_log(warehouse: Warehouse) -> dg.SkipReason:
    """Ask for no run: it keeps the log coming, and fails where it does not come."""
    if not os.environ.get("RRR_BACKUP_DIR"):
        return dg.SkipReason(_NONE_MADE)
    from rrr_assets.warehouse.backup import Backups

    backups = Backups.current(warehouse.database())
    backups.keep_receiving()
    found = backups.reception()
    # The receiver goes on by itself behind a hole: nobody would hear of it before the night.
    if holes := backups.holes():
        told = f"the log is missing after {', '.join(holes)}: what came later cannot be restored. Make a base backup: `rrr backup make`"
        raise dg.Failure(told, allow_retries=False)
    state = "receiving" if found.is_receiving else "starting"
    return dg.SkipReason(f"The receiver of the log is {state}; {(found.kept_back_bytes or 0) / 1e6:,.0f} MB of log wait for it.")
