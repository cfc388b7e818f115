"""The picture of a feature shows what is there, and does not bridge what is not."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from rrr_assets import palette
from rrr_assets.calc.features import FEATURES
from rrr_assets.features.chart import feature_png

START = datetime(2025, 3, 3, 0, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NO_BARS = pa.table({"bar_start": pa.array([], pa.timestamp("us", "UTC")), "close": pa.array([], pa.float64())})


def picture(values: Mapping[int, float | None], bars: pa.Table = NO_BARS, as_known_at: datetime | None = None) -> np.ndarray:
    """Of minutes that have a row, by number."""
    rows = pa.table(
        {
            "instrument": ["a:B"] * len(values),
            "event_time": pa.array([START + n * MINUTE for n in values], pa.timestamp("us", "UTC")),
            "rsi_14": pa.array(list(values.values()), pa.float64()),
        }
    )
    return np.asarray(imread(io.BytesIO(feature_png(rows, FEATURES["rsi_14"], bars, as_known_at))))[:, :, :3]


def columns_of(image: np.ndarray, colour: str, least: int = 1) -> set[int]:
    """Where along the time there are so many pixels of a colour."""
    return set(np.flatnonzero((np.abs(image - np.array(to_rgb(colour))).max(axis=2) < 0.02).sum(axis=0) >= least))


def test_a_minute_without_a_row_and_one_without_a_value_break_the_line() -> None:
    whole = picture({n: 50.0 + n % 7 for n in range(101)})
    line = columns_of(whole, palette.BLUE)
    first, last = min(line), max(line)
    assert columns_of(whole, palette.NOTHING, 200).isdisjoint(range(first, last))
    for there in (
        {n: 50.0 + n % 7 for n in range(101) if not 40 <= n < 60},
        {n: None if 40 <= n < 60 else 50.0 + n % 7 for n in range(101)},
    ):
        image = picture(there)
        middle = set(range(first + (last - first) * 42 // 100, first + (last - first) * 58 // 100))
        assert columns_of(image, palette.BLUE).isdisjoint(middle)
        # A line of the grid may stand in it.
        assert len(middle - columns_of(image, palette.NOTHING, 200)) < 5
        assert abs(min(columns_of(image, palette.BLUE)) - first) < 9


def test_a_single_value_is_seen() -> None:
    assert len(columns_of(picture({n: 50.0 if n == 50 else None for n in range(101)}), palette.BLUE)) >= 2


def test_where_there_is_no_value_at_all_it_is_said() -> None:
    image = picture(dict.fromkeys(range(101)))
    assert not columns_of(image, palette.BLUE)
    height, width, _ = image.shape
    middle = image[height // 2 - 40 : height // 2 + 40, width // 4 : 3 * width // 4]
    assert (middle < 0.5).any()


def test_the_title_says_when_it_was_known() -> None:
    values = dict.fromkeys(range(10), 50.0)
    now, then = picture(values), picture(values, as_known_at=START)
    assert (now[:60] != then[:60]).any()
    assert (now[-60:] == then[-60:]).all()


def test_the_price_stands_above() -> None:
    bars = pa.table(
        {"bar_start": pa.array([START + n * MINUTE for n in range(10)], pa.timestamp("us", "UTC")), "close": [100.0 + n for n in range(10)]}
    )
    image = picture({n: 50.0 + n for n in range(10)}, bars)
    half = image.shape[0] // 2
    assert columns_of(image[:half], palette.PALE)
    assert columns_of(image[half:], palette.BLUE)
