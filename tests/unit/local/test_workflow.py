"""Parameter values, names and images of a submitted workflow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.common.errors import InvalidInput, NotFound
from workflows.local.models import Parameter
from workflows.local.workflow import Workflow, bind_parameters, fresh_name, image_allowed, read_config


def _declared(**values: object) -> list[Parameter]:
    return [
        Parameter.model_validate({"name": name, **(value if isinstance(value, dict) else {"value": value})})
        for name, value in values.items()
    ]


def test_given_values_come_first_then_own_ones() -> None:
    assert bind_parameters(_declared(a=1, b={"default": "x"}, c={}), {"a": "2", "c": ""}) == {
        "a": "2",
        "b": "x",
        "c": "",
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"aa": "1", "c": "x"}, "parameter aa is unknown.*did you mean 'a'"),
        ({}, "without a value: c"),
        ({"c": "z"}, "parameter c is not allowed.*x, y"),
    ],
)
def test_refusals(given: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        bind_parameters(_declared(a=1, c={"enum": ["x", "y"]}), given)


def test_a_parameter_may_come_from_a_config_map(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps({"k": "from map"}))
    declared = _declared(a={"valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}})
    assert bind_parameters(declared, {}, tmp_path) == {"a": "from map"}


def test_config_maps(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="ConfigMap none"):
        read_config(tmp_path, "none")
    assert read_config(tmp_path, "none", optional=True) == {}
    with pytest.raises(InvalidInput):
        read_config(tmp_path, "../x")


@pytest.mark.parametrize(
    ("image", "patterns", "allowed"),
    [
        ("rookery/workflow:0.1.0", [], True),
        ("rookery/x@sha256:0", [], True),
        ("evil/rookery/x", [], False),
        ("python:3", [], False),
        ("python:3", ["python:*"], True),
        ("ROOKERY/x", [], False),
    ],
)
def test_images(image: str, patterns: list[str], allowed: bool) -> None:
    assert image_allowed(image, patterns) is allowed


def test_a_workflow_goes_to_disk_and_back(tmp_path: Path) -> None:
    flow = Workflow("n", "u", 1.5, "default", {"a": 1}, {"p": "é"}, {}, {}, {})
    flow.save(tmp_path / "w.json")
    assert Workflow.load(tmp_path / "w.json") == flow
    assert not list(tmp_path.glob(".*"))


def test_fresh_names_differ() -> None:
    assert len({fresh_name("a-") for _ in range(100)}) == 100
