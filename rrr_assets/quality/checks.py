"""Once a day: every table against its contract, by Great Expectations and in SQL, and the live schema against the contracts.

Belongs here: the asset of the validation, the checks of the contracts, their job and schedule. Does not: the rules (contracts/rules),
asking them (expectations, warehouse/contract_checks, warehouse/drift).

The fast rules of a day ride on the assets as blocking checks, with every day that is taken in; these look at all of it again, and at
what no asset stands for.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import Field

from rrr_assets.contracts.catalogue import TABLES
from rrr_assets.contracts.quality import VALIDATIONS
from rrr_assets.contracts.rules import rules_of
from rrr_assets.resources.reporting import contract_metadata, failures_told_once
from rrr_assets.resources.warehouse import Warehouse

if TYPE_CHECKING:
    from rrr_assets.calc.outcomes import RuleResult
    from rrr_assets.quality.expectations import Validation

CONTRACT: Final = "contract"
DRIFT: Final = "schema_drift"
EXPECTATIONS: Final = "great_expectations"
CHECKED: Final = (
    "raw_trades", "raw_agg_trades", "raw_quotes", "raw_depth", "venue_bars", "bars_1m", "bars_5m", "bars_1h", "bars_1d",
    "bars_tick", "bars_volume", "bars_dollar", "bar_conformance",
)  # fmt: skip
"""The tables that are assets, each with a check of its own; what is told of all others together stands at the validation."""


class ValidationConfig(dg.Config):
    """Which day, and of which tables."""

    day: str = Field("", description="The UTC day, as in 2024-01-31; empty for yesterday.")
    tables: list[str] = Field(default_factory=list, description="Only these tables; empty for all.")


@dg.asset(
    group_name="quality",
    deps=["raw_trades", "raw_agg_trades", "raw_quotes", "raw_depth", "venue_bars", "bars_1d", "bar_conformance"],
    kinds={"postgres"},
    owners=[VALIDATIONS.owner],
    description=VALIDATIONS.description,
    metadata=contract_metadata(VALIDATIONS),
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            EXPECTATIONS, asset="validations", description="Every expectation that follows from a contract is met, in every table."
        )
    ],
)
def validations(context: dg.AssetExecutionContext, config: ValidationConfig, warehouse: Warehouse) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
    """Validate a day of ticks and bars and all other tables, keep what was said, and write the page."""
    from rrr_assets.quality.validation_page import validation_page
    from rrr_assets.quality.validations import validate, write_page, yesterday

    day = date.fromisoformat(config.day) if config.day else yesterday()
    with failures_told_once(context):
        done = validate(warehouse.database(), day, config.tables or None, run_id=context.run.run_id)
    path = write_page(validation_page(day, done))
    return dg.MaterializeResult(metadata=_metadata(day, done, str(path)), check_results=[_expectations(done)])


def _metadata(day: date, done: "Sequence[Validation]", path: str) -> dict[str, Any]:
    lines = ["| table | rows | expectations | not met |", "|---|---:|---:|---|"]
    for one in sorted(done, key=lambda each: (each.is_success, each.relation)):
        rows = max((answer.looked_at for answer in one.answers), default=0)
        broken = "; ".join(answer.says for answer in one.answers if not answer.is_met)
        lines.append(f"| {one.relation} | {rows:,} | {len(one.answers)} | {broken} |")
    return {
        "dagster/row_count": len(done),
        "day": day.isoformat(),
        "tables": len(done),
        "expectations": sum(len(one.answers) for one in done),
        "unmet": sum(one.unmet for one in done),
        "seconds": round(sum(one.seconds for one in done), 2),
        "page": dg.MetadataValue.path(path),
        "result": dg.MetadataValue.md("\n".join(lines)),
    }


def _expectations(done: "Sequence[Validation]") -> dg.AssetCheckResult:
    from rrr_assets.quality.validations import is_hard

    unmet = [(one, answer) for one in done for answer in one.answers if not answer.is_met]
    told = {
        f"{one.relation}: {answer.says}": answer.error or f"broken by {answer.broken} of {answer.looked_at}" for one, answer in unmet[:50]
    }
    severity = dg.AssetCheckSeverity.ERROR if any(is_hard(answer) for _, answer in unmet) else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(check_name=EXPECTATIONS, passed=not unmet, severity=severity, metadata={"unmet": len(unmet), **told})


@dg.multi_asset_check(
    name="contracts",
    specs=[
        *(
            dg.AssetCheckSpec(CONTRACT, asset=name, description=f"The {len(rules_of(TABLES[name]))} rules of its contract, over all rows.")
            for name in CHECKED
        ),
        dg.AssetCheckSpec(CONTRACT, asset="validations", description="The rules of the contracts of all tables that are no assets."),
        dg.AssetCheckSpec(DRIFT, asset="validations", description="Every table is what its contract says: columns, key, values, grants."),
    ],
    can_subset=True,
)
def contracts(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> Iterator[dg.AssetCheckResult]:
    """Ask every rule of every contract of yesterday's rows, and compare the schema."""
    from rrr_assets.quality.validations import yesterday
    from rrr_assets.warehouse.contract_checks import ask_contracts
    from rrr_assets.warehouse.drift import drift, drift_result

    # Who materialises some assets by hand gets the checks of these alone.
    chosen = {(key.asset_key.to_user_string(), key.name) for key in context.selected_asset_check_keys}
    mine = [name for name in CHECKED if (name, CONTRACT) in chosen]
    others = [name for name in TABLES if name not in CHECKED] if ("validations", CONTRACT) in chosen else []
    with failures_told_once(context):
        asked = ask_contracts(warehouse.database(), yesterday(), [*mine, *others])
        found = drift_result(drift(warehouse.database())) if ("validations", DRIFT) in chosen else None
    for name in mine:
        yield _told(CONTRACT, name, {rule.rule: rule for rule in asked[name]})
    if others:
        rules = {f"{name}: {rule.rule}": rule for name in others for rule in asked[name]}
        broken = {key: rule for key, rule in rules.items() if rule.broken}
        yield _told(CONTRACT, "validations", broken, tables=len(others), rules=len(rules))
    if found is not None:
        yield _told(DRIFT, "validations", {found.rule: found})


def _told(check: str, asset: str, results: "dict[str, RuleResult]", **more: int) -> dg.AssetCheckResult:
    is_hard = any(rule.broken and rule.is_blocking for rule in results.values())
    told = {
        key: f"broken by {rule.broken} of {rule.looked_at}: {'; '.join(rule.examples)}" if rule.broken else f"kept by all {rule.looked_at}"
        for key, rule in results.items()
    }
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=check,
        passed=all(rule.broken == 0 for rule in results.values()),
        severity=dg.AssetCheckSeverity.ERROR if is_hard else dg.AssetCheckSeverity.WARN,
        metadata={**more, **told},
    )


CONTRACT_CHECKS: Final = [contracts]
VALIDATION_ASSETS: Final = [validations]
VALIDATION_JOBS: Final = [
    dg.define_asset_job(
        "validate",
        dg.AssetSelection.assets("validations") | dg.AssetSelection.checks(*CONTRACT_CHECKS),
        description="Every table against its contract: by Great Expectations, in SQL, and the live schema.",
    )
]
VALIDATION_SCHEDULES: Final = [
    dg.ScheduleDefinition(
        name="daily_validation",
        job=VALIDATION_JOBS[0],
        cron_schedule="15 4 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
]
