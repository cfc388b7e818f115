"""History that goes straight into the archive is what the slow way would have made of it, row by row and book by book."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.lake import files as lake_files
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.history import WentStraight, take_in
from rrr_assets.lake.proving import archive_partition, latest_proof
from rrr_assets.lake.store import Store
from rrr_assets.simulator import parse_defects, simulate
from rrr_assets.ticks import landing
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.load import load_day
from rrr_assets.warehouse.refresh import days_behind
from rrr_assets_tests.loading import CONSERVED, emptied
from rrr_assets_tests.platform import Platform

POINTS = (
    "history.locked", "load.locked", "load.ledgered", "archive.written", "archive.verified", "history.barred", "archive.registered",
    "history.before_commit", "history.after_commit",
)  # fmt: skip
DAYS = [date(2024, 3, 4), date(2024, 3, 5)]

BOOKS = {
    "coverage": "select instrument, stream, day, space, row_count, first_time, last_time, first_sequence, last_sequence, is_declared,"
    " covered, accepted, missing_ids from coverage order by 1, 2, 3",
    "instruments": "select instrument, venue, symbol, contract_type, price_scale, size_scale, bars_stream from instruments order by 1",
    "quarantine": "select file_id, line, day, reason, detail, raw, instrument, event_time, sequence, after_time, before_time, batch_id,"
    " state from quarantine order by 1, 2",
    "ingest_batches": "select batch_id, file_id, day, stream, time_unit, rows_read, rows_stored, rows_revised, duplicates, quarantined"
    " from ingest_batches order by 1",
    "landing_days": "select file_id, day, is_pending, refused from landing_days order by 1, 2",
    "invalidation_log": "select relation, instrument, day, from_time, to_time, reason, batch_id from invalidation_log"
    " where relation like 'raw%' order by invalidation_id",
    "bar_conformance": "select instrument, interval, bar_start, status, rule, fields, ours, theirs from bar_conformance order by 1, 2, 3",
}
"""What must be the same whichever way a day went, but for the moments at which it did."""

_BARS = (
    "instrument, bar_start, open, high, low, close, volume, quote_volume, vwap, trade_count, taker_buy_volume, taker_buy_quote_volume,"
    " first_sequence, last_sequence, is_complete"
)


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


def catalogue(platform: Platform) -> Catalogue:
    return Catalogue(platform.database, Store.current())


def straight(platform: Platform, stream: str = "trades") -> list[WentStraight]:
    """All days of a stream that wait, straight into the archive."""
    with platform.database.connect(Role.WRITER, autocommit=True) as connection:
        waiting = landing.files_of_days(platform.home, connection, stream, sorted(platform.days))
    with catalogue(platform) as lake:
        return [take_in(platform.database, lake, day, found, "run", landing.raw_lines) for day, found in sorted(waiting.items())]


def land(
    platform: Platform, *paths: Path, form: str = "binance-vision-trades", instrument: str | None = None, day: date | None = None
) -> None:
    with platform.database.connect(Role.WRITER, autocommit=True) as connection:
        for path in paths:
            for accepted in landing.accept(platform.home, connection, path, form, instrument, day):
                platform.days.update(accepted.days)


def slowly(platform: Platform, stream: str = "trades") -> None:
    """All days of a stream that wait, through the database, and archived from there."""
    days = sorted(platform.days)
    platform.load(stream, load_day, days)
    with catalogue(platform) as lake:
        for day in days:
            archive_partition(platform.database, lake, ARCHIVED[f"raw_{stream}"], day)


def archived(platform: Platform, day: date, stream: str = "trades") -> pa.Table:
    """What the archive holds of a day, less the moment at which it became known."""
    table = ARCHIVED[f"raw_{stream}"]
    with platform.database.connect(Role.WRITER) as connection:
        proof = latest_proof(connection, table, day)
    store = Store.current()
    batches = [batch for file in (proof.files if proof else ()) for batch in lake_files.read(store, file.url, table)]
    return pa.Table.from_batches(batches, table.canonical_schema()).drop_columns("known_at").combine_chunks()


def books(platform: Platform, only: Sequence[str] = tuple(BOOKS)) -> dict[str, list[tuple]]:
    return {name: platform.rows(BOOKS[name]) for name in only}


def bars(platform: Platform) -> dict[str, list[tuple]]:
    return {interval: platform.rows(f"select {_BARS} from bars_{interval} order by 1, 2") for interval in INTERVALS}  # noqa: S608  # of this test


def assert_same(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, landed: Callable[[Platform], None], stream: str = "trades"
) -> Platform:
    """Take the same files in on both ways, and compare all that came of them."""
    told: list[Any] = []
    for name, way in (("slow", slowly), ("straight", straight)):
        platform = fresh(database, tmp_path / name, monkeypatch)
        landed(platform)
        platform.load("venue_bars", _venue_bars, sorted(platform.days))
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
    assert slow_bars["1m"] or stream != "trades"
    assert proofs == slow_proofs
    assert platform.rows(f"select count(*) from raw_{stream}") == [(0,)]  # noqa: S608  # of this test
    assert platform.rows("select count(*) from coverage where stream = %s and row_count > 0 and not is_dropped", stream) == [(0,)]
    assert not days_behind(platform.database, 100, timedelta(0))
    return platform


def _venue_bars(*given: Any) -> Any:
    from rrr_assets.warehouse.load_bars import load_bars_day

    return load_bars_day(*given)


def test_a_simulated_market_with_defects_is_the_same_on_both_ways(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = simulate(tmp_path / "files", DAYS, ["binance:BTCUSDT", "binance:ETHUSDT"], 20_000, 7, defects=parse_defects("default"))

    def landed(platform: Platform) -> None:
        for file in written.files:
            if file.format in {"binance-vision-trades", "binance-vision-klines"}:
                land(platform, tmp_path / "files" / file.path, form=file.format, instrument=file.instrument)

    platform = assert_same(database, tmp_path, monkeypatch, landed)
    assert platform.rows("select count(*) > 0 from quarantine") == [(True,)]
    assert platform.rows("select count(*) > 0 from bar_conformance") == [(True,)]
