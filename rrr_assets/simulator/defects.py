"""Defects on purpose: what can be wrong with a delivery, where it was put, and what must come of it.

Belongs here: choosing the place of a defect by the seed, and the record of it. Does not: writing files.
Each chosen kind is put once a day into one instrument that can carry it (100 trades that day at least). Recorded feeds carry none of
these: what is wrong with them is injected, many times a day (injections).

| kind          | what is wrong                                                       | needs   | costs a good row |
|---------------|---------------------------------------------------------------------|---------|------------------|
| gap           | a range of ids is not in the file, the candles include it           | ids     | yes              |
| duplicate     | lines are there twice, singly and as a block                        | ids     | no               |
| bad-rows      | garbage lines beside good ones: a price that is no number, a column |         | no               |
|               | too few, a negative size                                            |         |                  |
| late          | three ranges of ids are not in the file but in late/                | ids     | until it is read |
| shuffled      | the lines are in no order                                           | ids     | no               |
| kline-missing | a minute with trades is absent from the 1m candles                  | candles | no               |
| outage        | nobody trades for a while; candles are first empty, then absent     | candles | no               |
| renamed       | renamed/ holds the day's later half again under another name        |         | no               |

Without ids, equal lines are two trades and the order of lines is all there is: what needs ids would then
not be a defect but other data. `gap` and `kline-missing` leave bars that cannot be equal to the candles.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Final

import numpy as np

from rrr_assets.simulator.files import DAMAGES, Lines, whole
from rrr_assets.simulator.markets import Market, generator
from rrr_assets.simulator.tape import MINUTES, Integers, Tape

LEAST_TRADES: Final = 100


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of defect: what a correct platform reports, and what a market must have to carry it."""

    expected: str
    needs_ids: bool = False
    needs_candles: bool = False

    def suits(self, market: Market) -> bool:
        return not market.is_recorded and (market.has_ids or not self.needs_ids) and (market.has_candles or not self.needs_candles)


KINDS: Final = MappingProxyType(
    {
        "gap": Kind(
            "a gap with exactly these ids; the bars of these minutes are not complete, and uncovered against the candles",
            needs_ids=True,
        ),
        "duplicate": Kind("every trade once; the repeated lines are counted as known, none is a conflict", needs_ids=True),
        "bad-rows": Kind("these lines in quarantine with these reasons and their raw text; no trade missing, every bar equal"),
        "late": Kind(
            "until the late file is read, a gap with exactly these ids; afterwards the gap is healed and the bars equal the candles",
            needs_ids=True,
        ),
        "shuffled": Kind("the same trades and bars as from a file in order", needs_ids=True),
        "kline-missing": Kind("our bar of this minute has no candle beside it: unexplained", needs_candles=True),
        "outage": Kind(
            "no gap, for no id is missing; no bar in this interval; its empty candles are explained, its absent ones no finding",
            needs_candles=True,
        ),
        "renamed": Kind("no new trade from the copy: all of its trades are known, none is a conflict"),
    }
)
DEFAULT_DEFECTS: Final = ("duplicate", "bad-rows", "shuffled", "outage")
"""Those that leave every bar equal to its candle or explained."""


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect as it was injected.

    `file` is the path below the output folder of the file that has the defect, `other_file` of the one held back.
    `lines` are 1-based physical lines of `file`, `reasons` stand beside them. `ids` are ranges with both ends
    inside. `since` and `until` (UTC, half-open) bound the trades or candles concerned, `absent_since` the part of an
    outage that has no candles.
    """

    kind: str
    instrument: str
    day: date
    file: str
    expected: str
    lines: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()
    ids: tuple[tuple[int, int], ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    absent_since: datetime | None = None
    other_file: str | None = None


@dataclass(frozen=True, slots=True)
class Outage:
    """Minutes of the UTC day without trades, and those of them without candles."""

    closed: range
    absent: range


NO_OUTAGE: Final = Outage(range(0), range(0))


@dataclass(frozen=True, slots=True)
class Delivery:
    """The trades of one instrument and day as they are handed out; columns of positions in the tape.

    `missing` are in no file, `late` in the late file, `copied` in the renamed copy beside the day's file.
    """

    lines: Lines
    missing: Integers
    late: Integers
    copied: Integers


def parse_defects(text: str) -> tuple[str, ...]:
    """Kinds from a comma list, `default` or `none`, in the order of `KINDS`.

    Raises:
        ValueError: a name is no kind of defect.
    """
    if text == "default":
        return DEFAULT_DEFECTS
    if text == "none":
        return ()
    return checked([name.strip() for name in text.split(",")])


def checked(names: Sequence[str]) -> tuple[str, ...]:
    """The kinds named, each once, in the order of `KINDS`. ValueError where a name is none."""
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise ValueError(f"no such defect: {', '.join(unknown)}; there are {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in names)


def place(kinds: Sequence[str], day: date, trades: Sequence[tuple[Market, int]], seed: int) -> dict[str, set[str]]:
    """Which kinds each instrument carries on a day, chosen among those with trades enough."""
    placed: dict[str, set[str]] = {market.instrument: set() for market, _ in trades}
    for kind in kinds:
        able = [market.instrument for market, number in trades if number >= LEAST_TRADES and KINDS[kind].suits(market)]
        if able:
            chosen = able[int(generator(seed, day.toordinal(), kind).integers(len(able)))]
            placed[chosen].add(kind)
    return placed


def draw_outage(rng: np.random.Generator) -> Outage:
    """Between 20 and 90 minutes, of which the first 3 to 10 have empty candles and the rest none."""
    length = int(rng.integers(20, 91))
    start = int(rng.integers(30, MINUTES - length - 30))
    return Outage(range(start, start + length), range(start + int(rng.integers(3, 11)), start + length))


def draw_missing_candle(tape: Tape, delivery: Delivery, rng: np.random.Generator) -> int:
    """A minute of the day that has trades, none of which is missing or late."""
    minutes = tape.minutes
    touched = minutes[np.concatenate([delivery.missing, delivery.late])]
    return int(rng.choice(np.setdiff1d(minutes, touched)))


def deliver(tape: Tape, kinds: Collection[str], seed: int) -> Delivery:
    """Choose rows and lines of the day's files. The tape has `LEAST_TRADES` where `kinds` is not empty."""

    def rng(kind: str) -> np.random.Generator:
        return generator(seed, tape.market.instrument, tape.day.toordinal(), kind)

    number = len(tape)
    none = np.zeros(0, np.int64)
    missing = _run(number // 4, number // 4, rng("gap")) if "gap" in kinds else none
    # Three runs in the third quarter, apart from a gap in the second.
    twelfth = number // 12
    starts = [(6 + part) * twelfth for part in range(3)] if "late" in kinds else []
    late = np.concatenate([none, *(_run(start, twelfth, rng(f"late {part}")) for part, start in enumerate(starts))])
    rows = np.delete(whole(tape).rows, np.concatenate([missing, late]))

    copied = rows[tape.time_us[rows] >= tape.time_us[number // 2]] if "renamed" in kinds else none
    if "shuffled" in kinds:
        rows = rng("shuffled").permutation(rows)
    lines = _repeated(rows, rng("duplicate")) if "duplicate" in kinds else Lines(rows, np.zeros(len(rows), np.bool_))
    if "bad-rows" in kinds:
        lines = _littered(lines, rng("bad-rows"))
    return Delivery(lines, missing, late, copied)


def id_ranges(ids: Integers) -> tuple[tuple[int, int], ...]:
    """Rising ids as ranges with both ends inside."""
    if not len(ids):
        return ()
    breaks = np.flatnonzero(np.diff(ids) != 1)
    return tuple((int(ids[a]), int(ids[b])) for a, b in zip([0, *(breaks + 1)], [*breaks, len(ids) - 1], strict=True))


def _run(start: int, room: int, rng: np.random.Generator) -> Integers:
    """Consecutive positions inside [start, start + room), not touching either end."""
    length = int(rng.integers(1, max(min(room // 4, 2000), 2)))
    first = start + 1 + int(rng.integers(0, room - length - 1))
    return np.arange(first, first + length)


def _repeated(rows: Integers, rng: np.random.Generator) -> Lines:
    """Repeat some rows right below themselves, and a block of rows right below the block."""
    block = min(len(rows) // 10, 200)
    start = int(rng.integers(0, len(rows) - block))
    single = np.setdiff1d(rng.integers(0, len(rows), min(len(rows) // 20, 50)), np.arange(start, start + block))
    at = np.concatenate([single + 1, np.full(block, start + block)])
    again = np.concatenate([rows[single], rows[start : start + block]])
    return Lines(np.insert(rows, at, again), np.insert(np.zeros(len(rows), np.bool_), at, True))


def _littered(lines: Lines, rng: np.random.Generator) -> Lines:
    """Put garbage below rows; every damage occurs. Never in the last line, where it would look like a cut-off file."""
    number = int(rng.integers(len(DAMAGES), 13))
    positions = np.sort(rng.choice(np.arange(1, len(lines.rows)), number, replace=False))
    damages = [DAMAGES[place % len(DAMAGES)] for place in range(number)]
    return Lines(lines.rows, lines.is_repeat, tuple(zip(positions.tolist(), rng.permutation(damages).tolist(), strict=True)))
