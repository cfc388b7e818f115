"""The conformance ledger: our bars held against the venues' own.

Belongs here: one day's transaction of verdicts. Does not: the rules (sql/queries/conformance_day.sql states
them), who is told about them (quality/).
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

from psycopg import sql

from rrr_assets.calc.outcomes import DayCompared
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.ledgers import STATUSES
from rrr_assets.warehouse.books import Connection, enter, lock_days
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.refresh import VERDICTS, VERDICTS_FOLLOW, note_applied, read_pending
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.tiers import OUR_BARS, BringBack, brought_back, require_here, share

_ONE_DAY: Final = timedelta(days=1)
_EXAMPLES: Final = 10
_UPSTREAM: Final = tuple(f"bars_{interval}" for interval in INTERVALS)
_OPENS_AT_CLOSE_BEFORE: Final = ("gemini",)
"""Venues whose bars look back: the first verdict of a day hangs on the day before."""


def compare_days(
    database: Database,
    days: Sequence[date],
    *,
    whole_days: bool,
    instruments: Sequence[str] | None = None,
    bring_back: BringBack | None = None,
) -> Iterator[DayCompared]:
    """Bring the ledger up to date, one transaction a day, yielding as each commits.

    Args:
        database: whose bars; entered as the writer.
        days: UTC days.
        whole_days: judge every instrument of the day again; otherwise only those of which something changed.
        instruments: only these; None for all.
        bring_back: brings bars back that were dropped and are to be judged; without it that is refused.

    Raises:
        DayDropped: bars of that time are in the archive alone.
    """
    with database.connect(Role.WRITER, autocommit=True) as connection:
        for day in days:

            def work(day: date = day) -> DayCompared:
                with connection.transaction():
                    return _compare_day(connection, day, whole_days, instruments)

            yield brought_back(bring_back, work)


def _compare_day(connection: Connection, day: date, whole_days: bool, instruments: Sequence[str] | None) -> DayCompared:
    enter(connection)
    judged = (*OUR_BARS, "venue_bars"), [day - _ONE_DAY, day, day + _ONE_DAY]
    share(connection, *judged)
    listed = connection.execute("select distinct instrument from coverage where day = %s order by instrument", (day,)).fetchall()
    on_day = [name for (name,) in listed]
    names = [name for name in on_day if instruments is None or name in instruments]
    lock_days(connection, VERDICTS, names, [day, day + _ONE_DAY])
    pending = read_pending(connection, VERDICTS, VERDICTS_FOLLOW, _ONE_DAY, day, names, _UPSTREAM)
    declared = connection.execute("select instrument, stream from bar_sources where instrument = any(%s)", (names,)).fetchall()
    streams: dict[str, str] = dict(declared)
    if names if whole_days else pending:
        # What was deleted beside the day is not there for anybody.
        require_here(connection, judged[0], [day])
        require_here(connection, *judged, but_deleted=True)
    for name in names if whole_days else pending:
        _judge(connection, name, streams.get(name, "trades"), day)
        if name.partition(":")[0] in _OPENS_AT_CLOSE_BEFORE:
            _judge(connection, name, streams.get(name, "trades"), day + _ONE_DAY)
    note_applied(connection, VERDICTS, day, pending)
    return _told(connection, day, on_day)


def _judge(connection: Connection, name: str, stream: str, day: date) -> None:
    """Judge one instrument's bars of a day at every interval."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    for interval, grid in INTERVALS.items():
        table = f"bars_{interval}"
        connection.execute(
            sql.SQL(query("conformance_day")).format(bars=sql.Identifier(table)),
            {
                "instrument": name, "stream": stream, "venue": name.partition(":")[0], "interval": interval, "grid": grid, "day": day,
                "consumer": table, "look_back": start - _ONE_DAY, "from_time": start, "to_time": start + _ONE_DAY,
            },
        )  # fmt: skip


def _told(connection: Connection, day: date, names: Sequence[str]) -> DayCompared:
    """The day's counts by interval and status, with some of the unexplained bars. By instrument, as the key is."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    bounds = (list(names), start, start + _ONE_DAY)
    counts = {interval: dict.fromkeys(STATUSES, 0) for interval in INTERVALS}
    rows = connection.execute(
        "select interval, status, count(*) from bar_conformance "
        "where instrument = any(%s) and bar_start >= %s and bar_start < %s group by interval, status",
        bounds,
    ).fetchall()
    for interval, status, count in rows:
        counts[interval][status] = count
    examples = connection.execute(
        "select format('%%s %%s %%s', instrument, interval, bar_start) from bar_conformance "
        "where instrument = any(%s) and bar_start >= %s and bar_start < %s and status = 'unexplained' order by bar_start limit %s",
        (*bounds, _EXAMPLES),
    ).fetchall()
    return DayCompared(day=day, counts=counts, unexplained=tuple(text for (text,) in examples))
