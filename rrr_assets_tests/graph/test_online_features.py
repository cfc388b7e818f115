"""Features online through the graph, on the command line and over HTTP: from SQLite, a Redis and a cluster, and when the Redis is down."""

import json
import math
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any, NamedTuple

import dagster as dg
import pytest
from typer.testing import CliRunner

from rrr_assets.calc.features import FEATURES
from rrr_assets.cli import app
from rrr_assets.cli.failures import expected_failures, tell
from rrr_assets.definitions import build_defs
from rrr_assets.features.online import STORE_VARIABLE, OnlineStoreUnreachable, materialize, vectors
from rrr_assets.features.online_assets import ONLINE_JOB, RETRIES, online_behind
from rrr_assets.resources.warehouse import Warehouse
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets_tests.dagster_platform import QUIET, execute, rows
from rrr_assets_tests.quiet_feast import OF_FEAST
from rrr_assets_tests.redis_server import PASSWORD, RedisServer, redis_server

pytestmark = OF_FEAST

OLD = "binance:OLDUSDT"
INSTRUMENTS = [f"binance:COIN{number}USDT" for number in range(5)]
FIVE = timedelta(minutes=5)
# What a text of too few digits, a float or a truth test would lose.
AWKWARD = (0.1 + 0.2, 5e-324, -1.7976931348623157e308, 1 / 3, 0.0, None, -0.0, math.pi * 1e-9)


@pytest.fixture(scope="module")
def filled(instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """Five instruments, and one that closed last an hour ago."""
    for name in [*INSTRUMENTS, OLD]:
        execute(
            "insert into instruments (instrument, valid_from, venue, symbol, contract_type, price_scale, size_scale)"
            " values (%s, '2009-01-01Z', 'binance', %s, 'spot', 2, 8)", name, name.partition(":")[2],
        )  # fmt: skip
    return instance


@pytest.fixture
def now(filled: dg.DagsterInstance) -> datetime:
    """The last close, of now: ten minutes of each instrument are made anew for each test, however long the one before took."""
    assert filled
    # Its minutes could be used a second and a half after they closed.
    last = (datetime.now(UTC) - timedelta(seconds=2)).replace(second=0, microsecond=0)
    made = []
    for number, name in enumerate([*INSTRUMENTS, OLD]):
        for back in range(10):
            close = last - timedelta(minutes=back + (60 if name == OLD else 0))
            values = [AWKWARD[(place + number + back) % len(AWKWARD)] for place in range(len(FEATURES))]
            made.append((name, close, close + timedelta(seconds=1.5), close + timedelta(seconds=2.25), *values))
    with Database.current().connect(Role.OWNER) as connection, connection.cursor() as cursor:
        cursor.execute("delete from features_1m")
        cursor.executemany(
            f"insert into features_1m (instrument, event_time, available_at, available_basis, known_at, {', '.join(FEATURES)})"  # noqa: S608  # ours
            f" values (%s, %s, %s, 'observed', %s, {', '.join(['%s'] * len(FEATURES))})", made,
        )  # fmt: skip
    return last


@pytest.fixture(autouse=True)
def _no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STORE_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("cluster"), is_cluster=True) as server:
        yield server


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def rrr(*words: str) -> Done:
    """The command in this process, where Feast is imported once."""
    result = CliRunner().invoke(app, words)
    if not isinstance(result.exception, expected_failures()):
        return Done(result.exit_code, result.stdout, result.stderr)
    with redirect_stderr(StringIO()) as told_there:
        tell(result.exception)
    return Done(1, result.stdout, result.stderr + told_there.getvalue())


def told(*words: str) -> Any:
    done = rrr(*words, "--json")
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def stored(name: str) -> dict[str, Any]:
    [row] = rows(f"select {', '.join(FEATURES)} from features_1m where instrument = %s order by event_time desc limit 1", name)  # noqa: S608  # ours
    return dict(zip(FEATURES, row, strict=True))


def bits(values: dict[str, float | None]) -> dict[str, str | None]:
    return {name: None if value is None else value.hex() for name, value in values.items()}


def run(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return build_defs().resolve_job_def(ONLINE_JOB.name).execute_in_process(instance=instance, run_config=QUIET, raise_on_error=False)


def asked(instance: dg.DagsterInstance) -> dg.RunRequest | str | None:
    with dg.build_sensor_context(instance, resources={"warehouse": Warehouse()}) as context:
        answer = online_behind(context)
    return answer.skip_message if isinstance(answer, dg.SkipReason) else answer


def test_the_plan_differs_until_it_is_applied(filled: dg.DagsterInstance) -> None:
    assert filled
    before = rrr("features", "plan", "--json")
    assert before.returncode == 2, before.stderr
    assert {"action": "create", "kind": "feature view", "name": "features_1m", "properties": []} in json.loads(before.stdout)
    none = rrr("features", "online", INSTRUMENTS[0])
    assert (none.returncode, none.stderr.count("\n")) == (1, 1)
    assert "rrr features apply" in none.stderr
    assert told("features", "apply") == json.loads(before.stdout)
    assert told("features", "plan") == told("features", "apply") == []
    assert told("features", "online", INSTRUMENTS[0])[0]["event_time"] is None


def test_a_run_follows_the_newest_rows_and_a_corrected_one_is_served(filled: dg.DagsterInstance, now: datetime) -> None:
    request = asked(filled)
    assert isinstance(request, dg.RunRequest)
    done = run(filled)
    assert done.success
    assert {check.check_name: check.passed for check in done.get_asset_check_evaluations()} == {"integrity": True, "quality": False}
    assert asked(filled) == "What is served is the newest there is."
    name = INSTRUMENTS[2]
    execute("update features_1m set rsi_14 = 77.25, known_at = clock_timestamp() where instrument = %s and event_time = %s", name, now)
    assert isinstance(asked(filled), dg.RunRequest)
    assert run(filled).success
    found, old, unknown = told("features", "online", name, OLD, "binance:NONE")
    assert (found["values"]["rsi_14"], found["event_time"], found["is_fresh"]) == (77.25, now.isoformat(), True)
    assert 0 <= found["age_seconds"] < 300
    assert bits(found["values"]) == bits(stored(name))
    assert (old["is_fresh"], set(old["values"].values()), old["age_seconds"] > 3600) == (False, {None}, True)
    assert old["known_at"] is None
    assert (unknown["event_time"], unknown["age_seconds"], unknown["is_fresh"]) == (None, None, False)
    table = rrr("features", "online", name, OLD, "--feature", "rsi_14").stdout
    assert "77.25" in table
    assert re.search(r"^ *age +0:0[0-4]:\d\d +\S", table, re.MULTILINE)


@pytest.mark.parametrize("kind", ["sqlite", "redis", "cluster"])
def test_every_store_serves_to_the_bit_and_refuses_the_old(
    filled: dg.DagsterInstance, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    from rrr_assets.features.feast_config import store

    assert filled
    if kind != "sqlite":
        monkeypatch.setenv(STORE_VARIABLE, request.getfixturevalue(kind).url)
    feast = store(Database.current())
    assert PASSWORD not in f"{feast.config!r} {feast.config.online_store!r}"
    assert materialize(feast, now - timedelta(minutes=2)).instruments == 6
    materialize(feast)
    materialize(feast, now - timedelta(minutes=3))
    # Twice the same one in a question is twice in the answer.
    names = [*INSTRUMENTS, INSTRUMENTS[0], "binance:NONE"]
    found = vectors(feast, names, max_age=FIVE, now=now + timedelta(minutes=1))
    assert [each.instrument for each in found] == names
    for each in found[:-1]:
        assert (each.event_time, each.age, each.is_fresh) == (now, timedelta(minutes=1), True)
        assert bits(each.values) == bits(stored(each.instrument))
        assert each.available_at == now + timedelta(seconds=2)  # 1.5, rounded up
        assert each.known_at is not None
    assert (found[-1].event_time, found[-1].is_fresh, set(found[-1].values.values())) == (None, False, {None})
    [edge] = vectors(feast, names[:1], max_age=timedelta(days=1), now=now + FIVE)
    [late] = vectors(feast, names[:1], max_age=timedelta(days=1), now=now + FIVE + timedelta(microseconds=1))
    assert (edge.is_fresh, late.is_fresh, set(late.values.values()), late.event_time) == (True, False, {None}, now)


def test_a_redis_that_is_down_is_told_in_a_line_and_one_that_comes_back_is_filled(
    filled: dg.DagsterInstance, redis: RedisServer, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    from rrr_assets.features.feast_config import store

    monkeypatch.setenv(STORE_VARIABLE, redis.url)
    told("features", "apply")
    feast = store(Database.current())
    materialize(feast)
    redis.die()
    with pytest.raises(OnlineStoreUnreachable, match=STORE_VARIABLE):
        vectors(feast, INSTRUMENTS[:1], max_age=FIVE)
    with pytest.raises(OnlineStoreUnreachable, match=STORE_VARIABLE):
        materialize(feast)
    for command in (("online", INSTRUMENTS[0]), ("materialize",)):
        refused = rrr("features", *command)
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
        assert STORE_VARIABLE in refused.stderr
        assert "of%2Cthe" not in refused.stderr
    assert (RETRIES.max_retries, RETRIES.backoff) == (4, dg.Backoff.EXPONENTIAL)

    def revived(entry: dg.EventLogEntry) -> None:
        if entry.dagster_event is not None and entry.dagster_event.event_type_value == "STEP_UP_FOR_RETRY":
            redis.start()

    from dagster._core.utils import make_new_run_id

    run_id = make_new_run_id()
    filled.add_event_listener(run_id, revived)
    job = build_defs().resolve_job_def(ONLINE_JOB.name)
    done = job.execute_in_process(instance=filled, run_id=run_id, run_config=QUIET, raise_on_error=False)
    assert done.success
    assert sum(event.event_type_value == "STEP_UP_FOR_RETRY" for event in done.all_events) == 1
    # The store that was there before its server died finds the new one.
    assert vectors(feast, INSTRUMENTS[:1], max_age=FIVE, now=now + timedelta(seconds=2))[0].is_fresh


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "redis:6379", "redis+cluster"])
def test_an_address_of_nothing_is_refused_without_being_shown(
    address: str, filled: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert filled
    monkeypatch.setenv(STORE_VARIABLE, address)
    refused = rrr("features", "online", INSTRUMENTS[0])
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "redis+cluster://" in refused.stderr
    assert address not in refused.stderr.replace("redis+cluster://", "")


@contextmanager
def serving(environment: dict[str, str]) -> Iterator[str]:
    """`rrr features serve` as a process, until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "rrr_assets.cli", "features", "serve", "--port", str(port)]
    process = subprocess.Popen(command, env=environment)
    try:
        while process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30).close()  # ours
            except urllib.error.URLError:
                time.sleep(0.2)
            else:
                break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def post(url: str, body: Any) -> tuple[int, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})  # noqa: S310  # ours
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # ours
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read() or b"null")


def test_the_feature_server_answers_to_the_bit_with_ages_and_tells_when_redis_is_down(
    filled: dg.DagsterInstance, redis: RedisServer, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    assert filled
    monkeypatch.setenv(STORE_VARIABLE, redis.url)
    told("features", "materialize")
    names = [*INSTRUMENTS, OLD, "binance:NONE"]
    question = {"feature_service": "minutes", "entities": {"instrument": names}}
    with serving(dict(os.environ)) as url:
        status, answer = post(f"{url}/get-online-features", question)
        assert status == 200, answer
        columns = dict(zip(answer["metadata"]["feature_names"], answer["results"], strict=True))
        for place, name in enumerate(INSTRUMENTS):
            assert bits({feature: columns[feature]["values"][place] for feature in FEATURES}) == bits(stored(name))
            assert {columns[feature]["event_timestamps"][place] for feature in FEATURES} == {f"{now:%Y-%m-%dT%H:%M:%SZ}"}
        assert columns["known_at"]["values"][0] == int(now.timestamp()) + 3
        assert (columns["sma_20"]["values"][5:], columns["sma_20"]["statuses"][5]) == ([None, None], "OUTSIDE_MAX_AGE")
        ages = answer["metadata"]["age_seconds"]
        assert all(0 <= age < 300 for age in ages[:5])
        assert ages[5] > 3600
        assert ages[6] is None
        priced = {"features": ["price_now_1m:price_over_sma_20_bps"], "entities": {"instrument": names[:1], "price": [1.0]}}
        assert post(f"{url}/get-online-features", priced)[0] == 200
        assert post(f"{url}/get-online-features", {"features": ["features_1m:none"], "entities": {"instrument": names}})[0] == 422
        for writing in ("push", "write-to-online-store", "materialize"):
            assert post(f"{url}/{writing}", {})[0] == 404
        redis.die()
        status, answer = post(f"{url}/get-online-features", question)
        assert (status, STORE_VARIABLE in answer["detail"]) == (503, True)
        redis.start()
        status, answer = post(f"{url}/get-online-features", question)
        assert (status, {value for result in answer["results"] for value in result["values"]} - {*names}) == (200, {None})
