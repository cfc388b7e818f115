"""CSV as tools write it: fields in quotes, a delimiter of one's own choice.

Belongs here: making such lines as plain as `csv_text.cut` wants them, line by line, and undoing it in the fields. Does not: what a
column means. A quoted field ends on its line: a stray quote never swallows lines.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

import pyarrow.compute as pc

from rrr_assets.venues.content import Block, raw_text
from rrr_assets.venues.csv_text import CsvRows, cut
from rrr_assets.venues.rows import TextRows

COMMA: Final = ","
DELIMITERS: Final = (COMMA, ";", "|", "\t")
# A character of the private use area, which no venue writes: it keeps the place of a comma that separates nothing.
_KEPT_COMMA: Final = "\ue000"


def plain_line(line: str, delimiter: str = COMMA) -> str:
    """A line, without its end, as `csv_text` cuts it at its commas; `fields` undoes what was done to commas inside fields."""
    return _plain(line.encode("utf-8", "surrogateescape"), delimiter).decode("utf-8", "surrogateescape")


def fields(line: str, delimiter: str = COMMA) -> list[str]:
    """The fields of a line without its end."""
    return [field.replace(_KEPT_COMMA, COMMA) for field in plain_line(line, delimiter).split(COMMA)]


def cut_quoted(
    block: Block, names: Sequence[str], wanted: Sequence[str], headers: Collection[tuple[str, ...]], delimiter: str = COMMA
) -> CsvRows:
    """As `csv_text.cut` does, of lines whose fields may stand in quotes. What is raw stays as it was written."""
    plain = Block(block.first_line, _plain(block.data, delimiter))
    found = cut(plain, names, wanted, headers)
    if plain.data is block.data:
        return found
    columns = found.rows.columns
    if _KEPT_COMMA.encode() in plain.data:
        columns = {name: pc.replace_substring(column, _KEPT_COMMA, COMMA) for name, column in columns.items()}

    def raw(line: int) -> str:
        return raw_text(block.line(line))

    misfits = [replace(misfit, raw=raw(misfit.line)) for misfit in found.misfits]
    return CsvRows(TextRows(found.rows.lines, columns, raw), misfits, found.passed_over)


def _plain(data: bytes, delimiter: str) -> bytes:
    """The same lines with commas between their fields and nowhere else, and without the quotes around whole fields."""
    mark, kept = delimiter.encode(), _KEPT_COMMA.encode()
    if b'"' in data:

        def unquoted(found: re.Match[bytes]) -> bytes:
            inside = found[1].replace(b'""', b'"')
            if not inside.strip() and mark not in found.string[max(found.start() - 1, 0) : found.end() + 1]:
                # Quotes around nothing, alone on their line: it is not blank, and stays so.
                return found[0]
            # The delimiter has no meaning in there; where it is no comma it is put out of the way with the quotes.
            return inside.replace(b",", kept) if mark == b"," else inside.replace(mark, _OTHER_KEPT)

        data = _quoted(mark).sub(unquoted, data)
    if mark != b",":
        data = data.replace(b",", kept).replace(mark, b",").replace(_OTHER_KEPT, mark)
    return data


_OTHER_KEPT: Final = "\ue001".encode()


@lru_cache(maxsize=len(DELIMITERS))
def _quoted(mark: bytes) -> re.Pattern[bytes]:
    """A field in quotes that ends on its line, whole between two delimiters or the line's ends."""
    between = re.escape(mark)
    return re.compile(rb"(?:(?<=\n)|(?<=" + between + rb')|\A)"((?:[^"\r\n]|"")*)"(?=' + between + rb"|\r?\n|\r?\Z)")
