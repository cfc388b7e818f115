"""How far features lie from what models were trained on: references, and a day's numbers against them, in the database.

Belongs here: which reference a day is held against, keeping references and numbers, reading them. Does not: the statistics
(calc/features/drift), when a day is looked at (features/drift).

A feature of an instrument is held against the training rows of the newest set that has both and is held still; where there is none,
against the days before. Those are the days before the Monday of its week, where they are at least a week, so that the days of a week
share one reference; of a younger platform, the days before the day itself. What is made from the same rows by the same code is the same
reference.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.compute import MINUTE
from rrr_assets.calc.features.drift import Bins, Drift, held_against, make_bins
from rrr_assets.calc.features.spec import TrainingSpec
from rrr_assets.calc.quality_config import FeatureDrift
from rrr_assets.contracts.base import Table
from rrr_assets.contracts.features import FEATURE_DRIFT, FEATURE_REFERENCE_BINS, FEATURES_1M
from rrr_assets.warehouse.books import Connection
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.sqlfiles import query

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Array = npt.NDArray[np.float64]

ALL: Final = "*"
"""All instruments of a reference together, as a model of many of them sees them."""

CODE_VERSION: Final = "1"
"""Of the statistics: another one makes other bins of the same values."""

_ONE_DAY: Final = timedelta(days=1)
_WEEK: Final = 7
_SOME: Final = 20
_MOST_TOGETHER: Final = 400_000
"""Rows of all instruments together that bins are made from: with more, every so many minutes of each counts."""


class Rows(Protocol):
    """Reads `instrument`, `event_time` and features of the rows that closed in [since, until], wherever they are."""

    def __call__(
        self, database: Database, table: Table, names: Sequence[str], instruments: Sequence[str] | None, since: datetime, until: datetime,
        as_known_at: datetime | None = None,
    ) -> "pl.DataFrame": ...  # fmt: skip


@dataclass(frozen=True, slots=True)
class Number:
    """A feature's day against its reference; `reference_id` is None where there was nothing to hold it against."""

    day: date
    instrument: str
    feature: str
    reference_id: int | None
    drift: Drift


@dataclass(frozen=True, slots=True)
class Reference:
    """What a reference is; `name` is that of the training set, None of a rolling one."""

    reference_id: int
    source: str
    name: str | None
    from_time: datetime
    until_time: datetime
    as_known_at: datetime | None
    made_at: datetime

    @property
    def told(self) -> str:
        """What it is, in a few words."""
        if self.name is None:
            # Named by its last day: a day is never held against itself.
            return f"{self.reference_id}: days {self.from_time:%Y-%m-%d} to {self.until_time - _ONE_DAY:%Y-%m-%d}"
        return f"{self.reference_id}: training set {self.name}, {self.from_time:%Y-%m-%d} to {self.until_time:%Y-%m-%d}"


@dataclass(frozen=True, slots=True)
class DayJudged:
    """A day that was looked at: rows of features it has, and the numbers."""

    day: date
    rows: int
    instruments: int
    numbers: tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A reference as it is to be, from which rows; `left_out` is a time that does not count."""

    source: str
    set_id: int | None
    since: datetime
    until: datetime
    as_known_at: datetime | None
    left_out: tuple[datetime, datetime] | None
    names: tuple[str, ...]
    instruments: tuple[str, ...]
    mark: str


@dataclass(slots=True)
class _Known:
    """References that are there, and their bins by reference, instrument and feature."""

    ids: dict[str, int] = field(default_factory=dict)
    bins: dict[tuple[int, str, str], Bins] = field(default_factory=dict)


def judge_day(database: Database, day: date, read: Rows, settings: FeatureDrift, run_id: str | None = None) -> DayJudged:
    """Hold a day of features against its references, which are made where they are not there, and keep the numbers.

    Args:
        database: whose; features are read as the analyst, and the rest is written as the writer.
        day: UTC day.
        read: reads features, from the database or from wherever they are.
        settings: which set, and how long a rolling reference is.
        run_id: the Dagster run, where one does it.
    """
    with database.kept(Role.WRITER) as connection:
        rolling_days = settings.reference_days
        bounds = {"from_day": day - (rolling_days + _WEEK) * _ONE_DAY, "until_day": day + _ONE_DAY}
        log = connection.execute(query("quality_drift_days"), bounds).fetchall()
        names = sorted({name for name, of, _ in log if of == day})
        sets = list(_sets(connection, settings.training_set))
        rolling = _rolling(day, log, rolling_days)
        wanted = _chosen(names, sets, rolling) if names else {}
        known = _Known()
        for each in dict.fromkeys(wanted.values()):
            known.ids[each.mark] = _entered(database, connection, read, each, run_id)
        _read_bins(connection, known)
        of_sets = [(key, each) for key, each in wanted.items() if each is not rolling and key[0] != ALL]
        if rolling is not None and any(_bins_of(known, each, *key) is None for key, each in of_sets):
            # An instrument of which the set has no rows any more.
            known.ids[rolling.mark] = _entered(database, connection, read, rolling, run_id)
            _read_bins(connection, known)
        numbers, rows = _numbers(database, day, read, names, wanted, rolling, known)
        with connection.transaction():
            connection.execute(query("lock_names"), {"names": [f"{FEATURE_DRIFT.name}|{day}"]})
            connection.execute("delete from feature_drift where day = %s", (day,))
            ((now,),) = connection.execute("select clock_timestamp()").fetchall()
            _store(connection, numbers, now, run_id)
    return DayJudged(day, rows, len(names), tuple(numbers))


def read_numbers(database: Database, from_day: date, until_day: date, instruments: Sequence[str] | None = None) -> list[Number]:
    """The numbers of the days in [from_day, until_day), by day, instrument and feature; of all instruments where none is named.

    Those of a feature that is declared no more stay where they are: nobody says any longer what they mean.
    """
    values = {"from_day": from_day, "until_day": until_day, "instruments": None if instruments is None else list(instruments)}
    with database.kept(Role.ANALYST) as connection:
        rows = connection.execute(query("quality_drift_read"), values).fetchall()
    return [
        Number(day, instrument, feature, reference, Drift(count, missing, days, missing_before, psi, usual, out, tails, tuple(shares)))
        for day, instrument, feature, reference, count, missing, days, missing_before, psi, usual, out, tails, shares in rows
        if feature in FEATURES
    ]


def read_references(database: Database, ids: Sequence[int]) -> dict[int, Reference]:
    """References by their number."""
    with database.kept(Role.ANALYST) as connection:
        rows = connection.execute(query("quality_drift_references"), {"reference_ids": sorted(set(ids))}).fetchall()
    return {row[0]: Reference(*row) for row in rows}


def read_bins(database: Database, numbers: Sequence[Number]) -> dict[tuple[int, str, str], Bins]:
    """The bins that some numbers were held against, by reference, instrument and feature."""
    ids = sorted({each.reference_id for each in numbers if each.reference_id is not None})
    with database.kept(Role.ANALYST) as connection:
        return _bins(connection, ids, sorted({each.instrument for each in numbers}))


def days_unjudged(database: Database, from_day: date, until_day: date) -> list[date]:
    """Days in [from_day, until_day) whose features were held against nothing yet, or changed since."""
    with database.kept(Role.ANALYST) as connection:
        rows = connection.execute(query("quality_drift_unjudged"), {"from_day": from_day, "until_day": until_day}).fetchall()
    return [day for (day,) in rows]


# --- which reference --------------------------------------------------------------------------------------------


def _sets(connection: Connection, name: str | None) -> Iterator[_Wanted]:
    """The training rows of each set that is held still, the newest first, with the features that are computed today as they were then."""
    for set_id, _, as_known_at, manifest in connection.execute(query("quality_drift_sets"), {"name": name}).fetchall():
        # Its times are asked of it alone: a feature that is declared no more would be refused.
        spec = TrainingSpec.model_validate({**manifest["spec"], "features": ["*"]})
        made = manifest["features"]
        names = tuple(name for name in manifest["feature_names"] if name in FEATURES and made[name]["version"] == FEATURES[name].version)
        embargo = manifest["moments"]["embargo_minutes"] * MINUTE
        left_out = None if spec.test is None else (spec.test.start, spec.test.end + spec.horizon + embargo)
        yield _Wanted(
            source="training_set", set_id=set_id, since=spec.start, until=spec.end, as_known_at=as_known_at, left_out=left_out,
            names=names, instruments=tuple(manifest["instruments"]), mark=_mark("set", set_id, *names),
        )  # fmt: skip


def _rolling(day: date, log: Sequence[tuple[str, date, int]], days: int) -> _Wanted | None:
    """The days before, of which there is anything."""
    monday = day - day.weekday() * _ONE_DAY
    there = {of for _, of, _ in log if monday - days * _ONE_DAY <= of < monday}
    until = monday if len(there) >= min(_WEEK, days) else day
    since = until - days * _ONE_DAY
    mine = [(name, of, last_id) for name, of, last_id in log if since <= of < until]
    if not mine:
        return None
    versions = [f"{feature.name}={feature.version}" for feature in FEATURES.values()]
    mark = _mark("rolling", since, until, versions, mine)
    return _Wanted(
        source="rolling", set_id=None, since=_midnight(since), until=_midnight(until), as_known_at=None, left_out=None,
        names=tuple(FEATURES), instruments=tuple(sorted({name for name, _, _ in mine})), mark=mark,
    )  # fmt: skip


def _chosen(names: Sequence[str], sets: Sequence[_Wanted], rolling: _Wanted | None) -> dict[tuple[str, str], _Wanted]:
    """The reference of each instrument and feature of the day."""
    found = {}
    for name in [*names, ALL]:
        for feature in FEATURES:
            of_set = next((each for each in sets if feature in each.names and (name == ALL or name in each.instruments)), None)
            if (chosen := of_set or rolling) is not None:
                found[name, feature] = chosen
    return found


def _bins_of(known: _Known, wanted: _Wanted | None, instrument: str, feature: str) -> tuple[int, Bins] | None:
    reference = None if wanted is None else known.ids.get(wanted.mark)
    bins = None if reference is None else known.bins.get((reference, instrument, feature))
    return None if reference is None or bins is None else (reference, bins)


def _mark(*told: object) -> str:
    return hashlib.sha256(repr((CODE_VERSION, *told)).encode()).hexdigest()


# --- making and keeping -----------------------------------------------------------------------------------------


def _entered(database: Database, connection: Connection, read: Rows, wanted: _Wanted, run_id: str | None) -> int:
    """The number of a reference, which is made where it is not there."""
    with connection.transaction():
        connection.execute(query("lock_names"), {"names": [f"feature_references|{wanted.mark}"]})
        row = connection.execute("select reference_id from feature_references where mark = %s", (wanted.mark,)).fetchone()
        if row is not None:
            return int(row[0])
        values = {
            "source": wanted.source, "set_id": wanted.set_id, "from_time": wanted.since, "until_time": wanted.until,
            "as_known_at": wanted.as_known_at, "mark": wanted.mark, "run_id": run_id,
        }  # fmt: skip
        ((reference,),) = connection.execute(query("quality_drift_reference"), values).fetchall()
        columns = ", ".join(FEATURE_REFERENCE_BINS.column_names)
        with connection.cursor().copy(f"copy feature_reference_bins ({columns}) from stdin") as copy:
            for instrument, feature, bins in _made(database, read, wanted):
                copy.write_row(
                    (reference, instrument, feature, bins.rows, bins.days, bins.missing_rate, list(bins.edges), list(bins.shares),
                     bins.minimum, bins.maximum, bins.low, bins.high, bins.usual_psi)
                )  # fmt: skip
    return int(reference)


def _made(database: Database, read: Rows, wanted: _Wanted) -> Iterator[tuple[str, str, Bins]]:
    """The bins of each instrument that has rows, and of all of them together where they are several; an instrument at a time."""
    import numpy as np

    rows_at_most = len(wanted.instruments) * ((wanted.until - wanted.since) // MINUTE)
    every = 1 + rows_at_most // _MOST_TOGETHER
    together: list[tuple[dict[str, Array], npt.NDArray[np.int64]]] = []
    for name in wanted.instruments:
        frame = _rows(database, read, wanted, name)
        if not len(frame):
            continue
        # A row is of the day of the minute that ends at its time.
        days = ((frame["event_time"] - MINUTE).dt.epoch("us") // 86_400_000_000).to_numpy()
        values = {feature: frame[feature].to_numpy() for feature in wanted.names}
        for feature, column in values.items():
            yield name, feature, make_bins(column, days)
        together.append(({feature: column[::every] for feature, column in values.items()}, days[::every]))
        del frame, values
    if len(together) > 1:
        all_days = np.concatenate([days for _, days in together])
        for feature in wanted.names:
            yield ALL, feature, make_bins(np.concatenate([values[feature] for values, _ in together]), all_days)


def _rows(database: Database, read: Rows, wanted: _Wanted, instrument: str) -> "pl.DataFrame":
    """The rows of a reference of one instrument: a set's moments see what closed by then, a day's rows close after its midnight."""
    import polars as pl

    shift = MINUTE if wanted.source == "rolling" else timedelta(0)
    since, until = wanted.since + shift, wanted.until + shift - MINUTE
    frame = read(database, FEATURES_1M, wanted.names, [instrument], since, until, wanted.as_known_at)
    if wanted.left_out is not None:
        start, end = wanted.left_out
        frame = frame.filter((pl.col("event_time") < start) | (pl.col("event_time") >= end))
    return frame.sort("event_time")


def _read_bins(connection: Connection, known: _Known) -> None:
    known.bins = _bins(connection, sorted(known.ids.values()), None)


def _bins(connection: Connection, references: Sequence[int], instruments: Sequence[str] | None) -> dict[tuple[int, str, str], Bins]:
    values = {"reference_ids": list(references), "instruments": None if instruments is None else list(instruments)}
    found = {}
    for reference, instrument, feature, rows, days, missing, edges, shares, *rest in connection.execute(
        query("quality_drift_bins"), values
    ).fetchall():
        found[reference, instrument, feature] = Bins(rows, days, missing, tuple(edges), tuple(shares), *rest)
    return found


def _numbers(
    database: Database, day: date, read: Rows, names: Sequence[str], wanted: Mapping[tuple[str, str], _Wanted], rolling: _Wanted | None,
    known: _Known,
) -> tuple[list[Number], int]:  # fmt: skip
    """Each feature's day against its reference, and how many rows of features the day has."""
    import numpy as np

    numbers: list[Number] = []
    together: dict[str, list[tuple[str, Array]]] = {feature: [] for feature in FEATURES}
    rows = 0
    since, until = _midnight(day) + MINUTE, _midnight(day + _ONE_DAY)
    for first in range(0, len(names), _SOME):
        frame = read(database, FEATURES_1M, tuple(FEATURES), names[first : first + _SOME], since, until)
        rows += len(frame)
        for (name,), frame_of_one in sorted(frame.partition_by("instrument", as_dict=True).items()):
            for feature in FEATURES:
                column = frame_of_one[feature].to_numpy()
                numbers.append(_number(day, str(name), feature, column, wanted, rolling, known))
                together[feature].append((str(name), column))
    for feature, columns in together.items():
        found = _bins_of(known, wanted.get((ALL, feature)), ALL, feature)
        # An instrument that the reference does not know says nothing about those that it is of.
        mine = [] if found is None else [column for name, column in columns if (found[0], name, feature) in known.bins]
        if mine:
            numbers.append(_number(day, ALL, feature, np.concatenate(mine), wanted, None, known))
    return numbers, rows


def _number(
    day: date, instrument: str, feature: str, column: "Array", wanted: Mapping[tuple[str, str], _Wanted], rolling: _Wanted | None,
    known: _Known,
) -> Number:  # fmt: skip
    found = _bins_of(known, wanted.get((instrument, feature)), instrument, feature) or _bins_of(known, rolling, instrument, feature)
    return Number(day, instrument, feature, found and found[0], held_against(column, found and found[1]))


def _store(connection: Connection, numbers: Sequence[Number], now: datetime, run_id: str | None) -> None:
    columns = ", ".join(FEATURE_DRIFT.column_names)
    with connection.cursor().copy(f"copy feature_drift ({columns}) from stdin") as copy:
        for each in numbers:
            drift = each.drift
            row: tuple[Any, ...] = (
                each.day, each.instrument, each.feature, each.reference_id, drift.rows, drift.psi, drift.usual_psi, drift.missing_rate,
                drift.reference_days, drift.reference_missing_rate, drift.out_of_range, drift.in_tails, list(drift.shares), now, run_id,
            )  # fmt: skip
            copy.write_row(row)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
