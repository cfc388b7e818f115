"""How long the archive keeps what was superseded, and how often it is looked at: numbers alone, because the command line loads them.

Belongs here: those times. Does not: what is kept and looked at (lake/).
"""

from typing import Final

KEEP_DAYS: Final = 30
"""How long the files of a proof stay readable after another proof took its place, in days."""

SAFE_HOURS: Final = 24
"""How old a file must be before it counts as left behind: no writer is under way that long."""

SCRUB_DAYS: Final = 7
"""How often every file is read back whole, in days."""
