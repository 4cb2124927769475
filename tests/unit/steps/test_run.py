"""A step is called by name with the inputs that Argo wrote, and its outputs are files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest

from tests.support.gitops import REPOSITORY
from workflows.steps.outcome import Output, workflow_step
from workflows.steps.run import call, interface


@workflow_step
def two(run_id: str, text: str) -> tuple[Annotated[str, Output("first")], Annotated[str, Output("run-id")]]:
    return text, run_id


@workflow_step
def one(text: str) -> Annotated[str, Output("said")]:
    return text


@workflow_step
def none(text: str) -> None:
    assert text


def given(folder: Path, **values: str) -> Path:
    path = folder / "inputs"
    items = [
        {"name": name.replace("_", "-"), "value": value, "description": "more"}
        for name, value in values.items()
    ]
    path.write_text(json.dumps(items))
    return path


def test_names_have_hyphens_in_templates() -> None:
    assert interface(two) == (["run-id", "text"], ["first", "run-id"])
    assert interface(one) == (["text"], ["said"])
    assert interface(none) == (["text"], [])


@pytest.mark.parametrize("text", ["", "{{workflow.uid}}", "a\nb ü \"'", "[1]", "true"])
def test_a_value_comes_out_as_it_went_in(tmp_path: Path, text: str) -> None:
    inputs = given(tmp_path, run_id="7", text=text, unknown="left out")
    call(two, inputs, tmp_path / "outputs")
    assert (tmp_path / "outputs" / "first").read_text(encoding="utf-8") == text
    assert (tmp_path / "outputs" / "run-id").read_text() == "7"
    call(one, inputs, tmp_path / "one")
    assert (tmp_path / "one" / "said").read_text(encoding="utf-8") == text


def test_what_has_no_output_writes_none(tmp_path: Path) -> None:
    call(none, given(tmp_path, text="x"), tmp_path / "outputs")
    assert list((tmp_path / "outputs").iterdir()) == []


def test_a_function_that_is_no_step_is_refused_when_its_template_is_made() -> None:
    def number(count: int) -> None: ...

    def nameless(text: str) -> str: ...

    with pytest.raises(TypeError, match="the parameter count of a step must be a str"):
        interface(number)
    with pytest.raises(TypeError, match="must be Annotated"):
        interface(nameless)


@pytest.mark.parametrize(
    "arguments",
    [[], ["os:system", "o", "f"], ["workflows.steps.training", "o", "f"], ["workflows.cli:main", "o", "f"]],
)
def test_only_steps_can_be_called(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workflows.steps.run", *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.startswith("usage: ")


def test_a_step_imports_nothing_that_is_slow() -> None:
    modules = ["training", "evaluation", "releasing", "delivery", "conclusion"]
    code = (
        f"import sys, {', '.join(f'workflows.steps.{name}' for name in modules)}\n"
        "print([name for name in ('hera', 'mlflow', 'scipy', 'onnxruntime', 'requests') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"
