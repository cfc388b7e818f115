"""Captures of Polygon's crypto WebSocket: trades, quotes and minute bars, several events a line."""

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrr_assets.calc.numbers import plain
from rrr_assets.contracts.parsed import REFUSED_ROWS, SCHEMAS
from rrr_assets.venues import polygon_ws
from rrr_assets.venues.base import ParsedBatch, Source, SourceFacts, SourceRefused, Stream
from rrr_assets.venues.polygon_ws import Capture

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BTC, ETH = "polygon:BTCUSD", "polygon:ETHUSD"
SPAN = 2**54
T = 1706649628023
AT = datetime(2024, 1, 30, 21, 20, 28, 23000, UTC)
FIRST = T * 1000 * 4096
STATUS = '[{"ev":"status","status":"auth_success","message":"authenticated"}]'


def trade(**other: object) -> dict[str, object]:
    return {"ev": "XT", "pair": "BTC-USD", "p": 43575.6, "t": T, "s": 4.522e-05, "c": [2], "i": "4500", "x": 23, "r": T + 45, **other}


def quote(**other: object) -> dict[str, object]:
    return {"ev": "XQ", "pair": "BTC-USD", "bp": 43575.6, "bs": 1.5, "ap": 43576.1, "as": 0.25, "t": T, "x": 23, "r": T + 45, **other}


def minute(**other: object) -> dict[str, object]:
    bar = {"ev": "XA", "pair": "BTC-USD", "v": 951.6112, "vw": 0.7756, "z": 73, "o": 0.772, "c": 0.784, "h": 0.785, "l": 0.771}
    return {**bar, "s": 1610463240000, "e": 1610463300000, **other}


def line(*events: object, received: str = "") -> str:
    return (f"{received} " if received else "") + json.dumps(events)


def read(path: Path, **said: object) -> tuple[SourceFacts, list[ParsedBatch]]:
    source = Source(path, path.name, **said)  # type: ignore[arg-type]  # tests name fields
    facts = Capture().inspect(source)
    batches = list(Capture().parse(source, facts))
    for batch in batches:
        batch.rows.validate(full=True)
        assert batch.rows.schema == SCHEMAS[facts.stream]
        assert batch.refused.schema == REFUSED_ROWS
    return facts, batches


def rows(batches: list[ParsedBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.rows.to_pylist()]


def refused(batches: list[ParsedBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.refused.to_pylist()]


def passed_over(batches: list[ParsedBatch]) -> int:
    return sum(batch.passed_over for batch in batches)


def write(folder: Path, *lines: str, name: str = "capture.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(f"{text}\n" for text in lines), "utf-8")
    return path


def test_trades_are_read_exactly(tmp_path: Path) -> None:
    path = write(tmp_path, STATUS, line(trade(), trade(i=4501, c=[1, 7], s="0.1"), received="1706649628.123456"))
    facts, batches = read(path)
    assert (facts.stream, facts.space, facts.time_unit, facts.instrument) == ("trades", "exchange_trade_id", "ms", None)
    assert (facts.declared, facts.others, facts.interval) == (None, (), None)
    assert rows(batches) == [
        {
            "line": 2,
            "instrument": BTC,
            "sequence": 23 * SPAN + 4500,
            "event_time": AT,
            "event_time_ns": None,
            "price": Decimal("43575.6"),
            "size": Decimal("0.00004522"),
            "side": "buy",
            "conditions": ["2"],
            "received_at": datetime(2024, 1, 30, 21, 20, 28, 123456, UTC),
        },
        {
            "line": 3,
            "instrument": BTC,
            "sequence": 23 * SPAN + 4501,
            "event_time": AT,
            "event_time_ns": None,
            "price": Decimal("43575.6"),
            "size": Decimal("0.1"),
            "side": "sell",
            "conditions": ["1", "7"],
            "received_at": datetime(2024, 1, 30, 21, 20, 28, 123456, UTC),
        },
    ]
    assert passed_over(batches) == 1


def test_numbers_stay_texts(tmp_path: Path) -> None:
    text = line(trade(p="PRICE", s="SIZE")).replace('"PRICE"', "0.100000000001").replace('"SIZE"', "12345678901234567.000000000000000001")
    _, batches = read(write(tmp_path, text))
    assert [(row["price"], row["size"]) for row in rows(batches)] == [
        (Decimal("0.100000000001"), Decimal("12345678901234567.000000000000000001"))
    ]


@pytest.mark.parametrize(
    ("prefix", "received"),
    [
        ("", None),
        ("1706649628: ", datetime(2024, 1, 30, 21, 20, 28, 0, UTC)),
        ("1706649628.5 ", datetime(2024, 1, 30, 21, 20, 28, 500000, UTC)),
        ("1706649628123\t", datetime(2024, 1, 30, 21, 20, 28, 123000, UTC)),
        ("1706649628123456 ", datetime(2024, 1, 30, 21, 20, 28, 123456, UTC)),
        ("1706649628123456789: ", datetime(2024, 1, 30, 21, 20, 28, 123456, UTC)),
    ],
)
def test_receive_time(tmp_path: Path, prefix: str, received: datetime | None) -> None:
    _, batches = read(write(tmp_path, prefix + json.dumps(trade())))
    assert [row["received_at"] for row in rows(batches)] == [received]


def test_clock_offset_is_measured(tmp_path: Path) -> None:
    path = write(tmp_path, *(line(trade(i=n), quote(), received=str(T - 1300)) for n in range(3)), line(trade(t="?"), received=str(T)))
    assert [read(path, stream=stream)[0].clock_offset_us for stream in (None, "trades", "quotes")] == [1_300_000] * 3
    assert read(write(tmp_path, line(trade())))[0].clock_offset_us is None


def test_quotes(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        line(quote(), quote(x=1, bp=43575.5), quote(pair="ETH-USD")),
        line(quote(bs=0), quote(ap=None), quote(bp=0, bs=0), quote(bs=None)),
    )
    facts, batches = read(path)
    assert (facts.stream, facts.space, facts.others) == ("quotes", "ordinal", ())
    assert rows(batches)[0] == {
        "line": 1,
        "instrument": BTC,
        "sequence": FIRST,
        "event_time": AT,
        "event_time_ns": None,
        "time_source": "venue",
        "bid_price": Decimal("43575.6"),
        "bid_size": Decimal("1.5"),
        "ask_price": Decimal("43576.1"),
        "ask_size": Decimal("0.25"),
        "received_at": None,
    }
    # Several exchanges at one time: every row is kept, in order.
    assert [(row["line"], row["instrument"], row["sequence"]) for row in rows(batches)] == [
        (1, BTC, FIRST),
        (2, BTC, FIRST + 1),
        (3, ETH, FIRST),
        *((n, BTC, FIRST + n - 2) for n in (4, 5, 6, 7)),
    ]
    bid, ask = (Decimal("43575.6"), Decimal("1.5")), (Decimal("43576.1"), Decimal("0.25"))
    nothing = (None, None)
    sides = [((row["bid_price"], row["bid_size"]), (row["ask_price"], row["ask_size"])) for row in rows(batches)[3:]]
    assert sides == [(nothing, ask), (bid, nothing), (nothing, ask), ((bid[0], None), ask)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (quote(bp=-1), "not_positive"),
        (quote(bp=0), "not_positive"),
        (quote(bs=-1), "not_positive"),
        (quote(ap="x"), "not_a_number"),
        (quote(bs=0, ap=""), "columns"),
        (quote(t=None), "time"),
        (quote(pair=5), "columns"),
        (quote(pair=None), "columns"),
    ],
)
def test_a_bad_quote_costs_no_good_one(tmp_path: Path, bad: object, reason: str) -> None:
    _, batches = read(write(tmp_path, line(quote(), bad, quote())))
    assert [row["line"] for row in rows(batches)] == [1, 3]
    assert [(row["line"], row["reason"]) for row in refused(batches)] == [(2, reason)]


def test_minutes(tmp_path: Path) -> None:
    text = json.dumps(minute(pair="BCD-USD")).replace("0.7756", "0.775612345678")
    facts, batches = read(write(tmp_path, text, line(minute(vw=None))))
    assert (facts.stream, facts.space, facts.interval) == ("venue_bars", None, "1m")
    assert rows(batches)[0] == {
        "line": 1,
        "instrument": "polygon:BCDUSD",
        "interval": "1m",
        "bar_start": datetime(2021, 1, 12, 14, 54, tzinfo=UTC),
        "open": Decimal("0.772"),
        "high": Decimal("0.785"),
        "low": Decimal("0.771"),
        "close": Decimal("0.784"),
        "volume": Decimal("951.6112"),
        "quote_volume": None,
        "vwap": Decimal("0.775612345678"),
        "trade_count": None,
        "taker_buy_volume": None,
        "taker_buy_quote_volume": None,
        "is_closed": True,
    }
    assert [(row["instrument"], row["vwap"]) for row in rows(batches)[1:]] == [(BTC, None)]


@pytest.mark.parametrize("quotient", ["9.123456789012345e-06", "0.7756123456789", "42000.12345678901234", "1E-13"])
def test_a_quotient_of_too_many_decimals_costs_no_bar(tmp_path: Path, quotient: str) -> None:
    texts = [json.dumps(minute(vw="VW")).replace('"VW"', number) for number in (quotient, "9.123456e-06")]
    _, batches = read(write(tmp_path, *texts))
    first, second = rows(batches)
    assert refused(batches) == []
    assert (first["vwap"], second["vwap"]) == (None, Decimal("0.000009123456"))
    assert {**first, "line": 2, "vwap": second["vwap"]} == second


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (minute(e=1610463240000), "bar_bounds"),
        (minute(e=None), "bar_bounds"),
        (minute(s=1610463241000, e=1610463301000), "bar_bounds"),
        (minute(h=0.77), "bar_bounds"),
        (minute(s="x"), "time"),
        (minute(v=-1), "not_positive"),
        (minute(vw="x"), "not_a_number"),
        (minute(vw="9.123456789012345e-06x"), "not_a_number"),
        (minute(vw="1_000.1234567890123"), "not_a_number"),
        (minute(vw="\u0661.1234567890123"), "not_a_number"),
        (minute(vw=True), "not_a_number"),
        (minute(vw=[]), "not_a_number"),
        (minute(vw=-0.7756123456789), "scale"),
        (minute(vw=-0.7756), "not_positive"),
        (minute(vw=0), "not_positive"),
        (minute(vw="0.0000000000000"), "not_positive"),
        (minute(vw="1e30"), "scale"),
        (minute(vw="1e-999999999"), "scale"),
        (minute(o="0.7756123456789"), "scale"),
        (minute(o=[]), "not_a_number"),
        (minute(pair="?"), "columns"),
    ],
)
def test_a_bad_bar_costs_no_good_one(tmp_path: Path, bad: object, reason: str) -> None:
    _, batches = read(write(tmp_path, line(minute(), bad, minute())))
    assert [row["line"] for row in rows(batches)] == [1, 3]
    found = [(row["line"], row["reason"], row["instrument"]) for row in refused(batches)]
    assert found == [(2, reason, None if reason == "columns" else BTC)]


def test_each_stream_is_read_by_itself_and_nothing_is_refused_twice(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        line(trade(), quote(), minute(), {"ev": "XL2"}, 5, received=str(T)),
        "",
        "[]",
        '[{"ev":"XT"',
        STATUS,
        "wss://socket.example.org/crypto",
        line(trade(p=0), quote(bp=-1), minute(v=-1), quote()),
        "no json",
    )
    expected: dict[Stream | None, tuple[list[int], list[int], tuple[str, ...]]] = {
        None: ([1], [6, 8, 12], ("quotes", "venue_bars")),
        "trades": ([1], [6, 8, 12], ("quotes", "venue_bars")),
        "quotes": ([2, 11], [9], ("trades", "venue_bars")),
        "venue_bars": ([3], [10], ("trades", "quotes")),
    }
    for stream, (good, bad, others) in expected.items():
        facts, batches = read(path, stream=stream)
        assert (facts.stream, facts.others) == (stream or "trades", others)
        assert [row["line"] for row in rows(batches)] == good
        assert [row["line"] for row in refused(batches)] == bad
        # 12 numbers, two lines without any, and the client's own line.
        assert passed_over(batches) == 15 - len(good) - len(bad)
        raws = {int(str(row["line"])): str(row["raw"]) for row in refused(batches)}
        assert Capture().raw_lines(Source(path, path.name), sorted(raws)) == raws
    assert Capture().raw_lines(Source(path, path.name), [0, 5, 7, 13]) == {
        5: "5",
        7: json.dumps(json.loads(STATUS)[0], separators=(",", ":")),
    }


def test_first_stream_where_there_are_no_trades(tmp_path: Path) -> None:
    path = write(tmp_path, line(minute(), quote()), "{")
    facts, batches = read(path)
    assert (facts.stream, facts.others) == ("quotes", ("venue_bars",))
    assert [row["line"] for row in refused(batches)] == [3]
    assert refused(read(path, stream="venue_bars")[1]) == []
    with pytest.raises(SourceRefused, match="it holds no trades"):
        read(path, stream="trades")
    facts, batches = read(write(tmp_path, STATUS, "{"))
    assert (facts.stream, facts.others, len(refused(batches)), passed_over(batches)) == ("trades", (), 1, 1)


BAD_TRADES = {
    json.dumps([trade(p=0)]): "not_positive",
    json.dumps([trade(p="x")]): "not_a_number",
    json.dumps([trade(p=None)]): "columns",
    json.dumps([trade(p=[[]])]): "not_a_number",
    json.dumps([trade(s=1e-30)]): "scale",
    json.dumps([trade()]).replace("4.522e-05", "1e-999999999"): "scale",
    json.dumps([trade()]).replace("4.522e-05", "NaN"): "not_a_number",
    json.dumps([trade(t=1)]): "time",
    json.dumps([trade(t="\u0000")]): "time",
    json.dumps([trade(c="?!")]): "columns",
    json.dumps([trade(c=[[1]])]): "columns",
    json.dumps([trade(c={})]): "columns",
    json.dumps([trade(pair="\ud800")]): "columns",
    json.dumps([trade(pair="BTC-USD" * 9)]): "columns",
    "123456789 " + json.dumps([trade()]): "time",
    json.dumps([trade()])[:-2]: "not_json",
    json.dumps([trade()]) + "]": "not_json",
    "1706649628 x": "not_json",
    '"text"': "not_json",
    "5": "not_json",
    "[" * 100_000: "not_json",
    '[{"ev":"XT","p":' + "[" * 400 + "]" * 400 + "}]": "columns",
}


@pytest.mark.parametrize(("bad", "reason"), BAD_TRADES.items())
def test_a_bad_trade_costs_no_good_one(tmp_path: Path, bad: str, reason: str) -> None:
    path = write(tmp_path, line(trade()), bad, line(trade()))
    facts, batches = read(path)
    assert facts.space == "exchange_trade_id"
    assert [row["line"] for row in rows(batches)] == [1, 3]
    assert [(row["line"], row["reason"]) for row in refused(batches)] == [(2, reason)]
    raws = {int(str(row["line"])): str(row["raw"]) for row in refused(batches)}
    assert Capture().raw_lines(Source(path, path.name), [2]) == raws


def test_undecodable_bytes_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, line(trade()), line(trade()))
    path.write_bytes(path.read_bytes() + b'[{"ev":"XT","pair":"\xff\x00"}]\n')
    _, batches = read(path)
    assert [(row["line"], row["reason"], row["raw"]) for row in refused(batches)] == [(3, "encoding", '[{"ev":"XT","pair":"\\xff\\x00"}]')]


@pytest.mark.parametrize("number", ["1b254a48-7258-4465-8215-2610ccf9ab21", None, "", str(SPAN), "[]"])
def test_one_trade_without_id_makes_places_the_identity_of_all(tmp_path: Path, number: str | None) -> None:
    path = write(tmp_path, line(trade(), trade(p=0), trade()), line(trade(pair="ETH-USD"), trade(i=number)), line(trade(t=T + 1)))
    facts, batches = read(path)
    assert facts.space == "ordinal"
    assert [(row["line"], row["instrument"], row["sequence"]) for row in rows(batches)] == [
        (1, BTC, FIRST),
        (3, BTC, FIRST + 2),
        (4, ETH, FIRST),
        (5, BTC, FIRST + 3),
        (6, BTC, FIRST + 1000 * 4096),
    ]
    assert [row["sequence"] for row in refused(batches)] == [FIRST + 1]


def test_one_instrument_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path, line(trade(), trade(pair="ETH-USD", i="x"), trade(pair=None), quote(pair="ETH-USD")))
    facts, batches = read(path, instrument="polygon:btc-usd")
    assert (facts.instrument, facts.space, facts.others) == (BTC, "exchange_trade_id", ())
    assert [row["line"] for row in rows(batches)] == [1]
    assert [row["line"] for row in refused(batches)] == [3]
    assert passed_over(batches) == 2
    with pytest.raises(SourceRefused, match=r"holds polygon:BTCUSD, and nothing of polygon:SOLUSD"):
        read(write(tmp_path, line(trade())), instrument="polygon:SOLUSD")


@pytest.mark.parametrize(("time", "unit"), [(T, "ms"), (T * 1000 + 7, "us"), (T * 10**6 + 7, "ns")])
def test_unit_of_time_is_told_by_its_magnitude(tmp_path: Path, time: int, unit: str) -> None:
    facts, batches = read(write(tmp_path, line(trade(t=None)), line(trade(t=time))))
    assert facts.time_unit == unit
    assert [row["event_time"] for row in rows(batches)] == [AT + timedelta(microseconds=7 if unit == "us" else 0)]
    assert [row["event_time_ns"] for row in rows(batches)] == [time if unit == "ns" else None]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html></html>", "HTML"),
        (b"1625097621.647,2278.15,0.0409,1\n", "looks like ccapi"),
        (line(trade()).encode()[:-3], "truncated"),
        (gzip.compress(line(trade()).encode(), mtime=0)[:-9], "truncated or damaged"),
    ],
)
def test_a_bad_file_is_refused_whole(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "capture.jsonl"
    path.write_bytes(data)
    with pytest.raises(SourceRefused, match=reason) as caught:
        read(path)
    assert caught.value.remedy


def test_a_day_is_declared_by_the_user_alone(tmp_path: Path) -> None:
    assert read(write(tmp_path, line(trade())), day=date(2024, 1, 30))[0].declared == (date(2024, 1, 30), date(2024, 1, 31))


def test_recognition() -> None:
    assert Capture().recognises(line(trade()))
    assert Capture().recognises(f"{T}: {line(quote())}")
    assert Capture().recognises(json.dumps(minute()))
    assert Capture().recognises(STATUS)
    assert not Capture().recognises('1706649628 {"e":"trade","s":"BTCUSDT"}')
    assert not Capture().recognises("")


prices = st.decimals(min_value=Decimal("0.000000000001"), max_value=Decimal(10**15), places=12)
sizes = st.decimals(min_value=Decimal("0.000000000000000001"), max_value=Decimal(10**15), places=18)
millis = st.integers(1_325_376_000_000, 1_735_689_600_000)
trades = st.tuples(st.integers(0, 511), st.integers(0, SPAN - 1), millis, prices, sizes, st.sampled_from("123"))
messages = st.lists(st.lists(trades, max_size=5), min_size=1, max_size=12)
junk = st.lists(st.tuples(st.integers(0, 12), st.sampled_from(list(BAD_TRADES))), max_size=6)


@settings(max_examples=60, deadline=None)
@given(written=messages, junk=junk, ending=st.booleans())
def test_written_trades_come_back_exactly(
    written: list[list[tuple[int, int, int, Decimal, Decimal, str]]], junk: list[tuple[int, str]], ending: bool
) -> None:
    def event(x: int, i: int, t: int, p: Decimal, q: Decimal, c: str) -> str:
        return f'{{"ev":"XT","pair":"BTC-USD","p":{plain(p)},"t":{t},"s":{plain(q)},"c":[{c}],"i":"{i}","x":{x},"r":1}}'

    lines: list[tuple[str, list[tuple[int, int, int, Decimal, Decimal, str]] | None]] = [
        (f"[{','.join(event(*one) for one in some)}]", some) for some in written
    ]
    for place, text in junk:
        lines.insert(min(place, len(lines) - 1), (text, None))
    number, expected, bad = 1, [], []
    for _, some in lines:
        for x, i, t, p, q, c in some or []:
            expected.append((number, x * SPAN + i, EPOCH + timedelta(milliseconds=t), p, q, {"1": "sell", "2": "buy"}.get(c)))
            number += 1
        if some is None:
            bad.append(number)
            number += 1
    with TemporaryDirectory() as folder:
        before = polygon_ws._BLOCK_LINES
        polygon_ws._BLOCK_LINES = 2  # type: ignore[misc]  # a constant, but for this
        try:
            path = write(Path(folder), STATUS, *(text for text, _ in lines))
            if not ending:
                path.write_bytes(path.read_bytes()[:-1])
            _, batches = read(path)
        finally:
            polygon_ws._BLOCK_LINES = before  # type: ignore[misc]
    names = ("line", "sequence", "event_time", "price", "size", "side")
    assert [tuple(row[name] for name in names) for row in rows(batches)] == [(n + 1, *rest) for n, *rest in expected]
    assert [row["line"] for row in refused(batches)] == [n + 1 for n in bad]
    assert passed_over(batches) == 1 + sum(not some for some in written)


@pytest.mark.parametrize("depth", [10, 400, 900])
def test_a_deep_event_is_refused_with_its_text(tmp_path: Path, depth: int) -> None:
    deep = "[" * depth + "1" + "]" * depth
    text = line(trade(), trade(p="?"), trade(i="4501")).replace('"?"', deep)
    _, batches = read(write(tmp_path, text))
    assert [row["line"] for row in rows(batches)] == [1, 3]
    [bad] = refused(batches)
    assert (bad["line"], str(bad["raw"]).count("[")) == (2, depth + 1)


@settings(max_examples=100, deadline=None)
@given(
    parts=st.lists(
        st.one_of(
            st.sampled_from(
                [*(json.dumps(event).encode() for event in (trade(), quote(), minute())), b"[", b"]", b"\n", b"1706649628 ", b","]
            ),
            st.binary(max_size=10),
        ),
        max_size=20,
    )
)
def test_no_bytes_break_it(parts: list[bytes]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "capture.jsonl"
        path.write_bytes(line(trade(), quote(), minute()).encode() + b"\n" + b"".join(parts) + b"\n")
        counts = []
        seen: list[object] = []
        for stream in ("trades", "quotes", "venue_bars"):
            _, batches = read(path, stream=stream)
            counts.append(sum(batch.rows.num_rows + batch.refused.num_rows + batch.passed_over for batch in batches))
            seen += [row["line"] for row in rows(batches) + refused(batches)]
    assert len(set(counts)) == 1
    assert len(set(seen)) == len(seen)
