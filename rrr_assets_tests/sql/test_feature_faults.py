"""Killed on the way, twice at once, twice in a row: features and training sets come out as if nothing had been."""

import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rrr_assets.contracts.features import FEATURES_1M
from rrr_assets.lake.feature_ticks import TieredTicks
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.features import days_behind, refresh_features, refresh_tick_minutes
from rrr_assets.warehouse.refresh import refresh_bars
from rrr_assets_tests.loading import DAY, NAME, NEXT, Told, emptied, midnight, take, vision
from rrr_assets_tests.platform import Platform
from rrr_assets_tests.warm import killed_at, python

pytestmark = pytest.mark.crash

REFRESH = """
import sys
from datetime import date
from rrr_assets.lake.feature_ticks import TieredTicks
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.features import refresh_features, refresh_tick_minutes

database = Database.current(sys.argv[1])
days = [date.fromisoformat(day) for day in sys.argv[2:]]
list(refresh_tick_minutes(database, days, TieredTicks(database), whole_days=False))
list(refresh_features(database, days, whole_days=False))
"""
WRITE = """
import os, signal, sys
from pathlib import Path
import pyarrow.parquet as pq

def die(*given, **more):
    os.kill(os.getpid(), signal.SIGKILL)

place, *words = sys.argv[1:]
if place == "entered":
    pq.write_table = die
elif place == "written":
    Path.replace = die
from rrr_assets.cli import main
sys.argv = ["rrr", *words]
main()
"""
COLUMNS = ", ".join(name for name in FEATURES_1M.column_names if name != "known_at")
STATE = f"select true as is_current, {COLUMNS} from features_1m union all select false, {COLUMNS} from feature_revisions_1m"  # noqa: S608  # ours


def trades() -> dict[date, list[Told]]:
    """Four hours before midnight and one after it, two trades a minute."""
    told = [
        Told(1000 + n, midnight(NEXT) + (n - 480) * 30_000_000 + 7, f"{42_000 + n * 7 % 50}.5", f"0.{n % 9 + 1}", n % 3 == 0)
        for n in range(600)
    ]
    return {DAY: told[:480], NEXT: told[480:]}


def follow(platform: Platform) -> None:
    list(refresh_tick_minutes(platform.database, [DAY, NEXT], TieredTicks(platform.database), whole_days=False))
    list(refresh_features(platform.database, [DAY, NEXT], whole_days=False))


def made_behind(database: Database, folder: Path) -> Platform:
    """Two days of features, and a trade late on the first that has come since."""
    folder.mkdir()
    platform = emptied(database, folder)
    told = trades()
    late = told[DAY].pop(440)
    take(platform, vision(folder, told[DAY], DAY))
    take(platform, vision(folder, told[NEXT], NEXT))
    make_bars(platform)
    follow(platform)
    take(platform, vision(folder, [late], DAY, "-late"))
    make_bars(platform)
    return platform


def make_bars(platform: Platform) -> None:
    list(refresh_bars(platform.database, "1m", [DAY, NEXT], whole_days=False))


def state(platform: Platform) -> list[tuple]:
    return sorted(platform.rows(STATE), key=lambda row: (row[0], row[1], row[2]))


@pytest.fixture(scope="module")
def undisturbed(database: Database, tmp_path_factory: pytest.TempPathFactory) -> list[tuple]:
    platform = made_behind(database, tmp_path_factory.mktemp("undisturbed") / "x")
    before = state(platform)
    follow(platform)
    after = state(platform)
    assert len(after) > len(before) + 60, "what was believed of both days is kept"
    return after


def assert_done(platform: Platform, undisturbed: list[tuple]) -> None:
    assert state(platform) == undisturbed
    assert days_behind(platform.database, 10, timedelta(0)) == {}
    assert platform.rows("select count(*) from feature_revisions_1m where believed_until <= known_at") == [(0,)]
    follow(platform)
    list(refresh_features(platform.database, [DAY, NEXT], whole_days=True))
    assert state(platform) == undisturbed, "once more changes nothing"


def test_killed_at_every_step_and_refreshed_again(database: Database, undisturbed: list[tuple], tmp_path: Path) -> None:
    platform = made_behind(database, tmp_path / "x")
    before = state(platform)
    # Minutes of ticks of both days come first; the third time it is features.
    for place in ("features.before_commit", "features.before_commit:3"):
        killed_at(place, REFRESH, platform.database.name, DAY, NEXT)
        assert state(platform) == before, place
    killed_at("features.after_commit:3", REFRESH, platform.database.name, DAY, NEXT)
    assert before != state(platform) != undisturbed, "the first day is done, and it told the second"
    assert list(days_behind(platform.database, 10, timedelta(0))) == [NEXT]
    follow(platform)
    assert_done(platform, undisturbed)


def test_two_refreshes_at_once_are_as_one(database: Database, undisturbed: list[tuple], tmp_path: Path) -> None:
    platform = made_behind(database, tmp_path / "x")
    begun = threading.Barrier(3)

    def refresh(days: list[date], *, whole_days: bool) -> None:
        begun.wait()
        list(refresh_tick_minutes(platform.database, days, TieredTicks(platform.database), whole_days=whole_days))
        list(refresh_features(platform.database, days, whole_days=whole_days))

    with ThreadPoolExecutor(3) as pool:
        done = [
            pool.submit(refresh, [DAY, NEXT], whole_days=False),
            pool.submit(refresh, [DAY, NEXT], whole_days=True),
            pool.submit(refresh, [NEXT, DAY], whole_days=False),
        ]
        for each in done:
            each.result()
    follow(platform)
    assert_done(platform, undisturbed)


def test_what_comes_in_while_features_are_made_was_known_before_they_are(database: Database, tmp_path: Path) -> None:
    """As known at a time in between, no feature may tell of a bar that was not known yet."""
    platform = made_behind(database, tmp_path / "x")
    follow(platform)
    with platform.database.connect(Role.OWNER) as connection, ThreadPoolExecutor(1) as pool:
        # The refresh has begun, and waits for the log: a bar changes meanwhile.
        connection.execute("lock table invalidation_log in access exclusive mode")
        running = pool.submit(lambda: list(refresh_features(platform.database, [NEXT], whole_days=True)))
        while not platform.rows("select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"):
            assert not running.done(), running.result()
        [(stamp,)] = connection.execute(
            "update bars_1m set close = close + 1, high = high + 1, known_at = clock_timestamp()"
            " where bar_start = %s and instrument = %s returning known_at", (datetime(2025, 3, 4, 0, 30, tzinfo=UTC), NAME),
        ).fetchall()  # fmt: skip
        connection.commit()
        [done] = running.result()
    assert done.changed > 30
    made = platform.rows("select count(*), min(known_at) > %s from features_1m where known_at >= %s", stamp, stamp)
    assert made == [(done.changed, True)]


def test_a_training_set_that_was_killed_is_made_again_with_the_same_values(database: Database, tmp_path: Path) -> None:
    platform = made_behind(database, tmp_path / "x")
    follow(platform)
    [(known,)] = platform.rows("select clock_timestamp()")
    spec, out = tmp_path / "spec.yaml", tmp_path / "set.parquet"
    asked = {"name": "killed", "instruments": [NAME], "start": str(NEXT), "end": f"{NEXT}T00:50:00Z", "every_minutes": 5}
    spec.write_text(json.dumps({**asked, "features": ["sma_20"]}))
    words = ("training-set", "--spec", spec, "--as-known-at", known.isoformat(), "--out", out, "--json")
    environment = {**os.environ, "RRR_DATABASE_URL": platform.database.admin_url}
    for place in ("entered", "written"):
        died = python(WRITE, place, *words, environment=environment)
        assert died.returncode == -signal.SIGKILL, died.stderr
        assert not out.exists(), "half a set is none"
    left = [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert left
    for path in left:
        os.utime(path, (0, 0))  # what is young may be another run's
    told = python(WRITE, "nowhere", *words, environment=environment)
    assert told.returncode == 0, told.stderr
    manifest = json.loads(told.stdout)
    assert json.loads(out.with_suffix(".manifest.json").read_text()) == manifest
    assert len(pq.read_table(out)) == manifest["rows"] == 10
    sets = platform.rows("select set_id, content_sha256 from training_sets")
    assert sets == [(manifest["set_id"], manifest["content_sha256"])]
    assert platform.rows("select name from holds where released_at is null") == [(manifest["hold"],)]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
