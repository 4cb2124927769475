"""The training process: `python -m services.train.job FOLDER`. It can be killed at any point and started again."""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from services.common.errors import NotFound, RookeryError, Unavailable
from services.common.mlflow_rest import is_terminal
from services.train import records
from services.train.process import start_time
from services.train.recipe import recipe, running_code, running_environment
from services.train.settings import TrainSettings
from services.train.tracking import TAG_BUNDLE, TAG_CODE, TAG_DATASET, TAG_ENVIRONMENT, TAG_RECIPE, Tracking

_LOG = logging.getLogger("rookery.train.job")
_QUICK_SECONDS = 3.0


class Reporter:
    """Tells MLflow how the training goes. While MLflow is away nothing waits for it until the end."""

    def __init__(self, run_id: str, settings: TrainSettings, folder: Path) -> None:
        url = str(settings.mlflow_url)
        self.run_id = run_id
        self.patient = Tracking(url, patience_seconds=settings.mlflow_patience_seconds)
        self._quick = Tracking(url, patience_seconds=0, timeout_seconds=_QUICK_SECONDS)
        self._folder = folder
        self._rows: list[Mapping[str, float]] = []
        self._quiet_until = 0.0

    def progress(self, stage: str, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        """Write `progress.json`."""
        record = records.Progress(stage=stage, epoch=epoch, epochs=epochs, metrics=dict(metrics))
        records.write(self._folder / "progress.json", record)

    def epoch(self, row: Mapping[str, float]) -> None:
        """Log the metrics of an epoch, now or with a later one."""
        self._rows.append(row)
        if time.monotonic() < self._quiet_until:
            return
        try:
            self._quick.log_history(self.run_id, self._rows)
            self._rows = []
        except Unavailable as error:
            _LOG.warning("metrics are kept for later: %s", error)
            self._quiet_until = time.monotonic() + 10 * _QUICK_SECONDS

    def ended_elsewhere(self) -> str | None:
        """The state in which someone has already ended the run, if MLflow can say so now."""
        try:
            status = str(self._quick.run(self.run_id)["info"]["status"])
        except Unavailable:
            return None
        return status if is_terminal(status) else None

    def history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Log every epoch, those before a restart too, with the full patience."""
        self.patient.log_history(self.run_id, rows)
        self._rows = []


def main(folder: Path, settings: TrainSettings) -> int:
    """Train the job of a folder to its end. One process at a time: a second one leaves at once."""
    with (folder / records.LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return records.ALREADY_RUNNING
        lock.truncate(0)
        lock.write(f"{os.getpid()} {start_time(os.getpid())}")
        lock.flush()
        job = records.read_job(folder)
        if job is None or records.read_result(folder) is not None:
            return 0
        reporter = Reporter(job.run_id, settings, folder)
        result = _train(job, reporter, settings, folder)
        if not result.told:
            result = _tell(reporter, result)
        records.write(folder / "result.json", result)
        return 0 if result.status == "FINISHED" else 1


def _train(job: records.Job, reporter: Reporter, settings: TrainSettings, folder: Path) -> records.Result:
    try:
        ended = reporter.ended_elsewhere()
        if ended is not None:
            return records.Result(status=ended, reason="the run was ended in MLflow", told=True)
        from services.train.training import train

        reporter.progress("preparing", 0, 0, {})
        code, environment = running_code(), running_environment(settings.image_digest)
        made = train(job, reporter, settings, folder)
        reporter.progress("uploading", made.epochs, made.epochs, made.metrics)
        _upload(reporter, made.files, folder)
        reporter.patient.log(
            reporter.run_id,
            tags={
                TAG_DATASET: made.dataset_digest,
                TAG_BUNDLE: made.bundle_digest,
                TAG_CODE: code,
                TAG_ENVIRONMENT: environment,
                TAG_RECIPE: recipe(made.dataset_digest, job.request, code, environment)["key"],
            },
            metrics=made.metrics,
            step=made.best_epoch,
        )
        return records.Result(status="FINISHED", bundle_digest=made.bundle_digest)
    except RookeryError as error:
        return records.Result(status="FAILED", reason=str(error))
    except MemoryError:
        return records.Result(
            status="FAILED", reason="the training ran out of memory; a smaller batch_size may fit"
        )
    except Exception as error:
        _LOG.exception("the training failed")
        return records.Result(status="FAILED", reason=f"{type(error).__name__}: {error}")


def _upload(reporter: Reporter, files: Mapping[str, Path | bytes], folder: Path) -> None:
    run = reporter.patient.run(reporter.run_id)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.read_bytes()
        reporter.patient.upload(run, name, data)


def _tell(reporter: Reporter, result: records.Result) -> records.Result:
    try:
        status = reporter.patient.close_run(reporter.run_id, result.status, result.reason)
    except NotFound:
        return result.model_copy(update={"status": "FAILED", "reason": "MLflow lost the run", "told": True})
    except (RookeryError, httpx.HTTPError) as error:
        if result.status == "FINISHED":
            result = records.Result(status="FAILED", reason=str(error))
        return result
    if status != result.status:
        return records.Result(status=status, reason="the run was ended in MLflow", told=True)
    return result.model_copy(update={"told": True})


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    sys.exit(main(Path(sys.argv[1]), TrainSettings()))
