"""Commands for the platform's books: instruments, source formats, quarantine."""

import json
import sys
from dataclasses import asdict
from datetime import date
from enum import StrEnum
from typing import Annotated

import typer

from rrr_assets.calc.words import counted
from rrr_assets.cli.arguments import FormatOption, JsonFlag, MaybeEnd, MaybeStart, OnlyInstrument, Out, parse_day


class BarsStream(StrEnum):
    """What an instrument's bars may be made from."""

    TRADES = "trades"
    AGG_TRADES = "agg_trades"


Reason = Annotated[str | None, typer.Option("--reason", help="Only rows refused for it, such as scale or conflict.")]
IsAll = Annotated[bool, typer.Option("--all", help="Also rows that were taken in after all.")]
PriceScale = Annotated[int | None, typer.Option("--price-scale", min=0, max=12, help="Decimals a price may have.")]
SizeScale = Annotated[int | None, typer.Option("--size-scale", min=0, max=18, help="Decimals a size may have.")]
MadeFrom = Annotated[BarsStream | None, typer.Option("--bars-stream", help="What its bars are made from.")]
ListedOn = Annotated[date | None, typer.Option("--listed-on", parser=parse_day, metavar="DAY", help="First day on which it is expected.")]
DelistedOn = Annotated[
    date | None, typer.Option("--delisted-on", parser=parse_day, metavar="DAY", help="First day on which it is no longer expected.")
]

instruments_app = typer.Typer(invoke_without_command=True, help="Print the instruments, or change one.")
quarantine_app = typer.Typer(invoke_without_command=True, help="Print refused rows, or replay them.")


def register(app: typer.Typer) -> None:
    app.add_typer(instruments_app, name="instruments")
    app.add_typer(quarantine_app, name="quarantine")
    app.command()(formats)


@instruments_app.callback()
def instruments(context: typer.Context, chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None) -> None:
    if context.invoked_subcommand is None:
        list_instruments(chosen, as_json, out)


@instruments_app.command(name="list")
def list_instruments(chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None) -> None:
    """Print the instruments."""
    from rrr_assets import read
    from rrr_assets.cli.output import emit

    emit(read.instruments(), chosen, as_json=as_json, out=out, hidden=("valid_to", "venue", "symbol"))


@instruments_app.command(name="set")
def set_instrument(
    instrument: Annotated[str, typer.Argument(metavar="VENUE:SYMBOL", show_default=False)],
    price_scale: PriceScale = None,
    size_scale: SizeScale = None,
    bars_stream: MadeFrom = None,
    listed_on: ListedOn = None,
    delisted_on: DelistedOn = None,
) -> None:
    """Change an instrument from now on.

    Its current row is closed and another one opened. Where its bars come from another stream then, the days that are held of that
    stream are made again by the daemon's next look at the invalidation log, or by `rrr refresh`.
    """
    from rrr_assets import read
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.output import note
    from rrr_assets.venues.names import parse_instrument
    from rrr_assets.warehouse.connect import Database
    from rrr_assets.warehouse.declare import Declared, NeverListed, declare

    declared = Declared(price_scale, size_scale, bars_stream, listed_on, delisted_on)
    given = {name: value for name, value in asdict(declared).items() if value is not None}
    if not given:
        raise typer.BadParameter("nothing to change. Give --price-scale, --size-scale, --bars-stream, --listed-on or --delisted-on")
    try:
        name = parse_instrument(instrument)
    except ValueError as error:
        raise read.UnknownInstrument(str(error)) from error
    database = Database.current()
    try:
        days = declare(database, name, declared)
    except NeverListed as error:
        raise CommandFailed(str(error)) from error
    if days is None:
        read.check_known(name, database=database)
        raise CommandFailed(f"{name} was changed at this very moment by somebody else. Try again")
    note(f"{name}: {', '.join(f'{field} {value}' for field, value in given.items())} from now on")
    if days:
        note(f"bars of {counted(len(days), 'day')} are to be made again, {days[0]} to {days[-1]}: the daemon does it, or `rrr refresh`")


@quarantine_app.callback()
def quarantine(
    context: typer.Context,
    instrument: OnlyInstrument = None,
    reason: Reason = None,
    start: MaybeStart = None,
    end: MaybeEnd = None,
    is_all: IsAll = False,
    chosen: FormatOption = None,
    as_json: JsonFlag = False,
    out: Out = None,
) -> None:
    if context.invoked_subcommand is None:
        list_quarantine(instrument, reason, start, end, is_all, chosen, as_json, out)


@quarantine_app.command(name="list")
def list_quarantine(
    instrument: OnlyInstrument = None,
    reason: Reason = None,
    start: MaybeStart = None,
    end: MaybeEnd = None,
    is_all: IsAll = False,
    chosen: FormatOption = None,
    as_json: JsonFlag = False,
    out: Out = None,
) -> None:
    """Print the rows that were refused."""
    from rrr_assets import read
    from rrr_assets.cli.output import emit

    found = read.quarantine(instrument, reason, start, end, state=None if is_all else "quarantined")
    hidden = ("quarantine_id", "file_id", "sequence", "after_time", "before_time", "batch_id", "quarantined_at", "replayed_at")
    emit(found, chosen, as_json=as_json, out=out, hidden=hidden)


@quarantine_app.command()
def replay(instrument: OnlyInstrument = None, reason: Reason = None, as_json: JsonFlag = False) -> None:
    """Take refused rows in, once their cause is mended.

    The days that changed are materialised then, so that bars and verdicts follow.
    """
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.cli.runs import dagster_instance, materialize
    from rrr_assets.ticks.replay import replay as replay_rows
    from rrr_assets.warehouse.home import Home

    outcome = replay_rows(ready_database(), Home.current(), instrument=instrument, reason=reason)
    failures: list[str] = []
    if outcome.days:
        with dagster_instance() as instance:
            runs = list(materialize(instance, outcome.days, streams=set(outcome.streams)))
        failures = [run.failure for run in runs if run.failure]
    told = {**asdict(outcome), "days": [day.isoformat() for day in outcome.days], "streams": list(outcome.streams)}
    if as_json:
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stdout.write(", ".join(f"{name.replace('_', ' ')} {_listed(value)}" for name, value in told.items()) + "\n")
    if failures:
        raise CommandFailed("; ".join(failures))


def _listed(value: object) -> str:
    return (", ".join(value) or "none") if isinstance(value, list) else str(value)


def formats(chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None) -> None:
    """Print the source formats that are read."""
    import pyarrow as pa

    from rrr_assets.cli.output import emit
    from rrr_assets.venues import registry

    names, evidence, descriptions = zip(*registry.describe(), strict=True)
    emit(pa.table({"format": list(names), "evidence": list(evidence), "description": list(descriptions)}), chosen, as_json=as_json, out=out)
