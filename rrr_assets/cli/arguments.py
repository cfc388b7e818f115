"""Arguments that several commands take, and how their texts are read.

Belongs here: times, days, lists, and the options' types. Does not: instruments (rrr_assets.read knows which there are).
"""

import re
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_TOO_FINE: Final = re.compile(r"[.,]\d{7,}")


class Format(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def parse_time(text: str) -> datetime:
    """Read a day (its midnight) or an ISO time; UTC where it names no zone.

    Raises:
        typer.BadParameter: it is neither, or finer than a microsecond.
    """
    wanted = f"'{text}' is no time. Write a day such as 2024-01-02, or 2024-01-02T15:30:00Z"
    if not _DAY.match(text):
        raise typer.BadParameter(wanted)
    if _TOO_FINE.search(text):
        raise typer.BadParameter(f"'{text}' is finer than a microsecond")
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(wanted) from error


def parse_day(text: str) -> date:
    """Read a UTC day.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is no day: {error}") from error
    raise typer.BadParameter(f"'{text}' is no day. Write it as 2024-01-02")


def check_window(start: datetime, end: datetime) -> None:
    """Do nothing where a window's end does not lie before its start.

    Raises:
        typer.BadParameter: it does.
    """
    if end < start:
        raise typer.BadParameter(f"--end {end:%Y-%m-%dT%H:%M:%SZ} lies before --start {start:%Y-%m-%dT%H:%M:%SZ}")


def parse_names(text: str) -> list[str]:
    """Read names with commas between them; spaces around them and empty ones are passed over."""
    return [name for part in text.split(",") if (name := part.strip())]


Instrument = Annotated[str, typer.Argument(metavar="VENUE:SYMBOL", help="As in binance:BTCUSDT.", show_default=False)]
OnlyInstrument = Annotated[str | None, typer.Option("--instrument", metavar="VENUE:SYMBOL", help="Only of this one.")]
Interval = Annotated[str, typer.Option("--interval", help="Length of the bars: 1m, 5m, 1h or 1d.")]
Start = Annotated[datetime, typer.Option("--start", parser=parse_time, metavar="TIME", help="From then on: a day or an ISO time, in UTC.")]
End = Annotated[datetime, typer.Option("--end", parser=parse_time, metavar="TIME", help="Until then, excluded; a day means its midnight.")]
MaybeStart = Annotated[datetime | None, typer.Option("--start", parser=parse_time, metavar="TIME", help="Days from then on, in UTC.")]
MaybeEnd = Annotated[datetime | None, typer.Option("--end", parser=parse_time, metavar="TIME", help="Days until then, excluded.")]
AsKnownAt = Annotated[
    datetime | None,
    typer.Option("--as-known-at", parser=parse_time, metavar="TIME", help="Answer as it would have been answered then, in UTC."),
]
Snapshot = Annotated[
    int | None,
    typer.Option("--snapshot", metavar="NUMBER", help="Answer from the archive, as it was then: a number of `rrr archive snapshots`."),
]
FormatOption = Annotated[Format | None, typer.Option("--format", help="How to print; without it as --out is named, else a table.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write there instead of printing.", dir_okay=False)]
WithCost = Annotated[bool, typer.Option("--cost", help="With what each hold covers, and what that costs a month, as measured now.")]
