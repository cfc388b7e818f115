"""Reading what is in the archive alone: a month of hourly bars of twenty instruments, against DuckDB on the same file."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sized
from datetime import UTC, date, datetime
from time import perf_counter
from typing import Final

import duckdb
import pyarrow as pa

from rrr_assets import read
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.planning import away
from rrr_assets.lake.proving import archive_partition
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets_tests.bench.figures import Figure, spread

_MONTH: Final = date(2025, 3, 1)
_HOURS: Final = 31 * 24
_ASKED: Final = [f"binance:S{number:03}USDT" for number in range(1, 21)]
_BARS_ASKED: Final = len(_ASKED) * _HOURS
_TIMES: Final = 15
_WARM_UP: Final = 3
# Numbers of as many digits as those of a busy instrument.
_BARS: Final = """
insert into bars_1h
select
    'binance:S' || lpad(i::text, 3, '0') || 'USDT', timestamptz '2025-03-01 00:00+00' + n * interval '1 hour', 42000.12 + n %% 100,
    42200.5 + n %% 100, 41000.25, 42000.75 + n %% 100, 123.45678 + n, 5185432.1234567 + n * 1000.1234567, 42001.123456789012, 1000 + n,
    60.12345 + n %% 7, 2592716.0617281, 144709423 + n * 1000, 144709423 + n * 1000 + 999, true, now()
from generate_series(0, %s) as n, generate_series(1, %s) as i
"""
_COLD: Final = """
insert into partition_tiers (relation, partition_start, tier, row_count, size_bytes, proof_id, changed_at)
values ('bars_1h', %s, 'cold', %s, 0, %s, now())
"""


def measure(database: Database) -> list[Figure]:
    """A month of twenty instruments' hourly bars goes to the archive, out of the database, and is read."""
    bars = ARCHIVED["bars_1h"]
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute(_BARS, (_HOURS - 1, len(_ASKED)))
        with Catalogue(database, Store.current()) as catalogue:
            proof = archive_partition(database, catalogue, bars, _MONTH).proof
        if proof is None:
            raise RuntimeError("there are no bars to archive")
        connection.execute("truncate bars_1h")
        connection.execute(_COLD, (_MONTH, proof.digest.rows, proof.proof_id))
        connection.execute("vacuum analyze partition_tiers, archive_proofs, bars_1h")
    [file] = proof.files
    start, end = datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC)
    names = ", ".join(f"'{name}'" for name in _ASKED)
    condition = f"bar_start >= '2025-03-01' and bar_start < '2025-04-01' and instrument in ({names})"
    statement = f"select * from bars_1h where {condition} order by instrument, bar_start"  # noqa: S608  # our own names
    columns = ", ".join(bars.table.column_names)
    path = Store.current().path(file.url)
    theirs = statement.replace("select *", f"select {columns}").replace("from bars_1h", f"from read_parquet('{path}')")

    # Nothing of this one is in the file: all is done but reading rows.
    nothing = statement.replace(names, "'binance:NONEUSDT'")
    with duckdb.connect() as engine, database.kept(Role.ANALYST) as session:
        engine.execute("set TimeZone = 'UTC'")
        one_by_one = [theirs.replace(names, f"'{name}'") for name in _ASKED]
        seconds = _times(
            {
                "statement": (lambda: read.sql(statement, database=database), _BARS_ASKED),
                "planning": (lambda: read.sql(nothing, database=database), 0),
                "DuckDB": (lambda: engine.sql(theirs).to_arrow_table(), _BARS_ASKED),
                "20 reads": (lambda: _together(read.bars(name, "1h", start, end, database=database) for name in _ASKED), _BARS_ASKED),
                "20 of planning": (lambda: [away(session, [bars], start, end) for _ in _ASKED], len(_ASKED)),
                "20 of DuckDB": (lambda: _together(engine.sql(one).to_arrow_table() for one in one_by_one), _BARS_ASKED),
            }
        )
    middle = {name: statistics.median(each) for name, each in seconds.items()}
    details = {f"{name} ms": [round(each * 1000, 1) for each in spread(found)] for name, found in seconds.items()}
    return [
        Figure("archive, a month of 1h bars of 20 instruments, less planning, over DuckDB",
               round((middle["statement"] - middle["planning"]) / middle["DuckDB"], 2), "times", target=2, is_at_most=True,
               details={**details, "bars": _BARS_ASKED, "file bytes": file.size_bytes}),
        Figure("archive, the same by 20 reads, less planning, over 20 of DuckDB",
               round((middle["20 reads"] - middle["20 of planning"]) / middle["20 of DuckDB"], 2), "times", target=2, is_at_most=True),
    ]  # fmt: skip


def _together(tables: Iterable[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables)


def _times(calls: Mapping[str, tuple[Callable[[], Sized], int]]) -> dict[str, list[float]]:
    """Seconds of each call in turn, again and again: what else the machine does then weighs on all of them alike."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(_TIMES + _WARM_UP):
        for name, (call, expected) in calls.items():
            begun = perf_counter()
            found = call()
            spent = perf_counter() - begun
            if len(found) != expected:
                raise RuntimeError(f"{name}: {len(found)} rows instead of {expected}")
            if number >= _WARM_UP:
                seconds[name].append(spent)
    return seconds
