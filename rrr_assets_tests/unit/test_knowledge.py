"""The knowledge clock: what was answered as known then is answered for ever."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrr_assets.calc.knowledge import BeyondHorizon, available_at, check_final, horizon, is_believed, next_stamp

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
KEYS = 3


def at(tick: int) -> datetime:
    return EPOCH + timedelta(microseconds=tick)


@dataclass
class Version:
    """A row as one batch gave it: its key, the batch that gave it, and from when to when it was believed."""

    key: int
    batch: int
    known_at: datetime
    believed_until: datetime | None = None


@dataclass
class Batch:
    """A batch in flight. `changes` are (key, is_removed): late or corrected rows, and cancelled ones."""

    number: int
    entered: datetime
    changes: list[tuple[int, bool]]
    known_at: datetime | None = None


@dataclass
class Books:
    """Tables as the rules describe them: a batch enters, is stamped, and commits whole or is given up, side by side with others."""

    now: int = 0
    last_stamp: datetime | None = None
    in_flight: list[Batch] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    entered: int = 0

    def step(self, action: str, pick: int, changes: list[tuple[int, bool]]) -> None:
        if action == "enter":
            self.entered += 1
            self.in_flight.append(Batch(self.entered, at(self.now), changes))
        elif self.in_flight:
            batch = self.in_flight[pick % len(self.in_flight)]
            if action == "give up":
                self.in_flight.remove(batch)
            elif batch.known_at is None:
                batch.known_at = self.last_stamp = next_stamp(at(self.now), self.last_stamp)
            else:
                self.commit(batch, batch.known_at)

    def commit(self, batch: Batch, known_at: datetime) -> None:
        self.in_flight.remove(batch)
        for key, is_removed in batch.changes:
            for version in self.versions:
                if version.key == key and version.believed_until is None:
                    version.believed_until = known_at
            if not is_removed:
                self.versions.append(Version(key, batch.number, known_at))

    def horizon(self) -> datetime:
        return horizon(at(self.now), [batch.entered for batch in self.in_flight])

    def read(self, asked: datetime) -> set[tuple[int, int]]:
        check_final(asked, self.horizon())
        return {(row.key, row.batch) for row in self.versions if is_believed(asked, row.known_at, row.believed_until)}


steps = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["enter", "enter", "go on", "go on", "go on", "give up"]),
        st.integers(0, 5),
        st.lists(st.tuples(st.integers(0, KEYS - 1), st.booleans()), max_size=3, unique_by=lambda change: change[0]),
    ),
    max_size=40,
)


@given(steps)
def test_an_answer_as_known_then_never_changes(history: list[tuple[int, str, int, list[tuple[int, bool]]]]) -> None:
    books, answers = Books(), dict[int, set[tuple[int, int]]]()
    for passed, action, pick, changes in history:
        books.now += passed
        books.step(action, pick, changes)
        for tick in range(-1, books.now + 3):
            if at(tick) < books.horizon():
                assert books.read(at(tick)) == answers.setdefault(tick, books.read(at(tick)))
            else:
                # An answer once given is never refused later.
                assert tick not in answers
                with pytest.raises(BeyondHorizon):
                    books.read(at(tick))


@given(steps)
def test_the_latest_answer_is_the_current_table(history: list[tuple[int, str, int, list[tuple[int, bool]]]]) -> None:
    books = Books()
    for passed, action, pick, changes in history:
        books.now += passed
        books.step(action, pick, changes)
    while books.in_flight:
        books.now += 1
        books.step("go on", 0, [])
    # A stamp may run ahead of the clock, by a microsecond for each batch of the same one.
    books.now += books.entered + 1
    final = at(books.now - 1)
    assert books.read(final) == {(row.key, row.batch) for row in books.versions if row.believed_until is None}
    for key in range(KEYS):
        assert len([row for row in books.read(final) if row[0] == key]) <= 1


def test_the_oldest_batch_in_flight_is_the_horizon() -> None:
    assert horizon(at(9), []) == at(9)
    assert horizon(at(9), [at(7), at(3)]) == at(3)
    with pytest.raises(BeyondHorizon, match=r"before 2024-01-01T00:00:00.000003\+00:00") as caught:
        check_final(at(3), at(3))
    assert (caught.value.asked, caught.value.horizon) == (at(3), at(3))
    check_final(at(2), at(3))
    with pytest.raises(ValueError, match="needs a time zone"):
        check_final(datetime(2024, 1, 1), at(3))  # noqa: DTZ001  # what is refused


def test_a_version_is_believed_from_its_stamp_until_its_successors() -> None:
    assert [is_believed(at(tick), at(2), at(4)) for tick in range(1, 6)] == [False, True, True, False, False]
    assert [is_believed(at(tick), at(2), None) for tick in range(1, 6)] == [False, True, True, True, True]


@given(st.lists(st.integers(0, 10), min_size=1))
def test_stamps_increase_whatever_the_clock_does(clocks: list[int]) -> None:
    stamps: list[datetime] = []
    for clock in clocks:
        last = stamps[-1] if stamps else None
        stamps.append(next_stamp(at(clock), last))
        assert stamps[-1] >= at(clock)
        assert last is None or stamps[-1] > last
        if last is None or at(clock) > last:
            assert stamps[-1] == at(clock)


@given(st.integers(0, 100), st.one_of(st.none(), st.integers(0, 100)), st.one_of(st.none(), st.integers(0, 20)), st.integers(0, 9))
def test_nothing_is_available_before_it_happened(event: int, received: int | None, offset: int | None, delay: int) -> None:
    found, basis = available_at(
        at(event),
        None if received is None else at(received),
        None if offset is None else timedelta(microseconds=offset),
        timedelta(microseconds=delay),
    )
    if received is None:
        assert (found, basis) == (at(event + delay), "modelled")
    else:
        assert (found, basis) == (at(max(event, received + (offset or 0))), "observed")
