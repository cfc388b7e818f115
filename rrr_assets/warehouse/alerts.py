"""Alerts and what is said of them: kept in the database, so that whoever is killed loses nothing and doubles nothing.

Belongs here: what the ledgers say is wrong, opening and resolving alerts, the outbox, mutes. Does not: grouping and words (calc/alerts,
calc/alert_messages), what Dagster says is wrong (resources/alert_signals), speaking to a channel (resources/alert_channels).

An alert and the messages about it are written in one transaction. A cause is known again by its members, so a hole that grows into the
outage of a venue stays one alert. Resolving is told some minutes later, and not at all where the cause is back by then.

A message is marked as begun, and committed so, before the channel hears of it, and as sent when the channel has taken it. Who is killed
between the two leaves a message of which nobody knows: the next attempt says so to the channel, which looks whether it has it, or is
told the same key again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from rrr_assets.calc.alert_messages import body
from rrr_assets.calc.alerts import Cause, Mute, Signal, class_of_failure, fingerprint, is_muted, kept_together, not_before
from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.contracts.runbooks import HARD, RULES
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.home import Home, home_dir
from rrr_assets.warehouse.sqlfiles import query

if TYPE_CHECKING:
    from rrr_assets.calc.quality_config import Alerting, Channel

Connection = psycopg.Connection[tuple[Any, ...]]

BEGUN: Final = "begun, and not known whether it was taken"
"""How the last error of a message begins of which that is so."""

# By name: the watchdog imports this, and no contract of a table with what they are made of.
_ASSETS: Final = frozenset(
    {
        "raw_trades", "raw_agg_trades", "raw_quotes", "raw_depth", "venue_bars", "bar_conformance",
        "bars_1m", "bars_5m", "bars_1h", "bars_1d", "bars_tick", "bars_volume", "bars_dollar",
    }
)  # fmt: skip
_STREAMS: Final = ("trades", "agg_trades", "quotes", "depth")
_MOST: Final = 5000
_MOST_MEMBERS: Final = 5000
_LOOK_BACK: Final = timedelta(hours=24)
_LONGEST_SETTLE: Final = timedelta(hours=1)
_REFUSED_FOR: Final = timedelta(days=3)
_RECENT_LATE: Final = timedelta(minutes=15)
_DAILY_LATE: Final = timedelta(hours=26)
_FIRST_WAIT_SECONDS: Final = 15
_LONGEST_WAIT_SECONDS: Final = 900
_LOUDNESS: Final = {"warn": 1, "page": 2}


class MuteRefused(PermanentFailure):
    """The mute cannot be placed or ended: the message says why."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a look at the causes changed, in alerts."""

    opened: int = 0
    worse: int = 0
    resolved: int = 0
    open: int = 0
    muted: int = 0


@dataclass(frozen=True, slots=True)
class Addresses:
    """What links in messages begin with."""

    ui: str = "http://127.0.0.1:3000"
    runbook: str = "docs/runbooks"


# --- what the ledgers say is wrong ------------------------------------------------------------------------------


def ledger_signals(connection: Connection, now: datetime) -> list[Signal]:
    """Gaps and findings that are open, feeds that are late, files that were refused, checks that broke down or have not run."""
    findings = list(_findings(connection))
    told = {signal.instrument for signal in findings if signal.rule == "freshness"}
    late = [signal for signal in _late_feeds(connection) if signal.instrument not in told]
    return [*_gaps(connection), *findings, *late, *_refused(connection, now), *_runs_of_checks(connection, now, findings)]


def _gaps(connection: Connection) -> Iterator[Signal]:
    for row in _rows(connection, "alert_signals_gaps", {"most": _MOST}):
        stream, day = row["stream"], row["day"]
        hours = int((row["to_time"] - row["from_time"]).total_seconds()) // 3600
        many = f"{row['gaps']} gaps" if row["gaps"] > 1 else "a gap"
        ids = f", {row['ids']:,} ids" if row["ids"] else ""
        why = " and ".join(row["causes"]).replace("_", " ")
        tried = f"; the last attempt to heal it: {row['last_reason']}" if row["last_reason"] else ""
        yield Signal(
            key=f"gap|{row['instrument']}|{stream}|{day}|{'file' if row['is_of_file'] else 'feed'}",
            kind="gap", rule="gap", severity=_default("gap"),
            what=f"{stream} of {row['instrument']} are missing on {day}: {many}{ids}, cause {why}{tried}"[:600],
            since=row["from_time"], found_at=row["first_seen"], size=row["ids"] or hours or 1, instrument=row["instrument"],
            relation=_table(stream), day=day, is_of_file=row["is_of_file"], path=_asset(_table(stream), day),
        )  # fmt: skip


def _late_feeds(connection: Connection) -> Iterator[Signal]:
    for row in _rows(connection, "alert_signals_stale", {"most": _MOST}):
        last = row["last_event_time"]
        since = last or row["looked_at"]
        promised = timedelta(seconds=int(row["limit_seconds"] or 0))
        newest = f"the newest of {last:%Y-%m-%d %H:%M:%S} UTC" if last else "there is none"
        yield Signal(
            key=f"freshness|{row['instrument']}|{row['stream']}", kind="finding", rule="freshness", severity=_default("freshness"),
            what=f"Nothing new comes in: {row['stream']} of {row['instrument']}, {newest}, {promised} are promised",
            since=since, found_at=since + promised, instrument=row["instrument"], relation=_table(row["stream"]),
            path=_asset(_table(row["stream"]), None),
        )  # fmt: skip


def _findings(connection: Connection) -> Iterator[Signal]:
    seen: dict[str, Signal] = {}
    for row in _rows(connection, "alert_signals_findings", {"most": _MOST}):
        rule, relation, instrument, day = row["rule"], row["relation"], row["instrument"], row["day"]
        where = " ".join(filter(None, (relation, f"of {instrument}" if instrument else "", f"on {day}" if day else "")))
        example = f" ({row['examples'][0]})" if row["examples"] else ""
        title = RULES[rule].title if rule in RULES else rule.replace("_", " ").capitalize()
        key = f"finding|{rule}|{relation}|{instrument}|{day}"
        before = seen.get(key)
        size = row["broken"] + (before.size if before else 0)
        # What was examined of two stretches may be the same rows.
        rows = f"{size:,} rows" if before else f"{size:,} of {row['examined']:,} rows"
        since = min(row["since"], before.since) if before else row["since"]
        path = _run(row["run_id"]) if rule == "broken_check" else _asset(_table(row["stream"] or relation), day)
        seen[key] = Signal(
            key=key, kind="finding", rule=rule, severity=row["severity"],
            what=f"{title}: {where}, {rows}{example}"[:600],
            since=since, found_at=row["first_seen"], size=size, instrument=instrument,
            relation=_table(relation), day=day, run_id=row["run_id"], path=path,
            reason=row["examples"][0] if rule == "broken_check" and row["examples"] else None,
        )  # fmt: skip
    # Findings of one look share its run, which says nothing about their cause.
    yield from seen.values()


def _refused(connection: Connection, now: datetime) -> Iterator[Signal]:
    for path, at, reason in Home(home_dir()).refused_files()[:_MOST]:
        yield Signal(
            key=f"refused|{path.name}", kind="platform", rule="refused_file", severity=_default("refused_file"),
            what=f"A file of the inbox was refused: {reason}"[:600], since=at, found_at=at, path="/assets/landing_files",
        )  # fmt: skip
    for row in _rows(connection, "alert_signals_refused", {"since": now - _REFUSED_FOR, "most": _MOST}):
        yield Signal(
            key=f"refused|{row['name']}|{row['day']}", kind="platform", rule="refused_file", severity="warn",
            what=f"{row['name']} was refused for {row['day']}: {row['refused']}"[:600],
            since=row["accepted_at"], found_at=row["accepted_at"], relation=row["name"], day=row["day"], path="/assets/landing_files",
        )  # fmt: skip


def _runs_of_checks(connection: Connection, now: datetime, findings: Sequence[Signal]) -> Iterator[Signal]:
    # The run says it with the check's name before it.
    reasons = {f"{each.relation}: {each.reason}": each.reason for each in findings if each.rule == "broken_check"}
    for row in _rows(connection, "alert_signals_runs", {}):
        kind, ended = row["kind"], row["finished_at"]
        for error in row["errors"]:
            yield Signal(
                key=f"broken|{kind}|{fingerprint(error)}", kind="platform" if class_of_failure(error) else "check",
                rule=class_of_failure(error) or "broken_check", severity="page", what=f"A check breaks down: {error}"[:600], since=ended,
                found_at=ended, relation=None, run_id=row["run_id"], reason=reasons.get(error, error), path=_run(row["run_id"]),
            )  # fmt: skip
        if now - ended > (_RECENT_LATE if kind == "recent" else _DAILY_LATE):
            yield Signal(
                key=f"quality_run|{kind}", kind="platform", rule="quality_run", severity="page",
                what=f"The {kind} run of the checks ended last at {ended:%Y-%m-%d %H:%M} UTC", since=ended, found_at=ended,
                path=_run(row["run_id"]),
            )  # fmt: skip


def _default(rule: str) -> str:
    return "page" if rule in HARD else "warn"


def _table(relation: str) -> str:
    """The table of a stream; a table's own name stays."""
    if relation.startswith("venue_bars"):
        return "venue_bars"
    return f"raw_{relation}" if relation in _STREAMS else relation


def _asset(relation: str, day: date | None) -> str:
    """Where a table is seen in the UI; what is no asset of its own is seen at the file, or at what all tables are held against."""
    if relation == "ingest_batches":
        return "/assets/landing_files"
    if relation not in _ASSETS:
        return "/assets/validations"
    return f"/assets/{relation}" + (f"?view=partitions&partition={day}" if day else "")


def _run(run_id: str | None) -> str | None:
    return f"/runs/{run_id}" if run_id else None


def _rows(connection: Connection, name: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query(name), values).fetchall()


# --- opening, worsening, resolving ------------------------------------------------------------------------------


def reconcile(
    connection: Connection, look: Callable[[], Sequence[Cause]], settings: "Alerting", now: datetime, addresses: Addresses | None = None
) -> Reconciled:
    """Bring the alerts in step with what is wrong now, and write down what is to be said of it; one transaction.

    Args:
        connection: The writer's, not in a transaction.
        look: What is wrong, asked for under the lock: nobody's older look comes after a newer one.
        settings: Who is told of what.
        now: When this is, UTC.
        addresses: What links begin with.
    """
    with connection.transaction():
        connection.execute(query("alert_lock"))
        work = _Reconciling(connection, settings, now, addresses or Addresses())
        done = work.run(list(look()))
        reach("alerts.reconciled")
    reach("alerts.committed")
    return done


@dataclass
class _Reconciling:
    connection: Connection
    settings: "Alerting"
    now: datetime
    addresses: Addresses
    opened: int = 0
    worse: int = 0
    muted: int = 0

    def run(self, causes: list[Cause]) -> Reconciled:
        known = self._ask("alert_known", since=self.now - _LOOK_BACK, begun=BEGUN)
        mutes = [Mute(row["scope"], row["rule"]) for row in self._ask("alert_mutes_in_force", now=self.now)]
        were_open = [alert for alert in known if alert["state"] == "open"]
        causes = kept_together(causes, [_members(alert) for alert in were_open])
        still = _matched(causes, were_open)
        kept = {alert["alert_id"] for alert in still.values()}
        lost = [alert for alert in were_open if alert["alert_id"] not in kept]
        new = [cause for cause in causes if cause.key not in still]
        back = _matched(new, [alert for alert in known if self._may_come_back(alert)])
        # What is over comes first: a cause that took another's place may have its key.
        for alert in lost:
            self._resolve(alert, next((cause for cause in causes if cause.members & _members(alert)), None), still | back)
        for alert in back.values():
            self._do("alert_message_unsay", alert_id=alert["alert_id"], begun=BEGUN)
        keys = {alert["cause"] for alert in still.values()}
        for cause in causes:
            before = still.get(cause.key) or back.get(cause.key)
            self._tell(cause, self._written(cause, before, keys), before, muted=is_muted(cause, mutes))
        return Reconciled(self.opened, self.worse, len(lost), len(causes), self.muted)

    def _may_come_back(self, alert: dict[str, Any]) -> bool:
        """Whether nobody was told that it is over, and it is not settled that it is."""
        settled = (alert["detail"] or {}).get("settled_at")
        is_settled = settled is None or datetime.fromisoformat(settled) <= self.now
        return alert["state"] == "resolved" and not alert["was_said_over"] and not is_settled

    def _written(self, cause: Cause, before: dict[str, Any] | None, keys: set[str]) -> dict[str, Any]:
        detail = dict(before["detail"] or {}) if before else {}
        detail |= {"members": sorted(cause.members)[:_MOST_MEMBERS], "lines": list(cause.lines)}
        detail.pop("settled_at", None)
        key = cause.key if cause.key not in keys else f"{cause.key}|{self.now.isoformat()}"
        values: dict[str, Any] = {
            "cause": key, "rule": cause.rule, "severity": cause.severity, "title": cause.title, "scope": cause.scope, "since": cause.since,
            "level": cause.level, "next_step": cause.next_step, "runbook": cause.page, "link": cause.path,
        }  # fmt: skip
        if before is None:
            keys.add(key)
            return self._ask("alert_open", **values, detail=Jsonb(detail), now=self.now)[0]
        if _is_as_before(values, before, detail):
            return before
        return self._ask("alert_change", **values, alert_id=before["alert_id"], detail=Jsonb(detail), now=self.now)[0]

    def _tell(self, cause: Cause, alert: dict[str, Any], before: dict[str, Any] | None, *, muted: bool) -> None:
        if muted:
            self.muted += 1
            return
        detail, told = alert["detail"] or {}, alert["told_level"]
        is_louder = _LOUDNESS[cause.severity] > _LOUDNESS.get(detail.get("told_severity", ""), 0)
        is_worse = cause.level > told and cause.level >= self.settings.worse_factor * told
        is_news = not told or is_louder or is_worse
        has_heard = set(before["opened"]) if before else set()
        level = max(cause.level, told + 1)
        for channel in self._channels(cause.severity):
            if channel.name in has_heard:
                if is_news and not self._renewed(alert, channel, level, told):
                    self._say("worse", alert, channel, level, told)
            elif not told or is_louder or channel.name in detail.get("unsaid", ()):
                self._say("opened", alert, channel, max(cause.level, told))
        if not is_news:
            return
        self._do("alert_told", alert_id=alert["alert_id"], level=level if told else cause.level, severity=cause.severity)
        self.worse += bool(told)
        self.opened += not told

    def _renewed(self, alert: Mapping[str, Any], channel: "Channel", level: int, told: int) -> bool:
        """Whether a message about it waits still, and tells how it is now."""
        text = self._body("worse", alert, told)
        found = self._ask(
            "alert_message_renew", alert_id=alert["alert_id"], channel=channel.name, level=level, body=Jsonb(text), begun=BEGUN
        )  # fmt: skip
        return bool(found)

    def _resolve(self, alert: Mapping[str, Any], into: Cause | None, told: Mapping[str, dict[str, Any]]) -> None:
        (over,) = self._ask("alert_resolve", alert_id=alert["alert_id"], now=self.now)
        dropped = {
            row["channel"]
            for row in self._ask("alert_message_drop_quiet", alert_id=alert["alert_id"], now=self.now)
            if row["kind"] == "opened"
        }
        times = self._ask("alert_times_of_cause", since=self.now - _LOOK_BACK, members=sorted(_members(alert)))[0]["count"]
        settle = min(timedelta(seconds=self.settings.settle_seconds) * 2 ** min(max(times - 1, 0), 20), _LONGEST_SETTLE)
        note = None
        if into is not None:
            settle = timedelta(0)
            other = told.get(into.key)
            note = f"It is told from now on as a part of {'alert ' + str(other['alert_id']) if other else 'another alert'}: {into.title}"
        detail = {**(alert["detail"] or {}), "settled_at": (self.now + settle).isoformat(), "unsaid": sorted(dropped)}
        self._do("alert_change_detail", alert_id=alert["alert_id"], detail=Jsonb(detail))
        for name in sorted(set(alert["opened"]) - dropped):
            channel = next((each for each in self.settings.channels if each.name == name), None)
            if channel is not None:
                self._say("resolved", over, channel, max(alert["told_level"], 1), note=note, after=settle)

    def _channels(self, severity: str) -> "list[Channel]":
        return [channel for channel in self.settings.channels if severity in channel.severities]

    def _say(
        self, kind: str, alert: Mapping[str, Any], channel: "Channel", level: int, told: int = 0, note: str | None = None,
        after: timedelta = timedelta(0),
    ) -> None:  # fmt: skip
        self._do(
            "alert_message_write", alert_id=alert["alert_id"], channel=channel.name, kind=kind, level=level,
            body=Jsonb(self._body(kind, alert, told, note)), now=self.now,
            not_before=not_before(channel, alert["severity"], self.settings.quiet_hours, self.now + after),
        )  # fmt: skip

    def _body(self, kind: str, alert: Mapping[str, Any], told: int, note: str | None = None) -> dict[str, Any]:
        lines = (alert["detail"] or {}).get("lines", ())
        links = {"ui_url": self.addresses.ui, "runbook_url": self.addresses.runbook}
        return body(kind, {**alert, "lines": lines}, self.now, told_level=told, note=note, **links)

    def _ask(self, name: str, **values: Any) -> list[dict[str, Any]]:
        return _rows(self.connection, name, values)

    def _do(self, name: str, **values: Any) -> None:
        self.connection.execute(query(name), values)


def _members(alert: Mapping[str, Any]) -> frozenset[str]:
    return frozenset((alert["detail"] or {}).get("members", ()))


def _is_as_before(values: Mapping[str, Any], before: dict[str, Any], detail: Mapping[str, Any]) -> bool:
    same = all(values[name] == before[name] for name in ("rule", "severity", "title", "scope", "level", "next_step", "runbook", "link"))
    return same and before["state"] == "open" and before["since"] <= values["since"] and before["detail"] == detail


def _matched(causes: Sequence[Cause], alerts: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Which alert each cause is, by its key: the one that shares most of its members, the older one of two."""
    by_member: dict[str, list[int]] = defaultdict(list)
    for number, alert in enumerate(alerts):
        for member in _members(alert):
            by_member[member].append(number)
    shared: dict[tuple[int, int], int] = defaultdict(int)
    for place, cause in enumerate(causes):
        for member in cause.members:
            for number in by_member.get(member, ()):
                shared[place, number] += 1
    found: dict[str, dict[str, Any]] = {}
    taken: set[int] = set()
    for (place, number), _ in sorted(shared.items(), key=lambda each: (-each[1], alerts[each[0][1]]["alert_id"], each[0][0])):
        if causes[place].key not in found and number not in taken:
            found[causes[place].key] = alerts[number]
            taken.add(number)
    return found


# --- the outbox -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel is to take.

    Attributes:
        key: The same for every attempt, and for this message alone: a channel that knows it has it already.
        is_unknown: Whether an earlier attempt may have been taken.
        opened: The receipt of the message that opened the alert, where the channel took it.
    """

    message_id: int
    alert_id: int
    kind: str
    level: int
    body: dict[str, Any]
    key: str
    attempts: int
    is_unknown: bool
    opened: dict[str, Any]


@contextmanager
def speaking_to(connection: Connection, channel: str) -> Iterator[bool]:
    """Whether this session may speak to a channel: not while another one does. `connection` in autocommit."""
    ((is_mine,),) = connection.execute(query("alert_lock_sending"), {"channel": channel}).fetchall()
    try:
        yield bool(is_mine)
    finally:
        if is_mine and not connection.closed:
            connection.execute(query("alert_unlock_sending"), {"channel": channel})


def next_message(connection: Connection, channel: str, now: datetime, after: int) -> Message | None:
    """The next message that is due, marked as begun and committed so; None where there is none behind `after`."""
    row = connection.execute(query("alert_next"), {"channel": channel, "now": now, "after": after}).fetchone()
    if row is None:
        return None
    begun = _rows(connection, "alert_begin", {"message_id": row[0], "begun": BEGUN})
    if not begun:
        return next_message(connection, channel, now, row[0])
    reach("alerts.begun")
    (told,) = begun
    return Message(
        message_id=told["message_id"], alert_id=told["alert_id"], kind=told["kind"], level=told["level"], body=told["body"],
        key=_key(connection, told), attempts=told["attempts"], is_unknown=(told["last_error"] or "").startswith(BEGUN),
        opened=(told["opened_body"] or {}).get("receipt") or {},
    )  # fmt: skip


def _key(connection: Connection, row: Mapping[str, Any]) -> str:
    import uuid

    # Of this database alone: another one counts its messages from 1 too.
    name = f"{connection.info.dbname}|{row['message_id']}|{row['created_at'].astimezone(UTC).isoformat()}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def mark_sent(connection: Connection, message: Message, receipt: Mapping[str, Any], now: datetime) -> None:
    """The channel took it; `receipt` is what it said."""
    reach("alerts.accepted")
    connection.execute(query("alert_sent"), {"message_id": message.message_id, "receipt": Jsonb({"receipt": dict(receipt)}), "now": now})
    reach("alerts.sent")


def mark_failed(
    connection: Connection, channel: str, message: Message, error: str, now: datetime, *, is_unknown: bool, is_of_channel: bool,
    wait_seconds: int | None = None,
) -> None:  # fmt: skip
    """It was not taken, or nobody knows. The wait until the next attempt doubles, up to a quarter of an hour.

    Args:
        connection: In autocommit.
        channel: The channel's name.
        message: Which.
        error: Why, without secrets.
        now: When, UTC.
        is_unknown: Whether the channel may have taken it.
        is_of_channel: Whether the others of the channel would fail too: they wait as well.
        wait_seconds: How long the channel asked to be left alone.
    """
    wait = max(min(_FIRST_WAIT_SECONDS * 2 ** min(message.attempts - 1, 10), _LONGEST_WAIT_SECONDS), wait_seconds or 0)
    at = now + timedelta(seconds=wait)
    told = f"{BEGUN}: {error}" if is_unknown else error
    connection.execute(query("alert_failed"), {"message_id": message.message_id, "error": told[:500], "not_before": at})
    if is_of_channel:
        connection.execute(query("alert_hold_channel"), {"channel": channel, "not_before": at})


def waiting(connection: Connection, before: datetime) -> list[dict[str, Any]]:
    """What waits by channel that could have been sent before a time: channel, messages, oldest, attempts, last_error."""
    return _rows(connection, "alert_waiting", {"before": before})


# --- mutes ------------------------------------------------------------------------------------------------------


def mute(
    database: Database, scope: str, until: datetime, reason: str, *, rule: str | None = None, start: datetime | None = None
) -> int:  # fmt: skip
    """Place a mute, from now on or from `start`; returns its number.

    Raises:
        MuteRefused: it ends before it begins or has ended, its scope or rule is none, or there is no reason.
    """
    from rrr_assets.warehouse.tiers import by_whom  # the watchdog asks this module, and needs nothing of the archive

    now = datetime.now(UTC)
    begin = start or now
    if until <= begin or until <= now:
        raise MuteRefused(f"a mute until {until.isoformat()} is over before it begins")
    if not reason.strip():
        raise MuteRefused("a mute needs a reason")
    if rule is not None and rule not in RULES:
        raise MuteRefused(f"there is no rule {rule}. There are {', '.join(RULES)}")
    if not scope.strip() or " " in scope:
        raise MuteRefused(f"'{scope}' is no scope: write VENUE:SYMBOL, VENUE or *")
    values = {"scope": scope, "rule": rule, "from_time": begin, "to_time": until, "reason": reason, "now": now, "placed_by": by_whom()}
    with database.connect(Role.WRITER) as connection:
        ((number,),) = connection.execute(query("alert_mute_place"), values).fetchall()
    return int(number)


def unmute(database: Database, mute_id: int) -> None:
    """End a mute.

    Raises:
        MuteRefused: there is none of the number that holds or will.
    """
    with database.connect(Role.WRITER) as connection:
        if connection.execute(query("alert_mute_end"), {"mute_id": mute_id, "now": datetime.now(UTC)}).fetchone() is None:
            raise MuteRefused(f"there is no mute {mute_id} that has not ended. `rrr alerts mutes` shows those that hold")
