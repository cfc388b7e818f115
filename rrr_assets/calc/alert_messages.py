"""What is said of an alert: what is wrong, where, since when, how bad, where it is seen, and the next step.

Belongs here: the words, for Slack, mail and programs. Does not: when it is said and to whom (warehouse/alerts), sending it
(resources/alert_channels). A body is what the outbox keeps: JSON, in the words of the moment at which it was written.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

_WORDS: Final = {"opened": "", "worse": "Worse: ", "resolved": "Resolved: "}
_MARKS: Final = {"page": "🔴", "warn": "🟡", "resolved": "🟢"}
_LONGEST: Final = 2900
"""Slack takes 3,000 characters in a block of text."""


def body(
    kind: str,
    alert: Mapping[str, Any],
    now: datetime,
    *,
    ui_url: str,
    runbook_url: str,
    told_level: int = 0,
    note: str | None = None,
) -> dict[str, Any]:
    """The message of an alert as the outbox keeps it; every value is text, a number or a list of texts.

    Args:
        kind: opened, worse or resolved.
        alert: The row of `alerts`, by column, with `lines` beside it.
        now: When it is written.
        ui_url: The address of the UI.
        runbook_url: The address, or the folder, of the runbook's pages.
        told_level: How bad it was when it was last told.
        note: A sentence more.
    """
    path = alert["link"]
    made: dict[str, Any] = {
        "kind": kind,
        "alert_id": alert["alert_id"],
        "rule": alert["rule"],
        "severity": alert["severity"],
        "title": alert["title"],
        "where": alert["scope"],
        "since": _told(alert["since"]),
        "how_bad": _how_bad(kind, alert, now, told_level),
        "lines": list(alert.get("lines") or ()),
        "next_step": alert["next_step"],
        "runbook": f"{runbook_url.rstrip('/')}/{alert['runbook']}.md",
        "link": f"{ui_url.rstrip('/')}{path}" if path else ui_url.rstrip("/"),
        "written_at": _told(now),
    }
    if note:
        made["note"] = note
    return made


def headline(message: Mapping[str, Any]) -> str:
    """It in one line, as a phone's lock screen shows it."""
    mark = _MARKS["resolved" if message["kind"] == "resolved" else message["severity"]]
    return f"{mark} {_WORDS[message['kind']]}{message['title']}"


def plain(message: Mapping[str, Any]) -> str:
    """It as text: a mail, the fallback of Slack's blocks."""
    told = [headline(message), ""]
    if message.get("note"):
        told += [str(message["note"]), ""]
    told += [f"Where: {message['where']}", f"Since: {message['since']}", f"How bad: {message['how_bad']}"]
    told += [f"- {line}" for line in message["lines"]]
    if message["kind"] != "resolved":
        told += ["", f"Next step: {message['next_step']}", f"Runbook: {message['runbook']}"]
    return "\n".join([*told, f"In the UI: {message['link']}"]) + "\n"


def slack_blocks(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """It as blocks of Slack: short lines one under the other, for a phone shows no columns."""
    facts = f"*Where* {_escaped(message['where'])}\n*Since* {message['since']}\n*How bad* {_escaped(message['how_bad'])}"
    if message.get("note"):
        facts = f"{_escaped(message['note'])}\n{facts}"
    if message["lines"]:
        facts += "".join(f"\n• {_escaped(line)}" for line in message["lines"])
    blocks = [_section(f"*{_escaped(headline(message))}*"), _section(facts)]
    if message["kind"] != "resolved":
        blocks.append(_section(f"*Next step*\n```{_escaped(message['next_step'])}```"))
    return [*blocks, {"type": "context", "elements": [{"type": "mrkdwn", "text": _links(message)}]}]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."}}


def _links(message: Mapping[str, Any]) -> str:
    # What is no address is a path in the repository: Slack would show a broken link.
    pages = [("Runbook", message["runbook"]), ("In the UI", message["link"])]
    return "  ·  ".join(f"<{_escaped(to)}|{name}>" if "://" in str(to) else f"{name}: `{to}`" for name, to in pages)


def _escaped(text: object) -> str:
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _how_bad(kind: str, alert: Mapping[str, Any], now: datetime, told_level: int) -> str:
    lasted = _lasted((alert["resolved_at"] if kind == "resolved" and alert["resolved_at"] else now) - alert["since"])
    if kind == "resolved":
        return f"it lasted {lasted}"
    how = "hard defect, it pages" if alert["severity"] == "page" else "a warning"
    grew = f", level {alert['level']} after {told_level}" if kind == "worse" and told_level else f", level {alert['level']}"
    return f"{how}{grew}, for {lasted} now"


def _lasted(span: Any) -> str:
    minutes = max(int(span.total_seconds()) // 60, 0)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{number} {word}" for number, word in ((days, "d"), (hours, "h"), (minutes, "min")) if number]
    return " ".join(parts[:2]) or "less than a minute"


def _told(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def subject(message: Mapping[str, Any], names: Sequence[str] = ()) -> str:
    """The subject of a mail: one line without controls."""
    text = f"[{message['severity']}] {_WORDS[message['kind']]}{message['title']}"
    return " ".join("".join(mark if mark.isprintable() else " " for mark in " ".join([*names, text])).split())
