"""Running the checks: what is looked at, by which parts, in which order, and what is kept of it.

Belongs here: the parts of a run and their order, settling what they find, the run's row. Does not: how anything is found (warehouse/), when
it runs (check_assets.py).
A part that breaks down is an error of the run and a finding `broken_check`, and says nothing about the data: what it found before stays as
it was, and the other parts still run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import psycopg

from rrr_assets.calc.outcomes import PermanentFailure, RuleResult
from rrr_assets.contracts.rules import WORDS
from rrr_assets.lake.shadowing import shadow
from rrr_assets.warehouse import inspection
from rrr_assets.warehouse import quality_detectors as detectors_of
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.quality_detectors import DayLook, Window
from rrr_assets.warehouse.quality_findings import (
    AnomalyScope,
    FindingScope,
    Found,
    settle_anomalies,
    settle_findings,
    severity_of,
)
from rrr_assets.warehouse.refresh import VERDICTS, days_behind
from rrr_assets.warehouse.sqlfiles import query

if TYPE_CHECKING:
    from rrr_assets.calc.quality_config import QualitySettings
    from rrr_assets.warehouse.books import Connection

RECENT: Final = "recent"
DAILY: Final = "daily"

CONSUMER: Final = "quality"
"""Of the invalidation log: how far the checks have looked."""

FOLLOWED: Final = ("raw_trades", "raw_agg_trades", "raw_quotes", "raw_depth", "venue_bars", "bars_1m", "bars_5m", "bars_1h", "bars_1d")
MOST_ENTRIES: Final = 1_000
"""Entries of the log that are read of a relation, instrument and day: where more wait, the day is looked at whole."""

MOST_DAYS: Final = 31
"""Days of one run, the newest first: the others wait for the next one."""

DELIVERY_TOLD_FOR: Final = timedelta(days=1)
"""How long a delivery that told rows twice stays a finding: each row is held once, and nothing is to be mended here."""

_LONGEST_BATCH: Final = timedelta(hours=1)
_ONE_DAY: Final = timedelta(days=1)
_BROKEN: Final = "broken_check"
_OF_MINUTES: Final = ("price_change", "return_z", "volume_spike")

RULE_WORDS: Final[Mapping[str, str | None]] = {
    **WORDS,
    "each trade once": "key",
    "each row once": "key",
    "one identity space per instrument": "key",
    "price and size positive": "range",
    "price positive, volume not negative": "range",
    "available no earlier than traded": "range",
    "available no earlier than its time": "range",
    "high and low bound open and close": "range",
    "taker volume within volume": "range",
    "bars start on their grid": "key",
    "vwap is quote volume over volume, within high and low": "rollup",
    "sums equal what they are made from": "rollup",
    "rows equal the coverage ledger": "ledger",
    "every venue bar of our intervals has a verdict": "ledger",
    "every expected instrument is there": "missing_instrument",
    # Told per instrument and place by a detector, or kept in the ledger of gaps.
    "time never steps back along the ids": None,
    "no id missing between the first and the last": None,
    "changes follow each other without a jump": None,
    "no row waits in quarantine": None,
    "the bid is below the ask": None,
    "no bar is unexplained": None,
    "bars are complete": None,
    "bars are closed": None,
}
"""The word that a table's rule goes by in the ledger of findings; None where something else speaks for it."""

_OF_BARS: Final = ("bars_1m", "bars_5m", "bars_1h", "bars_1d", "bar_conformance")
_TABLES: Final = ("raw_trades", "raw_agg_trades", "raw_quotes", "raw_depth", "venue_bars", *_OF_BARS)


@dataclass(frozen=True, slots=True)
class Changed:
    """Between which times a day changed, by instrument (None: not known): its ticks, and its 1-minute bars."""

    ticks: Mapping[str, Window | None] = field(default_factory=dict)
    bars: Mapping[str, Window | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """What a run looks at: days, each with its instruments (None: all), and how far the log was read for each of them.

    `marks` are (day, relation, instrument, entry of the log), noted when the look was whole. `is_full`: also what is not about what
    changed, and days of which the ticks lie in the archive alone. `changed` says of days what of them changed, where nothing else is to
    be looked at by the detectors.
    """

    days: Mapping[date, tuple[str, ...] | None]
    marks: tuple[tuple[date, str, str, int], ...] = ()
    is_full: bool = True
    changed: Mapping[date, Changed] | None = None

    @property
    def looks(self) -> list[DayLook]:
        """Day by day, the newest first."""
        return [DayLook(day, names) for day, names in sorted(self.days.items(), reverse=True)]


@dataclass(slots=True)
class Report:
    """What one part of a run did: rules with the number of rows or values that break them, errors by check, seconds by check."""

    rules: dict[str, int] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def count(self, rules: Sequence[str], found: Sequence[Any]) -> None:
        """Note that rules were asked, and what broke them."""
        for rule in rules:
            self.rules.setdefault(rule, 0)
        for each in found:
            self.rules[each.rule] = self.rules.get(each.rule, 0) + getattr(each, "broken", 1)

    def add(self, other: Report) -> None:
        """Take in another part's."""
        for rule, broken in other.rules.items():
            self.rules[rule] = self.rules.get(rule, 0) + broken
        self.errors |= other.errors
        for name, seconds in other.seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    @contextmanager
    def check(self, name: str) -> Iterator[None]:
        """Ask one check: how long it took is noted, and that it broke down, where it did.

        A server that cannot be reached is no broken check: that is raised, and tried again by who runs this.
        """
        begun = perf_counter()
        try:
            yield
        except (psycopg.OperationalError, psycopg.InterfaceError):
            raise
        except (psycopg.Error, PermanentFailure) as error:
            self.errors[name] = str(error).strip().partition("\n")[0]
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - begun


Part = Callable[[Database, Look, "QualitySettings", str | None], Report]


def table_rules(database: Database, look: Look, settings: QualitySettings, run_id: str | None) -> Report:  # noqa: ARG001  # as every part
    """The rules of each table's day, where a look is full: as a day is loaded its assets are checked by them at once.

    Bars that lag behind their trades are left out: they are not wrong, but late.
    """
    report = Report()
    if not look.is_full:
        return report
    behind = days_behind(database, 10_000, timedelta(0)) if look.days else {}
    rules = tuple(sorted({word for word in RULE_WORDS.values() if word}))
    for each in look.looks:
        for table in _TABLES:
            if table in _OF_BARS and each.day in behind:
                continue
            with report.check(f"rules of {table}"):
                found = [
                    Found(
                        word, severity_of(word), table, None, each.day, None, None, result.broken, result.looked_at,
                        (result.rule, *result.examples),
                    )
                    for word, result in _worded(inspection.check(database, table, each.day))
                    if result.broken
                ]  # fmt: skip
                with database.kept(Role.WRITER) as connection:
                    settle_findings(connection, FindingScope(rules, table, each.day), found, run_id)
                report.count(rules, found)
    return report


def detectors(database: Database, look: Look, settings: QualitySettings, run_id: str | None) -> Report:
    """What no single row shows: order, books, frozen feeds, duplicates, lags, trades and quotes held together, unlikely minutes."""
    report = Report()
    for each in look.looks:
        with database.connect(Role.WRITER) as connection:
            changes = None if look.changed is None else look.changed.get(each.day, Changed())
            _look_at_day(connection, each, changes, settings, run_id, report)
    return report


def deliveries(database: Database, look: Look, settings: QualitySettings, run_id: str | None) -> Report:  # noqa: ARG001  # as every part
    """Rows that a file told twice: the load finds them, they are over after a day."""
    report = Report()
    with report.check("deliveries"), database.kept(Role.WRITER) as connection:
        connection.execute(query("quality_settle_deliveries"), {"told_for": DELIVERY_TOLD_FOR})
        report.count(("duplicate",), ())
    return report


def schema(database: Database, look: Look, settings: QualitySettings, run_id: str | None) -> Report:  # noqa: ARG001  # as every part
    """Whether the tables are what their contracts say, where a look is full: a table that was changed by hand, or dropped."""
    from rrr_assets.warehouse.drift import drift

    report = Report()
    if not look.is_full:
        return report
    rule = "schema_drift"
    with report.check("schema"):
        by_table: dict[str, list[str]] = {}
        for each in drift(database):
            by_table.setdefault(each.table, []).append(each.told)
        with database.kept(Role.WRITER) as connection:
            for table in sorted({*by_table, *_open_of(connection, rule)}):
                told = by_table.get(table, [])
                found = [Found(rule, severity_of(rule), table, None, None, None, None, len(told), len(told), tuple(told))] if told else []
                settle_findings(connection, FindingScope((rule,), table), found, run_id)
        report.rules[rule] = len(by_table)
    return report


def gap_ledger(database: Database, look: Look, settings: QualitySettings, run_id: str | None) -> Report:
    """What only a look finds of gaps: silences, days of which no file came, and days that were loaded before there was a ledger.

    What is missing by its id stands in the ledger already: the load wrote it.
    """
    from rrr_assets.warehouse.gaps import find_missing_files, find_silences, sync_all

    report = Report()
    today = datetime.now(UTC).date()
    expected = {today - number * _ONE_DAY for number in range(1, (MOST_DAYS if look.is_full else 2))}
    with report.check("gaps: days without a file"):
        find_missing_files(database, expected | set(look.days), run_id)
    if look.is_full:
        with report.check("gaps: the ledger against coverage"):
            sync_all(database)
    with report.check("gaps: silences"):
        for each in look.looks:
            find_silences(database, [each.day], settings, run_id, instruments=each.instruments)
    return report


def seasons(database: Database, look: Look, settings: QualitySettings, run_id: str | None) -> Report:
    """What is unlikely for its hour of the week, where there is a baseline."""
    from rrr_assets.calc.order import EPOCH
    from rrr_assets.warehouse.quality_baselines import score

    report = Report()
    for each in look.looks:
        with report.check("seasons"):
            start = EPOCH + (each.day - EPOCH.date())
            score(database, (start, start + _ONE_DAY), settings, run_id)
    return report


def promises(database: Database, look: Look, settings: QualitySettings, run_id: str | None) -> Report:
    """How fresh every stream is, and then the status of each instrument and day: last, for it is made of all that was found."""
    from rrr_assets.warehouse.quality_status import look_at_freshness, publish_status

    report = Report()
    now = datetime.now(UTC)
    with report.check("freshness"):
        looked = look_at_freshness(database, settings, now, run_id)
        report.rules["freshness"] = len(looked.late)
    with report.check("status"):
        publish_status(database, sorted(look.days), settings, now, run_id)
    return report


PARTS: Final[tuple[Part, ...]] = (schema, table_rules, detectors, deliveries, gap_ledger, seasons, promises)
"""In this order."""


def run_parts(
    database: Database, look: Look, settings: QualitySettings, run_id: str | None = None, parts: Sequence[Part] | None = None
) -> Report:
    """Ask all parts about a look, settle what they find, and what of them broke down."""
    report = Report()
    for part in PARTS if parts is None else parts:
        report.add(part(database, look, settings, run_id))
    with database.kept(Role.WRITER) as connection:
        _settle_broken(connection, report, run_id)
        if not report.errors:
            _note(connection, look)
    return report


def changed(database: Database, kind: str) -> Look:
    """What changed since the last look: lately, for the run of every five minutes; all of it and yesterday for the daily one."""
    with database.kept(Role.WRITER) as connection:
        ((last,),) = connection.execute(query("quality_run_last")).fetchall()
        since = None if last is None or kind == DAILY else last - _LONGEST_BATCH
        values = {
            "consumer": CONSUMER, "verdicts": VERDICTS, "relations": list(FOLLOWED), "since": since, "with_cold": kind == DAILY,
            "with_windows": kind != DAILY, "most": MOST_ENTRIES,
        }  # fmt: skip
        rows = connection.execute(query("quality_changed"), values).fetchall()
        refused = [] if last is None else connection.execute(query("quality_refused_since"), {"since": last}).fetchall()
    names: dict[date, set[str] | None] = {}
    for day, instrument, *_ in rows:
        if day in names or len(names) < MOST_DAYS:
            names.setdefault(day, set()).add(instrument)  # type: ignore[union-attr]  # only sets so far
    for (day,) in refused:
        names[day] = None
    if kind == DAILY:
        today = datetime.now(UTC).date()
        names |= {today - _ONE_DAY: None, today: None}
    days = {day: None if found is None else tuple(sorted(found)) for day, found in names.items()}
    marks = tuple((day, relation, instrument, last_id) for day, instrument, relation, last_id, *_ in rows if day in days)
    if kind == DAILY:
        return Look(days, marks)
    return Look(days, marks, is_full=False, changed=_windows(rows))


def _windows(rows: Sequence[tuple[date, str, str, int, datetime | None, datetime | None]]) -> dict[date, Changed]:
    """Between which times each instrument's ticks and bars changed."""
    found: dict[date, tuple[dict[str, Window | None], dict[str, Window | None]]] = {}
    for day, instrument, relation, _, since, until in rows:
        ticks, bars = found.setdefault(day, ({}, {}))
        if relation not in detectors_of.TICK_RELATIONS and relation != "bars_1m":
            continue
        of = bars if relation == "bars_1m" else ticks
        window = None if since is None or until is None else (since, until)
        before = of.get(instrument, window)
        of[instrument] = None if window is None or before is None else (min(window[0], before[0]), max(window[1], before[1]))
    return {day: Changed(ticks, bars) for day, (ticks, bars) in found.items()}


def begin(database: Database, kind: str, run_id: str | None) -> int:
    """Write down that a run begins, committed at once; returns its number."""
    with database.kept(Role.WRITER) as connection:
        ((number,),) = connection.execute(query("quality_run_begin"), {"kind": kind, "run_id": run_id}).fetchall()
    return int(number)


def end(database: Database, number: int, look: Look, report: Report) -> None:
    """Write down how a run ended."""
    values = {
        "quality_run_id": number, "days": len(look.days), "checks": len(report.rules),
        "broken": sum(1 for broken in report.rules.values() if broken),
        "errors": [f"{name}: {why}" for name, why in sorted(report.errors.items())],
    }  # fmt: skip
    with database.kept(Role.WRITER) as connection:
        connection.execute(query("quality_run_end"), values)


def open_findings(database: Database, days: Sequence[date]) -> dict[str, int]:
    """How many findings are open of some days, and of none, by severity."""
    with database.kept(Role.WRITER) as connection:
        return dict(connection.execute(query("quality_findings_open"), {"days": list(days)}).fetchall())


def _look_at_day(
    connection: Connection, asked: DayLook, changed: Changed | None, settings: QualitySettings, run_id: str | None, report: Report
) -> None:
    with connection.transaction():
        held: list[tuple[str, ...]] = []
        with report.check("what is held"), connection.transaction():
            held.append(detectors_of.held_instruments(connection, asked))
        if not held:
            return
        (names,) = held
        if changed is None or changed.ticks:
            _look_at_ticks(connection, asked, names, changed, settings, run_id, report)
        look = DayLook(asked.day, names)
        found, spoken = _detected(connection, look, detectors_of.OF_BOOKS, report)
        relations = (*detectors_of.TICK_RELATIONS, "raw_depth", "venue_bars", "bars_1m", "bar_conformance")
        _settle_day(connection, asked, relations, found, spoken, run_id)
        bars = DayLook(asked.day, names if changed is None else tuple(sorted(changed.bars)))
        if bars.instruments:
            with report.check("unlikely minutes"), connection.transaction():
                starts = [None] if changed is None else [None if window is None else window[0] for window in changed.bars.values()]
                since = look.since if None in starts else min(start for start in starts if start is not None)
                unlikely = detectors_of.unlikely_minutes(connection, bars, settings, since)
                judged = AnomalyScope(_OF_MINUTES, "bars_1m", asked.instruments if changed is None else bars.instruments, since, look.until)
                _settle_unlikely(connection, judged, report, unlikely)
        if changed is None:
            # What came later tells whether a silence was improbable: only who looks at the whole day speaks of it.
            with report.check("silent minutes"), connection.transaction():
                silent = detectors_of.silent_stretches(connection, look, settings)
                scope = AnomalyScope(("silence",), "bars_1m", asked.instruments, look.since, look.until)
                _settle_unlikely(connection, scope, report, silent)


def _look_at_ticks(
    connection: Connection, asked: DayLook, names: tuple[str, ...], changed: Changed | None, settings: QualitySettings,
    run_id: str | None, report: Report,
) -> None:  # fmt: skip
    """What the detectors of ticks find: of all that is held, or of the instruments of which what changed may hold anything."""
    ready = set()
    with report.check("archived ticks"), connection.transaction():
        shadow(connection, asked.since, asked.until, names)
        ready.add("ticks")
    look = DayLook(asked.day, names)
    if changed is not None:
        ready.add("glance")
        look = DayLook(asked.day, ())
        with report.check("glance at what changed"), connection.transaction():
            look = DayLook(asked.day, detectors_of.to_look_at(connection, asked, settings, changed.ticks))
            asked = look
            ready.remove("glance")
        if "glance" in ready:
            return
    report.count([rule for _, rules in detectors_of.OF_TICKS.values() for rule in rules], ())
    if changed is not None and not look.instruments:
        return
    detectors_of.prepare(connection, look, settings)
    for name, gather in (("trades", detectors_of.gather_trades), ("quotes", detectors_of.gather_quotes)):
        with report.check(f"gathering {name}"), connection.transaction():
            gather(connection, look)
            ready.add(name)
    if ready != {"ticks", "trades", "quotes"}:
        return
    found, spoken = _detected(connection, look, detectors_of.OF_TICKS, report)
    _settle_day(connection, asked, detectors_of.TICK_RELATIONS, found, spoken, run_id)
    with report.check("lone prints"), connection.transaction():
        prints = detectors_of.lone_prints(connection, look)
        for relation in ("raw_trades", "raw_agg_trades"):
            scope = AnomalyScope(("return_z",), relation, asked.instruments, asked.since, asked.until)
            _settle_unlikely(connection, scope, report, [each for each in prints if each.relation == relation])


def _detected(
    connection: Connection, look: DayLook, chosen: Mapping[str, tuple[detectors_of.Detector, tuple[str, ...]]], report: Report
) -> tuple[list[Found], list[str]]:
    """What detectors find, and the rules of those that did not break down."""
    found: list[Found] = []
    spoken: list[str] = []
    for name, (detect, rules) in chosen.items():
        with report.check(name), connection.transaction():
            found += detect(connection, look)
            spoken += rules
    report.count(spoken, found)
    return detectors_of.folded(found), spoken


def _settle_day(
    connection: Connection, asked: DayLook, relations: Sequence[str], found: Sequence[Found], spoken: Sequence[str], run_id: str | None
) -> None:
    """Settle what was found of a day, table by table: also where nothing was found, for what was before is over then."""
    rules = tuple(sorted(set(spoken)))
    # A row that was not even understood is of no instrument: only who looks at the whole day speaks of it.
    mine = [each for each in found if asked.instruments is None or each.instrument in asked.instruments]
    for relation in sorted({*relations, *(each.relation for each in found)}):
        scope = FindingScope(rules, relation, asked.day, asked.instruments)
        settle_findings(connection, scope, [each for each in mine if each.relation == relation], run_id)


def _settle_unlikely(connection: Connection, scope: AnomalyScope, report: Report, found: Sequence[Any]) -> None:
    settle_anomalies(connection, scope, found)
    report.count(scope.rules, found)


def _open_of(connection: Connection, rule: str) -> set[str]:
    """What a rule is broken by that is of no day."""
    return {relation for (relation,) in connection.execute(query("quality_open_of_rule"), {"rule": rule}).fetchall()}


def _settle_broken(connection: Connection, report: Report, run_id: str | None) -> None:
    """A check that broke down is a finding of no day, until it is asked and answers again."""
    before = _open_of(connection, _BROKEN)
    for name in sorted({*report.errors, *(before & report.seconds.keys())}):
        why = report.errors.get(name)
        found = [] if why is None else [Found(_BROKEN, severity_of(_BROKEN), name, None, None, None, None, 1, 1, (why,))]
        settle_findings(connection, FindingScope((_BROKEN,), name), found, run_id)
    if report.errors:
        report.rules[_BROKEN] = len(report.errors)


def _note(connection: Connection, look: Look) -> None:
    for day in look.days:
        mine = [(relation, instrument, last_id) for of_day, relation, instrument, last_id in look.marks if of_day == day]
        if mine:
            relations, instruments, last_ids = (list(column) for column in zip(*mine, strict=True))
            values = {"consumer": CONSUMER, "day": day, "relations": relations, "instruments": instruments, "last_ids": last_ids}
            connection.execute(query("refresh_applied"), values)


def _worded(results: Sequence[RuleResult]) -> Iterator[tuple[str, RuleResult]]:
    """The results that go into the ledger, each with its word. A rule that nobody gave a word is told by the strictest."""
    for result in results:
        word = RULE_WORDS.get(result.rule, "range" if result.is_blocking else None)
        if word is not None:
            yield word, result
