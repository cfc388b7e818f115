"""Days that were moved to the columnstore are read and written like any other."""

from datetime import timedelta
from pathlib import Path

import pytest

from rrr_assets.warehouse.connect import Database, Role
from rrr_assets_tests.loading import CONSERVED, DAY, capture, emptied, take, tape, vision
from rrr_assets_tests.platform import ON_TIMESCALE, Platform

pytestmark = ON_TIMESCALE

TABLES = ("raw_trades", "bars_1m", "bars_5m", "bars_1h", "bars_1d")
NEXT = DAY + timedelta(days=1)


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


def convert(platform: Platform) -> None:
    """Move every chunk to the columnstore."""
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        for table in TABLES:
            for (chunk,) in connection.execute("select show_chunks(%s)::text", (table,)).fetchall():
                connection.execute("call convert_to_columnstore(%s)", (chunk,))
    moved = "select count(*) filter (where is_compressed), count(*) from timescaledb_information.chunks where hypertable_name = any(%s)"
    [(compressed, chunks)] = platform.rows(moved, list(TABLES))
    assert compressed == chunks > len(TABLES)


def bars(platform: Platform) -> list[tuple]:
    return [row for table in TABLES[1:] for row in platform.rows(f"select * from {table} order by instrument, bar_start")]  # noqa: S608  # of the list above


def test_late_and_finer_rows_go_into_it_and_the_same_again_changes_nothing(platform: Platform, tmp_path: Path) -> None:
    told = tape(DAY, 1000)
    coarse = [t.at(t.us // 1000 * 1000) for t in told]
    take(platform, capture(tmp_path, coarse[:400] + coarse[500:]))
    take(platform, vision(tmp_path, tape(NEXT, 50, 3000), NEXT))
    platform.refresh()
    before = platform.trades_hash(), bars(platform)
    convert(platform)
    assert (platform.trades_hash(), bars(platform)) == before
    platform.refresh(whole_days=True)
    assert bars(platform) == before[1], "what did not change is not written"

    assert take(platform, vision(tmp_path, told, DAY)) == [(100, 899, 1, 0)], "one of them was told to the microsecond by chance"
    assert take(platform, vision(tmp_path, told, DAY, "-again")) == [(0, 0, 1000, 0)]
    platform.refresh()
    assert platform.rows(CONSERVED) == [(0,)]
    in_columns = platform.trades_hash(), [row[:-1] for row in bars(platform)]

    (tmp_path / "in-rows").mkdir()
    rows = emptied(platform.database, tmp_path / "in-rows")
    take(rows, vision(tmp_path, told, DAY))
    take(rows, vision(tmp_path, tape(NEXT, 50, 3000), NEXT))
    rows.refresh()
    assert (rows.trades_hash(), [row[:-1] for row in bars(rows)]) == in_columns


@pytest.mark.slow
def test_a_whole_day_that_is_told_more_precisely_is_not_too_much(platform: Platform, tmp_path: Path) -> None:
    told = tape(DAY, 120_000, step_us=654_321)
    take(platform, capture(tmp_path, [t.at(t.us // 1000 * 1000) for t in told]))
    take(platform, vision(tmp_path, tape(NEXT, 50, 500_000), NEXT))
    platform.refresh()
    convert(platform)
    [(stored, revised, duplicates, quarantined)] = take(platform, vision(tmp_path, told, DAY))
    assert (stored, duplicates + revised, quarantined) == (0, 120_000, 0)
    assert revised > 110_000
