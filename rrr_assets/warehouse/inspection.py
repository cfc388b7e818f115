"""Looking at a day: the rules of each table, what is held, what is missing. Reads only.

Belongs here: running the rule queries and counting. Does not: what follows from a broken rule (checks of the stations).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, LiteralString

import pyarrow as pa
from psycopg import sql

from rrr_assets.calc.decimals import NOTIONAL, PRICE, WIDE_SIZE
from rrr_assets.calc.outcomes import DayHeld, RuleResult
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.base import Table
from rrr_assets.contracts.catalogue import TABLES
from rrr_assets.contracts.features import FEATURES_1M
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

_MOST_PARTS: Final = 4
_ROWS_OF_A_PART: Final = 50_000
"""With fewer, to call another process takes longer than it helps."""

_BY_INDEX: Final = (
    "set local enable_seqscan = off; set local enable_bitmapscan = off; set local enable_sort = off; set local jit = off; "
    "set local parallel_setup_cost = 0; set local parallel_tuple_cost = 0; set local min_parallel_index_scan_size = '1TB'; "
    "set local work_mem = '64MB'"
)
"""Of a day that was loaded just now the planner knows nothing, and would sort what the index has in order. It shares out whole parts:
processes that read one part together would have to be merged again."""

_BY_ANY: Final = (
    "reset enable_seqscan; reset enable_bitmapscan; reset enable_sort; "
    "reset parallel_setup_cost; reset parallel_tuple_cost; reset min_parallel_index_scan_size; reset work_mem"
)
_IS: Final = "t.instrument = {} and t.space = {}"
_AFTER: Final = "(t.instrument, t.space) > ({}, {})"
_BEFORE: Final = "(t.instrument, t.space) < ({}, {})"
_UP_TO: Final = "(t.instrument, t.space) <= ({}, {})"
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
        # A row of features is of the minute that ends at its time: the last one of a day closes at midnight.
        shift = timedelta(minutes=1) if table == FEATURES_1M.name else timedelta(0)
        counts = ask_contract(connection, TABLES[table], start + shift, start + _ONE_DAY + shift)
        statement: Any = query(f"check_{table}") if not table.startswith("bars_") else _bars_rules(table.removeprefix("bars_"), values)
        rows = connection.execute(statement, values).fetchall()
    return [*_results(rows), *results_of(counts)]


def _check_ticks(connection: Connection, table: Table, stream: str, values: dict[str, Any]) -> list[RuleResult]:
    """A day of ticks: what hangs on the order of the ids comes from the index, and what the constraints hold is not read at all."""
    name = sql.Identifier(table.name)

    def ask(piece: str, **more: Any) -> list[tuple[Any, ...]]:
        return connection.execute(sql.SQL(query(piece)).format(table=name), {**values, **more}).fetchall()

    values["stream"] = stream
    ledger = connection.execute(query("check_tick_ledger"), values).fetchall()
    is_ordered = table.in_order is not None and all(rows <= _MOST_IN_MEMORY for *_, rows in ledger)
    parts = [
        sql.SQL("({})").format(sql.SQL(_without_end(query("check_tick_keys"))).format(number=number, table=name, chosen=chosen))
        for number, chosen in enumerate(_parts(ledger))
    ]
    connection.execute(_BY_INDEX)
    found = connection.execute(sql.SQL(" union all ").join(parts), {**values, "is_ordered": is_ordered}).fetchall()
    connection.execute(_BY_ANY)
    counted = _put_together(found)
    repeated = sorted({each.instrument for each in counted if each.found != each.ids})
    unordered = sorted({each.instrument for each in counted if table.in_order is not None and not each.is_in_order})
    steps = {(row[0], row[1]): row[2:] for row in ask("check_tick_steps", instruments=unordered)} if unordered else {}
    counts = ask_contract(
        connection, table, values["from_time"], values["to_time"], leave_out=_TOLD_BY_TICKS, rows=sum(each.found for each in counted)
    )
    values |= {
        "instruments": [each.instrument for each in counted],
        "found": [each.found for each in counted],
        "ids": [each.ids for each in counted],
        "steps_back": [steps.get((each.instrument, each.space), (0, ""))[0] for each in counted],
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


@dataclass(slots=True)
class _Counted:
    """The rows of an instrument and space that were counted so far, in the order of the ids."""

    instrument: str
    space: str
    found: int
    ids: int
    is_in_order: bool
    last_time: datetime | None

    def go_on(self, found: int, ids: int, is_in_order: bool, first_time: datetime | None, last_time: datetime | None) -> None:
        """Add a part with higher ids: no id is in two of them."""
        self.found += found
        self.ids += ids
        follows = self.last_time is not None and first_time is not None and self.last_time <= first_time
        self.is_in_order = self.is_in_order and is_in_order and follows
        self.last_time = last_time


def _put_together(parts: Iterable[tuple[Any, ...]]) -> list[_Counted]:
    """What was counted of each part, by instrument and space."""
    told: dict[tuple[str, str], _Counted] = {}
    for _, instrument, space, found, ids, is_in_order, first_time, last_time in sorted(parts, key=lambda part: part[:3]):
        if (instrument, space) in told:
            told[instrument, space].go_on(found, ids, is_in_order is True, first_time, last_time)
        else:
            told[instrument, space] = _Counted(instrument, space, found, ids, is_in_order is True, last_time)
    return list(told.values())


def _parts(ledger: Sequence[tuple[str, str, int, int, int]]) -> list[sql.Composable]:
    """Conditions that part a day along its index, for the server's processes to share: each row that there may be meets one of them.

    An instrument of many rows is parted by its ids, as if they lay evenly: where they do not, parts are of unlike sizes. What the ledger
    knows nothing of falls in between.

    Args:
        ledger: instrument, space, first and last id, and rows, in the order of the index.
    """
    size = max(_ROWS_OF_A_PART, sum(rows for *_, rows in ledger) // _MOST_PARTS)
    parts: list[sql.Composable] = []
    start: sql.Composable = sql.SQL("true")
    waiting = 0
    for instrument, space, first, last, rows in ledger:
        waiting += rows
        if waiting < size:
            continue
        if rows < size:
            parts.append(_all_of(start, sql.SQL(_UP_TO).format(instrument, space)))
        else:
            parts += [_all_of(start, sql.SQL(_BEFORE).format(instrument, space)), *_shares(instrument, space, first, last, rows // size)]
        start = sql.SQL(_AFTER).format(instrument, space)
        waiting = 0
    return [*parts, start]


def _shares(instrument: str, space: str, first: int, last: int, count: int) -> list[sql.Composable]:
    cuts = [first + (last - first) * share // count for share in range(1, count)]
    starts = [sql.SQL("true"), *(sql.SQL("t.sequence >= {}").format(cut) for cut in cuts)]
    ends = [*(sql.SQL("t.sequence < {}").format(cut) for cut in cuts), sql.SQL("true")]
    mine = sql.SQL(_IS).format(instrument, space)
    return [_all_of(mine, start, end) for start, end in zip(starts, ends, strict=True)]


def _all_of(*conditions: sql.Composable) -> sql.Composable:
    return sql.SQL(" and ").join(conditions)


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
