"""Who may change stored rows and archived files: what the environment permits, and nothing where it names none.

Belongs here: the one question that is asked before anything is dropped, deleted or removed. Does not: what is permitted where
(contracts/retention), what else must hold before something is dropped (archive/).
"""

import os
from typing import get_args

from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.contracts.retention import ENVIRONMENT, PERMITTED, Change


class NotPermitted(PermanentFailure):
    """The environment does not permit this change. Nothing was changed."""


def environment() -> str | None:
    """The environment that RRR_ENVIRONMENT names; None where it names none."""
    return os.environ.get(ENVIRONMENT) or None


def permitted(change: Change) -> None:
    """Return where this environment permits a change.

    Raises:
        NotPermitted: it does not, or RRR_ENVIRONMENT names no environment that is known.
    """
    named = environment()
    if named is None:
        raise NotPermitted(f"nothing says which environment this is, so `{change}` is not permitted. Set {ENVIRONMENT} to {_known()}")
    if named not in PERMITTED:
        raise NotPermitted(f"{ENVIRONMENT} {named} is not known, so `{change}` is not permitted. Set it to {_known()}")
    if change not in get_args(Change) or change not in PERMITTED[named]:
        raise NotPermitted(f"`{change}` is not permitted in {named}. It is in {_permitting(change)}")


def is_permitted(change: Change) -> bool:
    """Whether this environment permits a change: what runs by itself only says what it would do where it does not."""
    try:
        permitted(change)
    except NotPermitted:
        return False
    return True


def _known() -> str:
    return f"one of {', '.join(PERMITTED)}"


def _permitting(change: Change) -> str:
    return ", ".join(name for name, changes in PERMITTED.items() if change in changes) or "no environment"
