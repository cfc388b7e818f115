"""Damaged files of the formats that are tables: no crash, no good row lost, every bad row explained."""

import pytest

from rrr_assets_tests.fuzz.running import run
from rrr_assets_tests.fuzz.worker import Worker

FORMATS = (
    "binance-vision-trades",
    "binance-vision-aggtrades",
    "binance-vision-klines",
    "ccapi",
    "kraken-csv",
    "polygon-flat",
    "tardis",
    "table",
    "rrr-corrections",
)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_table_costs_no_good_row(form: str, worker: Worker, record_property: pytest.FixtureRequest) -> None:
    run(form, worker, record_property)
