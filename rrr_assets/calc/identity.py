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
    later moves no other.
    """

    def __init__(self) -> None:
        self._times = np.empty(0, np.int64)
        self._counts = np.empty(0, np.int64)

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
        ordered = times_us[order]
        unique, first, counts = np.unique(ordered, return_index=True, return_counts=True)
        before = self._count_of(unique)
        within = np.arange(len(ordered)) - np.repeat(first, counts) + np.repeat(before, counts)
        ordinals = np.empty(len(ordered), np.int64)
        ordinals[order] = within
        self._remember(unique, before + counts)
        return ordinals

    def _count_of(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        at = np.searchsorted(self._times, times)
        at_known = np.minimum(at, max(len(self._times) - 1, 0))
        if len(self._times) == 0:
            return np.zeros(len(times), np.int64)
        return np.where(self._times[at_known] == times, self._counts[at_known], 0)

    def _remember(self, times: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        all_times = np.concatenate([times, self._times])
        all_counts = np.concatenate([counts, self._counts])
        # The newest count of a time stands first, and np.unique keeps the first.
        self._times, newest = np.unique(all_times, return_index=True)
        self._counts = all_counts[newest]
