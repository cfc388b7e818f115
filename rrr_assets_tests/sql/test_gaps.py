"""The ledger of gaps: equal to coverage after every change, whatever comes in whatever order."""

import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from rrr_assets.calc.quality_config import DEFAULTS
from rrr_assets.warehouse.books import to_us
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.declare import Declared, declare
from rrr_assets.warehouse.gaps import (
    GapRefused,
    accept,
    claim_for_healing,
    due,
    find_missing_files,
    find_silences,
    record_attempt,
    release,
    reopen,
    sync_all,
)
from rrr_assets.warehouse.undo import undo_batch
from rrr_assets_tests.loading import DAY, DAY_US, GAPS_DIFFER, NAME, NEXT, Told, capture, ccapi, emptied, midnight, take, tape, vision
from rrr_assets_tests.platform import Platform

LIVE = "select first_missing, last_missing from gaps where kind = 'ids' and state <> 'healed' order by 1"
WHOLE = (
    "select instrument, stream, kind, from_time, to_time, first_missing, last_missing, cause, state from gaps where state <> 'healed'"
    " order by instrument, stream, from_time"
)


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


def without(trades: Iterable[Told], *ranges: tuple[int, int]) -> list[Told]:
    """The trades less those of the ids [first, last]."""
    return [told for told in trades if not any(first <= told.id <= last for first, last in ranges)]


def live(platform: Platform) -> list[tuple]:
    assert platform.rows(GAPS_DIFFER) == []
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
        assert (tried.state, tried.attempts) == ("open", 1)
        kept = connection.execute("select next_attempt_at, evidence -> 'claim' from gaps where gap_id = %s", (first.gap_id,)).fetchone()
        assert kept == (later, None)
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


def test_two_loads_of_neighbouring_days_at_once(platform: Platform, tmp_path: Path) -> None:
    one, two, three = spread(DAY, 60), spread(NEXT, 60, 1060), spread(NEXT + timedelta(days=1), 60, 1120)
    files = [
        vision(tmp_path, one[:-5], DAY),
        vision(tmp_path, without(two[5:-5], (1080, 1082)), NEXT),
        vision(tmp_path, three[5:], NEXT + timedelta(days=1)),
    ]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda path: take(platform, path), files))
    assert live(platform) == [(1055, 1064), (1080, 1082), (1115, 1124)]


def test_refused_rows_are_the_cause_of_what_they_leave(platform: Platform, tmp_path: Path) -> None:
    trades = spread(DAY)
    lines: list[Told | str] = [*without(trades, (1150, 1150))]
    lines[20] = f"1020,no-price,0.5,21000,{trades[20].us},True,True"
    take(platform, vision(tmp_path, lines, DAY))
    assert platform.rows("select first_missing, last_missing, cause from gaps order by 1") == [
        (1020, 1020, "quarantined"),
        (1150, 1150, "feed"),
    ]
    lines = [*trades]
    lines[20] = "no row at all"
    take(platform, ccapi(tmp_path, lines, f"gemini__eth-usd__{DAY}__trade.csv"))
    found = platform.rows("select kind, cause, from_time, to_time from gaps where instrument = 'gemini:ETHUSD'")
    assert [row[:2] for row in found] == [("interval", "quarantined")]


def test_twenty_thousand_holes_are_as_many_gaps(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 40_000, start_us=0, step_us=1_000_000)
    path = vision(tmp_path, trades[::2], DAY)
    take(platform, path)
    assert len(live(platform)) == 19_999
    take(platform, vision(tmp_path, trades, DAY, "-whole"))
    assert live(platform) == []
    assert platform.rows("select count(*), count(healed_at) from gaps") == [(19_999, 19_999)]


def test_a_silence_is_a_gap_until_rows_come(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 6171, start_us=0, step_us=14_000_000)
    trades = [told.at(told.us + told.id * 7919 % 13_000_000) for told in trades]
    cut = [told for told in trades if not (9000 <= (told.us - midnight(DAY)) // 1_000_000 < 9900)]
    name = f"gemini__eth-usd__{DAY}__trade.csv"
    take(platform, ccapi(tmp_path / "cut", cut, name))
    assert find_silences(platform.database, [DAY], DEFAULTS) == 1
    assert find_silences(platform.database, [DAY], DEFAULTS) == 0
    [(start, end, cause, state, evidence)] = platform.rows("select from_time, to_time, cause, state, evidence from gaps")
    before, after = max(told.us for told in cut[:700] if told.us < midnight(DAY) + 9_000_000_000), cut[cut.index(trades[0]) :]
    assert to_us(start) == before
    assert to_us(end) == min(told.us for told in after if told.us >= midnight(DAY) + 9_900_000_000) + 1
    assert (cause, state, evidence["by"]) == ("feed", "open", "silence")
    assert evidence["probability"] < 1e-9
    # A few rows in its midst leave two silences; all of them leave none.
    missing = [told for told in trades if told not in cut]
    take(platform, ccapi(tmp_path, missing[28:31], "some.csv"))
    assert find_silences(platform.database, [DAY], DEFAULTS) == 1
    assert platform.rows("select count(*) from gaps where state = 'open'") == [(2,)]
    take(platform, ccapi(tmp_path, [*missing[:28], *missing[31:]], "rest.csv"))
    assert find_silences(platform.database, [DAY], DEFAULTS) == 1
    assert platform.rows("select state, count(healed_at) from gaps group by state") == [("healed", 2)]


def test_where_all_of_a_venue_are_silent_it_is_the_venue(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 6171, start_us=0, step_us=14_000_000)
    cut = [told for told in trades if not (9000 <= (told.us - midnight(DAY)) // 1_000_000 < 9900)]
    also = [told for told in cut if not (50_000 <= (told.us - midnight(DAY)) // 1_000_000 < 51_000)]
    take(platform, ccapi(tmp_path, cut, f"gemini__eth-usd__{DAY}__trade.csv"))
    take(platform, ccapi(tmp_path, also, f"gemini__btc-usd__{DAY}__trade.csv"))
    find_silences(platform.database, [DAY], DEFAULTS)
    found = platform.rows("select instrument, from_time, cause, evidence -> 'silent_too' from gaps order by 1, 2")
    assert [(name, cause, others) for name, _, cause, others in found] == [
        ("gemini:BTCUSD", "venue_outage", ["gemini:ETHUSD"]),
        ("gemini:BTCUSD", "feed", None),
        ("gemini:ETHUSD", "venue_outage", ["gemini:BTCUSD"]),
    ]


def test_a_day_that_was_expected_and_never_came(platform: Platform, tmp_path: Path) -> None:
    days = [DAY - timedelta(days=1), DAY, NEXT, datetime.now(UTC).date()]
    take(platform, vision(tmp_path, spread(DAY), DAY))
    declare(platform.database, NAME, Declared(listed_on=DAY, delisted_on=NEXT + timedelta(days=2)))
    assert find_missing_files(platform.database, days) == 1
    assert find_missing_files(platform.database, days) == 0
    told = "select kind, from_time::date, cause, state from gaps order by gap_id"
    assert platform.rows(told) == [("file", NEXT, "file_missing", "open")]
    with platform.database.connect(Role.WRITER) as connection:
        accept(connection, 1, "there is no file", "desk")
    assert find_missing_files(platform.database, days) == 0
    later = NEXT + timedelta(days=1)
    with platform.database.connect(Role.WRITER) as connection:
        connection.execute(
            "insert into alert_mutes (scope, from_time, to_time, reason, placed_at, placed_by)"
            " values ('binance', %s, %s, 'works', now(), 'us')",
            (later, later + timedelta(days=1)),
        )
    assert find_missing_files(platform.database, [later]) == 1
    assert platform.rows(told)[1] == ("file", later, "venue_outage", "open")
    take(platform, vision(tmp_path, spread(NEXT, 10, 1200), NEXT))
    assert platform.rows("select state, healed_at is not null from gaps where gap_id = 1") == [("healed", True)]


def test_the_hours_beside_a_capture_are_missing_of_an_instrument_that_is_expected(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 100)
    take(platform, capture(tmp_path, trades, "a.txt"))
    assert platform.rows("select count(*) from gaps") == [(0,)]
    declare(platform.database, NAME, Declared(listed_on=DAY - timedelta(days=9)))
    assert sync_all(platform.database) == 1
    assert sync_all(platform.database) == 0
    found = platform.rows("select kind, from_time, to_time from gaps order by from_time")
    assert [row[0] for row in found] == ["interval", "interval"]
    assert (to_us(found[0][1]), to_us(found[1][2])) == (midnight(DAY), midnight(NEXT))
    # The next day is held: now ids tell of what lies between.
    take(platform, capture(tmp_path, tape(NEXT, 10, 1200), "b.txt"))
    assert live(platform) == [(1100, 1199)]
    kinds = platform.rows("select kind, state, count(*) from gaps where from_time < %s group by 1, 2 order by 1, 2", NEXT)
    assert kinds == [("ids", "open", 1), ("interval", "healed", 1), ("interval", "open", 1)]


def test_retention_closes_no_gap_and_opens_none(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, without(spread(DAY), (1010, 1019)), DAY))
    take(platform, ccapi(tmp_path, spread(DAY), "a.csv"))
    with platform.database.connect(Role.OWNER) as connection:
        connection.execute("update coverage set is_dropped = true")
        connection.execute("delete from raw_trades")
    before = platform.rows(WHOLE)
    assert sync_all(platform.database) == 0
    assert find_silences(platform.database, [DAY], DEFAULTS) == 0
    assert platform.rows(WHOLE) == before
