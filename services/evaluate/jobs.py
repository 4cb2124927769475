"""Evaluations in processes of their own, a bounded number at a time and a bounded number waiting."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from services.common.errors import Unavailable
from services.evaluate.files import FAILURE, PHASE, RunFiles
from services.evaluate.settings import EvaluateSettings

_LOG = logging.getLogger("rookery.evaluate")
_STOP_SECONDS = 5.0
_REPOSITORY = Path(__file__).parents[2]


class Jobs:
    """Runs `services.evaluate.worker` for each run asked for; a run that is waiting or at work is not begun twice.

    Args:
        settings: `parallel`, `queue_limit` and `job_seconds` bound it.
        environment: of the worker processes, with the settings of the object store.
    """

    def __init__(self, settings: EvaluateSettings, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._environment = dict(environment)
        self._condition = threading.Condition()
        self._waiting: deque[str] = deque()
        self._working: dict[str, subprocess.Popen[bytes] | None] = {}
        self._broken: dict[str, dict[str, Any]] = {}
        self._closed = False
        self.finished: dict[str, int] = {"answered": 0, "failed": 0}
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(settings.parallel)]
        for thread in self._threads:
            thread.start()

    def submit(self, run_id: str) -> None:
        """Begin an evaluation, or do nothing when it is under way.

        Raises:
            Unavailable: as many are waiting as may wait.
        """
        with self._condition:
            if self._has(run_id):
                return
            if self._closed or len(self._waiting) >= self._settings.queue_limit:
                raise Unavailable(
                    "too many evaluations are waiting",
                    value=len(self._waiting),
                    allowed=f"{self._settings.queue_limit} at a time",
                )
            self._broken.pop(run_id, None)
            RunFiles(self._settings.state_dir, run_id).remove(FAILURE)
            self._waiting.append(run_id)
            self._condition.notify()

    def phase(self, run_id: str) -> str | None:
        """What is being done for a run, or nothing when it is neither waiting nor at work."""
        with self._condition:
            if run_id in self._waiting:
                return "waiting"
            if run_id not in self._working:
                return None
        return (RunFiles(self._settings.state_dir, run_id).read(PHASE) or b"starting").decode()

    def failure(self, run_id: str) -> dict[str, Any] | None:
        """How the last evaluation of a run failed, with `at` in Unix seconds; nothing when it did not."""
        return self._broken.get(run_id) or RunFiles(self._settings.state_dir, run_id).json(FAILURE)

    def counts(self) -> tuple[int, int]:
        """How many are waiting and how many at work."""
        with self._condition:
            return len(self._waiting), len(self._working)

    def close(self) -> None:
        """Stop the processes; what they were doing is begun again when somebody asks."""
        with self._condition:
            self._closed = True
            self._waiting.clear()
            processes = [process for process in self._working.values() if process is not None]
            self._condition.notify_all()
        for process in processes:
            process.terminate()
        for thread in self._threads:
            thread.join(_STOP_SECONDS)
        for process in processes:
            with suppress(ProcessLookupError):
                process.kill()

    def _has(self, run_id: str) -> bool:
        return run_id in self._waiting or run_id in self._working

    def _serve(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._closed or bool(self._waiting))
                if self._closed:
                    return
                run_id = self._waiting.popleft()
                self._working[run_id] = None
            try:
                code = self._run(run_id)
            except Exception as error:
                # Such as a disk that is full: said from memory, and the thread goes on.
                _LOG.exception("run %s", run_id)
                code = 1
                self._broken[run_id] = _failure(
                    f"the evaluation could not be carried out: {type(error).__name__}: {error}"
                )
            with self._condition:
                self.finished["failed" if code else "answered"] += 1
                del self._working[run_id]

    def _run(self, run_id: str) -> int:
        files = RunFiles(self._settings.state_dir, run_id)
        files.remove(PHASE)
        files.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "services.evaluate.worker", run_id]
        with (files.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=_REPOSITORY
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(self._settings.model_dump_json().encode())
        with self._condition:
            self._working[run_id] = process
            if self._closed:
                process.terminate()
        try:
            code = process.wait(self._settings.job_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            files.write(
                FAILURE,
                _failure(f"the evaluation took longer than {self._settings.job_seconds:g} s and was stopped"),
            )
            return 1
        if code and files.json(FAILURE) is None and not self._closed:
            files.write(
                FAILURE,
                _failure(f"the process of the evaluation ended with {code}; see its log in the state folder"),
            )
        return code


def _failure(message: str) -> dict[str, Any]:
    return {"error": "error", "message": message, "status": 500, "at": time.time()}
