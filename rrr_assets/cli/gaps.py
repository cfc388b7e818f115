"""Commands for the ledger of gaps: what is missing, accepting that it is, and taking that back."""

import json
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rrr_assets.cli.arguments import Format, FormatOption, JsonFlag, MaybeEnd, MaybeStart, OnlyInstrument, Out

if TYPE_CHECKING:
    import pyarrow as pa


class GapState(StrEnum):
    """What a gap may be."""

    OPEN = "open"
    HEALING = "healing"
    HEALED = "healed"
    ACCEPTED = "accepted"


_NAMES: Final = {"gap_id": "id", "from_time": "start", "to_time": "end"}
HIDDEN: Final = (
    "changed_at", "next_attempt_at", "last_reason", "healed_at", "accepted_at", "accepted_by", "accepted_reason", "evidence", "first_seen",
)  # fmt: skip

States = Annotated[list[GapState] | None, typer.Option("--state", help="Only gaps in it; several times.")]
IsAll = Annotated[bool, typer.Option("--all", help="Also gaps that are healed.")]
GapId = Annotated[int, typer.Argument(metavar="ID", help="The gap's number.", show_default=False)]

gaps_app = typer.Typer(invoke_without_command=True, help="Print what is missing, or accept that it is.")


def register(app: typer.Typer) -> None:
    app.add_typer(gaps_app, name="gaps")


@gaps_app.callback()
def gaps(
    context: typer.Context,
    instrument: OnlyInstrument = None,
    start: MaybeStart = None,
    end: MaybeEnd = None,
    state: States = None,
    is_all: IsAll = False,
    chosen: FormatOption = None,
    as_json: JsonFlag = False,
    out: Out = None,
) -> None:
    """Print what is missing and touches the window, and is not healed.

    It may have been traded from `start` until `end`, excluded; `first_missing` and `last_missing` are both missing.
    """
    if context.invoked_subcommand is not None:
        return
    from rrr_assets import read
    from rrr_assets.cli.output import emit

    if start is not None and end is not None and end < start:
        raise typer.BadParameter("--end lies before --start")
    unhealed = [each for each in GapState if each is not GapState.HEALED]
    states = None if is_all and not state else [each.value for each in state or unhealed]
    emit(as_listed(read.gaps(instrument, start, end, states=states)), chosen, as_json=as_json, out=out, hidden=HIDDEN)


@gaps_app.command(name="show")
def show_gap(gap_id: GapId, as_json: JsonFlag = False) -> None:
    """Print all that is known of a gap, and what was tried to heal it."""
    from rrr_assets import read
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.output import emit, json_chunks

    found, tried = as_listed(read.gaps(states=None, gap_id=gap_id)), read.gap_attempts(gap_id)
    if not len(found):
        raise CommandFailed(f"there is no gap {gap_id}. `rrr gaps --all` shows what there is")
    [gap] = json.loads(b"".join(json_chunks(found)))
    attempts = json.loads(b"".join(json_chunks(tried)))
    if as_json:
        sys.stdout.write(json.dumps({**gap, "tries": attempts}, ensure_ascii=False) + "\n")
        return
    width = max(map(len, gap))
    for name, value in gap.items():
        if value is not None:
            text = ", ".join(f"{key} {told}" for key, told in value.items()) if isinstance(value, dict) else value
            sys.stdout.write(f"{name.replace('_', ' '):<{width}}  {text}\n")
    if attempts:
        emit(tried, Format.TABLE, hidden=("attempt_id", "gap_id"))


@gaps_app.command(name="accept")
def accept_gap(
    gap_id: GapId,
    reason: Annotated[str, typer.Option("--reason", help="Why, in your words: it is kept.", show_default=False)],
    by: Annotated[str | None, typer.Option("--by", help="Whose word it is; the user of this machine by default.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Accept that a gap stays missing: bars in it become complete, and it is not reported again.

    The bars follow with the daemon's next look at the invalidation log, or with `rrr refresh`.
    """
    _decide(gap_id, reason, by, as_json=as_json)


@gaps_app.command(name="reopen")
def reopen_gap(gap_id: GapId, as_json: JsonFlag = False) -> None:
    """Take an acceptance back: the gap is open again."""
    _decide(gap_id, None, None, as_json=as_json)


def _decide(gap_id: int, reason: str | None, by: str | None, *, as_json: bool) -> None:
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.warehouse.connect import Role
    from rrr_assets.warehouse.gaps import accept, reopen
    from rrr_assets.warehouse.tiers import by_whom

    with ready_database().connect(Role.WRITER) as connection:
        gap = reopen(connection, gap_id) if reason is None else accept(connection, gap_id, reason, by or by_whom())
    told = {"id": gap.gap_id, "instrument": gap.instrument, "stream": gap.stream, "state": gap.state}
    sentence = f"gap {gap.gap_id} of {gap.instrument} {gap.stream} is {gap.state}"
    sys.stdout.write(json.dumps(told) + "\n" if as_json else f"{sentence}\n")


def as_listed(found: "pa.Table") -> "pa.Table":
    """As the command line calls its columns."""
    return found.rename_columns([_NAMES.get(name, name) for name in found.column_names])
