"""Commands that read: bars, trades, verdicts, coverage, and an analyst's own SQL."""

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rrr_assets.cli.arguments import (
    AsKnownAt,
    End,
    Format,
    FormatOption,
    Instrument,
    Interval,
    JsonFlag,
    MaybeEnd,
    MaybeStart,
    OnlyInstrument,
    Out,
    Snapshot,
    Start,
    check_window,
)

if TYPE_CHECKING:
    import pyarrow as pa

ByRule = Annotated[str | None, typer.Option("--rule", metavar="RULE", help="Bars by what was traded instead, as in dollar-1000000.")]
Plot = Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw candlesticks, as .png or .html.", dir_okay=False)]

_OF_BARS: Final = ("instrument", "day", "rule", "threshold", "first_sequence", "last_sequence", "known_at")
"""Columns of bars that a table to look at leaves out."""


def register(app: typer.Typer) -> None:
    for command in (bars, trades, conformance, coverage):
        app.command()(command)
    app.command(name="sql")(run_sql)


def bars(
    instrument: Instrument,
    start: Start,
    end: End,
    interval: Interval = "1m",
    rule: ByRule = None,
    as_known_at: AsKnownAt = None,
    snapshot: Snapshot = None,
    chosen: FormatOption = None,
    as_json: JsonFlag = False,
    out: Out = None,
    plot: Plot = None,
) -> None:
    """Print our bars of an instrument."""
    from rrr_assets import read
    from rrr_assets.cli.output import emit, note
    from rrr_assets.contracts.bars import INTERVALS

    check_window(start, end)
    _check_time_travel(as_known_at, snapshot)
    if rule is None:
        found = read.bars(instrument, interval, start, end, as_known_at=as_known_at, snapshot=snapshot)
    elif as_known_at is None:
        found = read.information_bars(instrument, rule, start, end, snapshot=snapshot)
    else:
        raise typer.BadParameter("bars by a rule are kept as they are known now: leave --as-known-at out")
    title = f"{_name(found, instrument)} {rule or interval}"
    if not len(found) and (hint := _why_no_bars(instrument, start, end)):
        note(hint)
    if plot is not None:
        then = "" if as_known_at is None else f", as known at {as_known_at:%Y-%m-%d %H:%M:%S}"
        then += "" if snapshot is None else f", snapshot {snapshot}"
        _draw(found, f"{title}, {_span(start, end)}{then}", INTERVALS[interval] if rule is None else None, plot)
        note(f"the picture is in {plot}")
    if plot is None or out is not None or chosen is not None or as_json:
        emit(found, chosen, as_json=as_json, out=out, title=title, hidden=_OF_BARS)


def trades(
    instrument: Instrument,
    start: Start,
    end: End,
    as_known_at: AsKnownAt = None,
    snapshot: Snapshot = None,
    chosen: FormatOption = None,
    as_json: JsonFlag = False,
    out: Out = None,
) -> None:
    """Print the trades of an instrument."""
    from rrr_assets import read
    from rrr_assets.cli.output import emit

    check_window(start, end)
    _check_time_travel(as_known_at, snapshot)
    found = read.trades(instrument, start, end, as_known_at=as_known_at, snapshot=snapshot)
    hidden = ("instrument", "event_time_ns", "time_source", "received_at", "available_basis", "known_at", "batch_id")
    emit(found, chosen, as_json=as_json, out=out, title=_name(found, instrument), hidden=hidden)


def conformance(
    instrument: Instrument,
    start: Start,
    end: End,
    interval: Interval = "1m",
    chosen: FormatOption = None,
    as_json: JsonFlag = False,
    out: Out = None,
) -> None:
    """Compare our bars with the venue's.

    Prints how many are equal, explained, uncovered and unexplained, and the bars that are not equal.
    """
    from rrr_assets import read
    from rrr_assets.cli.output import emit

    check_window(start, end)
    found = read.conformance(instrument, interval, start, end)
    rows = found.unequal.select(["bar_start", "status", "rule", "fields", "ours", "theirs"])
    if chosen in {Format.CSV, Format.PARQUET} or out is not None:
        emit(rows, chosen, as_json=as_json, out=out)
        return
    if as_json or chosen is Format.JSON:
        from rrr_assets.cli.output import json_chunks

        sys.stdout.write(json.dumps(dict(found.counts))[:-1] + ', "rows": ')
        sys.stdout.write(b"".join(json_chunks(rows)).decode().rstrip("\n") + "}\n")
        return
    counts = ", ".join(f"{number:,} {status}" for status, number in found.counts.items())
    sys.stdout.write(f"{_name(found.verdicts, instrument)} {interval}: {counts}\n")
    sys.stdout.flush()
    if len(rows):
        emit(rows, Format.TABLE)


def coverage(
    instrument: OnlyInstrument = None,
    start: MaybeStart = None,
    end: MaybeEnd = None,
    chosen: FormatOption = None,
    as_json: JsonFlag = False,
    out: Out = None,
) -> None:
    """Print what is held, and what is missing.

    A row for each instrument, stream and day that the window touches.
    """
    from rrr_assets import read
    from rrr_assets.cli.output import emit

    if start is not None and end is not None:
        check_window(start, end)
    found = read.coverage(instrument, start, end)
    emit(found, chosen, as_json=as_json, out=out, hidden=("first_time", "last_time", "first_sequence", "last_sequence", "updated_at"))


def run_sql(
    statement: Annotated[str, typer.Argument(metavar="STATEMENT", help="One statement; - reads it from stdin.", show_default=False)],
    explain: Annotated[bool, typer.Option("--explain", help="Print what it would read, of which tier, and the plan.")] = False,
    chosen: FormatOption = None,
    as_json: JsonFlag = False,
    out: Out = None,
) -> None:
    """Run one statement as an analyst.

    It can read and nothing else, and is ended after a minute. Tables are read in all tiers.
    """
    from rrr_assets import read
    from rrr_assets.cli.output import emit

    text = sys.stdin.read() if statement == "-" else statement
    if not explain:
        emit(read.sql(text), chosen, as_json=as_json, out=out)
        return
    told = read.explain(text)
    emit(told.partitions, chosen, as_json=as_json, out=out)
    if not as_json and chosen in {None, Format.TABLE}:
        sys.stdout.write("\n".join([f"Plan of {told.engine}:", *told.plan]) + "\n")


def _check_time_travel(as_known_at: datetime | None, snapshot: int | None) -> None:
    if as_known_at is not None and snapshot is not None:
        raise typer.BadParameter("a snapshot is what it was: give either --snapshot or --as-known-at")


def _name(found: "pa.Table", asked: str) -> str:
    """The instrument as it is spelled here."""
    return str(found["instrument"][0]) if len(found) else asked


def _span(start: Any, end: Any) -> str:
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"


def _why_no_bars(instrument: str, start: datetime, end: datetime) -> str | None:
    """What can be done where trades are held and bars are not."""
    from rrr_assets import read

    held = {row["stream"] for row in read.coverage(instrument, start, end).to_pylist() if row["row_count"]}
    if "agg_trades" in held and "trades" not in held:
        return f"aggregated trades alone are held: `rrr instruments set {instrument} --bars-stream agg_trades` has bars made of them"
    return "trades are held of these days: `rrr refresh` makes the bars that are behind" if held & {"trades", "agg_trades"} else None


def _draw(found: "pa.Table", title: str, interval: timedelta | None, path: Path) -> None:
    from rrr_assets.charts import candles_html, candles_png
    from rrr_assets.cli.failures import CommandFailed

    if path.suffix.lower() not in {".png", ".html"}:
        raise CommandFailed(f"{path} is no name of a picture. Give it the ending .png or .html")
    if not len(found):
        raise CommandFailed("there are no bars to draw in this window. `rrr coverage` shows what is held")
    try:
        is_page = path.suffix.lower() == ".html"
        path.write_bytes(candles_html(found, title, interval).encode() if is_page else candles_png(found, title, interval))
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written ({error.strerror}). Choose another file") from error
