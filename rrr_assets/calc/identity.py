"""Who a trade is: the venue's id where there is one, its place among equal times where there is none.

Belongs here: the sequence of streams without ids, and which of two times of one trade is the finer.
Does not: looking either up in a table (warehouse/).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

ORDINALS: Final = 4096
"""Room for equal times: sequence = microseconds * 4096 + ordinal, good until the year 2041."""

UNIT_US: Final = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 1}
"""Microseconds in a source's unit of time; nanoseconds are kept beside and count as microseconds here."""


def split_sequence(sequence: int) -> tuple[int, int]:
    """The microsecond since 1970 UTC and the ordinal that make up a sequence of space `ordinal`."""
    return divmod(sequence, ORDINALS)


def is_finer(new_us: int, new_unit: str, old_us: int, old_unit: str) -> bool:
    """Whether `new_us` tells the time of the same trade more finely than `old_us`.

    Both in microseconds since 1970 UTC, each as precise as its unit says. Venues cut times off, they do
    not round them: 12:00:00.123 of a capture is 12:00:00.123456 of a file.
    """
    return UNIT_US[new_unit] < UNIT_US[old_unit] and new_us != old_us and new_us - new_us % UNIT_US[old_unit] == old_us


class Ordinals:
    """Counts the lines of each microsecond over a whole file that comes in batches and in any order.

    Every physical line whose time could be read takes part, refused ones too, so that mending a line
    later moves no other. Holds a (microsecond, count) pair of 16 bytes for every microsecond of each batch.
    """

    def __init__(self) -> None:
        # Batch by batch, because a file is most often in order: then a batch meets its neighbour alone.
        self._seen: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []

    def number(self, times_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """The ordinal of each line among all lines of the same microsecond so far, from 0.

        Args:
            times_us: microseconds since 1970 UTC, in the order of the lines, shape (n,).

        Returns:
            Ordinals, shape (n,). A value of 4096 or more does not fit a sequence: the caller refuses the row.
        """
        if len(times_us) == 0:
            return np.empty(0, np.int64)
        order = np.argsort(times_us, kind="stable")
        times, first, counts = np.unique(times_us[order], return_index=True, return_counts=True)
        ordinals = np.empty(len(times_us), np.int64)
        ordinals[order] = np.arange(len(times_us)) - np.repeat(first - self._count_of(times), counts)
        self._seen.append((times, counts.astype(np.int64)))
        return ordinals

    def _count_of(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many lines of each of some ascending times were seen."""
        total = np.zeros(len(times), np.int64)
        for seen, counts in self._seen:
            if seen[-1] >= times[0] and seen[0] <= times[-1]:
                at = np.minimum(np.searchsorted(seen, times), len(seen) - 1)
                total += np.where(seen[at] == times, counts[at], 0)
        return total
