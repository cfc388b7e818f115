"""The platform as tests see it: a home with a server of its own, a fresh database, files taken in.

Belongs here: what several kinds of tests need to drive the real thing. Does not: fixtures (conftest.py).
"""

import hashlib
import json
import os
import signal
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from rrr_assets.calc.outcomes import DayLoaded
from rrr_assets.ticks import landing
from rrr_assets.warehouse.compare import compare_days
from rrr_assets.warehouse.connect import EMBEDDED_DATABASE, Database, Role
from rrr_assets.warehouse.home import Home, write_private
from rrr_assets.warehouse.load import load_day
from rrr_assets.warehouse.load_bars import load_bars_day
from rrr_assets.warehouse.migrate import Engine, migrate
from rrr_assets.warehouse.refresh import refresh_bars
from rrr_assets.warehouse.tick_tables import TICK_TABLES

TIMESCALE_URL = "RRR_TEST_TIMESCALE_URL"
"""Names a server with TimescaleDB, as its superuser, for tests alone."""

_TEMPLATE = "test_template"

ON_TIMESCALE = pytest.mark.parametrize(
    "engine", [pytest.param("timescaledb", marks=pytest.mark.timescale)], indirect=True, scope="module", ids=["timescaledb"]
)
"""Marks a test of what plain PostgreSQL has not."""


def fresh_database() -> Database:
    """A migrated database of its own on the server of the environment."""
    return migrated(f"test_{uuid.uuid4().hex[:12]}")


def migrated(name: str | None = None, engine: Engine | None = None) -> Database:
    """A new migrated database, the platform's own where no name is given: on the embedded server a copy of one that was migrated once."""
    if not os.environ.get("RRR_DATABASE_URL"):
        server = Database.current("postgres")
        with Home.current().lock("template"), server.connect_admin() as connection:
            if not connection.execute("select 1 from pg_database where datname = %s", (_TEMPLATE,)).fetchone():
                migrate(Database.current(f"{_TEMPLATE}_in_work"), "postgresql")
                connection.execute(f"alter database {_TEMPLATE}_in_work rename to {_TEMPLATE}")
            copied = sql.SQL("create database {} template {}").format(sql.Identifier(name or EMBEDDED_DATABASE), sql.Identifier(_TEMPLATE))
            connection.execute(copied)
    made = Database.current(name)
    migrate(made, engine)  # rights and settings of a database are not copied
    return made


@contextmanager
def made_database(name: str, engine: Engine | None = None) -> Iterator[Database]:
    """A database of this name on the server of the environment, migrated for an engine or without a schema; dropped afterwards."""
    address = os.environ.get("RRR_DATABASE_URL")
    if address:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    try:
        made = Database.current(name) if engine is None else migrated(name, engine)
        if engine == "timescaledb":
            pause_jobs(made)
        yield made
    finally:
        with Database.current().connect_admin() as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def pause_jobs(database: Database) -> None:
    """Let nothing in the database run by itself: a test says when."""
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute(
            "select alter_job(job_id, scheduled => false) from timescaledb_information.jobs where owner = current_user::regrole"
        )


def kill(pid: int) -> None:
    """SIGKILL to a process that may have ended by itself since it was listed: a server's helpers come and go."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@contextmanager
def timescale_server(url: str, root: Path) -> Iterator[None]:
    """Have the environment name this server, and a home that knows its roles' passwords.

    They follow from the address: several runs of the tests may use the server at once.
    """
    passwords = {role.value: hashlib.sha256(f"{role.value} {url}".encode()).hexdigest() for role in Role}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RRR_DATABASE_URL", url)
        patched.setenv("RRR_HOME", str(root))
        home = Home.current()
        with home.lock("timescale"), psycopg.connect(url, autocommit=True) as connection:
            write_private(home.credentials, json.dumps(passwords))
            for role, password in passwords.items():
                if connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone() and not _enters(url, role, password):
                    connection.execute(sql.SQL("alter role {} login password {}").format(sql.Identifier(role), sql.Literal(password)))
        yield


def _enters(url: str, role: str, password: str) -> bool:
    try:
        psycopg.connect(url, user=role, password=password, dbname="template1").close()
    except psycopg.OperationalError:
        return False
    return True


@dataclass
class Platform:
    """One database and one landing zone, driven without Dagster."""

    database: Database
    home: Home
    days: set[date] = field(default_factory=set)

    def take_in(
        self, paths: Path | Sequence[Path], format_name: str, instrument: str | None = None, day: date | None = None
    ) -> list[DayLoaded]:
        """Accept files and store their days: all streams alike, nothing refreshed."""
        chosen = [paths] if isinstance(paths, Path) else list(paths)
        with self.database.connect(Role.WRITER, autocommit=True) as connection:
            accepted = [one for path in chosen for one in landing.accept(self.home, connection, path, format_name, instrument, day)]
        days = sorted({day for file in accepted for day in file.days})
        self.days.update(days)
        ticks = [loaded for stream in TICK_TABLES for loaded in self.load(stream, load_day, days)]
        return [*ticks, *self.load("venue_bars", load_bars_day, days)]

    def load(self, stream: str, store: Callable[..., DayLoaded], days: Sequence[date]) -> list[DayLoaded]:
        """Store what waits of some days."""
        with self.database.connect(Role.WRITER, autocommit=True) as connection:
            waiting = landing.files_of_days(self.home, connection, stream, days)
        return [store(self.database, day, waiting[day], None, landing.raw_lines) for day in days if day in waiting]

    def refresh(self, days: Iterable[date] | None = None, *, whole_days: bool = False) -> None:
        """Bring bars and verdicts of some days, or all that were taken in, up to date."""
        chosen = sorted(self.days if days is None else days)
        for interval in ("1m", "5m", "1h", "1d"):
            list(refresh_bars(self.database, interval, chosen, whole_days=whole_days))
        list(compare_days(self.database, chosen, whole_days=whole_days))

    def rows(self, statement: str, *values: object) -> list[tuple]:
        """Rows of a query, as the owner."""
        with self.database.connect(Role.OWNER, autocommit=True) as connection:
            return connection.execute(statement, values or None).fetchall()

    def trades_hash(self) -> str:
        """A hash of the trades that does not depend on the order of storing, the batch or the moment."""
        statement = """
            select coalesce(md5(string_agg(concat_ws('|', instrument, space, sequence, extract(epoch from event_time)::text,
                trim_scale(price), trim_scale(size), side, conditions::text), E'\\n'
                order by instrument, space, sequence, event_time)), 'none')
            from raw_trades
        """
        return str(self.rows(statement)[0][0])
