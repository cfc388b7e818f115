"""Where Feast keeps what it knows: its registry in the platform's database, values online in SQLite or Redis.

Belongs here: Feast's configuration, from this process' environment. Does not: what is registered (feast_objects.py).
Feast is imported when it is asked for: that takes seconds.
"""

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from feast import FeatureStore, RepoConfig

    from rrr_assets.warehouse.connect import Database

PROJECT: Final = "rrr_assets"
REDIS_VARIABLE: Final = "RRR_REDIS_URL"


def online_store() -> dict[str, Any]:
    """Redis where RRR_REDIS_URL names one (`host:port`, several with commas for a cluster), else a file of SQLite in the home."""
    from rrr_assets.warehouse.home import Home

    address = os.environ.get(REDIS_VARIABLE)
    if address:
        kind = "redis_cluster" if "," in address.partition(",password=")[0].partition(",ssl=")[0] else "redis"
        return {"type": "redis", "redis_type": kind, "connection_string": address}
    return {"type": "sqlite", "path": str(Home.current().root / "feast" / "online.db")}


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
    return RepoConfig(
        project=PROJECT, provider="local", offline_store=offline, online_store=online_store(), entity_key_serialization_version=3,
        registry={
            "registry_type": "sql", "path": f"{uri}{'&' if '?' in uri else '?'}options=-csearch_path%3Dfeast", "cache_ttl_seconds": 60,
        },
    )  # fmt: skip


def store(database: "Database", as_known_at: datetime | None = None) -> "FeatureStore":
    """A Feast store over a database of the platform."""
    from feast import FeatureStore

    config = repo_config(database, as_known_at)
    if config.online_store.type == "sqlite":
        Path(config.online_store.path).parent.mkdir(parents=True, exist_ok=True)
    return FeatureStore(config=config)
