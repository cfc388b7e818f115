"""Files that nothing names, removed: what a killed writer left behind, and what expired.

Belongs here: what is left behind, and removing it. Does not: letting anything expire (expiry.py).
A file stays that a proof names, unless that proof is said to have expired; that the catalogue names, by any snapshot that it still has;
and that is younger than a writer may be under way. The store is listed first and the names are read after: what is named meanwhile stays.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.contracts.archive import Archived
from rrr_assets.contracts.upkeep import KEEP_DAYS
from rrr_assets.lake.catalogue import NAMESPACE, Catalogue, metadata_version
from rrr_assets.lake.keeping import KeptProof, kept_proofs, last_proofs, one_at_a_time, standing_holds
from rrr_assets.lake.store import Stored, Upload
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.retention_log import Entry, note

_TOLD_FILES: Final = 1000


class StoreNotOurs(PermanentFailure):
    """The store holds what this database knows nothing of: it may be another one's, so nothing of it is removed."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed of one table, or would be.

    `too_young` were left, because a writer may be at them; `missing` are files that a last proof names and the store has not.
    """

    relation: str
    files: int
    size_bytes: int
    uploads: int
    too_young: int
    kept: int
    urls: tuple[str, ...]
    missing: tuple[str, ...]


def remove_orphans(
    database: Database, catalogue: Catalogue, tables: Iterable[Archived], *, safe_hours: int, apply: bool, run_id: str | None = None
) -> Iterator[Removed]:
    """Remove what is left behind, table by table, telling each.

    Args:
        database: of the proofs and the catalogue, entered as the writer.
        catalogue: the archive.
        tables: which.
        safe_hours: what is younger stays.
        apply: False to say what would be removed, and remove nothing.
        run_id: the Dagster run, for the log.

    Raises:
        StoreNotOurs: the store is ahead of the catalogue, or proofs name files elsewhere.
    """
    for archived in tables:
        with one_at_a_time(database, archived):
            done = _remove(database, catalogue, archived, safe_hours, apply=apply, run_id=run_id)
        if done is not None:
            yield done


def _remove(
    database: Database, catalogue: Catalogue, archived: Archived, safe_hours: int, *, apply: bool, run_id: str | None
) -> Removed | None:
    """Remove what is left behind of one table; None where there is nothing to tell."""
    store, folder = catalogue.store, f"{NAMESPACE}/{archived.name}"
    now = datetime.now(UTC)
    before = now - timedelta(hours=safe_hours)
    listed = store.listed(folder)
    uploads = [each for each in store.unfinished_uploads(folder) if each.begun_at < before]
    # Of a table that the catalogue does not know, nothing can be said.
    if not (listed or uploads) or not catalogue.exists(archived):
        return None
    with database.kept(Role.WRITER) as connection:
        proofs = kept_proofs(connection, [archived], KEEP_DAYS)
    named = _named(catalogue, archived, proofs, listed)
    there = {each.url for each in listed}
    proven = [file.url for each in last_proofs(proofs) if each.proven_at < now for file in each.files]
    missing = tuple(url for url in proven if url not in there)
    unnamed = [each for each in listed if each.url not in named]
    going = [each for each in unnamed if each.changed_at < before]
    if not (going or uploads or missing):
        return None
    done = Removed(
        archived.name, len(going), sum(each.size_bytes for each in going), len(uploads), len(unnamed) - len(going),
        len(listed) - len(unnamed), tuple(each.url for each in going), missing,
    )  # fmt: skip
    if going or uploads:
        with database.kept(Role.WRITER) as connection:
            note(connection, _entry(done, uploads, safe_hours, apply=apply, run_id=run_id))
        reach("orphans.logged")
    if apply:
        expired = {file.url: each for each in proofs if each.may_go for file in each.files}
        for each in going:
            if not _is_held(database, expired.get(each.url)):
                store.discard(each.url)
            reach("orphans.removed")
        for upload in uploads:
            store.abort(upload)
    return done


def _is_held(database: Database, proof: KeptProof | None) -> bool:
    """Whether a hold covers a proof by now: one may have been placed since it was looked at."""
    if proof is None:
        return False
    with database.kept(Role.WRITER) as connection:
        return any(hold.covers(proof.archived, proof.partition) for hold in standing_holds(connection))


def _entry(done: Removed, uploads: Sequence[Upload], safe_hours: int, *, apply: bool, run_id: str | None) -> Entry:
    detail = {
        "files": list(done.urls[:_TOLD_FILES]), "files_count": done.files, "uploads": [each.url for each in uploads[:_TOLD_FILES]],
        "uploads_count": done.uploads, "safe_hours": safe_hours,
    }  # fmt: skip
    reasons = ["nothing names them"]
    return Entry("remove_orphans", not apply, done.relation, None, None, done.size_bytes, None, reasons, detail, run_id)


def _named(catalogue: Catalogue, archived: Archived, proofs: list[KeptProof], listed: list[Stored]) -> set[str]:
    """Every object of a table that must stay."""
    store = catalogue.store
    named = {file.url for each in proofs if not each.may_go for file in each.files}
    elsewhere = sorted(url for url in named if not url.startswith(f"{store.url}/"))
    if elsewhere:
        raise StoreNotOurs(
            f"proofs of {archived.name} name {elsewhere[0]}, which does not lie in {store.url}: nothing is removed. "
            "RRR_ARCHIVE_URL was changed since it was written: set it back"
        )
    current = catalogue.version(archived)
    named |= catalogue.named(archived)
    for each in listed:
        version = metadata_version(each.url)
        if version is None or version <= current or each.url in named:
            continue
        # One ahead is a change that was not ended; who is further ahead is another catalogue.
        led_to = catalogue.named_by(each.url)
        if version > current + 1 and led_to is not None:
            raise StoreNotOurs(
                f"{store.url} holds state {version} of {archived.name}, the catalogue of this database {current}: nothing is removed. "
                "Where another database writes there, give this one an RRR_ARCHIVE_URL of its own; where this one was restored from a "
                "backup, bring it to a later time, or move what is newer out of the store"
            )
        named |= led_to or set()
    return named
