"""The exit handler with a real MLflow and a real webhook: it records once, and a deaf webhook changes nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from services.common.mlflow_rest import MlflowClient, params_of, tags_of
from tests.support.servers import Server
from workflows.steps.conclusion import conclude

PARAMETERS = json.dumps([{"name": "application", "value": "digits"}, {"name": "lr", "value": ""}])
FAILURES = json.dumps([{"displayName": "evaluate", "message": "Error (exit code 3)"}])


class Webhook:
    """Keeps what it is told; answers `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.told: list[dict[str, Any]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    hook.thread.start()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()
    hook.thread.join()


@pytest.fixture
def settings(mlflow: Server, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOKERY_MLFLOW_URL", mlflow.url)
    monkeypatch.setenv("ROOKERY_NOTIFY_URL", webhook.url)


def records(mlflow: Server, uid: str) -> list[dict[str, Any]]:
    with MlflowClient(mlflow.url) as client:
        return client.search_runs(
            [client.experiment_id("workflows")], f"tags.`rookery.workflow_uid` = '{uid}'"
        )


def end(uid: str, status: str, failures: str) -> None:
    conclude("train-model", f"train-model-{uid}", uid, status, failures, PARAMETERS)


@pytest.mark.usefixtures("settings")
def test_the_result_is_recorded_and_told(mlflow: Server, webhook: Webhook) -> None:
    end("u-failed", "Failed", FAILURES)
    (run,) = records(mlflow, "u-failed")
    assert run["info"]["status"] == "FAILED"
    assert tags_of(run)["rookery.failures"] == "evaluate: Error (exit code 3)"
    assert params_of(run) == {"application": "digits"}
    (told,) = webhook.told
    assert told["status"] == "Failed"
    assert told["workflow"] == "train-model-u-failed"
    assert "evaluate: Error (exit code 3)" in told["text"]


@pytest.mark.usefixtures("settings")
def test_a_repeated_exit_handler_records_once(mlflow: Server) -> None:
    end("u-twice", "Succeeded", "[]")
    end("u-twice", "Succeeded", "[]")
    (run,) = records(mlflow, "u-twice")
    assert run["info"]["status"] == "FINISHED"


@pytest.mark.usefixtures("settings")
def test_a_webhook_that_refuses_is_asked_a_few_times_and_changes_nothing(
    mlflow: Server, webhook: Webhook
) -> None:
    webhook.status = 500
    end("u-deaf", "Succeeded", "null")
    assert 1 < len(webhook.told) <= 5
    assert len(records(mlflow, "u-deaf")) == 1
