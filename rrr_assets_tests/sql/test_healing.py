"""Healing against sources that misbehave: a gap closes when its ids are there, and stays open with the reason until then."""

import io
import multiprocessing
import os
import signal
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from rrr_assets.calc.canonical import Digest, Digester
from rrr_assets.calc.decimals import PRICE, SIZE
from rrr_assets.calc.quality_config import Healing, HealingSource
from rrr_assets.sources.download import Patience
from rrr_assets.ticks.healing import Attempt, heal
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.load import load_day
from rrr_assets.warehouse.load_bars import load_bars_day
from rrr_assets.warehouse.undo import undo_batch
from rrr_assets_tests.loading import CONSERVED, DAY_US, NAME, OLD_DAY, Told, ccapi, emptied, tape, vision
from rrr_assets_tests.misbehaving import misbehaviours, serve_rest
from rrr_assets_tests.platform import Platform
from rrr_assets_tests.venue_server import Answer, VenueServer, serving

PATH = f"data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-{OLD_DAY}.zip"
QUICK = Patience(attempts=2, connect_seconds=5, read_seconds=5, first_wait_seconds=0.01, longest_wait_seconds=0.02, longest_asked_seconds=5)
WHOLE = tape(OLD_DAY, 300, start_us=0, step_us=DAY_US // 301)
MISSING = [1005, 1006, 1007, 1050, *range(1100, 1140)]
ARCHIVE = HealingSource(name="archive", kind="binance-vision")
GAPS = "select first_missing, last_missing from gaps where state <> 'healed' and kind = 'ids' order by 1"
BEHAVIOURS = misbehaviours(MISSING)


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[VenueServer]:
    """A venue that has the whole day, at the address that the environment names."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as served:
        monkeypatch.setenv("RRR_BINANCE_VISION_URL", served.url)
        served.files[PATH] = vision(tmp_path / "venue", WHOLE, OLD_DAY).read_bytes()
        yield served


def damaged(platform: Platform, folder: Path, missing: Sequence[int] = MISSING) -> None:
    """Take in the day without some of its ids."""
    platform.take_in(vision(folder / "damaged", [each for each in WHOLE if each.id not in missing], OLD_DAY), "binance-vision-trades")


def healing(platform: Platform, *sources: HealingSource, at_once: bool = True, said: list[str] | None = None) -> list[Attempt]:
    """Heal all that is open, as the daemon's run does it."""
    rows = platform.rows("select gap_id from gaps where state in ('open', 'healing') order by 1")

    def take_in(stream: str, day: object) -> None:
        platform.load(stream, load_bars_day if stream == "venue_bars" else load_day, [day])  # type: ignore[list-item]  # it is a day

    return heal(
        platform.home, platform.database, [row[0] for row in rows], Healing(sources=sources or (ARCHIVE,)), take_in,
        run_id=None, at_once=at_once, say=(said if said is not None else []).append, patience=QUICK,
    )  # fmt: skip


def content(platform: Platform) -> Digest:
    """What the trades are, whatever batch brought them."""
    rows = platform.rows("select instrument, space, sequence, event_time, price, size, side from raw_trades order by 1, 2, 3")
    kinds = [pa.string(), pa.string(), pa.int64(), pa.timestamp("us", "UTC"), PRICE, SIZE, pa.string()]
    names = ["instrument", "space", "sequence", "event_time", "price", "size", "side"]
    columns = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
    batch = pa.record_batch(columns, names=names)
    digester = Digester(batch.schema)
    digester.add(batch)
    return digester.digest()


def assert_each_once(platform: Platform) -> None:
    assert platform.rows("select count(*), count(distinct sequence) from raw_trades") == [(len(WHOLE), len(WHOLE))]
    assert platform.rows(CONSERVED) == [(0,)]


@pytest.fixture(scope="module")
def undamaged(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Digest:
    """The trades of the whole file, loaded at once."""
    folder = tmp_path_factory.mktemp("undamaged")
    platform = emptied(database, folder)
    platform.take_in(vision(folder, WHOLE, OLD_DAY), "binance-vision-trades")
    return content(platform)


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_what_misbehaves_leaves_the_gap_open_with_the_reason_and_heals_when_it_behaves(
    undamaged: Digest, platform: Platform, venue: VenueServer, tmp_path: Path, name: str
) -> None:
    damaged(platform, tmp_path)
    before, whole = content(platform), venue.files[PATH]
    BEHAVIOURS[name].make(venue, PATH)
    attempts = healing(platform)
    assert len(attempts) == 3
    for attempt in attempts:
        assert attempt.outcome == "failed"
        assert attempt.reason is not None
        assert BEHAVIOURS[name].says in attempt.reason
    assert content(platform) == before
    told = platform.rows("select state, attempts, last_reason, next_attempt_at > clock_timestamp() + interval '50 s' from gaps order by 1")
    assert [(state, count, is_later) for state, count, _, is_later in told] == [("open", 1, True)] * 3
    assert all(BEHAVIOURS[name].says in reason for _, _, reason, _ in told)
    assert platform.rows("select count(*) from gap_attempts where outcome = 'failed' and source = 'archive'") == [(3,)]

    # It rests, and asks nobody.
    venue.requests.clear()
    assert healing(platform, at_once=False) == []
    assert venue.requests == []

    venue.answers.clear()
    venue.checksums.clear()
    venue.without_checksum.clear()
    venue.files[PATH] = whole
    assert [attempt.outcome for attempt in healing(platform)] == ["healed"] * 3
    assert content(platform) == undamaged
    assert_each_once(platform)
    assert platform.rows(GAPS) == []
    assert platform.rows("select count(*) from gaps where state = 'healed' and healed_at is not null") == [(3,)]


def test_a_busy_venue_is_given_the_wait_that_it_asks_for(platform: Platform, venue: VenueServer, tmp_path: Path) -> None:
    damaged(platform, tmp_path, [1005])
    venue.answers[PATH] = [Answer(429, {"Retry-After": "4000"})] * 9
    healing(platform)
    ((wait,),) = platform.rows("select extract(epoch from next_attempt_at - clock_timestamp())::int from gaps")
    assert 3900 < wait <= 4000
    venue.answers[PATH] = [Answer(429, {"Retry-After": "9" * 30})] * 9
    healing(platform)
    assert platform.rows("select next_attempt_at - clock_timestamp() between interval '6 d' and interval '7 d' from gaps") == [(True,)]


def test_each_failure_doubles_the_wait(platform: Platform, venue: VenueServer, tmp_path: Path) -> None:
    damaged(platform, tmp_path, [1005])
    del venue.files[PATH]
    waits = []
    for _ in range(4):
        healing(platform)
        ((wait,),) = platform.rows("select round(extract(epoch from next_attempt_at - clock_timestamp()) / 60)::int from gaps")
        waits.append(wait)
    assert waits == [1, 2, 4, 8]


@pytest.mark.parametrize("kind", ["binance-vision", "binance-rest", "mirror", "mirror, flat"])
def test_whichever_source_it_comes_from_the_trades_are_the_same(
    undamaged: Digest, platform: Platform, venue: VenueServer, tmp_path: Path, kind: str
) -> None:
    damaged(platform, tmp_path)
    serve_rest(venue, [venue.files[PATH]], most=13)
    place = tmp_path / "mirror" / (PATH.rpartition("/")[2] if "flat" in kind else PATH)
    place.parent.mkdir(parents=True)
    place.write_bytes(venue.files[PATH])
    url = None if kind == "binance-vision" else venue.url if kind == "binance-rest" else str(tmp_path / "mirror")
    source = HealingSource(name="one", kind=kind.partition(",")[0], url=url)  # type: ignore[arg-type]  # one of the three words
    assert [(attempt.outcome, attempt.rows) for attempt in healing(platform, source)] == [("healed", 3), ("healed", 1), ("healed", 40)]
    assert content(platform) == undamaged
    assert_each_once(platform)
    if kind == "binance-rest":
        assert {int(asked["fromId"]) for asked, _ in venue.asked} <= set(MISSING)
        assert not list((platform.home.landing / "fetched").rglob("*.json"))
    # Once more changes nothing.
    batches = platform.rows("select count(*) from ingest_batches")
    assert healing(platform, source) == []
    assert content(platform) == undamaged
    assert platform.rows("select count(*) from ingest_batches") == batches


def test_the_next_source_is_asked_where_one_has_not_all(undamaged: Digest, platform: Platform, venue: VenueServer, tmp_path: Path) -> None:
    damaged(platform, tmp_path, list(range(1005, 1015)))
    serve_rest(venue, [venue.files[PATH]])
    mirror = tmp_path / "mirror"
    vision(mirror, [each for each in WHOLE if not 1008 <= each.id < 1015], OLD_DAY)
    sources = (
        HealingSource(name="nowhere", kind="mirror", url=str(tmp_path / "nowhere")),
        HealingSource(name="half", kind="mirror", url=str(mirror)),
        HealingSource(name="others", kind="mirror", url=str(mirror), instruments=("gemini:*",)),
        HealingSource(name="rest", kind="binance-rest", url=venue.url),
    )
    attempts = healing(platform, *sources)
    assert [(attempt.source, attempt.outcome, attempt.rows) for attempt in attempts] == [
        ("nowhere", "failed", 0),
        ("half", "partly", 3),
        ("rest", "healed", 7),
    ]
    assert "no such folder" in str(attempts[0].reason)
    assert [asked["fromId"] for asked, _ in venue.asked] == ["1008"]
    assert content(platform) == undamaged
    assert_each_once(platform)


def test_gaps_of_several_instruments_have_sources_of_their_own(platform: Platform, venue: VenueServer, tmp_path: Path) -> None:
    lost(platform, "trades", "binance:ETHUSDT")
    damaged(platform, tmp_path)
    nowhere = str(tmp_path / "nowhere")
    sources = (
        HealingSource(name="of-btc", kind="mirror", url=nowhere, instruments=("binance:BTCUSDT",)),
        HealingSource(name="of-eth", kind="mirror", url=nowhere, instruments=("binance:ETHUSDT",)),
        ARCHIVE,
    )
    attempts = healing(platform, *sources)
    assert {(each.gap.instrument, each.source): each.outcome for each in attempts} == {
        (NAME, "of-btc"): "failed",
        ("binance:ETHUSDT", "of-eth"): "failed",
        (NAME, "archive"): "healed",
        ("binance:ETHUSDT", "archive"): "failed",
    }
    assert platform.rows("select instrument, state, count(*) from gaps group by 1, 2 order by 1") == [
        (NAME, "healed", 3),
        ("binance:ETHUSDT", "open", 1),
    ]
    assert venue.files


def test_a_mirror_whose_checksum_is_of_other_bytes_is_not_believed(platform: Platform, tmp_path: Path) -> None:
    damaged(platform, tmp_path)
    path = vision(tmp_path / "mirror", WHOLE, OLD_DAY)
    path.with_name(f"{path.name}.CHECKSUM").write_text(f"{'0' * 64}  {path.name}\n")
    before = content(platform)
    attempts = healing(platform, HealingSource(name="mirror", kind="mirror", url=str(path.parent)))
    assert {attempt.outcome for attempt in attempts} == {"failed"}
    assert "checksum" in str(attempts[0].reason).lower()
    assert content(platform) == before


def test_garbage_among_good_rows_waits_in_quarantine_and_costs_none_of_them(platform: Platform, venue: VenueServer, tmp_path: Path) -> None:
    damaged(platform, tmp_path, [1005, 1006, 1007])
    lines: list[Told | str] = [each if each.id != 1006 else "1006,not a number,1,1,1704067200000,True,True" for each in WHOLE]
    venue.files[PATH] = vision(tmp_path / "garbage", lines, OLD_DAY).read_bytes()
    (attempt,) = healing(platform)
    assert attempt.outcome == "partly"
    assert "quarantine" in str(attempt.reason)
    assert platform.rows("select count(*) from raw_trades where sequence in (1005, 1007)") == [(2,)]
    assert platform.rows("select count(*) from quarantine where sequence = 1006") == [(1,)]
    assert platform.rows(GAPS) == [(1006, 1006)]
    # The venue mends its file.
    venue.files[PATH] = vision(tmp_path / "mended", WHOLE, OLD_DAY).read_bytes()
    assert [each.outcome for each in healing(platform)] == ["healed"]
    assert_each_once(platform)


def test_what_somebody_took_back_is_not_brought_back(platform: Platform, venue: VenueServer, tmp_path: Path) -> None:
    damaged(platform, tmp_path, list(range(1100, 1140)))
    assert [each.outcome for each in healing(platform)] == ["healed"]
    ((batch,),) = platform.rows("select max(batch_id) from ingest_batches")
    undo_batch(platform.database, batch, "it was the wrong file")
    assert platform.rows(GAPS) == [(1100, 1139)]
    (attempt,) = healing(platform)
    assert attempt.outcome == "failed"
    assert "taken back" in str(attempt.reason)
    assert platform.rows(GAPS) == [(1100, 1139)]
    assert venue.files


def test_rows_that_were_lost_from_the_table_come_back_from_the_file_that_is_here(
    undamaged: Digest, platform: Platform, venue: VenueServer, tmp_path: Path
) -> None:
    """The file landed, its rows were stored, and somebody deleted them past the books."""
    platform.take_in(vision(tmp_path / "whole", WHOLE, OLD_DAY), "binance-vision-trades", NAME)
    platform.rows("delete from raw_trades where sequence between 1100 and 1139 returning 1")
    platform.rows(
        "insert into gaps (instrument, stream, kind, from_time, to_time, first_missing, last_missing, cause, state, first_seen, changed_at,"
        " evidence) select %s, 'trades', 'ids', %s, %s, 1100, 1139, 'unknown', 'open', now(), now(), '{}' returning 1",
        NAME,
        datetime.fromtimestamp(WHOLE[99].us / 1_000_000, UTC),
        datetime.fromtimestamp(WHOLE[140].us / 1_000_000, UTC),
    )
    (attempt,) = healing(platform)
    assert attempt.rows == 40
    assert content(platform) == undamaged
    assert [path for path, _ in venue.requests] == [f"{PATH}.CHECKSUM"]


def test_rows_without_ids_come_from_a_mirror_of_their_format(platform: Platform, tmp_path: Path) -> None:
    told = tape(OLD_DAY, 200, start_us=0, step_us=DAY_US // 200)
    early = ccapi(tmp_path / "early", told[:100], f"gemini__eth-usd__part__{OLD_DAY}-1.csv")
    assert early.is_file()
    whole = ccapi(tmp_path / "mirror", told, f"gemini__eth-usd__{OLD_DAY}__trade.csv")
    platform.take_in(early, "ccapi", "gemini:ETHUSD")
    platform.rows(
        "insert into gaps (instrument, stream, kind, from_time, to_time, cause, state, first_seen, changed_at, evidence)"
        " select 'gemini:ETHUSD', 'trades', 'interval', %s, %s, 'unknown', 'open', now(), now(), '{}'"
        " where not exists (select 1 from gaps) returning 1",
        datetime.fromtimestamp(told[100].us / 1_000_000, UTC),
        datetime.fromtimestamp(told[-1].us / 1_000_000, UTC) + timedelta(seconds=1),
    )
    attempts = healing(platform, ARCHIVE, HealingSource(name="mirror", kind="mirror", url=str(whole.parent), format="ccapi"))
    assert {attempt.source for attempt in attempts} == {"mirror"}
    assert platform.rows("select count(*), sum(size) from raw_trades") == [(200, sum(Decimal(each.size) for each in told))]


# --- killed, and two at once --------------------------------------------------------------------------------------

# A server of processes that are forked from one without threads, with everything imported.
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["rrr_assets.ticks.healing", "rrr_assets_tests.platform", "rrr_assets.venues.binance_vision", "pgpq"])


def healed_apart(environment: dict[str, str], database: str, home: str, gap_ids: Sequence[int], notes: Path) -> None:
    """Heal some gaps as a process of its own, and note how many attempts were made."""
    os.environ.update(environment)
    platform = Platform(Database.current(database), Home(Path(home)))
    done = heal(
        platform.home, platform.database, gap_ids, Healing(sources=(ARCHIVE,)),
        lambda stream, day: platform.load(stream, load_day, [day]),  # type: ignore[arg-type, return-value]  # nothing is made of it
        run_id=None, at_once=True, say=print, patience=QUICK,
    )  # fmt: skip
    notes.write_text(str(len(done)))


def apart(platform: Platform, notes: Path, **environment: str) -> multiprocessing.process.BaseProcess:
    """Start a process that heals all that is open."""
    named = {name: os.environ.get(name, "") for name in ("RRR_HOME", "RRR_DATABASE_URL", "RRR_BINANCE_VISION_URL", "NO_PROXY")}
    gap_ids = [row[0] for row in platform.rows("select gap_id from gaps where state = 'open' order by 1")]
    words = ({**named, **environment}, platform.database.name, str(platform.home.root), gap_ids, notes)
    child = context.Process(target=healed_apart, args=words)
    child.start()
    return child


def test_two_at_once_ask_once_and_store_once(undamaged: Digest, platform: Platform, venue: VenueServer, tmp_path: Path) -> None:
    damaged(platform, tmp_path)
    venue.answers[PATH] = [Answer(bytes_at_once=500, pause_seconds=0.1)]
    both = [apart(platform, tmp_path / f"{number}.notes") for number in range(2)]
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    assert sorted((tmp_path / f"{number}.notes").read_text() for number in range(2)) == ["0", "3"]
    assert [path for path, _ in venue.requests].count(PATH) == 1
    assert content(platform) == undamaged
    assert_each_once(platform)


@pytest.mark.crash
@pytest.mark.parametrize(
    "place", ["healing.claimed", "accept.settled", "healing.fetched", "load.before_commit", "load.after_commit", "healing.loaded"]
)
def test_killed_at_every_step_the_next_one_heals_it(
    undamaged: Digest, platform: Platform, venue: VenueServer, tmp_path: Path, place: str
) -> None:
    damaged(platform, tmp_path)
    killed = apart(platform, tmp_path / "notes", RRR_FAULT_POINT=place)
    killed.join(120)
    assert killed.exitcode == -signal.SIGKILL
    stored = platform.rows("select count(*) from raw_trades")
    is_stored = place in {"load.after_commit", "healing.loaded"}
    assert stored == [(len(WHOLE) - (0 if is_stored else len(MISSING)),)]
    states = platform.rows("select state, count(*) from gaps group by 1")
    assert states == [("healed" if is_stored else "healing", 3)]
    # Nobody takes them from a run that may still be at them, until its time is over.
    assert healing(platform) == []
    platform.rows("update gaps set next_attempt_at = clock_timestamp() where state = 'healing' returning 1")
    assert {attempt.outcome for attempt in healing(platform, at_once=False)} == (set() if is_stored else {"healed"})
    assert content(platform) == undamaged
    assert_each_once(platform)
    assert venue.files


def test_aggregated_trades_and_klines_come_from_the_archive_too(platform: Platform, venue: VenueServer, tmp_path: Path) -> None:
    start = 1704067200000
    trades = [f"{n},42000.50000000,0.5,{2 * n},{2 * n + 1},{start + n * 60_000},True,True" for n in range(1, 1001)]
    minutes = [start + n * 60_000 for n in range(1440)]
    bars = [f"{at},{','.join(['1.00000000'] * 5)},{at + 59_999},1.00000000,3,0.50000000,0.50000000,0" for at in minutes]
    for place, name, lines in (("aggTrades/BTCUSDT", "aggTrades", trades), ("klines/BTCUSDT/1m", "1m", bars)):
        named = f"BTCUSDT-{name}-{OLD_DAY}"
        venue.files[f"data/spot/daily/{place}/{named}.zip"] = zipped(f"{named}.csv", lines)
    part = tmp_path / f"BTCUSDT-aggTrades-{OLD_DAY}.zip"
    part.write_bytes(zipped(f"{part.stem}.csv", [*trades[:700], *trades[720:]]))
    platform.take_in(part, "binance-vision-aggtrades")
    lost(platform, "venue_bars_1m")
    attempts = healing(platform)
    assert {attempt.gap.stream: (attempt.outcome, attempt.rows) for attempt in attempts} == {
        "agg_trades": ("healed", 20),
        "venue_bars_1m": ("healed", 1440),
    }
    assert platform.rows("select count(*), count(distinct sequence) from raw_agg_trades") == [(1000, 1000)]
    assert platform.rows("select count(*) from venue_bars") == [(1440,)]


def lost(platform: Platform, stream: str, name: str = NAME) -> None:
    """A gap of the kind file: nothing is held of the day."""
    platform.rows(
        "insert into gaps (instrument, stream, kind, from_time, to_time, cause, state, first_seen, changed_at, evidence)"
        " values (%s, %s, 'file', %s, %s, 'file_missing', 'open', now(), now(), '{}') returning 1",
        name, stream, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC),
    )  # fmt: skip


def test_a_day_that_never_came_is_fetched(undamaged: Digest, platform: Platform, venue: VenueServer, tmp_path: Path) -> None:
    lost(platform, "trades")
    del venue.files[PATH]
    (attempt,) = healing(platform)
    assert (attempt.outcome, attempt.rows) == ("failed", 0)
    assert "no such file (404)" in str(attempt.reason)
    venue.files[PATH] = vision(tmp_path / "late", WHOLE, OLD_DAY).read_bytes()
    (attempt,) = healing(platform)
    assert (attempt.outcome, attempt.rows) == ("healed", len(WHOLE))
    assert content(platform) == undamaged


def zipped(name: str, lines: Sequence[str]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), "\n".join(lines) + "\n")
    return made.getvalue()
