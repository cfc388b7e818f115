"""Loading trades: each once, whatever the form, the order and the number of times a file comes."""

import random
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rrr_assets.simulator import simulate
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.load import load_day
from rrr_assets_tests.loading import (
    CONSERVED,
    DAY,
    DAY_US,
    NAME,
    NEXT,
    OLD_DAY,
    Told,
    capture,
    ccapi,
    emptied,
    held,
    midnight,
    rest,
    take,
    tape,
    vision,
    windows,
)
from rrr_assets_tests.platform import Platform

GEMINI = "gemini:ETHUSD"


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


def utc(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


# --- the same rows again -----------------------------------------------------------------------------------------


def test_the_same_file_again_stores_nothing_and_logs_nothing(platform: Platform, tmp_path: Path) -> None:
    path = vision(tmp_path, tape(DAY, 500), DAY)
    assert take(platform, path) == [(500, 0, 0, 0)]
    before, last = platform.trades_hash(), platform.rows("select max(invalidation_id) from invalidation_log")[0][0]
    stamps = platform.rows("select distinct known_at, batch_id from raw_trades")
    assert take(platform, path) == [(0, 0, 500, 0)]
    assert platform.trades_hash() == before
    assert platform.rows("select distinct known_at, batch_id from raw_trades") == stamps
    assert platform.rows("select count(*) from invalidation_log where invalidation_id > %s", last) == [(0,)]


@pytest.mark.parametrize("seed", [1])
def test_simulated_days_with_every_defect_end_in_the_same_trades_whatever_the_order(platform: Platform, tmp_path: Path, seed: int) -> None:
    made = simulate(
        tmp_path / "out", [OLD_DAY, DAY, NEXT], [NAME, "binance-usdm:BTCUSDT", GEMINI], 6000, seed,
        defects=("duplicate", "bad-rows", "late", "shuffled", "renamed"),
    )  # fmt: skip
    files = [(f.path, f.format, None) for f in made.files if f.interval is None]
    # A copy under another name says nothing of what it holds.
    files = [
        (f.rename(f.with_name("copy.csv")), form, GEMINI) if f.match("renamed/gemini*") else (f, form, given) for f, form, given in files
    ]
    hashes = set()
    for turn in range(2):
        mine = emptied(platform.database, _folder(tmp_path, turn))
        random.Random(seed * 10 + turn).shuffle(files)
        for path, form, given_instrument in files:
            mine.take_in(path, form, given_instrument)
        hashes.add(mine.trades_hash())
        stored = mine.rows("select instrument, (event_time at time zone 'UTC')::date, count(*) from raw_trades group by 1, 2 order by 1, 2")
        assert stored == sorted((name, day, count) for name, days in made.trades.items() for day, count in days.items())
        assert mine.rows(CONSERVED) == [(0,)]
        assert mine.rows("select distinct reason from quarantine where reason like '%conflict%'") == []
        assert mine.rows("select missing_ids from coverage where not isempty(missing_ids)") == []
    assert len(hashes) == 1


def _folder(parent: Path, turn: int) -> Path:
    folder = parent / f"turn{turn}"
    folder.mkdir()
    return folder


def test_three_forms_of_a_day_give_the_same_trades_in_any_order(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 300)
    files = {
        "capture": capture(tmp_path, trades[:200]),
        "rest": rest(tmp_path, trades[100:]),
        "vision": vision(tmp_path, trades, DAY),
    }
    hashes = set()
    for turn, order in enumerate(permutations(files)):
        mine = emptied(platform.database, _folder(tmp_path, turn))
        for form in order:
            take(mine, files[form])
        hashes.add(mine.trades_hash())
        assert mine.rows("select count(*) from quarantine") == [(0,)], order
        first_vision = order.index("vision")
        revised = 300 if first_vision == 2 else {("capture", 1): 200, ("rest", 1): 200}.get((order[0], first_vision), 0)
        # Times that are whole milliseconds cannot be told more finely.
        whole = sum(t.us % 1000 == 0 for t in trades)
        assert revised - whole <= mine.rows("select count(*) from trade_revisions")[0][0] <= revised, order
    assert len(hashes) == 1


def test_the_finer_time_wins_and_what_it_replaced_is_kept_with_its_interval(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 50)
    take(platform, capture(tmp_path, trades))
    [(known, batch)] = platform.rows("select distinct known_at, batch_id from raw_trades")
    assert take(platform, vision(tmp_path, trades, DAY)) == [(0, 49, 1, 0)]
    found = platform.rows("select kind, known_at, believed_until, batch_id, ended_by_batch_id, available_basis from trade_revisions")
    assert len(found) == 49
    [(new_known, new_batch)] = platform.rows(
        "select distinct known_at, batch_id from raw_trades where event_time_ns is null and batch_id <> %s", batch
    )
    assert set(found) == {("finer_time", known, new_known, batch, new_batch, "observed")}
    assert platform.rows("select sequence, event_time from raw_trades order by 1") == [(t.id, utc(t.us)) for t in trades]
    assert [row[0] for row in platform.rows("select event_time from trade_revisions order by sequence")] == [
        utc(t.us - t.us % 1000) for t in trades if t.us % 1000
    ]


def test_ids_that_run_across_midnight_are_stored_on_the_day_of_their_time(platform: Platform, tmp_path: Path) -> None:
    around = tape(DAY, 100, start_us=DAY_US - 50 * 1_234_567)
    assert {t.us >= midnight(NEXT) for t in around} == {True, False}
    take(platform, capture(tmp_path, around))
    total = platform.trades_hash()
    assert take(platform, rest(tmp_path, around)) == [(0, 0, 50, 0), (0, 0, 50, 0)]
    assert platform.trades_hash() == total
    assert platform.rows("select day, row_count from coverage order by day") == [(DAY, 50), (NEXT, 50)]
    # Whole across midnight, open at the two outer ends.
    assert held(platform, DAY)[1] == [(around[0].us // 1000 * 1000 - midnight(DAY) + 1, DAY_US)]
    assert held(platform, NEXT)[1] == [(0, around[-1].us // 1000 * 1000 - midnight(NEXT))]


def test_duplicates_within_a_file_are_counted_and_stored_once(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 60)
    assert take(platform, vision(tmp_path, [*trades[:30], *trades[10:60], trades[59]], DAY)) == [(60, 0, 21, 0)]
    assert held(platform, DAY)[1:3] == ([(0, DAY_US)], [])


def test_a_shuffled_file_stores_and_covers_the_same(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 400)
    take(platform, vision(tmp_path, trades, DAY))
    wanted = platform.trades_hash(), held(platform, DAY)
    mine = emptied(platform.database, _folder(tmp_path, 0))
    random.Random(3).shuffle(trades)
    take(mine, vision(tmp_path, trades, DAY))
    assert (mine.trades_hash(), held(mine, DAY)) == wanted


# --- conflicts ---------------------------------------------------------------------------------------------------


def test_another_price_of_the_same_id_is_a_conflict_with_both_sides_shown_and_the_stored_row_stays(
    platform: Platform, tmp_path: Path
) -> None:
    trades = tape(DAY, 20)
    take(platform, vision(tmp_path, trades, DAY))
    before = platform.trades_hash()
    wrong = Told(trades[5].id, trades[5].us, "1.25", "7")
    assert take(platform, vision(tmp_path, [*trades[:5], wrong], DAY, "-second")) == [(0, 0, 5, 1)]
    assert platform.trades_hash() == before
    [(line, reason, detail, raw, sequence)] = platform.rows("select line, reason, detail, raw, sequence from quarantine")
    assert (line, reason, sequence) == (6, "conflict", wrong.id)
    assert raw == f"{wrong.id},1.25,7,1.25,{wrong.us},False,True"
    assert "1.25 x 7 buy here" in detail
    assert f"{trades[5].price} x {trades[5].size}" in detail
    # A conflict is no hole: the trade is there.
    assert held(platform, DAY)[1:3] == ([(0, DAY_US)], [])


def test_a_conflict_in_a_list_shows_its_element(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 5)
    take(platform, vision(tmp_path, trades, DAY))
    take(platform, rest(tmp_path, [trades[0], Told(trades[1].id, trades[1].us, "3")]))
    [(line, raw)] = platform.rows("select line, raw from quarantine")
    assert line == 2
    assert '"price":"3"' in raw


def test_a_time_that_is_another_and_not_a_coarser_one_is_a_conflict(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 5)
    take(platform, vision(tmp_path, trades, DAY))
    assert take(platform, rest(tmp_path, [trades[2].at(trades[2].us + 1000)])) == [(0, 0, 0, 1)]
    assert take(platform, vision(tmp_path, [trades[2].at(trades[2].us + 1)], DAY, "-other")) == [(0, 0, 0, 1)]


def test_two_values_of_one_id_within_a_file_keep_the_first_or_the_one_that_is_known(platform: Platform, tmp_path: Path) -> None:
    good, other = Told(7, midnight(DAY) + 5), Told(7, midnight(DAY) + 5, "9")
    assert take(platform, vision(tmp_path, [good, other], DAY)) == [(1, 0, 0, 1)]
    assert "line 1 of this file" in platform.rows("select detail from quarantine")[0][0]
    assert take(platform, vision(tmp_path, [other, good], DAY, "-turned")) == [(0, 0, 1, 1)]
    assert platform.rows("select trim_scale(price)::text from raw_trades") == [("42000.1",)]


# --- what was ended ----------------------------------------------------------------------------------------------


def end(platform: Platform, sequence: int, kind: str, new_price: str | None = None) -> None:
    """Cancel or correct a stored trade by hand."""
    with platform.database.connect(Role.OWNER) as connection:
        connection.execute(
            "insert into trade_revisions (instrument, space, sequence, event_time, event_time_ns, time_source, price, size, side,"
            " conditions, received_at, available_at, available_basis, known_at, batch_id, kind, believed_until, ended_by_batch_id)"
            " select t.*, %s, clock_timestamp(), 0 from raw_trades t where sequence = %s",
            (kind, sequence),
        )
        if new_price is None:
            connection.execute("delete from raw_trades where sequence = %s", (sequence,))
        else:
            connection.execute("update raw_trades set price = %s where sequence = %s", (new_price, sequence))


@pytest.mark.parametrize("form", ["vision", "rest"])
def test_a_cancelled_trade_is_not_revived_and_a_correction_not_flipped_back(platform: Platform, tmp_path: Path, form: str) -> None:
    trades = tape(DAY, 30)
    path = vision(tmp_path, trades, DAY)
    take(platform, path)
    end(platform, trades[3].id, "cancellation")
    end(platform, trades[4].id, "correction", "1.5")
    end(platform, trades[29].id, "cancellation")
    before = platform.trades_hash()
    assert take(platform, path if form == "vision" else rest(tmp_path, trades)) == [(0, 0, 30, 0)]
    assert platform.trades_hash() == before


def test_a_correction_stands_against_a_finer_telling_of_the_original(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 10)
    take(platform, rest(tmp_path, trades))
    end(platform, trades[4].id, "correction", "1.5")
    [(stored, revised, duplicates, quarantined)] = take(platform, vision(tmp_path, trades, DAY))
    assert (stored, quarantined, revised + duplicates) == (0, 0, 10)
    assert platform.rows("select trim_scale(price)::text from raw_trades where sequence = %s", trades[4].id) == [("1.5",)]


def test_the_rows_of_an_undone_batch_may_come_in_again(platform: Platform, tmp_path: Path) -> None:
    path = vision(tmp_path, tape(DAY, 10), DAY)
    take(platform, path)
    before = platform.trades_hash()
    end(platform, 1004, "undo")
    assert take(platform, path) == [(1, 0, 9, 0)]
    assert platform.trades_hash() == before


# --- sources without ids -----------------------------------------------------------------------------------------


def crowd(count: int = 200) -> list[Told]:
    """Trades of which three at a time share their microsecond, some of them equal."""
    base = midnight(OLD_DAY)
    return [Told(0, base + 60_000_000 + n // 3 * 1_000_000, f"{2000 + n % 2}.5", f"{n % 2 + 1}") for n in range(count)]


DAILY = f"gemini__eth-usd__{OLD_DAY}__trade.csv"


def test_equal_rows_without_ids_are_as_many_trades(platform: Platform, tmp_path: Path) -> None:
    path = ccapi(tmp_path, [Told(0, midnight(OLD_DAY) + 5)] * 4, DAILY)
    assert take(platform, path) == [(4, 0, 0, 0)]
    assert take(platform, path) == [(0, 0, 4, 0)]
    assert held(platform, OLD_DAY, GEMINI)[1] == [(0, DAY_US)]


def test_a_part_without_ids_that_is_cut_between_microseconds_is_known(platform: Platform, tmp_path: Path) -> None:
    trades = crowd()
    take(platform, ccapi(tmp_path, trades, DAILY))
    before = platform.trades_hash()
    assert take(platform, ccapi(tmp_path, trades[90:150], "part.csv")) == [(0, 0, 60, 0)]
    mine = emptied(platform.database, _folder(tmp_path, 0))
    assert take(mine, ccapi(tmp_path, trades[90:150], "part.csv")) == [(60, 0, 0, 0)]
    assert take(mine, ccapi(tmp_path, trades, DAILY)) == [(140, 0, 60, 0)]
    assert mine.trades_hash() == before


@pytest.mark.parametrize("change", ["one less", "one more", "another price"])
def test_a_group_of_equal_times_that_differs_is_refused_whole_with_both_shown(platform: Platform, tmp_path: Path, change: str) -> None:
    trades = crowd(30)
    take(platform, ccapi(tmp_path, trades, DAILY))
    before = platform.trades_hash()
    group = trades[9:12]
    theirs = {"one less": group[:2], "one more": [*group, group[0]], "another price": [*group[:2], Told(0, group[2].us, "77")]}[change]
    assert take(platform, ccapi(tmp_path, [*trades[6:9], *theirs, *trades[12:15]], "other.csv")) == [(0, 0, 6, len(theirs))]
    assert platform.trades_hash() == before
    found = platform.rows("select reason, detail from quarantine order by line")
    assert {reason for reason, _ in found} == {"group_conflict"}
    assert any("2000.5" in detail and " here, " in detail and "batch" in detail for _, detail in found)


def test_a_quarantined_row_without_id_makes_a_hole_at_its_place(platform: Platform, tmp_path: Path) -> None:
    base = midnight(OLD_DAY)
    rows = [
        Told(0, base + 10),
        f"{(base + 20) // 1_000_000}.{(base + 20) % 1_000_000:06},oops,1,0",
        Told(0, base + 30),
        "garbage",
        Told(0, base + 50),
    ]
    assert take(platform, ccapi(tmp_path, rows, DAILY)) == [(3, 0, 0, 2)]
    assert held(platform, OLD_DAY, GEMINI)[1] == [(0, 20), (21, 30), (51, DAY_US)]


def test_a_source_of_another_identity_is_refused_for_that_day_while_others_load(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 40, start_us=DAY_US - 20 * 1_234_567)
    first = [t for t in trades if t.us < midnight(NEXT)]
    take(platform, vision(tmp_path, first, DAY))
    before = platform.trades_hash()
    ordinal = ccapi(tmp_path, trades, "strange.csv")
    more = vision(tmp_path, [Told(first[0].id - 1, first[0].us - 1), *first], DAY, "-more")
    platform_files = platform.take_in(ordinal, "ccapi", NAME)
    outcomes = {loaded.day: loaded.files[0] for loaded in platform_files}
    refusal = outcomes[DAY].refused
    assert refusal is not None
    assert "ordinal" in refusal
    assert "Take in a source with trade_id" in refusal
    assert outcomes[NEXT].refused is None
    assert outcomes[NEXT].rows_stored == len(trades) - len(first)
    assert platform.rows(
        "select day, is_pending, refused is not null from landing_days where file_id = %s order by day", outcomes[DAY].file_id
    ) == [
        (DAY, False, True),
        (NEXT, False, False),
    ]
    assert take(platform, more) == [(1, 0, len(first), 0)]
    assert before != platform.trades_hash()


# --- scales ------------------------------------------------------------------------------------------------------


def hold_to(platform: Platform, price_scale: int, name: str = NAME) -> None:
    with platform.database.connect(Role.OWNER) as connection:
        connection.execute("update instruments set price_scale = %s where instrument = %s", (price_scale, name))


def test_rows_of_too_many_decimals_are_refused_and_the_others_stored(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 40)
    take(platform, vision(tmp_path, trades[:20], DAY))
    hold_to(platform, 1)
    fine = [Told(t.id, t.us, "5.5") if t.id % 2 else t for t in trades[20:]]
    too_fine = [t for t in fine if not t.price.endswith("0") and t.price != "5.5"]
    assert take(platform, vision(tmp_path, fine, DAY, "-more")) == [(20 - len(too_fine), 0, 0, len(too_fine))]
    found = platform.rows("select reason, sequence, detail, raw from quarantine order by line")
    assert [row[1] for row in found] == [t.id for t in too_fine]
    assert {row[0] for row in found} == {"scale"}
    assert "held to 1" in found[0][2]
    assert found[0][3].startswith(f"{too_fine[0].id},")
    assert len(held(platform, DAY)[2]) > 0


# --- conservation ------------------------------------------------------------------------------------------------


@st.composite
def deliveries(draw: st.DrawFn) -> list[tuple[str, list[Told]]]:
    """A few files in random forms over the same little tape, some rows told twice, some told falsely."""
    whole = tape(DAY, 12, start_us=DAY_US - 6 * 1_234_567)
    files = []
    for _ in range(draw(st.integers(1, 4))):
        chosen = draw(st.lists(st.sampled_from(whole), min_size=1, max_size=14))
        lies = draw(st.lists(st.booleans(), min_size=len(chosen), max_size=len(chosen)))
        told = [Told(t.id, t.us, "1.5") if lie else t for t, lie in zip(chosen, lies, strict=True)]
        files.append((draw(st.sampled_from(["vision", "capture", "rest"])), told))
    return files


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(files=deliveries())
def test_every_row_read_is_stored_revised_known_or_refused(
    database: Database, tmp_path_factory: pytest.TempPathFactory, files: list
) -> None:
    folder = tmp_path_factory.mktemp("conserve")
    mine = emptied(database, folder)
    for n, (form, told) in enumerate(files):
        if form == "vision":
            path = vision(folder, told, DAY, "-" + "abcd"[n])
        elif form == "capture":
            path = capture(folder, told, f"{n}.txt")
        else:
            path = rest(folder, told, f"BTCUSDT-{n}.json")
        assert sum(map(sum, take(mine, path))) == len(told)
        again = take(mine, path)
        assert all(stored == revised == 0 for stored, revised, _, _ in again), "a second time nothing changes"
    assert mine.rows(CONSERVED) == [(0,)]
    batches, trades = mine.rows("select sum(rows_stored) from ingest_batches"), mine.rows("select count(*) from raw_trades")
    assert batches == trades
    assert mine.rows("select count(*) from (select sequence from raw_trades group by sequence having count(*) > 1) x") == [(0,)]
    counted = mine.rows("select day, row_count from coverage order by day")
    assert counted == mine.rows("select (event_time at time zone 'UTC')::date, count(*) from raw_trades group by 1 order by 1")


# --- coverage and the log ----------------------------------------------------------------------------------------


def test_a_gap_is_missing_until_a_late_file_heals_it(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 100)
    start = midnight(DAY)
    take(platform, vision(tmp_path, [*trades[:40], *trades[45:]], DAY))
    count, covered, missing, declared = held(platform, DAY)
    assert (count, missing, declared) == (95, [(trades[40].id, trades[45].id)], True)
    assert covered == [(0, trades[39].us - start), (trades[45].us - start + 1, DAY_US)]
    last = platform.rows("select max(invalidation_id) from invalidation_log")[0][0]
    take(platform, vision(tmp_path, trades[40:45], DAY, "-late"))
    assert held(platform, DAY) == (100, [(0, DAY_US)], [], True)
    assert windows(platform, "load", last) == [(NAME, utc(trades[40].us), utc(trades[44].us + 1))]
    assert windows(platform, "coverage", last) == [(NAME, utc(trades[39].us), utc(trades[45].us + 1))]


def test_late_rows_log_windows_that_hold_exactly_the_touched_times(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 100, step_us=60_000_000)
    late = [trades[10], trades[11], trades[70]]
    take(platform, vision(tmp_path, [t for t in trades if t not in late], DAY))
    last = platform.rows("select max(invalidation_id) from invalidation_log")[0][0]
    take(platform, vision(tmp_path, [trades[9], *late], DAY, "-late"))
    assert windows(platform, "load", last) == [
        (NAME, utc(trades[10].us), utc(trades[11].us + 1)),
        (NAME, utc(trades[70].us), utc(trades[70].us + 1)),
    ]


@pytest.mark.parametrize("hole", [0, 3])
@pytest.mark.parametrize("later_first", [False, True])
def test_the_edges_at_midnight_between_two_captures_follow_the_ids(
    platform: Platform, tmp_path: Path, hole: int, later_first: bool
) -> None:
    one = tape(DAY, 10, first_id=100)
    two = tape(NEXT, 10, first_id=110 + hole)
    files = [capture(tmp_path, one, "one.txt"), capture(tmp_path, two, "two.txt")]
    for path in reversed(files) if later_first else files:
        take(platform, path)
    ends = one[-1].us // 1000 * 1000 - midnight(DAY), two[0].us // 1000 * 1000 - midnight(NEXT)
    first = (one[0].us // 1000 * 1000 - midnight(DAY) + 1, DAY_US if hole == 0 else ends[0])
    second = (0 if hole == 0 else ends[1] + 1, two[-1].us // 1000 * 1000 - midnight(NEXT))
    assert held(platform, DAY)[1:] == ([first], [], False)
    assert held(platform, NEXT)[1:] == ([second], [], False)
    if hole:
        take(platform, rest(tmp_path, [Told(110 + n, midnight(NEXT) + n) for n in range(hole)]))
        assert held(platform, DAY)[1] == [(first[0], DAY_US)]
        assert held(platform, NEXT)[1] == [(0, second[1])]


def test_a_claimed_day_is_corrected_by_the_ids_of_its_neighbour(platform: Platform, tmp_path: Path) -> None:
    one, two = tape(DAY, 10, first_id=100), tape(NEXT, 10, first_id=112)
    take(platform, vision(tmp_path, one, DAY))
    assert held(platform, DAY)[1] == [(0, DAY_US)]
    take(platform, vision(tmp_path, two, NEXT))
    assert held(platform, DAY)[1] == [(0, one[-1].us - midnight(DAY))]
    assert held(platform, NEXT)[1] == [(two[0].us - midnight(NEXT) + 1, DAY_US)]


def test_a_clock_that_steps_back_at_midnight_leaves_no_crack(platform: Platform, tmp_path: Path) -> None:
    two = tape(NEXT, 10, first_id=110, start_us=1000)
    two[0] = two[0].at(midnight(NEXT) + 5_000_000)
    take(platform, vision(tmp_path, two, NEXT))
    take(platform, capture(tmp_path, tape(DAY, 10, first_id=90), "gap.txt"))
    assert held(platform, NEXT)[1] == [(5_000_001, DAY_US)]
    take(platform, capture(tmp_path, tape(DAY, 10, first_id=100, start_us=7_200_000_000), "one.txt"))
    assert held(platform, NEXT)[1] == [(0, DAY_US)]


@pytest.mark.parametrize("where", ["head", "tail"])
def test_a_day_whose_own_first_or_last_line_was_refused_is_open_there(platform: Platform, tmp_path: Path, where: str) -> None:
    trades = tape(DAY, 10)
    bad = f"{trades[0].id - 1},oops" if where == "head" else f"{trades[-1].id + 1},-1,1,1,{trades[-1].us + 5},True,True"
    rows = [bad, *trades] if where == "head" else [*trades, bad]
    take(platform, vision(tmp_path, rows, DAY))
    start, end = (trades[0].us - midnight(DAY) + 1, DAY_US) if where == "head" else (0, trades[-1].us - midnight(DAY))
    assert held(platform, DAY)[1] == [(start, end)]
    # Another file changes nothing in that, the neighbour's ids do.
    take(platform, rest(tmp_path, trades[3:5]))
    assert held(platform, DAY)[1] == [(start, end)]
    other = tape(NEXT, 3, trades[-1].id + 1) if where == "tail" else tape(date_before(), 3, trades[0].id - 3)
    take(platform, capture(tmp_path, other, "beside.txt"))
    assert held(platform, DAY)[1] == [(0, DAY_US)]


def date_before():
    return DAY - timedelta(days=1)


def test_garbage_between_consecutive_ids_costs_nothing(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 10)
    take(platform, vision(tmp_path, [*trades[:5], "x", *trades[5:]], DAY))
    assert held(platform, DAY) == (10, [(0, DAY_US)], [], True)


def test_a_load_that_fails_leaves_the_day_as_it_was(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 50)
    take(platform, vision(tmp_path, trades[:25], DAY))
    before = platform.trades_hash(), held(platform, DAY), platform.rows("select count(*) from ingest_batches")

    class Broke(Exception):
        pass

    def fails(*_: object) -> dict[int, str]:
        raise Broke

    conflicting = vision(tmp_path, [*trades[20:], Told(trades[3].id, trades[3].us, "9")], DAY, "-more")
    original, load = platform.load, load_day
    platform.load = lambda *_: []  # type: ignore[method-assign]  # accept alone
    take(platform, conflicting)
    platform.load = original  # type: ignore[method-assign]
    with pytest.raises(Broke):
        platform.load("trades", lambda database, day, files, run, _: load(database, day, files, run, fails), [DAY])
    assert (platform.trades_hash(), held(platform, DAY), platform.rows("select count(*) from ingest_batches")) == before
    assert platform.rows("select count(*) from landing_days where is_pending") == [(1,)]
    done = platform.load("trades", load_day, [DAY])
    assert [(f.rows_stored, f.duplicates, f.quarantined) for f in done[0].files] == [(25, 5, 1)]


def test_readers_of_trades_do_not_wait_for_the_load_of_a_new_day(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 5), DAY))
    original = platform.load
    platform.load = lambda *_: []  # type: ignore[method-assign]  # accept alone
    take(platform, vision(tmp_path, tape(NEXT, 5, first_id=1005), NEXT))
    take(platform, vision(tmp_path, [Told(1005, midnight(NEXT) + 3_600_000_000, "7")], NEXT, "-other"))
    platform.load = original  # type: ignore[method-assign]
    seen = []

    def looks(*_: object) -> dict[int, str]:
        with platform.database.connect(Role.ANALYST, autocommit=True) as reader:
            reader.execute("set lock_timeout = '2s'")
            seen.extend(reader.execute("select count(*) from raw_trades").fetchall())
        return {}

    platform.load("trades", lambda database, day, files, run, _: load_day(database, day, files, run, looks), [NEXT])
    assert seen == [(5,)]
