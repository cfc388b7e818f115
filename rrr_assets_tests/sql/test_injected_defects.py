"""Quality as a whole against known truth, small: what is injected is found, and clean days are quiet.

The large measurement, with its seeds, is the benchmark's part `defects`.
"""

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest

from rrr_assets.simulator import simulate
from rrr_assets.simulator.truth import score
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.gaps import sync_all
from rrr_assets_tests import injected
from rrr_assets_tests.loading import emptied
from rrr_assets_tests.platform import Platform

DAYS = [date(2025, 3, 3) + timedelta(days=number) for number in range(3)]
WRONG = ["coinbase:BTCUSD", "bybit:BTCUSDT", "binance:BTCUSDT", "coinbase:ETHUSD"]
CLEAN = ["coinbase:LTCUSD", "bybit:LTCUSDT", "binance:LTCUSDT"]
INJECTIONS = 60
TRADES = 1_700
SEED = 7


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


def test_injected_defects_are_found_and_clean_days_are_quiet(platform: Platform, tmp_path: Path) -> None:
    trades = TRADES * len(DAYS)
    wrong = simulate(tmp_path / "wrong", DAYS, WRONG, trades * len(WRONG), SEED, quotes=True, injections=INJECTIONS)
    clean = simulate(tmp_path / "clean", DAYS, CLEAN, trades * len(CLEAN), SEED, quotes=True)
    injected.take_in(platform, wrong, clean)
    injected.expect(platform, wrong, clean)
    injected.look(platform, DAYS)

    assert sync_all(platform.database) == 0, "a look leaves nothing that the next one changes"

    found = injected.reports(platform)
    verdict = score(wrong.injections, found, injected.absorbed(platform, wrong))
    counts = Counter(one.kind for one in wrong.injections)
    assert counts.total() == INJECTIONS
    for each in verdict.kinds:
        assert each.severity == "warn" or not each.missed, f"{each.kind}: {each.missed}"
    assert verdict.false_pages == ()
    # What warns is measured, not promised; that it has gone is seen.
    assert verdict.recall("warn") > 0.9
    assert [each for each in found if each.instrument in CLEAN and each.is_page] == []

    injected.take_in(platform, wrong, is_held_back=True)
    late = [one for one in wrong.injections if one.kind == "late"]
    after = score(late, [each for each in injected.reports(platform) if each.ids], {})
    assert late
    assert after.recall("page") == 0, "healed gaps are not reported any more"
