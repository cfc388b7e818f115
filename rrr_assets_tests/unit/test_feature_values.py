"""Features against exact arithmetic, and of bad markets: a value, or none where the definition says so, never an infinity."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.compute import CARRIED, MINUTE, evaluate, look_back, minutes
from rrr_assets.calc.features.declare import BAR_INPUTS, INPUTS, TICK_INPUTS
from rrr_assets.calc.features.ticks import QUOTE_COLUMNS, TRADE_COLUMNS, tick_minutes

START = datetime(2025, 3, 3, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
N = look_back() + 1
PRICES = ("open", "high", "low", "close")
OF_BARS = [name for name in FEATURES if not set(FEATURES[name].columns) & set(TICK_INPUTS)]
Column = npt.NDArray[np.float64]
Columns = dict[str, Column]


def market(seed: int = 1, price: float = 100.0, step: float = 1e-3, size: float = 10.0, n: int = N) -> Columns:
    """What minutes are made of, of a market around a price that moves by so much a minute, and trades so much."""
    rng = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(rng.normal(0, step, n)))
    opened = close * np.exp(rng.normal(0, step / 3, n))
    volume = rng.exponential(size, n)
    return {
        "open": opened,
        "high": np.maximum(opened, close) * np.exp(rng.exponential(step / 5, n)),
        "low": np.minimum(opened, close) * np.exp(-rng.exponential(step / 5, n)),
        "close": close,
        "volume": volume,
        "quote_volume": volume * close,
        "trade_count": np.round(rng.exponential(9, n)) + 1,
        "taker_buy_volume": volume * rng.random(n),
        "taker_buy_quote_volume": volume * close * rng.random(n),
        "quoted_spread_bps": rng.exponential(2, n),
        "effective_spread_bps": rng.exponential(2, n),
        "depth_imbalance_close": rng.uniform(-1, 1, n),
        "book_flow": rng.normal(0, size, n),
        "book_depth": rng.exponential(size, n) + size / 10,
        "minute_of_week": np.arange(n, dtype=np.float64) % 10_080,
    }


def untraded(columns: Columns, quiet: npt.NDArray[np.bool_]) -> Columns:
    """The same where nothing was traded in some minutes: they open and close at the close before."""
    made = dict(columns)
    close = made["close"].copy()
    for at in range(1, len(close)):
        if quiet[at]:
            close[at] = close[at - 1]
    for name in BAR_INPUTS:
        made[name] = np.where(quiet, close if name in PRICES else 0.0, columns[name])
    made["close"] = close
    return made


def values(columns: Mapping[str, Any], names: Sequence[str] = tuple(FEATURES)) -> dict[str, float | None]:
    """The features of the last minute."""
    n = len(columns["close"])
    key = {"instrument": ["a:B"] * n, "bar_start": [START + k * MINUTE for k in range(n)], "is_known": [True] * n}
    frame = pl.DataFrame(key | dict(columns), schema_overrides={"bar_start": TIME, **dict.fromkeys(INPUTS, pl.Float64)})
    return evaluate(frame, names, since=START + (n - 1) * MINUTE).select(names).row(0, named=True)


# --- exact arithmetic ---------------------------------------------------------------------------------------------

Numbers = list[Fraction]


def decimal(number: Fraction) -> Decimal:
    return Decimal(number.numerator) / Decimal(number.denominator)


def root(number: Fraction) -> Fraction:
    return Fraction(decimal(number).sqrt())


def ln(number: Fraction) -> Fraction:
    return Fraction(decimal(number).ln())


def mean(numbers: Numbers) -> Fraction:
    return sum(numbers, Fraction(0)) / len(numbers)


def moment(one: Numbers, other: Numbers) -> Fraction:
    a, b = mean(one), mean(other)
    return sum(((x - a) * (y - b) for x, y in zip(one, other, strict=True)), Fraction(0))


def ema(numbers: Numbers, alpha: Fraction) -> Fraction:
    found = numbers[0]
    for each in numbers[1:]:
        found += alpha * (each - found)
    return found


def wilder(numbers: Numbers, period: int) -> Fraction:
    found = mean(numbers[:period])
    for each in numbers[period:]:
        found = (found * (period - 1) + each) / period
    return found


def over(numerator: Fraction, denominator: Fraction) -> Fraction | None:
    return numerator / denominator if denominator else None


def exact(columns: Columns) -> dict[str, tuple[Fraction | None, Fraction | int]]:
    """Each feature of the last minute in fractions (logarithms and roots to 60 digits), and the size of what it is a difference of."""
    x = {name: [Fraction(value) for value in column.tolist()] for name, column in columns.items()}
    close, volume = x["close"], x["volume"]
    signed = [2 * bought - all_ for bought, all_ in zip(x["taker_buy_volume"], volume, strict=True)]
    moved = [b - a for a, b in pairwise(close)]
    logs = [ln(b / a) for a, b in zip(close[-61:-1], close[-60:], strict=True)]
    ranges = [ln(h / low) for h, low in zip(x["high"][-60:], x["low"][-60:], strict=True)]
    bodies = [ln(c / o) for c, o in zip(close[-60:], x["open"][-60:], strict=True)]
    true_ranges = [max(h - low, abs(h - c), abs(low - c)) for h, low, c in zip(x["high"][1:], x["low"][1:], close[:-1], strict=True)]
    deviation = root(moment(close[-20:], close[-20:]) / 20)
    middle, price = mean(close[-20:]), max(close)
    upper, lower = middle + 2 * deviation, middle - 2 * deviation
    fast = [ema(close[: len(close) - k][-60:], Fraction(2, 13)) for k in reversed(range(45))]
    slow = [ema(close[: len(close) - k][-130:], Fraction(2, 27)) for k in reversed(range(45))]
    macds = [a - b for a, b in zip(fast, slow, strict=True)]
    gained, lost = wilder([max(each, 0) for each in moved[-140:]], 14), wilder([max(-each, 0) for each in moved[-140:]], 14)
    before = volume[-61:-1]
    traded = [abs(log) * 1_000_000 / spent for log, spent in zip(logs, x["quote_volume"][-60:], strict=True) if spent]
    vwap = sum(x["quote_volume"][-60:]) / sum(volume[-60:])
    two = 2 * ln(Fraction(2))
    return {
        "return_1m": (close[-1] / close[-2] - 1, 1),
        "return_5m": (close[-1] / close[-6] - 1, 1),
        "return_1h": (close[-1] / close[-61] - 1, 1),
        "log_return_1m": (logs[-1], 1),
        "log_return_5m": (ln(close[-1] / close[-6]), 1),
        "log_return_1h": (ln(close[-1] / close[-61]), 1),
        "sma_20": (middle, 0),
        "ema_12": (fast[-1], 0),
        "ema_26": (slow[-1], 0),
        "macd": (macds[-1], price),
        "macd_signal": (ema(macds, Fraction(2, 10)), price),
        "rsi_14": (100 * gained / (gained + lost), 0),
        "bollinger_upper": (upper, price),
        "bollinger_lower": (lower, price),
        "bollinger_percent_b": ((close[-1] - lower) / (upper - lower), price / (upper - lower)),
        "vwap_deviation_1h": ((close[-1] / vwap - 1) * 10_000, 10_000),
        "atr_14": (wilder(true_ranges[-140:], 14), price),
        "realised_volatility_1h": (root(sum(each * each for each in logs)), 1),
        "parkinson_volatility_1h": (root(mean([each * each for each in ranges]) / (2 * two)), 1),
        "garman_klass_volatility_1h": (
            root(mean([a * a / 2 - (two - 1) * b * b for a, b in zip(ranges, bodies, strict=True)])), 1,
        ),
        "volume_zscore_1h": ((volume[-1] - mean(before)) / root(moment(before, before) / 59), 1),
        "trade_rate_5m": (sum(x["trade_count"][-5:]) / 300, 0),
        "trade_imbalance_5m": (over(sum(signed[-5:], Fraction(0)), sum(volume[-5:], Fraction(0))), 1),
        "vpin_50": (sum(abs(each) for each in signed[-50:]) / sum(volume[-50:]), 0),
        "kyle_lambda_1h": (
            moment(signed[-60:], moved[-60:]) / moment(signed[-60:], signed[-60:]),
            root(moment(moved[-60:], moved[-60:]) / moment(signed[-60:], signed[-60:])),
        ),
        "amihud_illiquidity_1h": (mean(traded), 1_000_000 / min(spent for spent in x["quote_volume"][-60:] if spent)),
        "quoted_spread": (x["quoted_spread_bps"][-1], 0),
        "quoted_spread_5m": (mean(x["quoted_spread_bps"][-5:]), 0),
        "effective_spread": (x["effective_spread_bps"][-1], 0),
        "depth_imbalance": (x["depth_imbalance_close"][-1], 0),
        "order_flow_imbalance_5m": (
            sum(x["book_flow"][-5:]) / mean(x["book_depth"][-5:]), sum(map(abs, x["book_flow"][-5:])) / mean(x["book_depth"][-5:]),
        ),
        "hour_of_week": (Fraction(int(x["minute_of_week"][-1]) // 60), 0),
    }  # fmt: skip


RELATIVE = 1e-12
"""Of a value, and of the size of what it is a difference of."""

MARKETS: dict[str, Callable[[int], Columns]] = {
    "ordinary": market,
    "a price of 1e-8": lambda seed: market(seed, price=1e-8, size=1e9),
    "a price of 1e-18": lambda seed: market(seed, price=1e-18, size=1e15),
    "a price of 1e15": lambda seed: market(seed, price=1e15, size=1e-9),
    "wild": lambda seed: market(seed, step=1.0),
    "hardly moving": lambda seed: market(seed, price=40_000, step=1e-7),
    "hardly traded": lambda seed: untraded(market(seed), np.random.default_rng(seed).random(N) < 0.8),
    "one trade in an hour": lambda seed: untraded(market(seed), np.arange(N) % 60 != N % 60 - 1),
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", MARKETS)
def test_every_feature_is_its_formula_in_exact_arithmetic(kind: str, seed: int) -> None:
    columns = MARKETS[kind](seed)
    found = values(columns)
    with localcontext(prec=60):
        known = exact(columns)
    assert set(known) == set(FEATURES)
    for name, (value, size) in known.items():
        given = found[name]
        if value is None or given is None:
            assert (given, value) == (None, None), name
            continue
        assert abs(Fraction(given) - value) <= RELATIVE * (abs(value) + size), (name, given, float(value))


# --- when there is none -------------------------------------------------------------------------------------------


def with_last(columns: Columns, count: int, **given: float) -> Columns:
    """The same with other values in the last minutes."""
    made = {name: column.copy() for name, column in columns.items()}
    for name, value in given.items():
        made[name][-count:] = value
    return made


def still(columns: Columns, count: int) -> Columns:
    return with_last(columns, count, **dict.fromkeys(PRICES, 100.1))


def quiet(columns: Columns, count: int) -> Columns:
    traded = [name for name in BAR_INPUTS if name not in PRICES]
    return with_last(columns, count, **dict.fromkeys(traded, 0.0))


# By feature: what its definition says of when there is none, minutes made to be of that kind, and how many of them it takes.
NONE_WHEN: dict[str, tuple[str, Callable[[Columns, int], Columns], int]] = {
    "rsi_14": ("no close of the window differs from the one before", still, 141),
    "bollinger_percent_b": ("the bands are one", still, 20),
    "vwap_deviation_1h": ("nothing was traded in the window", quiet, 60),
    "volume_zscore_1h": ("the 60 minutes before are all equal", lambda given, count: with_last(given, count, volume=7.1), 61),
    "trade_imbalance_5m": ("nothing was traded in the window", quiet, 5),
    "vpin_50": ("nothing was traded in the window", quiet, 50),
    "kyle_lambda_1h": (
        "bought less sold is the same in all minutes of the window",
        lambda given, count: with_last(given, count, volume=0.3, taker_buy_volume=0.2),
        60,
    ),
    "amihud_illiquidity_1h": ("nothing was traded in the window", quiet, 60),
}


def test_each_feature_says_when_there_is_none() -> None:
    told = {name: feature.null_when for name, feature in FEATURES.items() if feature.kind != "book" and feature.null_when != "never"}
    assert told == {name: said for name, (said, _, _) in NONE_WHEN.items()}
    # Of quotes: below, from quotes.
    assert all(feature.null_when != "never" for feature in FEATURES.values() if feature.kind == "book")


@pytest.mark.parametrize("name", NONE_WHEN)
def test_there_is_none_when_it_is_said_and_not_before(name: str) -> None:
    _, made, count = NONE_WHEN[name]
    assert values(made(market(), count), [name]) == {name: None}
    found = values(made(market(), count - 1), [name])[name]
    assert found is not None
    assert math.isfinite(found)


@pytest.mark.parametrize("kind", MARKETS)
def test_where_none_is_never_said_there_is_one(kind: str) -> None:
    for columns in (MARKETS[kind](5), still(MARKETS[kind](6), N), quiet(MARKETS[kind](7), N)):
        found = values(columns, OF_BARS)
        assert {name for name, value in found.items() if value is None} <= set(NONE_WHEN)
        assert all(math.isfinite(value) for value in found.values() if value is not None)


def test_what_only_rises_has_an_index_of_100_and_what_only_falls_of_0() -> None:
    """Not of a hundred and the last digit."""
    drawn = np.random.default_rng(2)
    for _ in range(30):
        up = 50 + np.cumsum(drawn.exponential(1, N))
        for close, wanted in ((up, 100.0), (up[::-1].copy(), 0.0)):
            assert values({**market(), **dict.fromkeys(PRICES, close)}, ["rsi_14"]) == {"rsi_14": wanted}


@pytest.mark.parametrize("kind", MARKETS)
def test_shares_and_indices_stay_within_their_bounds(kind: str) -> None:
    bounds = {"rsi_14": (0, 100), "vpin_50": (0, 1), "trade_imbalance_5m": (-1, 1)}
    for seed in range(5):
        given = MARKETS[kind](seed)
        for share in (given["taker_buy_volume"], given["volume"], 0 * given["volume"]):
            found = values({**given, "taker_buy_volume": share}, list(bounds))
            for name, (low, high) in bounds.items():
                value = found[name]
                assert value is None or low <= value <= high, name


# --- minutes of which nothing is known ----------------------------------------------------------------------------


def of_known(known: Sequence[bool], *, traded: Sequence[bool] | None = None) -> dict[str, float | None]:
    """The features of the last of some minutes, of which some are known, and in some of these was traded."""
    columns, first = market(), N - len(known)
    is_traded = known if traded is None else traded
    rows = [
        {"instrument": "a:B", "bar_start": START + (first + n) * MINUTE, **{name: columns[name][first + n] for name in BAR_INPUTS}}
        for n, has in enumerate(is_traded) if has
    ]  # fmt: skip
    schema = {"instrument": pl.String, "bar_start": TIME}
    bars = pl.DataFrame(rows, schema=schema | dict.fromkeys(BAR_INPUTS, pl.Float64), orient="row")
    tape = [("a:B", START + (first + n) * MINUTE, START + (first + n + 1) * MINUTE) for n, is_ in enumerate(known) if is_]
    joined = pl.DataFrame(tape, schema={"instrument": pl.String, "from_time": TIME, "to_time": TIME}, orient="row")
    # Stretches that touch are one, as the database gives them.
    starts = (joined["from_time"] != joined["to_time"].shift(1)).fill_null(value=True).cum_sum().alias("stretch")
    whole = joined.group_by("instrument", starts, maintain_order=True).agg(pl.col("from_time").min(), pl.col("to_time").max())
    ticks = pl.DataFrame(schema=schema | dict.fromkeys(TICK_INPUTS, pl.Float64))
    laid = minutes(bars, ticks, whole.drop("stretch"), ["a:B"], START, START + N * MINUTE)
    return evaluate(laid, since=START + (N - 1) * MINUTE).select(*FEATURES).row(0, named=True)


@pytest.mark.parametrize("count", [1, 2, 10, 60, 173, 174])
def test_so_many_minutes_of_history_give_the_features_that_look_back_no_further(count: int) -> None:
    """Listed so long ago, or after a gap that long ago, over which only returns reach: they are made from their two ends alone."""
    found = of_known([True] * count)
    assert {name for name, value in found.items() if value is not None} == {name for name in OF_BARS if FEATURES[name].bars <= count}
    gap = of_known([True] * (N - count - 1) + [False] + [True] * count)
    over_gap = {name for name in OF_BARS if "return_" in name and FEATURES[name].bars > count + 1}
    assert all(gap[name] is not None for name in over_gap)
    assert {name: gap[name] for name in OF_BARS if name not in over_gap} == {name: found[name] for name in OF_BARS if name not in over_gap}


def test_after_the_last_trade_values_stand_for_an_hour_and_then_there_are_none() -> None:
    """Delisted, or of one trade a day: nothing is known of a price that was so long ago; that nothing was traded is."""
    for after, has_price in ((CARRIED, True), (CARRIED + 1, False)):
        traded = [n < N - after for n in range(N)]
        found = of_known([True] * N, traded=traded)
        assert (found["return_1m"], found["sma_20"] is not None) == ((0.0, True) if has_price else (None, False))
        assert found["trade_rate_5m"] == 0.0
        assert found["trade_imbalance_5m"] is None
        assert found["hour_of_week"] is not None
    gone = of_known([n < N - 1 for n in range(N)])
    assert set(gone.values()) == {None, gone["hour_of_week"]}


# --- quotes -------------------------------------------------------------------------------------------------------

Quote = tuple[float, float | None, float | None, float | None, float | None]
Trade = tuple[float, float, float]
BOOK = [name for name in FEATURES if FEATURES[name].kind == "book"]


def of_quotes(quotes: Sequence[Quote], trades: Sequence[Trade] = (), *, whole: bool = True) -> dict[str, float | None]:
    """Features of the fifth of five minutes, of quotes (seconds, bid, its size, ask, its size) and trades (seconds, price, size)."""
    time = {"event_time": TIME, "available_at": TIME, "is_observed": pl.Boolean}

    def frame(rows: Sequence[tuple[Any, ...]], columns: Sequence[str]) -> pl.DataFrame:
        told = [(START + timedelta(seconds=at), START + timedelta(seconds=at), True, *row) for at, *row in rows]
        return pl.DataFrame(told, schema=time | dict.fromkeys(columns[3:], pl.Float64), orient="row")

    ends = START + (9 if whole else 4) * MINUTE
    tape = pl.DataFrame({"from_time": [START - MINUTE], "to_time": [ends]}, schema=dict.fromkeys(("from_time", "to_time"), TIME))
    second = timedelta(seconds=1)
    made = tick_minutes(frame(trades, TRADE_COLUMNS), frame(quotes, QUOTE_COLUMNS), tape, START, START + 5 * MINUTE, second)
    columns = {**market(), **{name: np.full(N, np.nan) for name in TICK_INPUTS}}
    for name in TICK_INPUTS:
        columns[name][-5:] = made[name].cast(pl.Float64).to_numpy()
    for name in TICK_INPUTS:
        columns[name] = pl.Series(columns[name]).fill_nan(None)  # type: ignore[assignment]  # null and not NaN, as minutes are laid out
    return values(columns, BOOK)


MEANS = {"quoted_spread_5m", "order_flow_imbalance_5m"}
AT_THE_END = {"effective_spread", "depth_imbalance"}
GOOD: list[Quote] = [(0.0, 99.0, 4.0, 101.0, 2.0), (130.0, 99.5, 1.0, 100.5, 3.0)]
LAST = (250.0, 100.1, 1.0)


@pytest.mark.parametrize(
    ("quotes", "trades", "none"),
    [
        pytest.param(GOOD, [LAST], set(), id="good"),
        pytest.param(GOOD, [], {"effective_spread"}, id="no trade"),
        pytest.param([], [LAST], set(BOOK), id="no quote"),
        pytest.param([(249.0, 99.0, 4.0, 101.0, 2.0)], [LAST], MEANS, id="the first quote"),
        pytest.param([(250.0, 99.0, 4.0, 101.0, 2.0)], [LAST], {"effective_spread", *MEANS}, id="at once"),
        pytest.param([*GOOD, (241.0, None, None, 101.0, 2.0)], [LAST], AT_THE_END, id="one side at the end"),
        pytest.param([*GOOD, (241.0, 102.0, 1.0, 101.0, 2.0)], [LAST], AT_THE_END, id="crossed at the end"),
        pytest.param([*GOOD, (239.0, 102.0, 1.0, 101.0, 2.0)], [LAST], set(BOOK), id="crossed all the minute"),
        pytest.param([*GOOD, (241.0, 101.0, 1.0, 101.0, 1.0)], [LAST], set(), id="locked"),
        pytest.param([(0.0, 99.0, 0.0, 101.0, 0.0)], [LAST], {"depth_imbalance", "order_flow_imbalance_5m"}, id="sizes of nothing"),
        pytest.param([(0.0, 99.0, 0.0, 101.0, 2.0)], [LAST], set(), id="one size of nothing"),
        pytest.param([(0.0, 1e-18, 1e-18, 1e15, 1e18)], [LAST], set(), id="far apart"),
    ],
)  # fmt: skip
def test_features_of_quotes_have_none_where_it_is_said(quotes: list[Quote], trades: list[Trade], none: set[str]) -> None:
    found = of_quotes(quotes, trades)
    assert {name for name, value in found.items() if value is None} == none
    assert all(math.isfinite(value) for value in found.values() if value is not None)


def test_where_quotes_may_be_missing_only_trades_against_them_tell() -> None:
    assert set(of_quotes(GOOD, [LAST], whole=False).values()) == {None}
    # What came before the tape ended is known.
    found = of_quotes([*GOOD, (241.0, 99.0, 1.0, 101.0, 1.0)], [LAST], whole=False)
    assert {name for name, value in found.items() if value is not None} == {"effective_spread"}


@pytest.mark.parametrize("seed", range(12))
def test_of_any_quotes_and_trades_there_is_never_an_infinity(seed: int) -> None:
    drawn = np.random.default_rng(seed)

    def number() -> float | None:
        return [None, 0.0, 1e-18, 1e-12, 1.0, 100.0, 1e15, float(drawn.exponential(100))][drawn.integers(8)]

    quotes = [(float(at), number(), number(), number(), number()) for at in np.sort(drawn.uniform(0, 300, 60)).round(6)]
    trades = [(float(at), number() or 1.0, number() or 1e-18) for at in np.sort(drawn.uniform(0, 300, 40)).round(6)]
    assert all(math.isfinite(value) for value in of_quotes(quotes, trades).values() if value is not None)
