"""Time travel: what was read at a time is read the same ever after, whatever was loaded, corrected or taken back since."""

import csv
import itertools
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rrr_assets import read
from rrr_assets.calc.order import Trade, bars_from_trades
from rrr_assets.calc.outcomes import DayLoaded
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.load import load_day
from rrr_assets.warehouse.tick_tables import TICK_TABLES
from rrr_assets.warehouse.undo import undo_batch
from rrr_assets_tests.loading import CONSERVED, DAY, NAME, NEXT, Told, capture, emptied, midnight, rest, take, vision
from rrr_assets_tests.platform import Platform

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
        if self.files:
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
    if history.files:
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
