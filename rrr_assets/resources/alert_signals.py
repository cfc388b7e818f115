"""What Dagster, the disks and the archive's store say is wrong.

Belongs here: failed runs and checks, runs that do not end, sensors and schedules that fail, little room, a dead store, a backlog. Does not:
what the ledgers say (warehouse/alerts), grouping (calc/alerts). It looks and changes nothing, and each look asks everything again: what
was seen before is kept nowhere but in the alerts.
"""

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from rrr_assets.calc.alerts import Signal, class_of_failure
from rrr_assets.contracts.runbooks import RULES
from rrr_assets.resources.partitions import RANGE_END, RANGE_START, days_between
from rrr_assets.resources.reporting import INTEGRITY
from rrr_assets.warehouse.home import SET_ASIDE

if TYPE_CHECKING:
    from dagster._core.storage.dagster_run import DagsterRun, RunRecord

    from rrr_assets.warehouse.connect import Database

SENSOR: Final = "alerts"
"""The sensor that looks: of its own failures others must tell (`rrr watchdog`)."""

_LOOK_BACK: Final = timedelta(days=14)
_MOST_RUNS: Final = 300
_MOST_CHECKS: Final = 1000
SILENT: Final = timedelta(minutes=30)
"""So long a run that is under way may say nothing. The longest silent step, a month's archive, takes minutes."""
_STUCK: Final = {
    "STARTED": SILENT,
    "QUEUED": timedelta(hours=1),
    "STARTING": timedelta(minutes=15),
    "CANCELING": timedelta(minutes=15),
}
_BEHIND: Final = timedelta(minutes=15)
_FEATURES_BEHIND: Final = timedelta(hours=1)
_MANY_DAYS: Final = 5
_STORE_SECONDS: Final = 5
_PARTITION: Final = "dagster/partition"
_WILL_RETRY: Final = "dagster/will_retry"
# The ledgers say the same of these more exactly: what their checks merely warn of is no news.
_IN_LEDGERS: Final = ("raw_", "venue_bars", "bars_", "bar_conformance")
# And these sum up the ledger's findings, which are told one by one.
_SUMMARIES: Final = frozenset({"quality_recent", "quality_daily"})
_OF_ASSET: Final = (
    ("archive", "archive"),
    ("database_backup", "backup"),
    ("backup_drill", "backup"),
    ("cost_", "cost"),
    ("feature_drift", "feature_drift"),
    ("ret", "retention"),
)


def platform_signals(database: "Database", instance: dg.DagsterInstance | None, now: datetime) -> list[Signal]:
    """All of it; of Dagster nothing where no instance is given."""
    found = [*_disks(now), *_store(now), *_backlog(database, now)]
    if instance is not None:
        found += [*failed_checks(instance, now), *failed_runs(instance, now), *stuck_runs(instance, now), *failed_ticks(instance, now)]
    return found


# --- disks, the store, the backlog ------------------------------------------------------------------------------


def _disks(now: datetime) -> Iterator[Signal]:
    from rrr_assets.warehouse.disk import disks

    for disk in disks():
        if disk.free_bytes < 2 * disk.floor_bytes:
            yield Signal(
                key=f"disk|{disk.folder}", kind="platform", rule="disk_full", severity="page" if disk.is_full else "warn",
                what=disk.told, since=now, found_at=now,
            )  # fmt: skip


def _store(now: datetime) -> Iterator[Signal]:
    if not (os.environ.get("RRR_ARCHIVE_URL") or "").startswith("s3:"):
        return
    if reason := _PROBE.asked():
        yield Signal(
            key="store", kind="platform", rule="object_store_down", severity="page",
            what=f"The archive's store does not answer: {reason}"[:400], since=now, found_at=now,
        )  # fmt: skip


class _Probe:
    """One question to the store at a time, and no waiting for an answer that does not come."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._reason: str | None = None

    def asked(self) -> str | None:
        """Why the store did not answer; None where it did."""
        if self._thread is None or not self._thread.is_alive():
            self._reason = f"no answer within {_STORE_SECONDS} s"
            self._thread = threading.Thread(target=self._ask, name="rrr-store-probe", daemon=True)
            self._thread.start()
        self._thread.join(_STORE_SECONDS)
        return self._reason

    def _ask(self) -> None:
        from rrr_assets.calc.outcomes import NoSpaceLeft, PermanentFailure, StoreUnreachable
        from rrr_assets.lake.store import Store, failures_told

        try:
            with failures_told("asking whether it is there"):
                store = Store.current()
                store.filesystem.get_file_info(store.root)
        except (StoreUnreachable, PermanentFailure, NoSpaceLeft) as error:
            self._reason = str(error)
        else:
            self._reason = None


_PROBE: Final = _Probe()


def _backlog(database: "Database", now: datetime) -> Iterator[Signal]:
    from rrr_assets.warehouse.refresh import days_behind

    behind = days_behind(database, 366, settled_for=_BEHIND)
    if len(behind) >= _MANY_DAYS:
        yield Signal(
            key="backlog", kind="platform", rule="invalidation_storm", severity="page", size=len(behind),
            what=f"Bars of {len(behind)} days, {min(behind)} to {max(behind)}, lag behind their trades for {_BEHIND.seconds // 60} minutes",
            since=now - _BEHIND, found_at=now,
        )  # fmt: skip
    yield from _features_behind(database, now)


def _features_behind(database: "Database", now: datetime) -> Iterator[Signal]:
    """Of features that wait for their bars, the bars tell."""
    from rrr_assets.warehouse.features import days_behind_alone

    behind = days_behind_alone(database, 366, settled_for=_FEATURES_BEHIND)
    if behind:
        days = f"{min(behind)}" if len(behind) == 1 else f"{len(behind)} days, {min(behind)} to {max(behind)},"
        yield Signal(
            key="features-behind", kind="platform", rule="features_behind", severity="warn", size=len(behind),
            what=f"Features of {days} lag behind bars and ticks for over an hour", since=now - _FEATURES_BEHIND, found_at=now,
        )  # fmt: skip


# --- checks -----------------------------------------------------------------------------------------------------


def failed_checks(instance: dg.DagsterInstance, now: datetime) -> Iterator[Signal]:
    """Checks, and days of them, whose last evaluation failed. A check that is under way is what it was before."""
    from dagster import AssetCheckEvaluation
    from dagster._core.events.log import EventLogEntry
    from dagster._serdes import deserialize_value

    rows = _last_evaluations(instance, now)
    by_day = {(row.asset_key, row.check_name) for row in rows if row.partition}
    for row in rows:
        # What is rolled up over a run's days says nothing that the days do not.
        if row.execution_status != "FAILED" or (row.partition is None and (row.asset_key, row.check_name) in by_day):
            continue
        event = deserialize_value(row.evaluation_event, EventLogEntry).dagster_event
        told = event.event_specific_data if event else None
        if not isinstance(told, AssetCheckEvaluation):
            continue
        asset = told.asset_key.to_user_string()
        is_warning = told.severity is dg.AssetCheckSeverity.WARN
        if asset in _SUMMARIES or (is_warning and asset.startswith(_IN_LEDGERS)):
            continue
        at = row.evaluation_event_timestamp.replace(tzinfo=UTC)
        day = _as_day(row.partition)
        yield Signal(
            key=f"check|{asset}|{row.check_name}|{row.partition or ''}", kind="check",
            rule=_rule_of_check(asset, row.check_name, is_warning=is_warning), severity="warn" if is_warning else "page",
            what=f"{asset}: {_why(told)}{f', on {day}' if day else ''}"[:600], since=at, found_at=at, relation=asset,
            day=day, run_id=row.run_id, path=f"/assets/{asset}?view=checks&checkDetail={row.check_name}",
        )  # fmt: skip


def _last_evaluations(instance: dg.DagsterInstance, now: datetime) -> Sequence[Any]:
    import sqlalchemy as sa
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Executions

    # The storage's own reads give the last of each check; of checks by day that hides the days before.
    columns = Executions.c
    last = (
        sa.select(sa.func.max(columns.id))
        .where(columns.execution_status.in_(["SUCCEEDED", "FAILED"]), columns.create_timestamp > (now - _LOOK_BACK).replace(tzinfo=None))
        .group_by(columns.asset_key, columns.check_name, columns.partition)
    )
    # A check that is kept by a day shows that it has days.
    chosen = (
        sa.select(
            sa.func.trim(columns.asset_key, '[]" ').label("asset_key"), columns.check_name, columns.partition, columns.run_id,
            columns.execution_status, columns.evaluation_event, columns.evaluation_event_timestamp,
        )
        .where(columns.id.in_(last), sa.or_(columns.execution_status == "FAILED", columns.partition.is_not(None)))
        .order_by(columns.execution_status, columns.id.desc())
        .limit(_MOST_CHECKS)
    )  # fmt: skip
    storage: Any = instance.event_log_storage
    with storage.index_connection() as connection:
        return list(connection.execute(chosen))


def _rule_of_check(asset: str, name: str, *, is_warning: bool) -> str:
    found = name if name in RULES else "quality" if is_warning else INTEGRITY
    if found in {INTEGRITY, "quality"}:
        return next((rule for prefix, rule in _OF_ASSET if asset.startswith(prefix)), found)
    return found


def _why(told: dg.AssetCheckEvaluation) -> str:
    broken = [f"{name}: {value.value}" for name, value in told.metadata.items() if str(value.value).startswith("broken")]
    return "; ".join(broken[:3]) or told.description or f"check {told.check_name} failed"


# --- runs -------------------------------------------------------------------------------------------------------


def failed_runs(instance: dg.DagsterInstance, now: datetime) -> Iterator[Signal]:
    """What was run and failed, and has not succeeded since. A run that Dagster tries again by itself has not failed yet."""
    failed = instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=now - _LOOK_BACK), limit=_MOST_RUNS
    )  # fmt: skip
    targets: dict[str, list[RunRecord]] = {}
    for record in failed:
        targets.setdefault(_target(record.dagster_run), []).append(record)
    for target, records in targets.items():
        last = records[0]
        run = last.dagster_run
        if run.tags.get(_WILL_RETRY) == "true" and last.update_timestamp > now - timedelta(hours=1):
            continue
        if _is_made_good(instance, target, last):
            continue
        reason, step = _failure(instance, run.run_id)
        if SET_ASIDE in reason:
            # The folder of refused files tells it, until the file is mended.
            continue
        rule = class_of_failure(reason) or ("broken_check" if step in _checks_planned(instance, run.run_id) else "run_failed")
        days = _days(run)
        where = "" if not days else f" of {days[0]}" if len(days) == 1 else f" of {days[0]} to {days[-1]}"
        first_line = next((line for line in reason.splitlines() if line.strip()), "no reason was told")
        yield Signal(
            key=f"run|{target}", kind="run", rule=rule, severity="page", what=f"{_job(run)}{where} failed: {first_line}"[:600],
            since=_at(records[-1]), found_at=_at(records[-1]), size=len(records), run_id=run.run_id, reason=reason,
            path=f"/runs/{run.run_id}",
        )  # fmt: skip


def stuck_runs(instance: dg.DagsterInstance, now: datetime) -> Iterator[Signal]:
    """Runs that wait for longer than any should, or are under way and say nothing."""
    statuses = [dg.DagsterRunStatus[name] for name in _STUCK]
    for record in instance.get_run_records(dg.RunsFilter(statuses=statuses), limit=_MOST_RUNS):
        run = record.dagster_run
        begun = datetime.fromtimestamp(record.start_time, UTC) if record.start_time else record.create_timestamp
        is_under_way = run.status is dg.DagsterRunStatus.STARTED
        since = last_word(instance, record) if is_under_way else begun
        if now - since > _STUCK[run.status.name]:
            silent = f", and said nothing since {since:%H:%M}" if is_under_way else ""
            yield Signal(
                key=f"stuck|{run.run_id}", kind="platform", rule="stuck_run", severity="page", relation=run.job_name,
                what=f"{_job(run)} is {run.status.value.lower().replace('_', ' ')} since {begun:%Y-%m-%d %H:%M} UTC{silent}",
                since=since, found_at=now,
                size=int((now - since).total_seconds()) // 3600, path=f"/runs/{run.run_id}",
            )  # fmt: skip


def last_word(instance: dg.DagsterInstance, record: "RunRecord") -> datetime:
    """When a run said something last, UTC; of one that never did, when it was asked for."""
    said = instance.get_records_for_run(record.dagster_run.run_id, limit=1, ascending=False).records
    return datetime.fromtimestamp(said[0].event_log_entry.timestamp, UTC) if said else record.create_timestamp.replace(tzinfo=UTC)


@dataclass
class _Seen:
    """What was seen of the runs that succeeded after one that failed. Kept to look at each of them once; nothing is lost with it."""

    run_id: str
    until: datetime
    days: set[date] = field(default_factory=set)
    is_good: bool = False


_SEEN: Final[dict[str, _Seen]] = {}


def _is_made_good(instance: dg.DagsterInstance, target: str, failed: "RunRecord") -> bool:
    """Whether what a run was for succeeded since, all of its days."""
    run = failed.dagster_run
    seen = _SEEN.get(target)
    if seen is None or seen.run_id != run.run_id:
        seen = _SEEN[target] = _Seen(run.run_id, failed.update_timestamp)
    wanted = set(_days(run))
    while not seen.is_good:
        chosen = dg.RunsFilter(job_name=run.job_name, statuses=[dg.DagsterRunStatus.SUCCESS], updated_after=seen.until)
        later = instance.get_run_records(chosen, limit=_MOST_RUNS, order_by="update_timestamp", ascending=True)
        for record in later:
            done = record.dagster_run
            if done.asset_selection is None or (run.asset_selection or frozenset()) <= done.asset_selection:
                seen.days.update(_days(done))
                seen.is_good = seen.is_good or (wanted <= seen.days)
            seen.until = record.update_timestamp
        if len(later) < _MOST_RUNS:
            break
    return seen.is_good


def _target(run: "DagsterRun") -> str:
    chosen = ",".join(sorted(key.to_user_string() for key in run.asset_selection or ()))
    days = _days(run)
    return "|".join((run.job_name, chosen[:200], f"{days[0]}..{days[-1]}" if days else run.tags.get(_PARTITION, "")))


def _job(run: "DagsterRun") -> str:
    chosen = sorted(key.to_user_string() for key in run.asset_selection or ())
    if run.job_name.startswith("__") and chosen:
        return f"{', '.join(chosen[:3])}{f' and {len(chosen) - 3} more' if len(chosen) > 3 else ''}"
    return run.job_name


def _days(run: "DagsterRun") -> list[date]:
    first = _as_day(run.tags.get(RANGE_START, run.tags.get(_PARTITION)))
    last = _as_day(run.tags.get(RANGE_END, run.tags.get(_PARTITION)))
    return [] if first is None or last is None else days_between(first, last)


def _as_day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def _at(record: "RunRecord") -> datetime:
    ended = record.end_time
    return datetime.fromtimestamp(ended, UTC) if ended else record.create_timestamp


_FAILURES: Final[dict[str, tuple[str, str | None]]] = {}


def _failure(instance: dg.DagsterInstance, run_id: str) -> tuple[str, str | None]:
    """Why a run failed, and in which step. Asked once: a run that has ended does not change."""
    if run_id not in _FAILURES:
        if len(_FAILURES) > 10 * _MOST_RUNS:
            _FAILURES.clear()
        _FAILURES[run_id] = _asked_failure(instance, run_id)
    return _FAILURES[run_id]


def _asked_failure(instance: dg.DagsterInstance, run_id: str) -> tuple[str, str | None]:
    types = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.ENGINE_EVENT}
    events = instance.all_logs(run_id, of_type=types)
    told = [entry.dagster_event for entry in events if entry.dagster_event is not None]
    for event in told:
        if event.is_step_failure:
            failure = event.step_failure_data
            if failure.user_failure_data and failure.user_failure_data.description:
                return failure.user_failure_data.description, event.step_key
            return (_innermost(failure.error) or str(event.message)), event.step_key
    for event in told:
        # A run whose code does not load says so here alone; its failure is without a reason.
        if event.event_type is dg.DagsterEventType.ENGINE_EVENT and (why := _innermost(event.engine_event_data.error)):
            return why, None
    told = [event for event in told if event.event_type is not dg.DagsterEventType.ENGINE_EVENT]
    return next((str(event.message) for event in told if event.message), "no reason was told"), None


def _innermost(error: Any) -> str | None:
    while error is not None and error.cause is not None:
        error = error.cause
    return f"{error.cls_name}: {_without_class(error.message)}" if error else None


def _without_class(message: str) -> str:
    # Dagster's text begins with the class, with or without its module.
    head, mark, rest = message.strip().partition(": ")
    return rest if mark and " " not in head else message.strip()


def _checks_planned(instance: dg.DagsterInstance, run_id: str) -> set[str]:
    """The steps of a run that do nothing but check."""
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED)
    keys: Iterable[Any] = (entry.dagster_event.asset_check_planned_data for entry in events if entry.dagster_event)
    return {f"{key.asset_key.to_python_identifier()}_{key.check_name}".replace(".", "_") for key in keys}


# --- sensors and schedules --------------------------------------------------------------------------------------


def failed_ticks(instance: dg.DagsterInstance, now: datetime) -> Iterator[Signal]:
    """Sensors that failed twice running, and schedules whose last evaluation failed."""
    from dagster._core.definitions.run_request import InstigatorType
    from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus

    storage: Any = instance.schedule_storage
    states = [
        state for state in instance.all_instigator_state()
        if state.instigator_name != SENSOR and state.status is not InstigatorStatus.STOPPED
    ]  # fmt: skip
    if storage is None or not states:
        return
    ticks = storage.get_batch_ticks([state.selector_id for state in states], limit=3)
    for state in states:
        is_sensor = state.instigator_type is InstigatorType.SENSOR
        since = now - (timedelta(hours=1) if is_sensor else timedelta(days=8))
        ended = [
            tick for tick in ticks.get(state.selector_id, ())
            if tick.status is not TickStatus.STARTED and tick.timestamp > since.timestamp()
        ]  # fmt: skip
        needed = 2 if is_sensor else 1
        if len(ended) < needed or any(tick.status is not TickStatus.FAILURE for tick in ended[:needed]):
            continue
        name, error = state.instigator_name, ended[0].error
        reason = _innermost(error) or "no reason was told"
        at = datetime.fromtimestamp(ended[needed - 1].timestamp, UTC)
        rule = "lost_wal" if name == "backup_log" else class_of_failure(reason) or "sensor_failed"
        first_line = reason.splitlines()[0]
        yield Signal(
            key=f"tick|{name}", kind="sensor", rule=rule, severity="page",
            what=f"{'sensor' if is_sensor else 'schedule'} {name} fails: {first_line}"[:600],
            since=at, found_at=at, reason=reason, path="/automation",
        )  # fmt: skip
