"""The page of a validation in a real browser: on a phone, in light and in dark, and without asking anybody for anything."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rrr_assets.contracts.catalogue import TABLES
from rrr_assets.contracts.rules import rules_of
from rrr_assets.quality.expectations import Answer, Validation
from rrr_assets.quality.validation_page import validation_page

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DAY = date(2025, 3, 3)


def answers(name: str) -> tuple[Answer, ...]:
    found = [Answer(rule.word, rule.kind.value, rule.told, "expect", True, 0, 1_000_000) for rule in rules_of(TABLES[name])]
    if name == "raw_trades":
        found.append(Answer("range", "range", "price > 0", "expect", False, 1234, 1_000_000, ("-1.50", "x" * 300)))
    return tuple(found)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1400])
def test_it_fits_shows_what_is_wrong_first_and_needs_no_network(browser: "Chrome", tmp_path: Path, scheme: str, width: int) -> None:
    said = [Validation(name, DAY, datetime(2025, 3, 4, 4, 15, tzinfo=UTC), answers(name), 1.5) for name in TABLES]
    page = tmp_path / "validation.html"
    page.write_text(validation_page(DAY, said), "utf-8")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    browser.get(page.as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(21, 23, 26)")
    shown = browser.execute_script("return document.body.innerText")
    assert "1 of " in shown
    assert "expectations are not met" in shown
    assert "-1.50" in shown
    first = browser.execute_script("return document.querySelector('details').id + document.querySelectorAll('details[open]').length")
    assert first == "raw_trades1"
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
