"""Settings of the train service, from environment variables ROOKERY_TRAIN_…"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field, HttpUrl, field_validator
from pydantic_settings import SettingsConfigDict

from services.common.listening import ListeningSettings

_PREFIX = "ROOKERY_TRAIN_"


class TrainSettings(ListeningSettings):
    """Where the service listens, keeps its state, and what it may use."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="forbid", frozen=True)
    others = (_PREFIX + "URL",)

    port: int = Field(9090, ge=0, le=65535, description="port to listen on; 0: any free one")
    mlflow_url: HttpUrl = Field(HttpUrl("http://127.0.0.1:8000"), description="MLflow tracking server")
    mlflow_timeout_seconds: float = Field(
        2.0, gt=0, le=60, description="bound of one call to MLflow while a request waits"
    )
    mlflow_patience_seconds: float = Field(
        300.0, ge=0, le=86_400, description="how long a training repeats calls to an MLflow that is away"
    )
    state_dir: Path = Field(Path(".rookery/train"), description="jobs, their checkpoints and logs")
    cache_dir: Path = Field(Path(".rookery/train/cache"), description="prepared features and files from S3")
    cache_gib: float = Field(20.0, gt=0, description="prepared features kept at most, oldest dropped first")
    data_roots: list[Path] = Field(
        default_factory=list,
        description="folders that data and pretrained weights by path may lie in; empty: any",
    )
    parallel: int = Field(1, ge=1, le=64, description="trainings at the same time")
    queue_limit: int = Field(
        16, ge=0, le=10_000, description="trainings that may wait; one more is answered 503"
    )
    max_restarts: int = Field(3, ge=0, le=100, description="restarts of a training process that died")
    check_seconds: float = Field(
        0.12,
        ge=0,
        le=60,
        description="a request waits so long for the check of its data; then the job finishes it",
    )
    pretrained_max_mib: int = Field(1024, ge=1, description="largest file of pretrained weights")
    code_revision: str = Field("", description="commit of this code; empty: asked from git")
    image_digest: str = Field(
        "", description="of the image that runs; empty: the versions of its packages stand for it"
    )

    @field_validator("state_dir", "cache_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.absolute()

    @field_validator("data_roots")
    @classmethod
    def _absolute_roots(cls, paths: list[Path]) -> list[Path]:
        for path in paths:
            if not path.is_absolute():
                raise ValueError(f"{path} is not an absolute path")
        return paths

    @property
    def roots(self) -> list[Path] | None:
        """The data roots as `load_dataset` takes them: None for any."""
        return self.data_roots or None

    def as_environment(self) -> dict[str, str]:
        """The same settings as environment variables, for the training process."""
        values = self.model_dump(mode="json")
        return {
            _PREFIX + name.upper(): json.dumps(value) if isinstance(value, list) else str(value)
            for name, value in values.items()
        }
