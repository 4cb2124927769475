"""Seconds from a commit to the new model answering, and requests that failed meanwhile.

`python -m tests.bench.bench_deploy [--rounds N]`
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

from tests.support.bundles import digit_png
from tests.support.gitops import REPOSITORY, Remote
from workflows.local import platform
from workflows.local.settings import PlatformSettings

_BOUND_SECONDS = 30.0


def measure(rounds: int, clients: int) -> list[float]:
    """Seconds of each replacement after the first release, under load."""
    with tempfile.TemporaryDirectory(prefix="rookery-bench-") as folder:
        remote = Remote(Path(folder) / "home")
        images = [remote.build(version) for version in range(1, rounds + 2)]
        env = os.environ | {"ROOKERY_HOME": str(remote.home), "PYTHONPATH": str(REPOSITORY)}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        with (remote.home / "deployer.log").open("wb") as log:
            deployer = subprocess.Popen(
                [sys.executable, "-m", "workflows.local.deployer"], env=env, cwd=remote.home, stderr=log
            )
        load = Load(remote.url(), clients)
        try:
            _release(remote, 1, *images[0])
            load.start()
            found = [_release(remote, at, *image) for at, image in enumerate(images[1:], 2)]
        finally:
            load.stop()
            deployer.terminate()
            deployer.wait()
            platform.down(PlatformSettings(home=remote.home), lambda *_: None)
    print(f"{load.answered} requests answered meanwhile by {clients} clients, {len(load.failures)} failed")
    return found


class Load:
    """Clients that predict without a pause."""

    def __init__(self, url: str, clients: int) -> None:
        self._url, self._ending = url, threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]
        self.answered = 0
        self.failures: list[str] = []

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ending.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _run(self) -> None:
        with httpx.Client(timeout=20, trust_env=False) as client:
            while not self._ending.is_set():
                try:
                    client.post(f"{self._url}/predict", content=digit_png(1)).raise_for_status()
                    self.answered += 1
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                time.sleep(0.01)


def _release(remote: Remote, version: int, image: str, bundle: str) -> float:
    remote.release(version, image, bundle)
    committed = time.monotonic()
    while time.monotonic() - committed < _BOUND_SECONDS:
        try:
            answer = httpx.get(f"{remote.url()}/version", timeout=5, trust_env=False).json()
            if answer["image_digest"] == image:
                return time.monotonic() - committed
        except httpx.HTTPError:
            pass
        time.sleep(0.01)
    raise SystemExit(f"version {version} was not served within {_BOUND_SECONDS:g} s")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=2)
    options = parser.parse_args()
    seconds = measure(options.rounds, options.clients)
    print(f"commit to serving, {len(seconds)} replacements under load (aim: at most 3 s)")
    print(f"median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s")


if __name__ == "__main__":
    main()
