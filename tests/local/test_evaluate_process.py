"""The evaluate service as a process of its own, on bad days."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from services.common.mlflow_rest import MlflowClient
from tests.support import web
from tests.support.judged import finished_run
from tests.support.servers import Server, free_port

REPOSITORY = Path(__file__).parents[2]


def evaluate_server(state: Path, mlflow_url: str) -> Server:
    environment = {
        "ROOKERY_EVALUATE_MLFLOW_URL": mlflow_url,
        "ROOKERY_EVALUATE_STATE_DIR": str(state),
        "ROOKERY_EVALUATE_CACHE_DIR": str(state / "cache"),
        "ROOKERY_EVALUATE_FAILURE_SECONDS": "0.5",
        "OMP_NUM_THREADS": "1",
    }
    port = free_port()
    command = [sys.executable, "-m", "services.evaluate", "--port", str(port)]
    state.mkdir(parents=True, exist_ok=True)
    return Server(
        command, log=state / "log", port=port, health="/healthz", environment=environment, cwd=REPOSITORY
    )


@pytest.fixture
def server(mlflow: Server, tmp_path: Path) -> Iterator[Server]:
    found = evaluate_server(tmp_path / "state", mlflow.url)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def client(mlflow: Server) -> Iterator[MlflowClient]:
    with MlflowClient(mlflow.url) as found:
        yield found


def await_answer(url: str, run_id: str, seconds: float = 120) -> dict:
    """The answer, whatever happens to the service meanwhile."""
    end = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < end:
        try:
            answer = web.get(f"{url}/get-version", params={"run_id": run_id}, timeout=30)
        except httpx.TransportError as error:
            last = error
        else:
            if answer.status_code == 200:
                return answer.json()
            last = answer.text
            assert answer.status_code in (202, 500, 503), last
        time.sleep(0.1)
    raise AssertionError(f"no answer in {seconds:g} s, at last {last}")


@pytest.mark.slow
def test_kill_9_at_any_moment_leaves_one_version_and_one_answer(server, client, tmp_path):
    application = f"killed-{uuid4().hex[:8]}"
    run_id = finished_run(client, tmp_path, application=application)
    folder = tmp_path / "state" / "runs" / run_id
    # Each file marks how far the work has come: begun, judged, published.
    for marker in ("phase", "gate.json", "answer.json"):
        web.get(f"{server.url}/get-version", params={"run_id": run_id}, timeout=30)
        end = time.monotonic() + 60
        while not (folder / marker).exists() and time.monotonic() < end:
            time.sleep(0.002)
        os.killpg(server.pid, signal.SIGKILL)
        server.process.wait()
        server.start()
    answer = await_answer(server.url, run_id)
    assert answer["decision"] == "accepted"
    assert answer["new_model_version"] == "1"
    assert len(client.versions(application)) == 1
    assert await_answer(server.url, run_id) == answer
    assert not list(folder.glob("work-*"))


@pytest.mark.slow
def test_a_service_killed_alone_leaves_its_worker_and_both_end_at_one_version(server, client, tmp_path):
    application = f"orphan-{uuid4().hex[:8]}"
    run_id = finished_run(client, tmp_path, application=application)
    web.get(f"{server.url}/get-version", params={"run_id": run_id}, timeout=30)
    folder = tmp_path / "state" / "runs" / run_id
    end = time.monotonic() + 60
    while not (folder / "phase").exists() and time.monotonic() < end:
        time.sleep(0.002)
    server.kill()
    server.start()
    assert await_answer(server.url, run_id)["new_model_version"] == "1"
    time.sleep(1)
    assert len(client.versions(application)) == 1


@pytest.mark.slow
def test_twenty_clients_of_two_services_on_one_state_get_one_answer(server, client, mlflow, tmp_path):
    application = f"twenty-{uuid4().hex[:8]}"
    run_id = finished_run(client, tmp_path, application=application)
    other = evaluate_server(tmp_path / "state", mlflow.url)
    other.start()
    answers: list[dict] = []

    def ask(url: str) -> None:
        answers.append(await_answer(url, run_id))

    try:
        threads = [threading.Thread(target=ask, args=([server, other][n % 2].url,)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        other.stop()
    assert len(answers) == 20
    assert all(answer == answers[0] for answer in answers)
    assert len(client.versions(application)) == 1


def test_sigterm_ends_service_and_worker_within_ten_seconds(server, client, tmp_path):
    run_id = finished_run(client, tmp_path, application=f"term-{uuid4().hex[:8]}")
    web.get(f"{server.url}/get-version", params={"run_id": run_id}, timeout=30)
    start = time.monotonic()
    os.kill(server.pid, signal.SIGTERM)
    assert server.process.wait(15) in (0, -signal.SIGTERM)
    assert time.monotonic() - start < 10


def test_a_setting_that_is_not_valid_is_named(tmp_path):
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "services.evaluate"],
        cwd=REPOSITORY,
        env={**os.environ, "ROOKERY_EVALUATE_PARALLEL": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "`parallel`" in done.stderr
    assert "greater than or equal to 1" in done.stderr
    assert "Traceback" not in done.stderr
