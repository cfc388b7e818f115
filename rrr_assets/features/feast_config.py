"""Where Feast keeps what it knows: its registry in the platform's database, values online in SQLite or Redis.

Belongs here: Feast's configuration, from this process' environment. Does not: what is registered (feast_objects.py).
Feast is imported when it is asked for: that takes seconds.
"""

import os
import weakref
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from rrr_assets.features.online import SCHEMES, STORE_VARIABLE, OnlineStoreRefused

if TYPE_CHECKING:
    from feast import FeatureStore, RepoConfig

    from rrr_assets.warehouse.connect import Database

PROJECT: Final = "rrr_assets"
_STORES: Final = "rrr_assets.features.online_store"


def online_store(database: "Database") -> dict[str, Any]:
    """Redis where RRR_ONLINE_STORE_URL names one, else a file of SQLite in the home, named after the database.

    Raises:
        OnlineStoreRefused: it names something else.
    """
    from rrr_assets.warehouse.home import Home

    address = os.environ.get(STORE_VARIABLE)
    if not address:
        return {"type": f"{_STORES}.FreshSqliteOnlineStore", "path": str(Home.current().root / "feast" / f"{database.name}.db")}
    if not _is_readable(address):
        raise OnlineStoreRefused
    return {"type": f"{_STORES}.FreshRedisOnlineStore"}


def _is_readable(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in SCHEMES and bool(parts.hostname and parts.port)
    except ValueError:
        return False  # a port that is no number; its message would show a part of the address


def repo_config(database: "Database", as_known_at: datetime | None = None) -> "RepoConfig":
    """Feast's configuration over a database of the platform.

    Args:
        database: whose features; its schema `feast` holds the registry.
        as_known_at: what was believed then is read as history; None for what is believed now.
    """
    from feast import RepoConfig

    from rrr_assets.features.offline_store import WarehouseOfflineStoreConfig
    from rrr_assets.warehouse.connect import Role

    uri = database.role_urls[Role.WRITER].replace("postgresql://", "postgresql+psycopg://", 1)
    offline = WarehouseOfflineStoreConfig(database=database.name, as_known_at=as_known_at)
    registry = {
        "registry_type": "sql", "path": f"{uri}{'&' if '?' in uri else '?'}options=-csearch_path%3Dfeast",
        # What is registered changes with the code: it is read once, and never while somebody waits for values.
        "cache_ttl_seconds": 0,
    }  # fmt: skip
    return RepoConfig(
        project=PROJECT, provider="local", offline_store=offline, online_store=online_store(database), entity_key_serialization_version=3,
        # Feast would take a time without a zone for UTC; the offline store refuses it.
        coerce_tz_aware=False,
        # Of all that closed Feast would take the last, also where it cannot be used yet.
        materialization={"pull_latest_features": True},
        registry=registry,
    )  # fmt: skip


def store(database: "Database", as_known_at: datetime | None = None) -> "FeatureStore":
    """A Feast store over a database of the platform."""
    from feast import FeatureStore

    config = repo_config(database, as_known_at)
    if address := getattr(config.online_store, "path", None):
        Path(address).parent.mkdir(parents=True, exist_ok=True)
    made = FeatureStore(config=config)
    # Nobody closes a registry, and with it the connections that it keeps.
    registry: Any = made.registry
    weakref.finalize(made, registry.write_engine.dispose)
    return made
