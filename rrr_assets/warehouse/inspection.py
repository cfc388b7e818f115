"""Looking at a day: the rules of each table, what is held, what is missing. Reads only.

Belongs here: running the rule queries and counting. Does not: what follows from a broken rule (checks of the stations).
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, LiteralString

import pyarrow as pa
from psycopg import sql

from rrr_assets.calc.numbers import NOTIONAL, PRICE, WIDE_SIZE
from rrr_assets.calc.outcomes import DayHeld, RuleResult
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.base import Table
from rrr_assets.contracts.catalogue import TABLES
from rrr_assets.contracts.parsed import UTC_MICROSECONDS
from rrr_assets.contracts.rules import Kind
from rrr_assets.warehouse.books import Connection
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.contract_checks import ask_contract, one_view, results_of
from rrr_assets.warehouse.refresh import SOURCES
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.tick_tables import TICK_TABLES

_ONE_DAY: Final = timedelta(days=1)
_MOST_IN_MEMORY: Final = 8_000_000
"""Rows of an instrument's day whose times the server holds at once, eight bytes each and that twice."""

_BY_INDEX: Final = (
    "set local enable_seqscan = off; set local enable_bitmapscan = off; set local enable_sort = off; set local jit = off; "
    "set local max_parallel_workers_per_gather = 0; set local work_mem = '64MB'"
)
"""Of a day that was loaded just now the planner knows nothing, and would sort what the index has in order."""

_BY_ANY: Final = "reset enable_seqscan; reset enable_bitmapscan; reset enable_sort; reset max_parallel_workers_per_gather; reset work_mem"
_TOLD_BY_TICKS: Final = frozenset({Kind.IDENTITY, Kind.IN_ORDER, Kind.FINITE})
"""What the queries of ticks ask themselves; and that a number is finite, which the loader holds and the daily look asks."""


def check(database: Database, table: str, day: date) -> list[RuleResult]:
    """Look at a table's day by all its rules: those of its contract, and those that look at other tables too.

    Args:
        database: where it stands.
        table: a table of ticks, venue_bars, bars_1m to bars_1d, or bar_conformance.
        day: UTC day.

    Returns:
        One result per rule, in the order of the query, and then one for the rules of each kind of the contract.

    Raises:
        RelationGone: a table that is looked at was dropped.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    values: dict[str, Any] = {"day": day, "from_time": start, "to_time": start + _ONE_DAY}
    stream = table.removeprefix("raw_")
    with database.kept(Role.WRITER) as connection, one_view(connection):
        if stream in TICK_TABLES:
            return _check_ticks(connection, TABLES[table], stream, values)
        counts = ask_contract(connection, TABLES[table], start, start + _ONE_DAY)
        statement: Any = query(f"check_{table}") if not table.startswith("bars_") else _bars_rules(table.removeprefix("bars_"), values)
        rows = connection.execute(statement, values).fetchall()
    return [*_results(rows), *results_of(counts)]


def _check_ticks(connection: Connection, table: Table, stream: str, values: dict[str, Any]) -> list[RuleResult]:
    """A day of ticks: what hangs on the order of the ids comes from the index, and what the constraints hold is not read at all."""
    name = sql.Identifier(table.name)

    def ask(piece: str, **more: Any) -> list[tuple[Any, ...]]:
        return connection.execute(sql.SQL(query(piece)).format(table=name), {**values, **more}).fetchall()

    values["stream"] = stream
    is_large = bool(connection.execute(query("check_tick_large"), {**values, "most": _MOST_IN_MEMORY}).fetchall())
    connection.execute(_BY_INDEX)
    counted = ask("check_tick_keys", is_ordered=table.in_order is not None and not is_large)
    connection.execute(_BY_ANY)
    repeated = sorted({row[0] for row in counted if row[2] != row[3]})
    unordered = sorted({row[0] for row in counted if table.in_order is not None and row[4] is not True})
    steps = {(row[0], row[1]): row[2:] for row in ask("check_tick_steps", instruments=unordered)} if unordered else {}
    counts = ask_contract(
        connection, table, values["from_time"], values["to_time"], leave_out=_TOLD_BY_TICKS, rows=sum(row[2] for row in counted)
    )
    values |= {
        "instruments": [row[0] for row in counted],
        "found": [row[2] for row in counted],
        "ids": [row[3] for row in counted],
        "steps_back": [steps.get((row[0], row[1]), (0, ""))[0] for row in counted],
        "steps_examples": [example for _, example in steps.values()][:5],
        "repeated_examples": [example for (example,) in ask("check_tick_repeated", instruments=repeated)] if repeated else [],
        "not_positive": sum(each.broken for each in counts if each.rule.kind is Kind.RANGE),
        "available_before": sum(each.broken for each in counts if each.rule.columns == ("event_time", "available_at")),
    }
    if stream == "trades":
        statement: Any = query("check_raw_trades")
    else:
        more = sql.SQL("({})").format(sql.SQL(_without_end(query(f"check_{table.name}"))).format())
        statement = sql.SQL(query("check_ticks")).format(more=more)
    return [*_results(connection.execute(statement, values).fetchall()), *results_of(counts)]


def _results(rows: Iterable[tuple[Any, ...]]) -> list[RuleResult]:
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
