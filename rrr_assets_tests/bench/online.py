"""Online features: 20 instruments' values through Feast's SDK, from SQLite and from Redis, beside a bare client that reads the same rows.

The bare client knows where the values are: it asks for them in one statement, or one pipeline, and makes doubles of them.
"""

import os
import shutil
import sqlite3
import statistics
import tempfile
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from rrr_assets.calc.features import FEATURES
from rrr_assets.features.online import STAMPS, STORE_VARIABLE, materialize, vectors
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets_tests.bench.figures import Figure
from rrr_assets_tests.redis_server import redis_server

_ENTITIES = 20
_CALLS = 2_000
_WARM_UP = 50
_NAMES = [f"binance:COIN{number}USDT" for number in range(_ENTITIES)]
_FIVE = timedelta(minutes=5)

Row = dict[str, float | None]


def measure() -> list[Figure]:
    """From SQLite, and from Redis where one is installed."""
    closed = _fill(Database.current())
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        figures = _measured("SQLite", closed, _from_sqlite)
        if shutil.which("redis-server"):
            with redis_server(Path(folder)) as server:
                os.environ[STORE_VARIABLE] = server.url
                try:
                    figures += _measured("Redis", closed, _from_redis(server.client()))
                finally:
                    os.environ.pop(STORE_VARIABLE)
    return figures


def _measured(kind: str, closed: datetime, bare: Callable[[Any], Callable[[], list[Row]]]) -> list[Figure]:
    from rrr_assets.features.feast_config import store
    from rrr_assets.features.feast_registry import apply

    feast = store(Database.current())
    apply(feast)
    materialize(feast)
    service = feast.get_feature_service("minutes")
    rows = [{"instrument": name} for name in _NAMES]
    ways: dict[str, Callable[[], Any]] = {
        "bare": bare(feast),
        "sdk": lambda: feast.get_online_features(features=service, entity_rows=rows).to_dict(),
        "vectors": lambda: vectors(feast, _NAMES, max_age=_FIVE, now=closed + timedelta(minutes=1)),
    }
    stored = ways["bare"]()
    if stored != [vector.values for vector in ways["vectors"]()]:
        raise RuntimeError("they do not read the same")
    seconds, busy = _in_turns(ways)
    ratio = statistics.median(seconds["sdk"]) / statistics.median(seconds["bare"])
    told = {name: _details(seconds[name], busy[name]) for name in ways}
    return [
        Figure(
            f"online, 20 instruments from {kind}, p99", _percentile(seconds["sdk"], 99), "ms", target=10, goal=5, is_at_most=True,
            details=told["sdk"] | {"as vectors with ages": told["vectors"]},
        ),
        Figure(f"online from {kind}, over a bare client", round(ratio, 1), "times", details=told["bare"]),
    ]  # fmt: skip


def _in_turns(ways: dict[str, Callable[[], Any]]) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of each call, and of them those of this process' processor, which a busy machine disturbs less."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    busy: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(_WARM_UP + _CALLS):
        for name, call in ways.items():
            begun, worked = perf_counter(), process_time()
            call()
            if number >= _WARM_UP:
                seconds[name].append(perf_counter() - begun)
                busy[name].append(process_time() - worked)
    return seconds, busy


def _keys(feast: Any) -> list[bytes]:
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    version = feast.config.entity_key_serialization_version
    return [serialize_entity_key(EntityKey(join_keys=["instrument"], entity_values=[Value(string_val=name)]), version) for name in _NAMES]


def _decoder() -> Callable[[bytes], float | None]:
    from feast.protos.feast.types.Value_pb2 import Value

    def decoded(held: bytes) -> float | None:
        value = Value.FromString(held)
        return float(value.double_val) if value.HasField("double_val") else None

    return decoded


def _from_sqlite(feast: Any) -> Callable[[], list[Row]]:
    connection = sqlite3.connect(feast.config.online_store.path)
    [(table,)] = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
    keys, decoded = _keys(feast), _decoder()
    marks = ", ".join("?" * len(keys))
    statement = f"select entity_key, feature_name, value from {table} where entity_key in ({marks})"  # noqa: S608  # ours

    def read() -> list[Row]:
        found: dict[bytes, Row] = {key: {} for key in keys}
        for key, name, held in connection.execute(statement, keys):
            if name not in STAMPS:
                found[key][name] = decoded(held)
        return list(found.values())

    return read


def _from_redis(client: Any) -> Callable[[Any], Callable[[], list[Row]]]:
    def prepared(feast: Any) -> Callable[[], list[Row]]:
        from feast.infra.online_stores.helpers import _mmh3

        keys = [key + feast.config.project.encode() for key in _keys(feast)]
        fields = [_mmh3(f"features_1m:{name}") for name in FEATURES]
        decoded = _decoder()

        def read() -> list[Row]:
            with client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.hmget(key, fields)
                return [dict(zip(FEATURES, map(decoded, row), strict=True)) for row in pipe.execute()]

        return read

    return prepared


def _fill(database: Database) -> datetime:
    """The newest rows of 20 instruments; when they closed."""
    closed = datetime.now(UTC).replace(second=0, microsecond=0)
    with database.connect(Role.OWNER, autocommit=True) as connection:
        for place, name in enumerate(_NAMES):
            connection.execute(
                "insert into instruments (instrument, valid_from, venue, symbol, contract_type, price_scale, size_scale)"
                " values (%s, '2009-01-01Z', 'binance', %s, 'spot', 2, 8)", (name, name.partition(":")[2]),
            )  # fmt: skip
            values = [42_000.1 + place / 7 + number / 3 for number in range(len(FEATURES))]
            connection.execute(
                f"insert into features_1m (instrument, event_time, available_at, available_basis, known_at, {', '.join(FEATURES)})"  # noqa: S608  # ours
                f" values (%s, %s, %s, 'observed', %s, {', '.join(['%s'] * len(FEATURES))})", (name, closed, closed, closed, *values),
            )  # fmt: skip
    return closed


def _percentile(seconds: list[float], percent: int) -> float:
    return round(statistics.quantiles(seconds, n=100)[percent - 1] * 1000, 2)


def _details(seconds: list[float], busy: list[float]) -> dict[str, object]:
    wall = {f"p{percent} ms": _percentile(seconds, percent) for percent in (50, 99)}
    processor = {f"processor p{percent} ms": _percentile(busy, percent) for percent in (50, 99)}
    return {**wall, **processor, "calls": len(seconds)}
