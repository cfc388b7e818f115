"""The page of a validation: table by table, expectation by expectation, in one file that needs no network.

Belongs here: how the page looks. Does not: what is on it (expectations), where it is put (validations).
"""

from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Final

from rrr_assets.quality.expectations import Validation

_TEMPLATE: Final = Path(__file__).with_name("validation.html.j2")


def validation_page(day: date, validations: Sequence[Validation]) -> str:
    """The page, light or dark as its reader has it. What is not met stands first."""
    from jinja2 import Environment

    # What rows hold is anybody's text: it is shown, never run.
    made = Environment(autoescape=True, trim_blocks=False).from_string(_TEMPLATE.read_text("utf-8"))
    return made.render(
        day=day,
        validations=sorted(validations, key=lambda one: (one.is_success, one.relation)),
        unmet=sum(one.unmet for one in validations),
        evaluated=sum(len(one.answers) for one in validations),
        seconds=sum(one.seconds for one in validations),
        at=max((one.at for one in validations), default=None),
        version=version("great-expectations"),
    )
