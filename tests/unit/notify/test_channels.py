from __future__ import annotations

import hashlib
import hmac
import socket
from pathlib import Path

import pytest

from services.common.errors import Refused, Unavailable
from services.notify.channels import LogChannel, MailChannel, WebhookChannel, compose, open_channels
from services.notify.message import KINDS, Message
from services.notify.outbox import Waiting
from services.notify.settings import NotifySettings
from services.notify.words import Phrasebook, Words
from tests.support.receivers import Mailbox, mail_server, webhook

MESSAGE = Message(
    kind="gate",
    application="digits",
    subject="refused: größer\r\nBcc: all@example.org",
    facts={"reasons": "<b>accuracy</b> 0.5\nlower"},
)
WAITING = Waiting("k" * 64, MESSAGE, 0, 0.0)
WORDS = Phrasebook().words(MESSAGE, 0.0)


def test_the_log_has_one_line_for_each_message(tmp_path: Path) -> None:
    channel = LogChannel(tmp_path, KINDS)
    channel.send(WAITING, WORDS)
    channel.send(WAITING, WORDS)
    channel.close()
    first, second = (tmp_path / "messages.log").read_text().splitlines()
    assert first == second
    assert first.startswith("1970-01-01T00:00:00Z gate [digits] gate: refused: größer Bcc: all@example.org {")
    assert "\\nlower" in first


def test_a_log_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    channel = LogChannel(tmp_path, KINDS)
    (tmp_path / "messages.log").mkdir()
    with pytest.raises(Unavailable, match="cannot be written"):
        channel.send(WAITING, WORDS)
    (tmp_path / "messages.log").rmdir()
    channel.send(WAITING, WORDS)
    channel.close()
    assert len((tmp_path / "messages.log").read_text().splitlines()) == 1


def test_the_webhook_gets_json_with_a_key_and_a_signature() -> None:
    with webhook() as hook:
        settings = NotifySettings(webhook_url=hook.url, webhook_secret="s3cret")  # type: ignore[arg-type]
        WebhookChannel(settings).send(WAITING, WORDS)
    (told,), (headers,), (body,) = hook.told, hook.headers, hook.bodies
    assert told["key"] == headers["idempotency-key"] == WAITING.key
    assert told["kind"] == "gate" and told["facts"] == MESSAGE.facts
    assert told["text"].startswith("[digits] gate: refused")
    assert headers["x-rookery-signature"] == "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, Unavailable), (404, Unavailable), (429, Unavailable), (302, Unavailable), (400, Refused)],
)
def test_what_a_webhook_refuses_for_good_and_what_may_pass(status: int, error: type[Exception]) -> None:
    with webhook() as hook:
        hook.status = status
        with pytest.raises(error, match=str(status)):
            WebhookChannel(NotifySettings(webhook_url=hook.url)).send(WAITING, WORDS)


def test_a_webhook_that_never_answers_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = "http://{}:{}/".format(*deaf.getsockname())
        channel = WebhookChannel(NotifySettings(webhook_url=url, send_seconds=0.2))
        with pytest.raises(Unavailable, match="does not answer"):
            channel.send(WAITING, WORDS)


def mail_settings(port: int, **more: object) -> NotifySettings:
    return NotifySettings(
        **{
            "smtp_host": "127.0.0.1",
            "smtp_port": port,
            "mail_to": ["one@example.org", "two@example.org"],
            "mail_from": "rookery@example.org",
            "send_seconds": 30.0,
        }
        | more  # type: ignore[arg-type]
    )


def test_a_mail_has_text_and_html_and_no_header_of_the_senders() -> None:
    box = Mailbox()
    with mail_server(box) as port:
        MailChannel(mail_settings(port)).send(WAITING, WORDS)
    (mail,), (raw,) = box.mails, box.raw
    assert box.envelopes == [("rookery@example.org", ["one@example.org", "two@example.org"])]
    assert mail["subject"] == "[digits] gate: refused: größer Bcc: all@example.org"
    assert mail["bcc"] is None and b"\r\nBcc:" not in raw
    assert mail["message-id"] == f"<{hashlib.sha256(WAITING.key.encode()).hexdigest()[:40]}@example.org>"
    assert mail["auto-submitted"] == "auto-generated"
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None and "<b>accuracy</b> 0.5" in text.get_content()
    assert html is not None and "&lt;b&gt;accuracy" in html.get_content()


def test_even_words_with_line_ends_make_no_header() -> None:
    with pytest.raises(ValueError, match=r"(?i)header"):
        compose(WAITING, Words("a\r\nBcc: b@c.example", "t", ""), "a@b.example", ["c@d.example"])


def test_a_mail_server_that_may_come_round_and_one_that_will_not() -> None:
    box = Mailbox()
    with mail_server(box) as port:
        channel = MailChannel(mail_settings(port))
        for refusal, error in (("451 later", Unavailable), ("554 no", Refused)):
            box.refusal = refusal
            with pytest.raises(error):
                channel.send(WAITING, WORDS)
        box.refusal, box.unknown = "", {"one@example.org"}
        channel.send(WAITING, WORDS)
        assert box.envelopes == [("rookery@example.org", ["two@example.org"])]
        box.unknown = {"one@example.org", "two@example.org"}
        with pytest.raises(Refused, match="none of the recipients"):
            channel.send(WAITING, WORDS)
    with pytest.raises(Unavailable):
        channel.send(WAITING, WORDS)


def test_a_password_is_never_said_without_a_server_that_knows_logins() -> None:
    with mail_server(Mailbox()) as port:
        for more in ({"smtp_username": "u", "smtp_password": "p"}, {"smtp_starttls": True}):
            with pytest.raises(Unavailable, match="SMTPNotSupported"):
                MailChannel(mail_settings(port, **more)).send(WAITING, WORDS)


def test_the_settings_open_the_ways(tmp_path: Path) -> None:
    assert [c.name for c in open_channels(NotifySettings(state_dir=tmp_path))] == ["log"]
    everything = NotifySettings(
        state_dir=tmp_path, webhook_url="http://x", smtp_host="x", mail_to=["a@b.example"]
    )
    assert [c.name for c in open_channels(everything)] == ["log", "webhook", "mail"]
