"""Where the seconds of a day's way go.

Belongs here: counting seconds by stage. Does not: the stages.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TypeVar

Item = TypeVar("Item")


class Stages:
    """Seconds by the name of a stage. Stages that run beside each other count in full, so that all of them may take longer than the way."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def spent(self, name: str) -> Iterator[None]:
        """Count what happens inside; one thread at a time for a name."""
        begun = perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - begun

    def making(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """The same items; counts what making them takes, and not what is done with them."""
        made = iter(items)
        end = object()
        while True:
            with self.spent(name):
                item = next(made, end)
            if item is end:
                return
            yield item  # type: ignore[misc]  # the end was looked for
