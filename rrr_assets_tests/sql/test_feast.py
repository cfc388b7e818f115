"""Feast over the warehouse: what is registered is what is declared, and a training row sees what could be seen."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from rrr_assets.calc.features import FEATURES
from rrr_assets.contracts.archive import ARCHIVED_GROUPS
from rrr_assets.lake import retiring
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.feature_ticks import TieredTicks
from rrr_assets.lake.proving import archive_partition
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.features import refresh_features, refresh_tick_minutes
from rrr_assets_tests.loading import DAY, NAME, NEXT, Told, emptied, midnight, take, vision
from rrr_assets_tests.platform import Platform

if TYPE_CHECKING:
    from feast import FeatureStore

pytestmark = [
    pytest.mark.slow,
    # Feast's own: it warns of what it does itself.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

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


@pytest.fixture(scope="module")
def store(platform: Platform) -> Iterator["FeatureStore"]:
    from rrr_assets.features.feast_config import store
    from rrr_assets.features.feast_objects import OBJECTS

    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("RRR_REDIS_URL", raising=False)
        made = store(platform.database)
        made.apply(list(OBJECTS))
        yield made
        made.teardown()


def asked(store: "FeatureStore", rows: list[tuple[str, datetime]], features: Any, **more: Any) -> pd.DataFrame:
    entities = pd.DataFrame(rows, columns=["instrument", "event_timestamp"])
    return store.get_historical_features(entity_df=entities, features=features, **more).to_df()


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def test_what_is_registered_is_what_is_declared(store: "FeatureStore") -> None:
    views = {view.name: view for view in store.list_batch_feature_views()}
    fields = {field.name: field for view in views.values() for field in view.schema if field.name != "instrument"}
    assert set(fields) == set(FEATURES)
    for name, field in fields.items():
        declared = FEATURES[name]
        assert (field.description, field.tags["unit"], field.tags["formula"]) == (declared.description, declared.unit, declared.formula)
    assert all(view.owner and view.description for view in views.values())
    assert {service.name for service in store.list_feature_services()} == {"minutes", "minutes_and_price"}


def test_a_row_sees_the_last_minute_that_could_be_used(store: "FeatureStore", platform: Platform) -> None:
    [(close, available, value)] = platform.rows(
        "select event_time, available_at, sma_20 from features_1m where instrument = %s and available_at > event_time"
        " and event_time > %s order by event_time limit 1", NAME, at(100),
    )  # fmt: skip
    rows = [(NAME, available), (NAME, available - timedelta(microseconds=1)), ("binance:NONE", available), (NAME, available)]
    found = asked(store, rows, ["prices_1m:sma_20"])
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
    [row] = platform.rows(f"select {columns} from features_1m where instrument = %s and event_time = %s", NAME, at(220))  # noqa: S608  # ours
    for name, value in zip(FEATURES, row, strict=True):
        given = found[name][0]
        assert (given == value) or (value is None and math.isnan(given)), name


def test_what_hangs_on_a_price_of_now_is_computed(store: "FeatureStore") -> None:
    entities = pd.DataFrame({"instrument": [NAME], "event_timestamp": [at(100.5)], "price": [43_000.0]})
    found = store.get_historical_features(
        entity_df=entities, features=["prices_1m:sma_20", "price_now_1m:price_over_sma_20_bps", "price_now_1m:price_in_bands"]
    ).to_df()
    assert found["price_over_sma_20_bps"][0] == pytest.approx((43_000 / found["sma_20"][0] - 1) * 10_000)
    assert found["price_in_bands"][0] > 1


def test_online_values_are_the_offline_ones_to_the_bit(store: "FeatureStore", platform: Platform) -> None:
    store.materialize(at(0), at(240))
    names = [f"{view.name}:{field.name}" for view in store.list_batch_feature_views() for field in view.schema if field.name in FEATURES]
    online = store.get_online_features(features=names, entity_rows=[{"instrument": NAME}, {"instrument": "binance:NONE"}]).to_dict()
    columns = ", ".join(FEATURES)
    [row] = platform.rows(f"select {columns} from features_1m where instrument = %s and event_time = %s", NAME, at(240))  # noqa: S608  # ours
    assert {name: online[name][0] for name in FEATURES} == dict(zip(FEATURES, row, strict=True))
    assert {online[name][1] for name in FEATURES} == {None}


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


@pytest.mark.parametrize("entities", ["select 1", pd.DataFrame({"symbol": ["x"], "event_timestamp": [START]})])
def test_what_cannot_be_answered_is_refused_with_a_word(store: "FeatureStore", entities: Any) -> None:
    with pytest.raises(Exception, match=r"pandas frame|no column `instrument`|instrument"):
        store.get_historical_features(entity_df=entities, features=["prices_1m:sma_20"]).to_df()
