"""The store of WorkflowTemplates and the finding of templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from services.common.errors import InvalidInput, NotFound
from workflows.local.manifest import parse_manifest
from workflows.local.models import Step
from workflows.local.templates import Library, TemplateStore


def _template(name: str, *inner: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": name},
        "spec": {"templates": list(inner)},
    }


def test_calls_inside_a_template_stay_in_its_scope(tmp_path: Path) -> None:
    pod = {"container": {"image": "rookery/x", "command": ["x"]}}
    library = _template(
        "lib",
        {"name": "outer", "steps": [[{"name": "s", "template": "same"}]]},
        {"name": "same", **pod, "timeout": "1s"},
    )
    (tmp_path / "lib.yaml").write_text(yaml.safe_dump_all([library, {"kind": "Secret"}]))
    own = {**_template("own", {"name": "same", **pod}), "kind": "Workflow"}
    made = Library(parse_manifest(own), TemplateStore(tmp_path))
    call = Step.model_validate({"name": "a", "templateRef": {"name": "lib", "template": "outer"}})
    found = list(made.walk([(call, "")]))
    assert [(f.scope, f.template.name, f.template.timeout) for f in found] == [
        ("lib", "outer", None),
        ("lib", "same", "1s"),
    ]
    assert made.find(Step.model_validate({"name": "a", "template": "same"}), "").template.timeout is None
    assert made.used == {"lib"}
    with pytest.raises(NotFound, match="did you mean 'same'"):
        made.find(Step.model_validate({"name": "a", "template": "sane"}), "")


def test_a_broken_template_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(_template("bad", {"name": "x", "http": {"url": "y"}})))
    store = TemplateStore(tmp_path)
    assert store.names() == ["bad"]
    with pytest.raises(InvalidInput, match=r"WorkflowTemplate bad: spec\.templates\[x\]\.http"):
        store.get("bad")


def test_no_folder_is_an_empty_store(tmp_path: Path) -> None:
    assert TemplateStore(tmp_path / "none").names() == []
    with pytest.raises(NotFound, match="no WorkflowTemplate is there"):
        TemplateStore(None).get("x")
