"""Rows in the form of the archive, and back: prices and sizes as whole numbers with a scale, times of availability as a lag.

Belongs here: both directions, exact and inverse to each other. Does not: the form itself (contracts/archive), files (lake/).
"""

import json
from collections.abc import Collection
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.numbers import EXACT as EXACTLY
from rrr_assets.calc.numbers import plain
from rrr_assets.contracts.archive import AVAILABLE_LAG, EXACT, SCALES, UNITS, Archived
from rrr_assets.contracts.base import Type

if TYPE_CHECKING:
    import polars as pl

_MICROSECONDS: Final = pa.duration("us")


class Packer:
    """Packs the batches of one partition, which come in the order of the archived table.

    An instrument's scale only grows from batch to batch, so that its whole numbers stay comparable within a file as far as can be known.
    """

    def __init__(self, archived: Archived, partition: date) -> None:
        self._archived = archived
        self._partition = partition
        self._schema = archived.stored_schema()
        self._scales: dict[tuple[str, Type], int] = {}

    def pack(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rows in the canonical schema of the table as its files have them.

        Raises:
            pa.ArrowInvalid: a row is no row of the contract.
        """
        columns: dict[str, pa.Array] = {self._archived.partition: pa.repeat(pa.scalar(self._partition), len(batch))}
        unfit: dict[int, dict[str, str]] = {}
        if self._archived.is_packed:
            columns |= self._units(batch, unfit)
        for column in self._archived.table.columns:
            values = batch.column(column.name)
            if self._archived.is_packed and column.type in SCALES:
                continue
            if self._archived.is_packed and column.name == "available_at":
                columns[AVAILABLE_LAG] = pc.subtract(values, _since(batch)).cast(pa.int64())
            elif values.type != self._schema.field(column.name).type:
                columns[column.name] = _narrowed(column.name, values, self._schema.field(column.name).type, unfit)
            else:
                columns[column.name] = values
        columns[EXACT] = _told_exactly(unfit, len(batch))
        return pa.RecordBatch.from_arrays([columns[name] for name in self._schema.names], schema=self._schema)

    def _units(self, batch: pa.RecordBatch, unfit: dict[int, dict[str, str]]) -> dict[str, pa.Array]:
        import polars as pl

        made: dict[str, list[pl.Series]] = {}
        kinds = [kind for kind in SCALES if any(column.type is kind for column in self._archived.table.columns)]
        names = {kind: [column.name for column in self._archived.table.columns if column.type is kind] for kind in kinds}
        for instrument, start, length in _runs(batch.column("instrument")):
            for kind in kinds:
                raw = [pl.Series(name, pl.from_arrow(batch.column(name).slice(start, length))).to_physical() for name in names[kind]]
                scale = self._scale(instrument, kind, raw)
                factor = pl.lit(10 ** (kind.arrow.scale - scale), pl.Int128)
                for values in raw:
                    units = values.to_frame().select((pl.first() // factor).cast(pl.Int64, strict=False)).to_series()
                    made.setdefault(values.name + UNITS, []).append(units)
                    if units.null_count() > values.null_count():
                        _note_unfit(values, units, start, kind, unfit)
                made.setdefault(SCALES[kind], []).append(pl.repeat(scale, length, dtype=pl.Int32, eager=True))
        empty = {name: [pl.Series(dtype=pl.Int64)] for kind in kinds for name in (each + UNITS for each in names[kind])}
        empty |= {SCALES[kind]: [pl.Series(dtype=pl.Int32)] for kind in kinds}
        return {name: pl.concat(parts).to_arrow() for name, parts in (empty | made).items()}

    def _scale(self, instrument: str, kind: Type, columns: "list[pl.Series]") -> int:
        """The decimals that the instrument's values need, or needed before."""
        most: int = kind.arrow.scale
        known = self._scales.get((instrument, kind), 0)
        spare = most - known
        for values in columns:
            spare = _spare_zeros(values, spare)
        self._scales[instrument, kind] = most - spare
        return most - spare


def columns_needed(archived: Archived, names: Collection[str]) -> list[str]:
    """The columns of an archived table's files of which some columns of the table are made."""
    needed = {EXACT}
    for name in names:
        column = archived.table.column(name)
        if archived.is_packed and column.type in SCALES:
            needed |= {name + UNITS, SCALES[column.type]}
        elif archived.is_packed and name == "available_at":
            needed |= {AVAILABLE_LAG, "received_at", "event_time"}
        else:
            needed.add(name)
    return [name for name in archived.stored_schema().names if name in needed]


def unpack(archived: Archived, batch: pa.RecordBatch, names: Collection[str] | None = None) -> pa.RecordBatch:
    """Rows of an archived table's files in the canonical schema of the table, or in the columns of it that are named, in its order.

    Columns that the files do not have, because they were written before the contract had them, are null.
    """
    schema = archived.canonical_schema()
    if names is not None:
        schema = pa.schema([each for each in schema if each.name in names])
    told = {name: batch.column(name) for name in batch.schema.names}
    exact = _exact_values(told.get(EXACT))
    columns: list[pa.Array] = []
    for column in archived.table.columns:
        if names is not None and column.name not in names:
            continue
        kind = schema.field(column.name).type
        if archived.is_packed and column.type in SCALES and column.name + UNITS in told:
            values = _from_units(told[column.name + UNITS], told[SCALES[column.type]], kind)
        elif archived.is_packed and column.name == "available_at":
            values = pc.add(_since(batch), told[AVAILABLE_LAG].cast(_MICROSECONDS))
        elif column.name in told:
            values = told[column.name] if told[column.name].type == kind else told[column.name].cast(kind)
        else:
            values = pa.nulls(len(batch), kind)
        if column.name in exact:
            rows, texts = exact[column.name]
            mask = np.zeros(len(batch), np.bool_)
            mask[rows] = True
            values = pc.replace_with_mask(values, pa.array(mask), pa.array([Decimal(text) for text in texts], kind))
        columns.append(values)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _since(batch: pa.RecordBatch) -> pa.Array:
    received = batch.column("received_at")
    return batch.column("event_time") if received.null_count == len(received) else pc.coalesce(received, batch.column("event_time"))


def _runs(instruments: pa.StringArray) -> list[tuple[str, int, int]]:
    """(instrument, first row, rows) of each run of rows of one instrument."""
    coded = pc.run_end_encode(instruments)
    ends = coded.run_ends.to_pylist()
    return [(name, start, end - start) for name, start, end in zip(coded.values.to_pylist(), [0, *ends], ends, strict=False)]


def _spare_zeros(values: "pl.Series", most: int) -> int:
    """How many zeros at the end, at most so many, all values have in common."""
    import polars as pl

    sample = [str(value) for value in values.gather_every(max(1, len(values) // 256)).to_list() if value]
    spare = min([most, *(len(text) - len(text.rstrip("0")) for text in sample)])
    frame = values.to_frame()
    while spare > 0:
        factor = pl.lit(10**spare, pl.Int128)
        if frame.select(((pl.first() // factor) * factor == pl.first()).all()).item():
            break
        spare -= 1
    return spare


def _note_unfit(values: "pl.Series", units: "pl.Series", start: int, kind: Type, unfit: dict[int, dict[str, str]]) -> None:
    for row in (units.is_null() & values.is_not_null()).arg_true().to_list():
        number = EXACTLY.scaleb(Decimal(int(values[row])), -kind.arrow.scale)
        unfit.setdefault(start + row, {})[values.name] = plain(number)


def _narrowed(name: str, values: pa.Array, to: pa.DataType, unfit: dict[int, dict[str, str]]) -> pa.Array:
    """Decimals in a narrower type, null and noted where they do not fit it."""
    try:
        return values.cast(to)
    except pa.ArrowInvalid:
        pass
    fitting: list[Decimal | None] = []
    for row, value in enumerate(values.to_pylist()):
        fits = value is None or _fits(value, to)
        fitting.append(value if fits else None)
        if not fits:
            unfit.setdefault(row, {})[name] = plain(value)
    return pa.array(fitting, to)


def _fits(value: Decimal, to: pa.Decimal128Type) -> bool:
    scaled = EXACTLY.scaleb(value, to.scale)
    return scaled == int(scaled) and abs(scaled) < 10**to.precision


def _told_exactly(unfit: dict[int, dict[str, str]], rows: int) -> pa.StringArray:
    if not unfit:
        return pa.nulls(rows, pa.string())
    return pa.array([json.dumps(unfit[row], sort_keys=True) if row in unfit else None for row in range(rows)], pa.string())


def _exact_values(told: pa.Array | None) -> dict[str, tuple[list[int], list[str]]]:
    """By column, the rows whose value stands in `exact`, and the value's text."""
    found: dict[str, tuple[list[int], list[str]]] = {}
    if told is None or told.null_count == len(told):
        return found
    for row in pc.indices_nonzero(told.is_valid()).to_pylist():
        for name, text in json.loads(told[row].as_py()).items():
            rows, texts = found.setdefault(name, ([], []))
            rows.append(row)
            texts.append(text)
    return found


def _from_units(units: pa.Array, scale: pa.Array, to: pa.Decimal128Type) -> pa.Array:
    import polars as pl

    if not len(units):
        return pa.array([], to)
    frame = pl.DataFrame({"units": pl.from_arrow(units), "scale": pl.from_arrow(scale)})
    scales: list[Any] = frame["scale"].unique().to_list()
    if len(scales) == 1:
        factor = pl.lit(10 ** (to.scale - scales[0]), pl.Int128)
    else:
        factor = pl.col("scale").replace_strict({each: 10 ** (to.scale - each) for each in scales}, return_dtype=pl.Int128)
    numbers = frame.select(pl.col("units").cast(pl.Int128) * factor).to_series()
    return numbers.cast(pl.Decimal(38, 0)).to_arrow().view(to)
