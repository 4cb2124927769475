"""The engine's side of step processes: starting them through the fork server, adopting them, seeing their end."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from services.common.errors import Unavailable
from workflows.local.forkserver import MESSAGE_BYTES
from workflows.local.pids import start_time

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_POLL_SECONDS = 0.05
_MAX_RESTARTS = 10


class Standing(Enum):
    """What became of a step's process."""

    NEVER_STARTED = "never started"
    RUNNING = "running"
    FINISHED = "finished"
    LOST = "lost"


@dataclass(frozen=True)
class Exit:
    """How a step's process ended. `reason`: None, "deadline" or "stopped"."""

    code: int
    reason: str | None
    finished: float


def read_exit(folder: Path) -> Exit | None:
    """How the step of a folder ended, or None while it has not."""
    try:
        data = json.loads((folder / "exit.json").read_bytes())
    except FileNotFoundError:
        return None
    return Exit(int(data["code"]), data["reason"], float(data["finished"]))


def standing(folder: Path) -> Standing:
    """What became of a step after its engine was gone. NEVER_STARTED also keeps it from starting late."""
    if read_exit(folder) is not None:
        return Standing.FINISHED
    folder.mkdir(parents=True, exist_ok=True)
    claim = folder / "claim"
    with contextlib.suppress(FileExistsError):
        os.close(os.open(claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        claim.write_text("void")
        return Standing.NEVER_STARTED
    if claim.read_text() == "void":
        return Standing.NEVER_STARTED
    if not _is_lost(folder):
        return Standing.RUNNING if read_exit(folder) is None else Standing.FINISHED
    return Standing.LOST


def _is_lost(folder: Path) -> bool:
    """Whether the step was claimed, and its supervisor is gone without an `exit.json`."""
    if not (folder / "claim").exists():
        return False
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return read_exit(folder) is None


def kill_leftovers(folder: Path) -> None:
    """Ends the process group of a step whose supervisor is gone, if it is still the same process."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        child = json.loads((folder / "child.json").read_bytes())
        if child["start"] and start_time(int(child["pid"])) == child["start"]:
            os.killpg(int(child["pid"]), signal.SIGKILL)


class Launcher:
    """Starts and follows the processes of one run. Folders identify steps."""

    def __init__(self, cwd: Path, preload: Sequence[str]) -> None:
        self._cwd = cwd
        self._preload = list(preload)
        self._selector = selectors.DefaultSelector()
        self._server: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._requested: set[Path] = set()
        self._running: dict[Path, int | None] = {}
        self._restarts = 0

    def __contains__(self, folder: Path) -> bool:
        return folder in self._requested or folder in self._running

    def __len__(self) -> int:
        return len(self._requested) + len(self._running)

    def warm(self) -> None:
        """Starts the fork server, so that it imports while the engine reads on."""
        if self._socket is not None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT)}
            self._server = subprocess.Popen(
                [sys.executable, "-m", "workflows.local.forkserver", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], cwd=self._cwd, env=environment, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        self._socket = ours
        self._selector.register(ours, selectors.EVENT_READ)
        if self._preload:
            self._send({"preload": self._preload})

    def start(self, folder: Path) -> None:
        """Asks for the step to be run; it may not be claimed by then."""
        self.warm()
        self._requested.add(folder)
        self._send({"start": str(folder)})

    def adopt(self, folder: Path) -> None:
        """Follows a step that an earlier engine started."""
        self._follow(folder, self._supervisor(folder))

    def stop(self, folder: Path) -> bool:
        """Asks the supervisor to end the step: SIGTERM to its group, SIGKILL after the grace period.

        False: there is no supervisor to ask yet.
        """
        pid = self._supervisor(folder)
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        return True

    def _supervisor(self, folder: Path) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            pid, _, started = (folder / "claim").read_text().partition(" ")
            if start_time(int(pid)) == started:
                return int(pid)
        return None

    def poll(self, timeout: float) -> list[Path]:
        """Waits for something to happen, at most `timeout` seconds; the steps whose processes are gone."""
        blind = any(watch is None for watch in self._running.values())
        for key, _ in self._selector.select(min(timeout, _POLL_SECONDS) if blind else timeout):
            if key.fileobj is self._socket:
                self._receive()
        return [folder for folder in list(self._running) if self._ended(folder)]

    def _ended(self, folder: Path) -> bool:
        watch = self._running[folder]
        over = watch is not None and self._is_over(watch)
        if read_exit(folder) is None and not over and not (watch is None and _is_lost(folder)):
            return False
        del self._running[folder]
        if watch is not None:
            self._selector.unregister(watch)
            os.close(watch)
        return True

    @staticmethod
    def _is_over(watch: int) -> bool:
        with selectors.DefaultSelector() as one:
            one.register(watch, selectors.EVENT_READ)
            return bool(one.select(0))

    def _follow(self, folder: Path, pid: int | None) -> None:
        watch = None
        if pid is not None and hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                watch = os.pidfd_open(pid)
                self._selector.register(watch, selectors.EVENT_READ)
        self._running[folder] = watch

    def _send(self, message: dict[str, Any]) -> None:
        assert self._socket is not None
        with contextlib.suppress(ConnectionError):
            self._socket.send(json.dumps(message).encode())

    def _receive(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(MESSAGE_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            self._restart()
            return
        message = json.loads(data)
        self._restarts = 0
        folder = Path(message["folder"])
        self._requested.discard(folder)
        self._follow(folder, int(message["pid"]))

    def _restart(self) -> None:
        """The fork server was killed: a new one is asked again; claims keep a step from running twice.

        Raises:
            Unavailable: it ended many times in a row without having started anything.
        """
        self._restarts += 1
        if self._restarts > _MAX_RESTARTS:
            raise Unavailable("the process that starts the steps ends again and again", value=self._restarts)
        self.close()
        waiting, self._requested = self._requested, set()
        time.sleep(_POLL_SECONDS)
        for folder in waiting:
            if (folder / "claim").exists():
                self.adopt(folder)
            else:
                self.start(folder)

    def close(self) -> None:
        """Lets the fork server go; running steps go on."""
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None
        if self._server is not None:
            self._server.wait(timeout=10)
            self._server = None
