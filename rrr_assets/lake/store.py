"""Where the archive lies: a folder of this machine, or a bucket.

Belongs here: RRR_ARCHIVE_URL, and reading and writing objects there. Does not: what the objects are.
A bucket is entered as AWS' own tools enter it: credentials, region, profile and endpoint come from the environment (AWS_ACCESS_KEY_ID,
AWS_REGION, AWS_ENDPOINT_URL, ...) or the machine's role, and stand in no setting of ours.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import unquote, urlsplit

from rrr_assets.calc.outcomes import NoSpaceLeft, PermanentFailure, StoreUnreachable
from rrr_assets.warehouse.home import Home, sync_folder

if TYPE_CHECKING:
    from pyarrow import NativeFile
    from pyarrow.fs import FileSystem

_ATTEMPTS: Final = 5
_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 60.0


class StoreUnusable(PermanentFailure):
    """The store is not named as it must be: the message says how."""


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
            failed.callback(self.discard, url)
            with self.filesystem.open_output_stream(path) as out:
                yield out
            failed.pop_all()
        if self.is_local:
            with Path(path).open("rb") as written:
                os.fsync(written.fileno())
            sync_folder(Path(folder))

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

    def catalogue_properties(self) -> dict[str, str]:
        """What the catalogue's library needs to enter the same store."""
        properties = {"warehouse": self.url, "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO"}
        endpoint, region = _endpoint(), _region()
        if not self.is_local:
            properties |= {"s3.endpoint": endpoint} if endpoint else {}
            properties |= {"s3.region": region} if region else {}
            properties |= {"s3.connect-timeout": str(_CONNECT_SECONDS), "s3.request-timeout": str(_ANSWER_SECONDS)}
        return properties


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
