"""The archive's upkeep as assets: compaction, expiry, clean-up, and the weekly reading back of every file; with their schedules.

Belongs here: when each runs, and what it tells. Does not: what may go and what must stay (lake/).
Where the environment does not permit upkeep, each says what it would do and changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import Field

from rrr_assets.calc.outcomes import RuleResult
from rrr_assets.contracts.archive import ARCHIVED, ARCHIVED_GROUPS
from rrr_assets.contracts.upkeep import KEEP_DAYS, SAFE_HOURS, SCRUB_DAYS
from rrr_assets.resources.lake import Lake
from rrr_assets.resources.permission import environment, is_permitted
from rrr_assets.resources.reporting import DayReports, check_results, check_specs, failures_told
from rrr_assets.resources.warehouse import Warehouse

if TYPE_CHECKING:
    from rrr_assets.lake.scrub import Finding

_OWNER: Final = next(iter(ARCHIVED_GROUPS.values())).owner
_SHOWN: Final = 200
_TOLD_EVERY: Final = 20
_GIGABYTE: Final = 1_000_000_000


class ExpiryConfig(dg.Config):
    """How long what was superseded stays readable."""

    keep_days: int = Field(KEEP_DAYS, ge=0, description="Days that a proof's files stay after another proof took its place.")


class OrphansConfig(dg.Config):
    """How old a file must be."""

    safe_hours: int = Field(SAFE_HOURS, ge=1, description="Younger files are left: a writer may be at them.")


class ScrubConfig(dg.Config):
    """How much is read back."""

    every_days: int = Field(SCRUB_DAYS, ge=0, description="What was read back or written within so many days is not due.")
    values: bool = Field(True, description="Whether values are read too where the bytes are as they were proven.")
    budget_gb: int = Field(2000, ge=1, description="Where a run stops, in gigabytes; the next one goes on.")


def _upkeep(kinds: set[str], description: str, checks: list[dg.AssetCheckSpec]) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """What the four have in common."""
    return dg.asset(
        group_name="archive",
        deps=list(ARCHIVED_GROUPS),
        owners=[_OWNER],
        tags={"tier": "cold"},
        code_version="1",
        pool="archive_upkeep",
        kinds=kinds,
        description=description,
        check_specs=checks,
    )


@_upkeep(
    kinds={"iceberg"},
    description="Partitions of several files, or of small row groups, rewritten into one sorted file that is proven to hold the same.",
    checks=check_specs(
        "archive_compaction",
        "What was rewritten was read back and holds the values that were proven.",
        "No partition is left in small files.",
    ),
)
def archive_compaction(context: dg.AssetExecutionContext, warehouse: Warehouse, lake: Lake) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
    apply = is_permitted("maintain")
    with failures_told(context, [], DayReports(context)):
        done = list(lake.compact(warehouse.database(), ARCHIVED.values(), apply=apply, run_id=context.run.run_id))
    rules = [
        RuleResult("rewritten and equal, value by value", is_blocking=True, broken=0, looked_at=len(done) if apply else 0),
        RuleResult("no partition is left in small files", is_blocking=False, broken=0 if apply else len(done), looked_at=len(done)),
    ]
    told = {
        "partitions": len(done),
        "files_before": sum(each.files_before for each in done),
        "bytes_before": sum(each.size_before for each in done),
        "bytes_after": sum(each.size_after or 0 for each in done),
    }
    return _result(told, done, rules, apply=apply)


@_upkeep(
    kinds={"iceberg"},
    description="Snapshots that another took the place of long ago, forgotten; those of last proofs and under a hold stay.",
    checks=[check_specs("archive_expiry", "", "Every proof that is kept has its snapshot in the catalogue.")[1]],
)
def archive_expiry(context: dg.AssetExecutionContext, config: ExpiryConfig, warehouse: Warehouse, lake: Lake) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
    apply = is_permitted("maintain")
    with failures_told(context, [], DayReports(context)):
        found = lake.expire(warehouse.database(), ARCHIVED.values(), keep_days=config.keep_days, apply=apply, run_id=context.run.run_id)
        done = list(found)
    lost, kept = sum(each.snapshots_lost for each in done), sum(each.snapshots_kept for each in done)
    rules = [RuleResult("every proof that is kept has its snapshot", is_blocking=False, broken=lost, looked_at=lost + kept)]
    told = {
        "proofs": sum(each.proofs for each in done),
        "snapshots": sum(each.snapshots for each in done),
        "bytes": sum(each.size_bytes for each in done),
        "proofs_held": sum(each.held for each in done),
    }
    return _result(told, done, rules, apply=apply)


@_upkeep(
    kinds={"parquet"},
    description="Files that no proof and no snapshot names any more, and uploads that were not ended, removed from the store.",
    checks=[check_specs("archive_orphans", "Every file that a last proof names is in the store.", "")[0]],
)
def archive_orphans(context: dg.AssetExecutionContext, config: OrphansConfig, warehouse: Warehouse, lake: Lake) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
    apply = is_permitted("maintain")
    with failures_told(context, [], DayReports(context)):
        found = lake.clean(warehouse.database(), ARCHIVED.values(), safe_hours=config.safe_hours, apply=apply, run_id=context.run.run_id)
        done = list(found)
    missing = [url for each in done for url in each.missing]
    looked_at = sum(each.kept for each in done) + len(missing)
    rules = [RuleResult("every file that a last proof names is there", True, len(missing), looked_at, tuple(missing[:5]))]
    told = {
        "files": sum(each.files for each in done),
        "bytes": sum(each.size_bytes for each in done),
        "uploads": sum(each.uploads for each in done),
        "too_young": sum(each.too_young for each in done),
    }
    return _result(told, done, rules, apply=apply)


@_upkeep(
    kinds={"iceberg", "parquet"},
    description="Every file that a last proof names, read back whole each week: its bytes, its values, and what the catalogue names.",
    checks=check_specs(
        "archive_scrub",
        "Every file that was read back is as it was proven, byte by byte and value by value, and the catalogue names it.",
        "No partition was left for another run.",
    ),
)
def archive_scrub(context: dg.AssetExecutionContext, config: ScrubConfig, warehouse: Warehouse, lake: Lake) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
    from rrr_assets.lake.scrub import plan

    apply = is_permitted("maintain")
    findings: list[Finding] = []
    partitions = read = 0
    with failures_told(context, [], DayReports(context)):
        database = warehouse.database()
        budget = config.budget_gb * _GIGABYTE
        planned = plan(database, ARCHIVED.values(), every_days=config.every_days, budget_bytes=budget)
        for each in lake.scrub(database, planned, apply=apply, values=config.values, run_id=context.run.run_id):
            findings += each.findings
            for finding in each.findings:
                context.log.error(finding.told)
            if each.partition is None:
                continue
            partitions, read = partitions + 1, read + each.size_bytes
            if partitions % _TOLD_EVERY == 0:
                context.log.info("%d of %d partitions, %d of %d bytes", partitions, len(planned.due), read, planned.size_bytes)
    told = {
        "partitions": partitions,
        "bytes": read,
        "findings": len(findings),
        "mended": sum(finding.mended is not None for finding in findings),
        "left_partitions": planned.left,
        "left_bytes": planned.left_bytes,
        "archive_bytes": planned.archive_bytes,
    }
    examples = tuple(finding.told for finding in findings[:5])
    rules = [
        RuleResult("as it was proven", True, len(findings), max(partitions, len(findings)), examples),
        RuleResult("read back within the week", False, planned.left, planned.left + partitions),
    ]
    return _result(told, findings, rules, apply=apply)


def _result(told: dict[str, Any], rows: Sequence[Any], rules: Sequence[RuleResult], *, apply: bool) -> dg.MaterializeResult[Any]:
    shown = [{name: value if isinstance(value, int) else str(value) for name, value in asdict(row).items()} for row in rows[:_SHOWN]]
    metadata = {**told, "is_dry_run": not apply, "environment": environment() or "none", "rows": dg.MetadataValue.json(shown)}
    return dg.MaterializeResult(metadata=metadata, check_results=check_results(rules))


UPKEEP_ASSETS: Final = [archive_compaction, archive_expiry, archive_orphans, archive_scrub]

# Of a Sunday, one after the other: what was compacted expires some weeks later, what expired is removed an hour later.
_WHEN: Final = {
    "archive_compaction": ("compact_archive", "10 3 * * 0", "Makes small files large."),
    "archive_expiry": ("expire_archive", "10 4 * * 0", "Lets old snapshots expire."),
    "archive_orphans": ("clean_archive", "10 5 * * 0", "Removes files that nothing names."),
    # Daily, for what was not read back for a week: so that a large archive is read over the week, a bounded part a day.
    "archive_scrub": ("scrub_archive", "40 1 * * *", "Reads back what was not read back for a week."),
}

UPKEEP_JOBS: Final = [
    dg.define_asset_job(job, dg.AssetSelection.assets(asset), description=does) for asset, (job, _, does) in _WHEN.items()
]

UPKEEP_SCHEDULES: Final = [
    dg.ScheduleDefinition(
        name=asset,
        job=job,
        cron_schedule=_WHEN[asset][1],
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=_WHEN[asset][2],
    )
    for asset, job in zip(_WHEN, UPKEEP_JOBS, strict=True)
]
