"""The sensors: what they ask for, under which key, and when they ask for nothing."""

import os
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import MappingProxyType

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from rrr_assets.definitions import defs
from rrr_assets.resources import requests
from rrr_assets.resources.partitions import RANGE_END, RANGE_START
from rrr_assets.resources.warehouse import Warehouse
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.dagster_platform import (
    FED_BY_TRADES,
    REFRESHED,
    days_from,
    execute,
    failures,
    land,
    repeat_a_trade,
    rows,
    run_job,
    simulated,
    take_back_the_repeated,
)

pytestmark = pytest.mark.slow

DAYS = days_from(date(2024, 5, 1), 3)
KEYS = [day.isoformat() for day in DAYS]
CHANGED_ONLY = MappingProxyType({"whole_days": False})


def tick(instance: dg.DagsterInstance, sensor: str) -> SensorExecutionData:
    context = dg.build_sensor_context(instance, repository_def=defs.get_repository_def(), resources={"warehouse": Warehouse()})
    return defs.resolve_sensor_def(sensor).evaluate_tick(context)


def asked(instance: dg.DagsterInstance, sensor: str = "landing_zone") -> list[dg.RunRequest]:
    return list(tick(instance, sensor).run_requests or ())


def span(request: dg.RunRequest) -> tuple[str, str]:
    return request.tags[RANGE_START], request.tags[RANGE_END]


def settle() -> None:
    """Let a minute pass for the books: sensors leave days alone that changed just now."""
    execute("update landing_days set requested_at = requested_at - interval '1 minute'")
    execute("update invalidation_days set last_logged_at = last_logged_at - interval '1 minute'")


def launch(instance: dg.DagsterInstance, request: dg.RunRequest, status: dg.DagsterRunStatus) -> str:
    """A run as the daemon would have made it of a request, in some status."""
    job = defs.resolve_job_def(request.job_name or "venues_to_bars")
    run = instance.create_run_for_job(
        job, tags={**request.tags, "dagster/run_key": str(request.run_key)}, status=dg.DagsterRunStatus.STARTED
    )
    if status is dg.DagsterRunStatus.FAILURE:
        instance.report_run_failed(run, message="it failed")
    return run.run_id


def put_in_inbox(home: Home, source: Path, folder: str, age_seconds: int = 60) -> Path:
    target = home.landing / "inbox" / folder / source.name
    target.parent.mkdir(parents=True, exist_ok=True)
    for name in (source.name, f"{source.name}.CHECKSUM"):
        if source.with_name(name).exists():
            target.with_name(name).write_bytes(source.with_name(name).read_bytes())
    then = time.time() - age_seconds
    os.utime(target, (then, then))
    return target


def accept(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = defs.resolve_job_def("accept_landing_files")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    return job.execute_in_process(instance=instance, run_config=quiet, raise_on_error=False)


@pytest.fixture(autouse=True)
def clean(empty_home: Home, instance: dg.DagsterInstance) -> Iterator[None]:
    """Each test begins with nothing that waits and no run that is under way."""
    yield
    execute("update landing_days set is_pending = false")
    execute(
        "insert into invalidations_applied select c.name, l.relation, l.instrument, l.day, max(l.invalidation_id), now()"
        " from invalidation_log as l, unnest(%s::text []) as c (name) group by 1, 2, 3, 4"
        " on conflict on constraint invalidations_applied_key do update set applied_through = excluded.applied_through",
        list(REFRESHED),
    )
    for run in instance.get_runs():
        instance.delete_run(run.run_id)
    for folder in ("inbox", "refused"):
        for path in (empty_home.landing / folder).rglob("*"):
            if path.is_file():
                path.unlink()


def test_nothing_is_asked_for_where_nothing_waits(instance: dg.DagsterInstance) -> None:
    for sensor in ("landing_zone", "invalidation_log"):
        result = tick(instance, sensor)
        assert not result.run_requests
        assert result.skip_message


def test_days_that_wait_are_asked_for_by_range(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    land(tmp_path, simulated(tmp_path, [DAYS[0], DAYS[1]], 200))
    assert asked(instance) == []  # who landed them may be about to run them
    settle()
    first = asked(instance)
    assert [span(request) for request in first] == [(KEYS[0], KEYS[1])]
    assert first[0].job_name == "venues_to_bars"
    assert first[0].run_config == {"ops": {name: {"config": CHANGED_ONLY} for name in REFRESHED if name in FED_BY_TRADES}}
    assert [request.run_key for request in asked(instance)] == [first[0].run_key]


def test_more_for_the_same_day_is_another_request(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    land(tmp_path / "a", simulated(tmp_path / "a", DAYS[:1], 200))
    settle()
    before = asked(instance)
    land(tmp_path / "b", simulated(tmp_path / "b", DAYS[:1], 200, ["binance:ETHUSDT"]))
    settle()
    after = asked(instance)
    assert span(before[0]) == span(after[0])
    assert before[0].run_key != after[0].run_key
    # The same file once more: its days are asked for again.
    land(tmp_path / "b", simulated(tmp_path / "b", DAYS[:1], 200, ["binance:ETHUSDT"]))
    settle()
    assert asked(instance)[0].run_key not in {before[0].run_key, after[0].run_key}


def test_days_apart_are_two_requests(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    land(tmp_path, simulated(tmp_path, [DAYS[0], DAYS[2]], 200))
    settle()
    assert [span(request) for request in asked(instance)] == [(KEYS[0], KEYS[0]), (KEYS[2], KEYS[2])]


def test_days_of_a_run_that_is_under_way_are_left_to_it(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    land(tmp_path, simulated(tmp_path, DAYS, 300))
    settle()
    (request,) = asked(instance)
    launch(instance, request, dg.DagsterRunStatus.STARTED)
    # As the run goes on, fewer days wait: what is left is no new request.
    execute("update landing_days set is_pending = false where day = %s", DAYS[0])
    assert asked(instance) == []
    assert "under way" in str(tick(instance, "landing_zone").skip_message)


def test_a_failed_request_rests_and_is_made_again_under_another_key(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(tmp_path, simulated(tmp_path, DAYS[:1], 200))
    settle()
    keys, now = [], time.time()
    # Five minutes, ten, twenty: a fault that is mended in the first quarter of an hour keeps no day waiting for longer.
    for minutes in (0, 5.5, 11, 22):
        monkeypatch.setattr(requests.time, "time", lambda at=now + minutes * 60: at)
        (request,) = asked(instance)
        keys.append(request.run_key)
        monkeypatch.undo()
        launch(instance, request, dg.DagsterRunStatus.FAILURE)
        assert asked(instance) == []
    assert len(set(keys)) == 4


def test_files_of_the_inbox_are_accepted_and_their_days_wait(instance: dg.DagsterInstance, empty_home: Home, tmp_path: Path) -> None:
    written = simulated(tmp_path, DAYS[:1], 200)
    paths = [put_in_inbox(empty_home, tmp_path / file.path, file.format) for file in written]
    young = put_in_inbox(empty_home, tmp_path / written[0].path, "binance-vision-trades/binance:ETHUSDT", age_seconds=0)
    (request,) = asked(instance)
    assert request.job_name == "accept_landing_files"
    assert [again.run_key for again in asked(instance)] == [request.run_key]
    young.unlink()
    assert accept(instance).success
    assert not any(path.exists() or path.with_name(path.name + ".CHECKSUM").exists() for path in paths)
    assert asked(instance) == []
    settle()
    assert [span(waiting) for waiting in asked(instance)] == [(KEYS[0], KEYS[0])]


def test_a_file_that_still_grows_is_left_alone(instance: dg.DagsterInstance, empty_home: Home, tmp_path: Path) -> None:
    file = simulated(tmp_path, DAYS[:1], 200)[0]
    path = put_in_inbox(empty_home, tmp_path / file.path, file.format, age_seconds=0)
    assert asked(instance) == []
    os.utime(path, (time.time() - 60, time.time() - 60))
    before = asked(instance)[0].run_key
    with path.open("ab") as grown:
        grown.write(b"more")
    os.utime(path, (time.time() - 50, time.time() - 50))
    assert asked(instance)[0].run_key != before


@pytest.mark.parametrize(
    ("folder", "name", "reason"),
    [
        ("binance-vision-trades", "BTCUSDT-trades-2024-05-01.zip", ""),
        ("no-such-format", "BTCUSDT-trades-2024-05-01.zip", "no-such-format"),
        ("", "BTCUSDT-trades-2024-05-01.zip", "landing/inbox/<format>/"),
        ("ccapi/nowhere:BTC", "x.csv", "nowhere"),
    ],
)
def test_what_is_refused_is_set_aside_with_its_reason(
    instance: dg.DagsterInstance, empty_home: Home, tmp_path: Path, folder: str, name: str, reason: str
) -> None:
    good = simulated(tmp_path, DAYS[1:2], 200)[0]
    kept = put_in_inbox(empty_home, tmp_path / good.path, good.format)
    broken = tmp_path / name
    broken.write_bytes(b"PK\x03\x04 not a zip file at all")
    path = put_in_inbox(empty_home, broken, folder)
    assert len(asked(instance)) == 1
    result = accept(instance)
    assert not result.success
    assert "1 files were refused" in failures(result)["accept_inbox"]
    assert not path.exists()
    assert not kept.exists()
    aside = list((empty_home.landing / "refused").iterdir())
    assert sorted(file.name.partition("-")[2] for file in aside) == [name, f"{name}.reason.txt"]
    (why,) = [file for file in aside if file.name.endswith(".reason.txt")]
    assert reason in why.read_text("utf-8")
    assert len(why.read_text("utf-8")) > 20
    assert asked(instance) == []  # nothing is tried again for ever


def test_one_run_at_a_time_looks_into_the_inbox(instance: dg.DagsterInstance, empty_home: Home, tmp_path: Path) -> None:
    first, second = simulated(tmp_path, DAYS[:1], 200)[:2]
    put_in_inbox(empty_home, tmp_path / first.path, first.format)
    (request,) = asked(instance)
    launch(instance, request, dg.DagsterRunStatus.STARTED)
    put_in_inbox(empty_home, tmp_path / second.path, second.format)
    assert asked(instance) == []


def test_a_late_trade_asks_for_its_day_alone(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    written = simulated(tmp_path, DAYS, 3000, defects=("late",))
    land(tmp_path, [file for file in written if not file.is_held_back])
    assert run_job(instance, DAYS).success
    settle()
    assert asked(instance, "invalidation_log") == []
    late = [file for file in written if file.is_held_back and file.day == DAYS[1]]
    assert late
    land(tmp_path, late)
    assert run_job(instance, [DAYS[1]], selection=["raw_trades"], partition=True).success
    assert asked(instance, "invalidation_log") == []  # a run may be under way
    settle()
    (request,) = asked(instance, "invalidation_log")
    assert span(request) == (KEYS[1], KEYS[1])
    assert request.run_config == {"ops": {name: {"config": CHANGED_ONLY} for name in REFRESHED}}
    assert [again.run_key for again in asked(instance, "invalidation_log")] == [request.run_key]
    uncovered = "select count(*) from bar_conformance where status = 'uncovered' and bar_start >= %s and bar_start < %s::date + 1"
    assert rows(uncovered, DAYS[1], DAYS[1])[0][0] > 0
    result = run_job(instance, [DAYS[1]], job="refresh_bars", ops={name: dict(CHANGED_ONLY) for name in REFRESHED})
    assert result.success
    settle()
    assert asked(instance, "invalidation_log") == []
    assert rows(uncovered, DAYS[1], DAYS[1]) == [(0,)]


def test_a_day_with_broken_trades_is_held_back_until_it_is_mended(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    days = days_from(date(2024, 6, 1), 2)
    keys = [day.isoformat() for day in days]
    land(tmp_path, simulated(tmp_path, days, 400, seed=11))
    assert run_job(instance, days, selection=["raw_trades", "venue_bars"]).success
    repeat_a_trade(days[1])
    assert not run_job(instance, days).success
    settle()
    # The whole run was stopped: the good day is refreshed by the sensor, the bad one is not.
    assert [span(request) for request in asked(instance, "invalidation_log")] == [(keys[0], keys[0])]
    assert run_job(instance, days[:1], job="refresh_bars").success
    result = tick(instance, "invalidation_log")
    assert not result.run_requests
    assert f"{keys[1]} (raw_trades)" in str(result.skip_message)
    take_back_the_repeated(days[1])
    assert run_job(instance, [days[1]], selection=["raw_trades"], partition=True).success
    assert [span(request) for request in asked(instance, "invalidation_log")] == [(keys[1], keys[1])]


def test_a_storm_over_many_days_is_asked_for_a_month_at_a_time(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    days = days_from(date(2022, 1, 1), 75)
    written = simulated(tmp_path, days[:1], 50, seed=21)
    land(tmp_path, written)
    assert run_job(instance, days[:1], selection=["raw_trades"], partition=True).success
    execute(
        "insert into invalidation_log (relation, instrument, day, from_time, to_time, reason, logged_at) "
        "select 'raw_trades', 'binance:BTCUSDT', d::date, d, d + interval '1 minute', 'load', now() "
        "from generate_series(timestamptz '2022-01-01', timestamptz '2022-03-16', interval '1 day') as d, generate_series(1, 400)"
    )
    settle()
    spans = []
    for _ in range(3):
        (request,) = asked(instance, "invalidation_log")
        spans.append(span(request))
        launch(instance, request, dg.DagsterRunStatus.STARTED)
    assert spans == [("2022-01-01", "2022-01-31"), ("2022-02-01", "2022-03-03"), ("2022-03-04", "2022-03-16")]
    result = tick(instance, "invalidation_log")
    assert not result.run_requests
    assert str(result.skip_message).startswith("75 days are behind the invalidation log; runs are under way for them")
