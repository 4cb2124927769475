"""Publishing can be cut off at any request and begun again: one version, one verdict, one answer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from services.common.errors import Unavailable
from services.common.mlflow_rest import MlflowClient, tags_of
from services.evaluate.files import ANSWER, GATE, METRICS, REPORT, RunFiles
from services.evaluate.publish import publish, recover, register
from tests.support.faults import FaultyProxy
from tests.support.servers import Server


class Death(BaseException):
    """The process ends here."""


class Mortal(MlflowClient):
    """A client whose process dies at one request, before it is sent or before its answer is seen."""

    left = 10_000
    after = False

    def _once(self, *args, **kwargs):
        Mortal.left -= 1
        if Mortal.left == 0 and not Mortal.after:
            raise Death
        answer = super()._once(*args, **kwargs)
        if Mortal.left == 0:
            raise Death
        return answer


@pytest.fixture
def client(mlflow: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    monkeypatch.setattr(Mortal, "left", 10_000)
    with Mortal(mlflow.url, patience_seconds=60) as found:
        yield found


def judged(client: MlflowClient, state: Path, decision: str = "accepted") -> tuple[str, RunFiles]:
    """A finished run whose verdict is on this disk and nowhere else."""
    application = f"published-{uuid4().hex[:8]}"
    run_id = client.create_run(client.experiment_id(application), "test", {})
    client.end_run(run_id, "FINISHED")
    files = RunFiles(state, run_id)
    files.write(REPORT, b"<!doctype html>")
    files.write(METRICS, {"metrics": {}})
    gate = {
        "decision": decision,
        "reasons": [] if decision == "accepted" else ["accuracy 0.1 is below 0.9"],
        "run_id": run_id,
        "application": application,
        "model_name": "cnn",
        "bundle_digest": "sha256:" + "a" * 64,
        "dataset_digest": "sha256:" + "b" * 64,
        "policy_digest": "sha256:" + "c" * 64,
        "metrics": {"accuracy": 0.97, "ece": float("nan")},
        "compared_with": None,
        "judged_at": "2026-01-01T00:00:00Z",
    }
    files.write(GATE, gate)
    return run_id, files


@pytest.mark.parametrize("after", [False, True])
def test_death_at_any_request_leaves_one_version_and_one_answer(client, tmp_path, after):
    for died_at in itertools.count(1):
        run_id, files = judged(client, tmp_path)
        application = files.json(GATE)["application"]
        run = client.run(run_id)
        Mortal.left, Mortal.after = died_at, after
        try:
            publish(client, run, files)
            break
        except Death:
            assert files.json(ANSWER) is None
        finally:
            Mortal.left = 10_000
        answer = publish(client, client.run(run_id), files)
        assert answer["new_model_version"] == "1"
        assert [version["version"] for version in client.versions(application)] == ["1"]
        assert client.version_by_alias(application, "candidate")["version"] == "1"
        assert publish(client, client.run(run_id), files) == answer
    assert died_at > 10, "every request was tried"


@pytest.fixture
def proxy(mlflow: Server) -> Iterator[FaultyProxy]:
    with FaultyProxy(mlflow.url) as faulty:
        faulty.only = "/model-versions/create"
        yield faulty


def test_a_lost_answer_to_the_creation_makes_no_second_version(client, proxy, tmp_path):
    run_id, files = judged(client, tmp_path)
    proxy.mode, proxy.times = "lost", 1
    with MlflowClient(proxy.url) as through:
        assert publish(through, client.run(run_id), files)["new_model_version"] == "1"
    assert proxy.times == 0
    assert [one["version"] for one in client.versions(files.json(GATE)["application"])] == ["1"]


def test_a_registry_that_never_creates_is_given_up(client, proxy, tmp_path):
    run_id, files = judged(client, tmp_path)
    proxy.mode = "error"
    with (
        MlflowClient(proxy.url, patience_seconds=1) as through,
        pytest.raises(Unavailable, match="told to fail"),
    ):
        publish(through, client.run(run_id), files)
    assert files.json(ANSWER) is None


def test_a_refused_run_is_tagged_and_gets_no_version(client, tmp_path):
    run_id, files = judged(client, tmp_path, "refused")
    answer = publish(client, client.run(run_id), files)
    assert (answer["new_model_version"], answer["model_name_registered"]) == ("", "")
    assert client.versions(answer["application"]) == []
    tags = tags_of(client.run(run_id))
    assert tags["rookery.reasons"] == "accuracy 0.1 is below 0.9"
    metrics = {one["key"]: one["value"] for one in client.run(run_id)["data"]["metrics"]}
    assert metrics == {"evaluation.accuracy": 0.97}


def test_the_candidate_alias_never_goes_back(client, tmp_path):
    run_id, files = judged(client, tmp_path)
    gate = files.json(GATE)
    first = publish(client, client.run(run_id), files)
    later = client.create_run(client.experiment_id(gate["application"]), "later", {})
    assert register(client, client.run(later), gate) == "2"
    client.set_alias(gate["application"], "candidate", "2")
    assert publish(client, client.run(run_id), files) == first
    assert client.version_by_alias(gate["application"], "candidate")["version"] == "2"


def test_a_verdict_that_mlflow_has_is_taken_over(client, tmp_path):
    run_id, files = judged(client, tmp_path / "old")
    fresh = RunFiles(tmp_path / "new", run_id)
    assert not recover(client, client.run(run_id), fresh)
    answer = publish(client, client.run(run_id), files)
    assert recover(client, client.run(run_id), fresh)
    assert fresh.json(GATE) == files.json(GATE)
    assert publish(client, client.run(run_id), fresh) == answer
