"""One serving process: started from an unpacked image on a socket that it inherits, awaited, recorded."""

from __future__ import annotations

import os
import re
import resource
import select
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from services.common.errors import Unavailable
from services.common.files import write_json
from workflows.local.processes import Process, read_json, spawn
from workflows.local.settings import PlatformSettings

_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "OMP_NUM_THREADS")
_OF_THE_LOG = ("ROOKERY_SERVE_LOG_", "ROOKERY_SERVE_SHADOW_")
_FIELD = re.compile(r"^    (\w+): ", re.MULTILINE)


Key = tuple[str, str, int, int]


@dataclass(frozen=True)
class Release:
    """What git says that an environment shall run.

    Attributes:
        commit: the newest commit that touched the release.
        shadow_port: of the environment that gets a copy of the inputs; 0: none does.
    """

    application: str
    environment: str
    image_digest: str
    bundle_digest: str
    model_version: str
    port: int
    commit: str
    shadow_port: int = 0

    @property
    def key(self) -> Key:
        """What makes two releases different for a process; the commit alone does not."""
        return self.image_digest, self.model_version, self.port, self.shadow_port


@dataclass(frozen=True)
class Serving:
    """A serving process with what it was started for."""

    process: Process
    release: Release
    started: float

    def as_dict(self) -> dict[str, object]:
        """For the record from which another deployer takes over."""
        return {"process": asdict(self.process), "release": asdict(self.release), "started": self.started}

    @classmethod
    def from_dict(cls, value: object) -> Serving | None:
        """The inverse; None for anything that is no such record."""
        try:
            assert isinstance(value, dict)
            return cls(Process(**value["process"]), Release(**value["release"]), float(value["started"]))
        except (AssertionError, KeyError, TypeError, ValueError):
            return None


class Record:
    """Which processes an environment has: read by the next deployer and by `rookery down`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "processes.json"

    def read(self) -> dict[str, Serving]:
        """The processes by role: `serving`, `starting`, `draining`."""
        found = {role: Serving.from_dict(value) for role, value in read_json(self.path).items()}
        return {role: serving for role, serving in found.items() if serving is not None}

    def write(self, roles: dict[str, Serving | None]) -> None:
        """Replaces the record."""
        write_json(self.path, {role: serving.as_dict() for role, serving in roles.items() if serving})


class Starting:
    """A process that is on its way to readiness.

    Args:
        release: what it shall serve.
        rootfs: the unpacked image.
        listener: descriptor of the listening socket, shared with the process that serves now.
    """

    def __init__(self, settings: PlatformSettings, release: Release, rootfs: Path, listener: int) -> None:
        self.log = settings.logs / f"serve-{release.application}-{release.environment}.log"
        self._from = self.log.stat().st_size if self.log.exists() else 0
        self._seconds = settings.deploy_start_seconds
        self._ready, answer = os.pipe()
        try:
            process, self._child = spawn(
                _command(settings, rootfs, listener, answer),
                log=self.log,
                env=_environment(settings, release, rootfs),
                cwd=rootfs / "app",
                pass_fds=(listener, answer),
            )
        except OSError as error:
            os.close(self._ready)
            raise Unavailable(f"the serving process cannot be started: {error}") from error
        finally:
            os.close(answer)
        _limit(process.pid, settings)
        self.serving = Serving(process, release, time.time())

    def wait(self) -> tuple[Serving, subprocess.Popen[bytes]]:
        """The process, once it says that it is ready.

        Raises:
            Unavailable: it ended or did not become ready in time; it is gone then.
        """
        try:
            heard, _, _ = select.select([self._ready], [], [], self._seconds)
            if heard and os.read(self._ready, 64).startswith(b"ready"):
                return self.serving, self._child
            ended = bool(heard)
        finally:
            os.close(self._ready)
        self._child.kill()
        code = self._child.wait()
        what = f"ended with code {code}" if ended else f"was not ready within {self._seconds:g} s"
        raise Unavailable(f"the new process {what}: {self._last_words()}")

    def _last_words(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._from)
            lines = log.read(1 << 20).decode(errors="replace").strip().splitlines()
        return lines[-1].strip()[:300] if lines else f"no word in {self.log.name}"


def _command(settings: PlatformSettings, rootfs: Path, listener: int, answer: int) -> list[str]:
    return [
        str(settings.interpreter()),
        "-m",
        "services.serve",
        "--bundle",
        str(rootfs / "bundle"),
        "--fd",
        str(listener),
        "--ready-fd",
        str(answer),
    ]


def _environment(settings: PlatformSettings, release: Release, rootfs: Path) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in _PASSED if name in os.environ},
        "PYTHONPATH": str(rootfs / "app"),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "ROOKERY_SERVE_APPLICATION": release.application,
        "ROOKERY_SERVE_ENVIRONMENT": release.environment,
        "ROOKERY_SERVE_MODEL_VERSION": release.model_version,
        "ROOKERY_SERVE_IMAGE_DIGEST": release.image_digest,
        "ROOKERY_SERVE_EXPECTED_DIGEST": release.bundle_digest,
        **_known(_logging(settings, release), rootfs),
    }


def _logging(settings: PlatformSettings, release: Release) -> dict[str, str]:
    """Where the server logs its predictions and who gets a copy of its inputs; what the user has set wins."""
    variables = {
        "ROOKERY_SERVE_LOG_DIR": str(settings.spool / f"{release.application}-{release.environment}"),
        "ROOKERY_SERVE_LOG_INPUTS": str(settings.keep_inputs).lower(),
    }
    if release.shadow_port:
        variables["ROOKERY_SERVE_SHADOW_URL"] = f"http://127.0.0.1:{release.shadow_port}"
    own = {name: value for name, value in os.environ.items() if name.startswith(_OF_THE_LOG)}
    own.pop("ROOKERY_SERVE_LOG_DIR", None)
    return variables | own


def _known(variables: dict[str, str], rootfs: Path) -> dict[str, str]:
    """Those that the image's code has settings for: it may be older, and refuses what it does not know."""
    try:
        text = (rootfs / "app" / "services" / "serve" / "settings.py").read_text()
    except OSError:
        return {}
    names = {f"ROOKERY_SERVE_{name.upper()}" for name in _FIELD.findall(text)}
    return {name: value for name, value in variables.items() if name in names}


def _limit(pid: int, settings: PlatformSettings) -> None:
    if not hasattr(resource, "prlimit"):
        return
    memory = settings.deploy_memory_mib << 20
    try:
        resource.prlimit(pid, resource.RLIMIT_AS, (memory, memory))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        files = min(settings.deploy_open_files, hard)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (files, hard))
    except (ProcessLookupError, PermissionError):
        return
