"""Identity without ids: places among equal times, and which of two times of a trade is the finer."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rrr_assets.calc.identity import ORDINALS, UNIT_US, Ordinals, is_finer, split_sequence

units = st.sampled_from(list(UNIT_US))


@given(st.one_of(st.lists(st.lists(st.integers(0, 5))), st.lists(st.lists(st.integers(-(2**62), 2**62)))), st.booleans())
def test_ordinals_equal_a_plain_count(batches: list[list[int]], in_order: bool) -> None:
    if in_order:
        flat = iter(sorted(time for batch in batches for time in batch))
        batches = [[next(flat) for _ in batch] for batch in batches]
    ordinals, seen = Ordinals(), Counter[int]()
    for batch in batches:
        expected = []
        for time in batch:
            expected.append(seen[time])
            seen[time] += 1
        found = ordinals.number(np.array(batch, np.int64))
        assert found.dtype == np.int64
        assert found.tolist() == expected


@given(st.integers(0, 2**63 // ORDINALS - 1), st.integers(0, ORDINALS - 1))
def test_a_sequence_is_split_into_what_it_was_made_of(microsecond: int, ordinal: int) -> None:
    assert microsecond * ORDINALS + ordinal < 2**63
    assert split_sequence(microsecond * ORDINALS + ordinal) == (microsecond, ordinal)


@given(st.integers(0, 2**51), units, units)
def test_one_trade_told_twice_is_finer_where_it_says_more(time_us: int, new_unit: str, old_unit: str) -> None:
    new_us, old_us = (time_us - time_us % UNIT_US[unit] for unit in (new_unit, old_unit))
    assert is_finer(new_us, new_unit, old_us, old_unit) == (UNIT_US[new_unit] < UNIT_US[old_unit] and new_us > old_us)


@given(st.integers(0, 5_000), units, st.integers(0, 5), st.sampled_from(["s", "ms"]))
def test_another_time_is_never_finer(new_us: int, new_unit: str, old: int, old_unit: str) -> None:
    old_us = old * UNIT_US[old_unit]
    if is_finer(new_us, new_unit, old_us, old_unit):
        assert old_us < new_us < old_us + UNIT_US[old_unit]
        assert not is_finer(old_us, old_unit, new_us, new_unit)
