"""The formats this platform reads, by name.

Belongs here: one line for each. Does not: anything a format knows of itself.
"""

from importlib import import_module
from typing import Final, cast

from rrr_assets.venues.base import Evidence, Format

FORMATS: Final[dict[str, str]] = {
    "binance-vision-trades": "rrr_assets.venues.binance_vision:Trades",
    "binance-vision-aggtrades": "rrr_assets.venues.binance_vision:AggTrades",
    "binance-vision-klines": "rrr_assets.venues.binance_vision:Klines",
    "binance-ws": "rrr_assets.venues.binance_ws:Capture",
    "binance-rest": "rrr_assets.venues.binance_rest:Rest",
    "ccapi": "rrr_assets.venues.ccapi:Ccapi",
    "coinbase-ws": "rrr_assets.venues.coinbase_ws:Capture",
    "kraken-csv": "rrr_assets.venues.kraken_csv:History",
    "kraken-rest": "rrr_assets.venues.kraken_rest:Rest",
    "polygon-flat": "rrr_assets.venues.polygon_flat:Flat",
    "polygon-ws": "rrr_assets.venues.polygon_ws:Capture",
    "tardis": "rrr_assets.venues.tardis:Tardis",
    "table": "rrr_assets.venues.table:Table",
    "rrr-corrections": "rrr_assets.venues.rrr_corrections:RrrCorrections",
}


def get(name: str) -> Format:
    """The format of a name, imported when it is asked for.

    Raises:
        ValueError: no format has the name; says which there are.
    """
    if name not in FORMATS:
        raise ValueError(f"'{name}' is no format: the known ones are {', '.join(FORMATS)}")
    module, _, implementation = FORMATS[name].partition(":")
    return cast(Format, getattr(import_module(module), implementation)())


def recognise(head: str) -> list[str]:
    """The formats that some content's first lines look like (see `content.read_head`)."""
    return [name for name in FORMATS if get(name).recognises(head)]


def describe() -> list[tuple[str, Evidence, str]]:
    """Name, evidence and description of every format, for the documented table."""
    return [(name, get(name).evidence, get(name).description) for name in FORMATS]
