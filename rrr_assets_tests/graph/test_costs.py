"""The cost report through the graph and on the command line: the asset, its check, its history, and what a person sees."""

from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest

from rrr_assets.archive.costs import DEFAULT_PRICES
from rrr_assets.definitions import build_defs
from rrr_assets_tests.dagster_platform import QUIET, days_from, rows, simulated, told
from rrr_assets_tests.loading import DAY
from rrr_assets_tests.warm import rrr

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def filled(instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory) -> dg.DagsterInstance:
    """A day of trades, its bars, and both in the archive."""
    made = tmp_path_factory.mktemp("made")
    simulated(made, days_from(DAY, 1), 3000)
    told("ingest", made / "binance-vision-trades", "--format", "binance-vision-trades")
    told("archive", "make", "--start", DAY, "--end", days_from(DAY, 2)[1])
    return instance


def report(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return build_defs().resolve_job_def("report_cost").execute_in_process(instance=instance, run_config=QUIET, raise_on_error=False)


def test_a_report_is_a_materialisation_with_tables_and_a_picture(filled: dg.DagsterInstance) -> None:
    done = report(filled)
    assert done.success
    [event] = done.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    [(kept, usd)] = rows("select count(*), sum(monthly_usd) from cost_history")
    assert metadata["dagster/row_count"].value == kept > 20
    assert abs(Decimal(metadata["monthly_cents"].value) - usd * 100) <= 1
    assert "| raw_trades | 3,000 |" in metadata["report"].value
    assert "phase 2: met" in metadata["report"].value
    assert metadata["chart"].value.startswith("![what is kept, and what it costs](data:image/png;base64,iVBOR")
    assert metadata["bytes_in_archive"].value > 0
    [check] = done.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("budget", True)
    # Twice a day is one day of the history.
    assert report(filled).success
    assert rows("select count(distinct measured_at), count(*) = count(distinct (relation, tier)) from cost_history") == [(1, True)]


def test_over_the_budget_the_check_warns_and_the_run_is_green(
    filled: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text(DEFAULT_PRICES.read_text("utf-8").replace("monthly_budget_usd: 500", "monthly_budget_usd: 1.5"))
    monkeypatch.setenv("RRR_PRICES", str(prices))
    done = report(filled)
    assert done.success
    [check] = done.get_asset_check_evaluations()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "OVER the budget of 1.50" in str(check.metadata["is"].value)
    prices.write_text("as_of: 2026-11-01\n")
    assert not report(filled).success
    failed = rrr("cost")
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"rrr: RRR_PRICES {prices} cannot be used: region: Field required; ")
    assert failed.stderr.count("\n") == 1


def test_the_command_line_tells_the_same_in_every_form(filled: dg.DagsterInstance, tmp_path: Path) -> None:
    assert filled
    whole = told("cost")
    assert whole["engine"] == "postgresql"
    [trades] = [row for row in whole["by_table"] if row["table"] == "raw_trades"]
    assert trades["row_count"] == 3000
    [(on_disk,)] = rows(f"select pg_total_relation_size('raw_trades_{DAY:%Y%m%d}')")  # a constant of the tests
    assert trades["disk_bytes"] == on_disk
    [proven] = [row for row in told("archive", "list") if row["relation"] == "raw_trades"]
    by_tier = {row["tier"]: row for row in told("cost", "--by", "tier")}
    assert by_tier["copy"]["row_count"] >= proven["row_count"] == 3000
    days = told("cost", "--by", "day")
    assert {DAY.isoformat(), DAY.replace(day=1).isoformat(), None} == {row["partition_start"] for row in days}
    assert {each["factor"] for each in told("cost", "--base", "legacy")["forecasts"]} == {1, 10, 100}

    picture = tmp_path / "cost.png"
    shown = rrr("cost", "--plot", picture)
    assert shown.returncode == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    for words in ("By table", "By tier", "Forecast, measured volume and its multiples: ec2", "phase 3: met", "No backups are in it"):
        assert words in shown.stdout
    out = tmp_path / "tables.csv"
    assert rrr("cost", "--by", "table", "--out", out).returncode == 0
    assert out.read_text().startswith("table,tiers,row_count,disk_bytes,")
    # Its days are the reports' own, and an analyst reads them.
    assert {row["relation"] for row in told("cost", "history")} >= {"raw_trades", "landing zone"}


@pytest.mark.parametrize(
    ("words", "remedy"),
    [(("--plot", "cost.svg"), "does not end in .png"), (("--out", "cost.csv"), "give --by too"), (("--by", "hour"), "table")],
)
def test_wrong_words_are_told(filled: dg.DagsterInstance, words: tuple[str, ...], remedy: str) -> None:
    assert filled
    done = rrr("cost", *words)
    assert done.returncode == 2
    assert remedy in " ".join(done.stderr.replace("│", " ").split())
