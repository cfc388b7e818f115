"""Channels: Slack, any URL, mail. Each takes a message, or says why it did not.

Belongs here: speaking to them, what their answers mean, keeping their secrets out of every text. Does not: what is said
(calc/alert_messages), what waits and for how long (warehouse/alerts).

What a channel did with a message is one of three: it took it, it did not, or nobody knows, because the answer never came. A request is
made again at once only where it cannot have been heard. Every attempt of a message carries the same key: `Idempotency-Key` and
`X-RRR-Message` of a webhook, `Message-ID` of a mail, the metadata of a message in Slack. After an attempt of which nobody knows, Slack is
asked first whether it has it (the scope `channels:history`, or `groups:history`); without that scope it may have it twice.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from rrr_assets.calc.alert_messages import headline, plain, slack_blocks, subject
from rrr_assets.calc.outcomes import PermanentFailure

if TYPE_CHECKING:
    import smtplib
    from email.message import EmailMessage

    import httpx

    from rrr_assets.calc.quality_config import Channel
    from rrr_assets.warehouse.alerts import Message

_SECONDS: Final = 5
_ATTEMPTS: Final = 3
_LONGEST_ASKED_SECONDS: Final = 3600
"""The longest wait that a channel is given which asks for it: whoever is on call is not to wait for a mistake in a header."""

_SLACK: Final = "https://slack.com/api/"
_EVENT: Final = "rrr_alert"
_LOOKED_AT: Final = 200
"""Messages of a Slack channel that are looked through for one that may have been taken."""

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
# Of Slack's answers those that speak of this message alone; https://docs.slack.dev/reference/methods/chat.postMessage
_OF_MESSAGE: Final = frozenset(
    {"invalid_blocks", "invalid_blocks_format", "msg_too_long", "msg_blocks_too_long", "metadata_too_large", "no_text"}
)

_MAY_NOT_LOOK: Final = frozenset({"Slack: missing_scope", "Slack: channel_not_found", "Slack: not_in_channel", "Slack: unknown_method"})


class ChannelUnusable(PermanentFailure):
    """A channel is not set up as it must be: the message names what to set."""


@dataclass(eq=False)
class NotTaken(Exception):
    """A channel did not take a message, or nobody knows.

    Attributes:
        reason: Why, without secrets.
        is_unknown: Whether it may have taken it.
        is_of_channel: Whether it would not take another one either.
        wait_seconds: How long it asks to be left alone.
    """

    reason: str
    is_unknown: bool = False
    is_of_channel: bool = True
    wait_seconds: int | None = None

    def __str__(self) -> str:
        return self.reason


class Sender(Protocol):
    """What speaks to a channel."""

    def send(self, message: "Message") -> Mapping[str, Any]:
        """Have the channel take a message; what it said.

        Raises:
            NotTaken, ChannelUnusable: it did not.
        """


def sender_of(channel: "Channel") -> Sender:
    """What speaks to a channel of the settings."""
    kinds: dict[str, Callable[[Channel], Sender]] = {"slack": SlackSender, "webhook": WebhookSender, "email": EmailSender}
    return kinds[channel.kind](channel)


def secret(variable: str | None, channel: "Channel") -> str:
    """The value of the environment variable that holds a channel's secret.

    A line break at its end, as a file of secrets leaves one, is no part of it.

    Raises:
        ChannelUnusable: it is not set, or holds what no request can carry: libraries would print it with their refusal.
    """
    value = os.environ.get(variable or "", "").strip("\r\n")
    if not value:
        raise ChannelUnusable(f"channel {channel.name}: the environment variable {variable} is not set")
    if not (value.isascii() and value.isprintable()):
        raise ChannelUnusable(f"channel {channel.name}: the environment variable {variable} holds a line break, or what is no ASCII")
    return value


def without(text: object, *secrets: str | None) -> str:
    """A text in one line, without some secrets."""
    told = " ".join(str(text).split())
    for each in secrets:
        if each:
            told = told.replace(each, "***")
    return told[:400]


# --- Slack ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SlackSender:
    """Slack by dagster-slack. `url` of the channel is another base of its Web API, for a proxy."""

    channel: "Channel"

    def send(self, message: "Message") -> Mapping[str, Any]:
        from dagster_slack import SlackResource

        token = secret(self.channel.token_variable, self.channel)
        client = SlackResource(token=token).get_client()
        client.base_url = f"{(self.channel.url or _SLACK).rstrip('/')}/"
        client.timeout = _SECONDS
        # It would say a message again whose answer was lost.
        client.retry_handlers = []
        try:
            if message.is_unknown and (taken := self._taken(client, message)) is not None:
                return taken
            return self._post(client, message)
        except NotTaken as failed:
            raise NotTaken(without(failed.reason, token), failed.is_unknown, failed.is_of_channel, failed.wait_seconds) from None

    def _post(self, client: Any, message: "Message") -> Mapping[str, Any]:
        told: dict[str, Any] = {
            "channel": self.channel.channel,
            "text": headline(message.body),
            "blocks": slack_blocks(message.body),
            "metadata": {"event_type": _EVENT, "event_payload": {"message": message.key, "alert": message.alert_id, "kind": message.kind}},
            "unfurl_links": False,
        }
        if message.opened.get("ts"):
            # In the thread of what opened it, and in the channel too where it got worse.
            told |= {"channel": message.opened.get("channel") or told["channel"], "thread_ts": message.opened["ts"]}
            told |= {"reply_broadcast": True} if message.kind == "worse" else {}
        try:
            answer = _slack(client.chat_postMessage, told)
        except NotTaken as refused:
            if refused.is_of_channel or refused.is_unknown:
                raise
            # It is said without its looks rather than not at all.
            answer = _slack(client.chat_postMessage, {**told, "blocks": [], "text": plain(message.body)})
        return {"ts": str(answer.get("ts", "")), "channel": str(answer.get("channel", ""))}

    def _taken(self, client: Any, message: "Message") -> Mapping[str, Any] | None:
        """What Slack said of a message that it has; None where it has it not, or does not let us look."""
        asked: dict[str, Any] = {
            "channel": message.opened.get("channel") or self.channel.channel,
            "include_all_metadata": True,
            "limit": _LOOKED_AT,
        }
        call = client.conversations_history
        if message.opened.get("ts"):
            asked, call = {**asked, "ts": message.opened["ts"]}, client.conversations_replies
        try:
            answer = _slack(call, asked)
        except NotTaken as refused:
            if refused.reason in _MAY_NOT_LOOK:
                return None
            raise
        for each in answer.get("messages") or ():
            if ((each.get("metadata") or {}).get("event_payload") or {}).get("message") == message.key:
                return {"ts": str(each.get("ts", "")), "channel": str(answer.get("channel") or asked["channel"])}
        return None


def _slack(call: Callable[..., Any], told: Mapping[str, Any]) -> Any:
    from http.client import HTTPException
    from urllib.error import URLError

    from slack_sdk.errors import SlackApiError, SlackClientError

    try:
        return call(**told)
    except SlackApiError as error:
        answer = error.response
        named = answer.get("error") if hasattr(answer, "get") else None
        status = getattr(answer, "status_code", 0)
        wait = _wait(getattr(answer, "headers", None) or {})
        raise NotTaken(
            f"Slack: {named or f'status {status}'}", is_unknown=not named and status >= 500, is_of_channel=named not in _OF_MESSAGE,
            wait_seconds=wait,
        ) from error  # fmt: skip
    except URLError as error:
        raise NotTaken(f"Slack: {error.reason}", is_unknown=not _was_unheard(error.reason)) from error
    except (SlackClientError, HTTPException, OSError, ValueError) as error:
        raise NotTaken(f"Slack: {type(error).__name__}: {error}", is_unknown=not _was_unheard(error)) from error


def _was_unheard(error: object) -> bool:
    import socket

    return isinstance(error, ConnectionRefusedError | socket.gaierror)


# --- any URL ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WebhookSender:
    """Any URL that takes JSON: the message's fields, with `text` and `content` for chats that show one of them."""

    channel: "Channel"

    def send(self, message: "Message") -> Mapping[str, Any]:
        url = secret(self.channel.url_variable, self.channel) if self.channel.url_variable else self.channel.url
        token = secret(self.channel.token_variable, self.channel) if self.channel.token_variable else None
        told = {
            **message.body,
            "message": message.key,
            "alert_id": message.alert_id,
            "text": plain(message.body),
            "content": plain(message.body),
        }
        status = post_json(url or "", told, message.key, token=token, secrets=(token, url if self.channel.url_variable else None))
        return {"status": status}


def post_json(url: str, told: Mapping[str, Any], key: str, *, token: str | None = None, secrets: tuple[str | None, ...] = ()) -> int:
    """Post JSON, once as far as can be known: again at once only where nobody heard it. Returns the status.

    Raises:
        NotTaken: it was not answered with a status of success.
    """
    import httpx
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

    headers = {"Idempotency-Key": key, "X-RRR-Message": key} | ({"Authorization": f"Bearer {token}"} if token else {})
    unheard = (httpx.ConnectError, httpx.ConnectTimeout)
    try:
        again = Retrying(
            retry=retry_if_exception_type(unheard), stop=stop_after_attempt(_ATTEMPTS), wait=wait_exponential(multiplier=0.1, max=1),
            reraise=True,
        )  # fmt: skip
        # Redirects are not followed: the token is for this address alone.
        answer = again(httpx.post, url, json=dict(told), headers=headers, timeout=_SECONDS)
    except unheard as error:
        raise NotTaken(without(f"{type(error).__name__}: {error}", *secrets)) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        is_unknown = isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)
        raise NotTaken(without(f"{type(error).__name__}: {error}", *secrets), is_unknown=is_unknown) from None
    if answer.is_success:
        return answer.status_code
    raise NotTaken(
        without(f"it answered {answer.status_code}: {answer.text[:200]}", *secrets), is_unknown=answer.status_code in {502, 504},
        is_of_channel=answer.status_code not in {400, 413, 422}, wait_seconds=_wait(answer.headers),
    )  # fmt: skip


def _wait(headers: "Mapping[str, str] | httpx.Headers") -> int | None:
    given = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return int(min(float(given), _LONGEST_ASKED_SECONDS)) if str(given).isdecimal() else None


# --- mail -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EmailSender:
    """A mail by SMTP, encrypted where the server offers it. A password is sent to another machine over TLS alone."""

    channel: "Channel"

    def send(self, message: "Message") -> Mapping[str, Any]:
        import smtplib
        import ssl

        password = secret(self.channel.token_variable, self.channel) if self.channel.token_variable else None
        is_handed_over = False
        try:
            with self._server() as server:
                self._enter(server, password)
                mail, is_handed_over = self._mail(message), True
                refused = server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            raise NotTaken(without(f"mail: no recipient was accepted: {error.recipients}", password)) from None
        except (
            smtplib.SMTPDataError,
            smtplib.SMTPSenderRefused,
            smtplib.SMTPAuthenticationError,
            smtplib.SMTPConnectError,
            ssl.SSLError,
        ) as error:
            raise NotTaken(without(f"mail: {type(error).__name__}: {error}", password)) from None
        except (smtplib.SMTPException, OSError) as error:
            raise NotTaken(without(f"mail: {type(error).__name__}: {error}", password), is_unknown=is_handed_over) from None
        return {"message_id": mail["Message-ID"], "refused": sorted(refused)}

    def _server(self) -> "smtplib.SMTP":
        import smtplib
        import ssl

        host, port = self.channel.host or "", self.channel.port or 587
        if port == 465:
            return smtplib.SMTP_SSL(host, port, timeout=_SECONDS, context=ssl.create_default_context())
        return smtplib.SMTP(host, port, timeout=_SECONDS)

    def _enter(self, server: "smtplib.SMTP", password: str | None) -> None:
        import ssl

        server.ehlo()
        is_secret = self.channel.port == 465
        if not is_secret and server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
            server.ehlo()
            is_secret = True
        if password is None:
            return
        if not is_secret and self.channel.host not in _LOOPBACK:
            raise NotTaken("mail: the server offers no TLS, and the password is not sent in the clear")
        server.login(self.channel.user or self.channel.sender or "", password)

    def _mail(self, message: "Message") -> "EmailMessage":
        from email.message import EmailMessage
        from email.utils import format_datetime, localtime

        domain = (self.channel.sender or "").rpartition("@")[2] or "localhost"
        mail = EmailMessage()
        mail["From"], mail["To"] = self.channel.sender, ", ".join(self.channel.recipients)
        mail["Subject"] = subject(message.body)
        mail["Date"] = format_datetime(localtime())
        mail["Message-ID"] = f"<{message.key}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        if message.opened.get("message_id"):
            mail["In-Reply-To"] = mail["References"] = message.opened["message_id"]
        mail.set_content(plain(message.body))
        return mail
