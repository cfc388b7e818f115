"""The picture of a feature: its values below the price that they belong to.

Belongs here: drawing. Does not: any number that is kept; a pixel is a float and nothing is computed from it.
"""

import io
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pyarrow as pa

    from rrr_assets.calc.features.declare import Feature

_INK: Final = "#22313f"
_PRICE: Final = "#7a8b99"
_LINE: Final = "#2e7da6"
_PAPER: Final = "#ffffff"
_GRID: Final = "#e3e8ec"
_DPI: Final = 100
_SIZE: Final = (1280, 720)


def feature_png(features: "pa.Table", feature: "Feature", bars: "pa.Table") -> bytes:
    """Draw one feature of an instrument; where there is no value, the line is broken.

    Args:
        features: as `read.features` answers, in order of time; at least one row.
        feature: which is drawn.
        bars: 1-minute bars of the same time, drawn above; none leaves the panel out.
    """
    from datetime import timedelta

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_SIZE[0] / _DPI, _SIZE[1] / _DPI), dpi=_DPI, facecolor=_PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    times = features["event_time"].to_pylist()
    panels: Any = figure.subplots(2 if len(bars) else 1, 1, sharex=True, squeeze=False, height_ratios=[2, 3] if len(bars) else None)
    if len(bars):
        above = panels[0][0]
        ends = [at + timedelta(minutes=1) for at in bars["bar_start"].to_pylist()]
        above.plot(ends, [float(price) for price in bars["close"].to_pylist()], color=_PRICE, linewidth=1)
        above.set_ylabel("close", color=_INK)
    below = panels[-1][0]
    values = [float("nan") if value is None else value for value in features[feature.name].to_pylist()]
    below.plot(times, values, color=_LINE, linewidth=1.2)
    below.set_ylabel(feature.unit, color=_INK)
    for axes in (row[0] for row in panels):
        axes.grid(color=_GRID)
        axes.tick_params(colors=_INK, labelsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]  # matplotlib says no types of its dates
    below.xaxis.set_major_locator(locator)
    below.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # as above
    name = features["instrument"][0].as_py()
    figure.suptitle(f"{feature.name} of {name}, {times[0]:%Y-%m-%d %H:%M} to {times[-1]:%Y-%m-%d %H:%M} UTC", fontsize=12, color=_INK)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI, metadata={"Software": None})
    return picture.getvalue()
