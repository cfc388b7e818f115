"""Moving a plain database over to TimescaleDB, on a server that has it.

Belongs here: the move, day by day and resumable, and the swap at its end. Does not: applying migrations (migrate.py).
The hypertables are filled beside the tables, one day a transaction: the day's writers wait, readers do not. What changes after
its day was moved is found in the invalidation log, and that day is moved again. When nothing is left to move, one transaction
puts the hypertables in the tables' place, with all that this engine has besides. Killed anywhere, the move goes on where it was.
It needs as much room on the disk as the ticks have now.
"""

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import sql

from rrr_assets.warehouse.books import IN_FLIGHT
from rrr_assets.warehouse.connect import Database, DatabaseUnusable, Role
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.migrate import MIGRATING, engine_of, migrate, migration_files
from rrr_assets.warehouse.sqlfiles import query

Connection = psycopg.Connection[tuple[Any, ...]]
Progress = Callable[[str], None]

_ONE_DAY: Final = timedelta(days=1)


_APPLIED: Final = frozenset({"0015_live_bars.timescaledb", "0021_tier_moves.timescaledb"})
"""Files that have a twin, and are written to be applied over it."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What a move did: days and rows moved by this call. Nothing, where the database was of TimescaleDB already."""

    days: int
    rows: int
    was_moved: bool


@dataclass(frozen=True, slots=True)
class _Day:
    relation: str
    part: str
    day: date


def convert(database: Database, progress: Progress) -> Converted:
    """Move a plain database over to TimescaleDB. Idempotent; killed in the middle, it goes on where it was.

    Args:
        database: what is moved. It is brought up to date first; a new one is made for TimescaleDB at once.
        progress: told of each day.

    Raises:
        DatabaseUnusable: the server does not have TimescaleDB, or the rows of a day do not come out equal.
    """
    with database.connect_admin() as connection:
        engine = engine_of(connection)
    if engine != "postgresql":
        migrate(database, "timescaledb")
        return Converted(0, 0, was_moved=False)
    if not database.may_have_timescaledb():
        raise DatabaseUnusable(
            "this server does not have TimescaleDB, or has it without its columnstore. Install it there, name it in "
            "shared_preload_libraries, restart, and convert again; the database is as it was"
        )
    migrate(database, "postgresql")
    database.make_timescaledb()
    database.bootstrap()
    with ExitStack() as stack:
        connection = stack.enter_context(database.connect(Role.OWNER, autocommit=True, prepare_threshold=None))
        connection.execute("select pg_advisory_lock(%s)", (MIGRATING,))
        if engine_of(connection) != "postgresql":
            return Converted(0, 0, was_moved=False)  # by another process, while this one waited
        with connection.transaction():
            connection.execute(query("convert_prepare"))
        days = rows = 0
        while left := _left(connection):
            for number, one in enumerate(left, 1):
                with connection.transaction():
                    moved = _move(connection, one)
                    reach("convert.moved")
                reach("convert.day_committed")
                days, rows = days + 1, rows + moved
                progress(f"{one.relation} of {one.day}: {moved:,} rows moved and found equal ({number} of {len(left)} days)")
        progress("all days are moved; readers and writers wait while the tables change places")
        with connection.transaction():
            _swap(connection)
            reach("convert.before_commit")
        reach("convert.after_commit")
    migrate(database, "timescaledb")
    return Converted(days, rows, was_moved=True)


def _left(connection: Connection) -> list[_Day]:
    """The days that were not moved yet, or changed since."""
    rows = connection.execute(query("convert_days")).fetchall()
    return [_Day(relation, part, day) for relation, part, day, is_moved in rows if not is_moved]


def _move(connection: Connection, one: _Day) -> int:
    """Move one day, and hold what came out against what went in. Returns its rows."""
    target, part = sql.Identifier("converting", one.relation), sql.Identifier("public", one.part)
    start = datetime(one.day.year, one.day.month, one.day.day, tzinfo=UTC)
    values: dict[str, Any] = {"relation": one.relation, "day": one.day, "from_time": start, "to_time": start + _ONE_DAY}
    connection.execute(sql.SQL("lock table {} in share mode").format(part))
    connection.execute(sql.SQL("delete from {} where event_time >= %(from_time)s and event_time < %(to_time)s").format(target), values)
    connection.execute(sql.SQL(query("convert_move_day")).format(table=sql.Identifier(one.relation), part=part))
    sums = sql.SQL(query("convert_day_sums"))
    before = connection.execute(sums.format(table=part), values).fetchone()
    after = connection.execute(sums.format(table=target), values).fetchone()
    if before is None or before != after:
        raise DatabaseUnusable(
            f"{one.relation} of {one.day} did not come out equal: rows and their hash were {before} and are {after}. "
            "Nothing of the day was moved. Look for damage with `pg_amcheck`, and convert again"
        )
    connection.execute(query("convert_note_day"), values | {"row_count": before[0], "row_hash": before[1]})
    return int(before[0])


def _swap(connection: Connection) -> None:
    """Put the hypertables in the tables' place, and make of the database what its migrations would have made."""
    # Writers hold this from before they touch a table: now there are none. The tables are locked for who only reads.
    connection.execute("select pg_advisory_xact_lock(%s)", (IN_FLIGHT,))
    for one in _left(connection):
        _move(connection, one)
    try:
        connection.execute(query("convert_swap"))
    except psycopg.errors.DependentObjectsStillExist as error:
        raise DatabaseUnusable(
            f"something that is none of the platform's hangs on its tables: {str(error).splitlines()[0]}. Drop it, and convert again"
        ) from error
    plain, ours = {path.stem for path in migration_files("postgresql")}, {path.stem for path in migration_files("timescaledb")}
    connection.execute("delete from schema_migrations where migration_id = any(%s)", (sorted(plain - ours),))
    applied = {name for (name,) in connection.execute("select migration_id from schema_migrations").fetchall()}
    for path in migration_files("timescaledb"):
        if path.stem in applied:
            continue
        # The tables of a file that has a twin are there; what only this engine has is applied.
        if path.stem.replace("timescaledb", "postgresql") not in plain or path.stem in _APPLIED:
            connection.execute(path.read_bytes())
        connection.execute(
            "insert into schema_migrations (migration_hash, migration_id, applied_at_utc) values (%s, %s, now() at time zone 'UTC')",
            (hashlib.sha256(path.stem.encode()).hexdigest(), path.stem),
        )
