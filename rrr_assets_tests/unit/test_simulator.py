"""The simulator against readers and loops of the test's own: nothing here trusts what the simulator says of itself.

Files are read with zipfile and csv, candles are compared with a loop over Python's decimals.
"""

import csv
import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rrr_assets.simulator import (
    DEFAULT_DEFECTS,
    DEFAULT_INSTRUMENTS,
    KINDS,
    MANIFEST_NAME,
    Defect,
    Simulation,
    WrittenFile,
    files,
    parse_defects,
    simulate,
)
from rrr_assets.simulator.candles import INTERVALS, candles
from rrr_assets.simulator.exchange import _share_out
from rrr_assets.simulator.markets import market
from rrr_assets.simulator.tape import DAY_US, MINUTE_US, MINUTES, Tape, midnight_us

DAY = date(2024, 1, 2)
NEXT = date(2024, 1, 3)
GEMINI = "gemini:ETHUSD"
USDM = "binance-usdm:BTCUSDT"
INSTRUMENTS = [*DEFAULT_INSTRUMENTS, GEMINI, USDM]
ALL_LISTED = np.ones(MINUTES, np.bool_)


def text_of(path: Path) -> str:
    """A file's text, out of its archive where it is one; the checksum beside an archive must hold."""
    if path.suffix != ".zip":
        return path.read_text(encoding="ascii")
    digest, name = path.with_name(path.name + ".CHECKSUM").read_text(encoding="ascii").removesuffix("\n").split("  ")
    assert (digest, name) == (hashlib.sha256(path.read_bytes()).hexdigest(), path.name)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"{path.stem}.csv"]
        return archive.read(archive.namelist()[0]).decode("ascii")


def rows_of(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text_of(path))))


def spot_trades(simulation: Simulation, instrument: str, day: date) -> list[list[str]]:
    return rows_of(simulation.out / f"binance-vision-trades/{instrument.removeprefix('binance:')}-trades-{day}.zip")


def good_ids(rows: list[list[str]]) -> set[int]:
    return {int(row[0]) for row in rows if len(row) == 7 and row[1] != "n/a" and not row[2].startswith("-")}


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def ids_in(ranges: tuple[tuple[int, int], ...]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    return simulate(tmp_path_factory.mktemp("clean"), [NEXT, DAY], INSTRUMENTS, 20_000, 3)


@pytest.fixture(scope="module")
def sound_spot(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    return simulate(tmp_path_factory.mktemp("spot"), [DAY, NEXT], DEFAULT_INSTRUMENTS, 20_000, 3)


# --- the same arguments, the same bytes -------------------------------------------------------------------------


def test_same_arguments_same_bytes_and_another_seed_other_bytes(tmp_path: Path) -> None:
    written = []
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        simulate(tmp_path / name, [DAY, NEXT], INSTRUMENTS, 8_000, seed, defects=tuple(KINDS))
        written.append(bytes_below(tmp_path / name))
    one, two, other = written
    assert one == two
    assert one[f"binance-vision-trades/BTCUSDT-trades-{DAY}.zip"] != other[f"binance-vision-trades/BTCUSDT-trades-{DAY}.zip"]


def test_writing_in_pieces_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(tmp_path / "whole", [DAY], [GEMINI, "binance:BTCUSDT"], 700, 1, defects=["bad-rows", "duplicate"])
    monkeypatch.setattr(files, "_ROWS_AT_ONCE", 7)
    simulate(tmp_path / "pieces", [DAY], [GEMINI, "binance:BTCUSDT"], 700, 1, defects=["bad-rows", "duplicate"])
    names = [path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*trade*") if path.is_file()]
    assert names
    for name in names:
        if name.suffix != ".CHECKSUM":
            assert text_of(tmp_path / "whole" / name) == text_of(tmp_path / "pieces" / name)


def test_a_defect_elsewhere_changes_no_other_file(clean: Simulation, tmp_path: Path) -> None:
    simulate(tmp_path, [DAY, NEXT], INSTRUMENTS, 20_000, 3, defects=["duplicate"])
    before, after = bytes_below(clean.out), bytes_below(tmp_path)
    changed = {name for name in before if before[name] != after[name]}
    assert 0 < len({name for name in changed if name.endswith((".zip", ".csv"))}) <= 2


# --- trades -----------------------------------------------------------------------------------------------------


def test_as_many_trades_as_asked_under_consecutive_ids(clean: Simulation) -> None:
    assert sum(number for days in clean.trades.values() for number in days.values()) == 20_000
    for instrument in DEFAULT_INSTRUMENTS:
        rows = [row for day in (DAY, NEXT) for row in spot_trades(clean, instrument, day)]
        ids = [int(row[0]) for row in rows]
        assert ids == list(range(ids[0], ids[0] + sum(clean.trades[instrument].values())))


def test_spot_rows_are_exact_in_order_and_of_their_day(clean: Simulation) -> None:
    for instrument in DEFAULT_INSTRUMENTS:
        for day in (DAY, NEXT):
            rows = spot_trades(clean, instrument, day)
            times = [int(row[4]) for row in rows]
            assert times == sorted(times)
            assert midnight_us(day) // 1000 <= times[0]
            assert times[-1] < midnight_us(day + timedelta(days=1)) // 1000
            assert len(set(times)) < len(times)
            for row in rows:
                price, size, quote = (Decimal(text) for text in row[1:4])
                assert price > 0
                assert size > 0
                assert quote == price * size
                assert all(len(text.partition(".")[2]) == 8 for text in row[1:4])
                assert row[5] in {"True", "False"}
                assert row[6] == "True"


def test_spot_counts_microseconds_from_2025_on_and_futures_do_not(tmp_path: Path) -> None:
    first = date(2025, 1, 1)
    simulation = simulate(tmp_path, [date(2024, 12, 31), first], ["binance:BTCUSDT", USDM], 2_000, 2)
    assert {len(row[4]) for row in spot_trades(simulation, "binance:BTCUSDT", date(2024, 12, 31))} == {13}
    assert {len(row[4]) for row in spot_trades(simulation, "binance:BTCUSDT", first)} == {16}
    futures = rows_of(tmp_path / f"binance-vision-usdm-trades/BTCUSDT-trades-{first}.zip")
    assert futures[0] == ["id", "price", "qty", "quote_qty", "time", "is_buyer_maker"]
    assert {(len(row), len(row[4]), row[5]) for row in futures[1:]} == {(6, 13, "true"), (6, 13, "false")}
    assert all(Decimal(row[1]) * Decimal(row[2]) == Decimal(row[3]) for row in futures[1:])
    candle = rows_of(tmp_path / f"binance-vision-klines/BTCUSDT-1m-{first}.zip")[0]
    assert (int(candle[0]), int(candle[6])) == (midnight_us(first), midnight_us(first) + MINUTE_US - 1)


def test_gemini_has_no_ids_many_equal_times_and_equal_rows(clean: Simulation) -> None:
    rows = rows_of(clean.out / f"ccapi/gemini__eth-usd__{DAY}__trade.csv")
    assert rows[0] == ["time_seconds", "price", "size", "is_buyer_maker"]
    trades = rows[1:]
    assert len(trades) == clean.trades[GEMINI][DAY]
    assert max(Counter(map(tuple, trades)).values()) > 1
    assert len({row[0] for row in trades}) < 0.8 * len(trades)
    assert {row[3] for row in trades} == {"0", "1"}
    for text in (text for row in trades for text in row[:3]):
        assert Decimal(text) > 0
        assert "." not in text or text[-1] not in "0."
    seconds = [Decimal(row[0]) for row in trades]
    assert seconds == sorted(seconds)
    assert all(second == round(second, 3) for second in seconds)


def test_any_symbol_trades_and_a_day_without_trades_has_empty_candles_only(tmp_path: Path) -> None:
    simulation = simulate(tmp_path, [DAY, NEXT], ["binance:NEWUSDT", "binance:OTHERBTC"], 1, 4)
    numbers = {(name, day): number for name, days in simulation.trades.items() for day, number in days.items()}
    assert sorted(numbers.values()) == [0, 0, 0, 1]
    for (name, day), number in numbers.items():
        symbol = name.removeprefix("binance:")
        assert (tmp_path / f"binance-vision-trades/{symbol}-trades-{day}.zip").exists() == bool(number)
        made = rows_of(tmp_path / f"binance-vision-klines/{symbol}-1m-{day}.zip")
        assert len(made) == MINUTES
        assert sum(int(row[8]) for row in made) == number


@given(
    trades=st.integers(0, 10**8),
    days=st.integers(1, 6),
    instruments=st.integers(1, 8),
    seed=st.integers(0, 2**32),
)
def test_shares_make_exactly_the_trades_asked_for(trades: int, days: int, instruments: int, seed: int) -> None:
    names = [f"binance:S{number}" for number in range(instruments)]
    shared = _share_out(trades, [DAY + timedelta(days=number) for number in range(days)], names, seed)
    numbers = [number for each in shared.values() for number in each.values()]
    assert sum(numbers) == trades
    assert len(numbers) == days * instruments
    assert min(numbers) >= (1 if trades >= len(numbers) else 0)


# --- candles ----------------------------------------------------------------------------------------------------

NAIVE = list[tuple[int, Decimal, Decimal, bool]]
"""Trades as (microseconds, price, size, is_buyer_maker), in trading order."""


def naive_candles(trades: NAIVE, day: date, interval_us: int, previous: Decimal) -> list[list[Decimal | int]]:
    """Open time, open, high, low, close, volume, quote volume, count, taker buys in base and in quote."""
    made = []
    start = midnight_us(day)
    groups: dict[int, NAIVE] = {}
    for trade in trades:
        groups.setdefault((trade[0] - start) // interval_us, []).append(trade)
    for place in range(DAY_US // interval_us):
        inside = groups.get(place, [])
        prices = [price for _, price, _, _ in inside] or [previous]
        takers = [(price, size) for _, price, size, is_buyer_maker in inside if not is_buyer_maker]
        made.append(
            [
                start + place * interval_us,
                prices[0],
                max(prices),
                min(prices),
                prices[-1],
                sum((size for _, _, size, _ in inside), Decimal(0)),
                sum((price * size for _, price, size, _ in inside), Decimal(0)),
                len(inside),
                sum((size for _, size in takers), Decimal(0)),
                sum((price * size for price, size in takers), Decimal(0)),
            ]
        )
        previous = prices[-1]
    return made


@st.composite
def tapes(draw: st.DrawFn) -> Tape:
    """Few trades in few minutes, with ties, and now and then of a size at which 64 bits hold no sum."""
    largest = draw(st.sampled_from([50, 2**31 - 1]))
    drawn = draw(
        st.lists(
            st.tuples(
                st.one_of(st.integers(0, 3 * MINUTE_US), st.sampled_from([0, MINUTE_US, DAY_US - 1]), st.integers(0, DAY_US - 1)),
                st.integers(1, largest),
                st.integers(1, largest),
                st.booleans(),
            ),
            max_size=25,
        )
    )
    drawn.sort(key=lambda trade: trade[0])
    times, ticks, lots = (np.array([trade[column] for trade in drawn], np.int64) for column in range(3))
    traded = market(draw(st.sampled_from(["binance:BTCUSDT", "binance:DOGEUSDT", USDM])), 0)
    return Tape(traded, DAY, 1, times + midnight_us(DAY), ticks, lots, np.array([trade[3] for trade in drawn], np.bool_))


def as_naive(tape: Tape) -> NAIVE:
    traded = tape.market
    return [
        (int(time), Decimal(int(ticks)).scaleb(-traded.price_scale), Decimal(int(lots)).scaleb(-traded.size_scale), bool(is_buyer_maker))
        for time, ticks, lots, is_buyer_maker in zip(tape.time_us, tape.ticks, tape.lots, tape.is_buyer_maker, strict=True)
    ]


BIGGEST = Tape(
    market("binance:BTCUSDT", 0),
    DAY,
    1,
    np.full(9, midnight_us(DAY)),
    np.full(9, 2**31 - 1),
    np.full(9, 2**31 - 1),
    np.zeros(9, np.bool_),
)
"""Nine trades in one minute, of which the quote volume is beyond 64 bits."""


@given(tape=tapes(), interval=st.sampled_from(list(INTERVALS)), previous=st.integers(1, 10**6))
@example(tape=BIGGEST, interval="1m", previous=1)
def test_candles_equal_a_loop_over_decimals(tape: Tape, interval: str, previous: int) -> None:
    made = candles(tape, INTERVALS[interval], previous, ALL_LISTED)
    columns = (
        made.open_us.tolist(),
        *(column.to_pylist() for column in (made.open, made.high, made.low, made.close, made.volume, made.quote_volume)),
        made.count.tolist(),
        made.taker_buy_volume.to_pylist(),
        made.taker_buy_quote_volume.to_pylist(),
    )
    expected = naive_candles(as_naive(tape), DAY, INTERVALS[interval], Decimal(previous).scaleb(-tape.market.price_scale))
    assert [list(row) for row in zip(*columns, strict=True)] == expected


def test_candle_files_equal_a_loop_over_the_trade_files(clean: Simulation) -> None:
    for instrument in ("binance:BTCUSDT", "binance:DOGEUSDT"):
        previous = None
        for day in (DAY, NEXT):
            trades = [
                (int(row[4]) * 1000, Decimal(row[1]), Decimal(row[2]), row[5] == "True") for row in spot_trades(clean, instrument, day)
            ]
            for interval, interval_us in INTERVALS.items():
                rows = rows_of(clean.out / f"binance-vision-klines/{instrument.removeprefix('binance:')}-{interval}-{day}.zip")
                before = Decimal(rows[0][1]) if previous is None else previous
                expected = naive_candles(trades, day, interval_us, before)
                assert [len(row) for row in rows] == [12] * len(rows)
                read = [
                    [int(row[0]) * 1000, *map(Decimal, row[1:6]), Decimal(row[7]), int(row[8]), Decimal(row[9]), Decimal(row[10])]
                    for row in rows
                ]
                assert read == expected
                assert [int(row[6]) for row in rows] == [int(row[0]) + interval_us // 1000 - 1 for row in rows]
                assert {row[11] for row in rows} == {"0"}
            previous = trades[-1][1]
    quiet = rows_of(clean.out / f"binance-vision-klines/DOGEUSDT-1m-{DAY}.zip")
    assert any(row[8] == "0" and row[1] == row[2] == row[3] == row[4] and Decimal(row[5]) == 0 for row in quiet)


# --- defects ----------------------------------------------------------------------------------------------------


def with_defect(out: Path, sound_spot: Simulation, kind: str) -> Iterator[tuple[Simulation, Defect, list[list[str]], list[list[str]]]]:
    """The same days with one kind of defect: of each, its record, the damaged file's rows and the undamaged one's."""
    simulation = simulate(out, [DAY, NEXT], DEFAULT_INSTRUMENTS, 20_000, 3, defects=[kind])
    assert [(each.kind, each.day) for each in simulation.defects] == [(kind, DAY), (kind, NEXT)]
    for defect in simulation.defects:
        assert defect.expected == KINDS[kind].expected
        yield simulation, defect, rows_of(out / defect.file), rows_of(sound_spot.out / defect.file)


def test_gap(sound_spot: Simulation, tmp_path: Path) -> None:
    for simulation, defect, damaged, sound in with_defect(tmp_path, sound_spot, "gap"):
        missing = ids_in(defect.ids)
        assert missing
        assert damaged == [row for row in sound if int(row[0]) not in missing]
        times = [int(row[4]) for row in sound if int(row[0]) in missing]
        assert defect.since == datetime.fromtimestamp(times[0] // 1000, UTC) + timedelta(milliseconds=times[0] % 1000)
        symbol = defect.instrument.removeprefix("binance:")
        daily = rows_of(tmp_path / f"binance-vision-klines/{symbol}-1d-{defect.day}.zip")
        assert int(daily[0][8]) == len(sound) == simulation.trades[defect.instrument][defect.day]


def test_duplicate(sound_spot: Simulation, tmp_path: Path) -> None:
    for _, defect, damaged, sound in with_defect(tmp_path, sound_spot, "duplicate"):
        assert defect.lines
        assert len(damaged) == len(sound) + len(defect.lines)
        assert [row for number, row in enumerate(damaged, 1) if number not in set(defect.lines)] == sound
        assert all(damaged[number - 1] in damaged[: number - 1] for number in defect.lines)


def test_bad_rows(sound_spot: Simulation, tmp_path: Path) -> None:
    for _, defect, damaged, sound in with_defect(tmp_path, sound_spot, "bad-rows"):
        assert set(defect.reasons) == {"not_a_number", "columns", "not_positive"}
        assert [row for number, row in enumerate(damaged, 1) if number not in set(defect.lines)] == sound
        for number, reason in zip(defect.lines, defect.reasons, strict=True):
            row = damaged[number - 1]
            assert (len(row) == 6) == (reason == "columns")
            assert (row[1] == "n/a") == (reason == "not_a_number")
            assert row[2].startswith("-") == (reason == "not_positive")


def test_bad_rows_below_a_header(tmp_path: Path) -> None:
    simulation = simulate(tmp_path, [DAY], [GEMINI], 500, 3, defects=["bad-rows"])
    (defect,) = simulation.defects
    rows = rows_of(tmp_path / defect.file)
    assert len(rows) == 1 + 500 + len(defect.lines)
    assert simulation.files[0].rows == len(rows) - 1
    found = [number for number, row in enumerate(rows, 1) if len(row) == 3 or row[1] == "n/a" or row[2].startswith("-")]
    assert found == list(defect.lines)


def test_late(sound_spot: Simulation, tmp_path: Path) -> None:
    for simulation, defect, damaged, sound in with_defect(tmp_path, sound_spot, "late"):
        assert defect.other_file is not None
        late = rows_of(tmp_path / defect.other_file)
        assert defect.other_file.startswith("late/")
        assert {int(row[0]) for row in late} == ids_in(defect.ids) != set()
        assert sorted(damaged + late) == sorted(sound)
        held_back = {file.path for file in simulation.files if file.is_held_back}
        assert tmp_path / defect.other_file in held_back
        assert tmp_path / defect.file not in held_back


def test_shuffled(sound_spot: Simulation, tmp_path: Path) -> None:
    for _, _, damaged, sound in with_defect(tmp_path, sound_spot, "shuffled"):
        assert damaged != sound
        assert [int(row[4]) for row in damaged] != sorted(int(row[4]) for row in damaged)
        assert sorted(damaged) == sorted(sound)


def test_kline_missing(sound_spot: Simulation, tmp_path: Path) -> None:
    for _, defect, damaged, sound in with_defect(tmp_path, sound_spot, "kline-missing"):
        (absent,) = [row for row in sound if row not in damaged]
        assert len(damaged) == len(sound) - 1
        assert defect.since is not None
        assert int(absent[0]) == int(defect.since.timestamp()) * 1000
        assert defect.until == defect.since + timedelta(minutes=1)
        assert int(absent[8]) > 0


def test_outage(sound_spot: Simulation, tmp_path: Path) -> None:
    for simulation, defect, damaged, _ in with_defect(tmp_path, sound_spot, "outage"):
        assert defect.since is not None
        assert defect.until is not None
        assert defect.absent_since is not None
        since, absent, until = (int(time.timestamp()) * 1000 for time in (defect.since, defect.absent_since, defect.until))
        assert since < absent < until
        trades = spot_trades(simulation, defect.instrument, defect.day)
        assert len(trades) == simulation.trades[defect.instrument][defect.day]
        assert not [row for row in trades if since <= int(row[4]) < until]
        assert [int(row[0]) for row in trades] == list(range(int(trades[0][0]), int(trades[0][0]) + len(trades)))
        opened = {int(row[0]): int(row[8]) for row in damaged}
        start = midnight_us(defect.day) // 1000
        assert set(opened) == set(range(start, start + 86_400_000, 60_000)) - set(range(absent, until, 60_000))
        assert {opened[minute] for minute in range(since, absent, 60_000)} == {0}


def test_renamed(sound_spot: Simulation, tmp_path: Path) -> None:
    for simulation, defect, damaged, sound in with_defect(tmp_path, sound_spot, "renamed"):
        assert defect.other_file is not None
        copy = rows_of(tmp_path / defect.other_file)
        assert damaged == sound
        assert 0 < len(copy) < len(sound)
        assert copy == sound[-len(copy) :]
        assert sound[-len(copy) - 1][4] != copy[0][4]
        assert tmp_path / defect.other_file in {file.path for file in simulation.files if file.is_held_back}


def test_all_defects_in_one_file_are_each_where_they_are_said_to_be(tmp_path: Path) -> None:
    simulation = simulate(tmp_path, [DAY], ["binance:BTCUSDT"], 3_000, 8, defects=tuple(KINDS))
    found = {defect.kind: defect for defect in simulation.defects}
    assert set(found) == set(KINDS)
    rows = spot_trades(simulation, "binance:BTCUSDT", DAY)
    garbage = {number for number, row in enumerate(rows, 1) if len(row) != 7 or row[1] == "n/a" or row[2].startswith("-")}
    assert garbage == set(found["bad-rows"].lines)
    seen: set[tuple[str, ...]] = set()
    repeated = set()
    for number, row in enumerate(rows, 1):
        if number not in garbage:
            if tuple(row) in seen:
                repeated.add(number)
            seen.add(tuple(row))
    assert repeated == set(found["duplicate"].lines)
    ids = good_ids(rows)
    assert not ids & ids_in(found["gap"].ids)
    assert not ids & ids_in(found["late"].ids)
    assert len(ids | ids_in(found["gap"].ids) | ids_in(found["late"].ids)) == 3_000
    minute = found["kline-missing"].since
    assert minute is not None
    start = int(minute.timestamp()) * 1000
    assert any(start <= int(row[4]) < start + 60_000 for row in rows if len(row) == 7)


@settings(max_examples=30, deadline=None)  # each writes a dozen files
@given(seed=st.integers(0, 10**6))
def test_defects_fit_into_the_smallest_day(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    simulation = simulate(tmp_path_factory.mktemp("small"), [DAY], ["binance:BTCUSDT"], 100, seed, defects=tuple(KINDS))
    assert {defect.kind for defect in simulation.defects} == set(KINDS)


# --- the record -------------------------------------------------------------------------------------------------


def test_manifest_names_every_file_with_its_rows(tmp_path: Path) -> None:
    seen: list[WrittenFile] = []
    simulation = simulate(tmp_path, [DAY, NEXT], INSTRUMENTS, 9_000, 3, defects=tuple(KINDS), on_file=seen.append)
    assert tuple(seen) == simulation.files
    manifest = json.loads((tmp_path / MANIFEST_NAME).read_text(encoding="ascii"))
    listed = {file["path"]: file for file in manifest["files"]}
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".CHECKSUM"}
    assert set(listed) | {MANIFEST_NAME} == there
    for path, file in listed.items():
        headers = 0 if file["instrument"] in DEFAULT_INSTRUMENTS else 1
        assert len(rows_of(tmp_path / path)) == file["rows"] + headers
    assert [(defect["kind"], defect["file"]) for defect in manifest["defects"]] == [(each.kind, each.file) for each in simulation.defects]
    assert manifest["instruments"][GEMINI][str(DAY)] == simulation.trades[GEMINI][DAY]


def test_defects_are_named_by_a_list_or_a_word() -> None:
    assert parse_defects("none") == ()
    assert parse_defects("default") == DEFAULT_DEFECTS
    assert parse_defects("outage, gap") == ("gap", "outage")
    with pytest.raises(ValueError, match="no such defect: hole"):
        parse_defects("gap,hole")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"days": []}, "at least one day"),
        ({"days": [DAY, DAY]}, "each once"),
        ({"instruments": ["binance:A", "binance:A"]}, "each once"),
        ({"instruments": ["kraken:XBTUSD"]}, "no such venue is simulated"),
        ({"instruments": ["binance:btcusdt"]}, "capital letters"),
        ({"instruments": ["binance:../BTC"]}, "capital letters"),
        ({"trades": -1}, "negative"),
        ({"seed": -1}, "negative"),
        ({"defects": ["hole"]}, "no such defect"),
        ({"instruments": [GEMINI], "defects": ["gap"]}, "no instrument can carry gap"),
        ({"trades": 99, "defects": ["shuffled"]}, "no instrument can carry shuffled"),
    ],
)
def test_refused_before_anything_is_written(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    arguments = {"days": [DAY], "instruments": ["binance:BTCUSDT"], "trades": 1000, "seed": 1} | changed
    with pytest.raises(ValueError, match=message):
        simulate(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()
