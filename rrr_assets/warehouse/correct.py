"""Corrections and cancellations of trades, in the transaction of the trades' day.

Belongs here: judging each correction against the trade that stands, replacing or ending that trade, and keeping what was
believed. Does not: reading them (venues/rrr_corrections), finding the day of a trade (ticks/landing).
A correction applies once: the same file given again is found to be known, whatever corrected the trade since. Several corrections
of one trade apply in the order of their lines.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from datetime import date, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
from psycopg import sql

from rrr_assets.calc.outcomes import FileTakenIn
from rrr_assets.contracts.parsed import CORRECTIONS
from rrr_assets.warehouse import tapes
from rrr_assets.warehouse.books import Connection, log_invalidations
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.intake import RawText, next_batch, refused_table, write_quarantine
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.staging import StagedFile
from rrr_assets.warehouse.tick_tables import TickTable

_ONE_DAY: Final = timedelta(days=1)


class Corrections:
    """Applies files of corrections to one day of trades. The caller's transaction holds the locks of the day."""

    def __init__(
        self, connection: Connection, kind: TickTable, day: date, known_at: datetime, run_id: str | None, raw_text: RawText
    ) -> None:
        self._connection = connection
        self._kind = kind
        self._day = day
        self._known_at = known_at
        self._run_id = run_id
        self._raw_text = raw_text

    def take_in(self, file: StagedFile, coverage: dict[tapes.Key, tapes.Held], *, settle: bool) -> FileTakenIn:
        """Apply one file's corrections of the day; with `settle` the day waits for the file no more. `coverage` is kept in step."""
        batch_id = next_batch(self._connection)
        refused = file.refused(self._day)
        rows = pa.Table.from_batches(file.rows(self._day), CORRECTIONS)
        counts: Counter[str] = Counter()
        windows: list[tuple[str, date, datetime, datetime]] = []
        for some in _rounds(rows):
            verdicts, moved = self._apply(file.file_id, batch_id, some)
            counts.update(verdict if verdict in {"apply", "duplicate"} else "refused" for _, verdict, *_ in verdicts)
            windows += [(name, self._day, start, end) for name, start, end in moved]
            wrong = [row for row in verdicts if row[1] not in {"apply", "duplicate"}]
            if wrong:
                raw = self._raw_text(file, [row[0] for row in wrong])
                told = [(line, verdict, detail, raw.get(line, ""), *trade) for line, verdict, detail, *trade in wrong]
                refused = pa.concat_tables([refused, refused_table(told)])
        reach("correct.applied")
        stamps: dict[str, Any] = {"known_at": self._known_at, "batch_id": batch_id}
        write_quarantine(self._connection, file, self._day, stamps, refused)
        log_invalidations(self._connection, self._kind.name, windows, "correction", batch_id)
        for name in sorted({name for name, *_ in windows}):
            changes, uncovered = tapes.cover_corrected(self._connection, self._kind, self._day, name, coverage)
            coverage.update(changes)
            log_invalidations(self._connection, self._kind.name, uncovered, "coverage", batch_id)
        counted: dict[str, Any] = {
            "rows_read": len(rows) + len(file.refused(self._day)),
            "rows_stored": 0,
            "rows_revised": counts["apply"],
            "duplicates": counts["duplicate"],
            "quarantined": len(refused),
        }
        self._connection.execute(
            query("load_insert_batch"),
            {
                **counted, **stamps, "file_id": file.file_id, "day": self._day, "stream": "corrections", "time_unit": file.time_unit,
                "run_id": self._run_id,
            },
        )  # fmt: skip
        if settle:
            self._connection.execute(
                "update landing_days set is_pending = false, refused = null where file_id = %s and day = %s", (file.file_id, self._day)
            )
        names = tuple(sorted(set(rows.column("instrument").to_pylist())))
        return FileTakenIn(file_id=file.file_id, name=file.name, batch_id=batch_id, instruments=names, **counted)

    def _apply(self, file_id: int, batch_id: int, some: pa.Table) -> tuple[list[tuple[Any, ...]], list[tuple[str, datetime, datetime]]]:
        """Judge and apply corrections of different trades; (line, verdict, detail, instrument, time, sequence) of each, and what moved."""
        values: dict[str, Any] = {name: some.column(name).to_pylist() for name in CORRECTIONS.names}
        values |= {
            "file_id": file_id,
            "batch_id": batch_id,
            "known_at": self._known_at,
            "from_time": self._day,
            "to_time": self._day + _ONE_DAY,
        }
        self._connection.execute("drop table if exists corrected")
        self._connection.execute(query("correct_judge"), values)
        moved = self._connection.execute(self._kind.sql("correct_apply"), values).fetchall()
        return self._connection.execute(query("correct_verdicts")).fetchall(), moved


def _rounds(rows: pa.Table) -> Iterator[pa.Table]:
    """Corrections in rounds in which no trade comes twice, in the order of their lines."""
    seen: Counter[tuple[str, int]] = Counter()
    rounds: list[int] = []
    for key in zip(rows.column("instrument").to_pylist(), rows.column("sequence").to_pylist(), strict=True):
        rounds.append(seen[key])
        seen[key] += 1
    numbers = pa.array(rounds, pa.int64())
    for number in range(max(rounds, default=-1) + 1):
        yield rows.filter(pa.compute.equal(numbers, number))


def located(connection: Connection, table: str, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], list[date]]:
    """The UTC days, ascending, on which the trades of some (instrument, sequence) stand, or where none does, on which they stood once."""
    instruments, sequences = ([key[part] for key in keys] for part in (0, 1))
    statement = sql.SQL(query("correct_locate")).format(table=sql.Identifier(table))
    rows = connection.execute(statement, {"instruments": instruments, "sequences": sequences}).fetchall()
    return {(name, sequence): days for name, sequence, days in rows}
