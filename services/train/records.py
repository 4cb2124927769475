"""What is known of a training, on disk: one folder each.

`job.json` is written by the service alone, `progress.json` and `result.json` by the training process alone.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.common.files import replacing

LOCK = "lock"
LASTING = frozenset({"job.json", "progress.json", "result.json", "log.txt", LOCK})
ALREADY_RUNNING = 75
Stage = Literal["creating", "queued", "running", "ended"]
Record = TypeVar("Record", bound=BaseModel)
Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]


class Request(BaseModel):
    """What was asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    application: str
    model_name: str
    data_source: str
    hyperparameters: dict[str, str]


class Job(BaseModel):
    """One training from the request to the end of its run."""

    model_config = ConfigDict(extra="forbid")

    job_id: str
    request: Request
    key: str = Field("", description="the Idempotency-Key, or empty")
    code_revision: str = ""
    experiment_id: str = ""
    run_id: str = ""
    stage: Stage = "creating"
    status: Status = "RUNNING"
    reason: str = ""
    created: float = Field(default_factory=time.time, description="Unix seconds")
    restarts: int = 0
    pid: int | None = None
    pid_started: int | None = None
    cancelled: bool = False
    told: bool = Field(False, description="MLflow knows the end")
    claimed: bool = Field(False, exclude=True, description="a request is making the run just now")


class Progress(BaseModel):
    """How far the training process is."""

    stage: str = "starting"
    epoch: int = 0
    epochs: int = 0
    metrics: dict[str, float] = Field(default_factory=dict)


class Result(BaseModel):
    """How the training process ended."""

    status: Status
    reason: str = ""
    told: bool = False
    bundle_digest: str = ""


def write(path: Path, record: BaseModel) -> None:
    """Replace a record atomically, on disk when this returns.

    Raises:
        OSError: the disk is full or not writable; the former record is still there.
    """
    with replacing(path) as file:
        file.write(record.model_dump_json(indent=1).encode())


def read_job(folder: Path) -> Job | None:
    """The job of a folder, or nothing if there is none or it cannot be read."""
    return _read(folder / "job.json", Job)


def read_progress(folder: Path) -> Progress:
    """The progress, or that of a training which has not begun."""
    return _read(folder / "progress.json", Progress) or Progress()


def read_result(folder: Path) -> Result | None:
    """The result, or nothing while there is none."""
    return _read(folder / "result.json", Result)


def read_holder(folder: Path) -> tuple[int, int] | None:
    """Number and start time of the process that holds, or held, the folder's lock."""
    try:
        pid, started = (folder / LOCK).read_text().split()
        return int(pid), int(started)
    except (OSError, ValueError):
        return None


def _read(path: Path, kind: type[Record]) -> Record | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
