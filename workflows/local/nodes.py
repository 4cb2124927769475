"""The nodes of a run: names, identities and phases as Argo Workflows gives them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

PENDING, RUNNING = "Pending", "Running"
SUCCEEDED, FAILED, ERROR = "Succeeded", "Failed", "Error"
SKIPPED, OMITTED = "Skipped", "Omitted"
# How the message begins of a step whose own process said that it failed.
EXITED = "main: Error"
# What Argo says of a workflow that was stopped, and of the steps that it ended or never began.
STOPPED = "Stopped with strategy 'Stop'"
_STOPPED = ("Stopped with strategy ", "workflow shutdown with strategy:")

COMPLETED = frozenset((SUCCEEDED, FAILED, ERROR))
FULFILLED = COMPLETED | {SKIPPED, OMITTED}


@dataclass
class Node:
    """One node of the run's tree.

    `attempt` counts the processes started for it: more than one only when a process was lost with the machine.
    `started` and `finished` are seconds since the epoch.
    """

    id: str
    name: str
    display_name: str
    type: str
    phase: str
    template: str = ""
    boundary: str | None = None
    message: str = ""
    started: float = 0.0
    finished: float | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    result: str | None = None
    exit_code: str | None = None
    children: list[str] = field(default_factory=list)
    attempt: int = 0
    retried: bool = False

    @property
    def fulfilled(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.phase in FULFILLED

    @property
    def failed(self) -> bool:
        """Whether it ended badly."""
        return self.phase in (FAILED, ERROR)

    def as_dict(self) -> dict[str, Any]:
        """For the journal."""
        return asdict(self)


def said(message: str) -> str:
    """What a step's own process gave as the reason of its failure, by its node's message; empty if it gave none."""
    return message.partition("): ")[2].strip() if message.startswith(f"{EXITED} (exit code ") else ""


def was_stopped(message: str) -> bool:
    """Whether a message says that somebody ended the workflow, which is no failure of its own."""
    return message.startswith(_STOPPED)


def node_id(workflow: str, name: str) -> str:
    """Argo's identity of a node: the workflow's name, or with the 32-bit FNV-1a hash of the node's name."""
    if name == workflow:
        return workflow
    value = 0x811C9DC5
    for byte in name.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"{workflow}-{value}"


def item_name(index: int, item: Any) -> str:
    """How a loop's node shows its item: `(0:a)`, for a map `(0:k1:v1,k2:v2)`."""
    if isinstance(item, dict):
        shown = ",".join(sorted(f"{key}:{plain(value)}" for key, value in item.items()))
    elif isinstance(item, list):
        shown = "[" + " ".join(plain(value) for value in item) + "]"
    else:
        shown = plain(item)
    return f"({index}:{shown.replace('(', '').replace(')', '')})"


def plain(value: Any) -> str:
    """An item's value as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, separators=(",", ":"))
