"""Refused rows wait with their raw text, and come back once their cause is mended."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rrr_assets.ticks.landing import landing_file
from rrr_assets.ticks.replay import ReplayOutcome, replay
from rrr_assets.venues import binance_vision
from rrr_assets.venues import ccapi as ccapi_format
from rrr_assets.venues.base import ParsedBatch, Source, SourceFacts
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets_tests.loading import (
    CONSERVED,
    DAY,
    DAY_US,
    NAME,
    NEXT,
    OLD_DAY,
    SYMBOL,
    Told,
    ccapi,
    emptied,
    held,
    midnight,
    rest,
    take,
    tape,
    vision,
)
from rrr_assets_tests.platform import Platform

GEMINI = "gemini:ETHUSD"
NOTHING = ReplayOutcome(0, 0, 0, (), ())


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


def again(platform: Platform, **narrowed: str) -> ReplayOutcome:
    done = replay(platform.database, platform.home, **narrowed)
    assert not list(platform.home.landing.glob("incoming/*")), "a replay leaves nothing behind"
    return done


def states(platform: Platform) -> dict[str, int]:
    return dict(platform.rows("select state, count(*) from quarantine group by state"))


def hold_to(platform: Platform, price_scale: int) -> None:
    with platform.database.connect(Role.OWNER) as connection:
        connection.execute("update instruments set price_scale = %s", (price_scale,))


def overflowing(platform: Platform, folder: Path) -> list[Told]:
    """A day of which the rows with two decimals were refused, for the instrument was held to one."""
    trades = tape(DAY, 60)
    take(platform, rest(folder, trades[:1]))
    hold_to(platform, 1)
    take(platform, vision(folder, trades, DAY))
    return trades


def mend(monkeypatch: pytest.MonkeyPatch, module: object, kind: str, old: str, new: str) -> None:
    """A parser that now understands a text it refused: it reads `old` as `new`."""
    format_class = getattr(module, kind)
    parse = format_class.parse

    def mended(self: object, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        beside = source.path.with_name("mended")
        if source.path.suffix == ".zip":
            import zipfile

            with zipfile.ZipFile(source.path) as archive:
                text = archive.read(archive.namelist()[0]).decode()
        else:
            text = source.path.read_text()
        beside.write_text(text.replace(old, new))
        yield from parse(self, replace(source, path=beside), replace(facts, size_bytes=beside.stat().st_size))
        beside.unlink()

    monkeypatch.setattr(format_class, "parse", mended)


def test_an_empty_quarantine_replays_to_nothing(platform: Platform) -> None:
    assert again(platform) == NOTHING


def test_bad_rows_wait_with_file_line_reason_and_raw_text(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 4)
    take(
        platform,
        vision(tmp_path, [trades[0], "1,2", trades[1], f"{trades[2].id},n/a,1,1,{trades[2].us},True,True", "5,1,1\x00,1,1,True,True"], DAY),
    )
    found = platform.rows(
        "select line, reason, raw, instrument, event_time, sequence, state, f.name"
        " from quarantine join landing_files f using (file_id) order by line"
    )
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=trades[2].us)
    name = f"{SYMBOL}-trades-{DAY}.zip"
    assert found == [
        (2, "columns", "1,2", NAME, None, None, "quarantined", name),
        (4, "not_a_number", f"{trades[2].id},n/a,1,1,{trades[2].us},True,True", NAME, at, trades[2].id, "quarantined", name),
        (5, "encoding", "5,1,1\\x00,1,1,True,True", NAME, None, None, "quarantined", name),
    ]


def test_a_replay_without_a_mended_cause_changes_nothing(platform: Platform, tmp_path: Path) -> None:
    trades = overflowing(platform, tmp_path)
    waiting = states(platform)["quarantined"]
    before = platform.trades_hash(), platform.rows("select * from quarantine order by 1"), held(platform, DAY)
    assert again(platform) == ReplayOutcome(waiting, 0, waiting, (DAY,), ("trades",))
    assert (platform.trades_hash(), platform.rows("select * from quarantine order by 1"), held(platform, DAY)) == before
    assert len(trades) > waiting > 0


def test_a_widened_scale_lets_the_rows_in_and_heals_the_day(platform: Platform, tmp_path: Path) -> None:
    trades = overflowing(platform, tmp_path)
    waiting = states(platform)["quarantined"]
    assert held(platform, DAY)[2]
    hold_to(platform, 8)
    assert again(platform) == ReplayOutcome(waiting, waiting, 0, (DAY,), ("trades",))
    assert states(platform) == {"replayed": waiting}
    assert held(platform, DAY) == (len(trades), [(0, DAY_US)], [], True)
    assert platform.rows(CONSERVED) == [(0,)]
    after = platform.trades_hash()
    assert again(platform) == NOTHING
    assert platform.trades_hash() == after
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    mine = emptied(platform.database, fresh)
    take(mine, vision(fresh, trades, DAY))
    assert mine.trades_hash() == after


def test_reading_the_file_again_after_the_scale_was_widened_replays_its_rows_too(platform: Platform, tmp_path: Path) -> None:
    overflowing(platform, tmp_path)
    hold_to(platform, 8)
    take(platform, vision(tmp_path, tape(DAY, 60), DAY))
    assert set(states(platform)) == {"replayed"}
    assert again(platform) == NOTHING


def test_a_mended_parser_takes_its_rows_in(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trades = tape(DAY, 40)
    lines: list[Told | str] = list(trades)
    for n in (7, 8, 30):
        lines[n] = f"{trades[n].id},{trades[n].price.replace('.', '·')},{trades[n].size},1,{trades[n].us},{trades[n].buyer_made},True"
    path = vision(tmp_path, lines, DAY)
    assert take(platform, path) == [(37, 0, 0, 3)]
    mend(monkeypatch, binance_vision, "Trades", "·", ".")
    assert again(platform) == ReplayOutcome(3, 3, 0, (DAY,), ("trades",))
    assert held(platform, DAY) == (40, [(0, DAY_US)], [], True)
    # The whole file is read by the mended parser from now on.
    assert take(platform, path) == [(0, 0, 40, 0)]
    assert states(platform) == {"replayed": 3}


def test_a_mended_row_without_id_comes_back_to_its_own_place_among_equal_times(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = midnight(OLD_DAY) + 60_000_000
    second = f"{base // 1_000_000}.{base % 1_000_000:06}"
    rows = [
        Told(0, base - 5),
        Told(0, base),
        f"{second},n2000,3,0",
        Told(0, base),
        Told(0, base + 9),
        f"x{second},2000,4,0",
        Told(0, base + 50),
    ]
    path = ccapi(tmp_path, rows, f"gemini__eth-usd__{OLD_DAY}__trade.csv")
    assert take(platform, path) == [(5, 0, 0, 2)]
    offset = 60_000_000
    assert held(platform, OLD_DAY, GEMINI)[1] == [(0, offset), (offset + 1, offset + 9), (offset + 51, DAY_US)]
    mend(monkeypatch, ccapi_format, "Ccapi", "n2000", "2000")
    assert again(platform) == ReplayOutcome(2, 1, 1, (OLD_DAY,), ("trades",))
    assert platform.rows(
        "select sequence - %s * 4096, trim_scale(size)::text from raw_trades where sequence / 4096 = %s order by 1", base, base
    ) == [
        (0, "0.5"),
        (1, "3"),
        (2, "0.5"),
    ]
    assert held(platform, OLD_DAY, GEMINI)[1] == [(0, offset + 9), (offset + 51, DAY_US)]
    assert take(platform, path) == [(0, 0, 6, 1)]


def test_a_row_whose_time_is_understood_now_goes_to_its_own_day(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trades = [Told(100, midnight(DAY) + 1_000_000), Told(101, midnight(NEXT) + 7_000_000), Told(102, midnight(NEXT) + 8_000_000)]
    lines = [trades[0], f"101,42000.10,0.5,1,T{trades[1].us},False,True", trades[2]]
    take(platform, vision(tmp_path, lines, DAY))
    assert platform.rows("select day from quarantine") == [(DAY,)]
    mend(monkeypatch, binance_vision, "Trades", "T17", "17")
    done = again(platform)
    assert (done.looked_at, done.taken_in) == (1, 1)
    assert platform.rows("select sequence, (event_time at time zone 'UTC')::date from raw_trades order by 1") == [
        (100, DAY),
        (101, NEXT),
        (102, NEXT),
    ]
    assert held(platform, DAY)[1] == [(0, DAY_US)]
    assert held(platform, NEXT)[1][0][0] == 0


def test_only_what_is_asked_for_is_replayed(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 60)
    take(platform, rest(tmp_path, trades[:1]))
    hold_to(platform, 1)
    take(platform, vision(tmp_path, [*trades[:30], "garbage", *trades[30:]], DAY))
    scale = platform.rows("select count(*) from quarantine where reason = 'scale'")[0][0]
    hold_to(platform, 8)
    assert again(platform, reason="columns") == ReplayOutcome(1, 0, 1, (DAY,), ("trades",))
    assert again(platform, instrument="binance:ETHUSDT") == NOTHING
    assert platform.rows("select reason, state, count(*) from quarantine group by 1, 2 order by 1") == [
        ("columns", "quarantined", 1),
        ("scale", "quarantined", scale),
    ]
    assert again(platform, reason="scale", instrument=NAME) == ReplayOutcome(scale, scale, 0, (DAY,), ("trades",))
    assert platform.rows("select reason, state, count(*) from quarantine group by 1, 2 order by 1") == [
        ("columns", "quarantined", 1),
        ("scale", "replayed", scale),
    ]


def test_a_conflict_goes_on_waiting_until_the_stored_row_is_corrected(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, 5)
    take(platform, vision(tmp_path, [*trades[:2], replace(trades[2], price="9"), *trades[3:]], DAY))
    take(platform, vision(tmp_path, trades, DAY, "-right"))
    assert again(platform) == ReplayOutcome(1, 0, 1, (DAY,), ("trades",))
    with platform.database.connect(Role.OWNER) as connection:
        connection.execute("update raw_trades set price = %s where sequence = %s", (trades[2].price, trades[2].id))
    assert again(platform) == ReplayOutcome(1, 1, 0, (DAY,), ("trades",))


def test_a_replay_does_not_settle_what_the_file_itself_is_still_asked_for(platform: Platform, tmp_path: Path) -> None:
    overflowing(platform, tmp_path)
    with platform.database.connect(Role.OWNER) as connection:
        connection.execute("update landing_days set is_pending = true")
    hold_to(platform, 8)
    again(platform)
    assert platform.rows("select distinct is_pending from landing_days") == [(True,)]


def test_a_file_that_is_gone_keeps_its_rows_waiting_and_others_replay(platform: Platform, tmp_path: Path) -> None:
    overflowing(platform, tmp_path)
    take(platform, vision(tmp_path, tape(NEXT, 20, first_id=2000), NEXT))
    hold_to(platform, 8)
    waiting = dict(platform.rows("select day, count(*) from quarantine group by day"))
    [(sha256, name, form, instrument, day)] = platform.rows(
        "select sha256, name, format, given_instrument, given_day from landing_files where name like %s", f"%{NEXT}%"
    )
    folder = landing_file(platform.home, sha256, name, form, instrument, day, "trades").folder
    folder.rename(tmp_path / "away")
    assert again(platform) == ReplayOutcome(waiting[DAY] + waiting[NEXT], waiting[DAY], waiting[NEXT], (DAY,), ("trades",))
    (tmp_path / "away").rename(folder)
    assert again(platform) == ReplayOutcome(waiting[NEXT], waiting[NEXT], 0, (NEXT,), ("trades",))
