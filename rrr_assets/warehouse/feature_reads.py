"""Rows of features for many instruments at once, as they are now or as they were known at a time.

Belongs here: reading them in columns. Does not: which row a moment may see (calc/features/asof.py), one instrument's public read (read).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from psycopg import sql

from rrr_assets.calc.features.declare import BAR_INPUTS
from rrr_assets.contracts.base import Table
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.features import frame_of
from rrr_assets.warehouse.sqlfiles import query

if TYPE_CHECKING:
    import polars as pl


def feature_rows(
    database: Database, table: Table, names: Sequence[str], instruments: Sequence[str] | None, since: datetime, until: datetime,
    as_known_at: datetime | None = None, *, also: Sequence[str] = (),
) -> "pl.DataFrame":  # fmt: skip
    """`instrument`, `event_time`, `available_at` and some features of the rows that closed in [since, until].

    Args:
        database: whose rows; read as the analyst.
        table: contracts.features.FEATURES_1M.
        names: of the features.
        instruments: only these; None for all.
        since: UTC, the first close.
        until: UTC, the last close, itself among them.
        as_known_at: what was believed then; None for what is believed now.
        also: other columns of the table.

    Raises:
        psycopg.errors.ObjectNotInPrerequisiteState: what was known at that time is not final yet.
    """
    columns = list(dict.fromkeys(["instrument", "event_time", "available_at", *names, *also]))
    values = {
        "instruments": None if instruments is None else list(instruments), "since": since, "until": until, "as_known_at": as_known_at,
    }  # fmt: skip
    parts = {"columns": sql.SQL(", ").join(map(sql.Identifier, columns)), "table": sql.Identifier(table.name)}
    with database.kept(Role.ANALYST) as connection:
        if as_known_at is not None:
            connection.execute("select check_knowledge_time(%s)", (as_known_at,))
        name = "features_rows" if as_known_at is None else "features_rows_as_known"
        return frame_of(connection, sql.SQL(query(name)).format(**parts), values, columns)


def bars_as_known(
    database: Database, instruments: Sequence[str], since: datetime, until: datetime, as_known_at: datetime
) -> "pl.DataFrame":
    """`instrument`, `bar_start` and the numbers of 1-minute bars that start in [since, until), as they were believed at a time.

    Raises:
        psycopg.errors.ObjectNotInPrerequisiteState: what was known at that time is not final yet.
    """
    values = {"instruments": list(instruments), "since": since, "until": until, "as_known_at": as_known_at}
    with database.kept(Role.ANALYST) as connection:
        return frame_of(connection, sql.SQL(query("features_bars_as_known")), values, ["instrument", "bar_start", *BAR_INPUTS])
