"""Declaring what an instrument is: its scales, the days of its listing, the stream that its bars come from.

Belongs here: the one transaction of it. Does not: what follows from it (refresh.py), how it is asked for (cli/).
"""

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from rrr_assets.warehouse.books import enter, lock_days, log_invalidations
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.sqlfiles import query

_HELD: Final = "select day from coverage where instrument = %s and stream = %s and not is_dropped order by day"


@dataclass(frozen=True, slots=True)
class Declared:
    """What is to hold of an instrument from now on; None leaves it as it is."""

    price_scale: int | None = None
    size_scale: int | None = None
    bars_stream: str | None = None
    listed_on: date | None = None
    delisted_on: date | None = None


class NeverListed(ValueError):
    """An instrument would be delisted before it is listed."""


def declare(database: Database, instrument: str, declared: Declared) -> list[date] | None:
    """Close an instrument's current row and open another.

    Where its bars come from another stream now, the days that are held of that stream are logged as changed: they are refreshed from it.
    A day that is held of the other stream alone keeps its bars, for nothing better is known of it.

    Returns:
        The days to be refreshed; None where the instrument has no current row, or somebody else replaced it at this very moment.

    Raises:
        NeverListed: nothing was changed.
    """
    with database.connect(Role.WRITER) as connection, connection.transaction():
        enter(connection)
        relation = f"raw_{declared.bars_stream}"
        days = [day for (day,) in connection.execute(_HELD, (instrument, declared.bars_stream)).fetchall()]
        # Before the instrument's row, as a load does: what it logs of these days is then before or after this, as it commits.
        lock_days(connection, relation, [instrument], days)
        row = connection.execute(query("replace_instrument"), {"instrument": instrument, **asdict(declared)}).fetchone()
        if row is None:
            return None
        listed, delisted, stream, stream_before = row
        if listed is not None and delisted is not None and delisted <= listed:
            raise NeverListed(
                f"{instrument} cannot be delisted on {delisted} when it is listed on {listed}. Give a later day; nothing was changed"
            )
        if stream == stream_before:
            return []
        starts = [datetime.combine(day, time(), UTC) for day in days]
        windows = [(instrument, start.date(), start, start + timedelta(days=1)) for start in starts]
        log_invalidations(connection, relation, windows, "declaration", None)
    return days
