"""A partition in the archive is proven equal to what the database holds, and whatever dies on the way leaves nothing half done."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from rrr_assets.calc.canonical import Digester
from rrr_assets.calc.numbers import plain
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.lake import files
from rrr_assets.lake.catalogue import Catalogue, PartitionFile
from rrr_assets.lake.proving import PartitionArchived, ProofFailed, archive_partition, latest_proof
from rrr_assets.lake.store import Store
from rrr_assets.simulator import simulate
from rrr_assets.warehouse.books import enter
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets_tests.loading import DAY, NEXT, Told, emptied, midnight, take, tape, vision
from rrr_assets_tests.platform import Platform
from rrr_assets_tests.warm import killed_at

TRADES = ARCHIVED["raw_trades"]
POINTS = ("archive.written", "archive.verified", "archive.registered", "archive.proven")


@pytest.fixture
def platform(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setenv("RRR_ARCHIVE_URL", str(tmp_path / "archive"))
    made = emptied(database, tmp_path)
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("truncate iceberg.iceberg_tables, iceberg.iceberg_namespace_properties")
    return made


def catalogue(platform: Platform) -> Catalogue:
    return Catalogue(platform.database, Store.current())


def archive(platform: Platform, name: str = "raw_trades", partition: date = DAY) -> PartitionArchived:
    with catalogue(platform) as lake:
        return archive_partition(platform.database, lake, ARCHIVED[name], partition)


def held_files(platform: Platform) -> list[PartitionFile]:
    with catalogue(platform) as lake:
        return lake.files(TRADES, DAY)


def archived_rows(platform: Platform, name: str = "raw_trades", partition: date = DAY, snapshot: int | None = None) -> pa.Table:
    """What the archive holds of a partition, in the contract's columns."""
    table = ARCHIVED[name]
    with catalogue(platform) as lake:
        batches = [batch for file in lake.files(table, partition, snapshot) for batch in files.read(lake.store, file.url, table)]
    return pa.Table.from_batches(batches, table.canonical_schema())


def objects() -> set[str]:
    return {str(path) for path in Path(os.environ["RRR_ARCHIVE_URL"]).rglob("*.parquet")}


def proofs(platform: Platform) -> list[tuple[str, date, int]]:
    return platform.rows("select relation, partition_start, row_count from archive_proofs order by proof_id")


def test_a_day_is_archived_once_and_proven(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 500)
    take(platform, vision(tmp_path, trades, DAY))
    first = archive(platform)
    assert first.is_new
    assert first.proof is not None
    [(content, sums, bounds, rows, size)] = platform.rows("select content, sums, bounds, row_count, size_bytes from archive_proofs")
    assert (content, rows) == (first.proof.digest.content, 500)
    assert size == sum(Path(path).stat().st_size for path in objects())
    [(price_sum, size_sum)] = platform.rows("select sum(price), sum(size) from raw_trades")
    assert (sums["price"], sums["size"]) == (plain(price_sum), plain(size_sum))
    assert bounds["sequence"] == [str(trades[0].id), str(trades[-1].id)]
    again = archive(platform)
    assert not again.is_new
    assert again.proof == first.proof
    assert len(proofs(platform)) == len(objects()) == 1
    # What is held in the archive is what the database holds.
    found = archived_rows(platform)
    assert found.num_rows == 500
    names = ("sequence", "event_time", "price", "size", "side", "available_at", "known_at")
    ours = platform.rows(f"select {', '.join(names)} from raw_trades order by event_time, sequence")  # noqa: S608  # columns' names
    assert list(zip(*(found[name].to_pylist() for name in names), strict=True)) == ours


def test_nothing_is_no_partition(platform: Platform) -> None:
    assert archive(platform).proof is None
    assert (proofs(platform), objects()) == ([], set())


def test_a_late_trade_makes_a_new_snapshot_and_the_old_one_stays_readable(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    before = archive(platform).proof
    take(platform, vision(tmp_path, [Told(5, midnight(DAY) + 1, "1.5", "2")], DAY, "-late"))
    after = archive(platform)
    assert after.is_new
    assert before is not None
    assert after.proof is not None
    assert after.proof.snapshot_id != before.snapshot_id
    assert archived_rows(platform).num_rows == 101
    old = archived_rows(platform, snapshot=before.snapshot_id)
    assert old.num_rows == 100
    digester = Digester(old.schema)
    for batch in old.to_batches():
        digester.add(batch)
    assert digester.digest() == before.digest
    with platform.database.connect(Role.WRITER) as connection:
        assert latest_proof(connection, TRADES, DAY) == after.proof


def test_days_beside_each_other_are_partitions_of_their_own(platform: Platform, tmp_path: Path) -> None:
    for day in (DAY, NEXT):
        take(platform, vision(tmp_path, tape(day, 50, first_id=1000 if day == DAY else 2000), day))
        archive(platform, partition=day)
    assert [archived_rows(platform, partition=day).num_rows for day in (DAY, NEXT)] == [50, 50]
    take(platform, vision(tmp_path, [Told(5, midnight(DAY) + 1)], DAY, "-late"))
    assert [archive(platform, partition=day).is_new for day in (DAY, NEXT)] == [True, False]


def test_every_table_of_a_simulated_day_is_archived(platform: Platform, tmp_path: Path) -> None:
    """With revisions, bars, venue bars and bars by what was traded."""
    written = simulate(tmp_path / "files", [DAY], ["binance:BTCUSDT", "binance:ETHUSDT"], 3000, seed=3)
    for file in written.files:
        platform.take_in(tmp_path / "files" / file.path, file.format, file.instrument)
    platform.refresh()
    held = {name: platform.rows(f"select count(*) from {name}")[0][0] for name in ARCHIVED}  # noqa: S608  # tables' names
    assert {name for name in held if held[name]} >= {"raw_trades", "bars_1m", "bars_1d", "venue_bars"}
    for name, table in ARCHIVED.items():
        done = archive(platform, name, table.partition_of(DAY))
        rows = 0 if done.proof is None else done.proof.digest.rows
        assert rows == held[name], name
        assert not archive(platform, name, table.partition_of(DAY)).is_new


def test_plain_parquet_that_other_engines_read(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of a file mean what its columns say, whoever reads them."""
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")
    take(platform, vision(tmp_path, tape(DAY, 300), DAY))
    archive(platform)
    [path] = objects()
    [(rows, price, size)] = platform.rows("select count(*), sum(price), sum(size) from raw_trades")
    [told] = duckdb.sql(
        f"select count(*), sum(price_units * 0.01), sum(size_units * 0.1), min(price_scale), min(size_scale) from read_parquet('{path}')"  # noqa: S608  # a path of this test
    ).fetchall()
    assert told == (rows, price, size, 2, 1)
    frame = pl.scan_parquet(path).select(pl.len(), pl.col("price_units", "size_units").sum()).collect()
    assert frame.rows() == [(rows, int(price * 100), int(size * 10))]
    with catalogue(platform) as lake:
        assert pl.scan_iceberg(lake.table(TRADES)).select(pl.len()).collect().item() == rows


def test_clickhouse_reads_the_files_and_the_table(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With exact numbers, of the files of a partition and of the Iceberg table as a whole; after a partition was written anew too."""
    import chdb

    take(platform, vision(tmp_path, tape(DAY, 300), DAY))
    take(platform, vision(tmp_path, tape(NEXT, 50, first_id=5000), NEXT))
    archive(platform)
    archive(platform, partition=NEXT)
    take(platform, vision(tmp_path, [Told(5, midnight(DAY) + 1)], DAY, "-late"))
    archive(platform)
    counted = "count(), sum(price_units * toDecimal64(0.01, 2)), sum(size_units * toDecimal64(0.1, 1)), min(event_time)"
    [(rows, price, size, first)] = platform.rows("select count(*), sum(price), sum(size), min(event_time) from raw_trades")
    expected = [str(rows), plain(price), plain(size), f"{first:%Y-%m-%d %H:%M:%S.%f}"]
    with catalogue(platform) as lake:
        held = [lake.store.path(file.url) for day in (DAY, NEXT) for file in lake.files(TRADES, day)]
        folder = lake.store.path(lake.table(TRADES).location())
    columns = "price_units, size_units, event_time"
    files_read = " union all ".join(f"select {columns} from file('{path}', Parquet)" for path in held)  # noqa: S608  # of this test
    # It enters tables below the folder that it stands in, and no others.
    monkeypatch.chdir(folder)
    for source in (f"({files_read})", f"icebergLocal('{folder}')"):
        told = str(chdb.query(f"select {counted} from {source}", "TabSeparated")).strip().split("\t")  # noqa: S608  # of this test
        assert [told[0], plain(Decimal(told[1])), plain(Decimal(told[2])), told[3]] == expected


def test_what_is_read_back_otherwise_is_not_registered(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that gives back other bytes than it was given."""
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    honest = files.read

    def flips(*args: object) -> Iterator[pa.RecordBatch]:
        for batch in honest(*args):  # type: ignore[arg-type]  # as it was called
            sizes = batch.column("size").to_pylist()
            place = batch.schema.get_field_index("size")
            yield batch.set_column(place, batch.schema.field(place), pa.array([sizes[0] * 2, *sizes[1:]], batch.schema.field(place).type))

    monkeypatch.setattr(files, "read", flips)
    with pytest.raises(ProofFailed, match="the sum of size is"):
        archive(platform)
    assert (proofs(platform), objects(), held_files(platform)) == ([], set(), [])
    monkeypatch.setattr(files, "read", honest)
    assert archive(platform).is_new


@pytest.mark.crash
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_every_step_the_next_call_ends_it(platform: Platform, tmp_path: Path, point: str) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    script = f"""
from datetime import date
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.lake.catalogue import Catalogue, PartitionFile
from rrr_assets.lake.proving import archive_partition
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.connect import Database
database = Database.current({platform.database.name!r})
with Catalogue(database, Store.current()) as lake:
    archive_partition(database, lake, ARCHIVED["raw_trades"], date.fromisoformat("{DAY}"))
"""
    killed_at(point, script)
    # A partition is seen whole or not at all.
    assert archived_rows(platform).num_rows in {0, 100}
    assert archive(platform).is_new == (point != "archive.proven")
    assert archived_rows(platform).num_rows == 100
    assert len(held_files(platform)) == 1
    assert not archive(platform).is_new


def test_of_two_at_once_one_archives_and_the_other_finds_it_done(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 2000), DAY))
    with ThreadPoolExecutor(max_workers=2) as pool:
        done = list(pool.map(lambda _: archive(platform), range(2)))
    assert sorted(each.is_new for each in done) == [False, True]
    assert len(proofs(platform)) == len(objects()) == 1


def test_a_proof_says_what_was_known(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 10), DAY))
    [(loaded,)] = platform.rows("select max(known_at) from raw_trades")
    proof = archive(platform).proof
    assert proof is not None
    assert loaded < proof.known_at <= datetime.now(UTC)
    assert proof.bars is not None
    # What a batch in flight will have known is not claimed.
    with platform.database.connect(Role.WRITER) as connection, connection.transaction():
        enter(connection)
        ((begun,),) = connection.execute("select transaction_timestamp()").fetchall()
        take(platform, vision(tmp_path, [Told(5, midnight(DAY) + 1)], DAY, "-late"))
        proof = archive(platform).proof
        assert proof is not None
        assert proof.known_at <= begun
