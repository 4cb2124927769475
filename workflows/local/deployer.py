"""Follows the tip of the GitOps remote and brings every environment of this machine to it.

It keeps nothing in memory that it needs: after its death the serving processes go on, and the next takes over.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.common.errors import Conflict, RookeryError
from workflows.local.desired import read_desired, read_tip
from workflows.local.environments import Environment
from workflows.local.policies import write_policies
from workflows.local.settings import PlatformSettings, load_settings

_log = logging.getLogger(__name__)


class Deployer:
    """The loop over all environments."""

    def __init__(self, settings: PlatformSettings) -> None:
        self._settings = settings
        self._environments: dict[tuple[str, str], Environment] = {}
        self._ending = threading.Event()
        self._seen: tuple[str, float] | None = None

    def end(self) -> None:
        """Ends the loop; the serving processes stay."""
        self._ending.set()

    def run(self) -> None:
        """Follows the remote until told to end."""
        said = ""
        while not self._ending.is_set():
            problem = ""
            try:
                self._look()
            except (RookeryError, OSError) as error:
                problem = str(error)
            if problem and problem != said:
                _log.error("the GitOps remote cannot be read: %s", problem)
            said = problem
            self._ending.wait(self._settings.deploy_poll_seconds)
        for environment in self._environments.values():
            environment.end()
        for environment in self._environments.values():
            environment.join(self._settings.stop_seconds)

    def _look(self) -> None:
        now = (read_tip(self._settings.gitops), _modified(self._settings.deploy / "nudge"))
        if now == self._seen:
            return
        desired = read_desired(self._settings.gitops, now[0])
        write_policies(self._settings, now[0])
        for key in self._environments.keys() | desired.keys() | self._left_over():
            wish = desired.get(key)
            environment = self._environments.get(key) or self._add(key)
            if isinstance(wish, RookeryError):
                environment.want(None, str(wish))
            else:
                environment.want(wish)
        self._seen = now

    def _left_over(self) -> set[tuple[str, str]]:
        """Environments that a former deployer started, so that what git has no more is stopped."""
        records = self._settings.deploy.glob("*/*/processes.json")
        return {(path.parent.parent.name, path.parent.name) for path in records}

    def _add(self, key: tuple[str, str]) -> Environment:
        folder = self._settings.deploy / key[0] / key[1]
        folder.mkdir(parents=True, exist_ok=True)
        environment = Environment(self._settings, folder)
        self._environments[key] = environment
        environment.start()
        return environment


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


@contextmanager
def _alone(settings: PlatformSettings) -> Iterator[None]:
    settings.deploy.mkdir(parents=True, exist_ok=True)
    with (settings.deploy / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(f"another deployer follows {settings.gitops}") from error
        yield


def main() -> int:
    """Runs the deployer of ROOKERY_HOME until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = load_settings()
        with _alone(settings):
            deployer = Deployer(settings)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: deployer.end())
            (settings.deploy / "ready").write_text(str(os.getpid()))
            deployer.run()
    except RookeryError as error:
        _log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
