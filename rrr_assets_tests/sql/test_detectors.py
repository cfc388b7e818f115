"""The detectors on planted defects: each is found where it was put, and clean data gives nothing."""

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from rrr_assets.calc.quality_config import DEFAULTS, QualitySettings
from rrr_assets.quality import checks_run
from rrr_assets.quality.checks_run import Changed, Look
from rrr_assets.warehouse import quality_detectors
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets_tests.loading import DAY, NAME, Told, capture, ccapi, emptied, midnight, take, tape, vision
from rrr_assets_tests.platform import Platform

START_US = midnight(DAY) + 3_600_000_000
HEADER = "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount"
PAGES = "select rule, relation, instrument, broken from findings where state = 'open' and severity = 'page' order by 1, 2, 3, from_time"
OPEN = "select rule, severity, broken from findings where state = 'open' and rule <> 'incomplete_bars' order by 1, from_time"


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


def look(platform: Platform, settings: QualitySettings = DEFAULTS) -> checks_run.Report:
    report = checks_run.run_parts(platform.database, Look(dict.fromkeys([DAY])), settings)
    assert report.errors == {}
    return report


def owned(platform: Platform, *statements: str) -> None:
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def rename(platform: Platform, name: str, other: str) -> None:
    owned(platform, f"alter table {name} rename to {other}")


def quotes(folder: Path, rows: Iterable[tuple[int, str, str]], symbol: str = "BTCUSDT") -> Path:
    """A file of quotes without ids: time in microseconds, bid, ask; sizes differ from row to row."""
    path = folder / f"binance_quotes_{DAY}_{symbol}.csv"
    lines = [f"binance,{symbol},{us},{us + 100_000},{1 + n % 17},{ask},{bid},{1 + n % 13}" for n, (us, bid, ask) in enumerate(rows)]
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def at(us: int) -> datetime:
    """So many microseconds after the first row."""
    return datetime.fromtimestamp(START_US // 1_000_000, UTC) + timedelta(microseconds=us)


def steady(count: int, step_us: int = 1_000_000) -> list[tuple[int, str, str]]:
    return [(START_US + n * step_us, "42000.00", "42001.00") for n in range(count)]


def test_nothing_is_said_of_an_empty_day(platform: Platform) -> None:
    look(platform)
    assert platform.rows("select count(*) from findings") == platform.rows("select count(*) from anomalies") == [(0,)]


def test_nothing_is_said_of_a_day_with_one_trade(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 1), DAY))
    platform.refresh()
    look(platform)
    assert platform.rows(OPEN) == []


def test_clean_days_page_nobody(platform: Platform, tmp_path: Path) -> None:
    drawn = random.Random(7)
    calm = [replace(t, price=f"{42_000 + drawn.random():.2f}", size=f"{drawn.random() + 0.01:.4f}") for t in tape(DAY, 4000)]
    take(platform, vision(tmp_path, calm, DAY))
    platform.take_in(quotes(tmp_path, steady(3000)), "tardis")
    take(platform, ccapi(tmp_path, calm[:2000], f"gemini__eth-usd__{DAY}__trade.csv"))
    platform.refresh()
    look(platform)
    assert platform.rows(OPEN) == []


def test_lines_that_one_file_tells_twice_page_for_a_day_and_another_file_with_them_does_not(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 300)
    take(platform, vision(tmp_path / "a", [*trades[:120], *trades[100:120], *trades[120:]], DAY))
    look(platform)
    assert platform.rows(PAGES) == [("duplicate", "ingest_batches", NAME, 20)]
    ((since, until),) = platform.rows("select from_time, to_time from findings where rule = 'duplicate'")
    assert (until - since) < timedelta(seconds=60)
    assert take(platform, vision(tmp_path / "b", trades, DAY, "-again")) == [(0, 0, 300, 0)]
    look(platform)
    assert platform.rows(PAGES) == [("duplicate", "ingest_batches", NAME, 20)]
    platform.rows("update findings set last_seen = last_seen - interval '25 hours' returning 1")
    look(platform)
    assert platform.rows(PAGES) == []


def test_a_block_without_ids_that_came_twice_is_found_and_two_equal_trades_are_none(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 3000)
    told = [*trades[:1000], *trades[1000:1030], *trades[1000:1030], *trades[1030:2000], trades[2000], *trades[2000:]]
    take(platform, ccapi(tmp_path, told, f"gemini__eth-usd__{DAY}__trade.csv"))
    look(platform)
    assert platform.rows(PAGES) == [("duplicate", "raw_trades", "gemini:ETHUSD", 30)]


def test_times_that_step_back_page_when_far_and_warn_when_not(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 200, step_us=1_000_000)
    near = trades[50].at(trades[49].us - 1000)
    take(platform, vision(tmp_path / "a", [*trades[:50], near, *trades[51:]], DAY))
    look(platform)
    assert platform.rows(OPEN) == [("order", "warn", 1)]
    far = [t.at(t.us + 30_000_000) for t in tape(DAY, 20, first_id=2000, start_us=4_000_000_000)]
    rest = tape(DAY, 20, first_id=2020, start_us=4_010_000_000)
    take(platform, vision(tmp_path / "b", [*far, *rest], DAY, "-b"))
    look(platform)
    assert platform.rows(OPEN) == [("order", "page", 2)]


def test_crossed_and_locked_books_are_told_in_stretches(platform: Platform, tmp_path: Path) -> None:
    rows = steady(2000)
    for n in (*range(100, 110), *range(900, 905)):
        rows[n] = (rows[n][0], "42002.00", "42001.00")
    rows[1500] = (rows[1500][0], "42001.00", "42001.00")
    platform.take_in(quotes(tmp_path, rows), "tardis")
    look(platform)
    assert platform.rows(OPEN) == [("crossed_book", "page", 10), ("crossed_book", "page", 5), ("locked_book", "warn", 1)]


def test_a_feed_that_says_the_same_while_messages_go_on_is_frozen(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 2000, step_us=2_000_000)
    frozen = [replace(t, price=trades[800].price, size=trades[800].size, buyer_made=False) for t in trades[800:1150]]
    take(platform, vision(tmp_path, [*trades[:800], *frozen, *trades[1150:]], DAY))
    look(platform)
    [(rule, severity, broken)] = platform.rows(OPEN)
    assert (rule, severity) == ("frozen_feed", "page")
    assert broken == pytest.approx(350, abs=10)


def test_late_rows_and_a_clock_that_is_off_are_told_apart_from_the_usual_lag(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 1000)
    path = capture(tmp_path, trades)
    lines = path.read_text().splitlines()
    for n in range(400, 500):
        received, message = lines[n].split(" ", 1)
        lines[n] = f"{float(received) + 20:.6f} {message}"
    for n in range(700, 705):
        received, message = lines[n].split(" ", 1)
        lines[n] = f"{float(received) + 90:.6f} {message}"
    path.write_text("\n".join(lines) + "\n")
    take(platform, path)
    look(platform)
    found = dict(platform.rows("select rule, max(broken) from findings where state = 'open' and severity = 'warn' group by 1"))
    assert found["late"] == 5
    assert found["clock_skew"] == pytest.approx(100, abs=18)


def test_a_whole_day_a_little_off_is_usual_and_one_that_is_far_off_is_not(platform: Platform, tmp_path: Path) -> None:
    take(platform, capture(tmp_path, tape(DAY, 200), lag_us=-1_300_000))
    look(platform)
    assert platform.rows(OPEN) == []
    take(
        platform,
        capture(tmp_path, tape(DAY, 200, first_id=9000, start_us=5_000_000_000), "other.txt", lag_us=-20_000_000, symbol="ETHUSDT"),
    )
    look(platform)
    assert [row[:2] for row in platform.rows(OPEN)] == [("clock_skew", "warn")]


def test_a_trade_outside_the_quote_warns_and_a_stale_quote_is_not_asked(platform: Platform, tmp_path: Path) -> None:
    platform.take_in(quotes(tmp_path, steady(600)), "tardis")
    inside = [Told(n, START_US + n * 2_000_000, f"4200{n % 2}.{n % 90 + 10}", f"0.{n % 9 + 1}") for n in range(1, 300)]
    inside[100] = replace(inside[100], price="42400.00")
    after = Told(300, START_US + 3_000_000_000, "45000.00")
    take(platform, vision(tmp_path, [*inside, after], DAY))
    look(platform)
    assert platform.rows(OPEN) == [("outside_quote", "warn", 1)]
    look(platform, QualitySettings.model_validate({"thresholds": {NAME: {"outside_quote_bps": 500}}}))
    assert platform.rows(OPEN) == []


def test_leaps_of_price_and_volume_are_anomalies_and_never_findings(platform: Platform, tmp_path: Path) -> None:
    drawn = random.Random(3)
    trades = [replace(t, price=f"{42_000 + drawn.random() * 20:.2f}", size=f"{0.5 + drawn.random() / 10:.4f}") for t in tape(DAY, 3000)]
    trades[1500] = replace(trades[1500], price="60000.00")
    trades[2500] = replace(trades[2500], size="900")
    take(platform, vision(tmp_path, trades, DAY))
    platform.refresh()
    look(platform)
    found = platform.rows("select rule, relation, from_time from anomalies order by 1, 2")
    assert {row[:2] for row in found} >= {("price_change", "bars_1m"), ("return_z", "raw_trades"), ("volume_spike", "bars_1m")}
    assert len(found) < 12
    assert platform.rows(OPEN) == []
    assert look(platform).rules["volume_spike"] == 1
    assert platform.rows("select count(*) from anomalies") == [(len(found),)]


def test_minutes_in_which_a_busy_tape_is_silent_are_an_anomaly_and_no_gap(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 4000)
    take(platform, vision(tmp_path, [*trades[:2000], *(replace(t, us=t.us + 900_000_000) for t in trades[2000:])], DAY))
    platform.refresh()
    for _ in range(2):
        look(platform)
    [(since, until, value)] = platform.rows("select from_time, to_time, value from anomalies where rule = 'silence'")
    assert timedelta(minutes=14) <= until - since <= timedelta(minutes=15)
    assert value == (until - since).total_seconds()
    assert platform.rows("select count(*) from gaps where stream = 'trades'") == [(0,)], "the ids are there"
    assert platform.rows(OPEN) == []


def test_a_table_that_is_gone_is_an_error_and_the_other_checks_still_answer(platform: Platform, tmp_path: Path) -> None:
    rows = steady(200)
    rows[100] = (rows[100][0], "42002.00", "42001.00")
    platform.take_in(quotes(tmp_path, rows), "tardis")
    rename(platform, "raw_agg_trades", "put_aside")
    try:
        report = checks_run.run_parts(platform.database, Look(dict.fromkeys([DAY])), DEFAULTS)
    finally:
        rename(platform, "put_aside", "raw_agg_trades")
    assert 'relation "raw_agg_trades" does not exist' in report.errors["gathering trades"]
    assert ("broken_check", "gathering trades", None, 1) in platform.rows(PAGES)
    rename(platform, "bars_1m", "put_aside")
    try:
        report = checks_run.run_parts(platform.database, Look(dict.fromkeys([DAY])), DEFAULTS)
    finally:
        rename(platform, "put_aside", "bars_1m")
    assert 'relation "bars_1m" does not exist' in report.errors["what is held"]
    assert "rules of raw_quotes" in report.seconds, "the others are asked all the same"
    look(platform)
    assert platform.rows(PAGES) == [("crossed_book", "raw_quotes", "binance:BTCUSDT", 1)]


def test_only_what_changed_is_looked_at_again(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 50), DAY))
    first = checks_run.changed(platform.database, "recent")
    assert first.days == {DAY: (NAME,)}
    start = at(-3_600_000_000)
    assert first.changed == {DAY: Changed({NAME: (start, start + timedelta(days=1))})}, "the file claims the day"
    number = checks_run.begin(platform.database, "recent", "run")
    assert platform.rows("select kind, finished_at, run_id from quality_runs") == [("recent", None, "run")]
    checks_run.end(platform.database, number, first, checks_run.run_parts(platform.database, first, DEFAULTS))
    assert platform.rows("select days, finished_at is null, errors from quality_runs") == [(1, False, [])]
    assert checks_run.changed(platform.database, "recent").days == {}
    take(platform, vision(tmp_path, tape(DAY, 5, first_id=5000, start_us=80_000_000_000), DAY, "-b"))
    again = checks_run.changed(platform.database, "recent")
    assert again.days == {DAY: (NAME,)}
    late = midnight(DAY) + 80_000_000_000 - START_US
    since, until = at(49 * 1_234_567), at(late + 4 * 1_234_567 + 1)
    assert again.changed == {DAY: Changed({NAME: (since, until)})}, "that ids are missing between is a change too"
    assert checks_run.changed(platform.database, "daily").changed is None


GEMINI = "gemini:ETHUSD"
TICKS = ("raw_trades", "raw_quotes")
FINDINGS = (
    "select rule, severity, relation, instrument, from_time, to_time, broken, examined, examples, detail from findings"
    " where state = 'open' order by 1, 3, 4, 5"
)
ANOMALIES = (
    "select rule, relation, instrument, from_time, to_time, round(value::numeric, 6), round(score::numeric, 6) from anomalies"
    " order by 1, 2, 3, 4"
)


def plant(platform: Platform, folder: Path) -> list[int]:
    """A day with one defect of each kind; returns when they are, in seconds after the first row."""
    drawn = random.Random(5)
    trades = [
        replace(t, price=f"{42_000 + drawn.random():.2f}", size=f"{drawn.random() + 0.01:.4f}") for t in tape(DAY, 2400, step_us=2_000_000)
    ]
    block = trades[1200:1230]
    take(platform, ccapi(folder, [*trades[:1230], *block, *trades[1230:]], f"gemini__eth-usd__{DAY}__trade.csv"))
    trades[300] = trades[300].at(trades[299].us - 2_500_000)
    trades[800:1150] = [replace(t, price="42000.50", size="0.5000", buyer_made=False) for t in trades[800:1150]]
    trades[1700] = replace(trades[1700], price="45000.00")
    path = capture(folder, trades)
    lines = path.read_text().splitlines()
    for first, last, lag in ((1400, 1500, 20), (1900, 1905, 90)):
        for n in range(first, last):
            received, message = lines[n].split(" ", 1)
            lines[n] = f"{float(received) + lag:.6f} {message}"
    path.write_text("\n".join(lines) + "\n")
    take(platform, path)
    rows = steady(2400, 2_000_000)
    for n in range(2000, 2020):
        rows[n] = (rows[n][0], "42002.00", "42001.00")
    platform.take_in(quotes(folder, rows), "tardis")
    platform.refresh()
    return [600, 1950, 2430, 2900, 3400, 3805, 4020]


@pytest.mark.parametrize("seed", [1, 2])
def test_many_looks_at_what_came_say_the_same_as_one_look_at_the_day(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(quality_detectors, "FEW_ROWS", 0)
    drawn = random.Random(seed)
    places = plant(platform, tmp_path)
    # Borders lie within each of the defects, and anywhere.
    borders = sorted({0, 4801, *places, *drawn.sample(range(60, 4800), 3)})
    pieces = list(pairwise(borders))
    late = drawn.randrange(len(pieces) - 1)
    pieces.append(pieces.pop(late))
    names = {NAME, GEMINI}
    for table in TICKS:
        owned(platform, f"create table kept_{table} as table {table}", f"truncate {table}")
    try:
        for since, until in ((at(first * 1_000_000), at(last * 1_000_000)) for first, last in pieces):
            for table in TICKS:
                bring = f"insert into {table} select * from kept_{table} where event_time >= %s and event_time < %s returning 1"  # noqa: S608  # named here
                platform.rows(bring, since, until)
            window = dict.fromkeys(names, (since, until))
            some = Look({DAY: tuple(sorted(names))}, is_full=False, changed={DAY: Changed(window, window)})
            assert checks_run.run_parts(platform.database, some, DEFAULTS, parts=[checks_run.detectors]).errors == {}
    finally:
        for table in TICKS:
            owned(platform, f"drop table kept_{table}")
    bit_by_bit = [platform.rows(ledger) for ledger in (FINDINGS, ANOMALIES)]
    checks_run.run_parts(platform.database, Look({DAY: None}), DEFAULTS, parts=[checks_run.detectors])
    assert bit_by_bit == [platform.rows(ledger) for ledger in (FINDINGS, ANOMALIES)]
    rules = {row[0] for row in bit_by_bit[0]}
    assert rules >= {"order", "frozen_feed", "clock_skew", "late", "crossed_book", "duplicate", "outside_quote"}
    assert ("return_z", "raw_trades") in {row[:2] for row in bit_by_bit[1]}


def test_what_changed_is_looked_at_whole_only_where_it_may_hold_something(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(platform, tmp_path)
    window = (at(3_600_000_000), at(3_605_000_000))
    beside_block = (at(2_000_000_000), at(2_005_000_000))

    def glance(window: tuple[datetime, datetime] | None) -> tuple[str, ...]:
        with platform.database.connect(Role.WRITER) as connection, connection.transaction():
            day = quality_detectors.DayLook(DAY)
            return quality_detectors.to_look_at(connection, day, DEFAULTS, dict.fromkeys((NAME, GEMINI), window))

    assert glance(window) == (NAME,)
    assert glance(beside_block) == (NAME, GEMINI)
    assert glance(None) == (NAME, GEMINI)
    look(platform)
    assert glance(window) == (NAME, GEMINI), "what is open is looked at again"
    monkeypatch.setattr(quality_detectors, "FEW_ROWS", 1_000_000)
    platform.rows("delete from findings returning 1")
    assert glance(window) == (NAME, GEMINI), "few rows cost nothing"
