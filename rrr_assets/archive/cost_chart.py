"""The picture of the cost report: what it costs now by table and tier, and what it will.

Belongs here: drawing. Does not: any number that is kept; a pixel is a float and nothing is computed from it.
"""

import io
from typing import TYPE_CHECKING, Any, Final, Literal

from rrr_assets.archive.cost_tables import size_text, usd_text
from rrr_assets.calc.costs import FREE_DISK, TIERS, Forecast, Report, by, total
from rrr_assets.palette import AMBER, BLUE, GRID, INK, PALE, PAPER, RED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TIER_COLOURS: Final = {
    "hot": RED, "warm": AMBER, "cold": BLUE, "copy": "#8fc1dd", "superseded": "#b9a5d6", "metadata": "#d9cdea",
    "other": "#a9b4bd",
}  # fmt: skip
_PART_COLOURS: Final = {"machine": "#5b6b79", "disk": RED, "objects": BLUE, "requests": "#8fc1dd"}
_MOST_TABLES: Final = 12
_DPI: Final = 100
_LARGE: Final = (1280, 640)
_SMALL: Final = (960, 480)


def cost_png(report: Report, *, small: bool = False) -> bytes:
    """Draw a report: on the left what is kept now by table and tier, on the right the forecast by part, on a logarithmic axis.

    Args:
        report: it.
        small: 960 x 480 pixels for a picture among others; else 1280 x 640.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = _SMALL if small else _LARGE
    size = 8 if small else 10
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    now, then = figure.subplots(1, 2, width_ratios=(1, 1))
    _draw_now(now, report, size)
    _draw_forecast(then, report, size)
    prices = report.prices
    figure.supxlabel(
        f"{prices.offer.name}, {prices.region}, list prices of {prices.as_of}; measured {report.measured.at:%Y-%m-%d %H:%M} UTC",
        fontsize=size - 1, color=PALE, x=0.01, ha="left",
    )  # fmt: skip
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI, metadata={"Software": None})
    return picture.getvalue()


def _draw_now(axes: "Axes", report: Report, size: int) -> None:
    """Bars of bytes by table, in the colours of the tiers, with what each costs."""
    kept = [line for line in report.lines if line.size_bytes and line.relation != FREE_DISK]
    groups = sorted(by(kept, lambda line: line.relation).items(), key=lambda group: -sum(line.size_bytes for line in group[1]))
    shown, rest = groups[:_MOST_TABLES], groups[_MOST_TABLES:]
    if rest:
        shown.append((f"{len(rest)} others", [line for _, mine in rest for line in mine]))
    places = list(range(len(shown)))
    left = [0] * len(shown)
    for tier in TIERS:
        widths = [sum(line.size_bytes for line in mine if line.tier == tier) for _, mine in shown]
        if any(widths):
            axes.barh(places, widths, left=left, color=_TIER_COLOURS[tier], label=tier, height=0.72, linewidth=0)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, (_, mine), end in zip(places, shown, left, strict=True):
        told = f" {size_text(end)}, {usd_text(total(line.monthly_usd for line in mine))} USD"
        axes.text(end, place, told, va="center", fontsize=size - 1, color=INK)
    # Room for the words behind the longest bar.
    axes.set_xlim(0, max([*left, 1]) * 1.45)
    axes.set_yticks(places, [str(name) for name, _ in shown])
    axes.set_xticks([])
    axes.invert_yaxis()
    if shown:
        axes.legend(loc="lower right", fontsize=size - 1, frameon=False, labelcolor=INK)
    machine = total(line.monthly_usd for line in report.lines if not line.size_bytes)
    _finish(axes, f"Now: {usd_text(report.monthly_usd)} USD a month, machine and requests {usd_text(machine)}", size, along="x")


def _draw_forecast(axes: "Axes", report: Report, size: int) -> None:
    """Bars of money by volume and years, with the same without rules as a mark, and the targets as lines."""
    mine = [each for each in report.forecasts if each.offer == report.prices.offer.name]
    places, labels, at = [], [], 0
    for before, each in zip([None, *mine], mine, strict=False):
        at += 1 + (before is not None and before.factor != each.factor)
        places.append(at)
        labels.append(f"{each.years} y")
    bottoms = [0] * len(mine)
    width = 0.8
    # On a logarithmic axis a part's length says nothing, so the whole is drawn in the colour of its largest part.
    heights = [_pixels(each.monthly_usd) for each in mine]
    axes.bar(places, heights, bottom=bottoms, width=width, color=[_colour(each) for each in mine], linewidth=0)
    bare = [_pixels(each.without_rules_usd) for each in mine]
    axes.hlines(bare, [place - width / 2 for place in places], [place + width / 2 for place in places], colors=INK, linewidth=1.6)
    for place, each, height in zip(places, mine, heights, strict=True):
        axes.text(place, height * 0.86, f"{each.monthly_usd:,.0f}", ha="center", va="top", fontsize=size - 2, color=PAPER)
    top = max([*heights, *bare, *(_pixels(target.monthly_usd) for target in report.prices.targets)])
    for target in report.prices.targets:
        inside = [place for place, each in zip(places, mine, strict=True) if each.factor == target.factor]
        if inside:
            level = _pixels(target.monthly_usd)
            axes.hlines(level, inside[0] - 0.6, inside[-1] + 0.6, colors=PALE, linewidth=1.2, linestyles="dashed")
            told = f"{target.name}: {usd_text(target.monthly_usd)}"
            axes.text(inside[0] - 0.7, level, told, ha="right", va="center", fontsize=size - 1, color=INK)
    axes.set_yscale("log")
    axes.set_ylim(min(heights) / 4, top * 3)
    axes.set_xticks(places, labels)
    for factor in sorted({each.factor for each in mine}):
        inside = [place for place, each in zip(places, mine, strict=True) if each.factor == factor]
        middle = (inside[0] + inside[-1]) / 2
        axes.text(middle, 0.985, f"{factor}x", transform=axes.get_xaxis_transform(), ha="center", va="top", fontsize=size + 1, color=INK)
    for part in _PART_COLOURS:
        if any(_largest(each) == part for each in mine):
            axes.bar([places[0]], [0], color=_PART_COLOURS[part], label=f"most of it {part}")
    axes.plot([], [], color=INK, linewidth=1.6, label="no rules: all hot")
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0.94), fontsize=size - 1, frameon=False, labelcolor=INK)
    _finish(axes, f"USD a month, {report.base} volume and its multiples", size, along="y")


def _largest(each: Forecast) -> str:
    return max(each.usd, key=lambda part: each.usd[part])


def _colour(each: Forecast) -> str:
    return _PART_COLOURS[_largest(each)]


def _pixels(amount: Any) -> float:
    return float(amount)


def _finish(axes: "Axes", title: str, size: int, along: Literal["x", "y"]) -> None:
    from matplotlib.ticker import FuncFormatter

    axes.set_title(title, loc="left", fontsize=size + 1, color=INK, fontweight="bold", parse_math=False)
    axes.set_axisbelow(True)
    axes.grid(axis=along, color=GRID, linewidth=0.8)
    axes.tick_params(colors=INK, labelsize=size, length=0, which="both")
    axis = axes.xaxis if along == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10f}".rstrip("0").rstrip(".")))
    for side in ("top", "left", "right", "bottom"):
        axes.spines[side].set_visible(False)
