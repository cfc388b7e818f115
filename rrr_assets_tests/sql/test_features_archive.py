"""Features leave the database when they are proven kept: whatever reads them reads the same, and what comes late finds them."""

import math
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path

import pyarrow as pa
import pytest

from rrr_assets import read
from rrr_assets.archive.hold_costs import with_costs
from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.spec import TrainingSpec
from rrr_assets.calc.outcomes import DayDropped
from rrr_assets.contracts.archive import ARCHIVED_GROUPS
from rrr_assets.contracts.features import FEATURES_1M, TICK_MINUTES
from rrr_assets.features.training import make
from rrr_assets.lake import restoring, retiring
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.feature_reads import RowsDeleted, feature_rows
from rrr_assets.lake.feature_ticks import ArchivedRows, TieredTicks
from rrr_assets.lake.keeping import kept_proofs
from rrr_assets.lake.proving import archive_partition, source_digest
from rrr_assets.lake.reading import FileUnreadable
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.features import refresh_features, refresh_tick_minutes
from rrr_assets.warehouse.holds import Hold, place
from rrr_assets.warehouse.inspection import check
from rrr_assets_tests.loading import DAY, NAME, NEXT, Told, emptied, midnight, take, vision
from rrr_assets_tests.platform import Platform

GROUP = ARCHIVED_GROUPS["archived_features"]
PARTITIONS = (DAY, NEXT, NEXT + timedelta(days=1))
"""The last minute of a day closes on the next one."""
LATER = NEXT + timedelta(days=120)
START = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
HEADER = "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount"


@pytest.fixture
def platform(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """The last hours of a day and the first of the next one, a late trade in between: features, and what was believed of some before."""
    monkeypatch.setenv("RRR_ARCHIVE_URL", str(tmp_path / "archive"))
    made = emptied(database, tmp_path)
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("truncate iceberg.iceberg_tables, iceberg.iceberg_namespace_properties")
    late = trades(DAY)[-200]
    missing = {late.id, trades(DAY)[-3].id}
    take(made, vision(tmp_path, [each for each in trades(DAY) if each.id not in missing], DAY))
    take(made, vision(tmp_path, trades(NEXT), NEXT))
    made.take_in(quotes(tmp_path), "tardis")
    follow(made)
    take(made, vision(tmp_path, [late], DAY, "-late"))
    follow(made)
    return made


@pytest.fixture
def lake(platform: Platform) -> Iterator[Catalogue]:
    with Catalogue(platform.database, Store.current()) as opened:
        yield opened


def trades(day: date) -> list[Told]:
    """Three a minute, to midnight or from it on, whose ids go on."""
    drawn = random.Random(str(day))
    first = 21 * 60 if day == DAY else 0
    return [
        Told(
            1_000_000 + (day - DAY).days * 4320 + first * 3 + n,
            midnight(day) + (first * 60 + n * 20) * 1_000_000 + drawn.randrange(19_000_000),
            f"{42_000 + 40 * math.sin(n / 50) + drawn.random():.2f}", f"{drawn.expovariate(2) + 0.001:.5f}", drawn.random() < 0.5,
        )
        for n in range(540)
    ]  # fmt: skip


def quotes(folder: Path) -> Path:
    drawn = random.Random(7)
    lines = []
    for n in range(1080):
        us = midnight(DAY) + (21 * 3600 + n * 10) * 1_000_000 + drawn.randrange(9_000_000)
        lines.append(
            f"binance,BTCUSDT,{us},{us + 100_000},{drawn.randrange(1, 99) / 10},42001.5,42000.{n % 100:02},{drawn.randrange(1, 99) / 10}"
        )
    path = folder / f"binance_quotes_{DAY}_BTCUSDT.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def follow(platform: Platform, *, whole_days: bool = False) -> None:
    database, days = platform.database, [DAY, NEXT]
    back = restoring.bringing_back(database)
    platform.refresh(days)
    list(refresh_tick_minutes(database, days, TieredTicks(database), whole_days=whole_days, bring_back=back))
    list(refresh_features(database, days, whole_days=whole_days, archive=ArchivedRows(database), bring_back=back))


def archive(platform: Platform, lake: Catalogue, group: str = GROUP.name) -> None:
    for table in ARCHIVED_GROUPS[group].tables:
        for partition in sorted({table.partition_of(day) for day in PARTITIONS}):
            archive_partition(platform.database, lake, table, partition)


def retire(platform: Platform, lake: Catalogue, group: str = GROUP.name, today: date = LATER) -> list[retiring.Moved]:
    return [retiring.make(platform.database, lake, move) for move in retiring.due(platform.database, today, [group])]


def dropped(platform: Platform, lake: Catalogue, group: str = GROUP.name, today: date = LATER) -> None:
    archive(platform, lake, group)
    moved = retire(platform, lake, group, today)
    assert {each.refusals for each in moved} == {()}
    assert {each.move for each in moved} == {"drop"}
    for table in ARCHIVED_GROUPS[group].tables:
        assert platform.rows(f"select count(*) from {table.name}") == [(0,)], table.name  # noqa: S608  # names of ours


def digests(platform: Platform) -> dict[tuple[str, date], str]:
    with platform.database.connect(Role.WRITER) as connection:
        return {(table.name, day): source_digest(connection, table, day).content for table in GROUP.tables for day in PARTITIONS}


def answers(platform: Platform, *times: datetime | None) -> list[pa.Table]:
    """What is read of both days, one instrument's and of all, now and as known at some times."""
    since, until = START, START + timedelta(days=3)
    found: list[pa.Table] = []
    for known in times:
        found.append(read.features(NAME, since, until, as_known_at=known, database=platform.database))
        columns = ("available_basis", "known_at")
        rows = feature_rows(platform.database, FEATURES_1M, list(FEATURES), [NAME], since, until, known, also=columns)
        found.append(rows.sort("event_time").to_arrow())
    return found


def now(platform: Platform) -> datetime:
    [(at,)] = platform.rows("select clock_timestamp()")
    return at


def test_features_leave_and_whatever_reads_them_reads_the_same(platform: Platform, lake: Catalogue) -> None:
    [(first,)] = platform.rows("select min(believed_until) from feature_revisions_1m")
    times = (None, first - timedelta(microseconds=1), first, now(platform))
    before, kept = answers(platform, *times), digests(platform)
    assert before[0].num_rows > 350
    assert before[0] != before[2], "a read as of then finds what was believed"
    assert before[0]["quoted_spread"].null_count not in {0, before[0].num_rows}
    spec = TrainingSpec.model_validate(
        {"name": "both", "instruments": ["*"], "start": START + timedelta(hours=22), "end": START + timedelta(hours=26), "every_minutes": 7,
         "features": ["*"], "labels": [{"kind": "return", "minutes": 15}]}
    )  # fmt: skip
    made = make(platform.database, spec, first)
    statement = f"select count(*), max(sma_20), min(rsi_14) filter (where sma_20 > 0) from features_1m where event_time >= '{DAY}'"  # noqa: S608  # ours
    told = read.sql(statement, database=platform.database)

    dropped(platform, lake)
    assert answers(platform, *times) == before
    assert make(platform.database, spec, first).content == made.content
    assert read.sql(statement, database=platform.database) == told
    for name, day in product((FEATURES_1M.name, TICK_MINUTES.name), (DAY, NEXT)):
        assert [rule for rule in check(platform.database, name, day) if rule.broken] == [], "what left is not missing"
    # A training set looks at bars too.
    dropped(platform, lake, "archived_bars", DAY + timedelta(days=500))
    assert make(platform.database, spec, first).content == made.content

    for day in PARTITIONS:
        back = restoring.restore(platform.database, lake.store, GROUP, day, until=datetime(2100, 1, 1, tzinfo=UTC))
        assert {(each.relation, day): each.content for each in back if each.rows} == {
            place: content for place, content in kept.items() if place[1] == day and content in {each.content for each in back}
        }
    assert digests(platform) == kept
    assert answers(platform, *times) == before


def test_a_late_trade_brings_back_the_days_that_it_changes(platform: Platform, lake: Catalogue, tmp_path: Path) -> None:
    known, before = now(platform), answers(platform, now(platform))
    dropped(platform, lake)
    # In the last minute of the day: its row, and those that look back at it, are of the next day's partition.
    take(platform, vision(tmp_path, [trades(DAY)[-3]], DAY, "-later"))
    platform.refresh([DAY, NEXT])
    with pytest.raises(DayDropped, match=r"tick_minutes of .* is in the archive alone"):
        list(refresh_tick_minutes(platform.database, [DAY], TieredTicks(platform.database), whole_days=False))
    follow(platform)
    assert {day for (day,) in platform.rows("select partition_start from partition_tiers")} == {PARTITIONS[2]}
    after = answers(platform, None)
    assert after[0] != before[0]
    assert answers(platform, known) == before
    follow(platform, whole_days=True)
    assert answers(platform, None) == after, "made again as a whole, it is the same"
    refused = {each.partition: each.refusals for each in retire(platform, lake)}
    assert all(any("is stale" in reason for reason in refused[day]) for day in (DAY, NEXT)), refused
    dropped(platform, lake)
    assert answers(platform, None) == after
    assert answers(platform, known) == before


def test_what_features_are_made_from_is_read_in_the_archive(platform: Platform, lake: Catalogue) -> None:
    made = digests(platform)
    dropped(platform, lake, "archived_bars", DAY + timedelta(days=500))
    dropped(platform, lake)
    for day in PARTITIONS[1:]:
        restoring.restore(platform.database, lake.store, GROUP, day, until=None, is_to_be_written=True)
    with pytest.raises(DayDropped, match="bars_1m"):
        list(refresh_features(platform.database, [NEXT], whole_days=True, bring_back=None))
    [done] = refresh_features(platform.database, [NEXT], whole_days=True, archive=ArchivedRows(platform.database), instruments=[NAME])
    assert (done.rows, done.changed) == (1440, 0)
    assert platform.rows("select count(*) from bars_1m") == [(0,)]
    with platform.database.connect(Role.WRITER) as connection:
        assert all(source_digest(connection, table, NEXT).content == made[table.name, NEXT] for table in GROUP.tables)


def test_what_is_proven_is_read_in_files_and_without_them_in_the_database(
    platform: Platform, lake: Catalogue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = answers(platform, None)[1]
    archive(platform, lake)
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        # Behind the log's back: so it is seen what was read.
        connection.execute("update features_1m set sma_20 = -1")
    assert answers(platform, None)[1] == before
    assert not caplog.messages
    for path in (tmp_path / "archive").rglob("*.parquet"):
        path.unlink()
    assert set(answers(platform, None)[1]["sma_20"].to_pylist()) == {-1.0}
    [told] = caplog.messages
    assert told.startswith("features are read in the database, the archive's files cannot be: ")
    assert ".parquet" in told
    assert len(answers(platform, now(platform))[1]) > 300
    assert len(caplog.messages) == 2
    # What the database does not hold either is no answer.
    platform.rows(
        "insert into partition_tiers (relation, partition_start, tier, row_count, size_bytes, changed_at)"
        " values ('features_1m', %s, 'cold', 1, 1, now()) returning 1",
        DAY,
    )
    with pytest.raises(FileUnreadable):
        feature_rows(platform.database, FEATURES_1M, ["sma_20"], [NAME], START, START + timedelta(days=3))


def test_a_drop_waits_for_what_is_to_be_made_again(platform: Platform, lake: Catalogue, tmp_path: Path) -> None:
    archive(platform, lake)
    take(platform, vision(tmp_path, [trades(DAY)[-3]], DAY, "-later"))
    refused = {each.partition: each.refusals for each in retire(platform, lake)}
    assert refused[DAY] == ("features_1m is not refreshed", "tick_minutes is not refreshed")


def test_what_is_deleted_is_said_and_what_is_left_of_a_day_makes_no_minutes(platform: Platform, lake: Catalogue) -> None:
    made = platform.rows("select * from tick_minutes where bar_start < %s order by bar_start", NEXT)
    for group, today in (("archived_quotes", DAY + timedelta(days=30)), (GROUP.name, LATER)):
        archive(platform, lake, group)
        retire(platform, lake, group, today)
    assert [each.move for each in retire(platform, lake, "archived_quotes", DAY + timedelta(days=400))] == ["delete"]
    restoring.restore(platform.database, lake.store, GROUP, DAY, until=None, is_to_be_written=True)
    ticks = TieredTicks(platform.database)
    [done] = refresh_tick_minutes(platform.database, [DAY], ticks, whole_days=True)
    assert done.changed == 0
    stands = "select * from tick_minutes where bar_start < %s order by bar_start"
    assert platform.rows(stands, NEXT) == made
    known = now(platform)
    retire(platform, lake, GROUP.name, DAY + timedelta(days=8 * 365))
    with pytest.raises(RowsDeleted, match=f"features_1m of {NEXT}, {PARTITIONS[2]} was deleted"):
        feature_rows(platform.database, FEATURES_1M, ["sma_20"], [NAME], START, START + timedelta(days=2), known)
    found = read.features(NAME, START + timedelta(days=1), START + timedelta(days=2), database=platform.database)
    assert [len(found), read.notes(found)] == [0, [f"features_1m of {NEXT} was deleted by retention: no row of it is in this answer"]]


def test_a_hold_keeps_what_a_training_set_was_made_from(platform: Platform, lake: Catalogue, tmp_path: Path) -> None:
    dropped(platform, lake)
    place(platform.database, Hold("pinned", "a set", "pin", None, None, DAY, NEXT + timedelta(days=2)))
    take(platform, vision(tmp_path, [trades(DAY)[-3]], DAY, "-later"))
    follow(platform)
    archive(platform, lake)
    with platform.database.connect(Role.WRITER) as connection:
        proofs = kept_proofs(connection, GROUP.tables, keep_days=0)
    assert len(proofs) > 6, "what was replaced is there too"
    assert {each.why for each in proofs} == {"held"}
    assert all("the hold pinned covers it" in each.refusals for each in retire(platform, lake))
    told = with_costs(read.holds(database=platform.database), "name", platform.database).to_pylist()[0]
    kept = sum(int(each.size_bytes) for each in proofs)
    assert told["archive_bytes"] == kept
    assert told["disk_bytes"] > 0
    assert told["usd_a_month"] >= told["usd_overdue"] >= 0
