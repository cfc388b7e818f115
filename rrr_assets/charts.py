"""Pictures of bars: candlesticks with the volume below them, as PNG or as a page that needs nothing else.

Belongs here: drawing. Does not: reading bars, or any number that is kept; a pixel is a float and nothing is computed from it.
"""

import html
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.decimals import plain_texts
from rrr_assets.palette import GREEN, GRID, INK, PAPER, RED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_UP: Final = GREEN
_DOWN: Final = RED
_DPI: Final = 100
_SMALL: Final = (480, 240)
_LARGE: Final = (1280, 720)
_WIDEST_PAGE: Final = 12_000
# With fewer pixels, bodies are a smear: one candle is drawn for several bars.
_LEAST_PIXELS: Final = 3
# About a tenth of the width is taken by the axis.
_PLOTTED: Final = 0.9
_BODY: Final = 0.72
_DAY_US: Final = 86_400_000_000
_AT_ONCE: Final = (1, 2, 3, 5, 10, 15, 30, 60, 120, 240, 720, 1440, 2880, 7200, 14_400, 43_200)
_SHOWN: Final = ("open", "high", "low", "close", "volume")

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ margin: 16px; background: {paper}; color: {ink}; font: 14px system-ui, sans-serif }}
#scroll {{ overflow-x: auto; position: relative }} #bar {{ font-family: monospace; min-height: 1.5em }} svg {{ display: block }}
</style></head><body>
<strong>{title}</strong>
<div id="bar">{bars} bars, {incomplete} of them not complete. Point at a bar to read it.</div>
<div id="scroll">{picture}</div>
<script id="data" type="application/json">{data}</script>
<script>
const told = JSON.parse(document.getElementById("data").textContent), bars = told.bars;
const scroll = document.getElementById("scroll"), line = document.getElementById("bar"), picture = scroll.querySelector("svg");
scroll.scrollLeft = scroll.scrollWidth;
picture.addEventListener("mousemove", event => {{
  const box = picture.getBoundingClientRect(), at = (event.clientX - box.left) / box.width;
  const place = told.from + (at - told.left) / (told.right - told.left) * (told.until - told.from);
  let low = 0, high = bars.length;
  while (low < high) {{ const middle = (low + high) >> 1; if (bars[middle][0] <= place) low = middle + 1; else high = middle; }}
  const bar = bars[low - 1];
  if (!bar || place >= bar[0] + told.step) {{ line.textContent = "no bar"; return; }}
  line.textContent = new Date(bar[1]).toISOString().slice(0, told.characters).replace("T", " ") + " UTC   " +
    ["open", "high", "low", "close", "volume"].map((name, number) => name + " " + bar[number + 2]).join("   ") +
    (bar[7] ? "" : "   not complete");
}});
</script></body></html>
"""


@dataclass(frozen=True, slots=True)
class _Axis:
    """Where bars stand from left to right: on a grid of time, or one beside the other where they last for no fixed time.

    `places` and `step` are microseconds or numbers of bars, as integers; `unit` is what they are divided by to be drawn.
    """

    places: Any
    step: int
    unit: int
    starts_us: Any
    is_time: bool


@dataclass(frozen=True, slots=True)
class _Candles:
    """What is drawn: starts and interval in days or bars, prices and volumes as floats, and how many bars a candle stands for."""

    starts: Any
    interval: float
    columns: dict[str, Any]
    is_complete: Any
    at_once: int


def candles_png(bars: pa.Table, title: str, interval: timedelta | None, *, small: bool = False) -> bytes:
    """Draw bars as candlesticks with their volume below, over a UTC time axis on which a missing bar is a gap.

    Bars of no fixed interval stand one beside the other, and the axis tells when each began. A bar that is not complete is drawn pale
    and hatched. Where a bar would have less than three pixels, one candle stands for several bars, and the axis says for how many.

    Args:
        bars: In the contract of bars, of one instrument, ordered by bar_start; at least one.
        title: Stands above.
        interval: How long each lasts; None for bars by what was traded.
        small: 480 x 240 pixels with larger letters for the size and fewer marks, for a picture among others; else 1280 x 720.

    Raises:
        ValueError: there are no bars.
    """
    figure = _figure(bars, title, _axis(bars, interval), *(_SMALL if small else _LARGE), small=small)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI, metadata={"Software": None})
    return picture.getvalue()


def candles_html(bars: pa.Table, title: str, interval: timedelta | None) -> str:
    """Draw bars as `candles_png` does, as a page that needs no network: as wide as the bars need, and telling the bar that is pointed at.

    Args:
        bars: In the contract of bars, of one instrument, ordered by bar_start; at least one.
        title: Stands above.
        interval: How long each lasts; None for bars by what was traded.

    Raises:
        ValueError: there are no bars.
    """
    from matplotlib import rc_context

    axis = _axis(bars, interval)

    width = min(max(_LARGE[0], int(len(bars) * _LEAST_PIXELS / _PLOTTED) + 1), _WIDEST_PAGE)
    figure = _figure(bars, title, axis, width, _LARGE[1], small=False)
    picture = io.StringIO()
    # Letters stay letters, and the same bars give the same page.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "candles"}):
        figure.savefig(picture, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    # Inside a page, SVG needs neither the head of a document nor the addresses that name it.
    inline = re.sub(r' xmlns(:xlink)?="[^"]*"', "", picture.getvalue()[picture.getvalue().index("<svg") :])
    prices = figure.axes[0]
    place, (first, last) = prices.get_position(), prices.get_xlim()
    columns = [plain_texts(bars[name].combine_chunks()).to_pylist() for name in _SHOWN]
    # A page counts time in milliseconds.
    per_place = 1000 if axis.is_time else 1
    told = {
        "left": place.x0,
        "right": place.x1,
        "from": first * axis.unit / per_place,
        "until": last * axis.unit / per_place,
        "step": axis.step / per_place,
        "characters": len("2024-01-02T12:00") if axis.is_time else len("2024-01-02T12:00:00.000"),
        "bars": list(
            zip(
                (axis.places // per_place).tolist(), (axis.starts_us // 1000).tolist(), *columns, bars["is_complete"].to_pylist(),
                strict=True,
            )
        ),
    }  # fmt: skip
    incomplete = len(bars) - pc.sum(bars["is_complete"]).as_py()
    return _PAGE.format(
        title=html.escape(title),
        paper=PAPER,
        ink=INK,
        bars=f"{len(bars):,}",
        incomplete=f"{incomplete:,}",
        picture=inline,
        data=json.dumps(told, separators=(",", ":")),
    )


def _figure(bars: pa.Table, title: str, axis: _Axis, width: int, height: int, *, small: bool) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    prices, volumes = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1), gridspec_kw={"hspace": 0.04})
    candles = _candles(bars, axis, most=_PLOTTED * width / _LEAST_PIXELS)
    span = candles.starts[-1] - candles.starts[0] + candles.interval
    _draw_candles(prices, candles, pixels=_PLOTTED * width * candles.interval / span)
    _draw_volumes(volumes, candles)
    days = _days(axis)
    _finish(prices, volumes, title, days if candles.at_once == 1 else f"{days}; a candle is {candles.at_once:,} bars", small=small)
    _mark_times(volumes, axis, width, small=small)
    margin = 0.01 * span
    prices.set_xlim(candles.starts[0] - margin, candles.starts[0] + span + margin)
    return figure


def _axis(bars: pa.Table, interval: timedelta | None) -> _Axis:
    import numpy as np

    if not len(bars):
        raise ValueError("there are no bars to draw")
    starts_us = pc.cast(bars["bar_start"].combine_chunks(), pa.int64()).to_numpy()
    if interval is None:
        return _Axis(np.arange(len(bars)), 1, 1, starts_us, is_time=False)
    return _Axis(starts_us, interval // timedelta(microseconds=1), _DAY_US, starts_us, is_time=True)


def _candles(bars: pa.Table, axis: _Axis, most: float) -> _Candles:
    """What to draw of bars so that there is room for `most` candles."""
    import numpy as np

    places = (axis.places[-1] - axis.places[0]) // axis.step + 1
    at_once = next((number for number in _AT_ONCE if places <= most * number), int(places // most) + 1)
    group = axis.places // (axis.step * at_once)
    first = np.concatenate(([0], np.flatnonzero(np.diff(group)) + 1))
    last = np.append(first[1:], len(group)) - 1
    columns = {name: _floats(bars[name]) for name in _SHOWN}
    is_complete = pc.cast(bars["is_complete"].combine_chunks(), pa.uint8()).to_numpy()
    merged = {
        "open": columns["open"][first],
        "high": np.maximum.reduceat(columns["high"], first),
        "low": np.minimum.reduceat(columns["low"], first),
        "close": columns["close"][last],
        "volume": np.add.reduceat(columns["volume"], first),
    }
    # A bar stands at its start; several stand on the grid of their length.
    starts = axis.places if at_once == 1 else group[first] * axis.step * at_once
    whole = np.minimum.reduceat(is_complete, first).astype(bool)
    return _Candles(starts / axis.unit, axis.step * at_once / axis.unit, merged, whole, at_once)


def _floats(values: pa.ChunkedArray) -> Any:
    return pc.cast(values.combine_chunks(), pa.float64()).to_numpy()


def _draw_candles(axes: "Axes", candles: _Candles, pixels: Any) -> None:
    import numpy as np
    from matplotlib.collections import LineCollection, PolyCollection

    starts, interval, columns = candles.starts, candles.interval, candles.columns
    middle, half = starts + interval / 2, interval * _BODY / 2
    bottom, top = np.minimum(columns["open"], columns["close"]), np.maximum(columns["open"], columns["close"])
    # A bar that closed where it opened is a dash, not nothing.
    least = (columns["high"].max() - columns["low"].min()) / 500
    is_flat = (top - bottom) < least
    bottom, top = np.where(is_flat, (bottom + top - least) / 2, bottom), np.where(is_flat, (bottom + top + least) / 2, top)
    wick = max(0.7, min(1.4, pixels / 9))
    for chosen, colour, is_whole in _kinds(candles):
        x, low, high = middle[chosen], columns["low"][chosen], columns["high"][chosen]
        wicks = np.stack([np.column_stack([x, low]), np.column_stack([x, high])], axis=1)
        axes.add_collection(
            LineCollection(list(wicks), colors=colour, linewidths=wick, alpha=1.0 if is_whole else 0.45, capstyle="projecting")
        )
        left, right, below, above = x - half, x + half, bottom[chosen], top[chosen]
        corners = [np.column_stack(pair) for pair in ((left, below), (right, below), (right, above), (left, above))]
        bodies = PolyCollection(list(np.stack(corners, axis=1)), edgecolors=colour, linewidths=wick / 2)
        bodies.set_facecolor(colour if is_whole else PAPER)
        if not is_whole:
            bodies.set_hatch("//////")
            bodies.set_alpha(0.6)
        axes.add_collection(bodies)
    low, high = columns["low"].min(), columns["high"].max()
    room = (high - low) * 0.05 or abs(high) * 0.001 or 1.0
    axes.set_ylim(low - room, high + room)


def _draw_volumes(axes: "Axes", candles: _Candles) -> None:
    middle = candles.starts + candles.interval / 2
    for chosen, colour, is_whole in _kinds(candles):
        volume = candles.columns["volume"][chosen]
        axes.bar(middle[chosen], volume, width=candles.interval * _BODY, color=colour, alpha=0.65 if is_whole else 0.25, linewidth=0)
    axes.set_ylim(0, candles.columns["volume"].max() * 1.1 or 1.0)


def _kinds(candles: _Candles) -> Iterator[tuple[Any, str, bool]]:
    """Which candles rose and which fell, whole and not whole: a mask, the colour, whether they are whole."""
    is_up = candles.columns["close"] >= candles.columns["open"]
    for of_direction, colour in ((is_up, _UP), (~is_up, _DOWN)):
        for is_whole in (True, False):
            chosen = of_direction & (candles.is_complete == is_whole)
            if chosen.any():
                yield chosen, colour, is_whole


def _days(axis: _Axis) -> str:
    """The UTC days that the bars lie in."""
    lasts = axis.step if axis.is_time else 1
    ends = (axis.starts_us[0], axis.starts_us[-1] + lasts - 1)
    first, last = (datetime.fromtimestamp(int(us) // 1_000_000, UTC).date() for us in ends)
    return f"UTC, {first}" if first == last else f"UTC, {first} to {last}"


def _mark_times(axes: "Axes", axis: _Axis, width: int, *, small: bool) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    most = 5 if small else width // 128
    if axis.is_time:
        locator = AutoDateLocator(minticks=2 if small else width // 256, maxticks=most, tz="UTC")  # type: ignore[no-untyped-call]  # matplotlib types it not
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz="UTC", show_offset=False))  # type: ignore[no-untyped-call]  # as above
        return
    spans_days = axis.starts_us[-1] // _DAY_US > axis.starts_us[0] // _DAY_US

    def began(place: float, _: object) -> str:
        number = round(place)
        if not 0 <= number < len(axis.starts_us):
            return ""
        at = datetime.fromtimestamp(int(axis.starts_us[number]) // 1_000_000, UTC)
        return at.strftime("%m-%d %H:%M" if spans_days else "%H:%M:%S")

    axes.xaxis.set_major_locator(MaxNLocator(most - 1, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(began))


def _finish(prices: "Axes", volumes: "Axes", title: str, days: str, *, small: bool) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    size = 8 if small else 10
    prices.set_title(title, loc="left", fontsize=size + 1, color=INK, fontweight="bold", parse_math=False)
    volumes.set_xlabel(days, fontsize=size - 1, color=INK, loc="left")
    prices.yaxis.set_major_locator(MaxNLocator(4 if small else 8))
    volumes.yaxis.set_major_locator(MaxNLocator(2))
    plain = FuncFormatter(lambda value, _: f"{value:,.10f}".rstrip("0").rstrip("."))
    for axes in (prices, volumes):
        axes.yaxis.tick_right()
        axes.yaxis.set_major_formatter(plain)
        axes.set_axisbelow(True)
        axes.grid(color=GRID, linewidth=0.8)
        axes.tick_params(colors=INK, labelsize=size, length=0)
        for side in ("top", "left", "right", "bottom"):
            axes.spines[side].set_visible(False)
    volumes.spines["bottom"].set_visible(True)
    volumes.spines["bottom"].set_color(GRID)
    if not small:
        volumes.set_ylabel("volume", fontsize=size - 1, color=INK)
        prices.set_ylabel("price", fontsize=size - 1, color=INK)
