"""The dead man's switch: `rrr watchdog`, run by cron or systemd, outside of Dagster.

Belongs here: telling what the watchdog found, once, and the exit status. Does not: what it asks (warehouse/watchdog).
Status 0: all is well. 1: something is wrong, and is said. 3: the watchdog itself failed, and the traceback says how.
"""

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rrr_assets.cli.arguments import JsonFlag

if TYPE_CHECKING:
    from rrr_assets.warehouse.watchdog import Reason

_WRONG: Final = 1
_BROKEN: Final = 3
_VARIABLE: Final = "RRR_WATCHDOG_URL"
_REMEMBERED_BYTES: Final = 2048


def register(app: typer.Typer) -> None:
    app.command()(watchdog)


def watchdog(
    recent_within: Annotated[
        int, typer.Option("--recent-within", min=1, metavar="SECONDS", help="So long ago the five-minute run may have ended.")
    ] = 900,
    daily_within: Annotated[
        int, typer.Option("--daily-within", min=1, metavar="SECONDS", help="So long ago the daily run may have.")
    ] = 93_600,
    webhook_variable: Annotated[
        str, typer.Option("--webhook-variable", metavar="NAME", help="The environment variable that holds the address to tell.")
    ] = _VARIABLE,
    as_json: JsonFlag = False,
) -> None:
    """Say whether the checks run, the daemon lives, the database answers and alerts are delivered; for cron, outside of Dagster.

    What is wrong is posted to the webhook when it is found, and once more when it is over. Status 0: all is well; 1: something is
    wrong; 3: the watchdog itself failed.
    """
    import traceback

    is_done = False
    try:
        reasons, failed = _look_and_tell(recent_within, daily_within, webhook_variable)
        is_done = True
    finally:
        if not is_done:
            from rrr_assets.cli.failures import without_secrets

            sys.stderr.write(without_secrets(traceback.format_exc()))
            raise typer.Exit(_BROKEN)
    if as_json:
        told = [{"reason": each.code, "told": each.told, "rule": each.rule, "runbook": _page(each)} for each in reasons]
        sys.stdout.write(json.dumps({"is_well": not reasons, "reasons": told, "webhook": failed}) + "\n")
    else:
        sys.stdout.write("".join(f"{each.told}\n    {_page(each)}\n" for each in reasons) or "all is well\n")
    if failed:
        sys.stderr.write(f"rrr: {failed}\n")
    if reasons or failed:
        raise typer.Exit(_WRONG)


def _look_and_tell(recent_within: int, daily_within: int, variable: str) -> "tuple[list[Reason], str | None]":
    from rrr_assets.calc.quality_config import QualityConfigRefused
    from rrr_assets.cli.failures import without_secrets
    from rrr_assets.resources.quality_settings import quality_settings
    from rrr_assets.warehouse.watchdog import Reason, Within, look

    now = datetime.now(UTC)
    reasons: list[Reason] = []
    settings = None
    try:
        settings = quality_settings().alerts
    except QualityConfigRefused as error:
        reasons.append(Reason("settings", f"the settings of quality cannot be read: {error}", "alerts_waiting"))
    within = Within(recent=timedelta(seconds=recent_within), daily=timedelta(seconds=daily_within))
    reasons += [Reason(each.code, without_secrets(each.told), each.rule) for each in look(settings, within, now)]
    return reasons, _tell(reasons, os.environ.get(variable, "").strip(), variable, now)


def _tell(reasons: "Sequence[Reason]", url: str, variable: str, now: datetime) -> str | None:
    """Post what is new, and what is over; why that failed. What could not be posted is posted by the next call."""
    before = _told_before()
    codes = sorted({each.code for each in reasons})
    failed = None
    if url and codes != before:
        message = _message(reasons, sorted(set(before) - set(codes)), now)
        failed = _post(url, variable, message, f"{now:%Y-%m-%dT%H}|{'|'.join(codes)}|{'|'.join(before)}")
    if failed is None and (codes != before or not _has_remembered()):
        _remember(codes)
    if not codes and (ping := os.environ.get("RRR_WATCHDOG_PING_URL", "").strip()):
        failed = _ping(ping) or failed
    return failed


def _message(reasons: "Sequence[Reason]", over: Sequence[str], now: datetime) -> dict[str, Any]:
    import socket

    host = socket.gethostname()
    lines = [f"{each.told}. Runbook: {_page(each)}" for each in reasons]
    wrong = f"🔴 The watchdog of {host}: {len(reasons)} reason{'s' if len(reasons) > 1 else ''} to look"
    title = wrong if reasons else f"🟢 The watchdog of {host}: all is well again"
    if over and reasons:
        lines.append(f"Over: {', '.join(over)}")
    text = "\n".join([title, *(f"- {line}" for line in lines)])
    return {
        "kind": "watchdog", "state": "wrong" if reasons else "well", "host": host, "at": now.isoformat(), "text": text, "content": text,
        "over": over,
        "reasons": [{"reason": each.code, "told": each.told, "runbook": _page(each)} for each in reasons],
        "next_step": "rrr watchdog",
    }  # fmt: skip


def _post(url: str, variable: str, told: dict[str, Any], name: str) -> str | None:
    import uuid

    from rrr_assets.resources.alert_channels import NotTaken, post_json

    try:
        post_json(url, told, str(uuid.uuid5(uuid.NAMESPACE_URL, name)), secrets=(url,))
    except NotTaken as error:
        return f"{variable} did not take the message: {error}"
    return None


def _ping(url: str) -> str | None:
    import httpx

    from rrr_assets.resources.alert_channels import without

    try:
        httpx.get(url, timeout=5).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return without(f"RRR_WATCHDOG_PING_URL was not reached: {error}", url)
    return None


def _page(reason: "Reason") -> str:
    from rrr_assets.contracts.runbooks import rule_of

    base = os.environ.get("RRR_RUNBOOK_URL") or "docs/runbooks"
    return f"{base.rstrip('/')}/{rule_of(reason.rule).page}.md"


def _told_before() -> list[str]:
    from rrr_assets.warehouse.home import Home, home_dir

    try:
        return sorted(json.loads(Home(home_dir()).watchdog_json.read_text("utf-8"))["told"])
    except (OSError, ValueError, KeyError):
        return []  # it is told again rather than not at all


def _has_remembered() -> bool:
    from rrr_assets.warehouse.home import Home, home_dir

    return Home(home_dir()).watchdog_json.exists()


def _remember(codes: list[str]) -> None:
    from rrr_assets.warehouse.home import Home, write_private

    # Always of one size, so that on a full disk the old words can be overwritten where they lie.
    text = json.dumps({"told": codes}).ljust(_REMEMBERED_BYTES)
    path = Home.current().watchdog_json
    try:
        write_private(path, text)
    except OSError as error:
        try:
            with path.open("r+b") as file:
                file.write(text.encode())
        except OSError:
            # It was told, and is told again rather than not at all.
            sys.stderr.write(f"rrr: what was told could not be written down: {error}\n")
