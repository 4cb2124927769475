"""Training processes: started, watched, started again from their checkpoint, ended. It knows nothing of HTTP."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from services.train import records
from services.train.process import is_alive, send, start_time
from services.train.settings import TrainSettings

_LOG = logging.getLogger("rookery.train")
_GRACE_SECONDS = 3.0
# Threads of OpenMP that spin while they wait make a training on busy cores many times slower.
_QUIET_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}


class Supervisor:
    """Looks after the training process of each job. Not thread-safe: one thread calls it."""

    def __init__(self, settings: TrainSettings) -> None:
        self._settings = settings
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._asked_to_end: dict[str, float] = {}

    def spawn(self, job: records.Job, folder: Path) -> None:
        """Start the training process, in a session of its own so that it outlives this service."""
        environment = {**_QUIET_THREADS, **os.environ, **self._settings.as_environment()}
        with (folder / "log.txt").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "services.train.job", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
        self._children[job.job_id] = child
        job.stage, job.pid, job.pid_started = "running", child.pid, start_time(child.pid)
        records.write(folder / "job.json", job)

    def poll(self, job: records.Job, folder: Path) -> bool:
        """Bring a running job up to date; whether its record has changed."""
        child = self._children.get(job.job_id)
        code = child.poll() if child is not None else None
        if is_alive(job.pid, job.pid_started) and code is None:
            return self._end_if_cancelled(job)
        self._children.pop(job.job_id, None)
        self._asked_to_end.pop(job.job_id, None)
        result = records.read_result(folder)
        if result is not None:
            self._finish(job, result)
        elif code == records.ALREADY_RUNNING and (holder := records.read_holder(folder)):
            job.pid, job.pid_started = holder
        elif job.cancelled:
            end(job, "KILLED", "cancelled")
        elif job.restarts >= self._settings.max_restarts:
            end(job, "FAILED", self._death(job, folder, code))
        else:
            job.restarts += 1
            job.stage, job.pid, job.pid_started = "queued", None, None
            _LOG.warning("the training process of run %s died (%s), it is started again", job.run_id, code)
        records.write(folder / "job.json", job)
        return True

    def release(self, jobs: dict[Path, records.Job]) -> None:
        """End the processes of running jobs; they go on from their checkpoints when the service starts again."""
        running = {folder: job for folder, job in jobs.items() if job.stage == "running"}
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for job in running.values():
                if job.pid is not None and job.pid_started is not None:
                    send(job.pid, job.pid_started, sign)
            deadline = time.monotonic() + _GRACE_SECONDS
            while time.monotonic() < deadline and any(
                is_alive(job.pid, job.pid_started) for job in running.values()
            ):
                time.sleep(0.02)
        for folder, job in running.items():
            child = self._children.pop(job.job_id, None)
            if child is not None:
                child.wait()
            job.stage, job.pid, job.pid_started = "queued", None, None
            records.write(folder / "job.json", job)

    def _end_if_cancelled(self, job: records.Job) -> bool:
        if not job.cancelled or job.pid is None or job.pid_started is None:
            return False
        since = self._asked_to_end.setdefault(job.job_id, time.monotonic())
        late = time.monotonic() - since > _GRACE_SECONDS
        send(job.pid, job.pid_started, signal.SIGKILL if late else signal.SIGTERM)
        return False

    def _finish(self, job: records.Job, result: records.Result) -> None:
        end(job, result.status, result.reason)
        job.told = result.told

    def _death(self, job: records.Job, folder: Path, code: int | None) -> str:
        progress = records.read_progress(folder)
        how = f" ({_describe(code)})" if code is not None else ""
        return (
            f"the training process died {job.restarts + 1} times{how}, last in stage {progress.stage}, "
            f"epoch {progress.epoch}; see {folder.name}/log.txt of the train service"
        )


def end(job: records.Job, status: records.Status, reason: str) -> None:
    """Mark a job as ended; MLflow is told later."""
    job.stage, job.status, job.reason = "ended", status, reason
    job.pid, job.pid_started = None, None


def _describe(code: int) -> str:
    if code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit status {code}"
