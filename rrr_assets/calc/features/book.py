"""Features of the book: spreads, depth, the flow of best orders.

Belongs here: what is made of quotes, and of trades against them. Does not: making minutes of quotes (ticks.py).
"""

from typing import TYPE_CHECKING

from rrr_assets.calc.features.declare import feature
from rrr_assets.calc.features.windows import ratio, window_mean, window_sum

if TYPE_CHECKING:
    from polars import Expr

_NO_QUOTES = "a minute of the window has no quote of both sides, or may lack quotes"
_NO_DEPTH = f"{_NO_QUOTES}, or all their sizes are 0"


@feature(
    window=1,
    unit="bps",
    formula="(ask - bid) / mid, weighted by how long each quote stood; J. Hasbrouck, Empirical Market Microstructure, 2007",
    null_when="no quote of both sides stood in the minute, or it may lack quotes",
    low=0,
)
def quoted_spread(quoted_spread_bps: "Expr") -> "Expr":
    """Quoted spread of the minute, weighted by time."""
    return quoted_spread_bps


@feature(window=5, unit="bps", formula="mean of quoted_spread over 5 minutes", null_when=_NO_QUOTES, low=0)
def quoted_spread_5m(quoted_spread_bps: "Expr") -> "Expr":
    """Quoted spread of the last 5 minutes."""
    return window_mean(quoted_spread_bps, 5)


@feature(
    window=1,
    unit="bps",
    formula="2 |price - mid| / mid, mid of the quote before the trade, weighted by size; R. Roll, J. of Finance 39, 1984; Hasbrouck, 2007",
    null_when="no trade of the minute has a quote of both sides before it",
    low=0,
)
def effective_spread(effective_spread_bps: "Expr") -> "Expr":
    """Effective spread of the minute's trades, weighted by size."""
    return effective_spread_bps


@feature(
    window=1,
    unit="-1 to 1",
    formula="(bid size - ask size) / (bid size + ask size) of the best quote that stands at the end",
    null_when="no quote of both sides stands at the end of the minute, its sizes are 0, or the minute may lack quotes",
    low=-1,
    high=1,
)
def depth_imbalance(depth_imbalance_close: "Expr") -> "Expr":
    """Imbalance of the best bid's and ask's sizes at the end of the minute."""
    return depth_imbalance_close


@feature(
    window=5,
    unit="multiples of the mean depth",
    formula=(
        "sum of what best bids gained and best asks lost over 5 minutes / mean depth of the best bid and ask; "
        "R. Cont, A. Kukanov, S. Stoikov, J. of Financial Econometrics 12, 2014"
    ),
    null_when=_NO_DEPTH,
)
def order_flow_imbalance_5m(book_flow: "Expr", book_depth: "Expr") -> "Expr":
    """Order-flow imbalance at the best quotes over the last 5 minutes."""
    return ratio(window_sum(book_flow, 5), window_mean(book_depth, 5))
