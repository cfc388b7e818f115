"""Reads answer the same whatever tier the rows are in, and never with less than was asked for without saying so."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rrr_assets import read
from rrr_assets.calc.information_bars import Rule
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.simulator import simulate
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.information_bars import refresh_information_bars, set_rules
from rrr_assets_tests.cold import archived, content, make_cold
from rrr_assets_tests.loading import DAY, NAME, NEXT, Told, emptied, midnight, take, tape, vision
from rrr_assets_tests.platform import Platform

BTC, ETH = "binance:BTCUSDT", "binance:ETHUSDT"
LAST = date(2025, 3, 5)
SINCE, UNTIL = datetime(2025, 3, 3, 5, tzinfo=UTC), datetime(2025, 3, 5, 17, tzinfo=UTC)
MONTH = date(2025, 3, 1)
DAYS = [DAY, NEXT, LAST]
TICKS = ("raw_trades", "trade_revisions", "raw_quotes", "quote_revisions", "raw_depth", "depth_revisions")
BY_MONTH = ("bars_1m", "bars_5m", "bars_1h", "bars_1d", "bar_revisions", "venue_bars", "bars_tick", "bars_volume", "bars_dollar")
EVERY = tuple((name, day) for name in TICKS for day in DAYS) + tuple((name, MONTH) for name in BY_MONTH)
QUOTES = """
    insert into raw_quotes
    select
        instrument, 'update_id', n, timestamptz '2025-03-03 00:00+00' + n * interval '37 seconds', null, 'venue',
        nullif(42000 + n %% 7 + 0.25, 42003.25), case when n %% 7 <> 3 then 1.5 end,
        42010.1, 0.1, null, timestamptz '2025-03-06', 'modelled', timestamptz '2025-03-06', 1
    from generate_series(1, 6000) as n, unnest(array['binance:BTCUSDT', 'binance:ETHUSDT']) as instrument
"""
BOOKS = """
    insert into raw_depth
    select
        'binance:BTCUSDT', 'update_id', 2 * n, timestamptz '2025-03-03 00:00+00' + n * interval '61 seconds', null, 'venue',
        'delta', n, n, jsonb_build_array(jsonb_build_array('42000.10', n::text)), '[]', timestamptz '2025-03-06', timestamptz '2025-03-06',
        'observed', timestamptz '2025-03-06', 1
    from generate_series(1, 3000) as n
"""


@pytest.fixture
def platform(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setenv("RRR_ARCHIVE_URL", str(tmp_path / "archive"))
    made = emptied(database, tmp_path)
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("truncate iceberg.iceberg_tables, iceberg.iceberg_namespace_properties")
    return made


def known(platform: Platform) -> datetime:
    """A time at which all that is stored by now was known, and nothing else."""
    return platform.rows("select clock_timestamp()")[0][0]


@pytest.fixture
def filled(platform: Platform, tmp_path: Path) -> tuple[Platform, datetime]:
    """Three days of every kind of rows, with revisions of trades and bars; and a time before those."""
    instruments = [BTC, ETH]
    for day in DAYS:
        written = simulate(tmp_path / "files", [day], instruments, 1500, seed=day.day)
        for file in written.files:
            platform.take_in(tmp_path / "files" / file.path, file.format, file.instrument)
    for day in DAYS:
        for table in ("raw_quotes", "raw_depth"):
            platform.rows("select ensure_day_partition(%s, %s)::text", table, day)
    with platform.database.connect(Role.WRITER, autocommit=True) as connection:
        connection.execute(QUOTES.replace("%%", "%"))
        connection.execute(BOOKS)
    set_rules(platform.database, "*", ["tick", "volume", "dollar"], [Rule("tick", Decimal(100)), Rule("dollar", Decimal(250_000))])
    platform.refresh()
    then = known(platform)
    for day in DAYS:
        [(first, last)] = platform.rows(
            "select min(sequence), max(sequence) from raw_trades where instrument = %s and event_time >= %s and event_time < %s",
            BTC,
            datetime.combine(day, time(), UTC),
            datetime.combine(day + timedelta(days=1), time(), UTC),
        )
        lines = [f"{BTC},{first + 3},replace,wrong price,1.25,", f"{BTC},{last - 3},cancel,never was,,"]
        path = tmp_path / f"corrections-{day}.csv"
        path.write_text("instrument,sequence,action,reason,price,size\n" + "\n".join(lines) + "\n")
        platform.take_in(path, "rrr-corrections")
    platform.refresh()
    for kind in ("tick", "volume", "dollar"):
        list(refresh_information_bars(platform.database, kind, DAYS, whole_days=False))
    return platform, then


def reads(platform: Platform, then: datetime) -> dict[str, Callable[[], pa.Table]]:
    """Every read that reaches into the archive."""
    of = {"database": platform.database}
    made: dict[str, Callable[[], pa.Table]] = {}
    for name in (BTC, ETH):
        made |= {
            f"trades {name}": lambda name=name: read.trades(name, SINCE, UNTIL, **of),
            f"trades {name} then": lambda name=name: read.trades(name, SINCE, UNTIL, as_known_at=then, **of),
            f"quotes {name}": lambda name=name: read.quotes(name, SINCE, UNTIL, **of),
            f"quotes {name} then": lambda name=name: read.quotes(name, SINCE, UNTIL, as_known_at=then, **of),
            f"depth {name}": lambda name=name: read.depth(name, SINCE, UNTIL, **of),
            f"venue bars {name}": lambda name=name: read.venue_bars(name, "1m", SINCE, UNTIL, **of),
            f"tick bars {name}": lambda name=name: read.information_bars(name, "tick-100", SINCE, UNTIL, **of),
            f"dollar bars {name}": lambda name=name: read.information_bars(name, "dollar-250000", SINCE, UNTIL, **of),
        }
        for interval in ("1m", "5m", "1h", "1d"):
            made |= {
                f"bars {interval} {name}": lambda name=name, i=interval: read.bars(name, i, SINCE, UNTIL, **of),
                f"bars {interval} {name} then": lambda name=name, i=interval: read.bars(name, i, SINCE, UNTIL, as_known_at=then, **of),
            }
    return made


def answers(platform: Platform, then: datetime) -> dict[str, str]:
    return {name: content(ask()) for name, ask in reads(platform, then).items()}


@pytest.mark.slow
def test_every_read_is_the_same_from_every_tier(filled: tuple[Platform, datetime]) -> None:
    platform, then = filled
    before = answers(platform, then)
    schemas = {name: ask().schema for name, ask in reads(platform, then).items()}
    assert {name for name, told in before.items() if told.startswith("0 ")} == {f"depth {ETH}"}
    assert before[f"trades {BTC}"] != before[f"trades {BTC} then"]
    assert before[f"bars 1m {BTC}"] != before[f"bars 1m {BTC} then"]
    # One day of trades, while what they were before is still in the database.
    make_cold(platform, "raw_trades", NEXT)
    assert answers(platform, then) == before
    # All, and of a day one instrument was brought back.
    for name, partition in EVERY:
        make_cold(platform, name, partition, restored=[ETH] if (name, partition) == ("raw_quotes", LAST) else ())
    [(held,)] = platform.rows("select count(*) from raw_trades")
    assert held == 0
    assert answers(platform, then) == before
    assert {name: ask().schema for name, ask in reads(platform, then).items()} == schemas
    assert all(read.notes(ask()) == [] for ask in reads(platform, then).values())
    # What is not final yet is refused there too.
    with pytest.raises(read.NotFinalYet, match="is not final yet"):
        read.trades(BTC, SINCE, UNTIL, as_known_at=datetime.now(UTC) + timedelta(minutes=1), database=platform.database)


def test_rows_come_in_order_and_half_open_across_tiers(platform: Platform, tmp_path: Path) -> None:
    for day in DAYS:
        take(platform, vision(tmp_path, tape(day, 70, first_id=1000 * day.day, start_us=0), day))
    of = {"database": platform.database}
    start, end = (datetime(2025, 3, day, tzinfo=UTC) for day in (3, 6))
    before = read.trades(NAME, start, end, **of)
    make_cold(platform, "raw_trades", NEXT)
    found = read.trades(NAME, start, end, **of)
    assert found.equals(before)
    midnights = [datetime(2025, 3, day, tzinfo=UTC) for day in (4, 5)]
    assert read.trades(NAME, *midnights, **of).num_rows == 70
    assert read.trades(NAME, midnights[0], midnights[0], **of).num_rows == 0
    first = before["event_time"].to_pylist()[70]
    assert first == midnights[0]
    tick = timedelta(microseconds=1)
    assert read.trades(NAME, midnights[0] - tick, midnights[0] + tick, **of)["sequence"].to_pylist() == [4000]
    with pytest.raises(read.UnknownInstrument, match="is not known here"):
        read.trades("binance:XYZUSDT", *midnights, **of)


def test_what_retention_deleted_is_said(platform: Platform, tmp_path: Path) -> None:
    for day in DAYS:
        take(platform, vision(tmp_path, tape(day, 20, first_id=1000 * day.day), day))
    make_cold(platform, "raw_trades", DAY)
    make_cold(platform, "raw_trades", NEXT, tier="deleted")
    found = read.trades(NAME, SINCE - timedelta(days=1), UNTIL, database=platform.database)
    assert found.num_rows == 40
    assert read.notes(found) == ["raw_trades of 2025-03-04 was deleted by retention: no row of it is in this answer"]
    assert read.notes(read.trades(NAME, SINCE, datetime(2025, 3, 4, tzinfo=UTC), database=platform.database)) == []


def test_a_snapshot_is_read_as_it_was(platform: Platform, tmp_path: Path) -> None:
    of = {"database": platform.database}
    take(platform, vision(tmp_path, tape(DAY, 30), DAY))
    take(platform, vision(tmp_path, tape(NEXT, 20, first_id=5000), NEXT))
    first, other = archived(platform, "raw_trades", DAY), archived(platform, "raw_trades", NEXT)
    assert first is not None
    assert other is not None
    start, end = (datetime(2025, 3, day, tzinfo=UTC) for day in (3, 5))
    before = read.trades(NAME, start, end, **of)
    take(platform, vision(tmp_path, [Told(5, midnight(DAY) + 1)], DAY, "-late"))
    later = make_cold(platform, "raw_trades", DAY)
    assert later is not None
    assert read.trades(NAME, start, end, **of).num_rows == 51
    for asked in (other.snapshot_id, other.proof_id):
        found = read.trades(NAME, start, end, snapshot=asked, **of)
        assert found.equals(before)
        assert read.notes(found) == []
    assert read.trades(NAME, start, end, snapshot=later.snapshot_id, **of).num_rows == 51
    # The first one was made before the next day was archived, and says so.
    found = read.trades(NAME, start, end, snapshot=first.snapshot_id, **of)
    assert found.num_rows == 30
    assert read.notes(found) == [f"snapshot {first.snapshot_id} has nothing of raw_trades in 2025-03-04T00:00:00Z to 2025-03-05T00:00:00Z"]
    told = read.snapshots(**of)
    assert told["snapshot_id"].to_pylist() == [first.snapshot_id, later.snapshot_id, other.snapshot_id]
    with pytest.raises(read.UnknownSnapshot, match="raw_trades has no snapshot 77"):
        read.trades(NAME, start, end, snapshot=77, **of)
    with pytest.raises(ValueError, match="either snapshot or as_known_at"):
        read.trades(NAME, start, end, snapshot=first.snapshot_id, as_known_at=start, **of)


def the_file(tmp_path: Path) -> Path:
    [path] = (tmp_path / "archive").rglob("*.parquet")
    return path


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda path: path.unlink(), "is not in the archive"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "bytes instead of"),
        (lambda path: path.write_bytes(b"\0" * path.stat().st_size), "is not what was proven"),
        (lambda path: path.rename(path.with_suffix(".elsewhere")), "is not in the archive"),
    ],
)
def test_a_file_that_is_not_what_was_proven_is_named_and_nothing_is_answered(
    platform: Platform, tmp_path: Path, harm: Callable[[Path], object], why: str
) -> None:
    take(platform, vision(tmp_path, tape(DAY, 3000), DAY))
    take(platform, vision(tmp_path, tape(NEXT, 20, first_id=5000), NEXT))
    make_cold(platform, "raw_trades", DAY)
    path = the_file(tmp_path)
    harm(path)
    with pytest.raises(read.ArchiveUnreadable, match=why) as refused:
        read.trades(NAME, SINCE - timedelta(days=1), UNTIL, database=platform.database)
    assert path.name in str(refused.value)
    # What lies elsewhere is read as ever.
    assert read.trades(NAME, datetime(2025, 3, 4, tzinfo=UTC), UNTIL, database=platform.database).num_rows == 20


def test_one_flipped_bit_is_never_read(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 3000), DAY))
    of = {"database": platform.database}
    before = read.trades(NAME, SINCE - timedelta(days=1), UNTIL, **of)
    make_cold(platform, "raw_trades", DAY)
    path = the_file(tmp_path)
    told = path.read_bytes()
    refused: list[str] = []
    # After the pages come their index and the footer: what says where pages are is found by the scrub alone.
    group = pq.read_metadata(path).row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    last = max((each.dictionary_page_offset or each.data_page_offset) + each.total_compressed_size for each in columns)
    for place in range(10, last, last // 60):
        path.write_bytes(told[:place] + bytes([told[place] ^ 1]) + told[place + 1 :])
        try:
            # A bit of a page's header may be one that says nothing of its values.
            assert read.trades(NAME, SINCE - timedelta(days=1), UNTIL, **of).equals(before)
        except read.ArchiveUnreadable as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert all(path.name in message for message in refused)
    path.write_bytes(told)
    assert read.trades(NAME, SINCE - timedelta(days=1), UNTIL, **of).equals(before)


def test_columns_that_a_file_is_too_old_to_have_are_null(platform: Platform, tmp_path: Path) -> None:
    take(platform, vision(tmp_path, tape(DAY, 50), DAY))
    proof = make_cold(platform, "raw_trades", DAY)
    assert proof is not None
    path = the_file(tmp_path)
    pq.write_table(pq.read_table(path, partitioning=None).drop_columns(["event_time_ns", "exact"]), path)
    platform.rows(
        "update archive_proofs set files = jsonb_set(files, '{0,size_bytes}', to_jsonb(%s::bigint)) returning 1", path.stat().st_size
    )
    found = read.trades(NAME, SINCE - timedelta(days=1), UNTIL, database=platform.database)
    assert found.num_rows == 50
    assert found["event_time_ns"].null_count == 50
    assert found["price"].null_count == 0


def test_only_the_row_groups_that_can_hold_rows_are_read(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rrr_assets.lake import files, reading
    from rrr_assets.lake.reading import Wanted
    from rrr_assets.lake.store import Store

    monkeypatch.setattr(files, "ROW_GROUP", 100)
    for number, symbol in enumerate(("ADAUSDT", "BTCUSDT", "XRPUSDT")):
        take(platform, vision(tmp_path, tape(DAY, 400, first_id=1000 * number), DAY, symbol=symbol))
    proof = make_cold(platform, "raw_trades", DAY)
    assert proof is not None
    [file] = proof.files
    store, table = Store.current(), ARCHIVED["raw_trades"]
    assert reading.row_groups(store, table, file, Wanted()) == (12, 12)
    assert reading.row_groups(store, table, file, Wanted([NAME])) == (4, 12)
    late = datetime(2025, 3, 3, 1, 5, tzinfo=UTC)
    assert reading.row_groups(store, table, file, Wanted([NAME], since=late)) == (2, 12)
    assert reading.row_groups(store, table, file, Wanted([NAME], since=late + timedelta(days=1))) == (0, 12)
    found = read.trades(NAME, late, UNTIL, database=platform.database)
    assert found.num_rows == 156


def test_what_changed_bars_is_not_looked_for_in_half_of_the_rows(filled: tuple[Platform, datetime]) -> None:
    platform, then = filled
    of = {"database": platform.database, "as_known_at": then, "and_at": known(platform)}
    assert read.bars_diff(BTC, "1m", SINCE - timedelta(days=1), UNTIL, **of)
    make_cold(platform, "trade_revisions", DAY)
    with pytest.raises(read.ReadRefused, match="trade_revisions of 2025-03-03 is cold"):
        read.bars_diff(BTC, "1m", SINCE, UNTIL, **of)
