"""The asset feature_drift: each day of features held against what models were trained on.

Belongs here: the asset, its checks, its job and schedule, what it tells. Does not: the statistics (calc/features/drift), references and
numbers (warehouse/quality_feature_drift), drawing (drift_chart.py). Drift is worth a look: a check of it warns, and never stops anything.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from rrr_assets.calc.outcomes import RuleResult
from rrr_assets.contracts.features import FEATURE_DRIFT, FEATURES_1M
from rrr_assets.resources.partitions import DAYS, contiguous, days_of, range_tags
from rrr_assets.resources.quality_settings import quality_settings
from rrr_assets.resources.reporting import DayReports, contract_metadata, failures_told
from rrr_assets.resources.warehouse import Warehouse

if TYPE_CHECKING:
    from rrr_assets.calc.quality_config import FeatureDrift
    from rrr_assets.warehouse.connect import Database
    from rrr_assets.warehouse.quality_feature_drift import DayJudged, Number

CHECKS: Final = {
    "drifted": ("drift", "every feature is distributed as in its reference"),
    "out_of_range": ("reference_range", "values lie within the range of the reference"),
    "missing": ("missing", "no more values are missing than in the reference"),
}
"""By verdict: the check that warns of it, and what it says."""

SHOWN_DAYS: Final = 28
_NAMED: Final = 5
_LEAST_RISE: Final = 0.001
"""Where no rise at all is allowed, what is missing is measured by this."""


@dg.asset(
    name=FEATURE_DRIFT.name,
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[FEATURES_1M.name],
    group_name="features",
    kinds={"postgres"},
    owners=[FEATURE_DRIFT.owner],
    description=FEATURE_DRIFT.description,
    metadata=contract_metadata(FEATURE_DRIFT),
    code_version="1",
    pool="drift",
    check_specs=[
        dg.AssetCheckSpec(name, asset=FEATURE_DRIFT.name, description=f"{says[0].upper()}{says[1:]}; it only warns.")
        for name, says in CHECKS.values()
    ],
)
def feature_drift(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
    """Hold each day against its references."""
    from rrr_assets.lake.feature_reads import feature_rows
    from rrr_assets.warehouse.quality_feature_drift import judge_day

    days = days_of(context)
    reports = DayReports(context)
    totals: dict[str, list[RuleResult]] = {name: [] for name, _ in CHECKS.values()}
    with failures_told(context, days, reports):
        settings = quality_settings().feature_drift
        for day in days:
            judged = judge_day(warehouse.database(), day, feature_rows, settings, context.run.run_id)
            results = results_of(judged.numbers, settings)
            # A backfill is looked at by its last picture.
            metadata = _metadata(warehouse.database(), judged, settings, is_drawn=day == days[-1])
            _tell(context, day, metadata, results)
            reports.days += 1
            for name, result in results.items():
                totals[name].append(result)
    return dg.MaterializeResult(check_results=[_rolled_up(name, results) for name, results in totals.items()])


def results_of(numbers: "Iterable[Number]", settings: "FeatureDrift") -> dict[str, RuleResult]:
    """What each check says of a day's numbers, the worst first."""
    from rrr_assets.calc.features.drift import verdicts

    broken: dict[str, list[tuple[float, str]]] = {name: [] for name, _ in CHECKS.values()}
    looked_at = 0
    for each in numbers:
        if each.reference_id is None:
            continue
        looked_at += 1
        for verdict in verdicts(each.feature, each.drift, settings):
            if verdict in CHECKS:
                broken[CHECKS[verdict][0]].append(_worded(verdict, each))
    return {
        name: RuleResult(says, False, len(broken[name]), looked_at, tuple(text for _, text in sorted(broken[name], reverse=True)[:_NAMED]))
        for name, says in CHECKS.values()
    }


def worst_of(numbers: "Sequence[Number]", settings: "FeatureDrift", most: int) -> "list[Number]":
    """The features that lie farthest off, one number each, by how far above what is allowed or usual; those of no stationary one last."""
    from rrr_assets.calc.features import FEATURES
    from rrr_assets.calc.features.drift import allowed_psi, verdicts

    def rank(each: "Number") -> tuple[bool, bool, float]:
        allowed = allowed_psi(each.drift, settings) or settings.psi_large
        is_drifted = "drifted" in verdicts(each.feature, each.drift, settings)
        return is_drifted, FEATURES[each.feature].is_stationary, (each.drift.psi or 0) / allowed

    found: dict[str, Number] = {}
    for each in sorted((one for one in numbers if one.drift.psi is not None), key=rank, reverse=True):
        found.setdefault(each.feature, each)
    return list(found.values())[:most]


def worst_first(numbers: "Iterable[Number]", settings: "FeatureDrift") -> "list[Number]":
    """All numbers: what a check warns of, then what has moved, then the rest; of each by how many times what is allowed it is.

    The index and the range of a feature that is not stationary count for nothing. Equal ones stay in their order.
    """
    from rrr_assets.calc.features import FEATURES
    from rrr_assets.calc.features.drift import allowed_psi, verdicts

    def rank(each: "Number") -> tuple[bool, bool, float]:
        drift, said = each.drift, verdicts(each.feature, each.drift, settings)
        times = [((drift.missing_rate or 0) - (drift.reference_missing_rate or 0)) / max(settings.missing_rise, _LEAST_RISE)]
        if FEATURES[each.feature].is_stationary:
            times.append((drift.psi or 0) / (allowed_psi(drift, settings) or settings.psi_large))
            times.append((drift.out_of_range or 0) / max(settings.out_of_range, 1 / (drift.reference_days or 1)))
        return not CHECKS.keys().isdisjoint(said), bool(said), max(times)

    return sorted(numbers, key=rank, reverse=True)


def drift_picture(database: "Database", numbers: "Sequence[Number]", settings: "FeatureDrift", *, small: bool) -> bytes | None:
    """The picture of some days' numbers, as a PNG; None where there is nothing to be seen.

    Args:
        database: whose bins.
        numbers: of the days in order; what is shown of distributions is of the last of them.
        settings: from where on a feature has drifted.
        small: for a picture among others.
    """
    from rrr_assets.features.drift_chart import drift_png
    from rrr_assets.warehouse.quality_feature_drift import read_bins

    if not any(each.drift.psi is not None for each in numbers):
        return None
    last = max(each.day for each in numbers if each.drift.psi is not None)
    worst = worst_of([each for each in numbers if each.day == last], settings, 4)
    bins = read_bins(database, worst)
    shown = [(each, bins[each.reference_id, each.instrument, each.feature]) for each in worst if each.reference_id is not None]
    return drift_png(numbers, shown, settings, small=small)


def _worded(verdict: str, each: "Number") -> tuple[float, str]:
    drift, name = each.drift, each.feature if each.instrument == "*" else f"{each.feature} of {each.instrument}"
    if verdict == "missing":
        missing, before = drift.missing_rate or 0.0, drift.reference_missing_rate or 0.0
        return missing - before, f"{name} {missing:.1%}, in the reference {before:.1%}"
    if verdict == "out_of_range":
        return drift.out_of_range or 0.0, f"{name} {drift.out_of_range:.1%} outside"
    usual = "" if drift.usual_psi is None else f", usual up to {drift.usual_psi:.2f}"
    return drift.psi or 0.0, f"{name} psi {drift.psi:.2f}{usual}"


def _metadata(database: "Database", judged: "DayJudged", settings: "FeatureDrift", *, is_drawn: bool) -> dict[str, Any]:
    import base64

    from rrr_assets.calc.features.drift import verdicts
    from rrr_assets.warehouse.quality_feature_drift import read_numbers, read_references

    references = read_references(database, [each.reference_id for each in judged.numbers if each.reference_id is not None])
    said = [(each, verdicts(each.feature, each.drift, settings)) for each in judged.numbers]
    told: dict[str, Any] = {
        "dagster/partition_row_count": len(judged.numbers),
        "rows_of_features": judged.rows,
        "instruments": judged.instruments,
        "drifted": sum("drifted" in verdict for _, verdict in said),
        "moved": sum("moved" in verdict for _, verdict in said),
        "references": "; ".join(each.told for each in references.values()) or "none",
    }
    if new := sorted({each.instrument for each in judged.numbers if each.reference_id is None}):
        told["without_a_reference"] = ", ".join(new)
    records = [
        dg.TableRecord(
            {"instrument": each.instrument, "feature": each.feature, "is": ", ".join(verdicts(each.feature, each.drift, settings)),
             "psi": _text(each.drift.psi), "usual": _text(each.drift.usual_psi), "missing": _text(each.drift.missing_rate),
             "out_of_range": _text(each.drift.out_of_range)}
        )
        for each in worst_of(judged.numbers, settings, 10)
    ]  # fmt: skip
    if records:
        told["worst"] = dg.MetadataValue.table(records)
    if is_drawn:
        since = judged.day - (SHOWN_DAYS - 1) * timedelta(days=1)
        numbers = read_numbers(database, since, judged.day + timedelta(days=1))
        if picture := drift_picture(database, numbers, settings, small=True):
            encoded = base64.b64encode(picture).decode()
            told["picture"] = dg.MetadataValue.md(f"![drift of features](data:image/png;base64,{encoded})")
    return told


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _tell(context: dg.AssetExecutionContext, day: date, metadata: dict[str, Any], results: dict[str, RuleResult]) -> None:
    """Log a day and its checks as they are known: a run that fails later takes nothing back."""
    key, asset = day.isoformat(), context.asset_key
    context.log_event(dg.AssetMaterialization(asset, partition=key, metadata=metadata))
    for name, result in results.items():
        context.log_event(
            dg.AssetCheckEvaluation(
                asset_key=asset, check_name=name, passed=result.broken == 0, partition=key, severity=dg.AssetCheckSeverity.WARN,
                metadata={result.rule: _told(result)},
            )
        )  # fmt: skip
    # Dagster's own event at the end of the run comes later and without metadata: give it ours.
    context.add_asset_metadata(metadata, partition_key=key)


def _told(result: RuleResult) -> str:
    if not result.broken:
        return f"kept by all {result.looked_at}"
    return f"broken by {result.broken} of {result.looked_at}: {'; '.join(result.examples)}"


def _rolled_up(name: str, results: Sequence[RuleResult]) -> dg.AssetCheckResult:
    broken = [result for result in results if result.broken]
    told = {result.rule: _told(result) for result in broken[-1:]}
    return dg.AssetCheckResult(
        check_name=name, passed=not broken, severity=dg.AssetCheckSeverity.WARN,
        metadata={"days": len(results), "days_that_warn": len(broken), **told},
    )  # fmt: skip


DRIFT_JOB: Final = dg.define_asset_job(
    "judge_features",
    dg.AssetSelection.assets(feature_drift),
    description="Features of the days against what models were trained on.",
)


@dg.schedule(
    name=FEATURE_DRIFT.name,
    job=DRIFT_JOB,
    # After the day is closed, its features are made, and quality_daily has looked.
    cron_schedule="20 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Each day: features of the last week that were not looked at, or changed since, against what models were trained on.",
)
def drift_of_the_week(context: dg.ScheduleEvaluationContext, warehouse: Warehouse) -> list[dg.RunRequest] | dg.SkipReason:
    from rrr_assets.warehouse.quality_feature_drift import days_unjudged

    today = context.scheduled_execution_time.astimezone(UTC).date()
    waiting = days_unjudged(warehouse.database(), today - timedelta(days=7), today)
    if not waiting:
        return dg.SkipReason("Features of the last week were looked at, and did not change since.")
    return [
        dg.RunRequest(run_key=f"{today}|{first}", tags={**range_tags(first, last), "rrr/kind": "feature drift"})
        for first, last in contiguous(waiting)
    ]


DRIFT_ASSETS: Final = [feature_drift]
DRIFT_JOBS: Final = [DRIFT_JOB]
DRIFT_SCHEDULES: Final = [drift_of_the_week]
