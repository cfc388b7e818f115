"""Replay: refused rows come back once their cause is mended.

Belongs here: reading the lines that wait in quarantine again and loading them as any row is loaded. Does not:
judging them (warehouse/load), mending the cause (an instrument's scales, a parser, a correction).
A line that is stored, or found known, is `replayed`; one that is refused again goes on waiting, with its reason of
today. Running it twice changes nothing.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Final

import pyarrow as pa

from rrr_assets.lake.restoring import bringing_back
from rrr_assets.ticks import landing
from rrr_assets.ticks.landing import LandingFile
from rrr_assets.venues import registry
from rrr_assets.venues.base import SourceRefused
from rrr_assets.warehouse.books import Connection
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.load import load_day
from rrr_assets.warehouse.load_bars import load_bars_day
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.staging import StagedFile, Stager, drop_staged
from rrr_assets.warehouse.tick_tables import CONSECUTIVE
from rrr_assets.warehouse.tiers import brought_back

LOGGER: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """What a replay did, in lines: looked_at = taken_in + still_refused. `days` are those that were loaded, `streams` what was."""

    looked_at: int
    taken_in: int
    still_refused: int
    days: tuple[date, ...]
    streams: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A landed file with the lines of it that wait in quarantine, and the days they wait in."""

    landed: LandingFile
    staged: StagedFile
    lines: list[int]
    days: list[date]


def replay(
    database: Database, home: Home, *, instrument: str | None = None, reason: str | None = None, run_id: str | None = None
) -> ReplayOutcome:
    """Load the rows that wait in quarantine again, each day in a transaction of its own.

    Args:
        database: where they wait.
        home: whose landing zone has their files.
        instrument: only rows of this instrument.
        reason: only rows refused for this reason.
        run_id: the Dagster run, for the batches.

    Raises:
        NoSpaceLeft: a disk is full; the days committed before stay.
    """
    looked_at = taken_in = 0
    days, streams = set[date](), set[str]()
    with database.connect(Role.WRITER, autocommit=True) as connection:
        rows = connection.execute(query("replay_files"), {"instrument": instrument, "reason": reason}).fetchall()
        for row in rows:
            file_id, name, sha256, format_name, given_instrument, given_day, *facts, lines, waiting_days = row
            stream, space, unit, offset, since, until = facts
            looked_at += len(lines)
            try:
                landed = landing.landing_file(home, sha256, name, format_name, given_instrument, given_day, stream)
            except SourceRefused as gone:
                LOGGER.warning("the refused rows of %s go on waiting: %s", name, gone)
                continue
            declared = None if since is None else (since, until)
            staged = StagedFile(file_id, name, landed.folder, stream, space, unit, offset, declared)
            streams.add(stream)
            days.update(_replay_file(database, connection, home, _Waiting(landed, staged, lines, waiting_days), run_id))
            taken = connection.execute(
                "select count(*) from quarantine where file_id = %s and line = any(%s) and state = 'replayed'", (file_id, lines)
            ).fetchone()
            if taken is not None and taken[0]:
                taken_in += taken[0]
                # What was laid down before the cause was mended would have these lines refused again.
                drop_staged(landed.folder)
    return ReplayOutcome(looked_at, taken_in, looked_at - taken_in, tuple(sorted(days)), tuple(sorted(streams)))


def _replay_file(database: Database, connection: Connection, home: Home, waiting: _Waiting, run_id: str | None) -> list[date]:
    """Parse a file again, lay down the lines that wait, load them; returns the days loaded."""
    landed, parser = waiting.landed, registry.get(waiting.landed.format)

    def raw_text(_: StagedFile, lines: Sequence[int]) -> Mapping[int, str]:
        return parser.raw_lines(landed.source, sorted(set(lines)))

    facts = parser.inspect(landed.source)
    with landing.workspace(home) as folder:
        with Stager(
            folder / "staged", facts.stream, is_consecutive=facts.space in CONSECUTIVE, only_lines=pa.array(waiting.lines, pa.int64())
        ) as stager:
            for parsed in parser.parse(landed.source, facts):
                batch = landing.dated(connection, landed, parsed) if facts.stream == "corrections" else parsed
                stager.add(batch.rows, batch.refused, waiting.days[0])
        spare = StagedFile(
            file_id=waiting.staged.file_id,
            name=waiting.staged.name,
            folder=folder,
            stream=waiting.staged.stream,
            space=waiting.staged.space,
            time_unit=waiting.staged.time_unit,
            clock_offset_us=waiting.staged.clock_offset_us,
            declared=waiting.staged.declared,
        )
        store = load_bars_day if facts.stream == "venue_bars" else load_day
        # A line whose time is understood only now may leave its day: the day it leaves is told of it after it has arrived.
        days = [*sorted(set(stager.days).difference(waiting.days)), *waiting.days]
        bring_back = bringing_back(database, run_id)
        for day in days:
            brought_back(bring_back, partial(store, database, day, [spare], run_id, raw_text, is_replay=True))
    return days
