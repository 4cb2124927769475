"""Three control planes are a matter of the inventory alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ansible.support import ANSIBLE, run

HERE = Path(__file__).parent / "three"
Documents = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Documents]:
    """Node's file → kind → document of what kubeadm is told."""
    folder = tmp_path_factory.mktemp("rendered")
    extra = ["-e", f"roles_folder={ANSIBLE / 'roles'}", "-e", f"rendered={folder}"]
    done = run("ansible-playbook", "-i", str(HERE / "hosts.yml"), *extra, str(HERE / "render.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    return {
        path.stem: {document["kind"]: document for document in yaml.safe_load_all(path.read_text())}
        for path in folder.glob("*.yaml")
    }


def test_the_first_is_initialised_and_the_others_join_as_control_planes(
    rendered: dict[str, Documents],
) -> None:
    assert rendered.keys() == {"init", "node2", "node3"}
    assert "InitConfiguration" in rendered["init"]
    for name, address in (("node2", "192.168.1.12"), ("node3", "192.168.1.13")):
        (document,) = rendered[name].values()
        assert document["kind"] == "JoinConfiguration"
        assert document["controlPlane"] == {
            "certificateKey": "00ff",
            "localAPIEndpoint": {"advertiseAddress": address},
        }
        assert document["discovery"]["bootstrapToken"]["apiServerEndpoint"] == "api.example:6443"


def test_the_server_is_reached_by_the_address_that_all_answer(rendered: dict[str, Documents]) -> None:
    cluster = rendered["init"]["ClusterConfiguration"]
    assert cluster["controlPlaneEndpoint"] == "api.example:6443"
    assert {"192.168.1.11", "192.168.1.12", "192.168.1.13"} <= set(cluster["apiServer"]["certSANs"])


def test_pods_run_on_every_node(rendered: dict[str, Documents]) -> None:
    nodes = [
        document["nodeRegistration"]
        for documents in rendered.values()
        for document in documents.values()
        if "nodeRegistration" in document
    ]
    assert [node["taints"] for node in nodes] == [[], [], []]


def test_the_playbook_takes_them_one_after_the_other() -> None:
    done = run("ansible-playbook", "-i", str(HERE / "hosts.yml"), "playbooks/kubernetes.yml", "--list-hosts")
    assert done.returncode == 0, done.stdout + done.stderr
    plays = {
        part.splitlines()[0].partition("): ")[2].partition("\t")[0]: set(part.split("hosts (")[1].split()[1:])
        for part in done.stdout.split("  play #")[1:]
    }
    assert plays["The first control plane starts"] == {"node1"}
    assert plays["Further control planes join, one after the other"] == {"node2", "node3"}
    assert plays["The workers join"] == set()
    (further,) = [
        play
        for play in yaml.safe_load((ANSIBLE / "playbooks/kubernetes.yml").read_text())
        if play["hosts"] == "control_plane[1:]"
    ]
    assert further["serial"] == 1


def test_an_address_is_passed_on_without_a_load_balancer(tmp_path: Path) -> None:
    extra = {
        "roles_folder": str(ANSIBLE / "roles"),
        "rendered": str(tmp_path),
        "control_plane_address": "192.168.1.10",
        "control_plane_endpoint": "192.168.1.10:6443",
    }
    words = [word for name, value in extra.items() for word in ("-e", f"{name}={value}")]
    done = run("ansible-playbook", "-i", str(HERE / "hosts.yml"), *words, str(HERE / "render.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    rules = {name: (tmp_path / f"{name}.conf").read_text() for name in ("node1", "node2", "node3")}
    priorities = [int(re.findall(r"priority (\d+)", text)[0]) for text in rules.values()]
    weight = int(re.findall(r"weight (\d+)", rules["node1"])[0])
    assert priorities == sorted(set(priorities), reverse=True)
    assert priorities[-1] + weight > priorities[0], "who answers has it before who does not"
    assert re.findall(r"[\d.]+(?=\n)", rules["node2"].split("unicast_peer {")[1].split("}")[0]) == [
        "192.168.1.11",
        "192.168.1.13",
    ]
    assert all("192.168.1.10/32" in text for text in rules.values())


def test_three_behind_the_address_of_one_are_refused(tmp_path: Path) -> None:
    extra = {
        "roles_folder": str(ANSIBLE / "roles"),
        "rendered": str(tmp_path),
        "control_plane_endpoint": "192.168.1.11:6443",
    }
    words = [word for name, value in extra.items() for word in ("-e", f"{name}={value}")]
    done = run("ansible-playbook", "-i", str(HERE / "hosts.yml"), *words, str(HERE / "render.yml"))
    assert done.returncode != 0
    assert "set control_plane_address to a free one" in " ".join(done.stdout.split())


def test_an_even_number_is_refused(tmp_path: Path) -> None:
    inventory = yaml.safe_load((HERE / "hosts.yml").read_text())
    del inventory["nodes"]["children"]["control_plane"]["hosts"]["node3"]
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    extra = ["-e", f"roles_folder={ANSIBLE / 'roles'}", "-e", f"rendered={tmp_path}"]
    done = run("ansible-playbook", "-i", str(tmp_path / "hosts.yml"), *extra, str(HERE / "render.yml"))
    assert done.returncode != 0
    assert "an odd number of nodes, now 2" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("kubernetes_version", "v1.34", "a version without v such as 1.34.4"),
        ("pod_network", "calico", "plain, or the URL of a manifest"),
        ("pod_cidr", "10.244.0.0/24", "an IPv4 network of /23 or larger"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    setting: str, value: str, allowed: str, tmp_path: Path
) -> None:
    extra = [
        "-e",
        f"roles_folder={ANSIBLE / 'roles'}",
        "-e",
        f"rendered={tmp_path}",
        "-e",
        f"{setting}={value}",
    ]
    done = run("ansible-playbook", "-i", str(HERE / "hosts.yml"), *extra, str(HERE / "render.yml"))
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert f'{setting} is "{value}"; allowed is {allowed}' in said
    assert "DEPRECATION" not in said
