"""Recorded files with stretches cut out: the ledger of gaps has exactly these, in the database and in the archive."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rrr_assets.calc.quality_config import DEFAULTS
from rrr_assets.lake.store import Store
from rrr_assets.lake.times import archived_times
from rrr_assets.warehouse.books import to_us
from rrr_assets.warehouse.gaps import find_silences, sync_all
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.platform import Platform, fresh_database
from rrr_assets_tests.straight import land, slowly, straight

pytestmark = pytest.mark.realdata

GEMINI = "gemini__eth-usd__2021-07-01__trade.csv"
START = int(datetime(2021, 7, 1, tzinfo=UTC).timestamp())
CUT = [(0, 420), (10_800, 11_161), (12_600, 13_200), (46_800, 47_120), (72_000, 75_600)]


def gemini_cut(source: Path, target: Path) -> list[tuple[int, int]]:
    """The file less some stretches; the times of the rows beside each, in microseconds."""
    header, *rows = source.read_text().splitlines()
    times = [round(float(row.partition(",")[0]) * 1_000_000) - START * 1_000_000 for row in rows]
    gone = [any(first <= time / 1e6 < last for first, last in CUT) for time in times]
    target.write_text("\n".join([header, *(row for row, is_gone in zip(rows, gone, strict=True) if not is_gone)]) + "\n")
    left = [time for time, is_gone in zip(times, gone, strict=True) if not is_gone]
    return [
        (max([time for time in left if time < first * 1e6], default=0), min(time for time in left if time >= last * 1e6) + 1)
        for first, last in CUT
    ]


def capture_cut(source: Path, target: Path) -> tuple[int, int]:
    """The capture less twenty-five trades in its midst; the first and the last id of them."""
    lines = gzip.decompress(source.read_bytes()).decode().splitlines()
    trades = [number for number, line in enumerate(lines) if '"e":"trade"' in line]
    gone = trades[len(trades) // 3 : len(trades) // 3 + 25]
    first, last = (json.loads(lines[number].partition(" ")[2])["data"]["t"] for number in (gone[0], gone[-1]))
    target.write_bytes(gzip.compress("\n".join(line for number, line in enumerate(lines) if number not in set(gone)).encode() + b"\n", 1))
    return first, last


@pytest.mark.parametrize("way", [slowly, straight], ids=["database", "archive"])
def test_what_was_cut_out_is_what_is_missing(
    home: Home, realdata: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: object
) -> None:
    assert home.root.is_dir()
    monkeypatch.setenv("RRR_ARCHIVE_URL", str(tmp_path / "archive"))
    landing_home = Home(tmp_path / "home")
    landing_home.root.mkdir()
    landing_home.prepare()
    platform = Platform(fresh_database(), landing_home)
    capture = tmp_path / "examples_spot_btcusdt_20230405.dat.gz"
    beside = gemini_cut(realdata / "gemini_ethusd" / GEMINI, tmp_path / GEMINI)
    ids = capture_cut(realdata / "binance_spot_ws" / capture.name, capture)
    land(platform, tmp_path / GEMINI, form="ccapi")
    land(platform, capture, form="binance-ws")
    way(platform)
    times_of = archived_times(platform.database, Store.current())
    find_silences(platform.database, sorted(platform.days), DEFAULTS, times_of=times_of)
    assert find_silences(platform.database, sorted(platform.days), DEFAULTS, times_of=times_of) == 0
    assert sync_all(platform.database) == 0
    found = platform.rows("select kind, first_missing, last_missing, from_time, to_time, cause, state from gaps order by kind, from_time")
    assert [row[1:3] for row in found if row[0] == "ids"] == [ids]
    silent = [(to_us(row[3]) - START * 1_000_000, to_us(row[4]) - START * 1_000_000) for row in found if row[0] == "interval"]
    assert silent == beside
    assert {row[5:] for row in found} == {("feed", "open")}
