"""What the cost report says is kept is what the database, the store and the home hold, on either engine."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from rrr_assets import read
from rrr_assets.archive import costs
from rrr_assets.archive.costs import cost_report, keep_history, measure
from rrr_assets.calc.costs import Holding, Measured, densities, total
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.lake import retiring
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.proving import archive_partition
from rrr_assets.lake.store import Store
from rrr_assets.warehouse import sizes
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.information_bars import refresh_information_bars
from rrr_assets.warehouse.migrate import Engine
from rrr_assets_tests.loading import DAY, NEXT, Told, emptied, midnight, take, tape, vision
from rrr_assets_tests.platform import ON_TIMESCALE, Platform

PART_OF_DAY = {
    "postgresql": "select pg_total_relation_size(%s::regclass)",
    "timescaledb": "select total_bytes from chunks_detailed_size('raw_trades') s"
    " join timescaledb_information.chunks c using (chunk_schema, chunk_name) where c.range_start = %s::date::timestamp at time zone 'UTC'",
}


@pytest.fixture
def platform(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setenv("RRR_ARCHIVE_URL", str(tmp_path / "archive"))
    monkeypatch.delenv("RRR_BACKUP_DIR", raising=False)
    made = emptied(database, tmp_path)
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("truncate iceberg.iceberg_tables, iceberg.iceberg_namespace_properties")
    return made


def filled(platform: Platform, folder: Path) -> None:
    """Two days of trades of 2,000 and 500, with their bars."""
    take(platform, vision(folder, tape(DAY, 2000), DAY))
    take(platform, vision(folder, tape(NEXT, 500, 5000), NEXT))
    platform.refresh()


def archive(platform: Platform, name: str, partition: date) -> None:
    with Catalogue(platform.database, Store.current()) as lake:
        archive_partition(platform.database, lake, ARCHIVED[name], partition)


def held(found: Measured, relation: str, tier: str | None = None) -> list[Holding]:
    return [each for each in found.holdings if each.relation == relation and (tier is None or each.tier == tier)]


def size(chosen: Iterable[Holding]) -> int:
    return sum(each.size_bytes for each in chosen)


def in_tier(platform: Platform, relation: str, partition: date, tier: str, rows: int, size_bytes: int) -> None:
    with platform.database.connect(Role.WRITER) as connection:
        connection.execute(
            "insert into partition_tiers (relation, partition_start, tier, row_count, size_bytes, changed_at)"
            " values (%s, %s, %s, %s, %s, now()) on conflict (relation, partition_start) do update set tier = excluded.tier",
            (relation, partition, tier, rows, size_bytes),
        )


def test_a_day_has_the_bytes_of_its_partition_and_the_rows_of_the_ledger(platform: Platform, tmp_path: Path, engine: Engine) -> None:
    filled(platform, tmp_path)
    found = measure(platform.database, platform.home)
    days = {each.partition_start: each for each in held(found, "raw_trades") if each.partition_start}
    assert {day: (each.rows, each.tier, each.basis) for day, each in days.items()} == {
        DAY: (2000, "hot", "measured"),
        NEXT: (500, "hot", "measured"),
    }
    for day, each in days.items():
        where = f"raw_trades_{day:%Y%m%d}" if engine == "postgresql" else day.isoformat()
        assert platform.rows(PART_OF_DAY[engine], where) == [(each.size_bytes,)]
        assert 0 < each.index_bytes < each.size_bytes
    assert found.rows_per_day["raw_trades"] == 1250
    assert found.engine == engine


def test_a_table_without_partitions_is_shared_out_over_its_months_by_rows(platform: Platform, tmp_path: Path, engine: Engine) -> None:
    take(platform, vision(tmp_path, tape(DAY, 1000), DAY))
    later = date(2025, 4, 1)
    take(platform, vision(tmp_path, tape(later, 250, 9000, step_us=20_000_000), later))
    platform.refresh()
    found = measure(platform.database, platform.home)
    bars = [each for each in held(found, "bars_1d") if each.partition_start]
    assert {each.partition_start: each.rows for each in bars} == {date(2025, 3, 1): 1, date(2025, 4, 1): 1}
    assert {each.basis for each in bars} == {"by rows"}, "a chunk of bars_1d is of ten years"
    assert abs(bars[0].size_bytes - bars[1].size_bytes) <= 2
    minutes = {each.partition_start: each.rows for each in held(found, "bars_1m") if each.partition_start}
    assert minutes == dict(
        platform.rows("select date_trunc('month', bar_start at time zone 'UTC')::date, count(*) from bars_1m group by 1 order by 1")
    )
    if engine == "postgresql":
        for name in ("bars_1m", "bars_1d", "trade_revisions"):
            assert platform.rows("select pg_total_relation_size(%s::regclass)", name) == [(size(held(found, name)),)]


def test_the_whole_database_is_in_it_once(platform: Platform, tmp_path: Path) -> None:
    filled(platform, tmp_path)
    found = measure(platform.database, platform.home)
    outside = {"write-ahead log", "Dagster's database", "landing zone", "logs of runs", "backups"}
    inside = size(each for each in found.holdings if each.place == "disk" and each.relation not in outside)
    ((whole,),) = platform.rows("select pg_database_size(current_database())")
    assert abs(inside - whole) < whole // 100
    assert 0 < size(held(found, "catalogues and the rest")) < whole
    ((coverage,),) = platform.rows("select pg_total_relation_size('coverage')")
    assert size(held(found, "coverage", "other")) == coverage
    landed = [path.stat().st_size for path in platform.home.landing.rglob("*") if path.is_file()]
    assert landed
    assert size(held(found, "landing zone")) == sum(landed)
    assert size(held(found, "write-ahead log")) > 0
    assert not held(found, "backups")
    assert not held(found, "Dagster's database"), "Dagster was never here"


def test_backups_are_measured_where_they_are_named(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "backups"
    (folder / "base").mkdir(parents=True)
    (folder / "base" / "data.tar").write_bytes(b"1" * 1234)
    (folder / "wal").write_bytes(b"1" * 66)
    monkeypatch.setenv("RRR_BACKUP_DIR", str(folder))
    assert size(held(measure(platform.database, platform.home), "backups")) == 1300


def test_what_is_in_the_store_is_current_or_superseded_or_metadata(platform: Platform, tmp_path: Path) -> None:
    filled(platform, tmp_path)
    assert not [each for each in measure(platform.database, platform.home).holdings if each.place == "objects"]
    archive(platform, "raw_trades", DAY)
    archive(platform, "bars_1m", DAY.replace(day=1))
    folder = Path(os.environ["RRR_ARCHIVE_URL"])
    [first] = folder.glob("rrr/raw_trades/data/**/*.parquet")
    found = measure(platform.database, platform.home)
    [copy] = held(found, "raw_trades", "copy")
    assert (copy.partition_start, copy.rows, copy.size_bytes, copy.objects, copy.place) == (DAY, 2000, first.stat().st_size, 1, "objects")
    assert not held(found, "raw_trades", "superseded")
    # A late trade writes the day anew, and the file before it stays.
    take(platform, vision(tmp_path, [Told(5, midnight(DAY) + 1, "1.5", "2")], DAY, "-late"))
    archive(platform, "raw_trades", DAY)
    found = measure(platform.database, platform.home)
    [copy], [superseded] = held(found, "raw_trades", "copy"), held(found, "raw_trades", "superseded")
    assert (copy.rows, superseded.rows) == (2001, None)
    assert (superseded.partition_start, superseded.size_bytes) == (DAY, first.stat().st_size)
    everything = [path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".crc")]
    assert size(each for each in found.holdings if each.place == "objects") == sum(everything)
    assert found.puts == 3 * (1 + 3)


def test_what_retention_warms_and_drops_is_warm_and_cold_and_its_hot_size_stays_known(
    platform: Platform, tmp_path: Path, engine: Engine
) -> None:
    filled(platform, tmp_path)
    for kind in ("tick", "volume", "dollar"):
        list(refresh_information_bars(platform.database, kind, [DAY, NEXT], whole_days=False))
    before = measure(platform.database, platform.home)
    [hot] = [each for each in held(before, "raw_trades", "hot") if each.partition_start == DAY]
    archive(platform, "raw_trades", DAY)
    archive(platform, "trade_revisions", DAY)
    assert retired(platform, DAY + timedelta(days=8)) == [("warm", DAY, ())]
    found = measure(platform.database, platform.home)
    [warm] = held(found, "raw_trades", "warm")
    assert (warm.partition_start, warm.rows) == (DAY, 2000)
    assert warm.size_bytes == hot.size_bytes if engine == "postgresql" else warm.size_bytes < hot.size_bytes / 2
    assert ("drop", DAY, ()) in retired(platform, DAY + timedelta(days=32))
    found = measure(platform.database, platform.home)
    assert not [each for each in held(found, "raw_trades") if each.partition_start == DAY and each.place == "disk"]
    [cold] = held(found, "raw_trades", "cold")
    assert (cold.partition_start, cold.rows, cold.place) == (DAY, 2000, "objects")
    [left] = [each for each in found.left if (each.relation, each.partition_start) == ("raw_trades", DAY)]
    assert (left.rows, left.size_bytes, left.tier) == (2000, hot.size_bytes, "cold")
    assert found.rows_per_day["raw_trades"] == 1250, "what is only in the archive came in too"


def retired(platform: Platform, today: date) -> list[tuple[str, date, tuple[str, ...]]]:
    """The moves that retention makes of trades by a day."""
    with Catalogue(platform.database, Store.current()) as lake:
        made = [retiring.make(platform.database, lake, move) for move in retiring.due(platform.database, today, ["archived_trades"])]
    return [(each.move, each.partition, each.refusals) for each in made]


def test_the_tier_is_the_ledgers_and_the_hot_size_counts_after_the_drop(platform: Platform, tmp_path: Path, engine: Engine) -> None:
    filled(platform, tmp_path)
    archive(platform, "raw_trades", DAY)
    in_tier(platform, "raw_trades", DAY, "warm", 2000, 400_000)
    found = measure(platform.database, platform.home)
    # Rows that are no columns are as large as before.
    [warm] = [each for each in held(found, "raw_trades", "warm" if engine == "postgresql" else "hot") if each.partition_start == DAY]
    assert warm.rows == 2000
    assert [each.tier for each in held(found, "raw_trades") if each.place == "objects" and each.rows] == ["copy"]
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("delete from raw_trades where event_time < %s", (datetime(NEXT.year, NEXT.month, NEXT.day, tzinfo=UTC),))
        connection.execute("update coverage set is_dropped = true where day = %s", (DAY,))
    in_tier(platform, "raw_trades", DAY, "cold", 2000, 400_000)
    found = measure(platform.database, platform.home)
    [cold] = [each for each in held(found, "raw_trades", "cold") if each.place == "objects"]
    assert (cold.rows, cold.partition_start) == (2000, DAY)
    assert not held(found, "raw_trades", "copy")
    assert [each.rows for each in held(found, "raw_trades", "cold") if each.place == "disk"] == [None]
    assert found.rows_per_day["raw_trades"] == 1250, "what is only in the archive came in too"
    hot = [each for each in held(found, "raw_trades", "hot") if each.rows]
    [density] = [each for each in densities(found, {}) if each.relation == "raw_trades"]
    assert density.hot == Decimal(400_000 + size(hot)) / 2500
    in_tier(platform, "raw_trades", DAY, "deleted", 2000, 400_000)
    found = measure(platform.database, platform.home)
    assert [each.tier for each in found.holdings if each.place == "objects" and each.relation == "raw_trades" and each.partition_start] == [
        "superseded"
    ]


def test_a_large_table_is_not_counted(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(platform, tmp_path)
    counted = measure(platform.database, platform.home)
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("analyze bars_1m")
    monkeypatch.setattr(sizes, "COUNTED_BYTES", 1000)
    found = measure(platform.database, platform.home)
    guessed = [each for each in held(found, "bars_1m") if each.partition_start]
    assert sum(each.rows or 0 for each in guessed) == sum(each.rows or 0 for each in held(counted, "bars_1m"))
    assert size(guessed) == size(each for each in held(counted, "bars_1m") if each.partition_start)


def test_the_history_has_a_days_last_report_and_adds_up(platform: Platform, tmp_path: Path) -> None:
    filled(platform, tmp_path)
    report = cost_report(platform.database, home=platform.home)
    earlier = replace(report, measured=replace(report.measured, at=report.measured.at - timedelta(days=1)))
    for each in (earlier, report, report):
        rows = keep_history(platform.database, each)
    found = read.cost_history(database=platform.database)
    assert Counter(found["day"].to_pylist()) == {each.measured.at.date(): rows for each in (earlier, report)}
    today = read.cost_history(datetime.combine(report.measured.at.date(), datetime.min.time(), UTC), database=platform.database)
    assert len(today) == rows
    assert abs(total(today["monthly_usd"].to_pylist()) - report.monthly_usd) < Decimal("1e-9")
    assert sum(today["size_bytes"].to_pylist()) == sum(line.size_bytes for line in report.lines)
    of_trades = {row["tier"]: row["row_count"] for row in today.to_pylist() if row["relation"] == "raw_trades"}
    assert of_trades["hot"] == 2500


def test_a_user_who_may_not_ask_for_the_log_is_told_so(platform: Platform) -> None:
    lesser = urlsplit(platform.database.role_urls[Role.WRITER])
    found = measure(replace(platform.database, admin_url=urlunsplit(lesser)), platform.home)
    assert (found.not_measured, held(found, "write-ahead log")) == (("write-ahead log",), [])
    assert costs.WAL in found.not_measured


@ON_TIMESCALE
def test_a_chunk_in_the_columnstore_is_warm_and_smaller_and_what_it_was_is_known(platform: Platform, tmp_path: Path) -> None:
    filled(platform, tmp_path)
    before = measure(platform.database, platform.home)
    [hot] = [each for each in held(before, "raw_trades") if each.partition_start == DAY]
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        ((chunk,),) = connection.execute(
            "select show_chunks('raw_trades', older_than => %s::timestamptz)::text", (f"{NEXT} UTC",)
        ).fetchall()
        connection.execute("call convert_to_columnstore(%s)", (chunk,))
    found = measure(platform.database, platform.home)
    [warm] = held(found, "raw_trades", "warm")
    assert (warm.partition_start, warm.rows) == (DAY, 2000)
    assert 0 < warm.size_bytes < hot.size_bytes / 2
    assert platform.rows(PART_OF_DAY["timescaledb"], DAY) == [(warm.size_bytes,)]
    [left] = found.left
    assert (left.relation, left.partition_start, left.rows, left.size_bytes) == ("raw_trades", DAY, 2000, hot.size_bytes)
    [density] = [each for each in densities(found, {}) if each.relation == "raw_trades"]
    assert density.warm == Decimal(warm.size_bytes) / 2000
    ratio = density.ratio("warm")
    assert ratio is not None
    assert ratio > 2
    # Where the ledger of tiers tells of it too, it is not taken twice.
    in_tier(platform, "raw_trades", DAY, "warm", 2000, hot.size_bytes)
    assert len(measure(platform.database, platform.home).left) == 1
