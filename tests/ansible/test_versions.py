"""A version that the inventory changes reaches a cluster by the playbook of upgrades alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ansible.support import ANSIBLE, load, run, tasks_of

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("runs", "joined", "wanted", "passes"),
    [
        ("1.34.4", True, "1.34.4", True),
        ("1.34.4", True, "1.35.0", False),
        ("1.34.4", False, "1.35.0", True),
    ],
    ids=["same", "another", "not-joined"],
)
def test_a_node_of_the_cluster_keeps_its_version(
    runs: str, joined: bool, wanted: str, passes: bool, tmp_path: Path
) -> None:
    kubelet = tmp_path / "kubelet"
    kubelet.write_text(f"#!/bin/sh\necho Kubernetes v{runs}\n")
    kubelet.chmod(0o755)
    if joined:
        (tmp_path / "kubelet.conf").touch()
    extra = {
        "kubernetes_version": wanted,
        "kubernetes_binaries_folder": str(tmp_path),
        "kubernetes_binaries_joined": str(tmp_path / "kubelet.conf"),
    }
    words = [word for name, value in extra.items() for word in ("-e", f"{name}={value}")]
    done = run("ansible-playbook", "-i", str(HERE / "three/hosts.yml"), *words, str(HERE / "version.yml"))
    assert (done.returncode == 0) is passes, done.stdout + done.stderr
    if not passes:
        said = " ".join(done.stdout.split())
        assert f"node1 runs Kubernetes v{runs} and the inventory says {wanted}: playbooks/upgrade.yml" in said


def test_an_upgrade_takes_one_machine_after_the_other() -> None:
    plays = load(ANSIBLE / "playbooks/upgrade.yml")
    assert [(play["hosts"], play["serial"]) for play in plays] == [("control_plane", 1), ("workers", 1)]


def test_the_kubelet_is_never_newer_than_its_api_server() -> None:
    commands = [
        str(task.get("ansible.builtin.command") or task.get("ansible.builtin.include_role"))
        for task in tasks_of(ANSIBLE / "roles/kubernetes_upgrade/tasks/node.yml")
    ]
    order = [
        next(number for number, command in enumerate(commands) if word in command)
        for word in ("kubeadm upgrade apply", "kubeadm upgrade node", "kubectl drain")
    ]
    downloads = [number for number, command in enumerate(commands) if "kubernetes_binaries" in command]
    uncordon = next(number for number, command in enumerate(commands) if "kubectl uncordon" in command)
    assert downloads[0] < order[0] < order[1] < order[2] < downloads[1] < uncordon


def test_an_upgrade_that_was_cut_off_is_not_taken_for_done() -> None:
    """The kubelet says the new version before the node takes pods again."""
    asked, upgraded = load(ANSIBLE / "roles/kubernetes_upgrade/tasks/main.yml")
    assert asked["ansible.builtin.command"].endswith("{.status.nodeInfo.kubeletVersion}{.spec.unschedulable}")
    assert upgraded["when"] == f"{asked['register']}.stdout != 'v' ~ kubernetes_version"
