"""The embedded server, on real processes: killed, raced, copied, run as others. Needs the programs of PostgreSQL."""

import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from rrr_assets.warehouse import server, upgrade
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.server import ServerFailed, ServerInfo, ensure_database, ensure_running, status, stop
from rrr_assets_tests.platform import kill

try:
    BINARIES = server.find_binaries()
except ServerFailed as missing:
    pytest.skip(f"no embedded PostgreSQL: {missing.reason}", allow_module_level=True)

IS_ROOT = os.geteuid() == 0
CHECKOUT = Path(__file__).resolve().parents[2]
# With the dependencies, for another user may need another Python of the same version.
PYTHONPATH = os.pathsep.join([str(CHECKOUT), str(Path(psycopg.__file__).parents[1])])
needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs root, to become another user")
needs_proc = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home whose server no test stops or harms."""
    home = Home(tmp_path_factory.mktemp("shared") / "home")
    ensure_running(home)
    yield home
    stop(home)


@pytest.fixture
def new_home(tmp_path: Path, open_folder: Path) -> Iterator[Callable[..., Home]]:  # noqa: ARG001 - must outlive the servers
    """Makes homes; their servers are stopped at the end, however the test ends."""
    homes: list[Home] = []

    def make(root: Path = tmp_path / "home") -> Home:
        homes.append(Home(root))
        return homes[-1]

    yield make
    for home in homes:
        if home.server_data.is_dir():
            stop(home)
        if home.server_pointer.exists():
            shutil.rmtree(home.server_tree, ignore_errors=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine may pass, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="rrr-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def connect(info: ServerInfo, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(info.url(database, info.superuser), autocommit=True)


def ask(info: ServerInfo, question: str) -> object:
    with connect(info) as connection:
        row = connection.execute(question).fetchone()
        assert row is not None
        return row[0]


def run_python(home: Home, code: str, python: str = sys.executable, **options: object) -> "subprocess.Popen[str]":
    """Another process of the platform, in a session of its own, that has the home in its environment."""
    environment = os.environ | {"RRR_HOME": str(home.root), "PYTHONPATH": PYTHONPATH}
    command = [python, "-c", f"from rrr_assets.warehouse.server import *\n{code}"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True, **options)  # type: ignore[call-overload,no-any-return]


def processes_of(home: Home) -> list[int]:
    """The server's processes without the postmaster."""
    return server._orphans(home.server_data)


def owners(pids: list[int]) -> set[int]:
    """Accounts of those that still run: a server has workers that come and go."""
    found = set()
    for pid in pids:
        with suppress(FileNotFoundError):
            found.add(Path(f"/proc/{pid}").stat().st_uid)
    return found


def wait_for(is_true: Callable[[], bool], what: str, timeout_seconds: float = 10) -> None:
    end = time.monotonic() + timeout_seconds
    while not is_true():
        assert time.monotonic() < end, f"waited in vain for: {what}"
        time.sleep(0.02)


# --- what it is -------------------------------------------------------------------------------------------------


def test_started_twice_it_is_one_server(shared: Home) -> None:
    first, second = ensure_running(shared), ensure_running(shared)
    assert first == second == status(shared)
    assert Path(str(ask(first, "show data_directory"))) == shared.server_data == first.data_dir
    assert json.loads(shared.server_json.read_text())["port"] == first.port


def test_its_settings_are_those_that_were_promised(shared: Home) -> None:
    expected = {
        "data_checksums": "on",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "jit": "off",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "max_connections": "200",
        "max_locks_per_transaction": "256",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
        "logging_collector": "on",
    }
    info = ensure_running(shared)
    assert {name: ask(info, f"show {name}") for name in expected} == expected
    assert ask(info, "show wal_compression") in {"lz4", "off"}
    assert ask(info, "select datcollate from pg_database where datname = 'postgres'") == "C"
    assert ask(info, "select bool_and(auth_method = 'scram-sha-256') from pg_hba_file_rules") is True
    assert ask(info, "select count(*) from pg_hba_file_rules where error is not null or address <> '127.0.0.1'") == 0


def test_it_listens_on_this_machine_alone(shared: Home) -> None:
    info = ensure_running(shared)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: tells which address this machine has to others
        outer = probe.getsockname()[0]
    for address in {outer, "127.0.0.2"} - {"127.0.0.1"}:
        with pytest.raises(OSError), socket.create_connection((address, info.port), timeout=2):  # noqa: PT011 - refused or unreachable
            pass


def test_a_wrong_or_missing_password_is_refused(shared: Home) -> None:
    info = ensure_running(shared)
    for password in ("wrong", ""):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=info.host, port=info.port, user="rrr", password=password, dbname="postgres", passfile="/nowhere")


def test_a_password_of_any_text_survives_the_url_and_is_in_no_repr(shared: Home) -> None:
    info = ensure_running(shared)
    password = info.credentials.password_for("rrr")
    assert password not in repr(info) + str(info)
    assert conninfo_to_dict(info.url("a/b ?", "x@y:z"))["user"] == "x@y:z"
    assert conninfo_to_dict(info.url("a/b ?", "x@y:z"))["dbname"] == "a/b ?"
    assert conninfo_to_dict(info.url("postgres", "rrr"))["password"] == password


def test_nothing_in_the_home_is_open_to_others(shared: Home) -> None:
    ensure_running(shared)
    found = [path for path in [shared.root, *shared.root.rglob("*")] if stat.S_IMODE(path.lstat().st_mode) & 0o077]
    assert found == []
    assert {path.stat().st_uid for path in shared.root.rglob("*")} == {os.geteuid()}


def test_no_secret_reaches_a_log(shared: Home) -> None:
    info = ensure_running(shared)
    with connect(info) as connection:
        with pytest.raises(psycopg.Error):
            connection.execute("alter role nobody_here password 'hunter2'")
        with pytest.raises(psycopg.Error):
            connection.execute("select %s::int", ["hunter3"])
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(host=info.host, port=info.port, user="rrr", password="hunter4", dbname="postgres")
    log = shared.server_tree / "log"
    wait_for(lambda: "password authentication failed" in "".join(p.read_text() for p in log.iterdir()), "the failed login's line")
    said = "".join(path.read_text() for path in [*log.iterdir(), *shared.logs.iterdir()])
    assert 'role "nobody_here" does not exist' in said
    assert [secret for secret in ("hunter2", "hunter4", info.credentials.password_for("rrr")) if secret in said] == []


def test_a_database_is_made_once_by_callers_at_once(shared: Home) -> None:
    info = ensure_running(shared)
    for name in ("dagster", 'odd "name"'):
        with ThreadPoolExecutor(4) as callers:
            list(callers.map(lambda _, name=name: ensure_database(info, name), range(4)))
        ensure_database(info, name)
        with connect(info, name) as connection:
            assert connection.info.dbname == name


def test_a_new_database_belongs_to_its_owner(shared: Home) -> None:
    info = ensure_running(shared)
    with connect(info) as connection:
        connection.execute("create role database_owner")
    ensure_database(info, "owned", "database_owner")
    assert ask(info, "select pg_get_userbyid(datdba) from pg_database where datname = 'owned'") == "database_owner"


def test_the_callers_variables_do_not_lead_it_astray(shared: Home, new_home: Callable[..., Home], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PGPORT": "1",
        "PGHOST": "192.0.2.1",
        "PGHOSTADDR": "192.0.2.1",
        "PGDATA": "/nowhere",
        "PGUSER": "somebody",
        "PGDATABASE": "nothing",
        "PGSSLMODE": "require",
        "PGCHANNELBINDING": "require",
        "PGOPTIONS": "-c no_such_setting=1",
        "PGPASSWORD": "wrong",
        "LC_ALL": "xx_XX",
    }.items():
        monkeypatch.setenv(name, value)
    assert status(shared) is not None
    assert ensure_running(new_home()).data_dir == new_home().server_data


# --- start and stop ---------------------------------------------------------------------------------------------


def test_processes_that_start_it_at_once_get_one_server(new_home: Callable[..., Home]) -> None:
    home = new_home()
    starters = [run_python(home, "print(ensure_running().pid)") for _ in range(3)]
    pids = {int(starter.communicate(timeout=60)[0]) for starter in starters}
    assert [starter.returncode for starter in starters] == [0, 0, 0]
    assert len(pids) == 1
    assert status(home) is not None
    assert {status(home).pid} == pids  # type: ignore[union-attr]


def test_it_outlives_the_process_that_started_it(new_home: Callable[..., Home]) -> None:
    home = new_home()
    starter = run_python(home, "import time\nprint(ensure_running().pid, flush=True)\ntime.sleep(60)")
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    os.killpg(starter.pid, signal.SIGKILL)
    starter.communicate()
    time.sleep(0.3)
    info = ensure_running(home)
    assert info.pid == pid
    assert ask(info, "select 1") == 1


def test_stop_can_be_said_twice_and_where_nothing_ever_ran(new_home: Callable[..., Home]) -> None:
    home = new_home()
    stop(home)
    assert status(home) is None
    assert not home.root.exists()
    info = ensure_running(home)
    with closing(connect(info)) as idle:
        idle.execute("begin")
        stop(home)
    assert status(home) is None
    assert processes_of(home) == []
    assert not (home.server_data / "postmaster.pid").exists()
    stop(home)
    again = ensure_running(home)
    assert (again.port, again.pid != info.pid) == (info.port, True)


def test_a_port_that_was_taken_is_left_to_whoever_has_it(new_home: Callable[..., Home]) -> None:
    home = new_home()
    first = ensure_running(home)
    stop(home)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((first.host, first.port))
        other.listen()
        second = ensure_running(home)
    assert second.port != first.port
    assert ask(second, "select 1") == 1
    assert json.loads(home.server_json.read_text())["port"] == second.port
    stop(home)
    assert ensure_running(home).port == second.port


def test_a_port_taken_between_choice_and_use_is_given_up(new_home: Callable[..., Home], monkeypatch: pytest.MonkeyPatch) -> None:
    home = new_home()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        choices = [taken]
        choose = server._choose_port
        monkeypatch.setattr(server, "_choose_port", lambda home: choices.pop() if choices else choose(home))
        info = ensure_running(home)
    assert choices == []
    assert info.port != taken


def test_settings_reach_homes_that_are_there_already_and_own_ones_stay(new_home: Callable[..., Home]) -> None:
    home = new_home()
    ensure_running(home)
    stop(home)
    (home.server_data / "rrr.conf").write_text("jit = on\n")
    (home.server_data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 trust\n")
    with (home.server_data / "postgresql.conf").open("a") as own:
        own.write("work_mem = '17MB'\n")
    info = ensure_running(home)
    assert ask(info, "show jit") == "off"
    assert ask(info, "show work_mem") == "17MB"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host=info.host, port=info.port, user="rrr", password="wrong", dbname="postgres")


def test_a_server_that_cannot_start_says_why(new_home: Callable[..., Home]) -> None:
    home = new_home()
    ensure_running(home)
    stop(home)
    settings = home.server_data / "postgresql.conf"
    good = settings.read_text()
    settings.write_text(good + "no_such_setting = 1\n")
    with pytest.raises(ServerFailed, match="no_such_setting") as failed:
        ensure_running(home)
    assert failed.value.remedy
    assert status(home) is None
    settings.write_text(good)
    assert ask(ensure_running(home), "select 1") == 1


def test_lost_passwords_are_named_as_the_cause(new_home: Callable[..., Home]) -> None:
    home = new_home()
    ensure_running(home)
    kept = home.credentials.read_text()
    home.credentials.unlink()
    with pytest.raises(ServerFailed, match="Restore"):
        ensure_running(home)
    home.credentials.write_text(kept)
    assert ask(ensure_running(home), "select 1") == 1


def test_without_programs_there_is_a_remedy(new_home: Callable[..., Home], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRR_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(ServerFailed, match="RRR_POSTGRES_BIN"):
        ensure_running(new_home())


def test_another_minor_release_is_started_and_said(new_home: Callable[..., Home], monkeypatch: pytest.MonkeyPatch) -> None:
    home = new_home()
    running = ensure_running(home)
    assert upgrade.notice(home, running) is None
    for module in (server, upgrade):
        monkeypatch.setattr(module, "version_of", lambda _: f"{running.version}9")
    assert upgrade.notice(home, running) == f"PostgreSQL {running.version}9 is installed; `rrr down` and `rrr up` start it"
    assert upgrade.notice(home, None) is None
    stop(home)
    assert ask(ensure_running(home), "select 1") == 1


@pytest.mark.parametrize(("made_by", "way"), [("9", "Move it over with `rrr upgrade`"), ("99", "There is no way down")])
def test_data_of_another_major_version_is_refused_with_the_way_out(new_home: Callable[..., Home], made_by: str, way: str) -> None:
    home = new_home()
    home.prepare()
    home.server_data.mkdir(parents=True)
    (home.server_data / "PG_VERSION").write_text(f"{made_by}\n")
    with pytest.raises(
        ServerFailed, match=f"is of PostgreSQL {made_by}, the programs in .* {way}, or set RRR_POSTGRES|{way}: set RRR_POSTGRES"
    ):
        ensure_running(home)
    assert [path.name for path in home.server_data.iterdir()] == ["PG_VERSION"]
    assert f"the data is of {made_by}; " in str(upgrade.notice(home, None))


# --- killed -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("victims", ["postmaster", "all", "postmaster, a backend hanging"])
def test_what_was_committed_is_there_after_kill_9(new_home: Callable[..., Home], victims: str) -> None:
    home = new_home()
    info = ensure_running(home)
    with closing(connect(info)) as connection:
        connection.execute("create table kept (n int)")
        connection.execute("insert into kept select generate_series(1, 1000)")
        backend = connection.info.backend_pid
        if victims == "postmaster, a backend hanging":
            os.kill(backend, signal.SIGSTOP)
        elif victims == "all":
            os.kill(info.pid, signal.SIGSTOP)  # or it would already be restarting the first while the last is killed
            for pid in processes_of(home):
                kill(pid)
        os.kill(info.pid, signal.SIGKILL)
        again = ensure_running(home)
        assert again.pid != info.pid
        assert backend not in processes_of(home)
    assert ask(again, "select count(*) from kept") == 1000


@needs_proc
def test_a_stale_note_of_a_process_id_that_is_now_anybodys(new_home: Callable[..., Home]) -> None:
    home = new_home()
    info = ensure_running(home)
    note = home.server_data / "postmaster.pid"
    lines = note.read_text().splitlines()
    os.kill(info.pid, signal.SIGKILL)
    with subprocess.Popen(["sleep", "60"]) as bystander:
        note.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        assert status(home) is None
        again = ensure_running(home)
        stop(home)
        assert bystander.poll() is None
        bystander.kill()
    assert again.pid not in {info.pid, bystander.pid}


def test_an_initdb_that_was_killed_half_way_is_begun_anew(new_home: Callable[..., Home]) -> None:
    home = new_home()
    starter = run_python(home, "ensure_running()")
    wait_for(lambda: any(home.root.glob("server/initdb-*/data/base")), "initdb under way")
    os.killpg(starter.pid, signal.SIGKILL)
    starter.communicate()
    assert not home.server_data.exists()
    info = ensure_running(home)
    assert ask(info, "select 1") == 1
    assert [path.name for path in home.server_tree.iterdir() if path.name.startswith("initdb-")] == []


# --- two homes --------------------------------------------------------------------------------------------------


def test_two_homes_have_two_servers(shared: Home, new_home: Callable[..., Home]) -> None:
    ours, theirs = ensure_running(new_home()), ensure_running(shared)
    assert ours.port != theirs.port
    assert ours.data_dir != theirs.data_dir
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(ours.url("postgres", "rrr").replace(f":{ours.port}/", f":{theirs.port}/"))
    stop(new_home())
    assert status(shared) == theirs


def test_a_copy_of_a_running_home_does_not_touch_its_original(new_home: Callable[..., Home], tmp_path: Path) -> None:
    original = new_home()
    running = ensure_running(original)
    with connect(running) as connection:
        connection.execute("create table original (n int)")
        connection.execute("checkpoint")
    shutil.copytree(original.root, tmp_path / "copy")
    copy = new_home(tmp_path / "copy")
    assert status(copy) is None
    stop(copy)
    assert status(original) == running
    copied = ensure_running(copy)
    assert (copied.pid != running.pid, copied.port != running.port) == (True, True)
    with connect(copied) as connection:
        connection.execute("drop table original")
    assert ask(running, "select count(*) from original") == 0


# --- as whom it runs --------------------------------------------------------------------------------------------


@needs_root
def test_as_root_the_home_may_lie_where_nobody_else_can_go(new_home: Callable[..., Home], tmp_path: Path) -> None:
    if server._namespace_account() is None:
        pytest.skip("user namespaces are not allowed here")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    home = new_home(closed / "home")
    info = ensure_running(home)
    assert info.data_dir == closed / "home" / "server" / "data"
    assert ask(info, "select 1") == 1
    assert {path.stat().st_uid for path in home.root.rglob("*")} == {0}
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@needs_root
@needs_proc
@pytest.mark.parametrize("place", ["beside the home", "in the system's folder"])
def test_as_root_without_namespaces_it_runs_as_nobody_in_a_tree_of_its_own(
    new_home: Callable[..., Home], open_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(server, "_namespace_account", lambda: None)
    monkeypatch.setattr(server, "SYSTEM_TREES", open_folder / "system" / "trees")
    # The folder's way in is made as on a real system, where others may pass /var/lib.
    (open_folder / "system").mkdir(mode=0o755)
    closed = tmp_path / "programs"
    closed.mkdir(mode=0o700)
    copy_programs(closed)
    monkeypatch.setenv("RRR_POSTGRES_BIN", str(closed / BINARIES.parents[1].name / BINARIES.parent.name / BINARIES.name))

    home = new_home(open_folder / "home" if place == "beside the home" else tmp_path / "home")
    info = ensure_running(home)
    assert info.data_dir.parent.parent == (open_folder if place == "beside the home" else open_folder / "system" / "trees")
    nobody = pwd.getpwnam("nobody").pw_uid
    assert owners([info.pid, *processes_of(home)]) == {nobody}
    assert {path.stat().st_uid for path in home.root.rglob("*")} == {0}
    assert stat.S_IMODE(home.server_tree.stat().st_mode) == 0o700
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700

    with connect(info) as connection:
        connection.execute("create table kept (n int)")
    os.kill(info.pid, signal.SIGKILL)
    again = ensure_running(home)
    assert ask(again, "select count(*) from kept") == 0
    assert len(list(home.server_tree.glob("postgresql-*"))) == 1

    # A copy names the same tree: it must get neither the server nor a second one on the same data.
    shutil.copytree(home.root, tmp_path / "copy")
    for call in (ensure_running, status, stop):
        with pytest.raises(ServerFailed, match="belongs to the home"):
            call(Home(tmp_path / "copy"))
    assert status(home) == again

    # A moved home keeps its server.
    home.root.rename(tmp_path / "moved")
    assert status(new_home(tmp_path / "moved")) is not None


@needs_root
def test_a_tree_that_is_gone_is_never_replaced_by_an_empty_one(new_home: Callable[..., Home], tmp_path: Path) -> None:
    home = new_home()
    home.prepare()
    home.server_pointer.write_text(json.dumps({"server_tree": str(tmp_path / "gone")}))
    with pytest.raises(ServerFailed, match="is not there"):
        ensure_running(home)


@needs_root
def test_a_caller_who_is_not_root_needs_nothing_special_and_root_can_follow(new_home: Callable[..., Home], open_folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    root = open_folder / "home"
    root.mkdir(mode=0o700)
    os.chown(root, nobody.pw_uid, nobody.pw_gid)
    python = python_for(nobody)
    if python is None:
        pytest.skip("another user can run no Python that has the dependencies, or cannot read this checkout")
    home = new_home(root)
    start = "print(ensure_running().pid)"
    theirs = run_python(home, start, python=python, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], cwd="/")
    pid = int(theirs.communicate(timeout=60)[0])
    assert ensure_running(home).pid == pid
    # Started by root in the user's home, it runs as that user, and the user still gets on with it.
    stop(home)
    ensure_running(home)
    assert {path.stat().st_uid for path in root.rglob("*")} == {nobody.pw_uid}
    theirs = run_python(home, f"stop()\n{start}", python=python, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], cwd="/")
    assert int(theirs.communicate(timeout=60)[0]) not in {0, pid}


@needs_root
def test_a_caller_without_any_rights_beyond_its_own_files(new_home: Callable[..., Home]) -> None:
    """As the last one, for machines where no other user can run this Python: root's files, but not root."""
    account = server._namespace_account()
    if account is None:
        pytest.skip("user namespaces are not allowed here")
    home = new_home()
    code = "from rrr_assets.warehouse.server import *; assert os.geteuid() != 0; i = ensure_running(); stop(); print(ensure_running().port)"
    environment = os.environ | {"RRR_HOME": str(home.root), "PYTHONPATH": PYTHONPATH}
    said = subprocess.run([*account.prefix, sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    info = status(home)
    assert info is not None
    assert info.port == int(said.stdout)


def python_for(user: pwd.struct_passwd) -> str | None:
    """A Python that this user can run with the platform in it."""
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        command = [python, "-c", "from rrr_assets.warehouse import server; server.find_binaries()"]
        try:
            subprocess.run(command, env={"PYTHONPATH": PYTHONPATH}, user=user.pw_uid, cwd="/", check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    return None


def copy_programs(to: Path) -> None:
    """The programs as a wheel lays them out: the package, and the folder of its shared libraries beside it."""
    package = BINARIES.parents[1]
    for folder in (BINARIES.parent, package.with_name(f"{package.name}.libs")):
        if folder.is_dir():
            shutil.copytree(folder, to / folder.relative_to(package.parent), symlinks=True)
