"""The coverage ledger: what is held of each instrument, stream and day, kept in step with every load.

Belongs here: reading and writing coverage inside a load's transaction. Does not: the rules of what is
covered (calc/coverage).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final, Protocol

from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from rrr_assets.calc.coverage import Hole, Interval, Tape, changed, covered_by_claim, covered_by_ids, subtract, union
from rrr_assets.warehouse.books import Connection, day_interval, from_us, to_us
from rrr_assets.warehouse.gap_ledger import follow, midnight_holes
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.staging import DaySummary, StagedFile
from rrr_assets.warehouse.tick_tables import CONSECUTIVE, TickTable

_ONE_DAY: Final = timedelta(days=1)
_MOST_WINDOWS: Final = 64

Window = tuple[str, date, datetime, datetime]
Key = tuple[str, date]


@dataclass(frozen=True, slots=True)
class Held:
    """One row of coverage; times in microseconds since 1970 UTC."""

    space: str | None
    row_count: int
    first_time: int
    last_time: int
    first_sequence: int
    last_sequence: int
    is_declared: bool
    covered: tuple[Interval, ...]
    missing_ids: tuple[Interval, ...]
    is_dropped: bool = False


class HeldRows(Protocol):
    """Where the rows are that coverage is told of, when the loader has to look at them: in a table, mostly."""

    def tape(self, name: str, day: date, space: str | None) -> tuple[Tape | None, int, int, int]:
        """As `read_tape`."""

    def id_time(self, name: str, day: date, space: str | None, sequence: int) -> int | None:
        """When the row of an id was, on a day; None where there is none."""


@dataclass
class StoredRows:
    """The rows of a stream's table, as `HeldRows`."""

    connection: Connection
    kind: TickTable

    def tape(self, name: str, day: date, space: str | None) -> tuple[Tape | None, int, int, int]:
        return read_tape(self.connection, self.kind, name, day, space)

    def id_time(self, name: str, day: date, space: str | None, sequence: int) -> int | None:
        bounds = {"instrument": name, "space": space, "sequence": sequence, "from_time": day, "to_time": day + _ONE_DAY}
        row = self.connection.execute(self.kind.sql("coverage_id_time"), bounds).fetchone()
        return None if row is None else to_us(row[0])


def read_coverage(connection: Connection, stream: str, instruments: Sequence[str], day: date) -> dict[Key, Held]:
    """The coverage of some instruments on a day and the days beside it. The caller holds their locks."""
    days = [day - _ONE_DAY, day, day + _ONE_DAY]
    return held_of(connection, {"stream": stream, "instruments": list(instruments), "days": days})


def held_of(connection: Connection, asked: Mapping[str, Any]) -> dict[Key, Held]:
    """The coverage of some instruments on some days of a stream; asked for as `coverage_read` asks."""
    rows = connection.execute(query("coverage_read"), asked).fetchall()
    return {
        (row[0], row[1]): Held(
            space=row[2],
            row_count=row[3],
            first_time=_us(row[4]),
            last_time=_us(row[5]),
            first_sequence=row[6] or 0,
            last_sequence=row[7] or 0,
            is_declared=row[8],
            covered=tuple((to_us(r.lower), to_us(r.upper)) for r in row[9]),
            missing_ids=tuple((r.lower, r.upper) for r in row[10]),
            is_dropped=row[11],
        )
        for row in rows
    }


def cover_ticks(
    connection: Connection,
    kind: TickTable,
    day: date,
    file: StagedFile,
    summary: DaySummary,
    fresh: DaySummary | None,
    known: Mapping[Key, Held],
    rows: HeldRows | None = None,
) -> tuple[dict[Key, Held], list[Window]]:
    """Bring one instrument's coverage up to date after a file's rows of a day were stored, or put into quarantine.

    Args:
        connection: inside the day's transaction, which holds the locks of the day and of those beside it.
        kind: the stream's table.
        day: UTC day.
        file: whose rows were stored.
        summary: what the file holds of the instrument on that day.
        fresh: the summary, where these rows are all that is held of the day; otherwise they are looked at.
        known: coverage before, of the day and the days beside it.
        rows: where the rows are; in the stream's table by default.

    Returns:
        The rows of coverage that changed, and the windows in which completeness may have changed.
    """
    name = summary.instrument
    before = known.get((name, day))
    is_declared = _declares(file, day) or (before is not None and before.is_declared)
    held_rows = StoredRows(connection, kind) if rows is None else rows
    tape, row_count, lowest_time, highest_time = _tape(held_rows, name, day, file.space, fresh)
    if tape is None:
        return {}, []
    span = day_interval(day)
    yesterday, tomorrow = known.get((name, day - _ONE_DAY)), known.get((name, day + _ONE_DAY))
    waiting = _waiting(connection, name, day, file.file_id)
    if file.space not in CONSECUTIVE:
        doubts = [row.interval(span) for row in waiting]
        claimed = covered_by_claim(span, summary.lowest_time, summary.highest_time, _declares(file, day), doubts)
        covered = union([*claimed, *(before.covered if before else ())])
        missing: list[Interval] = []
    else:
        covered = covered_by_ids(span, tape, is_declared, last_id(yesterday, file.space), first_id(tomorrow, file.space))
        edges = _unproven_edges(span, tape, file.space, before, yesterday, tomorrow, _declares(file, day), waiting)
        covered = subtract(covered, edges)
        missing = [hole.missing_ids for hole in tape.holes]
    now = Held(
        space=file.space, row_count=row_count, first_time=lowest_time, last_time=highest_time, first_sequence=tape.first_id,
        last_sequence=tape.last_id, is_declared=is_declared, covered=tuple(covered), missing_ids=tuple(missing),
    )  # fmt: skip
    changes: dict[Key, Held] = {(name, day): now}
    if file.space in CONSECUTIVE:
        changes |= edges_beside(held_rows, name, day, file.space, tape, yesterday, tomorrow)
    holes = holes_of(held_rows, name, day, tape, changes, known)
    return write_coverage(connection, kind.stream, changes, known, holes)


def cover_corrected(
    connection: Connection, kind: TickTable, day: date, name: str, known: Mapping[Key, Held]
) -> tuple[dict[Key, Held], list[Window]]:
    """Bring one instrument's coverage up to date after trades of it were replaced or cancelled; known and returned as in `cover_ticks`.

    A trade that was cancelled is not missing. One that has another time now moves the hole or the end of the day that it bounds.
    """
    before = known[name, day]
    tape, row_count, lowest_time, highest_time = read_tape(connection, kind, name, day, before.space)
    now = replace(before, row_count=row_count, first_time=lowest_time, last_time=highest_time)
    if tape is not None:
        missing = tuple(hole.missing_ids for hole in tape.holes)
        now = replace(now, first_sequence=tape.first_id, last_sequence=tape.last_id, missing_ids=missing)
        if before.space in CONSECUTIVE:
            span = day_interval(day)
            yesterday, tomorrow = known.get((name, day - _ONE_DAY)), known.get((name, day + _ONE_DAY))
            ends = (last_id(yesterday, before.space), first_id(tomorrow, before.space))
            edges = _unproven_edges(span, tape, before.space, before, yesterday, tomorrow)
            now = replace(now, covered=tuple(subtract(covered_by_ids(span, tape, before.is_declared, *ends), edges)))
    changes = {(name, day): now}
    holes = holes_of(StoredRows(connection, kind), name, day, tape, changes, known)
    return write_coverage(connection, kind.stream, changes, known, holes, is_retimed=True)


def edges_beside(
    rows: HeldRows, name: str, day: date, space: str | None, tape: Tape | None, yesterday: Held | None, tomorrow: Held | None,
    are_claimed: tuple[bool, ...] = (False, False),
) -> dict[Key, Held]:  # fmt: skip
    """The coverage of the days beside one, whose edges its ids prove or disprove; without a tape only what is claimed of them holds."""
    changes: dict[Key, Held] = {}
    if yesterday is not None and yesterday.row_count and yesterday.space == space:
        meets = are_claimed[0] if tape is None else yesterday.last_sequence + 1 == tape.first_id
        changes[name, day - _ONE_DAY] = _with_edge(rows, name, yesterday, day - _ONE_DAY, meets, at_end=True)
    if tomorrow is not None and tomorrow.row_count and tomorrow.space == space:
        meets = are_claimed[1] if tape is None else tomorrow.first_sequence == tape.last_id + 1
        changes[name, day + _ONE_DAY] = _with_edge(rows, name, tomorrow, day + _ONE_DAY, meets, at_end=False)
    return changes


def may_extend(file: StagedFile, day: date, held: Held) -> bool:
    """Whether a file's claim to a day could cover more of it than is covered, though none of its rows is new."""
    start, end = day_interval(day)
    reaches = bool(held.covered) and held.covered[0][0] == start and held.covered[-1][1] == end
    return _declares(file, day) and not (held.is_declared and reaches)


def cover_bars(
    connection: Connection, stream: str, day: date, file: StagedFile, span: Interval, bar_us: int, is_declared: bool, names: Iterable[str],
    known: Mapping[Key, Held],
) -> list[Window]:  # fmt: skip
    """Bring the coverage of venue bars up to date: the venue's list is whole from its first to its last bar, less the bars refused."""
    changes: dict[Key, Held] = {}
    for name in names:
        before = known.get((name, day))
        refused = [row.interval(day_interval(day)) for row in _waiting(connection, name, day, file.file_id)]
        listed = subtract([span], [(start, max(end, start + bar_us)) for start, end in refused])
        since, until = (from_us(edge) for edge in day_interval(day))
        values = {"instrument": name, "interval": stream.removeprefix("venue_bars_"), "from_time": since, "to_time": until}
        ((count, first, last),) = connection.execute(query("coverage_venue_bars"), values).fetchall()
        changes[name, day] = Held(
            space=None, row_count=count, first_time=_us(first), last_time=_us(last), first_sequence=0, last_sequence=0,
            is_declared=is_declared or (before is not None and before.is_declared),
            covered=tuple(union([*listed, *(before.covered if before else ())])), missing_ids=(),
        )  # fmt: skip
    return write_coverage(connection, stream, changes, known)[1]


def _tape(rows: HeldRows, name: str, day: date, space: str | None, fresh: DaySummary | None) -> tuple[Tape | None, int, int, int]:
    """The day's tape with its row count and extreme times: from the rows just stored, or looked up."""
    if fresh is not None:
        tape = Tape(fresh.first_id, fresh.first_time, fresh.last_id, fresh.last_time, fresh.holes)
        return tape, fresh.rows, fresh.lowest_time, fresh.highest_time
    return rows.tape(name, day, space)


def read_tape(connection: Connection, kind: TickTable, name: str, day: date, space: str | None) -> tuple[Tape | None, int, int, int]:
    """One instrument's day as the table holds it: tape, rows, earliest and latest time; no tape where nothing was ever held."""
    bounds = {"instrument": name, "space": space, "from_time": day, "to_time": day + _ONE_DAY, "is_consecutive": space in CONSECUTIVE}
    row = connection.execute(kind.sql("coverage_tape"), bounds).fetchone()
    if row is None or row[1] is None:
        return None, 0, 0, 0
    count, first_time, last_time, first_id, last_id, first_id_time, last_id_time, holes = row
    tape = Tape(first_id, to_us(first_id_time), last_id, to_us(last_id_time), tuple(Hole(*hole) for hole in holes))
    return tape, count, to_us(first_time), to_us(last_time)


def _with_edge(rows: HeldRows, name: str, held: Held, day: date, meets: bool, at_end: bool) -> Held:
    """A neighbour's coverage, where the ids across midnight now tell whether its edge is whole."""
    start, end = day_interval(day)
    sequence = held.last_sequence if at_end else held.first_sequence
    # Where a venue's clock stepped back, the first id is not the earliest time.
    known = rows.id_time(name, day, held.space, sequence)
    at = (held.last_time if at_end else held.first_time) if known is None else known
    # A trade that is missing beside it, or beyond the other end of the day, may have its very time.
    is_bare = held.first_time == held.last_time or any(sequence in {first - 1, end} for first, end in held.missing_ids)
    edge = (at + is_bare, end) if at_end else (start, at + 1 - is_bare)
    covered = union([*held.covered, edge]) if meets else subtract(held.covered, [edge])
    return replace(held, covered=tuple(covered))


def holes_of(rows: HeldRows, name: str, day: date, tape: Tape | None, changes: Mapping[Key, Held], known: Mapping[Key, Held]) -> list[Hole]:
    """All holes of a day as it is now, those between it and the days beside it too."""

    def time_of(at: date, held: Held, sequence: int) -> int | None:
        return rows.id_time(name, at, held.space, sequence)

    days = _days_of(name, day, {**known, **changes})
    held = days[day]
    inside = tape.holes if tape is not None and held is not None and held.space in CONSECUTIVE else ()
    return [*inside, *midnight_holes(day, days, time_of)]


def _days_of(name: str, day: date, held: Mapping[Key, Held]) -> dict[date, Held | None]:
    return {at: held.get((name, at)) for at in (day - _ONE_DAY, day, day + _ONE_DAY)}


def write_coverage(
    connection: Connection, stream: str, changes: Mapping[Key, Held], known: Mapping[Key, Held], holes: Sequence[Hole] = (),
    *, is_retimed: bool = False,
) -> tuple[dict[Key, Held], list[Window]]:  # fmt: skip
    """Write the rows of coverage of an instrument that changed, and let the ledger of gaps follow in the same transaction.

    Args:
        connection: whose transaction holds the locks of the day and of those beside it.
        stream: as in coverage.
        changes: what is held now: of the day first, then of those beside it.
        known: coverage before, of the day and the days beside it.
        holes: all that is missing by ids, of the day and between it and the days beside it.
        is_retimed: rows have other times than before, though the same are held.

    Returns:
        The changes, and the windows in which completeness may have changed.
    """
    windows: list[Window] = []
    for (name, day), now in changes.items():
        before = known.get((name, day))
        if now == before:
            continue
        connection.execute(
            query("coverage_write"),
            {
                "instrument": name, "stream": stream, "day": day, "space": now.space, "row_count": now.row_count,
                "first_time": from_us(now.first_time) if now.row_count else None,
                "last_time": from_us(now.last_time) if now.row_count else None,
                "first_sequence": now.first_sequence if now.space is not None else None,
                "last_sequence": now.last_sequence if now.space is not None else None,
                "is_declared": now.is_declared,
                "covered": Multirange([Range(from_us(a), from_us(b)) for a, b in now.covered]),
                "missing_ids": Multirange([Range(a, b) for a, b in now.missing_ids]),
            },
        )  # fmt: skip
        moved = changed(before.covered if before else (), now.covered)
        if len(moved) > _MOST_WINDOWS:
            moved = [(moved[0][0], moved[-1][1])]
        windows += [(name, day, from_us(a), from_us(b)) for a, b in moved]
    told_name, told_day = next(iter(changes))
    was, is_now = _days_of(told_name, told_day, known), _days_of(told_name, told_day, {**known, **changes})
    follow(connection, stream, told_name, told_day, was, is_now, holes, is_retimed=is_retimed)
    return dict(changes), windows


def _declares(file: StagedFile, day: date) -> bool:
    return file.declared is not None and file.declared[0] <= day < file.declared[1]


def last_id(held: Held | None, space: str | None) -> int | None:
    """The last id held of a day, None where nothing of that space is."""
    return held.last_sequence if held is not None and held.row_count and held.space == space else None


def first_id(held: Held | None, space: str | None) -> int | None:
    """The first id held of a day, None where nothing of that space is."""
    return held.first_sequence if held is not None and held.row_count and held.space == space else None


def doubts(connection: Connection, name: str, day: date, file_id: int) -> list[Interval]:
    """Where a file's refused rows of an instrument and day may have been traded."""
    return [row.interval(day_interval(day)) for row in _waiting(connection, name, day, file_id)]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A refused row, as far as it was understood; times in microseconds since 1970 UTC."""

    sequence: int | None
    at: int | None
    after: int | None
    before: int | None

    def interval(self, day: Interval) -> Interval:
        """Where it may have been traded: at its time where it was readable, else between its neighbours in the file."""
        if self.at is not None:
            return (self.at, self.at + 1)
        return (day[0] if self.after is None else self.after, day[1] if self.before is None else self.before + 1)

    def may_precede(self, first_id: int, day: Interval) -> bool:
        """Whether it may be an id below the first one stored of a day."""
        return self.sequence < first_id if self.sequence is not None else self.after is None or self.after < day[0]

    def may_follow(self, last_id: int, day: Interval) -> bool:
        """Whether it may be an id above the last one stored of a day."""
        return self.sequence > last_id if self.sequence is not None else self.before is None or self.before >= day[1]


def _waiting(connection: Connection, name: str, day: date, file_id: int) -> list[_Waiting]:
    values = {"file_id": file_id, "day": day, "instrument": name}
    rows = connection.execute(query("coverage_waiting"), values).fetchall()
    return [_Waiting(row[0], *(None if at is None else to_us(at) for at in row[1:])) for row in rows]


def _unproven_edges(
    span: Interval, tape: Tape, space: str | None, before: Held | None, yesterday: Held | None, tomorrow: Held | None,
    declares: bool = False, waiting: Sequence[_Waiting] = (),
) -> list[Interval]:  # fmt: skip
    """The ends of a day that only a claim could cover, where no source's claim does: its own first or last line was refused.

    An earlier claim stands: what it covered reaches to the end of the day.
    """
    held = before.covered if before is not None and before.is_declared else ()
    edges: list[Interval] = []
    head_claimed = declares and not any(row.may_precede(tape.first_id, span) for row in waiting)
    if last_id(yesterday, space) is None and not head_claimed and not (held and held[0][0] == span[0]):
        edges.append((span[0], tape.first_time + 1))
    tail_claimed = declares and not any(row.may_follow(tape.last_id, span) for row in waiting)
    if first_id(tomorrow, space) is None and not tail_claimed and not (held and held[-1][1] == span[1]):
        edges.append((tape.last_time, span[1]))
    return edges


def _us(at: datetime | None) -> int:
    return 0 if at is None else to_us(at)
