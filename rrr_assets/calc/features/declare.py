"""What a declared feature is, and the registry that `feature` enters it into.

Belongs here: the vocabulary, lineage and look-back as they follow from definitions. Does not: a feature, or evaluating one.

A feature is a function whose parameters name what it is made from: columns of a minute (INPUTS) or other features. It is called with
Polars expressions of these, and gives one. Its docstring is its description. Nothing here imports Polars: definitions are read by
whatever loads the graph.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import polars as pl

BAR_INPUTS: Final = (
    "open", "high", "low", "close", "volume", "quote_volume", "trade_count", "taker_buy_volume", "taker_buy_quote_volume",
)  # fmt: skip
"""Columns of a 1-minute bar that features are made from."""

TICK_INPUTS: Final = ("quoted_spread_bps", "effective_spread_bps", "depth_imbalance_close", "book_flow", "book_depth")
"""What is made of a minute's trades and quotes, see contracts.features.TICK_MINUTES."""

TIME_INPUTS: Final = ("minute_of_week",)
"""What follows from the minute itself."""

INPUTS: Final = (*BAR_INPUTS, *TICK_INPUTS, *TIME_INPUTS)


@dataclass(frozen=True, slots=True)
class Feature:
    """One declared feature.

    `window` is how many values of what it names it looks at, the last of which is the minute's own. `unit` is of the value; `formula`
    is where it is from; `null_when` says when there is none, besides minutes in its window of which nothing is known. `low` and `high`
    bound its values, both included; None where nothing does. `is_stationary` says whether its distribution is expected to stay what it
    was: that of a level of price, or of the calendar, is not.
    """

    name: str
    function: "Callable[..., pl.Expr]"
    window: int
    unit: str
    formula: str
    null_when: str
    version: int
    low: int | None = None
    high: int | None = None
    is_stationary: bool = True

    @property
    def inputs(self) -> tuple[str, ...]:
        """What it names: columns of a minute, or features."""
        return _parameters(self.function)

    @property
    def kind(self) -> str:
        """The module that declares it: prices, volatility, flow, book or clock."""
        return self.function.__module__.rpartition(".")[2]

    @property
    def description(self) -> str:
        """Its docstring, in one line."""
        return " ".join((self.function.__doc__ or "").split())

    @property
    def no_value(self) -> str:
        """When there is no value, in words."""
        unknown = "a minute that it looks at is unknown"
        return unknown if self.null_when == "never" else f"{self.null_when}, or {unknown}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of minutes that it is made from in the end, sorted."""
        found: set[str] = set()
        for name in self.inputs:
            found |= {name} if name in INPUTS else set(REGISTRY[name].columns)
        return tuple(sorted(found))

    @property
    def bars(self) -> int:
        """Of how many minutes, the last of which is its own, the value is a function: of exactly these, and of nothing before them."""
        return self.window - 1 + max((REGISTRY[name].bars for name in self.inputs if name not in INPUTS), default=1)

    def expression(self, columns: "Mapping[str, pl.Expr]") -> "pl.Expr":
        """The expression over columns or features by name."""
        return self.function(**{name: columns[name] for name in self.inputs}).alias(self.name)


@cache
def _parameters(function: "Callable[..., pl.Expr]") -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


REGISTRY: Final[dict[str, Feature]] = {}


def feature(
    window: int, unit: str, formula: str, null_when: str = "never", version: int = 1, *, low: int | None = None, high: int | None = None,
    is_stationary: bool = True,
) -> "Callable[[Callable[..., pl.Expr]], Callable[..., pl.Expr]]":  # fmt: skip
    """Declare the decorated function as a feature of its name.

    Args:
        window: as in `Feature`.
        unit: as in `Feature`.
        formula: as in `Feature`.
        null_when: as in `Feature`.
        version: to be raised with every change of what the function computes: what is stored by another one is made again.
        low: as in `Feature`; the checks of contracts hold every stored value to it.
        high: as in `Feature`.
        is_stationary: as in `Feature`.

    Raises:
        ValueError: the name is taken, or it is not described.
    """

    def declare(function: "Callable[..., pl.Expr]") -> "Callable[..., pl.Expr]":
        name = function.__name__
        declared = Feature(name, function, window, unit, formula, null_when, version, low, high, is_stationary)
        if name in REGISTRY or name in INPUTS:
            raise ValueError(f"{name} is declared twice")
        if not declared.description:
            raise ValueError(f"{name} has no docstring, which is its description")
        REGISTRY[name] = declared
        return function

    return declare


def complete() -> dict[str, Feature]:
    """All features that were declared, once every module was imported.

    Raises:
        ValueError: one is made from something that is neither an input nor a feature.
        graphlib.CycleError: features are made from each other.
    """
    for declared in REGISTRY.values():
        unknown = [each for each in declared.inputs if each not in INPUTS and each not in REGISTRY]
        if unknown:
            raise ValueError(f"{declared.name} is made from {', '.join(unknown)}, which is neither an input nor a feature")
    in_order(list(REGISTRY))
    return dict(REGISTRY)


def in_order(names: "tuple[str, ...] | list[str]") -> list[list[str]]:
    """Some features with all that they are made from, in groups that only need the groups before.

    Raises:
        KeyError: there is no such feature.
    """
    graph: dict[str, set[str]] = {}
    waiting: list[Any] = list(names)
    while waiting:
        name = waiting.pop()
        if name not in graph:
            graph[name] = {each for each in REGISTRY[name].inputs if each not in INPUTS}
            waiting += graph[name]
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    groups = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=list(REGISTRY).index)
        groups.append(ready)
        sorter.done(*ready)
    return groups
