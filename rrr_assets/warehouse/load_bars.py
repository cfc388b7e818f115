"""Storing the venues' own bars: one day, all or nothing, each bar once.

Belongs here: the day's transaction for venue bars. Does not: trades (load.py), our bars (refresh.py).
A bar that was captured while still open is replaced by the venue's later word; two closed bars that
differ are a conflict.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from time import perf_counter
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.outcomes import DayDropped, DayLoaded, FileTakenIn, NoSpaceLeft
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.parsed import VENUE_BARS
from rrr_assets.warehouse import tapes
from rrr_assets.warehouse.books import Connection, day_interval, draw_stamp, enter, lock_days, log_invalidations
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.intake import (
    RawText,
    copy_batches,
    next_batch,
    refused_table,
    register_instruments,
    statements,
    still_waiting,
    write_quarantine,
)
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.staging import REFUSED_STAGED, StagedFile
from rrr_assets.warehouse.tiers import claim

_UNIT_US: Final = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 7 * 86_400_000_000}


def load_bars_day(
    database: Database, day: date, files: Sequence[StagedFile], run_id: str | None, raw_text: RawText, is_replay: bool = False
) -> DayLoaded:
    """Store one day's venue bars of some files in one transaction; arguments and errors as `load.load_day`."""
    begun = perf_counter()
    try:
        with database.kept(Role.WRITER) as connection, connection.transaction():
            connection.execute("set local synchronous_commit = on")
            if not is_replay:
                files = still_waiting(connection, day, files)
            enter(connection)
            try:
                claim(connection, ["venue_bars"], [day])
            except DayDropped as gone:
                if not gone.is_deleted:
                    raise
                return _refuse_all(connection, day, files, str(gone))
            names = sorted({summary.instrument for file in files for summary in file.summaries(day)})
            register_instruments(connection, names)
            lock_days(connection, "venue_bars", names, [day])
            known_at = draw_stamp(connection)
            taken = [_take_in(connection, day, file, known_at, run_id, raw_text, is_replay) for file in files]
            reach("load_bars.before_commit")
    except psycopg.errors.DiskFull as error:
        raise NoSpaceLeft(
            f"the database's disk is full: no venue bar of {day} was stored. Free space and materialise the day again"
        ) from error
    return replace(DayLoaded(day=day, files=tuple(taken), known_at=known_at, seconds=0.0), seconds=perf_counter() - begun)


def _refuse_all(connection: Connection, day: date, files: Sequence[StagedFile], blocker: str) -> DayLoaded:
    """Refuse every file of a day of which nothing is kept any more: that does not change by waiting."""
    counted: dict[str, Any] = dict.fromkeys(("rows_read", "rows_stored", "rows_revised", "duplicates", "quarantined"), 0)
    taken = []
    for file in files:
        connection.execute(
            "update landing_days set is_pending = false, refused = %s where file_id = %s and day = %s", (blocker, file.file_id, day)
        )
        names = tuple(summary.instrument for summary in file.summaries(day))
        taken.append(FileTakenIn(file_id=file.file_id, name=file.name, batch_id=None, instruments=names, refused=blocker, **counted))
    return DayLoaded(day=day, files=tuple(taken), known_at=draw_stamp(connection), seconds=0.0)


def _take_in(
    connection: Connection, day: date, file: StagedFile, known_at: Any, run_id: str | None, raw_text: RawText, is_replay: bool
) -> FileTakenIn:
    batch_id = next_batch(connection)
    summaries = file.summaries(day)
    refused = file.refused(day)
    for statement in statements("load_bars_make_incoming"):
        connection.execute(statement)
    batches = list(file.rows(day))
    copy_batches(connection, "incoming_bars", VENUE_BARS.names, batches)
    connection.execute(query("load_bars_judge"))
    counts: dict[str, int] = dict(connection.execute("select verdict, count(*) from judged_bars group by verdict").fetchall())
    stamps = {"known_at": known_at, "batch_id": batch_id}
    connection.execute(query("load_bars_store"), stamps)
    if counts.get("conflict"):
        refused = pa.concat_tables([refused, _conflicts(connection, file, raw_text)])
    write_quarantine(connection, file, day, stamps, refused)
    windows = connection.execute(query("load_bars_windows")).fetchall()
    log_invalidations(connection, "venue_bars", [(name, day, a, b) for name, a, b in windows], "load", batch_id)
    _cover(connection, day, file, batches)
    counted: dict[str, Any] = {
        "rows_read": sum(s.rows for s in summaries) + len(file.refused(day)),
        "rows_stored": counts.get("new", 0),
        "rows_revised": counts.get("closed", 0),
        "duplicates": counts.get("duplicate", 0),
        "quarantined": len(refused),
    }
    connection.execute(
        query("load_insert_batch"),
        {**counted, **stamps, "file_id": file.file_id, "day": day, "stream": "venue_bars", "time_unit": file.time_unit, "run_id": run_id},
    )
    if not is_replay:
        connection.execute(
            "update landing_days set is_pending = false, refused = null where file_id = %s and day = %s", (file.file_id, day)
        )
    return FileTakenIn(
        file_id=file.file_id, name=file.name, batch_id=batch_id, instruments=tuple(s.instrument for s in summaries), **counted
    )


def _cover(connection: Connection, day: date, file: StagedFile, batches: Sequence[pa.RecordBatch]) -> None:
    table = pa.Table.from_batches(batches, VENUE_BARS)
    start, end = day_interval(day)
    is_declared = file.declared is not None and file.declared[0] <= day < file.declared[1]
    for interval in pc.unique(table.column("interval")).to_pylist():
        of_interval = table.filter(pc.equal(table.column("interval"), interval))
        length = int(interval[:-1]) * _UNIT_US[interval[-1]]
        stream = f"venue_bars_{interval}"
        for name in pc.unique(of_interval.column("instrument")).to_pylist():
            times = of_interval.filter(pc.equal(of_interval.column("instrument"), name)).column("bar_start").cast(pa.int64())
            listed = (pc.min(times).as_py(), min(pc.max(times).as_py() + length, end))
            known = tapes.read_coverage(connection, stream, [name], day)
            span = (start, end) if is_declared else listed
            windows = tapes.cover_bars(connection, stream, day, file, span, length, is_declared, [name], known)
            if interval in INTERVALS:
                log_invalidations(connection, "venue_bars", windows, "coverage", None)


def _conflicts(connection: Connection, file: StagedFile, raw_text: RawText) -> pa.Table:
    found = connection.execute(query("load_bars_conflicts")).fetchall()
    raw = raw_text(file, [row[0] for row in found])
    rows = [
        (
            line,
            "conflict",
            f"bar {start.isoformat()} of {name}: {told} here, {stored} stored, both closed",
            raw.get(line, ""),
            name,
            start,
            None,
        )
        for line, name, start, told, stored in found
    ]
    return refused_table(rows) if rows else REFUSED_STAGED.empty_table()
