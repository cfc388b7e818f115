"""Commands that bring venues' public files over HTTP: fetch, and prove, which holds a day's bars against the venue's own.

Belongs here: which files are wanted, which of them are here already, and the report. Does not: downloading (sources/), taking files in
(ingest, as `rrr ingest` does it), the verdicts (quality/).
"""

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rrr_assets.calc.words import counted
from rrr_assets.cli.arguments import Instrument, Interval, parse_day
from rrr_assets.cli.ingest import TakenIn, Wanted, ready_database, take_in

if TYPE_CHECKING:
    from rrr_assets.sources.binance_vision import ArchiveFile, Period
    from rrr_assets.sources.download import Downloader, Progress
    from rrr_assets.warehouse.connect import Database

_BATCH_FILES: Final = 64
"""So many files are downloaded, and then taken in together: a bound on locks that are held and disk that is used."""

_BETWEEN: Final = ".."
_MONTH: Final = re.compile(r"\d{4}-\d{2}")


class Archive(StrEnum):
    """Where public files are fetched from."""

    BINANCE_VISION = "binance-vision"


class Kind(StrEnum):
    """What is in the files."""

    TRADES = "trades"
    KLINES = "klines"
    AGGTRADES = "aggtrades"


BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", envvar="RRR_BINANCE_VISION_URL", metavar="URL", help="Of the archive, or of a mirror.", show_envvar=True),
]
Check = Annotated[bool, typer.Option("--check", help="Ask whether files that are here were replaced since.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]


def register(app: typer.Typer) -> None:
    for command in (fetch, prove):
        app.command()(command)


def fetch(
    archive: Annotated[Archive, typer.Argument(metavar="ARCHIVE", help="binance-vision.", show_default=False)],  # noqa: ARG001  # there is one
    instrument: Instrument,
    days: Annotated[
        list[str],
        typer.Argument(
            metavar="DAY...",
            help="As in 2024-01-02, 2024-01-02..2024-01-05; 2024-01 is the venue's file of that month.",
            show_default=False,
        ),
    ],
    kinds: Annotated[list[Kind] | None, typer.Option("--kind", help="What to fetch; may be given again.  [default: trades]")] = None,
    interval: Annotated[str, typer.Option("--interval", help="Length of the klines, as the venue offers them.")] = "1m",
    base_url: BaseUrl = None,
    check: Check = False,
    as_json: AsJson = False,
) -> None:
    """Download a venue's public files and take them in.

    Each file is verified against the venue's checksum, and then taken in as `rrr ingest` does it. What is here already is not
    downloaded again. Ends with status 0 when every file is here, and its rows are stored, known, or in quarantine.
    """
    name = _instrument(instrument)
    _check_interval(interval)
    periods = sorted({period for text in days for period in _periods(text)})
    files = _archive_files(name, kinds or [Kind.TRADES], periods, interval)
    brought = bring_in(files, _base_url(base_url, files[0]), check=check, show=not as_json and sys.stderr.isatty())
    if as_json:
        sys.stdout.write(json.dumps(brought.told()) + "\n")
    else:
        brought.print()
    _end(brought.failures, is_good=not brought.failures)


def prove(
    instrument: Instrument,
    day: Annotated[date, typer.Argument(parser=parse_day, metavar="DAY", help="A UTC day that is over.", show_default=False)],
    interval: Interval = "1m",
    base_url: BaseUrl = None,
    home: Annotated[
        Path | None, typer.Option("--home", metavar="FOLDER", help="Work there instead of RRR_HOME; made where it is not.", file_okay=False)
    ] = None,
    check: Check = False,
    as_json: AsJson = False,
) -> None:
    """Hold a day's bars against the venue's own, from its public files.

    Downloads the day's trades and klines, takes them in, makes the bars, and compares them over every field that the venue gives.
    Ends with status 0 when every bar is equal, or differs by a rule that is named.
    """
    from rrr_assets.contracts.bars import INTERVALS

    if home is not None:
        os.environ["RRR_HOME"] = str(home)
    name = _instrument(instrument)
    if interval not in INTERVALS:
        raise typer.BadParameter(f"we make no bars of '{interval}'. There are {', '.join(INTERVALS)}")
    from rrr_assets.sources.binance_vision import Period

    files = _archive_files(name, [Kind.TRADES, Kind.KLINES], [Period(day)], interval)
    brought = bring_in(files, _base_url(base_url, files[0]), check=check, show=not as_json and sys.stderr.isatty())
    if not (brought.failures or brought.taken.runs):
        # Nothing came, but what is made from it may never have been finished.
        brought.run([day], ("trades", "venue_bars"))
    proof = _judged(name, interval, day, brought)
    if as_json:
        sys.stdout.write(json.dumps(proof.told()) + "\n")
    else:
        proof.print()
    _end(brought.failures, is_good=proof.is_good)


def _end(failures: Sequence[str], *, is_good: bool) -> None:
    from rrr_assets.cli.failures import EXIT_FAILED, without_secrets

    for reason in failures:
        sys.stderr.write(f"rrr: {without_secrets(reason)}\n")
    if not is_good:
        raise typer.Exit(EXIT_FAILED)


# --- what is asked for ------------------------------------------------------------------------------------------


def _instrument(text: str) -> str:
    from rrr_assets.venues.names import parse_instrument

    try:
        return parse_instrument(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _check_interval(interval: str) -> None:
    from rrr_assets.venues.names import INTERVAL_SECONDS, MONTH

    if interval not in {*INTERVAL_SECONDS, MONTH}:
        raise typer.BadParameter(f"no venue has bars of '{interval}'. There are {', '.join((*INTERVAL_SECONDS, MONTH))}")


def _periods(text: str) -> "Iterator[Period]":
    """Days or months of one argument: `2024-01-02`, `2024-01-02..2024-01-05`, `2024-01`, `2024-01..2024-03`; both ends count.

    Raises:
        typer.BadParameter: it is none of these, or its end lies before its start.
    """
    from rrr_assets.sources.binance_vision import Period

    first_text, is_range, last_text = text.partition(_BETWEEN)
    last_text = last_text if is_range else first_text
    months = [bool(_MONTH.fullmatch(each)) for each in (first_text, last_text)]
    if months[0] != months[1]:
        raise typer.BadParameter(f"'{text}' begins with a day and ends with a month, or the other way round. Write two days or two months")
    first, last = (parse_day(f"{each}-01" if months[0] else each) for each in (first_text, last_text))
    if last < first:
        raise typer.BadParameter(f"'{text}' ends before it begins")
    while first <= last:
        yield Period(first, months[0])
        first = (first + timedelta(days=32)).replace(day=1) if months[0] else first + timedelta(days=1)


def _archive_files(instrument: str, kinds: "Sequence[Kind]", periods: "Sequence[Period]", interval: str) -> "list[ArchiveFile]":
    from rrr_assets.sources.binance_vision import archive_file
    from rrr_assets.ticks import fetching
    from rrr_assets.venues.registry import FORMATS

    for kind in kinds:
        if fetching.FORMATS[kind.value] not in FORMATS:
            raise typer.BadParameter(f"no format reads {kind.value} yet; `rrr formats` lists what is read")
    try:
        return [archive_file(instrument, kind.value, period, interval) for period in periods for kind in dict.fromkeys(kinds)]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _base_url(given: str | None, file: "ArchiveFile") -> str:
    from rrr_assets.sources.binance_vision import DEFAULT_URL, address

    base_url = given or DEFAULT_URL
    try:
        address(base_url, file)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return base_url


# --- bringing files in ------------------------------------------------------------------------------------------


@dataclass
class Brought:
    """What became of the files that were asked for."""

    downloaded: list[str] = field(default_factory=list)
    bytes_downloaded: int = 0
    already_here: list[str] = field(default_factory=list)
    without_checksum: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    taken: TakenIn = field(default_factory=TakenIn)

    def add(self, part: TakenIn) -> None:
        """Add what became of some of the files."""
        taken = self.taken
        for count in ("rows_read", "rows_stored", "rows_revised", "duplicates", "quarantined", "passed_over", "files", "accept_seconds"):
            setattr(taken, count, getattr(taken, count) + getattr(part, count))
        taken.days = sorted({*taken.days, *part.days})
        taken.instruments = sorted({*taken.instruments, *part.instruments})
        taken.runs += part.runs
        self.failures += [*part.refused, *part.failures]

    def run(self, days: Sequence[date], streams: Iterable[str]) -> None:
        """Materialise what some streams feed, for days of which nothing new came."""
        from rrr_assets.cli.runs import dagster_instance, materialize

        with dagster_instance() as instance:
            for told in materialize(instance, days, streams=streams):
                self.taken.runs.append(told)
                if told.failure:
                    self.failures.append(f"run {told.run_id}: {told.failure}")

    def told(self) -> dict[str, Any]:
        """For machines."""
        return {
            **self.taken.told(),
            "downloaded": self.downloaded,
            "bytes_downloaded": self.bytes_downloaded,
            "already_here": self.already_here,
            "without_checksum": self.without_checksum,
            "failures": self.failures,
        }

    def print(self) -> None:
        """For people."""
        self.print_files()
        for name, count in (
            ("rows read", self.taken.rows_read),
            ("stored", self.taken.rows_stored),
            ("revised", self.taken.rows_revised),
            ("duplicates", self.taken.duplicates),
            ("quarantined", self.taken.quarantined),
        ):
            sys.stdout.write(f"{name:24}{count:,}\n")

    def print_files(self) -> None:
        """How many files came, and how many were here."""
        came = f"{_files(self.downloaded)}, {self.bytes_downloaded / 1e6:,.1f} MB" if self.downloaded else "nothing"
        sys.stdout.write(f"{'downloaded':24}{came}\n{'already here':24}{_files(self.already_here)}\n")
        if self.without_checksum:
            sys.stdout.write(f"{'without a checksum':24}{', '.join(self.without_checksum)}\n")


def _files(names: Sequence[str]) -> str:
    return counted(len(names), "file")


def bring_in(files: "Sequence[ArchiveFile]", base_url: str, *, check: bool, show: bool) -> Brought:
    """Download those files that are not here, and take them in. A file that cannot be had costs no other file.

    Args:
        files: what is wanted.
        base_url: of the archive.
        check: ask the venue also for those that are here whether they were replaced.
        show: show progress on stderr.
    """
    from rrr_assets.cli.output import note
    from rrr_assets.sources.download import Downloader

    database = ready_database()
    brought = Brought()
    # Whoever wants some of the same files waits for them in the same order.
    ordered = sorted(files, key=lambda file: (file.period, file.path))
    with Downloader(say=note) as downloader:
        for start in range(0, len(ordered), _BATCH_FILES):
            _bring_in(database, downloader, ordered[start : start + _BATCH_FILES], base_url, brought, check=check, show=show)
    return brought


def _bring_in(
    database: "Database",
    downloader: "Downloader",
    files: "Sequence[ArchiveFile]",
    base_url: str,
    brought: Brought,
    *,
    check: bool,
    show: bool,
) -> None:
    from rrr_assets.ticks.fetching import FORMATS, bringing
    from rrr_assets.warehouse.home import Home

    with ExitStack() as shown:
        progress = shown.enter_context(_progress(show))
        with bringing(Home.current(), database, downloader, files, base_url, progress, check=check) as came:
            shown.close()
            brought.failures += [str(failure) for failure in came.failed.values()]
            brought.downloaded += came.downloaded
            brought.bytes_downloaded += came.bytes_downloaded
            brought.already_here += came.already_here
            brought.without_checksum += came.without_checksum
            brought.failures += [refused for landed in came.landed.values() for refused in landed.refused]
            waiting = {(day, landed.stream) for landed in came.landed.values() for day in landed.waiting}
            if came.fresh:
                wanted = [Wanted(target, FORMATS[file.kind], file.instrument) for file, target in came.fresh.items()]
                brought.add(take_in(wanted, show=show))
            if waiting:
                # Days that came along with those just taken in are found to be done.
                brought.run(sorted({day for day, _ in waiting}), {stream for _, stream in waiting})


@contextmanager
def _progress(show: bool) -> "Iterator[Callable[[str], Progress]]":
    """A progress bar for each file that is named; none where nobody looks."""
    from rrr_assets.sources.download import unseen

    if not show:
        yield lambda _: unseen
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:36}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:

        def of(name: str) -> "Progress":
            task = bars.add_task(name, total=None)
            return lambda done, in_all: bars.update(task, completed=done, total=in_all)

        yield of


# --- the proof --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """A field in which a bar of ours and the venue's differ; where one of them is not there, the field is `bar`."""

    bar_start: datetime
    field: str
    ours: str | None
    theirs: str | None
    verdict: str
    rule: str | None


@dataclass(frozen=True)
class Proof:
    """A day's bars of one interval, held against the venue's own.

    `explained` and `uncovered` count bars by their rule. `nowhere` counts intervals of the day in which neither side has a bar.
    """

    instrument: str
    day: date
    interval: str
    bars_in_day: int
    equal: int
    explained: dict[str, int]
    uncovered: dict[str, int]
    unexplained: int
    nowhere: int
    differences: list[Difference]
    brought: Brought

    @property
    def is_good(self) -> bool:
        """Whether everything was taken in and every bar is equal, or differs by a rule that is named."""
        return not (self.brought.failures or self.unexplained or self.uncovered) and self.nowhere < self.bars_in_day

    def told(self) -> dict[str, Any]:
        """For machines."""
        return {
            "instrument": self.instrument,
            "day": self.day.isoformat(),
            "interval": self.interval,
            "bars_in_day": self.bars_in_day,
            "equal": self.equal,
            "explained": self.explained,
            "uncovered": self.uncovered,
            "unexplained": self.unexplained,
            "nowhere": self.nowhere,
            "is_good": self.is_good,
            "differences": [asdict(each) | {"bar_start": _iso(each.bar_start)} for each in self.differences],
            "files": self.brought.told(),
        }

    def print(self) -> None:
        """For people."""
        self.brought.print_files()
        if self.nowhere == self.bars_in_day:
            return
        out = sys.stdout
        out.write(f"{self.instrument} {self.day} {self.interval}: {self.equal} of {self.bars_in_day} equal\n")
        for verdict, counts in (("explained", self.explained), ("uncovered", self.uncovered)):
            for rule, count in counts.items():
                out.write(f"{verdict:24}{count} ({rule})\n")
        if self.nowhere:
            out.write(f"{'neither has a bar':24}{self.nowhere}\n")
        out.write(f"{'unexplained':24}{self.unexplained}\n")
        for each in self.differences:
            rule = f" ({each.rule})" if each.rule else ""
            values = f"ours {each.ours or 'none'}, theirs {each.theirs or 'none'}"
            out.write(f"  {_iso(each.bar_start)} {each.field}: {values}: {each.verdict}{rule}\n")
        if self.is_good:
            out.write("Good: every bar is equal, or differs by a rule that is named.\n")
        elif self.unexplained or self.uncovered:
            out.write("Not proven: see the bars that are unexplained or uncovered.\n")


def _judged(instrument: str, interval: str, day: date, brought: Brought) -> Proof:
    from rrr_assets import read
    from rrr_assets.contracts.bars import INTERVALS

    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    bars_in_day = timedelta(days=1) // INTERVALS[interval]
    try:
        found = read.conformance(instrument, interval, start, start + timedelta(days=1))
    except read.UnknownInstrument:
        # Where nothing could be had of a new instrument, the failures say so.
        return Proof(instrument, day, interval, bars_in_day, 0, {}, {}, 0, bars_in_day, [], brought)
    unequal = found.unequal.to_pylist()
    rules = {status: Counter(row["rule"] for row in unequal if row["status"] == status) for status in ("explained", "uncovered")}
    return Proof(
        instrument,
        day,
        interval,
        bars_in_day,
        found.counts["equal"],
        dict(rules["explained"]),
        dict(rules["uncovered"]),
        found.counts["unexplained"],
        bars_in_day - sum(found.counts.values()),
        [difference for row in unequal for difference in _differences(row)],
        brought,
    )


def _differences(row: Mapping[str, Any]) -> Iterator[Difference]:
    """The differences of one verdict; none for a bar that the venue lists though nothing was traded, which is counted alone."""
    ours: dict[str, str] | None = json.loads(row["ours"] or "null")
    theirs: dict[str, str] | None = json.loads(row["theirs"] or "null")
    told = (row["status"], row["rule"])
    if ours is not None and theirs is not None:
        for name in row["fields"]:
            yield Difference(row["bar_start"], name, ours[name], theirs[name], *told)
    elif row["status"] != "explained":
        yield Difference(row["bar_start"], "bar", _in_short(ours), _in_short(theirs), *told)


def _in_short(bar: Mapping[str, str] | None) -> str | None:
    return None if bar is None else ", ".join(f"{name} {bar[name]}" for name in ("close", "volume", "trade_count") if name in bar)


def _iso(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
