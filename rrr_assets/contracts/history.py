"""Where history goes: the words for it, and nothing else, because the command line loads them.

Belongs here: the destinations of ticks of days that nothing is held of. Does not: which days are history (lake/history).
"""

from enum import StrEnum
from typing import Final


class Destination(StrEnum):
    """Where the ticks of a day go that nothing is held of. `auto`: into the archive where the day is older than the warm tier."""

    auto = "auto"
    database = "database"
    archive = "archive"


HISTORY_TO: Final = "RRR_HISTORY_TO"
"""Names the destination where nobody says another one; `auto` where it is not set."""
