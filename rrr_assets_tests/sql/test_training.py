"""Training sets: the same is asked for and the same comes out, nothing of the future is in it, and an independent query agrees."""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from rrr_assets import read
from rrr_assets.calc.features import FEATURES, Feature
from rrr_assets.calc.features.spec import SpecRefused, TrainingSpec, read_spec
from rrr_assets.features import training_run
from rrr_assets.features.training import BarsDeleted, FeatureGone, NotFinalYet, NothingKnown, make
from rrr_assets.features.training_run import HASH_KEY, NotWritten, produce
from rrr_assets.lake.feature_ticks import TieredTicks
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.declare import Declared, declare
from rrr_assets.warehouse.features import refresh_features, refresh_tick_minutes
from rrr_assets.warehouse.holds import Hold, HoldRefused, place, release
from rrr_assets.warehouse.training_sets import TrainingSetChanged, TrainingSetReleased, enter, find
from rrr_assets_tests.loading import DAY, NAME, Told, emptied, midnight, take, vision
from rrr_assets_tests.platform import Platform

START = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
EXPIRES = datetime(2099, 1, 1, tzinfo=UTC)

Redeclare = Callable[[Mapping[str, Feature]], None]


def trades(symbol: str = "BTCUSDT") -> list[Told]:
    """Six hours, three trades a minute, the last of some minutes just before their end."""
    bend = 50 + len(symbol)
    return [
        Told(
            1000 + n, midnight(DAY) + n * 20_000_000 + (19_500_000 if n % 15 == 14 else 7),
            f"{42_000 + 40 * math.sin(n / bend) + n % 7:.2f}", f"0.{n % 9 + 1}", n % 3 == 0,
        )
        for n in range(1080)
    ]  # fmt: skip


def follow(platform: Platform) -> datetime:
    """Bring everything up to date; when that was known."""
    platform.refresh([DAY])
    list(refresh_tick_minutes(platform.database, [DAY], TieredTicks(platform.database), whole_days=False))
    list(refresh_features(platform.database, [DAY], whole_days=False))
    [(known,)] = platform.rows("select clock_timestamp()")
    return known


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    platform = emptied(database, tmp_path)
    late = trades()[602]
    take(platform, vision(tmp_path, [each for each in trades() if each != late], DAY))
    take(platform, vision(tmp_path, trades("ETHUSDT"), DAY, symbol="ETHUSDT"))
    follow(platform)
    return platform


def spec(**changes: Any) -> TrainingSpec:
    given = {
        "name": "momentum", "instruments": ["*"], "start": START.isoformat(), "end": (START + timedelta(hours=5)).isoformat(),
        "every_minutes": 7, "features": ["sma_20", "rsi_14", "return_1h", "quoted_spread"],
        "labels": [{"kind": "return", "minutes": 15}, {"kind": "triple_barrier", "minutes": 30, "up_bps": 5, "down_bps": 5}],
        "test": {"start": (START + timedelta(hours=4)).isoformat(), "end": (START + timedelta(hours=5)).isoformat()},
    }  # fmt: skip
    return TrainingSpec.model_validate(given | changes)


def now(platform: Platform) -> datetime:
    [(at,)] = platform.rows("select clock_timestamp()")
    return at


AS_OF = """
    with entities as (
        select i.instrument, m as moment
        from (select distinct instrument from features_1m) as i
        cross join generate_series(%(start)s::timestamptz, %(end)s::timestamptz - interval '1 second', interval '7 minutes') as m
    )
    select e.instrument, e.moment, f.event_time, f.sma_20, f.rsi_14, f.return_1h
    from entities as e
    cross join lateral (
        select * from (
            select instrument, event_time, available_at, known_at, null::timestamptz as until, sma_20, rsi_14, return_1h from features_1m
            union all
            select instrument, event_time, available_at, known_at, believed_until, sma_20, rsi_14, return_1h from feature_revisions_1m
        ) as r
        where r.instrument = e.instrument and r.available_at <= e.moment and r.event_time >= e.moment - interval '5 minutes'
            and r.known_at <= %(known)s and (r.until is null or r.until > %(known)s)
        order by r.event_time desc limit 1
    ) as f
    order by 1, 2
"""


def independent(platform: Platform, known: datetime) -> list[tuple]:
    """The same by plain SQL."""
    with platform.database.connect_admin() as connection:
        return connection.execute(AS_OF, {"start": START, "end": START + timedelta(hours=5), "known": known}).fetchall()


def test_an_independent_query_agrees_before_and_after_a_late_trade(platform: Platform, tmp_path: Path) -> None:
    before = now(platform)
    take(platform, vision(tmp_path, [trades()[602]], DAY, "-late"))
    after = follow(platform)
    made = {}
    for known in (before, after):
        made[known] = make(platform.database, spec(test=None, labels=[]), known).rows
        found = made[known].select(["instrument", "moment", "event_time", "sma_20", "rsi_14", "return_1h"])
        rows = [tuple(row.values()) for row in found.to_pylist()]
        assert rows == independent(platform, known)
        assert len(rows) > 80
    assert made[before] != made[after]


def test_the_same_is_asked_for_and_the_same_comes_out(platform: Platform, tmp_path: Path) -> None:
    known = now(platform)
    first = make(platform.database, spec(), known)
    take(platform, vision(tmp_path, [trades()[602]], DAY, "-late"))
    after = follow(platform)
    again = make(platform.database, spec(name="other-name"), known)
    assert again.content == first.content
    assert again.rows.equals(first.rows)
    assert make(platform.database, spec(), after).content != first.content
    assert first.manifest["rows"] == len(first.rows) > 70
    assert first.manifest["instruments"] == [NAME, "binance:ETHUSDT"]
    assert first.manifest["available_at"] == {"observed": 0, "modelled": len(first.rows), "share_observed": 0.0}


def test_no_row_sees_what_could_not_be_used_and_labels_are_of_the_future(platform: Platform) -> None:
    made = make(platform.database, spec(), now(platform)).rows
    assert pc.all(pc.less_equal(made["available_at"], made["moment"])).as_py()
    assert pc.all(pc.less_equal(made["event_time"], made["available_at"])).as_py()
    train = made.filter(pc.equal(made["split"], "train"))
    cut = START + timedelta(hours=4)
    assert len(train) > 40
    for label in ("return_after_15m_end", "barrier_30m_5_5_end"):
        assert pc.max(train[label]).as_py() < cut
    closes = {row["bar_start"] + timedelta(minutes=1): float(row["close"]) for row in read.bars(
        NAME, "1m", START, START + timedelta(hours=6), database=platform.database).to_pylist()}  # fmt: skip
    checked = 0
    for row in made.filter(pc.equal(made["instrument"], NAME)).to_pylist():
        at = row["moment"]
        if row["return_after_15m"] is not None:
            assert row["return_after_15m"] == pytest.approx(closes[at + timedelta(minutes=15)] / closes[at] - 1)
            checked += 1
    assert checked > 20


def test_a_knowledge_time_before_the_load_and_one_to_come_are_refused(platform: Platform) -> None:
    with pytest.raises(NothingKnown, match="A knowledge time lies after the load"):
        make(platform.database, spec(), datetime(2025, 3, 4, tzinfo=UTC))
    with pytest.raises(NotFinalYet, match="not final yet"):
        make(platform.database, spec(), now(platform) + timedelta(hours=1))


def test_a_set_is_held_and_once_released_it_is_refused_by_name(platform: Platform) -> None:
    known = now(platform)
    made = make(platform.database, spec(), known)
    days = (DAY, DAY + timedelta(days=1))
    entered = enter(platform.database, made.manifest, known, *days, EXPIRES)
    assert enter(platform.database, made.manifest, known, *days, EXPIRES) == entered == find(platform.database, spec().sha256, known)
    assert read.training_sets(database=platform.database)["content_sha256"].to_pylist() == [made.content]
    with pytest.raises(TrainingSetChanged, match="what was believed must not change"):
        enter(platform.database, {**made.manifest, "content_sha256": "0" * 64}, known, *days, EXPIRES)
    release(platform.database, entered.hold, "over")
    with pytest.raises(TrainingSetReleased, match=rf"training set {entered.set_id} \(momentum\) is released"):
        enter(platform.database, made.manifest, known, *days, EXPIRES)


def test_a_hold_that_is_over_is_over_whoever_places_another(platform: Platform) -> None:
    known = now(platform)
    made = make(platform.database, spec(), known)
    days = (DAY, DAY + timedelta(days=1))
    entered = enter(platform.database, made.manifest, known, *days, EXPIRES)
    assert find(platform.database, spec().sha256, known) == entered
    assert entered.ends_at == EXPIRES
    platform.rows("update holds set expires_at = clock_timestamp() returning 1")
    with pytest.raises(TrainingSetReleased, match=rf"its hold {entered.hold} is over since "):
        find(platform.database, spec().sha256, known)
    place(platform.database, Hold(entered.hold, "again", "pin", None, None, *days, EXPIRES))
    with pytest.raises(TrainingSetReleased):
        find(platform.database, spec().sha256, known)
    # Asked for under another name it is the same set; as known at another time it is another one.
    with pytest.raises(TrainingSetReleased, match=r"\(momentum\) is released"):
        find(platform.database, spec(name="another").sha256, known)
    assert find(platform.database, spec().sha256, known + timedelta(microseconds=1)) is None


@pytest.fixture
def redeclare() -> Iterator[Redeclare]:
    """Have other features declared; when the test is over, those that are, in their order."""
    kept = dict(FEATURES)

    def put(wanted: Mapping[str, Feature]) -> None:
        FEATURES.clear()
        FEATURES.update(wanted)

    yield put
    put(kept)


def test_a_set_stays_what_it_was_whatever_is_declared_later(platform: Platform, tmp_path: Path, redeclare: Redeclare) -> None:
    known, out = now(platform), tmp_path / "a.parquet"
    test = {"start": START + timedelta(hours=1), "end": START + timedelta(hours=2)}
    # As if others were declared after it.
    all_of_them = dict(FEATURES)
    redeclare({name: all_of_them[name] for name in all_of_them if name in {"sma_20", "return_1m", "rsi_14"}})
    first = produce(platform.database, spec(features=["*"], test=test), known, out)
    before, manifest = out.read_bytes(), out.with_suffix(".manifest.json").read_bytes()
    later = all_of_them | {"sma_20": replace(all_of_them["sma_20"], window=500, version=2)}
    redeclare(later)
    again = produce(platform.database, spec(features=["*"], test=test), known, out)
    assert (again.entered.set_id, again.made.content) == (first.entered.set_id, first.made.content)
    assert (out.read_bytes(), out.with_suffix(".manifest.json").read_bytes()) == (before, manifest)
    assert set(again.told["features"]) == {"sma_20", "return_1m", "rsi_14"}
    assert produce(platform.database, spec(features=["*"], test=test), now(platform), out).made.content != first.made.content
    redeclare({name: each for name, each in later.items() if name != "return_1m"})
    with pytest.raises(FeatureGone, match="return_1m, which is declared no more"):
        produce(platform.database, spec(features=["*"], test=test), known, out)


def test_what_cannot_be_made_is_not_held(platform: Platform, tmp_path: Path) -> None:
    with pytest.raises(NothingKnown):
        produce(platform.database, spec(), datetime(2025, 3, 4, tzinfo=UTC), tmp_path / "a.parquet")
    with pytest.raises(NotFinalYet):
        produce(platform.database, spec(), now(platform) + timedelta(hours=1), tmp_path / "a.parquet")
    with pytest.raises(NotWritten, match="is no folder"):
        produce(platform.database, spec(), now(platform), tmp_path / "nowhere" / "a.parquet")
    assert platform.rows("select count(*) from holds where released_at is null") == [(0,)]
    assert len(read.training_sets(database=platform.database)) == 0


def test_a_set_that_runs_enter_under_two_names_is_held_once(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = now(platform)
    first = produce(platform.database, spec(), known, tmp_path / "a.parquet")
    # As if the other run had looked before this one was done.
    monkeypatch.setattr("rrr_assets.features.training_run.find", lambda *_: None)
    second = produce(platform.database, spec(name="another"), known, tmp_path / "b.parquet")
    assert second.entered == first.entered
    assert platform.rows("select name from holds where released_at is null") == [(first.entered.hold,)]


def test_a_run_that_fails_takes_no_hold_from_a_set_that_another_run_entered(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = now(platform)
    standing = "select name, expires_at < now() + interval '25 hours' from holds where released_at is null order by name"
    seen: list[list[tuple]] = []

    def fails(*_: Any) -> None:
        monkeypatch.undo()
        produce(platform.database, spec(), known, tmp_path / "other.parquet")
        seen.append(platform.rows(standing))
        raise NothingKnown("as if")

    monkeypatch.setattr("rrr_assets.features.training_run.make", fails)
    with pytest.raises(NothingKnown, match="as if"):
        produce(platform.database, spec(), known, tmp_path / "a.parquet")
    entered = find(platform.database, spec().sha256, known)
    assert entered is not None
    assert platform.rows(standing) == [(entered.hold, False)]
    # While it is made it is held too, and of a run that is killed that ends soon.
    [[of_the_set, (making, ends_soon)]] = seen
    assert (of_the_set, making.startswith("training-set-momentum-making-"), ends_soon) == ((entered.hold, False), True, True)


def test_two_runs_write_to_one_file_and_what_a_killed_one_left_goes(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, out, write = now(platform), tmp_path / "a.parquet", pq.write_table
    left, fresh = (tmp_path / f".a.parquet.{name}.part" for name in ("left", "fresh"))
    for path, age in ((left, 7200), (fresh, 0)):
        path.write_text("half")
        os.utime(path, (time.time() - age,) * 2)

    def meets_another(table: pa.Table, path: Path) -> None:
        monkeypatch.undo()
        write(table, path)
        produce(platform.database, spec(), known, out)

    monkeypatch.setattr(pq, "write_table", meets_another)
    done = produce(platform.database, spec(), known, out)
    assert pq.read_table(out).equals(done.made.rows)
    assert pq.read_schema(out).metadata[HASH_KEY].decode() == json.loads(done.manifest_file.read_text())["content_sha256"]
    assert sorted(path.name for path in tmp_path.glob("*a.*")) == [fresh.name, "a.manifest.json", "a.parquet"]
    assert out.stat().st_mode == done.manifest_file.stat().st_mode == fresh.stat().st_mode


def test_the_manifest_and_the_rows_of_a_file_are_of_one_run(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known, out, replaced = now(platform), tmp_path / "a.parquet", Path.replace
    others = [spec(), spec(name="other", features=["rsi_14"])]
    first = produce(platform.database, others[0], known, tmp_path / "b.parquet")
    with ThreadPoolExecutor(1) as pool:
        started: list[Future[Any]] = []

        def meets_another(path: Path, target: Path) -> Path:
            if not started:
                started.append(pool.submit(produce, platform.database, others[1], known, out))
                # Long enough to write both, were it not for the lock.
                assert not wait(started, timeout=5).done
            return replaced(path, target)

        monkeypatch.setattr(Path, "replace", meets_another)
        produce(platform.database, others[0], known, out)
        other = started[0].result(60)
    assert other.made.content != first.made.content
    assert json.loads(other.manifest_file.read_text())["content_sha256"] == other.made.content
    assert pq.read_schema(out).metadata[HASH_KEY].decode() == other.made.content


def test_a_set_whose_hold_is_released_while_it_is_made_again_is_refused_by_name(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, out, made = now(platform), tmp_path / "a.parquet", training_run.make
    first = produce(platform.database, spec(), known, out)

    def released_meanwhile(*given: Any) -> Any:
        release(platform.database, first.entered.hold, "over")
        [(name,)] = platform.rows("select name from holds where released_at is null")
        assert name.startswith("training-set-momentum-making-"), "what it is made from is held all the same"
        return made(*given)

    monkeypatch.setattr(training_run, "make", released_meanwhile)
    with pytest.raises(TrainingSetReleased, match=rf"its hold {first.entered.hold} is over since "):
        produce(platform.database, spec(), known, tmp_path / "b.parquet")
    assert not (tmp_path / "b.parquet").exists()
    assert platform.rows("select count(*) from holds where released_at is null") == [(0,)]


@pytest.mark.parametrize(("instrument", "ends_at"), [(None, EXPIRES), (NAME, None)])
def test_a_hold_that_stands_under_the_name_of_a_set_has_to_cover_it(
    platform: Platform, tmp_path: Path, instrument: str | None, ends_at: datetime | None
) -> None:
    known = now(platform)
    first = produce(platform.database, spec(), known, tmp_path / "a.parquet")
    platform.rows("delete from training_sets returning 1")
    release(platform.database, first.entered.hold, "over")
    days = (DAY - timedelta(days=30), DAY + timedelta(days=30))
    place(platform.database, Hold(first.entered.hold, "by hand", "pin", None, instrument, *days, EXPIRES))
    if ends_at is None:
        with pytest.raises(HoldRefused, match="stands, but not for all of"):
            produce(platform.database, spec(), known, tmp_path / "a.parquet")
        assert platform.rows("select count(*) from training_sets") == [(0,)]
    else:
        assert produce(platform.database, spec(), known, tmp_path / "a.parquet").entered.ends_at == ends_at


def test_labels_of_bars_that_are_away_are_not_made_up(platform: Platform) -> None:
    platform.rows(
        "insert into partition_tiers (relation, partition_start, tier, row_count, size_bytes, changed_at)"
        " values ('bars_1m', %s, 'deleted', 1, 1, now()) returning 1",
        DAY.replace(day=1),
    )
    with pytest.raises(BarsDeleted, match="bars_1m of 2025-03-01 is deleted"):
        make(platform.database, spec(), now(platform))
    assert len(make(platform.database, spec(labels=[]), now(platform)).rows) > 70


def test_the_universe_is_as_of_the_knowledge_time(platform: Platform, tmp_path: Path) -> None:
    listed = now(platform)
    declare(platform.database, "binance:ETHUSDT", Declared(delisted_on=DAY + timedelta(days=1)))
    delisted = now(platform)
    take(platform, vision(tmp_path, trades("SOLUSDT"), DAY, symbol="SOLUSDT"))
    follow(platform)
    declare(platform.database, "binance:SOLUSDT", Declared(listed_on=DAY))
    after = now(platform)
    found = {at: make(platform.database, spec(), at).manifest for at in (listed, delisted, after)}
    assert [manifest["instruments"] for manifest in found.values()] == [[NAME, "binance:ETHUSDT"]] * 2 + [
        [NAME, "binance:ETHUSDT", "binance:SOLUSDT"]
    ]
    told = [{each["instrument"]: (each["listed_on"], each["delisted_on"]) for each in m["universe"]["as_known"]} for m in found.values()]
    over = (DAY + timedelta(days=1)).isoformat()
    assert told == [
        {NAME: (None, None), "binance:ETHUSDT": (None, None)},
        {NAME: (None, None), "binance:ETHUSDT": (None, over)},
        {NAME: (None, None), "binance:ETHUSDT": (None, over), "binance:SOLUSDT": (DAY.isoformat(), None)},
    ]
    named = make(platform.database, spec(instruments=["binance:SOLUSDT", "binance:ETHUSDT"]), delisted).manifest
    assert (named["instruments"], named["universe"]["nothing_known_of"]) == (["binance:ETHUSDT"], ["binance:SOLUSDT"])
    assert (found[listed]["data"]["batches"]["count"], found[after]["data"]["batches"]["count"]) == (2, 3)


def test_the_manifest_counts_every_moment_and_every_label_that_is_null(platform: Platform) -> None:
    hours = [START + timedelta(hours=n) for n in range(26)]
    asked = spec(start=hours[1], end=hours[25], test={"start": hours[2], "end": hours[3], "embargo_minutes": 45})
    made = make(platform.database, asked, now(platform))
    moments = made.manifest["moments"]
    assert moments["moments"] == 2 * math.ceil(24 * 60 / 7)
    assert moments["moments"] == sum(moments[name] for name in ("without_a_row", "train", "test", "purged", "embargoed"))
    assert moments["train"] + moments["test"] == len(made.rows)
    assert (moments["embargo_minutes"], moments["label_horizon_minutes"]) == (45, 30)
    assert moments["embargoed"] > 0
    assert moments["purged"] > 0
    for label, minutes in (("return_after_15m", 15), ("barrier_30m_5_5", 30)):
        nulls = [row["moment"] for row in made.rows.to_pylist() if row[label] is None]
        past = [at for at in nulls if at + timedelta(minutes=minutes) > hours[24]]
        assert made.manifest["labels"][label] == {"horizon_minutes": minutes, "null": len(nulls), "null_past_the_end": len(past)}
        assert len(nulls) > len(past) > 0
    assert made.manifest["data"]["bars_1m"]["rows_read"] > 600
    assert made.manifest["query"].keys() == {"features", "bars", "ttl_seconds"}
    assert {"rrr_assets", "polars", "pyarrow"} <= made.manifest["made_by"].keys()
    assert made.manifest["features"]["rsi_14"]["version"] == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"features": ["sma_21"]}, "did you mean sma_20"),
        ({"end": START.isoformat()}, "end does not lie after start"),
        ({"test": {"start": "2024-01-01", "end": "2024-01-02"}}, "does not lie within"),
        ({"labels": [{"kind": "oracle"}]}, "labels"),
        ({"moon": True}, "moon"),
        ({"instruments": ["*", "binance:BTCUSDT"]}, "stands alone"),
    ],
)
def test_a_specification_that_nobody_understands_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps({**json.loads(spec().model_dump_json()), **changes}))
    with pytest.raises(SpecRefused, match=said):
        read_spec(path)


def test_what_is_written_differently_and_means_the_same_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("{every_minutes: 5, name: a, instruments: ['binance:BTCUSDT'], features: [sma_20], start: 2025-03-03, end: 2025-03-04}")
    other = TrainingSpec(
        name="b", instruments=["binance:BTCUSDT"], features=["sma_20"], every_minutes=5, start=START, end=START + timedelta(days=1)
    )
    assert read_spec(path).sha256 == other.sha256


def test_rows_come_back_from_parquet_as_they_are(platform: Platform, tmp_path: Path) -> None:
    made = make(platform.database, spec(), now(platform))
    pq.write_table(made.rows, tmp_path / "set.parquet")
    assert pq.read_table(tmp_path / "set.parquet").equals(made.rows)
