"""The home's folders, private files, passwords and locks."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rrr_assets.warehouse.home import Credentials, Home, HomeUnusable, hold_lock, home_dir, read_json, write_private


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_home_is_rrr_home_else_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RRR_HOME", raising=False)
    assert home_dir() == tmp_path.resolve() / ".rrr"
    monkeypatch.setenv("RRR_HOME", "")
    assert home_dir() == tmp_path.resolve() / ".rrr"
    monkeypatch.setenv("RRR_HOME", "below/home")
    assert home_dir() == tmp_path.resolve() / "below" / "home"


def test_a_home_has_one_name_whichever_way_leads_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.setenv("RRR_HOME", str(tmp_path / "link" / "home"))
    assert home_dir() == tmp_path.resolve() / "real" / "home"


def test_folders_are_open_to_their_owner_alone_whatever_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRR_HOME", str(tmp_path / "parent" / "home"))
    before = os.umask(0)
    try:
        home = Home.current()
        Credentials(home.credentials).password_for("rrr")
        write_private(home.server_json, "{}")
        with home.lock("server"):
            pass
    finally:
        os.umask(before)
    for path in [home.root, *home.root.rglob("*")]:
        assert mode_of(path) == (0o700 if path.is_dir() else 0o600), path
    assert {home.landing, home.dagster, home.charts, home.logs} <= set(home.root.iterdir())


def test_a_home_that_exists_is_taken_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "landing").mkdir(mode=0o755)
    (tmp_path / "landing" / "day.csv").write_text("x")
    Home(tmp_path).prepare()
    Home(tmp_path).prepare()
    assert mode_of(tmp_path) == mode_of(tmp_path / "landing") == 0o755
    assert (tmp_path / "landing" / "day.csv").read_text() == "x"


def test_the_server_tree_is_in_the_home_unless_a_file_names_another(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.server_data == tmp_path / "server" / "data"
    home.server_pointer.write_text('{"server_tree": "/srv/elsewhere"}')
    assert home.server_data == Path("/srv/elsewhere/data")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"server_tree": 1}', '{"server_tree": "relative"}'])
def test_a_broken_pointer_is_refused_and_never_taken_for_no_pointer(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path)
    home.server_pointer.write_text(text)
    with pytest.raises(HomeUnusable, match="Restore"):
        _ = home.server_tree


def test_a_password_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    first = Credentials(path).password_for("writer")
    other = Credentials(path).password_for("analyst")
    assert first != other
    assert min(len(first), len(other)) >= 32
    assert Credentials(path).password_for("writer") == first
    assert json.loads(path.read_text()) == {"writer": first, "analyst": other}
    assert first not in repr(Credentials(path))


def test_processes_that_ask_at_once_get_the_same_passwords(tmp_path: Path) -> None:
    code = (
        "import json, sys; from pathlib import Path; from rrr_assets.warehouse.home import Credentials; sys.stdin.readline();"
        "c = Credentials(Path(sys.argv[1])); print(json.dumps({str(n): c.password_for(str(n)) for n in range(20)}))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "credentials.json")]
    askers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for asker in askers:
        assert asker.stdin is not None
        asker.stdin.write("go\n")
        asker.stdin.flush()
    answers = [json.loads(asker.communicate(timeout=30)[0]) for asker in askers]
    assert answers[0] == answers[1] == answers[2] == json.loads((tmp_path / "credentials.json").read_text())


@pytest.mark.parametrize("text", ["", '{"writer": "hunter2"', '["hunter2"]', '{"writer": 7, "analyst": "hunter2"}'])
def test_a_broken_file_of_passwords_is_refused_kept_and_not_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "credentials.json"
    path.write_text(text)
    with pytest.raises(HomeUnusable) as refused:
        Credentials(path).password_for("writer")
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert path.read_text() == text


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "server.json"
    write_private(path, '{"port": 1}')

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_private(path, '{"port": 2}')
    assert read_json(path) == {"port": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_replaces_a_link_and_does_not_follow_it(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "ours").symlink_to("theirs")
    write_private(tmp_path / "ours", "ours")
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert (tmp_path / "ours").read_text() == "ours"


def test_a_lock_is_waited_for_and_given_up_with_a_remedy(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from rrr_assets.warehouse.home import hold_lock\n"
        "with hold_lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.readline()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "server.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(HomeUnusable, match="try again"), hold_lock(tmp_path / "server.lock", timeout_seconds=0.2):
            pass
        holder.kill()
        holder.wait()
        # Killed with the lock in its hands: the system has freed it.
        with hold_lock(tmp_path / "server.lock", timeout_seconds=5):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes into folders of others")
def test_what_root_writes_into_the_home_of_a_user_is_the_users(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 23456)
    home = Home(tmp_path)
    home.prepare()
    Credentials(home.credentials).password_for("rrr")
    with home.lock("server"):
        pass
    assert {(path.stat().st_uid, path.stat().st_gid) for path in tmp_path.rglob("*")} == {(12345, 23456)}
