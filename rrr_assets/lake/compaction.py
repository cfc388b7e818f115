"""Small files made large: a partition of several files, or of many small row groups, becomes one sorted file.

Belongs here: which partitions, and the one way. Does not: removing what was replaced (expiry.py, orphans.py).
What is written is read back and proven to hold the same values before it is registered, under the lock under which a partition is
archived. It is made of the files alone: the database need not hold the partition any more.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from rrr_assets.contracts.archive import Archived
from rrr_assets.contracts.upkeep import KEEP_DAYS
from rrr_assets.lake import files
from rrr_assets.lake.catalogue import Catalogue, PartitionFile
from rrr_assets.lake.keeping import kept_proofs, last_proofs
from rrr_assets.lake.proving import alone, latest_proof, rewrite_partition
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.retention_log import Entry, note

_SMALL: Final = files.ROW_GROUP // 4


@dataclass(frozen=True, slots=True)
class Compacted:
    """A partition that was compacted, or would be. Sizes in bytes; `proof_id` is the new proof, None where nothing was done."""

    relation: str
    partition: date
    files_before: int
    row_groups_before: int
    rows: int
    size_before: int
    size_after: int | None
    proof_id: int | None


def compact(
    database: Database, catalogue: Catalogue, tables: Iterable[Archived], *, apply: bool, run_id: str | None = None
) -> Iterator[Compacted]:
    """Compact what needs it, telling each partition as it is proven.

    Args:
        database: of the proofs and the catalogue, entered as the writer.
        catalogue: the archive.
        tables: which.
        apply: False to say what would be done, and do nothing.
        run_id: the Dagster run, for the proofs.

    Raises:
        ProofFailed: the files do not hold what was proven, or what was read back differs. Nothing was registered.
    """
    for archived in tables:
        if not catalogue.exists(archived):
            continue
        with database.kept(Role.WRITER) as connection:
            last = last_proofs(kept_proofs(connection, [archived], KEEP_DAYS))
        known = catalogue.all_files(archived)
        for each in last:
            if not _is_small([file.url for file in each.files], each.rows, known.get(each.partition, [])):
                continue
            done = _compacted(database, catalogue, archived, each.partition, apply=apply, run_id=run_id)
            if done is not None:
                yield done


def _compacted(
    database: Database, catalogue: Catalogue, archived: Archived, partition: date, *, apply: bool, run_id: str | None
) -> Compacted | None:
    """Compact one partition, if it still needs it once nobody else is at it."""
    with alone(database, archived, partition):
        with database.kept(Role.WRITER) as connection:
            before = latest_proof(connection, archived, partition)
        held = catalogue.files(archived, partition)
        if before is None or not _is_small([file.url for file in before.files], before.digest.rows, held):
            return None
        groups = sum(file.row_groups for file in held)
        after = rewrite_partition(database, catalogue, archived, partition, before, run_id) if apply else None
    done = Compacted(
        archived.name, partition, len(before.files), groups, before.digest.rows, before.size_bytes,
        None if after is None else after.size_bytes, None if after is None else after.proof_id,
    )  # fmt: skip
    with database.kept(Role.WRITER) as connection:
        detail = {"files": len(before.files), "row_groups": groups, "size_after": done.size_after, "of_proof": before.proof_id}
        entry = Entry(
            "compact", not apply, archived.name, partition, done.rows, done.size_before, done.proof_id, ["files or row groups are small"],
            detail, run_id,
        )  # fmt: skip
        note(connection, entry)
    return done


def _is_small(urls: list[str], rows: int, known: list[PartitionFile]) -> bool:
    """Whether a partition's files are several, or one of small row groups, as the catalogue knows of it."""
    if len(urls) != 1:
        return len(urls) > 1
    groups = sum(file.row_groups for file in known if file.url == urls[0])
    return groups > 1 and rows < groups * _SMALL
