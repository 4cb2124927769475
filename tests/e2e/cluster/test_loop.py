"""The loop on the cluster: what is served is seen, people are told, and an event becomes one training."""

from __future__ import annotations

import io
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from minio import Minio
from PIL import Image

from tests.e2e.cluster.test_permissions import CORE, MERGE, WORKFLOWS, Ask, _rights, as_account
from tests.support.cluster import ARGO, NODE1, PORTS, Cluster, until
from tests.support.predictions import drawn, segment
from workflows.cluster.forward import Forward

pytestmark = pytest.mark.usefixtures("train_service")
PREDICTIONS = 60
BOARD = f"http://{NODE1}:8085"
FOLLOWING = {("", "pods", "", "list"), ("", "pods/log", "", "get")}


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> str:
    """Address of a staging that runs a model; one is trained if nothing was released yet."""
    if cluster.environment("staging")["phase"] == "empty":
        cluster.succeeded(cluster.train())
    return f"http://127.0.0.1:{PORTS['staging']}"


@pytest.fixture(scope="module")
def inside(cluster: Cluster) -> Iterator[Callable[[str, int], str]]:
    """The address of a Service of the platform on this machine."""
    made: dict[tuple[str, int], Forward] = {}

    def reach(name: str, port: int) -> str:
        if (name, port) not in made:
            made[name, port] = Forward(cluster.api, "rookery", name, port)
        return made[name, port].url

    yield reach
    for one in made.values():
        one.close()


def bearer(cluster: Cluster, secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {cluster.api.secret('rookery', secret)['token']}"}


def get(url: str, headers: dict[str, str], **params: str) -> Any:
    answer = httpx.get(url, params=params, headers=headers, timeout=30, trust_env=False)
    assert answer.is_success, answer.text
    return answer.json()


def pictures(seed: int) -> Iterator[bytes]:
    """Strokes, none like another."""
    random = np.random.default_rng(seed)
    while True:
        pixels = np.zeros((28, 28), dtype=np.uint8)
        column = int(random.integers(8, 18))
        pixels[4:24, column : column + 3] = random.integers(120, 255, (20, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        yield buffer.getvalue()


def test_what_is_served_reaches_the_monitor(
    cluster: Cluster, served: str, inside: Callable[[str, int], str]
) -> None:
    monitor, headers = inside("monitor", 9095), bearer(cluster, "monitor")
    asked = {"application": "digits", "environment": "staging"}
    before = get(f"{monitor}/drift", headers, **asked)["versions"]
    given = pictures(uuid.uuid4().int % 2**32)
    with httpx.Client(trust_env=False, timeout=30) as client:
        answers = [client.post(f"{served}/predict", content=next(given)) for _ in range(PREDICTIONS)]
        assert {answer.status_code for answer in answers} == {200}
        first = answers[0].json()
        said = {"request_id": first["request_id"], "labels": [first["label"]]}
        assert client.post(f"{served}/feedback", json=said).is_success
    begun = time.monotonic()

    def arrived() -> bool:
        now = get(f"{monitor}/drift", headers, **asked)["versions"]
        return sum(now.values()) >= sum(before.values()) + PREDICTIONS

    until(f"{PREDICTIONS} predictions at the monitor", arrived, 60)
    print(f"prediction → monitor: {time.monotonic() - begun:.1f} s")
    keys = cluster.api.secret("rookery", "monitor")
    endpoint = inside("minio", 9000).removeprefix("http://")
    store = Minio(endpoint, keys["s3-access-key"], keys["s3-secret-key"], secure=False, region="us-east-1")
    found = [item.object_name or "" for item in store.list_objects("monitor", "log/", recursive=True)]
    for part in ("predictions/digits/staging/", "inputs/", "references/"):
        assert any(part in name for name in found), (part, found[:20])


def test_nobody_hands_over_a_log_or_reads_it_without_the_token(
    cluster: Cluster, inside: Callable[[str, int], str]
) -> None:
    monitor = inside("monitor", 9095)
    with httpx.Client(base_url=monitor, trust_env=False, timeout=30) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, bearer(cluster, "arbiter")):
            assert client.get("/drift?application=digits", headers=headers).status_code == 401
            assert client.put("/segments/x", content=b"{}", headers=headers).status_code == 401
    arbiter, notify = inside("arbiter", 9096), inside("notify", 9097)
    for url in (f"{arbiter}/decisions", f"{notify}/messages"):
        assert httpx.get(url, timeout=30, trust_env=False).status_code == 401


def test_servers_hand_over_their_own_log_and_nothing_else(
    cluster: Cluster, inside: Callable[[str, int], str]
) -> None:
    token = cluster.api.secret("digits-canary", "prediction-log")["ROOKERY_SERVE_LOG_TOKEN"]
    headers = {"Authorization": f"Bearer {token}"}
    wrote = segment(drawn(3), application="digits", environment="production")
    with httpx.Client(base_url=inside("monitor", 9095), trust_env=False, timeout=30) as client:
        assert client.get("/environments", headers=headers).status_code == 401
        answer = client.put("/segments/x", content=wrote, headers=headers)
        assert (answer.status_code, answer.json()["allowed"]) == (401, "digits-canary")


def test_steps_tell_people(cluster: Cluster, served: str, inside: Callable[[str, int], str]) -> None:
    messages = get(f"{inside('notify', 9097)}/messages", bearer(cluster, "notices"), limit="500")
    told = {(one["kind"], one["application"]) for one in messages}
    assert {("gate", "digits"), ("promotion", "digits")} <= told


def test_an_event_by_hand_becomes_one_training(
    cluster: Cluster, served: str, inside: Callable[[str, int], str]
) -> None:
    before = {run["name"] for run in cluster.json("runs", "--limit", "100")}
    seed = str(uuid.uuid4().int % 10**6)
    asked = ("retrain", "digits", "--reason", "the loop is tried", "-p", "epochs=4", "-p", f"seed={seed}")
    begun = time.monotonic()
    done = cluster(*asked, "--wait", "--json", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    decision = json.loads(done.stdout)
    print(f"event → decision: {time.monotonic() - begun:.1f} s")
    assert (decision["verdict"], decision["rule"]) == ("retrain", "manual")
    name = decision["workflow"]
    until(f"the workflow {name}", lambda: name in {run["name"] for run in cluster.json("runs")}, 30)
    run = cluster.succeeded(name)
    assert run.parameters["requested-by"].startswith(f"arbiter, decision {decision['id']}")
    started = {run["name"] for run in cluster.json("runs", "--limit", "100")} - before
    assert [one for one in started if one.startswith("train-model-")] == [name]

    def settled() -> bool:
        return any(
            one["id"] == decision["id"] and one["outcome"] == "succeeded"
            for one in cluster.json("decisions", "digits")
        )

    until("the arbiter to see its end", settled, 60)
    again = cluster(*asked, "--wait", timeout=120)
    assert again.returncode == 3, again.stdout + again.stderr
    assert "by the rule novelty" in again.stderr
    messages = get(f"{inside('notify', 9097)}/messages", bearer(cluster, "notices"), limit="500")
    facts = [one["facts"] for one in messages if one["kind"] == "decision"]
    assert name in {one.get("workflow") for one in facts}


def test_a_schedule_looks_at_every_application(cluster: Cluster, served: str) -> None:
    """By a copy of the schedule that is due in the next minute; Argo CD keeps the schedule itself as git says."""
    place = f"{ARGO}/{WORKFLOWS}/cronworkflows"
    names = {item["metadata"]["name"] for item in cluster.api.items(place)}
    assert {"watch-applications", "retrain-weekly"} <= names
    body = cluster.api.get(f"{place}/watch-applications")
    copy = f"tried-{uuid.uuid4().hex[:8]}"
    made = {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "metadata": {"name": copy},
        "spec": {**body["spec"], "schedules": ["* * * * *"], "suspend": False},
    }
    cluster.api.create(place, made)
    try:
        label = f"workflows.argoproj.io/cron-workflow={copy}"
        found = until(
            "a workflow of the schedule",
            lambda: cluster.api.items(f"{ARGO}/{WORKFLOWS}/workflows", labelSelector=label),
            90,
        )
        name = found[0]["metadata"]["name"]
        cluster.succeeded(name)
        said = cluster("logs", name, "--step", "watch").stdout
        assert re.search(r"digits: (data and code are as before|\d+ changes of data or code)", said), said
        assert re.search(r"birds: ", said), said
    finally:
        cluster.api.delete(f"{place}/{copy}")


@pytest.fixture(scope="module")
def arbiter(cluster: Cluster) -> Iterator[Ask]:
    yield from as_account(cluster, "arbiter", "rookery")


@pytest.fixture(scope="module")
def board(cluster: Cluster) -> Iterator[Ask]:
    yield from as_account(cluster, "board", "rookery")


def workflow(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "tried-"},
        "spec": spec,
    }


TRAIN = {"workflowTemplateRef": {"name": "train-model"}}
OWN = {
    "entrypoint": "main",
    "serviceAccountName": "rookery-deliver",
    "templates": [{"name": "main", "container": {"image": "any"}}],
}


@pytest.mark.parametrize(
    ("who", "spec", "lets"),
    [
        ("arbiter", TRAIN, True),
        ("arbiter", {"workflowTemplateRef": {"name": "promote-model"}}, False),
        ("board", {"workflowTemplateRef": {"name": "promote-model"}}, True),
        ("arbiter", OWN, False),
        ("board", OWN, False),
        ("arbiter", {**TRAIN, "serviceAccountName": "rookery-deliver"}, False),
        ("board", {**TRAIN, "podSpecPatch": "hostNetwork: true"}, False),
    ],
)
def test_services_submit_our_templates_and_nothing_else(
    who: str, spec: dict[str, Any], lets: bool, request: pytest.FixtureRequest
) -> None:
    ask: Ask = request.getfixturevalue(who)
    answer = ask("POST", f"{ARGO}/{WORKFLOWS}/workflows", params={"dryRun": "All"}, json=workflow(**spec))
    assert answer.status_code == (201 if lets else 422), answer.text
    assert lets or "ValidatingAdmissionPolicy 'rookery-submitters'" in answer.json()["message"]


def test_a_service_changes_no_more_of_a_workflow_than_whether_it_goes_on(
    cluster: Cluster, board: Ask, arbiter: Ask
) -> None:
    place = f"{ARGO}/{WORKFLOWS}/workflows"
    name = cluster.api.create(place, workflow(**TRAIN, suspend=True))["metadata"]["name"]
    try:
        dry = {"params": {"dryRun": "All"}, "headers": MERGE}
        for change, status in (
            ({"spec": {"shutdown": "Stop"}}, 200),
            ({"spec": {"suspend": None}}, 200),
            ({"spec": {"serviceAccountName": "rookery-deliver"}}, 422),
            ({"spec": {"workflowTemplateRef": {"name": "promote-model"}}}, 422),
        ):
            assert board("PATCH", f"{place}/{name}", json=change, **dry).status_code == status, change
        assert (
            arbiter("PATCH", f"{place}/{name}", json={"spec": {"shutdown": "Stop"}}, **dry).status_code == 403
        )
    finally:
        cluster.api.delete(f"{place}/{name}")


def test_they_may_do_nothing_besides(arbiter: Ask, board: Ask) -> None:
    submits = {("argoproj.io", "workflows", "", verb) for verb in ("create", "get", "list")}
    assert _rights(arbiter, WORKFLOWS) == FOLLOWING | submits | {
        ("argoproj.io", "workflowtemplates", "train-model", "get")
    }
    assert _rights(board, WORKFLOWS) == FOLLOWING | submits | {
        ("argoproj.io", "workflows", "", "patch"),
        *(("argoproj.io", "workflowtemplates", "", verb) for verb in ("get", "list")),
        ("", "configmaps", "rookery", "get"),
    }
    for ask in (arbiter, board):
        for space in ("rookery", "argo", "kube-system"):
            assert _rights(ask, space) == set(), space
        for path in (f"{CORE}/{WORKFLOWS}/secrets", f"{CORE}/rookery/secrets/board", "/api/v1/nodes"):
            assert ask("GET", path).status_code == 403


def test_the_board_shows_the_cluster_to_who_has_its_token(cluster: Cluster, served: str) -> None:
    token = cluster.api.secret("rookery", "board")["token"]
    version = cluster.environment("staging")["version"]
    html = {"Accept": "text/html", "Origin": BOARD}
    with httpx.Client(base_url=BOARD, trust_env=False, timeout=30, headers=html) as client:
        assert client.get("/").headers["location"].startswith("/login")
        wrong = client.post("/login", data={"name": "Ada", "token": "wrong"})
        assert wrong.status_code == 401
        assert client.post("/login", data={"name": "Ada", "token": token}).status_code == 303
        assert "this cluster" in client.get("/").text

        def shown() -> bool:
            page = client.get("/applications/digits/staging").text
            return re.search(rf"\bv(ersion )?{version}\b", page) is not None and "not known" not in page

        until("staging on the board", shown, 60)
        for page in ("/runs", "/decisions", "/actions"):
            assert client.get(page).status_code == 200
        assert "train-model" in client.get("/runs").text
