"""What an analyst's statement reads: the archived tables that it names, and what its conditions leave of them.

Belongs here: finding tables and simple conditions in SQL, and planning which partitions they touch. Does not: running it (handing.py,
columnar.py).
Conditions only narrow what is fetched: whatever runs the statement applies all of it again. What is not understood narrows nothing.
"""

import logging
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import sql

from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.contracts.archive import ARCHIVED, Archived
from rrr_assets.contracts.base import Type
from rrr_assets.lake.planning import COLD, DELETED, Away, Connection, away
from rrr_assets.lake.reading import Wanted

if TYPE_CHECKING:
    from sqlglot import exp

_TICK: Final = timedelta(microseconds=1)
_EXPLAIN: Final = re.compile(r"\s*explain\b\s*(\([^)]*\)|((analyze|verbose)\b\s*)*)", re.IGNORECASE)
_AS_KNOWN: Final = {
    "trades_as_known": ("raw_trades", "trade_revisions"),
    "agg_trades_as_known": ("raw_agg_trades", "agg_trade_revisions"),
    "quotes_as_known": ("raw_quotes", "quote_revisions"),
    "bars_as_known": ("bars_1m", "bars_5m", "bars_1h", "bars_1d", "bar_revisions"),
}
"""Functions of the database that read archived tables, by the tables: what they are given is looked at, they see the database alone."""


class NotFollowed(PermanentFailure):
    """A statement reads what is in the archive, and cannot be followed there. The message says how to ask instead."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A place of a statement that reads an archived table: [start, end) of its text, which columns and rows, and where those are."""

    archived: Archived
    start: int
    end: int
    alias: str | None
    names: tuple[str, ...]
    wanted: Wanted
    parts: tuple[Away, ...]

    @property
    def cold(self) -> list[Away]:
        """The partitions whose files are read."""
        return [part for part in self.parts if part.tier == COLD]

    @property
    def deleted(self) -> list[Away]:
        """The partitions of which nothing is left."""
        return [part for part in self.parts if part.tier == DELETED]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement and what it reads that the database does not hold. `explains` is the text before it that asks for its plan."""

    text: str
    explains: str
    tree: Any
    references: tuple[Reference, ...]

    @property
    def is_cold(self) -> bool:
        """Whether rows must come from the archive."""
        return any(each.cold for each in self.references)


def names_any(statement: str, relations: Collection[str]) -> bool:
    """Whether a statement may read one of some tables: their names, or those of functions that read them, stand in it."""
    words = set(re.findall(r"[a-z_0-9]+", statement.lower()))
    functions = {name for name, read in _AS_KNOWN.items() if not set(read).isdisjoint(relations)}
    return not words.isdisjoint({*relations, *functions})


def asks_for_plan(statement: str) -> bool:
    """Whether a statement begins with `explain`."""
    return _EXPLAIN.match(statement) is not None


def followed(connection: Connection, statement: str) -> Statement | None:
    """What a statement reads; None for one that is no query, which the database refuses or answers from itself.

    Args:
        connection: in the transaction in whose picture the statement is to be answered.
        statement: one statement, or several: then the database refuses it.

    Raises:
        NotFollowed: it may read what is in the archive, in a way that is not understood here.
        Unproven: a partition is cold and has no proof.
    """
    from sqlglot import exp

    explain = _EXPLAIN.match(statement)
    begin = explain.end() if explain else 0
    text = statement[begin:]
    trees = _parsed(text)
    if len(trees) != 1 or trees[0] is None:
        return None
    [tree] = trees
    if isinstance(tree, exp.Command):
        raise NotFollowed(f"'{text.split()[0]}' is not understood where the archive is read. Write it as a select")
    if not isinstance(tree, exp.Query):
        return None
    _check_functions(connection, tree)
    found = [_reference(connection, tree, node, archived) for node in tree.find_all(exp.Table) if (archived := _archived(node)) is not None]
    return Statement(text, statement[:begin], tree, tuple(sorted(found, key=lambda each: each.start)))


def _parsed(text: str) -> "list[exp.Expr | None]":
    import sqlglot
    from sqlglot.errors import SqlglotError

    # It says so on the side when it does not understand something: we say it ourselves.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        return list(sqlglot.parse(text, dialect="postgres"))
    except SqlglotError as error:
        why = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().partition("\n")[0]
        raise NotFollowed(
            f"it is not understood where the archive is read ({why}). Write it more plainly, or leave those tables out"
        ) from error


def _archived(node: "exp.Table") -> Archived | None:
    """The archived table that a place names; None for another table, and for a query that is named in the statement itself."""
    from sqlglot import exp

    if not isinstance(node.this, exp.Identifier) or node.args.get("catalog") is not None:
        return None
    name = node.name if node.this.quoted else node.name.lower()
    if name not in ARCHIVED or (node.db.lower() or "public") != "public":
        return None
    return None if not node.db and _is_named_query(node, name) else ARCHIVED[name]


def _is_named_query(node: "exp.Table", name: str) -> bool:
    from sqlglot import exp

    came_from: exp.Expr = node
    above = node.parent
    while above is not None:
        with_ = above.args.get("with_")
        if isinstance(above, exp.With):
            # Inside a query of a WITH, those before it can be seen, and itself where it is recursive.
            before = [each.alias for each in above.expressions[: above.expressions.index(came_from)]]
            visible = before + ([came_from.alias] if above.args.get("recursive") else [])
        elif with_ is not None and with_ is not came_from:
            visible = [each.alias for each in with_.expressions]
        else:
            visible = []
        if name in {each.lower() for each in visible}:
            return True
        came_from, above = above, above.parent
    return False


def _reference(connection: Connection, tree: "exp.Expr", node: "exp.Table", archived: Archived) -> Reference:
    wanted = _wanted(connection, node, archived)
    parts = [
        part
        for part in away(connection, [archived], wanted.since, wanted.until)
        if wanted.instruments is None or not part.restored.issuperset(wanted.instruments)
    ]
    first = node.args["db"] if node.args.get("db") is not None else node.this
    start, end = first.meta["start"], node.this.meta["end"] + 1
    return Reference(archived, start, end, node.alias or None, _columns(tree, node, archived), wanted, tuple(parts))


def _columns(tree: "exp.Expr", node: "exp.Table", archived: Archived) -> tuple[str, ...]:
    """The columns that may be needed, in the order of the table, at least one."""
    from sqlglot import exp

    every = archived.table.column_names
    name = (node.alias or node.name).lower()
    stars = [star for star in tree.find_all(exp.Star) if not isinstance(star.parent, exp.Count)]
    joins = list(tree.find_all(exp.Join))
    if stars or any(join.args.get("method") for join in joins) or (node.args.get("alias") and node.args["alias"].args.get("columns")):
        return every
    used = {column.name.lower() for column in tree.find_all(exp.Column)}
    used |= {each.name.lower() for join in joins for each in join.args.get("using") or ()}
    if name in used:
        return every
    return tuple(each for each in every if each in used) or ("instrument",)


# --- conditions -------------------------------------------------------------------------------------------------


def _wanted(connection: Connection, node: "exp.Table", archived: Archived) -> Wanted:
    """What the plain conditions of the query around a table leave of it."""
    from sqlglot import exp

    select = node.find_ancestor(exp.Select)
    where = None if select is None else select.args.get("where")
    if select is None or where is None:
        return Wanted()
    source = select.args.get("from_")
    is_alone = source is not None and not select.args.get("joins") and not select.args.get("laterals")
    alias = node.alias or node.name
    bounds: list[tuple[str, str]] = []
    instruments: set[str] | None = None
    equal: dict[str, str] = {}
    for condition in _conjuncts(where.this):
        for column, kind, value in _plain(condition):
            if (column.table and column.table != alias) or (not column.table and not is_alone):
                continue
            name = column.name.lower()
            if name == archived.table.time_column and kind != "in" and _is_constant(value):
                bounds.append((kind, value.sql(dialect="postgres")))
            elif name == "instrument" and kind in {"=", "in"} and (texts := _texts(value)) is not None:
                instruments = texts if instruments is None else instruments & texts
            elif kind == "=" and name in _text_columns(archived) and (texts := _texts(value)) is not None:
                equal[name] = texts.pop()
    since, until = _window(connection, bounds)
    return Wanted(None if instruments is None else frozenset(instruments), (), since, until, equal)


def _text_columns(archived: Archived) -> set[str]:
    return {column.name for column in archived.table.columns if column.type is Type.TEXT and not column.nullable} - {"instrument"}


def _conjuncts(condition: "exp.Expr") -> "Iterator[exp.Expr]":
    from sqlglot import exp

    if isinstance(condition, exp.And):
        yield from _conjuncts(condition.left)
        yield from _conjuncts(condition.right)
    elif isinstance(condition, exp.Paren):
        yield from _conjuncts(condition.this)
    else:
        yield condition


def _plain(condition: "exp.Expr") -> "Iterator[tuple[exp.Column, str, Any]]":
    """(column, comparison, what it is compared with) of a condition on one column."""
    from sqlglot import exp

    if isinstance(condition, exp.Between) and isinstance(condition.this, exp.Column) and not condition.args.get("symmetric"):
        yield condition.this, ">=", condition.args["low"]
        yield condition.this, "<=", condition.args["high"]
    elif isinstance(condition, exp.In) and isinstance(condition.this, exp.Column) and condition.expressions:
        yield condition.this, "in", condition.expressions
    elif isinstance(condition, exp.EQ | exp.GTE | exp.GT | exp.LTE | exp.LT):
        signs = {exp.EQ: ("=", "="), exp.GTE: (">=", "<="), exp.GT: (">", "<"), exp.LTE: ("<=", ">="), exp.LT: ("<", ">")}
        sign, turned = signs[type(condition)]
        if isinstance(condition.left, exp.Column):
            yield condition.left, sign, condition.right
        elif isinstance(condition.right, exp.Column):
            yield condition.right, turned, condition.left


def _texts(value: Any) -> set[str] | None:
    from sqlglot import exp

    values = value if isinstance(value, list) else [value]
    return {each.this for each in values} if all(isinstance(each, exp.Literal) and each.is_string for each in values) else None


def _is_constant(value: "exp.Expr") -> bool:
    """Whether an expression is the same for the whole statement, of words that do nothing else."""
    from sqlglot import exp

    harmless = (
        exp.Literal, exp.Cast, exp.DataType, exp.DataTypeParam, exp.Interval, exp.Var, exp.Add, exp.Sub, exp.Mul, exp.Neg, exp.Paren,
        exp.CurrentTimestamp, exp.CurrentDate, exp.TimestampTrunc, exp.AtTimeZone,
    )  # fmt: skip
    return all(isinstance(each, harmless) for each in value.walk())


def _window(connection: Connection, bounds: Sequence[tuple[str, str]]) -> tuple[datetime | None, datetime | None]:
    """[since, until) of conditions on a time, which the database itself reads as it will read them in the statement."""
    if not bounds:
        return None, None
    try:
        with connection.transaction():
            values = ", ".join(f"({text})::timestamptz" for _, text in bounds)
            # Each is made of literals and words that were looked at; it is run as the analyst whose statement it stands in.
            (times,) = connection.execute(sql.SQL("select ") + sql.SQL(values.replace("%", "%%"))).fetchall()
    except psycopg.Error:
        return None, None  # it will say the same of the statement
    since: list[datetime] = []
    until: list[datetime] = []
    for (sign, _), time in zip(bounds, times, strict=True):
        if not isinstance(time, datetime):
            continue
        if sign in {">", ">=", "="}:
            since.append(time + _TICK if sign == ">" else time)
        if sign in {"<", "<=", "="}:
            until.append(time if sign == "<" else time + _TICK)
    return max(since, default=None), min(until, default=None)


# --- functions --------------------------------------------------------------------------------------------------


def _check_functions(connection: Connection, tree: "exp.Expr") -> None:
    """Do nothing where the functions of the database that read archived tables are asked for what the database holds."""
    from sqlglot import exp

    for call in tree.find_all(exp.Anonymous):
        read = _AS_KNOWN.get(call.name.lower())
        if read is None:
            continue
        given = call.expressions[-3:-1]
        known = [each for each in given if _is_constant(each)]
        bounds = [(sign, each.sql(dialect="postgres")) for sign, each in zip((">=", "<"), given, strict=False)]
        since, until = _window(connection, bounds) if len(known) == 2 else (None, None)
        for part in away(connection, [ARCHIVED[name] for name in read], since, until):
            raise NotFollowed(
                f"{call.name} sees the database alone, and {part.archived.name} of {part.partition} is {part.tier}. Give it a window of "
                "literal times that the database holds, or read with --as-known-at"
            )
