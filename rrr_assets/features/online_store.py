"""Feast's online stores as the platform uses them: what is too old has no value, and an older row never takes a newer one's place.

Belongs here: what is different from Feast's own stores of SQLite and Redis. Does not: which one is used (feast_config.py), what is brought
there (online.py). Imported by Feast alone: importing it costs what importing Feast costs.

Feast tells a view's ttl to nobody who reads online: its stores answer with a value of any age. Here, a row that is older than the ttl
answers with its time, no values, and the status OUTSIDE_MAX_AGE.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from feast import FeatureView, RepoConfig
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
_MOMENT: Final[ContextVar[datetime | None]] = ContextVar("moment", default=None)


@contextmanager
def reckoned_at(moment: datetime) -> Iterator[None]:
    """Have ages reckoned at a moment (UTC) instead of now, for what this thread reads meanwhile: to serve a day of long ago again."""
    token = _MOMENT.set(moment)
    try:
        yield
    finally:
        _MOMENT.reset(token)


class _FreshOnlineStore(OnlineStore):
    """What both stores do differently."""

    def online_write_batch(
        self, config: RepoConfig, table: FeatureView, data: list[Any], progress: Callable[[int], Any] | None
    ) -> None:  # fmt: skip
        """Write what is as new as what is there, or newer, the newest last."""
        with _reached():
            there = self.online_read(config, table, [key for key, *_ in data], [table.features[0].name])
            kept = [row for row, (held, _) in zip(data, there, strict=True) if held is None or _aware(row[2]) >= _aware(held)]
            super().online_write_batch(config, table, sorted(kept, key=lambda row: row[2]), progress)  # type: ignore[safe-super]  # the stores below have it

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
    """Values in a file of SQLite."""


class FreshRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Nothing: the address has a password, and is read from the environment where it is used. Rows are held against each other before
    they are written, and one of the same minute is a correction: Feast's own comparison would leave it out.
    """

    type: Literal["rrr_assets.features.online_store.FreshRedisOnlineStore"] = "rrr_assets.features.online_store.FreshRedisOnlineStore"  # type: ignore[assignment]  # another name
    skip_dedup: bool = True


class FreshRedisOnlineStore(_FreshOnlineStore, RedisOnlineStore):
    """Values in a Redis, or a cluster of them."""

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
    except RedisError as error:
        raise OnlineStoreUnreachable(type(error).__name__) from error


def _leave_out_stale(grouped_refs: Sequence[Any], vectors: Any) -> None:
    """Take the values of rows that are older than their view's ttl out of an answer: feature after feature, as the views were asked."""
    now = (_MOMENT.get() or datetime.now(UTC)).timestamp()
    place = 0
    for view, names in grouped_refs:
        mine = vectors[place : place + len(names)]
        place += len(names)
        if not view.ttl or not mine:
            continue
        oldest = now - view.ttl.total_seconds()
        # All features of a view have one row, and its time.
        stale = [row for row, at in enumerate(mine[0].event_timestamps) if at.seconds and at.seconds + at.nanos / 1e9 < oldest]
        for vector in mine if stale else ():
            for row in stale:
                vector.values[row].CopyFrom(Value())
                vector.statuses[row] = FieldStatus.OUTSIDE_MAX_AGE


def _aware(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
