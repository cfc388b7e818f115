"""What is known of each venue before any of its files is read.

Belongs here: the venues' names, kinds and number scales. Does not: their formats (venues/).
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class Venue:
    """A venue as new instruments of it are entered.

    The scales are the decimals that the venue publishes at most; an instrument may be held to fewer.
    `publication_delay` models when a trade could be used that carries no receive time: the usual time from
    a match to the venue's public feed, on the safe side.
    """

    name: str
    contract_type: str
    price_scale: int
    size_scale: int
    publication_delay: timedelta = timedelta(seconds=1)


VENUES: Final = {
    venue.name: venue
    for venue in (
        Venue("binance", "spot", 8, 8),
        Venue("binance-usdm", "linear", 8, 8),
        Venue("binance-coinm", "inverse", 8, 8),
        Venue("gemini", "spot", 12, 18),
        Venue("kraken", "spot", 12, 12),
        Venue("coinbase", "spot", 12, 18),
        Venue("polygon", "spot", 12, 18),
    )
}
"""A venue is added here and nowhere else; its formats are registered in venues/registry."""
