"""The order of the commands and what keeps them from being run; a script that writes down its calls is Terraform.

What real providers do is shown by tests/tf and tests/e2e/kvm.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.common.errors import Conflict, InvalidInput, NotFound, Refused
from tests.unit.infra.test_outputs import DATA
from workflows.infra import ssh
from workflows.infra.provision import Provisioner
from workflows.infra.settings import InfraSettings
from workflows.infra.sites import open_site
from workflows.infra.terraform import TerraformFailed

REPOSITORY = Path(__file__).resolve().parents[3]
TERRAFORM = """#!/bin/sh
here=$(dirname "$0")
case "$1" in
version) echo '{"terraform_version": "1.11.4"}'; exit 0 ;;
init) exit 0 ;;
esac
what="$1 $(basename "$PWD")"
[ "$1" = plan ] && [ -n "$(grep -s adopt terraform.tfvars.json)" ] && what="$what adopt"
echo "$what" >>"$here/log"
cat "$here/$what" 2>/dev/null
exit "$(cat "$here/$what.code" 2>/dev/null || echo 0)"
"""
DOMAIN = 'module.nodes.libvirt_domain.node["node1"]'
VOLUME = "openstack_blockstorage_volume_v3.data"


def change(action: str, address: str, **more: str) -> dict[str, Any]:
    return {
        "type": "planned_change",
        "change": {"action": action, "resource": {"addr": address}, **more},
    }


@dataclass
class Lab:
    """A site whose Terraform says what the test put down for `<command> <folder>`."""

    provisioner: Provisioner
    answers: Path
    said: list[str] = field(default_factory=list)

    def says(self, what: str, *events: dict[str, Any], text: str = "", code: int = 0) -> None:
        (self.answers / what).write_text(text + "".join(f"{json.dumps(event)}\n" for event in events))
        (self.answers / f"{what}.code").write_text(str(code))

    @property
    def calls(self) -> list[str]:
        log = self.answers / "log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Lab:
    environment = getattr(request, "param", "libvirt")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("terraform", TERRAFORM), ("ssh", "#!/bin/sh\nexit 0\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(ssh, "_PAUSE_SECONDS", 0.05)
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text("clouds: {openstack: {}}")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(clouds))
    site = open_site(tmp_path / "home", REPOSITORY, environment)
    said: list[str] = []
    lab = Lab(Provisioner(site, InfraSettings(), said.append), programs, said)
    lab.says(f"output {environment}", text=(DATA / f"{environment}-output.json").read_text())
    return lab


on_openstack = pytest.mark.parametrize("lab", ["chameleon"], indirect=True)


def test_up_plans_applies_logs_in_and_writes_the_inventory(lab: Lab) -> None:
    path = lab.provisioner.up(may_destroy=False)
    assert lab.calls == ["plan libvirt", "apply libvirt", "output libvirt"]
    assert "machines: nothing to change" in lab.said
    assert yaml.safe_load(path.read_text())["nodes"]["vars"]["ansible_user"] == "debian"
    assert (path.parent / "site.json").exists()
    assert not list(path.parent.rglob("*.tfplan"))


@pytest.mark.parametrize("action", ["delete", "replace"])
def test_what_would_destroy_is_not_applied_without_a_yes(lab: Lab, action: str) -> None:
    lab.says("plan libvirt", change(action, DOMAIN))
    with pytest.raises(Refused, match=r"this would destroy module\.nodes\.libvirt_domain.*nothing was done"):
        lab.provisioner.up(may_destroy=False)
    assert lab.calls == ["plan libvirt"]
    assert not (lab.provisioner.site.folder / "site.json").exists()
    lab.provisioner.up(may_destroy=True)
    assert "apply libvirt" in lab.calls


def test_a_machine_that_an_interrupt_left_half_made_needs_no_yes(lab: Lab) -> None:
    lab.says("plan libvirt", change("replace", DOMAIN, reason="tainted"))
    lab.provisioner.up(may_destroy=False)
    assert "apply libvirt" in lab.calls


def test_a_new_machine_has_a_new_host_key(lab: Lab) -> None:
    lab.provisioner.up(may_destroy=False)
    known_hosts = lab.provisioner.site.known_hosts
    known_hosts.write_text("kept")
    lab.provisioner.up(may_destroy=False)
    assert known_hosts.read_text() == "kept"
    hook = {"action": "create", "resource": {"addr": DOMAIN}}
    lab.says("apply libvirt", {"type": "apply_complete", "@message": "made", "hook": hook})
    lab.provisioner.up(may_destroy=False)
    assert not known_hosts.exists()


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_an_error_of_a_provider_ends_it_with_what_to_do(lab: Lab, command: str) -> None:
    error = {"severity": "error", "summary": "network 'rookery' already exists with uuid"}
    lab.says(f"{command} libvirt", {"type": "diagnostic", "diagnostic": error}, code=1)
    with pytest.raises(Conflict, match=r"none is made twice.*When the state is lost"):
        lab.provisioner.up(may_destroy=False)
    assert not lab.provisioner.site.inventory.exists()


def test_plan_tells_whether_something_would_change(lab: Lab) -> None:
    assert lab.provisioner.plan() is False
    read = "module.nodes.libvirt_pool.disks: Refreshing state... [id=1]\n"
    lab.says("plan libvirt", text=f"{read}Plan: 1 to add\n", code=2)
    assert lab.provisioner.plan() is True
    assert "Plan: 1 to add" in lab.said and not [line for line in lab.said if "Refreshing" in line]
    lab.says("plan libvirt", code=1)
    with pytest.raises(TerraformFailed, match="terraform plan failed for the machines"):
        lab.provisioner.plan()


def test_down_destroys_what_the_state_knows_and_only_with_a_yes(lab: Lab) -> None:
    site = lab.provisioner.site
    lab.provisioner.up(may_destroy=False)
    site.state("machines").write_text("{}")
    lab.says("state libvirt", text=f"{DOMAIN}\nmodule.nodes.libvirt_pool.disks\n")
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    with pytest.raises(Refused, match="libvirt is left as it is"):
        lab.provisioner.down(no)
    assert asked == ["Destroy 2 resources of libvirt (machines)?"]
    assert "destroy libvirt" not in lab.calls
    assert lab.provisioner.down(lambda _: True) == []
    assert lab.calls[-1] == "destroy libvirt"
    assert sorted(path.name for path in site.folder.iterdir()) == [".lock", "site.json"]


def test_down_without_machines_asks_nothing(lab: Lab) -> None:
    with pytest.raises(NotFound, match="nothing is known of machines of the site libvirt"):
        lab.provisioner.down(lambda _: pytest.fail("asked"))
    assert "destroy libvirt" not in lab.calls


def test_a_state_that_was_begun_anew_beside_lost_machines_is_removed_and_the_inventory_kept(lab: Lab) -> None:
    site = lab.provisioner.site
    inventory = lab.provisioner.up(may_destroy=False)
    site.state("machines").write_text("{}")
    lab.says("state libvirt", text='module.nodes.terraform_data.first_boot["node1"]\n')
    with pytest.raises(NotFound, match="nothing is known of machines"):
        lab.provisioner.down(lambda _: pytest.fail("asked"))
    assert inventory.exists() and not site.state("machines").exists()


def test_a_destroy_that_fails_keeps_the_state(lab: Lab) -> None:
    state = lab.provisioner.site.state("machines")
    state.parent.mkdir(parents=True)
    state.write_text("{}")
    lab.says("state libvirt", text=f"{DOMAIN}\n")
    lab.says("destroy libvirt", code=1)
    with pytest.raises(TerraformFailed, match="terraform destroy failed"):
        lab.provisioner.down(lambda _: True)
    assert state.exists()


def test_an_inventory_needs_machines(lab: Lab, tmp_path: Path) -> None:
    assert lab.provisioner.write_inventory(tmp_path / "hosts.yml").read_text().startswith("# Written by")
    lab.says("output libvirt", text="{}")
    with pytest.raises(NotFound, match="nothing is known of machines"):
        lab.provisioner.write_inventory()


def test_a_state_that_was_lost_but_for_its_backup_stops_every_command(lab: Lab) -> None:
    folder = lab.provisioner.site.folder
    folder.mkdir(parents=True)
    (folder / "machines.tfstate.backup").write_text("{}")
    for command in (
        lambda: lab.provisioner.up(may_destroy=False),
        lab.provisioner.plan,
        lambda: lab.provisioner.down(lambda _: True),
        lab.provisioner.write_inventory,
    ):
        with pytest.raises(Conflict, match="the one before it is still there"):
            command()
    assert lab.calls == []


@on_openstack
def test_the_volume_comes_first_and_one_that_exists_is_adopted(lab: Lab) -> None:
    lab.provisioner.up(may_destroy=False)
    assert [call for call in lab.calls if not call.startswith("state")] == [
        "plan chameleon",
        "plan volume adopt",
        "plan volume adopt",
        "apply volume",
        "plan chameleon",
        "apply chameleon",
        "output chameleon",
    ]
    assert "volume: one of this name exists; it is taken into the state" in lab.said


@on_openstack
def test_a_volume_that_does_not_exist_is_made(lab: Lab) -> None:
    none = {"severity": "error", "summary": "Your query returned no results"}
    lab.says("plan volume adopt", {"type": "diagnostic", "diagnostic": none}, code=1)
    lab.provisioner.up(may_destroy=False)
    assert lab.calls[1:5] == ["state volume", "plan volume adopt", "plan volume", "apply volume"]


@on_openstack
def test_a_wrong_value_of_the_machines_is_said_before_the_volume_is_made(lab: Lab) -> None:
    wrong = "Invalid value for variable: flavor must be one. This was checked by the validation rule at x"
    error = {"severity": "error", "summary": wrong}
    lab.says("plan chameleon", {"type": "diagnostic", "diagnostic": error}, code=1)
    for command in (lambda: lab.provisioner.up(may_destroy=False), lab.provisioner.plan):
        with pytest.raises(InvalidInput, match=r"^flavor must be one\.$"):
            command()
    assert lab.calls == ["plan chameleon", "plan chameleon"]


@on_openstack
def test_what_made_a_later_step_fail_is_not_remembered(lab: Lab) -> None:
    error = {"severity": "error", "summary": "there is no flavor huge"}
    lab.says("plan chameleon", {"type": "diagnostic", "diagnostic": error}, code=1)
    with pytest.raises(TerraformFailed, match="there is no flavor huge"):
        lab.provisioner.up(may_destroy=False)
    assert not (lab.provisioner.site.folder / "site.json").exists()


@on_openstack
def test_down_leaves_the_volume_unless_asked(lab: Lab) -> None:
    for layer in ("machines", "volume"):
        state = lab.provisioner.site.state(layer)
        state.parent.mkdir(parents=True, exist_ok=True)
        state.write_text("{}")
    server = 'module.nodes.openstack_compute_instance_v2.node["node1"]'
    lab.says("state chameleon", text=f"{server}\nmodule.nodes.terraform_data.site\n")
    lab.says("state volume", text=f"{VOLUME}\n")
    asked: list[str] = []

    def yes(question: str) -> bool:
        asked.append(question)
        return True

    assert lab.provisioner.down(yes) == [VOLUME]
    assert "destroy volume" not in lab.calls
    assert lab.provisioner.down(yes, with_volume=True) == []
    assert lab.calls[-2:] == ["destroy chameleon", "destroy volume"]
    assert asked == [
        "Destroy 1 resource of chameleon (machines)?",
        "Destroy 2 resources of chameleon (machines and volume)?",
    ]
