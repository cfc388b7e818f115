"""The quality report and the platform's metrics, read from a real database of each engine.

Belongs here: windows, filters, bounds, what is counted. Does not: what it amounts to (unit/), the command and the asset (graph/).
"""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from psycopg.types.json import Jsonb

from rrr_assets.calc.quality_config import DEFAULTS
from rrr_assets.cli.quality import _show
from rrr_assets.quality import metrics
from rrr_assets.quality.report import as_object, make_report, time_text
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.quality_report import MOST_ROWS, QualityRows, WindowRefused, read_quality
from rrr_assets_tests.sql.test_read import insert

BTC, ETH, OLD = "binance:BTCUSDT", "kraken:ETHUSD", "gemini:OLD"
NOW = datetime.now(UTC).replace(microsecond=0)
TODAY = NOW.date()
LONG_AGO = NOW - timedelta(days=90)
RUN = "run-1"


def day_before(days: int) -> date:
    return TODAY - timedelta(days=days)


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """Two instruments that are known, one that is no more; something of every ledger, and old and closed rows that do not count."""
    judged = {
        "row_count": 10, "completeness": 1.0, "validity": 1.0, "conformance": 1.0, "freshness": None, "open_gaps": 0, "findings": 0,
        "anomalies": 0, "reasons": [], "computed_at": NOW,
    }  # fmt: skip
    gap = {
        "stream": "trades", "kind": "ids", "from_time": NOW, "to_time": NOW + timedelta(minutes=1), "first_missing": 5, "last_missing": 9,
        "cause": "feed", "changed_at": NOW, "attempts": 0, "evidence": Jsonb({}),
    }  # fmt: skip
    finding = {
        "relation": "raw_trades", "broken": 3, "examined": 10, "examples": ["one"], "first_seen": NOW, "last_seen": NOW, "run_id": RUN,
    }  # fmt: skip
    anomaly = {"relation": "bars_1m", "to_time": NOW, "value": 3.5, "expected": 1.0, "threshold": 4.0, "found_at": NOW}
    bar = {"interval": "1m", "rule": None, "known_at": NOW}
    earlier, last, now = ({"kind": "recent", "started_at": NOW - timedelta(seconds=ago)} for ago in (2400, 240, 5))
    day = {"instrument": BTC, **judged}
    stream = {"last_event_time": None, "looked_at": NOW}
    stale = {**stream, "last_event_time": NOW - timedelta(hours=1), "limit_seconds": 60.0, "is_fresh": False}
    with database.connect(Role.OWNER) as connection:
        spot = {"valid_from": LONG_AGO, "contract_type": "spot", "price_scale": 8, "size_scale": 8}
        for name in (BTC, ETH):
            venue, symbol = name.split(":")
            insert(connection, "instruments", {"instrument": name, "venue": venue, "symbol": symbol, **spot})
        insert(
            connection,
            "quality_days",
            {**day, "day": day_before(1), "status": "available"},
            {**day, "day": day_before(2), "status": "degraded", "completeness": 0.5, "reasons": ["5 ids are missing"]},
            {**day, "day": day_before(60), "status": "missing", "completeness": None, "row_count": 0},
            {**day, "day": day_before(3), "status": "missing", "completeness": None, "row_count": 0, "instrument": OLD},
        )
        insert(
            connection,
            "gaps",
            {"instrument": BTC, "state": "open", "first_seen": NOW - timedelta(hours=1), **gap},
            {"instrument": ETH, "state": "healing", "first_seen": NOW - timedelta(hours=2), **gap, "from_time": LONG_AGO},
            {"instrument": BTC, "state": "healed", "first_seen": LONG_AGO, **gap, "healed_at": NOW},
            {"instrument": BTC, "state": "accepted", "first_seen": LONG_AGO, **gap, "accepted_at": NOW},
        )
        insert(
            connection,
            "findings",
            {"rule": "late", "severity": "warn", "instrument": BTC, "day": day_before(1), "state": "open", **finding},
            {"rule": "duplicate", "severity": "page", "instrument": BTC, "day": day_before(1), "state": "open", **finding},
            {"rule": "schema_drift", "severity": "page", "instrument": None, "day": None, "state": "open", **finding},
            {"rule": "null", "severity": "page", "instrument": BTC, "day": None, "state": "resolved", **finding, "resolved_at": NOW},
        )
        insert(
            connection,
            "anomalies",
            {"rule": "volume_spike", "instrument": BTC, "from_time": at(day_before(1)), "score": 8.0, **anomaly},
            {"rule": "return_z", "instrument": ETH, "from_time": at(day_before(2)), "score": -20.0, **anomaly},
            {"rule": "return_z", "instrument": ETH, "from_time": LONG_AGO, "score": 99.0, **anomaly},
        )
        insert(
            connection,
            "bar_conformance",
            {"instrument": BTC, "bar_start": at(day_before(1)), "status": "equal", **bar},
            {"instrument": BTC, "bar_start": at(day_before(1)) + timedelta(minutes=1), "status": "unexplained", **bar},
            {"instrument": BTC, "bar_start": at(day_before(40)), "status": "explained", **bar},
        )
        insert(
            connection,
            "quality_runs",
            {**earlier, "finished_at": NOW - timedelta(minutes=39), "errors": ["boom"]},
            {**last, "finished_at": NOW - timedelta(minutes=3), "checks": 9, "broken": 2},
            now,
        )
        insert(
            connection,
            "stream_freshness",
            {**stale, "instrument": BTC, "stream": "trades"},
            {**stream, "instrument": ETH, "stream": "quotes"},
        )
    return database


def read_(database: Database, *window: datetime | None, only: list[str] | None = None) -> QualityRows:
    return read_quality(database, *window, instruments=only, at=NOW)


def test_a_database_of_nothing_is_no_error(blank: Database) -> None:
    from rrr_assets.warehouse.connect import DatabaseUnusable
    from rrr_assets.warehouse.migrate import migrate

    with pytest.raises(DatabaseUnusable, match="rrr up"):
        read_quality(blank)
    migrate(blank)
    rows = read_quality(blank)
    assert (rows.last_held_day, rows.instruments, rows.days) == (None, (), ())
    assert [run.finished_at for run in rows.runs] == [None, None]
    assert [notice.command for notice in make_report(rows, DEFAULTS).notices] == ["rrr run"]


def test_a_window_ends_with_the_last_judged_day_and_what_is_open_has_no_window(filled: Database) -> None:
    rows = read_(filled)
    assert (rows.from_day, rows.until_day) == (day_before(30), TODAY)
    assert [(day.instrument, day.day) for day in rows.days] == [(BTC, day_before(2)), (BTC, day_before(1)), (OLD, day_before(3))]
    assert rows.instruments == (BTC, OLD, ETH)
    # The longest known first, whatever it is of.
    assert [(gap.instrument, gap.state) for gap in rows.gaps] == [(ETH, "healing"), (BTC, "open")]
    assert (rows.gaps_in_all, rows.findings_in_all, rows.findings_paging) == (2, 3, 2)
    assert [finding.severity for finding in rows.findings] == ["page", "page", "warn"]
    assert [(odd.instrument, odd.score) for odd in rows.anomalies] == [(ETH, -20.0), (BTC, 8.0)]
    [verdicts] = rows.verdicts
    assert (verdicts.venue, verdicts.equal, verdicts.explained, verdicts.unexplained) == ("binance", 1, 0, 1)
    recent, daily = rows.runs
    assert (recent.finished_at, recent.checks, recent.broken, recent.errors) == (NOW - timedelta(minutes=3), 9, 2, [])
    assert recent.under_way_since == NOW - timedelta(seconds=5)
    assert daily.finished_at is None
    assert [(stream.instrument, stream.is_fresh) for stream in rows.streams] == [(BTC, False), (ETH, None)]


def test_days_and_instruments_that_are_asked_for_are_what_is_told(filled: Database) -> None:
    rows = read_(filled, at(day_before(61)), at(day_before(59)))
    assert [(day.day, day.status) for day in rows.days] == [(day_before(60), "missing")]
    # A gap counts on each day that it touches.
    assert ([gap.instrument for gap in rows.gaps], rows.anomalies) == ([ETH], ())
    assert [finding.rule for finding in rows.findings] == ["schema_drift"]
    mine = read_(filled, only=[ETH])
    assert mine.instruments == (ETH,)
    assert (mine.days, [gap.instrument for gap in mine.gaps], mine.verdicts) == ((), [ETH], ())
    # A finding of no instrument concerns all of them.
    assert [finding.rule for finding in mine.findings] == ["schema_drift"]
    # A time within a day means that day.
    assert read_(filled, at(day_before(2)), at(day_before(1)) + timedelta(seconds=1)).until_day == TODAY
    assert read_(filled, at(TODAY) + timedelta(days=5)).from_day == TODAY + timedelta(days=5)


@pytest.mark.parametrize("window", [(at(TODAY), at(TODAY)), (at(TODAY), at(TODAY) - timedelta(days=1)), (at(date(2020, 1, 1)), at(TODAY))])
def test_a_window_that_is_none_is_refused(filled: Database, window: tuple[datetime, datetime]) -> None:
    with pytest.raises(WindowRefused, match=r"--end|Ask for at most"):
        read_(filled, *window)


def test_more_than_is_shown_is_counted(filled: Database) -> None:
    with filled.connect(Role.OWNER) as connection:
        connection.execute(
            "insert into anomalies (rule, relation, instrument, from_time, to_time, value, score, threshold, found_at)"
            " select 'silence', 'raw_trades', %s, %s + n * interval '1 second', %s, 1, 5, 4, now() from generate_series(1, %s) as n",
            (ETH, at(day_before(4)), NOW, MOST_ROWS),
        )
    try:
        rows = read_(filled)
        assert (len(rows.anomalies), rows.anomalies_in_all) == (MOST_ROWS, MOST_ROWS + 2)
    finally:
        with filled.connect(Role.OWNER) as connection:
            connection.execute("delete from anomalies where rule = 'silence'")


def test_what_goes_to_a_file_is_cut_nowhere(filled: Database, capsys: pytest.CaptureFixture[str]) -> None:
    report = make_report(read_(filled), DEFAULTS)
    _show(report)
    printed = capsys.readouterr().out
    assert report.rows.anomalies
    for odd in report.rows.anomalies[:10]:
        assert re.search(rf"{odd.instrument} +{odd.rule} +{re.escape(time_text(odd.from_time))} ", printed)


def test_programs_get_all_of_it_as_json(filled: Database) -> None:
    told = json.loads(json.dumps(as_object(make_report(read_(filled), DEFAULTS)), allow_nan=False))
    assert told["statuses"] == {"available": 1, "degraded": 1, "pending": 0, "missing": 1}
    assert (told["open_gaps"], told["open_findings_paging"]) == (2, 2)
    assert told["from_day"] == day_before(30).isoformat()
    assert told["runs"][0]["age_seconds"] == 180
    [completeness] = [each for each in told["budgets"] if (each["instrument"], each["measure"]) == (BTC, "completeness")]
    assert (completeness["attained"], completeness["is_over"]) == (0.75, True)


# --- metrics ----------------------------------------------------------------------------------------------------

Series = dict[str, dict[frozenset[tuple[str, str]], float]]


def scraped() -> Series:
    """What a scrape says, parsed as Prometheus would: name to labels to value."""
    found: Series = defaultdict(dict)
    for family in text_string_to_metric_families(metrics.exposition()):
        assert family.documentation
        for sample in family.samples:
            key = frozenset(sample.labels.items())
            assert key not in found[sample.name], f"{sample.name} {key} twice"
            found[sample.name][key] = sample.value
    return found


def value(found: Series, name: str, **labels: str) -> float:
    return found[name][frozenset(labels.items())]


@pytest.fixture
def scraped_database(filled: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The environment names the filled database, as for `rrr metrics`."""
    monkeypatch.setenv("RRR_DATABASE_URL", filled.admin_url)
    monkeypatch.delenv("RRR_BACKUP_DIR", raising=False)
    return filled


def test_metrics_tell_what_the_ledgers_hold(scraped_database: Database) -> None:
    entry = {"instrument": BTC, "from_time": NOW, "to_time": NOW + timedelta(seconds=1), "reason": "load"}
    waits = {"relation": "raw_trades", "day": day_before(1), "logged_at": NOW - timedelta(minutes=10), **entry}
    with scraped_database.connect(Role.OWNER) as connection:
        insert(connection, "invalidation_log", *[waits] * 7)
        insert(connection, "invalidation_log", {"relation": "raw_agg_trades", "day": day_before(5), "logged_at": NOW, **entry})
    found = scraped()
    passed = (datetime.now(UTC) - NOW).total_seconds()
    assert value(found, "rrr_up") == 1
    parts = {dict(key)["collector"]: up for key, up in found["rrr_collector_up"].items()}
    assert set(parts) == set(metrics.COLLECTORS)
    # Dagster's database is made by the first run.
    assert {name for name, up in parts.items() if not up} == {"dagster"}
    assert value(found, "rrr_gaps", state="open", cause="feed") == value(found, "rrr_gaps", state="healing", cause="feed") == 1
    assert value(found, "rrr_gaps", state="open", cause="unknown") == 0
    assert value(found, "rrr_gaps_oldest_age_seconds") == pytest.approx(passed + 7200, abs=60)
    assert value(found, "rrr_findings_open", rule="duplicate", severity="page") == 1
    assert value(found, "rrr_instrument_days", status="missing") == 1
    assert value(found, "rrr_quality_run_age_seconds", kind="recent") == pytest.approx(passed + 180, abs=600)
    assert value(found, "rrr_quality_run_duration_seconds", kind="recent") == 60
    assert value(found, "rrr_stream_lag_seconds", instrument=BTC, stream="trades") == pytest.approx(passed + 3600, abs=600)
    assert frozenset({("instrument", ETH), ("stream", "quotes")}) not in found["rrr_stream_lag_seconds"]
    # Bars of an instrument that declares trades do not follow its aggregated trades.
    assert value(found, "rrr_invalidation_days", consumer="bars_1m") == 1
    assert value(found, "rrr_invalidation_entries", consumer="bars_1m") == 7
    assert value(found, "rrr_invalidation_oldest_age_seconds", consumer="bars_1m") == pytest.approx(passed + 600, abs=60)
    for consumer in ("tick_minutes", "features_1m"):
        assert value(found, "rrr_invalidation_oldest_age_seconds", consumer=consumer) == pytest.approx(passed + 600, abs=60)
    assert value(found, "rrr_database_size_bytes") > 1_000_000


def test_names_and_labels_keep_to_conventions_and_bounds(scraped_database: Database) -> None:
    """A metric says its unit, a counter ends in _total, and labels are words of a list or bounded by the query."""
    assert scraped_database
    found = scraped()
    assert set(found) <= set(metrics.METRICS)
    for name, described in metrics.METRICS.items():
        assert name.startswith("rrr_")
        assert name == name.lower()
        assert not name.endswith(("_ms", "_minutes", "_kb", "_count"))
        assert described.help.endswith(".")
        for key in found.get(name, {}):
            assert {label for label, _ in key} == set(described.labels)
    assert sum(map(len, found.values())) < 200


def test_a_thousand_instruments_make_no_more_series_than_are_allowed(scraped_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST_SERIES", 5)
    with scraped_database.connect(Role.OWNER) as connection:
        connection.execute("insert into stream_freshness (instrument, stream, last_event_time, looked_at)"
                           " select 'z:' || n, 'trades', now(), now() from generate_series(1, 50) as n")  # fmt: skip
    try:
        assert len(scraped()["rrr_stream_lag_seconds"]) <= 5
    finally:
        with scraped_database.connect(Role.OWNER) as connection:
            connection.execute("delete from stream_freshness where instrument like 'z:%'")


def test_one_look_answers_scrapes_that_come_at_once(scraped_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scraped_database
    from concurrent.futures import ThreadPoolExecutor

    looks: list[int] = []
    read = metrics.read_samples

    def counted(resting: metrics.Resting) -> Iterator[metrics.Sample]:
        looks.append(1)
        yield from read(resting)

    monkeypatch.setattr(metrics, "read_samples", counted)
    monkeypatch.setattr(metrics, "_SAME_FOR_SECONDS", 60.0)
    collector = metrics.PlatformCollector()
    with ThreadPoolExecutor(8) as several:
        told = list(several.map(lambda _: [len(family.samples) for family in collector.collect()], range(8)))
    assert len(looks) == 1
    assert all(each == told[0] for each in told)


def test_a_part_that_took_long_rests_ten_times_as_long(scraped_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scraped_database
    reads: list[str] = []

    def slow(_: object) -> Iterator[metrics.Sample]:
        reads.append("gaps")
        clock[0] += 3.0
        yield "rrr_gaps_oldest_age_seconds", (), float(len(reads))

    clock = [1000.0]
    monkeypatch.setattr(metrics.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(metrics, "_SECTIONS", {"gaps": slow})
    collector = metrics.PlatformCollector()
    told = []
    for _ in range(4):
        told += [family.samples[0].value for family in collector.collect() if family.name == "rrr_gaps_oldest_age_seconds"]
        clock[0] += 15.0
    assert told == [1, 1, 2, 2]


def test_a_part_that_cannot_be_read_is_absent_and_the_others_are_there(scraped_database: Database) -> None:
    with scraped_database.connect(Role.OWNER) as connection:
        connection.execute("alter table gaps rename to gaps_away")
    try:
        found = scraped()
    finally:
        with scraped_database.connect(Role.OWNER) as connection:
            connection.execute("alter table gaps_away rename to gaps")
    assert value(found, "rrr_up") == 1
    assert value(found, "rrr_collector_up", collector="gaps") == 0
    assert value(found, "rrr_collector_up", collector="findings") == 1
    assert found["rrr_gaps"] == {}


def test_a_database_that_is_down_is_what_the_metrics_say(scraped_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = psycopg.conninfo.conninfo_to_dict(scraped_database.admin_url)
    monkeypatch.setenv("RRR_DATABASE_URL", f"postgresql://nobody:x@127.0.0.1:1/{nowhere['dbname']}")
    for role in Role:
        monkeypatch.delenv(f"RRR_{role.name}_URL", raising=False)
    found = scraped()
    assert value(found, "rrr_up") == 0
    assert found["rrr_disk_free_bytes"]
    assert found["rrr_gaps"] == {}
    assert os.environ["RRR_DATABASE_URL"].endswith(nowhere["dbname"])
