"""The quality page in a real browser: legible on a phone and a desk, light and dark, printed, offline. Pictures go to build/reports/."""

import base64
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rrr_assets.calc.quality_config import DEFAULTS
from rrr_assets.quality.page import page_html
from rrr_assets.quality.report import make_report
from rrr_assets.warehouse.quality_report import QualityRows
from rrr_assets_tests.quality_rows import TODAY, judged, names, no_rows, some_rows

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = [pytest.mark.browser, pytest.mark.slow]

REPORTS = Path(__file__).resolve().parents[2] / "build" / "reports"
EVIL = "<script>document.title = 'broken in'</script><img src=x onerror=\"document.title = 'broken in'\">"

CONTRAST = """
const luminance = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const parts = colour => colour.match(/[0-9.]+/g).map(Number);
const paper = element => {
  for (; element; element = element.parentElement) {
    const found = parts(getComputedStyle(element).backgroundColor);
    if (found.length === 3 || found[3] > 0) return found.slice(0, 3);
  }
  return [255, 255, 255];
};
const wrong = new Map();
for (const element of document.querySelectorAll("body *")) {
  if (!element.offsetParent || ![...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
  const style = getComputedStyle(element);
  const [one, other] = [luminance(parts(style.color)), luminance(paper(element))];
  const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.6 && style.fontWeight >= 700);
  if (contrast < (large ? 3 : 4.5)) wrong.set(element.tagName + "." + element.className, contrast.toFixed(2));
}
return [...wrong];
"""
"""Elements with text of their own that the WCAG's level AA would not pass, with their contrast."""

OUTSIDE = "return performance.getEntriesByType('resource').map(entry => entry.name)"
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture
def view(browser: "Chrome", folder: Path) -> Iterator["View"]:
    made = View(browser, folder)
    yield made
    for command in ("Emulation.clearDeviceMetricsOverride", "Emulation.setEmulatedMedia"):
        browser.execute_cdp_cmd(command, {})


class View:
    """Shows pages on a screen of some width and scheme, and keeps pictures."""

    def __init__(self, browser: "Chrome", folder: Path) -> None:
        self.browser, self.folder = browser, folder

    def show(self, rows: QualityRows, width: int, scheme: str, name: str) -> float:
        """Returns the seconds until everything is laid out."""
        path = self.folder / f"{name}.html"
        path.write_text(page_html(make_report(rows, DEFAULTS)), encoding="utf-8")
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self._screen(width, 844)
        begun = time.monotonic()
        self.browser.get(path.as_uri())
        height = self.run("return document.documentElement.getBoundingClientRect().height")
        seconds = time.monotonic() - begun
        self._screen(width, min(int(height) + 1, 4000))
        REPORTS.mkdir(parents=True, exist_ok=True)
        self.browser.save_screenshot(str(REPORTS / f"quality-{name}-{width}-{scheme}.png"))
        return seconds

    def run(self, script: str) -> Any:
        return self.browser.execute_script(script)

    def _screen(self, width: int, height: int) -> None:
        shape = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", shape)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390, 320])
def test_the_page_is_legible_on_every_screen(view: View, width: int, scheme: str) -> None:
    rows = some_rows(recent=timedelta(hours=3), errors=("quotes: a very_long_word_" + "without_an_end_" * 20,))
    view.show(rows, width, scheme, "some")
    assert view.run(OVERFLOW) == 0
    assert view.run(CONTRAST) == []
    assert view.run(OUTSIDE) == []
    # Each table that has no room scrolls in a box of its own, which a keyboard reaches.
    boxes = "return [...document.querySelectorAll('table')].every(t => t.parentElement.matches('.box[tabindex=\"0\"]'))"
    assert view.run(boxes)
    scrolls = view.run("return [...document.querySelectorAll('.box')].filter(b => b.scrollWidth > b.clientWidth).length")
    assert scrolls > 4 if width < 600 else scrolls == 0


def test_light_and_dark_are_not_the_same(view: View) -> None:
    papers = []
    for scheme in ("light", "dark"):
        view.show(some_rows(names(2), days=3), 390, scheme, "two")
        papers.append(view.run("return getComputedStyle(document.body).backgroundColor"))
    assert papers == ["rgb(246, 247, 248)", "rgb(17, 22, 27)"]


def test_letters_that_are_too_pale_are_found(view: View) -> None:
    view.show(some_rows(names(2), days=3), 390, "light", "pale")
    view.run("document.documentElement.style.setProperty('--pale', '#a8b0b8')")
    assert ["P.note", "2.19"] in view.run(CONTRAST)


def test_a_hundred_instruments_are_there_at_once(view: View) -> None:
    seconds = view.show(some_rows(names(100)), 1280, "light", "many")
    assert view.run("return document.querySelectorAll('.heat td').length") == 3000
    least = view.run("return Math.min(...[...document.querySelectorAll('.heat td')].map(td => td.offsetWidth))")
    assert least >= 20
    assert view.run(OVERFLOW) == 0
    assert seconds < 10  # it takes half a second; shared machines stall


def test_on_a_phone_the_newest_days_are_in_view_beside_the_names(view: View) -> None:
    view.show(some_rows(), 390, "light", "phone")
    seen = """
    const box = document.querySelector(".heat").getBoundingClientRect();
    const row = document.querySelector(".heat tbody tr:last-child");
    const [name, last] = [row.firstElementChild, row.lastElementChild].map(cell => cell.getBoundingClientRect());
    return [Math.round(name.left - box.left), Math.round(box.right - last.right)];
    """
    name, last = view.run(seen)
    assert 0 <= name <= 8
    assert 0 <= last <= 8


def test_a_status_is_told_without_its_colour(view: View) -> None:
    view.show(some_rows(), 1280, "light", "signs")
    signs = view.run("return [...document.querySelectorAll('.heat td')].map(td => td.className + ' ' + td.textContent)")
    assert set(signs) == {"available ✓", "degraded !", "pending ~", "missing ✕", "none ·"}
    titles = view.run("return [...document.querySelectorAll('.heat td.degraded')].map(td => td.title)")
    assert all("417 ids are missing" in title for title in titles)


def test_what_comes_from_the_data_runs_nothing(view: View) -> None:
    rows = some_rows([EVIL, "binance:BTCUSDT"])
    day = judged(EVIL, TODAY - timedelta(days=1), "degraded", reasons=(EVIL,))
    view.show(replace(rows, days=(day,)), 390, "light", "evil")
    assert view.run("return document.title").startswith("Data quality")
    assert view.run("return document.querySelectorAll('script, img').length") == 0
    assert view.run("return document.body.innerText").count("onerror") >= 2
    assert view.run(OVERFLOW) == 0


def test_a_platform_of_nothing_says_what_to_do_next(view: View) -> None:
    view.show(no_rows(), 390, "dark", "empty")
    text = view.run("return document.body.innerText")
    assert "Nothing was taken in yet" in text
    assert "rrr run" in text
    assert view.run(OVERFLOW) == 0
    assert view.run(CONTRAST) == []


def test_it_prints_on_pages_of_paper(view: View) -> None:
    view.show(some_rows(names(30)), 1280, "light", "printed")
    printed = view.browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True, "preferCSSPageSize": True})
    pdf = base64.b64decode(printed["data"])
    (REPORTS / "quality-printed.pdf").write_bytes(pdf)
    assert pdf.startswith(b"%PDF")
    pages = pdf.count(b"/Type /Page\n") or pdf.count(b"/Type /Page")
    assert 1 < pages < 12
