"""Keeps the listening sockets of the environments in a process of its own, and hands them to any deployer.

A socket that is bound once and shared by descriptor has one queue of connections, whichever serving process
accepts from it; so neither a new release nor the death of a deployer loses a connection.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.common.errors import Conflict, RookeryError, Unavailable
from workflows.local.processes import spawn_detached, write_pid_file
from workflows.local.settings import REPOSITORY

_BACKLOG = 1024
_START_SECONDS = 10.0
_LINE = 4096


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A listening socket.

    Args:
        host: an IPv4 address.
        port: 1..65535; 0 takes a free one.
        shared: another socket of ours listens on the port already and shall be joined.

    Raises:
        Conflict: somebody else has the port.
    """
    try:
        if not shared:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Conflict(f"port {port} of {host} is taken by another process") from error
        raise Unavailable(f"port {port} of {host} cannot be opened: {error.strerror}") from error
    return listener


def address(home: Path) -> Path:
    """Where the keeper of a home listens: a short path, as a Unix socket's name has 107 bytes at most."""
    name = hashlib.sha256(str(home.absolute()).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"rookery-{os.getuid()}-{name}" / "sockets"


class Keeper:
    """The process that holds the sockets.

    Args:
        home: the platform's state folder; one keeper each.
    """

    def __init__(self, home: Path) -> None:
        self._path = address(home)
        self._held: dict[tuple[str, int], socket.socket] = {}

    def serve(self) -> None:
        """Answers requests until the process is ended."""
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        _check_own(self._path.parent)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
            door.bind(str(self._path))
            door.listen()
            while True:
                guest, _ = door.accept()
                with guest, contextlib.suppress(OSError, ValueError, KeyError):
                    guest.settimeout(_START_SECONDS)
                    self._answer(guest)

    def _answer(self, guest: socket.socket) -> None:
        data, descriptors, _, _ = socket.recv_fds(guest, _LINE, 1)
        request: dict[str, Any] = json.loads(data)
        key = (str(request["host"]), int(request["port"]))
        if descriptors:
            self._replace(key, socket.socket(fileno=descriptors[0]))
        if request["action"] == "close":
            self._replace(key, None)
            guest.send(b"{}")
            return
        try:
            if key not in self._held:
                self._held[key] = bind(*key, shared=bool(request["shared"]))
        except RookeryError as error:
            guest.send(json.dumps({"error": error.message}).encode())
            return
        socket.send_fds(guest, [b"{}"], [self._held[key].fileno()])

    def _replace(self, key: tuple[str, int], listener: socket.socket | None) -> None:
        former = self._held.pop(key, None)
        if former is not None:
            former.close()
        if listener is not None:
            self._held[key] = listener


class Sockets:
    """A deployer's side: asks the keeper, starts one if there is none and gives it what it holds itself."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._path = address(home)
        self._mine: dict[tuple[str, int], socket.socket] = {}

    def get(self, host: str, port: int, *, shared: bool = False) -> socket.socket:
        """The listening socket of a port; `shared` when a serving process of ours listens there already.

        Raises:
            Conflict: somebody else has the port.
            Unavailable: no keeper can be started.
        """
        key = (host, port)
        if key not in self._mine:
            with self._ask("open", key, shared=shared) as (reply, descriptors):
                if "error" in reply or not descriptors:
                    raise Conflict(str(reply.get("error", "the keeper handed out no socket")))
                self._mine[key] = socket.socket(fileno=descriptors[0])
        return self._mine[key]

    def close(self, host: str, port: int) -> None:
        """Closes the port, so that clients are refused at once instead of waiting."""
        mine = self._mine.pop((host, port), None)
        if mine is not None:
            mine.close()
            with self._ask("close", (host, port)):
                pass

    @contextlib.contextmanager
    def _ask(
        self, action: str, key: tuple[str, int], *, shared: bool = False
    ) -> Iterator[tuple[dict[str, Any], list[int]]]:
        request = {"action": action, "host": key[0], "port": key[1], "shared": shared}
        with self._connect() as line:
            line.send(json.dumps(request).encode())
            data, descriptors, _, _ = socket.recv_fds(line, _LINE, 1)
            yield json.loads(data or b"{}"), descriptors

    def _connect(self) -> socket.socket:
        try:
            return _dial(self._path)
        except OSError:
            ensure_keeper(self._home)
        for (host, port), listener in self._mine.items():
            request = {"action": "open", "host": host, "port": port, "shared": True}
            with _dial(self._path) as giving:
                socket.send_fds(giving, [json.dumps(request).encode()], [listener.fileno()])
                _, returned, _, _ = socket.recv_fds(giving, _LINE, 1)
            for descriptor in returned:
                os.close(descriptor)
        return _dial(self._path)


def ensure_keeper(home: Path) -> None:
    """Starts the keeper of a home, unless another thread or process was faster, and waits until it answers.

    Raises:
        Unavailable: it does not answer within ten seconds.
    """
    (home / "pids").mkdir(parents=True, exist_ok=True)
    with (home / "pids" / ".sockets.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            _dial(address(home)).close()
        except OSError:
            _start_keeper(home)


def _start_keeper(home: Path) -> None:
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(REPOSITORY)}
    process = spawn_detached(
        [sys.executable, "-m", "workflows.local.sockets", str(home)],
        log=home / "logs" / "sockets.log",
        env=environment,
        cwd=home,
    )
    write_pid_file(home / "pids" / "sockets.json", process)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            _dial(address(home)).close()
            return
        time.sleep(0.01)
    raise Unavailable(f"the keeper of the sockets did not start; see {home / 'logs' / 'sockets.log'}")


def _check_own(folder: Path) -> None:
    """Pass when nobody else can put a socket into the folder, which lies where everybody may write.

    Raises:
        Conflict: it is somebody else's, a link, or open to others.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise Conflict(f"{folder} is not this user's alone, so no sockets are taken from there")


def _dial(path: Path) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        _check_own(path.parent)
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        line.settimeout(_START_SECONDS)
        line.connect(str(path))
    except OSError:
        line.close()
        raise
    return line


if __name__ == "__main__":
    Keeper(Path(sys.argv[1])).serve()
