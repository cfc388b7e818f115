"""The Dagster UI in a real browser: the graph, a materialised day, a check. Pictures go to build/reports/."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from rrr_assets.resources.dagster_home import prepare_dagster_home
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.dagster_platform import ASSETS, days_from, emptied, land, rows, run_job, simulated
from rrr_assets_tests.graph.test_streams import accept_file, three_streams

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "build" / "reports"
DAYS = days_from(date(2024, 11, 1), 3)
DAY = DAYS[-1].isoformat()
PATIENCE_SECONDS = 45


@pytest.fixture(scope="module")
def materialized(home: Home) -> Iterator[Home]:
    """Three days of two instruments, materialised by the main job; of the last day a capture of three streams as well."""
    emptied(home)
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("DAGSTER_HOME", raising=False)
        prepare_dagster_home(home)
        folder = home.root / "simulated-for-the-ui"
        with dg.DagsterInstance.get() as instance:
            land(folder, simulated(folder, DAYS, 9000, ["binance:BTCUSDT", "binance:ETHUSDT"]))
            accept_file(three_streams(home.root / "captured-for-the-ui", DAYS[-1], "ADAUSDT"))
            assert run_job(instance, DAYS).success
        yield home
        patched.delenv("DAGSTER_HOME")


@pytest.fixture(scope="module")
def address(materialized: Home) -> Iterator[str]:
    """Where the webserver of the home's instance listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = shutil.which("dagster-webserver", path=str(Path(sys.executable).parent)) or "dagster-webserver"
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    url = f"http://127.0.0.1:{port}"
    with (materialized.logs / "webserver.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-w", str(ROOT / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(port)],
            cwd=materialized.dagster,
            env={**os.environ, "PYTHONPATH": path},
            stdout=log,
            stderr=log,
        )
        try:
            _wait_for(url, process, Path(log.name))
            yield url
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{url}/server_info", timeout=5).close()  # noqa: S310  # our own server
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, log.read_text("utf-8")
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"the webserver does not answer: {log.read_text('utf-8')[-2000:]}")


def await_texts(browser: "Chrome", awaited: list[str], picture: str) -> str:
    """Wait until the page shows all the texts, keep a picture of it, and return its text."""
    end = time.monotonic() + PATIENCE_SECONDS
    text = ""
    while time.monotonic() < end:
        text = str(browser.execute_script("return document.body.innerText"))
        if all(word in text for word in awaited):
            time.sleep(1)  # for what fades in
            break
        time.sleep(0.5)
    REPORTS.mkdir(parents=True, exist_ok=True)
    browser.save_screenshot(str(REPORTS / f"{picture}.png"))
    assert [word for word in awaited if word not in text] == [], text[:3000]
    return str(browser.execute_script("return document.body.innerText"))


def look(browser: "Chrome", url: str, awaited: list[str], picture: str) -> str:
    """Open a page; see `await_texts`."""
    browser.get(url)
    return await_texts(browser, awaited, picture)


def test_the_graph_shows_every_asset(address: str, browser: "Chrome") -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    size = browser.get_window_size()
    # Opened, the groups are larger than a usual window, and what lies outside is not drawn.
    browser.set_window_size(2400, 3200)
    text = look(browser, f"{address}/asset-groups", ["ticks", "bars", "quality"], "ui-groups")
    assert "newsletter" not in text
    ActionChains(browser).key_down(Keys.ALT).send_keys("e").key_up(Keys.ALT).perform()  # the page's own key for opening all groups
    await_texts(browser, ["raw_trades", "raw_depth"], "ui-graph-opened")
    for _ in range(6):
        text = str(browser.execute_script("return document.body.innerText"))
        if all(name in text for name in ("landing_files", *ASSETS)):
            break
        browser.find_element(By.CSS_SELECTOR, "[aria-label='zoom_out']").click()
        time.sleep(1)
    await_texts(browser, ["landing_files", *ASSETS], "ui-graph")
    browser.set_window_size(size["width"], size["height"])


def test_a_materialised_day_shows_its_rows(address: str, browser: "Chrome") -> None:
    stored = rows("select count(*) from raw_trades where event_time >= %s and event_time < %s::date + 1", DAY, DAY)[0][0]
    page = f"{address}/assets/raw_trades?view=partitions&partition={DAY}"
    text = look(browser, page, ["rows_stored", "partition_row_count", DAY], "ui-day")
    assert str(stored) in text.replace(",", "")


def test_a_day_of_quotes_shows_its_rows(address: str, browser: "Chrome") -> None:
    page = f"{address}/assets/raw_quotes?view=partitions&partition={DAY}"
    text = look(browser, page, ["rows_stored", "partition_row_count", "missing_instruments", DAY], "ui-quotes-day")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    shown = {name: lines[lines.index(name) + 1] for name in ("dagster/partition_row_count", "rows_read", "rows_stored", "files")}
    assert shown == {"dagster/partition_row_count": "60", "rows_read": "60", "rows_stored": "60", "files": "1"}


def test_quotes_show_their_columns(address: str, browser: "Chrome") -> None:
    awaited = ["bid_price", "ask_size", "available_at", "gap_healing", "Automation"]
    look(browser, f"{address}/assets/raw_quotes?view=overview", awaited, "ui-quotes")


@pytest.mark.parametrize(
    ("asset", "rule"),
    [("raw_quotes", "the bid is below the ask"), ("raw_depth", "changes follow each other without a jump")],
)
def test_a_check_of_a_stream_says_what_it_looked_at(address: str, browser: "Chrome", asset: str, rule: str) -> None:
    page = f"{address}/assets/{asset}?view=checks&checkDetail=quality"
    text = look(browser, page, [rule, "kept by all 60", "Passed"], f"ui-{asset}-check")
    assert "Failed" not in text


def test_a_check_says_that_integrity_passed(address: str, browser: "Chrome") -> None:
    page = f"{address}/assets/raw_trades?view=checks&checkDetail=integrity"
    text = look(browser, page, ["integrity", "quality", "Passed", "each trade once"], "ui-check")
    assert "Failed" not in text


def test_bars_show_their_columns(address: str, browser: "Chrome") -> None:
    text = look(browser, f"{address}/assets/bars_1h?view=overview", ["quote_volume", "vwap", "taker_buy_volume"], "ui-bars")
    assert "market-data" in text


def test_a_day_of_bars_shows_its_candles(address: str, browser: "Chrome") -> None:
    from selenium.webdriver.common.by import By

    look(browser, f"{address}/assets/bars_5m?view=partitions&partition={DAY}", ["candles", "Show Markdown"], "ui-bars-day")
    browser.find_element(By.XPATH, "//*[text()='[Show Markdown]' or text()='Show Markdown']").click()
    drawn = "return [...document.images].filter(i => i.src.startsWith('data:image/png') && i.naturalWidth > 100).length"
    end = time.monotonic() + PATIENCE_SECONDS
    while not browser.execute_script(drawn) and time.monotonic() < end:
        time.sleep(0.5)
    browser.save_screenshot(str(REPORTS / "ui-candles.png"))
    assert browser.execute_script(drawn) == 1


def test_sensors_and_schedule_are_listed(address: str, browser: "Chrome") -> None:
    look(browser, f"{address}/automation", ["landing_zone", "invalidation_log", "daily_close", "live_bars"], "ui-automation")
