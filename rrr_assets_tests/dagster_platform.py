"""The platform under Dagster as tests see it: an emptied home, landed files, runs of the real jobs and what they told.

Belongs here: what tests of the graph, the daemon and the UI need to drive the real thing. Does not: fixtures.
"""

import json
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from psycopg import sql

from rrr_assets.definitions import build_defs
from rrr_assets.resources.partitions import range_tags
from rrr_assets.simulator import WrittenFile, simulate
from rrr_assets.ticks import landing
from rrr_assets.ticks.landing import Accepted
from rrr_assets.warehouse.connect import EMBEDDED_DATABASE, Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.platform import migrated
from rrr_assets_tests.warm import rrr

TICKS = ("raw_trades", "raw_agg_trades", "raw_quotes", "raw_depth")
BARS = ("bars_1m", "bars_5m", "bars_1h", "bars_1d")
INFORMATION_BARS = ("bars_tick", "bars_volume", "bars_dollar")
REFRESHED = (*BARS, *INFORMATION_BARS, "bar_conformance")
"""What follows the invalidation log."""

ASSETS = (*TICKS, "venue_bars", *REFRESHED)
"""What the main job materialises: all but the landing zone."""

FED_BY_TRADES = ("raw_trades", "venue_bars", *BARS, "bar_conformance", *INFORMATION_BARS)
"""What a run materialises where files of trades or venue bars wait and no others."""

CHECKS = ("integrity", "quality")

ROOT = Path(__file__).resolve().parents[1]

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The run config of a run that prints nothing."""


def emptied(home: Home) -> None:
    """Drop the home's databases, landed files and archive; the server goes on."""
    server = Database.current("postgres")
    with server.connect_admin() as connection:
        for name in (EMBEDDED_DATABASE, f"{EMBEDDED_DATABASE}_dagster"):
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
    for folder in (home.landing, home.dagster, home.root / "archive"):
        shutil.rmtree(folder, ignore_errors=folder.name == "archive")
    migrated()
    home.prepare()


def days_from(first: date, count: int) -> list[date]:
    return [first + timedelta(days=n) for n in range(count)]


def simulated(
    folder: Path,
    days: Sequence[date],
    trades: int,
    instruments: Sequence[str] = ("binance:BTCUSDT",),
    defects: Sequence[str] = (),
    seed: int = 3,
) -> list[WrittenFile]:
    """Files of the simulated exchange, their paths below `folder`."""
    return list(simulate(folder, days, instruments, trades, seed, defects=defects).files)


def land(folder: Path, files: Iterable[WrittenFile]) -> list[Accepted]:
    """Accept files into the home's landing zone; their days then wait."""
    with Database.current().connect(Role.WRITER, autocommit=True) as connection:
        return [
            accepted
            for file in files
            for accepted in landing.accept(Home.current(), connection, folder / file.path, file.format, file.instrument, None)
        ]


def told(*words: object) -> Any:
    """What a command that goes well tells machines."""
    done = rrr(*words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def rows(statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Rows of a query on the platform's database, as the owner."""
    with Database.current().connect(Role.OWNER, autocommit=True) as connection:
        return connection.execute(statement, values or None).fetchall()


def execute(statement: str, *values: object) -> None:
    """A statement on the platform's database, as the owner."""
    with Database.current().connect(Role.OWNER, autocommit=True) as connection:
        connection.execute(statement, values or None)


def repeat_a_trade(day: date) -> None:
    """Store a trade of the day twice. The unique index holds event_time, so the same id at another time gets past it."""
    execute(
        "insert into raw_trades select (jsonb_populate_record(t, jsonb_build_object('event_time', t.event_time + interval '1 second',"
        " 'available_at', t.available_at + interval '1 second'))).* from raw_trades as t"
        " where event_time >= %s and event_time < %s::date + 1 limit 1",
        day,
        day,
    )


def take_back_the_repeated(day: date) -> None:
    """Undo `repeat_a_trade`."""
    execute(
        "delete from raw_trades as t using raw_trades as o where t.event_time >= %s and t.event_time < %s::date + 1"
        " and t.instrument = o.instrument and t.sequence = o.sequence and t.event_time = o.event_time + interval '1 second'",
        day,
        day,
    )


def run_job(
    instance: dg.DagsterInstance,
    days: Sequence[date],
    *,
    job: str = "venues_to_bars",
    overrides: Mapping[str, Any] | None = None,
    ops: Mapping[str, Any] | None = None,
    selection: Sequence[str] | None = None,
    partition: bool = False,
) -> dg.ExecuteInProcessResult:
    """Run one of the real jobs for a range of days, or as the one partition it is."""
    definition = build_defs(overrides).resolve_job_def(job)
    config = {**QUIET, "ops": {name: {"config": dict(values)} for name, values in (ops or {}).items()}}
    where: dict[str, Any] = {"partition_key": days[0].isoformat()} if partition else {"tags": range_tags(days[0], days[-1])}
    chosen = [dg.AssetKey(name) for name in selection] if selection else None
    return definition.execute_in_process(instance=instance, run_config=config, asset_selection=chosen, raise_on_error=False, **where)


def materializations(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], list[dg.AssetMaterialization]]:
    """A run's materialisations by (asset, day), in the order told."""
    found: dict[tuple[str, str], list[dg.AssetMaterialization]] = defaultdict(list)
    for event in result.all_events:
        if event.is_step_materialization:
            made = event.step_materialization_data.materialization
            found[made.asset_key.to_user_string(), str(made.partition)].append(made)
    return found


def evaluations(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str, str | None], list[dg.AssetCheckEvaluation]]:
    """A run's check results by (asset, check, day), the day None where it is rolled up over the run."""
    found: dict[tuple[str, str, str | None], list[dg.AssetCheckEvaluation]] = defaultdict(list)
    for event in result.get_asset_check_evaluations():
        found[event.asset_key.to_user_string(), event.check_name, event.partition].append(event)
    return found


def failures(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """What failed, by step, with the description given."""
    found: dict[str, str] = {}
    for event in result.all_events:
        if event.is_step_failure:
            told = event.step_failure_data
            given = told.user_failure_data.description if told.user_failure_data else None
            found[str(event.step_key)] = given or (told.error.to_string() if told.error else "unknown")
    return found
