"""Coverage: over which stretch of time a tape is known to be whole.

Belongs here: from ids, times and claims to covered intervals, pure. Does not: the ledger (warehouse/).
Where ids are consecutive, a stretch between two consecutive ids is whole: nothing can have been traded in
it. At its ends it is open, because other trades may share the first or the last timestamp. A source that
claims a whole day covers it, less what its ids or its refused rows show to be missing.
All times are microseconds since 1970 UTC; intervals are half open, [start, end).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Hole:
    """A jump in consecutive ids: the trades on both sides of it. Ids strictly between are missing."""

    id_before: int
    time_before: int
    id_after: int
    time_after: int

    @property
    def missing_ids(self) -> Interval:
        """The ids that are not there, half open."""
        return (self.id_before + 1, self.id_after)

    @property
    def interval(self) -> Interval:
        """Where they may have been traded; venues' clocks may step back, so the order of the two is not trusted."""
        return (min(self.time_before, self.time_after), max(self.time_before, self.time_after) + 1)


@dataclass(frozen=True, slots=True)
class Tape:
    """One instrument's day as stored, in a space of consecutive ids."""

    first_id: int
    first_time: int
    last_id: int
    last_time: int
    holes: tuple[Hole, ...] = ()


def covered_by_ids(day: Interval, tape: Tape, is_declared: bool, id_before: int | None, id_after: int | None) -> list[Interval]:
    """Where a day's tape is whole, judged by its ids.

    Args:
        day: the day.
        tape: what is stored of it.
        is_declared: a source claims to hold the whole day.
        id_before: the last id stored of the day before, None where nothing is stored.
        id_after: the first id stored of the day after, None where nothing is stored.

    Returns:
        Disjoint intervals in order.
    """
    head_is_whole = id_before == tape.first_id - 1 if id_before is not None else is_declared
    tail_is_whole = id_after == tape.last_id + 1 if id_after is not None else is_declared
    start = day[0] if head_is_whole else tape.first_time + 1
    end = day[1] if tail_is_whole else tape.last_time
    return subtract([(start, end)], [hole.interval for hole in tape.holes])


def covered_by_claim(day: Interval, first_time: int, last_time: int, is_declared: bool, doubts: Iterable[Interval]) -> list[Interval]:
    """Where a day's tape is whole, judged by what its source claims: for streams without ids.

    Args:
        day: the day.
        first_time: of the source's first row of that day.
        last_time: of its last.
        is_declared: the source claims the whole day; otherwise only what lies between its rows.
        doubts: where rows were refused, so that something is missing.
    """
    whole = day if is_declared else (first_time + 1, last_time)
    return subtract([whole], doubts)


def subtract(intervals: Iterable[Interval], holes: Iterable[Interval]) -> list[Interval]:
    """What is left of intervals without the holes; empty intervals vanish. Both in any order; the result is disjoint and in order."""
    left: list[Interval] = []
    gone = union(holes)
    at = 0
    for start, end in union(intervals):
        # Holes come in order, as intervals do: one that ended before this interval matters to none after it.
        while at < len(gone) and gone[at][1] <= start:
            at += 1
        inside, since = at, start
        while inside < len(gone) and gone[inside][0] < end:
            if since < gone[inside][0]:
                left.append((since, gone[inside][0]))
            since = max(since, gone[inside][1])
            inside += 1
        if since < end:
            left.append((since, end))
    return left


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Disjoint intervals in order that hold the same times; touching ones are joined, empty ones vanish."""
    joined: list[Interval] = []
    for start, end in sorted(interval for interval in intervals if interval[0] < interval[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def changed(before: Iterable[Interval], after: Iterable[Interval]) -> list[Interval]:
    """Where exactly one of two coverages holds."""
    before, after = list(before), list(after)
    return union([*subtract(before, after), *subtract(after, before)])


def holds(covered: Sequence[Interval], accepted: Sequence[Interval], bar: Interval) -> bool:
    """Whether a bar is complete: inside one covered stretch, holes that a person accepted counting as covered."""
    return any(start <= bar[0] and bar[1] <= end for start, end in union([*covered, *accepted]))


class TapeBuilder:
    """Summarises an instrument's rows of one day as they come in batches: ids, times, holes.

    Holes are known only as long as ids strictly increase; a shuffled source is summarised from the table
    after it is stored. Ids that are not consecutive have none.
    """

    def __init__(self, is_consecutive: bool = True) -> None:
        self.is_consecutive = is_consecutive
        self.rows = 0
        self.is_increasing = True
        self.first_id = self.last_id = 0
        self.first_time = self.last_time = 0
        self.lowest_id = self.highest_id = 0
        self.lowest_time = self.highest_time = 0
        self.holes: list[Hole] = []

    def add(self, ids: NDArray[np.int64], times_us: NDArray[np.int64]) -> None:
        """Take in the next rows, both of shape (n,), in source order."""
        if len(ids) == 0:
            return
        if self.rows:
            ids, times_us = np.concatenate([[self.last_id], ids]), np.concatenate([[self.last_time], times_us])
        else:
            self.first_id, self.first_time = int(ids[0]), int(times_us[0])
            self.lowest_id = self.highest_id = self.first_id
            self.lowest_time = self.highest_time = self.first_time
        steps = np.diff(ids)
        self.is_increasing = self.is_increasing and bool((steps > 0).all())
        if self.is_increasing and self.is_consecutive:
            for at in np.flatnonzero(steps > 1):
                self.holes.append(Hole(int(ids[at]), int(times_us[at]), int(ids[at + 1]), int(times_us[at + 1])))
        self.rows += len(ids) - (1 if self.rows else 0)
        self.last_id, self.last_time = int(ids[-1]), int(times_us[-1])
        self.lowest_id, self.highest_id = min(self.lowest_id, int(ids.min())), max(self.highest_id, int(ids.max()))
        self.lowest_time, self.highest_time = min(self.lowest_time, int(times_us.min())), max(self.highest_time, int(times_us.max()))

    def tape(self) -> Tape:
        """The tape as stored, if ids increased all along."""
        return Tape(self.first_id, self.first_time, self.last_id, self.last_time, tuple(self.holes))
