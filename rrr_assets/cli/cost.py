"""The command for the bill: what is kept costs now, what retention saves, what it will cost; and what it cost before.

Belongs here: cost, cost history. Does not: measuring and pricing (archive/costs.py, calc/costs.py).
"""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rrr_assets.cli.arguments import Format, FormatOption, JsonFlag, MaybeEnd, MaybeStart, Out

if TYPE_CHECKING:
    import pyarrow as pa

    from rrr_assets.calc.costs import Report


class By(StrEnum):
    """How the bill is broken down."""

    TABLE = "table"
    TIER = "tier"
    DAY = "day"


class BaseVolume(StrEnum):
    """What the forecast is made from."""

    MEASURED = "measured"
    LEGACY = "legacy"


Breakdown = Annotated[By | None, typer.Option("--by", help="Print the bill alone, by table, tier or partition.")]
Volume = Annotated[
    BaseVolume, typer.Option("--base", help="Forecast from the rows that come in here, or those of the desk's former system.")
]
Plot = Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw it, as .png.", dir_okay=False)]
cost_app = typer.Typer(invoke_without_command=True, help="Print what is kept costs a month, and what it will.")


def register(app: typer.Typer) -> None:
    app.add_typer(cost_app, name="cost")


@cost_app.callback()
def cost(
    context: typer.Context,
    breakdown: Breakdown = None,
    base: Volume = BaseVolume.MEASURED,
    plot: Plot = None,
    chosen: FormatOption = None,
    as_json: JsonFlag = False,
    out: Out = None,
) -> None:
    if context.invoked_subcommand is not None:
        return
    from rrr_assets.archive import cost_tables
    from rrr_assets.archive.costs import cost_report
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.cli.output import emit

    if plot is not None and plot.suffix.lower() != ".png":
        raise typer.BadParameter(f"{plot} does not end in .png", param_hint="--plot")
    if breakdown is None and (chosen not in {None, Format.TABLE, Format.JSON} or out is not None):
        raise typer.BadParameter("--format and --out are for one table: give --by too")
    from rrr_assets.calc.outcomes import PermanentFailure, StoreUnreachable

    try:
        report = cost_report(ready_database(), "legacy" if base is BaseVolume.LEGACY else "measured")
    except (PermanentFailure, StoreUnreachable) as error:
        raise CommandFailed(str(error)) from error
    if plot is not None:
        _draw(report, plot)
    if breakdown is not None:
        found = cost_tables.breakdown(report, breakdown.value)
        is_table = not as_json and chosen in {None, Format.TABLE} and out is None
        if is_table:
            _print(cost_tables.shown(found))
        else:
            emit(found, chosen, as_json=as_json, out=out)
    elif as_json or chosen is Format.JSON:
        sys.stdout.write(json.dumps(cost_tables.as_object(report), indent=1) + "\n")
    else:
        _show(report)


@cost_app.command()
def history(
    start: MaybeStart = None, end: MaybeEnd = None, chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None
) -> None:
    """Print what the daily reports found: bytes, rows and cost of each table and tier, by day."""
    from rrr_assets import read
    from rrr_assets.cli.output import emit

    emit(read.cost_history(start, end), chosen, as_json=as_json, out=out, hidden=("offer", "prices_as_of", "measured_at"))


def held_costs(found: "pa.Table", name: str) -> "pa.Table":
    """A table with what the hold that it names in a column costs a month, as measured now."""
    from rrr_assets.archive.hold_costs import with_costs
    from rrr_assets.calc.outcomes import PermanentFailure, StoreUnreachable
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import ready_database

    try:
        return with_costs(found, name, ready_database())
    except (PermanentFailure, StoreUnreachable) as error:
        raise CommandFailed(str(error)) from error


def _draw(report: "Report", path: Path) -> None:
    from rrr_assets.archive.cost_chart import cost_png
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.output import note

    try:
        path.write_bytes(cost_png(report))
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written ({error.strerror}). Choose another file") from error
    note(f"the picture is in {path}")


def _show(report: "Report") -> None:
    """The whole report for a person."""
    from rrr_assets.archive import cost_tables

    sys.stdout.write(f"{cost_tables.headline(report)}.\n\n")
    _print(cost_tables.shown(cost_tables.folded(cost_tables.breakdown(report, "table"))), "By table")
    _print(cost_tables.shown(cost_tables.breakdown(report, "tier")), "By tier")
    if report.densities:
        _print(cost_tables.densities(report), "Bytes a row, and how many times smaller than hot")
    if report.savings:
        _print(cost_tables.savings(report), "What each rule saves when it has run its course, USD a month")
        for offer in report.prices.offers:
            title = f"Forecast, {report.base} volume and its multiples: {offer.name}"
            _print(cost_tables.forecasts(report, offer.name), title)
    else:
        sys.stdout.write("Nothing comes in yet: `--base legacy` forecasts the volumes of the desk's former system.\n")
    for line in (*cost_tables.verdict_texts(report), *cost_tables.remarks(report)):
        sys.stdout.write(f"{line}\n")


def _print(found: "pa.Table", title: str | None = None) -> None:
    from rrr_assets.archive.cost_tables import WORDS
    from rrr_assets.cli.output import emit

    emit(found, None, title=title, right=[name for name in found.column_names if name not in WORDS])
