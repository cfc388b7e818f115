"""The archive read back: every file that a last proof names, whole, against that proof; and the catalogue against the proofs.

Belongs here: what is looked at and when, what is found, and mending it where something sound is left. Does not: when it runs (archive/).
What is damaged is never deleted. It is written anew from the database where that still holds the partition, or registered anew from
another file that holds the same values; then the damaged file is set aside. Where neither is left, that is said, and nothing is done.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

import pyarrow as pa

from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.contracts.archive import Archived
from rrr_assets.contracts.upkeep import KEEP_DAYS
from rrr_assets.lake import files
from rrr_assets.lake.catalogue import NAMESPACE, Catalogue, metadata_version
from rrr_assets.lake.keeping import KeptProof, kept_proofs, last_proofs, one_at_a_time
from rrr_assets.lake.proving import (
    Proof,
    alone,
    archive_partition,
    digest_of,
    latest_proof,
    register_again,
    rows_of,
    snapshot_properties,
)
from rrr_assets.lake.store import Store, StoreUnusable
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.retention_log import Entry, note
from rrr_assets.warehouse.sqlfiles import query

_IN_THE_DATABASE: Final = ("hot", "warm")


@dataclass(frozen=True, slots=True)
class Finding:
    """What differs from the proof. `url` is the file, None where it is no one file; `mended` says how, None where it is not."""

    relation: str
    partition: date | None
    url: str | None
    differs: str
    mended: str | None = None

    @property
    def told(self) -> str:
        """As one line."""
        of = "" if self.partition is None else f" of {self.partition}"
        where = "" if self.url is None else f", {self.url}"
        return f"{self.relation}{of}{where}: {self.differs}" + (f"; mended: {self.mended}" if self.mended else "")


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A partition that was read back, or a table's catalogue where `partition` is None."""

    relation: str
    partition: date | None
    rows: int
    size_bytes: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is read back now, and how much is left for later. Sizes in bytes."""

    tables: tuple[Archived, ...]
    due: tuple[KeptProof, ...]
    left: int
    left_bytes: int
    archive_bytes: int

    @property
    def size_bytes(self) -> int:
        """What is read back now."""
        return sum(each.size_bytes for each in self.due)


def plan(database: Database, tables: Iterable[Archived], *, every_days: int, budget_bytes: int | None) -> Plan:
    """What is to be read back now: what was not for longest comes first, and what is damaged before that.

    Args:
        database: of the proofs and the log, entered as the writer.
        tables: which.
        every_days: what was read back, or written, within so many days is not due; 0 for all.
        budget_bytes: where to stop; None for no bound. At least one partition is read back.
    """
    chosen = tuple(tables)
    with database.kept(Role.WRITER) as connection:
        last = last_proofs(kept_proofs(connection, chosen, KEEP_DAYS))
        found = connection.execute(query("upkeep_scrubbed"), {"relations": [each.name for each in chosen]}).fetchall()
    scrubbed = {(relation, partition): at for relation, partition, at in found}
    never = datetime.min.replace(tzinfo=UTC)
    since = datetime.now(UTC) - timedelta(days=every_days)
    dated = [(scrubbed.get((each.archived.name, each.partition), never), each) for each in last]
    waiting = [(at, each) for at, each in dated if not every_days or max(at, each.proven_at) < since]
    waiting.sort(key=lambda pair: (pair[0], pair[1].partition, pair[1].archived.name))
    due: list[KeptProof] = []
    taken = 0
    for _, each in waiting:
        if due and budget_bytes is not None and taken + each.size_bytes > budget_bytes:
            break
        due.append(each)
        taken += each.size_bytes
    rest = [each.size_bytes for _, each in waiting[len(due) :]]
    return Plan(chosen, tuple(due), len(rest), sum(rest), sum(each.size_bytes for each in last))


def scrub(
    database: Database, catalogue: Catalogue, planned: Plan, *, apply: bool, values: bool = True, run_id: str | None = None
) -> Iterator[Scrubbed]:
    """Look at the catalogue of each table, then read back what is due, telling each as it was looked at.

    Args:
        database: whose rows mend what is damaged; entered as the writer.
        catalogue: the archive.
        planned: what is due.
        apply: whether to mend what is found.
        values: whether to read the values too where the bytes are as they were proven: it takes a hundred times as long.
        run_id: the Dagster run, for the log.

    Raises:
        StoreUnusable: there are proofs, and nothing at all in the store.
    """
    if planned.archive_bytes and not catalogue.store.holds(NAMESPACE):
        raise StoreUnusable(f"{catalogue.store.url} holds nothing of the archive. Is RRR_ARCHIVE_URL right, and its disk there?")
    work = _Work(database, catalogue, apply, values, run_id)
    for archived in planned.tables:
        yield Scrubbed(archived.name, None, 0, 0, tuple(work.metadata(archived)))
    for each in planned.due:
        yield work.partition(each)


@dataclass(frozen=True, slots=True)
class _Work:
    database: Database
    catalogue: Catalogue
    apply: bool
    values: bool
    run_id: str | None

    # --- the catalogue ------------------------------------------------------------------------------------------

    def metadata(self, archived: Archived) -> Iterator[Finding]:
        """Hold a table's catalogue against the proofs, whether or not their files are due."""
        if fault := self.catalogue.fault(archived):
            finding = self._mended(Finding(archived.name, None, None, fault), None, lambda: self._other_metadata(archived))
            yield finding
            if finding.mended is None:
                return
        with self.database.kept(Role.WRITER) as connection:
            proofs = kept_proofs(connection, [archived], KEEP_DAYS)
        if not proofs and not self.catalogue.exists(archived):
            return
        known = self.catalogue.all_files(archived)
        proven = {each.partition: each for each in last_proofs(proofs)}
        deleted = {each.partition for each in proofs} - set(proven)
        for partition in sorted((set(known) | set(proven)) - deleted):
            held = {file.url for file in known.get(partition, [])}
            if partition not in proven or held != {file.url for file in proven[partition].files}:
                yield from self._disagreement(archived, partition)

    def _disagreement(self, archived: Archived, partition: date) -> Iterator[Finding]:
        """Look at a partition once more when nobody else is at it: an archiver registers first, and proves then."""
        with alone(self.database, archived, partition):
            with self.database.kept(Role.WRITER) as connection:
                proof = latest_proof(connection, archived, partition)
            held = {file.url for file in self.catalogue.files(archived, partition)}
            named = set() if proof is None else {file.url for file in proof.files}
            if held == named:
                return
            differs = [
                *(f"the catalogue names {url}, its proof does not" for url in sorted(held - named)),
                *(f"its proof names {url}, the catalogue does not" for url in sorted(named - held)),
            ]
            finding = Finding(archived.name, partition, None, "; ".join(differs))
            if proof is not None:
                yield self._mended(finding, proof.proof_id, lambda: self._registered(archived, partition, proof))
                return
        # Nothing was ever proven of it: what the database holds is archived as if this had not been.
        yield self._mended(finding, None, lambda: self._written_anew(archived, partition))

    def _registered(self, archived: Archived, partition: date, proof: Proof) -> str | None:
        if _damaged(self.catalogue.store, proof.files):
            return None
        self.catalogue.exchange(archived, partition, [file.url for file in proof.files], snapshot_properties(proof, self.run_id))
        return "the files of its proof were registered again"

    def _other_metadata(self, archived: Archived) -> str | None:
        """The newest metadata that can be read, of those that were ever the table's; new where there is none."""
        last = metadata_version(self.catalogue.location(archived) or "")
        listed = self.catalogue.store.listed(f"{NAMESPACE}/{archived.name}/metadata")
        numbered = [(number, each.changed_at, each.url) for each in listed if (number := metadata_version(each.url)) is not None]
        older = [url for number, _, url in sorted(numbered, reverse=True) if last is None or number <= last]
        with one_at_a_time(self.database, archived):
            if url := self.catalogue.fall_back(archived, older):
                return f"the catalogue names {url} now"
        with self.database.kept(Role.WRITER) as connection:
            proofs = last_proofs(kept_proofs(connection, [archived], KEEP_DAYS))
        for each in reversed(proofs):
            if not _damaged(self.catalogue.store, each.files[:1]):
                url = self.catalogue.make_anew(archived, each.files[0].url)
                return url and f"new metadata, {url}, was made by the proofs; older snapshots are read by their proofs alone"
        return None

    # --- the files ----------------------------------------------------------------------------------------------

    def partition(self, kept: KeptProof) -> Scrubbed:
        """Read a partition back whole."""
        archived, partition = kept.archived, kept.partition
        with self.database.kept(Role.WRITER) as connection:
            proof = latest_proof(connection, archived, partition)
        if proof is None:
            return Scrubbed(archived.name, partition, 0, 0, ())
        damaged = _damaged(self.catalogue.store, proof.files)
        values = self._values(archived, proof, is_damaged=bool(damaged)) if self.values or damaged else None
        reach("scrub.read")
        findings = [Finding(archived.name, partition, url, f"{differs}; {values}") for url, differs in damaged.items()]
        if values and not damaged:
            findings = [Finding(archived.name, partition, file.url, values) for file in proof.files]
        if findings:
            done = self._mended(findings[0], proof.proof_id, lambda: self._sound_again(kept, proof, list(damaged)), others=findings[1:])
            findings = [replace(each, mended=done.mended, differs=f"{each.differs}{_added(findings[0], done)}") for each in findings]
        else:
            entry = self._entry(archived.name, partition, proof.proof_id, [], proof.digest.rows, proof.size_bytes)
            entry = replace(entry, detail={"values": self.values})
            with self.database.kept(Role.WRITER) as connection:
                note(connection, entry)
        return Scrubbed(archived.name, partition, proof.digest.rows, proof.size_bytes, tuple(findings))

    def _values(self, archived: Archived, proof: Proof, *, is_damaged: bool) -> str | None:
        """How the values differ from those that were proven; None where nothing does, and it is not known to be damaged."""
        try:
            digest = digest_of(archived, rows_of(self.catalogue.store, archived, proof.files))
        except FileNotFoundError:
            return "its values are lost with it"
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            # Where the bytes are as they were proven it is the store, or this program, that failed.
            if not is_damaged:
                raise
            return f"its values cannot be read: {str(error).splitlines()[0]}"
        return "; ".join(proof.digest.differences(digest)) or ("its values are the same" if is_damaged else None)

    def _sound_again(self, kept: KeptProof, proof: Proof, damaged: Sequence[str]) -> str | None:
        """Bring a partition back from what is left of it, and set the damaged files aside."""
        archived, partition = kept.archived, kept.partition
        if kept.tier in _IN_THE_DATABASE:
            how = self._written_anew(archived, partition)
        else:
            how = self._from_another_file(archived, partition, proof)
        reach("scrub.rewritten")
        if how is None:
            return None
        moved = [self.catalogue.store.set_aside(url) for url in damaged if self._is_there(url)]
        reach("scrub.set_aside")
        return how + (f"; what was damaged lies in {', '.join(moved)}" if moved else "")

    def _written_anew(self, archived: Archived, partition: date) -> str | None:
        done = archive_partition(self.database, self.catalogue, archived, partition, self.run_id, again=True)
        return "written anew from the database" if done.is_new and done.proof is not None else None

    def _from_another_file(self, archived: Archived, partition: date, proof: Proof) -> str | None:
        """What a compaction or a second archiving replaced holds the same values, as long as it is there."""
        # What is brought back here must not be removed by a clean-up that looked before.
        with one_at_a_time(self.database, archived), alone(self.database, archived, partition):
            with self.database.kept(Role.WRITER) as connection:
                last = latest_proof(connection, archived, partition)
                others = [each for each in kept_proofs(connection, [archived], KEEP_DAYS) if each.partition == partition]
            if last is None or last.proof_id != proof.proof_id:
                return "another proof has taken its place meanwhile"
            for each in reversed(others):
                if each.proof_id == proof.proof_id or each.rows != proof.digest.rows or _damaged(self.catalogue.store, each.files):
                    continue
                if proof.digest.differences(digest_of(archived, rows_of(self.catalogue.store, archived, each.files))):
                    continue
                register_again(self.database, self.catalogue, archived, partition, each.files, last, self.run_id)
                return f"the files of proof {each.proof_id}, which hold the same values, were registered again"
        raise NothingLeft("it is in the archive alone, and no other file holds the same values: nothing was changed")

    def _is_there(self, url: str) -> bool:
        try:
            return self.catalogue.store.size(url) >= 0
        except FileNotFoundError:
            return False

    # --- what was found -----------------------------------------------------------------------------------------

    def _mended(self, finding: Finding, proof_id: int | None, mend: Callable[[], str | None], others: Sequence[Finding] = ()) -> Finding:
        """Write a finding down, then mend it where that is wanted; whatever stops that half way, it was written down."""
        with self.database.kept(Role.WRITER) as connection:
            note(connection, *(self._entry(each.relation, each.partition, proof_id, [each.told]) for each in (finding, *others)))
        reach("scrub.found")
        if not self.apply:
            return finding
        try:
            mended = mend()
        except PermanentFailure as failure:
            return replace(finding, differs=f"{finding.differs}; not mended: {failure}")
        if mended is None:
            return replace(finding, differs=f"{finding.differs}; not mended: nothing sound is left of it")
        done = replace(finding, mended=mended)
        with self.database.kept(Role.WRITER) as connection:
            note(connection, self._entry(done.relation, done.partition, proof_id, [done.told]))
        reach("scrub.mended")
        return done

    def _entry(
        self, relation: str, partition: date | None, proof_id: int | None, reasons: Sequence[str], rows: int | None = None,
        size: int | None = None,
    ) -> Entry:  # fmt: skip
        return Entry("scrub", not self.apply, relation, partition, rows, size, proof_id, reasons, run_id=self.run_id)


class NothingLeft(PermanentFailure):
    """Nothing is left of which a damaged partition could be made whole."""


def _damaged(store: Store, written: Sequence[files.Written]) -> dict[str, str]:
    """The files whose bytes are not those that were proven, each with what differs."""
    found = {}
    for file in written:
        try:
            size = store.size(file.url)
            if size != file.size_bytes:
                found[file.url] = f"it has {size} bytes and was proven with {file.size_bytes}"
            elif (hashed := files.sha256(store, file.url)) != file.sha256:
                found[file.url] = f"its SHA-256 is {hashed} and was proven to be {file.sha256}"
        except FileNotFoundError:
            found[file.url] = "it is missing"
    return found


def _added(before: Finding, after: Finding) -> str:
    return after.differs.removeprefix(before.differs)
