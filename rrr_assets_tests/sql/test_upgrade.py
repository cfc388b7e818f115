"""A home made by one major version of PostgreSQL goes over to the next: nothing is lost, wherever it is killed or refused.

The wheel brings an older version beside the one that is used; the system's is tried too where it has one, such as 15.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from psycopg import sql

from rrr_assets.warehouse import server, upgrade
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.server import ServerFailed, ensure_running, status, stop
from rrr_assets.warehouse.upgrade import UPGRADED_FROM
from rrr_assets_tests.loading import DAY, NEXT, tape, vision
from rrr_assets_tests.warm import rrr

try:
    NEW = server.find_binaries()
except ServerFailed as missing:
    pytest.skip(f"no embedded PostgreSQL: {missing.reason}", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = server.major_of(server.version_of(NEW))
FOREIGN = ("RRR_DATABASE_URL", "RRR_OWNER_URL", "RRR_WRITER_URL", "RRR_ANALYST_URL", "RRR_DAGSTER_DATABASE_URL", "RRR_POSTGRES_BIN")
# Whether the home still works with the old programs after a kill there.
PLACES = {"upgrade.copied": True, "upgrade.made": True, "upgrade.parted": False, "upgrade.switched": False, "upgrade.analyzed": False}


def older(place: str) -> Path:
    """The programs of an older PostgreSQL, from the wheel or from the system's package."""
    found = (server.wheel_folder() or NEW).glob("pginstall*/bin") if place == "wheel" else Path("/usr/lib/postgresql").glob("*/bin")
    for binaries in sorted(found):
        if (binaries / "initdb").exists() and major(binaries) < INSTALLED:
            return binaries
    pytest.skip(f"no PostgreSQL older than {INSTALLED} in the {place}, to upgrade from (Debian's package is `postgresql`)")


def major(binaries: Path) -> int:
    return server.major_of(server.version_of(binaries))


@pytest.fixture(scope="module", autouse=True)
def alone() -> Iterator[None]:
    """No variable of the caller leads to another database, and none that a test sets is kept."""
    with pytest.MonkeyPatch.context() as patched:
        for name in FOREIGN:
            patched.delenv(name, raising=False)
        yield


@dataclass(frozen=True)
class Old:
    """A home that older programs made, and these programs."""

    home: Home
    binaries: Path

    @property
    def major(self) -> int:
        return major(self.binaries)

    @property
    def kept(self) -> Path:
        return self.home.server_tree / f"data-{self.major}"

    def rrr(self, *words: str, binaries: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"RRR_HOME": str(self.home.root), **variables}
        if binaries:
            environment["RRR_POSTGRES_BIN"] = str(binaries)
        return rrr(*words, environment=environment)

    def works_with(self, binaries: Path) -> dict[str, object]:
        """What the databases hold, as a server of these programs tells it; then it is stopped."""
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("RRR_POSTGRES_BIN", str(binaries))
            found = contents(ensure_running(self.home))
            stop(self.home)
        return found


def contents(info: server.ServerInfo) -> dict[str, object]:
    """Every database with each table's rows as a hash, its owner and rights; and the roles with the hashes of their passwords."""
    found: dict[str, object] = {}
    with psycopg.connect(info.url("postgres", "rrr")) as connection:
        found["roles"] = connection.execute(
            "select rolname, rolpassword, rolsuper from pg_authid where rolname !~ '^pg_' order by 1"
        ).fetchall()
        found["settings"] = connection.execute(
            "select rolname, datname, setconfig from pg_db_role_setting s"
            " left join pg_roles r on r.oid = setrole left join pg_database d on d.oid = setdatabase order by 1, 2"
        ).fetchall()
        names = connection.execute("select datname from pg_database where not datistemplate order by 1").fetchall()
    for (name,) in names:
        with psycopg.connect(info.url(name, "rrr")) as connection:
            # From 17 on an owner also has the right to maintain, `m`.
            tables = connection.execute(
                "select relname, pg_get_userbyid(relowner),"
                " replace(coalesce(relacl, acldefault('r', relowner))::text, 'arwdDxtm', 'arwdDxt') from pg_class"
                " where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v') order by 1"
            ).fetchall()
            found[name] = [
                (*facts, connection.execute(sql.SQL("select count(*), md5(string_agg(t::text, ' ' order by t::text)) from {} t").format(
                    sql.Identifier("public", str(facts[0])))).fetchone())
                for facts in tables
            ]  # fmt: skip
            found[f"sequences of {name}"] = connection.execute("select sequencename, last_value from pg_sequences order by 1").fetchall()
            found[f"functions of {name}"] = connection.execute(
                "select proname, pg_get_function_identity_arguments(oid), proacl::text from pg_proc"
                " where proname ~ 'advisory' or pronamespace = 'public'::regnamespace order by 1, 2"
            ).fetchall()
    return found


def hash_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder)}:".encode() + file.read_bytes())
    return digest.hexdigest()


def copied(source: Path, to: Path) -> Home:
    shutil.copytree(source, to, symlinks=True)
    return Home(to)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped home of the wheel's older version, with one database of its own and one table. To be copied."""
    root = tmp_path_factory.mktemp("small") / "home"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RRR_POSTGRES_BIN", str(older("wheel")))
        info = ensure_running(Home(root))
        server.ensure_database(info, "desk")
        with psycopg.connect(info.url("desk", "rrr")) as connection:
            connection.execute("create table kept as select n, n::text as name from generate_series(1, 1000) n")
            connection.execute("create role somebody login password 'a:b'")
        stop(Home(root))
    return root


@pytest.fixture
def old(small: Path, tmp_path: Path) -> Iterator[Old]:
    made = Old(copied(small, tmp_path / "home"), older("wheel"))
    yield made
    stop(made.home)


# --- the whole way ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("place", ["wheel", "system"])
def test_trades_bars_and_dagster_go_over_and_the_next_day_comes_in(tmp_path: Path, place: str) -> None:
    old = Old(Home(tmp_path / "home"), older(place))
    trades = tape(DAY, 3000, step_us=20_000_000, start_us=0)
    first, second = vision(tmp_path, trades, DAY), vision(tmp_path, tape(NEXT, 500, trades[-1].id + 1), NEXT)
    try:
        ingest(old, first, binaries=old.binaries)
        assert old.rrr("down").returncode == 0
        with (old.home.server_data / "postgresql.conf").open("a") as own:
            own.write("work_mem = '17MB'\n")
        before = old.works_with(old.binaries)
        assert {"rrr", "rrr_dagster"} < set(before)
        untouched = hash_of(old.home.server_data)

        refused = old.rrr("up")
        assert refused.returncode == 1
        assert f"is of PostgreSQL {old.major}" in refused.stderr
        assert "Move it over with `rrr upgrade`" in refused.stderr
        told = json.loads(old.rrr("status", "--json").stdout)["server"]
        assert (told["state"], "`rrr upgrade` moves it over" in told["upgrade"]) == ("down", True)
        moved = old.rrr("upgrade", *(["--from-bin", str(old.binaries)] if place == "system" else []))
        assert moved.returncode == 0, moved.stderr
        assert f"was moved from PostgreSQL {old.major}, and is now of PostgreSQL {INSTALLED}" in moved.stderr
        assert str(old.kept) in moved.stderr

        info = status(old.home)
        assert info is not None
        assert server.major_of(info.version) == INSTALLED
        assert contents(info) == before
        assert hash_of(old.kept) == untouched
        assert_it_is_the_platform(old)
        assert ingest(old, first) == (0, 3000)
        assert ingest(old, second) == (500, 0)
        with database_of(old).connect(Role.ANALYST) as analyst:
            days = analyst.execute("select bar_start::date, trade_count from bars_1d order by 1").fetchall()
        assert days == [(DAY, 3000), (NEXT, 500)]

        again = old.rrr("upgrade", "--drop-old")
        assert again.returncode == 0, again.stderr
        assert f"is, as its programs are, of PostgreSQL {INSTALLED}" in again.stderr
        assert not old.kept.exists()
    finally:
        stop(old.home)


def ingest(old: Old, file: Path, binaries: Path | None = None) -> tuple[int, int]:
    """Rows that were stored, and rows that were known."""
    done = old.rrr("ingest", str(file), "--format", "binance-vision-trades", "--json", binaries=binaries)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return told["rows_stored"], told["duplicates"]


def database_of(old: Old) -> Database:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RRR_HOME", str(old.home.root))
        return Database.current()


def assert_it_is_the_platform(old: Old) -> None:
    """Passwords, rights and settings are in force, and the planner knows the tables."""
    database = database_of(old)
    with database.connect_admin() as admin:
        assert admin.execute("show data_checksums").fetchone() == ("on",)
        assert admin.execute("show work_mem").fetchone() == ("17MB",)
        assert admin.execute("select count(*) from pg_stats where tablename = 'raw_trades' and inherited").fetchone() != (0,)
        without = "select relname from pg_stat_user_tables where n_live_tup > 0 and last_analyze is null"
        assert admin.execute(without).fetchall() == []
    for role in Role:
        with database.connect(role) as connection:
            assert connection.execute("select count(*) from raw_trades").fetchone() == (3000,)
    with database.connect(Role.ANALYST) as analyst, pytest.raises(psycopg.errors.InsufficientPrivilege):
        analyst.execute("select pg_advisory_lock(1)")
    assert old.rrr("up").returncode == 0
    assert "upgrade" not in json.loads(old.rrr("status", "--json").stdout)["server"]


def test_an_upgrade_leaves_nothing_but_the_old_data(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name for path in old.home.server_tree.iterdir()}
    sockets = Path(tempfile.mkdtemp(prefix="rrr-test-"))  # not pytest's folder: a socket's path is short
    monkeypatch.setattr(tempfile, "tempdir", str(sockets))
    done = upgrade.upgrade(old.home)
    assert (done.moved_from, done.data_version, done.kept) == (old.major, INSTALLED, (old.kept,))
    assert {path.name for path in old.home.server_tree.iterdir()} - before == {old.kept.name}
    sockets.rmdir()
    assert not (old.home.server_data / UPGRADED_FROM).exists()
    again = upgrade.upgrade(old.home, drop_old=True)
    assert (again.moved_from, again.data_version, again.kept) == (None, INSTALLED, ())


@pytest.mark.parametrize("state", ["without checksums", "killed"])
def test_data_that_pg_upgrade_alone_would_refuse(old: Old, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    before = old.works_with(old.binaries)
    if state == "killed":
        monkeypatch.setenv("RRR_POSTGRES_BIN", str(old.binaries))
        info = ensure_running(old.home)
        with psycopg.connect(info.url("desk", "rrr"), autocommit=True) as connection:
            connection.execute("insert into kept values (1001, 'written before the crash')")
            before = contents(info)
            os.kill(info.pid, signal.SIGKILL)
        monkeypatch.delenv("RRR_POSTGRES_BIN")
    else:
        site = server.prepare_site(old.home)
        assert site.account.run([old.binaries / "pg_checksums", "--disable", f"--pgdata={site.data}"]).returncode == 0
    upgrade.upgrade(old.home)
    info = ensure_running(old.home)
    assert contents(info) == before
    with psycopg.connect(info.url("desk", "rrr")) as connection:
        assert connection.execute("show data_checksums").fetchone() == ("on",)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_old_programs_that_are_left_in_the_home_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root without namespaces, whose server runs as nobody on a copy of the programs: the copy outlives what was installed."""
    monkeypatch.setattr(server, "_namespace_account", lambda: None)
    place = Path(tempfile.mkdtemp(prefix="rrr-test-"))
    place.chmod(0o711)
    old = Old(Home(place / "home"), older("wheel"))
    package = old.binaries.parents[1]
    for folder in (old.binaries.parent, package.with_name(f"{package.name}.libs")):
        if folder.is_dir():
            shutil.copytree(folder, tmp_path / "programs" / folder.relative_to(package.parent), symlinks=True)
    monkeypatch.setenv("RRR_POSTGRES_BIN", str(tmp_path / "programs" / old.binaries.relative_to(package.parent)))
    try:
        server.ensure_database(ensure_running(old.home), "desk")
        stop(old.home)
        shutil.rmtree(tmp_path / "programs")
        monkeypatch.delenv("RRR_POSTGRES_BIN")
        monkeypatch.setattr(upgrade, "wheel_folder", lambda: None)
        with pytest.raises(ServerFailed, match="rrr upgrade"):
            ensure_running(old.home)
        assert upgrade.upgrade(old.home).moved_from == old.major
        info = status(old.home)
        assert info is not None
        assert "desk" in contents(info)
        owners = {path.stat().st_uid for path in old.home.server_tree.rglob("*")}
        assert owners == {old.home.server_tree.stat().st_uid} != {0}
        assert len(list(old.home.server_tree.glob("postgresql-*"))) <= 1
    finally:
        stop(old.home)
        shutil.rmtree(old.home.server_tree, ignore_errors=True)
        shutil.rmtree(place)


# --- killed -----------------------------------------------------------------------------------------------------


@pytest.mark.crash
@pytest.mark.parametrize("place", PLACES)
def test_killed_at_every_step_it_still_works_and_is_finished_by_the_next_call(old: Old, place: str) -> None:
    before = old.works_with(old.binaries)
    killed = old.rrr("upgrade", RRR_FAULT_POINT=place)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if PLACES[place]:
        assert old.works_with(old.binaries) == before
        assert not old.home.server_upgrade.exists()
        assert old.rrr("upgrade", RRR_FAULT_POINT=place).returncode == -signal.SIGKILL
    else:
        if status(old.home):
            stop(old.home)
        with pytest.raises(ServerFailed, match="no way down"):
            old.works_with(old.binaries)
        assert old.works_with(NEW) == before
        told = json.loads(old.rrr("status", "--json").stdout)["server"]
        assert "statistics are still to be made" in told["upgrade"]
    done = old.rrr("upgrade")
    assert done.returncode == 0, done.stderr
    stop(old.home)
    assert old.works_with(NEW) == before
    assert not old.home.server_upgrade.exists()
    assert not (old.home.server_data / UPGRADED_FROM).exists()
    assert (old.kept / "PG_VERSION").read_text() == f"{old.major}\n"


@pytest.mark.crash
@pytest.mark.parametrize("program", ["postgres", "initdb", "pg_upgrade", "pg_restore"])
def test_killed_while_its_programs_run_they_are_ended_by_the_next_call(old: Old, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """The programs lose their parent and go on: nothing that they still write may reach the home."""
    before = old.works_with(old.binaries)
    folder = old.home.server_upgrade

    def at_work() -> list[str]:
        return [Path(command[0]).name for _, command in server._commands() if server._is_program_at(folder, command)]

    environment = os.environ | {"RRR_HOME": str(old.home.root)}
    child = subprocess.Popen([sys.executable, "-m", "rrr_assets.cli", "upgrade"], env=environment, cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while program not in at_work():
        assert child.poll() is None, f"{program} was not seen"
        assert time.monotonic() < deadline
    child.kill()
    child.wait()
    monkeypatch.setenv("RRR_POSTGRES_BIN", str(old.binaries))
    ensure_running(old.home)
    assert at_work() == []
    assert not folder.exists()
    stop(old.home)
    monkeypatch.delenv("RRR_POSTGRES_BIN")
    upgrade.upgrade(old.home)
    stop(old.home)
    assert old.works_with(NEW) == before


# --- refused ----------------------------------------------------------------------------------------------------


def test_a_server_in_use_is_left_alone_and_an_idle_one_is_stopped(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRR_POSTGRES_BIN", str(old.binaries))
    running = ensure_running(old.home)
    monkeypatch.delenv("RRR_POSTGRES_BIN")
    # As long as it runs, it is used: nothing has to be moved today.
    assert ensure_running(old.home) == running
    assert "`rrr upgrade` moves it over" in str(upgrade.notice(old.home, running))
    with psycopg.connect(running.url("desk", "rrr"), application_name="somebody's notebook") as connection:
        connection.execute("select 1")
        with pytest.raises(ServerFailed, match=r"in use, by 1 sessions \(somebody's notebook\)"):
            upgrade.upgrade(old.home)
        connection.execute("select 1")
    assert status(old.home) == running
    assert upgrade.upgrade(old.home).moved_from == old.major


def _spoil_room(_: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100 * 2**20))


def _spoil_log(old: Old, _: pytest.MonkeyPatch) -> None:
    wal = old.home.server_data / "pg_wal"
    wal.rename(old.home.root / "elsewhere")
    wal.symlink_to(old.home.root / "elsewhere")


def _spoil_settings(old: Old, _: pytest.MonkeyPatch) -> None:
    with (old.home.server_data / "postgresql.conf").open("a") as own:
        own.write("old_snapshot_threshold = 60min\n")


def _spoil_databases(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pg_upgrade refuses: it looks for transactions that wait for their second phase."""
    with (old.home.server_data / "postgresql.conf").open("a") as own:
        own.write("max_prepared_transactions = 2\n")
    with monkeypatch.context() as patched:
        patched.setenv("RRR_POSTGRES_BIN", str(old.binaries))
        info = ensure_running(old.home)
        with psycopg.connect(info.url("desk", "rrr"), autocommit=True) as connection:
            connection.execute("begin")
            connection.execute("insert into kept values (0, 'waiting')")
            connection.execute("prepare transaction 'waiting'")
        stop(old.home)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_spoil_room, "the data takes .* MB, and 100 MB are free for a copy. Make room"),
        (_spoil_log, "pg_wal is a link"),
        (_spoil_settings, "failed: .*old_snapshot_threshold"),
        (_spoil_databases, "pg_upgrade failed: .*prepared transactions"),
    ],
    ids=["room", "links", "settings", "databases"],
)
def test_what_cannot_be_moved_is_refused_and_still_works(
    old: Old, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Old, pytest.MonkeyPatch], None], says: str
) -> None:
    before = old.works_with(old.binaries)
    with monkeypatch.context() as patched:
        spoil(old, patched)
        with pytest.raises(ServerFailed, match=says):
            upgrade.upgrade(old.home)
    assert not old.home.server_upgrade.exists()
    assert not old.kept.exists()
    assert old.works_with(old.binaries) == before


def test_old_data_that_is_there_already_is_not_overwritten(old: Old) -> None:
    old.kept.mkdir()
    with pytest.raises(ServerFailed, match="is there already"):
        upgrade.upgrade(old.home)
    old.kept.rmdir()


def test_without_the_old_programs_there_is_a_remedy(old: Old, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for wrong in (tmp_path, NEW):
        with pytest.raises(ServerFailed, match="--from-bin FOLDER"):
            upgrade.upgrade(old.home, wrong)
    monkeypatch.setattr(upgrade, "_places", lambda *_: [])
    with pytest.raises(ServerFailed, match=f"of PostgreSQL {old.major}, whose programs"):
        upgrade.upgrade(old.home)
    assert upgrade.upgrade(old.home, old.binaries).moved_from == old.major


def test_there_is_no_way_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "home")
    try:
        running = ensure_running(home)
        monkeypatch.setenv("RRR_POSTGRES_BIN", str(older("wheel")))
        assert "there is no way down" in str(upgrade.notice(home, running))
        stop(home)
        for call in (ensure_running, upgrade.upgrade):
            with pytest.raises(ServerFailed, match=f"no way down: set RRR_POSTGRES_BIN to the programs of PostgreSQL {INSTALLED}"):
                call(home)
    finally:
        stop(home)


def test_where_there_is_nothing_to_move_nothing_is_made(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with pytest.raises(ServerFailed, match="`rrr up` makes a home"):
        upgrade.upgrade(home)
    home.prepare()
    with pytest.raises(ServerFailed, match="`rrr up` makes a new database"):
        upgrade.upgrade(home)
    assert not home.server_tree.exists()


def test_a_server_that_is_not_ours_is_not_upgraded(old: Old) -> None:
    done = old.rrr("upgrade", RRR_DATABASE_URL="postgresql://desk.example.org/desk")
    assert done.returncode == 1
    assert "RRR_DATABASE_URL names a server that is not ours to upgrade" in done.stderr
