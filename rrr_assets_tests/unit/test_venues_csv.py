"""Parsers of CSV: the Binance archive and ccapi, and the cutting of lines below them."""

import gzip
import hashlib
import random
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
from rrr_assets.venues import content, csv_text, registry
from rrr_assets.venues.base import ParsedBatch, Source, SourceFacts, SourceRefused

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SPOT = "BTCUSDT-trades-2024-01-02.csv"
SPOT_ROW = "3300000001,42000.10000000,0.00100000,42.00010000,1704153600123,True,True"
USDM_ROW = "4500000001,42000.1,0.001,42.0001,1704153600123,true"
BAR = (
    "1680652800000,28165.47000000,28167.91000000,28164.41000000,28164.42000000,24.81600000,"
    "1680652859999,698992.29715030,616,10.78311000,303728.16012220,0"
)


def read(fmt: str, path: Path, **given: object) -> tuple[SourceFacts, list[ParsedBatch]]:
    source = Source(path, str(given.pop("name", path.name)), **given)  # type: ignore[arg-type]  # tests name fields
    parser = registry.get(fmt)
    facts = parser.inspect(source)
    batches = list(parser.parse(source, facts))
    for batch in batches:
        batch.rows.validate(full=True)
        assert batch.rows.schema == SCHEMAS[facts.stream]
        assert batch.refused.schema == REFUSED_ROWS
    return facts, batches


def rows(batches: list[ParsedBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.rows.to_pylist()]


def refused(batches: list[ParsedBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.refused.to_pylist()]


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@contextmanager
def small_blocks() -> Iterator[None]:
    """Blocks of a few lines, so that small inputs cross many block borders."""
    before = content.BLOCK_BYTES, content.BLOCK_LINES
    content.BLOCK_BYTES, content.BLOCK_LINES = 256, 3  # type: ignore[misc]  # a constant, but for this
    try:
        yield
    finally:
        content.BLOCK_BYTES, content.BLOCK_LINES = before  # type: ignore[misc]


def test_spot_trade_is_read_exactly(tmp_path: Path) -> None:
    facts, batches = read("binance-vision-trades", write(tmp_path, SPOT, SPOT_ROW + "\n"))
    assert (facts.instrument, facts.space, facts.time_unit) == ("binance:BTCUSDT", "trade_id", "ms")
    assert facts.declared == (date(2024, 1, 2), date(2024, 1, 3))
    assert rows(batches) == [
        {
            "line": 1,
            "instrument": "binance:BTCUSDT",
            "sequence": 3300000001,
            "event_time": datetime(2024, 1, 2, 0, 0, 0, 123000, UTC),
            "event_time_ns": None,
            "price": Decimal("42000.1"),
            "size": Decimal("0.001"),
            "side": "sell",
            "conditions": None,
            "received_at": None,
        }
    ]


@pytest.mark.parametrize(
    ("name", "header", "row", "instrument"),
    [
        ("BTCUSDT-trades-2024-01.csv", "id,price,qty,quote_qty,time,is_buyer_maker", USDM_ROW, "binance-usdm:BTCUSDT"),
        ("BTCUSDT_240628-trades-2024-01.csv", None, USDM_ROW, "binance-usdm:BTCUSDT240628"),
        ("BTCUSD_PERP-trades-2024-01.csv", "id,price,qty,base_qty,time,is_buyer_maker", USDM_ROW, "binance-coinm:BTCUSDPERP"),
        ("BTCUSD_240628-trades-2024-01.csv", None, USDM_ROW, "binance-coinm:BTCUSD240628"),
    ],
)
def test_market_is_told_by_columns_and_symbol(tmp_path: Path, name: str, header: str | None, row: str, instrument: str) -> None:
    facts, batches = read("binance-vision-trades", write(tmp_path, name, "\n".join(filter(None, [header, row])) + "\n"))
    assert facts.instrument == instrument
    assert facts.declared == (date(2024, 1, 1), date(2024, 2, 1))
    assert [row["line"] for row in rows(batches)] == [2 if header else 1]
    assert not refused(batches)


def test_unit_of_time_is_told_row_by_row(tmp_path: Path) -> None:
    text = "\n".join(
        SPOT_ROW.replace("1704153600123", time) for time in ["1704153600123", "1704153600123456", "1704153600", "1704153600123456789"]
    )
    _, batches = read("binance-vision-trades", write(tmp_path, SPOT, text + "\n"))
    assert [row["event_time"] for row in rows(batches)] == [datetime(2024, 1, 2, 0, 0, 0, us, UTC) for us in (123000, 123456)]
    assert [(row["line"], row["reason"]) for row in refused(batches)] == [(3, "time"), (4, "time")]


BAD_ROWS = {
    "": None,
    "1,2,3": "columns",
    SPOT_ROW + ",7": "columns",
    SPOT_ROW.replace("42000.10000000", "nan"): "not_a_number",
    SPOT_ROW.replace("42000.10000000", '"42000'): "not_a_number",
    SPOT_ROW.replace("42000.10000000", "42000.1000000000001"): "scale",
    SPOT_ROW.replace("42000.10000000", "1e30"): "scale",
    SPOT_ROW.replace("0.00100000", "0"): "not_positive",
    SPOT_ROW.replace("0.00100000", "-1"): "not_positive",
    SPOT_ROW.replace("1704153600123", "1104153600123"): "time",
    SPOT_ROW.replace("1704153600123", "99999999999999999999"): "time",
    SPOT_ROW.replace("3300000001", ""): "missing_id",
    SPOT_ROW.replace("3300000001", "x"): "missing_id",
    SPOT_ROW.replace("True,True", "maybe,True"): "side",
    SPOT_ROW.replace("42000", "42\x00000"): "encoding",
    SPOT_ROW.replace("42000", "42\r000"): "encoding",
    SPOT_ROW.replace("42000", "\u0664\u0662"): "not_a_number",
    "\ufeff" + SPOT_ROW: "encoding",
}


@pytest.mark.parametrize(("bad", "reason"), BAD_ROWS.items())
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_bad_row_costs_no_good_one(tmp_path: Path, bad: str, reason: str | None, end: str) -> None:
    _, batches = read("binance-vision-trades", write(tmp_path, SPOT, end.join([SPOT_ROW, bad, SPOT_ROW, ""])))
    assert [row["line"] for row in rows(batches)] == [1, 3]
    assert [(row["line"], row["reason"]) for row in refused(batches)] == ([(2, reason)] if reason else [])
    assert sum(batch.passed_over for batch in batches) == (0 if reason else 1)


def test_refused_row_keeps_its_bytes_and_what_was_understood(tmp_path: Path) -> None:
    raw = SPOT_ROW.encode().replace(b"0.00100000", b"0.\xff\x00")
    long = SPOT_ROW.replace("0.00100000", "9" * 100_000)
    _, batches = read(
        "binance-vision-trades",
        write(tmp_path, SPOT, b"\n".join([SPOT_ROW.encode(), raw, long.encode(), SPOT_ROW.replace("0.001", "x").encode(), b""])),
    )
    first, second, third = refused(batches)
    assert first["raw"] == SPOT_ROW.replace("0.00100000", "0.\\xff\\x00")
    assert str(second["raw"]).endswith(f" [cut: {len(long)} bytes in all]")
    assert len(str(second["raw"])) < 66_000
    assert third["instrument"] == "binance:BTCUSDT"
    assert third["sequence"] == 3300000001
    assert third["event_time"] == datetime(2024, 1, 2, 0, 0, 0, 123000, UTC)
    assert "qty" in str(third["detail"])
    assert "'x00000'" in str(third["detail"])


prices = st.decimals(min_value=Decimal("0.000000000001"), max_value=Decimal(10**15), places=12)
sizes = st.decimals(min_value=Decimal("0.000000000000000001"), max_value=Decimal(10**15), places=18)
micros = st.integers(1_325_376_000_000_000, 1_735_689_600_000_000)
trades = st.lists(st.tuples(st.integers(0, 2**62), prices, sizes, micros, st.booleans()), min_size=1, max_size=30)
junk = st.lists(st.tuples(st.integers(0, 30), st.sampled_from([text for text, reason in BAD_ROWS.items() if reason])), max_size=8)


@settings(max_examples=60, deadline=None)
@given(trades=trades, junk=junk, crlf=st.booleans(), ending=st.booleans())
def test_written_trades_come_back_exactly(
    trades: list[tuple[int, Decimal, Decimal, int, bool]], junk: list[tuple[int, str]], crlf: bool, ending: bool
) -> None:
    lines: list[tuple[str, tuple[int, Decimal, Decimal, int, bool] | None]] = [
        (f"{i},{plain(p)},{plain(q)},1,{t},{'True' if m else 'False'},True", (i, p, q, t, m)) for i, p, q, t, m in trades
    ]
    for place, text in junk:
        at = min(place, len(lines) - 1)
        # At the start of a file a byte order mark is none of the row.
        if at or not text.startswith("\ufeff"):
            lines.insert(at, (text, None))
    end = "\r\n" if crlf else "\n"
    text = end.join(line for line, _ in lines) + (end if ending else "")
    with TemporaryDirectory() as folder, small_blocks():
        _, batches = read("binance-vision-trades", write(Path(folder), SPOT, text))
    expected = [
        (n, i, EPOCH + timedelta(microseconds=t), p, q, "sell" if m else "buy")
        for n, (_, row) in enumerate(lines, 1)
        if row
        for i, p, q, t, m in [row]
    ]
    assert [tuple(row[k] for k in ("line", "sequence", "event_time", "price", "size", "side")) for row in rows(batches)] == expected
    assert [row["line"] for row in refused(batches)] == [n for n, (_, row) in enumerate(lines, 1) if row is None]


@settings(max_examples=100, deadline=None)
@given(
    data=st.lists(
        st.sampled_from([b"1,2,3", b"a,,c", b"", b"\r", b"x", b"1,2,3,4", b'"1,2', b'1,"2,3', b"\xff,1,2", b"\x00,,", b"1,2,\r3"]),
        min_size=1,
    )
)
def test_line_numbers_hold_whatever_the_lines(data: list[bytes]) -> None:
    text = b"\n".join(data)
    found = csv_text.cut(content.Block(10, text + b"\n"), "abc", "abc", [])
    whole = {
        n: line for n, line in enumerate(data, 10) if line.count(b",") == 2 and line.isascii() and b"\r" not in line and b"\x00" not in line
    }
    assert found.rows.lines.tolist() == list(whole)
    assert [",".join(texts).encode() for texts in zip(*(found.rows.columns[name].to_pylist() for name in "abc"), strict=True)] == list(
        whole.values()
    )
    assert len(found.misfits) + found.passed_over + len(whole) == len(data)
    assert all(found.rows.raw(line).encode() == raw for line, raw in whole.items())


@settings(max_examples=60)
@given(
    data=st.lists(st.sampled_from([b"", b"\r", SPOT_ROW.encode(), b"\xff\x00", b"x" * 600, "\u0664".encode()]), min_size=1, max_size=20),
    wanted=st.lists(st.integers(-1, 25)),
    ending=st.booleans(),
    bom=st.booleans(),
)
def test_raw_lines(data: list[bytes], wanted: list[int], ending: bool, bom: bool) -> None:
    data = [*data, b"last"]
    text = b"\n".join(data) + (b"\n" if ending else b"")
    with TemporaryDirectory() as folder, small_blocks():
        source = Source(write(Path(folder), "a", (b"\xef\xbb\xbf" if bom else b"") + text), "a")
        found = registry.get("binance-vision-klines").raw_lines(source, wanted)
    assert found == {n: content.raw_text(data[n - 1]) for n in wanted if 1 <= n <= len(data)}


def test_raw_lines_are_those_of_refused_rows(tmp_path: Path) -> None:
    files = {
        "binance-vision-trades": (SPOT, "\n".join([SPOT_ROW, *BAD_ROWS, SPOT_ROW])),
        "binance-vision-klines": ("BTCUSDT-1m-2023-04-05.csv", "\n".join([BAR, BAR + ",1", "junk"])),
        "ccapi": (CCAPI, f"{CCAPI_HEADER}\n1625097621.647,x,0.0409,1\n1625097621.647,1"),
    }
    for fmt, (name, text) in files.items():
        path = write(tmp_path, name, text + "\n")
        raws = {int(str(row["line"])): str(row["raw"]) for row in refused(read(fmt, path)[1])}
        assert len(raws) > 1
        assert registry.get(fmt).raw_lines(Source(path, name), sorted(raws)) == raws


def test_raw_lines_are_read_no_further_than_they_lie(tmp_path: Path) -> None:
    noise = random.Random(7)
    text = b"".join(b"%d,%s\n" % (n, noise.randbytes(500).hex().encode()) for n in range(1, 2001))
    path = write(tmp_path, "a.gz", gzip.compress(text, mtime=0)[:-100])
    with small_blocks():
        assert set(content.raw_lines(Source(path, "a.gz"), [3, 1])) == {1, 3}
        with pytest.raises(SourceRefused, match="truncated"):
            content.raw_lines(Source(path, "a.gz"), [2000])


def test_packing_does_not_matter(tmp_path: Path) -> None:
    text = f"{SPOT_ROW}\n{USDM_ROW}\n{SPOT_ROW}\n"
    plain_file = write(tmp_path, SPOT, b"\xef\xbb\xbf" + text.encode())
    packed = write(tmp_path, f"{SPOT}.gz", gzip.compress(text.encode()))
    archive = tmp_path / "renamed.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(SPOT, text)
    results = [read("binance-vision-trades", path) for path in (plain_file, packed, archive)]
    assert len({facts.declared for facts, _ in results}) == 1
    assert rows(results[0][1]) == rows(results[1][1]) == rows(results[2][1])
    assert [row["line"] for row in refused(results[2][1])] == [2]


def test_checksum_beside_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, SPOT, SPOT_ROW + "\n")
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    write(tmp_path, f"{SPOT}.CHECKSUM", f"{right}  {SPOT}\n")
    assert read("binance-vision-trades", path)[0].sha256 == right
    write(tmp_path, f"{SPOT}.CHECKSUM", f"{'0' * 64}  {SPOT}\n")
    with pytest.raises(SourceRefused, match=r"sha256.*remove the .CHECKSUM"):
        read("binance-vision-trades", path)
    write(tmp_path, f"{SPOT}.CHECKSUM", "<html>")
    with pytest.raises(SourceRefused, match="holds no sha256"):
        read("binance-vision-trades", path)


def _zip(*names: str) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name in names:
                file.writestr(name, SPOT_ROW + "\n")
        return path.read_bytes()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\n\n  \n", "empty"),
        (b"<!DOCTYPE html>\n<html>", "HTML"),
        (b"\xff\xfe1\x00,\x00", "UTF-16"),
        (bytes(range(256)) * 20, "binary"),
        (b"\x28\xb5\x2f\xfd123", "zstd"),
        (b"deadbeef" * 100, "starts with 'deadbeef"),
        (BAR.encode() + b"\n", "looks like binance-vision-klines"),
        (b"1625097621.647,2278.15,0.0409,1\n", "looks like ccapi"),
        (b"5,1.0,2.0,3,4,1704153600123,True\n", "aggregated"),
        (SPOT_ROW.encode() + b"\n" + SPOT_ROW.encode()[:-20], "truncated"),
        (SPOT_ROW.encode() + b"\n" + SPOT_ROW.encode()[:-2], "truncated"),
        (gzip.compress(SPOT_ROW.encode(), mtime=0)[:-9], "truncated or damaged"),
        (_zip(SPOT)[:-30], "truncated or damaged"),
        (_zip("a.csv", "b.csv"), "exactly one"),
        (_zip("a.exe"), "exactly one"),
        (_zip("BTCUSDT-trades-2024-01-03.csv"), "file inside it is named"),
    ],
)
def test_a_bad_file_is_refused_whole(tmp_path: Path, data: bytes, reason: str) -> None:
    path = write(tmp_path, SPOT, data)
    with pytest.raises(SourceRefused, match=reason) as caught:
        read("binance-vision-trades", path)
    assert caught.value.file == SPOT
    assert caught.value.remedy


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_damaged_anywhere_is_refused_or_read_all_the_same(tmp_path: Path, method: int) -> None:
    path = tmp_path / "BTCUSDT-trades-2024-01-02.zip"
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr(zipfile.ZipInfo(SPOT), SPOT_ROW + "\n", method)
        file.writestr(zipfile.ZipInfo("README.md"), "a\n" * 9, method)
    whole = path.read_bytes()
    expected = rows(read("binance-vision-trades", path)[1])
    outcomes = set()
    for place in range(len(whole)):
        for value in (whole[place] ^ 0xFF, whole[place] ^ 0x01):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                found = rows(read("binance-vision-trades", path)[1])
            except SourceRefused as error:
                outcomes.add(error.reason.partition(" (")[0])
            else:
                assert found == expected
                outcomes.add("read")
    assert {"read", "the archive is truncated or damaged"} <= outcomes


def test_an_encrypted_member_beside_the_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-trades-2024-01-02.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(SPOT, SPOT_ROW + "\n")
        file.writestr("README.md", "x")
    whole = bytearray(path.read_bytes())
    whole[whole.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(whole)
    with pytest.raises(SourceRefused, match=r"README.md in it is encrypted"):
        read("binance-vision-trades", path)


def test_what_is_said_of_a_file_can_be_printed(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused) as caught:
        read(
            "binance-vision-trades", write(tmp_path, SPOT, "a\u2028b\x1b[31m is not what a trade looks like, and long enough to be text\n")
        )
    assert r"a\u2028b\x1b[31m" in caught.value.reason
    assert r"a\u2028b\x1b[31m" in str(caught.value)
    odd = SPOT_ROW.replace("42000.10000000", "1\u0085")
    _, batches = read("binance-vision-trades", write(tmp_path, SPOT, f"{SPOT_ROW}\n{odd}\n"))
    assert [row["detail"] for row in refused(batches)] == [r"Column price holds '1\x85', which is no decimal number."]


def test_a_damaged_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-trades-2024-01-02.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        file.writestr(SPOT, SPOT_ROW + "\n")
    path.write_bytes(path.read_bytes().replace(b"42000", b"42001"))
    with pytest.raises(SourceRefused, match="CRC"):
        read("binance-vision-trades", path)


@pytest.mark.parametrize(
    ("given_values", "reason"),
    [
        ({"instrument": "binance:ETHUSDT"}, "given as binance:ETHUSDT"),
        ({"instrument": "binance-usdm:BTCUSDT"}, "columns are those of spot"),
        ({"instrument": "gemini:BTCUSDT"}, "this format comes from"),
        ({"instrument": "BTCUSDT"}, "write venue:SYMBOL, such as binance:BTCUSDT"),
        ({"day": date(2024, 1, 3)}, "the day was given as 2024-01-03"),
        ({"name": "file.csv"}, "nothing says which instrument"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, given_values: dict[str, object], reason: str) -> None:
    with pytest.raises(SourceRefused, match=reason):
        read("binance-vision-trades", write(tmp_path, SPOT, SPOT_ROW + "\n"), **given_values)


def test_a_renamed_file_takes_what_is_given(tmp_path: Path) -> None:
    facts, batches = read(
        "binance-vision-trades", write(tmp_path, "x", SPOT_ROW + "\n"), instrument="binance:btc-usdt", day=date(2024, 1, 2)
    )
    assert facts.declared == (date(2024, 1, 2), date(2024, 1, 3))
    assert rows(batches)[0]["instrument"] == "binance:BTCUSDT"


def test_a_file_that_changes_after_inspection_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, SPOT, SPOT_ROW + "\n")
    source, parser = Source(path, SPOT), registry.get("binance-vision-trades")
    facts = parser.inspect(source)
    write(tmp_path, SPOT, SPOT_ROW + "\n" + SPOT_ROW + "\n")
    with pytest.raises(SourceRefused, match="changed"):
        list(parser.parse(source, facts))


def test_klines(tmp_path: Path) -> None:
    outside = BAR.replace("28164.42000000", "28164.40000000")
    off_grid = BAR.replace("1680652800000", "1680652800001")
    facts, batches = read("binance-vision-klines", write(tmp_path, "BTCUSDT-1m-2023-04-05.csv", f"{BAR}\n{outside}\n{off_grid}\n"))
    assert (facts.interval, facts.instrument, facts.space) == ("1m", "binance:BTCUSDT", None)
    assert rows(batches) == [
        {
            "line": 1,
            "instrument": "binance:BTCUSDT",
            "interval": "1m",
            "bar_start": datetime(2023, 4, 5, tzinfo=UTC),
            "open": Decimal("28165.47"),
            "high": Decimal("28167.91"),
            "low": Decimal("28164.41"),
            "close": Decimal("28164.42"),
            "volume": Decimal("24.816"),
            "quote_volume": Decimal("698992.2971503"),
            "vwap": None,
            "trade_count": 616,
            "taker_buy_volume": Decimal("10.78311"),
            "taker_buy_quote_volume": Decimal("303728.1601222"),
            "is_closed": True,
        }
    ]
    assert [(row["line"], row["reason"]) for row in refused(batches)] == [(2, "bar_bounds"), (3, "bar_bounds")]


def test_klines_of_coin_margined_futures_have_no_quote_volume(tmp_path: Path) -> None:
    header = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
    facts, batches = read("binance-vision-klines", write(tmp_path, "BTCUSD_PERP-1m-2023-04-05.csv", f"{header}\n{BAR}\n"))
    assert facts.instrument == "binance-coinm:BTCUSDPERP"
    assert rows(batches)[0]["quote_volume"] is None
    assert rows(batches)[0]["taker_buy_quote_volume"] is None
    assert rows(batches)[0]["taker_buy_volume"] == Decimal("10.78311")


def test_klines_tell_their_market_and_interval_or_ask(tmp_path: Path) -> None:
    futures = BAR.replace("000000,", ",")
    with pytest.raises(SourceRefused, match="its market is not known"):
        read("binance-vision-klines", write(tmp_path, "BTCUSDT-1m-2023-04-05.csv", futures + "\n"))
    facts, _ = read("binance-vision-klines", write(tmp_path, "x.csv", futures + "\n"), instrument="binance-usdm:BTCUSDT")
    assert facts.interval == "1m"
    with pytest.raises(SourceRefused, match="named for klines of 5m, but holds klines of 1m"):
        read("binance-vision-klines", write(tmp_path, "BTCUSDT-5m-2023-04-05.csv", BAR + "\n"))


CCAPI = "gemini__eth-usd__2021-07-01__trade.csv"
CCAPI_HEADER = "time_seconds,price,size,is_buyer_maker"


def test_one_damaged_kline_says_nothing_of_the_market(tmp_path: Path) -> None:
    damaged = BAR.replace("28165.47000000", "28165.470")
    others = "".join(BAR.replace("1680652800000", str(1680652800000 + 60_000 * n)) + "\n" for n in (1, 2))
    facts, batches = read("binance-vision-klines", write(tmp_path, "BTCUSDT-1m-2023-04-05.csv", f"{damaged}\n{others}"))
    assert (facts.instrument, len(rows(batches))) == ("binance:BTCUSDT", 3)


def test_ordinals_count_every_line_of_a_microsecond(tmp_path: Path) -> None:
    lines = [
        CCAPI_HEADER,
        "1625097621.647,2278.15,0.0409,1",
        "1625097622,1,1,0",
        "1625097621.647,2278.15,0.0409,1",
        "1625097621.647,x,0.0409,1",
        "1625097621.647,1",
        "1625097621.6470001,2278.15,0.0409,0",
        "junk,1,1,1",
        "1625097621.6470009999,1,1,1",
    ]
    with small_blocks():
        facts, batches = read("ccapi", write(tmp_path, CCAPI, "\n".join(lines) + "\n"))
    assert (facts.instrument, facts.space, facts.time_unit) == ("gemini:ETHUSD", "ordinal", "s")
    assert facts.declared == (date(2021, 7, 1), date(2021, 7, 2))
    first = 1625097621647000 * 4096
    assert [(row["line"], row["sequence"], row["event_time_ns"]) for row in rows(batches)] == [
        (2, first, None),
        (3, 1625097622000000 * 4096, None),
        (4, first + 1, None),
        (7, first + 4, 1625097621647000100),
    ]
    assert [(row["line"], row["reason"], row["sequence"]) for row in refused(batches)] == [
        (5, "not_a_number", first + 2),
        (6, "columns", first + 3),
        (8, "time", None),
        (9, "time", None),
    ]


@settings(max_examples=60, deadline=None)
@given(
    times=st.lists(st.integers(1_625_097_600_000_000, 1_625_097_600_000_004), min_size=1, max_size=60), broken=st.sets(st.integers(0, 59))
)
def test_ordinals_equal_a_count_in_source_order(times: list[int], broken: set[int]) -> None:
    lines = [f"{t // 10**6}.{t % 10**6:06d},{'x' if n in broken else 1},1,0" for n, t in enumerate(times)]
    expected = [t * 4096 + times[:n].count(t) for n, t in enumerate(times)]
    with TemporaryDirectory() as folder, small_blocks():
        _, batches = read("ccapi", write(Path(folder), CCAPI, "\n".join([CCAPI_HEADER, *lines]) + "\n"))
    found = {row["line"]: row["sequence"] for row in rows(batches) + refused(batches)}
    assert [found[n] for n in range(2, len(times) + 2)] == expected


def test_more_rows_than_ordinals(tmp_path: Path) -> None:
    _, batches = read("ccapi", write(tmp_path, CCAPI, CCAPI_HEADER + "\n" + "1625097621,1,1,0\n" * 4098))
    assert len(rows(batches)) == 4096
    assert [(row["line"], row["reason"], row["sequence"]) for row in refused(batches)] == [
        (n, "ordinal_overflow", None) for n in (4098, 4099)
    ]


def test_batches_are_bounded(tmp_path: Path) -> None:
    path = write(tmp_path, CCAPI, "".join(f"{1625097600 + n},1,1,0\n" for n in range(10)))
    with small_blocks():
        _, batches = read("ccapi", path)
    assert [batch.rows.num_rows for batch in batches] == [3, 3, 3, 1]
    assert [row["line"] for row in rows(batches)] == list(range(1, 11))
