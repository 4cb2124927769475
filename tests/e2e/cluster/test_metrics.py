"""Figures and alarms on the cluster, with the real Prometheus and Alertmanager (METRICS=1 make e2e)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import yaml

from services.observe.dashboards.files import files
from tests.e2e.cluster.test_loop import bearer, get, pictures
from tests.support.cluster import PORTS, Cluster, until
from tests.support.dashboards import expressions, filled, load
from tests.support.gitops import REPOSITORY
from workflows.cluster.forward import Forward

pytestmark = pytest.mark.usefixtures("train_service")
REQUESTS = 120
# The monitor has them once a whole hour was logged; nothing is restored where nothing was rolled back; the train
# service is outside of this cluster, and no target then.
_LATER = ("rookery_monitor_", "rookery_dora_restore", "rookery_train_jobs")


@dataclass(frozen=True)
class Figures:
    """Where the parts of the figures answer on this machine."""

    prometheus: str
    alertmanager: str
    notify: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        found: list[dict[str, Any]] = get(f"{self.prometheus}/api/v1/query", {}, query=expression)["data"][
            "result"
        ]
        return found


@pytest.fixture(scope="module")
def figures(cluster: Cluster) -> Iterator[Figures]:
    """Them, where staging has a model and has answered."""
    if cluster.environment("staging")["phase"] == "empty":
        cluster.succeeded(cluster.train())
    staging = f"http://127.0.0.1:{PORTS['staging']}"
    picture = pictures(uuid.uuid4().int % 10**6)
    with httpx.Client(timeout=30, trust_env=False) as client:
        for _ in range(REQUESTS):
            assert client.post(f"{staging}/predict", content=next(picture)).is_success
    with ExitStack() as stack:
        found = []
        for name, port in (("prometheus", 9090), ("alertmanager", 9093), ("notify", 9097)):
            forward = Forward(cluster.api, "rookery", name, port)
            stack.callback(forward.close)
            found.append(forward.url)
        yield Figures(*found)


def test_every_service_of_the_site_is_found_and_answers(figures: Figures) -> None:
    wanted = {"alertmanager", "arbiter", "board", "evaluate", "monitor", "notify", "observe", "prometheus"}
    wanted |= {"serve"}

    def up() -> set[str]:
        return {one["metric"]["service"] for one in figures.query("up == 1")}

    until("scrapes of all", lambda: up() >= wanted, 120)
    assert figures.query('up{environment="staging"} == 1'), "the pods of staging are found by their Service"


def test_the_rules_are_those_of_git_and_none_fails(figures: Figures) -> None:
    committed = yaml.safe_load((REPOSITORY / "k8s/platform/prometheus/rules.yml").read_text())
    wanted = {rule.get("alert") or rule["record"] for group in committed["groups"] for rule in group["rules"]}
    groups = get(f"{figures.prometheus}/api/v1/rules", {})["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == wanted
    until(
        "an evaluation of all",
        lambda: all(
            rule["health"] == "ok"
            for group in get(f"{figures.prometheus}/api/v1/rules", {})["data"]["groups"]
            for rule in group["rules"]
        ),
        90,
    )


def test_what_is_served_is_counted(figures: Figures) -> None:
    counted = 'sum(rookery_serve_requests_total{environment="staging",status="200"})'
    until("the requests", lambda: bool(figures.query(f"{counted} >= {REQUESTS}")), 90)


def test_the_panels_have_data(figures: Figures) -> None:
    """Those that need bad things to happen have theirs in the test on one machine."""
    wanted = [
        (title, filled(expression))
        for name in files()
        for title, expression in expressions(load(name))
        if not any(word in expression for word in _LATER)
    ]
    assert len(wanted) > 30
    for title, expression in wanted:
        until(f"data of the panel {title}: {expression}", lambda of=expression: bool(figures.query(of)), 90)


def test_an_alarm_reaches_people_once(cluster: Cluster, figures: Figures) -> None:
    subject = f"tried {uuid.uuid4().hex[:8]}"
    alarm = {
        "labels": {
            "alertname": subject,
            "application": "digits",
            "environment": "staging",
            "severity": "info",
        },
        "annotations": {"summary": subject},
    }
    sent = httpx.post(f"{figures.alertmanager}/api/v2/alerts", json=[alarm], timeout=30, trust_env=False)
    assert sent.is_success, sent.text

    def told() -> list[dict[str, Any]]:
        messages = get(f"{figures.notify}/messages", bearer(cluster, "notices"), limit="500")
        return [one for one in messages if subject in one["subject"]]

    until("the message", lambda: bool(told()), 60)
    (one,) = told()
    assert (one["kind"], one["application"]) == ("alert", "digits")
