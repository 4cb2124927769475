"""The main job on the cluster: the tests run in order and build on each other."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.common.mlflow_rest import MlflowClient
from tests.support.cluster import ARGO, HOST, MLFLOW, PORTS, WORKFLOWS, Cluster, serves, until
from workflows.local.runs import Run

pytestmark = pytest.mark.usefixtures("train_service")
TIMES: dict[str, float] = {}


@pytest.fixture(scope="module", autouse=True)
def times() -> Iterator[None]:
    """Prints what was measured, and keeps it where the caller wants it."""
    yield
    print("\n".join(f"{what:<60} {seconds:7.1f} s" for what, seconds in TIMES.items()))
    if folder := os.environ.get("E2E_RESULTS"):
        Path(folder, "main-job.json").write_text(json.dumps(TIMES, indent=2) + "\n")


def version_of(run: Run) -> str:
    """The model version that a train-model workflow registered."""
    return next(
        node.parameters["new-model-version"] for node in run.nodes if "new-model-version" in node.parameters
    )


def overhead(run: Run, mlflow: MlflowClient) -> float:
    """Seconds of a train-model workflow beyond the work: training, judging, packing and committing, delivery.

    The work of a step begins when its own container begins and ends when it ends; the training's ends with its run.
    """
    assert run.finished is not None
    run_id = next(node.parameters["run-id"] for node in run.nodes if "run-id" in node.parameters)
    info = mlflow.run(run_id)["info"]
    begun, ended = int(info["start_time"]) / 1000, int(info["end_time"]) / 1000
    return (run.finished - run.started) - (ended - begun)


def delivery(run: Run) -> float:
    """Seconds from the end of a promotion's commit until every pod has it and answers its golden inputs."""
    ended = {
        name: node.finished
        for node in run.nodes
        if node.type == "Pod" and (name := node.display_name.split("(")[0]) in ("commit", "deliver")
    }
    assert ended["deliver"] is not None
    assert ended["commit"] is not None
    return ended["deliver"] - ended["commit"]


def test_a_model_goes_from_data_to_a_verified_staging(cluster: Cluster, mlflow: MlflowClient) -> None:
    begun = time.monotonic()
    done = cluster(
        "submit",
        "train-model",
        "-p",
        "application=digits",
        "-p",
        "epochs=4",
        "-p",
        f"train-ip={HOST}",
        "--watch",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    TIMES["train-model, first time, by the command line"] = time.monotonic() - begun
    name = done.stdout.split()[0]
    run = cluster.run(name)
    TIMES["train-model, first time: beyond the training"] = overhead(run, mlflow)
    pods = [node for node in run.nodes if node.type == "Pod"]
    assert [re.sub(r"\(\d+\)$", "", node.display_name) for node in pods] == [
        "start", "train", "evaluate", "release", "deliver",
    ]  # fmt: skip
    assert cluster.releases(by=name) == 1
    staging = cluster.environment("staging")
    assert (staging["phase"], staging["drift"], staging["health"]) == ("running", "", "ok")
    assert staging["version"] == version_of(run)
    assert serves("staging")["image_digest"] == staging["digest"]
    assert cluster("verify", "staging").returncode == 0


def test_kubectl_alone_is_enough(cluster: Cluster, mlflow: MlflowClient) -> None:
    body = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "train-model-"},
        "spec": {
            "workflowTemplateRef": {"name": "train-model"},
            "arguments": {"parameters": [
                {"name": "train-ip", "value": HOST}, {"name": "epochs", "value": "3"}, {"name": "seed", "value": "11"},
            ]},
        },
    }  # fmt: skip
    name = cluster.api.create(f"{ARGO}/{WORKFLOWS}/workflows", body)["metadata"]["name"]
    run = cluster.succeeded(name)
    assert run.finished is not None
    TIMES["train-model, images present"] = run.finished - run.started
    TIMES["train-model, images present: beyond the training"] = overhead(run, mlflow)
    assert cluster.environment("staging")["version"] == version_of(run)
    recorded = mlflow.search_runs([mlflow.experiment_id("workflows")], f"tags.`mlflow.runName` = '{name}'")
    assert [one["info"]["status"] for one in recorded] == ["FINISHED"]


def test_a_version_adds_one_layer_of_its_bundle_to_the_registry(
    cluster: Cluster, mlflow: MlflowClient
) -> None:
    images = {entry["image_digest"]: entry for entry in cluster.json("history", "staging", "--limit", "2")}
    newest, former = (cluster.layers(digest) for digest in images)
    assert [layer["digest"] for layer in newest[:-1]] == [layer["digest"] for layer in former[:-1]]
    assert newest[-1]["digest"] != former[-1]["digest"]
    run_id = cluster.json("why", "staging")["evidence"]["run_id"]
    query = {"run_id": run_id, "path": "bundle"}
    files = httpx.get(f"{MLFLOW}/api/2.0/mlflow/artifacts/list", params=query, trust_env=False).json()[
        "files"
    ]
    bundle = sum(int(file["file_size"]) for file in files)
    moved = int(newest[-1]["size"])
    print(f"bundle {bundle} bytes, layer {moved} bytes: {moved / bundle:.3f}")
    assert moved <= 1.05 * bundle


def test_a_model_that_the_gate_refuses_changes_nothing(cluster: Cluster) -> None:
    before = cluster.releases()
    done = cluster(
        "submit", "train-model", "-p", f"train-ip={HOST}", "-p", "epochs=1", "-p", "label-noise=0.9", "--wait"
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "the gate refused" in done.stderr
    assert cluster.releases() == before


def test_it_is_promoted_to_canary_by_one_commit(cluster: Cluster) -> None:
    version = cluster.environment("staging")["version"]
    before = cluster.releases()
    run = cluster.succeeded(cluster.promote("staging", "canary", version))
    assert run.finished is not None
    TIMES["promote-model to canary"] = run.finished - run.started
    TIMES["end of the commit step → all pods verified"] = delivery(run)
    assert cluster.releases() == before + 1
    assert serves("canary")["model_version"] == version


def test_a_promotion_that_needs_approval_waits_for_it(cluster: Cluster) -> None:
    version = cluster.environment("canary")["version"]
    before = cluster.releases()
    name = cluster.submit(
        "promote-model", "source-environment=canary", "target-environment=production", f"model-version={version}",
        "approval=required",
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not cluster.run(name).waiting:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert cluster.releases() == before
    done = cluster("approve", name)
    assert done.returncode == 0, done.stderr
    cluster.succeeded(name)
    assert serves("production")["model_version"] == version


def test_no_request_fails_while_production_is_replaced_under_load(cluster: Cluster) -> None:
    before = serves("production")["bundle_digest"]
    new = version_of(cluster.succeeded(cluster.train("seed=21")))
    with load(f"http://127.0.0.1:{PORTS['production']}/predict") as answers:
        for source, target in (("staging", "canary"), ("canary", "production")):
            cluster.succeeded(cluster.promote(source, target, new))
        # Connections that are open stay with the former pods until those end.
        after = serves("production")["bundle_digest"]
        until(
            "the load to be answered by the new version",
            lambda: after in {last for _, last in answers[-4:]},
            90,
        )
        time.sleep(3)
    bundles = {bundle for _, bundle in answers}
    print(f"{len(answers)} requests, bundles {sorted(bundles)}")
    assert [answer for answer in answers if answer[0] != 200] == []
    assert len(answers) > 100
    assert bundles == {before, serves("production")["bundle_digest"]}
    assert len(bundles) == 2
    TIMES["requests during two promotions, none failed"] = float(len(answers))


def test_a_manifest_that_somebody_changes_by_hand_is_synced(cluster: Cluster) -> None:
    def more(folder: Path) -> None:
        path = folder / "k8s/apps/digits/canary/kustomization.yaml"
        path.write_text(path.read_text().rstrip("\n") + "\nreplicas:\n- name: serve\n  count: 2\n")

    commit = cluster.commit("canary: two replicas", more)
    TIMES["manifest commit by hand → Synced and Healthy"] = cluster.synced("digits-canary", commit)
    deployment = cluster.api.get("/apis/apps/v1/namespaces/digits-canary/deployments/serve")
    assert deployment["spec"]["replicas"] == deployment["status"]["availableReplicas"] == 2


def test_status_why_verify_and_history_agree(cluster: Cluster) -> None:
    for environment in ("staging", "canary", "production"):
        status = cluster.environment(environment)
        why = cluster.json("why", environment)
        verify = cluster.json("verify", environment)
        newest = cluster.json("history", environment, "--limit", "1")[0]
        assert why["evidence"]["image_digest"] == status["digest"] == status["memory"]
        assert {place["image_digest"] for place in verify["places"] if place["image_digest"]} == {
            status["digest"]
        }
        assert verify["passed"], verify
        assert verify["golden"]["passed"]
        assert newest["image_digest"] == status["digest"]
        assert serves(environment)["image_digest"] == status["digest"]


def test_a_plan_says_what_a_promotion_would_do(cluster: Cluster) -> None:
    plan = cluster.json("plan", "canary", "production")
    assert plan["model_version"] == cluster.environment("canary")["version"]


def test_production_goes_back_by_one_commit(cluster: Cluster) -> None:
    before = cluster.environment("production")["version"]
    commits = cluster.releases()
    done = cluster("rollback", "production", "--reason", "takes wrens for robins")
    assert done.returncode == 0, done.stdout + done.stderr
    after = cluster.environment("production")
    assert int(after["version"]) < int(before)
    assert serves("production")["model_version"] == after["version"]
    assert cluster.releases() == commits + 1
    assert cluster("verify", "production").returncode == 0
    assert "takes wrens for robins" in cluster("why", "production").stdout


def test_runs_and_logs_tell_what_happened(cluster: Cluster) -> None:
    runs = cluster.json("runs", "--limit", "50")
    refused = next(run for run in runs if run["phase"] == "Failed")
    assert "the gate refused" in refused["reason"]
    logs = cluster("logs", refused["name"], "--step", "evaluate")
    assert "refused:" in logs.stdout
    assert cluster("logs", "no-such-workflow").returncode == 1


@contextmanager
def load(url: str, clients: int = 4) -> Iterator[list[tuple[int, str]]]:
    """Requests from several clients, each on a connection of its own; status and bundle of every answer."""
    answers: list[tuple[int, str]] = []
    stop = threading.Event()
    body = _picture()

    def ask() -> None:
        with httpx.Client(timeout=30, trust_env=False) as client:
            while not stop.is_set():
                try:
                    answer = client.post(
                        url, content=body, headers={"Content-Type": "application/octet-stream"}
                    )
                    content: dict[str, Any] = answer.json() if answer.is_success else {}
                    answers.append((answer.status_code, str(content.get("bundle_digest", ""))))
                except httpx.HTTPError as error:
                    answers.append((0, type(error).__name__))
                time.sleep(0.05)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def _picture() -> bytes:
    import io

    import numpy as np
    from PIL import Image

    pixels = np.zeros((28, 28), dtype=np.uint8)
    pixels[4:24, 13:16] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
