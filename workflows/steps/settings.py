"""Where the steps find the platform: read from the environment, which the ConfigMap `rookery` fills.

On the cluster the ConfigMap is a manifest; on one machine `rookery up` writes it for the local engine.
"""

from __future__ import annotations

from pathlib import Path

import httpx
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.common.errors import InvalidInput
from services.common.settings import SERVICES, Settings


class StepSettings(Settings):
    """Settings of the workflow steps."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_", frozen=True)
    others = (
        *SERVICES,
        "ROOKERY_TOOLS",
        "ROOKERY_APPLICATION",
        "ROOKERY_HOME",
        "ROOKERY_REPOSITORY",
        "ROOKERY_MLFLOW_PORT",
        "ROOKERY_LABEL_STUDIO_PORT",
        "ROOKERY_PROMETHEUS_PORT",
        "ROOKERY_ALERTMANAGER_PORT",
        "ROOKERY_KEEP_INPUTS",
        "ROOKERY_CRON",
        "ROOKERY_START_SECONDS",
        "ROOKERY_STOP_SECONDS",
        "ROOKERY_PORT_BASE",
        "ROOKERY_DEPLOY_",
    )

    mlflow_url: str = Field(
        "http://mlflow.rookery.svc:8000", description="MLflow, used when mlflow-ip is empty"
    )
    train_url: str = Field(
        "http://train.rookery.svc:9090", description="train service, used when train-ip is empty"
    )
    evaluate_url: str = Field(
        "http://evaluate.rookery.svc:8080", description="evaluate service, used when eval-ip is empty"
    )
    git_remote: str = Field(
        "http://git.rookery.svc/rookery.git", description="the repository that the environments follow"
    )
    images: str = Field(
        "registry.rookery.svc:5000", description="registry host, or oci:/path for an OCI image layout on disk"
    )
    serving_base: str = Field(
        "/app", description="folder of the repository whose services/serve becomes the base of model images"
    )
    cache: Path = Field(Path("/tmp/rookery"), description="scratch folder of the steps; may be lost")  # noqa: S108
    environment_url: str = Field(
        "http://serve.{application}-{environment}.svc",
        description="address of an environment's Service; {port} is replaced by the application's port",
    )
    arbiter_url: str = Field("", description="arbiter, which decides about retraining; empty: there is none")
    arbiter_token: SecretStr = Field(SecretStr(""), description="what the arbiter wants to be told")
    monitor_url: str = Field("", description="monitor, which knows drift; empty: there is none")
    monitor_token: SecretStr = Field(SecretStr(""), description="what the monitor wants to be told")
    mlflow_patience_seconds: float = Field(
        120.0, gt=0, le=3600, description="how long a step puts up with an MLflow that does not answer"
    )
    delivery_seconds: float = Field(
        180.0, gt=0, le=3600, description="how long an environment may take to run a released digest"
    )
    rollout_api: str = Field(
        "",
        description="Kubernetes API that is asked whether every pod of an environment has a release, such as "
        "https://kubernetes.default.svc; empty: only the server itself is asked",
    )
    max_bundle_bytes: int = Field(
        1 << 30, gt=0, description="bound of each file of a bundle that a step downloads"
    )


def service_url(given: str, default: str, port: int) -> str:
    """The address of a service from a template parameter such as `train-ip`.

    Args:
        given: an IP or host, `host:port`, or a whole http(s) URL; empty for the default.
        default: URL that is used when nothing is given.
        port: the service's usual port, for a bare host.

    Raises:
        InvalidInput: the text is none of these.
    """
    text = given.strip().rstrip("/")
    if not text:
        return default.rstrip("/")
    allowed = "an IP or host name, host:port, or a URL that begins with http:// or https://"
    if text.startswith(("http:", "https:")):
        if not _is_url(text):
            raise InvalidInput("that is no address of a service", value=given, allowed=allowed)
        return text
    host, _, given_port = text.partition(":")
    if not host or not all(part.isalnum() or part in "-._" for part in host):
        raise InvalidInput("that is no address of a service", value=given, allowed=allowed)
    if given_port and not (given_port.isdigit() and 0 < int(given_port) < 65536):
        raise InvalidInput("that is no port", value=given, allowed=allowed)
    return f"http://{host}:{given_port or port}"


def _is_url(text: str) -> bool:
    try:
        return "://" in text and bool(httpx.URL(text).host)
    except httpx.InvalidURL:
        return False
