"""Coverage against brute force over small integer times: what is called whole never lacks a trade."""

from itertools import pairwise

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from rrr_assets.calc.coverage import (
    Hole,
    Interval,
    TapeBuilder,
    changed,
    covered_by_claim,
    covered_by_ids,
    holds,
    subtract,
    union,
)

DAY = (20, 40)

intervals = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=6)


def times(some: list[Interval]) -> set[int]:
    return {time for start, end in some for time in range(start, end)}


def assert_tidy(found: list[Interval]) -> None:
    assert all(start < end for start, end in found)
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(found))


@given(intervals, intervals)
def test_intervals_are_sets_of_times(some: list[Interval], others: list[Interval]) -> None:
    joined, rest, differing = union(some), subtract(some, others), changed(some, others)
    for found in (joined, rest, differing):
        assert_tidy(found)
    assert times(joined) == times(some)
    assert times(rest) == times(some) - times(others)
    assert times(differing) == times(some) ^ times(others)
    for found in (joined, differing):
        assert all(earlier[1] < later[0] for earlier, later in pairwise(found)), "touching ones are joined"


@given(intervals, intervals, st.integers(0, 15), st.integers(1, 6))
def test_a_bar_is_complete_where_every_time_of_it_is_covered_or_accepted(
    covered: list[Interval], accepted: list[Interval], start: int, length: int
) -> None:
    bar = (start, start + length)
    assert holds(covered, accepted, bar) == (times([bar]) <= times(covered) | times(accepted))


def summarised(trades: list[tuple[int, int]], cuts: set[int]) -> TapeBuilder:
    """A builder that was given trades, (id, time), in batches that end at `cuts`."""
    builder = TapeBuilder()
    bounds = [0, *sorted(cut for cut in cuts if cut <= len(trades)), len(trades)]
    for start, end in pairwise(bounds):
        some = trades[start:end]
        builder.add(np.array([number for number, _ in some], np.int64), np.array([time for _, time in some], np.int64))
    return builder


@given(
    gaps=st.lists(st.integers(0, 6), min_size=2, max_size=25),
    first_time=st.integers(0, 30),
    dropped=st.sets(st.integers(0, 24)),
    is_declared=st.booleans(),
    cuts=st.sets(st.integers(0, 25)),
)
def test_what_ids_show_to_be_whole_lacks_no_trade(
    gaps: list[int], first_time: int, dropped: set[int], is_declared: bool, cuts: set[int]
) -> None:
    traded = [(100 + n, first_time + int(total)) for n, total in enumerate(np.cumsum(gaps).tolist())]
    stored = [trade for n, trade in enumerate(traded) if n not in dropped]
    inside = [trade for trade in stored if DAY[0] <= trade[1] < DAY[1]]
    before = [number for number, time in stored if time < DAY[0]]
    after = [number for number, time in stored if time >= DAY[1]]
    assume(inside)
    if is_declared:
        # A source that claims the day has its ends; a claim is only taken where no neighbour's id can be asked.
        of_day = [trade for trade in traded if DAY[0] <= trade[1] < DAY[1]]
        assume((before or of_day[0] == inside[0]) and (after or of_day[-1] == inside[-1]))
    tape = summarised(inside, cuts).tape()
    covered = covered_by_ids(DAY, tape, is_declared, before[-1] if before else None, after[0] if after else None)
    assert_tidy(covered)
    assert times(covered) <= times([DAY])
    missing = {time for n, (_, time) in enumerate(traded) if n in dropped}
    assert not times(covered) & missing
    for start in range(*DAY):
        for length in (1, 2, 5):
            bar = (start, start + length)
            assert not (holds(covered, [], bar) and times([bar]) & missing)


@given(gaps=st.lists(st.integers(0, 6), min_size=1, max_size=25), hole=st.integers(0, 24), is_declared=st.booleans())
def test_what_is_whole_is_called_so(gaps: list[int], hole: int, is_declared: bool) -> None:
    day_times = [time for time in (DAY[0] + int(total) for total in np.cumsum(gaps).tolist()) if time < DAY[1]]
    assume(day_times)
    trades = list(enumerate(day_times, 100))
    neighbours = (None, None) if is_declared else (99, 100 + len(trades))
    assert covered_by_ids(DAY, summarised(trades, set()).tape(), is_declared, *neighbours) == [DAY]
    if 0 < hole < len(trades) - 1:
        # Only what lies from one neighbour of the hole to the other is in doubt.
        tape = summarised([trade for trade in trades if trade[0] != 100 + hole], set()).tape()
        covered = covered_by_ids(DAY, tape, is_declared, *neighbours)
        assert times(covered) == times([DAY]) - times([(day_times[hole - 1], day_times[hole + 1] + 1)])


def test_without_neighbour_or_claim_the_ends_are_open() -> None:
    tape = summarised([(5, 25), (6, 30)], set()).tape()
    assert covered_by_ids(DAY, tape, False, None, None) == [(26, 30)]
    assert covered_by_ids(DAY, tape, True, None, None) == [DAY]
    # A neighbour's id is better evidence than a claim.
    assert covered_by_ids(DAY, tape, True, 3, 8) == [(26, 30)]
    assert covered_by_ids(DAY, tape, False, 4, 7) == [DAY]


def test_a_hole_between_times_that_step_back_is_held_from_the_lower_to_the_higher() -> None:
    assert Hole(5, 30, 9, 27).interval == (27, 31)
    assert Hole(5, 30, 9, 27).missing_ids == (6, 9)


@given(st.integers(20, 39), st.integers(0, 19), st.booleans(), intervals)
def test_a_claim_covers_what_it_says_less_its_doubts(first: int, length: int, is_declared: bool, doubts: list[Interval]) -> None:
    shifted = [(start + 20, end + 20) for start, end in doubts]
    covered = covered_by_claim(DAY, first, first + length, is_declared, shifted)
    assert_tidy(covered)
    assert times(covered) == (times([DAY]) if is_declared else times([(first + 1, first + length)])) - times(shifted)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 30))), st.booleans(), st.sets(st.integers(0, 30)))
def test_batches_do_not_matter(trades: list[tuple[int, int]], is_sorted: bool, cuts: set[int]) -> None:
    if is_sorted:
        trades = sorted({number: (number, time) for number, time in trades}.values())
    built = summarised(trades, cuts)
    assert built.rows == len(trades)
    if not trades:
        return
    ids, stamps = [number for number, _ in trades], [time for _, time in trades]
    assert (built.first_id, built.last_id, built.first_time, built.last_time) == (ids[0], ids[-1], stamps[0], stamps[-1])
    assert (built.lowest_id, built.highest_id) == (min(ids), max(ids))
    assert (built.lowest_time, built.highest_time) == (min(stamps), max(stamps))
    assert built.is_increasing == all(earlier < later for earlier, later in pairwise(ids))
    if built.is_increasing:
        missing = {number for hole in built.holes for number in range(*hole.missing_ids)}
        assert missing == set(range(ids[0], ids[-1])) - set(ids)
        by_id = dict(trades)
        assert all((by_id[hole.id_before], by_id[hole.id_after]) == (hole.time_before, hole.time_after) for hole in built.holes)
        assert built.tape().holes == tuple(built.holes)
