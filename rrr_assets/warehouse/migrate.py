"""The schema's history: numbered SQL files, applied once each, forward only.

Belongs here: which files belong to which engine, running them with yoyo. Does not: the SQL (sql/migrations).
`0007_bars.sql` is for both engines, `0007_bars.timescaledb.sql` and `0007_bars.postgresql.sql` for one.
"""

import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import psycopg

from rrr_assets.warehouse.connect import Database, DatabaseUnusable, Role
from rrr_assets.warehouse.sqlfiles import sql_folder

Engine = Literal["postgresql", "timescaledb"]

_FILE: Final = re.compile(r"^(?P<number>\d{4})_[a-z0-9_]+?(?:\.(?P<engine>postgresql|timescaledb))?\.sql$")
_LOCK: Final = 0x7272_7202


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


def migrate(database: Database, engine: Engine = "postgresql") -> Migrated:
    """Bring the schema to the newest state. Idempotent; a second process waits for the first.

    Raises:
        DatabaseUnusable: the database was made for another engine, or by a newer version of the platform.
    """
    # yoyo logs at import and brings sqlparse; neither is wanted where definitions load.
    import yoyo
    from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
    from yoyo.connections import parse_uri
    from yoyo.migrations import MigrationList

    database.bootstrap()
    files = migration_files(engine)
    with ExitStack() as stack:
        connection = stack.enter_context(database.connect(Role.OWNER, autocommit=True))
        # yoyo's own lock is a row that outlives a killed process; this one dies with its holder.
        connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        _refuse_other_engine(connection, engine)
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
                backend.mark_one(migration)
        connection.execute("insert into schema_engine (engine) values (%s) on conflict do nothing", (engine,))
    return Migrated(engine=engine, applied=tuple(migration.id for migration in fresh))


def _refuse_other_engine(connection: psycopg.Connection[tuple[object, ...]], engine: Engine) -> None:
    if connection.execute("select to_regclass('public.schema_engine')").fetchone() == (None,):
        return
    row = connection.execute("select engine from schema_engine").fetchone()
    if row is not None and row[0] != engine:
        raise DatabaseUnusable(f"this database was made for the engine {row[0]}, not {engine}. Use a database of its own for each engine")
