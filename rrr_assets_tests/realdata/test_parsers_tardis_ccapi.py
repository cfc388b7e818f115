"""Recorded files of Tardis, and ccapi's of market depth: every row read, and each value as it stands in the text."""

import csv
import gzip
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rrr_assets.venues.base import Format, Source, SourceFacts
from rrr_assets.venues.ccapi import Ccapi
from rrr_assets.venues.tardis import Tardis

pytestmark = pytest.mark.realdata
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TARDIS = "binance_usdm_tardis/binance-futures_{}_2020-02-22_BTCUSDT_first9999.csv"
DEPTH = "gemini_ethusd/gemini__eth-usd__2021-07-01__market-depth.csv.gz"


def read(parser: Format, path: Path) -> tuple[SourceFacts, list[dict[str, Any]]]:
    """Facts and rows; nothing may be refused."""
    source = Source(path, path.name)
    facts = parser.inspect(source)
    batches = list(parser.parse(source, facts))
    assert [row for batch in batches for row in batch.refused.to_pylist()] == []
    return facts, [row for batch in batches for row in batch.rows.to_pylist()]


def moment(microseconds: str) -> datetime:
    return EPOCH + timedelta(microseconds=int(microseconds))


def test_trades_of_tardis(realdata: Path) -> None:
    path = realdata / TARDIS.format("trades")
    facts, rows = read(Tardis(), path)
    # The name says that it is a part of the day.
    assert (facts.instrument, facts.space, facts.time_unit, facts.declared) == ("binance-usdm:BTCUSDT", "trade_id", "ms", None)
    assert [row["sequence"] for row in rows] == list(range(42377944, 42387943))
    with path.open(newline="") as file:
        for row, text in zip(rows, csv.DictReader(file), strict=True):
            assert (row["price"], row["size"], row["side"]) == (Decimal(text["price"]), Decimal(text["amount"]), text["side"])
            assert (row["event_time"], row["received_at"]) == (moment(text["timestamp"]), moment(text["local_timestamp"]))


def test_quotes_of_tardis(realdata: Path) -> None:
    path = realdata / TARDIS.format("quotes")
    facts, rows = read(Tardis(), path)
    assert (facts.instrument, facts.space, facts.time_unit, facts.declared) == ("binance-usdm:BTCUSDT", "ordinal", "ms", None)
    assert len({row["sequence"] for row in rows}) == len(rows) == 9999
    with path.open(newline="") as file:
        for row, text in zip(rows, csv.DictReader(file), strict=True):
            assert (row["bid_price"], row["bid_size"]) == (Decimal(text["bid_price"]), Decimal(text["bid_amount"]))
            assert (row["ask_price"], row["ask_size"]) == (Decimal(text["ask_price"]), Decimal(text["ask_amount"]))
            assert (row["event_time"], row["received_at"]) == (moment(text["timestamp"]), moment(text["local_timestamp"]))


def test_market_depth_of_ccapi(realdata: Path) -> None:
    path = realdata / DEPTH
    facts, rows = read(Ccapi(), path)
    assert (facts.instrument, facts.stream, facts.declared) == ("gemini:ETHUSD", "quotes", (date(2021, 7, 1), date(2021, 7, 2)))
    texts = gzip.decompress(path.read_bytes()).decode().splitlines()[1:]
    assert len(rows) == len(texts) == 72180
    for row, text in zip(rows, texts, strict=True):
        second, bid, ask = text.split(",")
        assert row["event_time"] == EPOCH + timedelta(seconds=int(second))
        assert [row["bid_price"], row["bid_size"]] == [Decimal(part) for part in bid.split("_")]
        assert [row["ask_price"], row["ask_size"]] == [Decimal(part) for part in ask.split("_")]
