"""Bars of bulk history: made of staged rows they are those of the database to the digit, and what is staged is dropped in time."""

import json
import random
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from rrr_assets import simulator
from rrr_assets.calc.outcomes import DayRefreshed
from rrr_assets.contracts.bars import INTERVALS, Engine
from rrr_assets.ticks import landing
from rrr_assets.warehouse import bulk
from rrr_assets.warehouse.bulk import forget_staged
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.load import load_day
from rrr_assets.warehouse.refresh import refresh_bars
from rrr_assets.warehouse.staging import StagedFile
from rrr_assets.warehouse.undo import undo_batch
from rrr_assets_tests.loading import DAY, NAME, NEXT, Told, capture, ccapi, emptied, midnight, tape, vision
from rrr_assets_tests.platform import Platform
from rrr_assets_tests.warm import killed_at

ALL_DAY = {"start_us": 0, "step_us": 28_799_999}


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


# --- driving it --------------------------------------------------------------------------------------------------


def minutes(platform: Platform, engine: Engine = Engine.columnar, *, whole_days: bool = True, day: date = DAY) -> DayRefreshed:
    """Refresh the 1-minute bars of a day with the landing zone at hand."""
    [done] = refresh_bars(platform.database, "1m", [day], whole_days=whole_days, home=platform.home, engine=engine)
    return done


def bars(platform: Platform, day: date = DAY) -> list[str]:
    """The 1-minute bars of a day as the text of their rows, in every column but the moment they became known."""
    found = platform.rows(
        "select b.instrument, b.bar_start, (to_jsonb(b) - 'known_at')::text from bars_1m as b"
        " where b.bar_start >= %s and b.bar_start < %s::date + 1 order by 1, 2",
        day,
        day,
    )
    return [row for _, _, row in found]


def hashes(platform: Platform) -> list[tuple]:
    """Of each table of bars its number of rows and their hash, but for the moment they became known."""
    statement = "select count(*), md5(string_agg((to_jsonb(b) - 'known_at')::text, '|' order by instrument, bar_start)) from {} as b"
    return [platform.rows(statement.format(f"bars_{interval}"))[0] for interval in INTERVALS]


def anew(platform: Platform, engine: Engine, days: Sequence[date] = (DAY,)) -> tuple[list[tuple], int]:
    """All bars of some days made from nothing: their hashes, and how many instruments' days were made of staged rows."""
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("truncate bars_1m, bars_5m, bars_1h, bars_1d, invalidations_applied")
    columnar = 0
    for interval in INTERVALS:
        done = list(refresh_bars(platform.database, interval, days, whole_days=True, home=platform.home, engine=engine))
        assert len(done) == len(days)
        columnar += sum(each.windows_columnar for each in done)
    return hashes(platform), columnar


def assert_equal(platform: Platform, columnar: int, days: Sequence[date] = (DAY,)) -> None:
    """Both engines make the same of what is stored; so many instruments' days go the columnar way."""
    found, made = anew(platform, Engine.columnar, days)
    assert made == columnar
    assert (found, 0) == anew(platform, Engine.sql, days)
    assert found[0][0] > 0


def staged(platform: Platform) -> list[Path]:
    return sorted((platform.home.landing / "files").glob("*/staged"))


def forget(platform: Platform, days: Sequence[date] | None = None) -> int:
    """Drop what is not needed; how many files have staged rows left."""
    forget_staged(platform.database, platform.home, days)
    assert not list((platform.home.landing / "files").glob("*/dropped-*"))
    return len(staged(platform))


@dataclass(frozen=True, slots=True)
class Futures:
    """A trade of futures as a capture tells it, with the venue's remark on it."""

    symbol: str
    told: Told
    kind: str = "MARKET"


def futures(folder: Path, trades: Iterable[Futures], name: str = "futures.txt") -> Path:
    """A capture of several instruments."""
    path = folder / name
    with path.open("w") as out:
        for trade in trades:
            t = trade.told
            data = {"e": "trade", "s": trade.symbol, "t": t.id, "p": t.price, "q": t.size, "T": t.us // 1000, "m": t.buyer_made}
            received = t.us + 20_000
            message = {"stream": f"{trade.symbol.lower()}@trade", "data": {**data, "X": trade.kind}}
            out.write(f"{received // 1_000_000}.{received % 1_000_000:06} {json.dumps(message)}\n")
    return path


def ask_again(platform: Platform) -> dict[date, list[StagedFile]]:
    """Have all files read again."""
    with platform.database.connect(Role.WRITER, autocommit=True) as connection:
        connection.execute("update landing_days set is_pending = true")
        return landing.files_of_days(platform.home, connection, "trades", [DAY, NEXT])


def several(seed: int = 1) -> list[Futures]:
    """Trades of three instruments, mixed up: some share a millisecond, some do not count, and of one instrument none does."""
    rng = random.Random(seed)
    kinds = ["MARKET"] * 6 + ["INSURANCE_FUND", "ADL"]
    trades = []
    for symbol in ("AAAUSDT", "BBBUSDT", "CCCUSDT"):
        for each in tape(DAY, 500, 100, start_us=0, step_us=150_000_000):
            at = each.us - each.us % 3_600_000_000 if rng.random() < 0.1 else each.us
            price, size = f"{rng.randrange(1, 10**9)}.{rng.randrange(1, 10**8):08}", f"0.{rng.randrange(1, 10**8):08}"
            told = Told(each.id, at, price, size, rng.random() < 0.5)
            trades.append(Futures(symbol, told, "ADL" if symbol == "CCCUSDT" else rng.choice(kinds)))
    return sorted(trades, key=lambda trade: (trade.told.us, rng.random()))


# --- the same bars -----------------------------------------------------------------------------------------------


def test_a_day_of_one_instrument(platform: Platform, tmp_path: Path) -> None:
    platform.take_in(vision(tmp_path, tape(DAY, 3000, **ALL_DAY), DAY), "binance-vision-trades")
    assert_equal(platform, 1)


def test_several_instruments_in_one_file_and_what_does_not_count(platform: Platform, tmp_path: Path) -> None:
    platform.take_in(futures(tmp_path, several()), "binance-ws")
    assert platform.rows("select count(distinct instrument), count(*) from raw_trades where conditions is not null")[0] > (2, 600)
    assert_equal(platform, 3)
    assert platform.rows("select count(*) from bars_1m where instrument = 'binance-usdm:CCCUSDT'") == [(0,)]


def test_bars_of_what_no_longer_counts_are_removed(platform: Platform, tmp_path: Path) -> None:
    platform.take_in(futures(tmp_path, several()), "binance-ws")
    minutes(platform)
    right = bars(platform)
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute(
            "insert into bars_1m select (jsonb_populate_record(b, jsonb_build_object('instrument', 'binance-usdm:CCCUSDT'))).*"
            " from bars_1m as b where b.instrument = 'binance-usdm:AAAUSDT'"
        )
        connection.execute("update bars_1m set vwap = vwap + 1, is_complete = not is_complete where instrument = 'binance-usdm:BBBUSDT'")
    done = minutes(platform)
    assert (bars(platform), done.windows_columnar) == (right, 3)
    assert done.changed > 300


@pytest.mark.parametrize("most", [1, 499, 500, 1100])
def test_memory_is_bounded_and_files_of_many_instruments_are_read_in_parts(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    platform.take_in(futures(tmp_path, several()), "binance-ws")
    monkeypatch.setattr(bulk, "MOST_ROWS", most)
    read: list[int] = []
    whole = bulk._trades

    def counted(*values: object) -> object:
        trades = whole(*values)  # type: ignore[arg-type]  # handed on
        read.append(len(trades))
        return trades

    monkeypatch.setattr(bulk, "_trades", counted)
    minutes(platform)
    assert read == {1: [], 499: [], 500: [500, 500, 500], 1100: [1000, 500]}[most]
    assert_equal(platform, 3 if most >= 500 else 0)


def test_without_ids_and_of_equal_times(platform: Platform, tmp_path: Path) -> None:
    base = midnight(DAY)
    rng = random.Random(4)
    times = sorted(base + rng.choice([0, 59_999_999, 60_000_000, *(n * 7_000_000 for n in range(2000))]) for _ in range(3000))
    trades = [
        Told(n, at, f"{rng.randrange(1, 999)}.{rng.randrange(10**9):012}", f"0.{rng.randrange(1, 10**9):018}") for n, at in enumerate(times)
    ]
    platform.take_in(ccapi(tmp_path, trades, f"gemini__ETHUSD__{DAY:%Y%m%d}.csv"), "ccapi", "gemini:ETHUSD")
    assert platform.rows("select distinct space from raw_trades") == [("ordinal",)]
    assert_equal(platform, 1)


def test_in_any_order(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 3000, **ALL_DAY)
    random.Random(2).shuffle(trades)
    platform.take_in(vision(tmp_path, trades, DAY), "binance-vision-trades")
    assert_equal(platform, 1)


def test_completeness_is_that_of_the_tape(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 3000, **ALL_DAY)
    platform.take_in(vision(tmp_path, trades[:1000] + trades[1003:2000] + trades[2500:], DAY), "binance-vision-trades")
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        since = datetime(DAY.year, DAY.month, DAY.day, 16, tzinfo=UTC)
        connection.execute("update coverage set accepted = tstzmultirange(tstzrange(%s, %s))", (since, since + timedelta(hours=4)))
    assert_equal(platform, 1)
    assert platform.rows("select count(distinct is_complete) from bars_1m") == [(2,)]


def test_lines_that_were_refused_do_not_matter(platform: Platform, tmp_path: Path) -> None:
    trades: list[Told | str] = [*tape(DAY, 3000, **ALL_DAY)]
    trades[100:100] = ["garbage", "9,nan,1,1,1,True,True"]
    platform.take_in(vision(tmp_path, trades, DAY), "binance-vision-trades")
    assert platform.rows("select sum(quarantined) from ingest_batches") == [(2,)]
    assert_equal(platform, 1)


@pytest.mark.parametrize("seed", range(3))
def test_simulated_days_of_every_form_and_defect(platform: Platform, tmp_path: Path, seed: int) -> None:
    names = ["binance:BTCUSDT", "binance:DOGEUSDT", "binance-usdm:BTCUSDT", "gemini:ETHUSD"][: 2 + seed]
    days = [DAY, NEXT]
    for file in simulator.simulate(tmp_path / "files", days, names, 8000, seed, defects=sorted({*simulator.KINDS} - {"renamed"})).files:
        platform.take_in(tmp_path / "files" / file.path, file.format, file.instrument if file.format == "ccapi" else None)
    found, made = anew(platform, Engine.columnar, days)
    assert (found, 0) == anew(platform, Engine.sql, days)
    assert made > 0


def test_many_days_of_one_file(platform: Platform, tmp_path: Path) -> None:
    """A capture over midnight: one batch a day."""
    start_us = 86_400_000_000 - 1_000_000_000
    platform.take_in(capture(tmp_path, tape(DAY, 2000, start_us=start_us, step_us=1_000_000)), "binance-ws")
    assert_equal(platform, 2, [DAY, NEXT])


def test_what_the_log_says_of_a_fresh_day_is_the_whole_day(platform: Platform, tmp_path: Path) -> None:
    path = vision(tmp_path, tape(DAY, 3000, **ALL_DAY), DAY)
    platform.take_in(path, "binance-vision-trades")
    done = minutes(platform, whole_days=False)
    assert (done.windows, done.windows_columnar, done.changed) == (1, 1, done.bars)
    found = bars(platform)
    assert minutes(platform, whole_days=False).windows == 0
    assert minutes(platform, Engine.sql).changed == 0
    assert bars(platform) == found


def test_automatically_where_it_pays(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    platform.take_in(vision(tmp_path, tape(DAY, 3000, **ALL_DAY), DAY), "binance-vision-trades")
    assert anew(platform, Engine.auto)[1] == 0
    monkeypatch.setattr(bulk, "LEAST_ROWS", 3000)
    assert anew(platform, Engine.auto)[1] == 1
    assert anew(platform, Engine.sql)[1] == 0


# --- where staged rows are not what is stored ----------------------------------------------------------------------


def over_scale(platform: Platform, folder: Path) -> None:
    platform.take_in(vision(folder, tape(NEXT, 1), NEXT), "binance-vision-trades")
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("update instruments set price_scale = 1")
    trades = [Told(each.id, each.us, "5.25" if each.id == 1700 else "5.5") for each in tape(DAY, 3000, **ALL_DAY)]
    platform.take_in(vision(folder, trades, DAY), "binance-vision-trades")


def told_twice(platform: Platform, folder: Path) -> None:
    trades = tape(DAY, 3000, **ALL_DAY)
    platform.take_in(vision(folder, [*trades[:700], *trades[650:]], DAY), "binance-vision-trades")


def told_with_another_price(platform: Platform, folder: Path) -> None:
    trades = tape(DAY, 3000, **ALL_DAY)
    platform.take_in(vision(folder, [*trades, Told(1700, trades[700].us, "1")], DAY), "binance-vision-trades")


def told_more_finely(platform: Platform, folder: Path) -> None:
    trades = tape(DAY, 3000, **ALL_DAY)
    platform.take_in(capture(folder, trades), "binance-ws")
    platform.take_in(vision(folder, trades, DAY), "binance-vision-trades")


def late(platform: Platform, folder: Path) -> None:
    trades = tape(DAY, 3000, **ALL_DAY)
    platform.take_in(vision(folder, [*trades[:700], *trades[701:]], DAY), "binance-vision-trades")
    minutes(platform)
    platform.take_in(vision(folder, [trades[700]], DAY, "-late"), "binance-vision-trades")


def one_taken_back_and_another_brought(platform: Platform, folder: Path) -> None:
    """As many rows of the day as if nothing had been."""
    trades = tape(DAY, 3000, **ALL_DAY)
    late(platform, folder)
    undo_batch(platform.database, platform.rows("select max(batch_id) from ingest_batches")[0][0], "the wrong trade")
    platform.take_in(vision(folder, [Told(trades[700].id, trades[700].us, "7")], DAY, "-right"), "binance-vision-trades")


def taken_back_and_read_again(platform: Platform, folder: Path) -> None:
    path = vision(folder, tape(DAY, 3000, **ALL_DAY), DAY)
    platform.take_in(path, "binance-vision-trades")
    undo_batch(platform.database, platform.rows("select max(batch_id) from ingest_batches")[0][0], "too early")
    platform.take_in(path, "binance-vision-trades")


def read_twice(platform: Platform, folder: Path) -> None:
    path = vision(folder, tape(DAY, 3000, **ALL_DAY), DAY)
    for _ in range(2):
        platform.take_in(path, "binance-vision-trades")


def asked_for_again(platform: Platform, folder: Path) -> None:
    platform.take_in(vision(folder, tape(DAY, 3000, **ALL_DAY), DAY), "binance-vision-trades")
    ask_again(platform)


def edited_by_hand(platform: Platform, folder: Path) -> None:
    platform.take_in(vision(folder, tape(DAY, 3000, **ALL_DAY), DAY), "binance-vision-trades")
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("delete from raw_trades where sequence = 1700")
        connection.execute(
            "insert into invalidation_log (relation, instrument, day, from_time, to_time, reason, logged_at) "
            "select 'raw_trades', %s, %s, %s, %s::date + 1, 'undo', now()",
            (NAME, DAY, DAY, DAY),
        )


def dropped(platform: Platform, folder: Path) -> None:
    platform.take_in(vision(folder, tape(DAY, 3000, **ALL_DAY), DAY), "binance-vision-trades")
    shutil.rmtree(staged(platform)[0])


def half_dropped(platform: Platform, folder: Path) -> None:
    platform.take_in(vision(folder, tape(DAY, 3000, **ALL_DAY), DAY), "binance-vision-trades")
    (staged(platform)[0] / f"{DAY}.rows.arrow").unlink()


def of_another_home(platform: Platform, folder: Path) -> None:
    platform.take_in(vision(folder, tape(DAY, 3000, **ALL_DAY), DAY), "binance-vision-trades")
    platform.home.landing.rename(platform.home.root / "elsewhere")
    platform.home.prepare()


def damaged(platform: Platform, folder: Path) -> None:
    platform.take_in(vision(folder, tape(DAY, 3000, **ALL_DAY), DAY), "binance-vision-trades")
    path = staged(platform)[0] / f"{DAY}.rows.arrow"
    path.write_bytes(path.read_bytes()[:-100])


def staged_with_other_rows(platform: Platform, folder: Path) -> None:
    platform.take_in(vision(folder, tape(DAY, 3000, **ALL_DAY), DAY), "binance-vision-trades")
    [mine] = staged(platform)
    with platform.database.connect(Role.WRITER, autocommit=True) as connection:
        other = vision(folder, tape(DAY, 3000, 1001, **ALL_DAY), DAY, "-other")
        landing.accept(platform.home, connection, other, "binance-vision-trades", None, None)
    [theirs] = {*staged(platform)} - {mine}
    (theirs / f"{DAY}.rows.arrow").replace(mine / f"{DAY}.rows.arrow")


SITUATIONS: tuple[Callable[[Platform, Path], None], ...] = (
    over_scale, told_twice, told_with_another_price, told_more_finely, late, one_taken_back_and_another_brought, taken_back_and_read_again,
    read_twice, asked_for_again, edited_by_hand, dropped, half_dropped, of_another_home, damaged, staged_with_other_rows,
)  # fmt: skip


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.__name__)
def test_the_database_makes_them_where_staged_rows_are_not_what_is_stored(
    platform: Platform, tmp_path: Path, situation: Callable[[Platform, Path], None]
) -> None:
    situation(platform, tmp_path)
    assert_equal(platform, 0)


def test_a_sum_beyond_the_columnar_engine(platform: Platform, tmp_path: Path) -> None:
    """Bars that no Arrow decimal holds."""
    trades = [Told(1000 + n, midnight(DAY) + n, "9" * 26, "9" * 20) for n in range(2)]
    platform.take_in(vision(tmp_path, trades, DAY), "binance-vision-trades")
    assert_equal(platform, 0)
    assert platform.rows("select quote_volume from bars_1m") == [(2 * (10**26 - 1) * (10**20 - 1),)]


def test_a_late_trade_goes_through_its_window(platform: Platform, tmp_path: Path) -> None:
    late(platform, tmp_path)
    done = minutes(platform, whole_days=False)
    assert (done.windows, done.windows_columnar) == (1, 0)
    assert 0 < done.changed < 5
    found = bars(platform)
    assert minutes(platform, Engine.sql).changed == 0
    assert bars(platform) == found
    whole = tape(DAY, 3000, **ALL_DAY)
    assert platform.rows("select sum(trade_count)::int, bool_and(is_complete) from bars_1m") == [(len(whole), True)]


def test_only_the_instrument_that_changed_goes_through_the_database(platform: Platform, tmp_path: Path) -> None:
    trades = several()
    held_back = next(trade for trade in trades[500:] if trade.symbol == "BBBUSDT")
    platform.take_in(futures(tmp_path, [trade for trade in trades if trade is not held_back]), "binance-ws")
    platform.take_in(futures(tmp_path, [held_back], "late.txt"), "binance-ws")
    assert_equal(platform, 2)


def test_bars_from_aggregated_trades_do_not_look_at_staged_trades(platform: Platform, tmp_path: Path) -> None:
    platform.take_in(vision(tmp_path, tape(DAY, 3000, **ALL_DAY), DAY), "binance-vision-trades")
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("update instruments set bars_stream = 'agg_trades'")
    done = minutes(platform)
    assert (done.bars, done.windows_columnar) == (0, 0)


# --- several at once, and killed ---------------------------------------------------------------------------------


def test_refreshed_by_several_while_late_trades_come_and_staged_rows_go(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 6000, start_us=0, step_us=86_400_000_000 // 6000)
    pieces = [trades[n : n + 40] for n in range(500, 5500, 500)]
    held_back = {each.id for piece in pieces for each in piece}
    platform.take_in(vision(tmp_path, [each for each in trades if each.id not in held_back], DAY), "binance-vision-trades")

    def refresh(seed: int) -> int:
        rng = random.Random(seed)
        return sum(minutes(platform, rng.choice([*Engine]), whole_days=rng.random() < 0.7).windows_columnar for _ in range(12))

    def bring() -> int:
        for number, piece in enumerate(pieces):
            platform.take_in(vision(tmp_path, piece, DAY, f"-piece-{number}"), "binance-vision-trades")
        return 0

    def drop() -> int:
        return sum(forget(platform, None if number % 2 else [DAY]) for number in range(12))

    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(refresh, 1), pool.submit(refresh, 2), pool.submit(bring), pool.submit(drop)]
        for task in tasks:
            task.result(timeout=120)
    minutes(platform, whole_days=False)
    found = bars(platform)
    assert minutes(platform, Engine.sql).changed == 0
    assert bars(platform) == found
    assert platform.rows("select sum(trade_count)::int, bool_and(is_complete) from bars_1m") == [(len(trades), True)]
    assert forget(platform) == 0


def test_two_at_once_make_them_once(platform: Platform, tmp_path: Path) -> None:
    platform.take_in(futures(tmp_path, several()), "binance-ws")
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: minutes(platform), range(2)))
    assert [each.windows_columnar for each in done] == [3, 3]
    assert sorted(each.changed for each in done) == [0, done[0].bars]
    assert_equal(platform, 3)


@pytest.mark.crash
@pytest.mark.parametrize("place", ["bars.computed", "bars.before_commit", "bars.after_commit"])
def test_killed_and_started_again(platform: Platform, tmp_path: Path, place: str) -> None:
    platform.take_in(futures(tmp_path, several()), "binance-ws")
    script = f"""
from datetime import date
from pathlib import Path
from rrr_assets.contracts.bars import Engine
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.refresh import refresh_bars
database, home = Database.current({platform.database.name!r}), Home(Path({str(platform.home.root)!r}))
print(list(refresh_bars(database, "1m", [date({DAY:%Y, %-m, %-d})], whole_days=True, home=home, engine=Engine.columnar)))
"""
    killed_at(place, script)
    is_made = place == "bars.after_commit"
    assert (len(bars(platform)) > 0) == is_made
    # What was not made waits, and keeps what it is made of.
    assert forget(platform) == (0 if is_made else 1)
    done = minutes(platform)
    assert (done.windows_columnar, done.changed > 0) == ((0, False) if is_made else (3, True))
    assert (hashes(platform)[0], 0) == (anew(platform, Engine.sql)[0][0], 0)


# --- what is staged is dropped -----------------------------------------------------------------------------------


def test_staged_rows_are_kept_until_their_bars_are_made(platform: Platform, tmp_path: Path) -> None:
    start_us = 86_400_000_000 - 1_000_000_000
    trades = tape(DAY, 2000, start_us=start_us, step_us=1_000_000)
    path = capture(tmp_path, trades)
    with platform.database.connect(Role.WRITER, autocommit=True) as connection:
        landing.accept(platform.home, connection, path, "binance-ws", None, None)
    assert forget(platform) == 1
    platform.load("trades", load_day, [DAY])
    minutes(platform)
    # The other day is not taken in yet.
    assert (forget(platform, [DAY]), forget(platform)) == (1, 1)
    platform.load("trades", load_day, [NEXT])
    assert (forget(platform, [NEXT]), forget(platform)) == (1, 1)
    # Its load proved the edge at midnight, which the bars of the first day do not show yet.
    minutes(platform, day=NEXT)
    assert forget(platform) == 1
    done = minutes(platform, whole_days=False)
    assert (done.windows, done.windows_columnar, done.changed) == (1, 0, 1)
    assert forget(platform, [date(2001, 1, 1)]) == 1
    assert forget(platform, [DAY]) == 0


def test_staged_rows_are_kept_for_a_day_at_most(platform: Platform, tmp_path: Path) -> None:
    platform.take_in(vision(tmp_path, tape(DAY, 3000, **ALL_DAY), DAY), "binance-vision-trades")
    assert forget(platform) == 1
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("update invalidation_days set last_logged_at = now() - interval '23 hours 59 minutes'")
    assert forget(platform) == 1
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("update invalidation_days set last_logged_at = now() - interval '24 hours'")
    assert forget(platform) == 0
    assert_equal(platform, 0)


def test_what_gives_no_bars_is_dropped_at_once(platform: Platform, tmp_path: Path) -> None:
    path = vision(tmp_path, tape(DAY, 3000, **ALL_DAY), DAY)
    platform.take_in(path, "binance-vision-trades")
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("update instruments set bars_stream = 'agg_trades'")
    assert forget(platform, [DAY]) == 0
    # Venue bars, and what was known already.
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("update instruments set bars_stream = 'trades'")
    minutes(platform)
    platform.take_in(path, "binance-vision-trades")
    [candles] = [
        file for file in simulator.simulate(tmp_path / "files", [DAY], [NAME], 500, 1).files if file.path.name.endswith(f"-1m-{DAY}.zip")
    ]
    platform.take_in(tmp_path / "files" / candles.path, candles.format)
    assert len(staged(platform)) == 2
    assert forget(platform, [DAY]) == 0


def test_a_file_that_is_asked_for_again_is_staged_again(platform: Platform, tmp_path: Path) -> None:
    platform.take_in(vision(tmp_path, tape(DAY, 3000, **ALL_DAY), DAY), "binance-vision-trades")
    minutes(platform)
    with platform.database.connect(Role.WRITER) as asking:
        asking.execute("update landing_days set is_pending = true")
        with ThreadPoolExecutor(1) as pool:
            forgetting = pool.submit(forget, platform)
            # It waits for whoever asks, and then lets it be.
            time.sleep(0.5)
            assert not forgetting.done()
            asking.commit()
            assert forgetting.result(timeout=30) == 1
    platform.load("trades", load_day, [DAY])
    assert forget(platform) == 0
    waiting = ask_again(platform)
    assert forget(platform) == 1
    assert sum(len(batch) for file in waiting[DAY] for batch in file.rows(DAY)) == 3000
