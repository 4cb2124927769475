"""Reading workflows: what is unknown or unsupported is refused by path and name, one broken rule a case."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from services.common.errors import InvalidInput, NotFound, RookeryError, TooLarge
from workflows.local.manifest import load_manifest, parse_manifest, read_yaml, show_path

GOOD: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"name": "w", "labels": {"a": "b"}},
    "spec": {
        "entrypoint": "main",
        "templates": [
            {"name": "main", "steps": [[{"name": "s", "template": "work"}]]},
            {"name": "work", "container": {"image": "rookery/x", "command": ["true"]}},
        ],
    },
}


def _with(path: str, value: Any) -> dict[str, Any]:
    manifest = deepcopy(GOOD)
    target: Any = manifest
    *parents, last = path.split("/")
    for part in parents:
        target = target[int(part)] if part.isdigit() else target[part]
    target[last] = value
    return manifest


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("kind", "CronWorkflow", r"kind: not supported by the local engine \(got 'CronWorkflow'\)"),
        ("apiVersion", "v1", "apiVersion"),
        ("extra", 1, "extra: unknown field"),
        ("metadata/name", "Not_A_Name", r"metadata\.name"),
        ("spec/hooks", {"exit": {}}, r"spec\.hooks: not supported by the local engine"),
        ("spec/entrypont", "x", r"spec\.entrypont: unknown field, did you mean 'entrypoint'"),
        ("spec/volumeClaimTemplates", [{}], r"spec\.volumeClaimTemplates: not supported"),
        ("spec/parallelism", 0, r"spec\.parallelism"),
        ("spec/templates/1/resource", {"action": "get"}, r"spec\.templates\[work\]\.resource: not supported"),
        ("spec/templates/1/http", {"url": "x"}, r"spec\.templates\[work\]\.http: not supported"),
        ("spec/templates/1/containerSet", {"containers": []}, r"containerSet: not supported"),
        ("spec/templates/1/daemon", True, r"daemon: not supported"),
        ("spec/templates/1/memoize", {"key": "x"}, r"memoize: not supported"),
        ("spec/templates/1/outputs", {"artifacts": [{"name": "a"}]}, r"outputs\.artifacts: not supported"),
        ("spec/templates/1/suspend", {}, "a template is one of .* this one is container, suspend"),
        ("spec/templates/0/activeDeadlineSeconds", 5, "only valid on a template that runs something"),
        ("spec/templates/0/steps/0/0/hooks", {"x": 1}, r"steps\[0\]\[s\]\.hooks: not supported"),
        ("spec/templates/0/steps/0/0/onExit", "x", r"steps\[0\]\[s\]\.onExit: not supported"),
        ("spec/templates/0/steps/0/0/withItem", ["a"], "did you mean 'withItems'"),
        ("spec/templates/1/container/livenessProbe", {"x": 1}, r"container\.livenessProbe: not supported"),
        ("spec/templates/1/container/comand", ["x"], "did you mean 'command'"),
        (
            "spec/templates/1/container/env",
            [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            r"env\[A\]\.valueFrom\.secretKeyRef: not supported by the local engine unless optional",
        ),
        (
            "spec/templates/1/container/envFrom",
            [{"secretRef": {"name": "s"}}],
            r"envFrom.*secretRef: not supported by the local engine unless optional",
        ),
        (
            "spec/templates/1/container/env",
            [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}}],
            None,
        ),
        ("spec/templates/1/volumes", [{"name": "v", "hostPath": {}, "emptyDir": {}}], None),
        (
            "spec/templates/1/volumes",
            [{"name": "v", "hostPath": {"path": "/"}}],
            r"volumes\[v\]\.hostPath: not supported",
        ),
        (
            "spec/templates/1/inputs",
            {"parameters": [{"name": "x", "value": {"a": 1}}]},
            r"inputs\.parameters\[x\]\.value",
        ),
        (
            "spec/templates/1/synchronization",
            {"semaphores": [{"x": 1}]},
            r"synchronization\.semaphores: not supported",
        ),
        ("spec/templates", "x", r"spec\.templates"),
        ("spec", None, "spec"),
    ],
)
def test_what_cannot_run_is_refused_by_path_and_name(path: str, value: Any, message: str | None) -> None:
    if message is None:
        parse_manifest(_with(path, value))
        return
    with pytest.raises(InvalidInput, match=message):
        parse_manifest(_with(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec/ttlStrategy", {"secondsAfterCompletion": 5}),
        ("spec/podGC", {"strategy": "OnPodSuccess"}),
        ("spec/serviceAccountName", "x"),
        ("spec/securityContext", {"runAsUser": 1}),
        ("spec/workflowMetadata", {"labels": {}}),
        ("spec/templates/1/metadata", {"labels": {}}),
        ("spec/templates/1/nodeSelector", {"a": "b"}),
        ("spec/templates/1/container/resources", {"limits": {"cpu": 1}}),
        ("spec/templates/1/container/imagePullPolicy", "Always"),
        ("spec/suspend", False),
        ("spec/templates/1/daemon", False),
    ],
)
def test_what_makes_no_difference_on_one_machine_is_accepted(path: str, value: Any) -> None:
    parse_manifest(_with(path, value))


def test_texts_of_numbers_and_booleans_are_those_of_argo() -> None:
    manifest = parse_manifest(
        _with(
            "spec/arguments",
            {"parameters": [{"name": n, "value": v} for n, v in (("a", 1), ("b", True), ("c", 0.5))]},
        )
    )
    assert [p.value for p in manifest.spec.arguments.parameters] == ["1", "true", "0.5"]


def test_template_defaults_lie_under_templates_that_run() -> None:
    manifest = parse_manifest(
        _with(
            "spec/templateDefaults",
            {"activeDeadlineSeconds": 7, "container": {"image": "rookery/y", "env": []}},
        )
    )
    main, work = manifest.spec.templates
    assert (main.active_deadline_seconds, work.active_deadline_seconds) == (None, "7")
    assert work.container is not None
    assert work.container.image == "rookery/x"


def test_a_file_holds_one_document(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    with pytest.raises(NotFound):
        load_manifest(path)
    path.write_text("a: 1\n---\nb: 2\n")
    with pytest.raises(InvalidInput, match="one document"):
        load_manifest(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="UTF-8"):
        load_manifest(path)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: 1\na: 2", InvalidInput),
        ("a: [", InvalidInput),
        ("x" * (2 << 20), TooLarge),
        ("&a [*a]", RookeryError),
    ],
)
def test_broken_yaml(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_yaml(text, "w.yaml")


def test_places_are_shown_by_name() -> None:
    assert (
        show_path(GOOD["spec"], ("templates", 1, "container", "image"))
        == "spec.templates[work].container.image"
    )
    assert show_path(None, ("templates", 4)) == "spec.templates[4]"
