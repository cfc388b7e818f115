"""Features and the minutes of ticks that they are made from, kept in step with bars, ticks and coverage by the invalidation log.

Belongs here: one day's transaction of either table. Does not: what a feature is (calc/features), reading the archive (lake/), which days
are refreshed when (features/).

A value hangs on a stretch of minutes before its own, and so on the day before: what changes late on a day is entered in the log for the
first minutes of the next day too, where that day has anything. A day's last minute closes at midnight: its row of features belongs to the
next day's partition, which is told of it in the log as well.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

import psycopg
from psycopg import sql

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.compute import MINUTE, evaluate, look_back, minutes
from rrr_assets.calc.features.declare import BAR_INPUTS, TICK_INPUTS
from rrr_assets.calc.outcomes import DayDropped
from rrr_assets.contracts.bars import BARS
from rrr_assets.contracts.base import Table
from rrr_assets.contracts.features import FEATURE_REVISIONS_1M, FEATURES_1M, TICK_MINUTES
from rrr_assets.contracts.venues import venue_called
from rrr_assets.warehouse.books import Connection, draw_stamp, enter, lock_days, log_invalidations
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.refresh import TICKS, Window, note_applied, read_pending, windows_of
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.tiers import BringBack, brought_back, places_of, require_here, share, thaw, tiers_of

if TYPE_CHECKING:
    import polars as pl

_ONE_DAY: Final = timedelta(days=1)
_MOST_OF_BARS: Final = 36_600
_BEFORE: Final = "{}_before"
"""What the log calls a change late on a day, told to the day after it."""

FOLLOWED: Final[dict[str, tuple[str, ...]]] = {
    TICK_MINUTES.name: (*TICKS, "raw_quotes", _BEFORE.format(TICK_MINUTES.name)),
    FEATURES_1M.name: (*TICKS, "bars_1m", TICK_MINUTES.name, _BEFORE.format(FEATURES_1M.name)),
}
"""What either table follows in the invalidation log."""

_WRITTEN: Final = {TICK_MINUTES.name: (TICK_MINUTES.name,), FEATURES_1M.name: (FEATURES_1M.name, FEATURE_REVISIONS_1M.name)}
"""The tables that refreshing one writes."""

_TOUCHED: Final = (BARS["1m"].name, FEATURES_1M.name, FEATURE_REVISIONS_1M.name, TICK_MINUTES.name)
"""The tables whose partitions stay where they are meanwhile."""

UPSTREAM: Final[dict[str, tuple[str, ...]]] = {TICK_MINUTES.name: (), FEATURES_1M.name: ("bars_1m", TICK_MINUTES.name)}
"""Which consumers of the log come before it: it learns of changed ticks when all of these show them."""


@dataclass(frozen=True, slots=True)
class DayMade:
    """What refreshing one day of a table did: rows it has now, rows written or removed, windows looked at."""

    day: date
    rows: int
    changed: int
    windows: int


@dataclass(frozen=True, slots=True)
class Source:
    """What an instrument's minutes of a day are made from."""

    instrument: str
    relation: str
    space: str | None
    is_dropped: bool
    has_quotes: bool
    are_quotes_dropped: bool


class Ticks(Protocol):
    """Reads the ticks of an instrument where they are, in the columns of calc.features.ticks, prices and sizes as doubles."""

    def trades(self, source: Source, since: datetime, until: datetime) -> "pl.DataFrame":
        """Those that count in bars."""

    def quotes(self, source: Source, since: datetime, until: datetime) -> "pl.DataFrame":
        """Best bids and asks."""

    def are_deleted(self, source: Source, since: datetime, until: datetime) -> bool:
        """Whether retention left nothing of some of them."""


class Archive(Protocol):
    """Reads rows that the database holds no more."""

    def rows(self, table: Table, columns: Sequence[str], names: Sequence[str], since: datetime, until: datetime) -> "pl.DataFrame":
        """Columns of a table's rows of some instruments in [since, until), numbers as doubles."""


def days_behind(database: Database, most: int, settled_for: timedelta) -> dict[date, int]:
    """Days on which minutes of ticks or features lag behind the log, oldest first, with the number of the last entry.

    Args:
        database: whose log.
        most: at most so many days.
        settled_for: only days that did not change since so long: a run may be under way for the others.
    """
    behind: dict[date, int] = {}
    with database.connect(Role.WRITER, autocommit=True) as connection:
        for consumer, relations in FOLLOWED.items():
            values = {"consumer": consumer, "relations": list(relations), "most": most, "settled_for": settled_for}
            for day, last_id in connection.execute(query("refresh_days_pending"), values).fetchall():
                behind[day] = max(behind.get(day, 0), last_id)
    return dict(sorted(behind.items())[:most])


def days_behind_alone(database: Database, most: int, settled_for: timedelta) -> dict[date, int]:
    """As `days_behind`, without the days on which 1-minute bars lag behind: features wait for these."""
    behind = days_behind(database, most, settled_for)
    values = {"consumer": "bars_1m", "relations": list(TICKS), "most": _MOST_OF_BARS, "settled_for": timedelta(0)}
    with database.connect(Role.WRITER, autocommit=True) as connection:
        of_bars = {day for day, _ in connection.execute(query("refresh_days_pending"), values).fetchall()} if behind else set()
    return {day: last_id for day, last_id in behind.items() if day not in of_bars}


def refresh_tick_minutes(
    database: Database, days: Sequence[date], ticks: Ticks, *, whole_days: bool, instruments: Sequence[str] | None = None,
    bring_back: BringBack | None = None,
) -> Iterator[DayMade]:  # fmt: skip
    """Refresh the minutes of ticks, one transaction a day, yielding as each commits.

    Args:
        database: whose minutes; entered as the writer.
        days: UTC days.
        ticks: reads ticks, from the database or the archive.
        whole_days: recompute the days whole; otherwise only what the invalidation log says has changed.
        instruments: only these; None for all.
        bring_back: brings minutes back that were dropped and are to change; without it that is refused.

    Raises:
        DayDropped: minutes of that time are in the archive alone.
    """
    from rrr_assets.calc.features.ticks import STANDS, tick_minutes

    def make(connection: Connection, sources: Mapping[str, Source], window: Window, names: Sequence[str]) -> "pl.DataFrame":
        import polars as pl

        _, quote_tape = _tape(connection, names, window[0] - STANDS, window[1])
        made = []
        for name in names:
            source = sources[name]
            if ticks.are_deleted(source, *window) and len(kept := _stored(connection, TICK_MINUTES, [name], window)):
                # From what is left of a day it is not made again: what is known of it would be wiped out.
                made.append(kept)
                continue
            mine = quote_tape.filter(pl.col("instrument") == name)
            found = tick_minutes(
                ticks.trades(source, *window), ticks.quotes(source, window[0] - STANDS, window[1]), mine, *window,
                venue_called(name.partition(":")[0]).publication_delay,
            )  # fmt: skip
            told = found.select(pl.lit(name).alias("instrument"), pl.all())
            made.append(told.select("instrument", "bar_start", "available_at", _basis("is_observed"), "quote_count", *TICK_INPUTS))
        return pl.concat(made)

    yield from _refresh(
        database, TICK_MINUTES, days, make, whole_days=whole_days, instruments=instruments, reach_minutes=STANDS // MINUTE,
        bring_back=bring_back,
    )  # fmt: skip


def refresh_features(
    database: Database, days: Sequence[date], *, whole_days: bool, instruments: Sequence[str] | None = None,
    archive: Archive | None = None, bring_back: BringBack | None = None,
) -> Iterator[DayMade]:  # fmt: skip
    """Refresh features, one transaction a day, yielding as each commits. What was believed of a value that changes is kept.

    Args:
        database: whose features; entered as the writer.
        days: UTC days.
        whole_days: recompute the days whole; otherwise only what the invalidation log says has changed.
        instruments: only these; None for all.
        archive: reads the bars and minutes that they are made from where the database holds them no more; without it that is refused.
        bring_back: brings features back that were dropped and are to change; without it that is refused.

    Raises:
        DayDropped: features of that time are in the archive alone, or what they are made from is.
    """
    back = look_back()

    def make(connection: Connection, sources: Mapping[str, Source], window: Window, names: Sequence[str]) -> "pl.DataFrame":  # noqa: ARG001  # as of ticks
        import polars as pl

        since = window[0] - back * MINUTE
        values = {"instruments": list(names), "from_time": since, "to_time": window[1]}
        bars = frame_of(connection, sql.SQL(query("features_bars")), values, ["instrument", "bar_start", *BAR_INPUTS])
        ticks = _stored(connection, TICK_MINUTES, names, (since, window[1]))
        for away in _away(connection, (BARS["1m"], TICK_MINUTES), since, window[1]):
            if archive is None:
                raise away
            if away.relation == TICK_MINUTES.name:
                ticks = pl.concat([ticks, archive.rows(TICK_MINUTES, ticks.columns, names, since, window[1])])
            else:
                bars = pl.concat([bars, archive.rows(BARS["1m"], bars.columns, names, since, window[1])])
        tape, _ = _tape(connection, names, since, window[1])
        laid = minutes(bars, ticks, tape, names, since, window[1])
        found = evaluate(laid, since=window[0])
        usable = _usable(laid, ticks, back).filter(pl.col("bar_start") >= window[0])
        joined = found.join(usable, on=["instrument", "bar_start"], how="left", maintain_order="left").filter("is_known")
        return joined.select(
            "instrument", (pl.col("bar_start") + MINUTE).alias("event_time"), "available_at", _basis("is_observed"), *FEATURES
        )

    yield from _refresh(
        database, FEATURES_1M, days, make, whole_days=whole_days, instruments=instruments, reach_minutes=back, bring_back=bring_back
    )


def _away(connection: Connection, tables: Sequence[Table], since: datetime, until: datetime) -> list[DayDropped]:
    """One partition of each of some tables that the database does not hold in a window, where there is one."""
    days = [since.date(), (until - timedelta(microseconds=1)).date()]
    found = {}
    for tier in tiers_of(connection, places_of([table.name for table in tables], days)):
        if tier.tier != "warm":
            found[tier.relation] = DayDropped(tier.relation, tier.partition, is_deleted=tier.tier == "deleted")
    return list(found.values())


def _usable(laid: "pl.DataFrame", ticks: "pl.DataFrame", back: int) -> "pl.DataFrame":
    """When the values of each minute could be used: the latest of all minutes that are looked back at, and whether that was observed."""
    import polars as pl

    delays = {name: venue_called(name.partition(":")[0]).publication_delay for name in laid["instrument"].unique().to_list()}
    modelled = pl.col("bar_start") + MINUTE + pl.col("instrument").replace_strict(delays, return_dtype=pl.Duration("us"))
    # The last bit says whether it is modelled, so that the latest moment brings its own basis.
    moment = pl.col("available_at").dt.epoch("us") * 2 + (pl.col("available_basis") == "modelled").cast(pl.Int64)
    told = laid.select("instrument", "bar_start").join(
        ticks.select("instrument", "bar_start", "available_at", "available_basis"),
        on=["instrument", "bar_start"],
        how="left",
        maintain_order="left",
    )
    latest = moment.fill_null(modelled.dt.epoch("us") * 2 + 1).rolling_max(back + 1, min_samples=1)
    return told.with_columns(latest.alias("_latest")).select(
        "instrument", "bar_start",
        pl.from_epoch(pl.col("_latest") // 2, time_unit="us").dt.replace_time_zone("UTC").alias("available_at"),
        (pl.col("_latest") % 2 == 0).alias("is_observed"),
    )  # fmt: skip


class _Make(Protocol):
    def __call__(self, connection: Connection, sources: Mapping[str, Source], window: Window, names: Sequence[str]) -> "pl.DataFrame": ...


def _refresh(
    database: Database, table: Table, days: Sequence[date], make: _Make, *, whole_days: bool, instruments: Sequence[str] | None,
    reach_minutes: int, bring_back: BringBack | None,
) -> Iterator[DayMade]:  # fmt: skip
    """Refresh a table day by day; a change of what a row is made from reaches so many minutes on."""
    with database.kept(Role.WRITER) as connection:
        for day in days:

            def work(day: date = day) -> DayMade:
                with connection.transaction():
                    done = _refresh_day(connection, table, day, make, whole_days, instruments, reach_minutes)
                    reach("features.before_commit")
                return done

            done = brought_back(bring_back, work)
            reach("features.after_commit")
            yield done


def _refresh_day(
    connection: Connection, table: Table, day: date, make: _Make, whole_days: bool, instruments: Sequence[str] | None, reach_minutes: int
) -> DayMade:
    import polars as pl

    enter(connection)
    share(connection, _TOUCHED, [day - _ONE_DAY, day, day + _ONE_DAY])
    rows = connection.execute(query("features_sources"), {"day": day, "instruments": instruments}).fetchall()
    sources = {row[0]: Source(*row) for row in rows}
    names = list(sources)
    lock_days(connection, table.name, names, [day])
    pending = read_pending(connection, table.name, FOLLOWED[table.name], MINUTE, day, names, UPSTREAM[table.name])
    whole = (_midnight(day), _midnight(day) + _ONE_DAY)
    waiting = windows_of(pending)
    to_do: dict[Window, list[str]] = {whole: names} if whole_days and names else {}
    for name, windows in ({} if whole_days else waiting).items():
        for since, until in windows:
            reached = (since, min(until + reach_minutes * MINUTE, whole[1]))
            to_do.setdefault(reached, []).append(name)
    # A row is of the minute that ends at a feature's time.
    shift = MINUTE if table.time_column == "event_time" else timedelta(0)
    if to_do:
        is_next = any(until + shift > whole[1] for _, until in to_do)
        thaw(connection, require_here(connection, _WRITTEN[table.name], [day, day + _ONE_DAY] if is_next else [day]))
    made = [(window, mine, make(connection, sources, window, mine)) for window, mine in to_do.items()]
    # When all was read: what came in meanwhile is in it, and must have been known by then.
    known_at = draw_stamp(connection)
    changed = 0
    for window, mine, found in made:
        moved = _replace(connection, table, found, mine, window, known_at)
        changed += len(moved)
        spans = moved.group_by("instrument").agg(pl.col("at").min().alias("first"), pl.col("at").max().alias("last")).sort("instrument")
        told = [(name, day, first - shift, last - shift + MINUTE) for name, first, last in spans.iter_rows()]
        told += [(name, day + _ONE_DAY, last, last + MINUTE) for name, _, last in spans.iter_rows() if last >= whole[1]]
        log_invalidations(connection, table.name, told, "refresh", None)
    _tell_next_day(connection, _BEFORE.format(table.name), day, waiting, whole[1], reach_minutes)
    note_applied(connection, table.name, day, pending)
    reach("features.computed")
    count = sql.SQL("select count(*) from {} where instrument = any(%s) and {time} >= %s and {time} < %s").format(
        sql.Identifier(table.name), time=sql.Identifier(table.time_column or "")
    )
    ((held,),) = connection.execute(count, (names, whole[0] + shift, whole[1] + shift)).fetchall()
    return DayMade(day, held, changed, sum(len(mine) for mine in to_do.values()))


def _tell_next_day(
    connection: Connection, relation: str, day: date, waiting: Mapping[str, Sequence[Window]], midnight: datetime, reach_minutes: int
) -> None:
    """Enter in the log what of the next day hangs on what changed, where that day has anything: it looks back itself when it comes."""
    reached = {
        name: max(until for _, until in windows) + reach_minutes * MINUTE
        for name, windows in waiting.items()
        if max(until for _, until in windows) + reach_minutes * MINUTE > midnight
    }
    if reached:
        next_day = day + _ONE_DAY
        rows = connection.execute(query("features_sources"), {"day": next_day, "instruments": list(reached)}).fetchall()
        log_invalidations(connection, relation, [(row[0], next_day, midnight, reached[row[0]]) for row in rows], "refresh", None)


def _replace(
    connection: Connection, table: Table, made: "pl.DataFrame", names: Sequence[str], window: Window, known_at: datetime
) -> "pl.DataFrame":
    """Write what differs from what is stored, to the bit, and keep what was believed; returns `instrument` and `at` of what changed."""
    import polars as pl

    from rrr_assets.warehouse.intake import copy_batches

    time = table.time_column or ""
    shift = MINUTE if time == "event_time" else timedelta(0)
    key = ["instrument", time]
    values = [name for name in table.column_names if name not in {*key, "known_at"}]
    stored = _stored(connection, table, names, (window[0] + shift, window[1] + shift))
    if len(stored):
        both = made.join(stored, on=key, how="full", suffix="_stored", coalesce=True)
        is_new, is_gone = pl.col("available_at_stored").is_null(), pl.col("available_at").is_null()
        # Two nulls are equal; a value and none are not.
        differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_stored")) for name in values)
        moved = both.filter(is_new | is_gone | differs)
        replaced = moved.filter(~is_new)
        if len(replaced):
            keys = {"instruments": replaced["instrument"].to_list(), "times": replaced[time].to_list(), "known_at": known_at}
            if table is FEATURES_1M:
                columns = sql.SQL(", ").join(map(sql.Identifier, FEATURES_1M.column_names))
                connection.execute(sql.SQL(query("features_keep")).format(columns=columns), keys)
            parts = {"table": sql.Identifier(table.name), "time": sql.Identifier(time)}
            connection.execute(sql.SQL(query("features_remove")).format(**parts), keys)
        written = moved.filter(~is_gone).select(*key, *values)
    else:
        moved = written = made.select(*key, *values)
    if len(written):
        rows = written.with_columns(pl.lit(known_at).cast(pl.Datetime("us", "UTC")).alias("known_at")).select(table.column_names)
        copy_batches(
            connection, table.name, table.column_names, rows.to_arrow().cast(_copied_schema(table)).to_batches(max_chunksize=16_384)
        )
    return moved.select("instrument", pl.col(time).alias("at"))


def _copied_schema(table: Table) -> Any:
    import pyarrow as pa

    return pa.schema([pa.field(name, kind) for name, kind in zip(table.column_names, table.arrow_schema().types, strict=True)])


def _stored(connection: Connection, table: Table, names: Sequence[str], window: Window) -> "pl.DataFrame":
    """Rows as they are stored, but for known_at."""
    columns = [name for name in table.column_names if name != "known_at"]
    parts = {
        "columns": sql.SQL(", ").join(map(sql.Identifier, columns)), "table": sql.Identifier(table.name),
        "time": sql.Identifier(table.time_column or ""),
    }  # fmt: skip
    values = {"instruments": list(names), "from_time": window[0], "to_time": window[1]}
    return frame_of(connection, sql.SQL(query("features_stored")).format(**parts), values, columns)


def _tape(connection: Connection, names: Sequence[str], since: datetime, until: datetime) -> "tuple[pl.DataFrame, pl.DataFrame]":
    """The stretches in which nothing is missing: of the ticks that bars are made of, and of quotes."""
    import polars as pl

    last = (until - timedelta(microseconds=1)).date()
    values = {"instruments": list(names), "first_day": since.date(), "last_day": last}
    time = pl.Datetime("us", "UTC")
    schema: dict[str, Any] = {"instrument": pl.String, "is_quotes": pl.Boolean, "from_time": time, "to_time": time}
    rows = connection.execute(query("features_tape"), values).fetchall()
    found = pl.DataFrame(rows, schema=schema, orient="row")
    return found.filter(~pl.col("is_quotes")).drop("is_quotes"), found.filter("is_quotes").drop("is_quotes")


def frame_of(
    connection: Connection, statement: sql.SQL | sql.Composed, values: Mapping[str, object], columns: Sequence[str]
) -> "pl.DataFrame":
    """The rows of a statement: names, times and flags as they are, every number as a double."""
    import polars as pl
    import pyarrow as pa

    from rrr_assets.contracts.parsed import UTC_MICROSECONDS
    from rrr_assets.warehouse.arrow import copied

    known = {"instrument": pa.string(), "available_basis": pa.string(), "is_observed": pa.bool_(), "quote_count": pa.int64()}
    known |= dict.fromkeys(("bar_start", "event_time", "available_at", "known_at"), UTC_MICROSECONDS)
    types = {name: known.get(name, pa.float64()) for name in columns}
    bound = psycopg.ClientCursor(connection).mogrify(statement, values).strip().removesuffix(";")
    copy = sql.SQL("copy ({}) to stdout (format csv, header)").format(sql.SQL(bound))
    return pl.DataFrame(pa.concat_tables(copied(connection, copy, types)))


def _basis(is_observed: str) -> "pl.Expr":
    import polars as pl

    return pl.when(is_observed).then(pl.lit("observed")).otherwise(pl.lit("modelled")).alias("available_basis")


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
