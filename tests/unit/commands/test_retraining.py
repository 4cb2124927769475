"""`decisions`, `retrain` and `why-rerun` against an arbiter that answers as a test says."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from services.common.errors import NotFound
from tests.support.cli import Cli
from workflows.commands import retraining as module
from workflows.local import platform, rerun
from workflows.local.rerun import Explanation, Part, StepPlan

DECISION = {
    "id": "b6f9f9a60f2c",
    "time": "2026-06-01T12:00:00.000+00:00",
    "application": "digits",
    "verdict": "refuse",
    "rule": "novelty",
    "reason": "run 1 made version 7",
    "until": "",
    "workflow": "",
    "outcome": "",
    "events": [{"id": 5, "kind": "manual"}],
}


class Arbiter:
    """What was sent, and the answers in turn."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.decisions: list[list[dict[str, Any]]] = [[DECISION]]
        self.away = False
        self.status = 200

    def __call__(self, method: str, url: str, **more: Any) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("refused")
        self.sent.append((httpx.URL(url).path, more.get("json") or more.get("params")))
        if self.status != 200:
            return httpx.Response(self.status, json={"message": "this is no name of an application"})
        if method == "POST":
            return httpx.Response(202, json={"event": 5})
        return httpx.Response(
            200, json=self.decisions.pop(0) if len(self.decisions) > 1 else self.decisions[0]
        )


@pytest.fixture
def arbiter(monkeypatch: pytest.MonkeyPatch) -> Arbiter:
    made = Arbiter()
    monkeypatch.setattr(module.httpx, "request", made)
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(platform, "require_made", lambda _: None)
    monkeypatch.setattr(platform, "known_ports", lambda _: {"arbiter": 9096})
    return made


def test_decisions_are_shown_with_rule_and_reason(cli: Cli, arbiter: Arbiter) -> None:
    done = cli("decisions", "digits")
    assert done.code == 0
    assert "novelty" in done.out
    assert json.loads(cli("decisions", "--json").out)[0]["id"] == "b6f9f9a60f2c"


def test_an_event_by_hand_is_sent_and_not_awaited(cli: Cli, arbiter: Arbiter) -> None:
    done = cli("retrain", "digits", "--reason", "why not", "-p", "epochs=3", "--force")
    assert done.code == 0
    assert "event 5" in done.out
    path, body = arbiter.sent[0]
    assert (path, body["kind"]) == ("/events", "manual")
    assert body["detail"] == {"reason": "why not", "parameters": {"epochs": "3"}, "force": True}


def test_a_refusal_is_an_exit_code_and_what_is_awaited_is_said_once(cli: Cli, arbiter: Arbiter) -> None:
    waits = {**DECISION, "verdict": "wait", "rule": "debounce", "reason": "more may come"}
    arbiter.decisions = [[], [waits], [waits], [DECISION]]
    done = cli("retrain", "digits", "--reason", "again", "--wait")
    assert done.code == 3
    assert "by the rule novelty: run 1 made version 7" in done.err
    assert (done.out + done.err).count("waits by debounce") == 1
    assert arbiter.sent[1] == ("/decisions", {"application": "digits", "event": 5, "limit": 20})


@pytest.mark.parametrize(
    ("decisions", "why"),
    [
        ([], "nothing is said of it"),
        (
            [
                {
                    **DECISION,
                    "verdict": "wait",
                    "rule": "budget",
                    "reason": "4 trainings of digits began in 24 h",
                }
            ],
            "waits by budget: 4 trainings of digits began in 24 h",
        ),
    ],
)
def test_an_event_that_is_not_decided_is_not_awaited_for_ever(
    cli: Cli, arbiter: Arbiter, monkeypatch: pytest.MonkeyPatch, decisions: list[dict[str, Any]], why: str
) -> None:
    monkeypatch.setattr(module, "_LONGEST_SECONDS", 0.05)
    arbiter.decisions = [decisions]
    done = cli("retrain", "digits", "--reason", "again", "--wait")
    assert done.code == 1
    assert f"event 5 of digits is not decided yet and stays open: {why}" in " ".join(done.err.split())
    assert "`rookery decisions digits` later" in " ".join(done.err.split())


def test_a_training_is_told_by_its_workflow(cli: Cli, arbiter: Arbiter) -> None:
    arbiter.decisions = [[{**DECISION, "verdict": "retrain", "rule": "manual", "workflow": "train-model-b6"}]]
    done = cli("retrain", "digits", "--reason", "again", "--wait")
    assert done.code == 0
    assert "train-model-b6" in done.out


def test_an_arbiter_that_is_away_or_refuses_is_told_in_a_line(
    cli: Cli, arbiter: Arbiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    arbiter.status = 400
    assert "no name of an application" in cli("retrain", "../x", "--reason", "y").err
    arbiter.away = True
    assert "does not answer" in cli("decisions").err
    monkeypatch.setattr(platform, "known_ports", lambda _: {})
    assert "`rookery up` first" in cli("decisions").err


def test_why_rerun_names_parts_and_steps(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [Part("data", "sha256:" + "1" * 64, "sha256:" + "2" * 64), Part("model", "cnn", "cnn")]
    steps = [StepPlan("train", True, "differs: data"), StepPlan("evaluate", False, "is there")]
    found = Explanation("digits", "sha256:k", parts, steps)
    monkeypatch.setattr(platform, "require_up", lambda _: {"train": 1, "mlflow": 2})
    monkeypatch.setattr(rerun, "explain", lambda *_: found)
    done = cli("why-rerun", "digits")
    assert done.code == 0
    assert "111111111111" in done.out
    assert "differs: data" in done.out
    assert "would run again: train" in done.out + done.err
    assert json.loads(cli("why-rerun", "digits", "--json").out)["would_run"] == ["train"]

    def missing(*_: object) -> None:
        raise NotFound("there is no such application", value="x")

    monkeypatch.setattr(rerun, "explain", missing)
    assert cli("why-rerun", "x").code == 1
