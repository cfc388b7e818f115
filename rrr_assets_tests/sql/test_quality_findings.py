"""The ledgers of findings and anomalies: what is found opens once, stays while it is found, and is over when it is not."""

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.quality_findings import (
    Anomaly,
    AnomalyScope,
    FindingScope,
    Found,
    settle_anomalies,
    settle_findings,
    severity_of,
)

DAY = date(2024, 1, 1)
START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SCOPE = FindingScope(("crossed_book", "order"), "raw_quotes", DAY)
CROSSED = Found("crossed_book", "page", "raw_quotes", "sim:AAAUSDT", DAY, START, START + HOUR, 10, 1000, ("one", "two"), {"worst_bps": 3.5})
ANOMALIES = AnomalyScope(("return_z", "volume_spike"), "bars_1m", None, START, START + timedelta(days=1))
UNLIKELY = Anomaly("return_z", "bars_1m", "sim:AAAUSDT", START, START + timedelta(minutes=1), 0.01, 0.0, 9.5, 4.0)


@pytest.fixture
def connection(database: Database):
    with database.connect(Role.WRITER, autocommit=True) as connection:
        yield connection
        connection.execute("delete from findings")
        connection.execute("delete from anomalies")


def rows(connection, statement: str) -> list[tuple]:
    return connection.execute(statement).fetchall()


def test_what_is_found_again_stays_one_row_with_what_was_measured_last(connection) -> None:
    assert settle_findings(connection, SCOPE, [CROSSED], "first").opened == 1
    ((first_seen, before),) = rows(connection, "select first_seen, last_seen from findings")
    done = settle_findings(connection, SCOPE, [replace(CROSSED, broken=20, to_time=START + 2 * HOUR)], "second")
    assert (done.opened, done.kept, done.resolved) == (0, 1, 0)
    ((seen, last_seen, broken, to_time, examples, detail, run_id),) = rows(
        connection, "select first_seen, last_seen, broken, to_time, examples, detail, run_id from findings"
    )
    assert seen == first_seen
    assert last_seen > before
    assert (broken, to_time, examples, detail, run_id) == (20, START + 2 * HOUR, ["one", "two"], {"worst_bps": 3.5}, "second")


def test_what_is_not_found_again_is_over_and_opens_anew_as_another_row(connection) -> None:
    settle_findings(connection, SCOPE, [CROSSED])
    assert settle_findings(connection, SCOPE, []).resolved == 1
    assert settle_findings(connection, SCOPE, []).resolved == 0
    assert settle_findings(connection, SCOPE, [CROSSED]).opened == 1
    assert rows(connection, "select state, resolved_at is null from findings order by finding_id") == [("resolved", False), ("open", True)]


@pytest.mark.parametrize(
    "scope",
    [
        replace(SCOPE, rules=("order",)),
        replace(SCOPE, relation="raw_trades"),
        replace(SCOPE, day=date(2024, 1, 2)),
        replace(SCOPE, day=None),
        replace(SCOPE, instruments=("sim:BBBUSDT",)),
    ],
)
def test_what_lies_outside_the_scope_stays_as_it_was(connection, scope: FindingScope) -> None:
    settle_findings(connection, SCOPE, [CROSSED])
    assert settle_findings(connection, scope, []).resolved == 0
    assert rows(connection, "select state from findings") == [("open",)]


def test_a_finding_of_no_day_and_no_instrument_is_one_row_too(connection) -> None:
    scope = FindingScope(("schema_drift",), "raw_trades")
    drift = Found("schema_drift", "page", "raw_trades", None, None, None, None, 1, 12)
    assert settle_findings(connection, scope, [drift]).opened == 1
    assert settle_findings(connection, scope, [drift]).kept == 1
    assert settle_findings(connection, scope, []).resolved == 1


def test_two_of_one_key_become_one_row(connection) -> None:
    settle_findings(connection, SCOPE, [replace(CROSSED, severity="warn"), replace(CROSSED, to_time=START + 2 * HOUR)])
    assert rows(connection, "select severity, broken, to_time from findings") == [("page", 20, START + 2 * HOUR)]


def test_what_is_outside_its_scope_is_refused(connection) -> None:
    with pytest.raises(ValueError, match="outside its scope"):
        settle_findings(connection, replace(SCOPE, rules=("order",)), [CROSSED])
    with pytest.raises(ValueError, match="outside its scope"):
        settle_anomalies(connection, replace(ANOMALIES, to_time=START), [UNLIKELY])
    with pytest.raises(ValueError, match="not JSON compliant"):
        settle_anomalies(connection, ANOMALIES, [replace(UNLIKELY, score=float("inf"))])


def test_runs_at_once_never_make_two_open_rows(connection, database: Database) -> None:
    together = threading.Barrier(6)
    opened = []

    def look() -> None:
        with database.connect(Role.WRITER, autocommit=True) as mine:
            together.wait()
            for _ in range(5):
                opened.append(settle_findings(mine, SCOPE, [CROSSED]).opened)
                settle_anomalies(mine, ANOMALIES, [UNLIKELY])

    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(opened) == 1
    assert len(opened) == 30
    assert rows(connection, "select count(*) from findings") == [(1,)]
    assert rows(connection, "select count(*) from anomalies") == [(1,)]


def test_an_anomaly_found_again_keeps_when_it_was_found_first_and_one_not_found_goes(connection) -> None:
    other = replace(UNLIKELY, rule="volume_spike", from_time=START + HOUR, to_time=START + HOUR + timedelta(minutes=1))
    assert settle_anomalies(connection, ANOMALIES, [UNLIKELY, other]) == (2, 0)
    ((found_at,),) = rows(connection, "select found_at from anomalies where rule = 'return_z'")
    assert settle_anomalies(connection, ANOMALIES, [replace(UNLIKELY, score=12.0)]) == (0, 1)
    assert rows(connection, "select found_at, score from anomalies") == [(found_at, 12.0)]
    assert settle_anomalies(connection, replace(ANOMALIES, from_time=START + HOUR), []) == (0, 0)
    assert settle_anomalies(connection, replace(ANOMALIES, instruments=("sim:BBBUSDT",)), []) == (0, 0)
    assert settle_anomalies(connection, ANOMALIES, []) == (0, 1)


def test_severities() -> None:
    assert [severity_of(rule) for rule in ("duplicate", "crossed_book", "late", "silence", "never heard of")] == [
        "page", "page", "warn", "warn", "page",
    ]  # fmt: skip
