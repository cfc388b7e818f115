"""History that goes straight into the archive is what the slow way would have made of it, row by row and book by book."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from rrr_assets.calc.outcomes import DayDropped
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.history import Destination
from rrr_assets.lake import files as lake_files
from rrr_assets.lake.history import ArchiveDamaged, NotStraight, is_history, take_in
from rrr_assets.lake.proving import archive_partition, bars_hash, latest_proof, partition_mark
from rrr_assets.lake.restoring import bringing_back
from rrr_assets.simulator import parse_defects, simulate
from rrr_assets.ticks import landing
from rrr_assets.warehouse.bulk import forget_staged
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.inspection import check
from rrr_assets.warehouse.load import load_day
from rrr_assets.warehouse.load_bars import load_bars_day
from rrr_assets.warehouse.refresh import days_behind, refresh_bars
from rrr_assets.warehouse.tiers import brought_back
from rrr_assets_tests.loading import CONSERVED, DAY, NAME, NEXT, Told, capture, ccapi, emptied, midnight, tape, vision
from rrr_assets_tests.platform import Platform
from rrr_assets_tests.straight import BOOKS, archived, bars, books, catalogue, land, slowly, straight
from rrr_assets_tests.warm import killed_at

POINTS = (
    "history.locked", "load.locked", "load.ledgered", "archive.written", "archive.verified", "history.barred", "archive.registered",
    "history.before_commit", "history.after_commit",
)  # fmt: skip
DAYS = [date(2024, 3, 4), date(2024, 3, 5)]


@pytest.fixture
def platform(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    return fresh(database, tmp_path / "first", monkeypatch)


def fresh(database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """The module's database without a row, and an archive without a file."""
    folder.mkdir()
    monkeypatch.setenv("RRR_ARCHIVE_URL", str(folder / "archive"))
    made = emptied(database, folder)
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("truncate iceberg.iceberg_tables, iceberg.iceberg_namespace_properties")
    return made


def assert_same(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, landed: Callable[[Platform], None], stream: str = "trades"
) -> Platform:
    """Take the same files in on both ways, and compare all that came of them."""
    told: list[Any] = []
    for name, way in (("slow", slowly), ("straight", straight)):
        platform = fresh(database, tmp_path / name, monkeypatch)
        landed(platform)
        platform.load("venue_bars", load_bars_day, sorted(platform.days))
        way(platform, stream)
        platform.refresh()
        rows = {day: archived(platform, day, stream) for day in sorted(platform.days)}
        told.append((rows, books(platform), bars(platform), platform.rows("select count(*) from archive_proofs")))
        assert platform.rows(CONSERVED) == [(0,)]
    (slow_rows, slow_books, slow_bars, slow_proofs), (rows, kept_books, kept_bars, proofs) = told
    for day, expected in slow_rows.items():
        assert rows[day].num_rows == expected.num_rows, day
        for column in expected.schema.names:
            assert rows[day][column].equals(expected[column]), (day, column)
    for name, expected_book in slow_books.items():
        assert kept_books[name] == expected_book, name
    for interval, expected_bars in slow_bars.items():
        assert kept_bars[interval] == expected_bars, interval
    assert (slow_bars["1m"] and slow_bars["tick"] and slow_bars["dollar"]) or stream != "trades"
    assert proofs == slow_proofs
    assert platform.rows(f"select count(*) from raw_{stream}") == [(0,)]  # noqa: S608  # of this test
    assert platform.rows("select count(*) from coverage where stream = %s and row_count > 0 and not is_dropped", stream) == [(0,)]
    assert not days_behind(platform.database, 100, timedelta(0))
    return platform


def test_a_simulated_market_with_defects_is_the_same_on_both_ways(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = simulate(
        tmp_path / "files",
        DAYS,
        ["binance:BTCUSDT", "binance:ETHUSDT"],
        20_000,
        7,
        defects=parse_defects("gap,bad-rows,kline-missing,outage"),
    )

    def landed(platform: Platform) -> None:
        for file in written.files:
            if file.format in {"binance-vision-trades", "binance-vision-klines"}:
                land(platform, tmp_path / "files" / file.path, form=file.format, instrument=file.instrument)

    platform = assert_same(database, tmp_path, monkeypatch, landed)
    assert platform.rows("select count(*) > 0 from quarantine") == [(True,)]
    assert platform.rows("select count(*) > 0 from bar_conformance") == [(True,)]


def test_files_of_many_instruments_and_of_parts_of_a_day_are_the_same(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captures that hold instruments by turns, a day in two files, ids that are missing between them and across midnight."""
    first, second, third = tape(DAY, 300, 1000), tape(DAY, 300, 1350, 40_000_000_000), tape(NEXT, 300, 1660, 1)
    tapes = {"ETHUSDT": tape(DAY, 200, 50, 1, 400_000_000), "SOLUSDT": tape(NEXT, 200, 9, 5)}
    paths = [
        vision(tmp_path / "v", first[:100] + first[120:], DAY),
        capture(tmp_path / "c", first[:0] + second, "b.txt"),
        capture(tmp_path / "c", third, "c.txt"),
        *(capture(tmp_path / "c", told, f"{name}.txt", symbol=name) for name, told in tapes.items()),
    ]
    mixed = tmp_path / "c" / "mixed.txt"
    lines = [line for path in paths[3:] for line in path.read_text().splitlines(keepends=True)]
    mixed.write_text("".join(sorted(lines)))

    def landed(platform: Platform) -> None:
        land(platform, paths[0])
        land(platform, *paths[1:3], mixed, form="binance-ws")

    platform = assert_same(database, tmp_path, monkeypatch, landed)
    assert len(platform.rows("select 1 from coverage where stream = 'trades'")) == 4


def test_clocks_that_step_back_and_numbers_that_are_too_fine_are_the_same(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tape(DAY, 60_000, 1000, 1, 1_300_000)
    for at in range(0, 60_000, 7):
        told[at] = told[at].at(told[at].us - 2_000_000_000 if told[at].us > midnight(DAY) + 3_000_000_000 else told[at].us)
    told[100] = Told(told[100].id, told[100].us, "1.123456789")
    told[59_999] = Told(told[59_999].id, told[59_999].us, "1", "0.0000000001")

    def landed(platform: Platform) -> None:
        land(platform, vision(tmp_path / "v", [*told[:5_000], "no line", *told[5_000:]], DAY))

    platform = assert_same(database, tmp_path, monkeypatch, landed)
    assert sorted(platform.rows("select reason from quarantine")) == [("columns",), ("scale",), ("scale",)]


def test_trades_without_ids_are_the_same(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = midnight(DAY)
    told: list[Told | str] = [Told(0, base + 1_000_000 * (n // 3), f"{n % 5 + 1}.5", "2") for n in range(500)]
    told.insert(50, "garbage")

    def landed(platform: Platform) -> None:
        land(platform, ccapi(tmp_path / "g", told, "x.csv"), form="ccapi", instrument="gemini:ETHUSD", day=DAY)

    assert_same(database, tmp_path, monkeypatch, landed)


@pytest.mark.parametrize("stream", ["agg_trades", "quotes", "depth"])
def test_other_streams_are_the_same(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    base = midnight(DAY) // 1000
    symbol = "btcusdt"
    events = {
        "agg_trades": lambda n: (f"{symbol}@aggTrade", {"e": "aggTrade", "s": "BTCUSDT", "a": n, "p": "10.5", "q": "2", "f": 2 * n,
                                 "l": 2 * n + 1, "T": base + n * 9, "E": base + n * 9, "m": n % 2 == 0}),
        "quotes": lambda n: (f"{symbol}@bookTicker", {"u": n, "s": "BTCUSDT", "b": "10.1", "B": "3", "a": f"10.{n % 7 + 2}", "A": "4"}),
        "depth": lambda n: (f"{symbol}@depth", {"e": "depthUpdate", "E": base + n * 9, "s": "BTCUSDT", "U": 10 * n, "u": 10 * n + 9,
                            "b": [["10.1", f"{n}"]], "a": [["10.2", "0"]]}),
    }  # fmt: skip
    path = tmp_path / "c.txt"
    with path.open("w") as out:
        for n in range(1, 400):
            name, data = events[stream](n)
            out.write(f"{base // 1000 + n}.{n:06} {json.dumps({'stream': name, 'data': data})}\n")

    def landed(platform: Platform) -> None:
        land(platform, path, form="binance-ws")

    assert_same(database, tmp_path, monkeypatch, landed, stream)


def test_what_comes_later_is_added_to_what_the_archive_holds(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Day by day, file by file: another instrument, then more of the same one, and the day before."""
    halves = [tape(DAY, 400, 1000), tape(DAY, 400, 1400, 40_000_000_000)]
    deliveries = [
        vision(tmp_path / "1", halves[0], DAY),
        vision(tmp_path / "2", tape(DAY, 300, 5), DAY, symbol="AAAUSDT"),
        capture(tmp_path / "3", halves[1], "later.txt"),
        vision(tmp_path / "4", tape(DAY - timedelta(days=1), 300, 700, 3), DAY - timedelta(days=1)),
        vision(tmp_path / "5", tape(NEXT, 300, 1810, 3), NEXT),
    ]
    told: list[Any] = []
    for name, way in (("slow", slowly), ("straight", straight)):
        platform = fresh(database, tmp_path / name, monkeypatch)
        for path in deliveries:
            land(platform, path, form="binance-ws" if path.suffix == ".txt" else "binance-vision-trades")
            way(platform)
            platform.refresh()
        told.append(({day: archived(platform, day) for day in sorted(platform.days)}, books(platform), bars(platform)))
    (slow_rows, slow_books, slow_bars), (rows, kept_books, kept_bars) = told
    assert {day: table.num_rows for day, table in rows.items()} == {day: table.num_rows for day, table in slow_rows.items()}
    for day, table in rows.items():
        assert table.equals(slow_rows[day]), day
    for name in BOOKS:
        assert kept_books[name] == slow_books[name], name
    for interval, expected in slow_bars.items():
        assert kept_bars[interval] == expected, interval
    [(count,)] = platform.rows("select count(*) from archive_proofs where partition_start = %s", DAY)
    assert count == 3


def test_a_late_trade_of_such_a_day_goes_through_the_database(platform: Platform, tmp_path: Path) -> None:
    told = tape(DAY, 100)
    land(platform, vision(tmp_path, told[:50] + told[51:], DAY))
    straight(platform)
    land(platform, vision(tmp_path, told[50:51], DAY, "-late"))
    with pytest.raises(NotStraight, match=f"rows of {NAME} on {DAY} have to be judged"):
        straight(platform)
    with pytest.raises(DayDropped, match=f"raw_trades of {DAY} is in the archive alone"):
        platform.load("trades", load_day, [DAY])
    bring_back = bringing_back(platform.database)
    brought_back(bring_back, lambda: platform.load("trades", load_day, [DAY]))
    assert platform.rows("select count(*) from raw_trades") == [(100,)]
    platform.refresh()
    assert platform.rows("select row_count, missing_ids::text, is_dropped from coverage") == [(100, "{}", False)]
    with catalogue(platform) as lake:
        assert archive_partition(platform.database, lake, ARCHIVED["raw_trades"], DAY).is_new
    assert archived(platform, DAY).num_rows == 100


def test_the_day_is_cold_and_its_proof_fresh(platform: Platform, tmp_path: Path) -> None:
    for day in (DAY, NEXT):
        land(platform, vision(tmp_path, tape(day, 500, 1000 if day == DAY else 1500), day))
    done = straight(platform)
    assert [each.loaded.rows_stored for each in done] == [500, 500]
    assert {"merge", "write", "read back", "prove", "bars", "register", "look"} <= set(done[0].stages)
    assert platform.rows("select relation, partition_start, tier, row_count, size_bytes, restored from partition_tiers order by 1, 2") == [
        (name, day, "cold", rows, 0, []) for name, rows in (("raw_trades", 500), ("trade_revisions", 0)) for day in (DAY, NEXT)
    ]
    with platform.database.connect(Role.WRITER) as connection:
        for day, told in zip((DAY, NEXT), done, strict=True):
            proof = latest_proof(connection, ARCHIVED["raw_trades"], day)
            assert proof == told.proof
            assert proof is not None
            assert proof.log_mark == partition_mark(connection, ARCHIVED["raw_trades"], day)
            assert proof.bars == bars_hash(connection, day)
    # Nothing is left to do, and doing it all the same changes nothing.
    platform.refresh()
    before = bars(platform)
    assert not days_behind(platform.database, 10, timedelta(0))
    for interval in INTERVALS:
        assert [each.changed for each in refresh_bars(platform.database, interval, [DAY, NEXT], whole_days=True)] == [0, 0]
    assert bars(platform) == before
    for table in ("raw_trades", "bars_1m", "bars_1d"):
        assert [rule for rule in check(platform.database, table, DAY) if rule.is_blocking and rule.broken] == []
    forget_staged(platform.database, platform.home)
    assert not list(platform.home.landing.glob("files/*/staged"))


def test_what_must_not_go_straight_does_not(platform: Platform, tmp_path: Path) -> None:
    """Files of which some rows may be held, days of which the database has rows, corrections: and nothing of them is stored."""
    told = tape(DAY, 50)
    land(platform, vision(tmp_path, [*told[20:], *told[:20]], DAY))
    with pytest.raises(NotStraight):
        straight(platform)
    assert (
        books(platform, ["coverage", "ingest_batches", "quarantine"]),
        list(Path(os.environ["RRR_ARCHIVE_URL"]).rglob("*.parquet")),
    ) == (
        {"coverage": [], "ingest_batches": [], "quarantine": []},
        [],
    )
    platform.load("trades", load_day, [DAY])
    land(platform, vision(tmp_path, tape(DAY, 5), DAY, symbol="ETHUSDT"))
    with pytest.raises(NotStraight, match="the database holds rows of raw_trades"):
        straight(platform)


def test_history_is_what_is_older_than_the_warm_tier() -> None:
    today = date(2026, 6, 1)
    for stream, warm in (("trades", 30), ("quotes", 7)):
        edge = today - timedelta(days=warm)
        assert not is_history(stream, edge, Destination.auto, today)
        assert is_history(stream, edge - timedelta(days=1), Destination.auto, today)
        assert not is_history(stream, date(2020, 1, 1), Destination.database, today)
        assert is_history(stream, today, Destination.archive, today)
    assert not is_history("venue_bars", date(2020, 1, 1), Destination.archive, today)


@pytest.mark.crash
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_every_step_the_next_attempt_finds_the_same(platform: Platform, tmp_path: Path, point: str) -> None:
    land(platform, vision(tmp_path, [*tape(DAY, 3000), "broken"], DAY))
    script = f"""
from datetime import date
from pathlib import Path
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.history import take_in
from rrr_assets.lake.store import Store
from rrr_assets.ticks import landing
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
database, home, day = Database.current({platform.database.name!r}), Home(Path({str(platform.home.root)!r})), date.fromisoformat("{DAY}")
with database.connect(Role.WRITER, autocommit=True) as connection:
    waiting = landing.files_of_days(home, connection, "trades", [day])
with Catalogue(database, Store.current()) as lake:
    take_in(database, lake, day, waiting[day], None, landing.raw_lines)
"""
    killed_at(point, script)
    is_done = point == "history.after_commit"
    # A day is seen whole or not at all.
    assert archived(platform, DAY).num_rows == (3000 if is_done else 0)
    assert platform.rows("select count(*) from coverage") == [(int(is_done),)]
    assert platform.rows("select count(*) from quarantine") == [(int(is_done),)]
    assert platform.rows("select count(*) > 0 from bars_1m") == [(is_done,)]
    assert len(straight(platform)) == int(not is_done)
    rows = archived(platform, DAY)
    assert (rows.num_rows, rows["sequence"].to_pylist()) == (3000, [told.id for told in tape(DAY, 3000)])
    assert platform.rows("select row_count, is_dropped from coverage") == [(3000, True)]
    assert platform.rows("select sum(trade_count) from bars_1d") == [(3000,)]
    with catalogue(platform) as lake, platform.database.connect(Role.WRITER) as connection:
        proof = latest_proof(connection, ARCHIVED["raw_trades"], DAY)
        assert proof is not None
        assert [file.url for file in lake.files(ARCHIVED["raw_trades"], DAY)] == [file.url for file in proof.files]


def test_of_two_at_once_one_takes_the_day_in_and_the_other_finds_it_done(platform: Platform, tmp_path: Path) -> None:
    land(platform, vision(tmp_path, tape(DAY, 3000), DAY))
    land(platform, vision(tmp_path, tape(NEXT, 3000, 4000), NEXT))
    with platform.database.connect(Role.WRITER, autocommit=True) as connection:
        waiting = landing.files_of_days(platform.home, connection, "trades", [DAY, NEXT])

    def one(day: date) -> int:
        with catalogue(platform) as lake:
            return take_in(platform.database, lake, day, waiting[day], None, landing.raw_lines).loaded.rows_stored

    with ThreadPoolExecutor(max_workers=4) as pool:
        assert sorted(pool.map(one, [DAY, NEXT, DAY, NEXT])) == [0, 0, 3000, 3000]
    assert platform.rows("select count(*) from archive_proofs") == [(2,)]


def test_a_store_that_fails_leaves_no_word_in_the_books(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    land(platform, vision(tmp_path, tape(DAY, 3000), DAY))
    honest = lake_files.write

    def fails(*given: Any) -> Any:
        honest(*given)
        raise OSError("the store answered 500")

    monkeypatch.setattr(lake_files, "write", fails)
    with pytest.raises(OSError, match="answered 500"):
        straight(platform)
    nothing = {"coverage": [], "ingest_batches": [], "quarantine": [], "invalidation_log": []}
    assert books(platform, list(nothing)) == nothing
    assert platform.rows("select is_pending from landing_days") == [(True,)]
    monkeypatch.setattr(lake_files, "write", honest)
    assert straight(platform)[0].loaded.rows_stored == 3000


def test_a_damaged_archive_is_not_added_to(platform: Platform, tmp_path: Path) -> None:
    land(platform, vision(tmp_path, tape(DAY, 3000), DAY))
    straight(platform)
    [path] = Path(os.environ["RRR_ARCHIVE_URL"]).rglob("*.parquet")
    bytes_of = bytearray(path.read_bytes())
    bytes_of[len(bytes_of) // 2] ^= 1
    path.write_bytes(bytes_of)
    land(platform, vision(tmp_path, tape(DAY, 30), DAY, symbol="ETHUSDT"))
    with pytest.raises(ArchiveDamaged, match="is not what was proven"):
        straight(platform)
