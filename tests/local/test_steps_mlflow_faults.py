"""MLflow down, slow or answering 500 while a training is awaited, with a real MLflow behind a faulty proxy.

The step runs as in its pod: a process of its own, Hera's runner, inputs from a file, outputs in files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.mlflow_rest import MlflowClient
from tests.support.faults import FaultyProxy
from tests.support.servers import Server


@pytest.fixture
def proxy(mlflow: Server) -> Iterator[FaultyProxy]:
    with FaultyProxy(mlflow.url) as faulty:
        yield faulty


@pytest.fixture
def run_id(mlflow: Server) -> str:
    with MlflowClient(mlflow.url) as client:
        return client.create_run(client.experiment_id("faults"), "awaited", {})


def end(mlflow: Server, run_id: str, status: str, reason: str = "") -> None:
    with MlflowClient(mlflow.url) as client:
        if reason:
            client.log(run_id, tags={"rookery.reason": reason})
        client.end_run(run_id, status)


class AwaitedStep:
    """The step `wait_for_training` as a process."""

    def __init__(self, proxy: FaultyProxy, run_id: str, folder: Path, patience: float) -> None:
        inputs = folder / "inputs.json"
        inputs.write_text(
            json.dumps([{"name": "run-id", "value": run_id}, {"name": "mlflow-ip", "value": proxy.url}])
        )
        self.outputs = folder / "outputs"
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "workflows.steps.run",
                "workflows.steps.training:wait_for_training",
                self.outputs,
                inputs,
            ],
            env={
                **os.environ,
                "ROOKERY_MLFLOW_PATIENCE_SECONDS": str(patience),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def result(self, seconds: float = 120) -> tuple[int, str]:
        text, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, text


def wait_for_requests(proxy: FaultyProxy, count: int) -> None:
    deadline = time.monotonic() + 90
    while proxy.requests < count:
        assert time.monotonic() < deadline, "the step never asked"
        time.sleep(0.05)


@pytest.mark.parametrize("fault", ["error", "drop", "slow"])
def test_a_fault_that_passes_is_waited_out(
    fault: str, proxy: FaultyProxy, run_id: str, mlflow: Server, tmp_path: Path
) -> None:
    step = AwaitedStep(proxy, run_id, tmp_path, patience=90)
    wait_for_requests(proxy, 2)
    proxy.mode = fault
    wait_for_requests(proxy, proxy.requests + 3)
    end(mlflow, run_id, "FINISHED")
    proxy.mode = "pass"
    code, text = step.result()
    assert code == 0, text
    assert (step.outputs / "state").read_text() == "FINISHED"


def test_an_mlflow_that_stays_away_is_a_clear_failure_after_a_bounded_time(
    proxy: FaultyProxy, run_id: str, tmp_path: Path
) -> None:
    proxy.mode = "error"
    step = AwaitedStep(proxy, run_id, tmp_path, patience=1.5)
    code, text = step.result()
    assert code == 1, "1 is what the retry strategy tries again"
    assert "did not answer for 2 s" in text
    assert "told to fail" in text, "MLflow's own message is kept"


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_a_training_that_ended_otherwise_is_a_result_and_not_tried_again(
    status: str, proxy: FaultyProxy, run_id: str, mlflow: Server, tmp_path: Path
) -> None:
    step = AwaitedStep(proxy, run_id, tmp_path, patience=90)
    wait_for_requests(proxy, 1)
    end(mlflow, run_id, status, reason="the loss was not finite in epoch 3")
    code, text = step.result()
    assert code == 3, text
    assert f"ended {status}: the loss was not finite in epoch 3" in text


def test_the_end_of_a_training_is_noticed_within_a_second(
    proxy: FaultyProxy, run_id: str, mlflow: Server, tmp_path: Path
) -> None:
    """A property of the polling, so it is asserted in requests, not in time: the next poll but one has seen it."""
    step = AwaitedStep(proxy, run_id, tmp_path, patience=90)
    wait_for_requests(proxy, 3)
    ended_at: list[int] = []

    def finish() -> None:
        end(mlflow, run_id, "FINISHED")
        ended_at.append(proxy.requests)

    thread = threading.Thread(target=finish)
    thread.start()
    thread.join()
    code, text = step.result()
    assert code == 0, text
    assert proxy.requests - ended_at[0] <= 2
