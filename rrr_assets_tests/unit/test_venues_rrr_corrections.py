"""The platform's own CSV of corrections."""

import csv
import gzip
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrr_assets.calc.numbers import plain
from rrr_assets.contracts.parsed import CORRECTIONS, REFUSED_ROWS, UNDATED
from rrr_assets.venues import content
from rrr_assets.venues.base import ParsedBatch, Source, SourceFacts, SourceRefused
from rrr_assets.venues.rrr_corrections import RrrCorrections

HEADER = "instrument,sequence,action,reason,day,event_time,price,size,side,new_event_time"
GOOD = "binance:BTCUSDT,5,cancel,busted,,,,,,"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read(path: Path, **given: object) -> tuple[SourceFacts, list[ParsedBatch]]:
    source = Source(path, str(given.pop("name", path.name)), **given)  # type: ignore[arg-type]  # tests name fields
    parser = RrrCorrections()
    facts = parser.inspect(source)
    batches = list(parser.parse(source, facts))
    for batch in batches:
        batch.rows.validate(full=True)
        assert (batch.rows.schema, batch.refused.schema) == (CORRECTIONS, REFUSED_ROWS)
    return facts, batches


def rows(batches: list[ParsedBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.rows.to_pylist()]


def refused(batches: list[ParsedBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.refused.to_pylist()]


def write(folder: Path, text: str | bytes, name: str = "corrections.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_replacement_and_a_cancellation(tmp_path: Path) -> None:
    lines = [
        HEADER,
        'binance:btc-usdt,5,replace,"told by the venue, see ""notice""",2024-01-02,,42000.5,0.10,sell,2024-01-02T00:00:01.5Z',
        GOOD,
        "binance:BTCUSDT,6,cancel,busted,2024-01-02,1704153600123456,,,,",
        "kraken:XXBTZUSD,7,replace,x,,2024-01-02T01:00:00+01:00,,,,1704153600123456",
    ]
    text = "".join(f"{line}\n" for line in lines)
    facts, batches = read(write(tmp_path, text))
    assert (facts.stream, facts.space, facts.declared, facts.instrument) == ("corrections", None, None, None)
    midnight = datetime(2024, 1, 2, tzinfo=UTC)
    first, second, third, fourth = rows(batches)
    assert first == {
        "line": 2,
        "instrument": "binance:BTCUSDT",
        "sequence": 5,
        "event_time": midnight,
        "action": "replace",
        "price": Decimal("42000.5"),
        "size": Decimal("0.1"),
        "side": "sell",
        "new_event_time": midnight + timedelta(seconds=1.5),
        "reason": 'told by the venue, see "notice"',
    }
    assert (second["event_time"], second["action"], second["reason"]) == (UNDATED, "cancel", "busted")
    assert [second[name] for name in ("price", "size", "side", "new_event_time")] == [None] * 4
    assert third["event_time"] == midnight + timedelta(microseconds=123456)
    assert (fourth["instrument"], fourth["event_time"]) == ("kraken:XBTUSD", midnight)
    assert fourth["new_event_time"] == midnight + timedelta(microseconds=123456)
    assert sum(batch.passed_over for batch in batches) == 1


def test_a_name_of_any_length_is_said_in_short(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match="its header has the unknown '999") as caught:
        read(write(tmp_path, f"{HEADER},{'9' * 5000}\n{GOOD},\n"))
    assert len(str(caught.value)) < 1300


def test_columns_are_found_by_name_and_some_can_be_left_out(tmp_path: Path) -> None:
    text = '\ufeff\n Reason , "Action",sequence,instrument,price\nlate,replace,5,gemini:ETHUSD,1\n'
    [row] = rows(read(write(tmp_path, text))[1])
    assert (row["line"], row["reason"], row["price"], row["event_time"]) == (3, "late", Decimal(1), UNDATED)


BAD_ROWS = {
    "": None,
    "binance:BTCUSDT,5,cancel": "columns",
    "binance:BTCUSDT,5,cancel,a,b,,,,,,": "columns",
    'binance:BTCUSDT,5,cancel,"it never ends,,,,,,': "columns",
    'binance:BTCUSDT,5,cancel,"x"y,,,,,,': "columns",
    "binance:BTCUSDT,5,cancel,,,,,,,": "columns",
    "binance:BTCUSDT,5,cancel,  ,,,,,,": "columns",
    ",5,cancel,x,,,,,,": "columns",
    "no_where:BTCUSDT,5,cancel,x,,,,,,": "columns",
    "binance:BTCUSDT,,cancel,x,,,,,,": "missing_id",
    "binance:BTCUSDT,-5,cancel,x,,,,,,": "missing_id",
    "binance:BTCUSDT,5.0,cancel,x,,,,,,": "missing_id",
    "binance:BTCUSDT,99999999999999999999,cancel,x,,,,,,": "missing_id",
    "binance:BTCUSDT,5,,x,,,,,,": "action",
    "binance:BTCUSDT,5,delete,x,,,,,,": "action",
    "binance:BTCUSDT,5,replace,x,2024-01-02,,,,,": "action",
    "binance:BTCUSDT,5,cancel,x,,,1,,,": "action",
    "binance:BTCUSDT,5,cancel,x,,,,1,,": "action",
    "binance:BTCUSDT,5,cancel,x,,,,,buy,": "action",
    "binance:BTCUSDT,5,cancel,x,,,,,,2024-01-02T00:00:00Z": "action",
    "binance:BTCUSDT,5,replace,x,,,0,,,": "not_positive",
    "binance:BTCUSDT,5,replace,x,,,,-1,,": "not_positive",
    "binance:BTCUSDT,5,replace,x,,,nan,,,": "not_a_number",
    "binance:BTCUSDT,5,replace,x,,,1e-999999999,,,": "scale",
    "binance:BTCUSDT,5,replace,x,,,1.0000000000001,,,": "scale",
    "binance:BTCUSDT,5,replace,x,,,,,Buy,": "side",
    "binance:BTCUSDT,5,cancel,x,2024-02-30,,,,,": "time",
    "binance:BTCUSDT,5,cancel,x,20240102,,,,,": "time",
    "binance:BTCUSDT,5,cancel,x,2008-12-31,,,,,": "time",
    "binance:BTCUSDT,5,cancel,x,,2024-01-02T00:00:00,,,,": "time",
    "binance:BTCUSDT,5,cancel,x,,2024-01-02T00:00:00.1234567Z,,,,": "time",
    "binance:BTCUSDT,5,cancel,x,,2024-01-02T25:00:00Z,,,,": "time",
    "binance:BTCUSDT,5,cancel,x,,1704153600,,,,": "time",
    "binance:BTCUSDT,5,cancel,x,,9999999999999999999,,,,": "time",
    "binance:BTCUSDT,5,cancel,x,2024-01-03,2024-01-02T23:59:59.999999Z,,,,": "time",
    "binance:BTCUSDT,5,cancel,x,2024-01-02,2024-01-03T00:00:00Z,,,,": "time",
    "binance:BTCUSDT,5,replace,x,,,,,,yesterday": "time",
    "binance:BTCUSDT,5,cancel,x\x00,,,,,,": "encoding",
    "binance:BTCUSDT,5,cancel,x\ry,,,,,,": "encoding",
    "\ufeffbinance:BTCUSDT,5,cancel,x,,,,,,": "encoding",
    HEADER: "columns",
}


@pytest.mark.parametrize(("bad", "reason"), BAD_ROWS.items())
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_bad_row_costs_no_good_one(tmp_path: Path, bad: str, reason: str | None, end: str) -> None:
    _, batches = read(write(tmp_path, end.join([HEADER, GOOD, bad, GOOD, ""])))
    assert [row["line"] for row in rows(batches)] == [2, 4]
    assert [(row["line"], row["reason"]) for row in refused(batches)] == ([(3, reason)] if reason else [])
    assert sum(batch.passed_over for batch in batches) == (1 if reason else 2)


def test_a_refused_row_keeps_what_was_understood(tmp_path: Path) -> None:
    text = f"{HEADER}\nbinance:BTCUSDT,5,cancel,x,2024-01-02,,1,,,\nbinance:BTCUSDT,6,cancel,,,,,,,\n".encode() + b"\xff,\n"
    dated, undated, bytes_ = refused(read(write(tmp_path, text))[1])
    assert (dated["instrument"], dated["event_time"], dated["sequence"]) == ("binance:BTCUSDT", datetime(2024, 1, 2, tzinfo=UTC), 5)
    assert "cancels the trade and gives new values" in str(dated["detail"])
    assert (undated["event_time"], undated["sequence"]) == (None, 6)
    assert (bytes_["reason"], bytes_["raw"]) == ("encoding", "\\xff,")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("a,b\n1,2\n", "not rrr-corrections"),
        (GOOD + "\n", "not rrr-corrections"),
        ("instrument,sequence,action\nx,5,cancel\n", "lacks 'reason'"),
        (HEADER + ",prize\n", "unknown 'prize'"),
        (HEADER + ",price\n", "twice 'price'"),
        (f"{HEADER}\n{GOOD}\nbinance:BTCUSDT,6,can", "truncated"),
        (f'{HEADER}\n{GOOD}\nbinance:BTCUSDT,6,cancel,"told by', "truncated"),
    ],
)
def test_a_bad_file_is_refused_whole(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(SourceRefused, match=reason) as caught:
        read(write(tmp_path, text))
    assert caught.value.remedy


def test_what_is_given_is_held_to_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADER}\n{GOOD}\nkraken:XBTUSD,5,cancel,x,,,,,,\nnowhere,5,cancel,x,,,,,,\n")
    facts, batches = read(path, instrument="kraken:XXBTZUSD", stream="corrections")
    assert facts.instrument == "kraken:XBTUSD"
    assert [row["line"] for row in rows(batches)] == [3]
    assert [row["line"] for row in refused(batches)] == [4]
    assert sum(batch.passed_over for batch in batches) == 2
    for given_values, reason in [
        ({"instrument": "gemini:ETHUSD"}, "none of gemini:ETHUSD"),
        ({"day": date(2024, 1, 2)}, "not the whole of a day"),
        ({"stream": "trades"}, "holds corrections and nothing else"),
    ]:
        with pytest.raises(SourceRefused, match=reason):
            read(path, **given_values)


def test_a_trade_of_any_venue_can_be_corrected(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADER}\n{GOOD}\nnewvenue:BTCUSD,5,cancel,x,,,,,,\n")
    assert [row["instrument"] for row in rows(read(path)[1])] == ["binance:BTCUSDT", "newvenue:BTCUSD"]
    assert [row["line"] for row in rows(read(path, instrument="newvenue:btc-usd")[1])] == [3]


def test_packing_does_not_matter(tmp_path: Path) -> None:
    text = f"{HEADER}\n{GOOD}\n"
    assert rows(read(write(tmp_path, text))[1]) == rows(read(write(tmp_path, gzip.compress(text.encode()), "c.csv.gz"))[1])


def test_raw_lines_are_those_of_refused_rows(tmp_path: Path) -> None:
    path = write(tmp_path, "\n".join([HEADER, *BAD_ROWS, ""]))
    raws = {int(str(row["line"])): str(row["raw"]) for row in refused(read(path)[1])}
    assert len(raws) == len(BAD_ROWS) - 1
    assert RrrCorrections().raw_lines(Source(path, path.name), sorted(raws)) == raws


prices = st.none() | st.decimals(Decimal("1e-12"), Decimal("1e20"), places=12)
sizes = st.none() | st.decimals(Decimal("1e-18"), Decimal("1e15"), places=18)
moments = st.none() | st.integers(1_262_304_000_000_000, 1_700_000_000_000_000)
# What a person writes: anything but control characters, with quotes, commas and letters of any script in it.
reasons = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff") | st.sampled_from('",;')
).filter(lambda text: text.strip() != "")


@given(
    wanted=st.lists(
        st.tuples(st.integers(0, 2**63 - 1), reasons, moments, prices, sizes, st.sampled_from([None, "buy", "sell"]), moments), max_size=20
    ),
    junk=st.lists(st.tuples(st.integers(0, 20), st.sampled_from([text for text, reason in BAD_ROWS.items() if reason])), max_size=5),
    as_iso=st.booleans(),
)
def test_written_corrections_come_back_exactly(
    wanted: list[tuple[int, str, int | None, Decimal | None, Decimal | None, str | None, int | None]],
    junk: list[tuple[int, str]],
    as_iso: bool,
) -> None:
    def moment(microseconds: int | None) -> str:
        if microseconds is None:
            return ""
        return (EPOCH + timedelta(microseconds=microseconds)).isoformat() if as_iso else str(microseconds)

    lines: list[tuple[str, object]] = []
    for sequence, reason, at, price, size, side, new in wanted:
        action = "cancel" if price is size is side is new is None else "replace"
        numbers = ["" if number is None else plain(number) for number in (price, size)]
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(
            ["binance:BTCUSDT", sequence, action, reason, "", moment(at), *numbers, side or "", moment(new)]
        )
        expected = (sequence, UNDATED if at is None else EPOCH + timedelta(microseconds=at), action, price, size, side)
        lines.append((line.getvalue(), (*expected, None if new is None else EPOCH + timedelta(microseconds=new), reason.strip())))
    for place, text in junk:
        lines.insert(min(place, len(lines)), (text, None))
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "BLOCK_LINES", 3)
        _, batches = read(write(Path(folder), "\n".join([HEADER, *(line for line, _ in lines), ""])))
    names = ("sequence", "event_time", "action", "price", "size", "side", "new_event_time", "reason")
    assert [(row["line"], *(row[name] for name in names)) for row in rows(batches)] == [
        (number, *values) for number, (_, values) in enumerate(lines, 2) if isinstance(values, tuple)
    ]
    assert [row["line"] for row in refused(batches)] == [number for number, (_, values) in enumerate(lines, 2) if values is None]


@given(data=st.lists(st.binary(max_size=40) | st.sampled_from([b'"', b"\r", GOOD.encode(), b"," * 9, HEADER.encode()]), max_size=20))
def test_every_line_is_a_row_or_refused_or_passed_over(data: list[bytes]) -> None:
    body = b"\n".join(data) + b"\n"
    with TemporaryDirectory() as folder:
        _, batches = read(write(Path(folder), HEADER.encode() + b"\n" + body))
    found = [int(str(row["line"])) for row in rows(batches) + refused(batches)]
    assert len(set(found)) == len(found)
    assert {number for number, line in enumerate(body.split(b"\n")[:-1], 2) if line.strip()} <= set(found)
    assert len(found) + sum(batch.passed_over for batch in batches) == body.count(b"\n") + 1
