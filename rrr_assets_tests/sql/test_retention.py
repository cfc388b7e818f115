"""Partitions leave the database when they are proven kept, and come back equal; what stands against it is named, nothing is lost."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Event

import psycopg
import pytest

from rrr_assets.calc.information_bars import Rule
from rrr_assets.calc.outcomes import DayDropped
from rrr_assets.contracts.archive import ARCHIVED, ARCHIVED_GROUPS
from rrr_assets.lake import restoring, retiring
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.proving import ProofFailed, archive_partition, latest_proof, source_digest
from rrr_assets.lake.store import Store
from rrr_assets.simulator import simulate
from rrr_assets.warehouse import holds, load
from rrr_assets.warehouse.books import log_invalidations
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.information_bars import refresh_information_bars, set_rules
from rrr_assets.warehouse.load import load_day
from rrr_assets.warehouse.refresh import refresh_bars
from rrr_assets.warehouse.tiers import brought_back
from rrr_assets.warehouse.undo import undo_batch
from rrr_assets_tests.loading import DAY, NAME, NEXT, Told, emptied, midnight, take, tape, vision
from rrr_assets_tests.platform import Platform
from rrr_assets_tests.warm import killed_at

LATER = DAY + timedelta(days=400)
"""By this day a month of bars has left its warm tier too."""

DROPS = ("retire.removed", "retire.before_commit", "retire.after_commit")
RETURNS = ("restore.copied", "restore.filled", "restore.before_commit", "restore.after_commit")


@pytest.fixture
def platform(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setenv("RRR_ARCHIVE_URL", str(tmp_path / "archive"))
    made = emptied(database, tmp_path)
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("truncate iceberg.iceberg_tables, iceberg.iceberg_namespace_properties")
    return made


def refresh(platform: Platform, *days: date) -> None:
    platform.refresh(days)
    for kind in ("tick", "volume", "dollar"):
        list(refresh_information_bars(platform.database, kind, days, whole_days=False))


@pytest.fixture
def settled(platform: Platform, tmp_path: Path) -> Platform:
    """Two days of trades whose bars and verdicts are made."""
    for day, first in ((DAY, 1000), (NEXT, 2000)):
        take(platform, vision(tmp_path, tape(day, 1000, first), day))
    refresh(platform, DAY, NEXT)
    return platform


@pytest.fixture
def lake(platform: Platform) -> Iterator[Catalogue]:
    with Catalogue(platform.database, Store.current()) as opened:
        yield opened


def archive(platform: Platform, lake: Catalogue, *groups: str, day: date = DAY) -> None:
    for name in groups or ("archived_trades",):
        for table in ARCHIVED_GROUPS[name].tables:
            archive_partition(platform.database, lake, table, table.partition_of(day))


def retire(platform: Platform, lake: Catalogue, today: date = DAY + timedelta(days=32), *groups: str) -> list[retiring.Moved]:
    moves = retiring.due(platform.database, today, groups or ["archived_trades"])
    return [retiring.make(platform.database, lake, move) for move in moves]


def dropped(platform: Platform, lake: Catalogue) -> None:
    archive(platform, lake)
    [moved] = [each for each in retire(platform, lake) if each.partition == DAY]
    assert (moved.move, moved.refusals, moved.rows) == ("drop", (), 1000)


def restore(platform: Platform, *instruments: str, group: str = "archived_trades", **options: object) -> list[restoring.Restored]:
    until = datetime(2100, 1, 1, tzinfo=UTC)
    partition = ARCHIVED_GROUPS[group].tables[0].partition_of(DAY)
    return restoring.restore(
        platform.database, Store.current(), ARCHIVED_GROUPS[group], partition, instruments or None, **{"until": until, **options}
    )  # type: ignore[arg-type]  # as it is called


def content(platform: Platform, name: str = "raw_trades") -> str:
    table = ARCHIVED_GROUPS["archived_trades"].tables[0] if name == "raw_trades" else None
    archived = table or next(t for group in ARCHIVED_GROUPS.values() for t in group.tables if t.name == name)
    with platform.database.connect(Role.WRITER) as connection:
        return source_digest(connection, archived, archived.partition_of(DAY)).content


def stored(platform: Platform, day: date = DAY) -> int:
    next_day = day + timedelta(days=1)
    return platform.rows("select count(*) from raw_trades where event_time >= %s and event_time < %s", day, next_day)[0][0]


def tiers(platform: Platform) -> dict[tuple[str, date], str]:
    return {(name, day): tier for name, day, tier in platform.rows("select relation, partition_start, tier from partition_tiers")}


def bars(platform: Platform) -> list[tuple]:
    return platform.rows("select * from bars_1m order by instrument, bar_start")


def test_a_day_is_dropped_and_comes_back_equal(settled: Platform, lake: Catalogue) -> None:
    before, made = content(settled), bars(settled)
    dropped(settled, lake)
    assert (stored(settled), stored(settled, NEXT)) == (0, 1000)
    assert tiers(settled) == {("raw_trades", DAY): "cold", ("trade_revisions", DAY): "cold"}
    assert settled.rows("select day, is_dropped from coverage order by day") == [(DAY, True), (NEXT, False)]
    assert bars(settled) == made
    [trades, revisions] = restore(settled)
    assert (trades.rows, trades.content, revisions.rows) == (1000, before, 0)
    assert content(settled) == before
    assert settled.rows("select distinct is_dropped from coverage") == [(False,)]
    assert tiers(settled)["raw_trades", DAY] == "warm"
    # Again, there is nothing to bring back.
    assert [each.is_new for each in restore(settled)] == [False, False]
    # It is kept as long as was said, and then dropped by the proof that still holds.
    assert [each.move for each in retire(settled, lake) if each.partition == DAY] == []
    [again] = [each for each in retire(settled, lake, date(2100, 1, 2)) if each.partition == DAY]
    assert (again.move, again.refusals) == ("drop", ())
    assert stored(settled) == 0
    actions = [
        action
        for (action,) in settled.rows(
            "select action from retention_log where relation = 'raw_trades' and partition_start = %s order by entry_id", DAY
        )
    ]
    assert actions == ["drop", "restore", "drop"]


def test_the_warm_tier_holds_the_same_rows_and_takes_late_ones(settled: Platform, lake: Catalogue, tmp_path: Path) -> None:
    before = content(settled)
    moves = retire(settled, lake, DAY + timedelta(days=8))
    assert [(each.move, each.partition, each.rows) for each in moves] == [("warm", DAY, 1000)]
    assert all(each.size_bytes > 10_000 for each in moves)
    assert content(settled) == before
    assert retire(settled, lake, DAY + timedelta(days=8)) == []
    take(settled, vision(tmp_path, [Told(5, midnight(DAY) + 1)], DAY, "-late"))
    assert stored(settled) == 1001
    # It was thawed for that, and is warmed again.
    assert tiers(settled) == {}
    assert [each.move for each in retire(settled, lake, DAY + timedelta(days=8))] == ["warm"]
    assert stored(settled) == 1001


def test_a_warm_partition_is_read_only(settled: Platform, lake: Catalogue) -> None:
    retire(settled, lake, DAY + timedelta(days=8))
    [(engine,)] = settled.rows("select count(*) from pg_extension where extname = 'timescaledb'")
    if engine:
        compressed = settled.rows(
            "select is_compressed from timescaledb_information.chunks where hypertable_name = 'raw_trades' order by range_start"
        )
        assert compressed == [(True,), (False,)]
        return
    for statement in ("delete from raw_trades", "insert into raw_trades select * from raw_trades", "update raw_trades set price = 1"):
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="warm tier"):
            settled.rows(f"{statement} where event_time < '{NEXT}' returning 1")


def refusals(platform: Platform, lake: Catalogue) -> tuple[str, ...]:
    [move] = [each for each in retire(platform, lake) if each.partition == DAY]
    assert (move.move, move.rows) == ("drop", 0)
    assert stored(platform) >= 1000
    assert tiers(platform).get(("raw_trades", DAY)) is None
    return move.refusals


def test_what_is_not_proven_is_not_dropped(settled: Platform, lake: Catalogue, tmp_path: Path) -> None:
    assert refusals(settled, lake) == ("there is no proof of raw_trades",)
    archive(settled, lake)
    take(settled, vision(tmp_path, [Told(5, midnight(DAY) + 1)], DAY, "-late"))
    stale, *lagging = refusals(settled, lake)
    assert stale.startswith("the proof of raw_trades is stale")
    assert "bars_1m is not refreshed" in lagging
    assert "bar_conformance is not refreshed" in lagging
    archive(settled, lake)
    other, *still = refusals(settled, lake)
    assert other == "the bars that are stored are not those that the archived trades make"
    assert still == lagging
    refresh(settled, DAY, NEXT)
    assert [each.refusals for each in retire(settled, lake) if each.partition == DAY] == [()]
    # Every word was entered once, however often it was said.
    said = settled.rows("select reasons from retention_log where action = 'refuse' and partition_start = %s order by entry_id", DAY)
    assert len(said) == 3


def test_a_file_that_is_damaged_or_gone_stands_against_a_drop(settled: Platform, lake: Catalogue) -> None:
    archive(settled, lake)
    [path] = Path(os.environ["RRR_ARCHIVE_URL"]).rglob("*.parquet")
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    path.write_bytes(flipped)
    assert refusals(settled, lake) == (f"the file of raw_trades is not what was proven: file://{path}",)
    path.unlink()
    assert refusals(settled, lake) == (f"the file of raw_trades is gone from the store: file://{path}",)
    path.write_bytes(whole)
    assert [each.refusals for each in retire(settled, lake) if each.partition == DAY] == [()]


def test_bars_that_are_unexplained_stand_against_a_drop(settled: Platform, lake: Catalogue) -> None:
    archive(settled, lake)
    settled.rows(
        "insert into bar_conformance (instrument, interval, bar_start, status, known_at)"
        " values (%s, '1m', %s, 'unexplained', now()) returning 1",
        NAME,
        datetime(DAY.year, DAY.month, DAY.day, 3, tzinfo=UTC),
    )
    assert refusals(settled, lake) == ("1 bars of it differ from the venue's, unexplained",)


def test_bars_that_the_archived_trades_do_not_make_stand_against_a_drop(settled: Platform, lake: Catalogue) -> None:
    archive(settled, lake)
    settled.rows("update bars_1m set volume = volume + 1 where bar_start < %s and trade_count > 10 returning 1", NEXT)
    assert refusals(settled, lake) == ("the bars that are stored are not those that the archived trades make",)


def test_a_hold_stands_against_a_drop_until_it_is_released(settled: Platform, lake: Catalogue) -> None:
    archive(settled, lake)
    hold = (
        "insert into holds (name, kind, relation, from_day, until_day, reason, placed_at, placed_by, expires_at)"
        " values (%s, 'legal', %s, %s, %s, 'x', now(), 'me', %s) returning 1"
    )
    settled.rows(hold, "over", None, DAY - timedelta(days=9), DAY, None)
    settled.rows(hold, "another table", "raw_quotes", None, None, None)
    settled.rows(hold, "expired", None, None, None, datetime(2020, 1, 1, tzinfo=UTC))
    settled.rows(hold, "case 7", "raw_trades", DAY, NEXT, None)
    assert refusals(settled, lake) == ("the hold case 7 covers it",)
    settled.rows("update holds set released_at = now(), released_by = 'me' where name = 'case 7' returning 1")
    assert [each.refusals for each in retire(settled, lake) if each.partition == DAY] == [()]


def test_the_database_itself_refuses(settled: Platform, lake: Catalogue) -> None:
    """Whoever asks it, and whatever the platform thinks."""

    def remove() -> None:
        with settled.database.connect(Role.WRITER) as connection:
            connection.execute("select remove_partition('raw_trades', %s, %s)", (DAY, NEXT))

    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="1000 rows, and 0 are proven kept"):
        remove()
    archive(settled, lake)
    settled.rows("insert into holds (name, kind, reason, placed_at, placed_by) values ('h', 'legal', 'x', now(), 'me') returning 1")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="held by h"):
        remove()
    with settled.database.connect(Role.WRITER) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("drop table raw_trades")
    for statement in ("delete from retention_log", "update retention_log set action = 'drop'", "truncate retention_log"):
        with settled.database.connect(Role.OWNER) as connection, pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            connection.execute(statement)


def test_a_late_trade_of_a_dropped_day_brings_the_day_back(settled: Platform, lake: Catalogue, tmp_path: Path) -> None:
    dropped(settled, lake)
    late = vision(tmp_path, [Told(999, midnight(DAY) + 5_000_000, "41000.5")], DAY, "-late")
    with pytest.raises(DayDropped, match="raw_trades of 2025-03-03 is in the archive alone"):
        take(settled, late)
    assert stored(settled) == 0
    bring_back = restoring.bringing_back(settled.database)
    brought_back(bring_back, lambda: settled.load("trades", load_day, [DAY]))
    assert stored(settled) == 1001
    assert tiers(settled) == {}
    for interval in ("1m", "5m", "1h", "1d"):
        list(refresh_bars(settled.database, interval, [DAY], whole_days=False, bring_back=bring_back))
    [(low, trades)] = settled.rows(
        "select low, trade_count from bars_1d where bar_start = %s", datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    )
    assert (low, trades) == (Decimal("41000.5"), 1001)
    # It is as if it had never been away.
    again = emptied_twin(settled, tmp_path)
    assert content(settled) != ""
    assert settled_facts(settled) == again


def emptied_twin(settled: Platform, tmp_path: Path) -> list[tuple]:
    """The facts of a platform that was told the same, and dropped nothing."""
    facts = settled_facts(settled)
    (tmp_path / "twin").mkdir()
    twin = emptied(settled.database, tmp_path / "twin")
    for day, first in ((DAY, 1000), (NEXT, 2000)):
        take(twin, vision(tmp_path, tape(day, 1000, first), day))
    refresh(twin, DAY, NEXT)
    take(twin, vision(tmp_path, [Told(999, midnight(DAY) + 5_000_000, "41000.5")], DAY, "-late"))
    refresh(twin, DAY)
    assert settled_facts(twin) == facts
    return facts


def settled_facts(platform: Platform) -> list[tuple]:
    trades = (
        "select instrument, space, sequence, event_time, trim_scale(price), trim_scale(size), side, available_at, batch_id"
        " from raw_trades order by 1, 2, 3"
    )
    covered = "select instrument, day, row_count, covered, missing_ids, is_dropped from coverage order by 1, 2"
    made = (
        "select instrument, bar_start, open, high, low, close, volume, quote_volume, vwap, trade_count, is_complete"
        " from bars_1m order by 1, 2"
    )
    return [*platform.rows(trades), *platform.rows(covered), *platform.rows(made)]


def test_bars_of_a_dropped_day_are_not_made_of_what_is_left(settled: Platform, lake: Catalogue) -> None:
    made = bars(settled)
    dropped(settled, lake)
    assert [done.changed for done in refresh_bars(settled.database, "1m", [DAY], whole_days=True)] == [0]
    assert bars(settled) == made
    # The log may tell of it once more: what is not there has not changed.
    change(settled)
    proofs = settled.rows("select count(*) from archive_proofs")
    archive(settled, lake)
    assert settled.rows("select count(*) from archive_proofs") == proofs


def change(platform: Platform) -> None:
    """A word in the log on the day, as a neighbour's late rows bring."""
    window = (datetime(2025, 3, 3, 1, tzinfo=UTC), datetime(2025, 3, 3, 2, tzinfo=UTC))
    with platform.database.connect(Role.WRITER) as connection:
        log_invalidations(connection, "raw_trades", [(NAME, DAY, *window)], "coverage", None)


def test_one_instrument_comes_back_to_be_read(platform: Platform, lake: Catalogue, tmp_path: Path) -> None:
    for symbol, first in (("BTCUSDT", 1000), ("ETHUSDT", 5000)):
        take(platform, vision(tmp_path, tape(DAY, 300, first), DAY, symbol=symbol))
    refresh(platform, DAY)
    whole = content(platform)
    archive(platform, lake)
    retire(platform, lake)
    [trades, _] = restore(platform, NAME)
    assert trades.rows == 300
    assert platform.rows("select distinct instrument from raw_trades") == [(NAME,)]
    assert platform.rows("select instrument, is_dropped from coverage order by 1") == [(NAME, False), ("binance:ETHUSDT", True)]
    assert platform.rows("select tier, restored from partition_tiers where relation = 'raw_trades'") == [("cold", [NAME])]
    # It is there to be read: what is to be written comes back as a whole.
    with pytest.raises(DayDropped):
        take(platform, vision(tmp_path, [Told(5, midnight(DAY) + 1)], DAY, "-late"))
    change(platform)
    archive(platform, lake)
    assert platform.rows("select count(*) from archive_proofs") == [(1,)]
    assert [each.rows for each in restore(platform, NAME, "binance:ETHUSDT")] == [300, 0]
    assert content(platform) == whole
    assert retire(platform, lake, date(2027, 1, 1)) == []


def test_what_came_back_for_a_time_goes_again(platform: Platform, lake: Catalogue, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 300), DAY))
    refresh(platform, DAY)
    archive(platform, lake)
    retire(platform, lake)
    restore(platform, NAME, until=datetime(2025, 4, 6, 12, tzinfo=UTC))
    assert retire(platform, lake, date(2025, 4, 6)) == []
    [again] = retire(platform, lake, date(2025, 4, 7))
    assert (again.move, again.rows) == ("drop_again", 300)
    assert stored(platform) == 0
    assert platform.rows("select restored, restored_until from partition_tiers where relation = 'raw_trades'") == [([], None)]
    assert platform.rows("select is_dropped from coverage") == [(True,)]
    restore(platform)
    assert stored(platform) == 300


def test_a_damaged_archive_brings_nothing_back(settled: Platform, lake: Catalogue) -> None:
    dropped(settled, lake)
    [path] = Path(os.environ["RRR_ARCHIVE_URL"]).rglob("*.parquet")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(ProofFailed, match="bytes instead of"):
        restore(settled)
    path.unlink()
    with pytest.raises(restoring.NothingToRestore, match="is not in the store"):
        restore(settled)
    assert tiers(settled)["raw_trades", DAY] == "cold"
    path.write_bytes(whole)
    assert restore(settled)[0].rows == 1000


@pytest.mark.crash
@pytest.mark.parametrize("point", DROPS)
def test_killed_while_it_is_dropped(settled: Platform, lake: Catalogue, point: str) -> None:
    before = content(settled)
    archive(settled, lake)
    child(
        settled,
        point,
        "from datetime import date; from rrr_assets.lake import retiring\n"
        "for move in retiring.due(database, date.fromisoformat('2025-04-05'), ['archived_trades']): retiring.make(database, lake, move)",
    )
    # It is there as a whole, or gone as a whole and in the books.
    if tiers(settled).get(("raw_trades", DAY)) == "cold":
        assert stored(settled) == 0
    else:
        assert (content(settled), tiers(settled)) == (before, {})
    retire(settled, lake)
    assert (stored(settled), tiers(settled)["raw_trades", DAY]) == (0, "cold")
    restore(settled)
    assert content(settled) == before


@pytest.mark.crash
@pytest.mark.parametrize("point", RETURNS)
def test_killed_while_it_comes_back(settled: Platform, lake: Catalogue, point: str) -> None:
    before = content(settled)
    dropped(settled, lake)
    child(
        settled,
        point,
        "from datetime import date; from rrr_assets.contracts.archive import ARCHIVED_GROUPS\n"
        "from rrr_assets.lake.restoring import restore\n"
        f"restore(database, lake.store, ARCHIVED_GROUPS['archived_trades'], date.fromisoformat('{DAY}'), until=None)",
    )
    assert stored(settled) in ({1000} if tiers(settled)["raw_trades", DAY] == "warm" else {0})
    restore(settled)
    assert content(settled) == before


def child(platform: Platform, point: str, work: str) -> None:
    script = (
        "from rrr_assets.lake.catalogue import Catalogue; from rrr_assets.lake.store import Store\n"
        "from rrr_assets.warehouse.connect import Database\n"
        f"database = Database.current({platform.database.name!r})\nlake = Catalogue(database, Store.current())\n{work}"
    )
    killed_at(point, script)


def test_two_at_once_drop_and_restore_one_day_once(settled: Platform, lake: Catalogue) -> None:
    archive(settled, lake)
    moves = [each for each in retiring.due(settled.database, DAY + timedelta(days=32), ["archived_trades"]) if each.partition == DAY]

    def drop(_: int) -> retiring.Moved:
        with Catalogue(settled.database, Store.current()) as mine:
            return retiring.make(settled.database, mine, moves[0])

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(drop, range(2)))
    assert sorted(each.rows for each in done) == [0, 1000]
    assert tiers(settled)["raw_trades", DAY] == "cold"
    with ThreadPoolExecutor(2) as pool:
        came = list(pool.map(lambda _: restore(settled)[0], range(2)))
    assert sorted(each.rows for each in came) == [0, 1000]
    assert stored(settled) == 1000


def test_every_table_of_the_plan_leaves_and_comes_back(platform: Platform, lake: Catalogue, tmp_path: Path) -> None:
    """A simulated day with the venue's bars, bars by what was traded, and the desk's own rows."""
    written = simulate(tmp_path / "files", [DAY], ["binance:BTCUSDT", "binance:ETHUSDT"], 3000, seed=3)
    for file in written.files:
        platform.take_in(tmp_path / "files" / file.path, file.format, file.instrument)
    set_rules(platform.database, "*", ["tick", "volume", "dollar"], [Rule("tick", Decimal(100)), Rule("dollar", Decimal(1_000_000))])
    refresh(platform, DAY)
    platform.rows(
        "insert into market_sentiment (asset, event_time, source, sentiment_score, known_at, metadata) values"
        " ('BTC', %s, 'reddit', 0.25, now(), '{\"a\": [1, 2.50]}'), ('ETH', %s, 'twitter', null, now(), null) returning 1",
        DAY,
        DAY,
    )
    platform.rows(
        "insert into orders (order_id, instrument, event_time, side, order_type, quantity, status, filled_quantity, known_at)"
        " values ('o-1', %s, %s, 'buy', 'market', 1.50, 'pending', 0, now()) returning 1",
        NAME,
        DAY,
    )
    for group in ARCHIVED_GROUPS.values():
        archive(platform, lake, group.name)
    tables = [table for group in ARCHIVED_GROUPS.values() for table in group.tables]
    before = {table.name: content(platform, table.name) for table in tables}
    today = DAY + timedelta(days=5 * 366)
    moves = {each.group: each for each in retire(platform, lake, today, *ARCHIVED_GROUPS)}
    assert {name: each.refusals for name, each in moves.items()} == dict.fromkeys(moves, ())
    assert {each.move for each in moves.values()} == {"drop"}
    assert {
        "archived_trades",
        "archived_bars",
        "archived_venue_bars",
        "archived_information_bars",
        "archived_sentiment",
        "archived_orders",
    } <= set(moves)
    for table in tables:
        assert platform.rows(f"select count(*) from {table.name}") == [(0,)], table.name  # noqa: S608  # tables' names
    for name in moves:
        restore(platform, group=name)
    assert {table.name: content(platform, table.name) for table in tables} == before


def test_at_the_end_of_its_time_a_partition_is_deleted_once(settled: Platform, lake: Catalogue) -> None:
    dropped(settled, lake)
    today = DAY + timedelta(days=3 * 366)
    settled.rows("insert into holds (name, kind, reason, placed_at, placed_by) values ('h', 'legal', 'x', now(), 'me') returning 1")
    [held] = [each for each in retire(settled, lake, today) if each.partition == DAY]
    assert (held.move, held.refusals) == ("delete", ("the hold h covers it",))
    settled.rows("update holds set released_at = now() returning 1")
    [gone] = [each for each in retire(settled, lake, today) if each.partition == DAY]
    assert (gone.move, gone.rows, gone.refusals) == ("delete", 1000, ())
    assert tiers(settled)["raw_trades", DAY] == "deleted"
    with Catalogue(settled.database, Store.current()) as fresh:
        assert fresh.files(ARCHIVED_GROUPS["archived_trades"].tables[0], DAY) == []
    assert [each for each in retire(settled, lake, today) if each.partition == DAY] == []
    with pytest.raises(restoring.NothingToRestore, match="deleted"):
        restore(settled)


def test_a_partition_as_it_was_is_laid_beside(settled: Platform, lake: Catalogue, tmp_path: Path) -> None:
    archive(settled, lake)
    table = ARCHIVED_GROUPS["archived_trades"].tables[0]
    with settled.database.connect(Role.WRITER) as connection:
        first = latest_proof(connection, table, DAY)
    assert first is not None
    [(then,)] = settled.rows("select clock_timestamp()")
    take(settled, vision(tmp_path, [Told(5, midnight(DAY) + 1)], DAY, "-late"))
    archive(settled, lake)
    store = Store.current()
    for number, (options, rows) in enumerate((({"as_of": then}, 1000), ({"proof_id": first.proof_id}, 1000), ({}, 1001))):
        [came] = restoring.restore_aside(settled.database, store, table, [DAY], name=f"then_{number}", **options)  # type: ignore[arg-type]  # one of its options
        assert came.rows == rows
        with settled.database.connect(Role.ANALYST) as connection:
            assert connection.execute(f"select count(*) from restored.then_{number}").fetchone() == (rows,)  # noqa: S608
    with pytest.raises(restoring.NameTaken, match=r"restored\.then_0 is there already"):
        restoring.restore_aside(settled.database, store, table, [DAY], name="then_0")
    with pytest.raises(restoring.NothingToRestore, match="no such state"):
        restoring.restore_aside(settled.database, store, table, [DAY], name="never", as_of=datetime(2020, 1, 1, tzinfo=UTC))
    assert settled.rows("select to_regclass('restored.never')") == [(None,)]
    assert restoring.drill(settled.database, store, table, DAY).rows == 1001
    with settled.database.connect(Role.WRITER) as connection:
        for number in range(3):
            connection.execute(f"drop table restored.then_{number}")


def test_a_batch_of_a_dropped_day_is_taken_back(settled: Platform, lake: Catalogue) -> None:
    dropped(settled, lake)
    [(batch,)] = settled.rows("select batch_id from ingest_batches where day = %s", DAY)
    with pytest.raises(DayDropped):
        undo_batch(settled.database, batch, "a test")
    undone = brought_back(restoring.bringing_back(settled.database), lambda: undo_batch(settled.database, batch, "a test"))
    assert undone.taken_back == 1000
    assert stored(settled) == 0
    assert settled.rows("select row_count, is_dropped from coverage where day = %s", DAY) == [(0, False)]


def test_an_archiver_waits_for_a_writer_under_way(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers lock by instrument: the last entry of the log may be of one who committed before another, whose entry is older."""
    for symbol, first in (("BTCUSDT", 1000), ("ETHUSDT", 5000)):
        take(platform, vision(tmp_path, tape(DAY, 300, first), DAY, symbol=symbol))
    ledgered, go_on = Event(), Event()
    reach = load.reach

    def stop(place: str) -> None:
        reach(place)
        if place == "load.ledgered":
            ledgered.set()
            go_on.wait(60)

    monkeypatch.setattr(load, "reach", stop)
    late = vision(tmp_path, [Told(9999, midnight(DAY) + 5_000_000)], DAY, "-late", symbol="ETHUSDT")
    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(take, platform, late)
        assert ledgered.wait(60)
        change(platform)
        archiving = pool.submit(archive_anew, platform)
        with pytest.raises(TimeoutError):
            archiving.result(timeout=1)
        go_on.set()
        writing.result()
        archiving.result()
    assert platform.rows("select row_count from archive_proofs where relation = 'raw_trades'") == [(601,)]


def archive_anew(platform: Platform) -> None:
    with Catalogue(platform.database, Store.current()) as mine:
        archive(platform, mine)


def test_bars_by_what_was_traded_are_proven_as_they_are(platform: Platform, lake: Catalogue, tmp_path: Path) -> None:
    set_rules(platform.database, "*", ["tick"], [Rule("tick", Decimal(100))])
    take(platform, vision(tmp_path, tape(DAY, 500), DAY))
    refresh(platform, DAY)
    take(platform, vision(tmp_path, [Told(2000, midnight(DAY) + 80_000_000_000, "99999.5")], DAY, "-late"))
    # Archived before they were refreshed, they are not what is proven after that.
    archive(platform, lake, "archived_information_bars")
    refresh(platform, DAY)
    archive(platform, lake, "archived_information_bars")
    before = content(platform, "bars_tick")
    [moved] = retire(platform, lake, DAY + timedelta(days=400), "archived_information_bars")
    assert moved.refusals == ()
    restore(platform, group="archived_information_bars")
    assert content(platform, "bars_tick") == before


def test_what_came_back_goes_with_what_is_deleted(settled: Platform, lake: Catalogue) -> None:
    made = bars(settled)
    dropped(settled, lake)
    restore(settled, NAME, until=datetime(2025, 4, 10, tzinfo=UTC))
    [gone] = [each for each in retire(settled, lake, DAY + timedelta(days=3 * 366)) if each.partition == DAY]
    assert (gone.move, gone.refusals) == ("delete", ())
    assert settled.rows("select is_dropped from coverage where day = %s", DAY) == [(True,)]
    list(refresh_bars(settled.database, "1m", [DAY], whole_days=True))
    assert bars(settled) == made


def test_a_late_file_of_a_deleted_day_is_refused_once(settled: Platform, lake: Catalogue, tmp_path: Path) -> None:
    dropped(settled, lake)
    retire(settled, lake, DAY + timedelta(days=3 * 366))
    platform_bring_back = restoring.bringing_back(settled.database)
    late = vision(tmp_path, [Told(5, midnight(DAY) + 1)], DAY, "-late")
    assert brought_back(platform_bring_back, lambda: take(settled, late)) == [(0, 0, 0, 0)]
    [(pending, refused)] = settled.rows("select is_pending, refused from landing_days order by file_id desc limit 1")
    assert not pending
    assert "was deleted at the end of its time" in refused


def test_the_desks_rows_of_a_month_that_is_away_are_not_written_beside_it(platform: Platform, lake: Catalogue) -> None:
    order = (
        "insert into orders (order_id, instrument, event_time, side, order_type, quantity, status, filled_quantity, known_at)"
        " values (%s, %s, %s, 'buy', 'market', 1.50, 'pending', 0, now()) returning 1"
    )
    platform.rows(order, "o-1", NAME, DAY)
    archive(platform, lake, "archived_orders")
    [moved] = retire(platform, lake, DAY + timedelta(days=3 * 366 + 40), "archived_orders")
    assert (moved.move, moved.refusals, moved.rows) == ("drop", (), 1)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="in the archive alone"):
        platform.rows(order, "o-2", NAME, DAY)
    with pytest.raises(restoring.NothingToRestore, match="is not by instrument"):
        restore(platform, NAME, group="archived_sentiment")
    restore(platform, group="archived_orders")
    platform.rows(order, "o-2", NAME, DAY)
    # What was proven is not what is there now.
    [refused] = retire(platform, lake, date(2101, 1, 1), "archived_orders")
    assert "the proof of orders is stale" in refused.refusals[0]
    assert platform.rows("select count(*) from orders") == [(2,)]


def test_a_move_that_is_due_no_more_is_not_made(settled: Platform, lake: Catalogue, tmp_path: Path) -> None:
    """Somebody restored, or wrote, what was due."""
    dropped(settled, lake)
    far = DAY + timedelta(days=3 * 366)
    [delete] = [each for each in retiring.due(settled.database, far, ["archived_trades"]) if each.partition == DAY]
    restore(settled)
    assert retiring.make(settled.database, lake, delete).refusals == ("it is not due any more",)
    assert (tiers(settled)["raw_trades", DAY], stored(settled)) == ("warm", 1000)
    restore(settled, until=datetime(2101, 1, 1, tzinfo=UTC))
    assert settled.rows("select restored_until from partition_tiers where relation = 'raw_trades'") == [(datetime(2101, 1, 1, tzinfo=UTC),)]
    # Rows that come late do not shorten how long it is kept.
    take(settled, vision(tmp_path, [Told(5, midnight(DAY) + 1)], DAY, "-late"))
    assert stored(settled) == 1001
    assert settled.rows("select restored_until from partition_tiers where relation = 'raw_trades'") == [(datetime(2101, 1, 1, tzinfo=UTC),)]


def test_a_day_that_became_empty_is_archived_as_empty(settled: Platform, lake: Catalogue) -> None:
    archive(settled, lake)
    [(batch,)] = settled.rows("select batch_id from ingest_batches where day = %s", DAY)
    undo_batch(settled.database, batch, "a test")
    refresh(settled, DAY, NEXT)
    archive(settled, lake)
    archive(settled, lake)
    proofs = settled.rows("select row_count, files from archive_proofs where relation = 'raw_trades' order by proof_id")
    assert [(count, len(files)) for count, files in proofs] == [(1000, 1), (0, 0)]
    [moved] = [each for each in retire(settled, lake) if each.partition == DAY]
    # The rows that ended are in the revisions.
    assert (moved.refusals, moved.rows) == ((), 1000)
    assert [each.rows for each in restore(settled)] == [0, 1000]


def test_a_damaged_file_does_not_cost_the_rows_that_came_back(settled: Platform, lake: Catalogue) -> None:
    dropped(settled, lake)
    restore(settled, NAME, until=datetime(2025, 4, 6, tzinfo=UTC))
    [path] = Path(os.environ["RRR_ARCHIVE_URL"]).rglob("*.parquet")
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-10] ^= 1
    path.write_bytes(flipped)
    [refused] = [each for each in retire(settled, lake, date(2025, 4, 7)) if each.partition == DAY]
    assert refused.refusals == (f"the file of raw_trades is not what was proven: file://{path}",)
    assert stored(settled) == 1000
    with pytest.raises(ProofFailed, match="is damaged: its bytes are not those that were proven"):
        restore(settled)
    path.write_bytes(whole)
    settled.rows("insert into holds (name, kind, reason, placed_at, placed_by) values ('h', 'legal', 'x', now(), 'me') returning 1")
    [refused] = [each for each in retire(settled, lake, date(2025, 4, 7)) if each.partition == DAY]
    assert refused.refusals == ("the hold h covers it",)


def test_a_hold_waits_for_a_move_that_looked_before_it(settled: Platform, lake: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    archive(settled, lake)
    looked, go_on = Event(), Event()

    def stop(place: str) -> None:
        if place == "retire.removed" and not looked.is_set():
            looked.set()
            go_on.wait(60)

    monkeypatch.setattr(retiring, "reach", stop)
    with ThreadPoolExecutor(2) as pool:
        moving = pool.submit(retire, settled, lake)
        assert looked.wait(60)
        placing = pool.submit(holds.place, settled.database, holds.Hold("h", "a test"))
        with pytest.raises(TimeoutError):
            placing.result(timeout=1)
        go_on.set()
        moving.result()
        placing.result()
    assert tiers(settled)["raw_trades", DAY] == "cold"
    assert [each.refusals for each in retire(settled, lake, DAY + timedelta(days=3 * 366)) if each.partition == DAY] == [
        ("the hold h covers it",)
    ]


def test_the_guard_knows_the_tables_of_the_archive(platform: Platform) -> None:
    known = {name: (column, tuple(follows)) for name, column, follows in platform.rows("select * from archived_relations()")}
    assert known == {name: (each.table.time_column, each.follows) for name, each in ARCHIVED.items()}
