"""Commands for what is found out later: corrections, batches that are taken back, and what that changed.

Belongs here: correct, bars-diff, batch. Does not: reading as known at a time (reads.py).
"""

import csv
import json
import sys
import tempfile
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rrr_assets.calc.words import counted
from rrr_assets.cli.arguments import (
    FormatOption,
    Instrument,
    Interval,
    JsonFlag,
    MaybeEnd,
    MaybeStart,
    OnlyInstrument,
    Out,
    parse_day,
    parse_time,
)

if TYPE_CHECKING:
    from rrr_assets.read import BarChange, Cause

_FORMAT: Final = "rrr-corrections"
_COLUMNS: Final = ("instrument", "sequence", "day", "action", "price", "size", "side", "new_event_time", "reason")

Why = Annotated[str | None, typer.Option("--reason", help="Why, in your words: it is kept with what it ends.", show_default=False)]
batch_app = typer.Typer(invoke_without_command=True, help="Print the batches, or take one back.")


def register(app: typer.Typer) -> None:
    app.command()(correct)
    app.command(name="bars-diff")(bars_diff)
    app.add_typer(batch_app, name="batch")


def correct(
    instrument: Annotated[str | None, typer.Argument(metavar="VENUE:SYMBOL", help="Whose trade.", show_default=False)] = None,
    sequence: Annotated[int | None, typer.Argument(metavar="SEQUENCE", help="Its id in `rrr trades`.", show_default=False)] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="It never happened.")] = False,
    price: Annotated[str | None, typer.Option("--price", help="The right price.")] = None,
    size: Annotated[str | None, typer.Option("--size", help="The right size.")] = None,
    side: Annotated[str | None, typer.Option("--side", help="The right aggressor: buy or sell.")] = None,
    time: Annotated[
        datetime | None, typer.Option("--time", parser=parse_time, metavar="TIME", help="The right time, on the same day.")
    ] = None,
    day: Annotated[
        str | None, typer.Option("--day", metavar="DAY", help="The trade's UTC day, where its id stands on several.", show_default=False)
    ] = None,
    reason: Why = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="Corrections in the format rrr-corrections.", dir_okay=False),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Correct or cancel a trade.

    What was believed stays readable with --as-known-at; bars and verdicts follow. A correction is a file like any other: it is
    kept in the landing zone, and given again it changes nothing.
    """
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import Wanted, report, take_in

    changes = {"price": price, "size": size, "side": side, "new_event_time": time.isoformat() if time else None}
    if file is not None:
        if instrument is not None or cancel or reason is not None or any(changes.values()):
            raise typer.BadParameter("give a file, or one correction, not both")
        report(take_in([Wanted(file, _FORMAT)], show=False), as_json=as_json)
        return
    row = _correction(instrument, sequence, cancel, changes, reason)
    if day is not None:
        row["day"] = parse_day(day).isoformat()
    with tempfile.TemporaryDirectory(prefix="rrr-correct-") as folder:
        path = Path(folder) / f"{str(row['instrument']).replace(':', '-')}-{sequence}.csv"
        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerow(row)
        done = take_in([Wanted(path, _FORMAT)], show=False)
        report(done, as_json=as_json)
    if done.quarantined:
        raise CommandFailed(f"the correction was not applied and waits in quarantine: {_why_refused(path.name)}")


def _why_refused(name: str) -> str:
    """Why the correction of a file was refused."""
    from rrr_assets import read

    waiting = read.quarantine().select(["file_name", "detail"]).to_pylist()
    return str([row["detail"] for row in waiting if row["file_name"] == name][-1])


def _correction(
    instrument: str | None, sequence: int | None, cancel: bool, changes: Mapping[str, str | None], reason: str | None
) -> dict[str, str | int]:
    """One correction as a line of the format.

    Raises:
        typer.BadParameter: something is missing, or contradicts the rest.
    """
    from rrr_assets.venues.names import parse_instrument

    if instrument is None or sequence is None:
        raise typer.BadParameter("say which trade: VENUE:SYMBOL and its SEQUENCE, or give --file")
    if not reason or not reason.strip():
        raise typer.BadParameter("a correction needs a reason. Give it with --reason")
    if not reason.isprintable():
        raise typer.BadParameter("--reason is one line of text")
    given = {name: value for name, value in changes.items() if value is not None}
    if cancel == bool(given):
        raise typer.BadParameter("give either --cancel, or what is right: --price, --size, --side, --time")
    _check_numbers(given)
    if given.get("side", "buy") not in {"buy", "sell"}:
        raise typer.BadParameter(f"--side {given['side']} is neither buy nor sell")
    try:
        name = parse_instrument(instrument)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return {"instrument": name, "sequence": sequence, "action": "cancel" if cancel else "replace", **given, "reason": reason.strip()}


def _check_numbers(given: Mapping[str, str]) -> None:
    import pyarrow as pa

    from rrr_assets.calc.decimals import PRICE, SIZE, parse_decimals

    for name, kind in (("price", PRICE), ("size", SIZE)):
        if name not in given:
            continue
        (number,) = parse_decimals(pa.array([given[name]]), kind).to_pylist()
        if number is None:
            raise typer.BadParameter(f"--{name} {given[name]} is no decimal number of at most {kind.scale} decimals")
        if number <= 0:
            raise typer.BadParameter(f"--{name} {given[name]} is not greater than 0")


def bars_diff(
    instrument: Instrument,
    as_known_at: Annotated[datetime, typer.Option("--as-known-at", parser=parse_time, metavar="TIME", help="One knowledge time, in UTC.")],
    and_at: Annotated[datetime, typer.Option("--and-at", parser=parse_time, metavar="TIME", help="A later one.")],
    start: MaybeStart = None,
    end: MaybeEnd = None,
    interval: Interval = "1m",
    as_json: JsonFlag = False,
) -> None:
    """Print which bars changed between two knowledge times, and why."""
    from rrr_assets import read

    if and_at < as_known_at:
        raise typer.BadParameter("--and-at lies before --as-known-at")
    if start is not None and end is not None and end < start:
        raise typer.BadParameter("--end lies before --start")
    first, last = datetime.fromisoformat("2009-01-01T00:00:00+00:00"), datetime.fromisoformat("2100-01-01T00:00:00+00:00")
    found = read.bars_diff(instrument, interval, start or first, end or last, as_known_at=as_known_at, and_at=and_at)
    if as_json:
        sys.stdout.write(json.dumps([_told(change) for change in found]) + "\n")
        return
    _print_changes(found, f"{instrument} {interval}: {counted(len(found), 'bar')} changed")


def _told(change: "BarChange") -> dict[str, Any]:
    """A change for machines; numbers are texts, so that no reader rounds them."""

    def exact(bar: Mapping[str, Any] | None) -> dict[str, Any] | None:
        return (
            None
            if bar is None
            else {name: _shown(value) if isinstance(value, Decimal | datetime) else value for name, value in bar.items()}
        )

    return {
        "bar_start": f"{change.bar_start:%Y-%m-%dT%H:%M:%SZ}",
        "before": exact(change.before),
        "after": exact(change.after),
        "causes": [
            {"kind": cause.kind, "batch_id": cause.batch_id, "file": cause.file, "reason": cause.reason, "trades": cause.trades}
            for cause in change.causes
        ],
    }


def _print_changes(changes: "list[BarChange]", title: str) -> None:
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    table = Table("bar", "what changed", title=title)
    table.add_column("why", overflow="fold")
    for change in changes:
        table.add_row(f"{change.bar_start:%Y-%m-%d %H:%M}", _difference(change), "\n".join(map(_why, change.causes)))
    console = Console(markup=False, highlight=False)
    if not sys.stdout.isatty():
        # A file is as wide as it must be.
        console.width = max(Measurement.get(console, console.options.update(max_width=10_000), table).maximum, len(title))
    console.print(table)


def _difference(change: "BarChange") -> str:
    if change.before is None:
        return "new"
    if change.after is None:
        return "gone"
    old, new = change.before, change.after
    changed = [name for name in old if old[name] != new[name] and name != "known_at"]
    return "\n".join(f"{name} {_shown(old[name])} -> {_shown(new[name])}" for name in changed)


def _shown(value: Any) -> str:
    from rrr_assets.calc.numbers import plain

    if isinstance(value, Decimal):
        return plain(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _why(cause: "Cause") -> str:
    what = "what is covered" if cause.kind == "coverage" else counted(cause.trades, "trade")
    where = f"batch {cause.batch_id}" if cause.file is None else f"batch {cause.batch_id} of {cause.file}"
    return f"{cause.kind}: {what} by {where}" + (f" ({cause.reason})" if cause.reason else "")


@batch_app.callback()
def batch(
    context: typer.Context,
    instrument: OnlyInstrument = None,
    start: MaybeStart = None,
    end: MaybeEnd = None,
    chosen: FormatOption = None,
    as_json: JsonFlag = False,
    out: Out = None,
) -> None:
    if context.invoked_subcommand is None:
        list_batches(instrument, start, end, chosen, as_json, out)


@batch_app.command(name="list")
def list_batches(
    instrument: OnlyInstrument = None,
    start: MaybeStart = None,
    end: MaybeEnd = None,
    chosen: FormatOption = None,
    as_json: JsonFlag = False,
    out: Out = None,
) -> None:
    """Print the batches of some days: one for each file and day that was taken in."""
    from rrr_assets import read
    from rrr_assets.cli.output import emit

    emit(read.batches(instrument, start, end), chosen, as_json=as_json, out=out, hidden=("file_id", "time_unit", "run_id", "seconds"))


@batch_app.command()
def undo(
    batch_id: Annotated[int, typer.Argument(metavar="BATCH", help="Its number, as `rrr batch list` shows it.", show_default=False)],
    reason: Annotated[str, typer.Option("--reason", help="Why, in your words: it is kept with what it ends.", show_default=False)],
    as_json: JsonFlag = False,
) -> None:
    """Take a batch back: its rows end, what they replaced stands again, bars and verdicts follow.

    What was believed stays readable with --as-known-at. The file may be taken in again.
    """
    from dataclasses import asdict

    from rrr_assets.calc.outcomes import PermanentFailure
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.cli.output import note
    from rrr_assets.cli.runs import dagster_instance, materialize
    from rrr_assets.lake.restoring import bringing_back
    from rrr_assets.warehouse.tiers import brought_back
    from rrr_assets.warehouse.undo import undo_batch

    if not reason.strip():
        raise typer.BadParameter("taking a batch back needs a reason. Give it with --reason")
    database = ready_database()
    try:
        done = brought_back(bringing_back(database), lambda: undo_batch(database, batch_id, reason.strip()))
    except PermanentFailure as error:
        raise CommandFailed(str(error)) from error
    with dagster_instance() as instance:
        failures = [told.failure for told in materialize(instance, [done.day], streams=[done.stream]) if told.failure]
    if as_json:
        told = {**asdict(done), "day": done.day.isoformat(), "known_at": done.known_at.isoformat()}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stdout.write(
            f"batch {done.batch_id} of {done.stream} on {done.day} was taken back by batch {done.undone_by}: "
            f"{counted(done.taken_back, 'row')} ended, {done.restored:,} stand again, {done.kept:,} had been replaced since and stay\n"
        )
        for other, brought in done.others:
            note(f"batch {other} of the same file stands, with {counted(brought, 'row')}: `rrr batch undo {other}` takes it back too")
    if failures:
        raise CommandFailed("; ".join(failures))
