"""Where the archive lies: a folder of this machine, or a bucket.

Belongs here: RRR_ARCHIVE_URL, and reading and writing objects there. Does not: what the objects are.
A bucket is entered as AWS' own tools enter it: credentials, region, profile and endpoint come from the environment (AWS_ACCESS_KEY_ID,
AWS_REGION, AWS_ENDPOINT_URL, ...) or the machine's role, and stand in no setting of ours.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import unquote, urlsplit

from rrr_assets.calc.outcomes import NoSpaceLeft, PermanentFailure, StoreUnreachable
from rrr_assets.warehouse.home import Home, sync_folder

if TYPE_CHECKING:
    from pyarrow import NativeFile
    from pyarrow.fs import FileSystem

_ATTEMPTS: Final = 5
_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 60.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


ASIDE: Final = "set-aside"
"""The folder, beside the tables, of files that were found damaged. Nothing removes them."""


class StoreUnusable(PermanentFailure):
    """The store is not named as it must be: the message says how."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object of the store; `changed_at` by the store's own clock."""

    url: str
    size_bytes: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload in parts that was begun and not ended: its parts are not seen, and are paid for."""

    url: str
    upload_id: str
    begun_at: datetime


@contextmanager
def failures_told(what: str) -> Iterator[None]:
    """Turn what a store fails by into the platform's words: its disk is full, or it did not answer well, which may pass.

    Raises:
        NoSpaceLeft, StoreUnreachable: so it is.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise NoSpaceLeft(f"the disk of the archive is full: {what}. Free space, and do it again") from error
        raise StoreUnreachable(f"the archive did not answer well: {error}") from error


@dataclass(frozen=True)
class Store:
    """One place of objects. `url` names it without a slash at its end; `root` is its path in `filesystem`."""

    url: str
    root: str
    filesystem: "FileSystem"

    @classmethod
    def current(cls) -> Self:
        """The store of this process' environment: RRR_ARCHIVE_URL, by default a folder of the home.

        Raises:
            StoreUnusable: RRR_ARCHIVE_URL is neither a folder nor an address of S3.
        """
        from pyarrow import fs

        given = os.environ.get("RRR_ARCHIVE_URL") or str(Home.current().root / "archive")
        parts = urlsplit(given)
        if parts.scheme == "s3" and parts.netloc:
            root = parts.netloc + parts.path.rstrip("/")
            return cls(f"s3://{root}", root, _s3())
        if parts.scheme in {"", "file"} and not parts.netloc:
            folder = Path(unquote(parts.path) if parts.scheme else given).expanduser().resolve()
            folder.mkdir(parents=True, exist_ok=True)
            return cls(f"file://{folder}", str(folder), fs.LocalFileSystem())
        raise StoreUnusable(f"RRR_ARCHIVE_URL {given} is neither a folder nor of the form s3://bucket/prefix. Set it so")

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return self.url.startswith("file://")

    def path(self, url: str) -> str:
        """The path in `filesystem` of an object below this store.

        Raises:
            StoreUnusable: it lies elsewhere.
        """
        if not url.startswith(f"{self.url}/"):
            raise StoreUnusable(f"{url} does not lie in {self.url}. RRR_ARCHIVE_URL was changed since it was written: set it back")
        return self.root + url.removeprefix(self.url)

    @contextmanager
    def writing(self, url: str) -> "Iterator[NativeFile]":
        """A new object; there when the block ends, durably, and not at all where it fails."""
        path = self.path(url)
        folder = path.rpartition("/")[0]
        if self.is_local:
            self.filesystem.create_dir(folder)
        with ExitStack() as failed:
            failed.callback(self._give_up, url)
            with self.filesystem.open_output_stream(path) as out:
                yield out
            failed.pop_all()
        if self.is_local:
            with Path(path).open("rb") as written:
                os.fsync(written.fileno())
            sync_folder(Path(folder))

    def _give_up(self, url: str) -> None:
        """Leave nothing of an object that could not be written: not half of it, and no parts that are not seen and paid for."""
        try:
            for upload in [] if self.is_local else self._uploads(self.path(url)):
                self.abort(upload)
            self.discard(url)
        except OSError:
            # Where the store does not answer now, the clean-up ends it later. What failed is told by who called.
            return

    def open(self, url: str) -> "NativeFile":
        """An object, for reading at any place."""
        return self.filesystem.open_input_file(self.path(url))

    def size(self, url: str) -> int:
        """Bytes of an object.

        Raises:
            FileNotFoundError: it is not there.
        """
        from pyarrow import fs

        found = self.filesystem.get_file_info(self.path(url))
        if found.type is not fs.FileType.File:
            raise FileNotFoundError(url)
        return int(found.size)

    def discard(self, url: str) -> None:
        """Remove an object, if it is there."""
        try:
            self.filesystem.delete_file(self.path(url))
        except FileNotFoundError:
            return

    def holds(self, folder: str) -> bool:
        """Whether there is anything in a folder, or the folder itself."""
        from pyarrow import fs

        return bool(self.filesystem.get_file_info(f"{self.root}/{folder}").type is not fs.FileType.NotFound)

    def listed(self, folder: str) -> list[Stored]:
        """Every object below a folder, in the order of their names; none where there is no such folder."""
        from pyarrow import fs

        selector = fs.FileSelector(f"{self.root}/{folder}", recursive=True, allow_not_found=True)
        found = [each for each in self.filesystem.get_file_info(selector) if each.type is fs.FileType.File]
        return sorted(
            (Stored(self.url + each.path.removeprefix(self.root), int(each.size), _time(each.mtime_ns)) for each in found),
            key=lambda each: each.url,
        )

    def set_aside(self, url: str) -> str:
        """Move an object out of the tables' folders, to where nothing removes it; returns where it is now."""
        aside = f"{self.url}/{ASIDE}{url.removeprefix(self.url)}"
        path, target = self.path(url), self.path(aside)
        if self.is_local:
            self.filesystem.create_dir(target.rpartition("/")[0])
        self.filesystem.move(path, target)
        if self.is_local:
            sync_folder(Path(target).parent)
            sync_folder(Path(path).parent)
        return aside

    def unfinished_uploads(self, folder: str) -> list[Upload]:
        """Uploads in parts below a folder that were begun and not ended. A folder of this machine has none."""
        if self.is_local:
            return []
        return self._uploads(f"{self.root}/{folder}/")

    def _uploads(self, path: str) -> list[Upload]:
        bucket, _, prefix = path.partition("/")
        with _told_as_oserror():
            pages = s3_client().get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
            found = [each for page in pages for each in page.get("Uploads", ())]
        return [Upload(f"s3://{bucket}/{each['Key']}", each["UploadId"], each["Initiated"]) for each in found]

    def abort(self, upload: Upload) -> None:
        """Give up an upload, and the parts of it that lie in the store. One that ended meanwhile is left as it is."""
        bucket, _, key = upload.url.removeprefix("s3://").partition("/")
        with _told_as_oserror():
            client = s3_client()
            with suppress(client.exceptions.NoSuchUpload):
                client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload.upload_id)

    def catalogue_properties(self) -> dict[str, str]:
        """What the catalogue's library needs to enter the same store."""
        properties = {"warehouse": self.url, "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO"}
        endpoint, region = _endpoint(), _region()
        if not self.is_local:
            properties |= {"s3.endpoint": endpoint} if endpoint else {}
            properties |= {"s3.region": region} if region else {}
            properties |= {"s3.connect-timeout": str(_CONNECT_SECONDS), "s3.request-timeout": str(_ANSWER_SECONDS)}
        return properties


def s3_client() -> Any:
    """What Arrow's filesystem cannot do is done by AWS' own library, entered in the same way."""
    import boto3
    from botocore.config import Config

    config = Config(retries={"max_attempts": _ATTEMPTS, "mode": "standard"}, connect_timeout=_CONNECT_SECONDS, read_timeout=_ANSWER_SECONDS)
    return boto3.client("s3", region_name=_region(), endpoint_url=_endpoint(), config=config)


@contextmanager
def _told_as_oserror() -> Iterator[None]:
    """What goes wrong with the store is an OSError, whichever library met it."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise OSError(str(error)) from error


def _time(ns: int | None) -> datetime:
    # A store that does not say when is taken to have written just now: nothing young is ever removed.
    return datetime.now(UTC) if ns is None else _EPOCH + timedelta(microseconds=ns // 1000)


def _s3() -> "FileSystem":
    from pyarrow import fs

    endpoint = _endpoint()
    return fs.S3FileSystem(
        region=_region(),
        endpoint_override=endpoint,
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=_ANSWER_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
    )


def _endpoint() -> str | None:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def _region() -> str | None:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None
