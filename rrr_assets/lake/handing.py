"""Cold rows handed to the database with the statement that reads them, so that what it means is what it always means.

Belongs here: rows as arrays of PostgreSQL, and a statement in which each archived table stands for its rows in both tiers.
Does not: which rows (statements.py), what is faster elsewhere (columnar.py).
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.decimals import plain_texts
from rrr_assets.contracts.archive import Archived
from rrr_assets.contracts.base import Column, Type
from rrr_assets.lake import reading
from rrr_assets.lake.planning import Away
from rrr_assets.lake.reading import Wanted
from rrr_assets.lake.statements import NotFollowed, Reference, Statement
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.sqlfiles import query

MOST_ROWS: Final = 3_000_000
"""More are not handed over: the database takes about a second for half a million."""

_ARRAYS: Final = {
    Type.BIGINT: "bigint", Type.INTEGER: "integer", Type.SMALLINT: "smallint", Type.BOOLEAN: "boolean", Type.DATE: "date",
    Type.TIME: "bigint", Type.PRICE: "numeric", Type.SIZE: "numeric", Type.VOLUME: "numeric", Type.NOTIONAL: "numeric",
    Type.JSON: "jsonb", Type.STATISTIC: "double precision",
}  # fmt: skip
_TABLE: Final = re.compile(r"\btable\s+$", re.IGNORECASE)
_EXACT: Final = frozenset({Type.PRICE, Type.SIZE, Type.VOLUME, Type.NOTIONAL})


@dataclass(frozen=True, slots=True)
class Handed:
    """A statement with what is given to it, in psycopg's form: `rows` says how many rows of the archive."""

    text: str
    values: list[str]
    rows: int


def handed(store: Store, statement: Statement, *, is_planned_only: bool = False) -> Handed:
    """A statement in which each archived table stands for its rows in the database and in the archive's files.

    Args:
        store: where the files lie.
        statement: as it was followed.
        is_planned_only: give no rows, for a statement that is explained and not run.

    Raises:
        NotFollowed: there are more rows than can be handed over.
        FileUnreadable, StoreUnreachable: the files cannot be read.
    """
    pieces: list[str] = []
    values: list[str] = []
    at = rows = 0
    for reference in statement.references:
        if not reference.cold:
            continue
        found = _none(reference) if is_planned_only else _rows(store, reference, MOST_ROWS - rows)
        rows += len(found)
        # `table bars_1d` is short for a query.
        before = _TABLE.sub("select * from ", statement.text[at : reference.start])
        pieces += [_escaped(before), _instead(reference)]
        values += [_array(found[name], reference.archived.table.column(name), reference.archived) for name in reference.names]
        at = reference.end
    pieces.append(_escaped(statement.text[at:]))
    return Handed(_escaped(statement.explains) + "".join(pieces), values, rows)


def not_away(archived: Archived, parts: Sequence[Away]) -> str:
    """The condition of rows that are read in the database: of no partition that is away, or of an instrument that was brought back."""
    time = archived.table.time_column
    runs: list[tuple[Away, Away]] = []
    for part in parts:
        if runs and runs[-1][1].until == part.since and runs[-1][1].restored == part.restored:
            runs[-1] = (runs[-1][0], part)
        else:
            runs.append((part, part))
    conditions = []
    for first, last in runs:
        within = f"{time} >= '{first.since.isoformat()}' and {time} < '{last.until.isoformat()}'"
        if first.restored:
            names = ", ".join("'" + name.replace("'", "''") + "'" for name in sorted(first.restored))
            within += f" and instrument not in ({names})"
        conditions.append(f"not ({within})")
    return " and ".join(conditions) or "true"


def _rows(store: Store, reference: Reference, most: int) -> pa.Table:
    schema = pa.schema([reference.archived.canonical_schema().field(name) for name in reference.names])
    batches: list[pa.RecordBatch] = []
    rows = 0
    wanted = reference.wanted
    for part in reference.cold:
        asked = Wanted(wanted.instruments, part.restored, wanted.since, wanted.until, wanted.equal)
        for batch in reading.rows(store, reference.archived, part.files, asked, reference.names):
            rows += len(batch)
            if rows > most:
                raise NotFollowed(
                    f"it reads more than {MOST_ROWS:,} rows of {reference.archived.name} that are in the archive. Narrow "
                    f"{reference.archived.table.time_column} or instrument by a plain comparison, or read plain Parquet with another engine"
                )
            batches.append(batch)
    return pa.Table.from_batches(batches, schema) if batches else schema.empty_table()


def _none(reference: Reference) -> pa.Table:
    return pa.schema([reference.archived.canonical_schema().field(name) for name in reference.names]).empty_table()


def _instead(reference: Reference) -> str:
    """What stands in a statement for a table of which a part is in the archive."""
    contract = reference.archived.table
    columns = [contract.column(name) for name in reference.names]
    both = query("read_both_tiers").strip().removesuffix(";")
    text = both[both.index("select") :].format(
        given=", ".join(map(_given, columns)),
        arrays=", ".join(f"%s::{_ARRAYS.get(column.type, 'text')}[]" for column in columns),
        columns=", ".join(f'"{name}"' for name in reference.names),
        relation=contract.name,
        held=_escaped(not_away(reference.archived, reference.parts)),
    )
    return f"({text})" + ("" if reference.alias else f' as "{contract.name}"')


def _given(column: Column) -> str:
    name = f'"{column.name}"'
    if column.type is Type.TIME:
        return f"timestamptz 'epoch' + {name} * interval '1 microsecond' as {name}"
    if column.type is Type.TEXTS:
        return f"case when {name} is not null then array(select json_array_elements_text({name}::json)) end as {name}"
    return f'{name} collate "C" as {name}' if column.type is Type.TEXT else name


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _array(values: pa.ChunkedArray, column: Column, archived: Archived) -> str:
    """A column as PostgreSQL writes an array."""
    texts = _texts(values.combine_chunks(), column, archived)
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    filled = pc.fill_null(texts, "NULL")
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(filled)], pa.int32()), filled), ",")
    return "{" + (joined[0].as_py() or "") + "}"


def _texts(values: pa.Array, column: Column, archived: Archived) -> pa.StringArray:
    if column.type in _EXACT:
        # Ticks are stored with all decimals of their type, sums without zeros at the end: so they stay, as far as a scale is seen.
        return pc.cast(values, pa.string()) if archived.is_packed else plain_texts(values)
    if column.type is Type.TIME:
        return pc.cast(pc.cast(values, pa.int64()), pa.string())
    if column.type is Type.TEXTS:
        if values.null_count == len(values):
            return pa.nulls(len(values), pa.string())
        values = pa.array([None if each is None else json.dumps(each) for each in values.to_pylist()], pa.string())
    if pa.types.is_string(values.type):
        escaped = pc.replace_substring(pc.replace_substring(values, "\\", "\\\\"), '"', '\\"')
        return pc.binary_join_element_wise('"', escaped, '"', "")
    return pc.cast(values, pa.string())
