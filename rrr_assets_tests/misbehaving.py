"""A venue that misbehaves on purpose: each way by name, with the words by which it must be told afterwards.

Belongs here: daily files and REST pages of one tape, and what goes wrong with them. Does not: the server itself (venue_server), what a
test expects of the platform.
"""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rrr_assets_tests.venue_server import Answer, VenueServer, rewritten

REST_PATH: Final = "api/v3/historicalTrades"


@dataclass(frozen=True)
class Misbehaviour:
    """One way in which a file at a path goes wrong. `says` is part of the reason that is kept."""

    says: str
    make: Callable[[VenueServer, str], None]


def always(answer: Answer, times: int = 50) -> Callable[[VenueServer, str], None]:
    """Answer every request of the path so."""

    def make(venue: VenueServer, path: str) -> None:
        venue.answers[path] = [answer] * times

    return make


def replaced(content: bytes | Callable[[bytes], bytes], *, has_checksum: bool = True) -> Callable[[VenueServer, str], None]:
    """Serve other bytes at the path."""

    def make(venue: VenueServer, path: str) -> None:
        venue.files[path] = content(venue.files[path]) if callable(content) else content
        if not has_checksum:
            venue.without_checksum.add(path)

    return make


def gone(venue: VenueServer, path: str) -> None:
    """There is no such file."""
    del venue.files[path]


def wrong_checksum(venue: VenueServer, path: str) -> None:
    """The checksum is of other bytes."""
    venue.checksums[path] = [b"0" * 64 + b"  " + path.rpartition("/")[2].encode() + b"\n"]


def half_without_length(venue: VenueServer, path: str) -> None:
    """Half a file, and nothing that says that there is more."""
    half = venue.files[path][: len(venue.files[path]) // 2]
    venue.without_checksum.add(path)
    venue.answers[path] = [Answer(body=half, is_unmeasured=True)] * 50


def of_another(archive: bytes) -> bytes:
    """The same ids with other prices and sizes: another instrument's tape under this one's name."""

    def change(lines: list[list[str]]) -> None:
        for line in lines:
            line[1], line[2] = "1234.5", "7"
            line[3] = "8641.5"

    return rewritten(archive, change)


def at_other_times(archive: bytes) -> bytes:
    """The same ids six hours later."""

    def change(lines: list[list[str]]) -> None:
        for line in lines:
            line[4] = str(int(line[4]) + 6 * 3600 * 10 ** (len(line[4]) - 10))

    return rewritten(archive, change)


def renamed_inside(archive: bytes) -> bytes:
    """The archive of another instrument, as its inside tells."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        (name,) = old.namelist()
        new.writestr(name.replace("BTCUSDT", "ETHUSDT"), old.read(name))
    return made.getvalue()


def without(ids: Sequence[int]) -> Callable[[bytes], bytes]:
    """The file with a gap in it."""
    left_out = {str(each) for each in ids}

    def change(lines: list[list[str]]) -> None:
        lines[:] = [line for line in lines if line[0] not in left_out]

    return lambda archive: rewritten(archive, change)


def misbehaviours(missing: Sequence[int]) -> dict[str, Misbehaviour]:
    """Every way in which a daily file of trades goes wrong, that lacks some ids where it has a gap itself."""
    return {
        "no such file": Misbehaviour("no such file (404)", gone),
        "busy": Misbehaviour("429", always(Answer(429, {"Retry-After": "120"}))),
        "shut out": Misbehaviour("418", always(Answer(418, {"Retry-After": "240"}))),
        "broken": Misbehaviour("500", always(Answer(500))),
        "cut": Misbehaviour("attempts failed", always(Answer(cut_after=100))),
        "garbage": Misbehaviour("zip", replaced(b"PK\x03\x04 and then nothing like a zip" * 40)),
        "a page of errors": Misbehaviour("trades-", replaced(b"<html>Service unavailable</html>\n", has_checksum=False)),
        "half a file": Misbehaviour("truncated or damaged", half_without_length),
        "wrong checksum": Misbehaviour("its .CHECKSUM says", wrong_checksum),
        "other trades": Misbehaviour("another instrument", replaced(of_another)),
        "other times": Misbehaviour("another instrument", replaced(at_other_times)),
        "another file": Misbehaviour("ETHUSDT", replaced(renamed_inside)),
        "the same gap": Misbehaviour("in it", replaced(without(missing))),
    }


# --- REST ---------------------------------------------------------------------------------------------------------


def rows_of(archive: bytes) -> list[list[str]]:
    """The rows of a daily file."""
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        (name,) = packed.namelist()
        return [row for row in csv.reader(io.StringIO(packed.read(name).decode("ascii"))) if row[0].isdigit()]


def serve_rest(venue: VenueServer, archives: Sequence[bytes], most: int = 1000) -> None:
    """Answer for historical trades of spot from daily files, at most so many at a time."""
    trades = sorted((row for archive in archives for row in rows_of(archive)), key=lambda row: int(row[0]))

    def answer(asked: dict[str, str]) -> bytes:
        first, limit = int(asked["fromId"]), min(int(asked.get("limit", "500")), most)
        chosen = [row for row in trades if int(row[0]) >= first][:limit]
        return json.dumps([_as_rest(row) for row in chosen]).encode()

    venue.asks[REST_PATH] = answer


def _as_rest(row: Sequence[str]) -> dict[str, object]:
    return {
        "id": int(row[0]),
        "price": row[1],
        "qty": row[2],
        "quoteQty": row[3],
        "time": int(row[4]),
        "isBuyerMaker": row[5].lower() == "true",
        "isBestMatch": row[6].lower() == "true",
    }
