"""The contracts of the archive: which tables are archived, by which partition, in which order, and how each column is kept.

Belongs here: the form of an archived table, made from the contract of the table that it is the archive of. Does not: turning rows into
that form and back (calc/packing), writing files (lake/), when something is archived or dropped (archive/).

Prices and sizes of ticks are kept as whole numbers with the number of their decimals beside them: a column of decimals of one scale for
all instruments takes half as much again. `price = price_units / 10^price_scale`. What does not fit 64 bits stands in `exact`, as text.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, Literal

from rrr_assets.contracts.bars import BAR_REVISIONS, BARS
from rrr_assets.contracts.base import Column, Table, Type
from rrr_assets.contracts.desk import MARKET_SENTIMENT, ORDERS
from rrr_assets.contracts.features import FEATURE_REVISIONS_1M, FEATURES_1M, TICK_MINUTES
from rrr_assets.contracts.information_bars import INFORMATION_BARS
from rrr_assets.contracts.ticks import (
    AGG_TRADE_REVISIONS,
    DEPTH_REVISIONS,
    QUOTE_REVISIONS,
    RAW_AGG_TRADES,
    RAW_DEPTH,
    RAW_QUOTES,
    RAW_TRADES,
    TRADE_REVISIONS,
    VENUE_BARS,
)

if TYPE_CHECKING:
    import pyarrow as pa

Grain = Literal["day", "month"]

EXACT: Final = "exact"
"""A JSON object of the values that their columns cannot hold, as plain decimals by column; null for almost every row."""

UNITS: Final = "_units"
AVAILABLE_LAG: Final = "available_lag_us"
"""available_at less received_at, or less event_time where nothing was received: the same for whole files, so that it costs nothing."""

SCALES: Final = {Type.PRICE: "price_scale", Type.SIZE: "size_scale"}


@dataclass(frozen=True, slots=True)
class Archived:
    """How a table is archived.

    `stream` is what coverage calls the rows, None where coverage says nothing of them. `order` is the order of rows in a file; it
    begins with what partitions are made by readers to skip, and ends in a key. `is_packed` says whether prices and sizes are whole
    numbers with a scale. `follows` names the relations of the invalidation log that tell of its changes.
    """

    table: Table
    grain: Grain
    order: tuple[str, ...]
    follows: tuple[str, ...]
    stream: str | None = None
    is_packed: bool = False

    @property
    def name(self) -> str:
        """The name of the archived table, and of the table that it is the archive of."""
        return self.table.name

    @property
    def partition(self) -> str:
        """The column of the partition: its first day."""
        return f"archived_{self.grain}"

    def partition_of(self, day: date) -> date:
        """The first day of the partition that holds a day."""
        return day if self.grain == "day" else day.replace(day=1)

    def end_of(self, partition: date) -> date:
        """The first day after a partition."""
        return partition + timedelta(days=1) if self.grain == "day" else (partition + timedelta(days=32)).replace(day=1)

    def canonical_type(self, column: Column) -> "pa.DataType":
        """The type in which a column's values are compared and hashed: wide enough for every value that the database can hold of it."""
        from rrr_assets.calc.decimals import NOTIONAL, WIDE_SIZE

        if column.type is Type.NOTIONAL:
            return NOTIONAL
        if column.type is Type.VOLUME:
            return WIDE_SIZE
        return column.type.arrow

    def canonical_schema(self) -> "pa.Schema":
        """The rows as they are compared and hashed: the contract's columns, in its order."""
        import pyarrow as pa

        return pa.schema([pa.field(c.name, self.canonical_type(c), nullable=c.nullable) for c in self.table.columns])

    def stored_schema(self) -> "pa.Schema":
        """The columns of its files."""
        import pyarrow as pa

        fields = [pa.field(self.partition, pa.date32(), nullable=False)]
        for column in self.table.columns:
            if self.is_packed and column.type in SCALES:
                fields.append(pa.field(column.name + UNITS, pa.int64()))
            elif column.name == "available_at" and self.is_packed:
                fields.append(pa.field(AVAILABLE_LAG, pa.int64(), nullable=False))
            else:
                fields.append(pa.field(column.name, column.type.arrow, nullable=column.nullable or column.type in _MAY_NOT_FIT))
        if self.is_packed:
            used = {column.type for column in self.table.columns}
            fields += [pa.field(name, pa.int32()) for kind, name in SCALES.items() if kind in used]
        fields.append(pa.field(EXACT, pa.string()))
        return pa.schema(fields)


_MAY_NOT_FIT: Final = frozenset({Type.VOLUME, Type.NOTIONAL})

_TICK_ORDER: Final = ("instrument", "event_time", "sequence", "space")
_REVISION_ORDER: Final = ("instrument", "event_time", "sequence", "space", "revision_id")


def _ticks(table: Table, revisions: Table, stream: str) -> tuple[Archived, Archived]:
    return (
        Archived(table, "day", _TICK_ORDER, (table.name,), stream, is_packed=True),
        Archived(revisions, "day", _REVISION_ORDER, (table.name,), is_packed=True),
    )


ARCHIVED: Final[dict[str, Archived]] = {
    archived.name: archived
    for archived in (
        *_ticks(RAW_TRADES, TRADE_REVISIONS, "trades"),
        *_ticks(RAW_AGG_TRADES, AGG_TRADE_REVISIONS, "agg_trades"),
        *_ticks(RAW_QUOTES, QUOTE_REVISIONS, "quotes"),
        *_ticks(RAW_DEPTH, DEPTH_REVISIONS, "depth"),
        *(Archived(table, "month", ("instrument", "bar_start"), (table.name,)) for table in BARS.values()),
        Archived(
            BAR_REVISIONS, "month", ("instrument", "interval", "bar_start", "revision_id"), tuple(table.name for table in BARS.values())
        ),
        Archived(VENUE_BARS, "month", ("instrument", "interval", "bar_start"), (VENUE_BARS.name,), "venue_bars"),
        *(Archived(table, "month", ("instrument", "rule", "day", "bar_index"), (table.name,)) for table in INFORMATION_BARS.values()),
        # By day: a month of a hundred instruments would be a gigabyte, which one late trade would bring back as a whole.
        Archived(TICK_MINUTES, "day", ("instrument", "bar_start"), (TICK_MINUTES.name,)),
        Archived(FEATURES_1M, "day", ("instrument", "event_time"), (FEATURES_1M.name,)),
        Archived(FEATURE_REVISIONS_1M, "day", ("instrument", "event_time", "known_at"), (FEATURES_1M.name,)),
        # Nothing logs their changes: they are small, and are read to be compared.
        Archived(MARKET_SENTIMENT, "month", ("asset", "event_time", "sentiment_id"), ()),
        Archived(ORDERS, "month", ("instrument", "event_time", "order_id"), ()),
    )
}
"""Every archived table by its name."""


@dataclass(frozen=True, slots=True)
class ArchivedGroup:
    """Tables that are archived together, as one asset: rows and what they were before. All have one grain."""

    name: str
    description: str
    tables: tuple[Archived, ...]

    @property
    def grain(self) -> Grain:
        """Whether its partitions are days or months."""
        return self.tables[0].grain

    @property
    def owner(self) -> str:
        """Who answers for it."""
        return self.tables[0].table.owner


def _group(name: str, of: str, *tables: str) -> ArchivedGroup:
    grain = ARCHIVED[tables[0]].grain
    described = f"{of} of a {grain} as Iceberg tables in the object store, read back and proven equal to the database, value by value."
    return ArchivedGroup(name, described, tuple(ARCHIVED[table] for table in tables))


ARCHIVED_GROUPS: Final[dict[str, ArchivedGroup]] = {
    group.name: group
    for group in (
        _group("archived_trades", "The trades", "raw_trades", "trade_revisions"),
        _group("archived_agg_trades", "The aggregated trades", "raw_agg_trades", "agg_trade_revisions"),
        _group("archived_quotes", "The quotes", "raw_quotes", "quote_revisions"),
        _group("archived_depth", "The changes of order books", "raw_depth", "depth_revisions"),
        _group("archived_bars", "Our bars", *(table.name for table in BARS.values()), "bar_revisions"),
        _group("archived_venue_bars", "The venues' own bars", "venue_bars"),
        _group("archived_information_bars", "The bars by what was traded", *(table.name for table in INFORMATION_BARS.values())),
        _group("archived_features", "Features and the minutes of ticks", "features_1m", "feature_revisions_1m", "tick_minutes"),
        _group("archived_sentiment", "What was felt about assets", "market_sentiment"),
        _group("archived_orders", "The desk's orders", "orders"),
    )
}
"""Every asset of the archive by its name."""
