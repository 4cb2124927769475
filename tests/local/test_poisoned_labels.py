"""People who lie together pass the gate of agreement; a model that learned from them does not pass the evaluation."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.common.mlflow_rest import MlflowClient
from services.labels.desk import FolderDesk
from services.labels.standing import standing
from services.labels.task import Answer
from tests.local.test_evaluate_process import await_answer, evaluate_server
from tests.support import web
from tests.support.labelling import APPLICATION, LATER, NOON, Log, office, shifted_png, with_rules
from tests.support.servers import Server, train_server

INPUTS = 400
QUICK = {"model_name": "cnn", "width": "8", "epochs": "12", "novelty_epochs": "2"}
pytestmark = pytest.mark.slow


@pytest.fixture
def services(tmp_path: Path, mlflow: Server) -> Iterator[tuple[Server, Server]]:
    made = train_server(tmp_path / "train", mlflow.url), evaluate_server(tmp_path / "evaluate", mlflow.url)
    for server in made:
        server.start()
    yield made
    for server in made:
        server.stop()


def labelled(folder: Path, said: Callable[[int], int]) -> dict[str, Any]:
    """How it stands after two people who answered the same of every input, and the source of the data."""
    log = Log(folder / "monitor")
    log.serve([shifted_png(n) for n in range(INPUTS)], confidence=[0.4] * INPUTS)
    work = office(folder, log, with_rules(per_day=INPUTS, random=0.1))
    work.choose(APPLICATION, now=LATER)
    work.send(APPLICATION)
    desk = work.place.desk
    assert isinstance(desk, FolderDesk)
    for task in work.place.book.tasks(APPLICATION, "sent"):
        answer = Answer((str(said(int(log.truth[task.digest]))),))
        for name in ("mallory", "trudy"):
            desk.answer(APPLICATION, task.digest, name, answer, at=NOON + timedelta(hours=1))
    work.sync(APPLICATION, now=LATER)
    return standing(work, APPLICATION, now=LATER)


def judged(services: tuple[Server, Server], application: str, source: str) -> dict[str, Any]:
    """What the gate of evaluation says of a model that was trained on a source."""
    train, evaluate = services
    query = {**QUICK, "application": application, "data_source": source}
    answer = web.post(f"{train.url}/train", params=query, timeout=30)
    assert answer.status_code == 202, answer.text
    run_id = str(answer.json()["run_id"])
    end = time.monotonic() + 150
    while (state := web.get(f"{train.url}/runs/{run_id}", timeout=30).json())["status"] == "RUNNING":
        assert time.monotonic() < end, state
        time.sleep(0.2)
    assert state["status"] == "FINISHED", state
    return await_answer(evaluate.url, run_id)


def test_a_poisoned_batch_that_people_agree_on_is_refused_by_the_evaluation(
    tmp_path: Path, services: tuple[Server, Server], mlflow: Server
) -> None:
    application = f"digits-{uuid4().hex[:8]}"
    honest = labelled(tmp_path / "honest", lambda truth: truth)
    poisoned = labelled(tmp_path / "poisoned", lambda truth: (truth + 1) % 10)
    assert (poisoned["gate"]["state"], poisoned["agreement"]) == ("passed", 1.0)
    assert poisoned["items"] == honest["items"] > INPUTS / 2
    good = judged(services, application, honest["source"])
    assert good["decision"] == "accepted", good
    with MlflowClient(mlflow.url) as client:
        client.set_alias(application, "production", good["new_model_version"])
    bad = judged(services, application, poisoned["source"])
    assert (bad["decision"], bad["new_model_version"]) == ("refused", "")
    assert any("version 1" in reason for reason in bad["reasons"]), bad["reasons"]


def test_no_two_pictures_of_a_batch_are_the_same() -> None:
    digests = {hashlib.sha256(shifted_png(n)[0]).hexdigest() for n in range(INPUTS)}
    assert len(digests) == INPUTS
