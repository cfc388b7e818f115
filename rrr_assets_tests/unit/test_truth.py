"""The verdict on detectors, on made-up reports: it must be able to say no."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from rrr_assets.simulator import INJECTED, MANIFEST_NAME, Injection, simulate
from rrr_assets.simulator.truth import FOUND_BY, Absorbed, Reported, injections_of, score

DAY = date(2025, 3, 7)
NOON = datetime(2025, 3, 7, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAME = "coinbase:BTCUSD"


def injection(kind: str, number: int = 0, **given: object) -> Injection:
    streams = ("quotes",) if kind in {"crossed", "locked"} else ("trades",)
    made = Injection(number, kind, INJECTED[kind].severity, NAME, streams, DAY, NOON, NOON + HOUR, "")
    return replace(made, **given)  # type: ignore[arg-type]  # any of its fields


def report(rule: str, relation: str = "raw_trades", at: timedelta = timedelta(), **given: object) -> Reported:
    made = Reported(rule, True, relation, NAME, NOON + at, NOON + at + timedelta(minutes=1))
    return replace(made, **given)  # type: ignore[arg-type]  # any of its fields


def test_every_kind_that_is_told_has_a_rule() -> None:
    assert set(FOUND_BY) == {name for name, kind in INJECTED.items() if kind.severity in {"page", "warn"}}


@pytest.mark.parametrize(
    ("found", "is_found", "false_pages"),
    [
        (report("crossed_book", "raw_quotes"), True, 0),
        (report("crossed_book", "raw_quotes", 2 * HOUR), False, 1),
        (report("crossed_book", "raw_quotes", since=None, until=None, day=DAY), True, 0),
        (report("crossed_book", "raw_quotes", since=None, until=None, day=DAY + timedelta(days=1)), False, 1),
        (report("crossed_book", "raw_trades"), False, 1),
        (report("crossed_book", "raw_quotes", instrument="coinbase:ETHUSD"), False, 1),
        (report("crossed_book", "raw_quotes", instrument=None), True, 0),
        (report("frozen_feed", "raw_quotes"), False, 1),
        (report("outside_quote", "raw_trades"), False, 0),
    ],
)
def test_a_report_tells_of_what_it_overlaps(found: Reported, is_found: bool, false_pages: int) -> None:
    verdict = score([injection("crossed")], [found], {})
    assert verdict.recall("page") == (1.0 if is_found else 0.0)
    assert len(verdict.false_pages) == false_pages
    assert [len(each.false) for each in verdict.rules] == [false_pages]


def test_ids_must_be_the_very_ids() -> None:
    one = injection("gap", ids=((10, 20),))
    assert score([one], [report("gap", "trades", ids=(10, 20))], {}).recall("page") == 1
    assert score([one], [report("gap", "trades", ids=(10, 14)), report("gap", "trades", ids=(15, 20))], {}).recall("page") == 1
    for ids in ((11, 20), (10, 21)):
        assert score([one], [report("gap", "trades", ids=ids)], {}).recall("page") == 0
    assert len(score([one], [report("gap", "trades", ids=(30, 31))], {}).false_pages) == 1


def test_a_missing_file_is_told_by_its_ids_or_over_its_day() -> None:
    midnight = NOON - 12 * HOUR
    one = injection("file-missing", ids=((10, 20),), since=midnight, until=midnight + 24 * HOUR)
    assert score([one], [report("gap", "trades", since=midnight, until=midnight + 24 * HOUR)], {}).recall("page") == 1
    assert score([one], [report("gap", "trades", ids=(10, 20))], {}).recall("page") == 1
    assert score([one], [report("gap", "trades", since=midnight, until=midnight + 2 * HOUR)], {}).recall("page") == 0


def test_an_outage_may_not_page_and_what_is_absorbed_may_leave_no_trace() -> None:
    assert score([injection("outage")], [report("silence", is_page=False)], {}).recall("leave") == 1
    paged = score([injection("outage")], [report("gap", "trades")], {})
    assert (paged.recall("leave"), len(paged.false_pages)) == (0, 1)
    one = injection("duplicate", rows=12)
    told = [report("duplicate", "ingest_batches")]
    assert score([one], told, {0: Absorbed(12, 0)}).recall("page") == 1
    assert score([one], told, {0: Absorbed(24, 0)}).recall("page") == 0
    assert score([one], [], {0: Absorbed(12, 0)}).recall("page") == 0
    garbage = [injection("bad-rows", rows=3), injection("bad-rows", 1, rows=4)]
    assert score(garbage, [], {0: Absorbed(3, 7), 1: Absorbed(4, 7)}).recall("absorb") == 1
    assert score(garbage, [], {0: Absorbed(3, 7), 1: Absorbed(4, 6)}).recall("absorb") == 0.5


def test_precision_counts_what_nothing_explains() -> None:
    found = [report("volume_spike", is_page=False), report("volume_spike", at=5 * HOUR, is_page=False)]
    verdict = score([injection("spike-volume")], found, {})
    assert verdict.precision({"volume_spike"}) == 0.5
    assert verdict.false_pages == ()


def test_the_manifest_gives_back_what_was_injected(tmp_path: Path) -> None:
    made = simulate(tmp_path, [DAY], [NAME], 4_000, 2, quotes=True, injections=5, injected_kinds=["gap", "clock-skew", "spike-price"])
    assert tuple(injections_of(json.loads((tmp_path / MANIFEST_NAME).read_text()))) == made.injections
