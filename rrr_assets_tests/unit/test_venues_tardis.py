"""Tardis' downloadable CSV files."""

import gzip
import random
import re
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
from rrr_assets.venues.tardis import Tardis

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TRADES = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
QUOTES = "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount"
T = 1_582_329_602_111_000
TRADE = f"binance-futures,BTCUSDT,{T},1582329602418379,42377944,buy,9682,0.132"
QUOTE = f"binance-futures,BTCUSDT,{T},1582329602418379,0.84,9682,9681.92,0.67"
DAY = (date(2020, 2, 22), date(2020, 2, 23))
NAME = "binance-futures_trades_2020-02-22_BTCUSDT.csv.gz"


def read(path: Path, **given: object) -> tuple[SourceFacts, list[ParsedBatch]]:
    source = Source(path, str(given.pop("name", path.name)), **given)  # type: ignore[arg-type]  # tests name fields
    parser = Tardis()
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


def write(folder: Path, *lines: str, name: str = "file.csv", end: str = "\n") -> Path:
    path = folder / name
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def test_trades(tmp_path: Path) -> None:
    facts, batches = read(write(tmp_path, TRADES, TRADE, TRADE.replace("buy", "sell").replace("44,", "45,"), name=NAME))
    assert (facts.stream, facts.space, facts.instrument, facts.declared) == ("trades", "trade_id", "binance-usdm:BTCUSDT", None)
    first, second = rows(batches)
    assert first == {
        "line": 2,
        "instrument": "binance-usdm:BTCUSDT",
        "sequence": 42377944,
        "event_time": EPOCH + timedelta(microseconds=T),
        "event_time_ns": None,
        "price": Decimal(9682),
        "size": Decimal("0.132"),
        "side": "buy",
        "conditions": None,
        "received_at": datetime(2020, 2, 22, 0, 0, 2, 418379, tzinfo=UTC),
    }
    assert (second["sequence"], second["side"]) == (42377945, "sell")
    assert sum(batch.passed_over for batch in batches) == 1


def test_quotes(tmp_path: Path) -> None:
    no_bid, no_time = QUOTE.replace("9681.92,0.67", ","), QUOTE.replace(str(T), "1582329602418379")
    name = NAME.replace("trades", "quotes")
    facts, batches = read(write(tmp_path, QUOTES, QUOTE, no_bid, no_time, QUOTE.replace("0.84", "0"), QUOTE.replace("0.84", ""), name=name))
    assert (facts.stream, facts.space, facts.instrument, facts.declared) == ("quotes", "ordinal", "binance-usdm:BTCUSDT", None)
    first, without, local, empty, unsized = rows(batches)
    assert first == {
        "line": 2,
        "instrument": "binance-usdm:BTCUSDT",
        "sequence": T * 4096,
        "event_time": EPOCH + timedelta(microseconds=T),
        "event_time_ns": None,
        "time_source": "venue",
        "bid_price": Decimal("9681.92"),
        "bid_size": Decimal("0.67"),
        "ask_price": Decimal(9682),
        "ask_size": Decimal("0.84"),
        "received_at": datetime(2020, 2, 22, 0, 0, 2, 418379, tzinfo=UTC),
    }
    assert without == first | {"line": 3, "sequence": T * 4096 + 1, "bid_price": None, "bid_size": None}
    assert (local["time_source"], local["event_time"]) == ("local", first["received_at"])
    assert empty == first | {"line": 5, "sequence": T * 4096 + 2, "ask_price": None, "ask_size": None}
    assert unsized == first | {"line": 6, "sequence": T * 4096 + 3, "ask_size": None}


def test_columns_are_found_by_the_names_in_the_header(tmp_path: Path) -> None:
    expected = rows(read(write(tmp_path, TRADES, TRADE))[1])
    names, values = [*TRADES.split(","), "note"], [*TRADE.split(","), "x"]
    order = list(range(len(names)))
    random.Random(7).shuffle(order)
    shuffled = write(tmp_path, ",".join(names[n] for n in order), ",".join(values[n] for n in order), name="shuffled.csv")
    assert rows(read(shuffled)[1]) == expected


@pytest.mark.parametrize(
    ("exchange", "symbol", "instrument"),
    [
        ("binance", "BTCUSDT", "binance:BTCUSDT"),
        ("binance-futures", "BTCUSDT_240628", "binance-usdm:BTCUSDT240628"),
        ("binance-delivery", "BTCUSD_PERP", "binance-coinm:BTCUSDPERP"),
        ("coinbase", "BTC-USD", "coinbase:BTCUSD"),
        ("gemini", "ETHUSD", "gemini:ETHUSD"),
        ("kraken", "XBT/USD", "kraken:XBTUSD"),
        ("bitmex", "XBTUSD", "bitmex:XBTUSD"),
        ("bitmex", "XBTUSDT", "bitmex:XBTUSDT"),
        ("bitmex", "XBT_USDT", "bitmex:XBTUSDTSPOT"),
        ("deribit", "BTC-PERPETUAL", "deribit:BTCPERPETUAL"),
        ("deribit", "ETH_USDC-PERPETUAL", "deribit:ETHUSDCPERPETUAL"),
        ("okex", "BTC-USDT", "okex:BTCUSDT"),
        ("okex-swap", "BTC-USDT-SWAP", "okex-swap:BTCUSDTSWAP"),
        ("bybit", "BTCUSDT", "bybit:BTCUSDT"),
        ("huobi-dm", "BTC_CW", "huobi-dm:BTCCW"),
        ("bitfinex-derivatives", "BTCF0:USTF0", "bitfinex-derivatives:BTCF0USTF0"),
        ("bitstamp", "btcusd", "bitstamp:BTCUSD"),
        ("ftx", "BTC-PERP", "ftx:BTCPERP"),
        ("gate-io", "BTC_USDT", "gate-io:BTCUSDT"),
        ("kucoin", "BTC-USDT", "kucoin:BTCUSDT"),
        ("crypto-com", "BTC_USDT", "crypto-com:BTCUSDT"),
        ("upbit", "KRW-BTC", "upbit:KRWBTC"),
        ("phemex", "BTCUSD", "phemex:BTCUSD"),
        ("cryptofacilities", "PI_XBTUSD", "cryptofacilities:PIXBTUSD"),
        ("dydx-v4", "BTC-USD", "dydx-v4:BTCUSD"),
        ("hyperliquid", "BTC", "hyperliquid:BTC"),
    ],
)
def test_words_for_exchanges_and_symbols(tmp_path: Path, exchange: str, symbol: str, instrument: str) -> None:
    name = f"{exchange}_trades_2020-02-22_{re.sub('[/:]', '-', symbol)}.csv.gz"
    facts, batches = read(write(tmp_path, TRADES, TRADE.replace("binance-futures,BTCUSDT", f"{exchange},{symbol}")), name=name)
    assert (facts.instrument, facts.declared) == (instrument, None)
    assert [row["instrument"] for row in rows(batches)] == [instrument]
    # Only of these is it known that they number each instrument's trades one by one: elsewhere a jump is no gap.
    is_numbered = exchange in {"binance", "binance-futures", "binance-delivery", "coinbase", "kraken"}
    assert facts.space == ("trade_id" if is_numbered else "ordinal")


def test_the_spot_pairs_of_bitmex_are_not_its_perpetuals(tmp_path: Path) -> None:
    spot, perpetual = (TRADE.replace("binance-futures,BTCUSDT", f"bitmex,{symbol}") for symbol in ("XBT_USDT", "XBTUSDT"))
    path = write(tmp_path, TRADES, spot, perpetual)
    assert [row["instrument"] for row in rows(read(path)[1])] == ["bitmex:XBTUSDTSPOT", "bitmex:XBTUSDT"]
    assert [row["line"] for row in rows(read(path, instrument="bitmex:XBTUSDTSPOT")[1])] == [2]


def test_book_tickers_are_quotes(tmp_path: Path) -> None:
    path = write(tmp_path, QUOTES, QUOTE)
    facts, batches = read(path, name=NAME.replace("trades", "book_ticker"))
    assert (facts, rows(batches)) == (read(path, name=NAME.replace("trades", "quotes"))[0], rows(read(path)[1]))
    assert (facts.stream, facts.instrument) == ("quotes", "binance-usdm:BTCUSDT")


@pytest.mark.parametrize(
    "name",
    [
        NAME,
        NAME.removesuffix(".gz"),
        "binance-futures_trades_2020-02-22_btcusdt",
        "binance-futures_trades_2020-02-22_PERPETUALS.csv.gz",
        "binance-futures_trades_2020-02-22_BTCUSDT_first9999.csv",
        "binance-futures_trades_2020-02-22_BTCUSDT (1).csv.gz",
        "binance-futures_trades_2020-02-22_BTCUSDT.csv.gz.part",
        "BTCUSDT.csv.gz",
    ],
)
def test_no_name_declares_a_day_that_is_split_by_the_time_of_receiving(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, TRADES, TRADE)
    facts, _ = read(path, name=name)
    assert facts.declared is None
    # Only a name says that there are no others in it.
    assert facts.instrument == ("binance-usdm:BTCUSDT" if "_BTCUSDT" in name.upper() else None)
    # What a landing zone gives back is what it was told.
    assert read(path, name=name, instrument=facts.instrument, stream=facts.stream)[0] == facts
    assert read(path, name=name, day=DAY[0])[0].declared == DAY


def test_several_symbols_in_one_file(tmp_path: Path) -> None:
    lines = [
        QUOTES,
        QUOTE,
        QUOTE.replace("BTC", "ETH"),
        QUOTE,
        QUOTE.replace("9682", "x"),
        QUOTE.replace("BTC", "ETH") + ",1",
        QUOTE.replace("BTCUSDT", "?"),
        QUOTE.replace("binance-futures", "deribit"),
        QUOTE.replace("BTC", "ETH"),
        QUOTE,
    ]
    name = "binance-futures_quotes_2020-02-22_PERPETUALS.csv.gz"
    path = write(tmp_path, *lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "BLOCK_LINES", 2)
        facts, batches = read(path, name=name)
    assert (facts.instrument, facts.declared) == (None, None)
    btc, eth = "binance-usdm:BTCUSDT", "binance-usdm:ETHUSDT"
    assert [(row["line"], row["instrument"], row["sequence"]) for row in rows(batches)] == [
        (2, btc, T * 4096),
        (3, eth, T * 4096),
        (4, btc, T * 4096 + 1),
        (9, eth, T * 4096 + 2),
        (10, btc, T * 4096 + 3),
    ]
    assert [(row["line"], row["reason"], row["instrument"], row["sequence"]) for row in refused(batches)] == [
        (5, "not_a_number", btc, T * 4096 + 2),
        (6, "columns", eth, T * 4096 + 1),
        (7, "columns", None, None),
        (8, "columns", None, None),
    ]
    facts, one = read(path, name=name, instrument=eth)
    assert facts.instrument == eth
    assert rows(one) == [row for row in rows(batches) if row["instrument"] == eth]
    assert [row["line"] for row in refused(one)] == [6, 7, 8]
    assert sum(batch.passed_over for batch in one) == 5


def test_a_damaged_symbol_costs_its_own_row_alone(tmp_path: Path) -> None:
    lines = [TRADES, TRADE, TRADE.replace("BTCUSDT", "BTCVSDT"), TRADE.replace("futures", "futurez"), TRADE.replace("44,", "45,")]
    facts, batches = read(write(tmp_path, *lines, name=NAME))
    assert (facts.instrument, facts.space, facts.declared) == ("binance-usdm:BTCUSDT", "trade_id", None)
    assert [row["line"] for row in rows(batches)] == [2, 5]
    assert [(row["line"], row["reason"], row["instrument"]) for row in refused(batches)] == [
        (3, "columns", "binance-usdm:BTCUSDT"),
        (4, "columns", "binance-usdm:BTCUSDT"),
    ]


BAD_TRADES = {
    "": None,
    "1,2,3": "columns",
    TRADE + ",7": "columns",
    TRADES: "columns",
    TRADE.replace("binance-futures", "binance"): "columns",
    TRADE.replace("BTCUSDT", ""): "columns",
    TRADE.replace(str(T), ""): "time",
    TRADE.replace(str(T), "1582329602111"): "time",
    TRADE.replace(str(T), "1582329602111000000"): "time",
    TRADE.replace("1582329602418379", "0"): "time",
    TRADE.replace("buy", "maybe"): "side",
    TRADE.replace("buy", "Buy"): "side",
    TRADE.replace("9682", "nan"): "not_a_number",
    TRADE.replace("9682", ""): "not_a_number",
    TRADE.replace("9682", "1e-999999999"): "scale",
    TRADE.replace("9682", "0"): "not_positive",
    TRADE.replace("0.132", "-1"): "not_positive",
    TRADE.replace("0.132", "0.1234567890123456789"): "scale",
    TRADE.replace("BTCUSDT", "BTC\x00USDT"): "encoding",
    TRADE.replace("BTCUSDT", "\ufeffBTCUSDT"): "columns",
    TRADE.replace("9682", "\u0664"): "not_a_number",
}
BAD_QUOTES = {
    "": None,
    QUOTE.rpartition(",")[0]: "columns",
    QUOTE.replace("0.84,9682,9681.92,0.67", ",,,"): "columns",
    QUOTE.replace("0.84,9682,9681.92,0.67", "0,9682,9681.92,0"): "columns",
    QUOTE.replace("9681.92", "x"): "not_a_number",
    QUOTE.replace("9681.92", "-1"): "not_positive",
    QUOTE.replace("9681.92", "0"): "not_positive",
    QUOTE.replace("0.84", "-1"): "not_positive",
    QUOTE.replace("0.84", "y"): "not_a_number",
    QUOTE.replace(str(T), "x"): "time",
}


@pytest.mark.parametrize(
    ("header", "good", "bad", "reason"),
    [(TRADES, TRADE, *item) for item in BAD_TRADES.items()] + [(QUOTES, QUOTE, *item) for item in BAD_QUOTES.items()],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_bad_row_costs_no_good_one(tmp_path: Path, header: str, good: str, bad: str, reason: str | None, end: str) -> None:
    facts, batches = read(write(tmp_path, header, good, bad, good, end=end))
    assert facts.space == ("trade_id" if header == TRADES else "ordinal")
    assert [row["line"] for row in rows(batches)] == [2, 4]
    assert [(row["line"], row["reason"]) for row in refused(batches)] == ([(3, reason)] if reason else [])
    assert sum(batch.passed_over for batch in batches) == (1 if reason else 2)


@pytest.mark.parametrize("side", ["unknown", ""])
def test_a_side_that_is_not_known_is_null(tmp_path: Path, side: str) -> None:
    assert [row["side"] for row in rows(read(write(tmp_path, TRADES, TRADE.replace("buy", side), TRADE))[1])] == [None, "buy"]


@pytest.mark.parametrize("number", ["", "5f0c-aa", "-1", "99999999999999999999"])
def test_a_trade_without_number_makes_all_of_the_file_count_by_place(tmp_path: Path, number: str) -> None:
    without = TRADE.replace("42377944", number)
    facts, batches = read(write(tmp_path, TRADES, TRADE, "junk", without, TRADE.replace("9682", "x"), without))
    assert facts.space == "ordinal"
    assert [row["sequence"] for row in rows(batches)] == [T * 4096 + n for n in (0, 1, 3)]
    assert [row["sequence"] for row in refused(batches)] == [None, T * 4096 + 2]
    # One that is bad anyway says nothing of the others.
    facts, batches = read(write(tmp_path, TRADES, TRADE, without.replace("9682", "x")))
    assert (facts.space, [row["reason"] for row in refused(batches)]) == ("trade_id", ["not_a_number"])


def test_the_unit_of_time_is_what_the_venue_gives(tmp_path: Path) -> None:
    assert read(write(tmp_path, TRADES, TRADE))[0].time_unit == "ms"
    assert read(write(tmp_path, TRADES, TRADE, TRADE.replace(str(T), str(T + 1))))[0].time_unit == "us"
    # A row that is refused says nothing of the others.
    assert read(write(tmp_path, TRADES, TRADE, TRADE.replace(str(T), str(T + 1)).replace("9682", "x")))[0].time_unit == "ms"


def test_of_one_instrument_only_its_own_trades_say_whether_there_are_numbers(tmp_path: Path) -> None:
    other = TRADE.replace("BTC", "ETH").replace("42377944", "")
    path = write(tmp_path, TRADES, TRADE, other, TRADE.replace("9682", "x"))
    assert [read(path, instrument=given)[0].space for given in (None, "binance-usdm:ETHUSDT", "binance-usdm:BTCUSDT")] == [
        "ordinal",
        "ordinal",
        "trade_id",
    ]


@pytest.mark.parametrize(
    ("name", "lines", "reason"),
    [
        ("x.csv", [], "empty"),
        ("x.csv", [TRADES], "no row of these columns"),
        ("x.csv", [TRADE], "not tardis"),
        ("x.csv", [TRADES + ",id", TRADE + ",1"], "another data type"),
        ("x.csv", ["exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount", TRADE], "another data type"),
        ("x.csv", [TRADES, TRADE.replace("binance-futures", "okex-options")], "exchange okex-options, which is not known.*--format table"),
        ("binance-futures_book_ticker_2020-02-22_BTCUSDT.csv.gz", [TRADES, TRADE], "named for book_ticker, but has the columns of trades"),
        ("binance-futures_derivative_ticker_2020-02-22_BTCUSDT.csv.gz", [QUOTES, QUOTE], "named for derivative_ticker"),
        ("binance_trades_2020-02-22_BTCUSDT.csv.gz", [TRADES, TRADE], "named for binance, but its rows are of binance-futures"),
        ("binance-futures_liquidations_2020-02-22_BTCUSDT.csv.gz", [TRADES, TRADE], "named for liquidations"),
        ("binance-futures_trades_2020-02-22_BTCUSDT.csv.gz", [QUOTES, QUOTE], "named for trades, but has the columns of quotes"),
        ("binance-futures_trades_2020-02-22_ETHUSDT.csv.gz", [TRADES, TRADE], "named for ETHUSDT, but holds binance-usdm:BTCUSDT"),
        ("binance-futures_trades_2020-02-30_BTCUSDT.csv.gz", [TRADES, TRADE], "2020-02-30 in its name is no day"),
    ],
)
def test_a_bad_file_is_refused_whole(tmp_path: Path, name: str, lines: list[str], reason: str) -> None:
    with pytest.raises(SourceRefused, match=reason) as caught:
        read(write(tmp_path, *lines, name=name))
    assert caught.value.remedy


@pytest.mark.parametrize("cut", [1, 3, 6, 12, 40])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"{TRADES}\n{TRADE}\n{TRADE}")
    assert len(rows(read(path)[1])) == 2
    path.write_bytes(gzip.compress(f"{TRADES}\n{TRADE}\n{TRADE}\n".encode(), mtime=0)[:-cut])
    with pytest.raises(SourceRefused, match="truncated"):
        read(path)
    if cut > 3:
        path.write_text(f"{TRADES}\n{TRADE}\n{TRADE}"[:-cut])
        with pytest.raises(SourceRefused, match="truncated"):
            read(path)


@pytest.mark.parametrize(
    ("given_values", "reason"),
    [
        ({"instrument": "binance-usdm:ETHUSDT"}, "none of binance-usdm:ETHUSDT"),
        ({"instrument": "binance-usdm:ETHUSDT", "name": NAME}, "it is of binance-usdm:BTCUSDT"),
        ({"instrument": "binance:BTCUSDT"}, "but the file is of binance-usdm"),
        ({"instrument": "polygon:BTCUSD"}, "comes from"),
        ({"stream": "quotes"}, "it holds trades and nothing else"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, given_values: dict[str, object], reason: str) -> None:
    with pytest.raises(SourceRefused, match=reason):
        read(write(tmp_path, TRADES, TRADE), **given_values)


def test_packing_does_not_matter(tmp_path: Path) -> None:
    text = f"{TRADES}\n{TRADE}\n"
    path = write(tmp_path, TRADES, TRADE)
    (tmp_path / "x.gz").write_bytes(gzip.compress(text.encode()))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("x.csv", text)
    assert rows(read(path)[1]) == rows(read(tmp_path / "x.gz")[1]) == rows(read(tmp_path / "x.zip")[1])


def test_raw_lines_are_those_of_refused_rows(tmp_path: Path) -> None:
    path = write(tmp_path, TRADES, TRADE, *BAD_TRADES)
    raws = {int(str(row["line"])): str(row["raw"]) for row in refused(read(path)[1])}
    assert len(raws) == len(BAD_TRADES) - 1
    assert Tardis().raw_lines(Source(path, path.name), sorted(raws)) == raws


prices = st.decimals(Decimal("1e-12"), Decimal("1e20"), places=12)
sizes = st.decimals(Decimal("1e-18"), Decimal("1e15"), places=18)
trades_ = st.lists(
    st.tuples(
        st.sampled_from(["BTC", "ETH"]),
        st.integers(T, T + 3),
        st.integers(T, T + 10**6),
        st.integers(0, 2**63 - 1),
        st.sampled_from(["buy", "sell", None]),
        prices,
        sizes,
    ),
    min_size=1,
    max_size=20,
)
# The exchange of a file is that of most of its first rows, so that rows of another one are not mixed in here.
junk_ = st.lists(
    st.tuples(
        st.integers(0, 20), st.sampled_from([text for text, reason in BAD_TRADES.items() if reason and not text.startswith("binance,")])
    ),
    max_size=5,
)


@given(trades=trades_, junk=junk_)
def test_written_trades_come_back_exactly(
    trades: list[tuple[str, int, int, int, str | None, Decimal, Decimal]], junk: list[tuple[int, str]]
) -> None:
    lines: list[tuple[str, tuple[object, ...] | None]] = []
    for symbol, t, received, number, side, price, size in trades:
        line = f"binance-futures,{symbol}USDT,{t},{received},{number},{side or 'unknown'},{plain(price)},{plain(size)}"
        times = EPOCH + timedelta(microseconds=t), EPOCH + timedelta(microseconds=received)
        lines.append((line, (f"binance-usdm:{symbol}USDT", number, *times, side, price, size)))
    for place, text in junk:
        lines.insert(min(place, len(lines)), (text, None))
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "BLOCK_LINES", 3)
        facts, batches = read(write(Path(folder), TRADES, *(line for line, _ in lines)))
    assert facts.space == "trade_id"
    names = ("instrument", "sequence", "event_time", "received_at", "side", "price", "size")
    assert [(row["line"], *(row[name] for name in names)) for row in rows(batches)] == [
        (n, *values) for n, (_, values) in enumerate(lines, 2) if values
    ]
    assert [row["line"] for row in refused(batches)] == [n for n, (_, values) in enumerate(lines, 2) if values is None]


@given(
    data=st.lists(
        st.binary(max_size=60) | st.sampled_from([b"," * 7, b"\r", TRADE.encode(), QUOTE.encode(), TRADES.encode()]), max_size=20
    ),
    is_quotes=st.booleans(),
    name=st.sampled_from(["x.csv", "binance-futures_{}_2020-02-22_BTCUSDT.csv", "binance-futures_{}_2020-02-22_PERPETUALS.csv"]),
)
def test_every_line_is_a_row_or_refused_or_passed_over(data: list[bytes], name: str, *, is_quotes: bool) -> None:
    header, good = (QUOTES, QUOTE) if is_quotes else (TRADES, TRADE)
    body = b"\n".join([header.encode(), *[good.encode()] * 25, *data]) + b"\n"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(body)
        _, batches = read(path, name=name.format("quotes" if is_quotes else "trades"))
    found = [int(str(row["line"])) for row in rows(batches) + refused(batches)]
    assert len(set(found)) == len(found)
    assert {number for number, line in enumerate(body.split(b"\n")[1:-1], 2) if line.strip()} <= set(found)
    assert len(found) + sum(batch.passed_over for batch in batches) == body.count(b"\n")
