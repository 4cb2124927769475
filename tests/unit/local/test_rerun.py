"""What would run again: parts that differ, and what is looked for before it is trusted."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.errors import InvalidInput
from workflows.local import rerun as module
from workflows.local.rerun import StepPlan, _parts, _steps, explain
from workflows.local.settings import PlatformSettings
from workflows.steps.reuse import Past

RECIPE = {
    "key": "sha256:k",
    "data": "sha256:d",
    "code": "sha256:c",
    "environment": "sha256:e",
    "model_name": "cnn",
    "parameters": {"epochs": "4", "mixup": "auto"},
}


def newest(run_id: str = "run1", **tags: str) -> dict[str, Any]:
    known = {
        "rookery.dataset_digest": "sha256:d",
        "rookery.code_digest": "sha256:c",
        "rookery.environment_digest": "sha256:e",
        "rookery.model_name": "cnn",
        **tags,
    }
    params = [{"key": "epochs", "value": "4"}, {"key": "mixup", "value": "0.2"}]
    return {
        "info": {"run_id": run_id},
        "data": {"tags": [{"key": k, "value": v} for k, v in known.items()], "params": params},
    }


def steps(run: dict[str, Any] | None, past: Past | None) -> list[StepPlan]:
    return _steps(PlatformSettings(), None, "digits", RECIPE, run, past)  # type: ignore[arg-type]


def test_a_parameter_that_the_data_decided_is_no_difference() -> None:
    assert all(part.same for part in _parts(RECIPE, newest()))


def test_what_differs_is_named() -> None:
    changed = {**RECIPE, "data": "sha256:d2", "parameters": {"epochs": "5", "mixup": "auto"}}
    differing = [part.name for part in _parts(changed, newest()) if not part.same]
    assert differing == ["data", "parameter epochs"]


@pytest.mark.parametrize(
    ("run", "past", "reason"),
    [
        (None, None, "nothing was trained before"),
        (newest(**{"rookery.code_digest": "sha256:old"}), None, "differs: code"),
        (newest(), Past("run1", "7", ("bundle/model.onnx",)), "bundle/model.onnx missing"),
        (newest("run2"), Past("run1", "7"), "is newer"),
    ],
)
def test_a_training_runs_again_with_its_reason(
    run: dict[str, Any] | None, past: Past | None, reason: str
) -> None:
    found = steps(run, past)
    assert [step.name for step in found if step.runs] == ["train", "evaluate", "release", "deliver"]
    assert reason in found[0].reason


def test_a_run_without_a_version_is_judged_again() -> None:
    found = steps(newest(), Past("run1", ""))
    assert [(step.name, step.runs) for step in found] == [("train", False), ("evaluate", True)]


def test_what_is_registered_and_not_released_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    class Facts:
        environments = ("staging",)

    monkeypatch.setattr(module, "load_application", lambda *_: Facts())
    monkeypatch.setattr(module, "released", lambda *_: None)
    found = steps(newest(), Past("run1", "7"))
    assert [step.name for step in found if step.runs] == ["release", "deliver"]
    assert "staging has nothing, not version 7" in found[-1].reason


def test_addresses_are_no_part_of_a_training() -> None:
    with pytest.raises(InvalidInput, match="train-ip"):
        explain(PlatformSettings(), {}, "digits", {"train-ip": "10.0.0.1"})
