"""Names of instruments, intervals and files, the venues, and the registry of formats."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from rrr_assets.contracts.ledgers import CONTRACT_TYPES
from rrr_assets.contracts.venues import VENUES, is_venue_name, venue_called
from rrr_assets.venues import ccapi, registry, tardis
from rrr_assets.venues.base import Source, SourceRefused
from rrr_assets.venues.names import (
    given_instrument,
    instrument_name,
    interval_in_name,
    interval_of_seconds,
    near_venues,
    parse_instrument,
    vision_name,
)


@pytest.mark.parametrize(
    ("venue", "symbol", "name"),
    [
        ("gemini", "eth-usd", "gemini:ETHUSD"),
        ("binance", "btc/usdt", "binance:BTCUSDT"),
        ("binance-coinm", "BTCUSD_PERP", "binance-coinm:BTCUSDPERP"),
        ("kraken", "XXBTZUSD", "kraken:XBTUSD"),
        ("kraken", "XETHZUSD", "kraken:ETHUSD"),
        ("kraken", "XETHXXBT", "kraken:ETHXBT"),
        ("kraken", "XBTUSDT", "kraken:XBTUSDT"),
        ("kraken", "USDTZUSD", "kraken:USDTUSD"),
        ("kraken", "ZEURZUSD", "kraken:EURUSD"),
        ("kraken", "XTZUSD", "kraken:XTZUSD"),
        ("kraken", "XBT/USD", "kraken:XBTUSD"),
        ("binance", "XXBTZUSD", "binance:XXBTZUSD"),
        ("bitstamp", "btc/usd", "bitstamp:BTCUSD"),
        ("dydx-v4", "BTC-USD", "dydx-v4:BTCUSD"),
        ("newvenue", "BTC_USD", "newvenue:BTCUSD"),
    ],
)
def test_instruments_have_one_name(venue: str, symbol: str, name: str) -> None:
    assert instrument_name(venue, symbol) == name
    assert parse_instrument(f" {venue.upper()}:{symbol} ") == name
    assert parse_instrument(name) == name


@pytest.mark.parametrize(
    "text",
    [
        *("", "BTCUSDT", "binance:", "binance:-", "binance:a b", "binance:BTC:USDT", "binance:\u5e01USDT"),
        *(":BTCUSDT", "b:BTCUSDT", "1inch:BTCUSDT", "my_venue:BTCUSDT", "my venue:BTCUSDT", f"{'b' * 32}:BTCUSDT", "b\u00f6rse:BTCUSDT"),
    ],
)
def test_what_is_no_instrument_is_said_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"binance:BTCUSDT|has no symbol that could be one"):
        parse_instrument(text)


def test_every_venue_can_be_entered() -> None:
    for name, venue in VENUES.items():
        assert name == venue.name
        assert is_venue_name(name)
        assert venue.contract_type in CONTRACT_TYPES
        assert 0 <= venue.price_scale <= 12
        assert 0 <= venue.size_scale <= 18
    # What a format may name is known with its kind.
    assert set(tardis._VENUES.values()) | set(ccapi._VENUES.values()) <= set(VENUES)


def test_a_venue_that_is_not_listed_is_spot_of_the_widest_scales() -> None:
    assert venue_called("binance") is VENUES["binance"]
    found = venue_called("newvenue")
    assert (found.name, found.contract_type, found.price_scale, found.size_scale) == ("newvenue", "spot", 12, 18)
    assert found.publication_delay == timedelta(seconds=1)


def test_a_misspelled_venue_is_told_where_a_format_is_of_others(tmp_path: Path) -> None:
    source = Source(tmp_path / "x", "x", "binnance:btc-usdt")
    with pytest.raises(SourceRefused, match=r"comes from binance or binance-usdm.*Did you mean binance:BTCUSDT"):
        given_instrument(source, ["binance", "binance-usdm"])
    with pytest.raises(SourceRefused, match=r"or \d+ others\. Did you mean binance:BTCUSDT"):
        given_instrument(source, VENUES)
    with pytest.raises(SourceRefused, match=r"comes from kraken\. Correct"):
        given_instrument(source, ["kraken"])
    # A table may be of any.
    assert given_instrument(source, None) == "binnance:BTCUSDT"
    assert near_venues("bitstmap")[0] == "bitstamp"


@pytest.mark.parametrize(
    ("name", "symbol", "kind", "days"),
    [
        ("BTCUSDT-trades-2024-01-02.zip", "BTCUSDT", "trades", (date(2024, 1, 2), date(2024, 1, 3))),
        ("BTCUSDT-trades-2024-12.zip", "BTCUSDT", "trades", (date(2024, 12, 1), date(2025, 1, 1))),
        ("data/futures/BTCUSD_PERP-1mo-2023-02.zip", "BTCUSD_PERP", "1mo", (date(2023, 2, 1), date(2023, 3, 1))),
        ("BTCUSDT-1m-2023-04-05 (1).zip", "BTCUSDT", "1m", (date(2023, 4, 5), date(2023, 4, 6))),
    ],
)
def test_names_of_the_binance_archive(name: str, symbol: str, kind: str, days: tuple[date, date]) -> None:
    found = vision_name(name)
    assert found is not None
    assert (found.symbol, found.kind, found.days) == (symbol, kind, days)


@pytest.mark.parametrize("name", ["trades.zip", "BTCUSDT-trades-2024-13-01.zip", "BTCUSDT-trades-2024-01-023.zip", "BTCUSDT-1m.zip"])
def test_other_names_say_nothing(name: str) -> None:
    assert vision_name(name) is None


def test_intervals() -> None:
    assert interval_of_seconds(60) == "1m"
    assert interval_of_seconds(28 * 86400) == "1mo"
    assert interval_of_seconds(7) is None
    assert interval_in_name("XBTUSD-1h.json") == "1h"
    assert interval_in_name("BTCUSDT_1M_page2.json") == "1mo"
    assert interval_in_name("cc_candlestick1m.json") is None


def test_registry_knows_its_formats() -> None:
    for name in registry.FORMATS:
        assert registry.get(name).name == name
    with pytest.raises(ValueError, match="binance-vision-trades, binance-vision-aggtrades"):
        registry.get("nasdaq")
    evidence = {name: evidence for name, evidence, _ in registry.describe()}
    proven = {name for name, kind in evidence.items() if kind == "proven on real data"}
    assert proven == {"binance-vision-klines", "binance-ws", "binance-rest", "ccapi", "coinbase-ws", "tardis"}
