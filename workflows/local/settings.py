"""The settings of the platform on one machine: `ROOKERY_*` over `rookery.toml` over defaults."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import SettingsConfigDict

from services.common.errors import InvalidInput
from services.common.settings import SERVICES, Settings

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS_FILE = "rookery.toml"


class PlatformSettings(Settings):
    """Where the platform keeps its state, which ports it uses and how long it waits."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_", extra="forbid", frozen=True)
    others = (
        *SERVICES,
        "ROOKERY_TOOLS",
        "ROOKERY_APPLICATION",
        "ROOKERY_MLFLOW_URL",
        "ROOKERY_IMAGES",
        "ROOKERY_SERVING_BASE",
        "ROOKERY_CACHE",
        "ROOKERY_ENVIRONMENT_URL",
        "ROOKERY_MLFLOW_PATIENCE_SECONDS",
        "ROOKERY_DELIVERY_SECONDS",
        "ROOKERY_MAX_BUNDLE_BYTES",
        "ROOKERY_ROLLOUT_API",
    )

    home: Path = Field(
        default=REPOSITORY / ".rookery", description="Folder of all state; made by `rookery up`."
    )
    repository: Path = Field(
        default=REPOSITORY, description="Checkout whose manifests and serving code are used."
    )
    mlflow_port: int = Field(default=8000, ge=0, le=65535, description="Port of MLflow; 0 takes a free one.")
    train_port: int = Field(default=9090, ge=0, le=65535, description="Port of the train service, or 0.")
    evaluate_port: int = Field(
        default=8090, ge=0, le=65535, description="Port of the evaluate service, or 0."
    )
    monitor_port: int = Field(default=9095, ge=0, le=65535, description="Port of the monitor, or 0.")
    notify_port: int = Field(default=9097, ge=0, le=65535, description="Port of the notify service, or 0.")
    arbiter_port: int = Field(default=9096, ge=0, le=65535, description="Port of the arbiter, or 0.")
    board_port: int = Field(default=8085, ge=0, le=65535, description="Port of the board, or 0.")
    labels_port: int = Field(default=9098, ge=0, le=65535, description="Port of the labels service, or 0.")
    label_studio_port: int = Field(default=5000, ge=0, le=65535, description="Port of Label Studio, or 0.")
    observe_port: int = Field(default=9099, ge=0, le=65535, description="Port of the observe service, or 0.")
    prometheus_port: int = Field(default=4000, ge=0, le=65535, description="Port of Prometheus, or 0.")
    alertmanager_port: int = Field(default=4093, ge=0, le=65535, description="Port of Alertmanager, or 0.")
    port_base: int = Field(
        default=15000,
        ge=1024,
        le=64000,
        description="Lowest of the thousand ports that new applications and `--ports random` or `auto` choose from; "
        "one of its own for each of several platforms on a machine.",
    )
    serve_python: Path | None = Field(
        default=None,
        description="Interpreter of serving processes; else .venv-serve, else this one.",
    )
    start_seconds: float = Field(
        default=90, gt=0, le=600, description="Longest wait for a service of the platform to become ready."
    )
    stop_seconds: float = Field(
        default=15, gt=0, le=120, description="Time between SIGTERM and SIGKILL when a process is stopped."
    )
    deploy_poll_seconds: float = Field(
        default=0.2, gt=0, le=60, description="How often the deployer reads the tip of the GitOps remote."
    )
    deploy_start_seconds: float = Field(
        default=30, gt=0, le=600, description="Longest wait for a new serving process to become ready."
    )
    deploy_backoff_seconds: float = Field(
        default=1,
        gt=0,
        le=60,
        description="First pause after a serving process failed; doubles up to one minute.",
    )
    deploy_memory_mib: int = Field(
        default=8192, ge=512, description="Address space that one serving process may use, in MiB."
    )
    deploy_open_files: int = Field(
        default=4096, ge=256, description="Files and connections of one serving process."
    )
    cron: bool = Field(
        default=True, description="Whether the CronWorkflows run on this machine, such as watch-applications."
    )
    keep_inputs: bool = Field(
        default=True,
        description="Whether servers keep the inputs of predictions, by digest, for the monitor to hold for a while.",
    )

    @property
    def gitops(self) -> Path:
        """The bare repository that the deployer follows."""
        return self.home / "gitops.git"

    @property
    def images(self) -> Path:
        """The OCI image layout."""
        return self.home / "images"

    @property
    def deploy(self) -> Path:
        """One folder for each application and environment."""
        return self.home / "deploy"

    @property
    def spool(self) -> Path:
        """The prediction logs on their way to the monitor, one folder for each environment."""
        return self.home / "spool"

    @property
    def logs(self) -> Path:
        """One log for each process."""
        return self.home / "logs"

    def interpreter(self) -> Path:
        """The interpreter for serving processes: torch and MLflow need not be in it."""
        if self.serve_python is not None:
            return self.serve_python
        beside = self.repository / ".venv-serve" / "bin" / "python"
        return beside if beside.exists() else Path(sys.executable)


def load_settings(home: Path | None = None) -> PlatformSettings:
    """Reads the environment and `rookery.toml`; `home`, when given, wins over both.

    Raises:
        InvalidInput: a key that does not exist or a value out of its range, with the key named.
    """
    try:
        by_environment = PlatformSettings()
        folder = (home or by_environment.home).expanduser().absolute()
        values = _read_file(folder / SETTINGS_FILE)
        beneath = {
            name: value for name, value in values.items() if name not in by_environment.model_fields_set
        }
        settings = PlatformSettings(**(beneath | {"home": folder}))
    except ValidationError as error:
        raise _explain(error) from error
    return settings.model_copy(update={"repository": settings.repository.expanduser().absolute()})


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidInput(
            f"the state folder cannot be read: {error.strerror}",
            value=str(path.parent),
            allowed="another folder in ROOKERY_HOME",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is no TOML: {error}") from error
    if "home" in values:
        raise InvalidInput(f"{path} lies in the home folder, so it cannot set `home`", allowed="ROOKERY_HOME")
    return values


def _explain(error: ValidationError) -> InvalidInput:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = ", ".join(sorted(set(PlatformSettings.model_fields) - {"home"}))
        return InvalidInput(f"unknown setting {name!r}", value=first["input"], allowed=known)
    where = f"setting {name!r} (ROOKERY_{name.upper()} or {SETTINGS_FILE})"
    return InvalidInput(f"{where}: {first['msg']}", value=first["input"])
