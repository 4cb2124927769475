"""The jobs of the train service: from a request to the end of its MLflow run, whatever dies in between.

A job's record is on disk before its MLflow run is made, and the run carries the job's id as a tag. So a run whose
making was interrupted is found again, taken up if the caller can ask for it with its key, and ended if not.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

from services.common.errors import Conflict, NotFound, RookeryError, Unavailable
from services.train import records
from services.train.creation import Creation
from services.train.settings import TrainSettings
from services.train.supervisor import Supervisor, end
from services.train.tracking import Tracking

_LOG = logging.getLogger("rookery.train")
_TICK_SECONDS = 0.1
_TELL_SECONDS = 2.0
_CREATION_SECONDS = 120.0
_KEPT = 1000


class Jobs:
    """A bounded queue of trainings. Its methods may be called from many threads.

    Args:
        settings: see `TrainSettings`; `state_dir/jobs` is made here.
        code_revision: recorded with each run.
    """

    def __init__(self, settings: TrainSettings, code_revision: str) -> None:
        self._settings = settings
        self._revision = code_revision
        self._folder = settings.state_dir / "jobs"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._keys: Counter[str] = Counter()
        self._key_freed = threading.Condition(self._lock)
        self._jobs: dict[str, records.Job] = {}
        self._tidy: set[str] = set()
        self._supervisor = Supervisor(settings)
        self._mlflow = Tracking(
            str(settings.mlflow_url), patience_seconds=0, timeout_seconds=settings.mlflow_timeout_seconds
        )
        self._creation = Creation(self._mlflow, self._lock, self._folder)
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._tell = threading.Event()
        self._threads: list[threading.Thread] = []

    # Life of the service

    def start(self) -> None:
        """Find the jobs of before, and begin to look after them."""
        for folder in self._folder.iterdir():
            job = records.read_job(folder)
            if job is not None:
                self._jobs[job.job_id] = job
        for target in (self._supervise, self._inform):
            thread = threading.Thread(target=target, name=target.__name__, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End the training processes; they go on from their checkpoints after the next start."""
        self._stopping.set()
        self._wake.set()
        self._tell.set()
        for thread in self._threads:
            thread.join()
        with self._lock:
            self._supervisor.release({self._path(job): job for job in self._jobs.values()})
        self._mlflow.close()

    @property
    def alive(self) -> bool:
        """Whether both threads are at work."""
        return bool(self._threads) and all(thread.is_alive() for thread in self._threads)

    # What users ask for

    def submit(self, request: records.Request, key: str = "") -> records.Job:
        """The job of a request: a new one, or that of the same key.

        Raises:
            Conflict: the key was used for another request.
            Unavailable: the queue is full, or MLflow is away.
        """
        with self._only_one(key):
            job = self._by_key(key, request) or self._new(request, key)
            if job.run_id:
                return job.model_copy()
            try:
                self._creation.give_run(job)
            except (Unavailable, OSError, ValueError) as error:
                # The run may exist all the same; `_settle_creation` will find it.
                raise Unavailable(f"the run could not be made in MLflow: {error}") from error
            except RookeryError:
                self._creation.forget_experiment(request.application)
                with self._lock:
                    self._forget(job)
                raise
            finally:
                self._release_claim(job)
            self._wake.set()
            return job.model_copy()

    def find(self, run_id: str) -> tuple[records.Job, records.Progress]:
        """The job of a run, and how far it is.

        Raises:
            NotFound: this service has no such run.
        """
        with self._lock:
            job = self._of_run(run_id).model_copy()
        return job, records.read_progress(self._path(job))

    def cancel(self, run_id: str, wait_seconds: float = 5.0) -> records.Job:
        """End a run as KILLED; waits until its process is gone, but no longer than `wait_seconds`.

        Raises:
            NotFound: this service has no such run.
            Conflict: it has ended otherwise.
        """
        with self._lock:
            job = self._of_run(run_id)
            if job.stage == "ended" and job.status != "KILLED":
                raise Conflict(f"the run has already ended as {job.status}", value=run_id)
            if not job.cancelled and job.stage != "ended":
                job.cancelled = True
                records.write(self._path(job) / "job.json", job)
        self._wake.set()
        deadline = time.monotonic() + wait_seconds
        while job.stage != "ended" and time.monotonic() < deadline:
            time.sleep(0.02)
        return job.model_copy()

    def position(self, job: records.Job) -> int:
        """How many trainings wait before this one."""
        with self._lock:
            return sum(
                other.stage == "queued" and other.created < job.created for other in self._jobs.values()
            )

    def counts(self) -> dict[str, int]:
        """How many jobs are in each stage, and ended in each state."""
        with self._lock:
            found = Counter(job.stage if job.stage != "ended" else job.status for job in self._jobs.values())
        return {
            name: found[name] for name in ("creating", "queued", "running", "FINISHED", "FAILED", "KILLED")
        }

    # Making a run

    def _by_key(self, key: str, request: records.Request) -> records.Job | None:
        if not key:
            return None
        with self._lock:
            for job in self._jobs.values():
                if job.key == key:
                    if job.request != request:
                        raise Conflict("the Idempotency-Key was used for another request", value=key)
                    return job
        return None

    def _new(self, request: records.Request, key: str) -> records.Job:
        with self._lock:
            waiting = sum(job.stage != "ended" for job in self._jobs.values())
            if waiting >= self._settings.parallel + self._settings.queue_limit:
                raise Unavailable(
                    "the queue of trainings is full", value=waiting, allowed="trying again when one has ended"
                )
            job = records.Job(
                job_id=uuid.uuid4().hex, request=request, key=key, code_revision=self._revision, claimed=True
            )
            folder = self._path(job)
            folder.mkdir()
            records.write(folder / "job.json", job)
            self._jobs[job.job_id] = job
            return job

    def _release_claim(self, job: records.Job) -> None:
        with self._lock:
            job.claimed = False
        self._tell.set()

    # Threads

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(_TICK_SECONDS)
            self._wake.clear()
            with self._lock:
                for job in list(self._jobs.values()):
                    try:
                        self._advance(job)
                    except Exception:
                        _LOG.exception("job %s could not be looked after", job.job_id)

    def _advance(self, job: records.Job) -> None:
        folder = self._path(job)
        if job.stage == "running" and self._supervisor.poll(job, folder):
            self._tell.set()
        if job.stage != "queued" or self._stopping.is_set():
            return
        if job.cancelled:
            end(job, "KILLED", "cancelled")
            records.write(folder / "job.json", job)
            self._tell.set()
        elif self._is_next(job):
            self._supervisor.spawn(job, folder)

    def _is_next(self, job: records.Job) -> bool:
        running = sum(other.stage == "running" for other in self._jobs.values())
        if running >= self._settings.parallel:
            return False
        return self.position(job) == 0

    def _inform(self) -> None:
        """Tell MLflow what it does not know yet, for as long as that takes."""
        self._creation.warm_up()
        while not self._stopping.is_set():
            with self._lock:
                open_ends = [job for job in self._jobs.values() if job.stage == "ended" and not job.told]
                unsure = [job for job in self._jobs.values() if job.stage == "creating" and not job.claimed]
            for job, act in [(job, self._tell_end) for job in open_ends] + [
                (job, self._settle_creation) for job in unsure
            ]:
                try:
                    act(job)
                except Unavailable as error:
                    _LOG.warning("MLflow is told later: %s", error)
                    break
                except Exception:
                    _LOG.exception("MLflow could not be told of job %s", job.job_id)
            self._prune()
            self._tell.wait(_TELL_SECONDS)
            self._tell.clear()

    def _tell_end(self, job: records.Job) -> None:
        reason = job.reason
        try:
            status = self._mlflow.close_run(job.run_id, job.status, job.reason)
        except NotFound:
            status, reason = job.status, job.reason or "MLflow lost the run"
        with self._lock:
            if status != job.status:
                end(job, status, "the run was ended in MLflow")  # type: ignore[arg-type]
            job.told, job.reason = True, job.reason or reason
            records.write(self._path(job) / "job.json", job)

    def _settle_creation(self, job: records.Job) -> None:
        """A run that was perhaps made, by a request that got no answer."""
        experiment_id, found = self._creation.find_made(job)
        with self._lock:
            if job.claimed or job.stage != "creating":
                return
            if not found:
                if time.time() - job.created > _CREATION_SECONDS:
                    self._forget(job)
                return
            if not job.key:
                end(job, "FAILED", "the request for this training was never answered, so nobody waits for it")
            self._creation.record_run(job, experiment_id, str(found[0]["info"]["run_id"]))
        for double in found[1:]:
            self._mlflow.close_run(str(double["info"]["run_id"]), "KILLED", "made twice for one request")
        self._wake.set()

    def _prune(self) -> None:
        """Drop what an ended training no longer needs, and the oldest records over a thousand."""
        with self._lock:
            done = [job for job in self._jobs.values() if job.stage == "ended" and job.told]
            for job in done:
                if job.job_id not in self._tidy:
                    _remove_all_but(self._path(job), records.LASTING)
                    self._tidy.add(job.job_id)
            for job in sorted(done, key=lambda job: job.created)[: max(0, len(done) - _KEPT)]:
                self._forget(job)

    # Small things

    def _only_one(self, key: str) -> _Turn:
        return _Turn(self._key_freed, self._keys, key)

    def _of_run(self, run_id: str) -> records.Job:
        for job in self._jobs.values():
            if run_id and job.run_id == run_id:
                return job
        raise NotFound("the train service has no such run", value=run_id)

    def _forget(self, job: records.Job) -> None:
        self._jobs.pop(job.job_id, None)
        self._tidy.discard(job.job_id)
        shutil.rmtree(self._path(job), ignore_errors=True)

    def _path(self, job: records.Job) -> Path:
        return self._folder / job.job_id


class _Turn:
    """Requests with one key, one after the other; those without a key do not wait."""

    def __init__(self, freed: threading.Condition, keys: Counter[str], key: str) -> None:
        self._freed, self._keys, self._key = freed, keys, key

    def __enter__(self) -> None:
        if self._key:
            with self._freed:
                self._freed.wait_for(lambda: not self._keys[self._key])
                self._keys[self._key] = 1

    def __exit__(self, *_: object) -> None:
        if self._key:
            with self._freed:
                del self._keys[self._key]
                self._freed.notify_all()


def _remove_all_but(folder: Path, names: frozenset[str]) -> None:
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name not in names:
                path.unlink(missing_ok=True)
