"""Our bars, kept in step with the trades: window by window, per instrument, from the invalidation log.

Belongs here: one day's transaction of one bar table. Does not: what a bar is (calc/order says it plainly,
sql/queries/bars_from_trades.sql does it), which days are refreshed when (bars/).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from psycopg import sql
from psycopg.types.range import Range

from rrr_assets.calc.outcomes import DayRefreshed, RawTradesGone
from rrr_assets.contracts.bars import INTERVALS, Engine
from rrr_assets.contracts.information_bars import FOLLOWED
from rrr_assets.warehouse.books import Connection, draw_stamp, enter, lock_days, log_invalidations
from rrr_assets.warehouse.bulk import MadeDay, StagedDay
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.intake import statements
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.tiers import OUR_BARS, BringBack, brought_back, require_here, share, thaw

if TYPE_CHECKING:
    import pyarrow as pa

_ONE_DAY: Final = timedelta(days=1)
_MOST_WINDOWS: Final = 16
SOURCES: Final = {"1m": "raw_trades", "5m": "bars_1m", "1h": "bars_5m", "1d": "bars_1h"}
"""What each interval's bars are made from; the first from the ticks that the instrument declares, mostly trades."""

TICKS: Final = ("raw_agg_trades", "raw_trades")
"""What an instrument's bars may be made from. Of both, the log counts only for the one that it declares."""

MOST_ENTRIES: Final = 10_000
"""Entries of the log that are read of a relation, instrument and day. Where more wait, they are worked off without being read: the day
is made whole, which bounds what a storm of changes costs by what its days cost."""

ENTRY_BY_ENTRY: Final = "set local enable_seqscan = off; set local enable_bitmapscan = off"
"""Before the log is read: entries come from the index in their order, so that reading ends at the limit. Without statistics the planner
may take few for there, and would read and sort all that wait."""

VERDICTS: Final = "bar_conformance"
VERDICTS_FOLLOW: Final = (*TICKS, "venue_bars", *(f"bars_{interval}" for interval in INTERVALS))
"""The consumer of the conformance ledger, and what it follows."""

Window = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Pending:
    """Windows of one instrument and day that wait, and the last entry of each relation followed."""

    windows: tuple[Range[datetime], ...]
    last_ids: tuple[tuple[str, int], ...]


def refresh_bars(
    database: Database,
    interval: str,
    days: Sequence[date],
    *,
    whole_days: bool,
    instruments: Sequence[str] | None = None,
    home: Home | None = None,
    engine: Engine = Engine.auto,
    bring_back: BringBack | None = None,
) -> Iterator[DayRefreshed]:
    """Refresh one bar table, one transaction a day, yielding as each commits.

    Args:
        database: whose bars; entered as the writer.
        interval: '1m', '5m', '1h' or '1d'.
        days: UTC days.
        whole_days: recompute the days whole; otherwise only what the invalidation log says has changed.
        instruments: only these; None for all.
        home: in whose landing zone rows of trades may still be staged; without it, bars are made in the database.
        engine: what makes 1-minute bars of whole days, where both can.
        bring_back: brings bars back that were dropped and are to change; without it that is refused.

    Raises:
        RawTradesGone: trades that a changed bar is made from were dropped by retention; its bars stay as they are. Raised at
            the end: the other instruments of such a day are refreshed, though it is not yielded, and so are the other days.
            The first is raised, the others are its notes. What waits of them goes on waiting in the log.
        DayDropped: bars of that time are in the archive alone.
    """
    gone: list[RawTradesGone] = []
    staged_in = None if interval != "1m" or engine is Engine.sql else home
    with database.kept(Role.WRITER) as connection:
        for day in days:

            def work(day: date = day) -> tuple[DayRefreshed, list[str]]:
                with connection.transaction():
                    maker = None if staged_in is None else StagedDay(connection, staged_in, day, engine)
                    told = _refresh_day(connection, interval, day, whole_days, instruments, maker)
                    reach("bars.before_commit")
                return told

            done, dropped = brought_back(bring_back, work)
            reach("bars.after_commit")
            gone += [RawTradesGone(name, day) for name in dropped]
            if not dropped:
                yield done
    if gone:
        for another in gone[1:]:
            gone[0].add_note(str(another))
        raise gone[0]


def refresh_all(connection: Connection, day: date, instruments: Sequence[str], bars: "Mapping[str, pa.Table]") -> int:
    """Make the bars of every interval of some instruments' day, in a transaction of the caller's; returns how many were written.

    Args:
        connection: the transaction. The caller has entered the books.
        day: UTC day.
        instruments: of which all 1-minute bars are at hand.
        bars: theirs, by instrument, as `calc.columnar` makes them; none where nothing of an instrument counts.
    """
    made = MadeDay(connection, day, bars)
    changed = 0
    for interval in INTERVALS:
        done, _ = _refresh_day(connection, interval, day, True, instruments, made if interval == "1m" else None)
        changed += done.changed
    return changed


def days_behind(database: Database, most: int, settled_for: timedelta) -> dict[date, int]:
    """Days on which bars or verdicts lag behind the log, oldest first, with the number of the last entry.

    Args:
        database: whose log.
        most: at most so many days.
        settled_for: only days that did not change since so long: a run may be under way for the others.
    """
    followed = {f"bars_{interval}": sorted({source, *TICKS}) for interval, source in SOURCES.items()}
    followed |= {VERDICTS: list(VERDICTS_FOLLOW), **{consumer: list(relations) for consumer, relations in FOLLOWED.items()}}
    behind: dict[date, int] = {}
    with database.connect(Role.WRITER, autocommit=True) as connection:
        for consumer, relations in followed.items():
            values = {"consumer": consumer, "relations": relations, "most": most, "settled_for": settled_for}
            for day, last_id in connection.execute(query("refresh_days_pending"), values).fetchall():
                behind[day] = max(behind.get(day, 0), last_id)
    return dict(sorted(behind.items())[:most])


def _refresh_day(
    connection: Connection, interval: str, day: date, whole_days: bool, instruments: Sequence[str] | None, maker: StagedDay | MadeDay | None
) -> tuple[DayRefreshed, list[str]]:
    """The transaction of a day; also the instruments that were left because their trades were dropped."""
    consumer = f"bars_{interval}"
    enter(connection)
    share(connection, (*TICKS, *OUR_BARS), [day])
    names = _instruments_of(connection, day, instruments)
    lock_days(connection, consumer, names, [day])
    # Completeness is judged per interval from the coverage, which logs its changes as changes of ticks.
    relations = sorted({SOURCES[interval], *TICKS})
    upstream = [SOURCES[interval]] if SOURCES[interval] != "raw_trades" else []
    pending = read_pending(connection, consumer, relations, INTERVALS[interval], day, names, upstream)
    whole = (_midnight(day), _midnight(day) + _ONE_DAY)
    to_do = {name: [whole] for name in names} if whole_days else windows_of(pending)
    held = connection.execute(query("refresh_sources"), {"day": day, "instruments": list(to_do)}).fetchall()
    # After the log was read: what the books show from here on is no older than what is noted as applied.
    if maker is not None:
        maker.look([name for name, stream, *_ in held if stream == "trades"])
    # Longer bars are made from shorter ones, which stand, and whose completeness is told by the coverage, which stands too.
    gone = [name for name, *_, is_dropped in held if is_dropped and interval == "1m" and not (maker is not None and maker.has(name))]
    dropped = changed_since(connection, consumer, TICKS, day, gone)
    # Without ticks, and without a word of them in the log, there is nothing to look at.
    to_do |= {name: [] for name in gone if name not in pending}
    if any(to_do[name] for name, *_ in held if name not in dropped):
        thaw(connection, require_here(connection, OUR_BARS, [day]))
    changed = windows = 0
    for name, stream, space, _ in held:
        if name in dropped:
            continue
        windows += len(to_do[name])
        for moved in _refresh_instrument(connection, interval, name, stream, space, day, to_do[name], maker, has_ticks=name not in gone):
            changed += len(moved)
            log_invalidations(connection, consumer, [(name, day, moved[0], moved[-1] + timedelta(microseconds=1))], "refresh", None)
    note_applied(connection, consumer, day, {name: found for name, found in pending.items() if name not in dropped})
    reach("bars.computed")
    # By instrument, as the key is: by time alone it would be a scan of the whole table.
    count = sql.SQL("select count(*) from {} where instrument = any(%s) and bar_start >= %s and bar_start < %s")
    row = connection.execute(count.format(sql.Identifier(consumer)), (_instruments_of(connection, day, None), *whole)).fetchone()
    told = DayRefreshed(
        day=day, interval=interval, bars=row[0] if row else 0, changed=changed, windows=windows,
        windows_columnar=maker.filled if maker is not None else 0,
    )  # fmt: skip
    return told, dropped


def changed_since(connection: Connection, consumer: str, relations: Sequence[str], day: date, gone: Sequence[str]) -> list[str]:
    """Those of some instruments, of which the ticks were dropped, of which more changed than the coverage since a consumer looked."""
    if not gone:
        return []
    values = {"consumer": consumer, "day": day, "relations": list(relations), "instruments": list(gone)}
    return [name for (name,) in connection.execute(query("refresh_changed_since"), values).fetchall()]


def windows_of(pending: Mapping[str, Pending]) -> dict[str, list[Window]]:
    """What to refresh by instrument. Many windows are made one: each costs a search of the day, all of them no more than the day."""
    found: dict[str, list[Window]] = {}
    for name, waiting in pending.items():
        spans = [(span.lower, span.upper) for span in waiting.windows if span.lower and span.upper]
        found[name] = spans if len(spans) <= _MOST_WINDOWS else [(spans[0][0], spans[-1][1])]
    return found


def _instruments_of(connection: Connection, day: date, instruments: Sequence[str] | None) -> list[str]:
    rows = connection.execute(query("refresh_sources"), {"day": day, "instruments": None}).fetchall()
    return [name for name, *_ in rows if instruments is None or name in instruments]


def read_pending(
    connection: Connection,
    consumer: str,
    relations: Sequence[str],
    grid: timedelta,
    day: date,
    instruments: Sequence[str],
    upstream: Sequence[str],
) -> dict[str, Pending]:
    """What a consumer has to refresh of some instruments on one day.

    Args:
        connection: the transaction that refreshes.
        consumer: its name in the log's books.
        relations: the tables that it follows.
        grid: windows are widened to multiples of it.
        day: UTC day.
        instruments: only these.
        upstream: the consumers whose tables it is made from. It learns of changed trades when all of these show them: a verdict
            on a bar that waits for its trades, or a bar made from such bars, would be wrong until the next time.
    """
    connection.execute(ENTRY_BY_ENTRY)
    rows = connection.execute(
        query("refresh_pending"),
        {
            "grid": grid,
            "consumer": consumer,
            "relations": list(relations),
            "day": day,
            "instruments": list(instruments),
            "upstream": list(upstream),
            "most": MOST_ENTRIES,
        },
    ).fetchall()
    connection.execute("set local enable_seqscan to default; set local enable_bitmapscan to default")
    return {name: Pending(tuple(windows), tuple(zip(followed, last_ids, strict=True))) for name, windows, followed, last_ids in rows}


def note_applied(connection: Connection, consumer: str, day: date, pending: Mapping[str, Pending]) -> None:
    """Write down that a consumer reflects all that was pending."""
    entries = [(relation, name, last_id) for name, found in pending.items() for relation, last_id in found.last_ids]
    if entries:
        relations, names, last_ids = (list(column) for column in zip(*entries, strict=True))
        values = {"consumer": consumer, "day": day, "relations": relations, "instruments": names, "last_ids": last_ids}
        connection.execute(query("refresh_applied"), values)


def _refresh_instrument(
    connection: Connection, interval: str, name: str, stream: str, space: str | None, day: date, spans: Sequence[Window],
    maker: StagedDay | MadeDay | None, *, has_ticks: bool,
) -> list[list[datetime]]:  # fmt: skip
    """Recompute an instrument's windows and write what differs; by window with any, the starts of the bars that changed, in order.

    All of them have one stamp. Without ticks, bars stand as they are, but for what the coverage says of them.
    """
    if not spans:
        return []
    values = {
        "instrument": name, "interval": interval, "stream": stream, "space": space, "day": day, "grid": INTERVALS[interval],
        "source": SOURCES[interval],
    }  # fmt: skip
    bounds = [{"from_time": since, "to_time": until} for since, until in spans]
    for statement in statements("bars_make_fresh"):
        connection.execute(statement)
    for window in bounds:
        if interval != "1m":
            connection.execute(sql.SQL(query("bars_from_bars")).format(source=sql.Identifier(SOURCES[interval])), values | window)
        elif not has_ticks:
            connection.execute(query("bars_from_themselves"), values | window)
        elif maker is None or not maker.fill(name, **window):
            connection.execute(query(f"bars_from_{stream}"), values | window)
    # When all was read: what came in meanwhile is in it, and must have been known by then.
    values["known_at"] = draw_stamp(connection)
    replace = sql.SQL(query("bars_replace")).format(target=sql.Identifier(f"bars_{interval}"))
    written = [[start for (start,) in connection.execute(replace, values | window).fetchall()] for window in bounds]
    return [moved for moved in written if moved]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
