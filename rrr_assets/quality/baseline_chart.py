"""The picture of a baseline: what was measured over what is usual, with what was unusual.

Belongs here: drawing. Does not: any number that is kept; a pixel is a float and nothing is computed from it.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rrr_assets.contracts.quality import METRICS
from rrr_assets.palette import AMBER, BLUE, INK, PAPER, RED

if TYPE_CHECKING:
    from datetime import datetime

    from matplotlib.axes import Axes

    from rrr_assets.calc.quality_baselines import Usual
    from rrr_assets.warehouse.quality_baselines import Windows

_BAND: Final = "#f6e3b8"
_DPI: Final = 100
_LARGE: Final = (1280, 900)
_SMALL: Final = (960, 640)
_SHOWN_DEVIATIONS: Final = 3
_LABELS: Final = {"volume": "volume", "spread": "spread, bps", "trade_rate": "trades in 5 min", "message_rate": "quotes in 5 min"}

Unusual = tuple[str, "datetime", "datetime"]
"""A metric, and from when to when it was unusual."""


def baseline_png(windows: "Windows", usual: "Mapping[str, Sequence[Usual]]", anomalies: Sequence[Unusual], *, small: bool = False) -> bytes:
    """Draw the metrics of an instrument's windows, a panel each: what is usual by three deviations, and anomalies in red.

    Args:
        windows: in order of time.
        usual: by metric its baseline of 168 hours; a metric without one has only its line.
        anomalies: of the instrument.
        small: 960 x 640 pixels for a picture among others; else 1280 x 900.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = _SMALL if small else _LARGE
    size = 8 if small else 10
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(METRICS), 1, sharex=True)
    for axes, metric in zip(panels, METRICS, strict=True):
        _draw(axes, metric, windows, usual.get(metric, ()), [each for each in anomalies if each[0] == metric], size)
    figure.suptitle(f"{windows.instrument}: what was, and what is usual at that hour of the week", fontsize=size + 2, color=INK)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI, metadata={"Software": None})
    return picture.getvalue()


def _draw(axes: "Axes", metric: str, windows: "Windows", usual: "Sequence[Usual]", anomalies: Sequence[Unusual], size: int) -> None:
    import numpy as np

    from rrr_assets.calc.quality_baselines import hours_of_week

    times: Any = windows.starts.astype("datetime64[s]")
    if usual:
        hours = hours_of_week(windows.starts)
        unit = usual[0].unit
        medians, deviations = (np.array([getattr(each, name) for each in usual])[hours] for name in ("median", "deviation"))
        low, middle, high = (unit * np.expm1(medians + by * deviations) for by in (-_SHOWN_DEVIATIONS, 0, _SHOWN_DEVIATIONS))
        axes.fill_between(times, np.maximum(low, 0), high, color=_BAND, linewidth=0)
        axes.plot(times, middle, color=AMBER, linewidth=1)
    axes.plot(times, windows.values[metric], color=BLUE, linewidth=0.6)
    for _, since, until in anomalies:
        axes.axvspan(np.datetime64(since.replace(tzinfo=None)), np.datetime64(until.replace(tzinfo=None)), color=RED, alpha=0.35)  # type: ignore[arg-type]  # matplotlib takes times
    axes.set_yscale("symlog", linthresh=max(usual[0].unit if usual else 1.0, 1e-12))
    axes.set_ylabel(_LABELS[metric], fontsize=size, color=INK)
    axes.tick_params(labelsize=size - 1, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
