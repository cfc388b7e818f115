"""Looking at a day by the detectors: what no single row shows, from the ticks, the bars and the books of that day.

Belongs here: running their queries, and putting what they find into the words of `quality_findings`. Does not: the rules that follow from
contracts (inspection), the statistics (calc/quality_bars), settling and running (quality/).
What the detectors of ticks need is gathered in one pass over each table, ten seconds of an instrument in a row (`quality_gather_*`); each
detector then is a query of its own over these (`quality_find_*`). A day of which nothing is held gives nothing.
Detectors look at a whole day of an instrument: what is improbable only its numbers say, and what lasts is one finding. Where only a
part of it changed, it is first asked at a glance (`quality_screen_*`) of which instruments that part, and what lies beside, may hold
anything; the others are done with.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from psycopg import sql
from psycopg.types.json import Jsonb

from rrr_assets.warehouse.books import Connection
from rrr_assets.warehouse.quality_findings import PAGE, WARN, Anomaly, Found, severity_of
from rrr_assets.warehouse.sqlfiles import query

if TYPE_CHECKING:
    from rrr_assets.calc.quality_config import QualitySettings

ORDER_SECONDS: Final = 1.0
"""A longer step back along the ids pages: venues stamp two trades of one millisecond in either order."""

ORDER_ROWS: Final = 100
"""More steps back than that page too, however short they are."""

MOST_EPISODES: Final = 50
"""Stretches of one rule, instrument and day that are told one by one; more are told as one."""

FEW_ROWS: Final = 2_000
"""Rows of a day up to which an instrument is looked at whole, whatever changed: beside a row there may be none for hours."""

WIDE: Final = timedelta(hours=6)
"""From what width of a change on the instrument is looked at whole: a glance would cost as much."""

TICK_RELATIONS: Final = ("raw_trades", "raw_agg_trades", "raw_quotes")

_GRID: Final = timedelta(minutes=10)
_TICK: Final = timedelta(microseconds=1)
_ONE_DAY: Final = timedelta(days=1)
_SPACINGS: Final = 120
"""Bars before a day by whose spacing its first silence is judged."""

_LOOK_BACK: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class DayLook:
    """One UTC day, and the instruments that are looked at (None: all of which something is held)."""

    day: date
    instruments: tuple[str, ...] | None = None

    @property
    def since(self) -> datetime:
        """Its begin, in UTC."""
        return datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC)

    @property
    def until(self) -> datetime:
        """Its end, excluded, in UTC."""
        return self.since + _ONE_DAY

    @property
    def values(self) -> dict[str, Any]:
        """As the queries take it."""
        names = None if self.instruments is None else list(self.instruments)
        return {"day": self.day, "from_time": self.since, "to_time": self.until, "instruments": names}


Detector = Callable[[Connection, DayLook], list[Found]]
Window = tuple[datetime, datetime]


def order(connection: Connection, look: DayLook) -> list[Found]:
    """Times that step back along the ids of the venue: they page beyond `ORDER_SECONDS` or `ORDER_ROWS`, and warn below."""
    found = []
    for relation in TICK_RELATIONS:
        rows = connection.execute(_of_stream("quality_find_order", relation), look.values).fetchall()
        for name, since, last, broken, longest in rows:
            severity = PAGE if longest > ORDER_SECONDS or broken > ORDER_ROWS else WARN
            detail = {"longest_step_seconds": longest}
            found.append(_found("order", relation, name, look, since, last, broken, broken, detail=detail, severity=severity))
    return found


def books(connection: Connection, look: DayLook) -> list[Found]:
    """Quotes whose bid is above the ask (crossed), or equals it (locked), in stretches."""
    return [
        _found(rule, "raw_quotes", name, look, since, last, broken, examined, detail={"worst_bps": worst})
        for rule, name, since, last, broken, examined, worst in _rows(connection, "quality_find_books", look)
    ]


def frozen_feed(connection: Connection, look: DayLook) -> list[Found]:
    """Streams that say the same for `frozen_seconds` while messages go on, or for a twentieth of it where they hardly ever repeat.

    A stretch counts only where chance hardly makes one: the rows of a day times the share of rows that repeat the one before them, to
    the power of the stretch's length, is below one in a thousand million.
    """
    return [
        _found("frozen_feed", relation, name, look, since, last, broken, examined, detail={"seconds": seconds, "usual_share": usual})
        for relation, name, since, last, broken, examined, seconds, usual in _rows(connection, "quality_find_frozen", look)
    ]


def repeated_blocks(connection: Connection, look: DayLook) -> list[Found]:
    """Blocks of rows without ids that were delivered twice: one here and there is two trades, a whole stretch of them is no chance."""
    return [
        _found("duplicate", relation, name, look, since, last, broken, examined, detail={"moments": moments, "usual_share": usual})
        for relation, name, since, last, broken, examined, moments, usual in _rows(connection, "quality_find_repeated", look)
    ]


def late(connection: Connection, look: DayLook) -> list[Found]:
    """Rows that were received more than `late_seconds` after their event."""
    return [
        _found("late", relation, name, look, since, last, broken, examined, detail={"longest_lag_seconds": longest})
        for relation, name, since, last, broken, examined, longest in _rows(connection, "quality_find_late", look)
    ]


def clock_skew(connection: Connection, look: DayLook) -> list[Found]:
    """Stretches in which every row is received at another lag than is usual that day, by more than `clock_skew_seconds`.

    A day on which events lie after their receiving by more than that is held against no lag at all: one of the two clocks is wrong.
    """
    return [
        _found("clock_skew", relation, name, look, since, last, broken, examined, detail={"usual_lag_seconds": usual, "lag_seconds": lag})
        for relation, name, since, last, broken, examined, usual, lag in _rows(connection, "quality_find_clock_skew", look)
    ]


def outside_quote(connection: Connection, look: DayLook) -> list[Found]:
    """Trades more than `outside_quote_bps` outside every quote that stood around them, none of them older than a minute."""
    return [
        _found("outside_quote", relation, name, look, since, last, broken, broken, tuple(examples), {"worst_bps": worst})
        for relation, name, since, last, broken, worst, examples in _rows(connection, "quality_find_outside_quote", look)
    ]


def of_bars(connection: Connection, look: DayLook) -> list[Found]:
    """Bars that no rule of the venue explains, and bars that are not complete, per instrument."""
    return [
        _found(rule, relation, name, look, since, until - _TICK, broken, examined, tuple(examples or ()))
        for rule, relation, name, since, until, broken, examined, examples in _rows(connection, "quality_find_of_bars", look)
    ]


def quarantined(connection: Connection, look: DayLook) -> list[Found]:
    """Rows that wait in quarantine, per stream and instrument."""
    return [
        _found("quarantine", relation, name, look, None, None, broken, examined, tuple(examples))
        for relation, name, _, _, broken, examined, examples in _rows(connection, "quality_find_quarantined", look)
    ]


def lone_prints(connection: Connection, look: DayLook) -> list[Anomaly]:
    """Trades at a price that stands alone: a hundredth or more, and five times `return_z` deviations, beyond what is traded beside them."""
    return [
        Anomaly("return_z", relation, name, since, last + _TICK, price, expected, score, threshold, detail={"log_return": apart})
        for relation, name, since, last, price, expected, apart, score, threshold in _rows(connection, "quality_find_prints", look)
    ]


def unlikely_minutes(
    connection: Connection, look: DayLook, settings: "QualitySettings", judged_from: datetime | None = None
) -> list[Anomaly]:
    """1-minute bars whose price, return or volume is unlikely; see `calc.quality_bars`. Only those that start at `judged_from` or later."""
    import numpy as np

    from rrr_assets.calc.quality_bars import unlikely_bars

    names = look.instruments
    longest = max((settings.thresholds_of(name).window_minutes for name in names or ()), default=60)
    judged_from = judged_from or look.since
    # A bar that has none just before it counts as no return: as many again are read, so that a window of returns is full.
    read_from = max(look.since, judged_from - timedelta(minutes=2 * longest))
    values = look.values | {"from_time": read_from, "since": look.since - _LOOK_BACK, "most": longest + 1}
    found = []
    first_minute = -(-int(judged_from.timestamp()) // 60)
    for name, rows in groupby(connection.execute(query("quality_bars"), values).fetchall(), key=lambda row: str(row[0])):
        _, minutes, high, low, close, volume, decimals = zip(*rows, strict=True)
        at = np.array(minutes, np.int64)
        prices = (np.array(high, np.float64), np.array(low, np.float64), np.array(close, np.float64))
        volumes = np.array(volume, np.float64)
        first = int(np.searchsorted(at, first_minute))
        for each in unlikely_bars(at, prices, volumes, 10.0 ** -max(decimals), settings.thresholds_of(name), first):
            start = datetime.fromtimestamp(int(at[each.place]) * 60, UTC)
            found.append(
                Anomaly(
                    each.rule, "bars_1m", name, start, start + timedelta(minutes=1), each.value, each.expected, each.score, each.threshold
                )
            )
    return found


def silent_stretches(connection: Connection, look: DayLook, settings: "QualitySettings") -> list[Anomaly]:
    """Stretches of the day without a 1-minute bar that are improbable; one that began before the day begins with it here."""
    import numpy as np

    from rrr_assets.calc.quality_bars import silent_stretches

    values = look.values | {"from_time": look.since, "since": look.since - _LOOK_BACK, "most": _SPACINGS}
    midnight = int(look.since.timestamp()) // 60
    found = []
    for name, rows in groupby(connection.execute(query("quality_bars"), values).fetchall(), key=lambda row: str(row[0])):
        minutes = np.array([row[1] for row in rows], np.int64)
        first = int(np.searchsorted(minutes, midnight))
        for each in silent_stretches(minutes, settings.thresholds_of(name).gap_seconds, first):
            begun = max(int(minutes[each.place - 1]) + 1, midnight)
            since, until = (datetime.fromtimestamp(minute * 60, UTC) for minute in (begun, int(minutes[each.place])))
            if since < until:
                found.append(Anomaly(each.rule, "bars_1m", name, since, until, each.value, each.expected, each.score, each.threshold))
    return found


OF_TICKS: Final[dict[str, tuple[Detector, tuple[str, ...]]]] = {
    "order": (order, ("order",)),
    "books": (books, ("crossed_book", "locked_book")),
    "frozen_feed": (frozen_feed, ("frozen_feed",)),
    "repeated_blocks": (repeated_blocks, ("duplicate",)),
    "late": (late, ("late",)),
    "clock_skew": (clock_skew, ("clock_skew",)),
    "outside_quote": (outside_quote, ("outside_quote",)),
}
"""By name: a detector of ticks, and the rules that it speaks for. They read what was gathered, and the tables of ticks."""

OF_BOOKS: Final[dict[str, tuple[Detector, tuple[str, ...]]]] = {
    "bars": (of_bars, ("unexplained_bar", "incomplete_bars")),
    "quarantined": (quarantined, ("quarantine",)),
}
"""By name: a detector that reads bars, verdicts and books, and the rules that it speaks for."""


def held_instruments(connection: Connection, look: DayLook) -> tuple[str, ...]:
    """Those of the look of which anything is held."""
    names = [name for (name,) in connection.execute(query("quality_instruments"), look.values).fetchall()]
    return tuple(name for name in names if look.instruments is None or name in look.instruments)


def prepare(connection: Connection, look: DayLook, settings: "QualitySettings", windows: Mapping[str, Window] | None = None) -> None:
    """Make the temporary tables of a look, which go with the transaction, and note its thresholds.

    Args:
        connection: inside a transaction.
        look: names its instruments.
        settings: the thresholds.
        windows: what is looked at of each instrument; without it the day.
    """
    thresholds = []
    for name in look.instruments or ():
        since, until = (look.since, look.until) if windows is None else windows[name]
        times = {"from_time": since.isoformat(), "to_time": until.isoformat()}
        thresholds.append({"instrument": name, **times, **settings.thresholds_of(name).model_dump()})
    connection.execute(query("quality_make_buckets"))
    connection.execute(query("quality_gather_thresholds"), {"thresholds": Jsonb(thresholds)})
    # Tables without statistics are taken for small, and joined row by row, for minutes.
    connection.execute("set local enable_nestloop = off")
    connection.execute("set local work_mem = '128MB'")


def to_look_at(connection: Connection, look: DayLook, settings: "QualitySettings", changed: Mapping[str, Window | None]) -> tuple[str, ...]:
    """The instruments of which the detectors of ticks have to look at the day, where only some times of it changed.

    Args:
        connection: inside a transaction, in which temporary tables are made.
        look: the day.
        settings: how far beside a change something may still be part of it.
        changed: between which times ticks of an instrument changed; None where that is not known.
    """
    if not changed:
        return ()
    rules = sorted({rule for _, spoken in OF_TICKS.values() for rule in spoken})
    asked = {"instruments": sorted(changed), "rules": rules, "relations": list(TICK_RELATIONS), "few": FEW_ROWS}
    whole = {name for (name,) in connection.execute(query("quality_screen_known"), look.values | asked).fetchall()}
    windows = {}
    for name, window in sorted(changed.items()):
        if window is None or window[1] - window[0] >= WIDE:
            whole.add(name)
        elif name not in whole:
            windows[name] = _beside(look, window, timedelta(seconds=settings.thresholds_of(name).frozen_seconds))
    if windows:
        times = {"from_time": min(since for since, _ in windows.values()), "to_time": max(until for _, until in windows.values())}
        values = look.values | times | {"instruments": list(windows), "day_start": look.since, "day_end": look.until}
        prepare(connection, DayLook(look.day, tuple(windows)), settings, windows)
        for gather in ("quality_gather_trades", "quality_gather_quotes"):
            connection.execute(query(gather), values)
        for screen in ("quality_screen_buckets", "quality_screen_repeated"):
            whole |= {name for (name,) in connection.execute(query(screen), values).fetchall()}
        for relation in TICK_RELATIONS:
            whole |= {name for (name,) in connection.execute(_of_stream("quality_screen_order", relation), values).fetchall()}
        whole |= {name for _, name, *_ in connection.execute(query("quality_find_outside_quote"), values).fetchall()}
    return tuple(sorted(whole))


def _beside(look: DayLook, window: Window, longest: timedelta) -> Window:
    """What is asked at a glance: the change, and on both sides what may be one with it."""
    back = max(_GRID, -(-longest // _GRID) * _GRID)
    since = look.since + (window[0] - look.since) // _GRID * _GRID - back
    until = look.since - (look.since - window[1]) // _GRID * _GRID + back
    return max(since, look.since), min(until, look.until)


def gather_trades(connection: Connection, look: DayLook) -> None:
    """Gather the trades and aggregated trades of a look."""
    connection.execute(query("quality_gather_trades"), look.values)


def gather_quotes(connection: Connection, look: DayLook) -> None:
    """Gather the quotes of a look."""
    connection.execute(query("quality_gather_quotes"), look.values)
    connection.execute("analyze quality_tick_buckets")


def _of_stream(name: str, relation: str) -> sql.Composed:
    return sql.SQL(query(name)).format(table=sql.Identifier(relation))


def _rows(connection: Connection, name: str, look: DayLook) -> Sequence[tuple[Any, ...]]:
    return connection.execute(query(name), look.values).fetchall()


def _found(
    rule: str, relation: str, instrument: str | None, look: DayLook, since: datetime | None, last: datetime | None, broken: int,
    examined: int, examples: tuple[str, ...] = (), detail: dict[str, Any] | None = None, severity: str | None = None,
) -> Found:  # fmt: skip
    until = None if last is None else last + _TICK
    return Found(rule, severity or severity_of(rule), relation, instrument, look.day, since, until, broken, examined, examples, detail)


def folded(found: Sequence[Found]) -> list[Found]:
    """The same, with more than `MOST_EPISODES` stretches of one rule and instrument told as one."""
    kept: list[Found] = []
    for _, same in groupby(sorted(found, key=_place), key=lambda each: _place(each)[:3]):
        stretches = list(same)
        if len(stretches) <= MOST_EPISODES:
            kept += stretches
            continue
        first = stretches[0]
        broken = sum(each.broken for each in stretches)
        whole = replace(
            first,
            severity=PAGE if any(each.severity == PAGE for each in stretches) else WARN,
            to_time=max((each.to_time for each in stretches if each.to_time is not None), default=None),
            broken=broken,
            examined=max(broken, *(each.examined for each in stretches)),
            detail={**(first.detail or {}), "stretches": len(stretches)},
        )
        kept.append(whole)
    return kept


def _place(each: Found) -> tuple[str, str, str, str]:
    return (each.rule, each.relation, each.instrument or "", each.from_time.isoformat() if each.from_time else "")
