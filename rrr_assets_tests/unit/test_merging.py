"""Rows of sorted files, merged, are those rows sorted, whatever the files and the batches that they are read in."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from rrr_assets.lake.merging import merged

SCHEMA = pa.schema(
    [
        pa.field("instrument", pa.string()),
        pa.field("event_time", pa.timestamp("us", "UTC")),
        pa.field("sequence", pa.int64()),
        pa.field("size", pa.decimal256(50, 18)),
    ]
)
ORDER = ("instrument", "event_time", "sequence")
START = datetime(2024, 1, 1, tzinfo=UTC)

keys = st.tuples(st.sampled_from(["a", "b", "B", "\u00e9", "\U0001f600", "\uffff"]), st.integers(0, 3), st.integers(0, 50))


def table(rows: list[tuple[str, int, int]]) -> pa.Table:
    instruments, seconds, sequences = zip(*rows, strict=True) if rows else ((), (), ())
    times = [START + timedelta(microseconds=number) for number in seconds]
    return pa.table([list(instruments), times, list(sequences), list(sequences)], schema=SCHEMA) if rows else SCHEMA.empty_table()


def read(rows: list[tuple[str, int, int]], batch_rows: int) -> Iterator[pa.RecordBatch]:
    yield from table(rows).to_batches(max_chunksize=batch_rows)


def by_bytes(key: tuple[str, int, int]) -> tuple[bytes, int, int]:
    return (key[0].encode(), key[1], key[2])


@given(st.lists(st.tuples(keys, st.integers(0, 4)), unique_by=lambda pair: pair[0]), st.integers(1, 7))
def test_merged_rows_are_sorted_rows(placed: list[tuple[tuple[str, int, int], int]], batch_rows: int) -> None:
    held = [sorted((key for key, place in placed if place == number), key=by_bytes) for number in range(5)]
    batches = list(merged([read(rows, batch_rows) for rows in held], ORDER))
    assert pa.Table.from_batches(batches, SCHEMA).equals(table(sorted((key for key, _ in placed), key=by_bytes)))


def test_one_file_is_handed_on_as_it_is() -> None:
    batches = list(read([("a", 0, 1), ("a", 0, 2)], 1))
    assert list(merged([iter(batches)], ORDER)) == batches
    assert list(merged([], ORDER)) == []
