"""What a sensor asks before it asks for a run: is one under way, how often was it tried, is the day held back.

Belongs here: looking at runs and check results of the instance, and nothing but looking. Does not: what waits (the stations).
A run key dedups for ever, so a key that never changed would leave a day waiting for ever once its run had failed.
"""

import hashlib
import time
from collections.abc import Iterable
from datetime import date
from typing import Any, Final

import dagster as dg
from dagster import AssetCheckKey, DagsterRun, RunsFilter
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from rrr_assets.contracts.information_bars import FOLLOWED
from rrr_assets.resources.partitions import RANGE_END, RANGE_START, days_between
from rrr_assets.resources.reporting import INTEGRITY, QUALITY

ASKED_TAG: Final = "rrr/asked"
"""On a run: what it was asked for, the same for every attempt."""

REFRESHED: Final = ("bars_1m", "bars_5m", "bars_1h", "bars_1d", "bar_conformance", *FOLLOWED)
"""What follows the invalidation log."""

_TICKS: Final = ("raw_trades", "raw_agg_trades", "raw_quotes", "raw_depth")
_PARTITION: Final = "dagster/partition"
_FIRST_REST_SECONDS: Final = 300
"""Short: who has mended what a run failed by waits for no more than this."""
_LONGEST_REST_SECONDS: Final = 86_400


def days_under_way(instance: dg.DagsterInstance) -> set[date]:
    """The days of all runs that wait or run: what they leave is asked for when they have ended."""
    return {day for run in instance.get_runs(RunsFilter(statuses=NOT_FINISHED_STATUSES)) for day in _days_of_run(run)}


def is_under_way(instance: dg.DagsterInstance, job_name: str) -> bool:
    """Whether a run of a job waits or runs."""
    return bool(instance.get_runs(RunsFilter(job_name=job_name, statuses=NOT_FINISHED_STATUSES), limit=1))


def run_key(
    instance: dg.DagsterInstance,
    marks: Iterable[str],
    first_rest_seconds: float = _FIRST_REST_SECONDS,  # not money: a wait
    longest_rest_seconds: float = _LONGEST_REST_SECONDS,  # not money: a wait
) -> tuple[str, str] | None:
    """The run key and the tag of what is asked for; None while a run for it is under way, or rests after a failure.

    Args:
        instance: whose runs.
        marks: what is asked for, in order; other marks are another request.
        first_rest_seconds: the rest after the first attempt; it doubles with each.
        longest_rest_seconds: what it grows to.

    Each attempt has a key of its own.
    """
    asked = hashlib.sha256("\n".join(marks).encode()).hexdigest()[:40]
    records = instance.get_run_records(RunsFilter(tags={ASKED_TAG: asked}))
    if not records:
        return asked, asked
    ended = [record.end_time for record in records]
    if any(at is None for at in ended):
        return None
    # Retries that Dagster makes by itself belong to one attempt.
    attempts = sum(1 for record in records if record.dagster_run.parent_run_id is None)
    rest = min(first_rest_seconds * 2 ** (attempts - 1), longest_rest_seconds)
    if max(at for at in ended if at is not None) + rest > time.time():
        return None
    return f"{asked}/{attempts}", asked


def held_back(instance: dg.DagsterInstance, assets: Iterable[str], day: date) -> list[str]:
    """Those of some assets whose blocking check failed when the day was last looked at."""
    keys = [AssetCheckKey(dg.AssetKey(asset), INTEGRITY) for asset in assets]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys, PartitionKeyFilter(key=day.isoformat()))
    return sorted(
        key.asset_key.to_user_string() for key, record in latest.items() if record.status is AssetCheckExecutionRecordStatus.FAILED
    )


def assets_of(streams: Iterable[str]) -> list[str]:
    """The assets to materialise when files of some streams wait: their own, and all bars and verdicts that are made from them."""
    wanted = set(streams)
    chosen = [f"raw_{stream}" for stream in ("agg_trades", "quotes", "depth") if stream in wanted]
    if wanted & {"trades", "corrections", "agg_trades", "venue_bars"}:
        chosen += ["raw_trades", "venue_bars", *REFRESHED]
    return chosen


def checks_of(assets: Iterable[str]) -> list[AssetCheckKey]:
    """The checks that go with some assets. Left to itself, Dagster adds those that have a time of their own to a run of some assets."""
    return [AssetCheckKey(dg.AssetKey(asset), name) for asset in assets for name in (INTEGRITY, QUALITY)]


def changed_only(assets: Iterable[str] = REFRESHED) -> dict[str, Any]:
    """Run config by which bars and verdicts are brought up to date only where something changed, for a run of some assets."""
    return {"ops": {name: {"config": {"whole_days": False}} for name in REFRESHED if name in assets}}


def going_to(to: str | None, assets: Iterable[str]) -> dict[str, Any]:
    """Config of those of some assets whose days may go straight to the archive; none where nothing is said."""
    return {} if to is None else {name: {"config": {"to": str(to)}} for name in assets if name in _TICKS}


def _days_of_run(run: DagsterRun) -> list[date]:
    first = run.tags.get(RANGE_START, run.tags.get(_PARTITION))
    last = run.tags.get(RANGE_END, first)
    if first is None or last is None:
        return []
    return days_between(date.fromisoformat(first), date.fromisoformat(last))


def no_room() -> dg.SkipReason | None:
    """Why a sensor or a schedule asks for nothing, where a disk has too little room for it. It asks again by itself."""
    from rrr_assets.warehouse.disk import lack_of_room

    full = lack_of_room()
    return None if full is None else dg.SkipReason(f"Nothing is begun: {full}")
