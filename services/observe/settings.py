"""Settings of the observe service, from environment variables ROOKERY_OBSERVE_…"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from services.common.listening import ListeningSettings
from services.observe.rules import Limits


class ObserveSettings(ListeningSettings):
    """What is observed, where the servers that keep figures listen, and when they raise an alarm."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_OBSERVE_", extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="address to listen on; it says nothing secret")
    port: int = Field(9099, ge=0, le=65535, description="port to listen on; 0: any free one")
    prometheus_port: int = Field(4000, ge=1, le=65535, description="port of Prometheus on this machine")
    alertmanager_port: int = Field(4093, ge=1, le=65535, description="port of Alertmanager on this machine")
    state_dir: Path = Field(
        Path(".rookery/observe"), description="configuration and data of both servers, copies of git"
    )
    programs: Path | None = Field(
        None, description="folder with prometheus and prometheus-alertmanager; empty: on the path"
    )
    git_remote: str = Field(".rookery/gitops.git", description="the repository that the environments follow")
    environment_url: str = Field(
        "http://127.0.0.1:{port}",
        description="address of an environment's server; {application}, {environment} and {port} are replaced",
    )
    pods: str = Field(
        "",
        description="name of the headless Service of an environment's pods and their port, such as "
        "pods.{application}-{environment}.svc:8080; empty: the environment's address is one process",
    )
    targets: dict[str, str] = Field(
        default_factory=dict,
        description='services of the platform with /metrics as JSON: {"train": "127.0.0.1:9090"}; a host that no DNS '
        "knows is left out",
    )
    targets_file: Path | None = Field(
        None, description="file with more of them, as `rookery up` writes it, read anew each time"
    )
    mlflow_url: str = Field("http://127.0.0.1:8000", description="MLflow tracking server")
    notify_url: str = Field(
        "http://127.0.0.1:9097", description="notify service that Alertmanager tells; empty: nobody is told"
    )
    notify_token: SecretStr = Field(SecretStr(""), description="what the notify service wants to be told")
    read_seconds: float = Field(10.0, gt=0, le=3600, description="pause between looks at git and MLflow")
    scrape_seconds: int = Field(5, ge=1, le=300, description="pause between two scrapes and evaluations")
    keep_days: int = Field(30, ge=1, le=3650, description="samples are kept for so long")
    keep_megabytes: int = Field(2048, ge=64, description="and up to this size")
    p95_seconds: float = Field(Limits.p95_seconds, gt=0, description="alarm: p95 latency of predictions")
    error_share: float = Field(Limits.error_share, gt=0, lt=1, description="alarm: share of 5xx")
    refusal_share: float = Field(Limits.refusal_share, gt=0, lt=1, description="alarm: share of 4xx")
    confidence_drop: float = Field(
        Limits.confidence_drop,
        gt=0,
        lt=1,
        description="alarm: fall of the mean confidence against the day before",
    )
    novel_share: float = Field(Limits.novel_share, gt=0, lt=1, description="alarm: share of novel inputs")
    stale_days: float = Field(Limits.stale_days, gt=0, description="alarm: age of the model in production")
    minimum: int = Field(Limits.minimum, ge=1, description="fewer predictions than this raise no alarm")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        try:
            self.environment_url.format(application="a", environment="b", port=1)
            self.pods.format(application="a", environment="b", port=1)
        except (LookupError, ValueError) as error:
            raise ValueError(
                f"environment_url and pods know application, environment and port: {error}"
            ) from error
        return self

    def limits(self) -> Limits:
        """When an alarm is raised."""
        return Limits(**{name: getattr(self, name) for name in Limits.__dataclass_fields__})
