"""Real servers for tests: each on a port of its own, with its state in a temporary folder."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import httpx

from tests.support import web

# Below those that the kernel gives to whoever names none, any client of any process among them.
_PORTS = range(20_000, 30_000)
_taken: list[IO[str]] = []


def free_port() -> int:
    """A TCP port of the loopback interface that is free now, and that no other process of tests is given."""
    folder = Path(tempfile.gettempdir()) / f"rookery-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        lock = (folder / str(port)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _taken.append(lock)
        return port
    raise AssertionError("no port is free")


class Server:
    """A process that answers HTTP on the loopback interface.

    Args:
        command: argument list.
        log: file for stdout and stderr.
        port: the port that the command was told to use; kept over restarts.
        health: path that answers 200 once it is ready.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        port: int,
        health: str,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.command = list(command)
        self.log = log
        self.port = port
        self.health = health
        self.environment = dict(environment or {})
        self.cwd = cwd
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, *, wait: bool = True, seconds: float = 90) -> Server:
        """Start it and wait until it answers; its log is in the error if it does not."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment},
                cwd=self.cwd,
                start_new_session=True,
            )
        if wait:
            self.wait_ready(seconds)
        return self

    def wait_ready(self, seconds: float = 90) -> None:
        assert self.process is not None
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"{self.command} ended with {self.process.returncode}:\n{self.tail()}")
            try:
                if web.get(self.url + self.health, timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"{self.url}{self.health} did not answer in {seconds:g} s:\n{self.tail()}")

    def tail(self) -> str:
        """The end of the log."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def kill(self) -> None:
        """`kill -9` of this process alone, as on a bad day."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds: float = 30) -> None:
        """End it and what it started in its process group."""
        if self.process is None:
            return
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, sign)
            except ProcessLookupError:
                break
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
        self.process.wait()


def mlflow_server(folder: Path, *, port: int | None = None) -> Server:
    """A real MLflow on SQLite that also serves artifacts, not yet started (it takes some 5 s)."""
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
        *("--artifacts-destination", str(folder / "artifacts")),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        "--serve-artifacts",
    ]
    environment = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    return Server(
        command, log=folder / "mlflow.log", port=port, health="/health", environment=environment, cwd=folder
    )


def train_server(folder: Path, mlflow_url: str, *, port: int | None = None, **settings: object) -> Server:
    """The train service, not yet started; `settings` are fields of TrainSettings."""
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    values: dict[str, object] = {
        "port": port,
        "mlflow_url": mlflow_url,
        "state_dir": folder / "state",
        "cache_dir": folder / "cache",
        "code_revision": "0123456",
        **settings,
    }
    environment = {f"ROOKERY_TRAIN_{name.upper()}": str(value) for name, value in values.items()}
    return Server(
        [sys.executable, "-m", "services.train"],
        log=folder / "train.log",
        port=port,
        health="/readyz",
        environment={**environment, "OMP_NUM_THREADS": "1"},
        cwd=folder,
    )
