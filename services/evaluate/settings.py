"""Settings of the evaluate service, from environment variables ROOKERY_EVALUATE_…"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, HttpUrl, field_validator
from pydantic_settings import SettingsConfigDict

from services.common.listening import ListeningSettings


class EvaluateSettings(ListeningSettings):
    """Where the service listens, keeps its state, and how much it does at a time."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_EVALUATE_", extra="forbid", frozen=True)
    others = ("ROOKERY_EVALUATE_URL",)

    port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0: any free one")
    mlflow_url: HttpUrl = Field(HttpUrl("http://127.0.0.1:8000"), description="MLflow tracking server")
    mlflow_timeout_seconds: float = Field(5.0, gt=0, le=60, description="bound of one call to MLflow")
    mlflow_patience_seconds: float = Field(
        60.0, ge=0, le=3600, description="how long an evaluation repeats calls to an MLflow that is away"
    )
    state_dir: Path = Field(
        Path(".rookery/evaluate"), description="verdicts, reports and evaluations at work"
    )
    cache_dir: Path = Field(
        Path(".rookery/evaluate/cache"), description="downloads and checks of data sources"
    )
    data_roots: list[Path] = Field(
        default_factory=list, description="folders that data by path may lie in; empty: any"
    )
    policy_dir: Path | None = Field(
        None, description="folder with <application>/policy.yaml; none: the default policy for all"
    )
    parallel: int = Field(1, ge=1, le=16, description="evaluations at the same time")
    queue_limit: int = Field(
        32, ge=1, le=1000, description="evaluations that may wait; one more is answered 503"
    )
    job_seconds: float = Field(3600.0, gt=0, le=86_400, description="after that an evaluation is stopped")
    failure_seconds: float = Field(
        5.0,
        ge=0,
        le=600,
        description="how long a failed evaluation is reported before a request tries it again",
    )
    scoring_threads: int = Field(
        0, ge=0, le=64, description="threads that score the holdout; 0: one each core"
    )
    latency_items: int = Field(
        200, ge=20, le=10_000, description="holdout files timed one after another on one thread"
    )

    @field_validator("state_dir", "cache_dir", "policy_dir")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.absolute()

    def threads(self) -> int:
        """Threads that score the holdout; cores that this process may use, not those of the machine."""
        return self.scoring_threads or len(os.sched_getaffinity(0))
