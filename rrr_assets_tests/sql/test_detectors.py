"""The detectors on planted defects: each is found where it was put, and clean data gives nothing."""

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rrr_assets.calc.quality_config import DEFAULTS, QualitySettings
from rrr_assets.quality import checks_run
from rrr_assets.quality.checks_run import Look
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


def rename(platform: Platform, name: str, other: str) -> None:
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute(f"alter table {name} rename to {other}")


def quotes(folder: Path, rows: Iterable[tuple[int, str, str]], symbol: str = "BTCUSDT") -> Path:
    """A file of quotes without ids: time in microseconds, bid, ask; sizes differ from row to row."""
    path = folder / f"binance_quotes_{DAY}_{symbol}.csv"
    lines = [f"binance,{symbol},{us},{us + 100_000},{1 + n % 17},{ask},{bid},{1 + n % 13}" for n, (us, bid, ask) in enumerate(rows)]
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


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
    look(platform)
    assert platform.rows(PAGES) == [("crossed_book", "raw_quotes", "binance:BTCUSDT", 1)]


def test_only_what_changed_is_looked_at_again(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 50), DAY))
    first = checks_run.changed(platform.database, "recent")
    assert first.days == {DAY: (NAME,)}
    number = checks_run.begin(platform.database, "recent", "run")
    assert platform.rows("select kind, finished_at, run_id from quality_runs") == [("recent", None, "run")]
    checks_run.end(platform.database, number, first, checks_run.run_parts(platform.database, first, DEFAULTS))
    assert platform.rows("select days, finished_at is null, errors from quality_runs") == [(1, False, [])]
    assert checks_run.changed(platform.database, "recent").days == {}
    take(platform, vision(tmp_path, tape(DAY, 5, first_id=5000, start_us=80_000_000_000), DAY, "-b"))
    assert checks_run.changed(platform.database, "recent").days == {DAY: (NAME,)}
