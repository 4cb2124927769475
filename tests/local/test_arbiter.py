"""The arbiter with real processes: an event by hand, one training, the same again, data that grow, a killed arbiter."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.data.digits import load_digits_dataset
from services.data.options import Options
from tests.support import web
from tests.support.platform import Platform, running_platform
from workflows.local.pids import start_time

QUICK = {
    "ROOKERY_ARBITER_DEBOUNCE_SECONDS": "0.5",
    "ROOKERY_ARBITER_BY_HAND_DEBOUNCE_SECONDS": "0.2",
    "ROOKERY_ARBITER_COOLDOWN_SECONDS": "0",
    "ROOKERY_ARBITER_TICK_SECONDS": "0.2",
}
ENDS = ("succeeded", "refused", "failed")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUICK.items():
            patch.setenv(name, value)
        with running_platform(tmp_path_factory.mktemp("platform")) as made:
            yield made


def wait_for(what: str, found: Callable[[], Any], seconds: float = 250) -> Any:
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, f"{what} did not happen in {seconds:g} s"
        time.sleep(0.3)
    return value


def decisions(up: Platform) -> list[dict[str, Any]]:
    return list(up.json("decisions", "digits"))


def pictures(folder: Path, count: int) -> None:
    items = load_digits_dataset("digits", Options("items=600")).items
    for item in sorted(items, key=lambda one: one.sha256)[:count]:
        path = folder / item.id
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(item.read())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_an_event_to_a_version_and_the_same_again_is_refused(up: Platform) -> None:
    done = up("retrain", "digits", "--reason", "a test", "-p", "epochs=4", "--wait")
    assert done.returncode == 0, done.stderr
    assert "retrain" in done.stdout
    first = wait_for("the end of the training", lambda: (d := decisions(up)[0])["outcome"] in ENDS and d)
    assert (first["verdict"], first["rule"], first["outcome"]) == ("retrain", "manual", "succeeded")
    assert [run["name"] for run in up.json("runs")] == [first["workflow"]]
    evidence = up.json("why", "staging")
    assert "arbiter, decision" in str(evidence)

    refused = up("retrain", "digits", "--reason", "again", "-p", "epochs=4", "--wait")
    assert refused.returncode == 3
    assert "novelty" in refused.stderr
    assert "made version 1" in refused.stderr
    assert len(up.json("runs")) == 1

    why = up.json("why-rerun", "digits", "-p", "epochs=4")
    assert why["would_run"] == []
    assert up.json("why-rerun", "digits", "-p", "epochs=5")["would_run"][0] == "train"

    reused = up("submit", "train-model", "-p", "application=digits", "-p", "epochs=4", "--wait")
    assert reused.returncode == 0, reused.stderr
    name = reused.stdout.split()[0]
    assert "which is used again" in up("logs", name).stdout
    assert up.environment("staging")["version"] == "1"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_data_that_grow_make_one_event_and_a_killed_arbiter_loses_nothing(
    up: Platform, tmp_path: Path
) -> None:
    port = up.json("status")["ports"]["arbiter"]
    url = f"http://127.0.0.1:{port}"
    folder = tmp_path / "scans"
    pictures(folder, 250)
    detail = {"source": str(folder), "parameters": {"epochs": "1", "train-ip": ""}}
    wrong = web.post(f"{url}/events", json={"kind": "labels", "application": "digits", "detail": detail})
    assert wrong.status_code == 422
    detail = {"source": str(folder), "parameters": {"epochs": "1"}}
    body = {"kind": "labels", "application": "digits", "subject": "x", "detail": detail, "by": "test"}
    assert web.post(f"{url}/events", json=body).status_code == 202
    made = wait_for("a decision", lambda: (d := decisions(up)[0])["events"][0]["kind"] == "labels" and d)
    pid = up.pids()["arbiter"]
    os.kill(pid, signal.SIGKILL)
    wait_for("the end of the arbiter", lambda: start_time(pid) is None)
    assert up.json("up")["started"] == ["arbiter"]
    wait_for("an end", lambda: decisions(up)[0]["outcome"] in ENDS)
    assert sum(one["verdict"] == "retrain" for one in decisions(up)) == 2

    assert web.post(f"{url}/look?application=digits", timeout=60).json() == {"events": []}
    pictures(folder, 300)
    watched = up("submit", "watch-applications", "-p", "application=digits", "--wait")
    assert watched.returncode == 0, watched.stderr
    grown = wait_for("an event", lambda: [one for one in up.json("decisions", "digits")
                                          if one["events"] and one["events"][0]["kind"] == "data"])  # fmt: skip
    assert grown[0]["id"] != made["id"]
    shutil.rmtree(folder)
