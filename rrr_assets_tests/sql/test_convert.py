"""A plain database that is moved over to TimescaleDB keeps every row, and is then what a new one would be."""

import os
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from rrr_assets.warehouse import convert as module
from rrr_assets.warehouse.connect import Database, DatabaseUnusable, Role
from rrr_assets.warehouse.convert import Converted, convert
from rrr_assets.warehouse.migrate import Engine, migrate
from rrr_assets_tests.loading import CONSERVED, DAY, NAME, NEXT, OLD_DAY, capture, emptied, take, tape, vision
from rrr_assets_tests.platform import ON_TIMESCALE, Platform, made_database, pause_jobs
from rrr_assets_tests.warm import python

pytestmark = ON_TIMESCALE

CHECKOUT = Path(__file__).resolve().parents[2]
TABLES = ("raw_trades", "trade_revisions", "coverage", "ingest_batches", "invalidation_log", "bars_1m", "bars_5m", "bars_1h", "bars_1d")
SHAPE = """
    select 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text, col_description(c.oid, a.attnum)
    from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.relnamespace = 'public'::regnamespace and a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v')
    union all
    select 'table', c.relname, c.relacl::text, c.relowner::regrole::text, c.relkind::text, obj_description(c.oid)
    from pg_class c where c.relnamespace = 'public'::regnamespace
    union all
    select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', ''
    from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'
    union all
    select 'index', indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid), '', ''
    from pg_index join pg_class c on c.oid = indexrelid where c.relnamespace = 'public'::regnamespace
    union all
    select 'function', p.oid::regprocedure::text, prosrc, coalesce(proacl::text, ''), prosecdef::text, obj_description(p.oid)
    from pg_proc p where pronamespace = 'public'::regnamespace
    union all
    select 'hypertable', hypertable_name, time_interval::text, column_name, '', ''
    from timescaledb_information.dimensions where hypertable_schema = 'public'
    union all
    select 'columnstore', hypertable::text, segmentby, orderby, '', '' from timescaledb_information.hypertable_columnstore_settings
    union all
    select 'live', view_name, materialized_only::text, '', '', '' from timescaledb_information.continuous_aggregates
    union all
    select 'job', config - 'mat_hypertable_id' #>> '{}', schedule_interval::text, proc_name, '', ''
    from timescaledb_information.jobs where owner = 'rrr_owner'::regrole
    union all
    select 'migration', migration_id, migration_hash, '', '', '' from schema_migrations
    union all
    select 'engine', engine, '', '', '', '' from schema_engine
    order by 1, 2, 3, 4, 5, 6
"""


@pytest.fixture
def plain(engine: Engine, tmp_path: Path) -> Iterator[Platform]:  # noqa: ARG001  # the environment names its server
    """A plain database on a server that has TimescaleDB, with three days of trades, revisions and bars."""
    with made_database(f"test_convert_{uuid.uuid4().hex[:12]}", "postgresql") as made:
        platform = emptied(made, tmp_path)
        take(platform, vision(tmp_path, tape(OLD_DAY, 300), OLD_DAY))
        take(platform, capture(tmp_path, [t.at(t.us // 1000 * 1000) for t in tape(DAY, 200, 5000)]))
        take(platform, vision(tmp_path, tape(DAY, 500, 5000), DAY))
        take(platform, vision(tmp_path, tape(NEXT, 100, 9000), NEXT))
        assert platform.rows("select count(*) > 100 from trade_revisions") == [(True,)]
        platform.refresh()
        yield platform


def contents(platform: Platform) -> dict[str, list[tuple]]:
    return {
        name: platform.rows(f"select count(*), sum(hashtextextended(t::text, 0)) from {name} t")  # noqa: S608  # of the list above
        for name in TABLES
    }


def told(_: str) -> None:
    """Nobody listens."""


def test_every_row_is_kept_and_the_database_is_what_a_new_one_would_be(plain: Platform, database: Database, tmp_path: Path) -> None:
    before, lines = contents(plain), list[str]()
    assert convert(plain.database, lines.append) == Converted(days=3, rows=900, was_moved=True)
    assert [line.partition(":")[0] for line in lines[:3]] == [f"raw_trades of {day}" for day in (OLD_DAY, DAY, NEXT)]
    assert contents(plain) == before
    assert plain.rows("select count(*) from show_chunks('raw_trades')") == [(3,)]
    assert plain.rows("select count(*) > 0 from show_chunks('bars_1m')") == [(True,)]
    with plain.database.connect_admin() as moved, database.connect_admin() as new:
        shapes = [set(connection.execute(SHAPE).fetchall()) for connection in (moved, new)]
        assert shapes[0] ^ shapes[1] == set()
        assert moved.execute("select to_regnamespace('converting')").fetchone() == (None,)

    assert convert(plain.database, lines.append) == Converted(0, 0, was_moved=False)
    assert migrate(plain.database).applied == ()
    assert contents(plain) == before

    pause_jobs(plain.database)
    take(plain, vision(tmp_path, tape(NEXT, 300, 9000), NEXT, "-more"))
    take(plain, vision(tmp_path, tape(NEXT + timedelta(days=1), 50, 9300), NEXT + timedelta(days=1)))
    plain.refresh()
    assert plain.rows("select count(*), count(distinct sequence) from raw_trades where event_time >= '2025-03-04'") == [(350, 350)]
    assert plain.rows("select sum(trade_count) from bars_1d") == plain.rows("select count(*) from raw_trades")
    assert plain.rows("select sum(trade_count) from bars_live_1d") == plain.rows("select count(*) from raw_trades")
    assert plain.rows(CONSERVED) == [(0,)]


@pytest.mark.crash
@pytest.mark.parametrize(
    "place", ["convert.moved:1", "convert.moved:2", "convert.day_committed:2", "convert.before_commit", "convert.after_commit"]
)
def test_killed_and_begun_again_it_ends_as_if_nothing_had_been(plain: Platform, place: str) -> None:
    before = contents(plain)
    script = (
        "from rrr_assets.warehouse.connect import Database; from rrr_assets.warehouse.convert import convert; "
        f"convert(Database.current({plain.database.name!r}), print)"
    )
    died = python(script, environment={**os.environ, "RRR_FAULT_POINT": place})
    assert died.returncode == -9, died.stderr
    assert contents(plain) == before, "readers see it whole at any moment"
    done = convert(plain.database, told)
    assert contents(plain) == before
    assert done.days == {"convert.moved:1": 3, "convert.moved:2": 2, "convert.day_committed:2": 1}.get(place, 0)
    assert done.was_moved == (place != "convert.after_commit")
    assert convert(plain.database, told) == Converted(0, 0, was_moved=False)


def test_what_is_loaded_meanwhile_is_moved_too(plain: Platform, tmp_path: Path) -> None:
    late, fresh = NEXT, NEXT + timedelta(days=1)
    files = iter([vision(tmp_path, tape(late, 130, 9000), late, "-late"), vision(tmp_path, tape(fresh, 40, 9500), fresh)])

    def load_between(line: str) -> None:
        if "(3 of 3 days)" in line or "(1 of 1 days)" in line:
            for path in files:
                take(plain, path)
                break

    done = convert(plain.database, load_between)
    assert done.days == 6, "the late file's day again, and once more for what the day after says about its end"
    assert plain.rows("select count(*) from raw_trades where event_time >= '2025-03-04'") == [(170,)]
    assert plain.rows("select sum(rows_stored) from ingest_batches") == plain.rows("select count(*) from raw_trades")


def test_a_reader_is_served_all_the_while(plain: Platform) -> None:
    seen = []

    def read(_: str) -> None:
        with plain.database.connect(Role.ANALYST, autocommit=True) as reader:
            seen.append(reader.execute("select count(*) from raw_trades where instrument = %s", (NAME,)).fetchone())

    convert(plain.database, read)
    assert seen == [(900,)] * 4


def test_a_day_that_does_not_come_out_equal_stops_the_move(plain: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(plain)
    whole = module.query

    def one_row_short(name: str) -> str:
        return whole(name).replace("as p;", "as p offset 1;") if name == "convert_move_day" else whole(name)

    with monkeypatch.context() as patched:
        patched.setattr(module, "query", one_row_short)
        with pytest.raises(DatabaseUnusable, match=r"raw_trades of 2024-01-01 did not come out equal: .* convert again"):
            convert(plain.database, told)
    assert contents(plain) == before
    assert plain.rows("select engine from schema_engine") == [("postgresql",)]
    assert convert(plain.database, told).rows == 900


def test_what_hangs_on_a_table_is_named_and_nothing_is_lost(plain: Platform) -> None:
    before = contents(plain)
    with plain.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("create view of_somebody as select * from raw_trades")
        with pytest.raises(DatabaseUnusable, match=r"none of the platform's .* Drop it, and convert again"):
            convert(plain.database, told)
        assert contents(plain) == before
        connection.execute("drop view of_somebody")
    assert convert(plain.database, told).days == 0
    assert contents(plain) == before


def test_a_new_database_is_made_for_timescaledb_at_once(blank: Database) -> None:
    assert convert(blank, told) == Converted(0, 0, was_moved=False)
    with blank.connect(Role.OWNER) as connection:
        assert connection.execute("select engine from schema_engine").fetchone() == ("timescaledb",)
