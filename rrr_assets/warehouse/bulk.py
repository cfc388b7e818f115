"""What becomes of a day's staged rows once they are stored: its 1-minute bars are made of them, then they are dropped.

Belongs here: whether staged rows are exactly what is stored of an instrument's day, their bars on the way into a refresh, and when
nothing needs them any more. Does not: what a bar is (calc/columnar computes it), what is made in the database (refresh.py), staging.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rrr_assets.contracts.bars import Engine
from rrr_assets.warehouse.books import Connection
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.staging import drop_staged, folder_name, rows_of

if TYPE_CHECKING:
    import pyarrow as pa

LOGGER: Final = logging.getLogger(__name__)

MOST_ROWS: Final = 3_000_000
"""Trades that are held in memory at once: below a gigabyte, in whatever order they lie. A day of more is made in the database."""

LEAST_ROWS: Final = 200_000
"""Where it begins to pay: of fewer trades, the engine takes longer to start than the database to answer."""

_KEPT_FOR: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Day:
    """One instrument's day as the books have it, all of it from one file."""

    rows: int
    lowest_id: int
    highest_id: int
    first_time: datetime
    last_time: datetime
    whole: str
    folder: Path


class StagedDay:
    """The instruments of a day whose staged rows are all that is stored of them, as one statement of a transaction sees the books.

    Only what one batch brought alone counts, of which nothing was ever replaced, and of which as many rows are staged as are stored:
    what a batch stores is taken from its staged rows, so that equal counts leave no row that was refused or known already.
    """

    def __init__(self, connection: Connection, home: Home, day: date, engine: Engine) -> None:
        self._connection = connection
        self._home = home
        self._day = day
        self._least = 1 if engine is Engine.columnar else LEAST_ROWS
        self._days: dict[str, _Day] = {}
        self._made: dict[str, pa.Table | None] = {}
        self.filled = 0

    def look(self, instruments: Collection[str]) -> None:
        """Find which of some instruments, whose bars are made of trades, are so."""
        values = {"day": self._day, "instruments": list(instruments), "least": self._least, "most": MOST_ROWS}
        files = self._home.landing / "files"
        self._days = {
            name: _Day(rows, lowest_id, highest_id, first_time, last_time, whole, files / folder_name(*identity))
            for name, rows, lowest_id, highest_id, first_time, last_time, whole, *identity in self._connection.execute(
                query("bars_staged_days"), values
            ).fetchall()
        }

    def has(self, instrument: str) -> bool:  # noqa: ARG002  # what is staged was stored, and dropped since
        """Whether it makes the bars of an instrument whose trades are not in the database: it does not."""
        return False

    def fill(self, instrument: str, from_time: datetime, to_time: datetime) -> bool:
        """Put an instrument's bars into fresh_bars, if the window holds all its trades of the day and they can be made of staged rows."""
        day = self._days.get(instrument)
        if day is None or day.first_time < from_time or day.last_time >= to_time:
            return False
        if instrument not in self._made:
            self._made |= self._make(instrument)
        bars = self._made.pop(instrument)
        if bars is None:
            return False
        _fill(self._connection, bars, day.whole, (from_time, to_time))
        self.filled += 1
        return True

    def _make(self, instrument: str) -> dict[str, "pa.Table | None"]:
        """The bars of an instrument and of those of the same file that come after it, as many as memory is meant to hold the trades of."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from rrr_assets.calc.columnar import bars_of_day

        folder = self._days[instrument].folder
        together: dict[str, _Day] = {}
        for name, day in sorted(self._days.items()):
            if name >= instrument and day.folder == folder and sum(each.rows for each in (day, *together.values())) <= MOST_ROWS:
                together[name] = day
        made: dict[str, pa.Table | None] = dict.fromkeys(together)
        uncounted: dict[str, list[str]] = dict(self._connection.execute(query("bars_uncounted")).fetchall())
        try:
            trades = _trades(folder, self._day, together)
            same = _as_stored(trades, together)
            bars = bars_of_day(trades if same else trades.slice(0, 0), uncounted, ["1m"])["1m"]
        except (OSError, pa.ArrowInvalid, OverflowError) as error:
            LOGGER.warning("bars of %s are made in the database, not from the rows staged in %s: %s", ", ".join(made), folder, error)
            return made
        return made | {name: bars.filter(pc.equal(bars["instrument"], name)) for name in same}


class MadeDay:
    """The instruments of a day whose 1-minute bars were made elsewhere, of all their trades, wherever those are."""

    def __init__(self, connection: Connection, day: date, bars: "Mapping[str, pa.Table]") -> None:
        self._connection = connection
        self._day = day
        self._bars = bars
        self._whole: dict[str, str] = {}
        self.filled = 0

    def look(self, instruments: Collection[str]) -> None:
        """Read where the tapes of some instruments, whose bars are made of trades, are whole."""
        rows = self._connection.execute(query("bars_whole"), {"day": self._day, "instruments": list(instruments)}).fetchall()
        self._whole = dict(rows)

    def has(self, instrument: str) -> bool:
        """Whether it makes the bars of an instrument."""
        return instrument in self._bars and instrument in self._whole

    def fill(self, instrument: str, from_time: datetime, to_time: datetime) -> bool:
        """Put an instrument's bars of the day into fresh_bars, if they are there."""
        if not self.has(instrument):
            return False
        _fill(self._connection, self._bars[instrument], self._whole[instrument], (from_time, to_time))
        self.filled += 1
        return True


def _fill(connection: Connection, bars: "pa.Table", whole: str, window: tuple[datetime, datetime]) -> None:
    from rrr_assets.calc.columnar import as_csv

    # vwap is divided where the bars are stored.
    bars = bars.drop_columns("vwap")
    with connection.cursor().copy(f"copy fresh_bars ({', '.join(bars.column_names)}) from stdin (format csv, header)") as copy:
        copy.write(as_csv(bars))
    connection.execute(query("bars_mark_complete"), {"whole": whole, "from_time": window[0], "to_time": window[1]})


def _trades(folder: Path, day: date, instruments: Mapping[str, _Day]) -> "pa.Table":
    """The staged rows of some instruments; none where they were dropped."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from rrr_assets.calc.columnar import NEEDED

    wanted = pa.array(sorted(instruments), pa.string())
    batches = (batch.select(NEEDED.names) for batch in rows_of(folder, day))
    masked = ((batch, pc.is_in(batch.column("instrument"), wanted)) for batch in batches)
    return pa.Table.from_batches([batch if pc.all(mask).as_py() else batch.filter(mask) for batch, mask in masked], NEEDED)


def _as_stored(trades: "pa.Table", instruments: Mapping[str, _Day]) -> list[str]:
    """The instruments of which as many trades are staged as the books have stored, between the same ids and times."""
    ends = [("sequence", "count"), ("sequence", "min"), ("sequence", "max"), ("event_time", "min"), ("event_time", "max")]
    found = trades.group_by("instrument").aggregate(ends)
    staged = {name: tuple(facts) for name, *facts in zip(*(column.to_pylist() for column in found.itercolumns()), strict=True)}
    return [
        name
        for name, day in instruments.items()
        if staged.get(name) == (day.rows, day.lowest_id, day.highest_id, day.first_time, day.last_time)
    ]


def forget_staged(database: Database, home: Home, days: Sequence[date] | None = None) -> None:
    """Drop the staged rows that nothing needs any more; the files themselves are kept.

    They are needed while a day of the file waits to be taken in, and while bars are behind on trades of its days. For bars they are
    kept for a day at most: without them, bars are made in the database.

    Args:
        database: whose books.
        home: whose landing zone.
        days: only files with rows of these days; None for all files.
    """
    with database.kept(Role.WRITER) as connection:
        values = {"days": None if days is None else list(days), "kept_for": _KEPT_FOR}
        for file_id, *identity in connection.execute(query("landing_done"), values).fetchall():
            folder = home.landing / "files" / folder_name(*identity)
            if (folder / "staged").is_dir():
                with connection.transaction():
                    # Who asks for a day of it again waits until they are gone, and then stages them again.
                    asked = connection.execute("select is_pending from landing_days where file_id = %s order by day for update", (file_id,))
                    if not any(is_pending for (is_pending,) in asked.fetchall()):
                        drop_staged(folder)
