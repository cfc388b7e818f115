"""Training sets as users make them: from the UI, from a terminal, and by the page's example; the same set each time."""

import json
import re
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
import yaml

from rrr_assets.calc.features.spec import TrainingSpec
from rrr_assets.definitions import defs
from rrr_assets.lake.feature_ticks import TieredTicks
from rrr_assets.warehouse.books import log_invalidations
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.features import days_behind, refresh_features, refresh_tick_minutes
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.dagster_platform import QUIET, ROOT, days_from, failures, rows, simulated, told
from rrr_assets_tests.platform import Platform
from rrr_assets_tests.warm import python, rrr

pytestmark = pytest.mark.slow

DAYS = days_from(date(2024, 1, 2), 3)
NAMES = ("binance:BTCUSDT", "binance:ETHUSDT")
PAGE = (ROOT / "docs" / "example-model.md").read_text("utf-8")
SPEC: dict[str, Any] = {
    "name": "momentum", "instruments": ["*"], "start": "2024-01-02", "end": "2024-01-04", "every_minutes": 15,
    "features": ["sma_20", "rsi_14", "quoted_spread"], "labels": [{"kind": "return", "minutes": 30}],
    "test": {"start": "2024-01-03T08:00:00", "end": "2024-01-03T16:00:00"},
}  # fmt: skip


@pytest.fixture(scope="module")
def known(empty_home: Home, tmp_path_factory: pytest.TempPathFactory) -> datetime:
    """Three days of a simulated market with their features, and when all of it was known."""
    folder = tmp_path_factory.mktemp("files")
    platform = Platform(Database.current(), empty_home)
    for file in simulated(folder, DAYS, 6000, NAMES):
        if file.format == "binance-vision-trades":
            platform.take_in(folder / file.path, file.format, file.instrument)
    platform.refresh(DAYS)
    list(refresh_tick_minutes(platform.database, DAYS, TieredTicks(platform.database), whole_days=False))
    list(refresh_features(platform.database, DAYS, whole_days=False))
    [(at,)] = rows("select clock_timestamp()")
    return at


@pytest.fixture(scope="module")
def typed(known: datetime, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A set from the terminal, as it is told to machines; `spec_file` is where its specification stands."""
    folder = tmp_path_factory.mktemp("typed")
    path = folder / "momentum.yaml"
    path.write_text(yaml.safe_dump(SPEC))
    made = told("training-set", "--spec", path, "--as-known-at", known.isoformat(), "--out", folder / "typed.parquet")
    return {**made, "spec_file": str(path)}


def run(instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("make_training_set").execute_in_process(
        instance=instance, run_config={**QUIET, "ops": {"training_set": {"config": config}}}, raise_on_error=False
    )


def materialized(result: dg.ExecuteInProcessResult) -> dg.AssetMaterialization:
    assert failures(result) == {}
    [made] = [event.step_materialization_data.materialization for event in result.all_events if event.is_step_materialization]
    return made


def said(made: dg.AssetMaterialization) -> dict[str, Any]:
    return {name: value.value for name, value in made.metadata.items()}


def test_a_set_from_the_ui_is_the_one_from_the_terminal(
    instance: dg.DagsterInstance, known: datetime, typed: dict[str, Any], tmp_path: Path
) -> None:
    first = materialized(run(instance, spec=SPEC, as_known_at=known.isoformat()))
    again = materialized(run(instance, spec_file=typed["spec_file"], as_known_at=known.isoformat(), out=str(tmp_path / "again.parquet")))
    shown, shown_again = said(first), said(again)
    assert typed["content_sha256"] == shown["content_sha256"] == shown_again["content_sha256"]
    assert first.tags is not None
    assert first.tags["dagster/data_version"] == shown["content_sha256"]
    assert [shown["set"], shown_again["set"]] == [f"{typed['set_id']} (momentum)"] * 2
    files = [Path(shown["file"]), tmp_path / "again.parquet", Path(typed["file"])]
    tables = [pq.read_table(file) for file in files]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    assert files[0].parent == Home.current().training_sets
    manifest = json.loads(files[0].with_suffix(".manifest.json").read_text())
    assert manifest == shown["manifest"]
    assert {**manifest, "file": typed["file"], "spec_file": typed["spec_file"]} == typed
    assert shown["dagster/row_count"] == len(tables[0]) > 100
    assert (shown["observed_available_at"], shown["modelled_available_at"], shown["share_observed"]) == (0, len(tables[0]), 0.0)
    assert [record.data["instrument"] for record in shown["preview"].records][::9] == list(NAMES)
    assert shown["hold"] == typed["hold"]
    lineage = shown["dagster/column_lineage"].deps_by_column
    assert [(dep.asset_key.to_user_string(), dep.column_name) for dep in lineage["sma_20"]] == [("features_1m", "sma_20")]
    assert {column.name for column in shown["dagster/column_schema"].columns} == set(tables[0].column_names)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"spec": SPEC | {"features": ["sma_21"]}}, "did you mean sma_20"),
        ({"spec": SPEC | {"moon": 1}}, "run config: spec: moon: Extra inputs"),
        ({}, "give either spec, the specification itself, or spec_file"),
        ({"spec_file": "/nowhere.yaml"}, "/nowhere.yaml: No such file"),
        ({"spec": SPEC, "as_known_at": "yesterday"}, "'yesterday' is no time"),
        ({"spec": SPEC, "as_known_at": "2999-01-01"}, "is not final yet"),
        ({"spec": SPEC, "as_known_at": "2024-02-01"}, "A knowledge time lies after the load"),
        ({"spec": SPEC, "out": "/nowhere/x.parquet"}, "/nowhere is no folder"),
        ({"spec": SPEC, "out": "x.csv"}, "does not end in .parquet"),
    ],
)
def test_what_cannot_be_made_fails_once_and_says_why(
    instance: dg.DagsterInstance, known: datetime, config: dict[str, Any], reason: str
) -> None:
    standing = "select name from holds where released_at is null"
    before = rows(standing)
    result = run(instance, **{"as_known_at": known.isoformat()} | config)
    [why] = failures(result).values()
    assert reason in why
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    assert rows(standing) == before


def test_a_hold_has_an_end_and_a_cost(typed: dict[str, Any]) -> None:
    [mine] = [row for row in told("hold", "list", "--cost") if row["name"] == typed["hold"]]
    assert mine["expires_at"] > datetime.now(UTC).isoformat()
    # All partitions of these days, by the tables' own sizes: no more than the whole database, and no less than the bars.
    [(least, most)] = rows("select pg_total_relation_size('bars_1m'), pg_database_size(current_database())")
    assert 0 < mine["disk_bytes"] < most
    assert mine["disk_bytes"] > least / 2
    assert float(mine["usd_a_month"]) > 0


def test_a_difference_from_the_terminal(known: datetime, typed: dict[str, Any], tmp_path: Path) -> None:
    path = typed["spec_file"]
    found = told("training-set", "diff", "--spec", path, "--as-known-at", "2024-02-01", "--and-at", known.isoformat())
    assert {(row["what"], row["cause"]) for row in found} == {("new", "loaded_later")}
    assert {row["causes"][0]["kind"] for row in found} == {"loaded_later"}
    later = datetime.now(UTC)
    other = told("training-set", "--spec", path, "--as-known-at", later.isoformat(), "--out", tmp_path / "b.parquet")
    assert told("training-set", "diff", other["set_id"], typed["set_id"]) == []
    done = rrr("training-set", "diff", typed["set_id"], 999)
    assert (done.returncode, done.stderr) == (1, "rrr: there is no training set 999. `rrr training-set list` shows what there is\n")


def test_a_file_that_is_gone_is_made_again_and_a_released_set_is_not(
    known: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPEC | {"name": "gone", "every_minutes": 60}
    path, out = tmp_path / "gone.yaml", tmp_path / "gone.parquet"
    path.write_text(yaml.safe_dump(spec))
    words = ("training-set", "--spec", path, "--as-known-at", known.isoformat(), "--out", out)
    made = told(*words)
    before = out.read_bytes()
    out.unlink()
    assert told(*words)["content_sha256"] == made["content_sha256"]
    assert out.read_bytes() == before
    out.unlink()
    monkeypatch.setenv("RRR_ENVIRONMENT", "development")
    assert rrr("hold", "release", made["hold"], "--reason", "not needed").returncode == 0
    # Nor where a hold of the same name is placed again: what was let go of may be gone.
    assert rrr("hold", "place", made["hold"], "--reason", "back again").returncode == 0
    done = rrr(*words)
    assert done.returncode == 1
    assert f"training set {made['set_id']} (gone) is released: its hold {made['hold']} is over" in done.stderr
    assert not out.exists()
    assert TrainingSpec.model_validate(spec).sha256 == made["spec_sha256"]


@pytest.mark.usefixtures("known")
def test_the_example_of_the_page_trains_a_model(tmp_path: Path) -> None:
    [example] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 20
    done = python(f"import os; os.chdir({str(tmp_path)!r})\n{example}")
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = done.stdout.splitlines()
    assert re.fullmatch(r"set \d+, [0-9a-f]{12}: \d+ rows to train on, \d+ to test on", first)
    assert re.fullmatch(r"root mean squared error \d+\.\d\d bps, of the naive forecast \d+\.\d\d bps; R2 [+-]\d+\.\d{4}", second)
    assert min(map(int, re.findall(r"(\d+) (?:rows|to test)", first))) > 400
    assert (tmp_path / "example.parquet").exists()


def test_a_feature_is_described_and_drawn(known: datetime, tmp_path: Path) -> None:
    done = rrr("features", "describe", "macd")
    assert "looks at   130 minutes, its own the last\n" in done.stdout
    assert "by way of  ema_12, ema_26\npart of    macd_signal\n" in done.stdout
    assert told("features", "describe", "macd")["by_way_of"] == ["ema_12", "ema_26"]
    assert rrr("features", "describe", "macdd").stderr.endswith("Did you mean macd or macd_signal? `rrr features list` lists all\n")
    assert "rsi_14" in [row["feature"] for row in told("features", "list")]
    span = ("--start", DAYS[0], "--end", DAYS[1])
    back = ("--start", DAYS[1], "--end", DAYS[0])
    for asked in (("read", NAMES[0]), ("plot", "macd", NAMES[0], "--out", tmp_path / "b.png"), ("drift",)):
        refused = rrr("features", *asked, *back)
        assert (refused.returncode, f"lies before --start {DAYS[1]}" in refused.stderr, "Traceback" in refused.stderr) == (2, True, False)
    drawn = rrr("features", "plot", "quoted_spread", NAMES[0], *span, "--as-known-at", known.isoformat(), "--out", tmp_path / "a.png")
    assert (drawn.returncode, (tmp_path / "a.png").read_bytes()[:4]) == (0, b"\x89PNG")
    why = "no quote of both sides stood in the minute, or it may lack quotes, or a minute that it looks at is unknown"
    assert f"minutes have no value, where {why}" in drawn.stderr


def test_what_changed_late_on_a_day_is_refreshed_on_the_next_one_too(known: datetime) -> None:
    assert known
    database = Database.current()
    midnight = datetime.combine(DAYS[1], time(), UTC)
    late = (NAMES[0], DAYS[0], midnight - timedelta(minutes=10), midnight)
    with database.connect(Role.WRITER) as connection:
        log_invalidations(connection, "bars_1m", [late], "refresh", None)
    assert told("features", "refresh") == {"days": [str(day) for day in DAYS[:2]], "failures": []}
    assert days_behind(database, 10, timedelta(0)) == {}
