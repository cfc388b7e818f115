"""Ticks of a day that the archive alone holds, for one transaction, under the names that queries of the database know.

Belongs here: temporary tables before the tables of ticks. Does not: which rows lie where (planning.py), reading files (reading.py).
A temporary table hides the one of its name: what reads raw_trades then reads the archive's rows, and knows nothing of it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from psycopg import sql

from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.lake import planning, reading
from rrr_assets.lake.planning import COLD, Connection
from rrr_assets.lake.reading import Wanted
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.intake import copy_batches

SHADOWED: Final = ("raw_trades", "raw_agg_trades", "raw_quotes")


def shadow(connection: Connection, since: datetime, until: datetime, instruments: Sequence[str] | None = None) -> list[str]:
    """Let the tables of ticks that a day's partition was dropped of hold its rows until the transaction ends; returns their names.

    Args:
        connection: of the writer, inside a transaction.
        since: begin of the day, in UTC.
        until: its end, excluded.
        instruments: only these; None for all.

    Raises:
        FileUnreadable: a file of the archive is not there, or not what was proven.
        StoreUnreachable: the store does not answer.
    """
    away = [part for part in planning.away(connection, [ARCHIVED[name] for name in SHADOWED], since, until) if part.tier == COLD]
    for part in away:
        name = part.archived.name
        target = sql.Identifier("pg_temp", name)
        connection.execute(
            sql.SQL("create temporary table {} (like public.{}) on commit drop").format(sql.Identifier(name), sql.Identifier(name))
        )
        wanted = Wanted(instruments=instruments, but=tuple(part.restored), since=since, until=until)
        copy_batches(connection, target, part.archived.table.column_names, reading.rows(Store.current(), part.archived, part.files, wanted))
        # What was brought back is read where it is.
        connection.execute(
            sql.SQL(
                "insert into {} select t.* from public.{} as t where t.event_time >= %s and t.event_time < %s and t.instrument = any(%s)"
            ).format(target, sql.Identifier(name)),
            (since, until, list(part.restored)),
        )
        connection.execute(sql.SQL("analyze {}").format(target))
    return [part.archived.name for part in away]
