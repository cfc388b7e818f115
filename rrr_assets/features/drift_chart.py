"""The picture of drift: which feature lay how far off its reference on which day, and what the worst of them looked like.

Belongs here: drawing. Does not: any number that is kept; a pixel is a float and nothing is computed from it.
"""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from rrr_assets.calc.features import FEATURES
from rrr_assets.palette import BLUE, INK, NOTHING, PALE, PAPER

if TYPE_CHECKING:
    from datetime import date

    from matplotlib.axes import Axes

    from rrr_assets.calc.features.drift import Bins
    from rrr_assets.calc.quality_config import FeatureDrift
    from rrr_assets.warehouse.quality_feature_drift import Number

_LEVELS: Final = ("#d9ead3", "#fbe3a2", "#ee9b4e", "#c0392b")
_REFERENCE: Final = "#b8c4cd"
_DPI: Final = 100
_LARGE: Final = (1500, 1000)
_SMALL: Final = (1200, 800)
_VERY_LARGE: Final = 1.0
_MOST_LABELS: Final = 9
_LEAST_COLUMNS: Final = 10


def drift_png(
    numbers: "Sequence[Number]", worst: "Sequence[tuple[Number, Bins]]", settings: "FeatureDrift", *, small: bool = False
) -> bytes:
    """Draw the index of every feature and day, the largest of the single instruments, and the distribution of the worst features.

    A dot marks what drifted: its index is large, and beyond what is usual between days of the reference. A feature that is not stationary
    is written in grey, below the others: its index is shown and warns of nothing, which stands above.

    Args:
        numbers: of some days.
        worst: numbers of the last day with the bins that they were held against; at most four.
        settings: from where on a feature has moved, or drifted.
        small: 1200 x 800 pixels for a picture among others; else 1500 x 1000.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = _SMALL if small else _LARGE
    size = 8 if small else 10
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(max(len(worst), 1), 2 if worst else 1, width_ratios=[5, 4] if worst else None)
    days = sorted({each.day for each in numbers})
    _heat_map(figure.add_subplot(grid[:, 0]), numbers, days, settings, size)
    for place, (number, bins) in enumerate(worst):
        _distribution(figure.add_subplot(grid[place, 1]), number, bins, size, is_last=place == len(worst) - 1)
    names = sorted({each.instrument for each in numbers} - {"*"})
    of = names[0] if len(names) == 1 else f"{len(names)} instruments, the largest of them"
    when = f"{days[0]}" if len(days) == 1 else f"{days[0]} to {days[-1]}"
    figure.suptitle(f"Population stability index of features, {when}: {of}", fontsize=size + 3, color=INK)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI, metadata={"Software": None})
    return picture.getvalue()


def _heat_map(axes: "Axes", numbers: "Sequence[Number]", days: "Sequence[date]", settings: "FeatureDrift", size: int) -> None:
    import numpy as np
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.patches import Patch

    from rrr_assets.calc.features.drift import verdicts

    features = sorted(FEATURES, key=lambda name: (not FEATURES[name].is_stationary, list(FEATURES).index(name)))
    several = len({each.instrument for each in numbers}) > 1
    values = np.full((len(features), len(days)), np.nan)
    drifted: set[tuple[int, int]] = set()
    for each in numbers:
        if each.drift.psi is None or (several and each.instrument == "*"):
            continue
        place = features.index(each.feature), days.index(each.day)
        values[place] = np.fmax(values[place], each.drift.psi)
        if "drifted" in verdicts(each.feature, each.drift, settings):
            drifted.add(place)
    bounds = [0, settings.psi_moderate, settings.psi_large, max(_VERY_LARGE, 2 * settings.psi_large)]
    colours = ListedColormap(list(_LEVELS)).with_extremes(bad=NOTHING)
    norm = BoundaryNorm([*bounds, 1e9], len(_LEVELS))
    axes.pcolormesh(np.ma.masked_invalid(values), cmap=colours, norm=norm, edgecolors=PAPER, linewidth=1)
    if drifted:
        rows, columns = zip(*drifted, strict=True)
        axes.scatter([n + 0.5 for n in columns], [n + 0.5 for n in rows], s=size * 2, color=INK)
    axes.set_ylim(len(features), 0)
    axes.set_xlim(0, max(len(days), _LEAST_COLUMNS))
    axes.set_yticks([n + 0.5 for n in range(len(features))], features, fontsize=size)
    for label, name in zip(axes.get_yticklabels(), features, strict=True):
        label.set_color(INK if FEATURES[name].is_stationary else PALE)
    every = -(-len(days) // _MOST_LABELS)
    axes.set_xticks([n + 0.5 for n in range(0, len(days), every)], [f"{day:%d %b}" for day in days[::every]], fontsize=size, color=INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("features in grey move by themselves: they never count as drifted", fontsize=size - 1, color=PALE, loc="left")
    words = [f"below {bounds[1]:g}", f"to {bounds[2]:g}", f"to {bounds[3]:g}", f"above {bounds[3]:g}", "no index"]
    marks: list[Any] = [Patch(color=colour, label=word) for colour, word in zip((*_LEVELS, NOTHING), words, strict=True)]
    dot = axes.scatter([], [], s=size * 2, color=INK, label="drifted")
    axes.legend(
        handles=[*marks, dot], loc="upper center", bbox_to_anchor=(0.5, -0.04), ncols=6, frameon=False, fontsize=size,
        handlelength=1, columnspacing=1,
    )  # fmt: skip


def _distribution(axes: "Axes", number: "Number", bins: "Bins", size: int, *, is_last: bool) -> None:
    """The shares of a feature in the bins of its reference, which are as wide as they are: a tenth of the reference's values each."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    places = range(len(bins.shares))
    axes.bar([n - 0.2 for n in places], bins.shares, width=0.4, color=_REFERENCE, label="reference")
    axes.bar([n + 0.2 for n in places], number.drift.shares, width=0.4, color=BLUE, label=f"{number.day}")
    power = _power_of(bins.edges)
    labels = [f"{edge / 10**power:.3g}" for edge in bins.edges]
    axes.set_xticks([n + 0.5 for n in range(len(bins.edges))], labels, fontsize=size - 1)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.tick_params(colors=INK, labelsize=size - 1)
    axes.spines[["top", "right"]].set_visible(False)
    usual = "" if number.drift.usual_psi is None else f" (usual {number.drift.usual_psi:.2f})"
    who = "" if number.instrument == "*" else f" of {number.instrument}"
    scale = "" if power == 0 else f"; bins in 1e{power}"
    axes.set_title(f"{number.feature}{who}: psi {number.drift.psi:.2f}{usual}{scale}", fontsize=size + 1, color=INK, loc="left")
    if is_last:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, frameon=False, fontsize=size)


def _power_of(edges: "Sequence[float]") -> int:
    """The power of ten that edges are written in: 0 where they are short as they are."""
    largest = max(map(abs, edges), default=0.0)
    power = math.floor(math.log10(largest)) if largest else 0
    return 0 if -2 <= power <= 3 else power  # four digits fit between two ticks
