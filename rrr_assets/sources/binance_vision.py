"""Binance's public archive as it lies on its server: which file holds a market's day or month, and where.

Belongs here: folders and names of spot, USD-M and COIN-M files. Does not: downloading (download), what is in them (venues/).
https://github.com/binance/binance-public-data
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal
from urllib.parse import urlsplit

DEFAULT_URL: Final = "https://data.binance.vision"

Kind = Literal["trades", "klines", "aggtrades"]

FOLDERS: Final = {"binance": "spot", "binance-usdm": "futures/um", "binance-coinm": "futures/cm"}
"""The archive's folder of each venue that publishes there."""

_KIND_FOLDERS: Final[dict[Kind, str]] = {"trades": "trades", "klines": "klines", "aggtrades": "aggTrades"}
# Instruments' names have no separators; the venue's symbols of futures do: BTCUSD_PERP, BTCUSDT_240628.
_DATED: Final = {
    "binance-usdm": re.compile(r"(?P<pair>\w+(?:USDT|USDC|BUSD))(?P<end>\d{6})"),
    "binance-coinm": re.compile(r"(?P<pair>\w+USD)(?P<end>PERP|\d{6})"),
}


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """What one file spans: a UTC day, or the whole month of `first`."""

    first: date
    is_month: bool = False

    def __str__(self) -> str:
        return self.first.strftime("%Y-%m") if self.is_month else self.first.isoformat()


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A file of the archive. `path` lies below the base address, with `/` between its parts."""

    path: str
    kind: Kind
    instrument: str
    period: Period

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def archive_file(instrument: str, kind: Kind, period: Period, interval: str = "1m") -> ArchiveFile:
    """Where the archive keeps a file.

    Args:
        instrument: `venue:SYMBOL` as the platform names it, without separators in the symbol.
        kind: what is in it.
        period: the day or month.
        interval: of klines, as the venue spells it: `1m`, `1mo`.

    Raises:
        ValueError: the venue publishes no files there.

    >>> archive_file("binance-coinm:BTCUSDPERP", "klines", Period(date(2024, 1, 2))).path
    'data/futures/cm/daily/klines/BTCUSD_PERP/1m/BTCUSD_PERP-1m-2024-01-02.zip'
    """
    venue = instrument.partition(":")[0]
    if venue not in FOLDERS:
        raise ValueError(f"{instrument}: the archive has files of {', '.join(FOLDERS)} alone. Name an instrument of one of these")
    symbol = venue_symbol(instrument)
    every = "monthly" if period.is_month else "daily"
    folder = f"data/{FOLDERS[venue]}/{every}/{_KIND_FOLDERS[kind]}/{symbol}"
    if kind == "klines":
        return ArchiveFile(f"{folder}/{interval}/{symbol}-{interval}-{period}.zip", kind, instrument, period)
    return ArchiveFile(f"{folder}/{symbol}-{_KIND_FOLDERS[kind]}-{period}.zip", kind, instrument, period)


def venue_symbol(instrument: str) -> str:
    """An instrument's symbol as Binance spells it.

    >>> venue_symbol("binance-usdm:BTCUSDT240628")
    'BTCUSDT_240628'
    """
    venue, _, symbol = instrument.partition(":")
    if (dated := _DATED.get(venue)) and (found := dated.fullmatch(symbol)):
        return f"{found['pair']}_{found['end']}"
    return symbol


def address(base_url: str, file: ArchiveFile) -> str:
    """The file's address.

    Raises:
        ValueError: the base is no address of HTTP.
    """
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"'{base_url}' is no address of a server. Write it as {DEFAULT_URL}")
    return f"{base_url.rstrip('/')}/{file.path}"
