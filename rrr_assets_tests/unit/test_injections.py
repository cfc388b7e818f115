"""The calm market and what is injected into it, against files read with csv: the manifest must say what is in them.

A twin without injections, of the same seed, is what the rest must equal.
"""

import csv
import gzip
import hashlib
import io
import itertools
import json
import zipfile
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from rrr_assets.simulator import DEFAULT_INSTRUMENTS, INJECTED, KINDS, MANIFEST_NAME, Injection, Simulation, simulate

START = date(2025, 3, 7)  # a Friday
DAYS = [START + timedelta(days=number) for number in range(4)]
COINBASE, BYBIT, BINANCE, GEMINI = "coinbase:BTCUSD", "bybit:BTCUSDT", "binance:BTCUSDT", "gemini:ETHUSD"
INSTRUMENTS = [COINBASE, BYBIT, BINANCE, GEMINI]
SYMBOLS = {COINBASE: "coinbase_{}_{}_BTC-USD", BYBIT: "bybit_{}_{}_BTCUSDT"}
TRADES = len(INSTRUMENTS) * len(DAYS) * 3_000
SEED = 14
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Of everything below the folder, as the version before calm markets wrote it: figures and tests stand on these bytes.
GOLDEN = {
    (): "d2aa478303f7fd9fb4096788f39013ecf619b4c02789d53b08531bbf2a8c34b9",
    tuple(KINDS): "78a736faacbdc1692b41a3ecbee963dcaae621f92840bd40d6f2a7d028181b72",
}


def text_of(path: Path) -> bytes:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return archive.read(archive.namelist()[0])
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def digest(folder: Path) -> str:
    """Of names and texts; how a text is packed is the library's business."""
    told = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".CHECKSUM":
            told.update(path.relative_to(folder).as_posix().encode())
            told.update(text_of(path))
    return told.hexdigest()


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def rows(simulation: Simulation, instrument: str, stream: str, day: date) -> list[dict[str, str]]:
    path = simulation.out / f"tardis/{SYMBOLS[instrument].format(stream, day)}.csv.gz"
    return list(csv.DictReader(io.StringIO(text_of(path).decode("ascii"))))


def inside(found: list[dict[str, str]], injection: Injection) -> list[dict[str, str]]:
    since, until = microseconds(injection.since), microseconds(injection.until)
    return [row for row in found if since <= int(row["timestamp"]) < until]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    return simulate(tmp_path_factory.mktemp("clean"), DAYS, INSTRUMENTS, TRADES, SEED, quotes=True)


@pytest.fixture(scope="module")
def injected(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    return simulate(tmp_path_factory.mktemp("injected"), DAYS, INSTRUMENTS, TRADES, SEED, quotes=True, injections=60)


def of_kind(simulation: Simulation, *kinds: str) -> list[Injection]:
    found = [one for one in simulation.injections if one.kind in kinds and one.instrument in SYMBOLS]
    assert found, f"no {kinds} on a recorded feed: choose another seed"
    return found


@pytest.mark.parametrize("defects", GOLDEN)
def test_what_was_written_before_is_written_still(tmp_path: Path, defects: tuple[str, ...]) -> None:
    days = [date(2024, 12, 31), date(2025, 1, 1)]
    simulate(tmp_path, days, [*DEFAULT_INSTRUMENTS, GEMINI, "binance-usdm:BTCUSDT"], 8_000, 5, defects=defects)
    assert digest(tmp_path) == GOLDEN[defects]


def test_same_arguments_same_bytes(injected: Simulation, tmp_path: Path) -> None:
    simulate(tmp_path, DAYS, INSTRUMENTS, TRADES, SEED, quotes=True, injections=60)
    names = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len(names) > 40
    assert all((tmp_path / name).read_bytes() == (injected.out / name).read_bytes() for name in names)


def test_a_calm_market_is_calm(clean: Simulation) -> None:
    assert sum(number for days in clean.trades.values() for number in days.values()) == TRADES
    assert clean.injections == ()
    assert "injections" not in json.loads((clean.out / MANIFEST_NAME).read_text())
    for instrument, day in itertools.product(SYMBOLS, DAYS):
        trades, quotes = (rows(clean, instrument, stream, day) for stream in ("trades", "quotes"))
        assert len(trades) == clean.trades[instrument][day]
        for found in (trades, quotes):
            times = [(int(row["timestamp"]), int(row["local_timestamp"])) for row in found]
            assert times == sorted(times)
            assert all(20_000 < received - happened < 1_000_000 for happened, received in times)
            assert all(datetime.fromtimestamp(received / 1e6, UTC).date() == day for _, received in times)
        assert all(float(row["bid_price"]) < float(row["ask_price"]) for row in quotes)
        # A trade is at the quote that stood then, or one tick outside.
        stood = iter(quotes)
        bid = ask = 0.0
        coming = next(stood)
        for trade in trades:
            while coming is not None and int(coming["timestamp"]) <= int(trade["timestamp"]):
                bid, ask, coming = float(coming["bid_price"]), float(coming["ask_price"]), next(stood, None)
            assert bid * 0.999 < float(trade["price"]) < ask * 1.001
    ids = [int(row["id"]) for day in DAYS for row in rows(clean, COINBASE, "trades", day)]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert clean.trades[COINBASE][DAYS[1]] < 0.85 * clean.trades[COINBASE][DAYS[0]], "a Saturday"


def test_places_are_apart_and_every_kind_has_its_share(injected: Simulation) -> None:
    assert len(injected.injections) == 60
    assert [one.number for one in injected.injections] == list(range(60))
    counts = Counter(one.kind for one in injected.injections)
    usual = {name for name, kind in INJECTED.items() if not kind.is_seasonal} - {"file-missing"}
    assert set(counts) - {"file-missing"} == usual
    assert max(counts[kind] for kind in usual) - min(counts[kind] for kind in usual) <= 1
    for instrument in INSTRUMENTS:
        spans = sorted((one.since, one.until) for one in injected.injections if one.instrument == instrument)
        assert all(later[0] - earlier[1] >= timedelta(minutes=30) for earlier, later in itertools.pairwise(spans))


def test_outside_of_injections_all_is_as_without(clean: Simulation, injected: Simulation) -> None:
    """Ids run on otherwise after an outage, and so may nothing else."""
    for instrument, stream, day in itertools.product(SYMBOLS, ("trades", "quotes"), DAYS):
        concerned = [one for one in injected.injections if one.instrument == instrument and stream in one.streams and one.day == day]
        if any(one.kind == "file-missing" for one in concerned):
            continue

        def elsewhere(simulation: Simulation) -> list[tuple[str, ...]]:
            edges = [(microseconds(one.since) - 60_000_000, microseconds(one.until) + 60_000_000) for one in concerned]  # noqa: B023
            found = rows(simulation, instrument, stream, day)  # noqa: B023
            kept = [row for row in found if not any(since <= int(row["timestamp"]) < until for since, until in edges)]
            return [tuple(value for name, value in row.items() if name not in {"id", "local_timestamp"}) for row in kept]

        # A spike of the price moves the quotes of its minute too.
        if not any(one.kind == "spike-price" and one.day == day and one.instrument == instrument for one in injected.injections):
            assert elsewhere(clean) == elsewhere(injected)


def test_missing_ids_are_missing_and_nothing_else(injected: Simulation) -> None:
    missing = {number for one in of_kind(injected, "gap", "late") for a, b in one.ids for number in range(a, b + 1)}
    late = {number for one in of_kind(injected, "late") for a, b in one.ids for number in range(a, b + 1)}
    whole = {one.day for one in injected.injections if one.kind == "file-missing" and one.instrument == COINBASE}
    days = [day for day in DAYS if day not in whole]
    ids = {int(row["id"]) for day in days for row in rows(injected, COINBASE, "trades", day) if row["id"].isdecimal()}
    for one in injected.injections:
        if one.kind == "file-missing" and one.instrument == COINBASE:
            missing |= set(range(one.ids[0][0], one.ids[0][1] + 1))
    assert set(range(min(ids), max(ids) + 1)) - ids == missing
    held = [each.path for each in injected.files if each.is_held_back and each.instrument == COINBASE]
    assert {int(row["id"]) for path in held for row in csv.DictReader(io.StringIO(text_of(path).decode()))} == late
    assert {one.other_file for one in of_kind(injected, "late")} == {path.relative_to(injected.out).as_posix() for path in held}


def test_rows_of_each_kind_are_as_it_says(injected: Simulation) -> None:
    for one in of_kind(injected, "crossed", "locked"):
        for row in (found := inside(rows(injected, one.instrument, "quotes", one.day), one)):
            assert (float(row["bid_price"]) > float(row["ask_price"])) == (one.kind == "crossed")
            assert (row["bid_price"] == row["ask_price"]) == (one.kind == "locked")
        assert len(found) == one.rows
    for one in of_kind(injected, "frozen"):
        found = inside(rows(injected, one.instrument, one.streams[0], one.day), one)
        values = {tuple(value for name, value in row.items() if name not in {"timestamp", "local_timestamp", "id"}) for row in found}
        assert len(values) == 1
        assert len(found) == one.rows >= 10
    for one in of_kind(injected, "dead"):
        assert inside(rows(injected, one.instrument, one.streams[0], one.day), one) == []
    for one in of_kind(injected, "block-duplicate", "duplicate"):
        found = inside(rows(injected, one.instrument, one.streams[0], one.day), one)
        alike = Counter(tuple(value for name, value in row.items() if name != "local_timestamp") for row in found)
        assert set(alike.values()) == {2}
        assert len(alike) == one.rows
    for one in of_kind(injected, "clock-skew", "late-rows"):
        lags = [
            int(row["local_timestamp"]) - int(row["timestamp"])
            for stream in one.streams
            for row in inside(rows(injected, one.instrument, stream, one.day), one)
        ]
        assert one.size is not None
        assert all(one.size * 1e6 < lag < one.size * 1e6 + 1_000_000 for lag in lags)
        assert len(lags) == one.rows
    for one in of_kind(injected, "disorder"):
        times = [(int(row["id"]), int(row["timestamp"])) for row in rows(injected, one.instrument, "trades", one.day)]
        backwards = [later for earlier, later in itertools.pairwise(sorted(times)) if later[1] < earlier[1]]
        assert any(microseconds(one.since) <= time < microseconds(one.until) for _, time in backwards)


def test_an_outage_misses_no_id(injected: Simulation) -> None:
    for one in of_kind(injected, "outage"):
        found = rows(injected, one.instrument, "trades", one.day)
        assert inside(found, one) == []
        before = max(int(row["id"]) for row in found if int(row["timestamp"]) < microseconds(one.since))
        assert before + 1 in {int(row["id"]) for row in found}


def test_seasonal_injections_come_after_history(tmp_path: Path) -> None:
    made = simulate(tmp_path / "a", DAYS, [COINBASE], 8_000, 3, quotes=True, seasonal=True, injections=6, history=3)
    plain = simulate(tmp_path / "b", DAYS, [COINBASE], 8_000, 3, quotes=True, seasonal=True)
    assert {one.day for one in made.injections} == {DAYS[3]}
    assert {one.kind for one in made.injections} == {"activity-burst", "activity-drop", "wide-spread"}
    for one in made.injections:
        found, usual = (inside(rows(each, COINBASE, "quotes", one.day), one) for each in (made, plain))
        if one.kind == "wide-spread":
            spreads = [sum(float(row["ask_price"]) - float(row["bid_price"]) for row in each) / len(each) for each in (found, usual)]
            assert one.size is not None
            assert spreads[0] == pytest.approx(one.size * spreads[1], rel=0.1)
        else:
            assert one.size is not None
            assert len(found) == pytest.approx(one.size * len(usual), rel=0.5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"injected_kinds": ["flood"], "injections": 1}, "no such injection: flood"),
        ({"injections": 10_000, "injected_kinds": ["spike-price"]}, "no room"),
        ({"injected_kinds": ["crossed"], "injections": 1}, "no instrument can carry crossed"),
        ({"defects": ["gap"]}, "defects of a day"),
        ({"injected_kinds": ["block-duplicate"], "injections": 4, "quotes": True, "trades": 3}, ""),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, given: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"trades": 3_000, **given}
    if not message:
        simulate(tmp_path, [START], [COINBASE], seed=1, **arguments)  # type: ignore[arg-type]  # any of them
        return
    with pytest.raises(ValueError, match=message):
        simulate(tmp_path, [START], [COINBASE], seed=1, **arguments)  # type: ignore[arg-type]  # any of them
