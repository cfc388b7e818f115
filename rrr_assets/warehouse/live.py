"""The live bars: views over the trades of the last days, on both engines.

Belongs here: holding them against the bars. Does not: what they are (sql/migrations/0015_live_bars.*), their columns
(contracts/live.py), the bars (refresh.py).
On TimescaleDB they are continuous aggregates: what is refreshed is read, the rest is computed from the trades. A trade that comes
late is seen when its window is refreshed again, within the schedule of the policies; one older than the window, never.
On plain PostgreSQL they are computed at every read.
"""

from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

from psycopg import sql

from rrr_assets.calc.outcomes import RuleResult
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.live import HOT_DAYS, LIVE_BARS
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.migrate import engine_of
from rrr_assets.warehouse.refresh import SOURCES
from rrr_assets.warehouse.sqlfiles import query

SETTLED_FOR: Final = timedelta(hours=2)
"""Longer than a change takes through the refreshes of all levels: the day's bars are refreshed every hour, those before sooner."""


def check_live_bars(
    database: Database, interval: str, at: datetime | None = None, settled_for: timedelta = SETTLED_FOR
) -> list[RuleResult]:
    """Hold the live bars of the hot window against the table of the interval.

    Args:
        database: whose bars.
        interval: '1m', '5m', '1h' or '1d'.
        at: the moment at which the window ends; now where none is given. Bars that are open then are not looked at.
        settled_for: nor are bars of which trades changed since so long, or of which the table does not show all changes yet.
    """
    at = at or datetime.now(UTC)
    first = at.astimezone(UTC).date() - timedelta(days=HOT_DAYS)
    grid = INTERVALS[interval]
    values: dict[str, Any] = {
        "at": at, "settled_for": settled_for, "from_day": first, "from_time": datetime.combine(first, time(), UTC),
        "to_time": at - grid + timedelta(microseconds=1), "grid": grid, "consumer": f"bars_{interval}",
        "relations": sorted({"raw_trades", SOURCES[interval]}),
    }  # fmt: skip
    statement = sql.SQL(query("check_live_bars")).format(
        bars=sql.Identifier(f"bars_{interval}"), live=sql.Identifier(LIVE_BARS[interval].name)
    )
    with database.kept(Role.WRITER) as connection:
        rows = connection.execute(statement, values).fetchall()
        if engine_of(connection) == "timescaledb":
            rows += connection.execute(query("check_live_conditions")).fetchall()
    return [RuleResult(rule, is_blocking, broken, looked_at, tuple(examples)) for rule, is_blocking, broken, looked_at, examples in rows]
