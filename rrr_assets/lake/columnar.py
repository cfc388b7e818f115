"""Statements that DuckDB answers with the same numbers as the database, straight from the archive's files.

Belongs here: which statements those are, the files and the database's rows as DuckDB's tables, its plan. Does not: any other statement,
which goes to the database with the rows (handing.py).
Only words whose meaning is the same in both are let through: no arithmetic, no averages (DuckDB's are of doubles, and its decimals end at
38 digits), no functions but counts, sums of exact columns, least and greatest values, and cutting a time. What does not fit is answered
by the database after all.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.contracts.archive import AVAILABLE_LAG, EXACT, SCALES, UNITS, Archived
from rrr_assets.contracts.base import Column, Type
from rrr_assets.lake import reading
from rrr_assets.lake.handing import not_away
from rrr_assets.lake.planning import Connection
from rrr_assets.lake.statements import NotFollowed, Reference, Statement
from rrr_assets.lake.store import Store
from rrr_assets.lake.windows import canonical, selected
from rrr_assets.warehouse.sqlfiles import query

if TYPE_CHECKING:
    import duckdb
    from sqlglot import exp

_SECONDS: Final = 60.0
"""As long as the database gives an analyst."""

_AT_ONCE: Final = 1_000_000
"""So many rows of files are read before DuckDB begins; of more, it reads row group by row group what it needs."""

_UNITS_OF_TIME: Final = frozenset({"SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR"})
_SUMMED: Final = frozenset({Type.PRICE, Type.SIZE, Type.BIGINT})
# Doubles among them: each has its own words for a literal and for which of two zeros is less.
_UNFIT: Final = frozenset({Type.JSON, Type.TEXTS, Type.STATISTIC})
_NARROW: Final = {Type.NOTIONAL: pa.decimal128(38, 20), Type.VOLUME: pa.decimal128(38, 18)}


def answer(store: Store, statement: Statement, connection: Connection) -> pa.Table | None:
    """The rows of a statement, typed as the database's answer would be; None where DuckDB cannot give the same.

    Args:
        store: where the files lie.
        statement: as it was followed, and not one that asks for a plan.
        connection: in the transaction in whose picture it was followed.

    Raises:
        FileUnreadable, StoreUnreachable: a file is missing, or has another size.
        NotFollowed: it takes longer than an analyst may.
    """
    import duckdb

    text = _translated(statement)
    if text is None:
        return None
    with _opened(store, statement, connection) as engine:
        if engine is None:
            return None
        timer = threading.Timer(_SECONDS, engine.interrupt)
        timer.start()
        try:
            found: pa.Table = engine.sql(text).to_arrow_table()
        except duckdb.InterruptException as error:
            raise NotFollowed("it takes longer than an analyst may. Ask for less at once") from error
        except duckdb.Error:
            return None  # a number too large for it, a time that it reads otherwise, a damaged page: the other way says what it is
        finally:
            timer.cancel()
    is_packed = all(reference.archived.is_packed for reference in statement.references)
    return pa.table([_typed(values.combine_chunks(), is_packed=is_packed) for values in found.itercolumns()], names=found.column_names)


def plan(store: Store, statement: Statement, connection: Connection) -> tuple[str, ...] | None:
    """DuckDB's plan of a statement; None where it would not answer it.

    Raises:
        FileUnreadable, StoreUnreachable: as `answer`.
    """
    import duckdb

    text = _translated(statement)
    if text is None:
        return None
    with _opened(store, statement, connection) as engine:
        if engine is None:
            return None
        try:
            [(_, told)] = engine.execute(f"explain {text}").fetchall()
        except duckdb.Error:
            return None
    return tuple(line.rstrip() for line in told.splitlines())


# --- the statement ----------------------------------------------------------------------------------------------


def _translated(statement: Statement) -> str | None:
    """A statement in DuckDB's words, its tables by the names that they have there; None where a word may mean another thing."""
    from sqlglot import exp

    tree = statement.tree.copy()
    if not isinstance(tree, exp.Select) or not _is_understood(statement, tree):
        return None
    for node in list(tree.find_all(exp.Table)):
        places = [number for number, each in enumerate(statement.references) if _start(node) == each.start]
        if places:
            node.replace(exp.alias_(exp.to_table(_view(places[0])), node.alias or node.name, table=True))
    for place, each in enumerate(tree.expressions):
        name = _name(each)
        if name is None:
            return None
        if name:
            tree.expressions[place].replace(exp.alias_(each.copy(), name, quoted=True))
    return str(tree.sql(dialect="duckdb"))


def _start(node: "exp.Table") -> int:
    first = node.args["db"] if node.args.get("db") is not None else node.this
    return int(first.meta.get("start", -1))


def _name(projection: "exp.Expr") -> str | None:
    """What the database calls a column of its answer; empty where it has its name already, None where that is not known."""
    from sqlglot import exp

    if isinstance(projection, exp.Alias | exp.Star | exp.Column):
        return ""
    names: dict[type[exp.Expr], str] = {
        exp.Count: "count", exp.Sum: "sum", exp.Min: "min", exp.Max: "max", exp.TimestampTrunc: "date_trunc",
    }  # fmt: skip
    return names.get(type(projection))


def _is_understood(statement: Statement, tree: "exp.Expr") -> bool:
    from sqlglot import exp

    plain = (
        exp.Select, exp.From, exp.Table, exp.TableAlias, exp.Identifier, exp.Column, exp.Star, exp.Alias, exp.Where, exp.Group, exp.Having,
        exp.Order, exp.Ordered, exp.Limit, exp.Offset, exp.With, exp.CTE, exp.Subquery, exp.Distinct, exp.And, exp.Or, exp.Not, exp.Paren,
        exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In, exp.Is, exp.Null, exp.Boolean, exp.Literal, exp.Count,
        exp.Sum, exp.Min, exp.Max, exp.TimestampTrunc, exp.Var, exp.Cast, exp.DataType,
    )  # fmt: skip
    columns = {column.name: column for each in statement.references for column in each.archived.table.columns}
    if not all(isinstance(node, plain) and _means_the_same(statement, tree, node, columns) for node in tree.walk()):
        return False
    # A sum of what is itself a sum is of another type than it is of a column.
    summed_within = any(each.find(exp.Sum, exp.Count) for each in tree.find_all(exp.Subquery, exp.CTE))
    needed = [each.archived.table.column(name) for each in statement.references for name in each.names]
    return not summed_within and not any(column.type in _UNFIT for column in needed)


def _means_the_same(statement: Statement, tree: "exp.Expr", node: "exp.Expr", columns: Mapping[str, Column]) -> bool:
    """Whether a word that both know means the same in both where it stands."""
    from sqlglot import exp

    if isinstance(node, exp.Sum):
        summed = columns.get(node.this.name) if isinstance(node.this, exp.Column) else None
        return summed is not None and summed.type in _SUMMED
    if isinstance(node, exp.Cast):
        return isinstance(node.this, exp.Literal) and node.this.is_string and _is_time(node)
    if isinstance(node, exp.Alias):
        # A name that is given to another thing may mean either in a group or an order.
        return node.alias not in columns or (isinstance(node.this, exp.Column) and node.this.name == node.alias)
    is_plain_cut = not isinstance(node, exp.TimestampTrunc) or (
        node.text("unit").upper() in _UNITS_OF_TIME and node.args.get("zone") is None
    )
    is_plain_distinct = not isinstance(node, exp.Distinct) or node.args.get("on") is None
    return is_plain_cut and is_plain_distinct and (not isinstance(node, exp.Table) or _is_known_table(statement, tree, node))


def _is_time(cast: "exp.Cast") -> bool:
    from sqlglot import exp

    return bool(cast.to.this in {exp.DType.TIMESTAMPTZ, exp.DType.DATE})


def _is_known_table(statement: Statement, tree: "exp.Expr", node: "exp.Table") -> bool:
    from sqlglot import exp

    named = {each.alias for each in tree.find_all(exp.CTE)}
    return any(_start(node) == each.start for each in statement.references) or (not node.db and node.name in named)


# --- the tables -------------------------------------------------------------------------------------------------


@contextmanager
def _opened(store: Store, statement: Statement, connection: Connection) -> "Iterator[duckdb.DuckDBPyConnection | None]":
    """A session of this statement alone, which reaches its tables and nothing else; None where it cannot hold their numbers."""
    with _duckdb().cursor() as session:
        for number, reference in enumerate(statement.references):
            held = _held(connection, reference)
            if held is None:
                yield None
                return
            session.register(f"held_{number}", held)
            sources = [f"select * from held_{number}"]  # noqa: S608  # our own names
            for place, restored in enumerate(dict.fromkeys(part.restored for part in reference.cold)):
                name = f"files_{number}_{place}"
                session.register(name, _files(store, reference, restored))
                sources.append(_from_files(name, reference, restored))
            session.execute(f"create temporary view {_view(number)} as {' union all '.join(sources)}")
        yield session


@cache
def _duckdb() -> "duckdb.DuckDBPyConnection":
    """The process' one DuckDB, in memory: making one takes as long as a month of bars. Nothing is kept in it."""
    import duckdb

    made = duckdb.connect(config={"python_enable_replacements": False, "temp_directory": ""})
    for setting in ("TimeZone = 'UTC'", "enable_external_access = false", "lock_configuration = true"):
        made.execute(f"set global {setting}")
    return made


def _view(number: int) -> str:
    return f"tiers_{number}"


def _held(connection: Connection, reference: Reference) -> pa.Table | None:
    """The rows of a table that the database holds, as far as the statement's plain conditions leave them."""
    from psycopg import sql

    archived, wanted = reference.archived, reference.wanted
    time = sql.Identifier(str(archived.table.time_column))
    conditions: list[sql.Composable] = [sql.SQL("{}").format(sql.SQL(not_away(archived, reference.parts)))]
    if wanted.since is not None:
        conditions.append(sql.SQL("{} >= {}").format(time, sql.Literal(wanted.since)))
    if wanted.until is not None:
        conditions.append(sql.SQL("{} < {}").format(time, sql.Literal(wanted.until)))
    if wanted.instruments is not None:
        conditions.append(sql.SQL("instrument = any({})").format(sql.Literal(sorted(wanted.instruments))))
    conditions += [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(text)) for name, text in wanted.equal.items()]
    text = sql.SQL(query("read_held")).format(
        columns=sql.SQL(", ").join(selected(archived.table, reference.names)),
        relation=sql.Identifier(archived.name),
        held=sql.SQL(" and ").join(conditions),
    )
    found = canonical(connection, text.as_string(connection), archived, reference.names)
    narrow = pa.schema([each.with_type(_NARROW.get(archived.table.column(each.name).type, each.type)) for each in found.schema])
    try:
        return found.cast(narrow)
    except pa.ArrowInvalid:
        return None


def _files(store: Store, reference: Reference, restored: frozenset[str]) -> Any:
    """What the files hold of the partitions of which the same instruments were brought back: few rows at once, many as they are needed."""
    from pyarrow import dataset as ds

    archived, wanted = reference.archived, reference.wanted
    files = [file for part in reference.cold if part.restored == restored for file in part.files]
    if sum(file.rows for file in files) <= _AT_ONCE:
        batches = list(reading.stored(store, archived, files, wanted, reference.names))
        return pa.Table.from_batches(batches) if batches else archived.stored_schema().empty_table()
    reading.check_sizes(store, files)
    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True, pre_buffer=True)
    form = ds.ParquetFileFormat(default_fragment_scan_options=options)
    return ds.dataset([store.path(file.url) for file in files], schema=archived.stored_schema(), format=form, filesystem=store.filesystem)


def _from_files(name: str, reference: Reference, restored: frozenset[str]) -> str:
    columns = ", ".join(f'{_value(reference.archived, reference.archived.table.column(each))} as "{each}"' for each in reference.names)
    others = "true"
    if restored:
        others = "instrument not in ({})".format(", ".join("'" + each.replace("'", "''") + "'" for each in sorted(restored)))
    return f"select {columns} from {name} where {others}"  # noqa: S608  # names of contracts, and of instruments that are quoted


def _value(archived: Archived, column: Column) -> str:
    """A column of the table, of the columns of its files; a value that stands in `exact` is an error, and is answered elsewhere."""
    if archived.is_packed and column.type in SCALES:
        scale = column.type.arrow.scale
        factors = ", ".join(f"{10 ** (scale - each)}::hugeint" for each in range(scale + 1))
        whole = f"({column.name}{UNITS}::hugeint * ([{factors}])[{SCALES[column.type]} + 1])::decimal(38, 0)"
        return _fitting(f"({whole} * {'0.' + '0' * (scale - 1) + '1'}::decimal({scale}, {scale}))::decimal(38, {scale})")
    if archived.is_packed and column.name == "available_at":
        return f"coalesce(received_at, event_time) + to_microseconds({AVAILABLE_LAG})"
    return _fitting(f'"{column.name}"') if column.type in _NARROW else f'"{column.name}"'


def _fitting(value: str) -> str:
    return f"case when {EXACT} is null then {value} else error('too many digits') end"


def _typed(values: pa.Array, *, is_packed: bool) -> pa.Array:
    """A column of DuckDB's answer in the type that the database's answer would have."""
    kind = values.type
    if pa.types.is_decimal(kind):
        return values if is_packed and kind.scale else _narrowest(values)
    if pa.types.is_date(kind):
        return pc.cast(values, pa.string())
    return values.cast(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(kind) else values


def _narrowest(values: pa.Array) -> pa.Array:
    """Decimals of the least scale that holds them all."""
    scale = values.type.scale
    if values.null_count == len(values) or not scale:
        return values.cast(pa.decimal128(38, 0))
    some = pc.cast(values.take(pa.array(range(0, len(values), max(1, len(values) // 64)))), pa.string())
    for needed in range(_decimals(some), scale):
        try:
            return values.cast(pa.decimal128(38, needed))
        except pa.ArrowInvalid:
            continue
    return values.cast(pa.decimal128(38, scale))


def _decimals(texts: pa.StringArray) -> int:
    """The most decimals of some numbers, without zeros at the end."""
    return max((-min(0, int(Decimal(text).normalize().as_tuple().exponent)) for text in texts.to_pylist() if text is not None), default=0)
