"""Gaps: from what is held to what is missing, and how the rows of a ledger follow what is missing, pure.

Belongs here: which ids and intervals are missing, and which row of the ledger shrinks, splits, closes or is new. Does not: the ledger
(warehouse/gap_ledger), whether a silence is one (calc/quality_silence).
All times are microseconds since 1970 UTC; intervals, of times and of ids, are half open, [start, end).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from rrr_assets.calc.coverage import Hole, Interval, subtract, union

LONGEST_EDGE: Final = 300_000_000
"""So long, in microseconds, a day may begin or end without a row, where no source says how long it listened. As in `gaps_differing.sql`."""

EDGE_SPACINGS: Final = 20
"""Or so many times the mean time from row to row, where that is longer: by chance that happens once in 500 million midnights (e^-20), and
once in 20,000 where midnight is half as busy as the day."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """A stretch that is missing: of ids or of times, and between which times its rows may lie."""

    start: int
    end: int
    from_time: int
    to_time: int

    @classmethod
    def ids(cls, hole: Hole) -> "Lacking":
        """The ids of a hole."""
        return cls(*hole.missing_ids, *hole.interval)

    @classmethod
    def times(cls, interval: Interval) -> "Lacking":
        """A stretch of time of which nothing is known."""
        return cls(*interval, *interval)


@dataclass(frozen=True, slots=True)
class Live:
    """A row of the ledger that is not healed."""

    gap_id: int
    lacks: Lacking


@dataclass(frozen=True, slots=True)
class Settled:
    """What becomes of the rows of a ledger.

    `kept` are rows that shrink or move, `new` are rows to be made, each with the row that it was split from, `healed` are rows all of which
    is there, `withdrawn` are rows of which nothing says any more that it is missing.
    """

    kept: list[Live] = field(default_factory=list)
    new: list[tuple[Lacking, int | None]] = field(default_factory=list)
    healed: list[int] = field(default_factory=list)
    withdrawn: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.kept or self.new or self.healed or self.withdrawn)


def settle(live: Iterable[Live], wanted: Iterable[Lacking], there: Iterable[Interval]) -> Settled:
    """Let rows of a ledger follow what is missing now.

    A row never grows: what went missing later is a row of its own. So a row that is accepted, or was tried to heal, keeps its meaning.

    Args:
        live: the rows that are not healed, of one instrument and stream; they do not overlap.
        wanted: what is missing now, disjoint; what touches stays apart.
        there: where rows are known to be held, so that what is not wanted in it is healed, and not just unknown.
    """
    settled = Settled()
    wanted = sorted(wanted, key=lambda lacks: lacks.start)
    starts, ends = [lacks.start for lacks in wanted], [lacks.end for lacks in wanted]
    is_there = union(there)
    taken: dict[int, list[Interval]] = {}
    for row in sorted(live, key=lambda row: (row.lacks.start, row.gap_id)):
        pieces = []
        for at in range(bisect_right(ends, row.lacks.start), bisect_left(starts, row.lacks.end)):
            inside = (max(row.lacks.start, starts[at]), min(row.lacks.end, ends[at]))
            # Of what two rows claim, which should not be, the first one keeps it.
            for start, end in subtract([inside], taken.get(at, ())):
                pieces.append(_piece(wanted[at], start, end))
                taken.setdefault(at, []).append((start, end))
        if not pieces:
            gone = settled.healed if _is_within(is_there, row.lacks) else settled.withdrawn
            gone.append(row.gap_id)
            continue
        if pieces[0] != row.lacks:
            settled.kept.append(Live(row.gap_id, pieces[0]))
        settled.new.extend((piece, row.gap_id) for piece in pieces[1:])
    for at, lacks in enumerate(wanted):
        settled.new.extend((_piece(lacks, start, end), None) for start, end in subtract([(lacks.start, lacks.end)], taken.get(at, ())))
    return settled


def _is_within(spans: Sequence[Interval], lacks: Lacking) -> bool:
    """Whether one of disjoint spans in order holds all of it."""
    at = bisect_right(spans, lacks.start, key=lambda span: span[0]) - 1
    return at >= 0 and lacks.end <= spans[at][1]


def _piece(lacks: Lacking, start: int, end: int) -> Lacking:
    """A part of what is missing. A part of ids may lie wherever the whole may."""
    if (lacks.start, lacks.end) == (lacks.from_time, lacks.to_time):
        return Lacking(start, end, start, end)
    return Lacking(start, end, lacks.from_time, lacks.to_time)


@dataclass(frozen=True, slots=True)
class DayHeld:
    """What is held of a day, as far as gaps go; `is_expected`: declared, that is claimed by a source, or listed.

    `has_before` and `has_after`: rows of the same identity are held of the days beside it.
    """

    day: Interval
    covered: Sequence[Interval]
    first_time: int
    last_time: int
    has_rows: bool
    is_consecutive: bool
    is_expected: bool
    has_before: bool = False
    has_after: bool = False
    is_declared: bool = True
    row_count: int = 0

    @property
    def longest_edge(self) -> int:
        """How long, in microseconds, the day may begin or end without a row."""
        return max(LONGEST_EDGE, EDGE_SPACINGS * (self.last_time - self.first_time) // max(self.row_count, 1))


def unseen(held: DayHeld) -> list[Interval]:
    """The intervals of a day that nobody saw and that no missing ids tell of.

    Of a day that is expected, or that a source claims to hold, all of it should be covered; of another one what lies between the first and
    the last moment that is. Where ids are consecutive the inside of the day and its edges towards a day that is held are told by ids: what
    is left are the edges towards days of which nothing is held. Of a day that is expected and that no source claims, what lies before its
    first row or after its last is no gap below its `longest_edge`: nobody may have traded at midnight.
    """
    found = _unseen(held) if held.has_rows else []
    if held.is_declared:
        return found
    return [(start, end) for start, end in found if end - start >= held.longest_edge or (start != held.day[0] and end != held.day[1])]


def _unseen(held: DayHeld) -> list[Interval]:
    if not held.is_consecutive:
        if held.is_expected:
            return subtract([held.day], held.covered)
        return subtract([(held.covered[0][0], held.covered[-1][1])], held.covered) if held.covered else []
    if not held.is_expected:
        return []
    # Ids may be missing beside the first row, and at its very time: that is no edge.
    start, end = held.day
    edges = []
    if not held.has_before and held.first_time > start and subtract([(start, start + 1)], held.covered):
        edges.append((start, held.first_time + 1))
    if not held.has_after and subtract([(end - 1, end)], held.covered):
        edges.append((held.last_time, end))
    return subtract(edges, held.covered)


def midnight_hole(last: tuple[int, int] | None, first: tuple[int, int] | None) -> list[Hole]:
    """The hole between the last (id, time) of a day and the first of the next; none where they meet, or nothing is held on one side."""
    if last is None or first is None or first[0] <= last[0] + 1:
        return []
    return [Hole(*last, *first)]
