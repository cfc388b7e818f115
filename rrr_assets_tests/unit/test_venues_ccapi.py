"""ccapi's files of market depth. (Its files of trades: test_venues_csv.)"""

import gzip
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrr_assets.calc.numbers import plain
from rrr_assets.contracts.parsed import QUOTES, REFUSED_ROWS
from rrr_assets.venues import content
from rrr_assets.venues.base import ParsedBatch, Source, SourceFacts, SourceRefused
from rrr_assets.venues.ccapi import Ccapi

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAME = "gemini__eth-usd__2021-07-01__market-depth.csv.gz"
HEADER = "time_seconds,bid_price_bid_size,ask_price_ask_size"
ROW = "1625097600,2271.58_1.6477,2279.63_28.479526"


def read(path: Path, **given: object) -> tuple[SourceFacts, list[ParsedBatch]]:
    source = Source(path, str(given.pop("name", path.name)), **given)  # type: ignore[arg-type]  # tests name fields
    parser = Ccapi()
    facts = parser.inspect(source)
    batches = list(parser.parse(source, facts))
    for batch in batches:
        batch.rows.validate(full=True)
        assert (batch.rows.schema, batch.refused.schema) == (QUOTES, REFUSED_ROWS)
    return facts, batches


def rows(batches: list[ParsedBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.rows.to_pylist()]


def refused(batches: list[ParsedBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.refused.to_pylist()]


def write(folder: Path, *lines: str, name: str = NAME, end: str = "\n") -> Path:
    path = folder / name
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def test_quotes(tmp_path: Path) -> None:
    facts, batches = read(write(tmp_path, HEADER, ROW, "1625097601.5,,2279.86_11.74342", "1625097602,2271.58_1,2279.86_0"))
    assert (facts.stream, facts.space, facts.time_unit, facts.instrument) == ("quotes", "ordinal", "s", "gemini:ETHUSD")
    assert facts.declared == (date(2021, 7, 1), date(2021, 7, 2))
    first, without, empty = rows(batches)
    assert first == {
        "line": 2,
        "instrument": "gemini:ETHUSD",
        "sequence": 1_625_097_600_000_000 * 4096,
        "event_time": datetime(2021, 7, 1, tzinfo=UTC),
        "event_time_ns": None,
        "time_source": "local",
        "bid_price": Decimal("2271.58"),
        "bid_size": Decimal("1.6477"),
        "ask_price": Decimal("2279.63"),
        "ask_size": Decimal("28.479526"),
        "received_at": None,
    }
    assert (without["bid_price"], without["bid_size"], without["ask_price"]) == (None, None, Decimal("2279.86"))
    assert without["event_time"] == datetime(2021, 7, 1, 0, 0, 1, 500000, UTC)
    assert (empty["bid_price"], empty["ask_price"], empty["ask_size"]) == (Decimal("2271.58"), None, None)


@pytest.mark.parametrize(
    ("venue", "symbol", "instrument"),
    [
        ("okx", "btc-usdt", "okex:BTCUSDT"),
        ("okex", "btc-usdt", "okex:BTCUSDT"),
        ("okx", "btc-usdt-swap", "okex-swap:BTCUSDTSWAP"),
        ("okx", "btc-usd-210326", "okex-futures:BTCUSD210326"),
        ("bybit", "btcusdt", "bybit-spot:BTCUSDT"),
        ("bybit-derivatives", "btcusdt", "bybit:BTCUSDT"),
        ("cryptocom", "btc-usdt", "crypto-com:BTCUSDT"),
        ("gateio", "btc-usdt", "gate-io:BTCUSDT"),
        ("gateio-perpetual-futures", "btc-usdt", "gate-io-futures:BTCUSDT"),
        ("kraken-futures", "pi-xbtusd", "cryptofacilities:PIXBTUSD"),
        ("huobi-usdt-swap", "btc-usdt", "huobi-dm-linear-swap:BTCUSDT"),
        ("huobi-coin-swap", "btc-usd", "huobi-dm-swap:BTCUSD"),
        ("binance-usds-futures", "btcusdt", "binance-usdm:BTCUSDT"),
        ("bitstamp", "btc-usd", "bitstamp:BTCUSD"),
    ],
)
def test_words_for_venues(tmp_path: Path, venue: str, symbol: str, instrument: str) -> None:
    name = NAME.replace("gemini__eth-usd", f"{venue}__{symbol}")
    facts, batches = read(write(tmp_path, HEADER, ROW, name=name))
    assert (facts.instrument, [row["instrument"] for row in rows(batches)]) == (instrument, [instrument])


def test_of_several_levels_the_best_is_taken(tmp_path: Path) -> None:
    header = "time_seconds,bid_price_bid_size|...,ask_price_ask_size|..."
    sorted_levels = "1625097600,2271.58_1.6477|2271.57_9|2270_0.5,2279.63_28.479526|2279.64_1"
    other_order = "1625097600,2270_0.5|2271.58_1.6477|2271.57_9,10000_1|2279.64_1|2279.63_28.479526"
    with_empty = "1625097600,2272_0|2271.58_1.6477,2279.62_0|2279.63_28.479526|2279.61_0.0"
    for lines in ([header, sorted_levels], [sorted_levels], [other_order], [with_empty]):
        found = rows(read(write(tmp_path, *lines))[1])
        assert [row | {"line": 2} for row in found] == rows(read(write(tmp_path, HEADER, ROW))[1])


BAD_ROWS = {
    "": None,
    "1625097600,1_1": "columns",
    ROW + ",1": "columns",
    "1625097600,,": "columns",
    "1625097600,1_0,1_0": "columns",
    ROW.replace("2271.58_1.6477", "2271.58"): "levels",
    ROW.replace("2271.58_1.6477", "2271.58_"): "levels",
    ROW.replace("2271.58_1.6477", "_"): "levels",
    ROW.replace("2271.58_1.6477", "1_2_3"): "levels",
    ROW.replace("2271.58_1.6477", "|1_2"): "levels",
    ROW.replace("2271.58_1.6477", "1_2|"): "levels",
    ROW.replace("2271.58_1.6477", "2_2|x_1"): "levels",
    ROW.replace("2271.58_1.6477", "x_1"): "not_a_number",
    ROW.replace("2271.58_1.6477", "1_x"): "not_a_number",
    ROW.replace("2271.58_1.6477", "1e-999999999_1"): "scale",
    ROW.replace("2271.58_1.6477", "0_1"): "not_positive",
    ROW.replace("2271.58_1.6477", "1_-1"): "not_positive",
    ROW.replace("1625097600", "1625097600123"): "time",
    ROW.replace("1625097600", ""): "time",
    ROW.replace("_", "\x00", 1): "encoding",
}


@pytest.mark.parametrize(("bad", "reason"), BAD_ROWS.items())
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_bad_row_costs_no_good_one(tmp_path: Path, bad: str, reason: str | None, end: str) -> None:
    _, batches = read(write(tmp_path, ROW, bad, ROW, end=end))
    assert [row["line"] for row in rows(batches)] == [1, 3]
    assert [(row["line"], row["reason"]) for row in refused(batches)] == ([(2, reason)] if reason else [])
    assert sum(batch.passed_over for batch in batches) == (0 if reason else 1)


def test_ordinals_count_refused_lines(tmp_path: Path) -> None:
    _, batches = read(write(tmp_path, HEADER, ROW, "1625097600,x,1_1", "1625097600", ROW))
    first = 1_625_097_600_000_000 * 4096
    assert [row["sequence"] for row in rows(batches)] == [first, first + 3]
    assert [row["sequence"] for row in refused(batches)] == [first + 1, first + 2]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        (NAME, "", "empty"),
        (NAME, "a,b,c\n", "not ccapi"),
        (NAME, f"{HEADER}\n{ROW}\n1625097601,2271.58_1.6477,2279.63", "truncated"),
        (NAME, f"{HEADER}\n{ROW}\n1625097601,2271.58_1.6", "truncated"),
        (NAME.replace("market-depth", "trade"), f"{HEADER}\n{ROW}\n", "named for trade, but holds quotes"),
        (NAME, "time_seconds,price,size,is_buyer_maker\n1625097600,1,1,1\n", "named for market-depth, but holds trades"),
        ("x.csv", f"{HEADER}\n{ROW}\n", "nothing says which instrument"),
        (NAME.replace("gemini", "nowhere"), f"{HEADER}\n{ROW}\n", "of the venue nowhere, which is not known.*--format table"),
    ],
)
def test_a_bad_file_is_refused_whole(tmp_path: Path, name: str, text: str, reason: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(SourceRefused, match=reason) as caught:
        read(path, name=name)
    assert caught.value.remedy


def test_one_line_of_another_stream_says_nothing_of_the_file(tmp_path: Path) -> None:
    for lines in ((HEADER, "1625097600,2271.58,1,0", ROW), ("1625097600,2271.58,1,0", ROW, ROW)):
        facts, batches = read(write(tmp_path, *lines))
        assert (facts.stream, [row["reason"] for row in refused(batches)]) == ("quotes", ["columns"])


def test_a_file_holds_one_stream(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, ROW)
    assert read(path, stream="quotes") == read(path)
    with pytest.raises(SourceRefused, match="holds quotes and nothing else"):
        read(path, stream="trades")


def test_packing_does_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, ROW)
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert rows(read(packed, name=NAME)[1]) == rows(read(path)[1])


prices = st.decimals(Decimal("1e-12"), Decimal("1e20"), places=12)
sizes = st.decimals(Decimal("1e-18"), Decimal("1e15"), places=18)
sides = st.none() | st.lists(st.tuples(prices, sizes), min_size=1, max_size=3)


@given(
    quotes=st.lists(
        st.tuples(st.integers(1_625_097_600, 1_625_097_603), sides, sides).filter(lambda quote: quote[1] or quote[2]),
        min_size=1,
        max_size=20,
    ),
    junk=st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["junk", "x,1_1,2_2", ",,", "1,1_1,2_2"])), max_size=5),
)
def test_written_quotes_come_back_exactly(
    quotes: list[tuple[int, list[tuple[Decimal, Decimal]] | None, list[tuple[Decimal, Decimal]] | None]], junk: list[tuple[int, str]]
) -> None:
    lines: list[tuple[str, tuple[object, ...] | None]] = []
    for n, (second, bid, ask) in enumerate(quotes):
        texts = ["|".join(f"{plain(price)}_{plain(size)}" for price, size in side or ()) for side in (bid, ask)]
        sequence = second * 1_000_000 * 4096 + [at for at, *_ in quotes[:n]].count(second)
        best = [pick(side, key=lambda level: level[0]) if side else (None, None) for side, pick in ((bid, max), (ask, min))]
        lines.append((f"{second},{texts[0]},{texts[1]}", (sequence, EPOCH + timedelta(seconds=second), *best[0], *best[1])))
    for place, text in junk:
        lines.insert(min(place, len(lines)), (text, None))
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "BLOCK_LINES", 3)
        _, batches = read(write(Path(folder), HEADER, *(line for line, _ in lines)))
    names = ("sequence", "event_time", "bid_price", "bid_size", "ask_price", "ask_size")
    assert [(row["line"], *(row[name] for name in names)) for row in rows(batches)] == [
        (n, *values) for n, (_, values) in enumerate(lines, 2) if values
    ]
    assert [row["line"] for row in refused(batches)] == [n for n, (_, values) in enumerate(lines, 2) if values is None]


@given(data=st.lists(st.binary(max_size=40) | st.sampled_from([b",,", b"\r", b"1625097600,_,|", ROW.encode()]), max_size=20))
def test_every_line_is_a_row_or_refused_or_passed_over(data: list[bytes]) -> None:
    body = b"\n".join([HEADER.encode(), *data]) + b"\n"
    with TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        path.write_bytes(body)
        _, batches = read(path)
    found = [int(str(row["line"])) for row in rows(batches) + refused(batches)]
    assert len(set(found)) == len(found)
    assert {number for number, line in enumerate(body.split(b"\n")[1:-1], 2) if line.strip()} <= set(found)
    assert len(found) + sum(batch.passed_over for batch in batches) == body.count(b"\n")
