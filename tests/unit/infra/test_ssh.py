"""The wait ends with a real login as root to every machine, or with what SSH said last."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.common.errors import Unavailable
from tests.unit.infra.test_outputs import real
from workflows.infra import ssh
from workflows.infra.outputs import Outputs
from workflows.infra.ssh import Access


@pytest.fixture
def access(tmp_path: Path) -> Access:
    return Access(Outputs.read(real("libvirt")), tmp_path / "known_hosts", tmp_path / "key")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for `ssh`, since there is nothing to log in to; what follows the function is its text."""
    path = tmp_path / "bin" / "ssh"
    path.parent.mkdir()
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(ssh, "_PAUSE_SECONDS", 0.05)
    return path


def write(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_the_host_keys_of_a_site_are_its_own_and_nothing_is_asked(access: Access) -> None:
    node = access.outputs.nodes[1]
    command = access.command(node, "true")
    assert command[0] == "ssh" and command[-2:] == ["debian@192.168.100.12", "true"]
    assert f"UserKnownHostsFile={access.known_hosts}" in command
    assert {"BatchMode=yes", "StrictHostKeyChecking=accept-new", "IdentitiesOnly=yes"} <= set(command)
    assert not [part for part in command if part.startswith("ProxyCommand")]


def test_it_waits_until_every_machine_lets_us_in(access: Access, program: Path) -> None:
    marker = program.parent / "second"
    write(
        program,
        f'case "$*" in *.12*) [ -e {marker} ] || {{ touch {marker}; echo refused >&2; exit 255; }};; esac',
    )
    said: list[str] = []
    took = access.wait(30, said.append)
    assert sorted(took) == ["node1", "node2", "node3"]
    assert said[0].startswith("waiting for a login to node1, node2, node3, 30 seconds at most")
    assert said[-1].startswith("node2: login to 192.168.100.12 works")


def test_it_ends_with_the_machines_that_are_missing_and_the_reason(access: Access, program: Path) -> None:
    write(program, 'case "$*" in *.13*) echo "Permission denied (publickey)." >&2; exit 255;; esac')
    with pytest.raises(
        Unavailable, match=r"no login within 0 seconds: node3: Permission denied \(publickey\)\.$"
    ):
        access.wait(0.3, lambda _: None)


def test_becoming_root_is_part_of_it(access: Access, program: Path) -> None:
    write(program, 'echo "$*" >> "$(dirname "$0")/log"')
    access.wait(60, lambda _: None)
    assert all(line.endswith("sudo -n true") for line in (program.parent / "log").read_text().splitlines())
