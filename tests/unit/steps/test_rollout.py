"""How far a release has come, read from objects as the Kubernetes API gives them, over a real connection."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from services.common.errors import Unavailable
from workflows.steps.rollout import Cluster, Rollout, judge

NEW, OLD = "sha256:" + "a" * 64, "sha256:" + "b" * 64
DEPLOYMENT = "/apis/apps/v1/namespaces/digits-staging/deployments/serve"
PODS = "/api/v1/namespaces/digits-staging/pods"
ARGO = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/digits-staging"


def deployment(digest: str = NEW, **status: int) -> dict[str, Any]:
    whole = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "observedGeneration": 3}
    return {
        "metadata": {"generation": 3},
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{"image": f"registry/rookery/digits@{digest}"}]}},
        },
        "status": {**whole, **status},
    }


def pod(digest: str = NEW, **status: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"image": f"registry/rookery/digits@{digest}"}]}, "status": status}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"containerStatuses": [{"state": {"waiting": {"reason": reason, "message": message}}}]}


def test_every_replica_runs_it() -> None:
    assert judge(deployment(), [], None, NEW) == Rollout(True)


@pytest.mark.parametrize(
    "status",
    [
        {"observedGeneration": 2},
        {"updatedReplicas": 1},
        {"availableReplicas": 1},
        {"replicas": 3},
        {"unavailableReplicas": 1},
    ],
)
def test_a_rollout_under_way_is_not_complete(status: dict[str, int]) -> None:
    found = judge(deployment(**status), [], None, NEW)
    assert not found.complete
    assert "of 2 pods run it" in found.reason


def test_nothing_and_another_image_are_said() -> None:
    assert judge(None, [], None, NEW).reason == "there is no Deployment yet"
    assert judge(deployment(OLD), [], None, NEW).reason == "the Deployment has another image yet"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (waiting("ImagePullBackOff", 'Back-off pulling\n image "x"'), 'ImagePullBackOff: Back-off pulling image "x"'),
        (waiting("CrashLoopBackOff"), "CrashLoopBackOff"),
        (
            {"containerStatuses": [{"lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]},
            "its container ended with OOMKilled (137)",
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                             "message": "0/3 nodes are available"}]},
            "Unschedulable: 0/3 nodes are available",
        ),
    ],
)  # fmt: skip
def test_what_keeps_a_pod_from_running_is_said(status: dict[str, Any], said: str) -> None:
    found = judge(deployment(availableReplicas=0), [pod(**status)], None, NEW)
    assert found == Rollout(False, f"0 of 2 pods run it; {said}")


def test_a_pod_of_the_former_image_and_a_usual_wait_are_no_faults() -> None:
    pods = [pod(OLD, **waiting("ImagePullBackOff")), pod(NEW, **waiting("ContainerCreating"))]
    assert judge(deployment(availableReplicas=1), pods, None, NEW).reason == "1 of 2 pods run it"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            {"operationState": {"phase": "Failed", "message": "one or more objects failed to apply"}},
            "Argo CD sync Failed: one or more objects failed to apply",
        ),
        (
            {"operationState": {"phase": "Running", "retryCount": 2, "message": "retrying"}},
            "Argo CD sync is tried again: retrying",
        ),
        (
            {"conditions": [{"type": "ComparisonError", "message": "kustomize build failed"}]},
            "Argo CD ComparisonError: kustomize build failed",
        ),
    ],
)
def test_what_argo_cd_complains_of_is_said(status: dict[str, Any], said: str) -> None:
    found = judge(deployment(OLD), [], {"status": status}, NEW)
    assert found.reason == f"the Deployment has another image yet; {said}"


class Api:
    """Answers GET with what it holds, to the bearer of one token only."""

    def __init__(self, token: str) -> None:
        self.objects: dict[str, Any] = {}
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.headers.get("Authorization") == f"Bearer {token}"
                found = api.objects.get(self.path)
                status = (
                    401 if not known else 404 if found is None else found if isinstance(found, int) else 200
                )
                body = found if status == 200 else {"message": "Unauthorized" if status == 401 else "no"}
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api("t0ken")
    yield made
    made.server.shutdown()
    made.server.server_close()
    made.thread.join()


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("t0ken\n")
    return tmp_path


def test_the_api_is_read_with_the_token_of_the_moment(api: Api, account: Path) -> None:
    api.objects = {
        DEPLOYMENT: deployment(availableReplicas=0),
        PODS: {"items": [pod(**waiting("ErrImagePull"))]},
    }
    cluster = Cluster(api.url, account)
    assert "ErrImagePull" in cluster.rollout("digits", "staging", NEW).reason
    (account / "token").write_text("stale")
    with pytest.raises(Unavailable, match="401 Unauthorized"):
        cluster.rollout("digits", "staging", NEW)
    (account / "token").write_text("t0ken")
    api.objects[DEPLOYMENT] = deployment()
    assert cluster.rollout("digits", "staging", NEW).complete
    cluster.close()


def test_an_application_that_may_not_be_read_is_left_out(api: Api, account: Path) -> None:
    api.objects = {DEPLOYMENT: deployment(OLD), PODS: {"items": []}, ARGO: 403}
    cluster = Cluster(api.url, account)
    assert cluster.rollout("digits", "staging", NEW).reason == "the Deployment has another image yet"
    cluster.close()


def test_an_api_that_does_not_answer_or_refuses_is_unavailable(api: Api, account: Path) -> None:
    api.objects = {DEPLOYMENT: 403}
    with pytest.raises(Unavailable, match=r"does not show .*deployments/serve: 403"):
        Cluster(api.url, account).rollout("digits", "staging", NEW)
    with pytest.raises(Unavailable, match="does not answer"):
        Cluster("http://127.0.0.1:9", account).rollout("digits", "staging", NEW)
    with pytest.raises(Unavailable, match="does not answer"):
        Cluster(api.url, account / "nothing").rollout("digits", "staging", NEW)
