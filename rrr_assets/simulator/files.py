"""Venue files as a writer sees them: names, columns, how a number is printed, archive and checksum.

Belongs here: turning a tape or candles into the bytes a venue publishes. Does not: choosing the rows
(defects), reading (venues/). The same rows always give the same bytes: archive times are fixed.
"""

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.simulator.candles import Candles, decimals
from rrr_assets.simulator.markets import Market
from rrr_assets.simulator.tape import Flags, Integers, Tape, time_unit_us

if TYPE_CHECKING:
    import polars as pl

_ROWS_AT_ONCE: Final = 250_000
_ZIP64_FROM_ROWS: Final = 10_000_000
_VISION_SCALE: Final = 8
_USDM_TRADES_HEADER: Final = b"id,price,qty,quote_qty,time,is_buyer_maker\n"
_USDM_CANDLES_HEADER: Final = (
    b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n"
)
_CCAPI_HEADER: Final = b"time_seconds,price,size,is_buyer_maker\n"
_QUOTE_ASSETS: Final = ("USDT", "USDC", "GUSD", "USD", "EUR", "GBP", "SGD", "BTC", "ETH")
# Every layout here has the price in its second column and the size in its third.
_PRICE_COLUMN: Final = 1
_SIZE_COLUMN: Final = 2

DAMAGES: Final = ("not_a_number", "columns", "not_positive")
"""Ways in which a garbage line is unreadable: its price is no number, its size is missing, its size is negative."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file as it was written.

    `rows` counts data lines, garbage and repeats included and a header not. `is_held_back` marks a file that is not
    part of the day's delivery but comes later (a late file) or again (a renamed copy).
    """

    path: Path
    format: str
    instrument: str
    day: date
    rows: int
    interval: str | None = None
    is_held_back: bool = False


@dataclass(frozen=True, slots=True)
class Lines:
    """What a file of trades holds: positions in the tape in file order, and garbage lines between them.

    Garbage `(position, damage)` stands before `rows[position]` and is a damaged copy of the row above it, so no
    position is 0, and none occurs twice.
    """

    rows: Integers
    is_repeat: Flags
    garbage: tuple[tuple[int, str], ...] = ()

    @property
    def count(self) -> int:
        return len(self.rows) + len(self.garbage)

    def numbers(self, header_lines: int) -> tuple[Integers, Integers]:
        """1-based physical line of every row, and of every garbage line."""
        before = np.array([position for position, _ in self.garbage], np.int64)
        place = np.arange(len(self.rows))
        rows = header_lines + 1 + place + np.searchsorted(before, place, side="right")
        return rows, header_lines + 1 + before + np.arange(len(before))


def whole(tape: Tape) -> Lines:
    """Every trade once, in trading order."""
    return Lines(np.arange(len(tape)), np.zeros(len(tape), np.bool_))


def trades_path(market: Market, day: date, suffix: str = "") -> str:
    """Path of a day's trades below the output folder, `/` between the parts."""
    if market.venue == "gemini":
        return f"ccapi/{ccapi_name(market, day, suffix)}"
    folder = "binance-vision-trades" if market.venue == "binance" else "binance-vision-usdm-trades"
    return f"{folder}/{market.symbol}-trades-{day}{suffix}.zip"


def candles_path(market: Market, day: date, interval: str) -> str:
    """Path of a day's candles below the output folder."""
    folder = "binance-vision-klines" if market.venue == "binance" else "binance-vision-usdm-klines"
    return f"{folder}/{market.symbol}-{interval}-{day}.zip"


def ccapi_name(market: Market, day: date, suffix: str = "") -> str:
    quote = next((asset for asset in _QUOTE_ASSETS if market.symbol.endswith(asset) and market.symbol != asset), None)
    pair = market.symbol if quote is None else f"{market.symbol.removesuffix(quote)}-{quote}"
    return f"{market.venue}__{pair.lower()}__{day}__trade{suffix}.csv"


def trades_format(market: Market) -> str:
    return "ccapi" if market.venue == "gemini" else "binance-vision-trades"


def header_lines(market: Market) -> int:
    return 0 if market.venue == "binance" else 1


def write_trades(path: Path, tape: Tape, lines: Lines) -> None:
    """Write a file of trades, and its checksum beside it where the venue publishes one."""
    chunks = _trade_chunks(tape, lines)
    if tape.market.venue == "gemini":
        replace_file(path, lambda sink: sink.writelines(chunks))
    else:
        _write_archive(path, chunks, lines.count)


def write_candles(path: Path, market: Market, day: date, made: Candles) -> None:
    """Write a file of candles and its checksum."""
    import polars as pl

    unit = time_unit_us(market, day)
    is_spot = market.venue == "binance"
    columns = {
        "open_time": made.open_us // unit,
        **{name: _numbers(getattr(made, name), is_spot) for name in ("open", "high", "low", "close", "volume")},
        "close_time": (made.open_us + made.interval_us) // unit - 1,
        "quote_volume": _numbers(made.quote_volume, is_spot),
        "count": made.count,
        "taker_buy_base": _numbers(made.taker_buy_volume, is_spot),
        "taker_buy_quote": _numbers(made.taker_buy_quote_volume, is_spot),
    }
    text = csv_text(pl.DataFrame(columns).with_columns(ignore=pl.lit(0)))
    _write_archive(path, [text if is_spot else _USDM_CANDLES_HEADER + text], len(made))


def _trade_chunks(tape: Tape, lines: Lines) -> Iterator[bytes]:
    headers = {"binance": b"", "binance-usdm": _USDM_TRADES_HEADER, "gemini": _CCAPI_HEADER}
    yield headers[tape.market.venue]
    garbage = dict(lines.garbage)
    cuts = sorted({*range(_ROWS_AT_ONCE, len(lines.rows), _ROWS_AT_ONCE), *garbage, len(lines.rows)})
    for start, stop in zip([0, *cuts], cuts, strict=False):
        yield csv_text(_trade_frame(tape, lines.rows[start:stop]))
        if stop in garbage:
            yield damaged(csv_text(_trade_frame(tape, lines.rows[stop - 1 : stop])), garbage[stop])


def _trade_frame(tape: Tape, rows: Integers) -> "pl.DataFrame":
    """The columns of the venue's file, ready to print."""
    import polars as pl

    market = tape.market
    ticks, lots, maker = tape.ticks[rows], tape.lots[rows], tape.is_buyer_maker[rows]
    price, size = decimals(ticks, market.price_scale), decimals(lots, market.size_scale)
    if market.venue == "gemini":
        milliseconds = decimals(tape.time_us[rows] // 1000, 3)
        frame = pl.DataFrame({"time": pl.from_arrow(milliseconds), "price": pl.from_arrow(price), "size": pl.from_arrow(size)})
        trimmed = pl.all().cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
        return frame.select(trimmed).with_columns(maker=pl.Series(values=maker.astype(np.int8)))
    is_spot = market.venue == "binance"
    frame = pl.DataFrame(
        {
            "id": tape.first_id + rows,
            "price": _numbers(price, is_spot),
            "qty": _numbers(size, is_spot),
            "quote_qty": _numbers(decimals(ticks * lots, market.price_scale + market.size_scale), is_spot),
            "time": tape.time_us[rows] // time_unit_us(market, tape.day),
            "maker": maker,
        }
    )
    if not is_spot:
        return frame
    spelled = pl.when("maker").then(pl.lit("True")).otherwise(pl.lit("False")).alias("maker")
    return frame.with_columns(spelled, best=pl.lit("True"))


def _numbers(values: pa.Array, is_spot: bool) -> Any:
    """A decimal column for polars: Binance prints 8 decimals on spot, and each market's own on futures."""
    import polars as pl

    return pl.from_arrow(pc.cast(values, pa.decimal128(38, _VISION_SCALE)) if is_spot else values)


def csv_text(frame: "pl.DataFrame") -> bytes:
    """The lines of a frame, without a header."""
    text = io.BytesIO()
    frame.write_csv(text, include_header=False)
    return text.getvalue()


def damaged(line: bytes, damage: str, price_column: int = _PRICE_COLUMN, size_column: int = _SIZE_COLUMN) -> bytes:
    """A line with that damage."""
    fields = line.decode("ascii").rstrip("\n").split(",")
    if damage == "not_a_number":
        fields[price_column] = "n/a"
    elif damage == "columns":
        del fields[size_column]
    else:
        fields[size_column] = f"-{fields[size_column]}"
    return ",".join(fields).encode("ascii") + b"\n"


def _write_archive(path: Path, chunks: Iterable[bytes], rows: int) -> None:
    def fill(sink: BinaryIO) -> None:
        with (
            # Level 1: a higher one gains 7 % on text of digits and costs three times the time.
            zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            # By name: the member is then stamped 1980, at whatever time it is written.
            archive.open(f"{path.stem}.csv", "w", force_zip64=rows >= _ZIP64_FROM_ROWS) as inside,
        ):
            for chunk in chunks:
                inside.write(chunk)

    replace_file(path, fill)
    with path.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    checksum = f"{digest}  {path.name}\n".encode()
    replace_file(path.with_name(f"{path.name}.CHECKSUM"), lambda sink: sink.write(checksum))


def replace_file(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write beside and rename, so that whoever watches the folder never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as sink:
        fill(sink)
    part.replace(path)
