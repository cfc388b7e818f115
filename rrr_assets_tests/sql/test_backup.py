"""Backups on a real server: what is restored is what was committed, whatever dies on the way. Needs PostgreSQL's programs and barman."""

import json
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from rrr_assets.warehouse import backup, backup_restore, server
from rrr_assets.warehouse.backup import Backups, holes_in
from rrr_assets.warehouse.barman import BackupFailed
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.home import Credentials, Home
from rrr_assets.warehouse.migrate import migrate
from rrr_assets.warehouse.server import ServerFailed, ensure_running, stop
from rrr_assets_tests import warm
from rrr_assets_tests.platform import kill

try:
    server.find_binaries()
except ServerFailed as missing:
    pytest.skip(f"no embedded PostgreSQL: {missing.reason}", allow_module_level=True)
if find_spec("barman") is None:
    pytest.skip("barman is not installed", allow_module_level=True)

LOGGER = logging.getLogger(__name__)
pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with a server of its own, and a folder for its backups: the environment names both."""
    monkeypatch.delenv("RRR_DATABASE_URL", raising=False)
    monkeypatch.setenv("RRR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RRR_BACKUP_DIR", str(tmp_path / "backups"))
    yield tmp_path / "backups"
    for home in (tmp_path / "home", tmp_path / "new"):
        if (home / "server").exists():
            stop(Home(home))
    for pid in receivers(tmp_path / "backups"):
        kill(pid)


def receivers(folder: Path) -> list[int]:
    """The processes of barman and PostgreSQL that receive into this folder."""
    home = folder.parent / "home" / "backup" / "barman.conf"
    found = []
    for pid, command in server._commands():
        text = " ".join(command)
        if f"--directory={folder}/" in text or (str(home) in text and "receive-wal" in text):
            found.append(pid)
    return found


def quiet(_: str) -> None:
    """Progress that nobody looks at."""


def desk() -> Database:
    """The database of the environment, with a table of marks; its log is received."""
    backup._looked_at.clear()
    database = Database.current()
    with database.connect_admin() as connection:
        connection.execute("create table if not exists marks (n int primary key, at timestamptz default clock_timestamp())")
    return database


def mark(database: Database, *numbers: int) -> datetime:
    """Commit some rows, and say when that was done, by the server's clock."""
    with database.connect_admin() as connection:
        for number in numbers:
            connection.execute("insert into marks (n) values (%s)", (number,))
        row = connection.execute("select clock_timestamp()").fetchone()
        assert row is not None
        time.sleep(0.01)
        moment: datetime = row[0]
        return moment


def marks_of(home: Home) -> list[int]:
    info = ensure_running(home)
    try:
        with psycopg.connect(info.url("rrr", info.superuser)) as connection:
            return [row[0] for row in connection.execute("select n from marks order by n").fetchall()]
    finally:
        stop(home)


def restored(folder: Path, target: datetime | None = None, backup_id: str | None = None) -> list[int]:
    """The marks in a home made of the backup, which is removed again."""
    new = folder.parent / "new"
    done = backup_restore.restore(folder, new, target=target, backup_id=backup_id, progress=quiet)
    try:
        return marks_of(done.home)
    finally:
        shutil.rmtree(new)


def wait_for(is_true: Callable[[], bool], what: str, timeout_seconds: float = 30) -> None:
    end = time.monotonic() + timeout_seconds
    while not is_true():
        assert time.monotonic() < end, f"waited in vain for: {what}"
        time.sleep(0.05)


def kill_server(home: Home) -> None:
    """As when the power fails: the server and all its processes at once."""
    postmaster = server._postmaster(home.server_data)
    assert postmaster is not None
    for pid in (postmaster[0], *server._orphans(home.server_data)):
        kill(pid)
    wait_for(lambda: not server._orphans(home.server_data), "the end of the server")


# --- back to a time ---------------------------------------------------------------------------------------------


def test_each_time_has_exactly_the_rows_that_were_committed_by_then(folder: Path) -> None:
    database = desk()
    mark(database, 1)
    made = Backups.current(database).make(quiet)
    assert made.is_complete
    second = mark(database, 2)
    third = mark(database, 3, 4)
    mark(database, 5)
    assert restored(folder, second) == [1, 2]
    assert restored(folder, third) == [1, 2, 3, 4]
    assert restored(folder) == [1, 2, 3, 4, 5]
    with database.connect_admin() as connection:
        assert connection.execute("select count(*) from marks").fetchone() == (5,)


def test_a_backup_is_named_or_the_last_one_before_the_time(folder: Path) -> None:
    database = desk()
    backups = Backups.current(database)
    first = backups.make(quiet)
    between = mark(database, 1)
    mark(database, 2)
    time.sleep(1.1)  # barman names a backup by its second
    last = backups.make(quiet)
    mark(database, 3)
    assert [each.backup_id for each in backup_restore.list_backups(folder)] == [first.backup_id, last.backup_id]
    assert restored(folder, between) == [1]
    assert restored(folder, backup_id=first.backup_id) == [1, 2, 3]
    assert restored(folder, backup_id=last.backup_id) == [1, 2, 3]
    with pytest.raises(BackupFailed, match="after the target"):
        backup_restore.restore(folder, folder.parent / "new", backup_id=last.backup_id, target=between, progress=quiet)


def test_a_restored_home_is_one_like_any_other_and_leaves_the_backups_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = desk()
    Backups.current(database).make(quiet)
    mark(database, 1)
    new = folder.parent / "new"
    done = backup_restore.restore(folder, new, progress=quiet)
    assert done.home.root == new
    assert server.status(done.home) is None
    assert Credentials(done.home.credentials).password_for("rrr") == Credentials(Home.current().credentials).password_for("rrr")
    monkeypatch.setenv("RRR_HOME", str(new))
    with Database.current().connect_admin() as connection:
        settings = [connection.execute(f"show {name}").fetchone() for name in ("restore_command", "recovery_target_time")]
        assert settings == [("",), ("",)]
        assert connection.execute("select count(*) from pg_replication_slots").fetchone() == (0,)
        connection.execute("insert into marks (n) values (2)")
    assert not list(done.home.server_data.glob("*barman*"))
    with pytest.raises(BackupFailed, match=r"holds the backups of the home .*Set RRR_BACKUP_DIR to another folder"):
        Backups.current(Database.current()).prepare()
    monkeypatch.setenv("RRR_BACKUP_DIR", str(folder.parent / "more-backups"))
    Backups.current(Database.current()).make(quiet)
    Backups.current(Database.current()).switch_off()


def test_what_cannot_be_restored_is_refused_and_leaves_nothing(folder: Path) -> None:
    database = desk()
    new = folder.parent / "new"
    with pytest.raises(BackupFailed, match="no complete base backup"):
        backup_restore.restore(folder, new, progress=quiet)
    before = mark(database, 1)
    Backups.current(database).make(quiet)
    last = mark(database, 2)
    with pytest.raises(BackupFailed, match=r"begins at .* after the target"):
        backup_restore.restore(folder, new, target=before, progress=quiet)
    with pytest.raises(BackupFailed, match="has not come yet"):
        backup_restore.restore(folder, new, target=datetime.now(UTC) + timedelta(hours=1), progress=quiet)
    with pytest.raises(BackupFailed, match="no complete backup 20010101T000000"):
        backup_restore.restore(folder, new, backup_id="20010101T000000", progress=quiet)
    with pytest.raises(BackupFailed, match=r"nothing was committed after .*leave --target-time out"):
        backup_restore.restore(folder, new, target=last, progress=quiet)
    with pytest.raises(BackupFailed, match="no backups of ours"):
        backup_restore.restore(folder.parent, new, progress=quiet)
    assert not new.exists()
    new.mkdir()
    (new / "mine").write_text("kept")
    with pytest.raises(BackupFailed, match="is there already, and nothing is written over"):
        backup_restore.restore(folder, new, progress=quiet)
    assert [path.name for path in new.iterdir()] == ["mine"]
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".new-")]


# --- what dies --------------------------------------------------------------------------------------------------


@pytest.mark.crash
def test_a_machine_that_is_lost_loses_a_moment_of_work(folder: Path) -> None:
    database = desk()
    Backups.current(database).make(quiet)
    home = Home.current()
    committed: list[float] = []

    def commit_on_and_on() -> None:
        with psycopg.connect(database.admin_url, autocommit=True) as connection:
            while True:
                try:
                    connection.execute("insert into marks (n) values (%s)", (len(committed),))
                except psycopg.OperationalError:
                    return
                committed.append(time.monotonic())

    writer = threading.Thread(target=commit_on_and_on)
    writer.start()
    time.sleep(5)
    kill_server(home)
    died = time.monotonic()
    writer.join()
    for pid in receivers(folder):
        kill(pid)
    shutil.rmtree(home.root)
    found = restored(folder)
    assert len(committed) > 100
    assert found == list(range(len(found)))
    lost = committed[len(found) :]
    at_risk = died - lost[0] if lost else 0.0
    LOGGER.info("%d commits, %d lost, of the last %.3f s", len(committed), len(lost), at_risk)
    assert at_risk < 3


@pytest.mark.crash
def test_a_receiver_that_dies_is_started_again_and_misses_nothing(folder: Path) -> None:
    database = desk()
    backups = Backups.current(database)
    backups.make(quiet)
    mark(database, 1)
    for pid in receivers(folder):
        kill(pid)
    wait_for(lambda: not backups.reception().is_receiving, "the end of the receiver")
    mark(database, 2)
    assert backups.seconds_until_safe(1, on_disk=False) is None
    backup._looked_at.clear()
    Database.current()
    wait_for(lambda: backups.reception().is_receiving, "the receiver")
    took = backups.seconds_until_safe(60, on_disk=False)
    assert took is not None
    mark(database, 3)
    assert all(not result.broken for result in backups.check())
    stop(Home.current())
    assert restored(folder) == [1, 2, 3]


@pytest.mark.crash
def test_a_receiver_that_outlived_barman_is_replaced(folder: Path) -> None:
    database = desk()
    backups = Backups.current(database)
    backups.make(quiet)
    [parent] = [pid for pid, command in server._commands() if pid in receivers(folder) and "receive-wal" in command]
    kill(parent)
    wait_for(lambda: not backup.is_receiver_alive(folder), "the end of barman")
    assert backups.reception().is_receiving
    mark(database, 1)
    desk()
    wait_for(lambda: backup.is_receiver_alive(folder) and backups.reception().is_receiving, "the receiver")
    mark(database, 2)
    assert [result.rule for result in backups.check() if result.broken] == []
    assert restored(folder) == [1, 2]


@pytest.mark.crash
def test_a_server_that_dies_is_received_from_again(folder: Path) -> None:
    database = desk()
    backups = Backups.current(database)
    backups.make(quiet)
    mark(database, 1)
    kill_server(Home.current())
    wait_for(lambda: not receivers(folder), "the end of the receiver")
    again = desk()
    wait_for(lambda: Backups.current(again).reception().is_receiving, "the receiver")
    mark(again, 2)
    stop(Home.current())
    assert restored(folder) == [1, 2]


@pytest.mark.crash
@pytest.mark.parametrize("place", ["backup.before_copy", "backup.copied"])
def test_a_backup_that_is_killed_is_made_by_the_next_call(folder: Path, place: str) -> None:
    database = desk()
    code = "from rrr_assets.warehouse.backup import *; Backups.current(Database.current()).make(print)"
    assert warm.python(code, environment=os.environ | {"RRR_FAULT_POINT": place}).returncode == -signal.SIGKILL
    mark(database, 1)
    time.sleep(1.1)
    Backups.current(database).make(quiet)
    assert all(each.is_complete for each in backup_restore.list_backups(folder))
    assert restored(folder) == [1]


@pytest.mark.crash
def test_what_a_killed_copy_left_is_cleared_away(folder: Path) -> None:
    database = desk()
    with database.connect_admin() as connection:
        connection.execute("create table ballast as select g, repeat(md5(g::text), 20) as t from generate_series(1, 300000) g")
    code = "from rrr_assets.warehouse.backup import *; Backups.current(Database.current()).make(print)"
    maker = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.DEVNULL)
    wait_for(lambda: bool(list(folder.glob("rrr/base/*/data/base.tar.gz"))), "the copy")
    os.killpg(maker.pid, signal.SIGKILL)
    maker.wait()
    assert [each.is_complete for each in backup_restore.list_backups(folder)] == [False]
    time.sleep(1.1)
    made = Backups.current(database).make(quiet)
    assert [each.backup_id for each in backup_restore.list_backups(folder)] == [made.backup_id]


@pytest.mark.crash
def test_a_restore_that_is_killed_leaves_no_home(folder: Path) -> None:
    database = desk()
    Backups.current(database).make(quiet)
    mark(database, 1)
    code = (
        "from pathlib import Path; from rrr_assets.warehouse.backup_restore import *; "
        f"restore(Path({str(folder)!r}), Path({str(folder.parent / 'new')!r}), progress=print)"
    )
    assert warm.python(code, environment=os.environ | {"RRR_FAULT_POINT": "backup.laid_out"}).returncode == -signal.SIGKILL
    assert not (folder.parent / "new").exists()
    assert restored(folder) == [1]


def test_twice_and_two_at_once(folder: Path) -> None:
    database = desk()
    backups = Backups.current(database)
    first = backups.make(quiet)
    mark(database, 1)
    time.sleep(1.1)

    def attempt(_: int) -> str:
        try:
            return backups.make(quiet).backup_id
        except BackupFailed as failure:
            return str(failure)

    with ThreadPoolExecutor(2) as pool:
        told = sorted(pool.map(attempt, range(2)))
    assert told[1] == "another backup is under way. Wait for it to end"
    assert [each.backup_id for each in backup_restore.list_backups(folder)] == [first.backup_id, told[0]]
    assert restored(folder) == [1]


def test_a_log_that_was_torn_is_told_until_there_is_a_new_base_backup(folder: Path) -> None:
    database = desk()
    backups = Backups.current(database)
    backups.make(quiet)
    with database.connect_admin() as connection:
        for pid in receivers(folder):
            kill(pid)
        connection.execute("alter system set max_slot_wal_keep_size = '16MB'")
        connection.execute("alter system set max_wal_size = '64MB'")
        connection.execute("select pg_reload_conf()")
        for number in range(8):
            connection.execute("insert into marks (n) values (%s)", (number,))
            connection.execute("select pg_switch_wal()")
            connection.execute("checkpoint")
    assert backups.reception().is_torn
    assert backup.probe(database.admin_url)["receiver"] == "torn: a new base backup is needed"
    backups.keep_receiving()
    wait_for(lambda: backups.reception().is_receiving, "the receiver")
    mark(database, 100)
    broken = {result.rule: result.examples for result in backups.check() if result.broken}
    assert list(broken) == ["the log since the last base backup is whole"]
    assert "Make a base backup" in broken["the log since the last base backup is whole"][0]
    time.sleep(1.1)
    backups.make(quiet)
    assert [result.rule for result in backups.check() if result.broken] == []
    assert restored(folder) == [*range(8), 100]


# --- what it tells the server, and who may know what ------------------------------------------------------------


def test_loss_and_growth_are_bounded_and_switched_off_again(folder: Path) -> None:
    database = desk()
    backups = Backups.current(database)
    backups.prepare()
    with database.connect_admin() as connection:

        def setting(name: str) -> str:
            row = connection.execute("select setting from pg_settings where name = %s", (name,)).fetchone()
            assert row is not None
            return str(row[0])

        wait_for(lambda: setting("archive_timeout") == "30", "the settings")
        assert 1024 <= int(setting("max_slot_wal_keep_size")) <= 16 * 1024
        connection.execute("alter system set max_slot_wal_keep_size = '3GB'")
        connection.execute("select pg_reload_conf()")
        wait_for(lambda: setting("max_slot_wal_keep_size") == "3072", "the choice")
        backups.prepare()
        assert setting("max_slot_wal_keep_size") == "3072"
        backups.switch_off()
        wait_for(lambda: (setting("archive_timeout"), setting("max_slot_wal_keep_size")) == ("0", "-1"), "the settings back")
        assert connection.execute("select count(*) from pg_replication_slots").fetchone() == (0,)
    wait_for(lambda: not receivers(folder), "the end of the receiver")


@pytest.mark.usefixtures("folder")
def test_what_is_committed_is_on_the_disk_of_the_backups_within_a_minute() -> None:
    database = desk()
    backups = Backups.current(database)
    backups.make(quiet)
    mark(database, 1)
    took = backups.seconds_until_safe(backup.MOST_SECONDS_AT_RISK, on_disk=True)
    assert took is not None
    LOGGER.info("on the disk after %.1f s", took)


def test_no_password_is_shown_and_no_file_is_open_to_others(folder: Path) -> None:
    database = desk()
    backups = Backups.current(database)
    backups.make(quiet)
    home = Home.current()
    passwords = set(json.loads(home.credentials.read_text()).values())
    shown = [" ".join(command) for _, command in server._commands()]
    shown += [
        path.read_text("utf-8", errors="replace") for path in (home.root / "backup").iterdir() if path.name != "pgpass" and path.is_file()
    ]
    shown += [path.read_text("utf-8", errors="replace") for path in (home.server_tree / "log").iterdir()]
    assert shown
    assert not [text for text in shown if any(password in text for password in passwords)]
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE((home.root / "backup").stat().st_mode) == 0o700
    for path in (home.root / "backup" / "pgpass", folder / "credentials.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [str(path) for path in folder.rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_a_folder_of_others_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("RRR_BACKUP_DIR", str(folder.parent))
    with caplog.at_level("WARNING"):
        database = desk()
    assert "what is committed now is not backed up" in caplog.text
    with pytest.raises(BackupFailed, match="is not empty, and holds no backups of ours"):
        Backups.current(database).make(quiet)
    monkeypatch.setenv("RRR_BACKUP_DIR", str(folder))
    Backups.current(database).prepare()
    noted = json.loads((folder / "home.json").read_text())
    (folder / "home.json").write_text(json.dumps(noted | {"system": "1"}))
    with pytest.raises(BackupFailed, match="backups of what this database was before"):
        Backups.current(database).prepare()


def test_of_a_server_of_others_backups_are_made_and_no_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = desk()
    Backups.current(mine).prepare()
    password = Credentials(Home.current().credentials).password_for("rrr_backup")
    facts = psycopg.conninfo.conninfo_to_dict(mine.admin_url)
    url = f"postgresql://rrr_backup:{password}@127.0.0.1:{facts['port']}/postgres"
    monkeypatch.setenv("RRR_DATABASE_URL", url)
    monkeypatch.setenv("RRR_BACKUP_DIR", str(folder.parent / "given"))
    theirs = Database("postgres", url, {}, url, is_embedded=False)
    # A slot is of one home, and here both are of the same.
    monkeypatch.setattr(backup, "_home_id", lambda _: "0a0b0c0d")
    backups = Backups.current(theirs)
    made = backups.make(quiet)
    assert made.is_complete
    assert [result.rule for result in backups.check() if result.broken] == []
    with pytest.raises(BackupFailed, match="of a server that is not ours"):
        backup_restore.restore(folder.parent / "given", folder.parent / "new", progress=quiet)
    backups.switch_off()


def test_a_drill_finds_the_ledgers_as_they_are(folder: Path) -> None:
    database = desk()
    migrate(database)
    database.ensure_dagster_database()
    Backups.current(database).make(quiet)
    with database.connect_admin() as connection:
        connection.execute("insert into holds (name, kind, reason, placed_at, placed_by) values ('a', 'pin', 'a test', now(), 'me')")
    done, compared = backup_restore.drill(database, quiet)
    assert {each.ledger for each in compared} >= {"ingest_batches", "landing_files", "archive_proofs", "retention_log"}
    assert all(each.is_same for each in compared)
    assert not done.home.root.exists()
    assert [path for path in folder.parent.iterdir() if "drill" in path.name] == []


# --- the command line -------------------------------------------------------------------------------------------


def rrr(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return warm.rrr(*arguments, environment=os.environ | environment)


def test_the_commands(folder: Path) -> None:
    assert rrr("up").returncode == 0
    state = json.loads(rrr("status", "--json").stdout)
    assert state["backup"]["receiver"] in {"receiving", "down"}
    assert rrr("backup", "list").stdout.startswith("There is no backup yet")
    assert rrr("backup", "check").returncode == 1
    made = json.loads(rrr("backup", "make", "--json").stdout)
    assert [each["backup_id"] for each in json.loads(rrr("backup", "list", "--json").stdout)] == [made["backup_id"]]
    checked = rrr("backup", "check", "--json")
    assert checked.returncode == 0, checked.stdout
    new = folder.parent / "new"
    done = rrr("backup", "restore", "--to", str(new), "--json")
    assert json.loads(done.stdout)["home"] == str(new)
    again = rrr("backup", "restore", "--to", str(new))
    assert (again.returncode, again.stdout) == (1, "")
    assert re.match(r"rrr: .* is there already, and nothing is written over", again.stderr.splitlines()[-1])
    assert rrr("down").returncode == 0
    wait_for(lambda: not receivers(folder), "the end of the receiver")
    assert rrr("backup", "off").returncode == 0
    assert rrr("down").returncode == 0
    refused = rrr("backup", "make", RRR_BACKUP_DIR="")
    assert refused.returncode == 1
    assert "no backups are made here. Set RRR_BACKUP_DIR" in refused.stderr


# --- pure -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "after"),
    [
        ([], []),
        (["000000010000000000000001", "000000010000000000000002"], []),
        (["0000000100000000000000FF", "000000010000000100000000"], []),
        (["000000010000000000000001", "000000010000000000000003", "00000002.history"], ["000000010000000000000001"]),
        (["000000010000000000000004", "000000020000000000000004", "000000020000000000000005"], []),
    ],
)
def test_holes_in_the_log(names: list[str], after: list[str]) -> None:
    assert holes_in(names) == after
