from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

from services.common.errors import Unavailable
from tests.support.asgi import serving
from tests.support.servers import free_port
from workflows.simulation import deciding
from workflows.simulation.deciding import Arbiter


class Said:
    """An arbiter that says what it is told to."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.decisions: list[dict[str, Any]] = []
        self.app = FastAPI()

        @self.app.post("/events", status_code=202)
        def take(body: dict[str, Any]) -> dict[str, int]:
            self.events.append({**body, "id": len(self.events) + 1})
            return {"event": len(self.events)}

        @self.app.get("/events")
        def events() -> list[dict[str, Any]]:
            return self.events

        @self.app.get("/decisions")
        def decisions() -> list[dict[str, Any]]:
            return self.decisions

    def decide(self, verdict: str, rule: str, *events: int) -> None:
        """Newest first, as the arbiter gives them."""
        about = [{"id": number} for number in events]
        workflow = "train-model-1" if verdict == "retrain" else ""
        made = {"verdict": verdict, "rule": rule, "reason": "so", "workflow": workflow, "events": about}
        self.decisions.insert(0, made)


def test_nothing_said_is_nothing_asked() -> None:
    said = Said()
    with serving(said.app) as http:
        arbiter = Arbiter(str(http.base_url), "digits")
        assert arbiter.newest_event() == 0
        assert arbiter.decision(0).verdict == "not asked"
        arbiter.close()


def test_the_decision_on_what_was_told_since_then_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "_PATIENCE_SECONDS", 0.5)
    said = Said()
    with serving(said.app) as http:
        arbiter = Arbiter(str(http.base_url), "digits")
        arbiter.tell("labels", "v1", {})
        said.decide("retrain", "labels", 1)
        before = arbiter.newest_event()
        arbiter.tell("drift", "2025-06", {"drifting": ["brightness"]})
        arbiter.tell("labels", "v2", {})
        with pytest.raises(Unavailable, match="does not decide"):
            arbiter.decision(before)
        said.decide("wait", "debounce", 2, 3)
        with pytest.raises(Unavailable, match="does not decide"):
            arbiter.decision(before)
        monkeypatch.setattr(deciding, "_PATIENCE_SECONDS", 60)
        said.decide("retrain", "drift", 2)
        said.decide("wait", "one at a time", 3)
        found = arbiter.decision(before)
        assert (found.verdict, found.reason, found.workflow) == ("retrain", "drift: so", "train-model-1")
        arbiter.close()
    assert said.events[1]["by"] == "simulation"


def test_a_refusal_and_a_lasting_wait_are_decisions() -> None:
    for verdict, rule in (("refuse", "novelty"), ("wait", "budget")):
        said = Said()
        with serving(said.app) as http:
            arbiter = Arbiter(str(http.base_url), "digits")
            arbiter.tell("drift", "2025-06", {})
            said.decide(verdict, rule, 1)
            assert (arbiter.decision(0).verdict, arbiter.decision(0).workflow) == (verdict, "")
            arbiter.close()


def test_an_arbiter_that_is_away_is_said() -> None:
    arbiter = Arbiter(f"http://127.0.0.1:{free_port()}", "digits")
    with pytest.raises(Unavailable, match="does not answer"):
        arbiter.newest_event()
    with pytest.raises(Unavailable, match="does not take"):
        arbiter.tell("drift", "x", {})
    arbiter.close()
