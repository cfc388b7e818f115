"""The daemon as it runs in production: sensors that launch runs, a backfill, and what is left when all of it is killed."""

import shutil
import time
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from rrr_assets.definitions import defs
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.daemon import daemon, healed_by_daemon, wait_until
from rrr_assets_tests.dagster_platform import ASSETS, FED_BY_TRADES, days_from, execute, land, rows, simulated

pytestmark = [
    pytest.mark.slow,
    pytest.mark.crash,
    pytest.mark.timeout(900),
    # Dagster's own word in making a backfill.
    pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources` is deprecated"),
]


def materialized(instance: dg.DagsterInstance, name: str) -> set[str]:
    return instance.get_materialized_partitions(dg.AssetKey(name))


def settle() -> None:
    """Let a minute pass for the books: sensors leave days alone that changed just now."""
    execute("update landing_days set requested_at = requested_at - interval '1 minute' where is_pending")


def request_backfill(instance: dg.DagsterInstance, days: list[date]) -> str:
    """What the UI does when somebody asks for days of the assets."""
    graph = defs.resolve_asset_graph()
    keys = {day.isoformat() for day in days}
    assets = [dg.AssetKey(name) for name in ASSETS]
    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id=f"test{time.time_ns()}"[:20],
        asset_graph=graph,
        partition_names=sorted(keys),
        asset_selection=assets,
        backfill_timestamp=time.time(),
        tags={},
        dynamic_partitions_store=instance,
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )
    instance.add_backfill(backfill)
    return backfill.backfill_id


def test_the_daemon_takes_in_what_is_dropped_and_survives_being_killed(
    instance: dg.DagsterInstance, empty_home: Home, tmp_path: Path
) -> None:
    dropped = date(2024, 10, 1)
    days = days_from(date(2024, 10, 10), 8)
    keys = {day.isoformat() for day in days}
    for file in simulated(tmp_path, [dropped], 300):
        target = empty_home.landing / "inbox" / file.format / Path(file.path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tmp_path / file.path, target)
    with daemon(empty_home):
        wait_until("the inbox is accepted", lambda: rows("select count(*) from landing_days where is_pending")[0][0] > 0, empty_home)
        settle()
        wait_until("the dropped day has verdicts", lambda: dropped.isoformat() in materialized(instance, "bar_conformance"), empty_home)
        for name in FED_BY_TRADES:
            assert materialized(instance, name) == {dropped.isoformat()}
        assert not materialized(instance, "raw_quotes")  # nothing that lies in the inbox feeds it
        assert rows("select count(*) from raw_trades") == [(300,)]
        assert not [path for path in (empty_home.landing / "inbox").rglob("*") if path.is_file()]

        land(tmp_path / "more", simulated(tmp_path / "more", days, 8000))
        backfill_id = request_backfill(instance, days)
        wait_until("the backfill has begun", lambda: bool(keys & materialized(instance, "raw_trades")), empty_home)
        (under_way,) = instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill_id}))
        assert under_way.tags["dagster/asset_partition_range_start"] == days[0].isoformat()
        assert under_way.tags["dagster/asset_partition_range_end"] == days[-1].isoformat()
    # All of it is gone: daemon, code server, and the run.
    kept = keys & materialized(instance, "raw_trades")
    assert kept
    left = instance.get_run_by_id(under_way.run_id)
    assert left is not None
    assert left.status is dg.DagsterRunStatus.STARTED

    with daemon(empty_home):
        wait_until("every day has verdicts", lambda: keys <= materialized(instance, "bar_conformance"), empty_home)
        wait_until("no run is left open", lambda: not instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)), empty_home)
    left = instance.get_run_by_id(under_way.run_id)
    assert left is not None
    assert left.status is dg.DagsterRunStatus.FAILURE
    assert kept <= materialized(instance, "raw_trades")
    assert rows("select count(*), count(distinct sequence) from raw_trades where event_time >= '2024-10-10'") == [(8000, 8000)]
    assert rows("select count(*) from bar_conformance where status not in ('equal', 'explained')") == [(0,)]
    found = instance.get_backfill(backfill_id)
    assert found is not None
    assert found.status is not BulkActionStatus.FAILED


def test_the_daemon_heals_a_gap_by_itself(instance: dg.DagsterInstance, empty_home: Home, tmp_path: Path) -> None:
    """How long that takes is measured by the benchmark, on a machine that does nothing else."""
    day = date(2024, 11, 5)
    done = healed_by_daemon(empty_home, tmp_path, day, 3000)
    assert done.attempts == 1
    assert rows("select count(*), count(distinct sequence) from raw_trades where event_time::date = %s", day) == [(3000, 3000)]
    (run,) = instance.get_runs(dg.RunsFilter(job_name="heal_gaps"))
    assert run.tags["rrr/kind"] == "healing"
