"""What tests of history share: both ways of a day, straight into the archive and through the database, and all that comes of them.

Belongs here: taking files in on either way, and what has to be the same then. Does not: what a test expects beside that.
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa

from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.information_bars import INFORMATION_BARS
from rrr_assets.lake import files as lake_files
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.history import WentStraight, take_in
from rrr_assets.lake.proving import archive_partition, latest_proof
from rrr_assets.lake.store import Store
from rrr_assets.ticks import landing
from rrr_assets.warehouse.connect import Role
from rrr_assets.warehouse.information_bars import check_day, refresh_information_bars
from rrr_assets.warehouse.load import load_day
from rrr_assets_tests.platform import Platform

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
    found = {interval: platform.rows(f"select {_BARS} from bars_{interval} order by 1, 2") for interval in INTERVALS}  # noqa: S608  # of this test
    for kind in INFORMATION_BARS:
        list(refresh_information_bars(platform.database, kind, sorted(platform.days), whole_days=False))
        found[kind] = platform.rows(f"select to_jsonb(b) - 'known_at' from bars_{kind} as b order by instrument, day, rule, bar_index")  # noqa: S608  # of this test
        assert {rule.rule for rule in check_day(platform.database, kind, min(platform.days)) if rule.broken and rule.is_blocking} == set()
    return found
