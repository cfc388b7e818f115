"""Time travel: what was read at a time is read the same ever after, whatever was loaded, corrected or taken back since."""

import csv
import itertools
import json
import os
import shutil
import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rrr_assets import read
from rrr_assets.calc.order import Trade, bars_from_trades
from rrr_assets.calc.outcomes import DayLoaded
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.simulator import simulate
from rrr_assets.ticks.replay import replay
from rrr_assets.warehouse.books import enter
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.load import load_day
from rrr_assets.warehouse.tick_tables import TICK_TABLES
from rrr_assets.warehouse.undo import Undone, UndoRefused, undo_batch
from rrr_assets_tests.loading import CONSERVED, DAY, NAME, NEXT, OLD_DAY, Told, capture, ccapi, emptied, midnight, rest, take, vision
from rrr_assets_tests.platform import Platform
from rrr_assets_tests.warm import python

START = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
END = START + timedelta(days=2)
FEW = settings(
    max_examples=max(6, settings.default.max_examples // 12),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""Each example is a history of its own in a real database."""


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


# --- driving it --------------------------------------------------------------------------------------------------


def corrections(folder: Path, rows: Iterable[Mapping[str, object]], name: str = "corrections.csv") -> Path:
    """A file of corrections: each row has `sequence`, and what it changes; it cancels where it changes nothing."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = ("instrument", "sequence", "action", "reason", "day", "event_time", "price", "size", "side", "new_event_time")
    with path.open("w", newline="") as out:
        writer = csv.DictWriter(out, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            changes = {"price", "size", "side", "new_event_time"} & set(row)
            writer.writerow({"instrument": NAME, "action": "replace" if changes else "cancel", "reason": "told by the venue", **row})
    return path


def correct(platform: Platform, folder: Path, *rows: Mapping[str, object], name: str = "corrections.csv") -> list[tuple[int, int, int]]:
    """Take corrections in; (revised, duplicates, quarantined) of each day."""
    done = platform.take_in(corrections(folder, rows, name), "rrr-corrections")
    return [(f.rows_revised, f.duplicates, f.quarantined) for loaded in done for f in loaded.files]


def settle(platform: Platform, days: Iterable[date] = (DAY, NEXT)) -> list[DayLoaded]:
    """Take in what waits, as the next run would."""
    return [loaded for stream in TICK_TABLES for loaded in platform.load(stream, load_day, sorted(days))]


def now(platform: Platform) -> datetime:
    return platform.rows("select clock_timestamp()")[0][0]


def answers(platform: Platform, at: datetime | None = None, name: str = NAME) -> dict[str, pa.Table]:
    """All that a reader gets of an instrument, now or as known at a time."""
    known = {"as_known_at": at, "database": platform.database}
    found = {interval: read.bars(name, interval, START, END, **known) for interval in INTERVALS}
    return {"trades": read.trades(name, START, END, **known), **found}


def assert_same(left: Mapping[str, pa.Table], right: Mapping[str, pa.Table], why: object = "") -> None:
    for name, table in left.items():
        assert table.schema == right[name].schema, (name, why)
        assert table.to_pylist() == right[name].to_pylist(), (name, why)


def batch_of(platform: Platform, which: int = -1) -> int:
    """The number of a batch, in the order of taking in."""
    return int(platform.rows("select batch_id from ingest_batches order by batch_id")[which][0])


def assert_bars_of(trades: pa.Table, bars: Mapping[str, pa.Table]) -> None:
    """Bars are those of the trades, computed in plain Python."""
    told = [Trade(*(row[name] for name in ("event_time", "sequence", "price", "size", "side"))) for row in trades.to_pylist()]
    for interval, length in INTERVALS.items():
        wanted = bars_from_trades(told, length)
        found = bars[interval].to_pylist()
        assert [bar["bar_start"] for bar in found] == [bar.bar_start for bar in wanted], interval
        for mine, bar in zip(found, wanted, strict=True):
            for name in ("open", "high", "low", "close", "volume", "quote_volume", "vwap", "trade_count", "taker_buy_volume",
                         "taker_buy_quote_volume", "first_sequence", "last_sequence"):  # fmt: skip
                assert mine[name] == getattr(bar, name), (interval, bar.bar_start, name)


def assert_ledger(platform: Platform) -> None:
    """The books agree: conserved rows, and as many rows as the coverage ledger says."""
    assert platform.rows(CONSERVED) == [(0,)]
    for table in TICK_TABLES.values():
        ledger = platform.rows("select instrument, day, row_count from coverage where stream = %s and row_count > 0", table.stream)
        counted = f"select instrument, (event_time at time zone 'UTC')::date, count(*) from {table.name} group by 1, 2"  # noqa: S608  # a table's name
        assert sorted(ledger) == sorted(platform.rows(counted))


# --- random histories --------------------------------------------------------------------------------------------

UNITS = {"vision": "us", "rest": "ms", "capture": "ms", "corrections": "us"}
_MS = 1_000


def _universe() -> list[Told]:
    """What was traded: around the ends of minutes, hours and days, some at one time, told finer than a millisecond."""
    minute, hour = 60_000_000, 3_600_000_000
    offsets = [
        5_000_111, 5_000_111, minute - 1, minute + 2_345, 3 * minute + 7, 5 * minute - 2, 5 * minute + 999, hour - 3,
        hour + 4_500_001, hour + 4_500_001, 2 * hour + 17, 24 * hour - 3, 24 * hour, 24 * hour + 1_001, 25 * hour - 2, 25 * hour + 2_002,
    ]  # fmt: skip
    base = midnight(DAY)
    return [Told(100 + n, base + at, f"{42_000 + n % 5}.{n + 10}", f"0.{n % 9 + 1}", n % 3 == 0) for n, at in enumerate(offsets)]


TRADES = _universe()
IDS = [t.id for t in TRADES]
BY_ID = {t.id: t for t in TRADES}


def _day(us: int) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).date()


@dataclass(frozen=True)
class Version:
    """A trade as it was told by a batch."""

    us: int
    unit: str
    price: Decimal
    size: Decimal
    side: str
    batch: int

    @property
    def values(self) -> tuple[Decimal, Decimal, str]:
        return self.price, self.size, self.side


@dataclass(frozen=True)
class Ended:
    version: Version
    kind: str
    by: int


@dataclass
class File:
    """A file of the history: how it is taken in, and what it says of each day."""

    path: Path
    form: str
    rows: dict[date, list[tuple[int, Any]]]


def _floor(us: int, unit: str) -> int:
    return us // _MS * _MS if unit == "ms" else us


class Model:
    """What must stand, row by row in plain Python: `now` by id, and all that was believed before."""

    def __init__(self) -> None:
        self.now: dict[int, Version] = {}
        self.ended: dict[int, list[Ended]] = defaultdict(list)
        self.undone: set[int] = set()
        self.files: dict[int, File] = {}
        self.file_of: dict[int, int] = {}

    def load(self, file_id: int, file: File, day: date, batch: int) -> tuple[int, int, int, int]:
        """Take a file's day in; (stored, revised, duplicates, quarantined)."""
        self.files[file_id], self.file_of[batch] = file, file_id
        judge = self._correct if file.form == "corrections" else self._tell
        told = [judge(number, what, batch, file.form) for number, what in file.rows[day]]
        return tuple(told.count(verdict) for verdict in ("new", "revised", "duplicate", "refused"))

    def _standing(self, number: int) -> list[Ended]:
        """What was ended of a trade by batches that were not taken back."""
        return [end for end in self.ended[number] if end.kind != "undo" and end.by not in self.undone]

    def _tell(self, number: int, told: Told, batch: int, form: str) -> str:
        unit = UNITS[form]
        new = Version(_floor(told.us, unit), unit, Decimal(told.price), Decimal(told.size), "sell" if told.buyer_made else "buy", batch)
        mine = self.now.get(number)
        was_ended = any(
            end.kind == "cancellation"
            or (end.version.values == new.values and _floor(end.version.us, unit) == _floor(new.us, end.version.unit))
            for end in self._standing(number)
        )
        if mine is None:
            if was_ended:
                return "duplicate"
            self.now[number] = new
            return "new"
        if mine.values == new.values:
            if mine.us == new.us or (unit == "ms" and mine.unit == "us" and _floor(mine.us, "ms") == new.us):
                return "duplicate"
            if unit == "us" and mine.unit == "ms" and _floor(new.us, "ms") == mine.us:
                self.ended[number].append(Ended(mine, "finer_time", batch))
                self.now[number] = new
                return "revised"
        return "duplicate" if was_ended else "refused"

    def _correct(self, number: int, asked: Mapping[str, Any], batch: int, _: str) -> str:
        mine = self.now.get(number)
        if self._is_applied(number, asked, batch):
            return "duplicate"
        if mine is None:
            is_cancelled = any(end.kind == "cancellation" for end in self._standing(number))
            return "duplicate" if is_cancelled and not asked else "refused"
        wanted = replace(mine, **asked, batch=batch, unit="us")
        if asked and (wanted.us, wanted.values) == (mine.us, mine.values):
            return "duplicate"
        self.ended[number].append(Ended(mine, "correction" if asked else "cancellation", batch))
        if asked:
            self.now[number] = wanted
        else:
            del self.now[number]
        return "revised"

    def _is_applied(self, number: int, asked: Mapping[str, Any], batch: int) -> bool:
        """Whether the same file said it before, by a batch that stands."""
        mine = {b for b, file in self.file_of.items() if file == self.file_of[batch] and b != batch and b not in self.undone}
        if not asked:
            return any(end.kind == "cancellation" and end.by in mine for end in self.ended[number])
        versions = [end.version for end in self.ended[number]] + ([self.now[number]] if number in self.now else [])
        return any(v.batch in mine and all(getattr(v, name) == value for name, value in asked.items()) for v in versions)

    def undo(self, batch: int, by: int) -> tuple[int, int]:
        """Take a batch back; (rows that ended, rows that stand again)."""
        self.undone.add(batch)
        taken = [number for number, version in self.now.items() if version.batch == batch]
        for number in taken:
            self.ended[number].append(Ended(self.now.pop(number), "undo", by))
        touched = {number for number, ends in self.ended.items() for end in ends if end.by == batch} | set(taken)
        restored = 0
        for number in touched - set(self.now):
            if any(end.kind == "cancellation" for end in self._standing(number)):
                continue
            back = [
                end.version
                for end in self.ended[number]
                if end.kind != "undo" and end.by in self.undone and end.version.batch not in self.undone
            ]
            if back:
                self.now[number] = back[-1]
                restored += 1
        return len(taken), restored


@dataclass
class History:
    """A platform, its model, and what was read when."""

    platform: Platform
    folder: Path
    model: Model = field(default_factory=Model)
    files: list[File] = field(default_factory=list)
    seen: list[tuple[datetime, dict[str, pa.Table], bool]] = field(default_factory=list)

    def load(self, form: str, ids: Sequence[int], other: int | None) -> None:
        """Take in a new file of some trades, of which one may be told with another price."""
        told = [replace(BY_ID[n], price="41999.5") if n == other else BY_ID[n] for n in sorted(set(ids))]
        if form == "vision":
            # A file that claims its day holds how it begins and ends.
            day = _day(told[0].us)
            of_day = [t for t in TRADES if _day(t.us) == day]
            chosen = {t.id: t for t in [*of_day[:2], *of_day[-2:], *told] if _day(t.us) == day}
            told = [chosen[n] for n in sorted(chosen)]
            path = vision(self.folder, told, day, f"-n{len(self.files)}")
        elif form == "rest":
            path = rest(self.folder, told, f"BTCUSDT-n{len(self.files)}.json")
        else:
            path = capture(self.folder, told, f"n{len(self.files)}.txt")
        self._file(path, form, [(t.us, (t.id, t)) for t in told])

    def correct(self, lines: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        rows = []
        for number, asked in lines:
            told = {name: str(value) for name, value in asked.items() if name != "us"}
            if "us" in asked:
                told["new_event_time"] = str(asked["us"])
            rows.append({"sequence": number, "day": _day(BY_ID[number].us), "reason": f"because {len(self.files)}", **told})
        path = corrections(self.folder, rows, f"n{len(self.files)}.csv")
        self._file(path, "corrections", [(BY_ID[number].us, (number, asked)) for number, asked in lines])

    def _file(self, path: Path, form: str, timed: Iterable[tuple[int, tuple[int, Any]]]) -> None:
        rows: dict[date, list[tuple[int, Any]]] = defaultdict(list)
        for us, row in timed:
            rows[_day(us)].append(row)
        self.files.append(File(path, form, rows))
        self.take(self.files[-1])

    def take(self, file: File) -> None:
        """Take a file in, for the first time or again, with what waits of its days."""
        formats = {"vision": "binance-vision-trades", "rest": "binance-rest", "capture": "binance-ws", "corrections": "rrr-corrections"}
        self.follow(self.platform.take_in(file.path, formats[file.form]))

    def follow(self, done: Iterable[DayLoaded]) -> None:
        """Let the model take in what the platform took in, and hold their counts to each other."""
        for loaded in done:
            for told in loaded.files:
                [file] = [each for each in self.files if each.path.name == told.name]
                assert told.batch_id is not None
                counts = self.model.load(told.file_id, file, loaded.day, told.batch_id)
                assert (told.rows_stored, told.rows_revised, told.duplicates, told.quarantined) == counts, told

    def undo(self, which: int) -> None:
        """Take one of the batches back that can be."""
        batches = self.standing()
        if batches:
            self._undo(batches[which % len(batches)])

    def undo_file(self, which: int) -> None:
        """Take all batches of a file back, the last one first."""
        batches = self.standing()
        if batches:
            file_id = self.model.file_of[batches[which % len(batches)]]
            for batch in reversed([batch for batch in batches if self.model.file_of[batch] == file_id]):
                self._undo(batch)

    def standing(self) -> list[int]:
        """The batches that were not taken back."""
        return sorted(set(self.model.file_of) - self.model.undone)

    def _undo(self, batch: int) -> None:
        done = undo_batch(self.platform.database, batch, f"wrong {batch}")
        assert (done.taken_back, done.restored) == self.model.undo(batch, done.undone_by)

    def do(self, step: tuple[Any, ...]) -> None:
        """One step of a history."""
        kind, *what = step
        if kind == "load":
            self.load(*what)
        elif kind == "correct":
            self.correct(*what)
        elif kind == "undo":
            self.undo(*what)
        elif kind == "undo file":
            self.undo_file(*what)
        elif kind == "settle":
            self.follow(settle(self.platform))
        elif kind == "refresh":
            self.platform.refresh([DAY, NEXT])
        elif self.files:
            self.take(self.files[what[0] % len(self.files)])

    def look(self, *, is_fresh: bool) -> None:
        """Hold the platform to the model, and note what a reader gets."""
        stored = self.platform.rows("select sequence, event_time, price, size, side, batch_id from raw_trades order by 1")
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        assert {n: ((at - epoch) // timedelta(microseconds=1), *rest) for n, at, *rest in stored} == {
            n: (v.us, *v.values, v.batch) for n, v in self.model.now.items()
        }
        assert len(stored) == len(self.model.now)
        assert_ledger(self.platform)
        self._assert_coverage()
        if any(file.form != "corrections" for file in self.files):
            at = now(self.platform)
            self.seen.append((at, answers(self.platform), is_fresh))

    def _assert_coverage(self) -> None:
        """No minute in which something is missing is said to be whole, and what was cancelled is not missing."""
        held = self.platform.rows("select covered, missing_ids from coverage where stream = 'trades'")
        for trade in TRADES:
            ends = self.model._standing(trade.id)
            is_there = trade.id in self.model.now or any(end.kind == "cancellation" for end in ends)
            minute = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=trade.us // 60_000_000 * 60_000_000)
            for covered, missing in held:
                whole = any(span.lower <= minute and minute + timedelta(minutes=1) <= span.upper for span in covered)
                assert is_there or not whole, trade
                assert not is_there or not any(trade.id in span for span in missing), trade


_CHANGE = st.fixed_dictionaries(
    {},
    optional={
        "price": st.sampled_from([Decimal("1.5"), Decimal("43000.123456"), Decimal("42000.10")]),
        "size": st.sampled_from([Decimal(7), Decimal("0.00000001")]),
        "side": st.sampled_from(["buy", "sell"]),
        "us": st.integers(-2, 3),
    },
)
_LINE = st.tuples(st.sampled_from(IDS), _CHANGE).map(
    lambda line: (line[0], {**line[1], **({"us": BY_ID[line[0]].us + line[1]["us"]} if "us" in line[1] else {})})
)
_LINES = st.lists(_LINE, min_size=1, max_size=4).filter(
    lambda lines: all(_day(a.get("us", BY_ID[n].us)) == _day(BY_ID[n].us) for n, a in lines)
)
_LOAD = st.tuples(
    st.just("load"),
    st.sampled_from(["vision", "vision", "rest", "capture"]),
    st.lists(st.sampled_from(IDS), min_size=1, max_size=16),
    st.none() | st.none() | st.sampled_from(IDS),
)
_STEP = st.one_of(
    _LOAD,
    _LOAD,
    st.tuples(st.just("correct"), _LINES),
    st.tuples(st.just("correct"), _LINES),
    st.tuples(st.just("undo"), st.integers(0, 20)),
    st.tuples(st.just("undo"), st.integers(0, 20)),
    st.tuples(st.just("again"), st.integers(0, 20)),
    st.tuples(st.just("settle")),
    st.tuples(st.just("refresh")),
)
_turn = itertools.count()


def _history(database: Database, tmp_path: Path) -> History:
    """An emptied platform in a folder of its own: hypothesis uses one fixture for all examples."""
    folder = tmp_path / f"history{next(_turn)}"
    folder.mkdir()
    return History(emptied(database, folder), folder)


@pytest.mark.timeout(3600)  # by hand, with many examples
@FEW
@given(steps=st.lists(_STEP, min_size=4, max_size=14))
def test_what_was_read_at_a_time_is_read_the_same_ever_after(database: Database, tmp_path: Path, steps: list[tuple[Any, ...]]) -> None:
    history = _history(database, tmp_path)
    for step in [*steps, ("settle",), ("refresh",)]:
        history.do(step)
        history.look(is_fresh=step[0] == "refresh")
    for at, then, is_fresh in history.seen:
        assert_same(answers(history.platform, at), then, at)
        if is_fresh:
            assert_bars_of(then["trades"], then)
    if history.seen:
        before = history.platform.rows("select min(known_at) - interval '1 microsecond' from ingest_batches")[0][0]
        assert all(len(table) == 0 for table in answers(history.platform, before).values())
    shutil.rmtree(history.folder)


_OF_A_DAY = st.sampled_from([DAY, NEXT]).flatmap(
    lambda day: st.lists(st.sampled_from([t.id for t in TRADES if _day(t.us) == day]), min_size=1, max_size=12)
)
_TAKING_BACK = st.one_of(
    st.tuples(st.just("load"), st.sampled_from(["vision", "rest", "capture"]), _OF_A_DAY, st.none()),
    st.tuples(st.just("load"), st.sampled_from(["vision", "rest", "capture"]), _OF_A_DAY, st.none()),
    st.tuples(st.just("undo file"), st.integers(0, 20)),
    st.tuples(st.just("settle")),
)
LEDGER = (
    "select instrument, day, space, row_count, first_time, last_time, first_sequence, last_sequence, is_declared, covered, missing_ids"
    " from coverage where row_count > 0 order by 1, 2"
)


@pytest.mark.timeout(3600)  # by hand, with many examples
@FEW
@given(steps=st.lists(_TAKING_BACK, min_size=4, max_size=12), again=st.booleans())
def test_a_file_that_was_taken_back_is_as_if_it_had_never_come(
    database: Database, tmp_path: Path, steps: list[tuple[Any, ...]], again: bool
) -> None:
    """Trades and coverage are those of the files that are left, taken in alone."""
    history = _history(database, tmp_path)
    for step in [*steps, ("settle",)]:
        history.do(step)
    left = {history.model.file_of[batch] for batch in history.standing()}
    if again:
        for file_id in sorted(set(history.model.files) - left):
            history.take(history.model.files[file_id])
        left = set(history.model.files)
    history.look(is_fresh=False)
    files = [history.model.files[file_id].path for file_id in sorted(left)]
    after = history.platform.trades_hash(), history.platform.rows(LEDGER)
    alone = _history(database, tmp_path)
    for path in files:
        take(alone.platform, path)
    assert [str(row) for row in alone.platform.rows(LEDGER)] == [str(row) for row in after[1]]
    assert alone.platform.trades_hash() == after[0]
    shutil.rmtree(history.folder)
    shutil.rmtree(alone.folder)


# --- corrections -------------------------------------------------------------------------------------------------


def prices(platform: Platform) -> dict[int, str]:
    return dict(platform.rows("select sequence, trim_scale(price)::text from raw_trades order by 1"))


def whole(platform: Platform, day: date = DAY, name: str = NAME) -> tuple[int, list[tuple[float, float]], list[tuple[int, int]]]:
    """(row_count, covered as seconds of the day, missing ids)."""
    [(count, covered, missing)] = platform.rows(
        "select row_count, covered, missing_ids from coverage where instrument = %s and stream = 'trades' and day = %s", name, day
    )
    base = datetime(day.year, day.month, day.day, tzinfo=UTC)
    spans = [((r.lower - base).total_seconds(), (r.upper - base).total_seconds()) for r in covered]
    return count, spans, [(r.lower, r.upper) for r in missing]


DAY_SECONDS = 86_400.0


def minutes(day: date, *seconds: float, first_id: int = 100) -> list[Told]:
    """Trades at some seconds of a day."""
    return [Told(first_id + n, midnight(day) + round(at * 1_000_000), f"{n + 1}.5", "2") for n, at in enumerate(seconds)]


def test_a_correction_that_is_given_again_does_not_flip_back_what_was_corrected_since(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, minutes(DAY, 1, 2, 3), DAY))
    first = {"sequence": 101, "price": "7", "day": DAY}
    assert correct(platform, tmp_path, first, name="first.csv") == [(1, 0, 0)]
    assert correct(platform, tmp_path, {"sequence": 101, "price": "8", "day": DAY}, name="second.csv") == [(1, 0, 0)]
    assert correct(platform, tmp_path, first, name="first.csv") == [(0, 1, 0)]
    assert prices(platform)[101] == "8"
    # Another file may say the old value anew, for another reason.
    assert correct(platform, tmp_path, {**first, "reason": "it was right"}, name="third.csv") == [(1, 0, 0)]
    assert prices(platform)[101] == "7"


def test_corrections_of_one_trade_in_one_file_apply_in_their_order_and_once(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, minutes(DAY, 1, 2, 3), DAY))
    told = [{"sequence": 100, "price": price, "day": DAY} for price in ("7", "8", "7", "9")]
    assert correct(platform, tmp_path, *told, {"sequence": 101, "day": DAY}, {"sequence": 101, "day": DAY}) == [(5, 1, 0)]
    assert prices(platform) == {100: "9", 102: "3.5"}
    before = platform.rows("select * from trade_revisions order by 1")
    assert correct(platform, tmp_path, *told, {"sequence": 101, "day": DAY}, {"sequence": 101, "day": DAY}) == [(0, 6, 0)]
    assert platform.rows("select * from trade_revisions order by 1") == before


def test_a_cancelled_trade_is_not_corrected(platform: Platform, tmp_path: Path) -> None:
    path = vision(tmp_path, minutes(DAY, 1, 2, 3), DAY)
    take(platform, path)
    correct(platform, tmp_path, {"sequence": 101, "day": DAY, "reason": "busted"}, name="cancel.csv")
    assert correct(platform, tmp_path, {"sequence": 101, "price": "7", "day": DAY}, name="late.csv") == [(0, 0, 1)]
    [(reason, detail)] = platform.rows("select reason, detail from quarantine")
    assert reason == "conflict"
    assert detail == f"trade 101 of {NAME} was cancelled by batch 2"
    assert take(platform, path) == [(0, 0, 3, 0)]
    assert sorted(prices(platform)) == [100, 102]
    assert whole(platform) == (2, [(0, DAY_SECONDS)], [])


def test_a_correction_of_an_unknown_trade_waits_until_the_trade_came_and_is_replayed(platform: Platform, tmp_path: Path) -> None:
    assert correct(platform, tmp_path, {"sequence": 101, "price": "7"}) == [(0, 0, 1)]
    assert platform.rows("select reason, state from quarantine") == [("unknown_trade", "quarantined")]
    take(platform, vision(tmp_path, minutes(DAY, 1, 2, 3), DAY))
    assert prices(platform)[101] == "2.5"
    assert replay(platform.database, platform.home).taken_in == 1
    assert prices(platform)[101] == "7"
    assert platform.rows("select reason, state from quarantine") == [("unknown_trade", "replayed")]
    assert replay(platform.database, platform.home).looked_at == 0
    assert correct(platform, tmp_path, {"sequence": 101, "price": "7"}) == [(0, 1, 0)]
    assert_ledger(platform)


LATER = DAY + timedelta(days=60)


def test_a_correction_of_an_id_that_stands_on_two_days_is_refused_unless_it_says_which(platform: Platform, tmp_path: Path) -> None:
    """A venue that begins to count again: nothing says which of the two trades was meant."""
    for day in (DAY, LATER):
        take(platform, vision(tmp_path, minutes(day, 1, 2, 3), day))
    mixed = [{"sequence": 101, "price": "7"}, {"sequence": 102, "price": "8", "day": LATER}, {"sequence": 999, "price": "9"}]
    correct(platform, tmp_path, *mixed)
    told = platform.rows("select line, reason, detail from quarantine order by line")
    assert [(line, reason) for line, reason, _ in told] == [(2, "ambiguous"), (4, "unknown_trade")]
    assert f"trade 101 of {NAME} stands on several days, {DAY}, {LATER}: give a correction with its day" in told[0][2]
    changed = "select sequence, event_time::date from raw_trades where price in (7, 8, 9)"
    assert platform.rows(changed) == [(102, LATER)]
    assert replay(platform.database, platform.home).still_refused == 2
    # Once one of the two stands no more, the other is meant.
    correct(platform, tmp_path, {"sequence": 101, "day": DAY, "reason": "busted"}, name="cancel.csv")
    assert replay(platform.database, platform.home).taken_in == 1
    assert platform.rows(changed + " order by 1") == [(101, LATER), (102, LATER)]
    assert_ledger(platform)


def test_a_cancelled_id_is_another_trade_months_later(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, minutes(DAY, 1, 2, 3), DAY))
    correct(platform, tmp_path, {"sequence": 101, "reason": "busted"})
    assert take(platform, vision(tmp_path, minutes(LATER, 1, 2, 3), LATER)) == [(3, 0, 0, 0)]
    assert take(platform, capture(tmp_path, minutes(LATER, 1, 2, 3))) == [(0, 0, 3, 0)]
    # The other one stays cancelled, on its day and beside it.
    assert take(platform, capture(tmp_path, minutes(DAY, 1, 2, 3), "again.txt")) == [(0, 0, 3, 0)]
    assert correct(platform, tmp_path, {"sequence": 101, "price": "7", "day": LATER}, name="later.csv") == [(1, 0, 0)]
    assert platform.rows("select event_time::date, count(*) from raw_trades group by 1 order by 1") == [(DAY, 2), (LATER, 3)]
    assert_ledger(platform)


def test_without_ids_another_precision_is_refused_where_it_would_double_the_day(platform: Platform, tmp_path: Path) -> None:
    """Whole seconds of one source and microseconds of another are the same trades, and nothing says which."""
    at = midnight(DAY) + 5_000_000
    take(platform, ccapi(tmp_path, [Told(0, at + n * 1_000_000) for n in range(5)], f"gemini__eth-usd__{DAY}__trade.csv"))
    columns = "\n".join(["time,price,size", *(f"{at + n * 1_000_000 + 123_400},42000.10,0.5" for n in range(5))])
    table = tmp_path / "other.csv"
    table.write_text(columns + "\n")
    mapping = "stream: trades\ninstrument: gemini:ETHUSD\ncolumns: {price: price, size: size}\ntime: {column: time, unit: us}\n"
    table.with_name("other.csv.mapping.yaml").write_text(mapping)
    [loaded] = platform.take_in(table, "table")
    [file] = loaded.files
    assert file.refused is not None
    assert "nothing says which of them are the same, and both would double them" in file.refused
    assert platform.rows("select count(*), sum(size) from raw_trades") == [(5, Decimal("2.5"))]
    # Where nothing of the other source is held, it is welcome.
    table.write_text(columns.split("\n")[0] + f"\n{at + 3_600_000_000},42000.10,0.5\n")
    assert [f.refused for loaded in platform.take_in(table, "table") for f in loaded.files] == [None]


def test_a_file_that_was_asked_for_again_says_which_of_its_batches_stand(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, minutes(DAY, 1, 2, 3), DAY))
    take(platform, vision(tmp_path, minutes(DAY, 1, 2, 3, 4, 5), DAY, "-longer"))
    first, second = (batch_of(platform, n) for n in (0, 1))
    assert undo_batch(platform.database, first, "of another instrument").others == ()
    settle(platform)
    third = batch_of(platform)
    assert undo_batch(platform.database, second, "so is this").others == ((third, 3),)
    assert undo_batch(platform.database, third, "and all of it").others == ()
    assert platform.rows("select count(*) from raw_trades") == [(0,)]


def test_a_correction_finds_the_day_of_its_trade_though_it_stands_no_more(platform: Platform, tmp_path: Path) -> None:
    take(
        platform,
        ccapi(tmp_path, [Told(0, midnight(DAY) + 5_000_000), Told(0, midnight(DAY) + 9_000_000)], f"gemini__eth-usd__{DAY}__trade.csv"),
    )
    last = {"instrument": "gemini:ETHUSD", "sequence": (midnight(DAY) + 9_000_000) * 4096}
    assert correct(platform, tmp_path, last, name="one.csv") == [(1, 0, 0)]
    assert correct(platform, tmp_path, {**last, "reason": "once more"}, name="two.csv") == [(0, 1, 0)]
    assert correct(platform, tmp_path, {**last, "sequence": (midnight(DAY) + 5_000_000) * 4096}, name="three.csv") == [(1, 0, 0)]
    assert whole(platform, name="gemini:ETHUSD")[:2] == (0, [(0, DAY_SECONDS)])
    assert_ledger(platform)
    platform.refresh()
    assert platform.rows("select count(*) from bars_1d") == [(0,)]


def test_a_cancelled_trade_without_id_leaves_its_group_as_the_source_has_it(platform: Platform, tmp_path: Path) -> None:
    """Of three trades of one microsecond one is cancelled: the file that told them is known all the same."""
    at = midnight(DAY) + 5_000_000
    path = ccapi(tmp_path, [Told(0, at, str(n + 1)) for n in range(3)], f"gemini__eth-usd__{DAY}__trade.csv")
    take(platform, path)
    assert correct(platform, tmp_path, {"instrument": "gemini:ETHUSD", "sequence": at * 4096 + 1}) == [(1, 0, 0)]
    assert take(platform, path) == [(0, 0, 3, 0)]
    assert sorted(prices(platform).values()) == ["1", "3"]
    undo_batch(platform.database, batch_of(platform, 1), "it did happen")
    settle(platform)
    assert sorted(prices(platform).values()) == ["1", "2", "3"]


def test_a_corrected_time_moves_the_hole_beside_the_trade(platform: Platform, tmp_path: Path) -> None:
    """Ids 102 and 103 are missing; then the trade before them turns out to be earlier, and more minutes may lack them."""
    trades = minutes(DAY, 60, 200, 0, 0, 400)
    take(platform, vision(tmp_path, [trades[0], trades[1], trades[4]], DAY))
    assert whole(platform) == (3, [(0, 200), (400.000001, DAY_SECONDS)], [(102, 104)])
    platform.refresh()
    assert correct(platform, tmp_path, {"sequence": 101, "new_event_time": trades[1].us - 30_000_000, "day": DAY}) == [(1, 0, 0)]
    assert whole(platform) == (3, [(0, 170), (400.000001, DAY_SECONDS)], [(102, 104)])
    undo_batch(platform.database, batch_of(platform), "it was right")
    assert whole(platform) == (3, [(0, 200), (400.000001, DAY_SECONDS)], [(102, 104)])


def test_a_time_that_leaves_its_day_and_a_number_too_long_are_refused(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, minutes(DAY, 1, 2, 3), DAY))
    rows = [
        {"sequence": 100, "new_event_time": midnight(NEXT), "day": DAY},
        {"sequence": 101, "price": "1.123456789012", "day": DAY},
        {"sequence": 102, "price": "2.5", "day": DAY},
    ]
    assert correct(platform, tmp_path, *rows) == [(1, 0, 2)]
    told = platform.rows("select reason, detail from quarantine order by line")
    assert [reason for reason, _ in told] == ["time", "scale"]
    assert "leaves the day of the trade: cancel it" in told[0][1]
    assert "`rrr instruments set` widens them" in told[1][1]
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("update instruments set price_scale = 12")
    assert replay(platform.database, platform.home).taken_in == 1
    assert prices(platform) == {100: "1.5", 101: "1.123456789012", 102: "2.5"}


def test_what_is_corrected_can_be_used_from_the_correction_on(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, minutes(DAY, 1, 2, 3), DAY))
    correct(platform, tmp_path, {"sequence": 101, "size": "7", "day": DAY})
    [(known, available, basis)] = platform.rows("select known_at, available_at, available_basis from raw_trades where sequence = 101")
    assert (available, basis) == (known, "observed")
    [(kind, reason, until)] = platform.rows("select kind, reason, believed_until from trade_revisions")
    assert (kind, reason, until) == ("correction", "told by the venue", known)


# --- batches that are taken back ---------------------------------------------------------------------------------


def test_what_cannot_be_taken_back_is_refused_with_the_reason(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, minutes(DAY, 1, 2, 3), DAY))
    done = undo_batch(platform.database, 1, "wrong file")
    made = simulate(tmp_path / "out", [OLD_DAY], [NAME], 20, 4)
    [bars] = [f for f in made.files if f.interval == "1m"]
    platform.take_in(bars.path, bars.format)
    for batch, says in (
        (99, "there is no batch 99. `rrr batch list` shows what there is"),
        (1, f"batch 1 was taken back already, by batch {done.undone_by}"),
        (done.undone_by, f"batch {done.undone_by} took batch 1 back: take the file in again instead"),
        (batch_of(platform), "is of venue_bars: only ticks can be taken back"),
    ):
        with pytest.raises(UndoRefused, match=says):
            undo_batch(platform.database, batch, "x")
    assert platform.rows("select count(*) from ingest_batches where undoes_batch_id is not null") == [(1,)]


def test_of_two_that_take_a_batch_back_at_once_one_does(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, minutes(DAY, *range(1, 60)), DAY))

    def attempt(_: int) -> Undone | UndoRefused:
        try:
            return undo_batch(platform.database, 1, "wrong file")
        except UndoRefused as refused:
            return refused

    with ThreadPoolExecutor(4) as several:
        told = list(several.map(attempt, range(4)))
    assert [type(one).__name__ for one in told].count("Undone") == 1
    assert platform.rows("select count(*) from raw_trades") == [(0,)]
    assert platform.rows("select count(*) from trade_revisions") == [(59,)]


def test_an_undone_correction_gives_the_floor_to_what_other_files_said(platform: Platform, tmp_path: Path) -> None:
    """The archive's file came while a correction stood, and was found known: the correction gone, its finer times count."""
    trades = minutes(DAY, 1.000123, 2.000456, 3.000789)
    take(platform, rest(tmp_path, trades))
    correct(platform, tmp_path, {"sequence": 101, "price": "7", "day": DAY})
    assert take(platform, vision(tmp_path, trades, DAY)) == [(0, 2, 1, 0)]
    done = undo_batch(platform.database, 2, "it was right")
    assert (done.taken_back, done.restored, done.kept) == (1, 1, 0)
    assert prices(platform)[101] == "2.5"
    settle(platform)
    assert platform.rows("select sequence, event_time from raw_trades order by 1") == [
        (t.id, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=t.us)) for t in trades
    ]


def test_a_file_whose_rows_were_corrected_and_taken_back_tells_them_again_when_the_correction_goes(
    platform: Platform, tmp_path: Path
) -> None:
    trades = minutes(DAY, 1, 2, 3)
    take(platform, vision(tmp_path, trades, DAY))
    correct(platform, tmp_path, {"sequence": 101, "price": "7", "day": DAY})
    take(platform, vision(tmp_path, trades, DAY, "-copy"))
    done = undo_batch(platform.database, 1, "wrong file")
    assert (done.taken_back, done.restored, done.kept) == (2, 0, 1)
    settle(platform)
    assert prices(platform) == {100: "1.5", 101: "7", 102: "3.5"}
    undo_batch(platform.database, 2, "it was right")
    settle(platform)
    assert prices(platform) == {100: "1.5", 101: "2.5", 102: "3.5"}
    assert whole(platform) == (3, [(0, DAY_SECONDS)], [])


def test_the_same_correction_from_two_files_stands_by_the_second_when_the_first_is_taken_back(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, minutes(DAY, 1, 2, 3), DAY))
    for name in ("one", "two"):
        correct(platform, tmp_path, {"sequence": 101, "day": DAY, "reason": name}, name=f"{name}.csv")
    undo_batch(platform.database, 2, "of another day")
    assert sorted(prices(platform)) == [100, 101, 102]
    settle(platform)
    assert sorted(prices(platform)) == [100, 102]
    undo_batch(platform.database, batch_of(platform), "that too")
    settle(platform)
    assert sorted(prices(platform)) == [100, 101, 102]


def test_what_was_taken_back_stays_so_when_something_else_is(platform: Platform, tmp_path: Path) -> None:
    """Though the file was taken in twice, and the second time found known."""
    wrong, other = vision(tmp_path, minutes(DAY, 1, 2, 3), DAY, "-wrong"), rest(tmp_path, minutes(DAY, 4, first_id=103))
    for path in (wrong, wrong, other, other):
        take(platform, path)
    row = {"sequence": 103, "price": "7", "day": DAY}
    for _ in range(2):
        correct(platform, tmp_path, row)
    for batch in (1, 5):
        undo_batch(platform.database, batch, "wrong file")
        settle(platform)
    assert prices(platform) == {103: "1.5"}
    undo_batch(platform.database, 3, "wrong page")
    settle(platform)
    assert prices(platform) == {}
    take(platform, wrong)
    assert sorted(prices(platform)) == [100, 101, 102]


def test_kept_counts_what_stands_by_a_later_batch(platform: Platform, tmp_path: Path) -> None:
    trades = minutes(DAY, 1.000123, 2.000456, 3.000789)
    take(platform, capture(tmp_path, trades))
    take(platform, vision(tmp_path, trades[:2], DAY))
    correct(platform, tmp_path, {"sequence": 102, "price": "7", "day": DAY})
    undo_batch(platform.database, 3, "it was right")
    done = undo_batch(platform.database, 1, "wrong recorder")
    assert (done.taken_back, done.restored, done.kept) == (1, 0, 2)
    assert sorted(prices(platform)) == [100, 101]


def test_an_undone_claim_to_a_day_claims_nothing_though_it_brought_no_row(platform: Platform, tmp_path: Path) -> None:
    trades = minutes(DAY, 60, 120, 180)
    take(platform, rest(tmp_path, trades))
    open_ends = whole(platform)
    assert open_ends == (3, [(60.000001, 180)], [])
    take(platform, vision(tmp_path, trades, DAY))
    assert whole(platform) == (3, [(0, DAY_SECONDS)], [])
    platform.refresh()
    assert platform.rows("select bool_and(is_complete) from bars_1d") == [(True,)]
    undo_batch(platform.database, 2, "of another day")
    assert whole(platform) == open_ends
    platform.refresh()
    assert platform.rows("select bool_or(is_complete) from bars_1d") == [(False,)]


def test_a_capture_whose_correction_was_taken_back_claims_no_day(platform: Platform, tmp_path: Path) -> None:
    take(platform, capture(tmp_path, minutes(DAY, 60, 120, 180)))
    before = whole(platform)
    correct(platform, tmp_path, {"sequence": 101, "day": DAY})
    undo_batch(platform.database, 2, "it did happen")
    assert whole(platform) == before == (3, [(60.000001, 180)], [])


def test_corrections_cover_nothing_between_the_trades_that_they_correct(platform: Platform, tmp_path: Path) -> None:
    """Two parts of a day without ids, and nothing of the hour between them; a correction in each."""
    base = midnight(OLD_DAY)
    parts = [[Told(0, base + (at + n) * 1_000_000) for n in range(3)] for at in (0, 3600)]
    for n, part in enumerate(parts):
        take(platform, ccapi(tmp_path, part, f"part{n}.csv"))
    gemini = "gemini:ETHUSD"
    before = whole(platform, OLD_DAY, gemini)
    assert before[1] == [(0.000001, 2), (3600.000001, 3602)]
    for n, part in enumerate(parts):
        row = {"instrument": gemini, "sequence": part[1].us * 4096, "price": "7"}
        correct(platform, tmp_path, row, {**row, "sequence": parts[1][1].us * 4096}, name=f"c{n}.csv")
    correct(platform, tmp_path, {"instrument": gemini, "sequence": parts[0][0].us * 4096, "price": "9"}, name="wrong.csv")
    undo_batch(platform.database, batch_of(platform), "it was right")
    settle(platform, [OLD_DAY])
    assert whole(platform, OLD_DAY, gemini) == before


def test_a_day_that_is_taken_back_opens_the_edges_beside_it(platform: Platform, tmp_path: Path) -> None:
    """What only the ids across midnight proved is open again; what a file claims stays, unless its own end was refused."""
    first, last = minutes(DAY, 60, 120), minutes(NEXT, 60, 120, first_id=102)
    for path, open_end in (
        (capture(tmp_path, first), 120),
        (vision(tmp_path, first, DAY, "-whole"), DAY_SECONDS),
        (vision(tmp_path, [*first, "garbage"], DAY, "-cut"), 120),
    ):
        mine = emptied(platform.database, _folder(tmp_path))
        take(mine, path)
        assert whole(mine)[1][-1][1] == open_end, path
        take(mine, vision(tmp_path, last, NEXT))
        assert whole(mine)[1][-1][1] == DAY_SECONDS
        undo_batch(mine.database, batch_of(mine), "of another instrument")
        assert whole(mine)[1][-1][1] == open_end, path
        assert whole(mine, NEXT) == (0, [], [])
        assert_ledger(mine)


def _folder(parent: Path) -> Path:
    folder = parent / f"turn{next(_turn)}"
    folder.mkdir()
    return folder


def test_a_restored_row_is_known_from_then_on_and_not_between(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, minutes(DAY, 1, 2, 3), DAY))
    correct(platform, tmp_path, {"sequence": 101, "day": DAY})
    between = now(platform)
    undo_batch(platform.database, 2, "it did happen")
    after = now(platform)
    for at, wanted in ((between, [100, 102]), (after, [100, 101, 102])):
        found = read.trades(NAME, START, END, as_known_at=at, database=platform.database)
        assert found["sequence"].to_pylist() == wanted
    assert platform.rows("select batch_id from raw_trades where sequence = 101") == [(1,)]


# --- aggregated trades and quotes --------------------------------------------------------------------------------


def stream(folder: Path, kind: str, rows: Sequence[tuple[int, int, str]], name: str) -> Path:
    """A capture of aggregated trades or quotes: (id, milliseconds of the day, price)."""
    path = folder / name
    with path.open("w") as out:
        for number, ms, price in rows:
            at = midnight(DAY) // 1000 + ms
            if kind == "aggTrade":
                data = {"e": kind, "E": at, "s": "BTCUSDT", "a": number, "p": price, "q": "2", "f": number, "l": number, "T": at, "m": True}
            else:
                data = {"e": kind, "E": at, "T": at, "s": "BTCUSDT", "u": number, "b": price, "B": "1", "a": "100", "A": "3"}
            message = {"stream": f"btcusdt@{kind}", "data": data}
            out.write(f"{at // 1000}.{at % 1000:03}500 {json.dumps(message)}\n")
    return path


@pytest.mark.parametrize(("kind", "name"), [("aggTrade", "agg_trades"), ("bookTicker", "quotes")])
def test_other_streams_travel_too(platform: Platform, tmp_path: Path, kind: str, name: str) -> None:
    def seen(at: datetime | None = None) -> list[dict[str, Any]]:
        if name == "quotes":
            return read.quotes(futures, START, END, as_known_at=at, database=platform.database).to_pylist()
        source = "raw_agg_trades" if at is None else f"agg_trades_as_known('{futures}', '{START}', '{END}', '{at}')"
        return read.sql(f"select * from {source} order by event_time, sequence", database=platform.database).to_pylist()  # noqa: S608

    futures = "binance-usdm:BTCUSDT"
    rows = [(n, 1000 * n, f"{n}.5") for n in range(1, 9)]
    moments = []
    for step in (
        lambda: platform.take_in(stream(tmp_path, kind, rows[:5], "one.txt"), "binance-ws"),
        lambda: platform.take_in(stream(tmp_path, kind, rows[3:], "two.txt"), "binance-ws"),
        lambda: undo_batch(platform.database, 1, "wrong recorder"),
        lambda: settle(platform),
        lambda: platform.take_in(stream(tmp_path, kind, rows[:5], "one.txt"), "binance-ws"),
        lambda: undo_batch(platform.database, 2, "wrong recorder"),
    ):
        step()
        moments.append((now(platform), seen()))
        assert_ledger(platform)
    assert [len(rows) for _, rows in moments] == [5, 8, 3, 5, 8, 5]
    for at, then in moments:
        assert seen(at) == then


# --- the knowledge horizon ---------------------------------------------------------------------------------------


def test_a_time_that_is_not_final_is_refused(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, minutes(DAY, 1, 2, 3), DAY))
    platform.refresh()
    known = now(platform)
    with platform.database.connect(Role.WRITER) as writer:
        begun = writer.execute("select transaction_timestamp()").fetchone()
        assert begun is not None
        enter(writer)
        # The load in flight will be known after it began, and nobody can say yet with what.
        for at in (begun[0], begun[0] + timedelta(microseconds=1), now(platform), now(platform) + timedelta(days=1)):
            with pytest.raises(read.NotFinalYet, match=r"is not final yet. Ask for an earlier time, or wait for the load in flight"):
                answers(platform, at)
        assert len(answers(platform, begun[0] - timedelta(microseconds=1))["trades"]) == 3
        assert len(answers(platform, known)["trades"]) == 3
    assert len(answers(platform, begun[0])["trades"]) == 3


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_an_older_picture_of_the_database_is_refused_with_the_hint(platform: Platform, level: str) -> None:
    at = now(platform)
    with platform.database.connect(Role.ANALYST) as reader:
        reader.execute(f"set transaction isolation level {level}")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match=f"in a transaction that is {level}") as refused:
            reader.execute("select * from trades_as_known(%s, %s, %s, %s)", (NAME, START, END, at))
        assert refused.value.diag.message_hint == "Ask in a transaction that is read committed."


def test_null_and_unknown_intervals_are_refused_in_words(platform: Platform) -> None:
    for statement, says in (
        ("trades_as_known('{}', '{}', '{}', null)", "what was known at null is not final yet"),
        ("bars_as_known('2m', '{}', '{}', '{}', '2020-01-01')", "there are no bars of 2m. There are 1m, 5m, 1h, 1d."),
    ):
        with pytest.raises(read.StatementRefused, match=says):
            read.sql(f"select * from {statement.format(NAME, START, END)}", database=platform.database)  # noqa: S608  # the test's own


def test_an_answer_that_was_given_never_changes_while_writers_are_at_work(platform: Platform, tmp_path: Path) -> None:
    """Readers ask as of the latest final time, by the API and in SQL of their own, and ask again when all is over."""
    take(platform, vision(tmp_path, minutes(DAY, 1, 2, 3), DAY))
    platform.refresh()
    stop = threading.Event()
    given: list[tuple[datetime, dict[str, Any]]] = []

    def own(reader: psycopg.Connection[Any], at: datetime) -> list[tuple[Any, ...]]:
        return reader.execute(
            "select sequence, price, known_at from trades_as_known(%s, %s, %s, %s)", (NAME, START, END, at)
        ).fetchall() + reader.execute(
            "select bar_start, quote_volume, known_at from bars_as_known('1m', %s, %s, %s, %s)", (NAME, START, END, at)
        ).fetchall()  # fmt: skip

    def ask() -> None:
        with platform.database.connect(Role.ANALYST, autocommit=True) as reader:
            while not stop.wait(0.03):
                # Just below the horizon: all that is in flight will be known right after it.
                at = reader.execute("select knowledge_horizon() - interval '1 microsecond'").fetchone()[0]
                with suppress(read.NotFinalYet, psycopg.errors.ObjectNotInPrerequisiteState):
                    # Refused where a writer's transaction began before that time and entered the books since.
                    given.append((at, {"own": own(reader, at), "read": answers(platform, at)}))

    readers = [threading.Thread(target=ask) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for n in range(5):
            take(platform, vision(tmp_path, minutes(DAY, *range(4 + n, 40), first_id=103 + n), DAY, "-" + "abcde"[n]))
            correct(platform, tmp_path, {"sequence": 100, "price": str(n + 7), "day": DAY, "reason": str(n)}, name=f"{n}.csv")
            platform.refresh()
            undo_batch(platform.database, batch_of(platform, -2 if n % 2 else -1), "by turns")
            settle(platform)
            platform.refresh()
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert len({str(told["own"]) for _, told in given}) > 5
    with platform.database.connect(Role.ANALYST, autocommit=True) as reader:
        for at, told in given:
            assert own(reader, at) == told["own"], at
            assert_same(answers(platform, at), told["read"], at)


# --- what changed, and why ---------------------------------------------------------------------------------------


def changes(platform: Platform, since: datetime, until: datetime, interval: str = "1m") -> dict[int, read.BarChange]:
    """The bars that differ, by the minute of the day that they start in."""
    found = read.bars_diff(NAME, interval, START, END, as_known_at=since, and_at=until, database=platform.database)
    return {int((change.bar_start - START).total_seconds()) // 60: change for change in found}


def why(change: read.BarChange) -> list[tuple[str, int | None, str | None, str | None, int]]:
    return [(cause.kind, cause.batch_id, cause.file, cause.reason, cause.trades) for cause in change.causes if cause.kind != "coverage"]


def test_every_change_of_a_bar_is_told_with_its_batch_file_and_reason(platform: Platform, tmp_path: Path) -> None:
    trades = minutes(DAY, 1.000123, 2.000456, 61.000789, 121, 181)
    moments = [now(platform)]

    def then(step: Callable[[], object]) -> None:
        step()
        settle(platform)
        platform.refresh()
        moments.append(now(platform))

    then(lambda: take(platform, rest(tmp_path, trades[:3], "BTCUSDT-page.json")))
    then(lambda: take(platform, vision(tmp_path, trades[:4], DAY)))
    rows = [
        {"sequence": 100, "price": "9.12345678", "reason": "told by the venue"},
        {"sequence": 101, "reason": "busted"},
        {"sequence": 102, "new_event_time": midnight(DAY) + 300_000_000, "reason": "stamped late"},
    ]
    then(lambda: correct(platform, tmp_path, *[{**row, "day": DAY} for row in rows]))
    then(lambda: undo_batch(platform.database, 3, "the venue took it back"))
    then(lambda: None)

    page, archive, file = "BTCUSDT-page.json", f"BTCUSDT-trades-{DAY}.zip", "corrections.csv"
    first = changes(platform, moments[0], moments[1])
    assert {at: why(change) for at, change in first.items()} == {0: [("load", 1, page, None, 2)], 1: [("load", 1, page, None, 1)]}
    assert first[0].before is None
    assert first[0].after is not None
    assert first[0].after["quote_volume"] == Decimal(8)

    # Finer times change no value of these bars; the day is claimed whole.
    second = changes(platform, moments[1], moments[2])
    assert {at: why(change) for at, change in second.items()} == {
        0: [("finer_time", 2, archive, None, 2)], 1: [("finer_time", 2, archive, None, 1)], 2: [("load", 2, archive, None, 1)],
    }  # fmt: skip
    assert {cause.kind for change in second.values() for cause in change.causes} >= {"coverage"}
    assert second[0].before is not None
    assert second[0].after is not None
    assert {name for name, value in second[0].after.items() if second[0].before[name] != value} == {"is_complete", "known_at"}

    third = changes(platform, moments[2], moments[3])
    assert {at: why(change) for at, change in third.items()} == {
        0: [("cancellation", 3, file, "busted", 1), ("correction", 3, file, "told by the venue", 1)],
        1: [("correction", 3, file, "stamped late", 1)],
        5: [("correction", 3, file, "stamped late", 1)],
    }
    assert third[0].after is not None
    assert third[0].after["close"] == Decimal("9.12345678")
    assert isinstance(third[0].after["close"], Decimal)
    assert third[1].after is None
    assert third[5].before is None

    fourth = changes(platform, moments[3], moments[4])
    back = "the venue took it back"
    assert {at: why(change) for at, change in fourth.items()} == {
        0: [("undo", 4, file, back, 2)], 1: [("undo", 4, file, back, 1)], 5: [("undo", 4, file, back, 1)],
    }  # fmt: skip
    # Corrected, and taken back again: between before and after nothing differs, and what did is told in longer bars too.
    assert changes(platform, moments[2], moments[4]) == {}
    assert changes(platform, moments[4], moments[5]) == {}
    assert changes(platform, moments[3], moments[3]) == {}
    assert [why(change) for change in changes(platform, moments[3], moments[4], "1d").values()] == [[("undo", 4, file, back, 3)]]
    assert set(changes(platform, moments[0], moments[5])) == {0, 1, 2}


def test_a_batch_that_loads_and_refines_in_one_bar_is_told_for_both(platform: Platform, tmp_path: Path) -> None:
    trades = minutes(DAY, 1.000123, 2.000456, 3)
    take(platform, rest(tmp_path, trades[:2]))
    platform.refresh()
    since = now(platform)
    take(platform, vision(tmp_path, trades, DAY))
    platform.refresh()
    [change] = changes(platform, since, now(platform)).values()
    assert [(kind, trades) for kind, _, _, _, trades in why(change)] == [("finer_time", 2), ("load", 1)]


def test_a_bar_that_went_and_came_again_is_told_with_what_brought_it_again_alone(platform: Platform, tmp_path: Path) -> None:
    trades = minutes(DAY, 1, 2)
    path = vision(tmp_path, trades, DAY)
    take(platform, path)
    platform.refresh()
    undo_batch(platform.database, 1, "wrong file")
    platform.refresh()
    since = now(platform)
    take(platform, path)
    platform.refresh()
    [change] = changes(platform, since, now(platform)).values()
    assert why(change) == [("load", 3, path.name, None, 2)]


def test_what_made_no_difference_before_is_no_cause_of_what_does_later(platform: Platform, tmp_path: Path) -> None:
    trades = minutes(DAY, 1, 2, 3, 61)
    take(platform, vision(tmp_path, trades[:2], DAY, "-a"))
    platform.refresh()
    # Of the first bar nothing is left that is new, the second is.
    take(platform, vision(tmp_path, trades[2:], DAY, "-b"))
    correct(platform, tmp_path, {"sequence": 102, "day": DAY, "reason": "busted"}, name="busted.csv")
    platform.refresh()
    since = now(platform)
    correct(platform, tmp_path, {"sequence": 100, "price": "9", "day": DAY, "reason": "told"})
    platform.refresh()
    [change] = changes(platform, since, now(platform)).values()
    assert [(kind, reason) for kind, _, _, reason, _ in why(change)] == [("correction", "told")]
    assert {cause.kind for cause in change.causes} == {"correction"}


def test_a_load_that_began_before_bars_were_made_and_ended_after_is_a_cause_of_the_next_ones(platform: Platform, tmp_path: Path) -> None:
    begun = now(platform)
    take(platform, vision(tmp_path, minutes(DAY, 1), DAY, "-a"))
    platform.refresh()
    between = now(platform)
    take(platform, vision(tmp_path, minutes(DAY, 2, first_id=101), DAY, "-b"))
    # Its stamp was drawn before those bars' own.
    platform.rows("update raw_trades set known_at = (select min(known_at) from bars_1m) - interval '1 us' where batch_id = 2 returning 1")
    platform.refresh()
    [first], [second] = (changes(platform, *span).values() for span in ((begun, between), (between, now(platform))))
    assert [(kind, batch, trades) for kind, batch, _, _, trades in why(first)] == [("load", 1, 1)]
    assert [(kind, batch, trades) for kind, batch, _, _, trades in why(second)] == [("load", 2, 1)]


def test_a_load_that_a_refresh_of_another_bar_did_not_see_is_a_cause_of_what_changes_later(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, minutes(DAY, 1, 301), DAY, "-a"))
    platform.refresh()
    take(platform, vision(tmp_path, minutes(DAY, 2, first_id=102), DAY, "-b"))
    # It had read what waits before the load committed, and changed the bar of the sixth minute alone: its number is the higher one.
    platform.rows(
        "insert into invalidation_log (logged_at, relation, instrument, day, from_time, to_time, reason)"
        " select clock_timestamp(), relation, instrument, day, %s::timestamptz, %s::timestamptz, reason"
        " from invalidation_log where relation = 'bars_1m' and reason = 'refresh' limit 1 returning 1",
        START + timedelta(minutes=5), START + timedelta(minutes=6),
    )  # fmt: skip
    between = now(platform)
    platform.refresh([DAY])
    [changed] = changes(platform, between, now(platform)).values()
    assert [(kind, batch, trades) for kind, batch, _, _, trades in why(changed)] == [("load", 2, 1)]


def test_bars_of_what_is_not_known_are_refused_as_elsewhere(platform: Platform) -> None:
    at = now(platform)
    with pytest.raises(read.UnknownInstrument):
        read.bars_diff("binance:NOSUCH", "1m", START, END, as_known_at=at, and_at=at, database=platform.database)
    with pytest.raises(read.UnknownInterval):
        changes(platform, at, at, "2m")
    with pytest.raises(read.NotFinalYet):
        changes(platform, at, at + timedelta(days=1))
    with pytest.raises(ValueError, match=r"and_at .* lies before as_known_at"):
        changes(platform, at, at - timedelta(seconds=1))


# --- killed on the way -------------------------------------------------------------------------------------------

_CHILD = """
import sys
from pathlib import Path
from rrr_assets.warehouse.books import enter
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.undo import undo_batch
from rrr_assets_tests.platform import Platform

name, home, *what = sys.argv[1:]
if what[0] == "undo":
    undo_batch(Database.current(name), int(what[1]), "wrong file")
else:
    Platform(Database.current(name), Home(Path(home))).take_in(Path(what[1]), "rrr-corrections")
"""
ALL_OF_IT = (
    "select 'now', instrument, sequence, event_time, price, size, side, null from raw_trades union all"
    " select kind, instrument, sequence, event_time, price, size, side, reason from trade_revisions order by 1, 3, 4, 5"
)


def child(platform: Platform, place: str, *what: object) -> int:
    """Do something as a process of its own that dies at a place; its exit."""
    variables = {**os.environ, "RRR_FAULT_POINT": place}
    return python(_CHILD, platform.database.name, platform.home.root, *what, environment=variables).returncode


@pytest.mark.crash
@pytest.mark.parametrize("place", ["undo.rows_moved", "undo.before_commit", "correct.applied", "load.before_commit"])
def test_killed_on_the_way_it_is_all_or_nothing_and_works_again(platform: Platform, tmp_path: Path, place: str) -> None:
    trades = minutes(DAY, 1.000123, 2.000456, 63)
    take(platform, rest(tmp_path, trades))
    take(platform, vision(tmp_path, trades, DAY))
    file = corrections(tmp_path, [{"sequence": 100, "price": "7", "day": DAY}, {"sequence": 101, "day": DAY}])
    platform.refresh()

    def all_of_it() -> list[list[tuple[Any, ...]]]:
        return [platform.rows(ALL_OF_IT), platform.rows(LEDGER), platform.rows("select count(*) from ingest_batches")]

    before, at = all_of_it(), now(platform)
    then = answers(platform, at)
    what = ("undo", 2) if place.startswith("undo") else ("correct", file)
    assert child(platform, place, *what) == -signal.SIGKILL
    assert all_of_it() == before
    assert_same(answers(platform, at), then)
    # Whoever died holds back nothing.
    assert_same(answers(platform, now(platform)), then)
    assert child(platform, "nowhere", *what) == 0
    assert all_of_it() != before
    assert prices(platform) == ({100: "1.5", 101: "2.5", 102: "3.5"} if what[0] == "undo" else {100: "7", 102: "3.5"})
    platform.refresh()
    assert_same(answers(platform, at), then)
    assert_ledger(platform)
