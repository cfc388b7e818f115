"""The same trades through the database and through the columnar engine: bars that are equal in every field."""

import os
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rrr_assets import read, simulator
from rrr_assets.calc.columnar import SCHEMA, as_csv, bars_of_day
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.parsed import TRADES
from rrr_assets.venues import registry
from rrr_assets.venues.base import Source
from rrr_assets.warehouse.books import from_us
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets_tests.loading import emptied
from rrr_assets_tests.sql.test_bars import (
    DAY,
    DAY_US,
    INSTRUMENT,
    START_US,
    Print,
    conditions,
    decimals,
    moments,
    prices,
    refresh,
    store,
)

on_a_server = settings(
    settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "default")),
    max_examples=settings().max_examples // 3,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
# Of 18 digits before the point, because the sums of products of longer ones have more digits than an Arrow decimal.
sizes = st.one_of(decimals(18, 18), decimals(3, 5), st.sampled_from([Decimal(1), Decimal("0.000000000000000001")]))


@st.composite
def tapes(draw: st.DrawFn) -> list[Print]:
    sequences = draw(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 60), min_size=1, max_size=25, unique=True))
    return [
        Print(draw(moments), sequence, draw(prices()), draw(sizes), draw(st.sampled_from(["buy", "sell", None])), draw(conditions))
        for sequence in sequences
    ]


@pytest.fixture(scope="module")
def prepared(database: Database) -> Database:
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("select ensure_day_partition('raw_trades', %s)", (DAY,))
    return database


def uncounted(database: Database) -> dict[str, list[str]]:
    with database.connect(Role.ANALYST) as connection:
        query = "select venue, array_agg(condition) from trade_conditions where not counts group by venue"
        return dict(connection.execute(query).fetchall())


def of_the_database(database: Database, name: str, interval: str) -> list[dict]:
    first, last = from_us(START_US), from_us(START_US + DAY_US)
    return read.bars(name, interval, first, last, database=database).select(SCHEMA.names).to_pylist()


def copied(connection: psycopg.Connection, interval: str, bars: pa.Table) -> list[tuple]:
    """What the database has of bars that were copied in."""
    columns = ", ".join(SCHEMA.names)
    connection.execute(f"create temporary table if not exists copied as select {columns} from bars_{interval} limit 0")  # noqa: S608  # names of the contract
    connection.execute("truncate copied")
    with connection.cursor().copy(f"copy copied ({columns}) from stdin (format csv, header)") as copy:
        copy.write(as_csv(bars))
    return connection.execute("select * from copied order by bar_start").fetchall()


@on_a_server
@given(tape=tapes())
def test_whatever_the_trades(prepared: Database, tape: list[Print]) -> None:
    store(prepared, tape)
    refresh(prepared)
    rows = [
        {
            "line": line,
            "instrument": INSTRUMENT,
            "sequence": row.sequence,
            "event_time": row.trade.event_time,
            "price": row.price,
            "size": row.size,
            "side": row.side,
            "conditions": row.conditions,
        }
        for line, row in enumerate(tape)
    ]
    found = bars_of_day(pa.Table.from_pylist(rows, TRADES), uncounted(prepared))
    with prepared.connect(Role.WRITER) as connection:
        for interval in INTERVALS:
            # Not through the reads, whose type of volume ends at 38 digits.
            query = f"select {', '.join(SCHEMA.names)} from bars_{interval} order by bar_start"  # noqa: S608  # names of the contract
            stored = connection.execute(query).fetchall()
            assert [tuple(row.values()) for row in found[interval].to_pylist()] == stored
            assert [tuple(map(str, row)) for row in copied(connection, interval, found[interval])] == [
                tuple(map(str, row)) for row in stored
            ]


def test_a_simulated_day_of_several_instruments(database: Database, tmp_path: Path) -> None:
    platform = emptied(database, tmp_path)
    names = ["binance:BTCUSDT", "binance:DOGEUSDT", "binance-usdm:BTCUSDT", "gemini:ETHUSD"]
    written = simulator.simulate(tmp_path / "files", [DAY], names, 40_000, 3)
    batches: list[pa.RecordBatch] = []
    for file in written.files:
        given_name = file.instrument if file.format == "ccapi" else None
        form, source = registry.get(file.format), Source(file.path, file.path.name, given_name, None)
        facts = form.inspect(source)
        if facts.stream == "trades":
            platform.take_in(file.path, file.format, given_name)
            batches += [batch.rows for batch in form.parse(source, facts)]
    platform.refresh([DAY])
    found = bars_of_day(batches, uncounted(database))
    for interval in INTERVALS:
        assert sorted(set(found[interval]["instrument"].to_pylist())) == sorted(names)
        for name in names:
            mine = found[interval].filter(pa.compute.equal(found[interval]["instrument"], name))
            assert len(mine) > 0
            assert mine.to_pylist() == of_the_database(database, name, interval)
