"""Injections: many defects, each at a place of its own, with what must come of it: the truth that detectors are measured by.

Belongs here: the kinds, choosing places by the seed, doing it to what happened (calm) or to what was delivered (feeds), the record. Does
not: looking for what was injected (truth). A day has six slots of four hours, and an instrument's slot takes one injection, which
begins an hour into it and ends half an hour before its end: what looks back over an hour sees a quiet one.

`severity` says what a correct platform does: page (a hard defect), warn (a finding or anomaly that does not page), absorb (nothing is
wrong afterwards, the books say how), or leave (it is no defect, and nothing may page).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np

from rrr_assets.simulator import calm
from rrr_assets.simulator.calm import Moments
from rrr_assets.simulator.feeds import Feed
from rrr_assets.simulator.markets import Market, generator
from rrr_assets.simulator.tape import MINUTE_US, MINUTES, Integers, midnight_us

Severity = Literal["page", "warn", "absorb", "leave"]

SLOT_MINUTES: Final = 240
SLOTS: Final = MINUTES // SLOT_MINUTES
DEAD_ROWS: Final = 40
_LEAD_MINUTES: Final = 60
_TAIL_MINUTES: Final = 30
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_US: Final = 1_000_000
_ACTIVITY: Final = (2, 3, 5, 8)
_SPREADS: Final = (2, 3, 5, 10)
TRADES: Final = ("trades",)
QUOTES: Final = ("quotes",)


@dataclass(frozen=True, slots=True)
class InjectedKind:
    """A kind of injection. `minutes` bounds how long it lasts, or `rows` how many rows it takes."""

    severity: Severity
    expected: str
    minutes: tuple[int, int] | None = None
    rows: tuple[int, int] | None = None
    is_seasonal: bool = False


INJECTED: Final = MappingProxyType(
    {
        "file-missing": InjectedKind("page", "a gap over this day: its file of trades never came"),
        "gap": InjectedKind("page", "a gap with exactly these ids", rows=(1, 40)),
        "late": InjectedKind("page", "a gap with exactly these ids, healed once the late file is read", rows=(1, 40)),
        "dead": InjectedKind("page", "a missing interval: the feed, which has no ids, brought nothing", minutes=(15, 60)),
        "block-duplicate": InjectedKind("page", "these rows are there twice: found as duplicates, for no id tells", rows=(10, 40)),
        "frozen": InjectedKind("page", "a frozen feed: messages go on and all say the same", minutes=(15, 60)),
        "crossed": InjectedKind("page", "a crossed book: the bid above the ask", rows=(1, 60)),
        "disorder": InjectedKind("page", "times that step back where ids rise", rows=(1, 30)),
        "kline-missing": InjectedKind("page", "our bar of this minute has no candle beside it: unexplained", minutes=(1, 1)),
        "locked": InjectedKind("warn", "a locked book: the bid equals the ask", rows=(1, 60)),
        "clock-skew": InjectedKind("warn", "clock skew: received by a clock that is wrong by seconds", minutes=(5, 60)),
        "late-rows": InjectedKind("warn", "late rows: received minutes after they happened", rows=(1, 20)),
        "spike-price": InjectedKind("warn", "an anomaly: prices of one minute far from those around it", minutes=(1, 1)),
        "spike-volume": InjectedKind("warn", "an anomaly: the volume of one minute many times the usual", minutes=(1, 1)),
        "duplicate": InjectedKind("page", "the repeated lines are found as duplicates, and every trade is held once", rows=(5, 40)),
        "bad-rows": InjectedKind("absorb", "garbage lines in quarantine; no trade missing", rows=(3, 9)),
        "outage": InjectedKind("leave", "no gap, for no id is missing: nobody traded", minutes=(20, 60)),
        "activity-burst": InjectedKind(
            "warn", "a seasonal anomaly: far more happens than usual at this hour", minutes=(30, 60), is_seasonal=True
        ),
        "activity-drop": InjectedKind(
            "warn", "a seasonal anomaly: far less happens than usual at this hour", minutes=(45, 60), is_seasonal=True
        ),
        "wide-spread": InjectedKind(
            "warn", "a seasonal anomaly: the spread is far wider than usual at this hour", minutes=(30, 60), is_seasonal=True
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Injection:
    """One injection as it was made.

    `streams` are those it is in. `since` and `until` (UTC, half open) bound its rows as they happened, or its minutes. `ids` are ranges
    with both ends inside; `rows` counts the rows concerned, in `streams` together. `size` is how far it goes in the kind's unit: seconds
    for clock-skew, late-rows and disorder, a share for spike-price, a factor for the others that have one. `other_file` is one that is
    held back.
    """

    number: int
    kind: str
    severity: Severity
    instrument: str
    streams: tuple[str, ...]
    day: date
    since: datetime
    until: datetime
    expected: str
    rows: int = 0
    ids: tuple[tuple[int, int], ...] = ()
    size: float | None = None
    other_file: str | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an injection goes. `since_us` and `until_us` are of its slot, less its margins; `minutes` and `rows` its length."""

    number: int
    kind: str
    instrument: str
    streams: tuple[str, ...]
    day: date
    since_us: int
    until_us: int
    minutes: int
    rows: int
    seed: int

    def rng(self, what: str = "") -> np.random.Generator:
        """Chance of its own, by its place: whatever else is injected."""
        return generator(self.seed, self.instrument, self.day.toordinal(), self.kind, self.since_us // MINUTE_US, what)

    def made(self, since_us: int, until_us: int, **details: Any) -> Injection:
        """The record of it."""
        kind = INJECTED[self.kind]
        since, until = (EPOCH + timedelta(microseconds=each) for each in (since_us, until_us))
        return Injection(
            self.number, self.kind, kind.severity, self.instrument, self.streams, self.day, since, until, kind.expected, **details
        )


def streams_of(kind: str, market: Market, *, has_quotes: bool) -> tuple[tuple[str, ...], ...]:
    """In which streams of a market a kind can be; one of these is chosen, none means that it cannot be there at all."""
    trades, quotes = (TRADES,), (QUOTES,) if has_quotes and market.is_recorded else ()
    by_kind: Mapping[str, tuple[tuple[str, ...], ...]] = {
        "gap": trades if market.has_ids else (),
        "late": trades if market.has_ids else (),
        "duplicate": trades if market.has_ids else (),
        # Where nobody numbers trades, an outage and a dead feed are one and the same to whoever looks at the file.
        "outage": trades if market.has_ids else (),
        "disorder": trades if market.has_ids and market.is_recorded else (),
        "dead": quotes if market.has_ids else (*trades, *quotes),
        "block-duplicate": (quotes if market.has_ids else (*trades, *quotes)) if market.is_recorded else (),
        "frozen": (*trades, *quotes) if market.is_recorded else (),
        "late-rows": (*trades, *quotes) if market.is_recorded else (),
        "clock-skew": ((*TRADES, *(QUOTES if quotes else ())),) if market.is_recorded else (),
        "crossed": quotes,
        "locked": quotes,
        "wide-spread": quotes,
        "kline-missing": trades if market.has_candles else (),
        "activity-burst": ((*TRADES, *(QUOTES if quotes else ())),),
        "activity-drop": ((*TRADES, *(QUOTES if quotes else ())),),
    }
    return by_kind.get(kind, trades)


def checked_kinds(names: Sequence[str] | None, *, is_seasonal: bool) -> tuple[str, ...]:
    """The kinds named, each once, in the order of `INJECTED`; None: those that thresholds find, or with `is_seasonal` those that need
    history. ValueError where a name is none.
    """
    if names is None:
        return tuple(name for name, kind in INJECTED.items() if kind.is_seasonal == is_seasonal)
    unknown = [name for name in names if name not in INJECTED]
    if unknown:
        raise ValueError(f"no such injection: {', '.join(unknown)}; there are {', '.join(INJECTED)}")
    return tuple(kind for kind in INJECTED if kind in names)


def place_injections(
    kinds: Sequence[str], number: int, days: Sequence[date], markets: Sequence[Market], seed: int, *, has_quotes: bool
) -> list[Placed]:
    """Choose `number` places, each kind as often as the others, no two in one slot of an instrument.

    A missing file takes the whole day of its instrument, between two days that have theirs; there is one in ten instruments and days at
    most, and at least one, so that there is room for the others.

    Raises:
        ValueError: there is no room, or no instrument for a kind.
    """
    able = {kind: [(each, options) for each in markets if (options := streams_of(kind, each, has_quotes=has_quotes))] for kind in kinds}
    homeless = [kind for kind, choices in able.items() if not choices]
    if number and homeless:
        raise ValueError(
            f"no instrument can carry {', '.join(homeless)}: coinbase and bybit have quotes with --quotes, binance has candles"
        )
    rng = generator(seed, "injections")
    free = {(each.instrument, day): set(range(SLOTS)) for each in markets for day in days}
    placed: list[Placed] = []
    wanted = _wanted(kinds, number, max(len(markets) * (len(days) - 2) // 10, 1) if len(days) > 2 else 0)
    # What few instruments can carry is placed while there is room on them.
    for kind in sorted(wanted, key=lambda one: (one != "file-missing", len(able[one]))):
        is_whole = kind == "file-missing"
        cells = [
            (market, options, day, slot)
            for market, options in able[kind]
            for day in (days[1:-1] if is_whole else days)
            for slot in _free_slots(free[market.instrument, day], is_whole=is_whole)
        ]
        if not cells:
            raise ValueError(f"there is no room for {number} injections, {kind} among them: an instrument's day takes {SLOTS}")
        market, options, day, slot = cells[int(rng.integers(len(cells)))]
        free[market.instrument, day] -= set(range(SLOTS)) if is_whole else {slot}
        placed.append(_placed(len(placed), kind, market, options[int(rng.integers(len(options)))], day, slot, rng, seed))
    return placed


def _wanted(kinds: Sequence[str], number: int, most_missing: int) -> list[str]:
    """The kind of each injection, missing files first, while there is a free day for them."""
    others = [kind for kind in kinds if kind != "file-missing"]
    if len(others) == len(kinds):
        return [kinds[each % len(kinds)] for each in range(number)]
    missing = min(number // len(kinds), most_missing) if others else number
    return ["file-missing"] * missing + [others[each % len(others)] for each in range(number - missing)]


def _free_slots(free: set[int], *, is_whole: bool) -> list[int]:
    if is_whole:
        return [0] if len(free) == SLOTS else []
    return sorted(free)


def happen(moments: Moments, placed: Placed) -> tuple[Moments, Injection | None]:
    """Do to what happens what is to happen; others leave it as it is."""
    if placed.kind not in _HAPPENING:
        return moments, None
    since_us, until_us = _minutes(placed)
    if placed.kind.startswith("spike-"):
        since_us = _traded_minute(moments, placed)
        until_us = since_us + MINUTE_US
    changed, size = _HAPPENING[placed.kind](moments, since_us, until_us, placed.rng("size"))
    return changed, placed.made(since_us, until_us, size=size)


def deliver_wrongly(feeds: Mapping[str, Feed], placed: Placed, first_id: int) -> Injection | None:
    """Do to what is delivered what is to go wrong with it; the record of it, None where nothing is done to rows.

    Raises:
        ValueError: too few rows happen in the slot.
    """
    if placed.kind in {"file-missing", "kline-missing"} or placed.kind in _HAPPENING:
        return None
    rng = placed.rng("size")
    since_us, until_us = _minutes(placed)
    details: dict[str, Any] = {"rows": 0}
    for stream in placed.streams:
        feed = feeds[stream]
        if placed.rows:
            rows = _rows_from(feed, placed)
            since_us, until_us = int(feed.time_us[rows[0]]), int(feed.time_us[rows[-1]]) + 1
        else:
            if placed.kind == "dead":
                until_us = _until_missed(feed, placed, until_us)
            rows = feed.between(since_us, until_us)
            if len(rows) < (1 if placed.kind == "clock-skew" else 3):
                raise ValueError(f"{placed.instrument} has too few {stream} on {placed.day} for {placed.kind}: name more trades")
        details["rows"] += len(rows)
        details |= _do(feed, placed, rows, first_id, rng)
    if placed.kind == "disorder":
        since_us -= int(details["size"]) * _SECOND_US
    return placed.made(since_us, until_us, **details)


def _until_missed(feed: Feed, placed: Placed, until_us: int) -> int:
    """So much later that `DEAD_ROWS` are missing, if the slot has as many: a shorter silence of a quiet market may be one of its own."""
    last = int(np.searchsorted(feed.time_us, placed.since_us)) + DEAD_ROWS - 1
    return until_us if last >= len(feed) else min(max(until_us, int(feed.time_us[last]) + 1), placed.until_us)


def missing_candle(feed: Feed, placed: Placed) -> Injection:
    """The minute of a trade, of which the 1m candle is left out."""
    row = _rows_from(feed, replace(placed, rows=1))[0]
    since_us = int(feed.time_us[row]) // MINUTE_US * MINUTE_US
    return placed.made(since_us, since_us + MINUTE_US)


_Happened = tuple[Moments, float | None]


def _spike_of_price(moments: Moments, since_us: int, until_us: int, rng: np.random.Generator) -> _Happened:
    # From one to thirty percent, as many small ones as large ones, up as often as down.
    share = float(np.exp(rng.uniform(np.log(0.01), np.log(0.3)))) * (1 if rng.random() < 0.5 else -1)
    return calm.moved(moments, since_us, until_us, share), round(share, 6)


def _spike_of_volume(moments: Moments, since_us: int, until_us: int, rng: np.random.Generator) -> _Happened:
    factor = int(rng.integers(10, 61))
    return calm.swollen(moments, since_us, until_us, factor), factor


def _burst(moments: Moments, since_us: int, until_us: int, rng: np.random.Generator) -> _Happened:
    factor = int(rng.choice(_ACTIVITY))
    return calm.multiplied(moments, since_us, until_us, factor, rng), factor


def _drop(moments: Moments, since_us: int, until_us: int, rng: np.random.Generator) -> _Happened:
    share = 1 / int(rng.choice(_ACTIVITY))
    return calm.thinned(moments, since_us, until_us, share, rng), round(share, 6)


def _wide(moments: Moments, since_us: int, until_us: int, rng: np.random.Generator) -> _Happened:
    factor = int(rng.choice(_SPREADS))
    return calm.widened(moments, since_us, until_us, factor), factor


_HAPPENING: Final[Mapping[str, Callable[[Moments, int, int, np.random.Generator], _Happened]]] = {
    "outage": lambda moments, since_us, until_us, _: (calm.silenced(moments, since_us, until_us), None),
    "spike-price": _spike_of_price,
    "spike-volume": _spike_of_volume,
    "activity-burst": _burst,
    "activity-drop": _drop,
    "wide-spread": _wide,
}


def _do(feed: Feed, placed: Placed, rows: Integers, first_id: int, rng: np.random.Generator) -> dict[str, Any]:
    if placed.kind in {"gap", "late"}:
        (feed.drop if placed.kind == "gap" else feed.hold_back)(rows)
        return {"ids": ((first_id + int(rows[0]), first_id + int(rows[-1])),)}
    if placed.kind in _SIMPLE:
        _SIMPLE[placed.kind](feed, rows)
        return {}
    if placed.kind in {"crossed", "locked"}:
        over = rng.integers(1, 20, len(rows)) * (placed.kind == "crossed")
        feed.columns["bid_ticks"][rows] = feed.columns["ask_ticks"][rows] + over
        return {}
    return {"size": _shift_times(feed, placed, rows, rng)}


_SIMPLE: Final[Mapping[str, Callable[[Feed, Integers], None]]] = {
    "dead": Feed.drop,
    "duplicate": Feed.repeat,
    "block-duplicate": Feed.repeat,
    "frozen": Feed.freeze,
    "bad-rows": Feed.litter,
}


def _shift_times(feed: Feed, placed: Placed, rows: Integers, rng: np.random.Generator) -> int:
    """Shift one of the two times of rows; by how many seconds."""
    if placed.kind == "clock-skew":
        # The same for each stream: it is the clock of the machine.
        seconds = int(placed.rng("skew").integers(7, 55)) * (1 if placed.rng("sign").random() < 0.5 else -1)
        feed.skew(rows, seconds * _SECOND_US)
    elif placed.kind == "late-rows":
        seconds = int(rng.integers(120, 900))
        feed.delay(rows, seconds * _SECOND_US)
    else:
        # Further than to the row before: otherwise no time steps back.
        since_last = int(feed.time_us[rows[0]] - feed.time_us[max(rows[0] - 1, 0)]) // _SECOND_US + 1
        seconds = since_last + int(rng.integers(5, 30))
        feed.set_back(rows, seconds * _SECOND_US)
    return seconds


def _placed(
    number: int, kind: str, market: Market, streams: tuple[str, ...], day: date, slot: int, rng: np.random.Generator, seed: int
) -> Placed:
    start_us = midnight_us(day)
    if kind == "file-missing":
        return Placed(number, kind, market.instrument, streams, day, start_us, start_us + MINUTES * MINUTE_US, MINUTES, 0, seed)
    shape = INJECTED[kind]
    minutes = int(rng.integers(shape.minutes[0], shape.minutes[1] + 1)) if shape.minutes else 0
    rows = int(rng.integers(shape.rows[0], shape.rows[1] + 1)) if shape.rows else 0
    last = SLOT_MINUTES - _TAIL_MINUTES
    # What counts rows may need an hour for them, and a minute that is traded may be some way off.
    room = minutes if minutes > 1 and kind != "dead" else 90
    begin = int(rng.integers(_LEAD_MINUTES, last - room))
    since_us = start_us + (slot * SLOT_MINUTES + begin) * MINUTE_US
    until_us = start_us + (slot * SLOT_MINUTES + last) * MINUTE_US
    return Placed(number, kind, market.instrument, streams, day, since_us, until_us, minutes, rows, seed)


def _minutes(placed: Placed) -> tuple[int, int]:
    """Its minutes, where it is counted in minutes."""
    return placed.since_us, placed.since_us + placed.minutes * MINUTE_US


def _rows_from(feed: Feed, placed: Placed) -> Integers:
    """As many rows as it takes, from its beginning on, and those of the same time as the last; fewer where the slot has no more."""
    first, end = (int(np.searchsorted(feed.time_us, each)) for each in (placed.since_us, placed.until_us))
    last = min(first + placed.rows, end) - 1
    if last - first + 1 < min(placed.rows, (INJECTED[placed.kind].rows or (1, 1))[0]):
        raise ValueError(f"{placed.instrument} has too few rows on {placed.day} for {placed.kind}: name more trades")
    return np.arange(first, int(np.searchsorted(feed.time_us, feed.time_us[last], side="right")))


def _traded_minute(moments: Moments, placed: Placed) -> int:
    """The first minute from its beginning on that has two trades, or one, where none has two."""
    times = moments.time_us[moments.is_trade]
    minutes, counts = np.unique(times[(times >= placed.since_us) & (times < placed.until_us)] // MINUTE_US, return_counts=True)
    if not len(counts):
        raise ValueError(f"{placed.instrument} has too few trades on {placed.day} for {placed.kind}: name more trades")
    return int(minutes[np.argmax(counts > min(1, counts.max() - 1))]) * MINUTE_US
