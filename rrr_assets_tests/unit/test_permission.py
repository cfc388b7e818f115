"""What an environment does not permit is refused, and so is everything where none is named."""

import pytest

from rrr_assets.contracts.retention import ENVIRONMENT, PERMITTED
from rrr_assets.resources.permission import NotPermitted, permitted


@pytest.mark.parametrize("named", [None, "", "prod", "Production"])
def test_where_no_environment_is_named_nothing_is_permitted(monkeypatch: pytest.MonkeyPatch, named: str | None) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    if named is not None:
        monkeypatch.setenv(ENVIRONMENT, named)
    with pytest.raises(NotPermitted, match=r"Set .* to one of development, staging, production"):
        permitted("maintain")


@pytest.mark.parametrize("named", PERMITTED)
def test_what_is_permitted_is_what_the_contract_says(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv(ENVIRONMENT, named)
    for change in PERMITTED["development"]:
        if change in PERMITTED[named]:
            permitted(change)
        else:
            with pytest.raises(NotPermitted, match=f"`{change}` is not permitted in {named}. It is in development, production"):
                permitted(change)
