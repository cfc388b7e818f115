"""Healing under Dagster: what the sensor asks for, one run that fetches, takes in and makes the bars, and the command."""

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from rrr_assets.cli.failures import CommandFailed
from rrr_assets.cli.healing import heal
from rrr_assets.definitions import defs
from rrr_assets.resources.partitions import RANGE_END, RANGE_START
from rrr_assets.resources.warehouse import Warehouse
from rrr_assets.ticks import landing
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.dagster_platform import FED_BY_TRADES, days_from, execute, materializations, rows, run_job, simulated
from rrr_assets_tests.misbehaving import without
from rrr_assets_tests.venue_server import VenueServer, archive_path, serving
from rrr_assets_tests.warm import rrr

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DAYS = days_from(date(2024, 6, 3), 6)
BTC = "binance:BTCUSDT"
NO_CONFIG: dict[str, Any] = {}


def configure(monkeypatch: pytest.MonkeyPatch, folder: Path, healing: dict[str, Any] = NO_CONFIG) -> None:
    path = folder / "quality.yaml"
    path.write_text(json.dumps({"healing": healing}))
    monkeypatch.setenv("RRR_QUALITY_CONFIG", str(path))


@pytest.fixture
def venue(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[VenueServer]:
    assert instance
    configure(monkeypatch, tmp_path, {"sources": [{"name": "archive", "kind": "binance-vision"}]})
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as served:
        monkeypatch.setenv("RRR_BINANCE_VISION_URL", served.url)
        yield served
    execute(
        "update gaps set state = 'accepted', accepted_at = now(), accepted_by = 'a test', accepted_reason = 'over' where state <> 'healed'"
    )
    for run in instance.get_runs():
        instance.delete_run(run.run_id)


def served_with_a_gap(instance: dg.DagsterInstance, venue: VenueServer, folder: Path, day: date, trades: int = 400) -> tuple[int, int]:
    """Serve a whole day, and ingest it without ten of its trades; the first and the last id that is missing then."""
    for file in simulated(folder, [day], trades, seed=day.day):
        venue.files[archive_path(file)] = file.path.read_bytes()
    path = trades_path(day)
    first = min(int(line.split(b",")[0]) for line in unzipped(venue.files[path]) if line[:1].isdigit()) + 100
    damaged = folder / "damaged" / path.rpartition("/")[2]
    damaged.parent.mkdir()
    damaged.write_bytes(without(range(first, first + 10))(venue.files[path]))
    with Database.current().connect(Role.WRITER, autocommit=True) as connection:
        landing.accept(Home.current(), connection, damaged, "binance-vision-trades", None, None)
    assert run_job(instance, [day]).success
    for run in instance.get_runs():
        instance.delete_run(run.run_id)
    return first, first + 9


def unzipped(content: bytes) -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(archive.namelist()[0]).splitlines()


def trades_path(day: date) -> str:
    return f"data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-{day}.zip"


def tick(instance: dg.DagsterInstance) -> tuple[list[dg.RunRequest], str | None]:
    context = dg.build_sensor_context(instance, repository_def=defs.get_repository_def(), resources={"warehouse": Warehouse()})
    found = defs.resolve_sensor_def("open_gaps").evaluate_tick(context)
    return list(found.run_requests or ()), found.skip_message


def gaps_of(day: date) -> list[tuple[Any, ...]]:
    return rows(
        "select gap_id, first_missing, last_missing, state, attempts from gaps where kind = 'ids' and from_time::date = %s order by 1", day
    )


def test_without_a_source_nothing_is_asked_for_and_it_is_said(
    instance: dg.DagsterInstance, venue: VenueServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configure(monkeypatch, tmp_path)
    requests, why = tick(instance)
    assert requests == []
    assert "names no source" in str(why)
    configure(monkeypatch, tmp_path, {"is_on": False, "sources": [{"name": "archive", "kind": "binance-vision"}]})
    assert "switched off" in str(tick(instance)[1])
    assert venue.requests == []


def test_a_gap_is_healed_by_one_run_that_makes_the_bars_too(instance: dg.DagsterInstance, venue: VenueServer, tmp_path: Path) -> None:
    day = DAYS[0]
    first, last = served_with_a_gap(instance, venue, tmp_path, day)
    ((gap_id, *found),) = gaps_of(day)
    assert found == [first, last, "open", 0]
    assert rows("select count(*) from bars_1m where bar_start::date = %s and not is_complete", day)[0][0] > 0
    requests, _ = tick(instance)
    (request,) = requests
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == (day.isoformat(), day.isoformat())
    assert request.run_config["ops"]["gap_healing"]["config"]["gap_ids"] == [gap_id]
    assert {key.to_user_string() for key in request.asset_selection or ()} == {"gap_healing", *FED_BY_TRADES}
    assert [again.run_key for again in tick(instance)[0]] == [request.run_key]

    result = run_job(
        instance, [day], job="heal_gaps",
        ops={name: values["config"] for name, values in request.run_config["ops"].items()},
    )  # fmt: skip
    assert result.success
    told = materializations(result)["gap_healing", day.isoformat()][0].metadata
    assert {name: told[name].value for name in ("gaps", "gaps_healed", "gaps_open", "rows_fetched", "sources", "reasons")} == {
        "gaps": 1, "gaps_healed": 1, "gaps_open": 0, "rows_fetched": 10, "sources": ["archive"], "reasons": [],
    }  # fmt: skip
    assert gaps_of(day) == [(gap_id, first, last, "healed", 1)]
    assert rows("select run_id from gap_attempts where gap_id = %s", gap_id) == [(result.run_id,)]
    assert rows("select count(*), count(distinct sequence) from raw_trades where event_time::date = %s", day) == [(400, 400)]
    assert rows("select count(*) from bars_1m where bar_start::date = %s and not is_complete", day) == [(0,)]
    assert rows("select sum(trade_count) from bars_1d where bar_start::date = %s", day) == [(400,)]
    assert tick(instance)[0] == []


def test_what_cannot_be_healed_rests_and_is_asked_for_again_under_another_key(
    instance: dg.DagsterInstance, venue: VenueServer, tmp_path: Path
) -> None:
    day = DAYS[2]
    served_with_a_gap(instance, venue, tmp_path, day)
    content = venue.files.pop(trades_path(day))
    (before,), _ = tick(instance)
    ((gap_id, *_),) = gaps_of(day)
    result = run_job(instance, [day], job="heal_gaps", ops={"gap_healing": {"gap_ids": [gap_id]}})
    assert result.success
    told = materializations(result)["gap_healing", day.isoformat()][0].metadata
    assert "no such file (404)" in told["reasons"].value[0]
    assert gaps_of(day)[0][3:] == ("open", 1)
    assert tick(instance)[0] == []
    execute("update gaps set next_attempt_at = now() where gap_id = %s", gap_id)
    (after,), _ = tick(instance)
    assert after.run_key != before.run_key

    # Announced, it is left alone; under way, it is not asked for twice.
    execute(
        "insert into alert_mutes (scope, from_time, to_time, reason, placed_at, placed_by)"
        " values ('binance', %s, %s, 'upkeep', now(), 'me')",
        day, DAYS[3],
    )  # fmt: skip
    assert tick(instance)[0] == []
    execute("delete from alert_mutes")
    run = instance.create_run_for_job(defs.resolve_job_def("heal_gaps"), tags=dict(after.tags), status=dg.DagsterRunStatus.STARTED)
    assert tick(instance)[0] == []
    # It dies with the gap in its hands: that is free at once, and asked for again after a rest.
    execute(
        "update gaps set state = 'healing', next_attempt_at = now() + interval '10 min',"
        " evidence = evidence || jsonb_build_object('claim', jsonb_build_object('run_id', %s::text)) where gap_id = %s",
        run.run_id, gap_id,
    )  # fmt: skip
    instance.report_run_failed(run, message="it was killed")
    assert tick(instance)[0] == []
    assert gaps_of(day)[0][3:] == ("open", 1)
    instance.delete_run(run.run_id)
    ((freed,), _) = tick(instance)
    assert freed.run_config["ops"]["gap_healing"]["config"]["gap_ids"] == [gap_id]

    venue.files[trades_path(day)] = content
    done = rrr("gaps", "heal", str(gap_id), "--json")
    assert done.returncode == 0, done.stderr
    told_json = json.loads(done.stdout)
    assert [(gap["id"], gap["state"], gap["attempts"][0]["rows"]) for gap in told_json["gaps"]] == [(gap_id, "healed", 10)]
    assert len(told_json["runs"]) == 1
    assert rows("select count(*) from bars_1m where bar_start::date = %s and not is_complete", day) == [(0,)]


def test_the_command_says_what_could_not_be_had(
    instance: dg.DagsterInstance, venue: VenueServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(CommandFailed, match="gap 987654 is not open"):
        heal([987654])
    day = DAYS[4]
    first, last = served_with_a_gap(instance, venue, tmp_path, day)
    del venue.files[trades_path(day)]
    done = rrr("gaps", "heal")
    assert done.returncode == 1
    assert f"ids {first}-{last}" in done.stdout
    assert "404" in done.stdout
    assert "1 of 1 gaps are not healed" in done.stderr
    configure(monkeypatch, tmp_path)
    with pytest.raises(CommandFailed, match="no source is configured"):
        heal()
