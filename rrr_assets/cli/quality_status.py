"""Commands for what is published of the data: the status of every instrument and day, how fresh it is, what is left of the budgets.

Belongs here: quality status, quality fresh, quality sla. Does not: how they are found (warehouse/quality_status.py).
"""

from typing import Annotated

import typer

from rrr_assets.cli.arguments import FormatOption, JsonFlag, MaybeEnd, MaybeStart, OnlyInstrument, Out
from rrr_assets.cli.quality import quality_app

DayCount = Annotated[int, typer.Option("--days", min=1, max=3660, metavar="N", help="Of the last N days, today among them.")]


def register(app: typer.Typer) -> None:
    """The commands are of `quality_app`, which is registered by itself."""
    del app
    quality_app.command(name="status")(status)
    quality_app.command(name="fresh")(fresh)
    quality_app.command(name="sla")(sla)


def status(
    instrument: OnlyInstrument = None,
    start: MaybeStart = None,
    end: MaybeEnd = None,
    chosen: FormatOption = None,
    as_json: JsonFlag = False,
    out: Out = None,
) -> None:
    """Print the published status of each instrument and day: available, degraded, pending or missing, and why."""
    from rrr_assets import read
    from rrr_assets.cli.output import emit

    found = read.status(instrument, start, end)
    emit(found, chosen, as_json=as_json, out=out, hidden=("computed_at",))


def fresh(chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None) -> None:
    """Print how old the newest row of each stream was when it was last looked at."""
    from rrr_assets import read
    from rrr_assets.cli.output import emit

    emit(read.freshness(), chosen, as_json=as_json, out=out)


def sla(days: DayCount = 30, chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None) -> None:
    """Print what the last days that are over leave of each error budget: of 1 used, all of it is gone."""
    from datetime import UTC, datetime, timedelta

    from rrr_assets import read
    from rrr_assets.cli.output import emit

    until = datetime.now(UTC).date() + timedelta(days=1)
    emit(read.sla(until - timedelta(days=days), until), chosen, as_json=as_json, out=out)
