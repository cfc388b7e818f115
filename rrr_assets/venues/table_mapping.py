"""The mapping of a table: what its columns mean, in YAML beside it, checked before anything is read by it.

Belongs here: the words of a mapping, finding it, refusing one that says too little or contradicts itself. Does not: reading the
table (table).

A mapping lies beside its table as `<file>.mapping.yaml`, or as `mapping.yaml` for all tables of a folder. Such as:

    stream: trades
    instrument: {venue: kraken, symbol: pair}    # or one for all rows: kraken:XBTUSD
    columns: {price: px, size: amount}           # our name: theirs
    time: {column: ts, unit: ms}                 # s, ms, us, ns or iso; none where a Parquet column is a timestamp
    side: {column: side, buy: [b], sell: [s]}    # is_makers: true where it is the maker's
    id: trade_id                                 # left away where there is none: the order is the identity
"""

import hashlib
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import yaml  # type: ignore[import-untyped]  # PyYAML publishes no types of its own
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from rrr_assets.contracts.venues import is_venue_name
from rrr_assets.venues.base import Source, SourceRefused
from rrr_assets.venues.names import INTERVAL_SECONDS, MONTH, parse_instrument

SUFFIX: Final = ".mapping.yaml"
FOLDER_NAME: Final = "mapping.yaml"
_LIMIT_BYTES: Final = 256 << 10
_REMEDY: Final = "Correct the mapping."

Unit = Literal["s", "ms", "us", "ns", "iso"]
_TableStream = Literal["trades", "agg_trades", "quotes", "venue_bars"]
_COLUMNS: Final[dict[_TableStream, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "trades": (("price", "size"), ("conditions",)),
    "agg_trades": (("price", "size", "first_trade_id", "last_trade_id"), ("conditions",)),
    "quotes": (("bid_price", "ask_price"), ("bid_size", "ask_size")),
    "venue_bars": (
        ("open", "high", "low", "close", "volume"),
        ("quote_volume", "vwap", "trade_count", "taker_buy_volume", "taker_buy_quote_volume"),
    ),
}
"""The columns that each stream must have, and those that it may have."""


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Column = Annotated[str, Field(min_length=1)]
_Words = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SymbolColumn(_Part):
    """Instruments from a column of symbols, all of one venue, which may be one that is not listed anywhere."""

    venue: str
    symbol: _Column

    @field_validator("venue")
    @classmethod
    def _is_a_venue(cls, venue: str) -> str:
        if not is_venue_name(venue):
            raise ValueError(f"'{venue}' is no venue: write lower case letters, digits and hyphens, such as kraken or bybit-spot")
        return venue


class TimeColumn(_Part):
    """A column of times. Numbers count from 1970 in UTC; a time of ISO 8601 without an offset is in UTC."""

    column: _Column
    unit: Unit | None = None
    zone: Literal["UTC"] = "UTC"


class SideColumn(_Part):
    """A column that says who traded: the aggressor, or the maker where `is_makers`. Its `unknown` words say nothing."""

    column: _Column
    buy: _Words = Field(min_length=1)
    sell: _Words = Field(min_length=1)
    unknown: _Words = ()
    is_makers: bool = False

    @model_validator(mode="after")
    def _is_unambiguous(self) -> Self:
        words = [*self.buy, *self.sell, *self.unknown]
        if len(set(words)) < len(words):
            raise ValueError("a word stands twice among buy, sell and unknown")
        return self


class TableMapping(_Part):
    """A whole mapping."""

    stream: _TableStream
    instrument: Annotated[
        Annotated[str, Tag("venue:SYMBOL")] | Annotated[SymbolColumn, Tag("column")],
        Discriminator(lambda value: "venue:SYMBOL" if isinstance(value, str) else "column"),
    ]
    columns: dict[str, _Column]
    time: TimeColumn
    received_at: TimeColumn | None = None
    side: SideColumn | None = None
    id: _Column | None = None
    interval: str | None = None
    days: tuple[date, ...] | None = None
    delimiter: Literal[",", ";", "|", "\t"] = ","
    header: bool = True
    names: tuple[_Column, ...] | None = None
    floats: Literal["refuse", "shortest"] = "refuse"

    @property
    def declared(self) -> tuple[date, date] | None:
        """The half-open range of days that `days` names, first and last."""
        return (self.days[0], self.days[-1] + timedelta(days=1)) if self.days else None

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Their names of all columns that are read, each once."""
        named = [*self.columns.values(), self.time.column]
        named += [part.column for part in (self.received_at, self.side) if part is not None]
        named += [self.id] if self.id is not None else []
        named += [self.instrument.symbol] if isinstance(self.instrument, SymbolColumn) else []
        return tuple(dict.fromkeys(named))

    @field_validator("instrument")
    @classmethod
    def _is_an_instrument(cls, instrument: str | SymbolColumn) -> str | SymbolColumn:
        return parse_instrument(instrument) if isinstance(instrument, str) else instrument

    @field_validator("interval")
    @classmethod
    def _is_an_interval(cls, interval: str | None) -> str | None:
        if interval is not None and interval != MONTH and interval not in INTERVAL_SECONDS:
            raise ValueError(f"'{interval}' is no interval: write one of {', '.join([*INTERVAL_SECONDS, MONTH])}")
        return interval

    @field_validator("days", mode="before")
    @classmethod
    def _one_day_or_two(cls, days: object) -> object:
        return _listed(days)

    @field_validator("days")
    @classmethod
    def _are_in_order(cls, days: tuple[date, ...] | None) -> tuple[date, ...] | None:
        if days is not None and (len(days) not in {1, 2} or days[0] > days[-1]):
            raise ValueError("write one day, or the first and the last one")
        return days

    @field_validator("delimiter", mode="before")
    @classmethod
    def _tab_is_a_word(cls, delimiter: object) -> object:
        return "\t" if delimiter == "tab" else delimiter

    @model_validator(mode="after")
    def _fits_its_stream(self) -> Self:
        required, optional = _COLUMNS[self.stream]
        missing = [name for name in required if name not in self.columns]
        unknown = [name for name in self.columns if name not in {*required, *optional}]
        is_bars, has_side = self.stream == "venue_bars", self.stream in {"trades", "agg_trades"}
        wrong = [
            *(f"columns.{name}: {self.stream} need it" for name in missing),
            *(f"columns.{name}: {self.stream} have no such column, but {', '.join((*required, *optional))}" for name in unknown),
            *(["interval: bars need it"] if is_bars and self.interval is None else []),
            *(["interval: only bars have one"] if not is_bars and self.interval is not None else []),
            *(["side: only trades have one"] if self.side and not has_side else []),
            *(["id: bars are known by their start"] if self.id and is_bars else []),
            *(["received_at: bars have none"] if self.received_at and is_bars else []),
            *(
                ["names: a table with a header has them already"]
                if self.names and "header" in self.model_fields_set and self.header
                else []
            ),
            *(["names: needed where there is no header"] if not self.header and not self.names else []),
            *(["names: a name stands twice"] if self.names and len(set(self.names)) < len(self.names) else []),
        ]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


def is_mapping(path: Path) -> bool:
    """Whether a file is the mapping of another, by its name: nothing to be taken in by itself."""
    return path.name == FOLDER_NAME or path.name.endswith(SUFFIX)


def mapping_beside(path: Path) -> Path | None:
    """The mapping that lies beside a table: its own, or else that of its folder."""
    candidates = [path.with_name(path.name + SUFFIX), path.with_name(FOLDER_NAME)]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def read_mapping(source: Source) -> tuple[TableMapping, str]:
    """The mapping of a table, and the sha256 of the file that it stands in.

    Raises:
        SourceRefused: there is none, or what it says is not enough, or is wrong.
    """
    path = mapping_beside(source.path)
    if path is None:
        raise SourceRefused(
            source.name,
            "there is no mapping beside it, so nothing says what its columns mean",
            f"Write {source.name}{SUFFIX}, or {FOLDER_NAME} for all tables of the folder.",
        )
    data = path.read_bytes()
    if len(data) > _LIMIT_BYTES:
        raise SourceRefused(path.name, f"a mapping of more than {_LIMIT_BYTES >> 10} KiB is not read", _REMEDY)
    try:
        # Every word stays a text: what a mapping says of the table's words, such as yes or 1.50, is taken as it stands.
        document = yaml.load(data.decode("utf-8-sig"), Loader=yaml.BaseLoader)  # noqa: S506 - makes texts, lists and mappings alone
    except UnicodeDecodeError as error:
        raise SourceRefused(path.name, f"byte {error.start} is no UTF-8", _REMEDY) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = " ".join(str(getattr(error, "problem", None) or error).split())
        raise SourceRefused(path.name, f"it is no YAML ({reason})", _REMEDY, mark.line + 1 if mark else None) from error
    except RecursionError as error:
        raise SourceRefused(path.name, "it is nested too deeply", _REMEDY) from error
    if not isinstance(document, dict):
        raise SourceRefused(path.name, "it is no mapping of words to values", _REMEDY)
    try:
        return TableMapping.model_validate(document), hashlib.sha256(data).hexdigest()
    except ValidationError as error:
        raise SourceRefused(path.name, "; ".join(map(_said, error.errors(include_url=False))), _REMEDY) from error


def _said(error: ErrorDetails) -> str:
    """One finding of pydantic, with the key that it is of."""
    where = ".".join(str(part) for part in error["loc"])
    return f"{where}: {error['msg']}" if where else str(error["msg"])
