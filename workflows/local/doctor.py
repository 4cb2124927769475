"""Looks at everything the platform stands on and says what to do about what is wrong."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from services.common.digest import short
from services.common.errors import RookeryError
from services.common.settings import SERVICES
from workflows.local import platform
from workflows.local.desired import read_desired, read_tip
from workflows.local.members import chosen_members, port_setting, with_ports
from workflows.local.placement import environment_ports
from workflows.local.ports import describe_owner, is_free, owner
from workflows.local.processes import read_pid_file
from workflows.local.remote import checkout_head, newer_in_checkout
from workflows.local.serving import Release
from workflows.local.settings import PlatformSettings
from workflows.release.image import ImageStore

_PACKAGES = {"mlflow": (3, 17, 2), "torch": (2, 13), "hera": (7, 1), "onnxruntime": (1, 31)}
_SERVING = ("fastapi", "uvicorn", "onnxruntime", "soundfile", "soxr", "numpy")
_LOW_DISK_GIB, _NO_DISK_GIB = 5.0, 1.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    verdict: Literal["ok", "warning", "bad"]
    what: str
    found: str
    advice: str = ""

    def as_dict(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self)


def examine(settings: PlatformSettings) -> Iterator[Finding]:
    """All findings, in the order in which one would mend them."""
    looks: tuple[Callable[[PlatformSettings], Iterator[Finding]], ...] = (
        _interpreters,
        _packages,
        _disk,
        _checkout,
        _variables,
        _processes,
        _ports,
        _environments,
        _images,
    )
    for look in looks:
        try:
            yield from look(settings)
        except (RookeryError, OSError) as error:
            yield Finding("bad", look.__name__.strip("_"), str(error))


def _interpreters(settings: PlatformSettings) -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info >= (3, 11)
    yield Finding("ok" if good else "bad", "python", version, "" if good else "install Python 3.11 or newer")
    serving = settings.interpreter()
    wanted = ",".join(_SERVING)
    try:
        done = subprocess.run(
            [str(serving), "-c", f"import {wanted}"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding(
            "bad", "serving python", f"{serving}: {error}", "`make setup`, or set ROOKERY_SERVE_PYTHON"
        )
        return
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1]
        yield Finding(
            "bad", "serving python", f"{serving}: {last}", "`make setup`, or set ROOKERY_SERVE_PYTHON"
        )
    else:
        yield Finding("ok", "serving python", str(serving))


def _packages(settings: PlatformSettings) -> Iterator[Finding]:
    for name, least in _PACKAGES.items():
        wanted = ".".join(str(part) for part in least)
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding("bad", name, "not installed", f"`make setup` installs {name} {wanted}")
            continue
        have = tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0]))
        good = have >= least
        yield Finding(
            "ok" if good else "bad", name, version, "" if good else f"at least {wanted}: `make setup`"
        )


def _disk(settings: PlatformSettings) -> Iterator[Finding]:
    place = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    free = shutil.disk_usage(place).free / 2**30
    verdict: Literal["ok", "warning", "bad"] = "ok"
    if free < _LOW_DISK_GIB:
        verdict = "warning" if free > _NO_DISK_GIB else "bad"
    yield Finding(verdict, "disk", f"{free:.1f} GiB free at {place}", "" if verdict == "ok" else "make room")
    if not os.access(place, os.W_OK):
        yield Finding("bad", "disk", f"{place} cannot be written", "set ROOKERY_HOME to a folder of yours")


def _checkout(settings: PlatformSettings) -> Iterator[Finding]:
    done = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False)
    yield Finding("ok", "git", done.stdout.strip().removeprefix("git version "))
    yield Finding("ok", "checkout", f"{settings.repository} at {checkout_head(settings.repository)[:12]}")
    if (settings.gitops / "HEAD").exists():
        yield Finding("ok", "GitOps remote", f"{settings.gitops} at {read_tip(settings.gitops)[:12]}")
        lines = newer_in_checkout(settings)
        if lines:
            yield Finding("warning", "GitOps remote", lines[0], "; ".join(line.strip() for line in lines[1:]))


def _variables(settings: PlatformSettings) -> Iterator[Finding]:
    known = {f"ROOKERY_{name.upper()}" for name in PlatformSettings.model_fields} | {"ROOKERY_APPLICATION"}
    for name in sorted(os.environ):
        if name.startswith("ROOKERY_") and name not in known and not name.startswith(SERVICES):
            yield Finding("warning", "variable", f"{name} is no setting of the platform", f"`unset {name}`")


def _processes(settings: PlatformSettings) -> Iterator[Finding]:
    running = platform.running_processes(settings)
    for path in sorted((settings.home / "pids").glob("*.json")):
        entry = read_pid_file(path)
        if entry is None or not entry[0].alive():
            pid = entry[0].pid if entry else "?"
            yield Finding(
                "bad", path.stem, f"process {pid} is gone; see logs/{path.stem}.log", "`rookery up`"
            )
        else:
            yield Finding("ok", path.stem, f"process {entry[0].pid}")
    if not running:
        yield Finding("ok", "platform", "not running")


def _ports(settings: PlatformSettings) -> Iterator[Finding]:
    own = platform.own_pids(settings)
    names = with_ports(chosen_members())
    wanted: dict[str, int] = {name: int(getattr(settings, port_setting(name))) for name in names}
    wanted |= platform.known_ports(settings)
    if (settings.gitops / "HEAD").exists():
        places = environment_ports(settings)
        wanted |= {" ".join(place): port for place, port in places.items() if port is not None}
    for name, port in wanted.items():
        found = None if port == 0 or is_free(port) else owner(port)
        if port and not is_free(port) and not (found and found[0] in own) and not _child_of(found, own):
            taken = f"{port} is taken by {describe_owner(port)}"
            yield Finding("bad", f"port of {name}", taken, "end it, or `rookery up --ports auto`")


def _child_of(found: tuple[int, str] | None, own: set[int]) -> bool:
    if found is None:
        return False
    try:
        return os.getpgid(found[0]) in own
    except ProcessLookupError:
        return False


def _environments(settings: PlatformSettings) -> Iterator[Finding]:
    for path in sorted(settings.deploy.glob("*/*/status.json")):
        status = json.loads(path.read_text())
        name = f"{path.parent.parent.name} {path.parent.name}"
        if status.get("phase") == "failed":
            advice = f"`rookery rollback {path.parent.name} -a {path.parent.parent.name}`, or release a good version"
            yield Finding("bad", name, str(status.get("reason")), advice)


def _images(settings: PlatformSettings) -> Iterator[Finding]:
    store = ImageStore(settings.images)
    images = [str(entry["digest"]) for entry in store.images()]
    if (settings.gitops / "HEAD").exists():
        desired = read_desired(settings.gitops, read_tip(settings.gitops)).values()
        images += [one.image_digest for one in desired if isinstance(one, Release)]
    bad = 0
    for digest in dict.fromkeys(images):
        try:
            store.check(digest)
        except RookeryError as error:
            bad += 1
            yield Finding(
                "bad",
                f"image {short(digest)}",
                str(error),
                "roll back, or build it again by build-container-image",
            )
    if images and not bad:
        yield Finding("ok", "images", f"{len(set(images))} whole")
