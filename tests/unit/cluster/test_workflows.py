"""Workflow objects as Argo writes them, in the terms of the local engine."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from services.common.errors import Conflict, InvalidInput, NotFound, Refused, RookeryError
from workflows.cluster.workflows import ClusterWorkflows, nodes_of, run_of
from workflows.local.runs import failed_step

NODES: dict[str, Any] = {
    "w": {"id": "w", "name": "w", "displayName": "w", "type": "Steps", "phase": "Failed",
          "startedAt": "2026-11-21T10:00:00Z", "finishedAt": "2026-11-21T10:01:00Z", "children": ["w-0"]},
    "w-1": {"id": "w-1", "name": "w[0].evaluate", "displayName": "evaluate", "type": "Retry", "phase": "Failed",
            "startedAt": "2026-11-21T10:00:01Z", "children": ["w-2"]},
    "w-2": {"id": "w-2", "name": "w[0].evaluate(0)", "displayName": "evaluate(0)", "type": "Pod", "phase": "Failed",
            "message": "main: Error (exit code 3)", "startedAt": "2026-11-21T10:00:02Z",
            "finishedAt": "2026-11-21T10:00:50Z", "nodeFlag": {"retried": True},
            "outputs": {"exitCode": "3", "parameters": [{"name": "new-model-version", "value": "7"}]}},
}  # fmt: skip


def workflow(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "w", "creationTimestamp": "2026-11-21T10:00:00Z", "resourceVersion": "5"},
        "spec": {
            "workflowTemplateRef": {"name": "train-model"},
            "arguments": {"parameters": [{"name": "application", "value": "digits"}]},
        },
        "status": {"phase": "Failed", "nodes": NODES, "finishedAt": "2026-11-21T10:01:00Z", **status},
    }


def test_a_failed_workflow_names_the_step_that_refused() -> None:
    run = run_of(workflow())
    assert (run.name, run.phase, run.template, run.done) == ("w", "Failed", "train-model", True)
    assert run.parameters == {"application": "digits"}
    step = failed_step(run)
    assert step is not None
    assert (step.display_name, step.exit_code, step.retried) == ("evaluate(0)", "3", True)
    assert step.parameters == {"new-model-version": "7"}
    assert step.finished is not None
    assert step.finished - step.started == 48


def test_a_workflow_that_no_controller_has_seen_is_pending() -> None:
    body = workflow()
    del body["status"]
    run = run_of(body)
    assert (run.phase, run.nodes, run.done) == ("Pending", [], False)


def test_compressed_nodes_are_read_and_offloaded_ones_refused() -> None:
    packed = base64.b64encode(gzip.compress(json.dumps(NODES).encode())).decode()
    assert nodes_of({"compressedNodes": packed}) == NODES
    with pytest.raises(RookeryError, match="database"):
        nodes_of({"offloadNodeStatusVersion": "fnv:1"})


class Kube:
    """One workflow and one template; keeps what it is told."""

    def __init__(self) -> None:
        self.body = workflow()
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.conflicts = 0

    def get(self, path: str, **_: str) -> dict[str, Any]:
        name = path.rpartition("/")[2]
        if name == "w":
            return self.body
        if name == "workflows":
            return {"items": [self.body]}
        if name == "pods":
            return {"items": []}
        template = {
            "metadata": {"name": "train-model"},
            "spec": {"arguments": {"parameters": [{"name": "application", "value": "digits"},
                                                  {"name": "approval", "value": "none", "enum": ["none", "required"]},
                                                  {"name": "model-version"}]}},
        }  # fmt: skip
        if name == "train-model":
            return template
        if name == "workflowtemplates":
            return {"items": [template]}
        raise NotFound("no")

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.sent.append((path, body))
        return {"metadata": {"name": "train-model-x7k2p"}}

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.conflicts:
            self.conflicts -= 1
            raise Conflict("the object has been modified")
        self.sent.append((path, body))
        return {}


@pytest.fixture
def kube() -> Kube:
    return Kube()


@pytest.fixture
def workflows(kube: Kube) -> ClusterWorkflows:
    return ClusterWorkflows(kube, "rookery-workflows")  # type: ignore[arg-type]


def test_parameters_are_checked_as_on_one_machine(workflows: ClusterWorkflows, kube: Kube) -> None:
    for given, said in (
        ({"model-version": "1", "aproval": "none"}, "aproval is unknown.*approval"),
        ({"model-version": "1", "approval": "maybe"}, "approval is not allowed.*none, required"),
        ({}, "without a value: model-version"),
    ):
        with pytest.raises(InvalidInput, match=said):
            workflows.submit_template("train-model", given)
    assert kube.sent == []
    assert workflows.submit_template("train-model", {"model-version": "1"}) == "train-model-x7k2p"
    path, body = kube.sent[0]
    assert path == "/apis/argoproj.io/v1alpha1/namespaces/rookery-workflows/workflows"
    assert body["spec"]["workflowTemplateRef"] == {"name": "train-model"}
    assert {"name": "model-version", "value": "1"} in body["spec"]["arguments"]["parameters"]


def test_a_template_and_a_workflow_that_are_not_there_are_answered_with_the_nearest(
    workflows: ClusterWorkflows,
) -> None:
    with pytest.raises(NotFound, match=r"no such WorkflowTemplate .*did you mean 'train-model'"):
        workflows.template("train-modl")
    with pytest.raises(NotFound, match="no such workflow"):
        workflows.get("v")


def test_an_approval_is_written_once_and_only_for_what_waits(workflows: ClusterWorkflows, kube: Kube) -> None:
    with pytest.raises(Conflict, match="no step of w waits"):
        workflows.approve("w", None, by="ada")
    waits = {
        "id": "w-9",
        "name": "w[1].approve",
        "displayName": "approve",
        "type": "Suspend",
        "phase": "Running",
    }
    kube.body = workflow(phase="Running", nodes={**NODES, "w-9": waits})
    kube.conflicts = 2
    workflows.approve("w", None, by="ada")
    ((_, body),) = kube.sent
    assert body["metadata"] == {"resourceVersion": "5"}
    assert body["status"]["nodes"]["w-9"]["phase"] == "Succeeded"
    assert body["status"]["nodes"]["w-9"]["message"] == "approved by ada"


def test_cancel_stops_and_lets_the_exit_handler_run(workflows: ClusterWorkflows, kube: Kube) -> None:
    with pytest.raises(Conflict, match="has ended"):
        workflows.cancel("w")
    kube.body = workflow(phase="Running")
    workflows.cancel("w")
    assert kube.sent[0][1] == {"spec": {"shutdown": "Stop"}}


def test_resume_says_that_the_controller_needs_no_help(workflows: ClusterWorkflows, kube: Kube) -> None:
    with pytest.raises(Refused, match="submit it anew"):
        workflows.resume("w")
    kube.body = workflow(phase="Running")
    with pytest.raises(Refused, match="goes on with it by itself"):
        workflows.resume("w")
    kube.body["spec"]["suspend"] = True
    workflows.resume("w")
    assert kube.sent[0][1] == {"spec": {"suspend": None}}


def test_the_reason_falls_back_to_the_message_when_the_pod_is_gone(workflows: ClusterWorkflows) -> None:
    assert workflows.reason(workflows.get("w")) == "evaluate(0): main: Error (exit code 3)"


def test_what_a_step_said_of_its_failure_outlasts_its_pod(workflows: ClusterWorkflows, kube: Kube) -> None:
    kube.body = json.loads(json.dumps(kube.body).replace("(exit code 3)", "(exit code 3): refused: worse"))
    assert workflows.reason(workflows.get("w")) == "evaluate(0): refused: worse"


def test_the_lines_of_argos_executor_are_not_the_steps(
    workflows: ClusterWorkflows, kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = [
        'time=2026-11-21T14:40:36.019Z level=INFO msg="waiting for signals" argo=true signalPath=/var/run/argo/x',
        "refused: the gate refused run 7",
        'time=2026-11-21T14:41:25.088Z level=INFO msg="sub-process exited" argo=true error="exit status 3"',
        "Error: exit status 3",
    ]
    pod = {"metadata": {"name": "p", "annotations": {"workflows.argoproj.io/node-id": "w-2"}}}
    other = kube.get
    monkeypatch.setattr(
        kube, "get", lambda path, **_: {"items": [pod]} if path.endswith("/pods") else other(path)
    )
    monkeypatch.setattr(kube, "lines", lambda *_, **__: iter(written), raising=False)
    assert [line.text for line in workflows.logs("w")] == ["refused: the gate refused run 7"]
    assert workflows.reason(run_of(kube.body)) == "evaluate(0): refused: the gate refused run 7"
