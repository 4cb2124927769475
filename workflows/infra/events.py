"""What Terraform says of its work: lines of `-json` output, told to people and kept for the diagnosis.

Format: https://developer.hashicorp.com/terraform/internals/machine-readable-ui
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Tell = Callable[[str], None]

_TOLD = frozenset({"apply_start", "apply_progress", "apply_complete", "apply_errored", "change_summary"})
MACHINES = ("libvirt_domain", "openstack_compute_instance_v2")
# What the OpenStack provider writes into the state only once it is ready, though it exists before.
_KNOWN_LATE = frozenset(
    f"openstack_{name}"
    for name in (
        "blockstorage_volume_v3",
        "compute_volume_attach_v2",
        "networking_floatingip_v2",
        "networking_network_v2",
        "networking_port_v2",
        "networking_subnet_v2",
    )
)


@dataclass
class Events:
    """The events of one command.

    Attributes:
        errors: summary and detail of each error.
        destroyed: addresses that the plan destroys or replaces, though they were made whole.
        made: addresses that were made.
        changes: how many resources the plan adds, changes, imports or removes.
    """

    tell: Tell
    errors: list[str] = field(default_factory=list)
    destroyed: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    changes: int = 0
    _under_way: set[str] = field(default_factory=set)

    def take(self, line: str) -> None:
        """Notes one line of output; a line that is no event is told as it is."""
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict) or "type" not in event:
            if line.strip():
                self.tell(line.rstrip())
            return
        kind = event["type"]
        if kind == "diagnostic":
            self._diagnostic(event["diagnostic"])
        elif kind == "planned_change":
            self._planned(event["change"])
        elif kind == "change_summary":
            changes = event["changes"]
            self.changes = sum(changes.get(name, 0) for name in ("add", "change", "import", "remove"))
        elif kind.startswith("apply_"):
            self._applied(kind, event["hook"])
        if kind in _TOLD and event.get("hook", {}).get("action") != "read":
            self.tell(event["@message"])

    def _diagnostic(self, found: dict[str, Any]) -> None:
        text = ": ".join(
            " ".join(part.split()) for part in (found.get("summary"), found.get("detail")) if part
        )
        if found.get("severity") == "error":
            self.errors.append(text)
        elif "neutron-lbaas" not in text:  # the OpenStack provider says so whatever is configured
            self.tell(f"warning: {text}")

    def _planned(self, change: dict[str, Any]) -> None:
        # One that was being made when an interrupt came is tainted: nothing is lost by making it again.
        if change["action"] in ("delete", "replace") and change.get("reason") != "tainted":
            self.destroyed.append(change["resource"]["addr"])

    def _applied(self, kind: str, hook: dict[str, Any]) -> None:
        address = hook["resource"]["addr"]
        if kind == "apply_start" and hook["action"] == "create":
            self._under_way.add(address)
        elif kind in ("apply_complete", "apply_errored"):
            self._under_way.discard(address)
            if kind == "apply_complete" and hook["action"] == "create":
                self.made.append(address)

    def safe(self) -> bool:
        """Whether nothing exists just now that an interrupt would keep out of the state."""
        return not any(part in _KNOWN_LATE for address in self._under_way for part in address.split("."))

    @property
    def machines_made(self) -> bool:
        """Whether a machine was made, so that its host key is a new one."""
        return any(part in MACHINES for address in self.made for part in address.split("."))
