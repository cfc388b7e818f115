"""Commands for the tiers of partitions: what is due, doing it, what was done, holds, and bringing partitions back.

Belongs here: retention, hold, restore. Does not: the archive itself (archive), what stands against a move (lake/retiring).
"""

import json
import os
import sys
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rrr_assets.cli.arguments import (
    End,
    FormatOption,
    JsonFlag,
    MaybeEnd,
    MaybeStart,
    OnlyInstrument,
    Out,
    Start,
    parse_day,
    parse_names,
    parse_time,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from rrr_assets.contracts.archive import ArchivedGroup
    from rrr_assets.lake.retiring import Due

Today = Annotated[date | None, typer.Option("--today", parser=parse_day, metavar="DAY", help="As if it were this day, in UTC.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in your words: it is kept.", show_default=False)]
Name = Annotated[str, typer.Argument(metavar="NAME", help="What the hold is called.", show_default=False)]

retention_app = typer.Typer(invoke_without_command=True, help="Print what is due by the contracts and what stands against it, or do it.")
hold_app = typer.Typer(invoke_without_command=True, help="Print the holds that stand: what may not be dropped, deleted or expired.")


def register(app: typer.Typer) -> None:
    app.add_typer(retention_app, name="retention")
    app.add_typer(hold_app, name="hold")
    app.command()(restore)


@retention_app.callback()
def retention(
    context: typer.Context,
    apply: Annotated[bool, typer.Option("--apply", help="Make the moves; without it they are only told.")] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="ASSET", help="Only these, as archived_trades; several times.")
    ] = None,
    today: Today = None,
    chosen: FormatOption = None,
    as_json: JsonFlag = False,
    out: Out = None,
) -> None:
    """Print what is due by the contracts, and what stands against it; with --apply, do it where nothing does.

    A partition is dropped from the database when its proof in the archive is there and fresh, its files are what was proven, every rollup
    that needs its rows is refreshed, no bar of it is unexplained, and no hold covers it.
    """
    if context.invoked_subcommand is not None:
        return
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.cli.output import emit, note
    from rrr_assets.contracts.archive import ARCHIVED_GROUPS
    from rrr_assets.contracts.retention import ENVIRONMENT
    from rrr_assets.lake import retiring
    from rrr_assets.lake.store import Store

    if apply and today is not None and os.environ.get(ENVIRONMENT) == "production":
        raise typer.BadParameter("another day than today is only told in production: leave --today or --apply out")
    if unknown := [name for name in only or () if name not in ARCHIVED_GROUPS]:
        raise typer.BadParameter(f"{unknown[0]} is no asset of the archive. There are {', '.join(ARCHIVED_GROUPS)}")
    database = ready_database()
    moves = retiring.due(database, today or datetime.now(UTC).date(), only)
    rows = (
        _applied(database, moves)
        if apply
        else [_row(each, "told", each.refusals, each.rows) for each in retiring.judged(database, Store.current(), moves)]
    )
    emit(_moves_table(rows), chosen, as_json=as_json, out=out)
    refused = [row for row in rows if row["against"]]
    if not apply and not as_json and rows:
        note(f"nothing was changed: {len(rows) - len(refused)} moves can be made with --apply, {len(refused)} cannot")
    if apply and refused:
        reasons = list(dict.fromkeys(row["against"] for row in refused))
        more = f" | and {len(reasons) - 1} other reasons" if len(reasons) > 1 else ""
        raise CommandFailed(f"{len(refused)} of {len(rows)} moves were refused: {reasons[0]}{more}")


@retention_app.command(name="log")
def print_log(
    start: MaybeStart = None, end: MaybeEnd = None, chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None
) -> None:
    """Print what retention, restoring and upkeep did, the last first."""
    from rrr_assets import read
    from rrr_assets.cli.output import emit

    emit(
        read.retention_log(start, end),
        chosen,
        as_json=as_json,
        out=out,
        hidden=("entry_id", "is_dry_run", "proof_id", "environment", "run_id"),
    )


@retention_app.command(name="tiers")
def print_tiers(
    start: MaybeStart = None, end: MaybeEnd = None, chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None
) -> None:
    """Print every partition that is no longer hot."""
    from rrr_assets import read
    from rrr_assets.cli.output import emit

    emit(read.tiers(start, end), chosen, as_json=as_json, out=out, hidden=("proof_id",))


@hold_app.callback()
def hold(context: typer.Context, chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None) -> None:
    if context.invoked_subcommand is None:
        list_holds(released=False, chosen=chosen, as_json=as_json, out=out)


@hold_app.command(name="list")
def list_holds(
    released: Annotated[bool, typer.Option("--all", help="Also those that ended.")] = False,
    with_cost: Annotated[bool, typer.Option("--cost", help="Also what that which each covers takes, and costs a month.")] = False,
    chosen: FormatOption = None,
    as_json: JsonFlag = False,
    out: Out = None,
) -> None:
    """Print the holds that stand."""
    from rrr_assets import read
    from rrr_assets.cli.output import emit

    hidden = ("hold_id",) if released else ("hold_id", "released_at", "released_by", "release_reason")
    found = read.holds(released=released)
    emit(_with_cost(found) if with_cost else found, chosen, as_json=as_json, out=out, hidden=hidden)


def _with_cost(holds: "pa.Table") -> "pa.Table":
    import pyarrow as pa

    from rrr_assets.archive.costs import cost_report, held_cost
    from rrr_assets.cli.ingest import ready_database

    report = cost_report(ready_database())
    told = [held_cost(report, row["relation"], row["from_day"], row["until_day"]) for row in holds.to_pylist()]
    sizes = pa.array([size for size, _ in told], pa.int64())
    # A millionth of a dollar is fine enough for what is priced by the gigabyte.
    usd = pa.array([round(cost, 6) for _, cost in told], pa.decimal128(38, 6))
    return holds.append_column("held_bytes", sizes).append_column("monthly_usd", usd)


@hold_app.command(name="place")
def place_hold(
    name: Name,
    reason: Reason,
    table: Annotated[str | None, typer.Option("--table", help="Only of this table, as raw_trades.")] = None,
    instrument: OnlyInstrument = None,
    start: Annotated[date | None, typer.Option("--start", parser=parse_day, metavar="DAY", help="From this UTC day on.")] = None,
    end: Annotated[date | None, typer.Option("--end", parser=parse_day, metavar="DAY", help="Until this UTC day, excluded.")] = None,
    expires: Annotated[
        datetime | None, typer.Option("--expires", parser=parse_time, metavar="TIME", help="It ends by itself then.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Place a hold: what it covers is not dropped, deleted or expired until it is released."""
    from rrr_assets.calc.outcomes import PermanentFailure
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.warehouse.holds import Hold, place

    hold = Hold(name, reason, relation=table, instrument=instrument, from_day=start, until_day=end, expires_at=expires)
    try:
        number = place(ready_database(), hold)
    except PermanentFailure as error:
        raise CommandFailed(str(error)) from error
    _say({"hold_id": number, "name": name}, f"hold {name} stands", as_json=as_json)


@hold_app.command(name="release")
def release_hold(name: Name, reason: Reason, as_json: JsonFlag = False) -> None:
    """Release a hold. It stays in the books."""
    from rrr_assets.calc.outcomes import PermanentFailure
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.resources.permission import permitted
    from rrr_assets.warehouse.holds import release

    try:
        permitted("release")
        number = release(ready_database(), name, reason)
    except PermanentFailure as error:
        raise CommandFailed(str(error)) from error
    _say({"hold_id": number, "name": name}, f"hold {name} is released", as_json=as_json)


def restore(
    start: Start,
    end: End,
    table: Annotated[str, typer.Option("--table", help="The table or asset, as raw_trades or archived_trades.")] = "raw_trades",
    instrument: Annotated[str | None, typer.Option("--instrument", metavar="NAMES", help="Only these, with commas between them.")] = None,
    keep_days: Annotated[int, typer.Option("--keep-days", min=1, help="What came back may be dropped again after so many days.")] = 7,
    as_of: Annotated[
        datetime | None, typer.Option("--as-of", parser=parse_time, metavar="TIME", help="As the archive was then; needs --into.")
    ] = None,
    proof: Annotated[int | None, typer.Option("--proof", help="By this proof of `rrr archive list`; needs --into.")] = None,
    into: Annotated[
        str | None, typer.Option("--into", metavar="NAME", help="Into a new table restored.NAME, beside what is stored.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Bring the partitions of [start, end) back from the archive into the database, equal value by value, or not at all.

    They come back with what they were before (revisions), to be read; what is read from the archive anyway needs no restore. As they
    were at some time they come back into a table of their own.
    """
    from rrr_assets import read
    from rrr_assets.calc.outcomes import PermanentFailure
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.cli.progress import progress_bars
    from rrr_assets.contracts.archive import ARCHIVED
    from rrr_assets.lake import restoring
    from rrr_assets.lake.store import Store

    if end <= start:
        raise typer.BadParameter("--end does not lie after --start")
    if (as_of is not None or proof is not None) and into is None:
        raise typer.BadParameter("what was archived at another time comes back into a table of its own. Name it with --into")
    names = parse_names(instrument) if instrument else None
    try:
        group = restoring.group_of(table)
        partitions = _partitions(group, start, end)
        database = ready_database()
        for name in names or ():
            read.check_known(name, database=database)
        done: list[restoring.Restored] = []
        if into is not None:
            archived = ARCHIVED[table] if table in ARCHIVED else group.tables[0]
            done = restoring.restore_aside(
                database, Store.current(), archived, partitions, name=into, instruments=names, as_of=as_of, proof_id=proof
            )
        else:
            until = datetime.now(UTC) + timedelta(days=keep_days)
            with progress_bars(show=not as_json and sys.stderr.isatty()) as progress:
                for number, partition in enumerate(partitions, 1):
                    done += restoring.restore(database, Store.current(), group, partition, names, until=until)
                    progress.step("partitions", number, len(partitions))
    except PermanentFailure as error:
        raise CommandFailed(str(error)) from error
    told = [
        {"relation": each.relation, "partition": each.partition.isoformat(), "rows": each.rows, "proof_id": each.proof_id,
         "content": each.content, "is_new": each.is_new}
        for each in done
    ]  # fmt: skip
    if as_json:
        sys.stdout.write(json.dumps(told) + "\n")
        return
    for each in done:
        if each.rows or not each.is_new:
            what = f"{each.rows:,} rows, equal to proof {each.proof_id}" if each.is_new else "nothing of it is in the archive alone"
            sys.stdout.write(f"{each.relation} of {each.partition}: {what}\n")


def _applied(database: Any, moves: "list[Due]") -> list[dict[str, Any]]:
    """Make the moves that the environment permits."""
    from rrr_assets.calc.outcomes import PermanentFailure
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.lake import retiring
    from rrr_assets.lake.catalogue import Catalogue
    from rrr_assets.lake.store import Store
    from rrr_assets.resources.permission import NotPermitted, permitted

    rows = []
    try:
        with Catalogue(database, Store.current()) as catalogue:
            for each in moves:
                try:
                    permitted(retiring.CHANGES[each.move])
                except NotPermitted as forbidden:
                    rows.append(_row(each, "refused", (str(forbidden),)))
                    continue
                made = retiring.make(database, catalogue, each)
                rows.append(_row(each, "refused" if made.refusals else "done", made.refusals, made.rows, made.size_bytes))
    except PermanentFailure as error:
        raise CommandFailed(str(error)) from error
    return rows


def _row(move: "Due", state: str, against: tuple[str, ...], rows: int | None = None, size: int | None = None) -> dict[str, Any]:
    return {
        "asset": move.group, "partition": move.partition, "move": move.move, "state": state, "rows": rows, "size_bytes": size,
        "against": "; ".join(against) or None,
    }  # fmt: skip


def _moves_table(rows: list[dict[str, Any]]) -> "pa.Table":
    import pyarrow as pa

    schema = pa.schema(
        [("asset", pa.string()), ("partition", pa.date32()), ("move", pa.string()), ("state", pa.string()), ("rows", pa.int64()),
         ("size_bytes", pa.int64()), ("against", pa.string())]
    )  # fmt: skip
    return pa.Table.from_pylist(rows, schema)


def _partitions(group: "ArchivedGroup", start: datetime, end: datetime) -> list[date]:
    first, last = start.date(), (end - timedelta(microseconds=1)).date()
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return sorted({group.tables[0].partition_of(day) for day in days})


def _say(told: dict[str, Any], sentence: str, *, as_json: bool) -> None:
    sys.stdout.write(json.dumps(told) + "\n" if as_json else f"{sentence}\n")
