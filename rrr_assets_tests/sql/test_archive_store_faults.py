"""A store in trouble: down, slow, full, failing in the middle of an upload. Nothing is lost or half seen, and it goes on afterwards."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from rrr_assets.calc.outcomes import NoSpaceLeft, StoreUnreachable
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.lake import store as stores
from rrr_assets.lake.proving import PartitionArchived
from rrr_assets.lake.store import ASIDE, Store
from rrr_assets.resources.lake import Lake
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets_tests.archive_upkeep import (
    TRADES,
    archive,
    archived,
    catalogue,
    cleaned,
    compacted,
    expired,
    found,
    last,
    read_back,
    scatter,
)
from rrr_assets_tests.faulty_store import Fault, FaultyStore, faulty_store
from rrr_assets_tests.loading import DAY, Told, emptied, midnight, take, tape, vision
from rrr_assets_tests.platform import Platform

BUCKET = "archive-of-faults"


@pytest.fixture(scope="module")
def store() -> Iterator[FaultyStore]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with faulty_store(f"http://{host}:{port}") as made:
        yield made
    server.stop()


@pytest.fixture
def platform(database: Database, store: FaultyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    told = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": store.endpoint}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("RRR_ARCHIVE_URL", f"s3://{BUCKET}/desk/archive")
    # As it is, five attempts: a test need not wait for all of them.
    monkeypatch.setattr(stores, "_ATTEMPTS", 2)
    store.recover()
    bucket = boto3.resource("s3", endpoint_url=store.endpoint).create_bucket(Bucket=BUCKET)
    bucket.objects.all().delete()
    for upload in uploads(store):
        client(store).abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    return fresh(database, tmp_path)


def fresh(database: Database, folder: Path) -> Platform:
    made = emptied(database, folder)
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("truncate iceberg.iceberg_tables, iceberg.iceberg_namespace_properties")
    return made


def client(store: FaultyStore) -> Any:
    return boto3.client("s3", endpoint_url=store.endpoint)


def uploads(store: FaultyStore) -> list[dict[str, Any]]:
    return list(client(store).list_multipart_uploads(Bucket=BUCKET).get("Uploads", []))


def through_the_lake(platform: Platform) -> PartitionArchived:
    [(_, [done], _)] = Lake().archive(platform.database, [TRADES], [DAY], "a run")
    return done


def rows(platform: Platform) -> int:
    return int(platform.rows("select count(*) from raw_trades")[0][0])


FAULTS = {
    "an upload is not begun": Fault("CreateMultipartUpload", ".parquet"),
    "a part is refused": Fault("UploadPart", ".parquet"),
    "an upload is not ended": Fault("CompleteMultipartUpload", ".parquet"),
    "an upload is ended, and nobody is told": Fault("CompleteMultipartUpload", ".parquet", is_done=True),
    "what was written is not read back": Fault("GetObject", ".parquet"),
    "what is read back breaks off": Fault("GetObject", ".parquet", is_cut=True),
    "a manifest is refused": Fault("UploadPart", ".avro"),
    "a list of manifests is not ended": Fault("CompleteMultipartUpload", ".avro", first=1),
    "metadata is refused": Fault("UploadPart", ".metadata.json", first=1),
    "nothing is answered well": Fault("*"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=[name.replace(" ", "-") for name in FAULTS])
def test_what_the_store_fails_at_is_told_and_done_later(platform: Platform, store: FaultyStore, tmp_path: Path, fault: Fault) -> None:
    take(platform, vision(tmp_path, tape(DAY, 300), DAY))
    store.break_down(fault)
    with pytest.raises(StoreUnreachable, match="did not answer well"):
        through_the_lake(platform)
    assert store.hit >= 1
    store.recover()
    assert platform.rows("select count(*) from archive_proofs") == [(0,)]
    assert rows(platform) == 300
    with catalogue(platform) as lake:
        assert lake.files(TRADES, DAY) == []
    assert through_the_lake(platform).is_new
    assert read_back(platform) == 300
    assert not through_the_lake(platform).is_new
    cleaned(platform)
    assert uploads(store) == []
    assert found(platform) == []


@pytest.mark.parametrize("of", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "GetObject", "PutObject"])
def test_a_fault_that_passes_is_not_noticed(
    platform: Platform, store: FaultyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.endpoint)
    for name, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RRR_ARCHIVE_URL", f"s3://{BUCKET}/desk/archive")
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    store.break_down(Fault(of, last=2))
    assert through_the_lake(platform).is_new
    assert store.hit == 2 or of == "PutObject"
    assert read_back(platform) == 100
    assert uploads(store) == []


def test_what_a_fault_left_of_an_upload_is_given_up_at_once(platform: Platform, store: FaultyStore, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    store.break_down(Fault("CompleteMultipartUpload", ".parquet"))
    with pytest.raises(StoreUnreachable):
        through_the_lake(platform)
    assert "AbortMultipartUpload" in store.seen
    assert uploads(store) == []


def test_a_store_that_is_slow_is_given_up(platform: Platform, store: FaultyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_ANSWER_SECONDS", 1.0)
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    store.break_down(Fault("UploadPart", ".parquet", seconds=6))
    begun = time.monotonic()
    with pytest.raises(StoreUnreachable):
        through_the_lake(platform)
    assert time.monotonic() - begun < 60
    store.recover()
    assert through_the_lake(platform).is_new
    assert read_back(platform) == 100


def test_uploads_of_the_killed_are_cleaned(platform: Platform, store: FaultyStore, tmp_path: Path) -> None:
    """Killed in the middle of an upload: its parts are not seen, and are paid for until somebody gives them up."""
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    store.break_down(Fault("UploadPart", ".parquet", seconds=60))
    script = f"""
from datetime import date
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.proving import archive_partition
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.connect import Database
database = Database.current({platform.database.name!r})
with Catalogue(database, Store.current()) as lake:
    archive_partition(database, lake, ARCHIVED["raw_trades"], date.fromisoformat("{DAY}"))
"""
    child = subprocess.Popen([sys.executable, "-c", script], env={**os.environ})
    until = time.monotonic() + 120
    while not store.hit and time.monotonic() < until:
        time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert store.hit
    store.recover()
    assert len(uploads(store)) == 1
    [told] = cleaned(platform, apply=False)
    assert (told.uploads, len(uploads(store))) == (1, 1)
    [done] = cleaned(platform)
    assert (done.uploads, uploads(store)) == (1, [])
    assert archived(platform).is_new
    assert read_back(platform) == 100


@pytest.mark.parametrize("call", [compacted, expired, cleaned, found])
def test_upkeep_of_a_store_in_trouble_changes_nothing(platform: Platform, store: FaultyStore, tmp_path: Path, call: Any) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    archive(platform)
    take(platform, vision(tmp_path, [Told(5, midnight(DAY) + 5)], DAY, "-late"))
    archive(platform)
    before = scatter(platform, 3)
    store.break_down(Fault("*"))
    with pytest.raises(OSError):  # noqa: PT011  # whatever the store's library says
        call(platform)
    store.recover()
    assert last(platform) == before
    assert read_back(platform) == 101
    for again in (compacted, expired, cleaned):
        again(platform)
    assert found(platform) == []
    assert read_back(platform) == 101
    assert len(last(platform).files) == 1


def test_uploads_that_may_not_be_listed_are_told(platform: Platform, store: FaultyStore, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    archive(platform)
    store.break_down(Fault("ListMultipartUploads", status=403))
    with pytest.raises(OSError, match="ListMultipartUploads"):
        cleaned(platform)


def test_a_flipped_bit_in_a_bucket(platform: Platform, store: FaultyStore, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    [file] = archive(platform).files
    key = file.url.removeprefix(f"s3://{BUCKET}/")
    damaged = bytearray(client(store).get_object(Bucket=BUCKET, Key=key)["Body"].read())
    damaged[len(damaged) // 2] ^= 1
    client(store).put_object(Bucket=BUCKET, Key=key, Body=bytes(damaged))
    [done] = found(platform)
    assert (done.url, done.mended is not None) == (file.url, True)
    assert read_back(platform) == 100
    aside = Store.current().listed(ASIDE)
    assert [each.size_bytes for each in aside] == [len(damaged)]
    assert found(platform) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no file system may be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full(database: Database, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRR_ARCHIVE_URL", str(small_disk / "archive"))
    platform = fresh(database, tmp_path)
    take(platform, vision(tmp_path, tape(DAY, 2000), DAY))
    archive(platform)
    before = scatter(platform, 3)
    take(platform, vision(tmp_path, [Told(5, midnight(DAY) + 5)], DAY, "-late"))
    filler = small_disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free))
    with pytest.raises(NoSpaceLeft, match="was not begun"):
        through_the_lake(platform)
    with pytest.raises(OSError, match="No space left"):
        archive(platform)
    monkeypatch.setenv("RRR_ENVIRONMENT", "development")
    with pytest.raises(NoSpaceLeft, match="is full"):
        list(Lake().compact(platform.database, ARCHIVED.values(), apply=True))
    assert last(platform) == before
    assert read_back(platform) == 2000
    filler.unlink()
    assert through_the_lake(platform).is_new
    assert read_back(platform) == 2001
    cleaned(platform)
    assert found(platform) == []
