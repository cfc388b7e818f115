"""Names of instruments, intervals and files, and the registry of formats."""

from datetime import date

import pytest

from rrr_assets.venues import registry
from rrr_assets.venues.names import instrument_name, interval_in_name, interval_of_seconds, parse_instrument, vision_name


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
    ],
)
def test_instruments_have_one_name(venue: str, symbol: str, name: str) -> None:
    assert instrument_name(venue, symbol) == name
    assert parse_instrument(f" {venue.upper()}:{symbol} ") == name
    assert parse_instrument(name) == name


@pytest.mark.parametrize("text", ["", "BTCUSDT", "nasdaq:AAPL", "binance:", "binance:-", "binance:a b", "binance:BTC:USDT"])
def test_what_is_no_instrument_is_said_so(text: str) -> None:
    with pytest.raises(ValueError, match="binance"):
        parse_instrument(text)


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
