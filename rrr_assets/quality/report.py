"""What the rows of the quality ledgers amount to: status by day, what is left of the error budgets, what to look at first.

Belongs here: the view that the page, the terminal, the picture and `--json` share, made of rows alone. Does not: reading
(warehouse/quality_report), drawing (quality/page.py, quality/page_picture.py, cli/quality.py). Shares are statistics, no money.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from rrr_assets.calc.quality_sla import budget_used
from rrr_assets.calc.words import counted
from rrr_assets.contracts.quality import DAY_STATUSES

if TYPE_CHECKING:
    from rrr_assets.calc.quality_config import QualitySettings
    from rrr_assets.warehouse.quality_report import JudgedDay, LastRun, QualityRows

MARKS: Final[Mapping[str | None, str]] = {"available": "✓", "degraded": "!", "pending": "~", "missing": "✕", None: "·"}
"""What stands for a status beside its colour; None is a day that nobody judged."""

NOTHING: Final = "-"
"""Where there is no value."""

MEASURES: Final = ("completeness", "validity", "conformance", "freshness")

STALE_AFTER: Final = {"recent": timedelta(minutes=15), "daily": timedelta(hours=26)}
"""From what age of the last run on nobody should rely on what is shown."""

_RUN_WORDS: Final = {"recent": "five-minute run", "daily": "daily run"}
_SHOWN_ERRORS: Final = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """An instrument's day; `status` is None where nobody judged it."""

    day: date
    status: str | None
    told: str

    @property
    def mark(self) -> str:
        """The sign of its status."""
        return MARKS[self.status]


@dataclass(frozen=True, slots=True)
class Line:
    """An instrument's days, one for each of the window."""

    instrument: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """What was attained of a measure, 0 to 1, and how much of the error budget that burnt.

    The budget is what the objective leaves, and `burnt` the part of it that is gone, by `calc.quality_sla`. Each day that is over weighs
    the same.
    """

    measure: str
    attained: float | None
    objective: float
    burnt: float | None

    @property
    def is_over(self) -> bool:
        """Whether more was burnt than there was."""
        # A share that is a mean of floats may miss its objective by their last digit.
        return self.burnt is not None and self.burnt > 1 + 1e-9

    @property
    def bar_percent(self) -> int:
        """How much of its bar is filled, 0 to 100."""
        return 0 if self.burnt is None else min(100, math.ceil(min(self.burnt, 1.0) * 100 - 1e-9))


@dataclass(frozen=True, slots=True)
class Budgets:
    """An instrument's error budgets over the window."""

    instrument: str
    parts: tuple[Budget, ...]

    @property
    def worst(self) -> float:
        """The largest part of a budget that is burnt."""
        return max((part.burnt for part in self.parts if part.burnt is not None), default=0.0)


@dataclass(frozen=True, slots=True)
class Notice:
    """What has to be said before anything else. `is_grave` where what is shown may be wrong."""

    title: str
    text: str
    command: str | None
    is_grave: bool = True


@dataclass(frozen=True, slots=True)
class RunAge:
    """A kind of quality run, and how long ago the last one ended."""

    run: LastRun
    age: timedelta | None
    is_stale: bool

    @property
    def words(self) -> str:
        """What it is called."""
        return _RUN_WORDS[self.run.kind]


@dataclass(frozen=True, slots=True)
class QualityReport:
    """All of it."""

    rows: QualityRows
    days: tuple[date, ...]
    lines: tuple[Line, ...]
    budgets: tuple[Budgets, ...]
    to_look_at: tuple[JudgedDay, ...]
    statuses: Mapping[str, int]
    runs: tuple[RunAge, ...]
    notices: tuple[Notice, ...]

    @property
    def available_share(self) -> float | None:
        """Of the instruments' days that are over and were judged, how many are available, 0 to 1."""
        over = sum(count for status, count in self.statuses.items() if status != "pending")
        return self.statuses["available"] / over if over else None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was judged in the window."""
        return not self.rows.days

    @property
    def computed_at(self) -> datetime | None:
        """When the newest of the days was judged, UTC."""
        return max((day.computed_at for day in self.rows.days), default=None)

    @property
    def objectives(self) -> tuple[float, ...]:
        """The objectives that are in force, the lowest first."""
        return tuple(sorted({part.objective for budgets in self.budgets for part in budgets.parts}))


def make_report(rows: QualityRows, settings: QualitySettings) -> QualityReport:
    """The report of what was read."""
    days = tuple(rows.from_day + timedelta(days=n) for n in range((rows.until_day - rows.from_day).days))
    judged: dict[str, dict[date, JudgedDay]] = defaultdict(dict)
    for each in rows.days:
        judged[each.instrument][each.day] = each
    lines = tuple(Line(name, tuple(_cell(name, day, judged[name].get(day)) for day in days)) for name in rows.instruments)
    budgets = [_budgets(name, list(mine.values()), settings.sla_of(name).objective) for name, mine in judged.items() if mine]
    found = Counter(day.status for day in rows.days)
    runs = tuple(_age(run, rows.at) for run in rows.runs)
    return QualityReport(
        rows=rows,
        days=days,
        lines=lines,
        budgets=tuple(sorted(budgets, key=lambda mine: (-mine.worst, mine.instrument))),
        to_look_at=tuple(sorted((day for day in rows.days if day.status in {"degraded", "missing"}), key=_urgency)),
        statuses={status: found[status] for status in DAY_STATUSES},
        runs=runs,
        notices=tuple(_notices(rows, runs)),
    )


def as_object(report: QualityReport) -> dict[str, Any]:
    """The report for programs: times and days as ISO texts, what is infinite as null."""
    rows = report.rows
    told = {
        "at": rows.at,
        "from_day": rows.from_day,
        "until_day": rows.until_day,
        "computed_at": report.computed_at,
        "available_share": report.available_share,
        "statuses": dict(report.statuses),
        "notices": [asdict(notice) for notice in report.notices],
        "runs": [
            asdict(each.run) | {"age_seconds": each.age and each.age.total_seconds(), "is_stale": each.is_stale} for each in report.runs
        ],
        "instruments": list(rows.instruments),
        "days": [asdict(day) for day in rows.days],
        "budgets": [
            asdict(part) | {"instrument": mine.instrument, "is_over": part.is_over} for mine in report.budgets for part in mine.parts
        ],
        "open_gaps": rows.gaps_in_all,
        "gaps": [asdict(gap) for gap in rows.gaps],
        "open_findings": rows.findings_in_all,
        "open_findings_paging": rows.findings_paging,
        "findings": [asdict(finding) for finding in rows.findings],
        "anomalies_in_window": rows.anomalies_in_all,
        "anomalies": [asdict(anomaly) for anomaly in rows.anomalies],
        "conformance": [asdict(verdicts) for verdicts in rows.verdicts],
        "streams": [asdict(stream) for stream in rows.streams],
    }
    found: dict[str, Any] = _plain(told)
    return found


# --- words ------------------------------------------------------------------------------------------------------


def span_text(span: timedelta) -> str:
    """How long something lasts, by its two largest units."""
    seconds = max(0, round(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    for unit, size, smaller, small in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60)):
        if seconds >= size:
            rest = seconds % size // small
            return f"{seconds // size} {unit} {rest} {smaller}" if rest else f"{seconds // size} {unit}"
    return f"{seconds // 60} min"


def share_text(share: float | None) -> str:
    """A share as a percentage that never rounds up to a whole that was not reached."""
    if share is None:
        return NOTHING
    if share >= 1:
        return "100 %"
    return f"{math.floor(share * 100_000) / 1000:.3f}".rstrip("0").rstrip(".") + " %"


def burnt_text(burnt: float | None) -> str:
    """How much of a budget is gone."""
    if burnt is None:
        return NOTHING
    if math.isinf(burnt):
        return "no budget"
    if burnt <= 1 + 1e-9:
        return f"{math.ceil(burnt * 100 - 1e-9)} % burnt"
    return f"{burnt:,.0f}x burnt" if burnt >= 10 else f"{burnt:.1f}x burnt"


def number_text(value: float | None) -> str:
    """A statistic to look at, to four digits."""
    if value is None:
        return NOTHING
    if value and not 1e-3 <= abs(value) < 1e9:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.4g}"


def time_text(at: datetime | None) -> str:
    """A time to look at, in UTC."""
    return "never" if at is None else f"{at:%Y-%m-%d %H:%M}"


# --- its parts --------------------------------------------------------------------------------------------------


def _cell(instrument: str, day: date, judged: JudgedDay | None) -> Cell:
    if judged is None:
        return Cell(day, None, f"{instrument}, {day}: not judged")
    shares = [f"{name} {share_text(value)}" for name in MEASURES if (value := getattr(judged, name)) is not None]
    counts = [
        f"{count:,} {words}"
        for count, words in ((judged.open_gaps, "open gaps"), (judged.findings, "findings that page"), (judged.anomalies, "anomalies"))
        if count
    ]
    first = f"{instrument}, {day}: {judged.status}"
    told = [first, *judged.reasons, f"{judged.row_count:,} trades", ", ".join(shares), ", ".join(counts)]
    return Cell(day, judged.status, "\n".join(part for part in told if part))


def _budgets(instrument: str, days: Sequence[JudgedDay], objective: float) -> Budgets:
    over = [day for day in days if day.status != "pending"]
    parts = []
    for measure in MEASURES:
        shares = [value for day in over if (value := getattr(day, measure)) is not None]
        attained = math.fsum(shares) / len(shares) if shares else None
        parts.append(Budget(measure, attained, objective, None if attained is None else budget_used(attained, objective)))
    return Budgets(instrument, tuple(parts))


def _urgency(day: JudgedDay) -> tuple[int, int, str]:
    return (-day.day.toordinal(), 0 if day.status == "missing" else 1, day.instrument)


def _age(run: LastRun, at: datetime) -> RunAge:
    age = None if run.finished_at is None else at - run.finished_at
    return RunAge(run, age, age is None or age > STALE_AFTER[run.kind])


def _notices(rows: QualityRows, runs: Sequence[RunAge]) -> list[Notice]:
    if rows.last_held_day is None and not rows.days:
        begin = "Take files of a venue in, or run the platform once on made-up ones; their days are judged by the next run of the checks."
        return [Notice("Nothing was taken in yet", begin, "rrr run", is_grave=False)]
    found = []
    never = [each.words for each in runs if each.age is None]
    if never:
        text = f"The {' and the '.join(never)} of the checks never ended. The daemon runs them."
        found.append(Notice("The checks have not run yet", text, "rrr ui"))
    for each in runs:
        if each.age is not None and each.is_stale:
            ended = f"The last one ended {time_text(each.run.finished_at)} UTC, {span_text(each.age)} ago"
            text = f"{ended}. What is shown may be out of date. The watchdog says what stands still."
            found.append(Notice(f"The {each.words} is overdue", text, "rrr watchdog"))
        if each.run.errors:
            more = len(each.run.errors) - _SHOWN_ERRORS
            told = "; ".join(each.run.errors[:_SHOWN_ERRORS]) + (f"; and {more} more" if more > 0 else "")
            title = f"{counted(len(each.run.errors), 'check')} of the last {each.words} broke down"
            found.append(Notice(title, f"Nothing is known of what they look at: {told}", None))
    if not rows.days and not never:
        found.append(Notice("No day of the window was judged", "Ask for other days, or wait for the next run.", None, is_grave=False))
    return found


def _plain(value: Any) -> Any:
    match value:
        case datetime() | date():
            return value.isoformat().replace("+00:00", "Z")
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return value
