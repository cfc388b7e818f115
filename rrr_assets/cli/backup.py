"""Commands for backups of the database: make, list, check, restore, off.

Belongs here: what they take and print. Does not: how a backup is made (warehouse/backup.py) or restored (warehouse/backup_restore.py).
"""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rrr_assets.cli.arguments import JsonFlag, parse_time

if TYPE_CHECKING:
    from rrr_assets.warehouse.backup import Backups
    from rrr_assets.warehouse.barman import Backup

backup_app = typer.Typer(no_args_is_help=True, help="Back the database up, and make a new home of a backup.")


def register(app: typer.Typer) -> None:
    app.add_typer(backup_app, name="backup")


@backup_app.command()
def make(as_json: JsonFlag = False) -> None:
    """Make a base backup, and forget those that are too old."""
    from rrr_assets.cli.output import note

    made = _backups().make(note)
    if as_json:
        sys.stdout.write(json.dumps(_facts(made)) + "\n")
    else:
        sys.stdout.write(f"backup {made.backup_id} takes {made.size_bytes:,} bytes\n")


@backup_app.command(name="list")
def list_backups(as_json: JsonFlag = False) -> None:
    """Print the base backups in RRR_BACKUP_DIR, the oldest first; it needs no server."""
    from rrr_assets.warehouse import backup_restore
    from rrr_assets.warehouse.backup import required_backup_dir

    found = [_facts(backup) for backup in backup_restore.list_backups(required_backup_dir())]
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return
    if not found:
        sys.stdout.write("There is no backup yet. `rrr backup make` makes one.\n")
    for facts in found:
        state = "complete" if facts["is_complete"] else f"not complete ({facts['status'].lower()})"
        sizes = f"{facts['size_bytes']:,} bytes, and {facts['log_bytes']:,} of log since"
        sys.stdout.write(f"{facts['backup_id']}  ended {facts['ended_at'] or '-'}  {state}  {sizes}\n")


@backup_app.command()
def check(as_json: JsonFlag = False) -> None:
    """Say whether the database could be restored now, and how long what is committed stays at risk.

    Ends with status 1 where a check that matters for a restore is broken.
    """
    results = _backups().check()
    if as_json:
        told = [
            {"check": result.rule, "is_kept": result.broken == 0, "is_blocking": result.is_blocking, "hint": "; ".join(result.examples)}
            for result in results
        ]
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
    else:
        for result in results:
            hint = f"  ({'; '.join(result.examples)})" if result.examples else ""
            sys.stdout.write(f"{'kept  ' if result.broken == 0 else 'BROKEN'}  {result.rule}{hint}\n")
    if any(result.broken for result in results):
        raise typer.Exit(1)


@backup_app.command()
def restore(
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="The new home; it must not be there yet.")],
    target_time: Annotated[
        datetime | None,
        typer.Option("--target-time", parser=parse_time, metavar="TIME", help="As the database was then, in UTC; else all there is."),
    ] = None,
    backup: Annotated[
        str | None, typer.Option("--backup", metavar="ID", help="Begin with this base backup; else with the last one before the time.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a new home whose database is as it was at a time.

    Nothing that is there is touched, and nothing but the backup folder is needed. The landing zone and the archive are not in it.
    """
    from rrr_assets.cli.output import note
    from rrr_assets.warehouse import backup_restore
    from rrr_assets.warehouse.backup import required_backup_dir

    done = backup_restore.restore(required_backup_dir(), to, backup_id=backup, target=target_time, progress=note)
    facts = {
        "home": str(done.home.root),
        "backup_id": done.backup.backup_id,
        "target_time": _iso(done.target),
        "last_commit_at": _iso(done.last_commit_at),
        "seconds": round(done.seconds, 1),
    }
    if as_json:
        sys.stdout.write(json.dumps(facts) + "\n")
        return
    last = f"the last commit in it is of {facts['last_commit_at']}" if done.last_commit_at else "nothing was committed since the backup"
    sys.stdout.write(f"{facts['home']} is made of backup {facts['backup_id']}; {last}\n")
    note(f"`RRR_HOME={facts['home']} rrr up` starts it, and needs another RRR_BACKUP_DIR. Copy landing/files of the old home into it")


@backup_app.command()
def off() -> None:
    """Receive no more log, and let the server keep none for it. The backups stay.

    Unset RRR_BACKUP_DIR as well, or the next command begins again.
    """
    from rrr_assets.cli.output import note

    _backups().switch_off()
    note("the server keeps no log for backups any more. Unset RRR_BACKUP_DIR, or the next command begins again")


def _backups() -> "Backups":
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.warehouse.backup import Backups, required_backup_dir

    required_backup_dir()
    return Backups.current(ready_database())


def _facts(backup: "Backup") -> dict[str, Any]:
    return {
        "backup_id": backup.backup_id,
        "status": backup.status,
        "is_complete": backup.is_complete,
        "ended_at": _iso(backup.ended_at),
        "size_bytes": backup.size_bytes,
        "log_bytes": backup.log_bytes,
    }


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
