"""The notify service as a process, with a real mail server, a real webhook, and bad days."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.notices import tell
from tests.support import web
from tests.support.notifying import notify
from tests.support.receivers import Mailbox, Webhook, mail_server, wait_until, webhook
from tests.support.servers import Server, free_port

MAIL = {"smtp_host": "127.0.0.1", "mail_to": '["people@example.org"]', "mail_from": "rookery@example.org"}


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


@pytest.fixture
def service(tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = notify(tmp_path, webhook_url=hook.url, smtp_port=free_port(), **MAIL)
    server.start()
    monkeypatch.setenv("ROOKERY_NOTICES_URL", server.url)
    yield server
    server.stop()


def smtp_port(service: Server) -> int:
    return int(service.environment["ROOKERY_NOTIFY_SMTP_PORT"])


def test_one_message_reaches_log_webhook_and_mail_once(
    tmp_path: Path, service: Server, hook: Webhook
) -> None:
    box = Mailbox()
    with mail_server(box, smtp_port(service)):
        for _ in range(3):
            assert tell("gate", "digits", "", "version 3 is accepted", decision="accepted", version=3)
        wait_until("the mail", lambda: len(box.mails) == 1)
        wait_until("the webhook", lambda: len(hook.told) == 1)
    assert hook.told[0]["title"] == box.mails[0]["subject"] == "[digits] gate: version 3 is accepted"
    (line,) = (tmp_path / "notify" / "messages.log").read_text().splitlines()
    assert "version 3 is accepted" in line


def test_a_mail_server_and_a_webhook_away_for_a_while_and_a_killed_service(
    service: Server, hook: Webhook
) -> None:
    hook.status = 503
    assert tell("failure", "digits", "", "train-model failed", workflow="train-model-1")
    wait_until("two tries", lambda: len(hook.told) >= 2)
    service.kill()
    assert tell("failure", "digits", "", "nobody hears this") is False
    service.start()
    hook.status = 200
    box = Mailbox()
    with mail_server(box, smtp_port(service)):
        wait_until("the mail", lambda: len(box.mails) == 1)

        def sent() -> bool:
            found = web.get(service.url + "/messages", timeout=30).json()
            return [d["state"] for d in found[0]["deliveries"]] == ["sent"] * 3

        wait_until("all deliveries", sent)
        heard = len(hook.told)
        service.stop()
        service.start()
        assert tell("failure", "digits", "", "train-model failed", workflow="train-model-1")
    assert len(box.mails) == 1 and len(hook.told) == heard
    assert len({headers["idempotency-key"] for headers in hook.headers}) == 1


def test_it_refuses_to_listen_to_the_world_without_a_token(tmp_path: Path) -> None:
    server = notify(tmp_path, host="0.0.0.0")
    with pytest.raises(AssertionError, match="a token is required to listen on"):
        server.start()
