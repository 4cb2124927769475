"""The two that are asked the same: production, which the loop keeps up to date, and the first model, left alone."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from services.common.errors import Unavailable
from services.common.trust import trust_for
from workflows.local.members import HOST
from workflows.local.ports import free_ports
from workflows.local.processes import spawn_bound, stop
from workflows.local.services import no_proxy
from workflows.local.settings import PlatformSettings
from workflows.release.image import ImageStore
from workflows.simulation.world import Input

_START_SECONDS = 60.0


@dataclass(frozen=True)
class Asked:
    """What came of a month's inputs.

    Attributes:
        right: for each input, whether its likeliest label is the truth.
        marks: real moments at which the inputs of each group began, milliseconds since 1970.
        end: real moment after the last answer.
    """

    right: list[bool]
    marks: list[int]
    end: int


def ask(url: str, inputs: Sequence[Input]) -> Asked:
    """Send every input to the server, one after the other; those of one group follow each other.

    Raises:
        Unavailable: it did not answer one of them.
    """
    right: list[bool] = []
    marks: list[int] = []
    group = None
    with httpx.Client(base_url=url, timeout=30.0, trust_env=False, verify=trust_for(url)) as http:
        for one in inputs:
            if one.group != group:
                group = one.group
                marks.append(_mark(marks))
            try:
                answer = http.post("/predict", content=one.data, params={"source": one.source})
                answer.raise_for_status()
            except httpx.HTTPError as error:
                raise Unavailable(f"{url} did not answer: {error}", value=one.name) from error
            right.append(answer.json()["label"] == one.truth)
    return Asked(right, marks, time.time_ns() // 1_000_000)


@contextmanager
def left_alone(settings: PlatformSettings, image_digest: str, folder: Path) -> Iterator[str]:
    """The address of a serving process of an image that nobody deploys to; it ends with the block.

    It is started from the same image as production was, on the same code, and logs nothing. It ends with this
    process too, however that ends: no state folder knows it.

    Raises:
        Unavailable: it was not ready in time.
    """
    rootfs = ImageStore(settings.images).unpack(image_digest, folder)
    port = free_ports(1, set(), settings.port_base)[0]
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": str(rootfs / "app"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ROOKERY_SERVE_IMAGE_DIGEST": image_digest,
        **no_proxy(),
    }
    command = [str(settings.interpreter()), "-m", "services.serve", "--bundle", str(rootfs / "bundle")]
    process, child = spawn_bound(
        [*command, "--host", HOST, "--port", str(port)],
        log=settings.logs / "serve-left-alone.log",
        env=environment,
        cwd=rootfs / "app",
    )
    try:
        _wait_ready(f"http://{HOST}:{port}")
        yield f"http://{HOST}:{port}"
    finally:
        stop([process], settings.stop_seconds)
        child.wait()


def digest_of(one: Input) -> str:
    """The digest under which the log knows an input."""
    return hashlib.sha256(one.data).hexdigest()


def _mark(before: list[int]) -> int:
    """Now, in a millisecond that no group before it has: the log's times are no finer."""
    if before:
        while (now := time.time_ns() // 1_000_000) <= before[-1] + 1:
            time.sleep(0.0005)
        return now
    return time.time_ns() // 1_000_000


def _wait_ready(url: str) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        try:
            if httpx.get(f"{url}/readyz", timeout=2.0, trust_env=False, verify=trust_for(url)).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise Unavailable(f"the first model was not served within {_START_SECONDS:g} s", value=url)
