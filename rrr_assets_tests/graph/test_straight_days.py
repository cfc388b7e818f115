"""History through the graph and on the command line: straight into the archive, with bars, checks and the archive's own asset."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from rrr_assets_tests.dagster_platform import rows, simulated
from rrr_assets_tests.loading import Told, midnight, vision
from rrr_assets_tests.warm import rrr

pytestmark = pytest.mark.slow

DAYS = [date(2024, 7, 1), date(2024, 7, 2)]


def told(*words: object) -> Any:
    done = rrr(*words, "--json")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def folder(instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert instance
    made = tmp_path_factory.mktemp("made")
    simulated(made, DAYS, 1200)
    return made


def test_history_goes_straight_and_the_ui_shows_it(instance: dg.DagsterInstance, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRR_HISTORY_TO", "auto")
    done = told("ingest", folder / "binance-vision-trades", "--format", "binance-vision-trades")
    assert (done["rows_stored"], done["failures"], done["refused"]) == (1200, [], [])
    assert [(each["asset"], each["day"]) for each in done["straight"]] == [("raw_trades", day.isoformat()) for day in DAYS]
    assert {"merge", "write", "read back", "prove", "bars", "register"} <= set(done["straight"][0]["stages"])
    assert rows("select count(*) from raw_trades") == [(0,)]
    assert rows("select tier, count(*) from partition_tiers where relation = 'raw_trades' group by tier") == [("cold", 2)]
    assert rows("select sum(trade_count) from bars_1d") == [(1200,)]
    days = {day.isoformat() for day in DAYS}
    for asset in ("raw_trades", "archived_trades", "bars_1m", "bars_1d", "bars_tick"):
        assert instance.get_materialized_partitions(dg.AssetKey(asset)) == days, asset
    [record] = instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey("raw_trades"), asset_partitions=["2024-07-01"]), limit=1
    ).records
    assert record.asset_materialization is not None
    assert record.asset_materialization.metadata["went"].value == "straight to the archive"


def test_materialising_the_days_whole_leaves_them_as_they_are(instance: dg.DagsterInstance, folder: Path) -> None:
    assert folder.is_dir()
    from rrr_assets.definitions import defs
    from rrr_assets.resources.partitions import range_tags

    before = rows("select to_jsonb(b) from bars_1m as b order by instrument, bar_start")
    result = defs.resolve_job_def("venues_to_bars").execute_in_process(
        instance=instance, tags=range_tags(DAYS[0], DAYS[-1]), raise_on_error=False
    )
    assert result.success
    failed = {
        (each.asset_key.to_user_string(), each.check_name)
        for each in result.get_asset_check_evaluations()
        if not each.passed and each.asset_key.to_user_string() in {"raw_trades", "bars_1m", "bars_5m", "bars_1h", "bars_1d"}
    }
    assert failed == set()
    assert rows("select to_jsonb(b) from bars_1m as b order by instrument, bar_start") == before


def test_who_says_database_gets_it_there_and_people_read_the_stages(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder.is_dir()
    monkeypatch.setenv("RRR_HISTORY_TO", "auto")
    there = vision(tmp_path, [Told(n, midnight(date(2024, 7, 4)) + n) for n in range(1, 50)], date(2024, 7, 4))
    done = told("ingest", there, "--format", "binance-vision-trades", "--to", "database")
    assert (done["straight"], rows("select count(*) from raw_trades")) == ([], [(49,)])
    other = vision(tmp_path, [Told(n, midnight(date(2024, 7, 5)) + n) for n in range(60, 90)], date(2024, 7, 5))
    shown = rrr("ingest", other, "--format", "binance-vision-trades").stdout
    assert "straight to the archive 1 day, 30 rows in" in shown
    assert "verify and parse" in shown
    refused = rrr("ingest", other, "--format", "binance-vision-trades", "--to", "nowhere")
    assert refused.returncode == 2
