"""Damaged files of the formats that are JSON, and what the search for damage itself would find."""

import pytest

from rrr_assets.venues import registry
from rrr_assets_tests.fuzz.running import run
from rrr_assets_tests.fuzz.seeds import SEEDS
from rrr_assets_tests.fuzz.test_fuzzed_tables import FORMATS as TABLES
from rrr_assets_tests.fuzz.worker import Worker

FORMATS = ("binance-ws", "coinbase-ws", "polygon-ws", "binance-rest", "kraken-rest")


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_message_costs_no_good_one(form: str, worker: Worker, record_property: pytest.FixtureRequest) -> None:
    run(form, worker, record_property)


def test_every_format_has_seeds() -> None:
    assert {seed.format for seed in SEEDS.values()} == set(registry.FORMATS) == {*FORMATS, *TABLES}
