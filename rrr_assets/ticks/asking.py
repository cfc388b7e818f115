"""Sources of healing, asked for what is missing: the files that they have of it are brought into the landing zone.

Belongs here: which source can have what, in which of its files, and whether a file that came holds what is missing and is of the
instrument that it is asked for. Does not: how a file comes (fetching, sources/), storing its rows, what is written of it (healing).
A file is looked at before it is accepted: one that brings nothing of a gap is not taken in for it.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.outcomes import NoSpaceLeft
from rrr_assets.calc.quality_config import HealingSource, covers
from rrr_assets.sources import binance_rest, binance_vision, mirror
from rrr_assets.sources.binance_vision import ArchiveFile, Kind, Period, archive_file
from rrr_assets.sources.download import Downloader, DownloadFailed, receipt, unseen
from rrr_assets.ticks import landing
from rrr_assets.ticks.fetching import FORMATS, bringing, fetched
from rrr_assets.venues import registry
from rrr_assets.venues.base import Source, SourceFacts, SourceRefused, Stream
from rrr_assets.warehouse.books import Connection
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.tick_tables import TICK_TABLES

URL_VARIABLE: Final = "RRR_BINANCE_VISION_URL"
KEY_VARIABLE: Final = "RRR_BINANCE_API_KEY"

_BARS: Final = "venue_bars_"
_KINDS: Final[dict[str, Kind]] = {"trades": "trades", "agg_trades": "aggtrades"}
_MOST_DAYS: Final = 31
_WAIT_SECONDS: Final = 60
_NEAR: Final = 200
_HERE: Final = "the file is here already"
_CLOCK: Final = timedelta(minutes=1)
"""How far a venue's clock may step back between two ids."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What a gap misses. Times in UTC, `to_time` excluded; ids both included, None where ids tell nothing."""

    gap_id: int
    instrument: str
    stream: str
    kind: str
    from_time: datetime
    to_time: datetime
    first_missing: int | None
    last_missing: int | None
    attempts: int = 0

    @property
    def base_stream(self) -> Stream:
        """The stream that a file of it holds: bars of every interval are one."""
        return cast(Stream, "venue_bars" if self.stream.startswith(_BARS) else self.stream)

    @property
    def days(self) -> list[date]:
        """The UTC days that it touches, the first ones where they are many."""
        first = self.from_time.astimezone(UTC).date()
        last = (self.to_time.astimezone(UTC) - timedelta(microseconds=1)).date()
        return [first + timedelta(days=number) for number in range(min((last - first).days, _MOST_DAYS) + 1)]

    @property
    def told(self) -> str:
        """What is missing, in words."""
        if self.first_missing is not None and self.last_missing is not None:
            one = self.first_missing == self.last_missing
            return f"id {self.first_missing}" if one else f"ids {self.first_missing}-{self.last_missing}"
        return f"{_iso(self.from_time)} to {_iso(self.to_time)}"


@dataclass
class Answer:
    """What a source had of a gap: rows of it that came, the files that landed and their days that wait, and why not all of it came.

    `wait_seconds` is the wait that the source asked for.
    """

    rows: int = 0
    reasons: list[str] = field(default_factory=list)
    wait_seconds: float = 0
    days: set[tuple[str, date]] = field(default_factory=set)
    files: set[int] = field(default_factory=set)


def can_have(source: HealingSource, missing: Missing) -> bool:
    """Whether a source is to be asked for it."""
    if not covers(source.instruments, missing.instrument):
        return False
    venue = missing.instrument.partition(":")[0]
    if source.kind == "binance-rest":
        return missing.kind == "ids" and missing.stream == "trades" and venue in binance_rest.VENUES
    if source.kind == "mirror" and source.format is not None:
        return True
    return venue in binance_vision.FOLDERS and (missing.stream in _KINDS or missing.stream.startswith(_BARS))


def ask(home: Home, database: Database, downloader: Downloader, source: HealingSource, gaps: Sequence[Missing]) -> dict[int, Answer]:
    """Ask one source for some gaps; what it has waits in the landing zone afterwards. An answer for each gap, by its number.

    What goes wrong with one file is a reason, and costs no other file.
    """
    asking = _Asking(database, home, {gap.gap_id: Answer() for gap in gaps})
    how = {"binance-vision": _ask_archive, "binance-rest": _ask_by_id, "mirror": _ask_mirror}[source.kind]
    how(asking, downloader, source, gaps)
    return asking.answers


# --- the three kinds of sources -----------------------------------------------------------------------------------


def _ask_archive(asking: "_Asking", downloader: Downloader, source: HealingSource, gaps: Sequence[Missing]) -> None:
    """Daily files of the archive. A file that was taken in before is asked for too: the venue may have replaced it since."""
    base_url = source.url or os.environ.get(URL_VARIABLE) or binance_vision.DEFAULT_URL
    wanted = _archive_files(gaps)
    try:
        binance_vision.address(base_url, next(iter(wanted)))
    except ValueError as error:
        asking.tell(gaps, str(error))
        return
    with bringing(
        asking.home, asking.database, downloader, list(wanted), base_url, lambda _: unseen, check=True, wait_seconds=_WAIT_SECONDS
    ) as brought:
        for file, failure in brought.failed.items():
            asking.fail(wanted[file], failure)
        for file, path in brought.fresh.items():
            asking.offer(path, FORMATS[file.kind], file.instrument, wanted[file])
        for file, landed in brought.landed.items():
            sha256 = receipt(fetched(asking.home) / file.path) or ""
            stream = wanted[file][0].base_stream
            try:
                here = landing.landing_file(asking.home, sha256, file.name, FORMATS[file.kind], file.instrument, "", stream)
            except SourceRefused as error:
                asking.tell(wanted[file], str(error))
                continue
            asking.tell(wanted[file], *landed.refused)
            asking.offer(here.source.path, FORMATS[file.kind], file.instrument, wanted[file], came=_HERE)


def _ask_by_id(asking: "_Asking", downloader: Downloader, source: HealingSource, gaps: Sequence[Missing]) -> None:
    """Exactly the missing ids, page by page; each page is taken in as it comes, so that the next attempt asks for the rest alone."""
    key = os.environ.get(KEY_VARIABLE)
    headers = {binance_rest.KEY_HEADER: key} if key else {}
    folder = asking.home.landing / "fetched" / source.name
    for number, gap in enumerate(gaps):
        if gap.first_missing is None or gap.last_missing is None:
            continue
        answer = asking.answers[gap.gap_id]
        try:
            for page in binance_rest.pages(downloader, source.url, gap.instrument, gap.first_missing, gap.last_missing, folder, headers):
                asking.offer(page.path, "binance-rest", gap.instrument, [gap], came="the page came")
                page.path.unlink(missing_ok=True)
        except DownloadFailed as error:
            if error.asked_seconds:
                # Who goes on asking is shut out for longer.
                asking.fail(gaps[number:], error)
                return
            asking.fail([gap], error)
        if not answer.rows and not answer.reasons:
            answer.reasons.append(f"the venue has no {gap.told} of {gap.instrument}")


def _ask_mirror(asking: "_Asking", _: Downloader, source: HealingSource, gaps: Sequence[Missing]) -> None:
    """Files of a folder. A checksum that lies beside one is held against it when it is looked at."""
    root = mirror.folder_of(source.url or "")
    if source.format is None:
        for file, of in _archive_files(gaps).items():
            try:
                asking.offer(mirror.archive_copy(root, file), FORMATS[file.kind], file.instrument, of)
            except DownloadFailed as error:
                asking.fail(of, error)
        return
    if source.format not in registry.FORMATS:
        asking.tell(gaps, f"{source.name}: '{source.format}' is no format; `rrr formats` lists them")
        return
    days: dict[tuple[str, str, date], list[Missing]] = {}
    for gap in gaps:
        for day in gap.days:
            days.setdefault((gap.instrument, gap.stream, day), []).append(gap)
    for (instrument, _stream, day), of in days.items():
        try:
            for path in mirror.files_of(root, instrument, day):
                asking.offer(path, source.format, None, of)
        except DownloadFailed as error:
            asking.fail(of, error)


def _archive_files(gaps: Iterable[Missing]) -> dict[ArchiveFile, list[Missing]]:
    wanted: dict[ArchiveFile, list[Missing]] = {}
    for gap in gaps:
        kind = _KINDS.get(gap.stream, "klines")
        for day in gap.days:
            wanted.setdefault(archive_file(gap.instrument, kind, Period(day), gap.stream.removeprefix(_BARS)), []).append(gap)
    return wanted


# --- a file that came ---------------------------------------------------------------------------------------------


@dataclass
class _Asking:
    """One source being asked, and what it answered so far."""

    database: Database
    home: Home
    answers: dict[int, Answer]

    def tell(self, gaps: Iterable[Missing], *reasons: str) -> None:
        for gap in gaps:
            self.answers[gap.gap_id].reasons += reasons

    def fail(self, gaps: Iterable[Missing], failure: DownloadFailed) -> None:
        for gap in gaps:
            answer = self.answers[gap.gap_id]
            answer.reasons.append(str(failure))
            answer.wait_seconds = max(answer.wait_seconds, failure.asked_seconds)

    def offer(self, path: Path, format_name: str, instrument: str | None, gaps: Sequence[Missing], came: str = "the file came") -> None:
        """Look at a file, and take it into the landing zone where it holds something of the gaps."""
        stream = gaps[0].base_stream
        with self.database.connect(Role.WRITER, autocommit=True) as connection:
            try:
                look = _look_at(connection, path, format_name, instrument, stream, gaps)
                wanted = [gap for gap in gaps if self._is_wanted(gap, look, came)]
                if not wanted:
                    return
                accepted = landing.accept(self.home, connection, path, format_name, look.given, None)
            except (SourceRefused, NoSpaceLeft) as error:
                self.tell(gaps, str(error))
                return
        days = {(file.stream, day) for file in accepted if file.stream == stream for day in file.days}
        for gap in wanted:
            self.answers[gap.gap_id].rows += look.rows[gap.gap_id]
            self.answers[gap.gap_id].days |= days
            self.answers[gap.gap_id].files |= {file.file_id for file in accepted}

    def _is_wanted(self, gap: Missing, look: "_Look", came: str) -> bool:
        """Whether a file brings something of a gap; where it does not, it is said why."""
        answer = self.answers[gap.gap_id]
        if refused := look.refused[gap.gap_id]:
            answer.reasons.append(f"{look.name}: {refused} of its rows of {gap.told} were refused; they wait in quarantine")
        if gap.kind != "ids":
            # A file that claims the day is a proof also where nobody traded.
            return bool(look.rows[gap.gap_id] or look.is_declared)
        if not look.rows[gap.gap_id]:
            if not refused:
                answer.reasons.append(f"{look.name}: {came}, but {gap.told} {'is' if 'ids' not in gap.told else 'are'} not in it")
            # They are to be seen in quarantine, once.
            return bool(refused) and came != _HERE
        in_all = (gap.last_missing or 0) - (gap.first_missing or 0) + 1
        if look.rows[gap.gap_id] < in_all and came != "the page came":
            answer.reasons.append(f"{look.name}: {came}, with {look.rows[gap.gap_id]:,} of {in_all:,} missing ids")
        return True


@dataclass
class _Look:
    """What a file holds of some gaps, by the gaps' numbers: rows, and rows that were refused. `given` is what it must be told."""

    name: str
    given: str | None
    is_declared: bool
    rows: dict[int, int]
    refused: dict[int, int]


def _look_at(
    connection: Connection, path: Path, format_name: str, instrument: str | None, stream: Stream, gaps: Sequence[Missing]
) -> _Look:
    """Read a file whole, and count what it holds of some gaps of one instrument.

    Raises:
        SourceRefused: it is damaged, no such format, of another stream or instrument, or somebody took it back.
    """
    parser = registry.get(format_name)
    source, facts = _inspected(parser.inspect, path, instrument, gaps[0].instrument, stream)
    name = gaps[0].instrument
    if facts.stream != stream or (facts.interval is not None and facts.interval != gaps[0].stream.removeprefix(_BARS)):
        held = f"bars of {facts.interval}" if facts.interval else facts.stream
        raise SourceRefused(path.name, f"it holds {held}, not {gaps[0].stream}", "Correct the source's format")
    if facts.instrument is not None and facts.instrument != name:
        raise SourceRefused(path.name, f"it holds {facts.instrument}, not {name}", "Correct the source")
    _refuse_taken_back(connection, facts, format_name, path.name, gaps)
    counts = {gap.gap_id: 0 for gap in gaps}
    refused = dict(counts)
    near: dict[int, tuple[Decimal, Decimal]] = {}
    for batch in parser.parse(source, facts):
        for gap in gaps:
            mine = _of_gap(batch.rows, gap)
            counts[gap.gap_id] += len(mine)
            refused[gap.gap_id] += len(_of_gap(batch.refused, gap))
            if gap.kind == "ids":
                _refuse_other_times(path.name, gap, mine)
                near |= _neighbours(batch.rows, gap)
    _refuse_other_trades(connection, path.name, gaps, near)
    return _Look(path.name, source.instrument, facts.declared is not None, counts, refused)


def _inspected(
    inspect: Callable[[Source], SourceFacts], path: Path, instrument: str | None, wanted: str, stream: Stream
) -> tuple[Source, SourceFacts]:
    """A file's facts: by what it says of itself, or else as a file of the instrument that is wanted."""
    of_many = stream if stream in TICK_TABLES else None
    source = Source(path, path.name, instrument, None, of_many)
    try:
        return source, inspect(source)
    except SourceRefused:
        if instrument is not None:
            raise
        given = Source(path, path.name, wanted, None, of_many)
        return given, inspect(given)


def _refuse_taken_back(connection: Connection, facts: SourceFacts, format_name: str, name: str, gaps: Sequence[Missing]) -> None:
    """Refuse a file that somebody took back: what a person decided is for a person to change."""
    asked = {"sha256": facts.sha256, "format": format_name, "days": sorted({day for gap in gaps for day in gap.days})}
    for batch_id, day, undone_by in connection.execute(query("healing_taken_back"), asked).fetchall():
        raise SourceRefused(
            name, f"its rows of {day} were taken back: batch {batch_id} by batch {undone_by}", "Ingest it, if it is right after all"
        )


def _of_gap(rows: pa.RecordBatch, gap: Missing) -> pa.RecordBatch:
    """The rows that lie in a gap."""
    column = rows.column("instrument")
    mine = pc.equal(column, pa.scalar(gap.instrument, column.type))
    if gap.kind == "ids" and "sequence" in rows.schema.names:
        inside = _between(rows.column("sequence"), gap.first_missing, (gap.last_missing or 0) + 1)
    else:
        inside = _between(rows.column("bar_start" if "bar_start" in rows.schema.names else "event_time"), gap.from_time, gap.to_time)
    return rows.filter(pc.fill_null(pc.and_(mine, inside), False))


def _between(values: pa.Array, first: Any, until: Any) -> pa.Array:
    return pc.and_(pc.greater_equal(values, pa.scalar(first, values.type)), pc.less(values, pa.scalar(until, values.type)))


def _refuse_other_times(name: str, gap: Missing, rows: pa.RecordBatch) -> None:
    """Refuse a file whose ids are those that are missing, but whose times are not between those of the trades beside them."""
    if not len(rows):
        return
    bounds = pc.min_max(rows.column("event_time")).as_py()
    if bounds["min"] < gap.from_time - _CLOCK or bounds["max"] >= gap.to_time + _CLOCK:
        raise SourceRefused(
            name,
            f"its {gap.told} are of {_iso(bounds['min'])} to {_iso(bounds['max'])}, and those that are missing lie between "
            f"{_iso(gap.from_time)} and {_iso(gap.to_time)}",
            "It seems to be of another instrument",
        )


def _neighbours(rows: pa.RecordBatch, gap: Missing) -> dict[int, tuple[Decimal, Decimal]]:
    """The rows on both sides of a gap, with price and size."""
    sequence, first, last = rows.column("sequence"), gap.first_missing or 0, gap.last_missing or 0
    around = pc.and_(_between(sequence, first - _NEAR, last + 1 + _NEAR), pc.invert(_between(sequence, first, last + 1)))
    chosen = rows.filter(around)
    values = zip(chosen.column("price").to_pylist(), chosen.column("size").to_pylist(), strict=True)
    return dict(zip(chosen.column("sequence").to_pylist(), values, strict=True))


def _refuse_other_trades(connection: Connection, name: str, gaps: Sequence[Missing], near: Mapping[int, tuple[Decimal, Decimal]]) -> None:
    """Refuse a file that says something else of most trades that are held: a few that differ are conflicts, all of them another tape."""
    if not near:
        return
    asked = {
        "stream": gaps[0].stream,
        "instrument": gaps[0].instrument,
        "ids": list(near),
        "from_time": min(gap.from_time for gap in gaps) - timedelta(days=1),
        "to_time": max(gap.to_time for gap in gaps) + timedelta(days=1),
    }
    known = connection.execute(query("healing_known"), asked).fetchall()
    differ = [sequence for sequence, price, size in known if (price, size) != near[sequence]]
    if 2 * len(differ) > len(known):
        raise SourceRefused(
            name,
            f"{len(differ)} of {len(known)} trades beside {gaps[0].told} that are held have another price or size in it",
            "It seems to be of another instrument",
        )


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").replace(".000000Z", "Z")
