"""The quality report as one page that needs nothing else: no network, no script, no font of its own.

Belongs here: filling the template `page.html.jinja`. Does not: what is told (quality/report.py).
Whatever comes from the data is text on the page: the template escapes it, and the page's own policy lets no script run.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rrr_assets.contracts.quality import DAY_STATUSES
from rrr_assets.quality import report as words

if TYPE_CHECKING:
    from rrr_assets.quality.report import QualityReport

TEMPLATE: Final = "page.html.jinja"
SHOWN_DAYS: Final = 20
SHOWN_ROWS: Final = 50
SHOWN_BUDGETS: Final = 12
SHOWN_ANOMALIES: Final = 20

_MEANS: Final = {
    "available": "within its targets",
    "degraded": "a target is missed",
    "pending": "not over, or waits",
    "missing": "expected, nothing held",
}


def page_html(report: "QualityReport") -> str:
    """The page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    for name in ("span_text", "share_text", "burnt_text", "number_text", "time_text"):
        environment.filters[name.removesuffix("_text")] = getattr(words, name)
    environment.filters["seconds"] = lambda seconds: words.NOTHING if seconds is None else words.span_text(timedelta(seconds=seconds))
    stale_streams = [stream for stream in report.rows.streams if stream.is_fresh is False]
    return environment.get_template(TEMPLATE).render(
        report=report,
        rows=report.rows,
        statuses=[(status, words.MARKS[status], _MEANS[status]) for status in DAY_STATUSES],
        unjudged=words.MARKS[None],
        months=_months(report.days),
        budget_head=[("instrument", ""), *((measure, "") for measure in words.MEASURES)],
        stale_streams=stale_streams,
        promised_streams=sum(stream.is_fresh is not None for stream in report.rows.streams),
        shown_days=SHOWN_DAYS,
        shown_rows=SHOWN_ROWS,
        shown_budgets=SHOWN_BUDGETS,
        shown_anomalies=SHOWN_ANOMALIES,
    )


def _months(days: Sequence[date]) -> list[tuple[str, int]]:
    """What stands above the days: each month with how many of its days there are; with its year where there is room."""
    counted = [(first, len(list(mine))) for first, mine in groupby(days, key=lambda day: day.replace(day=1))]
    return [(f"{first:%b %Y}" if count > 3 else f"{first:%b}" if count > 1 else "", count) for first, count in counted]
