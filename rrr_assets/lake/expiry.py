"""Old snapshots forgotten: what was proven once and is proven anew stays readable for some days, then expires.

Belongs here: which snapshots and proofs, and saying so before anything can be removed. Does not: removing files (orphans.py).
A proof is said to have expired before its snapshot is forgotten: whoever asks for it afterwards is refused by name, whatever of it is
still there.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rrr_assets.contracts.archive import Archived
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.keeping import KeptProof, kept_proofs, one_at_a_time
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.retention_log import Entry, note


@dataclass(frozen=True, slots=True)
class Expired:
    """What expired of one table, or would. `size_bytes` is of the files of those proofs that no other proof names.

    `snapshots_lost` counts proofs that are held or were superseded lately and whose snapshot the catalogue has no more: their files are
    read by the proof.
    """

    relation: str
    proofs: int
    size_bytes: int
    snapshots: int
    snapshots_kept: int
    snapshots_lost: int
    held: int


def expire(
    database: Database, catalogue: Catalogue, tables: Iterable[Archived], *, keep_days: int, apply: bool, run_id: str | None = None
) -> Iterator[Expired]:
    """Let old proofs and snapshots expire, table by table, telling each.

    A snapshot stays that is the current one, that is of a proof that a hold covers or that was superseded lately, and any that is younger
    than `keep_days`; that of a partition's last proof too, as long as it does not keep files that expired.

    Args:
        database: of the proofs and the catalogue, entered as the writer.
        catalogue: the archive.
        tables: which.
        keep_days: how long a proof stays after another took its place.
        apply: False to say what would be done, and do nothing.
        run_id: the Dagster run, for the log.
    """
    for archived in tables:
        if not catalogue.exists(archived):
            continue
        with one_at_a_time(database, archived):
            done = _expired(database, catalogue, archived, keep_days, apply=apply, run_id=run_id)
        if done.proofs or done.snapshots or done.snapshots_lost:
            yield done


def _expired(database: Database, catalogue: Catalogue, archived: Archived, keep_days: int, *, apply: bool, run_id: str | None) -> Expired:
    with database.kept(Role.WRITER) as connection, connection.transaction():
        proofs = kept_proofs(connection, [archived], keep_days)
        going = [each for each in proofs if each.why is None and not each.is_expired and each.tier != "deleted"]
        note(connection, *(_entry(each, proofs, apply=apply, run_id=run_id) for each in going))
    reach("expire.logged")
    since = datetime.now(UTC) - timedelta(days=keep_days)
    snapshots = catalogue.snapshots(archived)
    kept = {each.snapshot_id for each in proofs if each.why in {"held", "young"}}
    # That of a last proof goes where it alone would keep what expired, or was deleted: the files of the proof are in the current one too.
    last = {each.snapshot_id for each in proofs if each.why == "last"}
    gone = {file.url for each in proofs if each in going or each.may_go for file in each.files}
    gone -= {file.url for each in proofs if each.why is not None and not each.may_go for file in each.files}
    staying = kept | (last - catalogue.naming(archived, gone) if gone else last)
    old = [each.snapshot_id for each in snapshots if not each.is_current and each.snapshot_id not in staying and each.made_at < since]
    if apply and old:
        catalogue.expire(archived, old)
        reach("expire.expired")
    size = sum(_own_bytes(each, proofs) for each in going)
    lost = len(kept - {each.snapshot_id for each in snapshots})
    held = sum(each.why == "held" for each in proofs)
    return Expired(archived.name, len(going), size, len(old), len(snapshots) - len(old), lost, held)


def _entry(proof: KeptProof, proofs: list[KeptProof], *, apply: bool, run_id: str | None) -> Entry:
    detail = {"snapshot_id": str(proof.snapshot_id), "files": [file.url for file in proof.files]}
    reasons = ["another proof took its place long ago, and no hold covers it"]
    own = _own_bytes(proof, proofs)
    return Entry("expire", not apply, proof.archived.name, proof.partition, proof.rows, own, proof.proof_id, reasons, detail, run_id)


def _own_bytes(proof: KeptProof, proofs: list[KeptProof]) -> int:
    """Bytes of the files that no proof that stays names."""
    staying = {file.url for each in proofs if each.why is not None and each.partition == proof.partition for file in each.files}
    return sum(file.size_bytes for file in proof.files if file.url not in staying)
