"""The model that a simulation leaves alone: a real server of a real image, gone with the simulation."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.support import web
from tests.support.gitops import REPOSITORY, Remote
from workflows.local.settings import PlatformSettings
from workflows.simulation.servers import left_alone

PLAY = (
    "import sys, time; from pathlib import Path; from workflows.local.settings import PlatformSettings\n"
    "from workflows.simulation.servers import left_alone\n"
    "with left_alone(PlatformSettings(home=Path(sys.argv[1])), sys.argv[2], Path(sys.argv[3])) as url:\n"
    "    print(url, flush=True); time.sleep(600)\n"
)


def answers(url: str) -> bool:
    try:
        return web.get(f"{url}/readyz", timeout=30).is_success
    except httpx.HTTPError:
        return False


def test_it_serves_the_image_and_ends_with_the_simulation_even_by_sigkill(tmp_path: Path) -> None:
    remote = Remote(tmp_path / "home")
    digest, bundle = remote.build(1)
    with left_alone(PlatformSettings(home=remote.home), digest, tmp_path / "first") as url:
        found = web.get(f"{url}/version", timeout=60).json()
        assert (found["image_digest"], found["bundle_digest"]) == (digest, bundle)
    assert not answers(url)
    command = [sys.executable, "-c", PLAY, str(remote.home), digest, str(tmp_path / "second")]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as player:
        assert player.stdout is not None
        url = player.stdout.readline().strip()
        assert answers(url)
        player.send_signal(signal.SIGKILL)
        assert player.wait(60) == -signal.SIGKILL
    end = time.monotonic() + 90
    while answers(url):
        assert time.monotonic() < end, "the server outlived the simulation"
        time.sleep(0.1)
