"""Looking at a day: the rules of each table, what is held, what is missing. Reads only.

Belongs here: running the rule queries and counting. Does not: what follows from a broken rule (checks of the stations).
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, LiteralString

import pyarrow as pa
from psycopg import sql

from rrr_assets.calc.numbers import NOTIONAL, PRICE, WIDE_SIZE
from rrr_assets.calc.outcomes import DayHeld, RuleResult
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.parsed import UTC_MICROSECONDS
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.refresh import SOURCES
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.tick_tables import TICK_TABLES

_ONE_DAY: Final = timedelta(days=1)


def check(database: Database, table: str, day: date) -> list[RuleResult]:
    """Look at a table's day by all its rules in one query.

    Args:
        database: where it stands.
        table: a table of ticks, venue_bars, bars_1m to bars_1d, or bar_conformance.
        day: UTC day.

    Returns:
        One result per rule, in the order of the query.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    values: dict[str, Any] = {"day": day, "from_time": start, "to_time": start + _ONE_DAY}
    stream = table.removeprefix("raw_")
    statement: Any
    if table.startswith("bars_"):
        statement = _bars_rules(table.removeprefix("bars_"), values)
    elif stream in TICK_TABLES and stream != "trades":
        values["stream"] = stream
        more = sql.SQL("({})").format(sql.SQL(_without_end(query(f"check_{table}"))).format())
        statement = sql.SQL(query("check_ticks")).format(table=sql.Identifier(table), more=more)
    else:
        statement = query(f"check_{table}")
    with database.kept(Role.WRITER) as connection:
        rows = connection.execute(statement, values).fetchall()
    return [RuleResult(rule, is_blocking, broken, looked_at, tuple(examples)) for rule, is_blocking, broken, looked_at, examples in rows]


def held(database: Database, stream: str, day: date) -> DayHeld:
    """What is held of a stream on a day, by the coverage ledger."""
    with database.kept(Role.WRITER) as connection:
        rows, instruments, missing = connection.execute(query("held_day"), {"stream": stream, "day": day}).fetchone() or (0, 0, [])
    return DayHeld(rows=rows, instruments=instruments, missing=tuple(missing))


def busiest_bars(database: Database, interval: str, day: date) -> tuple[str, pa.Table] | None:
    """The bars of the instrument with most trades that day, ready to be drawn; None where there are none."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    with database.kept(Role.WRITER) as connection:
        statement = sql.SQL(query("busiest_bars")).format(bars=sql.Identifier(f"bars_{interval}"))
        rows = connection.execute(statement, {"from_time": start, "to_time": start + _ONE_DAY}).fetchall()
    if not rows:
        return None
    names = ("bar_start", "open", "high", "low", "close", "volume", "quote_volume", "is_complete")
    types = (UTC_MICROSECONDS, PRICE, PRICE, PRICE, PRICE, WIDE_SIZE, NOTIONAL, pa.bool_())
    columns = list(zip(*[row[1:] for row in rows], strict=True))
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    return rows[0][0], pa.Table.from_arrays(arrays, names=list(names))


def _bars_rules(interval: str, values: dict[str, Any]) -> sql.Composed:
    """The rules of one bar table: what it is made from stands in them as a query of its own."""
    values["grid"] = INTERVALS[interval]
    shorter = SOURCES[interval]
    made_from = "check_source_trades" if shorter == "raw_trades" else "check_source_bars"
    totals = sql.SQL(_without_end(query(made_from))).format(shorter=sql.Identifier(shorter))
    source = sql.SQL("({})").format(totals)
    return sql.SQL(query("check_bars")).format(bars=sql.Identifier(f"bars_{interval}"), source=source)


def _without_end(statement: LiteralString) -> LiteralString:
    """A query that stands in another one."""
    return statement.rstrip().removesuffix(";")
