"""Progress of long commands, for who looks at a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Bars:
    """Progress bars, one per step; silent where nobody looks."""

    def __init__(self, progress: Any | None) -> None:
        self._progress = progress
        self._tasks: dict[str, Any] = {}

    def step(self, name: str, done: int, total: int) -> None:
        if self._progress is None:
            return
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)

    def asset(self, asset: str, done: int, total: int) -> None:
        self.step(f"{asset} (days)", done, total)


@contextmanager
def progress_bars(*, show: bool) -> Iterator[Bars]:
    """Progress bars on stderr while the block lasts; none where nobody looks."""
    if not show:
        yield Bars(None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield Bars(progress)
