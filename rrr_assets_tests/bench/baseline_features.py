"""Baseline of features: the same list as one writes it in plain Polars, and the point-in-time join as one writes it.

Rolling sums that add what enters and take off what leaves, exponential means without an end: quicker to write, and not functions of N
minutes. One late trade changes everything after it, and a value computed alone is not that of a whole day. Nothing is looked at: not
which minutes are known, not whether a quotient is finite.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

_CLOSE, _HIGH, _LOW, _OPEN = pl.col("close"), pl.col("high"), pl.col("low"), pl.col("open")
_VOLUME, _QUOTE_VOLUME = pl.col("volume"), pl.col("quote_volume")
_SIGNED = pl.col("taker_buy_volume") * 2 - _VOLUME
_LOG_RETURN = (_CLOSE / _CLOSE.shift(1)).log()
_EMA_12, _EMA_26 = _CLOSE.ewm_mean(span=12, adjust=False), _CLOSE.ewm_mean(span=26, adjust=False)
_MACD = _EMA_12 - _EMA_26
_CHANGE = _CLOSE - _CLOSE.shift(1)
_GAINED = _CHANGE.clip(lower_bound=0).ewm_mean(alpha=1 / 14, adjust=False)
_LOST = (-_CHANGE).clip(lower_bound=0).ewm_mean(alpha=1 / 14, adjust=False)
_TRUE_RANGE = pl.max_horizontal(_HIGH, _CLOSE.shift(1)) - pl.min_horizontal(_LOW, _CLOSE.shift(1))
_MEAN, _DEVIATION = _CLOSE.rolling_mean(20), _CLOSE.rolling_std(20, ddof=0)
_SPREAD, _BODY = (_HIGH / _LOW).log(), (_CLOSE / _OPEN).log()

FEATURES = {
    "quoted_spread": pl.col("quoted_spread_bps"),
    "quoted_spread_5m": pl.col("quoted_spread_bps").rolling_mean(5),
    "effective_spread": pl.col("effective_spread_bps"),
    "depth_imbalance": pl.col("depth_imbalance_close"),
    "order_flow_imbalance_5m": pl.col("book_flow").rolling_sum(5) / pl.col("book_depth").rolling_mean(5),
    "hour_of_week": pl.col("minute_of_week") // 60,
    "volume_zscore_1h": (_VOLUME - _VOLUME.shift(1).rolling_mean(60)) / _VOLUME.shift(1).rolling_std(60),
    "trade_rate_5m": pl.col("trade_count").rolling_sum(5) / 300,
    "trade_imbalance_5m": _SIGNED.rolling_sum(5) / _VOLUME.rolling_sum(5),
    "vpin_50": _SIGNED.abs().rolling_sum(50) / _VOLUME.rolling_sum(50),
    "kyle_lambda_1h": pl.rolling_cov(_SIGNED, _CHANGE, window_size=60, ddof=0) / _SIGNED.rolling_var(60, ddof=0),
    "amihud_illiquidity_1h": (_LOG_RETURN.abs() * 1_000_000 / _QUOTE_VOLUME).rolling_mean(60),
    "return_1m": _CLOSE / _CLOSE.shift(1) - 1,
    "return_5m": _CLOSE / _CLOSE.shift(5) - 1,
    "return_1h": _CLOSE / _CLOSE.shift(60) - 1,
    "log_return_1m": _LOG_RETURN,
    "log_return_5m": (_CLOSE / _CLOSE.shift(5)).log(),
    "log_return_1h": (_CLOSE / _CLOSE.shift(60)).log(),
    "sma_20": _MEAN,
    "ema_12": _EMA_12,
    "ema_26": _EMA_26,
    "macd": _MACD,
    "macd_signal": _MACD.ewm_mean(span=9, adjust=False),
    "rsi_14": 100 * _GAINED / (_GAINED + _LOST),
    "bollinger_upper": _MEAN + 2 * _DEVIATION,
    "bollinger_lower": _MEAN - 2 * _DEVIATION,
    "bollinger_percent_b": (_CLOSE - _MEAN + 2 * _DEVIATION) / (4 * _DEVIATION),
    "vwap_deviation_1h": (_CLOSE * _VOLUME.rolling_sum(60) / _QUOTE_VOLUME.rolling_sum(60) - 1) * 10_000,
    "atr_14": _TRUE_RANGE.ewm_mean(alpha=1 / 14, adjust=False),
    "realised_volatility_1h": (_LOG_RETURN**2).rolling_sum(60).sqrt(),
    "parkinson_volatility_1h": ((_SPREAD**2).rolling_mean(60) / (4 * 0.6931471805599453)).sqrt(),
    "garman_klass_volatility_1h": (_SPREAD**2 * 0.5 - _BODY**2 * (2 * 0.6931471805599453 - 1)).rolling_mean(60).clip(lower_bound=0).sqrt(),
}
"""Every declared feature."""


def features(laid_out: pl.DataFrame, since: datetime) -> pl.DataFrame:
    """All of them over minutes as they are laid out, from some minute on."""
    made = laid_out.lazy().select("instrument", "bar_start", *(each.alias(name) for name, each in FEATURES.items()))
    return made.filter(pl.col("bar_start") >= since).collect(engine="in-memory")


def historical(paths: Sequence[str], entities: pl.DataFrame, names: Sequence[str], ttl: timedelta) -> pl.DataFrame:
    """The features that each entity row may see, of files: `instrument` and `moment` in, the same rows with features out."""
    rows = pl.scan_parquet(list(paths)).select("instrument", pl.col("available_at").alias("moment"), *names).sort("moment")
    return (
        entities.lazy().with_row_index("number").sort("moment")
        .join_asof(rows, on="moment", by="instrument", tolerance=ttl, check_sortedness=False)
        .sort("number").drop("number").collect()
    )  # fmt: skip
