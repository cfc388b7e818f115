"""The warehouse as the assets see it.

Belongs here: the one resource between Dagster and the database. Does not: SQL, transactions (warehouse/).
Heavy imports wait until a method is called, because every run and every code server loads this module.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

import dagster as dg
from pydantic import PrivateAttr

from rrr_assets.contracts.bars import Engine

if TYPE_CHECKING:
    import pyarrow as pa

    from rrr_assets.calc.outcomes import DayCompared, DayHeld, DayLoaded, DayRefreshed, RuleResult
    from rrr_assets.warehouse.connect import Database
    from rrr_assets.warehouse.intake import RawText
    from rrr_assets.warehouse.staging import StagedFile

_KNOWN_SECONDS: Final = 3.0


class Warehouse(dg.ConfigurableResource):  # type: ignore[type-arg]  # it yields itself
    """The database of this process' environment. Every write is one transaction a day, told as each commits."""

    _known: tuple[float, Database] | None = PrivateAttr(default=None)

    def database(self) -> Database:
        """The database itself; starts the embedded server where RRR_DATABASE_URL names none.

        It is asked for several times a day of a run, and looking for the server costs more than many a query: the
        answer holds for some seconds, short enough for a server that was restarted.
        """
        from rrr_assets.warehouse.connect import Database

        if self._known is None or time.monotonic() - self._known[0] > _KNOWN_SECONDS:
            self._known = (time.monotonic(), Database.current())
        return self._known[1]

    def load_day(self, stream: str, day: date, files: Sequence[StagedFile], run_id: str, raw_text: RawText) -> DayLoaded:
        """Store one day of a stream: 'trades', 'agg_trades', 'quotes', 'depth' or 'venue_bars'.

        A day that retention has dropped comes back first.

        Raises:
            NoSpaceLeft: the database's disk is full, or would be soon; nothing of the day was stored.
            DayDropped: the day was deleted at the end of its time.
        """
        from rrr_assets.lake.restoring import bringing_back
        from rrr_assets.warehouse.disk import require_room
        from rrr_assets.warehouse.load import load_day
        from rrr_assets.warehouse.load_bars import load_bars_day
        from rrr_assets.warehouse.tiers import brought_back

        require_room(f"the load of {stream} of {day}")
        store = load_bars_day if stream == "venue_bars" else load_day
        database = self.database()
        return brought_back(bringing_back(database, run_id), lambda: store(database, day, files, run_id, raw_text))

    def find_silences(self, stream: str, day: date, run_id: str) -> int:
        """Let the ledger of gaps say which silences of a day's rows without ids are missing rows; returns of how many instruments it did.

        Raises:
            QualityConfigRefused: RRR_QUALITY_CONFIG names no settings that can be used.
            StoreUnreachable: the day is in the archive, whose store did not answer.
        """
        from rrr_assets.lake.store import Store, failures_told
        from rrr_assets.lake.times import archived_times
        from rrr_assets.resources.quality_settings import quality_settings
        from rrr_assets.warehouse.gaps import find_silences

        database = self.database()
        with failures_told("silences were not looked for"):
            times_of = archived_times(database, Store.current())
            return find_silences(database, [day], quality_settings(), run_id, streams=[stream], times_of=times_of)

    def refresh_bars(
        self, interval: str, days: Sequence[date], *, whole_days: bool, instruments: Sequence[str] | None, engine: Engine = Engine.auto
    ) -> Iterator[DayRefreshed]:
        """Bring one bar table in step with what it is made from; `engine` is that of the 1-minute bars.

        Bars that retention has dropped come back before they change.

        Raises:
            RawTradesGone: the day's trades were dropped by retention; its bars stay as they are.
            NoSpaceLeft: a disk has little room; the days before stay refreshed.
        """
        from rrr_assets.lake.restoring import bringing_back
        from rrr_assets.warehouse.disk import while_there_is_room
        from rrr_assets.warehouse.home import Home
        from rrr_assets.warehouse.refresh import refresh_bars

        database = self.database()
        done = refresh_bars(
            database, interval, days, whole_days=whole_days, instruments=instruments, home=Home.current(), engine=engine,
            bring_back=bringing_back(database),
        )  # fmt: skip
        return while_there_is_room(f"the refresh of bars of {interval}", done)

    def forget_staged(self, days: Sequence[date] | None = None) -> None:
        """Drop what this home has staged of the landed files of some days, or of all, and nothing needs any more."""
        from rrr_assets.warehouse.bulk import forget_staged
        from rrr_assets.warehouse.home import Home

        forget_staged(self.database(), Home.current(), days)

    def compare_days(self, days: Sequence[date], *, whole_days: bool, instruments: Sequence[str] | None) -> Iterator[DayCompared]:
        """Bring the conformance ledger up to date. Bars that retention has dropped come back to be judged."""
        from rrr_assets.lake.restoring import bringing_back
        from rrr_assets.warehouse.compare import compare_days

        database = self.database()
        return compare_days(database, days, whole_days=whole_days, instruments=instruments, bring_back=bringing_back(database))

    def check(self, rules: str, day: date) -> list[RuleResult]:
        """Look at one day by the rules of a table; see `warehouse.inspection.check`."""
        from rrr_assets.warehouse.inspection import check

        return check(self.database(), rules, day)

    def held(self, stream: str, day: date) -> DayHeld:
        """What is held of a stream's day."""
        from rrr_assets.warehouse.inspection import held

        return held(self.database(), stream, day)

    def busiest_bars(self, interval: str, day: date) -> tuple[str, pa.Table] | None:
        """The bars of the instrument with most trades that day; None where there are none."""
        from rrr_assets.warehouse.inspection import busiest_bars

        return busiest_bars(self.database(), interval, day)
