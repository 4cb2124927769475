"""The evaluate service over HTTP, with a real MLflow and real worker processes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from services.common.mlflow_rest import MlflowClient, tags_of
from services.evaluate.app import create_app
from services.evaluate.files import RunFiles
from services.evaluate.settings import EvaluateSettings
from tests.support.asgi import serving
from tests.support.judged import digits_data, finished_run
from tests.support.servers import Server, free_port

REPOSITORY = Path(__file__).parents[2]
NO_MLFLOW = "http://127.0.0.1:9"


@pytest.fixture
def client(mlflow: Server) -> Iterator[MlflowClient]:
    with MlflowClient(mlflow.url) as found:
        yield found


@pytest.fixture
def settings(mlflow: Server, tmp_path: Path) -> EvaluateSettings:
    (tmp_path / "policies").mkdir()
    return EvaluateSettings(
        mlflow_url=mlflow.url,
        state_dir=tmp_path / "state",
        cache_dir=tmp_path / "cache",
        policy_dir=tmp_path / "policies",
        failure_seconds=0.5,
    )


@pytest.fixture
def app(settings: EvaluateSettings) -> FastAPI:
    return create_app(settings, {**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.fixture
def http(app: FastAPI) -> Iterator[httpx.Client]:
    with serving(app) as found:
        yield found


@pytest.fixture
def application() -> str:
    """A name of its own for each test, so that registered models keep apart."""
    return f"digits-{uuid4().hex[:8]}"


def await_answer(http: httpx.Client, run_id: str, seconds: float = 120) -> httpx.Response:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = http.get("/get-version", params={"run_id": run_id})
        if answer.status_code != 202:
            return answer
        assert answer.headers["Retry-After"] == "1"
        time.sleep(0.1)
    raise AssertionError(f"no answer in {seconds:g} s, at last {answer.json()}")


def test_an_accepted_run_gets_one_version_and_always_the_same_answer(http, client, tmp_path, application):
    run_id = finished_run(client, tmp_path, application=application)
    first = http.get("/get-version", params={"run_id": run_id})
    assert first.status_code == 202
    assert first.json()["status"] == "working"
    answer = await_answer(http, run_id).json()
    assert answer["decision"] == "accepted"
    assert answer["new_model_version"] == "1"
    assert answer["model_name_registered"] == application
    assert answer["accuracy"] > 0.9
    assert all(isinstance(value, str | float | int | list) for value in answer.values()), "flat"
    assert http.get("/get-version", params={"run_id": run_id}).json() == answer
    version = client.version(application, "1")
    assert version["tags"]["rookery.bundle_digest"] == answer["bundle_digest"]
    assert version["tags"]["gate"] == "accepted"
    assert client.version_by_alias(application, "candidate")["version"] == "1"
    tags = tags_of(client.run(run_id))
    assert tags["rookery.decision"] == "accepted"
    assert tags["rookery.model_version"] == "1"
    gate = client.download(client.run(run_id), "evaluation/gate.json", max_bytes=1 << 20)
    assert b'"compared_with": null' in gate
    for name in ("report.html", "metrics.json", "classes.csv", "confusion.csv", "slices.csv"):
        assert client.download(client.run(run_id), f"evaluation/{name}", max_bytes=1 << 24)


def test_a_poor_model_is_refused_with_reasons_and_gets_no_version(
    http, client, settings, tmp_path, application
):
    (settings.policy_dir / application).mkdir()
    (settings.policy_dir / application / "policy.yaml").write_text(
        "minimum_holdout: 9999\nmax_bundle_mb: 0.01\n"
    )
    run_id = finished_run(client, tmp_path, application=application)
    answer = await_answer(http, run_id).json()
    assert answer["new_model_version"] == ""
    assert answer["decision"] == "refused"
    assert len(answer["reasons"]) == 2
    assert "is below 9999" in answer["reasons"][0]
    assert "bundle size" in answer["reasons"][1]
    assert client.versions(application) == []
    assert tags_of(client.run(run_id))["rookery.decision"] == "refused"


def test_a_candidate_is_held_against_production_on_the_same_files(http, client, tmp_path, application):
    good = finished_run(client, tmp_path, application=application)
    assert await_answer(http, good).json()["decision"] == "accepted"
    client.set_alias(application, "production", "1")
    # The labels in another order: each answer is wrong, as a training on scrambled labels would make it.
    scrambled = finished_run(
        client, tmp_path, application=application, labels=[str((digit + 1) % 10) for digit in range(10)]
    )
    answer = await_answer(http, scrambled).json()
    assert answer["decision"] == "refused"
    assert answer["compared_with_version"] == "1"
    assert any("worse than production beyond chance" in reason for reason in answer["reasons"])
    same = finished_run(client, tmp_path, application=application)
    answer = await_answer(http, same).json()
    assert (answer["decision"], answer["new_model_version"]) == ("accepted", "2")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("model.onnx", b"\x80\x04\x95pickle", "the bundle was altered"),
        ("golden.npz", b"", "the bundle was altered"),
    ],
)
def test_an_altered_bundle_is_refused(http, client, tmp_path, application, name, data, reason):
    run_id = finished_run(client, tmp_path, application=application)
    client.upload(client.run(run_id), f"bundle/{name}", data)
    answer = await_answer(http, run_id).json()
    assert answer["decision"] == "refused"
    assert reason in answer["reasons"][0]
    assert str(tmp_path) not in answer["reasons"][0]
    assert client.versions(application) == []


def test_a_pickle_offered_as_a_model_is_refused_unopened(http, client, tmp_path, application):
    from services.bundle.reader import bundle_digest

    run_id = finished_run(client, tmp_path, application=application)
    folder = next(tmp_path.glob("*/digits-bundle"))
    marker = tmp_path / "opened"
    (folder / "model.onnx").write_bytes(b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR.")
    client.upload(client.run(run_id), "bundle/model.onnx", (folder / "model.onnx").read_bytes())
    client.log(run_id, tags={"rookery.bundle_digest": bundle_digest(folder)})
    answer = await_answer(http, run_id).json()
    assert answer["decision"] == "refused"
    assert not marker.exists()


def test_a_run_without_a_bundle_is_refused(http, client, application):
    run_id = client.create_run(
        client.experiment_id(application), "empty", {"rookery.application": application}
    )
    client.end_run(run_id, "FINISHED")
    assert await_answer(http, run_id).json()["reasons"][0].startswith("the run recorded no bundle")


def test_data_that_has_changed_since_the_training_is_refused(http, client, tmp_path, application):
    other = digits_data(tmp_path).model_copy(update={"digest": "sha256:" + "1" * 64})
    run_id = finished_run(client, tmp_path, application=application, dataset=other)
    answer = await_answer(http, run_id).json()
    assert answer["decision"] == "refused"
    assert "has changed since the training" in answer["reasons"][0]
    assert "train again" in http.get(f"/reports/{run_id}").text


@pytest.mark.parametrize("run_id", ["nope", "0" * 32, "../../etc/passwd", "a/b", "", "%00", "-x"])
def test_an_unknown_run_is_not_found(http, run_id):
    answer = http.get("/get-version", params={"run_id": run_id})
    assert answer.status_code == 404
    assert answer.json()["error"] == "not-found"


def test_a_missing_or_overlong_run_id_is_not_valid(http):
    assert http.get("/get-version").status_code == 422
    answer = http.get("/get-version", params={"run_id": "a" * 65})
    assert answer.status_code == 422
    assert "run_id" in answer.json()["message"]


@pytest.mark.parametrize("status", ["RUNNING", "FAILED", "KILLED"])
def test_a_run_that_did_not_finish_is_a_conflict_with_the_reason(http, client, tmp_path, application, status):
    run_id = client.create_run(
        client.experiment_id(application), "test", {"rookery.reason": "the disk was full"}
    )
    if status != "RUNNING":
        client.end_run(run_id, status)
    answer = http.get("/get-version", params={"run_id": run_id})
    assert answer.status_code == 409
    assert status in answer.json()["message"]
    assert "the disk was full" in answer.json()["message"]


def test_without_mlflow_it_says_so_and_still_knows_what_it_knew(settings, client, tmp_path, application):
    run_id = finished_run(client, tmp_path, application=application)
    with serving(create_app(settings)) as http:
        known = await_answer(http, run_id).json()
    away = settings.model_copy(update={"mlflow_url": NO_MLFLOW})
    with serving(create_app(away)) as http:
        assert http.get("/get-version", params={"run_id": run_id}).json() == known
        answer = http.get("/get-version", params={"run_id": "0" * 32})
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert http.get("/readyz").status_code == 503
        assert http.get("/healthz").status_code == 200
        assert http.get("/reports/" + "0" * 32).status_code == 503


def test_an_invalid_policy_is_an_error_that_nothing_is_decided_by(
    http, client, settings, tmp_path, application
):
    folder = settings.policy_dir / application
    folder.mkdir()
    (folder / "policy.yaml").write_text("floors: {acuracy: 0.5}\n")
    run_id = finished_run(client, tmp_path, application=application)
    answer = await_answer(http, run_id)
    assert answer.status_code == 422
    assert "did you mean 'accuracy'?" in answer.json()["message"]
    assert http.get("/policy", params={"application": application}).status_code == 422
    (folder / "policy.yaml").write_text("floors: {accuracy: 0.5}\n")
    time.sleep(settings.failure_seconds)
    assert await_answer(http, run_id).json()["decision"] == "accepted"


def test_a_failure_reaches_a_client_that_seldom_asks(http, client, settings, tmp_path, application):
    (settings.policy_dir / application).mkdir()
    (settings.policy_dir / application / "policy.yaml").write_text("- nothing\n")
    run_id = finished_run(client, tmp_path, application=application)
    assert http.get("/get-version", params={"run_id": run_id}).status_code == 202
    failure = settings.state_dir / "runs" / run_id / "failure.json"
    end = time.monotonic() + 60
    while not failure.exists() and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(3 * settings.failure_seconds)
    assert await_answer(http, run_id).status_code == 422


def test_a_worker_that_dies_is_reported_and_tried_again(app, http, client, settings, tmp_path, application):
    run_id = finished_run(client, tmp_path, application=application)
    service = app.state.service
    service.jobs._environment["PYTHONPATH"] = str(tmp_path / "broken")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text(
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    answer = await_answer(http, run_id)
    assert answer.status_code == 500
    assert "ended with -9" in answer.json()["message"]
    del service.jobs._environment["PYTHONPATH"]
    time.sleep(settings.failure_seconds)
    assert await_answer(http, run_id).json()["decision"] == "accepted"


def test_a_full_queue_is_answered_503(settings, client, application):
    runs = []
    for _ in range(3):
        runs.append(client.create_run(client.experiment_id(application), "queued", {}))
        client.end_run(runs[-1], "FINISHED")
    bounded = settings.model_copy(update={"queue_limit": 1})
    app = create_app(bounded)
    with serving(app) as http, RunFiles(settings.state_dir, runs[0]).locked(1):
        assert http.get("/get-version", params={"run_id": runs[0]}).status_code == 202
        end = time.monotonic() + 60
        while app.state.service.jobs.counts() != (0, 1) and time.monotonic() < end:
            time.sleep(0.01)
        assert http.get("/get-version", params={"run_id": runs[1]}).status_code == 202
        full = http.get("/get-version", params={"run_id": runs[2]})
        assert full.status_code == 503
        assert "Retry-After" in full.headers
        assert http.get("/get-version", params={"run_id": runs[1]}).json()["phase"] == "waiting"
        assert "rookery_evaluate_waiting 1.0" in http.get("/metrics").text


def test_a_lost_disk_does_not_change_the_answer(settings, client, tmp_path, application):
    run_id = finished_run(client, tmp_path, application=application)
    with serving(create_app(settings)) as http:
        known = await_answer(http, run_id).json()
    empty = settings.model_copy(update={"state_dir": tmp_path / "new-disk"})
    (settings.policy_dir / application).mkdir()
    (settings.policy_dir / application / "policy.yaml").write_text("floors: {accuracy: 1.0}\n")
    with serving(create_app(empty)) as http:
        assert "Accepted" in http.get(f"/reports/{run_id}").text
        assert await_answer(http, run_id).json() == known
    assert len(client.versions(application)) == 1


def test_many_at_once_get_one_answer(http, client, tmp_path, application):
    run_id = finished_run(client, tmp_path, application=application)
    answers: list[dict] = []

    def ask() -> None:
        answers.append(await_answer(http, run_id).json())

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert all(answer == answers[0] for answer in answers)
    assert len(client.versions(application)) == 1


def test_the_report_is_a_page_without_scripts(http, client, tmp_path, application):
    run_id = finished_run(client, tmp_path, application=application)
    assert http.get(f"/reports/{run_id}").status_code == 404
    await_answer(http, run_id)
    page = http.get(f"/reports/{run_id}")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert "built-in method" not in page.text
    metrics = http.get(f"/reports/{run_id}/metrics.json").json()
    assert metrics["bootstrap"]["resamples"] == 1000
    assert metrics["calibration"]["ece_before"] >= 0
    assert {row["family"] for row in metrics["slices"]} == {"size", "brightness"}
    assert sum(map(sum, metrics["confusion"])) == metrics["holdout"]["items"]


@pytest.mark.parametrize("name", ["..%2f..%2fetc", "nope", "%2e%2e"])
def test_a_report_of_nothing_is_not_found(http, name):
    assert http.get(f"/reports/{name}").status_code == 404


def test_the_policy_of_an_application_can_be_read(http, settings):
    default = http.get("/policy", params={"application": "photos"}).json()
    assert default["policy"]["floors"]["accuracy"] == 0.5
    assert http.get("/policy", params={"application": "../x"}).status_code == 422
    (settings.policy_dir / "photos").mkdir()
    (settings.policy_dir / "photos" / "policy.yaml").write_text("max_ece: 0.1\n")
    own = http.get("/policy", params={"application": "photos"}).json()
    assert own["policy"]["max_ece"] == 0.1
    assert own["policy_digest"] != default["policy_digest"]


def test_the_service_alone_imports_neither_torch_nor_mlflow():
    import subprocess
    import sys

    code = (
        "import sys, services.evaluate.app, services.evaluate.evaluation, services.evaluate.publish\n"
        "print([m for m in ('torch', 'mlflow', 'hera') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_port_that_nobody_answers_is_no_mlflow(settings, tmp_path):
    away = settings.model_copy(update={"mlflow_url": f"http://127.0.0.1:{free_port()}"})
    with serving(create_app(away)) as http:
        assert http.get("/readyz").json()["error"] == "unavailable"
