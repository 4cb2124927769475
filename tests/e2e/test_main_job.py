"""The main job on one machine, with every real process: the tests run in order and build on each other."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from services.bundle.reader import read_bundle
from services.bundle.writer import write_bundle
from services.common.mlflow_rest import MlflowClient, tags_of
from tests.support.gitops import git
from tests.support.platform import Platform, running_platform

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

FILE = Path(__file__).parent / "release-version.yaml"
QUICK = ("-p", "epochs=4", "-p", "application=digits")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("job")) as running:
        yield running


@pytest.fixture
def mlflow_of(platform: Platform) -> Iterator[MlflowClient]:
    with MlflowClient(f"http://127.0.0.1:{platform.json('status')['ports']['mlflow']}") as client:
        yield client


def promote(platform: Platform, source: str, target: str, version: str) -> Any:
    return platform(
        "submit", "promote-model", "--wait",
        "-p", f"source-environment={source}", "-p", f"target-environment={target}", "-p", f"model-version={version}",
    )  # fmt: skip


def test_a_model_goes_from_data_to_a_verified_staging(platform: Platform) -> None:
    done = platform("submit", "train-model", *QUICK, "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    staging = platform.environment("staging")
    assert (staging["version"], staging["phase"], staging["drift"]) == ("1", "running", "")
    assert platform("verify", "staging").returncode == 0


def test_it_is_promoted_by_one_commit_for_each_environment(platform: Platform) -> None:
    before = _commits(platform)
    done = promote(platform, "staging", "canary", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert _commits(platform) == before + 1


def test_a_promotion_that_needs_approval_commits_nothing_before_somebody_approves(platform: Platform) -> None:
    before = _commits(platform)
    places = (
        "-p",
        "source-environment=canary",
        "-p",
        "target-environment=production",
        "-p",
        "model-version=1",
    )
    name = platform.json("submit", "promote-model", *places, "-p", "approval=required")["name"]
    _until(platform, name, lambda run: any(step["type"] == "Suspend" for step in run["steps"]))
    assert _commits(platform) == before
    assert platform.environment("production")["phase"] == "empty"
    assert platform("approve", name).returncode == 0
    assert _until(platform, name, lambda run: run["finished"] is not None)["phase"] == "Succeeded"
    assert _commits(platform) == before + 1
    environments = [platform.environment(name) for name in ("staging", "canary", "production")]
    assert len({one["digest"] for one in environments}) == 1
    assert platform("verify", "production").returncode == 0


def test_an_environment_cannot_be_skipped_and_a_wrong_version_is_refused(platform: Platform) -> None:
    tip = git(platform.gitops, "rev-parse", "main")
    for source, target, version, said in (
        ("staging", "production", "1", "skips no environment"),
        ("staging", "canary", "7", "no such version"),
        ("staging", "moon", "1", "no such environment"),
    ):
        done = promote(platform, source, target, version)
        assert done.returncode != 0
        assert said in done.stdout + done.stderr
    assert git(platform.gitops, "rev-parse", "main") == tip


@pytest.mark.parametrize(
    "bad", ["../../etc", "digits; touch /tmp/owned", "{{workflow.uid}}", "a: b\n- c", "$(id)"]
)
def test_a_hostile_application_name_has_no_effect(platform: Platform, bad: str) -> None:
    tip = git(platform.gitops, "rev-parse", "main")
    done = platform("submit", "train-model", "-p", f"application={bad}", "--wait")
    assert done.returncode != 0
    assert git(platform.gitops, "rev-parse", "main") == tip
    assert not Path("/tmp/owned").exists()


def test_a_poor_model_is_refused_by_the_gate_and_production_is_untouched(platform: Platform) -> None:
    before = platform.environment("production")
    done = platform("submit", "train-model", "-p", "epochs=1", "-p", "label-noise=0.9", "--wait")
    assert done.returncode != 0
    assert "the gate refused" in done.stdout + done.stderr
    assert platform.environment("production") == before
    assert platform.environment("staging")["version"] == "1"


def test_the_engine_is_killed_while_a_model_trains_and_the_run_goes_on(
    platform: Platform, mlflow_of: MlflowClient
) -> None:
    name = platform.json("submit", "train-model", *QUICK, "-p", "seed=5")["name"]
    training = _until(
        platform, name, lambda run: any(step["name"].startswith("train(") for step in run["steps"])
    )
    os.kill(int(training["engine"]), signal.SIGKILL)
    done = platform("resume", name, "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    started = [step for step in _run(platform, name)["steps"] if step["name"].startswith("start(")]
    assert len(started) == 1
    runs = mlflow_of.search_runs([mlflow_of.experiment_id("digits")], "params.seed = '5'")
    assert [run["info"]["status"] for run in runs] == ["FINISHED"]
    assert platform.environment("staging")["version"] == "2"


def test_a_workflow_that_is_cancelled_stops_its_training(platform: Platform, mlflow_of: MlflowClient) -> None:
    name = platform.json("submit", "train-model", "-p", "epochs=900", "-p", "patience=0", "-p", "seed=6")[
        "name"
    ]
    _until(platform, name, lambda run: any(step["name"].startswith("train(") for step in run["steps"]))
    assert platform("cancel", name).returncode == 0
    assert _until(platform, name, lambda run: run["finished"] is not None)["phase"] == "Failed"
    start = next(step for step in _run(platform, name)["steps"] if step["name"].startswith("start("))
    deadline = time.monotonic() + 120
    while (run := mlflow_of.run(start["outputs"]["run-id"]))["info"]["status"] == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert run["info"]["status"] == "KILLED"


def test_a_promotion_that_is_cancelled_after_its_commit_is_verified_all_the_same(platform: Platform) -> None:
    before = _commits(platform)
    deployer = platform.pids()["deployer"]
    os.kill(deployer, signal.SIGSTOP)
    try:
        places = (
            "-p",
            "source-environment=staging",
            "-p",
            "target-environment=canary",
            "-p",
            "model-version=2",
        )
        name = platform.json("submit", "promote-model", *places)["name"]
        _until(platform, name, lambda run: any(step["name"].startswith("deliver(") for step in run["steps"]))
        assert _commits(platform) == before + 1
        assert platform("cancel", name).returncode == 0
    finally:
        os.kill(deployer, signal.SIGCONT)
    ended = _until(platform, name, lambda run: run["finished"] is not None)
    assert ended["phase"] == "Failed"
    assert next(step for step in ended["steps"] if step["name"].startswith("settle("))["phase"] == "Succeeded"
    assert platform.environment("canary")["version"] == "2"
    assert platform("verify", "canary").returncode == 0


def test_no_request_fails_while_canary_and_production_are_replaced(platform: Platform) -> None:
    url = platform.environment("production")["url"]
    body = _golden(platform)
    answers: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not stop.is_set():
                answers.append(client.post(f"{url}/predict", content=body).status_code)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        for source, target in (("staging", "canary"), ("canary", "production")):
            done = promote(platform, source, target, "2")
            assert done.returncode == 0, done.stdout + done.stderr
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert len(answers) > 50
    assert set(answers) == {200}
    assert platform.environment("production")["version"] == "2"


def test_a_release_that_answers_otherwise_is_withdrawn_and_quarantined(
    platform: Platform, mlflow_of: MlflowClient, tmp_path: Path
) -> None:
    version = _register_with_wrong_golden(mlflow_of, tmp_path)
    done = platform("submit", "--file", str(FILE), "-p", f"model-version={version}", "--wait")
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "failed its verification and was withdrawn" in said
    assert "version 2 serves again" in said
    staging = platform.environment("staging")
    assert (staging["version"], staging["drift"]) == ("2", "")
    quarantine = json.loads(
        git(platform.gitops, "show", "main:k8s/apps/digits/staging/release/quarantine.json")
    )
    assert [entry["model_version"] for entry in quarantine["entries"]] == [version]
    assert "golden input" in quarantine["entries"][0]["reason"]
    actions = [step["action"] for step in platform.json("history", "staging")]
    assert actions[:2] == ["revert", "release"]
    again = platform("submit", "--file", str(FILE), "-p", f"model-version={version}", "--wait")
    assert again.returncode != 0
    assert "quarantine" in again.stdout + again.stderr


def test_production_goes_back_and_git_says_so(platform: Platform) -> None:
    done = platform("rollback", "production", "--reason", "takes wrens for robins")
    assert done.returncode == 0, done.stdout + done.stderr
    production = platform.environment("production")
    assert (production["version"], production["drift"]) == ("1", "")
    assert platform("verify", "production").returncode == 0
    assert "takes wrens for robins" in platform("why", "production").stdout
    refused = promote(platform, "canary", "production", "2")
    assert refused.returncode != 0
    assert "quarantine" in refused.stdout + refused.stderr


def test_a_quarantine_is_listed_and_lifted_by_a_commit(platform: Platform) -> None:
    listed = platform.json("quarantine", "list")
    digest = next(entry["image_digest"] for entry in listed if entry["environment"] == "production")
    before = _commits(platform)
    done = platform("quarantine", "lift", digest[:19], "--reason", "the wrens were robins")
    assert done.returncode == 0, done.stdout + done.stderr
    assert _commits(platform) == before + 1
    assert digest not in {entry["image_digest"] for entry in platform.json("quarantine", "list")}
    assert platform("quarantine", "lift", digest[:19], "--reason", "again").returncode != 0
    done = promote(platform, "canary", "production", "2")
    assert done.returncode == 0, done.stdout + done.stderr


def test_why_and_history_need_nothing_but_a_clone(platform: Platform, tmp_path: Path) -> None:
    clone = tmp_path / "clone.git"
    git(tmp_path, "clone", "-q", "--bare", str(platform.gitops), str(clone))
    assert "version 2" in platform("why", "production", "--repo", str(clone)).stdout
    actions = [step["action"] for step in platform.json("history", "production", "--repo", str(clone))]
    assert actions[:5] == ["promote", "lift", "rollback", "promote", "promote"]


def _run(platform: Platform, name: str) -> dict[str, Any]:
    return next(dict(run) for run in platform.json("runs") if run["name"] == name)


def _until(platform: Platform, name: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while not reached(run := _run(platform, name)):
        assert time.monotonic() < deadline, run
        time.sleep(0.2)
    return run


def _commits(platform: Platform) -> int:
    return int(git(platform.gitops, "rev-list", "--count", "main"))


def _golden(platform: Platform) -> bytes:
    folder = next((platform.home / "deploy" / "digits" / "production").glob("*/bundle"), None)
    if folder is None:
        folder = next((platform.home / "deploy").glob("**/bundle"))
    return read_bundle(folder).golden.inputs[0]


def _register_with_wrong_golden(mlflow: MlflowClient, folder: Path) -> str:
    """A version that passed its gate, but whose server will not answer as its bundle promises."""
    good = mlflow.version("digits", "2")
    run = mlflow.run(str(good["run_id"]))
    original = folder / "original"
    original.mkdir()
    for name in ("bundle.json", "model.onnx", "novelty.onnx", "golden.npz"):
        (original / name).write_bytes(mlflow.download(run, f"bundle/{name}", max_bytes=1 << 28))
    bundle = read_bundle(original)
    wrong = replace(bundle.golden, probabilities=np.roll(bundle.golden.probabilities, 1, axis=1))
    digest = write_bundle(folder / "wrong", bundle.manifest, bundle.model, bundle.novelty, wrong)
    ours = {key: value for key, value in tags_of(run).items() if key.startswith("rookery.")}
    tags = {**ours, "rookery.bundle_digest": digest}
    forged = mlflow.create_run(str(run["info"]["experiment_id"]), "wrong-golden", tags)
    target = mlflow.run(forged)
    for path in sorted((folder / "wrong").iterdir()):
        mlflow.upload(target, f"bundle/{path.name}", path.read_bytes())
    gate = mlflow.download(run, "evaluation/gate.json", max_bytes=1 << 22)
    mlflow.upload(target, "evaluation/gate.json", gate)
    mlflow.end_run(forged, "FINISHED")
    source = f"{target['info']['artifact_uri']}/bundle"
    return mlflow.create_version("digits", source, forged, {**good["tags"], "rookery.bundle_digest": digest})
