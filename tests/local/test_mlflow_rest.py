"""A creation whose answer is lost or late, with a real MLflow behind a faulty proxy: it is made once."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.common.errors import Unavailable
from services.common.mlflow_rest import MlflowClient, tags_of
from services.train.tracking import Tracking
from tests.support.faults import FaultyProxy
from tests.support.servers import Server

FAULTS = pytest.mark.parametrize("fault", ["lost", "late", "spoilt", "drop"])


@pytest.fixture
def proxy(mlflow: Server) -> Iterator[FaultyProxy]:
    with FaultyProxy(mlflow.url) as faulty:
        faulty.delay = 8
        yield faulty


@pytest.fixture
def direct(mlflow: Server) -> Iterator[MlflowClient]:
    with MlflowClient(mlflow.url) as client:
        yield client


@pytest.fixture
def client(proxy: FaultyProxy) -> Iterator[MlflowClient]:
    with MlflowClient(proxy.url, patience_seconds=60, timeout_seconds=5) as faulty:
        yield faulty


@FAULTS
def test_a_run_is_created_once(
    fault: str, proxy: FaultyProxy, client: MlflowClient, direct: MlflowClient
) -> None:
    experiment = direct.experiment_id(f"once-{uuid.uuid4().hex}")
    proxy.mode, proxy.only, proxy.times = fault, "/runs/create", 1
    run_id = client.create_run(experiment, "once", {"own": "tag"})
    assert proxy.times == 0
    found = direct.search_runs([experiment], "")
    assert [run["info"]["run_id"] for run in found] == [run_id]
    assert tags_of(found[0])["own"] == "tag"


@FAULTS
def test_a_version_is_created_once(
    fault: str, proxy: FaultyProxy, client: MlflowClient, direct: MlflowClient
) -> None:
    name = f"once-{uuid.uuid4().hex}"
    direct.ensure_registered_model(name)
    run_id = direct.create_run(direct.experiment_id("once"), "once", {})
    source = f"{direct.run(run_id)['info']['artifact_uri']}/bundle"
    proxy.mode, proxy.only, proxy.times = fault, "/model-versions/create", 1
    assert client.create_version(name, source, run_id, {"own": "tag"}) == "1"
    assert proxy.times == 0
    assert [(one["version"], one["tags"]["own"]) for one in direct.versions(name)] == [("1", "tag")]


def test_the_search_for_a_lost_run_may_fail_too(
    proxy: FaultyProxy, client: MlflowClient, direct: MlflowClient
) -> None:
    experiment = direct.experiment_id(f"once-{uuid.uuid4().hex}")
    proxy.mode, proxy.only, proxy.times = "lost", "/runs/", 3
    run_id = client.create_run(experiment, "once", {})
    assert [run["info"]["run_id"] for run in direct.search_runs([experiment], "")] == [run_id]


def test_a_tag_that_many_set_at_once_is_set(direct: MlflowClient) -> None:
    """MLflow reads and then inserts: all but one get its database's error, and are told to try again by us alone."""
    name = f"once-{uuid.uuid4().hex}"
    direct.ensure_registered_model(name)
    run_id = direct.create_run(direct.experiment_id("once"), "once", {})
    version = direct.create_version(name, f"{direct.run(run_id)['info']['artifact_uri']}/bundle", run_id, {})
    for turn in range(4):
        with ThreadPoolExecutor(8) as pool:
            list(
                pool.map(
                    lambda who, key=f"turn-{turn}": direct.set_version_tag(name, version, key, str(who)),
                    range(8),
                )
            )
    assert {f"turn-{turn}" for turn in range(4)} <= set(direct.version(name, version)["tags"])


def test_a_name_that_is_taken_is_said_at_once(mlflow: Server) -> None:
    name = f"taken-{uuid.uuid4().hex}"
    with Tracking(mlflow.url, patience_seconds=90) as client:
        first = client.new_experiment(name)
        began = time.monotonic()
        assert first is not None and client.new_experiment(name) is None
        assert client.experiment_id(name) == first
        assert time.monotonic() - began < 45


def test_two_calls_with_the_same_tags_are_two_runs(
    proxy: FaultyProxy, client: MlflowClient, direct: MlflowClient
) -> None:
    experiment = direct.experiment_id(f"twice-{uuid.uuid4().hex}")
    first = client.create_run(experiment, "twice", {})
    proxy.mode, proxy.only, proxy.times = "lost", "/runs/create", 1
    tags = tags_of(direct.run(first))
    second = client.create_run(experiment, "twice", tags)
    assert {run["info"]["run_id"] for run in direct.search_runs([experiment], "")} == {first, second}
    assert first != second


def test_answers_that_stay_away_are_a_failure_after_a_bounded_time(
    proxy: FaultyProxy, direct: MlflowClient
) -> None:
    experiment = direct.experiment_id(f"once-{uuid.uuid4().hex}")
    proxy.mode = "lost"
    with (
        MlflowClient(proxy.url, patience_seconds=1.5) as client,
        pytest.raises(Unavailable, match="did not answer"),
    ):
        client.create_run(experiment, "once", {})
    assert len(direct.search_runs([experiment], "")) == 1
