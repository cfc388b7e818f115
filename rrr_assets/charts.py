"""Pictures of bars: candlesticks with the volume below them.

Belongs here: drawing. Does not: reading bars, or any number that is kept; a pixel is a float and nothing is computed from it.
"""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_UP: Final = "#1b9e77"
_DOWN: Final = "#d1495b"
_INK: Final = "#22313f"
_GRID: Final = "#e3e8ec"
_PAPER: Final = "#ffffff"
_DPI: Final = 100
_SMALL: Final = (480, 240)
_LARGE: Final = (1280, 720)
# With fewer pixels a bar, bodies are a smear: a line from low to high stands for the bar.
_LEAST_PIXELS: Final = 2.2
_BODY: Final = 0.72
_MINUTE_US: Final = 60_000_000


def candles_png(bars: pa.Table, title: str, width: int | None = None, height: int | None = None, *, small: bool = False) -> bytes:
    """Draw bars as candlesticks with their volume below, over a UTC time axis on which a missing bar is a gap.

    A bar that is not complete is drawn pale and hatched. Where a bar has less than three pixels, a line
    from low to high in its colour stands for it.

    Args:
        bars: In the contract of bars, of one instrument, ordered by bar_start; at least one.
        title: Stands above.
        width: In pixels; 1280, or 480 where `small`.
        height: In pixels; 720, or 240 where `small`.
        small: Larger letters for the size and fewer marks, for a picture among others.

    Raises:
        ValueError: there are no bars.
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not len(bars):
        raise ValueError("there are no bars to draw")
    default_width, default_height = _SMALL if small else _LARGE
    width, height = width or default_width, height or default_height
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=_PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    prices, volumes = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1), gridspec_kw={"hspace": 0.04})

    starts_us = pc.cast(bars["bar_start"].combine_chunks(), pa.int64()).to_numpy()
    steps = np.diff(starts_us)
    interval_us = int(steps.min()) if len(steps) else _MINUTE_US
    day_us = 86_400 * 1_000_000
    starts, interval = starts_us / day_us, interval_us / day_us
    span = starts[-1] - starts[0] + interval
    columns = {name: _floats(bars[name]) for name in ("open", "high", "low", "close", "volume")}
    is_complete = pc.cast(bars["is_complete"].combine_chunks(), pa.uint8()).to_numpy().astype(bool)

    # About a tenth of the width is taken by the axis.
    pixels = 0.9 * width * interval / span
    _draw_candles(prices, starts, interval, columns, is_complete, pixels)
    _draw_volumes(volumes, starts, interval, columns, is_complete, pixels)
    _finish(prices, volumes, title, _days(starts_us, interval_us), small=small)
    margin = 0.01 * span
    prices.set_xlim(starts[0] - margin, starts[0] + span + margin)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI, metadata={"Software": None})
    return picture.getvalue()


def _floats(values: pa.ChunkedArray) -> Any:
    return pc.cast(values.combine_chunks(), pa.float64()).to_numpy()


def _draw_candles(axes: "Axes", starts: Any, interval: Any, columns: dict[str, Any], is_complete: Any, pixels: Any) -> None:
    import numpy as np
    from matplotlib.collections import LineCollection, PolyCollection

    middle, half = starts + interval / 2, interval * _BODY / 2
    bottom, top = np.minimum(columns["open"], columns["close"]), np.maximum(columns["open"], columns["close"])
    # A bar that closed where it opened is a dash, not nothing.
    least = (columns["high"].max() - columns["low"].min()) / 500
    is_flat = (top - bottom) < least
    bottom, top = np.where(is_flat, (bottom + top - least) / 2, bottom), np.where(is_flat, (bottom + top + least) / 2, top)
    wick = max(0.7, min(1.4, pixels / 9))
    for chosen, colour, is_whole in _kinds(columns, is_complete):
        x, low, high = middle[chosen], columns["low"][chosen], columns["high"][chosen]
        wicks = np.stack([np.column_stack([x, low]), np.column_stack([x, high])], axis=1)
        axes.add_collection(
            LineCollection(list(wicks), colors=colour, linewidths=wick, alpha=1.0 if is_whole else 0.45, capstyle="projecting")
        )
        if pixels < _LEAST_PIXELS:
            continue
        left, right, below, above = x - half, x + half, bottom[chosen], top[chosen]
        corners = [np.column_stack(pair) for pair in ((left, below), (right, below), (right, above), (left, above))]
        bodies = PolyCollection(list(np.stack(corners, axis=1)), edgecolors=colour, linewidths=wick / 2)
        bodies.set_facecolor(colour if is_whole else _PAPER)
        if not is_whole:
            bodies.set_hatch("//////")
            bodies.set_alpha(0.6)
        axes.add_collection(bodies)
    low, high = columns["low"].min(), columns["high"].max()
    room = (high - low) * 0.05 or abs(high) * 0.001 or 1.0
    axes.set_ylim(low - room, high + room)


def _draw_volumes(axes: "Axes", starts: Any, interval: Any, columns: dict[str, Any], is_complete: Any, pixels: Any) -> None:
    middle = starts + interval / 2
    for chosen, colour, is_whole in _kinds(columns, is_complete):
        x, volume = middle[chosen], columns["volume"][chosen]
        if pixels < _LEAST_PIXELS:
            # Lines of one width: columns thinner than a pixel would shimmer.
            axes.vlines(x, 0, volume, colors=colour, linewidth=0.7, alpha=0.8 if is_whole else 0.3)
        else:
            axes.bar(x, volume, width=interval * _BODY, color=colour, alpha=0.65 if is_whole else 0.25, linewidth=0)
    axes.set_ylim(0, columns["volume"].max() * 1.1 or 1.0)


def _kinds(columns: dict[str, Any], is_complete: Any) -> Iterator[tuple[Any, str, bool]]:
    """Which bars rose and which fell, whole and not whole: a mask, the colour, whether they are whole."""
    is_up = columns["close"] >= columns["open"]
    for of_direction, colour in ((is_up, _UP), (~is_up, _DOWN)):
        for is_whole in (True, False):
            chosen = of_direction & (is_complete == is_whole)
            if chosen.any():
                yield chosen, colour, is_whole


def _days(starts_us: Any, interval_us: int) -> str:
    """The UTC days that the bars lie in."""
    first, last = (datetime.fromtimestamp(int(us) // 1_000_000, UTC).date() for us in (starts_us[0], starts_us[-1] + interval_us - 1))
    return f"UTC, {first}" if first == last else f"UTC, {first} to {last}"


def _finish(prices: "Axes", volumes: "Axes", title: str, days: str, *, small: bool) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    size = 8 if small else 10
    prices.set_title(title, loc="left", fontsize=size + 1, color=_INK, fontweight="bold", parse_math=False)
    locator = AutoDateLocator(minticks=2, maxticks=5 if small else 10, tz="UTC")  # type: ignore[no-untyped-call]  # matplotlib types it not
    volumes.xaxis.set_major_locator(locator)
    volumes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz="UTC", show_offset=False))  # type: ignore[no-untyped-call]  # as above
    volumes.set_xlabel(days, fontsize=size - 1, color=_INK, loc="left")
    prices.yaxis.set_major_locator(MaxNLocator(4 if small else 8))
    volumes.yaxis.set_major_locator(MaxNLocator(2))
    plain = FuncFormatter(lambda value, _: f"{value:,.10f}".rstrip("0").rstrip("."))
    for axes in (prices, volumes):
        axes.yaxis.tick_right()
        axes.yaxis.set_major_formatter(plain)
        axes.set_axisbelow(True)
        axes.grid(color=_GRID, linewidth=0.8)
        axes.tick_params(colors=_INK, labelsize=size, length=0)
        for side in ("top", "left", "right", "bottom"):
            axes.spines[side].set_visible(False)
    volumes.spines["bottom"].set_visible(True)
    volumes.spines["bottom"].set_color(_GRID)
    if not small:
        volumes.set_ylabel("volume", fontsize=size - 1, color=_INK)
        prices.set_ylabel("price", fontsize=size - 1, color=_INK)
