"""Seasonal baselines in the database: what they are learned from, their versions, and the anomalies they tell.

Belongs here: windows of the metrics, learning into a version, scoring into the ledger of anomalies. Does not: the statistics
(calc/quality_baselines), when any of it runs (quality/). What is found here is unlikely, and never pages.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any, Final

import numpy as np

from rrr_assets.calc.quality_baselines import (
    WINDOW_SECONDS,
    Floats,
    Integers,
    Usual,
    hours_of_week,
    learn,
    runs,
    scored,
    unit_of,
)
from rrr_assets.calc.quality_config import QualitySettings
from rrr_assets.contracts.quality import BASELINES, METRICS
from rrr_assets.warehouse.books import Connection, enter
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.quality_findings import Anomaly, AnomalyScope, settle_anomalies
from rrr_assets.warehouse.refresh import note_applied, read_pending
from rrr_assets.warehouse.sqlfiles import query

HISTORY_DAYS: Final = 56
"""Eight weeks: of each hour of the week eight samples of twelve windows."""

CODE_VERSION: Final = "1"
"""Of the statistics: another one gives other baselines from the same data."""

RELATIONS: Final = {"volume": "bars_5m", "trade_rate": "bars_5m", "spread": "raw_quotes", "message_rate": "raw_quotes"}
"""The table that each metric's anomalies name."""

_ONE_DAY: Final = timedelta(days=1)
_DAY_SECONDS: Final = 86_400
_WINDOW: Final = timedelta(seconds=WINDOW_SECONDS)
# A feed that is this much behind may be late, and is not silent yet.
_SETTLED_AFTER: Final = timedelta(minutes=15)
_CONSUMER: Final = "quote_windows"
_KEPT_VERSIONS: Final = 8
_SOME: Final = 20


@dataclass(frozen=True, slots=True)
class Windows:
    """An instrument's windows in order of time: `values` by metric, NaN where not known; `is_part` where only a part is there."""

    instrument: str
    starts: Integers
    values: dict[str, Floats]
    is_part: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LearnedVersion:
    """What learning came to: the version that is current now, and whether it is new; a baseline is a row of `baselines`."""

    version: int | None
    is_new: bool
    mark: str
    from_day: date
    until_day: date
    instruments: int
    baselines: int


@dataclass(frozen=True, slots=True)
class Scored:
    """What scoring came to: windows looked at, anomalies found, and of them new, and how many are gone."""

    version: int | None
    windows: int
    found: int
    inserted: int
    removed: int


def make_quote_windows(database: Database) -> int:
    """Bring the windows of quotes in step with the quotes, a transaction a day; returns how many windows of time were made anew.

    Days of which retention dropped the quotes keep the windows they have.
    """
    made = 0
    with database.kept(Role.WRITER) as connection:
        for day, names in connection.execute(query("quality_quote_days")).fetchall():
            with connection.transaction():
                enter(connection)
                connection.execute(query("lock_names"), {"names": [f"{_CONSUMER}|{name}|{day}" for name in names]})
                pending = read_pending(connection, _CONSUMER, ["raw_quotes"], _WINDOW, day, names, [])
                for name, waiting in pending.items():
                    for span in waiting.windows:
                        values = {"instrument": name, "from_time": span.lower, "to_time": span.upper}
                        connection.execute(query("quality_quote_windows"), values)
                        made += 1
                note_applied(connection, _CONSUMER, day, pending)
    return made


def learn_baselines(database: Database, now: datetime, run_id: str | None = None) -> LearnedVersion:
    """Learn what is usual from the eight weeks up to yesterday, as a new version, which is scored by from now on.

    Learned from are days whose published status is `available`, in the database still, and of them windows that are covered whole. The
    same data, days and code give the same version: nothing is learned then.

    Args:
        database: whose; entered as the writer.
        now: what time it is, UTC.
        run_id: the Dagster run, where one learns.
    """
    until_day = now.astimezone(UTC).date()
    from_day = until_day - timedelta(days=HISTORY_DAYS)
    days = {"from_day": from_day, "until_day": until_day}
    make_quote_windows(database)
    with database.kept(Role.WRITER) as connection, connection.transaction():
        connection.execute(query("lock_names"), {"names": ["baselines"]})
        ((found, _),) = connection.execute(query("quality_baseline_mark"), days).fetchall()
        mark = hashlib.sha256(f"{CODE_VERSION}|{from_day}|{until_day}|{found}".encode()).hexdigest()
        before = connection.execute("select version, mark from baseline_versions where is_current").fetchone()
        if before is not None and before[1] == mark:
            ((rows, names),) = connection.execute(
                "select count(*), count(distinct instrument) from baselines where version = %s", (before[0],)
            ).fetchall()
            return LearnedVersion(before[0], False, mark, from_day, until_day, names, rows)
        values = {**days, "code_version": CODE_VERSION, "mark": mark, "run_id": run_id}
        ((version,),) = connection.execute(query("quality_baseline_version"), values).fetchall()
        rows, names = 0, 0
        for windows in _read(connection, _midnight(from_day), _midnight(until_day), now, only_available=True):
            learned = [(metric, each) for metric in METRICS for each in _learned(metric, windows)]
            _store(connection, version, windows.instrument, learned)
            rows, names = rows + len(learned), names + bool(learned)
        connection.execute("update baseline_versions set is_current = true where version = %s", (version,))
        connection.execute("delete from baselines where version <= %s", (version - _KEPT_VERSIONS,))
    return LearnedVersion(version, True, mark, from_day, until_day, names, rows)


def score(
    database: Database,
    window: tuple[datetime, datetime],
    settings: QualitySettings,
    run_id: str | None = None,  # noqa: ARG001  # as every part of a run takes it
    *,
    now: datetime | None = None,
) -> Scored:
    """Score the days that a window touches against the baselines, and settle the anomalies of these days.

    Days are scored from their midnight, so that an anomaly that goes on is one row, whichever run looks; one that goes on over midnight is
    two. Windows that are not over, or whose numbers are not known, are not scored.

    Args:
        database: whose; entered as the writer.
        window: [start, end), UTC.
        settings: `thresholds.seasonal_z` of each instrument.
        run_id: the Dagster run, where one scores; an anomaly names none.
        now: what time it is, UTC; by default the clock's.
    """
    now = datetime.now(UTC) if now is None else now
    since = _midnight(window[0].astimezone(UTC).date())
    until = min(_midnight((window[1] - timedelta(microseconds=1)).astimezone(UTC).date() + _ONE_DAY), now)
    make_quote_windows(database)
    with database.kept(Role.WRITER) as connection, connection.transaction():
        usual, version = _current(connection)
        if version is None or until <= since:
            return Scored(version, 0, 0, 0, 0)
        found: list[Anomaly] = []
        looked_at: set[date] = set()
        count = 0
        for windows in _read(connection, since, until, now, only_available=False, instruments=sorted({name for name, _ in usual})):
            threshold = settings.thresholds_of(windows.instrument).seasonal_z
            count += len(windows.starts)
            looked_at |= {_at(start).date() for start in np.unique(windows.starts // _DAY_SECONDS) * _DAY_SECONDS}
            for metric in METRICS:
                baseline = usual.get((windows.instrument, metric))
                if baseline is not None:
                    found += _anomalies(metric, windows, baseline, version, threshold)
        inserted = removed = 0
        # A day that could not be looked at, because its bars are in the archive, keeps what was found of it.
        for day in sorted(looked_at):
            for relation in sorted(set(RELATIONS.values())):
                rules = tuple(f"seasonal_{metric}" for metric in METRICS if RELATIONS[metric] == relation)
                mine = [each for each in found if each.relation == relation and each.from_time.date() == day]
                scope = AnomalyScope(rules, relation, None, _midnight(day), _midnight(day) + _ONE_DAY)
                more, fewer = settle_anomalies(connection, scope, mine)
                inserted, removed = inserted + more, removed + fewer
    return Scored(version, count, len(found), inserted, removed)


def read_windows(
    database: Database, instrument: str, since: datetime, until: datetime, now: datetime
) -> tuple[Windows | None, dict[str, list[Usual]]]:
    """An instrument's windows in [since, until) and its baselines by metric, to be looked at; None where it has no windows."""
    with database.kept(Role.WRITER) as connection:
        usual, _ = _current(connection, [instrument])
        found = next(_read(connection, since, until, now, only_available=False, instruments=[instrument]), None)
    return found, {metric: baseline for (_, metric), baseline in usual.items()}


def busiest(database: Database) -> str | None:
    """The instrument with the highest usual rate of trades; None where there is no baseline."""
    with database.kept(Role.WRITER) as connection:
        row = connection.execute(query("quality_busiest")).fetchone()
    return None if row is None else str(row[0])


def read_anomalies(database: Database, instrument: str, since: datetime, until: datetime) -> list[tuple[str, datetime, datetime]]:
    """When which metric of an instrument was unusual by its baseline, as (metric, from, to)."""
    with database.kept(Role.WRITER) as connection:
        values = {"instrument": instrument, "since": since, "until": until}
        return connection.execute(query("quality_seasonal_anomalies"), values).fetchall()


def _learned(metric: str, windows: Windows) -> list[Usual]:
    values = np.where(windows.is_part[metric], np.nan, windows.values[metric])
    unit = unit_of(metric, values, windows.values["trade_rate"])
    return learn(metric, windows.starts, values, unit)


def _anomalies(metric: str, windows: Windows, usual: list[Usual], version: int, threshold: float) -> Iterator[Anomaly]:
    values = windows.values[metric]
    scores = scored(windows.starts, values, usual)
    # Of a part, what is there at least may be too much. It cannot be too little.
    scores = np.where(windows.is_part[metric] & (scores < 0), np.nan, scores)
    hours = hours_of_week(windows.starts)
    for run in runs(windows.starts, scores, threshold):
        expected = usual[int(hours[run.peak])]
        peak = float(scores[run.peak])
        yield Anomaly(
            rule=f"seasonal_{metric}",
            relation=RELATIONS[metric],
            instrument=windows.instrument,
            from_time=_at(windows.starts[run.first]),
            to_time=_at(windows.starts[run.last]) + _WINDOW,
            value=float(values[run.peak]),
            expected=expected.expected,
            score=run.score,
            threshold=threshold,
            baseline_version=version,
            detail={
                "direction": "above" if peak > 0 else "below",
                "windows": run.last - run.first + 1,
                "peak_score": abs(peak),
                "peak_at": _at(windows.starts[run.peak]).isoformat(),
                "hour_of_week": expected.hour_of_week,
                "basis": expected.basis,
                "samples": expected.samples,
            },
        )


def _read(
    connection: Connection,
    since: datetime,
    until: datetime,
    now: datetime,
    *,
    only_available: bool,
    instruments: Sequence[str] | None = None,
) -> Iterator[Windows]:
    """The windows of each instrument that are over, some instruments at a time."""
    if instruments is None:
        rows = connection.execute("select instrument from instruments where valid_to is null order by instrument").fetchall()
        instruments = [name for (name,) in rows]
    for first in range(0, len(instruments), _SOME):
        values = {
            "instruments": list(instruments[first : first + _SOME]), "from_time": since, "to_time": until,
            "today": now.astimezone(UTC).date(), "settled": now - _SETTLED_AFTER, "only_available": only_available,
        }  # fmt: skip
        rows = connection.execute(query("quality_windows"), values).fetchall()
        for name, mine in groupby(rows, key=lambda row: row[0]):
            _, starts, volume, trade_rate, is_part, spread, message_rate, is_part_of_quotes = zip(*mine, strict=True)
            part, part_of_quotes = np.array(is_part, bool), np.array(is_part_of_quotes, bool)
            yield Windows(
                instrument=name,
                starts=np.array(starts, np.int64),
                values={
                    "volume": np.array(volume, np.float64), "trade_rate": np.array(trade_rate, np.float64),
                    "spread": np.array(spread, np.float64), "message_rate": np.array(message_rate, np.float64),
                },
                is_part={"volume": part, "trade_rate": part, "spread": np.zeros_like(part), "message_rate": part_of_quotes},
            )  # fmt: skip


def _current(connection: Connection, instruments: Sequence[str] | None = None) -> tuple[dict[tuple[str, str], list[Usual]], int | None]:
    """The baselines that are scored by, by instrument and metric, and their version."""
    values = {"instruments": None if instruments is None else list(instruments)}
    rows = connection.execute(query("quality_baselines"), values).fetchall()
    found: dict[tuple[str, str], list[Usual]] = {}
    for _, instrument, metric, *usual in rows:
        found.setdefault((instrument, metric), []).append(Usual(*usual))
    return found, rows[0][0] if rows else None


def _store(connection: Connection, version: int, instrument: str, learned: Sequence[tuple[str, Usual]]) -> None:
    columns = ", ".join(BASELINES.column_names)
    with connection.cursor().copy(f"copy baselines ({columns}) from stdin") as copy:
        for metric, each in learned:
            copy.write_row(
                (version, instrument, metric, each.hour_of_week, each.basis, each.samples, each.unit, each.median, each.deviation)
            )


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _at(seconds: Any) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
