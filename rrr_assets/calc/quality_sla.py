"""What a promise leaves of its budget for errors.

Belongs here: the arithmetic, pure. Does not: what is promised (calc/quality_config), what was measured (warehouse/quality_status).
"""


def budget_used(mean: float, objective: float) -> float:
    """How much of the error budget is used: 0 none, 1 all, above 1 more than there was.

    (1 - mean) / (1 - objective), as in Beyer et al., Site Reliability Engineering, chapter 3 (2016): the budget is what the objective
    leaves to be lost. Where nothing may be lost, the least loss is infinitely more than there was.

    Args:
        mean: mean share over the window, 0 to 1.
        objective: what is promised, 0 to 1.
    """
    lost = max(1.0 - mean, 0.0)
    allowed = 1.0 - objective
    if lost == 0.0:
        return 0.0
    return lost / allowed if allowed > 0.0 else float("inf")
