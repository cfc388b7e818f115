"""The picture of a feature: its values below the price that they belong to.

Belongs here: drawing. Does not: any number that is kept; a pixel is a float and nothing is computed from it.
"""

import io
import math
import textwrap
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from rrr_assets.palette import BLUE, GRID, INK, NOTHING, PALE, PAPER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import pyarrow as pa

    from rrr_assets.calc.features.declare import Feature

_WIDTH: Final = 150
_MINUTE: Final = timedelta(minutes=1)
_DPI: Final = 100
_SIZE: Final = (1280, 720)


def feature_png(features: "pa.Table", feature: "Feature", bars: "pa.Table", as_known_at: "datetime | None" = None) -> bytes:
    """Draw one feature of an instrument; where there is no value, the line is broken and the ground is grey.

    Args:
        features: as `read.features` answers, in order of time; at least one row.
        feature: which is drawn.
        bars: 1-minute bars of the same time, drawn above; none leaves the panel out.
        as_known_at: of when the values are, which the title says; None for now.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_SIZE[0] / _DPI, _SIZE[1] / _DPI), dpi=_DPI, facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    times, values = _every_minute(features, feature.name)
    panels: Any = figure.subplots(2 if len(bars) else 1, 1, sharex=True, squeeze=False, height_ratios=[2, 3] if len(bars) else None)
    if len(bars):
        above = panels[0][0]
        ends = [at + _MINUTE for at in bars["bar_start"].to_pylist()]
        above.plot(ends, [float(price) for price in bars["close"].to_pylist()], color=PALE, linewidth=1, drawstyle="steps-post")
        above.set_ylabel("close [quote asset]", color=INK)
    below = panels[-1][0]
    absent = [math.isnan(value) for value in values]
    # A value between two that are not there is no line: it is a dot.
    lonely = [not nothing and all(absent[max(n - 1, 0) : n]) and all(absent[n + 1 : n + 2]) for n, nothing in enumerate(absent)]
    below.plot(times, values, color=BLUE, linewidth=1.2)
    below.plot(
        [at for at, is_lonely in zip(times, lonely, strict=True) if is_lonely],
        [value for value, is_lonely in zip(values, lonely, strict=True) if is_lonely],
        color=BLUE, linestyle="", marker=".", markersize=4,
    )  # fmt: skip
    for first, last in _stretches(absent):
        below.axvspan(times[first] - _MINUTE, times[last], color=NOTHING, linewidth=0)
    below.set_ylabel(f"{feature.name} [{feature.unit}]", color=INK)
    if any(absent) and not all(absent):
        below.text(0.005, 0.985, "grey: no value", transform=below.transAxes, ha="left", va="top", fontsize=8, color=PALE)
    if all(absent):
        below.text(0.5, 0.5, f"no value: {feature.no_value}", transform=below.transAxes, ha="center", va="center", color=INK)
        below.set_yticks([])
    for axes in (row[0] for row in panels):
        axes.grid(color=GRID)
        axes.tick_params(colors=INK, labelsize=9)
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.spines[["top", "right"]].set_visible(False)
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]  # matplotlib says no types of its dates
    below.xaxis.set_major_locator(locator)
    below.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]  # as above
    name = features["instrument"][0].as_py()
    then = "" if as_known_at is None else f", as known at {as_known_at:%Y-%m-%d %H:%M:%S}"
    title = f"{feature.name} of {name}, {times[0]:%Y-%m-%d %H:%M} to {times[-1]:%Y-%m-%d %H:%M} UTC{then}"
    figure.suptitle(f"{title}\n{textwrap.fill(feature.description, _WIDTH)}", fontsize=11, color=INK)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI, metadata={"Software": None})
    return picture.getvalue()


def _every_minute(features: "pa.Table", name: str) -> "tuple[list[datetime], list[float]]":
    """The values of every minute from the first to the last, NaN where there is none: a minute without a row is a hole too."""
    there = dict(zip(features["event_time"].to_pylist(), features[name].to_pylist(), strict=True))
    first, last = min(there), max(there)
    times = [first + n * _MINUTE for n in range((last - first) // _MINUTE + 1)]
    return times, [math.nan if (value := there.get(at)) is None else value for at in times]


def _stretches(flags: "Sequence[bool]") -> list[tuple[int, int]]:
    """First and last of each run of flags that are set."""
    found: list[tuple[int, int]] = []
    for n, flag in enumerate(flags):
        if flag and n and flags[n - 1]:
            found[-1] = (found[-1][0], n)
        elif flag:
            found.append((n, n))
    return found
