"""Checks of a whole workflow before its run exists: one broken rule a case, the message names the place."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from services.common.errors import RookeryError
from workflows.local.manifest import parse_manifest
from workflows.local.models import Task
from workflows.local.templates import Library, TemplateStore
from workflows.local.validation import dependencies_of, validate

GOOD = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: w}
spec:
  entrypoint: main
  onExit: bye
  arguments: {parameters: [{name: word, value: x}]}
  templates:
  - name: main
    outputs: {parameters: [{name: last, valueFrom: {parameter: "{{steps.two.outputs.parameters.out}}"}}]}
    steps:
    - - {name: one, template: work, arguments: {parameters: [{name: in, value: "{{workflow.parameters.word}}"}]}}
    - - {name: two, template: work, when: "{{steps.one.status}} == Succeeded", withItems: [{x: 1}],
         arguments: {parameters: [{name: in, value: "{{item.x}}"}]}}
    - - {name: graph, template: graph}
  - name: graph
    dag:
      tasks:
      - {name: a, template: work, arguments: {parameters: [{name: in, value: 1}]}}
      - name: b
        template: work
        depends: a.Succeeded
        arguments: {parameters: [{name: in, value: "{{tasks.a.outputs.parameters.out}}"}]}
  - name: work
    inputs: {parameters: [{name: in}]}
    outputs: {parameters: [{name: out, valueFrom: {path: /tmp/out}}]}
    retryStrategy: {limit: 1, expression: asInt(lastRetry.exitCode) > 1}
    container: {image: rookery/x, command: [sh], args: ["{{inputs.parameters.in}}", "{{outputs.parameters.out.path}}"]}
  - name: bye
    container:
      image: rookery/x
      command: [echo, "{{workflow.status}} {{workflow.failures}} {{workflow.creationTimestamp.Y}}"]
"""


def _check(text: str) -> None:
    validate(Library(parse_manifest(yaml.safe_load(text)), TemplateStore(None)))


def test_a_good_workflow_passes() -> None:
    _check(GOOD)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("entrypoint: main", "entrypoint: mian", "did you mean 'main'"),
        ("  entrypoint: main\n", "", r"spec\.entrypoint: missing"),
        ("onExit: bye", "onExit: by", "did you mean 'bye'"),
        (
            "workflow.parameters.word",
            "workflow.parameters.wrod",
            r"templates\[main\]\.steps\[one\].*did you mean 'workflow.parameters.word'",
        ),
        (
            "  - name: main\n",
            "  - name: main\n    inputs: {parameters: [{name: word}, {name: lost}]}\n",
            r"spec\.entrypoint: the input lost has no value.*spec\.arguments",
        ),
        (
            "  - name: bye\n",
            "  - name: bye\n    inputs: {parameters: [{name: lost}]}\n",
            r"spec\.onExit: the input lost has no value",
        ),
        ("{{steps.one.status}}", "{{steps.two.status}}", r"failed to resolve \{\{steps.two.status\}\}"),
        ("{{item.x}}", "{{items.x}}", r"failed to resolve \{\{items.x\}\}"),
        ("{{tasks.a.outputs.parameters.out}}", "{{tasks.a.outputs.parameters.put}}", "did you mean"),
        (
            "{{steps.two.outputs.parameters.out}}",
            "{{steps.two.outputs.parameters.x}}",
            r"outputs\.parameters\[last\]",
        ),
        ("depends: a.Succeeded", "depends: c", "depends on a task that is not there"),
        ("depends: a.Succeeded", "depends: a.Succeded", "Succeded is no result"),
        ("depends: a.Succeeded", "depends: b", "wait for each other: b → b"),
        (
            "depends: a.Succeeded",
            "depends: a\n        dependencies: [a]",
            "cannot use both depends and dependencies in the same DAG",
        ),
        ("command: [sh], ", "", r"container\.command: missing"),
        (
            "image: rookery/x, command: [sh]",
            "image: alpine, command: [sh]",
            r"image alpine does not run.*--host-image 'alpine'",
        ),
        ("{{inputs.parameters.in}}", "{{inputs.parameters.on}}", "did you mean 'inputs.parameters.in'"),
        ("lastRetry.exitCode)", "lastRetry.exitcode)", "did you mean 'lastRetry.exitCode'"),
        ("asInt(", "sprig(", r"retryStrategy\.expression.*sprig\(\)"),
        ("limit: 1", "limit: lots", r"retryStrategy\.limit: no number"),
        ("limit: 1", "retryPolicy: Sometimes", r"retryPolicy: unknown.*Always"),
        ("limit: 1", "limit: 1, backoff: {duration: soon}", r"backoff\.duration.*no duration"),
        ("valueFrom: {path: /tmp/out}", "valueFrom: {default: x}", "a path is missing"),
        ("[{name: in, value: 1}]", "[]", "the input in has no value"),
        (
            "[{name: in, value: 1}]",
            "[{name: in, value: 1}, {name: inn, value: 2}]",
            r"arguments\[inn\]: the template has no such input.*did you mean 'in'",
        ),
        ("name: two, template: work", "name: one, template: work", "two have the same name"),
        ("- name: bye", "- name: work", "two have the same name"),
        ("withItems: [{x: 1}]", "withItems: [{x: 1}], withParam: '[]'", "only one of withItems"),
        ("name: graph, template: graph", "name: graph", "either template or templateRef"),
        (
            "name: graph, template: graph",
            "name: graph, templateRef: {name: lib, template: t}",
            "no such WorkflowTemplate",
        ),
        ("name: graph, template: graph", "name: a b, template: graph", "no valid name of a step"),
        ("limit: 1,", "limit: 1, backoff: {duration: 1, maxDuration: x},", "max_duration|maxDuration"),
    ],
)
def test_each_broken_rule_is_named(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(RookeryError, match=message):
        _check(GOOD.replace(old, new))


def test_a_template_that_nothing_calls_is_checked_too() -> None:
    extra = "  - {name: spare, container: {image: evil, command: [x]}}\n"
    with pytest.raises(RookeryError, match=r"templates\[spare\]"):
        _check(GOOD + extra)


def test_dependencies_in_order() -> None:
    task: Any = {"name": "x", "template": "t"}
    assert dependencies_of(Task.model_validate({**task, "dependencies": ["b", "a"]})) == ["b", "a"]
    assert sorted(dependencies_of(Task.model_validate({**task, "depends": "b-1.Failed || (a && !b-1)"}))) == [
        "a",
        "b-1",
    ]
