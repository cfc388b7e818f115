"""The ledger of gaps follows coverage, inside the transaction that writes coverage.

Belongs here: which rows of the ledger a change of coverage touches, and writing them, set by set. Does not: what is missing (calc/gaps),
everything else that is done with gaps (gaps.py).
Where nothing is missing before and after, not one statement is sent.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from sys import maxsize
from typing import TYPE_CHECKING, Any, Final

from psycopg.types.json import Jsonb

from rrr_assets.calc.coverage import Hole, Interval, union
from rrr_assets.calc.gaps import DayHeld, Lacking, Live, Settled, midnight_hole, settle, unseen
from rrr_assets.warehouse.books import Connection, day_interval, from_us, to_us
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.tick_tables import CONSECUTIVE

if TYPE_CHECKING:
    from rrr_assets.warehouse.tapes import Held

_ONE_DAY: Final = timedelta(days=1)
COVERAGE: Final = "coverage"
SILENCE: Final = "silence"
"""By what an interval was found to be missing: nobody saw it, or it is too silent to be true."""
_NOT_EXPECTED: Final = "nothing is expected of it, or something waits"
_WITHDRAWN: Final = "nothing that is held says any more that it is missing"

Days = Mapping[date, "Held | None"]


def follow(
    connection: Connection, stream: str, name: str, day: date, before: Days, after: Days, holes: Sequence[Hole], *, is_retimed: bool = False
) -> None:
    """Let the ledger follow a change of one instrument's coverage.

    Args:
        connection: inside the transaction that wrote it, which holds the locks of the day and of those beside it.
        stream: as in coverage.
        name: the instrument.
        day: the UTC day that changed; of those beside it only the edges did.
        before: coverage as it was, of the day and those beside it.
        after: coverage as it is.
        holes: all that is missing of the day by its ids, and between it and the days beside it.
        is_retimed: the rows beside a hole may have other times, though the same ids are missing.
    """
    was, now = before.get(day), after.get(day)
    if now is not None and now.row_count and not (was is not None and was.row_count):
        connection.execute(query("gaps_close_file"), {"instrument": name, "stream": stream, "day": day})
    lacked = lacking_ids(day, before)
    if (is_retimed and holes) or {hole.missing_ids for hole in holes} != set(lacked):
        there = [(held.first_sequence, held.last_sequence + 1) for held in after.values() if held is not None and held.row_count]
        enter_gaps(connection, stream, name, day, "ids", None, [Lacking.ids(hole) for hole in holes], there, lacked)
    listed = Listed(connection, stream, name)
    unseen_before, unseen_now = _unseen_around(day, before, listed), _unseen_around(day, after, listed)
    if unseen_before or unseen_now:
        covered = [span for held in after.values() if held is not None for span in held.covered]
        wanted = [Lacking.times(span) for span in unseen_now]
        enter_gaps(connection, stream, name, day, "interval", COVERAGE, wanted, covered, unseen_before)


def enter_gaps(
    connection: Connection, stream: str, name: str, day: date, kind: str, by: str | None, wanted: Sequence[Lacking],
    there: Sequence[Interval], lacked: Sequence[Interval] | None = None, *, evidence: Mapping[int, Mapping[str, Any]] | None = None,
) -> bool:  # fmt: skip
    """Make the rows of one kind around a day say what is missing; returns whether any changed.

    Args:
        connection: whose transaction holds the locks of the days.
        stream: as in coverage.
        name: the instrument.
        day: the rows that begin on it or on the days beside it are looked at.
        kind: as in gaps.
        by: by what intervals were found; rows that were found otherwise are left alone.
        wanted: all that is missing there.
        there: where rows are held.
        lacked: all that was missing before: rows beside that and beside `wanted` are left alone. None: no row is.
        evidence: what is known of a new gap beside the rows on both sides, by its start.
    """
    live = live_gaps(connection, stream, name, kind, by, day - _ONE_DAY, day + 2 * _ONE_DAY)
    if lacked is not None:
        told = union([*lacked, *((lacks.start, lacks.end) for lacks in wanted)])
        live = [row for row in live if overlaps(told, row.lacks)]
    settled = settle(live, wanted, there)
    write_gaps(connection, stream, name, kind, by, settled, evidence)
    return bool(settled)


def live_gaps(connection: Connection, stream: str, name: str, kind: str, by: str | None, first_day: date, until_day: date) -> list[Live]:
    """The rows of a kind that are not healed and begin on some days, `until_day` excluded."""
    around = {"instrument": name, "stream": stream, "since": _midnight(first_day), "until": _midnight(until_day)}
    rows = connection.execute(query("gaps_live"), around).fetchall()
    return [Live(row[0], _lacking(kind, *row[3:])) for row in rows if row[1] == kind and row[2] == by]


def write_gaps(
    connection: Connection, stream: str, name: str, kind: str, by: str | None, settled: Settled,
    evidence: Mapping[int, Mapping[str, Any]] | None = None, cause: str = "feed",
) -> None:  # fmt: skip
    """Write what becomes of the rows of a kind. `cause` is that of new rows, where nothing better is known."""
    for gap_ids, is_there in ((settled.healed, True), (settled.withdrawn, False)):
        if gap_ids:
            connection.execute(query("gaps_close"), {"gap_ids": gap_ids, "is_there": is_there, "why": _WITHDRAWN})
    if settled.kept:
        values = {"gap_ids": [row.gap_id for row in settled.kept], **_columns(kind, [row.lacks for row in settled.kept])}
        connection.execute(query("gaps_shrink"), values)
    if settled.new:
        _open(connection, stream, name, kind, by, settled.new, evidence or {}, cause)


def write_files(connection: Connection, new: Sequence[tuple[Any, ...]], gone: Mapping[int, bool], run_id: str | None) -> None:
    """Open gaps of days of which nothing is held, (instrument, stream, day, -, announced) each, and close others: whether each is there."""
    for is_there in (True, False):
        if gap_ids := [gap_id for gap_id, there in gone.items() if there == is_there]:
            connection.execute(query("gaps_close"), {"gap_ids": gap_ids, "is_there": is_there, "why": _NOT_EXPECTED})
    if new:
        names, streams, days, _, announced = (list(column) for column in zip(*new, strict=True))
        values = {"instruments": names, "streams": streams, "days": days, "announced": announced, "run_id": run_id}
        connection.execute(query("gaps_open_files"), values)


def lacking_ids(day: date, days: Days) -> list[Interval]:
    """The ids that are missing of a day, and between it and the days beside it, by their coverage; half open."""
    held = days.get(day)
    missing = list(held.missing_ids) if held is not None else []
    for first, second in ((days.get(day - _ONE_DAY), held), (held, days.get(day + _ONE_DAY))):
        missing += [hole.missing_ids for hole in midnight_hole(*ends(first, second))]
    return missing


def midnight_holes(day: date, days: Days, time_of: "Callable[[date, Held, int], int | None]") -> list[Hole]:
    """The holes between a day and those beside it; `time_of` says when the row of an id of a day was, None where it cannot."""
    holes = []
    for first_day in (day - _ONE_DAY, day):
        first, second = days.get(first_day), days.get(first_day + _ONE_DAY)
        if first is None or second is None:
            continue
        for hole in midnight_hole(*ends(first, second)):
            times = (time_of(first_day, first, hole.id_before), time_of(first_day + _ONE_DAY, second, hole.id_after))
            at = [known if known is not None else told for known, told in zip(times, (hole.time_before, hole.time_after), strict=True)]
            holes.append(Hole(hole.id_before, at[0], hole.id_after, at[1]))
    return holes


def unseen_of(day: date, days: Days, listed: "Listed") -> list[Interval]:
    """The intervals of a day that nobody saw, by the coverage of it and of the days beside it."""
    held = days.get(day)
    if held is None or not held.row_count:
        return []
    is_consecutive = held.space in CONSECUTIVE
    beside = [days.get(day - _ONE_DAY), days.get(day + _ONE_DAY)]
    has_before, has_after = (other is not None and other.row_count > 0 and other.space == held.space for other in beside)
    return unseen(
        DayHeld(
            day_interval(day), held.covered, held.first_time, held.last_time, has_rows=True, is_consecutive=is_consecutive,
            is_expected=held.is_declared or listed.expects(day), has_before=has_before, has_after=has_after,
            is_declared=held.is_declared, row_count=held.row_count,
        )
    )  # fmt: skip


class Listed:
    """The days on which an instrument is expected in a stream: asked for once, and only if it matters."""

    def __init__(self, connection: Connection, stream: str, name: str) -> None:
        self._connection = connection
        self._stream = stream
        self._name = name
        self._days: tuple[date, date | None] | None = None
        self._is_asked = False

    def expects(self, day: date) -> bool:
        """Whether it was to be there on a day that is over."""
        if self._stream not in {"trades", "agg_trades"} or day >= datetime.now(UTC).date():
            return False
        if not self._is_asked:
            row = self._connection.execute(query("gaps_is_expected"), {"instrument": self._name, "stream": self._stream}).fetchone()
            self._days = None if row is None else (row[0], row[1])
            self._is_asked = True
        return self._days is not None and self._days[0] <= day and (self._days[1] is None or day < self._days[1])


def _unseen_around(day: date, days: Days, listed: Listed) -> list[Interval]:
    """What nobody saw of a day, and of the days beside it at the edges towards it: their ids may tell of these now, or no more."""
    found = unseen_of(day, days, listed)
    for beside in (day - _ONE_DAY, day + _ONE_DAY):
        held = days.get(beside)
        if held is not None and held.space in CONSECUTIVE:
            start, end = day_interval(beside)
            # What lies beyond them is not known here.
            found += [span for span in unseen_of(beside, days, listed) if (span[1] == end if beside < day else span[0] == start)]
    return found


def ends(first: "Held | None", second: "Held | None") -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """The last (id, time) of a day and the first of the next, where both are held by the same consecutive ids."""
    if first is None or second is None or not first.row_count or not second.row_count:
        return None, None
    if first.space not in CONSECUTIVE or first.space != second.space:
        return None, None
    return (first.last_sequence, first.last_time), (second.first_sequence, second.first_time)


def _open(
    connection: Connection, stream: str, name: str, kind: str, by: str | None, new: Sequence[tuple[Lacking, int | None]],
    evidence: Mapping[int, Mapping[str, Any]], cause: str,
) -> None:  # fmt: skip
    lacks = [piece for piece, _ in new]
    first, last = from_us(min(piece.from_time for piece in lacks)).date(), from_us(max(piece.to_time for piece in lacks)).date()
    values = {
        "instrument": name,
        "stream": stream,
        "base_stream": "venue_bars" if stream.startswith("venue_bars") else stream,
        "kind": kind,
        "by": by,
        "cause": cause,
        "days": [first + timedelta(days=number) for number in range((last - first).days + 1)],
        "parents": [parent for _, parent in new],
        "evidences": [Jsonb({**_sides(kind, by, piece), **evidence.get(piece.start, {})}) for piece in lacks],
        **_columns(kind, lacks),
    }
    connection.execute(query("gaps_open"), values)


def _sides(kind: str, by: str | None, lacks: Lacking) -> dict[str, Any]:
    """What a gap was seen by."""
    if kind != "ids":
        return {"by": by}
    return {"id_before": lacks.start - 1, "id_after": lacks.end}


def _columns(kind: str, lacks: Sequence[Lacking]) -> dict[str, Any]:
    has_ids = kind == "ids"
    return {
        "froms": [from_us(piece.from_time) for piece in lacks],
        "tos": [from_us(piece.to_time) for piece in lacks],
        "firsts": [piece.start if has_ids else None for piece in lacks],
        "lasts": [piece.end - 1 if has_ids else None for piece in lacks],
    }


def _lacking(kind: str, from_time: datetime, to_time: datetime, first: int | None, last: int | None) -> Lacking:
    if kind == "ids" and first is not None and last is not None:
        return Lacking(first, last + 1, to_us(from_time), to_us(to_time))
    return Lacking.times((to_us(from_time), to_us(to_time)))


def overlaps(spans: Sequence[Interval], lacks: Lacking) -> bool:
    """Whether any of disjoint spans in order holds something of it."""
    at = bisect_right(spans, (lacks.end - 1, maxsize)) - 1
    return at >= 0 and spans[at][1] > lacks.start


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
