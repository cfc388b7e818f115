"""Eight writers at once: the same trades as one after the other, no deadlock, nothing twice."""

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import pytest

from rrr_assets.calc.outcomes import DayLoaded
from rrr_assets.ticks import landing
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.load import load_day
from rrr_assets_tests.loading import CONSERVED, DAY, DAY_US, GAPS_DIFFER, capture, emptied, held, midnight, rest, take, tape, vision
from rrr_assets_tests.platform import Platform

WRITERS = 8
DAYS = [DAY + timedelta(days=n) for n in range(4)]


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


def at_once(work: Sequence[Callable[[], object]]) -> list[object]:
    """Run each in a thread of its own, begun together; whatever one of them raises is raised."""
    gate = threading.Barrier(len(work))

    def run(one: Callable[[], object]) -> object:
        gate.wait()
        return one()

    with ThreadPoolExecutor(len(work)) as pool:
        return [done.result(120) for done in [pool.submit(run, one) for one in work]]


def alone(platform: Platform, folder: Path, files: Sequence[Path]) -> str:
    """The hash of the same files loaded one after the other."""
    folder.mkdir()
    mine = emptied(platform.database, folder)
    for path in files:
        take(mine, path)
    return mine.trades_hash()


def assert_whole(platform: Platform) -> None:
    assert platform.rows(CONSERVED) == [(0,)]
    assert platform.rows(GAPS_DIFFER) == []
    assert platform.rows("select sum(rows_stored) from ingest_batches") == platform.rows("select count(*) from raw_trades")
    assert platform.rows("select count(*) from (select from raw_trades group by instrument, sequence having count(*) > 1) x") == [(0,)]
    counted = platform.rows("select instrument, day, row_count from coverage order by 1, 2")
    assert counted == platform.rows(
        "select instrument, (event_time at time zone 'UTC')::date, count(*) from raw_trades group by 1, 2 order by 1, 2"
    )
    assert platform.rows("select count(*) from landing_days where is_pending") == [(0,)]
    assert not list((platform.home.landing / "incoming").iterdir())


def test_eight_writers_of_one_file(platform: Platform, tmp_path: Path) -> None:
    path = vision(tmp_path, tape(DAY, 3000), DAY)
    wanted = alone(platform, tmp_path / "alone", [path])
    folder = tmp_path / "many"
    folder.mkdir()
    mine = emptied(platform.database, folder)
    done = at_once([lambda: take(mine, path)] * WRITERS)
    assert mine.trades_hash() == wanted
    assert sum(stored for outcome in done for stored, _, _, _ in outcome) == 3000
    assert mine.rows("select count(*) from landing_files") == [(1,)]
    assert len(list((mine.home.landing / "files").iterdir())) == 1
    assert_whole(mine)


@pytest.mark.parametrize("seed", [1])
def test_eight_writers_of_overlapping_files_in_three_forms(platform: Platform, tmp_path: Path, seed: int) -> None:
    trades = tape(DAY, 2000, step_us=12_345_678)
    pieces = [trades[n * 200 : n * 200 + 600] for n in range(8)]
    forms = [
        lambda n, piece: vision(tmp_path, piece, DAY, "-" + "abcdefgh"[n]),
        lambda n, piece: capture(tmp_path, piece, f"{n}.txt"),
        lambda n, piece: rest(tmp_path, piece, f"BTCUSDT-{n}.json"),
    ]
    files = [vision(tmp_path, trades, DAY), *(forms[n % 3](n, piece) for n, piece in enumerate(pieces[1:]))]
    wanted = alone(platform, tmp_path / "alone", files)
    folder = tmp_path / "many"
    folder.mkdir()
    mine = emptied(platform.database, folder)
    random.Random(seed).shuffle(files)
    at_once([lambda path=path: take(mine, path) for path in files])
    assert mine.trades_hash() == wanted
    assert mine.rows("select count(*) from quarantine") == [(0,)]
    assert_whole(mine)


def test_eight_writers_of_neighbouring_days_and_instruments(platform: Platform, tmp_path: Path) -> None:
    files = []
    for symbol in ("BTCUSDT", "ETHUSDT"):
        first = 1000
        for day in DAYS:
            trades = tape(day, 400, first_id=first, start_us=0, step_us=DAY_US // 400)
            files.append(vision(tmp_path, trades, day, symbol=symbol))
            first += 400
    wanted = alone(platform, tmp_path / "alone", files)
    edges = platform.rows("select instrument, day, covered from coverage order by 1, 2")
    folder = tmp_path / "many"
    folder.mkdir()
    mine = emptied(platform.database, folder)
    at_once([lambda path=path: take(mine, path) for path in files])
    assert mine.trades_hash() == wanted
    assert mine.rows("select instrument, day, covered from coverage order by 1, 2") == edges
    assert_whole(mine)


def test_the_edge_between_two_days_is_right_whoever_commits_last(platform: Platform, tmp_path: Path) -> None:
    for turn in range(3):
        folder = tmp_path / str(turn)
        folder.mkdir()
        mine = emptied(platform.database, folder)
        one = capture(folder, tape(DAYS[0], 50, first_id=100), "one.txt")
        two = capture(folder, tape(DAYS[1], 50, first_id=150), "two.txt")
        at_once([lambda mine=mine, path=path: take(mine, path) for path in (one, two)])
        assert held(mine, DAYS[0])[1][-1][1] == DAY_US
        assert held(mine, DAYS[1])[1][0][0] == 0


def test_writers_of_many_instruments_named_in_opposite_orders_do_not_lock_each_other_out(platform: Platform, tmp_path: Path) -> None:
    def mixed(name: str, symbols: Sequence[str]) -> Path:
        parts = [capture(tmp_path, tape(DAY, 50, first_id=1), f"{name}-{symbol}.part", symbol=symbol) for symbol in symbols]
        path = tmp_path / f"{name}.txt"
        path.write_text("".join(part.read_text() for part in parts))
        return path

    symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]
    files = [mixed("up", symbols), mixed("down", symbols[::-1]), mixed("some", symbols[1:3]), mixed("others", [symbols[3], symbols[0]])]
    at_once([lambda path=path: take(platform, path) for path in files * 2])
    assert platform.rows("select instrument, count(*) from raw_trades group by 1 order by 1") == [
        (f"binance:{s}", 50) for s in sorted(symbols)
    ]
    assert_whole(platform)


def test_a_day_of_several_files_loaded_by_eight_runs_at_once(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 900)
    with platform.database.connect(Role.WRITER, autocommit=True) as connection:
        for n in range(3):
            landing.accept(
                platform.home,
                connection,
                vision(tmp_path, trades[n * 250 : n * 250 + 400], DAY, "-" + "abc"[n]),
                "binance-vision-trades",
                None,
                None,
            )

    def run() -> list[DayLoaded]:
        return platform.load("trades", load_day, [DAY])

    at_once([run] * WRITERS)
    assert platform.rows("select count(*), min(event_time) from raw_trades")[0][0] == 900
    assert held(platform, DAY) == (900, [(0, DAY_US)], [], True)
    assert midnight(DAY) < trades[0].us
    assert_whole(platform)


def test_of_two_runs_that_found_the_same_file_waiting_the_second_finds_it_taken_in(platform: Platform, tmp_path: Path) -> None:
    path = tmp_path / "ETHUSDT-trades-2024-09-10.csv"
    path.write_text("".join(f"{n},100.00000000,0.01000000,1.00000000,{1725926400000 + n},True,True\n" for n in range(1, 501)))
    day = date(2024, 9, 10)
    with platform.database.connect(Role.WRITER, autocommit=True) as connection:
        landing.accept(platform.home, connection, path, "binance-vision-trades", None, None)
        found = [landing.files_of_days(platform.home, connection, "trades", [day])[day] for _ in range(2)]
    first, second = (load_day(platform.database, day, files, None, landing.raw_lines) for files in found)
    assert [file.rows_stored for file in first.files] == [500]
    assert second.files == ()
    assert platform.rows("select count(*) from raw_trades") == [(500,)]
