"""Settings of the board, from environment variables ROOKERY_BOARD_…"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from services.common.listening import ClosedSettings

SHORTEST_TOKEN = 16
_PLACEHOLDERS = frozenset({"changeme", "change-me", "secret", "password", "token", "rookery"})


class BoardSettings(ClosedSettings):
    """Where the board listens, what it asks, and how patient it is."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_BOARD_", extra="forbid", frozen=True)

    port: int = Field(8085, ge=0, le=65535, description="port to listen on; 0: any free one")
    token: SecretStr = Field(
        SecretStr(""),
        description=f"what people log in with, at least {SHORTEST_TOKEN} characters; empty: made once and kept in "
        "STATE_DIR/token, readable by its owner alone",
    )
    state_dir: Path = Field(Path(".rookery/board"), description="token, sessions and the log of actions")
    secure_cookie: bool = Field(
        False, description="whether browsers send the cookie over https only; set it behind TLS"
    )
    session_hours: float = Field(12.0, gt=0, le=24 * 30, description="a login ends after this")
    cluster: bool = Field(False, description="show the cluster of the kubeconfig, not this machine")
    context: str = Field("", description="context of the kubeconfig; empty: the current one")
    kubeconfig: Path | None = Field(None, description="kubeconfig; empty: that of KUBECONFIG or the user")
    kubernetes_url: str = Field(
        "",
        description="Kubernetes API of the cluster that the board is a pod of, asked with the pod's account, such as "
        "https://kubernetes.default.svc; empty: as the kubeconfig says",
    )
    mlflow_url: str = Field(
        "", description="MLflow; empty, here and below: as `rookery up` says, else not shown"
    )
    train_url: str = Field("", description="train service; empty: not shown")
    evaluate_url: str = Field("", description="evaluate service; empty: not shown")
    monitor_url: str = Field("", description="monitor service; empty: no drift is shown")
    monitor_token: SecretStr = Field(SecretStr(""), description="bearer token of the monitor service")
    arbiter_url: str = Field("", description="arbiter; empty: no decisions are shown")
    arbiter_token: SecretStr = Field(
        SecretStr(""), description="bearer token of the arbiter, if it wants one"
    )
    labels_url: str = Field("", description="labels service; empty: no labelling queue is shown")
    labels_token: SecretStr = Field(SecretStr(""), description="bearer token of the labels service")
    notify_url: str = Field("", description="notify service; empty: not shown")
    ask_seconds: float = Field(2.0, gt=0, le=30, description="longest wait for one answer of another service")
    page_seconds: float = Field(
        1.5, ge=0, le=30, description="longest wait of a page for what nobody has asked for yet"
    )
    live_seconds: float = Field(
        1.0, ge=0.1, le=60, description="pause between looks for news of an open page"
    )
    viewers: int = Field(64, ge=1, le=1000, description="pages that are kept live at the same time")

    @field_validator("token")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if text and (len(text) < SHORTEST_TOKEN or text.lower() in _PLACEHOLDERS):
            raise ValueError(f"a token has at least {SHORTEST_TOKEN} characters and is no placeholder")
        return value

    @field_validator(
        "mlflow_url", "train_url", "evaluate_url", "monitor_url", "arbiter_url", "labels_url", "notify_url"
    )
    @classmethod
    def _an_address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("an address begins with http:// or https://")
        return value.rstrip("/")
