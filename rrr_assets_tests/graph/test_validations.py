"""The daily validation in the graph: its results are kept and published, and what is wrong is told by name and is never a pass."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from rrr_assets.cli import app
from rrr_assets.definitions import build_defs
from rrr_assets.quality.checks import CHECKED
from rrr_assets.quality.expectations import Answer, Validation
from rrr_assets.quality.validation_page import validation_page
from rrr_assets.quality.validations import BY_DAY
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.dagster_platform import evaluations, execute, failures, land, rows, run_job, simulated

pytestmark = pytest.mark.slow

DAY = datetime.now(UTC).date() - timedelta(days=1)
TRADES = 300
SOME = ("raw_trades", "raw_quotes", "bars_1m", "bars_tick", "bar_conformance", "coverage", "instruments", "validations", "orders", "gaps")
"""What is validated here: the suites of all tables differ in nothing but their columns."""


@pytest.fixture(scope="module")
def filled(empty_home: Home, instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Yesterday's trades and their bars, taken in by the main job."""
    folder = tmp_path_factory.mktemp("landing")
    land(folder, simulated(folder, [DAY], TRADES))
    assert run_job(instance, [DAY]).success
    return empty_home


def validated(instance: dg.DagsterInstance, config: Mapping[str, object] | None = None) -> dg.ExecuteInProcessResult:
    job = build_defs().resolve_job_def("validate")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    ops = {"ops": {"validations": {"config": dict(config)}}} if config else {}
    return job.execute_in_process(instance=instance, run_config={**quiet, **ops}, raise_on_error=False)


def test_a_day_is_validated_kept_and_published(filled: Home, instance: dg.DagsterInstance) -> None:
    result = validated(instance, {"tables": list(SOME)})
    assert failures(result) == {}
    told = evaluations(result)
    names = {(asset, check) for asset, check, _ in told}
    assert names == {
        *((name, "contract") for name in CHECKED),
        ("validations", "contract"), ("validations", "schema_drift"), ("validations", "great_expectations"),
    }  # fmt: skip
    assert [key for key, [evaluation] in told.items() if not evaluation.passed] == []
    kept = rows("select relation, day, is_success, evaluated, unmet, jsonb_array_length(results), run_id from validations order by 1")
    assert {row[0] for row in kept} == set(SOME)
    assert {row[0] for row in kept if row[1] == DAY} == set(SOME) & set(BY_DAY)
    assert all(row[2] and row[3] == row[5] > 0 and row[4] == 0 and row[6] == result.run_id for row in kept)
    [(results,)] = rows("select results from validations where relation = 'raw_trades'")
    assert {answer["looked_at"] for answer in results if answer["kind"] == "null"} == {TRADES}
    page = (filled.root / "quality" / "validation.html").read_text("utf-8")
    assert "every expectation is met" in page
    assert all(f'id="{name}"' in page for name in SOME)
    assert re.findall(r"(?:src|href)=\"(?!#)|https?://|@import|url\(", page) == []


def test_what_is_wrong_is_told_by_every_way_and_no_table_keeps_another_from_being_asked(filled: Home, instance: dg.DagsterInstance) -> None:
    assert filled.root.is_dir()
    first = "where bar_start = (select min(bar_start) from bars_1m)"
    execute(f"update bars_1m set volume = volume - 1000000 {first}")  # noqa: S608  # written here
    execute("alter table orders rename to elsewhere")
    try:
        result = validated(instance, {"day": DAY.isoformat(), "tables": ["raw_trades", "bars_1m", "orders"]})
    finally:
        execute("alter table elsewhere rename to orders")
        execute(f"update bars_1m set volume = volume + 1000000 {first}")  # noqa: S608  # written here
    assert failures(result) == {}
    told = {(asset, check): evaluation for (asset, check, _), [evaluation] in evaluations(result).items()}
    assert {key for key, evaluation in told.items() if not evaluation.passed} == {
        ("bars_1m", "contract"), ("validations", "contract"), ("validations", "schema_drift"), ("validations", "great_expectations"),
    }  # fmt: skip
    assert all(evaluation.severity is dg.AssetCheckSeverity.ERROR for evaluation in told.values() if not evaluation.passed)
    assert "volume >= 0: 1" in str(told["bars_1m", "contract"].metadata["every number is within its range"].value)
    assert "orders: there is no such table" in str(
        told["validations", "schema_drift"].metadata["every table is what its contract says"].value
    )
    assert 'relation "orders" does not exist' in str(told["validations", "contract"].metadata["orders: the table is there"].value)
    last = rows("select relation from validations where run_id = %s and not is_success order by 1", result.run_id)
    assert last == [("bars_1m",), ("orders",)]
    page = (filled.root / "quality" / "validation.html").read_text("utf-8")
    assert "relation &#34;orders&#34; does not exist" in page


def test_the_command_tells_of_a_table_and_ends_with_status_1_where_something_is_not_met(filled: Home, tmp_path: Path) -> None:
    assert filled.root.is_dir()
    page = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["validate", "--table", "bars_5m", "--day", DAY.isoformat(), "--html", str(page), "--json"])
    assert done.exit_code == 0, done.output
    [told] = json.loads(done.stdout)
    assert (told["relation"], told["day"], told["is_success"], told["unmet"]) == ("bars_5m", DAY.isoformat(), True, 0)
    assert page.read_text("utf-8").startswith("<!doctype html>")
    execute("update bars_5m set trade_count = -trade_count")
    try:
        done = CliRunner().invoke(app, ["validate", "--table", "bars_5m", "--day", DAY.isoformat(), "--html", str(page)])
    finally:
        execute("update bars_5m set trade_count = -trade_count")
    assert done.exit_code == 1
    assert "trade_count &gt;= 1" in page.read_text("utf-8")
    assert "trade_count >= 1" in done.stdout


def test_the_page_shows_what_rows_hold_and_runs_none_of_it() -> None:
    evil = "<script>alert(1)</script>"
    answers = (
        Answer("range", "range", "price > 0", "expect_column_values_to_be_between", False, 1_234, 1_000_000, (evil,)),
        Answer("null", "null", "size is never null", "expect_column_values_to_not_be_null", False, 0, 0, error=f"broke down {evil}"),
    )
    page = validation_page(date(2025, 3, 3), [Validation("raw_trades", date(2025, 3, 3), datetime(2025, 3, 4, tzinfo=UTC), answers, 1.5)])
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "2 of 2 expectations are not met" in page
    assert "1,234" in page
    assert "it could not be asked: broke down" in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
