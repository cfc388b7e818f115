"""The tables of features as sources of Feast.

Belongs here: how Feast names and stores such a source. Does not: reading it (offline_store.py). Imported by Feast alone, and by what
imports Feast.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from feast import RepoConfig, ValueType
from feast.data_source import DataSource
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto

from rrr_assets.contracts.base import Table
from rrr_assets.contracts.catalogue import TABLES

_VALUE_TYPES = {
    "text": ValueType.STRING,
    "timestamp with time zone": ValueType.UNIX_TIMESTAMP,
    "double precision": ValueType.DOUBLE,
}


class WarehouseSource(DataSource):
    """A table of features by its contract. `event_time` is when a row closed, `available_at` when it could be used."""

    def __init__(self, table: str, description: str = "", owner: str = "", tags: dict[str, str] | None = None) -> None:
        """Name a table of contracts.features."""
        self.table = table
        super().__init__(
            name=table, timestamp_field="event_time", created_timestamp_column="available_at", description=description, owner=owner,
            tags=tags,
        )  # fmt: skip

    @property
    def contract(self) -> Table:
        """The contract of the table."""
        return TABLES[self.table]

    def source_type(self) -> Any:
        """Feast's word for a source of others."""
        return DataSourceProto.CUSTOM_SOURCE

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WarehouseSource):
            return False
        is_same: bool = super().__eq__(other)  # type: ignore[no-untyped-call]  # Feast says no type of it
        return is_same and self.table == other.table

    def __hash__(self) -> int:
        return hash(self.table)

    @staticmethod
    def from_proto(data_source: DataSourceProto) -> "WarehouseSource":
        """Read it from the registry."""
        options = json.loads(data_source.custom_options.configuration)
        return WarehouseSource(options["table"], data_source.description, data_source.owner, dict(data_source.tags))

    def _to_proto_impl(self) -> DataSourceProto:
        return DataSourceProto(
            name=self.name,
            type=DataSourceProto.CUSTOM_SOURCE,
            data_source_class_type=f"{WarehouseSource.__module__}.{WarehouseSource.__name__}",
            custom_options=DataSourceProto.CustomSourceOptions(configuration=json.dumps({"table": self.table}).encode()),
            description=self.description,
            tags=self.tags,
            owner=self.owner,
            timestamp_field=self.timestamp_field,
            created_timestamp_column=self.created_timestamp_column,
        )

    def validate(self, config: RepoConfig) -> None:  # noqa: ARG002  # Feast's signature
        """Do nothing where the table has a contract.

        Raises:
            ValueError: it has none.
        """
        if self.table not in TABLES:
            raise ValueError(f"there is no table {self.table}")

    @staticmethod
    def source_datatype_to_feast_value_type() -> Callable[[str], ValueType]:
        """Feast's type of a type of the database."""
        return lambda kind: _VALUE_TYPES[kind]

    def get_table_column_names_and_types(self, config: RepoConfig) -> Iterable[tuple[str, str]]:  # noqa: ARG002  # Feast's signature
        """Names and types, by the contract."""
        return [(column.name, column.type.sql) for column in self.contract.columns]

    def get_table_query_string(self) -> str:
        """The table's name."""
        return self.table
