"""Feast over the warehouse: what is registered is what is declared, and a training row sees what could be seen.

What is declared is also held against a reviewed file, so that a change of the registry stands in the diff of what makes it.
After one on purpose, write the file anew and read its diff:
RRR_WRITE_GOLDEN=1 python -m pytest rrr_assets_tests/sql/test_feast.py -k golden
"""

import copy
import json
import math
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl
import pytest
from feast import RequestSource
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.types import Float64, UnixTimestamp
from google.protobuf.json_format import MessageToDict

from rrr_assets.calc.features import FEATURES
from rrr_assets.contracts.archive import ARCHIVED_GROUPS
from rrr_assets.contracts.base import Type
from rrr_assets.contracts.features import FEATURES_1M
from rrr_assets.lake import retiring
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.feature_ticks import TieredTicks
from rrr_assets.lake.proving import archive_partition
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.features import refresh_features, refresh_tick_minutes
from rrr_assets_tests.loading import DAY, NAME, NEXT, Told, emptied, midnight, take, vision
from rrr_assets_tests.platform import Platform
from rrr_assets_tests.quiet_feast import OF_FEAST

if TYPE_CHECKING:
    from feast import FeatureStore

pytestmark = OF_FEAST

GOLDEN = Path(__file__).with_name("feast_registry.json")
REMEDY = "if this is on purpose, run it again with RRR_WRITE_GOLDEN=1 and review the diff of feast_registry.json"
START = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)


@pytest.fixture(scope="module")
def platform(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """Four hours of trades, three a minute, and their features."""
    folder = tmp_path_factory.mktemp("feast")
    platform = emptied(database, folder)
    trades = [
        Told(
            1000 + n,
            midnight(DAY) + n * 20_000_000 + (19_500_000 if n % 15 == 14 else 7),
            f"{42_000 + 40 * math.sin(n / 50) + n % 7:.2f}",
            f"0.{n % 9 + 1}",
            n % 3 == 0,
        )
        for n in range(720)
    ]
    take(platform, vision(folder, trades, DAY))
    platform.refresh()
    list(refresh_tick_minutes(platform.database, [DAY], TieredTicks(platform.database), whole_days=True))
    list(refresh_features(platform.database, [DAY], whole_days=True))
    return platform


@pytest.fixture(params=["UTC", "America/New_York"])
def _clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine's time zone: in New York the clocks change in the first hours of the data's time of year."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(scope="module")
def store(platform: Platform) -> Iterator["FeatureStore"]:
    from rrr_assets.features.feast_config import store
    from rrr_assets.features.feast_objects import VIEW
    from rrr_assets.features.feast_registry import apply

    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("RRR_ONLINE_STORE_URL", raising=False)
        made = store(platform.database)
        assert ("create", VIEW.name) in {(each.action, each.name) for each in apply(made)}
        yield made
        made.teardown()


def asked(store: "FeatureStore", rows: list[tuple[str, datetime]], features: Any, **more: Any) -> pd.DataFrame:
    entities = pd.DataFrame(rows, columns=["instrument", "event_timestamp"])
    return store.get_historical_features(entity_df=entities, features=features, **more).to_df()


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def test_what_is_registered_is_what_is_declared(store: "FeatureStore") -> None:
    [view] = store.list_batch_feature_views()
    fields = {field.name: field for field in view.schema if field.name != "instrument"}
    types = {Type.STATISTIC: Float64, Type.TIME: UnixTimestamp}
    told = {column.name: types[column.type] for column in FEATURES_1M.columns if column.type in types and column.name != "event_time"}
    assert {name: field.dtype for name, field in fields.items()} == told
    for name, declared in FEATURES.items():
        field = fields[name]
        assert (field.description, field.tags["unit"], field.tags["formula"]) == (declared.description, declared.unit, declared.formula)
    assert (view.name, view.owner, view.description) == (FEATURES_1M.name, FEATURES_1M.owner, FEATURES_1M.description)
    objects = [
        store.get_entity("instrument"),
        *store.list_data_sources(),
        *store.list_feature_services(),
        *store.list_on_demand_feature_views(),
    ]
    assert all(each.owner and each.description for each in objects)
    assert {service.name for service in store.list_feature_services()} == {"minutes", "minutes_and_price"}


def test_a_row_sees_the_last_minute_that_could_be_used(store: "FeatureStore", platform: Platform) -> None:
    [(close, available, value)] = platform.rows(
        "select event_time, available_at, sma_20 from features_1m where instrument = %s and available_at > event_time"
        " and event_time > %s order by event_time limit 1", NAME, at(100),
    )  # fmt: skip
    rows = [(NAME, available), (NAME, available - timedelta(microseconds=1)), ("binance:NONE", available), (NAME, available)]
    found = asked(store, rows, ["features_1m:sma_20"])
    [(before,)] = platform.rows(
        "select sma_20 from features_1m where instrument = %s and event_time = %s", NAME, close - timedelta(minutes=1)
    )
    assert found["sma_20"].tolist()[:2] == [value, before]
    assert math.isnan(found["sma_20"][2])
    assert found["sma_20"][3] == value
    assert found["instrument"].tolist() == [row[0] for row in rows]


def test_every_feature_comes_by_its_service(store: "FeatureStore", platform: Platform) -> None:
    found = asked(store, [(NAME, at(220.5))], store.get_feature_service("minutes"))
    columns = ", ".join(FEATURES)
    [stamps] = platform.rows("select available_at, known_at from features_1m where instrument = %s and event_time = %s", NAME, at(220))
    assert (found["available_at"][0], found["known_at"][0]) == stamps
    [row] = platform.rows(f"select {columns} from features_1m where instrument = %s and event_time = %s", NAME, at(220))  # noqa: S608  # ours
    for name, value in zip(FEATURES, row, strict=True):
        given = found[name][0]
        assert (given == value) or (value is None and math.isnan(given)), name


def test_what_hangs_on_a_price_of_now_is_computed(store: "FeatureStore") -> None:
    entities = pd.DataFrame({"instrument": [NAME] * 2, "event_timestamp": [at(100.5)] * 2, "price": [43_000.0, math.inf]})
    found = store.get_historical_features(
        entity_df=entities, features=["features_1m:sma_20", "price_now_1m:price_over_sma_20_bps", "price_now_1m:price_in_bands"]
    ).to_df()
    assert found["price_over_sma_20_bps"][0] == pytest.approx((43_000 / found["sma_20"][0] - 1) * 10_000)
    assert found["price_in_bands"][0] > 1
    assert math.isnan(found["price_over_sma_20_bps"][1])


def test_online_values_are_the_offline_ones_to_the_bit(store: "FeatureStore", platform: Platform) -> None:
    from rrr_assets.features.online import materialize, vectors

    assert materialize(store, at(200.5)).instruments == 1
    found, none = vectors(store, [NAME, "binance:NONE"], max_age=timedelta(minutes=5), now=at(201))
    columns = ", ".join(FEATURES)
    [(known, *row)] = platform.rows(f"select known_at, {columns} from features_1m where instrument = %s and event_time = %s", NAME, at(200))  # noqa: S608  # ours
    assert found.values == dict(zip(FEATURES, row, strict=True))
    assert any(value is None for value in row)
    assert (found.event_time, found.age) == (at(200), timedelta(minutes=1))
    assert found.known_at == (known + timedelta(microseconds=999_999)).replace(microsecond=0)
    assert (none.event_time, none.is_fresh, set(none.values.values())) == (None, False, {None})
    # Feast's own way there.
    store.materialize(at(0), at(210.5))
    [later] = vectors(store, [NAME], ["rsi_14"], max_age=timedelta(minutes=5), now=at(211))
    [(rsi,)] = platform.rows("select rsi_14 from features_1m where instrument = %s and event_time = %s", NAME, at(210))
    assert (later.event_time, later.values["rsi_14"]) == (at(210), rsi)


@pytest.mark.parametrize("entities", ["select 1", pd.DataFrame({"symbol": ["x"], "event_timestamp": [START]})])
def test_what_cannot_be_answered_is_refused_with_a_word(store: "FeatureStore", entities: Any) -> None:
    with pytest.raises(Exception, match=r"pandas frame|no column `instrument`|instrument"):
        store.get_historical_features(entity_df=entities, features=["features_1m:sma_20"]).to_df()


def _registered() -> dict[str, Any]:
    """What the registry would hold of each object, but for when that was written and how this Python pickles a function."""
    from rrr_assets.features.feast_objects import OBJECTS

    told: dict[str, Any] = {}
    for each in copy.deepcopy(OBJECTS):
        # Feast keeps no request source by itself: it stands in the view that asks for it.
        if not isinstance(each, RequestSource):
            proto = each.to_proto()
            written = MessageToDict(getattr(proto, "spec", proto), preserving_proto_field_name=True)
            told[f"{type(each).__name__} {each.name}"] = _without(written, {"meta", "body"})
    return told


def _without(value: Any, names: set[str]) -> Any:
    if isinstance(value, dict):
        return {name: _without(inner, names) for name, inner in value.items() if name not in names}
    return [_without(inner, names) for inner in value] if isinstance(value, list) else value


def test_every_object_is_as_the_golden_file_says() -> None:
    now = _registered()
    if os.environ.get("RRR_WRITE_GOLDEN") == "1":
        GOLDEN.write_text(json.dumps(now, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert sorted(now) == sorted(golden), REMEDY
    for name, told in now.items():
        assert told == golden[name], f"{name}: {REMEDY}"


def test_applied_again_nothing_changes(store: "FeatureStore") -> None:
    from rrr_assets.features.feast_registry import apply, plan

    assert plan(store) == []
    assert apply(store) == []


def test_a_view_that_is_declared_no_more_is_planned_and_goes(store: "FeatureStore") -> None:
    from feast import FeatureView, Field
    from feast.types import Float64

    from rrr_assets.features.feast_objects import INSTRUMENT, SOURCE
    from rrr_assets.features.feast_registry import Change, apply, plan

    store.apply([FeatureView(name="old_1m", entities=[INSTRUMENT], schema=[Field(name="sma_20", dtype=Float64)], source=SOURCE)])
    assert plan(store) == [Change("delete", "feature view", "old_1m", ())]
    apply(store)
    assert "old_1m" not in {view.name for view in store.list_batch_feature_views()}


def test_a_changed_definition_shows_as_a_difference(store: "FeatureStore") -> None:
    from feast import Field

    from rrr_assets.features.feast_objects import VIEW
    from rrr_assets.features.feast_registry import apply, plan

    changed = copy.deepcopy(VIEW)
    changed.ttl = timedelta(minutes=1)
    kept = [field for field in changed.features if field.name != "rsi_14"]
    kept[0] = Field(name=kept[0].name, dtype=kept[0].dtype, description="Something else.")
    changed.features = [*kept, Field(name="old", dtype=Float64)]
    store.apply([changed])
    found = {change.name: change for change in plan(store)}
    assert found[VIEW.name].action == "update"
    told = "; ".join(found[VIEW.name].properties)
    assert {"ttl: seconds: 60 -> seconds: 300", "+rsi_14", "-old", f"~{kept[0].name}"} <= {
        *told.split("; "),
        *told.replace(";", "").split(),
    }
    assert kept[1].name not in told
    assert apply(store)
    assert plan(store) == []


def test_a_vector_tells_its_age_and_an_old_one_has_no_values(store: "FeatureStore") -> None:
    from rrr_assets.features.online import materialize, vectors

    materialize(store, at(240.5))
    fresh, unknown = vectors(store, [NAME, "binance:NONE"], ["sma_20", "rsi_14"], max_age=timedelta(minutes=5), now=at(242))
    assert (fresh.event_time, fresh.age, fresh.is_fresh) == (at(240), timedelta(minutes=2), True)
    assert all(value is not None for value in fresh.values.values())
    assert (unknown.event_time, unknown.age, unknown.is_fresh) == (None, None, False)
    for_long = timedelta(days=9)
    edge, old = (vectors(store, [NAME], ["sma_20"], max_age=for_long, now=now)[0] for now in (at(245), at(245.01)))
    assert (edge.is_fresh, old.is_fresh, old.event_time, old.values) == (True, False, at(240), {"sma_20": None})
    [strict] = vectors(store, [NAME], ["sma_20"], max_age=timedelta(minutes=1), now=at(242))
    assert (strict.is_fresh, strict.age, strict.values) == (False, timedelta(minutes=2), {"sma_20": None})
    bare = store.get_online_features(features=["features_1m:sma_20"], entity_rows=[{"instrument": NAME}]).proto.results[1]
    assert (list(bare.statuses), bare.values[0].WhichOneof("val")) == ([FieldStatus.OUTSIDE_MAX_AGE], None)
    assert bare.event_timestamps[0].ToDatetime(tzinfo=UTC) == at(240)


def test_at_a_moment_nothing_is_served_that_came_after_it(store: "FeatureStore") -> None:
    from rrr_assets.features.online import STAMPS, Vector, in_whole_seconds, materialize, vectors
    from rrr_assets.features.online_store import reckoned_at

    materialize(store, at(240.5))
    five, nothing = timedelta(minutes=5), Vector(NAME, None, None, False, {"sma_20": None})
    # It could be used half a second after its close.
    usable = at(240) + timedelta(seconds=1)
    for now, is_there in ((at(230), False), (at(240), False), (usable - timedelta(microseconds=1), False), (usable, True)):
        [vector] = vectors(store, [NAME], ["sma_20"], max_age=five, now=now)
        assert (vector == nothing, vector.is_fresh) == (not is_there, is_there), now
    # One that was late was there when it could be used.
    plant_online(store, "late:LY", at(240), at(241.5))
    for now, is_there in ((at(241), False), (at(241.5), True)):
        [vector] = vectors(store, ["late:LY"], ["sma_20"], max_age=five, now=now)
        assert (vector.age, vector.values["sma_20"]) == ((timedelta(minutes=1.5), 1.0) if is_there else (None, None))
    # What is online is in whole seconds, and these are never the ones before it could be used.
    stored = pl.DataFrame({name: [at(240), at(240) + timedelta(microseconds=1), at(240) + timedelta(milliseconds=999)] for name in STAMPS})
    for name in STAMPS:
        assert in_whole_seconds(stored)[name].to_list() == [at(240), at(240) + timedelta(seconds=1), at(240) + timedelta(seconds=1)]
    with reckoned_at(at(239)):
        bare = store.get_online_features(features=["features_1m:sma_20"], entity_rows=[{"instrument": NAME}]).proto.results[1]
    assert (list(bare.statuses), bare.values[0].WhichOneof("val")) == ([FieldStatus.NOT_FOUND], None)
    assert not bare.event_timestamps[0].seconds


def test_a_clock_that_lags_behind_makes_no_age_negative(store: "FeatureStore") -> None:
    from rrr_assets.features.online import vectors

    close = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    plant_online(store, "ahead:OF", close, close)
    [vector] = vectors(store, ["ahead:OF"], ["sma_20"], max_age=timedelta(minutes=5))
    assert (vector.event_time, vector.age, vector.values) == (close, timedelta(0), {"sma_20": 1.0})


def plant_online(store: "FeatureStore", instrument: str, close: datetime, usable: datetime) -> None:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    key = EntityKey(join_keys=["instrument"], entity_values=[Value(string_val=instrument)])
    values = {"sma_20": Value(double_val=1), "available_at": Value(unix_timestamp_val=int(usable.timestamp()))}
    view = store.get_feature_view("features_1m")
    store.provider.online_write_batch(store.config, view, [(key, values, close, close)], None)


@pytest.mark.usefixtures("_clock")
def test_times_online_hang_on_no_time_zone(store: "FeatureStore") -> None:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    key = EntityKey(join_keys=["instrument"], entity_values=[Value(string_val=f"clock:{time.tzname[0]}")])
    view = store.get_feature_view("features_1m")
    provider = store.provider
    for hour in range(5, 9):
        # As UTC, 02:30 of that day is no time of New York's.
        moment = datetime(2025, 3, 9, hour - 4, 30, tzinfo=UTC)
        provider.online_write_batch(store.config, view, [(key, {"sma_20": Value(double_val=hour)}, moment, moment)], None)
        [(read, values)] = provider.online_read(store.config, view, [key], ["sma_20"])
        assert (read, values["sma_20"].double_val) == (moment, hour)


def test_an_older_minute_takes_no_newer_ones_place_and_a_corrected_one_its_own(store: "FeatureStore", platform: Platform) -> None:
    from rrr_assets.features.online import materialize, vectors

    def served() -> tuple[datetime | None, float | None]:
        [vector] = vectors(store, [NAME], ["sma_20"], max_age=timedelta(minutes=5), now=at(240.5))
        return vector.event_time, vector.values["sma_20"]

    materialize(store, at(240.5))
    newest = served()
    assert newest[0] == at(240)
    materialize(store, at(100.5))
    assert served() == newest
    [(before,)] = platform.rows("select sma_20 from features_1m where instrument = %s and event_time = %s", NAME, at(240))
    for value in (before + 1, before):
        platform.rows("update features_1m set sma_20 = %s where instrument = %s and event_time = %s returning 1", value, NAME, at(240))
        materialize(store, at(240.5))
        assert served() == (at(240), value)


# The last one: it takes the rows away.
def test_history_is_the_same_from_the_archive_and_whatever_is_read_at_a_time(
    store: "FeatureStore", platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rrr_assets.features import offline_store

    monkeypatch.setenv("RRR_ARCHIVE_URL", str(tmp_path / "archive"))
    rows = [(NAME, at(240 - 7.3 * n)) for n in range(30)] + [("binance:NONE", at(3)), (NAME, at(1440)), (NAME, at(1446)), (NAME, at(-5))]
    service = store.get_feature_service("minutes")
    before = asked(store, rows, service)
    assert before["sma_20"].notna().sum() > 20
    monkeypatch.setattr(offline_store, "_MINUTES_AT_ONCE", 1)
    pd.testing.assert_frame_equal(asked(store, rows, service), before, check_exact=True)
    group = ARCHIVED_GROUPS["archived_features"]
    with Catalogue(platform.database, Store.current()) as lake:
        for table, day in product(group.tables, (DAY, NEXT)):
            archive_partition(platform.database, lake, table, day)
        for move in retiring.due(platform.database, NEXT + timedelta(days=100), [group.name]):
            assert retiring.make(platform.database, lake, move).refusals == ()
    assert platform.rows("select count(*) from features_1m") == [(0,)]
    pd.testing.assert_frame_equal(asked(store, rows, service), before, check_exact=True)
