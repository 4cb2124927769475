"""Promotions on a bad day: a step killed at its push, twelve at once, a registry that dies. In this order."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.common.mlflow_rest import MlflowClient
from tests.support import web
from tests.support.gitops import git
from tests.support.platform import Platform, running_platform
from workflows.local.pids import start_time
from workflows.local.runs import Run, get_run

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

FILE = Path(__file__).parent / "release-version.yaml"
AT_ONCE = 12
# Holds the first push up until it is let go, in the receiving git, where no step can reach.
HOOK = """#!/bin/sh
[ -e "{held}" ] && exit 0
echo $$ > "{held}.new"
mv "{held}.new" "{held}"
for _ in $(seq 3000); do
  [ -e "{go}" ] && exit 0
  sleep 0.1
done
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("promotions")) as running:
        done = running("submit", "train-model", "-p", "application=digits", "-p", "epochs=4", "--wait")
        assert done.returncode == 0, done.stdout + done.stderr
        yield running


class HeldPush:
    """The next push to the remote, held in one of the hooks of the receiving side."""

    def __init__(self, remote: Path, hook: str, folder: Path) -> None:
        self._held, self._go = folder / "held", folder / "go"
        self._hook = remote / "hooks" / hook
        self._hook.parent.mkdir(exist_ok=True)
        self._hook.write_text(HOOK.format(held=self._held, go=self._go))
        self._hook.chmod(0o755)

    def wait(self) -> None:
        """Until there is one."""
        _until(self._held.exists)

    def let_go(self) -> None:
        """Let it go on, and wait until the receiving git has ended."""
        hook = int(self._held.read_text())
        receiving = int(Path(f"/proc/{hook}/stat").read_text().rpartition(")")[2].split()[1])
        self._go.touch()
        _until(lambda: start_time(receiving) is None)
        self._hook.unlink()


@pytest.mark.parametrize(
    ("hook", "source", "target", "arrived"),
    [("pre-receive", "staging", "canary", False), ("post-receive", "canary", "production", True)],
)
def test_a_step_that_is_killed_at_its_push_promotes_once(
    platform: Platform, tmp_path: Path, hook: str, source: str, target: str, arrived: bool
) -> None:
    before = _commits(platform)
    push = HeldPush(platform.gitops, hook, tmp_path)
    name = _submit(platform, source, target, "1")
    push.wait()
    assert _commits(platform) == before + arrived
    os.kill(_pid_of_step(platform, name, "commit(0)"), signal.SIGKILL)
    run = _ended(platform, name)
    # The push of the step that was killed is still under way, and comes too late.
    push.let_go()
    assert run.phase == "Succeeded", run.message
    tries = [node.phase for node in run.nodes if node.name.rpartition(".")[2].startswith("commit(")]
    assert tries == ["Failed", "Succeeded"]
    assert _commits(platform) == before + 1
    assert [step["action"] for step in platform.json("history", target)] == ["promote", "by-hand"]
    assert platform("verify", target).returncode == 0


def test_twelve_promotions_of_one_version_at_once_are_one_commit(platform: Platform) -> None:
    version = _release_again(platform)
    before = _commits(platform)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        names = list(pool.map(lambda _: _submit(platform, "staging", "canary", version), range(AT_ONCE)))
    assert len(set(names)) == AT_ONCE
    runs = [_ended(platform, name) for name in names]
    assert [run.phase for run in runs] == ["Succeeded"] * AT_ONCE, [run.message for run in runs]
    assert _commits(platform) == before + 1
    assert git(platform.gitops, "rev-list", "--merges", "--count", "main") == "0"
    assert git(platform.gitops, "fsck", "--strict", "--no-dangling") == ""
    canary = platform.environment("canary")
    assert (canary["version"], canary["phase"], canary["drift"]) == (version, "running", "")
    assert web.get(f"{canary['url']}/readyz", timeout=30).status_code == 200


def test_a_registry_that_is_killed_and_comes_back_delays_a_promotion(platform: Platform) -> None:
    before = _commits(platform)
    mlflow = platform.pids()["mlflow"]
    name = _submit(platform, "canary", "production", platform.environment("canary")["version"])
    os.killpg(mlflow, signal.SIGKILL)
    time.sleep(3)
    assert not get_run(platform.home, name).done
    done = platform("up", "--json")
    assert done.returncode == 0, done.stderr
    run = _ended(platform, name)
    assert run.phase == "Succeeded", run.message
    assert _commits(platform) == before + 1
    assert platform("verify", "production").returncode == 0


def _submit(platform: Platform, source: str, target: str, version: str) -> str:
    given = {"source-environment": source, "target-environment": target, "model-version": version}
    places = [part for item in given.items() for part in ("-p", "=".join(item))]
    return str(platform.json("submit", "promote-model", *places)["name"])


def _release_again(platform: Platform) -> str:
    """The model of version 1 as a new version in staging, without another training."""
    with MlflowClient(f"http://127.0.0.1:{platform.json('status')['ports']['mlflow']}") as client:
        first = client.version("digits", "1")
        version = client.create_version("digits", first["source"], first["run_id"], first["tags"])
    done = platform("submit", "--file", str(FILE), "-p", f"model-version={version}", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    return version


def _pid_of_step(platform: Platform, name: str, step: str) -> int:
    node = next(one for one in get_run(platform.home, name).nodes if one.name.endswith(f".{step}"))
    child = platform.home / "runs" / name / "nodes" / node.id / str(node.attempt) / "child.json"
    return int(json.loads(child.read_bytes())["pid"])


def _ended(platform: Platform, name: str) -> Run:
    _until(lambda: get_run(platform.home, name).done)
    return get_run(platform.home, name)


def _until(reached: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _commits(platform: Platform) -> int:
    return int(git(platform.gitops, "rev-list", "--count", "main"))
