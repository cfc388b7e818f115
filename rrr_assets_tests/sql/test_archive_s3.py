"""The archive in a bucket: the same as in a folder, against a server that speaks S3; and what is said where it does not answer."""

import socket
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import boto3
import duckdb
import polars as pl
import pytest
from moto.server import ThreadedMotoServer

from rrr_assets import read
from rrr_assets.archive.costs import measure
from rrr_assets.calc.outcomes import StoreUnreachable
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.lake import files
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.proving import PartitionArchived, archive_partition
from rrr_assets.lake.store import Store, StoreUnusable
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets_tests.cold import make_cold
from rrr_assets_tests.loading import DAY, NAME, NEXT, emptied, take, tape, vision
from rrr_assets_tests.platform import Platform
from rrr_assets_tests.straight import archived, land, straight

TRADES = ARCHIVED["raw_trades"]
BUCKET = "archive-of-tests"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def platform(database: Database, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    told = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RRR_ARCHIVE_URL", f"s3://{BUCKET}/desk/archive/")
    s3 = boto3.resource("s3", region_name="us-east-1", endpoint_url=endpoint)
    bucket = s3.create_bucket(Bucket=BUCKET)
    bucket.objects.all().delete()
    made = emptied(database, tmp_path)
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("truncate iceberg.iceberg_tables, iceberg.iceberg_namespace_properties")
    return made


def archive(platform: Platform, partition: date = DAY) -> PartitionArchived:
    with Catalogue(platform.database, Store.current()) as lake:
        return archive_partition(platform.database, lake, TRADES, partition)


def keys(endpoint: str) -> list[str]:
    return [each.key for each in boto3.resource("s3", region_name="us-east-1", endpoint_url=endpoint).Bucket(BUCKET).objects.all()]


def test_a_day_is_archived_in_a_bucket_and_read_back(platform: Platform, endpoint: str, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 500), DAY))
    done = archive(platform)
    assert done.proof is not None
    [file] = done.proof.files
    assert file.url.startswith(f"s3://{BUCKET}/desk/archive/rrr/raw_trades/data/archived_day={DAY}/")
    assert file.url.removeprefix(f"s3://{BUCKET}/") in keys(endpoint)
    with Catalogue(platform.database, Store.current()) as lake:
        assert [(each.url, each.rows, each.size_bytes) for each in lake.files(TRADES, DAY)] == [(file.url, 500, file.size_bytes)]
        assert sum(len(batch) for batch in files.read(lake.store, file.url, TRADES)) == 500
    assert not archive(platform).is_new


def test_history_goes_straight_into_a_bucket(platform: Platform, endpoint: str, tmp_path: Path) -> None:
    """Also in two deliveries, of which the second is merged with what lies there, and beside a day that lies there."""
    for symbol, first in (("BTCUSDT", 1000), ("ETHUSDT", 50)):
        land(platform, vision(tmp_path, tape(DAY, 300, first), DAY, symbol=symbol))
        assert [each.loaded.rows_stored for each in straight(platform)] == [300]
    land(platform, vision(tmp_path, tape(NEXT, 300, 1300), NEXT))
    assert [each.loaded.rows_stored for each in straight(platform)] == [300]
    assert [archived(platform, day).num_rows for day in (DAY, NEXT)] == [600, 300]
    assert len([key for key in keys(endpoint) if key.endswith(".parquet")]) == 3
    assert platform.rows("select sum(trade_count) from bars_1d") == [(900,)]


def test_a_bucket_that_does_not_answer_stores_nothing(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    land(platform, vision(tmp_path, tape(DAY, 300), DAY))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(OSError, match="AWS Error"):
        straight(platform)
    assert platform.rows("select count(*) from coverage") == [(0,)]
    assert platform.rows("select is_pending from landing_days") == [(True,)]


def test_other_engines_read_it_there(platform: Platform, endpoint: str, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 200), DAY))
    done = archive(platform)
    assert done.proof is not None
    [file] = done.proof.files
    options = {"aws_endpoint_url": endpoint, "aws_allow_http": "true", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
    frame = pl.scan_parquet(file.url, storage_options={**options, "aws_region": "us-east-1"}).select(pl.len(), pl.col("size_units").sum())
    [(units,)] = platform.rows("select (sum(size) * 10)::bigint from raw_trades")
    assert frame.collect().row(0) == (200, units)
    # DuckDB reads S3 by an extension that is fetched from elsewhere: of Arrow's datasets it needs none.
    import pyarrow.dataset as ds

    store = Store.current()
    trades = ds.dataset(store.path(file.url), filesystem=store.filesystem)
    assert trades.count_rows() == 200
    assert duckdb.sql("select count(*), sum(size_units) from trades").fetchall() == [(200, units)]


def test_reads_reach_into_the_bucket_and_say_where_they_cannot(
    platform: Platform, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(platform, vision(tmp_path, tape(DAY, 200), DAY))
    start, end = (datetime(2025, 3, day, tzinfo=UTC) for day in (3, 5))
    of = {"database": platform.database}
    statements = ("select count(*), sum(size), max(price) from raw_trades", "select avg(price) from raw_trades")
    before = [read.trades(NAME, start, end, **of), *(read.sql(statement, **of) for statement in statements)]
    proof = make_cold(platform, "raw_trades", DAY)
    assert proof is not None
    assert [read.explain(statement, **of).engine for statement in statements] == ["DuckDB", "PostgreSQL"]
    asked = [lambda: read.trades(NAME, start, end, **of), *(lambda statement=each: read.sql(statement, **of) for each in statements)]
    assert [ask() for ask in asked] == before
    [file] = proof.files
    name = file.url.rpartition("/")[2]
    boto3.resource("s3", region_name="us-east-1", endpoint_url=endpoint).Object(BUCKET, file.url.removeprefix(f"s3://{BUCKET}/")).delete()
    for ask in asked:
        with pytest.raises(read.ArchiveUnreadable, match=f"{name} is not in the archive"):
            ask()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
    for ask in asked:
        with pytest.raises(read.ArchiveUnreadable, match=f"{name} cannot be read"):
            ask()


def test_a_store_that_does_not_answer_leaves_the_database_as_it_is(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(platform, vision(tmp_path, tape(DAY, 50), DAY))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
    with pytest.raises(OSError, match=r"(?i)connect"):
        archive(platform)
    assert platform.rows("select count(*) from archive_proofs") == [(0,)]
    assert platform.rows("select count(*) from raw_trades") == [(50,)]


def test_the_bill_lists_the_bucket_and_a_store_that_does_not_answer_is_told(
    platform: Platform, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(platform, vision(tmp_path, tape(DAY, 300), DAY))
    done = archive(platform)
    assert done.proof is not None
    found = [each for each in measure(platform.database, platform.home).holdings if each.place == "objects"]
    assert [(each.relation, each.partition_start, each.rows, each.size_bytes) for each in found if each.tier == "copy"] == [
        ("raw_trades", DAY, 300, done.proof.size_bytes)
    ]
    bucket = boto3.resource("s3", region_name="us-east-1", endpoint_url=endpoint).Bucket(BUCKET)
    assert sum(each.size_bytes for each in found) == sum(each.size for each in bucket.objects.all())
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
    with pytest.raises(StoreUnreachable, match="did not answer well"):
        measure(platform.database, platform.home)


@pytest.mark.parametrize("url", ["ftp://host/path", "s3://", "file://elsewhere/path", "postgresql://x/y"])
def test_a_store_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("RRR_ARCHIVE_URL", url)
    with pytest.raises(StoreUnusable, match="neither a folder nor of the form s3://bucket/prefix"):
        Store.current()
