"""How fresh each stream is, and the published status of every instrument and day.

Belongs here: running what looks and publishes, set by set in the database. Does not: what a share is worth (calc/quality_sla), the rules
that find what is broken (warehouse/quality_detectors), when any of it runs (quality/). What the numbers mean stands in docs/sla.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from rrr_assets.calc.quality_config import QualitySettings
from rrr_assets.warehouse.books import Connection
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.quality_findings import FindingScope, Found, Settled, settle_findings, severity_of
from rrr_assets.warehouse.sqlfiles import query

TICK_STREAMS: Final = ("trades", "agg_trades", "quotes", "depth")
LOOK_BACK_DAYS: Final = 45
"""So long a day that is expected is looked for without being asked for: longer than the days of a budget."""

_RULE: Final = "freshness"


@dataclass(frozen=True, slots=True)
class Looked:
    """A look at freshness: how many streams are promised to be fresh, and those that are not, as (instrument, stream)."""

    promised: int
    late: tuple[tuple[str, str], ...]
    settled: Settled


@dataclass(frozen=True, slots=True)
class Published:
    """What was published: days looked at, by status, and how many have another status than before."""

    days: dict[str, int]
    changed: int


def look_at_freshness(database: Database, settings: QualitySettings, now: datetime, run_id: str | None = None) -> Looked:
    """Look how old the newest row of every stream is, by the coverage ledger, and settle what is late where freshness is promised.

    Args:
        database: whose streams; entered as the writer. No tick is read.
        settings: what is promised, and how far a time may be ahead of the clock.
        now: the time of the look, UTC.
        run_id: the Dagster run, where one looks.
    """
    with database.kept(Role.WRITER) as connection, connection.transaction():
        names = _instruments(connection)
        pairs = [(name, stream) for name in names for stream in TICK_STREAMS]
        limits = {name: settings.sla_of(name).freshness_seconds for name in names}
        tolerances = {name: settings.thresholds_of(name).clock_skew_seconds for name in names}
        named = {name for name in names if name in settings.sla}
        values: dict[str, Any] = {
            "now": now,
            "instruments": [name for name, _ in pairs],
            "streams": [stream for _, stream in pairs],
            "limits": [limits[name].get(stream) for name, stream in pairs],
            "tolerances": [tolerances[name] for name, _ in pairs],
            "are_named": [name in named for name, _ in pairs],
        }
        rows = connection.execute(query("quality_freshness"), values).fetchall()
        late = [_late(*row[:6], now=now) for row in rows if not row[6]]
        settled = []
        for stream in TICK_STREAMS:
            mine = [each for each in late if each.relation == f"raw_{stream}"]
            settled.append(settle_findings(connection, FindingScope((_RULE,), f"raw_{stream}"), mine, run_id))
    totals = Settled(*(sum(getattr(each, name) for each in settled) for name in ("opened", "kept", "resolved")))
    return Looked(len(rows), tuple((str(each.instrument), each.relation.removeprefix("raw_")) for each in late), totals)


def publish_status(
    database: Database,
    days: Sequence[date],
    settings: QualitySettings,
    now: datetime,
    run_id: str | None = None,  # noqa: ARG001  # as every part of a run takes it; a status is the same whoever publishes it
) -> Published:
    """Publish the status of every instrument on some days, and on those that changed or wait, whoever asks.

    Days of which retention dropped the rows keep the status that they had.

    Args:
        database: whose days; entered as the writer.
        days: UTC days that are looked at in any case.
        settings: what is promised.
        now: what time it is, UTC: a day that is not over is pending.
        run_id: the Dagster run, where one publishes.
    """
    with database.kept(Role.WRITER) as connection, connection.transaction():
        names = _instruments(connection)
        promises = [settings.sla_of(name) for name in names]
        values: dict[str, Any] = {
            "now": now,
            "days": sorted(set(days)),
            "look_back": LOOK_BACK_DAYS,
            "instruments": names,
            "objectives": [promise.objective for promise in promises],
            "dues": [promise.due_seconds for promise in promises],
        }
        rows = connection.execute(query("quality_publish"), values).fetchall()
    return Published({status: count for status, count, _ in rows}, sum(changed for *_, changed in rows))


def _instruments(connection: Connection) -> list[str]:
    rows = connection.execute("select instrument from instruments where valid_to is null order by instrument").fetchall()
    return [name for (name,) in rows]


def _late(
    instrument: str, stream: str, last_time: datetime | None, age: float | None, limit: float, is_ahead: bool, *, now: datetime
) -> Found:
    if last_time is None:
        says = f"nothing of {stream} was ever held, and it is promised within {limit:g} s"
    elif is_ahead:
        ahead = f"{-(age or 0):g} s ahead of the clock"
        says = f"the newest of {stream} is of {last_time.isoformat()}, {ahead}, and does not say how fresh it is: correct its time"
    else:
        says = f"the newest of {stream} is of {last_time.isoformat()}, {age or 0:g} s ago; promised is {limit:g} s"
    detail = {
        "last_event_time": None if last_time is None else last_time.isoformat(), "age_seconds": age, "limit_seconds": limit,
        "looked_at": now.isoformat(), "is_ahead": is_ahead,
    }  # fmt: skip
    return Found(_RULE, severity_of(_RULE), f"raw_{stream}", instrument, None, None, None, 1, 1, (says,), detail)
