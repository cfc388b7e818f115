"""Captures of the Coinbase Exchange feed."""

import gzip
import json
import random
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrr_assets.calc.numbers import plain
from rrr_assets.contracts.parsed import REFUSED_ROWS, SCHEMAS
from rrr_assets.venues import binance_ws
from rrr_assets.venues.base import Source, SourceFacts, SourceRefused, Stream
from rrr_assets.venues.coinbase_ws import Capture

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BTC = "coinbase:BTCUSD"
Row = dict[str, object]
prices = st.decimals(min_value=Decimal("0.000000000001"), max_value=Decimal(10**15), places=12)
sizes = st.decimals(min_value=Decimal("0.000000000000000001"), max_value=Decimal(10**15), places=18)


def at(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def read(
    path: Path, stream: Stream | None = None, instrument: str | None = None, day: date | None = None
) -> tuple[SourceFacts, list[Row], list[Row], int]:
    """Facts, rows, refused rows and the count of lines passed over."""
    source = Source(path, path.name, instrument, day, stream)
    facts = Capture().inspect(source)
    batches = list(Capture().parse(source, facts))
    for batch in batches:
        batch.rows.validate(full=True)
        assert batch.rows.schema == SCHEMAS[facts.stream]
        assert batch.refused.schema == REFUSED_ROWS
    rows = [row for batch in batches for row in batch.rows.to_pylist()]
    refused = [row for batch in batches for row in batch.refused.to_pylist()]
    return facts, rows, refused, sum(batch.passed_over for batch in batches)


def write(folder: Path, *lines: str) -> Path:
    path = folder / "COINBASE.ws"
    path.write_bytes(("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    return path


def line(data: Mapping[str, object], clock: object = "1618677817.0618958") -> str:
    return f"{clock}: " + json.dumps(data, separators=(",", ":"))


def match(**other: object) -> dict[str, object]:
    fields = {"type": "match", "trade_id": 881613, "maker_order_id": "27fff20b", "taker_order_id": "1da6ce16", "side": "sell"}
    fields |= {"size": "0.04", "price": "14.7775", "product_id": "BTC-USD", "sequence": 333938798}
    return {**fields, "time": "2021-04-17T16:43:37.056746Z", **other}


def ticker(**other: object) -> dict[str, object]:
    fields = {"type": "ticker", "sequence": 333938798, "product_id": "BTC-USD", "price": "14.7775", "best_bid": "14.7550"}
    fields |= {"best_bid_size": "0.5", "best_ask": "14.8060", "best_ask_size": "0.25000000", "side": "buy"}
    return {**fields, "time": "2021-04-17T16:43:37.056746Z", "trade_id": 881613, "last_size": "0.04", **other}


def without(fields: Mapping[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name not in names}


OTHERS = [
    "",
    "wss://ws-feed.pro.coinbase.com <-> 1618677816.8434298",
    'wss://ws-feed.pro.coinbase.com <- 1618677817.02: {"type":"subscribe","product_ids":["BTC-USD"],"channels":["matches","ticker"]}',
    line({"type": "subscriptions", "channels": [{"name": "level2", "product_ids": ["BTC-USD"]}]}),
    line({"type": "heartbeat", "sequence": 90, "last_trade_id": 20, "product_id": "BTC-USD"}),
    line({"type": "l2update", "product_id": "BTC-USD", "changes": [["buy", "1", "2"]]}),
    line({"type": "snapshot", "product_id": "BTC-USD", "bids": [["1", "2"]], "asks": []}),
    line({"type": "error", "message": "match"}),
    line({"type": "received", "product_id": "BTC-USD"}),
    line({"product_id": "BTC-USD"}),
    line({"type": ["match"], "product_id": "BTC-USD"}),
    line({"type": "l2update", "product_id": "BTC-USD"})[:-9] + '","',
]
START = OTHERS[3]


def test_a_match_is_read_exactly(tmp_path: Path) -> None:
    path = write(tmp_path, *OTHERS, line(match()), line(match(type="last_match", trade_id=7, side="buy")))
    facts, rows, refused, passed_over = read(path, day=date(2021, 4, 17))
    assert (facts.stream, facts.space, facts.time_unit, facts.others) == ("trades", "trade_id", "us", ())
    assert (facts.declared, facts.instrument) == ((date(2021, 4, 17), date(2021, 4, 18)), None)
    # The side is the maker's: it sold, so the aggressor bought.
    row = {
        "line": len(OTHERS) + 1,
        "instrument": BTC,
        "sequence": 881613,
        "event_time": datetime(2021, 4, 17, 16, 43, 37, 56746, UTC),
        "event_time_ns": None,
        "price": Decimal("14.7775"),
        "size": Decimal("0.04"),
        "side": "buy",
        "conditions": None,
        "received_at": datetime(2021, 4, 17, 16, 43, 37, 61895, UTC),
    }
    assert rows == [row, {**row, "line": len(OTHERS) + 2, "sequence": 7, "side": "sell"}]
    assert (refused, passed_over) == ([], len(OTHERS))


def test_a_ticker_is_a_quote(tmp_path: Path) -> None:
    old = without(ticker(), "best_bid_size", "best_ask_size")
    facts, rows, refused, passed_over = read(write(tmp_path, START, line(ticker()), line(match()), line(old)), "quotes")
    assert (facts.stream, facts.space, facts.time_unit, facts.others) == ("quotes", "update_id", "us", ("trades",))
    row = {
        "line": 2,
        "instrument": BTC,
        "sequence": 333938798,
        "event_time": datetime(2021, 4, 17, 16, 43, 37, 56746, UTC),
        "event_time_ns": None,
        "time_source": "venue",
        "bid_price": Decimal("14.755"),
        "bid_size": Decimal("0.5"),
        "ask_price": Decimal("14.806"),
        "ask_size": Decimal("0.25"),
        "received_at": datetime(2021, 4, 17, 16, 43, 37, 61895, UTC),
    }
    # Captures before 2022 have no sizes.
    assert rows == [row, {**row, "line": 4, "bid_size": None, "ask_size": None}]
    assert (refused, passed_over) == ([], 2)
    assert read(write(tmp_path, START, line(ticker())))[0].stream == "quotes"


@pytest.mark.parametrize(
    ("other", "bid", "size"),
    [
        ({"best_bid": "0", "best_bid_size": "0.00000000"}, None, None),
        ({"best_bid": "", "best_bid_size": ""}, None, None),
        ({"best_bid": None}, None, None),
        ({"best_bid": "0.00", "best_bid_size": None}, None, None),
        ({"best_bid": "14.755", "best_bid_size": None}, "14.755", None),
        ({"best_bid": "14.755", "best_bid_size": ""}, "14.755", None),
    ],
)
def test_an_empty_side_of_a_ticker(tmp_path: Path, other: dict[str, object], bid: str | None, size: str | None) -> None:
    _, [row], _, _ = read(write(tmp_path, START, line(ticker(**other))))
    assert (row["bid_price"], row["bid_size"]) == (bid and Decimal(bid), size)
    assert row["ask_price"] == Decimal("14.806")


def test_a_ticker_without_time_has_the_recorders(tmp_path: Path) -> None:
    lines = [START, line(without(ticker(), "time"), 1618677817.061895), line(match(), 1618677816.056746)]
    facts, [row], _, _ = read(write(tmp_path, *lines), "quotes")
    assert (facts.clock_offset_us, row["time_source"]) == (1_000_000, "local")
    assert (row["event_time"], row["received_at"]) == (at(1618677818_061895), at(1618677817_061895))


def raw(data: Mapping[str, object]) -> str:
    return json.dumps(data, separators=(",", ":"))


@pytest.mark.parametrize("first", ["match", "subscriptions", "ticker"])
def test_messages_without_a_receive_time_are_read(tmp_path: Path, first: str) -> None:
    subscriptions = START.partition(": ")[2]
    started = {"match": raw(match()), "subscriptions": subscriptions, "ticker": raw(ticker())}[first]
    lines = [started, f"  {raw(match(trade_id=5))} ", raw(ticker(sequence=6)), line(match(trade_id=7)), "junk", raw(match())[:-9]]
    path = write(tmp_path, *lines)
    facts, rows, refused, passed_over = read(path)
    assert (facts.stream, facts.time_unit, facts.others) == ("trades", "us", ("quotes",))
    assert [(row["sequence"], row["received_at"]) for row in rows if row["line"] != 1] == [(5, None), (7, at(1618677817_061895))]
    assert next(row for row in rows if row["line"] == 2)["event_time"] == datetime(2021, 4, 17, 16, 43, 37, 56746, UTC)
    assert [(row["line"], row["reason"]) for row in refused] == [(5, "not_json"), (6, "not_json")]
    assert len(rows) + len(refused) + passed_over == len(lines)
    _, quotes, refused, _ = read(path, "quotes")
    assert [(row["received_at"], row["time_source"]) for row in quotes if row["sequence"] == 6] == [(None, "venue")]
    assert refused == []


def test_a_ticker_without_any_time_is_refused(tmp_path: Path) -> None:
    _, rows, refused, _ = read(write(tmp_path, raw(ticker()), raw(without(ticker(), "time"))))
    assert [row["line"] for row in rows] == [1]
    assert [(row["line"], row["reason"]) for row in refused] == [(2, "time")]


def test_a_capture_without_receive_times_that_was_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_text(f"{raw(match())}\n{raw(match())}")
    assert len(read(path)[1]) == 2
    path.write_text(f"{raw(match())}\n{raw(match())[:-9]}")
    with pytest.raises(SourceRefused, match="truncated"):
        read(path)


def test_only_coinbase_needs_no_receive_time(tmp_path: Path) -> None:
    lines = [
        '{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","t":1}}',
        '{"channel":"ticker","type":"x","product_id":"BTC-USD"}',
    ]
    for text in lines:
        assert not Capture().recognises(text)
        assert not binance_ws.Capture().recognises(text)
    path = write(tmp_path, "1680652800004107 " + lines[0], lines[0])
    source = Source(path, path.name)
    facts = binance_ws.Capture().inspect(source)
    reasons = [
        row["reason"] for batch in binance_ws.Capture().parse(source, facts) for row in batch.refused.to_pylist() if row["line"] == 2
    ]
    assert reasons == ["not_json"]


def test_the_clock_is_measured_on_the_changes_of_the_book_too(tmp_path: Path) -> None:
    change = {"type": "l2update", "product_id": "BTC-USD", "changes": [], "time": "2021-04-17T16:43:37.5Z"}
    lines = [START, line(match(time="2021-04-17T16:43:30Z"), 1618677817), *[line(change, 1618677817)] * 3]
    for stream in ("trades", None):
        assert read(write(tmp_path, *lines), stream)[0].clock_offset_us == 500_000
    assert read(write(tmp_path, START, line(match(time="x"))))[0].clock_offset_us is None


@pytest.mark.parametrize(
    ("time", "nanoseconds"),
    [
        ("2021-04-17T16:43:37Z", 1618677817_000000000),
        ("2021-04-17T16:43:37.5Z", 1618677817_500000000),
        ("2021-04-17T16:43:37.056Z", 1618677817_056000000),
        ("2021-04-17T16:43:37.056746Z", 1618677817_056746000),
        ("2021-04-17T16:43:37.056746123Z", 1618677817_056746123),
        ("2020-02-29T23:59:59.999999Z", 1583020799_999999000),
    ],
)
def test_times_are_read_to_the_nanosecond(tmp_path: Path, time: str, nanoseconds: int) -> None:
    for data, stream in ((match(time=time), "trades"), (ticker(time=time), "quotes")):
        _, [row], _, _ = read(write(tmp_path, START, line(data)), stream)  # type: ignore[arg-type]  # literals in a tuple
        assert row["event_time"] == at(nanoseconds // 1000)
        assert row["event_time_ns"] == (nanoseconds if nanoseconds % 1000 else None)


NO_TIMES = ["", "x", 5, {}, "2021-04-17", "2021-04-17T16:43:37", "2021-02-30T16:43:37Z", "2021-04-17T24:00:00Z", "2008-12-31T23:59:59Z"]
NO_TIMES += [
    "9999-12-31T23:59:59.999999999Z",
    "2021-04-17T16:43:37.0567461234Z",
    "2021-04-17T16:43:37+02:00",
    "\ud800",
    " 2021-04-17T16:43:37Z",
]
BAD_MATCHES: list[tuple[dict[str, object], str]] = [
    ({"trade_id": None}, "missing_id"),
    ({"trade_id": -1}, "missing_id"),
    ({"price": "x"}, "not_a_number"),
    ({"price": "0"}, "not_positive"),
    ({"price": "1e-999999999"}, "scale"),
    ({"size": "-1"}, "not_positive"),
    ({"size": None}, "columns"),
    ({"side": "SELL"}, "side"),
    ({"side": None}, "side"),
    ({"time": None}, "time"),
    ({"product_id": None}, "columns"),
    ({"product_id": "\ud800\ud800"}, "columns"),
    *(({"time": time}, "time") for time in NO_TIMES),
]
BAD_TICKERS: list[tuple[dict[str, object], str]] = [
    ({"sequence": None}, "missing_id"),
    ({"sequence": "x"}, "missing_id"),
    ({"best_bid": "x"}, "not_a_number"),
    ({"best_ask": "-1"}, "not_positive"),
    ({"best_ask": "0"}, "not_positive"),
    ({"best_ask_size": "-1"}, "not_positive"),
    ({"best_bid": "", "best_ask": None}, "columns"),
    ({"product_id": ""}, "columns"),
    ({"time": "x"}, "time"),
]


@pytest.mark.parametrize(
    ("stream", "other", "reason"), [("trades", *bad) for bad in BAD_MATCHES] + [("quotes", *bad) for bad in BAD_TICKERS]
)
def test_a_bad_message_is_refused(tmp_path: Path, stream: Stream, other: dict[str, object], reason: str) -> None:
    made = match if stream == "trades" else ticker
    path = write(tmp_path, START, line(made()), line(made(**other)), line(made()))
    _, rows, refused, _ = read(path, stream)
    assert [row["line"] for row in rows] == [2, 4]
    assert [(row["line"], row["reason"]) for row in refused] == [(3, reason)]
    assert Capture().raw_lines(Source(path, path.name), [3]) == {3: refused[0]["raw"]}


def test_what_cannot_be_read_is_refused_once(tmp_path: Path) -> None:
    lines = [START, line(match()), line(match())[:-9], "junk", line(ticker())[:-9], line(ticker()), line(match()).replace("14.7", "\udcff")]
    path = write(tmp_path, *lines, line(match(), 5), line(ticker(), 1230767999))
    found = {stream: [(row["line"], row["reason"]) for row in read(path, stream)[2]] for stream in ("trades", "quotes")}
    assert found == {
        "trades": [(3, "not_json"), (4, "not_json"), (7, "encoding"), (8, "not_json")],
        "quotes": [(5, "not_json"), (9, "time")],
    }


def test_a_given_instrument_takes_its_messages_alone(tmp_path: Path) -> None:
    path = write(tmp_path, START, line(match(product_id="ETH-USD")), line(ticker()), line(match(product_id="ETH-USD")))
    facts, rows, _, passed_over = read(path, instrument="coinbase:btc-usd")
    assert (facts.stream, facts.others, facts.instrument, len(rows), passed_over) == ("quotes", (), BTC, 1, 3)
    with pytest.raises(SourceRefused, match="holds trades and quotes of coinbase:BTCUSD, coinbase:ETHUSD, none of coinbase:XRPUSD"):
        read(path, instrument="coinbase:XRPUSD")
    with pytest.raises(SourceRefused, match="this format comes from coinbase"):
        read(path, instrument="binance:BTCUSDT")
    with pytest.raises(SourceRefused, match="it holds no depth messages"):
        read(path, "depth")


def test_captures_of_the_two_venues_are_told_apart(tmp_path: Path) -> None:
    binance = '1680652800004107 {"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","t":1}}\n'
    coinbase = write(tmp_path, START, line(match())).read_text()
    formats = (Capture(), binance_ws.Capture())
    assert [[form.recognises(head) for form in formats] for head in (coinbase, binance)] == [[True, False], [False, True]]
    path = tmp_path / "other"
    path.write_text(binance)
    with pytest.raises(SourceRefused, match=r"not coinbase-ws.*binance-ws"):
        read(path)


@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 99, b"{" * 70_000, line(match())[:-9].encode(), gzip.compress(line(match()).encode(), mtime=0)[:-9]]
)
def test_what_is_no_whole_capture_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "capture"
    path.write_bytes(data)
    with pytest.raises(SourceRefused) as caught:
        read(path)
    assert caught.value.remedy


@settings(max_examples=60, deadline=None)
@given(
    matches=st.lists(
        st.tuples(st.integers(0, 2**63 - 1), prices, sizes, st.integers(1_325_376_000 * 10**9, 1_735_689_600 * 10**9), st.booleans()),
        max_size=15,
    ),
    tickers=st.lists(st.tuples(st.integers(0, 2**63 - 1), prices, sizes, prices, sizes), max_size=15),
    between=st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from([*OTHERS, "junk", line(match(price="x")), line(ticker(sequence=None))])), max_size=12
    ),
    chance=st.randoms(use_true_random=False),
)
def test_what_was_written_comes_back_exactly(
    matches: list[tuple[int, Decimal, Decimal, int, bool]],
    tickers: list[tuple[int, Decimal, Decimal, Decimal, Decimal]],
    between: list[tuple[int, str]],
    chance: random.Random,
) -> None:
    lines: list[tuple[str, str | None, tuple[object, ...]]] = []
    for i, p, q, ns, sell in matches:
        time = f"{at(ns // 10**9 * 10**6):%Y-%m-%dT%H:%M:%S}.{ns % 10**9:09d}Z"
        side = "sell" if sell else "buy"
        data = match(trade_id=i, price=plain(p), size=plain(q), time=time, side={"sell": "buy", "buy": "sell"}[side])
        lines.append((line(data), "trades", (i, p, q, at(ns // 1000), ns if ns % 1000 else None, side)))
    for u, b, bs, a, az in tickers:
        data = ticker(sequence=u, best_bid=plain(b), best_bid_size=plain(bs), best_ask=plain(a), best_ask_size=plain(az))
        lines.append((line(data), "quotes", (u, b, bs, a, az)))
    lines += [(text, None, ()) for _, text in between]
    chance.shuffle(lines)
    lines.insert(0, (START, None, ()))
    names = {
        "trades": ("sequence", "price", "size", "event_time", "event_time_ns", "side"),
        "quotes": ("sequence", "bid_price", "bid_size", "ask_price", "ask_size"),
    }
    with TemporaryDirectory() as folder:
        path = write(Path(folder), *(text for text, _, _ in lines))
        first, *_ = read(path)
        for stream in (first.stream, *first.others):
            _, rows, refused, passed_over = read(path, stream)
            assert [(row["line"], *(row[name] for name in names[stream])) for row in rows] == [
                (n, *values) for n, (_, kind, values) in enumerate(lines, 1) if kind == stream
            ]
            assert len(rows) + len(refused) + passed_over == len(lines)


def test_no_flipped_byte_breaks_a_stream_or_loses_a_line(tmp_path: Path) -> None:
    whole = ("\n".join([*OTHERS, line(match()), line(ticker()), line(match()), line(ticker())]) + "\n").encode()
    chance = random.Random(7)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 12)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path = tmp_path / "capture"
        path.write_bytes(bytes(data) + b"\n")
        try:
            first, *_ = read(path)
        except SourceRefused as refusal:
            assert refusal.remedy  # noqa: PT017  # either it is refused so, or read
            continue
        refused_lines: list[object] = []
        for stream in (first.stream, *first.others):
            _, rows, refused, passed_over = read(path, stream)
            assert len(rows) + len(refused) + passed_over == bytes(data).count(b"\n") + 1
            refused_lines += [row["line"] for row in refused]
        assert len(refused_lines) == len(set(refused_lines))
