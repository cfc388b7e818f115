"""Partitions that the database holds no more, made by hand: archived, their rows deleted, the ledgers told.

Belongs here: what tests of reads over tiers share. Does not: retention's own way of dropping, which has tests of its own.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from itertools import pairwise

import pyarrow as pa
from psycopg import sql

from rrr_assets.calc.canonical import Digester
from rrr_assets.calc.decimals import NOTIONAL, WIDE_SIZE
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.proving import Proof, archive_partition
from rrr_assets.lake.store import Store
from rrr_assets_tests.platform import Platform

_WIDE = {pa.decimal128(38, 20): NOTIONAL, pa.decimal128(38, 18): WIDE_SIZE}


def archived(platform: Platform, name: str, partition: date) -> Proof | None:
    with Catalogue(platform.database, Store.current()) as lake:
        return archive_partition(platform.database, lake, ARCHIVED[name], partition).proof


def make_cold(platform: Platform, name: str, partition: date, restored: Sequence[str] = (), tier: str = "cold") -> Proof | None:
    """Archive a partition and delete its rows, but those of some instruments."""
    table = ARCHIVED[name]
    proof = archived(platform, name, partition)
    if proof is None:
        return None
    start, end = (datetime.combine(day, time(), UTC) for day in (partition, table.end_of(partition)))
    with platform.database.connect_admin() as connection, connection.transaction():
        column = sql.Identifier(str(table.table.time_column))
        statement = sql.SQL("delete from {} where {} >= %s and {} < %s and instrument <> all(%s)")
        connection.execute(statement.format(sql.Identifier(name), column, column), (start, end, list(restored)))
        connection.execute(
            "insert into partition_tiers (relation, partition_start, tier, row_count, size_bytes, proof_id, restored, changed_at)"
            " values (%s, %s, %s, %s, 0, %s, %s, now())"
            " on conflict (relation, partition_start) do update set tier = excluded.tier, restored = excluded.restored",
            (name, partition, tier, proof.digest.rows, proof.proof_id, list(restored)),
        )
        if table.stream is not None and table.is_packed:
            connection.execute(
                "update coverage set is_dropped = true where stream = %s and day = %s and instrument <> all(%s)",
                (table.stream, partition, list(restored)),
            )
    return proof


def content(found: pa.Table) -> str:
    """The hash of an answer's values, whatever scale its sums came in."""
    wide = pa.schema([each.with_type(_WIDE.get(each.type, each.type)) for each in found.schema])
    digester = Digester(wide)
    for batch in found.cast(wide).combine_chunks().to_batches():
        digester.add(batch)
    return f"{found.num_rows} {digester.digest().content}"


def days(first: date, count: int) -> Iterable[date]:
    return (date.fromordinal(first.toordinal() + n) for n in range(count))


def rises(values: Sequence[object]) -> bool:
    return all(one <= other for one, other in pairwise(values))  # type: ignore[operator]  # of one kind
