"""Retention as assets: what is due is moved once a day, what leaves the hot tier is archived before, and a restore is drilled each week.

Belongs here: the assets, and when they run. Does not: what stands against a move and how it is made (lake/), how long tables are kept
(contracts), who may (resources/permission).
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import Field

from rrr_assets.contracts.archive import ARCHIVED_GROUPS
from rrr_assets.resources.lake import Lake
from rrr_assets.resources.partitions import contiguous, range_tags
from rrr_assets.resources.permission import NotPermitted, permitted
from rrr_assets.resources.reporting import QUALITY, failures_told_once
from rrr_assets.resources.requests import no_room
from rrr_assets.resources.warehouse import Warehouse

if TYPE_CHECKING:
    from rrr_assets.contracts.retention import Change
    from rrr_assets.lake.retiring import Due, Moved

_OWNER: Final = "team:market-data"
_SHOWN: Final = 50
_MOST_RUNS: Final = 24


class RetentionConfig(dg.Config):
    """What a run of retention does."""

    dry_run: bool = Field(default=False, description="Only say what is due and what stands against it.")
    today: str = Field(default="", description="The UTC day by which partitions are old or young; empty for today.")


class DrillConfig(dg.Config):
    """Which partition is brought back."""

    relation: str = Field(default="", description="A partition of this table; empty for any.")
    partition: str = Field(default="", description="The one that begins on this day; empty for any.")


@dg.asset(
    deps=list(ARCHIVED_GROUPS),
    group_name="archive",
    kinds={"postgres", "iceberg"},
    owners=[_OWNER],
    description=(
        "Partitions in the tier that their contract says: hot, warm, in the archive alone, deleted. What is not proven kept is not "
        "dropped; what RRR_ENVIRONMENT does not permit is only told."
    ),
    code_version="1",
    pool="archive",
    check_specs=[
        dg.AssetCheckSpec(QUALITY, asset="retention", description="Nothing stands against what is due, and all of it is permitted.")
    ],
)
def retention(context: dg.AssetExecutionContext, config: RetentionConfig, warehouse: Warehouse, lake: Lake) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
    """Make the moves that are due and permitted, and say what stands against the others."""
    database = warehouse.database()
    today = date.fromisoformat(config.today) if config.today else datetime.now(UTC).date()
    made: list[Moved] = []
    with failures_told_once(context):
        moves = lake.due(database, today)
        allowed, forbidden = ([], moves) if config.dry_run else _sorted_by_permission(moves)
        for moved in lake.retire(database, allowed, context.run.run_id):
            context.log.info(
                "%s %s of %s: %s", moved.move, moved.group, moved.partition, "; ".join(moved.refusals) or f"{moved.rows:,} rows"
            )
            made.append(moved)
        told = list(lake.judged(database, forbidden))
    refused = [(each.group, each.partition, each.move, "; ".join(each.refusals)) for each in made if each.refusals]
    waiting = [
        (each.group, each.partition, each.move, "; ".join(each.refusals) or "not made: no permission, or a dry run") for each in told
    ]
    done = [each for each in made if not each.refusals]
    metadata: dict[str, Any] = {
        "due": len(moves),
        "moved": len(done),
        "refused": len(refused),
        "only_told": len(waiting),
        "rows": sum(each.rows for each in done),
        "moves": dg.MetadataValue.md(_table([(e.group, e.partition, e.move, f"{e.rows:,} rows, {e.size_bytes:,} bytes") for e in done])),
        "not_moved": dg.MetadataValue.md(_table([*refused, *waiting])),
    }
    is_well = not refused and not waiting
    result = dg.AssetCheckResult(
        check_name=QUALITY,
        passed=is_well,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"refused": len(refused), "only told": len(waiting)},
    )
    return dg.MaterializeResult(metadata=metadata, check_results=[result])


@dg.asset(
    deps=list(ARCHIVED_GROUPS),
    group_name="archive",
    kinds={"postgres", "iceberg"},
    owners=[_OWNER],
    description="An archived partition, drawn by lot, brought back into the database beside its table and found equal to its proof.",
    code_version="1",
    pool="archive",
    check_specs=[dg.AssetCheckSpec(QUALITY, asset="restore_drill", description="What is in the archive comes back equal, value by value.")],
)
def restore_drill(context: dg.AssetExecutionContext, config: DrillConfig, warehouse: Warehouse, lake: Lake) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
    """Bring one partition back, and let it go again."""
    partition = date.fromisoformat(config.partition) if config.partition else None
    with failures_told_once(context):
        came = lake.drill(warehouse.database(), config.relation or None, partition, context.run.run_id)
    metadata: dict[str, Any] = {"partitions": len(came), "rows": sum(each.rows for each in came)}
    if came:
        metadata |= {"relation": came[0].relation, "partition": came[0].partition.isoformat(), "content": str(came[0].content)}
    told = dg.AssetCheckResult(check_name=QUALITY, passed=bool(came), severity=dg.AssetCheckSeverity.WARN, metadata=metadata)
    return dg.MaterializeResult(metadata=metadata, check_results=[told])


RETENTION_JOB: Final = dg.define_asset_job(
    "retire_partitions", dg.AssetSelection.assets(retention), description="Moves what is due by the contracts from tier to tier."
)
DRILL_JOB: Final = dg.define_asset_job(
    "drill_restore", dg.AssetSelection.assets(restore_drill), description="Brings a partition back from the archive, to prove that it can."
)
RETENTION_SCHEDULE: Final = dg.ScheduleDefinition(
    name="retention",
    job=RETENTION_JOB,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Once a day, after what leaves the hot tier was archived.",
)
DRILL_SCHEDULE: Final = dg.ScheduleDefinition(
    name="restore_drill",
    job=DRILL_JOB,
    cron_schedule="30 4 * * 0",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every Sunday.",
)


def archive_schedule(job: Any, grain: str) -> dg.ScheduleDefinition:
    """The schedule that archives what leaves the hot tier, and what changed since it was archived, with the job of one grain."""

    @dg.schedule(
        name=f"archive_{grain}s",
        job=job,
        cron_schedule="30 1 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Archives {grain}s that are older than the hot tier and are not in the archive as they are now.",
    )
    def archive(context: dg.ScheduleEvaluationContext, warehouse: Warehouse, lake: Lake) -> Iterator[dg.RunRequest | dg.SkipReason]:
        if full := no_room():
            yield full
            return
        today = context.scheduled_execution_time.astimezone(UTC).date()
        waiting = {partition for name, partition in lake.to_archive(warehouse.database(), today) if ARCHIVED_GROUPS[name].grain == grain}
        ranges = contiguous(waiting) if grain == "day" else [(month, month) for month in sorted(waiting)]
        for first, last in ranges[:_MOST_RUNS]:
            yield dg.RunRequest(run_key=f"{first} {last} {today}", tags={**range_tags(first, last), "rrr/kind": "archive"})
        if not waiting:
            yield dg.SkipReason("All that is older than the hot tier is in the archive as it is now.")

    return archive


def _sorted_by_permission(moves: "list[Due]") -> "tuple[list[Due], list[Due]]":
    """Moves that the environment permits, and the others."""
    from rrr_assets.lake.retiring import CHANGES

    allowed = {move for move, change in CHANGES.items() if _is_permitted(change)}
    return [each for each in moves if each.move in allowed], [each for each in moves if each.move not in allowed]


def _is_permitted(change: "Change") -> bool:
    try:
        permitted(change)
    except NotPermitted:
        return False
    return True


def _table(rows: list[tuple[Any, ...]]) -> str:
    if not rows:
        return "none"
    head = "| asset | partition | move | |\n|---|---|---|---|\n"
    shown = "\n".join("| " + " | ".join(str(value).replace("|", "/") for value in row) + " |" for row in rows[:_SHOWN])
    return head + shown + (f"\n\nand {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else "")
