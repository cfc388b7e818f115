"""Aggregated trades of the Binance archive."""

import gzip
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
from rrr_assets.contracts.parsed import AGG_TRADES, REFUSED_ROWS
from rrr_assets.venues import content, registry
from rrr_assets.venues.base import Source, SourceFacts, SourceRefused
from rrr_assets.venues.binance_vision import AggTrades, Trades

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SPOT = "BTCUSDT-aggTrades-2024-01-02.csv"
SPOT_ROW = "2900000001,42000.10000000,0.00100000,3300000001,3300000003,1704153600123,True,True"
USDM_ROW = "1900000001,42000.1,0.001,4500000001,4500000001,1704153600123,true"
USDM_HEADER = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
SPOT_TRADE = "3300000001,42000.10000000,0.00100000,42.00010000,1704153600123,True,True"
USDM_TRADE = "4500000001,42000.1,0.001,42.0001,1704153600123,true"
Row = dict[str, object]


def read(path: Path, instrument: str | None = None, day: date | None = None) -> tuple[SourceFacts, list[Row], list[Row], int]:
    """Facts, rows, refused rows and the count of lines passed over."""
    source = Source(path, path.name, instrument, day)
    facts = AggTrades().inspect(source)
    batches = list(AggTrades().parse(source, facts))
    for batch in batches:
        batch.rows.validate(full=True)
        assert (batch.rows.schema, batch.refused.schema) == (AGG_TRADES, REFUSED_ROWS)
    rows = [row for batch in batches for row in batch.rows.to_pylist()]
    refused = [row for batch in batches for row in batch.refused.to_pylist()]
    return facts, rows, refused, sum(batch.passed_over for batch in batches)


def write(folder: Path, text: str | bytes, name: str = SPOT) -> Path:
    path = folder / name
    path.write_bytes(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)
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


def test_an_aggregated_trade_of_spot_is_read_exactly(tmp_path: Path) -> None:
    facts, rows, refused, _ = read(write(tmp_path, SPOT_ROW + "\n"))
    assert (facts.stream, facts.space, facts.time_unit, facts.instrument) == ("agg_trades", "aggregate_id", "ms", "binance:BTCUSDT")
    assert (facts.declared, refused) == ((date(2024, 1, 2), date(2024, 1, 3)), [])
    assert rows == [
        {
            "line": 1,
            "instrument": "binance:BTCUSDT",
            "sequence": 2900000001,
            "event_time": datetime(2024, 1, 2, 0, 0, 0, 123000, UTC),
            "event_time_ns": None,
            "price": Decimal("42000.1"),
            "size": Decimal("0.001"),
            "side": "sell",
            "conditions": None,
            "received_at": None,
            "first_trade_id": 3300000001,
            "last_trade_id": 3300000003,
        }
    ]


@pytest.mark.parametrize(
    ("name", "header", "row", "instrument"),
    [
        ("BTCUSDT-aggTrades-2024-01.csv", USDM_HEADER, USDM_ROW, "binance-usdm:BTCUSDT"),
        ("BTCUSDT-aggTrades-2024-01.csv", USDM_HEADER.upper().replace("_", ""), USDM_ROW, "binance-usdm:BTCUSDT"),
        ("BTCUSDT-aggTrades-2021-01.csv", None, USDM_ROW, "binance-usdm:BTCUSDT"),
        ("BTCUSD_PERP-aggTrades-2024-01.csv", USDM_HEADER, USDM_ROW, "binance-coinm:BTCUSDPERP"),
        ("BTCUSD_240628-aggTrades-2021-01.csv", None, USDM_ROW, "binance-coinm:BTCUSD240628"),
        ("BTCUSDT-aggTrades-2024-01.csv", None, SPOT_ROW, "binance:BTCUSDT"),
        (
            "BTCUSDT-aggTrades-2024-01.csv",
            "aggTradeId,price,quantity,firstTradeId,lastTradeId,timestamp,isBuyerMaker,isBestMatch",
            SPOT_ROW,
            "binance:BTCUSDT",
        ),
    ],
)
def test_market_is_told_by_columns_and_symbol(tmp_path: Path, name: str, header: str | None, row: str, instrument: str) -> None:
    facts, rows, refused, passed_over = read(write(tmp_path, "\n".join(filter(None, [header, row])) + "\n", name))
    assert (facts.instrument, refused, passed_over) == (instrument, [], 1 if header else 0)
    assert [row["line"] for row in rows] == [2 if header else 1]
    assert facts.declared is not None
    assert facts.declared[1].day == 1


def test_a_file_of_a_header_alone_holds_nothing(tmp_path: Path) -> None:
    facts, rows, refused, passed_over = read(write(tmp_path, USDM_HEADER + "\n"))
    assert (facts.instrument, rows, refused, passed_over) == ("binance-usdm:BTCUSDT", [], [], 1)


def test_unit_of_time_is_told_row_by_row(tmp_path: Path) -> None:
    times = ["1704153600123456", "1704153600123", "1704153600", "1704153600123456789"]
    facts, rows, refused, _ = read(write(tmp_path, "\n".join(SPOT_ROW.replace("1704153600123", time) for time in times) + "\n"))
    assert facts.time_unit == "us"
    assert [row["event_time"] for row in rows] == [datetime(2024, 1, 2, 0, 0, 0, us, UTC) for us in (123456, 123000)]
    assert [(row["line"], row["reason"]) for row in refused] == [(3, "time"), (4, "time")]


@pytest.mark.parametrize(("row", "form"), [(SPOT_ROW, AggTrades), (USDM_ROW, AggTrades), (SPOT_TRADE, Trades), (USDM_TRADE, Trades)])
@pytest.mark.parametrize("header", [False, True])
def test_trades_and_aggregated_trades_are_told_apart(row: str, form: type, header: bool) -> None:
    named = USDM_HEADER if form is AggTrades else "id,price,qty,quote_qty,time,is_buyer_maker"
    for head in (f"{row}\n", f"{named}\n{row}\n" if header else f"{row}\n{row}\n"):
        assert [one.recognises(head) for one in (AggTrades(), Trades())] == [form is AggTrades, form is Trades]
        assert not registry.get("binance-vision-klines").recognises(head)


BAD_ROWS = {
    "": None,
    "1,2,3": "columns",
    SPOT_ROW + ",7": "columns",
    SPOT_TRADE: "columns",
    USDM_ROW: "columns",
    SPOT_ROW.replace("42000.10000000", "nan"): "not_a_number",
    SPOT_ROW.replace("42000.10000000", "1e-999999999"): "scale",
    SPOT_ROW.replace("0.00100000", "0"): "not_positive",
    SPOT_ROW.replace("1704153600123", "99999999999999999999"): "time",
    SPOT_ROW.replace("2900000001", ""): "missing_id",
    SPOT_ROW.replace("3300000001", "x"): "missing_id",
    SPOT_ROW.replace("3300000003", "-1"): "missing_id",
    SPOT_ROW.replace("3300000003", "3300000000"): "missing_id",
    SPOT_ROW.replace("True,True", "maybe,True"): "side",
    SPOT_ROW.replace("42000", "42\x00000"): "encoding",
    SPOT_ROW.replace("42000", "42\udcff000"): "encoding",
}


@pytest.mark.parametrize(("bad", "reason"), BAD_ROWS.items())
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_bad_row_costs_no_good_one(tmp_path: Path, bad: str, reason: str | None, end: str) -> None:
    _, rows, refused, passed_over = read(write(tmp_path, end.join([SPOT_ROW, bad, SPOT_ROW, ""])))
    assert [row["line"] for row in rows] == [1, 3]
    assert [(row["line"], row["reason"]) for row in refused] == ([(2, reason)] if reason else [])
    assert passed_over == (0 if reason else 1)


@pytest.mark.parametrize(
    ("data", "name", "instrument", "reason"),
    [
        (SPOT_TRADE + "\n", SPOT, None, "looks like binance-vision-trades"),
        (USDM_TRADE + "\n", SPOT, None, "looks like binance-vision-trades"),
        (SPOT_ROW + "\n", "BTCUSDT-trades-2024-01-02.csv", None, "named for trades"),
        (SPOT_ROW + "\n", "aggtrades.csv", None, "nothing says which instrument"),
        (SPOT_ROW + "\n", SPOT, "binance:ETHUSDT", "the instrument was given as"),
        (SPOT_ROW + "\n", SPOT, "binance-usdm:BTCUSDT", "columns are those of spot"),
        (USDM_ROW + "\n", SPOT, "binance:BTCUSDT", "columns are those of futures"),
        (SPOT_ROW + "\n" + SPOT_ROW[:-7], SPOT, None, "truncated"),
        (gzip.compress(SPOT_ROW.encode(), mtime=0)[:-9], SPOT, None, "truncated or damaged"),
        ("", SPOT, None, "empty"),
        ("<html>", SPOT, None, "HTML"),
    ],
)
def test_a_bad_file_is_refused_whole(tmp_path: Path, data: str | bytes, name: str, instrument: str | None, reason: str) -> None:
    with pytest.raises(SourceRefused, match=reason) as caught:
        read(write(tmp_path, data, name), instrument)
    assert caught.value.remedy


def test_trades_name_the_format_of_aggregated_trades(tmp_path: Path) -> None:
    path = write(tmp_path, USDM_ROW + "\n", "BTCUSDT-trades-2024-01-02.csv")
    with pytest.raises(SourceRefused, match=f"aggregated trades.*--format {AggTrades.name}"):
        Trades().inspect(Source(path, path.name))


def test_a_zip_is_named_by_its_member(tmp_path: Path) -> None:
    path = tmp_path / "download.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ETHUSDT-aggTrades-2025-01-01.csv", SPOT_ROW)
    facts, rows, _, _ = read(path)
    assert (facts.instrument, facts.declared, len(rows)) == ("binance:ETHUSDT", (date(2025, 1, 1), date(2025, 1, 2)), 1)


prices = st.decimals(min_value=Decimal("0.000000000001"), max_value=Decimal(10**15), places=12)
sizes = st.decimals(min_value=Decimal("0.000000000000000001"), max_value=Decimal(10**15), places=18)


@settings(max_examples=60, deadline=None)
@given(
    trades=st.lists(
        st.tuples(
            *[st.integers(0, 2**62)] * 2,
            st.integers(0, 1000),
            prices,
            sizes,
            st.integers(1_325_376_000_000_000, 1_735_689_600_000_000),
            st.booleans(),
        ),
        min_size=1,
        max_size=30,
    ),
    junk=st.lists(st.tuples(st.integers(0, 30), st.sampled_from([text for text, reason in BAD_ROWS.items() if reason])), max_size=8),
    is_spot=st.booleans(),
    ending=st.sampled_from(["", "\n", "\r\n"]),
)
def test_written_aggregated_trades_come_back_exactly(
    trades: list[tuple[int, int, int, Decimal, Decimal, int, bool]], junk: list[tuple[int, str]], is_spot: bool, ending: str
) -> None:
    end = ending or "\n"
    lines: list[tuple[str, tuple[object, ...] | None]] = [
        (
            f"{i},{plain(p)},{plain(q)},{f},{f + n},{t},{'true' if m else 'false'}" + (",True" if is_spot else ""),
            (i, p, q, f, f + n, EPOCH + timedelta(microseconds=t), "sell" if m else "buy"),
        )
        for i, f, n, p, q, t, m in trades
    ]
    for place, text in junk:
        # Most of the first rows decide of which market a file is, and that is not asked here.
        if text != USDM_ROW and (is_spot or text.count(",") < USDM_ROW.count(",")):
            lines.insert(min(place, len(lines) - 1), (text, None))
    with TemporaryDirectory() as folder, small_blocks():
        path = write(Path(folder), end.join(text for text, _ in lines) + ending)
        _, rows, refused, _ = read(path)
        raws = AggTrades().raw_lines(Source(path, path.name), [int(str(row["line"])) for row in refused])
    names = ("line", "sequence", "price", "size", "first_trade_id", "last_trade_id", "event_time", "side")
    assert [tuple(row[name] for name in names) for row in rows] == [(n, *row) for n, (_, row) in enumerate(lines, 1) if row]
    assert [row["line"] for row in refused] == [n for n, (_, row) in enumerate(lines, 1) if row is None]
    assert raws == {row["line"]: row["raw"] for row in refused}


def test_no_flipped_byte_breaks_it_or_loses_a_line(tmp_path: Path) -> None:
    whole = "".join(f"{row}\n" for row in [SPOT_ROW] * 8).encode()
    chance = random.Random(7)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 12)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path = write(tmp_path, bytes(data) + b"\n")
        try:
            _, rows, refused, passed_over = read(path)
        except SourceRefused as refusal:
            assert refusal.remedy  # noqa: PT017  # either it is refused so, or read
        else:
            assert len(rows) + len(refused) + passed_over == bytes(data).count(b"\n") + 1
