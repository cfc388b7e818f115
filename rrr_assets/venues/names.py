"""Names: of venues, of instruments, of intervals, and what a venue's file name says.

Belongs here: how a symbol is spelled on this platform, and reading names of files. Does not: reading
the files.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from difflib import get_close_matches
from typing import Final

from rrr_assets.contracts.venues import VENUES, is_venue_name
from rrr_assets.venues.base import Source, SourceRefused

BINANCE: Final = "binance"
BINANCE_USDM: Final = "binance-usdm"
BINANCE_COINM: Final = "binance-coinm"
KRAKEN: Final = "kraken"

_FEW_VENUES: Final = 8
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
INTERVAL_SECONDS: Final[dict[str, int]] = {
    "1s": 1,
    "1m": _MINUTE,
    "3m": 3 * _MINUTE,
    "5m": 5 * _MINUTE,
    "15m": 15 * _MINUTE,
    "30m": 30 * _MINUTE,
    "1h": _HOUR,
    "2h": 2 * _HOUR,
    "4h": 4 * _HOUR,
    "6h": 6 * _HOUR,
    "8h": 8 * _HOUR,
    "12h": 12 * _HOUR,
    "1d": _DAY,
    "3d": 3 * _DAY,
    "1w": 7 * _DAY,
    "15d": 15 * _DAY,
}
MONTH: Final = "1mo"
_MONTH_SECONDS: Final = frozenset(days * _DAY for days in (28, 29, 30, 31))

_SEPARATORS: Final = re.compile(r"[-_/.]")
# The warehouse holds no other letters.
_SYMBOL: Final = re.compile(r"[A-Z0-9]{2,40}")
# Kraken's first assets carry a class letter: X for coins, Z for money. The second asset of a pair is one of a
# short list, the first one is only stripped where the pair has eight letters and the second was stripped too.
_KRAKEN_QUOTE: Final = re.compile(r"(.{4})[XZ](USD|EUR|GBP|JPY|CAD|AUD|CHF|KRW|XBT|ETH)")
_VISION: Final = re.compile(r"(?P<symbol>[^\W_]+(?:_(?:PERP|\d{6}))?)-(?P<kind>[A-Za-z0-9]+)-(?P<date>\d{4}-\d{2}(?:-\d{2})?)(?!-?\d)")
_BINANCE_REST: Final = re.compile(r"(?P<symbol>[A-Z0-9]{5,30}(?:_[A-Z0-9]+)?)(?=[-_.])")
_INTERVAL_TOKEN: Final = re.compile(r"(?<![A-Za-z0-9])(\d{1,2}(?:s|mo|m|h|d|w|M))(?![A-Za-z0-9])")


def instrument_name(venue: str, symbol: str) -> str:
    """`venue:SYMBOL`: upper case, separators removed, Kraken's class letters stripped.

    >>> instrument_name("gemini", "eth-usd"), instrument_name("kraken", "XXBTZUSD"), instrument_name("kraken", "XBTUSDT")
    ('gemini:ETHUSD', 'kraken:XBTUSD', 'kraken:XBTUSDT')
    """
    plain = _SEPARATORS.sub("", symbol).upper()
    if venue == KRAKEN and (legacy := _KRAKEN_QUOTE.fullmatch(plain)):
        base, quote = legacy.groups()
        plain = (base[1:] if base[0] in "XZ" else base) + quote
    return f"{venue}:{plain}"


def parse_instrument(text: str) -> str:
    """Read what a user typed, such as `binance:btc-usdt`, as an instrument's name.

    The venue may be any: a table can bring in one that is not listed. One that is misspelled is told where it matters, by
    `given_instrument` where a format is of other venues, and by the reads where nothing was loaded of it.

    Raises:
        ValueError: nothing that could be a venue, or no symbol.
    """
    venue, colon, symbol = text.strip().partition(":")
    venue = venue.strip().lower()
    if not colon or not is_venue_name(venue):
        raise ValueError(f"'{text}' is no instrument: write venue:SYMBOL, such as binance:BTCUSDT")
    name = instrument_name(venue, symbol.strip())
    if not _SYMBOL.fullmatch(name.partition(":")[2]):
        raise ValueError(f"'{text}' has no symbol that could be one: write venue:SYMBOL, such as {venue}:BTCUSDT")
    return name


def venue_of(instrument: str) -> str:
    """The venue of an instrument's name."""
    return instrument.partition(":")[0]


def base_name(name: str) -> str:
    """The last part of a name that may be a path of any system or an object's key."""
    return re.split(r"[\\/]", name)[-1]


def interval_of_seconds(seconds: int) -> str | None:
    """The interval's name, or None where no venue has such bars."""
    if seconds in _MONTH_SECONDS:
        return MONTH
    return next((name for name, length in INTERVAL_SECONDS.items() if length == seconds), None)


def interval_in_name(name: str) -> str | None:
    """The interval that stands in a file's name as a word of its own, such as `1m`."""
    for token in _INTERVAL_TOKEN.findall(base_name(name)):
        known = MONTH if token == "1M" else token
        if known == MONTH or known in INTERVAL_SECONDS:
            return str(known)
    return None


@dataclass(frozen=True, slots=True)
class VisionName:
    """What `BTCUSDT-trades-2024-01-02` or `BTCUSDT-1m-2023-04` says. `days` is half open, in UTC."""

    symbol: str
    kind: str
    days: tuple[date, date]


def vision_name(name: str) -> VisionName | None:
    """Read a name of Binance's public archive; None where it is none."""
    found = _VISION.match(base_name(name))
    if not found:
        return None
    text = found["date"]
    try:
        first = date.fromisoformat(text if len(text) == 10 else f"{text}-01")
    except ValueError:
        return None
    until = first + timedelta(days=1) if len(text) == 10 else (first + timedelta(days=32)).replace(day=1)
    return VisionName(found["symbol"].upper(), found["kind"], (first, until))


def binance_symbol(name: str) -> str | None:
    """The symbol that the name of a saved REST answer starts with, such as `BTCUSDT-1m.json`; None where there is none."""
    found = _BINANCE_REST.match(base_name(name))
    return found["symbol"] if found else None


def near_venues(venue: str, venues: Iterable[str] = VENUES) -> list[str]:
    """The venues that a misspelled one may have meant, the likeliest first; none where none is near."""
    return get_close_matches(venue, list(dict.fromkeys(venues)), n=3, cutoff=0.75)


def given_instrument(source: Source, venues: Iterable[str] | None) -> str | None:
    """The instrument that the user gave, normalised.

    Args:
        source: The file, with what was given.
        venues: Those that the format comes from; None where it may be any.

    Raises:
        SourceRefused: it is no instrument, or of a venue that this format does not come from.
    """
    if source.instrument is None:
        return None
    try:
        instrument = parse_instrument(source.instrument)
    except ValueError as error:
        raise SourceRefused(source.name, str(error), "Correct --instrument.") from error
    known = None if venues is None else list(dict.fromkeys(venues))
    if known is None or venue_of(instrument) in known:
        return instrument
    near = near_venues(venue_of(instrument), known)
    told = f"{' or '.join(known[:_FEW_VENUES])}{f' or {len(known) - _FEW_VENUES} others' if len(known) > _FEW_VENUES else ''}"
    meant = " or ".join(f"{venue}:{instrument.partition(':')[2]}" for venue in near)
    raise SourceRefused(
        source.name,
        f"the instrument was given as {instrument}, but this format comes from {told}",
        f"Did you mean {meant}? Correct --instrument or --format." if near else "Correct --instrument or --format.",
    )


def agreed_instrument(source: Source, given: str | None, named: str | None) -> str:
    """The one instrument of a file, from what the user gave and what the file says.

    Raises:
        SourceRefused: neither says, or they contradict each other.
    """
    if given is not None and named is not None and given != named:
        raise SourceRefused(
            source.name,
            f"the file says that it holds {named}, but the instrument was given as {given}",
            "Leave --instrument away, or give the file its right name.",
        )
    instrument = given or named
    if instrument is None:
        raise SourceRefused(
            source.name,
            "nothing says which instrument it holds",
            "Give it with --instrument venue:SYMBOL, or give the file its venue's name.",
        )
    return instrument


def declared_days(source: Source, named: tuple[date, date] | None) -> tuple[date, date] | None:
    """The half-open range of UTC days that a file claims to hold in full, by its name or by the user's word.

    Raises:
        SourceRefused: the two contradict each other.
    """
    if source.day is None:
        return named
    given = (source.day, source.day + timedelta(days=1))
    if named is not None and named != given:
        raise SourceRefused(
            source.name,
            f"the file is named for {named[0]} to {named[1] - timedelta(days=1)}, but the day was given as {source.day}",
            "Leave --day away, or give the file its right name.",
        )
    return given
