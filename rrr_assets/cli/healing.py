"""The command `rrr gaps heal`: what the daemon does with gaps by itself, at once and in this process.

Belongs here: which gaps are meant, and the report. Does not: how a gap is healed (ticks/healing), listing and accepting gaps.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rrr_assets.ticks.asking import Missing
    from rrr_assets.warehouse.connect import Database


def register(_: typer.Typer) -> None:
    from rrr_assets.cli.gaps import gaps_app

    gaps_app.command()(heal)


def heal(
    gap_ids: Annotated[list[int] | None, typer.Argument(metavar="ID", help="Only these gaps.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Fetch what gaps miss from the configured sources, and take it in.

    All that is open, also what rests after an attempt that failed; outages that were announced only where they are named. Fetching,
    taking in and the bars that follow are one Dagster run for each contiguous range of days. Ends with status 0 when every gap is healed.
    """
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.cli.progress import progress_bars
    from rrr_assets.cli.runs import dagster_instance
    from rrr_assets.cli.runs import heal as heal_gaps
    from rrr_assets.resources.quality_settings import quality_settings
    from rrr_assets.ticks.asking import can_have
    from rrr_assets.ticks.healing_assets import release_dead

    database = ready_database()
    sources = quality_settings().healing.sources
    if not sources:
        raise CommandFailed("no source is configured. Name one under healing.sources in the file that RRR_QUALITY_CONFIG names")
    with progress_bars(show=not as_json and sys.stderr.isatty()) as progress, dagster_instance() as instance:
        release_dead(instance, database)
        gaps = _open_gaps(database, gap_ids)
        possible = [gap for gap in gaps if any(can_have(source, gap) for source in sources)]
        runs = list(heal_gaps(instance, possible, progress.asset))
    told = _told(database, gaps, {gap.gap_id for gap in possible}, [run.run_id for run in runs])
    failures = [f"run {run.run_id}: {run.failure}" for run in runs if run.failure]
    if as_json:
        answer = {"gaps": [each.told() for each in told], "runs": [run.run_id for run in runs], "failures": failures}
        sys.stdout.write(json.dumps(answer) + "\n")
    else:
        _print(told)
    left = [each for each in told if each.state != "healed"]
    if failures or left:
        raise CommandFailed("; ".join([*failures, *([f"{len(left)} of {len(told)} gaps are not healed"] if left else [])]))


@dataclass(frozen=True, slots=True)
class _Told:
    """What became of one gap: its state now, and the attempts of these runs."""

    gap: "Missing"
    state: str
    attempts: list[dict[str, Any]]

    def told(self) -> dict[str, Any]:
        """For machines."""
        gap = self.gap
        return {
            "id": gap.gap_id,
            "instrument": gap.instrument,
            "stream": gap.stream,
            "missing": gap.told,
            "state": self.state,
            "attempts": self.attempts,
        }


def _open_gaps(database: "Database", gap_ids: Sequence[int] | None) -> "list[Missing]":
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.ticks.healing import look, muted_among
    from rrr_assets.warehouse.connect import Role
    from rrr_assets.warehouse.sqlfiles import query

    with database.connect(Role.WRITER, autocommit=True) as connection:
        found = [row[0] for row in connection.execute(query("healing_open"), {"gap_ids": gap_ids or None}).fetchall()]
        if lost := sorted(set(gap_ids or ()) - set(found)):
            raise CommandFailed(f"gap {lost[0]} is not open, or there is none. `rrr gaps` shows what there is")
        muted = set() if gap_ids else muted_among(connection, found)
        return [gap for gap, _ in look(connection, [number for number in found if number not in muted])]


def _told(database: "Database", gaps: "Sequence[Missing]", asked: set[int], run_ids: Sequence[str]) -> list[_Told]:
    from rrr_assets.ticks.healing import look
    from rrr_assets.warehouse.connect import Role
    from rrr_assets.warehouse.sqlfiles import query

    attempts: dict[int, list[dict[str, Any]]] = {}
    names = ("source", "outcome", "reason", "rows", "seconds")
    with database.connect(Role.WRITER, autocommit=True) as connection:
        for gap_id, *values in connection.execute(query("healing_attempts"), {"run_ids": list(run_ids)}).fetchall():
            attempts.setdefault(gap_id, []).append(dict(zip(names, values, strict=True)))
        states = {gap.gap_id: state for gap, state in look(connection, [gap.gap_id for gap in gaps])}
    unasked = "another run is at it, or rests" if asked else ""
    none = {"source": "", "outcome": "", "rows": 0, "seconds": 0}
    for gap in gaps:
        if gap.gap_id not in attempts and states[gap.gap_id] != "healed":
            reason = unasked if gap.gap_id in asked else "no source that is configured can have it"
            attempts[gap.gap_id] = [{**none, "reason": reason}]
    return [_Told(gap, states[gap.gap_id], attempts.get(gap.gap_id, [])) for gap in gaps]


def _print(told: Sequence[_Told]) -> None:
    import pyarrow as pa

    from rrr_assets.cli.output import emit

    rows = [
        {
            "id": each.gap.gap_id,
            "instrument": each.gap.instrument,
            "stream": each.gap.stream,
            "missing": each.gap.told,
            "state": each.state,
            "source": attempt["source"],
            "rows": attempt["rows"],
            "reason": attempt["reason"],
        }
        for each in told
        for attempt in each.attempts or [{"source": "", "rows": 0, "reason": None}]
    ]
    names = ("id", "instrument", "stream", "missing", "state", "source", "rows", "reason")
    kinds = {"id": pa.int64(), "rows": pa.int64()}
    schema = pa.schema([pa.field(name, kinds.get(name, pa.string())) for name in names])
    emit(pa.Table.from_pylist(rows, schema), None)
