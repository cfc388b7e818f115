"""Killed anywhere, out of space anywhere: what was acknowledged stays, nothing comes twice, the next ingest ends as if nothing had been."""

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from rrr_assets.calc.outcomes import NoSpaceLeft
from rrr_assets.simulator import simulate
from rrr_assets.ticks import landing
from rrr_assets.venues.base import SourceRefused
from rrr_assets.warehouse import server
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.migrate import migrate
from rrr_assets_tests.loading import CONSERVED, DAY, DAY_US, GAPS_DIFFER, NAME, NEXT, OLD_DAY, Told, capture, emptied, ingest, tape, vision
from rrr_assets_tests.platform import TIMESCALE_URL, Platform, kill, made_database, timescale_server

pytestmark = pytest.mark.crash

FORMS = {".zip": "binance-vision-trades", ".txt": "binance-ws"}
PLACES = (
    "accept.copied", "accept.staged", "accept.settled", "accept.registered", "load.locked", "load.copying", "load.copying:2", "load.copied",
    "load.ledgered", "load.before_commit", "load.after_commit",
)  # fmt: skip
COVERED = "select instrument, stream, day, row_count, covered, missing_ids, is_declared from coverage order by 1, 2, 3"

# A server of processes that are forked from one without threads, with everything imported.
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["rrr_assets_tests.loading", "rrr_assets.venues.binance_vision", "rrr_assets.venues.binance_ws", "pgpq"])


@pytest.fixture(scope="module", params=["postgresql", pytest.param("timescaledb", marks=pytest.mark.timescale)])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database on a server of this module alone, which is going to be killed; or on one with TimescaleDB, which is not."""
    if request.param == "timescaledb":
        url = os.environ.get(TIMESCALE_URL)
        if not url:
            pytest.skip(f"{TIMESCALE_URL} names no server with TimescaleDB")
        with (
            timescale_server(url, tmp_path_factory.mktemp("crash") / "home"),
            made_database(f"test_crash_{uuid.uuid4().hex[:8]}", "timescaledb") as made,
        ):
            yield made
        return
    try:
        server.find_binaries()
    except server.ServerFailed as missing:
        pytest.skip(f"no embedded PostgreSQL: {missing.reason}")
    with pytest.MonkeyPatch.context() as patched:
        for name in ("RRR_DATABASE_URL", "RRR_OWNER_URL", "RRR_WRITER_URL", "RRR_ANALYST_URL", "RRR_DAGSTER_DATABASE_URL"):
            patched.delenv(name, raising=False)
        patched.setenv("RRR_HOME", str(tmp_path_factory.mktemp("crash") / "home"))
        made = Database.current("crash")
        migrate(made)
        yield made
        server.stop()


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    if database.is_embedded:
        server.ensure_running()
    return emptied(database, tmp_path)


def start(platform: Platform, files: Sequence[Path], notes: Path, **environment: str) -> multiprocessing.process.BaseProcess:
    told = [(path, FORMS.get(path.suffix, "binance-vision-trades")) for path in files]
    child = context.Process(
        target=ingest, args=({**server_named(), **environment}, platform.database.name, platform.home.root, told, notes)
    )
    child.start()
    return child


def server_named() -> dict[str, str]:
    """What says where the server is; children have the environment of the first of them."""
    return {name: os.environ.get(name, "") for name in ("RRR_HOME", "RRR_DATABASE_URL")}


def take_all(platform: Platform, files: Sequence[Path]) -> None:
    for path in files:
        platform.take_in(path, FORMS[path.suffix])


def assert_whole(platform: Platform, notes: Path | None = None) -> None:
    """No row twice, none lost that was acknowledged, the books agree, nothing lies about."""
    assert platform.rows(CONSERVED) == [(0,)]
    assert platform.rows(GAPS_DIFFER) == []
    assert platform.rows("select coalesce(sum(rows_stored), 0) from ingest_batches") == platform.rows("select count(*) from raw_trades")
    assert platform.rows("select count(*) from (select from raw_trades group by instrument, sequence having count(*) > 1) x") == [(0,)]
    if notes is not None and notes.exists():
        for line in notes.read_text().splitlines():
            batch, stored = line.split()
            held = platform.rows(
                "select count(*) from (select batch_id from raw_trades union all select batch_id from trade_revisions) x"
                " where batch_id = %s",
                int(batch),
            )
            assert held == [(int(stored),)], line


@cache
def days(seed: int) -> tuple[list[Told], list[Told]]:
    rng = random.Random(seed)
    first = rng.randrange(1000, 9000)
    one = tape(DAY, rng.randrange(300, 600), first, step_us=1 + DAY_US // 700, start_us=0)
    return one, tape(NEXT, 50, one[-1].id + 1)


@pytest.mark.parametrize(("place", "seed"), [(place, seed) for seed, place in enumerate(PLACES)])
def test_killed_at_every_step_and_ingested_again(platform: Platform, tmp_path: Path, place: str, seed: int) -> None:
    """A capture whose one instrument is partly known and whose other is new goes both ways: copied, and judged."""
    known, beside = days(seed)
    first = vision(tmp_path, [*known[:100], *known[120:130]], DAY)
    parts = [
        capture(tmp_path, told, f"{n}.part", symbol=symbol)
        for n, (told, symbol) in enumerate([(known + beside, "BTCUSDT"), (known, "ETHUSDT")])
    ]
    file = tmp_path / "both.txt"
    file.write_text("".join(part.read_text() for part in parts))
    take_all(platform, [first])
    acknowledged = set(platform.rows("select instrument, sequence, batch_id from raw_trades"))

    child = start(platform, [file], tmp_path / "notes", RRR_FAULT_POINT=place)
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert acknowledged <= set(platform.rows("select instrument, sequence, batch_id from raw_trades"))
    assert_whole(platform, tmp_path / "notes")

    take_all(platform, [file])
    assert_whole(platform, tmp_path / "notes")
    assert not list((platform.home.landing / "incoming").iterdir())
    assert len(list((platform.home.landing / "files").iterdir())) == 2
    assert platform.rows("select count(*) from landing_days where is_pending") == [(0,)]
    after = platform.trades_hash(), platform.rows(COVERED)

    (tmp_path / "undisturbed").mkdir()
    undisturbed = emptied(platform.database, tmp_path / "undisturbed")
    take_all(undisturbed, [first, file])
    assert (undisturbed.trades_hash(), undisturbed.rows(COVERED)) == after


@pytest.mark.parametrize("place", ["load_bars.before_commit"])
def test_venue_bars_killed_before_their_commit(platform: Platform, tmp_path: Path, place: str) -> None:
    made = simulate(tmp_path / "out", [OLD_DAY], [NAME], 100, 4)
    [one] = [f for f in made.files if f.interval == "1m"]
    told = [(one.path, one.format)]
    child = context.Process(
        target=ingest,
        args=(
            {**server_named(), "RRR_FAULT_POINT": place},
            platform.database.name,
            platform.home.root,
            told,
            tmp_path / "notes",
        ),
    )
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert platform.rows("select count(*) from venue_bars") == [(0,)]
    platform.take_in(one.path, one.format)
    assert platform.rows("select count(*) from venue_bars") == [(1440,)]
    assert platform.rows("select count(*) from ingest_batches") == [(1,)]


@pytest.mark.parametrize("seed", range(3))
def test_the_server_or_a_backend_killed_at_any_moment_of_a_load(platform: Platform, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    files, first = [], 1000
    for day in (DAY, NEXT):
        trades = tape(day, 12_000, first, start_us=0, step_us=DAY_US // 12_001)
        first += len(trades)
        files.append(vision(tmp_path, trades, day))
        files.append(vision(tmp_path, trades[3000:8000], day, "-again"))
    child = start(platform, files, tmp_path / "notes")
    with platform.database.connect_admin() as admin:
        _until(
            lambda: (
                admin.execute(
                    "select 1 from pg_stat_activity where datname = current_database() and application_name = 'rrr writer' limit 1"
                ).fetchone()
                is not None
            )
        )
        time.sleep(rng.uniform(0, 0.8))
        backends = admin.execute(
            "select pid from pg_stat_activity where datname = current_database() and application_name = 'rrr writer'"
        ).fetchall()
        if platform.database.is_embedded:
            running = server.status()
            assert running is not None
            victim = running.pid if seed % 2 == 0 or not backends else backends[0][0]
            kill(victim)
        else:
            # Others are on that server too.
            for (backend,) in backends:
                admin.execute("select pg_terminate_backend(%s)", (backend,))
    child.join(60)
    assert child.exitcode is not None
    assert child.exitcode >= 0

    if platform.database.is_embedded:
        server.ensure_running()
    _until(lambda: _answers(platform.database))
    assert_whole(platform, tmp_path / "notes")
    take_all(platform, files)
    assert_whole(platform, tmp_path / "notes")
    after = platform.trades_hash(), platform.rows(COVERED)
    assert after[1][0][3] == 12_000

    (tmp_path / "undisturbed").mkdir()
    undisturbed = emptied(platform.database, tmp_path / "undisturbed")
    take_all(undisturbed, files)
    assert (undisturbed.trades_hash(), undisturbed.rows(COVERED)) == after


def _until(is_so, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _answers(database: Database) -> bool:
    try:
        psycopg.connect(database.admin_url).close()
    except psycopg.OperationalError:
        return False
    return True


def test_what_a_dead_process_left_is_removed_and_what_a_living_one_holds_is_not(platform: Platform, tmp_path: Path) -> None:
    path = vision(tmp_path, tape(DAY, 50), DAY)
    child = start(platform, [path], tmp_path / "notes", RRR_FAULT_POINT="accept.staged")
    child.join(60)
    incoming = platform.home.landing / "incoming"
    assert {entry.is_dir() for entry in incoming.iterdir()} == {True, False}
    with landing.workspace(platform.home) as mine:
        assert {entry.name for entry in incoming.iterdir()} == {mine.name, f"{mine.name}.lock"}
        with landing.workspace(platform.home) as other:
            assert mine.is_dir()
            assert other != mine
    assert not list(incoming.iterdir())


def test_a_restage_that_is_killed_leaves_the_file_as_it_was(platform: Platform, tmp_path: Path) -> None:
    path = vision(tmp_path, tape(DAY, 50), DAY)
    take_all(platform, [path])
    before = platform.trades_hash()
    [folder] = (platform.home.landing / "files").iterdir()
    shutil.rmtree(folder / "staged")
    child = start(platform, [path], tmp_path / "notes", RRR_FAULT_POINT="accept.copied")
    child.join(60)
    take_all(platform, [path])
    assert (folder / "staged").is_dir()
    assert platform.trades_hash() == before
    assert sorted(entry.name for entry in folder.iterdir()) == ["notes.json", "original", "staged"]


# --- full disks --------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m,mode=755", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def settle_on(platform: Platform, folder: Path) -> Platform:
    home = Home(folder / "home")
    home.root.mkdir()
    home.prepare()
    return replace(platform, home=home)


def test_a_landing_zone_without_room_refuses_before_it_begins(platform: Platform, tmp_path: Path, tiny: Path) -> None:
    mine = settle_on(platform, tiny)
    path = vision(tmp_path, tape(DAY, 50), DAY)
    with pytest.raises(NoSpaceLeft, match=r"BTCUSDT-trades-2025-03-03.zip needs about 256 MB .* Free space, or move RRR_HOME"):
        take_all(mine, [path])
    assert not list(mine.home.landing.glob("*/*"))


@pytest.mark.parametrize("left_kb", [0, 40, 600, 1500])
def test_a_landing_zone_that_fills_up_on_the_way_keeps_nothing(
    platform: Platform, tmp_path: Path, tiny: Path, left_kb: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RRR_LEAST_FREE_MB", "-1000")
    mine = settle_on(platform, tiny)
    path = vision(tmp_path, tape(DAY, 60_000, step_us=1_000_001), DAY)
    assert path.stat().st_size > 600_000
    ballast = tiny / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(tiny).free - left_kb * 1024))
    with pytest.raises(NoSpaceLeft, match=r"is full, nothing of the file was kept. Free space and ingest it again"):
        take_all(mine, [path])
    assert not list(mine.home.landing.glob("*/*"))
    assert mine.rows("select count(*) from landing_files") == [(0,)]
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=100m", tiny], check=True)
    take_all(mine, [path])
    assert mine.rows("select count(*) from raw_trades") == [(60_000,)]


def test_a_database_that_fills_up_stores_nothing_of_the_day_and_goes_on_when_there_is_room(
    platform: Platform, tmp_path: Path, tiny: Path
) -> None:
    if not platform.database.is_embedded:
        pytest.skip("fills the disk of a server of its own")
    subprocess.run(["mount", "-o", "remount,size=32m", tiny], check=True)
    place = tiny / "tablespace"
    place.mkdir()
    mine = Database.current(f"tiny_{uuid.uuid4().hex[:8]}")
    with platform.database.connect_admin() as admin:
        try:
            admin.execute(sql.SQL("create tablespace tiny location {}").format(sql.Literal(str(place))))
        except psycopg.errors.InsufficientPrivilege as error:
            pytest.skip(f"the server cannot reach a file system mounted here: {error}")
        admin.execute(sql.SQL("alter database {} set tablespace tiny").format(sql.Identifier(mine.name)))
    try:
        migrate(mine)
        home = Home(tmp_path / "tiny-landing")
        home.root.mkdir()
        home.prepare()
        full = Platform(mine, home)
        take_all(full, [vision(tmp_path, tape(OLD_DAY, 50), OLD_DAY)])
        before = full.trades_hash(), full.rows(COVERED), full.rows("select count(*) from ingest_batches")
        path = vision(tmp_path, tape(DAY, 160_000, 5000, step_us=400_000), DAY)
        with pytest.raises(NoSpaceLeft, match="the database's disk is full: nothing of 2025-03-03 was stored"):
            take_all(full, [path])
        assert (full.trades_hash(), full.rows(COVERED), full.rows("select count(*) from ingest_batches")) == before
        subprocess.run(["mount", "-o", "remount,size=400m", tiny], check=True)
        take_all(full, [path])
        assert full.rows("select count(*) from raw_trades") == [(160_050,)]
    finally:
        with platform.database.connect_admin() as admin:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(mine.name)))
            admin.execute("drop tablespace tiny")


def test_a_damaged_file_is_refused_whole_and_nothing_of_it_is_kept(platform: Platform, tmp_path: Path) -> None:
    path = vision(tmp_path, tape(DAY, 500), DAY)
    path.write_bytes(path.read_bytes()[:-200])
    with platform.database.connect(Role.WRITER, autocommit=True) as connection, pytest.raises(SourceRefused):
        landing.accept(platform.home, connection, path, "binance-vision-trades", None, None)
    assert not list(platform.home.landing.glob("*/*"))
