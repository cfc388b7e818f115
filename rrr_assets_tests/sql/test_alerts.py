"""Alerts in a real database, told to a real server: each opened once, worse only when it is, over once, whoever is killed or down."""

import random
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as Mailbox

from rrr_assets import read
from rrr_assets.calc.alerts import Cause, causes
from rrr_assets.calc.quality_config import Alerting
from rrr_assets.resources.alert_channels import ChannelUnusable, NotTaken, sender_of
from rrr_assets.resources.alerting import Delivered, deliver, send_test
from rrr_assets.warehouse import alerts
from rrr_assets.warehouse.alerts import MuteRefused, Reconciled, ledger_signals, mute, reconcile, unmute
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets_tests.alert_server import NOW, TOKEN, AlertServer, alerting, cause, serving
from rrr_assets_tests.warm import killed_at

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[AlertServer]:
    with serving() as served:
        yield served


@pytest.fixture
def served(server: AlertServer, database: Database, monkeypatch: pytest.MonkeyPatch) -> AlertServer:
    """The server with nothing taken, and the books of alerts empty."""
    monkeypatch.setenv("RRR_TEST_TOKEN", TOKEN)
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("truncate alerts, alert_messages, alert_mutes, gaps, gap_attempts, findings, quality_runs, stream_freshness")
    url = server.url
    server.__init__(url=url)  # type: ignore[misc]  # as new, on the same port
    return server


@pytest.fixture
def writer(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with database.connect(Role.WRITER, autocommit=True) as connection:
        yield connection


class Told:
    """The platform as it tells: a clock, what is wrong, who is told."""

    def __init__(self, database: Database, settings: Alerting) -> None:
        self.database, self.settings, self.now = database, settings, NOW

    def sees(self, *wrong: Cause, after: timedelta = timedelta(0)) -> Reconciled:
        self.now += after
        with self.database.connect(Role.WRITER, autocommit=True) as connection:
            return reconcile(connection, lambda: list(wrong), self.settings, self.now)

    def sends(self, after: timedelta = timedelta(0)) -> Delivered:
        self.now += after
        return deliver(self.database, self.settings, clock=lambda: self.now)

    def tells(self, *wrong: Cause, after: timedelta = timedelta(0)) -> Delivered:
        self.sees(*wrong, after=after)
        return self.sends()


@pytest.fixture
def told(database: Database, served: AlertServer) -> Told:
    return Told(database, alerting(served, "slack", "webhook"))


MINUTE = timedelta(minutes=1)
BTC, ETH, XBT = cause("binance:BTCUSDT"), cause("binance:ETHUSDT"), cause("kraken:XBTUSD")


# --- once -------------------------------------------------------------------------------------------------------


def test_it_is_told_once_and_once_more_when_it_is_over(told: Told, served: AlertServer) -> None:
    assert told.tells(BTC).sent == 2
    assert [told.tells(BTC, after=MINUTE).sent for _ in range(5)] == [0] * 5
    assert told.tells(after=MINUTE).sent == 2
    assert [told.tells(after=MINUTE).sent for _ in range(3)] == [0] * 3
    assert [kind for _, kind in served.kinds()] == ["opened", "resolved"]
    opened, resolved = served.slack
    assert opened["authorization"] == f"Bearer {TOKEN}"
    assert opened["text"] == "🔴 trades of binance:BTCUSDT are missing"
    assert opened["blocks"][0]["type"] == "section"
    assert resolved["thread_ts"] == opened["ts"]
    assert [each["kind"] for each in served.hooks] == ["opened", "resolved"]
    assert served.hooks[0]["runbook"] == "docs/runbooks/gap.md"
    assert served.hooks[0]["link"] == "http://127.0.0.1:3000/assets/raw_trades"
    assert served.hooks[0]["next_step"] == "rrr gaps"


def test_it_is_told_again_only_when_it_is_twice_as_bad(told: Told, served: AlertServer) -> None:
    levels = [2, 3, 4, 7, 4, 8, 8, 15, 16]
    for level in levels:
        told.tells(replace(BTC, level=level), after=MINUTE)
    assert [kind for _, kind in served.kinds()] == ["opened", "worse", "worse", "worse"]
    assert [each["thread_ts"] for each in served.slack[1:]] == [served.slack[0]["ts"]] * 3
    assert served.hooks[1]["how_bad"].startswith("hard defect, it pages, level 4 after 2")


def test_a_warning_that_becomes_a_defect_is_told_to_who_is_paged(told: Told, served: AlertServer) -> None:
    told.tells(replace(BTC, severity="warn"))
    assert (len(served.slack), [each["kind"] for each in served.hooks]) == (0, ["opened"])
    told.tells(BTC, after=MINUTE)
    assert ([kind for _, kind in served.kinds()], [each["kind"] for each in served.hooks]) == (["opened"], ["opened", "worse"])


def test_an_instrument_that_becomes_a_venue_is_the_same_alert(told: Told, served: AlertServer) -> None:
    told.tells(BTC)
    venue = cause("binance", level=100, members=[*BTC.members, *(f"gap|binance:S{n}" for n in range(99))])
    told.tells(venue, after=MINUTE)
    assert [kind for _, kind in served.kinds()] == ["opened", "worse"]
    assert len({alert for alert, _ in served.kinds()}) == 1


def test_two_that_turn_out_to_be_one_are_told_to_be_one(told: Told, served: AlertServer) -> None:
    told.tells(BTC, ETH)
    told.tells(cause("binance", level=2, members=[*BTC.members, *ETH.members]), after=MINUTE)
    assert [kind for _, kind in served.kinds()] == ["opened", "opened", "resolved", "worse"]
    (merged,) = [each for each in served.hooks if each["kind"] == "resolved"]
    assert merged["note"].startswith("It is told from now on as a part of alert ")


def test_what_comes_back_before_its_end_was_told_was_never_over(told: Told, served: AlertServer) -> None:
    told.settings = told.settings.model_copy(update={"settle_seconds": 300})
    for _ in range(10):
        told.tells(BTC, after=MINUTE)
        told.tells(after=MINUTE)
    assert [kind for _, kind in served.kinds()] == ["opened"]
    told.sends(after=10 * MINUTE)
    assert [kind for _, kind in served.kinds()] == ["opened", "resolved"]
    told.tells(BTC, after=MINUTE)
    assert [kind for _, kind in served.kinds()] == ["opened", "resolved", "opened"]


def test_what_comes_and_goes_must_be_gone_for_longer_each_time(told: Told, served: AlertServer) -> None:
    told.settings = told.settings.model_copy(update={"settle_seconds": 60})
    for _ in range(20):
        told.sees(BTC, after=MINUTE)
        told.sees(after=MINUTE)
        told.tells(after=MINUTE)
    # An end after a minute, another after two; then it is over for as long only when it stays away.
    assert [kind for _, kind in served.kinds()] == ["opened", "resolved", "opened", "resolved", "opened"]


# --- mutes and quiet hours --------------------------------------------------------------------------------------


@pytest.fixture
def muted(database: Database, told: Told) -> int:
    with database.connect(Role.OWNER, autocommit=True) as connection:
        rows = connection.execute(
            "insert into alert_mutes (scope, from_time, to_time, reason, placed_at, placed_by)"
            " values ('binance', %s, %s, 'announced', now(), 'me') returning mute_id",
            (told.now, told.now + 60 * MINUTE),
        ).fetchall()
    return int(rows[0][0])


@pytest.mark.usefixtures("muted")
def test_what_is_muted_is_opened_and_told_when_the_mute_ends(told: Told, served: AlertServer) -> None:
    assert told.sees(BTC, XBT) == Reconciled(opened=1, open=2, muted=1)
    told.sends()
    assert served.slack_texts() == ["🔴 trades of kraken:XBTUSD are missing"]
    told.tells(BTC, XBT, after=59 * MINUTE)
    assert len(served.slack) == 1
    told.tells(BTC, XBT, after=MINUTE)
    assert served.slack_texts()[1:] == ["🔴 trades of binance:BTCUSDT are missing"]


@pytest.mark.usefixtures("muted")
def test_what_is_over_within_its_mute_is_not_told(told: Told, served: AlertServer) -> None:
    told.tells(BTC)
    told.tells(after=MINUTE)
    told.tells(after=120 * MINUTE)
    assert served.slack == []
    assert read.alerts(resolved=True, database=told.database).column("state").to_pylist() == ["resolved"]


def test_a_mute_that_is_ended_early_mutes_no_more(told: Told, served: AlertServer, muted: int) -> None:
    told.tells(BTC)
    unmute_now = muted
    with told.database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("update alert_mutes set ended_at = %s where mute_id = %s", (told.now, unmute_now))
    told.tells(BTC, after=MINUTE)
    assert len(served.slack) == 1


@pytest.mark.usefixtures("served")
def test_mutes_are_placed_listed_and_ended(database: Database) -> None:
    until = datetime.now(UTC) + timedelta(hours=2)
    number = mute(database, "binance", until, "maintenance", rule="gap")
    listed = read.alert_mutes(database=database).to_pylist()
    assert [(row["mute_id"], row["scope"], row["rule"], row["reason"]) for row in listed] == [(number, "binance", "gap", "maintenance")]
    unmute(database, number)
    assert len(read.alert_mutes(database=database)) == 0
    assert len(read.alert_mutes(ended=True, database=database)) == 1
    with pytest.raises(MuteRefused, match="no mute"):
        unmute(database, number)
    for wrong in ({"until": datetime.now(UTC)}, {"reason": " "}, {"rule": "nothing"}, {"scope": "a b"}):
        with pytest.raises(MuteRefused):
            mute(database, **{"scope": "*", "until": until, "reason": "x", **wrong})  # type: ignore[arg-type]


def test_a_warning_of_the_night_is_told_in_the_morning_unless_it_is_over(told: Told, served: AlertServer) -> None:
    told.settings = Alerting.model_validate(told.settings.model_dump() | {"quiet_hours": {"from_hour": 22, "to_hour": 7}})
    told.now = NOW.replace(hour=23)
    stays, goes = replace(ETH, severity="warn"), replace(XBT, severity="warn")
    told.tells(BTC, stays, goes)
    assert [each["where"] for each in served.hooks] == ["binance:BTCUSDT"]
    told.tells(BTC, stays, after=60 * MINUTE)
    assert len(served.hooks) == 1
    told.tells(BTC, stays, after=420 * MINUTE)
    assert [each["where"] for each in served.hooks] == ["binance:BTCUSDT", "binance:ETHUSDT"]


def test_a_warning_that_comes_back_in_the_night_is_told_in_the_morning(told: Told, served: AlertServer) -> None:
    told.settings = Alerting.model_validate(
        told.settings.model_dump() | {"quiet_hours": {"from_hour": 22, "to_hour": 7}, "settle_seconds": 600}
    )
    told.now = NOW.replace(hour=23)
    warning = replace(ETH, severity="warn")
    for wrong in ([warning], [], [warning]):
        told.tells(*wrong, after=MINUTE)
    assert served.hooks == []
    told.tells(warning, after=480 * MINUTE)
    assert [each["kind"] for each in served.hooks] == ["opened"]


# --- a channel that fails ---------------------------------------------------------------------------------------


def test_slack_down_alerts_are_kept_and_sent_later_once(told: Told, served: AlertServer) -> None:
    served.is_down = True
    told.settings = alerting(served, "slack")
    for wrong in ([BTC], [BTC, ETH], [ETH], [ETH]):
        assert told.tells(*wrong, after=MINUTE).sent == 0
    served.is_down = False
    told.sends(after=20 * MINUTE)
    assert told.sends(after=20 * MINUTE).sent == 0
    assert [(text[0], kind) for text, (_, kind) in zip(served.slack_texts(), served.kinds(), strict=True)] == [
        ("🔴", "opened"), ("🔴", "opened"), ("🟢", "resolved"),
    ]  # fmt: skip
    assert len({each["metadata"]["event_payload"]["message"] for each in served.slack}) == 3


def test_one_dead_channel_does_not_keep_another_from_being_told(told: Told, served: AlertServer) -> None:
    broken = told.settings.channels[0].model_copy(update={"url": "http://127.0.0.1:9/"})
    told.settings = told.settings.model_copy(update={"channels": (broken, told.settings.channels[1])})
    delivered = told.tells(BTC)
    assert delivered.sent == 1
    assert "slack" in delivered.failed
    assert len(served.hooks) == 1


def test_what_waits_says_why_without_a_secret_and_waits_longer_each_time(told: Told, served: AlertServer) -> None:
    served.answers = ["invalid_auth"] * 10
    told.settings = alerting(served, "slack")
    told.sees(BTC)
    tried = []
    for _ in range(60):
        before = len(served.answers)
        told.sends(after=timedelta(seconds=15))
        if len(served.answers) < before:
            tried.append(told.now)
    with told.database.connect(Role.WRITER, autocommit=True) as connection:
        (row,) = connection.execute("select last_error, attempts from alert_messages").fetchall()
    waits = [later - earlier for earlier, later in pairwise(tried)]
    assert waits == sorted(waits)
    assert len(tried) in {6, 7}
    assert row[0] == "Slack: invalid_auth"
    assert TOKEN not in row[0]


def test_what_slack_asks_for_is_waited(told: Told, served: AlertServer) -> None:
    served.answers = [429]
    told.settings = alerting(served, "slack")
    told.tells(BTC)
    told.sends(after=timedelta(seconds=76))
    assert served.slack == []
    told.sends(after=timedelta(seconds=2))
    assert len(served.slack) == 1


@pytest.mark.parametrize("kind", ["slack", "webhook"])
def test_a_wait_without_end_keeps_nobody_from_being_told(told: Told, served: AlertServer, kind: str) -> None:
    served.answers, served.retry_after = [429], "9" * 4400
    told.settings = alerting(served, kind)
    assert list(told.tells(BTC).failed.values())
    assert told.sends(after=timedelta(minutes=61)).sent == 1


def test_blocks_that_slack_refuses_are_sent_as_text(told: Told, served: AlertServer) -> None:
    served.answers = ["invalid_blocks"]
    told.settings = alerting(served, "slack")
    assert told.tells(BTC).sent == 1
    assert "Next step: rrr gaps" in served.slack[0]["text"]


def test_an_answer_that_never_came_is_looked_up_and_nothing_is_said_twice(told: Told, served: AlertServer) -> None:
    served.answers = ["cut"]
    told.settings = alerting(served, "slack")
    assert told.tells(BTC).sent == 0
    told.sends(after=20 * MINUTE)
    assert served.looks == 1
    assert [kind for _, kind in served.kinds()] == ["opened"]
    # The thread is known from what was looked up.
    told.tells(after=MINUTE)
    assert served.slack[1]["thread_ts"] == served.slack[0]["ts"]


def test_who_may_not_look_says_it_again_under_the_same_key(told: Told, served: AlertServer) -> None:
    served.answers, served.may_look = ["cut", "cut"], False
    told.tells(BTC)
    told.sends(after=20 * MINUTE)
    keys = [each["metadata"]["event_payload"]["message"] for each in served.slack]
    assert len(set(keys)) == 1
    assert len(served.hooks) == 2
    assert len(served.distinct_hooks()) == 1


def test_a_message_that_a_channel_refuses_does_not_hold_up_the_others(told: Told, served: AlertServer) -> None:
    served.answers = [422]
    told.settings = alerting(served, "webhook")
    told.tells(BTC, ETH)
    assert len(served.hooks) == 1
    told.tells(after=MINUTE)
    assert [each["kind"] for each in served.hooks] == ["opened", "opened", "resolved", "resolved"]


def test_a_channel_without_its_secret_says_which_variable(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RRR_TEST_TOKEN")
    assert "RRR_TEST_TOKEN is not set" in told.tells(BTC).failed["slack"]
    with pytest.raises(ChannelUnusable, match="RRR_TEST_TOKEN"):
        send_test(told.settings.channels[0])


def test_the_test_of_a_channel(told: Told, served: AlertServer) -> None:
    for channel in told.settings.channels:
        send_test(channel)
    assert "nothing is wrong" in served.slack[0]["text"]
    assert "nothing is wrong" in served.hooks[0]["title"]
    served.is_down = True
    with pytest.raises(NotTaken):
        send_test(told.settings.channels[1])


def test_a_secret_address_stands_in_no_error(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRR_TEST_HOOK", "http://127.0.0.1:9/services/T0/very-secret")
    hook = told.settings.channels[1].model_copy(update={"url": None, "url_variable": "RRR_TEST_HOOK"})
    with pytest.raises(NotTaken) as failed:
        send_test(hook)
    assert "very-secret" not in str(failed.value)
    assert sender_of(hook)


def test_a_secret_with_a_line_break_or_a_letter_that_no_header_carries_is_told_to_nobody(
    told: Told, served: AlertServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    slack, hook = told.settings.channels
    hook = hook.model_copy(update={"token_variable": "RRR_TEST_TOKEN"})
    monkeypatch.setenv("RRR_TEST_TOKEN", "very-secret\n")
    for channel in (slack, hook):
        send_test(channel)
    assert [served.slack[0]["authorization"], served.hooks[0]["authorization"]] == ["Bearer very-secret"] * 2
    for token in ("very-secret\nmore", "very-sécret"):
        monkeypatch.setenv("RRR_TEST_TOKEN", token)
        for channel in (slack, hook):
            with pytest.raises(ChannelUnusable, match="RRR_TEST_TOKEN") as failed:
                send_test(channel)
            assert "cret" not in str(failed.value)


class _Kept(Mailbox):
    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.mails.append(message)


def test_a_mail_is_plain_text_in_one_thread(told: Told) -> None:
    kept = _Kept()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(kept, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        mail = {
            "name": "mail",
            "kind": "email",
            "host": "127.0.0.1",
            "port": port,
            "sender": "rrr@desk.test",
            "recipients": ["a@desk.test", "b@desk.test"],
        }
        told.settings = Alerting.model_validate({"channels": [mail], "settle_seconds": 0})
        assert told.tells(BTC).sent == 1
        assert told.tells(after=MINUTE).sent == 1
    finally:
        controller.stop()
    opened, resolved = kept.mails
    assert opened["Subject"] == "[page] trades of binance:BTCUSDT are missing"
    assert opened["To"] == "a@desk.test, b@desk.test"
    assert "Next step: rrr gaps" in opened.get_payload(decode=True).decode()
    assert opened["Message-ID"].endswith("@desk.test>")
    assert resolved["Subject"].startswith("[page] Resolved:")
    assert resolved["In-Reply-To"] == opened["Message-ID"]


def test_a_mail_server_that_is_not_there(told: Told) -> None:
    mail = {"name": "mail", "kind": "email", "host": "127.0.0.1", "port": 9, "sender": "rrr@desk.test", "recipients": ["a@desk.test"]}
    told.settings = Alerting.model_validate({"channels": [mail]})
    assert "refused" in told.tells(BTC).failed["mail"]


# --- killed -----------------------------------------------------------------------------------------------------


@pytest.mark.crash
@pytest.mark.parametrize("place", ["alerts.reconciled", "alerts.begun", "alerts.accepted", "alerts.accepted:2"])
def test_killed_anywhere_each_channel_is_told_once(told: Told, served: AlertServer, place: str) -> None:
    names = ["binance:BTCUSDT", "kraken:XBTUSD"]
    code = f"from rrr_assets_tests.alert_server import tell; tell({told.database.name!r}, {served.url!r}, *{names!r})"
    killed_at(place, code)
    for _ in range(3):
        told.tells(*(cause(name) for name in names), after=20 * MINUTE)
    assert sorted(served.slack_texts()) == sorted(f"🔴 trades of {name} are missing" for name in names)
    assert sorted(each["where"] for each in served.distinct_hooks()) == names
    assert len(served.hooks) <= 3


def test_several_that_send_at_once_say_everything_once(told: Told, served: AlertServer) -> None:
    told.sees(*(cause(f"v{n}:S{n}") for n in range(20)))
    senders = [threading.Thread(target=told.sends) for _ in range(4)]
    for each in senders:
        each.start()
    for each in senders:
        each.join()
    told.sends()
    assert len(served.slack) == 20
    assert len(served.hooks) == 20


def test_several_that_look_at_once_open_one_alert(told: Told) -> None:
    lookers = [threading.Thread(target=told.sees, args=(BTC, ETH)) for _ in range(4)]
    for each in lookers:
        each.start()
    for each in lookers:
        each.join()
    assert len(read.alerts(database=told.database)) == 2


def test_a_slow_channel_ends_at_its_budget_and_goes_on_later(told: Told, served: AlertServer) -> None:
    told.settings = alerting(served, "webhook")
    told.sees(*(cause(f"v{n}:S{n}") for n in range(5)))
    assert deliver(told.database, told.settings, budget_seconds=0, clock=lambda: told.now) == Delivered(0, {}, is_ended_early=True)
    assert told.sends().sent == 5


# --- whatever happens -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_each_alert_is_opened_once_worse_only_when_it_is_and_over_once(
    told: Told, served: AlertServer, seed: int
) -> None:  # fmt: skip
    chance = random.Random(seed)
    names = ["binance:BTCUSDT", "binance:ETHUSDT", "kraken:XBTUSD"]
    told.settings = told.settings.model_copy(update={"settle_seconds": chance.choice([0, 120])})
    wrong: dict[str, Cause] = {}
    for _ in range(50):
        match chance.choice(["cause", "cause", "cause", "mute", "channel", "look", "send", "send"]):
            case "cause":
                name = chance.choice(names)
                if name in wrong and chance.random() < 0.4:
                    del wrong[name]
                else:
                    wrong[name] = cause(name, level=chance.randint(1, 20), severity=chance.choice(["page", "page", "warn"]))
            case "mute":
                with told.database.connect(Role.OWNER, autocommit=True) as connection:
                    connection.execute(
                        "insert into alert_mutes (scope, from_time, to_time, reason, placed_at, placed_by)"
                        " values (%s, %s, %s, 'x', now(), 'me')",
                        (chance.choice(["binance", "kraken:XBTUSD"]), told.now, told.now + chance.randint(1, 20) * MINUTE),
                    )
            case "channel":
                served.is_down = not served.is_down
                served.answers = chance.choices([200, "cut", 503, 429, "invalid_auth", 422], k=chance.randint(0, 3))
            case "look":
                told.sees(*wrong.values(), after=chance.randint(0, 4) * MINUTE)
            case _:
                told.sends(after=chance.randint(0, 4) * MINUTE)
    served.is_down, served.answers = False, []
    told.sees(*wrong.values(), after=30 * MINUTE)
    told.sees(after=MINUTE)
    for _ in range(4):
        told.sends(after=60 * MINUTE)
    _hold(told.database, served)


def _hold(database: Database, served: AlertServer) -> None:
    with database.connect(Role.OWNER, autocommit=True) as connection:
        assert connection.execute("select count(*) from alert_messages where sent_at is null").fetchall() == [(0,)]
        assert connection.execute("select count(*) from alerts where state = 'open'").fetchall() == [(0,)]
        written = connection.execute("select channel, alert_id, kind, level from alert_messages order by message_id").fetchall()
        told_of = {row[0] for row in connection.execute("select alert_id from alerts where told_level > 0").fetchall()}
    assert {alert for channel, alert, _, _ in written if channel == "hook"} == told_of
    by_alert: dict[tuple[str, int], list[tuple[str, int]]] = defaultdict(list)
    for channel, alert, kind, level in written:
        by_alert[channel, alert].append((kind, level))
    for messages in by_alert.values():
        kinds = [kind for kind, _ in messages]
        assert kinds == ["opened", *["worse"] * (len(kinds) - 2), "resolved"]
        levels = [level for _, level in messages[:-1]]
        assert levels == sorted(set(levels))
    # And that is what arrived, in this order, and nothing twice.
    taken = {"slack": served.kinds(), "hook": [(each["alert_id"], each["kind"]) for each in served.distinct_hooks()]}
    for channel, arrived in taken.items():
        per_alert: dict[int, list[str]] = defaultdict(list)
        for alert, kind in arrived:
            per_alert[alert].append(kind)
        assert per_alert == {alert: [kind for kind, _ in messages] for (name, alert), messages in by_alert.items() if name == channel}


# --- what the ledgers say ---------------------------------------------------------------------------------------


def test_the_ledgers_say_what_is_wrong(told: Told, writer: psycopg.Connection[Any]) -> None:
    writer.execute(
        "insert into gaps (instrument, stream, kind, from_time, to_time, first_missing, last_missing, cause, state, first_seen, changed_at,"
        " evidence) select 'binance:BTCUSDT', 'trades', 'ids', '2024-01-02 03:00z'::timestamptz + n * interval '1 h',"
        " '2024-01-02 03:05z'::timestamptz + n * interval '1 h', n * 100, n * 100 + 9, 'feed', state, now(), now(), '{}'"
        " from generate_series(1, 4) as n, lateral (select (array['open', 'healing', 'healed', 'accepted'])[n] as state) as s"
    )
    writer.execute(
        "insert into findings (rule, severity, relation, instrument, day, broken, examined, examples, state, first_seen, last_seen) values"
        " ('duplicate', 'page', 'raw_trades', 'binance:BTCUSDT', '2024-01-02', 7, 100, '{\"id 5\"}', 'open', now(), now()),"
        " ('order', 'page', 'raw_trades', 'binance:BTCUSDT', '2024-01-02', 7, 100, '{}', 'resolved', now(), now())"
    )
    writer.execute(
        "insert into stream_freshness (instrument, stream, last_event_time, limit_seconds, is_fresh, looked_at) values"
        " ('kraken:XBTUSD', 'trades', '2024-01-02 11:00z', 600, false, now()), ('kraken:XBTUSD', 'quotes', now(), 600, true, now())"
    )
    writer.execute(
        "insert into quality_runs (kind, started_at, finished_at, errors) values ('daily', %(old)s, %(old)s, '{}'),"
        " ('recent', %(old)s, %(old)s, '{}'), ('recent', %(now)s, %(now)s, '{\"rule x: division by zero\"}')",
        {"now": NOW, "old": NOW - timedelta(days=3)},
    )
    found = {(signal.rule, signal.what) for signal in ledger_signals(writer, NOW)}
    assert found == {
        ("gap", "trades of binance:BTCUSDT are missing on 2024-01-02: 2 gaps, 20 ids, cause feed"),
        ("duplicate", "Rows are there twice: raw_trades of binance:BTCUSDT on 2024-01-02, 7 of 100 rows (id 5)"),
        ("freshness", "Nothing new comes in: trades of kraken:XBTUSD, the newest of 2024-01-02 11:00:00 UTC, 0:10:00 are promised"),
        ("broken_check", "A check breaks down: rule x: division by zero"),
        ("quality_run", "The daily run of the checks ended last at 2023-12-30 12:00 UTC"),
    }
    assert told.now == NOW


def test_stretches_of_a_day_are_told_together_since_the_first_and_lead_to_their_asset(told: Told, writer: psycopg.Connection[Any]) -> None:
    writer.execute(
        "insert into findings (rule, severity, relation, instrument, day, from_time, to_time, broken, examined, examples, detail, state,"
        " first_seen, last_seen) select rule, 'page', relation, 'binance:BTCUSDT', '2024-01-02', begun::timestamptz,"
        " begun::timestamptz + interval '1 s', broken, examined, '{}', detail::jsonb, 'open', %s, %s from (values"
        " ('order', 'raw_trades', '2024-01-02 01:00z', 1, 1, null), ('order', 'raw_trades', '2024-01-02 05:00z', 1, 1, null),"
        " ('duplicate', 'ingest_batches', '2024-01-02 06:00z', 9, 10, '{\"stream\": \"quotes\"}'))"
        " as v (rule, relation, begun, broken, examined, detail)",
        (NOW, NOW),
    )
    found = {signal.rule: signal for signal in ledger_signals(writer, told.now)}
    assert found["order"].what.endswith("raw_trades of binance:BTCUSDT on 2024-01-02, 2 rows")
    assert found["order"].since == datetime(2024, 1, 2, 1, tzinfo=UTC)
    assert found["duplicate"].path == "/assets/raw_quotes?view=partitions&partition=2024-01-02"


def test_a_look_at_empty_ledgers_finds_nothing(told: Told, writer: psycopg.Connection[Any]) -> None:
    assert ledger_signals(writer, told.now) == []
    assert told.sees() == Reconciled()


def test_an_analyst_reads_alerts_and_the_loudest_are_first(told: Told) -> None:
    told.sees(replace(BTC, severity="warn"), XBT)
    found = read.alerts(database=told.database).to_pylist()
    assert [(row["severity"], row["scope"], row["state"]) for row in found] == [
        ("page", "kraken:XBTUSD", "open"),
        ("warn", "binance:BTCUSDT", "open"),
    ]


def test_what_is_begun_is_known_by_its_words() -> None:
    # The queries look for it by `like`.
    assert not set("%_\\") & set(alerts.BEGUN)


def see_ledgers(told: Told, after: timedelta) -> Reconciled:
    told.now += after
    with told.database.connect(Role.WRITER, autocommit=True) as connection:
        done = reconcile(connection, lambda: causes(ledger_signals(connection, told.now), told.settings), told.settings, told.now)
    told.sends()
    return done


OPEN_GAPS = (
    "insert into gaps (instrument, stream, kind, from_time, to_time, cause, state, first_seen, changed_at, evidence)"
    " select 'binance:S' || n, 'trades', 'interval', '2024-01-02 11:00z', '2024-01-02 12:00z', 'feed', 'open',"
    " %s::timestamptz + n * %s::interval, now(), '{}' from generate_series(1, %s) as n"
)


def test_a_venue_that_stops_is_one_message_and_one_more_when_all_of_it_is_back(
    told: Told, served: AlertServer, writer: psycopg.Connection[Any]
) -> None:  # fmt: skip
    writer.execute(OPEN_GAPS, (NOW, timedelta(0), 100))
    see_ledgers(told, MINUTE)
    writer.execute("update gaps set cause = 'venue_outage' where mod(gap_id, 2) = 0")
    see_ledgers(told, MINUTE)
    for _ in range(4):
        writer.execute(
            "update gaps set state = 'healed' where gap_id in (select gap_id from gaps where state = 'open' order by 1 limit 24)"
        )
        see_ledgers(told, MINUTE)
    assert [kind for _, kind in served.kinds()] == ["opened"]
    assert served.slack_texts() == ["🔴 Data is missing: 100 instruments of binance on 2024-01-02, 100 findings"]
    writer.execute("update gaps set state = 'accepted' where state = 'open'")
    see_ledgers(told, MINUTE)
    assert [kind for _, kind in served.kinds()] == ["opened", "resolved"]


def test_a_trickle_that_heals_from_its_beginning_opens_nothing_anew(
    told: Told, served: AlertServer, writer: psycopg.Connection[Any]
) -> None:  # fmt: skip
    writer.execute(OPEN_GAPS, (NOW, timedelta(minutes=10), 30))
    see_ledgers(told, MINUTE)
    opened = len(served.slack)
    assert 2 <= opened < 8
    for _ in range(10):
        writer.execute("update gaps set state = 'healed' where gap_id in (select gap_id from gaps where state = 'open' order by 1 limit 3)")
        see_ledgers(told, MINUTE)
    kinds = [kind for _, kind in served.kinds()]
    assert kinds == ["opened"] * opened + ["resolved"] * opened
