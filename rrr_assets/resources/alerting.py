"""One look at what is wrong, and telling it: what the sensor and `rrr alerts send` do.

Belongs here: putting the parts together, and the time that may pass. Does not: any of the parts.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rrr_assets.calc.outcomes import PermanentFailure

if TYPE_CHECKING:
    import dagster as dg

    from rrr_assets.calc.alerts import Signal
    from rrr_assets.calc.quality_config import Alerting, Channel
    from rrr_assets.warehouse.alerts import Addresses, Connection, Reconciled
    from rrr_assets.warehouse.connect import Database

BUDGET_SECONDS: Final = 20
"""A sensor's evaluation is ended after a minute: what is not sent by then waits for the next."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a delivery did, in messages; `failed` says by channel why not."""

    sent: int
    failed: dict[str, str]
    is_ended_early: bool = False


def addresses() -> "Addresses":
    """What links in messages begin with, as the environment says."""
    from rrr_assets.warehouse.alerts import Addresses

    known = Addresses()
    return Addresses(os.environ.get("RRR_UI_URL") or known.ui, os.environ.get("RRR_RUNBOOK_URL") or known.runbook)


def look_and_reconcile(
    database: "Database", instance: "dg.DagsterInstance | None", settings: "Alerting", now: datetime | None = None
) -> "Reconciled":
    """See what is wrong, and bring the alerts in step with it."""
    from rrr_assets.calc.alerts import causes
    from rrr_assets.resources.alert_signals import platform_signals
    from rrr_assets.warehouse.alerts import ledger_signals, reconcile
    from rrr_assets.warehouse.connect import Role
    from rrr_assets.warehouse.home import Home, write_private

    at = now or datetime.now(UTC)

    def look() -> list[Any]:
        found: list[Signal] = ledger_signals(connection, at)
        return causes([*found, *platform_signals(database, instance, at)], settings)

    with database.kept(Role.WRITER) as connection:
        done = reconcile(connection, look, settings, at, addresses())
    # For the watchdog, which asks no code of the graph: it may be that which does not load.
    write_private(Home.current().alerts_json, json.dumps({"looked_at": at.isoformat()}))
    return done


def deliver(
    database: "Database",
    settings: "Alerting",
    *,
    budget_seconds: float = BUDGET_SECONDS,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Delivered:
    """Send what is due to every channel of the settings, each in its order. A channel that fails is left alone for a while."""
    from rrr_assets.warehouse.alerts import speaking_to
    from rrr_assets.warehouse.connect import Role

    ends = time.monotonic() + budget_seconds
    sent, failed, is_early = 0, dict[str, str](), False
    # A session of its own: its locks end with it, however it ends.
    with database.connect(Role.WRITER, autocommit=True) as connection:
        for channel in settings.channels:
            with speaking_to(connection, channel.name) as is_mine:
                if not is_mine:
                    continue
                count, error, early = _deliver_to(connection, channel, ends, clock)
            sent, is_early = sent + count, is_early or early
            if error:
                failed[channel.name] = error
    return Delivered(sent, failed, is_early)


def _deliver_to(connection: "Connection", channel: "Channel", ends: float, clock: Callable[[], datetime]) -> tuple[int, str | None, bool]:
    from rrr_assets.resources.alert_channels import NotTaken, sender_of
    from rrr_assets.warehouse.alerts import mark_failed, mark_sent, next_message

    sender, sent, after, told = sender_of(channel), 0, 0, None
    while time.monotonic() < ends:
        message = next_message(connection, channel.name, clock(), after)
        if message is None:
            return sent, told, False
        after = message.message_id
        try:
            receipt = sender.send(message)
        except NotTaken as error:
            mark_failed(
                connection, channel.name, message, error.reason, clock(), is_unknown=error.is_unknown or message.is_unknown,
                is_of_channel=error.is_of_channel, wait_seconds=error.wait_seconds,
            )  # fmt: skip
            told = error.reason
            if error.is_of_channel:
                return sent, told, False
        except PermanentFailure as error:
            mark_failed(connection, channel.name, message, str(error), clock(), is_unknown=message.is_unknown, is_of_channel=True)
            return sent, str(error), False
        else:
            mark_sent(connection, message, receipt, clock())
            sent += 1
    return sent, told, True


def send_test(channel: "Channel") -> None:
    """Send a test to a channel, past the outbox.

    Raises:
        NotTaken, ChannelUnusable: it did not take it.
    """
    import uuid

    from rrr_assets.calc.alert_messages import body
    from rrr_assets.resources.alert_channels import sender_of
    from rrr_assets.warehouse.alerts import Message

    now, links = datetime.now(UTC), addresses()
    alert = {
        "alert_id": 0, "rule": "alerts_waiting", "severity": channel.severities[0] if channel.severities else "warn",
        "title": f"This is a test of the channel {channel.name}: nothing is wrong", "scope": "nowhere", "since": now, "level": 0,
        "next_step": "rrr alerts", "runbook": "README", "link": None, "resolved_at": None,
    }  # fmt: skip
    told = body("opened", alert, now, ui_url=links.ui, runbook_url=links.runbook)
    sender_of(channel).send(Message(0, 0, "opened", 0, told, str(uuid.uuid4()), 1, is_unknown=False, opened={}))
