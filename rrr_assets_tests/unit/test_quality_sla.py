"""The arithmetic of error budgets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrr_assets.calc.quality_sla import budget_used

SHARE = st.floats(0, 1)


@pytest.mark.parametrize(
    ("mean", "objective", "used"), [(1, 0.999, 0), (0.999, 0.999, 1), (0.998, 0.999, 2), (1, 1, 0), (0.5, 1, float("inf")), (0.5, 0, 0.5)]
)
def test_the_budget_is_what_the_objective_leaves(mean: float, objective: float, used: float) -> None:
    assert budget_used(mean, objective) == pytest.approx(used)


@given(SHARE, SHARE, SHARE)
def test_more_lost_uses_more_and_a_stricter_promise_leaves_less(mean: float, worse: float, objective: float) -> None:
    low, high = sorted((mean, worse))
    assert budget_used(low, objective) >= budget_used(high, objective) >= 0
    assert budget_used(mean, max(objective, worse)) >= budget_used(mean, min(objective, worse))


@given(SHARE, st.floats(0, 0.9999))
def test_it_is_gone_just_where_the_promise_is_broken(mean: float, objective: float) -> None:
    if abs(mean - objective) > 1e-9:
        assert (budget_used(mean, objective) > 1) == (mean < objective)
