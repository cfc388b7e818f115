"""The landing zone: files verified whole, kept as they came, and laid down by day for the loader.

Belongs here: accepting a file, finding the files of a day, reading a raw line again. Does not: storing
rows (warehouse/load), the runs that do so (assets.py).
A file is accepted in steps that each may be the last: copied and verified under `incoming/`, renamed into
`files/` in one step, entered in the books. What was not entered is as if it had never come.
"""

import errno
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.knowledge import clock_offset
from rrr_assets.calc.outcomes import NoSpaceLeft
from rrr_assets.contracts.parsed import UNDATED, UTC_MICROSECONDS
from rrr_assets.venues import registry
from rrr_assets.venues.base import ParsedBatch, Reason, Refusals, Source, SourceFacts, SourceRefused, Stream
from rrr_assets.venues.table_mapping import SUFFIX as MAPPING_SUFFIX
from rrr_assets.venues.table_mapping import mapping_beside
from rrr_assets.warehouse.books import Connection
from rrr_assets.warehouse.correct import located
from rrr_assets.warehouse.disk import require_room
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.home import Home, sync_folder
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.staging import StagedFile, Stager, folder_name, one_ahead
from rrr_assets.warehouse.tick_tables import CONSECUTIVE

_LEAST_FREE_MB: Final = 256
_BARS_ALONE: Final = {"binance-vision-klines", "binance-rest", "kraken-rest"}


@dataclass(frozen=True, slots=True)
class LandingFile:
    """A file in the landing zone: where it lies, and how it is to be read."""

    folder: Path
    name: str
    format: str
    given_instrument: str | None
    given_day: date | None
    stream: Stream | None = None

    @property
    def source(self) -> Source:
        return Source(self.folder / "original" / self.name, self.name, self.given_instrument, self.given_day, self.stream)


@dataclass(frozen=True, slots=True)
class Accepted:
    """One stream of a file that was accepted: its number and its days with their rows."""

    file_id: int
    name: str
    stream: str
    days: dict[date, int]
    rows_read: int
    passed_over: int
    instruments: tuple[str, ...]


def accept(
    home: Home,
    connection: Connection,
    path: Path,
    format_name: str,
    instrument: str | None,
    day: date | None,
    mapping: Path | None = None,
) -> list[Accepted]:
    """Verify a file whole, keep it in the landing zone, and ask for its days.

    A file of several streams is entered once for each of them. Accepting a file again asks for its days again; its rows are then
    found to be known. A table is kept with its mapping: the one that is given, or else the one beside it.

    Raises:
        SourceRefused: the file is damaged, truncated, or no such format: nothing of it was kept.
        NoSpaceLeft: the landing zone's disk is too full for it: nothing of it was kept.
    """
    if not path.is_file():
        raise SourceRefused(str(path), "there is no such file", "Name a file that exists")
    _require_space(home, path)
    if mapping is None and format_name == "table":
        mapping = mapping_beside(path)
    streams: list[Stream | None] = [None]
    accepted: list[Accepted] = []
    for stream in streams:
        try:
            asked = LandingFile(Path(), path.name, format_name, instrument, day, stream)
            landed, facts, notes = _keep(home, connection, path, mapping, asked)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise NoSpaceLeft(
                    f"{path.name}: the disk of {home.landing} is full, nothing of the file was kept. Free space and ingest it again"
                ) from error
            raise
        accepted.append(_register(connection, landed, facts, notes))
        reach("accept.registered")
        if stream is None:
            streams += facts.others
    return accepted


def _keep(
    home: Home, connection: Connection, path: Path, mapping: Path | None, asked: LandingFile
) -> tuple[LandingFile, SourceFacts, dict[str, Any]]:
    """One stream of a file, verified, kept and staged; with its facts and the notes on it."""
    with workspace(home) as incoming:
        landed = replace(asked, folder=incoming)
        _copy_in(path, mapping, incoming / "original")
        reach("accept.copied")
        facts = registry.get(landed.format).inspect(landed.source)
        # The same bytes under a name that says another instrument are another file.
        landed = replace(landed, given_instrument=asked.given_instrument or facts.instrument, stream=facts.stream)
        folder = home.landing / "files" / _key(facts.sha256, landed)
        known = _notes(folder)
        if known is None:
            known = stage(connection, landed, facts, incoming)
            reach("accept.staged")
            _settle(incoming, folder)
            reach("accept.settled")
        elif not (folder / "staged").is_dir():
            known = restage(home, connection, replace(landed, folder=folder, name=known["name"]))
    return landed, facts, known


def files_of_days(home: Home, connection: Connection, stream: str, days: Sequence[date]) -> dict[date, list[StagedFile]]:
    """The staged files with rows of each day that wait to be taken in; staged again where that was undone.

    Corrections wait with the trades that they correct, and come after them.
    """
    found: dict[date, list[StagedFile]] = {}
    streams = [stream, "corrections"] if stream == "trades" else [stream]
    rows = connection.execute(query("landing_files_of_days"), {"days": list(days), "streams": streams}).fetchall()
    for day, file_id, name, sha256, format_name, given_instrument, given_day, stream_name, space, unit, offset, since, until in rows:
        landed = landing_file(home, sha256, name, format_name, given_instrument, given_day, stream_name)
        if not (landed.folder / "staged").is_dir():
            restage(home, connection, landed)
        declared = None if since is None else (since, until)
        found.setdefault(day, []).append(StagedFile(file_id, name, landed.folder, stream_name, space, unit, offset, declared))
    return found


def landing_file(
    home: Home, sha256: str, name: str, format_name: str, given_instrument: str, given_day: str, stream: Stream
) -> LandingFile:
    """Where a file of the books lies."""
    day = date.fromisoformat(given_day) if given_day else None
    probe = LandingFile(Path(), name, format_name, given_instrument or None, day, stream)
    folder = home.landing / "files" / _key(sha256, probe)
    notes = _notes(folder)
    if notes is None:
        raise SourceRefused(name, f"it is in the books, but {folder} is gone", "Ingest the file again")
    return replace(probe, folder=folder, name=str(notes["name"]))


def restage(home: Home, connection: Connection, landed: LandingFile) -> dict[str, Any]:
    """Parse a landed file again and lay its rows down by day; returns the notes on it, which are written anew."""
    with workspace(home) as spare:
        notes = stage(connection, landed, registry.get(landed.format).inspect(landed.source), spare)
        try:
            (spare / "staged").rename(landed.folder / "staged")
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            # Another process staged it in the meantime, from the same bytes.
        (spare / "notes.json").replace(landed.folder / "notes.json")
    return notes


@contextmanager
def workspace(home: Home) -> Iterator[Path]:
    """A new folder under `incoming/`, removed at the end; those whose processes died are removed first.

    A folder's owner holds a lock on the file beside it, which the system frees when the owner dies: that tells
    the dead from the living also where they cannot see each other's processes.
    """
    incoming = home.landing / "incoming"
    incoming.mkdir(exist_ok=True)
    mine = incoming / uuid.uuid4().hex
    held = mine.with_suffix(".lock")
    # No lock file is made between a sweep's looking and its trying.
    with home.lock("landing-incoming"):
        for left in incoming.glob("*.lock"):
            _sweep(left)
        fd = os.open(held, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        mine.mkdir()
        yield mine
    finally:
        shutil.rmtree(mine, ignore_errors=True)
        held.unlink()
        os.close(fd)


def _sweep(lock_file: Path) -> None:
    """Remove the folder beside a lock file that nobody holds."""
    try:
        fd = os.open(lock_file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(lock_file.with_suffix(""), ignore_errors=True)
        lock_file.unlink(missing_ok=True)
    finally:
        os.close(fd)


def raw_lines(staged: StagedFile, lines: Sequence[int]) -> Mapping[int, str]:
    """The raw text of some lines of a landed file, or of some elements of a JSON list."""
    notes = _notes(staged.folder)
    if notes is None or not lines:
        return {}
    landed = LandingFile(staged.folder, notes["name"], notes["format"], notes["given_instrument"], None)
    return registry.get(landed.format).raw_lines(landed.source, sorted(set(lines)))


def _copy_in(path: Path, mapping: Path | None, folder: Path) -> None:
    """Copy a file, the checksum beside it and its mapping, durably: the copy is what is verified, so that nobody changes it after."""
    folder.mkdir()
    origins = {path.name: path, f"{path.name}.CHECKSUM": path.with_name(f"{path.name}.CHECKSUM")}
    if mapping is not None:
        origins[f"{path.name}{MAPPING_SUFFIX}"] = mapping
    for name, origin in origins.items():
        if origin.is_file():
            shutil.copyfile(origin, folder / name)
            with (folder / name).open("rb") as copied:
                os.fsync(copied.fileno())


def stage(connection: Connection, landed: LandingFile, facts: SourceFacts, folder: Path) -> dict[str, Any]:
    """Parse a file into `folder/staged`, and note beside it what was found; durable when it returns."""
    fallback = landed.given_day or (facts.declared[0] if facts.declared else datetime.now(UTC).date())
    rows_read = passed_over = 0
    lags: list[np.ndarray[Any, np.dtype[np.int64]]] = []
    folder.mkdir(parents=True, exist_ok=True)
    with Stager(folder / "staged", facts.stream, is_consecutive=facts.space in CONSECUTIVE) as stager:
        for parsed in one_ahead(registry.get(landed.format).parse(landed.source, facts)):
            batch = dated(connection, landed, parsed) if facts.stream == "corrections" else parsed
            stager.add(batch.rows, batch.refused, fallback)
            rows_read += len(batch.rows) + len(batch.refused)
            passed_over += batch.passed_over
            if "received_at" in batch.rows.schema.names:
                lags.append(_lags(batch.rows))
    notes = {
        "name": landed.name,
        "format": landed.format,
        "given_instrument": landed.given_instrument,
        "sha256": facts.sha256,
        "rows_read": rows_read,
        "passed_over": passed_over,
        "clock_offset_us": clock_offset(np.concatenate(lags)) if facts.clock_offset_us is None and lags else facts.clock_offset_us,
        "days": {day.isoformat(): rows for day, rows in sorted(stager.days.items())},
        "instruments": sorted(stager.instruments),
    }
    (folder / "notes.json").write_text(json.dumps(notes, indent=1), "utf-8")
    for written in (folder / "notes.json", *(folder / "staged").iterdir()):
        with written.open("rb") as file:
            os.fsync(file.fileno())
    for changed in (folder / "staged", folder):
        sync_folder(changed)
    return notes


def dated(connection: Connection, landed: LandingFile, batch: ParsedBatch) -> ParsedBatch:
    """Corrections, each with the day of its trade: where a source does not say it, it is looked up.

    A correction whose trade stands on no day, or on several, is refused: on which day it should wait, nothing says.
    """
    times = batch.rows.column("event_time")
    undated = pc.equal(times, pa.scalar(UNDATED, UTC_MICROSECONDS)).to_pylist()
    if not any(undated):
        return batch
    keys = list(zip(batch.rows.column("instrument").to_pylist(), batch.rows.column("sequence").to_pylist(), strict=True))
    found = located(connection, "raw_trades", {key for key, is_undated in zip(keys, undated, strict=True) if is_undated})
    lost = [number for number, key in enumerate(keys) if undated[number] and len(found.get(key, ())) != 1]
    lines = [batch.rows.column("line")[number].as_py() for number in lost]
    raw = registry.get(landed.format).raw_lines(landed.source, lines) if lost else {}
    refusals = Refusals()
    for line, (name, sequence) in zip(lines, (keys[number] for number in lost), strict=True):
        days = found.get((name, sequence))
        if days is None:
            what = Reason.UNKNOWN_TRADE, f"no trade {sequence} of {name} is stored: take it in first, then replay this line"
        else:
            shown = ", ".join(map(str, days))
            what = Reason.AMBIGUOUS, f"trade {sequence} of {name} stands on several days, {shown}: give a correction with its day"
        refusals.add(line, *what, raw.get(line, ""), name, None, sequence)
    known = [
        datetime.combine(found[key][0], time(), UTC) if undated[number] and number not in lost else times[number].as_py()
        for number, key in enumerate(keys)
    ]
    rows = batch.rows.set_column(
        batch.rows.schema.get_field_index("event_time"), batch.rows.schema.field("event_time"), pa.array(known, UTC_MICROSECONDS)
    )
    kept = pa.array([number not in lost for number in range(len(keys))], pa.bool_())
    refused = pa.Table.from_batches([batch.refused, refusals.batch()]).sort_by("line").combine_chunks()
    return replace(batch, rows=rows.filter(kept), refused=refused.to_batches()[0] if lost else batch.refused)


def _settle(incoming: Path, folder: Path) -> None:
    """Give a finished folder its final name in one step; where another process was faster, its folder stands."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        incoming.rename(folder)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
    sync_folder(folder.parent)


def _register(connection: Connection, landed: LandingFile, facts: SourceFacts, notes: Mapping[str, Any]) -> Accepted:
    days = {date.fromisoformat(day): rows for day, rows in notes["days"].items()}
    since, until = facts.declared or (None, None)
    with connection.transaction():
        row = connection.execute(
            query("landing_register"),
            {
                "sha256": facts.sha256, "name": landed.name, "format": landed.format, "given_instrument": landed.given_instrument or "",
                "given_day": landed.given_day.isoformat() if landed.given_day else "", "size_bytes": facts.size_bytes,
                "stream": facts.stream, "space": facts.space, "time_unit": facts.time_unit, "declared_from": since, "declared_to": until,
                "rows_read": notes["rows_read"], "passed_over": notes["passed_over"], "clock_offset_us": notes["clock_offset_us"],
            },
        ).fetchone()  # fmt: skip
        if row is None:
            # Another process entered it after our statement began: it is visible to the next one.
            return _register(connection, landed, facts, notes)
        file_id: int = row[0]
        connection.execute(query("landing_request_days"), {"file_id": file_id, "days": list(days), "rows": list(days.values())})
    return Accepted(file_id, landed.name, facts.stream, days, notes["rows_read"], notes["passed_over"], tuple(notes["instruments"]))


def _lags(rows: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.int64]]:
    """event_time less received_at in microseconds, where both are there."""
    received = rows.column("received_at")
    if received.null_count == len(received):
        return np.empty(0, np.int64)
    known = received.is_valid()
    event = rows.column("event_time").filter(known).cast(pa.int64()).to_numpy()
    lags: np.ndarray[Any, np.dtype[np.int64]] = event - received.filter(known).cast(pa.int64()).to_numpy()
    return lags


def _notes(folder: Path) -> dict[str, Any] | None:
    path = folder / "notes.json"
    if not path.is_file():
        return None
    notes: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return notes


def _key(sha256: str, landed: LandingFile) -> str:
    day = landed.given_day.isoformat() if landed.given_day else ""
    return folder_name(sha256, landed.format, landed.given_instrument or "", day, landed.stream)


def _require_space(home: Home, path: Path) -> None:
    """Refuse before anything is half written: the copy and its staged rows need room, and the database some more."""
    require_room(f"taking in {path.name}")
    least_mb = int(os.environ.get("RRR_LEAST_FREE_MB", _LEAST_FREE_MB))
    size = path.stat().st_size
    packed = path.suffix in {".zip", ".gz"}
    needed = size * (8 if packed else 3) + least_mb * 1_000_000
    free = shutil.disk_usage(home.landing).free
    if free < needed:
        raise NoSpaceLeft(
            f"{path.name} needs about {needed / 1e6:.0f} MB on the disk of {home.landing}, {free / 1e6:.0f} MB are free: "
            "nothing of it was kept. Free space, or move RRR_HOME"
        )
