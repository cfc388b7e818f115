"""Markets of the simulated exchange: tick and lot scales, where a price starts, how a seed is spread.

Belongs here: what is fixed for an instrument. Does not: what happens on a day (tape), file names (files).
Prices are whole ticks and sizes whole lots: integers, of which the scale says how many decimals they carry.
"""

from dataclasses import dataclass
from typing import Final, Literal
from zlib import crc32

import numpy as np

Venue = Literal["binance", "binance-usdm", "gemini", "coinbase", "bybit"]

DEFAULT_INSTRUMENTS: Final = ("binance:BTCUSDT", "binance:ETHUSDT", "binance:SOLUSDT", "binance:XRPUSDT", "binance:DOGEUSDT")

# instrument: (price scale, size scale, first price in ticks). Binance rounds quote quantities to 8 decimals, and its
# candles are the exact sums, so the two scales make at most 8 together.
_KNOWN: Final = {
    "binance:BTCUSDT": (2, 5, 4_251_000),
    "binance:ETHUSDT": (2, 4, 231_450),
    "binance:SOLUSDT": (2, 3, 10_180),
    "binance:XRPUSDT": (4, 4, 6_215),
    "binance:DOGEUSDT": (5, 1, 9_140),
    "binance-usdm:BTCUSDT": (1, 3, 425_120),
    "gemini:ETHUSD": (2, 6, 227_815),
    "coinbase:BTCUSD": (2, 5, 4_249_720),
    "coinbase:ETHUSD": (2, 5, 231_402),
    "coinbase:SOLUSD": (2, 3, 10_178),
    "bybit:BTCUSDT": (1, 3, 425_003),
    "bybit:ETHUSDT": (2, 3, 231_431),
    "bybit:SOLUSDT": (3, 1, 101_790),
}
_VENUES: Final[tuple[Venue, ...]] = ("binance", "binance-usdm", "gemini", "coinbase", "bybit")
_RECORDED: Final = ("coinbase", "bybit")
_WITH_IDS: Final = ("binance", "binance-usdm", "coinbase")
_WITH_CANDLES: Final = ("binance", "binance-usdm")
_TYPICAL_QUOTE: Final = 150  # median worth of a trade, in units of the quote asset


@dataclass(frozen=True, slots=True)
class Market:
    """One instrument. A tick is 10**-price_scale of the quote asset, a lot 10**-size_scale of the base asset."""

    instrument: str
    venue: Venue
    symbol: str
    price_scale: int
    size_scale: int
    start_ticks: int
    typical_lots: int
    first_id: int

    @property
    def has_candles(self) -> bool:
        return self.venue in _WITH_CANDLES

    @property
    def has_ids(self) -> bool:
        return self.venue in _WITH_IDS

    @property
    def is_recorded(self) -> bool:
        """Whether its files are those of somebody who listened: trades and quotes with the time of receiving, no candles."""
        return self.venue in _RECORDED


def market(instrument: str, seed: int) -> Market:
    """The market of `venue:SYMBOL`; scales and first price of a symbol that is not listed here come from the seed.

    Raises:
        ValueError: the venue is none of those simulated, or the symbol is not made of capital letters and digits.
    """
    name, _, symbol = instrument.partition(":")
    venue = next((known for known in _VENUES if known == name), None)
    if venue is None:
        raise ValueError(f"{instrument}: no such venue is simulated; there are {', '.join(_VENUES)}")
    if not (symbol.isascii() and symbol.isalnum() and symbol == symbol.upper()):
        raise ValueError(f"{instrument}: write it as venue:SYMBOL, the symbol in capital letters and digits")
    rng = generator(seed, instrument)
    first_id = int(rng.integers(1_000_000, 1_000_000_000))
    if instrument in _KNOWN:
        price_scale, size_scale, start_ticks = _KNOWN[instrument]
    else:
        price_scale = int(rng.integers(1, 6))
        size_scale = 7 - price_scale
        start_ticks = int(rng.integers(10_000, 900_000))
    typical_lots = max(_TYPICAL_QUOTE * 10 ** (price_scale + size_scale) // start_ticks, 1)
    return Market(instrument, venue, symbol, price_scale, size_scale, start_ticks, typical_lots, first_id)


def generator(seed: int, *parts: str | int) -> np.random.Generator:
    """A stream of random numbers of its own for each use, so that one more defect or day shifts no other."""
    return np.random.default_rng([seed, *(crc32(part.encode()) if isinstance(part, str) else part for part in parts)])
