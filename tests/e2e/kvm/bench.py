"""What the tests of the virtual machines run: `rookery infra`, virsh and Ansible, with the time that each took."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
SITE = "kvm-e2e"
NETWORK = "192.168.123.0/24"
GATEWAY = "192.168.123.1"
PREFIX = "rk-e2e"


def can_virtualise() -> bool:
    """Whether the processor runs guests itself."""
    flags = Path("/proc/cpuinfo").read_text()
    return Path("/dev/kvm").exists() and any(f" {flag}" in flags for flag in ("vmx", "svm"))


@dataclass
class Done:
    """What a command did."""

    code: int
    text: str
    seconds: float


@dataclass
class Bench:
    """One site in a folder of its own."""

    folder: Path
    image: Path
    cli_config: str
    terraform: str
    times: list[tuple[str, float]] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """Of all commands."""
        others = {
            name: value for name, value in os.environ.items() if not name.startswith(("ROOKERY_", "TF_"))
        }
        return others | {
            "ROOKERY_HOME": str(self.folder / "home"),
            "ROOKERY_INFRA_TERRAFORM": self.terraform,
            "TF_CLI_CONFIG_FILE": self.cli_config,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ANSIBLE_TIMEOUT": "60",
            "ANSIBLE_NOCOLOR": "1",
        }

    @property
    def site(self) -> Path:
        """The site's folder."""
        return self.folder / "home" / "infra" / SITE

    def variables(self) -> list[str]:
        """Options of the first `up`: small guests, and a kernel beside the image, since that has no boot loader."""
        kernel = {
            "kernel": str(self.image / "vmlinuz"),
            "initrd": str(self.image / "initrd.img"),
            "arguments": {"root": "/dev/vda", "console": "ttyS0", "mitigations": "off"},
            "flags": "ro",
        }
        given = {
            "name": PREFIX,
            "base_image": str(self.image / "disk.qcow2"),
            "direct_kernel": kernel,
            "cidr": NETWORK,
            "domain_type": "kvm" if can_virtualise() else "qemu",
            "memory_mib": 4096 if can_virtualise() else 2048,
            "vcpus": 2,
            "disk_gib": 40 if can_virtualise() else 8,
            "data_gib": 2,
            "pool_path": str(self.folder / "pool"),
            "ssh_public_keys": [(self.folder / "key.pub").read_text().strip()],
        }
        options = ["--on", "libvirt", "--identity", str(self.folder / "key")]
        for name, value in given.items():
            options += ["-v", f"{name}={json.dumps(value)}"]
        return options

    def run(
        self,
        what: str,
        *command: str,
        timeout: float = 600,
        folder: Path = REPOSITORY,
        interrupt_at: Callable[[str], bool] | None = None,
    ) -> Done:
        """Runs a command and shows its output; sends SIGINT once, when `interrupt_at` says so of a line."""
        began = time.monotonic()
        lines: list[str] = []
        print(f"\n$ {what}", flush=True)
        with subprocess.Popen(
            command,
            cwd=folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            alarm = threading.Timer(timeout, process.kill)
            alarm.start()
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    lines.append(line)
                    print(f"  {time.monotonic() - began:6.1f} {line}", end="", flush=True)
                    if interrupt_at is not None and interrupt_at(line):
                        interrupt_at = None
                        process.send_signal(signal.SIGINT)
                code = process.wait()
            finally:
                alarm.cancel()
        seconds = time.monotonic() - began
        self.times.append((what, seconds))
        return Done(code, "".join(lines), seconds)

    def rookery(
        self, what: str, *arguments: str, timeout: float = 900, **more: Callable[[str], bool]
    ) -> Done:
        """A command of `rookery infra` on the site."""
        command = (sys.executable, "-m", "workflows.cli", "infra", arguments[0], SITE, *arguments[1:])
        return self.run(what, *command, timeout=timeout, **more)

    def playbook(self, what: str, name: str, *extra: str, timeout: float) -> Done:
        """A playbook with the inventory that `up` wrote, as `up` tells to run it."""
        command = ["ansible-playbook", "-i", str(self.site / "inventory.yml"), f"playbooks/{name}"]
        for value in ("node_answer_seconds=300", "node_clock_seconds=600", *extra):
            command += ["-e", value]
        return self.run(what, *command, timeout=timeout, folder=REPOSITORY / "ansible")


def virsh(*arguments: str) -> list[str]:
    """Lines that virsh prints."""
    done = subprocess.run(
        ["virsh", "--connect", "qemu:///system", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def domains() -> list[str]:
    """Names of our machines, running or not."""
    return sorted(name for name in virsh("list", "--all", "--name") if name.startswith(PREFIX))


def leftovers() -> list[str]:
    """All of ours that libvirt knows."""
    networks = [name for name in virsh("net-list", "--all", "--name") if name == PREFIX]
    pools = [name for name in virsh("pool-list", "--all", "--name") if name == PREFIX]
    return domains() + networks + pools


def remove_leftovers() -> None:
    """Takes away by hand what a failed test left."""
    for name in domains():
        subprocess.run(["virsh", "-c", "qemu:///system", "destroy", name], check=False, timeout=60)
        subprocess.run(["virsh", "-c", "qemu:///system", "undefine", name], check=False, timeout=60)
    for kind in ("net", "pool"):
        if PREFIX in virsh(f"{kind}-list", "--all", "--name"):
            for action in ("destroy", "undefine"):
                subprocess.run(
                    ["virsh", "-c", "qemu:///system", f"{kind}-{action}", PREFIX], check=False, timeout=60
                )
