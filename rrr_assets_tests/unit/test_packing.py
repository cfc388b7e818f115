"""Rows in the form of the archive and back: exact whatever the numbers; and digests that see every change and no batch."""

import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrr_assets.calc.canonical import Digest, Digester
from rrr_assets.calc.numbers import EXACT
from rrr_assets.calc.packing import Packer, unpack
from rrr_assets.contracts.archive import ARCHIVED, Archived

DAY = date(2025, 3, 1)
FEW = settings(max_examples=max(8, settings.default.max_examples // 12))
"""Each example is of many columns, and there is a test of each table."""

EVERY_TABLE = pytest.mark.parametrize("archived", ARCHIVED.values(), ids=ARCHIVED.keys())
COUNTS = st.integers(0, 12)
TIMES = st.integers(0, 86_399_999_999).map(lambda us: datetime(2025, 3, 1, tzinfo=UTC) + timedelta(microseconds=us))


def numbers(kind: pa.DataType) -> st.SearchStrategy[Decimal]:
    """Decimals that a type holds: of few digits for the most part, as prices are, and now and then of all."""
    most = 10**kind.precision - 1
    whole = st.one_of(
        st.integers(-(10**6), 10**9).map(lambda n: n * 10 ** (kind.scale - 2)), st.integers(-(10**22), 10**22), st.integers(-most, most)
    )
    return whole.map(lambda n: EXACT.scaleb(Decimal(n), -kind.scale))


@cache
def values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_decimal(kind) or pa.types.is_float64(kind):
        # Of doubles -0 and 0 are two values, and neither is less.
        return numbers(kind) if pa.types.is_decimal(kind) else st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0])
    if pa.types.is_timestamp(kind):
        return TIMES
    if pa.types.is_boolean(kind):
        return st.booleans()
    if pa.types.is_integer(kind):
        return st.integers(-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1)
    if pa.types.is_date(kind):
        return st.dates(date(2009, 1, 1), date(2030, 1, 1))
    text = st.sampled_from(["", "buy", "binance:BTCUSDT", "ä", "0.5"]) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    return st.lists(text, max_size=3) if pa.types.is_list(kind) else text


@st.composite
def batches(draw: st.DrawFn, archived: Archived) -> pa.RecordBatch:
    """Rows of a table, of one to three instruments one after the other."""
    schema = archived.canonical_schema()
    rows = draw(COUNTS)
    columns: dict[str, list[Any]] = {}
    for each in schema:
        drawn = values(each.type)
        columns[each.name] = draw(st.lists(st.none() | drawn if each.nullable else drawn, min_size=rows, max_size=rows))
    columns["instrument"] = sorted(draw(st.lists(st.sampled_from(["a:A", "a:B", "b:A"]), min_size=rows, max_size=rows)))
    if archived.is_packed:
        # A lag counts from a time that is there, and keeps within 64 bits.
        columns["available_at"] = [max(a, e) for a, e in zip(columns["available_at"], columns["event_time"], strict=True)]
    return pa.RecordBatch.from_arrays([pa.array(columns[each.name], each.type) for each in schema], schema=schema)


def one_batch(table: pa.Table) -> pa.RecordBatch:
    found = table.combine_chunks().to_batches()
    return found[0] if found else pa.RecordBatch.from_pylist([], schema=table.schema)


def digest(batch: pa.RecordBatch, *cuts: int) -> Digest:
    digester = Digester(batch.schema)
    edges = [0, *sorted(min(cut, len(batch)) for cut in cuts), len(batch)]
    for start, end in pairwise(edges):
        digester.add(batch.slice(start, end - start))
    return digester.digest()


@EVERY_TABLE
@given(data=st.data())
@FEW
def test_what_is_packed_and_written_comes_back_to_the_digit(archived: Archived, data: st.DataObject) -> None:
    rows = data.draw(batches(archived))
    cut = data.draw(st.integers(0, len(rows)))
    packer = Packer(archived, DAY)
    packed = pa.Table.from_batches([packer.pack(rows.slice(0, cut)), packer.pack(rows.slice(cut))])
    assert packed.schema == archived.stored_schema()
    sink = io.BytesIO()
    pq.write_table(packed, sink)
    back = unpack(archived, one_batch(pq.read_table(sink)))
    assert back.to_pylist() == rows.to_pylist()
    assert digest(back) == digest(rows)


@EVERY_TABLE
@given(data=st.data())
@FEW
def test_a_digest_is_of_values_and_not_of_batches(archived: Archived, data: st.DataObject) -> None:
    rows = data.draw(batches(archived))
    cuts = data.draw(st.lists(st.integers(0, 12), max_size=3))
    whole = digest(rows)
    assert digest(rows, *cuts) == whole
    # The same values at another place in memory, with other things beneath the nulls.
    longer = one_batch(pa.Table.from_batches([rows.slice(0, 1), rows]))
    assert digest(longer.slice(min(1, len(rows)))) == whole


@EVERY_TABLE
@given(data=st.data())
@FEW
def test_a_digest_sees_any_change_of_one_value(archived: Archived, data: st.DataObject) -> None:
    rows = data.draw(batches(archived).filter(len))
    place, row = data.draw(st.sampled_from(list(enumerate(rows.schema)))), data.draw(st.integers(0, len(rows) - 1))
    number, described = place
    before = rows.column(number).to_pylist()
    drawn = values(described.type).filter(lambda value: value != before[row])
    after = [*before[:row], data.draw(drawn), *before[row + 1 :]]
    changed = rows.set_column(number, described, pa.array(after, described.type))
    assert digest(changed).content != digest(rows).content
    assert digest(rows).differences(digest(changed)) != []


def trades(**columns: list[Any]) -> pa.RecordBatch:
    archived = ARCHIVED["raw_trades"]
    rows = len(next(iter(columns.values())))
    at = datetime(2025, 3, 1, 12, tzinfo=UTC)
    told: Mapping[str, list[Any]] = {
        "instrument": ["binance:BTCUSDT"] * rows, "space": ["trade_id"] * rows, "sequence": list(range(rows)), "event_time": [at] * rows,
        "time_source": ["venue"] * rows, "price": [Decimal("42000.12")] * rows, "size": [Decimal("0.5")] * rows,
        "available_at": [at + timedelta(seconds=1)] * rows, "available_basis": ["modelled"] * rows, "known_at": [at] * rows,
        "batch_id": [1] * rows, **columns,
    }  # fmt: skip
    schema = archived.canonical_schema()
    return pa.RecordBatch.from_arrays([pa.array(told.get(each.name, [None] * rows), each.type) for each in schema], schema=schema)


def test_prices_are_whole_numbers_at_the_fewest_decimals() -> None:
    prices = ["42000.12", "42000.1", "42000", "0.01"]
    packed = Packer(ARCHIVED["raw_trades"], DAY).pack(trades(price=[Decimal(text) for text in prices]))
    assert packed.column("price_units").to_pylist() == [4_200_012, 4_200_010, 4_200_000, 1]
    assert (packed.column("price_scale").to_pylist(), packed.column("size_scale").to_pylist()) == ([2] * 4, [1] * 4)
    assert packed.column("available_lag_us").to_pylist() == [1_000_000] * 4
    assert packed.column("exact").null_count == 4
    assert packed.column("archived_day").to_pylist() == [DAY] * 4


def test_what_does_not_fit_64_bits_stands_beside_as_text() -> None:
    rows = trades(size=[Decimal("12345678901234567890.000000000000000001"), Decimal("0.5")])
    packed = Packer(ARCHIVED["raw_trades"], DAY).pack(rows)
    assert packed.column("size_units").to_pylist() == [None, 500_000_000_000_000_000]
    assert packed.column("exact").to_pylist() == ['{"size": "12345678901234567890.000000000000000001"}', None]
    assert unpack(ARCHIVED["raw_trades"], packed) == rows


def test_a_column_that_came_later_is_null_in_older_files() -> None:
    archived = ARCHIVED["raw_trades"]
    packed = Packer(archived, DAY).pack(trades(sequence=[1, 2]))
    older = packed.drop_columns(["conditions", "exact"])
    assert unpack(archived, older) == trades(sequence=[1, 2])


def test_sums_are_exact_where_arrows_would_wrap_around() -> None:
    most = Decimal("99999999999999999999.999999999999999999")
    schema = pa.schema([pa.field("size", pa.decimal128(38, 18)), pa.field("id", pa.int64())])
    batch = pa.RecordBatch.from_arrays([pa.array([most] * 20, pa.decimal128(38, 18)), pa.array([2**63 - 1] * 20)], schema=schema)
    found = digest(batch)
    assert found.sums == {"size": "1999999999999999999999.99999999999999998", "id": str(20 * (2**63 - 1))}
    assert found.bounds["size"] == (str(most), str(most))


def test_differences_are_told_in_words() -> None:
    one, other = digest(trades(size=[Decimal(1), Decimal(2)])), digest(trades(size=[Decimal(1), Decimal(3)]))
    assert one.differences(other) == ["the sum of size is 3 against 4", "size lies in ('1', '2') against ('1', '3')"]
    swapped = replace(one, content="0" * 64)
    assert one.differences(swapped) == [f"the hash of the values is {one.content[:16]} against 0000000000000000"]
    assert digest(trades(size=[Decimal(2)])).differences(one)[0] == "1 rows against 2"


def test_other_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="not"):
        Digester(pa.schema([pa.field("a", pa.int64())])).add(pa.RecordBatch.from_arrays([pa.array(np.arange(2))], names=["b"]))
