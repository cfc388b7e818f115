"""Pictures of bars: of every interval, readable however many there are, and pages that need no network."""

import io
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from rrr_assets import charts
from rrr_assets.charts import candles_html, candles_png
from rrr_assets.contracts.bars import BARS, INTERVALS

START = datetime(2024, 1, 2, tzinfo=UTC)
MINUTE = INTERVALS["1m"]
UP, DOWN = to_rgb(charts._UP), to_rgb(charts._DOWN)


def bars(rows: int, interval: str = "1m", skip: frozenset[int] = frozenset(), incomplete: frozenset[int] = frozenset()) -> pa.Table:
    """A walk that rises and falls, each bar with its own volume."""
    made = []
    for n in range(rows):
        if n in skip:
            continue
        opened, closed = (Decimal(round(1000 + 100 * np.sin(each / 20), 2)).quantize(Decimal("0.01")) for each in (n, n + 1))
        made.append(
            {
                "instrument": "x:Y",
                "bar_start": START + n * INTERVALS[interval],
                "open": opened,
                "high": max(opened, closed) + 1,
                "low": min(opened, closed) - 1,
                "close": closed,
                "volume": Decimal(n % 7 + 1),
                "trade_count": 1,
                "first_sequence": n,
                "last_sequence": n,
                "is_complete": n not in incomplete,
                "known_at": START,
                **dict.fromkeys(("quote_volume", "taker_buy_volume", "taker_buy_quote_volume"), Decimal(1)),
            }
        )
    return pa.Table.from_pylist(made, BARS[interval].arrow_schema())


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(imread(io.BytesIO(picture)))[:, :, :3]


def drawn_of(table: pa.Table) -> charts._Candles:
    return charts._candles(table, charts._axis(table, MINUTE), most=384)


def near(image: np.ndarray, colour: tuple[float, float, float]) -> np.ndarray:
    """Which pixels have a colour, pale ones and those at an edge not among them."""
    return np.abs(image - np.asarray(colour)).max(axis=2) < 0.1


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("rows", [1, 2, 300, 4000])
def test_candles_and_volumes_of_any_interval_are_seen(interval: str, rows: int) -> None:
    image = pixels(candles_png(bars(rows, interval), f"x:Y {interval}", INTERVALS[interval]))
    assert image.shape == (720, 1280, 3)
    drawn = near(image, UP) | near(image, DOWN)
    assert drawn[:520].sum() > 200, "the candles"
    # Volumes are drawn through: their colours are paler.
    coloured = image[560:].max(axis=2) - image[560:].min(axis=2) > 0.2
    assert coloured.sum() > 200, "the volumes, below them"
    if rows > 2:
        assert near(image, UP).any()
        assert near(image, DOWN).any()
        columns = np.flatnonzero(drawn.any(axis=0))
        assert columns[-1] - columns[0] > 1000, "over the whole width"


@pytest.mark.parametrize("rows", [300, 1440, 4000, 14_400])
def test_so_many_candles_are_drawn_as_there_is_room_for(rows: int) -> None:
    candles = drawn_of(bars(rows))
    assert 100 <= len(candles.starts) <= 384
    given = bars(rows)
    assert candles.columns["volume"].sum() == pytest.approx(float(sum(given["volume"].to_pylist())))
    assert candles.columns["high"].max() == pytest.approx(float(max(given["high"].to_pylist())))
    assert candles.columns["low"].min() == pytest.approx(float(min(given["low"].to_pylist())))
    assert candles.columns["open"][0] == pytest.approx(float(given["open"][0].as_py()))
    assert candles.columns["close"][-1] == pytest.approx(float(given["close"][-1].as_py()))
    assert (np.diff(candles.starts) > 0).all()


def test_a_candle_of_several_bars_is_whole_only_where_all_are() -> None:
    candles = drawn_of(bars(1440, incomplete=frozenset({7})))
    assert candles.at_once == 5
    assert candles.is_complete.tolist() == [number != 1 for number in range(288)]


def test_where_there_are_no_bars_there_is_a_gap() -> None:
    image = pixels(candles_png(bars(100, skip=frozenset(range(40, 60))), "x:Y", MINUTE))
    drawn = (near(image, UP) | near(image, DOWN))[:520].any(axis=0)
    columns = np.flatnonzero(drawn)
    middle = drawn[(columns[0] + columns[-1]) // 2 - 80 : (columns[0] + columns[-1]) // 2 + 80]
    assert not middle.any()


def test_a_bar_that_is_not_complete_looks_otherwise() -> None:
    whole, pale = (
        near(pixels(candles_png(bars(30, incomplete=chosen), "x:Y", MINUTE)), UP).sum() for chosen in (frozenset(), frozenset(range(30)))
    )
    assert pale < whole / 3


class Page(HTMLParser):
    """What a browser would fetch, and what the page holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.fetched: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self._inside.append(tag)
        # References within the page, as SVG's to its own parts, fetch nothing.
        self.fetched += [
            value or "" for name, value in attrs if name in {"src", "href", "xlink:href", "srcset"} and not (value or "").startswith("#")
        ]

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._inside[-1] if self._inside else "", []).append(data)


@pytest.mark.parametrize("interval", INTERVALS)
def test_a_page_needs_no_network(interval: str) -> None:
    text = candles_html(
        bars(600, interval, skip=frozenset({5}), incomplete=frozenset({9})), "x:Y </script> <b>$1$ & {x}", INTERVALS[interval]
    )
    assert "http:" not in text
    assert "https:" not in text
    page = Page(text)
    assert [each for each in page.fetched if not each.startswith("data:")] == []
    assert not re.search(r"@import|url\((?!#)", text)
    assert page.tags["svg"] == 1
    assert "b" not in page.tags
    assert "599 bars, 1 of them not complete" in text
    told = json.loads(next(each for each in page.texts["script"] if each.startswith("{")))
    assert len(told["bars"]) == 599
    assert told["bars"][0][2:] == ["1000", "1006", "999", "1005", "1", True]
    assert told["bars"][8][7] is False
    assert datetime.fromtimestamp(told["bars"][4][0] / 1000, UTC) == START + 4 * INTERVALS[interval]
    assert told["step"] == INTERVALS[interval].total_seconds() * 1000
    assert 0 < told["left"] < told["right"] < 1
    assert told["from"] < told["bars"][0][0] < told["bars"][-1][0] < told["until"]


def test_a_page_tells_exact_numbers_and_is_the_same_each_time() -> None:
    table = bars(3)
    field = table.schema.field("volume")
    volumes = pa.array([Decimal("0.1"), Decimal("12345678901234567890.000000000000000001"), Decimal(3)], field.type)
    exact = table.set_column(table.column_names.index("volume"), field, volumes)
    text = candles_html(exact, "x:Y", MINUTE)
    assert '"12345678901234567890.000000000000000001"' in text
    assert candles_html(exact, "x:Y", MINUTE) == text


def test_a_page_is_as_wide_as_its_bars_need() -> None:
    widths = [float(re.search(r'<svg[^>]* width="([0-9.]+)pt"', candles_html(bars(rows), "x:Y", MINUTE))[1]) for rows in (100, 3000)]  # type: ignore[index]  # it is there
    assert widths[0] == pytest.approx(1280 * 0.72)
    assert widths[1] > 5 * widths[0]


@pytest.mark.parametrize("interval", ["1h", "1d"])
def test_one_bar_is_as_wide_as_its_interval(interval: str) -> None:
    table = bars(1, interval)
    told = json.loads(next(each for each in Page(candles_html(table, "x:Y", INTERVALS[interval])).texts["script"] if each.startswith("{")))
    length = INTERVALS[interval].total_seconds() * 1000
    assert told["from"] < told["bars"][0][0] == START.timestamp() * 1000
    assert told["bars"][0][0] + length < told["until"] < told["bars"][0][0] + 2 * length


def test_bars_of_no_fixed_interval_stand_one_beside_the_other() -> None:
    """Hours or microseconds apart, of two days, two of them at the very same time: each is as wide as any other."""
    table = bars(6)
    times = [START, START, *(START + timedelta(**after) for after in ({"microseconds": 1}, {"hours": 2}, {"hours": 3}, {"days": 1}))]
    table = table.set_column(
        table.column_names.index("bar_start"), table.schema.field("bar_start"), pa.array(times, pa.timestamp("us", "UTC"))
    )
    axis = charts._axis(table, None)
    candles = charts._candles(table, axis, most=384)
    assert (candles.starts.tolist(), candles.interval, candles.at_once) == ([0, 1, 2, 3, 4, 5], 1, 1)
    several = charts._candles(table, axis, most=3)
    assert (several.starts.tolist(), several.at_once) == ([0, 2, 4], 2)
    drawn = near(pixels(candles_png(table, "x:Y tick-1", None)), UP)[:520].any(axis=0)
    assert np.diff(np.flatnonzero(drawn)).max() < 200
    text = candles_html(table, "x:Y tick-1", None)
    told = json.loads(next(each for each in Page(text).texts["script"] if each.startswith("{")))
    assert [bar[:2] for bar in told["bars"]] == [[n, at.timestamp() * 1000 // 1] for n, at in enumerate(times)]
    assert "01-03 00:00" in text


@pytest.mark.parametrize("draw", [candles_png, candles_html])
def test_no_bars_are_no_picture(draw: object) -> None:
    with pytest.raises(ValueError, match="no bars"):
        draw(bars(0), "nothing", MINUTE)  # type: ignore[operator]  # either function
