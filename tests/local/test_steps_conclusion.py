"""The exit handler with a real MLflow: it records once, tells of a failure, and who does not listen changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from services.common.mlflow_rest import MlflowClient, params_of, tags_of
from tests.support.receivers import Webhook, webhook
from tests.support.servers import Server
from workflows.steps.conclusion import conclude

PARAMETERS = json.dumps([{"name": "application", "value": "digits"}, {"name": "lr", "value": ""}])
FAILURES = json.dumps([{"displayName": "evaluate", "message": "Error (exit code 3)"}])


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


@pytest.fixture
def settings(mlflow: Server, hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOKERY_MLFLOW_URL", mlflow.url)
    monkeypatch.setenv("ROOKERY_NOTICES_URL", hook.url)


def records(mlflow: Server, uid: str) -> list[dict[str, Any]]:
    with MlflowClient(mlflow.url) as client:
        return client.search_runs(
            [client.experiment_id("workflows")], f"tags.`rookery.workflow_uid` = '{uid}'"
        )


def end(uid: str, status: str, failures: str) -> None:
    conclude("train-model", f"train-model-{uid}", uid, status, failures, PARAMETERS)


@pytest.mark.usefixtures("settings")
def test_the_result_is_recorded_and_told(mlflow: Server, hook: Webhook) -> None:
    end("u-failed", "Failed", FAILURES)
    (run,) = records(mlflow, "u-failed")
    assert run["info"]["status"] == "FAILED"
    assert tags_of(run)["rookery.failures"] == "evaluate: Error (exit code 3)"
    assert params_of(run) == {"application": "digits"}
    (told,) = hook.told
    assert told["kind"] == "failure" and told["application"] == "digits"
    assert told["facts"]["workflow"] == "train-model-u-failed"
    assert "evaluate: Error (exit code 3)" in told["subject"]


@pytest.mark.usefixtures("settings")
def test_one_that_was_cancelled_did_not_fail(mlflow: Server, hook: Webhook) -> None:
    stopped = [{"displayName": "wait", "message": "Stopped with strategy 'Stop'"}]
    end("u-cancelled", "Failed", json.dumps(stopped))
    (run,) = records(mlflow, "u-cancelled")
    assert run["info"]["status"] == "KILLED"
    assert hook.told == []


@pytest.mark.usefixtures("settings")
def test_a_repeated_exit_handler_records_once(mlflow: Server) -> None:
    end("u-twice", "Succeeded", "[]")
    end("u-twice", "Succeeded", "[]")
    (run,) = records(mlflow, "u-twice")
    assert run["info"]["status"] == "FINISHED"


@pytest.mark.usefixtures("settings")
def test_who_does_not_listen_changes_nothing(mlflow: Server, hook: Webhook) -> None:
    hook.status = 500
    end("u-deaf", "Failed", FAILURES)
    end("u-well", "Succeeded", "null")
    assert len(hook.told) == 1
    assert len(records(mlflow, "u-deaf")) == len(records(mlflow, "u-well")) == 1
