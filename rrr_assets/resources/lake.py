"""The lake as the assets see it: the archive's tables in the store of this process' environment.

Belongs here: the one resource between Dagster and the archive. Does not: how partitions are written and proven (lake/).
Heavy imports wait until a method is called, because every run and every code server loads this module.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from rrr_assets.resources.permission import permitted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rrr_assets.contracts.archive import Archived
    from rrr_assets.lake.catalogue import Catalogue
    from rrr_assets.lake.compaction import Compacted
    from rrr_assets.lake.expiry import Expired
    from rrr_assets.lake.history import WentStraight
    from rrr_assets.lake.orphans import Removed
    from rrr_assets.lake.proving import PartitionArchived
    from rrr_assets.lake.restoring import Restored
    from rrr_assets.lake.retiring import Due, Moved
    from rrr_assets.lake.scrub import Plan, Scrubbed
    from rrr_assets.warehouse.connect import Database
    from rrr_assets.warehouse.intake import RawText
    from rrr_assets.warehouse.staging import StagedFile


class Lake(dg.ConfigurableResource):  # type: ignore[type-arg]  # it yields itself
    """The object store that RRR_ARCHIVE_URL names, and the catalogue in the database."""

    def archive(
        self, database: Database, tables: Sequence[Archived], partitions: Sequence[date], run_id: str
    ) -> Iterator[tuple[date, list[PartitionArchived], int]]:
        """Archive some tables partition by partition, yielding each partition when all its tables are proven.

        With it comes how many rows of it wait in quarantine.

        Raises:
            SourceDropped: the database holds a partition no more.
            ProofFailed: what was read back from the store is not what was written.
            StoreUnusable: RRR_ARCHIVE_URL names no store.
            StoreUnreachable: the store did not answer, or not well.
            NoSpaceLeft: the store is a folder whose disk is full, or would be soon.
        """
        from rrr_assets.lake.proving import archive_partition, rows_waiting
        from rrr_assets.warehouse.disk import require_room

        with _opened(database, "the partition was not archived") as catalogue:
            for partition in partitions:
                require_room(f"the archive of {partition}")
                done = [archive_partition(database, catalogue, table, partition, run_id) for table in tables]
                yield partition, done, rows_waiting(database, tables, partition)

    def take_in(
        self, database: Database, stream: str, day: date, files: Sequence[StagedFile], run_id: str, raw_text: RawText, to: str | None
    ) -> tuple[WentStraight | None, str | None]:
        """Take one day of a stream straight into the archive, where it is history and can go that way.

        `to` is a destination (contracts.history), None for that of the environment. Where it is history and cannot go that way,
        the second value says why; where it is no history, both are None. Then nothing was stored.

        Raises:
            ArchiveDamaged: what the archive holds of the day is not what was proven.
            ProofFailed: what was read back from the store is not what was written.
            DayDropped: bars of that month were deleted at the end of their time.
            StoreUnusable: RRR_ARCHIVE_URL names no store.
            StoreUnreachable: the store did not answer, or not well.
            NoSpaceLeft: a disk is full, the database's or the store's.
        """
        from rrr_assets.contracts.history import Destination
        from rrr_assets.lake.history import NotStraight, destination, is_history, take_in

        wanted = destination(to)
        # Without loading any of the archive: most days are young.
        if wanted is Destination.database or not is_history(stream, day, wanted):
            return None, None
        from rrr_assets.lake.catalogue import Catalogue
        from rrr_assets.lake.restoring import bringing_back
        from rrr_assets.lake.store import Store, failures_told
        from rrr_assets.warehouse.disk import require_room

        require_room(f"the way of {stream} of {day} into the archive")
        try:
            with failures_told(f"nothing of {day} was stored"), Catalogue(database, Store.current()) as catalogue:
                return take_in(database, catalogue, day, files, run_id, raw_text, bringing_back(database, run_id)), None
        except NotStraight as reason:
            return None, str(reason)

    def compact(self, database: Database, tables: Iterable[Archived], *, apply: bool, run_id: str | None = None) -> Iterator[Compacted]:
        """Make small files large: see `rrr_assets.lake.compaction`. Raises as `archive` does, and where it is not permitted."""
        from rrr_assets.lake.compaction import compact

        _ask(apply=apply)
        with _opened(database) as catalogue:
            yield from compact(database, catalogue, tables, apply=apply, run_id=run_id)

    def expire(
        self, database: Database, tables: Iterable[Archived], *, keep_days: int, apply: bool, run_id: str | None = None
    ) -> Iterator[Expired]:
        """Let old snapshots expire: see `rrr_assets.lake.expiry`. Raises as `archive` does, and where it is not permitted."""
        from rrr_assets.lake.expiry import expire

        _ask(apply=apply)
        with _opened(database) as catalogue:
            yield from expire(database, catalogue, tables, keep_days=keep_days, apply=apply, run_id=run_id)

    def clean(
        self, database: Database, tables: Iterable[Archived], *, safe_hours: int, apply: bool, run_id: str | None = None
    ) -> Iterator[Removed]:
        """Remove what nothing names: see `rrr_assets.lake.orphans`. Raises as `archive` does, and where it is not permitted."""
        from rrr_assets.lake.orphans import remove_orphans

        _ask(apply=apply)
        with _opened(database) as catalogue:
            yield from remove_orphans(database, catalogue, tables, safe_hours=safe_hours, apply=apply, run_id=run_id)

    def scrub(
        self, database: Database, planned: Plan, *, apply: bool, values: bool = True, run_id: str | None = None
    ) -> Iterator[Scrubbed]:
        """Read back what is due: see `rrr_assets.lake.scrub`. Raises as `archive` does, and where mending is not permitted."""
        from rrr_assets.lake.scrub import scrub

        _ask(apply=apply)
        with _opened(database) as catalogue:
            yield from scrub(database, catalogue, planned, apply=apply, values=values, run_id=run_id)

    def to_archive(self, database: Database, today: date) -> list[tuple[str, date]]:
        """(asset, partition) of what has left the hot tier, or is to, and is not in the archive as it is now."""
        from rrr_assets.lake.retiring import to_archive

        return to_archive(database, today)

    def due(self, database: Database, today: date) -> list[Due]:
        """The moves that are due by the contracts, oldest partition first."""
        from rrr_assets.lake.retiring import due

        return due(database, today)

    def judged(self, database: Database, moves: Sequence[Due]) -> Iterator[Due]:
        """Moves that are due with what stands against each; nothing is changed.

        Raises:
            StoreUnreachable: the store did not answer, or not well.
        """
        from rrr_assets.lake.retiring import judged
        from rrr_assets.lake.store import Store, failures_told

        with failures_told("nothing was asked"):
            yield from judged(database, Store.current(), moves)

    def retire(self, database: Database, moves: Sequence[Due], run_id: str | None) -> Iterator[Moved]:
        """Make moves that are due, one after the other; what stands against one is in what is yielded.

        Raises:
            StoreUnreachable: the store did not answer, or not well; moves made before stay.
        """
        from rrr_assets.lake.catalogue import Catalogue
        from rrr_assets.lake.retiring import make
        from rrr_assets.lake.store import Store, failures_told

        with failures_told("nothing was dropped"), Catalogue(database, Store.current()) as catalogue:
            for move in moves:
                yield make(database, catalogue, move, run_id)

    def drill(self, database: Database, relation: str | None, partition: date | None, run_id: str | None) -> list[Restored]:
        """Bring an archived partition back beside, to prove that it would come back equal; by default one by lot. None where there is none.

        Raises:
            NothingToRestore: that one was never archived.
            ProofFailed: it does not come back equal.
            StoreUnreachable: the store did not answer, or not well.
            NoSpaceLeft: a disk has little room.
        """
        from rrr_assets.lake.restoring import drawn, drill
        from rrr_assets.lake.store import Store, failures_told
        from rrr_assets.warehouse.disk import require_room

        require_room("the drill")
        chosen = drawn(database, relation, partition)
        with failures_told("nothing was brought back"):
            return [drill(database, Store.current(), *each, run_id) for each in chosen]


def _ask(*, apply: bool) -> None:
    if apply:
        permitted("maintain")


@contextmanager
def _opened(database: Database, what: str = "upkeep did not end") -> Iterator[Catalogue]:
    """The archive in the store of this process' environment; what its store does wrong is told as what it is."""
    from rrr_assets.lake.catalogue import Catalogue
    from rrr_assets.lake.store import Store, failures_told

    with failures_told(what), Catalogue(database, Store.current()) as catalogue:
        yield catalogue
