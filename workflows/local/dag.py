"""DAG templates: dependencies, `depends` conditions, loops, and Argo's rules for the phase of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.common.errors import RookeryError
from workflows.local.expressions import parse
from workflows.local.graph import EMPTY, continues, expand, node_scope, pass_on, start
from workflows.local.models import Task
from workflows.local.nodes import ERROR, FAILED, OMITTED, RUNNING, SKIPPED, SUCCEEDED, Node
from workflows.local.templates import Found
from workflows.local.validation import dependencies_of

if TYPE_CHECKING:
    from workflows.local.scheduler import Call, Scheduler


def run_dag(scheduler: Scheduler, call: Call, node: Node, found: Found, scope: dict[str, str]) -> Node:
    """Brings a DAG forward: each target with everything it waits for."""
    dag = found.template.dag
    assert dag is not None
    walk = _Dag(scheduler, call, node, found, scope)
    waited = {name for task in dag.tasks for name in dependencies_of(task)}
    targets = (
        dag.target.split() if dag.target else [task.name for task in dag.tasks if task.name not in waited]
    )
    for name in targets:
        walk.visit(name)
    phase = walk.assess(targets)
    if phase == RUNNING:
        return node
    if phase != SUCCEEDED:
        return scheduler.state.mark(node, phase)
    names = dict(scope)
    for task in dag.tasks:
        names |= node_scope(scheduler, f"{call.name}.{task.name}", f"tasks.{task.name}", node.id)
    return pass_on(scheduler, node, found.template, names)


class _Dag:
    def __init__(
        self, scheduler: Scheduler, call: Call, node: Node, found: Found, scope: dict[str, str]
    ) -> None:
        assert found.template.dag is not None
        self.scheduler, self.state = scheduler, scheduler.state
        self.call, self.node, self.found, self.scope = call, node, found, scope
        self.dag = found.template.dag
        self.tasks = {task.name: task for task in self.dag.tasks}
        self.before = {task.name: dependencies_of(task) for task in self.dag.tasks}
        self.visited: set[str] = set()

    def of(self, name: str) -> Node | None:
        return self.state.nodes.get(f"{self.call.name}.{name}")

    def visit(self, name: str) -> None:
        """Starts or goes on with a task, after those that it waits for."""
        if name in self.visited:
            return
        self.visited.add(name)
        for other in self.before[name]:
            self.visit(other)
        node, task = self.of(name), self.tasks[name]
        if node is not None and node.fulfilled:
            return
        if node is None and self.before[name]:
            ready = [self.of(other) for other in self.before[name]]
            if any(other is None or not other.fulfilled for other in ready):
                return
            if not self.wanted(task):
                self.made(name, "Skipped", OMITTED, "omitted: depends condition not met")
                return
        self.begin(task, node)

    def made(self, name: str, kind: str, phase: str, message: str) -> Node:
        full = f"{self.call.name}.{name}"
        node = self.state.create(full, name, kind, phase, boundary=self.node.id, message=message)
        self.state.adopt(self.node, node)
        return node

    def wanted(self, task: Task) -> bool:
        """Whether the results of the tasks before let this one run."""
        if task.depends is None:
            return all(self.result(name, None) for name in self.before[task.name])

        def value(path: str) -> bool:
            name, _, result = path.partition(".")
            return self.result(name, result or None)

        return parse(task.depends, "depends").test(value)

    def result(self, name: str, result: str | None) -> bool:
        node, task = self.of(name), self.tasks[name]
        assert node is not None
        if result is None:
            good = node.phase in (SUCCEEDED, SKIPPED)
            return good or (node.failed and continues(task, node))
        turns = [self.state.by_id[child].phase for child in node.children] if node.type == "TaskGroup" else []
        if result == "AnySucceeded":
            return SUCCEEDED in turns
        if result == "AllFailed":
            return bool(turns) and all(phase == FAILED for phase in turns)
        return node.phase == {"Errored": ERROR}.get(result, result)

    def begin(self, task: Task, node: Node | None) -> None:
        names = dict(self.scope)
        for other in self.ancestors(task.name):
            names |= node_scope(self.scheduler, f"{self.call.name}.{other}", f"tasks.{other}", self.node.id)
        base = f"{self.call.name}.{task.name}"
        try:
            turns = expand(self.scheduler, base, task, names)
        except RookeryError as error:
            self.made(task.name, "Skipped", ERROR, str(error))
            return
        if not task.loops:
            child = start(self.scheduler, self.call, base, task, turns[0], self.found, names, self.node)
            if child is not None:
                self.state.adopt(self.node, child)
            return
        if not turns:
            self.made(task.name, "Skipped", SKIPPED, EMPTY)
            return
        group = node or self.made(task.name, "TaskGroup", RUNNING, "")
        children = [
            start(self.scheduler, self.call, base, task, turn, self.found, names, self.node) for turn in turns
        ]
        for child in children:
            if child is not None:
                self.state.adopt(group, child)
        if all(child is not None and child.fulfilled for child in children):
            bad = [child.phase for child in children if child is not None and child.failed]
            self.state.mark(group, bad[-1] if bad else SUCCEEDED)

    def ancestors(self, name: str) -> list[str]:
        seen: dict[str, None] = {}
        waiting = list(self.before[name])
        while waiting:
            other = waiting.pop()
            if other not in seen:
                seen[other] = None
                waiting += self.before[other]
        return list(seen)

    def branch(self, name: str) -> set[str]:
        """The phases that a task ends its branch with: its own, or for one that never ran those before it."""
        node = self.of(name)
        if node is None:
            return set()
        if node.phase not in (SKIPPED, OMITTED):
            return {node.phase}
        inherited: set[str] = set()
        for other in self.before[name]:
            before = self.of(other)
            turns = before.children if before is not None and before.type == "TaskGroup" else []
            inherited |= {self.state.by_id[child].phase for child in turns} or self.branch(other)
        return inherited or {SUCCEEDED}

    def assess(self, targets: list[str]) -> str:
        """The DAG's phase, by Argo's rules for targets, failFast and continueOn."""
        if any(n.boundary == self.node.id and not n.fulfilled for n in self.state.nodes.values()):
            return RUNNING
        if self.scheduler.over() and not self.call.is_exit:
            return FAILED
        result = SUCCEEDED
        for name in targets:
            phases = self.branch(name)
            bad = next((p for p in (FAILED, ERROR) if p in phases), None)
            if not phases:
                result = RUNNING
                if not self.dag.fail_fast:
                    break
            elif bad is not None:
                task = self.tasks[name]
                if (task.continue_on.failed and bad == FAILED) or (task.continue_on.error and bad == ERROR):
                    continue
                result = bad
                if self.dag.fail_fast:
                    break
        return result
