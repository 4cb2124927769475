"""The tiny process above each step: it outlives the engine, so that a step's end is never lost.

A step's folder holds `spec.json` (what to run), `claim` (who may run it), `child.json` (the process, to kill it by),
`main.log` (both streams as they came), `stdout.log` and `stderr.log` (each alone), and at last `exit.json`, written
atomically. The supervisor takes the lock before the claim and keeps it until the end: a claim without a lock and
without `exit.json` means that the step was lost with its supervisor. Logs are bounded; what is over the bound is
counted.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import runpy
import selectors
import signal
import sys
import threading
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from services.common.files import write_json
from workflows.local.pids import start_time

LOG_LIMIT = 16 << 20
RESULT_LIMIT = 256 << 10
GRACE_SECONDS = 10.0
NOT_STARTED = 64
_CHUNK = 1 << 16
_DRAIN_SECONDS = 1.0
_HANDLED = frozenset({signal.SIGTERM, signal.SIGCHLD})


@dataclass(frozen=True)
class StepSpec:
    """What a step runs. `deadline` is in seconds since the epoch; `runner` asks for the warm interpreter."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    deadline: float | None = None
    runner: bool = False
    grace_seconds: float = GRACE_SECONDS
    log_limit: int = LOG_LIMIT

    def save(self, folder: Path) -> None:
        """Writes `spec.json`."""
        write_json(folder / "spec.json", asdict(self))

    @classmethod
    def load(cls, folder: Path) -> StepSpec:
        """Reads `spec.json`."""
        return cls(**json.loads((folder / "spec.json").read_bytes()))


def supervise(folder: Path) -> None:
    """Runs the step of a folder, unless somebody else has claimed it, and writes how it ended."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        claim = os.open(folder / "claim", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    os.write(claim, f"{os.getpid()} {start_time(os.getpid())}".encode())
    os.close(claim)
    write_json(folder / "exit.json", _Supervision(folder, StepSpec.load(folder), lock).run())


@dataclass
class _Stream:
    """One of the step's streams on its way into the logs."""

    source: int
    file: int
    limit: int
    written: int = 0
    dropped: int = 0

    def pass_on(self, main: _Stream | None) -> bool:
        """Moves what there is; False at the end of the stream."""
        try:
            data = os.read(self.source, _CHUNK)
        except BlockingIOError:
            return True
        for target in (self, main):
            if target is not None:
                target.write(data)
        return bool(data)

    def write(self, data: bytes) -> None:
        """Appends up to the limit. A full disk costs the log, never the step."""
        part = data[: max(0, self.limit - self.written)]
        try:
            count = os.write(self.file, part) if part else 0
        except OSError:
            count = 0
        self.written += count
        self.dropped += len(data) - count


@dataclass
class _Supervision:
    folder: Path
    spec: StepSpec
    lock: int
    stopping: bool = False
    child: int = 0
    status: int | None = None
    reason: str | None = None
    kill_at: float | None = None
    streams: list[_Stream] = field(default_factory=list)

    def run(self) -> dict[str, Any]:
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._stop)
        main = _Stream(-1, self._open("main.log"), self.spec.log_limit)
        self._spawn()
        with selectors.DefaultSelector() as selector:
            selector.register(wake_read, selectors.EVENT_READ)
            for stream in self.streams:
                selector.register(stream.source, selectors.EVENT_READ, stream)
            while self.status is None:
                for key, _ in selector.select(self._wait()):
                    if key.data is None:
                        with contextlib.suppress(BlockingIOError):
                            os.read(wake_read, _CHUNK)
                    elif not key.data.pass_on(main):
                        selector.unregister(key.fd)
                self._reap()
                self._enforce()
            self._kill(signal.SIGKILL)
            self._drain(selector, main)
        if main.dropped:
            note = f"\n[{main.dropped} bytes over the limit of {self.spec.log_limit} were left out]\n"
            os.write(main.file, note.encode())
        code = self.status if self.status >= 0 else 128 - self.status
        return {"code": code, "reason": self.reason, "finished": time.time(), "dropped": main.dropped}

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _open(self, name: str) -> int:
        return os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def _spawn(self) -> None:
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        err_read, err_write = os.pipe2(os.O_CLOEXEC)
        go_read, go_write = os.pipe2(os.O_CLOEXEC)
        self.streams = [
            _Stream(out_read, self._open("stdout.log"), RESULT_LIMIT),
            _Stream(err_read, self._open("stderr.log"), RESULT_LIMIT),
        ]
        # A signal that meets the child before it has let go of the supervisor's handlers has to wait, not to be lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        self.child = os.fork()
        if self.child == 0:
            os.close(go_write)
            _become(self.spec, self.lock, go_read, out_write, err_write)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        for descriptor in (out_write, err_write, go_read):
            os.close(descriptor)
        for stream in self.streams:
            os.set_blocking(stream.source, False)
        with contextlib.suppress(OSError):
            os.setpgid(self.child, self.child)
        write_json(self.folder / "child.json", {"pid": self.child, "start": start_time(self.child)})
        with contextlib.suppress(BrokenPipeError):
            os.write(go_write, b"g")
        os.close(go_write)

    def _wait(self) -> float | None:
        moments = [
            m for m in (self.kill_at, self.spec.deadline if self.reason is None else None) if m is not None
        ]
        return max(0.0, min(moments) - time.time()) if moments else None

    def _reap(self) -> None:
        pid, status = os.waitpid(self.child, os.WNOHANG)
        if pid:
            self.status = os.waitstatus_to_exitcode(status)

    def _enforce(self) -> None:
        if self.status is not None:
            return
        now = time.time()
        if self.reason is None:
            late = self.spec.deadline is not None and now >= self.spec.deadline
            if late or self.stopping:
                self.reason = "stopped" if self.stopping else "deadline"
                self.kill_at = now + self.spec.grace_seconds
                self._kill(signal.SIGTERM)
        elif self.kill_at is not None and now >= self.kill_at:
            self.kill_at = now + 1
            self._kill(signal.SIGKILL)

    def _kill(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.child, number)

    def _drain(self, selector: selectors.BaseSelector, main: _Stream) -> None:
        """What was written before the end, without waiting for a stranger who holds the pipe open."""
        until = time.monotonic() + _DRAIN_SECONDS
        waiting = [key.data for key in selector.get_map().values() if key.data is not None]
        while waiting and time.monotonic() < until:
            with contextlib.suppress(BlockingIOError):
                waiting = [stream for stream in waiting if _drain_once(stream, main)]


def _drain_once(stream: _Stream, main: _Stream) -> bool:
    data = b"x"
    while data:
        try:
            data = os.read(stream.source, _CHUNK)
        except BlockingIOError:
            return False
        stream.write(data)
        main.write(data)
    return False


def _become(spec: StepSpec, lock: int, go: int, out: int, err: int) -> NoReturn:
    """Turns the forked child into the step. Never returns to the supervisor's code."""
    try:
        os.setpgid(0, 0)
        if os.read(go, 1) != b"g":
            os._exit(NOT_STARTED)
        os.close(lock)
        os.close(go)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (out, 1), (err, 2)):
            os.dup2(source, target)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        os.chdir(spec.cwd)
        if not spec.runner:
            try:
                os.execvpe(spec.argv[0], spec.argv, spec.env)  # noqa: S606 - the very point: no shell
            except (OSError, ValueError) as error:
                os.write(2, f"cannot start {spec.argv[0]!r}: {error}\n".encode())
                os._exit(NOT_STARTED)
        os._exit(_run_module(spec))
    except BaseException:
        traceback.print_exc()
        os._exit(NOT_STARTED)


def _run_module(spec: StepSpec) -> int:
    """`python -m MODULE …` in this already warm interpreter; returns its exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.environ.clear()
    os.environ.update(spec.env)
    sys.argv = ["-m", *spec.argv[3:]]
    sys.path[0] = spec.cwd
    time.tzset()
    code = 0
    try:
        runpy.run_module(spec.argv[2], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = _exit_code(end)
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(Exception):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    return code


def _exit_code(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    sys.stderr.write(f"{end.code}\n")
    return 1
