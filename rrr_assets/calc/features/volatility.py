"""Features of variability: true range, realised and range-based volatility.

Belongs here: what is made of how far prices moved. Does not: where they went (prices.py).
"""

from math import log
from typing import TYPE_CHECKING

from rrr_assets.calc.features.declare import feature
from rrr_assets.calc.features.windows import divided, larger, wilder_mean, window_mean, window_sum

if TYPE_CHECKING:
    from polars import Expr


@feature(
    window=141,
    unit="quote asset",
    formula="Wilder's mean of max(high - low, |high - close before|, |low - close before|); New Concepts in Technical Trading, 1978",
    low=0,
)
def atr_14(high: "Expr", low: "Expr", close: "Expr") -> "Expr":
    """Average true range over 14 minutes by Wilder's mean of the last 140 true ranges, begun with the plain mean of the first 14."""
    before = close.shift(1)
    # The distance from the close before to the further end of the bar covers both of the other two.
    true_range = larger(high, before) - -larger(-low, -before)
    return wilder_mean(true_range, 140, 14)


@feature(
    window=60,
    unit="log ratio over an hour",
    formula="sqrt(sum of squared 1-minute log returns over 60 minutes); Andersen, Bollerslev, Diebold, Labys, Econometrica 71, 2003",
    low=0,
)
def realised_volatility_1h(log_return_1m: "Expr") -> "Expr":
    """Realised volatility of the last hour, not annualised."""
    return window_sum(log_return_1m * log_return_1m, 60).sqrt()


@feature(
    window=60,
    unit="log ratio over a minute",
    formula="sqrt(mean of ln(high / low)^2 over 60 minutes / (4 ln 2)); M. Parkinson, J. of Business 53, 1980",
    low=0,
)
def parkinson_volatility_1h(high: "Expr", low: "Expr") -> "Expr":
    """Parkinson's volatility of a minute from the ranges of the last hour's minutes."""
    spread = (high / low).log()
    return divided(window_mean(spread * spread, 60), 4 * log(2)).sqrt()


@feature(
    window=60,
    unit="log ratio over a minute",
    formula="sqrt(mean of ln(high / low)^2 / 2 - (2 ln 2 - 1) ln(close / open)^2); M. Garman, M. Klass, J. of Business 53, 1980",
    low=0,
)
def garman_klass_volatility_1h(open: "Expr", high: "Expr", low: "Expr", close: "Expr") -> "Expr":  # noqa: A002  # the column is called so
    """Garman and Klass' volatility of a minute from the ranges and bodies of the last hour's minutes."""
    spread, body = (high / low).log(), (close / open).log()
    variance = window_mean(spread * spread * 0.5 - body * body * (2 * log(2) - 1), 60)
    # Of a minute that opens at one end of its range and closes at the other it is above 0; only rounding can take it below.
    return variance.clip(lower_bound=0).sqrt()
