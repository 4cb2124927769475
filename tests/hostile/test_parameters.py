"""Values of template parameters with shell, YAML, template and path content: they arrive as they are and do nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.common.errors import RookeryError
from workflows.local.engine import get_run, submit
from workflows.local.templates import TemplateStore

HOSTILE = [
    "$(touch {marker})",
    "`touch {marker}`",
    "; touch {marker} #",
    "x' ; touch {marker} ; '",
    '"; touch {marker}; "',
    "| touch {marker}",
    "${{IFS}}",
    "{{{{workflow.name}}}}",
    "{{{{=1+1}}}}",
    "{{{{inputs.parameters.other}}}}",
    "a: b\n- c: *x\n",
    "--- !!python/object/apply:os.system [touch {marker}]",
    "../../../../etc/passwd",
    "..%2f..%2f",
    "/etc/passwd",
    "\\u0000",
    "\\",
    '\\"',
    "a\nb\r\nc\t",
    "é" * 50,
    "' || '1' == '1",
    "true || true",
    "-rf /",
    "--entrypoint=os:system",
    "*",
    "~root",
    "!!binary x",
    "<<: *a",
    "%s%n",
    "[1,2]",
    '{{"a":1}}',
    "",
    " ",
    "\x1b[31m",
    "\u202e",
]

WORKFLOW = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: hostile-}
spec:
  entrypoint: main
  arguments: {parameters: [{name: value}]}
  templates:
  - name: main
    inputs: {parameters: [{name: other, value: SECRET}]}
    steps:
    - - name: all
        template: all
        arguments: {parameters: [{name: value, value: "{{workflow.parameters.value}}"}]}
      - name: quoted
        template: all
        when: "'{{workflow.parameters.value}}' == 'never this'"
        arguments: {parameters: [{name: value, value: x}]}
    - - name: again
        template: all
        arguments: {parameters: [{name: value, value: "{{steps.all.outputs.parameters.env}}"}]}
  - name: all
    inputs: {parameters: [{name: value}]}
    outputs:
      parameters:
      - {name: env, valueFrom: {path: /tmp/outputs/env}}
      - {name: arg, valueFrom: {path: /tmp/outputs/arg}}
      - {name: source, valueFrom: {path: /tmp/outputs/source}}
    script:
      image: rookery/workflow:0.1.0
      command: [python, -c]
      args:
      - |
        import json, os, pathlib, sys
        given = json.loads(pathlib.Path(sys.argv[2]).read_text())[0]["value"]
        for path, text in (("/tmp/outputs/env", os.environ["VALUE"]), ("/tmp/outputs/arg", sys.argv[1]),
                           ("/tmp/outputs/source", given)):
            pathlib.Path(path).write_bytes(text.encode() + b"\\n")
      - "{{inputs.parameters.value}}"
      env: [{name: VALUE, value: "{{inputs.parameters.value}}"}]
      source: "{{inputs.parameters}}"
"""


def _run(home: Path, value: str) -> Any:
    name = submit(
        yaml.safe_load(WORKFLOW), {"value": value}, home=home, templates=TemplateStore(None), wait=True
    )
    return get_run(home, name)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=60))
@example("\n".join(HOSTILE))
@example("/tmp/outputs/env")
def test_any_text_arrives_unchanged_and_does_nothing(tmp_path: Path, value: str) -> None:
    run = _run(tmp_path / "home", value)
    pods = {n.display_name: n for n in run.nodes if n.type != "StepGroup"}
    assert run.phase == "Succeeded", run.nodes
    assert pods["quoted"].phase == "Skipped"
    for name in ("all", "again"):
        assert pods[name].parameters == {"env": value, "arg": value, "source": value}


def test_a_list_of_hostile_values_has_no_effect(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    values = [text.format(marker=marker) for text in HOSTILE]
    manifest = yaml.safe_load(WORKFLOW)
    step = manifest["spec"]["templates"][0]["steps"][0][0]
    step["withParam"] = "{{workflow.parameters.value}}"
    step["arguments"]["parameters"][0]["value"] = "{{item.v}}"
    manifest["spec"]["templates"][0]["steps"] = [[step]]
    given = json.dumps([{"v": v} for v in values])
    name = submit(
        manifest, {"value": given}, home=tmp_path / "home", templates=TemplateStore(None), wait=True
    )
    run = get_run(tmp_path / "home", name)
    pods = [n for n in run.nodes if n.type == "Pod"]
    assert [
        n.parameters["arg"] for n in sorted(pods, key=lambda n: int(n.name.split("(")[1].split(":")[0]))
    ] == values
    assert not marker.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"home"}
    assert {path.name for path in (tmp_path / "home").iterdir()} == {"runs"}


@pytest.mark.parametrize("value", ["true || true", "x == x || 1", "a b", "'", '"', "1)", "$(x)", "a-b", ""])
def test_a_value_outside_quotes_never_becomes_part_of_a_condition(tmp_path: Path, value: str) -> None:
    manifest = yaml.safe_load(WORKFLOW)
    manifest["spec"]["templates"][0]["steps"][0][1]["when"] = "{{workflow.parameters.value}} == never"
    name = submit(
        manifest, {"value": value}, home=tmp_path / "home", templates=TemplateStore(None), wait=True
    )
    run = get_run(tmp_path / "home", name)
    node = next(n for n in run.nodes if n.display_name == "quoted")
    assert node.phase == "Error"
    assert "quotes" in node.message or "expression" in node.message


@pytest.mark.parametrize("value", ["../../../../escape", "/../../../x", "..", "a/../../../../b"])
def test_an_output_path_made_of_a_value_cannot_leave_the_steps_folder(tmp_path: Path, value: str) -> None:
    outside = tmp_path / "escape"
    manifest = yaml.safe_load(WORKFLOW)
    template = manifest["spec"]["templates"][1]
    template["outputs"]["parameters"][0]["valueFrom"]["path"] = "/tmp/{{inputs.parameters.value}}"
    name = submit(
        manifest, {"value": value}, home=tmp_path / "home", templates=TemplateStore(None), wait=True
    )
    run = get_run(tmp_path / "home", name)
    node = next(n for n in run.nodes if n.display_name == "all")
    assert node.phase == "Error"
    assert not outside.exists()


@pytest.mark.parametrize(
    ("value", "word"), [("a\0b", "zero byte"), ("\ud800", "Unicode"), ("x" * (1 << 19), "too large")]
)
def test_values_that_no_process_can_be_given_are_refused_before_the_run(
    tmp_path: Path, value: str, word: str
) -> None:
    with pytest.raises(RookeryError, match=word):
        _run(tmp_path / "home", value)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", ["../x", "A", "a/b", "", ".", "x" * 300, "a\n"])
def test_a_run_cannot_be_named_out_of_its_folder(tmp_path: Path, name: str) -> None:
    manifest = yaml.safe_load(WORKFLOW)
    manifest["metadata"] = {"name": name}
    with pytest.raises(RookeryError, match=r"metadata\.name"):
        submit(manifest, {"value": "x"}, home=tmp_path / "home", templates=TemplateStore(None), wait=True)
    with pytest.raises(RookeryError, match="no such run"):
        get_run(tmp_path / "home", name)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\n"
        + "".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8)
        ),
        "a: 1\na: 2\n",
        "!!python/object/apply:os.system [true]",
        "[" * 5000,
        "x: " + "y" * (1 << 21),
        "\x00",
        "- just\n- a list",
        "kind: CronWorkflow\napiVersion: argoproj.io/v1alpha1\n",
    ],
)
def test_hostile_workflow_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(text)
    with pytest.raises(RookeryError):
        submit(path, {}, home=tmp_path / "home", templates=TemplateStore(None), wait=True)
    assert not (tmp_path / "home").exists()
