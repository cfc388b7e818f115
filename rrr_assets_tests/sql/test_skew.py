"""No skew: a day of ticks replayed minute by minute, and what was served online at each minute is what history says of that moment.

Captures come in as they would, each with the ticks that were received by then; bars and features follow what the log says, and the newest
rows go online. By default some minutes over midnight are replayed. RRR_TEST_REPLAY_MINUTES=1440 makes it a whole day.
"""

import json
import math
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.compute import MINUTE, look_back
from rrr_assets.lake.feature_ticks import TieredTicks
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.features import days_behind, refresh_features, refresh_tick_minutes
from rrr_assets.warehouse.refresh import refresh_bars
from rrr_assets_tests.loading import NAME, NEXT, emptied, midnight
from rrr_assets_tests.platform import Platform
from rrr_assets_tests.quiet_feast import OF_FEAST

if TYPE_CHECKING:
    from feast import FeatureStore

pytestmark = OF_FEAST

REPLAYED = int(os.environ.get("RRR_TEST_REPLAY_MINUTES", "16"))
BEFORE = 8
"""Minutes of the replay that lie before midnight."""

SECOND = 1_000_000
FIRST = midnight(NEXT) - BEFORE * 60 * SECOND
HISTORY = look_back() + 10
AFTER = timedelta(seconds=2)
"""How long after a minute's close the features are made and served."""

THIN = "binance:ETHUSDT"
OVERLAP = 6 * SECOND
"""Captures that follow each other share their last seconds: where they do not, quotes may be missing between them."""

TTL = timedelta(minutes=5)
LATE_TRADE, LATE_AFTER = 3, 11
"""A trade of this minute of the replay comes so many minutes late, at a price that is noticed; and so every hour."""


@dataclass(frozen=True, slots=True)
class Served:
    """What a minute's moment was told online, and when the platform knew no more than it did then."""

    moment: datetime
    known: datetime
    online: dict[str, dict[str, float | None]]
    age: dict[str, timedelta | None]


@dataclass
class Replay:
    platform: Platform
    store: "FeatureStore"
    served: list[Served] = field(default_factory=list)


def at(us: int) -> datetime:
    return datetime.fromtimestamp(us // SECOND, UTC).replace(microsecond=us % SECOND)


def message(received: int, channel: str, data: dict[str, object]) -> tuple[int, str]:
    return received, f"{received // SECOND}.{received % SECOND:06} {json.dumps({'stream': channel, 'data': data})}\n"


def market(minutes: int) -> list[tuple[int, str]]:
    """Lines of a capture by when they were received: a busy instrument with quotes, one that trades now and then, trades that come late."""
    drawn = random.Random(5)
    start = FIRST - HISTORY * 60 * SECOND
    lines, price, busy, thin, update = [], 42_000.0, 1000, 1000, 1
    for n in range(HISTORY + minutes + 1):
        minute = start + n * 60 * SECOND
        is_late = n >= HISTORY and (n - HISTORY) % 60 == LATE_TRADE
        for place, us in enumerate(sorted(minute + drawn.randrange(60_000) * 1000 for _ in range(drawn.randrange(3, 8)))):
            busy += 1
            price *= math.exp(drawn.gauss(0, 2e-4))
            lag, told = drawn.randrange(5_000, 60_000), f"{price:.2f}"
            if is_late and place == 1:
                lag, told = LATE_AFTER * 60 * SECOND, f"{price * 1.01:.2f}"
            lines.append(message(us + lag, "btcusdt@trade", trade("BTCUSDT", busy, us, told, drawn)))
        for second in range(0, 60, 2):
            update += 1
            bid = price * math.exp(drawn.gauss(0, 1e-4))
            us = minute + second * SECOND + drawn.randrange(SECOND)
            sizes = [f"{drawn.randrange(1, 99) / 10}" for _ in "BA"]
            data = {"u": update, "s": "BTCUSDT", "b": f"{bid:.2f}", "B": sizes[0], "a": f"{bid + drawn.randrange(3):.2f}", "A": sizes[1]}
            lines.append(message(us, "btcusdt@bookTicker", data))
        if drawn.random() < 0.4:
            thin += 1
            us = minute + drawn.randrange(60_000) * 1000
            lines.append(message(us + 30_000, "ethusdt@trade", trade("ETHUSDT", thin, us, f"{3000 + drawn.randrange(100) / 10}", drawn)))
    return sorted(lines)


def trade(symbol: str, number: int, us: int, price: str, drawn: random.Random) -> dict[str, object]:
    size = f"{drawn.expovariate(2) + 0.001:.5f}"
    return {"e": "trade", "s": symbol, "t": number, "p": price, "q": size, "T": us // 1000, "m": drawn.random() < 0.5}


def follow(platform: Platform) -> None:
    """What the daemon does of what lags behind."""
    days = sorted(days_behind(platform.database, 10, timedelta(0)))
    list(refresh_bars(platform.database, "1m", days, whole_days=False))
    list(refresh_tick_minutes(platform.database, days, TieredTicks(platform.database), whole_days=False))
    list(refresh_features(platform.database, days, whole_days=False))


@pytest.fixture(scope="module")
def replay(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    from rrr_assets.features.feast_config import store
    from rrr_assets.features.feast_registry import apply
    from rrr_assets.features.online import materialize, vectors

    folder = tmp_path_factory.mktemp("skew")
    platform = emptied(database, folder)
    lines = market(REPLAYED)

    def take(since: int, until: int, name: str) -> None:
        path = folder / name
        path.write_text("".join(line for received, line in lines if since - OVERLAP < received <= until))
        platform.take_in(path, "binance-ws")
        follow(platform)

    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("RRR_ONLINE_STORE_URL", raising=False)
        serving = store(platform.database)
        apply(serving)
        done = Replay(platform, serving)
        reached = FIRST + AFTER // timedelta(microseconds=1)
        take(0, reached, "before.txt")
        for n in range(REPLAYED):
            until = reached + 60 * SECOND
            take(reached, until, f"{n}.txt")
            reached = until
            [(known,)] = platform.rows("select clock_timestamp()")
            materialize(serving, at(until))
            found = vectors(serving, [NAME, THIN], max_age=TTL, now=at(until))
            done.served.append(
                Served(at(until), known, {each.instrument: each.values for each in found}, {each.instrument: each.age for each in found})
            )
        yield done
        serving.teardown()


def history(replay: Replay, known: datetime, moment: datetime) -> dict[str, dict[str, float | None]]:
    """What the offline store says of both instruments' features at a moment, as known at a time."""
    offline = replay.store.config.offline_store
    # A store of its own for each minute would open the registry anew each time.
    offline.as_known_at = known
    asked = pd.DataFrame({"instrument": [NAME, THIN], "event_timestamp": [moment] * 2})
    found = replay.store.get_historical_features(entity_df=asked, features=replay.store.get_feature_service("minutes"))
    return {row["instrument"]: {name: row[name] for name in FEATURES} for row in found.to_arrow().to_pylist()}


def test_what_was_served_is_what_history_says_of_that_moment(replay: Replay) -> None:
    """Every feature of every minute to the bit, as known then; also where the minutes were made again since, for a trade that came late."""
    for served in replay.served:
        assert history(replay, served.known, served.moment) == served.online, served.moment


def test_the_proof_is_of_every_feature_and_of_what_changed_since(replay: Replay) -> None:
    for name in FEATURES:
        assert sum(served.online[NAME][name] is not None for served in replay.served) > 0.6 * REPLAYED, name
    of_bars = [name for name in FEATURES if FEATURES[name].kind != "book"]
    for name in of_bars:
        assert sum(served.online[THIN][name] is not None for served in replay.served) > 0.3 * REPLAYED, name
    assert [served.age[NAME] for served in replay.served] == [AFTER] * REPLAYED
    # A late trade is in all minutes that look back at it, and what was served of them until it came is none of what stands now.
    close = {served.moment - AFTER: served.online[NAME] for served in replay.served}
    first = datetime.fromtimestamp(FIRST / SECOND, UTC) + (LATE_TRADE + 1) * MINUTE
    stands = dict(replay.platform.rows("select event_time, atr_14 from features_1m where instrument = %s", NAME))
    for n in range(min(LATE_AFTER, REPLAYED - LATE_TRADE) - 1):
        assert close[first + n * MINUTE]["atr_14"] != stands[first + n * MINUTE]
    assert close[first - MINUTE]["atr_14"] == stands[first - MINUTE]


def test_what_is_asked_later_is_what_was_served_or_nothing(replay: Replay) -> None:
    """As known at the end: what a late trade holds up is not seen before it came, and what is seen is what was served of that minute.

    With one exception, which is the documented one: that nothing was traded in a minute is taken as known after the publication delay,
    while live it is known when the next trade's id follows, and a minute before it was served until then.
    """
    end, last, quiet = replay.served[-1].known, None, 0
    for n, served in enumerate(replay.served):
        is_held_up = LATE_TRADE <= n % 60 < LATE_TRADE + LATE_AFTER
        last = last if is_held_up else served
        found = history(replay, end, served.moment)
        if served.age[THIN] == AFTER:
            assert found[THIN] == served.online[THIN], served.moment
        else:
            quiet += 1
            traded = "select 1 from bars_1m where instrument = %s and bar_start = %s"
            assert replay.platform.rows(traded, THIN, served.moment - AFTER - MINUTE) == []
        is_old = last is None or served.moment - last.moment + AFTER > TTL
        assert found[NAME] == (dict.fromkeys(FEATURES) if is_old or last is None else last.online[NAME]), served.moment
    assert 0 < quiet < REPLAYED


def test_minute_by_minute_comes_to_what_the_whole_days_come_to_at_once(replay: Replay) -> None:
    database, days = replay.platform.database, sorted(replay.platform.days)
    versions = "select instrument, bar_start, known_at from tick_minutes"
    before = set(replay.platform.rows(versions))
    # Whole days have rows of their unknown minutes, too: nothing else is new.
    list(refresh_tick_minutes(database, days, TieredTicks(database), whole_days=True))
    assert before < set(replay.platform.rows(versions))
    assert [done.changed for done in refresh_features(database, days, whole_days=True)] == [0] * len(days)
