"""Commands for features: what is declared, what one of them is, its values as a table or a picture, how far they drifted.

Belongs here: features list, describe, refresh, read, plot, drift; plan, apply, materialize, online, serve. Does not: what a feature is
(calc/features), drawing (features/), what is online (features/online.py).
"""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rrr_assets.calc.words import counted
from rrr_assets.cli.arguments import (
    AsKnownAt,
    End,
    Format,
    FormatOption,
    Instrument,
    JsonFlag,
    MaybeEnd,
    MaybeStart,
    Out,
    Start,
    check_window,
)

if TYPE_CHECKING:
    from datetime import date, datetime, timedelta

    import pyarrow as pa
    from feast import FeatureStore

    from rrr_assets.calc.features.declare import Feature
    from rrr_assets.features.feast_registry import Change
    from rrr_assets.warehouse.quality_feature_drift import Number, Reference

_DIFFERENT: Final = 2
_MOST_DAYS: Final = 3660

features_app = typer.Typer(no_args_is_help=True, help="Declared features: list, read, plot, drift, serve.")

Name = Annotated[str, typer.Argument(metavar="FEATURE", help="As in sma_20; `rrr features list` lists all.", show_default=False)]
Names = Annotated[list[str] | None, typer.Option("--feature", metavar="FEATURE", help="Only this one; may be given several times.")]
Instruments = Annotated[list[str], typer.Argument(metavar="VENUE:SYMBOL...", help="As in binance:BTCUSDT.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
Picture = Annotated[Path, typer.Option("--out", metavar="FILE", help="The picture, as .png.", dir_okay=False)]


def register(app: typer.Typer) -> None:
    app.add_typer(features_app, name="features")


@features_app.command(name="list")
def list_features(chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None) -> None:
    """Print every declared feature: its window, its unit and what it says; in other formats than a table also what it is made from."""
    import pyarrow as pa

    from rrr_assets.calc.features import FEATURES
    from rrr_assets.cli.output import emit

    told = [_told(feature) for feature in FEATURES.values()]
    names = ("feature", "minutes", "unit", "made_from", "description")
    columns = {name: [", ".join(each[name]) if name == "made_from" else each[name] for each in told] for name in names}
    emit(pa.table(columns), chosen, as_json=as_json, out=out, hidden=("made_from",))


@features_app.command()
def refresh(as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False) -> None:
    """Bring all features that lag behind bars and ticks up to date, as the daemon does by itself while it runs."""
    from datetime import date, timedelta

    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.cli.progress import progress_bars
    from rrr_assets.cli.runs import dagster_instance, refresh_features
    from rrr_assets.warehouse.features import days_behind

    database, days, failures = ready_database(), list[date](), list[str]()
    with progress_bars(show=not as_json and sys.stderr.isatty()) as progress, dagster_instance() as instance:
        # What changes late on a day is told to the day after it, which lags behind from then on.
        while not failures and (behind := [day for day in days_behind(database, _MOST_DAYS, timedelta(0)) if day not in days]):
            days = sorted([*days, *behind])
            failures = [told.failure for told in refresh_features(instance, behind, progress.asset) if told.failure]
    if as_json:
        sys.stdout.write(json.dumps({"days": [day.isoformat() for day in days], "failures": failures}) + "\n")
    else:
        sys.stdout.write(f"Features of {counted(len(days), 'day')} were behind.\n")
    if failures:
        raise CommandFailed("; ".join(failures))


@features_app.command()
def describe(feature: Name, as_json: JsonFlag = False) -> None:
    """Print what a feature is: formula and source, window, unit, columns it comes from, when it has no value."""
    from rrr_assets.calc.features import FEATURES

    declared = FEATURES[_known(feature)]
    told = _told(declared)
    if as_json:
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
        return
    minutes = "its own minute" if declared.bars == 1 else f"{declared.bars} minutes, its own the last"
    lines = {
        "feature": declared.name,
        "": declared.description,
        "unit": declared.unit,
        "formula": declared.formula,
        "looks at": minutes,
        "made from": ", ".join(map(_source, declared.columns)),
        "by way of": ", ".join(told["by_way_of"]),
        "part of": ", ".join(name for name, other in FEATURES.items() if declared.name in other.inputs),
        "no value": f"where {declared.no_value}",
        "kept in": f"column {declared.name} of features_1m, version {declared.version}",
    }
    width = shutil.get_terminal_size((100, 24)).columns
    for name, value in lines.items():
        if value:
            sys.stdout.write(textwrap.fill(value, max(width, 60), initial_indent=f"{name:11}", subsequent_indent=" " * 11) + "\n")


@features_app.command()
def read(
    instrument: Instrument, start: Start, end: End, only: Names = None, as_known_at: AsKnownAt = None, chosen: FormatOption = None,
    as_json: JsonFlag = False, out: Out = None,
) -> None:  # fmt: skip
    """Print features of an instrument's minutes that closed in [start, end), also as they were known at a time."""
    from rrr_assets import read as reads
    from rrr_assets.cli.output import emit

    check_window(start, end)
    names = [_known(name) for name in only or ()]
    found = reads.features(instrument, start, end, as_known_at=as_known_at)
    if names:
        found = found.select(["instrument", "event_time", "available_at", *names])
    # A table to look at has room for some features, and the instrument was asked for.
    emit(found, chosen, as_json=as_json, out=out, hidden=("instrument", "available_basis", "known_at"))


@features_app.command()
def plot(feature: Name, instrument: Instrument, start: Start, end: End, out: Picture, as_known_at: AsKnownAt = None) -> None:
    """Draw a feature of an instrument below its price."""
    from rrr_assets import read as reads
    from rrr_assets.calc.features import FEATURES
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.output import note
    from rrr_assets.features.chart import feature_png

    if out.suffix.lower() != ".png":
        raise typer.BadParameter(f"{out} does not end in .png", param_hint="--out")
    check_window(start, end)
    declared = FEATURES[_known(feature)]
    found = reads.features(instrument, start, end, as_known_at=as_known_at)
    if not len(found):
        raise CommandFailed(f"there are no features of {instrument} in that time. `rrr quality status` shows which days there are")
    closes = reads.bars(instrument, "1m", start, end, as_known_at=as_known_at)
    try:
        out.write_bytes(feature_png(found, declared, closes, as_known_at))
    except OSError as error:
        raise CommandFailed(f"{out} cannot be written ({error.strerror}). Choose another file") from error
    absent = found[declared.name].null_count
    without = "" if not absent else f": {absent:,} of {len(found):,} minutes have no value, where {declared.no_value}"
    note(f"the picture is in {out}{without}")


@features_app.command()
def plan(as_json: Json = False) -> None:
    """Print what `rrr features apply` would change in Feast's registry. Exits with 0 where that is nothing, with 2 otherwise."""
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.features.feast_config import store
    from rrr_assets.features.feast_registry import plan

    with _quiet_feast():
        changes = plan(store(ready_database()))
    _tell_changes(changes, "would change", as_json=as_json)
    if changes:
        raise typer.Exit(_DIFFERENT)


@features_app.command(name="apply")
def apply_declared(as_json: Json = False) -> None:
    """Make Feast's registry what is declared, and print what changed."""
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.features.feast_config import store
    from rrr_assets.features.feast_registry import apply

    with _quiet_feast():
        changes = apply(store(ready_database()))
    _tell_changes(changes, "changed", as_json=as_json)


@features_app.command()
def materialize(as_json: Json = False) -> None:
    """Bring the newest row of every instrument online, as the daemon does by itself while it runs."""
    from datetime import UTC, datetime

    from rrr_assets.calc.features.asof import TTL
    from rrr_assets.features.online import materialize

    with _serving_store() as feast:
        brought = materialize(feast)
    if as_json:
        times = {name: at.isoformat() if at else None for name, at in (("oldest", brought.oldest), ("newest", brought.newest))}
        sys.stdout.write(json.dumps({"instruments": brought.instruments, **times}) + "\n")
        return
    closed = ""
    if brought.oldest is not None and brought.newest is not None:
        closed = f"; they closed from {brought.oldest:%Y-%m-%d %H:%M} to {brought.newest:%Y-%m-%d %H:%M} UTC"
        if datetime.now(UTC) - brought.newest > TTL:
            closed += ". All are older than five minutes, and are served without values"
    sys.stdout.write(f"The newest rows of {counted(brought.instruments, 'instrument')} are online{closed}.\n")


@features_app.command()
def online(instruments: Instruments, only: Names = None, as_json: Json = False) -> None:
    """Print features as they are served, with their age. What is older than five minutes has no values."""
    import pyarrow as pa

    from rrr_assets.calc.features import FEATURES
    from rrr_assets.calc.features.asof import TTL
    from rrr_assets.cli.output import emit
    from rrr_assets.features.online import vectors

    names = [_known(name) for name in only or FEATURES]
    with _serving_store() as feast:
        found = vectors(feast, instruments, names, max_age=TTL)
    if as_json:
        sys.stdout.write(json.dumps([each.told() for each in found], indent=1) + "\n")
        return
    told = [
        {"event_time": _second(each.event_time), "age": _age(each.age), "is_fresh": each.is_fresh,
         "available_at": _second(each.available_at), "known_at": _second(each.known_at), **each.values}
        for each in found
    ]  # fmt: skip
    columns = {"": list(told[0])} | {
        instrument: ["" if value is None else str(value) for value in each.values()]
        for instrument, each in zip(instruments, told, strict=True)
    }
    emit(pa.table(columns), None, right=instruments)


@features_app.command()
def serve(
    host: Annotated[
        str, typer.Option("--host", help="There is no authentication: keep it to this machine, or behind a proxy.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Where POST /get-online-features is answered.")] = 6566,
) -> None:
    """Serve features over HTTP by Feast's feature server, reading alone, until it is stopped."""
    with _serving_store() as feast:
        import uvicorn

        from rrr_assets.cli.output import note
        from rrr_assets.features.serve import READ, served

        note(f"features are served at http://{host}:{port}{READ}")
        uvicorn.run(served(feast), host=host, port=port, access_log=False, log_level="warning")


@contextmanager
def _serving_store() -> "Iterator[FeatureStore]":
    """Feast's store with what is declared in it; a store that is down is told as what it is."""
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.features.feast_config import store
    from rrr_assets.features.online import OnlineStoreUnreachable

    with _quiet_feast():
        from rrr_assets.features.feast_registry import require

        feast = store(ready_database())
        require(feast)
        try:
            yield feast
        except OnlineStoreUnreachable as failure:
            raise CommandFailed(str(failure)) from failure


@contextmanager
def _quiet_feast() -> "Iterator[None]":
    """Without what Feast warns of itself."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _tell_changes(changes: "Sequence[Change]", verb: str, *, as_json: bool) -> None:
    import pyarrow as pa

    from rrr_assets.cli.output import emit

    if as_json:
        sys.stdout.write(json.dumps([asdict(change) for change in changes], indent=1) + "\n")
    elif not changes:
        sys.stdout.write("Feast's registry is what is declared.\n")
    else:
        columns = {name: [getattr(change, name) for change in changes] for name in ("action", "kind", "name")}
        emit(pa.table(columns | {"properties": [", ".join(change.properties) for change in changes]}), None)
        sys.stdout.write(f"{counted(len(changes), 'object')} of Feast's registry {verb}.\n")


@features_app.command()
def drift(
    instruments: Annotated[list[str] | None, typer.Argument(metavar="VENUE:SYMBOL...", help="Only these.", show_default=False)] = None,
    start: MaybeStart = None, end: MaybeEnd = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what lies as in its reference.")] = False,
    is_made: Annotated[bool, typer.Option("--make", help="First look at days that were not looked at, or changed since.")] = False,
    picture: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw it, as .png.", dir_okay=False)] = None,
    chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None,
) -> None:  # fmt: skip
    """Print which features lie off what models were trained on, the worst first, on the days in [start, end), else in the last week."""
    from rrr_assets.calc.features.drift import verdicts
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.cli.output import emit, note
    from rrr_assets.features.drift import drift_picture, worst_first
    from rrr_assets.resources.quality_settings import quality_settings
    from rrr_assets.warehouse.quality_feature_drift import days_unjudged, read_numbers, read_references

    if picture is not None and picture.suffix.lower() != ".png":
        raise typer.BadParameter(f"{picture} does not end in .png", param_hint="--plot")
    first, until = _days_of(start, end)
    database, settings = ready_database(), quality_settings().feature_drift
    waiting = days_unjudged(database, first, until)
    if waiting and is_made:
        _look_at_drift(waiting, show=not as_json and sys.stderr.isatty())
    elif waiting:
        note(f"{counted(len(waiting), 'day')} not looked at, or changed since, from {waiting[0]} on: --make does that")
    numbers = read_numbers(database, first, until, instruments or None)
    references = read_references(database, [each.reference_id for each in numbers if each.reference_id is not None])
    said = [(each, verdicts(each.feature, each.drift, settings)) for each in worst_first(numbers, settings)]
    shown = [one for one in said if everything or one[1]]
    table, hidden = _drift_table(shown, references), tuple[str, ...]()
    if chosen in (None, Format.TABLE) and not as_json and out is None:
        # A row fits a terminal: references are named once, and what says nothing of any row is left out.
        hidden = ("rows", "reference_missing", *(name for name in table.column_names if table[name].null_count == len(table)))
        if not everything:
            hidden += tuple(name for name in ("missing", "out_of_range") if not any(name in verdict for _, verdict in shown))
        table = table.set_column(table.column_names.index("reference"), "reference", [[each.reference_id for each, _ in shown]])
    for sentence in _drift_notes(numbers, shown, references):
        note(sentence)
    emit(table, chosen, as_json=as_json, out=out, hidden=hidden)
    if picture is not None:
        drawn = drift_picture(database, numbers, settings, small=False)
        if drawn is None:
            raise CommandFailed("nothing of these days can be drawn: a day is held against days before it")
        try:
            picture.write_bytes(drawn)
        except OSError as error:
            raise CommandFailed(f"{picture} cannot be written ({error.strerror}). Choose another file") from error
        note(f"the picture is in {picture}")


def _days_of(start: "datetime | None", end: "datetime | None") -> "tuple[date, date]":
    """The days that [start, end) touches, and the first after them; without a start a week."""
    from datetime import UTC, datetime, timedelta

    if start is not None and end is not None:
        check_window(start, end)
    last = datetime.now(UTC) if end is None else end.astimezone(UTC) - timedelta(microseconds=1)
    until = last.date() + timedelta(days=1)
    return (until - timedelta(days=8) if start is None else start.astimezone(UTC).date()), until


def _look_at_drift(days: "Sequence[date]", *, show: bool) -> None:
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.progress import progress_bars
    from rrr_assets.cli.runs import dagster_instance, judge_features

    with progress_bars(show=show) as progress, dagster_instance() as instance:
        failures = [told.failure for told in judge_features(instance, days, progress.asset) if told.failure]
    if failures:
        raise CommandFailed("; ".join(failures))


def _drift_notes(
    numbers: "Sequence[Number]", shown: "Sequence[tuple[Number, Sequence[str]]]", references: "Mapping[int, Reference]"
) -> "Iterator[str]":
    """What a table of drift does not say by itself."""
    if not numbers:
        yield "nothing of these days was looked at: `rrr quality status` shows which days there are, --make looks at them"
    elif not shown:
        yield f"all {len(numbers):,} numbers lie as in their reference; --all prints them"
    else:
        yield from (f"reference {each.told}" for each in references.values())
    if any(each.drift.psi is not None and each.drift.usual_psi is None for each, _ in shown):
        yield "of a reference of fewer than three days it is not known what is usual: nothing that is held against it counts as drifted"


def _drift_table(said: "Sequence[tuple[Number, Sequence[str]]]", references: "Mapping[int, Reference]") -> "pa.Table":
    import pyarrow as pa

    kinds = {
        "day": pa.date32(), "instrument": pa.string(), "feature": pa.string(), "is": pa.string(), "psi": pa.float64(),
        "usual_psi": pa.float64(), "missing": pa.float64(), "reference_missing": pa.float64(), "out_of_range": pa.float64(),
        "rows": pa.int64(), "reference": pa.string(),
    }  # fmt: skip
    rows = [
        (
            each.day, each.instrument, each.feature, ", ".join(verdict), _rounded(each.drift.psi), _rounded(each.drift.usual_psi),
            _rounded(each.drift.missing_rate), _rounded(each.drift.reference_missing_rate), _rounded(each.drift.out_of_range),
            each.drift.rows, None if each.reference_id is None else references[each.reference_id].told,
        )
        for each, verdict in said
    ]  # fmt: skip
    columns = [[row[place] for row in rows] for place in range(len(kinds))]
    return pa.table({name: pa.array(column, kind) for (name, kind), column in zip(kinds.items(), columns, strict=True)})


def _second(at: "datetime | None") -> str | None:
    return None if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _age(age: "timedelta | None") -> str | None:
    """An age as it is told to people, in whole seconds: 1 day, 0:00:05."""
    from datetime import timedelta

    return None if age is None else str(timedelta(seconds=int(age.total_seconds())))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _told(feature: "Feature") -> dict[str, Any]:
    from rrr_assets.contracts.features import FEATURES_1M

    bounds = FEATURES_1M.column(feature.name).range
    return {
        "feature": feature.name,
        "description": feature.description,
        "formula": feature.formula,
        "unit": feature.unit,
        "range": "" if bounds is None else bounds.told,
        "minutes": feature.bars,
        "made_from": list(feature.columns),
        "by_way_of": [name for name in feature.inputs if name not in feature.columns],
        "no_value": feature.no_value,
        "version": feature.version,
    }


def _source(column: str) -> str:
    from rrr_assets.calc.features.declare import BAR_INPUTS, TICK_INPUTS

    return f"{column} of {'bars_1m' if column in BAR_INPUTS else 'tick_minutes'}" if column in {*BAR_INPUTS, *TICK_INPUTS} else column


def _known(name: str) -> str:
    from difflib import get_close_matches

    from rrr_assets.calc.features import FEATURES

    if name in FEATURES:
        return name
    near = get_close_matches(name, FEATURES, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise typer.BadParameter(f"there is no feature {name}. {hint}`rrr features list` lists all", param_hint="FEATURE")
