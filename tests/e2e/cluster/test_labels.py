"""Labelling on the cluster with the real Label Studio on PostgreSQL (LABELS=1 make e2e)."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from minio import Minio

from tests.e2e.cluster.test_loop import bearer, pictures
from tests.e2e.cluster.test_main_job import version_of
from tests.support.cluster import PORTS, Cluster, until
from tests.support.label_studio import Person
from workflows.cluster.forward import Forward

pytestmark = pytest.mark.usefixtures("train_service")
SERVED, ASKED = 120, 50


@dataclass(frozen=True)
class Desk:
    """Where people label, as this machine reaches it."""

    labels: str
    studio: str
    store: str
    headers: dict[str, str]

    def __call__(self, method: str, path: str) -> dict[str, Any]:
        """The labels service's answer about digits."""
        answer = httpx.request(
            method,
            f"{self.labels}{path}?application=digits",
            headers=self.headers,
            timeout=300,
            trust_env=False,
        )
        assert answer.is_success, answer.text
        return dict(answer.json())


@pytest.fixture(scope="module")
def desk(cluster: Cluster) -> Iterator[Desk]:
    """It, where production has answered many inputs, none like another."""
    if cluster.environment("production")["phase"] == "empty":
        version = version_of(cluster.succeeded(cluster.train()))
        for source, target in (("staging", "canary"), ("canary", "production")):
            cluster.succeeded(cluster.promote(source, target, version))
    picture = pictures(uuid.uuid4().int % 10**6)
    with httpx.Client(timeout=30, trust_env=False) as client:
        for _ in range(SERVED):
            answer = client.post(f"http://127.0.0.1:{PORTS['production']}/predict", content=next(picture))
            assert answer.is_success, answer.text
    with ExitStack() as stack:
        urls = []
        for name, port in (("labels", 9098), ("label-studio", 5000), ("minio", 9000)):
            forward = Forward(cluster.api, "rookery", name, port)
            stack.callback(forward.close)
            urls.append(forward.url)
        yield Desk(*urls, bearer(cluster, "labels"))


def test_what_was_served_is_labelled_and_becomes_a_version_of_the_dataset(
    cluster: Cluster, desk: Desk, request: pytest.FixtureRequest
) -> None:
    def chosen() -> bool:
        desk("POST", "/choose")
        desk("POST", "/sync")
        queue = desk("GET", "/queue")
        return queue["open"] >= ASKED // 2 and not queue["to_send"]

    # Predictions are chosen once they are two minutes old, so that their feedback is there.
    begun = time.monotonic()
    until("tasks of what was served", chosen, 300, pause=10)
    print(f"prediction → task: {time.monotonic() - begun:.1f} s")
    token = cluster.api.secret("rookery", "label-studio")["token"]
    name = uuid.uuid4().hex[:6]
    people = [Person(desk.studio, f"{who}-{name}", token) for who in ("ann", "bob")]
    for person in people:
        request.addfinalizer(person.client.close)
    tasks = people[0].tasks(people[0].projects()["Rookery: digits"])
    # As a browser beside the cluster would ask for it.
    address = urlsplit(tasks[0]["data"]["input"])
    shown = httpx.get(f"{desk.labels}{address.path}?{address.query}", timeout=30, trust_env=False)
    assert shown.headers["content-type"] == "image/png", shown.text[:200]
    for person in people:
        for task in tasks:
            person.answer(task["id"], str(int(task["data"]["digest"][:8], 16) % 10))
    found = desk("POST", "/sync")
    assert found["new"] > 0 and found["source"].startswith("s3://labels/digits?version="), found
    keys = cluster.api.secret("rookery", "labels")
    store = Minio(
        desk.store.removeprefix("http://"), keys["s3-access-key"], keys["s3-secret-key"],
        secure=False, region="us-east-1",
    )  # fmt: skip
    version = store.get_object("labels", f"digits/versions/{found['version']:06d}.json")
    said = {word["by"] for item in json.loads(version.read())["items"] for word in item["annotations"]}
    assert {person.name for person in people} <= said

    def told() -> bool:
        kinds = [event["kind"] for one in cluster.json("decisions", "digits") for event in one["events"]]
        return "labels" in kinds

    until("the arbiter's decision about the labels", told, 120)


def test_nobody_labels_or_looks_without_a_login(desk: Desk) -> None:
    assert httpx.get(f"{desk.labels}/queue?application=digits", timeout=30).status_code == 401
    forged = httpx.get(f"{desk.labels}/media/{'0' * 64}?signature={'0' * 64}", timeout=30)
    assert forged.json()["error"] == "refused"
    assert httpx.get(f"{desk.studio}/api/projects", timeout=30).status_code == 401
