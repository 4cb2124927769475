"""Which ports the services and the environments of this machine get."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from services.common.errors import Conflict
from workflows.local.desired import read_tip
from workflows.local.members import Member, chosen_members, port_setting, with_ports
from workflows.local.ports import PortChoice, describe_owner, free_ports, is_free, owner
from workflows.local.processes import read_pid_file
from workflows.local.remote import move_ports
from workflows.local.settings import PlatformSettings
from workflows.release.application import list_applications, load_application
from workflows.release.git import Git
from workflows.release.tree import Tree


def choose_ports(
    settings: PlatformSettings,
    known: Mapping[str, int],
    choice: PortChoice,
    members: tuple[Member, ...] = (),
) -> dict[str, int]:
    """Service → port, for these members, or for those that always belong to the platform.

    A service that runs keeps its port, and one that died beside it gets its own again.

    Raises:
        Conflict: a port is taken by somebody else and `choice` is fixed.
    """
    chosen: dict[str, int] = {}
    names = with_ports(members or chosen_members())
    running_ports = {name: _running_port(settings.home / "pids" / f"{name}.json") for name in names}
    partly = any(port is not None for port in running_ports.values())
    for name in names:
        wanted = int(getattr(settings, port_setting(name)))
        running = running_ports[name]
        if running is not None:
            chosen[name] = running
        elif partly and name in known and is_free(known[name]):
            chosen[name] = known[name]
        elif choice is PortChoice.RANDOM or wanted == 0:
            chosen[name] = _again_or_new(known.get(name, 0), set(chosen.values()), settings.port_base)
        elif is_free(wanted):
            chosen[name] = wanted
        elif choice is PortChoice.AUTO:
            chosen[name] = _again_or_new(known.get(name, 0), set(chosen.values()), settings.port_base)
        else:
            raise Conflict(
                f"port {wanted} for {name} is taken by {describe_owner(wanted)}",
                allowed=f"end that process, set ROOKERY_{port_setting(name).upper()}, or `rookery up --ports auto`",
            )
    return chosen


def place_environments(
    settings: PlatformSettings, choice: PortChoice, taken: set[int], own: set[int]
) -> dict[tuple[str, str], int]:
    """Moves environments whose ports cannot be had, by a commit; returns what was moved.

    Args:
        taken: ports of the services.
        own: pids of this platform, which may hold an environment's port.

    Raises:
        Conflict: a port is taken by somebody else and `choice` is fixed.
    """
    moves: list[tuple[str, str]] = []
    seen = set(taken)
    for place, port in environment_ports(settings).items():
        if port is None:
            moves.append(place)
            continue
        problem = _problem(port, seen, own)
        if problem is None and (choice is not PortChoice.RANDOM or not is_free(port)):
            seen.add(port)
        elif choice is not PortChoice.FIXED:
            moves.append(place)
        else:
            raise Conflict(
                f"port {port} for {' '.join(place)} is taken by {problem}",
                allowed="end that process, or `rookery up --ports auto`, which commits another port",
            )
    moved = dict(zip(moves, free_ports(len(moves), seen, settings.port_base), strict=True))
    move_ports(settings, moved)
    return moved


def environment_ports(settings: PlatformSettings) -> dict[tuple[str, str], int | None]:
    """(application, environment) → port in the GitOps remote, None where it names none."""
    tree = Tree(Git(settings.gitops), read_tip(settings.gitops))
    return {
        (name, environment): facts.ports.get(environment)
        for name in list_applications(tree)
        for facts in [load_application(tree, name)]
        for environment in facts.environments
    }


def _problem(port: int, seen: set[int], own: set[int]) -> str | None:
    if port in seen:
        return "another part of this platform"
    if is_free(port):
        return None
    found = owner(port)
    return None if found and found[0] in own else describe_owner(port)


def _running_port(pid_file: Path) -> int | None:
    found = read_pid_file(pid_file)
    if found is None or not found[0].alive():
        return None
    port = found[1].get("port")
    return port if isinstance(port, int) else None


def _again_or_new(former: int, taken: set[int], base: int) -> int:
    if former and former not in taken and is_free(former):
        return former
    return free_ports(1, taken, base)[0]
