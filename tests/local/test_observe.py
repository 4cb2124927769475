"""The whole chain with the real servers: a served model that fails, Prometheus, Alertmanager, notify, a webhook."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.common.mlflow_rest import MlflowClient
from services.observe.dashboards.files import files
from tests.support import web
from tests.support.bundles import digit_png, tiny_image_bundle
from tests.support.dashboards import expressions, filled, load
from tests.support.monitoring import monitor
from tests.support.notifying import notify
from tests.support.observing import Observing, promtool
from tests.support.receivers import Webhook, wait_until, webhook
from tests.support.release import digest, evidence, gitops, make_remote, runs
from tests.support.servers import Server, free_port, train_server
from tests.support.serving import serve
from workflows.release.release import promote, release
from workflows.release.rollback import rollback

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
# Other tests have runs of digits in the MLflow of the session.
APPLICATION = "watched"
WHO = {"requested_by": "a tester", "workflow": "promote-model-1"}


@dataclass
class World:
    """The platform as `rookery up --with metrics` starts it, but for the deployer."""

    folder: Path
    observing: Observing
    production: Server
    hook: Webhook

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer = web.get(
            self.observing.prometheus.url + "/api/v1/query",
            params={"query": expression},
            timeout=30,
        )
        assert answer.status_code == 200, (expression, answer.text)
        return list(answer.json()["data"]["result"])

    def alarms(self, name: str, environment: str = "production") -> list[dict[str, Any]]:
        return [
            told
            for told in self.hook.told
            if told["facts"].get("alert") == name and told["environment"] == environment
        ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, mlflow: Server) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("observe")
    bundle = tiny_image_bundle(folder)
    with ExitStack() as stack:

        def start(server: Server) -> Server:
            stack.callback(server.stop)
            return server.start()

        hook = stack.enter_context(webhook())
        notifier = start(notify(folder, webhook_url=hook.url))
        # One prediction at a time and no queue: whoever comes meanwhile is answered 503.
        staging, production = (
            serve(
                bundle,
                folder,
                application=APPLICATION,
                environment=environment,
                model_version=version,
                image_digest=digest(f"image {version}"),
                workers="1",
                waiting="0",
                inline_milliseconds="0",
                log_dir=str(folder / "spool" / environment),
                log_segment_seconds="0.5",
            )
            for environment, version in (("staging", "2"), ("production", "1"))
        )
        start(staging), start(production)
        watcher = start(monitor(folder, spools=json.dumps([str(folder / "spool")]), watch_seconds="1"))
        remote = history(folder, staging.port, production.port)
        runs_of(mlflow)
        targets = {
            name: server.url.removeprefix("http://")
            for name, server in (("notify", notifier), ("monitor", watcher))
        }
        targets |= {"train": train(stack, folder, mlflow), "evaluate": evaluate(stack, folder, mlflow)}
        observing = Observing(
            folder, targets=targets, git_remote=remote, mlflow_url=mlflow.url, notify_url=notifier.url
        )
        for server in (observing.exporter, observing.alertmanager, observing.prometheus):
            start(server)
        ended = threading.Event()
        visitor = threading.Thread(target=visit, args=(staging, production, ended), daemon=True)
        visitor.start()
        stack.callback(visitor.join, 30)
        stack.callback(ended.set)
        yield World(folder, observing, production, hook)


def history(folder: Path, staging: int, production: int) -> Path:
    """Version 1 comes to production, version 2 too and is taken back; staging runs version 2."""
    remote = make_remote(folder, APPLICATION, ports=(staging, free_port(), production))
    ops = gitops(remote, folder / "cache")
    for version in (1, 2):
        release(ops, evidence(version, application=APPLICATION))
        for source, target in (("staging", "canary"), ("canary", "production")):
            promote(ops, APPLICATION, source, target, str(version), running=runs(version), **WHO)
    rollback(
        ops, APPLICATION, "production", reason="worse", requested_by="a tester", workflow="rollback-model-1"
    )
    return remote


def runs_of(mlflow: Server) -> None:
    """A training that was accepted, one that was refused, and a workflow that failed."""
    with MlflowClient(mlflow.url) as client:
        experiment = client.experiment_id(APPLICATION)
        for decision in ("accepted", "refused"):
            run = client.create_run(experiment, decision, {"rookery.decision": decision})
            client.end_run(run, "FINISHED")
        run = client.create_run(
            client.experiment_id("workflows"), "train-model-9", {"rookery.template": "train-model"}
        )
        client.log(run, params={"application": APPLICATION})
        client.end_run(run, "FAILED")


def visit(staging: Server, production: Server, ended: threading.Event) -> None:
    """Inputs that are none, good ones one after another, and to production many at once, most of them refused."""

    def ask(server: Server, data: bytes) -> None:
        web.post(server.url + "/predict", content=data, timeout=30)

    with ThreadPoolExecutor(8) as pool:
        number = 0
        while not ended.is_set():
            number += 1
            ask(staging, digit_png(number % 100))
            ask(staging, b"no picture")
            list(pool.map(lambda n: ask(production, digit_png(n)), range(number % 50, number % 50 + 16)))
            ended.wait(0.2)


def train(stack: ExitStack, folder: Path, mlflow: Server) -> str:
    """The train service with one training in it; its address."""
    (folder / "train").mkdir()
    server = train_server(folder / "train", mlflow.url)
    stack.callback(server.stop)
    server.start()
    asked = {"model_name": "cnn", "data_source": "digits?items=200", "width": "4", "epochs": "1"}
    answer = web.post(server.url + "/train", params=asked, timeout=60)
    assert answer.status_code == 202, answer.text
    return server.url.removeprefix("http://")


def evaluate(stack: ExitStack, folder: Path, mlflow: Server) -> str:
    """The evaluate service; its address."""
    server = Server(
        [sys.executable, "-m", "services.evaluate", "--port", str(port := free_port())],
        log=folder / "evaluate.log",
        port=port,
        health="/healthz",
        environment={
            "PYTHONPATH": str(ROOT),
            "ROOKERY_EVALUATE_MLFLOW_URL": mlflow.url,
            "ROOKERY_EVALUATE_STATE_DIR": str(folder / "evaluate"),
            "ROOKERY_EVALUATE_CACHE_DIR": str(folder / "evaluate" / "cache"),
            "OMP_NUM_THREADS": "1",
        },
    )
    stack.callback(server.stop)
    server.start()
    return server.url.removeprefix("http://")


def test_prometheus_takes_the_configuration(world: World) -> None:
    done = promtool("check", "config", str(world.folder / "observe" / "prometheus.yml"), cwd=world.folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_process_is_found_and_answers(world: World) -> None:
    def found() -> set[tuple[str, str]]:
        return {
            (one["metric"]["service"], one["metric"].get("environment", "")) for one in world.query("up == 1")
        }

    wanted = {
        (name, "") for name in ("alertmanager", "evaluate", "monitor", "notify", "observe", "prometheus")
    }
    wanted |= {("train", ""), ("serve", "staging"), ("serve", "production")}
    wait_until("scrapes of all", lambda: found() >= wanted, 60)
    # Git releases nothing else, and canary, where nobody listens, is asked for all the same.
    (down,) = world.query("up == 0")
    assert down["metric"]["environment"] == "canary"


def test_the_figures_are_those_of_git_and_mlflow(world: World) -> None:
    wait_until("figures", lambda: bool(world.query("rookery_deployments_total")), 60)
    for expression, value in (
        ('rookery_deployments_total{application="watched"}', 2),
        ('rookery_deployments_taken_back_total{application="watched"}', 1),
        ('rookery_dora_change_failure_share{application="watched"}', 0.5),
        ('rookery_release_commits_total{environment="production",action="rollback"}', 1),
        ('rookery_environment_version{environment="production"}', 1),
        ('rookery_environment_version{environment="staging"}', 2),
        ('rookery_gate_verdicts{application="watched",decision="refused"}', 1),
        ('rookery_workflows{application="watched",template="train-model",status="FAILED"}', 1),
    ):
        (found,) = world.query(expression)
        assert float(found["value"][1]) == value, expression
    synced = {
        one["metric"]["environment"]: one["value"][1] for one in world.query("rookery_environment_synced")
    }
    assert synced == {"staging": "1", "production": "1", "canary": "0"}


def test_every_query_of_every_panel_returns_data(world: World) -> None:
    missing: list[tuple[str, str, str]] = []

    def complete() -> bool:
        missing[:] = [
            (name, title, expression)
            for name in files()
            for title, expression in expressions(load(name))
            if not world.query(filled(expression))
        ]
        return not missing

    end = time.monotonic() + 180
    while not complete():
        assert time.monotonic() < end, missing
        time.sleep(1)
    for name in files():
        for _, expression in expressions(load(name)):
            for one in world.query(filled(expression)):
                assert one["value"][1] != "NaN" or "histogram_quantile" in expression, expression


def test_the_choices_of_every_dashboard_have_values(world: World) -> None:
    for name in files():
        for variable in load(name)["templating"]["list"]:
            inner, _, label = (
                variable["query"].removeprefix("label_values(").removesuffix(")").rpartition(", ")
            )
            found = world.query(f"group by ({label}) ({filled(inner)})")
            assert {one["metric"][label] for one in found} >= {
                "application": {APPLICATION},
                "environment": {"staging", "canary", "production"},
            }[label]


def test_a_server_with_errors_reaches_people_through_all_of_them(world: World) -> None:
    wait_until("the alarm", lambda: bool(world.alarms("ServingErrors")), 150)
    (told, *_) = world.alarms("ServingErrors")
    assert told["kind"] == "alert"
    assert told["subject"] == "FIRING: watched production fails"
    assert "of the answers are 5xx; the limit is 2%" in told["facts"]["1"]
    assert told["facts"]["severity"] == "page"
    assert not world.alarms("ServingErrors", "staging"), "what is refused is no error"
    failed = [one for one in world.hook.told if one["facts"].get("alert") == "WorkflowFailed"]
    assert [one["application"] for one in failed].count(APPLICATION) == 1
    keys = [headers["idempotency-key"] for headers in world.hook.headers]
    assert len(keys) == len(set(keys)), "each message once"
