"""Every recorded file that a format reads yields all its rows, and refuses none."""

import os
from collections import Counter
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from rrr_assets.venues import registry
from rrr_assets.venues.base import Source, SourceFacts, SourceRefused

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif("RRR_REALDATA_DIR" not in os.environ, reason="RRR_REALDATA_DIR names no folder of recorded data"),
]
FOLDER = Path(os.environ.get("RRR_REALDATA_DIR", "."))
BARS_A_DAY = {"1m": 1440, "15m": 96, "1h": 24, "1d": 1}


def read(fmt: str, path: Path, instrument: str | None = None) -> tuple[SourceFacts, pa.Table, int]:
    """Facts, rows and the count of lines passed over; nothing may be refused."""
    source = Source(path, path.name, instrument)
    parser = registry.get(fmt)
    facts = parser.inspect(source)
    batches = list(parser.parse(source, facts))
    assert [row for batch in batches for row in batch.refused.to_pylist()] == []
    return facts, pa.Table.from_batches([batch.rows for batch in batches]), sum(batch.passed_over for batch in batches)


def test_klines_of_the_binance_archive() -> None:
    paths = sorted((FOLDER / "binance_vision_klines").glob("*.zip"))
    assert paths
    for path in paths:
        facts, rows, _ = read("binance-vision-klines", path)
        symbol, interval, day = path.stem.split("-", 2)
        assert facts.instrument == f"binance:{symbol}"
        assert facts.declared is not None
        assert facts.declared[0].isoformat() == day
        assert (facts.interval, rows.num_rows) == (interval, BARS_A_DAY[interval])
        assert pc.all(rows["is_closed"]).as_py()


def test_fine_klines_add_up_to_coarse_ones() -> None:
    for path in sorted((FOLDER / "binance_vision_klines").glob("ETHUSDT-1d-*.zip")):
        _, day, _ = read("binance-vision-klines", path)
        _, minutes, _ = read("binance-vision-klines", path.with_name(path.name.replace("-1d-", "-1m-")))
        for column in ("volume", "quote_volume", "trade_count", "taker_buy_volume", "taker_buy_quote_volume"):
            assert pc.sum(minutes[column]).as_py() == day[column][0].as_py()


@pytest.mark.parametrize(
    ("name", "lines", "trades"),
    [
        ("examples_spot_btcusdt_20230405.dat.gz", 15088, 3144),
        ("examples_spot_btcusdt_20240808.gz", 41249, 9757),
        ("examples_spot_btcusdt_20240809.gz", 58325, 10147),
        ("examples_spot_ethusdt_20240808.gz", 33618, 6106),
        ("examples_spot_ethusdt_20240809.gz", 46126, 8409),
    ],
)
def test_captures_of_binance(name: str, lines: int, trades: int) -> None:
    _, rows, passed_over = read("binance-ws", FOLDER / "binance_spot_ws" / name)
    assert (rows.num_rows, passed_over) == (trades, lines - trades)
    ids = rows["sequence"].to_pylist()
    assert ids == list(range(ids[0], ids[0] + trades))


def test_captured_minutes_equal_the_klines() -> None:
    _, trades, _ = read("binance-ws", FOLDER / "binance_spot_ws" / "examples_spot_btcusdt_20230405.dat.gz")
    _, bars, _ = read("binance-vision-klines", FOLDER / "binance_vision_klines" / "BTCUSDT-1m-2023-04-05.zip")
    minutes: dict[datetime, list[dict[str, Any]]] = {}
    for trade in trades.to_pylist():
        minutes.setdefault(trade["event_time"].replace(second=0, microsecond=0), []).append(trade)
    for bar in bars.slice(0, 6).to_pylist():
        inside = minutes[bar["bar_start"]]
        prices = [trade["price"] for trade in inside]
        assert (prices[0], max(prices), min(prices), prices[-1]) == (bar["open"], bar["high"], bar["low"], bar["close"])
        assert sum(trade["size"] for trade in inside) == bar["volume"]
        assert sum((trade["price"] * trade["size"] for trade in inside), Decimal(0)) == bar["quote_volume"]
        assert sum(trade["size"] for trade in inside if trade["side"] == "buy") == bar["taker_buy_volume"]
        assert len(inside) == bar["trade_count"]


def test_capture_without_plain_trades() -> None:
    _, rows, passed_over = read("binance-ws", FOLDER / "multi_venue_ws" / "BINANCE.ws.1.0.gz")
    assert (rows.num_rows, passed_over) == (2, 265)
    with pytest.raises(SourceRefused, match="Coinbase"):
        read("binance-ws", FOLDER / "multi_venue_ws" / "COINBASE.ws.28.0.gz")


def test_rest_answers_of_binance() -> None:
    facts, trades, _ = read("binance-rest", FOLDER / "binance_spot_fixture" / "cc_trades.json", "binance:BTCUSDT")
    assert (facts.stream, trades.num_rows) == ("trades", 1000)
    facts, bars, _ = read("binance-rest", FOLDER / "binance_spot_fixture" / "cc_candlestick1m.json", "binance:BTCUSDT")
    assert (facts.stream, facts.interval, bars.num_rows) == ("venue_bars", "1m", 500)
    assert bars["is_closed"].to_pylist() == [True] * 499 + [False]


def test_day_of_gemini() -> None:
    facts, rows, _ = read("ccapi", FOLDER / "gemini_ethusd" / "gemini__eth-usd__2021-07-01__trade.csv")
    assert (facts.instrument, facts.space, rows.num_rows) == ("gemini:ETHUSD", "ordinal", 25222)
    values = zip(*(rows[column].to_pylist() for column in ("event_time", "price", "size", "side")), strict=True)
    assert sum(count - 1 for count in Counter(values).values()) == 252
    assert pc.count_distinct(rows["sequence"]).as_py() == 25222
    text = (FOLDER / "gemini_ethusd" / "gemini__eth-usd__2021-07-01__trade.csv").read_text().splitlines()[1:]
    for line, row in zip(text, rows.to_pylist(), strict=True):
        time, price, size, is_buyer_maker = line.split(",")
        assert Decimal(row["sequence"] // 4096) / 10**6 == Decimal(time)
        assert (row["price"], row["size"]) == (Decimal(price), Decimal(size))
        assert row["side"] == ("sell" if is_buyer_maker == "1" else "buy")
