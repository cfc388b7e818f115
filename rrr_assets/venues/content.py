"""Bytes of a source: what a file contains whatever it is packed in, verified, and cut into blocks of lines.

Belongs here: zip, gzip, checksums, line ends, what is no text at all. Does not: what the lines mean.
"""

import errno
import gzip
import hashlib
import lzma
import re
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from rrr_assets.venues.base import Source, SourceRefused
from rrr_assets.venues.names import base_name

BLOCK_BYTES: Final = 4 << 20
BLOCK_LINES: Final = 500_000
LINE_BYTES: Final = 256 << 20
RAW_BYTES: Final = 64 << 10
_HEAD_BYTES: Final = 64 << 10
_TAIL_BYTES: Final = 8 << 20
_READ_BYTES: Final = 4 << 20
_BOM: Final = b"\xef\xbb\xbf"
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SHA256_LINE: Final = re.compile(r"([0-9a-fA-F]{64})(?:\s+\*?(.*?))?\s*")
# A damaged header may ask for a method or an encryption that is not known here.
_DAMAGES: Final = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)
_OTHER_PACKINGS: Final = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"7z\xbc\xaf": "7-Zip",
    b"Rar!": "RAR",
    b"PAR1": "Parquet",
}

DAMAGED: Final = "Download it again: nothing of it was taken."


class Reader(Protocol):
    """A stream of bytes, as files, gzip and zip give it."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Content:
    """A file that was read to its end. `head` and `last_line` are of what it contains, unpacked.

    `head` holds the first lines, whole, as text with undecodable bytes replaced. `last_line` is the last
    line that is not blank; `ends_in_newline` says whether it was ended.
    """

    sha256: str
    size_bytes: int
    member: str | None
    head: str
    last_line: bytes
    ends_in_newline: bool


def verify(source: Source) -> Content:
    """Read the file to its end: checksum beside it, archive's CRC, and that there is something in it.

    Raises:
        SourceRefused: the file is damaged, truncated, empty, fails its checksum, or is packed otherwise.
    """
    with source.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    verify_checksum(source, sha256)
    _verify_other_members(source)
    head, tail, size = b"", b"", 0
    with open_content(source) as (stream, member):
        while chunk := stream.read(_READ_BYTES):
            if len(head) < _HEAD_BYTES:
                head = (head + chunk)[:_HEAD_BYTES]
            tail = (tail + chunk)[-_TAIL_BYTES:]
            size += len(chunk)
    if not tail.strip():
        raise SourceRefused(source.name, "it is empty", DAMAGED)
    return Content(
        sha256=sha256,
        size_bytes=source.path.stat().st_size,
        member=member,
        head=_head_text(head, is_whole=size <= _HEAD_BYTES),
        last_line=tail.rstrip().rpartition(b"\n")[2],
        ends_in_newline=tail.endswith((b"\n", b"\r")),
    )


def read_head(source: Source) -> tuple[str, str | None]:
    """The first lines of the content (see `Content.head`) and the archive member's name, without reading on."""
    with open_content(source) as (stream, member):
        head = stream.read(_HEAD_BYTES)
        return _head_text(head, is_whole=not stream.read(1)), member


def read_whole(source: Source, limit_bytes: int) -> str:
    """All of a text, for formats that cannot be read in parts.

    Raises:
        SourceRefused: it is larger than `limit_bytes`, or no UTF-8.
    """
    with open_content(source) as (stream, _):
        data = stream.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise SourceRefused(
            source.name, f"a JSON document of more than {limit_bytes >> 20} MiB is not read", "Split it into several answers."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceRefused(source.name, f"byte {error.start} is no UTF-8", DAMAGED) from error


@contextmanager
def open_content(source: Source) -> Iterator[tuple[Reader, str | None]]:
    """Open what the file contains, whatever it is packed in, with the archive member's name where there is one.

    What it is packed in is told by its first bytes, never by its name.

    Raises:
        SourceRefused: damaged, truncated, encrypted, or not exactly one data file inside; also while reading.
    """
    try:
        with source.path.open("rb") as file:
            magic = file.read(8)
            file.seek(0)
            if magic.startswith(b"PK"):
                with zipfile.ZipFile(file) as archive:
                    member = _only_member(source, archive)
                    with archive.open(member) as stream:
                        yield stream, member.filename
            elif magic.startswith(b"\x1f\x8b"):
                with gzip.open(file) as stream:
                    yield stream, None
            else:
                packed = next((name for start, name in _OTHER_PACKINGS.items() if magic.startswith(start)), None)
                if packed == "Parquet":
                    raise SourceRefused(source.name, "it is a Parquet file", "Load it with --format table and a mapping.")
                if packed:
                    raise SourceRefused(source.name, f"it is a {packed} file", "Unpack it, or pack it as zip or gzip.")
                yield file, None
    except _DAMAGES as error:
        raise _damaged(source, error) from error
    except OSError as error:
        # What bzip2 finds wrong with its data has no number of the system's; a damaged offset is sought before the file's start.
        if error.errno not in {None, errno.EINVAL}:
            raise
        raise _damaged(source, error) from error


def _damaged(source: Source, error: Exception) -> SourceRefused:
    return SourceRefused(source.name, f"the archive is truncated or damaged ({str(error)[:200] or 'its end is missing'})", DAMAGED)


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [member for member in archive.infolist() if not member.is_dir()]


def _only_member(source: Source, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    data = [member for member in _members(archive) if member.filename.lower().endswith((".csv", ".json", ".jsonl", ".txt"))]
    if len(data) != 1:
        found = ", ".join(member.filename for member in _members(archive)[:5]) or "nothing"
        raise SourceRefused(
            source.name, f"exactly one CSV or JSON file is expected in it, it holds {found}", "Unpack it and load its files one by one."
        )
    if data[0].flag_bits & 1:
        raise SourceRefused(source.name, "it is encrypted", "Decrypt it first.")
    if data[0].compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}:
        raise SourceRefused(source.name, f"it is compressed by zip's method {data[0].compress_type}", "Pack it as a plain zip.")
    return data[0]


def _verify_other_members(source: Source) -> None:
    """Read the archive's other members for their CRC; the one that holds the data is read by `verify`."""
    if not zipfile.is_zipfile(source.path):
        return
    with open_content(source) as (_, data), zipfile.ZipFile(source.path) as archive:
        for member in _members(archive):
            if member.filename == data:
                continue
            if member.flag_bits & 1:
                raise SourceRefused(source.name, f"{member.filename} in it is encrypted", "Decrypt it first.")
            with archive.open(member) as stream:
                while stream.read(_READ_BYTES):
                    pass


def verify_checksum(source: Source, sha256: str) -> None:
    names = {source.path.name, base_name(source.name)}
    for path in sorted(source.path.with_name(f"{name}.CHECKSUM") for name in names):
        if path.is_file():
            expected = _published_sha256(source, path, names)
            if expected != sha256:
                raise SourceRefused(
                    source.name,
                    f"its sha256 is {sha256}, but {path.name} beside it says {expected}",
                    "Download both again; if the venue's checksum is known to be wrong, remove the .CHECKSUM file.",
                )


def _published_sha256(source: Source, path: Path, names: set[str]) -> str:
    text = path.read_bytes()[:_HEAD_BYTES].decode("utf-8", "replace")
    entries = [found for line in text.splitlines() if (found := _SHA256_LINE.fullmatch(line.strip()))]
    entry = next((found for found in entries if found[2] and base_name(found[2]) in names), entries[0] if len(entries) == 1 else None)
    if entry is None:
        raise SourceRefused(
            source.name, f"{path.name} beside it holds no sha256 for it", "Download the checksum again, or remove the .CHECKSUM file."
        )
    return str(entry[1]).lower()


def _head_text(head: bytes, *, is_whole: bool) -> str:
    if not is_whole and b"\n" in head:
        head = head[: head.rindex(b"\n") + 1]
    return head.removeprefix(_BOM).decode("utf-8", "replace")


def unlike(source: Source, wanted: str, head: str) -> SourceRefused:
    """The refusal of a file that is not of the format `wanted`, saying what it seems to be."""
    # The registry imports the formats, which import this.
    from rrr_assets.venues import registry

    start = head.lstrip()[:200].lower()
    if start.startswith(("<!doctype", "<html", "<?xml", "<head", "<error")):
        return SourceRefused(source.name, "it is an HTML or XML page, not data: the server answered with an error", "Download it again.")
    with source.path.open("rb") as file:
        magic = file.read(2)
    if magic in {b"\xff\xfe", b"\xfe\xff"}:
        return SourceRefused(source.name, "it is UTF-16 text", "Save it as UTF-8.")
    others = [name for name in registry.recognise(head) if name != wanted]
    if others:
        return SourceRefused(source.name, f"it is not {wanted}; it looks like {' or '.join(others)}", f"Load it with --format {others[0]}.")
    sample = head[:4096]
    if sum(character == "\ufffd" or (character < " " and character not in "\r\n\t") for character in sample) > len(sample) // 50:
        return SourceRefused(source.name, f"it is binary, not {wanted}", "Check that it is the right file, and download it again.")
    shown = raw_text(head.lstrip().partition("\n")[0].encode()[:120])
    return SourceRefused(
        source.name,
        f"it is not {wanted}: it starts with '{shown}'",
        f"The known formats are {', '.join(registry.FORMATS)}: choose with --format.",
    )


def unchanged(source: Source, size_bytes: int) -> None:
    """Refuse a file that is no longer the one that was inspected.

    Raises:
        SourceRefused: its size is another one.
    """
    if source.path.stat().st_size != size_bytes:
        raise SourceRefused(source.name, "it changed after it was verified", "Load it again when nothing writes to it any more.")


def raw_text(raw: bytes) -> str:
    """A line as it is kept in quarantine: undecodable and control bytes as hexadecimal escapes, cut beyond 64 KiB with a mark."""
    raw = raw.rstrip(b"\r\n")
    mark = ""
    if len(raw) > RAW_BYTES:
        mark = f" [cut: {len(raw)} bytes in all]"
        raw = raw[:RAW_BYTES]
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", raw.decode("utf-8", "backslashreplace")) + mark


@dataclass(frozen=True)
class Block:
    """Whole lines in a row. `first_line` is the 1-based physical line of the first; lines end at LF alone."""

    first_line: int
    data: bytes

    @property
    def octets(self) -> npt.NDArray[np.uint8]:
        """The data as numbers."""
        return np.frombuffer(self.data, np.uint8)

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """Offset of each line, and after the last one the length of the data."""
        ends = np.flatnonzero(self.octets == ord("\n")) + 1
        if not self.data.endswith(b"\n"):
            ends = np.append(ends, len(self.data))
        return np.concatenate([np.zeros(1, np.int64), ends])

    @cached_property
    def count(self) -> int:
        """Number of lines."""
        # Several times faster than bytes.count.
        return int(np.count_nonzero(self.octets == ord("\n"))) + (not self.data.endswith(b"\n"))

    def line(self, number: int) -> bytes:
        """The bytes of a physical line, with its end."""
        index = number - self.first_line
        return self.data[self.starts[index] : self.starts[index + 1]]


def line_blocks(source: Source, stream: Reader) -> Iterator[Block]:
    """Cut a stream into blocks of whole lines, of bounded bytes and lines. A byte order mark is dropped.

    Raises:
        SourceRefused: a line of more than 256 MiB.
    """
    line, rest, is_first = 1, b"", True
    while chunk := stream.read(BLOCK_BYTES):
        if is_first:
            chunk, is_first = chunk.removeprefix(_BOM), False
        end = chunk.rfind(b"\n") + 1
        if not end:
            rest += chunk
            if len(rest) > LINE_BYTES:
                raise SourceRefused(
                    source.name, f"a line of more than {LINE_BYTES >> 20} MiB", "This is no text of lines: check the file.", line
                )
            continue
        for block in slices(Block(line, rest + chunk[:end]), BLOCK_LINES):
            yield block
            line = block.first_line + block.count
        rest = chunk[end:]
    if rest:
        yield Block(line, rest)


def raw_lines(source: Source, lines: Sequence[int]) -> dict[int, str]:
    """The raw text (see `raw_text`) of some physical lines of a text; nothing is read beyond the block of the last one."""
    wanted = sorted(set(lines))
    found: dict[int, str] = {}
    with open_content(source) as (stream, _):
        for block in line_blocks(source, stream) if wanted else ():
            after = block.first_line + block.count
            here = wanted[bisect_left(wanted, block.first_line) : bisect_left(wanted, after)]
            found.update((line, raw_text(block.line(line))) for line in here)
            if after > wanted[-1]:
                break
    return found


def slices(block: Block, lines: int) -> Iterator[Block]:
    """Cut a block into blocks of at most so many lines."""
    if block.count <= lines:
        yield block
        return
    for first in range(0, block.count, lines):
        last = min(first + lines, block.count)
        yield Block(block.first_line + first, block.data[block.starts[first] : block.starts[last]])
