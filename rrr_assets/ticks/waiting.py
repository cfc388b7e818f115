"""What waits in the landing zone of this home.

Belongs here: the books' view of landed files, by day. Does not: accepting files (landing.py).
"""

from collections.abc import Sequence
from datetime import date, timedelta

from rrr_assets.ticks import landing
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.staging import StagedFile


def waiting_files(database: Database, stream: str, days: Sequence[date], *, all_files: bool) -> dict[date, list[StagedFile]]:
    """The landed files of some days that wait to be taken in, or all of them."""
    with database.kept(Role.WRITER) as connection:
        if all_files:
            connection.execute(query("landing_ask_again"), {"stream": stream, "days": list(days)})
        return landing.files_of_days(Home.current(), connection, stream, days)


def days_waiting(database: Database, settled_for: timedelta) -> list[tuple[date, str, tuple[str, ...]]]:
    """Days with landed files that wait, each with a mark that changes whenever more is asked for, and the streams of the files.

    Args:
        database: whose books.
        settled_for: only days of which nothing was asked for since so long: a run may be under way for the others.
    """
    with database.kept(Role.WRITER) as connection:
        rows = connection.execute(query("landing_days_waiting"), {"settled_for": settled_for}).fetchall()
    return [(day, f"{mark.isoformat()}/{files}", tuple(streams)) for day, mark, files, streams in rows]
