"""The published status of instruments and days, and how fresh streams are, on either engine."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rrr_assets import read
from rrr_assets.calc.quality_config import QualitySettings
from rrr_assets.cli import app
from rrr_assets.warehouse import gaps
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.quality_status import Looked, look_at_freshness, publish_status
from rrr_assets.warehouse.undo import undo_batch
from rrr_assets_tests.loading import DAY, NAME, NEXT, capture, emptied, take, tape, vision
from rrr_assets_tests.platform import Platform

DAY_END = datetime(2025, 3, 4, tzinfo=UTC)
LATER = DAY_END + timedelta(days=3)
PROMISED = QualitySettings.model_validate({"sla": {"*": {"freshness_seconds": {"trades": 60}}}})
NOTHING = QualitySettings()


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


def execute(platform: Platform, statement: str, *values: object) -> None:
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute(statement, values)


def listed(platform: Platform, on: date | None, until: date | None = None) -> None:
    execute(platform, "update instruments set listed_on = %s, delisted_on = %s", on, until)


def publish(platform: Platform, now: datetime = LATER, settings: QualitySettings = NOTHING) -> None:
    publish_status(platform.database, [], settings, now)


def status(platform: Platform, day: date = DAY, name: str = NAME) -> tuple:
    """(status, completeness, validity, conformance, reasons) of a day."""
    [found] = platform.rows(
        "select status, completeness, validity, conformance, reasons from quality_days where instrument = %s and day = %s", name, day
    )
    return found


# --- status of a day --------------------------------------------------------------------------------------------


def test_a_whole_day_is_available_and_pending_while_it_lasts_and_while_bars_are_behind(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    publish(platform, DAY_END - timedelta(hours=1))
    assert status(platform)[0] == "pending"
    assert status(platform)[4] == ["the day is not over", "bars or verdicts lag behind the trades"]
    publish(platform)
    assert status(platform)[0] == "pending"
    platform.refresh()
    publish(platform)
    assert status(platform) == ("available", 1.0, 1.0, None, [])
    assert platform.rows("select row_count, open_gaps, findings, anomalies from quality_days") == [(100, 0, 0, 0)]


def test_missing_ids_count_one_by_one(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 1000)
    take(platform, vision(tmp_path, trades[:500] + trades[510:], DAY))
    platform.refresh()
    publish(platform)
    found = status(platform)
    assert found[:2] == ("degraded", 0.99)
    assert found[4] == ["completeness is 0.990000, promised is 0.999: 10 ids are missing", "gaps are open: 1"]
    lenient = QualitySettings.model_validate({"sla": {NAME: {"objective": 0.99}}})
    publish_status(platform.database, [DAY], lenient, LATER)
    assert status(platform)[::4] == ("degraded", ["gaps are open: 1"]), (
        "the promise is the instrument's own, and kept; the gap is still open"
    )


def test_the_ends_of_a_day_that_nobody_saw_count_by_time(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 101, start_us=0, step_us=432_000_000)
    take(platform, capture(tmp_path, trades))
    platform.refresh()
    publish(platform)
    seen = status(platform)[1]
    assert seen == pytest.approx(0.5, abs=1e-6)
    assert "nobody saw 43200" in status(platform)[4][0]


def test_accepted_ids_are_not_missing(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 1000)
    take(platform, vision(tmp_path, trades[:500] + trades[510:], DAY))
    platform.refresh()
    publish(platform)
    assert status(platform)[4][-1] == "gaps are open: 1"
    with platform.database.connect(Role.WRITER) as connection:
        gaps.accept(connection, platform.rows("select gap_id from gaps")[0][0], "the venue says so", "a test")
    platform.refresh()
    publish(platform)
    assert status(platform) == ("available", 1.0, 1.0, None, [])


def test_a_day_that_is_expected_is_missing_until_it_is_there(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 50), DAY))
    platform.refresh()
    publish(platform)
    assert platform.rows("select day from quality_days") == [(DAY,)], "without a day of listing no day is expected"
    listed(platform, DAY, date(2025, 3, 6))
    publish(platform, DAY_END + timedelta(days=1, minutes=30))
    assert status(platform, NEXT)[0::4] == ("pending", ["nothing is held yet"])
    publish(platform)
    days = platform.rows("select day, status, completeness from quality_days order by 1")
    assert days == [(DAY, "available", 1.0), (NEXT, "missing", 0.0), (date(2025, 3, 5), "missing", 0.0)], "not of the day it is delisted"
    take(platform, vision(tmp_path, tape(NEXT, 50, 1050, start_us=0), NEXT))
    platform.refresh()
    publish(platform)
    assert status(platform, NEXT)[0] == "available"


def test_a_day_without_a_trade_and_a_day_with_one_are_whole(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 1), DAY))
    platform.refresh()
    publish(platform)
    assert status(platform)[:2] == ("available", 1.0)
    batch = platform.rows("select max(batch_id) from ingest_batches")[0][0]
    undo_batch(platform.database, batch, "a test")
    platform.refresh([DAY])
    publish(platform)
    assert platform.rows("select status from quality_days") == [], "nothing is held, and nothing was expected"
    execute(platform, "update coverage set covered = tstzmultirange(tstzrange(%s, %s)), is_declared = true", DAY, NEXT)
    publish(platform)
    assert status(platform)[:2] == ("available", 1.0), "somebody who saw the whole day says that nobody traded"


def test_rows_in_quarantine_and_rows_that_break_a_rule_are_not_valid(platform: Platform, tmp_path: Path) -> None:
    lines = [*tape(DAY, 98), "garbage", "more,of,it"]
    take(platform, vision(tmp_path, lines, DAY))
    platform.refresh()
    publish(platform)
    found = status(platform)
    assert (found[0], found[2]) == ("degraded", 0.98)
    assert "validity is 0.980000, promised is 0.999: 2 rows wait in quarantine, 0 break a rule" in found[4]
    execute(
        platform,
        "insert into findings (rule, severity, relation, instrument, day, broken, examined, state, first_seen, last_seen)"
        " values ('order', 'page', 'raw_trades', %s, %s, 3, 98, 'open', now(), now())",
        NAME, DAY,
    )  # fmt: skip
    publish(platform)
    assert status(platform)[2] == 0.95
    assert status(platform)[4][-1] == "rules are broken: order"
    execute(platform, "update findings set state = 'resolved', resolved_at = now()")
    publish(platform)
    assert status(platform)[2] == 0.98


def test_bars_that_nothing_explains_are_no_conformance(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    platform.refresh()
    execute(
        platform,
        "insert into coverage (instrument, stream, day, row_count, updated_at) values (%s, 'venue_bars_1m', %s, 4, now())", NAME, DAY,
    )  # fmt: skip
    for minute, verdict in enumerate(("equal", "explained", "unexplained", "equal", "uncovered")):
        execute(
            platform,
            "insert into bar_conformance (instrument, interval, bar_start, status, known_at) values (%s, '1m', %s, %s, now())",
            NAME, datetime(2025, 3, 3, 1, minute, tzinfo=UTC), verdict,
        )  # fmt: skip
    publish(platform)
    assert status(platform)[0] == "degraded"
    assert status(platform)[3] == 0.75
    assert "1 of 4 bars" in status(platform)[4][0]


def test_a_day_whose_rows_were_dropped_keeps_its_status(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    platform.refresh()
    publish(platform)
    execute(platform, "update coverage set is_dropped = true, row_count = 0, covered = '{}', updated_at = now()")
    publish_status(platform.database, [DAY], NOTHING, LATER)
    assert status(platform) == ("available", 1.0, 1.0, None, [])


def test_a_landed_file_that_waits_makes_the_day_pending(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    platform.refresh()
    execute(platform, "update landing_days set is_pending = true")
    publish(platform)
    assert status(platform)[0::4] == ("pending", ["files of the day wait to be taken in"])
    execute(platform, "update landing_days set is_pending = false")
    publish(platform)
    assert status(platform)[0] == "available", "time alone may change what is pending: nobody has to ask for it"


def test_publishing_twice_changes_nothing(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    platform.refresh()
    assert publish_status(platform.database, [DAY], NOTHING, LATER).changed == 1
    again = publish_status(platform.database, [DAY], NOTHING, LATER)
    assert (again.days, again.changed) == ({"available": 1}, 0)
    execute(platform, "update coverage set updated_at = now() - interval '1 hour'")
    execute(platform, "update invalidations_applied set applied_at = now() - interval '1 hour'")
    assert publish_status(platform.database, [], NOTHING, LATER).days == {}, "nothing changed, nothing is looked at"


# --- freshness --------------------------------------------------------------------------------------------------


def look(platform: Platform, now: datetime, settings: QualitySettings = PROMISED) -> Looked:
    return look_at_freshness(platform.database, settings, now)


def newest(platform: Platform) -> datetime:
    return platform.rows("select max(event_time) from raw_trades")[0][0]


def test_a_stream_is_late_where_it_is_promised_and_no_more_when_it_comes(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    listed(platform, DAY)
    now = newest(platform) + timedelta(seconds=59)
    assert look(platform, now, NOTHING).promised == 0
    assert platform.rows("select age_seconds, limit_seconds, is_fresh from stream_freshness") == [(59.0, None, None)]
    assert look(platform, now).late == ()
    late = look(platform, now + timedelta(seconds=2))
    assert (late.late, late.settled.opened) == (((NAME, "trades"),), 1)
    assert look(platform, now + timedelta(seconds=3)).settled.kept == 1
    [(rule, severity, relation, day)] = platform.rows("select rule, severity, relation, day from findings where state = 'open'")
    assert (rule, severity, relation, day) == ("freshness", "page", "raw_trades", None)
    take(platform, vision(tmp_path, tape(DAY, 3, 1100, start_us=3_900_000_000), DAY, "-more"))
    assert look(platform, newest(platform)).settled.resolved == 1
    assert platform.rows("select looks, fresh_looks from stream_freshness") == [(4, 2)]


def test_the_share_of_fresh_looks_is_of_the_day_and_stays_with_it(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    platform.refresh()
    listed(platform, DAY)
    for seconds in (10, 20, 30, 100):
        look(platform, newest(platform) + timedelta(seconds=seconds))
    publish(platform, newest(platform) + timedelta(seconds=100), PROMISED)
    look(platform, DAY_END + timedelta(hours=1))
    assert platform.rows("select looks from stream_freshness") == [(1,)]
    publish(platform, DAY_END + timedelta(hours=1), PROMISED)
    assert platform.rows("select freshness from quality_days where day = %s", DAY) == [(0.75,)]
    assert status(platform)[0] == "degraded"
    assert status(platform)[4] == ["freshness is 0.750000, promised is 0.999: it was late when it was looked at"]


@pytest.mark.parametrize(
    ("on", "until", "is_named", "is_late"),
    [
        (DAY, None, False, True),
        (None, None, False, False),
        (None, None, True, True),
        (DAY, date(2025, 3, 7), False, False),
        (date(2025, 3, 9), None, True, False),
    ],
    ids=["listed", "no day is expected", "named in the settings", "delisted", "not listed yet"],
)
def test_who_is_not_listed_is_not_late(
    platform: Platform, tmp_path: Path, on: date | None, until: date | None, is_named: bool, is_late: bool
) -> None:
    take(platform, vision(tmp_path, tape(DAY, 10), DAY))
    listed(platform, on, until)
    settings = QualitySettings.model_validate({"sla": {NAME if is_named else "binance:*": {"freshness_seconds": {"trades": 60}}}})
    assert bool(look(platform, LATER, settings).late) == is_late


def test_a_stream_that_an_instrument_never_had_is_not_late_but_its_own_is(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 10), DAY))
    listed(platform, DAY)
    settings = QualitySettings.model_validate({"sla": {"*": {"freshness_seconds": {"trades": 60, "quotes": 60}}}})
    assert look(platform, LATER, settings).late == ((NAME, "trades"),)
    execute(platform, "truncate coverage")
    found = look(platform, LATER)
    assert found.late == ((NAME, "trades"),)
    assert platform.rows("select last_event_time, age_seconds, is_fresh from stream_freshness") == [(None, None, False)]


def test_a_time_ahead_of_the_clock_is_never_fresh(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 10), DAY))
    listed(platform, DAY)
    at = newest(platform)
    assert look(platform, at - timedelta(seconds=4)).late == (), "clocks differ a little"
    assert look(platform, at - timedelta(hours=1)).late == ((NAME, "trades"),)
    [(example,)] = platform.rows("select examples[1] from findings where state = 'open'")
    assert "3600 s ahead of the clock" in example
    assert look(platform, at + timedelta(seconds=61)).late == ((NAME, "trades"),)


def test_the_ledger_says_the_newest_time_whatever_changes_it(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 10), DAY))
    take(platform, vision(tmp_path, tape(DAY, 10, 1010, start_us=7_200_000_000), DAY, "-late"))

    def agrees() -> datetime:
        look(platform, LATER)
        [(told,)] = platform.rows("select last_event_time from stream_freshness")
        assert told == newest(platform)
        return told

    first = agrees()
    lines = ["instrument,sequence,day,action,price,size,side,new_event_time,reason", f"{NAME},1019,{DAY},replace,,,,{DAY}T01:00:05Z,a test"]
    (tmp_path / "corrections.csv").write_text("\n".join(lines) + "\n")
    platform.take_in(tmp_path / "corrections.csv", "rrr-corrections")
    second = agrees()
    assert second < first
    batch = platform.rows("select batch_id from ingest_batches order by 1 offset 1 limit 1")[0][0]
    undo_batch(platform.database, batch, "a test")
    assert agrees() < second


# --- what is read -----------------------------------------------------------------------------------------------


def test_status_and_budgets_are_read(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trades = tape(DAY, 1000)
    take(platform, vision(tmp_path, trades[:500] + trades[510:], DAY))
    platform.refresh()
    listed(platform, DAY)
    look(platform, LATER)
    publish(platform)
    days = read.status(database=platform.database)
    assert days["status"].to_pylist() == ["degraded", "missing", "missing", "pending", "pending"]
    assert days["reasons"].to_pylist()[1] == ["nothing is held of trades, which are expected"]
    assert len(read.status(NAME, DAY_END, None, database=platform.database)) == 4
    config = tmp_path / "quality.yaml"
    config.write_text("sla: {'binance:*': {objective: 0.5}}\n")
    monkeypatch.setenv("RRR_QUALITY_CONFIG", str(config))
    found = {(row["scope"], row["metric"]): row for row in read.sla(DAY, LATER.date(), database=platform.database).to_pylist()}
    assert {scope for scope, _ in found} == {NAME, "binance:*", "*"}
    own = found[NAME, "completeness"]
    assert (own["days"], own["mean"], own["objective"]) == (3, pytest.approx(0.33), 0.5)
    assert own["budget_used"] == pytest.approx(1.34)
    assert found["*", "availability"]["budget_used"] == pytest.approx(1000)
    assert (NAME, "conformance") not in found, "a share that no day has is no promise broken"
    assert read.freshness(database=platform.database)["stream"].to_pylist() == ["trades"]
    monkeypatch.setenv("RRR_DATABASE_URL", platform.database.admin_url)
    printed = CliRunner().invoke(app, ["quality", "status", "--instrument", NAME, "--json"])
    first = json.loads(printed.stdout)[0]
    assert (first["day"], first["status"]) == (DAY.isoformat(), "degraded")
    assert "completeness is 0.990000" in CliRunner().invoke(app, ["quality", "status"]).stdout
    assert json.loads(CliRunner().invoke(app, ["quality", "fresh", "--json"]).stdout)[0]["is_fresh"] is False
    assert CliRunner().invoke(app, ["quality", "sla", "--days", "1", "--json"]).stdout == "[]\n", "of the last day nothing is held"
