"""Commands for training sets: make one, list them, say why two differ.

Belongs here: training-set, training-set list. Does not: what a set is (features/training.py), specifications (calc/features/spec.py).
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from rrr_assets.cli.arguments import FormatOption, JsonFlag, Out, WithCost, parse_time

Spec = Annotated[Path | None, typer.Option("--spec", metavar="FILE", help="What is asked for, as YAML.", dir_okay=False)]
KnownAt = Annotated[
    datetime | None,
    typer.Option("--as-known-at", parser=parse_time, metavar="TIME", help="Of what was known then; lies after the load, in UTC."),
]
File = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the rows there, as .parquet.", dir_okay=False)]
Keep = Annotated[int, typer.Option("--keep-days", min=1, max=36_600, metavar="N", help="Hold what it is made from for N days.")]

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
    import psycopg
    import pyarrow.parquet as pq

    from rrr_assets.calc.features.spec import read_spec
    from rrr_assets.calc.outcomes import PermanentFailure, StoreUnreachable
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.features.training import make
    from rrr_assets.warehouse.training_sets import enter, find

    database = ready_database()
    try:
        asked = read_spec(spec)
        find(database, asked.sha256, as_known_at)
        made = make(database, asked, as_known_at)
        first, until = asked.start.date() - timedelta(days=1), asked.end.date() + timedelta(days=8)
        entered = enter(database, made.manifest, as_known_at, first, until, datetime.now(UTC) + timedelta(days=keep_days))
    except (PermanentFailure, StoreUnreachable) as error:
        raise CommandFailed(str(error)) from error
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        raise CommandFailed(f"{error.diag.message_primary}. {error.diag.message_hint}") from error
    told = {**made.manifest, "set_id": entered.set_id, "hold": entered.hold, "file": str(out)}
    try:
        # Under another name first: a set that was written half is none.
        part = out.with_name(f".{out.name}.part")
        pq.write_table(made.rows, part)
        out.with_suffix(".manifest.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        part.replace(out)
    except OSError as error:
        raise CommandFailed(f"{out} cannot be written ({error.strerror}). Choose another file") from error
    if as_json:
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
        return
    basis = made.manifest["available_at"]
    sys.stdout.write(
        f"Training set {entered.set_id} ({asked.name}): {made.manifest['rows']:,} rows of {len(made.manifest['instruments'])} instruments, "
        f"hash {entered.content[:16]}.\n"
        f"When rows could be used was observed of {basis['observed']:,} and modelled of {basis['modelled']:,}; "
        f"{made.manifest['moments_without_a_row']:,} moments saw no row, {made.manifest['purged']:,} rows knew of the test.\n"
        f"Held by {entered.hold}, for {keep_days} days. In {out} and {out.with_suffix('.manifest.json').name}.\n"
    )


@training_app.command(name="list")
def list_sets(with_cost: WithCost = False, chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None) -> None:
    """Print every training set that was made."""
    from rrr_assets import read
    from rrr_assets.cli.cost import held_costs
    from rrr_assets.cli.output import emit

    found = read.training_sets()
    emit(held_costs(found, "hold") if with_cost else found, chosen, as_json=as_json, out=out, hidden=("manifest", "made_by", "spec_sha256"))
