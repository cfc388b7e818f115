"""Binance's trades by id over REST: exactly the ids that are asked for, page by page, each page a file.

Belongs here: addresses of spot, USD-M and COIN-M, and cutting an answer to the ids that were asked for. Does not: downloading
(download), what is in a trade (venues/binance_rest), taking files in (ticks/).
https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from rrr_assets.sources.binance_vision import venue_symbol
from rrr_assets.sources.download import Downloader, DownloadFailed, without_user, write_whole

KEY_HEADER: Final = "X-MBX-APIKEY"


@dataclass(frozen=True, slots=True)
class _Market:
    url: str
    path: str
    most: int


_MARKETS: Final = {
    "binance": _Market("https://api.binance.com", "/api/v3/historicalTrades", 1000),
    "binance-usdm": _Market("https://fapi.binance.com", "/fapi/v1/historicalTrades", 500),
    "binance-coinm": _Market("https://dapi.binance.com", "/dapi/v1/historicalTrades", 500),
}
VENUES: Final = frozenset(_MARKETS)
_BLANKS: Final = re.compile(r"[\s,]*")


@dataclass(frozen=True, slots=True)
class Page:
    """One answer, cut to the ids that were asked for and kept at `path`: `trades` of them from `first` on, both ends meant."""

    path: Path
    first: int
    last: int
    trades: int


def pages(
    downloader: Downloader, base_url: str | None, instrument: str, first: int, last: int, folder: Path, headers: Mapping[str, str]
) -> Iterator[Page]:
    """Ask for the trades from the id `first` to `last`, both included, a page at a time; ends early where the venue has no more of them.

    A page that an earlier attempt left in the folder is not asked for again. Who has taken a page in removes it.

    Args:
        downloader: asks, and waits where the venue wants that.
        base_url: of the venue's API; None for its own.
        instrument: `venue:SYMBOL`.
        first: the first id.
        last: the last id.
        folder: where pages are kept.
        headers: that go with each request: the key, where there is one.

    Raises:
        DownloadFailed: the venue refuses, went on failing, or answers with no list of trades.
    """
    market = _MARKETS[instrument.partition(":")[0]]
    symbol = venue_symbol(instrument)
    while first <= last:
        until = min(last, first + market.most - 1)
        path = folder / f"{symbol}-historicalTrades-{first}-{until}.json"
        url = httpx.URL((base_url or market.url).rstrip("/") + market.path)
        asked = url.copy_merge_params({"symbol": symbol, "fromId": first, "limit": until - first + 1})
        is_here = path.is_file()
        text = path.read_text("utf-8") if is_here else downloader.read(str(asked), headers).decode("utf-8", "replace")
        mine = [(number, raw) for number, raw in _elements(without_user(str(url)), text) if number is None or first <= number <= until]
        numbers = [number for number, _ in mine if number is not None]
        if not numbers:
            path.unlink(missing_ok=True)
            return
        if not is_here:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, f"[{','.join(raw for _, raw in mine)}]\n".encode())
        yield Page(path, first, until, len(numbers))
        first = max(numbers) + 1


def _elements(url: str, text: str) -> Iterator[tuple[int | None, str]]:
    """The elements of a JSON list as the venue wrote them, each with its id where it has one.

    Raises:
        DownloadFailed: it is no list, or is cut.
    """
    decoder = json.JSONDecoder()
    at = _after_blanks(text, 0)
    is_list = text[at : at + 1] == "["
    try:
        at = _after_blanks(text, at + 1)
        while is_list and text[at : at + 1] != "]":
            element, end = decoder.raw_decode(text, at)
            yield _id_of(element), text[at:end]
            at = _after_blanks(text, end)
    except (ValueError, RecursionError):
        is_list = False
    if not is_list:
        begins = json.dumps(text[:60])
        raise DownloadFailed(url, f"it answers with no whole list of trades; it begins with {begins}", "Check the address, or ask again")


def _after_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _id_of(element: Any) -> int | None:
    found = element.get("id") if isinstance(element, dict) else None
    return found if isinstance(found, int) else None
