"""`up`, `plan`, `down` and `inventory` of a site: Terraform layer by layer, then SSH, then the inventory."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.common.errors import Refused
from workflows.infra import clouds, diagnosis, inventory
from workflows.infra.events import Tell
from workflows.infra.outputs import Outputs
from workflows.infra.settings import InfraSettings
from workflows.infra.sites import MACHINES, VOLUME, Site, locked
from workflows.infra.ssh import Access
from workflows.infra.terraform import FLAG, Terraform, TerraformFailed, check_version

_PLAN = "up.tfplan"
_READING = re.compile(r": (Refreshing state|Still reading|Reading|Read complete)")
Ask = Callable[[str], bool]


class Provisioner:
    """The commands on one site."""

    def __init__(self, site: Site, settings: InfraSettings, tell: Tell) -> None:
        self.site, self.settings, self.tell = site, settings, tell

    def up(self, *, may_destroy: bool, ssh_seconds: float | None = None) -> Path:
        """Makes what is missing, waits for logins and writes the inventory; returns its path.

        Raises:
            Refused: something would be destroyed, and that was not agreed to.
            Conflict: machines exist that the state does not know, or another command is at work.
            Unavailable: a machine does not let us in within the time.
        """
        with locked(self.site):
            self._prepare()
            self._check_variables()
            for layer in self.site.layers:
                self._apply(layer, may_destroy)
            access = self._access()
            access.wait(ssh_seconds or self.settings.ssh_seconds, self.tell)
            return inventory.write(access, self.site.inventory)

    def plan(self) -> bool:
        """Shows what `up` would do; returns whether that is anything.

        What is looked up by a name that an earlier layer makes cannot be shown before that is made.
        """
        changes = False
        with locked(self.site):
            self._prepare()
            self._check_variables()
            for layer in self.site.layers:
                terraform = self._terraform(layer, **self._adoption(layer))
                if layer == MACHINES and VOLUME in self.site.layers and changes:
                    self.tell("machines: can be planned once the volume exists")
                    break
                self.tell(f"{layer}:")
                code = terraform.show(
                    self._tell_unless_reading,
                    "plan",
                    detailed_exitcode=FLAG,
                    lock=False,
                    compact_warnings=FLAG,
                )
                if code not in (0, 2):
                    raise TerraformFailed(f"terraform plan failed for the {layer}; the reason is above")
                changes = changes or code == 2
        return changes

    def down(self, ask: Ask, *, with_volume: bool = False) -> list[str]:
        """Destroys the machines, and the volume only when asked to; returns what is left.

        Raises:
            Refused: nobody agreed.
            NotFound: there is no state, so nothing is known to destroy.
        """
        with locked(self.site):
            self._prepare()
            known = {layer: self._terraform(layer) for layer in self.site.layers}
            found = {layer: _real(terraform.resources()) for layer, terraform in known.items()}
            going = [
                layer
                for layer in reversed(self.site.layers)
                if found[layer] and (layer == MACHINES or with_volume)
            ]
            if not going:
                self._remove_state(MACHINES)
                raise diagnosis.nothing_known(self.site)
            count = sum(len(found[layer]) for layer in going)
            resources = "1 resource" if count == 1 else f"{count} resources"
            if not ask(f"Destroy {resources} of {self.site.name} ({' and '.join(going)})?"):
                raise Refused(f"{self.site.name} is left as it is", allowed="--yes")
            for layer in going:
                self._destroy(layer)
            return [
                address for layer, addresses in found.items() if layer not in going for address in addresses
            ]

    def write_inventory(self, path: Path | None = None) -> Path:
        """Writes the inventory again from the state."""
        return inventory.write(self.known_access(), path or self.site.inventory)

    def known_access(self) -> Access:
        """The way to the machines that the state knows.

        Raises:
            NotFound: it knows none.
        """
        with locked(self.site):
            self._prepare()
            return self._access()

    def _prepare(self) -> None:
        check_version(self.settings.terraform)
        if VOLUME in self.site.layers:
            path = clouds.check(str(self.site.variables.get("cloud", "openstack")))
            self._environment = {} if path is None else {"OS_CLIENT_CONFIG_FILE": str(path)}
        else:
            self._environment = {}
        if self.settings.backend is None:
            for layer in self.site.layers:
                problem = diagnosis.lost(self.site, layer)
                if problem is not None:
                    raise problem

    def _terraform(self, layer: str, **extra: Any) -> Terraform:
        root = self.site.stage(layer, self.settings.backend, **extra)
        chosen = self.settings
        made = Terraform(
            root, chosen.terraform, chosen.stop_seconds, chosen.silent_seconds, self._environment
        )
        made.init(self.tell)
        return made

    def _check_variables(self) -> None:
        """Says wrong values of every layer before anything of the first one is made."""
        for layer in self.site.layers[1:]:
            _, planned = self._terraform(layer).events(_nobody, "plan", lock=False)
            problem = diagnosis.wrong_values(self.site, planned.errors)
            if problem is not None:
                raise problem

    def _tell_unless_reading(self, line: str) -> None:
        if not _READING.search(line):
            self.tell(line)

    def _adoption(self, layer: str) -> dict[str, Any]:
        """A volume of this name that no state knows is taken into the state, never made a second time."""
        if layer != VOLUME or self._terraform(layer).resources():
            return {}
        code, events = self._terraform(layer, adopt=True).events(_nobody, "plan", lock=False)
        if code == 0:
            self.tell("volume: one of this name exists; it is taken into the state")
            return {"adopt": True}
        if any(diagnosis.NO_SUCH_VOLUME.search(error) for error in events.errors):
            return {}
        raise diagnosis.explain(self.site, layer, events.errors, "plan")

    def _apply(self, layer: str, may_destroy: bool) -> None:
        terraform = self._terraform(layer, **self._adoption(layer))
        code, planned = terraform.events(_nobody, "plan", out=_PLAN)
        if code:
            raise diagnosis.explain(self.site, layer, planned.errors, "plan")
        if planned.destroyed and not may_destroy:
            raise Refused(
                f"this would destroy {', '.join(planned.destroyed)}",
                allowed="--yes, if that is meant; nothing was done",
            )
        if planned.changes or layer == MACHINES:
            self.site.save()
        self.tell(f"{layer}: {planned.changes} changes" if planned.changes else f"{layer}: nothing to change")
        code, applied = terraform.events(self.tell, "apply", _PLAN)
        (terraform.folder / _PLAN).unlink(missing_ok=True)
        if applied.machines_made:
            self.site.known_hosts.unlink(missing_ok=True)
        if code:
            raise diagnosis.explain(self.site, layer, applied.errors, "apply")

    def _destroy(self, layer: str) -> None:
        terraform = self._terraform(layer)
        if layer == VOLUME:
            (terraform.folder / "asked_override.tf").write_text(_MAY_GO)
        code, events = terraform.events(self.tell, "destroy", auto_approve=FLAG)
        if code:
            raise diagnosis.explain(self.site, layer, events.errors, "destroy")
        self._forget(layer)

    def _forget(self, layer: str) -> None:
        """Removes an empty state and what was written from it; the variables stay for the next `up`."""
        self._remove_state(layer)
        if layer == MACHINES:
            self.site.inventory.unlink(missing_ok=True)
            self.site.known_hosts.unlink(missing_ok=True)
        if not any(self.site.state(other).exists() for other in self.site.layers):
            shutil.rmtree(self.site.folder / "tf", ignore_errors=True)

    def _remove_state(self, layer: str) -> None:
        state = self.site.state(layer)
        for path in (state, state.with_name(f"{state.name}.backup")):
            path.unlink(missing_ok=True)

    def _access(self) -> Access:
        values = self._terraform(MACHINES).outputs()
        if not values:
            raise diagnosis.nothing_known(self.site)
        return Access(Outputs.read(values), self.site.known_hosts, self.site.identity)


_MAY_GO = """resource "openstack_blockstorage_volume_v3" "data" {
  lifecycle {
    prevent_destroy = false
  }
}
"""


def _nobody(_line: str) -> None:
    pass


def _real(addresses: list[str]) -> list[str]:
    """Without what exists in the state alone: a state that was begun anew beside its lost machines has nothing else."""
    return [address for address in addresses if "terraform_data." not in address]
