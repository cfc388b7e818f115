"""Commands for alerts: what is wrong now, who wants not to hear of what, and whether anybody hears at all.

Belongs here: alerts and its mutes. Does not: what is wrong (resources/alerting), the dead man's switch (watchdog).
"""

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from rrr_assets.cli.arguments import FormatOption, JsonFlag, Out, parse_time

IsAll = Annotated[bool, typer.Option("--all", help="Also those that are over.")]

alerts_app = typer.Typer(invoke_without_command=True, help="Print the alerts that are open, mute some, send what waits.")


def register(app: typer.Typer) -> None:
    app.add_typer(alerts_app, name="alerts")


@alerts_app.callback()
def alerts(
    context: typer.Context, is_all: IsAll = False, chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None
) -> None:  # fmt: skip
    """Print the alerts that are open, the loudest and last first: what is wrong, where, since when, and the next step."""
    if context.invoked_subcommand is not None:
        return
    from rrr_assets import read
    from rrr_assets.cli.output import emit, note

    hidden = ("cause", "told_level", "link", "detail", "opened_at", "changed_at", *(() if is_all else ("state", "resolved_at")))
    emit(read.alerts(resolved=is_all), chosen, as_json=as_json, out=out, hidden=hidden)
    if not as_json:
        note(_looked())


def _looked() -> str:
    """When somebody last looked for what is wrong: no alert says nothing where nobody did."""
    from rrr_assets.warehouse.home import Home, home_dir

    path = Home(home_dir()).alerts_json
    if not path.is_file():
        return "nobody has looked for what is wrong yet: the daemon does it, or `rrr alerts send`"
    return f"last looked at {json.loads(path.read_text('utf-8'))['looked_at'][:19].replace('T', ' ')} UTC"


@alerts_app.command(name="mutes")
def mutes(is_all: IsAll = False, chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None) -> None:
    """Print the mutes that hold or will."""
    from rrr_assets import read
    from rrr_assets.cli.output import emit

    emit(read.alert_mutes(ended=is_all), chosen, as_json=as_json, out=out, hidden=() if is_all else ("ended_at",))


@alerts_app.command(name="mute")
def place_mute(
    scope: Annotated[str, typer.Argument(metavar="SCOPE", help="VENUE:SYMBOL, VENUE, or * for everything.", show_default=False)],
    until: Annotated[datetime, typer.Option("--until", parser=parse_time, metavar="TIME", help="Until then, in UTC.", show_default=False)],
    reason: Annotated[str, typer.Option("--reason", help="Why, in your words: it is kept.", show_default=False)],
    rule: Annotated[str | None, typer.Option("--rule", metavar="RULE", help="Only alerts of this rule, as gap or freshness.")] = None,
    start: Annotated[
        datetime | None, typer.Option("--from", parser=parse_time, metavar="TIME", help="From then on; without it from now on.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Send nothing about a venue or an instrument for a while, as when an outage was announced.

    Alerts are opened all the same. What is wrong still when the mute ends is told then.
    """
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.warehouse.alerts import mute

    number = mute(ready_database(), scope, until, reason, rule=rule, start=start)
    _say(
        {"mute_id": number},
        f"mute {number} holds until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC. `rrr alerts unmute {number}` ends it",
        as_json,
    )


@alerts_app.command(name="unmute")
def end_mute(
    mute_id: Annotated[int, typer.Argument(metavar="ID", help="A number of `rrr alerts mutes`.", show_default=False)],
    as_json: JsonFlag = False,
) -> None:
    """End a mute. It stays in the books."""
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.warehouse.alerts import unmute

    unmute(ready_database(), mute_id)
    _say({"mute_id": mute_id}, f"mute {mute_id} is ended", as_json)


@alerts_app.command(name="test")
def try_channels(
    name: Annotated[str | None, typer.Argument(metavar="CHANNEL", help="Only this one of the settings.", show_default=False)] = None,
    as_json: JsonFlag = False,
) -> None:
    """Send a test message to the channels of the settings; status 0 when each took it."""
    from rrr_assets.calc.outcomes import PermanentFailure
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.resources.alert_channels import NotTaken
    from rrr_assets.resources.alerting import send_test
    from rrr_assets.resources.quality_settings import CONFIG_VARIABLE, quality_settings

    channels = [channel for channel in quality_settings().alerts.channels if name in {None, channel.name}]
    if not channels:
        raise CommandFailed(f"the settings have no channel{f' {name}' if name else ''}. {CONFIG_VARIABLE} names the file that lists them")
    refused: dict[str, str] = {}
    for channel in channels:
        try:
            send_test(channel)
        except (NotTaken, PermanentFailure) as failure:
            refused[channel.name] = str(failure)
        if not as_json:
            sys.stdout.write(f"{channel.name}: {refused.get(channel.name, 'took it')}\n")
    if as_json:
        sys.stdout.write(json.dumps({channel.name: refused.get(channel.name) for channel in channels}) + "\n")
    if refused:
        raise CommandFailed(f"{len(refused)} of {len(channels)} channels did not take the test")


@alerts_app.command(name="send")
def send(as_json: JsonFlag = False) -> None:
    """See what is wrong and send what waits, now, as the sensor does every half minute."""
    from dataclasses import asdict

    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.cli.runs import dagster_instance
    from rrr_assets.resources.alerting import deliver, look_and_reconcile
    from rrr_assets.resources.quality_settings import quality_settings

    settings, database = quality_settings().alerts, ready_database()
    with dagster_instance() as instance:
        done = look_and_reconcile(database, instance, settings)
    delivered = deliver(database, settings)
    told = f"{done.open} alerts are open, {done.opened} of them new, {done.worse} worse; {done.resolved} are over; {delivered.sent} sent"
    _say({**asdict(done), "sent": delivered.sent, "failed": delivered.failed}, told, as_json)
    if delivered.failed:
        raise CommandFailed("; ".join(f"channel {name}: {why}" for name, why in delivered.failed.items()))


def _say(told: dict[str, Any], sentence: str, as_json: bool) -> None:
    sys.stdout.write(json.dumps(told) + "\n" if as_json else f"{sentence}\n")
