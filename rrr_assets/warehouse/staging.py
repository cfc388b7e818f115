"""Staged files: a landed file's rows, parsed once and laid down by day until each day is stored.

Belongs here: the folder of a landed file, its Arrow files by day, their summaries. Does not: parsing
(venues/), deciding what to take in (ticks/), the database.
A folder appears whole, by one rename, or not at all.
"""

import hashlib
import json
import shutil
import uuid
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Self, TypeVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.coverage import Hole, TapeBuilder
from rrr_assets.contracts.parsed import REFUSED_ROWS, SCHEMAS, UTC_MICROSECONDS

Item = TypeVar("Item")

DAY_US: Final = 86_400_000_000
_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression="lz4")

REFUSED_STAGED: Final = REFUSED_ROWS.append(pa.field("after_time", UTC_MICROSECONDS)).append(pa.field("before_time", UTC_MICROSECONDS))


@dataclass(frozen=True, slots=True)
class DaySummary:
    """What one file holds of one instrument on one day. Times in microseconds since 1970 UTC."""

    instrument: str
    rows: int
    is_increasing: bool
    first_id: int
    last_id: int
    lowest_id: int
    highest_id: int
    first_time: int
    last_time: int
    lowest_time: int
    highest_time: int
    holes: tuple[Hole, ...]


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A landed file with its number in the books, as the loader takes it."""

    file_id: int
    name: str
    folder: Path
    stream: str
    space: str | None
    time_unit: str
    clock_offset_us: int | None
    declared: tuple[date, date] | None

    def summaries(self, day: date) -> list[DaySummary]:
        """What it holds of a day, by instrument."""
        path = self.folder / "staged" / f"{day.isoformat()}.json"
        # Parsed anew, a file may have nothing of a day any more.
        found = json.loads(path.read_text("utf-8")) if path.is_file() else []
        return [DaySummary(**{**entry, "holes": tuple(Hole(*hole) for hole in entry["holes"])}) for entry in found]

    def rows(self, day: date) -> Iterator[pa.RecordBatch]:
        """The day's good rows in source order, in batches."""
        yield from rows_of(self.folder, day)

    def refused(self, day: date) -> pa.Table:
        """The day's refused rows, schema REFUSED_STAGED."""
        return pa.Table.from_batches(_read(self.folder / "staged" / f"{day.isoformat()}.refused.arrow"), REFUSED_STAGED)


_BARS_ALONE: Final = frozenset({"binance-vision-klines", "binance-rest", "kraken-rest"})
"""Formats whose files hold bars and nothing else, or none."""


def folder_name(sha256: str, format_name: str, given_instrument: str, given_day: str, stream: str | None) -> str:
    """The name of a landed file's folder: its content, its format, and what the user said of it, empty where nothing was said."""
    said = [sha256, format_name, given_instrument, given_day]
    # Folders that were named before there were files of several streams keep their names.
    if stream != "trades" and not (stream == "venue_bars" and format_name in _BARS_ALONE):
        said.append(str(stream))
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:40]


def rows_of(folder: Path, day: date, columns: Collection[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The good rows of a day that are staged in a landed file's folder, in source order, in batches; none where they are not.

    With `columns`, only these, in the order of the stream's schema.
    """
    yield from _read(folder / "staged" / f"{day.isoformat()}.rows.arrow", columns)


def batch_of(folder: Path, day: date, number: int, columns: Collection[str] | None = None) -> pa.RecordBatch:
    """One of the batches of `rows_of`, by its place among them."""
    with pa.OSFile(str(folder / "staged" / f"{day.isoformat()}.rows.arrow")) as source:
        return _reader(source, columns).get_batch(number)


class Stager:
    """Lays a file's batches down by day. Use as a context manager; `days` is final when it closed.

    Where ids are consecutive, their jumps are summed up as holes. With `only_lines` (ascending), only these lines are laid
    down and counted. What is said of the file's ends and of a refused row's neighbours is said of the whole file all the same.
    """

    def __init__(self, folder: Path, stream: str, *, is_consecutive: bool, only_lines: pa.Array | None = None) -> None:
        self._folder = folder
        self._only_lines = only_lines
        self._laid: dict[tuple[date, str], int] = {}
        self._schema = SCHEMAS[stream]
        self._time = "bar_start" if stream == "venue_bars" else "event_time"
        self._is_consecutive = is_consecutive
        self._writers: dict[tuple[date, str], Any] = {}
        self._tapes: dict[date, dict[str, TapeBuilder]] = {}
        self._waiting: list[tuple[pa.RecordBatch, list[int | None], date]] = []
        self._last_time: int | None = None
        self.days: dict[date, int] = {}

    @property
    def instruments(self) -> set[str]:
        """The instruments of the good rows so far."""
        return {name for tapes in self._tapes.values() for name in tapes}

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self._end_wait(None)
        for writer in self._writers.values():
            writer.close()
        if kind is None:
            for day, tapes in self._tapes.items():
                for part in ("rows", "refused"):
                    if (day, part) not in self._writers:
                        self._writer(day, part).close()
                entries = [_summary(name, tape, self._laid.get((day, name), 0)) for name, tape in sorted(tapes.items())]
                (self._folder / f"{day.isoformat()}.json").write_text(json.dumps(entries), "utf-8")

    def add(self, rows: pa.RecordBatch, refused: pa.RecordBatch, fallback_day: date) -> None:
        """Lay down one batch. A refused row without a time goes to the day of the good row before it, else after it, else the fallback."""
        times = _us(rows.column(self._time))
        if len(times):
            self._end_wait(int(times[0]))
        self._add_refused(rows, refused, times, fallback_day)
        if len(times) == 0:
            return
        day_numbers = times // DAY_US
        changes = np.flatnonzero(np.diff(day_numbers)) + 1
        starts, ends = [0, *changes.tolist()], [*changes.tolist(), len(times)]
        if len(starts) > 64:
            # A source in wild order: gather each day's rows instead of writing a sliver at every change.
            for number in np.unique(day_numbers):
                mask = day_numbers == number
                self._add_day(_day(int(number)), rows.filter(pa.array(mask)), times[mask])
        else:
            for start, end in zip(starts, ends, strict=True):
                self._add_day(_day(int(day_numbers[start])), rows.slice(start, end - start), times[start:end])
        self._last_time = int(times[-1])

    def _add_day(self, day: date, rows: pa.RecordBatch, times: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        tapes = self._tapes.setdefault(day, {})
        ids = rows.column("sequence").to_numpy() if "sequence" in rows.schema.names else times
        instruments = rows.column("instrument")
        names = pc.unique(instruments).to_pylist()
        for name in names:
            mask = None if len(names) == 1 else pc.equal(instruments, name).to_numpy(zero_copy_only=False)
            tapes.setdefault(name, TapeBuilder(self._is_consecutive)).add(
                ids if mask is None else ids[mask], times if mask is None else times[mask]
            )
        laid = self._wanted(rows)
        if len(laid):
            self._writer(day, "rows").write_batch(laid)
            self.days[day] = self.days.get(day, 0) + len(laid)
            for entry in pc.value_counts(laid.column("instrument")).to_pylist():
                self._laid[day, entry["values"]] = self._laid.get((day, entry["values"]), 0) + entry["counts"]

    def _wanted(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        return rows if self._only_lines is None else rows.filter(pc.is_in(rows.column("line"), self._only_lines))

    def _add_refused(
        self, rows: pa.RecordBatch, refused: pa.RecordBatch, times: np.ndarray[Any, np.dtype[np.int64]], fallback_day: date
    ) -> None:
        if len(refused) == 0:
            return
        at = np.searchsorted(rows.column("line").to_numpy(), refused.column("line").to_numpy())
        after = [int(times[i - 1]) if i > 0 else self._last_time for i in at]
        inside = int(np.searchsorted(at, len(times)))
        self._lay_refused(refused.slice(0, inside), after[:inside], [int(times[i]) for i in at[:inside]], fallback_day)
        # The good row after the others comes with a later batch, or never.
        self._waiting.append((refused.slice(inside), after[inside:], fallback_day))

    def _end_wait(self, before: int | None) -> None:
        for refused, after, fallback_day in self._waiting:
            self._lay_refused(refused, after, [before] * len(refused), fallback_day)
        self._waiting.clear()

    def _lay_refused(self, refused: pa.RecordBatch, after: list[int | None], before: Sequence[int | None], fallback_day: date) -> None:
        event = refused.column("event_time").cast(pa.int64()).to_pylist()
        known = [next((t for t in three if t is not None), None) for three in zip(event, after, before, strict=True)]
        days = [fallback_day if t is None else _day(t // DAY_US) for t in known]
        columns = [*refused.columns, pa.array(after, UTC_MICROSECONDS), pa.array(before, UTC_MICROSECONDS)]
        full = pa.RecordBatch.from_arrays(columns, schema=REFUSED_STAGED)
        for day in sorted(set(days)):
            laid = self._wanted(full.filter(pa.array([d == day for d in days])))
            if len(laid):
                self._writer(day, "refused").write_batch(laid)
                self.days[day] = self.days.get(day, 0) + len(laid)
                self._tapes.setdefault(day, {})

    def _writer(self, day: date, part: str) -> Any:
        if (day, part) not in self._writers:
            schema = self._schema if part == "rows" else REFUSED_STAGED
            path = self._folder / f"{day.isoformat()}.{part}.arrow"
            self._writers[day, part] = pa.ipc.new_file(str(path), schema, options=_OPTIONS)
        return self._writers[day, part]


def one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made in a thread while the one before it is used. Pays where both sides work outside the interpreter's lock."""
    end = object()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="one-ahead") as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield cast(Item, item)


def drop_staged(folder: Path) -> None:
    """Remove a file's staged rows; the file itself stays. In one step, so that whoever dies here leaves all of them or none."""
    with suppress(FileNotFoundError):
        (folder / "staged").rename(folder / f"dropped-{uuid.uuid4().hex}")
    for dropped in folder.glob("dropped-*"):
        shutil.rmtree(dropped, ignore_errors=True)


def _summary(name: str, tape: TapeBuilder, rows: int) -> dict[str, Any]:
    return {
        "instrument": name,
        "rows": rows,
        "is_increasing": tape.is_increasing,
        "first_id": tape.first_id,
        "last_id": tape.last_id,
        "lowest_id": tape.lowest_id,
        "highest_id": tape.highest_id,
        "first_time": tape.first_time,
        "last_time": tape.last_time,
        "lowest_time": tape.lowest_time,
        "highest_time": tape.highest_time,
        "holes": [(h.id_before, h.time_before, h.id_after, h.time_after) for h in tape.holes] if tape.is_increasing else [],
    }


def _read(path: Path, columns: Collection[str] | None = None) -> Iterator[pa.RecordBatch]:
    if not path.is_file():
        return
    # Not mapped: the batches are compressed, so that nothing is saved, and what was read would count as memory in use.
    with pa.OSFile(str(path)) as source:
        reader = _reader(source, columns)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)


def _reader(source: pa.NativeFile, columns: Collection[str] | None) -> Any:
    reader = pa.ipc.open_file(source)
    if columns is None:
        return reader
    chosen = [place for place, name in enumerate(reader.schema.names) if name in columns]
    return pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=chosen))


def _us(times: pa.Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    microseconds: np.ndarray[Any, np.dtype[np.int64]] = times.cast(pa.int64()).to_numpy()
    return microseconds


def _day(number: int) -> date:
    return date.fromordinal(719_163 + number)
