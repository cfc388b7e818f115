"""Commands for features: what is declared, what one of them is, its values as a table or a picture.

Belongs here: features list, describe, refresh, read, plot. Does not: what a feature is (calc/features), drawing (features/chart.py).
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rrr_assets.cli.arguments import AsKnownAt, End, FormatOption, Instrument, JsonFlag, Out, Start

if TYPE_CHECKING:
    from rrr_assets.calc.features.declare import Feature

_MOST_DAYS: Final = 3660

features_app = typer.Typer(no_args_is_help=True, help="Declared features: list, describe, refresh, read, plot.")

Name = Annotated[str, typer.Argument(metavar="FEATURE", help="As in sma_20; `rrr features list` lists all.", show_default=False)]
Names = Annotated[list[str] | None, typer.Option("--feature", metavar="FEATURE", help="Only this one; may be given several times.")]
Picture = Annotated[Path, typer.Option("--out", metavar="FILE", help="The picture, as .png.", dir_okay=False)]


def register(app: typer.Typer) -> None:
    app.add_typer(features_app, name="features")


@features_app.command(name="list")
def list_features(chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None) -> None:
    """Print every declared feature: what it is made from, its window and its unit."""
    import pyarrow as pa

    from rrr_assets.calc.features import FEATURES
    from rrr_assets.cli.output import emit

    told = [_told(feature) for feature in FEATURES.values()]
    names = ("feature", "minutes", "unit", "made_from", "description")
    columns = {name: [", ".join(each[name]) if name == "made_from" else each[name] for each in told] for name in names}
    emit(pa.table(columns), chosen, as_json=as_json, out=out)


@features_app.command()
def refresh(as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False) -> None:
    """Bring all features that lag behind bars and ticks up to date, as the daemon does by itself while it runs."""
    from datetime import timedelta

    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.cli.progress import progress_bars
    from rrr_assets.cli.runs import dagster_instance, refresh_features
    from rrr_assets.warehouse.features import days_behind

    days = list(days_behind(ready_database(), _MOST_DAYS, timedelta(0)))
    with progress_bars(show=not as_json and sys.stderr.isatty()) as progress, dagster_instance() as instance:
        failures = [told.failure for told in refresh_features(instance, days, progress.asset) if told.failure]
    if as_json:
        sys.stdout.write(json.dumps({"days": [day.isoformat() for day in days], "failures": failures}) + "\n")
    else:
        sys.stdout.write(f"Features of {len(days):,} days were behind.\n")
    if failures:
        raise CommandFailed("; ".join(failures))


@features_app.command()
def describe(feature: Name, as_json: JsonFlag = False) -> None:
    """Print what a feature is: formula and source, window, unit, columns it comes from, when it has no value."""
    from rrr_assets.calc.features import FEATURES

    told = _told(FEATURES[_known(feature)])
    if as_json:
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
        return
    for name, value in told.items():
        if not value:
            continue
        sys.stdout.write(f"{name.replace('_', ' '):12} {', '.join(value) if isinstance(value, list) else value}\n")


@features_app.command()
def read(
    instrument: Instrument, start: Start, end: End, only: Names = None, as_known_at: AsKnownAt = None, chosen: FormatOption = None,
    as_json: JsonFlag = False, out: Out = None,
) -> None:  # fmt: skip
    """Print features of an instrument's minutes that closed in [start, end), also as they were known at a time."""
    from rrr_assets import read as reads
    from rrr_assets.cli.output import emit

    names = [_known(name) for name in only or ()]
    found = reads.features(instrument, start, end, as_known_at=as_known_at)
    if names:
        found = found.select(["instrument", "event_time", "available_at", *names])
    emit(found, chosen, as_json=as_json, out=out, hidden=("available_basis", "known_at"))


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
    declared = FEATURES[_known(feature)]
    found = reads.features(instrument, start, end, as_known_at=as_known_at)
    if not len(found):
        raise CommandFailed(f"there are no features of {instrument} in that time. `rrr quality status` shows which days there are")
    closes = reads.bars(instrument, "1m", start, end, as_known_at=as_known_at)
    try:
        out.write_bytes(feature_png(found, declared, closes))
    except OSError as error:
        raise CommandFailed(f"{out} cannot be written ({error.strerror}). Choose another file") from error
    note(f"the picture is in {out}")


def _told(feature: "Feature") -> dict[str, Any]:
    return {
        "feature": feature.name,
        "description": feature.description,
        "formula": feature.formula,
        "unit": feature.unit,
        "minutes": feature.bars,
        "made_from": list(feature.columns),
        "by_way_of": [name for name in feature.inputs if name not in feature.columns],
        "no_value": f"a minute of the window is unknown; {feature.null_when}" if feature.null_when != "never" else "a minute is unknown",
        "version": feature.version,
    }


def _known(name: str) -> str:
    from difflib import get_close_matches

    from rrr_assets.calc.features import FEATURES

    if name in FEATURES:
        return name
    near = get_close_matches(name, FEATURES, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise typer.BadParameter(f"there is no feature {name}. {hint}`rrr features list` lists all", param_hint="FEATURE")
