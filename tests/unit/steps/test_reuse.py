"""A run is used again only when it is the newest, whole, and made from the same."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.errors import Unavailable
from workflows.steps import training as module
from workflows.steps.reuse import BUNDLE, past_training
from workflows.steps.settings import StepSettings

QUERY = {"application": "digits", "model_name": "cnn", "data_source": "digits"}


class Mlflow:
    """The calls that are made of MLflow."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.files = {f"bundle/{name}": 1 for name in BUNDLE}
        self.registered = [{"version": "7", "run_id": "run1"}]

    def add(self, run_id: str, key: str) -> None:
        tags = [{"key": "rookery.recipe", "value": key}, {"key": "rookery.decision", "value": "accepted"}]
        self.runs.insert(0, {"info": {"run_id": run_id}, "data": {"tags": tags}})

    def experiment_id(self, name: str) -> str:
        return "1"

    def search_runs(self, experiments: list[str], condition: str, limit: int = 100) -> list[dict[str, Any]]:
        found = [
            run
            for run in self.runs
            if "recipe" not in condition or f"'{run['data']['tags'][0]['value']}'" in condition
        ]
        return found[:limit]

    def artifacts(self, run_id: str, folder: str) -> dict[str, int]:
        return self.files

    def versions(self, name: str) -> list[dict[str, str]]:
        return self.registered

    def __enter__(self) -> Mlflow:
        return self

    def __exit__(self, *_: object) -> None:
        return None


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Mlflow:
    made = Mlflow()
    monkeypatch.setattr(module, "MlflowClient", lambda *_, **__: made)
    monkeypatch.setattr(module, "ask_recipe", lambda *_, **__: {"key": "sha256:k"})
    return made


def before() -> str:
    return module._made_before(StepSettings(), "http://train", QUERY, "")


def test_the_newest_run_from_the_same_is_used_again(
    mlflow: Mlflow, capsys: pytest.CaptureFixture[str]
) -> None:
    mlflow.add("run1", "sha256:k")
    assert before() == "run1"
    assert "made version 7" in capsys.readouterr().out


def test_nothing_before_is_trained(mlflow: Mlflow) -> None:
    mlflow.add("run1", "sha256:other")
    assert before() == ""


def test_what_is_missing_is_said_and_it_is_trained_again(
    mlflow: Mlflow, capsys: pytest.CaptureFixture[str]
) -> None:
    mlflow.add("run1", "sha256:k")
    del mlflow.files["bundle/model.onnx"]
    assert before() == ""
    assert "bundle/model.onnx missing" in capsys.readouterr().out
    mlflow.files["bundle/model.onnx"] = 1
    mlflow.registered = []
    assert before() == ""
    assert "its registered version missing" in capsys.readouterr().out


def test_an_older_run_is_not_brought_back(mlflow: Mlflow, capsys: pytest.CaptureFixture[str]) -> None:
    mlflow.add("run1", "sha256:k")
    mlflow.add("run2", "sha256:other")
    assert before() == ""
    assert "another run is newer" in capsys.readouterr().out


def test_doubt_is_settled_by_training(mlflow: Mlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise Unavailable("MLflow is away")

    mlflow.add("run1", "sha256:k")
    monkeypatch.setattr(module, "past_training", away)
    assert before() == ""
    monkeypatch.setattr(module, "ask_recipe", lambda *_, **__: None)
    assert before() == ""


def test_a_run_that_the_gate_refused_is_known_and_has_no_version(mlflow: Mlflow) -> None:
    mlflow.add("run3", "sha256:r")
    mlflow.runs[0]["data"]["tags"][1]["value"] = "refused"
    past = past_training(mlflow, "digits", "sha256:r")  # type: ignore[arg-type]
    assert past is not None
    assert (past.version, past.missing) == ("", ())
