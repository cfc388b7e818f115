"""Features of what was traded: volumes, rates, imbalances, price impact.

Belongs here: what is made of volumes and their aggressors. Does not: the book (book.py).
"""

from typing import TYPE_CHECKING

from rrr_assets.calc.features.declare import feature
from rrr_assets.calc.features.windows import divided, ratio, window_deviation, window_mean, window_moment, window_sum

if TYPE_CHECKING:
    from polars import Expr


@feature(
    window=61,
    unit="standard deviations",
    formula="(volume - mean) / standard deviation (sample) of the 60 minutes before",
    null_when="the 60 minutes before are all equal",
)
def volume_zscore_1h(volume: "Expr") -> "Expr":
    """How unusual the minute's volume is against the 60 minutes before it, which it is not part of itself."""
    before = volume.shift(1)
    return ratio(volume - window_mean(before, 60), window_deviation(before, 60, 59))


@feature(window=5, unit="trades / second", formula="sum of trades over 5 minutes / 300 s", low=0)
def trade_rate_5m(trade_count: "Expr") -> "Expr":
    """Trades a second in the last 5 minutes."""
    return divided(window_sum(trade_count, 5), 300)


@feature(
    window=5,
    unit="-1 to 1",
    formula="(bought - sold) / (bought + sold) by aggressors over 5 minutes",
    null_when="nothing was traded in the window",
    low=-1,
    high=1,
)
def trade_imbalance_5m(taker_buy_volume: "Expr", volume: "Expr") -> "Expr":
    """Imbalance of what aggressors bought and sold in the last 5 minutes."""
    return ratio(window_sum(taker_buy_volume * 2 - volume, 5), window_sum(volume, 5))


@feature(
    window=50,
    unit="0 to 1",
    formula=(
        "sum of |bought - sold| / sum of volume over 50 buckets; Easley, Lopez de Prado, O'Hara, Rev. of Financial Studies 25, 2012. "
        "Buckets are minutes here, not equal volumes, and sides are the venue's, not estimated"
    ),
    null_when="nothing was traded in the window",
    low=0,
    high=1,
)
def vpin_50(taker_buy_volume: "Expr", volume: "Expr") -> "Expr":
    """Volume-synchronised probability of informed trading over 50 buckets of a minute each."""
    return ratio(window_sum((taker_buy_volume * 2 - volume).abs(), 50), window_sum(volume, 50))


@feature(
    window=61,
    unit="quote asset / base asset",
    formula="slope of close - close before on bought - sold over 60 minutes; A. Kyle, Econometrica 53, 1985",
    null_when="bought less sold is the same in all minutes of the window",
)
def kyle_lambda_1h(close: "Expr", taker_buy_volume: "Expr", volume: "Expr") -> "Expr":
    """Kyle's lambda: how far the price moves with what aggressors buy more than they sell, by least squares over the last hour."""
    moved, signed = close - close.shift(1), taker_buy_volume * 2 - volume
    return ratio(window_moment(signed, moved, 60), window_moment(signed, signed, 60))


@feature(
    window=60,
    unit="log ratio / million of quote asset",
    formula="mean of |log return| / quote volume over the minutes with trades; Y. Amihud, J. of Financial Markets 5, 2002",
    null_when="nothing was traded in the window",
    low=0,
)
def amihud_illiquidity_1h(log_return_1m: "Expr", quote_volume: "Expr") -> "Expr":
    """Amihud's illiquidity over the last hour: how far the price moves for what is spent."""
    # A minute without trades says nothing: it counts in neither sum. One of which nothing is known makes the whole unknown.
    is_known = (log_return_1m * quote_volume).is_not_null()
    impact = ratio(log_return_1m.abs() * 1_000_000, quote_volume).fill_null(0)
    traded = (quote_volume != 0).cast(int)
    return ratio(window_sum(_known(impact, is_known), 60), window_sum(_known(traded, is_known), 60))


def _known(values: "Expr", is_known: "Expr") -> "Expr":
    import polars as pl

    return pl.when(is_known).then(values)
