"""Running the graph from the command line: Dagster runs in this process, which the UI shows like any other.

Belongs here: one run per contiguous range of days, its progress, what became of it. Does not: what the assets do.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from rrr_assets.warehouse.home import Home, HomeUnusable, hold_lock

if TYPE_CHECKING:
    from dagster import DagsterInstance, EventLogEntry

    from rrr_assets.contracts.archive import ArchivedGroup
    from rrr_assets.ticks.asking import Missing

_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

Progress = Callable[[str, int, int], None]
"""Told (asset, days done, days in all) as each day commits."""


@dataclass
class RunTold:
    """What became of one run: seconds by asset, checks, and what failed."""

    run_id: str
    days: tuple[date, ...]
    seconds: dict[str, float] = field(default_factory=dict)
    checks_passed: int = 0
    checks_failed: list[str] = field(default_factory=list)
    failure: str | None = None
    straight: list[dict[str, Any]] = field(default_factory=list)
    """Days that went straight to the archive: asset, day, rows, seconds, stages."""


@contextmanager
def dagster_instance() -> Iterator["DagsterInstance"]:
    """The platform's Dagster instance; runs of command lines that died are closed first."""
    from dagster import DagsterInstance

    from rrr_assets.resources.dagster_home import prepare_dagster_home

    prepare_dagster_home()
    # Dagster counts the first start-up of an instance as news; a command line has its own words.
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    with DagsterInstance.get() as instance:
        _close_dead_runs(instance)
        yield instance


def unseen(asset: str, done: int, in_all: int) -> None:
    """Progress that nobody looks at."""


def materialize(
    instance: "DagsterInstance", days: Sequence[date], progress: Progress = unseen, streams: Iterable[str] = ("trades",),
    to: str | None = None,
) -> Iterator[RunTold]:  # fmt: skip
    """Materialise what some streams feed for some days, in one run per contiguous range, telling each as it ends.

    `to` says where history goes, None for what the environment says.
    """
    from rrr_assets.resources.partitions import contiguous
    from rrr_assets.resources.requests import assets_of, changed_only, going_to

    assets = assets_of(streams)
    run_config = {"ops": {**changed_only(assets)["ops"], **going_to(to, assets)}}
    for first, last in contiguous(days):
        chosen = tuple(day for day in sorted(set(days)) if first <= day <= last)
        yield _run(instance, chosen, progress, assets, run_config=run_config)


def refresh(instance: "DagsterInstance", days: Sequence[date], progress: Progress = unseen) -> Iterator[RunTold]:
    """Bring bars and verdicts of some days up to date, in one run per contiguous range, telling each as it ends."""
    from rrr_assets.resources.partitions import contiguous
    from rrr_assets.resources.requests import REFRESHED, changed_only

    for first, last in contiguous(days):
        chosen = tuple(day for day in sorted(set(days)) if first <= day <= last)
        yield _run(instance, chosen, progress, REFRESHED, run_config=changed_only(REFRESHED))


def refresh_features(instance: "DagsterInstance", days: Sequence[date], progress: Progress = unseen) -> Iterator[RunTold]:
    """Bring features of some days up to date, in one run per contiguous range, telling each as it ends."""
    from rrr_assets.features.sensors import FEATURES_JOB, MADE, changed_only
    from rrr_assets.resources.partitions import contiguous

    for first, last in contiguous(days):
        chosen = tuple(day for day in sorted(set(days)) if first <= day <= last)
        yield _run(instance, chosen, progress, MADE, job_name=FEATURES_JOB.name, run_config=changed_only())


def judge_features(instance: "DagsterInstance", days: Sequence[date], progress: Progress = unseen) -> Iterator[RunTold]:
    """Hold features of some days against what models were trained on, in one run per contiguous range, telling each as it ends."""
    from rrr_assets.contracts.features import FEATURE_DRIFT
    from rrr_assets.features.drift import CHECKS, DRIFT_JOB
    from rrr_assets.resources.partitions import contiguous

    for first, last in contiguous(days):
        chosen = tuple(day for day in sorted(set(days)) if first <= day <= last)
        yield _run(instance, chosen, progress, [FEATURE_DRIFT.name], job_name=DRIFT_JOB.name, checks=[name for name, _ in CHECKS.values()])


def heal(instance: "DagsterInstance", gaps: "Sequence[Missing]", progress: Progress = unseen) -> Iterator[RunTold]:
    """Heal gaps, also those that rest after a failure, in one run per contiguous range of their days, telling each as it ends."""
    from rrr_assets.resources.partitions import days_between
    from rrr_assets.ticks.healing_assets import GAP_HEALING, HEALING_JOB, by_range, healing_assets, healing_config

    for first, last, mine in by_range(gaps):
        assets = healing_assets(mine)
        yield _run(
            instance, tuple(days_between(first, last)), progress, assets, job_name=HEALING_JOB.name,
            run_config=healing_config(mine, at_once=True), unchecked=(GAP_HEALING,),
        )  # fmt: skip


def archive(
    instance: "DagsterInstance", groups: "Sequence[ArchivedGroup]", days: Sequence[date], progress: Progress = unseen
) -> Iterator[RunTold]:
    """Archive some groups of tables of some days, in a run for those by day and one for those by month, telling each as it ends."""
    for grain in ("day", "month"):
        chosen = [group for group in groups if group.grain == grain]
        if chosen:
            partitions = tuple(sorted({chosen[0].tables[0].partition_of(day) for day in days}))
            yield _run(instance, partitions, progress, [group.name for group in chosen], job_name=f"archive_{grain}s")


def _run(
    instance: "DagsterInstance", days: tuple[date, ...], progress: Progress, assets: Sequence[str], *, job_name: str = "venues_to_bars",
    run_config: Mapping[str, Any] | None = None, unchecked: Sequence[str] = (), checks: Sequence[str] | None = None,
) -> RunTold:  # fmt: skip
    """Run a job for some assets; `checks` are theirs, None for those that most assets have."""
    from dagster import AssetCheckKey, AssetKey
    from dagster._core.utils import make_new_run_id

    from rrr_assets.definitions import defs
    from rrr_assets.resources.launcher import RUN_LOCK_TAG
    from rrr_assets.resources.partitions import range_tags
    from rrr_assets.resources.requests import checks_of

    checked = [name for name in assets if name not in unchecked]
    keys = checks_of(checked) if checks is None else [AssetCheckKey(AssetKey(name), check) for name in checked for check in checks]
    run_id = make_new_run_id()
    told = RunTold(run_id, days)
    lock = Home.current().logs / f"run-{run_id}.lock"
    with hold_lock(lock):
        instance.add_event_listener(run_id, _listener(told, progress))
        job = defs.resolve_job_def(job_name).get_subset(
            asset_selection=frozenset(AssetKey(name) for name in assets),
            asset_check_selection=frozenset(keys),
        )
        result = job.execute_in_process(
            instance=instance,
            run_id=run_id,
            tags={**range_tags(days[0], days[-1]), RUN_LOCK_TAG: lock.name, "dagster/max_retries": "0", "rrr/kind": "command line"},
            run_config={**_QUIET, **(run_config or {})},
            raise_on_error=False,
        )
    lock.unlink(missing_ok=True)
    if not result.success and told.failure is None:
        told.failure = "the run failed; its log in the UI says why"
    return told


def _listener(told: RunTold, progress: Progress) -> Callable[["EventLogEntry"], None]:
    """Follow a run's events: each day counts once, when it commits; each check once, rolled up over the run."""
    seen: set[tuple[str, str]] = set()
    in_all = len(told.days)

    def listen(entry: "EventLogEntry") -> None:
        event = entry.dagster_event
        if event is None:
            return
        if event.is_step_materialization and event.partition and event.asset_key:
            asset = event.asset_key.to_user_string()
            seen.add((asset, event.partition))
            progress(asset, sum(1 for name, _ in seen if name == asset), in_all)
            said = {name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()}
            if "stages" in said and all((each["asset"], each["day"]) != (asset, event.partition) for each in told.straight):
                known = {"asset": asset, "day": event.partition, "rows": said["rows_stored"], "seconds": said["seconds"]}
                told.straight.append({**known, "stages": said["stages"]})
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            check: Any = event.event_specific_data
            if check.partition is None:
                name = f"{check.asset_key.to_user_string()}: {check.check_name}"
                if check.passed:
                    told.checks_passed += 1
                else:
                    told.checks_failed.append(f"{name} ({_broken(check.metadata)})")
        elif event.is_step_success:
            told.seconds[str(event.step_key)] = event.step_success_data.duration_ms / 1000
        elif event.is_step_failure:
            error = event.step_failure_data.error
            cause = event.step_failure_data.user_failure_data
            told.failure = f"{event.step_key}: {cause.description if cause and cause.description else _last(error)}"

    return listen


def _broken(metadata: Any) -> str:
    return "; ".join(f"{rule}: {value.value}" for rule, value in metadata.items() if str(value.value).startswith("broken"))


def _last(error: Any) -> str:
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.message).strip() if error is not None else "unknown"


def _close_dead_runs(instance: "DagsterInstance") -> None:
    """Mark runs failed whose command line was killed: nobody else watches them, and the UI would show them running for ever."""
    from dagster import DagsterRunStatus, RunsFilter

    from rrr_assets.resources.launcher import RUN_LOCK_TAG

    logs = Home.current().logs
    for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.NOT_STARTED])):
        name = run.tags.get(RUN_LOCK_TAG)
        if name is None:
            continue
        try:
            # The system freed the lock if its holder died.
            with hold_lock(logs / name, timeout_seconds=0):
                instance.report_run_failed(run, message="The command line that ran this was killed. The days that it reported are kept.")
        except HomeUnusable:
            continue
        (logs / name).unlink(missing_ok=True)
