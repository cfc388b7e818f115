"""Reads answer the same whatever tier the rows are in, and never with less than was asked for without saying so."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rrr_assets import cli, read
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

STATEMENTS = """
select count(*) from raw_trades;
select * from raw_trades order by instrument, event_time, sequence;
select * from trade_revisions order by revision_id;
select * from raw_depth order by event_time, sequence limit 50;
select instrument, count(*), sum(size), min(price), max(price) from raw_trades
where event_time >= '2025-03-04' and event_time < '2025-03-05' group by 1 order by 1;
select date_trunc('hour', event_time) as hour, sum(price * size) / sum(size) as vwap, avg(price) from raw_trades
where instrument = 'binance:BTCUSDT' and event_time >= timestamptz '2025-03-03' group by 1 order by 1;
select date_trunc('hour', event_time) as hour, count(*), sum(size), sum(sequence), max(side) from raw_trades
where instrument = 'binance:BTCUSDT' and event_time < '2025-03-05' group by 1 having count(*) > 1 order by 1 desc;
select distinct on (instrument) instrument, event_time, price from raw_trades order by instrument, event_time desc, sequence desc;
select t.instrument, t.price, b.close from public.raw_trades as t join bars_1m b on b.instrument = t.instrument
and b.bar_start = date_trunc('minute', t.event_time) where t.side is distinct from 'buy' order by t.event_time, t.sequence, 1 limit 99;
with raw_trades as (select * from public.raw_trades where side = 'buy') select count(*) from raw_trades;
with t as (select instrument, max(event_time) as at from raw_trades group by 1) select r.price from raw_trades r join t
on r.instrument = t.instrument and r.event_time = t.at order by 1;
select count(*) from bars_1h h where exists (select from raw_quotes q where q.instrument = h.instrument
and q.event_time >= h.bar_start and q.event_time < h.bar_start + interval '1 hour');
select instrument, interval, sum(quote_volume), max(volume) from venue_bars group by 1, 2 order by 1, 2;
select sum(volume), sum(quote_volume), avg(vwap) from bars_1m where bar_start < '2025-03-04T12:00:00Z';
select instrument, bar_start, close, volume, quote_volume, is_complete, known_at from bars_1h
where bar_start >= '2025-03-04' and instrument in ('binance:BTCUSDT', 'binance:ETHUSDT') order by instrument, bar_start;
select percentile_cont(0.5) within group (order by price) from raw_trades where '2025-03-05' > event_time;
select a.sequence from raw_trades a left join raw_trades b on a.sequence = b.sequence + 1 and a.instrument = b.instrument
where b.sequence is null and a.event_time < date '2025-03-04' + 1 and a.instrument in ('binance:BTCUSDT', 'binance:ETHUSDT') order by 1;
select conditions, count(*) filter (where conditions is null) from raw_trades group by 1;
select bids -> 0 ->> 0 as best from raw_depth where event_time between '2025-03-04' and '2025-03-04T01:00:00Z' order by sequence;
select price::text || '%' from raw_trades where price::text like '4%' order by instrument, event_time, sequence limit 20;
select count(*) from raw_quotes where bid_price is null union all select count(*) from raw_trades where event_time > now();
select rule, count(*), sum(trade_count) from bars_tick group by 1
union all select rule, count(*), 0 from bars_dollar group by 1 order by 1;
select name, count(*) from ingest_batches b join landing_files f using (file_id) join raw_trades using (batch_id) group by 1 order by 1;
select instrument, close from (table bars_1d) as b order by instrument, bar_start
""".strip().split(";\n")


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


# --- an analyst's own statements ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_statement_is_the_same_from_every_tier(filled: tuple[Platform, datetime]) -> None:
    platform, _ = filled
    of = {"database": platform.database}
    before = [read.sql(statement, **of) for statement in STATEMENTS]
    make_cold(platform, "raw_trades", NEXT, restored=[ETH])
    make_cold(platform, "bars_1h", MONTH)
    for statement, expected in zip(STATEMENTS, before, strict=True):
        assert read.sql(statement, **of).equals(expected), statement
    for name, partition in EVERY:
        make_cold(platform, name, partition, restored=[ETH] if partition == LAST else ())
    for statement, expected in zip(STATEMENTS, before, strict=True):
        found = read.sql(statement, **of)
        assert found.equals(expected), statement
        assert read.notes(found) == []
    # What DuckDB answers, it answers the same; the rest goes to the database with the rows.
    engines = {statement: read.explain(statement, **of).engine for statement in STATEMENTS}
    by_duckdb = [statement for statement, engine in engines.items() if engine == "DuckDB"]
    assert STATEMENTS[0] in by_duckdb
    assert 5 <= len(by_duckdb) < len(STATEMENTS)


def test_the_partitions_that_a_statement_reads_are_told(platform: Platform, tmp_path: Path) -> None:
    for day in DAYS:
        take(platform, vision(tmp_path, tape(day, 40, first_id=1000 * day.day), day))
    for day in (DAY, NEXT):
        make_cold(platform, "raw_trades", day)
    of = {"database": platform.database}

    def read_in(statement: str) -> list[tuple[object, ...]]:
        told = read.explain(statement, **of).partitions.to_pylist()
        return [(row["relation"], row["partition_start"], row["tier"], row["row_groups"], row["row_count"]) for row in told]

    count = "select count(*) from raw_trades"
    hot = ("raw_trades", None, "hot", None, None)
    of_days = [("raw_trades", day, "cold", "1 of 1", 40) for day in (DAY, NEXT)]
    assert read_in("select count(*) from raw_trades") == [*of_days, hot]
    for condition in (
        "event_time >= '2025-03-04'",
        "'2025-03-03T23:59:59.999999Z' < event_time",
        "(event_time between date '2025-03-04' and '2025-03-04'::timestamptz + interval '3 hours') and price > 0",
        "event_time >= date_trunc('day', timestamptz '2025-03-04 12:00')",
        "event_time = '2025-03-04 01:00+00'",
    ):
        assert read_in(f"{count} where {condition}") == [of_days[1], hot], condition
    assert read_in("select 1 from raw_trades t where t.event_time < '2025-03-04' and t.event_time > '2025-03-01'") == [of_days[0], hot]
    # Nothing of another instrument is in these files, and conditions that may not hold narrow nothing.
    [one, _, _] = read_in("select count(*) from raw_trades where instrument = 'binance:ETHUSDT'")
    assert one == ("raw_trades", DAY, "cold", "0 of 1", 40)
    for condition in (
        "event_time >= '2025-03-04' or price > 1",
        "not event_time >= '2025-03-04'",
        "event_time + interval '1 day' >= '2025-03-04'",
    ):
        assert read_in(f"{count} where {condition}") == [*of_days, hot], condition
    # What is read by the plan of a statement that does not reach there is the database's alone.
    assert read_in("select count(*) from raw_trades where event_time > '2025-03-05'") == [hot]
    plan = read.explain("select count(*) from raw_trades where event_time > '2025-03-05'", **of)
    assert "raw_trades" in "".join(plan.plan)
    told = read.sql("explain (analyze, costs off) select avg(price) from raw_trades where event_time < '2025-03-04'", **of)[
        "QUERY PLAN"
    ].to_pylist()
    assert told[0] == "Archive: raw_trades of 2025-03-03, cold, row groups 1 of 1, 40 rows"
    assert any("rows=40" in line for line in told)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("select count(*) from raw_trades where", "syntax|understood"),
        ("selec count(*) from raw_trades", "understood|syntax"),
        ("select count(*) from raw_trades; select 1", "more than one statement"),
        ("select nothing from raw_trades", "nothing"),
        ("delete from raw_trades", "read-only|permission"),
        ("insert into raw_trades select * from raw_trades", "read-only|permission"),
        ("select * from raw_trades for update", "permission|FOR UPDATE|read-only"),
        ("select pg_advisory_lock(1) from raw_trades", "permission denied"),
        ("copy raw_trades to stdout", "COPY"),
        ("do $$ begin perform count(*) from raw_trades; end $$", "permission denied|understood"),
        ("select * from trades_as_known('binance:BTCUSDT', '2025-03-02', '2025-03-06', '2025-03-07')", "sees the database alone"),
        ("select * from trades_as_known('binance:BTCUSDT', now() - interval '9 years', now(), '2025-03-07')", "sees the database alone"),
        ("select * from read_parquet('/etc/passwd'), raw_trades", "read_parquet"),
    ],
)
def test_a_statement_that_reads_the_archive_can_do_no_more_than_another(
    platform: Platform, tmp_path: Path, statement: str, why: str
) -> None:
    take(platform, vision(tmp_path, tape(DAY, 40), DAY))
    make_cold(platform, "raw_trades", DAY)
    with pytest.raises(read.StatementRefused, match=why):
        read.sql(statement, database=platform.database)
    assert platform.rows("select count(*) from archive_proofs") == [(1,)]


def test_what_the_database_holds_is_read_as_ever(platform: Platform, tmp_path: Path) -> None:
    for day in (DAY, NEXT):
        take(platform, vision(tmp_path, tape(day, 40, first_id=1000 * day.day), day))
    make_cold(platform, "raw_trades", DAY)
    of = {"database": platform.database}
    then = "select count(*) from trades_as_known('binance:BTCUSDT', '2025-03-04', '2025-03-05', (select max(known_at) from raw_trades))"
    assert read.sql(then.replace("raw_trades))", "raw_trades where event_time >= '2025-03-04'))"), **of)["count"].to_pylist() == [40]
    assert read.sql("select relation from partition_tiers where relation = 'raw_trades'", **of)["relation"].to_pylist() == ["raw_trades"]
    assert read.sql("show statement_timeout", **of)["statement_timeout"].to_pylist() == ["1min"]


def test_what_retention_deleted_is_said_of_a_statement(platform: Platform, tmp_path: Path) -> None:
    for day in (DAY, NEXT):
        take(platform, vision(tmp_path, tape(day, 40, first_id=1000 * day.day), day))
    make_cold(platform, "raw_trades", DAY, tier="deleted")
    found = read.sql("select count(*) from raw_trades", database=platform.database)
    assert found["count"].to_pylist() == [40]
    assert read.notes(found) == ["raw_trades of 2025-03-03 was deleted by retention: no row of it is in this answer"]
    found = read.sql("select count(*) from raw_trades where event_time >= '2025-03-04'", database=platform.database)
    assert read.notes(found) == []


def test_a_missing_file_is_named_and_nothing_is_answered(platform: Platform, tmp_path: Path) -> None:
    for day in (DAY, NEXT):
        take(platform, vision(tmp_path, tape(day, 40, first_id=1000 * day.day), day))
    make_cold(platform, "raw_trades", DAY)
    [path] = (tmp_path / "archive").rglob("*.parquet")
    path.unlink()
    for statement in ("select count(*) from raw_trades", "select avg(price) from raw_trades"):
        with pytest.raises(read.ArchiveUnreadable, match=path.name):
            read.sql(statement, database=platform.database)
    found = read.sql("select count(*) from raw_trades where event_time >= '2025-03-04'", database=platform.database)
    assert found["count"].to_pylist() == [40]


def test_a_partition_that_leaves_while_it_is_read_is_read_whole(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rrr_assets.lake import asking

    of = {"database": platform.database}
    for day in DAYS:
        take(platform, vision(tmp_path, tape(day, 40, first_id=1000 * day.day), day))
    then = known(platform)
    start, end = (datetime(2025, 3, day, tzinfo=UTC) for day in (3, 6))
    # Something is away already, so that the statement is looked at before it is run.
    make_cold(platform, "raw_quotes", DAY)
    waiting = list(DAYS)

    def first_drops(honest: Callable[..., pa.Table]) -> Callable[..., pa.Table]:
        def drops(*given: object, **named: object) -> pa.Table:
            if waiting:
                make_cold(platform, "raw_trades", waiting.pop(0))
            return honest(*given, **named)

        return drops

    monkeypatch.setattr(asking, "_run", first_drops(asking._run))
    assert read.sql("select avg(price), count(*) from raw_trades", **of)["count"].to_pylist() == [120]
    monkeypatch.setattr(read, "_copy", first_drops(read._copy))
    assert read.trades(NAME, start, end, **of).num_rows == 120
    assert read.trades(NAME, start, end, as_known_at=then, **of).num_rows == 120
    assert not waiting


def test_what_retention_drops_and_restoring_brings_back_is_read_the_same(filled: tuple[Platform, datetime]) -> None:
    """By their own ways, not by hand: a day that is dropped, and one instrument of it brought back."""
    from rrr_assets.contracts.archive import ARCHIVED_GROUPS
    from rrr_assets.lake.catalogue import Catalogue
    from rrr_assets.lake.proving import archive_partition
    from rrr_assets.lake.restoring import restore
    from rrr_assets.lake.retiring import Due, make
    from rrr_assets.lake.store import Store

    platform, then = filled
    of = {"database": platform.database}
    statements = ["select count(*), sum(size) from raw_trades", "select avg(price) from raw_trades", "select count(*) from trade_revisions"]
    asked = [*reads(platform, then).values(), *(lambda text=text: read.sql(text, **of) for text in statements)]
    before = [ask() for ask in asked]
    group = ARCHIVED_GROUPS["archived_trades"]
    with Catalogue(platform.database, Store.current()) as lake:
        for table in group.tables:
            archive_partition(platform.database, lake, table, NEXT)
        # What was corrected differs from the venue's bars, and would stand against the drop.
        with platform.database.connect_admin() as connection:
            connection.execute("update bar_conformance set status = 'explained', rule = 'of a test' where status = 'unexplained'")
        moved = make(platform.database, lake, Due(group.name, NEXT, "drop", NEXT + timedelta(days=40)))
        assert not moved.refusals
        assert all(ask().equals(expected) for ask, expected in zip(asked, before, strict=True))
        assert platform.rows("select count(*) from raw_trades where event_time >= '2025-03-04' and event_time < '2025-03-05'") == [(0,)]
        restore(platform.database, lake.store, group, NEXT, [ETH], until=None)
    assert platform.rows("select distinct instrument from raw_trades where event_time >= '2025-03-04' and event_time < '2025-03-05'") == [
        (ETH,)
    ]
    assert all(ask().equals(expected) for ask, expected in zip(asked, before, strict=True))


# --- the command line -------------------------------------------------------------------------------------------


def test_the_commands_read_all_tiers(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Database, "current", lambda *_: platform.database)
    monkeypatch.setattr(read, "_MEANT", {})
    for day in DAYS:
        take(platform, vision(tmp_path, tape(day, 40, first_id=1000 * day.day), day))
    platform.refresh()
    first = make_cold(platform, "raw_trades", DAY)
    make_cold(platform, "raw_trades", NEXT, tier="deleted")
    make_cold(platform, "bars_1m", MONTH)
    assert first is not None

    def told(*given: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["rrr", *given])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out = capsys.readouterr()
        assert ended.value.code == 0, out.err
        return out.out, out.err

    window = ("--start", "2025-03-03", "--end", "2025-03-06")
    out, err = told("trades", NAME, *window, "--json")
    assert len(json.loads(out)) == 80
    assert "raw_trades of 2025-03-04 was deleted by retention: no row of it is in this answer" in err
    out, err = told("trades", NAME, "--start", "2025-03-03", "--end", "2025-03-04", "--json", "--snapshot", str(first.snapshot_id))
    assert (len(json.loads(out)), err) == (40, "")
    out, _ = told("bars", NAME, *window, "--plot", str(tmp_path / "day.png"), "--json")
    assert json.loads(out)
    assert (tmp_path / "day.png").stat().st_size
    out, _ = told("archive", "snapshots", "--json")
    assert first.snapshot_id in [row["snapshot_id"] for row in json.loads(out)]
    out, _ = told("sql", "select count(*) from raw_trades where event_time < '2025-03-04'", "--json")
    assert json.loads(out) == [{"count": 40}]
    out, _ = told("sql", "select count(*) from raw_trades where event_time < '2025-03-04'", "--explain")
    assert "2025-03-03" in out
    assert "Plan of DuckDB:" in out
    out, _ = told("sql", "select avg(price) from raw_trades", "--explain", "--json")
    assert [row["tier"] for row in json.loads(out)] == ["cold", "deleted", "hot"]
