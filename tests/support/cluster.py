"""The test cluster as its tests need it: API, command line, git, and what to show after a failure."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from services.common.errors import NotFound
from tests.support.gitops import REPOSITORY
from workflows.cluster.api import Kubernetes, Object
from workflows.cluster.forward import Forward
from workflows.cluster.kubeconfig import load_access
from workflows.cluster.workflows import ClusterWorkflows, run_of
from workflows.local.nodes import Node
from workflows.local.runs import Run

HOST = "192.168.1.1"
NODE1 = "192.168.1.11"
MLFLOW = f"http://{NODE1}:8000"
TRAIN = f"http://{HOST}:9090"
PORTS = {"staging": 18081, "canary": 18080, "production": 10080}
WORKFLOWS = "rookery-workflows"
ARGO = "/apis/argoproj.io/v1alpha1/namespaces"
_BY_ITSELF = {
    "k8s/pipeline/schedules/kustomization.yaml": (
        "resources:\n",
        """patches:
  - target:
      kind: CronWorkflow
    patch: '[{"op": "replace", "path": "/spec/suspend", "value": true}]'
resources:
""",
    ),
    "k8s/platform/monitor/deployment.yaml": (
        "- name: ROOKERY_MONITOR_ARBITER_URL\n              value: http://arbiter.rookery.svc:9096\n",
        '- name: ROOKERY_MONITOR_ARBITER_URL\n              value: ""\n',
    ),
}
T = TypeVar("T")


class Api(Kubernetes):
    """The Kubernetes API with what only tests do."""

    def delete(self, path: str, **params: str) -> None:
        """Delete an object; one that is gone already is no error."""
        answer = self._client.request("DELETE", path, params=params)
        assert answer.status_code in (200, 202, 404), answer.text

    def items(self, path: str, **params: str) -> list[Object]:
        """The objects of a list."""
        return list(self.get(path, **params)["items"])

    def secret(self, namespace: str, name: str) -> dict[str, str]:
        """A Secret's content."""
        data = self.get(f"/api/v1/namespaces/{namespace}/secrets/{name}").get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}


class Cluster:
    """The cluster that the playbooks made."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.kubeconfig = kubeconfig
        self.folder = folder
        self.api = Api(load_access(kubeconfig))

    def __call__(self, *arguments: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        """Run `rookery` against the cluster."""
        env = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "XDG_CACHE_HOME": str(self.folder / "cache")}
        command = [sys.executable, "-m", "workflows.cli", *arguments, "--cluster"]
        return subprocess.run(
            command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False, timeout=timeout
        )

    def json(self, *arguments: str) -> Any:
        """What a command writes with --json."""
        done = self(*arguments, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def submit(self, template: str, *parameters: str) -> str:
        """Begin a workflow; its name."""
        given = [part for item in parameters for part in ("-p", item)]
        return str(self.json("submit", template, *given)["name"])

    def train(self, *parameters: str) -> str:
        """Begin a small training of digits on the host's train service."""
        short = [] if any(item.startswith("epochs=") for item in parameters) else ["epochs=4"]
        return self.submit("train-model", "train-ip=" + HOST, "application=digits", *short, *parameters)

    def promote(self, source: str, target: str, version: str) -> str:
        """Begin a promotion."""
        return self.submit(
            "promote-model",
            f"source-environment={source}",
            f"target-environment={target}",
            f"model-version={version}",
        )

    def run(self, name: str) -> Run:
        """A workflow as it stands."""
        return run_of(self.api.get(f"{ARGO}/{WORKFLOWS}/workflows/{name}"))

    def ended(self, name: str, seconds: float = 600) -> Run:
        """A workflow once it has ended."""
        return until(f"the end of {name}", lambda: _if_done(self.run(name)), seconds)

    def succeeded(self, name: str, seconds: float = 600) -> Run:
        """A workflow that must succeed."""
        run = self.ended(name, seconds)
        assert run.phase == "Succeeded", f"{name}: {self.reason(run)}\n{self.state()}"
        return run

    def working(self, name: str, step: str, seconds: float = 300) -> Node:
        """A step's pod node once its container runs."""

        def found() -> Node | None:
            run = self.run(name)
            assert not run.done, f"{name} ended {run.phase} before {step}: {self.reason(run)}"
            nodes = [
                one for one in run.nodes if one.type == "Pod" and one.display_name.startswith(f"{step}(")
            ]
            return next((one for one in nodes if one.phase == "Running"), None)

        return until(f"the pod of step {step} of {name}", found, seconds)

    def pod_of(self, name: str, node: Node) -> str:
        """The name of a node's pod."""
        pods = self.api.items(
            f"/api/v1/namespaces/{WORKFLOWS}/pods", labelSelector=f"workflows.argoproj.io/workflow={name}"
        )
        return next(
            str(pod["metadata"]["name"])
            for pod in pods
            if pod["metadata"]["annotations"]["workflows.argoproj.io/node-id"] == node.id
        )

    def delete_pod(self, namespace: str, name: str) -> None:
        """Delete a pod without waiting for it."""
        self.api.delete(f"/api/v1/namespaces/{namespace}/pods/{name}", gracePeriodSeconds="0")

    def reason(self, run: Run) -> str:
        """Why a workflow failed."""
        return ClusterWorkflows(self.api, WORKFLOWS).reason(run)  # type: ignore[arg-type]

    def environment(self, name: str, application: str = "digits") -> dict[str, Any]:
        """One environment as `status --cluster` has it, asked again while a server or its pods are only slow."""

        def answered() -> dict[str, Any] | None:
            found = self.json("status", "--application", application)["environments"]
            one = next(dict(one) for one in found if one["environment"] == name)
            settled = one["phase"] in ("running", "empty") and one["health"] != "down"
            return one if settled or time.monotonic() > deadline else None

        deadline = time.monotonic() + 60
        return until(f"an answer of {application} {name}", answered, 120, 1.0)

    def application(self, name: str) -> Object:
        """An Argo CD Application."""
        return self.api.get(f"{ARGO}/argocd/applications/{name}")

    def synced(self, name: str, revision: str, seconds: float = 180) -> float:
        """Seconds until an Application is Synced and Healthy at a commit."""
        begun = time.monotonic()

        def done() -> bool:
            status = self.application(name).get("status") or {}
            sync = status.get("sync") or {}
            healthy = (status.get("health") or {}).get("status") == "Healthy"
            return sync.get("status") == "Synced" and sync.get("revision") == revision and healthy

        until(f"{name} Synced and Healthy at {revision[:12]}", done, seconds)
        return time.monotonic() - begun

    def git_url(self, user: str = "operator") -> str:
        """The site's repository with the password of one of its users."""
        secret = self.api.secret("rookery", "git-users")
        return f"http://{user}:{secret[user]}@127.0.0.1:15080/rookery.git"

    @contextmanager
    def clone(self) -> Iterator[Path]:
        """A clone of the site's repository; `push` it back oneself."""
        folder = self.folder / f"clone-{time.monotonic_ns()}"
        _git(self.folder, "clone", "-q", self.git_url(), str(folder))
        yield folder

    def commit(self, message: str, change: Callable[[Path], None], *, may_be_nothing: bool = False) -> str:
        """Change the site's repository by one pushed commit of a person; the tip if there may be nothing to change."""
        with self.clone() as folder:
            change(folder)
            _git(folder, "add", "-A")
            if not may_be_nothing or _git(folder, "status", "--porcelain"):
                _git(folder, "commit", "-q", "-m", message)
                _git(folder, "push", "-q", "origin", "HEAD:main")
            return _git(folder, "rev-parse", "HEAD")

    @contextmanager
    def nothing_by_itself(self) -> Iterator[None]:
        """No training that nobody asked for: no schedule looks at the applications, and no drift is told.

        What tests serve is drift indeed; a training for it would release a model in the middle of another test.
        """

        def pause(folder: Path) -> None:
            for name, (usual, paused) in _BY_ITSELF.items():
                path = folder / name
                text = path.read_text()
                assert paused in text or usual in text, f"{name} is written otherwise"
                path.write_text(text if paused in text else text.replace(usual, paused))

        def resume(folder: Path) -> None:
            for name, (usual, paused) in _BY_ITSELF.items():
                path = folder / name
                path.write_text(path.read_text().replace(paused, usual))

        try:
            commit = self.commit("the platform does nothing by itself", pause, may_be_nothing=True)
            for name in _BY_ITSELF:
                self.synced(Path(name).parent.name, commit)
            yield
        finally:
            self.commit("the platform does as before", resume, may_be_nothing=True)

    def tip(self) -> str:
        """The newest commit."""
        return _git(self.folder, "ls-remote", self.git_url(), "refs/heads/main").split()[0]

    def releases(self, by: str = "") -> int:
        """Commits that changed a release folder of digits; those of one workflow, if one is named."""
        with self.clone() as folder:
            mine = [f"--grep=^Workflow: {by}/"] if by else []
            place = ":(glob)k8s/apps/digits/*/release/**"
            return int(_git(folder, "rev-list", "--count", *mine, "HEAD", "--", place))

    def layers(self, digest: str, repository: str = "rookery/digits") -> list[dict[str, Any]]:
        """The layers of an image in the site's registry, the lowest first."""
        forward = Forward(self.api, "rookery", "registry", 5000)
        try:
            accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
            place = f"{forward.url}/v2/{repository}/manifests/{digest}"
            answer = httpx.get(place, headers=accept, timeout=30, trust_env=False).raise_for_status()
            return list(answer.json()["layers"])
        finally:
            forward.close()

    def scale(self, namespace: str, kind: str, name: str, replicas: int) -> None:
        """Set the replicas of a Deployment or StatefulSet by hand."""
        path = f"/apis/apps/v1/namespaces/{namespace}/{kind}/{name}/scale"
        self.api.patch(path, {"spec": {"replicas": replicas}})

    def restart(self, namespace: str, selector: str) -> None:
        """Delete the pods of a selector, and wait until as many are ready again."""
        path = f"/api/v1/namespaces/{namespace}/pods"
        before = {
            pod["metadata"]["uid"]: pod["metadata"]["name"]
            for pod in self.api.items(path, labelSelector=selector)
        }
        assert before, f"no pod of {selector} in {namespace}"
        for name in before.values():
            self.delete_pod(namespace, name)

        def back() -> bool:
            pods = [
                pod
                for pod in self.api.items(path, labelSelector=selector)
                if pod["metadata"]["uid"] not in before
            ]
            return len(pods) >= len(before) and all(is_ready(pod) for pod in pods)

        until(f"pods of {selector} in {namespace}", back, 240)

    def state(self) -> str:
        """What to show when a test failed: workflows, applications, pods that are not well, and the last events."""
        lines = ["workflows:"]
        for item in self.api.items(f"{ARGO}/{WORKFLOWS}/workflows"):
            run = run_of(item)
            lines.append(f"  {run.name} {run.phase} {run.message}")
        lines.append("applications:")
        for item in self.api.items(f"{ARGO}/argocd/applications"):
            status = item.get("status") or {}
            operation = status.get("operationState") or {}
            lines.append(
                f"  {item['metadata']['name']} {(status.get('sync') or {}).get('status')} "
                f"{(status.get('health') or {}).get('status')} {operation.get('phase')} "
                f"{operation.get('message', '')[:200]}"
            )
        lines.append("pods that are not well:")
        for pod in self.api.items("/api/v1/pods"):
            if pod["status"].get("phase") != "Succeeded" and not is_ready(pod):
                lines.append(
                    f"  {pod['metadata']['namespace']}/{pod['metadata']['name']} {pod['status'].get('phase')}"
                )
        events = self.api.items("/api/v1/events", fieldSelector="type=Warning", limit="500")
        events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime")))
        lines.append("warnings:")
        lines += [f"  {e['metadata']['namespace']} {e['reason']}: {e['message'][:200]}" for e in events[-15:]]
        return "\n".join(lines)


def until(what: str, reached: Callable[[], T | None], seconds: float, pause: float = 0.5) -> T:
    """The first answer that is true."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := reached():
            return answer
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(pause)


def serves(environment: str) -> dict[str, Any]:
    """What the server of an environment says at the address that people use."""
    answer = httpx.get(f"http://127.0.0.1:{PORTS[environment]}/version", timeout=10, trust_env=False)
    answer.raise_for_status()
    return dict(answer.json())


def there(api: Api, path: str) -> Object | None:
    """An object, or None."""
    try:
        return api.get(path)
    except NotFound:
        return None


def _if_done(run: Run) -> Run | None:
    return run if run.done else None


def is_ready(pod: Object) -> bool:
    """Whether a pod is Ready."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _git(folder: Path, *arguments: str) -> str:
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_AUTHOR_NAME": "Operator", "GIT_AUTHOR_EMAIL": "o@localhost",
           "GIT_COMMITTER_NAME": "Operator", "GIT_COMMITTER_EMAIL": "o@localhost"}  # fmt: skip
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"git {arguments[0]}: {re.sub('//[^@ ]*@', '//', done.stderr)}"
    return done.stdout.strip()
