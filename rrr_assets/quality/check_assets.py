"""The runs of the checks as assets: every five minutes what changed lately, daily everything that changed.

Belongs here: when they run, and what they tell. Does not: what is checked, and in which order (checks_run.py).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from rrr_assets.contracts.quality import FINDINGS
from rrr_assets.resources.quality_settings import quality_settings
from rrr_assets.resources.reporting import failures_told_once
from rrr_assets.resources.warehouse import Warehouse

if TYPE_CHECKING:
    from rrr_assets.quality.checks_run import Look, Report

FINDINGS_CHECK: Final = "findings"
ANOMALIES_CHECK: Final = "anomalies"
_KINDS: Final = {
    "recent": (
        "What changed in the last minutes, looked at by every rule and detector: findings and anomalies of these days.",
        "*/5 * * * *",
    ),
    "daily": ("Every day that changed, and yesterday, looked at by the full set of rules and detectors.", "30 2 * * *"),
}


def quality_asset(kind: str) -> dg.AssetsDefinition:
    """The asset of one kind of run, `recent` or `daily`."""
    name = f"quality_{kind}"

    @dg.asset(
        name=name,
        group_name="quality",
        deps=["bar_conformance", "raw_quotes", "raw_agg_trades", "raw_depth"],
        kinds={"postgres", "sql"},
        owners=[FINDINGS.owner],
        code_version="1",
        pool="quality",
        description=_KINDS[kind][0],
        check_specs=[
            dg.AssetCheckSpec(FINDINGS_CHECK, asset=name, description="No finding that pages is open of the days that were looked at."),
            dg.AssetCheckSpec(ANOMALIES_CHECK, asset=name, description="Nothing unlikely was found on the days that were looked at."),
        ],
    )
    def quality_run(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
        from rrr_assets.quality import checks_run

        with failures_told_once(context):
            database = warehouse.database()
            number = checks_run.begin(database, kind, context.run.run_id)
            look = checks_run.changed(database, kind)
            report = checks_run.run_parts(database, look, quality_settings(), context.run.run_id)
            checks_run.end(database, number, look, report)
            still_open = checks_run.open_findings(database, list(look.days))
        metadata = _told(look, report)
        if report.errors:
            broken = "; ".join(f"{check}: {why}" for check, why in sorted(report.errors.items()))
            raise dg.Failure(f"checks broke down, which says nothing about the data: {broken}", metadata=metadata, allow_retries=False)
        return dg.MaterializeResult(metadata=metadata, check_results=_results(report, still_open))

    return quality_run


def _results(report: "Report", still_open: dict[str, int]) -> list[dg.AssetCheckResult]:
    from rrr_assets.warehouse.quality_findings import ANOMALY_RULES

    unlikely = {rule: report.rules[rule] for rule in ANOMALY_RULES if report.rules.get(rule)}
    paging, warning = still_open.get("page", 0), still_open.get("warn", 0)
    return [
        dg.AssetCheckResult(
            check_name=FINDINGS_CHECK,
            passed=paging == 0,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"open_that_page": paging, "open_that_warn": warning},
        ),
        dg.AssetCheckResult(
            check_name=ANOMALIES_CHECK,
            passed=not unlikely,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"anomalies": sum(unlikely.values()), **unlikely},
        ),
    ]


def _told(look: "Look", report: "Report") -> dict[str, Any]:
    broken = [dg.TableRecord({"rule": rule, "broken_by": count}) for rule, count in _largest(report.rules) if count]
    seconds = [dg.TableRecord({"check": name, "seconds": round(took, 3)}) for name, took in _largest(report.seconds)]
    told: dict[str, Any] = {
        "days": len(look.days),
        "rules": len(report.rules),
        "errors": len(report.errors),
        "seconds": round(sum(report.seconds.values()), 3),
    }
    if broken:
        told["rules_broken"] = dg.MetadataValue.table(broken)
    if seconds:
        told["seconds_by_check"] = dg.MetadataValue.table(seconds)
    return told


def _largest(numbers: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(numbers.items(), key=lambda item: (-item[1], item[0]))


QUALITY_CHECK_ASSETS: Final = [quality_asset(kind) for kind in _KINDS]
QUALITY_CHECK_JOBS: Final = [
    dg.define_asset_job(f"check_{kind}", dg.AssetSelection.assets(f"quality_{kind}"), description=_KINDS[kind][0]) for kind in _KINDS
]
QUALITY_CHECK_SCHEDULES: Final = [
    dg.ScheduleDefinition(
        name=f"quality_{kind}",
        job=job,
        cron_schedule=_KINDS[kind][1],
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=_KINDS[kind][0],
    )
    for kind, job in zip(_KINDS, QUALITY_CHECK_JOBS, strict=True)
]
