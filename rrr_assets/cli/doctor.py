"""Commands for whoever is on call: doctor, which says what is wrong with the platform and what to do, and runs.

Belongs here: what they take and how they print. Does not: the looks (quality/doctor).
"""

import json
import sys
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Final

import typer

from rrr_assets.cli.arguments import JsonFlag


class Part(StrEnum):
    """What is looked at closely."""

    disk = "disk"
    code = "code"
    store = "store"


_MARKS: Final = {"good": "good   ", "wrong": "WRONG  ", "unknown": "UNKNOWN", "off": "off    "}
_GIGABYTE: Final = 1_000_000_000

runs_app = typer.Typer(invoke_without_command=True, help="Print the latest runs, or stop one.")


def register(app: typer.Typer) -> None:
    app.command()(doctor)
    app.add_typer(runs_app, name="runs")


def doctor(
    part: Annotated[Part | None, typer.Argument(help="Look at this alone, and closely.", show_default=False)] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what is wrong with the platform, and what to do.

    Looks at disks, database, log, files, feeds, backlog, runs, code and the archive's store. Starts nothing and changes nothing.
    Ends with status 1 where something is wrong, or could not be looked at.
    """
    if part is Part.disk:
        _disk(as_json=as_json)
    elif part is Part.code:
        _code()
    elif part is Part.store:
        _store(as_json=as_json)
    else:
        _all(as_json=as_json)


def _all(*, as_json: bool) -> None:
    from rrr_assets.cli.failures import without_secrets
    from rrr_assets.quality.doctor import look_at_all, worst

    looks = []
    for look in look_at_all():
        looks.append(look)
        if not as_json:
            sys.stdout.write(f"{_MARKS[look.state]}  {look.cause:20}{without_secrets(look.told)}\n")
            if look.next_step:
                sys.stdout.write(f"{'':9}{'':20}begin with `{look.next_step}`; {look.runbook}\n")
            sys.stdout.flush()
    if as_json:
        told = [{**asdict(look), "told": without_secrets(look.told), "runbook": look.runbook} for look in looks]
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
    if worst(looks):
        raise typer.Exit(1)


def _disk(*, as_json: bool) -> None:
    from rrr_assets.quality.doctor import what_takes_room
    from rrr_assets.warehouse.disk import disks

    found, taken = disks(), what_takes_room()
    if as_json:
        told = {
            "disks": [{**asdict(disk), "folder": str(disk.folder)} for disk in found],
            "taken": [{**asdict(each), "folder": str(each.folder)} for each in taken],
        }
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
    else:
        for disk in found:
            sys.stdout.write(f"{disk.told}\n")
        for each in taken:
            what = f"frees some: `{each.to_free}`" if each.to_free else "nothing of it may go"
            line = what if each.is_ours else f"shows what it is: `{each.to_free}`"
            sys.stdout.write(f"{each.size_bytes / _GIGABYTE:10,.2f} GB  {each.what} ({each.folder})\n{'':15}{line}\n")
    if any(disk.is_full for disk in found):
        raise typer.Exit(1)


def _code() -> None:
    """The whole traceback of definitions that do not load."""
    from rrr_assets.quality.doctor import load_definitions

    done = load_definitions()
    sys.stderr.write(done.stderr)
    if done.returncode:
        sys.stdout.write("The definitions do not load. Go back to the version that ran before: docs/runbooks/bad-deploy.md\n")
        raise typer.Exit(1)
    sys.stdout.write("The definitions load.\n")


def _store(*, as_json: bool) -> None:
    """Write an object, read it back, remove it."""
    from rrr_assets.quality.doctor import try_store

    seconds, url = try_store()
    if as_json:
        sys.stdout.write(json.dumps({"url": url, "seconds": seconds}) + "\n")
    else:
        sys.stdout.write(f"{url}: an object was written, read back and removed in {seconds:.2f} s\n")


@runs_app.callback()
def runs(context: typer.Context, as_json: JsonFlag = False) -> None:
    if context.invoked_subcommand is None:
        list_runs(as_json=as_json)


@runs_app.command(name="list")
def list_runs(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="So many, the latest first.")] = 20, as_json: JsonFlag = False
) -> None:
    """Print the latest runs."""
    from rrr_assets.quality.doctor import latest_runs, opened_instance

    with opened_instance() as instance:
        found = latest_runs(instance, limit)
    if as_json:
        sys.stdout.write(json.dumps([asdict(run) for run in found], indent=1) + "\n")
        return
    for run in found:
        took = "" if run.seconds is None else f"{run.seconds:,.0f} s"
        sys.stdout.write(f"{run.run_id}  {run.status:10}  {run.started or '':20}  {took:>9}  {run.job}  {run.days}\n")


@runs_app.command()
def stop(
    run_id: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Its id, or the beginning of it.", show_default=False)] = None,
    stuck: Annotated[bool, typer.Option("--stuck", help="All that have said nothing for too long.")] = False,
) -> None:
    """Stop a run.

    It is asked to end where its process lives, and closed in the books where it does not. What it reported stays, and what it had open is
    rolled back. What it did not do goes on waiting, and is asked for again.
    """
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.quality.doctor import opened_instance, stop_run, stuck_runs

    if (run_id is None) == (not stuck):
        raise typer.BadParameter("name a run, or give --stuck")
    with opened_instance() as instance:
        chosen = [run_id] if run_id is not None else [run.run_id for run in stuck_runs(instance)]
        for each in chosen:
            try:
                sys.stdout.write(stop_run(instance, each) + "\n")
            except LookupError as error:
                raise CommandFailed(str(error)) from error
    if not chosen:
        sys.stdout.write("No run is stuck.\n")
