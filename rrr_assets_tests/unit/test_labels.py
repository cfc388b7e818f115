"""Labels against the rule said plainly, and no row is trained on that knows of the test."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.asof import TTL
from rrr_assets.calc.features.compute import CARRIED, MINUTE
from rrr_assets.calc.features.labels import FutureReturn, TripleBarrier, split, with_labels
from rrr_assets.calc.features.spec import BarrierLabel, HeldOut, ReturnLabel, TrainingSpec

START = datetime(2025, 3, 3, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")


def laid(closes: list[float | None], instrument: str = "a:B", spread: float = 0.0) -> pl.DataFrame:
    rows = [
        (
            instrument,
            START + n * MINUTE,
            close,
            None if close is None else close * (1 + spread),
            None if close is None else close * (1 - spread),
        )
        for n, close in enumerate(closes)
    ]
    schema = {"instrument": pl.String, "bar_start": TIME, **dict.fromkeys(("close", "high", "low"), pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def labels(frame: pl.DataFrame, label: Any) -> list[float | None]:
    return with_labels(frame, label)[label.name].to_list()


def test_a_future_return_is_that_of_its_horizon() -> None:
    label = FutureReturn(2 * MINUTE)
    found = with_labels(laid([100, 101, 110, None, 121]), label)
    assert found["return_after_2m"].to_list() == [pytest.approx(0.1), None, pytest.approx(0.1), None, None]
    assert found["return_after_2m_end"].to_list() == [START + 3 * MINUTE, None, START + 5 * MINUTE, None, None]
    assert found["moment"].to_list() == [START + (n + 1) * MINUTE for n in range(5)]


def test_labels_look_at_no_other_instrument() -> None:
    both = pl.concat([laid([100, 101]), laid([500, 600], "a:C")])
    assert labels(both, FutureReturn(MINUTE)) == [pytest.approx(0.01), None, pytest.approx(0.2), None]


@pytest.mark.parametrize(
    ("closes", "expected"),
    [
        ([100, 100.2, 101.1, 90], 1),
        ([100, 99.8, 98.9, 120], -1),
        ([100, 100.5, 99.5, 100], 0),
        ([100, None, 101.1, 100], None),
        ([100, 101.1, None, None], 1),
        ([None, 101, 102, 103], None),
    ],
)
def test_the_first_barrier_that_is_touched_counts(closes: list[float | None], expected: float | None) -> None:
    assert labels(laid(closes), TripleBarrier(3 * MINUTE, 100, 100))[0] == expected


def test_where_both_are_touched_in_a_minute_nobody_knows() -> None:
    frame = laid([100, 100, 100, 100]).with_columns(
        pl.Series("high", [100.0, 102.0, 100.0, 100.0]), pl.Series("low", [100.0, 98.0, 100.0, 100.0])
    )
    assert labels(frame, TripleBarrier(3 * MINUTE, 100, 100))[0] is None


def test_a_barrier_is_known_when_it_is_touched() -> None:
    label = TripleBarrier(5 * MINUTE, 100, 50)
    assert label.name == "barrier_5m_100_50"
    found = with_labels(laid([100, 100, 101.5, 100, 100, 100, 100]), label)
    assert found["barrier_5m_100_50"][0] == 1
    assert found["barrier_5m_100_50_end"][0] == START + 3 * MINUTE


def test_barriers_are_what_a_walk_finds() -> None:
    rng = np.random.default_rng(4)
    closes = (100 * np.exp(np.cumsum(rng.normal(0, 1e-3, 300)))).tolist()
    frame = laid(closes, spread=2e-4)
    label = TripleBarrier(30 * MINUTE, 30, 40)
    found = labels(frame, label)
    highs, lows = frame["high"].to_list(), frame["low"].to_list()
    for at in range(270):
        expected = 0.0
        for ahead in range(at + 1, at + 31):
            if highs[ahead] >= closes[at] * (1 + 30 / 10_000):
                expected = 1.0
            elif lows[ahead] <= closes[at] * (1 - 40 / 10_000):
                expected = -1.0
            if expected:
                break
        assert found[at] == expected, at
    # The last ones have no window: unless it ended before the tape does, nothing is known.
    assert found[-1] is None


def test_no_row_is_trained_on_that_knows_of_the_test() -> None:
    moments = [START + n * MINUTE for n in range(100)]
    rows = pl.DataFrame({"moment": moments, "l_end": [at + 10 * MINUTE for at in moments]}, schema={"moment": TIME, "l_end": TIME})
    test_from, test_until = START + 50 * MINUTE, START + 70 * MINUTE
    found = split(rows, ["l_end"], test_from, test_until, 10 * MINUTE, 5 * MINUTE)
    by_split = {name: [at for at, told in found.select("moment", "split").rows() if told == name] for name in found["split"].unique()}
    assert by_split == {
        "train": [START + n * MINUTE for n in [*range(40), *range(85, 100)]],
        "purged": [START + n * MINUTE for n in [*range(40, 50), *range(70, 80)]],
        "test": [START + n * MINUTE for n in range(50, 70)],
        "embargoed": [START + n * MINUTE for n in range(80, 85)],
    }


def test_a_label_that_is_null_keeps_its_row_apart_by_its_moment_alone() -> None:
    rows = pl.DataFrame({"moment": [START, START + MINUTE], "l_end": [None, None]}, schema={"moment": TIME, "l_end": TIME})
    found = split(rows, ["l_end"], START + MINUTE, START + 2 * MINUTE, timedelta(0), timedelta(0))
    assert found["split"].to_list() == ["train", "test"]


LABELS = st.one_of(
    st.builds(ReturnLabel, kind=st.just("return"), minutes=st.integers(1, 60)),
    st.builds(
        BarrierLabel, kind=st.just("triple_barrier"), minutes=st.integers(1, 60), up_bps=st.integers(1, 60), down_bps=st.integers(1, 60)
    ),
)


@settings(max_examples=40)
@given(
    labels=st.lists(LABELS, max_size=3, unique_by=lambda each: each.label().name),
    features=st.sets(st.sampled_from(["return_1m", "sma_20", "rsi_14", "macd_signal"]), min_size=1),
    every=st.integers(1, 20),
    first=st.integers(0, 400),
    length=st.integers(1, 200),
    embargo=st.none() | st.integers(0, 300),
    seed=st.integers(0, 5),
)
def test_nothing_that_is_trained_on_shares_time_with_what_is_tested_on(
    labels: list[ReturnLabel | BarrierLabel], features: set[str], every: int, first: int, length: int, embargo: int | None, seed: int
) -> None:
    """Minute by minute: the minutes that a row's labels look at, and those that its features look back at."""
    count = 1000
    end = START + count * MINUTE
    spec = TrainingSpec(
        name="p", instruments=["*"], start=START, end=end, every_minutes=every, features=sorted(features), labels=labels,
        test=HeldOut(start=START + first * MINUTE, end=START + (first + length) * MINUTE, embargo_minutes=embargo),
    )  # fmt: skip
    assert spec.test is not None
    laid = laid_of(count + 70, seed)
    rows = pl.DataFrame({"moment": [START + n * MINUTE for n in range(0, count, every)]}, schema={"moment": TIME})
    for each in labels:
        rows = rows.join(with_labels(laid, each.label()).drop("instrument"), on="moment", how="left", maintain_order="left")
    ends = [f"{each.label().name}_end" for each in labels]
    found = split(rows, ends, spec.test.start, spec.test.end, spec.horizon, spec.embargo)
    moments = found["moment"].to_list()
    known = found.select(pl.max_horizontal("moment", *ends))["moment"].to_list()
    told = found["split"].to_list()
    # A label's minutes begin with its moment and end with the one that ends when it is known.
    tested = {n for at, over, part in zip(moments, known, told, strict=True) if part == "test" for n in span(at, over)}
    last = max((over for over, part in zip(known, told, strict=True) if part == "test"), default=spec.test.start)
    look = max(FEATURES[name].bars for name in features)
    for at, over, part in zip(moments, known, told, strict=True):
        assert (part == "test") == (spec.test.start <= at < spec.test.end)
        if part != "train":
            continue
        assert tested.isdisjoint(span(at, over))
        if at >= spec.test.end:
            assert at >= last + spec.embargo
            if embargo is None:
                # Of the oldest row that the moment may see, with a close that is carried into it.
                assert tested.isdisjoint(span(at - TTL - (look + CARRIED) * MINUTE, at))
    if embargo is None:
        assert spec.embargo >= (look + CARRIED) * MINUTE + TTL
    # Nothing is left out that is far away from the test.
    far = timedelta(minutes=61) + spec.embargo
    assert all(part == "train" for at, part in zip(moments, told, strict=True) if at < spec.test.start - far or at > spec.test.end + far)


def span(since: datetime, until: datetime) -> range:
    return range((since - START) // MINUTE, (until - START) // MINUTE)


@cache
def laid_of(count: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    closes = (100 * np.exp(np.cumsum(rng.normal(0, 1e-3, count)))).tolist()
    # Some minutes are unknown: labels that look at them are null.
    return laid([None if n % 97 == 96 else close for n, close in enumerate(closes)], spread=2e-4)


def test_without_an_embargo_it_is_as_long_as_features_look_back() -> None:
    asked = {"name": "a", "instruments": ["*"], "start": START, "end": START + timedelta(days=2), "features": ["sma_20", "macd_signal"]}
    part = {"start": START + timedelta(days=1), "end": START + timedelta(days=2)}
    bars = FEATURES["macd_signal"].bars
    assert TrainingSpec.model_validate(asked | {"test": part}).embargo == (bars + CARRIED) * MINUTE + TTL
    assert TrainingSpec.model_validate(asked | {"test": part | {"embargo_minutes": 7}}).embargo == 7 * MINUTE
    assert TrainingSpec.model_validate(asked).embargo == timedelta(0)
