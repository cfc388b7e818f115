"""Storing ticks (trades, aggregated trades, quotes, depth): one day, all or nothing, each row once.

Belongs here: the day's transaction for one stream, from staged rows to rows, batch, coverage, quarantine and
invalidations. Does not: what differs between the streams (tick_tables.py), corrections (correct.py), venue bars
(load_bars.py), files (staging.py), what a run reports (ticks/).
Rows whose ids lie outside all that is stored are copied straight in; the others are staged beside the
table and judged one by one: new, known, told more precisely, or in conflict. The unique index is the
backstop of both. A day that has no partition yet is copied into a table beside, which is indexed once
it is full and attached before anything has to read it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from time import perf_counter
from typing import Any, Final, Protocol

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from rrr_assets.calc.decimals import scales
from rrr_assets.calc.numbers import plain
from rrr_assets.calc.outcomes import DayDropped, DayLoaded, FileTakenIn, NoSpaceLeft
from rrr_assets.contracts.venues import venue_called
from rrr_assets.warehouse import tapes
from rrr_assets.warehouse.books import Connection, draw_stamp, enter, from_us, lock_days, log_invalidations
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.correct import Corrections
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.intake import (
    RawText,
    copy_batches,
    next_batch,
    refused_table,
    register_instruments,
    still_waiting,
    write_quarantine,
)
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.staging import REFUSED_STAGED, DaySummary, StagedFile
from rrr_assets.warehouse.tick_tables import CONSECUTIVE, TICK_TABLES, TickTable
from rrr_assets.warehouse.tiers import claim, require_here, share, thaw

_COPY_ROWS: Final = 65_536
_ONE_DAY: Final = timedelta(days=1)


class NotApart(Exception):
    """Rows may be held already, so that they have to be judged one by one, which only the table allows."""


@dataclass(slots=True)
class _Counts:
    stored: int = 0
    revised: int = 0
    duplicates: int = 0
    quarantined: int = 0


def load_day(
    database: Database, day: date, files: Sequence[StagedFile], run_id: str | None, raw_text: RawText, is_replay: bool = False
) -> DayLoaded:
    """Store one day's ticks of some files in one transaction.

    Args:
        database: where it is stored.
        day: UTC day; only the files' rows of that day are looked at.
        files: staged files of one stream, in the order in which they count when they disagree: the first one wins. Among
            those of trades may be corrections: they are applied when the trades are in.
        run_id: the Dagster run, for the batches.
        raw_text: reads raw lines of a landed file, for rows that turn out to conflict.
        is_replay: the rows are quarantined lines that come back, so that their groups of equal times are known to be partial.

    Raises:
        NoSpaceLeft: the database's disk is full; nothing of the day was stored.
        DayDropped: the day, or one beside it that holds some of these rows, is in the archive alone.
    """
    begun = perf_counter()
    try:
        with database.kept(Role.WRITER) as connection, connection.transaction():
            connection.execute("set local synchronous_commit = on")
            kind = TICK_TABLES["trades" if files[0].stream == "corrections" else files[0].stream]
            outcome = DayLoad(kind, connection, day, run_id, raw_text, is_replay=is_replay).load(files)
            reach("load.before_commit")
    except psycopg.errors.DiskFull as error:
        raise NoSpaceLeft(f"the database's disk is full: nothing of {day} was stored. Free space and materialise the day again") from error
    reach("load.after_commit")
    return replace(outcome, seconds=perf_counter() - begun)


class Shelf(tapes.HeldRows, Protocol):
    """Where the rows of a day go that nothing like them can be held of, and where they are found again."""

    def open(self) -> None:
        """Make ready, before the day's locks are taken."""

    def put(
        self, file: StagedFile, instruments: AbstractSet[str], stamps: Mapping[str, tuple[Any, pa.DataType]],
        within: Callable[[pa.RecordBatch], pa.RecordBatch],
    ) -> int:  # fmt: skip
        """Put a file's rows of some instruments there, with these stamps, as far as `within` lets them pass; returns how many."""

    def close(self) -> None:
        """Let the rows be looked at by everybody in this transaction. More than once, it does nothing more."""


class _Table(tapes.StoredRows):
    """The stream's table as a shelf: a new day is filled beside it and attached."""

    def __init__(self, connection: Connection, kind: TickTable, day: date) -> None:
        super().__init__(connection, kind)
        self._day = day
        self._beside: str | None = None

    def open(self) -> None:
        row = self.connection.execute("select begin_day_partition(%s, %s)", (self.kind.name, self._day)).fetchone()
        self._beside = row[0] if row else None

    def put(
        self, file: StagedFile, instruments: AbstractSet[str], stamps: Mapping[str, tuple[Any, pa.DataType]],
        within: Callable[[pa.RecordBatch], pa.RecordBatch],
    ) -> int:  # fmt: skip
        kept = (within(batch) for batch in stored_batches(file, self._day, self.kind, instruments))
        rows = (with_constants(batch, self.kind, stamps) for batch in kept)
        return copy_batches(self.connection, self._beside or self.kind.name, (*self.kind.stored, *stamps), rows)

    def close(self) -> None:
        if self._beside is not None:
            self.connection.execute("select attach_day_partition(%s, %s)", (self.kind.name, self._day))
            self._beside = None


class DayLoad:
    """The transaction of one stream's day, which the caller has begun and commits.

    Rows that are apart from all that is held go onto the shelf, by default the stream's table; the others are judged, and can only be
    stored in the table.
    """

    def __init__(
        self, kind: TickTable, connection: Connection, day: date, run_id: str | None, raw_text: RawText, *, is_replay: bool = False,
        shelf: Shelf | None = None,
    ) -> None:  # fmt: skip
        self._kind = kind
        self._connection = connection
        self._day = day
        self._run_id = run_id
        self._raw_text = raw_text
        self._is_replay = is_replay
        self._shelf: Shelf = _Table(connection, kind, day) if shelf is None else shelf
        self._is_elsewhere = shelf is not None

    def load(self, files: Sequence[StagedFile]) -> DayLoaded:
        """Take in every file, then bring coverage up to date and log what changed."""
        # Before anything is waited for: a batch counts as begun when its transaction began, whenever it enters.
        enter(self._connection)
        if not self._is_replay:
            files = still_waiting(self._connection, self._day, files)
        if not files:
            return DayLoaded(day=self._day, files=(), known_at=None, seconds=0.0)
        summaries = {file.file_id: file.summaries(self._day) for file in files}
        instruments = sorted({summary.instrument for found in summaries.values() for summary in found})
        # Partitions before days. Those beside it are shared too: a trade that is told again may have moved there.
        tables = (self._kind.name, self._kind.revisions.name)
        share(self._connection, tables, [self._day - _ONE_DAY, self._day + _ONE_DAY])
        if not self._is_elsewhere:
            try:
                claim(self._connection, tables, [self._day])
            except DayDropped as gone:
                if not gone.is_deleted:
                    raise
                return self._refuse_all(files, summaries, str(gone))
        # Before the locks of days: who waits for another writer of the same new day holds nothing that others want.
        self._shelf.open()
        # A correction of a trade that nobody told makes no instrument known.
        told = {summary.instrument for file in files if file.stream == self._kind.stream for summary in summaries[file.file_id]}
        register_instruments(self._connection, sorted(told))
        lock_days(self._connection, self._kind.name, instruments, [self._day - _ONE_DAY, self._day, self._day + _ONE_DAY])
        reach("load.locked")
        self._known_at = draw_stamp(self._connection)
        self._coverage = tapes.read_coverage(self._connection, self._kind.stream, instruments, self._day)
        taken = [self._take_in(file, summaries[file.file_id]) for file in files if file.stream == self._kind.stream]
        self._shelf.close()
        corrections = [file for file in files if file.stream == "corrections"]
        if corrections:
            apply = Corrections(self._connection, self._kind, self._day, self._known_at, self._run_id, self._raw_text)
            taken += [apply.take_in(file, self._coverage, settle=not self._is_replay) for file in corrections]
        reach("load.ledgered")
        return DayLoaded(day=self._day, files=tuple(taken), known_at=self._known_at, seconds=0.0)

    def _refuse_all(self, files: Sequence[StagedFile], summaries: Mapping[int, list[DaySummary]], blocker: str) -> DayLoaded:
        """Refuse every file of a day of which nothing is kept any more: that does not change by waiting."""
        self._known_at = draw_stamp(self._connection)
        taken = []
        for file in files:
            names = tuple(summary.instrument for summary in summaries[file.file_id])
            taken.append(self._refuse(file, next_batch(self._connection), blocker, names, file.refused(self._day)))
        return DayLoaded(day=self._day, files=tuple(taken), known_at=self._known_at, seconds=0.0)

    def _take_in(self, file: StagedFile, summaries: list[DaySummary]) -> FileTakenIn:
        rows_read = sum(summary.rows for summary in summaries)
        refused = file.refused(self._day)
        blocker = self._other_space(file, summaries) or self._other_precision(file, summaries)
        batch_id = next_batch(self._connection)
        if blocker is not None:
            return self._refuse(file, batch_id, blocker, tuple(summary.instrument for summary in summaries), refused)
        counts = _Counts()
        held_to = self._scales(summaries)
        direct = {s.instrument for s in summaries if self._is_apart(file, s)}
        judged = [s for s in summaries if s.instrument not in direct]
        over_scale: list[pa.Table] = []
        windows: list[tuple[str, datetime, datetime]] = []
        if direct:
            counts.stored += self._copy_in(file, batch_id, direct, held_to, over_scale)
            windows += [(s.instrument, from_us(s.lowest_time), from_us(s.highest_time + 1)) for s in summaries if s.instrument in direct]
        reach("load.copied")
        in_part = {name for table in over_scale for name in table.column("instrument").to_pylist()}
        if judged:
            if self._is_elsewhere:
                raise NotApart(f"{file.name}: rows of {judged[0].instrument} on {self._day} have to be judged against what is held")
            self._shelf.close()
            refused = pa.concat_tables([refused, self._judge(file, batch_id, judged, held_to, counts, windows)])
        refused = pa.concat_tables([refused, *over_scale])
        counts.quarantined = len(refused)
        stamps = {"known_at": self._known_at, "batch_id": batch_id}
        write_quarantine(self._connection, file, self._day, stamps, refused)
        log_invalidations(self._connection, self._kind.name, [(name, self._day, a, b) for name, a, b in windows], "load", batch_id)
        changed = {name for name, _, _ in windows}
        for summary in summaries:
            if summary.instrument not in changed and self._is_covered(file, summary.instrument):
                continue
            is_whole = summary.instrument in direct and summary.instrument not in in_part
            fresh = summary if is_whole and self._held(summary.instrument) is None else None
            if fresh is None:
                self._shelf.close()
            self._cover(file, batch_id, summary, fresh)
        self._connection.execute(
            query("load_insert_batch"),
            {
                "batch_id": batch_id, "file_id": file.file_id, "day": self._day, "stream": self._kind.stream, "time_unit": file.time_unit,
                "rows_read": rows_read + len(file.refused(self._day)), "rows_stored": counts.stored, "rows_revised": counts.revised,
                "duplicates": counts.duplicates, "quarantined": counts.quarantined, "known_at": self._known_at, "run_id": self._run_id,
            },
        )  # fmt: skip
        self._settle(file, None)
        return FileTakenIn(
            file_id=file.file_id,
            name=file.name,
            batch_id=batch_id,
            rows_read=counts.stored + counts.revised + counts.duplicates + counts.quarantined,
            rows_stored=counts.stored,
            rows_revised=counts.revised,
            duplicates=counts.duplicates,
            quarantined=counts.quarantined,
            instruments=tuple(summary.instrument for summary in summaries),
        )

    def _refuse(self, file: StagedFile, batch_id: int, blocker: str, names: tuple[str, ...], refused: pa.Table) -> FileTakenIn:
        """Take nothing in but the lines that are no rows, whatever is said of the others: they go to quarantine."""
        stamps = {"known_at": self._known_at, "batch_id": batch_id}
        counted: dict[str, Any] = dict.fromkeys(("rows_stored", "rows_revised", "duplicates"), 0)
        counted |= {"rows_read": len(refused), "quarantined": len(refused)}
        if len(refused):
            write_quarantine(self._connection, file, self._day, stamps, refused)
            facts = {"file_id": file.file_id, "day": self._day, "stream": self._kind.stream, "time_unit": file.time_unit}
            self._connection.execute(query("load_insert_batch"), {**counted, **stamps, **facts, "run_id": self._run_id})
        self._settle(file, blocker)
        return FileTakenIn(
            file_id=file.file_id, name=file.name, batch_id=batch_id if len(refused) else None, instruments=names, refused=blocker, **counted
        )

    def _held(self, instrument: str) -> tapes.Held | None:
        held = self._coverage.get((instrument, self._day))
        return held if held is not None and held.row_count else None

    def _is_covered(self, file: StagedFile, instrument: str) -> bool:
        """Whether a file that changed nothing of an instrument has nothing to add to its coverage either."""
        held = self._held(instrument)
        return held is not None and not self._is_replay and file.space in CONSECUTIVE and not tapes.may_extend(file, self._day, held)

    def _may_hold(self, day: date, file: StagedFile, judged: Sequence[DaySummary]) -> bool:
        """Whether a day beside this one may hold any of the ids."""
        for summary in judged:
            held = self._coverage.get((summary.instrument, day))
            is_same_space = held is not None and held.row_count > 0 and held.space == file.space
            if held is not None and is_same_space and held.first_sequence <= summary.highest_id and summary.lowest_id <= held.last_sequence:
                return True
        return False

    def _other_space(self, file: StagedFile, summaries: list[DaySummary]) -> str | None:
        for summary in summaries:
            held = self._held(summary.instrument)
            if held is not None and held.space != file.space:
                return (
                    f"{file.name} identifies its {self._kind.stream} by {file.space}, but {summary.instrument} on {self._day} is held by "
                    f"{held.space}: two identities would double them. Take in a source with {held.space}"
                )
        return None

    def _other_precision(self, file: StagedFile, summaries: list[DaySummary]) -> str | None:
        """Without ids, the same row at another precision has another place in time, and would be stored twice."""
        if file.space != "ordinal" or self._is_replay:
            return None
        units = sql.SQL(query("load_time_units")).format(table=sql.Identifier(self._kind.name))
        for summary in summaries:
            held = self._held(summary.instrument)
            if held is None or summary.highest_time < held.first_time or held.last_time < summary.lowest_time:
                continue
            values = {"instrument": summary.instrument, "from_time": self._day, "to_time": self._day + _ONE_DAY}
            others = [unit for (unit,) in self._connection.execute(units, values).fetchall() if unit != file.time_unit]
            if others:
                return (
                    f"{file.name} tells the times of {self._kind.stream} in {file.time_unit}, but {summary.instrument} on {self._day} is "
                    f"held from a source that tells them in {others[0]}, and neither has ids: nothing says which of them are the same, and "
                    "both would double them. Keep one of the two: `rrr batch undo` takes the other back"
                )
        return None

    def _is_apart(self, file: StagedFile, summary: DaySummary) -> bool:
        """Whether none of the rows can be stored already: ids in order, outside all that is held, and never ended."""
        if self._is_replay or not summary.is_increasing:
            return False
        if any(self._may_hold(day, file, [summary]) for day in (self._day - _ONE_DAY, self._day, self._day + _ONE_DAY)):
            return False
        ended = sql.SQL(
            "select 1 from {} where instrument = %s and space = %s and sequence between %s and %s "
            "and event_time >= %s and event_time < %s limit 1"
        ).format(sql.Identifier(self._kind.revisions.name))
        bounds = (summary.instrument, file.space, summary.lowest_id, summary.highest_id, self._day - _ONE_DAY, self._day + 2 * _ONE_DAY)
        return self._connection.execute(ended, bounds).fetchone() is None

    def _scales(self, summaries: list[DaySummary]) -> dict[str, tuple[int, int]]:
        """The decimals of price and size that each instrument is held to."""
        rows = self._connection.execute(
            "select instrument, price_scale, size_scale from instruments where valid_to is null and instrument = any(%s)",
            ([summary.instrument for summary in summaries],),
        )
        return {name: (price_scale, size_scale) for name, price_scale, size_scale in rows}

    def _copy_in(
        self, file: StagedFile, batch_id: int, instruments: set[str], held_to: Mapping[str, tuple[int, int]], refusals: list[pa.Table]
    ) -> int:
        stamps = {"known_at": (self._known_at, pa.timestamp("us", "UTC")), "batch_id": (batch_id, pa.int64())}
        return self._shelf.put(file, instruments, stamps, lambda batch: self._within_scale(file, batch, held_to, refusals))

    def _judge(
        self, file: StagedFile, batch_id: int, judged: list[DaySummary], held_to: Mapping[str, tuple[int, int]],
        counts: _Counts, windows: list[tuple[str, datetime, datetime]],
    ) -> pa.Table:  # fmt: skip
        """Stage the rows beside the table, judge them, store what is new or finer; returns the rows refused."""
        connection = self._connection
        beside = [day for day in (self._day - _ONE_DAY, self._day + _ONE_DAY) if self._may_hold(day, file, judged)]
        thaw(connection, require_here(connection, (self._kind.name, self._kind.revisions.name), beside))
        # Statements without parameters may go together.
        connection.execute(self._kind.sql("load_make_incoming"))
        refusals: list[pa.Table] = []
        found = stored_batches(file, self._day, self._kind, {s.instrument for s in judged})
        kept = (self._within_scale(file, batch, held_to, refusals) for batch in found)
        told = copy_batches(connection, "incoming", ("line", *self._kind.stored), kept)
        connection.execute("analyze incoming")
        self._tell_repeats(file, batch_id, judged)
        # The day's partition has no statistics yet: taken for empty, it is joined row by row, for minutes. A hash is always right here.
        connection.execute("set local enable_nestloop = off")
        connection.execute("set local enable_mergejoin = off")
        # A day that comes again is joined with itself: in memory, or it goes to disk and back.
        connection.execute("set local work_mem = '128MB'")
        bounds = {
            "instruments": [s.instrument for s in judged],
            "space": file.space,
            "time_unit": file.time_unit,
            "from_time": self._day - _ONE_DAY * self._may_hold(self._day - _ONE_DAY, file, judged),
            "to_time": self._day + _ONE_DAY + _ONE_DAY * self._may_hold(self._day + _ONE_DAY, file, judged),
            "day_before": self._day - _ONE_DAY,
            "days_after": self._day + 2 * _ONE_DAY,
            "lowest_sequence": min(s.lowest_id for s in judged),
            "highest_sequence": max(s.highest_id for s in judged),
            # Groups of equal times are compared whole.
            "keeps_known": file.space == "ordinal",
            "known_at": self._known_at,
            "batch_id": batch_id,
        }
        connection.execute(self._kind.sql("load_judge"), bounds)
        connection.execute(self._kind.sql("load_judge_copies"))
        if file.space == "ordinal" and not self._is_replay:
            connection.execute(self._kind.sql("load_judge_groups"), bounds)
        verdicts: dict[str, int] = dict(connection.execute("select verdict, count(*) from judged group by verdict").fetchall())
        if verdicts.get("finer"):
            connection.execute(self._kind.sql("load_revise"), bounds)
        connection.execute(self._kind.sql("load_insert_judged"), bounds)
        counts.stored += verdicts.get("new", 0)
        counts.revised += verdicts.get("finer", 0)
        counts.duplicates += verdicts.get("duplicate", 0) + told - sum(verdicts.values())
        windows += connection.execute(query("load_judged_windows")).fetchall()
        if verdicts.get("conflict") or verdicts.get("group_conflict"):
            refusals.append(self._conflicts(file))
        return pa.concat_tables(refusals) if refusals else REFUSED_STAGED.empty_table()

    def _tell_repeats(self, file: StagedFile, batch_id: int, judged: list[DaySummary]) -> None:
        """Note the ids that one file tells twice: each row is stored once all the same, but its source is not well."""
        suspects = [summary.instrument for summary in judged if not summary.is_increasing]
        if not suspects or file.space == "ordinal" or self._is_replay:
            return
        values = {"instruments": suspects, "day": self._day, "batch_id": batch_id, "file": file.name, "stream": self._kind.stream}
        self._connection.execute(query("quality_add_delivery"), {**values, "run_id": self._run_id})

    def _within_scale(
        self, file: StagedFile, batch: pa.RecordBatch, held_to: Mapping[str, tuple[int, int]], refusals: list[pa.Table]
    ) -> pa.RecordBatch:
        """The rows that their instrument's scales hold; the others are added to the refusals."""
        overflowing = _overflowing(batch, self._kind, held_to)
        if not overflowing:
            return batch
        over = pa.array([False] * len(batch))
        details: dict[int, str] = {}
        for name in overflowing:
            is_name = pc.equal(batch.column("instrument"), name)
            for column, which in self._kind.scaled:
                scale = held_to[name][which]
                needed = scales(batch.column(column))
                breaks = pc.and_(is_name, pc.greater(needed, scale)).fill_null(False)
                over = pc.or_(over, breaks)
                for at in pc.indices_nonzero(breaks).to_pylist():
                    value = plain(batch.column(column)[at].as_py())
                    details[at] = (
                        f"{column} {value} has {needed[at]} decimals, but {name} is held to {scale}: `rrr instruments set` widens it"
                    )
        lines = batch.column("line").to_pylist()
        raw = self._raw_text(file, [lines[at] for at in details])
        refusals.append(
            refused_table(
                [
                    (lines[at], "scale", detail, raw.get(lines[at], ""), batch.column("instrument")[at].as_py(),
                     batch.column("event_time")[at].as_py(), batch.column("sequence")[at].as_py())
                    for at, detail in sorted(details.items())
                ]
            )
        )  # fmt: skip
        return batch.filter(pc.invert(over))

    def _conflicts(self, file: StagedFile) -> pa.Table:
        found = self._connection.execute(self._kind.sql("load_judged_conflicts")).fetchall()
        raw = self._raw_text(file, [row[0] for row in found])
        refused = []
        for line, instrument, event_time, sequence, verdict, first_line, copy, stored_time, stored_batch, *values in found:
            told, stored = values[: len(self._kind.values)], values[len(self._kind.values) :]
            theirs = "nothing" if stored_time is None else f"{stored_time.isoformat()} {self._kind.tell(stored)}"
            if copy > 1:
                where = f"line {first_line} of this file"
            else:
                where = "what is stored of that time" if stored_batch is None else f"batch {stored_batch}"
            detail = f"{event_time.isoformat()} {self._kind.tell(told)} here, {theirs} in {where}"
            refused.append((line, verdict, detail, raw.get(line, ""), instrument, event_time, sequence))
        return refused_table(refused)

    def _cover(self, file: StagedFile, batch_id: int, summary: DaySummary, fresh: DaySummary | None) -> None:
        """Bring the coverage of one instrument up to date, here and at the edges of the days beside."""
        held, changes = tapes.cover_ticks(self._connection, self._kind, self._day, file, summary, fresh, self._coverage, self._shelf)
        self._coverage.update(held)
        log_invalidations(self._connection, self._kind.name, changes, "coverage", batch_id)

    def _settle(self, file: StagedFile, refused: str | None) -> None:
        if self._is_replay:
            return  # of the file's other lines nothing was taken in
        self._connection.execute(
            "update landing_days set is_pending = false, refused = %s where file_id = %s and day = %s", (refused, file.file_id, self._day)
        )


def stored_batches(file: StagedFile, day: date, kind: TickTable, only: AbstractSet[str]) -> Iterator[pa.RecordBatch]:
    """A file's rows of a day as they are stored, less the stamps, in slices that keep memory small."""
    wanted = pa.array(sorted(only), pa.string())
    for batch in file.rows(day):
        mask = pc.is_in(batch.column("instrument"), wanted)
        kept = batch if pc.all(mask).as_py() else batch.filter(mask)
        for start in range(0, len(kept), _COPY_ROWS):
            yield stored_columns(kept.slice(start, _COPY_ROWS), file, kind)


def stored_columns(batch: pa.RecordBatch, file: StagedFile, kind: TickTable) -> pa.RecordBatch:
    """Parsed rows as they are stored, with availability, less the batch's stamps."""
    event_time = batch.column("event_time")
    received_at = batch.column("received_at")
    venue = batch.column("instrument")[0].as_py().partition(":")[0] if len(batch) else ""
    modelled = pc.add(event_time, pa.scalar(venue_called(venue).publication_delay, pa.duration("us"))) if venue else event_time
    if received_at.null_count == len(received_at):
        available_at, basis = modelled, pa.repeat(pa.scalar("modelled"), len(batch))
    else:
        arrived = pc.add(received_at, pa.scalar(timedelta(microseconds=file.clock_offset_us or 0), pa.duration("us")))
        observed = pc.if_else(pc.greater(arrived, event_time), arrived, event_time)
        available_at = pc.if_else(pc.is_null(received_at), modelled, observed)
        basis = pc.if_else(pc.is_null(received_at), "modelled", "observed")
    values = {
        "line": batch.column("line"),
        "space": pa.repeat(pa.scalar(file.space), len(batch)),
        "available_at": available_at,
        "available_basis": basis,
    }
    if "time_source" not in batch.schema.names:
        values["time_source"] = pa.repeat(pa.scalar("venue"), len(batch))
    names = ("line", *kind.stored)
    return pa.RecordBatch.from_arrays([values[name] if name in values else batch.column(name) for name in names], names=list(names))


def with_constants(batch: pa.RecordBatch, kind: TickTable, constants: Mapping[str, tuple[Any, pa.DataType]]) -> pa.RecordBatch:
    """Rows as they are stored, with the batch's stamps."""
    arrays = [batch.column(name) for name in kind.stored]
    arrays += [pa.repeat(pa.scalar(value, arrow), len(batch)) for value, arrow in constants.values()]
    return pa.RecordBatch.from_arrays(arrays, names=[*kind.stored, *constants])


def _overflowing(batch: pa.RecordBatch, kind: TickTable, held_to: Mapping[str, tuple[int, int]]) -> list[str]:
    """Instruments with a number of more decimals than they are held to."""
    found = []
    names = pc.unique(batch.column("instrument")).to_pylist()
    for name in names:
        mine = batch if len(names) == 1 else batch.filter(pc.equal(batch.column("instrument"), name))
        if any(_needs_more(mine.column(column), held_to[name][which]) for column, which in kind.scaled):
            found.append(name)
    return found


def _needs_more(numbers: pa.Array, scale: int) -> bool:
    """Whether any number has more decimals than `scale`; the cast refuses exactly that."""
    if scale >= numbers.type.scale:
        return False
    try:
        pc.cast(numbers, pa.decimal128(38, scale))
    except pa.ArrowInvalid:
        return True
    return False
