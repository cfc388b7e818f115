"""Files by HTTP from a server that misbehaves: what is here at the end is whole and right, or is not here."""

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rrr_assets.calc.quality_config import QualityConfigRefused, read_settings
from rrr_assets.cli.fetch import _periods
from rrr_assets.sources import binance_rest, mirror
from rrr_assets.sources.binance_vision import FOLDERS, Period, address, archive_file
from rrr_assets.sources.download import (
    Downloaded,
    Downloader,
    DownloadFailed,
    NoSuchFile,
    Patience,
    WrongChecksum,
    claim,
    receipt,
    write_receipt,
)
from rrr_assets.venues import names
from rrr_assets_tests.misbehaving import REST_PATH
from rrr_assets_tests.venue_server import Answer, VenueServer, checksum, serving

DAY = "data/day.zip"
CONTENT = bytes(range(256)) * 1200
OTHER = CONTENT[::-1]
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = Patience(attempts=4, connect_seconds=5, read_seconds=5, first_wait_seconds=0.01, longest_wait_seconds=0.02)


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> Iterator[VenueServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as served:
        served.files[DAY] = CONTENT
        yield served


def fetched(venue: VenueServer, target: Path, patience: Patience = QUICK, path: str = DAY) -> Downloaded:
    with Downloader(patience) as downloader:
        return downloader.fetch(f"{venue.url}/{path}", target)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def assert_whole(done: Downloaded, content: bytes = CONTENT) -> None:
    sha256 = hashlib.sha256(content).hexdigest()
    assert done.path.read_bytes() == content
    assert (done.size_bytes, done.sha256) == (len(content), sha256)
    assert receipt(done.path) == sha256
    assert names_in(done.path.parent) == {done.path.name, f"{done.path.name}.CHECKSUM", f"{done.path.name}.sha256"}
    assert done.path.with_name(f"{done.path.name}.CHECKSUM").read_bytes() == checksum(content, done.path.name)


# --- as it should be --------------------------------------------------------------------------------------------


def test_a_file_comes_whole_with_its_checksum_and_once(venue: VenueServer, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "below" / "day.zip"
    told: list[tuple[int, int | None]] = []
    with Downloader(QUICK) as downloader:
        done = downloader.fetch(f"{venue.url}/{DAY}", target, lambda *each: told.append(each))
        assert_whole(done)
        assert (done.is_checked, done.bytes_read) == (True, len(CONTENT))
        assert told[0] == (0, len(CONTENT))
        assert told[-1] == (len(CONTENT), len(CONTENT))
        venue.requests.clear()
        again = downloader.fetch(f"{venue.url}/{DAY}", target)
    assert (again.sha256, again.bytes_read, again.is_checked) == (SHA256, 0, True)
    assert venue.requests == []


def test_a_file_that_was_damaged_here_is_fetched_anew(venue: VenueServer, tmp_path: Path) -> None:
    target = fetched(venue, tmp_path / "day.zip").path
    target.write_bytes(CONTENT[:-1])
    assert_whole(fetched(venue, target))


def test_a_redirect_is_followed(venue: VenueServer, tmp_path: Path) -> None:
    venue.answers["old.zip"] = [Answer(302, {"Location": f"{venue.url}/{DAY}"})]
    done = fetched(venue, tmp_path / "day.zip", path="old.zip")
    assert (done.path.read_bytes(), done.is_checked) == (CONTENT, False)


# --- broken off -------------------------------------------------------------------------------------------------


def test_what_was_cut_is_gone_on_with(venue: VenueServer, tmp_path: Path) -> None:
    venue.answers[DAY] = [Answer(cut_after=100_000), Answer(cut_after=1)]
    done = fetched(venue, tmp_path / "day.zip")
    assert_whole(done)
    assert venue.of(DAY) == [None, "bytes=100000-", "bytes=100001-"]
    assert done.bytes_read == len(CONTENT)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25)
@given(cuts=st.lists(st.integers(0, 120_000), max_size=3), knows_ranges=st.booleans(), knows_conditions=st.booleans())
def test_wherever_it_is_cut_the_file_is_the_same(venue: VenueServer, cuts: list[int], knows_ranges: bool, knows_conditions: bool) -> None:
    venue.answers[DAY] = [Answer(cut_after=cut) for cut in cuts]
    venue.knows_ranges, venue.knows_conditions = knows_ranges, knows_conditions
    with TemporaryDirectory() as folder:
        assert_whole(fetched(venue, Path(folder) / "day.zip"))


def test_what_an_earlier_process_left_is_gone_on_with(venue: VenueServer, tmp_path: Path) -> None:
    venue.answers[DAY] = [Answer(cut_after=1000)]
    with pytest.raises(DownloadFailed, match=r"1 attempts failed\. What came of it is kept"):
        fetched(venue, tmp_path / "day.zip", Patience(attempts=1))
    assert names_in(tmp_path) == {"day.zip.part", "day.zip.part.json"}
    assert_whole(fetched(venue, tmp_path / "day.zip"))
    assert venue.of(DAY) == [None, "bytes=1000-"]


def test_a_part_whose_last_byte_had_come_is_all_there(venue: VenueServer, tmp_path: Path) -> None:
    venue.answers[DAY] = [Answer(cut_after=len(CONTENT) - 1)]
    with pytest.raises(DownloadFailed):
        fetched(venue, tmp_path / "day.zip", Patience(attempts=1))
    with (tmp_path / "day.zip.part").open("ab") as part:
        part.write(CONTENT[-1:])
    assert_whole(fetched(venue, tmp_path / "day.zip"))
    assert venue.of(DAY) == [None, f"bytes={len(CONTENT)}-"]


def test_a_part_that_is_too_long_is_thrown_away(venue: VenueServer, tmp_path: Path) -> None:
    venue.answers[DAY] = [Answer(cut_after=1000)]
    with pytest.raises(DownloadFailed):
        fetched(venue, tmp_path / "day.zip", Patience(attempts=1))
    (tmp_path / "day.zip.part").write_bytes(CONTENT + b"more")
    assert_whole(fetched(venue, tmp_path / "day.zip"))


def test_a_server_that_ignores_ranges_sends_all_of_it_again(venue: VenueServer, tmp_path: Path) -> None:
    venue.knows_ranges = False
    venue.answers[DAY] = [Answer(cut_after=100_000)]
    told: list[int] = []
    with Downloader(QUICK) as downloader:
        done = downloader.fetch(f"{venue.url}/{DAY}", tmp_path / "day.zip", lambda came, _: told.append(came))
    assert_whole(done)
    assert done.bytes_read == len(CONTENT) + 100_000
    assert told.count(0) == 2
    assert max(told) == len(CONTENT)


@pytest.mark.parametrize(
    "answer",
    [Answer(shift=10), Answer(withheld=10), Answer(shift=10, withheld=10), Answer(416, {"Content-Range": "bytes */5"}), Answer(416)],
)
def test_a_server_that_sends_another_rest_is_not_believed(venue: VenueServer, tmp_path: Path, answer: Answer) -> None:
    venue.without_checksum.add(DAY)
    venue.answers[DAY] = [Answer(cut_after=100_000), answer]
    assert fetched(venue, tmp_path / "day.zip").path.read_bytes() == CONTENT
    assert len(venue.of(DAY)) == 3


@pytest.mark.parametrize("knows_conditions", [True, False])
def test_a_file_that_was_replaced_between_two_parts_is_the_new_one(venue: VenueServer, tmp_path: Path, knows_conditions: bool) -> None:
    def replace(path: str) -> None:
        if path == DAY:
            venue.files[DAY] = OTHER

    venue.knows_conditions = knows_conditions
    venue.answers[DAY] = [Answer(cut_after=100_000)]
    venue.on_answered = replace
    # No checksum that would tell: the tag must.
    venue.without_checksum.add(DAY)
    assert fetched(venue, tmp_path / "day.zip").path.read_bytes() == OTHER


def test_a_file_that_was_replaced_after_its_checksum_was_read_is_the_new_one(venue: VenueServer, tmp_path: Path) -> None:
    def replace(path: str) -> None:
        if path.endswith(".CHECKSUM"):
            venue.files[DAY] = OTHER

    venue.on_answered = replace
    assert_whole(fetched(venue, tmp_path / "day.zip"), OTHER)


@pytest.mark.parametrize("tag", [None, 'W/"weak"'])
def test_without_a_tag_that_promises_equal_bytes_it_is_begun_anew(venue: VenueServer, tmp_path: Path, tag: str | None) -> None:
    venue.tag = lambda _: tag
    venue.answers[DAY] = [Answer(cut_after=100_000)]
    assert_whole(fetched(venue, tmp_path / "day.zip"))
    assert venue.of(DAY) == [None, None]


def test_a_part_of_another_server_is_not_gone_on_with(venue: VenueServer, tmp_path: Path) -> None:
    venue.files["mirror/day.zip"] = CONTENT
    venue.answers["mirror/day.zip"] = [Answer(cut_after=100_000)]
    with pytest.raises(DownloadFailed):
        fetched(venue, tmp_path / "day.zip", Patience(attempts=1), "mirror/day.zip")
    assert_whole(fetched(venue, tmp_path / "day.zip"))
    assert venue.of(DAY) == [None]


# --- slow and busy ----------------------------------------------------------------------------------------------


def test_a_server_that_falls_silent_is_asked_for_the_rest(venue: VenueServer, tmp_path: Path) -> None:
    venue.answers[DAY] = [Answer(bytes_at_once=100_000, pause_seconds=1.5)]
    done = fetched(venue, tmp_path / "day.zip", Patience(attempts=3, read_seconds=0.5, first_wait_seconds=0.01))
    assert_whole(done)
    assert venue.of(DAY) == [None, "bytes=100000-"]


def test_a_server_that_only_drips_has_failed(venue: VenueServer, tmp_path: Path) -> None:
    venue.answers[DAY] = [Answer(bytes_at_once=1, pause_seconds=0.05)]
    patience = Patience(attempts=1, read_seconds=0.5, least_bytes=1000)
    with pytest.raises(DownloadFailed, match=r"only \d+ bytes came in"):
        fetched(venue, tmp_path / "day.zip", patience)


def test_a_slow_server_is_waited_for(venue: VenueServer, tmp_path: Path) -> None:
    venue.answers[DAY] = [Answer(bytes_at_once=50_000, pause_seconds=0.2)]
    assert_whole(fetched(venue, tmp_path / "day.zip", Patience(attempts=1, read_seconds=1, least_bytes=1000)))


def waits_of(venue: VenueServer, target: Path, patience: Patience) -> list[float]:
    waits: list[float] = []
    with Downloader(patience, sleep=waits.append) as downloader:
        downloader.fetch(f"{venue.url}/{DAY}", target)
    return waits


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_given_the_wait_it_asks_for(venue: VenueServer, tmp_path: Path, status: int) -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    venue.answers[DAY] = [Answer(status, {"Retry-After": "7"}), Answer(status, {"Retry-After": in_a_minute})]
    venue.answers[DAY] += [Answer(status, {"Retry-After": "soon"})]
    waits = waits_of(venue, tmp_path / "day.zip", QUICK)
    assert waits[0] == 7
    assert 50 < waits[1] <= 60
    assert waits[2] < 1
    assert (tmp_path / "day.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("path", [f"{DAY}.CHECKSUM", REST_PATH])
def test_short_answers_that_drip_are_given_up_too(venue: VenueServer, path: str) -> None:
    venue.asks[path] = lambda _: b" " * 40
    venue.answers[path] = [Answer(pause_seconds=0.05, bytes_at_once=1)]
    with Downloader(Patience(attempts=1, read_seconds=0.2, least_bytes=1000)) as downloader:
        ask = downloader.read if path == REST_PATH else downloader.published_sha256
        with pytest.raises(DownloadFailed, match=r"only \d bytes came in"):
            ask(f"{venue.url}/{path.removesuffix('.CHECKSUM')}")


@pytest.mark.parametrize("asked", ["9" * 400, "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_wait_without_end_is_a_wait(venue: VenueServer, tmp_path: Path, asked: str) -> None:
    venue.answers[DAY] = [Answer(429, {"Retry-After": asked})]
    with pytest.raises(DownloadFailed, match="asks for a wait of"):
        fetched(venue, tmp_path / "day.zip")


def test_who_asks_for_too_long_a_wait_is_believed_and_told(venue: VenueServer, tmp_path: Path) -> None:
    venue.answers[DAY] = [Answer(429, {"Retry-After": "86400"})]
    with pytest.raises(DownloadFailed, match=r"\(429\) and asks for a wait of 86400 s"):
        fetched(venue, tmp_path / "day.zip")
    assert len(venue.of(DAY)) == 1


def test_waits_double_up_to_a_bound_and_attempts_end(venue: VenueServer, tmp_path: Path) -> None:
    venue.answers[DAY] = [Answer(500)] * 20
    waits: list[float] = []
    said: list[str] = []
    patience = Patience(attempts=6, first_wait_seconds=1, longest_wait_seconds=5)
    with Downloader(patience, say=said.append, sleep=waits.append) as downloader, pytest.raises(DownloadFailed, match="6 attempts failed"):
        downloader.fetch(f"{venue.url}/{DAY}", tmp_path / "day.zip")
    assert len(venue.of(DAY)) == 6
    for wait, least in zip(waits, [1, 2, 4, 5, 5], strict=True):
        assert least <= wait <= least + 1
    assert len(said) == 5
    assert "500 Internal Server Error. Trying again in" in said[0]


def test_nobody_answers(venue: VenueServer, tmp_path: Path) -> None:
    venue.url = "http://127.0.0.1:9"
    with pytest.raises(DownloadFailed, match=r"ConnectError\); 4 attempts failed"):
        fetched(venue, tmp_path / "day.zip")


# --- refused and wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "kind"), [(404, NoSuchFile), (410, NoSuchFile), (403, DownloadFailed), (400, DownloadFailed)])
def test_a_refusal_is_not_asked_for_again(venue: VenueServer, tmp_path: Path, status: int, kind: type[DownloadFailed]) -> None:
    venue.answers[DAY] = [Answer(status)]
    with pytest.raises(DownloadFailed) as refused:
        fetched(venue, tmp_path / "day.zip")
    assert type(refused.value) is kind
    assert str(status) in str(refused.value)
    assert len(venue.of(DAY)) == 1
    assert names_in(tmp_path) == set()


def test_a_password_in_the_address_is_not_told(venue: VenueServer, tmp_path: Path) -> None:
    venue.url = venue.url.replace("://", "://me:secret@")
    venue.answers[DAY] = [Answer(cut_after=1000), Answer(403)]
    with pytest.raises(DownloadFailed) as refused:
        fetched(venue, tmp_path / "day.zip")
    assert "secret" not in str(refused.value) + (tmp_path / "day.zip.part.json").read_text()


def test_wrong_bytes_are_fetched_anew_once(venue: VenueServer, tmp_path: Path) -> None:
    venue.checksums[DAY] = [checksum(OTHER, DAY), checksum(CONTENT, DAY)]
    assert_whole(fetched(venue, tmp_path / "day.zip"))
    assert venue.of(DAY) == [None, None]


def test_a_part_of_wrong_bytes_is_thrown_away(venue: VenueServer, tmp_path: Path) -> None:
    venue.answers[DAY] = [Answer(cut_after=1000)]
    with pytest.raises(DownloadFailed):
        fetched(venue, tmp_path / "day.zip", Patience(attempts=1))
    (tmp_path / "day.zip.part").write_bytes(bytes(1000))
    assert_whole(fetched(venue, tmp_path / "day.zip"))


def test_wrong_bytes_twice_are_refused_with_both_sums(venue: VenueServer, tmp_path: Path) -> None:
    venue.checksums[DAY] = [checksum(OTHER, DAY)]
    with pytest.raises(WrongChecksum) as refused:
        fetched(venue, tmp_path / "day.zip")
    assert SHA256 in str(refused.value)
    assert hashlib.sha256(OTHER).hexdigest() in str(refused.value)
    assert venue.of(DAY) == [None, None]
    assert names_in(tmp_path) == set()


def test_without_a_published_checksum_it_is_taken_and_said(venue: VenueServer, tmp_path: Path) -> None:
    venue.without_checksum.add(DAY)
    (tmp_path / "day.zip.CHECKSUM").write_text("of an older version")
    done = fetched(venue, tmp_path / "day.zip")
    assert (done.is_checked, done.sha256) == (False, SHA256)
    assert names_in(tmp_path) == {"day.zip", "day.zip.sha256"}


@pytest.mark.parametrize("text", [b"<html>busy</html>", b"", b"\xff" * 200_000, checksum(OTHER, "a.zip") + checksum(CONTENT, "b.zip")])
def test_a_checksum_file_that_holds_none_is_no_word(venue: VenueServer, tmp_path: Path, text: bytes) -> None:
    venue.checksums[DAY] = [text]
    with pytest.raises(DownloadFailed, match=r"CHECKSUM: it is no list with one sha256; 4 attempts failed"):
        fetched(venue, tmp_path / "day.zip")
    venue.checksums[DAY] = [text, checksum(OTHER, "a.zip") + checksum(CONTENT, DAY)]
    with Downloader(QUICK) as downloader:
        assert downloader.published_sha256(f"{venue.url}/{DAY}") == SHA256


# --- several processes ------------------------------------------------------------------------------------------

_FETCH = """
import sys
from pathlib import Path
from rrr_assets.sources.download import Downloader
with Downloader() as downloader:
    done = downloader.fetch(sys.argv[1], Path(sys.argv[2]))
print(done.sha256, done.bytes_read)
"""


def start(venue: VenueServer, target: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", _FETCH, f"{venue.url}/{DAY}", str(target)], stdout=subprocess.PIPE, text=True)


def test_processes_that_want_the_same_file_fetch_it_once(venue: VenueServer, tmp_path: Path) -> None:
    venue.answers[DAY] = [Answer(bytes_at_once=50_000, pause_seconds=0.2)]
    started = [start(venue, tmp_path / "day.zip") for _ in range(3)]
    told = sorted(process.communicate(timeout=60)[0].split()[1] for process in started)
    assert told == ["0", "0", str(len(CONTENT))]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert venue.of(DAY) == [None]


def test_where_one_was_killed_the_next_goes_on(venue: VenueServer, tmp_path: Path) -> None:
    venue.answers[DAY] = [Answer(bytes_at_once=100_000, pause_seconds=0.5)]
    killed = start(venue, tmp_path / "day.zip")
    part = tmp_path / "day.zip.part"
    deadline = time.monotonic() + 60
    while not (part.is_file() and part.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert_whole(fetched(venue, tmp_path / "day.zip"))
    assert [asked is not None for asked in venue.of(DAY)] == [False, True]


def test_who_holds_a_file_may_fetch_it_and_others_wait_no_longer_than_they_said(venue: VenueServer, tmp_path: Path) -> None:
    target = tmp_path / "day.zip"
    code = "import sys; from pathlib import Path; from rrr_assets.sources.download import claim\nwith claim(Path(sys.argv[1]), 0.1): pass"
    with claim(target):
        assert_whole(fetched(venue, target))
        other = subprocess.run([sys.executable, "-c", code, str(target)], capture_output=True, text=True, check=False)
    assert "DownloadFailed" in other.stderr
    assert "another process has been at it for 0 s" in other.stderr
    subprocess.run([sys.executable, "-c", code, str(target)], check=True)


def test_a_receipt_stays_when_the_file_goes(venue: VenueServer, tmp_path: Path) -> None:
    target = tmp_path / "day.zip"
    assert receipt(target) is None
    fetched(venue, target).path.unlink()
    assert receipt(target) == SHA256
    write_receipt(target, "0" * 64)
    assert receipt(target) == "0" * 64


# --- the layout of the archive ----------------------------------------------------------------------------------

JANUARY = Period(date(2024, 1, 1), is_month=True)
SECOND = Period(date(2024, 1, 2))


@pytest.mark.parametrize(
    ("instrument", "kind", "period", "interval", "path"),
    [
        ("binance:BTCUSDT", "trades", SECOND, "1m", "spot/daily/trades/BTCUSDT/BTCUSDT-trades-2024-01-02.zip"),
        ("binance:BTCUSDT", "klines", SECOND, "1m", "spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01-02.zip"),
        ("binance:BTCUSDT", "aggtrades", SECOND, "1m", "spot/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01-02.zip"),
        ("binance:BTCUSDT", "trades", JANUARY, "1m", "spot/monthly/trades/BTCUSDT/BTCUSDT-trades-2024-01.zip"),
        ("binance:BTCUSDT", "klines", JANUARY, "1h", "spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01.zip"),
        ("binance-usdm:BTCUSDT", "trades", SECOND, "1m", "futures/um/daily/trades/BTCUSDT/BTCUSDT-trades-2024-01-02.zip"),
        ("binance-usdm:ABUSDT240628", "klines", JANUARY, "1m", "futures/um/monthly/klines/ABUSDT_240628/1m/ABUSDT_240628-1m-2024-01.zip"),
        ("binance-usdm:1000SHIBUSDT", "klines", SECOND, "5m", "futures/um/daily/klines/1000SHIBUSDT/5m/1000SHIBUSDT-5m-2024-01-02.zip"),
        ("binance-coinm:BTCUSDPERP", "trades", SECOND, "1m", "futures/cm/daily/trades/BTCUSD_PERP/BTCUSD_PERP-trades-2024-01-02.zip"),
        ("binance-coinm:ETHUSD240628", "klines", JANUARY, "1m", "futures/cm/monthly/klines/ETHUSD_240628/1m/ETHUSD_240628-1m-2024-01.zip"),
    ],
)  # fmt: skip
def test_the_place_of_a_file(instrument: str, kind: str, period: Period, interval: str, path: str) -> None:
    file = archive_file(instrument, kind, period, interval)  # type: ignore[arg-type]  # the parameters are texts
    assert file.path == f"data/{path}"
    assert address("https://mirror.example.org/binance/", file) == f"https://mirror.example.org/binance/data/{path}"
    said = names.vision_name(file.name)
    assert said is not None
    assert names.instrument_name(instrument.partition(":")[0], said.symbol) == instrument
    assert said.days[0] == period.first


def test_the_archive_is_of_venues_that_are_known() -> None:
    assert set(FOLDERS) == {names.BINANCE, names.BINANCE_USDM, names.BINANCE_COINM}
    with pytest.raises(ValueError, match="kraken:XBTUSD: the archive has files of binance, "):
        archive_file("kraken:XBTUSD", "trades", SECOND)


@pytest.mark.parametrize("base", ["", "data.binance.vision", "ftp://data.binance.vision", "https://"])
def test_an_address_that_is_none(base: str) -> None:
    with pytest.raises(ValueError, match="is no address of a server"):
        address(base, archive_file("binance:BTCUSDT", "trades", SECOND))


@pytest.mark.parametrize(
    ("text", "periods"),
    [
        ("2024-01-02", ["2024-01-02"]),
        ("2024-02-28..2024-03-01", ["2024-02-28", "2024-02-29", "2024-03-01"]),
        ("2024-01", ["2024-01"]),
        ("2023-12..2024-02", ["2023-12", "2024-01", "2024-02"]),
    ],
)
def test_days_and_months_of_a_command_line(text: str, periods: list[str]) -> None:
    assert [str(period) for period in _periods(text)] == periods


@pytest.mark.parametrize("text", ["2024-01-02..2024-01-01", "2024-01-02..2024-02", "yesterday", "2024-13", "2024-01-02..", "..", "2024"])
def test_what_is_no_day_and_no_month(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        list(_periods(text))


# --- trades by id over REST ---------------------------------------------------------------------------------------

BTC = "binance:BTCUSDT"


def rest(venue: VenueServer, ids: range, most: int = 1000) -> None:
    """Answer with trades of these ids, at most so many at a time."""

    def answer(asked: dict[str, str]) -> bytes:
        first, limit = int(asked["fromId"]), min(int(asked["limit"]), most)
        found = [number for number in ids if number >= first][:limit]
        return ("[" + ", ".join(f'{{"id": {number}, "price": "1.10", "qty": "0.50"}}' for number in found) + "]").encode()

    venue.asks[REST_PATH] = answer


def asked_for(venue: VenueServer, first: int, last: int, folder: Path, headers: dict[str, str] | None = None) -> list[binance_rest.Page]:
    with Downloader(QUICK) as downloader:
        return list(binance_rest.pages(downloader, venue.url, BTC, first, last, folder, headers or {}))


def test_exactly_the_missing_ids_are_asked_for_page_by_page(venue: VenueServer, tmp_path: Path) -> None:
    rest(venue, range(1, 10_000))
    pages = asked_for(venue, 100, 2499, tmp_path)
    assert [(page.first, page.last, page.trades) for page in pages] == [(100, 1099, 1000), (1100, 2099, 1000), (2100, 2499, 400)]
    assert [asked for asked, _ in venue.asked] == [
        {"symbol": "BTCUSDT", "fromId": first, "limit": limit} for first, limit in (("100", "1000"), ("1100", "1000"), ("2100", "400"))
    ]
    assert pages[2].path.read_text("utf-8").startswith('[{"id": 2100, "price": "1.10", "qty": "0.50"},{"id": 2101,')
    # What is here is not asked for again.
    assert asked_for(venue, 100, 2499, tmp_path) == pages
    assert len(venue.asked) == 3


def test_a_page_is_cut_to_what_was_asked_for(venue: VenueServer, tmp_path: Path) -> None:
    rest(venue, range(5, 900, 5))
    (page,) = asked_for(venue, 6, 12, tmp_path)
    assert page.trades == 1
    assert page.path.read_text("utf-8") == '[{"id": 10, "price": "1.10", "qty": "0.50"}]\n'
    assert asked_for(venue, 11, 14, tmp_path) == []


def test_a_venue_that_gives_less_than_it_was_asked_for_is_asked_again(venue: VenueServer, tmp_path: Path) -> None:
    rest(venue, range(1, 101), most=30)
    assert sum(page.trades for page in asked_for(venue, 1, 300, tmp_path)) == 100


@pytest.mark.parametrize(
    "body", [b"", b"<html>busy</html>", b'[{"id": 7}, {"id": 8', b'{"code": -1121, "msg": "Invalid symbol."}', b"[", b"[" * 100_000]
)
def test_what_is_no_whole_list_of_trades_is_refused(venue: VenueServer, tmp_path: Path, body: bytes) -> None:
    venue.asks[REST_PATH] = lambda _: body
    with pytest.raises(DownloadFailed, match="no whole list of trades"):
        asked_for(venue, 7, 8, tmp_path)
    assert names_in(tmp_path) == set()


def test_a_venue_in_trouble_is_given_its_wait(venue: VenueServer, tmp_path: Path) -> None:
    rest(venue, range(1, 100))
    waits: list[float] = []
    venue.answers[REST_PATH] = [Answer(429, {"Retry-After": "7"}), Answer(500), Answer(cut_after=10)]
    with Downloader(QUICK, sleep=waits.append) as downloader:
        assert [page.trades for page in binance_rest.pages(downloader, venue.url, BTC, 1, 9, tmp_path, {})] == [9]
    assert len(waits) == 3
    assert waits[0] == 7


def test_who_is_shut_out_asks_no_more(venue: VenueServer, tmp_path: Path) -> None:
    rest(venue, range(1, 100))
    venue.answers[REST_PATH] = [Answer(418, {"Retry-After": "90"})] * 9
    with pytest.raises(DownloadFailed, match="shut us out") as failed:
        asked_for(venue, 1, 9, tmp_path)
    assert failed.value.asked_seconds == 90
    assert len(venue.asked) == 1


def test_a_key_goes_to_its_server_alone_and_into_no_message(venue: VenueServer, tmp_path: Path) -> None:
    rest(venue, range(1, 100))
    key = {binance_rest.KEY_HEADER: "the-secret"}
    asked_for(venue, 1, 9, tmp_path, key)
    assert venue.asked[0][1][binance_rest.KEY_HEADER] == "the-secret"
    venue.answers[REST_PATH] = [Answer(302, {"Location": f"{venue.url}/elsewhere"})]
    with pytest.raises(DownloadFailed, match="302") as failed:
        asked_for(venue, 20, 29, tmp_path, key)
    assert "the-secret" not in str(failed.value)
    assert not [path for path, _ in venue.requests if path == "elsewhere"]


# --- a mirror -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2024-01-02.zip", "BTCUSDT-trades-2024-01-02.zip"])
def test_a_mirror_has_files_at_their_path_or_side_by_side(tmp_path: Path, place: str) -> None:
    file = archive_file(BTC, "trades", Period(date(2024, 1, 2)))
    with pytest.raises(mirror.NotInMirror, match=r"it has no BTCUSDT-trades-2024-01-02\.zip"):
        mirror.archive_copy(tmp_path, file)
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).touch()
    assert mirror.archive_copy(mirror.folder_of(f"file://{tmp_path}"), file) == tmp_path / place


def test_a_mirror_of_other_files_is_read_by_their_names(tmp_path: Path) -> None:
    for name in (
        "gemini__eth-usd__2021-07-01__trade.csv",
        "gemini__eth-usd__2021-07-02__trade.csv",
        "gemini__btc-usd__2021-07-01__trade.csv",
    ):
        (tmp_path / name).touch()
        (tmp_path / f"{name}.CHECKSUM").touch()
    found = mirror.files_of(tmp_path, "gemini:ETHUSD", date(2021, 7, 1))
    assert [path.name for path in found] == ["gemini__eth-usd__2021-07-01__trade.csv"]
    with pytest.raises(mirror.NotInMirror, match="no such folder"):
        mirror.files_of(tmp_path / "nowhere", "gemini:ETHUSD", date(2021, 7, 1))


# --- the settings of healing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        ('[{"name": "m", "kind": "mirror"}]', "needs its folder"),
        ('[{"name": "a", "kind": "binance-vision"}, {"name": "a", "kind": "binance-rest"}]', "the same name"),
        ('[{"name": "a", "kind": "ftp"}]', "kind"),
        ('[{"name": "a", "kind": "binance-rest", "url": "http://a\\u0000/"}]', "not printed"),
    ],
)
def test_sources_that_nobody_understands_are_refused(tmp_path: Path, sources: str, says: str) -> None:
    path = tmp_path / "quality.yaml"
    path.write_text(f'{{"healing": {{"sources": {sources}}}}}')
    with pytest.raises(QualityConfigRefused, match=says):
        read_settings(path)


def test_settings_that_are_no_text_or_no_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "quality.yaml"
    for content in (b"\xff\xfe\x00h", b"[" * 5000):
        path.write_bytes(content)
        with pytest.raises(QualityConfigRefused, match="it is no YAML"):
            read_settings(path)
        path.unlink()
    with pytest.raises(QualityConfigRefused, match="RRR_QUALITY_CONFIG names a file"):
        read_settings(tmp_path)


def test_nothing_is_fetched_by_default() -> None:
    assert read_settings(None).healing.sources == ()
