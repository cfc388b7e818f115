"""Aggregated trades, quotes and depth in the graph: what a file feeds is materialised and nothing else, and their checks say what is wrong.

The capture holds three streams of one instrument, message by message as the venue sends them.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from rrr_assets.cli.runs import RunTold, materialize
from rrr_assets.definitions import defs
from rrr_assets.resources.requests import assets_of
from rrr_assets.resources.warehouse import Warehouse
from rrr_assets.ticks import landing
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.dagster_platform import (
    ASSETS,
    BARS,
    CHECKS,
    FED_BY_TRADES,
    REFRESHED,
    TICKS,
    evaluations,
    execute,
    failures,
    materializations,
    rows,
    run_job,
)
from rrr_assets_tests.graph.test_cli_runs import ROOT, command
from rrr_assets_tests.graph.test_sensors import CHANGED_ONLY, accept, asked, put_in_inbox, settle, span
from rrr_assets_tests.warm import rrr

pytestmark = pytest.mark.slow

BTC, ETH = "binance:BTCUSDT", "binance:ETHUSDT"
TABLES = (*ASSETS, "coverage", "quarantine")
Line = tuple[int, dict[str, Any]]


def start_of(day: date) -> int:
    """Milliseconds since 1970 UTC."""
    return int(datetime(day.year, day.month, day.day, 10, tzinfo=UTC).timestamp()) * 1000


def id_of(day: date, n: int) -> int:
    """The number of a message: those of one day lie far from those of the next."""
    return day.toordinal() * 10_000 + n


def trade(day: date, n: int, symbol: str = "BTCUSDT") -> Line:
    at = start_of(day) + n * 700
    data = {"e": "trade", "E": at, "s": symbol, "t": id_of(day, n), "p": f"{27_000 + n % 5}.10", "q": "0.5", "T": at, "m": n % 2 == 0}
    return at + 8, {"stream": f"{symbol.lower()}@trade", "data": data}


def agg_trade(day: date, n: int, symbol: str = "BTCUSDT") -> Line:
    at = start_of(day) + n * 700
    first = id_of(day, 2 * n)
    numbers = {"a": id_of(day, n), "p": f"{27_000 + n % 5}.10", "q": "1.0", "f": first, "l": first + 1, "T": at}
    return at + 8, {
        "stream": f"{symbol.lower()}@aggTrade",
        "data": {"e": "aggTrade", "E": at, "s": symbol, **numbers, "m": False, "M": True},
    }


def quote(day: date, n: int, symbol: str = "BTCUSDT", bid: str = "27000.10", ask: str = "27000.20") -> Line:
    data = {"u": id_of(day, n), "s": symbol, "b": bid, "B": "1.5", "a": ask, "A": "2.25"}
    return start_of(day) + n * 650 + 9, {"stream": f"{symbol.lower()}@bookTicker", "data": data}


def change(day: date, n: int, symbol: str = "BTCUSDT") -> Line:
    at = start_of(day) + n * 1000
    numbers = {"U": id_of(day, 10 * n), "u": id_of(day, 10 * n + 9)}
    data = {"e": "depthUpdate", "E": at, "s": symbol, **numbers, "b": [["27000.10", "1.5"]], "a": [["27000.20", "0.00000000"]]}
    return at + 7, {"stream": f"{symbol.lower()}@depth", "data": data}


def write(path: Path, lines: Sequence[Line]) -> Path:
    """A capture in the order of arrival."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [f"{at // 1000}.{at % 1000:03}000 {json.dumps(message)}\n" for at, message in sorted(lines, key=lambda line: line[0])]
    path.write_text("".join(texts), "utf-8")
    return path


def three_streams(folder: Path, day: date, symbol: str = "BTCUSDT") -> Path:
    return write(folder / f"capture-{day}.txt", [made(day, n, symbol) for made in (trade, quote, change) for n in range(60)])


def accept_file(path: Path) -> list[landing.Accepted]:
    with Database.current().connect(Role.WRITER, autocommit=True) as connection:
        return landing.accept(Home.current(), connection, path, "binance-ws", None, None)


def take_in(instance: dg.DagsterInstance, path: Path) -> list[RunTold]:
    """What `rrr ingest` does with one file."""
    accepted = accept_file(path)
    days = sorted({day for stream in accepted for day in stream.days})
    told = list(materialize(instance, days, streams={stream.stream for stream in accepted}))
    assert [run.failure for run in told] == [None] * len(told)
    return told


def of_day(instance: dg.DagsterInstance, day: date) -> set[str]:
    """The assets of which the day is materialised."""
    key = day.isoformat()
    return {name for name in ASSETS if key in instance.get_materialized_partitions(dg.AssetKey(name))}


def state() -> dict[str, tuple[int, str]]:
    """Every table as (rows, hash), whatever the order of storing, but for batches, moments and numbers of rows."""
    row = "(to_jsonb(t) - '{known_at,batch_id,updated_at,quarantine_id,quarantined_at}'::text[])::text"
    hashed = f"coalesce(md5(string_agg({row}, '|' order by {row})), '')"
    return {name: rows(f"select count(*), {hashed} from {name} as t")[0] for name in TABLES}  # noqa: S608  # names of ours


def stamps() -> list[tuple[Any, ...]]:
    return [rows(f"select max(known_at), count(distinct batch_id) from {name}")[0] for name in TICKS]  # noqa: S608  # names of ours


@pytest.fixture(autouse=True)
def clean(empty_home: Home) -> Iterator[None]:
    """Each test begins with nothing that waits."""
    yield
    execute("update landing_days set is_pending = false")
    for path in (empty_home.landing / "inbox").rglob("*"):
        if path.is_file():
            path.unlink()


def test_what_each_stream_feeds() -> None:
    assert assets_of(["quotes"]) == ["raw_quotes"]
    assert assets_of(["depth"]) == ["raw_depth"]
    assert assets_of(["depth", "quotes"]) == ["raw_quotes", "raw_depth"]
    for stream in ("trades", "corrections", "venue_bars"):
        assert assets_of([stream]) == list(FED_BY_TRADES)
    assert assets_of(["agg_trades"]) == ["raw_agg_trades", *FED_BY_TRADES]
    assert set(assets_of(["agg_trades", "quotes", "depth", "trades"])) == {*TICKS, *FED_BY_TRADES}
    assert assets_of([]) == []


def test_a_capture_of_three_streams_goes_through_the_graph(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    day = date(2023, 4, 3)
    accepted = accept_file(three_streams(tmp_path, day))
    assert [(one.stream, one.rows_read, list(one.days)) for one in accepted] == [
        (stream, 60, [day]) for stream in ("trades", "quotes", "depth")
    ]
    result = run_job(instance, [day], selection=assets_of([one.stream for one in accepted]), partition=True)
    assert result.success, failures(result)
    assert of_day(instance, day) == {*FED_BY_TRADES, "raw_quotes", "raw_depth"}
    told = materializations(result)
    for name in ("raw_trades", "raw_quotes", "raw_depth"):
        metadata = told[name, day.isoformat()][0].metadata
        counts = {
            what: metadata[what].value for what in ("rows_read", "rows_stored", "dagster/partition_row_count", "files", "instruments")
        }
        assert counts == {"rows_read": 60, "rows_stored": 60, "dagster/partition_row_count": 60, "files": 1, "instruments": 1}
        assert metadata["missing_instruments"].value == []
        assert rows(f"select count(*) from {name} where instrument = %s", BTC) == [(60,)]  # noqa: S608  # names of ours
    assert told["bars_1m", day.isoformat()][0].metadata["dagster/partition_row_count"].value == 1
    passed = {place[:2]: found[0].passed for place, found in evaluations(result).items() if place[2] == day.isoformat()}
    assert set(passed) == {(name, check) for name in (*FED_BY_TRADES, "raw_quotes", "raw_depth") for check in CHECKS}
    # Its ids do not prove the ends of the day: bars are not complete, and nothing else is amiss.
    assert {place for place, is_good in passed.items() if not is_good} == {
        (name, "quality") for name in (*BARS, "bars_tick", "bars_dollar")
    }
    assert rows("select is_pending from landing_days") == [(False,)] * 3


def test_the_same_capture_again_changes_nothing(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    day = date(2023, 4, 4)
    path = three_streams(tmp_path, day)
    take_in(instance, path)
    before, stamped = state(), stamps()
    log = rows("select max(invalidation_id) from invalidation_log")
    take_in(instance, path)
    # The same messages under another name, with more of them.
    longer = write(tmp_path / "longer.txt", [made(day, n) for made in (trade, quote, change) for n in range(59)])
    take_in(instance, longer)
    assert state() == before
    assert stamps() == stamped
    assert rows("select max(invalidation_id) from invalidation_log") == log


def test_two_ingests_at_once(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Two captures that share a half, taken in at once: each row is stored once."""
    day = date(2023, 4, 5)
    paths = [
        write(tmp_path / f"{number}.txt", [made(day, n) for made in (trade, agg_trade, quote, change) for n in range(first, first + 80)])
        for number, first in enumerate((0, 40))
    ]
    # Processes, as two people's command lines are: Dagster sets logging up for each run, which two threads cannot do at once.
    words = ("ingest", "--format", "binance-ws", "--json")
    both = [subprocess.Popen(command(*words, str(path)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for path in paths]
    for process in both:
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        told = json.loads(out)
        assert told["rows_read"] == told["rows_stored"] + told["duplicates"] == 320
    bounds = (day, day)
    for name in TICKS:
        found = f"select count(*), count(distinct sequence) from {name} where event_time >= %s and event_time < %s::date + 1"  # noqa: S608  # names of ours
        assert rows(found, *bounds) == [(120, 120)]
    assert of_day(instance, day) == {*TICKS, *FED_BY_TRADES}
    assert rows("select sum(trade_count) from bars_1m where bar_start >= %s and bar_start < %s::date + 1", *bounds) == [(120,)]
    assert rows("select count(*) from landing_days where is_pending") == [(0,)]
    for name in TICKS:
        assert all(result.broken == 0 for result in Warehouse().check(name, day)), name


def test_a_capture_in_the_inbox_becomes_one_request_of_what_it_feeds(
    instance: dg.DagsterInstance, empty_home: Home, tmp_path: Path
) -> None:
    day = date(2023, 4, 6)
    path = put_in_inbox(empty_home, three_streams(tmp_path, day), "binance-ws")
    (request,) = asked(instance)
    assert request.job_name == "accept_landing_files"
    assert accept(instance).success
    assert not path.exists()
    settle()
    (request,) = asked(instance)
    assert (request.job_name, span(request)) == ("venues_to_bars", (day.isoformat(), day.isoformat()))
    wanted = {*FED_BY_TRADES, "raw_quotes", "raw_depth"}
    assert {key.to_user_string() for key in request.asset_selection or ()} == wanted
    told = {(key.asset_key.to_user_string(), key.name) for key in request.asset_check_keys or ()}
    assert told == {(name, check) for name in wanted for check in CHECKS}  # no check that has a time of its own
    assert request.run_config == {"ops": {name: {"config": CHANGED_ONLY} for name in REFRESHED if name in FED_BY_TRADES}}
    result = _run(instance, request)
    assert result.success, failures(result)
    assert of_day(instance, day) == wanted
    settle()
    assert asked(instance) == []


def test_files_of_other_streams_are_requests_of_their_own(instance: dg.DagsterInstance, empty_home: Home, tmp_path: Path) -> None:
    """Quotes of one day, trades of the next and depth of the third: three requests, none of which touches what another one feeds."""
    days = [date(2023, 4, number) for number in (10, 11, 12)]
    for made, day, feeds in zip((quote, trade, change), days, ({"raw_quotes"}, {*FED_BY_TRADES}, {"raw_depth"}), strict=True):
        put_in_inbox(empty_home, write(tmp_path / f"{made.__name__}.txt", [made(day, n) for n in range(30)]), "binance-ws")
        assert of_day(instance, day) == set(), feeds
    assert accept(instance).success
    settle()
    requests = {span(request)[0]: request for request in asked(instance)}
    assert set(requests) == {day.isoformat() for day in days}
    for day, feeds in zip(days, ({"raw_quotes"}, {*FED_BY_TRADES}, {"raw_depth"}), strict=True):
        request = requests[day.isoformat()]
        assert {key.to_user_string() for key in request.asset_selection or ()} == feeds
        assert set(request.run_config.get("ops", {})) == feeds & {*REFRESHED}
        result = _run(instance, request)
        assert result.success, failures(result)
        assert {place[0] for place in materializations(result)} == feeds
        assert of_day(instance, day) == feeds


def test_the_same_streams_of_days_in_a_row_are_one_request(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    days = [date(2023, 5, number) for number in (1, 2, 3)]
    for day in days:
        accept_file(write(tmp_path / f"{day}.txt", [quote(day, n) for n in range(20)]))
    settle()
    (request,) = asked(instance)
    assert span(request) == ("2023-05-01", "2023-05-03")
    assert [key.to_user_string() for key in request.asset_selection or ()] == ["raw_quotes"]
    # A trade of the middle day, and it is a request of another kind.
    accept_file(write(tmp_path / "trades.txt", [trade(days[1], n) for n in range(20)]))
    settle()
    wanted = {span(request): {key.to_user_string() for key in request.asset_selection or ()} for request in asked(instance)}
    assert wanted == {
        ("2023-05-01", "2023-05-01"): {"raw_quotes"},
        ("2023-05-02", "2023-05-02"): {"raw_quotes", *FED_BY_TRADES},
        ("2023-05-03", "2023-05-03"): {"raw_quotes"},
    }


def _run(instance: dg.DagsterInstance, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    """What the daemon does of a request."""
    config: Mapping[str, Any] = {**(request.run_config or {}), "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    job = defs.resolve_job_def(request.job_name or "refresh_bars")
    if request.asset_selection:
        job = job.get_subset(asset_selection={*request.asset_selection}, asset_check_selection={*(request.asset_check_keys or ())})
    return job.execute_in_process(instance=instance, run_config=config, tags=request.tags, raise_on_error=False)


def checked(instance: dg.DagsterInstance, name: str, day: date) -> dict[str, dg.AssetCheckEvaluation]:
    """The day's check results of one asset, from a run of that asset alone."""
    result = run_job(instance, [day], selection=[name], partition=True)
    key = day.isoformat()
    return {check: found[0] for (asset, check, of), found in evaluations(result).items() if (asset, of) == (name, key)}


def told(evaluation: dg.AssetCheckEvaluation) -> dict[str, str]:
    return {rule: str(value.value) for rule, value in evaluation.metadata.items()}


def test_a_crossed_quote_warns(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    day = date(2023, 6, 1)
    quotes = [quote(day, n) for n in range(20)]
    accept_file(write(tmp_path / "good.txt", quotes))
    found = checked(instance, "raw_quotes", day)
    assert all(evaluation.passed for evaluation in found.values())
    assert told(found["quality"])["the bid is below the ask"] == "kept by all 20"
    accept_file(write(tmp_path / "crossed.txt", [quote(day, 30, bid="27000.30"), quote(day, 31, bid="", ask="27000.20")]))
    found = checked(instance, "raw_quotes", day)
    assert found["integrity"].passed
    assert not found["quality"].passed
    assert found["quality"].severity is dg.AssetCheckSeverity.WARN
    assert told(found["quality"])["the bid is below the ask"].startswith(f"broken by 1 of 22: {BTC} at 2023-06-01 10:00:19.5")


def test_a_depth_jump_warns(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    day = date(2023, 6, 2)
    changes = [change(day, n) for n in range(20)]
    accept_file(write(tmp_path / "changes.txt", changes[:12] + changes[13:]))
    found = checked(instance, "raw_depth", day)
    assert found["integrity"].passed
    assert not found["quality"].passed
    rule = "changes follow each other without a jump"
    assert told(found["quality"])[rule] == f"broken by 1 of 19: {BTC}: updates {id_of(day, 120)} to {id_of(day, 129)}"
    # What was missing comes from another capture.
    accept_file(write(tmp_path / "more.txt", changes[10:15]))
    found = checked(instance, "raw_depth", day)
    assert found["quality"].passed
    assert told(found["quality"])[rule] == "kept by all 20"


def test_depth_of_futures_has_no_jumps_by_its_ids(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    day = date(2023, 6, 3)
    changes = []
    for n in range(10):
        at, message = change(day, 3 * n)
        message["data"] |= {"T": message["data"]["E"], "pu": 1}
        changes.append((at, message))
    accept_file(write(tmp_path / "futures.txt", changes))
    found = checked(instance, "raw_depth", day)
    assert rows("select distinct instrument from raw_depth where event_time >= %s and event_time < %s::date + 1", day, day) == [
        ("binance-usdm:BTCUSDT",)
    ]
    assert all(evaluation.passed for evaluation in found.values())


def test_a_missing_aggregate_id_warns_until_it_comes(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    day = date(2023, 6, 4)
    made = [agg_trade(day, n) for n in range(30)]
    accept_file(write(tmp_path / "some.txt", made[:10] + made[13:]))
    found = checked(instance, "raw_agg_trades", day)
    assert found["integrity"].passed
    assert not found["quality"].passed
    rule = "no id missing between the first and the last"
    assert told(found["quality"])[rule] == f"broken by 3 of 27: {BTC}: 3 ids"
    accept_file(write(tmp_path / "rest.txt", made[8:15]))
    found = checked(instance, "raw_agg_trades", day)
    assert found["quality"].passed
    assert told(found["quality"])[rule] == "kept by all 30"


@pytest.mark.parametrize("name", TICKS[1:])
def test_broken_integrity_of_a_stream_stops_the_run(instance: dg.DagsterInstance, tmp_path: Path, name: str) -> None:
    made = {"raw_agg_trades": agg_trade, "raw_quotes": quote, "raw_depth": change}[name]
    day = date(2023, 7, 1 + TICKS.index(name))
    accept_file(write(tmp_path / "rows.txt", [made(day, n) for n in range(20)]))
    assert all(evaluation.passed for evaluation in checked(instance, name, day).values())
    window = "event_time >= %s and event_time < %s::date + 1"
    # The same id at another time gets past the unique index, which holds event_time.
    execute(
        f"insert into {name} select (jsonb_populate_record(t, jsonb_build_object('event_time', t.event_time + interval '1 second',"  # noqa: S608  # names of ours
        " 'available_at', t.available_at + interval '1 second'))).*"
        f" from {name} as t where {window} limit 1",
        day,
        day,
    )
    found = checked(instance, name, day)
    assert not found["integrity"].passed
    assert found["integrity"].blocking
    broken = {rule for rule, what in told(found["integrity"]).items() if what.startswith("broken")}
    assert broken == {"each row once", "rows equal the coverage ledger"}
    assert told(found["integrity"])["rows equal the coverage ledger"] == f"broken by 1 of 1: {BTC}: 20 in the ledger, 21 stored"
    result = run_job(instance, [day], partition=True)
    assert not result.success
    # Bars are made of aggregated trades, where these are declared; of quotes and depth nothing is made yet.
    assert (day.isoformat() in instance.get_materialized_partitions(dg.AssetKey("bars_1m"))) == (name != "raw_agg_trades")


def test_refused_rows_of_a_stream_warn_in_it_alone(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    day = date(2023, 8, 1)
    bad = quote(day, 5, bid="n/a")
    lines = [made(day, n) for made in (trade, quote, change) for n in range(20) if made is not quote or n != 5]
    take_in(instance, write(tmp_path / "capture.txt", [*lines, bad]))
    assert rows("select reason, instrument from quarantine where day = %s", day) == [("not_a_number", BTC)]
    broken = {
        name: [result.rule for result in Warehouse().check(name, day) if result.broken]
        for name in ("raw_trades", "raw_quotes", "raw_depth")
    }
    assert broken == {"raw_trades": [], "raw_quotes": ["no row waits in quarantine"], "raw_depth": []}


def test_who_is_expected_in_which_stream(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """An instrument is expected in the stream that its bars are made from, and nobody in quotes."""
    day = date(2023, 9, 1)
    take_in(instance, write(tmp_path / "eth.txt", [made(day, n, "ETHUSDT") for made in (trade, agg_trade, quote) for n in range(20)]))
    execute("update instruments set listed_on = %s", day)
    try:
        assert {stream: Warehouse().held(stream, day).missing for stream in ("trades", "agg_trades", "quotes", "depth")} == {
            "trades": ("binance-usdm:BTCUSDT", BTC), "agg_trades": (), "quotes": (), "depth": (),
        }  # fmt: skip
        execute("update instruments set bars_stream = 'agg_trades' where instrument like '%%BTCUSDT'")
        assert Warehouse().held("trades", day).missing == ()
        assert Warehouse().held("agg_trades", day).missing == ("binance-usdm:BTCUSDT", BTC)
        rule = "every expected instrument is there"
        broken = {name: [r.broken for r in Warehouse().check(name, day) if r.rule == rule] for name in ("raw_trades", "raw_agg_trades")}
        assert broken == {"raw_trades": [0], "raw_agg_trades": [2]}
    finally:
        execute("update instruments set listed_on = null, bars_stream = 'trades'")


def test_another_stream_is_declared_on_the_command_line(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """`rrr instruments set --bars-stream`: the sensor asks for the days that are held of that stream, and their bars are made of it."""
    day, other = date(2023, 10, 1), date(2023, 10, 2)
    name = "binance:SOLUSDT"
    take_in(instance, write(tmp_path / "a.txt", [made(day, n, "SOLUSDT") for made in (trade, agg_trade) for n in range(20)]))
    take_in(instance, write(tmp_path / "b.txt", [trade(other, n, "SOLUSDT") for n in range(20)]))
    sums = "select bar_start::date, sum(trade_count) from bars_1d where instrument = %s group by 1 order by 1"
    assert rows(sums, name) == [(day, 20), (other, 20)]
    settle()
    # Bars by what was traded follow by the log.
    for request in asked(instance, "invalidation_log"):
        assert _run(instance, request).success
    settle()
    assert asked(instance, "invalidation_log") == []
    for words, code, says in (
        (("--bars-stream", "quotes"), 2, "is not one of 'trades', 'agg_trades'"),
        ((), 2, "--bars-stream"),
        (("--bars-stream", "trades"), 0, f"{name}: bars_stream trades from now on"),
    ):
        done = rrr("instruments", "set", name, *words)
        assert done.returncode == code, done.stderr
        assert says in " ".join(done.stderr.split()), done.stderr
    settle()
    assert asked(instance, "invalidation_log") == []
    done = rrr("instruments", "set", name, "--bars-stream", "agg_trades")
    assert done.returncode == 0, done.stderr
    assert "bars of 1 day are to be made again, 2023-10-01 to 2023-10-01" in " ".join(done.stderr.split())
    settle()
    (request,) = asked(instance, "invalidation_log")
    assert span(request) == (day.isoformat(), day.isoformat())
    result = _run(instance, request)
    assert result.success, failures(result)
    assert rows(sums, name) == [(day, 40), (other, 20)]
    settle()
    assert asked(instance, "invalidation_log") == []
    # The main job finds bars that stand as they should on both days.
    result = run_job(instance, [day, other])
    assert result.success, failures(result)
    assert rows(sums, name) == [(day, 40), (other, 20)]
