"""The Ansible inventory, written from Terraform's outputs; the groups are those of ansible/inventories/example."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import yaml

from workflows.infra.ssh import Access

CONTROL_PLANE = 1
_NOTE = "# Written by `rookery infra` from Terraform's outputs, again at every `up`. Facts of your site go elsewhere.\n"


def inventory(access: Access) -> dict[str, Any]:
    """Groups, machines and variables; the first machine is the control plane."""
    outputs = access.outputs
    hosts: dict[str, dict[str, str]] = {}
    for node in outputs.nodes:
        facts = {
            "ansible_host": str(node.login_address),
            "node_address": str(node.address),
            "ansible_ssh_common_args": shlex.join(access.arguments(node)),
        }
        if node.data_device is not None:
            facts["data_device"] = node.data_device
        hosts[node.name] = facts
    names = list(hosts)
    return {
        "nodes": {
            "vars": {
                "ansible_user": outputs.site.user,
                "ansible_become": True,
                "external_addresses": [str(address) for address in outputs.site.external_addresses],
            },
            "children": {
                "control_plane": {"hosts": {name: hosts[name] for name in names[:CONTROL_PLANE]}},
                "workers": {"hosts": {name: hosts[name] for name in names[CONTROL_PLANE:]}},
            },
        }
    }


def text_of(access: Access) -> str:
    """The inventory as YAML."""
    return _NOTE + yaml.safe_dump(inventory(access), sort_keys=False, width=10_000)


def write(access: Access, path: Path) -> Path:
    """Writes it whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text_of(access))
    new.replace(path)
    return path
