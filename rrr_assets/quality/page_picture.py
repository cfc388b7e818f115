"""The heat map of the quality report as a picture, for where no page can be shown: Dagster's metadata.

Belongs here: drawing. Does not: what is told (quality/report.py).
"""

import io
from typing import TYPE_CHECKING, Final

from rrr_assets.contracts.quality import DAY_STATUSES
from rrr_assets.quality.report import MARKS

if TYPE_CHECKING:
    from rrr_assets.quality.report import Line, QualityReport

MOST_LINES: Final = 40
"""Instruments that are drawn: of more, those with most days to look at."""

_INK: Final = "#1e2a35"
_PALE: Final = "#566472"
_PAPER: Final = "#ffffff"
_COLOURS: Final = {"available": "#d3ecdd", "degraded": "#fbdc9f", "pending": "#dfe6ee", "missing": "#b3362b", None: "#ffffff"}
_MARK_COLOURS: Final = {"degraded": "#5e3a00", "pending": "#3a4b5b", "missing": "#ffffff", None: "#8896a3"}
_DPI: Final = 100
_WIDTH: Final = 960
_LINE_PIXELS: Final = 20
_FRAME_PIXELS: Final = 84


def heat_map_png(report: "QualityReport") -> bytes | None:
    """Draw instrument by day in the colours of the page, with the sign of every status but `available`; None where there is nothing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    lines = _chosen(report)
    if not lines:
        return None
    order = [*DAY_STATUSES, None]
    height = _FRAME_PIXELS + _LINE_PIXELS * len(lines)
    figure = Figure(figsize=(_WIDTH / _DPI, height / _DPI), dpi=_DPI, facecolor=_PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    colours = ListedColormap([_COLOURS[status] for status in order])
    numbers = [[order.index(cell.status) for cell in line.cells] for line in lines]
    axes.pcolormesh(numbers, cmap=colours, vmin=-0.5, vmax=len(order) - 0.5, edgecolors=_PAPER, linewidth=1.5)
    for row, line in enumerate(lines):
        for column, cell in enumerate(line.cells):
            if cell.status in _MARK_COLOURS:
                axes.text(
                    column + 0.5, row + 0.5, cell.mark, ha="center", va="center", fontsize=7, color=_MARK_COLOURS[cell.status]
                )  # fmt: skip
    axes.invert_yaxis()
    axes.set_yticks([row + 0.5 for row in range(len(lines))], [line.instrument for line in lines], parse_math=False)
    every = max(1, len(report.days) // 15)
    axes.set_xticks(
        [column + 0.5 for column in range(0, len(report.days), every)], [f"{day:%d %b}" for day in report.days[::every]], rotation=0
    )
    axes.tick_params(colors=_INK, labelsize=7, length=0)
    for side in ("top", "left", "right", "bottom"):
        axes.spines[side].set_visible(False)
    keys = [Patch(facecolor=_COLOURS[status], label=f"{MARKS[status]} {status}") for status in DAY_STATUSES]
    figure.legend(handles=keys, loc="outside upper left", ncols=4, fontsize=7, frameon=False, labelcolor=_INK)
    if len(lines) < len(report.lines):
        told = f"{len(lines)} of {len(report.lines)} instruments, those with most days to look at"
        figure.supxlabel(told, fontsize=7, color=_PALE, x=0.01, ha="left")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI, metadata={"Software": None})
    return picture.getvalue()


def _chosen(report: "QualityReport") -> list["Line"]:
    if len(report.lines) <= MOST_LINES:
        return list(report.lines)

    def wrong(line: "Line") -> int:
        return sum(cell.status in {"degraded", "missing"} for cell in line.cells)

    return sorted(report.lines, key=lambda line: (-wrong(line), line.instrument))[:MOST_LINES]
