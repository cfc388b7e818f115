"""Damaged files on the whole way into the database: every row that was read is stored, known, or in quarantine with its reason.

What their parsers make of many more of them is in fuzz/.
"""

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from rrr_assets.venues.base import SourceRefused
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.tick_tables import TICK_TABLES
from rrr_assets_tests.fuzz import mutations
from rrr_assets_tests.fuzz.seeds import SEEDS, Seed
from rrr_assets_tests.loading import CONSERVED, emptied
from rrr_assets_tests.platform import Platform

ROUNDS = 6
KEPT = [*(table.name for table in TICK_TABLES.values()), *(table.revisions.name for table in TICK_TABLES.values())]
KEPT += ["venue_bars", "quarantine", "coverage", "invalidation_log"]


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


def damaged_files(folder: Path, number: int) -> list[tuple[Seed, Path]]:
    """A damaged file of every seed; corrections come last, for they correct what is stored."""
    files = []
    for seed in sorted(SEEDS.values(), key=lambda seed: seed.format == "rrr-corrections"):
        chance = Random(f"whole way/{seed.name}/{number}")
        data, suffix, _ = mutations.packed(chance, seed, mutations.damage(chance, seed).data)
        path = folder / seed.name / f"{seed.file_name}{suffix}"
        path.parent.mkdir()
        path.write_bytes(data)
        for added, text in seed.beside.items():
            path.with_name(path.name + added).write_bytes(text)
        files.append((seed, path))
    return files


def take_in(platform: Platform, files: list[tuple[Seed, Path]]) -> Counter[str]:
    done: Counter[str] = Counter()
    for seed, path in files:
        try:
            for loaded in platform.take_in(path, seed.format, seed.instrument, seed.day):
                for file in loaded.files:
                    assert file.rows_read == file.rows_stored + file.rows_revised + file.duplicates + file.quarantined or file.refused
                    done.update(read=file.rows_read, stored=file.rows_stored, revised=file.rows_revised, quarantined=file.quarantined)
        except SourceRefused:
            done["refused"] += 1
        else:
            done["files"] += 1
    return done


def state(platform: Platform) -> dict[str, str]:
    """A hash of every table that holds something of what was told."""
    hashes = {}
    for name in KEPT:
        text = f"select md5(coalesce(string_agg(t::text, E'\\n' order by t::text), '')) from {name} as t"  # noqa: S608  # names of ours
        hashes[name] = str(platform.rows(text)[0][0])
    return hashes


def changes_nothing_again(platform: Platform, files: list[tuple[Seed, Path]], first: Counter[str]) -> None:
    before = state(platform)
    again = take_in(platform, files)
    assert (again["stored"], again["revised"]) == (0, 0)
    assert (again["files"], again["refused"], again["read"]) == (first["files"], first["refused"], first["read"])
    assert {name for name, told in state(platform).items() if told != before[name]} == set()
    assert platform.rows(CONSERVED) == [(0,)]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_damaged_files_are_stored_or_explained_and_once(platform: Platform, tmp_path: Path, number: int) -> None:
    every = damaged_files(tmp_path, number)
    files, corrections = every[:-1], every[-1:]
    first = take_in(platform, files)
    assert len(files) == first["files"] + first["refused"] == len(SEEDS) - 1
    assert first["files"] > len(SEEDS) // 2
    assert first["stored"] > 250
    assert first["quarantined"] > 20

    assert platform.rows(CONSERVED) == [(0,)]
    # Whatever was read of a file is in the batches of its days, unless the day holds another identity and says so.
    whole = """
        select f.name, f.format, f.rows_read, d.listed, b.taken
        from landing_files as f
        left join lateral (
            select sum(rows_read)::bigint as listed, sum(rows_read) filter (where refused is null)::bigint as taken
            from landing_days as d where d.file_id = f.file_id
        ) as d on true
        left join lateral (
            select sum(rows_read)::bigint as taken
            from (
                select distinct on (i.day) i.day, i.rows_read
                from ingest_batches as i
                inner join landing_days as l on l.file_id = i.file_id and l.day = i.day and l.refused is null
                where i.file_id = f.file_id
                order by i.day, i.batch_id
            ) as b
        ) as b on true
        where f.rows_read <> coalesce(d.listed, 0) or coalesce(d.taken, 0) <> coalesce(b.taken, 0)
    """
    assert platform.rows(whole) == []
    assert platform.rows("select * from landing_days where is_pending") == []
    unexplained = """
        select * from quarantine as q left join landing_files as f using (file_id)
        where f.name is null or q.line < 1 or q.reason = '' or length(q.detail) < 10 or q.raw = ''
    """
    assert platform.rows(unexplained) == []
    waiting = platform.rows("select count(*), count(distinct reason) from quarantine where state = 'quarantined'")
    assert waiting[0][0] == first["quarantined"]
    assert waiting[0][1] >= 4

    changes_nothing_again(platform, files, first)
    # What they correct may settle a conflict of another file: they come when the others have been looked at.
    changes_nothing_again(platform, corrections, take_in(platform, corrections))


@pytest.mark.parametrize("name", SEEDS)
def test_what_is_not_damaged_is_stored_whole(platform: Platform, tmp_path: Path, name: str) -> None:
    seed = SEEDS[name]
    path = tmp_path / seed.file_name
    path.write_bytes(seed.data)
    for added, text in seed.beside.items():
        path.with_name(path.name + added).write_bytes(text)
    done = take_in(platform, [(seed, path)])
    assert done["read"] > 0
    if seed.format == "rrr-corrections":
        assert platform.rows("select distinct reason from quarantine") == [("unknown_trade",)]
    else:
        assert (done["stored"], done["quarantined"]) == (done["read"], 0)
        offered = platform.rows("select stream from landing_files order by 1")
        assert platform.rows("select distinct stream from ingest_batches order by 1") == offered


def test_bars_of_damaged_files_equal_their_trades(platform: Platform, tmp_path: Path) -> None:
    take_in(platform, [(seed, path) for seed, path in damaged_files(tmp_path, ROUNDS) if "trades" in seed.name])
    platform.refresh()
    totals = platform.rows("select sum(size), sum(price * size), count(*) from raw_trades")
    assert totals[0][2] > 100
    for interval in ("1m", "5m", "1h", "1d"):
        summed = f"select sum(volume), sum(quote_volume), sum(trade_count) from bars_{interval}"  # noqa: S608  # names of ours
        assert platform.rows(summed) == totals
