"""Whether Kubernetes has brought a release to every pod of an environment, and if not, why not."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from services.common.errors import Unavailable
from services.common.trust import trust_for

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEPLOYMENT = "serve"
ARGO_CD = "argocd"
_SECONDS = 10.0
Object = Mapping[str, Any]
# Waiting for these passes by itself; other reasons of a waiting container are faults.
_USUAL = frozenset({"ContainerCreating", "PodInitializing", ""})


@dataclass(frozen=True)
class Rollout:
    """How far a release has come.

    Attributes:
        complete: every replica runs the image, is available, and none of another image is left.
        reason: what is missing, for people; empty when complete.
    """

    complete: bool
    reason: str = ""


def namespace_of(application: str, environment: str) -> str:
    """The namespace of an environment, which is also the name of its Argo CD Application."""
    return f"{application}-{environment}"


def judge(
    deployment: Object | None, pods: Sequence[Object], application: Object | None, image_digest: str
) -> Rollout:
    """How far a release has come, from the objects as the Kubernetes API gives them.

    Args:
        deployment: None when there is none.
        pods: of the deployment, old ones too.
        application: Argo CD's; None when there is none or it may not be read.
        image_digest: that the environment shall run.
    """
    if deployment is None:
        return Rollout(False, _with("there is no Deployment yet", argo_cd(application)))
    if not _has_image(deployment["spec"]["template"], image_digest):
        return Rollout(False, _with("the Deployment has another image yet", argo_cd(application)))
    spec, status = deployment["spec"], deployment.get("status") or {}
    wanted = spec.get("replicas", 1)
    counts = {
        name: int(status.get(f"{name}Replicas") or 0) for name in ("updated", "available", "unavailable")
    }
    total = int(status.get("replicas") or 0)
    observed = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    if observed and counts["updated"] == total == counts["available"] == wanted and not counts["unavailable"]:
        return Rollout(True)
    state = f"{min(counts['updated'], counts['available'])} of {wanted} pods run it"
    faults = sorted({fault for pod in pods if _has_image(pod, image_digest) for fault in faults_of(pod)})
    return Rollout(False, _with(state, "; ".join(faults) or argo_cd(application)))


def faults_of(pod: Object) -> list[str]:
    """What keeps a pod from running, such as `ImagePullBackOff: …` or `Unschedulable: …`."""
    status = pod.get("status") or {}
    found = []
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason", "") not in _USUAL:
            found.append(_line(waiting["reason"], waiting.get("message")))
        last = (container.get("lastState") or {}).get("terminated") or {}
        if last and int(last.get("exitCode") or 0) != 0:
            found.append(f"its container ended with {last.get('reason') or 'code'} ({last['exitCode']})")
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            found.append(_line(str(condition.get("reason") or "Unschedulable"), condition.get("message")))
    return found


def argo_cd(application: Object | None) -> str:
    """What Argo CD has to complain of; empty when it is content, or busy, or not known."""
    status = (application or {}).get("status") or {}
    operation = status.get("operationState") or {}
    if operation.get("phase") in ("Failed", "Error"):
        return _line(f"Argo CD sync {operation['phase']}", operation.get("message"))
    if operation.get("phase") == "Running" and int(operation.get("retryCount") or 0) > 0:
        return _line("Argo CD sync is tried again", operation.get("message"))
    faults = [one for one in status.get("conditions") or [] if str(one.get("type", "")).endswith("Error")]
    return _line(f"Argo CD {faults[0]['type']}", faults[0].get("message")) if faults else ""


class Cluster:
    """The Kubernetes API as a step's own service account may read it.

    Args:
        api: address, such as https://kubernetes.default.svc.
        account: folder with `token` and `ca.crt`; the token is read for each call, since it is renewed.
    """

    def __init__(self, api: str, account: Path = ACCOUNT) -> None:
        self._account = account
        authority = account / "ca.crt"
        self._client = httpx.Client(
            base_url=api.rstrip("/"),
            timeout=_SECONDS,
            trust_env=False,
            verify=ssl.create_default_context(cafile=str(authority))
            if authority.is_file()
            else trust_for(api),
        )

    def rollout(self, application: str, environment: str, image_digest: str) -> Rollout:
        """How far the release has come.

        Raises:
            Unavailable: the API does not answer, or refuses to show the Deployment.
        """
        space = namespace_of(application, environment)
        deployment = self._get(f"/apis/apps/v1/namespaces/{space}/deployments/{DEPLOYMENT}")
        first = judge(deployment, [], None, image_digest)
        if first.complete:
            return first
        pods = (self._get(f"/api/v1/namespaces/{space}/pods") or {}).get("items", [])
        place = f"/apis/argoproj.io/v1alpha1/namespaces/{ARGO_CD}/applications/{space}"
        return judge(deployment, pods, self._get(place, needed=False), image_digest)

    def close(self) -> None:
        """Lets go of its connections."""
        self._client.close()

    def _get(self, path: str, *, needed: bool = True) -> dict[str, Any] | None:
        try:
            token = (self._account / "token").read_text().strip()
            answer = self._client.get(path, headers={"Authorization": f"Bearer {token}"})
        except (httpx.HTTPError, OSError) as error:
            raise Unavailable(
                f"the Kubernetes API does not answer: {type(error).__name__}: {error}"
            ) from error
        if answer.status_code == httpx.codes.NOT_FOUND or (answer.is_client_error and not needed):
            return None
        if not answer.is_success:
            raise Unavailable(f"the Kubernetes API does not show {path}: {_message(answer)}")
        return dict(answer.json())


def _has_image(pod: Object, digest: str) -> bool:
    containers = (pod.get("spec") or {}).get("containers") or []
    return any(str(one.get("image", "")).endswith(f"@{digest}") for one in containers)


def _message(answer: httpx.Response) -> str:
    try:
        return f"{answer.status_code} {answer.json()['message']}"[:300]
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.text[:200]}"


def _line(head: str, message: object) -> str:
    text = " ".join(str(message or "").split())[:300]
    return f"{head}: {text}" if text else head


def _with(state: str, more: str) -> str:
    return f"{state}; {more}" if more else state
