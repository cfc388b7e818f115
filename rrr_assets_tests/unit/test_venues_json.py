"""Parsers of JSON: REST answers of Binance and Kraken, and raw WebSocket captures of Binance."""

import gzip
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrr_assets.calc.numbers import plain
from rrr_assets.contracts.parsed import REFUSED_ROWS, SCHEMAS
from rrr_assets.venues import capture, json_text, registry
from rrr_assets.venues.base import ParsedBatch, Source, SourceFacts, SourceRefused

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BTC = "binance:BTCUSDT"
prices = st.decimals(min_value=Decimal("0.000000000001"), max_value=Decimal(10**15), places=12)
sizes = st.decimals(min_value=Decimal("0.000000000000000001"), max_value=Decimal(10**15), places=18)


def read(fmt: str, path: Path, instrument: str | None = None, day: date | None = None) -> tuple[SourceFacts, list[ParsedBatch]]:
    source = Source(path, path.name, instrument, day)
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


# Binance REST


def rest_trade(**other: object) -> dict[str, object]:
    trade = {
        "id": 7,
        "price": "10669.97000000",
        "qty": "0.014",
        "quoteQty": "1",
        "time": 1601215914010,
        "isBuyerMaker": True,
        "isBestMatch": True,
    }
    return {**trade, **other}


def test_rest_trades(tmp_path: Path) -> None:
    bad = [
        rest_trade(price="x"),
        {"id": 8, "price": "1"},
        [1, 2],
        5,
        rest_trade(id=None),
        rest_trade(time="?"),
        rest_trade(isBuyerMaker="\ud800"),
    ]
    facts, batches = read(
        "binance-rest", write(tmp_path, "a.json", json.dumps([rest_trade(), *bad, rest_trade(id=9, isBuyerMaker=False)])), BTC
    )
    assert (facts.stream, facts.space, facts.instrument, facts.declared) == ("trades", "trade_id", BTC, None)
    assert [(row["line"], row["sequence"], row["side"], row["price"]) for row in rows(batches)] == [
        (1, 7, "sell", Decimal("10669.97")),
        (9, 9, "buy", Decimal("10669.97")),
    ]
    reasons = ["not_a_number", "time", "columns", "columns", "missing_id", "time", "side"]
    assert [(row["line"], row["reason"]) for row in refused(batches)] == list(enumerate(reasons, 2))
    assert json.loads(str(refused(batches)[0]["raw"])) == bad[0]


def test_rest_numbers_stay_texts(tmp_path: Path) -> None:
    text = '[{"id":1,"price":0.100000000001,"qty":12345678901234567.000000000000000001,"time":1601215914010,"isBuyerMaker":false}]'
    _, batches = read("binance-rest", write(tmp_path, "BTCUSDT-trades.json.gz", gzip.compress(text.encode())), BTC)
    assert (rows(batches)[0]["price"], rows(batches)[0]["size"]) == (
        Decimal("0.100000000001"),
        Decimal("12345678901234567.000000000000000001"),
    )


@pytest.mark.parametrize(
    ("name", "trade", "instrument"),
    [
        ("BTCUSDT-trades.json", rest_trade(), "binance:BTCUSDT"),
        ("BTCUSDT_recent.json", {k: v for k, v in rest_trade().items() if k != "isBestMatch"}, "binance-usdm:BTCUSDT"),
        (
            "BTCUSD_PERP-trades.json",
            {**{k: v for k, v in rest_trade().items() if k != "isBestMatch"}, "baseQty": "1"},
            "binance-coinm:BTCUSDPERP",
        ),
    ],
)
def test_rest_market(tmp_path: Path, name: str, trade: dict[str, object], instrument: str) -> None:
    assert read("binance-rest", write(tmp_path, name, json.dumps([trade])))[0].instrument == instrument


def test_last_rest_kline_may_be_open(tmp_path: Path) -> None:
    bars = [
        [
            1601186160000 + 60000 * n,
            "1.00000000",
            "2.00000000",
            "0.50000000",
            "1.50000000",
            "0",
            1601186219999 + 60000 * n,
            "0",
            0,
            "0",
            "0",
            "0",
        ]
        for n in range(3)
    ]
    facts, batches = read("binance-rest", write(tmp_path, "BTCUSDT.json", json.dumps(bars)))
    assert (facts.stream, facts.interval, facts.instrument) == ("venue_bars", "1m", BTC)
    assert [(row["line"], row["is_closed"]) for row in rows(batches)] == [(1, True), (2, True), (3, False)]
    assert not refused(batches)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"code":-1121,"msg":"Invalid symbol."}', "error -1121: Invalid symbol"),
        ('[{"a":1,"p":"1","q":"1","f":1,"l":1,"T":1,"m":true}]', "aggregated"),
        ("[]", "empty list"),
        (json.dumps([rest_trade()])[:-5], "truncated"),
        (json.dumps([rest_trade()]) + "x", "goes on after its end"),
        ("[" * 100_000, "it is not binance-rest"),
        (json.dumps([rest_trade(), "["])[:-3] + "[" * 100_000, "truncated or no JSON"),
        ("<html></html>", "HTML"),
    ],
)
def test_other_rest_answers_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(SourceRefused, match=reason):
        read("binance-rest", write(tmp_path, "a.json", text), BTC)


# Kraken REST


def kraken(values: Sequence[object], pair: str = "XXBTZUSD", error: list[str] | None = None) -> str:
    """Numbers are given as texts that start with '#', to be written as they are."""
    return json.dumps({"error": error or [], "result": {pair: values, "last": "1"}}).replace('"#', "").replace('#"', "")


@settings(max_examples=60)
@given(
    trades=st.lists(
        st.tuples(prices, sizes, st.integers(1_325_376_000 * 10**9, 1_735_689_600 * 10**9), st.booleans(), st.booleans()),
        min_size=1,
        max_size=20,
    ),
    has_ids=st.booleans(),
)
def test_kraken_trades_come_back_exactly(trades: list[tuple[Decimal, Decimal, int, bool, bool]], has_ids: bool) -> None:
    values = [
        [plain(p), plain(q), f"#{t // 10**9}.{t % 10**9:09d}#", "s" if sell else "b", "m" if market else "l", "", *([n] if has_ids else [])]
        for n, (p, q, t, sell, market) in enumerate(trades)
    ]
    with TemporaryDirectory() as folder:
        facts, batches = read("kraken-rest", write(Path(folder), "a.json", kraken(values)))
    assert (facts.instrument, facts.space) == ("kraken:XBTUSD", "trade_id" if has_ids else "ordinal")
    micros = [t // 1000 for _, _, t, _, _ in trades]
    sequences = [n if has_ids else us * 4096 + micros[:n].count(us) for n, us in enumerate(micros)]
    assert [tuple(row.values()) for row in rows(batches)] == [
        (
            n + 1,
            "kraken:XBTUSD",
            sequences[n],
            EPOCH + timedelta(microseconds=t // 1000),
            t if t % 1000 else None,
            p,
            q,
            "sell" if s else "buy",
            ["market" if m else "limit"],
            None,
        )
        for n, (p, q, t, s, m) in enumerate(trades)
    ]


def test_kraken_bad_trades_count_as_ordinals(tmp_path: Path) -> None:
    good = ["1.5", "2", "#1616663113.9397#", "b", "l", "x"]
    values: list[object] = [good, ["0", *good[1:]], good[:5], "junk", good]
    _, batches = read("kraken-rest", write(tmp_path, "a.json", kraken(values)))
    first = 1616663113939700 * 4096
    assert [(row["line"], row["sequence"], row["conditions"]) for row in rows(batches)] == [
        (1, first, ["limit", "x"]),
        (5, first + 3, ["limit", "x"]),
    ]
    assert [(row["line"], row["reason"], row["sequence"]) for row in refused(batches)] == [
        (2, "not_positive", first + 1),
        (3, "columns", first + 2),
        (4, "columns", None),
    ]
    assert refused(batches)[1]["raw"] == '["1.5","2",1616663113.9397,"b","l"]'


def test_kraken_bars(tmp_path: Path) -> None:
    values: list[object] = [[1616662800 + 300 * n, "1.0", "2.0", "0.5", "1.5", "1.23", "10.5", 4] for n in range(3)]
    facts, batches = read("kraken-rest", write(tmp_path, "a.json", kraken(values, "XBTUSDT")))
    assert (facts.instrument, facts.interval, facts.space) == ("kraken:XBTUSDT", "5m", None)
    assert [(row["line"], row["is_closed"], row["vwap"], row["quote_volume"]) for row in rows(batches)] == [
        (n, n < 3, Decimal("1.23"), None) for n in (1, 2, 3)
    ]
    with pytest.raises(SourceRefused, match="interval of its bars is not known"):
        read("kraken-rest", write(tmp_path, "b.json", kraken(values[:1])))
    assert read("kraken-rest", write(tmp_path, "XBTUSD-1h.json", kraken(values[:1])))[0].interval == "1h"


def test_one_damaged_bar_says_nothing_of_the_interval(tmp_path: Path) -> None:
    values: list[list[object]] = [[1616662800 + 300 * n, "1.0", "2.0", "0.5", "1.5", "1.23", "10.5", 4] for n in range(12)]
    for wrong in (1616662860, 1616663101, "#" + "9" * 5000 + "#", "#1e9#", None):
        damaged: list[object] = [[wrong, *values[3][1:]] if n == 3 else row for n, row in enumerate(values)]
        facts, batches = read("kraken-rest", write(tmp_path, "a.json", kraken(damaged)))
        assert (facts.interval, [row["line"] for row in refused(batches)]) == ("5m", [4])
    damaged = [["#1.5#", "2", "#1616663113.9397#", "b", "l", "x"], *values]
    facts, batches = read("kraken-rest", write(tmp_path, "a.json", kraken(damaged)))
    assert (facts.stream, len(rows(batches)), [row["line"] for row in refused(batches)]) == ("venue_bars", 12, [1])


@pytest.mark.parametrize("minutes", [1, 5, 15, 30, 60, 240, 1440, 10080, 21600])
def test_the_interval_of_bars_is_measured(tmp_path: Path, minutes: int) -> None:
    first = 1616662800 // (minutes * 60) * minutes * 60
    values: list[object] = [[first + 60 * minutes * n, "1", "2", "0.5", "1.5", "1.2", "10", 4] for n in range(2, 9)]
    named = {1: "1m", 5: "5m", 15: "15m", 30: "30m", 60: "1h", 240: "4h", 1440: "1d", 10080: "1w", 21600: "15d"}[minutes]
    assert read("kraken-rest", write(tmp_path, "a.json", kraken(values)))[0].interval == named
    assert read("kraken-rest", write(tmp_path, "a.json", kraken(values[:2])))[0].interval == named


def test_one_damaged_trade_says_nothing_of_the_ids_of_others(tmp_path: Path) -> None:
    old: list[object] = ["1.5", "2", "#1616663113.9397#", "b", "l", ""]
    facts, batches = read("kraken-rest", write(tmp_path, "a.json", kraken([old, [*old, 7], old])))
    assert (facts.space, len(rows(batches)), [row["line"] for row in refused(batches)]) == ("ordinal", 2, [2])
    new = [*old, 7]
    facts, batches = read("kraken-rest", write(tmp_path, "a.json", kraken([new, old, new])))
    assert (facts.space, len(rows(batches)), [row["line"] for row in refused(batches)]) == ("trade_id", 2, [2])


def test_kraken_words_that_no_database_stores_are_refused(tmp_path: Path) -> None:
    good = ["1.5", "2", "#1616663113.9397#", "b", "l", "x", 7]
    bad = [[*good[:4], "\x00", "x", 8], [*good[:5], "\x1b", 9]]
    _, batches = read("kraken-rest", write(tmp_path, "a.json", kraken([good, *bad])))
    assert [(row["line"], row["reason"]) for row in refused(batches)] == [(2, "encoding"), (3, "encoding")]
    assert [row["conditions"] for row in rows(batches)] == [["limit", "x"]]


@pytest.mark.parametrize("pair", ["", "0", "X\x00BTZUSD", "X" * 60])
def test_an_answer_of_no_pair_is_refused(tmp_path: Path, pair: str) -> None:
    with pytest.raises(SourceRefused, match="which is no pair"):
        read("kraken-rest", write(tmp_path, "a.json", kraken([["1", "2", 1616663113, "b", "l", ""]], pair)))


def test_one_damaged_element_says_nothing_of_an_answer(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", json.dumps([{"prise": 1}, 5, [1, 2], *[rest_trade(id=n) for n in range(4)]]))
    assert len(rows(read("binance-rest", path, BTC)[1])) == 4
    kline: list[object] = [1601215920000, *["1.00000000"] * 5, 1601215979999, "1", 3, "1", "1", "0"]
    later = [[1601215920000 + 60_000 * n, *kline[1:6], 1601215979999 + 60_000 * n, *kline[7:]] for n in (1, 2)]
    path = write(tmp_path, "BTCUSDT-klines.json", json.dumps([{"time": 5}, [kline[0], "1.5", *kline[2:6], "9" * 5000, *kline[7:]], *later]))
    facts, batches = read("binance-rest", path)
    assert (facts.instrument, facts.interval, [row["line"] for row in rows(batches)]) == (BTC, "1m", [3, 4])


@pytest.mark.parametrize("depth", [50, 400, 900])
def test_deep_elements_are_refused_with_their_text(tmp_path: Path, depth: int) -> None:
    deep = '{"a":[' * (depth // 2) + "1" + "]}" * (depth // 2)
    text = json.dumps([rest_trade(), rest_trade(price="?"), "??"]).replace('"?"', deep).replace('"??"', deep)
    facts, batches = read("binance-rest", write(tmp_path, "a.json", text), BTC)
    assert facts.space == "trade_id"
    assert [(row["line"], row["raw"].count('{"a":[')) for row in refused(batches)] == [(2, depth // 2), (3, depth // 2)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[["1","2",1616663113.9,"b","l",""]]', "without the envelope"),
        (kraken([], error=["EGeneral:Invalid arguments"]), "EGeneral:Invalid arguments"),
        (kraken([]), "empty"),
        ('{"error":[],"result":{}}', "0 pairs"),
        (kraken([["1", "2", 1616663113, "b", "l", ""]])[:-4], "truncated"),
    ],
)
def test_other_kraken_answers_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(SourceRefused, match=reason):
        read("kraken-rest", write(tmp_path, "a.json", text))


# Binance WebSocket


def message(**other: object) -> dict[str, object]:
    trade = {
        "e": "trade",
        "E": 1680652800000,
        "s": "BTCUSDT",
        "t": 1,
        "p": "28165.47",
        "q": "0.00056",
        "T": 1680652799999,
        "m": True,
        "M": True,
    }
    return {**trade, **other}


def line(data: dict[str, object], clock: str = "1680652800004107") -> str:
    return f"{clock} " + json.dumps({"stream": "btcusdt@trade", "data": data}, separators=(",", ":"))


OTHERS = [
    "",
    '1680652800004231 {"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"1","B":"2","a":"3","A":"4"}}',
    '1680652800004231 {"u":1,"s":"BTCUSDT","b":"1","B":"2","a":"3","A":"4"}',
    '1680652800.42: {"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","a":1}}',
    '1680652800004231 {"stream":"btcusdt@kline_1m","data":{"e":"kline","k":{',
    '1680652800004231 {"lastUpdateId":1,"bids":[],"asks":[]}',
    '1680652800004231 {"result":null,"id":1}',
    '1680652800004231 {"method":"SUBSCRIBE","params":["btcusdt@trade"]}',
    "wss://stream.binance.com:9443/stream?streams=btcusdt@trade <-> 1633998512.06",
    'wss://stream.binance.com -> 1633998512.06: {"params":["btcusdt@trade"]}',
]
JUNK = [
    ("junk", "not_json"),
    (line(message())[:-9], "not_json"),
    (json.dumps(message()), "not_json"),
    ('1680652800004231 {"tra', "not_json"),
    (line(message(p="x")), "not_a_number"),
    (line(message(t=None)), "missing_id"),
    (line(message(t=-1)), "missing_id"),
    (line(message(T=5)), "time"),
    (line(message(m="?")), "side"),
    (line(message(s="")), "columns"),
    (line(message(), "1230767999"), "time"),
    (line(message()).replace("28165", "\udcff"), "encoding"),
]


@settings(max_examples=60)
@given(
    trades=st.lists(
        st.tuples(st.integers(0, 2**62), prices, sizes, st.integers(1_325_376_000_000, 1_735_689_600_000), st.booleans()),
        min_size=1,
        max_size=15,
    ),
    between=st.lists(st.tuples(st.integers(0, 20), st.sampled_from([(text, None) for text in OTHERS] + JUNK)), max_size=15),
    is_combined=st.booleans(),
)
def test_trades_of_a_capture_come_back_exactly(
    trades: list[tuple[int, Decimal, Decimal, int, bool]], between: list[tuple[int, tuple[str, str | None]]], is_combined: bool
) -> None:
    messages = [message(t=i, p=plain(p), q=plain(q), T=t, m=m) for i, p, q, t, m in trades]
    written = [line(m) if is_combined else "1680652800004107: " + json.dumps(m) for m in messages]
    lines: list[tuple[str, object]] = [(OTHERS[1], None), *zip(written, trades, strict=True)]
    for place, (text, reason) in between:
        lines.insert(min(place, len(lines)), (text, reason))
    data = ("\n".join(text for text, _ in lines) + "\n").encode("utf-8", "surrogateescape")
    with TemporaryDirectory() as folder:
        _, batches = read("binance-ws", write(Path(folder), "capture.dat", data))
    expected = [(n, *row) for n, (_, row) in enumerate(lines, 1) if isinstance(row, tuple)]
    assert [tuple(row[k] for k in ("line", "sequence", "price", "size", "event_time", "side")) for row in rows(batches)] == [
        (n, i, p, q, EPOCH + timedelta(milliseconds=t), "sell" if m else "buy") for n, i, p, q, t, m in expected
    ]
    assert {row["instrument"] for row in rows(batches)} <= {BTC}
    assert [(row["line"], row["reason"]) for row in refused(batches)] == [
        (n, row) for n, (_, row) in enumerate(lines, 1) if isinstance(row, str)
    ]
    assert sum(batch.passed_over for batch in batches) == sum(row is None for _, row in lines)


@pytest.mark.parametrize(
    ("clock", "microseconds"),
    [
        ("1633998512.0633569", 1633998512063356),
        ("1633998512", 1633998512000000),
        ("1633998512063", 1633998512063000),
        ("1633998512063.5", 1633998512063500),
        ("1723161253937085", 1723161253937085),
        ("1723161253937085768", 1723161253937085),
    ],
)
def test_receive_time_by_magnitude(tmp_path: Path, clock: str, microseconds: int) -> None:
    _, batches = read("binance-ws", write(tmp_path, "a", line(message(), clock) + "\n"))
    assert rows(batches)[0]["received_at"] == EPOCH + timedelta(microseconds=microseconds)


def test_futures_carry_their_kind(tmp_path: Path) -> None:
    lines = [line(message(X="MARKET")), line(message(X="INSURANCE_FUND", T=1680652799999123)), line(message(X="ADL", s="BTCUSD_PERP"))]
    facts, batches = read("binance-ws", write(tmp_path, "a", "\n".join(lines)))
    assert (facts.time_unit, facts.instrument) == ("ms", None)
    assert [(row["instrument"], row["conditions"]) for row in rows(batches)] == [
        ("binance-usdm:BTCUSDT", None),
        ("binance-usdm:BTCUSDT", ["insurance_fund"]),
        ("binance-coinm:BTCUSDPERP", ["adl"]),
    ]
    with pytest.raises(SourceRefused, match="have X"):
        read("binance-ws", tmp_path / "a", BTC)


def test_a_given_instrument_takes_its_trades_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "a", "\n".join([line(message()), line(message(s="ETHUSDT")), line(message())]) + "\n")
    facts, batches = read("binance-ws", path, "binance-usdm:BTCUSDT", date(2023, 4, 4))
    assert facts.declared == (date(2023, 4, 4), date(2023, 4, 5))
    assert [(row["line"], row["instrument"]) for row in rows(batches)] == [(n, "binance-usdm:BTCUSDT") for n in (1, 3)]
    assert batches[0].passed_over == 1
    with pytest.raises(SourceRefused, match="holds trades of binance:BTCUSDT, binance:ETHUSDT, none of binance:XRPUSDT"):
        read("binance-ws", path, "binance:XRPUSDT")


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        ([1680652799999, 1680652799999123], "ms"),
        ([1680652799999000, 1680652799999], "us"),
        ([5, None, 1680652799999123], "us"),
        ([5], "ms"),
    ],
)
def test_unit_of_a_capture_is_that_of_its_first_good_trade(tmp_path: Path, times: list[int | None], unit: str) -> None:
    text = "\n".join([OTHERS[1], *(line(message(T=time)) for time in times)]) + "\n"
    assert read("binance-ws", write(tmp_path, "a", text))[0].time_unit == unit


@pytest.mark.parametrize("instrument", [None, BTC])
def test_inspection_of_a_capture_does_not_parse_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instrument: str | None) -> None:
    decoded = []

    def decode(text: str) -> json_text.Json:
        decoded.append(text)
        return json_text.decode(text)

    monkeypatch.setattr(capture, "decode", decode)
    path = write(tmp_path, "a", "\n".join([OTHERS[1], *(line(message(t=n)) for n in range(100))]) + "\n")
    facts = registry.get("binance-ws").inspect(Source(path, "a", instrument))
    # One trade and one quote, which tell that there are such.
    assert (facts.instrument, facts.others, len(decoded)) == (instrument, ("quotes",), 2)


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_cut_capture_is_refused(tmp_path: Path, cut: int) -> None:
    whole = line(message()) + "\n" + line(message())
    assert len(rows(read("binance-ws", write(tmp_path, "a", whole))[1])) == 2
    with pytest.raises(SourceRefused, match="truncated"):
        read("binance-ws", write(tmp_path, "a", whole[:-cut]))
    with pytest.raises(SourceRefused, match="truncated or damaged"):
        read("binance-ws", write(tmp_path, "a", gzip.compress(whole.encode())[:-cut]))


def test_captures_of_others_are_refused(tmp_path: Path) -> None:
    text = '1618677817.06: {"type":"subscriptions","channels":[{"name":"level2","product_ids":["BAND-GBP"]}]}\n'
    with pytest.raises(SourceRefused, match=r"Coinbase.*coinbase-ws"):
        read("binance-ws", write(tmp_path, "a", text))


# What holds for every format


def test_raw_lines_are_those_of_refused_rows(tmp_path: Path) -> None:
    captured = [line(message()), *(text for text, _ in JUNK), line(message())]
    bars = [[1616662800 + 300 * n, "1.0", "2.0", "0.5", "x", "1.23", "10.5", 4] for n in range(3)]
    files = {
        "binance-ws": "\n".join(captured).encode("utf-8", "surrogateescape"),
        "binance-rest": json.dumps([rest_trade(), rest_trade(price="x"), 5, [1.50, "\ud800"], {"id": None}]).encode(),
        "kraken-rest": kraken(bars, "XBTUSDT").encode(),
    }
    for fmt, data in files.items():
        path = write(tmp_path, fmt, data)
        raws = {int(str(row["line"])): str(row["raw"]) for row in refused(read(fmt, path, BTC if fmt == "binance-rest" else None)[1])}
        found = registry.get(fmt).raw_lines(Source(path, path.name), [*raws, *raws, -1, 0, 1, 10_000])
        assert len(raws) > 2
        assert {n: text for n, text in found.items() if n in raws} == raws
        assert set(found) == {1, *raws}


GARBAGE = [
    b"",
    b"\x00" * 5000,
    bytes(range(256)) * 300,
    b"<html><body>502 Bad Gateway</body></html>",
    b"Not Found",
    b"{" * 70_000,
    b"PK\x03\x04junk",
    b"\x1f\x8bjunk",
    b"1," * 100_000,
]


@pytest.mark.parametrize("fmt", registry.FORMATS)
@pytest.mark.parametrize("data", GARBAGE)
def test_garbage_is_refused_with_a_remedy(tmp_path: Path, fmt: str, data: bytes) -> None:
    path = write(tmp_path, "BTCUSDT-1m-2023-04-05.csv", data)
    with pytest.raises(SourceRefused) as caught:
        registry.get(fmt).inspect(Source(path, path.name))
    assert caught.value.remedy
    assert len(str(caught.value)) < 500


@settings(max_examples=200)
@given(
    data=st.binary(max_size=300),
    fmt=st.sampled_from(list(registry.FORMATS)),
    start=st.sampled_from(
        [
            "",
            '[[1601186160000,"1"',
            '{"error":[],"result":',
            "1,1,1,1,1601186160000,true\n",
            '[{"price":1,"isBuyerMaker":1},',
            line(message()) + "\n",
        ]
    ),
)
def test_no_bytes_break_a_parser(data: bytes, fmt: str, start: str) -> None:
    with TemporaryDirectory() as folder:
        path = write(Path(folder), "BTCUSDT-trades-2023-04-05.csv", start.encode() + data)
        try:
            read(fmt, path)
        except SourceRefused as refusal:
            assert refusal.remedy  # noqa: PT017  # either it is refused so, or read
