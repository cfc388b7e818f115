"""The ledger of gaps: everything that is done with a gap goes through here.

Belongs here: keeping the ledger equal to coverage, accepting a gap, what healing does with one. Does not: what each load changes in it
(gap_ledger.py, called by tapes.write_coverage), healing itself, who is told of a gap.

    sync(connection, stream, instruments, days)             make the ledger equal to coverage; the caller holds the locks of the days
    sync_all(database)                                      the same, wherever the two differ; cheap where they do not
    due(connection, limit, now)                             what may be tried to heal now
    claim_for_healing(connection, gap_ids, run_id, ...)     have gaps alone for a while: the state healing does not outlive it
    release(connection, gap_ids, run_id)                    give back what was not tried
    hurry(connection, gap_ids)                              make what rests after a failed attempt due at once
    record_attempt(connection, gap_id, source=..., ...)     what came of an attempt
    find_silences(database, days, settings, run_id)         silences that are missing rows, where ids do not tell
    find_missing_files(database, days, run_id)              days of which nothing is held and that were expected
    accept(connection, gap_id, reason, by)                  a person says that it stays missing
    reopen(connection, gap_id)                              ... or that it does not

A gap is closed by the load that brings what it misses, in the transaction of that load, and by nothing else.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from sys import maxsize
from typing import TYPE_CHECKING, Any, Final, Literal

from rrr_assets.calc.coverage import Interval, union
from rrr_assets.calc.gaps import Lacking, Settled, settle
from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.warehouse import tapes
from rrr_assets.warehouse.books import Connection, day_interval, enter, from_us, lock_days, log_invalidations, to_us
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.gap_ledger import (
    COVERAGE,
    SILENCE,
    Listed,
    lacking_ids,
    live_gaps,
    midnight_holes,
    overlaps,
    unseen_of,
    write_files,
    write_gaps,
)
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.tick_tables import CONSECUTIVE, TICK_TABLES, TickTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rrr_assets.calc.quality_config import QualitySettings
    from rrr_assets.calc.quality_silence import Silence

_ONE_DAY: Final = timedelta(days=1)
_MOST_DAYS: Final = 31
LEASE: Final = timedelta(minutes=30)
"""How long a claim lasts that is not ended."""

Outcome = Literal["healed", "partly", "failed"]


class GapRefused(PermanentFailure):
    """What was asked cannot be done to the gap: there is none, or it is not in that state."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A row of the ledger. Times are UTC; [from_time, to_time) is where it may lie, first_missing to last_missing are both missing."""

    gap_id: int
    instrument: str
    stream: str
    kind: str
    from_time: datetime
    to_time: datetime
    first_missing: int | None
    last_missing: int | None
    cause: str
    state: str
    first_seen: datetime
    attempts: int
    last_reason: str | None

    @property
    def days(self) -> list[date]:
        """The UTC days that it touches."""
        first, last = self.from_time.date(), (self.to_time - timedelta(microseconds=1)).date()
        return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def due(connection: Connection, limit: int, now: datetime | None = None) -> list[Gap]:
    """Gaps that may be tried to heal now, those first that were tried least."""
    values = {"most": limit, "now": now or datetime.now(UTC)}
    return [Gap(*row) for row in connection.execute(query("gaps_due"), values).fetchall()]


def claim_for_healing(
    connection: Connection, gap_ids: Collection[int], run_id: str | None, *, lease: timedelta = LEASE, now: datetime | None = None
) -> list[Gap]:
    """Have gaps alone: they are in the state healing until they are tried, healed, released, or the lease is over.

    Returns:
        Those that were free and due. What another run has, and what was healed or accepted meanwhile, is not among them.
    """
    now = now or datetime.now(UTC)
    values = {"gap_ids": list(gap_ids), "run_id": run_id, "now": now, "until": now + lease}
    return sorted((Gap(*row) for row in connection.execute(query("gaps_claim"), values).fetchall()), key=lambda gap: gap.gap_id)


def release(connection: Connection, gap_ids: Collection[int], run_id: str | None) -> None:
    """Give back what this run claimed and did not try: it is due at once."""
    connection.execute(query("gaps_release"), {"gap_ids": list(gap_ids), "run_id": run_id})


def hurry(connection: Connection, gap_ids: Collection[int]) -> None:
    """Make gaps that are open due at once, though they rest after an attempt that failed."""
    connection.execute(query("gaps_hurry"), {"gap_ids": list(gap_ids)})


def record_attempt(
    connection: Connection,
    gap_id: int,
    *,
    source: str,
    outcome: Outcome,
    reason: str | None,
    rows_fetched: int,
    seconds: float,  # not money: how long it took
    run_id: str | None,
    next_attempt_at: datetime | None = None,
) -> Gap:
    """Note what came of an attempt. A gap that is not healed by now is open again, and due at `next_attempt_at`; None: at once.

    An outcome of `healed` is believed where the ledger says so too; otherwise it is noted as `partly` or `failed`.

    Raises:
        GapRefused: there is no such gap.
    """
    [gap] = _locked(connection, [gap_id])
    if outcome == "healed" and gap.state != "healed":
        outcome = "partly" if rows_fetched else "failed"
        reason = reason or "what came is not what is missing"
    values = {
        "gap_id": gap_id, "source": source, "outcome": outcome, "reason": reason, "rows_fetched": rows_fetched, "seconds": seconds,
        "run_id": run_id, "next_attempt_at": next_attempt_at,
    }  # fmt: skip
    ((*row,),) = connection.execute(query("gaps_attempt"), values).fetchall()
    return Gap(*row)


def accept(connection: Connection, gap_id: int, reason: str, by: str) -> Gap:
    """Accept that a gap stays missing: bars inside it become complete, and it is not reported again.

    Args:
        connection: inside a transaction.
        gap_id: its number.
        reason: why, in a person's words.
        by: whose word it is.

    Raises:
        GapRefused: there is no such gap, it is healed or accepted already, or there is no reason.
    """
    if not reason.strip() or not by.strip():
        raise GapRefused("accepting a gap needs a reason, and somebody whose word it is")
    return _decide(connection, gap_id, {"open", "healing"}, reason.strip(), by.strip())


def reopen(connection: Connection, gap_id: int) -> Gap:
    """Take an acceptance back; raises as `accept`."""
    return _decide(connection, gap_id, {"accepted"}, None, None)


def _decide(connection: Connection, gap_id: int, states: Collection[str], reason: str | None, by: str | None) -> Gap:
    enter(connection)
    found = connection.execute("select instrument, stream, from_time, to_time from gaps where gap_id = %s", (gap_id,)).fetchone()
    if found is None:
        raise GapRefused(f"there is no gap {gap_id}. `rrr gaps` shows what there is")
    instrument, stream, from_time, to_time = found
    relation = _relation(stream)
    # The days before the row, as a load takes them.
    lock_days(connection, relation, [instrument], _range(from_time.date() - _ONE_DAY, to_time.date() + _ONE_DAY))
    [gap] = _locked(connection, [gap_id])
    if gap.state not in states:
        raise GapRefused(f"gap {gap_id} is {gap.state}")
    connection.execute(query("gaps_accept"), {"gap_id": gap_id, "reason": reason, "by": by})
    values = {
        "instrument": instrument, "stream": stream, "from_time": gap.from_time, "to_time": gap.to_time, "days": gap.days,
        "is_accepted": reason is not None,
    }  # fmt: skip
    windows = connection.execute(query("gaps_accept_coverage"), values).fetchall()
    log_invalidations(connection, relation, [(instrument, *window) for window in windows], "coverage", None)
    [gap] = _locked(connection, [gap_id])
    return gap


def _locked(connection: Connection, gap_ids: Sequence[int]) -> list[Gap]:
    rows = connection.execute(query("gaps_get"), {"gap_ids": list(gap_ids)}).fetchall()
    if len(rows) < len(gap_ids):
        missing = sorted(set(gap_ids) - {row[0] for row in rows})
        raise GapRefused(f"there is no gap {missing[0]}. `rrr gaps` shows what there is")
    return [Gap(*row) for row in rows]


def sync(connection: Connection, stream: str, instruments: Iterable[str], days: Iterable[date]) -> int:
    """Make the ledger equal to coverage on some days; returns on how many runs of days of an instrument it differed.

    The caller's transaction holds the locks of the days and of those beside them. Where the rows beside missing ids are in the archive
    alone, those may lie anywhere between the first and the last row of their days.
    """
    runs = list(_runs(days))
    return sum(_sync(connection, stream, name, run) for name in sorted(set(instruments)) for run in runs)


def _sync(connection: Connection, stream: str, name: str, days: Sequence[date]) -> bool:
    first, last = days[0], days[-1]
    values = {"stream": stream, "instruments": [name], "days": _range(first - _ONE_DAY, last + _ONE_DAY)}
    known = {key[1]: held for key, held in tapes.held_of(connection, values).items()}
    there = [(held.first_sequence, held.last_sequence + 1) for held in known.values() if held.row_count and held.space in CONSECUTIVE]
    live = live_gaps(connection, stream, name, "ids", None, first - _ONE_DAY, last + 2 * _ONE_DAY)
    of_ids = {(row.lacks.start, row.lacks.end): row.lacks for row in live}
    wanted: dict[Interval, Lacking] = {}
    for day in days:
        missing = lacking_ids(day, known)
        if any(ids not in of_ids for ids in missing):
            of_ids = _looked_up(connection, stream, name, day, known) | of_ids
        wanted |= {ids: of_ids[ids] for ids in missing}
    told, (low, high), begin = union(wanted), _territory(known, first, last), day_interval(first)[0]
    mine = [
        row
        for row in live
        if row.lacks.from_time >= begin or overlaps(told, row.lacks) or (low <= row.lacks.start and row.lacks.end <= high)
    ]
    # What begins on the day after them is told of by that day.
    mine = [row for row in mine if row.lacks.from_time < day_interval(last)[1]]
    by_ids = settle(mine, wanted.values(), there)
    write_gaps(connection, stream, name, "ids", None, by_ids)
    listed = Listed(connection, stream, name)
    unseen = [Lacking.times(span) for day in days for span in unseen_of(day, known, listed)]
    spans = union(day_interval(day) for day in days)
    live = [row for row in live_gaps(connection, stream, name, "interval", COVERAGE, first, last + _ONE_DAY) if overlaps(spans, row.lacks)]
    covered = [span for held in known.values() for span in held.covered]
    by_times = settle(live, unseen, covered)
    write_gaps(connection, stream, name, "interval", COVERAGE, by_times)
    return bool(by_ids) or bool(by_times)


def _territory(known: Mapping[date, tapes.Held], first: date, last: date) -> Interval:
    """The ids that some days alone can miss: those between what is held on both sides of them."""
    before, after = known.get(first - _ONE_DAY), known.get(last + _ONE_DAY)
    low = before.last_sequence + 1 if before is not None and before.row_count and before.space in CONSECUTIVE else -maxsize
    high = after.first_sequence if after is not None and after.row_count and after.space in CONSECUTIVE else maxsize
    return (low, high)


def _looked_up(connection: Connection, stream: str, name: str, day: date, known: Mapping[date, tapes.Held]) -> dict[Interval, Lacking]:
    """What is missing of a day, and between it and the days beside it, with its times looked up in the stream's table."""
    held = known.get(day)
    rows = tapes.StoredRows(connection, TICK_TABLES[stream])
    tape = rows.tape(name, day, held.space)[0] if held is not None and held.space in CONSECUTIVE and not held.is_dropped else None
    inside = {hole.missing_ids: Lacking.ids(hole) for hole in (tape.holes if tape is not None else ())}
    if held is not None:
        anywhere = (held.first_time, held.last_time + 1)
        inside = {ids: Lacking(*ids, *anywhere) for ids in held.missing_ids} | inside

    def time_of(at: date, of: tapes.Held, sequence: int) -> int | None:
        return None if of.is_dropped else rows.id_time(name, at, of.space, sequence)

    return inside | {hole.missing_ids: Lacking.ids(hole) for hole in midnight_holes(day, known, time_of)}


def sync_all(database: Database) -> int:
    """Make the ledger equal to coverage wherever the two differ; returns on how many runs of days they did.

    That is so of days that were loaded before there was a ledger, of days that are over since, and where an instrument is expected since.
    One query finds them.
    """
    with database.kept(Role.WRITER) as connection:
        differing = connection.execute(query("gaps_differing"), {"today": datetime.now(UTC).date()}).fetchall()
    changed = 0
    for stream, name, days in differing:
        for some in _runs(days):
            with database.kept(Role.WRITER) as connection, connection.transaction():
                enter(connection)
                lock_days(connection, _relation(stream), [name], _range(some[0] - _ONE_DAY, some[-1] + _ONE_DAY))
                changed += sync(connection, stream, [name], some)
    return changed


def _runs(days: Iterable[date]) -> Iterator[list[date]]:
    """Days that follow each other, a month of them at most, so that no transaction is too long."""
    run: list[date] = []
    for day in sorted(set(days)):
        if run and (day - run[-1] > _ONE_DAY or len(run) >= _MOST_DAYS):
            yield run
            run = []
        run.append(day)
    if run:
        yield run


def _range(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _relation(stream: str) -> str:
    """The table whose days are locked when a stream changes."""
    return "venue_bars" if stream.startswith("venue_bars") else TICK_TABLES[stream].name


TimesOf = Callable[[str, str, date], "NDArray[np.int64]"]
"""The times of the rows of a stream, instrument and day, ascending, in microseconds since 1970 UTC."""


def find_silences(
    database: Database, days: Iterable[date], settings: "QualitySettings", run_id: str | None = None, *,
    streams: Iterable[str] = TICK_TABLES, instruments: Collection[str] | None = None, times_of: TimesOf | None = None,
) -> int:  # fmt: skip
    """Make the ledger say which silences are missing rows: those of rows without ids, longer than is usual just before and after.

    Args:
        database: whose ledger.
        days: UTC days.
        settings: from what length on a silence is looked at, by instrument.
        run_id: the Dagster run.
        streams: of ticks.
        instruments: only these; None for all.
        times_of: reads times of days that are in the archive alone; without it those stay as they are.

    Returns:
        On how many days of an instrument the ledger changed.
    """
    changed = 0
    for stream in streams:
        kind = TICK_TABLES[stream]
        asked = {"stream": stream, "days": list(days), "instruments": None if instruments is None else list(instruments)}
        with database.kept(Role.WRITER) as connection:
            rows = connection.execute(query("gaps_silent_days"), asked).fetchall()
            by_day: dict[date, list[_Silent]] = {}
            for row in rows:
                silent = _Silent.of(row, settings)
                by_day.setdefault(silent.day, []).append(silent)
            differing = [
                (day, silent)
                for day, listed in sorted(by_day.items())
                for silent, found in _silences(connection, kind, day, listed, times_of)
                if _settled(connection, stream, silent, found)
            ]
        for day, silent in differing:
            # Looked at again with the day's lock: a load may have been between.
            with database.kept(Role.WRITER) as connection, connection.transaction():
                enter(connection)
                lock_days(connection, kind.name, [silent.name], [day])
                again = connection.execute(query("gaps_silent_days"), {**asked, "days": [day], "instruments": [silent.name]}).fetchall()
                listed = [_Silent.of(row, settings) for row in again]
                for now, found in _silences(connection, kind, day, listed, times_of):
                    settled = _settled(connection, stream, now, found)
                    told = {each.start: _evidence(each, run_id) for each in found}
                    write_gaps(connection, stream, now.name, "interval", SILENCE, settled, told)
                    changed += bool(settled)
        if differing:
            with database.kept(Role.WRITER) as connection:
                connection.execute(query("gaps_blame_venue"), {"stream": stream, "days": sorted({day for day, _ in differing})})
    return changed


@dataclass(frozen=True, slots=True)
class _Silent:
    """A day of an instrument's rows without ids; times in microseconds since 1970 UTC."""

    name: str
    day: date
    least_us: int
    has_rows: bool
    ends: Interval
    covered: tuple[Interval, ...]
    is_dropped: bool

    @classmethod
    def of(cls, row: tuple[Any, ...], settings: "QualitySettings") -> "_Silent":
        name, day, rows, first, last, covered, is_dropped = row
        least_us = round(settings.thresholds_of(name).gap_seconds * 1_000_000)
        ends = (0 if first is None else to_us(first), 0 if last is None else to_us(last))
        return cls(name, day, least_us, rows > 0, ends, tuple((to_us(span.lower), to_us(span.upper)) for span in covered), is_dropped)


def _silences(
    connection: Connection, kind: TickTable, day: date, listed: Sequence[_Silent], times_of: TimesOf | None
) -> Iterator[tuple[_Silent, "list[Silence]"]]:
    """What is too silent of a day, of each instrument of which that can be told."""
    import numpy as np

    from rrr_assets.calc.quality_silence import NEAREST, judged, silences

    span = day_interval(day)
    here = [silent for silent in listed if silent.has_rows and not silent.is_dropped]
    spacings: dict[str, list[Interval]] = {silent.name: [] for silent in here}
    for least_us in sorted({silent.least_us for silent in here}):
        names = [silent.name for silent in here if silent.least_us == least_us]
        asked = {
            "instruments": names, "least": timedelta(microseconds=least_us), "from_time": from_us(span[0]), "to_time": from_us(span[1])
        }  # fmt: skip
        for name, before, after in connection.execute(kind.sql("gaps_silent_spacings"), asked).fetchall():
            spacings[name].append((to_us(before), to_us(after)))
    for silent in listed:
        if not silent.has_rows:
            yield silent, []
        elif silent.is_dropped:
            if times_of is not None:
                yield silent, silences(times_of(kind.stream, silent.name, day), span, silent.covered, silent.least_us)
        else:
            edges = [(span[0], silent.ends[0]), (silent.ends[1], span[1])]
            found = []
            for start, end in sorted([*spacings[silent.name], *(edge for edge in edges if edge[1] - edge[0] > silent.least_us)]):
                beside = {"instrument": silent.name, "silent_from": from_us(start), "silent_to": from_us(end), "nearest": NEAREST}
                ((before, after),) = connection.execute(kind.sql("gaps_times_beside"), beside).fetchall()
                sides = [np.array(times or [], np.int64) for times in (before, after)]
                silence = judged(start, end, sides[0], sides[1], span, silent.covered)
                if silence is not None:
                    found.append(silence)
            yield silent, found


def _settled(connection: Connection, stream: str, silent: _Silent, found: "Sequence[Silence]") -> Settled:
    """What becomes of the ledger's silences of a day. Two that share the row between them stay two."""
    live = live_gaps(connection, stream, silent.name, "interval", SILENCE, silent.day, silent.day + _ONE_DAY)
    wanted, end = [], 0
    for silence in found:
        wanted.append(Lacking.times((max(silence.start, end), silence.end)))
        end = silence.end
    return settle(live, wanted, silent.covered)


def _evidence(silence: "Silence", run_id: str | None) -> dict[str, Any]:
    told = {"seconds": (silence.end - silence.start) // 1_000_000, "probability": silence.probability, "typical_us": silence.typical_us}
    return told if run_id is None else {**told, "run_id": run_id}


def find_missing_files(
    database: Database, days: Iterable[date], run_id: str | None = None, *, instruments: Collection[str] | None = None
) -> int:
    """Make the ledger say of which days nothing is held, though the instrument was expected and they are over.

    Returns:
        How many gaps were opened or closed.
    """
    asked: dict[str, Any] = {
        "days": sorted(set(days)), "today": datetime.now(UTC).date(), "instruments": None if instruments is None else list(instruments)
    }  # fmt: skip

    def look(connection: Connection) -> tuple[list[tuple[Any, ...]], dict[int, bool]]:
        missing = connection.execute(query("gaps_missing_files"), asked).fetchall()
        told: dict[int, bool] = dict(connection.execute(query("gaps_files_told"), asked).fetchall())
        wanted = {gap_id for _, _, _, gap_id, _ in missing}
        return [row for row in missing if row[3] is None], {gap_id: there for gap_id, there in told.items() if gap_id not in wanted}

    with database.kept(Role.WRITER) as connection:
        new, gone = look(connection)
    if not new and not gone:
        return 0
    with database.kept(Role.WRITER) as connection, connection.transaction():
        enter(connection)
        for stream in sorted({stream for _, stream, *_ in new}):
            names = sorted({name for name, of, *_ in new if of == stream})
            lock_days(connection, _relation(stream), names, sorted({day for _, of, day, *_ in new if of == stream}))
        # Looked at again with the locks: a load may have been between.
        new, gone = look(connection)
        write_files(connection, new, gone, run_id)
    return len(new) + len(gone)
