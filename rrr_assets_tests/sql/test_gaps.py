"""The ledger of gaps: equal to coverage after every change, whatever comes in whatever order."""

import random
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.gaps import GapRefused, accept, claim_for_healing, due, record_attempt, release, reopen, sync_all
from rrr_assets.warehouse.undo import undo_batch
from rrr_assets_tests.loading import DAY, DAY_US, NEXT, Told, capture, ccapi, emptied, midnight, take, tape, vision
from rrr_assets_tests.platform import Platform

LIVE = "select first_missing, last_missing from gaps where kind = 'ids' and state <> 'healed' order by 1"
WHOLE = (
    "select instrument, stream, kind, from_time, to_time, first_missing, last_missing, cause, state from gaps where state <> 'healed'"
    " order by instrument, stream, from_time"
)
DIFFERS = """
    with wanted as (
        select instrument, stream, unnest(missing_ids) as ids from coverage where row_count > 0
        union all
        select b.instrument, b.stream, int8range(a.last_sequence + 1, b.first_sequence)
        from coverage as a
        inner join coverage as b on a.instrument = b.instrument and a.stream = b.stream and a.day + 1 = b.day and a.space = b.space
        where a.space <> 'ordinal' and a.row_count > 0 and b.row_count > 0 and b.first_sequence > a.last_sequence + 1
    ), listed as (
        select instrument, stream, int8range(first_missing, last_missing, '[]') as ids from gaps where kind = 'ids' and state <> 'healed'
    )
    select coalesce(w.instrument, l.instrument), w.ids, l.ids
    from (select instrument, stream, range_agg(ids) as ids, sum(upper(ids) - lower(ids)) as n from wanted group by 1, 2) as w
    full join (select instrument, stream, range_agg(ids) as ids, sum(upper(ids) - lower(ids)) as n from listed group by 1, 2) as l
        using (instrument, stream)
    where w.ids is distinct from l.ids or w.n is distinct from l.n
"""


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


def without(trades: Iterable[Told], *ranges: tuple[int, int]) -> list[Told]:
    """The trades less those of the ids [first, last]."""
    return [told for told in trades if not any(first <= told.id <= last for first, last in ranges)]


def live(platform: Platform) -> list[tuple]:
    assert platform.rows(DIFFERS) == []
    return platform.rows(LIVE)


def spread(day: date, count: int = 200, first_id: int = 1000) -> list[Told]:
    return tape(day, count, first_id, start_us=0, step_us=DAY_US // count)


def test_missing_ids_are_gaps_with_the_rows_on_both_sides(platform: Platform, tmp_path: Path) -> None:
    trades = spread(DAY)
    take(platform, vision(tmp_path, without(trades, (1010, 1019), (1050, 1050)), DAY))
    assert live(platform) == [(1010, 1019), (1050, 1050)]
    [(start, end, cause, state, stream)] = platform.rows(
        "select from_time, to_time, cause, state, stream from gaps where first_missing = 1010"
    )
    base = midnight(DAY)
    assert (int(start.timestamp() * 1e6 + 0.5) - base, int(end.timestamp() * 1e6 + 0.5) - base) == (
        trades[9].us - base,
        trades[20].us + 1 - base,
    )
    assert (cause, state, stream) == ("feed", "open", "trades")


def test_a_gap_shrinks_splits_and_heals(platform: Platform, tmp_path: Path) -> None:
    trades = spread(DAY)
    take(platform, vision(tmp_path, without(trades, (1010, 1029)), DAY))
    seen = platform.rows("select gap_id, first_seen from gaps")
    take(platform, capture(tmp_path, trades[12:14], "a.txt"))
    assert live(platform) == [(1010, 1011), (1014, 1029)]
    take(platform, capture(tmp_path, trades[20:25], "b.txt"))
    assert live(platform) == [(1010, 1011), (1014, 1019), (1025, 1029)]
    assert platform.rows("select distinct first_seen from gaps") == [(seen[0][1],)]
    assert platform.rows("select evidence ->> 'split_from' from gaps order by gap_id") == [(None,), ("1",), ("2",)]
    take(platform, capture(tmp_path, trades[:15], "c.txt"))
    assert live(platform) == [(1015, 1019), (1025, 1029)]
    take(platform, vision(tmp_path, trades, DAY, "-whole"))
    assert live(platform) == []
    assert platform.rows("select count(*), count(healed_at) from gaps") == [(3, 3)]


@pytest.mark.parametrize("is_late_first", [False, True])
def test_what_is_missing_across_midnight_is_one_gap(platform: Platform, tmp_path: Path, is_late_first: bool) -> None:
    one, two = spread(DAY), spread(NEXT, first_id=1200)
    files = [vision(tmp_path, one[:-10], DAY), vision(tmp_path, two[5:], NEXT)]
    for path in reversed(files) if is_late_first else files:
        take(platform, path)
    assert live(platform) == [(1190, 1204)]
    [(start, end)] = platform.rows("select from_time, to_time from gaps")
    assert (start.date(), end.date()) == (DAY, NEXT)
    take(platform, capture(tmp_path, one[-3:], "a.txt"))
    assert live(platform) == [(1190, 1196), (1200, 1204)]
    take(platform, capture(tmp_path, two[1:3], "b.txt"))
    assert live(platform) == [(1190, 1196), (1200, 1200), (1203, 1204)]
    take(platform, capture(tmp_path, [*one[-10:], *two[:5]], "c.txt"))
    assert live(platform) == []


@pytest.mark.parametrize("seed", range(4))
def test_the_ledger_equals_coverage_over_random_loads(platform: Platform, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    trades = [*spread(DAY, 60), *spread(NEXT, 60, 1060)]
    for turn in range(14):
        some = sorted(rng.sample(range(len(trades)), rng.randrange(1, 40)))
        take(platform, capture(tmp_path, [trades[n] for n in some], f"{turn}.txt"))
        if turn % 5 == 4:
            [(batch,)] = platform.rows(
                "select max(batch_id) from ingest_batches as b where undoes_batch_id is null and rows_stored > 0"
                " and not exists (select 1 from ingest_batches as u where u.undoes_batch_id = b.batch_id)"
            )
            undo_batch(platform.database, batch, "a test")
        live(platform)
    take(platform, vision(tmp_path, trades[:60], DAY))
    take(platform, vision(tmp_path, trades[60:], NEXT))
    assert live(platform) == []


def test_sync_all_finds_what_was_there_before_there_was_a_ledger(platform: Platform, tmp_path: Path) -> None:
    one, two = spread(DAY), spread(NEXT, first_id=1200)
    take(platform, vision(tmp_path, without(one[:-10], (1010, 1019)), DAY))
    take(platform, vision(tmp_path, without(two[5:], (1300, 1304)), NEXT))
    # Another day of a feed without ids, seen in two parts.
    take(platform, ccapi(tmp_path, [*one[:20], *one[40:60]], "a.csv"))
    take(platform, ccapi(tmp_path, one[100:120], "b.csv"))
    known = platform.rows(WHOLE)
    assert sync_all(platform.database) == 0
    with platform.database.connect(Role.WRITER) as connection:
        connection.execute("delete from gaps where first_missing is distinct from 1300")
    assert sync_all(platform.database) == 2
    assert platform.rows(WHOLE) == known
    assert sync_all(platform.database) == 0
    with platform.database.connect(Role.WRITER) as connection:
        connection.execute("update gaps set first_missing = 5, last_missing = 9 where first_missing = 1300")
    assert sync_all(platform.database) == 1
    assert platform.rows(WHOLE) == known


def test_healing_claims_tries_and_gives_back(platform: Platform, tmp_path: Path) -> None:
    trades = spread(DAY)
    take(platform, vision(tmp_path, without(trades, (1010, 1019), (1050, 1050)), DAY))
    now = datetime.now(UTC)
    with platform.database.connect(Role.WRITER, autocommit=True) as connection:
        first, second = due(connection, 10)
        assert [gap.gap_id for gap in claim_for_healing(connection, [first.gap_id, second.gap_id], "run-1")] == [
            first.gap_id,
            second.gap_id,
        ]
        assert due(connection, 10) == []
        assert claim_for_healing(connection, [first.gap_id], "run-2") == []
        # The run died: its claim ends by itself.
        later = now + timedelta(hours=1)
        assert [gap.gap_id for gap in claim_for_healing(connection, [first.gap_id], "run-2", now=later)] == [first.gap_id]
        release(connection, [first.gap_id, second.gap_id], "run-1")
        states = {gap.gap_id: gap.state for gap in due(connection, 10, later + timedelta(hours=1))}
        assert states == {first.gap_id: "healing", second.gap_id: "open"}
        tried = record_attempt(
            connection, first.gap_id, source="mirror", outcome="healed", reason=None, rows_fetched=0, seconds=1.5, run_id="run-2",
            next_attempt_at=later,
        )  # fmt: skip
        assert (tried.state, tried.attempts, tried.next_attempt_at, tried.evidence.get("claim")) == ("open", 1, later, None)
        assert [gap.gap_id for gap in due(connection, 10)] == [second.gap_id]
        claim_for_healing(connection, [second.gap_id], "run-3")
        take(platform, capture(tmp_path, [told for told in trades if told.id == 1050], "a.txt"))
        done = record_attempt(
            connection, second.gap_id, source="rest", outcome="healed", reason=None, rows_fetched=1, seconds=0.1, run_id="run-3"
        )
        assert done.state == "healed"
        with pytest.raises(GapRefused, match="no gap 77"):
            record_attempt(connection, 77, source="rest", outcome="failed", reason="404", rows_fetched=0, seconds=0.1, run_id=None)
    tries = platform.rows("select gap_id, source, outcome, rows_fetched, run_id from gap_attempts order by attempt_id")
    assert tries == [(first.gap_id, "mirror", "failed", 0, "run-2"), (second.gap_id, "rest", "healed", 1, "run-3")]


def test_what_is_accepted_stays_accepted_and_makes_bars_complete(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 400, step_us=1_000_000)
    take(platform, vision(tmp_path, without(trades, (1100, 1109)), DAY))
    platform.refresh()
    unknown = "select count(*) from bars_1m where not is_complete"
    assert platform.rows(unknown) == [(1,)]
    with platform.database.connect(Role.WRITER) as connection:
        gap = accept(connection, 1, "the venue says so", "desk")
    assert (gap.state, gap.first_missing) == ("accepted", 1100)
    platform.refresh()
    assert platform.rows(unknown) == [(0,)]
    take(platform, vision(tmp_path, without(trades, (1100, 1109)), DAY, "-again"))
    take(platform, capture(tmp_path, trades[105:107], "a.txt"))
    assert live(platform) == [(1100, 1104), (1107, 1109)]
    assert platform.rows("select distinct state, accepted_by, accepted_reason from gaps") == [("accepted", "desk", "the venue says so")]
    with platform.database.connect(Role.WRITER) as connection:
        with pytest.raises(GapRefused, match="gap 1 is accepted"):
            accept(connection, 1, "again", "desk")
        assert reopen(connection, 1).state == "open"
    platform.refresh()
    assert platform.rows(unknown) == [(1,)]
    take(platform, vision(tmp_path, trades, DAY, "-whole"))
    assert platform.rows("select state, count(healed_at) from gaps group by state") == [("healed", 2)]


def test_what_was_taken_back_is_withdrawn_and_not_healed(platform: Platform, tmp_path: Path) -> None:
    trades = spread(DAY)
    take(platform, vision(tmp_path, without(trades, (1010, 1019)), DAY))
    undo_batch(platform.database, 1, "a test")
    assert live(platform) == []
    assert platform.rows("select state, healed_at, evidence ? 'withdrawn' from gaps") == [("healed", None, True)]
    take(platform, capture(tmp_path, without(trades, (1010, 1019)), "a.txt"))
    assert live(platform) == [(1010, 1019)]
