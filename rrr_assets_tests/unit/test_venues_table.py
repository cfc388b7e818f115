"""Tables of one's own, CSV and Parquet, read by a mapping."""

import gzip
import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrr_assets.calc.numbers import plain
from rrr_assets.contracts.parsed import REFUSED_ROWS, SCHEMAS
from rrr_assets.venues import content
from rrr_assets.venues.base import ParsedBatch, Source, SourceFacts, SourceRefused
from rrr_assets.venues.table import Table
from rrr_assets.venues.table_mapping import is_mapping, mapping_beside

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BTC, ETH = "kraken:XBTUSD", "kraken:ETHUSD"
TRADES = """
stream: trades
instrument: kraken:xbt-usd
columns: {price: px, size: amount}
time: {column: ts, unit: ms}
side: {column: side, buy: b, sell: [s, S]}
id: nr
"""
HEADER = "nr,ts,px,amount,side,note"
ROW = "7,1704153600123,42000.10,0.001,b,hello"
AT = datetime(2024, 1, 2, 0, 0, 0, 123000, UTC)
FIRST = 1704153600123000 * 4096


def read(path: Path, **said: object) -> tuple[SourceFacts, list[ParsedBatch]]:
    source = Source(path, path.name, **said)  # type: ignore[arg-type]  # tests name fields
    facts = Table().inspect(source)
    batches = list(Table().parse(source, facts))
    for batch in batches:
        batch.rows.validate(full=True)
        assert batch.rows.schema == SCHEMAS[facts.stream]
        assert batch.refused.schema == REFUSED_ROWS
    return facts, batches


def rows(batches: list[ParsedBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.rows.to_pylist()]


def refused(batches: list[ParsedBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.refused.to_pylist()]


def write(folder: Path, mapping: str, text: str | bytes, name: str = "mine.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.with_name(f"{name}.mapping.yaml").write_text(mapping, "utf-8")
    return path


def write_parquet(folder: Path, mapping: str, name: str = "mine.parquet", **columns: object) -> Path:
    path = folder / name
    pq.write_table(pa.table(columns), path, write_page_checksum=True)
    path.with_name(f"{name}.mapping.yaml").write_text(mapping, "utf-8")
    return path


def text_of(*lines: str, header: str = HEADER, end: str = "\n") -> str:
    return end.join([header, *lines, ""])


def with_(mapping: str, **keys: str) -> str:
    """The mapping with some of its keys said otherwise; an empty value takes the key away."""
    kept = [line for line in mapping.strip().splitlines() if line.partition(":")[0] not in keys]
    return "\n".join([*kept, *(f"{key}: {value}" for key, value in keys.items() if value), ""])


@contextmanager
def small_blocks() -> Iterator[None]:
    before = content.BLOCK_BYTES, content.BLOCK_LINES
    content.BLOCK_BYTES, content.BLOCK_LINES = 256, 3  # type: ignore[misc]  # a constant, but for this
    try:
        yield
    finally:
        content.BLOCK_BYTES, content.BLOCK_LINES = before  # type: ignore[misc]


def test_a_trade_is_read_exactly(tmp_path: Path) -> None:
    facts, batches = read(write(tmp_path, TRADES, text_of(ROW)))
    assert (facts.stream, facts.space, facts.time_unit, facts.instrument) == ("trades", "trade_id", "ms", BTC)
    assert facts.declared is None
    assert rows(batches) == [
        {
            "line": 2,
            "instrument": BTC,
            "sequence": 7,
            "event_time": AT,
            "event_time_ns": None,
            "price": Decimal("42000.1"),
            "size": Decimal("0.001"),
            "side": "buy",
            "conditions": None,
            "received_at": None,
        }
    ]


def test_everything_a_mapping_can_say_of_trades(tmp_path: Path) -> None:
    mapping = """
stream: trades
instrument: {venue: kraken, symbol: pair}
columns: {price: px, size: amount, conditions: note}
time: {column: at, unit: iso, zone: UTC}
received_at: {column: got, unit: s}
side: {column: maker, buy: [yes, 1], sell: [no], unknown: ["", "?"], is_makers: true}
delimiter: tab
names: [at, got, pair, px, amount, maker, note]
days: [2024-01-01, 2024-01-02]
"""
    lines = [
        "2024-01-02T00:00:00.123456789Z\t1704153600.5\tXBT/USD\t1.5\t2\tyes\tb, a",
        '2024-01-02 02:00:00+02:00\t\teth-usd\t"1.5"\t2\tno\t"say ""hi"""',
        "2024-01-02\t1704153600\tXBT/USD\t1.5\t2\t\t",
    ]
    facts, batches = read(write(tmp_path, mapping, "\n".join(lines)))
    assert (facts.space, facts.time_unit, facts.instrument) == ("ordinal", "ns", None)
    assert facts.declared == (date(2024, 1, 1), date(2024, 1, 3))
    midnight = datetime(2024, 1, 2, tzinfo=UTC)
    names = ("line", "instrument", "event_time", "event_time_ns", "side", "conditions", "received_at")
    assert [tuple(row[name] for name in names) for row in rows(batches)] == [
        (1, BTC, midnight + timedelta(microseconds=123456), 1704153600_123456789, "sell", ["a", "b"], midnight + timedelta(seconds=0.5)),
        (2, ETH, midnight, None, "buy", ['say "hi"'], None),
        (3, BTC, midnight, None, None, None, midnight),
    ]
    assert [row["sequence"] for row in rows(batches)] == [(1704153600_000000 + more) * 4096 for more in (123456, 0, 0)]


BAD_ROWS = {
    "": None,
    "1,2": "columns",
    ROW + ",": "columns",
    ROW + ',"x, ""y"",z"': "columns",
    '""': "columns",
    ROW.replace("7,", "x,"): "missing_id",
    ROW.replace("7,", ","): "missing_id",
    ROW.replace("7,", f"{2**63},"): "missing_id",
    ROW.replace("1704153600123", "1704153600"): "time",
    ROW.replace("1704153600123", "2024-01-02"): "time",
    ROW.replace("1704153600123", "1704153600123.1234567"): "time",
    ROW.replace("42000.10", "42,000"): "columns",
    ROW.replace("42000.10", '"42,000"'): "not_a_number",
    ROW.replace("42000.10", "1e-999999999"): "scale",
    ROW.replace("42000.10", "-1"): "not_positive",
    ROW.replace("0.001", "0"): "not_positive",
    ROW.replace("0.001", '"0.001'): "not_a_number",
    ROW.replace(",b,", ",B,"): "side",
    ROW.replace(",b,", ",,"): "side",
    ROW.replace("hello", "\x00"): "encoding",
}


@pytest.mark.parametrize(("bad", "reason"), BAD_ROWS.items())
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_bad_row_costs_no_good_one(tmp_path: Path, bad: str, reason: str | None, end: str) -> None:
    path = write(tmp_path, TRADES, text_of(ROW, bad, ROW, end=end))
    _, batches = read(path)
    assert [row["line"] for row in rows(batches)] == [2, 4]
    assert [(row["line"], row["reason"], row["instrument"]) for row in refused(batches)] == ([(3, reason, BTC)] if reason else [])
    assert sum(batch.passed_over for batch in batches) == (1 if reason else 2)
    raws = {int(str(row["line"])): str(row["raw"]) for row in refused(batches)}
    assert Table().raw_lines(Source(path, path.name), sorted(raws)) == raws


def test_ordinals_count_refused_rows_of_the_instrument(tmp_path: Path) -> None:
    mapping = with_(TRADES, id="", instrument="{venue: kraken, symbol: note}")
    btc, eth = ROW.replace("hello", "XBTUSD"), ROW.replace("hello", "ETH-USD")
    lines = [btc, btc.replace("42000.10", "0"), eth, btc + ",more", btc.replace("XBTUSD", "?"), btc]
    path = write(tmp_path, mapping, text_of(*lines))
    with small_blocks():
        facts, batches = read(path)
    assert facts.space == "ordinal"
    assert [(row["line"], row["instrument"], row["sequence"]) for row in rows(batches)] == [
        (2, BTC, FIRST),
        (4, ETH, FIRST),
        (7, BTC, FIRST + 3),
    ]
    assert [(row["line"], row["reason"], row["instrument"], row["sequence"]) for row in refused(batches)] == [
        (3, "not_positive", BTC, FIRST + 1),
        (5, "columns", BTC, FIRST + 2),
        (6, "columns", None, FIRST),
    ]


@pytest.mark.parametrize("venue", ["bitstamp", "okex-swap", "newvenue"])
def test_a_table_may_be_of_any_venue(tmp_path: Path, venue: str) -> None:
    one = write(tmp_path, with_(TRADES, instrument=f"{venue}:btc/usd"), text_of(ROW), "one.csv")
    many = write(tmp_path, with_(TRADES, instrument=f"{{venue: {venue}, symbol: note}}"), text_of(ROW.replace("hello", "BTC-USD")))
    for path in (one, many):
        for given_instrument in (None, f"{venue}:BTCUSD"):
            assert [row["instrument"] for row in rows(read(path, instrument=given_instrument)[1])] == [f"{venue}:BTCUSD"]
    with pytest.raises(SourceRefused, match=f"holds {venue}:BTCUSD, but the instrument was given as other:BTCUSD"):
        read(one, instrument="other:BTCUSD")


def test_one_instrument_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path, with_(TRADES, instrument="{venue: kraken, symbol: note}"), text_of(ROW.replace("hello", "XBTUSD")))
    facts, batches = read(path, instrument=BTC)
    assert (facts.instrument, len(rows(batches))) == (BTC, 1)
    with pytest.raises(SourceRefused, match="holds kraken:XBTUSD, and nothing of kraken:ETHUSD"):
        read(path, instrument=ETH)
    with pytest.raises(SourceRefused, match="says that it holds kraken:XBTUSD"):
        read(write(tmp_path, TRADES, text_of(ROW)), instrument=ETH)
    _, batches = read(write(tmp_path, with_(TRADES, instrument="{venue: kraken, symbol: note}"), text_of(
        ROW.replace("hello", "XBTUSD"), ROW.replace("hello", "ETHUSD"), "?")), instrument=ETH)  # fmt: skip
    assert ([row["line"] for row in rows(batches)], [row["line"] for row in refused(batches)]) == ([3], [4])
    assert sum(batch.passed_over for batch in batches) == 2


@pytest.mark.parametrize(
    ("unit", "text", "at", "precision"),
    [
        ("s", "1704153600", "2024-01-02 00:00:00", "s"),
        ("s", "1704153600.123", "2024-01-02 00:00:00.123", "ms"),
        ("s", "1704153600.123456789", "2024-01-02 00:00:00.123456", "ns"),
        ("ms", "1704153600123.4", "2024-01-02 00:00:00.1234", "us"),
        ("us", "1704153600123456", "2024-01-02 00:00:00.123456", "us"),
        ("ns", "1704153600123456789", "2024-01-02 00:00:00.123456", "ns"),
        ("iso", "2024-01-02T00:00", "2024-01-02 00:00:00", "s"),
        ("iso", "2024-01-02T00:00:00.5Z", "2024-01-02 00:00:00.5", "ms"),
        ("iso", "2024-01-01 19:00:00.123456-0500", "2024-01-02 00:00:00.123456", "us"),
        ("iso", "2024-01-02T05:30:00+05:30", "2024-01-02 00:00:00", "s"),
        ("iso", "2024-01-02T01:00:00+01", "2024-01-02 00:00:00", "s"),
    ],
)
def test_units_of_time(tmp_path: Path, unit: str, text: str, at: str, precision: str) -> None:
    path = write(tmp_path, with_(TRADES, time=f"{{column: ts, unit: {unit}}}"), text_of(ROW.replace("1704153600123", text)))
    facts, batches = read(path)
    assert refused(batches) == []
    assert [row["event_time"] for row in rows(batches)] == [datetime.fromisoformat(f"{at}+00:00")]
    assert facts.time_unit == precision


@pytest.mark.parametrize(
    "text", ["2024-02-30T00:00:00", "2024-01-02T25:00:00", "2024-01-02T00:00:00.1234567890", "1970-01-01", "9999-01-01", "02.01.2024", ""]
)
def test_no_time_of_iso_8601(tmp_path: Path, text: str) -> None:
    good = ROW.replace("1704153600123", "2024-01-02")
    path = write(tmp_path, with_(TRADES, time="{column: ts, unit: iso}"), text_of(good, ROW.replace("1704153600123", text), good))
    assert [(row["line"], row["reason"]) for row in refused(read(path)[1])] == [(3, "time")]


def test_quotes(tmp_path: Path) -> None:
    mapping = """
stream: quotes
instrument: coinbase:BTC-USD
columns: {bid_price: b, bid_size: bq, ask_price: a, ask_size: aq}
time: {column: t, unit: us}
id: u
"""
    lines = [
        "1704153600123456,1,42000.1,0.5,42000.2,0.25",
        "1704153600123456,2,,0.5,42000.2,",
        "1704153600123456,3,42000.1,0,42000.2,0.25",
        "1704153600123456,4,,,,",
        "1704153600123456,5,-1,1,2,1",
    ]
    facts, batches = read(write(tmp_path, mapping, text_of(*lines, header="t,u,b,bq,a,aq")))
    assert (facts.space, facts.time_unit) == ("update_id", "us")
    found = [tuple(row[name] for name in ("sequence", "bid_price", "bid_size", "ask_price", "ask_size")) for row in rows(batches)]
    bid, ask = (Decimal("42000.1"), Decimal("0.5")), (Decimal("42000.2"), Decimal("0.25"))
    assert found == [(1, *bid, *ask), (2, None, None, ask[0], None), (3, None, None, *ask)]
    assert rows(batches)[0]["time_source"] == "venue"
    assert [(row["line"], row["reason"]) for row in refused(batches)] == [(5, "columns"), (6, "not_positive")]
    unsized = with_(mapping, columns="{bid_price: b, ask_price: a}", id="")
    facts, batches = read(write(tmp_path, unsized, text_of(*lines[:2], header="t,u,b,bq,a,aq")))
    assert facts.space == "ordinal"
    assert [(row["bid_size"], row["ask_size"]) for row in rows(batches)] == [(None, None)] * 2


def test_aggregated_trades(tmp_path: Path) -> None:
    mapping = with_(TRADES, stream="agg_trades", columns="{price: px, size: amount, first_trade_id: f, last_trade_id: l}")
    lines = ["7,1704153600123,42000.10,0.001,b,10,12", "8,1704153600123,42000.10,0.001,s,12,11"]
    facts, batches = read(write(tmp_path, mapping, text_of(*lines, header="nr,ts,px,amount,side,f,l")))
    assert (facts.stream, facts.space) == ("agg_trades", "aggregate_id")
    assert [(row["sequence"], row["first_trade_id"], row["last_trade_id"], row["side"]) for row in rows(batches)] == [(7, 10, 12, "buy")]
    assert [(row["line"], row["reason"]) for row in refused(batches)] == [(3, "missing_id")]


BARS = """
stream: venue_bars
interval: 1h
instrument: {venue: gemini, symbol: s}
columns: {open: o, high: h, low: l, close: c, volume: v, vwap: w}
time: {column: t, unit: s}
"""


def test_bars(tmp_path: Path) -> None:
    lines = [
        "BTCUSD,1704153600.000000001,1,4,0.5,2,10,1.5",
        "BTCUSD,1704153600,1,4,0.5,2,10,1.5",
        "ETHUSD,1704153600,1,4,0.5,2,0,",
        "BTCUSD,1704153660,1,4,0.5,2,10,1.5",
        "BTCUSD,1704157200,1,1.5,0.5,2,10,1.5",
        "?,1704157200,1,4,0.5,2,10,1.5",
        "BTCUSD,1704157200",
    ]
    facts, batches = read(write(tmp_path, BARS, text_of(*lines, header="s,t,o,h,l,c,v,w")))
    assert (facts.stream, facts.space, facts.interval) == ("venue_bars", None, "1h")
    assert [(row["instrument"], row["vwap"], row["trade_count"], row["is_closed"]) for row in rows(batches)] == [
        ("gemini:BTCUSD", Decimal("1.5"), None, True),
        ("gemini:ETHUSD", None, None, True),
    ]
    assert [row["bar_start"] for row in rows(batches)] == [datetime(2024, 1, 2, tzinfo=UTC)] * 2
    assert [(row["line"], row["reason"], row["instrument"]) for row in refused(batches)] == [
        *((n, "bar_bounds", "gemini:BTCUSD") for n in (2, 5, 6)),
        (7, "columns", None),
        (8, "columns", "gemini:BTCUSD"),
    ]
    counted = with_(BARS, columns="{open: o, high: h, low: l, close: c, volume: v, trade_count: w}")
    _, batches = read(write(tmp_path, counted, text_of("BTCUSD,1704153600,1,4,0.5,2,10,15", header="s,t,o,h,l,c,v,w")))
    assert [(row["trade_count"], row["vwap"]) for row in rows(batches)] == [(15, None)]


def test_the_mapping_is_part_of_the_identity(tmp_path: Path) -> None:
    path = write(tmp_path, TRADES, text_of(ROW))
    first = read(path)[0].sha256
    assert read(path)[0].sha256 == first != hashlib.sha256(path.read_bytes()).hexdigest()
    write(tmp_path, TRADES.replace("buy: b, sell: [s, S]", "buy: b, sell: s"), text_of(ROW))
    second = read(path)[0].sha256
    write(tmp_path, TRADES, text_of(ROW, ROW))
    assert len({first, second, read(path)[0].sha256}) == 3


def test_where_a_mapping_is_looked_for(tmp_path: Path) -> None:
    path = write(tmp_path, TRADES, text_of(ROW))
    own, common = path.with_name("mine.csv.mapping.yaml"), path.with_name("mapping.yaml")
    common.write_text("stream: nonsense", "utf-8")
    assert mapping_beside(path) == own
    assert [is_mapping(file) for file in (path, own, common)] == [False, True, True]
    own.rename(common)
    assert mapping_beside(path) == common
    assert len(rows(read(path)[1])) == 1
    common.unlink()
    with pytest.raises(SourceRefused, match=r"no mapping beside it.*Write mine.csv.mapping.yaml, or mapping.yaml"):
        read(path)


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("", "no mapping of words"),
        ("- a", "no mapping of words"),
        ("a: [", "it is no YAML"),
        ("[" * 5000, "nested too deeply"),
        ("a: \x01", "it is no YAML"),
        ("a" * 300_000, "more than 256 KiB"),
        (with_(TRADES, stream=""), "stream: Field required"),
        (with_(TRADES, stream="depth"), "stream: Input should be 'trades'"),
        (with_(TRADES, columns="{price: px}"), "columns.size: trades need it"),
        (
            with_(TRADES, columns="{price: px, size: amount, vwap: w}"),
            "columns.vwap: trades have no such column, but price, size, conditions",
        ),
        (with_(TRADES, columns="{price: px, size: ''}"), "columns.size: String should have at least 1"),
        (with_(TRADES, instrument="BTC"), "instrument.*'BTC' is no instrument"),
        (with_(TRADES, instrument="{venue: NYSE, symbol: s}"), "instrument.*venue.*'NYSE' is no venue"),
        (with_(TRADES, instrument="{venue: my_venue, symbol: s}"), "instrument.*venue.*'my_venue' is no venue"),
        (with_(TRADES, instrument="my_venue:BTCUSD"), "instrument.*'my_venue:BTCUSD' is no instrument"),
        (with_(TRADES, time="{column: ts, unit: hours}"), "time.unit: Input should be 's'"),
        (with_(TRADES, time="{column: ts, unit: s, zone: CET}"), "time.zone: Input should be 'UTC'"),
        (with_(TRADES, side="{column: side, buy: [b], sell: [b]}"), "side: .*stands twice"),
        (with_(TRADES, side="{column: side, buy: []}"), r"side.buy: .*; side.sell: Field required"),
        (with_(TRADES, price="px"), "price: Extra inputs"),
        (with_(TRADES, interval="1m"), "interval: only bars have one"),
        (with_(TRADES, days="[2024-01-02, 2024-01-01]"), "days: .*the first and the last"),
        (with_(TRADES, days="yesterday"), "days.0: "),
        (with_(TRADES, delimiter="x"), "delimiter: "),
        (with_(TRADES, header="false"), "names: needed where there is no header"),
        (with_(TRADES, header="true", names="[a, b]"), "names: a table with a header"),
        (with_(TRADES, names="[a, a]"), "names: a name stands twice"),
        (with_(TRADES, floats="round"), "floats: Input should be 'refuse'"),
        (with_(BARS, interval="7m"), "interval: .*'7m' is no interval"),
        (with_(BARS, interval=""), "interval: bars need it"),
        (with_(BARS, id="x", side="{column: a, buy: b, sell: s}"), "side: only trades have one; id: bars are known by their start"),
        (with_(BARS, received_at="{column: a, unit: s}"), "received_at: bars have none"),
    ],
)
def test_a_bad_mapping_is_refused_by_its_key(tmp_path: Path, mapping: str, said: str) -> None:
    with pytest.raises(SourceRefused, match=said) as caught:
        read(write(tmp_path, mapping, text_of(ROW)))
    assert caught.value.file == "mine.csv.mapping.yaml"


def test_a_mapping_of_no_text_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, TRADES, text_of(ROW))
    path.with_name("mine.csv.mapping.yaml").write_bytes(b"stream: \xff")
    with pytest.raises(SourceRefused, match="byte 8 is no UTF-8"):
        read(path)
    path.with_name("mine.csv.mapping.yaml").write_text("a: 1\nb: [\nc: }\n", "utf-8")
    with pytest.raises(SourceRefused, match=r"mapping.yaml, line 3: it is no YAML"):
        read(path)


@pytest.mark.parametrize(
    ("mapping", "text", "said"),
    [
        (TRADES, text_of(ROW, header="nr,ts,price,amount,side,note"), "no column px; its columns are nr, ts, price"),
        (TRADES, text_of(ROW, header="nr,ts,px,amount,side,px"), "column px stands twice"),
        (with_(TRADES, time="{column: ts}"), text_of(ROW), "in which unit time is.*Write time.unit"),
        (with_(TRADES, received_at="{column: ts}"), text_of(ROW), "in which unit received_at is"),
        (with_(TRADES, delimiter=";"), text_of(ROW), "no column px, amount"),
        (TRADES, text_of(ROW) + "7,1704153600", "truncated"),
        (TRADES, "", "empty"),
        (TRADES, "\n\n", "empty"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path: Path, mapping: str, text: str, said: str) -> None:
    with pytest.raises(SourceRefused, match=said) as caught:
        read(write(tmp_path, mapping, text))
    assert caught.value.file == "mine.csv"


def test_what_is_asked_for_must_be_there(tmp_path: Path) -> None:
    path = write(tmp_path, with_(TRADES, days="2024-01-02"), text_of(ROW))
    assert read(path, day=date(2024, 1, 2), stream="trades")[0].declared == (date(2024, 1, 2), date(2024, 1, 3))
    with pytest.raises(SourceRefused, match="the day was given as 2024-01-03"):
        read(path, day=date(2024, 1, 3))
    with pytest.raises(SourceRefused, match="says that it holds trades"):
        read(path, stream="quotes")
    assert not Table().recognises(text_of(ROW))


def test_packing_does_not_matter(tmp_path: Path) -> None:
    text = text_of(ROW, "junk", ROW).encode()
    archive = write(tmp_path, TRADES, b"", "mine.zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("any.csv", text)
    bom = write(tmp_path, TRADES, b"\xef\xbb\xbf" + text)
    results = [read(path)[1] for path in (bom, write(tmp_path, TRADES, gzip.compress(text), "mine.csv.gz"), archive)]
    assert rows(results[0]) == rows(results[1]) == rows(results[2])
    assert [row["line"] for row in refused(results[2])] == [3]


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
def test_checksum_beside_the_file(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, TRADES, text_of(ROW)) if name == "mine.csv" else write_parquet(tmp_path, TRADES, **columns_of())
    path.with_name(f"{name}.CHECKSUM").write_text("0" * 64)
    with pytest.raises(SourceRefused, match="sha256"):
        read(path)


# Parquet


def columns_of(**other: object) -> dict[str, object]:
    """The columns of two trades."""
    columns: dict[str, object] = {
        "nr": pa.array([7, 8], pa.uint64()),
        "ts": pa.array([1704153600123, 1704153600124], pa.int64()),
        "px": pa.array([Decimal("42000.10"), Decimal("0.00000001")], pa.decimal128(20, 8)),
        "amount": pa.array(["0.001", "1e-18"]),
        "side": pa.array(["b", "s"]).dictionary_encode(),
        "note": pa.array([[1], None]),
    }
    return {**columns, **other}


def test_parquet_is_read_exactly(tmp_path: Path) -> None:
    facts, batches = read(write_parquet(tmp_path, TRADES, **columns_of()))
    assert (facts.space, facts.time_unit, facts.instrument) == ("trade_id", "ms", BTC)
    assert [tuple(row[name] for name in ("line", "sequence", "event_time", "price", "size", "side")) for row in rows(batches)] == [
        (1, 7, AT, Decimal("42000.1"), Decimal("0.001"), "buy"),
        (2, 8, AT + timedelta(milliseconds=1), Decimal("0.00000001"), Decimal("1e-18"), "sell"),
    ]


@pytest.mark.parametrize(
    ("column", "unit", "precision", "finer"),
    [
        (pa.array([1704153600_123456789], pa.timestamp("ns")), None, "ns", 1704153600_123456789),
        (pa.array([1704153600_123456], pa.timestamp("us", "Europe/Berlin")), None, "us", None),
        (pa.array([1704153600_123], pa.timestamp("ms", "UTC")), None, "ms", None),
        # Parquet has no timestamps of seconds.
        (pa.array([1704153600], pa.timestamp("s")), None, "ms", None),
        (pa.array([date(2024, 1, 2)], pa.date32()), None, "s", None),
        (pa.array([date(2024, 1, 2)], pa.date64()), None, "s", None),
        (pa.array(["2024-01-02T00:00:00.123456789Z"]), "iso", "ns", 1704153600_123456789),
        (pa.array(["1704153600.123456789"], pa.large_string()), "s", "ns", 1704153600_123456789),
        (pa.array([Decimal("1704153600.123456789")]), "s", "ns", 1704153600_123456789),
    ],
)
def test_times_of_parquet(tmp_path: Path, column: pa.Array, unit: str | None, precision: str, finer: int | None) -> None:
    mapping = with_(TRADES, time=f"{{column: ts, unit: {unit}}}" if unit else "{column: ts}")
    first = {name: values.slice(0, 1) for name, values in columns_of().items()}  # type: ignore[attr-defined]  # arrays
    facts, batches = read(write_parquet(tmp_path, mapping, **{**first, "ts": column}))
    assert (facts.time_unit, [row["event_time_ns"] for row in rows(batches)]) == (precision, [finer])
    assert [row["event_time"].replace(microsecond=0) for row in rows(batches)] == [datetime(2024, 1, 2, tzinfo=UTC)]  # type: ignore[attr-defined]  # a time


@pytest.mark.parametrize(
    ("other", "keys", "said"),
    [
        ({"px": pa.array([1.5, 2.5])}, {}, "column px holds double, which is not exact.*floats: shortest"),
        ({"amount": pa.array([1.5, 2.5], pa.float32())}, {}, "column amount holds float, which is not exact"),
        ({"px": pa.array([b"1", b"2"])}, {}, "column px holds binary, which is not read"),
        ({"px": pa.array([[1], [2]])}, {}, "column px holds list"),
        ({"px": pa.array([1, 2], pa.timestamp("s"))}, {}, "column px holds timestamp"),
        ({"ts": pa.array([1, 2], pa.timestamp("s"))}, {}, "column ts holds timestamp.*Leave time.unit out"),
        ({}, {"time": "{column: ts}"}, "column ts holds int64. Write time.unit"),
        ({}, {"delimiter": ";"}, "Leave delimiter, header and names out"),
        ({}, {"columns": "{price: px, size: qty}"}, "no column qty"),
    ],
)
def test_parquet_that_does_not_fit_is_refused(tmp_path: Path, other: dict[str, object], keys: dict[str, str], said: str) -> None:
    with pytest.raises(SourceRefused, match=said):
        read(write_parquet(tmp_path, with_(TRADES, **keys), **columns_of(**other)))


def test_shortest_digits_of_floats(tmp_path: Path) -> None:
    mapping = with_(TRADES, floats="shortest")
    path = write_parquet(tmp_path, mapping, **columns_of(px=pa.array([0.1 + 0.2, 42000.1]), amount=pa.array([4.522e-05, 1e-7])))
    assert [(row["price"], row["size"]) for row in rows(read(path)[1])] == [(Decimal("42000.1"), Decimal("1e-7"))]
    assert [(row["line"], row["reason"]) for row in refused(read(path)[1])] == [(1, "scale")]
    path = write_parquet(tmp_path, mapping, **columns_of(px=pa.array([float("nan"), float("inf")])))
    assert [row["reason"] for row in refused(read(path)[1])] == ["not_a_number", "not_a_number"]


def test_bad_rows_of_parquet(tmp_path: Path) -> None:
    other = columns_of(px=pa.array([None, 0], pa.int64()), amount=pa.array(["1\x00", "1"]))
    path = write_parquet(tmp_path, TRADES, **other)
    _, batches = read(path)
    assert rows(batches) == []
    assert [(row["line"], row["reason"]) for row in refused(batches)] == [(1, "columns"), (2, "not_positive")]
    raw = '{"nr": "7", "ts": "1704153600123", "px": null, "amount": "1\\u0000", "side": "b", "note": "(list<element: int64>)"}'
    assert refused(batches)[0]["raw"] == raw
    raws = {int(str(row["line"])): str(row["raw"]) for row in refused(batches)}
    assert Table().raw_lines(Source(path, path.name), [0, *raws, 3]) == raws
    assert Table().raw_lines(Source(path, path.name), []) == {}


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, TRADES, **columns_of(amount=pa.array(["0.00112233", "0.00112233"])))
    whole = path.read_bytes()
    for damaged in (whole[:-9], whole[:4] + whole[20:], whole.replace(b"0.00112233", b"0.00112234")):
        assert damaged != whole
        path.write_bytes(damaged)
        with pytest.raises(SourceRefused, match="truncated or damaged Parquet"):
            read(path)
    with pytest.raises(SourceRefused, match="truncated or damaged Parquet"):
        read(write_parquet(tmp_path, TRADES, **columns_of(note=_no_utf8())))


def _no_utf8() -> pa.Array:
    return pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])


prices = st.decimals(min_value=Decimal("0.000000000001"), max_value=Decimal(10**15), places=12)
sizes = st.decimals(min_value=Decimal("0.000000000000000001"), max_value=Decimal(10**15), places=18)
millis = st.integers(1_325_376_000_000, 1_735_689_600_000)
words = st.text(st.sampled_from(',;|"ab é\u2028'), max_size=6)
trades = st.lists(st.tuples(st.integers(0, 2**63 - 1), millis, prices, sizes, st.booleans(), words), min_size=1, max_size=20)


@settings(max_examples=60, deadline=None)
@given(
    written=trades,
    junk=st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["?", '"', '"a', "a\x00b"])), max_size=5),
    delimiter=st.sampled_from([",", ";", "|", "\t"]),
    quoted=st.booleans(),
    crlf=st.booleans(),
    ending=st.booleans(),
)
def test_written_trades_come_back_exactly(
    written: list[tuple[int, int, Decimal, Decimal, bool, str]],
    junk: list[tuple[int, str]],
    delimiter: str,
    quoted: bool,
    crlf: bool,
    ending: bool,
) -> None:
    def line_of(i: int, t: int, p: Decimal, q: Decimal, b: bool, note: str) -> str:
        cells = [str(i), str(t), plain(p), plain(q), "b" if b else "s", note]
        needs = quoted or any(mark in note for mark in (delimiter, '"'))
        return delimiter.join('"' + cell.replace('"', '""') + '"' if needs else cell for cell in cells)

    lines: list[tuple[str, tuple[int, int, Decimal, Decimal, bool, str] | None]] = [(line_of(*row), row) for row in written]
    for place, text in junk:
        lines.insert(min(place, len(lines) - 1), (text, None))
    end = "\r\n" if crlf else "\n"
    text = text_of(*(line for line, _ in lines), header=HEADER.replace(",", delimiter), end=end)
    mapping = with_(
        TRADES, columns="{price: px, size: amount, conditions: note}", delimiter="tab" if delimiter == "\t" else f'"{delimiter}"'
    )
    with TemporaryDirectory() as folder, small_blocks():
        _, batches = read(write(Path(folder), mapping, text if ending else text.removesuffix(end)))
    expected = [
        (n, i, EPOCH + timedelta(milliseconds=t), p, q, "buy" if b else "sell", sorted({w.strip() for w in note.split(",")} - {""}) or None)
        for n, (_, row) in enumerate(lines, 2)
        if row
        for i, t, p, q, b, note in [row]
    ]
    names = ("line", "sequence", "event_time", "price", "size", "side", "conditions")
    assert [tuple(row[name] for name in names) for row in rows(batches)] == expected
    assert [row["line"] for row in refused(batches)] == [n for n, (_, row) in enumerate(lines, 2) if row is None]


@settings(max_examples=40, deadline=None)
@given(written=trades)
def test_written_parquet_comes_back_exactly(written: list[tuple[int, int, Decimal, Decimal, bool, str]]) -> None:
    ids, times, price, size, bought, _ = zip(*written, strict=True)
    with TemporaryDirectory() as folder:
        path = write_parquet(
            Path(folder),
            TRADES,
            nr=pa.array(ids, pa.int64()),
            ts=pa.array(times, pa.int64()),
            px=pa.array(price, pa.decimal128(38, 12)),
            amount=pa.array(size, pa.decimal256(60, 18)),
            side=pa.array(["b" if b else "s" for b in bought]),
        )
        _, batches = read(path)
    assert refused(batches) == []
    assert [(row["sequence"], row["price"], row["size"]) for row in rows(batches)] == list(zip(ids, price, size, strict=True))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.sampled_from([ROW.encode(), b'"', b",", b"\n", b"\r"]), st.binary(max_size=20)), max_size=30))
def test_no_bytes_break_it(parts: list[bytes]) -> None:
    data = text_of(ROW).encode() + b"".join(parts) + b"\n"
    with TemporaryDirectory() as folder, small_blocks():
        _, batches = read(write(Path(folder), TRADES, data))
    assert sum(batch.rows.num_rows + batch.refused.num_rows + batch.passed_over for batch in batches) == data.count(b"\n")
    blank = sum(not line.removesuffix(b"\r").strip(b" \t") for line in data.split(b"\n")[:-1])
    assert sum(batch.passed_over for batch in batches) == blank + 1


@settings(max_examples=60, deadline=None)
@given(at=st.integers(4, 2000), what=st.binary(min_size=1, max_size=8))
def test_no_bytes_break_parquet(at: int, what: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = write_parquet(Path(folder), TRADES, **columns_of())
        whole = path.read_bytes()
        place = at % len(whole)
        path.write_bytes(whole[:4] + whole[4:place] + what + whole[max(place, 4) + len(what) :])
        try:
            _, batches = read(path)
        except SourceRefused:
            return
        assert sum(batch.rows.num_rows + batch.refused.num_rows for batch in batches) >= 0
