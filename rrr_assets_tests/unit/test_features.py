"""The declared features: exact windows, the same bits on every path, an independent library's values, and no infinity ever."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.compute import CARRIED, MINUTE, evaluate, look_back, minutes
from rrr_assets.calc.features.declare import BAR_INPUTS, INPUTS, TICK_INPUTS, complete, feature, in_order
from rrr_assets.calc.features.ticks import QUOTE_COLUMNS, tick_minutes
from rrr_assets.calc.features.windows import exponential_mean, geometric_sum, wilder_mean, window_moment, window_sum

START = datetime(2025, 3, 3, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
Column = npt.NDArray[np.float64]


def made(n: int, seed: int = 7) -> pl.DataFrame:
    """n minutes of one instrument as `minutes` lays them out, of a market that moves."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 1e-3, n)))
    opened = close * (1 + rng.normal(0, 3e-4, n))
    volume = rng.exponential(10, n)
    columns = {
        "open": opened,
        "high": np.maximum(opened, close) * (1 + rng.exponential(2e-4, n)),
        "low": np.minimum(opened, close) * (1 - rng.exponential(2e-4, n)),
        "close": close,
        "volume": volume,
        "quote_volume": volume * close,
        "trade_count": np.round(volume) + 1,
        "taker_buy_volume": volume * rng.random(n),
        "taker_buy_quote_volume": volume * close * rng.random(n),
        "quoted_spread_bps": rng.exponential(2, n),
        "effective_spread_bps": rng.exponential(2, n),
        "depth_imbalance_close": rng.uniform(-1, 1, n),
        "book_flow": rng.normal(0, 5, n),
        "book_depth": rng.exponential(5, n) + 1,
        "minute_of_week": (np.arange(n, dtype=np.float64) + 60 * seed) % 10_080,
    }
    assert set(columns) == set(INPUTS)
    return laid(columns)


def laid(columns: dict[str, Any]) -> pl.DataFrame:
    n = len(columns["close"])
    key = {"instrument": ["a:B"] * n, "bar_start": [START + k * MINUTE for k in range(n)], "is_known": [True] * n}
    return pl.DataFrame(key | columns, schema_overrides={"bar_start": TIME, **dict.fromkeys(INPUTS, pl.Float64)})


def padded(frame: pl.DataFrame) -> pl.DataFrame:
    """With the minutes before from which closes could be carried: nothing is known of them."""
    before = [{"instrument": "a:B", "bar_start": frame["bar_start"][0] - k * MINUTE, "is_known": False} for k in range(CARRIED, 0, -1)]
    return pl.concat([pl.DataFrame(before, schema_overrides={"bar_start": TIME}), frame], how="diagonal")


def last(frame: pl.DataFrame, name: str) -> float | None:
    """The value at the last minute, computed as a batch would."""
    value = evaluate(padded(frame), [name], since=frame["bar_start"][-1])[name][0]
    assert value is None or isinstance(value, float)
    return value


# --- windows ------------------------------------------------------------------------------------------------------


def by_hand(function: Callable[[Sequence[float]], float], values: Column, n: int) -> list[float | None]:
    return [None if at + 1 < n else function(values[at + 1 - n : at + 1].tolist()) for at in range(len(values))]


def computed(expression: pl.Expr, **columns: Column) -> list[float | None]:
    return pl.DataFrame(columns).select(expression.alias("value"))["value"].to_list()


@pytest.mark.parametrize("n", [1, 2, 3, 7, 20, 60, 64, 130])
def test_windows_are_what_their_definitions_say(n: int) -> None:
    values = np.random.default_rng(n).normal(100, 3, 200)
    other = np.random.default_rng(n + 1).normal(5, 1, 200)

    def ema(window: Sequence[float]) -> float:
        value = window[0]
        for each in window[1:]:
            value += 0.2 * (each - value)
        return value

    def wilder(window: Sequence[float]) -> float:
        value = math.fsum(window[:3]) / 3
        for each in window[3:]:
            value = (value * 2 + each) / 3
        return value

    def squares(window: Sequence[float]) -> float:
        mean = math.fsum(window) / n
        return math.fsum((each - mean) ** 2 for each in window)

    column = pl.col("x")
    expected = {
        "sum": (window_sum(column, n), by_hand(math.fsum, values, n)),
        "geometric": (
            geometric_sum(column, n, 0.9),
            by_hand(lambda window: math.fsum(x * 0.9**k for k, x in enumerate(reversed(window))), values, n),
        ),
        "ema": (exponential_mean(column, n, 0.2), by_hand(ema, values, n)),
        "moment": (window_moment(column, column, n), by_hand(squares, values, n)),
    }
    if n >= 3:
        expected["wilder"] = (wilder_mean(column, n, 3), by_hand(wilder, values, n))
    for name, (expression, known) in expected.items():
        found = computed(expression, x=values)
        assert found[: n - 1] == [None] * (n - 1), name
        assert found[n - 1 :] == pytest.approx(known[n - 1 :], rel=1e-12, abs=1e-9), name
    crossed = computed(window_moment(column, pl.col("y"), n), x=values, y=other)
    covariances = [np.cov(values[at + 1 - n : at + 1], other[at + 1 - n : at + 1], bias=True)[0, 1] * n for at in range(n - 1, 200)]
    assert crossed[n - 1 :] == pytest.approx(covariances, rel=1e-9, abs=1e-9)


def test_of_equal_values_nothing_deviates() -> None:
    """A price of 0.1 that stands for an hour has bands of no width, not of rounding errors."""
    column = pl.col("x")
    found = computed(window_moment(column, column, 60), x=np.full(200, 0.1))
    assert set(found[59:]) == {0.0}


def test_a_null_in_the_window_is_a_null() -> None:
    frame = pl.DataFrame({"x": [1.0, 2.0, None, 4.0, 5.0, 6.0, 7.0]})
    assert frame.select(window_sum(pl.col("x"), 3))["x"].to_list() == [None, None, None, None, None, 15.0, 18.0]


# --- definitions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FEATURES)
def test_lineage_is_what_the_expression_reads(name: str) -> None:
    declared = FEATURES[name]
    read = declared.expression({each: pl.col(each) for each in declared.inputs}).meta.root_names()
    assert set(read) == set(declared.inputs)
    assert set(declared.columns) <= set(INPUTS)


@pytest.mark.parametrize("name", FEATURES)
def test_a_value_is_a_function_of_exactly_its_bars(name: str) -> None:
    """To the bit: what lies before changes nothing, and the first of them changes something."""
    declared = FEATURES[name]
    n = declared.bars + 40
    frame, elsewhere = made(n), made(n, seed=8)
    of_window = pl.int_range(n) >= n - declared.bars
    assert declared.bars + CARRIED == look_back([name]) + 1
    other_past = frame.with_columns(pl.when(of_window).then(pl.col(each)).otherwise(elsewhere[each]).alias(each) for each in INPUTS)
    value = last(frame, name)
    assert value is not None
    assert last(other_past, name) == value
    assert last(frame.tail(declared.bars), name) == value
    of_first = pl.int_range(n) == n - declared.bars
    other_first = frame.with_columns(pl.when(of_first).then(elsewhere[each]).otherwise(pl.col(each)).alias(each) for each in INPUTS)
    assert last(other_first, name) != value
    unknown_first = frame.with_columns(pl.when(of_first).then(None).otherwise(pl.col(each)).alias(each) for each in declared.columns)
    assert last(unknown_first, name) is None


def test_a_day_and_single_moments_agree_to_the_bit() -> None:
    """The batch of two instruments, and the vector that is made of one's last minutes alone: the same doubles."""
    back = look_back()
    one, two = made(back + 90), made(back + 90, seed=9).with_columns(pl.lit("a:C").alias("instrument"))
    batch = evaluate(pl.concat([one, two]))
    assert len(batch) == 180
    assert batch.null_count().row(0) == (0,) * batch.width
    singles = [evaluate(frame[at : at + back + 1]) for frame in (one, two) for at in range(90)]
    assert_frame_equal(pl.concat(singles), batch, check_exact=True)


@pytest.mark.parametrize("length", [300, 600, 1001])
def test_long_columns_and_short_ones_agree_to_the_bit(length: int) -> None:
    """An engine may divide, say, by another way where there is much to divide."""
    frame = made(3000)
    whole = evaluate(frame)
    for first in (0, 17, 1500, 3000 - length):
        part = evaluate(frame[first : first + length])
        assert_frame_equal(part, whole.join(part.select("bar_start"), on="bar_start", how="semi"), check_exact=True)


def test_too_short_a_look_back_is_refused() -> None:
    with pytest.raises(ValueError, match="look back at 79 minutes, and there are 78"):
        evaluate(made(90), ["sma_20"], since=START + 78 * MINUTE)


def test_nothing_gives_nothing() -> None:
    assert evaluate(made(60).clear()).columns == ["instrument", "bar_start", "is_known", *FEATURES]


def test_what_is_declared_wrong_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rrr_assets.calc.features.declare.REGISTRY", {})

    def described(close: pl.Expr) -> pl.Expr:
        """Something."""
        return close

    def undescribed(close: pl.Expr) -> pl.Expr:
        return close

    def of_nothing(nothing: pl.Expr) -> pl.Expr:
        """Something."""
        return nothing

    declare = feature(window=1, unit="none", formula="none")
    declare(described)
    with pytest.raises(ValueError, match="described is declared twice"):
        declare(described)
    with pytest.raises(ValueError, match="undescribed has no docstring"):
        declare(undescribed)
    declare(of_nothing)
    with pytest.raises(ValueError, match="of_nothing is made from nothing, which is neither"):
        complete()


def test_features_come_after_what_they_are_made_from() -> None:
    groups = in_order(["macd_signal"])
    assert groups == [["ema_12", "ema_26"], ["macd"], ["macd_signal"]]


# --- an independent library ---------------------------------------------------------------------------------------

# Of the same window. TA-Lib begins an exponential average with the mean of as many values as its span: given the first value as often, it
# begins with that, as ours do.
RELATIVE = 1e-11


def of_talib(name: str, frame: pl.DataFrame) -> float:
    import talib

    close, high, low = (frame[each].to_numpy() for each in ("close", "high", "low"))
    found: dict[str, Callable[[], Any]] = {
        "sma_20": lambda: talib.SMA(close, 20),
        "ema_12": lambda: talib.EMA(begun(close, 12), 12),
        "ema_26": lambda: talib.EMA(begun(close, 26), 26),
        "rsi_14": lambda: talib.RSI(close, 14),
        "atr_14": lambda: talib.ATR(high, low, close, 14),
        "bollinger_upper": lambda: talib.BBANDS(close, 20, 2, 2)[0],
        "bollinger_lower": lambda: talib.BBANDS(close, 20, 2, 2)[2],
        "return_1h": lambda: talib.ROCP(close, 60),
    }
    return float(found[name]()[-1])


def begun(values: Column, span: int) -> Column:
    return np.concatenate([np.repeat(values[:1], span - 1), values])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["sma_20", "ema_12", "ema_26", "rsi_14", "atr_14", "bollinger_upper", "bollinger_lower", "return_1h"])
def test_ta_lib_says_the_same(name: str, seed: int) -> None:
    frame = made(FEATURES[name].bars, seed)
    assert last(frame, name) == pytest.approx(of_talib(name, frame), rel=RELATIVE)


@pytest.mark.parametrize("seed", range(5))
def test_ta_lib_says_the_same_of_macd(seed: int) -> None:
    """TA-Lib begins both averages of a series at one place; ours of each minute have windows of their own: so it is compared by parts."""
    import talib

    frame = made(FEATURES["macd_signal"].bars, seed)
    parts = []
    for at in range(45):
        window = frame[at : at + 130]
        parts.append(of_talib("ema_12", window.tail(60)) - of_talib("ema_26", window))
    assert last(frame, "macd") == pytest.approx(parts[-1], rel=1e-9, abs=1e-10)
    signal = talib.EMA(begun(np.array(parts), 9), 9)[-1]
    assert last(frame, "macd_signal") == pytest.approx(signal, rel=1e-9, abs=1e-10)


# --- by hand ------------------------------------------------------------------------------------------------------


def test_the_others_are_what_their_formulas_say() -> None:
    frame = made(200)
    column = {name: frame[name].to_numpy() for name in INPUTS}
    close, volume, bought = column["close"], column["volume"], column["taker_buy_volume"]
    returns, signed, moved = np.diff(np.log(close)), 2 * bought - volume, np.diff(close)
    ranges, bodies = np.log(column["high"] / column["low"]), np.log(close / column["open"])
    vwap = column["quote_volume"][-60:].sum() / volume[-60:].sum()
    upper, lower = of_talib("bollinger_upper", frame), of_talib("bollinger_lower", frame)
    known = {
        "return_1m": close[-1] / close[-2] - 1,
        "return_5m": close[-1] / close[-6] - 1,
        "log_return_1m": returns[-1],
        "log_return_5m": returns[-5:].sum(),
        "log_return_1h": returns[-60:].sum(),
        "bollinger_percent_b": (close[-1] - lower) / (upper - lower),
        "realised_volatility_1h": math.sqrt((returns[-60:] ** 2).sum()),
        "parkinson_volatility_1h": math.sqrt((ranges[-60:] ** 2).mean() / (4 * math.log(2))),
        "garman_klass_volatility_1h": math.sqrt((ranges[-60:] ** 2 / 2 - (2 * math.log(2) - 1) * bodies[-60:] ** 2).mean()),
        "vwap_deviation_1h": (close[-1] / vwap - 1) * 10_000,
        "volume_zscore_1h": (volume[-1] - volume[-61:-1].mean()) / volume[-61:-1].std(ddof=1),
        "trade_rate_5m": column["trade_count"][-5:].sum() / 300,
        "trade_imbalance_5m": signed[-5:].sum() / volume[-5:].sum(),
        "vpin_50": abs(signed[-50:]).sum() / volume[-50:].sum(),
        "kyle_lambda_1h": np.polyfit(signed[-60:], moved[-60:], 1)[0],
        "amihud_illiquidity_1h": (abs(returns[-60:]) / column["quote_volume"][-60:]).mean() * 1e6,
        "quoted_spread": column["quoted_spread_bps"][-1],
        "quoted_spread_5m": column["quoted_spread_bps"][-5:].mean(),
        "effective_spread": column["effective_spread_bps"][-1],
        "depth_imbalance": column["depth_imbalance_close"][-1],
        "order_flow_imbalance_5m": column["book_flow"][-5:].sum() / column["book_depth"][-5:].mean(),
        "hour_of_week": 7 + 199 // 60,
    }
    by_talib = {"sma_20", "ema_12", "ema_26", "macd", "macd_signal", "rsi_14", "atr_14", "bollinger_upper", "bollinger_lower", "return_1h"}
    assert set(known) | by_talib == set(FEATURES)
    found = evaluate(padded(frame), list(known), since=frame["bar_start"][-1]).row(0, named=True)
    for name, value in known.items():
        assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name


# --- bad input ----------------------------------------------------------------------------------------------------


def test_where_nothing_moves_and_nothing_is_traded_there_is_a_value_or_none() -> None:
    n = look_back() + 3
    still = dict.fromkeys(INPUTS, np.zeros(n)) | dict.fromkeys(("open", "high", "low", "close"), np.full(n, 0.1))
    found = evaluate(laid(still)).row(0, named=True)
    without = {
        "rsi_14", "bollinger_percent_b", "vwap_deviation_1h", "volume_zscore_1h", "trade_imbalance_5m", "vpin_50", "kyle_lambda_1h",
        "amihud_illiquidity_1h", "order_flow_imbalance_5m",
    }  # fmt: skip
    assert {name for name in FEATURES if found[name] is None} == without
    assert all(FEATURES[name].null_when != "never" for name in without)
    # An average of one price is that price but for the last digits; what measures a difference is exactly 0.
    means = {"sma_20": 0.1, "ema_12": 0.1, "ema_26": 0.1, "bollinger_upper": 0.1, "bollinger_lower": 0.1}
    for name in set(FEATURES) - without:
        assert found[name] == pytest.approx(means.get(name, 0.0), rel=1e-14, abs=1e-15), name


_VALUES = st.one_of(st.none(), st.sampled_from([0.0, 5e-324, 1e-8, 1.0, 5e4, 1e9]), st.floats(0, 1e6))
_PRICES = st.one_of(st.none(), st.sampled_from([1e-12, 0.1, 1e6]), st.floats(1e-6, 1e6))


def test_what_is_divided_by_next_to_nothing_has_no_value() -> None:
    frame = made(FEATURES["order_flow_imbalance_5m"].bars).with_columns(pl.lit(1e-308).alias("book_depth"), pl.lit(1e3).alias("book_flow"))
    assert last(frame, "order_flow_imbalance_5m") is None


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_there_is_never_an_infinity_or_a_nan(data: st.DataObject) -> None:
    n = look_back() + 4
    columns: dict[str, Any] = {}
    few_of = {kind: st.lists(kind, min_size=1, max_size=5) for kind in (_PRICES, _VALUES)}
    for name in INPUTS:
        few = data.draw(few_of[_PRICES if name in {"open", "high", "low", "close"} else _VALUES])
        columns[name] = [few[at % len(few)] for at in range(n)]
    found = evaluate(laid(columns)).select(*FEATURES)
    for column in found:
        values = column.drop_nulls()
        assert values.is_finite().all(), column.name


# --- laying minutes out -------------------------------------------------------------------------------------------


def bar(at: int, close: float, instrument: str = "a:B") -> dict[str, Any]:
    return {"instrument": instrument, "bar_start": START + at * MINUTE, **dict.fromkeys(BAR_INPUTS, 1.0), "close": close}


def frames(bars: Sequence[dict[str, Any]], whole: Sequence[tuple[str, int, int]]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    schema = {"instrument": pl.String, "bar_start": TIME}
    tape = [{"instrument": name, "from_time": START + first * MINUTE, "to_time": START + end * MINUTE} for name, first, end in whole]
    return (
        pl.DataFrame(bars, schema=schema | dict.fromkeys(BAR_INPUTS, pl.Float64), orient="row"),
        pl.DataFrame(schema=schema | dict.fromkeys(TICK_INPUTS, pl.Float64)),
        pl.DataFrame(tape, schema={"instrument": pl.String, "from_time": TIME, "to_time": TIME}, orient="row"),
    )


def closes(found: pl.DataFrame, instrument: str = "a:B") -> list[float | None]:
    return found.filter(pl.col("instrument") == instrument)["close"].to_list()


def test_no_trade_no_minute_and_no_tape_are_three_things() -> None:
    bars, ticks, tape = frames([bar(1, 5), bar(3, 6), bar(6, 7)], [("a:B", 0, 5), ("a:B", 6, 8)])
    found = minutes(bars, ticks, tape, ["a:B"], START, START + 9 * MINUTE)
    assert closes(found) == [None, 5, 5, 6, 6, None, 7, 7, None]
    assert found["volume"].to_list() == [0, 1, 0, 1, 0, None, 1, 0, None]
    assert found["high"].to_list() == [None, 1, 5, 1, 6, None, 1, 7, None]
    assert found["is_known"].to_list() == [True] * 5 + [False, True, True, False]


def test_a_close_is_carried_over_no_hole_and_to_no_other_instrument() -> None:
    bars, ticks, tape = frames([bar(0, 4), bar(2, 5, "a:C")], [("a:B", 0, 2), ("a:B", 3, 6), ("a:C", 0, 4)])
    found = minutes(bars, ticks, tape, ["a:B", "a:C", "a:D"], START, START + 4 * MINUTE)
    assert closes(found) == [4, 4, None, None]
    assert closes(found, "a:C") == [None, None, 5, 5]
    assert closes(found, "a:D") == [None] * 4
    assert found.height == 12


def test_a_close_is_carried_for_an_hour() -> None:
    bars, ticks, tape = frames([bar(0, 4), bar(100, 5)], [("a:B", 0, 200)])
    found = minutes(bars, ticks, tape, ["a:B"], START, START + 200 * MINUTE)
    assert closes(found) == [4] * 61 + [None] * 39 + [5] * 61 + [None] * 39
    assert found["volume"].to_list() == [1.0, *[0.0] * 99] * 2
    assert found["is_known"].all()


def test_a_bar_that_lacks_trades_counts_as_it_is() -> None:
    bars, ticks, tape = frames([bar(0, 5), bar(1, 6)], [("a:B", 0, 1)])
    found = minutes(bars, ticks, tape, ["a:B"], START, START + 3 * MINUTE)
    assert closes(found) == [5, 6, None]
    assert found["is_known"].to_list() == [True, True, False]


def test_minutes_of_the_week_begin_on_monday() -> None:
    bars, ticks, tape = frames([], [])
    found = minutes(bars, ticks, tape, ["a:B"], START - MINUTE, START + 2 * MINUTE)
    assert found["minute_of_week"].to_list() == [10_079, 0, 1]
    assert timedelta(minutes=10_080) == timedelta(days=7)


# --- minutes of ticks ---------------------------------------------------------------------------------------------

SECOND = timedelta(seconds=1)


def quotes_of(*rows: tuple[float, Any, Any, Any, Any]) -> pl.DataFrame:
    """Seconds since the start, bid, its size, ask, its size; received 20 ms later."""
    schema = {"event_time": TIME, "available_at": TIME, "is_observed": pl.Boolean, **dict.fromkeys(QUOTE_COLUMNS[3:], pl.Float64)}
    return pl.DataFrame([(START + at * SECOND, START + (at + 0.02) * SECOND, True, *row) for at, *row in rows], schema=schema, orient="row")


def trades_of(*rows: tuple[float, float, float]) -> pl.DataFrame:
    schema = {"event_time": TIME, "available_at": TIME, "is_observed": pl.Boolean, "price": pl.Float64, "size": pl.Float64}
    return pl.DataFrame([(START + at * SECOND, START + (at + 0.5) * SECOND, True, *row) for at, *row in rows], schema=schema, orient="row")


def whole(*stretches: tuple[float, float]) -> pl.DataFrame:
    rows = [(START + first * SECOND, START + end * SECOND) for first, end in stretches]
    return pl.DataFrame(rows, schema={"from_time": TIME, "to_time": TIME}, orient="row")


def ticks_made(quotes: pl.DataFrame, trades: pl.DataFrame, tape: pl.DataFrame, first: int = 0, end: int = 3) -> pl.DataFrame:
    return tick_minutes(trades, quotes, tape, START + first * MINUTE, START + end * MINUTE, timedelta(seconds=2))


def test_a_minute_of_quotes_is_weighted_by_how_long_they_stood() -> None:
    quotes = quotes_of((0, 99, 4, 101, 2), (30, 99.5, 4, 100.5, 4), (90, 99.5, 6, 100.5, 2))
    found = ticks_made(quotes, trades_of((30, 101, 3), (100, 100.2, 1), (100, 99.6, 3)), whole((0, 180)))
    assert found["quoted_spread_bps"].to_list() == pytest.approx([150, 100, 100])
    assert found["book_depth"].to_list() == pytest.approx([3.5, 4, 4])
    assert found["depth_imbalance_close"].to_list() == pytest.approx([0, 0.5, 0.5])
    # At 30 s the bid rises: its new size was gained; the ask falls: its new size came. At 90 s 2 more bid, and 2 fewer offered.
    assert found["book_flow"].to_list() == pytest.approx([4 - 4, 2 + 2, 0])
    # The trade at 30 s goes by the quote before it, not by that of its own moment.
    assert found["effective_spread_bps"].to_list() == pytest.approx([200, (2 * 0.2 + 3 * 2 * 0.4) / 4 * 100, None])
    assert found["quote_count"].to_list() == [2, 1, 0]


def test_when_a_minute_of_ticks_could_be_used() -> None:
    quotes = quotes_of((0, 99, 4, 101, 2), (59.99, 99, 4, 101, 2))
    modelled = trades_of((70, 100, 1)).with_columns(pl.lit(value=False).alias("is_observed"))
    found = ticks_made(quotes, modelled, whole((0, 180)))
    assert found["available_at"].to_list() == [
        START + timedelta(seconds=60.01),
        START + timedelta(seconds=120),
        START + timedelta(seconds=182),
    ]
    assert found["is_observed"].to_list() == [True, False, False]


def test_a_quote_stands_for_ten_minutes() -> None:
    found = ticks_made(quotes_of((30, 99, 4, 101, 2)), trades_of((629, 100, 1), (631, 100, 1)), whole((0, 1200)), end=13)
    assert found["quoted_spread_bps"].to_list() == pytest.approx([200] * 11 + [None] * 2)
    assert found["effective_spread_bps"].to_list() == [None] * 10 + [0] + [None] * 2


def test_over_a_hole_in_the_tape_no_quote_stands() -> None:
    quotes = quotes_of((0, 99, 4, 101, 2), (190, 99, 4, 101, 2))
    found = ticks_made(quotes, trades_of((185, 100, 1), (195, 100, 1)), whole((0, 120), (180, 300)), end=5)
    assert found["quoted_spread_bps"].to_list() == pytest.approx([200, 200, None, 200, 200])
    assert found["book_flow"].to_list() == [0, 0, None, 0, 0]
    # Between 180 s and 190 s nothing stands yet.
    assert found["effective_spread_bps"].to_list() == [None, None, None, 0, None]


@pytest.mark.parametrize("bad", [(None, None, 101, 2), (99, 4, None, None), (102, 4, 101, 2), (0, 4, 101, 2)])
def test_a_quote_that_lacks_a_side_or_is_crossed_stands_for_nothing(bad: tuple[Any, ...]) -> None:
    found = ticks_made(quotes_of((0, 99, 4, 101, 2), (15, *bad), (45, 99, 4, 101, 2), (60, *bad)), trades_of((20, 100, 1)), whole((0, 180)))
    assert found["quoted_spread_bps"].to_list() == pytest.approx([200, None, None])
    assert found["book_depth"].to_list() == pytest.approx([3, None, None])
    assert found["effective_spread_bps"].to_list() == [None, None, None]
    assert found["depth_imbalance_close"].to_list() == pytest.approx([2 / 6, None, None])


def test_locked_quotes_and_quotes_of_no_size_have_values() -> None:
    found = ticks_made(quotes_of((0, 100, 0, 100, 0)), trades_of(), whole((0, 180)))
    assert found["quoted_spread_bps"].to_list() == [0, 0, 0]
    assert found["depth_imbalance_close"].to_list() == [None] * 3


def test_without_ticks_there_is_a_row_that_says_nothing() -> None:
    found = ticks_made(quotes_of(), trades_of(), whole())
    assert found.select(TICK_INPUTS).null_count().row(0) == (3,) * len(TICK_INPUTS)
    assert found["quote_count"].to_list() == [0, 0, 0]


def test_a_window_of_ticks_and_the_whole_day_agree_to_the_bit() -> None:
    rng = np.random.default_rng(3)
    at = np.sort(rng.uniform(0, 1800, 5000)).round(6)
    bids = 100 + rng.normal(0, 0.1, 5000)
    asks = bids + rng.choice([-0.01, 0.0, 0.02, 0.07], 5000, p=[0.01, 0.04, 0.5, 0.45])
    rows = zip(at.tolist(), bids.tolist(), rng.exponential(3, 5000).tolist(), asks.tolist(), rng.exponential(3, 5000).tolist(), strict=True)
    quotes = quotes_of(*rows)
    trades = trades_of(
        *zip(
            np.sort(rng.uniform(0, 1800, 900)).tolist(),
            (100 + rng.normal(0, 0.1, 900)).tolist(),
            rng.exponential(1, 900).tolist(),
            strict=True,
        )
    )
    tape = whole((0, 700), (760, 1800))
    day = ticks_made(quotes, trades, tape, 0, 30)
    for first, end in [(0, 1), (3, 9), (11, 14), (29, 30)]:
        before = quotes.filter(pl.col("event_time") < START + first * MINUTE).tail(1)
        window = quotes.filter(pl.col("event_time").is_between(START + first * MINUTE, START + end * MINUTE, closed="left"))
        inside = trades.filter(pl.col("event_time").is_between(START + first * MINUTE, START + end * MINUTE, closed="left"))
        assert_frame_equal(ticks_made(pl.concat([before, window]), inside, tape, first, end), day[first:end], check_exact=True)
