"""The knowledge horizon: before it, what was known is final."""

import threading
import time
from datetime import datetime
from pathlib import Path

import pytest

from rrr_assets.warehouse.books import draw_stamp, enter
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets_tests.loading import DAY, NEXT, emptied, take, tape, vision
from rrr_assets_tests.platform import Platform

HORIZON = "select knowledge_horizon()"


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


def ask(connection) -> datetime:
    return connection.execute(HORIZON).fetchone()[0]


def test_without_a_batch_in_flight_it_is_now(database: Database) -> None:
    with database.connect(Role.ANALYST, autocommit=True) as reader:
        before = reader.execute("select clock_timestamp()").fetchone()[0]
        horizon = ask(reader)
        assert before <= horizon <= reader.execute("select clock_timestamp()").fetchone()[0]


def test_it_stands_at_the_start_of_the_oldest_transaction_in_flight(database: Database) -> None:
    with (
        database.connect(Role.ANALYST, autocommit=True) as reader,
        database.connect(Role.WRITER) as first,
        database.connect(Role.WRITER) as second,
    ):
        begun = []
        for writer in (first, second):
            begun.append(writer.execute("select transaction_timestamp()").fetchone()[0])
            enter(writer)
            time.sleep(0.01)
        assert ask(reader) == begun[0]
        first.commit()
        assert ask(reader) == begun[1]
        second.rollback()
        assert ask(reader) > begun[1]


def test_a_stamp_is_never_at_or_below_a_horizon_that_was_reported_before(database: Database) -> None:
    with database.connect(Role.ANALYST, autocommit=True) as reader, database.connect(Role.WRITER) as writer:
        for _ in range(30):
            reported = ask(reader)
            enter(writer)
            stamp = draw_stamp(writer)
            assert stamp > reported
            assert ask(reader) <= stamp
            writer.commit()


def test_a_reader_in_one_transaction_sees_batches_that_began_after_its_first_look(database: Database) -> None:
    with database.connect(Role.ANALYST) as reader:
        ask(reader)
        with database.connect(Role.WRITER) as writer:
            enter(writer)
            stamp = draw_stamp(writer)
            assert ask(reader) <= stamp


def test_a_session_that_is_not_of_this_database_does_not_hold_it_back(database: Database, blank: Database) -> None:
    with blank.connect_admin() as other, other.transaction(), database.connect(Role.ANALYST, autocommit=True) as reader:
        other.execute("select pg_advisory_xact_lock_shared(1920102915)")
        began = other.execute("select transaction_timestamp()").fetchone()[0]
        assert ask(reader) > began


def test_under_load_no_batch_commits_below_a_horizon_that_was_reported(platform: Platform, tmp_path: Path) -> None:
    """What a reader saw as known before the horizon is all that there ever is."""
    stop = threading.Event()
    seen: list[tuple[datetime, int]] = []

    def watch() -> None:
        with platform.database.connect(Role.ANALYST, autocommit=True) as reader:
            while not stop.is_set():
                horizon = ask(reader)
                count = reader.execute("select count(*) from ingest_batches where known_at < %s", (horizon,)).fetchone()[0]
                seen.append((horizon, count))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for n in range(6):
            take(platform, vision(tmp_path, tape(DAY, 40, first_id=n * 40), DAY, "-" + "abcdef"[n]))
            take(platform, vision(tmp_path, tape(NEXT, 40, first_id=5000 + n * 40), NEXT, "-" + "abcdef"[n]))
    finally:
        stop.set()
        watcher.join()
    assert len(seen) > 10
    stamps = [stamp for (stamp,) in platform.rows("select known_at from ingest_batches")]
    assert all(count == sum(stamp < horizon for stamp in stamps) for horizon, count in seen)


def test_a_batch_is_stamped_after_it_is_in_flight_and_before_it_commits(platform: Platform, tmp_path: Path) -> None:
    with platform.database.connect(Role.ANALYST, autocommit=True) as reader:
        before = ask(reader)
        take(platform, vision(tmp_path, tape(DAY, 5), DAY))
        after = ask(reader)
    [(stamp,)] = platform.rows("select distinct known_at from raw_trades")
    assert before < stamp < after
    assert platform.rows("select known_at from ingest_batches") == [(stamp,)]


def test_the_analyst_may_ask_and_may_not_hold_it_back(database: Database) -> None:
    import psycopg

    with database.connect(Role.ANALYST, autocommit=True) as reader:
        assert ask(reader) is not None
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("select pg_advisory_lock_shared(1920102915)")
