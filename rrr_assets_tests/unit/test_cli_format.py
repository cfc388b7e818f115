"""How the command prints and what it takes: every value comes back from CSV and JSON as it was."""

import csv
import io
import json
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
import typer
from hypothesis import assume, given
from hypothesis import strategies as st

from rrr_assets.calc.decimals import NOTIONAL, PRICE, SIZE, plain_texts
from rrr_assets.calc.numbers import plain
from rrr_assets.cli.arguments import Format, parse_day, parse_names, parse_time
from rrr_assets.cli.failures import CommandFailed, without_secrets
from rrr_assets.cli.output import TABLE_ROWS, _table_text, csv_chunks, emit, json_chunks, texts
from rrr_assets.warehouse.arrow import JSON_FIELD

CHECKOUT = Path(__file__).resolve().parents[2]


def as_csv(table: pa.Table) -> str:
    return b"".join(csv_chunks(table)).decode()


def as_json(table: pa.Table) -> list[dict[str, object]]:
    return json.loads(b"".join(json_chunks(table)))


def decimals(of: pa.DataType) -> st.SearchStrategy[Decimal | None]:
    """Values of a type, over all sizes: hypothesis alone would draw few small ones."""
    limit = 10**of.precision - 1
    units = st.one_of(*(st.integers(-min(limit, bound), min(limit, bound)) for bound in (limit, 10**9, 100)))
    return st.none() | units.map(lambda number: Decimal(f"{number}e-{of.scale}"))


# --- decimals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [PRICE, SIZE, NOTIONAL, pa.decimal128(38, 20), pa.decimal128(5, 0), pa.decimal256(76, 74)], ids=str)
@given(data=st.data())
def test_a_decimal_is_printed_plainly_and_read_back(kind: pa.DataType, data: st.DataObject) -> None:
    numbers = data.draw(st.lists(decimals(kind), min_size=1, max_size=20))
    printed = plain_texts(pa.array(numbers, kind)).to_pylist()
    assert printed == [None if number is None else plain(number) for number in numbers]
    assert [None if text is None else Decimal(text) for text in printed] == numbers
    assert not any("e" in text.lower() or (("." in text) and text.endswith("0")) for text in printed if text)


@given(st.lists(decimals(NOTIONAL), min_size=1, max_size=20))
def test_decimals_survive_csv_and_json(numbers: list[Decimal | None]) -> None:
    table = pa.table({"line": pa.array(range(len(numbers)), pa.int64()), "number": pa.array(numbers, NOTIONAL)})
    rows = list(csv.DictReader(io.StringIO(as_csv(table))))
    assert [Decimal(row["number"]) if row["number"] else None for row in rows] == numbers
    found = [row["number"] for row in as_json(table)]
    assert [None if number is None else Decimal(str(number)) for number in found] == numbers
    assert all(number is None or isinstance(number, str) for number in found)


# --- times ------------------------------------------------------------------------------------------------------


@given(st.lists(st.none() | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)), min_size=1))  # noqa: DTZ001  # given their zone below
def test_times_are_iso_with_z_and_read_back(naive: list[datetime | None]) -> None:
    times = [None if time is None else time.replace(tzinfo=UTC) for time in naive]
    printed = texts(pa.array(times, pa.timestamp("us", "UTC"))).to_pylist()
    assert [None if text is None else parse_time(text) for text in printed] == times
    for moment, text in zip(times, printed, strict=True):
        assert moment is None or len(text) == (len("2024-01-02T00:00:00.123456Z") if moment.microsecond else len("2024-01-02T00:00:00Z"))


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001  # given their zone below
    st.integers(-14 * 60, 14 * 60),
)
def test_a_time_of_any_zone_is_read(naive: datetime, minutes: int) -> None:
    there = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_time(there.isoformat()) == there
    assert parse_time(there.isoformat()).utcoffset() == timedelta(0)
    assert parse_time(naive.isoformat()) == naive.replace(tzinfo=UTC)


@given(st.dates(date(1, 1, 1), date(9999, 12, 31)))
def test_a_day_is_its_midnight(day: date) -> None:
    assert parse_time(day.isoformat()) == datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert parse_day(day.isoformat()) == day


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024",
        "2024-01",
        "20240102",
        "2024-W01-1",
        "2024-02-30",
        "01/02/2024",
        "now",
        "2024-01-02T25:00",
        "2024-01-02T00:00:00.1234567Z",
        "0001-01-01T00:00+14:00",
        "2024-01-02Z",
        " 2024-01-02",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_time(text)


@pytest.mark.parametrize("text", ["", "2024-02-30", "2024-01-02T00:00", "20240102", "tomorrow"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_day(text)


def test_names_stand_between_commas() -> None:
    assert parse_names(" a,b , ,c,") == ["a", "b", "c"]


# --- texts, lists, nulls ----------------------------------------------------------------------------------------


@given(
    st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), min_size=1), st.text(st.characters(exclude_categories=["Cs"]))
)
def test_texts_survive_csv_and_json(values: list[str | None], name: str) -> None:
    assume(name != "line" and "\0" not in name and not any("\0" in value for value in values if value))
    table = pa.table({"line": pa.array(range(len(values)), pa.int64()), name: pa.array(values, pa.string())})
    assert [row[name] for row in as_json(table)] == values
    header, *rows = csv.reader(io.StringIO(as_csv(table), newline=""))
    assert header == ["line", name]
    assert [row[1] for row in rows] == [value or "" for value in values]


def test_null_and_empty_differ_in_csv_and_json() -> None:
    table = pa.table({"a": pa.array([None, "", "x"]), "b": pa.array([1, None, 3])})
    assert as_csv(table) == 'a,b\n,1\n"",\nx,3\n'
    assert as_json(table) == [{"a": None, "b": 1}, {"a": "", "b": None}, {"a": "x", "b": 3}]


@given(st.lists(st.none() | st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"])))))
def test_lists_are_json(values: list[list[str | None] | None]) -> None:
    table = pa.table({"l": pa.array(values, pa.list_(pa.string()))})
    assert [row["l"] for row in as_json(table)] == values
    cells = [row["l"] for row in csv.DictReader(io.StringIO(as_csv(pa.table({"l": table["l"], "end": ["."] * len(values)})), newline=""))]
    assert [json.loads(cell) if cell else None for cell in cells] == values


def test_the_other_types() -> None:
    schema = pa.schema(
        [("b", pa.bool_()), ("d", pa.date32()), ("f", pa.float64()), pa.field("j", pa.string(), metadata=JSON_FIELD), ("s", pa.string())]
    )
    day = date(2024, 1, 2)
    table = pa.table([[True, False], [day, None], [0.1, float("nan")], ['{"a":[1]}', None], ['{"a":[1]}', None]], schema=schema)
    assert as_json(table) == [
        {"b": True, "d": "2024-01-02", "f": 0.1, "j": {"a": [1]}, "s": '{"a":[1]}'},
        {"b": False, "d": None, "f": "nan", "j": None, "s": None},
    ]
    assert as_csv(table).splitlines()[1:] == ['true,2024-01-02,0.1,"{""a"":[1]}","{""a"":[1]}"', "false,,nan,,"]


@pytest.mark.parametrize("rows", [0, 1, 49_999, 50_000, 50_001, 100_000])
def test_batches_leave_no_seam(rows: int) -> None:
    table = pa.table({"n": pa.array(range(rows), pa.int64())})
    assert as_csv(table) == "n\n" + "".join(f"{number}\n" for number in range(rows))
    assert [row["n"] for row in as_json(table)] == list(range(rows))


def test_chunks_and_slices_are_printed_as_they_are() -> None:
    table = pa.concat_tables([pa.table({"t": ["a", "b", None]}), pa.table({"t": ["é", "\t", ""]})]).slice(1, 4)
    assert as_csv(table) == "t\nb\n\né\n\t\n"
    assert [row["t"] for row in as_json(table)] == ["b", None, "é", "\t"]


def test_a_hundred_thousand_rows_are_printed_in_a_second() -> None:
    rows = 100_000
    units = pa.array([Decimal(number).scaleb(-12) for number in range(rows)], PRICE)
    times = pa.array(range(rows), pa.int64()).cast(pa.timestamp("us", "UTC"))
    table = pa.table({f"price_{n}": units for n in range(6)} | {"at": times, "known_at": times, "side": ["buy"] * rows})
    as_csv(table.slice(0, 1))
    began = time.process_time()
    as_csv(table)
    # Twice what is promised: the processor is shared.
    assert time.process_time() - began < 2


# --- tables and files -------------------------------------------------------------------------------------------


def test_a_table_shows_its_first_rows_and_says_so(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    emit(
        pa.table({"n": range(TABLE_ROWS + 1), "hidden": ["[bold]x"] * (TABLE_ROWS + 1)}),
        None,
        title="numbers",
        hidden=["hidden", "absent", "hidden"],
    )
    shown = capfdbinary.readouterr()
    lines = shown.out.decode().split()
    assert lines[0] == "numbers"
    assert lines[-1] == str(TABLE_ROWS - 1)
    assert b"hidden" not in shown.out
    assert b"1,000 of 1,001 rows are shown; --format csv prints all" in shown.err


def test_a_table_shows_text_as_it_is_but_no_control_characters(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    emit(pa.table({"raw": ["[red]no markup[/red] \x1b[2J"], "long": ["x" * 300]}), Format.TABLE)
    shown = capfdbinary.readouterr().out
    assert b"[red]no markup[/red] \\x1b[2J" in shown
    assert b"x" * 300 in shown
    assert b"\x1b" not in shown


def test_a_file_says_its_format(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    from pyarrow import parquet

    table = pa.table({"n": [1, 2]})
    for name in ("a.csv", "a.json", "a.parquet"):
        emit(table, None, out=tmp_path / name)
    assert (tmp_path / "a.csv").read_text() == "n\n1\n2\n"
    assert json.loads((tmp_path / "a.json").read_text()) == [{"n": 1}, {"n": 2}]
    assert parquet.read_table(tmp_path / "a.parquet").equals(table)
    assert capfdbinary.readouterr().out == b""
    with pytest.raises(CommandFailed, match="--format"):
        emit(table, None, out=tmp_path / "a.txt")
    with pytest.raises(CommandFailed, match="cannot be written"):
        emit(table, Format.CSV, out=tmp_path / "no" / "a.csv")


def test_parquet_goes_to_a_pipe(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    from pyarrow import parquet

    emit(pa.table({"n": [1]}), Format.PARQUET)
    assert parquet.read_table(io.BytesIO(capfdbinary.readouterr().out)).to_pylist() == [{"n": 1}]


# --- the process ------------------------------------------------------------------------------------------------


def test_passwords_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRR_WRITER_URL", "postgresql://w:s%2Fcret@host/x")
    assert without_secrets("s%2Fcret s/cret postgresql://a:other@host") == "*** *** postgresql://a:***@host"


def test_help_imports_nothing_heavy() -> None:
    heavy = ("dagster", "pyarrow", "psycopg", "polars", "matplotlib", "rich.console", "numpy")
    code = f"import sys\nfrom rrr_assets.cli import main\ntry:\n    main()\nfinally:\n    print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "conformance" in done.stdout


# --- pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 2, 60, 1440])
@pytest.mark.parametrize("small", [False, True])
def test_a_picture_of_the_size_asked_for(rows: int, small: bool) -> None:
    from rrr_assets.charts import candles_png
    from rrr_assets.contracts.bars import BARS

    one = Decimal(1)
    made = [
        dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"), one)
        | {"instrument": "x:Y", "bar_start": datetime(2024, 1, 2, tzinfo=UTC) + timedelta(minutes=n), "vwap": None, "trade_count": 1}
        | {"first_sequence": n, "last_sequence": n, "is_complete": n % 7 != 0, "known_at": datetime(2024, 1, 3, tzinfo=UTC)}
        for n in range(rows)
        if n % 11 != 5
    ]
    picture = candles_png(pa.Table.from_pylist(made, BARS["1m"].arrow_schema()), "x:Y $1m$ _", timedelta(minutes=1), small=small)
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(picture[start : start + 4]) for start in (16, 20))
    assert (width, height) == ((480, 240) if small else (1280, 720))


def test_no_bars_are_no_picture() -> None:
    from rrr_assets.charts import candles_png
    from rrr_assets.contracts.bars import BARS

    with pytest.raises(ValueError, match="no bars"):
        candles_png(BARS["1m"].arrow_schema().empty_table(), "nothing", None)


def test_short_columns_stay_whole_where_a_table_is_too_wide(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    name, when, text = "garman_klass_volatility_1h", "2024-01-03T00:00:00Z", "how far it moves " * 20
    monkeypatch.setenv("COLUMNS", "80")
    table = pa.table({"feature": [name], "moment": [when], "description": [text]})
    told = _table_text(table, None, (), (), is_terminal=True)
    assert max(map(len, told.splitlines())) <= 80
    assert name in told
    assert when in told
    assert "".join(told.split()).count("howfar") == 20
    # Where not even short ones fit, all fold and nothing is cut off.
    monkeypatch.setenv("COLUMNS", "40")
    told = _table_text(table, None, (), (), is_terminal=True)
    assert max(map(len, told.splitlines())) <= 40
    assert told.count("…") == 0
    assert capsys.readouterr().out == ""
