"""Bars from aggregated trades: where an instrument declares them, its bars are those of its trades, but for the ids at their ends."""

import csv
import io
import itertools
import json
import random
import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rrr_assets.calc.order import Bar, Trade, bars_from_trades
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.information_bars import KINDS
from rrr_assets.simulator import simulate
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.declare import Declared, NeverListed, declare
from rrr_assets.warehouse.information_bars import check_day, refresh_information_bars
from rrr_assets.warehouse.inspection import check
from rrr_assets.warehouse.refresh import days_behind
from rrr_assets_tests.loading import DAY, NAME, NEXT, SYMBOL, Told, emptied, midnight, vision
from rrr_assets_tests.platform import Platform

ENDS = ("first_sequence", "last_sequence")
VALUES = tuple(field.name for field in fields(Bar) if field.name not in ENDS)


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


Run = tuple[int, list[Told]]
"""An aggregated trade: its id, and the trades that the venue tells as one."""


def runs_of(trades: Iterable[Told], first_id: int = 1) -> list[Run]:
    """Trades of one price, side and time, one after the other, as the venue tells them."""
    groups = itertools.groupby(trades, key=lambda t: (t.price, t.us, t.buyer_made))
    return [(first_id + n, list(run)) for n, (_, run) in enumerate(groups)]


def fields_of(run: Run) -> dict[str, Any]:
    number, told = run
    size = sum(Decimal(t.size) for t in told)
    first = told[0]
    return {"a": number, "p": first.price, "q": f"{size:f}", "f": first.id, "l": told[-1].id, "T": first.us, "m": first.buyer_made}


def aggregated(folder: Path, runs: Iterable[Run], day: date, suffix: str = "", *, is_spot: bool = True) -> Path:
    """A file of the public archive; futures have a header, milliseconds and one column less."""
    path = folder / f"{SYMBOL}-aggTrades-{day}{suffix}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    unit = 1 if is_spot and day >= date(2025, 1, 1) else 1000
    lines = [] if is_spot else ["agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"]
    for told in map(fields_of, runs):
        maker = "True,True" if is_spot and told["m"] else "False,True" if is_spot else str(told["m"]).lower()
        lines.append(f"{told['a']},{told['p']},{told['q']},{told['f']},{told['l']},{told['T'] // unit},{maker}")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"{path.stem}.csv"), "\n".join(lines) + "\n")
    return path


def capture(folder: Path, runs: Iterable[Run]) -> Path:
    """A capture of aggregated trades, which claims no more than its ids show."""
    path = folder / "capture.txt"
    lines = []
    for told in map(fields_of, runs):
        at = told["T"]
        data = {"e": "aggTrade", "E": at // 1000, "s": SYMBOL, **told, "T": at // 1000, "M": True}
        received = at + 5000
        message = json.dumps({"stream": f"{SYMBOL.lower()}@aggTrade", "data": data})
        lines.append(f"{received // 1_000_000}.{received % 1_000_000:06} {message}\n")
    path.write_text("".join(lines))
    return path


def crowded(day: date, count: int, seed: int, first_id: int = 5000) -> list[Told]:
    """Trades of which many share price, side and time with the one before, some at the edges of minutes and of the day."""
    rng = random.Random(seed)
    base, edges = midnight(day), [0, 59_999_999, 60_000_000, 3_599_999_999, 3_600_000_000, 86_399_999_999]
    times = sorted([*edges * 3, *(rng.randrange(86_400_000_000) for _ in range(count // 4))])
    made: list[Told] = []
    for at in itertools.islice(itertools.cycle(times), count):
        made.append(
            Told(0, base + at, f"{rng.randrange(90, 94)}.{rng.randrange(3)}", f"0.{rng.randrange(1, 10**8):08}", rng.random() < 0.5)
        )
        if rng.random() < 0.6:
            made.append(Told(0, base + at, made[-1].price, f"{rng.randrange(1, 5)}.5", made[-1].buyer_made))
    made.sort(key=lambda t: t.us)
    return [Told(first_id + n, t.us, t.price, t.size, t.buyer_made) for n, t in enumerate(made)]


def bars(platform: Platform, name: str = NAME) -> dict[str, list[dict[str, Any]]]:
    """Every bar of an instrument in every field that does not hang on the stream."""
    wanted = f"{', '.join(VALUES)}, is_complete"
    return {
        interval: platform.rows(f"select {wanted} from bars_{interval} where instrument = %s order by bar_start", name)  # noqa: S608  # names of ours
        for interval in INTERVALS
    }


def declared(platform: Platform, stream: str, name: str = NAME) -> list[date] | None:
    return declare(platform.database, name, Declared(bars_stream=stream))


def follow(platform: Platform, days: Sequence[date] | None = None, *, whole_days: bool = False) -> None:
    """Bring all that is made from trades up to date."""
    platform.refresh(days, whole_days=whole_days)
    for kind in KINDS:
        list(refresh_information_bars(platform.database, kind, sorted(days or platform.days), whole_days=whole_days))


def behind(platform: Platform) -> list[date]:
    return list(days_behind(platform.database, 100, timedelta(0)))


def take_trades(platform: Platform, folder: Path, trades: Sequence[Told], day: date, suffix: str = "") -> None:
    for loaded in platform.take_in(vision(folder, trades, day, suffix), "binance-vision-trades"):
        assert [file.refused for file in loaded.files] == [None]


def take_aggregated(platform: Platform, folder: Path, runs: Sequence[Run], day: date, suffix: str = "") -> None:
    for loaded in platform.take_in(aggregated(folder, runs, day, suffix), "binance-vision-aggtrades"):
        assert [file.refused for file in loaded.files] == [None]


def stored(platform: Platform, interval: str = "1m") -> list[dict[str, Any]]:
    return [row for (row,) in platform.rows(f"select to_jsonb(b) from bars_{interval} as b order by instrument, bar_start")]  # noqa: S608  # names of ours


@pytest.mark.parametrize("seed", range(3))
def test_bars_from_aggregated_trades_are_those_from_trades(platform: Platform, tmp_path: Path, seed: int) -> None:
    trades = crowded(DAY, 1500, seed)
    runs = runs_of(trades)
    assert len(trades) * 0.3 < len(runs) < len(trades) * 0.8
    take_trades(platform, tmp_path, trades, DAY)
    follow(platform)
    from_trades = bars(platform)
    assert all(row[-1] for found in from_trades.values() for row in found)
    take_aggregated(platform, tmp_path, runs, DAY)
    # What is not declared is kept, and gives no bar.
    assert behind(platform) == []
    assert declared(platform, "agg_trades") == [DAY]
    assert behind(platform) == [DAY]
    follow(platform)
    assert behind(platform) == []
    assert bars(platform) == from_trades
    assert from_trades["1m"]
    for interval, length in INTERVALS.items():
        sides = {True: "sell", False: "buy"}
        prints = [
            Trade(
                datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=t.us),
                t.id,
                Decimal(t.price),
                Decimal(t.size),
                sides[t.buyer_made],
            )
            for t in trades
        ]
        defined = bars_from_trades(prints, length)
        assert [row[:-1] for row in from_trades[interval]] == [tuple(getattr(bar, name) for name in VALUES) for bar in defined]
    # The ids at the ends are those of the aggregated trades: their numbers here begin at 1.
    ends = platform.rows("select min(first_sequence), max(last_sequence) from bars_1d where instrument = %s", NAME)
    assert ends == [(1, len(runs))]
    for interval in INTERVALS:
        assert [rule.rule for rule in check(platform.database, f"bars_{interval}", DAY) if rule.broken] == []
    for kind in KINDS:
        assert [rule.rule for rule in check_day(platform.database, kind, DAY) if rule.broken] == []


def test_a_whole_day_makes_the_same_bars_again(platform: Platform, tmp_path: Path) -> None:
    trades = crowded(DAY, 600, 5)
    take_aggregated(platform, tmp_path, runs_of(trades), DAY)
    declared(platform, "agg_trades")
    follow(platform)
    before = [stored(platform, interval) for interval in INTERVALS]
    assert len(before[0]) > 10
    follow(platform, whole_days=True)
    assert [stored(platform, interval) for interval in INTERVALS] == before


def test_plain_trades_of_such_an_instrument_change_no_bar(platform: Platform, tmp_path: Path) -> None:
    trades = crowded(DAY, 800, 7)
    runs = runs_of(trades)
    # The aggregated trades lack some, the plain ones have them all, and one more.
    take_aggregated(platform, tmp_path, [*runs[:100], *runs[110:]], DAY)
    declared(platform, "agg_trades")
    follow(platform)
    before = stored(platform)
    complete = platform.rows("select is_complete, count(*) from bars_1m group by 1 order by 1")
    assert [is_complete for is_complete, _ in complete] == [False, True]
    take_trades(platform, tmp_path, [*trades, Told(trades[-1].id + 1, trades[-1].us, "1.5", "100")], DAY)
    assert behind(platform) == []
    for whole_days in (False, True):
        follow(platform, whole_days=whole_days)
        assert stored(platform) == before
    assert [rule.rule for rule in check(platform.database, "bars_1m", DAY) if rule.broken] == ["bars are complete"]
    # The missing ones come, and change what they belong to.
    take_aggregated(platform, tmp_path, runs[100:110], DAY, "-late")
    assert behind(platform) == [DAY]
    follow(platform)
    assert platform.rows("select bool_and(is_complete), sum(trade_count) from bars_1m") == [(True, len(trades))]


def test_there_and_back_again(platform: Platform, tmp_path: Path) -> None:
    """Each switch refreshes the days that are held of the stream that is declared; days of the other alone keep their bars."""
    days = {DAY: crowded(DAY, 400, 8), NEXT: crowded(NEXT, 400, 9, 9000)}
    for day, trades in days.items():
        take_trades(platform, tmp_path, trades, day)
    # Of the first day, the first half alone is told in aggregated trades.
    half = days[DAY][: len(days[DAY]) // 2]
    platform.take_in(capture(tmp_path, runs_of(half)), "binance-ws")
    follow(platform)
    from_trades = stored(platform)
    whole = bars(platform)
    assert declared(platform, "trades") == []  # as it is
    assert behind(platform) == []
    assert declared(platform, "agg_trades") == [DAY]
    assert behind(platform) == [DAY]
    follow(platform)
    # The bars of the half that was not told are gone: no bar of the day comes from the other stream.
    of_first = "select sum(trade_count), max(last_sequence) from bars_1m where bar_start < %s"
    assert platform.rows(of_first, NEXT) == [(len(half), len(runs_of(half)))]
    assert [bar for bar in stored(platform) if bar in from_trades] == [bar for bar in from_trades if bar["bar_start"] >= NEXT.isoformat()]
    for day in days:
        assert [rule.rule for rule in check(platform.database, "bars_1m", day) if rule.broken and rule.is_blocking] == []
    # What was believed of the bars that changed is kept.
    assert platform.rows("select count(*) from bar_revisions where interval = '1m'")[0][0] > 50
    assert declared(platform, "trades") == [DAY, NEXT]
    assert behind(platform) == [DAY, NEXT]
    follow(platform)
    assert bars(platform) == whole
    assert behind(platform) == []


def test_a_gap_of_aggregated_ids_is_a_hole_until_it_is_healed(platform: Platform, tmp_path: Path) -> None:
    runs = runs_of(crowded(DAY, 600, 11))
    take_aggregated(platform, tmp_path, [*runs[:50], *runs[53:]], DAY)
    declared(platform, "agg_trades")
    follow(platform)
    minute = (runs[50][1][0].us - midnight(DAY)) // 60_000_000
    minutes = "select extract(hour from bar_start) * 60 + extract(minute from bar_start) from bars_1m where not is_complete"
    holes = {int(found) for (found,) in platform.rows(minutes)}
    between = range((runs[49][1][0].us - midnight(DAY)) // 60_000_000, (runs[53][1][0].us - midnight(DAY)) // 60_000_000 + 1)
    assert holes
    assert holes <= set(between)
    assert minute in between
    take_aggregated(platform, tmp_path, runs[50:53], DAY, "-late")
    follow(platform)
    assert platform.rows(minutes) == []


def _folder(parent: Path, name: str) -> Path:
    made = parent / name
    made.mkdir()
    return made


def test_conformance_against_the_venues_candles(platform: Platform, tmp_path: Path) -> None:
    """The exchange's own candles of its trades equal bars from the aggregated trades of the same tape."""
    names = [NAME, "binance-usdm:BTCUSDT"]
    made = simulate(tmp_path, [DAY, NEXT], names, 8000, 3)
    next_id = dict.fromkeys(names, 1)
    for file in sorted(made.files, key=lambda written: written.day):
        if file.interval is not None:
            platform.take_in(tmp_path / file.path, file.format, file.instrument)
            continue
        with zipfile.ZipFile(tmp_path / file.path) as archive:
            text = archive.read(archive.namelist()[0]).decode()
        is_spot = file.instrument == NAME
        unit = 1 if is_spot else 1000
        told = [
            Told(int(row[0]), int(row[4]) * unit, row[1], row[2], row[5].lower() == "true")
            for row in csv.reader(io.StringIO(text))
            if row[0].isdecimal()
        ]
        folder = _folder(tmp_path, f"{file.instrument.replace(':', '-')}-{file.day}")
        runs = runs_of(told, next_id[file.instrument])
        next_id[file.instrument] += len(runs)
        path = aggregated(folder, runs, file.day, is_spot=is_spot)
        platform.take_in(path, "binance-vision-aggtrades", file.instrument)
    for name in names:
        assert declared(platform, "agg_trades", name) == [DAY, NEXT]
    follow(platform)
    verdicts = platform.rows("select instrument, status, count(*) from bar_conformance group by 1, 2 order by 1, 2")
    assert {(name, status) for name, status, _ in verdicts if status != "explained"} == {(name, "equal") for name in names}
    assert sum(count for _, status, count in verdicts if status == "equal") > 2000
    assert platform.rows("select count(*) from raw_trades") == [(0,)]


def test_an_instrument_is_declared_or_left_as_it_is(platform: Platform, tmp_path: Path) -> None:
    assert declared(platform, "agg_trades") is None  # it is not known
    take_trades(platform, tmp_path, crowded(DAY, 20, 1), DAY)
    assert declare(platform.database, NAME, Declared(price_scale=3, listed_on=DAY)) == []
    with pytest.raises(NeverListed, match="cannot be delisted on 2025-03-03 when it is listed on 2025-03-03"):
        declare(platform.database, NAME, Declared(bars_stream="agg_trades", delisted_on=DAY))
    current = "select price_scale, bars_stream, listed_on, delisted_on from instruments where valid_to is null"
    assert platform.rows(current) == [(3, "trades", DAY, None)]
    # Of a stream of which nothing is held, nothing is to be made again; the bars stand as they are.
    follow(platform)
    before = stored(platform)
    assert declared(platform, "agg_trades") == []
    assert platform.rows(current) == [(3, "agg_trades", DAY, None)]
    assert behind(platform) == []
    follow(platform, whole_days=True)
    assert stored(platform) == before
    assert [rule.rule for rule in check(platform.database, "bars_1m", DAY) if rule.broken and rule.is_blocking] == []
    assert platform.rows("select count(*) from instruments") == [(3,)]


def test_a_switch_while_trades_are_loaded_and_bars_made(platform: Platform, tmp_path: Path) -> None:
    """Whoever comes first, in the end the bars are those of the declared stream, and nothing waits."""
    trades = crowded(DAY, 600, 13)
    runs = runs_of(trades)
    parts = [(trades[n::6], runs[n::6]) for n in range(6)]
    take_trades(platform, tmp_path / "first", parts[0][0], DAY)

    def bring() -> None:
        for n, (some, told) in enumerate(parts):
            take_trades(platform, tmp_path / f"trades-{n}", some, DAY)
            take_aggregated(platform, tmp_path / f"aggregated-{n}", told, DAY)

    def switch() -> None:
        for n in range(9):
            declared(platform, ("agg_trades", "trades")[n % 2])

    def keep_up() -> None:
        for _ in range(6):
            follow(platform, [DAY])

    with ThreadPoolExecutor(3) as pool:
        for task in [pool.submit(work) for work in (bring, switch, keep_up)]:
            task.result(timeout=120)
    follow(platform)
    assert behind(platform) == []
    assert platform.rows("select bars_stream from instruments where valid_to is null") == [("agg_trades",)]
    assert platform.rows("select sum(trade_count), max(last_sequence), bool_and(is_complete) from bars_1m") == [
        (len(trades), len(runs), True)
    ]
    before = bars(platform)
    follow(platform, whole_days=True)
    assert bars(platform) == before
    declared(platform, "trades")
    follow(platform)
    assert bars(platform) == before
