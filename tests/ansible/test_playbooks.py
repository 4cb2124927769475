"""The playbooks without any machine: they parse, keep the rules of the house, and every setting is described."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.ansible.support import ANSIBLE, INVENTORIES, PLAYBOOKS, ROLES, load, run, tasks_of

TASK_FILES = sorted((ANSIBLE / "roles").glob("*/tasks/*.yml")) + sorted(
    (ANSIBLE / "roles").glob("*/handlers/*.yml")
)
KEYWORDS = {
    "name", "when", "loop", "loop_control", "register", "until", "retries", "delay", "changed_when", "failed_when",
    "vars", "notify", "no_log", "delegate_to", "become", "run_once", "environment", "block", "always", "rescue",
}  # fmt: skip
SECRET = re.compile(r"passw|secret|token|credential", re.IGNORECASE)


@pytest.mark.parametrize("inventory", INVENTORIES)
@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda p: p.stem)
def test_a_playbook_parses(playbook: Path, inventory: str) -> None:
    done = run("ansible-playbook", "-i", f"inventories/{inventory}", str(playbook), "--syntax-check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_ansible_lint_finds_nothing() -> None:
    done = run("ansible-lint", "--offline", "-qq", "--nocolor")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_site_runs_all_parts_in_order() -> None:
    order = [entry["ansible.builtin.import_playbook"] for entry in load(ANSIBLE / "playbooks/site.yml")]
    assert order == ["hello.yml", "nodes.yml", "kubernetes.yml", "argo.yml", "platform.yml"]


@pytest.mark.parametrize("path", TASK_FILES, ids=lambda p: f"{p.parts[-3]}-{p.parts[-2]}-{p.stem}")
def test_tasks_keep_the_rules(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 100
    for task in tasks_of(path):
        modules = [key for key in task if key not in KEYWORDS]
        assert all(name.startswith("ansible.builtin.") for name in modules), modules
        assert " " in task["name"], "a name is a sentence"
        if "until" in task:
            assert "retries" in task, f"{task['name']}: a wait is bounded"
            assert "delay" in task, f"{task['name']}: a wait is bounded"
        assert "ansible.builtin.shell" not in task, f"{task['name']}: programs, not shell"


def test_a_role_has_fewer_than_100_lines_of_tasks() -> None:
    lines = {r.name: sum(len(p.read_text().splitlines()) for p in (r / "tasks").glob("*.yml")) for r in ROLES}
    assert {name: count for name, count in lines.items() if count >= 100} == {}


def test_commands_say_what_changes() -> None:
    silent = [
        f"{path.parts[-3]}: {task['name']}"
        for path in TASK_FILES
        for task in tasks_of(path)
        if "ansible.builtin.command" in task
        and "changed_when" not in task
        and "creates" not in (task["ansible.builtin.command"] or {})
    ]
    assert silent == []


def test_secrets_have_no_defaults_and_are_not_printed() -> None:
    defaults = load(ANSIBLE / "roles/settings/defaults/main.yml")
    assert {name: value for name, value in defaults.items() if SECRET.search(name) and value} == {}
    for inventory in INVENTORIES:
        for path in (ANSIBLE / "inventories" / inventory).rglob("*.yml"):
            assert not SECRET.search(re.sub(r"#.*", "", path.read_text())), path
    reading = [
        task
        for path in TASK_FILES
        for task in tasks_of(path)
        if re.search(
            r"kubectl get secret|make-secrets|kubeadm token|upload-certs|--login",
            str(task.get("ansible.builtin.command", "")),
        )
        or SECRET.search(str(task.get("environment", "")))
    ]
    assert len(reading) >= 6
    assert [task["name"] for task in reading if task.get("no_log") is not True] == []
    # Ansible writes it before the command, where every process of the machine can read it.
    given = [task["environment"] for path in TASK_FILES for task in tasks_of(path) if "environment" in task]
    assert given and not [names for names in given if SECRET.search(str(names))]


def test_every_setting_is_described() -> None:
    described = set(re.findall(r"`([a-z_0-9]+)`", (ANSIBLE / "README.md").read_text()))
    defaults = set(load(ANSIBLE / "roles/settings/defaults/main.yml"))
    assert defaults - described == set()
    in_tables = set(
        re.findall(
            r"`([a-z_0-9]+)`",
            "\n".join(re.findall(r"^\| (`.*?`) \|", (ANSIBLE / "README.md").read_text(), re.MULTILINE)),
        )
    )
    assert in_tables - defaults == {"ansible_host", "node_address"}


def test_inventories_set_only_what_is_known() -> None:
    known = set(load(ANSIBLE / "roles/settings/defaults/main.yml")) | {"cluster_cache"}
    for inventory in INVENTORIES:
        for path in (ANSIBLE / "inventories" / inventory / "group_vars").glob("*.yml"):
            unknown = {name for name in load(path) if name not in known and not name.startswith("ansible_")}
            assert unknown == set(), path


def test_what_a_container_needs_is_in_the_test_inventory_alone() -> None:
    only_here = {"kernel_is_shared", "kubeadm_ignored_errors", "containerd_restrict_oom_score_adj"}
    assert only_here <= set(load(ANSIBLE / "inventories/e2e/group_vars/nodes.yml"))
    assert not only_here & set(load(ANSIBLE / "inventories/example/group_vars/all.yml"))


def test_no_file_is_written_in_an_order_that_changes() -> None:
    """What `difference` and its like give has another order each time: a second run would change files."""
    unordered = re.compile(r"\| *(difference|union|intersect|symmetric_difference)\b")
    templates = list((ANSIBLE / "roles").glob("*/templates/**/*.j2"))
    assert templates
    assert [str(path.relative_to(ANSIBLE)) for path in templates if unordered.search(path.read_text())] == []
