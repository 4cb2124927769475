"""The MLflow run of a job: taken up where its key was seen before, made where not."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from services.common.digest import canonical_json, digest_bytes
from services.common.errors import Conflict, RookeryError
from services.common.mlflow_rest import is_terminal, tags_of
from services.train import records, tracking
from services.train.supervisor import end
from services.train.tracking import Tracking

_LOG = logging.getLogger("rookery.train")
_TAG_REQUEST = "rookery.request"


class Creation:
    """Gives jobs their runs.

    Args:
        lock: held while a job is changed.
        folder: where each job has a folder named by its id.
    """

    def __init__(self, mlflow: Tracking, lock: threading.RLock, folder: Path) -> None:
        self._mlflow, self._lock, self._folder = mlflow, lock, folder
        self._experiments: dict[str, str] = {}

    def warm_up(self) -> None:
        """The first call to a server costs more than a request may wait; it may as well bring something."""
        try:
            self._experiments.update(self._mlflow.experiments())
        except RookeryError as error:
            _LOG.warning("the experiments are asked for one by one: %s", error)

    def forget_experiment(self, application: str) -> None:
        """Ask MLflow for its id again the next time."""
        self._experiments.pop(application, None)

    def give_run(self, job: records.Job) -> None:
        """Take up the run that was made for this key before, or make it.

        Raises:
            Conflict: the key was used for another request.
            Unavailable: MLflow is away; the run may have been made all the same.
        """
        job.claimed = True
        experiment_id, is_new = self._experiment(job.request.application)
        found = []
        if job.key and not is_new:
            found = self._mlflow.find_by_tag(experiment_id, tracking.TAG_KEY, job.key)
        if found:
            self._adopt(job, experiment_id, found[0])
            return
        name = f"{job.request.model_name}-{job.job_id[:8]}"
        run_id = self._mlflow.create_run(experiment_id, name, _tags(job))
        self.record_run(job, experiment_id, run_id)

    def find_made(self, job: records.Job) -> tuple[str, list[dict[str, Any]]]:
        """The experiment of a job, and the runs that were made for it."""
        experiment_id, _ = self._experiment(job.request.application)
        return experiment_id, self._mlflow.find_by_tag(experiment_id, tracking.TAG_JOB, job.job_id)

    def record_run(self, job: records.Job, experiment_id: str, run_id: str) -> None:
        """Write down the run of a job, which then waits for its turn."""
        with self._lock:
            job.experiment_id, job.run_id, job.claimed = experiment_id, run_id, False
            if job.stage == "creating":
                job.stage = "queued"
            records.write(self._folder / job.job_id / "job.json", job)

    def _adopt(self, job: records.Job, experiment_id: str, run: dict[str, Any]) -> None:
        if tags_of(run).get(_TAG_REQUEST) != _digest(job.request):
            raise Conflict("the Idempotency-Key was used for another request", value=job.key)
        info = run["info"]
        if is_terminal(str(info["status"])):
            end(job, info["status"], "ended before this service knew of it")
            job.told = True
        self.record_run(job, experiment_id, str(info["run_id"]))

    def _experiment(self, application: str) -> tuple[str, bool]:
        """Its id, and whether it was made just now, so that no run can be in it."""
        if application in self._experiments:
            return self._experiments[application], False
        made = self._mlflow.new_experiment(application)
        self._experiments[application] = made or self._mlflow.experiment_id(application)
        return self._experiments[application], made is not None


def _tags(job: records.Job) -> dict[str, str]:
    tags = {
        tracking.TAG_APPLICATION: job.request.application,
        tracking.TAG_MODEL_NAME: job.request.model_name,
        tracking.TAG_REVISION: job.code_revision,
        tracking.TAG_JOB: job.job_id,
        _TAG_REQUEST: _digest(job.request),
        "mlflow.source.name": "rookery train service",
    }
    return tags | ({tracking.TAG_KEY: job.key} if job.key else {})


def _digest(request: records.Request) -> str:
    return digest_bytes(canonical_json(request.model_dump(mode="json")))
