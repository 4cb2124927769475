"""The deployer with real serving processes: replacement, refusal, crash, takeover."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import web
from tests.support.bundles import digit_png
from tests.support.gitops import REPOSITORY, Remote
from workflows.local import platform
from workflows.local.processes import read_json
from workflows.local.settings import PlatformSettings

pytestmark = pytest.mark.slow


class Deployed:
    """A remote with a deployer that follows it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.remote = Remote(home)
        self.settings = PlatformSettings(home=home)
        self.deployer: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        env = os.environ | {
            "ROOKERY_HOME": str(self.home),
            "ROOKERY_DEPLOY_BACKOFF_SECONDS": "0.2",
            "ROOKERY_DEPLOY_START_SECONDS": "180",
            "PYTHONPATH": str(REPOSITORY),
            "OMP_NUM_THREADS": "1",
        }
        with (self.home / "deployer.log").open("ab") as log:
            self.deployer = subprocess.Popen(
                [sys.executable, "-m", "workflows.local.deployer"], env=env, cwd=self.home, stderr=log
            )

    def kill(self) -> None:
        assert self.deployer is not None
        self.deployer.kill()
        self.deployer.wait()

    def stop(self) -> None:
        if self.deployer is not None and self.deployer.poll() is None:
            self.deployer.terminate()
            assert self.deployer.wait(90) == 0
        platform.down(self.settings, lambda *_: None)

    def status(self) -> dict[str, Any]:
        return read_json(self.home / "deploy" / "digits" / "staging" / "status.json")

    def release(self, version: int) -> str:
        image, bundle = self.remote.build(version)
        self.remote.release(version, image, bundle)
        return image

    def is_closed(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.remote.ports["staging"])) != 0

    def memory(self) -> str:
        answer = web.get(f"{self.remote.url()}/version", timeout=30)
        return str(answer.json()["image_digest"])

    def until(self, what: Callable[[], bool], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, (self.status(), (self.home / "deployer.log").read_text())
            time.sleep(0.02)

    def until_failed(self) -> dict[str, Any]:
        """The status as it was then; the next try writes another one."""
        found: dict[str, Any] = {}

        def failed() -> bool:
            found.update(self.status())
            return found["phase"] == "failed"

        self.until(failed)
        return found

    def until_running(self, image: str) -> None:
        self.until(lambda: self.status().get("running") == image and self.status()["phase"] == "running")
        # The predecessor accepts from the same queue until it has seen its SIGTERM.
        self.until(lambda: self.memory() == image, seconds=60)


class Clients:
    """Threads that predict without a pause, each on new connections and on a kept one, and count what fails."""

    def __init__(self, url: str, count: int = 4) -> None:
        self.url, self.ending = url, threading.Event()
        self.answers: list[str] = []
        self.failures: list[str] = []
        self.threads = [threading.Thread(target=self._run, args=(index % 2 == 0,)) for index in range(count)]

    def _run(self, keep: bool) -> None:
        kept = httpx.Client(timeout=90, trust_env=False)
        with kept:
            while not self.ending.is_set():
                try:
                    ask = kept.post if keep else lambda *a, **k: web.post(*a, **k, timeout=90)
                    answer = ask(f"{self.url}/predict", content=digit_png(1))
                    answer.raise_for_status()
                    self.answers.append(answer.json()["bundle_digest"])
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))

    def __enter__(self) -> Clients:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Deployed]:
    made = Deployed(tmp_path / "home")
    made.start()
    yield made
    made.stop()


def test_replacements_fail_no_request(deployed: Deployed) -> None:
    first = deployed.release(1)
    deployed.until_running(first)
    with Clients(deployed.remote.url()) as clients:
        for version in (2, 3, 4):
            deployed.until(lambda n=version: len(set(clients.answers)) == n - 1)  # type: ignore[misc]
            deployed.until_running(deployed.release(version))
        time.sleep(1)
    assert clients.failures == []
    assert len(set(clients.answers)) == 4
    deployed.until(lambda: len(list((deployed.home / "deploy/digits/staging").glob("[0-9a-f]*"))) == 1)


def test_a_killed_deployer_costs_no_request_and_the_next_one_takes_over(deployed: Deployed) -> None:
    first = deployed.release(1)
    deployed.until_running(first)
    pid = deployed.status()["pid"]
    with Clients(deployed.remote.url()) as clients:
        deployed.kill()
        second = deployed.release(2)
        time.sleep(0.5)
        assert deployed.memory() == first
        deployed.start()
        deployed.until_running(second)
        time.sleep(1)
    assert clients.failures == []
    assert deployed.status()["pid"] != pid
    deployed.until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text())


def test_a_takeover_without_news_leaves_the_process_as_it_is(deployed: Deployed) -> None:
    image = deployed.release(1)
    deployed.until_running(image)
    pid = deployed.status()["pid"]
    deployed.kill()
    (deployed.home / "deploy/digits/staging/status.json").unlink()
    deployed.start()
    deployed.until_running(image)
    assert deployed.status()["pid"] == pid


def test_a_crashed_process_is_started_again(deployed: Deployed) -> None:
    image = deployed.release(1)
    deployed.until_running(image)
    pid = deployed.status()["pid"]
    os.kill(pid, signal.SIGKILL)
    deployed.until(
        lambda: deployed.status()["pid"] not in (0, pid) and deployed.status()["phase"] == "running"
    )
    assert deployed.memory() == image


def test_an_altered_image_is_refused_and_the_old_one_serves_until_a_good_commit(deployed: Deployed) -> None:
    first = deployed.release(1)
    deployed.until_running(first)
    image, bundle = deployed.remote.build(2)
    layer = deployed.remote.store.manifest(image)["layers"][-1]["digest"].removeprefix("sha256:")
    blob = deployed.home / "images" / "blobs" / "sha256" / layer
    data = bytearray(blob.read_bytes())
    data[-2000] ^= 1
    blob.chmod(0o600)
    blob.write_bytes(data)
    deployed.remote.release(2, image, bundle)
    status = deployed.until_failed()
    assert status["running"] == first
    assert status["desired"] == image
    assert layer[:12] in str(status["reason"])
    assert deployed.memory() == first
    deployed.until_running(deployed.release(3))


def test_a_release_that_cannot_start_says_why_and_is_tried_with_longer_pauses(deployed: Deployed) -> None:
    first = deployed.release(1)
    deployed.until_running(first)
    image, _ = deployed.remote.build(2)
    deployed.remote.release(2, image, "sha256:" + "e" * 64)
    reason = str(deployed.until_failed()["reason"])
    assert "not the one that was promised" in reason
    assert deployed.memory() == first
    log = deployed.home / "logs" / "serve-digits-staging.log"
    deployed.until(lambda: log.read_text().count("not the one that was promised") >= 2)


def test_an_emptied_environment_refuses_connections(deployed: Deployed) -> None:
    from workflows.release.component import EMPTY, component_path
    from workflows.release.gitops import Message
    from workflows.release.tree import Tree

    deployed.until_running(deployed.release(1))

    def empty(tree: Tree) -> Message:
        tree.write(component_path("digits", "staging"), EMPTY)
        return Message("Empty", {"Action": "test"})

    deployed.remote.gitops.commit(empty)
    deployed.until(lambda: deployed.status()["phase"] == "empty")
    deployed.until(deployed.is_closed)


def test_only_one_deployer_follows_a_remote(deployed: Deployed) -> None:
    deployed.until((deployed.home / "deploy" / "ready").exists)
    env = os.environ | {"ROOKERY_HOME": str(deployed.home), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-m", "workflows.local.deployer"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "another deployer" in done.stderr
