"""What a contract is made of: columns with types and units, keys, retention, owner.

Belongs here: the vocabulary, and how a logical type reads in SQL and in Arrow. Does not: any one table.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa


class Type(Enum):
    """A logical type: its name in PostgreSQL's catalogue, and its Arrow type in reads.

    Money is `numeric` without precision in the database, because a declared scale rounds what is inserted
    without a word; the loader has refused what does not fit before.
    """

    TEXT = ("text",)
    BIGINT = ("bigint",)
    SMALLINT = ("smallint",)
    INTEGER = ("integer",)
    BOOLEAN = ("boolean",)
    DATE = ("date",)
    DATE_RANGE = ("daterange",)
    TIME = ("timestamp with time zone",)
    TIME_RANGES = ("tstzmultirange",)
    ID_RANGES = ("int8multirange",)
    PRICE = ("numeric", "a price")
    VOLUME = ("numeric", "a sum of sizes, which a read hands out wider where it has to")
    SIZE = ("numeric", "a size")
    NOTIONAL = ("numeric", "a sum of prices times sizes, which a read hands out wider where it has to")
    NUMBER = ("numeric", "any other, which a read hands out as text")
    STATISTIC = ("double precision",)  # not money: a score, a ratio or a duration of the quality ledgers, which alone have it
    STATISTICS = ("double precision[]",)  # not money: as above
    TEXTS = ("text[]",)
    JSON = ("jsonb",)

    def __init__(self, sql: str, _apart: str = "") -> None:
        self.sql = sql

    @property
    def arrow(self) -> "pa.DataType":
        """The Arrow type of its values in reads."""
        # Here, and not above: the graph is loaded from contracts by many processes that read nothing, and Arrow is half of what that takes.
        from rrr_assets.contracts.arrow_types import ARROW_TYPES

        return ARROW_TYPES[self]


@dataclass(frozen=True, slots=True)
class Range:
    """Between which values a number lies; both ends belong to it, but for `minimum` where `is_above` says otherwise."""

    minimum: int | None = None
    maximum: int | None = None
    is_above: bool = False

    @property
    def told(self) -> str:
        """The range in signs, to stand after a column's name: '> 0', '>= 1', 'from -1 to 1'."""
        if self.minimum is not None and self.maximum is not None:
            return f"from {self.minimum} to {self.maximum}"
        if self.minimum is None:
            return f"<= {self.maximum}"
        return f"{'>' if self.is_above else '>='} {self.minimum}"


POSITIVE: Final = Range(0, is_above=True)
NOT_NEGATIVE: Final = Range(0)
AT_LEAST_ONE: Final = Range(1)
SHARE: Final = Range(0, 1)


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `unit` is of the value ('quote asset', 'base asset or contracts', 'UTC'); `accepted` closes its values, and
    `range` bounds them. `is_in_doubles` says that a comment tells so, for a unit that exact numbers have too.
    """

    name: str
    type: Type
    description: str
    nullable: bool = False
    unit: str | None = None
    accepted: tuple[str, ...] | None = None
    range: Range | None = None
    is_in_doubles: bool = False

    @property
    def comment(self) -> str:
        """The column's comment in the database: as `told`, and whether it is in doubles, where that says so."""
        return f"{self.description} [in doubles: {self.unit}]" if self.is_in_doubles else self.told

    @property
    def told(self) -> str:
        """The description, and the unit where there is one: for where the type stands beside it."""
        return self.description if self.unit is None else f"{self.description} [{self.unit}]"


@dataclass(frozen=True, slots=True)
class Retention:
    """How long rows stay in each tier, in days from their event time; None means for ever, 0 that the tier is skipped."""

    hot_days: int | None
    warm_days: int | None
    cold_days: int | None
    delete_after_days: int | None


FOR_EVER: Final = Retention(None, None, None, None)
TRADES_RETENTION: Final = Retention(hot_days=7, warm_days=30, cold_days=2 * 365, delete_after_days=3 * 365)
QUOTES_RETENTION: Final = Retention(hot_days=1, warm_days=7, cold_days=90, delete_after_days=365)
BARS_RETENTION: Final = Retention(hot_days=90, warm_days=365, cold_days=5 * 365, delete_after_days=7 * 365)
# Twice as large as bars, and read in bulk, which the archive's files serve better than the database's rows.
FEATURES_RETENTION: Final = Retention(hot_days=7, warm_days=90, cold_days=5 * 365, delete_after_days=7 * 365)
SENTIMENT_RETENTION: Final = Retention(hot_days=30, warm_days=365, cold_days=None, delete_after_days=None)
ORDERS_RETENTION: Final = Retention(hot_days=365, warm_days=3 * 365, cold_days=7 * 365, delete_after_days=10 * 365)


@dataclass(frozen=True, slots=True)
class Promise:
    """By when a UTC day of a table is whole, and of how many days in a thousand that is held.

    It is what holds where the settings of quality say nothing of an instrument (calc/quality_config).
    """

    whole_after_hours: int
    days_in_1000: int = 999


@dataclass(frozen=True, slots=True)
class Table:
    """One table: what it means, its columns in order, its primary key, who answers for it and how long it is kept.

    `identity` is what may be there once where that is less than the key. `ordered` are pairs of columns of which the first is never
    above the second; `in_order` are two columns of which the second never steps back along the first, within the rest of the identity.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    owner: str
    retention: Retention = FOR_EVER
    time_column: str | None = None
    identity: tuple[str, ...] | None = None
    ordered: tuple[tuple[str, str], ...] = ()
    in_order: tuple[str, str] | None = None
    promise: Promise | None = None

    def column(self, name: str) -> Column:
        """The column of that name.

        Raises:
            KeyError: there is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name}")

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names in the order of the table."""
        return tuple(column.name for column in self.columns)

    def arrow_schema(self) -> "pa.Schema":
        """The table as a public read returns it: exact decimals, UTC microseconds."""
        import pyarrow as pa

        return pa.schema([pa.field(c.name, c.type.arrow, nullable=c.nullable) for c in self.columns])
