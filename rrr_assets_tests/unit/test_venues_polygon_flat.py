"""Polygon's flat files of crypto: trades and aggregates of many pairs."""

import gzip
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrr_assets.calc.numbers import plain
from rrr_assets.contracts.parsed import REFUSED_ROWS, SCHEMAS
from rrr_assets.venues import content
from rrr_assets.venues.base import ParsedBatch, Source, SourceFacts, SourceRefused
from rrr_assets.venues.polygon_flat import Flat

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAME = "2024-01-02.csv"
HEADER = "ticker,conditions,exchange,id,participant_timestamp,price,size"
BARS = "ticker,volume,open,close,high,low,window_start,transactions"
NS = 1704153600_123456789
ROW = f"X:BTC-USD,1,23,4500,{NS},42000.10,0.001"
MINUTE = "X:BTC-USD,0.30000000000000004,42000.1,42001,42002.5,41999,1704153600000000000,7"
BTC, ETH = "polygon:BTCUSD", "polygon:ETHUSD"
SPAN = 2**54


def read(path: Path, **said: object) -> tuple[SourceFacts, list[ParsedBatch]]:
    source = Source(path, str(said.pop("name", path.name)), **said)  # type: ignore[arg-type]  # tests name fields
    facts = Flat().inspect(source)
    batches = list(Flat().parse(source, facts))
    for batch in batches:
        batch.rows.validate(full=True)
        assert batch.rows.schema == SCHEMAS[facts.stream]
        assert batch.refused.schema == REFUSED_ROWS
    return facts, batches


def rows(batches: list[ParsedBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.rows.to_pylist()]


def refused(batches: list[ParsedBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.refused.to_pylist()]


def write(folder: Path, text: str | bytes, name: str = NAME) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def text_of(*lines: str, header: str = HEADER, end: str = "\n") -> str:
    return end.join([header, *lines, ""])


@contextmanager
def small_blocks() -> Iterator[None]:
    before = content.BLOCK_BYTES, content.BLOCK_LINES
    content.BLOCK_BYTES, content.BLOCK_LINES = 256, 3  # type: ignore[misc]  # a constant, but for this
    try:
        yield
    finally:
        content.BLOCK_BYTES, content.BLOCK_LINES = before  # type: ignore[misc]


def test_a_trade_is_read_exactly(tmp_path: Path) -> None:
    facts, batches = read(write(tmp_path, text_of(ROW)))
    assert (facts.stream, facts.space, facts.time_unit, facts.instrument) == ("trades", "exchange_trade_id", "ns", None)
    assert facts.declared == (date(2024, 1, 2), date(2024, 1, 3))
    assert rows(batches) == [
        {
            "line": 2,
            "instrument": BTC,
            "sequence": 23 * SPAN + 4500,
            "event_time": datetime(2024, 1, 2, 0, 0, 0, 123456, UTC),
            "event_time_ns": NS,
            "price": Decimal("42000.1"),
            "size": Decimal("0.001"),
            "side": "sell",
            "conditions": ["1"],
            "received_at": None,
        }
    ]


@pytest.mark.parametrize(
    ("conditions", "side", "kept"),
    [
        ("1", "sell", ["1"]),
        ("2", "buy", ["2"]),
        ('"2"', "buy", ["2"]),
        ('"7,2"', "buy", ["2", "7"]),
        ('"1, 3"', "sell", ["1", "3"]),
        ("2;7", "buy", ["2", "7"]),
        ("", None, None),
        ("0", None, ["0"]),
        ("12", None, ["12"]),
        ('"1,2"', None, ["1", "2"]),
    ],
)
def test_side_and_conditions(tmp_path: Path, conditions: str, side: str | None, kept: list[str] | None) -> None:
    _, batches = read(write(tmp_path, text_of(ROW.replace(",1,23", f",{conditions},23"))))
    assert [(row["side"], row["conditions"]) for row in rows(batches)] == [(side, kept)]


def test_columns_are_found_by_the_header(tmp_path: Path) -> None:
    text = f"price,more,id,size,exchange,ticker,participant_timestamp,conditions\n42000.1,x,4500,0.001,23,X:BTC-USD,{NS},1\n"
    _, batches = read(write(tmp_path, text))
    _, published = read(write(tmp_path, text_of(ROW)))
    assert rows(batches) == rows(published)


def test_a_file_without_header_has_the_published_order(tmp_path: Path) -> None:
    _, batches = read(write(tmp_path, f"{ROW}\n"))
    assert [(row["line"], row["price"]) for row in rows(batches)] == [(1, Decimal("42000.1"))]
    facts, batches = read(write(tmp_path, f"{MINUTE}\n", "2024-01-02-1m.csv"))
    assert (facts.interval, [row["line"] for row in rows(batches)]) == ("1m", [1])


BAD_ROWS = {
    "": None,
    "a,b": "columns",
    ROW + ",1": "columns",
    ROW + ',"1,2"': "columns",
    '""': "columns",
    ROW.replace("X:BTC-USD", ""): "columns",
    ROW.replace("X:BTC-USD", "AAPL"): "columns",
    ROW.replace("X:BTC-USD", "C:EUR-USD"): "columns",
    ROW.replace("X:BTC-USD", "X:B"): "columns",
    ROW.replace(str(NS), ""): "time",
    ROW.replace(str(NS), "1704153600"): "time",
    ROW.replace(str(NS), "1" + "0" * 30): "time",
    ROW.replace("42000.10", "nan"): "not_a_number",
    ROW.replace("42000.10", "1e-999999999"): "scale",
    ROW.replace("42000.10", "42000.1000000000001"): "scale",
    ROW.replace("42000.10", "0"): "not_positive",
    ROW.replace("0.001", "-1"): "not_positive",
    ROW.replace("0.001", ""): "not_a_number",
    ROW.replace("0.001", '"0.001'): "not_a_number",
    ROW.replace("42000", "42\x00000"): "encoding",
    ROW.replace("42000", "42\r000"): "encoding",
    HEADER: "columns",
}


@pytest.mark.parametrize(("bad", "reason"), BAD_ROWS.items())
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_bad_row_costs_no_good_one(tmp_path: Path, bad: str, reason: str | None, end: str) -> None:
    path = write(tmp_path, text_of(ROW, bad, ROW, end=end))
    facts, batches = read(path)
    assert facts.space == "exchange_trade_id"
    assert [row["line"] for row in rows(batches)] == [2, 4]
    assert [(row["line"], row["reason"]) for row in refused(batches)] == ([(3, reason)] if reason else [])
    assert sum(batch.passed_over for batch in batches) == (1 if reason else 2)
    raws = {int(str(row["line"])): str(row["raw"]) for row in refused(batches)}
    assert Flat().raw_lines(Source(path, path.name), sorted(raws)) == raws


@pytest.mark.parametrize("number", ["", "1b254a48-7258-4465-8215-2610ccf9ab21", str(SPAN), "-1", "1.0"])
def test_one_trade_without_id_makes_places_the_identity_of_all(tmp_path: Path, number: str) -> None:
    facts, batches = read(write(tmp_path, text_of(ROW, ROW, ROW.replace("4500", number), ROW.replace("BTC", "ETH"))))
    assert facts.space == "ordinal"
    first = NS // 1000 * 4096
    assert [(row["instrument"], row["sequence"]) for row in rows(batches)] == [
        (BTC, first),
        (BTC, first + 1),
        (BTC, first + 2),
        (ETH, first),
    ]


@pytest.mark.parametrize("exchange", ["", "x", "512", "-1"])
def test_an_exchange_that_is_none_makes_no_id(tmp_path: Path, exchange: str) -> None:
    assert read(write(tmp_path, text_of(ROW, ROW.replace(",23,", f",{exchange},"))))[0].space == "ordinal"


def test_the_largest_id_fits(tmp_path: Path) -> None:
    facts, batches = read(write(tmp_path, text_of(ROW.replace(",23,4500,", f",511,{SPAN - 1},"), ROW.replace(",23,4500,", ",0,0,"))))
    assert facts.space == "exchange_trade_id"
    assert [row["sequence"] for row in rows(batches)] == [2**63 - 1, 0]


def test_ordinals_count_refused_rows_of_the_instrument(tmp_path: Path) -> None:
    lines = [
        ROW.replace("4500", "x"),
        ROW.replace("4500", "x").replace("42000.10", "0"),  # refused, and counted
        ROW.replace("BTC", "ETH"),
        ROW + ",one,more",  # refused, and its time still stands in its place
        "X:BTC-USD,1",  # refused, and nobody knows its time
        ROW,
    ]
    path = write(tmp_path, text_of(*lines))
    with small_blocks():
        _, batches = read(path)
    first = NS // 1000 * 4096
    assert [(row["line"], row["instrument"], row["sequence"] - first) for row in rows(batches)] == [  # type: ignore[operator]  # a number
        (2, BTC, 0),
        (4, ETH, 0),
        (7, BTC, 3),
    ]
    assert [(row["line"], row["instrument"], row["sequence"]) for row in refused(batches)] == [
        (3, BTC, first + 1),
        (5, BTC, first + 2),
        (6, BTC, None),
    ]


def test_more_rows_than_ordinals(tmp_path: Path) -> None:
    _, batches = read(write(tmp_path, text_of(*[ROW.replace("4500", "x")] * 4097, ROW.replace("BTC", "ETH"))))
    assert [(row["line"], row["reason"]) for row in refused(batches)] == [(4098, "ordinal_overflow")]
    assert len(rows(batches)) == 4097


def test_one_line_of_another_file_says_nothing_of_this_one(tmp_path: Path) -> None:
    facts, batches = read(write(tmp_path, text_of(MINUTE, ROW, header=BARS)))
    assert (facts.stream, [row["line"] for row in rows(batches)], [row["line"] for row in refused(batches)]) == ("venue_bars", [2], [3])
    facts, batches = read(write(tmp_path, text_of(MINUTE, MINUTE, header=ROW)))
    assert (facts.stream, [row["line"] for row in rows(batches)], [row["line"] for row in refused(batches)]) == ("venue_bars", [2, 3], [1])


def test_one_instrument_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path, text_of(ROW, ROW.replace("BTC", "ETH").replace("4500", "x"), "junk", ROW.replace("X:BTC-USD", "?")))
    facts, batches = read(path, instrument="polygon:btc-usd")
    # Without a number is only a trade of another instrument.
    assert (facts.instrument, facts.space) == (BTC, "exchange_trade_id")
    assert [row["line"] for row in rows(batches)] == [2]
    assert [row["line"] for row in refused(batches)] == [4, 5]
    assert sum(batch.passed_over for batch in batches) == 2
    with pytest.raises(SourceRefused, match=r"holds polygon:BTCUSD, polygon:ETHUSD, and nothing of polygon:SOLUSD"):
        read(write(tmp_path, text_of(ROW, ROW.replace("BTC", "ETH"))), instrument="polygon:SOLUSD")


@pytest.mark.parametrize(("number", "unit"), [("1704153600123", "ms"), ("1704153600123456", "us"), (str(NS), "ns")])
def test_unit_of_time_is_told_by_its_magnitude(tmp_path: Path, number: str, unit: str) -> None:
    facts, batches = read(write(tmp_path, text_of(ROW.replace(str(NS), "?"), ROW.replace(str(NS), number))))
    assert facts.time_unit == unit
    assert [row["event_time_ns"] for row in rows(batches)] == [NS if unit == "ns" else None]
    assert [row["event_time"] for row in rows(batches)] == [datetime(2024, 1, 2, 0, 0, 0, 123000 if unit == "ms" else 123456, UTC)]


def test_minutes(tmp_path: Path) -> None:
    later = MINUTE.replace("1704153600", "1704153660").replace("BTC", "ETH")
    facts, batches = read(write(tmp_path, text_of(MINUTE, later, later.replace("1704153660", "1704153720"), header=BARS)))
    assert (facts.stream, facts.space, facts.interval, facts.time_unit) == ("venue_bars", None, "1m", "ns")
    assert [(row["line"], row["instrument"]) for row in rows(batches)] == [(2, BTC), (3, ETH), (4, ETH)]
    assert rows(batches)[0] == {
        "line": 2,
        "instrument": BTC,
        "interval": "1m",
        "bar_start": datetime(2024, 1, 2, tzinfo=UTC),
        "open": Decimal("42000.1"),
        "high": Decimal("42002.5"),
        "low": Decimal(41999),
        "close": Decimal(42001),
        "volume": Decimal("0.30000000000000004"),
        "quote_volume": None,
        "vwap": None,
        "trade_count": 7,
        "taker_buy_volume": None,
        "taker_buy_quote_volume": None,
        "is_closed": True,
    }


@pytest.mark.parametrize(
    ("name", "starts", "interval"),
    [
        ("2024-01-02.csv", ["1704153600000000000"] * 3, "1d"),
        ("2024-01-02-1m.csv", ["1704153600000000000"] * 3, "1m"),
        ("minute_aggs_v1_2024-01-02.csv", ["1704153600000000000"] * 3, "1m"),
        ("day_aggs_v1_2024-01-02.csv", ["1704153600000000000"] * 3, "1d"),
        ("2024-01-02.csv", ["1704153600000000000", "1704153660000000000", "1704153720000000000"], "1m"),
        ("day_aggs_v1_2024-01-02.csv", ["1704153660000000000"], "they start within the day"),
        ("2024-01-02-5m.csv", ["1704153600000000000"], "which these files never hold"),
        ("2024-01-02.csv", ["1704153600000000000", "1704153600000000000", "1704153660000000000"], "interval is not known"),
    ],
)
def test_interval_of_aggregates(tmp_path: Path, name: str, starts: list[str], interval: str) -> None:
    path = write(tmp_path, text_of(*(MINUTE.replace("1704153600000000000", start) for start in starts), header=BARS), name)
    if len(interval) == 2:
        facts, batches = read(path)
        assert (facts.interval, facts.declared) == (interval, (date(2024, 1, 2), date(2024, 1, 3)))
        assert len(rows(batches)) == 3
    else:
        with pytest.raises(SourceRefused, match=interval):
            read(path)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (MINUTE.replace("1704153600", "1704153601"), "bar_bounds"),
        (MINUTE.replace("1704153600000000000", "1704153600000000001"), "bar_bounds"),
        (MINUTE.replace("41999", "42000.5"), "bar_bounds"),
        (MINUTE.replace("X:BTC-USD", "AAPL"), "columns"),
        (MINUTE + ",1", "columns"),
        (MINUTE.replace(",7", ","), "not_a_number"),
        (MINUTE.replace("0.30000000000000004", "-1"), "not_positive"),
        (MINUTE.replace("0.30000000000000004", "0.3000000000000000444"), "scale"),
        (MINUTE.replace("1704153600000000000", "x"), "time"),
    ],
)
def test_a_bad_bar_costs_no_good_one(tmp_path: Path, bad: str, reason: str) -> None:
    later = MINUTE.replace("1704153600", "1704153660")
    other = later.replace("BTC", "ETH")
    _, batches = read(write(tmp_path, text_of(later, bad, other, later, header=BARS), "2024-01-02-1m.csv"))
    assert [(row["line"], row["instrument"]) for row in rows(batches)] == [(2, BTC), (4, ETH), (5, BTC)]
    assert [(row["line"], row["reason"], row["instrument"]) for row in refused(batches)] == [(3, reason, None if "AAPL" in bad else BTC)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html></html>", "HTML"),
        (b"1625097621.647,2278.15,0.0409,1\n", "looks like ccapi"),
        (text_of(ROW.replace("X:BTC-USD", "AAPL")).encode(), "such as 'AAPL', are not of crypto"),
        (text_of(MINUTE.replace("X:BTC-USD", "C:EUR-USD"), header=BARS).encode(), "not of crypto"),
        (f"{HEADER},id\n{ROW},1\n".encode(), "it is not polygon-flat"),
        ((text_of(ROW) + ROW[:-9]).encode(), "truncated"),
        (gzip.compress(text_of(ROW).encode(), mtime=0)[:-9], "truncated or damaged"),
    ],
)
def test_a_bad_file_is_refused_whole(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(SourceRefused, match=reason) as caught:
        read(write(tmp_path, data))
    assert caught.value.file == NAME
    assert caught.value.remedy


def test_what_is_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match="holds trades and nothing else"):
        read(write(tmp_path, text_of(ROW)), stream="quotes")
    with pytest.raises(SourceRefused, match="comes from polygon"):
        read(write(tmp_path, text_of(ROW)), instrument="binance:BTCUSDT")
    with pytest.raises(SourceRefused, match="is no day"):
        read(write(tmp_path, text_of(ROW), "2024-02-30.csv"))
    assert read(write(tmp_path, text_of(ROW)), stream="trades")[0].stream == "trades"


def test_packing_does_not_matter(tmp_path: Path) -> None:
    text = text_of(ROW, "junk", ROW).encode()
    archive = tmp_path / "2024-01-02.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(NAME, text)
    results = [
        read(path) for path in (write(tmp_path, b"\xef\xbb\xbf" + text), write(tmp_path, gzip.compress(text), f"{NAME}.gz"), archive)
    ]
    assert {facts.declared for facts, _ in results} == {(date(2024, 1, 2), date(2024, 1, 3))}
    assert rows(results[0][1]) == rows(results[1][1]) == rows(results[2][1])
    assert [row["line"] for row in refused(results[1][1])] == [3]


def test_recognition() -> None:
    assert Flat().recognises(text_of(ROW))
    assert Flat().recognises(text_of(MINUTE, header=BARS))
    assert Flat().recognises(ROW)
    assert not Flat().recognises(text_of(ROW.replace("X:BTC-USD", "AAPL")))
    assert not Flat().recognises("id,price,qty,quote_qty,time,is_buyer_maker\n")
    assert not Flat().recognises("")


prices = st.decimals(min_value=Decimal("0.000000000001"), max_value=Decimal(10**15), places=12)
sizes = st.decimals(min_value=Decimal("0.000000000000000001"), max_value=Decimal(10**15), places=18)
nanos = st.integers(1_325_376_000_000_000_000, 1_735_689_600_000_000_000)
trades = st.tuples(st.sampled_from([BTC, ETH]), st.integers(0, 511), st.integers(0, SPAN - 1), nanos, prices, sizes, st.sampled_from("123"))
junk = st.lists(st.tuples(st.integers(0, 30), st.sampled_from([text for text, reason in BAD_ROWS.items() if reason])), max_size=8)


@settings(max_examples=60, deadline=None)
@given(written=st.lists(trades, min_size=1, max_size=30), junk=junk, crlf=st.booleans(), ending=st.booleans(), quoted=st.booleans())
def test_written_trades_come_back_exactly(
    written: list[tuple[str, int, int, int, Decimal, Decimal, str]],
    junk: list[tuple[int, str]],
    crlf: bool,
    ending: bool,
    quoted: bool,
) -> None:
    mark = '"' if quoted else ""
    lines: list[tuple[str, tuple[str, int, int, int, Decimal, Decimal, str] | None]] = [
        (f"X:{name[8:11]}-USD,{mark}{c}{mark},{x},{mark}{i}{mark},{t},{plain(p)},{plain(q)}", (name, x, i, t, p, q, c))
        for name, x, i, t, p, q, c in written
    ]
    for place, text in junk:
        lines.insert(min(place, len(lines) - 1), (text, None))
    end = "\r\n" if crlf else "\n"
    with TemporaryDirectory() as folder, small_blocks():
        text = text_of(*(line for line, _ in lines), end=end)
        facts, batches = read(write(Path(folder), text if ending else text.removesuffix(end)))
    assert facts.space == "exchange_trade_id"
    expected = [
        (n, name, x * SPAN + i, EPOCH + timedelta(microseconds=t // 1000), t if t % 1000 else None, p, q, {"1": "sell", "2": "buy"}.get(c))
        for n, (_, row) in enumerate(lines, 2)
        if row
        for name, x, i, t, p, q, c in [row]
    ]
    names = ("line", "instrument", "sequence", "event_time", "event_time_ns", "price", "size", "side")
    assert [tuple(row[name] for name in names) for row in rows(batches)] == expected
    assert [row["line"] for row in refused(batches)] == [n for n, (_, row) in enumerate(lines, 2) if row is None]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.sampled_from([ROW.encode(), b'"', b"X:BTC-USD,", b",", b"\n", b"\r"]), st.binary(max_size=20)), max_size=30))
def test_no_bytes_break_it(parts: list[bytes]) -> None:
    data = text_of(ROW).encode() + b"".join(parts) + b"\n"
    with TemporaryDirectory() as folder, small_blocks():
        _, batches = read(write(Path(folder), data))
    taken = len(rows(batches)) + len(refused(batches)) + sum(batch.passed_over for batch in batches)
    assert taken == data.count(b"\n")
    blank = sum(not line.removesuffix(b"\r").strip(b" \t") for line in data.split(b"\n")[:-1])
    assert sum(batch.passed_over for batch in batches) == blank + 1
