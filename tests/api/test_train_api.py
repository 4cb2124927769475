"""The train service over HTTP, with a real MLflow behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.train.families import FAMILIES
from services.train.hyperparameters import names
from tests.support import web
from tests.support.servers import Server, free_port, train_server

SMALL = {"model_name": "cnn", "data_source": "digits?items=200", "epochs": "1", "width": "4"}
LONG = {**SMALL, "epochs": "1000", "patience": "0"}


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory, mlflow: Server) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("train-api")
    (folder / "data").mkdir()
    server = train_server(
        folder, mlflow.url, queue_limit=3, data_roots=f'["{folder / "data"}"]', check_seconds=20
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _empty_queue(train: Server) -> Iterator[None]:
    yield
    for run_id in _asked:
        web.post(f"{train.url}/runs/{run_id}/cancel", timeout=20)
    _asked.clear()


_asked: list[str] = []


def _post(train: Server, query: dict[str, str], key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = web.post(train.url + "/train", params=query, headers=headers, timeout=60)
    if answer.status_code == 202:
        _asked.append(answer.json()["run_id"])
    return answer


def _refusal(train: Server, query: dict[str, str], status: int = 422) -> str:
    answer = _post(train, query)
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return f"{body['message']} | {body['value']} | {body['allowed']}"


def test_a_request_is_answered_at_once_and_trained(train: Server, mlflow: Server) -> None:
    answer = _post(train, {**SMALL, "application": "letters"})
    assert answer.status_code == 202
    run_id = answer.json()["run_id"]
    assert list(answer.json()) == ["run_id"]
    end = time.monotonic() + 120
    while (state := web.get(f"{train.url}/runs/{run_id}").json())["status"] == "RUNNING":
        assert time.monotonic() < end
        time.sleep(0.1)
    assert state["status"] == "FINISHED", state
    assert (state["application"], state["epoch"], state["epochs"]) == ("letters", 1, 1)
    run = web.get(f"{mlflow.url}/api/2.0/mlflow/runs/get", params={"run_id": run_id}).json()["run"]
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert (tags["rookery.application"], tags["rookery.code_revision"]) == ("letters", "0123456")
    assert set(names()) <= {param["key"] for param in run["data"]["params"]}
    late = web.post(f"{train.url}/runs/{run_id}/cancel")
    assert (late.status_code, late.json()["error"]) == (409, "conflict")


def test_the_same_key_gives_the_same_run_also_at_the_same_time(train: Server) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: _post(train, LONG, "workflow-7/start"), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    other = _post(train, {**LONG, "seed": "5"}, "workflow-7/start")
    assert (other.status_code, other.json()["error"]) == (409, "conflict")


def test_a_full_queue_is_answered_503_with_retry_after(train: Server) -> None:
    answers = [_post(train, {**LONG, "seed": str(seed)}) for seed in range(5)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 202, 503]
    assert answers[-1].headers["retry-after"] == "2"
    waiting = web.get(f"{train.url}/runs/{answers[3].json()['run_id']}").json()
    assert (waiting["status"], waiting["stage"], waiting["waiting_before"]) == ("RUNNING", "queued", 2)


def test_what_is_wrong_is_said_before_a_run_starts(train: Server, tmp_path: Path) -> None:
    assert "did you mean epochs" in _refusal(train, {**SMALL, "epoch": "1"})
    assert "from 1 to 1000" in _refusal(train, {**SMALL, "epochs": "5000"})
    assert "did you mean cnn" in _refusal(train, {**SMALL, "model_name": "cn"})
    assert "data_source is missing" in _refusal(train, {"model_name": "cnn"})
    assert "unknown data source" in _refusal(train, {**SMALL, "data_source": "letters"})
    assert "outside the folders" in _refusal(train, {**SMALL, "data_source": str(tmp_path)})
    assert "outside the folders" in _refusal(train, {**SMALL, "data_source": "/../../etc"})
    assert "lower-case letters" in _refusal(train, {**SMALL, "application": "../../x"})
    assert "trained on sounds" in _refusal(train, {**SMALL, "model_name": "mel-cnn"})
    assert "no pretrained weights" in _refusal(train, {**SMALL, "pretrained": "/etc/passwd"})
    resnet = {**SMALL, "model_name": "resnet18"}
    assert "outside the folders" in _refusal(train, {**resnet, "pretrained": "/etc/weights.pt"})
    twice = web.post(f"{train.url}/train?model_name=cnn&model_name=cnn&data_source=digits")
    assert (twice.status_code, twice.json()["message"]) == (422, "a parameter is given twice")
    assert _post(train, SMALL, "a key with 'quotes'").status_code == 422


def test_the_lists_name_everything_that_can_be_asked_for(train: Server) -> None:
    models = web.get(train.url + "/models").json()["models"]
    assert [model["name"] for model in models] == list(FAMILIES)
    rows = web.get(train.url + "/hyperparameters").json()["hyperparameters"]
    assert [row["name"] for row in rows] == names()
    sources = web.get(train.url + "/data-sources").json()["data_sources"]
    assert {"digits", "synthetic-birds"} <= {source["name"] for source in sources}
    documented = web.get(train.url + "/openapi.json").json()["paths"]["/train"]["post"]["parameters"]
    assert set(names()) <= {parameter["name"] for parameter in documented}
    assert web.get(train.url + "/docs").status_code == 404


def test_unknown_runs_are_not_found(train: Server) -> None:
    for method, path in (("GET", "/runs/abc"), ("POST", "/runs/abc/cancel"), ("GET", "/runs/..%2f..")):
        assert web.request(method, train.url + path).status_code == 404


def test_health_and_counters(train: Server) -> None:
    assert web.get(train.url + "/healthz").json() == {"status": "ok"}
    assert web.get(train.url + "/readyz").status_code == 200
    text = web.get(train.url + "/metrics").text
    assert 'rookery_train_jobs{state="queued"}' in text
    assert 'rookery_train_answers_total{path="/healthz",status="200"}' in text


def test_mlflow_away_is_said_at_once(tmp_path: Path) -> None:
    server = train_server(tmp_path, f"http://127.0.0.1:{free_port()}")
    server.start()
    try:
        answer = web.post(server.url + "/train", params=SMALL, timeout=10)
        assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")
        assert answer.headers["retry-after"] == "2"
        assert web.get(server.url + "/healthz").status_code == 200
    finally:
        server.stop()
