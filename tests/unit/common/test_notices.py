from __future__ import annotations

import socket
import threading
import time

import pytest

from services.common import notices
from services.common.notices import MOST_SECONDS, MOST_TEXT, tell
from tests.support.receivers import webhook


def test_nobody_is_told_where_nobody_wants_to_be() -> None:
    assert tell("gate", "digits", "", "s") is False


def test_a_message_is_handed_over_with_a_key_that_its_repetition_shares(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notices, "MOST_SECONDS", 60)
    with webhook() as hook:
        monkeypatch.setenv("ROOKERY_NOTICES_URL", hook.url.removesuffix("/hook") + "/")
        monkeypatch.setenv("ROOKERY_NOTICES_TOKEN", "geheim")
        for version in (3, 3, 4):
            told = tell(
                "promotion",
                "digits",
                "canary",
                "s" * 9000,
                version=version,
                none=None,
                empty="",
                text="x" * 9000,
            )
            assert told
    first, again, other = (headers["idempotency-key"] for headers in hook.headers)
    assert first == again != other
    assert hook.headers[0]["authorization"] == "Bearer geheim"
    assert hook.told[0] == {
        "kind": "promotion",
        "application": "digits",
        "environment": "canary",
        "subject": "s" * 300,
        "facts": {"version": "3", "text": "x" * MOST_TEXT},
    }


@pytest.mark.parametrize("status", [400, 401, 404, 422, 500, 503])
def test_a_refusal_changes_nothing(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    with webhook() as hook:
        hook.status = status
        monkeypatch.setenv("ROOKERY_NOTICES_URL", hook.url)
        assert tell("gate", "digits", "", "s") is False


def test_a_dead_one_costs_less_than_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody there, somebody who never answers, somebody who answers a byte at a time, and no such name."""
    with socket.create_server(("127.0.0.1", 0)) as deaf, socket.create_server(("127.0.0.1", 0)) as slow:
        over = threading.Event()
        threading.Thread(target=drip, args=(slow, over), daemon=True).start()
        for url in (
            "http://127.0.0.1:9",
            "http://{}:{}".format(*deaf.getsockname()),
            "http://{}:{}".format(*slow.getsockname()),
            "http://no-such-host.invalid",
            "http://[::1",
            "nonsense",
            "http://127.0.0.1:99999",
        ):
            monkeypatch.setenv("ROOKERY_NOTICES_URL", url)
            began = time.monotonic()
            assert tell("gate", "digits", "", "s", reasons=["a"]) is False
            # A busy machine adds to the bound; each of these would take far longer without it.
            assert MOST_SECONDS < 1 and time.monotonic() - began < 15, url
        over.set()


def test_settings_that_are_none_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOKERY_NOTICES_UR", "http://127.0.0.1:9")
    assert tell("gate", "digits", "", "s") is False


def drip(listener: socket.socket, over: threading.Event) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(1000)
        for byte in b"HTTP/1.1 202 Accepted\r\nX-Long: " + b"a" * 600:
            try:
                connection.sendall(bytes([byte]))
            except OSError:
                return
            if over.wait(0.1):
                return
