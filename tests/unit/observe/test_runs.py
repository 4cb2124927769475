"""What is counted of MLflow's answers, whatever they are; the real MLflow is in tests/local/test_observe.py."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from services.common.errors import Unavailable
from services.observe import runs
from services.observe.runs import read_runs


def run(status: str, **tags: str) -> dict[str, Any]:
    return {
        "info": {"status": status, "start_time": 1000, "end_time": 5000},
        "data": {
            "tags": [{"key": f"rookery.{key}", "value": value} for key, value in tags.items()],
            "params": [{"key": "application", "value": tags.get("of", "")}],
        },
    }


class Mlflow:
    """Experiments by name; two runs a page."""

    def __init__(self, **experiments: list[dict[str, Any]]) -> None:
        self.experiments = experiments
        self.names = list(experiments)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("get-by-name"):
            name = request.url.params["experiment_name"]
            if name not in self.names:
                return httpx.Response(404, json={"error_code": "RESOURCE_DOES_NOT_EXIST"})
            return httpx.Response(200, json={"experiment": {"experiment_id": str(self.names.index(name))}})
        body = json.loads(request.content)
        found = self.experiments[self.names[int(body["experiment_ids"][0])]]
        at = int(body.get("page_token") or 0)
        more = {"next_page_token": str(at + 2)} if at + 2 < len(found) else {}
        return httpx.Response(200, json={"runs": found[at : at + 2], **more})


def asked(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    transport = httpx.MockTransport(answer)
    real = httpx.Client
    monkeypatch.setattr(runs.httpx, "Client", lambda **more: real(transport=transport, **more))


def test_what_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = [run("FINISHED", decision="accepted"), run("FINISHED", decision="refused"), run("FAILED")]
    odd = [run("SCHEDULED", decision="perhaps")]
    ended = [
        run("FINISHED", template="train-model", of="digits"),
        run("FAILED", template="train-model", of="digits"),
        run("FAILED", template="build-container-image", of="somebody-elses"),
        run("KILLED", template="promote-model", of="digits"),
    ]
    asked(monkeypatch, Mlflow(digits=trained + odd, workflows=ended).answer)
    found = read_runs("http://mlflow", ["digits", "birds"])
    assert found.trainings == {
        ("digits", "FINISHED"): 2,
        ("digits", "FAILED"): 1,
        ("digits", "RUNNING"): 1,
    }
    assert found.verdicts == {("digits", "accepted"): 1, ("digits", "refused"): 1}
    assert found.workflows[("", "build-container-image", "FAILED")] == 1
    assert found.workflows[("digits", "promote-model", "KILLED")] == 1
    assert found.failed == {("digits", "train-model"): 5.0, ("", "build-container-image"): 5.0}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500, text="no"),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={}),
        httpx.Response(200, json={"experiment": None}),
    ],
)
def test_an_mlflow_that_says_nothing_of_use_is_away(
    monkeypatch: pytest.MonkeyPatch, answer: httpx.Response
) -> None:
    asked(monkeypatch, lambda _: answer)
    with pytest.raises(Unavailable, match="MLflow does not say"):
        read_runs("http://mlflow", ["digits"])


def test_nobody_there() -> None:
    with pytest.raises(Unavailable):
        read_runs("http://127.0.0.1:9", ["digits"])
