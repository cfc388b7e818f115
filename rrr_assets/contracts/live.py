"""The contracts of the live bars: views over the trades of the last days, made from nothing but what is stored at this moment.

Belongs here: what a live bar has, and over how many days they are promised. Does not: the bars that are kept (bars.py).
"""

from dataclasses import replace
from typing import Final

from rrr_assets.contracts.bars import BARS, INTERVALS
from rrr_assets.contracts.base import TRADES_RETENTION, Table

HOT_DAYS: Final = TRADES_RETENTION.hot_days or 0
"""Live bars hold the current UTC day and so many before it."""

_NOT_LIVE: Final = frozenset({"is_complete", "known_at"})


def _live_bars(interval: str, source: str) -> Table:
    return replace(
        BARS[interval],
        name=f"bars_live_{interval}",
        description=(
            f"One row per instrument and {interval} interval with trades of the hot window, the open interval too, "
            f"as {source} stands at this moment."
        ),
        # A view says of no column that it is never null.
        columns=tuple(replace(column, nullable=True) for column in BARS[interval].columns if column.name not in _NOT_LIVE),
    )


LIVE_BARS: Final[dict[str, Table]] = {
    interval: _live_bars(interval, source)
    for interval, source in zip(INTERVALS, ("raw_trades", *(f"bars_live_{shorter}" for shorter in INTERVALS)), strict=False)
}
"""By interval. Without is_complete and known_at, which say something about a bar that was made and kept."""
