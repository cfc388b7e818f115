"""A measured figure, and how figures are shown."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One figure with its target. `is_at_most` says that less is better; without a target it only informs.

    `details` holds the absolute figures and single measurements behind it.
    """

    name: str
    measured: float
    unit: str
    target: float | None = None
    goal: float | None = None
    is_at_most: bool = False
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        return self.measured <= self.target if self.is_at_most else self.measured >= self.target

    def told(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "is_met": self.is_met}


def median(measurements: Sequence[float]) -> float:
    """The middle measurement, to four digits after the point."""
    return round(statistics.median(measurements), 4)


def spread(measurements: Sequence[float]) -> list[float]:
    """All measurements, in order of size, to four digits after the point."""
    return [round(each, 4) for each in sorted(measurements)]


def print_figures(figures: Sequence[Figure], settings: dict[str, Any]) -> None:
    """For people."""
    console = Console(soft_wrap=True)
    for name, value in settings.items():
        console.print(f"{name}: {value}", highlight=False)
    table = Table("figure", "measured", "target", "goal", "met")
    for figure in figures:
        bound = "<=" if figure.is_at_most else ">="
        table.add_row(
            figure.name,
            f"{figure.measured:,.4g} {figure.unit}" if figure.measured < 1000 else f"{figure.measured:,.0f} {figure.unit}",
            f"{bound} {figure.target:,}" if figure.target is not None else "",
            f"{bound} {figure.goal:,}" if figure.goal is not None else "",
            {True: "[green]yes[/green]", False: "[red]no[/red]", None: ""}[figure.is_met],
        )
    console.print(table)
    for figure in figures:
        console.print(f"{figure.name}: " + "; ".join(f"{name} {value}" for name, value in figure.details.items()), highlight=False)
