"""Drift in the database: what a day is held against, what is kept of it, and what stays as it was."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.drift import population_stability_index, verdicts
from rrr_assets.calc.features.spec import TrainingSpec
from rrr_assets.calc.quality_config import FeatureDrift
from rrr_assets.contracts.features import FEATURES_1M
from rrr_assets.lake.feature_reads import feature_rows
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.contract_checks import ask_contract, one_view, results_of
from rrr_assets.warehouse.holds import Hold, place, release
from rrr_assets.warehouse.inspection import check
from rrr_assets.warehouse.quality_feature_drift import (
    ALL,
    DayJudged,
    Number,
    days_unjudged,
    judge_day,
    read_bins,
    read_numbers,
    read_references,
)
from rrr_assets_tests.loading import NAME, emptied
from rrr_assets_tests.planted_features import Column, plant, usual
from rrr_assets_tests.platform import Platform

MONDAY = date(2025, 3, 10)
ONE_DAY = timedelta(days=1)
OTHER = "binance:ETHUSDT"
SETTINGS = FeatureDrift.model_validate({"reference_days": 4})
SOME = ("rsi_14", "return_1m", "sma_20")


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


def some(seed: int, *, every: int = 4) -> dict[str, Column]:
    """A few features of a quarter of a day's minutes, which is enough to be held against something."""
    return {name: usual(seed)[name][::every] for name in SOME}


def days_before(platform: Platform, day: date, count: int = 4, instruments: Sequence[str] = (NAME,)) -> None:
    for back in range(1, count + 1):
        for place_, name in enumerate(instruments):
            plant(platform.database, name, day - back * ONE_DAY, some(100 * back + place_))


def judged(platform: Platform, day: date, settings: FeatureDrift = SETTINGS) -> DayJudged:
    return judge_day(platform.database, day, feature_rows, settings, "a run")


def number(numbers: Sequence[Number], feature: str, instrument: str = NAME) -> Number:
    [found] = [each for each in numbers if (each.feature, each.instrument) == (feature, instrument)]
    return found


def said(found: DayJudged) -> dict[tuple[str, str], tuple[str, ...]]:
    return {
        (each.instrument, each.feature): words
        for each in found.numbers
        if (words := tuple(word for word in verdicts(each.feature, each.drift, SETTINGS) if word != "moved"))
    }


def test_a_day_as_the_days_before_and_one_that_is_not(platform: Platform) -> None:
    days_before(platform, MONDAY)
    plant(platform.database, NAME, MONDAY, some(1))
    same = judged(platform, MONDAY)
    assert (same.rows, same.instruments, len(same.numbers)) == (360, 1, len(FEATURES))
    assert said(same) == {}
    index = number(same.numbers, "rsi_14").drift
    assert index.psi is not None
    assert 0 < index.psi < 0.15
    assert index.usual_psi is not None

    moved = some(1)
    moved["rsi_14"] = moved["rsi_14"] / 2
    moved["return_1m"] = np.where(np.arange(360) % 2 == 0, np.nan, moved["return_1m"])
    moved["sma_20"] = moved["sma_20"] + 10
    plant(platform.database, NAME, MONDAY, moved)
    other = judged(platform, MONDAY)
    assert said(other) == {(NAME, "rsi_14"): ("drifted",), (NAME, "return_1m"): ("missing",)}
    # A level of price is somewhere else, as prices are; it is told, and warns nobody.
    level = number(other.numbers, "sma_20").drift
    assert level.psi is not None
    assert level.psi > 1
    assert level.out_of_range == 1
    # What was said of the day before is replaced; the reference is the same.
    assert platform.rows("select count(*), count(distinct day) from feature_drift") == [(len(FEATURES), 1)]
    assert {each.reference_id for each in other.numbers} == {each.reference_id for each in same.numbers}
    assert platform.rows("select distinct run_id from feature_drift") == [("a run",)]


def test_a_number_can_be_computed_again_from_what_is_kept(platform: Platform) -> None:
    days_before(platform, MONDAY)
    plant(platform.database, NAME, MONDAY, some(9))
    done = judged(platform, MONDAY)
    read = read_numbers(platform.database, MONDAY, MONDAY + ONE_DAY)
    assert read == sorted(done.numbers, key=lambda each: (each.day, each.instrument, each.feature))
    assert read_numbers(platform.database, MONDAY + ONE_DAY, MONDAY + 2 * ONE_DAY) == []
    assert read_numbers(platform.database, MONDAY, MONDAY + ONE_DAY, [OTHER]) == []
    bins = read_bins(platform.database, read)
    for name in SOME:
        each = number(read, name)
        assert each.reference_id is not None
        of = bins[each.reference_id, NAME, name]
        assert population_stability_index(of.shares, each.drift.shares) == each.drift.psi
        assert (of.rows, of.days) == (4 * 360, 4)
    [reference] = read_references(platform.database, [each.reference_id for each in read if each.reference_id]).values()
    assert (reference.source, reference.name, reference.as_known_at) == ("rolling", None, None)
    assert (reference.from_time.date(), reference.until_time.date()) == (MONDAY - 4 * ONE_DAY, MONDAY)


def test_the_days_of_a_week_share_a_reference_until_its_days_change(platform: Platform) -> None:
    days_before(platform, MONDAY)
    days = [MONDAY, MONDAY + ONE_DAY, MONDAY + 3 * ONE_DAY]
    for seed, day in enumerate(days):
        plant(platform.database, NAME, day, some(seed))
    found = {each.reference_id for day in days for each in judged(platform, day).numbers}
    assert len(found) == 1
    # A trade came late: the reference of before explains the numbers of before, and there is another one.
    plant(platform.database, NAME, MONDAY - ONE_DAY, some(77))
    assert {each.reference_id for each in judged(platform, days[1]).numbers} == {2}
    assert platform.rows("select day, min(reference_id) from feature_drift group by 1 order by 1") == [
        (days[0], 1), (days[1], 2), (days[2], 1),
    ]  # fmt: skip
    assert days_unjudged(platform.database, MONDAY - ONE_DAY, MONDAY + 7 * ONE_DAY) == [MONDAY - ONE_DAY]
    plant(platform.database, NAME, MONDAY, some(5))
    assert days_unjudged(platform.database, MONDAY, MONDAY + 7 * ONE_DAY) == [MONDAY]


def test_a_young_platform_is_held_against_what_there_is(platform: Platform) -> None:
    first = MONDAY + ONE_DAY
    plant(platform.database, NAME, first, some(1))
    done = judged(platform, first)
    assert {each.reference_id for each in done.numbers} == {None}, "nothing came before"
    assert number(done.numbers, "rsi_14").drift.missing_rate == 0
    assert said(done) == {}
    second = first + ONE_DAY
    plant(platform.database, NAME, second, some(2))
    done = judged(platform, second)
    index = number(done.numbers, "rsi_14").drift
    assert index.psi is not None
    assert index.usual_psi is None, "a day alone does not say what is usual"
    assert said(done) == {}
    assert platform.rows("select from_time::date, until_time::date from feature_references") == [(second - 4 * ONE_DAY, second)]


def test_days_that_hold_next_to_nothing(platform: Platform) -> None:
    """No day, a row, nothing but nulls, one value all day, an instrument that was never there before."""
    assert judged(platform, MONDAY).numbers == ()
    # Zero is as good a value as any, and what lies just below it is the smallest number there is.
    for back in range(1, 5):
        plant(platform.database, NAME, MONDAY - back * ONE_DAY, {**some(back), "return_1m": np.zeros(360)})
    plant(platform.database, NAME, MONDAY, {name: column[:1] for name, column in some(1).items()})
    one = number(judged(platform, MONDAY).numbers, "rsi_14").drift
    assert (one.rows, one.psi, one.out_of_range) == (1, None, 0)
    plant(platform.database, NAME, MONDAY, {name: np.full(360, np.nan) for name in SOME})
    nothing = judged(platform, MONDAY)
    assert said(nothing) == {(NAME, name): ("missing",) for name in SOME}
    assert number(nothing.numbers, "rsi_14").drift.shares == ()
    plant(platform.database, NAME, MONDAY, {**some(1), "rsi_14": np.full(360, 50.0), "return_1m": np.full(360, -1e-300)})
    plant(platform.database, OTHER, MONDAY, some(2))
    constant = judged(platform, MONDAY)
    assert said(constant)[NAME, "rsi_14"] == ("drifted",)
    assert said(constant)[NAME, "return_1m"] == ("drifted", "out_of_range")
    new = number(constant.numbers, "rsi_14", OTHER)
    assert (new.reference_id, new.drift.psi, new.drift.rows) == (None, None, 360)
    assert not any(each.instrument == ALL for each in constant.numbers), "of one instrument there is no whole"
    # Nothing is left of the day: nothing is said of it.
    plant(platform.database, NAME, MONDAY, {})
    plant(platform.database, OTHER, MONDAY, {})
    assert judged(platform, MONDAY).numbers == ()
    assert platform.rows("select count(*) from feature_drift") == [(0,)]


def test_all_instruments_together(platform: Platform) -> None:
    days_before(platform, MONDAY, 4, (NAME, OTHER))
    for name in (NAME, OTHER, "binance:NEWUSDT"):
        plant(platform.database, name, MONDAY, some(len(name)))
    found = judged(platform, MONDAY)
    together = number(found.numbers, "rsi_14", ALL)
    assert together.drift.rows == 2 * 360, "an instrument that the reference does not know is none of it"
    assert together.reference_id == number(found.numbers, "rsi_14").reference_id
    assert number(found.numbers, "rsi_14", "binance:NEWUSDT").reference_id is None
    [(rows,)] = platform.rows("select row_count from feature_reference_bins where instrument = %s and feature = 'rsi_14'", ALL)
    assert rows == 2 * 4 * 360


def entered_set(platform: Platform, name: str, spec: dict[str, Any], versions: dict[str, int] | None = None) -> tuple[int, str]:
    """A set as the ledger has it; its number and its hold."""
    asked = TrainingSpec.model_validate(spec)
    manifest = {
        "spec": asked.model_dump(mode="json"), "instruments": [NAME], "feature_names": asked.feature_names,
        "moments": {"embargo_minutes": 0},
        "features": {each: {"version": (versions or {}).get(each, FEATURES[each].version)} for each in asked.features},
    }  # fmt: skip
    first, until = asked.start.date(), asked.end.date()
    hold = f"training-set-{name}"
    place(platform.database, Hold(hold, "a set", "pin", None, None, first, until, None))
    [(set_id,)] = platform.rows(
        "insert into training_sets (name, spec_sha256, as_known_at, content_sha256, row_count, manifest, hold, made_at, made_by)"
        " values (%s, %s, clock_timestamp(), 'x', 1, %s::jsonb, %s, clock_timestamp(), 'me') returning set_id",
        name, asked.sha256, json.dumps(manifest), hold,
    )  # fmt: skip
    return set_id, hold


def spec(name: str, first: date, days: int = 2, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "instruments": [NAME], "start": first.isoformat(), "end": (first + days * ONE_DAY).isoformat(),
        "features": ["rsi_14"], **more,
    }  # fmt: skip


def test_the_training_rows_of_the_newest_set_that_is_held(platform: Platform) -> None:
    trained = MONDAY - 30 * ONE_DAY
    for after in range(5):
        plant(platform.database, NAME, trained + after * ONE_DAY, {**some(after), "rsi_14": some(after)["rsi_14"] / 2})
    days_before(platform, MONDAY)
    plant(platform.database, NAME, MONDAY, some(1))
    plant(platform.database, OTHER, MONDAY, some(2))
    test = {"start": (trained + 4 * ONE_DAY).isoformat(), "end": (trained + 5 * ONE_DAY).isoformat()}
    set_id, hold = entered_set(platform, "one", spec("one", trained, 5, test=test))
    # What became known after the set was made is none of it.
    plant(platform.database, NAME, trained, {**some(50), "rsi_14": np.full(360, 99.0)}, datetime.now(UTC) + timedelta(seconds=1))
    found = judged(platform, MONDAY)
    assert said(found) == {(NAME, "rsi_14"): ("drifted", "out_of_range")}
    of = read_references(platform.database, [each.reference_id for each in found.numbers if each.reference_id])
    mine = of[number(found.numbers, "rsi_14").reference_id or 0]
    assert (mine.source, mine.name) == ("training_set", "one")
    assert mine.as_known_at is not None
    assert mine.told == f"{mine.reference_id}: training set one, {trained} to {trained + 5 * ONE_DAY}"
    [(rows, maximum)] = platform.rows(
        "select row_count, maximum from feature_reference_bins where reference_id = %s and instrument = %s", mine.reference_id, NAME
    )
    # Of the first day nothing is left that was known at T, and the tested day does not count.
    assert (rows, maximum < 60) == (3 * 360, True)
    assert of[number(found.numbers, "return_1m").reference_id or 0].source == "rolling", "the set has no such feature"
    assert number(found.numbers, "rsi_14", OTHER).reference_id is None, "nor such an instrument, and the days before have none"
    assert platform.rows("select distinct set_id from feature_references order by 1") == [(set_id,), (None,)]
    # A named one alone counts, one of another version of the feature or whose hold is over does not.
    named = FeatureDrift.model_validate({"reference_days": 4, "training_set": "none"})
    assert said(judged(platform, MONDAY, named)) == {}
    entered_set(platform, "older", spec("older", trained, 1), {"rsi_14": 0})
    assert said(judged(platform, MONDAY)) == {(NAME, "rsi_14"): ("drifted", "out_of_range")}
    release(platform.database, hold, "no longer used")
    assert said(judged(platform, MONDAY)) == {}


def test_a_set_of_which_nothing_is_left_gives_way_to_the_days_before(platform: Platform) -> None:
    days_before(platform, MONDAY)
    plant(platform.database, NAME, MONDAY, some(1))
    entered_set(platform, "gone", spec("gone", date(2020, 1, 1)))
    found = number(judged(platform, MONDAY).numbers, "rsi_14")
    assert found.drift.psi is not None
    assert read_references(platform.database, [found.reference_id or 0])[found.reference_id or 0].source == "rolling"


def test_of_a_set_with_a_feature_that_is_declared_no_more_the_others_count(platform: Platform) -> None:
    plant(platform.database, NAME, MONDAY, some(1))
    plant(platform.database, NAME, MONDAY - 30 * ONE_DAY, some(2))
    set_id, _ = entered_set(platform, "old", spec("old", MONDAY - 30 * ONE_DAY))
    names = json.dumps(["rsi_14", "once_declared"])
    platform.rows(
        "update training_sets set manifest = jsonb_set(jsonb_set(manifest, '{spec,features}', %s::jsonb), '{feature_names}', %s::jsonb)"
        " where set_id = %s returning 1", names, names, set_id,
    )  # fmt: skip
    assert number(judged(platform, MONDAY).numbers, "rsi_14").reference_id is not None
    platform.rows("update feature_drift set feature = 'once_declared' where feature = 'sma_20' returning 1")
    found = {each.feature for each in read_numbers(platform.database, MONDAY, MONDAY + ONE_DAY)}
    assert found == FEATURES.keys() - {"sma_20"}


def test_a_reference_is_never_changed_and_the_analyst_reads(platform: Platform) -> None:
    days_before(platform, MONDAY, 1)
    plant(platform.database, NAME, MONDAY, some(1))
    judged(platform, MONDAY)
    with platform.database.connect(Role.WRITER, autocommit=True) as connection:
        for statement in ("update feature_references set mark = 'x'", "delete from feature_reference_bins"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    with platform.database.connect(Role.ANALYST, autocommit=True) as connection:
        assert connection.execute("select count(*) from feature_drift").fetchall() == [(len(FEATURES),)]


@pytest.mark.parametrize(
    ("feature", "value"), [("rsi_14", 100.1), ("trade_imbalance_5m", -1.01), ("atr_14", -1e-9), ("return_1m", float("inf"))]
)
def test_a_value_outside_its_range_is_blocked(platform: Platform, feature: str, value: float) -> None:
    """By the checks that ride on the asset, of the whole day: its last row closes at midnight."""
    minutes = 1440
    column = np.full(minutes, 0.5)
    column[-1] = value
    plant(platform.database, NAME, MONDAY, {feature: column})
    broken = [rule for rule in check(platform.database, "features_1m", MONDAY) if rule.broken]
    assert [(rule.broken, rule.is_blocking) for rule in broken] == [(1, True)]
    assert feature in broken[0].examples[0]
    assert [rule for rule in check(platform.database, "features_1m", MONDAY + ONE_DAY) if rule.broken] == []
    # The contract as Great Expectations and the daily look ask it.
    with platform.database.kept(Role.WRITER) as connection, one_view(connection):
        assert [rule.broken for rule in results_of(ask_contract(connection, FEATURES_1M)) if rule.broken] == [1]
