"""The conformance suite on a real Argo controller, compared with what the local engine gives.

`python -m tests.conformance.argo [--kubeconfig FILE] [--namespace NAME] [--image IMAGE]` prints a table; the exit code
is 1 when something differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from services.common.errors import Conflict, NotFound, RookeryError
from workflows.cluster.api import Kubernetes
from workflows.cluster.kubeconfig import load_access
from workflows.cluster.texts import with_texts
from workflows.cluster.workflows import run_of
from workflows.local.nodes import said
from workflows.local.runs import Run
from workflows.templating import IMAGE, SERVICE_ACCOUNT

SUITE = Path(__file__).parent
LIBRARY = SUITE / "library"
CASES = sorted(path.stem for path in SUITE.glob("*.yaml"))
NAMESPACE = "rookery-workflows"
_GROUP = "/apis/argoproj.io/v1alpha1/namespaces"
_AT_ONCE = 4
_SECONDS = 240.0
# What a namespace with Pod Security `restricted` asks of every pod; it changes nothing of what a workflow does.
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass
class Result:
    """How one case ended.

    Attributes:
        differences: a line for each node that is not as expected.
    """

    case: str
    phase: str
    seconds: float
    nodes: int
    differences: list[str] = field(default_factory=list)


def expected(case: str) -> dict[str, Any]:
    """Phase and nodes that the local engine gives, held against it by a test of its own."""
    return dict(json.loads((SUITE / f"{case}.expected.json").read_text()))


def shown(run: Run) -> dict[str, Any]:
    """A run as the expectations are written: nodes by name without the workflow's own name."""
    nodes = {}
    for node in run.nodes:
        one: dict[str, Any] = {"phase": node.phase, "type": node.type}
        if node.parameters:
            one["outputs"] = node.parameters
        if node.result is not None:
            one["result"] = node.result
        if why := said(node.message):
            one["said"] = why
        nodes[node.name.replace(run.name, "$", 1)] = one
    return {"phase": run.phase, "nodes": nodes}


def adapted(case: str, image: str) -> dict[str, Any]:
    """The workflow of a case as this cluster admits it."""
    body = _read(SUITE / f"{case}.yaml", image)
    body["spec"] = {
        **body["spec"],
        "serviceAccountName": SERVICE_ACCOUNT,
        "automountServiceAccountToken": False,
        "executor": {"serviceAccountName": SERVICE_ACCOUNT},
        "podSpecPatch": json.dumps(
            {
                "containers": [
                    {
                        "name": "main",
                        "securityContext": _RESTRICTED,
                        "resources": {
                            "requests": {"cpu": "10m", "memory": "32Mi"},
                            "limits": {"cpu": "1", "memory": "256Mi"},
                        },
                    }
                ]
            }
        ),
    }
    body["metadata"]["labels"] = {"rookery/conformance": case}
    return body


def libraries(image: str) -> list[dict[str, Any]]:
    """The WorkflowTemplates that cases refer to."""
    found = [_read(path, image) for path in sorted(LIBRARY.glob("*.yaml"))]
    for body in found:
        body["metadata"]["labels"] = {"rookery/conformance": "library"}
    return found


def _read(path: Path, image: str) -> dict[str, Any]:
    return dict(with_texts(yaml.safe_load(path.read_text().replace(IMAGE, image))))


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """A line for each thing that differs."""
    lines = []
    if wanted["phase"] != found["phase"]:
        lines.append(f"phase {found['phase']}, not {wanted['phase']}")
    for name in sorted({*wanted["nodes"], *found["nodes"]}):
        one, other = wanted["nodes"].get(name), found["nodes"].get(name)
        if one != other:
            lines.append(f"{name}: {_short(other)}, not {_short(one)}")
    return lines


class Runner:
    """Runs cases in one namespace."""

    def __init__(self, kube: Kubernetes, namespace: str, image: str) -> None:
        self.kube, self.image = kube, image
        self.place = f"{_GROUP}/{namespace}/workflows"
        self.templates = f"{_GROUP}/{namespace}/workflowtemplates"

    def run(self, cases: list[str]) -> list[Result]:
        """All of them, some at a time."""
        for body in libraries(self.image):
            try:
                self.kube.create(self.templates, body)
            except Conflict:  # there since a run before, maybe with other content
                self.kube.patch(f"{self.templates}/{body['metadata']['name']}", body)
        waiting, running, done = list(cases), dict[str, tuple[str, float]](), list[Result]()
        while waiting or running:
            while waiting and len(running) < _AT_ONCE:
                case = waiting.pop(0)
                made = self.kube.create(self.place, adapted(case, self.image))
                running[case] = (made["metadata"]["name"], time.monotonic())
            for case, (name, begun) in list(running.items()):
                run = run_of(self.kube.get(f"{self.place}/{name}"))
                took = time.monotonic() - begun
                if run.done or took > _SECONDS:
                    del running[case]
                    done.append(self._result(case, run, took))
            time.sleep(0.5)
        return sorted(done, key=lambda result: result.case)

    def _result(self, case: str, run: Run, took: float) -> Result:
        found = shown(run)
        lines = differences(expected(case), found)
        if not run.done:
            lines.insert(0, f"it had not ended after {took:.0f} s")
        return Result(case, run.phase, took, len(run.nodes), lines)


def site_image(kube: Kubernetes, namespace: str) -> str:
    """The workflow image of this cluster, as its WorkflowTemplates name it."""
    items = kube.get(f"{_GROUP}/{namespace}/workflowtemplates")["items"]
    for item in items:
        for template in item["spec"]["templates"]:
            if "script" in template:
                return str(template["script"]["image"])
    raise NotFound(
        "no WorkflowTemplate of the cluster names an image", value=namespace, allowed="--image IMAGE"
    )


def table(results: list[Result]) -> str:
    """For people, in Markdown."""
    lines = ["| case | phase | nodes | seconds | as the local engine |", "|---|---|---|---|---|"]
    for one in results:
        verdict = "yes" if not one.differences else "; ".join(one.differences)
        lines.append(f"| {one.case} | {one.phase} | {one.nodes} | {one.seconds:.0f} | {verdict} |")
    return "\n".join(lines)


def _short(node: dict[str, Any] | None) -> str:
    return "nothing" if node is None else json.dumps(node, sort_keys=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.argo", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path)
    parser.add_argument("--namespace", default=NAMESPACE)
    parser.add_argument("--image", help="image with sh and python; by default that of the WorkflowTemplates")
    parser.add_argument("cases", nargs="*", default=CASES)
    options = parser.parse_args()
    kube = Kubernetes(load_access(options.kubeconfig))
    try:
        image = options.image or site_image(kube, options.namespace)
        results = Runner(kube, options.namespace, image).run(options.cases)
    except RookeryError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        kube.close()
    print(table(results))
    return 1 if any(result.differences for result in results) else 0


if __name__ == "__main__":
    raise SystemExit(main())
