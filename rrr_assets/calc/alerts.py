"""From what is wrong now to its root causes: one cause, one message.

Belongs here: what a signal and a cause are, grouping, mutes and quiet hours as pure functions. Does not: where signals come from
(warehouse/alerts, resources/alert_signals), what was told already (warehouse/alerts), how it is said (calc/alert_messages).

Grouping goes from what is known most exactly to what is known least.

1. Defects of the data are of an instrument and a day: those of a bad file (refused rows, and the ids that they left missing) belong
   together, so do all holes of a feed, and what is wrong with bars follows the defect of their trades.
2. Where three or more such groups of one venue and kind were found within a quarter of an hour, they have one cause: the venue, or
   the code. Defects that are found hours apart are told apart, however alike.
3. A failed check is explained by a defect of its table and day that is told at least as loudly, and is a cause by itself otherwise. A
   failed run is explained by the check that failed in it.
4. Checks that break down for one reason have one cause, and where that names a table that is not as its contract says, it is the table.
5. Runs, sensors and schedules that fail with one reason have one cause, and where the reason is a full disk, a dead store or a dead
   database, that is what is told.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Final, Literal

from rrr_assets.calc.quality_config import Alerting, Channel, QuietHours
from rrr_assets.contracts.runbooks import rule_of

Kind = Literal["gap", "finding", "check", "run", "sensor", "platform"]

TOGETHER: Final = timedelta(minutes=15)
"""What was found within so much of each other may have one cause."""

_LONGEST: Final = timedelta(hours=1)
"""And no longer: where something goes wrong somewhere all the time, each is told."""

_SEVERAL: Final = 3
_FEED: Final = frozenset({"gap", "freshness", "frozen_feed", "silence"})
_FILE: Final = frozenset({"quarantine"})
_SCHEMA: Final = "schema_drift"
_BROKEN: Final = "broken_check"
_CONTRACTS: Final = "validations"
_ON_BARS: Final = ("bars_", "bar_conformance")
_IN_LEDGERS: Final = ("raw_", "venue_bars", *_ON_BARS)
_LEADS: Final = ("quarantine", "freshness", "frozen_feed", "gap", _SCHEMA)
_LOUDNESS: Final = {"warn": 1, "page": 2}

# In this order: what runs out of room often says too that it cannot reach the database.
_REASONS: Final = (
    (
        "disk_full",
        re.compile(
            r"no space left|NoSpaceLeft|MB are (to stay )?free|disk (of [\w ]+ )?is full|DiskFull|could not extend file", re.IGNORECASE
        ),
    ),
    ("object_store_down", re.compile(r"the archive did not answer|StoreUnreachable", re.IGNORECASE)),
    (
        "database_down",
        re.compile(
            r"cannot (enter|reach) database|DatabaseUnusable|connection to server|server closed the connection|OperationalError",
            re.IGNORECASE,
        ),
    ),
    (
        "bad_deploy",
        re.compile(r"ImportError|ModuleNotFoundError|SyntaxError|UserCodeUnreachable|CodeLocation|NameError|Could not find", re.IGNORECASE),
    ),
)
# What failed may name an address with its password.
_PASSWORD: Final = re.compile(r"(://[^:@/\s]*:)[^@\s]+@")
_CHANGING: Final = re.compile(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b[0-9a-f]{12,}\b|'[^']*'|\"[^\"]*\"|[a-z-]+:[A-Z0-9]+|\d+")


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing that is wrong.

    Attributes:
        key: What it is, the same at every look for as long as it lasts.
        rule: Its word in contracts/runbooks.
        severity: page or warn, as found; the settings may say another.
        what: It in a sentence, without a full stop.
        since: Since when it is wrong, UTC.
        found_at: When it was found first, UTC.
        size: Rows, ids, or hours: its digits count.
        reason: The text of a failure.
        path: Where the UI shows it, below its address.
    """

    key: str
    kind: Kind
    rule: str
    severity: str
    what: str
    since: datetime
    found_at: datetime
    size: int = 1
    instrument: str | None = None
    relation: str | None = None
    day: date | None = None
    is_of_file: bool = False
    run_id: str | None = None
    reason: str | None = None
    path: str | None = None

    @property
    def weight(self) -> int:
        """How much it counts: one for each digit of its size."""
        return len(str(max(self.size, 1)))


@dataclass(frozen=True, slots=True)
class Cause:
    """A root cause, with everything that follows from it.

    Attributes:
        key: Its name where it is told for the first time; later it is known again by its members.
        level: How bad, as a count that grows as it gets worse.
        members: The keys of its signals.
        instruments: Those that it touches; None in it stands for what is of none alone.
        lines: What is said below the title.
    """

    key: str
    rule: str
    severity: str
    title: str
    scope: str
    since: datetime
    level: int
    next_step: str
    page: str
    path: str | None
    members: frozenset[str]
    touched: frozenset[tuple[str | None, str]]
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mute:
    """What nobody wants to be told of: `scope` is VENUE:SYMBOL, VENUE or VENUE:*, or *; `rule` None means any."""

    scope: str
    rule: str | None = None


def causes(signals: Iterable[Signal], settings: Alerting) -> list[Cause]:
    """The root causes of what is wrong, the loudest and oldest first. Rules that the settings turn off cause nothing."""
    loud = [_as_told(signal, settings) for signal in signals]
    known = {signal.key: signal for signal in loud if signal.severity != "off"}
    groups = _Groups(known.values())
    _join_data(groups)
    _join_checks(groups)
    _join_broken(groups)
    _join_failures(groups)
    found = [_cause(members) for members in groups.all()]
    return sorted(found, key=lambda cause: (-_LOUDNESS[cause.severity], cause.since, cause.key))


def kept_together(found: Sequence[Cause], told: Sequence[frozenset[str]]) -> list[Cause]:
    """The causes, those as one that were told as one: what is left of a common cause is not told anew, piece by piece.

    Args:
        found: Root causes as they are now.
        told: The members of each alert that is open.
    """
    of_member = {member: number for number, members in enumerate(told) for member in members}
    kept: dict[Hashable, list[Cause]] = defaultdict(list)
    for cause in found:
        alerts = {of_member.get(member) for member in cause.members}
        only = next(iter(alerts)) if len(alerts) == 1 else None
        kept[cause.key if only is None else only].append(cause)
    return [_as_one(together) if len(together) > 1 else together[0] for together in kept.values()]


def _as_one(together: Sequence[Cause]) -> Cause:
    lead = min(together, key=lambda cause: (-_LOUDNESS[cause.severity], cause.since, cause.key))
    return replace(
        lead,
        title=f"{lead.title}, and {len(together) - 1} more",
        scope=lead.scope if len({cause.scope for cause in together}) == 1 else f"{lead.scope} and others",
        since=min(cause.since for cause in together),
        level=sum(cause.level for cause in together),
        members=frozenset[str]().union(*(cause.members for cause in together)),
        touched=frozenset[tuple[str | None, str]]().union(*(cause.touched for cause in together)),
        lines=tuple(cause.title for cause in together)[:_MOST_LINES],
    )


def severity_of(rule: str, found: str, settings: Alerting) -> str:
    """How loudly a rule is told: as the settings say, else as it was found."""
    return settings.severities.get(rule, found)


def is_muted(cause: Cause, mutes: Sequence[Mute]) -> bool:
    """Whether every part of a cause is covered by a mute. What is of no instrument is covered by * alone."""
    return bool(mutes) and all(any(_covers(mute, instrument, {rule, cause.rule}) for mute in mutes) for instrument, rule in cause.touched)


def is_quiet(quiet: QuietHours | None, now: datetime) -> bool:
    """Whether it is a quiet hour."""
    if quiet is None or quiet.from_hour == quiet.to_hour:
        return False
    if quiet.from_hour < quiet.to_hour:
        return quiet.from_hour <= now.hour < quiet.to_hour
    return now.hour >= quiet.from_hour or now.hour < quiet.to_hour


def not_before(channel: Channel, severity: str, quiet: QuietHours | None, now: datetime) -> datetime:
    """When a message may be sent: what pages at once, the rest not in the channel's quiet hours."""
    if severity == "page" or not channel.is_quiet or quiet is None or not is_quiet(quiet, now):
        return now
    end = now.replace(hour=quiet.to_hour, minute=0, second=0, microsecond=0)
    return end if end > now else end + timedelta(days=1)


def fingerprint(reason: str) -> str:
    """What stays the same of a failure's text from one time to the next: no numbers, names in quotes, instruments."""
    lines = [line for line in reason.strip().splitlines() if line.strip()]
    return _CHANGING.sub("#", _PASSWORD.sub(r"\1***@", lines[0].strip()) if lines else "")[:160]


def class_of_failure(reason: str) -> str | None:
    """The rule that a failure's text tells of, where it is one of the platform's own."""
    return next((rule for rule, words in _REASONS if words.search(reason)), None)


# --- grouping ---------------------------------------------------------------------------------------------------


@dataclass
class _Groups:
    """Signals, and which of them belong together."""

    signals: Iterable[Signal]
    _parent: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.signals = sorted(self.signals, key=lambda signal: (signal.since, signal.key))
        self._parent = {signal.key: signal.key for signal in self.signals}

    def root(self, key: str) -> str:
        while self._parent[key] != key:
            self._parent[key] = self._parent[self._parent[key]]
            key = self._parent[key]
        return key

    def join(self, one: str, other: str) -> None:
        first, second = sorted((self.root(one), self.root(other)))
        self._parent[second] = first

    def join_by(self, chosen: Iterable[Signal], token: Callable[[Signal], Hashable | None]) -> None:
        """Join those that have the same token; None is no token."""
        seen: dict[Hashable, str] = {}
        for signal in chosen:
            mark = token(signal)
            if mark is not None:
                self.join(seen.setdefault(mark, signal.key), signal.key)

    def of(self, *kinds: Kind) -> list[Signal]:
        return [signal for signal in self.signals if signal.kind in kinds]

    def all(self) -> list[list[Signal]]:
        found: dict[str, list[Signal]] = defaultdict(list)
        for signal in self.signals:
            found[self.root(signal.key)].append(signal)
        return list(found.values())


def _join_data(groups: _Groups) -> None:
    data = groups.of("gap", "finding")
    groups.join_by(data, _unit)
    # What is wrong with bars follows a defect of their trades, where there is one.
    below: dict[tuple[str, date], Signal] = {}
    for signal in sorted(data, key=lambda each: (_rank(each), each.since)):
        if signal.instrument and signal.day and not _is_on_bars(signal):
            below.setdefault((signal.instrument, signal.day), signal)
    for signal in data:
        if _is_on_bars(signal) and signal.instrument and signal.day and (cause := below.get((signal.instrument, signal.day))):
            groups.join(cause.key, signal.key)
    _join_several(groups, data, _class_of_data)


def _unit(signal: Signal) -> Hashable:
    if signal.rule == _SCHEMA:
        # Somebody changed the schema, or a migration was not made: however many tables show it.
        return _SCHEMA
    if signal.instrument is None:
        return ("table", signal.rule, signal.relation, signal.day)
    day = signal.day or signal.since.date()
    if signal.rule in _FILE or signal.is_of_file:
        return ("file", signal.instrument, day)
    if signal.rule in _FEED:
        return ("feed", signal.instrument, day)
    if _is_on_bars(signal):
        return ("bars", signal.instrument, day)
    return (signal.rule, signal.instrument, day)


def _class_of_data(members: Sequence[Signal]) -> Hashable | None:
    lead = _lead(members)
    if lead.instrument is None:
        return ("table", lead.rule, lead.relation)
    rule = "feed" if lead.rule in _FEED and not lead.is_of_file else "file" if lead.rule in _FILE or lead.is_of_file else lead.rule
    return (rule, _venue(lead.instrument))


def _join_several(groups: _Groups, chosen: Sequence[Signal], class_of: Callable[[Sequence[Signal]], Hashable | None]) -> None:
    """Join groups of one class that were found at about the same time, where there are several."""
    keys = {signal.key for signal in chosen}
    alike: dict[Hashable, list[tuple[datetime, str]]] = defaultdict(list)
    for members in groups.all():
        if members[0].key in keys and (mark := class_of(members)) is not None:
            alike[mark].append((min(signal.found_at for signal in members), members[0].key))
    for found in alike.values():
        for together in _batches(sorted(found)):
            if len(together) >= _SEVERAL:
                for other in together[1:]:
                    groups.join(together[0], other)


def _batches(found: Sequence[tuple[datetime, str]]) -> list[list[str]]:
    """Keys in the order of their times, cut where there is a pause, or where it goes on for long."""
    batches: list[list[str]] = []
    first = last = None
    for at, key in found:
        if first is None or last is None or at - last > TOGETHER or at - first > _LONGEST:
            batches.append([])
            first = at
        batches[-1].append(key)
        last = at
    return batches


def _join_checks(groups: _Groups) -> None:
    failed = groups.of("check")
    # What flows on in one run is broken by one thing; other checks only happen to share a run.
    groups.join_by(failed, _flow)
    loudest = _loudest_by_place(groups.of("gap", "finding"))
    for members in [each for each in groups.all() if each[0].kind == "check"]:
        loud = max(_LOUDNESS[check.severity] for check in members)
        defects = [loudest[place] for check in members for place in _places(check) if place in loudest]
        # One of them: that checks fail together does not make one cause of two defects.
        if cause := next((each for each in defects if _LOUDNESS[each.severity] >= loud), None):
            groups.join(cause.key, members[0].key)
    alone = [signal for members in groups.all() if all(each.kind == "check" for each in members) for signal in members]
    _join_several(groups, alone, lambda members: (_lead(members).rule, _lead(members).relation))


def _flow(check: Signal) -> Hashable | None:
    """What broken checks have in common that were asked in one run, of what flows on there, or of all contracts."""
    relation = check.relation or ""
    if check.run_id is None or check.rule == _SCHEMA or not relation.startswith((*_IN_LEDGERS, _CONTRACTS)):
        return None
    return (check.run_id, check.day, relation == _CONTRACTS)


_ANY_DAY: Final = "any day"
_ON_DAY: Final = "any table"


def _loudest_by_place(data: Iterable[Signal]) -> dict[Hashable, Signal]:
    """The loudest defect of each table and day, of each table, and of each day."""
    found: dict[Hashable, Signal] = {}
    for signal in data:
        of_schema = [_SCHEMA] if signal.rule == _SCHEMA else []
        for place in ((signal.relation, signal.day), (signal.relation, _ANY_DAY), (_ON_DAY, signal.day), *of_schema):
            if place not in found or _LOUDNESS[signal.severity] > _LOUDNESS[found[place].severity]:
                found[place] = signal
    return found


def _places(check: Signal) -> list[Hashable]:
    """Where the defect would be that a check fails by: in its table, and for bars in their trades too; of the schema wherever it is."""
    if check.rule == _SCHEMA:
        return [_SCHEMA]
    if check.day is None:
        return [(check.relation, _ANY_DAY)]
    places: list[Hashable] = [(check.relation, check.day), (check.relation, None)]
    return [*places, (_ON_DAY, check.day)] if (check.relation or "").startswith(_ON_BARS) else places


def _join_broken(groups: _Groups) -> None:
    broken = [signal for signal in groups.signals if signal.rule == _BROKEN and signal.kind in {"finding", "check"}]
    groups.join_by(broken, lambda signal: fingerprint(signal.reason) if signal.reason else None)
    tables = {signal.relation: signal for signal in groups.signals if signal.rule == _SCHEMA and signal.kind == "finding"}
    for signal in broken:
        named = (tables[word] for word in _WORD.findall(signal.reason or "") if word in tables)
        if (table := next(named, None)) and _LOUDNESS[table.severity] >= _LOUDNESS[signal.severity]:
            groups.join(table.key, signal.key)


_WORD: Final = re.compile(r"\w+")


def _join_failures(groups: _Groups) -> None:
    by_run = {signal.run_id: signal for signal in groups.of("check") if signal.run_id and signal.severity == "page"}
    alone: list[Signal] = groups.of("platform")
    for signal in groups.of("run", "sensor"):
        check = by_run.get(signal.run_id) if signal.run_id else None
        if check is not None:
            groups.join(check.key, signal.key)
        else:
            alone.append(signal)
    groups.join_by(alone, _of_platform)


def _of_platform(signal: Signal) -> Hashable:
    if signal.kind == "platform" or signal.rule in _PLATFORMS:
        return ("rule", signal.rule, signal.relation)
    return ("reason", fingerprint(signal.reason or signal.key))


_PLATFORMS: Final = frozenset(rule for rule, _ in _REASONS)


def _is_on_bars(signal: Signal) -> bool:
    return (signal.relation or "").startswith(_ON_BARS)


def _venue(instrument: str) -> str:
    return instrument.partition(":")[0]


def _rank(signal: Signal) -> tuple[int, int]:
    kind = ("platform", "gap", "finding", "check", "run", "sensor").index(signal.kind)
    return (_LEADS.index(signal.rule) if signal.rule in _LEADS else len(_LEADS), 1 if kind == 2 else kind)


def _lead(members: Sequence[Signal]) -> Signal:
    """The one that names the cause: nearest to the root, and the loudest of those."""
    kinds = ("platform", "gap", "finding", "check", "run", "sensor")
    return min(
        members,
        key=lambda each: (
            max(kinds.index(each.kind), 2) if each.kind != "platform" else 0, _is_on_bars(each) and each.rule != _SCHEMA, _rank(each)[0],
            -_LOUDNESS[each.severity], each.since, each.key,
        ),
    )  # fmt: skip


# --- causes -----------------------------------------------------------------------------------------------------

_MOST_LINES: Final = 6


def _cause(members: Sequence[Signal]) -> Cause:
    lead = _lead(members)
    rule = rule_of(lead.rule)
    data = [signal for signal in members if signal.kind in {"gap", "finding"}] or list(members)
    instruments = sorted({signal.instrument for signal in members if signal.instrument})
    days = sorted({signal.day for signal in members if signal.day})
    scope = _scope(lead, instruments)
    told = [signal.what for signal in sorted(data, key=lambda each: (each.kind != lead.kind, each.since, each.key))]
    title = lead.what if len(data) == 1 else f"{rule.title}: {scope}{_of_days(days)}, {len(data)} findings"
    lines = (
        () if len(data) == 1 else tuple(told[:_MOST_LINES]) + ((f"and {len(told) - _MOST_LINES} more",) if len(told) > _MOST_LINES else ())
    )
    return Cause(
        key=f"{lead.rule}|{min(signal.key for signal in members)}",
        rule=lead.rule,
        severity=max((signal.severity for signal in members), key=_LOUDNESS.__getitem__),
        title=title,
        scope=scope,
        since=min(signal.since for signal in members),
        level=sum(signal.weight for signal in members),
        next_step=_command(rule_of(_helps(lead, instruments)).command, instruments),
        page=rule_of(_helps(lead, instruments)).page,
        path=next((signal.path for signal in (lead, *members) if signal.path), None),
        members=frozenset(signal.key for signal in members),
        touched=frozenset((signal.instrument, signal.rule) for signal in data),
        lines=lines,
    )


def _helps(lead: Signal, instruments: Sequence[str]) -> str:
    """The rule whose page helps: holes of a bad file are mended there, those of a whole venue at its feed."""
    if lead.rule == "gap" and lead.is_of_file:
        return "quarantine"
    return "freshness" if lead.rule == "gap" and len(instruments) >= _SEVERAL else lead.rule


def _scope(lead: Signal, instruments: Sequence[str]) -> str:
    if not instruments:
        return lead.relation or "the platform"
    venues = sorted({_venue(name) for name in instruments})
    if len(instruments) <= _SEVERAL:
        return ", ".join(instruments)
    return f"{len(instruments)} instruments of {', '.join(venues)}"


def _of_days(days: Sequence[date]) -> str:
    if not days:
        return ""
    return f" on {days[0]}" if len(days) == 1 else f" on {len(days)} days from {days[0]} to {days[-1]}"


def _command(command: str, instruments: Sequence[str]) -> str:
    """The rule's command, narrowed to the instrument where it takes one."""
    if command in {"rrr gaps", "rrr quarantine"} and len(instruments) == 1:
        return f"{command} --instrument {instruments[0]}"
    return command


def _as_told(signal: Signal, settings: Alerting) -> Signal:
    severity = severity_of(signal.rule, signal.severity, settings)
    what = _PASSWORD.sub(r"\1***@", signal.what)
    return signal if (severity, what) == (signal.severity, signal.what) else replace(signal, severity=severity, what=what)


def _covers(mute: Mute, instrument: str | None, rules: set[str]) -> bool:
    if mute.rule is not None and mute.rule not in rules:
        return False
    if mute.scope == "*":
        return True
    return instrument is not None and mute.scope.removesuffix(":*") in {instrument, _venue(instrument)}
