"""The schema's history: numbered SQL files, applied once each, forward only.

Belongs here: which engine a database gets, which files belong to it, running them with yoyo. Does not: the SQL
(sql/migrations), moving a database over to the other engine (convert.py).
`0007_bars.sql` is for both engines, `0007_bars.timescaledb.sql` and `0007_bars.postgresql.sql` for one. A database keeps
the engine of its first migration: TimescaleDB where the server runs it, else plain PostgreSQL.
"""

import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import psycopg

from rrr_assets.warehouse.connect import Database, DatabaseUnusable, Role
from rrr_assets.warehouse.sqlfiles import sql_folder

Engine = Literal["postgresql", "timescaledb"]

_FILE: Final = re.compile(r"^(?P<number>\d{4})_[a-z0-9_]+?(?:\.(?P<engine>postgresql|timescaledb))?\.sql$")
_FIRST: Final = "0001_settings"
MIGRATING: Final = 0x7272_7202
"""The advisory lock of whoever changes the schema, held as long as the session."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration did: the engine of the database and the files applied now, in order."""

    engine: Engine
    applied: tuple[str, ...]


def migration_files(engine: Engine) -> list[Path]:
    """The files of an engine, in order: by number, the common file before the engine's own.

    Raises:
        DatabaseUnusable: a file's name fits no pattern, or a number is missing.
    """
    chosen: list[tuple[str, str, Path]] = []
    numbers: set[int] = set()
    for path in sorted((sql_folder() / "migrations").glob("*.sql")):
        fits = _FILE.match(path.name)
        if fits is None:
            raise DatabaseUnusable(f"{path.name} is no migration's name: it must read like 0007_bars.sql or 0007_bars.postgresql.sql")
        numbers.add(int(fits["number"]))
        if fits["engine"] in {None, engine}:
            chosen.append((fits["number"], fits["engine"] or "", path))
    if numbers != set(range(1, len(numbers) + 1)):
        raise DatabaseUnusable(f"migrations are not numbered without a gap from 0001: {sorted(numbers)}")
    return [path for _, _, path in sorted(chosen)]


def migrate(database: Database, engine: Engine | None = None) -> Migrated:
    """Bring the schema to the newest state. Idempotent; a second process waits for the first.

    Args:
        database: what is migrated. It is made ready for its roles first.
        engine: the one that it must have. Default: the one that it has, and for a new database the best that the server runs.

    Raises:
        DatabaseUnusable: the database was made for another engine, or by a newer version of the platform; or the server does not
            run this engine.
    """
    # yoyo logs at import and brings sqlparse; neither is wanted where definitions load.
    import yoyo
    from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
    from yoyo.connections import parse_uri
    from yoyo.migrations import MigrationList

    with database.connect_admin() as connection:
        chosen = _refuse_other_engine(connection, engine) or engine or ("timescaledb" if database.may_have_timescaledb() else "postgresql")
    if chosen == "timescaledb":
        database.make_timescaledb()
    database.bootstrap()
    files = migration_files(chosen)
    with ExitStack() as stack:
        connection = stack.enter_context(database.connect(Role.OWNER, autocommit=True))
        # yoyo's own lock is a row that outlives a killed process; this one dies with its holder.
        connection.execute("select pg_advisory_lock(%s)", (MIGRATING,))
        _refuse_other_engine(connection, chosen)
        uri = parse_uri(re.sub(r"^postgres(ql)?:", "postgresql+psycopg:", database.role_urls[Role.OWNER]))
        backend = PostgresqlPsycopgBackend(uri, "schema_migrations")
        stack.callback(backend.connection.close)
        backend.init_database()
        by_id = {migration.id: migration for migration in yoyo.read_migrations(str(sql_folder() / "migrations"))}
        ordered = MigrationList([by_id[path.stem] for path in files])
        applied_before = set(backend.get_applied_migration_hashes())
        known = {migration.hash for migration in by_id.values()}
        if applied_before - known:
            raise DatabaseUnusable("this database was migrated by a newer version of the platform. Install that version or a later one")
        fresh = MigrationList([migration for migration in ordered if migration.hash not in applied_before])
        for migration in fresh:
            # In our order: yoyo's own is by dependency, and these files are one line. And in one transaction with its
            # mark: yoyo's own way has two, and a migration killed between them would be applied again, and fail for ever.
            with backend.transaction():
                migration.process_steps(backend, "apply")
                if migration.id == _FIRST:
                    backend.execute("insert into schema_engine (engine) values (:engine)", {"engine": chosen})
                backend.mark_one(migration)
    return Migrated(engine=chosen, applied=tuple(migration.id for migration in fresh))


def engine_of(connection: psycopg.Connection[tuple[Any, ...]]) -> Engine | None:
    """The engine that the database was made for; None before its first migration."""
    if connection.execute("select to_regclass('public.schema_engine')").fetchone() == (None,):
        return None
    row = connection.execute("select engine from schema_engine").fetchone()
    return row[0] if row else None


def _refuse_other_engine(connection: psycopg.Connection[tuple[Any, ...]], engine: Engine | None) -> Engine | None:
    """The engine that the database was made for, unless it must have another one."""
    made_for = engine_of(connection)
    if made_for is not None and engine not in {None, made_for}:
        raise DatabaseUnusable(
            f"this database was made for the engine {made_for}, not {engine}. Use a database of its own for each engine, "
            "or move it to TimescaleDB with `rrr migrate --convert`"
        )
    return made_for
