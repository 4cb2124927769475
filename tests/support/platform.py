"""A whole platform of its own for a test: real processes on ports of their own, driven by the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.gitops import REPOSITORY, git
from workflows.local import platform
from workflows.local.settings import PlatformSettings


def small_checkout(folder: Path) -> Path:
    """A small git repository with the applications and the serving code of this one."""
    folder.mkdir(parents=True)
    for part in ("k8s/apps", "services"):
        shutil.copytree(REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "requirements").mkdir()
    shutil.copy(REPOSITORY / "requirements" / "serve.lock", folder / "requirements")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "Start")
    return folder


def port_base() -> str:
    """Where this process's platforms have their ports: an environment without a release keeps one that looks free."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return str(10_000 + 1_000 * (worker % 10))


class Platform:
    """A running platform and the command line for it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.settings = PlatformSettings(
            home=self.home, repository=small_checkout(folder / "checkout"), start_seconds=180
        )

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `rookery` with these arguments."""
        env = os.environ | {
            "ROOKERY_HOME": str(self.home),
            "ROOKERY_REPOSITORY": str(self.settings.repository),
            "ROOKERY_START_SECONDS": "180",
            "ROOKERY_PORT_BASE": port_base(),
            "OMP_NUM_THREADS": "1",
            "ROOKERY_CRON": "false",
        }
        command = [sys.executable, "-m", "workflows.cli", *arguments]
        return subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)

    def json(self, *arguments: str) -> Any:
        """What a command writes with --json."""
        return json.loads(self(*arguments, "--json").stdout)

    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {name: process.pid for name, process in platform.running_processes(self.settings).items()}

    def environment(self, name: str, application: str = "digits") -> dict[str, Any]:
        """One environment as `status` has it."""
        found = self.json("status", "--application", application)["environments"]
        return next(dict(one) for one in found if one["environment"] == name)

    @property
    def gitops(self) -> Path:
        return self.home / "gitops.git"


@contextmanager
def running_platform(folder: Path) -> Iterator[Platform]:
    """A platform that is up; it is stopped and its state deleted in the end."""
    made = Platform(folder)
    done = made("up", "--ports", "random", "--json")
    assert done.returncode == 0, done.stderr
    try:
        yield made
    finally:
        made("down", "--purge", "--yes")
