"""MLflow as the cluster runs it: a real PostgreSQL and a real MinIO behind it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from minio import Minio

from services.common.mlflow_rest import MlflowClient
from tests.support import web
from tests.support.database import Database
from tests.support.gitops import REPOSITORY
from tests.support.monitoring import minio
from tests.support.servers import Server, free_port

PASSWORD = "a-word-nobody-shall-read"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    # PostgreSQL runs as another user, who cannot enter the folders that pytest makes.
    with tempfile.TemporaryDirectory(prefix="rookery-tracking-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="module")
def database(place: Path) -> Iterator[Database]:
    made = Database(place / "database", PASSWORD)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def store(place: Path) -> Iterator[dict[str, str]]:
    server, client = minio(place)
    server.start()
    yield client
    server.stop()


def settings(database_uri: str, store: dict[str, str], port: int, **more: str) -> dict[str, str]:
    values = {
        "database_uri": database_uri,
        "s3_endpoint": "http://" + store["ROOKERY_S3_ENDPOINT"],
        "s3_access_key": store["ROOKERY_S3_ACCESS_KEY"],
        "s3_secret_key": store["ROOKERY_S3_SECRET_KEY"],
        "port": str(port),
        "workers": "1",
        **more,
    }
    return {f"ROOKERY_TRACKING_{name.upper()}": value for name, value in values.items()}


@pytest.fixture(scope="module")
def server(database: Database, store: dict[str, str], place: Path) -> Iterator[Server]:
    port = free_port()
    made = Server(
        [sys.executable, "-m", "services.tracking"],
        log=place / "tracking.log",
        port=port,
        health="/health",
        environment=settings(database.uri, store, port),
        cwd=REPOSITORY,
    )
    made.start(seconds=150)
    yield made
    made.stop()


def test_runs_are_in_the_database_and_artifacts_in_the_bucket_that_it_made(
    server: Server, store: dict[str, str]
) -> None:
    with MlflowClient(server.url) as mlflow:
        run_id = mlflow.create_run(mlflow.experiment_id("digits"), "first", {"a": "b"})
        run = mlflow.run(run_id)
        mlflow.upload(run, "bundle/model.onnx", b"model")
        assert mlflow.download(run, "bundle/model.onnx", max_bytes=100) == b"model"
    client = Minio(
        store["ROOKERY_S3_ENDPOINT"],
        store["ROOKERY_S3_ACCESS_KEY"],
        store["ROOKERY_S3_SECRET_KEY"],
        secure=False,
    )
    names = [str(item.object_name) for item in client.list_objects("mlflow", recursive=True)]
    assert any(name.endswith(f"{run_id}/artifacts/bundle/model.onnx") for name in names)


def test_other_host_names_are_refused_and_those_of_the_cluster_answered(server: Server) -> None:
    address = f"{server.url}/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
    for host, status in (("mlflow.rookery.svc:8000", 200), ("192.168.1.11:8000", 200), ("evil.example", 403)):
        assert web.get(address, headers={"Host": host}, timeout=30).status_code == status


def test_it_goes_on_after_the_database_was_away(server: Server, database: Database) -> None:
    database.stop()
    with MlflowClient(server.url) as mlflow:
        assert web.get(f"{server.url}/health", timeout=30).status_code == 200
        database.start()
        assert mlflow.experiment_id("digits")


def test_no_secret_is_in_arguments_or_log(server: Server) -> None:
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    for pid in (str(server.pid), *children):
        assert PASSWORD not in Path(f"/proc/{pid}/cmdline").read_text()
    assert PASSWORD not in server.tail()


@pytest.mark.parametrize("missing", ["database", "store", "password"])
def test_what_does_not_answer_is_named_within_the_bound(
    database: Database, store: dict[str, str], missing: str
) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    uri = database.uri
    if missing == "database":
        uri = f"postgresql://mlflow:{PASSWORD}@{nowhere}/mlflow"
    elif missing == "password":
        uri = database.uri.replace(PASSWORD, PASSWORD + "-other")
    elif missing == "store":
        store = {**store, "ROOKERY_S3_ENDPOINT": nowhere}
    done = subprocess.run(
        [sys.executable, "-m", "services.tracking"],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", **settings(uri, store, free_port(), wait_seconds="3")},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 1
    what = (
        "the bucket mlflow at http://" + nowhere
        if missing == "store"
        else "the database postgresql+psycopg://"
    )
    assert what in done.stderr and "within 3 s" in done.stderr
    assert PASSWORD not in done.stderr
