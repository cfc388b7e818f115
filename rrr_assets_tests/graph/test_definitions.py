"""The graph as it is declared: every asset's spec against a reviewed file, jobs, schedule, sensors, and how light it loads.

After a change on purpose, write the file anew and read its diff:
RRR_WRITE_GOLDEN=1 python -m pytest rrr_assets_tests/graph/test_definitions.py -k golden
"""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from rrr_assets.contracts.archive import ARCHIVED_GROUPS
from rrr_assets.definitions import build_defs, defs
from rrr_assets.resources.partitions import DAYS, contiguous, days_between
from rrr_assets.resources.warehouse import Warehouse
from rrr_assets.venues.rows import FIRST_TIME, last_time
from rrr_assets_tests.dagster_platform import ASSETS, REFRESHED, days_from

KEPT_UP = ("archive_compaction", "archive_expiry", "archive_orphans", "archive_scrub")
ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).with_name("asset_specs.json")
UPKEEP = ("retention", "restore_drill")
FEATURES = ("tick_minutes", "features_1m")
REMEDY = "if this is on purpose, run it again with RRR_WRITE_GOLDEN=1 and review the diff of asset_specs.json"


def _spec(asset: dg.AssetsDefinition, spec: dg.AssetSpec) -> dict[str, Any]:
    schema: dg.TableSchema | None = spec.metadata.get("dagster/column_schema")
    lineage: dg.TableColumnLineage | None = spec.metadata.get("dagster/column_lineage")
    told: dict[str, Any] = {
        "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
        "group": spec.group_name,
        "kinds": sorted(spec.kinds),
        "owners": list(spec.owners),
        "tags": {name: value for name, value in sorted(spec.tags.items()) if not name.startswith("dagster/kind/")},
        "description": spec.description,
        "code_version": spec.code_version,
        "partitions": repr(spec.partitions_def) if spec.partitions_def else None,
        "automation": repr(spec.automation_condition) if spec.automation_condition else None,
        "backfill_policy": asset.backfill_policy.policy_type.name if asset.backfill_policy else None,
        "pools": sorted(asset.op.pools) if asset.is_executable else [],
        "config": sorted(getattr(asset.op.config_schema.config_type, "fields", ())) if asset.is_executable else [],
        "metadata": {
            name: value
            for name, value in sorted(spec.metadata.items())
            if name not in {"dagster/column_schema", "dagster/column_lineage"} and isinstance(value, str)
        },
        "checks": [
            {"name": check.name, "description": check.description, "blocking": check.blocking}
            for check in asset.check_specs
            if check.asset_key == spec.key
        ],
    }
    if schema is not None:
        told["columns"] = [
            {
                "name": c.name,
                "type": c.type,
                "nullable": c.constraints.nullable,
                "unique": c.constraints.unique,
                "description": c.description,
            }
            for c in schema.columns
        ]
    if lineage is not None:
        told["lineage"] = {
            column: [f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in deps]
            for column, deps in sorted(lineage.deps_by_column.items())
        }
    return told


def _specs() -> dict[str, Any]:
    graph = defs.resolve_asset_graph()
    found = {}
    for key in sorted(graph.get_all_asset_keys()):
        asset = graph.assets_def_for_key(key)
        found[key.to_user_string()] = _spec(asset, asset.get_asset_spec(key))
    return found


def test_every_asset_is_as_the_golden_file_says() -> None:
    now = _specs()
    if os.environ.get("RRR_WRITE_GOLDEN") == "1":
        GOLDEN.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert sorted(now) == sorted(golden), REMEDY
    for name, spec in now.items():
        assert spec == golden[name], f"{name}: {REMEDY}"


def test_the_golden_file_holds_what_matters() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert set(golden) == {
        "landing_files",
        "gap_healing",
        "cost_report",
        "baselines",
        "quality_report",
        "validations",
        "quality_recent",
        "quality_daily",
        *ASSETS,
        *FEATURES,
        "online_features",
        "training_set",
        "feature_drift",
        *ARCHIVED_GROUPS,
        *UPKEEP,
        *KEPT_UP,
        "database_backup",
        "backup_drill",
    }
    for name in (*ASSETS, *FEATURES):
        spec = golden[name]
        assert [(check["name"], check["blocking"]) for check in spec["checks"]] == [("integrity", True), ("quality", False)]
        assert spec["backfill_policy"] == "SINGLE_RUN"
        assert spec["partitions"]
        assert spec["owners"]
        assert spec["pools"]
        assert all(column["type"] and column["description"] for column in spec["columns"])
    for interval in ("1m", "5m", "1h", "1d"):
        columns = {column["name"] for column in golden[f"bars_{interval}"]["columns"]}
        assert set(golden[f"bars_{interval}"]["lineage"]) <= columns


def test_lineage_names_columns_that_are_there() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    there = {f"{name}.{column['name']}" for name, spec in golden.items() for column in spec.get("columns", ())}
    named = {source for spec in golden.values() for sources in spec.get("lineage", {}).values() for source in sources}
    assert named
    assert named <= there


def test_jobs_schedule_and_sensors() -> None:
    repository = defs.get_repository_def()
    jobs = {name for name in repository.job_names if not name.startswith("__")}
    kept_up = {f"{does}_archive" for does in ("compact", "expire", "clean", "scrub")}
    assert jobs == {
        "venues_to_bars", "refresh_bars", "refresh_features", "accept_landing_files", "check_live_bars", "archive_days", "archive_months",
        "retire_partitions",
        "drill_restore", "report_cost", "back_up_database", "drill_backup", "heal_gaps", "learn_baselines", "report_quality", "validate",
        "check_recent", "check_daily", "serve_features", "make_training_set", "judge_features", *kept_up,
    }  # fmt: skip
    keys = {name: {key.to_user_string() for key in defs.resolve_job_def(name).asset_layer.selected_asset_keys} for name in jobs}
    assert keys["venues_to_bars"] == set(ASSETS)
    assert keys["refresh_bars"] == set(REFRESHED)
    assert keys["refresh_features"] == set(FEATURES)
    assert keys["serve_features"] == {"online_features"}
    assert keys["judge_features"] == {"feature_drift"}
    assert keys["heal_gaps"] == {"gap_healing", *ASSETS}
    for name in ("venues_to_bars", "refresh_bars"):
        assert defs.resolve_job_def(name).partitions_def == DAYS
    assert {sensor.name: sensor.default_status.value for sensor in repository.sensor_defs} == {
        "landing_zone": "RUNNING",
        "invalidation_log": "RUNNING",
        "features_behind": "RUNNING",
        "online_behind": "RUNNING",
        "backup_log": "RUNNING",
        "open_gaps": "RUNNING",
        "alerts": "RUNNING",
    }
    assert {schedule.name: schedule.default_status.value for schedule in repository.schedule_defs} == {
        "daily_close": "RUNNING",
        "live_bars": "RUNNING",
        **dict.fromkeys(KEPT_UP, "RUNNING"),
        "daily_backup": "RUNNING",
        "backup_drill": "RUNNING",
        "archive_days": "RUNNING",
        "archive_months": "RUNNING",
        "retention": "RUNNING",
        "restore_drill": "RUNNING",
        "daily_cost": "RUNNING",
        "baselines": "RUNNING",
        "daily_validation": "RUNNING",
        "quality_report": "RUNNING",
        "quality_recent": "RUNNING",
        "quality_daily": "RUNNING",
        "feature_drift": "RUNNING",
    }


@pytest.mark.parametrize(("at", "closed"), [("2024-03-01T00:15:00", "2024-02-29"), ("2025-01-01T00:15:00", "2024-12-31")])
def test_the_daily_close_closes_yesterday(at: str, closed: str) -> None:
    schedule = defs.resolve_schedule_def("daily_close")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("15 0 * * *", "UTC")
    with dg.instance_for_test() as instance:
        moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
        context = dg.build_schedule_context(instance, scheduled_execution_time=moment, repository_def=defs.get_repository_def())
        requests = schedule.evaluate_tick(context).run_requests
    assert [request.partition_key for request in requests or ()] == [closed]
    assert DAYS.has_partition_key(closed)


def test_every_day_that_a_parser_believes_has_a_partition() -> None:
    for us in (FIRST_TIME, last_time()):
        assert DAYS.has_partition_key(datetime.fromtimestamp(us // 1_000_000, UTC).date().isoformat())


def test_ranges_of_days() -> None:
    days = days_from(datetime(2024, 2, 27, tzinfo=UTC).date(), 5)
    assert contiguous([days[4], days[0], days[1], days[0]]) == [(days[0], days[1]), (days[4], days[4])]
    assert days_between(days[0], days[4]) == days
    assert contiguous([]) == []


def test_a_resource_is_overridden_by_name() -> None:
    class Mine(Warehouse):
        pass

    assert isinstance(build_defs({"warehouse": Mine()}).resources["warehouse"], Mine)
    assert type(defs.resources["warehouse"]) is Warehouse


def test_definitions_load_light() -> None:
    heavy = (
        "pyarrow",
        "numpy",
        "polars",
        "duckdb",
        "matplotlib",
        "pandas",
        "psycopg",
        "psycopg2",
        "yoyo",
        "great_expectations",
        "feast",
        "pyiceberg",
        "pgpq",
        "sqlalchemy",
    )
    code = f"import sys, rrr_assets.definitions; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=120)
    assert done.stdout.strip() == "[]"


def test_workspace_and_project_name_the_same_definitions() -> None:
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))
    assert [entry["python_module"]["module_name"] for entry in workspace["load_from"]] == ["rrr_assets.definitions"]


@pytest.mark.slow
@pytest.mark.parametrize("command", [["check", "defs"], ["list", "defs"]])
def test_dg_loads_the_project(command: list[str], tmp_path: Path) -> None:
    if find_spec("dagster_dg_cli") is None:
        pytest.skip("dagster-dg-cli is not installed")
    tool = shutil.which("dg", path=str(Path(sys.executable).parent)) or "dg"
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path), "DG_CLI_CONFIG": str(tmp_path / "dg.toml")}
    done = subprocess.run([tool, *command], capture_output=True, text=True, check=False, cwd=ROOT, timeout=240, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    if command[0] == "list":
        assert all(name in done.stdout for name in ASSETS)
