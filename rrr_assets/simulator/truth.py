"""Truth and verdict: what was injected against what was reported, by kind and by rule. Pure.

Belongs here: which reports tell of which injection, recall, precision, pages without a cause. Does not: reading ledgers, or a manifest's
file layout beyond its injections. A report tells of an injection where it is of its instrument and stream, overlaps its time or its ids,
and has one of the rules that its kind is found by. What follows from an injection without telling of it (bars that are not complete after
a gap) is explained by it, and finds nothing. All else is false.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from rrr_assets.simulator.injections import Injection

GAP: Final = "gap"
ANOMALIES: Final = frozenset(
    {
        "price_change",
        "return_z",
        "price_print",
        "volume_spike",
        "silence",
        "seasonal_volume",
        "seasonal_spread",
        "seasonal_trade_rate",
        "seasonal_message_rate",
    }
)
_PRICES: Final = frozenset({"price_change", "return_z", "price_print"})
_SEASONAL_ACTIVITY: Final = frozenset({"seasonal_volume", "seasonal_trade_rate", "seasonal_message_rate"})

FOUND_BY: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "file-missing": frozenset({GAP}),
        "gap": frozenset({GAP}),
        "late": frozenset({GAP}),
        "dead": frozenset({GAP}),
        "duplicate": frozenset({"duplicate"}),
        "block-duplicate": frozenset({"duplicate"}),
        "frozen": frozenset({"frozen_feed"}),
        "crossed": frozenset({"crossed_book"}),
        "disorder": frozenset({"order"}),
        "kline-missing": frozenset({"unexplained_bar"}),
        "locked": frozenset({"locked_book"}),
        "clock-skew": frozenset({"clock_skew"}),
        "late-rows": frozenset({"late"}),
        "spike-price": _PRICES,
        "spike-volume": frozenset({"volume_spike"}),
        "activity-burst": _SEASONAL_ACTIVITY,
        "activity-drop": _SEASONAL_ACTIVITY,
        "wide-spread": frozenset({"seasonal_spread"}),
    }
)
"""By which rules a kind is found; one of them suffices."""

_HOLE: Final = frozenset({"incomplete_bars", "missing_instrument", "freshness"}) | ANOMALIES
FOLLOWS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "file-missing": _HOLE,
        "gap": _HOLE,
        "late": _HOLE,
        "dead": _HOLE,
        # The rows of the second time were received later, and count twice.
        "block-duplicate": frozenset({"late", "clock_skew"}) | ANOMALIES,
        "frozen": frozenset({"outside_quote"}) | ANOMALIES,
        "crossed": frozenset({"outside_quote", "seasonal_spread"}),
        "locked": frozenset({"outside_quote", "seasonal_spread"}),
        "disorder": frozenset({"clock_skew", "late", "outside_quote"}) | ANOMALIES,
        "clock-skew": frozenset({"late"}),
        "late-rows": frozenset({"clock_skew"}),
        "spike-price": frozenset({"outside_quote"}) | ANOMALIES,
        "spike-volume": frozenset({"seasonal_volume"}),
        # Where nobody numbers trades, who refuses a line cannot know that nothing else was in it: there may be a gap.
        "bad-rows": frozenset({"quarantine", "incomplete_bars", GAP}),
        "outage": ANOMALIES,
        "activity-burst": ANOMALIES,
        "activity-drop": ANOMALIES,
    }
)
"""What else may be reported because of a kind."""

_SLACK: Final = timedelta(minutes=2)
# An anomaly is of a minute and its neighbours: the price comes back the minute after, the trades after a hole are more than usual.
_AFTER: Final = timedelta(minutes=10)
_ONE_DAY: Final = timedelta(days=1)
_STREAMS: Final[Mapping[str, str]] = MappingProxyType({"raw_quotes": "quotes", "quotes": "quotes"})


@dataclass(frozen=True, slots=True)
class Reported:
    """A row of a ledger: of gaps (rule `gap`), findings or anomalies. `relation` is a table or a stream.

    Where it has no times it is of its day, where it has no instrument of all. `ids` has both ends inside.
    """

    rule: str
    is_page: bool
    relation: str
    instrument: str | None
    since: datetime | None = None
    until: datetime | None = None
    day: date | None = None
    ids: tuple[int, int] | None = None

    @property
    def stream(self) -> str:
        """The stream that it is of; bars and verdicts are made of trades."""
        return _STREAMS.get(self.relation, "trades")

    @property
    def span(self) -> tuple[datetime, datetime]:
        """From when to when it is."""
        if self.since is not None and self.until is not None:
            return self.since, max(self.until, self.since + timedelta(microseconds=1))
        if self.day is None:
            return datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        start = datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC)
        return start, start + _ONE_DAY


@dataclass(frozen=True, slots=True)
class Absorbed:
    """What is held of an injection that ought to leave no trace: rows stored of its time, and lines of its day in quarantine."""

    stored: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class KindScore:
    """How many of a kind were injected, and how many of them were found, absorbed, or left alone."""

    kind: str
    severity: str
    injected: int
    found: int
    missed: tuple[Injection, ...]
    told_by: Mapping[str, int]

    @property
    def recall(self) -> float:
        return self.found / self.injected if self.injected else 1.0


@dataclass(frozen=True, slots=True)
class RuleScore:
    """How many rows a rule reported: those that tell of an injection of its own, those that follow from another one, and the others."""

    rule: str
    reported: int
    telling: int
    following: int
    false: tuple[Reported, ...]

    @property
    def precision(self) -> float:
        return 1 - len(self.false) / self.reported if self.reported else 1.0


@dataclass(frozen=True, slots=True)
class Score:
    """The verdict."""

    kinds: tuple[KindScore, ...]
    rules: tuple[RuleScore, ...]
    false_pages: tuple[Reported, ...] = field(default=())

    def recall(self, severity: str) -> float:
        """Over all kinds of a severity."""
        chosen = [each for each in self.kinds if each.severity == severity]
        injected = sum(each.injected for each in chosen)
        return sum(each.found for each in chosen) / injected if injected else 1.0

    def precision(self, rules: Collection[str]) -> float:
        """Over all rows of some rules."""
        chosen = [each for each in self.rules if each.rule in rules]
        reported = sum(each.reported for each in chosen)
        return 1 - sum(len(each.false) for each in chosen) / reported if reported else 1.0


def injections_of(manifest: Mapping[str, Any]) -> list[Injection]:
    """The injections of a manifest as it was read from JSON; none of a simulation without."""
    return [
        Injection(
            **{
                **each,
                "streams": tuple(each["streams"]),
                "day": date.fromisoformat(each["day"]),
                "since": datetime.fromisoformat(each["since"]),
                "until": datetime.fromisoformat(each["until"]),
                "ids": tuple((first, last) for first, last in each["ids"]),
            }
        )
        for each in manifest.get("injections", ())
    ]


def score(injections: Sequence[Injection], reports: Iterable[Reported], absorbed: Mapping[int, Absorbed]) -> Score:
    """Hold reports against the truth.

    Args:
        injections: All of them.
        reports: All rows of the ledgers.
        absorbed: By an injection's number, for those after which as many rows are held as without them.
    """
    reports = list(reports)
    by_instrument: dict[str, list[Injection]] = {}
    for injection in injections:
        by_instrument.setdefault(injection.instrument, []).append(injection)
    told: dict[int, list[Reported]] = {injection.number: [] for injection in injections}
    telling: Counter[str] = Counter()
    following: Counter[str] = Counter()
    false: dict[str, list[Reported]] = {}
    for report in reports:
        near = injections if report.instrument is None else by_instrument.get(report.instrument, [])
        causes = [one for one in near if _tells(report, one)]
        for one in causes:
            told[one.number].append(report)
        if causes:
            telling[report.rule] += 1
        elif any(_follows(report, one) for one in near):
            following[report.rule] += 1
        else:
            false.setdefault(report.rule, []).append(report)
    unexplained = [report for each in false.values() for report in each if report.is_page]
    garbage = Counter((one.instrument, one.day) for one in injections if one.kind == "bad-rows" for _ in range(one.rows))
    kinds = []
    for kind in dict.fromkeys(one.kind for one in injections):
        chosen = [one for one in injections if one.kind == kind]
        missed = tuple(one for one in chosen if not _is_right(one, told[one.number], absorbed, garbage, unexplained))
        told_by = Counter(rule for one in chosen for rule in {report.rule for report in told[one.number]})
        kinds.append(KindScore(kind, chosen[0].severity, len(chosen), len(chosen) - len(missed), missed, told_by))
    counts = Counter(report.rule for report in reports)
    rules = [RuleScore(rule, counts[rule], telling[rule], following[rule], tuple(false.get(rule, ()))) for rule in sorted(counts)]
    return Score(tuple(kinds), tuple(rules), tuple(unexplained))


def _is_right(
    one: Injection,
    told: Sequence[Reported],
    absorbed: Mapping[int, Absorbed],
    garbage: Mapping[tuple[str, date], int],
    unexplained: Sequence[Reported],
) -> bool:
    """Whether what came of an injection is what must come of it."""
    held = absorbed.get(one.number)
    if held is not None and held.stored != one.rows:
        return False
    if one.severity == "absorb":
        return held is not None and held.quarantined == garbage[one.instrument, one.day]
    if one.severity == "leave":
        return not any(each.instrument in {None, one.instrument} and _overlap(each, one, timedelta()) for each in unexplained)
    if one.kind == "file-missing" and any(
        each.since is not None and each.span[0] <= one.since and one.until <= each.span[1] for each in told
    ):
        return True
    if one.ids:
        return _ids(each.ids for each in told if each.ids is not None) == set(one.ids)
    return bool(told)


def _ids(ranges: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """Ranges with both ends inside, those that touch joined."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return set(joined)


def _tells(report: Reported, one: Injection) -> bool:
    if report.rule not in FOUND_BY.get(one.kind, ()) or report.stream not in one.streams:
        return False
    if report.ids is not None and one.ids:
        return any(first <= report.ids[1] and report.ids[0] <= last for first, last in one.ids)
    return _overlap(report, one, _SLACK if report.rule in ANOMALIES else timedelta())


def _follows(report: Reported, one: Injection) -> bool:
    rules = FOLLOWS.get(one.kind, frozenset()) | (FOUND_BY.get(one.kind, frozenset()) & ANOMALIES)
    return report.rule in rules and _overlap(report, one, timedelta() if report.is_page else _AFTER)


def _overlap(report: Reported, one: Injection, slack: timedelta) -> bool:
    since, until = report.span
    return since < one.until + slack and until > one.since - slack
