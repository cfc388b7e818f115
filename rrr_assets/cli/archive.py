"""Commands for the archive: what is in it, and putting more there.

Belongs here: archive list, archive make. Does not: its upkeep (upkeep.py), reading archived rows.
"""

import json
import sys
from datetime import date, datetime, timedelta
from typing import Annotated

import typer

from rrr_assets.cli.arguments import End, FormatOption, JsonFlag, MaybeEnd, MaybeStart, Out, Start

Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="ASSET", help="Only these, as archived_trades; may be given several times.")
]
archive_app = typer.Typer(invoke_without_command=True, help="Print what is archived, or archive some days.")


def register(app: typer.Typer) -> None:
    app.add_typer(archive_app, name="archive")


@archive_app.callback()
def archive(
    context: typer.Context,
    start: MaybeStart = None,
    end: MaybeEnd = None,
    chosen: FormatOption = None,
    as_json: JsonFlag = False,
    out: Out = None,
) -> None:
    if context.invoked_subcommand is None:
        list_archive(start, end, chosen, as_json, out)


@archive_app.command(name="list")
def list_archive(
    start: MaybeStart = None, end: MaybeEnd = None, chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None
) -> None:
    """Print the last proof of every archived partition."""
    from rrr_assets import read
    from rrr_assets.cli.output import emit

    found = read.archive(start, end)
    hidden = ("proof_id", "snapshot_id", "files", "sums", "bounds", "bars", "log_mark", "proven_by", "run_id")
    emit(found, chosen, as_json=as_json, out=out, hidden=hidden)


@archive_app.command()
def make(start: Start, end: End, only: Only = None, as_json: JsonFlag = False) -> None:
    """Archive the days of [start, end), and the months that they lie in.

    Each partition is written, read back from the store and compared with the database, value by value; what is archived already and
    has not changed since is left as it is. The database keeps its rows.
    """
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.cli.progress import progress_bars
    from rrr_assets.cli.runs import archive as archive_days
    from rrr_assets.cli.runs import dagster_instance
    from rrr_assets.contracts.archive import ARCHIVED_GROUPS

    unknown = [name for name in only or () if name not in ARCHIVED_GROUPS]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]} is no asset of the archive. There are {', '.join(ARCHIVED_GROUPS)}")
    days = _days(start, end)
    if not days:
        raise typer.BadParameter("--end does not lie after --start")
    groups = [group for name, group in ARCHIVED_GROUPS.items() if only is None or name in only]
    ready_database()
    with progress_bars(show=not as_json and sys.stderr.isatty()) as progress, dagster_instance() as instance:
        runs = list(archive_days(instance, groups, days, progress.asset))
    told = {"days": [day.isoformat() for day in days], "runs": [run.run_id for run in runs]}
    failures = [run.failure for run in runs if run.failure]
    if as_json:
        sys.stdout.write(json.dumps({**told, "failures": failures}) + "\n")
    elif not failures:
        list_archive(start, end, None, as_json=False, out=None)
    if failures:
        raise CommandFailed("; ".join(failures))


def _days(start: datetime, end: datetime) -> list[date]:
    """The UTC days that a window touches."""
    last = (end - timedelta(microseconds=1)).date()
    return [start.date() + timedelta(days=number) for number in range((last - start.date()).days + 1)]
