"""Loading the venues' own bars: each once, the closed word final."""

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zipfile import ZipFile

import pytest

from rrr_assets.simulator import simulate
from rrr_assets.ticks.replay import ReplayOutcome, replay
from rrr_assets.warehouse.connect import Database
from rrr_assets_tests.loading import CONSERVED, NAME, OLD_DAY, emptied, midnight
from rrr_assets_tests.platform import Platform

MINUTE_MS = 60_000


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


def klines(folder: Path, minutes: list[tuple[int, str]], name: str) -> Path:
    """A REST answer of 1m klines: (minute of the day, close); its last one counts as open."""
    rows = []
    for minute, close in minutes:
        start = midnight(OLD_DAY) // 1000 + minute * MINUTE_MS
        rows.append(
            [
                start,
                "100.00000000",
                "109.00000000",
                "90.00000000",
                close,
                "2.00000000",
                start + MINUTE_MS - 1,
                "200.0",
                4,
                "1.0",
                "100.0",
                "0",
            ]
        )
    path = folder / name
    path.write_text(json.dumps(rows))
    return path


def take(platform: Platform, path: Path) -> tuple[int, int, int, int]:
    [done] = platform.take_in(path, "binance-rest")
    [file] = done.files
    return file.rows_stored, file.rows_revised, file.duplicates, file.quarantined


def bars(platform: Platform) -> list[tuple]:
    return platform.rows(
        "select extract(epoch from bar_start)::bigint / 60 % 1440, trim_scale(close)::text, is_closed from venue_bars order by bar_start"
    )


def covered(platform: Platform) -> list[tuple[int, int]]:
    [(ranges,)] = platform.rows("select covered from coverage where stream = 'venue_bars_1m'")
    base = datetime(OLD_DAY.year, OLD_DAY.month, OLD_DAY.day, tzinfo=UTC)
    return [(int((r.lower - base) / timedelta(minutes=1)), int((r.upper - base) / timedelta(minutes=1))) for r in ranges]


def test_simulated_candles_in_any_order_and_again(platform: Platform, tmp_path: Path) -> None:
    made = simulate(tmp_path / "out", [OLD_DAY], [NAME, "binance-usdm:BTCUSDT"], 1000, 5)
    files = [f for f in made.files if f.interval is not None]
    contents = set()
    for turn in range(2):
        folder = tmp_path / f"turn{turn}"
        folder.mkdir()
        mine = emptied(platform.database, folder)
        random.Random(turn).shuffle(files)
        for f in files:
            mine.take_in(f.path, f.format)
        logged = mine.rows("select count(*) from invalidation_log")
        for f in files[:4]:
            [done] = mine.take_in(f.path, f.format)
            assert (done.files[0].rows_stored, done.files[0].duplicates) == (0, f.rows)
        assert mine.rows("select count(*) from invalidation_log") == logged
        assert mine.rows("select instrument, interval, count(*) from venue_bars group by 1, 2 order by 1, 2") == sorted(
            (name, interval, sum(f.rows for f in files if (f.instrument, f.interval) == (name, interval)))
            for name, interval in {(f.instrument, f.interval) for f in files}
        )
        assert mine.rows(CONSERVED) == [(0,)]
        contents.add(
            str(
                mine.rows(
                    "select instrument, interval, bar_start, open, high, low, close, volume, quote_volume, is_closed"
                    " from venue_bars order by 1, 2, 3"
                )
            )
        )
    assert len(contents) == 1


def test_a_bar_that_was_captured_open_is_replaced_by_its_final_word(platform: Platform, tmp_path: Path) -> None:
    assert take(platform, klines(tmp_path, [(0, "101"), (1, "102")], "BTCUSDT-1m-a.json")) == (2, 0, 0, 0)
    assert bars(platform) == [(0, "101", True), (1, "102", False)]
    assert take(platform, klines(tmp_path, [(1, "103"), (2, "104")], "BTCUSDT-1m-b.json")) == (1, 1, 0, 0)
    assert bars(platform) == [(0, "101", True), (1, "103", True), (2, "104", False)]
    # An earlier capture that comes later does not open it again.
    assert take(platform, klines(tmp_path, [(0, "101"), (1, "99")], "BTCUSDT-1m-c.json")) == (0, 0, 2, 0)
    assert bars(platform)[1] == (1, "103", True)
    assert covered(platform) == [(0, 3)]


def test_two_closed_bars_that_differ_are_a_conflict_and_the_first_stays(platform: Platform, tmp_path: Path) -> None:
    take(platform, klines(tmp_path, [(0, "101"), (1, "102"), (2, "103")], "BTCUSDT-1m-a.json"))
    assert take(platform, klines(tmp_path, [(0, "101"), (1, "105"), (2, "103")], "BTCUSDT-1m-b.json")) == (0, 0, 2, 1)
    assert bars(platform)[1] == (1, "102", True)
    [(line, reason, detail, raw)] = platform.rows("select line, reason, detail, raw from quarantine")
    assert (line, reason) == (2, "conflict")
    assert "105" in detail
    assert "102" in detail
    assert json.loads(raw)[4] == "105"
    assert replay(platform.database, platform.home) == ReplayOutcome(1, 0, 1, (OLD_DAY,), ("venue_bars",))
    assert bars(platform)[1] == (1, "102", True)


def test_a_refused_bar_is_a_hole_in_the_venues_list_until_it_comes(platform: Platform, tmp_path: Path) -> None:
    minutes = [(n, "101") for n in range(5)]
    minutes[2] = (2, "n/a")
    assert take(platform, klines(tmp_path, minutes, "BTCUSDT-1m-a.json")) == (4, 0, 0, 1)
    assert covered(platform) == [(0, 2), (3, 5)]
    take(platform, klines(tmp_path, [(2, "101"), (3, "101"), (4, "101")], "BTCUSDT-1m-b.json"))
    assert covered(platform) == [(0, 5)]


def test_a_file_of_refused_bars_alone_is_taken_in(platform: Platform, tmp_path: Path) -> None:
    path = klines(tmp_path, [(0, "n/a"), (1, "n/a")], "BTCUSDT-1m-a.json")
    assert take(platform, path) == (0, 0, 0, 2)
    assert replay(platform.database, platform.home) == ReplayOutcome(2, 0, 2, (OLD_DAY,), ("venue_bars",))


def test_a_day_claimed_by_its_name_is_covered_whole(platform: Platform, tmp_path: Path) -> None:
    made = simulate(tmp_path / "out", [OLD_DAY], [NAME], 50, 6)
    [one] = [f for f in made.files if f.interval == "1m"]
    platform.take_in(one.path, one.format)
    assert covered(platform) == [(0, 1440)]
    with ZipFile(one.path) as archive:
        first = archive.read(archive.namelist()[0]).decode().splitlines()[0].split(",")
    stored = platform.rows("select open, volume, trade_count from venue_bars order by bar_start limit 1")
    assert stored == [(Decimal(first[1]), Decimal(first[5]), int(first[8]))]
