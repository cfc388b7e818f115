"""Drift through the graph and on the command line: of a planted one checks, alert and picture tell, and of no other day."""

import base64
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from rrr_assets.calc.features import FEATURES
from rrr_assets.definitions import defs
from rrr_assets.resources import alert_signals
from rrr_assets.resources.partitions import RANGE_START
from rrr_assets.resources.warehouse import Warehouse
from rrr_assets.warehouse.connect import Database
from rrr_assets_tests.dagster_platform import evaluations, failures, materializations, run_job
from rrr_assets_tests.planted_features import plant, usual
from rrr_assets_tests.warm import rrr

MONDAY = date(2025, 3, 10)
ONE_DAY = timedelta(days=1)
NAMES = ("binance:BTCUSDT", "binance:ETHUSDT")
CHECKS = {"drift", "reference_range", "missing"}


@pytest.fixture(scope="module")
def planted(instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """A week of days that are alike, two more like them, and one on which a few features of one instrument are not."""
    for number in range(-7, 3):
        for place, name in enumerate(NAMES):
            columns = {feature: column[::4] for feature, column in usual(10 * number + place + 100).items()}
            if number == 2 and place == 1:
                columns["quoted_spread"] = columns["quoted_spread"] * 20
                columns["vpin_50"] = columns["vpin_50"] / 3
                columns["kyle_lambda_1h"] = np.where(np.arange(360) % 3 == 0, np.nan, columns["kyle_lambda_1h"])
                columns["sma_20"] = columns["sma_20"] + 100
            plant(Database.current(), name, MONDAY + number * ONE_DAY, columns)
    return instance


@pytest.fixture(scope="module")
def judged(planted: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return run_job(planted, [MONDAY, MONDAY + ONE_DAY, MONDAY + 2 * ONE_DAY], job="judge_features")


def test_the_checks_warn_of_the_planted_day_and_of_no_other(judged: dg.ExecuteInProcessResult) -> None:
    assert judged.success, failures(judged)
    found = evaluations(judged)
    assert {name for _, name, _ in found} == CHECKS
    for day in (MONDAY, MONDAY + ONE_DAY):
        assert {name: each.passed for (_, name, of), [each] in found.items() if of == day.isoformat()} == dict.fromkeys(CHECKS, True)
    planted_on = (MONDAY + 2 * ONE_DAY).isoformat()
    told = {name: each for (_, name, of), [each] in found.items() if of == planted_on}
    assert not any(each.passed for each in told.values())
    assert {each.severity for each in told.values()} == {dg.AssetCheckSeverity.WARN}
    assert not any(each.blocking for each in told.values())
    # The worst are named, and how far they are: of the instrument, and of both together where they pull these along.
    [drift] = [str(value.value) for value in told["drift"].metadata.values()]
    assert drift.startswith("broken by ")
    worst = drift.partition(": ")[2].split("; ")
    assert worst[0].startswith(("quoted_spread of binance:ETHUSDT psi ", "vpin_50 of binance:ETHUSDT psi "))
    assert {each.split()[0] for each in worst} == {"quoted_spread", "vpin_50"}
    assert "usual up to" in worst[0]
    [outside] = [str(value.value) for value in told["reference_range"].metadata.values()]
    assert outside.partition(": ")[2].startswith("quoted_spread of binance:ETHUSDT")
    [missing] = [str(value.value) for value in told["missing"].metadata.values()]
    assert "kyle_lambda_1h of binance:ETHUSDT 33.3%, in the reference 0.0%" in missing
    assert {name: each.passed for (_, name, of), [each] in found.items() if of is None} == dict.fromkeys(CHECKS, False)


def test_a_day_shows_its_numbers_and_the_last_one_a_picture(judged: dg.ExecuteInProcessResult) -> None:
    found = {day: made[0].metadata for (_, day), made in materializations(judged).items()}
    first, last = found[MONDAY.isoformat()], found[(MONDAY + 2 * ONE_DAY).isoformat()]
    assert first["dagster/partition_row_count"].value == 3 * len(FEATURES)
    assert (first["drifted"].value, first["instruments"].value) == (0, 2)
    assert str(first["references"].value) == f"1: days {MONDAY - 14 * ONE_DAY} to {MONDAY - ONE_DAY}"
    assert "picture" not in first, "of a backfill the last picture shows all days"
    assert last["drifted"].value > 0
    assert {record.data["feature"] for record in last["worst"].records[:2]} == {"quoted_spread", "vpin_50"}
    _, _, encoded = str(last["picture"].value).partition("base64,")
    picture = base64.b64decode(encoded.removesuffix(")"))
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 400_000


def test_the_alert_warns_and_pages_nobody(judged: dg.ExecuteInProcessResult, planted: dg.DagsterInstance) -> None:
    assert judged.success
    found = [each for each in alert_signals.failed_checks(planted, datetime.now(UTC)) if each.relation == "feature_drift"]
    assert len(found) == 3
    assert {(each.rule, each.severity, each.day) for each in found} == {("feature_drift", "warn", MONDAY + 2 * ONE_DAY)}
    assert any("quoted_spread of binance:ETHUSDT psi" in each.what for each in found)


def asked_for(instance: dg.DagsterInstance, day: date) -> list[str]:
    """The first days that the schedule asks for when it ticks on a day."""
    schedule = defs.resolve_schedule_def("feature_drift")
    at = datetime(day.year, day.month, day.day, 3, 20, tzinfo=UTC)
    with dg.build_schedule_context(
        instance, scheduled_execution_time=at, repository_def=defs.get_repository_def(), resources={"warehouse": Warehouse()}
    ) as context:
        requests = schedule.evaluate_tick(context).run_requests or ()
    return [request.tags[RANGE_START] for request in requests]


def test_the_command_line_and_the_schedule_tell_the_same(
    judged: dg.ExecuteInProcessResult, planted: dg.DagsterInstance, tmp_path: Path
) -> None:
    assert judged.success
    end = (MONDAY + 3 * ONE_DAY).isoformat()
    picture = tmp_path / "drift.png"
    done = rrr("features", "drift", "binance:ETHUSDT", "--start", str(MONDAY), "--end", end, "--json", "--plot", picture)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    told = {row["feature"]: row for row in rows if "drifted" in row["is"] or "missing" in row["is"]}
    assert set(told) == {"quoted_spread", "vpin_50", "kyle_lambda_1h"} == {row["feature"] for row in rows[:3]}
    assert rows[0]["psi"] == max(row["psi"] for row in rows)
    assert told["quoted_spread"]["is"] == "drifted, out_of_range"
    assert told["quoted_spread"]["day"] == (MONDAY + 2 * ONE_DAY).isoformat()
    assert told["kyle_lambda_1h"]["missing"] == pytest.approx(1 / 3, abs=1e-4)
    assert told["vpin_50"]["reference"].startswith("1: ")
    assert picture.read_bytes().startswith(b"\x89PNG")
    # What changed since is said, and looked at where that is asked for.
    plant(Database.current(), NAMES[1], MONDAY + 2 * ONE_DAY, {name: column[::4] for name, column in usual(7).items()})
    assert asked_for(planted, MONDAY + 3 * ONE_DAY) == [str(MONDAY - 4 * ONE_DAY), str(MONDAY + 2 * ONE_DAY)]
    waiting = rrr("features", "drift", "--start", str(MONDAY), "--end", end, "--all", "--json")
    assert len(json.loads(waiting.stdout)) == 3 * 3 * len(FEATURES)
    assert f"1 day not looked at, or changed since, from {MONDAY + 2 * ONE_DAY} on" in waiting.stderr
    made = rrr("features", "drift", "--start", str(MONDAY), "--end", end, "--make", "--json")
    assert made.returncode == 0, made.stderr
    assert [row for row in json.loads(made.stdout) if row["is"] != "moved"] == []
    assert asked_for(planted, MONDAY + 8 * ONE_DAY) == []
