"""Commands that run the graph: ingest, refresh, run, ui, bench."""

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rrr_assets.calc.words import counted
from rrr_assets.cli.arguments import parse_day
from rrr_assets.cli.progress import Bars, progress_bars
from rrr_assets.contracts.history import Destination

if TYPE_CHECKING:
    from rrr_assets.cli.runs import RunTold
    from rrr_assets.ticks.landing import Accepted
    from rrr_assets.warehouse.connect import Database

_MOST_DAYS: Final = 100_000
BENCH_REPORT: Final = Path("build/reports/bench.json")


def register(app: typer.Typer) -> None:
    for command in (ingest, refresh, run, ui, bench):
        app.command()(command)


def ingest(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files, or folders of files of one format.", show_default=False)],
    format_name: Annotated[str, typer.Option("--format", help="The source format; `rrr formats` lists them.", show_default=False)],
    instrument: Annotated[str | None, typer.Option("--instrument", metavar="VENUE:SYMBOL", help="Where the files do not say it.")] = None,
    day: Annotated[str | None, typer.Option("--day", metavar="DAY", help="Each file is the whole of this UTC day.")] = None,
    mapping: Annotated[
        Path | None,
        typer.Option("--mapping", metavar="FILE", help="What the columns of tables mean, for --format table; else those beside them."),
    ] = None,
    to: Annotated[
        Destination | None,
        typer.Option("--to", help="Where ticks of days go that nothing is held of: auto takes history straight to the archive."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Take venue files in.

    Each file is verified whole and kept in the landing zone; then the days that the files touch are materialised, in one
    Dagster run per contiguous range of days. Ends with status 0 when every file was accepted and its rows are stored, known,
    or in quarantine.
    """
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.venues.names import parse_instrument

    try:
        name = parse_instrument(instrument) if instrument else None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if mapping is not None and format_name != "table":
        raise typer.BadParameter("--mapping is for --format table")
    if mapping is not None and not mapping.is_file():
        raise typer.BadParameter(f"there is no file {mapping}")
    wanted = [Wanted(path, format_name, name, parse_day(day) if day else None, mapping) for path in _files(paths)]
    if not wanted:
        raise CommandFailed(f"there is no file in {', '.join(map(str, paths))}. Name files, or folders that hold some")
    report(take_in(wanted, show=not as_json and sys.stderr.isatty(), to=to), as_json=as_json)


def refresh(as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False) -> None:
    """Bring all bars and verdicts that lag behind up to date.

    What the daemon does by itself while it runs: for days whose trades, rules or declared stream changed since.
    """
    from datetime import timedelta

    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.runs import dagster_instance
    from rrr_assets.cli.runs import refresh as refresh_days
    from rrr_assets.warehouse.refresh import days_behind

    days = list(days_behind(ready_database(), _MOST_DAYS, timedelta(0)))
    failures: list[str] = []
    with progress_bars(show=not as_json and sys.stderr.isatty()) as progress, dagster_instance() as instance:
        failures += [told.failure for told in refresh_days(instance, days, progress.asset) if told.failure]
    if as_json:
        sys.stdout.write(json.dumps({"days": [day.isoformat() for day in days], "failures": failures}) + "\n")
    else:
        sys.stdout.write(f"{counted(len(days), 'day')} {'was' if len(days) == 1 else 'were'} behind{': ' + _days(days) if days else ''}\n")
    if failures:
        raise CommandFailed("; ".join(failures))


def report(done: "TakenIn", *, as_json: bool) -> None:
    """Print what an ingest did; ends with status 1 where something was refused or failed."""
    if as_json:
        sys.stdout.write(json.dumps(done.told()) + "\n")
    else:
        _print(done)
    if done.refused or done.failures:
        for reason in [*done.refused, *done.failures]:
            sys.stderr.write(f"rrr: {reason}\n")
        raise typer.Exit(1)


@dataclass(frozen=True)
class Wanted:
    """A file to be taken in, and what the user says of it."""

    path: Path
    format: str
    instrument: str | None = None
    day: date | None = None
    mapping: Path | None = None


@dataclass
class TakenIn:
    """What an ingest did. Counts are of rows; rows_read = stored + revised + duplicates + quarantined."""

    rows_read: int = 0
    rows_stored: int = 0
    rows_revised: int = 0
    duplicates: int = 0
    quarantined: int = 0
    passed_over: int = 0
    files: int = 0
    days: list[date] = field(default_factory=list)
    instruments: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    runs: "list[RunTold]" = field(default_factory=list)
    accept_seconds: float = 0.0

    @property
    def straight(self) -> list[dict[str, Any]]:
        """The days that went straight to the archive: asset, day, rows, seconds, stages."""
        return [each for run in self.runs for each in run.straight]

    def told(self) -> dict[str, Any]:
        """For machines."""
        return {
            "rows_read": self.rows_read,
            "rows_stored": self.rows_stored,
            "rows_revised": self.rows_revised,
            "duplicates": self.duplicates,
            "quarantined": self.quarantined,
            "passed_over": self.passed_over,
            "days": [day.isoformat() for day in self.days],
            "instruments": self.instruments,
            "files": self.files,
            "refused": self.refused,
            "failures": self.failures,
            "runs": [run.run_id for run in self.runs],
            "accept_seconds": round(self.accept_seconds, 3),
            "straight": self.straight,
        }


def take_in(wanted: Sequence[Wanted], *, show: bool, to: Destination | None = None) -> TakenIn:
    """Accept files and materialise the days they touch. A file that is refused costs no other file.

    `to` says where history goes, None for what the environment says.
    """
    from rrr_assets.cli.runs import dagster_instance, materialize

    database = ready_database()
    done = TakenIn()
    with progress_bars(show=show) as progress:
        begun = time.perf_counter()
        accepted = _accept(database, wanted, done, progress)
        done.accept_seconds = time.perf_counter() - begun
        done.days = sorted({day for file in accepted for day in file.days})
        if done.days:
            with dagster_instance() as instance:
                for run_told in materialize(instance, done.days, progress.asset, {file.stream for file in accepted}, to):
                    done.runs.append(run_told)
                    if run_told.failure:
                        done.failures.append(f"run {run_told.run_id}: {run_told.failure}")
    _count(database, accepted, done)
    return done


def ready_database() -> "Database":
    """The database, migrated where it is our own; another one is migrated by `rrr migrate`, when its owner wants it."""
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.warehouse.connect import Database, Role
    from rrr_assets.warehouse.migrate import migrate

    database = Database.current()
    if database.is_embedded:
        migrate(database)
        return database
    with database.connect(Role.WRITER, autocommit=True) as connection:
        if connection.execute("select to_regclass('public.ingest_batches')").fetchone() == (None,):
            raise CommandFailed("the database of RRR_DATABASE_URL is not migrated. Run `rrr migrate`")
    return database


def _files(paths: Sequence[Path]) -> list[Path]:
    """Files as named, and those below named folders; checksums go with the files that they are of."""
    from rrr_assets.venues.table_mapping import is_mapping

    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
        else:
            found.append(path)
    return [path for path in found if path.suffix != ".CHECKSUM" and not is_mapping(path)]


def _accept(database: "Database", wanted: Sequence[Wanted], done: TakenIn, progress: "Bars") -> "list[Accepted]":
    from rrr_assets.calc.outcomes import NoSpaceLeft
    from rrr_assets.ticks import landing
    from rrr_assets.venues.base import SourceRefused
    from rrr_assets.warehouse.connect import Role
    from rrr_assets.warehouse.home import Home

    home = Home.current()
    accepted: list[Accepted] = []
    with database.connect(Role.WRITER, autocommit=True) as connection:
        for number, file in enumerate(wanted, start=1):
            try:
                streams = landing.accept(home, connection, file.path, file.format, file.instrument, file.day, file.mapping)
            except (SourceRefused, NoSpaceLeft, ValueError) as error:
                done.refused.append(str(error))
            else:
                accepted += streams
                done.files += 1
                # What one stream passes over, another may have taken.
                done.passed_over += max(0, streams[0].passed_over - sum(other.rows_read for other in streams[1:]))
            progress.step("verify and stage files", number, len(wanted))
    return accepted


def _count(database: "Database", accepted: "Sequence[Accepted]", done: TakenIn) -> None:
    """Count what became of the files, by the books."""
    from rrr_assets.warehouse.connect import Role
    from rrr_assets.warehouse.sqlfiles import query

    with database.connect(Role.WRITER, autocommit=True) as connection:
        rows = connection.execute(query("ingest_outcome"), {"file_ids": [file.file_id for file in accepted]}).fetchall()
    for _, name, day, is_pending, refused, rows_read, *counts in rows:
        done.rows_read += rows_read
        done.rows_stored += counts[0]
        done.rows_revised += counts[1]
        done.duplicates += counts[2]
        done.quarantined += counts[3]
        if refused:
            done.refused.append(refused)
        elif is_pending:
            done.failures.append(f"{name}: its rows of {day} still wait. Mend what stopped the run, and ingest it again")
    done.instruments = sorted({name for file in accepted for name in file.instruments})


def _print(done: TakenIn) -> None:
    lines = {
        "files": done.files,
        "days": _days(done.days),
        "instruments": ", ".join(done.instruments),
        "rows read": done.rows_read,
        "stored": done.rows_stored,
        "revised": done.rows_revised,
        "duplicates": done.duplicates,
        "quarantined": done.quarantined,
        "lines passed over": done.passed_over,
    }
    if done.straight:
        lines |= {"straight to the archive": _straight(done)}
    for name, value in lines.items():
        sys.stdout.write(f"{name:24}{value:,}\n" if isinstance(value, int) else f"{name:24}{value}\n")


def _straight(done: TakenIn) -> str:
    """What went straight to the archive, and where its seconds went; some of them were spent beside each other."""
    rows, seconds = (sum(each[name] for each in done.straight) for name in ("rows", "seconds"))
    stages: dict[str, float] = {"verify and parse": done.accept_seconds}
    for each in done.straight:
        for name, spent in each["stages"].items():
            stages[name] = stages.get(name, 0.0) + spent
    told = ", ".join(f"{name} {spent:.1f} s" for name, spent in stages.items())
    return f"{counted(len(done.straight), 'day')}, {counted(rows, 'row')} in {done.accept_seconds + seconds:.1f} s ({told})"


def _days(days: Sequence[date]) -> str:
    from rrr_assets.resources.partitions import contiguous

    return ", ".join(first.isoformat() if first == last else f"{first} to {last}" for first, last in contiguous(days))


def run(
    days: Annotated[int, typer.Option("--days", min=1, help="Days that the simulated exchange writes.")] = 3,
    instruments: Annotated[int, typer.Option("--instruments", min=1, max=5, help="Instruments that it trades.")] = 5,
    trades: Annotated[int, typer.Option("--trades", min=1, help="Trades that it prints, in all.")] = 600_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same files.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Run the whole platform once on simulated venue files, and report what it did.

    Ends with status 0 when no bar is left unexplained and every blocking check passed.
    """
    from rrr_assets.cli.mainjob import run_main_job

    report = run_main_job(days=days, instruments=instruments, trades=trades, seed=seed, show=not as_json)
    if as_json:
        sys.stdout.write(json.dumps(report.told(), indent=1) + "\n")
    else:
        report.print()
    if not report.is_good:
        raise typer.Exit(1)


def ui(
    port: Annotated[int, typer.Option("--port", help="Of the UI, on this machine alone.")] = 3000,
    host: Annotated[
        str, typer.Option("--host", help="It has no authentication: keep it to this machine, or behind a proxy.")
    ] = "127.0.0.1",
) -> None:
    """Start the Dagster UI with its daemon, on the platform's data."""
    from rrr_assets.resources.dagster_home import prepare_dagster_home

    ready_database()
    folder = prepare_dagster_home()
    command = [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "--host", host, "--port", str(port)]
    # From DAGSTER_HOME, where no other dagster.yaml lies that Dagster would warn about; RRR_HOME is named for it.
    from rrr_assets.warehouse.home import home_dir

    os.environ["RRR_HOME"] = str(home_dir())
    os.chdir(folder)
    os.execv(sys.executable, command)  # noqa: S606  # there is no shell, and none is wanted: this process becomes Dagster


def bench(
    only: Annotated[str | None, typer.Option("--only", help="Parts with commas between them; without it all.")] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the JSON goes.", dir_okay=False)] = BENCH_REPORT,
) -> None:
    """Measure the platform against bare engines on the same rows, and print a table."""
    from rrr_assets.cli.failures import CommandFailed

    try:
        from rrr_assets_tests.bench.suite import main
    except ModuleNotFoundError as error:
        raise CommandFailed("the benchmark is part of a checkout, not of the installed package. Run `make bench` in one") from error
    main(only.split(",") if only else None, out)
