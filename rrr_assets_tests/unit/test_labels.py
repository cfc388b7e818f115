"""Labels against the rule said plainly, and no row is trained on that knows of the test."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from rrr_assets.calc.features.compute import MINUTE
from rrr_assets.calc.features.labels import FutureReturn, TripleBarrier, split, with_labels

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
    found = split(rows, ["l_end"], test_from, test_until, 5 * MINUTE)
    train = found.filter(pl.col("split") == "train")
    assert train.filter((pl.col("moment") < test_from) & (pl.col("l_end") >= test_from)).height == 0
    assert train.filter(pl.col("moment").is_between(test_from, test_until + 5 * MINUTE, closed="left")).height == 0
    assert found["split"].value_counts().sort("split").rows() == [("test", 20), ("train", 40 + 25)]
    assert set(moments) - set(found["moment"].to_list()) == {START + n * MINUTE for n in [*range(40, 50), *range(70, 75)]}


def test_a_label_that_is_null_keeps_its_row_apart_by_its_moment_alone() -> None:
    rows = pl.DataFrame({"moment": [START, START + MINUTE], "l_end": [None, None]}, schema={"moment": TIME, "l_end": TIME})
    found = split(rows, ["l_end"], START + MINUTE, START + 2 * MINUTE, timedelta(0))
    assert found["split"].to_list() == ["train", "test"]
