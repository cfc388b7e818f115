"""Captures of Binance's WebSocket streams that hold more than trades: aggregated trades, quotes, depth, and several of them at once.

Its trades alone are in test_venues_json.
"""

import gzip
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrr_assets.calc.numbers import plain
from rrr_assets.contracts.parsed import REFUSED_ROWS, SCHEMAS
from rrr_assets.venues import content
from rrr_assets.venues.base import ParsedBatch, Source, SourceFacts, SourceRefused, Stream
from rrr_assets.venues.binance_ws import Capture

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BTC = "binance:BTCUSDT"
CLOCK = 1680652800004107
Row = dict[str, object]
prices = st.decimals(min_value=Decimal("0.000000000001"), max_value=Decimal(10**15), places=12)
sizes = st.decimals(min_value=Decimal("0.000000000000000001"), max_value=Decimal(10**15), places=18)
millis = st.integers(1_325_376_000_000, 1_735_689_600_000)


def at(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def read(
    path: Path, stream: Stream | None = None, instrument: str | None = None, name: str | None = None
) -> tuple[SourceFacts, list[Row], list[Row], int]:
    """Facts, rows, refused rows and the count of lines passed over."""
    source = Source(path, name or path.name, instrument, stream=stream)
    facts = Capture().inspect(source)
    batches = list(Capture().parse(source, facts))
    return facts, *sums(facts, batches)


def sums(facts: SourceFacts, batches: Sequence[ParsedBatch]) -> tuple[list[Row], list[Row], int]:
    for batch in batches:
        batch.rows.validate(full=True)
        assert batch.rows.schema == SCHEMAS[facts.stream]
        assert batch.refused.schema == REFUSED_ROWS
    return (
        [row for batch in batches for row in batch.rows.to_pylist()],
        [row for batch in batches for row in batch.refused.to_pylist()],
        sum(batch.passed_over for batch in batches),
    )


def write(folder: Path, *lines: str, name: str = "capture.dat") -> Path:
    path = folder / name
    path.write_bytes(("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    return path


@contextmanager
def small_blocks() -> Iterator[None]:
    """Blocks of a few lines, so that small inputs cross many block borders."""
    before = content.BLOCK_BYTES, content.BLOCK_LINES
    content.BLOCK_BYTES, content.BLOCK_LINES = 512, 3  # type: ignore[misc]  # a constant, but for this
    try:
        yield
    finally:
        content.BLOCK_BYTES, content.BLOCK_LINES = before  # type: ignore[misc]


def line(data: Mapping[str, object], channel: str | None = None, clock: object = CLOCK) -> str:
    """A message of a combined stream where there is a channel, of a single one where there is none."""
    document = data if channel is None else {"stream": channel, "data": data}
    return f"{clock} " + json.dumps(document, separators=(",", ":"))


def trade(**other: object) -> dict[str, object]:
    fields: dict[str, object] = {"e": "trade", "E": 1680652800000, "s": "BTCUSDT", "t": 1, "p": "28165.47", "q": "0.00056"}
    return {**fields, "T": 1680652799999, "m": True, "M": True, **other}


def agg_trade(**other: object) -> dict[str, object]:
    fields: dict[str, object] = {"e": "aggTrade", "E": 1680652800000, "s": "BTCUSDT", "a": 15683430, "p": "0.3528", "q": "58.5"}
    return {**fields, "f": 19862790, "l": 19862792, "T": 1680652799999, "m": False, "M": True, **other}


def quote(**other: object) -> dict[str, object]:
    return {"u": 36090299876, "s": "BTCUSDT", "b": "28165.47", "B": "7.9868", "a": "28165.48", "A": "3.26888", **other}


def depth(**other: object) -> dict[str, object]:
    fields: dict[str, object] = {"e": "depthUpdate", "E": 1680652800084, "s": "BTCUSDT", "U": 100, "u": 105}
    return {**fields, "b": [["28165.47000000", "7.73115000"], ["28165.40", "0.00"]], "a": [], **other}


def snapshot(**other: object) -> dict[str, object]:
    return {"lastUpdateId": 105, "bids": [["28165.47", "7.7"]], "asks": [["28165.48", "3"]], **other}


def without(fields: Mapping[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name not in names}


# Which streams a capture holds


STREAMS: dict[Stream, dict[str, object]] = {"trades": trade(), "agg_trades": agg_trade(), "quotes": quote(), "depth": depth()}


@pytest.mark.parametrize("held", [["depth", "trades", "quotes", "agg_trades"], ["quotes", "depth"], ["depth"], ["quotes", "trades"]])
def test_every_stream_is_offered_and_read_as_if_it_were_alone(tmp_path: Path, held: list[Stream]) -> None:
    path = write(tmp_path, *(line(STREAMS[stream]) for stream in held), line({"e": "kline", "s": "BTCUSDT"}))
    in_order = [stream for stream in STREAMS if stream in held]
    facts, *_ = read(path)
    assert (facts.stream, facts.others) == (in_order[0], tuple(in_order[1:]))
    for stream in held:
        facts, rows, refused, passed_over = read(path, stream)
        assert (facts.stream, set(facts.others)) == (stream, {*held} - {stream})
        assert ([row["line"] for row in rows], refused, passed_over) == ([held.index(stream) + 1], [], len(held))
    spaces = {"trades": "trade_id", "agg_trades": "aggregate_id", "quotes": "update_id", "depth": "update_id"}
    assert {stream: read(path, stream)[0].space for stream in held} == {stream: spaces[stream] for stream in held}
    for absent in STREAMS.keys() - {*held}:
        with pytest.raises(SourceRefused, match="it holds no") as caught:
            read(path, absent)
        assert held[0] in caught.value.remedy


def test_one_message_of_another_venue_costs_nothing(tmp_path: Path) -> None:
    other = line({"type": "match", "product_id": "BTC-USD"})
    _, rows, refused, passed_over = read(write(tmp_path, other, line(trade()), line(trade(t=2))))
    assert ([row["sequence"] for row in rows], refused, passed_over) == ([1, 2], [], 1)
    with pytest.raises(SourceRefused, match="looks like a capture of Coinbase"):
        read(write(tmp_path, line(trade()), other))


def test_one_message_of_futures_in_a_capture_of_spot_is_another_instruments(tmp_path: Path) -> None:
    path = write(tmp_path, line(trade()), line(trade(t=2, X="MARKET")), line(trade(t=3)))
    _, rows, refused, passed_over = read(path, instrument=BTC)
    assert ([row["sequence"] for row in rows], refused, passed_over) == ([1, 3], [], 1)


def test_kinds_that_no_database_stores_are_refused(tmp_path: Path) -> None:
    _, rows, refused, _ = read(write(tmp_path, line(trade(X="\x00")), line(trade(X="NA\x1b")), line(trade(X="NA"))))
    assert [(row["line"], row["reason"]) for row in refused] == [(1, "encoding"), (2, "encoding")]
    assert [row["conditions"] for row in rows] == [["na"]]


def test_a_capture_of_nothing_that_is_read_is_one_of_no_trades(tmp_path: Path) -> None:
    path = write(tmp_path, line({"e": "kline", "s": "BTCUSDT", "k": {"T": 4_000_000_000_000}}), line({"result": None, "id": 1}))
    for stream in (None, "trades"):
        facts, rows, refused, passed_over = read(path, stream)
        assert (facts.stream, facts.others, facts.clock_offset_us) == ("trades", (), None)
        assert (rows, refused, passed_over) == ([], [], 2)


def test_a_line_that_cannot_be_read_is_refused_in_one_stream_alone(tmp_path: Path) -> None:
    cut_depth, cut_quote = line(depth(), "btcusdt@depth@100ms")[:-9], line(quote(), "btcusdt@bookTicker")[:-9]
    lines = [line(trade()), cut_depth, "junk", cut_quote, line(quote()), "", "wss://stream.binance.com/stream <-> 1633998512.06"]
    path = write(tmp_path, *lines, line(trade()).replace("28165", "\udcff"))
    # It is of the stream that it is evidently of where the file holds that one, else of the first.
    expected = {"trades": [(2, "not_json"), (3, "not_json"), (8, "encoding")], "quotes": [(4, "not_json")]}
    for stream, refusals in expected.items():
        facts, rows, refused, passed_over = read(path, stream)  # type: ignore[arg-type]  # a key that is a literal
        assert {facts.stream, *facts.others} == {"trades", "quotes"}
        assert [(row["line"], row["reason"]) for row in refused] == refusals
        assert len(rows) + len(refused) + passed_over == 8


@pytest.mark.parametrize("blocks", [1, 4])
def test_the_instrument_that_is_given_decides_which_streams_there_are(tmp_path: Path, blocks: int) -> None:
    eth = [line(trade(s="ETHUSDT")), line(depth(s="ETHUSDT"))] * blocks
    path = write(tmp_path, *eth, line(quote(), "btcusdt@bookTicker"), line(depth()))
    with small_blocks():
        facts, rows, _, _ = read(path, None, BTC)
        assert (facts.stream, facts.others, facts.instrument) == ("quotes", ("depth",), BTC)
        assert [row["line"] for row in rows] == [2 * blocks + 1]
        with pytest.raises(SourceRefused, match="it holds no trades of binance:BTCUSDT"):
            read(path, "trades", BTC)
        with pytest.raises(SourceRefused, match="holds trades and quotes and depth messages of binance:BTCUSDT, binance:ETHUSDT, none of"):
            read(path, None, "binance:XRPUSDT")


NO_SYMBOLS: list[object] = ["", 5, "\ud800\ud800", "_", ["x"], "B" * 500]


# Depth that names no symbol is of the only one in the file.
@pytest.mark.parametrize(
    ("stream", "symbol"), [(stream, symbol) for stream in STREAMS for symbol in NO_SYMBOLS + ([] if stream == "depth" else [None])]
)
def test_a_message_without_a_symbol_is_refused(tmp_path: Path, stream: Stream, symbol: object) -> None:
    path = write(tmp_path, line(STREAMS[stream]), line({**STREAMS[stream], "s": symbol}))
    _, rows, refused, _ = read(path, stream)
    assert (len(rows), [(row["line"], row["reason"], row["instrument"]) for row in refused]) == (1, [(2, "columns", None)])


# The clock


def test_the_clock_offset_is_measured_once_for_all_streams(tmp_path: Path) -> None:
    # The recorder runs 1.25 s behind; the end of a kline and what cannot be read say nothing of that.
    clock = 1680652798_834_000
    lines = [
        line(trade(), clock=clock),
        line(agg_trade(T=1680652799990), clock=f"{clock / 10**6}:"),
        line(depth(), clock=f"{clock}000"),
        line({"e": "kline", "s": "BTCUSDT", "k": {"T": 1680652859999}, "E": 1680652859999}, clock=clock),
        line(trade(T=1680652859999), clock=5),
        line(quote(), clock=f"{clock}123"),
        line(snapshot(), clock=clock // 1000),
    ]
    path = write(tmp_path, *lines)
    for stream in STREAMS:
        assert read(path, stream)[0].clock_offset_us == 1_250_000 - 85_000
    [row] = read(path, "quotes")[1]
    received = 1680652798_834_000
    assert (row["event_time"], row["received_at"], row["time_source"]) == (at(received + 1_165_000), at(received), "local")
    [delta, bare] = read(path, "depth")[1]
    assert (delta["event_time"], delta["time_source"]) == (at(1680652800_084_000), "venue")
    assert (bare["event_time"], bare["time_source"]) == (at(received + 1_165_000), "local")


def test_without_a_venue_time_nothing_is_added(tmp_path: Path) -> None:
    facts, rows, _, _ = read(write(tmp_path, line(quote())))
    assert (facts.clock_offset_us, facts.time_unit, rows[0]["event_time"]) == (None, "us", at(CLOCK))


@pytest.mark.parametrize(
    ("stream", "messages", "unit"),
    [
        ("depth", [snapshot(), depth()], "ms"),
        ("depth", [depth(E=1680652800084123)], "us"),
        ("depth", [snapshot()], "us"),
        ("quotes", [quote()], "us"),
        ("quotes", [quote(e="bookTicker", T=1680652800084, E=1680652800085)], "ms"),
        ("agg_trades", [agg_trade(T="x"), agg_trade(T=1680652800084123)], "us"),
    ],
)
def test_unit_is_that_of_the_first_time_of_the_venue(tmp_path: Path, stream: Stream, messages: list[dict[str, object]], unit: str) -> None:
    channel = "btcusdt@depth20" if stream == "depth" else None
    assert read(write(tmp_path, *(line(message, channel) for message in messages)), stream)[0].time_unit == unit


# Aggregated trades


def test_an_aggregated_trade_is_read_exactly(tmp_path: Path) -> None:
    facts, rows, refused, _ = read(write(tmp_path, line(agg_trade(), "btcusdt@aggTrade")))
    assert (facts.stream, facts.space, facts.time_unit, refused) == ("agg_trades", "aggregate_id", "ms", [])
    assert rows == [
        {
            "line": 1,
            "instrument": BTC,
            "sequence": 15683430,
            "event_time": at(1680652799999000),
            "event_time_ns": None,
            "price": Decimal("0.3528"),
            "size": Decimal("58.5"),
            "side": "buy",
            "conditions": None,
            "received_at": at(CLOCK),
            "first_trade_id": 19862790,
            "last_trade_id": 19862792,
        }
    ]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"a": None}, "missing_id"),
        ({"f": "x"}, "missing_id"),
        ({"l": -1}, "missing_id"),
        ({"f": 9, "l": 8}, "missing_id"),
        ({"p": "0"}, "not_positive"),
        ({"q": "nan"}, "not_a_number"),
        ({"q": "1e-999999999"}, "scale"),
        ({"T": 5}, "time"),
        ({"m": None}, "side"),
        ({"p": {"x": ["\ud800"]}}, "not_a_number"),
    ],
)
def test_a_bad_aggregated_trade_is_refused(tmp_path: Path, other: dict[str, object], reason: str) -> None:
    _, rows, refused, _ = read(write(tmp_path, line(agg_trade()), line(agg_trade(**other)), line(agg_trade())))
    assert [row["line"] for row in rows] == [1, 3]
    assert [(row["line"], row["reason"], row["instrument"]) for row in refused] == [(2, reason, BTC)]


def test_aggregated_trades_of_futures_lack_a_field_of_spot(tmp_path: Path) -> None:
    lines = [line(agg_trade()), line(without(agg_trade(), "M")), line(without(agg_trade(s="BTCUSD_PERP"), "M"))]
    _, rows, _, _ = read(write(tmp_path, *lines))
    assert [row["instrument"] for row in rows] == [BTC, "binance-usdm:BTCUSDT", "binance-coinm:BTCUSDPERP"]
    assert len(read(write(tmp_path, *lines[1:2]), None, BTC)[1]) == 1


# Quotes


def test_a_quote_is_read_exactly(tmp_path: Path) -> None:
    futures = quote(e="bookTicker", E=1680652800085, T=1680652800084)
    path = write(tmp_path, line(quote(), "btcusdt@bookTicker"), line(quote()), line(futures, "!bookTicker"), line(futures))
    facts, rows, refused, _ = read(path)
    assert (facts.stream, facts.space, refused) == ("quotes", "update_id", [])
    same = {
        "sequence": 36090299876,
        "event_time_ns": None,
        "bid_price": Decimal("28165.47"),
        "bid_size": Decimal("7.9868"),
        "ask_price": Decimal("28165.48"),
        "ask_size": Decimal("3.26888"),
        "received_at": at(CLOCK),
    }
    # The recorder's clock lags by the 80 ms by which the futures' time leads it.
    spot = {"instrument": BTC, "event_time": at(CLOCK + 79_893), "time_source": "local", **same}
    of_futures = {"instrument": "binance-usdm:BTCUSDT", "event_time": at(1680652800084000), "time_source": "venue", **same}
    assert rows == [{"line": n, **(spot if n < 3 else of_futures)} for n in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("other", "bid", "ask"),
    [
        ({"b": "0.00000000", "B": "0.00000000"}, None, "28165.48"),
        ({"B": "0"}, None, "28165.48"),
        ({"b": "", "B": ""}, None, "28165.48"),
        ({"b": None}, None, "28165.48"),
        ({"a": "0", "A": "0e9"}, "28165.47", None),
    ],
)
def test_a_side_of_size_0_or_without_a_price_is_empty(tmp_path: Path, other: dict[str, object], bid: str | None, ask: str | None) -> None:
    _, [row], _, _ = read(write(tmp_path, line(quote(**other))))
    assert [row["bid_price"], row["ask_price"]] == [None if price is None else Decimal(price) for price in (bid, ask)]
    assert [row["bid_size"] is None, row["ask_size"] is None] == [bid is None, ask is None]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"u": None}, "missing_id"),
        ({"u": -1}, "missing_id"),
        ({"u": 2**63}, "missing_id"),
        ({"b": "x"}, "not_a_number"),
        ({"b": "0"}, "not_positive"),
        ({"b": "-1"}, "not_positive"),
        ({"B": "-1"}, "not_positive"),
        ({"B": None}, "columns"),
        ({"A": ""}, "columns"),
        ({"a": "1e30"}, "scale"),
        ({"b": "", "a": None}, "columns"),
        ({"e": "bookTicker", "T": 5}, "time"),
        ({"e": "bookTicker"}, "time"),
    ],
)
def test_a_bad_quote_is_refused(tmp_path: Path, other: dict[str, object], reason: str) -> None:
    _, rows, refused, _ = read(write(tmp_path, line(quote()), line(quote(**other), "btcusdt@bookTicker"), line(quote())), "quotes")
    assert [row["line"] for row in rows] == [1, 3]
    assert [(row["line"], row["reason"]) for row in refused] == [(2, reason)]


quotes_of = st.lists(
    st.tuples(st.integers(0, 2**62), *(st.none() | st.tuples(prices, sizes) for _ in range(2))).filter(lambda row: row[1] or row[2]),
    min_size=1,
    max_size=15,
)
JUNK = ["junk", line(trade()), line(depth()), line(quote())[:-5], "", line({"id": 1}), line(quote(u="x")), line(trade())[:-5]]


@settings(max_examples=60, deadline=None)
@given(
    quotes=quotes_of,
    between=st.lists(st.tuples(st.integers(0, 20), st.sampled_from(JUNK)), max_size=10),
    lag=st.integers(0, 2_000_000),
    has_time=st.booleans(),
)
def test_quotes_of_a_capture_come_back_exactly(
    quotes: list[tuple[int, tuple[Decimal, Decimal] | None, tuple[Decimal, Decimal] | None]],
    between: list[tuple[int, str]],
    lag: int,
    has_time: bool,
) -> None:
    def texts(side: tuple[Decimal, Decimal] | None) -> tuple[str, str]:
        return ("0.00000000", "0.00000000") if side is None else (plain(side[0]), plain(side[1]))

    clock = 1_700_000_000_000_000 - lag
    lines: list[tuple[str, object]] = []
    for number, (update, bid, ask) in enumerate(quotes):
        data = quote(u=update, **dict(zip("bBaA", texts(bid) + texts(ask), strict=True)))
        if has_time:
            data |= {"e": "bookTicker", "T": 1_700_000_000_000 + number}
        lines.append((line(data, clock=clock + number), (update, *(bid or (None, None)), *(ask or (None, None)), number)))
    for place, text in between:
        lines.insert(min(place, len(lines)), (text, None))
    lines.append((line(trade(T=1_700_000_000_000), clock=clock), None))
    with TemporaryDirectory() as folder, small_blocks():
        facts, rows, refused, passed_over = read(write(Path(folder), *(text for text, _ in lines)), "quotes")
    offset = facts.clock_offset_us or 0
    names = ("line", "sequence", "bid_price", "bid_size", "ask_price", "ask_size", "event_time", "received_at")
    assert [tuple(row[name] for name in names) for row in rows] == [
        (n, *row[:5], at(1_700_000_000_000_000 + row[5] * 1000) if has_time else at(clock + row[5] + offset), at(clock + row[5]))
        for n, (_, row) in enumerate(lines, 1)
        if isinstance(row, tuple)
    ]
    assert len(rows) + len(refused) + passed_over == len(lines)
    if not between and not has_time:
        assert offset == lag


# Depth


def test_a_change_of_the_book_is_read_exactly(tmp_path: Path) -> None:
    path = write(tmp_path, line(depth(), "btcusdt@depth@100ms"), line(depth(a=[["1", "2"]]), "btcusdt@depth"))
    facts, rows, refused, _ = read(path)
    assert (facts.stream, facts.space, facts.time_unit, refused) == ("depth", "update_id", "ms", [])
    assert rows[0] == {
        "line": 1,
        "instrument": BTC,
        "sequence": 210,
        "event_time": at(1680652800084000),
        "event_time_ns": None,
        "time_source": "venue",
        "message": "delta",
        "first_update_id": 100,
        "last_update_id": 105,
        "bids": '[["28165.47000000","7.73115000"],["28165.40","0.00"]]',
        "asks": "[]",
        "received_at": at(CLOCK),
    }
    assert rows[1]["asks"] == '[["1","2"]]'


def test_changes_of_futures_carry_the_time_of_the_transaction(tmp_path: Path) -> None:
    path = write(tmp_path, line(depth(T=1680652800080, pu=99)), line(depth(T=1680652800080, pu=99, s="BTCUSD_240628", ps="BTCUSD")))
    _, rows, _, _ = read(path)
    assert [(row["instrument"], row["event_time"]) for row in rows] == [
        ("binance-usdm:BTCUSDT", at(1680652800080000)),
        ("binance-coinm:BTCUSD240628", at(1680652800080000)),
    ]
    with pytest.raises(SourceRefused, match="its depth have T, which only those of futures have") as caught:
        read(path, None, BTC)
    assert caught.value.line == 1


def test_a_snapshot_is_of_the_only_symbol(tmp_path: Path) -> None:
    alone = write(tmp_path, line({"e": "kline", "s": "BTCUSDT"}), line(snapshot()), line(depth(), "btcusdt@depth"), name="alone")
    _, [row, _], _, _ = read(alone)
    assert (row["instrument"], row["message"], row["sequence"]) == (BTC, "snapshot", 211)
    assert (row["first_update_id"], row["last_update_id"]) == (None, 105)
    assert (row["bids"], row["asks"]) == ('[["28165.47","7.7"]]', '[["28165.48","3"]]')
    assert (row["time_source"], row["received_at"]) == ("local", at(CLOCK))
    assert read(alone, None, "binance-usdm:BTCUSDT")[1][0]["instrument"] == "binance-usdm:BTCUSDT"
    # A snapshot of futures has their times.
    [row] = read(write(tmp_path, line(snapshot(E=1680652800085, T=1680652800084)), line({"e": "kline", "s": "BTCUSDT"})))[1]
    assert (row["instrument"], row["time_source"], row["event_time"]) == ("binance-usdm:BTCUSDT", "venue", at(1680652800084000))
    several = write(tmp_path, line(snapshot()), line(depth()), line(quote(s="ETHUSDT")), name="several")
    for instrument in (None, BTC):
        _, rows, refused, _ = read(several, "depth", instrument)
        assert ([row["line"] for row in rows], [(row["line"], row["reason"]) for row in refused]) == ([2], [(1, "columns")])
    nameless = write(tmp_path, line(snapshot()), name="nameless")
    assert [row["reason"] for row in read(nameless)[2]] == ["columns"]
    assert [row["instrument"] for row in read(nameless, None, BTC)[1]] == [BTC]


@pytest.mark.parametrize("channel", ["btcusdt@depth5", "btcusdt@depth10@100ms", "btcusdt@depth20@1000ms"])
def test_a_partial_book_is_a_snapshot_of_the_symbol_of_its_stream(tmp_path: Path, channel: str) -> None:
    path = write(tmp_path, line(snapshot(), channel), line(quote(s="ETHUSDT")), line(depth(T=1, pu=2, E=1680652800085), channel))
    _, [row], [bad], _ = read(path, "depth")
    assert (row["instrument"], row["message"], row["time_source"], row["first_update_id"]) == (BTC, "snapshot", "local", None)
    assert (bad["line"], bad["reason"], bad["instrument"]) == (3, "time", "binance-usdm:BTCUSDT")
    [_, row] = read(write(tmp_path, line(depth(), "btcusdt@depth"), line(depth(T=1680652800084, pu=2), channel)), "depth")[1]
    assert (row["message"], row["first_update_id"], row["last_update_id"], row["sequence"]) == ("snapshot", None, 105, 211)


NO_LEVELS: list[object] = [
    None,
    {},
    "[]",
    5,
    [5],
    [[]],
    [["1"]],
    [["1", "2", []]],
    [["1", None]],
    [[["1"], "2"]],
    [["x", "2"]],
    [["0", "2"]],
    [["-1", "2"]],
    [["1", "-2"]],
    [["1", ""]],
    [["nan", "1"]],
    [["1", "2"], ["1e-999999999", "1"]],
    [["1e30", "1"]],
    [["1.0000000000001", "1"]],
    [["\ud800", "1"]],
    [["\u0661", "1"]],
    [["1", True]],
]


@pytest.mark.parametrize("levels", NO_LEVELS)
@pytest.mark.parametrize("side", ["b", "a"])
def test_levels_are_prices_and_sizes(tmp_path: Path, levels: object, side: str) -> None:
    name = {"b": "bids", "a": "asks"}[side]
    lines = [line(depth()), line(depth(**{side: levels})), line(snapshot(**{name: levels})), line(depth())]
    _, rows, refused, _ = read(write(tmp_path, *lines))
    assert [row["line"] for row in rows] == [1, 4]
    assert [(row["line"], row["reason"]) for row in refused] == [(2, "levels"), (3, "levels")]
    assert all(name in str(row["detail"]) for row in refused)


def test_a_level_that_is_wrong_is_shown(tmp_path: Path) -> None:
    _, _, [row], _ = read(write(tmp_path, line(depth()), line(depth(a=[["1", "2"], ["3", "x"], ["4", "y"]]))))
    assert '["3","x"]' in str(row["detail"])


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"u": None}, "missing_id"),
        ({"U": None}, "missing_id"),
        ({"U": 106}, "missing_id"),
        ({"u": 2**62}, "missing_id"),
        ({"u": 2**63}, "missing_id"),
        ({"E": None}, "time"),
        ({"E": 5}, "time"),
        ({"E": 1e30}, "time"),
    ],
)
def test_a_bad_change_of_the_book_is_refused(tmp_path: Path, other: dict[str, object], reason: str) -> None:
    _, rows, refused, _ = read(write(tmp_path, line(depth()), line(depth(**other)), line(depth())))
    assert [row["line"] for row in rows] == [1, 3]
    assert [(row["line"], row["reason"], row["instrument"]) for row in refused] == [(2, reason, BTC)]


def test_numbers_of_levels_may_be_numbers_of_json(tmp_path: Path) -> None:
    text = line(depth()).replace('"28165.40","0.00"', "28165.400000000001,0.00")
    assert read(write(tmp_path, text))[1][0]["bids"] == '[["28165.47000000","7.73115000"],["28165.400000000001","0.00"]]'


side_of_book = st.lists(st.tuples(prices.map(plain), (sizes | st.just(Decimal(0))).map(plain)).map(list), max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    messages=st.lists(
        st.tuples(st.integers(0, 2**61), st.integers(0, 50), millis, side_of_book, side_of_book, st.booleans()), min_size=1, max_size=12
    ),
    between=st.lists(st.tuples(st.integers(0, 20), st.sampled_from([*JUNK, line(depth(b=5)), line(depth())[:-9]])), max_size=10),
    is_combined=st.booleans(),
)
def test_depth_of_a_capture_comes_back_exactly(
    messages: list[tuple[int, int, int, list[list[str]], list[list[str]], bool]], between: list[tuple[int, str]], is_combined: bool
) -> None:
    lines: list[tuple[str, object]] = []
    for first, more, time, bids, asks, is_snapshot in messages:
        if is_snapshot:
            data, channel = snapshot(lastUpdateId=first + more, bids=bids, asks=asks), "btcusdt@depth5"
        else:
            data, channel = depth(U=first, u=first + more, E=time, b=bids, a=asks), "btcusdt@depth@100ms"
        row = ("snapshot" if is_snapshot else "delta", None if is_snapshot else first, first + more, bids, asks)
        lines.append((line(data, channel if is_combined else None), (2 * (first + more) + is_snapshot, *row)))
    for place, text in between:
        lines.insert(min(place, len(lines)), (text, text == line(depth())))
    with TemporaryDirectory() as folder, small_blocks():
        facts, rows, refused, passed_over = read(write(Path(folder), *(text for text, _ in lines)), "depth", BTC)
    names = ("line", "sequence", "message", "first_update_id", "last_update_id")
    found = [(*(row[name] for name in names), json.loads(str(row["bids"])), json.loads(str(row["asks"]))) for row in rows]
    expected = {n: row for n, (_, row) in enumerate(lines, 1) if isinstance(row, tuple)}
    assert [row for row in found if row[0] in expected] == [(n, *row) for n, row in expected.items()]
    assert len(rows) + len(refused) + passed_over == len(lines)
    assert facts.stream == "depth"


# What no capture may do


def test_no_flipped_byte_breaks_a_stream_or_loses_a_line(tmp_path: Path) -> None:
    channels = {"trades": "btcusdt@trade", "agg_trades": "btcusdt@aggTrade", "quotes": "btcusdt@bookTicker", "depth": "btcusdt@depth"}
    messages = [line(data, channels[stream]) for stream, data in STREAMS.items()] + [line(quote()), line(snapshot(), "btcusdt@depth5")]
    whole = ("\n".join(messages * 3) + "\n").encode()
    chance = random.Random(7)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 12)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path = tmp_path / "capture"
        path.write_bytes(bytes(data) + b"\n")
        lines = bytes(data).count(b"\n") + 1
        try:
            first, *_ = read(path)
        except SourceRefused as refusal:
            assert refusal.remedy  # noqa: PT017  # either it is refused so, or read
            continue
        refused_lines: list[object] = []
        for stream in (first.stream, *first.others):
            _, rows, refused, passed_over = read(path, stream)
            assert len(rows) + len(refused) + passed_over == lines
            refused_lines += [row["line"] for row in refused]
            raws = Capture().raw_lines(Source(path, "capture"), [int(str(row["line"])) for row in refused])
            assert raws == {row["line"]: row["raw"] for row in refused}
        assert len(refused_lines) == len(set(refused_lines))


def test_a_packed_capture_is_read_and_a_cut_one_refused(tmp_path: Path) -> None:
    text = "\r\n".join([line(quote()), line(depth())])
    path = tmp_path / "capture.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert [read(path, stream)[1][0]["line"] for stream in ("quotes", "depth")] == [1, 2]
    path.write_bytes(gzip.compress(text[:-5].encode()))
    with pytest.raises(SourceRefused, match="truncated"):
        read(path)
