"""Every verdict on our bars, and what makes it change: bars and tapes set up by hand, judged by the real ledger."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from rrr_assets.calc.order import bar_start
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.information_bars import FOLLOWED
from rrr_assets.warehouse.books import log_invalidations
from rrr_assets.warehouse.compare import compare_days
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.refresh import days_behind, refresh_bars

DAY = date(2024, 3, 5)
ONE_DAY = timedelta(days=1)
MIDNIGHT = datetime(2024, 3, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
STAMP = datetime(2024, 4, 1, tzinfo=UTC)
EMPTY, CUT, BEFORE = (
    "the venue lists bars without trades",
    "the venue cuts vwap off",
    "the venue opens a bar at the close before",
)
Row = dict[str, Any]


class Books:
    """One instrument of a venue, its bars and the venue's, as they would have been loaded."""

    def __init__(self, database: Database, connection: psycopg.Connection, instrument: str) -> None:
        self.database, self.connection, self.instrument = database, connection, instrument

    def insert(self, table: str, row: Row) -> None:
        names, marks = ", ".join(row), ", ".join(f"%({name})s" for name in row)
        self.connection.execute(f"insert into {table} ({names}) values ({marks})", row)  # noqa: S608  # names of ours

    def trade(self, at: datetime, price: str, size: str = "1", side: str = "buy") -> None:
        """Store a trade and log it; the sequence is the time."""
        self.connection.execute("select ensure_day_partition('raw_trades', %s)", (at.date(),))
        row = {"instrument": self.instrument, "space": "ordinal", "sequence": int(at.timestamp() * 1e6) * 4096, "event_time": at}
        row |= {"price": Decimal(price), "size": Decimal(size), "side": side, "time_source": "venue", "available_at": at}
        self.insert("raw_trades", row | {"available_basis": "modelled", "known_at": STAMP, "batch_id": 1})
        self.invalidate("raw_trades", at.date(), at, at + timedelta(microseconds=1))

    def venue_bar(self, at: datetime, interval: str = "1m", **values: object) -> None:
        """Store a venue's bar; only what differs from a bar of one trade of 1 at 10 is given."""
        ten, one = Decimal(10), Decimal(1)
        row = {"instrument": self.instrument, "interval": interval, "bar_start": at, "open": ten, "high": ten, "low": ten, "close": ten}
        row |= {"volume": one, "quote_volume": ten, "trade_count": 1, "is_closed": True, "known_at": STAMP, "batch_id": 1}
        self.insert("venue_bars", row | {name: Decimal(v) if isinstance(v, str) else v for name, v in values.items()})
        self.invalidate("venue_bars", at.date(), at, at + timedelta(microseconds=1))

    def cover(self, *covered: tuple[datetime, datetime], stream: str = "trades", day: date = DAY, until: datetime | None = None) -> None:
        """Say what is covered, all of the day where nothing is given, and log that it changed from midnight on."""
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        whole = Multirange([Range(a, b) for a, b in covered or [(start, start + ONE_DAY)]])
        self.connection.execute(
            "insert into coverage (instrument, stream, day, space, row_count, covered, updated_at) values (%s, %s, %s, %s, 1, %s, now()) "
            "on conflict (instrument, stream, day) do update set covered = excluded.covered",
            (self.instrument, stream, day, "ordinal" if stream == "trades" else None, whole),
        )
        self.invalidate("raw_trades" if stream == "trades" else "venue_bars", day, start, until or start + ONE_DAY)

    def invalidate(self, relation: str, day: date, start: datetime, end: datetime) -> None:
        log_invalidations(self.connection, relation, [(self.instrument, day, start, end)], "test", None)

    def accept(self, start: datetime, end: datetime) -> None:
        self.connection.execute("update coverage set accepted = %s where stream = 'trades'", (Multirange([Range(start, end)]),))
        self.invalidate("raw_trades", start.date(), start, end)

    def refresh(self, days: Sequence[date] = (DAY,), *, whole_days: bool = False) -> None:
        for interval in INTERVALS:
            list(refresh_bars(self.database, interval, days, whole_days=whole_days))

    def compare(self, days: Sequence[date] = (DAY,), *, whole_days: bool = False) -> None:
        list(compare_days(self.database, days, whole_days=whole_days))

    def judge(self, days: Sequence[date] = (DAY,)) -> None:
        self.refresh(days)
        self.compare(days)

    def verdicts(self, interval: str = "1m") -> dict[datetime, tuple[str, str | None]]:
        rows = self.connection.execute(
            "select bar_start, status, rule from bar_conformance where instrument = %s and interval = %s", (self.instrument, interval)
        ).fetchall()
        return {start: (status, rule) for start, status, rule in rows}

    def row(self, at: datetime, interval: str = "1m") -> tuple[Any, ...]:
        found = self.connection.execute(
            "select status, rule, fields, ours, theirs, known_at from bar_conformance "
            "where instrument = %s and interval = %s and bar_start = %s",
            (self.instrument, interval, at),
        ).fetchone()
        assert found is not None
        return found

    def everything(self) -> list[tuple[Any, ...]]:
        return self.connection.execute("select * from bar_conformance order by instrument, interval, bar_start").fetchall()


@pytest.fixture
def venue() -> str:
    """The venue of the books, where the test names no other."""
    return "binance"


@pytest.fixture
def books(database: Database, venue: str) -> Iterator[Books]:
    """Empty books of a venue."""
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute(
            "truncate raw_trades, venue_bars, coverage, invalidation_log, invalidation_days, invalidations_applied, "
            "bars_1m, bars_5m, bars_1h, bars_1d, bar_conformance"
        )
        yield Books(database, connection, f"{venue}:ETHUSD")


on = pytest.mark.parametrize


def test_equal_bars(books: Books) -> None:
    books.trade(MIDNIGHT, "10")
    books.cover()
    # As the venue writes them: zeros at the end are no difference; what it does not give is not compared.
    books.venue_bar(MIDNIGHT, open="10.00", vwap=None, taker_buy_volume="1.000", taker_buy_quote_volume=None)
    books.cover(stream="venue_bars_1m")
    books.judge()
    status, rule, fields, ours, theirs, known_at = books.row(MIDNIGHT)
    assert (status, rule, fields, ours, theirs) == ("equal", None, None, None, None)
    assert known_at > STAMP
    [day] = compare_days(books.database, [DAY], whole_days=True)
    assert day.counts["1m"] == {"equal": 1, "explained": 0, "uncovered": 0, "unexplained": 0}
    assert sum(day.counts["5m"].values()) == 0


def test_an_equal_bar_is_equal_though_the_tape_is_not_whole(books: Books) -> None:
    books.trade(MIDNIGHT, "10")
    books.cover((MIDNIGHT, MIDNIGHT + MINUTE / 2))
    books.venue_bar(MIDNIGHT, is_closed=False)
    books.judge()
    assert books.verdicts() == {MIDNIGHT: ("equal", None)}


@on(
    ("field", "value"),
    [
        ("open", "9.5"), ("high", "10.000000000001"), ("low", "9"), ("close", "9.5"), ("volume", "1.000000000000000001"),
        ("quote_volume", "10.1"), ("vwap", "10.1"), ("trade_count", 2), ("taker_buy_volume", "0"), ("taker_buy_quote_volume", "0"),
    ],
)  # fmt: skip
def test_a_field_that_differs(books: Books, field: str, value: str | int) -> None:
    books.trade(MIDNIGHT, "10")
    books.cover()
    bounds = {"open": {"low": "9"}, "close": {"low": "9"}}.get(field, {})
    books.venue_bar(MIDNIGHT, **({"vwap": "10"} | bounds | {field: value}))
    books.cover(stream="venue_bars_1m")
    books.judge()
    status, rule, fields, ours, theirs, _ = books.row(MIDNIGHT)
    assert (status, rule) == ("unexplained", None)
    assert sorted(fields) == sorted({field, *bounds})
    assert ours == {
        "open": "10", "high": "10", "low": "10", "close": "10", "volume": "1", "quote_volume": "10", "vwap": "10", "trade_count": "1",
        "taker_buy_volume": "1", "taker_buy_quote_volume": "10",
    }  # fmt: skip
    assert theirs[field] == str(value)
    [day] = compare_days(books.database, [DAY], whole_days=True)
    assert day.unexplained == ("binance:ETHUSD 1m 2024-03-05 00:00:00+00",)


def test_values_are_kept_as_plain_strings(books: Books) -> None:
    books.trade(MIDNIGHT, "99999999999999999999999999.000000000001", "0.000000000000000010")
    books.cover()
    books.venue_bar(MIDNIGHT, high="123456789012345678901234567890.50")
    books.judge()
    _, _, _, ours, theirs, _ = books.row(MIDNIGHT)
    assert (ours["high"], ours["volume"]) == ("99999999999999999999999999.000000000001", "0.00000000000000001")
    assert theirs["high"] == "123456789012345678901234567890.5"
    assert "vwap" not in theirs


def test_a_bar_on_one_side_only(books: Books) -> None:
    ours, theirs, quiet, counted = (MIDNIGHT + n * MINUTE for n in range(4))
    books.trade(ours, "10")
    books.cover()
    books.venue_bar(theirs)
    books.venue_bar(quiet, volume="0", quote_volume="0", trade_count=0)
    books.venue_bar(counted, volume="0", quote_volume="0", trade_count=3)
    books.cover(stream="venue_bars_1m")
    books.judge()
    assert books.verdicts() == {
        ours: ("unexplained", None), theirs: ("unexplained", None), quiet: ("explained", EMPTY), counted: ("unexplained", None),
    }  # fmt: skip
    assert (books.row(ours)[2], books.row(ours)[4]) == (None, None)
    assert (books.row(theirs)[2], books.row(theirs)[3]) == (None, None)
    assert (books.row(ours)[3]["close"], books.row(theirs)[4]["close"]) == ("10", "10")
    assert books.row(quiet)[4]["volume"] == "0"


def test_where_nobody_can_say(books: Books) -> None:
    whole, half, absent, unlisted, still_open = (MIDNIGHT + n * MINUTE for n in range(5))
    for at in (whole, half, unlisted, still_open):
        books.trade(at, "10")
    books.cover((MIDNIGHT, half + MINUTE / 2), (unlisted, MIDNIGHT + ONE_DAY))
    books.venue_bar(whole)
    books.venue_bar(half, volume="2")
    books.venue_bar(absent)
    books.venue_bar(still_open, volume="0.5", is_closed=False)
    books.cover((MIDNIGHT, absent + MINUTE), (still_open, still_open + MINUTE), stream="venue_bars_1m")
    books.judge()
    no_tape = ("uncovered", "our tape does not span the bar")
    assert books.verdicts() == {
        whole: ("equal", None),
        half: no_tape,
        absent: no_tape,
        unlisted: ("uncovered", "the venue's bars do not span it"),
        still_open: ("uncovered", "the venue's bar was captured before it closed"),
    }
    assert books.row(half)[2:5] == (["volume"], books.row(half)[3], books.row(half)[4])
    assert (books.row(half)[3]["volume"], books.row(half)[4]["volume"]) == ("1", "2")


def test_a_hole_that_was_accepted_counts_as_covered(books: Books) -> None:
    books.trade(MIDNIGHT, "10")
    books.cover((MIDNIGHT + MINUTE / 2, MIDNIGHT + ONE_DAY))
    books.venue_bar(MIDNIGHT, volume="2")
    books.judge()
    assert books.verdicts()[MIDNIGHT][0] == "uncovered"
    books.accept(MIDNIGHT, MIDNIGHT + MINUTE)
    books.judge()
    assert books.verdicts()[MIDNIGHT][0] == "unexplained"


def test_a_day_without_venue_bars_has_no_verdicts(books: Books) -> None:
    books.trade(MIDNIGHT, "10")
    books.trade(MIDNIGHT + ONE_DAY, "10")
    for day in (DAY, DAY + ONE_DAY):
        books.cover(day=day)
    books.venue_bar(MIDNIGHT + ONE_DAY)
    books.venue_bar(MIDNIGHT, "15m")
    books.judge([DAY, DAY + ONE_DAY])
    assert set(books.verdicts()) == {MIDNIGHT + ONE_DAY}
    assert [books.verdicts(interval) for interval in ("5m", "15m", "1h", "1d")] == [{}, {}, {}, {}]


@on("interval", list(INTERVALS))
def test_every_interval(books: Books, interval: str) -> None:
    books.trade(MIDNIGHT + 10 * MINUTE, "10")
    books.cover()
    start = bar_start(MIDNIGHT + 10 * MINUTE, INTERVALS[interval])
    books.venue_bar(start, interval)
    books.judge()
    assert {each: books.verdicts(each) for each in INTERVALS if books.verdicts(each)} == {interval: {start: ("equal", None)}}


# Kraken


@on("venue", ["kraken"])
@on(
    ("size", "theirs", "status"),
    [
        # 10 and 11 for 1 and 2: vwap is 10.66666...
        ("2", "10.66666", "explained"),
        ("2", "10.66667", "unexplained"),
        ("2", "10.66665", "unexplained"),
        ("2", "10.6", "unexplained"),
        ("1", "10.50000", "equal"),
    ],
)
def test_kraken_cuts_vwap_off(books: Books, size: str, theirs: str, status: str) -> None:
    books.trade(MIDNIGHT, "10")
    books.trade(MIDNIGHT + timedelta(seconds=1), "11", size)
    books.cover()
    sums = {"high": "11", "close": "11", "volume": Decimal(size) + 1, "quote_volume": None, "trade_count": 2}
    books.venue_bar(MIDNIGHT, vwap=theirs, **sums)
    # The venue's other bars of the day show how many decimals it prints.
    books.venue_bar(MIDNIGHT + MINUTE, "5m", vwap="10.12345", high="10.2")
    books.judge()
    assert books.verdicts()[MIDNIGHT] == (status, CUT if status == "explained" else None)


@on("venue", ["kraken"])
def test_kraken_cuts_off_the_exact_quotient(books: Books) -> None:
    # 0.99999999999999: rounded to 12 decimals it is 1, and cutting that off would say 1.
    books.trade(MIDNIGHT, "0.999999999999", "1")
    books.trade(MIDNIGHT + timedelta(seconds=1), "1", "99")
    books.cover()
    tick = {"open": "0.999999999999", "low": "0.999999999999", "high": "1", "close": "1", "volume": "100", "quote_volume": None}
    books.venue_bar(MIDNIGHT, vwap="0.999999999999", trade_count=2, **tick)
    books.judge()
    assert books.verdicts()[MIDNIGHT] == ("explained", CUT)


@on("venue", ["kraken"])
def test_kraken_cutting_explains_nothing_else(books: Books) -> None:
    books.trade(MIDNIGHT, "10")
    books.trade(MIDNIGHT + timedelta(seconds=1), "11", "2")
    books.cover()
    books.venue_bar(MIDNIGHT, high="12", close="11", volume="3", quote_volume=None, trade_count=2, vwap="10.66666")
    books.judge()
    assert books.verdicts()[MIDNIGHT] == ("unexplained", None)
    assert books.row(MIDNIGHT)[2] == ["high", "vwap"]


def test_other_venues_do_not_cut_off(books: Books) -> None:
    books.trade(MIDNIGHT, "10")
    books.trade(MIDNIGHT + timedelta(seconds=1), "11", "2")
    books.cover()
    books.venue_bar(MIDNIGHT, high="11", close="11", volume="3", quote_volume="32", trade_count=2, vwap="10.66666")
    books.judge()
    assert books.verdicts()[MIDNIGHT] == ("unexplained", None)


# Gemini


def two_minutes(books: Books, *, second: str = "10") -> datetime:
    """A trade at 12 in one minute, at `second` in the next but one; the start of the latter."""
    books.trade(MIDNIGHT, "12")
    start = MIDNIGHT + 2 * MINUTE
    books.trade(start, second)
    books.cover()
    return start


@on("venue", ["gemini"])
@on(
    ("bar", "status"),
    [
        ({"open": "12", "high": "12"}, "explained"),
        # The close before belongs to the range of the bar.
        ({"open": "12", "high": "13"}, "unexplained"),
        ({"open": "11", "high": "11"}, "unexplained"),
        ({"open": "12", "high": "12", "close": "12"}, "unexplained"),
        ({"open": "12", "high": "12", "volume": "2"}, "unexplained"),
        ({}, "equal"),
    ],
)
def test_gemini_opens_at_the_close_before(books: Books, bar: Row, status: str) -> None:
    start = two_minutes(books)
    books.venue_bar(start, **bar)
    books.judge()
    assert books.verdicts()[start] == (status, BEFORE if status == "explained" else None)


@on("venue", ["gemini"])
def test_gemini_looks_across_midnight(books: Books) -> None:
    last = MIDNIGHT + ONE_DAY - MINUTE
    books.trade(last, "12")
    books.trade(MIDNIGHT + ONE_DAY, "10")
    for day in (DAY, DAY + ONE_DAY):
        books.cover(day=day)
    books.venue_bar(MIDNIGHT + ONE_DAY, open="12", high="12")
    books.judge([DAY, DAY + ONE_DAY])
    assert books.verdicts() == {MIDNIGHT + ONE_DAY: ("explained", BEFORE)}
    # A late trade of the evening is the close before; only the evening's day is looked at again.
    books.trade(last + timedelta(seconds=30), "13")
    books.judge([DAY])
    assert books.verdicts() == {MIDNIGHT + ONE_DAY: ("unexplained", None)}


@on("venue", ["gemini"])
def test_gemini_where_the_close_before_is_not_known(books: Books) -> None:
    start = two_minutes(books)
    books.venue_bar(start, open="11", high="11")
    # Between the two bars something is missing, so the close before may have been another.
    books.cover((MIDNIGHT, MIDNIGHT + MINUTE), (start, MIDNIGHT + ONE_DAY))
    books.judge()
    assert books.verdicts()[start] == ("uncovered", "our tape does not reach back to the close before")
    books.cover()
    books.judge()
    assert books.verdicts()[start] == ("unexplained", None)
    # Nor is it of the first bar of all.
    books.venue_bar(MIDNIGHT, open="11", high="12", low="11", close="12", quote_volume="12")
    books.judge()
    assert books.verdicts()[MIDNIGHT] == ("uncovered", "our tape does not reach back to the close before")


def test_other_venues_do_not_open_at_the_close_before(books: Books) -> None:
    start = two_minutes(books)
    books.venue_bar(start, open="12", high="12")
    books.judge()
    assert books.verdicts()[start] == ("unexplained", None)


# What changes a verdict


def test_late_trades_heal_a_verdict(books: Books) -> None:
    books.trade(MIDNIGHT, "10")
    books.cover((MIDNIGHT + MINUTE, MIDNIGHT + ONE_DAY))
    books.venue_bar(MIDNIGHT, high="11", close="11", volume="2", quote_volume="21", trade_count=2)
    books.venue_bar(MIDNIGHT + MINUTE, volume="0", quote_volume="0", trade_count=0)
    books.judge()
    untouched = books.row(MIDNIGHT + MINUTE)
    assert books.verdicts()[MIDNIGHT][0] == "uncovered"
    books.trade(MIDNIGHT + timedelta(seconds=1), "11")
    books.cover(until=MIDNIGHT + MINUTE)
    # The tape is whole before the bar is made again: that is no finding, in whatever order the two are brought up to date.
    books.compare()
    books.compare(whole_days=True)
    assert books.verdicts()[MIDNIGHT][0] == "uncovered"
    assert DAY in days_behind(books.database, 10, timedelta(0))
    books.judge()
    assert books.verdicts()[MIDNIGHT] == ("equal", None)
    assert books.row(MIDNIGHT + MINUTE) == untouched
    with patch.dict(FOLLOWED, clear=True):  # bars by what was traded have tests of their own
        assert not days_behind(books.database, 10, timedelta(0))


def test_a_bar_that_was_not_made_yet_is_no_finding(books: Books) -> None:
    books.trade(MIDNIGHT, "10")
    books.cover()
    books.venue_bar(MIDNIGHT)
    books.compare()
    assert books.verdicts() == {MIDNIGHT: ("uncovered", "our tape does not span the bar")}
    books.judge()
    assert books.verdicts() == {MIDNIGHT: ("equal", None)}


def test_coverage_alone_changes_a_verdict(books: Books) -> None:
    books.trade(MIDNIGHT, "10")
    books.cover((MIDNIGHT, MIDNIGHT + MINUTE))
    books.venue_bar(MIDNIGHT)
    books.venue_bar(MIDNIGHT + MINUTE, volume="0", quote_volume="0", trade_count=0)
    books.judge()
    assert books.verdicts()[MIDNIGHT + MINUTE][0] == "uncovered"
    # No bar changes, for there is none.
    books.cover()
    books.judge()
    assert books.verdicts()[MIDNIGHT + MINUTE] == ("explained", EMPTY)


def test_the_venues_final_word_changes_a_verdict(books: Books) -> None:
    books.trade(MIDNIGHT, "10")
    books.cover()
    books.venue_bar(MIDNIGHT, volume="0.5", is_closed=False)
    books.judge()
    assert books.verdicts()[MIDNIGHT][0] == "uncovered"
    books.connection.execute("update venue_bars set volume = 1, is_closed = true")
    books.invalidate("venue_bars", DAY, MIDNIGHT, MIDNIGHT + MINUTE)
    books.judge()
    assert books.verdicts()[MIDNIGHT] == ("equal", None)


def test_judging_again_changes_nothing(books: Books) -> None:
    for minute, theirs in enumerate(["1", "2", "0", "3"]):
        books.trade(MIDNIGHT + minute * MINUTE, "10")
        books.venue_bar(MIDNIGHT + minute * MINUTE, volume=theirs)
    books.venue_bar(MIDNIGHT + 9 * MINUTE, volume="0", quote_volume="0", trade_count=0)
    books.cover((MIDNIGHT, MIDNIGHT + 3 * MINUTE + MINUTE / 2), (MIDNIGHT + 9 * MINUTE, MIDNIGHT + ONE_DAY))
    books.cover(stream="venue_bars_1m")
    books.judge()
    found = books.everything()
    assert {row[3] for row in found} == {"equal", "explained", "uncovered", "unexplained"}
    books.judge()
    books.compare(whole_days=True)
    books.refresh(whole_days=True)
    books.compare(whole_days=True)
    assert books.everything() == found


def test_verdicts_vanish_with_the_venues_bars(books: Books) -> None:
    for minute in range(3):
        books.trade(MIDNIGHT + minute * MINUTE, "10")
        books.venue_bar(MIDNIGHT + minute * MINUTE)
    books.cover()
    books.judge()
    assert len(books.verdicts()) == 3
    kept = books.row(MIDNIGHT)
    books.connection.execute("delete from venue_bars where bar_start > %s", (MIDNIGHT,))
    books.invalidate("venue_bars", DAY, MIDNIGHT, MIDNIGHT + ONE_DAY)
    books.judge()
    # The venue's bars span the rest no more, so ours stand alone there without contradicting anything.
    assert {at: verdict[0] for at, verdict in books.verdicts().items()} == {
        MIDNIGHT: "equal", MIDNIGHT + MINUTE: "uncovered", MIDNIGHT + 2 * MINUTE: "uncovered",
    }  # fmt: skip
    assert books.row(MIDNIGHT) == kept
    books.connection.execute("delete from venue_bars")
    books.invalidate("venue_bars", DAY, MIDNIGHT, MIDNIGHT + ONE_DAY)
    books.judge()
    assert books.verdicts() == {}


def test_one_instrument_alone(books: Books) -> None:
    for instrument in ("binance:AAAUSDT", "binance:BBBUSDT"):
        books.instrument = instrument
        books.trade(MIDNIGHT, "10")
        books.cover()
        books.venue_bar(MIDNIGHT)
    books.refresh()
    [day] = compare_days(books.database, [DAY], whole_days=False, instruments=["binance:BBBUSDT"])
    assert day.counts["1m"]["equal"] == 1
    [day] = compare_days(books.database, [DAY], whole_days=False)
    assert day.counts["1m"]["equal"] == 2
