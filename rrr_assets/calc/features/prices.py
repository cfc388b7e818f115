"""Features of prices: returns, means, momentum, bands.

Belongs here: what is made of closes and vwaps of minutes. Does not: variability (volatility.py), what was traded (flow.py).
"""

from typing import TYPE_CHECKING

from rrr_assets.calc.features.declare import feature
from rrr_assets.calc.features.windows import exponential_mean, ratio, wilder_mean, window_deviation, window_mean, window_sum

if TYPE_CHECKING:
    from polars import Expr

_MURPHY = "J. Murphy, Technical Analysis of the Financial Markets, 1999"
_EMA = "alpha = 2 / (span + 1), begun with the first close of the window"


@feature(window=2, unit="ratio", formula="close / close before - 1", low=-1)
def return_1m(close: "Expr") -> "Expr":
    """Simple return of the last minute."""
    return close / close.shift(1) - 1


@feature(window=6, unit="ratio", formula="close / close 5 minutes before - 1", low=-1)
def return_5m(close: "Expr") -> "Expr":
    """Simple return of the last 5 minutes."""
    return close / close.shift(5) - 1


@feature(window=61, unit="ratio", formula="close / close 60 minutes before - 1", low=-1)
def return_1h(close: "Expr") -> "Expr":
    """Simple return of the last hour."""
    return close / close.shift(60) - 1


@feature(window=2, unit="log ratio", formula="ln(close / close before)")
def log_return_1m(close: "Expr") -> "Expr":
    """Log return of the last minute."""
    return (close / close.shift(1)).log()


@feature(window=6, unit="log ratio", formula="ln(close / close 5 minutes before)")
def log_return_5m(close: "Expr") -> "Expr":
    """Log return of the last 5 minutes."""
    return (close / close.shift(5)).log()


@feature(window=61, unit="log ratio", formula="ln(close / close 60 minutes before)")
def log_return_1h(close: "Expr") -> "Expr":
    """Log return of the last hour."""
    return (close / close.shift(60)).log()


@feature(window=20, unit="quote asset", formula=f"mean of 20 closes; {_MURPHY}", low=0, is_stationary=False)
def sma_20(close: "Expr") -> "Expr":
    """Simple moving average of the last 20 closes."""
    return window_mean(close, 20)


@feature(window=60, unit="quote asset", formula=f"{_EMA}; {_MURPHY}", low=0, is_stationary=False)
def ema_12(close: "Expr") -> "Expr":
    """Exponential moving average of span 12 over the last 60 closes: what lies before weighs less than 0.005 %."""
    return exponential_mean(close, 60, 2 / 13)


@feature(window=130, unit="quote asset", formula=f"{_EMA}; {_MURPHY}", low=0, is_stationary=False)
def ema_26(close: "Expr") -> "Expr":
    """Exponential moving average of span 26 over the last 130 closes: what lies before weighs less than 0.005 %."""
    return exponential_mean(close, 130, 2 / 27)


@feature(window=1, unit="quote asset", formula=f"ema_12 - ema_26; {_MURPHY}")
def macd(ema_12: "Expr", ema_26: "Expr") -> "Expr":
    """Moving average convergence and divergence: the faster mean less the slower one."""
    return ema_12 - ema_26


@feature(window=45, unit="quote asset", formula=f"exponential mean of macd, alpha = 2 / 10, begun with the first of 45; {_MURPHY}")
def macd_signal(macd: "Expr") -> "Expr":
    """Signal line: exponential moving average of span 9 over the last 45 values of macd."""
    return exponential_mean(macd, 45, 2 / 10)


@feature(
    window=141,
    unit="0 to 100",
    formula="100 * U / (U + D), U and D Wilder's means of gains and losses; J. W. Wilder, New Concepts in Technical Trading Systems, 1978",
    null_when="no close of the window differs from the one before",
    low=0,
    high=100,
)
def rsi_14(close: "Expr") -> "Expr":
    """Relative strength index over 14 minutes by Wilder's means of the last 140 changes, begun with the plain mean of the first 14."""
    change = close - close.shift(1)
    gained = wilder_mean(change.clip(lower_bound=0), 140, 14)
    lost = wilder_mean((-change).clip(lower_bound=0), 140, 14)
    # Of what only rises exactly 100: a product that is rounded before it is divided would be more.
    return ratio(gained, gained + lost) * 100


@feature(
    window=20,
    unit="quote asset",
    formula="sma_20 + 2 standard deviations (population) of 20 closes; J. Bollinger, 2001",
    low=0,
    is_stationary=False,
)
def bollinger_upper(close: "Expr") -> "Expr":
    """Upper Bollinger band over 20 closes."""
    return window_mean(close, 20) + window_deviation(close, 20, 20) * 2


@feature(
    window=20,
    unit="quote asset",
    formula="sma_20 - 2 standard deviations (population) of 20 closes; J. Bollinger, 2001",
    is_stationary=False,
)
def bollinger_lower(close: "Expr") -> "Expr":
    """Lower Bollinger band over 20 closes."""
    return window_mean(close, 20) - window_deviation(close, 20, 20) * 2


@feature(
    window=1,
    unit="0 at the lower band, 1 at the upper",
    formula="(close - lower) / (upper - lower); J. Bollinger, Bollinger on Bollinger Bands, 2001",
    null_when="the bands are one",
)
def bollinger_percent_b(close: "Expr", bollinger_upper: "Expr", bollinger_lower: "Expr") -> "Expr":
    """Where the close lies between the Bollinger bands."""
    return ratio(close - bollinger_lower, bollinger_upper - bollinger_lower)


@feature(
    window=60,
    unit="bps",
    formula="(close / (sum of quote volume / sum of volume over 60 minutes) - 1) * 10000",
    null_when="nothing was traded in the window",
)
def vwap_deviation_1h(close: "Expr", quote_volume: "Expr", volume: "Expr") -> "Expr":
    """How far the close lies above the volume-weighted average price of the last hour."""
    # Not through vwap = quote volume / volume: one division less, and none by zero.
    spent, traded = window_sum(quote_volume, 60), window_sum(volume, 60)
    return (ratio(close * traded, spent) - 1) * 10_000
