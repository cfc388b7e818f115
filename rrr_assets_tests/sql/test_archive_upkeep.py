"""The archive's upkeep never takes what a proof or a hold needs, does nothing twice, and survives being killed at every step."""

import os
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.lake import files, orphans
from rrr_assets.lake.catalogue import CatalogueBroken, SnapshotExpired
from rrr_assets.lake.orphans import StoreNotOurs
from rrr_assets.lake.proving import ProofFailed, proof_of_snapshot
from rrr_assets.lake.store import ASIDE, StoreUnusable
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets_tests.archive_upkeep import (
    TRADES,
    archive,
    archived,
    catalogue,
    cleaned,
    compacted,
    execute,
    expired,
    flip,
    found,
    hold,
    last,
    log,
    make_cold,
    read_back,
    scatter,
    scrubbed,
)
from rrr_assets_tests.loading import DAY, NEXT, Told, capture, emptied, midnight, take, tape, vision
from rrr_assets_tests.platform import Platform
from rrr_assets_tests.warm import killed_at

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC).timestamp()


@pytest.fixture
def platform(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setenv("RRR_ARCHIVE_URL", str(tmp_path / "archive"))
    made = emptied(database, tmp_path)
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("truncate iceberg.iceberg_tables, iceberg.iceberg_namespace_properties")
    return made


def objects() -> set[Path]:
    return {path for path in Path(os.environ["RRR_ARCHIVE_URL"]).rglob("*") if path.is_file()}


def path_of(file: files.Written) -> Path:
    return Path(file.url.removeprefix("file://"))


def late(platform: Platform, folder: Path, number: int = 5) -> None:
    take(platform, vision(folder, [Told(number, midnight(DAY) + number)], DAY, f"-late-{number}"))


# --- compaction -------------------------------------------------------------------------------------------------


def test_many_files_become_one_with_the_same_values(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 500), DAY))
    first = archive(platform)
    before = scatter(platform, 7)
    assert len(before.files) == 7
    assert before.digest == first.digest
    [told] = compacted(platform, apply=False)
    assert (told.files_before, told.rows, told.proof_id) == (7, 500, None)
    assert last(platform) == before
    [done] = compacted(platform)
    assert (done.files_before, done.relation, done.partition) == (7, "raw_trades", DAY)
    after = last(platform)
    assert (after.proof_id, len(after.files)) == (done.proof_id, 1)
    assert (after.digest, after.bars, after.log_mark, after.known_at) == (before.digest, before.bars, before.log_mark, before.known_at)
    assert read_back(platform) == 500
    # Nothing where there is nothing to do, and nothing for an archiver either.
    assert compacted(platform) == []
    assert not archived(platform).is_new
    assert log(platform) == [("compact", True), ("compact", False)]
    assert found(platform) == []


def test_small_row_groups_are_made_large(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(platform, vision(tmp_path, tape(DAY, 500), DAY))
    monkeypatch.setattr(files, "ROW_GROUP", 50)
    archive(platform)
    monkeypatch.undo()
    monkeypatch.setenv("RRR_ARCHIVE_URL", str(tmp_path / "archive"))
    [done] = compacted(platform)
    assert (done.files_before, done.row_groups_before) == (1, 10)
    assert compacted(platform) == []
    assert read_back(platform) == 500


def test_what_is_in_the_archive_alone_is_compacted_too(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 200), DAY))
    archive(platform)
    make_cold(platform, scatter(platform, 3))
    assert len(compacted(platform)) == 1
    assert read_back(platform) == 200


def test_what_is_not_as_it_was_proven_is_not_compacted(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 200), DAY))
    archive(platform)
    before = scatter(platform, 2)
    path_of(before.files[0]).write_bytes(path_of(before.files[1]).read_bytes())
    held = objects()
    with pytest.raises(ProofFailed, match="its files hold other than what was proven"):
        compacted(platform)
    assert last(platform) == before
    assert objects() == held


def test_compaction_and_an_archiver_at_once(platform: Platform, tmp_path: Path) -> None:
    """Whoever comes second finds a partition that is whole, with the late trade in it at the end."""
    take(platform, vision(tmp_path, tape(DAY, 1000), DAY))
    archive(platform)
    for number in range(3):
        scatter(platform, 5)
        late(platform, tmp_path, number + 5)
        compacting, archiving = (threading.Thread(target=call, args=(platform,)) for call in (compacted, archive))
        for thread in (compacting, archiving):
            thread.start()
        for thread in (compacting, archiving):
            thread.join()
        compacted(platform)
        assert read_back(platform) == 1001 + number
        assert not archived(platform).is_new
    assert found(platform) == []


# --- expiry -----------------------------------------------------------------------------------------------------


def test_old_snapshots_expire_and_say_so(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    first = archive(platform)
    late(platform, tmp_path)
    second = archive(platform)
    assert expired(platform, keep_days=30) == []
    [told] = expired(platform, apply=False)
    assert (told.proofs, told.snapshots, told.size_bytes) == (1, 1, first.size_bytes)
    with platform.database.connect(Role.WRITER) as connection:
        assert proof_of_snapshot(connection, TRADES, DAY, first.snapshot_id) == first
    [done] = expired(platform)
    assert (done.proofs, done.snapshots) == (1, 1)
    assert expired(platform) == []
    # Refused by name, although no file is removed yet.
    assert path_of(first.files[0]).exists()
    with (
        platform.database.connect(Role.WRITER) as connection,
        pytest.raises(SnapshotExpired, match=f"snapshot {first.snapshot_id} of raw_trades of {DAY} expired at"),
    ):
        proof_of_snapshot(connection, TRADES, DAY, first.snapshot_id)
    with catalogue(platform) as lake, pytest.raises(SnapshotExpired, match=f"has no snapshot {first.snapshot_id}"):
        lake.files(TRADES, DAY, first.snapshot_id)
    with platform.database.connect(Role.WRITER) as connection:
        assert proof_of_snapshot(connection, TRADES, DAY, second.snapshot_id) == second
    assert read_back(platform) == 101


def snapshots(platform: Platform) -> set[int]:
    with catalogue(platform) as lake:
        return {snapshot.snapshot_id for snapshot in lake.snapshots(TRADES)}


def test_the_last_proof_of_every_partition_keeps_its_snapshot(platform: Platform, tmp_path: Path) -> None:
    for day in (DAY, NEXT):
        take(platform, vision(tmp_path, tape(day, 50, first_id=1000 if day == DAY else 2000), day))
    proofs = {archive(platform).snapshot_id, archive(platform, NEXT).snapshot_id}
    assert expired(platform) == []
    assert snapshots(platform) == proofs


def test_a_snapshot_does_not_keep_what_expired_of_another_partition(platform: Platform, tmp_path: Path) -> None:
    """The next day's snapshot names what was this day's file then: it would stay as long as that day does."""
    for day in (DAY, NEXT):
        take(platform, vision(tmp_path, tape(day, 50, first_id=1000 if day == DAY else 2000), day))
    first, other = archive(platform), archive(platform, NEXT)
    late(platform, tmp_path)
    second = archive(platform)
    expired(platform)
    assert snapshots(platform) == {second.snapshot_id}
    cleaned(platform)
    assert not path_of(first.files[0]).exists()
    assert path_of(other.files[0]).exists()
    assert (read_back(platform), read_back(platform, NEXT)) == (51, 50)
    assert expired(platform) == []
    assert found(platform) == []


def test_what_was_deleted_at_the_end_of_its_life_is_removed(platform: Platform, tmp_path: Path) -> None:
    for day in (DAY, NEXT):
        take(platform, vision(tmp_path, tape(day, 50, first_id=1000 if day == DAY else 2000), day))
    first, other = archive(platform), archive(platform, NEXT)
    make_cold(platform, first)
    with catalogue(platform) as lake:
        lake.exchange(TRADES, DAY, [], {})
    execute(platform, "update partition_tiers set tier = 'deleted'")
    assert found(platform) == []
    hold(platform, "raw_trades", DAY, NEXT)
    expired(platform)
    cleaned(platform)
    assert path_of(first.files[0]).exists()
    execute(platform, "update holds set released_at = now(), released_by = 'a test'")
    expired(platform)
    cleaned(platform)
    assert not path_of(first.files[0]).exists()
    assert path_of(other.files[0]).exists()
    assert read_back(platform, NEXT) == 50


@pytest.mark.parametrize(
    ("relation", "from_day", "until_day", "is_held"),
    [
        (None, None, None, True),
        ("raw_trades", DAY, NEXT, True),
        ("raw_trades", None, DAY, False),
        ("raw_trades", NEXT, None, False),
        ("raw_quotes", None, None, False),
    ],
)
def test_what_a_hold_covers_stays(
    platform: Platform, tmp_path: Path, relation: str | None, from_day: date | None, until_day: date | None, is_held: bool
) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    first = archive(platform)
    late(platform, tmp_path)
    archive(platform)
    hold(platform, relation, from_day, until_day)
    expired(platform)
    cleaned(platform)
    assert path_of(first.files[0]).exists() == is_held
    with catalogue(platform) as lake:
        assert (first.snapshot_id in {snapshot.snapshot_id for snapshot in lake.snapshots(TRADES)}) == is_held
    # It ends with the hold.
    execute(platform, "update holds set released_at = now(), released_by = 'a test'")
    expired(platform)
    cleaned(platform)
    assert not path_of(first.files[0]).exists()


def test_a_hold_placed_after_expiry_still_keeps_the_files(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    first = archive(platform)
    late(platform, tmp_path)
    archive(platform)
    expired(platform)
    hold(platform, "raw_trades")
    cleaned(platform)
    assert path_of(first.files[0]).exists()


def test_a_hold_placed_while_files_are_removed_still_keeps_them(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    first = archive(platform)
    late(platform, tmp_path)
    archive(platform)
    expired(platform)

    def held_now(place: str) -> None:
        if place == "orphans.logged":
            hold(platform, "raw_trades", DAY, NEXT)

    monkeypatch.setattr(orphans, "reach", held_now)
    cleaned(platform)
    assert path_of(first.files[0]).exists()


def test_expiry_and_clean_up_beside_an_archiver(platform: Platform, tmp_path: Path) -> None:
    """It commits while they do: nobody fails, and nothing that is needed is gone."""
    take(platform, vision(tmp_path, tape(DAY, 200), DAY))
    archive(platform)
    stop = threading.Event()
    went_wrong: list[BaseException] = []

    def keep_up() -> None:
        try:
            while not stop.is_set():
                expired(platform)
                cleaned(platform, safe_hours=1)
        except BaseException as error:  # noqa: BLE001  # handed to the test
            went_wrong.append(error)

    beside = threading.Thread(target=keep_up)
    beside.start()
    for number in range(5, 13):
        late(platform, tmp_path, number)
        assert archived(platform).is_new
    stop.set()
    beside.join()
    assert went_wrong == []
    assert read_back(platform) == 208
    expired(platform)
    cleaned(platform)
    assert read_back(platform) == 208
    assert found(platform) == []


# --- orphans ----------------------------------------------------------------------------------------------------


def test_what_nothing_names_is_removed_when_it_is_old(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    proof = archive(platform)
    folder = path_of(proof.files[0]).parent
    left, young = folder / "left.parquet", folder / "young.parquet"
    metadata = folder.parent.parent / "metadata" / "00000-left.metadata.json"
    for path in (left, young, metadata):
        path.write_bytes(b"half written")
    for path in (left, metadata):
        os.utime(path, (LONG_AGO, LONG_AGO))
    before = objects()
    [told] = cleaned(platform, safe_hours=24, apply=False)
    assert {path.rpartition("/")[2] for path in told.urls} == {left.name, metadata.name}
    assert told.too_young == 1
    assert objects() == before
    [done] = cleaned(platform, safe_hours=24)
    assert done == told
    assert before - objects() == {left, metadata}
    assert cleaned(platform, safe_hours=24) == []
    assert read_back(platform) == 100
    assert not archived(platform).is_new
    assert log(platform) == [("remove_orphans", True), ("remove_orphans", False)]


def test_what_expired_is_removed_and_what_did_not_is_not(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    proofs = [archive(platform)]
    for number in (5, 6):
        late(platform, tmp_path, number)
        proofs.append(archive(platform))
    assert cleaned(platform) == []
    expired(platform)
    [done] = cleaned(platform)
    assert {proof.files[0].url for proof in proofs[:2]} <= set(done.urls)
    assert read_back(platform) == 102
    assert found(platform) == []
    late(platform, tmp_path, 7)
    assert archived(platform).is_new
    assert read_back(platform) == 103


def test_a_store_that_is_ahead_is_left_alone(platform: Platform, tmp_path: Path) -> None:
    """A database that was restored from a backup, or another one's store: what it does not know is not its to remove."""
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    archive(platform)
    [row] = platform.rows("select metadata_location from iceberg.iceberg_tables where table_name = 'raw_trades'")
    for number in (5, 6):
        late(platform, tmp_path, number)
        archive(platform)
    after = objects()
    execute(platform, "update iceberg.iceberg_tables set metadata_location = %s where table_name = 'raw_trades'", row[0])
    execute(platform, "delete from archive_proofs where proof_id > (select min(proof_id) from archive_proofs)")
    with pytest.raises(StoreNotOurs, match="nothing is removed"):
        cleaned(platform)
    execute(platform, "truncate iceberg.iceberg_tables")
    execute(platform, "delete from archive_proofs")
    assert cleaned(platform) == []
    assert objects() == after


def test_a_change_that_was_not_ended_keeps_what_it_names(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    archive(platform)
    [row] = platform.rows("select metadata_location from iceberg.iceberg_tables where table_name = 'raw_trades'")
    late(platform, tmp_path)
    second = archive(platform)
    execute(platform, "update iceberg.iceberg_tables set metadata_location = %s where table_name = 'raw_trades'", row[0])
    execute(platform, "delete from archive_proofs where proof_id = %s", second.proof_id)
    cleaned(platform)
    assert path_of(second.files[0]).exists()


def test_a_store_that_was_moved_is_left_alone(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    archive(platform)
    (tmp_path / "archive").rename(tmp_path / "moved")
    monkeypatch.setenv("RRR_ARCHIVE_URL", str(tmp_path / "moved"))
    before = objects()
    with pytest.raises(StoreNotOurs, match="does not lie in"):
        cleaned(platform)
    assert objects() == before


# --- scrub ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [None, 100, -3])
def test_a_flipped_bit_is_found_named_and_mended_from_the_database(platform: Platform, tmp_path: Path, place: int | None) -> None:
    """In the middle, in the first pages, in the footer."""
    take(platform, vision(tmp_path, tape(DAY, 500), DAY))
    before = archive(platform)
    [file] = before.files
    flip(path_of(file), place)
    damaged = path_of(file).read_bytes()
    [told] = found(platform, apply=False)
    assert (told.relation, told.partition, told.url, told.mended) == ("raw_trades", DAY, file.url, None)
    assert f"was proven to be {file.sha256}" in told.differs
    assert path_of(file).read_bytes() == damaged
    [done] = found(platform)
    assert done.mended is not None
    assert done.mended.startswith("written anew from the database; what was damaged lies in ")
    after = last(platform)
    assert (after.digest, after.bars) == (before.digest, before.bars)
    assert after.files != before.files
    assert read_back(platform) == 500
    [aside] = (tmp_path / "archive" / ASIDE).rglob("*.parquet")
    assert aside.read_bytes() == damaged
    assert found(platform) == []
    # Nothing takes away what was set aside.
    expired(platform)
    cleaned(platform)
    assert aside.exists()
    reasons = platform.rows("select reasons from retention_log where action = 'scrub' and cardinality(reasons) > 0 and not is_dry_run")
    assert [("mended" in reason) for (reasons_of,) in reasons for reason in reasons_of] == [False, True]


def test_bytes_alone_tell_of_a_flipped_bit_too(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    [file] = archive(platform).files
    assert [each.findings for each in scrubbed(platform, values=False) if each.partition] == [()]
    flip(path_of(file))
    [finding] = [finding for each in scrubbed(platform, values=False) for finding in each.findings]
    assert (finding.url, finding.mended is not None) == (file.url, True)


def test_values_that_differ_under_the_right_bytes_are_found(platform: Platform, tmp_path: Path) -> None:
    """As they would by a reader that reads otherwise than the one that proved them."""
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    proof = archive(platform)
    make_cold(platform, proof)
    execute(platform, "update archive_proofs set content = 'another', sums = sums || '{\"size\": \"1\"}'")
    [finding] = found(platform)
    assert finding.url == proof.files[0].url
    assert "the sum of size is" in finding.differs
    assert finding.mended is None


def test_what_is_cold_and_damaged_is_told_and_nothing_else_is_done(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 500), DAY))
    before = archive(platform)
    make_cold(platform, before)
    flip(path_of(before.files[0]))
    held = {path: path.read_bytes() for path in objects()}
    for _ in range(2):
        [told] = found(platform)
        assert told.mended is None
        assert "it is in the archive alone, and no other file holds the same values" in told.differs
    assert {path: path.read_bytes() for path in objects()} == held
    assert last(platform) == before


def test_what_is_cold_is_mended_from_the_files_that_a_compaction_replaced(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 500), DAY))
    archive(platform)
    make_cold(platform, scatter(platform, 3))
    compacted(platform)
    damaged = last(platform)
    path_of(damaged.files[0]).unlink()
    [done] = found(platform)
    assert done.differs.startswith("it is missing")
    assert done.mended is not None
    assert "hold the same values, were registered again" in done.mended
    assert last(platform).digest == damaged.digest
    assert read_back(platform) == 500
    assert found(platform) == []


def test_a_file_that_is_missing_is_written_anew(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    path_of(archive(platform).files[0]).unlink()
    [done] = found(platform)
    assert (done.differs.partition(";")[0], done.mended) == ("it is missing", "written anew from the database")
    assert read_back(platform) == 100
    assert found(platform) == []


def test_a_database_that_changed_without_a_word_is_no_source(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    before = archive(platform)
    flip(path_of(before.files[0]))
    execute(platform, "delete from raw_trades where sequence = 1007")
    held = {path: path.read_bytes() for path in objects()}
    [told] = found(platform)
    assert told.mended is None
    assert "the database holds other rows than were proven" in told.differs
    assert last(platform) == before
    assert {path: path.read_bytes() for path in objects()} == held


def test_a_catalogue_that_names_other_files_is_mended_by_the_proof(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    first = archive(platform)
    late(platform, tmp_path)
    second = archive(platform)
    with catalogue(platform) as lake:
        lake.exchange(TRADES, DAY, [first.files[0].url], {})
    [told] = found(platform, apply=False)
    assert f"the catalogue names {first.files[0].url}, its proof does not" in told.differs
    assert f"its proof names {second.files[0].url}, the catalogue does not" in told.differs
    [done] = found(platform)
    assert done.mended == "the files of its proof were registered again"
    assert found(platform) == []
    with catalogue(platform) as lake:
        assert [file.url for file in lake.files(TRADES, DAY)] == [second.files[0].url]
    assert not archived(platform).is_new


def test_what_the_catalogue_names_and_nothing_proved_is_archived(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    archive(platform)
    execute(platform, "delete from archive_proofs")
    [done] = found(platform)
    assert done.mended == "written anew from the database"
    assert found(platform) == []
    assert read_back(platform) == 100


def test_an_empty_table_is_no_source_for_what_nothing_proved(platform: Platform, tmp_path: Path) -> None:
    """What somebody registers who does not come by the database is not replaced by the nothing that is there."""
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    [file] = archive(platform).files
    execute(platform, "delete from archive_proofs")
    execute(platform, "delete from raw_trades")
    [told] = found(platform)
    assert told.mended is None
    assert "the database holds no row of it" in told.differs
    with catalogue(platform) as lake:
        assert [each.url for each in lake.files(TRADES, DAY)] == [file.url]
    assert path_of(file).exists()


@pytest.mark.parametrize("lost", ["metadata", "manifests", "all metadata"])
def test_a_catalogue_whose_metadata_is_lost_is_mended(platform: Platform, tmp_path: Path, lost: str) -> None:
    for day in (DAY, NEXT):
        take(platform, vision(tmp_path, tape(day, 50, first_id=1000 if day == DAY else 2000), day))
        archive(platform, day)
    late(platform, tmp_path)
    archive(platform)
    [row] = platform.rows("select metadata_location from iceberg.iceberg_tables where table_name = 'raw_trades'")
    folder = tmp_path / "archive" / "rrr" / "raw_trades" / "metadata"
    if lost == "metadata":
        Path(row[0].removeprefix("file://")).unlink()
    else:
        for path in folder.glob("*" if lost == "all metadata" else "*.avro"):
            path.unlink()
    with pytest.raises(CatalogueBroken, match="rrr archive scrub --apply"):
        cleaned(platform)
    first, *others = found(platform)
    assert first.partition is None
    assert first.mended is not None
    assert {each.mended for each in others} == {"the files of its proof were registered again"}
    assert found(platform) == []
    with catalogue(platform) as lake:
        assert sorted(lake.all_files(TRADES)) == [DAY, NEXT]
    assert (read_back(platform), read_back(platform, NEXT)) == (51, 50)
    assert not archived(platform).is_new
    cleaned(platform)
    assert found(platform) == []


def test_an_empty_store_is_no_reason_to_mend(platform: Platform, tmp_path: Path) -> None:
    """A disk that is not mounted."""
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    proof = archive(platform)
    (tmp_path / "archive").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreUnusable, match="holds nothing of the archive"):
        found(platform)
    assert last(platform) == proof


def test_a_budget_bounds_a_scrub_and_the_next_goes_on(platform: Platform, tmp_path: Path) -> None:
    days = [DAY + timedelta(days=number) for number in range(4)]
    for number, day in enumerate(days):
        take(platform, vision(tmp_path, tape(day, 50, first_id=1000 * (number + 1)), day))
        archive(platform, day)
    size = last(platform).size_bytes

    def read(budget: int | None, every_days: int = 0) -> list[date]:
        return [each.partition for each in scrubbed(platform, budget=budget, every_days=every_days) if each.partition is not None]

    seen = [read(2 * size + size // 2) for _ in range(2)]
    assert sorted(day for days_of in seen for day in days_of) == days
    assert len(seen[0]) == 2
    assert len(read(1)) == 1
    # What was written or read back this week is not due.
    assert read(None, every_days=7) == []
    assert len(read(None)) == 4
    # What is damaged and was not mended comes first.
    make_cold(platform, last(platform, days[3]), days[3])
    flip(path_of(last(platform, days[3]).files[0]))
    scrubbed(platform)
    assert read(1) == [days[3]]


# --- killed -----------------------------------------------------------------------------------------------------

_CALLS = {
    "compact": "list(compact(database, lake, tables, apply=True))",
    "expire": "list(expire(database, lake, tables, keep_days=0, apply=True))",
    "orphans": "list(remove_orphans(database, lake, tables, safe_hours=0, apply=True))",
    "scrub": "list(scrub(database, lake, plan(database, tables, every_days=0, budget_bytes=None), apply=True))",
}
_POINTS = (
    "compact.written", "compact.verified", "compact.registered", "compact.proven",
    "expire.logged", "expire.expired", "orphans.logged", "orphans.removed", "orphans.removed:2",
    "scrub.read", "scrub.found", "archive.written", "archive.verified", "archive.registered", "archive.proven", "scrub.rewritten",
    "scrub.set_aside", "scrub.mended",
)  # fmt: skip


@pytest.mark.crash
@pytest.mark.parametrize("point", _POINTS)
def test_upkeep_killed_at_every_step_is_ended_by_the_next_call(platform: Platform, tmp_path: Path, point: str) -> None:
    take(platform, vision(tmp_path, tape(DAY, 100), DAY))
    archive(platform)
    for number in (5, 6, 7):
        late(platform, tmp_path, number)
        archive(platform)
    kind = point.partition(".")[0].replace("archive", "scrub")
    if kind == "compact":
        scatter(platform, 3)
    if kind == "orphans":
        expired(platform)
    if kind == "scrub":
        flip(path_of(last(platform).files[0]))
    before = last(platform)
    script = f"""
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.compaction import compact
from rrr_assets.lake.expiry import expire
from rrr_assets.lake.orphans import remove_orphans
from rrr_assets.lake.scrub import plan, scrub
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.connect import Database
database = Database.current({platform.database.name!r})
tables = [ARCHIVED["raw_trades"]]
with Catalogue(database, Store.current()) as lake:
    {_CALLS[kind]}
"""
    killed_at(point, script)
    if kind != "scrub":
        assert read_back(platform) == 103
    # Whatever runs next, and in whatever order, everything is as it should be at the end.
    found(platform)
    compacted(platform)
    expired(platform)
    cleaned(platform)
    assert read_back(platform) == 103
    assert last(platform).digest == before.digest
    assert found(platform) == []
    assert not archived(platform).is_new
    for again in (compacted, expired, cleaned):
        assert again(platform) == []
    # Of what a table needs, and of it alone, files are left.
    with catalogue(platform) as lake:
        named = lake.named(TRADES)
    left = {f"file://{path}" for path in objects() if f"/{ASIDE}/" not in str(path)}
    assert left <= named
    assert {file.url for file in last(platform).files} <= left


@pytest.mark.parametrize("name", ["trade_revisions", "bars_1m"])
def test_other_tables_are_kept_up_alike(platform: Platform, tmp_path: Path, name: str) -> None:
    # The times of the capture are coarser: the file revises them.
    take(platform, capture(tmp_path, tape(DAY, 300)))
    take(platform, vision(tmp_path, tape(DAY, 300), DAY))
    platform.refresh()
    table = ARCHIVED[name]
    partition = table.partition_of(DAY)
    archive(platform, partition, table)
    scatter(platform, 4, partition, table)
    assert len(compacted(platform)) == 1
    assert read_back(platform, partition, table) > 0
    expired(platform)
    cleaned(platform)
    assert found(platform) == []
