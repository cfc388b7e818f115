"""Commands for training sets: make one, list them, say why two differ.

Belongs here: training-set with list and diff. Does not: what a set is (features/training.py), specifications (calc/features/spec.py).
"""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rrr_assets.calc.words import counted
from rrr_assets.cli.arguments import Format, FormatOption, JsonFlag, Out, WithCost, parse_time

if TYPE_CHECKING:
    from rrr_assets.features.training_run import Produced

Spec = Annotated[Path | None, typer.Option("--spec", metavar="FILE", help="What is asked for, as YAML.", dir_okay=False)]
KnownAt = Annotated[
    datetime | None,
    typer.Option("--as-known-at", parser=parse_time, metavar="TIME", help="Of what was known then; lies after the load, in UTC."),
]
AndAt = Annotated[
    datetime | None, typer.Option("--and-at", parser=parse_time, metavar="TIME", help="A later knowledge time, to compare with.")
]
Sets = Annotated[list[int] | None, typer.Argument(metavar="SET SET", help="Numbers of two sets of one specification.", show_default=False)]
File = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the rows there, as .parquet.", dir_okay=False)]
Keep = Annotated[int, typer.Option("--keep-days", min=1, max=36_600, metavar="N", help="Hold what it is made from for N days.")]

_HASH_SHOWN: Final = 16

training_app = typer.Typer(invoke_without_command=True, help="Make a training set: features as they could be seen, labels, a split.")


def register(app: typer.Typer) -> None:
    app.add_typer(training_app, name="training-set")


@training_app.callback()
def training_set(
    context: typer.Context,
    spec: Spec = None,
    as_known_at: KnownAt = None,
    out: File = None,
    keep_days: Keep = 365,
    as_json: JsonFlag = False,
) -> None:
    if context.invoked_subcommand is not None:
        return
    if spec is None or as_known_at is None or out is None:
        raise typer.BadParameter("a training set needs --spec, --as-known-at and --out", param_hint="training-set")
    if out.suffix.lower() != ".parquet":
        raise typer.BadParameter(f"{out} does not end in .parquet", param_hint="--out")
    from rrr_assets.calc.features.spec import read_spec
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.features.training_run import produce

    done = produce(ready_database(), read_spec(spec), as_known_at, out, keep_days)
    if as_json:
        sys.stdout.write(json.dumps(done.told, indent=1, sort_keys=True) + "\n")
        return
    sys.stdout.write("\n".join(_summary(done)) + "\n")


def _summary(done: "Produced") -> list[str]:
    manifest, entered = done.told, done.entered
    basis, moments, absent = manifest["available_at"], manifest["moments"], manifest["universe"]["nothing_known_of"]
    size = f"{counted(manifest['rows'], 'row')} of {counted(len(manifest['instruments']), 'instrument')}"
    lines = [
        f"Training set {entered.set_id} ({entered.name}): {size}, hash {entered.content[:_HASH_SHOWN]}.",
        f"Of {moments['moments']:,} moments {moments['without_a_row']:,} saw no row of features.",
    ]
    if "train" in moments:
        lines[-1] += (
            f" {counted(moments['train'], 'row')} to train on, {moments['test']:,} to test on; {moments['purged']:,} left out whose labels "
            f"share time with the test's, {moments['embargoed']:,} within the {moments['embargo_minutes']:,} minutes after."
        )
    lines += [
        f"{name}: no value in {counted(told['null'], 'row')}, in {told['null_past_the_end']:,} of them because it "
        "looks past all that was known."
        for name, told in manifest["labels"].items()
    ]
    lines.append(f"When rows could be used was observed of {basis['observed']:,} and modelled of {basis['modelled']:,}.")
    if absent:
        lines.append(f"Nothing was known of {', '.join(absent)}: it is not in the set.")
    until = "it is released" if entered.ends_at is None else f"{entered.ends_at:%Y-%m-%d}"
    lines.append(f"Held by {entered.hold}, until {until}. In {done.out} and {done.manifest_file.name}.")
    return lines


@training_app.command(name="list")
def list_sets(with_cost: WithCost = False, chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None) -> None:
    """Print every training set that was made."""
    import pyarrow.compute as pc

    from rrr_assets import read
    from rrr_assets.cli.cost import held_costs
    from rrr_assets.cli.output import emit

    found = read.training_sets()
    told = held_costs(found, "hold") if with_cost else found
    if chosen in (None, Format.TABLE) and not as_json and out is None:
        # As long as `rrr training-set` tells it, so that a row fits a terminal.
        place = told.column_names.index("content_sha256")
        told = told.set_column(place, "hash", pc.utf8_slice_codeunits(told["content_sha256"], 0, _HASH_SHOWN))
    emit(told, chosen, as_json=as_json, out=out, hidden=("manifest", "made_by", "made_at", "spec_sha256"))


@training_app.command()
def diff(
    sets: Sets = None,
    spec: Spec = None,
    as_known_at: KnownAt = None,
    and_at: AndAt = None,
    chosen: FormatOption = None,
    as_json: JsonFlag = False,
    out: Out = None,
) -> None:
    """Print what differs between a training set as of two knowledge times, and why.

    Give two numbers of `rrr training-set list`, or a specification and both times.
    """
    import pyarrow.compute as pc

    from rrr_assets.calc.features.spec import parse_spec, read_spec
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.cli.output import emit, note
    from rrr_assets.features.training_diff import DiffRefused
    from rrr_assets.features.training_diff import diff as compare
    from rrr_assets.warehouse.training_sets import asked_for

    if sets:
        if len(sets) != 2 or spec is not None or as_known_at is not None or and_at is not None:
            raise typer.BadParameter("give two numbers of sets and nothing else, or --spec, --as-known-at and --and-at", param_hint="SET")
        database = ready_database()
        (one, first), (other, second) = (asked_for(database, number) for number in sets)
        wanted = parse_spec(one, f"training set {sets[0]}")
        if wanted.sha256 != parse_spec(other, f"training set {sets[1]}").sha256:
            raise DiffRefused(f"training sets {sets[0]} and {sets[1]} are of different specifications")
        first, second = sorted((first, second))
    elif spec is None or as_known_at is None or and_at is None:
        raise typer.BadParameter("a difference needs two sets, or --spec, --as-known-at and --and-at", param_hint="training-set diff")
    else:
        wanted, first, second, database = read_spec(spec), as_known_at, and_at, ready_database()
    found = compare(database, wanted, first, second)
    for cause in pc.value_counts(found["cause"]).to_pylist():
        note(f"{cause['counts']:,} of {counted(len(found), 'difference')}: {cause['values']}")
    title = f"{wanted.name}: {counted(len(found), 'difference')}, {first:%Y-%m-%d %H:%M:%S} to {second:%Y-%m-%d %H:%M:%S} UTC"
    emit(found, chosen, as_json=as_json, out=out, title=title, hidden=("cause", "causes"))
