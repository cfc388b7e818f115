"""Days of features put straight into the table: tests of what looks at features need no trades for each of them.

Belongs here: rows that look as if they had been made. Does not: what a test expects.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt
from psycopg import sql

from rrr_assets.calc.features import FEATURES
from rrr_assets.warehouse.books import log_invalidations
from rrr_assets.warehouse.connect import Database, Role

MINUTES = 1440
Column = npt.NDArray[np.float64]


def usual(seed: int, minutes: int = MINUTES) -> dict[str, Column]:
    """A value of every feature for each minute of a day, distributed alike on all days, within every range."""
    rng = np.random.default_rng(seed)
    columns = {}
    for name, feature in FEATURES.items():
        low, high = (-1 if feature.low is None else feature.low), feature.high
        columns[name] = low + rng.exponential(1, minutes) if high is None else low + (high - low) * rng.beta(2, 2, minutes)
    return columns


def plant(
    database: Database, instrument: str, day: date, columns: Mapping[str, Sequence[float | None] | Column], known_at: datetime | None = None
) -> None:
    """Put a day of features in the place of what is there, with its entry in the log.

    Args:
        database: whose; entered as the owner.
        instrument: of which.
        day: UTC day, from its first minute on.
        columns: values of features by minute, all of one length; a null is NaN, and so are the features that are not named.
        known_at: when it was known; now where it is not said.
    """
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    count = max((len(column) for column in columns.values()), default=0)
    known = known_at or datetime.now(UTC)
    names = list(columns) or list(FEATURES)
    table = sql.SQL("copy features_1m (instrument, event_time, available_at, available_basis, known_at, {}) from stdin")
    with database.connect(Role.OWNER) as connection:
        connection.execute(
            "delete from features_1m where instrument = %s and event_time > %s and event_time <= %s",
            (instrument, midnight, midnight + timedelta(days=1)),
        )
        with connection.cursor().copy(table.format(sql.SQL(", ").join(map(sql.Identifier, names)))) as copy:
            for minute in range(count):
                at = midnight + timedelta(minutes=minute + 1)
                values = [None if (value := columns[name][minute]) is None or np.isnan(value) else float(value) for name in names]
                copy.write_row((instrument, at, at, "modelled", known, *values))
        log_invalidations(connection, "features_1m", [(instrument, day, midnight, midnight + timedelta(days=1))], "refresh", None)
