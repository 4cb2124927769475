"""Where trainings run: one name, one workflow; and how each end is understood."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.arbiter.decide import CANCELLED, FAILED, REFUSED, RUNNING, SUCCEEDED
from services.arbiter.engines import ClusterEngine, LocalEngine, open_engine, outcome_of
from services.arbiter.settings import ArbiterSettings
from services.common.errors import Conflict, InvalidInput, NotFound, Unavailable
from workflows.local import control
from workflows.local.nodes import Node
from workflows.local.runs import Run, get_run, run_names


def run(phase: str, *nodes: Node) -> Run:
    return Run("r", phase, "m", 0, 0, None, "t", {}, {}, list(nodes), None)


def stopped(message: str) -> Run:
    return replace(run("Failed", node("evaluate(0)", "143")), message=message)


def node(name: str, code: str) -> Node:
    return Node(name, name, name, "Pod", "Failed", exit_code=code)


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (run("Running"), RUNNING),
        (run("Pending"), RUNNING),
        (run("Succeeded"), SUCCEEDED),
        (run("Failed", node("evaluate(0)", "3")), REFUSED),
        (run("Failed", node("evaluate(0)", "1")), FAILED),
        (run("Failed", node("train(0)", "3")), FAILED),
        (run("Error"), FAILED),
        (stopped("Stopped with strategy 'Stop'"), CANCELLED),
        (stopped("workflow shutdown with strategy:  Terminate"), CANCELLED),
        (stopped("Step exceeded its deadline"), FAILED),
    ],
)
def test_only_a_no_of_the_gate_is_a_refusal(found: Run, outcome: str) -> None:
    assert outcome_of(found) == outcome


def test_on_one_machine_a_name_is_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "rookery.json").write_text("{}")
    monkeypatch.setattr(control, "_work", lambda home, name, wait: started.append(name))
    engine = LocalEngine(tmp_path)
    for _ in range(2):
        engine.submit("train-model-0123456789ab", {"application": "digits", "epochs": "3"})
    assert run_names(tmp_path) == ["train-model-0123456789ab"]
    assert get_run(tmp_path, "train-model-0123456789ab").parameters["epochs"] == "3"
    # The second time nobody worked on it, so it is gone on with.
    assert started == ["train-model-0123456789ab"] * 2
    assert engine.state("train-model-0123456789ab")[0] == RUNNING
    with pytest.raises(NotFound):
        engine.state("train-model-000000000000")
    with pytest.raises(InvalidInput, match="epochz"):
        engine.submit("train-model-0123456789ac", {"epochz": "3"})


class Workflows:
    """Argo's workflows by name."""

    made: dict[str, dict[str, str]] = {}  # noqa: RUF012 one for all instances

    def __init__(self, kube: Any, namespace: str) -> None:
        assert namespace == "rookery-workflows"
        assert kube.access.token.read_text() == "a-token\n"

    def submit_template(self, name: str, parameters: dict[str, str], *, called: str) -> str:
        if called in self.made:
            raise Conflict("there is a workflow of that name")
        self.made[called] = parameters
        return called

    def get(self, name: str) -> Run:
        return run("Succeeded")

    def reason(self, found: Run) -> str:
        return ""


def test_on_a_cluster_the_token_of_the_pod_is_used_and_a_name_is_taken_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.cluster.workflows.ClusterWorkflows", Workflows)
    monkeypatch.setattr("workflows.cluster.kubeconfig.ssl.create_default_context", lambda cafile: None)
    engine = ClusterEngine("http://127.0.0.1:1", "rookery-workflows", tmp_path)
    with pytest.raises(Unavailable, match="no token"):
        engine.submit("train-model-1", {})
    (tmp_path / "token").write_text("a-token\n")
    for _ in range(2):
        engine.submit("train-model-1", {"application": "digits"})
    assert Workflows.made == {"train-model-1": {"application": "digits"}}
    assert engine.state("train-model-1") == (SUCCEEDED, "")
    assert isinstance(open_engine(ArbiterSettings(engine="kubernetes")), ClusterEngine)
