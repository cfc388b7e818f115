"""Recorded files of trades, straight into the archive and through the database: the same rows, books and bars."""

from pathlib import Path

import pytest

from rrr_assets.warehouse.home import Home
from rrr_assets_tests.platform import Platform, fresh_database
from rrr_assets_tests.straight import BOOKS, archived, bars, books, land, slowly, straight

pytestmark = pytest.mark.realdata


def test_recorded_trades_are_the_same_on_both_ways(home: Home, realdata: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert home.root.is_dir()
    told = []
    for way in (slowly, straight):
        folder = tmp_path / way.__name__
        monkeypatch.setenv("RRR_ARCHIVE_URL", str(folder / "archive"))
        landing_home = Home(folder)
        folder.mkdir()
        landing_home.prepare()
        platform = Platform(fresh_database(), landing_home)
        land(platform, realdata / "gemini_ethusd" / "gemini__eth-usd__2021-07-01__trade.csv", form="ccapi")
        land(platform, *sorted((realdata / "binance_spot_ws").glob("*.gz")), form="binance-ws")
        land(platform, realdata / "binance_spot_fixture" / "cc_trades.json", form="binance-rest", instrument="binance:BTCUSDT")
        way(platform)
        rows = {day: archived(platform, day) for day in sorted(platform.days)}
        platform.refresh()
        told.append((rows, books(platform, [name for name in BOOKS if name != "landing_days"]), bars(platform)))
    (slow_rows, slow_books, slow_bars), (rows, kept_books, kept_bars) = told
    assert sum(table.num_rows for table in rows.values()) > 60_000
    for day, table in slow_rows.items():
        assert rows[day].equals(table), day
    assert kept_books == slow_books
    assert kept_bars == slow_bars
    assert platform.rows("select count(*) from raw_trades") == [(0,)]
