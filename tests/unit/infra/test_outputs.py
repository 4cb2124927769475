"""The shape of the outputs is held by a model; tests/tf/data has what Terraform really wrote."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from services.common.errors import InvalidInput
from workflows.infra.outputs import Outputs

DATA = Path(__file__).resolve().parents[2] / "tf" / "data"


def real(name: str) -> dict[str, Any]:
    return {
        key: item["value"] for key, item in json.loads((DATA / f"{name}-output.json").read_text()).items()
    }


@pytest.mark.parametrize("name", ["libvirt", "chameleon"])
def test_what_terraform_wrote_is_read(name: str) -> None:
    found = Outputs.read(real(name))
    assert [node.name for node in found.nodes] == ["node1", "node2", "node3"]
    assert [str(node.address)[-3:] for node in found.nodes] == [".11", ".12", ".13"]


def broken(change: str, value: Any) -> dict[str, Any]:
    values = copy.deepcopy(real("chameleon"))
    place: Any = values
    *folders, last = change.split(".")
    for part in folders:
        place = place[int(part) if part.isdigit() else part]
    place[last] = value
    return values


@pytest.mark.parametrize(
    ("change", "value", "said"),
    [
        ("nodes", [], "output nodes"),
        ("nodes.0.address", "192.168.1", "output nodes.0.address"),
        ("nodes.0.name", "node 1", "output nodes.0.name"),
        ("nodes.0.data_device", "/etc/passwd", "output nodes.0.data_device"),
        ("nodes.1.jump", "node9", "node2 is reached over a machine that is none of the others"),
        ("nodes.1.jump", "node2", "node2 is reached over a machine that is none of the others"),
        ("nodes.1.name", "node1", "two machines have one name|none of the others"),
        ("site.user", "a; rm -rf /", "output site.user"),
        ("site.external_addresses", [], "output site.external_addresses"),
    ],
)
def test_what_is_not_of_the_shape_is_named(change: str, value: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Outputs.read(broken(change, value))
