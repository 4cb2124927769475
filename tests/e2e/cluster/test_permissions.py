"""Who may do what, tried: each account asks the real servers for what it must do, and for what it must not."""

from __future__ import annotations

import base64
import json
import ssl
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.cluster import ARGO, WORKFLOWS, Cluster
from workflows.cluster.kubeconfig import Access, load_access

ENVIRONMENTS = [f"{a}-{e}" for a in ("digits", "birds") for e in ("staging", "canary", "production")]
SPACES = ["rookery", WORKFLOWS, "argo", "argocd", "default", "kube-system", *ENVIRONMENTS]
RESULTS = f"{ARGO}/{WORKFLOWS}/workflowtaskresults"
APPS = "/apis/apps/v1/namespaces"
CORE = "/api/v1/namespaces"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"
MERGE = {"Content-Type": "application/merge-patch+json"}
ROLLOUT = {
    ("apps", "deployments", "serve", "get"),
    ("apps", "replicasets", "", "get"),
    ("apps", "replicasets", "", "list"),
    ("", "pods", "", "get"),
    ("", "pods", "", "list"),
}
EVERYBODY = {
    "selfsubjectaccessreviews",
    "selfsubjectrulesreviews",
    "selfsubjectreviews",
    "clustertrustbundles",
}
"""Resources that Kubernetes itself lets every account ask for."""

Ask = Callable[..., httpx.Response]


def as_account(cluster: Cluster, name: str, space: str = WORKFLOWS) -> Iterator[Ask]:
    """Requests with a token of a service account, of the workflows if no other, and with nothing else."""
    access: Access = load_access(cluster.kubeconfig)
    token = cluster.api.create(
        f"{CORE}/{space}/serviceaccounts/{name}/token",
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 600},
        },
    )["status"]["token"]
    tls = ssl.create_default_context(cadata=_authority(cluster.kubeconfig))
    own = replace(access, tls=tls, headers={"Authorization": f"Bearer {token}"})
    with httpx.Client(
        base_url=own.server, headers=own.headers, verify=tls, timeout=30, trust_env=False
    ) as client:
        yield client.request


@pytest.fixture(scope="module")
def step(cluster: Cluster) -> Iterator[Ask]:
    """What the executor beside every step is."""
    yield from as_account(cluster, "rookery-workflow")


@pytest.fixture(scope="module")
def deliver(cluster: Cluster) -> Iterator[Ask]:
    """What a step is that watches a rollout."""
    yield from as_account(cluster, "rookery-deliver")


def test_the_executor_writes_down_results(cluster: Cluster, step: Ask) -> None:
    name = f"tried-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTaskResult", "metadata": {"name": name}}
    try:
        assert step("POST", RESULTS, json=body).status_code == 201
        assert step("PATCH", f"{RESULTS}/{name}", json={"message": "x"}, headers=MERGE).status_code == 200
        assert step("DELETE", f"{RESULTS}/{name}").status_code == 403
    finally:
        cluster.api.delete(f"{RESULTS}/{name}")


def test_a_step_that_delivers_sees_the_rollout(deliver: Ask) -> None:
    for space in ENVIRONMENTS:
        assert deliver("GET", f"{APPS}/{space}/deployments/serve").status_code == 200
        assert deliver("GET", f"{APPS}/{space}/replicasets").status_code == 200
        assert deliver("GET", f"{CORE}/{space}/pods").status_code == 200
    listed = deliver("GET", f"{ARGO}/argocd/applications")
    assert listed.status_code == 200
    assert {item["metadata"]["name"] for item in listed.json()["items"]} >= set(ENVIRONMENTS)


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"generateName": "tried-"},
    "spec": {"containers": [{"name": "main", "image": "any"}]},
}
BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"generateName": "tried-"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "ServiceAccount", "name": "rookery-workflow", "namespace": WORKFLOWS}],
}
FORBIDDEN_TO_ALL: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", f"{CORE}/{WORKFLOWS}/secrets", None),
    ("GET", f"{CORE}/{WORKFLOWS}/secrets/git-release", None),
    ("GET", f"{CORE}/rookery/secrets/git-users", None),
    ("GET", f"{CORE}/argocd/secrets/argocd-secret", None),
    ("GET", "/api/v1/secrets", None),
    ("GET", "/api/v1/nodes", None),
    ("GET", "/api/v1/pods", None),
    ("GET", f"{CORE}/rookery/pods", None),
    ("GET", f"{CORE}/kube-system/configmaps", None),
    ("GET", f"{ARGO}/{WORKFLOWS}/workflows", None),
    ("GET", RESULTS, None),
    ("POST", f"{ARGO}/{WORKFLOWS}/workflows", {"metadata": {"generateName": "tried-"}}),
    ("POST", f"{CORE}/{WORKFLOWS}/pods", POD),
    ("POST", f"{CORE}/digits-production/pods", POD),
    ("POST", f"{CORE}/{WORKFLOWS}/serviceaccounts/rookery-deliver/token", {"spec": {}}),
    ("POST", f"{RBAC}/{WORKFLOWS}/rolebindings", BINDING),
    ("PATCH", f"{APPS}/digits-production/deployments/serve", {"spec": {"replicas": 0}}),
    ("PATCH", f"{APPS}/digits-production/deployments/serve/scale", {"spec": {"replicas": 0}}),
    ("PATCH", f"{ARGO}/argocd/applications/digits-production", {"metadata": {"labels": {"tried": "1"}}}),
    ("PATCH", f"{CORE}/{WORKFLOWS}/configmaps/rookery", {"data": {"ROOKERY_GIT_REMOTE": "http://elsewhere"}}),
    ("PATCH", f"{ARGO}/{WORKFLOWS}/workflowtemplates/train-model", {"metadata": {"labels": {"tried": "1"}}}),
    ("PATCH", f"{CORE}/digits-production", {"metadata": {"labels": {"tried": "1"}}}),
    ("DELETE", f"{APPS}/digits-production/deployments/serve", None),
    ("DELETE", f"{CORE}/digits-production/pods", None),
    ("DELETE", f"{ARGO}/argocd/applications/digits-production", None),
]


@pytest.mark.parametrize("account", ["step", "deliver"])
@pytest.mark.parametrize(
    ("method", "path", "body"), FORBIDDEN_TO_ALL, ids=[f"{m} {p}" for m, p, _ in FORBIDDEN_TO_ALL]
)
def test_what_is_not_a_steps_work_is_forbidden(
    account: str, method: str, path: str, body: dict[str, Any] | None, request: pytest.FixtureRequest
) -> None:
    ask: Ask = request.getfixturevalue(account)
    answer = ask(method, path, json=body, headers=MERGE if method == "PATCH" else {})
    assert answer.status_code == 403, answer.text
    assert "rookery-" in answer.json()["message"], "refused for who asks, not for what is asked"


def test_each_sees_nothing_of_what_the_other_may(step: Ask, deliver: Ask) -> None:
    assert step("GET", f"{APPS}/digits-production/deployments/serve").status_code == 403
    assert step("GET", f"{ARGO}/argocd/applications").status_code == 403
    assert deliver("POST", RESULTS, json={"metadata": {"name": "tried"}}).status_code == 403
    assert deliver("GET", f"{APPS}/digits-production/deployments").status_code == 403
    assert deliver("GET", f"{CORE}/digits-production/secrets").status_code == 403
    assert deliver("GET", f"{CORE}/digits-production/pods/any/log").status_code == 403


def test_the_server_counts_no_other_right_in_any_namespace(step: Ask, deliver: Ask) -> None:
    """Asked of the authorizer itself, so that a right of which nobody thought is found too."""
    for space in SPACES:
        expected = {("argoproj.io", "workflowtaskresults", "", v) for v in ("create", "patch")}
        assert _rights(step, space) == (expected if space == WORKFLOWS else set()), space
        watched = {("argoproj.io", "applications", "", verb) for verb in ("get", "list")}
        allowed = ROLLOUT if space in ENVIRONMENTS else watched if space == "argocd" else set()
        assert _rights(deliver, space) == allowed, space


def test_a_step_finds_no_token_and_nothing_to_write_to(cluster: Cluster) -> None:
    """From inside, with the pod that the templates make."""
    template = cluster.api.get(f"{ARGO}/{WORKFLOWS}/workflowtemplates/build-container-image")["spec"]
    inside = next(one for one in template["templates"] if one["name"] == "build-image")
    inside.pop("inputs")
    inside.pop("retryStrategy")
    inside["script"] |= {"command": ["python"], "args": [], "source": FROM_INSIDE}
    kept = (
        "serviceAccountName",
        "automountServiceAccountToken",
        "executor",
        "securityContext",
        "podSpecPatch",
    )
    body = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "tried-from-inside-"},
        "spec": {
            **{key: template[key] for key in kept if key in template},
            "activeDeadlineSeconds": 240,
            "entrypoint": "build-image",
            "templates": [inside],
        },
    }
    name = cluster.api.create(f"{ARGO}/{WORKFLOWS}/workflows", body)["metadata"]["name"]
    try:
        run = cluster.succeeded(name)
        found = json.loads(next(n.parameters["image-digest"] for n in run.nodes if n.parameters))
    finally:
        cluster.api.delete(f"{ARGO}/{WORKFLOWS}/workflows/{name}")
    assert found["token"] is False
    assert found["uid"] > 0
    assert found["asked without a token"] in (401, 403)
    assert found["could write"] == ["/tmp"]
    assert found["git password in the environment"] is False
    assert found["capabilities"] == 0
    assert found["new privileges"] is False


FROM_INSIDE = """
import json, os, ssl, urllib.error, urllib.request
from pathlib import Path

def status(url):
    context = ssl._create_unverified_context()
    try:
        return urllib.request.urlopen(url, context=context, timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code

def writable(folder):
    try:
        (Path(folder) / 'tried').write_text('x')
    except OSError:
        return False
    return True

facts = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())
found = {
    'token': Path('/var/run/secrets/kubernetes.io/serviceaccount/token').exists(),
    'uid': os.getuid(),
    'asked without a token': status('https://kubernetes.default.svc/api/v1/namespaces/rookery-workflows/secrets'),
    'could write': [f for f in ('/', '/app', '/etc', '/usr/local/bin', '/tmp', '/var/lib') if writable(f)],
    'git password in the environment': any('PASSWORD' in name for name in os.environ),
    'capabilities': int(facts['CapEff'], 16),
    'new privileges': facts['NoNewPrivs'].strip() != '1',
}
Path('/tmp/outputs').mkdir(exist_ok=True)
Path('/tmp/outputs/image-digest').write_text(json.dumps(found))
"""


@pytest.mark.parametrize("space", ["rookery", WORKFLOWS, "argo", "argocd", *ENVIRONMENTS])
def test_a_pod_that_is_not_restricted_is_not_let_in(cluster: Cluster, space: str) -> None:
    """By the cluster, even for an administrator: the rights that a stolen account had would not be enough."""
    for name, spec in (
        ("host network", {"hostNetwork": True}),
        (
            "privileged",
            {"containers": [{"name": "main", "image": "any", "securityContext": {"privileged": True}}]},
        ),
        ("host path", {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}),
        ("root", {}),
    ):
        body = {**POD, "spec": {**POD["spec"], **spec}}  # type: ignore[dict-item]
        answer = cluster.api._client.post(f"{CORE}/{space}/pods", params={"dryRun": "All"}, json=body)
        assert answer.status_code == 403, (name, answer.text)
        assert 'violates PodSecurity "restricted:v' in answer.json()["message"], name


def test_no_pod_of_ours_has_a_token_but_who_asks_the_kubernetes_api(cluster: Cluster) -> None:
    for space in ("rookery", *ENVIRONMENTS, WORKFLOWS):
        for pod in cluster.api.items(f"{CORE}/{space}/pods"):
            for container in pod["spec"]["containers"]:
                mounted = any("serviceaccount" in m["mountPath"] for m in container.get("volumeMounts", []))
                account = pod["spec"].get("serviceAccountName")
                watches = account == "rookery-deliver"
                expected = space == WORKFLOWS and (container["name"] == "wait" or watches)
                expected = expected or (space == "rookery" and account in ("arbiter", "board"))
                expected = expected or (space.endswith("-production") and account == "gateway")
                assert not mounted or expected, (pod["metadata"]["name"], container["name"])


def _rights(ask: Ask, space: str) -> set[tuple[str, str, str, str]]:
    """Group, resource, name and verb of all that an account may do in a namespace, beyond what everybody may."""
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": space},
    }
    answer = ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", json=body)
    assert answer.status_code == 201, answer.text
    status = answer.json()["status"]
    assert not status["incomplete"]
    return {
        (group, resource, name, verb)
        for rule in status["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or [""]
        for verb in rule["verbs"]
        if resource not in EVERYBODY
    }


def _authority(kubeconfig: Path) -> str:
    cluster = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    return base64.b64decode(cluster["certificate-authority-data"]).decode()
