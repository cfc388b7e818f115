"""Every stream of the recorded captures yields all its rows, and refuses none; what the venues promise of their order holds in them."""

import gzip
import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from rrr_assets.venues.base import Format, Source, SourceFacts, SourceRefused, Stream
from rrr_assets.venues.binance_ws import Capture as Binance
from rrr_assets.venues.coinbase_ws import Capture as Coinbase

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif("RRR_REALDATA_DIR" not in os.environ, reason="RRR_REALDATA_DIR names no folder of recorded data"),
]
FOLDER = Path(os.environ.get("RRR_REALDATA_DIR", "."))
# Lines, trades, quotes, depth messages, and the clock offset in milliseconds.
CAPTURES = {
    "examples_spot_btcusdt_20230405.dat.gz": (15088, 3144, 8015, 3929, 0),
    "examples_spot_btcusdt_20240808.gz": (41249, 9757, 28040, 3452, 1273),
    "examples_spot_btcusdt_20240809.gz": (58325, 10147, 45134, 3044, 1275),
    "examples_spot_ethusdt_20240808.gz": (33618, 6106, 24077, 3435, 1273),
    "examples_spot_ethusdt_20240809.gz": (46126, 8409, 34681, 3036, 1275),
}
SEVERAL = FOLDER / "multi_venue_ws" / "BINANCE.ws.1.0.gz"
COINBASE = FOLDER / "multi_venue_ws" / "COINBASE.ws.28.0.gz"


def read(form: Format, path: Path, stream: Stream | None = None, instrument: str | None = None) -> tuple[SourceFacts, pa.Table, int]:
    """Facts, rows and the count of lines passed over; nothing may be refused."""
    source = Source(path, path.name, instrument, stream=stream)
    facts = form.inspect(source)
    batches = list(form.parse(source, facts))
    assert [row for batch in batches for row in batch.refused.to_pylist()] == []
    return facts, pa.Table.from_batches([batch.rows for batch in batches]), sum(batch.passed_over for batch in batches)


def messages(path: Path) -> Iterator[tuple[int, str, Any]]:
    """Line, receive time and document of every message, read plainly."""
    with gzip.open(path, "rt") as lines:
        for number, line in enumerate(lines, 1):
            clock, _, text = line.partition(" ")
            if clock[0].isdigit():
                yield number, clock.rstrip(":"), json.loads(text, parse_float=Decimal)


@pytest.mark.parametrize("name", CAPTURES)
def test_every_line_of_a_capture_is_of_one_stream(name: str) -> None:
    lines, trades, quotes, depth, offset = CAPTURES[name]
    path = FOLDER / "binance_spot_ws" / name
    facts, _, _ = read(Binance(), path)
    assert (facts.stream, facts.others) == ("trades", ("quotes", "depth"))
    streams: tuple[Stream, ...] = ("trades", "quotes", "depth")
    for stream, count in zip(streams, (trades, quotes, depth), strict=True):
        facts, rows, passed_over = read(Binance(), path, stream)
        assert (rows.num_rows, passed_over) == (count, lines - count)
        assert (facts.clock_offset_us or 0) // 1000 == offset
    assert trades + quotes + depth == lines


@pytest.mark.parametrize("name", CAPTURES)
def test_quotes_are_those_that_were_recorded(name: str) -> None:
    path = FOLDER / "binance_spot_ws" / name
    facts, rows, _ = read(Binance(), path, "quotes")
    offset = timedelta(microseconds=facts.clock_offset_us or 0)
    recorded = [(line, clock, document["data"]) for line, clock, document in messages(path) if "@bookTicker" in document.get("stream", "")]
    for row, (line, clock, data) in zip(rows.to_pylist(), recorded, strict=True):
        assert (row["line"], row["sequence"], row["instrument"]) == (line, data["u"], f"binance:{data['s']}")
        assert (row["bid_price"], row["bid_size"]) == (Decimal(data["b"]), Decimal(data["B"]))
        assert (row["ask_price"], row["ask_size"]) == (Decimal(data["a"]), Decimal(data["A"]))
        received = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(clock[:16]))
        assert (row["time_source"], row["received_at"], row["event_time"]) == ("local", received, received + offset)
        assert row["bid_price"] < row["ask_price"]
    ids = rows["sequence"].to_pylist()
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", CAPTURES)
def test_changes_of_the_book_follow_on_each_other(name: str) -> None:
    path = FOLDER / "binance_spot_ws" / name
    _, rows, _ = read(Binance(), path, "depth")
    recorded = [document.get("data", document) for _, _, document in messages(path) if "@depth" in document.get("stream", "@depth")]
    before = None
    for row, data in zip(rows.to_pylist(), recorded, strict=True):
        assert [json.loads(row["bids"]), json.loads(row["asks"])] == [data.get("b", data.get("bids")), data.get("a", data.get("asks"))]
        if row["message"] == "snapshot":
            assert (row["last_update_id"], row["sequence"]) == (data["lastUpdateId"], 2 * data["lastUpdateId"] + 1)
            assert row["time_source"] == "local"
            continue
        assert (row["first_update_id"], row["last_update_id"], row["sequence"]) == (data["U"], data["u"], 2 * data["u"])
        # The venue's rule: a change begins where the one before it ended.
        assert before is None or row["first_update_id"] == before + 1
        before = row["last_update_id"]
    kinds = Counter(rows["message"].to_pylist())
    assert kinds["snapshot"] == name.endswith("20240808.gz")


def test_a_capture_of_several_instruments() -> None:
    facts, rows, passed_over = read(Binance(), SEVERAL)
    assert (facts.stream, facts.others, rows.num_rows, passed_over) == ("agg_trades", ("quotes", "depth"), 2, 265)
    names = ("instrument", "sequence", "first_trade_id", "last_trade_id")
    assert list(zip(*(rows[name].to_pylist() for name in names), strict=True)) == [
        ("binance:NKNUSDT", 15683430, 19862790, 19862790),
        ("binance:LRCBTC", 9213679, 12368013, 12368013),
    ]
    counts: list[tuple[Stream, int, str]] = [("quotes", 84, "lrcbtc@bookTicker"), ("depth", 177, "lrcbtc@depth@100ms")]
    for stream, count, channel in counts:
        _, rows, passed_over = read(Binance(), SEVERAL, stream)
        assert (rows.num_rows, passed_over) == (count, 267 - count)
        lines = [line for line, _, document in messages(SEVERAL) if document["stream"] == channel]
        assert read(Binance(), SEVERAL, stream, "binance:LRCBTC")[1]["line"].to_pylist() == lines
    with pytest.raises(SourceRefused, match="holds no trades"):
        read(Binance(), SEVERAL, "trades")


def test_a_capture_of_coinbase() -> None:
    facts, trades, passed_over = read(Coinbase(), COINBASE)
    assert (facts.stream, facts.others, facts.time_unit, facts.clock_offset_us) == ("trades", ("quotes",), "us", 17196)
    assert (trades.num_rows, passed_over) == (107, 9845)
    recorded = [(line, document) for line, _, document in messages(COINBASE) if document["type"] in {"match", "last_match"}]
    takers = {"sell": "buy", "buy": "sell"}
    for row, (line, data) in zip(trades.to_pylist(), recorded, strict=True):
        assert (row["line"], row["instrument"]) == (line, f"coinbase:{data['product_id'].replace('-', '')}")
        assert (row["sequence"], row["side"]) == (data["trade_id"], takers[data["side"]])
        assert (row["price"], row["size"]) == (Decimal(data["price"]), Decimal(data["size"]))
        assert row["event_time"] == datetime.fromisoformat(data["time"])
    ids: dict[str, list[int]] = {}
    for row in trades.to_pylist():
        ids.setdefault(row["instrument"], []).append(row["sequence"])
    assert all(of_one == list(range(of_one[0], of_one[0] + len(of_one))) for of_one in ids.values())


def test_tickers_of_coinbase() -> None:
    _, quotes, passed_over = read(Coinbase(), COINBASE, "quotes")
    assert (quotes.num_rows, passed_over) == (107, 9845)
    recorded = [(line, document) for line, _, document in messages(COINBASE) if document["type"] == "ticker"]
    for row, (line, data) in zip(quotes.to_pylist(), recorded, strict=True):
        assert (row["line"], row["sequence"], row["time_source"]) == (line, data["sequence"], "venue")
        assert (row["bid_price"], row["ask_price"]) == (Decimal(data["best_bid"]), Decimal(data["best_ask"]))
        assert (row["bid_size"], row["ask_size"]) == (None, None)
    # A ticker's side is the taker's, and its match says the same the other way round.
    _, trades, _ = read(Coinbase(), COINBASE)
    sides = {(row["instrument"], row["sequence"]): row["side"] for row in trades.to_pylist()}
    for row, (_, data) in zip(quotes.to_pylist(), recorded, strict=True):
        assert sides[row["instrument"], data["trade_id"]] == data["side"]
