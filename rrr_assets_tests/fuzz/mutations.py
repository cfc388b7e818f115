"""Damage, done to small files by chance that can be repeated: bytes, lines, fields, numbers, times, packing.

Belongs here: what goes wrong with files between a venue and a disk, and what people do to them. Does not: what must hold afterwards
(oracle), the files (seeds).
"""

import gzip
import io
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Final

import pyarrow as pa

from rrr_assets_tests.fuzz.seeds import PARQUET_COLUMNS, SEEDS, Seed, document, parquet


@dataclass
class Draft:
    """What a file will contain, as lines with their ends; and how it will be packed."""

    seed: Seed
    lines: list[bytes]
    done: list[str] = field(default_factory=list)

    @property
    def data(self) -> bytes:
        return b"".join(self.lines)

    @data.setter
    def data(self, data: bytes) -> None:
        self.lines = data.splitlines(keepends=True) if b"\r" not in data else re.findall(rb"[^\n]*\n|[^\n]+", data)


Mutation = Callable[[Random, Draft], None]

_JSON_TOKEN: Final = re.compile(rb'"(?:[^"\\\n]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null')
_TIME: Final = re.compile(rb"(?<![0-9.])1[3-9][0-9]{8}([0-9]{9}|[0-9]{6}|[0-9]{3})?(?![0-9])")
_ISO: Final = re.compile(rb"20[0-9]{2}-[01][0-9]-[0-3][0-9]")
_NUMBER: Final = re.compile(rb"(?<![A-Za-z0-9_])-?[0-9]+(\.[0-9]+)?")
GIANTS = (
    b"1e400 -1e400 1e-999999999 1e999999999 1E+99999999999999999999 9e18 1e30 1e-19 0.0000000000000000001 -0 -0.0 +1 1_000 1. .5 . - + e"
    b" 0x10 NaN nan Infinity -Infinity inf 1e 1e+ --1 1.5.2 1,5 00000000000000000000000042000.10 42000.1000000000000000000000000000000"
    b" 99999999999999999999999999.999999999999 340282366920938463463374607431768211455 340282366920938463463374607431768211456"
    b" 170141183460469231731687303715884105728 18446744073709551616 9223372036854775807 9223372036854775808 -9223372036854775808"
    b" 18446744073709551617 4611686018427387904 100000000000000000000000000 99999999999999999999 1e26 1e20 1e25"
).split()
# Arabic and full-width digits among them.
GIANTS += ["\u0663\u0664".encode(), "\uff11\uff12".encode(), b"9" * 400, b"9" * 5000, b"1" + b"0" * 50, b"0." + b"0" * 5000 + b"1"]
GIANTS += [b"1e" + b"9" * 5000]
ODD_TEXTS: Final = [
    "😀".encode(),
    "مرحبا".encode(),
    "\u202e42".encode(),
    "\u2028".encode(),
    "\u0085".encode(),
    "\u00a0".encode(),
    "\ufeff".encode(),
    "\ue000".encode(),
    "\ue001".encode(),
    "ß".encode(),
    "\u0131".encode(),
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\xff\xfe",
    b"\x80",
    b"\x0b",
    b"\x0c",
    b"\x1c",
    b"\x7f",
    b"\x1b[31m",
    b"\\ud800",
    b"\\u0000",
    b"\\u0000\\udfff",
    b"'; drop table raw_trades; --",
    b"{}",
    b"%s%n",
    b"$1",
    b"\\N",
    b"\\x00",
]


def _pick(chance: Random, draft: Draft) -> int | None:
    return chance.randrange(len(draft.lines)) if draft.lines else None


def _spans(draft: Draft, line: bytes) -> list[tuple[int, int]]:
    """Where the fields of a line are: between delimiters, or the single values and keys of JSON."""
    if draft.seed.is_json:
        return [found.span() for found in _JSON_TOKEN.finditer(line)]
    spans, start = [], 0
    body = line.rstrip(b"\r\n")
    for part in body.split(draft.seed.delimiter):
        spans.append((start, start + len(part)))
        start += len(part) + 1
    return spans


def _replace_field(chance: Random, draft: Draft, make: Callable[[bytes], bytes]) -> None:
    at = _pick(chance, draft)
    if at is None:
        return
    line = draft.lines[at]
    spans = _spans(draft, line)
    if spans:
        start, end = chance.choice(spans)
        draft.lines[at] = line[:start] + make(line[start:end]) + line[end:]


# Bytes


def flip_bytes(chance: Random, draft: Draft) -> None:
    data = bytearray(draft.data)
    for _ in range(chance.randint(1, 4)):
        if data:
            data[chance.randrange(len(data))] = chance.randrange(256)
    draft.data = bytes(data)


def flip_bits(chance: Random, draft: Draft) -> None:
    data = bytearray(draft.data)
    for _ in range(chance.randint(1, 3)):
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    draft.data = bytes(data)


def delete_bytes(chance: Random, draft: Draft) -> None:
    data = draft.data
    at = chance.randrange(len(data) + 1)
    draft.data = data[:at] + data[at + chance.choice([1, 1, 2, 10, 200]) :]


def insert_bytes(chance: Random, draft: Draft) -> None:
    data = draft.data
    at = chance.randrange(len(data) + 1)
    draft.data = data[:at] + chance.choice([chance.randbytes(3), b"\x00", b"\x00" * 8, b",", b'"', b"\n", b"\r", b"{", b"]"]) + data[at:]


def zero_block(chance: Random, draft: Draft) -> None:
    """What a disk gives back of a block that was never written."""
    data = draft.data
    at = chance.randrange(len(data) + 1)
    length = min(chance.choice([16, 100, 512]), len(data) - at)
    draft.data = data[:at] + b"\x00" * length + data[at + length :]


# Lines


def cut_line(chance: Random, draft: Draft) -> None:
    at = _pick(chance, draft)
    if at is not None and len(draft.lines[at]) > 2:
        line = draft.lines[at]
        draft.lines[at] = line[: chance.randrange(1, len(line) - 1)] + chance.choice([b"\n", b"\n", b"\n", b""])


def cut_file(chance: Random, draft: Draft) -> None:
    data = draft.data
    draft.data = data[: chance.randrange(len(data) + 1)]


def delete_lines(chance: Random, draft: Draft) -> None:
    at = _pick(chance, draft)
    if at is not None:
        del draft.lines[at : at + chance.choice([1, 1, 1, 3])]


def duplicate_lines(chance: Random, draft: Draft) -> None:
    at = _pick(chance, draft)
    if at is not None:
        draft.lines[at:at] = draft.lines[at : at + chance.choice([1, 1, 2, 5])] * chance.choice([1, 1, 3])


def swap_lines(chance: Random, draft: Draft) -> None:
    if draft.lines:
        one, other = chance.randrange(len(draft.lines)), chance.randrange(len(draft.lines))
        draft.lines[one], draft.lines[other] = draft.lines[other], draft.lines[one]


def shuffle_some(chance: Random, draft: Draft) -> None:
    at = _pick(chance, draft)
    if at is not None:
        part = draft.lines[at : at + 6]
        chance.shuffle(part)
        draft.lines[at : at + 6] = part


def blank_lines(chance: Random, draft: Draft) -> None:
    at = chance.randrange(len(draft.lines) + 1)
    draft.lines.insert(at, chance.choice([b"\n", b"\r\n", b"  \n", b"\t\n", b"\n\n\n", b" \r\n", b'""\n', b"\xc2\xa0\n", b"\x0c\n"]))


def foreign_lines(chance: Random, draft: Draft) -> None:
    """A line of another file, or none of any."""
    other = chance.choice([seed for seed in SEEDS.values() if seed.shape != "parquet"])
    line = chance.choice(other.data.splitlines(keepends=True))
    line = chance.choice([line, line, line, b"# a comment\n", b"<html><body>502</body></html>\n", b"null\n", b"[]\n", b"{}\n", b"0\n"])
    draft.lines.insert(chance.randrange(len(draft.lines) + 1), line)


def glued(chance: Random, draft: Draft) -> None:
    """The file once more behind itself, header and all."""
    draft.data += chance.choice([b"", b"", b"\xef\xbb\xbf"]) + draft.data


def crowd(chance: Random, draft: Draft) -> None:
    """One line so often that the ordinals of its microsecond run out."""
    at = _pick(chance, draft)
    if at is not None:
        draft.lines[at:at] = [draft.lines[at]] * chance.choice([5, 50, 4100])


def huge_line(chance: Random, draft: Draft) -> None:
    size = chance.choice([20_000, 70_000, 300_000])
    made = chance.choice(
        [b"9" * size, b"," * size, b" " * size, b"x" * size, b"[" * size, b'"' * size, b"0." + b"0" * size, b"\x00" * size]
    )
    if chance.random() < 0.5:
        draft.lines.insert(chance.randrange(len(draft.lines) + 1), made + b"\n")
    else:
        _replace_field(chance, draft, lambda _: made)


def deep(chance: Random, draft: Draft) -> None:
    depth = chance.choice([10, 900, 1_100, 5_000, 100_000])
    opened, closed = chance.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"ev":"XT","pair":', b"}]"), (b"[[", b"]]")])
    nested = opened * depth + b"1" + (closed * depth if chance.random() < 0.7 else b"")
    if chance.random() < 0.5:
        _replace_field(chance, draft, lambda _: nested)
    else:
        draft.lines.insert(chance.randrange(len(draft.lines) + 1), chance.choice([b"", b"1741000000000000 "]) + nested + b"\n")


def line_ends(chance: Random, draft: Draft) -> None:
    end = chance.choice([b"\r\n", b"\r\n", b"\r\n", b"\r", b"\n\r", b"\r\r\n", b"\x85", b"\xe2\x80\xa8"])
    share = chance.choice([0.1, 0.5, 1.0, 1.0])
    draft.lines = [line[:-1] + end if line.endswith(b"\n") and chance.random() < share else line for line in draft.lines]


def no_last_end(_: Random, draft: Draft) -> None:
    draft.data = draft.data.rstrip(b"\r\n")


def byte_order_mark(chance: Random, draft: Draft) -> None:
    if chance.random() < 0.5 or not draft.lines:
        draft.lines.insert(0, b"\xef\xbb\xbf")
    else:
        at = chance.randrange(len(draft.lines))
        draft.lines[at] = b"\xef\xbb\xbf" + draft.lines[at]


# Fields


def wrong_columns(chance: Random, draft: Draft) -> None:
    at = _pick(chance, draft)
    if at is None:
        return
    line = draft.lines[at].rstrip(b"\n")
    cut = line.rpartition(draft.seed.delimiter)[0]
    draft.lines[at] = (
        chance.choice([line + draft.seed.delimiter + b"7", line + draft.seed.delimiter, draft.seed.delimiter + line, cut]) + b"\n"
    )


def delete_field(chance: Random, draft: Draft) -> None:
    at = _pick(chance, draft)
    if at is None:
        return
    line = draft.lines[at]
    spans = _spans(draft, line)
    if spans:
        start, end = chance.choice(spans)
        draft.lines[at] = line[:start] + line[min(end + 1, len(line.rstrip(b"\n"))) :]


def duplicate_field(chance: Random, draft: Draft) -> None:
    _replace_field(chance, draft, lambda text: text + draft.seed.delimiter + text)


def swap_fields(chance: Random, draft: Draft) -> None:
    at = _pick(chance, draft)
    if at is None:
        return
    line = draft.lines[at]
    spans = _spans(draft, line)
    if len(spans) > 1:
        (a, b), (c, d) = sorted(chance.sample(spans, 2))
        draft.lines[at] = line[:a] + line[c:d] + line[b:c] + line[a:b] + line[d:]


def empty_field(chance: Random, draft: Draft) -> None:
    nothing = [b"null", b'""', b"{}", b"[]", b"true"] if draft.seed.is_json else [b"", b"", b" ", b'""', b"null", b"NULL", b"None"]
    _replace_field(chance, draft, lambda _: chance.choice(nothing))


def quoted_field(chance: Random, draft: Draft) -> None:
    change = chance.choice(
        [lambda text: b'"' + text + b'"', lambda text: b"'" + text + b"'", lambda text: b'"' + text, lambda text: text.strip(b'"')]
    )
    _replace_field(chance, draft, change)


def spaced_field(chance: Random, draft: Draft) -> None:
    space = chance.choice([b" ", b"\t", b"  ", b"\xc2\xa0"])
    _replace_field(chance, draft, lambda text: chance.choice([space + text, text + space]))


def giant_number(chance: Random, draft: Draft) -> None:
    giant = chance.choice(GIANTS)
    _replace_field(chance, draft, lambda text: b'"' + giant + b'"' if text.startswith(b'"') and chance.random() < 0.8 else giant)


def sign_or_zero(chance: Random, draft: Draft) -> None:
    def change(text: bytes) -> bytes:
        quote = b'"' if text.startswith(b'"') else b""
        number = text.strip(b'"')
        return quote + chance.choice([b"-" + number, b"+" + number, b"0", b"0.000", b"-0", number + b"e0", number + b"E+1"]) + quote

    _replace_field(chance, draft, change)


def odd_text(chance: Random, draft: Draft) -> None:
    odd = chance.choice(ODD_TEXTS)

    def change(text: bytes) -> bytes:
        at = chance.randrange(len(text) + 1)
        return chance.choice([text[:at] + odd + text[at:], odd, text[:1] + odd + text[1:] if len(text) > 1 else odd])

    _replace_field(chance, draft, change)


def null_bytes(chance: Random, draft: Draft) -> None:
    _replace_field(chance, draft, lambda text: chance.choice([b"\x00", text + b"\x00", b"\x00" + text]))


def another_type(chance: Random, draft: Draft) -> None:
    """JSON of another kind where a number or a text stood."""
    kinds = [b'["1"]', b'{"a":1}', b"true", b"[]", b"1.0", b'"1e2"', b"[[[]]]", b'{"p":"1","q":"1"}', b"-1", b'"\\ud800"', b'"\\u0000"']
    _replace_field(chance, draft, lambda _: chance.choice(kinds))


# Times


def _change_times(chance: Random, draft: Draft, change: Callable[[bytes], bytes], share: float) -> None:
    for at, line in enumerate(draft.lines):
        if chance.random() < share:
            draft.lines[at] = _TIME.sub(lambda found: change(found[0]), line)


def other_unit(chance: Random, draft: Draft) -> None:
    change = chance.choice(
        [
            lambda text: text + b"000",
            lambda text: text + b"000000",
            lambda text: text[:-3] if len(text) > 10 else text,
            lambda text: text[:10],
            lambda text: text + b".5",
            lambda text: text[:10] + b"." + text[10:],
        ]
    )
    _change_times(chance, draft, change, chance.choice([0.05, 0.05, 0.4, 1.0]))


def other_days(chance: Random, draft: Draft) -> None:
    seconds = chance.choice([86_400, -86_400, 86_400 * 400, -86_400 * 6000, 86_400 * 3650, 3_600, 1])

    def change(text: bytes) -> bytes:
        return str(int(text) + seconds * 10 ** (len(text) - 10)).encode()

    share = chance.choice([0.05, 0.2, 1.0])
    _change_times(chance, draft, change, share)
    day = chance.choice([b"2025-03-04", b"2025-02-30", b"1969-01-01", b"2099-01-01", b"2008-12-31"])
    draft.lines = [_ISO.sub(day, line) if chance.random() < share else line for line in draft.lines]


# Whole contents


def nothing(_: Random, draft: Draft) -> None:
    draft.lines = []


def header_alone(_: Random, draft: Draft) -> None:
    draft.lines = draft.lines[:1]


def another_encoding(chance: Random, draft: Draft) -> None:
    text = draft.data.decode("utf-8", "replace")
    draft.data = chance.choice([text.encode("utf-16"), text.encode("utf-16-le"), text.encode("utf-32"), text.encode("utf-7")])


def error_page(chance: Random, draft: Draft) -> None:
    draft.data = chance.choice(
        [
            b"<!DOCTYPE html><html><body>404</body></html>",
            b'<?xml version="1.0"?><Error/>',
            b'{"code":-1003,"msg":"Too many requests."}',
            b'{"error":["EGeneral:Too many requests"]}',
            b"Not Found",
        ]
    )


CONTENT: Final[dict[Mutation, int]] = {
    flip_bytes: 8,
    flip_bits: 8,
    delete_bytes: 4,
    insert_bytes: 4,
    zero_block: 2,
    cut_line: 6,
    cut_file: 3,
    delete_lines: 4,
    duplicate_lines: 4,
    swap_lines: 4,
    shuffle_some: 3,
    blank_lines: 4,
    foreign_lines: 5,
    glued: 2,
    crowd: 1,
    huge_line: 2,
    deep: 3,
    line_ends: 4,
    no_last_end: 2,
    byte_order_mark: 3,
    wrong_columns: 6,
    delete_field: 6,
    duplicate_field: 4,
    swap_fields: 6,
    empty_field: 6,
    quoted_field: 4,
    spaced_field: 4,
    giant_number: 12,
    sign_or_zero: 6,
    odd_text: 6,
    null_bytes: 3,
    another_type: 4,
    other_unit: 4,
    other_days: 4,
    nothing: 1,
    header_alone: 1,
    another_encoding: 1,
    error_page: 1,
}
"""What can be done to a content, and how often."""


def damage(chance: Random, seed: Seed) -> Draft:
    """The seed's content with one to three things done to it."""
    if seed.shape == "parquet":
        if chance.random() < 0.4:
            return Draft(seed, [other_columns(chance)], ["other_columns"])
        return _damaged(chance, Draft(seed, [seed.data]), [flip_bytes, flip_bits, delete_bytes, insert_bytes, zero_block, cut_file])
    if seed.elements and chance.random() < 0.75:
        # What is wrong stays inside its element: the document as a whole can be read.
        draft = _damaged(chance, Draft(seed, [element + b"\n" for element in seed.elements]), list(CONTENT))
        readable = [element for element in map(bytes.strip, draft.lines) if _is_json(element)]
        return Draft(seed, [seed.around[0], b",\n".join(readable), seed.around[1]], draft.done)
    return _damaged(chance, Draft(seed, seed.data.splitlines(keepends=True)), list(CONTENT))


def _damaged(chance: Random, draft: Draft, known: Sequence[Mutation]) -> Draft:
    for mutation in chance.choices(known, [CONTENT[mutation] for mutation in known], k=chance.choice([1, 1, 1, 2, 2, 3])):
        mutation(chance, draft)
        draft.done.append(mutation.__name__)
    return draft


def _is_json(text: bytes) -> bool:
    try:
        document(text.decode())
    except (ValueError, RecursionError):
        return False
    return True


# Parquet


def other_columns(chance: Random) -> bytes:
    """A table of Parquet whose columns have other types, and values that no venue gives."""
    columns = dict(PARQUET_COLUMNS)
    for name in chance.sample(list(columns), chance.choice([1, 1, 2, 3])):
        column = columns[name]
        makers: list[Callable[[], pa.Array]] = [
            lambda column=column: pa.array([None if chance.random() < 0.3 else value for value in column.to_pylist()], column.type),
            lambda column=column: column.cast(pa.string()),
            lambda column=column: column.cast(pa.large_string()),
            lambda column=column: column.cast(pa.string()).dictionary_encode(),
            lambda column=column: pa.nulls(len(column)),
            lambda column=column: pa.array([[1, 2]] * len(column)),
            lambda column=column: pa.array([b"\xff\x00"] * len(column), pa.binary()),
            lambda column=column: pa.array([chance.choice(_SPOILT_TEXTS) for _ in column], pa.string()),
            lambda column=column: pa.array([chance.choice([0.1, 1e300, float("nan"), -1.0]) for _ in column]),
            lambda column=column: pa.array([chance.choice([2**63 - 1, -1, 0, 5]) for _ in column]),
            lambda column=column: pa.array([2**64 - 1] * len(column), pa.uint64()),
            lambda column=column: pa.array([True] * len(column)),
            lambda column=column: pa.array([Decimal(10) ** 70] * len(column), pa.decimal256(76, 2)),
            lambda column=column: pa.array([chance.choice([-(2**63), 2**63 - 1, 0]) for _ in column], pa.timestamp("us")),
            lambda column=column: pa.array([chance.choice([0, 20_000, 2**31 - 1]) for _ in column], pa.date32()),
        ]
        columns[name] = chance.choice(makers)()
    return parquet(columns)


_SPOILT_TEXTS: Final = ["1", "", "-1", "NaN", "1e5", "1e-999999999", "\x00", "\u2028", "٣", "9" * 400, "42000.1"]


# Packing


def packed(chance: Random, seed: Seed, data: bytes) -> tuple[bytes, str, str]:
    """The content as a file: its bytes, what is added to its name, and what was done to the packing ('' for nothing)."""
    kind = "plain" if seed.shape == "parquet" else chance.choice(["plain", "plain", "zip", "gz"])
    if kind == "plain":
        return data, "", ""
    whole = _zipped(chance, seed, data) if kind == "zip" else gzip.compress(data, 1, mtime=0)
    if chance.random() < 0.8:
        return whole, f".{kind}", ""
    spoilt = bytearray(whole)
    how = chance.choice(["cut", "flip", "flip", "tail", "insert"])
    if how == "cut":
        del spoilt[chance.randrange(len(spoilt)) :]
    elif how == "flip":
        for _ in range(chance.randint(1, 3)):
            # The ends hold what is not data: headers, sizes, checksums, the directory.
            near = chance.choice([0, len(spoilt) - 100, chance.randrange(len(spoilt))])
            spoilt[min(max(near, 0) + chance.randrange(60), len(spoilt) - 1)] = chance.randrange(256)
    elif how == "tail":
        spoilt += chance.choice([b"\x00" * 10, b"junk", chance.randbytes(40), bytes(whole[: len(whole) // 2])])
    else:
        at = chance.randrange(len(spoilt))
        spoilt[at:at] = chance.randbytes(chance.randint(1, 5))
    return bytes(spoilt), f".{kind}", f"{kind} {how}"


def _zipped(chance: Random, seed: Seed, data: bytes) -> bytes:
    out = io.BytesIO()
    method = chance.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    with zipfile.ZipFile(out, "w") as archive:
        name = seed.file_name if seed.file_name.endswith((".csv", ".json", ".txt")) else f"{seed.file_name}.csv"
        archive.writestr(zipfile.ZipInfo(name), data, method)
        if chance.random() < 0.2:
            archive.writestr(zipfile.ZipInfo("README.md"), b"not data", method)
    return out.getvalue()
