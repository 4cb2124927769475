"""The processes of the platform: how each is started and how one sees that it is ready."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from services.common.trust import trust_for
from workflows.local.members import HOST, MEMBERS, NOTIFY, Member, Place, chosen_members
from workflows.local.processes import Process, read_pid_file
from workflows.local.settings import REPOSITORY, PlatformSettings

SOCKETS = "sockets"
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
        says: folder in which one without HTTP writes its process id to `ready`.
        patience: seconds that it may take to start, where that is more than the setting says.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    home: Path
    port: int | None = None
    ready: str = ""
    says: str = ""
    patience: float = 0

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
        """Whether it answers; one without HTTP says so in a file."""
        if self.port is None:
            process = self.running()
            said = self.home / self.says / "ready"
            return process is not None and said.exists() and said.read_text() == str(process.pid)
        try:
            url = f"http://{HOST}:{self.port}{self.ready}"
            answer = httpx.get(url, timeout=2.0, trust_env=False, verify=trust_for(url))
        except httpx.HTTPError:
            return False
        return answer.is_success


def services(
    settings: PlatformSettings,
    ports: Mapping[str, int],
    packs: tuple[str, ...] = (),
    members: Sequence[Member] | None = None,
) -> list[Service]:
    """All processes of the packs, or the `members` named, in the order in which people name them."""
    place = Place(settings, ports)
    # Everybody may have something to tell people; who set another address keeps it.
    common = {"ROOKERY_NOTICES_URL": place.url(NOTIFY)} | environment(settings)
    return [
        Service(
            member.name,
            member.argv(place),
            member.defaults(place) | common | member.environment(place),
            settings.home,
            ports[member.name] if member.ready else None,
            member.ready,
            member.says,
            member.patience,
        )
        for member in (chosen_members(packs) if members is None else members)
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
    place = Place(settings, ports)
    return {
        **{member.told: place.url(member.name) for member in MEMBERS if member.told},
        "ROOKERY_GIT_REMOTE": str(settings.gitops),
        "ROOKERY_IMAGES": f"oci:{settings.images}",
        "ROOKERY_SERVING_BASE": str(settings.repository),
        "ROOKERY_CACHE": str(settings.home / "cache"),
        "ROOKERY_ENVIRONMENT_URL": f"http://{HOST}:{{port}}",
        **no_proxy(),
    }
