"""Kraken's downloadable history."""

import gzip
import zipfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrr_assets.calc.numbers import plain
from rrr_assets.contracts.parsed import REFUSED_ROWS, SCHEMAS
from rrr_assets.venues import content
from rrr_assets.venues.base import ParsedBatch, Source, SourceFacts, SourceRefused
from rrr_assets.venues.kraken_csv import History

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TRADE = "1600000000,10341.60000,0.02000000"
BAR = "1600000200,10341.6,10350.0,10340.1,10345.5,1.25000000,17"


def read(path: Path, **given: object) -> tuple[SourceFacts, list[ParsedBatch]]:
    source = Source(path, str(given.pop("name", path.name)), **given)  # type: ignore[arg-type]  # tests name fields
    parser = History()
    facts = parser.inspect(source)
    batches = list(parser.parse(source, facts))
    for batch in batches:
        batch.rows.validate(full=True)
        assert (batch.rows.schema, batch.refused.schema) == (SCHEMAS[facts.stream], REFUSED_ROWS)
    return facts, batches


def rows(batches: list[ParsedBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.rows.to_pylist()]


def refused(batches: list[ParsedBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.refused.to_pylist()]


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def bars(count: int, step: int, first: int = 1_600_000_200) -> str:
    return "".join(f"{first + n * step},1,2,1,2,3,4\n" for n in range(count))


def test_trades(tmp_path: Path) -> None:
    facts, batches = read(write(tmp_path, "XXBTZUSD.csv", f"{TRADE}\n{TRADE}\n1600000000.1234567,1,2\n"))
    assert (facts.stream, facts.space, facts.time_unit, facts.instrument) == ("trades", "ordinal", "s", "kraken:XBTUSD")
    assert (facts.declared, facts.interval) == (None, None)
    first, second, third = rows(batches)
    assert first == {
        "line": 1,
        "instrument": "kraken:XBTUSD",
        "sequence": 1_600_000_000_000_000 * 4096,
        "event_time": datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC),
        "event_time_ns": None,
        "price": Decimal("10341.6"),
        "size": Decimal("0.02"),
        "side": None,
        "conditions": None,
        "received_at": None,
    }
    assert second == first | {"line": 2, "sequence": 1_600_000_000_000_000 * 4096 + 1}
    assert third["event_time_ns"] == 1_600_000_000_123_456_700
    assert third["sequence"] == 1_600_000_000_123_456 * 4096


def test_bars(tmp_path: Path) -> None:
    facts, batches = read(write(tmp_path, "XBTUSD_5.csv", BAR + "\n"))
    assert (facts.stream, facts.space, facts.interval, facts.instrument) == ("venue_bars", None, "5m", "kraken:XBTUSD")
    assert facts.declared is None
    [bar] = rows(batches)
    assert bar == {
        "line": 1,
        "instrument": "kraken:XBTUSD",
        "interval": "5m",
        "bar_start": datetime(2020, 9, 13, 12, 30, tzinfo=UTC),
        "open": Decimal("10341.6"),
        "high": Decimal(10350),
        "low": Decimal("10340.1"),
        "close": Decimal("10345.5"),
        "volume": Decimal("1.25"),
        "quote_volume": None,
        "vwap": None,
        "trade_count": 17,
        "taker_buy_volume": None,
        "taker_buy_quote_volume": None,
        "is_closed": True,
    }


@pytest.mark.parametrize(
    ("minutes", "interval"), [(1, "1m"), (5, "5m"), (15, "15m"), (30, "30m"), (60, "1h"), (240, "4h"), (720, "12h"), (1440, "1d")]
)
def test_the_name_says_the_interval(tmp_path: Path, minutes: int, interval: str) -> None:
    facts, batches = read(write(tmp_path, f"ETHXBT_{minutes}.csv", bars(30, minutes * 60, 1_599_955_200)))
    assert (facts.interval, facts.instrument, len(rows(batches))) == (interval, "kraken:ETHXBT", 30)


@pytest.mark.parametrize(
    ("name", "instrument"),
    [
        ("XBTUSD.csv.gz", "kraken:XBTUSD"),
        ("xbtusdt.csv", "kraken:XBTUSDT"),
        ("XETHZEUR", "kraken:ETHEUR"),
        ("1INCHUSD.csv", "kraken:1INCHUSD"),
        ("/a/b/ADA.SETH.csv", "kraken:ADASETH"),
        ("XBTUSDG.csv", "kraken:XBTUSDG"),
        ("XBTUSDQ.csv", "kraken:XBTUSDQ"),
        ("ETHUSDR.csv", "kraken:ETHUSDR"),
        ("XBTEURQ.csv", "kraken:XBTEURQ"),
        ("XBTEURR.csv", "kraken:XBTEURR"),
        ("USDTAED.csv", "kraken:USDTAED"),
    ],
)
def test_names_of_pairs(tmp_path: Path, name: str, instrument: str) -> None:
    assert read(write(tmp_path, "file", TRADE + "\n"), name=name)[0].instrument == instrument


def test_what_is_given(tmp_path: Path) -> None:
    path = write(tmp_path, "data.csv", TRADE + "\n")
    facts, _ = read(path, instrument="kraken:xbt/usd", day=date(2020, 9, 13), stream="trades")
    assert (facts.instrument, facts.declared) == ("kraken:XBTUSD", (date(2020, 9, 13), date(2020, 9, 14)))
    with pytest.raises(SourceRefused, match="nothing says which instrument"):
        read(path)
    with pytest.raises(SourceRefused, match="comes from kraken"):
        read(path, instrument="binance:BTCUSDT")
    with pytest.raises(SourceRefused, match="holds kraken:ETHUSD, but"):
        read(path, name="ETHUSD.csv", instrument="kraken:XBTUSD")
    with pytest.raises(SourceRefused, match="holds trades and nothing else"):
        read(path, name="ETHUSD.csv", stream="venue_bars")


BAD_TRADES = {
    "": None,
    "1600000000,1": "columns",
    "1600000000,1,2,b": "columns",
    "timestamp,price,volume": "time",
    "1600000000123,1,2": "time",
    "1600000000.1234567891,1,2": "time",
    "-1600000000,1,2": "time",
    "1600000000,x,2": "not_a_number",
    "1600000000,1e-999999999,2": "scale",
    "1600000000,0,2": "not_positive",
    "1600000000,1,-2": "not_positive",
    "1600000000,1,": "not_a_number",
    "1600000000,1\x00,2": "encoding",
}
BAD_BARS = {
    "": None,
    BAR.rpartition(",")[0]: "columns",
    TRADE: "columns",
    BAR.replace("1600000200", "1600000201"): "bar_bounds",
    BAR.replace("10350.0", "10345.0"): "bar_bounds",
    BAR.replace("1600000200", "1600000200000"): "time",
    BAR.replace(",17", ",1.7"): "not_a_number",
    BAR.replace(",17", ",-1"): "not_a_number",
    BAR.replace("1.25000000", "-1"): "not_positive",
}


@pytest.mark.parametrize(
    ("name", "good", "bad", "reason"),
    [("XBTUSD.csv", TRADE, *item) for item in BAD_TRADES.items()] + [("XBTUSD_5.csv", BAR, *item) for item in BAD_BARS.items()],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_bad_row_costs_no_good_one(tmp_path: Path, name: str, good: str, bad: str, reason: str | None, end: str) -> None:
    _, batches = read(write(tmp_path, name, end.join([good, bad, good, good, ""])))
    assert [row["line"] for row in rows(batches)] == [1, 3, 4]
    assert [(row["line"], row["reason"]) for row in refused(batches)] == ([(2, reason)] if reason else [])
    assert sum(batch.passed_over for batch in batches) == (0 if reason else 1)


def test_ordinals_count_refused_lines(tmp_path: Path) -> None:
    _, batches = read(write(tmp_path, "XBTUSD.csv", f"{TRADE}\n1600000000,x,1\n1600000000\n{TRADE}\n1600000001,1,1\n"))
    first = 1_600_000_000_000_000 * 4096
    assert [row["sequence"] for row in rows(batches)] == [first, first + 3, first + 1_000_000 * 4096]
    assert [row["sequence"] for row in refused(batches)] == [first + 1, first + 2]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("XBTUSD.csv", "", "empty"),
        ("XBTUSD.csv", "a,b,c\n", "not kraken-csv"),
        ("XBTUSD.csv", f"{TRADE}\n1600000001,10341.6", "truncated"),
        ("XBTUSD.csv", f"{TRADE}\n1600000001,10341.6,0.", "truncated"),
        ("XBTUSD_5.csv", f"{BAR}\n{BAR[:-2]}", "truncated"),
        ("XBTUSD_5.csv", TRADE + "\n", "named for bars of 5m, but holds trades"),
        ("XBTUSD.csv", BAR + "\n", "nothing says of which interval"),
        ("XBTUSD_7.csv", BAR + "\n", "no venue has bars of 7 minutes"),
        ("XBTUSD_5.csv", bars(30, 60), "start at times of another interval"),
        ("XBTUSD_5.csv", bars(30, 900), "start at times of another interval"),
    ],
)
def test_a_bad_file_is_refused_whole(tmp_path: Path, name: str, text: str, reason: str) -> None:
    with pytest.raises(SourceRefused, match=reason) as caught:
        read(write(tmp_path, name, text))
    assert caught.value.remedy


def test_packing_does_not_matter(tmp_path: Path) -> None:
    text = f"{BAR}\n{TRADE}\n{BAR}"
    archive = tmp_path / "bars.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("history/XBTUSD_5.csv", text)
    packed = write(tmp_path, "XBTUSD_5.csv.gz", gzip.compress(text.encode()))
    plain_file = write(tmp_path, "XBTUSD_5.csv", text)
    found = [read(path) for path in (archive, packed, plain_file)]
    assert {(facts.instrument, facts.interval) for facts, _ in found} == {("kraken:XBTUSD", "5m")}
    assert rows(found[0][1]) == rows(found[1][1]) == rows(found[2][1])
    with pytest.raises(SourceRefused, match="file inside it is named"):
        read(archive, name="ETHUSD_5.zip")


def test_raw_lines_are_those_of_refused_rows(tmp_path: Path) -> None:
    path = write(tmp_path, "XBTUSD.csv", "\n".join([TRADE, *BAD_TRADES, ""]))
    raws = {int(str(row["line"])): str(row["raw"]) for row in refused(read(path)[1])}
    assert len(raws) == len(BAD_TRADES) - 1
    assert History().raw_lines(Source(path, path.name), sorted(raws)) == raws


prices = st.decimals(Decimal("1e-12"), Decimal("1e20"), places=12)
sizes = st.decimals(Decimal("1e-18"), Decimal("1e15"), places=18)


@given(
    trades=st.lists(st.tuples(st.integers(1_600_000_000_000_000, 1_600_000_000_000_003), prices, sizes), min_size=1, max_size=30),
    junk=st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["junk", "1,2", "x,1,2", ",,", "1600000000000,1,2"])), max_size=5),
)
def test_written_trades_come_back_exactly(trades: list[tuple[int, Decimal, Decimal]], junk: list[tuple[int, str]]) -> None:
    expected: list[tuple[str, tuple[object, ...] | None]] = [
        (
            f"{t // 10**6}.{t % 10**6:06d},{plain(price)},{plain(size)}",
            (t * 4096 + [at for at, *_ in trades[:n]].count(t), EPOCH + timedelta(microseconds=t), price, size),
        )
        for n, (t, price, size) in enumerate(trades)
    ]
    for place, text in junk:
        expected.insert(min(place, len(expected)), (text, None))
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "BLOCK_LINES", 3)
        _, batches = read(write(Path(folder), "XBTUSD.csv", "".join(f"{line}\n" for line, _ in expected)))
    assert [tuple(row[name] for name in ("line", "sequence", "event_time", "price", "size")) for row in rows(batches)] == [
        (n, *values) for n, (_, values) in enumerate(expected, 1) if values
    ]
    assert [row["line"] for row in refused(batches)] == [n for n, (_, values) in enumerate(expected, 1) if values is None]


@given(data=st.lists(st.binary(max_size=40) | st.sampled_from([b",,", b"\r", b"," * 6, BAR.encode()]), max_size=20), is_bars=st.booleans())
def test_every_line_is_a_row_or_refused_or_passed_over(data: list[bytes], *, is_bars: bool) -> None:
    body = b"\n".join([*[(BAR if is_bars else TRADE).encode()] * 25, *data]) + b"\n"
    with TemporaryDirectory() as folder:
        _, batches = read(write(Path(folder), "XBTUSD_5.csv" if is_bars else "XBTUSD.csv", body))
    found = [int(str(row["line"])) for row in rows(batches) + refused(batches)]
    assert len(set(found)) == len(found)
    assert {number for number, line in enumerate(body.split(b"\n")[:-1], 1) if line.strip()} <= set(found)
    assert len(found) + sum(batch.passed_over for batch in batches) == body.count(b"\n")
