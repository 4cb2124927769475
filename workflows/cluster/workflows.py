"""Workflows as Argo's controller has them, in the terms of the local engine: the same nodes, phases and reasons."""

from __future__ import annotations

import base64
import gzip
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.common.errors import Conflict, InvalidInput, NotFound, Refused, RookeryError
from workflows.cluster.api import Kubernetes, Object
from workflows.cluster.texts import with_texts
from workflows.local.manifest import read_yaml
from workflows.local.models import Parameter, nearest
from workflows.local.nodes import PENDING, SUCCEEDED, Node, said
from workflows.local.runs import LogLine, Run, failed_step
from workflows.local.workflow import bind_parameters

_GROUP = "/apis/argoproj.io/v1alpha1/namespaces"
_NODE_ID = "workflows.argoproj.io/node-id"
_OF = "workflows.argoproj.io/workflow"
_TRIES = 5
_PAUSE_SECONDS = 0.5
_EXECUTOR_LINES = 8
# What Argo's executor writes among the lines of the step it runs.
_EXECUTOR = re.compile(r"time=\S+ level=\w+ msg=.* argo=true\b|Error: exit status \d+$")


class ClusterWorkflows:
    """The workflows of a namespace."""

    def __init__(self, kube: Kubernetes, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace

    def submit_template(self, name: str, parameters: Mapping[str, str], *, called: str = "") -> str:
        """A workflow of a WorkflowTemplate of the cluster; returns its name.

        Args:
            called: the name that it shall have; else one that no other has.

        Raises:
            Conflict: there is a workflow of that name.
            NotFound: no such template there.
            InvalidInput: a parameter that is unknown, missing or not allowed, as on one machine.
        """
        template = self.template(name)
        declared = declared_parameters(template)
        values = bind_parameters(declared, parameters)
        arguments = [{"name": key, "value": value} for key, value in values.items()]
        named = {"name": called} if called else {"generateName": f"{name}-"}
        return self._create(
            {
                "metadata": {**named, "labels": {"app.kubernetes.io/part-of": "rookery"}},
                "spec": {"workflowTemplateRef": {"name": name}, "arguments": {"parameters": arguments}},
            }
        )

    def submit_file(self, file: Path, given: Mapping[str, str]) -> str:
        """A workflow from a file; the parameters replace those of its own."""
        documents = read_yaml(file.read_text(encoding="utf-8"), file.name)
        if len(documents) != 1 or documents[0].get("kind") != "Workflow":
            raise InvalidInput("the file holds no single Workflow", value=str(file))
        body = dict(documents[0])
        declared = declared_parameters(body)
        values = bind_parameters(declared, given)
        arguments = dict(body["spec"].get("arguments") or {})
        arguments["parameters"] = [{"name": key, "value": value} for key, value in values.items()]
        return self._create({**body, "spec": {**body["spec"], "arguments": arguments}})

    def template(self, name: str) -> Object:
        """A WorkflowTemplate; NotFound with those that are there."""
        place = f"{_GROUP}/{self._namespace}/workflowtemplates"
        try:
            return self._kube.get(f"{place}/{name}")
        except NotFound as error:
            names = sorted(item["metadata"]["name"] for item in self._kube.get(place)["items"])
            allowed = nearest(name, names) or ", ".join(names) or "no WorkflowTemplate is there yet"
            raise NotFound("the cluster has no such WorkflowTemplate", value=name, allowed=allowed) from error

    def get(self, name: str) -> Run:
        """A workflow as it stands; NotFound with the nearest name."""
        return run_of(self._workflow(name))

    def recent(self, limit: int) -> list[Run]:
        """The newest workflows first."""
        items = self._kube.get(f"{_GROUP}/{self._namespace}/workflows")["items"]
        items.sort(key=lambda item: str(item["metadata"]["creationTimestamp"]), reverse=True)
        return [run_of(item) for item in items[:limit]]

    def logs(self, name: str, node: str | None = None, follow: bool = False) -> Iterator[LogLine]:
        """What the steps wrote, step by step in the order of their start; `follow` waits for each to end.

        Raises:
            NotFound: no such workflow, or no step of this name.
        """
        seen: set[str] = set()
        while True:
            run = self.get(name)
            if node is not None and not follow and not any(named(one, node) for one in run.nodes):
                known = [one.display_name for one in run.nodes]
                raise NotFound(f"workflow {name} has no such step", value=node, allowed=nearest(node, known))
            pods = self._pods(name)
            fresh = [one for one in run.nodes if one.type == "Pod" and one.id not in seen and one.id in pods]
            for one in fresh:
                if node is not None and not named(one, node):
                    continue
                if one.phase == PENDING and not one.fulfilled:
                    continue
                seen.add(one.id)
                for text in self._lines(pods[one.id], follow=follow and not one.fulfilled):
                    yield LogLine(one.display_name, text)
            if run.done or not follow:
                return
            _pause()

    def last_line(self, run: Run, node: Node, lines: int = 1) -> str:
        """The last line that a step wrote; empty when it wrote none or its pod is gone."""
        pod = self._pods(run.name).get(node.id)
        if pod is None:
            return ""
        found = [text for text in self._lines(pod, tail=max(lines, 5) + _EXECUTOR_LINES) if text.strip()]
        return found[-1].strip() if found else ""

    def reason(self, run: Run) -> str:
        """Why a workflow did not succeed, else its message: as on one machine."""
        if not run.done or run.phase == SUCCEEDED:
            return run.message
        step = failed_step(run) or next((n for n in run.nodes if n.type == "Skipped" and n.failed), None)
        if step is None:
            return run.message
        last = said(step.message)
        if not last and "exit code" in step.message:
            last = self.last_line(run, step)
        return f"{step.display_name}: {last or step.message}"

    def cancel(self, name: str) -> None:
        """Stops it; its exit handler still runs."""
        run = self.get(name)
        if run.done:
            raise Conflict(f"workflow {name} has ended", value=run.phase)
        self._kube.patch(self._path(name), {"spec": {"shutdown": "Stop"}})

    def approve(self, name: str, node: str | None, *, by: str) -> None:
        """Lets a suspended step succeed, as `argo resume` does it.

        Raises:
            Conflict: nothing of it waits, or several steps do and none was named.
        """
        for _ in range(_TRIES):
            body = self._workflow(name)
            run = run_of(body)
            waiting = [one for one in run.waiting if node is None or named(one, node)]
            if not waiting:
                raise Conflict(f"no step of {name} waits for an approval", value=node or run.phase)
            if len(waiting) > 1:
                names = ", ".join(one.display_name for one in waiting)
                raise Conflict(f"several steps of {name} wait", allowed=f"--step, one of {names}")
            if "nodes" not in (body.get("status") or {}):
                raise RookeryError(
                    f"{name} is too large to be approved from here", allowed=f"argo resume {name}"
                )
            entry = {
                "phase": SUCCEEDED, "finishedAt": _now(), "message": f"approved by {by}" if by else "approved",
            }  # fmt: skip
            patch = {
                "metadata": {"resourceVersion": body["metadata"]["resourceVersion"]},
                "status": {"nodes": {waiting[0].id: entry}},
            }
            try:
                self._kube.patch(self._path(name), patch)
            except Conflict:
                _pause()
                continue
            return
        raise Conflict(f"{name} changes all the time; its approval could not be written")

    def resume(self, name: str) -> None:
        """Lets a workflow go on that was suspended as a whole.

        Raises:
            Refused: it has ended, or the controller is at work on it.
        """
        body = self._workflow(name)
        run = run_of(body)
        if run.done:
            raise Refused(f"{name} has ended {run.phase}; submit it anew")
        if not body["spec"].get("suspend"):
            advice = (
                f"rookery approve {name} --cluster"
                if run.waiting
                else f"rookery logs {name} --cluster --follow"
            )
            raise Refused(
                f"{name} is not suspended: the controller goes on with it by itself", allowed=advice
            )
        self._kube.patch(self._path(name), {"spec": {"suspend": None}})

    def _create(self, body: Mapping[str, Any]) -> str:
        full = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", **with_texts(body)}
        made = self._kube.create(f"{_GROUP}/{self._namespace}/workflows", full)
        return str(made["metadata"]["name"])

    def _path(self, name: str) -> str:
        return f"{_GROUP}/{self._namespace}/workflows/{name}"

    def _workflow(self, name: str) -> Object:
        try:
            return self._kube.get(self._path(name))
        except NotFound as error:
            names = [run.name for run in self.recent(200)]
            raise NotFound(
                "the cluster has no such workflow", value=name, allowed=nearest(name, names)
            ) from error

    def _pods(self, name: str) -> dict[str, str]:
        """Node identity → pod name, of the pods that are still there."""
        place = f"/api/v1/namespaces/{self._namespace}/pods"
        items = self._kube.get(place, labelSelector=f"{_OF}={name}")["items"]
        return {
            str((item["metadata"].get("annotations") or {}).get(_NODE_ID)): str(item["metadata"]["name"])
            for item in items
        }

    def _lines(self, pod: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        more = {"follow": "true"} if follow else {}
        more |= {"tailLines": str(tail)} if tail else {}
        # A container that has not begun, or whose log went with its node, has nothing to say.
        with suppress(InvalidInput, NotFound):
            place = f"/api/v1/namespaces/{self._namespace}/pods/{pod}/log"
            for text in self._kube.lines(place, container="main", **more):
                if not _EXECUTOR.match(text):
                    yield text


def declared_parameters(body: Object) -> list[Parameter]:
    """The parameters that a Workflow or WorkflowTemplate declares."""
    given = (body["spec"].get("arguments") or {}).get("parameters") or []
    return [Parameter.model_validate(item) for item in given]


def run_of(body: Object) -> Run:
    """A Workflow object in the terms of the local engine."""
    metadata, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    nodes = [node_of(item) for item in nodes_of(status).values()]
    outputs = {
        item["name"]: str(item.get("value", ""))
        for item in (status.get("outputs") or {}).get("parameters") or []
    }
    root = next((node for node in nodes if node.name == metadata["name"]), None)
    arguments = (spec.get("arguments") or {}).get("parameters") or []
    template = (spec.get("workflowTemplateRef") or {}).get("name") or metadata.get("generateName", "").rstrip(
        "-"
    )
    return Run(
        name=str(metadata["name"]), phase=str(status.get("phase") or PENDING), message=str(status.get("message") or ""),
        created=_seconds(metadata.get("creationTimestamp")) or 0.0,
        started=_seconds(status.get("startedAt")) or 0.0, finished=_seconds(status.get("finishedAt")),
        template=str(template), parameters={item["name"]: str(item.get("value", "")) for item in arguments},
        outputs={**outputs, **(root.parameters if root else {})},
        nodes=sorted(nodes, key=lambda node: node.started), engine=0,
    )  # fmt: skip


def nodes_of(status: Mapping[str, Any]) -> dict[str, Any]:
    """The nodes of a status, unpacked when the controller has compressed them.

    Raises:
        RookeryError: they were moved to a database.
    """
    if packed := status.get("compressedNodes"):
        return dict(json.loads(gzip.decompress(base64.b64decode(packed))))
    if status.get("offloadNodeStatusVersion"):
        raise RookeryError("the nodes of this workflow lie in Argo's database", allowed="argo get")
    return dict(status.get("nodes") or {})


def node_of(item: Mapping[str, Any]) -> Node:
    """A node."""
    inputs, outputs = item.get("inputs") or {}, item.get("outputs") or {}
    reference = item.get("templateRef") or {}
    template = f"{reference['name']}/{reference['template']}" if reference else item.get("templateName", "")
    return Node(
        id=str(item["id"]), name=str(item["name"]), display_name=str(item.get("displayName") or item["name"]),
        type=str(item["type"]), phase=str(item.get("phase") or PENDING), template=str(template),
        boundary=item.get("boundaryID"), message=str(item.get("message") or ""),
        started=_seconds(item.get("startedAt")) or 0.0, finished=_seconds(item.get("finishedAt")),
        inputs=_values(inputs), parameters=_values(outputs), result=outputs.get("result"),
        exit_code=outputs.get("exitCode"), children=list(item.get("children") or []),
        retried=bool((item.get("nodeFlag") or {}).get("retried")),
    )  # fmt: skip


def named(node: Node, text: str) -> bool:
    """Whether somebody means this node by a text."""
    return text in (node.name, node.display_name, node.id) or node.display_name.startswith(f"{text}(")


def _values(group: Mapping[str, Any]) -> dict[str, str]:
    return {item["name"]: str(item["value"]) for item in group.get("parameters") or [] if "value" in item}


def _seconds(text: object) -> float | None:
    return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp() if text else None


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _pause() -> None:
    time.sleep(_PAUSE_SECONDS)
