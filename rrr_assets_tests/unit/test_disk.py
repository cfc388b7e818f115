"""The guard against full disks: on real file systems, and with a floor that is moved."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rrr_assets.calc.outcomes import NoSpaceLeft
from rrr_assets.warehouse.disk import disks, lack_of_room, require_room, while_there_is_room
from rrr_assets.warehouse.home import HomeUnusable


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RRR_DATABASE_URL", "RRR_ARCHIVE_URL", "RRR_BACKUP_DIR", "RRR_MIN_FREE_BYTES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RRR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_folders_of_one_disk_are_looked_at_once(home: Path) -> None:
    [disk] = disks()
    assert disk.holds == ("the home", "the database", "the archive")
    assert disk.folder == home
    assert not home.exists()
    assert disk.floor_bytes == min(4 * 2**30, shutil.disk_usage(home.parent).total // 20)
    assert disk.free_bytes == pytest.approx(shutil.disk_usage(home.parent).free, rel=0.05)


@pytest.mark.parametrize("name", ["RRR_ARCHIVE_URL", "RRR_BACKUP_DIR", "RRR_HOME"])
def test_work_is_refused_before_a_disk_is_full_and_goes_on_when_there_is_room(
    tiny: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, str(tiny / "mine"))
    assert [disk.floor_bytes for disk in disks() if disk.folder == tiny / "mine"] == [8 * 2**20 // 20]
    require_room("the load")
    (tiny / "ballast").write_bytes(bytes(int(7.7 * 2**20)))
    with pytest.raises(
        NoSpaceLeft, match=rf"^the load was not begun: 0 MB are free on the disk of .*{tiny}/mine.* Make room and ask again"
    ):
        require_room("the load")
    (tiny / "ballast").unlink()
    require_room("the load")


def test_the_disk_of_a_server_of_others_and_of_a_bucket_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRR_DATABASE_URL", "postgresql://a:b@c/d")
    monkeypatch.setenv("RRR_ARCHIVE_URL", "s3://bucket/prefix")
    assert [disk.holds for disk in disks()] == [("the home",)]


def test_the_floor_is_set_and_what_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRR_MIN_FREE_BYTES", "0")
    assert lack_of_room() is None
    monkeypatch.setenv("RRR_MIN_FREE_BYTES", str(10**18))
    assert "1,000,000,000,000 MB are to stay free" in str(lack_of_room())
    monkeypatch.setenv("RRR_MIN_FREE_BYTES", "much")
    with pytest.raises(HomeUnusable, match="RRR_MIN_FREE_BYTES much is no number of bytes"):
        lack_of_room()


def test_what_was_done_stays_when_the_room_ends_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRR_MIN_FREE_BYTES", "0")
    days = while_there_is_room("the refresh", iter([1, 2, 3]))
    assert [next(days), next(days)] == [1, 2]
    monkeypatch.setenv("RRR_MIN_FREE_BYTES", str(10**18))
    with pytest.raises(NoSpaceLeft, match="the rest of the refresh was not begun"):
        next(days)
