"""Feast's online stores as the platform uses them: what is too old has no value, and an older row never takes a newer one's place.

Belongs here: what is different from Feast's own stores of SQLite and Redis. Does not: which one is used (feast_config.py), what is brought
there (online.py). Imported by Feast alone: importing it costs what importing Feast costs.

Feast tells a view's ttl to nobody who reads online: its stores answer with a value of any age. Here, a row that is older than the ttl
answers with its time, no values, and the status OUTSIDE_MAX_AGE.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from feast import FeatureView, RepoConfig
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.Value_pb2 import Value
from redis import Redis, RedisError, asyncio
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from rrr_assets.features.online import STORE_VARIABLE, OnlineStoreUnreachable

_CLUSTER: Final = "+cluster"
_TIMEOUT_SECONDS: Final = 2
_MOMENT: Final[ContextVar[tuple[datetime, bool] | None]] = ContextVar("moment", default=None)


@contextmanager
def reckoned_at(moment: datetime, *, with_later: bool = False) -> Iterator[None]:
    """Have this thread read meanwhile what could be served at a moment (UTC) instead of now: to serve a day of long ago again.

    Ages are reckoned at it, and a row that closed later is not there, unless it is wanted `with_later` ones.
    """
    token = _MOMENT.set((moment, with_later))
    try:
        yield
    finally:
        _MOMENT.reset(token)


class _FreshOnlineStore(OnlineStore):
    """What both stores do differently."""

    def _read_features_per_fv(
        self, config: RepoConfig, grouped_refs: list[Any], join_key_values: Any, entity_name_to_join_key_map: Any,
        online_features_response: Any, *options: Any,
    ) -> None:  # fmt: skip
        before = len(online_features_response.results)
        with _reached():
            super()._read_features_per_fv(
                config, grouped_refs, join_key_values, entity_name_to_join_key_map, online_features_response, *options
            )
        _leave_out_stale(grouped_refs, online_features_response.results[before:])

    async def _read_features_per_fv_async(
        self, config: RepoConfig, grouped_refs: list[Any], join_key_values: Any, entity_name_to_join_key_map: Any,
        online_features_response: Any, *options: Any,
    ) -> None:  # fmt: skip
        before = len(online_features_response.results)
        with _reached():
            await super()._read_features_per_fv_async(
                config, grouped_refs, join_key_values, entity_name_to_join_key_map, online_features_response, *options
            )
        _leave_out_stale(grouped_refs, online_features_response.results[before:])


class FreshSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """Which file."""

    type: Literal["rrr_assets.features.online_store.FreshSqliteOnlineStore"] = "rrr_assets.features.online_store.FreshSqliteOnlineStore"  # type: ignore[assignment]  # another name


class FreshSqliteOnlineStore(_FreshOnlineStore, SqliteOnlineStore):
    """Values in a file of SQLite, a row per value, those of an instrument beside each other.

    Feast writes times by way of this machine's time zone, which loses an hour where clocks change, and makes an object of the time of
    every value, which takes most of a read. Here they are seconds since 1970 in UTC, and read once a row of features.
    """

    def update(
        self, config: RepoConfig, tables_to_delete: Sequence[FeatureView], tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Any], entities_to_keep: Sequence[Any], partial: bool,
    ) -> None:  # fmt: skip
        """Make the tables that are not there, and remove what Feast says."""
        with self._get_conn(config) as connection:
            for table in tables_to_keep:
                connection.execute(
                    f"create table if not exists {_named(config, table)} (entity_key blob, feature_name text, value blob, event_ts integer,"
                    " created_ts integer, primary key (entity_key, feature_name)) without rowid"
                )
        super().update(config, tables_to_delete, [], entities_to_delete, entities_to_keep, partial)

    def online_write_batch(self, config: RepoConfig, table: FeatureView, data: list[Any], progress: Callable[[int], Any] | None) -> None:
        """Write all rows or none, each where what is there is not newer; a file that is new gets its table."""
        version = config.entity_key_serialization_version
        rows = [
            (serialize_entity_key(key, version), name, value.SerializeToString(), _seconds(at), _seconds(created))
            for key, values, at, created in data
            for name, value in values.items()
        ]
        statement = (
            f"insert into {_named(config, table)} as held (entity_key, feature_name, value, event_ts, created_ts) values (?, ?, ?, ?, ?)"  # noqa: S608  # ours
            " on conflict (entity_key, feature_name) do update set value = excluded.value, event_ts = excluded.event_ts,"
            " created_ts = excluded.created_ts where excluded.event_ts >= held.event_ts"
        )
        with _reached():
            self.update(config, [], [table], [], [], partial=True)
            with self._get_conn(config) as connection:
                connection.executemany(statement, rows)
        if progress:
            progress(len(data))

    def online_read(
        self, config: RepoConfig, table: FeatureView, entity_keys: list[Any], requested_features: list[str] | None = None
    ) -> list[tuple[datetime | None, dict[str, Any] | None]]:
        """Times and values in the order of the keys; nothing where nothing was brought."""
        keys = [serialize_entity_key(key, config.entity_key_serialization_version) for key in entity_keys]
        names = requested_features or [field.name for field in table.features]
        statement = (
            f"select entity_key, feature_name, value, event_ts from {_named(config, table)}"  # noqa: S608  # ours
            f" where entity_key in ({', '.join('?' * len(keys))}) and feature_name in ({', '.join('?' * len(names))})"
        )
        try:
            found = self._get_conn(config).execute(statement, [*keys, *names]).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            found = []
        values: dict[bytes, dict[str, Any]] = {}
        times: dict[bytes, int] = {}
        for key, name, held, at in found:
            values.setdefault(key, {})[name] = Value.FromString(held)
            times[key] = at
        return [(datetime.fromtimestamp(times[key], UTC), values[key]) if key in values else (None, None) for key in keys]


class FreshRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Nothing: the address has a password, and is read from the environment where it is used. Rows are held against each other before
    they are written, and one of the same minute is a correction: Feast's own comparison would leave it out.
    """

    type: Literal["rrr_assets.features.online_store.FreshRedisOnlineStore"] = "rrr_assets.features.online_store.FreshRedisOnlineStore"  # type: ignore[assignment]  # another name
    skip_dedup: bool = True


class FreshRedisOnlineStore(_FreshOnlineStore, RedisOnlineStore):
    """Values in a Redis, or a cluster of them: of an instrument one hash, which is written at once."""

    def online_write_batch(self, config: RepoConfig, table: FeatureView, data: list[Any], progress: Callable[[int], Any] | None) -> None:
        """Write what is as new as what is there, or newer, the newest last."""
        with _reached():
            there = self.online_read(config, table, [key for key, *_ in data], [table.features[0].name])
            kept = [row for row, (held, _) in zip(data, there, strict=True) if held is None or _aware(row[2]) >= _aware(held)]
            super().online_write_batch(config, table, sorted(kept, key=lambda row: row[2]), progress)

    def _get_client(self, online_store_config: RedisOnlineStoreConfig) -> Any:  # noqa: ARG002  # Feast's signature
        if not self._client:
            address, is_cluster = _address()
            self._client = (RedisCluster if is_cluster else Redis).from_url(address, retry=Retry(NoBackoff(), 1), **_LIMITS)
        return self._client

    async def _get_client_async(self, online_store_config: RedisOnlineStoreConfig) -> Any:  # noqa: ARG002  # Feast's signature
        if not self._client_async:
            address, is_cluster = _address()
            kind = asyncio.RedisCluster if is_cluster else asyncio.Redis
            self._client_async = kind.from_url(address, retry=asyncio.retry.Retry(NoBackoff(), 1), **_LIMITS)
        return self._client_async


_LIMITS: Final[dict[str, Any]] = {"socket_timeout": _TIMEOUT_SECONDS, "socket_connect_timeout": _TIMEOUT_SECONDS}


def _address() -> tuple[str, bool]:
    """The address for a client of Redis, and whether it is that of a cluster."""
    address = os.environ[STORE_VARIABLE]
    kind = urlsplit(address).scheme
    return kind.removesuffix(_CLUSTER) + address.removeprefix(kind), kind.endswith(_CLUSTER)


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except (RedisError, sqlite3.OperationalError) as error:
        raise OnlineStoreUnreachable(type(error).__name__) from error


def _named(config: RepoConfig, table: FeatureView) -> str:
    return f'"{compute_table_id(config.project, table, config.registry.enable_online_feature_view_versioning)}"'


def _seconds(at: datetime | None) -> int | None:
    return None if at is None else int(_aware(at).timestamp())


def _leave_out_stale(grouped_refs: Sequence[Any], vectors: Any) -> None:
    """Take the values of rows that are older than their view's ttl out of an answer: feature after feature, as the views were asked.

    Of a row that closed after the moment that is reckoned at, its time goes too. By the clock of now there is none: what is online
    has closed, by the clock of the machine that brought it, and this one may lag behind.
    """
    moment, with_later = _MOMENT.get() or (datetime.now(UTC), True)
    now = moment.timestamp()
    place = 0
    for view, names in grouped_refs:
        mine = vectors[place : place + len(names)]
        place += len(names)
        if not mine:
            continue
        oldest = now - view.ttl.total_seconds() if view.ttl else 0.0
        # All features of a view have one row, and its time.
        closes = [(row, at.seconds + at.nanos / 1e9) for row, at in enumerate(mine[0].event_timestamps) if at.seconds]
        stale = {row: FieldStatus.OUTSIDE_MAX_AGE for row, close in closes if close < oldest}
        later = {row: FieldStatus.NOT_FOUND for row, close in closes if close > now and not with_later}
        for vector in mine if stale or later else ():
            for row, status in (stale | later).items():
                vector.values[row].CopyFrom(Value())
                vector.statuses[row] = status
                if row in later:
                    vector.event_timestamps[row].Clear()


def _aware(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
