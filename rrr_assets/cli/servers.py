"""Commands for the database: up, down, status, migrate, upgrade."""

import json
import os
import sys
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rrr_assets.calc.words import counted
from rrr_assets.cli.arguments import JsonFlag

if TYPE_CHECKING:
    from rrr_assets.warehouse.connect import Database
    from rrr_assets.warehouse.migrate import Migrated

_PROBE_SECONDS: Final = 5
_PACKAGES: Final = ("rrr-assets", "dagster", "psycopg", "pyarrow")


def register(app: typer.Typer) -> None:
    for command in (up, down, status, migrate, upgrade):
        app.command()(command)


def up() -> None:
    """Start the database.

    Brings its schema up to date, and prepares Dagster's home.
    """
    from rrr_assets.cli.output import note
    from rrr_assets.resources.dagster_home import prepare_dagster_home

    database = _database()
    _tell_migrated(_migrate(database))
    prepare_dagster_home()
    _start_backups(database)
    note(f"database {database.name} is up. `rrr ui` starts the Dagster UI, `rrr down` stops the database")


def down() -> None:
    """Stop the embedded database, and the receiver of its log."""
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.output import note
    from rrr_assets.warehouse.backup import end_receiver
    from rrr_assets.warehouse.home import Home, home_dir
    from rrr_assets.warehouse.server import stop

    if os.environ.get("RRR_DATABASE_URL"):
        raise CommandFailed("RRR_DATABASE_URL names a server that is not ours to stop. Stop it where it runs, or unset the variable")
    stop()
    end_receiver(Home(home_dir()))
    note("the database is stopped")


def migrate(
    convert: Annotated[bool, typer.Option("--convert", help="Move a plain database over to TimescaleDB, on a server that has it.")] = False,
) -> None:
    """Bring the schema up to date.

    With --convert, in hours rather than seconds: it copies all ticks, day by day. Interrupted, it goes on where it was.
    """
    database = _database()
    if convert:
        from rrr_assets.cli.output import note
        from rrr_assets.warehouse.convert import convert as move_over

        done = move_over(database, note)
        moved = f"moved to TimescaleDB, {counted(done.rows, 'row')} by this run"
        note(moved if done.was_moved else "the database is of TimescaleDB already")
    else:
        _tell_migrated(_migrate(database))


def upgrade(
    from_bin: Annotated[
        Path | None, typer.Option("--from-bin", metavar="FOLDER", help="The old version's programs, where they are not found.")
    ] = None,
    drop_old: Annotated[bool, typer.Option("--drop-old", help="Remove the old data, which is kept otherwise.")] = False,
) -> None:
    """Move the embedded database to the major version of PostgreSQL that is installed.

    Refused while somebody uses the database. Interrupted anywhere, it is begun or carried on by the same command.
    """
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.output import note
    from rrr_assets.warehouse.upgrade import upgrade as move_over

    if os.environ.get("RRR_DATABASE_URL"):
        raise CommandFailed("RRR_DATABASE_URL names a server that is not ours to upgrade. Upgrade it where it runs, or unset the variable")
    done = move_over(from_bin=from_bin, drop_old=drop_old, progress=note)
    is_so = "is, as its programs are," if done.moved_from is None else f"was moved from PostgreSQL {done.moved_from}, and is now"
    note(f"the database {is_so} of PostgreSQL {done.data_version}")
    for kept in done.kept:
        note(f"the old data is kept in {kept}; `rrr upgrade --drop-old` removes it")


def status(as_json: JsonFlag = False) -> None:
    """Print how the database is.

    Starts nothing, and ends with status 1 where it is down.
    """
    found = _probe()
    found["versions"] = {"python": python_version(), **{name: _version(name) for name in _PACKAGES}}
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    else:
        for part, facts in found.items():
            said = ", ".join(f"{name} {_shown(fact)}" for name, fact in facts.items() if fact is not None)
            if said:
                sys.stdout.write(f"{part + ':':12}{said}\n")
    if found["server"]["state"] != "up":
        raise typer.Exit(1)


def _database() -> "Database":
    """The database of the environment, its embedded server started, with a word about what is waited for."""
    from rrr_assets.cli.output import note
    from rrr_assets.warehouse.connect import Database
    from rrr_assets.warehouse.server import ensure_running

    if not os.environ.get("RRR_DATABASE_URL"):
        ensure_running(progress=note)
    return Database.current()


def _start_backups(database: "Database") -> None:
    """Start what backs the database up, where it is backed up; that it cannot be is a failure here."""
    from rrr_assets.cli.output import note
    from rrr_assets.warehouse.backup import Backups, backup_dir

    if (folder := backup_dir()) is not None:
        Backups.current(database).keep_receiving()
        note(f"its log is received in {folder}")


def _migrate(database: "Database") -> "Migrated":
    from rrr_assets.warehouse import migrate as migrations

    return migrations.migrate(database)


def _tell_migrated(done: "Migrated") -> None:
    from rrr_assets.cli.output import note

    note(f"applied {', '.join(done.applied)}" if done.applied else "the schema is up to date")


def _probe() -> dict[str, dict[str, Any]]:
    """Look at server, database and schema without starting or making anything."""
    from rrr_assets.warehouse.home import Home, home_dir
    from rrr_assets.warehouse.server import status as server_status
    from rrr_assets.warehouse.upgrade import notice

    given = os.environ.get("RRR_DATABASE_URL")
    server: dict[str, Any] = {"state": "down", "kind": "given by RRR_DATABASE_URL" if given else "embedded"}
    found: dict[str, dict[str, Any]] = {"server": server, "database": {}, "migrations": {}}
    if given:
        _look_into(found, given)
        found["backup"] = _probe_backup(given)
        return found
    home = Home(home_dir())
    if running := server_status(home):
        server |= {"state": "up", "host": running.host, "port": running.port, "pid": running.pid, "data": str(running.data_dir)}
        from rrr_assets.warehouse.connect import EMBEDDED_DATABASE

        url = running.url(EMBEDDED_DATABASE, running.superuser)
        _look_into(found, url)
        found["backup"] = _probe_backup(url)
    if said := notice(home, running):
        server["upgrade"] = said
    return found


def _probe_backup(url: str) -> dict[str, Any]:
    """How the receiver of the log is, and what the server keeps back for it; says something too where a slot was left behind."""
    from rrr_assets.warehouse.backup import backup_dir, probe

    folder = backup_dir()
    found: dict[str, Any] = {"folder": None if folder is None else str(folder)}
    return {key: value for key, value in (found | probe(url)).items() if value is not None}


def _look_into(found: dict[str, dict[str, Any]], url: str) -> None:
    import psycopg

    from rrr_assets.cli.failures import without_secrets
    from rrr_assets.warehouse.migrate import migration_files
    from rrr_assets.warehouse.sqlfiles import query

    try:
        connection = psycopg.connect(url, connect_timeout=_PROBE_SECONDS, options="-c TimeZone=UTC", autocommit=True)
    except psycopg.Error as error:
        found["database"]["problem"] = without_secrets(str(error).strip().splitlines()[0])
        return
    with closing(connection):
        row = connection.execute(query("read_status")).fetchone()
        if row is None:
            return
        server_version, size_bytes, is_migrated = row
        found["server"] |= {"state": "up", "version": server_version.split()[0]}
        found["database"] = {"name": connection.info.dbname, "size_bytes": size_bytes}
        found["migrations"] = {"engine": None, "applied": 0, "pending": [path.stem for path in migration_files("postgresql")]}
        if is_migrated and (row := connection.execute(query("read_migrations")).fetchone()):
            engine, applied = row
            pending = [path.stem for path in migration_files(engine or "postgresql") if path.stem not in applied]
            found["migrations"] = {"engine": engine, "applied": len(applied), "pending": pending}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _shown(fact: object) -> str:
    if isinstance(fact, list):
        return ", ".join(fact) or "none"
    return f"{fact:,}" if isinstance(fact, int) and fact > 99_999 else str(fact)
