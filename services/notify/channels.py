"""The ways to people: a log, a webhook, mail. Each sends one message, or says why not and whether to try again."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import smtplib
import ssl
from collections.abc import Collection
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Protocol

import httpx

from services.common.errors import Refused, Unavailable
from services.common.trust import trust_for
from services.notify.message import KINDS
from services.notify.outbox import Waiting
from services.notify.settings import NotifySettings
from services.notify.words import Words

_LOG_BYTES, _LOG_FILES = 4 << 20, 4
# What a receiver says of the content; any other refusal may pass when somebody mends the receiver or a setting.
_CONTENT = frozenset({400, 413, 415, 422})
_log = logging.getLogger(__name__)


class Channel(Protocol):
    """One way; `kinds` are those that it is told."""

    name: str
    kinds: Collection[str]

    def send(self, waiting: Waiting, words: Words) -> None:
        """Send it. Raises Unavailable if it may work later, Refused if it never will."""

    def close(self) -> None:
        """Let go of what is open."""


class LogChannel:
    """One line for each message in a file that is turned over at 4 MB."""

    name = "log"

    def __init__(self, folder: Path, kinds: Collection[str]) -> None:
        self.kinds: Collection[str] = kinds
        folder.mkdir(parents=True, exist_ok=True)
        self._handler = _Strict(
            folder / "messages.log", maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8", delay=True
        )

    def close(self) -> None:
        self._handler.close()

    def send(self, waiting: Waiting, words: Words) -> None:
        at = datetime.fromtimestamp(waiting.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        facts = json.dumps(waiting.message.facts, ensure_ascii=False)
        line = f"{at} {waiting.message.kind} {words.title} {facts}"
        try:
            self._handler.emit(logging.LogRecord("notify", logging.INFO, "", 0, "%s", (line,), None))
        except OSError as error:
            raise Unavailable(f"the log cannot be written: {error.strerror}") from error


class _Strict(RotatingFileHandler):
    """What cannot be written is an error, and no line on stderr."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        raise  # noqa: PLE0704 logging calls this where it caught something


class WebhookChannel:
    """JSON by POST; `text` is what chat programs show."""

    name = "webhook"

    def close(self) -> None:
        """Nothing is kept open."""

    def __init__(self, settings: NotifySettings) -> None:
        self.kinds: Collection[str] = settings.webhook_kinds
        self._url = settings.webhook_url
        self._secret = settings.webhook_secret.get_secret_value()
        self._seconds = settings.send_seconds
        self._trust = trust_for(self._url)

    def send(self, waiting: Waiting, words: Words) -> None:
        body = json.dumps(
            {
                "key": waiting.key,
                "time": datetime.fromtimestamp(waiting.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "title": words.title,
                "text": f"{words.title}\n{words.text}",
                **waiting.message.model_dump(),
            }
        ).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": waiting.key}
        if self._secret:
            headers["X-Rookery-Signature"] = (
                "sha256=" + hmac.new(self._secret.encode(), body, hashlib.sha256).hexdigest()
            )
        try:
            # Streamed: what the receiver has to say beyond its status is not read.
            with httpx.stream(
                "POST",
                self._url,
                content=body,
                headers=headers,
                timeout=self._seconds,
                verify=self._trust,
            ) as answer:
                status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise Unavailable(f"the webhook does not answer: {type(error).__name__}: {error}") from error
        if status in _CONTENT:
            raise Refused(f"the webhook refuses this message with {status}")
        if not 200 <= status < 300:
            raise Unavailable(f"the webhook answered {status}")


class MailChannel:
    """One mail to all addresses, text and HTML."""

    name = "mail"

    def close(self) -> None:
        """Nothing is kept open."""

    def __init__(self, settings: NotifySettings) -> None:
        self.kinds: Collection[str] = settings.mail_kinds
        self._settings = settings

    def send(self, waiting: Waiting, words: Words) -> None:
        mail = compose(waiting, words, self._settings.mail_from, self._settings.mail_to)
        try:
            self._hand_over(mail)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            what = f"the mail server takes none of the recipients ({', '.join(map(str, codes))})"
            raise Refused(what) if all(code >= 500 for code in codes) else Unavailable(what) from error
        except smtplib.SMTPDataError as error:
            what = f"the mail server refuses the mail with {error.smtp_code}"
            raise Refused(what) if error.smtp_code >= 500 else Unavailable(what) from error
        except (smtplib.SMTPException, OSError, ssl.SSLError) as error:
            raise Unavailable(
                f"the mail server does not take mail: {type(error).__name__}: {error}"
            ) from error

    def _hand_over(self, mail: EmailMessage) -> None:
        settings = self._settings
        with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=settings.send_seconds) as server:
            if settings.smtp_starttls:
                server.starttls(context=ssl.create_default_context())
            if settings.smtp_username:
                server.login(settings.smtp_username, settings.smtp_password.get_secret_value())
            refused = server.send_message(mail, settings.mail_from, settings.mail_to)
        for address, (code, _) in refused.items():
            _log.warning("the mail server does not take mail for %s (%d)", address, code)


def compose(waiting: Waiting, words: Words, sender: str, recipients: Collection[str]) -> EmailMessage:
    """The mail; its Message-ID comes from the key, so a mail program shows one that came twice once.

    `words.title` is one line, and the library refuses a header that is none.
    """
    mail = EmailMessage()
    mail["Subject"] = words.title
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Date"] = format_datetime(datetime.fromtimestamp(waiting.time, UTC))
    name = hashlib.sha256(waiting.key.encode()).hexdigest()[:40]
    mail["Message-ID"] = f"<{name}@{sender.partition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(words.text or words.title)
    if words.html:
        mail.add_alternative(words.html, subtype="html")
    return mail


def open_channels(settings: NotifySettings) -> list[Channel]:
    """The ways that the settings name; the log is always there."""
    found: list[Channel] = [LogChannel(settings.state_dir, KINDS)]
    if settings.webhook_url:
        found.append(WebhookChannel(settings))
    if settings.smtp_host:
        found.append(MailChannel(settings))
    return found
