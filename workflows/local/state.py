"""All nodes of a run in memory, with what has changed since it was last written to the journal."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from workflows.local.journal import Journal
from workflows.local.nodes import FULFILLED, PENDING, RUNNING, Node, node_id


@dataclass
class Outcome:
    """How the run as a whole stands. Times are seconds since the epoch."""

    phase: str = PENDING
    message: str = ""
    started: float = 0.0
    finished: float | None = None
    outputs: dict[str, str] = field(default_factory=dict)
    stopping: bool = False


class State:
    """Nodes by name, the outcome, and the way to disk."""

    def __init__(self, workflow: str, records: list[dict[str, Any]]) -> None:
        self.workflow = workflow
        self.nodes: dict[str, Node] = {}
        self.outcome = Outcome()
        self._changed: dict[str, Node] = {}
        self._outcome_changed = False
        for record in records:
            kind = record.get("kind")
            if kind == "node":
                node = Node(**{k: v for k, v in record.items() if k not in ("kind", "at")})
                self.nodes[node.name] = node
            elif kind == "workflow":
                self.outcome = Outcome(**{k: v for k, v in record.items() if k not in ("kind", "at")})
        self.by_id = {node.id: node for node in self.nodes.values()}

    def create(self, name: str, display: str, kind: str, phase: str, **rest: Any) -> Node:
        """A new node, begun now; already ended where its phase says so."""
        now = time.time()
        node = Node(node_id(self.workflow, name), name, display, kind, phase, started=now, **rest)
        node.finished = now if phase in FULFILLED else None
        self.nodes[name] = self.by_id[node.id] = self._changed[name] = node
        return node

    def mark(self, node: Node, phase: str, message: str | None = None) -> Node:
        """Changes a node's phase and, if given, message."""
        if node.phase != phase or (message is not None and node.message != message):
            node.phase = phase
            node.message = node.message if message is None else message
            self._changed[node.name] = node
            if node.fulfilled and node.finished is None:
                node.finished = time.time()
        return node

    def touch(self, node: Node) -> None:
        """Says that a node was changed."""
        self._changed[node.name] = node

    def adopt(self, parent: Node, child: Node) -> None:
        """Makes a node another's child, once."""
        if child.id not in parent.children:
            parent.children.append(child.id)
            self._changed[parent.name] = parent

    def set_outcome(self, **changes: Any) -> None:
        """Changes the outcome of the run."""
        for name, value in changes.items():
            if getattr(self.outcome, name) != value:
                setattr(self.outcome, name, value)
                self._outcome_changed = True

    @property
    def dirty(self) -> bool:
        """Whether something is not yet in the journal."""
        return bool(self._changed) or self._outcome_changed

    def commit(self, journal: Journal) -> None:
        """Writes what has changed; on disk when this returns."""
        now = time.time()
        records = [{"kind": "node", "at": now, **node.as_dict()} for node in self._changed.values()]
        if self._outcome_changed:
            records.append({"kind": "workflow", "at": now, **vars(self.outcome)})
        journal.append(records)
        self._changed.clear()
        self._outcome_changed = False

    def active(self, boundary: str | None = None) -> int:
        """How many processes run or wait; of one boundary also its nested templates."""
        kinds = ("Pod",) if boundary is None else ("Pod", "Steps", "DAG")
        return sum(
            1
            for node in self.nodes.values()
            if node.type in kinds and node.phase in (PENDING, RUNNING) and boundary in (None, node.boundary)
        )
