"""A weighted share of live traffic for the canary, by commits alone, through the Gateway API (GATEWAY=1 make e2e)."""

from __future__ import annotations

import json
import math
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.cluster.test_loop import bearer, get, pictures
from tests.e2e.cluster.test_main_job import load, version_of
from tests.support.cluster import PORTS, Cluster, until
from workflows.cluster.forward import Forward
from workflows.cluster.traffic import route_path

pytestmark = pytest.mark.usefixtures("train_service")
LIVE = f"http://127.0.0.1:{PORTS['production']}"
REQUESTS = 500
TIMES: dict[str, float] = {}


@pytest.fixture(scope="module", autouse=True)
def times() -> Iterator[None]:
    """Prints what was measured, and keeps it where the caller wants it."""
    yield
    print("\n".join(f"{what:<60} {seconds:7.2f}" for what, seconds in TIMES.items()))
    if folder := os.environ.get("E2E_RESULTS"):
        Path(folder, "share.json").write_text(json.dumps(TIMES, indent=2) + "\n")


@pytest.fixture(scope="module")
def versions(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """The versions of production and of the canary, which is newer and verified."""
    if cluster.environment("production")["phase"] == "empty":
        _bring(cluster, "production")
    # Refused while there is no newer canary that is verified.
    if cluster("share", "digits", "1").returncode != 0:
        _bring(cluster, "canary")
    cluster("share", "digits", "0")
    yield cluster.environment("production")["version"], cluster.environment("canary")["version"]
    cluster("share", "digits", "0")


def _bring(cluster: Cluster, target: str) -> str:
    """Train a version and promote it as far as one environment."""
    version = version_of(cluster.succeeded(cluster.train(f"seed={uuid.uuid4().int % 10**6}")))
    for source, name in (("staging", "canary"), ("canary", "production")):
        cluster.succeeded(cluster.promote(source, name, version))
        if name == target:
            break
    return version


def share(cluster: Cluster, percent: int) -> float:
    """Seconds until the gateway has what a command commits."""
    begun = time.monotonic()
    done = cluster("share", "digits", str(percent), "--reason", "tried")
    assert done.returncode == 0, done.stdout + done.stderr
    return time.monotonic() - begun


def ask(requests: int, track: str = "") -> Counter[str]:
    """Versions that answered, by how often; nothing may fail."""
    headers = {"Content-Type": "application/octet-stream", **({"X-Rookery-Track": track} if track else {})}
    given = pictures(uuid.uuid4().int % 2**32)
    found: Counter[str] = Counter()
    with httpx.Client(timeout=30, trust_env=False, headers=headers) as client:
        for _ in range(requests):
            answer = client.post(f"{LIVE}/predict", content=next(given))
            assert answer.status_code == 200, answer.text
            found[str(answer.json()["version"])] += 1
    return found


def test_without_a_share_all_live_traffic_goes_to_production(
    cluster: Cluster, versions: tuple[str, str]
) -> None:
    production, _ = versions
    found = cluster.json("share", "digits")
    assert (found["share"], found["live_version"]) == (0, production)
    assert ask(60) == {production: 60}


def test_a_client_may_ask_for_one_side(cluster: Cluster, versions: tuple[str, str]) -> None:
    production, canary = versions
    assert ask(20, "canary") == {canary: 20}
    assert ask(20, "production") == {production: 20}


def test_ninety_to_ten(cluster: Cluster, versions: tuple[str, str]) -> None:
    production, canary = versions
    TIMES["rookery share 10, s: verified, committed, at the gateway"] = share(cluster, 10)
    begun = time.monotonic()
    found = ask(REQUESTS)
    TIMES["500 requests one after the other, s"] = time.monotonic() - begun
    TIMES["of which the canary answered"] = float(found[canary])
    assert found.keys() == {production, canary}
    wide = 4 * math.sqrt(REQUESTS * 0.1 * 0.9)
    assert abs(found[canary] - REQUESTS * 0.1) <= wide
    said = cluster("share", "digits").stdout
    assert "10 % of the live traffic of digits goes to canary" in " ".join(said.split())
    assert cluster.json("history", "production", "--limit", "1")[0]["action"] == "share"
    assert cluster.json("why", "production")["share"] == 10


def test_what_the_canary_answers_of_live_traffic_counts_for_the_judge(
    cluster: Cluster, versions: tuple[str, str]
) -> None:
    forward = Forward(cluster.api, "rookery", "monitor", 9095)
    try:
        asked = {"application": "digits", "version": versions[1]}

        def judged() -> dict[str, int] | None:
            found: dict[str, int] = get(f"{forward.url}/judge", bearer(cluster, "monitor"), **asked)[
                "requests"
            ]
            return found if found["canary"] >= 30 else None

        requests = until("the live predictions of the canary at the judge", judged, 90)
    finally:
        forward.close()
    assert requests["production"] > requests["canary"]


def test_the_weights_change_without_a_failed_request(cluster: Cluster, versions: tuple[str, str]) -> None:
    seconds = []
    with load(f"{LIVE}/predict") as answers:
        for percent in (50, 1, 25, 0):
            seconds.append(share(cluster, percent))
            time.sleep(2)
        settled = len(answers)
        time.sleep(3)
    TIMES["requests during four changes, none failed"] = float(len(answers))
    TIMES["a change, s, the slowest of four"] = max(seconds)
    assert [answer for answer in answers if answer[0] != 200] == []
    assert len({bundle for _, bundle in answers}) == 2
    assert len({bundle for _, bundle in answers[settled:]}) == 1
    assert ask(60) == {versions[0]: 60}


def test_a_change_of_weights_is_live_soon_after_the_commit(
    cluster: Cluster, versions: tuple[str, str]
) -> None:
    """From the route's new weights in the cluster to the first answer of the canary, half of the traffic being its."""
    production, canary = versions
    seen: dict[str, float] = {}

    def watch_route() -> None:
        deadline = time.monotonic() + 120
        while "route" not in seen and time.monotonic() < deadline:
            backends = cluster.api.get(route_path("digits", "production"))["spec"]["rules"][0]["backendRefs"]
            if backends[1]["weight"] == 50:
                seen["route"] = time.monotonic()
            time.sleep(0.02)

    thread = threading.Thread(target=watch_route, daemon=True)
    thread.start()
    change = threading.Thread(target=share, args=(cluster, 50), daemon=True)
    change.start()
    with httpx.Client(timeout=30, trust_env=False) as client:
        body = next(pictures(1))
        deadline = time.monotonic() + 120
        while "canary" not in seen:
            assert time.monotonic() < deadline
            if str(client.post(f"{LIVE}/predict", content=body).json()["version"]) == canary:
                seen["canary"] = time.monotonic()
    thread.join(130)
    change.join(120)
    assert not change.is_alive()
    TIMES["weights in the cluster → first answer of the canary, s"] = seen["canary"] - seen["route"]
    assert seen["canary"] - seen["route"] < 5
    assert set(ask(40)) == {production, canary}


def test_a_promotion_ends_the_share_and_fails_nobody(cluster: Cluster, versions: tuple[str, str]) -> None:
    share(cluster, 20)
    with load(f"{LIVE}/predict") as answers:
        cluster.succeeded(cluster.promote("canary", "production", versions[1]))
        time.sleep(3)
    assert [answer for answer in answers if answer[0] != 200] == []
    assert cluster.json("share", "digits")["share"] == 0
    assert ask(40) == {versions[1]: 40}
    refused = cluster("share", "digits", "10")
    assert refused.returncode == 3
    assert "have the same version" in refused.stderr


def test_another_canary_gets_nothing_that_was_not_asked_for_it(
    cluster: Cluster, versions: tuple[str, str]
) -> None:
    new = _bring(cluster, "canary")
    share(cluster, 30)
    assert set(ask(40)) == {versions[1], new}
    done = cluster("rollback", "canary", "--reason", "tried", "--no-quarantine")
    assert done.returncode == 0, done.stdout + done.stderr
    assert cluster.json("share", "digits")["share"] == 0
    step = cluster.json("history", "production", "--limit", "1")[0]
    assert (step["action"], step["model_version"]) == ("share", versions[1])
    until("the gateway to have it", lambda: set(ask(20)) == {versions[1]}, 60)
    assert int(cluster.environment("canary")["version"]) < int(new)
    assert cluster("verify", "production").returncode == 0
