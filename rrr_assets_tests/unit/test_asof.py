"""The point-in-time join against the rule said plainly: whatever was late, tied, old, twice or unknown."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrr_assets.calc.features.asof import as_of

START = datetime(2025, 3, 3, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
MINUTE = timedelta(minutes=1)
US = timedelta(microseconds=1)
Row = tuple[str, datetime, datetime, float | None]
Moment = tuple[str, datetime]


def seen(rows: list[Row], moments: list[Moment], ttl: timedelta | None, *, by_available: bool = True) -> list[Any]:
    schema = {"instrument": pl.String, "event_time": TIME, "available_at": TIME, "value": pl.Float64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    asked = pl.DataFrame(moments, schema={"instrument": pl.String, "moment": TIME}, orient="row")
    found = as_of(asked, frame, ["value"], ttl, by_available=by_available)
    assert found.select("instrument", "moment").rows() == moments
    return found.select("event_time", "value").rows()


def plainly(rows: list[Row], moments: list[Moment], ttl: timedelta | None, *, by_available: bool) -> list[Any]:
    """The rule as it is written."""
    answers: list[Any] = []
    for instrument, moment in moments:
        may = [
            row for row in rows
            if row[0] == instrument and row[1] <= moment and (ttl is None or row[1] >= moment - ttl)
            and (row[2] <= moment or not by_available)
        ]  # fmt: skip
        last = max(may, key=lambda row: row[1], default=None)
        answers.append((None, None) if last is None else (last[1], last[3]))
    return answers


def row(minute: int, late_us: int = 0, value: float = 0.0, instrument: str = "a:B") -> Row:
    return (instrument, START + minute * MINUTE, START + minute * MINUTE + late_us * US, value or float(minute))


def test_a_row_of_the_future_is_not_seen() -> None:
    rows = [row(1), row(2, value=666)]
    assert seen(rows, [("a:B", START + 2 * MINUTE - US)], None) == [(START + MINUTE, 1.0)]
    assert seen(rows, [("a:B", START + 2 * MINUTE)], None) == [(START + 2 * MINUTE, 666.0)]


def test_a_row_that_could_not_be_used_yet_is_not_seen() -> None:
    """It closed in time, and came late: what closed before it is seen as long as that is young enough."""
    rows = [row(1, 10), row(2, 500_000_000), row(3, 10)]
    at = START + 2 * MINUTE + timedelta(seconds=30)
    assert seen(rows, [("a:B", at)], None) == [(START + MINUTE, 1.0)]
    assert seen(rows, [("a:B", at)], None, by_available=False) == [(START + 2 * MINUTE, 2.0)]
    # When it comes, what closed after it is there already.
    assert seen(rows, [("a:B", START + 2 * MINUTE + timedelta(seconds=501))], None) == [(START + 3 * MINUTE, 3.0)]


@pytest.mark.parametrize(("age", "is_seen"), [(5 * MINUTE, True), (5 * MINUTE + US, False)])
def test_a_row_at_the_edge_of_its_time_is_seen(age: timedelta, is_seen: bool) -> None:
    found = seen([row(1)], [("a:B", START + MINUTE + age)], 5 * MINUTE)
    assert found == [(START + MINUTE, 1.0) if is_seen else (None, None)]


def test_moments_that_are_asked_twice_and_instruments_that_are_not_there_are_answered() -> None:
    asked = [("a:C", START + 9 * MINUTE), ("a:B", START + 9 * MINUTE), ("a:B", START + MINUTE), ("a:B", START + 9 * MINUTE)]
    assert seen([row(1), row(2)], asked, None) == [
        (None, None),
        (START + 2 * MINUTE, 2.0),
        (START + MINUTE, 1.0),
        (START + 2 * MINUTE, 2.0),
    ]


def test_a_value_that_is_null_is_seen_as_null_and_not_as_an_older_one() -> None:
    rows = [row(1), ("a:B", START + 2 * MINUTE, START + 2 * MINUTE, None)]
    assert seen(rows, [("a:B", START + 2 * MINUTE)], None) == [(START + 2 * MINUTE, None)]


_INSTRUMENTS = st.sampled_from(["a:B", "a:C"])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_it_is_the_rule(data: st.DataObject) -> None:
    minutes = data.draw(st.lists(st.tuples(_INSTRUMENTS, st.integers(0, 12)), max_size=16, unique=True))
    late = st.sampled_from([0, 1, 60_000_000, 60_000_001, 200_000_000, 59_999_999])
    rows = [row(minute, data.draw(late), instrument=name) for name, minute in minutes]
    edge = st.sampled_from([timedelta(0), US, -US, timedelta(seconds=30)])
    moments = data.draw(
        st.lists(st.tuples(_INSTRUMENTS, st.builds(lambda n, by: START + n * MINUTE + by, st.integers(0, 16), edge)), max_size=8)
    )
    ttl = data.draw(st.sampled_from([None, timedelta(0), MINUTE, 5 * MINUTE]))
    by_available = data.draw(st.booleans())
    assert seen(rows, moments, ttl, by_available=by_available) == plainly(rows, moments, ttl, by_available=by_available)
