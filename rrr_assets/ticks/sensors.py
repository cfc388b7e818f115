"""The sensor of the landing zone: files that lie in the inbox are accepted, days that wait are materialised."""

import stat
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg

from rrr_assets.resources.partitions import contiguous, days_between, range_tags
from rrr_assets.resources.requests import ASKED_TAG, assets_of, changed_only, checks_of, days_under_way, is_under_way, no_room, run_key
from rrr_assets.resources.warehouse import Warehouse
from rrr_assets.warehouse.home import REASON, SET_ASIDE, Home

_SETTLED_SECONDS: Final = 5
_MOST_FILES: Final = 200


@dg.op(description="Verifies the files of the inbox whole and accepts them; what is refused is set aside with the reason.")
def accept_inbox(context: dg.OpExecutionContext, warehouse: Warehouse) -> None:
    """Accept every settled file of `landing/inbox/<format>/[<venue:SYMBOL>/]`."""
    from rrr_assets.calc.outcomes import NoSpaceLeft
    from rrr_assets.ticks import landing
    from rrr_assets.venues.base import SourceRefused
    from rrr_assets.warehouse.connect import Role

    home = Home.current()
    refused: list[str] = []
    with warehouse.database().connect(Role.WRITER, autocommit=True) as connection:
        for path, _, _ in inbox_files(home):
            try:
                format_name, instrument = _told_by_folder(home, path)
                accepted = landing.accept(home, connection, path, format_name, instrument, None)
            except (SourceRefused, ValueError) as error:
                refused.append(str(error))
                _set_aside(home, path, str(error))
                continue
            except NoSpaceLeft as error:
                raise dg.Failure(str(error), allow_retries=False) from error
            path.unlink()
            for beside in _beside(path):
                beside.unlink(missing_ok=True)
            for stream in accepted:
                context.log.info("accepted %s: %d rows of %s on %d days", path.name, stream.rows_read, stream.stream, len(stream.days))
    if refused:
        raise dg.Failure(f"{len(refused)} files were refused and {SET_ASIDE}: {'; '.join(refused[:5])}", allow_retries=False)


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
        if full := no_room():
            yield full
            return
        requests = list(_requests(context.instance, warehouse, job.name))
        yield from requests
        if not requests:
            yield dg.SkipReason(
                "Nothing lies in the inbox and no day waits, but for what a run is under way for, or what rests after a failure."
            )

    return landing_zone


def inbox_files(home: Home) -> list[tuple[Path, int, int]]:
    """Files of the inbox that nobody has written to for some seconds, oldest first, with their size and time of change in ns."""
    from rrr_assets.venues.table_mapping import is_mapping

    latest = time.time_ns() - _SETTLED_SECONDS * 1_000_000_000
    found: list[tuple[Path, int, int]] = []
    for path in home.inbox.rglob("*"):
        if path.suffix == ".CHECKSUM" or is_mapping(path) or path.name.startswith("."):
            continue
        try:
            facts = path.stat()
        except FileNotFoundError:
            continue  # accepted, or taken away again, since it was listed
        if stat.S_ISREG(facts.st_mode) and facts.st_mtime_ns <= latest:
            found.append((path, facts.st_size, facts.st_mtime_ns))
    return sorted(found, key=lambda file: (file[2], file[0]))[:_MOST_FILES]


def _requests(instance: dg.DagsterInstance, warehouse: Warehouse, job_name: str) -> Iterator[dg.RunRequest]:
    from rrr_assets.ticks.waiting import days_waiting

    files = inbox_files(Home.current())
    if files and not is_under_way(instance, accept_landing_files.name):
        # A file that comes back under the same name is another one: its time and size tell.
        found = run_key(instance, ["accept", *(f"{path}|{size}|{mtime_ns}" for path, size, mtime_ns in files)])
        if found is not None:
            yield dg.RunRequest(run_key=found[0], job_name=accept_landing_files.name, tags={ASKED_TAG: found[1]})
    under_way = days_under_way(instance)
    waiting: dict[tuple[str, ...], dict[date, str]] = {}
    for day, mark, streams in days_waiting(warehouse.database(), timedelta(seconds=30)):
        if day not in under_way:
            waiting.setdefault(tuple(assets_of(streams)), {})[day] = mark
    for assets, marks in waiting.items():
        for first, last in contiguous(marks):
            found = run_key(instance, [job_name, *assets, *(f"{day}={marks[day]}" for day in days_between(first, last))])
            if found is not None:
                yield dg.RunRequest(
                    run_key=found[0],
                    job_name=job_name,
                    tags={**range_tags(first, last), ASKED_TAG: found[1], "rrr/kind": "landing"},
                    run_config=changed_only(assets),
                    asset_selection=[dg.AssetKey(name) for name in assets],
                    asset_check_keys=checks_of(assets),
                )


def _told_by_folder(home: Home, path: Path) -> tuple[str, str | None]:
    from rrr_assets.venues.names import parse_instrument

    parts = path.relative_to(home.inbox).parts
    if len(parts) == 1:
        raise ValueError(f"{path.name}: it lies in no folder that names its format. Put it into landing/inbox/<format>/")
    return parts[0], parse_instrument(parts[1]) if len(parts) > 2 else None


def _set_aside(home: Home, path: Path, reason: str) -> None:
    folder = home.landing / "refused"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{time.time_ns()}-{path.name}"
    path.replace(target)
    for beside, goes_to in zip(_beside(path), _beside(target), strict=True):
        if beside.exists():
            beside.replace(goes_to)
    target.with_name(target.name + REASON).write_text(reason + "\n", "utf-8")


def _beside(path: Path) -> tuple[Path, Path]:
    """The checksum and the mapping that belong to this file alone."""
    from rrr_assets.venues.table_mapping import SUFFIX

    return path.with_name(path.name + ".CHECKSUM"), path.with_name(path.name + SUFFIX)
