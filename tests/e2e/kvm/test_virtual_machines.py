"""Three virtual machines from nothing to prepared nodes, with the interruptions that happen. `make e2e-kvm` runs it.

The tests build on each other and run in this order. Without hardware virtualisation they take a quarter of an hour.
"""

from __future__ import annotations

import hashlib
import http.server
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.e2e.kvm.bench import (
    GATEWAY,
    HERE,
    PREFIX,
    REPOSITORY,
    Bench,
    can_virtualise,
    domains,
    leftovers,
    remove_leftovers,
    virsh,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rookery" / "kvm"
NODES = [f"{PREFIX}-node{number}" for number in (1, 2, 3)]


def tool(*command: str | Path) -> str:
    """The last line of a script's output."""
    texts = [str(part) for part in command]
    return subprocess.run(texts, check=True, stdout=subprocess.PIPE, text=True, timeout=1200).stdout.strip()


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """libvirt that answers, an image, an empty site; and nothing of it at the end."""
    times: list[tuple[str, float]] = []

    def timed(what: str, *command: str | Path) -> str:
        began = time.monotonic()
        said = tool(*command)
        times.append((what, time.monotonic() - began))
        return said

    timed("Debian packages", HERE / "packages.sh")
    timed("image from packages", HERE / "image.sh", CACHE / "image")
    tools = REPOSITORY / "tests" / "tools"
    config = timed("providers", tools / "terraform-providers.sh")
    folder = Path(tempfile.mkdtemp(prefix="rookery-kvm-"))
    made = Bench(folder, CACHE / "image", config, tool(tools / "terraform.sh"), times)
    tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "kvm-e2e", "-f", folder / "key")
    timed("libvirt starts", HERE / "libvirt.sh", "start", CACHE / "libvirt")
    remove_leftovers()
    try:
        yield made
    finally:
        remove_leftovers()
        tool(HERE / "libvirt.sh", "stop", CACHE / "libvirt")
        shutil.rmtree(folder)
        emulated = "hardware virtualisation" if can_virtualise() else "software emulation"
        print(f"\nTimes ({emulated}, {os.cpu_count()} processors):")
        for what, seconds in made.times:
            print(f"  {seconds:7.1f} s  {what}")


def test_an_interrupted_up_leaves_a_state_to_go_on_from(bench: Bench) -> None:
    done = bench.rookery(
        "up, interrupted after the base image",
        "up",
        *bench.variables(),
        interrupt_at=lambda line: "libvirt_volume.base" in line and "complete" in line,
    )
    assert done.code == 1
    assert "interrupted; what was made is in the state" in done.text
    assert (bench.site / "machines.tfstate").exists()
    assert set(domains()) <= set(NODES)
    assert not (bench.site / "inventory.yml").exists()


def test_the_same_command_finishes_it(bench: Bench) -> None:
    done = bench.rookery("up, to the last login", "up")
    assert done.code == 0, done.text
    assert domains() == NODES
    assert [line for line in done.text.splitlines() if re.search(r"node\d: login to .* works", line)]
    found = yaml.safe_load((bench.site / "inventory.yml").read_text())["nodes"]["children"]
    assert list(found["control_plane"]["hosts"]) == ["node1"]
    assert {name: facts["ansible_host"] for name, facts in found["workers"]["hosts"].items()} == {
        "node2": "192.168.123.12",
        "node3": "192.168.123.13",
    }


def test_a_second_up_makes_nothing(bench: Bench) -> None:
    before = virsh("list", "--uuid")
    done = bench.rookery("up again", "up")
    assert done.code == 0, done.text
    assert "machines: nothing to change" in done.text
    assert virsh("list", "--uuid") == before


def test_a_lost_state_leads_to_a_message_and_no_second_machine(bench: Bench) -> None:
    state, away = bench.site / "machines.tfstate", bench.folder / "away"
    before = virsh("list", "--uuid")
    state.rename(away)
    with_backup = bench.rookery("up, the state lost but for its backup", "up")
    assert with_backup.code == 1
    assert "the one before it is still there" in with_backup.text
    backup = bench.site / "machines.tfstate.backup"
    backup.unlink()
    done = bench.rookery("up, the state lost", "up")
    assert done.code == 1
    assert "exist already" in done.text and "When the state is lost" in done.text
    assert domains() == NODES
    assert virsh("list", "--uuid") == before
    for path in (state, backup):
        path.unlink(missing_ok=True)
    away.rename(state)
    assert bench.rookery("plan, the state back", "plan", "--exit-code").code == 0


def test_what_would_replace_a_machine_is_refused(bench: Bench) -> None:
    before = virsh("list", "--uuid")
    done = bench.rookery("up with a smaller disk", "up", "-v", "disk_gib=9")
    assert done.code == 3
    assert "this would destroy" in done.text
    assert virsh("list", "--uuid") == before


@pytest.fixture
def downloads(bench: Bench, tmp_path: Path) -> Iterator[str]:
    """Where the playbook looks for Kubernetes: a folder served to the guests alone, as this network has no other."""
    folder = tmp_path / "v1.34.4" / "bin" / "linux" / "amd64"
    folder.mkdir(parents=True)
    (folder / "kubeadm.sha256").write_text(hashlib.sha256(b"").hexdigest())
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer((GATEWAY, 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://{GATEWAY}:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_playbooks_run_and_change_nothing_the_second_time(bench: Bench, downloads: str) -> None:
    url = f"kubernetes_download_url={downloads}"
    hello = bench.playbook("hello.yml", "hello.yml", url, timeout=600)
    assert hello.code == 0, hello.text
    first = bench.playbook("nodes.yml", "nodes.yml", url, timeout=2400)
    assert first.code == 0, first.text
    second = bench.playbook("nodes.yml again", "nodes.yml", url, timeout=1200)
    assert second.code == 0, second.text
    recap = re.findall(r"^(node\d) .*?changed=(\d+)", second.text, re.MULTILINE)
    assert dict(recap) == {"node1": "0", "node2": "0", "node3": "0"}


@pytest.mark.skipif(not can_virtualise(), reason="Kubernetes under software emulation takes hours")
def test_kubernetes_comes_up(bench: Bench) -> None:
    done = bench.playbook("kubernetes.yml", "kubernetes.yml", timeout=1800)
    assert done.code == 0, done.text


def test_down_asks_and_then_leaves_nothing(bench: Bench) -> None:
    refused = bench.rookery("down without a yes", "down")
    assert refused.code == 1
    assert "--yes" in refused.text
    assert domains() == NODES
    done = bench.rookery("down", "down", "--yes")
    assert done.code == 0, done.text
    assert "nothing is left" in done.text
    assert leftovers() == []
    assert not list((bench.folder / "pool").glob("*"))
    assert sorted(path.name for path in bench.site.iterdir()) == [".lock", "site.json"]
    again = bench.rookery("down again", "down", "--yes")
    assert again.code == 1
    assert "nothing is known of machines" in again.text
