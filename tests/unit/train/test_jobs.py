"""Crashes around the making of a run, with a real MLflow; no training process is started here."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import HttpUrl

from services.common.errors import Conflict, NotFound, Unavailable
from services.train import records
from services.train.jobs import Jobs
from services.train.settings import TrainSettings
from services.train.supervisor import Supervisor
from services.train.tracking import Tracking
from tests.support.servers import Server, free_port

Maker = Callable[[TrainSettings], Jobs]


@pytest.fixture(autouse=True)
def _no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs stay queued: what is tested here ends before a process would start."""
    monkeypatch.setattr(Supervisor, "spawn", lambda *_: None)


@pytest.fixture
def client(mlflow: Server) -> Iterator[Tracking]:
    with Tracking(mlflow.url) as client:
        yield client


@pytest.fixture
def make() -> Iterator[Maker]:
    """Services that are stopped when the test ends."""
    made: list[Jobs] = []

    def one(settings: TrainSettings) -> Jobs:
        made.append(Jobs(settings, "rev"))
        return made[-1]

    yield one
    for jobs in made:
        jobs.stop()


def _settings(tmp_path: Path, url: str, **more: object) -> TrainSettings:
    values = {"mlflow_timeout_seconds": 20, "state_dir": tmp_path, **more}
    return TrainSettings(mlflow_url=HttpUrl(url), **values)  # type: ignore[arg-type]


def _request(seed: str = "0") -> records.Request:
    return records.Request(
        application=f"jobs-{uuid.uuid4().hex[:8]}",
        model_name="cnn",
        data_source="digits",
        hyperparameters={"seed": seed},
    )


def _wait(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.05)


class _Killed(BaseException):
    """Stands for kill -9: no handler of the service sees it."""


def _die_after_creation(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise _Killed

    monkeypatch.setattr(jobs._creation, "record_run", die)


def test_a_key_finds_the_run_of_a_service_that_died_before_it_noted_the_run(
    tmp_path: Path,
    mlflow: Server,
    make: Maker,
    client: Tracking,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request, settings = _request(), _settings(tmp_path, mlflow.url)
    dead = make(settings)
    _die_after_creation(dead, monkeypatch)
    with pytest.raises(_Killed):
        dead.submit(request, "key-1")
    again = make(settings)
    again.start()
    job = again.submit(request, "key-1")
    experiment = client.experiment_id(request.application)
    runs = client.search_runs([experiment], "")
    assert [run["info"]["run_id"] for run in runs] == [job.run_id]


def test_a_run_that_nobody_can_ask_for_is_ended(
    tmp_path: Path,
    mlflow: Server,
    make: Maker,
    client: Tracking,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request, settings = _request(), _settings(tmp_path, mlflow.url)
    dead = make(settings)
    _die_after_creation(dead, monkeypatch)
    with pytest.raises(_Killed):
        dead.submit(request)
    again = make(settings)
    again.start()
    experiment = client.experiment_id(request.application)
    _wait(lambda: client.search_runs([experiment], "")[0]["info"]["status"] == "FAILED")
    tags = {t["key"]: t["value"] for t in client.search_runs([experiment], "")[0]["data"]["tags"]}
    assert "never answered" in tags["rookery.reason"]


def test_a_key_finds_its_run_though_the_state_was_lost(
    tmp_path: Path, mlflow: Server, make: Maker, client: Tracking
) -> None:
    request = _request()
    first = make(_settings(tmp_path / "a", mlflow.url)).submit(request, "key-2")
    other = make(_settings(tmp_path / "b", mlflow.url))
    assert other.submit(request, "key-2").run_id == first.run_id
    client.end_run(first.run_id, "FINISHED")
    third = make(_settings(tmp_path / "c", mlflow.url)).submit(request, "key-2")
    assert (third.run_id, third.status, third.stage) == (first.run_id, "FINISHED", "ended")
    changed = request.model_copy(update={"hyperparameters": {"seed": "9"}})
    with pytest.raises(Conflict, match="another request"):
        make(_settings(tmp_path / "d", mlflow.url)).submit(changed, "key-2")


def test_mlflow_away_is_unavailable_and_the_same_key_works_later(
    tmp_path: Path, mlflow: Server, make: Maker
) -> None:
    request = _request()
    away = make(_settings(tmp_path, f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(Unavailable):
        away.submit(request, "key-3")
    back = make(_settings(tmp_path, mlflow.url))
    back.start()
    assert back.submit(request, "key-3").run_id
    assert back.counts()["queued"] == 1


def test_a_queued_run_is_cancelled_and_unknown_ones_are_not_found(
    tmp_path: Path, mlflow: Server, make: Maker, client: Tracking
) -> None:
    jobs = make(_settings(tmp_path, mlflow.url))
    jobs.start()
    job = jobs.submit(_request())
    assert jobs.cancel(job.run_id, 60).status == "KILLED"
    _wait(lambda: client.run(job.run_id)["info"]["status"] == "KILLED")
    with pytest.raises(NotFound):
        jobs.cancel("nothing")


def test_the_queue_is_bounded(tmp_path: Path, mlflow: Server, make: Maker) -> None:
    jobs = make(_settings(tmp_path, mlflow.url, queue_limit=1))
    for _ in range(2):
        jobs.submit(_request())
    with pytest.raises(Unavailable, match="queue of trainings is full"):
        jobs.submit(_request())


def test_a_new_application_costs_two_calls_and_one_that_is_there_is_not_asked_for(
    tmp_path: Path, mlflow: Server, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    once = Tracking._once

    def counted(self: Tracking, method: str, path: str, **more: Any) -> Any:
        asked.append(path.rpartition("mlflow/")[2])
        return once(self, method, path, **more)

    request = _request()
    monkeypatch.setattr(Tracking, "_once", counted)
    first = make(_settings(tmp_path / "a", mlflow.url)).submit(request, "key-4")
    assert asked == ["experiments/create", "runs/create"]
    again = make(_settings(tmp_path / "b", mlflow.url))
    again.start()
    _wait(lambda: request.application in again._creation._experiments)
    asked.clear()
    assert again.submit(request, "key-4").run_id == first.run_id
    assert asked == ["runs/search"]


def test_what_an_ended_training_leaves_behind_is_its_record_and_its_log(
    tmp_path: Path, mlflow: Server, make: Maker
) -> None:
    jobs = make(_settings(tmp_path, mlflow.url))
    jobs.start()
    job = jobs.submit(_request())
    folder = tmp_path / "jobs" / job.job_id
    (folder / ".bundle-cut").mkdir()
    for name in ("checkpoint.pt", "checkpoint.partial", ".bundle-cut/model.onnx", "log.txt"):
        (folder / name).write_bytes(b"x")
    jobs.cancel(job.run_id)
    _wait(lambda: not (folder / ".bundle-cut").exists())
    _wait(lambda: sorted(path.name for path in folder.iterdir()) == ["job.json", "log.txt"])


def test_one_job_that_cannot_be_looked_after_does_not_stop_the_others(
    tmp_path: Path, mlflow: Server, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = make(_settings(tmp_path, mlflow.url))
    broken = jobs.submit(_request())
    advance = Jobs._advance

    def fail(self: Jobs, job: records.Job) -> None:
        if job.run_id == broken.run_id:
            raise ValueError("something nobody thought of")
        advance(self, job)

    monkeypatch.setattr(Jobs, "_advance", fail)
    jobs.start()
    other = jobs.submit(_request())
    assert jobs.cancel(other.run_id, 60).status == "KILLED"
    assert jobs.alive
