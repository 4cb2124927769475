"""Lines of Terraform's JSON output become progress, errors and what a plan would destroy."""

from __future__ import annotations

import json
from typing import Any

from workflows.infra.events import Events


def line(kind: str, **rest: Any) -> str:
    return json.dumps({"type": kind, "@message": f"message of {kind}", **rest}) + "\n"


def hook(kind: str, address: str, action: str = "create") -> str:
    return line(kind, hook={"action": action, "resource": {"addr": address}})


def taken(*lines: str) -> tuple[Events, list[str]]:
    said: list[str] = []
    events = Events(said.append)
    for text in lines:
        events.take(text)
    return events, said


def test_progress_is_told_and_the_rest_is_not() -> None:
    _, said = taken(
        line("version"),
        hook("apply_start", "x.y"),
        line("refresh_start"),
        hook("apply_progress", "x.y"),
        line("outputs"),
    )
    assert said == ["message of apply_start", "message of apply_progress"]


def test_errors_are_kept_and_warnings_told() -> None:
    error = {"severity": "error", "summary": "No network", "detail": "It is\n  gone."}
    warning = {"severity": "warning", "summary": "Old"}
    events, said = taken(line("diagnostic", diagnostic=error), line("diagnostic", diagnostic=warning))
    assert events.errors == ["No network: It is gone."]
    assert said == ["warning: Old"]


def test_what_a_plan_destroys_or_replaces_is_known() -> None:
    changes = [
        line("planned_change", change={"action": action, "resource": {"addr": action}})
        for action in ("create", "update", "delete", "replace", "import")
    ]
    tainted = {"action": "replace", "reason": "tainted", "resource": {"addr": "half-made"}}
    changes.append(line("planned_change", change=tainted))
    events, _ = taken(
        *changes, line("change_summary", changes={"add": 2, "change": 1, "remove": 2, "operation": "plan"})
    )
    assert events.destroyed == ["delete", "replace"]
    assert events.changes == 5


def test_a_machine_that_was_made_has_a_new_host_key() -> None:
    def made(address: str) -> bool:
        return taken(hook("apply_complete", address))[0].machines_made

    assert made('module.nodes.libvirt_domain.node["node1"]')
    assert made('module.nodes.openstack_compute_instance_v2.node["node1"]')
    assert not made("module.nodes.libvirt_network.nodes")


def test_what_is_no_event_is_told_as_it_is() -> None:
    _, said = taken("panic: something\n", "\n", '"text"\n', "{}\n")
    assert said == ["panic: something", '"text"', "{}"]


def test_an_interrupt_waits_for_what_is_not_yet_in_the_state() -> None:
    port = 'module.nodes.openstack_networking_port_v2.external["node1"]'
    server = 'module.nodes.openstack_compute_instance_v2.node["node1"]'
    events, _ = taken(hook("apply_start", server), hook("apply_start", port, "delete"))
    assert events.safe()
    events.take(hook("apply_start", port))
    assert not events.safe()
    events.take(hook("apply_errored", port))
    assert events.safe()
