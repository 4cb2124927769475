"""What is only away for a while: the evaluate service says so with 503, decides nothing, and judges later."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from services.bundle.manifest import Dataset
from services.common.mlflow_rest import MlflowClient
from services.data.source import load_dataset
from services.evaluate.app import create_app
from services.evaluate.files import GATE, RunFiles
from services.evaluate.settings import EvaluateSettings
from tests.support.asgi import serving
from tests.support.judged import FILES, finished_run
from tests.support.servers import Server


@pytest.fixture
def client(mlflow: Server) -> Iterator[MlflowClient]:
    with MlflowClient(mlflow.url) as found:
        yield found


@pytest.fixture
def settings(mlflow: Server, tmp_path: Path) -> EvaluateSettings:
    return EvaluateSettings(
        mlflow_url=mlflow.url,
        state_dir=tmp_path / "state",
        cache_dir=tmp_path / "cache",
        failure_seconds=0.5,
    )


@pytest.fixture
def http(settings: EvaluateSettings) -> Iterator[httpx.Client]:
    with serving(create_app(settings, {**os.environ, "OMP_NUM_THREADS": "1"})) as found:
        yield found


@pytest.fixture
def application() -> str:
    return f"away-{uuid4().hex[:8]}"


def ask(http: httpx.Client, run_id: str) -> httpx.Response:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        answer = http.get("/get-version", params={"run_id": run_id})
        if answer.status_code != 202:
            return answer
        time.sleep(0.1)
    raise AssertionError("no answer in 120 s")


def nothing_decided(http: httpx.Client, settings: EvaluateSettings, run_id: str, reason: str) -> None:
    """503 with the reason, and no verdict on disk; then wait until a call begins anew."""
    answer = ask(http, run_id)
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert reason in answer.json()["message"]
    assert RunFiles(settings.state_dir, run_id).json(GATE) is None
    time.sleep(settings.failure_seconds)


def digits_folder(root: Path) -> Dataset:
    """The digits as pictures in folders of splits and classes; what a manifest says of them."""
    for item in load_dataset("digits?items=400", cache=root.parent).items:
        path = root / item.split / item.primary / Path(item.id).name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(item.read())
    data = load_dataset(str(root), cache=root.parent / "other-cache")
    return Dataset(
        source=str(root),
        digest=data.digest,
        class_counts=data.class_counts("training"),
        split_sizes=data.split_sizes(),
    )


def test_data_that_is_away_or_empty_for_a_while_is_no_verdict(http, client, settings, tmp_path, application):
    root, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    run_id = finished_run(client, tmp_path, application=application, dataset=digits_folder(root))
    root.rename(elsewhere)
    nothing_decided(http, settings, run_id, "cannot be read now: the data source is no folder")
    root.mkdir()
    nothing_decided(http, settings, run_id, "cannot be read now: it is empty")
    root.rmdir()
    elsewhere.rename(root)
    assert ask(http, run_id).json()["decision"] == "accepted"


def test_data_that_lost_a_file_for_good_is_a_verdict(http, client, tmp_path, application):
    root = tmp_path / "data"
    run_id = finished_run(client, tmp_path, application=application, dataset=digits_folder(root))
    shutil.rmtree(root / "evaluation" / "3")
    answer = ask(http, run_id).json()
    assert answer["decision"] == "refused"
    assert "has changed since the training" in answer["reasons"][0]


def test_a_bundle_that_mlflow_does_not_give_now_is_no_verdict(http, client, settings, tmp_path, application):
    run_id = finished_run(client, tmp_path, application=application)
    (folder,) = tmp_path.glob("*/digits-bundle")
    bare = client.create_run(client.experiment_id(application), "away", {})
    run = client.run(run_id)
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"] if tag["key"].startswith("rookery.")}
    client.log(bare, tags=tags)
    client.end_run(bare, "FINISHED")
    nothing_decided(http, settings, bare, "does not have a file of the bundle")
    # It comes back as what another run had, which is for the gate to say.
    for name in FILES:
        client.upload(client.run(bare), f"bundle/{name}", (folder / name).read_bytes())
    assert "of another application or run" in ask(http, bare).json()["reasons"][0]


def test_a_version_in_production_that_cannot_be_read_is_no_verdict(
    http, client, settings, tmp_path, application
):
    good = finished_run(client, tmp_path, application=application)
    assert ask(http, good).json()["decision"] == "accepted"
    broken = client.create_run(client.experiment_id(application), "broken", {})
    client.end_run(broken, "FINISHED")
    source = f"{client.run(broken)['info']['artifact_uri']}/bundle"
    version = client.create_version(application, source, broken, {})
    client.set_alias(application, "production", version)
    run_id = finished_run(client, tmp_path, application=application)
    nothing_decided(http, settings, run_id, f"version {version}, which is in production")
    client.set_alias(application, "production", "1")
    answer = ask(http, run_id).json()
    assert (answer["decision"], answer["compared_with_version"]) == ("accepted", "1")
