"""Which database this is, and how each role of the platform enters it.

Belongs here: the address from RRR_DATABASE_URL or the embedded server, the roles, connections.
Does not: the server's processes (server.py), the schema (migrate.py).
Owner makes the schema, writer loads and refreshes, analyst reads and can do nothing else.
"""

import atexit
import logging
import os
import select
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from rrr_assets.warehouse.home import Credentials, Home
from rrr_assets.warehouse.server import ensure_database, ensure_running
from rrr_assets.warehouse.sqlfiles import query

LOGGER: Final = logging.getLogger(__name__)

EMBEDDED_DATABASE: Final = "rrr"
_MOST_KEPT: Final = 4
_ANALYST_TIMEOUT: Final = "60s"


class DatabaseUnusable(Exception):
    """The database cannot serve the platform as it is. Permanent: the message says what to do."""


class Role(StrEnum):
    """The three roles. They are PostgreSQL roles of the same name, shared by all databases of a server."""

    OWNER = "rrr_owner"
    WRITER = "rrr_writer"
    ANALYST = "rrr_analyst"


@dataclass(frozen=True, slots=True)
class Database:
    """The addresses of one database, by role. Holds passwords, so it never prints itself."""

    name: str
    admin_url: str = field(repr=False)
    role_urls: dict[Role, str] = field(repr=False)
    dagster_url: str = field(repr=False)
    is_embedded: bool

    @classmethod
    def current(cls, database: str | None = None) -> Self:
        """The database of this process' environment; starts the embedded server where none is named.

        Args:
            database: another database on the same server; tests have one each.

        Raises:
            DatabaseUnusable: RRR_DATABASE_URL is no PostgreSQL address.
        """
        credentials = Credentials(Home.current().credentials)
        given = os.environ.get("RRR_DATABASE_URL")
        if given:
            admin = given if database is None else _with_database(given, database)
            name = unquote(urlsplit(admin).path.lstrip("/"))
            if urlsplit(admin).scheme not in {"postgresql", "postgres"} or not name or not _is_readable(admin):
                raise DatabaseUnusable("RRR_DATABASE_URL is not of the form postgresql://user:password@host:port/database. Set it so")
        else:
            server = ensure_running()
            name = database or EMBEDDED_DATABASE
            ensure_database(server, name)
            admin = server.url(name, server.superuser)
        role_urls = {
            role: os.environ.get(f"RRR_{role.name}_URL") or _with_user(admin, role.value, credentials.password_for(role.value))
            for role in Role
        }
        dagster = os.environ.get("RRR_DAGSTER_DATABASE_URL") or _with_database(role_urls[Role.OWNER], f"{name}_dagster")
        found = cls(name=name, admin_url=admin, role_urls=role_urls, dagster_url=dagster, is_embedded=not given)
        if os.environ.get("RRR_BACKUP_DIR"):
            found.keep_backed_up()
        return found

    def keep_backed_up(self) -> None:
        """See to it that what is committed from now on gets into the backup. Work goes on where it does not, with a warning."""
        from rrr_assets.warehouse.backup import keep_receiving
        from rrr_assets.warehouse.barman import BackupFailed

        try:
            keep_receiving(self)
        except BackupFailed as failure:
            LOGGER.warning("what is committed now is not backed up: %s", failure)

    def connect(self, role: Role, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """Open a connection for a role, in UTC.

        Raises:
            DatabaseUnusable: the server refuses the role, with the remedy.
        """
        try:
            return psycopg.connect(self.role_urls[role], options="-c TimeZone=UTC", application_name=f"rrr {role.name.lower()}", **options)
        except psycopg.OperationalError as error:
            raise DatabaseUnusable(
                f"cannot enter database {self.name} as {role.value}: {_first_line(error)}. "
                f"Run `rrr up`, or set RRR_{role.name}_URL where the server's roles are not ours to make"
            ) from error

    @contextmanager
    def kept(self, role: Role) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A connection in autocommit that this process keeps open for its next use.

        For what runs several times a day of a backfill: logging in costs more than a small query. Leave no state in the session.

        Raises:
            DatabaseUnusable: the server refuses the role, with the remedy.
        """
        address = self.role_urls[role]
        connection = _KEPT.take(address) or self.connect(role, autocommit=True, prepare_threshold=None)
        with ExitStack() as failed:
            failed.callback(connection.close)
            yield connection
            failed.pop_all()
        _KEPT.put(address, connection)

    @contextmanager
    def connect_admin(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A connection with the rights of the given address, or of the embedded server's superuser; autocommit."""
        try:
            connection = psycopg.connect(self.admin_url, options="-c TimeZone=UTC", autocommit=True)
        except psycopg.OperationalError as error:
            raise DatabaseUnusable(
                f"cannot reach database {self.name}: {_first_line(error)}. Is RRR_DATABASE_URL right, and the server up?"
            ) from error
        with connection:
            yield connection

    def bootstrap(self) -> None:
        """Make the roles, hand the database to its owner, and close what PostgreSQL leaves open to everybody.

        Idempotent, and safe when several do it at once.

        Raises:
            DatabaseUnusable: the given address may not make roles.
        """
        # Roles are shared by all databases of a server, and advisory locks are not: the home's lock orders its processes.
        with Home.current().lock("bootstrap"), self.connect_admin() as connection, connection.transaction():
            if _is_prepared(connection) and all(_is_given(role) or self._may_enter(role) for role in Role):
                return  # so that a lesser user can migrate what a superuser prepared
            for role in Role:
                self._make_role(connection, role)
            try:
                connection.execute(
                    sql.SQL(query("bootstrap_database")).format(database=sql.Identifier(self.name), timeout=sql.Literal(_ANALYST_TIMEOUT))
                )
            except psycopg.errors.InsufficientPrivilege as error:
                raise DatabaseUnusable(
                    f"the user of RRR_DATABASE_URL may not prepare database {self.name}: {_first_line(error)}. "
                    "Let a superuser run `rrr migrate` once"
                ) from error
            if not _is_prepared(connection):
                # Who owns no catalogue function revokes nothing from it, and PostgreSQL only warns.
                raise DatabaseUnusable(
                    f"the user of RRR_DATABASE_URL may not keep analysts of database {self.name} from advisory locks, which block writers. "
                    "Let a superuser run `rrr migrate` once"
                )

    def may_have_timescaledb(self) -> bool:
        """Whether the server has TimescaleDB loaded and at hand, under the licence that its columnstore and live bars stand under."""
        with self.connect_admin() as connection:
            if connection.execute(query("has_timescaledb")).fetchone() != (True,):
                return False
            is_apache = False
            try:
                with connection.transaction(force_rollback=True):
                    # Its licence is known where it is loaded, and no other way shows whether this user may have it.
                    connection.execute("create extension if not exists timescaledb")
                    is_apache = connection.execute("show timescaledb.license").fetchone() == ("apache",)
            except psycopg.errors.InsufficientPrivilege:
                return False
            return not is_apache

    def make_timescaledb(self) -> None:
        """Put TimescaleDB into this database. Idempotent, and safe when several do it at once.

        Raises:
            DatabaseUnusable: the server does not run it, or the given address may not have it.
        """
        with Home.current().lock("bootstrap"), self.connect_admin() as connection:
            try:
                connection.execute("create extension if not exists timescaledb")
            except psycopg.Error as error:
                raise DatabaseUnusable(
                    f"database {self.name} cannot have TimescaleDB: {_first_line(error)}. Install it on the server and name it in "
                    "shared_preload_libraries, or let a superuser run `create extension timescaledb` there"
                ) from error

    def ensure_dagster_database(self) -> bool:
        """Make the database of Dagster's storage where it is not there, and say whether it had to be made.

        Raises:
            DatabaseUnusable: the given address may not make databases.
        """
        if os.environ.get("RRR_DAGSTER_DATABASE_URL"):
            return False
        name = unquote(urlsplit(self.dagster_url).path.lstrip("/"))
        with self.connect_admin() as connection:
            if connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
                return False
            self.bootstrap()
            try:
                connection.execute(sql.SQL("create database {} owner rrr_owner").format(sql.Identifier(name)))
            except psycopg.errors.DuplicateDatabase:
                return False  # another process made it at the same moment
            except psycopg.errors.InsufficientPrivilege as error:
                raise DatabaseUnusable(
                    f"the user of RRR_DATABASE_URL may not make the database {name}, where Dagster keeps its runs. "
                    "Give it CREATEDB, or make one and set RRR_DAGSTER_DATABASE_URL"
                ) from error
        return True

    def _make_role(self, connection: psycopg.Connection[tuple[Any, ...]], role: Role) -> None:
        exists = connection.execute("select 1 from pg_roles where rolname = %s", (role.value,)).fetchone()
        if exists and (_is_given(role) or self._may_enter(role)):
            return
        if exists and not self.is_embedded:
            # Changing its password here would lock out whoever made the role, another home most likely.
            raise DatabaseUnusable(
                f"the server has a role {role.value} whose password this home does not know. Copy credentials.json from the home that "
                f"made it, or set RRR_{role.name}_URL"
            )
        password = unquote(urlsplit(self.role_urls[role]).password or "")
        # The server gets a SCRAM verifier, so that no log of statements ever holds the password.
        verifier = connection.pgconn.encrypt_password(password.encode(), role.value.encode(), b"scram-sha-256").decode()
        verb = sql.SQL("alter") if exists else sql.SQL("create")
        try:
            with connection.transaction():
                connection.execute(sql.SQL("{} role {} login password {}").format(verb, sql.Identifier(role.value), sql.Literal(verifier)))
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            return  # another database of this server was prepared at the same moment, with the same passwords
        except psycopg.errors.InsufficientPrivilege as error:
            raise DatabaseUnusable(
                f"the user of RRR_DATABASE_URL may not make the role {role.value}. Give it CREATEROLE, or make the roles "
                f"{', '.join(Role)} and set RRR_OWNER_URL, RRR_WRITER_URL and RRR_ANALYST_URL"
            ) from error

    def _may_enter(self, role: Role) -> bool:
        try:
            psycopg.connect(self.role_urls[role]).close()
        except psycopg.OperationalError:
            return False
        return True


class _Kept:
    """Open connections that nobody uses right now: few, the one used last first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[tuple[int, str, psycopg.Connection[tuple[Any, ...]]]] = []

    def take(self, address: str) -> psycopg.Connection[tuple[Any, ...]] | None:
        """One to this address, if there is one that the server has not closed meanwhile."""
        with self._lock:
            mine = [entry for entry in self._idle if entry[:2] == (os.getpid(), address)]
            self._idle = [entry for entry in self._idle if entry not in mine[-1:]]
        if not mine:
            return None
        connection = mine[-1][2]
        return connection if _is_quiet(connection) else self.take(address)

    def put(self, address: str, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Keep one, and close the one that was not used for longest where there are many."""
        if connection.closed or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            connection.close()
            return
        with self._lock:
            self._idle.append((os.getpid(), address, connection))
            surplus, self._idle = self._idle[:-_MOST_KEPT], self._idle[-_MOST_KEPT:]
        for _, _, unused in surplus:
            unused.close()

    def close(self) -> None:
        """Close them all."""
        while self._idle:
            self._idle.pop()[2].close()


def _is_quiet(connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
    """Whether a connection is open and nothing came in on it: a server that goes away says so, or hangs up."""
    if connection.closed:
        return False
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    if waiting.poll(0):
        connection.close()
        return False
    return True


_KEPT: Final = _Kept()
atexit.register(_KEPT.close)


def _is_readable(url: str) -> bool:
    try:
        psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return False  # its message would show a part of the password
    return True


def _is_prepared(connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
    """Whether roles and database are as they must be."""
    return connection.execute(query("is_prepared")).fetchone() == (True,)


def _is_given(role: Role) -> bool:
    """Whether the environment says how to enter as this role."""
    return bool(os.environ.get(f"RRR_{role.name}_URL"))


def _with_database(url: str, database: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path="/" + quote(database, safe="")))


def _with_user(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{host}"))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
