"""`rrr fetch` and `rrr prove` as a user starts them, on a venue's server of this machine that serves simulated days."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from rrr_assets.warehouse.home import Home
from rrr_assets_tests.dagster_platform import days_from, land, rows
from rrr_assets_tests.venue_server import Answer, VenueServer, archive_path, checksum, rewritten, serve_simulated, serving
from rrr_assets_tests.warm import rrr

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
BTC, ETH, BTC_USDM = "binance:BTCUSDT", "binance:ETHUSDT", "binance-usdm:BTCUSDT"

# Each simulation numbers its trades from the same id on: days of two simulations of an instrument may not lie side by side.


@pytest.fixture
def venue(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[VenueServer]:
    assert instance
    with serving() as served:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("RRR_BINANCE_VISION_URL", served.url)
        yield served


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "rrr_assets.cli", *words]


def answered(*words: str) -> tuple[int, dict[str, Any], str]:
    done = rrr(*words, "--json")
    assert len(done.stdout.splitlines()) == 1, done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def fetch(*words: str) -> tuple[int, dict[str, Any], str]:
    return answered("fetch", "binance-vision", *words)


def klines(day: date, symbol: str = "BTCUSDT") -> str:
    return f"data/spot/daily/klines/{symbol}/1m/{symbol}-1m-{day}.zip"


def trades(day: date, symbol: str = "BTCUSDT") -> str:
    return f"data/spot/daily/trades/{symbol}/{symbol}-trades-{day}.zip"


def zips(venue: VenueServer) -> list[str]:
    """Files that were asked for, without their checksums."""
    return [path for path, _ in venue.requests if path.endswith(".zip")]


# --- prove ------------------------------------------------------------------------------------------------------


def test_a_day_is_proven_and_the_second_time_nothing_is_downloaded(venue: VenueServer, tmp_path: Path) -> None:
    (day,) = days_from(date(2024, 1, 2), 1)
    serve_simulated(venue, tmp_path, [day], 3000)
    done = rrr("prove", BTC, str(day))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "downloaded              2 files" in done.stdout
    assert " of 1440 equal" in done.stdout
    assert "(the venue lists bars without trades)" in done.stdout
    assert "unexplained             0" in done.stdout
    assert sorted(zips(venue)) == sorted([klines(day), trades(day)])

    venue.requests.clear()
    again = rrr("prove", BTC, str(day))
    assert again.returncode == 0, again.stdout + again.stderr
    assert venue.requests == []
    assert again.stdout.splitlines()[:2] == ["downloaded              nothing", "already here            2 files"]
    assert again.stdout.splitlines()[2:] == done.stdout.splitlines()[2:]

    code, told, _ = answered("prove", BTC, str(day))
    assert (code, told["is_good"], told["differences"]) == (0, True, [])
    (empty,) = told["explained"].values()
    assert told["equal"] > 500
    assert told["equal"] + empty + told["nowhere"] == told["bars_in_day"] == 1440
    assert told["nowhere"] == 0
    left = [path.name for path in (Home.current().landing / "fetched").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert sorted(left) == sorted(f"{Path(path).name}.sha256" for path in (klines(day), trades(day)))


@pytest.mark.parametrize(("interval", "bars"), [("5m", 288), ("1h", 24), ("1d", 1)])
def test_longer_bars_of_another_market_are_proven(venue: VenueServer, tmp_path: Path, interval: str, bars: int) -> None:
    day = date(2024, 1, 2)
    serve_simulated(venue, tmp_path, [day], 3000, [BTC_USDM])
    code, told, errors = answered("prove", BTC_USDM, str(day), "--interval", interval)
    assert code == 0, errors
    assert (told["bars_in_day"], told["unexplained"], told["nowhere"]) == (bars, 0, 0)
    assert told["equal"] + sum(told["explained"].values()) == bars
    assert told["equal"] > bars * 3 // 4


def test_klines_that_were_tampered_with_are_shown_and_fail(venue: VenueServer, tmp_path: Path) -> None:
    day = date(2024, 2, 1)
    serve_simulated(venue, tmp_path, [day], 3000)
    path = klines(day)
    values: dict[str, tuple[str, str]] = {}

    def tamper(lines: list[list[str]]) -> None:
        traded = [line for line in lines if int(line[8]) and line[1] != line[4]]
        more, one_more, other = sorted(traded, key=lambda line: int(line[8]))[-3:]
        # The last is another price inside the bar's bounds.
        changes = (
            ("volume", more, 5, f"{more[5]}1"),
            ("trade_count", one_more, 8, f"{int(one_more[8]) + 1}"),
            ("open", other, 1, other[4]),
        )
        for field, line, column, theirs in changes:
            values[field] = line[column], theirs
            line[column] = theirs

    venue.files[path] = rewritten(venue.files[path], tamper)
    code, told, errors = answered("prove", BTC, str(day))
    assert (code, errors) == (1, "")
    assert (told["unexplained"], told["uncovered"], told["is_good"]) == (3, {}, False)
    assert sorted(found["field"] for found in told["differences"]) == sorted(values)
    shown = rrr("prove", BTC, str(day))
    assert shown.returncode == 1
    for found in told["differences"]:
        field, (ours, theirs) = found["field"], values[found["field"]]
        assert (found["verdict"], found["rule"]) == ("unexplained", None)
        assert ours.startswith(found["ours"])
        assert theirs.startswith(found["theirs"])
        assert found["ours"] != found["theirs"]
        assert f"  {found['bar_start']} {field}: ours {found['ours']}, theirs {found['theirs']}: unexplained\n" in shown.stdout


def test_a_bar_of_one_side_alone_is_shown_and_fails(venue: VenueServer, tmp_path: Path) -> None:
    day = date(2024, 2, 10)
    serve_simulated(venue, tmp_path, [day], 3000)
    path = klines(day)

    def drop(lines: list[list[str]]) -> None:
        lines.remove(next(line for line in lines if int(line[8])))

    venue.files[path] = rewritten(venue.files[path], drop)
    code, told, _ = answered("prove", BTC, str(day))
    assert code == 1
    (found,) = told["differences"]
    assert (found["field"], found["theirs"], found["verdict"]) == ("bar", None, "unexplained")
    assert "volume" in found["ours"]


def test_a_trade_that_is_missing_leaves_its_minute_unproven(venue: VenueServer, tmp_path: Path) -> None:
    day = date(2024, 2, 13)
    serve_simulated(venue, tmp_path, [day], 3000)
    path = trades(day)
    venue.files[path] = rewritten(venue.files[path], lambda lines: lines.pop(1000))
    done = rrr("prove", BTC, str(day))
    assert done.returncode == 1
    assert "uncovered               1 (our tape does not span the bar)" in done.stdout
    assert "volume: ours " in done.stdout
    assert "Not proven" in done.stdout


def test_a_day_that_the_venue_does_not_have_fails_in_a_line(venue: VenueServer) -> None:
    done = rrr("prove", "binance:NOSUCHUSDT", "2024-02-16")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2
    assert all("the venue has no such file (404)" in line and venue.url in line for line in done.stderr.splitlines())
    assert "Good" not in done.stdout


def test_it_works_from_nothing(venue: VenueServer, tmp_path: Path) -> None:
    day = date(2024, 1, 2)
    serve_simulated(venue, tmp_path / "made", [day], 2000)
    home = tmp_path / "home"
    environment = {name: value for name, value in os.environ.items() if name not in {"RRR_HOME", "DAGSTER_HOME"}}
    try:
        words = command("prove", BTC, str(day), "--home", str(home), "--base-url", venue.url)
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, timeout=300, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert " of 1440 equal" in done.stdout
    finally:
        subprocess.run(command("down"), check=True, cwd=ROOT, env={**environment, "RRR_HOME": str(home)}, capture_output=True)
        shutil.rmtree(home)


# --- fetch ------------------------------------------------------------------------------------------------------


def test_a_range_is_taken_in_and_what_is_not_there_costs_no_other(venue: VenueServer, tmp_path: Path) -> None:
    days = days_from(date(2024, 3, 1), 3)
    serve_simulated(venue, tmp_path, days, 900, [ETH])
    del venue.files[trades(days[1], "ETHUSDT")]
    venue.answers[trades(days[0], "ETHUSDT")] = [Answer(cut_after=500), Answer(503, {"Retry-After": "1"})]
    code, told, errors = fetch(ETH, f"{days[0]}..{days[2]}", "--kind", "trades", "--kind", "klines")
    assert code == 1
    (failure,) = told["failures"]
    assert "ETHUSDT-trades-2024-03-02.zip: the venue has no such file (404)" in failure
    assert f"rrr: {failure}" in errors.splitlines()
    assert len(told["downloaded"]) == 5
    assert told["days"] == [day.isoformat() for day in days]
    assert len(told["runs"]) == 1
    assert told["bytes_downloaded"] == sum(len(venue.files[path]) for path in set(zips(venue)) & set(venue.files))
    stored = rows("select count(*) from raw_trades where instrument = %s", ETH)
    assert stored == [(told["rows_stored"] - 3 * 1440,)]

    code, again, _ = fetch(ETH, *(str(day) for day in (days[0], days[2])))
    assert (code, again["downloaded"], len(again["already_here"]), again["runs"]) == (0, [], 2, [])


def test_what_was_ingested_by_hand_is_not_downloaded(venue: VenueServer, tmp_path: Path) -> None:
    day = date(2024, 3, 8)
    written = serve_simulated(venue, tmp_path, [day], 300)
    ingested = rrr("ingest", str(written[trades(day)].path), "--format", "binance-vision-trades")
    assert ingested.returncode == 0, ingested.stderr
    code, told, _ = fetch(BTC, str(day))
    assert (code, told["downloaded"], told["already_here"]) == (0, [], [f"BTCUSDT-trades-{day}.zip"])
    assert [path for path, _ in venue.requests] == [f"{trades(day)}.CHECKSUM"]


def test_what_landed_and_still_waits_is_taken_in_without_a_download(venue: VenueServer, tmp_path: Path) -> None:
    day = date(2024, 4, 9)
    written = serve_simulated(venue, tmp_path, [day], 300)
    land(tmp_path, [written[trades(day)]])
    code, told, errors = fetch(BTC, str(day))
    assert code == 0, errors
    assert (told["downloaded"], len(told["runs"])) == ([], 1)
    assert zips(venue) == []
    assert rows("select count(*) from raw_trades where event_time >= %s and event_time < %s", day, date(2024, 4, 10)) == [(300,)]


def test_wrong_sums_are_refused_with_both_and_nothing_is_taken_in(venue: VenueServer, tmp_path: Path) -> None:
    day = date(2024, 4, 13)
    serve_simulated(venue, tmp_path, [day], 300)
    venue.checksums[trades(day)] = [b"0" * 64 + b"  other.zip\n"]
    code, told, _ = fetch(BTC, str(day))
    assert (code, told["files"]) == (1, 0)
    assert "0" * 64 in told["failures"][0]
    assert zips(venue) == [trades(day)] * 2


@pytest.mark.parametrize(("day", "has_checksum"), [("2024-05-01", True), ("2024-05-02", False)])
def test_garbage_is_refused_by_the_format(venue: VenueServer, day: str, has_checksum: bool) -> None:
    path = trades(date.fromisoformat(day))
    venue.files[path] = b"<html>Service unavailable</html>\n"
    if not has_checksum:
        venue.without_checksum.add(path)
    for _ in range(2):
        code, told, errors = fetch(BTC, day)
        assert (code, told["files"], len(told["failures"])) == (1, 0, 1)
        assert f"BTCUSDT-trades-{day}.zip" in errors
    # What no checksum speaks for may be better the next time.
    assert zips(venue) == [path] * (1 if has_checksum else 2)


def test_a_file_without_a_checksum_is_taken_in_and_said(venue: VenueServer, tmp_path: Path) -> None:
    day = date(2024, 4, 17)
    serve_simulated(venue, tmp_path, [day], 300)
    venue.without_checksum.add(trades(day))
    code, told, _ = fetch(BTC, str(day))
    assert (code, told["rows_stored"], told["without_checksum"]) == (0, 300, [f"BTCUSDT-trades-{day}.zip"])
    code, told, _ = fetch(BTC, str(day))
    assert (code, told["downloaded"]) == (0, [])


def test_a_file_that_the_venue_replaced_is_fetched_when_asked_for(venue: VenueServer, tmp_path: Path) -> None:
    day = date(2024, 4, 21)
    serve_simulated(venue, tmp_path, [day], 300)
    whole = venue.files[trades(day)]
    venue.files[trades(day)] = rewritten(whole, lambda lines: lines.pop(100))
    assert fetch(BTC, str(day))[1]["rows_stored"] == 299
    venue.files[trades(day)] = whole
    assert fetch(BTC, str(day))[1]["downloaded"] == []
    code, told, _ = fetch(BTC, str(day), "--check")
    assert (code, len(told["downloaded"]), told["rows_stored"], told["duplicates"]) == (0, 1, 1, 299)
    assert len(fetch(BTC, str(day), "--check")[1]["already_here"]) == 1


def test_two_commands_that_want_the_same_files_fetch_them_once(venue: VenueServer, tmp_path: Path) -> None:
    days = days_from(date(2024, 4, 25), 2)
    serve_simulated(venue, tmp_path, days, 600)
    venue.answers[trades(days[0])] = [Answer(bytes_at_once=1000, pause_seconds=0.2)]
    words = command("fetch", "binance-vision", BTC, f"{days[0]}..{days[1]}", "--json")
    both = [subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = []
    for process in both:
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        told.append(json.loads(out))
    assert sorted(len(each["downloaded"]) for each in told) == [0, 2]
    assert sum(each["rows_stored"] for each in told) == 600
    assert sorted(zips(venue)) == sorted(trades(day) for day in days)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("fetch", "binance-vision", "kraken:XBTUSD", "2024-01-02"), "the archive has files of"),
        (("fetch", "binance-vision", "nowhere:X", "2024-01-02"), "nowhere"),
        (("fetch", "binance-vision", BTC, "2024-01-02..2024-01-01"), "ends before it begins"),
        (("fetch", "binance-vision", BTC, "2024-01-02", "--interval", "7m"), "no venue has bars of '7m'"),
        (("fetch", "binance-vision", BTC, "2024-01-02", "--base-url", "ftp://x"), "is no address of a server"),
        (("prove", BTC, "2024-01-02", "--interval", "3m"), "we make no bars of '3m'"),
        (("prove", BTC, "yesterday"), "is no day"),
    ],
)
def test_wrong_usage_is_told(words: tuple[str, ...], says: str) -> None:
    done = rrr(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_the_simulated_files_lie_where_the_venue_keeps_them(venue: VenueServer, tmp_path: Path) -> None:
    """The server's paths are written out apart from the platform's: that a file is found shows them equal."""
    written = serve_simulated(venue, tmp_path, [date(2024, 1, 2)], 50, [BTC, BTC_USDM])
    assert {archive_path(file) for file in written.values()} >= {klines(date(2024, 1, 2)), trades(date(2024, 1, 2))}
    assert checksum(venue.files[trades(date(2024, 1, 2))], trades(date(2024, 1, 2))) == venue.content(
        f"{trades(date(2024, 1, 2))}.CHECKSUM"
    )
