"""What features are made from, read where it is: in the database, or in the archive where it was dropped from it.

Belongs here: choosing the tier, and the columns that features need. Does not: what is made of them (calc/features).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from rrr_assets.calc.features.ticks import QUOTE_COLUMNS, TRADE_COLUMNS
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.contracts.base import Table
from rrr_assets.lake import reading
from rrr_assets.lake.planning import DELETED, away
from rrr_assets.lake.reading import Wanted
from rrr_assets.lake.store import Store
from rrr_assets.lake.windows import Asked, answer
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.features import Source, frame_of
from rrr_assets.warehouse.sqlfiles import query

if TYPE_CHECKING:
    import polars as pl

_ORDER: Final = ("event_time", "sequence")


class TieredTicks:
    """Reads the ticks of an instrument from the database, or from the archive where the day was dropped."""

    def __init__(self, database: Database) -> None:
        """Reads through sessions of its own."""
        self._database = database

    def trades(self, source: Source, since: datetime, until: datetime) -> "pl.DataFrame":
        """The trades that count in the instrument's bars, in order.

        Raises:
            FileUnreadable, StoreUnreachable, StoreUnusable, Unproven: what the archive holds of them cannot be read.
        """
        if source.space is None:
            return _empty(TRADE_COLUMNS)
        if source.is_dropped and (found := self._archived(source, source.relation, since, until)) is not None:
            return _as_frame(self._counted(source, found), TRADE_COLUMNS)
        statement = sql.SQL(query("features_trades")).format(ticks=sql.Identifier(source.relation))
        values = {"instrument": source.instrument, "space": source.space, "from_time": since, "to_time": until}
        with self._database.kept(Role.WRITER) as connection:
            return frame_of(connection, statement, values, TRADE_COLUMNS)

    def quotes(self, source: Source, since: datetime, until: datetime) -> "pl.DataFrame":
        """Best bids and asks, in order.

        Raises:
            FileUnreadable, StoreUnreachable, StoreUnusable, Unproven: what the archive holds of them cannot be read.
        """
        if not source.has_quotes:
            return _empty(QUOTE_COLUMNS)
        if source.are_quotes_dropped and (found := self._archived(source, "raw_quotes", since, until)) is not None:
            return _as_frame(found, QUOTE_COLUMNS)
        values = {"instrument": source.instrument, "from_time": since, "to_time": until}
        with self._database.kept(Role.WRITER) as connection:
            return frame_of(connection, sql.SQL(query("features_quotes")), values, QUOTE_COLUMNS)

    def are_deleted(self, source: Source, since: datetime, until: datetime) -> bool:
        """Whether retention left nothing of some of its ticks.

        Raises:
            Unproven: as `trades`.
        """
        gone = [source.relation] if source.is_dropped else []
        gone += ["raw_quotes"] if source.are_quotes_dropped else []
        if not gone:
            return False
        with self._database.kept(Role.WRITER) as connection:
            return any(part.tier == DELETED for part in away(connection, [ARCHIVED[name] for name in gone], since, until))

    def _archived(self, source: Source, relation: str, since: datetime, until: datetime) -> pa.Table | None:
        with self._database.connect(Role.WRITER, autocommit=True) as connection:
            found = answer(connection, Asked(ARCHIVED[relation], source.instrument, since, until), _ORDER)
        return None if found is None else found.rows

    def _counted(self, source: Source, rows: pa.Table) -> pa.Table:
        """Without the trades that the venue does not count in its bars."""
        rows = rows.filter(pc.equal(rows["space"], source.space))
        if rows["conditions"].null_count == len(rows):
            return rows
        with self._database.kept(Role.WRITER) as connection:
            venue = source.instrument.partition(":")[0]
            listed = connection.execute("select condition from trade_conditions where venue = %s and not counts", (venue,)).fetchall()
        uncounted = {condition for (condition,) in listed}
        counts = [uncounted.isdisjoint(each or ()) for each in rows["conditions"].to_pylist()]
        return rows.filter(pa.array(counts))


class ArchivedRows:
    """Reads the rows of tables that features are made from of partitions that were dropped from the database."""

    def __init__(self, database: Database) -> None:
        """Plans through sessions of its own."""
        self._database = database

    def rows(self, table: Table, columns: Sequence[str], names: Sequence[str], since: datetime, until: datetime) -> "pl.DataFrame":
        """Columns of the rows in [since, until) of the archive alone, numbers as doubles.

        Raises:
            FileUnreadable, StoreUnreachable, StoreUnusable, Unproven: what the archive holds of them cannot be read.
        """
        import polars as pl

        archived = ARCHIVED[table.name]
        chosen = [name for name in table.column_names if name in columns]
        with self._database.kept(Role.WRITER) as connection:
            parts = away(connection, [archived], since, until)
        store = Store.current()
        schema = pa.schema([archived.canonical_schema().field(name) for name in chosen])
        batches = [
            batch
            for part in parts
            for batch in reading.rows(store, archived, part.files, Wanted(names, part.restored, since, until), chosen)
        ]
        counted = {"quote_count"} & {*chosen}
        found = nearest(pa.Table.from_batches(batches, schema) if batches else schema.empty_table())
        return pl.DataFrame(found).select(columns).with_columns(pl.col(name).cast(pl.Int64) for name in counted)


def _as_frame(rows: pa.Table, columns: Sequence[str]) -> "pl.DataFrame":
    import polars as pl

    is_observed = pc.equal(rows["available_basis"], "observed")
    return pl.DataFrame(nearest(pa.table({name: is_observed if name == "is_observed" else rows[name] for name in columns})))


def nearest(rows: pa.Table) -> pa.Table:
    """Rows with every number as the double that is nearest to it."""
    columns = {}
    for name, each in zip(rows.column_names, rows.itercolumns(), strict=True):
        # Through text, as what the database prints: Arrow's own way from decimals to doubles is not always the nearest one.
        exact = each.cast(pa.string()) if pa.types.is_decimal(each.type) else each
        is_number = pa.types.is_decimal(each.type) or pa.types.is_integer(each.type)
        columns[name] = exact.cast(pa.float64()) if is_number else each
    return pa.table(columns)


def _empty(columns: Sequence[str]) -> "pl.DataFrame":
    import polars as pl

    time = pl.Datetime("us", "UTC")
    kinds: dict[str, pl.DataType] = {"event_time": time, "available_at": time, "is_observed": pl.Boolean()}
    return pl.DataFrame(schema={name: kinds.get(name, pl.Float64()) for name in columns})
