"""Bad days of a training, with real processes and a real MLflow."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.bundle.reader import read_bundle
from tests.support import web
from tests.support.servers import Server, mlflow_server, train_server

SMALL = {"model_name": "cnn", "data_source": "digits?items=200", "width": "4", "novelty_epochs": "2"}
LONG = {**SMALL, "epochs": "1000", "patience": "0"}
FULL = {**SMALL, "epochs": "40", "patience": "0"}


@pytest.fixture
def train(tmp_path: Path, mlflow: Server) -> Iterator[Server]:
    server = train_server(tmp_path, mlflow.url, mlflow_patience_seconds=20)
    server.start()
    yield server
    server.stop()
    for pid in _job_pids(tmp_path):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def test_a_killed_training_process_goes_on_from_its_checkpoint(
    train: Server, mlflow: Server, tmp_path: Path
) -> None:
    run_id = _post(train, FULL)
    _wait(lambda: _run(train, run_id)["epoch"] >= 2)
    os.kill(_job_pids(tmp_path)[0], signal.SIGKILL)
    state = _wait_end(train, run_id)
    assert (state["status"], state["restarts"]) == ("FINISHED", 1)
    assert _mlflow_run(mlflow, run_id)["info"]["status"] == "FINISHED"
    assert [int(point["step"]) for point in _metric(mlflow, run_id, "train_loss")] == list(range(1, 41))


def test_a_training_process_that_always_dies_fails_with_the_reason(mlflow: Server, tmp_path: Path) -> None:
    train = train_server(tmp_path, mlflow.url, max_restarts=1)
    train.start()
    try:
        run_id = _post(train, LONG)
        for restarts in (0, 1):
            _wait(lambda n=restarts: _run(train, run_id)["restarts"] == n and bool(_job_pids(tmp_path)))
            os.kill(_job_pids(tmp_path)[0], signal.SIGKILL)
        state = _wait_end(train, run_id)
        assert state["status"] == "FAILED"
        assert "died 2 times (signal SIGKILL)" in state["reason"]
        tags = {tag["key"]: tag["value"] for tag in _ended(mlflow, run_id)["data"]["tags"]}
        assert tags["rookery.reason"] == state["reason"]
    finally:
        train.stop()


def test_a_killed_service_finds_its_training_again_and_trains_nothing_twice(
    train: Server, mlflow: Server, tmp_path: Path
) -> None:
    run_id = _post(train, FULL)
    _wait(lambda: _run(train, run_id)["epoch"] >= 1)
    before = _job_pids(tmp_path)
    train.kill()
    train.start()
    assert _job_pids(tmp_path) == before
    state = _wait_end(train, run_id)
    assert (state["status"], state["restarts"]) == ("FINISHED", 0)
    assert len(_metric(mlflow, run_id, "train_loss")) == 40


def test_service_and_training_killed_together_go_on(train: Server, mlflow: Server, tmp_path: Path) -> None:
    run_id = _post(train, FULL)
    _wait(lambda: _run(train, run_id)["epoch"] >= 2)
    train.kill()
    os.kill(_job_pids(tmp_path)[0], signal.SIGKILL)
    train.start()
    assert _wait_end(train, run_id)["status"] == "FINISHED"
    assert len(_metric(mlflow, run_id, "train_loss")) == 40


def test_a_stopped_service_leaves_no_process_and_goes_on_after_the_next_start(
    train: Server, tmp_path: Path
) -> None:
    run_id = _post(train, FULL)
    _wait(lambda: _run(train, run_id)["epoch"] >= 1)
    pid = _job_pids(tmp_path)[0]
    train.stop()
    assert not Path(f"/proc/{pid}").exists()
    train.start()
    assert _wait_end(train, run_id)["status"] == "FINISHED"
    assert _run(train, run_id)["restarts"] == 0


def test_cancel_ends_the_run_as_killed_and_its_process_too(
    train: Server, mlflow: Server, tmp_path: Path
) -> None:
    run_id = _post(train, LONG)
    waiting = _post(train, LONG)
    _wait(lambda: _run(train, run_id)["epoch"] >= 1)
    for each in (waiting, run_id):
        assert web.post(f"{train.url}/runs/{each}/cancel", timeout=60).status_code == 202
        # The answer waits for the end of the process, but not for ever.
        _wait(lambda run=each: _run(train, run)["status"] == "KILLED")  # type: ignore[misc]
        assert _ended(mlflow, each)["info"]["status"] == "KILLED"
    _wait(lambda: _job_pids(tmp_path) == [])
    assert web.post(f"{train.url}/runs/{run_id}/cancel", timeout=30).status_code == 202


def test_the_bundle_in_mlflow_is_whole(train: Server, mlflow: Server, tmp_path: Path) -> None:
    run_id = _post(train, FULL)
    assert _wait_end(train, run_id)["status"] == "FINISHED"
    run = _mlflow_run(mlflow, run_id)
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name in ("model.onnx", "novelty.onnx", "bundle.json", "golden.npz"):
        (folder / name).write_bytes(_artifact(mlflow, run, f"bundle/{name}"))
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    bundle = read_bundle(folder, expected_digest=tags["rookery.bundle_digest"])
    assert bundle.manifest.run_id == run_id
    assert bundle.manifest.dataset.digest == tags["rookery.dataset_digest"]
    assert len(bundle.golden.inputs) == 8
    report = json.loads(_artifact(mlflow, run, "dataset.json"))
    assert report["digest"] == tags["rookery.dataset_digest"]
    params = {param["key"]: param["value"] for param in run["data"]["params"]}
    assert (params["epochs"], params["model_name"], params["image_size"]) == ("40", "cnn", "16")


@pytest.mark.slow
def test_mlflow_away_during_the_training_costs_nothing(tmp_path: Path) -> None:
    mlflow = mlflow_server(tmp_path / "mlflow").start()
    train = train_server(tmp_path / "train", mlflow.url, mlflow_patience_seconds=60)
    train.start()
    try:
        run_id = _post(train, {**FULL, "epochs": "60"})
        _wait(lambda: _run(train, run_id)["epoch"] >= 1)
        mlflow.stop(0)
        refused = web.post(train.url + "/train", params=SMALL, timeout=60)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        _wait(lambda: _run(train, run_id)["stage"] == "uploading" or _run(train, run_id)["epoch"] == 60)
        mlflow.start()
        assert _wait_end(train, run_id)["status"] == "FINISHED"
        assert len(_metric(mlflow, run_id, "train_loss")) == 60
        assert _ended(mlflow, run_id)["info"]["status"] == "FINISHED"
    finally:
        train.stop()
        mlflow.stop()


@pytest.mark.slow
def test_mlflow_away_for_good_fails_the_run_and_is_told_when_it_is_back(tmp_path: Path) -> None:
    mlflow = mlflow_server(tmp_path / "mlflow").start()
    train = train_server(tmp_path / "train", mlflow.url, mlflow_patience_seconds=1)
    train.start()
    try:
        run_id = _post(train, {**FULL, "epochs": "60"})
        _wait(lambda: _run(train, run_id)["epoch"] >= 1)
        mlflow.stop(0)
        state = _wait_end(train, run_id)
        assert state["status"] == "FAILED"
        assert "did not answer for 1 s" in state["reason"]
        mlflow.start()
        assert _ended(mlflow, run_id)["info"]["status"] == "FAILED"
    finally:
        train.stop()
        mlflow.stop()


def _post(train: Server, query: dict[str, str], key: str | None = None) -> str:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = web.post(train.url + "/train", params=query, headers=headers, timeout=30)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["run_id"])


def _run(train: Server, run_id: str) -> dict[str, Any]:
    return dict(web.get(f"{train.url}/runs/{run_id}", timeout=30).json())


def _wait_end(train: Server, run_id: str) -> dict[str, Any]:
    _wait(lambda: _run(train, run_id)["status"] != "RUNNING", seconds=150)
    return _run(train, run_id)


def _wait(reached: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it was waited in vain"
        time.sleep(0.05)


def _job_pids(folder: Path) -> list[int]:
    """Living training processes whose job folder is below `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"services.train.job" in words and os.fsencode(str(folder)) in words[-2]:
                found.append(int(entry.name))
    return sorted(found)


def _mlflow_run(mlflow: Server, run_id: str) -> dict[str, Any]:
    answer = web.get(f"{mlflow.url}/api/2.0/mlflow/runs/get", params={"run_id": run_id}, timeout=30)
    return dict(answer.json()["run"])


def _ended(mlflow: Server, run_id: str) -> dict[str, Any]:
    _wait(lambda: _mlflow_run(mlflow, run_id)["info"]["status"] != "RUNNING")
    return _mlflow_run(mlflow, run_id)


def _metric(mlflow: Server, run_id: str, name: str) -> list[dict[str, Any]]:
    query = {"run_id": run_id, "metric_key": name, "max_results": "5000"}
    answer = web.get(f"{mlflow.url}/api/2.0/mlflow/metrics/get-history", params=query, timeout=30)
    return list(answer.json().get("metrics", []))


def _artifact(mlflow: Server, run: dict[str, Any], path: str) -> bytes:
    root = run["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
    answer = web.get(f"{mlflow.url}/api/2.0/mlflow-artifacts/artifacts/{root}/{path}", timeout=30)
    assert answer.status_code == 200, path
    return answer.content
