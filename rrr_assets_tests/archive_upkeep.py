"""The archive's upkeep as tests drive it: partitions in many files, damage, what is left of it.

Belongs here: what tests of upkeep share, on whatever store. Does not: what a test expects.
"""

import uuid
from datetime import date, datetime
from pathlib import Path

from rrr_assets.contracts.archive import ARCHIVED, Archived
from rrr_assets.lake import files
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.compaction import Compacted, compact
from rrr_assets.lake.expiry import Expired, expire
from rrr_assets.lake.orphans import Removed, remove_orphans
from rrr_assets.lake.proving import PartitionArchived, Proof, archive_partition, latest_proof, register_again, rows_of
from rrr_assets.lake.scrub import Finding, Scrubbed, plan, scrub
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.connect import Role
from rrr_assets_tests.loading import DAY
from rrr_assets_tests.platform import Platform

TRADES = ARCHIVED["raw_trades"]


def catalogue(platform: Platform) -> Catalogue:
    return Catalogue(platform.database, Store.current())


def archive(platform: Platform, partition: date = DAY, table: Archived = TRADES) -> Proof:
    done = archived(platform, partition, table)
    assert done.proof is not None
    return done.proof


def archived(platform: Platform, partition: date = DAY, table: Archived = TRADES) -> PartitionArchived:
    with catalogue(platform) as lake:
        return archive_partition(platform.database, lake, table, partition)


def last(platform: Platform, partition: date = DAY, table: Archived = TRADES) -> Proof:
    with platform.database.connect(Role.WRITER) as connection:
        found = latest_proof(connection, table, partition)
    assert found is not None
    return found


def scatter(platform: Platform, count: int, partition: date = DAY, table: Archived = TRADES) -> Proof:
    """Put an archived partition into many small files, each with every `count`-th row, as a careless writer may leave it."""
    before = last(platform, partition, table)
    with catalogue(platform) as lake:
        rows = list(rows_of(lake.store, table, before.files))
        written = []
        for number in range(count):
            url = lake.new_file_url(table, partition, f"part-{number:04}-{uuid.uuid4().hex}")
            mine = [batch.take(list(range(number, len(batch), count))) for batch in rows]
            written.append(files.write(lake.store, url, table, partition, lake.file_schema(table), mine))
        return register_again(platform.database, lake, table, partition, written, before)


def compacted(platform: Platform, *, apply: bool = True) -> list[Compacted]:
    with catalogue(platform) as lake:
        return list(compact(platform.database, lake, ARCHIVED.values(), apply=apply))


def expired(platform: Platform, *, keep_days: int = 0, apply: bool = True) -> list[Expired]:
    with catalogue(platform) as lake:
        return list(expire(platform.database, lake, ARCHIVED.values(), keep_days=keep_days, apply=apply))


def cleaned(platform: Platform, *, safe_hours: int = 0, apply: bool = True) -> list[Removed]:
    with catalogue(platform) as lake:
        return list(remove_orphans(platform.database, lake, ARCHIVED.values(), safe_hours=safe_hours, apply=apply))


def scrubbed(
    platform: Platform, *, apply: bool = True, every_days: int = 0, budget: int | None = None, values: bool = True
) -> list[Scrubbed]:
    with catalogue(platform) as lake:
        planned = plan(platform.database, ARCHIVED.values(), every_days=every_days, budget_bytes=budget)
        return list(scrub(platform.database, lake, planned, apply=apply, values=values))


def found(platform: Platform, *, apply: bool = True) -> list[Finding]:
    return [finding for each in scrubbed(platform, apply=apply) for finding in each.findings]


def read_back(platform: Platform, partition: date = DAY, table: Archived = TRADES) -> int:
    """Rows of the files that the last proof names; the bytes and the values of all are as they were proven."""
    proof = last(platform, partition, table)
    with catalogue(platform) as lake:
        for file in proof.files:
            assert files.sha256(lake.store, file.url) == file.sha256
        return sum(len(batch) for batch in rows_of(lake.store, table, proof.files))


def flip(path: Path, place: int | None = None) -> None:
    """Turn one bit of a file over, in its middle where no place is given."""
    held = bytearray(path.read_bytes())
    held[len(held) // 2 if place is None else place] ^= 0x10
    path.write_bytes(held)


def hold(platform: Platform, relation: str | None = None, from_day: date | None = None, until_day: date | None = None) -> None:
    execute(
        platform,
        "insert into holds (name, kind, relation, from_day, until_day, reason, placed_at, placed_by)"
        " values (%s, 'legal', %s, %s, %s, 'a case', now(), 'a test')",
        uuid.uuid4().hex, relation, from_day, until_day,
    )  # fmt: skip


def make_cold(platform: Platform, proof: Proof, partition: date = DAY, relation: str = "raw_trades") -> None:
    """As retention leaves a partition: its rows are gone from the database, and the ledger says so."""
    execute(platform, "delete from raw_trades where event_time >= %s and event_time < %s::date + 1", partition, partition)
    execute(
        platform,
        "insert into partition_tiers (relation, partition_start, tier, row_count, size_bytes, proof_id, changed_at)"
        " values (%s, %s, 'cold', %s, 1, %s, now())",
        relation, partition, proof.digest.rows, proof.proof_id,
    )  # fmt: skip


def execute(platform: Platform, statement: str, *values: object) -> None:
    """A statement as the owner."""
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute(statement, values or None)


def log(platform: Platform) -> list[tuple[str, bool]]:
    return platform.rows("select action, is_dry_run from retention_log order by entry_id")


def logged_since(platform: Platform, when: datetime) -> list[tuple[str, list[str]]]:
    return platform.rows("select action, reasons from retention_log where at >= %s order by entry_id", when)
