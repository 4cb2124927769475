"""What the platform playbook writes down of a site, from its inventory alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ansible.support import ANSIBLE, run

HERE = Path(__file__).parent
PEERS = {
    "client-networks": ["10.20.0.0/16", "192.168.1.11/32", "192.168.1.12/32", "192.168.1.13/32"],
    "node-networks": ["192.168.1.11/32", "192.168.1.12/32", "192.168.1.13/32"],
    "control-plane": ["192.168.1.11/32", "192.168.1.12/32", "192.168.1.13/32"],
    "train-networks": ["127.0.0.1/32"],
    "git-networks": ["127.0.0.1/32"],
    "image-registries": ["127.0.0.1/32"],
    "notify-networks": ["127.0.0.1/32"],
}


def describe(folder: Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run the role's words for three machines with these settings."""
    extra = {
        "roles_folder": str(ANSIBLE / "roles"),
        "rendered": str(folder / "facts.json"),
        "client_networks": ["10.20.0.0/16"],
        **settings,
    }
    (folder / "settings.yml").write_text(yaml.safe_dump(extra))
    inventory = str(HERE / "three/hosts.yml")
    return run(
        "ansible-playbook", "-i", inventory, "-e", f"@{folder / 'settings.yml'}", str(HERE / "facts.yml")
    )


def facts(folder: Path, **settings: Any) -> dict[str, Any]:
    """What is worked out of these settings."""
    done = describe(folder, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads((folder / "facts.json").read_text())
    return found


def peers(folder: Path, **settings: Any) -> dict[str, list[str]]:
    """Name of a fact → the networks that it lets through."""
    networks = facts(folder, **settings)["networks"]
    return {name: fact["networks"] for name, fact in networks.items()}


def test_a_site_of_its_own_is_open_to_its_nodes_and_clients_alone(tmp_path: Path) -> None:
    assert peers(tmp_path) == PEERS


def test_hosts_outside_are_let_through_by_their_address(tmp_path: Path) -> None:
    found = peers(
        tmp_path,
        rookery_image_registry="192.168.9.9:5000",
        train_url="http://192.168.7.7:9090",
        git_remote="https://203.0.113.5/rookery.git",
    )
    outside = {
        "image-registries": "192.168.9.9",
        "train-networks": "192.168.7.7",
        "git-networks": "203.0.113.5",
    }
    assert found == PEERS | {name: [f"{address}/32"] for name, address in outside.items()}


def test_an_overlay_speaks_to_pods_from_the_pods_network(tmp_path: Path) -> None:
    found = peers(
        tmp_path,
        pod_network="https://network.example/calico.yaml",
        image_registry_networks=["203.0.113.0/24"],
    )
    for name in ("node-networks", "client-networks"):
        assert found[name] == [*PEERS[name], "10.244.0.0/16"]
    assert found["image-registries"] == ["203.0.113.0/24"]
    assert found["control-plane"] == PEERS["control-plane"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "Set `image_registry_networks` to the networks of registry.example"),
        (
            {"image_registry_networks": ["203.0.113.0/24"], "train_url": "http://gpu.example:9090"},
            "Set `train_networks` to the networks of gpu.example",
        ),
        ({"rookery_image_registry": ""}, "Set `rookery_image_registry` to the host and port"),
    ],
)
def test_a_name_that_policies_cannot_know_is_refused(
    settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    done = describe(tmp_path, pod_network="https://network.example/calico.yaml", **settings)
    assert done.returncode != 0
    assert said in " ".join(done.stdout.split())


def test_mlflow_answers_the_names_that_people_use(tmp_path: Path) -> None:
    values = facts(tmp_path, external_addresses=["203.0.113.80"], external_names=["birds.example"])["values"]
    hosts = values["mlflow-hosts"]["/data/ROOKERY_TRACKING_ALLOWED_HOSTS"].split(",")
    assert {"203.0.113.80:*", "birds.example", "birds.example:*", "mlflow.rookery.svc:*"} <= set(hosts)


LOOP = {"monitor", "arbiter", "board", "notify"}
METRICS = {"prometheus", "alertmanager", "observe"}


@pytest.mark.parametrize(
    ("settings", "folders", "images"),
    [
        ({}, LOOP | {"schedules"}, LOOP),
        ({"closed_loop": False}, set(), set()),
        ({"metrics": True}, LOOP | METRICS | {"schedules", "grafana"}, LOOP | {"observe"}),
        (
            {"closed_loop": False, "metrics": True, "grafana_image": ""},
            METRICS | {"notify"},
            {"notify", "observe"},
        ),
    ],
)
def test_a_site_gets_the_parts_that_it_asks_for(
    settings: dict[str, Any], folders: set[str], images: set[str], tmp_path: Path
) -> None:
    found = facts(tmp_path, rookery_image_registry="192.168.9.9:5000", **settings)
    every = LOOP | METRICS | {"schedules", "grafana"}
    without = {folder.rpartition("/")[2] for folder in found["without"]}
    assert every - without == folders
    assert set(found["ours"]) & (LOOP | {"observe"}) == images
    asked = {name for name in found["others"] if name.startswith(("prom/", "grafana/"))}
    assert bool(asked) is bool(settings.get("metrics"))
    assert ("grafana/grafana" in asked) is ("grafana" in folders)
    told = found["settings"]
    assert bool(told["ROOKERY_ARBITER_URL"]) is bool(told["ROOKERY_MONITOR_URL"]) is ("arbiter" in folders)
    assert bool(told["ROOKERY_NOTICES_URL"]) is ("notify" in folders)
