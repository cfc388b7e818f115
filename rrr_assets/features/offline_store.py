"""Feast's offline store over the warehouse: historical features by one point-in-time join in memory.

Belongs here: Feast's interface. Does not: the join (calc/features/asof.py), reading rows (lake/feature_reads.py). Imported by Feast
alone: importing it costs what importing Feast costs.

A row counts for a moment where it could be used by then: `filter_by_created_timestamp`, which Feast leaves to the caller, is on unless the
configuration says otherwise. `as_known_at` of the configuration answers as Feast would have answered then.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pandas as pd  # type: ignore[import-untyped]  # pandas publishes no types of its own
import polars as pl
import pyarrow as pa
from feast import FeatureView, OnDemandFeatureView, RepoConfig
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel
from feast.saved_dataset import SavedDatasetStorage
from pydantic import AwareDatetime

from rrr_assets.calc.features.asof import as_of
from rrr_assets.features.feast_source import WarehouseSource
from rrr_assets.features.online import STAMPS, in_whole_seconds
from rrr_assets.lake.feature_reads import feature_rows
from rrr_assets.warehouse.connect import Database

_TIME = pl.Datetime("us", "UTC")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JOIN_KEY = "instrument"
_MINUTES_AT_ONCE = 1_500_000
"""So many rows are read and joined at a time: with every feature, half a gigabyte. Only whole days are read."""


class WarehouseOfflineStoreConfig(FeastConfigBaseModel):
    """Which database, and what of it."""

    type: Literal["rrr_assets.features.offline_store.WarehouseOfflineStore"] = "rrr_assets.features.offline_store.WarehouseOfflineStore"
    database: str | None = None
    as_known_at: AwareDatetime | None = None
    by_available: bool = True


class RequestRefused(ValueError):
    """What was asked of the store cannot be answered. Permanent: the message says what to ask instead."""


class WarehouseJob(RetrievalJob):
    """Rows that are read and joined when they are first asked for."""

    def __init__(
        self, work: Callable[[], pa.Table], full_feature_names: bool, on_demand: Sequence[OnDemandFeatureView], metadata: RetrievalMetadata
    ) -> None:
        """Keep what is to be done."""
        self._work = work
        self._done: pa.Table | None = None
        self._full_feature_names = full_feature_names
        self._on_demand = list(on_demand)
        self._metadata = metadata

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002  # an analyst's timeout holds
        if self._done is None:
            self._done = self._work()
        return self._done

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()

    @property
    def full_feature_names(self) -> bool:
        """Whether columns are named view__feature."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """What Feast computes of the rows afterwards."""
        return self._on_demand

    @property
    def metadata(self) -> RetrievalMetadata:
        """Which features, keys and times were asked for."""
        return self._metadata

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Refuse: what is kept is a training set, with its manifest.

        Raises:
            RequestRefused: always.
        """
        del storage, allow_overwrite, timeout
        raise RequestRefused("datasets are not saved through Feast: make a training set, which keeps what it was made from")


class WarehouseOfflineStore(OfflineStore):
    """Historical features from features_1m."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig, feature_views: list[FeatureView], feature_refs: list[str], entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry, project: str, full_feature_names: bool = False, **kwargs: Any,
    ) -> WarehouseJob:  # fmt: skip
        """The features that each entity row may see at its time.

        Raises:
            RequestRefused: entity rows as SQL, or none, or without `instrument`, or with a time that has no zone, or with a column that is
                called as a feature.
        """
        settings: WarehouseOfflineStoreConfig = config.offline_store
        if not isinstance(entity_df, pd.DataFrame):
            raise RequestRefused("entity rows are a pandas frame with `instrument` and a time; SQL and whole ranges are not taken")
        time = infer_event_timestamp_from_entity_df(dict(zip(entity_df.columns, entity_df.dtypes, strict=True)))
        if _JOIN_KEY not in entity_df.columns:
            raise RequestRefused(f"entity rows have no column `{_JOIN_KEY}`")
        wanted = {_called(view): (view, _names_of(view, feature_refs)) for view in feature_views}
        by_available = bool(kwargs.get("filter_by_created_timestamp")) or settings.by_available
        moments = _moments(entity_df[time])
        called = {f"{view}__{name}" if full_feature_names else name for view, (_, names) in wanted.items() for name in names}
        if taken := sorted(called & set(entity_df.columns)):
            raise RequestRefused(f"columns of entity rows are called as features that are asked for: {', '.join(taken)}. Rename them")

        def work() -> pa.Table:
            return _joined(settings, entity_df, moments, wanted, full_feature_names=full_feature_names, by_available=by_available)

        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        keys = [name for name in entity_df.columns if name != time]
        bounds = (moments.min(), moments.max()) if len(moments) else (None, None)
        return WarehouseJob(work, full_feature_names, on_demand, RetrievalMetadata(feature_refs, keys, *bounds))

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig, data_source: DataSource, join_key_columns: list[str], feature_name_columns: list[str], timestamp_field: str,
        created_timestamp_column: str | None, start_date: datetime, end_date: datetime,  # noqa: ARG004  # Feast's signature
    ) -> WarehouseJob:  # fmt: skip
        """The last row of each instrument that closed in [start_date, end_date], and could be used by its end, as it is online."""

        def latest(rows: pl.DataFrame) -> pl.DataFrame:
            usable = rows.filter(pl.col("available_at") <= _aware(end_date)) if config.offline_store.by_available else rows
            found = usable.sort(_JOIN_KEY, timestamp_field).group_by(_JOIN_KEY, maintain_order=True).last()
            return in_whole_seconds(found)

        return _pulled(config, data_source, join_key_columns, feature_name_columns, start_date, end_date, latest)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig, data_source: DataSource, join_key_columns: list[str], feature_name_columns: list[str], timestamp_field: str,
        created_timestamp_column: str | None = None, start_date: datetime | None = None,  # noqa: ARG004  # Feast's signature
        end_date: datetime | None = None,
    ) -> WarehouseJob:  # fmt: skip
        """All rows that closed in [start_date, end_date]."""
        since, until = start_date or _EPOCH, end_date or datetime.now(UTC)

        def ordered(rows: pl.DataFrame) -> pl.DataFrame:
            return rows.sort(_JOIN_KEY, timestamp_field)

        return _pulled(config, data_source, join_key_columns, feature_name_columns, since, until, ordered)

    @staticmethod
    def write_logged_features(
        config: RepoConfig, data: pa.Table | Path, source: LoggingSource, logging_config: LoggingConfig, registry: BaseRegistry
    ) -> None:
        """Refuse: nothing writes features but their asset.

        Raises:
            RequestRefused: always.
        """
        del config, data, source, logging_config, registry
        raise RequestRefused("features are written by the asset features_1m alone")

    @staticmethod
    def offline_write_batch(config: RepoConfig, feature_view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None) -> None:
        """Refuse: nothing writes features but their asset.

        Raises:
            RequestRefused: always.
        """
        del config, feature_view, table, progress
        raise RequestRefused("features are written by the asset features_1m alone")


def _database(settings: WarehouseOfflineStoreConfig) -> Database:
    return Database.current() if settings.database is None else Database.current(settings.database)


def _moments(times: pd.Series) -> pd.Series:
    """The times of entity rows, in UTC.

    Raises:
        RequestRefused: one is missing, or has no zone: whose clock it is nobody can tell.
    """
    if not isinstance(times.dtype, pd.DatetimeTZDtype):
        told = [pd.Timestamp(each) for each in times]
        if any(each.tzinfo is None for each in told):
            raise RequestRefused(
                f"times in `{times.name}` are missing or have no time zone: give each with one, as in 2025-03-03T12:00:00Z"
            )
        return pd.to_datetime(pd.Series(told, dtype=object), utc=True)
    if times.isna().any():
        raise RequestRefused(f"times in `{times.name}` are missing")
    return times.dt.tz_convert("UTC")


def _called(view: FeatureView) -> str:
    """The name by which a request means a view."""
    return str(view.projection.name_to_use())  # type: ignore[no-untyped-call]  # Feast says no type of it


def _source_of(view: FeatureView) -> WarehouseSource:
    if not isinstance(view.batch_source, WarehouseSource):
        raise RequestRefused(f"{view.name} is no view of a table of the warehouse")
    return view.batch_source


def _names_of(view: FeatureView, refs: Sequence[str]) -> list[str]:
    prefix = f"{_called(view)}:"
    return [ref.removeprefix(prefix) for ref in refs if ref.startswith(prefix)]


def _joined(
    settings: WarehouseOfflineStoreConfig, entity_df: pd.DataFrame, moments: pd.Series, wanted: dict[str, tuple[FeatureView, list[str]]], *,
    full_feature_names: bool, by_available: bool,
) -> pa.Table:  # fmt: skip
    """The entity rows in their order, each with what it may see."""
    answer = pa.Table.from_pandas(entity_df, preserve_index=False)
    instants = pl.Series("moment", moments.to_numpy(dtype="datetime64[us]")).dt.replace_time_zone("UTC").cast(_TIME)
    asked = pl.DataFrame({"instrument": pl.Series(pl.from_arrow(answer[_JOIN_KEY])).cast(pl.String), "moment": instants})
    for source in {_source_of(view).table: _source_of(view) for view, _ in wanted.values()}.values():
        mine = {name: (view, names) for name, (view, names) in wanted.items() if _source_of(view).table == source.table}
        for ttl in sorted({view.ttl or timedelta(0) for view, _ in mine.values()}):
            of_ttl = {name: names for name, (view, names) in mine.items() if (view.ttl or timedelta(0)) == ttl}
            chosen = sorted({name for names in of_ttl.values() for name in names})
            found = _seen(settings, source, chosen, asked, ttl or None, by_available=by_available)
            for view_name, names in of_ttl.items():
                for name in names:
                    answer = answer.append_column(f"{view_name}__{name}" if full_feature_names else name, found[name].to_arrow())
    return answer


def _seen(
    settings: WarehouseOfflineStoreConfig, source: WarehouseSource, names: Sequence[str], asked: pl.DataFrame, ttl: timedelta | None, *,
    by_available: bool,
) -> pl.DataFrame:  # fmt: skip
    """What the moments may see, in their order, a stretch of days at a time: so that no more rows are held than it needs."""
    database = _database(settings)

    def of(moments: pl.DataFrame) -> pl.DataFrame:
        first, last = moments["moment"].min(), moments["moment"].max()
        if not isinstance(first, datetime) or not isinstance(last, datetime):
            first = last = _EPOCH
        since = _EPOCH if ttl is None else first - ttl
        instruments = moments["instrument"].unique().drop_nulls().to_list()
        rows = feature_rows(database, source.contract, names, instruments, since, last, settings.as_known_at)
        return as_of(moments, rows, names, ttl, by_available=by_available).select(names)

    days = max(1, _MINUTES_AT_ONCE // (1440 * max(1, asked["instrument"].n_unique())))
    numbered = asked.with_row_index("_number").with_columns((pl.col("moment").dt.epoch("d") // days).alias("_stretch"))
    # Of any age, a row of each stretch may be seen by all that come after.
    stretches = [numbered] if ttl is None else numbered.partition_by("_stretch", maintain_order=True)
    if len(stretches) < 2:
        return of(asked)
    found = [pl.concat([part.select("_number"), of(part.drop("_number", "_stretch"))], how="horizontal") for part in stretches]
    return pl.concat(found).sort("_number").drop("_number")


def _pulled(
    config: RepoConfig, source: DataSource, keys: Sequence[str], names: Sequence[str], since: datetime, until: datetime,
    arrange: Callable[[pl.DataFrame], pl.DataFrame],
) -> WarehouseJob:  # fmt: skip
    """Rows of a table for Feast to write elsewhere."""
    if not isinstance(source, WarehouseSource):
        raise RequestRefused(f"{source.name} is no table of the warehouse")
    settings: WarehouseOfflineStoreConfig = config.offline_store

    def work() -> pa.Table:
        rows = feature_rows(_database(settings), source.contract, list(names), None, _aware(since), _aware(until), settings.as_known_at)
        return arrange(rows).select(_fields(keys, names)).to_arrow().cast(_schema(keys, names))

    return WarehouseJob(work, False, [], RetrievalMetadata(list(names), list(keys), since, until))


def _fields(keys: Sequence[str], names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*keys, *names, "event_time", "available_at"]))


def _schema(keys: Sequence[str], names: Sequence[str]) -> pa.Schema:
    kinds = dict.fromkeys(keys, pa.string()) | dict.fromkeys(("event_time", *STAMPS), pa.timestamp("us", "UTC"))
    return pa.schema([(name, kinds.get(name, pa.float64())) for name in _fields(keys, names)])


def _aware(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
