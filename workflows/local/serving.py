"""One serving process: started from an unpacked image on a socket that it inherits, awaited, recorded."""

from __future__ import annotations

import os
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


@dataclass(frozen=True)
class Release:
    """What git says that an environment shall run.

    Attributes:
        commit: the newest commit that touched the release.
    """

    application: str
    environment: str
    image_digest: str
    bundle_digest: str
    model_version: str
    port: int
    commit: str

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes two releases different for a process; the commit alone does not."""
        return self.image_digest, self.model_version, self.port


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
                env=_environment(release, rootfs),
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


def _environment(release: Release, rootfs: Path) -> dict[str, str]:
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
    }


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
