from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.notify.message import Message
from tests.support.receivers import Webhook, webhook
from tests.support.release import evidence
from workflows.steps import news

REPORT = "http://127.0.0.1:8090/reports/r"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    monkeypatch.setattr("services.common.notices.MOST_SECONDS", 60)
    with webhook() as hook:
        monkeypatch.setenv("ROOKERY_NOTICES_URL", hook.url)
        yield hook


def messages(told: Webhook) -> list[Message]:
    """What the notify service would take: it refuses what is no message."""
    return [Message.model_validate(one) for one in told.told]


def test_a_verdict(told: Webhook) -> None:
    accepted = {
        "application": "digits",
        "new_model_version": "3",
        "reasons": [],
        "accuracy": 0.98765,
        "macro_f1": None,
        "compared_with_version": "2",
    }
    news.judged(accepted, "r", REPORT)
    news.judged({"new_model_version": "", "reasons": ["accuracy 0.1", "too large"]}, "r", REPORT)
    first, second = messages(told)
    assert first.subject == "version 3 of digits is accepted"
    assert first.facts == {
        "decision": "accepted",
        "version": "3",
        "accuracy": "0.9877",
        "compared_with_version": "2",
        "run": "r",
        "report": REPORT,
    }
    assert second.subject == "a model of an application is refused: accuracy 0.1; too large"
    assert second.facts["reasons"] == "accuracy 0.1\ntoo large"


def test_a_release_that_runs_and_one_that_came_back(told: Webhook) -> None:
    news.delivered(evidence(7, environment="canary", source_environment="staging"), "c" * 40)
    news.delivered(evidence(7, environment="canary", action="rollback"), "d" * 40)
    first, second = messages(told)
    assert (first.kind, first.subject) == ("promotion", "digits canary runs version 7")
    assert first.facts["came_from"] == "staging" and first.facts["commit"] == "c" * 40
    assert (second.kind, second.subject) == ("rollback", "digits canary runs version 7 again")


def test_a_release_that_was_taken_back(told: Webhook) -> None:
    news.withdrawn(evidence(7), "c" * 40, "golden input 0 differs", "promote-model-1/u")
    (message,) = messages(told)
    assert message.kind == "rollback"
    assert message.subject == "version 7 was taken back from digits staging: golden input 0 differs"
    assert "now in quarantine" in message.facts["image"]


def test_a_workflow_that_failed(told: Webhook) -> None:
    given = {"application": "digits", "target-environment": "canary", "lr": ""}
    news.failed(
        "promote-model",
        "promote-model-1",
        "Failed",
        ["x: child 'y' failed", "deliver: Error (exit code 3)"],
        given,
    )
    (message,) = messages(told)
    assert (message.kind, message.place) == ("failure", "digits canary")
    assert message.subject == "promote-model promote-model-1 ended Failed: deliver: Error (exit code 3)"
    assert message.facts["parameters"] == "application=digits, target-environment=canary"


def test_nobody_is_there() -> None:
    news.failed("train-model", "train-model-1", "Error", [], {})
