"""The platform as tests see it: a home with a server of its own, a fresh database, files taken in.

Belongs here: what several kinds of tests need to drive the real thing. Does not: fixtures (conftest.py).
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from rrr_assets.calc.outcomes import DayLoaded
from rrr_assets.ticks import landing
from rrr_assets.warehouse.compare import compare_days
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.load import load_day
from rrr_assets.warehouse.load_bars import load_bars_day
from rrr_assets.warehouse.migrate import migrate
from rrr_assets.warehouse.refresh import refresh_bars
from rrr_assets.warehouse.tick_tables import TICK_TABLES


def fresh_database() -> Database:
    """A migrated database of its own on the server of this process' home."""
    database = Database.current(f"test_{uuid.uuid4().hex[:12]}")
    migrate(database)
    return database


@dataclass
class Platform:
    """One database and one landing zone, driven without Dagster."""

    database: Database
    home: Home
    days: set[date] = field(default_factory=set)

    def take_in(
        self, paths: Path | Sequence[Path], format_name: str, instrument: str | None = None, day: date | None = None
    ) -> list[DayLoaded]:
        """Accept files and store their days: all streams alike, nothing refreshed."""
        chosen = [paths] if isinstance(paths, Path) else list(paths)
        with self.database.connect(Role.WRITER, autocommit=True) as connection:
            accepted = [one for path in chosen for one in landing.accept(self.home, connection, path, format_name, instrument, day)]
        days = sorted({day for file in accepted for day in file.days})
        self.days.update(days)
        ticks = [loaded for stream in TICK_TABLES for loaded in self.load(stream, load_day, days)]
        return [*ticks, *self.load("venue_bars", load_bars_day, days)]

    def load(self, stream: str, store: Callable[..., DayLoaded], days: Sequence[date]) -> list[DayLoaded]:
        """Store what waits of some days."""
        with self.database.connect(Role.WRITER, autocommit=True) as connection:
            waiting = landing.files_of_days(self.home, connection, stream, days)
        return [store(self.database, day, waiting[day], None, landing.raw_lines) for day in days if day in waiting]

    def refresh(self, days: Iterable[date] | None = None, *, whole_days: bool = False) -> None:
        """Bring bars and verdicts of some days, or all that were taken in, up to date."""
        chosen = sorted(self.days if days is None else days)
        for interval in ("1m", "5m", "1h", "1d"):
            list(refresh_bars(self.database, interval, chosen, whole_days=whole_days))
        list(compare_days(self.database, chosen, whole_days=whole_days))

    def rows(self, statement: str, *values: object) -> list[tuple]:
        """Rows of a query, as the owner."""
        with self.database.connect(Role.OWNER, autocommit=True) as connection:
            return connection.execute(statement, values or None).fetchall()

    def trades_hash(self) -> str:
        """A hash of the trades that does not depend on the order of storing, the batch or the moment."""
        statement = """
            select coalesce(md5(string_agg(concat_ws('|', instrument, space, sequence, extract(epoch from event_time)::text,
                trim_scale(price), trim_scale(size), side, conditions::text), E'\\n'
                order by instrument, space, sequence, event_time)), 'none')
            from raw_trades
        """
        return str(self.rows(statement)[0][0])
