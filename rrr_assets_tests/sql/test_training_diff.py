"""What differs between two knowledge times is listed to the last value, with what did it."""

import json
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.spec import TrainingSpec
from rrr_assets.features.training import make
from rrr_assets.features.training_diff import DiffRefused, diff
from rrr_assets.features.training_run import produce
from rrr_assets.lake.feature_ticks import TieredTicks
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.features import refresh_features, refresh_tick_minutes
from rrr_assets.warehouse.holds import release
from rrr_assets.warehouse.training_sets import TrainingSetReleased
from rrr_assets.warehouse.undo import undo_batch
from rrr_assets_tests.loading import DAY, NAME, Told, emptied, midnight, take, vision
from rrr_assets_tests.platform import Platform

START = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OTHER = "binance:ETHUSDT"
LATE, WRONG = 599, 779
"""The trade that comes late, which closes minute 199, and that is corrected, which closes 259."""

SPEC = TrainingSpec.model_validate(
    {
        "name": "changing", "instruments": ["*"], "start": START.isoformat(), "end": (START + timedelta(hours=6)).isoformat(),
        "every_minutes": 5, "features": ["sma_20", "rsi_14", "return_1h", "quoted_spread"],
        "labels": [{"kind": "return", "minutes": 15}, {"kind": "triple_barrier", "minutes": 30, "up_bps": 5, "down_bps": 5}],
    }
)  # fmt: skip


def trades(symbol: str = "BTCUSDT") -> list[Told]:
    """Six hours, three trades a minute."""
    bend = 50 + len(symbol)
    return [
        Told(1000 + n, midnight(DAY) + n * 20_000_000 + 7, f"{42_000 + 40 * math.sin(n / bend) + n % 7:.2f}", f"0.{n % 9 + 1}", n % 3 == 0)
        for n in range(1080)
    ]


def quotes(folder: Path, name: str, seconds: list[int], spread: str) -> Path:
    lines = ["exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount"]
    for second in seconds:
        us = midnight(DAY) + second * 1_000_000
        lines.append(f"binance,BTCUSDT,{us},{us + 100_000},0.5,{42_000 + float(spread):.2f},42000.00,0.{second % 8 + 1}")
    path = folder / f"binance_quotes_{DAY}_BTCUSDT{name}.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@dataclass
class History:
    """A platform on which things were found out one after another, and when each was known."""

    platform: Platform
    known: dict[str, datetime]
    batches: dict[str, int]

    def diff(self, before: str, after: str) -> list[dict[str, Any]]:
        return diff(self.platform.database, SPEC, self.known[before], self.known[after]).to_pylist()


@pytest.fixture(scope="module")
def history(database: Database, tmp_path_factory: pytest.TempPathFactory) -> History:
    folder = tmp_path_factory.mktemp("history")
    told = History(emptied(database, folder), {"nothing": datetime(2024, 1, 1, tzinfo=UTC)}, {})
    platform = told.platform

    def follow(name: str, *, whole_days: bool = False) -> None:
        platform.refresh([DAY])
        list(refresh_tick_minutes(database, [DAY], TieredTicks(database), whole_days=whole_days))
        list(refresh_features(database, [DAY], whole_days=whole_days))
        [(told.known[name], told.batches[name])] = platform.rows("select clock_timestamp(), max(batch_id) from ingest_batches")

    mine = trades()
    take(platform, vision(folder, [each for each in mine if each is not mine[LATE]], DAY))
    platform.take_in(quotes(folder, "", [n for n in range(0, 21_600, 20) if not 5940 <= n < 6000], "1.5"), "tardis")
    follow("loaded")
    take(platform, vision(folder, [replace(mine[LATE], price="50000.00")], DAY, "-late"))
    follow("late trade")
    path = folder / "corrections.csv"
    wrong = mine[WRONG]
    path.write_text(
        "instrument,sequence,day,action,price,size,side,new_event_time,reason\n"
        f"{NAME},{wrong.id},{DAY},replace,42100.00,{wrong.size},{'sell' if wrong.buyer_made else 'buy'},,a wrong print\n"
    )
    platform.take_in(path, "rrr-corrections")
    follow("correction")
    take(platform, vision(folder, trades("ETHUSDT"), DAY, symbol="ETHUSDT"))
    follow("history")
    undo_batch(database, told.batches["late trade"], "it was of another venue")
    follow("undo")
    platform.take_in(quotes(folder, "-late", [5950, 5970], "9.5"), "tardis")
    follow("late quotes")
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(FEATURES, "return_1h", replace(FEATURES["return_1h"], function=lambda close: close / close.shift(60)))
        follow("another code", whole_days=True)
    return told


def naive(history: History, before: str, after: str) -> set[tuple[Any, ...]]:
    """What differs, looked at value by value; a whole row as one difference."""
    old, new = (
        {(row["instrument"], row["moment"]): row for row in make(history.platform.database, SPEC, history.known[at]).rows.to_pylist()}
        for at in (before, after)
    )
    found: set[tuple[Any, ...]] = {(*key, None, "new") for key in new.keys() - old.keys()} | {
        (*key, None, "gone") for key in old.keys() - new.keys()
    }
    for key in old.keys() & new.keys():
        found |= {(*key, name, "changed") for name in old[key] if old[key][name] != new[key][name]}
    return found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("loaded", "late trade"),
        ("late trade", "correction"),
        ("correction", "history"),
        ("history", "late quotes"),
        ("loaded", "late quotes"),
    ],
)
def test_everything_that_differs_is_listed_and_nothing_else(history: History, before: str, after: str) -> None:
    found = history.diff(before, after)
    listed = [(row["instrument"], row["moment"], row["column"], row["what"]) for row in found]
    assert len(listed) == len(set(listed)) > 5
    assert set(listed) == naive(history, before, after)


def test_a_late_trade_is_named_and_values_are_exact(history: History) -> None:
    found = history.diff("loaded", "late trade")
    late = f"BTCUSDT-trades-{DAY}-late.zip"
    assert {row["cause"] for row in found} == {"late_trades"}
    assert {row["why"] for row in found} == {f"late trades by batch {history.batches['late trade']} of {late}"}
    assert [json.loads(row["causes"]) for row in found[:1]] == [
        [{"kind": "late_trades", "batch_id": history.batches["late trade"], "file": late, "reason": None}]
    ]
    assert {row["instrument"] for row in found} == {NAME}
    assert {"sma_20", "rsi_14", "return_1h", "return_after_15m", "barrier_30m_5_5"} <= {row["column"] for row in found}
    assert "quoted_spread" not in {row["column"] for row in found}
    one = next(row for row in found if row["column"] == "sma_20")
    for at, side in (("loaded", "before"), ("late trade", "after")):
        rows = make(history.platform.database, SPEC, history.known[at]).rows
        [value] = rows.filter(pc.and_(pc.equal(rows["instrument"], NAME), pc.equal(rows["moment"], one["moment"])))["sma_20"].to_pylist()
        assert float(one[side]) == value


def test_a_correction_holds_rows_up_and_is_named_with_its_reason(history: History) -> None:
    found = history.diff("late trade", "correction")
    assert {row["cause"] for row in found} == {"correction"}
    assert {row["why"] for row in found} == {f"correction by batch {history.batches['correction']} of corrections.csv (a wrong print)"}
    # What was corrected today could not be used then: moments that look back at it see nothing, and labels see what is right.
    assert {"gone", "changed"} == {row["what"] for row in found}
    assert {row["column"] for row in found if row["what"] == "changed"} >= {"return_after_15m"}


def test_an_instrument_that_was_loaded_later_is_new(history: History) -> None:
    found = history.diff("correction", "history")
    assert {(row["instrument"], row["what"], row["column"], row["cause"]) for row in found} == {(OTHER, "new", None, "loaded_later")}
    assert {row["why"] for row in found} == {f"loaded later by batch {history.batches['history']} of ETHUSDT-trades-{DAY}.zip"}


def test_a_batch_that_was_taken_back_is_named(history: History) -> None:
    found = history.diff("history", "undo")
    assert {row["cause"] for row in found} == {"undo"}
    assert {json.loads(row["causes"])[0]["reason"] for row in found} == {"it was of another venue"}
    # It brings back what was believed before the late trade came.
    there = {(row["moment"], row["column"]): row["after"] for row in history.diff("loaded", "late trade")}
    assert {there[row["moment"], row["column"]] for row in found if row["column"] == "sma_20"} == {
        row["before"] for row in found if row["column"] == "sma_20"
    }


def test_late_quotes_are_named_apart_from_trades(history: History) -> None:
    found = history.diff("undo", "late quotes")
    assert {(row["column"], row["cause"]) for row in found if row["column"] == "quoted_spread"} == {("quoted_spread", "late_quotes")}
    assert {row["cause"] for row in found} == {"late_quotes"}


def test_several_causes_are_told_each_where_it_is(history: History) -> None:
    found = history.diff("loaded", "correction")
    assert {row["cause"] for row in found if row["moment"] < START + 170 * MINUTE} == set()
    assert {row["cause"] for row in found if row["column"] == "sma_20" and row["moment"] < START + 222 * MINUTE} == {"late_trades"}
    assert {"late_trades", "correction"} <= {cause for row in found for cause in row["cause"].split(", ")}


def test_what_no_ledger_tells_is_said_to_be_unknown(history: History) -> None:
    found = history.diff("late quotes", "another code")
    assert {(row["column"], row["cause"]) for row in found} == {("return_1h", "unknown")}
    assert {row["instrument"] for row in found} == {NAME, OTHER}
    [(known_at,)] = history.platform.rows("select max(known_at) from features_1m")
    assert found[0]["why"] == (
        f"unknown (it was made again at {known_at.astimezone(UTC).isoformat()}, and no change of the ticks that it looks at is told: days "
        "materialised whole, or another version of the code)"
    )


def test_before_anything_was_known_every_row_is_new(history: History) -> None:
    found = history.diff("nothing", "loaded")
    assert {(row["what"], row["cause"]) for row in found} == {("new", "loaded_later")}
    assert len(found) == len(make(history.platform.database, SPEC, history.known["loaded"]).rows)


def test_the_same_time_twice_differs_in_nothing_and_times_go_one_way(history: History) -> None:
    assert history.diff("undo", "undo") == []
    with pytest.raises(DiffRefused, match="give the earlier knowledge time first"):
        history.diff("undo", "loaded")


def test_a_version_that_the_manifests_tell_is_the_cause(history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = history.platform.database
    produce(database, SPEC, history.known["late quotes"], tmp_path / "a.parquet")
    monkeypatch.setitem(FEATURES, "return_1h", replace(FEATURES["return_1h"], version=2))
    made = produce(database, SPEC, history.known["another code"], tmp_path / "b.parquet")
    found = history.diff("late quotes", "another code")
    assert {(row["cause"], row["why"]) for row in found} == {("version", "version (version 1 -> 2)")}
    # A set that is released is answered by nothing, nor is a difference from it.
    release(database, made.entered.hold, "over")
    with pytest.raises(TrainingSetReleased, match=r"\(changing\) is released"):
        history.diff("late quotes", "another code")
