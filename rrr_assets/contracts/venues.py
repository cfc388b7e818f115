"""What is known of each venue before any of its files is read.

Belongs here: the venues' names, kinds and number scales. Does not: their formats, and the words that these have for them (venues/).
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{1,30}")


@dataclass(frozen=True, slots=True)
class Venue:
    """A venue as new instruments of it are entered.

    The scales are the decimals that the venue publishes at most; an instrument may be held to fewer. Where a venue's own are not
    known, they are the most that the platform holds.
    `publication_delay` models when a trade could be used that carries no receive time: the usual time from
    a match to the venue's public feed, on the safe side.
    """

    name: str
    contract_type: str
    price_scale: int = 12
    size_scale: int = 18
    publication_delay: timedelta = timedelta(seconds=1)


_SPOT: Final = (
    "ascendex",
    "binance-dex",
    "binance-jersey",
    "binance-us",
    "bitfinex",
    "bitflyer",  # its FX_BTC_JPY is linear
    "bitget",
    "bitmart",
    "bitstamp",
    "blockchain-com",
    "bybit-spot",
    "coinbase",
    "crypto-com",
    "erisx",
    "ftx",  # its futures, such as BTC-PERP, are linear
    "ftx-us",
    "gate-io",
    "gemini",
    "hitbtc",
    "huobi",
    "kucoin",
    "mango",  # its perpetuals are linear
    "mexc",
    "okcoin",
    "okex",
    "poloniex",
    "polygon",
    "serum",
    "upbit",
    "whitebit",
)
# Most of what is traded on bybit is settled in USDT and counted in the base asset; its symbols that end in USD are inverse.
# okex-futures and okex-swap are inverse where they end in USD, and gate-io-futures where they are settled in BTC. These,
# huobi-dm-linear-swap and kucoin-futures count in contracts.
_LINEAR: Final = (
    "bitfinex-derivatives",
    "bitget-futures",
    "bybit",
    "coinbase-international",
    "crypto-com-derivatives",
    "dydx",
    "dydx-v4",
    "gate-io-futures",
    "huobi-dm-linear-swap",
    "hyperliquid",
    "kucoin-futures",
    "mexc-futures",
    "okex-futures",
    "okex-swap",
)
# Where a venue has linear ones too, as bitmex, cryptofacilities (PF_), deribit (USDC) and phemex (USDT) have, these came later.
_INVERSE: Final = ("bitmex", "cryptofacilities", "deribit", "huobi-dm", "huobi-dm-swap", "phemex")

VENUES: Final = {
    venue.name: venue
    for venue in (
        Venue("binance", "spot", 8, 8),
        Venue("binance-usdm", "linear", 8, 8),
        Venue("binance-coinm", "inverse", 8, 8),
        Venue("kraken", "spot", 12, 12),
        *(Venue(name, "spot") for name in _SPOT),
        *(Venue(name, "linear") for name in _LINEAR),
        *(Venue(name, "inverse") for name in _INVERSE),
    )
}
"""Venues that a format may name. A table of one's own may name any other; formats are registered in venues/registry."""


def is_venue_name(name: str) -> bool:
    """Whether a venue could be called so, be it listed or not: lower case, digits and hyphens, 2 to 31 characters."""
    return _NAME.fullmatch(name) is not None


def venue_called(name: str) -> Venue:
    """The venue of a name; one that is not listed is entered as a spot venue of the widest scales and the usual delay."""
    return VENUES.get(name) or Venue(name, "spot")
