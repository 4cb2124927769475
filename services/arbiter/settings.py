"""Settings of the arbiter, from environment variables ROOKERY_ARBITER_…"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.arbiter.decide import Policy
from services.common.listening import ClosedSettings


class ArbiterSettings(ClosedSettings):
    """Who may ask for trainings, how often there may be one, and where it is submitted."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_ARBITER_", extra="forbid", frozen=True)
    others = ("ROOKERY_ARBITER_URL",)

    port: int = Field(9096, ge=0, le=65535, description="port to listen on; 0: any free one")
    token: SecretStr = Field(
        SecretStr(""), description="what senders of events must say; required beyond this machine"
    )
    database: SecretStr = Field(
        SecretStr("sqlite:///.rookery/arbiter/arbiter.db"),
        description="where events and decisions are kept: sqlite:///… or postgresql+psycopg://…",
    )
    engine: Literal["local", "kubernetes"] = Field("local", description="where train-model is submitted")
    home: Path = Field(Path(".rookery"), description="state folder of the local engine")
    namespace: str = Field("rookery-workflows", description="of the workflows, on a cluster")
    kubernetes_url: str = Field("https://kubernetes.default.svc", description="Kubernetes API, on a cluster")
    git_remote: str = Field(".rookery/gitops.git", description="the repository that the environments follow")
    cache: Path = Field(Path(".rookery/arbiter/cache"), description="copy of the repository; may be lost")
    train_url: str = Field(
        "http://127.0.0.1:9090", description="train service, which says what would be trained"
    )
    mlflow_url: str = Field(
        "http://127.0.0.1:8000", description="MLflow, which knows what was trained before"
    )
    tick_seconds: float = Field(1.0, gt=0, le=60, description="pause between looks at what is open")
    debounce_seconds: float = Field(
        60.0, ge=0, le=86_400, description="a decision waits until nothing came for so long"
    )
    longest_debounce_seconds: float = Field(
        900.0, ge=0, le=604_800, description="but no longer than this after the first event"
    )
    by_hand_debounce_seconds: float = Field(
        2.0, ge=0, le=600, description="the same, when somebody asks by hand"
    )
    cooldown_seconds: float = Field(
        3600.0,
        ge=0,
        le=2_592_000,
        description="time between the end of a training and the next, unless asked by hand",
    )
    daily: int = Field(4, ge=0, le=10_000, description="trainings of one application in any 24 hours")
    daily_total: int = Field(12, ge=0, le=10_000, description="trainings of all applications in any 24 hours")
    failures: int = Field(
        3, ge=1, le=1000, description="failures in a row after which data are refused, or a pause is made"
    )
    rest_seconds: float = Field(
        6 * 3600.0, ge=0, le=2_592_000, description="pause after that many failures in a row"
    )
    # A decision answers all of them in one statement, and SQLite takes 32,766 values in one.
    most_open: int = Field(
        10_000, ge=10, le=30_000, description="unanswered events; one more is answered 503"
    )
    keep_days: float = Field(365.0, gt=0, le=3650, description="answered events and decisions go after this")

    def policy(self) -> Policy:
        """How eager to be."""
        return Policy(
            self.debounce_seconds,
            self.longest_debounce_seconds,
            self.by_hand_debounce_seconds,
            self.cooldown_seconds,
            self.daily,
            self.daily_total,
            self.failures,
            self.rest_seconds,
        )
