"""The times of archived rows, for who looks for silences in days that are in the archive alone.

Belongs here: reading that one column. Does not: what a silence is (calc/quality_silence).
"""

from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.lake.proving import latest_proof
from rrr_assets.lake.reading import Wanted, rows
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.gaps import TimesOf
from rrr_assets.warehouse.tick_tables import TICK_TABLES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def archived_times(database: Database, store: Store) -> TimesOf:
    """Reads the times of an instrument's archived rows of a stream and day; there are none where nothing of it was archived.

    What it returns raises FileUnreadable and StoreUnreachable, as lake.reading does.
    """

    def times_of(stream: str, instrument: str, day: date) -> "NDArray[np.int64]":
        archived = ARCHIVED[TICK_TABLES[stream].name]
        with database.kept(Role.WRITER) as connection:
            proof = latest_proof(connection, archived, day)
        files = [] if proof is None else proof.files
        found = [batch.column(0).cast(pa.int64()) for batch in rows(store, archived, files, Wanted([instrument]), ["event_time"])]
        times = pa.concat_arrays(found) if found else pa.array([], pa.int64())
        sorted_times: NDArray[np.int64] = times.sort().to_numpy(zero_copy_only=False)
        return sorted_times

    return times_of
