"""A recorder whose clock is five seconds off: nothing could be used before it happened, and bars do not hang on it.

A clock that is behind is put right by as much as it provably is; one that is ahead cannot be told from a slow line, and is left: what
it recorded counts as known later than it was.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from rrr_assets.warehouse.connect import Database
from rrr_assets_tests.loading import DAY, SYMBOL, Told, emptied, tape
from rrr_assets_tests.platform import Platform

SKEW = timedelta(seconds=5)
LEAST, MOST = timedelta(milliseconds=20), timedelta(milliseconds=80)  # that a message is under way
ONE = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COUNT = 400
Write = Callable[[Path, list[Told], list[int]], Path]


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


def clocks(trades: list[Told], skew: timedelta) -> list[int]:
    """The recorder's time of each message, in microseconds since 1970 UTC."""
    chance = Random(7)
    return [trade.us + (skew + LEAST + chance.random() * (MOST - LEAST)) // ONE for trade in trades]


def told(us: int) -> str:
    return f"{us // 10**6}.{us % 10**6:06}"


def iso(us: int) -> str:
    return (EPOCH + us * ONE).isoformat().replace("+00:00", "Z")


def binance(folder: Path, trades: list[Told], received: list[int]) -> Path:
    """Trades with the venue's time, and quotes without any."""
    lines = []
    for trade, at in zip(trades, received, strict=True):
        match = {"e": "trade", "s": SYMBOL, "t": trade.id, "p": trade.price, "q": trade.size, "T": trade.us // 1000, "m": trade.buyer_made}
        quote = {"u": trade.id, "s": SYMBOL, "b": trade.price, "B": trade.size, "a": "43000.00", "A": "1"}
        for channel, data in (("trade", match), ("bookTicker", quote)):
            lines.append(f"{told(at)} " + json.dumps({"stream": f"{SYMBOL.lower()}@{channel}", "data": data}) + "\n")
    path = folder / "capture.txt"
    path.write_text("".join(lines))
    return path


def coinbase(folder: Path, trades: list[Told], received: list[int]) -> Path:
    """Matches and tickers, both with the venue's time."""
    lines = []
    for trade, at in zip(trades, received, strict=True):
        common = {"product_id": "BTC-USD", "sequence": trade.id, "price": trade.price, "time": iso(trade.us)}
        side = "buy" if trade.buyer_made else "sell"
        match = {"type": "match", "trade_id": trade.id, "side": side, "size": trade.size, **common}
        ticker = {"type": "ticker", "best_bid": trade.price, "best_bid_size": "1", "best_ask": "43000", "best_ask_size": "1", **common}
        lines += [f"{told(at)}: {json.dumps(message)}\n" for message in (match, ticker)]
    path = folder / "coinbase.txt"
    path.write_text("".join(lines))
    return path


def tardis(folder: Path, trades: list[Told], received: list[int]) -> Path:
    """Trades with `timestamp` and `local_timestamp`."""
    rows = [
        f"binance-futures,{SYMBOL},{trade.us},{at},{trade.id},{'sell' if trade.buyer_made else 'buy'},{trade.price},{trade.size}\n"
        for trade, at in zip(trades, received, strict=True)
    ]
    path = folder / f"binance-futures_trades_{DAY}_{SYMBOL}.csv"
    path.write_text("exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n" + "".join(rows))
    return path


FORMATS: dict[str, Write] = {"binance-ws": binance, "coinbase-ws": coinbase, "tardis": tardis}


def bars(platform: Platform) -> dict[str, list[tuple]]:
    platform.refresh()
    columns = "bar_start, open, high, low, close, volume, quote_volume, vwap, trade_count, first_sequence, last_sequence, is_complete"
    return {
        interval: platform.rows(f"select {columns} from bars_{interval} order by bar_start")  # noqa: S608  # names of ours
        for interval in ("1m", "5m", "1h", "1d")
    }


def offset_of(platform: Platform) -> timedelta:
    """The one offset that was measured, whatever the stream."""
    [(offset,)] = platform.rows("select distinct clock_offset_us from landing_files")
    return int(offset) * ONE


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("skew", [-SKEW, SKEW], ids=["behind", "ahead"])
def test_a_skewed_clock_makes_nothing_known_too_early_and_changes_no_bar(
    platform: Platform, tmp_path: Path, form: str, skew: timedelta
) -> None:
    trades = tape(DAY, COUNT)
    right = tmp_path / "right"
    right.mkdir()
    platform.take_in(FORMATS[form](right, trades, clocks(trades, timedelta())), form)
    # A clock that is right is at most as far behind as the venue cuts its times off.
    assert offset_of(platform) == timedelta()
    expected = bars(platform)
    assert sum(bar[8] for bar in expected["1m"]) == COUNT

    skewed = tmp_path / "skewed"
    skewed.mkdir()
    mine = emptied(platform.database, skewed)
    mine.take_in(FORMATS[form](skewed, trades, clocks(trades, skew)), form)
    assert bars(mine) == expected

    offset = offset_of(mine)
    if skew < timedelta():
        # As far as it is behind, less the least that a message was under way: that much cannot be told from being right.
        assert SKEW - MOST <= offset <= SKEW - LEAST + timedelta(milliseconds=1)
    else:
        assert offset == timedelta()
    rows = mine.rows("select event_time, received_at, available_at, available_basis from raw_trades order by sequence")
    assert len(rows) == COUNT
    for trade, at, (event_time, received_at, available_at, basis) in zip(trades, clocks(trades, skew), rows, strict=True):
        assert (received_at, basis) == (EPOCH + at * ONE, "observed")
        assert available_at == max(event_time, received_at + offset)
        late = available_at - (EPOCH + trade.us * ONE)
        assert timedelta(milliseconds=-1) < late <= (MOST if skew < timedelta() else SKEW + MOST)
        assert skew < timedelta() or late >= SKEW
    assert mine.rows("select count(*) from raw_trades where available_at < event_time") == [(0,)]


@pytest.mark.parametrize("skew", [-SKEW, SKEW], ids=["behind", "ahead"])
@pytest.mark.parametrize("form", ["binance-ws", "coinbase-ws"])
def test_quotes_share_the_offset_of_their_capture(platform: Platform, tmp_path: Path, form: str, skew: timedelta) -> None:
    trades = tape(DAY, COUNT)
    platform.take_in(FORMATS[form](tmp_path, trades, clocks(trades, skew)), form)
    offset = offset_of(platform)
    rows = platform.rows("select event_time, received_at, available_at, time_source from raw_quotes order by sequence")
    assert len(rows) == COUNT
    assert {row[3] for row in rows} == {"local" if form == "binance-ws" else "venue"}
    for trade, (event_time, received_at, available_at, source) in zip(trades, rows, strict=True):
        assert available_at == max(event_time, received_at + offset)
        if source == "local":
            # What carries no time of its own stands where the recorder put it, its clock put right. Too early is at most one in a hundred,
            # by the little that the percentile leaves and the milliseconds cut off.
            assert event_time == received_at + offset == available_at
            error = event_time - (EPOCH + trade.us * ONE)
            assert timedelta(milliseconds=-2) < error <= (MOST if skew < timedelta() else SKEW + MOST)
        else:
            assert event_time == EPOCH + trade.us * ONE


def test_a_few_messages_that_the_venue_stamped_late_do_not_move_the_clock(platform: Platform, tmp_path: Path) -> None:
    trades = tape(DAY, COUNT)
    received = clocks(trades, -SKEW)
    for n in (50, 150, 250):
        received[n] -= 60_000_000
    platform.take_in(tardis(tmp_path, trades, received), "tardis")
    assert SKEW - MOST <= offset_of(platform) <= SKEW - LEAST + timedelta(milliseconds=1)
    # Of these three alone the receive time is taken for what it is worth: not before they happened.
    late = platform.rows("select sequence - 1000 from raw_trades where available_at = event_time order by 1")
    assert {(50,), (150,), (250,)} <= set(late)
    assert platform.rows("select count(*) from raw_trades where available_at < event_time") == [(0,)]
