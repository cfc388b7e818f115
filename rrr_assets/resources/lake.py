"""The lake as the assets see it: the archive's tables in the store of this process' environment.

Belongs here: the one resource between Dagster and the archive. Does not: how partitions are written and proven (lake/).
Heavy imports wait until a method is called, because every run and every code server loads this module.
"""

from __future__ import annotations

import errno
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from rrr_assets.calc.outcomes import NoSpaceLeft, StoreUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rrr_assets.contracts.archive import Archived
    from rrr_assets.lake.proving import PartitionArchived
    from rrr_assets.warehouse.connect import Database


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
        from rrr_assets.lake.catalogue import Catalogue
        from rrr_assets.lake.proving import archive_partition, rows_waiting
        from rrr_assets.lake.store import Store
        from rrr_assets.warehouse.disk import require_room

        store = Store.current()
        try:
            with Catalogue(database, store) as catalogue:
                for partition in partitions:
                    require_room(f"the archive of {partition}")
                    done = [archive_partition(database, catalogue, table, partition, run_id) for table in tables]
                    yield partition, done, rows_waiting(database, tables, partition)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise NoSpaceLeft(
                    f"the disk of {store.url} is full: the partition was not archived. Free space, and archive it again"
                ) from error
            raise StoreUnreachable(f"{store.url} did not answer well: {error}") from error
