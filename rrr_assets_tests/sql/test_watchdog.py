"""The dead man's switch: it says each thing that is wrong, once, without Dagster, and never takes a failure for good news."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from rrr_assets.cli import app
from rrr_assets.warehouse import home, watchdog
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.watchdog import Within, look
from rrr_assets_tests.alert_server import AlertServer, alerting, serving

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def served() -> Iterator[AlertServer]:
    with serving() as server:
        yield server


@pytest.fixture
def well(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """A platform on which all is well; the connection is its owner's."""
    now = datetime.now(UTC)
    monkeypatch.setenv("RRR_DATABASE_URL", database.admin_url)
    for role in Role:
        monkeypatch.setenv(f"RRR_{role.name}_URL", database.role_urls[role])
    # The heartbeats of Dagster's daemon, in a schema as Dagster makes it.
    monkeypatch.setenv("RRR_DAGSTER_DATABASE_URL", database.role_urls[Role.OWNER])
    monkeypatch.setenv("RRR_HOME", str(tmp_path / "home"))
    Home.current().alerts_json.write_text(json.dumps({"looked_at": now.isoformat()}))
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("truncate quality_runs, alerts, alert_messages")
        connection.execute("drop table if exists daemon_heartbeats")
        connection.execute("create table daemon_heartbeats (daemon_type text, timestamp timestamp)")
        naive = now.replace(tzinfo=None)
        connection.execute(
            "insert into daemon_heartbeats values ('SENSOR', %s), ('SCHEDULER', %s), ('ASSET', '2020-01-01')", (naive, naive)
        )
        connection.execute(
            "insert into quality_runs (kind, started_at, finished_at) values ('recent', %(now)s, %(now)s), ('daily', %(now)s, %(now)s)",
            {"now": now},
        )
        yield connection
        connection.execute("drop table daemon_heartbeats")


def reasons(after: timedelta = timedelta(0), served: AlertServer | None = None) -> set[str]:
    settings = alerting(served, "webhook") if served else None
    return {each.code for each in look(settings, Within(), datetime.now(UTC) + after)}


@pytest.mark.usefixtures("well")
def test_all_is_well() -> None:
    assert reasons() == set()


@pytest.mark.usefixtures("well")
def test_what_stands_still_is_told_after_its_time() -> None:
    assert reasons(timedelta(minutes=6)) == {"daemon"}
    assert reasons(timedelta(minutes=16)) == {"daemon", "sensor", "recent_run"}
    assert reasons(timedelta(hours=27)) == {"daemon", "sensor", "recent_run", "daily_run"}


def test_checks_that_never_ran_and_those_that_broke_down_are_no_good_news(well: psycopg.Connection) -> None:
    well.execute("delete from quality_runs where kind = 'daily'")
    well.execute("update quality_runs set errors = '{\"rule x: division by zero\"}'")
    found = {each.code: each.told for each in look(None, Within(), datetime.now(UTC))}
    assert found == {
        "daily_run": "the daily run of the checks has never ended",
        "recent_errors": "checks of the recent run broke down: rule x: division by zero",
    }
    well.execute("update quality_runs set finished_at = null")
    assert reasons() == {"daily_run", "recent_run"}


def test_messages_that_wait_for_a_channel_are_told(well: psycopg.Connection, served: AlertServer) -> None:
    well.execute(
        "insert into alerts (cause, rule, severity, title, scope, since, level, next_step, runbook, state, opened_at, changed_at)"
        " values ('x', 'gap', 'page', 'x', 'x', now(), 1, 'x', 'x', 'open', now(), now())"
    )
    well.execute(
        "insert into alert_messages (alert_id, channel, kind, level, body, created_at, not_before, attempts, last_error)"
        " select alert_id, channel, 'opened', 1, '{}', now() - age, now() + wait, attempts, error from alerts, (values"
        " ('hook', interval '1 h', interval '10 min', 3, 'it answered 503'), ('gone', '1 h', '10 min', 3, 'x'),"
        " ('quiet', '1 h', '5 h', 0, null)"
        ") as given (channel, age, wait, attempts, error)"
    )
    assert reasons(served=served) == {"waiting_hook"}
    well.execute("update alert_messages set sent_at = now() where channel = 'hook'")
    assert reasons(served=served) == set()


def test_a_sensor_that_never_looked_and_one_whose_file_is_broken(well: psycopg.Connection) -> None:
    assert not well.closed
    Home.current().alerts_json.write_text("{")
    assert reasons() == {"sensor"}
    Home.current().alerts_json.unlink()
    assert reasons() == {"sensor"}


def test_a_daemon_that_never_lived(well: psycopg.Connection) -> None:
    well.execute("delete from daemon_heartbeats where daemon_type = 'SCHEDULER'")
    assert reasons() == {"daemon"}


@pytest.mark.usefixtures("well")
def test_a_database_that_is_down_is_a_reason_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRR_DATABASE_URL", "postgresql://rrr:a-password@127.0.0.1:9/rrr")
    monkeypatch.setenv("RRR_WRITER_URL", "postgresql://rrr:a-password@127.0.0.1:9/rrr")
    (found,) = look(None, Within(), datetime.now(UTC))
    assert (found.code, found.rule) == ("database", "database_down")
    assert "a-password" not in found.told


@pytest.mark.usefixtures("well")
def test_an_embedded_database_that_is_down_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RRR_DATABASE_URL", "RRR_DAGSTER_DATABASE_URL", *(f"RRR_{role.name}_URL" for role in Role)):
        monkeypatch.delenv(name)
    assert reasons() == {"database"}
    assert not Home.current().server_json.exists()


@pytest.mark.usefixtures("well")
def test_a_database_that_takes_connections_and_says_nothing_does_not_hold_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(watchdog, "_LOOK_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgresql://rrr:p@127.0.0.1:{silent.getsockname()[1]}/rrr"
        monkeypatch.setenv("RRR_WRITER_URL", address)
        assert reasons() == {"database"}


# --- the command ------------------------------------------------------------------------------------------------


def run(*options: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["watchdog", *options])
    return result.exit_code, result.output


def test_it_is_told_once_and_once_more_when_it_is_over(
    well: psycopg.Connection, served: AlertServer, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("RRR_WATCHDOG_URL", f"{served.url}/hook")
    monkeypatch.setenv("RRR_WATCHDOG_PING_URL", f"{served.url}/ping")
    assert run() == (0, "all is well\n")
    assert (served.hooks, served.pings) == ([], 1)
    well.execute("update quality_runs set finished_at = finished_at - interval '1 h' where kind = 'recent'")
    for _ in range(3):
        status, output = run()
        assert status == 1
        assert output.startswith("the recent run of the checks ended last at ")
    assert [each["state"] for each in served.hooks] == ["wrong"]
    assert "docs/runbooks/quality-run.md" in served.hooks[0]["text"]
    well.execute("delete from daemon_heartbeats")
    run()
    assert [len(each["reasons"]) for each in served.hooks] == [1, 2]
    well.execute("update quality_runs set finished_at = now()")
    assert [run()[0] for _ in range(2)] == [1, 1]
    assert (len(served.hooks), served.hooks[-1]["over"], len(served.hooks[-1]["reasons"])) == (3, ["recent_run"], 1)
    assert "Over: recent_run" in served.hooks[-1]["text"]
    now = datetime.now(UTC).replace(tzinfo=None)
    well.execute("insert into daemon_heartbeats values ('SENSOR', %s), ('SCHEDULER', %s)", (now, now))
    assert [run()[0] for _ in range(2)] == [0, 0]
    assert [each["state"] for each in served.hooks] == ["wrong", "wrong", "wrong", "well"]
    assert served.pings == 3


def test_on_a_full_disk_it_is_told_once_and_over_once(
    well: psycopg.Connection, served: AlertServer, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("RRR_WATCHDOG_URL", f"{served.url}/hook")
    assert run()[0] == 0

    def full(path: Path, text: str) -> None:  # noqa: ARG001
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    # What is there can be overwritten in place, and nothing can be added: so is a full disk.
    monkeypatch.setattr(home, "write_private", full)
    before = Home.current().watchdog_json.stat().st_size
    well.execute("update quality_runs set finished_at = finished_at - interval '1 h' where kind = 'recent'")
    assert [run()[0] for _ in range(3)] == [1, 1, 1]
    assert [each["state"] for each in served.hooks] == ["wrong"]
    well.execute("update quality_runs set finished_at = now()")
    assert [run()[0] for _ in range(2)] == [0, 0]
    assert [each["state"] for each in served.hooks] == ["wrong", "well"]
    assert Home.current().watchdog_json.stat().st_size == before


def test_a_webhook_that_is_down_is_told_by_the_status_and_told_later(
    well: psycopg.Connection, served: AlertServer, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("RRR_WATCHDOG_URL", f"{served.url}/hook/very-secret")
    well.execute("delete from quality_runs where kind = 'recent'")
    served.is_down = True
    status, output = run()
    assert status == 1
    assert "RRR_WATCHDOG_URL did not take the message" in output
    assert "very-secret" not in output
    served.is_down = False
    run()
    assert [each["state"] for each in served.hooks] == ["wrong"]


def test_it_speaks_json(well: psycopg.Connection) -> None:
    well.execute("delete from quality_runs where kind = 'recent'")
    status, output = run("--json")
    told = json.loads(output)
    assert status == 1
    assert told["is_well"] is False
    assert told["reasons"] == [
        {"reason": "recent_run", "told": "the recent run of the checks has never ended", "rule": "quality_run",
         "runbook": "docs/runbooks/quality-run.md"}
    ]  # fmt: skip
    well.execute("insert into quality_runs (kind, started_at, finished_at) values ('recent', now(), now())")
    assert json.loads(run("--json")[1])["is_well"] is True


@pytest.mark.usefixtures("well")
def test_settings_that_cannot_be_read_are_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRR_QUALITY_CONFIG", str(tmp_path / "none.yaml"))
    status, output = run()
    assert status == 1
    assert "the settings of quality cannot be read" in output


@pytest.mark.usefixtures("well")
def test_a_watchdog_that_fails_itself_has_a_status_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from rrr_assets.resources import quality_settings

    def broken() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(quality_settings, "quality_settings", broken)
    status, output = run()
    assert status == 3
    assert "RuntimeError: a bug" in output


@pytest.mark.usefixtures("well")
def test_it_imports_no_dagster() -> None:
    code = (
        "import sys\nfrom rrr_assets.cli import app\ntry:\n    app(['watchdog'])\nexcept SystemExit as end:\n"
        "    print(end.code, [name for name in sys.modules if name.partition('.')[0] in {'dagster', 'polars', 'pyarrow'}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr[-1000:]
