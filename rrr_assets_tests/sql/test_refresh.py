"""Bars are kept in step with the trades: exactly what changed is changed, whoever else is at work and whatever dies on the way."""

import json
import random
import threading
import time
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest

from rrr_assets.calc.order import EPOCH, Bar, Trade, bar_start, bars_from_trades
from rrr_assets.calc.outcomes import RawTradesGone
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.information_bars import FOLLOWED
from rrr_assets.warehouse.compare import compare_days
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.migrate import Engine
from rrr_assets.warehouse.refresh import days_behind, refresh_bars
from rrr_assets_tests.platform import Platform, made_database
from rrr_assets_tests.warm import killed_at

DAY = date(2024, 3, 5)
ONE_DAY = timedelta(days=1)
INSTRUMENT = "binance:BTCUSDT"
DAY_MS = 86_400_000
Key = tuple[str, str, datetime]


class Print(NamedTuple):
    """A trade of the tape: milliseconds of the day, price in cents, size in lots of 0.00001."""

    trade_id: int
    at_ms: int
    cents: int
    lots: int
    is_buyer_maker: bool


@pytest.fixture(scope="module")
def roomy(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """One platform for tests that keep to instruments of their own."""
    landing_home = Home(tmp_path_factory.mktemp("landing-home"))
    landing_home.prepare()
    return Platform(database, landing_home)


@pytest.fixture
def platform(engine: Engine, tmp_path: Path) -> Iterator[Platform]:
    """A platform of the test's own."""
    landing_home = Home(tmp_path / "landing-home")
    landing_home.root.mkdir()
    landing_home.prepare()
    with made_database(f"test_refresh_{uuid.uuid4().hex[:12]}", engine) as made:
        yield Platform(made, landing_home)


@pytest.fixture
def symbol(request: pytest.FixtureRequest) -> str:
    """A symbol of the test's own."""
    return "".join(character for character in request.node.name.upper() if character.isalnum())[-30:] + "USDT"


def tape(number: int, seed: int, first_id: int = 1000) -> list[Print]:
    """A day of trades in order; some share a millisecond, some an edge of bars, and there are hours without any."""
    rng = random.Random(seed)
    edges = [0, 59_999, 60_000, 3_600_000, 3_599_999, DAY_MS - 1]
    dense = (36_000_000 + rng.randrange(900_000) for _ in range(number // 3))
    pool = [*edges, *(rng.randrange(DAY_MS) for _ in range(number // 2)), *dense]
    times = sorted(rng.choice(pool) for _ in range(number))
    return [Print(first_id + n, at, rng.randrange(1, 10**7), rng.randrange(1, 10**7), rng.random() < 0.5) for n, at in enumerate(times)]


def vision(folder: Path, symbol: str, prints: Sequence[Print], suffix: str = "", day: date = DAY) -> Path:
    """A file of the venue's archive, which claims to hold the whole day."""
    name = f"{symbol}-trades-{day}{suffix}"
    start = (datetime(day.year, day.month, day.day, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)
    lines = [
        f"{p.trade_id},{Decimal(p.cents) / 100},{Decimal(p.lots).scaleb(-5):f},0.1,{start + p.at_ms},{p.is_buyer_maker},True\n"
        for p in prints
    ]
    path = folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{symbol}-trades-{day}.csv", "".join(lines))
    return path


def rest(folder: Path, symbol: str, prints: Sequence[Print], day: date) -> Path:
    """A page of the venue's answers, which claims no more than its ids show."""
    start = (datetime(day.year, day.month, day.day, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)
    rows = [
        {"id": p.trade_id, "price": str(Decimal(p.cents) / 100), "qty": f"{Decimal(p.lots).scaleb(-5):f}", "quoteQty": "0.1",
         "time": start + p.at_ms, "isBuyerMaker": p.is_buyer_maker, "isBestMatch": True}
        for p in prints
    ]  # fmt: skip
    path = folder / f"{symbol}-{prints[0].trade_id}-{day}.json"
    path.write_text(json.dumps(rows), "ascii")
    return path


def take_in(platform: Platform, paths: Path | Sequence[Path]) -> None:
    for done in platform.take_in(paths, "binance-vision-trades"):
        assert [file.refused for file in done.files] == [None] * len(done.files)


def standing(platform: Platform, symbol: str, *, stamped: bool = True) -> dict[Key, str]:
    """Every bar of an instrument as the bytes of its row, with or without the moment it became known."""
    found: dict[Key, str] = {}
    for interval in INTERVALS:
        rows = platform.rows(
            f"select bar_start, (to_jsonb(b) - %s)::text from bars_{interval} as b where instrument = %s",  # noqa: S608  # names of ours
            "" if stamped else "known_at",
            f"binance:{symbol}",
        )
        found |= {(interval, symbol, start): row for start, row in rows}
    return found


def changed(before: dict[Key, str], after: dict[Key, str]) -> set[Key]:
    return {key for key in before | after if before.get(key) != after.get(key)}


def at(print_: Print, day: date = DAY) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(milliseconds=print_.at_ms)


def bars_of(symbol: str, moments: Sequence[datetime]) -> set[Key]:
    return {(interval, symbol, bar_start(moment, length)) for interval, length in INTERVALS.items() for moment in moments}


def stored_trades(platform: Platform, symbol: str) -> list[Trade]:
    of_instrument = "select event_time, sequence, price, size, side from raw_trades where instrument = %s"
    return [Trade(*row) for row in platform.rows(of_instrument, f"binance:{symbol}")]


def assert_exact(platform: Platform, symbol: str) -> None:
    """The bars are those of the trades, and completeness that of coverage; a recomputation has nothing to add."""
    trades = stored_trades(platform, symbol)
    for interval, length in INTERVALS.items():
        columns = [field.name for field in fields(Bar)]
        in_order = f"select {', '.join(columns)} from bars_{interval} where instrument = %s order by bar_start"  # noqa: S608  # names of ours
        assert [Bar(*row) for row in platform.rows(in_order, f"binance:{symbol}")] == bars_from_trades(trades, length)
        wrong = f"""
            select count(*) from bars_{interval} as b
            left join coverage as c on c.instrument = b.instrument and c.stream = 'trades' and c.day = b.bar_start::date
            where b.instrument = %s and b.is_complete is distinct from (c.covered + c.accepted @> tstzrange(b.bar_start, b.bar_start + %s))
        """  # noqa: S608  # names of ours
        assert platform.rows(wrong, f"binance:{symbol}", length) == [(0,)]
    before = standing(platform, symbol)
    platform.refresh(whole_days=True)
    assert standing(platform, symbol) == before


def waiting(platform: Platform) -> dict[date, int]:
    """Days on which bars of the four intervals or verdicts are behind; bars by what was traded have tests of their own."""
    with patch.dict(FOLLOWED, clear=True):
        return days_behind(platform.database, 1000, timedelta(0))


@pytest.mark.parametrize("seed", range(4))
def test_a_late_trade_changes_the_bars_it_touches_and_no_other(roomy: Platform, tmp_path: Path, symbol: str, seed: int) -> None:
    prints = tape(400, seed)
    rng = random.Random(seed)
    late = sorted(rng.sample(range(1, len(prints) - 1), 3))
    take_in(roomy, vision(tmp_path, symbol, [p for n, p in enumerate(prints) if n not in late]))
    roomy.refresh()
    before = standing(roomy, symbol)
    take_in(roomy, vision(tmp_path, symbol, [prints[n] for n in late], "-late"))
    roomy.refresh()
    after = standing(roomy, symbol)
    # The trade's own bars, and those of which nobody could say before whether it was theirs: between its neighbours.
    touched: set[Key] = set()
    for n in late:
        first, last = (next(prints[m] for m in way if m not in late) for way in (range(n, -1, -1), range(n, len(prints))))
        minutes = (bar_start(at(last), INTERVALS["1m"]) - bar_start(at(first), INTERVALS["1m"])) // timedelta(minutes=1)
        between = bars_of(symbol, [at(first) + timedelta(minutes=m) for m in range(minutes + 1)] + [at(last)])
        touched |= between & (before.keys() | after.keys())
    assert changed(before, after) == touched
    assert all(json.loads(row)["is_complete"] for row in after.values())
    assert_exact(roomy, symbol)


def test_what_did_not_change_is_not_written(roomy: Platform, tmp_path: Path, symbol: str) -> None:
    take_in(roomy, vision(tmp_path, symbol, tape(300, 1)))
    roomy.refresh()
    before = standing(roomy, symbol)
    entries = roomy.rows("select count(*) from invalidation_log")
    for whole_days in (False, True):
        for interval in INTERVALS:
            [done] = refresh_bars(roomy.database, interval, [DAY], whole_days=whole_days)
            assert (done.changed, done.windows > 0) == (0, whole_days)
    assert standing(roomy, symbol) == before
    # Taken in again, every trade is known already.
    take_in(roomy, vision(tmp_path, symbol, tape(300, 1), "-again"))
    roomy.refresh()
    assert standing(roomy, symbol) == before
    assert roomy.rows("select count(*) from invalidation_log") == entries
    assert DAY not in waiting(roomy)


@pytest.mark.parametrize("seed", range(2))
def test_windows_and_whole_days_make_the_same_bars(roomy: Platform, tmp_path: Path, symbol: str, seed: int) -> None:
    prints = tape(600, seed)
    rng = random.Random(seed)
    parts: list[list[Print]] = [[] for _ in range(6)]
    for start in range(0, len(prints), 20):
        rng.choice(parts).extend(prints[start : start + 20])
    piecewise, at_once = f"A{symbol}", f"B{symbol}"
    for n, part in enumerate(parts):
        take_in(roomy, vision(tmp_path, piecewise, part, f"-{n}"))
        roomy.refresh()
    take_in(roomy, vision(tmp_path, at_once, prints))
    roomy.refresh(whole_days=True)
    by_start = [
        {(key[0], key[2]): json.loads(row) | {"instrument": ""} for key, row in standing(roomy, name, stamped=False).items()}
        for name in (piecewise, at_once)
    ]
    assert by_start[0] == by_start[1]
    assert_exact(roomy, piecewise)


def test_bars_vanish_with_their_trades(roomy: Platform, tmp_path: Path, symbol: str) -> None:
    prints = tape(200, 3)
    take_in(roomy, vision(tmp_path, symbol, prints))
    roomy.refresh()
    before = standing(roomy, symbol)
    hour = datetime(2024, 3, 5, 10, tzinfo=UTC)
    gone = [p for p in prints if hour <= at(p) < hour + timedelta(hours=1)]
    assert gone
    with roomy.database.connect(Role.OWNER) as connection:
        window = (f"binance:{symbol}", hour, hour + timedelta(hours=1))
        connection.execute("delete from raw_trades where instrument = %s and event_time >= %s and event_time < %s", window)
        connection.execute(
            "insert into invalidation_log (relation, instrument, day, from_time, to_time, reason, logged_at) "
            "values ('raw_trades', %s, '2024-03-05', %s, %s, 'undo', now())",
            window,
        )
    roomy.refresh()
    after = standing(roomy, symbol)
    assert before.keys() - after.keys() == {key for key in bars_of(symbol, [at(p) for p in gone]) if key[0] != "1d"}
    assert {key for key in changed(before, after) if key in after} == bars_of(symbol, [hour]) - (before.keys() - after.keys())
    assert_exact(roomy, symbol)


def test_a_wrong_vwap_is_mended_by_a_whole_day(roomy: Platform, tmp_path: Path, symbol: str) -> None:
    take_in(roomy, vision(tmp_path, symbol, tape(50, 4)))
    roomy.refresh()
    before = standing(roomy, symbol, stamped=False)
    for interval in INTERVALS:
        with roomy.database.connect(Role.OWNER) as connection:
            connection.execute(f"update bars_{interval} set vwap = vwap + 1")  # noqa: S608  # names of ours
    roomy.refresh(whole_days=True)
    assert standing(roomy, symbol, stamped=False) == before


def test_the_next_day_proves_the_last_minute(roomy: Platform, tmp_path: Path, symbol: str) -> None:
    tonight = [Print(n, DAY_MS - 400_000 + n * 4_000, 100 + n, 5, False) for n in range(1, 100)]
    tomorrow = [Print(n, (n - 100) * 1_000, 100, 5, True) for n in range(100, 200)]

    def bring(prints: Sequence[Print], day: date) -> None:
        roomy.take_in(rest(tmp_path, symbol, prints, day), "binance-rest", f"binance:{symbol}")
        roomy.refresh()

    def complete(stamped: dict[Key, str]) -> set[Key]:
        return {key for key, row in stamped.items() if json.loads(row)["is_complete"]}

    bring(tonight, DAY)
    before = standing(roomy, symbol)
    last = datetime(2024, 3, 5, 23, 59, tzinfo=UTC)
    assert ("1m", symbol, last - timedelta(minutes=1)) in complete(before)
    assert ("1m", symbol, last) not in complete(before)
    bring(tomorrow, DAY + ONE_DAY)
    after = standing(roomy, symbol)
    midnight = last + timedelta(minutes=1)
    proven = {("1m", symbol, last), ("5m", symbol, last - timedelta(minutes=4))}
    assert {key for key in changed(before, after) if key[2] < midnight} == proven
    assert complete(after) - complete(before) == {*proven, ("1m", symbol, midnight)}
    # Had a trade been between them, the ids would not meet.
    other = f"X{symbol}"
    roomy.take_in(rest(tmp_path, other, tonight, DAY), "binance-rest", f"binance:{other}")
    roomy.take_in(rest(tmp_path, other, tomorrow[1:], DAY + ONE_DAY), "binance-rest", f"binance:{other}")
    roomy.refresh()
    assert ("1m", other, last) not in complete(standing(roomy, other))
    roomy.take_in(rest(tmp_path, other, tomorrow[:1], DAY + ONE_DAY), "binance-rest", f"binance:{other}")
    roomy.refresh()
    assert {(key[0], key[2]) for key in complete(standing(roomy, other))} == {(key[0], key[2]) for key in complete(after)}


def test_a_longer_bar_waits_for_the_shorter_ones(roomy: Platform, tmp_path: Path, symbol: str) -> None:
    prints = tape(300, 5)
    held_back = prints[140:160]
    take_in(roomy, vision(tmp_path, symbol, [p for p in prints if p not in held_back]))
    roomy.refresh()
    before = standing(roomy, symbol)
    take_in(roomy, vision(tmp_path, symbol, held_back, "-late"))
    # The tape is whole, the minutes are not: nothing made from them may call itself complete.
    for interval in ("5m", "1h", "1d"):
        list(refresh_bars(roomy.database, interval, [DAY], whole_days=False))
    assert standing(roomy, symbol) == before
    for interval in ("5m", "1h", "1d"):
        list(refresh_bars(roomy.database, interval, [DAY], whole_days=True))
    assert standing(roomy, symbol) == before
    assert DAY in waiting(roomy)
    roomy.refresh()
    assert DAY not in waiting(roomy)
    assert all(json.loads(row)["is_complete"] for row in standing(roomy, symbol).values())
    assert_exact(roomy, symbol)


def test_nothing_is_lost_between_loads_and_refreshers(platform: Platform, tmp_path: Path) -> None:
    symbol, prints = "BTCUSDT", tape(3000, 6)
    rng = random.Random(6)
    pieces = [prints[start : start + 50] for start in range(50, len(prints) - 50, 50)]
    rng.shuffle(pieces)
    # The first file has both ends: the claim of a whole day is believed there.
    pieces = [prints[:50], *pieces[:7], prints[-50:], *pieces[7:]]
    files = [vision(tmp_path, symbol, [p for piece in pieces[n::8] for p in piece], f"-{n}") for n in range(8)]
    take_in(platform, files[0])
    whole: dict[tuple[str, datetime], tuple] = {}
    for interval, length in INTERVALS.items():
        trades = [Trade(at(p), p.trade_id, Decimal(p.cents) / 100, Decimal(p.lots).scaleb(-5), None) for p in prints]
        whole |= {(interval, b.bar_start): (b.open, b.high, b.low, b.close, b.volume) for b in bars_from_trades(trades, length)}
    finished = threading.Event()

    def bring() -> None:
        try:
            for path in files[1:]:
                take_in(platform, path)
        finally:
            finished.set()

    def keep_up() -> int:
        rounds = 0
        while not finished.is_set():
            platform.refresh([DAY])
            rounds += 1
        return rounds

    def look() -> int:
        """What calls itself complete is final, at any moment."""
        seen = 0
        while not finished.is_set():
            for interval in INTERVALS:
                complete = f"select bar_start, open, high, low, close, volume from bars_{interval} where is_complete"  # noqa: S608  # names of ours
                for start, *values in platform.rows(complete):
                    assert tuple(values) == whole[interval, start], (interval, start)
                    seen += 1
        return seen

    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(task) for task in (bring, keep_up, keep_up, look)]
        results = [task.result(timeout=120) for task in tasks]
    assert min(results[1:]) > 0
    platform.refresh()
    assert not waiting(platform)
    assert len(stored_trades(platform, symbol)) == len(prints)
    assert all(json.loads(row)["is_complete"] for row in standing(platform, symbol).values())
    assert_exact(platform, symbol)


@pytest.mark.crash
@pytest.mark.parametrize("place", ["bars.computed", "bars.before_commit", "bars.after_commit"])
def test_killed_and_started_again(roomy: Platform, tmp_path: Path, symbol: str, place: str) -> None:
    prints = tape(300, 7)
    take_in(roomy, vision(tmp_path, symbol, prints[:100] + prints[110:]))
    roomy.refresh()
    before = standing(roomy, symbol)
    take_in(roomy, vision(tmp_path, symbol, prints[100:110], "-late"))
    script = f"""
from datetime import date
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.refresh import refresh_bars
print(list(refresh_bars(Database.current({roomy.database.name!r}), "1m", [date(2024, 3, 5)], whole_days=False)))
"""
    killed_at(place, script)
    if place == "bars.after_commit":
        assert {key[0] for key in changed(before, standing(roomy, symbol))} == {"1m"}
    else:
        assert standing(roomy, symbol) == before
    roomy.refresh()
    assert not waiting(roomy)
    assert_exact(roomy, symbol)


def test_dropped_trades_leave_their_bars_and_hold_up_nobody(platform: Platform, tmp_path: Path) -> None:
    days, names = [DAY, DAY + ONE_DAY], ["AAAUSDT", "BBBUSDT", "CCCUSDT"]
    tapes = {(name, day): tape(100, 8, 1000 if day == DAY else 1100) for name in names for day in days}
    for (name, day), prints in tapes.items():
        take_in(platform, vision(tmp_path, name, prints[:40] + prints[41:], day=day))
    platform.refresh()
    before = {name: standing(platform, name) for name in names}
    with platform.database.connect(Role.OWNER) as connection:
        gone = [f"binance:{name}" for name in names[:2]]
        connection.execute("delete from raw_trades where instrument = any(%s) and event_time < '2024-03-06'", (gone,))
        connection.execute("update coverage set is_dropped = true where instrument = any(%s) and day = '2024-03-05'", (gone,))
    for name, day in tapes:
        if (name, day) == ("CCCUSDT", DAY) or day != DAY:
            take_in(platform, vision(tmp_path, name, tapes[name, day][40:41], "-late", day))
    # Late trades of dropped days: what is left of such a day would wipe its bars.
    with platform.database.connect(Role.OWNER) as connection:
        connection.execute(
            "insert into invalidation_log (relation, instrument, day, from_time, to_time, reason, logged_at) "
            "select 'raw_trades', i, '2024-03-05', '2024-03-05', '2024-03-05 12:00', 'load', now() "
            "from unnest(%s::text[]) as i",
            (gone,),
        )
    with pytest.raises(RawTradesGone, match="binance:AAAUSDT on 2024-03-05") as refused:
        list(refresh_bars(platform.database, "1m", days, whole_days=False))
    assert [note.partition(" were")[0] for note in refused.value.__notes__] == ["the trades of binance:BBBUSDT on 2024-03-05"]
    refreshing = refresh_bars(platform.database, "1m", days, whole_days=True)
    assert next(refreshing).day == DAY + ONE_DAY
    with pytest.raises(RawTradesGone):
        next(refreshing)
    for interval in ("5m", "1h", "1d"):
        assert len(list(refresh_bars(platform.database, interval, days, whole_days=False))) == 2
    for name in names[:2]:
        after = standing(platform, name)
        assert {key[2].date() for key in changed(before[name], after)} == {DAY + ONE_DAY}
        assert before[name].keys() <= after.keys()
    for interval in INTERVALS:
        assert {json.loads(row)["is_complete"] for key, row in standing(platform, "CCCUSDT").items() if key[0] == interval} == {True}
    list(compare_days(platform.database, days, whole_days=False))
    # What waits goes on waiting, and the sensor is not asked for it again and again.
    assert DAY not in waiting(platform)
    with platform.database.connect(Role.OWNER) as connection:
        connection.execute("update coverage set is_dropped = false")
    assert DAY in waiting(platform)


def test_one_instrument_alone(platform: Platform, tmp_path: Path) -> None:
    for name in ("AAAUSDT", "BBBUSDT"):
        take_in(platform, vision(tmp_path, name, tape(100, 9)))
    [done] = refresh_bars(platform.database, "1m", [DAY], whole_days=False, instruments=["binance:BBBUSDT"])
    assert standing(platform, "AAAUSDT") == {}
    assert done.bars == done.changed == len(standing(platform, "BBBUSDT")) > 0
    platform.refresh()
    for name in ("AAAUSDT", "BBBUSDT"):
        assert_exact(platform, name)


def test_a_storm_of_invalidations_is_worked_off(platform: Platform, tmp_path: Path) -> None:
    days = [DAY + n * ONE_DAY for n in range(3)]
    for n, day in enumerate(days):
        take_in(platform, vision(tmp_path, "BTCUSDT", tape(2000, 10 + n, 1000 + 2000 * n), day=day))
    platform.refresh()
    before = standing(platform, "BTCUSDT")
    with platform.database.connect(Role.OWNER) as connection:
        connection.execute(
            "insert into invalidation_log (relation, instrument, day, from_time, to_time, reason, logged_at) "
            "select 'raw_trades', 'binance:BTCUSDT', d, d + m * interval '13 s', d + m * interval '13 s' + interval '5 s', 'load', now() "
            "from generate_series(timestamptz '2024-03-05', '2024-03-07', interval '1 day') as d, "
            "generate_series(0, 6600) as m, generate_series(1, 10)"
        )
        connection.execute(
            "insert into invalidation_log (relation, instrument, day, from_time, to_time, reason, logged_at) "
            "select 'bars_1m', 'binance:BTCUSDT', '2024-03-05', t, t + interval '1 second', 'refresh', now() "
            "from generate_series(timestamptz '2024-03-05', '2024-03-05 23:00', interval '10 minutes') as t"
        )
    assert platform.rows("select count(*) > 198000 from invalidation_log") == [(True,)]
    begun = time.perf_counter()
    assert list(waiting(platform)) == days
    done = [each for interval in INTERVALS for each in refresh_bars(platform.database, interval, days, whole_days=False)]
    took = time.perf_counter() - begun
    assert sum(each.windows for each in done) == len(done)
    assert sum(each.changed for each in done) == 0
    assert standing(platform, "BTCUSDT") == before
    assert took < 60, f"{took:.1f} s"
