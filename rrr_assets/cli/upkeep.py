"""Commands for the archive's upkeep: archive compact, expire, clean and scrub.

Belongs here: what they take and how they print. Does not: what may go and what must stay (lake/).
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rrr_assets.cli.archive import archive_app
from rrr_assets.cli.arguments import JsonFlag
from rrr_assets.contracts.upkeep import KEEP_DAYS, SAFE_HOURS

if TYPE_CHECKING:
    from rrr_assets.contracts.archive import Archived

Apply = Annotated[bool, typer.Option("--apply", help="Do it. Without it, it is only told; needs RRR_ENVIRONMENT.")]
Only = Annotated[list[str] | None, typer.Option("--only", metavar="TABLE", help="Only these, as raw_trades; may be given several times.")]
_MEGABYTE: Final = 1_000_000


def register(_: typer.Typer) -> None:
    """The commands are the archive's: importing this module made them."""


@archive_app.command()
def compact(apply: Apply = False, only: Only = None, as_json: JsonFlag = False) -> None:
    """Make one file of partitions that lie in several, or in one of small row groups.

    What is written is read back and proven to hold the same values. What it replaces stays until it expires.
    """
    from rrr_assets.resources.lake import Lake

    _emit(list(Lake().compact(_ready(), _tables(only), apply=apply)), _COMPACTED, as_json=as_json, apply=apply)


@archive_app.command()
def expire(
    keep_days: Annotated[int, typer.Option("--keep-days", min=0, help="Days that what was superseded stays readable.")] = KEEP_DAYS,
    apply: Apply = False,
    only: Only = None,
    as_json: JsonFlag = False,
) -> None:
    """Let snapshots expire that others took the place of long ago.

    The last proof of every partition stays, and whatever a hold covers. No file is removed: `rrr archive clean` does that.
    """
    from rrr_assets.resources.lake import Lake

    _emit(list(Lake().expire(_ready(), _tables(only), keep_days=keep_days, apply=apply)), _EXPIRED, as_json=as_json, apply=apply)


@archive_app.command()
def clean(
    safe_hours: Annotated[int, typer.Option("--safe-hours", min=1, help="Younger files are left: a writer may be at them.")] = SAFE_HOURS,
    apply: Apply = False,
    only: Only = None,
    as_json: JsonFlag = False,
) -> None:
    """Remove files that nothing names: what was left behind, what expired, uploads that were not ended."""
    from rrr_assets.resources.lake import Lake

    done = list(Lake().clean(_ready(), _tables(only), safe_hours=safe_hours, apply=apply))
    _emit(done, _REMOVED, as_json=as_json, apply=apply, hidden=() if as_json else ("urls", "missing"))
    _refuse(url for each in done for url in each.missing)


@archive_app.command()
def scrub(
    every_days: Annotated[int, typer.Option("--every-days", min=0, help="Pass over what was read back within so many days.")] = 0,
    budget_mb: Annotated[int | None, typer.Option("--budget-mb", min=1, help="Stop there; the next call goes on.")] = None,
    bytes_only: Annotated[bool, typer.Option("--bytes-only", help="Read values only where the bytes differ.")] = False,
    apply: Apply = False,
    only: Only = None,
    as_json: JsonFlag = False,
) -> None:
    """Read every file back whole, and hold it against its proof; with --apply, mend what is damaged.

    Prints what was found, and ends with status 1 where something is left that is not as it was proven.
    """
    from rrr_assets.cli.output import note
    from rrr_assets.cli.progress import progress_bars
    from rrr_assets.lake.scrub import Finding, plan
    from rrr_assets.resources.lake import Lake

    database = _ready()
    budget = None if budget_mb is None else budget_mb * _MEGABYTE
    planned = plan(database, _tables(only), every_days=every_days, budget_bytes=budget)
    found: list[Finding] = []
    partitions = read = 0
    with progress_bars(show=not as_json and sys.stderr.isatty()) as progress:
        for each in Lake().scrub(database, planned, apply=apply, values=not bytes_only):
            found += each.findings
            partitions, read = partitions + (each.partition is not None), read + each.size_bytes
            progress.step("bytes read back", read, planned.size_bytes)
    _emit(found, _FOUND, as_json=as_json, apply=apply, is_quiet=True)
    left = f"; {planned.left} partitions of {planned.left_bytes:,} bytes are left for the next call" if planned.left else ""
    if not as_json:
        note(f"{partitions} partitions of {read:,} bytes were read back, {len(found)} findings{left}")
    _refuse(finding.told for finding in found if finding.mended is None)


def _ready() -> Any:
    from rrr_assets.cli.ingest import ready_database

    return ready_database()


def _tables(only: Sequence[str] | None) -> "list[Archived]":
    from rrr_assets.contracts.archive import ARCHIVED

    unknown = [name for name in only or () if name not in ARCHIVED]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]} is not archived. There are {', '.join(ARCHIVED)}")
    return [table for name, table in ARCHIVED.items() if not only or name in only]


# The columns of each answer, with the names of Arrow's types: an answer without rows has them too.
_COMPACTED = {
    "relation": "string", "partition": "date32", "files_before": "int64", "row_groups_before": "int64", "rows": "int64",
    "size_before": "int64", "size_after": "int64", "proof_id": "int64",
}  # fmt: skip
_EXPIRED = {
    "relation": "string", "proofs": "int64", "size_bytes": "int64", "snapshots": "int64", "snapshots_kept": "int64",
    "snapshots_lost": "int64", "held": "int64",
}  # fmt: skip
_REMOVED = {
    "relation": "string", "files": "int64", "size_bytes": "int64", "uploads": "int64", "too_young": "int64", "kept": "int64",
    "urls": "strings", "missing": "strings",
}  # fmt: skip
_FOUND = {"relation": "string", "partition": "date32", "url": "string", "differs": "string", "mended": "string"}


def _emit(
    rows: Sequence[Any], columns: dict[str, str], *, as_json: bool, apply: bool, hidden: Sequence[str] = (), is_quiet: bool = False
) -> None:
    import pyarrow as pa

    from rrr_assets.cli.output import emit, note

    kinds = {"strings": pa.list_(pa.string())}
    schema = pa.schema([(name, kinds.get(kind) or pa.type_for_alias(kind)) for name, kind in columns.items()])
    emit(pa.Table.from_pylist([asdict(row) for row in rows], schema), None, as_json=as_json, hidden=hidden)
    if not apply and not as_json and rows and not is_quiet:
        note("nothing was changed; --apply does it")


def _refuse(told: Iterable[str]) -> None:
    from rrr_assets.cli.failures import CommandFailed

    lines = list(told)
    if lines:
        raise CommandFailed(f"{len(lines)} not as proven: {lines[0]}{' and more' if len(lines) > 1 else ''}")
