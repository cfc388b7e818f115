"""What an analyst cannot do. Each attempt is made, as the role and with the means that the role has, and is shown refused."""

import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from rrr_assets import read
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.migrate import Engine
from rrr_assets_tests.platform import ON_TIMESCALE


@pytest.fixture
def analyst(database: Database) -> Iterator[psycopg.Connection]:
    """A session that has switched off whatever is only a default."""
    with database.connect(Role.ANALYST, autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = off")
        connection.execute("set statement_timeout = 0")
        yield connection


def test_an_analyst_reads(database: Database, engine: Engine, analyst: psycopg.Connection) -> None:
    assert read.sql("select engine from schema_engine", database=database)["engine"].to_pylist() == [engine]
    assert analyst.execute("select count(*) from raw_trades").fetchone() == (0,)


def test_sessions_begin_read_only_with_a_timeout(database: Database) -> None:
    with database.connect(Role.ANALYST) as connection:
        assert connection.execute("show transaction_read_only").fetchone() == ("on",)
        assert connection.execute("show statement_timeout").fetchone() == ("1min",)


@pytest.mark.parametrize(
    "statement",
    [
        "insert into schema_engine (engine) values ('postgresql')",
        "update instruments set price_scale = 0",
        "delete from raw_trades",
        "truncate quarantine",
        "drop table bars_1m",
        "alter table bars_1m add column x int",
        "create table mine (x int)",
        "create schema mine",
        "create temporary table mine (x int)",
        "select * into temporary mine from instruments",
        "create function mine() returns int language sql as 'select 1'",
        "select pg_advisory_lock(1)",
        "select pg_advisory_xact_lock(1)",
        "select pg_try_advisory_lock(1, 2)",
        "do $$ begin lock table raw_trades in share mode; end $$",
        "select * from instruments for update",
        "select ensure_day_partition('raw_trades', '2024-01-02')",
        "set role rrr_owner",
        "set role rrr_writer",
        "set session authorization rrr_owner",
        "select rolpassword from pg_authid",
        "select passwd from pg_shadow",
        "alter role rrr_analyst superuser",
        "grant rrr_owner to rrr_analyst",
        "alter system set fsync = off",
        "select pg_read_file('/etc/passwd')",
        "copy (select 1) to program 'true'",
        "copy (select 1) to '/tmp/mine'",
        "select lo_create(0)",
        "create database mine",
    ],
)
def test_a_session_of_ones_own_is_refused(analyst: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        analyst.execute(statement)


def test_no_session_of_another_role_is_ended(database: Database, analyst: psycopg.Connection) -> None:
    with database.connect(Role.WRITER) as other:
        for function in ("pg_terminate_backend", "pg_cancel_backend"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                analyst.execute(sql.SQL("select {}(%s)").format(sql.Identifier(function)), (other.info.backend_pid,))
        assert other.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("delete from raw_trades", "read-only transaction"),
        ("create temporary table mine (x int)", "read-only transaction|permission denied"),
        ("select pg_advisory_lock(1)", "permission denied"),
        ("select 1; select 2", "more than one statement"),
        ("select 1; commit; delete from raw_trades", "more than one statement"),
        ("select set_config('transaction_read_only', 'off', false)", "before any query"),
        ("do $$ begin perform set_config('transaction_read_only', 'off', true); end $$", "permission denied for language plpgsql"),
        ("set role rrr_owner", "permission denied"),
        ("select rolpassword from pg_authid", "permission denied"),
        ("copy raw_trades from stdin", "permission denied|read-only"),
        ("copy (select 1) to stdout", "COPY"),
        ("vacuum", "transaction block|read-only transaction"),
    ],
)
def test_a_statement_is_refused(database: Database, statement: str, why: str) -> None:
    with pytest.raises(read.StatementRefused, match=why):
        read.sql(statement, database=database)


@pytest.mark.parametrize("statement", ["set transaction read write", "commit", "rollback", "set statement_timeout = 0", ""])
def test_a_statement_alone_changes_nothing_for_the_next(database: Database, statement: str) -> None:
    assert read.sql(statement, database=database).num_columns == 0
    with pytest.raises(read.StatementRefused, match="read-only transaction"):
        read.sql("delete from raw_trades", database=database)
    assert read.sql("show statement_timeout", database=database)["statement_timeout"].to_pylist() == ["1min"]


def test_a_statement_does_not_outlive_the_timeout(database: Database) -> None:
    def set_timeout(value: str) -> None:
        with database.connect_admin() as connection:
            connection.execute(
                sql.SQL("alter role rrr_analyst in database {} set statement_timeout = {}").format(
                    sql.Identifier(database.name), sql.Literal(value)
                )
            )

    set_timeout("300ms")
    try:
        for statement in ("select pg_sleep(20)", "select set_config('statement_timeout', '0', false), pg_sleep(20)"):
            began = time.monotonic()
            with pytest.raises(read.StatementRefused, match="timeout"):
                read.sql(statement, database=database)
            assert time.monotonic() - began < 10
    finally:
        set_timeout("60s")


def test_an_analyst_enters_no_other_database(database: Database) -> None:
    other = database.role_urls[Role.ANALYST].replace(f"/{database.name}", "/template1")
    with database.connect_admin() as connection:
        allowed = connection.execute("select has_database_privilege('rrr_analyst', 'template1', 'temp')").fetchone()
    assert allowed == (False,)
    with psycopg.connect(other, autocommit=True) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("create table mine (x int)")


@ON_TIMESCALE
@pytest.mark.parametrize(
    "statement",
    [
        "select add_job('now', '1h')",
        "select alter_job(1000, scheduled => false)",
        "select delete_job(1000)",
        "call run_job(1000)",
        "select add_retention_policy('raw_trades', interval '1 day')",
        "select drop_chunks('raw_trades', now())",
        "call refresh_continuous_aggregate('bars_live_1m', null, null)",
        "select remove_continuous_aggregate_policy('bars_live_1m')",
        "select _timescaledb_functions.stop_background_workers()",
        "select timescaledb_pre_restore()",
        "insert into _timescaledb_catalog.hypertable default values",
        "delete from bars_live_1m",
    ],
)
def test_what_timescaledb_lets_everybody_do_is_refused(analyst: psycopg.Connection, statement: str) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)):
        analyst.execute(statement)


@ON_TIMESCALE
def test_an_analyst_looks_into_what_timescaledb_tells(analyst: psycopg.Connection) -> None:
    views = analyst.execute(
        "select relname from pg_class where relnamespace = 'timescaledb_information'::regnamespace and relkind = 'v'"
    ).fetchall()
    assert views
    for (name,) in views:
        analyst.execute(sql.SQL("select * from timescaledb_information.{}").format(sql.Identifier(name)))
    assert analyst.execute("select hypertable_size('raw_trades') > 0, approximate_row_count('raw_trades')").fetchall() == [(True, 0)]
    gaps = "select time_bucket_gapfill('1 hour', bar_start, now() - interval '5 hours', now()), locf(max(close)) from bars_1h group by 1"
    assert len(analyst.execute(gaps).fetchall()) > 4
