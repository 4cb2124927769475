"""The processes of the platform: how each is started and how one sees that it is ready."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from workflows.local.processes import Process, read_pid_file
from workflows.local.settings import REPOSITORY, PlatformSettings

HOST = "127.0.0.1"
MLFLOW, TRAIN, EVALUATE, DEPLOYER, SOCKETS = "mlflow", "train", "evaluate", "deployer", "sockets"
PORTS = (MLFLOW, TRAIN, EVALUATE)
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONUNBUFFERED": "1",
    "PYTHONWARNINGS": "ignore",
}


@dataclass(frozen=True)
class Service:
    """One process of the platform.

    Attributes:
        port: None for a process that answers no HTTP.
        ready: path that answers 200 when it is ready.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    home: Path
    port: int | None = None
    ready: str = ""

    @property
    def pid_file(self) -> Path:
        return self.home / "pids" / f"{self.name}.json"

    @property
    def log(self) -> Path:
        return self.home / "logs" / f"{self.name}.log"

    def running(self) -> Process | None:
        """The process, if it runs."""
        found = read_pid_file(self.pid_file)
        return found[0] if found and found[0].alive() else None

    def running_port(self) -> int | None:
        """The port that it was started on."""
        found = read_pid_file(self.pid_file)
        port = found[1].get("port") if found else None
        return port if isinstance(port, int) else None

    def is_ready(self) -> bool:
        """Whether it answers; the deployer says so in a file."""
        if self.port is None:
            process = self.running()
            said = self.home / "deploy" / "ready"
            return process is not None and said.exists() and said.read_text() == str(process.pid)
        try:
            answer = httpx.get(f"http://{HOST}:{self.port}{self.ready}", timeout=2.0, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.is_success


def services(settings: PlatformSettings, ports: Mapping[str, int]) -> list[Service]:
    """All processes, in the order in which people name them."""
    home, python = settings.home, sys.executable
    mlflow_url = f"http://{HOST}:{ports[MLFLOW]}"
    common = environment(settings)
    mlflow = (
        *(python, "-m", "mlflow", "server", "--host", HOST, "--port", str(ports[MLFLOW]), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"),
        *("--artifacts-destination", str(home / "mlflow" / "artifacts"), "--serve-artifacts"),
    )
    train = _service_settings("TRAIN", settings, ports[TRAIN], mlflow_url)
    evaluate = _service_settings("EVALUATE", settings, ports[EVALUATE], mlflow_url)
    evaluate["ROOKERY_EVALUATE_POLICY_DIR"] = str(home / "policies")
    deployer = common | {"ROOKERY_HOME": str(home), "ROOKERY_REPOSITORY": str(settings.repository)}
    return [
        Service(MLFLOW, mlflow, common, home, ports[MLFLOW], "/health"),
        Service(TRAIN, (python, "-m", "services.train"), common | train, home, ports[TRAIN], "/readyz"),
        Service(
            EVALUATE, (python, "-m", "services.evaluate"), common | evaluate, home, ports[EVALUATE], "/readyz"
        ),
        Service(DEPLOYER, (python, "-m", "workflows.local.deployer"), deployer, home),
    ]


def environment(settings: PlatformSettings) -> dict[str, str]:
    """The environment of every process: the user's own, without what would send local calls to a proxy."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return own | _QUIET | no_proxy() | {"PYTHONPATH": str(REPOSITORY)}


def no_proxy() -> dict[str, str]:
    """The variables that keep calls to this machine away from a proxy."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    value = ",".join(dict.fromkeys([*filter(None, given.split(",")), HOST, "localhost"]))
    return {"no_proxy": value, "NO_PROXY": value}


def step_configuration(settings: PlatformSettings, ports: Mapping[str, int]) -> dict[str, str]:
    """The content of the ConfigMap `rookery`, which is the environment of every workflow step."""
    return {
        "ROOKERY_MLFLOW_URL": f"http://{HOST}:{ports[MLFLOW]}",
        "ROOKERY_TRAIN_URL": f"http://{HOST}:{ports[TRAIN]}",
        "ROOKERY_EVALUATE_URL": f"http://{HOST}:{ports[EVALUATE]}",
        "ROOKERY_GIT_REMOTE": str(settings.gitops),
        "ROOKERY_IMAGES": f"oci:{settings.images}",
        "ROOKERY_SERVING_BASE": str(settings.repository),
        "ROOKERY_CACHE": str(settings.home / "cache"),
        "ROOKERY_ENVIRONMENT_URL": f"http://{HOST}:{{port}}",
        "ROOKERY_NOTIFY_URL": settings.notify_url,
        **no_proxy(),
    }


def _service_settings(name: str, settings: PlatformSettings, port: int, mlflow_url: str) -> dict[str, str]:
    return {
        f"ROOKERY_{name}_HOST": HOST,
        f"ROOKERY_{name}_PORT": str(port),
        f"ROOKERY_{name}_MLFLOW_URL": mlflow_url,
        f"ROOKERY_{name}_STATE_DIR": str(settings.home / name.lower()),
        f"ROOKERY_{name}_CACHE_DIR": str(settings.home / "data"),
    }
