"""The bare repository: made on the first start, its configuration set on each."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from services.git.settings import GitServerSettings

HOOKS = Path(__file__).resolve().parent / "hooks"


def prepare(settings: GitServerSettings) -> Path:
    """The repository, with the hooks that belong to this code; returns its folder.

    Raises:
        OSError: the volume cannot be written.
        subprocess.CalledProcessError: git refuses.
    """
    path = settings.path
    if not (path / "HEAD").exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _git("init", "--quiet", "--bare", "--initial-branch", settings.branch, str(path))
    for key, value in _configuration(settings).items():
        _git("-C", str(path), "config", key, value)
    return path


def git_environment(settings: GitServerSettings) -> dict[str, str]:
    """What git needs besides the request: no file of a user's, and our volume is to be trusted."""
    return {
        "PATH": os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
        "HOME": settings.scratch,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _configuration(settings: GitServerSettings) -> Mapping[str, str]:
    return {
        "http.receivepack": "true",
        "http.getanyfile": "false",
        "core.hooksPath": str(HOOKS),
        "receive.fsckObjects": "true",
        "receive.maxInputSize": str(settings.max_megabytes << 20),
        "receive.denyDeleteCurrent": "refuse",
        "uploadpack.allowFilter": "true",
    }


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, timeout=60)
