"""JSON answers as venues give them: every number kept as the text it was written as.

Belongs here: reading a document and turning its elements into columns of text. Does not: what they mean.
"""

import json
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from rrr_assets.venues.base import Reason, Source, SourceRefused
from rrr_assets.venues.content import DAMAGED, raw_text, read_whole
from rrr_assets.venues.rows import Misfit, TextRows

DOCUMENT_BYTES: Final = 256 << 20
BATCH_ROWS: Final = 100_000

Json = dict[str, "Json"] | list["Json"] | str | bool | None


class Number(str):
    """A JSON number, as the text it was written as; a JSON string is a plain str."""

    __slots__ = ()


_NOTHING: Final = Number("")
_DECODER: Final = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=Number)


def decode(text: str) -> Json:
    """Read one document that stands alone, without a space before or after it.

    Raises:
        ValueError: it is no JSON, or nested deeper than any venue's.
    """
    try:
        document: Json
        document, end = _DECODER.raw_decode(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if end != len(text):
        raise ValueError(f"it goes on after its end at character {end}")
    return document


def read_document(source: Source) -> Json:
    """Read a file that is one JSON document.

    Raises:
        SourceRefused: it is none, most often because its end is missing, or it is too large.
    """
    text = read_whole(source, DOCUMENT_BYTES)
    try:
        return decode(text.strip())
    except ValueError as error:
        raise SourceRefused(source.name, f"it is truncated or no JSON ({error})", DAMAGED) from error


def text_of(value: Json) -> str | None:
    """A field as text: null is None, true and false are words, what is no single value stays JSON."""
    if isinstance(value, str):
        # A lone surrogate is valid in JSON and in nothing that comes after.
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return encode(value)


def encode(value: Json) -> str:
    """JSON with every number as it was written; spaces between the values are not kept."""
    written: list[str] = []
    # What is still to be written, the next at the end; not by recursion, for a document may be as deep as `decode` reads.
    coming: list[tuple[str, Json, str]] = [("", value, "")]
    while coming:
        before, item, after = coming.pop()
        written.append(before)
        if isinstance(item, dict):
            written.append("{")
            coming.append(("}", _NOTHING, after))
            parts = [(f"{json.dumps(key)}:", inner, ",") for key, inner in item.items()]
        elif isinstance(item, list):
            written.append("[")
            coming.append(("]", _NOTHING, after))
            parts = [("", inner, ",") for inner in item]
        else:
            written.append(str(item) if isinstance(item, Number) else json.dumps(item))
            written.append(after)
            continue
        if parts:
            parts[-1] = (parts[-1][0], parts[-1][1], "")
        coming.extend(reversed(parts))
    return "".join(written)


def raw_element(element: Json) -> str:
    """An element as refused rows keep it (see `content.raw_text`)."""
    return raw_text(encode(element).encode())


def raw_elements(elements: Sequence[Json], lines: Sequence[int]) -> dict[int, str]:
    """The raw text of some elements of a list, by their number counted from 1."""
    return {line: raw_element(elements[line - 1]) for line in lines if 1 <= line <= len(elements)}


def text_rows(elements: Sequence[Json], first_line: int, names: Sequence[str], time: int | None = None) -> tuple[TextRows, list[Misfit]]:
    """Columns of text from objects (by key; a key that is absent gives null) or lists (by place).

    Args:
        elements: What lies in the source's list, as `read_document` gives it.
        first_line: The number of the first element, counted from 1.
        names: Keys, or what the places of a list mean.
        time: The place of the time in a list, for misfits.
    """
    lines: list[int] = []
    rows: list[list[str | None]] = []
    misfits: list[Misfit] = []
    for line, element in enumerate(elements, first_line):
        if isinstance(element, dict):
            rows.append([text_of(element.get(name)) for name in names])
            lines.append(line)
        elif isinstance(element, list) and len(element) == len(names):
            rows.append([text_of(item) for item in element])
            lines.append(line)
        else:
            found = f"{len(element)} values" if isinstance(element, list) else "no object and no list"
            at = text_of(element[time]) if isinstance(element, list) and time is not None and len(element) > time else None
            detail = f"The element has {found} where {len(names)} values are expected: {', '.join(names)}."
            misfits.append(Misfit(line, Reason.COLUMNS, detail, raw_element(element), at))
    columns = {name: pa.array([row[place] for row in rows], pa.string()) for place, name in enumerate(names)}
    return TextRows(np.array(lines, np.int64), columns, lambda line: raw_element(elements[line - first_line])), misfits
