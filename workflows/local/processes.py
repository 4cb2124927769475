"""Processes that outlive the command that started them: safe pid files and bounded stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from services.common.files import write_json
from workflows.local import bound
from workflows.local.pids import session_members, start_time

_STEP = 0.02
_MARK = "_ROOKERY_PROCESS"


@dataclass(frozen=True)
class Process:
    """A process and the moment it started: both together are never reused by the kernel."""

    pid: int
    start_time: str

    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return start_time(self.pid) == self.start_time

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Sends a signal to the process, or to its whole group, if it is still the same one."""
        if not group and not self.alive():
            return
        with suppress(ProcessLookupError):
            if group:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)


def spawn(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str],
    cwd: Path,
    pass_fds: Iterable[int] = (),
) -> tuple[Process, subprocess.Popen[bytes]]:
    """Starts a command in a session of its own, its output appended to `log`, its input empty."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=dict(env),
            pass_fds=tuple(pass_fds),
            start_new_session=True,
        )
    return Process(child.pid, start_time(child.pid) or "gone"), child


def spawn_bound(
    argv: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path
) -> tuple[Process, subprocess.Popen[bytes]]:
    """As `spawn`, for a process that gets SIGTERM when this one dies, be it by SIGKILL. Call it in the main thread:
    the kernel ends it with the thread that started it."""
    return spawn([sys.executable, "-IS", bound.__file__, str(os.getpid()), *argv], log=log, env=env, cwd=cwd)


def spawn_detached(
    argv: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path, mark: str = ""
) -> Process:
    """As `spawn`, for a process that outlives this one; nobody waits for it but by its pid.

    Args:
        mark: a random word by which `leftovers` knows the children of this very process; empty: none.
    """
    process, child = spawn(argv, log=log, env={**env, _MARK: mark} if mark else env, cwd=cwd)
    # Popen warns about a child that it believes to be forgotten.
    child.returncode = 0
    return process


def stop(processes: Iterable[Process], seconds: float) -> list[Process]:
    """SIGTERM to all, a bounded wait, then SIGKILL to the groups that are left.

    Returns those that had to be killed. Children that a process left behind in its group are ended too.
    """
    running = [process for process in processes if process.alive()]
    for process in running:
        process.signal(signal.SIGTERM)
    left = wait_gone(running, seconds)
    for process in running:
        if owns_group(process.pid):
            process.signal(signal.SIGKILL, group=True)
        else:
            process.signal(signal.SIGKILL)
    wait_gone(left, seconds)
    return left


def leftovers(process: Process, mark: str) -> list[Process]:
    """What a process that was killed left behind in its session, known by the mark of its start.

    The session alone proves nothing, as its number is free again once all of its members are gone.
    """
    if not mark or start_time(process.pid) is not None:
        return []
    found = []
    for pid in session_members(process.pid):
        started = start_time(pid)
        if started is not None and f"{_MARK}={mark}".encode() in _environ(pid):
            found.append(Process(pid, started))
    return found


def _environ(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def owns_group(pid: int) -> bool:
    """Whether a process group of this number is left over, so that its members were started by us."""
    try:
        os.killpg(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return pid != os.getpgrp()


def wait_gone(processes: Iterable[Process], seconds: float) -> list[Process]:
    """Waits until all are gone, at most `seconds`; returns those that are not."""
    deadline = time.monotonic() + seconds
    left = list(processes)
    while left and time.monotonic() < deadline:
        _reap(left)
        left = [process for process in left if process.alive()]
        if left:
            time.sleep(_STEP)
    return left


def _reap(processes: Iterable[Process]) -> None:
    for process in processes:
        with suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)


def write_pid_file(path: Path, process: Process, **facts: object) -> None:
    """Writes pid, start time and facts (port, command) atomically."""
    write_json(path, {**asdict(process), **facts})


def read_pid_file(path: Path) -> tuple[Process, dict[str, object]] | None:
    """The process that a pid file names, with the facts; None when there is no readable file."""
    facts = read_json(path)
    pid = facts.pop("pid", None)
    if not isinstance(pid, int):
        return None
    return Process(pid, str(facts.pop("start_time", ""))), facts


def read_json(path: Path) -> dict[str, object]:
    """A JSON object from a file; empty when it is missing or no object."""
    try:
        value = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return {}
    return value if isinstance(value, dict) else {}
