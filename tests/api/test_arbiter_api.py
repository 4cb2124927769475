"""The arbiter over HTTP: what it takes, what it refuses, and who may ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.arbiter import app as module
from services.arbiter.settings import ArbiterSettings
from services.common.errors import InvalidInput
from tests.support.arbiter import Engine, World
from tests.support.asgi import serving

EVENT = {"kind": "manual", "application": "digits", "subject": "why not", "by": "ann"}


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine, world: World) -> Iterator[Any]:
    monkeypatch.setattr(module, "Facts", lambda _: world)
    monkeypatch.setattr(module, "open_engine", lambda _: engine)
    with ExitStack() as stack:

        def client(**settings: Any) -> httpx.Client:
            quick = {"by_hand_debounce_seconds": 0.0, "tick_seconds": 0.05, "debounce_seconds": 3600.0}
            url = f"sqlite:///{tmp_path / 'arbiter.db'}"
            app = module.create_app(ArbiterSettings(database=url, **{**quick, **settings}))
            return stack.enter_context(serving(app))

        yield client


def until(found: Any) -> Any:
    import time

    end = time.monotonic() + 60
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return value


def test_an_event_is_taken_and_decided(make: Any, engine: Engine) -> None:
    client = make()
    taken = client.post("/events", json=EVENT)
    assert taken.status_code == 202
    (decision,) = until(lambda: client.get("/decisions?application=digits").json())
    assert decision["verdict"] == "retrain"
    assert decision["events"][0]["id"] == taken.json()["event"]
    assert until(lambda: list(engine.workflows)) == [decision["workflow"]]
    (event,) = client.get("/events").json()
    assert event["decision"] == decision["id"]
    assert client.get("/decisions?application=birds").json() == []
    assert client.get("/readyz").json() == {"status": "ready"}
    text = client.get("/metrics").text
    assert 'rookery_arbiter_decisions_total{application="digits",rule="manual",verdict="retrain"} 1.0' in text


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "rain"},
        {"application": "../digits"},
        {"application": "x" * 50},
        {"surprise": 1},
        {"detail": {"x": "y" * 9000}},
        {"detail": {"parameters": {"mlflow-ip": "10.0.0.1"}}},
        {"detail": "text"},
    ],
)
def test_what_is_no_event_is_refused(make: Any, change: dict[str, Any]) -> None:
    client = make()
    assert client.post("/events", json={**EVENT, **change}).status_code == 422
    assert client.get("/events").json() == []


def test_a_page_of_another_site_cannot_post(make: Any) -> None:
    client = make()
    answer = client.post("/events", content=b'{"kind": "manual"}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422
    assert client.get("/events").json() == []


def test_a_large_body_is_refused_before_it_is_read(make: Any) -> None:
    client = make(token="a-token-for-tests")
    assert client.post("/events", content=b"x" * (1 << 20)).status_code == 413


def test_with_a_token_nobody_else_asks_or_reads(make: Any) -> None:
    client = make(token="a-token-for-tests")
    for method, path in (
        ("GET", "/decisions"),
        ("GET", "/events"),
        ("GET", "/quarantine?application=digits"),
        ("POST", "/look?application=digits"),
    ):
        assert client.request(method, path).status_code == 401
    assert client.post("/events", json=EVENT).status_code == 401
    assert client.post("/events", json=EVENT, headers={"Authorization": "Bearer wrong"}).status_code == 401
    known = {"Authorization": "Bearer a-token-for-tests"}
    assert client.post("/events", json=EVENT, headers=known).status_code == 202
    assert client.get("/healthz").status_code == 200


def test_beyond_this_machine_a_token_is_required() -> None:
    with pytest.raises(InvalidInput, match="token"):
        ArbiterSettings.read(host="0.0.0.0")


def test_quarantine_over_http(make: Any) -> None:
    client = make()
    bad = "sha256:" + "b" * 64
    body = {"application": "digits", "data": bad, "reason": "a vandal", "by": "ann"}
    assert client.post("/quarantine", json=body).json()["state"] == "in quarantine"
    assert client.get("/quarantine?application=digits").json() == {bad: "a vandal (ann)"}
    assert client.post("/quarantine", json={**body, "release": True}).json()["state"] == "released"
    assert client.get("/quarantine?application=digits").json() == {}
    for part in ("sha256:bbbbbbbbbbbb", "b" * 64, "", "sha256:" + "B" * 64):
        refused = client.post("/quarantine", json={**body, "data": part})
        assert refused.status_code == 422 and "whole digest" in refused.json()["message"]


def test_a_look_makes_events_of_what_has_changed(make: Any, world: World) -> None:
    client = make()
    assert client.post("/look?application=digits").json() == {"events": []}
    world.data = "sha256:more"
    (event,) = client.post("/look?application=digits").json()["events"]
    assert client.get("/events").json()[0]["id"] == event
