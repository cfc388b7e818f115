"""The public reads: what analysts and programs get, as Arrow tables of exact numbers.

Belongs here: one function per thing that is read, in the contracts' column names and types. Does not: printing (cli/), anything
that writes. Every read is one read-only transaction of the analyst, who cannot write and is ended after the analyst's timeout.

Rows are read where they are: in the database, or in the archive's files where the database holds them no more. What has to be said of an
answer beside its rows (retention deleted a part of the window, a snapshot has nothing of it) stands as sentences in the metadata of its
schema, see `notes`. A part that cannot be read is a failure: no answer holds less than was asked for without a word.

Windows are [start, end) of times with a zone. Rows come in the order of time, and of sequence within a time. Columns of type
NOTIONAL (quote_volume and its kind) are decimal128(38, 20) where every value of the answer fits that exactly, else
decimal256(76, 30), and sums of sizes are decimal128(38, 18), else decimal256(76, 18): nothing is rounded. Ranges and JSON are JSON
texts, in fields that say so (see `warehouse.arrow.JSON_FIELD`).
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql as compose

from rrr_assets.calc.information_bars import Rule
from rrr_assets.calc.outcomes import StoreUnreachable
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.contracts.bars import BAR_REVISIONS, BARS, INTERVALS
from rrr_assets.contracts.base import Table
from rrr_assets.contracts.cost import COST_HISTORY
from rrr_assets.contracts.features import FEATURES_1M, TRAINING_SETS
from rrr_assets.contracts.information_bars import BAR_RULES, INFORMATION_BARS, KINDS
from rrr_assets.contracts.ledgers import ARCHIVE_PROOFS, BAR_CONFORMANCE, COVERAGE, INGEST_BATCHES, INSTRUMENTS, QUARANTINE, STATUSES
from rrr_assets.contracts.quality import ALERT_MUTES, ALERTS, ANOMALIES, FINDINGS, GAP_ATTEMPTS, GAPS, QUALITY_DAYS, STREAM_FRESHNESS
from rrr_assets.contracts.retention import HOLDS, PARTITION_TIERS, RETENTION_LOG
from rrr_assets.contracts.ticks import RAW_DEPTH, RAW_QUOTES, RAW_TRADES, VENUE_BARS
from rrr_assets.lake.planning import first_days
from rrr_assets.venues.names import INTERVAL_SECONDS, MONTH, parse_instrument
from rrr_assets.warehouse.arrow import as_contract, column_types, copied
from rrr_assets.warehouse.connect import Database, DatabaseUnusable, Role
from rrr_assets.warehouse.information_bars import rules_in_force
from rrr_assets.warehouse.sqlfiles import query

if TYPE_CHECKING:
    from rrr_assets.lake.asking import Explained
    from rrr_assets.lake.windows import Asked

_IS_HERE: Final = compose.SQL(f"({query('read_is_here').strip().removesuffix(';')})")
_NOTES: Final = b"notes"
_CAUSES_OF_BARS: Final = ("raw_trades", "trade_revisions", "raw_agg_trades", "agg_trade_revisions")
_TICK_ORDER: Final = ("event_time", "sequence")
_SESSION: Final = {"DateStyle": "ISO", "default_transaction_read_only": "on"}
# The database that an environment meant, so that a read does not ask the embedded server who it is.
_MEANT: Final[dict[tuple[str, ...], Database]] = {}


class ReadRefused(Exception):
    """What was asked for cannot be answered. Permanent: the message says what to ask instead."""


class UnknownInstrument(ReadRefused):
    """Nothing was ever loaded of that instrument."""


class UnknownInterval(ReadRefused):
    """There are no bars of that length."""


class UnknownRule(ReadRefused):
    """There are no bars by that rule."""


class NotFinalYet(ReadRefused):
    """What was known at that time may still change: a load is in flight, or the time has not come."""


class ArchiveUnreadable(ReadRefused):
    """What was asked for lies in the archive, and cannot be read there: the message names the file. Nothing was answered."""


class UnknownSnapshot(ReadRefused):
    """The archive has no such snapshot of the table."""


class StatementRefused(ReadRefused):
    """The database refused an analyst's own statement."""


@dataclass(frozen=True, slots=True)
class Conformance:
    """The verdicts on an instrument's bars: `verdicts` has the contract of bar_conformance, `counts` every status with its number."""

    counts: Mapping[str, int]
    verdicts: pa.Table

    @property
    def unequal(self) -> pa.Table:
        """The verdicts on bars that are not equal as stored."""
        return self.verdicts.filter(pc.not_equal(self.verdicts["status"], "equal"))


@dataclass(frozen=True, slots=True)
class Cause:
    """A batch that changed a bar. `kind` is load, finer_time, correction, cancellation, undo or coverage; `trades` how many it touched."""

    kind: str
    batch_id: int | None
    file: str | None
    reason: str | None
    trades: int


@dataclass(frozen=True, slots=True)
class BarChange:
    """A bar that differs between two knowledge times: its values then and later (None where there was none), and why."""

    bar_start: datetime
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    causes: tuple[Cause, ...]


def bars(
    instrument: str,
    interval: str,
    start: datetime,
    end: datetime,
    *,
    as_known_at: datetime | None = None,
    snapshot: int | None = None,
    database: Database | None = None,
) -> pa.Table:
    """Our bars of an instrument that start in [start, end), as contracts.bars has them.

    Args:
        instrument: As in binance:BTCUSDT.
        interval: '1m', '5m', '1h' or '1d'.
        start: The first start of a bar.
        end: The first start that is left out.
        as_known_at: Answer as a reader would have been answered then; None for what is known now.
        snapshot: Answer from the archive alone, as it was when that snapshot (or the proof of that number) was made; None for now.
        database: Default: the database of this process' environment.

    Raises:
        UnknownInstrument: nothing was ever loaded of it.
        UnknownInterval: we make no such bars.
        NotFinalYet: what was known at that time may still change.
        ArchiveUnreadable: what the archive holds of it cannot be read.
        UnknownSnapshot: the archive has no such snapshot of these bars.
        ReadRefused: it takes longer than an analyst may.
        ValueError: a time without zone, end before start, or a snapshot as of a knowledge time.
    """
    contract = _our_bars(interval)
    if as_known_at is not None:
        asked = _asked(contract, instrument, start, end, as_known_at=as_known_at)
        return _of_archived("read_bars_as_known", asked, ("bar_start",), database, snapshot, interval=interval)
    parts = {"bars": compose.Identifier(contract.name)}
    return _of_archived("read_bars", _asked(contract, instrument, start, end), ("bar_start",), database, snapshot, parts=parts)


def information_bars(
    instrument: str, rule: str, start: datetime, end: datetime, *, snapshot: int | None = None, database: Database | None = None
) -> pa.Table:
    """Bars of an instrument by a rule, such as `dollar-1000000`, that start in [start, end), as contracts.information_bars has them.

    Bars of a day whose trades or rules changed since it was cut are not complete.

    Raises:
        UnknownRule: it is no rule, or there are no such bars and it does not hold for the instrument.
        UnknownInstrument, ArchiveUnreadable, UnknownSnapshot, ReadRefused, ValueError: as `bars`.
    """
    try:
        known_as = Rule.parse(rule)
    except ValueError as error:
        raise UnknownRule(str(error)) from error
    contract = INFORMATION_BARS[known_as.kind]
    parts = {"bars": compose.Identifier(contract.name)}
    values = {"consumer": contract.name, "rules": f"bar_rules_{known_as.kind}"}
    asked = _asked(contract, instrument, start, end, {"rule": known_as.name})
    found = _of_archived("read_information_bars", asked, ("day", "bar_index"), database, snapshot, parts=parts, **values)
    if not len(found):
        _check_rule(_instrument_name(instrument), known_as, database)
    return found


def bar_rules(*, is_all: bool = False, database: Database | None = None) -> pa.Table:
    """The rules by which bars are cut, as contracts.information_bars.BAR_RULES has them: those that hold, or all there ever were."""
    with _reading(database) as connection:
        return _copy(connection, "read_bar_rules", BAR_RULES, {"is_all": is_all})


def trades(
    instrument: str,
    start: datetime,
    end: datetime,
    *,
    as_known_at: datetime | None = None,
    snapshot: int | None = None,
    database: Database | None = None,
) -> pa.Table:
    """The trades of an instrument in [start, end), as contracts.ticks.RAW_TRADES has them: current rows, or those of `as_known_at`.

    With `snapshot`, those of the archive alone, as it was when that snapshot (or the proof of that number) was made.

    Raises:
        UnknownInstrument: nothing was ever loaded of it.
        NotFinalYet: what was known at that time may still change.
        ArchiveUnreadable: what the archive holds of it cannot be read.
        UnknownSnapshot: the archive has no such snapshot of the trades.
        ReadRefused: it takes longer than an analyst may.
        ValueError: a time without zone, end before start, or a snapshot as of a knowledge time.
    """
    name = "read_trades" if as_known_at is None else "read_trades_as_known"
    return _of_archived(name, _asked(RAW_TRADES, instrument, start, end, as_known_at=as_known_at), _TICK_ORDER, database, snapshot)


def quotes(
    instrument: str,
    start: datetime,
    end: datetime,
    *,
    as_known_at: datetime | None = None,
    snapshot: int | None = None,
    database: Database | None = None,
) -> pa.Table:
    """The best bids and asks of an instrument in [start, end), as contracts.ticks.RAW_QUOTES has them.

    Raises:
        UnknownInstrument, NotFinalYet, ArchiveUnreadable, UnknownSnapshot, ReadRefused, ValueError: as `trades`.
    """
    name = "read_quotes" if as_known_at is None else "read_quotes_as_known"
    return _of_archived(name, _asked(RAW_QUOTES, instrument, start, end, as_known_at=as_known_at), _TICK_ORDER, database, snapshot)


def depth(instrument: str, start: datetime, end: datetime, *, snapshot: int | None = None, database: Database | None = None) -> pa.Table:
    """The changes and snapshots of an instrument's book in [start, end), as contracts.ticks.RAW_DEPTH has them.

    Raises:
        UnknownInstrument, ArchiveUnreadable, UnknownSnapshot, ReadRefused, ValueError: as `trades`.
    """
    return _of_archived("read_depth", _asked(RAW_DEPTH, instrument, start, end), _TICK_ORDER, database, snapshot)


def features(
    instrument: str, start: datetime, end: datetime, *, as_known_at: datetime | None = None, database: Database | None = None
) -> pa.Table:
    """The features of an instrument's minutes that closed in [start, end), as contracts.features.FEATURES_1M has them.

    Args:
        instrument: As in binance:BTCUSDT.
        start: The first close.
        end: The first close that is left out.
        as_known_at: Answer as a reader would have been answered then; None for what is known now.
        database: Default: the database of this process' environment.

    Raises:
        UnknownInstrument, NotFinalYet, ArchiveUnreadable, ReadRefused, ValueError: as `bars`.
    """
    asked = _asked(FEATURES_1M, instrument, start, end, as_known_at=as_known_at)
    parts = {"columns": compose.SQL(", ").join(map(compose.Identifier, FEATURES_1M.column_names))}
    return _of_archived("read_features", asked, ("event_time",), database, None, parts=parts, as_known_at=asked.as_known_at)


def training_sets(*, database: Database | None = None) -> pa.Table:
    """Every training set that was made, as contracts.features.TRAINING_SETS has it."""
    with _reading(database) as connection:
        return _copy(connection, "read_training_sets", TRAINING_SETS, {})


def bars_diff(
    instrument: str,
    interval: str,
    start: datetime,
    end: datetime,
    *,
    as_known_at: datetime,
    and_at: datetime,
    database: Database | None = None,
) -> list[BarChange]:
    """The bars of which a value differs between what was known at two times, with what changed them.

    Raises:
        UnknownInstrument, UnknownInterval, NotFinalYet: as `bars`.
        ReadRefused: as `bars`, or the database does not hold all that these bars were made of.
        ValueError: a time without zone, end before start, or and_at before as_known_at.
    """
    names = [name for name in _our_bars(interval).column_names if name not in {"instrument", "bar_start"}]
    known_as = _instrument_name(instrument)
    values: dict[str, Any] = {
        "instrument": known_as,
        "interval": interval,
        "grid": INTERVALS[interval],
        "since": _with_zone(start, "start"),
        "until": _with_zone(end, "end"),
        "as_known_at": _with_zone(as_known_at, "as_known_at"),
        "and_at": _with_zone(and_at, "and_at"),
    }
    if end < start:
        raise ValueError(f"end {end.isoformat()} lies before start {start.isoformat()}")
    if and_at < as_known_at:
        raise ValueError(f"and_at {and_at.isoformat()} lies before as_known_at {as_known_at.isoformat()}")
    with _reading(database) as connection, _refusals():
        _check_all_here(connection, _CAUSES_OF_BARS, start, end)
        _check_all_here(connection, (_our_bars(interval).name, BAR_REVISIONS.name), start, end)
        found = connection.execute(query("read_bars_diff"), values).fetchall()
        if not found:
            _check_known(connection, known_as)
            return []
        starts, known_before, known_after = ([row[at] for row in found] for at in range(3))
        values |= {"bar_start": starts, "known_before": known_before, "known_after": known_after}
        causes: dict[datetime, list[Cause]] = {}
        for start_, kind, batch_id, file, reason, trades_ in connection.execute(query("read_bars_diff_causes"), values).fetchall():
            causes.setdefault(start_, []).append(Cause(kind, batch_id, file, reason, trades_))
    return [
        BarChange(
            at,
            None if was_known is None else dict(zip(names, each[: len(names)], strict=True)),
            None if is_known is None else dict(zip(names, each[len(names) :], strict=True)),
            tuple(causes.get(at, ())),
        )
        for at, was_known, is_known, *each in found
    ]


def batches(
    instrument: str | None = None, start: datetime | None = None, end: datetime | None = None, *, database: Database | None = None
) -> pa.Table:
    """The batches of the days that touch [start, end), as contracts.ledgers.INGEST_BATCHES has them, with `file_name` and `undone_by`.

    Raises:
        UnknownInstrument, ReadRefused, ValueError: as `bars`.
    """
    return _of_window("read_batches", INGEST_BATCHES, instrument, start, end, database, also=("file_name", "undone_by"))


def archive(start: datetime | None = None, end: datetime | None = None, *, database: Database | None = None) -> pa.Table:
    """The last proof of each archived partition that may touch [start, end), as contracts.ledgers.ARCHIVE_PROOFS has them.

    Raises:
        ReadRefused, ValueError: as `bars`.
    """
    return _of_window("read_archive", ARCHIVE_PROOFS, None, start, end, database)


def snapshots(start: datetime | None = None, end: datetime | None = None, *, database: Database | None = None) -> pa.Table:
    """Every proof of the partitions that may touch [start, end), as contracts.ledgers.ARCHIVE_PROOFS has them.

    Each is a snapshot that can be read while its files are kept.

    Raises:
        ReadRefused, ValueError: as `bars`.
    """
    return _of_window("read_snapshots", ARCHIVE_PROOFS, None, start, end, database)


def tiers(start: datetime | None = None, end: datetime | None = None, *, database: Database | None = None) -> pa.Table:
    """Every partition that is no longer hot and may touch [start, end), as contracts.retention.PARTITION_TIERS has it.

    Raises:
        ReadRefused, ValueError: as `bars`.
    """
    return _of_window("read_tiers", PARTITION_TIERS, None, start, end, database)


def retention_log(start: datetime | None = None, end: datetime | None = None, *, database: Database | None = None) -> pa.Table:
    """What retention, restoring and upkeep did in [start, end), the last entry first, as contracts.retention.RETENTION_LOG has it.

    Raises:
        ReadRefused, ValueError: as `bars`.
    """
    return _of_window("read_retention_log", RETENTION_LOG, None, start, end, database)


def holds(*, released: bool = False, database: Database | None = None) -> pa.Table:
    """The holds that stand, as contracts.retention.HOLDS has them; with `released` those too that ended.

    Raises:
        ReadRefused: as `bars`.
    """
    with _reading(database) as connection:
        return _copy(connection, "read_holds", HOLDS, {"with_ended": released})


def alerts(*, resolved: bool = False, database: Database | None = None) -> pa.Table:
    """The alerts that are open, as contracts.quality.ALERTS has them; with `resolved` those too that are over.

    Raises:
        ReadRefused: as `bars`.
    """
    with _reading(database) as connection:
        return _copy(connection, "read_alerts", ALERTS, {"with_resolved": resolved})


def alert_mutes(*, ended: bool = False, database: Database | None = None) -> pa.Table:
    """The mutes that hold or will, as contracts.quality.ALERT_MUTES has them; with `ended` those too that are over.

    Raises:
        ReadRefused: as `bars`.
    """
    with _reading(database) as connection:
        return _copy(connection, "read_alert_mutes", ALERT_MUTES, {"with_ended": ended})


def cost_history(start: datetime | None = None, end: datetime | None = None, *, database: Database | None = None) -> pa.Table:
    """The daily cost reports of the days that touch [start, end), as contracts.cost.COST_HISTORY has them.

    Raises:
        ReadRefused, ValueError: as `bars`.
    """
    return _of_window("read_cost_history", COST_HISTORY, None, start, end, database)


def findings(
    instrument: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    is_all: bool = False,
    database: Database | None = None,
) -> pa.Table:
    """Rules that the data breaks on days that touch [start, end), or of no day, as contracts.quality.FINDINGS has them.

    Those that are open, or with `is_all` all there ever were.

    Raises:
        UnknownInstrument, ReadRefused, ValueError: as `bars`.
    """
    return _of_window("read_findings", FINDINGS, instrument, start, end, database, is_all=is_all)


def anomalies(
    instrument: str | None = None, start: datetime | None = None, end: datetime | None = None, *, database: Database | None = None
) -> pa.Table:
    """What was unlikely in [start, end), as contracts.quality.ANOMALIES has it: worth a look, and no proof of a defect.

    Raises:
        UnknownInstrument, ReadRefused, ValueError: as `bars`.
    """
    return _of_window("read_anomalies", ANOMALIES, instrument, start, end, database)


def status(
    instrument: str | None = None, start: datetime | None = None, end: datetime | None = None, *, database: Database | None = None
) -> pa.Table:
    """The published status of each instrument and day that touches [start, end), as contracts.quality.QUALITY_DAYS has it.

    Raises:
        UnknownInstrument, ReadRefused, ValueError: as `bars`.
    """
    return _of_window("read_quality_days", QUALITY_DAYS, instrument, start, end, database)


def freshness(*, database: Database | None = None) -> pa.Table:
    """How fresh each stream was when it was last looked at, as contracts.quality.STREAM_FRESHNESS has it."""
    with _reading(database) as connection:
        return _copy(connection, "read_stream_freshness", STREAM_FRESHNESS, {})


def sla(from_day: date, until_day: date, *, database: Database | None = None) -> pa.Table:
    """What the days in [from_day, until_day) that are over leave of each error budget.

    One row for each scope (VENUE:SYMBOL, VENUE:* and *) and metric: `days` that have it, their `mean`, the `objective` that the settings
    give the scope, and `budget_used`: 1 when all of it is gone.

    Raises:
        QualityConfigRefused: the settings cannot be understood.
    """
    from rrr_assets.calc.quality_sla import budget_used
    from rrr_assets.resources.quality_settings import quality_settings

    settings = quality_settings()
    with _reading(database) as connection, _refusals():
        rows = connection.execute(query("quality_sla"), {"from_day": from_day, "until_day": until_day}).fetchall()
    objectives = [settings.sla_of(scope).objective for scope, *_ in rows]
    columns = {
        "scope": pa.array([row[0] for row in rows], pa.string()),
        "metric": pa.array([row[1] for row in rows], pa.string()),
        "days": pa.array([row[2] for row in rows], pa.int64()),
        "mean": pa.array([row[3] for row in rows], pa.float64()),
        "objective": pa.array(objectives, pa.float64()),
        "budget_used": pa.array([budget_used(row[3], objective) for row, objective in zip(rows, objectives, strict=True)], pa.float64()),
    }
    return pa.table(columns)


def venue_bars(
    instrument: str, interval: str, start: datetime, end: datetime, *, snapshot: int | None = None, database: Database | None = None
) -> pa.Table:
    """The venue's own bars that start in [start, end), as contracts.ticks.VENUE_BARS has them.

    Raises:
        UnknownInstrument, UnknownInterval, ArchiveUnreadable, UnknownSnapshot, ReadRefused, ValueError: as `bars`.
    """
    _check_venue_interval(interval)
    asked = _asked(VENUE_BARS, instrument, start, end, {"interval": interval})
    return _of_archived("read_venue_bars", asked, ("bar_start",), database, snapshot)


def conformance(instrument: str, interval: str, start: datetime, end: datetime, *, database: Database | None = None) -> Conformance:
    """The verdicts on an instrument's bars that start in [start, end).

    Raises:
        UnknownInstrument, UnknownInterval, ReadRefused, ValueError: as `bars`.
    """
    _check_venue_interval(interval)
    verdicts = _of_instrument("read_conformance", BAR_CONFORMANCE, instrument, start, end, database, interval=interval)
    found = {each["values"]: each["counts"] for each in pc.value_counts(verdicts["status"]).to_pylist()}
    return Conformance({status: found.get(status, 0) for status in STATUSES}, verdicts)


def coverage(
    instrument: str | None = None, start: datetime | None = None, end: datetime | None = None, *, database: Database | None = None
) -> pa.Table:
    """What is held of each instrument, stream and day that touches [start, end), as contracts.ledgers.COVERAGE has it.

    `covered`, `accepted` and `missing_ids` are JSON lists of [from, until), until excluded.

    Raises:
        UnknownInstrument, ReadRefused, ValueError: as `bars`.
    """
    return _of_window("read_coverage", COVERAGE, instrument, start, end, database)


def gaps(
    instrument: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    states: Sequence[str] | None = ("open", "healing", "accepted"),
    gap_id: int | None = None,
    database: Database | None = None,
) -> pa.Table:
    """What is missing and touches [start, end), as contracts.quality.GAPS has it; `evidence` is JSON.

    Args:
        instrument: Only of it.
        start: Default: no bound, as for `end`.
        end: See `start`.
        states: Only gaps in these; None for all of them.
        gap_id: Only this one.
        database: Default: the database of this process' environment.

    Raises:
        UnknownInstrument, ReadRefused, ValueError: as `bars`.
    """
    chosen = None if states is None else ",".join(states)
    number = None if gap_id is None else str(gap_id)
    return _of_window("read_gaps", GAPS, instrument, start, end, database, state=chosen, gap_id=number)


def gap_attempts(gap_id: int, *, database: Database | None = None) -> pa.Table:
    """Every attempt to heal a gap, in order, as contracts.quality.GAP_ATTEMPTS has them.

    Raises:
        ReadRefused: as `bars`.
    """
    with _reading(database) as connection:
        return _copy(connection, "read_gap_attempts", GAP_ATTEMPTS, {"gap_id": gap_id})


def instruments(*, database: Database | None = None) -> pa.Table:
    """The current row of every instrument, as contracts.ledgers.INSTRUMENTS has it."""
    with _reading(database) as connection:
        return _copy(connection, "read_instruments", INSTRUMENTS, {})


def check_known(instrument: str, *, database: Database | None = None) -> None:
    """Do nothing where something was ever loaded of an instrument.

    Raises:
        UnknownInstrument: nothing was; names those that are spelled alike.
    """
    with _reading(database) as connection:
        _check_known(connection, _instrument_name(instrument))


def quarantine(
    instrument: str | None = None,
    reason: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    state: str | None = "quarantined",
    database: Database | None = None,
) -> pa.Table:
    """Refused rows of the days that touch [start, end), as contracts.ledgers.QUARANTINE has them, and the `file_name` after that.

    Args:
        instrument: Only rows that were understood to be of it.
        reason: Only rows refused for it.
        start: Default: no bound, as for `end`.
        end: See `start`.
        state: `quarantined` for those that wait, `replayed` for those taken in after all, None for both.
        database: Default: the database of this process' environment.

    Raises:
        UnknownInstrument, ReadRefused, ValueError: as `bars`.
    """
    return _of_window("read_quarantine", QUARANTINE, instrument, start, end, database, also=("file_name",), reason=reason, state=state)


def sql(statement: str, *, database: Database | None = None) -> pa.Table:
    """Run one statement of an analyst's own, and return its rows.

    Booleans, whole numbers, decimals and times with a zone come in types of their own, a decimal in the narrowest scale that
    holds the column; everything else, and a decimal or time that Arrow cannot hold, comes as PostgreSQL's text. A statement
    without rows gives a table without columns.

    Tables are read in all tiers. Where a part of one is in the archive, its rows go to the database with the statement, which answers as it
    always does: the same types, the same numbers.

    Raises:
        StatementRefused: it is wrong, more than one statement, would write, takes too long, is no statement at all, or reads what is in
            the archive in a way that is not followed there.
        ArchiveUnreadable: what the archive holds of it cannot be read.
    """
    from rrr_assets.lake.asking import ask

    with _statement_refusals():
        answered = ask(database or Database.current(), statement)
    return _noted(answered.rows, answered.notes)


def explain(statement: str, *, database: Database | None = None) -> "Explained":
    """What a statement of an analyst's own reads, and how: the partitions of each tier, and the plan. Nothing of it is run.

    Raises:
        StatementRefused, ArchiveUnreadable: as `sql`.
    """
    from rrr_assets.lake.asking import explain as explained

    with _statement_refusals():
        return explained(database or Database.current(), statement)


# --- windows and instruments ------------------------------------------------------------------------------------


def _our_bars(interval: str) -> Table:
    if interval not in BARS:
        raise UnknownInterval(f"there are no bars of '{interval}'. There are {', '.join(INTERVALS)}")
    return BARS[interval]


def _of_instrument(
    name: str,
    contract: Table,
    instrument: str,
    start: datetime,
    end: datetime,
    database: Database | None,
    *,
    parts: Mapping[str, compose.Composable] | None = None,
    **parameters: object,
) -> pa.Table:
    known_as = _instrument_name(instrument)
    values = {"instrument": known_as, "since": _with_zone(start, "start"), "until": _with_zone(end, "end"), **parameters}
    if end < start:
        raise ValueError(f"end {end.isoformat()} lies before start {start.isoformat()}")
    with _reading(database) as connection:
        found = _copy(connection, name, contract, values, parts=parts)
        if not len(found):
            _check_known(connection, known_as)
    return found


def _asked(
    contract: Table,
    instrument: str,
    start: datetime,
    end: datetime,
    equal: Mapping[str, str] | None = None,
    *,
    as_known_at: datetime | None = None,
) -> "Asked":
    from rrr_assets.lake.windows import Asked

    known_as, since, until = _instrument_name(instrument), _with_zone(start, "start"), _with_zone(end, "end")
    if end < start:
        raise ValueError(f"end {end.isoformat()} lies before start {start.isoformat()}")
    then = None if as_known_at is None else _with_zone(as_known_at, "as_known_at")
    return Asked(ARCHIVED[contract.name], known_as, since, until, equal or {}, then)


def _of_archived(
    name: str,
    asked: "Asked",
    order: Sequence[str],
    database: Database | None,
    snapshot: int | None,
    *,
    parts: Mapping[str, compose.Composable] | None = None,
    **parameters: object,
) -> pa.Table:
    """Rows of an archived table. The query answers with nothing where the database does not hold all that could be asked for."""
    contract = asked.archived.table
    if snapshot is not None and asked.as_known_at is not None:
        raise ValueError("a snapshot is what it was: give either snapshot or as_known_at")
    values: dict[str, object] = {"instrument": asked.instrument, "since": asked.since, "until": asked.until, **asked.equal, **parameters}
    with _reading(database) as connection:
        if snapshot is not None:
            found = _of_snapshot(connection, asked, snapshot, order)
        else:
            if asked.as_known_at is not None:
                values["as_known_at"] = asked.as_known_at
            here = {**first_days(asked.archived, asked.since, asked.until), "relations": [table.name for table in asked.tables]}
            found = _copy(connection, name, contract, values | here, parts={**(parts or {}), "is_here": _IS_HERE})
            # What was believed is asked for in a later picture than whether all of it is here.
            if not len(found) or asked.as_known_at is not None:
                tiered = _tiered(connection, asked, order, values)
                found = found if tiered is None else tiered
        if not len(found):
            _check_known(connection, asked.instrument)
    return found


def _tiered(connection: psycopg.Connection[Any], asked: "Asked", order: Sequence[str], values: Mapping[str, object]) -> pa.Table | None:
    """A window that reaches into the archive; None for one that does not."""
    from rrr_assets.lake.windows import answer

    with _refusals(), _archive_refusals():
        answered = answer(connection, asked, order)
        if answered is None:
            return None
        found = answered.rows
        if "rule" in asked.equal:
            behind = [day for (day,) in connection.execute(query("read_days_behind"), values).fetchall()]
            found = _not_complete(found, behind)
    return _noted(found, answered.notes)


def _of_snapshot(connection: psycopg.Connection[Any], asked: "Asked", snapshot: int, order: Sequence[str]) -> pa.Table:
    from rrr_assets.lake.windows import of_snapshot

    with _refusals(), _archive_refusals():
        answered = of_snapshot(connection, asked, snapshot, order)
    return _noted(answered.rows, answered.notes)


def _not_complete(bars: pa.Table, days: list[date]) -> pa.Table:
    """Bars of days that are not cut again yet do not call themselves complete."""
    if not days:
        return bars
    place = bars.schema.get_field_index("is_complete")
    stale = pc.is_in(bars["day"], pa.array(days, pa.date32()))
    return bars.set_column(place, bars.schema.field(place), pc.and_(bars["is_complete"], pc.invert(stale)))


def _check_all_here(connection: psycopg.Connection[Any], relations: Sequence[str], start: datetime, end: datetime) -> None:
    """Do nothing where the database holds all of some tables in a window."""
    from rrr_assets.lake.planning import away

    with _archive_refusals():
        for part in away(connection, [ARCHIVED[name] for name in relations], start, end):
            raise ReadRefused(
                f"what changed bars, and why, is looked for in the database alone, and {part.archived.name} of {part.partition} is "
                f"{part.tier}. Read the bars as they were known at both times, or have the partition restored"
            )


def notes(answer: pa.Table) -> list[str]:
    """What has to be said of an answer beside its rows: sentences, none for most."""
    told = (answer.schema.metadata or {}).get(_NOTES)
    return [] if told is None else list(json.loads(told))


def _noted(found: pa.Table, sentences: Sequence[str]) -> pa.Table:
    return found.replace_schema_metadata({_NOTES: json.dumps(sentences)}) if sentences else found


@contextmanager
def _archive_refusals() -> Iterator[None]:
    """Turn what goes wrong with the archive into this module's words."""
    from rrr_assets.lake.planning import UnknownSnapshot as NoSuchSnapshot
    from rrr_assets.lake.planning import Unproven
    from rrr_assets.lake.reading import FileUnreadable
    from rrr_assets.lake.store import StoreUnusable

    try:
        yield
    except NoSuchSnapshot as error:
        raise UnknownSnapshot(str(error)) from error
    except (FileUnreadable, StoreUnreachable, StoreUnusable, Unproven) as error:
        raise ArchiveUnreadable(str(error)) from error


def _of_window(
    name: str,
    contract: Table,
    instrument: str | None,
    start: datetime | None,
    end: datetime | None,
    database: Database | None,
    *,
    also: tuple[str, ...] = (),
    **parameters: str | bool | None,
) -> pa.Table:
    known_as = None if instrument is None else _instrument_name(instrument)
    since = None if start is None else _with_zone(start, "start")
    until = None if end is None else _with_zone(end, "end")
    if since is not None and until is not None and until < since:
        raise ValueError(f"end {until.isoformat()} lies before start {since.isoformat()}")
    with _reading(database) as connection:
        found = _copy(connection, name, contract, {"instrument": known_as, "since": since, "until": until, **parameters}, also=also)
        if not len(found) and known_as is not None:
            _check_known(connection, known_as)
    return found


def _with_zone(time: datetime, name: str) -> datetime:
    if time.utcoffset() is None:
        raise ValueError(f"{name} {time.isoformat()} has no time zone. Give it one: datetime(..., tzinfo=UTC)")
    return time


def _instrument_name(text: str) -> str:
    try:
        return parse_instrument(text)
    except ValueError as error:
        raise UnknownInstrument(str(error)) from error


def _check_known(connection: psycopg.Connection[Any], instrument: str) -> None:
    known = _copy(connection, "read_instruments", INSTRUMENTS, {})["instrument"].to_pylist()
    if instrument in known:
        return
    near = get_close_matches(instrument, known, n=3, cutoff=0.6)
    symbol = instrument.partition(":")[2]
    near += [name for name in known if name.partition(":")[2] == symbol and name not in near][: 3 - len(near)]
    hint = f"Did you mean {' or '.join(near)}? `rrr instruments` lists all" if near else "`rrr instruments` lists what is"
    raise UnknownInstrument(f"{instrument} is not known here. {hint}")


def _check_rule(instrument: str, rule: Rule, database: Database | None) -> None:
    """Do nothing where a rule holds for an instrument: it has no bars because nothing was traded, or made yet."""
    with _reading(database) as connection:
        holding = [each.name for rules in rules_in_force(connection, KINDS, [instrument]).values() for each in rules]
    if rule.name not in holding:
        hold = f"Those that hold are {', '.join(holding)}" if holding else "None holds"
        raise UnknownRule(f"there are no bars of {instrument} by {rule.name}. {hold}; `rrr bar-rules set` declares others")


def _check_venue_interval(interval: str) -> None:
    known = (*INTERVAL_SECONDS, MONTH)
    if interval not in known:
        raise UnknownInterval(f"no venue has bars of '{interval}'. There are {', '.join(known)}")


# --- from the database to Arrow ---------------------------------------------------------------------------------


@contextmanager
def _reading(database: Database | None) -> Iterator[psycopg.Connection[Any]]:
    """A session of the analyst that this process keeps, for our own queries, each of which is a read-only transaction of its own.

    Logging in costs more than reading a day of bars, and on a busy machine so does every message to and fro.
    """
    with ExitStack() as entered:
        connection = _enter(entered, database)
        for name, value in _SESSION.items():
            # The server tells of these unasked. Times are read from their text, which must be ISO whatever it was set to.
            if not (connection.info.parameter_status(name) or "").startswith(value):
                connection.execute(compose.SQL("set {} = {}").format(compose.Identifier(name), compose.Literal(value)))
        yield connection


def _enter(entered: ExitStack, database: Database | None) -> psycopg.Connection[Any]:
    """A session that is kept. Which database the environment means is not looked up again while the one it meant before is there."""
    if database is not None:
        return entered.enter_context(database.kept(Role.ANALYST))
    environment = (str(Path.cwd()), *sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith("RRR_")))
    if environment in _MEANT:
        try:
            return entered.enter_context(_MEANT[environment].kept(Role.ANALYST))
        except DatabaseUnusable:
            del _MEANT[environment]  # the server is down or elsewhere by now: start it, or find it
    _MEANT[environment] = Database.current()
    return entered.enter_context(_MEANT[environment].kept(Role.ANALYST))


def _copy(
    connection: psycopg.Connection[Any],
    name: str,
    contract: Table,
    parameters: Mapping[str, object],
    *,
    parts: Mapping[str, compose.Composable] | None = None,
    also: tuple[str, ...] = (),
) -> pa.Table:
    """Run a query file and return its rows: the contract's columns, and text columns named in `also`.

    The server prints the rows as CSV and Arrow parses them: there is no Python object per value.
    """
    # COPY takes no parameters from outside, so they are bound here, as literals that psycopg quotes.
    text = compose.SQL(query(name)).format(**parts) if parts else compose.SQL(query(name))
    bound = psycopg.ClientCursor(connection).mogrify(text, parameters).strip().removesuffix(";")
    statement = compose.SQL("copy ({}) to stdout (format csv, header)").format(compose.SQL(bound))
    with _refusals():
        tables = list(copied(connection, statement, column_types(contract, also)))
    return as_contract(pa.concat_tables(tables), contract)


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the database refuses of our own queries into this module's words."""
    try:
        yield
    except psycopg.errors.QueryCanceled as error:
        raise ReadRefused("it takes longer than an analyst may. Ask for a shorter window") from error
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        raise NotFinalYet(f"{error.diag.message_primary}. {error.diag.message_hint}") from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.InsufficientPrivilege) as error:
        raise DatabaseUnusable(f"the database is not up to date ({error.diag.message_primary}). Run `rrr migrate`") from error


# --- an analyst's own statement ---------------------------------------------------------------------------------


@contextmanager
def _statement_refusals() -> Iterator[None]:
    """Turn what the database and the archive refuse of an analyst's own statement into this module's words."""
    from rrr_assets.lake.statements import NotFollowed

    try:
        with _archive_refusals():
            yield
    except NotFollowed as error:
        raise StatementRefused(str(error)) from error
    except psycopg.Error as error:
        raise StatementRefused(_why_refused(error)) from error


def _why_refused(error: psycopg.Error) -> str:
    message = error.diag.message_primary or str(error).strip().partition("\n")[0] or type(error).__name__
    if isinstance(error, psycopg.errors.QueryCanceled):
        return f"{message}. Ask for less at once"
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction | psycopg.errors.InsufficientPrivilege):
        return f"{message}. Analysts read, and nothing else"
    if "multiple commands" in message:
        return "more than one statement. Give one at a time"
    hint = f". {error.diag.message_hint}" if error.diag.message_hint else ""
    return f"{message}{hint}"
