"""The migrated database equals the contracts, and migrating is safe to repeat, to race and to kill."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from rrr_assets.contracts.base import Table
from rrr_assets.contracts.catalogue import TABLES
from rrr_assets.contracts.live import LIVE_BARS
from rrr_assets.warehouse.connect import Database, DatabaseUnusable, Role
from rrr_assets.warehouse.convert import convert
from rrr_assets.warehouse.migrate import Engine, Migrated, migrate, migration_files
from rrr_assets_tests.warm import python

CHECKOUT = Path(__file__).resolve().parents[2]
# The engine's own row, and what the runner of the migrations keeps.
RUNNER = {"schema_engine", "schema_migrations", "_yoyo_log", "_yoyo_version", "yoyo_lock"}
COLUMNS = """
    select a.attname, format_type(a.atttypid, a.atttypmod), not a.attnotnull, col_description(a.attrelid, a.attnum)
    from pg_attribute a where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum
"""
KEY = """
    select array_agg(a.attname::text order by k.place)
    from pg_constraint c
    cross join unnest(c.conkey) with ordinality k (attnum, place)
    inner join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.attnum
    where c.conrelid = %s::regclass and c.contype = 'p'
"""
CHECKS = "select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = %s::regclass and contype = 'c'"


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect(Role.OWNER, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_what_its_contract_says(owner: psycopg.Connection, name: str) -> None:
    contract = TABLES[name]
    found = owner.execute(COLUMNS, (name,)).fetchall()
    assert found == [(c.name, c.type.sql, c.nullable, c.comment) for c in contract.columns]
    assert owner.execute(KEY, (name,)).fetchone() == (list(contract.key),)
    assert owner.execute("select obj_description(%s::regclass)", (name,)).fetchone() == (contract.description,)


@pytest.mark.parametrize("name", TABLES)
def test_accepted_values_are_checked_and_no_others(owner: psycopg.Connection, name: str) -> None:
    accepted = {}
    for constraint, definition in owner.execute(CHECKS, (name,)).fetchall():
        if constraint.endswith("_accepted"):
            accepted[constraint.removeprefix(f"{name}_").removesuffix("_accepted")] = set(re.findall(r"'([^']*)'", definition))
    assert accepted == {c.name: set(c.accepted) for c in TABLES[name].columns if c.accepted}


def test_every_table_has_a_contract(owner: psycopg.Connection) -> None:
    found = owner.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace"
        " and relkind in ('r', 'p', 'v', 'm', 'f') and not relispartition"
    ).fetchall()
    assert {relation for (relation,) in found} - RUNNER - {"bar_sources"} == {*TABLES, *(table.name for table in LIVE_BARS.values())}


@pytest.mark.parametrize("contract", LIVE_BARS.values(), ids=lambda table: table.name)
def test_a_live_bar_is_what_its_contract_says(owner: psycopg.Connection, contract: Table) -> None:
    assert owner.execute(COLUMNS, (contract.name,)).fetchall() == [(c.name, c.type.sql, c.nullable, c.comment) for c in contract.columns]
    assert owner.execute("select obj_description(%s::regclass)", (contract.name,)).fetchone() == (contract.description,)


def test_every_function_says_what_it_does_and_nobody_may_call_what_is_not_granted(owner: psycopg.Connection) -> None:
    found = owner.execute(
        "select proname, obj_description(oid), prosecdef, has_function_privilege('rrr_analyst', oid, 'execute'), proconfig"
        " from pg_proc where pronamespace = 'public'::regnamespace"
        " and not exists (select from pg_depend where classid = 'pg_proc'::regclass and objid = pg_proc.oid and deptype = 'e')"
    ).fetchall()
    assert found
    assert [name for name, comment, *_ in found if not comment] == []
    powerful = [(name, analyst, config) for name, _, definer, analyst, config in found if definer]
    assert all(any(entry.startswith("search_path=") for entry in config or ()) for _, _, config in powerful)
    assert {name for name, analyst, _ in powerful if analyst} <= {"knowledge_horizon"}


def test_the_analyst_reads_every_table_and_writes_none(database: Database) -> None:
    names = [*TABLES, *(table.name for table in LIVE_BARS.values())]
    with database.connect(Role.ANALYST, autocommit=True) as analyst:
        for name in names:
            analyst.execute(sql.SQL("select * from {} limit 0").format(sql.Identifier(name)))
        analyst.execute("set default_transaction_read_only = off")
        for name in TABLES:
            for verb in ("delete from {}", "truncate {}", "insert into {} default values"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    analyst.execute(sql.SQL(verb).format(sql.Identifier(name)))


def test_the_writer_removes_no_ledger_and_changes_no_schema(database: Database) -> None:
    append_only = ("ingest_batches", "invalidation_log", "trade_revisions")
    with database.connect(Role.WRITER, autocommit=True) as writer:
        for name in (*append_only, "landing_files", "quarantine", "coverage", "instruments", "venue_bars"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                writer.execute(sql.SQL("delete from {}").format(sql.Identifier(name)))
        for name in append_only:
            column = TABLES[name].columns[1].name
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                writer.execute(sql.SQL("update {} set {} = null").format(sql.Identifier(name), sql.Identifier(column)))
        for statement in (
            "create table mine (a integer)",
            "drop table raw_trades",
            "truncate raw_trades",
            "select ensure_day_partition('orders', '2024-01-01')",
        ):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.RaiseException)):
                writer.execute(statement)


def test_migrating_again_applies_nothing(database: Database) -> None:
    before = _shape(database)
    assert migrate(database).applied == ()
    assert _shape(database) == before


def test_two_migrations_at_once_are_one(blank: Database, engine: Engine) -> None:
    gate = threading.Barrier(2)

    def run() -> tuple[str, ...]:
        gate.wait()
        return migrate(blank).applied

    with ThreadPoolExecutor(2) as pool:
        applied = [done.result(60) for done in [pool.submit(run), pool.submit(run)]]
    files = tuple(path.stem for path in migration_files(engine))
    assert sorted(applied) == [(), files]


def test_the_files_of_another_engine_are_refused(database: Database, engine: Engine) -> None:
    other: Engine = "postgresql" if engine == "timescaledb" else "timescaledb"
    with pytest.raises(DatabaseUnusable, match=f"made for the engine {engine}, not {other}"):
        migrate(database, other)
    assert migrate(database).applied == ()


def test_a_move_to_timescaledb_needs_a_server_that_has_it(database: Database, engine: Engine) -> None:
    before = _shape(database)
    if engine == "postgresql":
        with pytest.raises(DatabaseUnusable, match=r"does not have TimescaleDB.* the database is as it was"):
            convert(database, print)
    else:
        assert not convert(database, print).was_moved
    assert _shape(database) == before


def test_a_new_database_gets_the_best_engine_that_the_server_runs(blank: Database, engine: Engine) -> None:
    assert migrate(blank).engine == engine
    assert migrate(blank) == Migrated(engine, ())


def test_a_schema_of_a_newer_version_is_refused(blank: Database) -> None:
    migrate(blank)
    with blank.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("insert into schema_migrations (migration_hash, migration_id) values ('0', '9999_later')")
    with pytest.raises(DatabaseUnusable, match="newer version"):
        migrate(blank)


@pytest.mark.crash
@pytest.mark.parametrize("after", [0, 3])
def test_a_migration_that_is_killed_leaves_no_lock_and_nothing_half_made(
    blank: Database, database: Database, engine: Engine, after: int
) -> None:
    script = f"""
import os, signal
from yoyo.backends.base import DatabaseBackend
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.migrate import migrate
mark, marked = DatabaseBackend.mark_one, []
def killed_before_it_is_marked(self, migration, *args, **named):
    if len(marked) == {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    marked.append(migration.id)
    return mark(self, migration, *args, **named)
DatabaseBackend.mark_one = killed_before_it_is_marked
migrate(Database.current({blank.name!r}))
"""
    died = python(script)
    assert died.returncode == -9, died.stderr
    files = tuple(path.stem for path in migration_files(engine))
    assert migrate(blank).applied == files[after:]
    assert _shape(blank) == _shape(database)


def _shape(database: Database) -> list[tuple]:
    with database.connect(Role.OWNER, autocommit=True) as connection:
        return connection.execute(
            "select 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod) from pg_class c"
            " join pg_attribute a on a.attrelid = c.oid"
            " where c.relnamespace = 'public'::regnamespace and a.attnum > 0 and not c.relispartition"
            " union all select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
            " from pg_constraint where connamespace = 'public'::regnamespace"
            " union all select 'function', proname, prosrc, coalesce(proacl::text, '')"
            " from pg_proc where pronamespace = 'public'::regnamespace"
            " union all select 'grant', relname, relacl::text, ''"
            " from pg_class where relnamespace = 'public'::regnamespace and not relispartition"
            " order by 1, 2, 3, 4"
        ).fetchall()
