"""Sorted files made one: their rows in one order, a part of each in memory at a time.

Belongs here: the merge. Does not: reading or writing files (files.py).
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa


def merged(sources: Sequence[Iterator[pa.RecordBatch]], order: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of some sources, each in an order that ends in a key, in that order.

    What is held is one batch of each source, and what of the last ones could not be handed on yet.
    """
    if len(sources) == 1:
        yield from sources[0]
        return
    by = [(name, "ascending") for name in order]
    waiting = [_Waiting(source) for source in sources]
    while True:
        for each in waiting:
            each.fill()
        held = [each for each in waiting if each.rows is not None]
        if not held:
            return
        # Up to the least of the last rows nothing can come before what is held.
        border = min(each.key(each.rows.num_rows - 1, order) for each in held if each.rows is not None)
        pieces = [each.take(border, order) for each in held]
        yield from pa.Table.from_batches([piece for piece in pieces if piece.num_rows]).sort_by(by).combine_chunks().to_batches()


class _Waiting:
    """The rows of one source that were read and not handed on."""

    def __init__(self, source: Iterator[pa.RecordBatch]) -> None:
        self._source = source
        self.rows: pa.RecordBatch | None = None

    def fill(self) -> None:
        while self.rows is None:
            batch = next(self._source, None)
            if batch is None:
                return
            self.rows = batch if batch.num_rows else None

    def key(self, place: int, order: Sequence[str]) -> tuple[Any, ...]:
        if self.rows is None:
            raise IndexError(place)
        return tuple(_comparable(self.rows.column(name)[place]) for name in order)

    def take(self, border: tuple[Any, ...], order: Sequence[str]) -> pa.RecordBatch:
        """The rows up to a key, which are then no longer held."""
        if self.rows is None:
            raise IndexError(border)
        rows = self.rows
        count = bisect_right(range(rows.num_rows), border, key=lambda place: self.key(place, order))
        self.rows = rows.slice(count) if count < rows.num_rows else None
        return rows.slice(0, count)


def _comparable(value: pa.Scalar) -> Any:
    """A value as Python compares it in the order of the table: text by its bytes, times as whole numbers."""
    if pa.types.is_timestamp(value.type):
        return value.value
    told = value.as_py()
    return told.encode() if isinstance(told, str) else told
