"""How rows of the ledger follow what is missing: nothing twice, nothing forgotten, no row grows."""

from hypothesis import given
from hypothesis import strategies as st

from rrr_assets.calc.coverage import Hole, Interval, subtract, union
from rrr_assets.calc.gaps import DayHeld, Lacking, Live, midnight_hole, settle, unseen

SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 8)), max_size=8).map(
    lambda pairs: union((start, start + length) for start, length in pairs)
)
DAY: Interval = (0, 1000)


def ids(spans: list[Interval], at: int = 5_000) -> list[Lacking]:
    """Missing ids, traded at times that are no ids."""
    return [Lacking(start, end, at + start - 1, at + end + 1) for start, end in spans]


def as_ledger(rows: dict[int, Lacking], wanted: list[Lacking], there: list[Interval]) -> dict[int, Lacking]:
    """The ledger after it followed."""
    settled = settle([Live(number, lacks) for number, lacks in rows.items()], wanted, there)
    assert not set(settled.healed) & set(settled.withdrawn)
    left = {number: lacks for number, lacks in rows.items() if number not in {*settled.healed, *settled.withdrawn}}
    left |= {row.gap_id: row.lacks for row in settled.kept}
    number = max([*rows, 0])
    for lacks, parent in settled.new:
        number += 1
        left[number] = lacks
        if parent is not None:
            assert rows[parent].start <= lacks.start < lacks.end <= rows[parent].end
    return left


@given(st.lists(SPANS, min_size=1, max_size=6))
def test_the_ledger_is_what_is_missing_after_every_step(steps: list[list[Interval]]) -> None:
    rows: dict[int, Lacking] = {}
    for missing in steps:
        before = dict(rows)
        rows = as_ledger(rows, ids(missing), subtract([(0, 100)], missing))
        spans = sorted((lacks.start, lacks.end) for lacks in rows.values())
        assert union(spans) == missing
        assert sum(end - start for start, end in spans) == sum(end - start for start, end in missing)
        for number, lacks in rows.items():
            if number in before:
                assert before[number].start <= lacks.start < lacks.end <= before[number].end
            [whole] = [each for each in ids(missing) if each.start <= lacks.start < each.end]
            assert (lacks.from_time, lacks.to_time) == (whole.from_time, whole.to_time)
        again = settle([Live(number, lacks) for number, lacks in rows.items()], ids(missing), [])
        assert not again


@given(SPANS, SPANS)
def test_a_part_of_an_interval_has_its_own_times(before: list[Interval], after: list[Interval]) -> None:
    rows = as_ledger({}, [Lacking.times(span) for span in before], [])
    rows = as_ledger(rows, [Lacking.times(span) for span in after], [])
    assert all((lacks.start, lacks.end) == (lacks.from_time, lacks.to_time) for lacks in rows.values())
    assert union((lacks.start, lacks.end) for lacks in rows.values()) == after


def test_what_is_there_is_healed_and_what_is_unknown_is_withdrawn() -> None:
    live = [Live(1, ids([(10, 20)])[0]), Live(2, ids([(30, 40)])[0])]
    settled = settle(live, [], [(0, 25)])
    assert (settled.healed, settled.withdrawn) == ([1], [2])


def test_a_hole_at_midnight_needs_rows_on_both_sides() -> None:
    assert midnight_hole((9, 100), (10, 120)) == []
    assert midnight_hole((9, 100), (12, 120)) == [Hole(9, 100, 12, 120)]
    assert midnight_hole((9, 100), (3, 120)) == []
    assert midnight_hole(None, (3, 120)) == []


def held(covered: list[Interval], *, expected: bool, consecutive: bool, before: bool = False, after: bool = False) -> DayHeld:
    return DayHeld(DAY, covered, 100, 800, True, consecutive, expected, before, after)


def test_what_nobody_saw_of_a_day() -> None:
    parts = [(101, 300), (400, 800)]
    assert unseen(held(parts, expected=False, consecutive=False)) == [(300, 400)]
    assert unseen(held(parts, expected=True, consecutive=False)) == [(0, 101), (300, 400), (800, 1000)]
    # Ids tell of the inside, and of the edge towards a day that is held.
    assert unseen(held(parts, expected=True, consecutive=True)) == [(0, 101), (800, 1000)]
    assert unseen(held(parts, expected=True, consecutive=True, before=True)) == [(800, 1000)]
    assert unseen(held(parts, expected=False, consecutive=True)) == []
    assert unseen(held([DAY], expected=True, consecutive=True)) == []
    # Ids are missing right after the first row and right before the last one.
    assert unseen(held([(0, 100), (200, 300), (801, 1000)], expected=True, consecutive=True)) == []
    assert unseen(DayHeld(DAY, [], 0, 0, False, False, True)) == []
