"""No leakage: what a moment sees, by Feast, in training sets and in reads, against a plain query, of histories with all that goes wrong."""

import json
import math
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from rrr_assets import read
from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.compute import MINUTE
from rrr_assets.calc.features.spec import TrainingSpec
from rrr_assets.contracts.features import FEATURES_1M
from rrr_assets.features.training import make
from rrr_assets.lake.feature_ticks import TieredTicks
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.features import days_behind, refresh_features, refresh_tick_minutes
from rrr_assets.warehouse.refresh import refresh_bars
from rrr_assets.warehouse.undo import undo_batch
from rrr_assets_tests.loading import DAY, NAME, emptied, midnight
from rrr_assets_tests.platform import Platform
from rrr_assets_tests.quiet_feast import OF_FEAST

if TYPE_CHECKING:
    from feast import FeatureStore

pytestmark = OF_FEAST

START = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
OTHER = "binance:ETHUSDT"
PLANTED = "binance:SOLUSDT"
UNKNOWN = "binance:NONE"
US = timedelta(microseconds=1)
TTL = timedelta(minutes=5)
SECOND = 1_000_000
LENGTH = 40
"""Minutes of a history."""

# What a moment sees, said plainly: of what was believed at T, the row that closed last of those that had closed by the moment, no more than
# five minutes before, and could be used by then.
AS_OF = """
    select e.number, f.event_time, {columns}
    from unnest(%(instruments)s::text[], %(moments)s::timestamptz[]) with ordinality as e (instrument, moment, number)
    left join lateral (
        select b.*
        from (
            select instrument, event_time, available_at, known_at, 'infinity'::timestamptz as until, {columns} from features_1m
            union all
            select instrument, event_time, available_at, known_at, believed_until, {columns} from feature_revisions_1m
        ) as b
        where b.instrument = e.instrument and b.known_at <= %(known)s and b.until > %(known)s
            and b.event_time <= e.moment and b.event_time >= e.moment - interval '5 minutes' and b.available_at <= e.moment
        order by b.event_time desc
        limit 1
    ) as f on true
    order by e.number
"""

Entity = tuple[str, datetime]
Values = list[float | None]


def plainly(platform: Platform, entities: Sequence[Entity], known: datetime, names: Sequence[str] = tuple(FEATURES)) -> list[tuple]:
    """(event_time, values) that each sees, by the query."""
    asked = {"instruments": [name for name, _ in entities], "moments": [moment for _, moment in entities], "known": known}
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        rows = connection.execute(AS_OF.format(columns=", ".join(names)), asked).fetchall()
    return [(row[1], list(row[2:])) for row in rows]


@pytest.fixture(scope="module")
def store(database: Database) -> Iterator["FeatureStore"]:
    from rrr_assets.features.feast_config import store
    from rrr_assets.features.feast_registry import apply

    made = store(database)
    apply(made)
    yield made
    made.teardown()


def by_feast(
    store: "FeatureStore", entities: Sequence[Entity], known: datetime | None, names: Sequence[str] = tuple(FEATURES)
) -> list[Values]:
    store.config.offline_store.as_known_at = known
    frame = pd.DataFrame({"instrument": [name for name, _ in entities], "event_timestamp": [moment for _, moment in entities]})
    refs = [f"{FEATURES_1M.name}:{name}" for name in names]
    found = store.get_historical_features(entity_df=frame, features=refs).to_arrow()
    assert found["instrument"].to_pylist() == frame["instrument"].to_list(), "as they came, in their order"
    return [[row[name] for name in names] for row in found.to_pylist()]


def now(platform: Platform) -> datetime:
    [(at,)] = platform.rows("select clock_timestamp()")
    return at


def follow(platform: Platform) -> datetime:
    """Bring up to date what lags behind; when that was known."""
    days = sorted(days_behind(platform.database, 10, timedelta(0)))
    list(refresh_bars(platform.database, "1m", days, whole_days=False))
    list(refresh_tick_minutes(platform.database, days, TieredTicks(platform.database), whole_days=False))
    list(refresh_features(platform.database, days, whole_days=False))
    return now(platform)


# --- histories ----------------------------------------------------------------------------------------------------


def told(symbol: str, number: int, us: int, price: float, lag: int, drawn: random.Random) -> tuple[int, str]:
    """A trade as a line of a capture, by when it was received."""
    size = f"{drawn.expovariate(2) + 0.001:.5f}"
    data = {"e": "trade", "s": symbol, "t": number, "p": f"{price:.2f}", "q": size, "T": us // 1000, "m": drawn.random() < 0.5}
    received = us + lag
    message = json.dumps({"stream": f"{symbol.lower()}@trade", "data": data})
    return received, f"{received // SECOND}.{received % SECOND:06} {message}\n"


def quoted(number: int, us: int, bid: float, drawn: random.Random) -> tuple[int, str]:
    sizes = [f"{drawn.randrange(1, 99) / 10}" for _ in "BA"]
    data = {"u": number, "s": "BTCUSDT", "b": f"{bid:.2f}", "B": sizes[0], "a": f"{bid + drawn.randrange(3):.2f}", "A": sizes[1]}
    return us, f"{us // SECOND}.{us % SECOND:06} {json.dumps({'stream': 'btcusdt@bookTicker', 'data': data})}\n"


def take(platform: Platform, folder: Path, lines: Sequence[tuple[int, str]], name: str) -> None:
    path = folder / name
    path.write_text("".join(line for _, line in sorted(lines)))
    platform.take_in(path, "binance-ws")


def correct(platform: Platform, folder: Path, rows: Sequence[tuple[int, str]], name: str) -> None:
    """Trades by their numbers get another price, or are cancelled where none is given."""
    path = folder / name
    head = "instrument,sequence,action,reason,day,event_time,price,size,side,new_event_time\n"
    body = [f"{NAME},{number},{'replace' if price else 'cancel'},told by the venue,{DAY},,{price},,,\n" for number, price in rows]
    path.write_text(head + "".join(body))
    platform.take_in(path, "rrr-corrections")


def history(platform: Platform, folder: Path, seed: int) -> list[datetime]:
    """A random market: ticks that come at once, late or much later, a load that is undone, corrections; the knowledge times in between."""
    drawn = random.Random(seed)
    base, lines, later = midnight(DAY), [], []
    lags = (20_000, 20_000, 20_000, 0, 5 * SECOND, 70 * SECOND, 200 * SECOND)
    for symbol, often in (("BTCUSDT", 4), ("ETHUSDT", 1)):
        times = sorted(base + drawn.randrange(LENGTH * 60_000) * 1000 for _ in range(LENGTH * often))
        # Some at the edge of their minute, to the millisecond.
        times = sorted(us - us % (60 * SECOND) if drawn.random() < 0.05 else us for us in times)
        price = 3000.0
        for number, us in enumerate(times):
            price *= math.exp(drawn.gauss(0, 1e-3))
            (later if drawn.random() < 0.1 else lines).append(told(symbol, 1000 + number, us, price, drawn.choice(lags), drawn))
    lines += [quoted(n + 1, base + n * 7 * SECOND + drawn.randrange(SECOND), 3000 + drawn.random(), drawn) for n in range(LENGTH * 8)]
    take(platform, folder, lines, "first.txt")
    known = [follow(platform)]
    take(platform, folder, later, "later.txt")
    known.append(follow(platform))
    poison = [told("BTCUSDT", 9000 + n, base + ((LENGTH - 20 + n) * 60 + 59) * SECOND, 9e6, 9000, drawn) for n in range(5)]
    take(platform, folder, poison, "poison.txt")
    known.append(follow(platform))
    [(batch,)] = platform.rows("select max(batch_id) from ingest_batches")
    undo_batch(platform.database, batch, "not ours")
    known.append(follow(platform))
    # What is told today of long ago can be used from today on: it holds up what looks back at it.
    changed = drawn.sample(range(1000 + LENGTH * 2, 1000 + LENGTH * 4), 4)
    correct(platform, folder, list(zip(changed, ["", "2500.5", "3100.5", "3900.5"], strict=True)), "corrections.csv")
    known.append(follow(platform))
    return known


def entities(platform: Platform, seed: int, count: int) -> list[Entity]:
    """Moments at random, and at the microsecond of what rows hang on; some twice, some of what is not there."""
    drawn = random.Random(seed)
    rows = platform.rows(
        "select instrument, event_time, available_at from features_1m union all"
        " select instrument, event_time, available_at from feature_revisions_1m order by 1, 2, 3"
    )
    found: list[Entity] = []
    for _ in range(count):
        name, close, usable = drawn.choice(rows)
        edge = drawn.choice([close, usable, close + TTL, usable + TTL, START + drawn.random() * (LENGTH + 5) * MINUTE])
        found.append((drawn.choice([name, name, name, UNKNOWN]), edge + drawn.choice([timedelta(0), US, -US])))
    found += drawn.choices(found, k=count // 10)
    drawn.shuffle(found)
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_a_plain_query_agrees_everywhere(database: Database, store: "FeatureStore", tmp_path: Path, seed: int) -> None:
    platform = emptied(database, tmp_path)
    known = history(platform, tmp_path, seed)
    asked = entities(platform, seed, 250)
    spec = TrainingSpec.model_validate(
        {"name": "all", "instruments": ["*"], "start": START, "end": START + LENGTH * MINUTE, "every_minutes": 1, "features": ["*"]}
    )
    answers = []
    for at in known:
        wanted = plainly(platform, asked, at)
        answers.append(wanted)
        assert by_feast(store, asked, at) == [values for _, values in wanted]
        moments = [(name, START + n * MINUTE) for name in (NAME, OTHER) for n in range(LENGTH)]
        of_set = [(entity, row) for entity, row in zip(moments, plainly(platform, moments, at), strict=True) if row[0] is not None]
        rows = make(platform.database, spec, at).rows.to_pylist()
        assert [((row["instrument"], row["moment"]), (row["event_time"], [row[name] for name in FEATURES])) for row in rows] == of_set
    assert by_feast(store, asked, None) == [values for _, values in answers[-1]], "what is believed now is what was last"
    # It is a test: each time something else was believed, and after a load was undone what was before it.
    assert [one != other for one, other in pairwise(answers)] == [True] * 4
    assert answers[3] == answers[1]
    seen = [row for rows in answers for row in rows if row[0] is not None]
    assert 0.2 * sum(map(len, answers)) < len(seen) < 0.9 * sum(map(len, answers))


# --- one thing at a time ------------------------------------------------------------------------------------------


def plant(
    platform: Platform, event_time: datetime, available_at: datetime, known_at: datetime, value: float, until: datetime | None = None,
) -> None:  # fmt: skip
    """A row of features that says one value everywhere; one that was believed until a time, where that is given."""
    table = "features_1m" if until is None else "feature_revisions_1m"
    columns = ["instrument", "event_time", "available_at", "available_basis", "known_at", *FEATURES]
    row: list[Any] = [PLANTED, event_time, available_at, "observed", known_at, *([value] * len(FEATURES))]
    if until is not None:
        columns.append("believed_until")
        row.append(until)
    with platform.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute(f"insert into {table} ({', '.join(columns)}) values ({', '.join(['%s'] * len(row))})", row)  # noqa: S608  # ours


@pytest.fixture
def planted(database: Database, tmp_path: Path) -> Platform:
    return emptied(database, tmp_path)


MOMENT = START + timedelta(hours=12)
KNOWN = datetime(2025, 6, 1, tzinfo=UTC)
ZERO, HOUR = timedelta(0), timedelta(hours=1)
POISON = 6.66e66


@pytest.mark.parametrize(
    ("close", "usable", "known", "until", "is_seen"),
    [
        pytest.param(ZERO, ZERO, ZERO, None, True, id="all at the same microsecond"),
        pytest.param(US, US, -HOUR, None, False, id="closed a microsecond later"),
        pytest.param(HOUR, HOUR, -HOUR, None, False, id="of the future, and known long ago"),
        pytest.param(-MINUTE, ZERO, -HOUR, None, True, id="usable at the microsecond"),
        pytest.param(-MINUTE, US, -HOUR, None, False, id="usable a microsecond later"),
        pytest.param(-MINUTE, 900 * HOUR, -HOUR, None, False, id="came weeks later"),
        pytest.param(-MINUTE, -MINUTE, ZERO, None, True, id="known at T"),
        pytest.param(-MINUTE, -MINUTE, US, None, False, id="known a microsecond after T"),
        pytest.param(-MINUTE, -MINUTE, -HOUR, US, True, id="believed until a microsecond after T"),
        pytest.param(-MINUTE, -MINUTE, -HOUR, ZERO, False, id="believed until T"),
        pytest.param(-MINUTE, -MINUTE, US, HOUR, False, id="believed only after T"),
    ],
)
def test_what_may_be_seen_is_seen_and_nothing_else(
    planted: Platform, store: "FeatureStore", close: timedelta, usable: timedelta, known: timedelta, until: timedelta | None, is_seen: bool
) -> None:
    plant(planted, MOMENT - 4 * MINUTE, MOMENT - 4 * MINUTE, KNOWN - HOUR, 1.0)
    plant(planted, MOMENT + close, MOMENT + usable, KNOWN + known, POISON, None if until is None else KNOWN + until)
    wanted = POISON if is_seen else 1.0
    assert by_feast(store, [(PLANTED, MOMENT)], KNOWN) == [[wanted] * len(FEATURES)]
    spec = TrainingSpec.model_validate(
        {"name": "x", "instruments": [PLANTED], "start": MOMENT, "end": MOMENT + MINUTE, "every_minutes": 1, "features": ["sma_20"]}
    )
    assert make(planted.database, spec, KNOWN).rows["sma_20"].to_pylist() == [wanted]
    believed = (known <= ZERO) and (until is None or until > ZERO)
    told = read.features(PLANTED, START, START + timedelta(days=1), as_known_at=KNOWN, database=planted.database)
    assert told["sma_20"].to_pylist() == ([1.0, POISON] if believed else [1.0])


@pytest.mark.parametrize(("age", "is_seen"), [(TTL, True), (TTL + US, False), (TTL - US, True)])
def test_a_row_of_exactly_the_ttl_is_seen(planted: Platform, store: "FeatureStore", age: timedelta, is_seen: bool) -> None:
    """As by Feast's own rule: event_time >= moment - ttl."""
    plant(planted, MOMENT - age, MOMENT - age, KNOWN, 2.0)
    assert by_feast(store, [(PLANTED, MOMENT)], KNOWN, ["sma_20", "quoted_spread"]) == [[2.0, 2.0] if is_seen else [None, None]]


def test_a_poisoned_trade_is_in_nothing_before_it_came(database: Database, store: "FeatureStore", tmp_path: Path) -> None:
    """Two prices that are absurd: one of minutes to come, one of long ago that comes late. Known is all of it from the beginning."""
    platform = emptied(database, tmp_path)
    drawn = random.Random(1)
    base = midnight(DAY)
    lines = [told("BTCUSDT", 1000 + n, base + n * 10 * SECOND + 5000, 100 + drawn.random(), 20_000, drawn) for n in range(240)]
    # Each the last of its minute, the 10th and the 35th; the former came in the 30th.
    came, late, of_future = base + 30 * 60 * SECOND + 7, base + 650 * SECOND + 5000, base + 2150 * SECOND + 5000
    lines[65] = told("BTCUSDT", 1065, late, 9e9, came - late, drawn)
    lines[215] = told("BTCUSDT", 1215, of_future, 9e9, 20_000, drawn)
    take(platform, tmp_path, lines, "all.txt")
    known = follow(platform)
    moments = [START + n * MINUTE + by for n in range(2, 42) for by in (ZERO, US, 7 * US, MINUTE / 2)]
    names = ["sma_20", "ema_12", "atr_14", "return_5m", "vwap_deviation_1h", "volume_zscore_1h", "return_1m", "bollinger_upper"]
    found = by_feast(store, [(NAME, moment) for moment in moments], known, names)
    arrived = START + timedelta(minutes=30, microseconds=7)
    saw = {moment: any(value is not None and abs(value) > 1e6 for value in values) for moment, values in zip(moments, found, strict=True)}
    assert {moment for moment, did in saw.items() if did} == {
        moment for moment in moments if arrived <= moment < START + 31 * MINUTE or moment >= START + 36 * MINUTE
    }
    # What it holds up is not there, and what lies before it is.
    means = {moment: values[0] for moment, values in zip(moments, found, strict=True)}
    assert means[START + 9 * MINUTE] is None
    assert means[START + 24 * MINUTE] is None
    assert means[START + 31 * MINUTE] is not None


def test_neither_an_open_minute_nor_what_cannot_be_used_yet_is_served(planted: Platform, store: "FeatureStore") -> None:
    from rrr_assets.features.online import materialize, state, vectors

    with planted.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute(
            "insert into instruments (instrument, valid_from, venue, symbol, contract_type, price_scale, size_scale)"
            " values (%s, '2009-01-01Z', 'binance', 'SOLUSDT', 'spot', 2, 8)", (PLANTED,),
        )  # fmt: skip
    today = now(planted)
    plant(planted, today - MINUTE, today - MINUTE, today - MINUTE, 1.0)
    before = state(planted.database)
    plant(planted, today - MINUTE / 2, today + HOUR, today, POISON)
    plant(planted, today + HOUR, today + HOUR, today, POISON)
    assert state(planted.database) == before
    for until in (None, today):
        assert materialize(store, until).newest == today - MINUTE
        [found] = vectors(store, [PLANTED], ["sma_20"], max_age=TTL)
        assert found.values == {"sma_20": 1.0}
    # Feast's own way there.
    store.config.offline_store.as_known_at = None
    store.materialize(today - HOUR, today)
    [found] = vectors(store, [PLANTED], ["sma_20"], max_age=TTL)
    assert found.values == {"sma_20": 1.0}


# --- entity rows --------------------------------------------------------------------------------------------------


def minutely(platform: Platform) -> None:
    for n in range(10):
        plant(platform, MOMENT + n * MINUTE, MOMENT + n * MINUTE, KNOWN, float(n))


def ask(store: "FeatureStore", frame: pd.DataFrame, **more: Any) -> pd.DataFrame:
    store.config.offline_store.as_known_at = None
    refs = [f"{FEATURES_1M.name}:{name}" for name in ("sma_20", "quoted_spread")]
    return store.get_historical_features(entity_df=frame, features=refs, **more).to_df()


def test_rows_in_any_order_zone_and_number_come_back_as_they_were_with_their_columns(planted: Platform, store: "FeatureStore") -> None:
    minutely(planted)
    drawn = random.Random(4)
    minutes = [drawn.randrange(-2, 12) for _ in range(60)]
    zones = [UTC, ZoneInfo("America/New_York"), timezone(timedelta(hours=5, minutes=45))]
    frame = pd.DataFrame(
        {
            "label": [f"row {n}" for n in range(60)],
            "instrument": [PLANTED if n % 7 else UNKNOWN for n in range(60)],
            "event_timestamp": [(MOMENT + n * MINUTE + 30 * US).astimezone(drawn.choice(zones)) for n in minutes],
            "weight": [float(n) for n in minutes],
        },
        index=range(100, 160),
    )
    found = ask(store, frame)
    wanted = [None if n < 0 or place % 7 == 0 else min(n, 9) for place, n in enumerate(minutes)]
    assert [None if math.isnan(value) else value for value in found["sma_20"]] == wanted
    assert found["label"].to_list() == frame["label"].to_list()
    assert found["weight"].to_list() == frame["weight"].to_list()
    # Zones of one kind in a column, and a whole column of one.
    for zone in ("Asia/Kolkata", "UTC"):
        again = ask(store, frame.assign(event_timestamp=pd.to_datetime(frame["event_timestamp"], utc=True).dt.tz_convert(zone)))
        assert again["sma_20"].equals(found["sma_20"])
    named = ask(store, frame, full_feature_names=True)
    assert named["features_1m__sma_20"].equals(found["sma_20"])


def test_no_rows_are_answered_with_none(planted: Platform, store: "FeatureStore") -> None:
    minutely(planted)
    for times in (pd.Series([], dtype=object), pd.Series([], dtype="datetime64[ns, UTC]")):
        found = ask(store, pd.DataFrame({"instrument": pd.Series([], dtype=object), "event_timestamp": times}))
        assert (len(found), list(found.columns)) == (0, ["instrument", "event_timestamp", "sma_20", "quoted_spread"])


NAIVE = datetime(2025, 3, 3, 12)  # noqa: DTZ001  # that is the point


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ({"instrument": [PLANTED], "event_timestamp": [NAIVE]}, "no time zone"),
        ({"instrument": [PLANTED] * 2, "event_timestamp": [MOMENT, NAIVE]}, "no time zone"),
        ({"instrument": [PLANTED], "event_timestamp": ["2025-03-03 12:00"]}, "no time zone"),
        ({"instrument": [PLANTED] * 2, "event_timestamp": pd.to_datetime([MOMENT, None], utc=True)}, "missing"),
        ({"instrument": [PLANTED], "event_timestamp": [MOMENT], "sma_20": [1.0]}, "are called as features that are asked for: sma_20"),
    ],
)
def test_rows_that_could_mean_something_else_are_refused(
    planted: Platform, store: "FeatureStore", frame: dict[str, Any], said: str
) -> None:
    minutely(planted)
    with pytest.raises(ValueError, match=said):
        ask(store, pd.DataFrame(frame))
