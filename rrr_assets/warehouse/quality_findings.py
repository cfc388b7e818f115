"""The ledgers of findings and anomalies: what a look found is settled against what was known before.

Belongs here: writing them, their words and severities. Does not: how anything is found (warehouse/quality_detectors), gaps.
A look says what it looked at, its scope, and all that it found there. What is open of the scope and was not found again is over. A
scope is settled by one at a time, under a lock, so that two runs at once never make two rows of one thing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final

from psycopg.types.json import Jsonb

from rrr_assets.warehouse.books import Connection
from rrr_assets.warehouse.sqlfiles import query

PAGE: Final = "page"
WARN: Final = "warn"

HARD_RULES: Final = (
    "gap", "duplicate", "null", "order", "key", "crossed_book", "frozen_feed", "unexplained_bar", "range", "rollup", "ledger", "freshness",
    "schema_drift", "broken_check",
)  # fmt: skip
"""What pages where it is broken, unless the one who finds it knows better: a duplicate that was dropped on its way in only warns."""

SOFT_RULES: Final = ("quarantine", "missing_instrument", "locked_book", "outside_quote", "clock_skew", "late", "incomplete_bars")
"""What is worth a look, and wakes nobody."""

ANOMALY_RULES: Final = (
    "price_change", "return_z", "volume_spike", "silence", "seasonal_volume", "seasonal_spread", "seasonal_trade_rate",
    "seasonal_message_rate",
)  # fmt: skip
"""By what a value is unlikely."""

_LONGEST_EXAMPLE: Final = 500
_MOST_EXAMPLES: Final = 10


@dataclass(frozen=True, slots=True)
class Found:
    """A rule that is broken, as one look found it; the fields are those of `findings`, times UTC, `to_time` exclusive.

    One that lasts is one finding, named by where it begins: what breaks a rule of a day as a whole has no `from_time`.
    """

    rule: str
    severity: str
    relation: str
    instrument: str | None
    day: date | None
    from_time: datetime | None
    to_time: datetime | None
    broken: int
    examined: int
    examples: tuple[str, ...] = ()
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class FindingScope:
    """What a look at one table was about: these rules, on this day (None: what is of no day), of these instruments (None: of all)."""

    rules: tuple[str, ...]
    relation: str
    day: date | None = None
    instruments: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What settling changed, in findings."""

    opened: int
    kept: int
    resolved: int


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A value that is unlikely; the fields are those of `anomalies`, times UTC, `to_time` exclusive."""

    rule: str
    relation: str
    instrument: str
    from_time: datetime
    to_time: datetime
    value: float
    expected: float | None
    score: float
    threshold: float
    baseline_version: int | None = None
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AnomalyScope:
    """What a look at one table was about: these rules, of these instruments (None: of all), what begins in [from_time, to_time)."""

    rules: tuple[str, ...]
    relation: str
    instruments: tuple[str, ...] | None
    from_time: datetime
    to_time: datetime


@dataclass(slots=True)
class Findings:
    """What the parts of a run found, before it is settled."""

    found: list[Found] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)


def severity_of(rule: str) -> str:
    """Whether a rule pages where it is broken. One that nobody named pages: silence would be the worse mistake."""
    return WARN if rule in SOFT_RULES or rule in ANOMALY_RULES else PAGE


def settle_findings(connection: Connection, scope: FindingScope, found: Sequence[Found], run_id: str | None = None) -> Settled:
    """Bring the open findings of a scope in step with what a look found there, in a transaction, or in that of the caller.

    Args:
        connection: of the writer.
        scope: what was looked at. What is open within it and not among `found` is resolved.
        found: all that was found. Two that would be one row (same rule, instrument and begin) become one.
        run_id: the Dagster run, where one looked.

    Raises:
        ValueError: something was found outside the scope: nothing would ever resolve it.
    """
    for each in found:
        is_inside = each.rule in scope.rules and each.relation == scope.relation and each.day == scope.day
        if not is_inside or (scope.instruments is not None and each.instrument not in scope.instruments):
            raise ValueError(f"a finding {each.rule} of {each.relation}, {each.instrument}, {each.day} lies outside its scope {scope}")
    values: dict[str, Any] = {
        "found": Jsonb([_told(each) for each in _merged(found)], dumps=_dumps),
        "rules": list(scope.rules), "relation": scope.relation, "day": scope.day,
        "instruments": None if scope.instruments is None else list(scope.instruments), "run_id": run_id,
    }  # fmt: skip
    with connection.transaction():
        _lock(connection, f"findings|{scope.relation}|{scope.day}")
        row = connection.execute(query("quality_findings_settle"), values).fetchone() or (0, 0, 0)
    return Settled(*row)


def settle_anomalies(connection: Connection, scope: AnomalyScope, found: Sequence[Anomaly]) -> tuple[int, int]:
    """Bring the anomalies of a scope in step with what a look found there, in a transaction, or in that of the caller.

    Returns:
        How many are new, and how many are gone. What is found again keeps when it was found first.

    Raises:
        ValueError: something was found outside the scope, or a number is not finite.
    """
    for each in found:
        is_inside = each.rule in scope.rules and each.relation == scope.relation and scope.from_time <= each.from_time < scope.to_time
        if not is_inside or (scope.instruments is not None and each.instrument not in scope.instruments):
            raise ValueError(f"an anomaly {each.rule} of {each.relation}, {each.instrument}, {each.from_time} is outside its scope {scope}")
    strongest: dict[tuple[str, str, datetime], Anomaly] = {}
    for each in found:
        key = (each.rule, each.instrument, each.from_time)
        if key not in strongest or strongest[key].score < each.score:
            strongest[key] = each
    values: dict[str, Any] = {
        "found": Jsonb([asdict(each) for each in strongest.values()], dumps=_dumps), "rules": list(scope.rules),
        "relation": scope.relation, "instruments": None if scope.instruments is None else list(scope.instruments),
        "from_time": scope.from_time, "to_time": scope.to_time,
    }  # fmt: skip
    with connection.transaction():
        _lock(connection, f"anomalies|{scope.relation}")
        inserted, removed = connection.execute(query("quality_anomalies_settle"), values).fetchone() or (0, 0)
    return inserted, removed


def _merged(found: Sequence[Found]) -> list[Found]:
    """What would be one row, as one: the longest interval, all that is broken."""
    one: dict[tuple[str, str | None, datetime | None], Found] = {}
    for each in found:
        key = (each.rule, each.instrument, each.from_time)
        before = one.get(key)
        if before is not None:
            ends = [at for at in (before.to_time, each.to_time) if at is not None]
            each = replace(  # noqa: PLW2901  # both in one
                before,
                severity=PAGE if PAGE in {before.severity, each.severity} else WARN,
                to_time=max(ends, default=None),
                broken=before.broken + each.broken,
                examined=max(before.examined, each.examined),
                examples=(*before.examples, *each.examples),
            )
        one[key] = each
    return list(one.values())


def _told(each: Found) -> dict[str, Any]:
    return asdict(each) | {"examples": [example[:_LONGEST_EXAMPLE] for example in each.examples[:_MOST_EXAMPLES]]}


def _lock(connection: Connection, name: str) -> None:
    connection.execute(query("lock_names"), {"names": [name]})


def _dumps(content: Any) -> str:
    return json.dumps(content, default=_plain, allow_nan=False)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
