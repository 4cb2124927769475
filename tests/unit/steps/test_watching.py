"""What is asked of the monitor and told to the arbiter, and what happens when they are away."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from workflows.steps import watching as module
from workflows.steps.outcome import FAULT_EXIT_CODE


class Wire:
    """Answers by path; what was sent is kept."""

    def __init__(self) -> None:
        self.window: dict[str, Any] = {"state": "steady"}
        self.away: set[str] = set()
        self.strange: set[str] = set()
        self.sent: list[tuple[str, Any]] = []
        self.said: dict[str, str] = {}

    def __call__(self, method: str, url: str, **more: Any) -> httpx.Response:
        path = httpx.URL(url).path
        if path in self.away or httpx.URL(url).host in self.away:
            raise httpx.ConnectError("refused")
        self.sent.append((path, more.get("json") or more.get("params")))
        self.said[path] = more["headers"].get("Authorization", "")
        answers = {"/look": {"events": []}, "/events": {"event": 1}, "/drift": self.window}
        if path in self.strange:
            return httpx.Response(200, content=b"<html>a proxy</html>")
        return httpx.Response(200, content=json.dumps(answers[path]).encode())


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    made = Wire()
    monkeypatch.setattr(module.httpx, "request", made)
    monkeypatch.setenv("ROOKERY_ARBITER_URL", "http://arbiter")
    monkeypatch.setenv("ROOKERY_MONITOR_URL", "http://monitor")
    facts = SimpleNamespace(environments=("staging", "production"))
    monkeypatch.setattr(module, "repository", lambda _: SimpleNamespace(tree=lambda: None))
    monkeypatch.setattr(module, "list_applications", lambda _: ["birds", "digits"])
    monkeypatch.setattr(module, "load_application", lambda _, name: facts)
    return made


def events(wire: Wire) -> list[tuple[str, str]]:
    return [(body["kind"], body["application"]) for path, body in wire.sent if path == "/events"]


def test_all_are_looked_at_and_steady_ones_are_no_event(wire: Wire) -> None:
    module.watch_applications("", "false")
    assert [body["application"] for path, body in wire.sent if path == "/look"] == ["birds", "digits"]
    assert events(wire) == []


def test_each_is_told_its_token(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOKERY_ARBITER_TOKEN", "for the arbiter")
    module.watch_applications("digits", "false")
    assert wire.said == {"/look": "Bearer for the arbiter", "/drift": ""}
    monkeypatch.setenv("ROOKERY_MONITOR_TOKEN", "for the monitor")
    module.watch_applications("digits", "false")
    assert wire.said == {"/look": "Bearer for the arbiter", "/drift": "Bearer for the monitor"}


def test_drift_in_production_is_an_event(wire: Wire) -> None:
    wire.window = {"state": "drift", "drifting": ["loudness"], "version": "3"}
    module.watch_applications("digits", "false")
    assert events(wire) == [("drift", "digits")]
    assert wire.sent[-1][1]["subject"] == "production version 3"


def test_when_it_is_time_the_arbiter_is_told_so(wire: Wire) -> None:
    module.watch_applications("", "true")
    assert events(wire) == [("schedule", "birds"), ("schedule", "digits")]


def test_without_a_monitor_data_and_code_are_looked_at_all_the_same(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wire.away = {"monitor"}
    module.watch_applications("digits", "false")
    assert "drift is not known" in capsys.readouterr().out
    monkeypatch.delenv("ROOKERY_MONITOR_URL")
    module.watch_applications("digits", "false")
    assert "nobody watches" in capsys.readouterr().out


def test_an_answer_that_is_no_json_keeps_no_application_from_being_looked_at(
    wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    wire.strange = {"/drift"}
    module.watch_applications("", "false")
    assert [body["application"] for path, body in wire.sent if path == "/look"] == ["birds", "digits"]
    assert (
        capsys.readouterr().out.count("drift is not known: http://monitor/drift answered what is no JSON")
        == 2
    )


def test_without_an_arbiter_there_is_nothing_to_do_and_one_that_is_away_is_tried_again(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wire.away = {"arbiter"}
    with pytest.raises(SystemExit) as ended:
        module.watch_applications("", "false")
    assert ended.value.code == FAULT_EXIT_CODE
    assert "nothing could be looked at" in capsys.readouterr().out
    monkeypatch.delenv("ROOKERY_ARBITER_URL")
    module.watch_applications("", "false")
    assert "there is no arbiter" in capsys.readouterr().out
