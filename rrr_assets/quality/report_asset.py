"""The asset quality_report: the page of the data's quality, made anew each day, and its figures over time.

Belongs here: writing the page below the home, and what Dagster shows of it. Does not: what is told (quality/report.py).
"""

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from rrr_assets.contracts.quality import QUALITY_DAYS
from rrr_assets.resources.reporting import failures_told_once
from rrr_assets.resources.warehouse import Warehouse

if TYPE_CHECKING:
    from rrr_assets.quality.report import QualityReport

_SHOWN: Final = 15


@dg.asset(
    group_name="quality",
    deps=["quality_daily"],
    kinds={"postgres"},
    owners=[QUALITY_DAYS.owner],
    description="The page of the data's quality: status by day, what is missing and broken, what is left of the error budgets.",
    code_version="1",
)
def quality_report(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
    """Write the page of the last days, and tell what stands on it."""
    from rrr_assets.quality.page import page_html
    from rrr_assets.quality.report import make_report
    from rrr_assets.resources.quality_settings import quality_settings
    from rrr_assets.warehouse.home import Home
    from rrr_assets.warehouse.quality_report import read_quality

    with failures_told_once(context):
        report = make_report(read_quality(warehouse.database()), quality_settings())
        path = Home.current().root / "quality" / "quality.html"
        write_page(path, page_html(report))
    return dg.MaterializeResult(metadata=_metadata(report, path))


def write_page(path: Path, page: str) -> None:
    """Put the page in place, so that whoever opens it never reads half of one.

    Raises:
        OSError: it cannot be written there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(page, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _metadata(report: "QualityReport", path: Path) -> dict[str, Any]:
    from rrr_assets.quality.page_picture import heat_map_png

    rows = report.rows
    metadata: dict[str, Any] = {
        "page": dg.MetadataValue.path(path),
        "report": dg.MetadataValue.md(_markdown(report)),
        "days_available": report.statuses["available"],
        "days_degraded": report.statuses["degraded"],
        "days_missing": report.statuses["missing"],
        "open_gaps": rows.gaps_in_all,
        "findings_that_page": rows.findings_paging,
        "findings": rows.findings_in_all,
        "anomalies": rows.anomalies_in_all,
    }
    if (picture := heat_map_png(report)) is not None:
        metadata["heat_map"] = dg.MetadataValue.md(
            f"![status by instrument and day](data:image/png;base64,{base64.b64encode(picture).decode()})"
        )
    return metadata


def _markdown(report: "QualityReport") -> str:
    from rrr_assets.quality import report as words

    rows = report.rows
    told = [f"**{_text(notice.title)}.** {_text(notice.text)}" for notice in report.notices]
    told.append(
        f"{report.days[0]} to {report.days[-1]}: {words.share_text(report.available_share)} of days available, "
        f"{rows.gaps_in_all:,} open gaps, {rows.findings_paging:,} findings that page, {rows.anomalies_in_all:,} anomalies."
    )
    if report.budgets:
        lines = [
            [mine.instrument, *(f"{words.share_text(part.attained)} ({words.burnt_text(part.burnt)})" for part in mine.parts)]
            for mine in report.budgets[:_SHOWN]
        ]
        told.append("### Error budgets, the worst first\n\n" + _table(["instrument", *words.MEASURES], lines))
    if report.to_look_at:
        lines = [[f"{day.day}", day.instrument, day.status, "; ".join(day.reasons)] for day in report.to_look_at[:_SHOWN]]
        told.append("### Days to look at\n\n" + _table(["day", "instrument", "status", "why"], lines))
    if rows.gaps:
        lines = [
            [
                str(gap.gap_id),
                gap.instrument,
                gap.stream,
                words.time_text(gap.from_time),
                words.span_text(gap.to_time - gap.from_time),
                gap.cause,
            ]
            for gap in rows.gaps[:_SHOWN]
        ]
        told.append("### Open gaps\n\n" + _table(["gap", "instrument", "stream", "from, UTC", "lasts"], lines))
    return "\n\n".join(told)


def _table(head: list[str], lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(map(_text, line)) + " |" for line in (head, ["---"] * len(head), *lines))


def _text(text: str) -> str:
    """A text of the data inside markdown: neither a mark nor HTML of its own."""
    for mark, instead in (("&", "&amp;"), ("<", "&lt;"), ("|", "&#124;"), ("[", "&#91;"), ("`", "&#96;"), ("*", "&#42;"), ("\n", " ")):
        text = text.replace(mark, instead)
    return text


QUALITY_REPORT_JOB: Final = dg.define_asset_job(
    "report_quality", dg.AssetSelection.assets("quality_report"), description="Makes the page of the data's quality."
)
QUALITY_REPORT_SCHEDULE: Final = dg.ScheduleDefinition(
    name="quality_report",
    job=QUALITY_REPORT_JOB,
    cron_schedule="30 5 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
QUALITY_REPORT_ASSETS: Final = [quality_report]
QUALITY_REPORT_JOBS: Final = [QUALITY_REPORT_JOB]
QUALITY_REPORT_SCHEDULES: Final = [QUALITY_REPORT_SCHEDULE]
