"""What rows are, whoever wrote them down: how many, their sums and bounds, and one hash of their values.

Belongs here: the digest of rows in an order that is theirs. Does not: where the rows come from, what is done where two digests differ.

The hash is of values, not of files or of Arrow's buffers: each column as whole numbers of fixed width or as text with its length, nulls
apart, all of them little-endian. So it is the same whichever batches the rows came in, whatever wrote the file, and whatever lies in
memory where a value is null.
"""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.numbers import EXACT, plain

_VERSION: Final = b"rrr rows 1"

if sys.byteorder != "little":
    raise ImportError("the digest of rows is of little-endian numbers, which this machine does not have")


@dataclass(frozen=True, slots=True)
class Digest:
    """What some rows are. `sums` are exact, of whole numbers and decimals; `bounds` are the least and the greatest value of each column.

    Both are plain text by column, as they are kept and shown; a column of nulls alone has none.
    """

    rows: int
    content: str
    sums: Mapping[str, str]
    bounds: Mapping[str, tuple[str, str]]

    def differences(self, other: "Digest") -> list[str]:
        """In which respects another one differs, in words; empty where it is the same."""
        found = []
        if self.rows != other.rows:
            found.append(f"{self.rows:,} rows against {other.rows:,}")
        found += [
            f"the sum of {name} is {self.sums.get(name)} against {other.sums.get(name)}"
            for name in sorted({*self.sums, *other.sums})
            if self.sums.get(name) != other.sums.get(name)
        ]
        found += [
            f"{name} lies in {self.bounds.get(name)} against {other.bounds.get(name)}"
            for name in sorted({*self.bounds, *other.bounds})
            if self.bounds.get(name) != other.bounds.get(name)
        ]
        if self.content != other.content and not found:
            found.append(f"the hash of the values is {self.content[:16]} against {other.content[:16]}")
        return found


@dataclass
class Digester:
    """Takes batches of rows in, in their order, and tells what they are.

    Args:
        schema: what all batches have: whole numbers, decimals, times and dates, booleans, text, lists of text.
    """

    schema: pa.Schema
    _columns: list["_Column"] = field(init=False)
    _rows: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._columns = [_Column(each) for each in self.schema]

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the next rows in.

        Raises:
            ValueError: the batch has other columns.
        """
        if batch.schema.names != self.schema.names or batch.schema.types != self.schema.types:
            raise ValueError(f"these rows are {batch.schema}, not {self.schema}")
        self._rows += len(batch)
        if len(batch):
            for column, values in zip(self._columns, batch.columns, strict=True):
                column.add(values)

    def digest(self) -> Digest:
        """What the rows so far are."""
        whole = hashlib.sha256(_VERSION)
        whole.update(str(self._rows).encode())
        for column in self._columns:
            whole.update(column.digest())
        return Digest(
            self._rows,
            whole.hexdigest(),
            {column.name: plain(column.sum) for column in self._columns if column.sum is not None},
            {column.name: (_text(column.least), _text(column.greatest)) for column in self._columns if column.least is not None},
        )


class _Column:
    """One column's part of the digest."""

    def __init__(self, described: pa.Field) -> None:
        self.name: str = described.name
        self._type = described.type
        self._is_summed = pa.types.is_integer(self._type) or pa.types.is_decimal(self._type)
        self._hashes = {part: hashlib.sha256() for part in ("valid", "items", "length", "value")}
        self.sum: Decimal | None = None
        self.least: Any = None
        self.greatest: Any = None

    def add(self, values: pa.Array) -> None:
        self._hash(values)
        if values.null_count == len(values) or pa.types.is_list(self._type):
            return
        least, greatest = _bounds(values)
        self.least = least if self.least is None else min(self.least, least)
        self.greatest = greatest if self.greatest is None else max(self.greatest, greatest)
        if self._is_summed:
            self.sum = EXACT.add(self.sum or Decimal(0), _sum(values, least, greatest))

    def digest(self) -> bytes:
        told = hashlib.sha256(f"{self.name} {self._type}".encode())
        for part, hashed in self._hashes.items():
            told.update(part.encode())
            told.update(hashed.digest())
        return told.digest()

    def _hash(self, values: pa.Array) -> None:
        valid = np.asarray(values.is_valid()) if values.null_count else np.ones(len(values), np.bool_)
        self._hashes["valid"].update(valid.view(np.uint8).data)
        if pa.types.is_list(self._type):
            self._hashes["items"].update(_numbers(pc.fill_null(pc.list_value_length(values), 0).cast(pa.int32())))
            values = values.flatten()
            if values.null_count:
                raise ValueError(f"{self.name} holds a list with a null in it, which no contract has")
        if pa.types.is_string(values.type):
            filled = pc.fill_null(values, "") if values.null_count else values
            self._hashes["length"].update(_numbers(pc.binary_length(filled).cast(pa.int32())))
            self._hashes["value"].update(_characters(filled))
        elif pa.types.is_boolean(values.type):
            self._hashes["value"].update(_numbers(pc.fill_null(values, False).cast(pa.uint8())))
        elif pa.types.is_decimal(values.type):
            self._hashes["value"].update(_decimal_bytes(values, valid))
        else:
            width = pa.int32() if values.type.bit_width == 32 else pa.int16() if values.type.bit_width == 16 else pa.int64()
            numbers = values.view(width)
            self._hashes["value"].update(_numbers(pc.fill_null(numbers, pa.scalar(0, width)) if numbers.null_count else numbers))


def _bounds(values: pa.Array) -> tuple[Any, Any]:
    """The least and the greatest value. Of text that is the same in all rows, as most is, to see that is many times as fast."""
    if pa.types.is_string(values.type) and values.equals(pa.repeat(values[0], len(values))):
        return values[0].as_py(), values[0].as_py()
    bounds = pc.min_max(values)
    return bounds["min"].as_py(), bounds["max"].as_py()


def _numbers(values: pa.Array) -> memoryview:
    return np.ascontiguousarray(values.to_numpy(zero_copy_only=False)).data


def _characters(texts: pa.StringArray) -> memoryview:
    """The bytes of texts one after the other, of which none is null."""
    _, offsets, data = texts.buffers()
    if data is None:
        return memoryview(b"")
    bounds = np.frombuffer(offsets, np.int32, len(texts) + 1, 4 * texts.offset)
    return memoryview(data)[int(bounds[0]) : int(bounds[-1])]


def _decimal_bytes(values: pa.Array, valid: np.ndarray[Any, np.dtype[np.bool_]]) -> memoryview:
    """Decimals as whole numbers of 16 or 32 bytes, 0 where null."""
    width = values.type.bit_width // 8
    numbers = np.frombuffer(values.buffers()[1], np.uint8, len(values) * width, values.offset * width).reshape(len(values), width)
    return (numbers if valid.all() else np.where(valid[:, None], numbers, np.uint8(0))).data


def _sum(values: pa.Array, least: Any, greatest: Any) -> Decimal:
    """The exact sum: Arrow's wraps around without a word where it passes the type, so the type is made wide enough first."""
    if pa.types.is_integer(values.type):
        if len(values) * max(abs(least), abs(greatest)) < 2**63:
            return Decimal(pc.sum(values).as_py())
        return Decimal(pc.sum(values.cast(pa.decimal128(38, 0))).as_py())
    scale = values.type.scale
    whole = len(values) * max(abs(least), abs(greatest)) if least is not None else Decimal(0)
    if EXACT.scaleb(whole, scale) < 10**38 and pa.types.is_decimal128(values.type):
        return Decimal(pc.sum(values.cast(pa.decimal128(38, scale))).as_py())
    return Decimal(pc.sum(values.cast(pa.decimal256(76, scale))).as_py())


def _text(value: Any) -> str:
    if isinstance(value, float):  # not money: which of both zeros comes first hangs on the batches
        return str(value or 0.0)  # not money: the same
    return plain(value) if isinstance(value, Decimal) else value.isoformat() if hasattr(value, "isoformat") else str(value)
