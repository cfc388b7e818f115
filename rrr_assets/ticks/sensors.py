"""The sensor of the landing zone: files that lie in the inbox are accepted, days that wait are materialised."""

import hashlib
import os
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg

from rrr_assets.resources.partitions import contiguous, range_tags
from rrr_assets.resources.warehouse import Warehouse
from rrr_assets.warehouse.home import Home

_SETTLED_SECONDS: Final = 5
_MOST_FILES: Final = 200


@dg.op(description="Verifies the files of the inbox whole and accepts them into the landing zone; what is refused is set aside with the reason.")
def accept_inbox(context: dg.OpExecutionContext, warehouse: Warehouse) -> None:
    """Accept every settled file of `landing/inbox/<format>/[<venue:SYMBOL>/]`."""
    from rrr_assets.ticks import landing
    from rrr_assets.venues.base import SourceRefused
    from rrr_assets.warehouse.connect import Role

    home = Home.current()
    refused: list[str] = []
    with warehouse.database().connect(Role.WRITER, autocommit=True) as connection:
        for path in inbox_files(home):
            format_name, instrument = _told_by_folder(home, path)
            try:
                accepted = landing.accept(home, connection, path, format_name, instrument, None)
            except (SourceRefused, ValueError) as error:
                refused.append(str(error))
                _set_aside(home, path, str(error))
                continue
            path.unlink()
            context.log.info(f"accepted {path.name}: {accepted.rows_read} rows on {len(accepted.days)} days")
    if refused:
        raise dg.Failure(f"{len(refused)} files were refused and set aside in landing/refused: {'; '.join(refused[:5])}", allow_retries=False)


@dg.job(description="Accepts the files that lie in the landing zone's inbox.", tags={"rrr/kind": "accept"})
def accept_landing_files() -> None:
    """One op: the days are materialised by runs of their own, once they are known."""
    accept_inbox()


def landing_sensor(job: Any) -> dg.SensorDefinition:
    """The sensor of the landing zone; `job` materialises the days that wait."""

    @dg.sensor(
        name="landing_zone",
        jobs=[accept_landing_files, job],
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Accepts files from landing/inbox/<format>/, and materialises the days of landed files that wait.",
    )
    def landing_zone(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> Iterator[dg.RunRequest | dg.SkipReason]:
        requests = list(_requests(warehouse, job.name))
        yield from requests or [dg.SkipReason("No file lies in the inbox, and no day of a landed file waits.")]

    return landing_zone


def inbox_files(home: Home) -> list[Path]:
    """Files of the inbox that nobody has written to for some seconds, oldest first."""
    inbox = home.landing / "inbox"
    latest = time.time_ns() - _SETTLED_SECONDS * 1_000_000_000
    files = [path for path in inbox.rglob("*") if path.is_file() and path.suffix != ".CHECKSUM" and not path.name.startswith(".")]
    settled = [path for path in files if path.stat().st_mtime_ns <= latest and path.parent != inbox]
    return sorted(settled, key=lambda path: path.stat().st_mtime_ns)[:_MOST_FILES]


def _requests(warehouse: Warehouse, job_name: str) -> Iterator[dg.RunRequest]:
    from rrr_assets.ticks.waiting import days_waiting

    files = inbox_files(Home.current())
    if files:
        # A file that comes back under the same name is another one: its time and size tell.
        marks = "\n".join(f"{path}|{path.stat().st_size}|{path.stat().st_mtime_ns}" for path in files)
        yield dg.RunRequest(run_key=hashlib.sha256(marks.encode()).hexdigest(), job_name=accept_landing_files.name)
    marks_by_day = dict(days_waiting(warehouse.database(), timedelta(seconds=30)))
    for first, last in contiguous(marks_by_day):
        mark = "|".join(f"{day}={marks_by_day[day]}" for day in _days(first, last))
        yield dg.RunRequest(
            run_key=hashlib.sha256(mark.encode()).hexdigest(),
            job_name=job_name,
            tags={**range_tags(first, last), "rrr/kind": "landing"},
            run_config=changed_only(),
        )


def changed_only() -> dict[str, Any]:
    """Run config by which bars and verdicts are brought up to date only where something changed."""
    refreshed = ("bars_1m", "bars_5m", "bars_1h", "bars_1d", "bar_conformance")
    return {"ops": {name: {"config": {"whole_days": False}} for name in refreshed}}


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _told_by_folder(home: Home, path: Path) -> tuple[str, str | None]:
    parts = path.relative_to(home.landing / "inbox").parts
    return parts[0], parts[1] if len(parts) > 2 else None


def _set_aside(home: Home, path: Path, reason: str) -> None:
    folder = home.landing / "refused"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{time.time_ns()}-{path.name}"
    os.replace(path, target)
    target.with_name(target.name + ".reason.txt").write_text(reason + "\n", "utf-8")
