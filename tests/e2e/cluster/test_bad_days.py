"""Bad days on the cluster. After each: exactly one training, nothing lost, a clear state."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.common.mlflow_rest import MlflowClient
from tests.support.cluster import ARGO, WORKFLOWS, Cluster, is_ready, serves, until
from workflows.cluster.api import Object
from workflows.local.runs import Run

pytestmark = pytest.mark.usefixtures("train_service")
# Argo CD leaves an application alone that has it; its ApplicationSet leaves it where it is.
_HOLD = "argocd.argoproj.io/skip-reconcile"
STEPS = ("start", "train", "evaluate", "release", "deliver")


def test_the_pod_of_each_step_is_deleted_while_it_works(cluster: Cluster, mlflow: MlflowClient) -> None:
    """Seen: each lost try ended Error, "pod deleted"; the next worked 3 to 12 s after the loss.

    One run in MLflow, one commit, 149 s from the submission to the verified staging at load 20.
    """
    before = cluster.releases()
    name = cluster.train("seed=31", "epochs=8")
    lost = []
    for step in STEPS:
        node = cluster.working(name, step)
        cluster.delete_pod("rookery-workflows", cluster.pod_of(name, node))
        lost.append(node.id)
    run = cluster.succeeded(name, 900)
    assert {node.phase for node in run.nodes if node.id in lost} <= {"Failed", "Error"}
    _one_training(mlflow, "31")
    assert cluster.releases() == before + 1
    _whole(cluster, "staging", _version(run))


def test_the_controller_is_restarted_in_the_middle_of_a_training(
    cluster: Cluster, mlflow: MlflowClient
) -> None:
    """Seen: the new controller went on where the old one was; one pod began the training, and one waited for it."""
    name = cluster.train("seed=32", "epochs=12")
    cluster.working(name, "train")
    cluster.restart("argo", "app=workflow-controller")
    run = cluster.succeeded(name)
    started = [node for node in run.nodes if node.type == "Pod" and node.display_name.startswith("start(")]
    assert len(started) == 1
    _one_training(mlflow, "32")
    _whole(cluster, "staging", _version(run))


def test_argo_cd_is_restarted_while_it_syncs(cluster: Cluster) -> None:
    """Seen: the promotion waited for its pods and succeeded once the controller was back, in about two minutes."""
    version = cluster.environment("staging")["version"]
    name = cluster.promote("staging", "canary", version)
    cluster.working(name, "deliver")
    for part in ("argocd-application-controller", "argocd-repo-server"):
        cluster.restart("argocd", f"app.kubernetes.io/name={part}")
    cluster.succeeded(name)
    _whole(cluster, "canary", version)


@pytest.mark.parametrize("service", ["mlflow", "minio", "postgres"])
def test_a_service_is_away_for_a_minute(cluster: Cluster, mlflow: MlflowClient, service: str) -> None:
    seed = {"mlflow": "33", "minio": "34", "postgres": "35"}[service]
    name = cluster.train(f"seed={seed}", "epochs=8")
    cluster.working(name, "train")
    with _away(cluster, service):
        time.sleep(60)
        assert not cluster.run(name).done
    run = cluster.succeeded(name, 900)
    _one_training(mlflow, seed)
    _whole(cluster, "staging", _version(run))


def test_an_invalid_manifest_changes_nothing_and_the_next_good_one_heals(cluster: Cluster) -> None:
    """Seen: a ComparisonError at the Application, production unchanged, Synced again at the next commit."""
    before = serves("production")
    place = "k8s/apps/digits/production/kustomization.yaml"
    kept: list[str] = []

    def damage(folder: Path) -> None:
        kept.append((folder / place).read_text())
        (folder / place).write_text(kept[0] + "\nresources:\n- there-is-no-such-file.yaml\n")

    def heal(folder: Path) -> None:
        (folder / place).write_text(kept[0])

    cluster.commit("production: a manifest that cannot be built", damage)
    try:

        def complains() -> bool:
            conditions = (cluster.application("digits-production").get("status") or {}).get(
                "conditions"
            ) or []
            return any(one["type"] == "ComparisonError" for one in conditions)

        until("Argo CD to refuse the manifest", complains, 120)
        assert serves("production") == before
        assert cluster.environment("production")["drift"] == ""
    finally:
        good = cluster.commit("production: as it was", heal)
    cluster.synced("digits-production", good)
    assert serves("production") == before


@pytest.mark.parametrize(("how", "seed"), [("away", "36"), ("refuses", "39")])
def test_a_registry_that_takes_no_push_delays_a_release(
    cluster: Cluster, mlflow: MlflowClient, how: str, seed: str
) -> None:
    before = cluster.releases()
    name = cluster.train(f"seed={seed}")
    cluster.working(name, "train")
    with _away(cluster, "registry") if how == "away" else _read_only(cluster):
        until("the release step to meet the registry", lambda: _tries(cluster.run(name), "release") >= 2, 240)
        assert cluster.releases() == before
    run = cluster.succeeded(name, 900)
    assert cluster.releases() == before + 1
    _one_training(mlflow, seed)
    _whole(cluster, "staging", _version(run))


def test_a_node_is_drained_while_it_serves(cluster: Cluster) -> None:
    """Seen, at load 50 with pods that went on for 5 s: 13 requests were reset, since their endpoints were still there.

    The control plane itself was late (48 s until the new pod was made). Pods go on for 15 s since then.
    """
    pods = cluster.api.items("/api/v1/namespaces/digits-production/pods")
    node = next(pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName") != "node1")
    failures: list[str] = []
    answers: list[object] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                answers.append(serves("production"))
            except Exception as error:
                failures.append(f"{type(error).__name__}: {error}")
            time.sleep(0.1)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    place = f"/api/v1/nodes/{node}"
    cluster.api.patch(place, {"spec": {"unschedulable": True}})
    try:
        for pod in cluster.api.items("/api/v1/pods", fieldSelector=f"spec.nodeName={node}"):
            owners = {owner["kind"] for owner in pod["metadata"].get("ownerReferences") or []}
            if pod["metadata"]["namespace"].startswith("digits-") and "DaemonSet" not in owners:
                _evict(cluster, pod["metadata"]["namespace"], pod["metadata"]["name"])
        until("production elsewhere", lambda: _elsewhere(cluster, node), 240)
    finally:
        cluster.api.patch(place, {"spec": {"unschedulable": None}})
        stop.set()
        thread.join(30)
    assert failures == []
    assert len(answers) > 20


def test_two_promotions_at_once_are_one_commit(cluster: Cluster) -> None:
    """Seen: both workflows succeeded, the later one with the commit of the earlier."""
    version = _version(cluster.succeeded(cluster.train("seed=37")))
    before = cluster.releases()
    with ThreadPoolExecutor(2) as pool:
        names = list(pool.map(lambda _: cluster.promote("staging", "canary", version), range(2)))
    for name in names:
        cluster.succeeded(name)
    assert cluster.releases() == before + 1
    _whole(cluster, "canary", version)


def test_a_workflow_that_is_cancelled_stops_its_training(cluster: Cluster, mlflow: MlflowClient) -> None:
    name = cluster.submit("train-model", "train-ip=192.168.1.1", "epochs=900", "patience=0", "seed=38")
    cluster.working(name, "train")
    assert cluster("cancel", name).returncode == 0
    assert cluster.ended(name).phase == "Failed"
    # Parameters are written once the training has begun; whose it is, from the first moment.
    key = cluster.api.get(f"{ARGO}/{WORKFLOWS}/workflows/{name}")["metadata"]["uid"]
    (run,) = mlflow.search_runs([mlflow.experiment_id("digits")], f"tags.`rookery.idempotency_key` = '{key}'")
    until(
        "the training to be killed",
        lambda: mlflow.run(run["info"]["run_id"])["info"]["status"] == "KILLED",
        60,
    )


@contextmanager
def _away(cluster: Cluster, service: str) -> Iterator[None]:
    """No pod of a service of the platform, and nobody who brings it back before the end."""
    application = f"{ARGO}/argocd/applications/{service}"
    kinds = {}
    for kind in ("deployments", "statefulsets"):
        items = cluster.api.items(f"/apis/apps/v1/namespaces/rookery/{kind}")
        kinds[kind] = {item["metadata"]["name"]: item["spec"]["replicas"] for item in items}
    kind = next(kind for kind, found in kinds.items() if service in found)

    def pods() -> list[Object]:
        selector = f"app.kubernetes.io/name={service}"
        return cluster.api.items("/api/v1/namespaces/rookery/pods", labelSelector=selector)

    cluster.api.patch(application, {"metadata": {"annotations": {_HOLD: "true"}}})
    try:
        time.sleep(10)  # a comparison that began before ends, and heals what it still saw
        cluster.scale("rookery", kind, service, 0)
        until(f"{service} to be gone", lambda: not pods(), 120)
        yield
        assert pods() == [], "somebody brought it back"
    finally:
        cluster.scale("rookery", kind, service, kinds[kind][service])
        cluster.api.patch(application, {"metadata": {"annotations": {_HOLD: None}}})
    until(f"{service} to be back", lambda: bool(pods()) and all(is_ready(pod) for pod in pods()), 240)


@contextmanager
def _read_only(cluster: Cluster) -> Iterator[None]:
    """The registry gives images and refuses every push, as while its operator clears it up."""
    application = f"{ARGO}/argocd/applications/registry"
    place = "/apis/apps/v1/namespaces/rookery/deployments/registry"
    before = cluster.api.get(place)["spec"]["template"]["spec"]["containers"]
    refusing = {"name": "REGISTRY_STORAGE_MAINTENANCE_READONLY", "value": '{"enabled":true}'}
    shut = [{**container, "env": [*container.get("env", []), refusing]} for container in before]

    def run(containers: list[Object]) -> None:
        made = cluster.api.patch(place, {"spec": {"template": {"spec": {"containers": containers}}}})
        wanted = made["metadata"]["generation"]

        def there() -> bool:
            status = cluster.api.get(place)["status"]
            new = status.get("observedGeneration", 0) >= wanted and status.get("updatedReplicas", 0) == 1
            return new and status.get("availableReplicas", 0) == 1

        until("the registry to run with its new settings", there, 240)

    cluster.api.patch(application, {"metadata": {"annotations": {_HOLD: "true"}}})
    try:
        run(shut)
        yield
    finally:
        run(before)
        cluster.api.patch(application, {"metadata": {"annotations": {_HOLD: None}}})


def _evict(cluster: Cluster, namespace: str, name: str) -> None:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}

    def gone() -> bool:
        # 429 while the disruption budget allows none.
        answer = cluster.api._client.post(f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", json=body)
        return answer.status_code in (200, 201, 404)

    until(f"the eviction of {namespace}/{name}", gone, 180, 1.0)


def _elsewhere(cluster: Cluster, node: str) -> bool:
    pods = cluster.api.items("/api/v1/namespaces/digits-production/pods")
    deployment = cluster.api.get("/apis/apps/v1/namespaces/digits-production/deployments/serve")
    ready = deployment["status"].get("availableReplicas", 0) >= deployment["spec"]["replicas"]
    return ready and all(pod["spec"].get("nodeName") != node for pod in pods)


def _one_training(mlflow: MlflowClient, seed: str) -> None:
    runs = mlflow.search_runs([mlflow.experiment_id("digits")], f"params.seed = '{seed}'")
    assert [run["info"]["status"] for run in runs] == ["FINISHED"]


def _tries(run: Run, step: str) -> int:
    return len(
        [node for node in run.nodes if node.type == "Pod" and node.display_name.startswith(f"{step}(")]
    )


def _version(run: Run) -> str:
    return next(
        node.parameters["new-model-version"] for node in run.nodes if "new-model-version" in node.parameters
    )


def _whole(cluster: Cluster, environment: str, version: str) -> None:
    found = cluster.environment(environment)
    assert (found["version"], found["phase"], found["drift"]) == (version, "running", "")
    done = cluster("verify", environment)
    assert done.returncode == 0, done.stdout + done.stderr
