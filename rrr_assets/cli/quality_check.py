"""Commands of quality that look, and that print what was found.

Belongs here: quality check, findings, anomalies. Does not: the page (quality), how it is looked (quality/checks_run).
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rrr_assets.calc.words import counted
from rrr_assets.cli.arguments import FormatOption, JsonFlag, MaybeEnd, MaybeStart, OnlyInstrument, Out
from rrr_assets.cli.gaps import HIDDEN, as_listed
from rrr_assets.cli.quality import quality_app

if TYPE_CHECKING:
    import pyarrow as pa

IsAll = Annotated[bool, typer.Option("--all", help="Also those that are over.")]

_HIDDEN: Final = ("finding_id", "anomaly_id", "detail", "first_seen", "last_seen", "resolved_at", "run_id", "baseline_version", "found_at")
_MOST_DAYS: Final = 366
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
"""Nothing was traded electronically before, and detectors look months back: the calendar has to reach that far."""


def register(app: typer.Typer) -> None:
    """Its commands stand below `quality`."""


@quality_app.command()
def check(start: MaybeStart = None, end: MaybeEnd = None, instrument: OnlyInstrument = None, as_json: JsonFlag = False) -> None:
    """Look at days by every rule and detector, here and now, and print what is found; yesterday and today by default.

    Ends with status 1 where a check itself broke down: nothing is said of the data then.
    """
    from rrr_assets import read
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.cli.output import emit, json_chunks, note
    from rrr_assets.quality import checks_run
    from rrr_assets.resources.quality_settings import quality_settings

    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    until = end or today + timedelta(days=1)
    since = start or max(until, _EARLIEST) - timedelta(days=2)
    if until <= since:
        raise typer.BadParameter(f"{until.isoformat()} is not after {since.isoformat()}", param_hint="--end")
    if since < _EARLIEST:
        raise typer.BadParameter(f"nothing is looked at before {_EARLIEST.date()}", param_hint="--start")
    first, last = since.date(), (until - timedelta(microseconds=1)).date()
    if (last - first).days >= _MOST_DAYS:
        raise typer.BadParameter(f"at most {_MOST_DAYS} days are looked at at once", param_hint="--start")
    if instrument is not None:
        read.check_known(instrument)
    names = None if instrument is None else (instrument,)
    days = {first + timedelta(days=number): names for number in range((last - first).days + 1)}
    database = ready_database()
    report = checks_run.run_parts(database, checks_run.Look(days), quality_settings())
    findings = read.findings(instrument, since, until, database=database)
    anomalies = read.anomalies(instrument, since, until, database=database)
    gaps = as_listed(read.gaps(instrument, since, until, states=("open", "healing"), database=database))
    if as_json:
        errors = [f"{name}: {why}" for name, why in sorted(report.errors.items())]
        out = sys.stdout
        out.write('{"findings":' + _text(json_chunks(findings)) + ',"anomalies":' + _text(json_chunks(anomalies)))
        out.write(',"gaps":' + _text(json_chunks(gaps)))
        out.write(f',"errors":{json.dumps(errors)}}}\n')
    else:
        for title, found in (("Gaps", gaps), ("Findings", findings), ("Anomalies", anomalies)):
            emit(found, None, title=title, hidden=(*_HIDDEN, *HIDDEN))
        note(f"{counted(len(days), 'day')}, {counted(len(report.rules), 'rule')}, {sum(report.seconds.values()):.1f} s")
    if report.errors:
        raise CommandFailed("; ".join(f"the check '{name}' broke down: {why}" for name, why in sorted(report.errors.items())))


@quality_app.command()
def findings(
    instrument: OnlyInstrument = None, start: MaybeStart = None, end: MaybeEnd = None, is_all: IsAll = False,
    chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None,
) -> None:  # fmt: skip
    """Print the rules that the data breaks: those that are open, or all there ever were."""
    from rrr_assets import read

    _emit(read.findings(instrument, start, end, is_all=is_all), chosen, as_json, out)


@quality_app.command()
def anomalies(
    instrument: OnlyInstrument = None, start: MaybeStart = None, end: MaybeEnd = None, chosen: FormatOption = None,
    as_json: JsonFlag = False, out: Out = None,
) -> None:  # fmt: skip
    """Print what is unlikely of the data: worth a look, and no proof of a defect."""
    from rrr_assets import read

    _emit(read.anomalies(instrument, start, end), chosen, as_json, out)


def _emit(found: "pa.Table", chosen: FormatOption, as_json: bool, out: Out) -> None:
    from rrr_assets.cli.output import emit

    emit(found, chosen, as_json=as_json, out=out, hidden=_HIDDEN)


def _text(chunks: object) -> str:
    return b"".join(chunks).decode().strip()  # type: ignore[arg-type]  # an iterator of bytes
