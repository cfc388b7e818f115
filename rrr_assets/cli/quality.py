"""The command for the data's quality: how every instrument's days are, what is missing, what is broken, and what that leaves of the budget.

Belongs here: quality, and its page. Does not: what is asked (warehouse/quality_report.py), what it amounts to (quality/report.py).
Other commands of quality are added to `quality_app` in modules of their own.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rrr_assets.cli.arguments import JsonFlag, MaybeEnd, MaybeStart, OnlyInstrument

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from rrr_assets.quality.report import QualityReport

Page = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the page there, which needs no network.", dir_okay=False)]
quality_app = typer.Typer(invoke_without_command=True, help="Print how good the data is: status by day, SLAs, gaps, findings, anomalies.")

_COLOURS: Final = {"available": "green", "degraded": "bold yellow", "pending": "blue", "missing": "bold white on red", None: "bright_black"}
_MOST_DAYS: Final = 60
_MOST_LINES: Final = 10
_CONTROLS: Final = dict.fromkeys((*range(32), *range(127, 160)))


def register(app: typer.Typer) -> None:
    app.add_typer(quality_app, name="quality")


@quality_app.callback()
def quality(
    context: typer.Context,
    instrument: OnlyInstrument = None,
    start: MaybeStart = None,
    end: MaybeEnd = None,
    page: Page = None,
    as_json: JsonFlag = False,
) -> None:
    if context.invoked_subcommand is not None:
        return
    from rrr_assets import read
    from rrr_assets.quality.report import as_object, make_report
    from rrr_assets.resources.quality_settings import quality_settings
    from rrr_assets.warehouse.connect import Database
    from rrr_assets.warehouse.quality_report import read_quality

    database = Database.current()
    if instrument is not None:
        read.check_known(instrument, database=database)
    only = None if instrument is None else [_spelled(instrument)]
    report = make_report(read_quality(database, start, end, only), quality_settings())
    if page is not None:
        _write(report, page)
    if as_json:
        sys.stdout.write(json.dumps(as_object(report), indent=1, ensure_ascii=False) + "\n")
    elif page is None:
        _show(report)


def _spelled(instrument: str) -> str:
    from rrr_assets.venues.names import parse_instrument

    return parse_instrument(instrument)


def _write(report: "QualityReport", path: Path) -> None:
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.output import note
    from rrr_assets.quality.page import page_html
    from rrr_assets.quality.report_asset import write_page

    try:
        write_page(path, page_html(report))
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written ({error.strerror}). Choose another file") from error
    note(f"the page is in {path}")


# --- for a person -----------------------------------------------------------------------------------------------


def _show(report: "QualityReport") -> None:
    from rich.console import Console
    from rich.text import Text

    from rrr_assets.quality import report as words

    console = Console(markup=False, highlight=False, soft_wrap=True)
    rows = report.rows
    for notice in report.notices:
        line = Text(f"{notice.title}. ", style="bold red" if notice.is_grave else "bold").append(
            _plain(notice.text), style="not bold default"
        )
        console.print(line.append(f" `{notice.command}`" if notice.command else ""))
    if report.notices:
        console.print()
    counted = ", ".join(f"{count:,} {status}" for status, count in report.statuses.items())
    share = "" if report.available_share is None else f": {words.share_text(report.available_share)} of what is over is available"
    console.print(f"{report.days[0]} to {report.days[-1]} UTC, days {counted}{share}")
    paging = Text(f"{rows.findings_paging:,} that page", style="bold red" if rows.findings_paging else "")
    console.print(
        Text(f"open gaps {rows.gaps_in_all:,}, open findings {rows.findings_in_all:,}, ").append(paging)
        .append(f", anomalies {rows.anomalies_in_all:,}")
    )  # fmt: skip
    for each in report.runs:
        ago = (
            "never ended"
            if each.age is None
            else f"ended {words.span_text(each.age)} ago, {each.run.broken} of {each.run.checks} rules broken"
        )
        console.print(Text(f"last {each.words}: {ago}", style="red" if each.is_stale else ""))
    if report.lines:
        console.print()
        _show_grid(console, report)
    _show_days(console, report)
    _show_lists(console, report)


def _show_grid(console: "Console", report: "QualityReport") -> None:
    """A line for each instrument, a sign for each day."""
    from rich.text import Text

    from rrr_assets.quality.report import MARKS

    days = report.days[-_MOST_DAYS:]
    width = max(len(line.instrument) for line in report.lines)
    if len(days) < len(report.days):
        console.print(f"the last {len(days)} of {len(report.days)} days; --html shows all")
    # Of each day the two digits stand one below the other; a zero above a first of the month would say nothing.
    console.print(Text(" " * (width + 2) + "".join(f"{day.day // 10 or ' '}" for day in days), style="bright_black"))
    console.print(Text(" " * (width + 2) + "".join(f"{day.day % 10}" for day in days), style="bright_black"))
    for line in report.lines:
        shown = Text(f"{_plain(line.instrument):<{width}}  ")
        for cell in line.cells[-_MOST_DAYS:]:
            shown.append(cell.mark, style=_COLOURS[cell.status])
        console.print(shown)
    console.print(
        Text("  ").join(
            Text(f"{mark} ", style=_COLOURS[status]).append(status or "not judged", style="bright_black") for status, mark in MARKS.items()
        )
    )


def _show_days(console: "Console", report: "QualityReport") -> None:
    from rrr_assets.quality import report as words

    burnt = [mine for mine in report.budgets if mine.worst > 0]
    if burnt:
        title = "Error budgets, attained and burnt, the worst first"
        table = _table(title, "instrument", *words.MEASURES)
        for mine in burnt[:_MOST_LINES]:
            shares = [
                words.NOTHING if part.attained is None else f"{words.share_text(part.attained)}  {words.burnt_text(part.burnt)}"
                for part in mine.parts
            ]
            _add(table, [mine.instrument, *shares], [None, *("red" if part.is_over else None for part in mine.parts)])
        _print(console, table, len(burnt))
    if report.to_look_at:
        table = _table("Days to look at", "day", "instrument", "status", "why")
        for day in report.to_look_at[:_MOST_LINES]:
            _add(table, [f"{day.day}", day.instrument, day.status, "; ".join(day.reasons)], [None, None, _COLOURS[day.status], None])
        _print(console, table, len(report.to_look_at))


def _show_lists(console: "Console", report: "QualityReport") -> None:
    from rrr_assets.quality import report as words

    rows = report.rows
    paging = [finding for finding in rows.findings if finding.severity == "page"]
    if paging:
        table = _table("Findings that page", "rule", "table", "instrument", "day", "broken by", "example")
        for finding in paging[:_MOST_LINES]:
            example = finding.examples[0] if finding.examples else ""
            broken = f"{finding.broken:,} of {finding.examined:,}"
            _add(table, [finding.rule, finding.relation, finding.instrument or "", f"{finding.day or ''}", broken, example])
        _print(console, table, rows.findings_paging)
    if rows.gaps:
        table = _table("Open gaps, the longest known first", "gap", "instrument", "stream", "from, UTC", "lasts", "cause", "state")
        for gap in rows.gaps[:_MOST_LINES]:
            lasts = words.span_text(gap.to_time - gap.from_time)
            _add(table, [str(gap.gap_id), gap.instrument, gap.stream, words.time_text(gap.from_time), lasts, gap.cause, gap.state])
        _print(console, table, rows.gaps_in_all)
    if rows.anomalies:
        table = _table("Worst anomalies", "instrument", "rule", "from, UTC", "value", "usual", "score", "threshold")
        for odd in rows.anomalies[:_MOST_LINES]:
            figures = [words.number_text(value) for value in (odd.value, odd.expected, odd.score, odd.threshold)]
            _add(table, [odd.instrument, odd.rule, words.time_text(odd.from_time), *figures])
        _print(console, table, rows.anomalies_in_all)


def _table(title: str, *columns: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name not in {"why", "example"})
    return table


def _add(table: "Table", values: Iterable[str], styles: Iterable[str | None] | None = None) -> None:
    from rich.text import Text

    shown: list[Text] = []
    given = list(styles or ())
    for place, value in enumerate(values):
        shown.append(Text(_plain(value), style=(given[place] if place < len(given) else None) or ""))
    table.add_row(*shown)


def _print(console: "Console", table: "Table", in_all: int) -> None:
    from rich.measure import Measurement

    console.print()
    width = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    if not console.is_terminal:
        # A file is as wide as it must be.
        console.width = max(console.width, width)
    elif width > console.width:
        # A cell goes on below rather than lose its end.
        for column in table.columns:
            column.no_wrap = False
    console.print(table, soft_wrap=False)
    if in_all > table.row_count:
        console.print(f"{table.row_count:,} of {in_all:,} are shown; --json prints more", style="bright_black")


def _plain(text: str) -> str:
    """A text of the data on one line of a terminal, which it cannot steer."""
    return text.translate(_CONTROLS)
