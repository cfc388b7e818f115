"""What a day's work did: the words between the warehouse, which does it, and the stations, which report it.

Belongs here: results of loads, refreshes and comparisons, and the failures all sides know.
Does not: doing any of it.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal


class PermanentFailure(Exception):
    """Trying again will not help: the input or the state must change first. Never retried."""


class RawTradesGone(PermanentFailure):
    """The trades that bars would be made from were dropped by retention: the bars stay as they are."""

    def __init__(self, instrument: str, day: date) -> None:
        super().__init__(
            f"the trades of {instrument} on {day} were dropped by retention: its bars are not refreshed from what is left. "
            "Restore the trades first"
        )


class DayDropped(PermanentFailure):
    """A partition that is to be written, or read as a whole, is not in the database: retention dropped it."""

    def __init__(self, relation: str, partition: date, *, is_deleted: bool = False) -> None:
        where = "was deleted at the end of its time" if is_deleted else "is in the archive alone. Restore it first: `rrr restore`"
        super().__init__(f"{relation} of {partition} {where}")
        self.relation = relation
        self.partition = partition
        self.is_deleted = is_deleted


class RelationGone(PermanentFailure):
    """A table or a column that the platform needs is not in the database: somebody dropped it, or it was never made."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: somebody dropped it, or it was never made. `rrr migrate` makes what is new; what was dropped is in a backup"
        )


class NoSpaceLeft(PermanentFailure):
    """A disk is too full to go on; nothing was half written."""


class StoreUnreachable(Exception):
    """The object store did not answer, or answered with a fault of its own. It may pass: tried again after a wait."""


@dataclass(frozen=True, slots=True)
class FileTakenIn:
    """What one file gave to one day. Counts are of rows: rows_read = stored + revised + duplicates + quarantined."""

    file_id: int
    name: str
    batch_id: int | None
    rows_read: int
    rows_stored: int
    rows_revised: int
    duplicates: int
    quarantined: int
    instruments: tuple[str, ...]
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class DayLoaded:
    """What loading one day did, told after its transaction committed."""

    day: date
    files: tuple[FileTakenIn, ...]
    known_at: datetime | None
    seconds: float

    @property
    def rows_stored(self) -> int:
        return sum(file.rows_stored for file in self.files)


@dataclass(frozen=True, slots=True)
class DayRefreshed:
    """What refreshing one day of one bar table did.

    `changed` counts bars written or removed, `windows` what was looked at, `windows_columnar` those of them that were made of staged rows.
    """

    day: date
    interval: str
    bars: int
    changed: int
    windows: int
    windows_columnar: int = 0
    volume: dict[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DayCompared:
    """One day's verdicts by interval: counts of equal, explained, uncovered, unexplained."""

    day: date
    counts: dict[str, dict[str, int]]
    unexplained: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One rule of a check on one day: how many rows break it, out of how many."""

    rule: str
    is_blocking: bool
    broken: int
    looked_at: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DayHeld:
    """What is held of a stream's day: rows, instruments, and the expected instruments of which nothing is held."""

    rows: int
    instruments: int
    missing: tuple[str, ...]
