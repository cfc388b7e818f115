"""Another version of PostgreSQL for the embedded server: moving its data over, and saying what is installed.

Belongs here: the move from one major version to the next, and what is left of it. Does not: starting and stopping (server.py),
the schema (migrate.py), servers that somebody else runs.

pg_upgrade works on a copy of the old data, in `upgrade/` of the server's tree, and the old data is not touched. When the new
data is whole, the old folder is put aside and the new one takes its place. Killed before that, the home is what it was, and old
programs still start it; killed after, the next start carries the move through (`settle_upgrade` in server.py). `upgrade` again does both.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psycopg

from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.home import Credentials, Home, give_to_owner_of, home_dir, make_private_folder, sync_folder, write_private
from rrr_assets.warehouse.server import (
    LOG_LINES_SHOWN,
    LOGGER,
    SUPERUSER,
    UPGRADED_FROM,
    Progress,
    ServerFailed,
    ServerInfo,
    Site,
    connect_superuser,
    data_of,
    ensure_running,
    find_binaries,
    initialize,
    major_of,
    major_of_data,
    prepare_site,
    refuse_another_major,
    settle_upgrade,
    start,
    status,
    stop_locked,
    version_of,
    wheel_folder,
    write_settings,
)

_OLD_PROGRAMS: Final = ("pg_controldata", "pg_ctl", "postgres")
# Where packages put them; `{}` is the major version.
_INSTALLED: Final = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin", "/opt/homebrew/opt/postgresql@{}/bin")
_NEW_DATA_BYTES: Final = 256 * 2**20
_CAUSE: Final = re.compile(r"\b(?:error|ERROR|FATAL): |unrecognized configuration parameter")
# pg_upgrade comes by a socket in a folder of its own. The next start writes the usual rules.
_ACCESS_OF_PG_UPGRADE: Final = "local all all scram-sha-256\n"


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What `upgrade` did."""

    moved_from: int | None
    """The major version that the data had; None where there was nothing to move."""
    data_version: int
    kept: tuple[Path, ...]
    """Old data folders that are still there."""


def upgrade(
    home: Home | None = None, from_bin: Path | None = None, *, drop_old: bool = False, progress: Progress = LOGGER.info
) -> Upgraded:
    """Move the home's data to the major version of the programs that are installed, and make its statistics anew.

    A server that nobody uses is stopped for it. All databases, roles and passwords go over; the old data is kept beside, as
    `data-<version>`. Nothing happens where the data is of that version; what an interrupted call left to do is done.

    Args:
        home: Default: the home of the environment.
        from_bin: The programs of the old version, where they are not found.
        drop_old: Remove old data that is kept, also that of earlier moves.
        progress: Told what is being done.

    Raises:
        ServerFailed: the server is in use, the old programs are not there, the disk has no room for a second copy, or pg_upgrade refuses;
            the old data is in its place then.
    """
    home = home or Home(home_dir())
    if not home.root.exists():
        raise ServerFailed(f"{home.root} is not there", "`rrr up` makes a home")
    moved_from = None
    with home.lock("server"):
        data = data_of(home)
        settle_upgrade(home, progress)
        if not data.exists():
            raise ServerFailed(f"there is no data in {data}", "`rrr up` makes a new database")
        made_by, installed = major_of_data(data), major_of(version_of(find_binaries()))
        if made_by > installed:
            refuse_another_major(data)
        if made_by < installed:
            old_programs = _find_old_programs(home, made_by, from_bin)
            new = prepare_site(home)
            try:
                _move(new.reaching(old_programs), new, progress)
            finally:
                settle_upgrade(home, progress)
            moved_from = made_by
            reach("upgrade.switched")
    if (data / UPGRADED_FROM).exists():
        _make_statistics(ensure_running(home, progress), progress)
        reach("upgrade.analyzed")
        (data / UPGRADED_FROM).unlink()
    if drop_old:
        for kept in _kept(home):
            progress(f"removing {kept}")
            shutil.rmtree(kept)
    return Upgraded(moved_from, major_of_data(data), tuple(_kept(home)))


def notice(home: Home, running: ServerInfo | None) -> str | None:
    """What there is to say of the versions of data, programs and running server; None: they fit."""
    data = data_of(home)
    if not (data / "PG_VERSION").exists():
        return None
    try:
        installed = version_of(find_binaries())
    except ServerFailed as failed:
        return failed.reason
    if (made_by := major_of_data(data)) != major_of(installed):
        way = "`rrr upgrade` moves it over" if made_by < major_of(installed) else "there is no way down"
        return f"PostgreSQL {installed} is installed, the data is of {made_by}; {way}"
    if (data / UPGRADED_FROM).exists():
        return "the statistics are still to be made; `rrr upgrade` makes them"
    if running and running.version != installed:
        return f"PostgreSQL {installed} is installed; `rrr down` and `rrr up` start it"
    return None


def _kept(home: Home) -> Iterator[Path]:
    return (folder for folder in sorted(home.server_tree.glob("data-*")) if re.fullmatch(r"data-\d+", folder.name))


def _find_old_programs(home: Home, major: int, named: Path | None) -> Path:
    """The folder of a major version's programs: the one that was named, or in the home, the wheel, the system."""
    found = [named.expanduser().resolve()] if named else [*_places(home, major)]
    for folder in found:
        if all((folder / name).is_file() for name in _OLD_PROGRAMS) and major_of(version_of(folder)) == major:
            return folder
    where = str(found[0]) if named else "any of the usual places"
    remedy = "Install that version too, and name the folder of its programs: rrr upgrade --from-bin FOLDER"
    raise ServerFailed(f"the data is of PostgreSQL {major}, whose programs {', '.join(_OLD_PROGRAMS)} are not in {where}", remedy)


def _places(home: Home, major: int) -> Iterator[Path]:
    yield from home.server_tree.glob("postgresql-*/*/*/bin")
    if wheel := wheel_folder():
        yield from wheel.glob("pginstall*/bin")
    yield from (Path(place.format(major)) for place in _INSTALLED)


def _move(old: Site, new: Site, progress: Progress) -> None:
    """Make the data of the new version, put the old aside. The last step, its renaming, is left to `settle_upgrade`."""
    home, made_by, installed = old.home, major_of_data(old.data), version_of(new.binaries)
    kept = old.tree / f"data-{made_by}"
    if kept.exists():
        raise ServerFailed(f"{kept} is there already", "Remove it, or move it elsewhere")
    _refuse_what_cannot_be_copied(old.data)
    if running := status(home):
        _refuse_while_used(running)
    stop_locked(home, old.data)

    copy, made = (replace(site, tree=home.server_upgrade / name) for site, name in ((old, "old"), (new, "new")))
    for folder in (home.server_upgrade, copy.tree, made.tree):
        make_private_folder(folder)
    progress(f"copying the data of PostgreSQL {made_by}")
    # Not in Python: it is copied as the server's user, and by reference where the file system can.
    _run(copy, "cp", "-a", str(old.data), str(copy.data))
    reach("upgrade.copied")
    # Started though it is only to be stopped: it recovers what a crash left, which pg_upgrade would refuse.
    started = start(copy, progress)
    _forget_versions_of_columns(started, new)
    stop_locked(home, copy.data)

    progress(f"making a database folder of PostgreSQL {installed}, and moving the copy over")
    control = copy.account.run([copy.binaries / "pg_controldata", copy.data]).stdout
    has_checksums = re.search(r"^Data page checksum version: +0$", control, re.MULTILINE) is None
    initialize(made, *_options(control, has_checksums, major_of(installed)))
    for name in ("postgresql.conf", "postgresql.auto.conf"):
        write_private(made.data / name, (old.data / name).read_text("utf-8"))
    write_settings(made)
    _run_pg_upgrade(copy, made, started.port)
    if not has_checksums:
        _run(made, made.binaries / "pg_checksums", "--enable", f"--pgdata={made.data}")
    write_private(made.data / UPGRADED_FROM, f"{made_by}\n")
    reach("upgrade.made")
    old.data.rename(kept)
    sync_folder(old.tree)
    reach("upgrade.parted")


def _refuse_what_cannot_be_copied(data: Path) -> None:
    if linked := [path for path in (data / "pg_wal", *(data / "pg_tblspc").iterdir()) if path.is_symlink()]:
        raise ServerFailed(f"a part of the data lies elsewhere: {linked[0]} is a link", "Move it in, or use pg_upgrade by hand")
    needed = sum(file.stat().st_size for file in data.rglob("*") if file.is_file())
    free = shutil.disk_usage(data).free
    # Beside the copy, what a new data folder takes.
    if free < needed + _NEW_DATA_BYTES:
        reason = f"the data takes {needed // 2**20} MB, and {free // 2**20} MB are free for a copy"
        raise ServerFailed(reason, f"Make room on the disk of {data}")


def _refuse_while_used(info: ServerInfo) -> None:
    statement = (
        "select count(*), string_agg(distinct coalesce(nullif(application_name, ''), 'without a name'), ', ') from pg_stat_activity"
        " where backend_type = 'client backend' and pid <> pg_backend_pid()"
    )
    with connect_superuser(info.port, info.credentials.password_for(SUPERUSER)) as connection:
        row = connection.execute(statement).fetchone()
    if row and row[0]:
        raise ServerFailed(
            f"the server is in use, by {row[0]} sessions ({row[1]})", "End what runs, `rrr ui` above all; or `rrr down` ends it"
        )


def _forget_versions_of_columns(info: ServerInfo, new: Site) -> None:
    """Minor releases of November 2026 note a version at each column, and older programs refuse a dump that has it."""
    # There is no asking a server what it would accept, short of letting it fail.
    if b"pg_attver" in (new.binaries / "postgres").read_bytes():
        return
    statement = (
        "update pg_attribute set attoptions ="
        " nullif(array(select o from unnest(attoptions) o where not starts_with(o, 'pg_attver=')), '{}')"
        " where exists (select from unnest(attoptions) o where starts_with(o, 'pg_attver='))"
    )
    for connection in _every_database(info):
        connection.execute(statement)


def _options(control: str, has_checksums: bool, major: int) -> list[str]:
    """Options of initdb for data that pg_upgrade accepts beside the old; `control` is what pg_controldata said of that."""
    segment = re.search(r"^Bytes per WAL segment: +(\d+)$", control, re.MULTILINE)
    if segment is None:
        raise ServerFailed("pg_controldata does not understand the old data", "Name its programs with --from-bin", control.splitlines())
    options = [f"--wal-segsize={int(segment[1]) // 2**20}"]
    # From 18 on they are there unless they are refused.
    if has_checksums or major >= 18:
        options.append("--data-checksums" if has_checksums else "--no-data-checksums")
    return options


def _run_pg_upgrade(copy: Site, made: Site, port: int) -> None:
    password = Credentials(copy.home.credentials).password_for(SUPERUSER)
    words = made.tree / "password"
    escaped = re.sub(r"([\\:])", r"\\\1", password)
    write_private(words, f"*:*:*:{SUPERUSER}:{escaped}\n")
    for site in (copy, made):
        write_private(site.data / "pg_hba.conf", _ACCESS_OF_PG_UPGRADE)
    # In the system's folder, for the path of a socket has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="rrr-") as sockets:
        give_to_owner_of(made.tree, Path(sockets))
        _run(
            made,
            made.binaries / "pg_upgrade",
            "--link",
            f"--old-bindir={copy.binaries}",
            f"--new-bindir={made.binaries}",
            f"--old-datadir={copy.data}",
            f"--new-datadir={made.data}",
            f"--username={SUPERUSER}",
            f"--socketdir={sockets}",
            f"--old-port={port}",
            f"--new-port={port}",
            PGPASSFILE=str(words),
        )


def _run(site: Site, program: str | Path, *options: str, **variables: str) -> None:
    """Run a program in the site's tree.

    Raises:
        ServerFailed: it failed; with the end of what it said, and of the files that it names.
    """
    done = site.account.run([program, *options], cwd=site.tree, **variables)
    if done.returncode == 0:
        return
    said = [line for line in done.stdout.splitlines() if line.strip() and line != "Failure, exiting"][-LOG_LINES_SHOWN:]
    cause = said[-1] if said else "without a word"
    # They lie in the folder of the new data, which does not stay.
    for named in dict.fromkeys(re.findall(rf"{re.escape(str(site.data))}/[^\n\"]+\.(?:log|txt)", done.stdout)):
        if Path(named).is_file():
            said += Path(named).read_text("utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    cause = next((line for line in said if _CAUSE.search(line)), cause)
    raise ServerFailed(f"{Path(program).name} failed: {cause.strip()}", "The data is as it was; RRR_DEBUG=1 shows more", said)


def _make_statistics(info: ServerInfo, progress: Progress) -> None:
    """The planner's: pg_upgrade brings none before 18, and never all."""
    progress("making the statistics")
    for connection in _every_database(info):
        connection.execute("analyze")


def _every_database(info: ServerInfo) -> Iterator[psycopg.Connection[tuple[str, ...]]]:
    """A connection of the superuser to one database after the other."""
    password = info.credentials.password_for(SUPERUSER)
    with connect_superuser(info.port, password) as connection:
        names = connection.execute("select datname from pg_database where datallowconn order by 1").fetchall()
    for (name,) in names:
        with connect_superuser(info.port, password, name) as connection:
            yield connection
