"""The rules of a table's contract, asked of its rows in SQL.

Belongs here: one pass over the rows for all rules of a contract, and what the database's own constraints spare of it. Does not: the
rules (contracts/rules), what follows from a broken one (the stations), rules that look at other tables (inspection).

A rule that a validated constraint of the table holds, or a unique index, is kept by every row: the planner proves it, and no row is
read for it. What a constraint does not hold, or no longer holds, is counted.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import sql

from rrr_assets.calc.outcomes import RelationGone, RuleResult
from rrr_assets.contracts.base import Table
from rrr_assets.contracts.catalogue import TABLES
from rrr_assets.contracts.rules import IS_THERE, NOT_FINITE, SENTENCES, Kind, Rule, rules_of
from rrr_assets.warehouse.books import Connection
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.sqlfiles import query

_OF_ONE_ROW: Final = frozenset({Kind.NULL, Kind.ACCEPTED, Kind.RANGE, Kind.FINITE, Kind.ORDERED})
_SNAPSHOT: Final = "set transaction isolation level repeatable read"
_PROOF: Final = "set local constraint_exclusion = on"
_NUMBERED: Final = re.compile(r"\d+$")


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How many rows break one rule, and some of them by their key; all rows of one key where a key is there more than once."""

    rule: Rule
    broken: int
    looked_at: int
    examples: tuple[str, ...] = ()
    is_proven: bool = False


@contextmanager
def one_view(connection: Connection) -> Iterator[None]:
    """Everything that is asked inside sees the tables as they were at one moment.

    Raises:
        RelationGone: a table or a column that is asked for is not there.
    """
    try:
        with connection.transaction():
            connection.execute(_SNAPSHOT)
            yield
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise RelationGone(str(error).splitlines()[0]) from error


def ask_contract(
    connection: Connection,
    table: Table,
    from_time: datetime | None = None,
    to_time: datetime | None = None,
    *,
    relation: str | None = None,
    leave_out: Iterable[Kind] = (),
    rows: int | None = None,
) -> list[RuleCount]:
    """Ask every rule of a contract of a table, or of the rows of a time of it.

    Args:
        connection: of any role that may read it, within `one_view`.
        table: the contract.
        from_time: UTC, inclusive, by the contract's time column; None for the table as a whole.
        to_time: UTC, exclusive.
        relation: the table to look at where it is not the one that the contract names.
        leave_out: kinds of rules that are asked elsewhere.
        rows: how many rows there are, where that is known: nothing is read where no rule needs it.

    Returns:
        One count per rule, in the order of the contract.
    """
    name = sql.Identifier(relation or table.name)
    chosen = _rows_of(table, from_time, to_time)
    left_out = set(leave_out)
    rules = [rule for rule in rules_of(table) if rule.kind not in left_out]
    proven = _proven(connection, name, chosen, rules) | _held_by_an_index(connection, relation or table.name, rules)
    asked = [rule for rule in rules if rule.kind in _OF_ONE_ROW and rule not in proven]
    broken: dict[Rule, int] = {}
    looked_at = rows
    if asked or rows is None:
        counts = sql.SQL(", ").join(sql.SQL("count(*) filter (where {})").format(breaks(rule)) for rule in asked)
        statement = sql.SQL(query("check_contract")).format(counts=counts, table=name, chosen=chosen)
        looked_at, found = connection.execute(statement).fetchone() or (0, [])
        broken = dict(zip(asked, found, strict=True))
    told = []
    for rule in rules:
        if rule in proven:
            told.append(RuleCount(rule, 0, looked_at or 0, is_proven=True))
        elif rule.kind in _OF_ONE_ROW:
            examples = _examples(connection, table, name, chosen, rule) if broken[rule] else ()
            told.append(RuleCount(rule, broken[rule], looked_at or 0, examples))
        else:
            count, examples = _over_rows(connection, name, chosen, rule)
            told.append(RuleCount(rule, count, looked_at or 0, examples))
    return told


def results_of(counts: Sequence[RuleCount]) -> list[RuleResult]:
    """What was asked of a contract as a check tells it: one result for all rules of a kind. A row that breaks two of them counts twice."""
    told = []
    for kind, sentence in SENTENCES.items():
        mine = [count for count in counts if count.rule.kind is kind]
        if not mine:
            continue
        broken = [count for count in mine if count.broken]
        examples = [f"{count.rule.told}: {count.broken}, as {'; '.join(count.examples[:3])}" for count in broken]
        told.append(
            RuleResult(
                rule=sentence,
                is_blocking=mine[0].rule.is_blocking,
                broken=min(sum(count.broken for count in broken), mine[0].looked_at),
                looked_at=mine[0].looked_at,
                examples=tuple(examples[:5]),
            )
        )
    return told


def breaks(rule: Rule) -> sql.Composed:
    """What is true of a row that breaks a rule of one row. Money is compared as the exact number it is."""
    one = sql.Identifier(rule.columns[0])
    if rule.kind is Kind.NULL:
        return sql.SQL("{} is null").format(one)
    if rule.kind is Kind.ACCEPTED:
        return sql.SQL("{} not in ({})").format(one, sql.SQL(", ").join(sql.Literal(value) for value in rule.accepted))
    if rule.kind is Kind.FINITE:
        return sql.SQL("{} in ({})").format(one, sql.SQL(", ").join(sql.Literal(value) for value in NOT_FINITE))
    if rule.kind is Kind.ORDERED:
        return sql.SQL("{} > {}").format(one, sql.Identifier(rule.columns[1]))
    if rule.range is None:
        raise ValueError(f"{rule.told} is no rule of one row")
    parts = []
    if rule.range.minimum is not None:
        sign = sql.SQL("<=" if rule.range.is_above else "<")
        parts.append(sql.SQL("{} {} {}").format(one, sign, sql.Literal(rule.range.minimum)))
    if rule.range.maximum is not None:
        parts.append(sql.SQL("{} > {}").format(one, sql.Literal(rule.range.maximum)))
    return sql.SQL(" or ").join(parts)


def _rows_of(table: Table, from_time: datetime | None, to_time: datetime | None) -> sql.Composed:
    """The rows of a time. As literals: partitions are left out as the statement is planned, and a proof is of a plan."""
    if from_time is None or to_time is None or table.time_column is None:
        return sql.SQL("{}").format(sql.SQL("true"))
    time = sql.Identifier(table.time_column)
    return sql.SQL("{0} >= {1} and {0} < {2}").format(time, sql.Literal(from_time), sql.Literal(to_time))


def _proven(connection: Connection, name: sql.Identifier, chosen: sql.Composed, rules: Sequence[Rule]) -> set[Rule]:
    """The rules of one row that constraints hold, by what the planner leaves out."""
    asked = [rule for rule in rules if rule.kind in _OF_ONE_ROW]
    questions = sql.SQL(", ").join(
        sql.SQL("(select count(*) from {} where {} and ({}))").format(name, chosen, breaks(rule)) for rule in asked
    )
    connection.execute(_PROOF)
    [(plan,)] = connection.execute(sql.SQL(query("check_contract_proof")).format(questions=questions)).fetchall()
    parts = {_number(part): part for part in plan[0]["Plan"].get("Plans", [])}
    if len(parts) != len(asked):
        return set()  # a planner that answers another way proves nothing
    return {rule for rule, number in zip(asked, sorted(parts), strict=True) if _reads_nothing(parts[number])}


def _number(part: dict[str, Any]) -> int:
    """Sub-selects are numbered as they stand in the statement."""
    found = _NUMBERED.search(part.get("Subplan Name", ""))
    return int(found.group()) if found else -1


def _reads_nothing(part: dict[str, Any]) -> bool:
    below = part.get("Plans", [])
    return len(below) == 1 and below[0]["Node Type"] == "Result" and below[0].get("One-Time Filter") == "false"


def _held_by_an_index(connection: Connection, relation: str, rules: Sequence[Rule]) -> set[Rule]:
    indexes = [set(columns) for (columns,) in connection.execute(query("check_contract_keys"), {"table": relation}).fetchall()]
    keys = [rule for rule in rules if rule.kind in {Kind.KEY, Kind.IDENTITY}]
    return {rule for rule in keys if any(index <= set(rule.columns) for index in indexes)}


def _columns(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def _examples(connection: Connection, table: Table, name: sql.Identifier, chosen: sql.Composed, rule: Rule) -> tuple[str, ...]:
    statement = sql.SQL(query("check_contract_examples")).format(
        columns=_columns(table.key), table=name, chosen=chosen, broken=breaks(rule)
    )
    return tuple(example for (example,) in connection.execute(statement).fetchall())


def _over_rows(connection: Connection, name: sql.Identifier, chosen: sql.Composed, rule: Rule) -> tuple[int, tuple[str, ...]]:
    """A rule that looks at several rows at once."""
    if rule.kind is Kind.IN_ORDER:
        *within, along, time = rule.columns
        statement = sql.SQL(query("check_contract_steps")).format(
            columns=_columns([*within, along]), within=_columns(within), along=sql.Identifier(along),
            time=sql.Identifier(time), table=name, chosen=chosen,
        )  # fmt: skip
    else:
        statement = sql.SQL(query("check_contract_repeated")).format(columns=_columns(rule.columns), table=name, chosen=chosen)
    broken, examples = connection.execute(statement).fetchone() or (0, [])
    return broken, tuple(examples)


def ask_contracts(database: Database, day: date, tables: Sequence[str] | None = None) -> dict[str, list[RuleResult]]:
    """Every rule of every contract: of a day's rows where a table has days, and of all rows where it has none.

    A table that is not there is broken, and does not keep the others from being asked.

    Args:
        database: entered as the writer.
        day: UTC day.
        tables: their names; None for all.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    told: dict[str, list[RuleResult]] = {}
    with database.kept(Role.WRITER) as connection:
        for name in TABLES if tables is None else tables:
            try:
                with one_view(connection):
                    told[name] = results_of(ask_contract(connection, TABLES[name], start, start + timedelta(days=1)))
            except RelationGone as gone:
                told[name] = [RuleResult(IS_THERE, is_blocking=True, broken=1, looked_at=1, examples=(str(gone),))]
    return told
