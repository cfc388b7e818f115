"""What the server answers to a statement that is not ours, as Arrow, by the types that it tells.

Belongs here: the types of such an answer. Does not: rows whose contract is known (warehouse/arrow), asking (asking.py).
A float is handed out where a statement asks the database for one; nothing of ours is made of it.
"""

from typing import Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.decimals import most_whole_digits
from rrr_assets.contracts.parsed import UTC_MICROSECONDS
from rrr_assets.warehouse.arrow import JSON_FIELD

_BOOLEAN_OID, _SMALLINT_OID, _INTEGER_OID, _BIGINT_OID, _NUMERIC_OID, _TIME_OID = 16, 21, 23, 20, 1700, 1184
_REAL_OIDS: Final = frozenset({700, 701})
_JSON_OIDS: Final = frozenset({114, 3802})


def answered(cursor: psycopg.Cursor[tuple[object, ...]]) -> pa.Table:
    """What the server answered to a statement, by the types that it tells; a table without columns where there are no rows to tell."""
    answer = cursor.pgresult
    if answer is None or not answer.nfields:
        return pa.table({})
    columns = [_typed(_column_texts(answer, column), answer.ftype(column)) for column in range(answer.nfields)]
    fields = [
        pa.field((answer.fname(column) or b"").decode(), values.type, metadata=JSON_FIELD if answer.ftype(column) in _JSON_OIDS else None)
        for column, values in enumerate(columns)
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _column_texts(answer: "psycopg.pq.abc.PGresult", column: int) -> pa.StringArray:
    return pc.cast(pa.array([answer.get_value(row, column) for row in range(answer.ntuples)], pa.binary()), pa.string())


def _typed(texts: pa.StringArray, oid: int) -> pa.Array:
    """Give a column of PostgreSQL's texts its type; those that Arrow cannot hold, such as infinite times, stay text."""
    if oid == _BOOLEAN_OID:
        return pc.equal(texts, "t")
    if oid == _NUMERIC_OID:
        return _narrowest_decimals(texts)
    types = {_SMALLINT_OID: pa.int16(), _INTEGER_OID: pa.int32(), _BIGINT_OID: pa.int64(), _TIME_OID: UTC_MICROSECONDS}
    types |= dict.fromkeys(_REAL_OIDS, pa.float64())
    try:
        return pc.cast(texts, types.get(oid, pa.string()))
    except pa.ArrowInvalid:
        return texts


def _narrowest_decimals(texts: pa.StringArray) -> pa.Array:
    """Numbers of PostgreSQL's texts in the narrowest scale that holds them all; texts where no decimal type does."""
    point = pc.find_substring(texts, ".")
    decimals = pc.if_else(pc.equal(point, -1), 0, pc.subtract(pc.subtract(pc.utf8_length(texts), point), 1))
    scale = pc.max(decimals).as_py() or 0
    needed = scale + most_whole_digits(texts)
    for width, make in ((38, pa.decimal128), (76, pa.decimal256)):
        if needed <= width:
            try:
                return pc.cast(texts, make(width, scale))
            except pa.ArrowInvalid:
                break  # NaN or infinity: numbers that no decimal type holds
    return texts
