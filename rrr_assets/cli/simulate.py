"""The command that writes made-up venue files."""

import json
import sys
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rrr_assets.cli.arguments import JsonFlag, parse_day, parse_names

if TYPE_CHECKING:
    from rrr_assets.simulator import Simulation

_DEFAULT_TRADES: Final = 100_000


def register(app: typer.Typer) -> None:
    app.command()(simulate)


def simulate(
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Write the files below this folder.", file_okay=False, show_default=False)
    ],
    days: Annotated[str, typer.Option("--days", help="How many days from --start on, or days with commas between them.")] = "1",
    start: Annotated[str, typer.Option("--start", metavar="DAY", help="The first day, where --days is a number.")] = "2024-01-02",
    instruments: Annotated[
        str, typer.Option("--instruments", help="VENUE:SYMBOL with commas between them, busiest first; or a number of them.")
    ] = "5",
    trades: Annotated[int, typer.Option("--trades", min=0, help="Trades in all.")] = _DEFAULT_TRADES,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same bytes.")] = 1,
    defects: Annotated[str, typer.Option("--defects", help="Kinds with commas between them, or default, or none.")] = "none",
    quotes: Annotated[bool, typer.Option("--quotes", help="Quotes too, where the venue is coinbase or bybit.")] = False,
    seasonal: Annotated[
        bool, typer.Option("--seasonal", help="Inject what only history tells: activity or a spread that is unusual for the hour.")
    ] = False,
    injections: Annotated[int, typer.Option("--injections", min=0, help="How many to inject, each with its truth in the manifest.")] = 0,
    inject: Annotated[str, typer.Option("--inject", metavar="KINDS", help="Kinds to inject, with commas between them.")] = "",
    history: Annotated[int, typer.Option("--history", min=0, metavar="DAYS", help="Inject nothing into so many days at first.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Write the files of a made-up exchange.

    They are what its venues would have published, with the defects that were chosen or injected; manifest.json says which. With quotes,
    seasons or injections the market is a calm one.
    """
    from rrr_assets import simulator

    try:
        done = simulator.simulate(
            out,
            days=_days(days, parse_day(start)),
            instruments=_instruments(instruments),
            trades=trades,
            seed=seed,
            defects=simulator.parse_defects(defects),
            quotes=quotes,
            seasonal=seasonal,
            injections=injections,
            injected_kinds=parse_names(inject) if inject else None,
            history=history,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    _print(done, as_json=as_json)


def _days(text: str, start: date) -> list[date]:
    if text.isdecimal():
        return [start + timedelta(days=number) for number in range(int(text))]
    return [parse_day(day) for day in parse_names(text)]


def _instruments(text: str) -> list[str]:
    from rrr_assets.simulator import DEFAULT_INSTRUMENTS

    if not text.isdecimal():
        return parse_names(text)
    if int(text) > len(DEFAULT_INSTRUMENTS):
        raise ValueError(f"there are {len(DEFAULT_INSTRUMENTS)} instruments to take by number. Name those wanted")
    return list(DEFAULT_INSTRUMENTS[: int(text)])


def _print(done: "Simulation", *, as_json: bool) -> None:
    from rrr_assets.simulator import INJECTED, MANIFEST_NAME

    happened = sum(sum(days.values()) for days in done.trades.values())
    if as_json:
        summary = {
            "out": str(done.out),
            "manifest": str(done.out / MANIFEST_NAME),
            "files": len(done.files),
            "trades": happened,
            "defects": len(done.defects),
            **({"injections": len(done.injections)} if done.injections else {}),
        }
        sys.stdout.write(json.dumps(summary) + "\n")
        return
    sys.stdout.write(f"{len(done.files)} files with {happened:,} trades are in {done.out}; {MANIFEST_NAME} there lists them\n")
    for defect in done.defects:
        sys.stdout.write(f"{defect.kind} in {defect.file}: {defect.expected}\n")
    for kind, number in Counter(injection.kind for injection in done.injections).items():
        sys.stdout.write(f"{number} injections of {kind}: {INJECTED[kind].expected}\n")
