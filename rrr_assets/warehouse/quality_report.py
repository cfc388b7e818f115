"""What the database knows of the data's quality, read in one picture for one report.

Belongs here: the rows of the quality ledgers, of a window of days, as the analyst. Does not: what they amount to (quality/report.py), who
writes them. Shares and scores are statistics, no money. The lists are bounded; how many there are in all is told beside each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import psycopg

from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.contracts.quality import QUALITY_RUN_KINDS
from rrr_assets.warehouse.connect import Database, DatabaseUnusable, Role
from rrr_assets.warehouse.gaps import Gap
from rrr_assets.warehouse.sqlfiles import query

WINDOW_DAYS: Final = 30
"""Days of a report where none are asked for."""

MOST_DAYS: Final = 400
MOST_ROWS: Final = 200
"""Of gaps, findings and anomalies at most so many are read."""


class WindowRefused(PermanentFailure):
    """The days that were asked for are none, or too many: the message says what to ask for."""


@dataclass(frozen=True, slots=True)
class JudgedDay:
    """A row of quality_days."""

    instrument: str
    day: date
    status: str
    row_count: int
    completeness: float | None
    validity: float | None
    conformance: float | None
    freshness: float | None
    open_gaps: int
    findings: int
    anomalies: int
    reasons: Sequence[str]
    computed_at: datetime


@dataclass(frozen=True, slots=True)
class OpenFinding:
    """A rule that is broken."""

    finding_id: int
    rule: str
    severity: str
    relation: str
    instrument: str | None
    day: date | None
    broken: int
    examined: int
    examples: Sequence[str]
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Unlikely:
    """A row of anomalies."""

    rule: str
    relation: str
    instrument: str
    from_time: datetime
    to_time: datetime
    value: float
    expected: float | None
    score: float
    threshold: float
    found_at: datetime


@dataclass(frozen=True, slots=True)
class Verdicts:
    """How many bars of a venue and length have which verdict."""

    venue: str
    interval: str
    equal: int
    explained: int
    uncovered: int
    unexplained: int


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last run of a kind that ended; None where none ever did."""

    kind: str
    finished_at: datetime | None
    started_at: datetime | None
    checks: int | None
    broken: int | None
    errors: Sequence[str] | None
    under_way_since: datetime | None


@dataclass(frozen=True, slots=True)
class StreamAge:
    """How old the newest row of a stream was when it was looked at, in seconds."""

    instrument: str
    stream: str
    last_event_time: datetime | None
    age_seconds: float | None
    limit_seconds: float | None
    is_fresh: bool | None
    looked_at: datetime


@dataclass(frozen=True, slots=True)
class QualityRows:
    """All of it, of the days from `from_day` until `until_day`, which is left out, as it stood at `at` (UTC)."""

    at: datetime
    from_day: date
    until_day: date
    only: tuple[str, ...] | None
    last_held_day: date | None
    instruments: tuple[str, ...]
    days: tuple[JudgedDay, ...]
    gaps: tuple[Gap, ...]
    gaps_in_all: int
    findings: tuple[OpenFinding, ...]
    findings_in_all: int
    findings_paging: int
    anomalies: tuple[Unlikely, ...]
    anomalies_in_all: int
    verdicts: tuple[Verdicts, ...]
    runs: tuple[LastRun, ...]
    streams: tuple[StreamAge, ...]


def read_quality(
    database: Database,
    start: datetime | None = None,
    end: datetime | None = None,
    instruments: Sequence[str] | None = None,
    *,
    at: datetime | None = None,
) -> QualityRows:
    """Read what is known, in one picture.

    Args:
        database: it; entered as the analyst.
        start: days that touch [start, end); without it, the 30 days before `end`.
        end: without it, until the last day that was judged, or today.
        instruments: only these; None for all.
        at: what is called now, UTC; None for the clock.

    Raises:
        WindowRefused: no day touches it, or more than 400 do.
        DatabaseUnusable: it cannot be entered, or has no schema of quality yet.
    """
    now = at or datetime.now(UTC)
    only = None if instruments is None else list(instruments)
    with database.connect(Role.ANALYST) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        try:
            ((last_day, last_held_day),) = _rows(connection, "quality_report_window", {"instruments": only})
        except psycopg.errors.UndefinedTable as error:
            raise DatabaseUnusable(f"database {database.name} has no tables of quality yet. Run `rrr up` or `rrr migrate`") from error
        from_day, until_day = _window(start, end, last_day, now.date())
        since, until = (datetime.combine(day, time(), UTC) for day in (from_day, until_day))
        of_window = {"instruments": only, "from_day": from_day, "until_day": until_day, "since": since, "until": until, "most": MOST_ROWS}
        # What is open is told however old it is, unless days were asked for.
        of_open = {**of_window, "since": start and since, "until": end and until}
        gaps = _rows(connection, "quality_report_gaps", of_open)
        findings = _rows(connection, "quality_report_findings", of_open)
        anomalies = _rows(connection, "quality_report_anomalies", of_window)
        return QualityRows(
            at=now,
            from_day=from_day,
            until_day=until_day,
            only=None if only is None else tuple(only),
            last_held_day=last_held_day,
            instruments=tuple(name for (name,) in _rows(connection, "quality_report_instruments", of_window)),
            days=tuple(JudgedDay(*row) for row in _rows(connection, "quality_report_days", of_window)),
            gaps=tuple(Gap(*row[:-1]) for row in gaps),
            gaps_in_all=gaps[0][-1] if gaps else 0,
            findings=tuple(OpenFinding(*row[:-2]) for row in findings),
            findings_in_all=findings[0][-2] if findings else 0,
            findings_paging=findings[0][-1] if findings else 0,
            anomalies=tuple(Unlikely(*row[:-1]) for row in anomalies),
            anomalies_in_all=anomalies[0][-1] if anomalies else 0,
            verdicts=tuple(Verdicts(*row) for row in _rows(connection, "quality_report_conformance", of_window)),
            runs=tuple(LastRun(*row) for row in _rows(connection, "quality_report_runs", {"kinds": list(QUALITY_RUN_KINDS)})),
            streams=tuple(StreamAge(*row) for row in _rows(connection, "quality_report_streams", {"instruments": only})),
        )


def _rows(connection: psycopg.Connection[tuple[Any, ...]], name: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    return connection.execute(query(name), values).fetchall()


def _window(start: datetime | None, end: datetime | None, last_day: date | None, today: date) -> tuple[date, date]:
    """The days that touch [start, end)."""
    if end is None:
        until_day = (last_day or today) + timedelta(days=1)
        if start is not None and start.date() >= until_day:
            until_day = start.date() + timedelta(days=1)
    else:
        until_day = end.date() + timedelta(days=end.time() > time())
    from_day = until_day - timedelta(days=WINDOW_DAYS) if start is None else start.date()
    days = (until_day - from_day).days
    if days < 1:
        raise WindowRefused(f"no day lies from {from_day} until {until_day}, which is left out. Let --end lie after --start")
    if days > MOST_DAYS:
        raise WindowRefused(f"{days} days are more than a page can show. Ask for at most {MOST_DAYS}")
    return from_day, until_day
