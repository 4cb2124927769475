from __future__ import annotations

from pathlib import Path

import pytest

from services.notify.app import MOST_ALERT_BYTES, MOST_MESSAGE_BYTES, create_app
from services.notify.settings import NotifySettings
from tests.support.asgi import serving
from tests.support.receivers import wait_until
from tests.unit.notify.test_alerts import alert, group

MESSAGE = {"kind": "gate", "application": "digits", "environment": "", "subject": "s", "facts": {"a": "b"}}
JSON = {"Content-Type": "application/json"}


def test_a_message_is_taken_shown_and_counted(tmp_path: Path) -> None:
    with serving(create_app(NotifySettings(state_dir=tmp_path))) as client:
        first = client.post("/messages", json=MESSAGE)
        assert (first.status_code, first.json()["fresh"]) == (202, True)
        assert client.post("/messages", json=MESSAGE).json() == first.json() | {"fresh": False}
        other = client.post("/messages", json=MESSAGE, headers={"Idempotency-Key": "another"})
        assert other.json() == {"key": "another", "fresh": True}
        wait_until("the log", lambda: 'channel="log",state="sent"} 2.0' in client.get("/metrics").text)
        shown = client.get("/messages?limit=1").json()
        assert len(shown) == 1 and shown[0]["deliveries"][0]["channel"] == "log"
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
    assert len((tmp_path / "messages.log").read_text().splitlines()) == 2


def test_alerts_of_alertmanager(tmp_path: Path) -> None:
    with serving(create_app(NotifySettings(state_dir=tmp_path))) as client:
        for expected in (True, False):
            answer = client.post("/alerts", content=group(alert("A")), headers=JSON)
            assert (answer.status_code, answer.json()["fresh"]) == (202, expected)


@pytest.mark.parametrize(
    ("path", "content", "headers", "status"),
    [
        ("/messages", b"{}", JSON, 422),
        ("/messages", b"{}", {"Content-Type": "text/plain"}, 422),
        ("/messages", b"x" * (MOST_MESSAGE_BYTES + 1), JSON, 413),
        ("/alerts", b"x" * (MOST_ALERT_BYTES + 1), JSON, 413),
        ("/alerts", b"[1]", JSON, 422),
        ("/messages", b"{}", JSON | {"Idempotency-Key": "x" * 129}, 422),
    ],
)
def test_what_is_not_taken(
    tmp_path: Path, path: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    with serving(create_app(NotifySettings(state_dir=tmp_path))) as client:
        answer = client.post(path, content=content, headers=headers)
        assert answer.status_code == status
        assert answer.json()["message"]
        assert client.get("/messages").json() == []


def test_a_full_outbox_says_so(tmp_path: Path) -> None:
    settings = NotifySettings(
        state_dir=tmp_path, most_waiting=1, webhook_url="http://127.0.0.1:9", retry_seconds=60
    )
    with serving(create_app(settings)) as client:
        assert client.post("/messages", json=MESSAGE).status_code == 202
        refused = client.post("/messages", json=MESSAGE | {"subject": "t"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")


def test_with_a_token_only_those_who_know_it(tmp_path: Path) -> None:
    settings = NotifySettings(state_dir=tmp_path, host="0.0.0.0", token="geheim")  # type: ignore[arg-type]
    with serving(create_app(settings)) as client:
        for headers in ({}, {"Authorization": "Bearer gehei"}, {"Authorization": "Bearer gehéim".encode()}):
            assert client.post("/messages", json=MESSAGE, headers=headers).status_code == 401
            assert client.get("/messages", headers=headers).status_code == 401
        good = {"Authorization": "Bearer geheim"}
        assert client.post("/messages", json=MESSAGE, headers=good).status_code == 202
        assert client.get("/messages", headers=good).status_code == 200
        assert client.get("/metrics").status_code == 200
