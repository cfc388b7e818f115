"""The archive's tables: what the catalogue knows of them, and the one step in which a partition's files are exchanged.

Belongs here: making a table from its contract, bringing its columns up to date, the files of a partition, the commit. Does not: what is
in the files (files.py), whether they are equal to anything (proving.py).
The catalogue is in the database, in the schema `iceberg`; the rest of a table is files in the store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Self

import pyarrow as pa

from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.contracts.archive import Archived
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.connect import Database, Role

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table

NAMESPACE: Final = "rrr"
_CATALOGUE: Final = "archive"
_PROPERTIES: Final = {
    "format-version": "2",
    # A snapshot is a small change of few files: the metadata of the one before serves who reads it at this moment, no older one.
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}


class ContractBroken(PermanentFailure):
    """A table of the archive has not the columns that its contract says, and none that may be added."""


@dataclass(frozen=True, slots=True)
class PartitionFile:
    """A file of a partition, as the catalogue knows it. `size_bytes` is the object's."""

    url: str
    rows: int
    size_bytes: int


class Catalogue:
    """The tables of the archive in one store. Use as a context manager, in one thread."""

    def __init__(self, database: Database, store: Store) -> None:
        from pyiceberg.catalog.sql import SqlCatalog

        self.store = store
        self._tables: dict[str, Table] = {}
        uri = database.role_urls[Role.WRITER].replace("postgresql://", "postgresql+psycopg://", 1)
        joined = "&" if "?" in uri else "?"
        self._catalog = SqlCatalog(
            _CATALOGUE,
            uri=f"{uri}{joined}options=-csearch_path%3Diceberg",
            init_catalog_tables="false",
            # The server that was there a moment ago may have been restarted.
            pool_pre_ping="true",
            **store.catalogue_properties(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._catalog.close()

    def table(self, archived: Archived) -> "Table":
        """A table as it is now, made where it is not there, and with the columns that its contract has by now.

        Raises:
            ContractBroken: a column is of another type, or was taken away.
        """
        from pyiceberg.exceptions import NoSuchTableError

        if archived.name in self._tables:
            return self._tables[archived.name].refresh()
        try:
            table = self._catalog.load_table((NAMESPACE, archived.name))
        except NoSuchTableError:
            table = self._made(archived)
        self._tables[archived.name] = _brought_up_to_date(table, archived)
        return self._tables[archived.name]

    def exists(self, archived: Archived) -> bool:
        """Whether anything of a table was ever archived."""
        return bool(self._catalog.table_exists((NAMESPACE, archived.name)))

    def files(self, archived: Archived, partition: date, snapshot_id: int | None = None) -> list[PartitionFile]:
        """The files of a partition, now or in an older snapshot, in the order of their names."""
        found = _data_files(self.table(archived), archived, partition, snapshot_id)
        return sorted((PartitionFile(f.file_path, f.record_count, f.file_size_in_bytes) for f in found), key=lambda file: file.url)

    def new_file_url(self, archived: Archived, partition: date, name: str) -> str:
        """Where a new file of a partition is to be written."""
        return f"{self.table(archived).location()}/data/{archived.partition}={partition.isoformat()}/{name}.parquet"

    def file_schema(self, archived: Archived) -> pa.Schema:
        """The columns of a new file, with the numbers by which every engine finds them whatever they are called."""
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        numbered = schema_to_pyarrow(self.table(archived).schema())
        return pa.schema([_renumbered(numbered.field(each.name), each) for each in archived.stored_schema()])

    def exchange(self, archived: Archived, partition: date, urls: Sequence[str], properties: Mapping[str, str]) -> int:
        """Make these files all that a partition holds, in one step; returns the snapshot.

        Raises:
            CommitFailedException: another one changed the partition at the same time; nothing changed.
        """
        from pyiceberg.io.pyarrow import parquet_file_to_data_file

        table = self.table(archived)
        before = _data_files(table, archived, partition, None)
        after = [parquet_file_to_data_file(table.io, table.metadata, url) for url in urls]
        with table.transaction() as transaction:
            update = transaction.update_snapshot(snapshot_properties=dict(properties))
            with update.overwrite() if before else update.fast_append() as change:
                for file in before:
                    change.delete_data_file(file)
                for file in after:
                    change.append_data_file(file)
        current = table.refresh().current_snapshot()
        if current is None:
            raise ContractBroken(f"{archived.name} has no snapshot after one was made. Look at its metadata in {self.store.url}")
        return int(current.snapshot_id)

    def _made(self, archived: Archived) -> "Table":
        from pyiceberg.exceptions import TableAlreadyExistsError
        from pyiceberg.partitioning import PartitionField, PartitionSpec
        from pyiceberg.table.sorting import SortField, SortOrder
        from pyiceberg.transforms import IdentityTransform

        self._catalog.create_namespace_if_not_exists(NAMESPACE)
        schema = _schema(archived.stored_schema())
        number = {each.name: each.field_id for each in schema.fields}
        spec = PartitionSpec(PartitionField(number[archived.partition], 1000, IdentityTransform(), archived.partition))
        order = SortOrder(*(SortField(number[name]) for name in archived.order))
        try:
            return self._catalog.create_table(
                (NAMESPACE, archived.name), schema, f"{self.store.url}/{NAMESPACE}/{archived.name}", spec, order, _PROPERTIES
            )
        except TableAlreadyExistsError:
            return self._catalog.load_table((NAMESPACE, archived.name))


def _data_files(table: "Table", archived: Archived, partition: date, snapshot_id: int | None) -> "list[DataFile]":
    from pyiceberg.expressions import EqualTo

    if table.current_snapshot() is None:
        return []
    wanted = EqualTo(archived.partition, partition.isoformat())  # type: ignore[call-arg,arg-type]  # its plug-in for mypy is not in use here
    scan = table.scan(wanted, snapshot_id=snapshot_id)
    return [task.file for task in scan.plan_files()]


def _schema(stored: pa.Schema) -> "Schema":
    """A schema with the numbers of its columns, in their order."""
    from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids
    from pyiceberg.schema import assign_fresh_schema_ids

    return assign_fresh_schema_ids(_pyarrow_to_schema_without_ids(stored))


def _renumbered(numbered: pa.Field, wanted: pa.Field) -> pa.Field:
    """A field of ours with the library's numbers: its own types are larger ones of the same meaning."""
    kind = wanted.type
    if pa.types.is_list(kind):
        kind = pa.list_(pa.field("element", kind.value_type, metadata=numbered.type.value_field.metadata))
    return pa.field(wanted.name, kind, wanted.nullable, numbered.metadata)


def _brought_up_to_date(table: "Table", archived: Archived) -> "Table":
    """Add the columns that the contract has by now: nothing is ever taken away, and no type changed."""
    wanted = {each.name: each for each in _schema(archived.stored_schema()).fields}
    held = {each.name: each for each in table.schema().fields}
    gone = sorted(set(held) - set(wanted))
    other = sorted(name for name in set(held) & set(wanted) if _kind(held[name].field_type) != _kind(wanted[name].field_type))
    if gone or other:
        what = "; ".join([*(f"{name} is gone" for name in gone), *(f"{name} is of another type" for name in other)])
        raise ContractBroken(f"the archive of {archived.name} does not fit its contract: {what}. Columns are only ever added")
    missing = [each for name, each in wanted.items() if name not in held]
    if not missing:
        return table
    with table.update_schema() as update:
        for each in missing:
            update.add_column(each.name, each.field_type, doc=each.doc, required=False)
    return table.refresh()


def _kind(of: Any) -> str:
    """A type without the numbers of what is inside it."""
    from pyiceberg.types import ListType

    return f"list of {of.element_type}" if isinstance(of, ListType) else str(of)
