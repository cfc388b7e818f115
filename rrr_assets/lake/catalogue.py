"""The archive's tables: what the catalogue knows of them, and the one step in which a partition's files are exchanged.

Belongs here: making a table from its contract, bringing its columns up to date, the files of a partition, the commit. Does not: what is
in the files (files.py), whether they are equal to anything (proving.py).
The catalogue is in the database, in the schema `iceberg`; the rest of a table is files in the store.
"""

import re
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.contracts.archive import Archived
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.sqlfiles import query

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.table.sorting import SortOrder

NAMESPACE: Final = "rrr"
_CATALOGUE: Final = "archive"
_PROPERTIES: Final = {
    "format-version": "2",
    # A snapshot is a small change of few files: the metadata of the one before serves who reads it at this moment, no older one.
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_COMMITS: Final = 8
_NUMBER: Final = b"PARQUET:field_id"
_METADATA_NAME: Final = re.compile(r"(?P<number>\d+)-.*\.metadata\.json")
# Missing, cut or garbled, as the library tells it; a store that does not answer is none of these.
_UNREADABLE: Final = (FileNotFoundError, ValueError, KeyError, EOFError, zlib.error)


class ContractBroken(PermanentFailure):
    """A table of the archive has not the columns that its contract says, and none that may be added."""


class CatalogueBroken(PermanentFailure):
    """The metadata that the catalogue names is missing, or cannot be read. The files of the partitions are named by their proofs."""


class SnapshotExpired(PermanentFailure):
    """A snapshot is not kept any more, or never was: what it held is not answered with something else."""


@dataclass(frozen=True, slots=True)
class PartitionFile:
    """A file of a partition, as the catalogue knows it. `size_bytes` is the object's."""

    url: str
    rows: int
    size_bytes: int
    row_groups: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state of a table that can be read."""

    snapshot_id: int
    made_at: datetime
    is_current: bool


class Catalogue:
    """The tables of the archive in one store. Use as a context manager, in one thread."""

    def __init__(self, database: Database, store: Store) -> None:
        from pyiceberg.catalog.sql import SqlCatalog

        self.store = store
        self._database = database
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
            CatalogueBroken: its metadata is not there.
        """
        from pyiceberg.exceptions import NoSuchTableError

        if archived.name in self._tables:
            return self._tables[archived.name].refresh()
        try:
            table = self._catalog.load_table((NAMESPACE, archived.name))
        except NoSuchTableError:
            table = self._made(archived)
        except FileNotFoundError as error:
            raise CatalogueBroken(
                f"the metadata of {archived.name} that the catalogue names is not in {self.store.url}. Run `rrr archive scrub --apply`"
            ) from error
        self._tables[archived.name] = _brought_up_to_date(table, archived)
        return self._tables[archived.name]

    def exists(self, archived: Archived) -> bool:
        """Whether anything of a table was ever archived."""
        return self.location(archived) is not None

    def files(self, archived: Archived, partition: date, snapshot_id: int | None = None) -> list[PartitionFile]:
        """The files of a partition, now or in an older snapshot, in the order of their names.

        Raises:
            SnapshotExpired: the table has no such snapshot any more.
        """
        table = self.table(archived)
        if snapshot_id is not None and table.snapshot_by_id(snapshot_id) is None:
            raise SnapshotExpired(f"{archived.name} has no snapshot {snapshot_id}: it expired, or never was. Read the current one")
        return sorted((_as_file(found) for found in _data_files(table, archived, partition, snapshot_id)), key=lambda file: file.url)

    def all_files(self, archived: Archived) -> dict[date, list[PartitionFile]]:
        """The files of every partition of a table as it is now, in the order of their names."""
        table = self.table(archived)
        current = table.current_snapshot()
        found: dict[date, list[PartitionFile]] = {}
        for manifest in current.manifests(table.io) if current else ():
            for entry in manifest.fetch_manifest_entry(table.io):
                found.setdefault(_partition_of(entry.data_file), []).append(_as_file(entry.data_file))
        return {partition: sorted(held, key=lambda file: file.url) for partition, held in found.items()}

    def snapshots(self, archived: Archived) -> list[Snapshot]:
        """The states of a table that can be read, the oldest first."""
        table = self.table(archived)
        current = table.current_snapshot()
        return [
            Snapshot(each.snapshot_id, EPOCH + timedelta(milliseconds=each.timestamp_ms), current is not None and each == current)
            for each in sorted(table.snapshots(), key=lambda each: (each.timestamp_ms, each.sequence_number or 0))
        ]

    def expire(self, archived: Archived, snapshot_ids: Sequence[int]) -> None:
        """Forget some snapshots, in one step. No file is removed: that is left to the clean-up.

        Of those that another one forgot meanwhile, and of the current one, nothing is done.
        """
        from pyiceberg.exceptions import CommitFailedException
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

        for attempt in Retrying(
            retry=retry_if_exception_type(CommitFailedException), stop=stop_after_attempt(_COMMITS), wait=wait_random_exponential(max=2),
            reraise=True,
        ):  # fmt: skip
            with attempt:
                wanted = {each.snapshot_id for each in self.snapshots(archived) if not each.is_current} & set(snapshot_ids)
                if wanted:
                    self.table(archived).maintenance.expire_snapshots().by_ids(sorted(wanted)).commit()

    def naming(self, archived: Archived, urls: set[str]) -> set[int]:
        """The snapshots of a table that name any of some files. A manifest that many share is read once."""
        table = self.table(archived)
        names: dict[str, bool] = {}
        found = set()
        for snapshot in table.snapshots():
            for manifest in snapshot.manifests(table.io):
                path = manifest.manifest_path
                if path not in names:
                    names[path] = any(entry.data_file.file_path in urls for entry in manifest.fetch_manifest_entry(table.io))
                if names[path]:
                    found.add(snapshot.snapshot_id)
                    break
        return found

    def named(self, archived: Archived) -> set[str]:
        """Every object that a table's current metadata names: metadata, manifests, and the files of all its snapshots.

        Raises:
            CatalogueBroken: some of it cannot be read.
        """
        try:
            return _named(self.table(archived))
        except _UNREADABLE as error:
            raise CatalogueBroken(
                f"what the metadata of {archived.name} leads to cannot be read: {error}. Run `rrr archive scrub --apply`"
            ) from error

    def version(self, archived: Archived) -> int:
        """The number of a table's current metadata: each change of the table counts one."""
        return metadata_version(self.table(archived).metadata_location) or 0

    def named_by(self, metadata_url: str) -> set[str] | None:
        """Every object that some metadata names; None where it cannot be read, or not all that it leads to."""
        table = self._static(metadata_url)
        if table is None:
            return None
        try:
            return _named(table)
        except _UNREADABLE:
            return None

    def fault(self, archived: Archived) -> str | None:
        """What of a table's current metadata is missing or cannot be read; None where all of it can."""
        while (location := self.location(archived)) is not None:
            if self.named_by(location) is not None:
                return None
            # Whoever changed the table meanwhile may have removed what was looked at.
            if location == self.location(archived):
                return f"its metadata {location}, or what that leads to, is missing or cannot be read"
        return None

    def fall_back(self, archived: Archived, metadata_urls: Sequence[str]) -> str | None:
        """Where a table's current metadata cannot be read, take the first of these that can; None where none can.

        The files of partitions that changed since are to be registered again by their proofs.
        """
        broken = self.location(archived)
        for url in metadata_urls:
            if url != broken and self.named_by(url) is not None:
                with self._database.kept(Role.WRITER) as connection:
                    connection.execute(query("archive_fall_back"), {**_row_of(archived), "broken": broken, "url": url})
                self._tables.pop(archived.name, None)
                return url
        return None

    def make_anew(self, archived: Archived, file_url: str) -> str | None:
        """Where no metadata of a table can be read, make new, as of a table that holds nothing yet; returns where it lies.

        The partitions are to be registered by their proofs. None where the columns of its files would get other numbers than they have.
        """
        from pyiceberg.table.metadata import new_table_metadata

        schema, spec, order = _form(archived)
        numbers = {each.name: each.field_id for each in schema.fields}
        with self.store.open(file_url) as source:
            held = {each.name: int((each.metadata or {}).get(_NUMBER, b"-1")) for each in pq.read_schema(source)}
        if any(numbers.get(name) != number for name, number in held.items()):
            return None
        location = f"{self.store.url}/{NAMESPACE}/{archived.name}"
        metadata = new_table_metadata(schema, spec, order, location, _PROPERTIES)
        url = f"{location}/metadata/00000-{uuid.uuid4()}.metadata.json"
        broken = self.location(archived)
        with self.store.writing(url) as out:
            out.write(metadata.model_dump_json().encode())
        with self._database.kept(Role.WRITER) as connection:
            connection.execute(query("archive_fall_back"), {**_row_of(archived), "broken": broken, "url": url})
        self._tables.pop(archived.name, None)
        return url

    def location(self, archived: Archived) -> str | None:
        """Where the current metadata of a table lies; None where nothing of it was ever archived."""
        with self._database.kept(Role.WRITER) as connection:
            row = connection.execute(query("archive_metadata_location"), _row_of(archived)).fetchone()
        return None if row is None else str(row[0])

    def _static(self, metadata_url: str) -> "Table | None":
        from pyiceberg.table import StaticTable

        try:
            return StaticTable.from_metadata(metadata_url, self.store.catalogue_properties())
        except _UNREADABLE:
            return None

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

        self._catalog.create_namespace_if_not_exists(NAMESPACE)
        schema, spec, order = _form(archived)
        try:
            return self._catalog.create_table(
                (NAMESPACE, archived.name), schema, f"{self.store.url}/{NAMESPACE}/{archived.name}", spec, order, _PROPERTIES
            )
        except TableAlreadyExistsError:
            return self._catalog.load_table((NAMESPACE, archived.name))


def _form(archived: Archived) -> "tuple[Schema, PartitionSpec, SortOrder]":
    """The columns, the partition and the order of a new table."""
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.table.sorting import SortField, SortOrder
    from pyiceberg.transforms import IdentityTransform

    schema = _schema(archived.stored_schema())
    number = {each.name: each.field_id for each in schema.fields}
    spec = PartitionSpec(PartitionField(number[archived.partition], 1000, IdentityTransform(), archived.partition))
    return schema, spec, SortOrder(*(SortField(number[name]) for name in archived.order))


def metadata_version(url: str) -> int | None:
    """The number in the name of a metadata file; None where it is another kind of file."""
    found = _METADATA_NAME.fullmatch(url.rpartition("/")[2])
    return None if found is None else int(found["number"])


def _row_of(archived: Archived) -> dict[str, str]:
    return {"catalogue": _CATALOGUE, "namespace": NAMESPACE, "name": archived.name}


def _named(table: "Table") -> set[str]:
    """What metadata names, as far as it leads. A manifest that many snapshots share is read once."""
    metadata = table.metadata
    urls = {table.metadata_location, *(each.metadata_file for each in metadata.metadata_log)}
    urls |= {each.statistics_path for each in (*metadata.statistics, *metadata.partition_statistics)}
    for snapshot in table.snapshots():
        urls.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path not in urls:
                urls.add(manifest.manifest_path)
                urls |= {entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io)}
    return urls


def _as_file(found: "DataFile") -> PartitionFile:
    return PartitionFile(found.file_path, found.record_count, found.file_size_in_bytes, len(found.split_offsets or ()) or 1)


def _partition_of(found: "DataFile") -> date:
    value = found.partition[0]
    return value if isinstance(value, date) else EPOCH.date() + timedelta(days=value)


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
