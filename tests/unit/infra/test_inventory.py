"""The inventory that is written from what Terraform really said, read by Ansible itself."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.infra.test_outputs import real
from workflows.infra.inventory import inventory, write
from workflows.infra.outputs import Outputs
from workflows.infra.ssh import Access

REPOSITORY = Path(__file__).resolve().parents[3]


def access(name: str, folder: Path) -> Access:
    return Access(Outputs.read(real(name)), folder / "known_hosts", folder / "key")


def seen_by_ansible(path: Path) -> dict[str, dict[str, object]]:
    tool = Path(sys.executable).with_name("ansible-inventory")
    done = subprocess.run(
        [tool, "-i", path, "--list"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=path.parent,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    return found


def test_the_groups_are_those_that_the_playbooks_want(tmp_path: Path) -> None:
    example = REPOSITORY / "ansible" / "inventories" / "example" / "hosts.yml"
    wanted = yaml.safe_load(example.read_text())["nodes"]["children"]
    found = inventory(access("libvirt", tmp_path))["nodes"]["children"]
    assert {group: list(part["hosts"]) for group, part in found.items()} == {
        group: list(part["hosts"]) for group, part in wanted.items()
    }


def test_ansible_reads_the_machines_and_how_to_reach_them(tmp_path: Path) -> None:
    found = seen_by_ansible(write(access("chameleon", tmp_path), tmp_path / "inventory.yml"))
    hosts = found["_meta"]["hostvars"]
    assert isinstance(hosts, dict)
    outputs = Outputs.read(real("chameleon"))
    assert hosts["node1"]["ansible_host"] == str(outputs.site.public_address)
    assert hosts["node1"]["data_device"] == outputs.nodes[0].data_device
    assert hosts["node2"]["ansible_host"] == hosts["node2"]["node_address"] == "192.168.1.12"
    assert hosts["node3"]["ansible_user"] == "debian" and hosts["node3"]["ansible_become"] is True
    assert "data_device" not in hosts["node2"]
    arguments = shlex.split(hosts["node2"]["ansible_ssh_common_args"])
    proxy = next(part for part in arguments if part.startswith("ProxyCommand="))
    inner = shlex.split(proxy.removeprefix("ProxyCommand="))
    assert inner[0] == "ssh" and inner[-1] == f"debian@{outputs.site.public_address}" and "%h:%p" in inner
    assert f"UserKnownHostsFile={tmp_path / 'known_hosts'}" in inner


@pytest.mark.parametrize("name", ["libvirt", "chameleon"])
def test_every_variable_is_one_that_the_roles_read(tmp_path: Path, name: str) -> None:
    files = [path for path in (REPOSITORY / "ansible").rglob("*") if path.suffix in (".yml", ".j2")]
    text = "\n".join(path.read_text() for path in files)
    nodes = inventory(access(name, tmp_path))["nodes"]
    hosts = [facts for group in nodes["children"].values() for facts in group["hosts"].values()]
    ours = {variable for facts in [nodes["vars"], *hosts] for variable in facts}
    assert {"node_address", "external_addresses", "data_device"} <= ours
    assert [v for v in sorted(ours) if not v.startswith("ansible_") and v not in text] == []


def test_one_machine_is_a_control_plane_alone(tmp_path: Path) -> None:
    values = real("libvirt")
    values["nodes"] = values["nodes"][:1]
    made = inventory(Access(Outputs.read(values), tmp_path / "known_hosts"))["nodes"]["children"]
    assert list(made["control_plane"]["hosts"]) == ["node1"] and made["workers"]["hosts"] == {}


@pytest.mark.parametrize("name", ["libvirt", "chameleon"])
def test_it_is_written_whole_and_the_same_each_time(tmp_path: Path, name: str) -> None:
    path = tmp_path / "new" / "inventory.yml"
    first = write(access(name, tmp_path), path).read_text()
    assert write(access(name, tmp_path), path).read_text() == first
    assert [item.name for item in path.parent.iterdir()] == ["inventory.yml"]
    assert first.startswith("# Written by `rookery infra`")
