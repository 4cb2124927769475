"""The cluster that `make e2e` brings up. Without it these tests fail; they are not skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.common.mlflow_rest import MlflowClient
from tests.support.cluster import HOST, MLFLOW, TRAIN, Cluster, until
from tests.support.gitops import REPOSITORY

_ORDER = (
    *("test_conformance.py", "test_main_job.py", "test_loop.py", "test_bad_days.py"),
    *("test_share.py", "test_metrics.py", "test_labels.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them take long and need real processes; those after the main job use what it left."""
    here = Path(__file__).parent
    items.sort(
        key=lambda item: (
            _ORDER.index(item.path.name) if item.path.parent == here and item.path.name in _ORDER else -1
        )
    )
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(1200))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """After a failure, the state of the cluster."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and cluster is not None:
        try:
            report.sections.append(("the cluster", cluster.state()))
        except Exception as error:
            report.sections.append(("the cluster", f"cannot be read: {error}"))
    return report


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, its platform installed."""
    asked = subprocess.run(
        [sys.executable, "-m", "tests.cluster", "kubeconfig"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    path = (
        Path(asked.stdout.strip().splitlines()[-1])
        if asked.returncode == 0 and asked.stdout.strip()
        else None
    )
    if path is None or not path.is_file():
        pytest.fail(
            f"there is no test cluster: `make e2e` brings it up. {asked.stderr.strip()[-300:]}", pytrace=False
        )
    made = Cluster(path, tmp_path_factory.mktemp("cluster"))
    made.api.get("/version")
    with made.nothing_by_itself():
        yield made
    made.api.close()


@pytest.fixture(scope="session")
def train_service(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The train service beside the nodes, as on a GPU host outside the cluster."""
    folder = tmp_path_factory.mktemp("train")
    environment = {
        **os.environ,
        "ROOKERY_TRAIN_HOST": HOST,
        "ROOKERY_TRAIN_PORT": "9090",
        "ROOKERY_TRAIN_MLFLOW_URL": MLFLOW,
        "ROOKERY_TRAIN_STATE_DIR": str(folder / "state"),
        "ROOKERY_TRAIN_CACHE_DIR": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.train"], cwd=REPOSITORY, env=environment, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        until("the train service", lambda: _answers(process, folder / "log"), 120)
        yield TRAIN
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def mlflow(cluster: Cluster) -> Iterator[MlflowClient]:
    """MLflow at the address that people use."""
    with MlflowClient(MLFLOW) as client:
        yield client


def _answers(process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text(errors="replace")[-3000:]
    try:
        return httpx.get(f"{TRAIN}/healthz", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False
