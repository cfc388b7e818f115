"""Midnight, where no source says how long it listened: a day that begins or ends without a row for a while has no gap there."""

from dataclasses import replace

import pytest

from rrr_assets.calc.gaps import EDGE_SPACINGS, LONGEST_EDGE, DayHeld, unseen

DAY = (0, 86_400_000_000)
SECOND = 1_000_000
ROWS = 50_000  # so many that 20 of their spacings are less than five minutes


def held(first: int, last: int, *, is_consecutive: bool, is_declared: bool = False, is_expected: bool = True) -> DayHeld:
    covered = [DAY] if is_declared else [(first + 1, last)]
    return DayHeld(DAY, covered, first, last, True, is_consecutive, is_expected or is_declared, is_declared=is_declared, row_count=ROWS)


@pytest.mark.parametrize("is_consecutive", [True, False])
def test_a_quiet_midnight_is_no_gap(is_consecutive: bool) -> None:
    assert unseen(held(20 * SECOND, DAY[1] - 100 * SECOND, is_consecutive=is_consecutive)) == []
    assert unseen(held(20 * SECOND, DAY[1] - 100 * SECOND, is_consecutive=is_consecutive, is_declared=True)) == []


@pytest.mark.parametrize("is_consecutive", [True, False])
def test_who_began_to_listen_late_has_a_gap(is_consecutive: bool) -> None:
    late = LONGEST_EDGE + SECOND
    assert unseen(held(late, DAY[1] - SECOND, is_consecutive=is_consecutive)) == [(0, late + 1)]
    assert unseen(held(SECOND, DAY[1] - late, is_consecutive=is_consecutive)) == [(DAY[1] - late, DAY[1])]
    assert unseen(held(late, DAY[1] - SECOND, is_consecutive=is_consecutive, is_expected=False)) == []


def test_the_less_there_is_the_longer_midnight_may_be_quiet() -> None:
    rows = 1000
    last = DAY[1] - 900 * SECOND
    quiet = DayHeld(DAY, [(SECOND, last)], SECOND, last, True, False, True, is_declared=False, row_count=rows)
    assert quiet.longest_edge == EDGE_SPACINGS * (last - SECOND) // rows
    assert unseen(quiet) == []
    assert unseen(replace(quiet, row_count=10 * rows)) == [(last, DAY[1])]


def test_inside_the_day_and_of_what_a_source_claims_every_moment_counts() -> None:
    inside = DayHeld(
        DAY, [(SECOND, 10 * SECOND), (11 * SECOND, DAY[1] - SECOND)], SECOND, DAY[1] - SECOND, True, False, True, is_declared=False
    )
    assert unseen(inside) == [(10 * SECOND, 11 * SECOND)]
    refused_at_midnight = DayHeld(DAY, [(2 * SECOND, DAY[1])], SECOND, DAY[1] - SECOND, True, False, True, is_declared=True)
    assert unseen(refused_at_midnight) == [(0, 2 * SECOND)]
