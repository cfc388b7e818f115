"""The archive through the graph and on the command line: assets, checks, what was there before, what changed since."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from rrr_assets.contracts.archive import ARCHIVED_GROUPS
from rrr_assets_tests.dagster_platform import rows, simulated
from rrr_assets_tests.loading import Told, midnight, vision
from rrr_assets_tests.warm import rrr

pytestmark = pytest.mark.slow

DAYS = [date(2024, 7, 1), date(2024, 7, 2)]
WINDOW = ("--start", "2024-07-01", "--end", "2024-07-03")


def told(*words: object) -> Any:
    done = rrr(*words, "--json")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def folder(instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of trades and of the venue's bars, taken in."""
    assert instance
    made = tmp_path_factory.mktemp("made")
    simulated(made, DAYS, 1200)
    for form in ("binance-vision-trades", "binance-vision-klines"):
        told("ingest", made / form, "--format", form)
    return made


def test_days_and_their_month_are_archived_and_shown(instance: dg.DagsterInstance, folder: Path) -> None:
    assert folder.is_dir()
    done = told("archive", "make", *WINDOW)
    assert (done["days"], done["failures"], len(done["runs"])) == (["2024-07-01", "2024-07-02"], [], 2)
    for group in ARCHIVED_GROUPS.values():
        wanted = {day.isoformat() for day in DAYS} if group.grain == "day" else {"2024-07-01"}
        assert instance.get_materialized_partitions(dg.AssetKey(group.name)) == wanted
    listed = told("archive", "list", *WINDOW)
    counted = {(each["relation"], each["partition_start"]): each["row_count"] for each in listed}
    assert counted["raw_trades", "2024-07-01"] + counted["raw_trades", "2024-07-02"] == 1200
    assert counted["bars_1d", "2024-07-01"] == 2
    [record] = instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey("archived_trades"), asset_partitions=["2024-07-01"]), limit=1
    ).records
    assert record.asset_materialization is not None
    metadata = record.asset_materialization.metadata
    assert metadata["dagster/partition_row_count"].value == counted["raw_trades", "2024-07-01"]
    assert metadata["written"].value == ["raw_trades"]
    assert metadata["bytes"].value > 0


def test_what_is_archived_is_left_as_it_is_until_it_changes(instance: dg.DagsterInstance, folder: Path, tmp_path: Path) -> None:
    assert instance
    assert folder.is_dir()
    told("archive", "make", *WINDOW)
    before = told("archive", "list", *WINDOW)
    told("archive", "make", *WINDOW)
    assert told("archive", "list", *WINDOW) == before
    late = vision(tmp_path, [Told(7, midnight(DAYS[0]) + 1)], DAYS[0], "-late")
    told("ingest", late, "--format", "binance-vision-trades")
    told("archive", "make", *WINDOW)
    was, now = (
        {(each["relation"], each["partition_start"]): each["proof_id"] for each in listed}
        for listed in (before, told("archive", "list", *WINDOW))
    )
    changed = {place for place in now if now[place] != was.get(place)}
    assert changed >= {("raw_trades", "2024-07-01"), ("bars_1m", "2024-07-01")}
    assert ("raw_trades", "2024-07-02") not in changed
    assert rows("select count(*) from raw_trades") == [(1201,)]


def test_wrong_words_are_told() -> None:
    done = rrr("archive", "make", *WINDOW, "--only", "trades")
    assert done.returncode == 2
    assert "is no asset of the archive" in " ".join(done.stderr.replace("│", " ").split())
    done = rrr("archive", "make", "--start", "2024-07-03", "--end", "2024-07-03")
    assert done.returncode == 2
