"""The asset cost_report: the bill of each day, its history, and whether it is within the budget."""

import base64
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.contracts.archive import ARCHIVED_GROUPS
from rrr_assets.contracts.cost import COST_HISTORY
from rrr_assets.resources.reporting import contract_metadata
from rrr_assets.resources.warehouse import Warehouse

if TYPE_CHECKING:
    from rrr_assets.calc.costs import Report

_RETRIES: Final = 3
_WAIT: Final = timedelta(seconds=30)


@dg.asset(
    group_name="archive",
    deps=list(ARCHIVED_GROUPS),
    kinds={"postgres"},
    owners=[COST_HISTORY.owner],
    tags={"exact": "yes"},
    description=COST_HISTORY.description,
    metadata=contract_metadata(COST_HISTORY),
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            "budget", asset="cost_report", description="What is kept costs no more a month than monthly_budget_usd of the price list."
        )
    ],
)
def cost_report(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
    """Measure what is kept, price it, and write it into the history in place of what was written that day before."""
    from psycopg import InterfaceError, OperationalError

    from rrr_assets.archive.costs import cost_report as make
    from rrr_assets.archive.costs import keep_history
    from rrr_assets.calc.outcomes import StoreUnreachable

    try:
        report = make(warehouse.database())
        rows = keep_history(warehouse.database(), report)
    except PermanentFailure as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    except (StoreUnreachable, OperationalError, InterfaceError) as error:
        context.log.warning(str(error))
        raise dg.RetryRequested(max_retries=_RETRIES, seconds_to_wait=_WAIT.seconds) from error
    return dg.MaterializeResult(metadata=_metadata(report, rows), check_results=[_budget(report)])


def _budget(report: "Report") -> dg.AssetCheckResult:
    from rrr_assets.archive.cost_tables import headline, usd_text

    return dg.AssetCheckResult(
        check_name="budget",
        passed=report.is_within_budget,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "is": headline(report),
            "monthly_usd": usd_text(report.monthly_usd),
            "monthly_budget_usd": usd_text(report.prices.monthly_budget_usd),
        },
    )


def _metadata(report: "Report", rows: int) -> dict[str, Any]:
    from rrr_assets.archive import cost_tables
    from rrr_assets.archive.cost_chart import cost_png
    from rrr_assets.calc.costs import KEPT, cents

    offer = report.prices.offer.name
    sections = [
        ("By table", cost_tables.shown(cost_tables.folded(cost_tables.breakdown(report, "table")))),
        ("By tier", cost_tables.shown(cost_tables.breakdown(report, "tier"))),
        ("Bytes a row", cost_tables.densities(report)),
        ("What each rule saves when it has run its course, USD a month", cost_tables.savings(report)),
        (f"Forecast: {offer}", cost_tables.forecasts(report, offer)),
    ]
    told = [f"### {title}\n\n{cost_tables.markdown(found)}" for title, found in sections if len(found)]
    told.append("\n".join(f"- {line}" for line in (*cost_tables.verdict_texts(report), *cost_tables.remarks(report))))
    picture = base64.b64encode(cost_png(report, small=True)).decode()
    return {
        "dagster/row_count": rows,
        # Whole cents, so that the UI draws them over time.
        "monthly_cents": int(cents(report.monthly_usd) * 100),
        "bytes_on_disk": sum(line.size_bytes for line in report.lines if not line.is_in_store and line.tier in KEPT),
        "bytes_in_archive": sum(line.size_bytes for line in report.lines if line.is_in_store),
        "headline": cost_tables.headline(report),
        "report": dg.MetadataValue.md("\n\n".join(told)),
        "chart": dg.MetadataValue.md(f"![what is kept, and what it costs](data:image/png;base64,{picture})"),
    }


COST_JOB: Final = dg.define_asset_job(
    "report_cost", dg.AssetSelection.assets("cost_report"), description="Measures what is kept, and what it costs a month."
)
COST_SCHEDULE: Final = dg.ScheduleDefinition(
    name="daily_cost", job=COST_JOB, cron_schedule="45 4 * * *", execution_timezone="UTC", default_status=dg.DefaultScheduleStatus.RUNNING
)
