"""The public reads, against a real server: exact, ordered, half-open, typed as the contracts say."""

import csv
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

from rrr_assets import cli, read
from rrr_assets.calc.decimals import NOTIONAL
from rrr_assets.contracts.bars import BARS, INTERVALS
from rrr_assets.contracts.base import Table
from rrr_assets.contracts.ledgers import BAR_CONFORMANCE, COVERAGE, INSTRUMENTS, QUARANTINE
from rrr_assets.contracts.ticks import RAW_TRADES, VENUE_BARS
from rrr_assets.warehouse import arrow
from rrr_assets.warehouse.connect import Database, DatabaseUnusable, Role

BTC, ETH = "binance:BTCUSDT", "binance:ETHUSDT"
DAY = datetime(2024, 1, 2, tzinfo=UTC)
NEXT = DAY + timedelta(days=1)
MINUTE = timedelta(minutes=1)
PRICES = ["42000.12", "0.000000000001", "99999999999999999999999999.999999999999"]
SIZES = ["0.00100000", "0.000000000000000001", "12345678901234567890.5"]


def insert(connection: psycopg.Connection, table: str, *rows: dict[str, object]) -> None:
    for row in rows:
        names, marks = (sql.SQL(", ").join(map(kind, row)) for kind in (sql.Identifier, sql.Placeholder))
        connection.execute(sql.SQL("insert into {} ({}) values ({})").format(sql.Identifier(table), names, marks), row)


def trade(sequence: int, at: datetime, **changed: object) -> dict[str, object]:
    made: dict[str, object] = {"instrument": BTC, "space": "trade_id", "sequence": sequence, "event_time": at, "time_source": "venue"}
    made |= {"price": Decimal("42000.12"), "size": Decimal("0.001"), "available_at": NEXT, "available_basis": "modelled"}
    return made | {"known_at": NEXT, "batch_id": 1} | changed


def bar(at: datetime, **changed: object) -> dict[str, object]:
    one = Decimal(1)
    made: dict[str, object] = {"instrument": BTC, "bar_start": at, "open": one, "high": one, "low": one, "close": one, "volume": one}
    made |= {"quote_volume": one, "vwap": one, "trade_count": 1, "taker_buy_volume": Decimal(0), "taker_buy_quote_volume": Decimal(0)}
    return made | {"first_sequence": 1, "last_sequence": 1, "is_complete": True, "known_at": NEXT} | changed


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    with database.connect(Role.WRITER) as connection:
        for name in (BTC, ETH):
            venue, _, symbol = name.partition(":")
            made = {"instrument": name, "valid_from": datetime(2009, 1, 1, tzinfo=UTC), "venue": venue, "symbol": symbol}
            insert(connection, "instruments", made | {"contract_type": "spot", "price_scale": 2, "size_scale": 5})
        connection.execute("select ensure_day_partition('raw_trades', '2024-01-02'), ensure_day_partition('raw_trades', '2024-01-03')")
        # Not in the order of time, and two at the same time.
        insert(
            connection,
            "raw_trades",
            trade(7, NEXT),
            trade(3, DAY + MINUTE, conditions=[], price=Decimal(PRICES[2]), size=Decimal(SIZES[2]), side="buy"),
            trade(2, DAY + MINUTE, conditions=['a "b"', "c,d", "{e}", "\n"], price=Decimal(PRICES[1]), size=Decimal(SIZES[1]), side="sell"),
            trade(1, DAY, price=Decimal(PRICES[0]), size=Decimal(SIZES[0]), event_time_ns=1704153600000000001),
        )
        insert(
            connection,
            "bars_1m",
            bar(DAY, quote_volume=Decimal("1e-20")),
            bar(DAY + MINUTE, quote_volume=Decimal("123456789012345678.1"), vwap=None, is_complete=False),
            bar(NEXT, quote_volume=Decimal("1e-30")),
        )
        made = {"instrument": BTC, "interval": "15m", "bar_start": DAY, "is_closed": True, "known_at": NEXT, "batch_id": 1}
        insert(connection, "venue_bars", made | dict.fromkeys(("open", "high", "low", "close", "volume"), Decimal("1.5")))
        verdict = {"instrument": BTC, "interval": "1m", "known_at": NEXT}
        insert(
            connection,
            "bar_conformance",
            verdict | {"bar_start": DAY, "status": "equal"},
            verdict
            | {"bar_start": DAY + MINUTE, "status": "unexplained", "fields": ["close", "volume"], "ours": '{"close":"1"}', "theirs": None},
        )
        insert(
            connection,
            "coverage",
            {
                "instrument": BTC,
                "stream": "trades",
                "day": date(2024, 1, 2),
                "row_count": 3,
                "covered": "{[2024-01-02 00:00+00,2024-01-02 12:00:00.5+00),[2024-01-02 13:00+00,2024-01-03 00:00+00)}",
                "missing_ids": "{[5,8)}",
                "updated_at": NEXT,
            },
        )
        file = {
            "sha256": "0",
            "name": "BTCUSDT-trades-2024-01-02.zip",
            "format": "x",
            "size_bytes": 1,
            "stream": "trades",
            "time_unit": "ms",
        }
        insert(connection, "landing_files", file | {"rows_read": 1, "passed_over": 0, "accepted_at": NEXT})
        row = {"file_id": 1, "day": date(2024, 1, 2), "detail": "", "batch_id": 1, "quarantined_at": NEXT}
        insert(
            connection,
            "quarantine",
            row | {"line": 9, "reason": "scale", "raw": 'a,"b"\nc', "instrument": BTC},
            row | {"line": 3, "reason": "time", "raw": "", "state": "replayed"},
        )
    return database


def same_types(found: pa.Table, contract: Table) -> None:
    assert found.schema.equals(contract.arrow_schema())


@pytest.mark.parametrize("interval", INTERVALS)
def test_bars_have_their_contract(filled: Database, interval: str) -> None:
    same_types(read.bars(BTC, interval, DAY, DAY + MINUTE, database=filled), BARS[interval])


def test_every_read_has_its_contract(filled: Database) -> None:
    same_types(read.trades(BTC, DAY, NEXT, database=filled), RAW_TRADES)
    same_types(read.venue_bars(BTC, "15m", DAY, NEXT, database=filled), VENUE_BARS)
    same_types(read.conformance(BTC, "1m", DAY, NEXT, database=filled).verdicts, BAR_CONFORMANCE)
    same_types(read.coverage(database=filled), COVERAGE)
    same_types(read.instruments(database=filled), INSTRUMENTS)
    refused = read.quarantine(database=filled)
    assert refused.column_names[-1] == "file_name"
    same_types(refused.drop_columns("file_name"), QUARANTINE)


def test_trades_are_exact_ordered_and_half_open(filled: Database) -> None:
    found = read.trades(BTC, DAY, NEXT, database=filled).to_pylist()
    assert [row["sequence"] for row in found] == [1, 2, 3]
    assert [row["price"] for row in found] == [Decimal(text) for text in PRICES]
    assert [row["size"] for row in found] == [Decimal(text) for text in SIZES]
    assert [row["conditions"] for row in found] == [None, ['a "b"', "c,d", "{e}", "\n"], []]
    assert [row["side"] for row in found] == [None, "sell", "buy"]
    assert [row["event_time"] for row in found] == [DAY, DAY + MINUTE, DAY + MINUTE]
    assert found[0]["event_time_ns"] == 1704153600000000001
    assert len(read.trades(BTC, DAY, NEXT + timedelta(microseconds=1), database=filled)) == 4
    assert len(read.trades(BTC, DAY, DAY, database=filled)) == 0


def test_an_instrument_is_spelled_as_one_likes_and_times_in_any_zone(filled: Database) -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    assert len(read.trades("Binance:btc-usdt", DAY.astimezone(east), NEXT.astimezone(east), database=filled)) == 3


def test_quote_volume_is_narrow_where_every_value_fits_and_wide_where_not(filled: Database) -> None:
    narrow = read.bars(BTC, "1m", DAY, NEXT, database=filled)["quote_volume"]
    assert narrow.type == pa.decimal128(38, 20)
    assert narrow.to_pylist() == [Decimal("1e-20"), Decimal("123456789012345678.1")]
    wide = read.bars(BTC, "1m", DAY, NEXT + MINUTE, database=filled)["quote_volume"]
    assert wide.type == NOTIONAL
    assert wide.to_pylist() == [Decimal("1e-20"), Decimal("123456789012345678.1"), Decimal("1e-30")]


def test_null_and_empty_texts_differ(filled: Database) -> None:
    found = read.quarantine(state=None, database=filled)
    assert found["raw"].to_pylist() == ["", 'a,"b"\nc']
    assert found["instrument"].to_pylist() == [None, BTC]
    assert found["file_name"].to_pylist() == ["BTCUSDT-trades-2024-01-02.zip"] * 2


def test_quarantine_is_narrowed(filled: Database) -> None:
    def lines(**asked: object) -> list[int]:
        return read.quarantine(database=filled, **asked)["line"].to_pylist()  # type: ignore[arg-type]

    assert lines() == [9]
    assert lines(state="replayed") == [3]
    assert lines(reason="time", state=None) == [3]
    assert lines(instrument=ETH) == []
    assert lines(start=DAY + timedelta(hours=23)) == [9]
    assert lines(start=NEXT) == lines(end=DAY) == []


def test_ranges_are_json_lists(filled: Database) -> None:
    row = read.coverage(BTC, DAY, NEXT, database=filled).to_pylist()[0]
    covered = [["2024-01-02T00:00:00Z", "2024-01-02T12:00:00.500000Z"], ["2024-01-02T13:00:00Z", "2024-01-03T00:00:00Z"]]
    assert json.loads(row["covered"]) == covered
    assert json.loads(row["missing_ids"]) == [[5, 8]]
    assert row["accepted"] == "[]"
    assert len(read.coverage(ETH, database=filled)) == 0


def test_conformance_counts_every_status(filled: Database) -> None:
    found = read.conformance(BTC, "1m", DAY, NEXT, database=filled)
    assert found.counts == {"equal": 1, "explained": 0, "uncovered": 0, "unexplained": 1}
    (row,) = found.unequal.to_pylist()
    assert (row["fields"], json.loads(row["ours"]), row["theirs"]) == (["close", "volume"], {"close": "1"}, None)


def test_an_unknown_instrument_is_told_with_those_near(filled: Database) -> None:
    with pytest.raises(read.UnknownInstrument, match="Did you mean binance:BTCUSDT"):
        read.bars("binance:BTCUSD", "1m", DAY, NEXT, database=filled)
    with pytest.raises(read.UnknownInstrument, match=r"Did you mean .*binance:BTCUSDT"):
        read.trades("binance-usdm:BTCUSDT", DAY, NEXT, database=filled)
    with pytest.raises(read.UnknownInstrument, match="venue:SYMBOL"):
        read.coverage("BTCUSDT", database=filled)
    assert len(read.bars(ETH, "1m", DAY, NEXT, database=filled)) == 0


def test_an_unknown_interval_is_told(filled: Database) -> None:
    with pytest.raises(read.UnknownInterval, match="1m, 5m, 1h, 1d"):
        read.bars(BTC, "15m", DAY, NEXT, database=filled)
    with pytest.raises(read.UnknownInterval, match="15m"):
        read.venue_bars(BTC, "7m", DAY, NEXT, database=filled)


def test_a_time_without_zone_and_a_window_backwards_are_refused(filled: Database) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        read.bars(BTC, "1m", DAY.replace(tzinfo=None), NEXT, database=filled)
    with pytest.raises(ValueError, match="no time zone"):
        read.coverage(end=DAY.replace(tzinfo=None), database=filled)
    with pytest.raises(ValueError, match="lies before"):
        read.trades(BTC, NEXT, DAY, database=filled)


def test_a_quote_in_a_name_is_no_sql(filled: Database) -> None:
    assert len(read.quarantine(reason="'; drop table quarantine; --", database=filled)) == 0
    assert len(read.quarantine(reason="%(x)s {y} %", database=filled)) == 0


def test_a_database_without_tables_says_migrate(blank: Database) -> None:
    blank.bootstrap()
    with pytest.raises(DatabaseUnusable, match="rrr migrate"):
        read.instruments(database=blank)


def test_a_long_answer_is_read_in_blocks(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read.trades(BTC, DAY, NEXT, database=filled)
    monkeypatch.setattr(arrow, "_BLOCK_BYTES", 1)
    assert read.trades(BTC, DAY, NEXT, database=filled).equals(whole)


def sessions(database: Database) -> set[int]:
    with database.connect_admin() as connection:
        mine = "application_name = 'rrr analyst' and datname = current_database()"
        return {pid for (pid,) in connection.execute(f"select pid from pg_stat_activity where {mine}")}  # noqa: S608  # of the line above


def test_reads_keep_their_session_and_find_another_where_it_is_gone(filled: Database) -> None:
    wanted = read.bars(BTC, "1m", DAY, NEXT, database=filled)
    before = sessions(filled)
    assert read.bars(BTC, "1m", DAY, NEXT, database=filled).equals(wanted)
    assert sessions(filled) == before != set()
    with filled.connect_admin() as connection:
        connection.execute("select pg_terminate_backend(pid, 5000) from unnest(%s::int[]) as pid", (list(before),))
    assert read.bars(BTC, "1m", DAY, NEXT, database=filled).equals(wanted)
    assert not sessions(filled) & before


def test_a_statement_leaves_nothing_to_the_reads_after_it(filled: Database) -> None:
    wanted = read.trades(BTC, DAY, NEXT, database=filled)
    read.sql("select set_config('datestyle', 'German', false), set_config('timezone', 'Asia/Tokyo', false)", database=filled)
    read.sql("set search_path = pg_catalog", database=filled)
    assert read.trades(BTC, DAY, NEXT, database=filled).equals(wanted)
    assert read.sql("show search_path", database=filled).to_pylist() != [{"search_path": "pg_catalog"}]


def test_the_database_that_is_meant_follows_the_environment(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRR_DATABASE_URL", filled.admin_url)
    assert len(read.bars(BTC, "1m", DAY, NEXT)) == len(read.bars(BTC, "1m", DAY, NEXT)) == 2
    monkeypatch.setenv("RRR_DATABASE_URL", filled.admin_url.replace(filled.name, "nothing_of_ours"))
    with pytest.raises(DatabaseUnusable):
        read.bars(BTC, "1m", DAY, NEXT)
    monkeypatch.setenv("RRR_DATABASE_URL", filled.admin_url)
    assert len(read.bars(BTC, "1m", DAY, NEXT)) == 2


def test_sql_gives_exact_types_and_leaves_the_rest_as_text(filled: Database) -> None:
    found = read.sql(
        """select 1.50 as d, null::numeric as n, 'NaN'::numeric as nan, 2::smallint as s, true as b, 'x' as t, 0.1::float8 as f,
        '2024-01-02 00:00:00.5+00'::timestamptz as at, 'infinity'::timestamptz as never, array[1, 2] as l, '{"a": 1}'::jsonb as j, 'y' as t
        -- a remark""",
        database=filled,
    )
    assert found.column_names == ["d", "n", "nan", "s", "b", "t", "f", "at", "never", "l", "j", "t"]
    values = [column[0].as_py() for column in found.itercolumns()]
    assert values == [Decimal("1.50"), None, "NaN", 2, True, "x", 0.1, DAY + timedelta(seconds=0.5), "infinity", "{1,2}", '{"a": 1}', "y"]
    assert len(read.sql("select * from raw_trades where price < 0", database=filled)) == 0
    assert read.sql("select '100%' as a, '{b}' as b", database=filled).to_pylist() == [{"a": "100%", "b": "{b}"}]


# --- the command ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    status: int
    stdout: str
    stderr: str


Command = Callable[..., Ended]


@pytest.fixture
def rrr(filled: Database, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line in this process, on the module's database."""

    def run(*words: str, **environment: str) -> Ended:
        with monkeypatch.context() as patched:
            # Alone the address names another database than the embedded server's own.
            for name, value in {"RRR_DATABASE_URL": filled.admin_url, **environment}.items():
                patched.setenv(name, value)
            patched.setattr(sys, "argv", ["rrr", *words])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        return Ended(int(ended.value.code or 0), *capfd.readouterr())

    return run


WINDOW = ("--start", "2024-01-02", "--end", "2024-01-03")


def test_csv_of_trades(rrr: Command) -> None:
    done = rrr("trades", "binance:btc-usdt", *WINDOW, "--format", "csv")
    assert done.status == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert list(rows[0]) == list(RAW_TRADES.column_names)
    assert [row["price"] for row in rows] == PRICES
    assert [row["size"] for row in rows] == ["0.001", *SIZES[1:]]
    assert [row["event_time"] for row in rows] == ["2024-01-02T00:00:00Z", "2024-01-02T00:01:00Z", "2024-01-02T00:01:00Z"]
    assert [row["conditions"] for row in rows] == ["", json.dumps(['a "b"', "c,d", "{e}", "\n"]), "[]"]


def test_json_of_bars_and_conformance(rrr: Command) -> None:
    rows = json.loads(rrr("bars", BTC, *WINDOW, "--json").stdout)
    assert [row["quote_volume"] for row in rows] == ["0.00000000000000000001", "123456789012345678.1"]
    assert (rows[1]["vwap"], rows[1]["is_complete"], rows[1]["trade_count"]) == (None, False, 1)
    verdicts = json.loads(rrr("conformance", BTC, *WINDOW, "--json").stdout)
    assert {name: verdicts[name] for name in ("equal", "explained", "uncovered", "unexplained")} == {
        "equal": 1,
        "explained": 0,
        "uncovered": 0,
        "unexplained": 1,
    }
    assert verdicts["rows"] == [
        {
            "bar_start": "2024-01-02T00:01:00Z",
            "status": "unexplained",
            "rule": None,
            "fields": ["close", "volume"],
            "ours": {"close": "1"},
            "theirs": None,
        }
    ]


def test_parquet_and_a_picture(filled: Database, rrr: Command, tmp_path: Path) -> None:
    from pyarrow import parquet

    done = rrr("bars", BTC, *WINDOW, "--out", str(tmp_path / "b.parquet"), "--plot", str(tmp_path / "b.png"))
    assert done.status == 0, done.stderr
    assert parquet.read_table(tmp_path / "b.parquet").equals(read.bars(BTC, "1m", DAY, NEXT, database=filled))
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    assert rrr("bars", BTC, *WINDOW, "--plot", str(tmp_path / "b.html")).status == 0
    assert (tmp_path / "b.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("bars", "binance:BTCUSD", *WINDOW), 1, "Did you mean binance:BTCUSDT"),
        (("bars", BTC, *WINDOW, "--interval", "15m"), 1, "1m, 5m, 1h, 1d"),
        (("bars", BTC, *WINDOW, "--out", "x.txt"), 1, "--format"),
        (("bars", BTC, *WINDOW, "--plot", "x.jpg"), 1, ".png or .html"),
        (("bars", BTC, "--start", "2024-01-03", "--end", "2024-01-02"), 2, "lies before"),
        (("bars", BTC, "--start", "soon", "--end", "2024-01-02"), 2, "is no time"),
        (("sql", "select 1; select 2"), 1, "one at a time"),
        (("sql", "select nothing"), 1, 'column "nothing" does not exist'),
        (("sql", "delete from raw_trades"), 1, "Analysts read"),
        (("instruments", "set", BTC), 2, "nothing to change"),
        (("down",), 1, "not ours to stop"),
    ],
)
def test_a_failure_is_one_line_and_a_status(rrr: Command, words: tuple[str, ...], status: int, said: str) -> None:
    done = rrr(*words)
    assert (done.status, done.stdout) == (status, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    if status == 1:
        assert done.stderr.count("\n") == 1


def test_a_traceback_is_shown_when_asked_for(rrr: Command) -> None:
    assert "Traceback" in rrr("bars", "binance:BTCUSD", *WINDOW, RRR_DEBUG="1").stderr


def test_no_password_is_told(rrr: Command) -> None:
    for address in ("postgresql://u:hunter%zz@127.0.0.1:1/x", "postgresql://u:hunter%2F2@127.0.0.1:1/x"):
        for words in (("sql", "select 1"), ("status",), ("migrate",)):
            done = rrr(*words, RRR_DATABASE_URL=address, RRR_DEBUG="1")
            assert done.status == 1
            assert "hunter" not in done.stdout + done.stderr


def test_status_tells_and_starts_nothing(filled: Database, rrr: Command, tmp_path: Path) -> None:
    up = json.loads(rrr("status", "--json").stdout)
    assert (up["server"]["state"], up["database"]["name"], up["migrations"]["pending"]) == ("up", filled.name, [])
    assert up["migrations"]["applied"] > 8
    down = rrr("status", "--json", RRR_DATABASE_URL="", RRR_HOME=str(tmp_path / "nowhere"))
    assert (down.status, json.loads(down.stdout)["server"]["state"]) == (1, "down")
    assert not (tmp_path / "nowhere").exists()


def test_an_instrument_is_changed_from_now_on(filled: Database, rrr: Command) -> None:
    with filled.connect(Role.OWNER) as connection:
        before = connection.execute("select * from instruments where instrument = %s", (ETH,)).fetchall()
    assert rrr("instruments", "set", ETH, "--price-scale", "4", "--listed-on", "2024-01-02").status == 0
    assert "later day" in rrr("instruments", "set", ETH, "--delisted-on", "2024-01-02").stderr
    assert "not known" in rrr("instruments", "set", "kraken:XBTUSD", "--price-scale", "1").stderr
    columns = "price_scale, size_scale, listed_on, delisted_on, valid_from, valid_to"
    with filled.connect(Role.OWNER) as connection:
        old, new = connection.execute(f"select {columns} from instruments where instrument = %s order by valid_from", (ETH,)).fetchall()  # noqa: S608  # of the line above
    assert len(before) == 1
    assert (old[:4], new[:4]) == ((2, 5, None, None), (4, 5, date(2024, 1, 2), None))
    assert old[5] == new[4]
    assert new[5] is None
